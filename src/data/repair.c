/*
 * repair.c - see repair.h.
 *
 * A pass looks (fw_dataset_check), then does one action a file that has repairable findings. Statistics that an action made stale are
 * found by the next pass, so that there is no list of consequences to keep here.
 */
#include "data/repair.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "data/check_int.h"
#include "data/copy_int.h"
#include "data/rebuild.h"
#include "data/stats.h"

#define PASSES 4

/* What the rows of an episode need. */
enum { FIX_FRAME = 1, FIX_EPISODE = 2, FIX_INDEX = 4, FIX_TIME = 8 };

typedef struct repair {
    const fw_findings *found; /* of this pass */
    copy_source s;
    fw_dataset *ds; /* s.ds */
} repair;

void fw_repair_result_clear(fw_repair_result *r) {
    fw_findings_clear(&r->found);
    fw_findings_clear(&r->left);
    free(r->dropped);
    *r = (fw_repair_result){0};
}

static bool is(const fw_finding *f, const char *kind) {
    return f->repairable && strcmp(f->kind, kind) == 0;
}

static bool any(const repair *r, const char *kind) {
    for (int64_t i = 0; i < r->found->n; i++) {
        if (is(&r->found->item[i], kind)) {
            return true;
        }
    }
    return false;
}

/* The file under its name for a moment, until it is whole. */
static fw_status beside(const char *path, char out[STORE_PATH], fw_err *err) {
    return snprintf(out, STORE_PATH, "%s.repairing", path) < STORE_PATH
               ? FW_OK
               : fw_fail(err, FW_INVALID, "%s: path too long", path);
}

static fw_status take_place(const char *tmp, const char *path, fw_status st, fw_err *err) {
    st = st == FW_OK ? store_sync_file(tmp, err) : st;
    st = st == FW_OK ? store_move(tmp, path, err) : st;
    if (st != FW_OK) {
        (void)unlink(tmp);
    }
    return st;
}

/* --- info.json --- */

static void set_count(json_t *info, const char *key, int64_t n) {
    if (json_is_integer(json_object_get(info, key))) {
        json_object_set_new(info, key, json_integer(n));
    }
}

/* The size that the videos of a camera have, into its feature. */
static void set_size(json_t *info, const fw_dataset *ds, const fw_ds_camera *c, int w, int h) {
    json_t *feature = json_object_get(json_object_get(info, "features"), c->key),
           *shape = json_object_get(feature, "shape"), *more = json_object_get(feature, "info");
    const fw_feature *f = NULL;
    for (int i = 0; i < ds->n_features; i++) {
        f = strcmp(ds->features[i].key, c->key) == 0 ? &ds->features[i] : f;
    }
    bool chw = f->shape[0] <= 4 && f->shape[2] > 4;
    json_array_set_new(shape, chw ? 1 : 0, json_integer(h));
    json_array_set_new(shape, chw ? 2 : 1, json_integer(w));
    if (json_object_get(more, "video.height") != NULL) {
        json_object_set_new(more, "video.height", json_integer(h));
        json_object_set_new(more, "video.width", json_integer(w));
    }
}

static fw_status set_sizes(const repair *r, json_t *info, fw_err *err) {
    const fw_dataset *ds = r->ds;
    for (int64_t i = 0; i < r->found->n; i++) {
        const fw_finding *x = &r->found->item[i];
        for (int f = 0; f < ds->n_video_files && is(x, "video_size"); f++) {
            fw_video *v;
            if (strcmp(fw_dataset_rel(ds, ds->video_files[f]), x->file) != 0) {
                continue;
            }
            FW_TRY(fw_video_open(ds->video_files[f], &v, err));
            for (int64_t e = 0; e < ds->n_episodes; e++) {
                for (int c = 0; c < ds->n_visual; c++) {
                    if (ds->episodes[e].video[c].file == f) {
                        set_size(info, ds, &ds->cameras[c], fw_video_get_info(v)->w, fw_video_get_info(v)->h);
                        e = ds->n_episodes - 1;
                    }
                }
            }
            fw_video_close(v);
        }
    }
    return FW_OK;
}

static fw_status fix_info(const repair *r, fw_err *err) {
    char path[STORE_PATH];
    const fw_dataset *ds = r->ds;
    json_t *info;
    if (!any(r, "totals") && !any(r, "video_size")) {
        return FW_OK;
    }
    FW_TRY(fw_path_join(path, sizeof(path), ds->dir, "meta/info.json", err));
    FW_TRY(fw_json_load(path, &info, err));
    int64_t chunk = json_integer_value(json_object_get(info, "chunks_size"));
    set_count(info, "total_frames", ds->n_frames);
    set_count(info, "total_tasks", ds->n_tasks);
    if (ds->version == 21) {
        set_count(info, "total_videos", ds->n_episodes * fw_dataset_videos(ds));
        set_count(info, "total_chunks", chunk > 0 ? (ds->n_episodes + chunk - 1) / chunk : 0);
    }
    fw_status st = set_sizes(r, info, err);
    st = st == FW_OK ? fw_json_save(path, info, 4, err) : st;
    json_decref(info);
    return st;
}

/* --- rows --- */

static unsigned row_fix(const fw_finding *f) {
    return is(f, "frame_index")                             ? FIX_FRAME
           : is(f, "episode_index")                         ? FIX_EPISODE
           : is(f, "index")                                 ? FIX_INDEX
           : is(f, "timestamp") || is(f, "timestamp_order") ? FIX_TIME
                                                            : 0;
}

/* Rows of episode e with the columns that are wrong as they should be. */
static fw_status write_rows(const repair *r, fw_pq_reader *in, fw_pq_writer *out, const fw_episode_info *i,
                            unsigned fix, fw_err *err) {
    static const struct {
        unsigned fix;
        const char *name;
    } column[] = {
        {FIX_FRAME, "frame_index"}, {FIX_EPISODE, "episode_index"}, {FIX_INDEX, "index"}, {FIX_TIME, "timestamp"}};
    fw_pq_column other[4];
    int n = 0;
    int64_t *v = malloc((size_t)(3 * i->length + 1) * sizeof(int64_t));
    double *time = malloc((size_t)(i->length + 1) * sizeof(double));
    fw_status st =
        v != NULL && time != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s: ep %lld", r->ds->dir, (long long)i->index);
    for (int64_t t = 0; t < i->length && st == FW_OK; t++) {
        v[t] = t;
        v[i->length + t] = i->index;
        v[2 * i->length + t] = i->first + t;
        time[t] = (double)t / r->ds->fps;
    }
    for (int k = 0; k < 4; k++) {
        if ((fix & column[k].fix) != 0) {
            bool number = column[k].fix != FIX_TIME;
            other[n++] = (fw_pq_column){column[k].name, number ? v + k * i->length : NULL, number ? NULL : time};
        }
    }
    st = st == FW_OK ? fw_pq_writer_add_rows(out, in, i->data_row, i->data_row + i->length, other, n, err) : st;
    free(v);
    free(time);
    return st;
}

/* The whole file: episodes in their order, and rows that belong to none as they are. fix [n_episodes]. */
static fw_status write_file(const repair *r, int file, const unsigned *fix, fw_pq_reader *in, fw_pq_writer *out,
                            fw_err *err) {
    int64_t at = 0, rows = fw_pq_rows(in);
    for (int64_t e = 0; e < r->ds->n_episodes; e++) {
        const fw_episode_info *i = &r->ds->episodes[e];
        if (i->data_file != file || i->data_row < at || i->data_row + i->length > rows) {
            continue;
        }
        if (i->data_row > at) {
            FW_TRY(fw_pq_writer_add_rows(out, in, at, i->data_row, NULL, 0, err));
        }
        FW_TRY(write_rows(r, in, out, i, fix[e], err));
        at = i->data_row + i->length;
    }
    return at < rows ? fw_pq_writer_add_rows(out, in, at, rows, NULL, 0, err) : FW_OK;
}

static fw_status fix_file(const repair *r, int file, const unsigned *fix, fw_err *err) {
    static const char *const keep[] = {"huggingface", "pandas"};
    const char *path = r->ds->data_files[file];
    char tmp[STORE_PATH];
    fw_pq_reader *in;
    fw_pq_writer *out = NULL;
    fw_kv kv[2];
    int n_kv = 0;
    FW_TRY(beside(path, tmp, err));
    FW_TRY(fw_pq_open(path, &in, err));
    for (int k = 0; k < 2; k++) {
        if (fw_pq_meta(in, keep[k]) != NULL) {
            kv[n_kv++] = (fw_kv){keep[k], fw_pq_meta(in, keep[k])};
        }
    }
    fw_status st = fw_pq_writer_open_like(tmp, in, kv, n_kv, &out, err);
    st = st == FW_OK ? write_file(r, file, fix, in, out, err) : st;
    if (st == FW_OK) {
        st = fw_pq_writer_close(out, err);
    } else {
        fw_pq_writer_abort(out);
    }
    fw_pq_close(in);
    return take_place(tmp, path, st, err);
}

/* Position of the episode that a finding names; -1 when there is none. */
static int64_t position(const fw_dataset *ds, int64_t index) {
    for (int64_t e = 0; e < ds->n_episodes; e++) { /* its place is its index, almost always */
        int64_t at = (index + e) % ds->n_episodes;
        if (index >= 0 && ds->episodes[at].index == index) {
            return at;
        }
    }
    return -1;
}

static fw_status fix_rows(const repair *r, fw_err *err) {
    const fw_dataset *ds = r->ds;
    unsigned *fix = calloc((size_t)ds->n_episodes + 1, sizeof(*fix));
    bool *file = calloc((size_t)ds->n_data_files + 1, sizeof(*file));
    fw_status st = fix != NULL && file != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s: repair", ds->dir);
    for (int64_t i = 0; i < r->found->n && st == FW_OK; i++) {
        int64_t e = position(ds, r->found->item[i].episode);
        if (e >= 0 && row_fix(&r->found->item[i]) != 0) {
            fix[e] |= row_fix(&r->found->item[i]);
            file[ds->episodes[e].data_file] = true;
        }
    }
    for (int f = 0; f < ds->n_data_files && st == FW_OK; f++) {
        st = file[f] ? fix_file(r, f, fix, err) : FW_OK;
    }
    free(fix);
    free(file);
    return st;
}

/* --- frames --- */

/* The file without the frames behind the last episode's. */
static fw_status cut_video(const repair *r, int f, fw_err *err) {
    const fw_dataset *ds = r->ds;
    const char *path = ds->video_files[f];
    char tmp[STORE_PATH];
    fw_video *v;
    fw_video_copier *out;
    double *t_s, start_s, end_s;
    int64_t n, want = 0;
    FW_TRY(beside(path, tmp, err));
    FW_TRY(fw_video_open(path, &v, err));
    double fps = fw_video_get_info(v)->fps > 0.0 ? fw_video_get_info(v)->fps : ds->fps;
    fw_status st = fw_video_times(v, &t_s, &n, NULL, err);
    fw_video_close(v);
    FW_TRY(st);
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        for (int c = 0; c < ds->n_visual; c++) {
            if (ds->episodes[e].video[c].file == f) {
                want = check_first_frame(t_s, n, ds->episodes[e].video[c].from_s, fps) + ds->episodes[e].length;
            }
        }
    }
    free(t_s);
    FW_TRY(fw_video_copier_open(tmp, path, &out, err));
    st = fw_video_copier_add(out, path, 0.0, want, &start_s, &end_s, err);
    if (st == FW_OK) {
        st = fw_video_copier_close(out, err);
    } else {
        fw_video_copier_abort(out);
    }
    return take_place(tmp, path, st, err);
}

static fw_status fix_videos(const repair *r, fw_err *err) {
    for (int64_t i = 0; i < r->found->n; i++) {
        for (int f = 0; f < r->ds->n_video_files && is(&r->found->item[i], "video_long"); f++) {
            if (strcmp(fw_dataset_rel(r->ds, r->ds->video_files[f]), r->found->item[i].file) == 0) {
                FW_TRY(cut_video(r, f, err));
            }
        }
    }
    return FW_OK;
}

/* --- statistics by episode --- */

/* Whether the pass found the statistics of feature `key` over episode index wrong. */
static bool stale(const repair *r, int64_t index, const char *key) {
    for (int64_t i = 0; i < r->found->n; i++) {
        const fw_finding *f = &r->found->item[i];
        size_t n = strlen(key);
        if (is(f, "episode_stats") && f->episode == index && strncmp(f->text, key, n) == 0 && f->text[n] == ':') {
            return true;
        }
    }
    return false;
}

static fw_status stats_of(repair *r, int64_t e, const fw_feature *f, store_stats *out, fw_err *err) {
    const fw_episode_info *i = &r->ds->episodes[e];
    FW_TRY(copy_source_rows(&r->s, e, err));
    const fw_column *c = fw_table_find(&r->s.rows, f->key);
    if (c == NULL || c->width != f->size) {
        return fw_fail(err, FW_SHAPE, "%s: wanted a column '%s' of %lld numbers", r->ds->data_files[i->data_file],
                       f->key, (long long)f->size);
    }
    return store_stats_column(c, i->data_row, i->data_row + i->length, out, err);
}

static void set_number(fw_column *c, int64_t at, double v) {
    switch (c->type) {
    case FW_COL_F32:
        c->f32[at] = (float)v;
        break;
    case FW_COL_F64:
        c->f64[at] = v;
        break;
    case FW_COL_I32:
        c->i32[at] = (int32_t)llround(v);
        break;
    case FW_COL_I64:
        c->i64[at] = llround(v);
        break;
    default:
        break;
    }
}

static fw_column *column_of(fw_table *t, const char *key, const char *name, int64_t width) {
    char full[512];
    snprintf(full, sizeof(full), "%s%s%s", key, key[0] != 0 ? "/" : "", name);
    for (int i = 0; i < t->n_cols; i++) {
        if (strcmp(t->cols[i].name, full) == 0 && t->cols[i].width == width && t->cols[i].type != FW_COL_STR) {
            return &t->cols[i];
        }
    }
    return NULL;
}

/* Row `row` of an episodes table gets the statistics that its rows have. */
static fw_status set_stats(repair *r, fw_table *t, int64_t row, int64_t e, const fw_feature *f, fw_err *err) {
    char key[400];
    store_stats s;
    FW_TRY(stats_of(r, e, f, &s, err));
    snprintf(key, sizeof(key), "stats/%.380s", f->key);
    for (int k = 0; k < STORE_STATS; k++) {
        fw_column *c = column_of(t, key, store_stat_names[k], f->size);
        for (int64_t d = 0; c != NULL && d < f->size; d++) {
            set_number(c, row * f->size + d, s.value[k * f->size + d]);
        }
    }
    fw_column *count = column_of(t, key, "count", 1);
    if (count != NULL) {
        set_number(count, row, (double)s.count);
    }
    store_stats_clear(&s);
    return FW_OK;
}

static fw_status fix_episode_rows(repair *r, fw_table *t, int64_t first, bool places, fw_err *err) {
    for (int64_t row = 0; row < t->rows && first + row < r->ds->n_episodes; row++) {
        const fw_episode_info *i = &r->ds->episodes[first + row];
        fw_column *from = column_of(t, "", "dataset_from_index", 1), *to = column_of(t, "", "dataset_to_index", 1);
        if (places && from != NULL && to != NULL) {
            set_number(from, row, (double)i->first);
            set_number(to, row, (double)(i->first + i->length));
        }
        for (int f = 0; f < r->ds->n_features; f++) {
            if (copy_is_number(&r->ds->features[f]) && stale(r, i->index, r->ds->features[f].key)) {
                FW_TRY(set_stats(r, t, row, first + row, &r->ds->features[f], err));
            }
        }
    }
    return FW_OK;
}

/* meta/episodes of v3.0: file by file. */
static fw_status fix_tables(repair *r, fw_err *err) {
    static const char *const keep[] = {"pandas", "huggingface"};
    char **paths;
    size_t n;
    bool places = any(r, "episode_rows");
    FW_TRY(store_episode_files(r->ds->dir, r->ds->n_episodes, &paths, &n, err));
    fw_status st = FW_OK;
    for (size_t i = 0; i < n && st == FW_OK; i++) {
        bool wanted = places;
        for (int64_t e = r->s.eps_at[i]; e < r->s.eps_at[i + 1]; e++) {
            for (int f = 0; f < r->ds->n_features && !wanted; f++) {
                wanted = stale(r, r->ds->episodes[e].index, r->ds->features[f].key);
            }
        }
        fw_table t = {0};
        fw_pq_reader *in = NULL;
        fw_kv kv[2];
        int n_kv = 0;
        if (!wanted || (st = fw_pq_open(paths[i], &in, err)) != FW_OK) {
            continue;
        }
        for (int k = 0; k < 2; k++) {
            if (fw_pq_meta(in, keep[k]) != NULL) {
                kv[n_kv++] = (fw_kv){keep[k], fw_pq_meta(in, keep[k])};
            }
        }
        st = store_read_whole(paths[i], &t, err);
        st = st == FW_OK ? fix_episode_rows(r, &t, r->s.eps_at[i], places, err) : st;
        st = st == FW_OK ? fw_table_write(paths[i], &t, 10, kv, n_kv, err) : st;
        fw_table_clear(&t);
        fw_pq_close(in);
    }
    fw_names_free(paths, n);
    return st;
}

static fw_status fix_line(repair *r, json_t *line, fw_err *err) {
    int64_t e = position(r->ds, json_integer_value(json_object_get(line, "episode_index")));
    for (int f = 0; f < r->ds->n_features && e >= 0; f++) {
        const fw_feature *x = &r->ds->features[f];
        json_t *stats = json_object_get(line, "stats");
        if (copy_is_number(x) && stale(r, r->ds->episodes[e].index, x->key)) {
            store_stats s;
            bool full = json_object_get(json_object_get(stats, x->key), "q50") != NULL;
            FW_TRY(stats_of(r, e, x, &s, err));
            json_object_set_new(stats, x->key, store_stats_json(&s, false, full));
            store_stats_clear(&s);
        }
    }
    return FW_OK;
}

/* meta/episodes_stats.jsonl of v2.1: its lines again. */
static fw_status fix_lines(repair *r, fw_err *err) {
    char path[STORE_PATH], *text, *fresh = NULL;
    size_t size, fresh_size = 0;
    FW_TRY(fw_path_join(path, sizeof(path), r->ds->dir, "meta/episodes_stats.jsonl", err));
    FW_TRY(fw_file_read(path, 1u << 30, &text, &size, err));
    FILE *out = open_memstream(&fresh, &fresh_size);
    fw_status st = out != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s", path);
    for (char *p = text; *p != 0 && st == FW_OK;) {
        size_t n = strcspn(p, "\n");
        json_t *line = NULL;
        if (strspn(p, " \t\r") < n && (st = fw_json_parse(p, n, path, &line, err)) == FW_OK &&
            (st = fix_line(r, line, err)) == FW_OK) {
            (void)json_dumpf(line, out, 0);
            fputc('\n', out);
        }
        json_decref(line);
        p += n + (p[n] == '\n');
    }
    if (out != NULL) {
        fclose(out);
    }
    st = st == FW_OK ? fw_file_write_atomic(path, fresh, fresh_size, err) : st;
    free(fresh);
    free(text);
    return st;
}

static fw_status fix_episode_stats(repair *r, fw_err *err) {
    if (!any(r, "episode_stats") && !any(r, "episode_rows")) {
        return FW_OK;
    }
    return r->ds->version == 30 ? fix_tables(r, err) : fix_lines(r, err);
}

/* --- statistics of the whole --- */

static fw_status fill_total(repair *r, store_total *total, fw_err *err) {
    const fw_dataset *ds = r->ds;
    FW_TRY(store_total_init(total, ds->features, ds->n_features, err));
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        const fw_episode_info *i = &ds->episodes[e];
        FW_TRY(copy_source_rows(&r->s, e, err));
        FW_TRY(store_total_push_rows(total, ds->data_files[i->data_file], &r->s.rows, i->data_row,
                                     i->data_row + i->length, err));
    }
    for (size_t i = 0; i < r->s.n_eps; i++) {
        FW_TRY(store_total_push_episodes(total, &r->s.eps[i], r->s.eps[i].rows, err));
    }
    return FW_OK;
}

/* stats.json from the rows; pictures' from the episodes' statistics, or as they are where episodes have none. */
static fw_status fix_stats(repair *r, fw_err *err) {
    char path[STORE_PATH], summary[STORE_PATH];
    store_total total = {0};
    json_t *old = NULL, *fresh = NULL, *v;
    const char *key;
    if (!any(r, "stats")) {
        return FW_OK;
    }
    FW_TRY(fw_path_join(path, sizeof(path), r->ds->dir, "meta/stats.json", err));
    FW_TRY(fw_path_join(summary, sizeof(summary), r->ds->dir, FW_SUMMARY_FILE, err));
    fw_status st = fill_total(r, &total, err);
    st = st == FW_OK ? store_total_json(&total, &fresh, err) : st;
    if (st == FW_OK && fw_json_load(path, &old, NULL) == FW_OK) {
        json_object_foreach(old, key, v) {
            if (json_object_get(fresh, key) == NULL) {
                json_object_set(fresh, key, v);
            }
        }
    }
    st = st == FW_OK ? fw_remove_tree(summary, err)
                     : st; /* it may be of other rows: `data stats --write` makes it again */
    st = st == FW_OK ? fw_json_save(path, fresh, 4, err) : st;
    json_decref(old);
    json_decref(fresh);
    store_total_clear(&total);
    return st;
}

/* --- passes --- */

static int64_t repairable(const fw_findings *f) {
    int64_t n = 0;
    for (int64_t i = 0; i < f->n; i++) {
        n += f->item[i].repairable;
    }
    return n;
}

/* One action failed: others may still help, unless the disk or memory is at its end. */
static bool fatal(fw_status st) {
    return st == FW_IO || st == FW_NOMEM || st == FW_AGAIN;
}

static fw_status act(repair *r, fw_err *err) {
    static fw_status (*const action[])(repair *, fw_err *) = {fix_episode_stats, fix_stats};
    static fw_status (*const first[])(const repair *, fw_err *) = {fix_info, fix_rows, fix_videos};
    fw_err why;
    for (int i = 0; i < 5; i++) {
        fw_status st = i < 3 ? first[i](r, &why) : action[i - 3](r, &why);
        if (fatal(st)) {
            return fw_fail(err, st, "%s", why.msg);
        }
        if (st != FW_OK) {
            fw_log(FW_LOG_WARN, "%s", why.msg);
        }
    }
    return FW_OK;
}

/* What all findings ask for, once. */
static fw_status one_pass(const char *dir, const fw_findings *found, fw_repair_result *out, fw_err *err) {
    repair r = {.found = found, .s = {.file = -1}};
    int lock = -1;
    if (any(&r, "unfinished")) {
        bool did;
        return fw_rebuild_resume(dir, &did, err);
    }
    if (any(&r, "recording")) {
        fw_recovered one;
        FW_TRY(fw_recorder_recover(dir, &one, err));
        out->recovered.episodes += one.episodes;
        out->recovered.frames += one.frames;
        out->recovered.truncated += one.truncated;
        out->recovered.already += one.already;
        out->recovered.discarded += one.discarded;
        return FW_OK; /* the dataset has grown: look again */
    }
    FW_TRY(store_lock(dir, &lock, err));
    fw_status st = fw_dataset_open_miscounted(dir, &r.ds, err);
    st = st == FW_OK ? copy_source_take(&r.s, r.ds, &(fw_copy_source){.dir = dir}, err) : st;
    st = st == FW_OK ? act(&r, err) : st;
    copy_source_clear(&r.s);
    store_unlock(dir, lock);
    return st;
}

/* --- dropping --- */

/* Findings of a whole file, which its episodes cannot be read around. */
static bool of_file(const fw_finding *f) {
    return strcmp(f->kind, "missing_file") == 0 || strcmp(f->kind, "damaged_file") == 0 ||
           strcmp(f->kind, "shape") == 0;
}

static bool of_episode(const fw_finding *f) {
    static const char *const kinds[] = {"length",      "not_finite",  "task_index",
                                        "video_short", "video_place", "missing_camera"};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        if (strcmp(f->kind, kinds[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether episode e is what finding f is about. */
static bool concerns(const fw_dataset *ds, const fw_finding *f, int64_t e) {
    const fw_episode_info *i = &ds->episodes[e];
    bool in = strcmp(fw_dataset_rel(ds, ds->data_files[i->data_file]), f->file) == 0;
    int64_t first = position(ds, f->episode);
    for (int c = 0; c < ds->n_visual; c++) {
        int v = i->video[c].file;
        bool here = v >= 0 && strcmp(fw_dataset_rel(ds, ds->video_files[v]), f->file) == 0;
        in = in || here;
        if (here && strcmp(f->kind, "video_short") == 0 && first >= 0) { /* those behind it have no frames either */
            return i->video[c].from_s >= ds->episodes[first].video[c].from_s;
        }
    }
    return of_file(f) ? in : of_episode(f) && f->episode == i->index;
}

static fw_status drop(const char *dir, const fw_repair_opts *o, fw_repair_result *out, fw_err *err) {
    fw_dataset *ds;
    int64_t n = 0;
    FW_TRY(fw_dataset_open(dir, &ds, err));
    int64_t *keep = calloc((size_t)ds->n_episodes + 1, sizeof(*keep));
    out->dropped = calloc((size_t)ds->n_episodes + 1, sizeof(*out->dropped));
    fw_status st = keep != NULL && out->dropped != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s: repair", dir);
    for (int64_t e = 0; e < ds->n_episodes && st == FW_OK; e++) {
        bool goes = false;
        for (int64_t i = 0; i < out->left.n && !goes; i++) {
            goes = concerns(ds, &out->left.item[i], e);
        }
        if (goes) {
            out->dropped[out->n_dropped++] = ds->episodes[e].index;
        } else {
            keep[n++] = e;
        }
    }
    if (st == FW_OK && n == 0) {
        st = fw_fail(err, FW_INVALID, "%s: no episode would be left; nothing was dropped", dir);
    }
    fw_dataset_close(ds);
    if (st == FW_OK && out->n_dropped > 0) {
        fw_log(FW_LOG_WARN, "%s: removing %lld of %lld episodes, which cannot be repaired", dir,
               (long long)out->n_dropped, (long long)(n + out->n_dropped));
        st = fw_dataset_rebuild(dir, &(fw_rebuild_opts){.keep = keep, .n_keep = n, .progress = o->progress}, err);
    }
    free(keep);
    return st;
}

static fw_status copy_findings(const fw_findings *from, fw_findings *out, fw_err *err) {
    *out = (fw_findings){.cap = from->n, .item = calloc((size_t)from->n + 1, sizeof(fw_finding))};
    for (int64_t i = 0; i < from->n && out->item != NULL; i++) {
        fw_finding *x = &out->item[out->n++];
        *x = from->item[i];
        x->file = strdup(from->item[i].file);
        x->text = strdup(from->item[i].text);
        if (x->file == NULL || x->text == NULL) {
            return fw_fail(err, FW_NOMEM, "findings");
        }
    }
    return out->item != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "findings");
}

/* Findings of a that b does not have. */
static int64_t gone(const fw_findings *a, const fw_findings *b) {
    int64_t n = a->n;
    for (int64_t i = 0; i < a->n; i++) {
        for (int64_t k = 0; k < b->n; k++) {
            const fw_finding *x = &a->item[i], *y = &b->item[k];
            if (strcmp(x->kind, y->kind) == 0 && strcmp(x->file, y->file) == 0 && x->episode == y->episode &&
                x->frame == y->frame) {
                n--;
                break;
            }
        }
    }
    return n;
}

fw_status fw_dataset_repair(const char *dir, const fw_repair_opts *opts, fw_repair_result *out, fw_err *err) {
    const fw_check_opts look = {opts->tolerance_s, opts->progress};
    *out = (fw_repair_result){0};
    FW_TRY(fw_dataset_check(dir, &look, &out->found, err));
    fw_status st = copy_findings(&out->found, &out->left, err);
    for (int pass = 0; pass < PASSES && st == FW_OK && repairable(&out->left) > 0 && !opts->dry_run; pass++) {
        fw_findings now;
        if ((st = one_pass(dir, &out->left, out, err)) == FW_OK &&
            (st = fw_dataset_check(dir, &look, &now, err)) == FW_OK) {
            fw_findings_clear(&out->left);
            out->left = now;
        }
    }
    if (st == FW_OK && opts->drop && !opts->dry_run && out->left.n > 0) {
        fw_findings now;
        if ((st = drop(dir, opts, out, err)) == FW_OK && (st = fw_dataset_check(dir, &look, &now, err)) == FW_OK) {
            fw_findings_clear(&out->left);
            out->left = now;
        }
    }
    out->repaired = gone(&out->found, &out->left);
    if (st != FW_OK) {
        fw_repair_result_clear(out);
    }
    return st;
}
