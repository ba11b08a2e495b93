/*
 * copy.c - the copy itself (see copy.h): which episodes, under which numbers, and the metadata of the result.
 *
 * Every episode is gone through in order. Its numbers and statistics are worked out in any case; its rows and frames are
 * written unless the journal says that they are there. Metadata is kept in memory and written last.
 */
#include "data/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "data/cache.h"
#include "data/copy_int.h"
#include "data/deleted.h"
#include "data/replay.h"
#include "data/writer.h"

#define JOURNAL      ".journal"
#define EPISODE_ROWS 10000 /* rows of an episodes file */

/* The whole's statistics of one feature. */
typedef struct total {
    const fw_feature *f; /* borrowed from the first source */
    bool visual;
    stat_level level; /* what every episode has of it */
    double *v;        /* owned: numbers, rows that are finite; visual: [episodes][count, value...] */
    int64_t n, cap, width;
} total;

typedef struct text_list {
    char **item;
    int n;
} text_list;

typedef struct copy {
    const fw_copy_opts *o;
    copy_source *src;
    int n_src;
    const fw_dataset *as; /* the first source */
    char tmp[STORE_PATH];
    copy_out out;
    text_list tasks, subtasks;
    total *totals;
    int n_totals;
    fw_table eps;      /* v3.0: rows of meta/episodes */
    fw_table fields;   /* the columns that all sources' fields give */
    json_t *lines[2];  /* v2.1: arrays, of episodes.jsonl and episodes_stats.jsonl */
    copy_place *place; /* [n_episodes] */
    int64_t n_episodes, frames, done, journaled;
    int journal;         /* fd; -1: none */
    fw_deleted *deleted; /* of all sources */
} copy;

static fw_status nomem(const copy *c, fw_err *err) {
    return fw_fail(err, FW_NOMEM, "%s: out of memory", c->tmp);
}

/* --- sources that fit together --- */

static const fw_feature *find_feature(const fw_dataset *ds, const char *key) {
    for (int i = 0; i < ds->n_features; i++) {
        if (strcmp(ds->features[i].key, key) == 0) {
            return &ds->features[i];
        }
    }
    return NULL;
}

static bool same_feature(const fw_feature *a, const fw_feature *b) {
    bool same = b != NULL && strcmp(a->dtype, b->dtype) == 0 && a->n_shape == b->n_shape &&
                memcmp(a->shape, b->shape, sizeof(a->shape)) == 0 && a->n_names == b->n_names;
    for (int k = 0; same && k < a->n_names; k++) {
        same = strcmp(a->names[k], b->names[k]) == 0;
    }
    return same;
}

static fw_status fits(const fw_dataset *as, const fw_dataset *ds, fw_err *err) {
    if (fabs(ds->fps - as->fps) > 1e-9 || strcmp(ds->robot_type, as->robot_type) != 0 ||
        ds->n_features != as->n_features) {
        return fw_fail(err, FW_INVALID, "%s: %g fps of '%s' with %d features, wanted %g fps of '%s' with %d as in %s",
                       ds->dir, ds->fps, ds->robot_type, ds->n_features, as->fps, as->robot_type, as->n_features,
                       as->dir);
    }
    for (int i = 0; i < as->n_features; i++) {
        const fw_feature *a = &as->features[i];
        if (!same_feature(a, find_feature(ds, a->key))) {
            return fw_fail(err, FW_INVALID,
                           "%s: its feature '%s' is missing, or has another type, shape or names than in %s", ds->dir,
                           a->key, as->dir);
        }
    }
    return FW_OK;
}

/* The columns of meta/episodes that any source has beyond LeRobot's own. */
static fw_status join_fields(copy *c, fw_err *err) {
    for (int i = 0; i < c->n_src; i++) {
        const fw_table *t = &c->src[i].ds->priv->fields;
        for (int k = 0; k < t->n_cols; k++) {
            const fw_column *a = &t->cols[k], *b = fw_table_find(&c->fields, a->name);
            if (b == NULL) {
                fw_table_add_column(&c->fields, a->name, a->type, a->depth, a->depth == 0 ? 1 : -1);
            } else if (a->type != b->type || a->depth != b->depth) {
                return fw_fail(err, FW_INVALID, "%s: episodes' column '%s' has another type than in the sources before",
                               c->src[i].ds->dir, a->name);
            }
        }
    }
    return FW_OK;
}

/* --- sentences --- */

static int64_t intern(text_list *l, const char *text) {
    for (int i = 0; i < l->n; i++) {
        if (strcmp(l->item[i], text) == 0) {
            return i;
        }
    }
    char **more = realloc(l->item, (size_t)(l->n + 1) * sizeof(char *));
    if (more == NULL) {
        return -1;
    }
    l->item = more;
    return (more[l->n] = strdup(text)) != NULL ? l->n++ : -1;
}

/* Sentences of a source that is taken whole keep their order. */
static fw_status map_whole(copy *c, copy_source *s, fw_err *err) {
    for (int i = 0; s->whole && i < s->ds->n_tasks; i++) {
        if ((s->task_map[i] = intern(&c->tasks, s->ds->tasks[i])) < 0) {
            return nomem(c, err);
        }
    }
    for (int i = 0; s->whole && i < s->ds->n_subtasks; i++) {
        if ((s->subtask_map[i] = intern(&c->subtasks, s->ds->subtasks[i])) < 0) {
            return nomem(c, err);
        }
    }
    return FW_OK;
}

/* New numbers of the sentences that rows of column `key` name. out [length]. */
static fw_status map_column(copy *c, copy_source *s, int64_t e, const char *key, char *const *text, int n_text,
                            int64_t *map, text_list *list, int64_t *out, fw_err *err) {
    const fw_episode_info *i = &s->ds->episodes[e];
    const fw_column *col = fw_table_find(&s->rows, key);
    if (col == NULL || col->width != 1) {
        return fw_fail(err, FW_FORMAT, "%s: wanted a column '%s' of numbers", s->ds->data_files[i->data_file], key);
    }
    for (int64_t t = 0; t < i->length; t++) {
        int64_t v = fw_column_i64(col, i->data_row + t);
        if (v < 0 || v >= n_text) {
            return fw_fail(err, FW_FORMAT, "%s: ep %lld: frame %lld: %s is %lld, there are %d sentences",
                           s->ds->data_files[i->data_file], (long long)i->index, (long long)t, key, (long long)v,
                           n_text);
        }
        if (map[v] < 0 && (map[v] = intern(list, text[v])) < 0) {
            return nomem(c, err);
        }
        out[t] = map[v];
    }
    return FW_OK;
}

/* --- numbers of an episode --- */

enum { COL_INDEX, COL_EPISODE, COL_TASK, COL_SUBTASK, COL_FRAME, COL_TIME, COLS };
static const char *const col_names[COLS] = {"index",         "episode_index", "task_index",
                                            "subtask_index", "frame_index",   "timestamp"};

/* The columns that episode k, e of s, gets. v [COLS][length]: owned by the caller. */
static fw_status number_rows(copy *c, copy_source *s, int64_t e, int64_t k, double *v, fw_pq_column *other, int *n,
                             fw_err *err) {
    const fw_episode_info *i = &s->ds->episodes[e];
    int64_t *at[COLS];
    for (int j = 0; j < COLS; j++) {
        at[j] = (int64_t *)(void *)(v + j * i->length);
    }
    FW_TRY(map_column(c, s, e, "task_index", s->ds->tasks, s->ds->n_tasks, s->task_map, &c->tasks, at[COL_TASK], err));
    bool subtasks = (s->ds->marks & FW_MARK_SUBTASK) != 0;
    if (subtasks) {
        FW_TRY(map_column(c, s, e, "subtask_index", s->ds->subtasks, s->ds->n_subtasks, s->subtask_map, &c->subtasks,
                          at[COL_SUBTASK], err));
    }
    for (int64_t t = 0; t < i->length; t++) {
        at[COL_INDEX][t] = c->frames + t;
        at[COL_EPISODE][t] = k;
        at[COL_FRAME][t] = t;
        v[COL_TIME * i->length + t] = (double)t / s->ds->fps;
    }
    *n = 0;
    for (int j = 0; j < COLS; j++) {
        bool want = j == COL_SUBTASK ? subtasks
                    : j == COL_FRAME ? c->o->fix_numbers
                    : j == COL_TIME  ? c->o->fix_times
                                     : true;
        if (want) {
            other[(*n)++] = (fw_pq_column){.name = col_names[j],
                                           .i64 = j == COL_TIME ? NULL : at[j],
                                           .f64 = j == COL_TIME ? v + j * i->length : NULL};
        }
    }
    return FW_OK;
}

/* Rows of a source must be those of its episode: an error here is better than a copy that hides it. */
static fw_status check_rows(const copy *c, const copy_source *s, int64_t e, fw_err *err) {
    const fw_episode_info *i = &s->ds->episodes[e];
    const fw_column *frame = fw_table_find(&s->rows, "frame_index"),
                    *episode = fw_table_find(&s->rows, "episode_index");
    for (int64_t t = 0; frame != NULL && episode != NULL && !c->o->fix_numbers && t < i->length; t++) {
        int64_t f = fw_column_i64(frame, i->data_row + t), ep = fw_column_i64(episode, i->data_row + t);
        if (f != t || ep != i->index) {
            return fw_fail(err, FW_FORMAT, "%s: row %lld: wanted ep %lld frame %lld, found ep %lld frame %lld",
                           s->ds->data_files[i->data_file], (long long)(i->data_row + t), (long long)i->index,
                           (long long)t, (long long)ep, (long long)f);
        }
    }
    return FW_OK;
}

/* --- statistics --- */

static double *total_room(total *t, int64_t n) {
    if (t->n + n > t->cap) {
        int64_t cap = t->n + n > 2 * t->cap ? t->n + n : 2 * t->cap;
        double *v = realloc(t->v, (size_t)cap * sizeof(double));
        if (v == NULL) {
            return NULL;
        }
        t->v = v;
        t->cap = cap;
    }
    t->n += n;
    return t->v + t->n - n;
}

/* The replaced column of that name, or NULL. */
static const fw_pq_column *replaced(const fw_pq_column *other, int n, const char *key) {
    for (int i = 0; i < n; i++) {
        if (strcmp(other[i].name, key) == 0) {
            return &other[i];
        }
    }
    return NULL;
}

/* The values of a number feature over the episode, rows that are not finite left out, appended to the total's. */
static fw_status push_values(total *t, copy_source *s, const fw_episode_info *i, const fw_pq_column *other,
                             double **first, int64_t *rows, fw_err *err) {
    const fw_column *c = fw_table_find(&s->rows, t->f->key);
    if (other == NULL && (c == NULL || c->width != t->f->size)) {
        return fw_fail(err, FW_SHAPE, "%s: wanted a column '%s' of %lld numbers, found %lld",
                       s->ds->data_files[i->data_file], t->f->key, (long long)t->f->size,
                       c == NULL ? 0ll : (long long)c->width);
    }
    int64_t w = t->f->size, before = t->n;
    double *to = total_room(t, i->length * w);
    if (to == NULL) {
        return fw_fail(err, FW_NOMEM, "statistics of %s", t->f->key);
    }
    *first = to;
    *rows = 0;
    for (int64_t r = 0; r < i->length; r++) {
        bool finite = true;
        for (int64_t d = 0; d < w; d++) {
            double v = other == NULL        ? fw_column_f64(c, (i->data_row + r) * w + d)
                       : other->i64 != NULL ? (double)other->i64[r]
                                            : (double)(float)other->f64[r];
            to[*rows * w + d] = v;
            finite = finite && isfinite(v);
        }
        *rows += finite;
    }
    t->n = before + *rows * w;
    return FW_OK;
}

/* The statistics of feature t over episode e of s; the whole's grow. */
static fw_status episode_stats(const copy *c, total *t, copy_source *s, int64_t e, const fw_pq_column *other,
                               store_stats *out, fw_err *err) {
    const fw_episode_info *i = &s->ds->episodes[e];
    stat_level level;
    FW_TRY(copy_source_stats(s, e, t->f, &level, out, err));
    if (t->visual) {
        double *to = level == STAT_NONE ? NULL : total_room(t, 1 + out->n * STORE_STATS);
        if (to != NULL) {
            to[0] = (double)out->count;
            memcpy(to + 1, out->value, (size_t)(out->n * STORE_STATS) * sizeof(double));
        }
        return level == STAT_NONE || to != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "statistics of %s", t->f->key);
    }
    double *first = NULL;
    int64_t rows = 0;
    FW_TRY(push_values(t, s, i, other, &first, &rows, err));
    if (other == NULL && level == STAT_FULL && !c->o->fix_stats) {
        return FW_OK; /* what the source says */
    }
    store_stats_clear(out);
    if (rows > 0) {
        return store_stats_of(first, rows, t->f->size, out, err);
    }
    *out = (store_stats){.n = t->f->size, .value = calloc((size_t)t->f->size * STORE_STATS + 1, sizeof(double))};
    for (int64_t k = 0; out->value != NULL && k < out->n * STORE_STATS; k++) {
        out->value[k] = (double)NAN;
    }
    return out->value != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "statistics of %s", t->f->key);
}

/* What every chosen episode has of the pictures' statistics, and how many channels they are of. */
static fw_status init_totals(copy *c, fw_err *err) {
    c->totals = calloc((size_t)c->as->n_features + 1, sizeof(total));
    if (c->totals == NULL) {
        return nomem(c, err);
    }
    for (int f = 0; f < c->as->n_features; f++) {
        const fw_feature *feature = &c->as->features[f];
        total *t = &c->totals[c->n_totals];
        *t = (total){.f = feature, .visual = copy_is_visual(feature), .level = STAT_FULL, .width = feature->size};
        if (!t->visual && !copy_is_number(feature)) {
            continue;
        }
        c->n_totals++;
        for (int i = 0; i < c->n_src && t->visual; i++) {
            for (int64_t k = 0; k < c->src[i].n; k++) {
                stat_level level;
                store_stats s;
                FW_TRY(copy_source_stats(&c->src[i], c->src[i].episodes[k], feature, &level, &s, err));
                t->width = s.n > 0 ? s.n : t->width;
                t->level = level < t->level ? level : t->level;
                store_stats_clear(&s);
            }
        }
    }
    return FW_OK;
}

/* Pictures of all episodes: mean, std, min, max exactly; quantiles as the weighted mean of the episodes'. */
static void join_visual(const total *t, store_stats *out) {
    int64_t row = 1 + t->width * STORE_STATS, episodes = t->n / row;
    double count = 0.0;
    for (int64_t e = 0; e < episodes; e++) {
        count += t->v[e * row];
    }
    out->count = (int64_t)count;
    for (int64_t ch = 0; ch < t->width; ch++) {
        double *o = out->value + ch, second = 0.0;
        int64_t w = t->width;
        for (int64_t e = 0; e < episodes; e++) {
            const double *v = t->v + e * row + 1 + ch;
            double share = t->v[e * row] / count;
            o[0] = e == 0 ? v[0] : fmin(o[0], v[0]);
            o[w] = e == 0 ? v[w] : fmax(o[w], v[w]);
            o[2 * w] += share * v[2 * w];
            second += share * (v[3 * w] * v[3 * w] + v[2 * w] * v[2 * w]);
            for (int q = 4; q < STORE_STATS; q++) {
                o[q * w] += share * v[q * w];
            }
        }
        o[3 * w] = sqrt(fmax(0.0, second - o[2 * w] * o[2 * w]));
    }
}

static fw_status write_stats(const copy *c, fw_err *err) {
    char path[STORE_PATH];
    fw_status st = fw_path_join(path, sizeof(path), c->tmp, "meta/stats.json", err);
    json_t *all = json_object();
    for (int i = 0; i < c->n_totals && st == FW_OK; i++) {
        const total *t = &c->totals[i];
        store_stats s = {.n = t->width};
        if (t->n == 0 || t->level == STAT_NONE) {
            continue;
        }
        if (t->visual) {
            s.value = calloc((size_t)t->width * STORE_STATS + 1, sizeof(double));
            st = s.value != NULL ? FW_OK : nomem(c, err);
            if (st == FW_OK) {
                join_visual(t, &s);
            }
        } else {
            st = store_stats_of(t->v, t->n / t->width, t->width, &s, err);
        }
        if (st == FW_OK) {
            json_object_set_new(all, t->f->key, store_stats_json(&s, t->visual, t->level == STAT_FULL));
        }
        store_stats_clear(&s);
    }
    st = st == FW_OK ? fw_json_save(path, all, 4, err) : st;
    json_decref(all);
    return st;
}

/* --- rows of meta/episodes, v3.0 --- */

static void add_stat_columns(fw_table *t, const total *x) {
    bool integer = strncmp(x->f->dtype, "int", 3) == 0 || strncmp(x->f->dtype, "uint", 4) == 0;
    char name[512];
    for (int k = 0; k < (x->level == STAT_FULL ? STORE_STATS : 4) && x->level != STAT_NONE; k++) {
        snprintf(name, sizeof(name), "stats/%s/%s", x->f->key, store_stat_names[k]);
        fw_table_add_column(t, name, integer && k < 2 ? FW_COL_I64 : FW_COL_F64, x->visual ? 3 : 1, x->width);
    }
    if (x->level != STAT_NONE) {
        snprintf(name, sizeof(name), "stats/%s/count", x->f->key);
        fw_table_add_column(t, name, FW_COL_I64, 1, 1);
    }
}

static void episode_columns(copy *c) {
    static const char *const index[] = {"length", "data/chunk_index", "data/file_index", "dataset_from_index",
                                        "dataset_to_index"};
    static const char *const part[] = {"chunk_index", "file_index", "from_timestamp", "to_timestamp"};
    char name[512];
    fw_table *t = &c->eps;
    fw_table_add_column(t, "episode_index", FW_COL_I64, 0, 1);
    fw_table_add_column(t, "tasks", FW_COL_STR, 1, -1);
    for (int i = 0; i < 5; i++) {
        fw_table_add_column(t, index[i], FW_COL_I64, 0, 1);
    }
    for (int k = 0; k < c->as->n_visual; k++) {
        for (int i = 0; i < 4 && !c->as->cameras[k].in_rows; i++) {
            snprintf(name, sizeof(name), "videos/%s/%s", c->as->cameras[k].key, part[i]);
            fw_table_add_column(t, name, i < 2 ? FW_COL_I64 : FW_COL_F64, 0, 1);
        }
    }
    for (int i = 0; i < c->fields.n_cols; i++) {
        const fw_column *f = &c->fields.cols[i];
        fw_table_add_column(t, f->name, f->type, f->depth, f->width);
    }
    for (int i = 0; i < c->n_totals; i++) {
        add_stat_columns(t, &c->totals[i]);
    }
    fw_table_add_column(t, "meta/episodes/chunk_index", FW_COL_I64, 0, 1);
    fw_table_add_column(t, "meta/episodes/file_index", FW_COL_I64, 0, 1);
}

/* One row of column `to` of t: row `row` of `from`, or what stands for unknown when the source has no such column. */
static fw_status push_field(fw_table *t, int to, const fw_column *from, int64_t row, const char *where, fw_err *err) {
    const fw_column *c = &t->cols[to];
    if (from == NULL) {
        const char *none = "";
        double nan = (double)NAN;
        int64_t unknown = -1;
        bool success = strcmp(c->name, STORE_PROVENANCE "success") == 0;
        if (c->depth > 0) {
            fw_table_push_f64(t, to, NULL, 0);
        } else if (c->type == FW_COL_STR) {
            fw_table_push_str(t, to, &none, 1);
        } else if (c->type == FW_COL_F64 || c->type == FW_COL_F32) {
            fw_table_push_f64(t, to, &nan, 1);
        } else if (success) {
            fw_table_push_i64(t, to, &unknown, 1);
        } else {
            return fw_fail(err, FW_INVALID,
                           "%s: its episodes have no column '%s', and a whole number has no value for unknown", where,
                           c->name);
        }
        return FW_OK;
    }
    int64_t first, n;
    fw_column_row(from, row, &first, &n);
    if (c->type == FW_COL_STR) {
        fw_table_push_str(t, to, (const char *const *)from->str + first, n);
        return FW_OK;
    }
    double *f = calloc((size_t)n + 1, sizeof(double));
    int64_t *v = calloc((size_t)n + 1, sizeof(int64_t));
    for (int64_t i = 0; f != NULL && v != NULL && i < n; i++) {
        f[i] = fw_column_f64(from, first + i);
        v[i] = fw_column_i64(from, first + i);
    }
    if (f != NULL && v != NULL && (c->type == FW_COL_F64 || c->type == FW_COL_F32)) {
        fw_table_push_f64(t, to, f, n);
    } else if (f != NULL && v != NULL) {
        fw_table_push_i64(t, to, v, n);
    }
    bool ok = f != NULL && v != NULL;
    free(f);
    free(v);
    return ok ? FW_OK : fw_fail(err, FW_NOMEM, "%s", where);
}

static fw_status push_row(copy *c, const copy_source *s, int64_t e, int64_t k, const store_stats *stats, fw_err *err) {
    const fw_episode_info *i = &s->ds->episodes[e];
    const copy_place *p = &c->place[k];
    fw_table *t = &c->eps;
    int col = 0;
    int64_t file = k / EPISODE_ROWS,
            index[] = {i->length, p->data / STORE_CHUNK_SIZE, p->data % STORE_CHUNK_SIZE, c->frames,
                       c->frames + i->length},
            meta[2] = {file / STORE_CHUNK_SIZE, file % STORE_CHUNK_SIZE};
    fw_table_push_i64(t, col++, &k, 1);
    fw_table_push_str(t, col++, (const char *const *)i->tasks, i->n_tasks);
    for (int j = 0; j < 5; j++) {
        fw_table_push_i64(t, col++, &index[j], 1);
    }
    for (int v = 0; v < c->as->n_visual; v++) {
        if (c->as->cameras[v].in_rows) {
            continue;
        }
        if (p->video[v] < 0) {
            return fw_fail(err, FW_FORMAT, "%s: ep %lld: no video of %s", s->ds->dir, (long long)i->index,
                           c->as->cameras[v].key);
        }
        int64_t at[2] = {p->video[v] / STORE_CHUNK_SIZE, p->video[v] % STORE_CHUNK_SIZE};
        fw_table_push_i64(t, col++, &at[0], 1);
        fw_table_push_i64(t, col++, &at[1], 1);
        fw_table_push_f64(t, col++, &p->from_s[v], 1);
        fw_table_push_f64(t, col++, &p->to_s[v], 1);
    }
    for (int f = 0; f < c->fields.n_cols; f++) {
        FW_TRY(push_field(t, col++, fw_table_find(&s->ds->priv->fields, c->fields.cols[f].name), e, s->ds->dir, err));
    }
    for (int f = 0; f < c->n_totals; f++) {
        const total *x = &c->totals[f];
        for (int j = 0; j < (x->level == STAT_FULL ? STORE_STATS : 4) && x->level != STAT_NONE; j++) {
            fw_table_push_f64(t, col++, stats[f].value + j * stats[f].n, stats[f].n);
        }
        if (x->level != STAT_NONE) {
            fw_table_push_i64(t, col++, &stats[f].count, 1);
        }
    }
    fw_table_push_i64(t, col++, &meta[0], 1);
    fw_table_push_i64(t, col++, &meta[1], 1);
    t->rows++;
    return FW_OK;
}

static fw_status write_episodes(copy *c, fw_err *err) {
    char path[STORE_PATH], folder[STORE_PATH];
    for (int64_t a = 0, file = 0; a < c->eps.rows; a += EPISODE_ROWS, file++) {
        fw_table part;
        FW_TRY(store_file(c->tmp, "meta/episodes", file, path, err));
        snprintf(folder, sizeof(folder), "%s", path);
        *strrchr(folder, '/') = 0;
        FW_TRY(fw_mkdirs(folder, err));
        fw_table_view(&c->eps, a, a + EPISODE_ROWS < c->eps.rows ? a + EPISODE_ROWS : c->eps.rows, &part);
        fw_status st = fw_table_write(path, &part, 10, NULL, 0, err);
        fw_table_view_clear(&part);
        FW_TRY(st);
    }
    return FW_OK;
}

/* --- lines of meta/episodes.jsonl, v2.1 --- */

static json_t *field_json(const fw_column *c, int64_t row) {
    int64_t first, n;
    fw_column_row(c, row, &first, &n);
    json_t *a = json_array();
    for (int64_t i = first; i < first + n; i++) {
        double f = fw_column_f64(c, i);
        bool real = c->type == FW_COL_F64 || c->type == FW_COL_F32;
        json_array_append_new(a, c->type == FW_COL_STR    ? json_string(c->str[i])
                                 : c->type == FW_COL_BOOL ? json_boolean(c->b[i])
                                 : real && isfinite(f)    ? json_real(f)
                                 : real                   ? json_null()
                                                          : json_integer(fw_column_i64(c, i)));
    }
    if (c->depth > 0) {
        return a;
    }
    json_t *v = json_incref(json_array_get(a, 0));
    json_decref(a);
    return v;
}

static fw_status push_line(copy *c, const copy_source *s, int64_t e, int64_t k, const store_stats *stats, fw_err *err) {
    const fw_episode_info *i = &s->ds->episodes[e];
    json_t *tasks = json_array(), *all = json_object();
    for (int t = 0; t < i->n_tasks; t++) {
        json_array_append_new(tasks, json_string(i->tasks[t]));
    }
    json_t *line =
        json_pack("{s:I, s:o, s:I}", "episode_index", (json_int_t)k, "tasks", tasks, "length", (json_int_t)i->length);
    for (int f = 0; f < s->ds->priv->fields.n_cols && line != NULL; f++) {
        const fw_column *col = &s->ds->priv->fields.cols[f];
        json_object_set_new(line, col->name, field_json(col, e));
    }
    for (int f = 0; f < c->n_totals; f++) {
        const total *x = &c->totals[f];
        if (x->level != STAT_NONE && stats[f].count > 0) {
            json_object_set_new(all, x->f->key, store_stats_json(&stats[f], x->visual, false));
        }
    }
    json_t *second = json_pack("{s:I, s:o}", "episode_index", (json_int_t)k, "stats", all);
    if (line == NULL || second == NULL || json_array_append_new(c->lines[0], line) != 0 ||
        json_array_append_new(c->lines[1], second) != 0) {
        return fw_fail(err, FW_INVALID, "%s: ep %lld: its text is not UTF-8", s->ds->dir, (long long)i->index);
    }
    return FW_OK;
}

static fw_status write_lines(const copy *c, const char *name, const json_t *lines, fw_err *err) {
    char path[STORE_PATH], *text = NULL;
    size_t size = 0, i;
    json_t *j;
    FW_TRY(fw_path_join(path, sizeof(path), c->tmp, name, err));
    FILE *f = open_memstream(&text, &size);
    if (f == NULL) {
        return nomem(c, err);
    }
    json_array_foreach(lines, i, j) {
        (void)json_dumpf(j, f, 0);
        fputc('\n', f);
    }
    fclose(f);
    fw_status st = fw_file_write_atomic(path, text, size, err);
    free(text);
    return st;
}

static json_t *sentences(const text_list *l, const char *number, const char *text) {
    json_t *a = json_array();
    for (int i = 0; i < l->n; i++) {
        json_array_append_new(a, json_pack("{s:i, s:s}", number, i, text, l->item[i]));
    }
    return a;
}

/* --- info.json --- */

static json_t *text_or_null(const char *text) {
    return text != NULL ? json_string(text) : json_null();
}

static void set_info_v30(const copy *c, json_t *info) {
    const char *key;
    json_t *f, *features = json_object_get(info, "features");
    json_object_del(info, "total_chunks");
    json_object_del(info, "total_videos");
    json_object_set_new(info, "codebase_version", json_string("v3.0"));
    json_object_set_new(info, "data_files_size_in_mb", json_integer(c->out.data_mb));
    json_object_set_new(info, "video_files_size_in_mb", json_integer(c->out.video_mb));
    json_object_set_new(info, "data_path", json_string("data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"));
    json_object_set_new(info, "video_path",
                        text_or_null(fw_dataset_videos(c->as) > 0
                                         ? "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
                                         : NULL));
    json_object_foreach(features, key, f) {
        if (c->as->version == 21 && strcmp(json_string_value(json_object_get(f, "dtype")), "video") != 0) {
            json_object_set_new(f, "fps", json_integer((json_int_t)llround(c->as->fps)));
        }
    }
}

static void set_info_v21(const copy *c, json_t *info) {
    const char *key;
    json_t *f, *features = json_object_get(info, "features");
    json_object_del(info, "data_files_size_in_mb");
    json_object_del(info, "video_files_size_in_mb");
    json_object_set_new(info, "codebase_version", json_string("v2.1"));
    json_object_set_new(info, "total_videos", json_integer(c->n_episodes * fw_dataset_videos(c->as)));
    json_object_set_new(info, "total_chunks", json_integer((c->n_episodes + STORE_CHUNK_SIZE - 1) / STORE_CHUNK_SIZE));
    json_object_set_new(info, "data_path",
                        json_string("data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"));
    json_object_set_new(
        info, "video_path",
        text_or_null(fw_dataset_videos(c->as) > 0
                         ? "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
                         : NULL));
    json_object_foreach(features, key, f) {
        if (strcmp(json_string_value(json_object_get(f, "dtype")), "video") != 0) {
            json_object_del(f, "fps");
        }
    }
}

static fw_status write_info(const copy *c, fw_err *err) {
    char path[STORE_PATH];
    json_t *info;
    FW_TRY(fw_path_join(path, sizeof(path), c->as->dir, "meta/info.json", err));
    FW_TRY(fw_json_load(path, &info, err));
    json_object_set_new(info, "chunks_size", json_integer(STORE_CHUNK_SIZE));
    json_object_set_new(info, "fps", json_integer((json_int_t)llround(c->as->fps)));
    if (c->out.version == 30) {
        set_info_v30(c, info);
    } else {
        set_info_v21(c, info);
    }
    fw_status st = store_write_info(c->tmp, info, c->n_episodes, c->frames, c->tasks.n, err);
    json_decref(info);
    return st;
}

static fw_status write_meta(copy *c, fw_err *err) {
    char meta[STORE_PATH];
    FW_TRY(fw_path_join(meta, sizeof(meta), c->tmp, "meta", err));
    FW_TRY(fw_mkdirs(meta, err));
    if (c->out.version == 30) {
        FW_TRY(write_episodes(c, err));
        FW_TRY(store_write_tasks(c->tmp, (const char *const *)c->tasks.item, c->tasks.n, err));
        if (c->subtasks.n > 0) {
            FW_TRY(store_write_subtasks(c->tmp, (const char *const *)c->subtasks.item, c->subtasks.n, err));
        }
        FW_TRY(write_stats(c, err));
        return write_info(c, err);
    }
    json_t *tasks = sentences(&c->tasks, "task_index", "task"),
           *subtasks = sentences(&c->subtasks, "subtask_index", "subtask");
    fw_status st = write_lines(c, "meta/tasks.jsonl", tasks, err);
    st = st == FW_OK && c->subtasks.n > 0 ? write_lines(c, "meta/subtasks.jsonl", subtasks, err) : st;
    st = st == FW_OK ? write_lines(c, "meta/episodes.jsonl", c->lines[0], err) : st;
    st = st == FW_OK ? write_lines(c, "meta/episodes_stats.jsonl", c->lines[1], err) : st;
    json_decref(tasks);
    json_decref(subtasks);
    return st == FW_OK ? write_info(c, err) : st;
}

/* --- the journal: what is finished in the folder where the copy is built --- */

/* The copy's name: sources as they are now, the chosen episodes, the kind of result. */
static fw_status job_name(const copy *c, char out[65], fw_err *err) {
    char *text = NULL, id[65];
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (f == NULL) {
        return nomem(c, err);
    }
    fprintf(f, "v%d %d %d %d%d%d%d%d\n", c->out.version, c->out.data_mb, c->out.video_mb, c->o->fix_numbers,
            c->o->fix_times, c->o->fix_stats, c->o->recode, c->o->link_videos);
    fw_status st = FW_OK;
    for (int i = 0; i < c->n_src && st == FW_OK; i++) {
        st = fw_dataset_identity(c->src[i].ds, id, err);
        fprintf(f, "%s %s\n", c->src[i].ds->dir, st == FW_OK ? id : "");
        for (int64_t k = 0; k < c->src[i].n; k++) {
            fprintf(f, "%lld ", (long long)c->src[i].episodes[k]);
        }
    }
    fclose(f);
    fw_sha256_hex(text, size, out);
    free(text);
    return st;
}

static json_t *place_json(const copy *c, int64_t k) {
    json_t *video = json_array();
    for (int v = 0; v < c->as->n_visual; v++) {
        const copy_place *p = &c->place[k];
        json_array_append_new(video, json_pack("[I, f, f]", (json_int_t)p->video[v], p->from_s[v], p->to_s[v]));
    }
    return json_pack("{s:I, s:I, s:o}", "ep", (json_int_t)k, "data", (json_int_t)c->place[k].data, "video", video);
}

/* Lines for the episodes before `k` whose files are complete now. */
static fw_status journal_to(copy *c, int64_t k, fw_err *err) {
    for (; c->journaled < k; c->journaled++) {
        json_t *j = place_json(c, c->journaled);
        char *text = j != NULL ? json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
        bool ok = text != NULL && dprintf(c->journal, "%s\n", text) > 0;
        free(text);
        json_decref(j);
        if (!ok) {
            return fw_fail(err, FW_IO, "%s/%s: %s", c->tmp, JOURNAL, strerror(errno));
        }
    }
    return fsync(c->journal) == 0 ? FW_OK : fw_fail(err, FW_IO, "%s/%s: fsync: %s", c->tmp, JOURNAL, strerror(errno));
}

/* File number `at` can follow `last` (-1: none yet): the same file or the next; v2.1: the episode's own. */
static bool file_follows(const copy *c, int64_t k, int64_t last, int64_t at) {
    return c->out.version == 21 ? at == k : at == last || at == last + 1;
}

/* What a line says of episode k; false: this copy would not have written that, or the files are not there. */
static bool read_place(const copy *c, int64_t k, const json_t *j, copy_place *at) {
    const json_t *video = json_object_get(j, "video");
    const copy_place *last = k > 0 ? &c->place[k - 1] : NULL;
    at->data = json_is_integer(json_object_get(j, "data")) ? json_integer_value(json_object_get(j, "data")) : -1;
    bool good = json_is_integer(json_object_get(j, "ep")) && json_integer_value(json_object_get(j, "ep")) == k &&
                at->data >= 0 && file_follows(c, k, last != NULL ? last->data : -1, at->data) &&
                copy_out_has(&c->out, NULL, at->data);
    for (int v = 0; v < c->as->n_visual && good; v++) {
        const json_t *x = json_array_get(video, (size_t)v);
        at->video[v] = json_is_integer(json_array_get(x, 0)) ? json_integer_value(json_array_get(x, 0)) : -2;
        at->from_s[v] = json_number_value(json_array_get(x, 1));
        at->to_s[v] = json_number_value(json_array_get(x, 2));
        if (at->video[v] == -1) {
            continue; /* it has none */
        }
        good = at->video[v] >= 0 && file_follows(c, k, last != NULL ? last->video[v] : -1, at->video[v]) &&
               at->from_s[v] >= 0.0 && at->to_s[v] > at->from_s[v] && isfinite(at->to_s[v]) &&
               copy_out_has(&c->out, c->as->cameras[v].key, at->video[v]);
    }
    return good;
}

/* Take what the journal's lines say, up to the first that is not whole. */
static void read_places(copy *c, const char *text) {
    for (const char *p = strchr(text, '\n'); p != NULL && p[1] != 0 && c->done < c->n_episodes;) {
        size_t n = strcspn(++p, "\n");
        json_t *j = NULL;
        copy_place *at = &c->place[c->done];
        bool good = p[n] == '\n' && fw_json_parse(p, n, JOURNAL, &j, NULL) == FW_OK && read_place(c, c->done, j, at);
        json_decref(j);
        if (!good) {
            return;
        }
        c->done++;
        c->out.data_file = at->data + 1;
        for (int v = 0; v < c->as->n_visual; v++) {
            c->out.video_file[v] = at->video[v] + 1;
        }
        p += n;
    }
}

/* The files that the last finished episode lies in may be links, in which the next one lies too. */
static void go_on_in_links(copy *c) {
    int64_t k = c->done - 1;
    int i = 0;
    while (i < c->n_src - 1 && k >= c->src[i].n) {
        k -= c->src[i++].n;
    }
    const copy_source *s = &c->src[i];
    for (int v = 0; v < c->as->n_visual && c->done > 0 && s->link != NULL; v++) {
        int cam = fw_dataset_camera(s->ds, c->as->cameras[v].key),
            file = s->ds->episodes[s->episodes[k]].video[cam].file;
        c->out.linked[v] = file >= 0 && s->link[file] ? s->ds->video_files[file] : NULL;
    }
}

/* Go on in the folder of an earlier run of this very copy, or begin with an empty one. */
static fw_status open_journal(copy *c, fw_err *err) {
    char path[STORE_PATH], name[65], *text = NULL;
    size_t size = 0;
    FW_TRY(fw_path_join(path, sizeof(path), c->tmp, JOURNAL, err));
    FW_TRY(job_name(c, name, err));
    if (c->o->resume && fw_path_exists(path)) {
        FW_TRY(fw_file_read(path, 1u << 30, &text, &size, err));
        if (strncmp(text, name, 64) == 0 && text[64] == '\n') {
            read_places(c, text);
            go_on_in_links(c);
        }
        free(text);
    }
    if (c->done == 0) {
        FW_TRY(fw_remove_tree(c->tmp, err));
        FW_TRY(fw_mkdirs(c->tmp, err));
    }
    c->journaled = 0;
    c->journal = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (c->journal < 0 || dprintf(c->journal, "%s\n", name) < 0) {
        return fw_fail(err, FW_IO, "%s: %s", path, strerror(errno));
    }
    return journal_to(c, c->done, err); /* without what was cut off at its end */
}

/* --- the copy --- */

/* Whose rows were deleted elsewhere is not copied, whatever it is called now. */
static fw_status refuse_rows(const copy *c, const copy_source *s, int64_t e, fw_err *err) {
    const fw_episode_info *i = &s->ds->episodes[e];
    const fw_feature *f[2] = {s->ds->state, s->ds->action};
    float *x[2] = {NULL, NULL};
    fw_status st = FW_OK;
    for (int k = 0; k < 2 && fw_deleted_rules(c->deleted) > 0 && st == FW_OK; k++) {
        const fw_column *col = f[k] != NULL ? fw_table_find(&s->rows, f[k]->key) : NULL;
        int64_t n = f[k] != NULL ? i->length * f[k]->size : 0;
        if ((x[k] = calloc((size_t)n + 1, sizeof(float))) == NULL) {
            st = nomem(c, err);
        } else if (f[k] != NULL && (col == NULL || col->width != f[k]->size)) {
            st = fw_fail(err, FW_SHAPE, "%s: wanted a column '%s' of %lld numbers", s->ds->data_files[i->data_file],
                         f[k]->key, (long long)f[k]->size);
        }
        for (int64_t v = 0; v < n && st == FW_OK; v++) {
            x[k][v] = (float)fw_column_f64(col, i->data_row * f[k]->size + v);
        }
    }
    if (st == FW_OK && fw_deleted_rules(c->deleted) > 0) {
        st = fw_deleted_refuse_rows(c->deleted, s->ds->dir, i->index, x[0], x[1], i->length, s->ds->n_state,
                                    s->ds->n_action, err);
    }
    free(x[0]);
    free(x[1]);
    return st;
}

/* Where the frames of e are, camera by camera of the first source; encoded again when they cannot be copied alone. */
static fw_status find_frames(const copy *c, const copy_source *s, int64_t e, int64_t k,
                             char recoded[FW_MAX_CAMERAS][STORE_PATH], copy_frames *out, fw_err *err) {
    for (int v = 0; v < c->as->n_visual; v++) {
        bool alone = true;
        int64_t n = s->ds->episodes[e].length;
        int cam = fw_dataset_camera(s->ds, c->as->cameras[v].key), file = s->ds->episodes[e].video[cam].file;
        recoded[v][0] = 0;
        out->file[v] = fw_dataset_video(s->ds, e, cam, &out->from_s[v]);
        out->to_s[v] = s->ds->episodes[e].video[cam].to_s;
        out->link[v] = s->link != NULL && file >= 0 && s->link[file];
        if (out->file[v] != NULL && !out->link[v] && c->o->recode &&
            v < c->as->n_cameras) { /* depth would not survive it */
            FW_TRY(fw_video_stands_alone(out->file[v], out->from_s[v], n, &alone, err));
        }
        if (!alone) {
            if (snprintf(recoded[v], STORE_PATH, "%s/.recoded-%lld-%d.mp4", c->tmp, (long long)k, v) >= STORE_PATH) {
                return fw_fail(err, FW_INVALID, "%s: path too long", c->tmp);
            }
            FW_TRY(fw_video_recode(recoded[v], out->file[v], out->from_s[v], n, s->ds->fps, err));
            out->file[v] = recoded[v];
            out->from_s[v] = 0.0;
        }
    }
    return FW_OK;
}

/* Rows and frames of episode k, e of s, into the open files or new ones. */
static fw_status copy_contents(copy *c, copy_source *s, int64_t e, int64_t k, const fw_pq_column *other, int n_other,
                               fw_err *err) {
    char(*recoded)[STORE_PATH] = calloc(FW_MAX_CAMERAS, sizeof(*recoded));
    copy_frames frames = {{NULL}, {0.0}, {0.0}, {false}};
    bool closed = false;
    fw_status st = recoded != NULL ? find_frames(c, s, e, k, recoded, &frames, err) : nomem(c, err);
    st = st == FW_OK ? copy_out_prepare(&c->out, s->reader, &frames, &closed, err) : st;
    st = st == FW_OK && closed ? journal_to(c, k, err) : st;
    st = st == FW_OK ? copy_out_episode(&c->out, s, e, k, &frames, other, n_other, &c->place[k], err) : st;
    for (int v = 0; recoded != NULL && v < FW_MAX_CAMERAS; v++) {
        if (recoded[v][0] != 0) {
            (void)unlink(recoded[v]);
        }
    }
    free(recoded);
    return st;
}

static fw_status copy_episode(copy *c, copy_source *s, int64_t e, int64_t k, fw_err *err) {
    const fw_episode_info *i = &s->ds->episodes[e];
    double *v = malloc((size_t)(i->length * COLS + 1) * sizeof(double));
    store_stats *stats = calloc((size_t)c->n_totals + 1, sizeof(store_stats));
    fw_pq_column other[COLS];
    int n_other;
    fw_status st = v != NULL && stats != NULL ? FW_OK : nomem(c, err);
    st = st == FW_OK ? copy_source_rows(s, e, err) : st;
    st = st == FW_OK ? check_rows(c, s, e, err) : st;
    st = st == FW_OK ? refuse_rows(c, s, e, err) : st;
    st = st == FW_OK ? number_rows(c, s, e, k, v, other, &n_other, err) : st;
    for (int f = 0; f < c->n_totals && st == FW_OK; f++) {
        st = episode_stats(c, &c->totals[f], s, e, replaced(other, n_other, c->totals[f].f->key), &stats[f], err);
    }
    if (st == FW_OK && k >= c->done) {
        st = copy_contents(c, s, e, k, other, n_other, err);
    }
    if (st == FW_OK) {
        st = c->out.version == 30 ? push_row(c, s, e, k, stats, err) : push_line(c, s, e, k, stats, err);
    }
    c->frames += i->length;
    for (int f = 0; stats != NULL && f < c->n_totals; f++) {
        store_stats_clear(&stats[f]);
    }
    free(stats);
    free(v);
    return st;
}

static fw_status copy_all(copy *c, fw_err *err) {
    fw_progress progress;
    int64_t k = 0;
    fw_status st = FW_OK;
    if (c->o->progress) {
        fw_progress_start(&progress, "episodes", (uint64_t)c->n_episodes);
    }
    for (int i = 0; i < c->n_src && st == FW_OK; i++) {
        st = map_whole(c, &c->src[i], err);
        for (int64_t j = 0; j < c->src[i].n && st == FW_OK; j++) {
            st = copy_episode(c, &c->src[i], c->src[i].episodes[j], k, err);
            k += st == FW_OK;
            if (c->o->progress) {
                fw_progress_update(&progress, (uint64_t)k, NULL);
            }
        }
    }
    if (c->o->progress) {
        fw_progress_end(&progress);
    }
    st = st == FW_OK ? copy_out_close(&c->out, err) : st;
    return st == FW_OK ? journal_to(c, k, err) : st;
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

/* What was deleted from any of the sources is not taken from the others. */
static fw_status refuse_homes(copy *c, fw_err *err) {
    FW_TRY(fw_deleted_new(&c->deleted, err));
    for (int i = 0; i < c->n_src; i++) {
        FW_TRY(fw_deleted_load(c->deleted, c->src[i].ds->dir, err));
    }
    for (int i = 0; i < c->n_src; i++) {
        FW_TRY(fw_deleted_refuse_homes(c->deleted, c->src[i].ds, c->src[i].episodes, c->src[i].n, err));
    }
    return FW_OK;
}

static fw_status open_sources(copy *c, const fw_copy_source *sources, int n, fw_err *err) {
    if (n < 1 || (c->src = calloc((size_t)n, sizeof(copy_source))) == NULL) {
        return fw_fail(err, FW_INVALID, "%s: nothing to copy", c->tmp);
    }
    for (; c->n_src < n; c->n_src++) {
        fw_status st = copy_source_open(&sources[c->n_src], &c->src[c->n_src], err);
        if (st != FW_OK) {
            copy_source_clear(&c->src[c->n_src]);
            return st;
        }
        c->n_episodes += c->src[c->n_src].n;
    }
    c->as = c->src[0].ds;
    for (int i = 1; i < n; i++) {
        FW_TRY(fits(c->as, c->src[i].ds, err));
    }
    FW_TRY(refuse_homes(c, err));
    for (int i = 0; i < n && c->o->link_videos && c->o->version != 21; i++) {
        FW_TRY(c->src[i].ds->version == 30 ? copy_source_link(&c->src[i], err) : FW_OK);
    }
    c->place = calloc((size_t)c->n_episodes + 1, sizeof(copy_place));
    return c->n_episodes < 1
               ? fw_fail(err, FW_INVALID, "%s: no episode is chosen: a dataset has at least one", c->as->dir)
           : c->place == NULL ? nomem(c, err)
                              : join_fields(c, err);
}

/* Frames that a run which was killed was encoding. */
static fw_status remove_recoded(const copy *c, fw_err *err) {
    char path[STORE_PATH], **names;
    size_t n;
    FW_TRY(fw_list_dir(c->tmp, &names, &n, err));
    fw_status st = FW_OK;
    for (size_t i = 0; i < n && st == FW_OK; i++) {
        if (strncmp(names[i], ".recoded-", 9) == 0) {
            st = fw_path_join(path, sizeof(path), c->tmp, names[i], err);
            st = st == FW_OK ? fw_remove_tree(path, err) : st;
        }
    }
    fw_names_free(names, n);
    return st;
}

/* What the cameras of simulated episodes saw goes along: its name is made of the episode's fields, whatever number it has. */
static fw_status copy_views(const copy *c, fw_err *err) {
    fw_replay r;
    for (int i = 0; i < c->n_src; i++) {
        const copy_source *s = &c->src[i];
        for (int64_t k = 0; k < s->n; k++) {
            if (fw_replay_read(s->ds, s->episodes[k], &r, NULL) == FW_OK) {
                FW_TRY(fw_views_copy(s->ds->dir, c->tmp, &r, err));
            }
        }
    }
    return FW_OK;
}

static fw_status finish(copy *c, const char *place, fw_err *err) {
    char path[STORE_PATH];
    fw_dataset *ds;
    FW_TRY(remove_recoded(c, err));
    FW_TRY(copy_views(c, err));
    FW_TRY(write_meta(c, err));
    FW_TRY(fw_deleted_save(c->deleted, c->tmp, err));
    FW_TRY(fw_dataset_open(c->tmp, &ds, err)); /* it must open before it takes its place */
    fw_dataset_close(ds);
    FW_TRY(fw_path_join(path, sizeof(path), c->tmp, JOURNAL, err));
    FW_TRY(fw_remove_tree(path, err));
    return store_move(c->tmp, place, err);
}

static void copy_clear(copy *c) {
    copy_out_abort(&c->out);
    for (int i = 0; i < c->n_src; i++) {
        copy_source_clear(&c->src[i]);
    }
    for (int i = 0; i < c->n_totals; i++) {
        free(c->totals[i].v);
    }
    for (int i = 0; i < c->tasks.n; i++) {
        free(c->tasks.item[i]);
    }
    for (int i = 0; i < c->subtasks.n; i++) {
        free(c->subtasks.item[i]);
    }
    fw_deleted_free(c->deleted);
    fw_table_clear(&c->eps);
    fw_table_clear(&c->fields);
    json_decref(c->lines[0]);
    json_decref(c->lines[1]);
    if (c->journal >= 0) {
        close(c->journal);
    }
    free(c->src);
    free(c->totals);
    free(c->tasks.item);
    free(c->subtasks.item);
    free(c->place);
}

fw_status fw_dataset_copy(const fw_copy_source *sources, int n, const char *out, const fw_copy_opts *opts,
                          fw_copy_result *result, fw_err *err) {
    char place[STORE_PATH]; /* out without a slash at its end */
    fw_copy_opts o = opts != NULL ? *opts : (fw_copy_opts){0};
    copy c = {.o = &o, .journal = -1, .lines = {json_array(), json_array()}};
    size_t length = strlen(out);
    while (length > 1 && out[length - 1] == '/') {
        length--;
    }
    fw_status st = FW_OK;
    if (snprintf(place, sizeof(place), "%.*s", (int)length, out) >= (int)sizeof(place) ||
        snprintf(c.tmp, sizeof(c.tmp), "%s.copying", place) >= (int)sizeof(c.tmp)) {
        st = fw_fail(err, FW_INVALID, "%s: path too long", out);
    } else if (o.version != 0 && o.version != 30 && o.version != 21) {
        st = fw_fail(err, FW_INVALID, "%s: version %d, wanted 30 or 21", out, o.version);
    } else if (!free_place(place)) {
        st = fw_fail(err, FW_INVALID, "%s: is there already", out);
    } else {
        st = open_sources(&c, sources, n, err);
    }
    c.out = (copy_out){.dir = c.tmp,
                       .version = o.version == 21 ? 21 : 30,
                       .data_mb = o.data_mb > 0 ? o.data_mb : 100,
                       .video_mb = o.video_mb > 0 ? o.video_mb : 200,
                       .as = c.as};
    if (st == FW_OK &&
        (c.out.huggingface = store_huggingface(c.as->features, c.as->n_features, c.out.version)) == NULL) {
        st = nomem(&c, err);
    }
    st = st == FW_OK ? init_totals(&c, err) : st;
    st = st == FW_OK ? open_journal(&c, err) : st;
    if (st == FW_OK) {
        episode_columns(&c);
        st = copy_all(&c, err);
        st = st == FW_OK ? finish(&c, place, err) : st;
    }
    if (result != NULL) {
        *result = (fw_copy_result){c.n_episodes, c.frames, c.done};
    }
    if (st != FW_OK && c.journal >= 0 && c.journaled == 0) {
        (void)!fw_remove_tree(c.tmp, NULL); /* nothing to go on with */
    }
    copy_clear(&c);
    return st;
}

fw_status fw_dataset_merge(const char *const *dirs, int n, const char *out, fw_err *err) {
    fw_copy_source *s = calloc((size_t)n + 1, sizeof(*s));
    if (s == NULL) {
        return fw_fail(err, FW_NOMEM, "%s", out);
    }
    for (int i = 0; i < n; i++) {
        s[i].dir = dirs[i];
    }
    fw_status st = fw_dataset_copy(s, n, out, NULL, NULL, err);
    free(s);
    return st;
}
