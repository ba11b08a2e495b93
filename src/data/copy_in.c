/* copy_in.c - the sources of a copy: their rows file by file, and what they know of their episodes' statistics. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/copy_int.h"

bool copy_is_visual(const fw_feature *f) {
    return strcmp(f->dtype, "video") == 0 || strcmp(f->dtype, "image") == 0;
}

bool copy_is_number(const fw_feature *f) {
    return !copy_is_visual(f) && strcmp(f->dtype, "string") != 0 && strcmp(f->dtype, "language") != 0;
}

/* --- open, close --- */

static fw_status load_episode_tables(copy_source *s, fw_err *err) {
    char **paths;
    size_t n;
    FW_TRY(store_episode_files(s->ds->dir, s->ds->n_episodes, &paths, &n, err));
    s->eps = calloc(n + 1, sizeof(fw_table));
    s->eps_at = calloc(n + 2, sizeof(int64_t));
    fw_status st = s->eps != NULL && s->eps_at != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s", s->ds->dir);
    for (size_t i = 0; i < n && st == FW_OK; i++) {
        if ((st = fw_table_read(paths[i], NULL, 0, &s->eps[i], err)) == FW_OK) {
            s->n_eps++;
            s->eps_at[i + 1] = s->eps_at[i] + s->eps[i].rows;
        }
    }
    fw_names_free(paths, n);
    return st;
}

/* meta/episodes_stats.jsonl, by episode_index; a dataset without it has no statistics. */
static fw_status load_stats_lines(copy_source *s, fw_err *err) {
    char path[STORE_PATH], *text;
    size_t size;
    s->stats = calloc((size_t)s->ds->n_episodes + 1, sizeof(json_t *));
    if (s->stats == NULL) {
        return fw_fail(err, FW_NOMEM, "%s", s->ds->dir);
    }
    FW_TRY(fw_path_join(path, sizeof(path), s->ds->dir, "meta/episodes_stats.jsonl", err));
    if (!fw_path_exists(path)) {
        return FW_OK;
    }
    FW_TRY(fw_file_read(path, 1u << 30, &text, &size, err));
    fw_status st = FW_OK;
    int64_t line = 0;
    for (char *p = text; *p != 0 && st == FW_OK; line++) {
        size_t n = strcspn(p, "\n");
        char where[STORE_PATH + 32];
        json_t *j = NULL;
        int64_t index;
        snprintf(where, sizeof(where), "%s: line %lld", path, (long long)line + 1);
        if (strspn(p, " \t\r") < n && (st = fw_json_parse(p, n, where, &j, err)) == FW_OK &&
            (st = fw_json_i64(j, "episode_index", where, 0, INT32_MAX, &index, err)) == FW_OK) {
            for (int64_t e = 0; e < s->ds->n_episodes; e++) { /* its place is its index, almost always */
                int64_t at = (index + e) % s->ds->n_episodes;
                if (s->ds->episodes[at].index == index && s->stats[at] == NULL) {
                    s->stats[at] = json_incref(json_object_get(j, "stats"));
                    break;
                }
            }
        }
        json_decref(j);
        p += n + (p[n] == '\n');
    }
    free(text);
    return st;
}

fw_status copy_source_open(const fw_copy_source *from, copy_source *s, fw_err *err) {
    *s = (copy_source){.file = -1};
    FW_TRY(fw_dataset_open(from->dir, &s->ds, err));
    return copy_source_take(s, s->ds, from, err);
}

fw_status copy_source_take(copy_source *s, fw_dataset *ds, const fw_copy_source *from, fw_err *err) {
    *s = (copy_source){.file = -1, .ds = ds};
    s->whole = from->episodes == NULL;
    s->n = s->whole ? ds->n_episodes : from->n_episodes;
    s->episodes = malloc((size_t)(s->n + 1) * sizeof(int64_t));
    s->task_map = malloc((size_t)(ds->n_tasks + 1) * sizeof(int64_t));
    s->subtask_map = malloc((size_t)(ds->n_subtasks + 1) * sizeof(int64_t));
    if (s->episodes == NULL || s->task_map == NULL || s->subtask_map == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: %lld episodes", from->dir, (long long)s->n);
    }
    for (int64_t i = 0; i < s->n; i++) {
        s->episodes[i] = s->whole ? i : from->episodes[i];
        if (s->episodes[i] < 0 || s->episodes[i] >= ds->n_episodes) {
            return fw_fail(err, FW_INVALID, "%s: no episode %lld, there are %lld", from->dir, (long long)s->episodes[i],
                           (long long)ds->n_episodes);
        }
    }
    memset(s->task_map, -1, (size_t)(ds->n_tasks + 1) * sizeof(int64_t));
    memset(s->subtask_map, -1, (size_t)(ds->n_subtasks + 1) * sizeof(int64_t));
    return ds->version == 30 ? load_episode_tables(s, err) : load_stats_lines(s, err);
}

/* Whether file f, of `frames` rows in its table, holds so many and no more. */
static bool holds_frames(const char *file, int64_t frames) {
    fw_video *v;
    int64_t n = -1;
    if (fw_video_open(file, &v, NULL) != FW_OK) {
        return false;
    }
    bool same = fw_video_count(v, &n, NULL) == FW_OK && n == frames;
    fw_video_close(v);
    return same;
}

fw_status copy_source_link(copy_source *s, fw_err *err) {
    const fw_dataset *ds = s->ds;
    size_t files = (size_t)ds->n_video_files + 1;
    int64_t *first = calloc(3 * files, sizeof(int64_t)), *open = first + files, *frames = open + files;
    s->link = calloc(files, sizeof(bool));
    if (first == NULL || s->link == NULL) {
        free(first);
        return fw_fail(err, FW_NOMEM, "%s: %d videos", ds->dir, ds->n_video_files);
    }
    for (int64_t e = ds->n_episodes - 1; e >= 0; e--) {
        for (int v = 0, f; v < ds->n_visual; v++) {
            if ((f = ds->episodes[e].video[v].file) >= 0) {
                first[f] = e;
                open[f]++; /* episodes that must still be chosen */
                frames[f] += ds->episodes[e].length;
                s->link[f] = true;
            }
        }
    }
    for (int64_t k = 0; k < s->n; k++) {
        int64_t e = s->episodes[k];
        for (int v = 0, f; v < ds->n_visual; v++) {
            if ((f = ds->episodes[e].video[v].file) >= 0) {
                open[f]--;
                s->link[f] =
                    s->link[f] &&
                    (e == first[f] || (k > 0 && s->episodes[k - 1] == e - 1 && ds->episodes[e - 1].video[v].file == f));
            }
        }
    }
    for (int f = 0; f < ds->n_video_files; f++) {
        s->link[f] = s->link[f] && open[f] == 0 && holds_frames(ds->video_files[f], frames[f]);
    }
    free(first);
    return FW_OK;
}

void copy_source_clear(copy_source *s) {
    for (size_t i = 0; i < s->n_eps; i++) {
        fw_table_clear(&s->eps[i]);
    }
    for (int64_t e = 0; s->stats != NULL && e < s->ds->n_episodes; e++) {
        json_decref(s->stats[e]);
    }
    fw_table_clear(&s->rows);
    fw_pq_close(s->reader);
    free(s->eps);
    free(s->eps_at);
    free(s->stats);
    free(s->link);
    free(s->episodes);
    free(s->task_map);
    free(s->subtask_map);
    fw_dataset_close(s->ds);
    *s = (copy_source){.file = -1};
}

/* --- rows --- */

fw_status copy_source_rows(copy_source *s, int64_t e, fw_err *err) {
    const fw_episode_info *i = &s->ds->episodes[e];
    const char *path = s->ds->data_files[i->data_file];
    if (s->file != i->data_file) {
        const char **names = calloc((size_t)s->ds->n_features + 1, sizeof(*names));
        int n = 0;
        if (names == NULL) {
            return fw_fail(err, FW_NOMEM, "%s", path);
        }
        for (int f = 0; f < s->ds->n_features; f++) {
            if (copy_is_number(&s->ds->features[f])) {
                names[n++] = s->ds->features[f].key;
            }
        }
        fw_table_clear(&s->rows);
        fw_pq_close(s->reader);
        s->reader = NULL;
        s->file = -1;
        fw_status st = fw_pq_open(path, &s->reader, err);
        st = st == FW_OK ? fw_table_read_from(s->reader, path, names, n, 0, -1, &s->rows, err) : st;
        free(names);
        FW_TRY(st);
        s->file = i->data_file;
    }
    if (s->rows.rows < i->data_row + i->length) {
        return fw_fail(err, FW_FORMAT, "%s: ep %lld: wanted rows %lld..%lld, the file has %lld", path,
                       (long long)i->index, (long long)i->data_row, (long long)(i->data_row + i->length),
                       (long long)s->rows.rows);
    }
    return FW_OK;
}

/* --- statistics --- */

/* Numbers of nested lists into out [n]; false when there are not n of them. */
static bool flatten(const json_t *j, double *out, int64_t n, int64_t *at) {
    if (json_is_number(j)) {
        if (*at < n) {
            out[*at] = json_number_value(j);
        }
        ++*at;
        return true;
    }
    size_t i;
    json_t *v;
    bool ok = json_is_array(j);
    json_array_foreach(j, i, v) {
        ok = ok && flatten(v, out, n, at);
    }
    return ok;
}

void copy_stats_json(const json_t *j, int64_t n, stat_level *level, store_stats *out) {
    *level = STAT_FULL;
    for (int k = 0; k < STORE_STATS; k++) {
        int64_t at = 0;
        if (!flatten(json_object_get(j, store_stat_names[k]), out->value + k * n, n, &at) || at != n) {
            *level = k < 4 ? STAT_NONE : *level == STAT_NONE ? STAT_NONE : STAT_BASIC;
        }
    }
    const json_t *count = json_object_get(j, "count");
    out->count = json_integer_value(json_is_array(count) ? json_array_get(count, 0) : count);
}

static void stats_from_table(const fw_table *t, int64_t row, const char *key, int64_t n, stat_level *level,
                             store_stats *out) {
    char name[512];
    *level = STAT_FULL;
    for (int k = 0; k < STORE_STATS; k++) {
        snprintf(name, sizeof(name), "stats/%s/%s", key, store_stat_names[k]);
        const fw_column *c = fw_table_find(t, name);
        bool there = c != NULL && c->type != FW_COL_STR && c->width == n;
        for (int64_t i = 0; i < n && there; i++) {
            out->value[k * n + i] = fw_column_f64(c, row * n + i);
        }
        if (!there) {
            *level = k < 4 ? STAT_NONE : *level == STAT_NONE ? STAT_NONE : STAT_BASIC;
        }
    }
    snprintf(name, sizeof(name), "stats/%s/count", key);
    const fw_column *c = fw_table_find(t, name);
    out->count = c != NULL && c->type != FW_COL_STR && c->width == 1 ? fw_column_i64(c, row) : 0;
}

/* Channels of a picture: the last dimension, or the first where that is the small one. */
static int64_t channels(const fw_feature *f) {
    bool chw = f->n_shape == 3 && f->shape[0] <= 4 && f->shape[2] > 4;
    return f->n_shape == 3 ? f->shape[chw ? 0 : 2] : 3;
}

fw_status copy_source_stats(const copy_source *s, int64_t e, const fw_feature *f, stat_level *level, store_stats *out,
                            fw_err *err) {
    int64_t n = copy_is_visual(f) ? channels(f) : f->size;
    *level = STAT_NONE;
    *out = (store_stats){.n = n, .value = calloc((size_t)n * STORE_STATS + 1, sizeof(double))};
    if (out->value == NULL) {
        return fw_fail(err, FW_NOMEM, "statistics of %s", f->key);
    }
    for (size_t i = 0; i < s->n_eps; i++) {
        if (e >= s->eps_at[i] && e < s->eps_at[i + 1]) {
            stats_from_table(&s->eps[i], e - s->eps_at[i], f->key, n, level, out);
        }
    }
    if (s->stats != NULL && s->stats[e] != NULL) {
        copy_stats_json(json_object_get(s->stats[e], f->key), n, level, out);
    }
    if (*level == STAT_NONE || out->count < 1) {
        *level = STAT_NONE;
        store_stats_clear(out);
    }
    for (int64_t i = 4 * n; *level == STAT_BASIC && i < STORE_STATS * n; i++) {
        out->value[i] = (double)NAN;
    }
    return FW_OK;
}
