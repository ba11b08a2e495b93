/*
 * merge.c - several v3.0 datasets into one: rows renumbered, videos copied byte for byte (see writer.h).
 *
 * The output is built in a folder beside its place and renamed there when it is whole, so a failed merge leaves nothing.
 * Rows of one source data file become one output file, with one row group an episode; extra columns are kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/store_int.h"
#include "data/writer.h"

typedef struct merge {
    const char *out;      /* where it is built */
    const fw_dataset *as; /* the first source: features */
    json_t *info;
    store_total total;
    char **tasks;
    int n_tasks;
    int64_t episodes, frames, data_files, episode_files;
    int64_t video_files[FW_MAX_CAMERAS];
} merge;

/* What changes for one source. */
typedef struct source {
    fw_dataset *ds;
    int64_t first_data;
    int64_t *task_map;  /* [n_tasks] */
    int64_t *video_map; /* [n_video_files] new file numbers */
    store_stats *index; /* [n_episodes][3] new statistics of index, episode_index, task_index */
} source;

static const char *const renumbered[3] = {"index", "episode_index", "task_index"};

static fw_status map_tasks(merge *m, source *s, fw_err *err) {
    s->task_map = calloc((size_t)s->ds->n_tasks + 1, sizeof(int64_t));
    char **more = realloc(m->tasks, (size_t)(m->n_tasks + s->ds->n_tasks + 1) * sizeof(char *));
    if (s->task_map == NULL || more == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: tasks", s->ds->dir);
    }
    m->tasks = more;
    for (int i = 0; i < s->ds->n_tasks; i++) {
        int at = 0;
        while (at < m->n_tasks && strcmp(m->tasks[at], s->ds->tasks[i]) != 0) {
            at++;
        }
        if (at == m->n_tasks && (m->tasks[m->n_tasks++] = strdup(s->ds->tasks[i])) == NULL) {
            return fw_fail(err, FW_NOMEM, "%s: tasks", s->ds->dir);
        }
        s->task_map[i] = at;
    }
    return FW_OK;
}

static fw_status copy_bytes(const char *from, const char *to, int in, int out, fw_err *err) {
    static const size_t n = 1 << 20;
    char *buf = malloc(n);
    if (buf == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: copy", from);
    }
    fw_status st = FW_OK;
    ssize_t got;
    while ((got = read(in, buf, n)) > 0 && st == FW_OK) {
        for (ssize_t at = 0, put; at < got && st == FW_OK; at += put > 0 ? put : 0) {
            put = write(out, buf + at, (size_t)(got - at));
            st = put < 0 && errno != EINTR ? fw_fail(err, FW_IO, "%s: %s", to, strerror(errno)) : FW_OK;
        }
    }
    if (st == FW_OK && got < 0) {
        st = fw_fail(err, FW_IO, "%s: %s", from, strerror(errno));
    }
    if (st == FW_OK && fsync(out) != 0) {
        st = fw_fail(err, FW_IO, "%s: fsync: %s", to, strerror(errno));
    }
    free(buf);
    return st;
}

static fw_status make_folder(const char *file, fw_err *err) {
    char folder[STORE_PATH];
    snprintf(folder, sizeof(folder), "%s", file);
    *strrchr(folder, '/') = 0;
    return fw_mkdirs(folder, err);
}

static fw_status copy_file(const char *from, const char *to, fw_err *err) {
    FW_TRY(make_folder(to, err));
    int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
    if (in < 0) {
        return fw_fail(err, FW_IO, "%s: %s", from, strerror(errno));
    }
    fw_status st = (out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) < 0
                       ? fw_fail(err, FW_IO, "%s: %s", to, strerror(errno))
                       : copy_bytes(from, to, in, out, err);
    close(in);
    if (out >= 0 && close(out) != 0 && st == FW_OK) {
        st = fw_fail(err, FW_IO, "%s: %s", to, strerror(errno));
    }
    return st;
}

static fw_status copy_videos(merge *m, source *s, fw_err *err) {
    char to[STORE_PATH];
    s->video_map = calloc((size_t)s->ds->n_video_files + 1, sizeof(int64_t));
    if (s->video_map == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: videos", s->ds->dir);
    }
    for (int i = 0; i < s->ds->n_video_files; i++) {
        s->video_map[i] = -1;
    }
    for (int64_t e = 0; e < s->ds->n_episodes; e++) {
        for (int c = 0; c < s->ds->n_cameras; c++) {
            int f = s->ds->episodes[e].video[c].file;
            if (f < 0 || s->video_map[f] >= 0) {
                continue;
            }
            s->video_map[f] = m->video_files[c]++;
            FW_TRY(store_file(m->out, s->ds->cameras[c].key, s->video_map[f], to, err));
            FW_TRY(copy_file(s->ds->video_files[f], to, err));
        }
    }
    return FW_OK;
}

static fw_column *i64_column(fw_table *t, const char *where, const char *name, fw_err *err) {
    fw_column *c = (fw_column *)(uintptr_t)fw_table_find(t, name);
    if (c == NULL || c->type != FW_COL_I64 || c->n != t->rows) {
        fw_fail(err, FW_FORMAT, "%s: wanted an int64 column '%s'", where, name);
        return NULL;
    }
    return c;
}

/* Renumber rows [a, b), episode e of s, and keep the new columns' statistics. */
static fw_status renumber(merge *m, source *s, fw_table *t, const char *where, int64_t e, int64_t a, int64_t b,
                          fw_err *err) {
    fw_column *c[3];
    double *v = malloc((size_t)(b - a) * sizeof(double));
    if (v == NULL) {
        return fw_fail(err, FW_NOMEM, "%s", where);
    }
    fw_status st = FW_OK;
    for (int k = 0; k < 3 && st == FW_OK; k++) {
        if ((c[k] = i64_column(t, where, renumbered[k], err)) == NULL) {
            st = FW_FORMAT;
            break;
        }
        for (int64_t r = a; r < b && st == FW_OK; r++) {
            int64_t *x = &c[k]->i64[r];
            if (k == 2 && (*x < 0 || *x >= s->ds->n_tasks)) {
                st = fw_fail(err, FW_FORMAT, "%s: ep %lld: frame %lld: task_index is %lld, there are %d tasks", where,
                             (long long)s->ds->episodes[e].index, (long long)(r - a), (long long)*x, s->ds->n_tasks);
                break;
            }
            *x = k == 0 ? m->frames + s->ds->episodes[e].first + r - a : k == 1 ? m->episodes + e : s->task_map[*x];
            v[r - a] = (double)*x;
        }
        st = st == FW_OK ? store_stats_of(v, b - a, 1, &s->index[e * 3 + k], err) : st;
    }
    free(v);
    return st;
}

/* One source data file, its counted episodes, as the next output data file. */
static fw_status merge_data_file(merge *m, source *s, int file, fw_err *err) {
    const char *where = s->ds->data_files[file];
    char to[STORE_PATH];
    fw_table t;
    fw_table_writer *w = NULL;
    FW_TRY(store_file(m->out, "data", m->data_files, to, err));
    FW_TRY(make_folder(to, err));
    FW_TRY(store_read_whole(where, &t, err));
    char *hf = store_huggingface(m->as->features, m->as->n_features);
    fw_kv kv = {"huggingface", hf};
    fw_status st = hf == NULL ? fw_fail(err, FW_NOMEM, "%s", to) : fw_table_writer_open(to, &t, &kv, 1, &w, err);
    for (int64_t e = 0; e < s->ds->n_episodes && st == FW_OK; e++) {
        const fw_episode_info *i = &s->ds->episodes[e];
        if (i->data_file != file) {
            continue;
        }
        if (i->data_row + i->length > t.rows) {
            st = fw_fail(err, FW_FORMAT, "%s: ep %lld: wanted rows to %lld, the file has %lld", where,
                         (long long)i->index, (long long)(i->data_row + i->length), (long long)t.rows);
            break;
        }
        st = renumber(m, s, &t, where, e, i->data_row, i->data_row + i->length, err);
        st = st == FW_OK ? store_total_push_rows(&m->total, where, &t, i->data_row, i->data_row + i->length, err) : st;
        if (st == FW_OK) {
            fw_table part;
            fw_table_view(&t, i->data_row, i->data_row + i->length, &part);
            st = fw_table_writer_add(w, &part, err);
            fw_table_view_clear(&part);
        }
    }
    if (st == FW_OK) {
        st = fw_table_writer_close(w, err);
    } else {
        fw_table_writer_abort(w);
    }
    m->data_files++;
    free(hf);
    fw_table_clear(&t);
    return st;
}

static void set_i64(fw_table *t, const char *name, int64_t row, int64_t v) {
    fw_column *c = (fw_column *)(uintptr_t)fw_table_find(t, name);
    if (c != NULL && c->type == FW_COL_I64 && c->width == 1) {
        c->i64[row] = v;
    }
}

static void set_stat(fw_table *t, const char *feature, int stat, int64_t row, double v) {
    char name[512];
    snprintf(name, sizeof(name), "stats/%s/%s", feature, store_stat_names[stat]);
    fw_column *c = (fw_column *)(uintptr_t)fw_table_find(t, name);
    if (c != NULL && c->width == 1 && c->type == FW_COL_F64) {
        c->f64[row] = v;
    } else if (c != NULL && c->width == 1 && c->type == FW_COL_I64) {
        c->i64[row] = (int64_t)v;
    }
}

/* Row `row` of an episodes table, episode e of s: where things lie now. */
static void place_episode(const merge *m, const source *s, fw_table *t, int64_t row, int64_t e) {
    const fw_episode_info *i = &s->ds->episodes[e];
    char name[512];
    int64_t data = s->first_data + i->data_file, first = m->frames + i->first;
    set_i64(t, "episode_index", row, m->episodes + e);
    set_i64(t, "data/chunk_index", row, data / STORE_CHUNK_SIZE);
    set_i64(t, "data/file_index", row, data % STORE_CHUNK_SIZE);
    set_i64(t, "dataset_from_index", row, first);
    set_i64(t, "dataset_to_index", row, first + i->length);
    for (int c = 0; c < s->ds->n_cameras; c++) {
        int64_t video = i->video[c].file >= 0 ? s->video_map[i->video[c].file] : 0;
        snprintf(name, sizeof(name), "videos/%s/chunk_index", s->ds->cameras[c].key);
        set_i64(t, name, row, video / STORE_CHUNK_SIZE);
        snprintf(name, sizeof(name), "videos/%s/file_index", s->ds->cameras[c].key);
        set_i64(t, name, row, video % STORE_CHUNK_SIZE);
    }
    for (int k = 0; k < 3; k++) {
        for (int stat = 0; stat < STORE_STATS; stat++) {
            set_stat(t, renumbered[k], stat, row, s->index[e * 3 + k].value[stat]);
        }
    }
    set_i64(t, "meta/episodes/chunk_index", row, m->episode_files / STORE_CHUNK_SIZE);
    set_i64(t, "meta/episodes/file_index", row, m->episode_files % STORE_CHUNK_SIZE);
}

static fw_status merge_episode_files(merge *m, source *s, fw_err *err) {
    char to[STORE_PATH], **paths;
    size_t n;
    int64_t e = 0;
    FW_TRY(store_episode_files(s->ds->dir, s->ds->n_episodes, &paths, &n, err));
    fw_status st = FW_OK;
    for (size_t i = 0; i < n && st == FW_OK; i++, m->episode_files++) {
        fw_table t = {0};
        if ((st = store_read_whole(paths[i], &t, err)) != FW_OK) {
            break;
        }
        for (int64_t r = 0; r < t.rows; r++, e++) {
            place_episode(m, s, &t, r, e);
        }
        st = store_total_push_episodes(&m->total, &t, t.rows, err);
        st = st == FW_OK ? store_file(m->out, "meta/episodes", m->episode_files, to, err) : st;
        st = st == FW_OK ? make_folder(to, err) : st;
        st = st == FW_OK ? fw_table_write(to, &t, 10, NULL, 0, err) : st;
        fw_table_clear(&t);
    }
    fw_names_free(paths, n);
    return st;
}

static fw_status fits(const fw_dataset *as, const fw_dataset *ds, fw_err *err) {
    if (ds->version != 30) {
        return fw_fail(err, FW_UNSUPPORTED, "%s: v%d.%d, only v3.0 can be merged", ds->dir, ds->version / 10,
                       ds->version % 10);
    }
    if (fabs(ds->fps - as->fps) > 1e-9 || strcmp(ds->robot_type, as->robot_type) != 0 ||
        ds->n_features != as->n_features) {
        return fw_fail(err, FW_INVALID, "%s: %g fps of '%s' with %d features, wanted %g fps of '%s' with %d as in %s",
                       ds->dir, ds->fps, ds->robot_type, ds->n_features, as->fps, as->robot_type, as->n_features,
                       as->dir);
    }
    for (int i = 0; i < as->n_features; i++) {
        const fw_feature *a = &as->features[i], *b = &ds->features[i];
        bool same = strcmp(a->key, b->key) == 0 && strcmp(a->dtype, b->dtype) == 0 && a->n_shape == b->n_shape &&
                    memcmp(a->shape, b->shape, sizeof(a->shape)) == 0 && a->n_names == b->n_names;
        for (int k = 0; same && k < a->n_names; k++) {
            same = strcmp(a->names[k], b->names[k]) == 0;
        }
        if (!same) {
            return fw_fail(err, FW_INVALID,
                           "%s: feature %d is '%s' (%s), wanted '%s' (%s) with the same shape and names as in %s",
                           ds->dir, i, b->key, b->dtype, a->key, a->dtype, as->dir);
        }
    }
    return FW_OK;
}

static fw_status merge_source(merge *m, fw_dataset *ds, fw_err *err) {
    source s = {.ds = ds, .first_data = m->data_files};
    fw_status st = fits(m->as, ds, err);
    if (st == FW_OK && (s.index = calloc((size_t)ds->n_episodes * 3 + 1, sizeof(store_stats))) == NULL) {
        st = fw_fail(err, FW_NOMEM, "%s", ds->dir);
    }
    st = st == FW_OK ? map_tasks(m, &s, err) : st;
    st = st == FW_OK ? copy_videos(m, &s, err) : st;
    for (int f = 0; f < ds->n_data_files && st == FW_OK; f++) {
        st = merge_data_file(m, &s, f, err);
    }
    st = st == FW_OK ? merge_episode_files(m, &s, err) : st;
    m->episodes += ds->n_episodes;
    m->frames += ds->n_frames;
    for (int64_t i = 0; s.index != NULL && i < ds->n_episodes * 3; i++) {
        store_stats_clear(&s.index[i]);
    }
    free(s.index);
    free(s.task_map);
    free(s.video_map);
    return st;
}

/* info.json of the first source, with our paths. */
static fw_status start_info(merge *m, fw_err *err) {
    char path[STORE_PATH];
    FW_TRY(fw_path_join(path, sizeof(path), m->as->dir, "meta/info.json", err));
    FW_TRY(fw_json_load(path, &m->info, err));
    json_object_set_new(m->info, "chunks_size", json_integer(STORE_CHUNK_SIZE));
    json_object_set_new(m->info, "data_path",
                        json_string("data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"));
    if (m->as->n_cameras > 0) {
        json_object_set_new(m->info, "video_path",
                            json_string("videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"));
    }
    return FW_OK;
}

static fw_status write_meta(merge *m, fw_err *err) {
    char meta[STORE_PATH];
    FW_TRY(fw_path_join(meta, sizeof(meta), m->out, "meta", err));
    FW_TRY(fw_mkdirs(meta, err));
    FW_TRY(store_write_tasks(m->out, (const char *const *)m->tasks, m->n_tasks, err));
    FW_TRY(store_write_stats(m->out, &m->total, err));
    return store_write_info(m->out, m->info, m->episodes, m->frames, m->n_tasks, err);
}

/* Nothing is there, or an empty folder, which the rename replaces. */
static bool free_place(const char *path) {
    char **names = NULL;
    size_t n = 0;
    if (!fw_path_exists(path)) {
        return true;
    }
    bool empty = fw_path_is_dir(path) && fw_list_dir(path, &names, &n, NULL) == FW_OK && n == 0;
    fw_names_free(names, n);
    return empty;
}

fw_status fw_dataset_merge(const char *const *dirs, int n, const char *out, fw_err *err) {
    char tmp[STORE_PATH], place[STORE_PATH]; /* place: out without a slash at its end */
    merge m = {.out = tmp};
    fw_dataset **ds = calloc((size_t)n + 1, sizeof(*ds));
    fw_status st = FW_OK;
    if (ds == NULL || n < 1) {
        st = fw_fail(err, FW_INVALID, "%s: nothing to merge", out);
        goto done;
    }
    size_t length = strlen(out);
    while (length > 1 && out[length - 1] == '/') {
        length--;
    }
    if (snprintf(place, sizeof(place), "%.*s", (int)length, out) >= (int)sizeof(place) ||
        snprintf(tmp, sizeof(tmp), "%s.merging", place) >= (int)sizeof(tmp)) {
        st = fw_fail(err, FW_INVALID, "%s: path too long", out);
        goto done;
    }
    if (!free_place(place)) {
        st = fw_fail(err, FW_INVALID, "%s: is there already", out);
        goto done;
    }
    for (int i = 0; i < n && st == FW_OK; i++) {
        st = fw_dataset_open(dirs[i], &ds[i], err);
    }
    if (st != FW_OK || (st = fw_remove_tree(tmp, err)) != FW_OK || (st = fw_mkdirs(tmp, err)) != FW_OK) {
        goto done;
    }
    m.as = ds[0];
    st = start_info(&m, err);
    st = st == FW_OK ? store_total_init(&m.total, m.as->features, m.as->n_features, err) : st;
    for (int i = 0; i < n && st == FW_OK; i++) {
        st = merge_source(&m, ds[i], err);
    }
    st = st == FW_OK ? write_meta(&m, err) : st;
    st = st == FW_OK ? store_move(tmp, place, err) : st;
    if (st != FW_OK) {
        (void)!fw_remove_tree(tmp, NULL);
    }
done:
    for (int i = 0; i < n && ds != NULL; i++) {
        fw_dataset_close(ds[i]);
    }
    for (int i = 0; i < m.n_tasks; i++) {
        free(m.tasks[i]);
    }
    free(m.tasks);
    store_total_clear(&m.total);
    json_decref(m.info);
    free(ds);
    return st;
}
