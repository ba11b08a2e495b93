/*
 * dataset.c - the metadata of LeRobot datasets, v3.0 and v2.1, as the structs of dataset.h.
 *
 * Everything here comes from files that somebody else may have written: counts are checked against each other before they
 * size anything, and path patterns may not leave the dataset's folder.
 */
#include "data/dataset.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "data/dataset_int.h"
#include "data/store_int.h"

#define MAX_EPISODES  10000000
#define MAX_LINE_FILE (1u << 30)
#define PATH_BYTES    4096

static fw_status nomem(fw_err *err, const fw_dataset *ds) {
    return fw_fail(err, FW_NOMEM, "%s: out of memory", ds->dir);
}

static fw_status dir_path(const fw_dataset *ds, const char *name, char out[PATH_BYTES], fw_err *err) {
    return fw_path_join(out, PATH_BYTES, ds->dir, name, err);
}

const char *fw_dataset_rel(const fw_dataset *ds, const char *path) {
    size_t n = strlen(ds->dir);
    return strncmp(path, ds->dir, n) == 0 && path[n] == '/' ? path + n + 1 : path;
}

/* --- features --- */

/* Names may be a list, lists in a list, {"motors": [...]}, or {"x": 0, "y": 1}: collect the strings in order. */
static bool collect_names(const json_t *j, fw_feature *f) {
    if (json_is_string(j)) {
        char **more = realloc(f->names, (size_t)(f->n_names + 1) * sizeof(char *));
        if (more == NULL) {
            return false;
        }
        f->names = more;
        return (f->names[f->n_names++] = strdup(json_string_value(j))) != NULL;
    }
    size_t i;
    const char *key;
    json_t *v;
    json_array_foreach(j, i, v) {
        if (!collect_names(v, f)) {
            return false;
        }
    }
    json_object_foreach((json_t *)(uintptr_t)j, key, v) {
        json_t *k = json_is_integer(v) ? json_string(key) : json_incref(v);
        bool ok = k != NULL && collect_names(k, f);
        json_decref(k);
        if (!ok) {
            return false;
        }
    }
    return true;
}

static fw_status read_feature(const char *where, const char *key, const json_t *j, fw_feature *f, fw_err *err) {
    const char *dtype;
    const json_t *shape;
    FW_TRY(fw_json_str(j, "dtype", where, &dtype, err));
    FW_TRY(fw_json_arr(j, "shape", where, &shape, err));
    f->key = strdup(key);
    f->dtype = strdup(dtype);
    f->n_shape = (int)json_array_size(shape);
    f->size = 1;
    if (f->key == NULL || f->dtype == NULL || !collect_names(json_object_get(j, "names"), f)) {
        return fw_fail(err, FW_NOMEM, "%s: features", where);
    }
    if (strchr(key, '/') != NULL || f->n_shape > 4) {
        return fw_fail(err, FW_FORMAT, "%s: feature '%s': wanted no '/' in its name and at most 4 dimensions, found %d",
                       where, key, f->n_shape);
    }
    for (int i = 0; i < f->n_shape; i++) {
        const json_t *d = json_array_get(shape, (size_t)i);
        f->shape[i] = json_is_integer(d) ? json_integer_value(d) : 0;
        if (f->shape[i] < 1 || f->shape[i] > 65536 || __builtin_mul_overflow(f->size, f->shape[i], &f->size) ||
            f->size > 1 << 28) {
            return fw_fail(err, FW_FORMAT, "%s: feature '%s': dimension %d of its shape is not in 1..65536", where, key,
                           i);
        }
    }
    return FW_OK;
}

/* A map of distances, one channel: "is_depth_map" in its info, "video.is_depth_map" there or in "video_info" in older files. */
static bool is_depth(const json_t *feature) {
    const json_t *info = json_object_get(feature, "info"), *old = json_object_get(feature, "video_info");
    return json_is_true(json_object_get(info, "is_depth_map")) ||
           json_is_true(json_object_get(info, "video.is_depth_map")) ||
           json_is_true(json_object_get(old, "video.is_depth_map"));
}

static fw_status add_camera(fw_dataset *ds, const char *where, const fw_feature *f, fw_err *err) {
    if (ds->n_visual == FW_MAX_CAMERAS || f->n_shape != 3) {
        return fw_fail(err, FW_UNSUPPORTED,
                       "%s: camera '%s': wanted at most %d cameras with 3 dimensions, found %d dimensions", where,
                       f->key, FW_MAX_CAMERAS, f->n_shape);
    }
    bool chw = f->shape[0] <= 4 && f->shape[2] > 4; /* some v2.1 files say [c,h,w] */
    const char *prefix = "observation.images.";
    fw_ds_camera *c = &ds->cameras[ds->n_visual++];
    c->key = strdup(f->key);
    c->name = strdup(strncmp(f->key, prefix, strlen(prefix)) == 0 ? f->key + strlen(prefix) : f->key);
    c->h = (int)f->shape[chw ? 1 : 0];
    c->w = (int)f->shape[chw ? 2 : 1];
    c->in_rows = strcmp(f->dtype, "image") == 0;
    return c->key == NULL || c->name == NULL ? nomem(err, ds) : FW_OK;
}

/* The provenance column that the feature is, if it is of the right type. */
static unsigned mark_of(const fw_feature *f) {
    for (int i = 0; i < STORE_MARKS; i++) {
        if (strcmp(f->key, store_marks[i].key) == 0 && strcmp(f->dtype, store_marks[i].dtype) == 0 &&
            (f->size == 1 || store_marks[i].bit == FW_MARK_CAPTURE)) {
            return store_marks[i].bit;
        }
    }
    return 0;
}

/* What add_camera takes in its first round: videos and images of colours. Depth in images stays a column like any other. */
static bool is_picture(const fw_feature *f, const json_t *feature) {
    bool image = strcmp(f->dtype, "image") == 0 && f->n_shape == 3 && (f->shape[0] == 3 || f->shape[2] == 3);
    return (strcmp(f->dtype, "video") == 0 || image) && !is_depth(feature);
}

static fw_status read_features(fw_dataset *ds, const char *where, const json_t *features, fw_err *err) {
    size_t n = json_object_size(features);
    if (n > 4096) {
        return fw_fail(err, FW_FORMAT, "%s: %zu features", where, n);
    }
    ds->features = calloc(n + 1, sizeof(fw_feature));
    ds->cameras = calloc(FW_MAX_CAMERAS, sizeof(fw_ds_camera));
    if (ds->features == NULL || ds->cameras == NULL) {
        return nomem(err, ds);
    }
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)features, key, v) {
        fw_feature *f = &ds->features[ds->n_features++];
        FW_TRY(read_feature(where, key, v, f, err));
        if (is_picture(f, v)) {
            FW_TRY(add_camera(ds, where, f, err));
        } else if (mark_of(f) != 0) {
            ds->marks |= mark_of(f);
        } else if (strcmp(key, "observation.state") == 0) {
            ds->state = f;
            ds->n_state = (int)f->size;
        } else if (strcmp(key, "action") == 0) {
            ds->action = f;
            ds->n_action = (int)f->size;
        }
    }
    ds->n_cameras = ds->n_visual;
    int i = 0;
    json_object_foreach((json_t *)(uintptr_t)features, key, v) {
        const fw_feature *f = &ds->features[i++];
        if (strcmp(f->dtype, "video") == 0 && is_depth(v)) {
            FW_TRY(add_camera(ds, where, f, err));
        }
    }
    return FW_OK;
}

/* --- paths --- */

typedef struct path_value {
    const char *name, *text; /* text NULL: the number */
    int64_t number;
} path_value;

/* Expand "data/chunk-{chunk_index:03d}/..." into a full path. */
static fw_status expand(const fw_dataset *ds, const char *pattern, const path_value *v, int n_values,
                        char out[PATH_BYTES], fw_err *err) {
    size_t at = (size_t)snprintf(out, PATH_BYTES, "%s/", ds->dir), start = at;
    for (const char *p = pattern; *p != 0 && at < PATH_BYTES - 1; p++) {
        if (*p != '{') {
            out[at++] = *p;
            continue;
        }
        size_t name = strcspn(p + 1, ":}");
        const path_value *hit = NULL;
        for (int i = 0; i < n_values; i++) {
            hit = strlen(v[i].name) == name && strncmp(v[i].name, p + 1, name) == 0 ? &v[i] : hit;
        }
        const char *end = strchr(p, '}');
        if (hit == NULL || end == NULL) {
            return fw_fail(err, FW_FORMAT, "%s/meta/info.json: path pattern '%s' cannot be read", ds->dir, pattern);
        }
        int digits = p[1 + name] == ':' ? atoi(p + 2 + name) : 0; /* "03d" */
        digits = digits < 0 || digits > 20 ? 0 : digits;
        at +=
            (size_t)(hit->text != NULL ? snprintf(out + at, PATH_BYTES - at, "%s", hit->text)
                                       : snprintf(out + at, PATH_BYTES - at, "%0*lld", digits, (long long)hit->number));
        p = end;
    }
    if (at >= PATH_BYTES - 1) {
        return fw_fail(err, FW_FORMAT, "%s/meta/info.json: path from '%s' is too long", ds->dir, pattern);
    }
    out[at] = 0;
    if (strstr(out + start, "..") != NULL || out[start] == '/') {
        return fw_fail(err, FW_FORMAT, "%s/meta/info.json: path pattern '%s' leaves the dataset", ds->dir, pattern);
    }
    return FW_OK;
}

/* Index of `path` among files, appended when new. Episodes come in file order, so look at the last ones first. */
static int intern(char ***files, int *n, int look_back, const char *path) {
    for (int i = *n - 1; i >= 0 && i >= *n - look_back; i--) {
        if (strcmp((*files)[i], path) == 0) {
            return i;
        }
    }
    if ((*n & (*n - 1)) == 0) { /* grow at powers of two */
        char **more = realloc(*files, (size_t)(*n > 0 ? 2 * *n : 1) * sizeof(char *));
        if (more == NULL) {
            return -1;
        }
        *files = more;
    }
    if (((*files)[*n] = strdup(path)) == NULL) {
        return -1;
    }
    return (*n)++;
}

/* --- tasks --- */

static fw_status set_text(char **list, int n, const char *where, int64_t index, const char *text, fw_err *err) {
    if (index < 0 || index >= n || list[index] != NULL) {
        return fw_fail(err, FW_FORMAT, "%s: index %lld is %s, there are %d sentences", where, (long long)index,
                       index >= 0 && index < n ? "there twice" : "out of range", n);
    }
    list[index] = strdup(text);
    return list[index] == NULL ? fw_fail(err, FW_NOMEM, "%s", where) : FW_OK;
}

static fw_status alloc_texts(const fw_dataset *ds, int64_t n, char ***list, int *count, fw_err *err) {
    *list = calloc((size_t)n + 1, sizeof(char *));
    *count = (int)n;
    return *list == NULL ? nomem(err, ds) : FW_OK;
}

/* meta/<what>s.parquet: columns <what>_index and <what>. */
static fw_status read_sentences(fw_dataset *ds, const char *what, char ***list, int *count, fw_err *err) {
    char path[PATH_BYTES], name[64];
    fw_table t;
    snprintf(name, sizeof(name), "meta/%ss.parquet", what);
    FW_TRY(dir_path(ds, name, path, err));
    FW_TRY(fw_table_read(path, NULL, 0, &t, err));
    snprintf(name, sizeof(name), "%s_index", what);
    const fw_column *index = fw_table_find(&t, name), *text = fw_table_find(&t, what);
    text = text != NULL ? text : fw_table_find(&t, "__index_level_0__");
    fw_status st = FW_OK;
    if (index == NULL || text == NULL || text->type != FW_COL_STR || text->depth != 0 || index->depth != 0) {
        st = fw_fail(err, FW_FORMAT, "%s: wanted columns %s and %s", path, name, what);
    } else {
        st = alloc_texts(ds, t.rows, list, count, err);
    }
    for (int64_t i = 0; i < t.rows && st == FW_OK; i++) {
        st = set_text(*list, *count, path, fw_column_i64(index, i), text->str[i], err);
    }
    fw_table_clear(&t);
    return st;
}

/* Call fn for every line of a .jsonl file. */
static fw_status each_line(const char *path,
                           fw_status (*fn)(fw_dataset *, const char *, int64_t, const json_t *, fw_err *),
                           fw_dataset *ds, fw_err *err) {
    char *text;
    size_t size;
    FW_TRY(fw_file_read(path, MAX_LINE_FILE, &text, &size, err));
    fw_status st = FW_OK;
    int64_t line = 0;
    for (char *p = text; *p != 0 && st == FW_OK;) {
        size_t n = strcspn(p, "\n");
        if (strspn(p, " \t\r") < n) {
            char where[PATH_BYTES + 32];
            snprintf(where, sizeof(where), "%s: line %lld", path, (long long)line + 1);
            json_t *j = NULL;
            if ((st = fw_json_parse(p, n, where, &j, err)) == FW_OK) {
                st = fn(ds, where, line, j, err);
            }
            json_decref(j);
            line++;
        }
        p += n + (p[n] == '\n');
    }
    free(text);
    return st;
}

static fw_status task_line(fw_dataset *ds, const char *where, int64_t line, const json_t *j, fw_err *err) {
    int64_t index;
    const char *text;
    (void)line;
    FW_TRY(fw_json_i64(j, "task_index", where, 0, ds->n_tasks - 1, &index, err));
    FW_TRY(fw_json_str(j, "task", where, &text, err));
    return set_text(ds->tasks, ds->n_tasks, where, index, text, err);
}

/* Lines in any order, as many as there are. */
static fw_status subtask_line(fw_dataset *ds, const char *where, int64_t line, const json_t *j, fw_err *err) {
    int64_t index;
    const char *text;
    FW_TRY(fw_json_i64(j, "subtask_index", where, 0, MAX_EPISODES, &index, err));
    FW_TRY(fw_json_str(j, "subtask", where, &text, err));
    char **more = realloc(ds->subtasks, (size_t)(line + 1) * sizeof(char *));
    if (more == NULL) {
        return nomem(err, ds);
    }
    ds->subtasks = more;
    more[line] = NULL;
    ds->n_subtasks = (int)line + 1;
    if (index != line) {
        return fw_fail(err, FW_FORMAT, "%s: subtask_index is %lld, wanted %lld", where, (long long)index,
                       (long long)line);
    }
    return set_text(ds->subtasks, ds->n_subtasks, where, index, text, err);
}

static fw_status read_subtasks(fw_dataset *ds, fw_err *err) {
    char path[PATH_BYTES];
    FW_TRY(dir_path(ds, ds->version == 30 ? "meta/subtasks.parquet" : "meta/subtasks.jsonl", path, err));
    if (!fw_path_exists(path)) {
        return FW_OK;
    }
    return ds->version == 30 ? read_sentences(ds, "subtask", &ds->subtasks, &ds->n_subtasks, err)
                             : each_line(path, subtask_line, ds, err);
}

static fw_status tasks_complete(fw_dataset *ds, const char *where, fw_err *err) {
    for (int i = 0; i < ds->n_tasks; i++) {
        if (ds->tasks[i] == NULL) {
            return fw_fail(err, FW_FORMAT, "%s: no task %d, info.json counts %d", where, i, ds->n_tasks);
        }
    }
    return FW_OK;
}

/* --- episodes --- */

/* Room for the first n episodes: it grows as tables show that they exist, whatever info.json counts. */
static fw_status room_for(fw_dataset *ds, int64_t n, fw_err *err) {
    int64_t cap = 2 * ds->priv->room > n ? 2 * ds->priv->room : n;
    if (n <= ds->priv->room && ds->episodes != NULL) {
        return FW_OK;
    }
    fw_episode_info *more = realloc(ds->episodes, (size_t)(cap + 1) * sizeof(*more));
    if (more == NULL) {
        return nomem(err, ds);
    }
    memset(more + ds->priv->room, 0, (size_t)(cap + 1 - ds->priv->room) * sizeof(*more));
    for (int64_t e = ds->priv->room; e < cap; e++) {
        for (int c = 0; c < FW_MAX_CAMERAS; c++) {
            more[e].video[c].file = -1;
        }
    }
    ds->episodes = more;
    ds->priv->room = cap;
    return FW_OK;
}

static fw_status episode_tasks(fw_dataset *ds, fw_episode_info *e, int n, fw_err *err) {
    e->tasks = calloc((size_t)n + 1, sizeof(char *));
    e->n_tasks = 0;
    return e->tasks == NULL ? nomem(err, ds) : FW_OK;
}

typedef struct v21_paths {
    const char *data, *video; /* patterns; video may be NULL */
    int64_t chunk;            /* episodes a chunk */
} v21_paths;

static fw_status episode_line(fw_dataset *ds, const char *where, int64_t line, const json_t *j, fw_err *err) {
    const json_t *tasks;
    if (line >= ds->n_episodes) {
        return FW_OK; /* written but never counted */
    }
    FW_TRY(room_for(ds, line + 1, err));
    fw_episode_info *e = &ds->episodes[line];
    ds->priv->lines[line] = json_incref((json_t *)(uintptr_t)j);
    FW_TRY(fw_json_i64(j, "episode_index", where, 0, MAX_EPISODES, &e->index, err));
    FW_TRY(fw_json_i64(j, "length", where, 1, INT32_MAX, &e->length, err));
    FW_TRY(fw_json_arr(j, "tasks", where, &tasks, err));
    FW_TRY(episode_tasks(ds, e, (int)json_array_size(tasks), err));
    size_t i;
    json_t *v;
    json_array_foreach(tasks, i, v) {
        if (!json_is_string(v) || (e->tasks[e->n_tasks++] = strdup(json_string_value(v))) == NULL) {
            e->n_tasks -= !json_is_string(v) ? 0 : 1;
            return fw_fail(err, FW_FORMAT, "%s: task %zu is not text", where, i);
        }
    }
    return FW_OK;
}

static fw_status place_v21(fw_dataset *ds, const v21_paths *p, fw_err *err) {
    char path[PATH_BYTES];
    for (int64_t i = 0; i < ds->n_episodes; i++) {
        fw_episode_info *e = &ds->episodes[i < ds->priv->room ? i : ds->priv->room];
        if (e->length == 0) { /* the one behind the room is always empty */
            return fw_fail(err, FW_FORMAT, "%s/meta/episodes.jsonl: %lld episodes, info.json counts %lld", ds->dir,
                           (long long)i, (long long)ds->n_episodes);
        }
        path_value v[3] = {
            {"episode_chunk", NULL, e->index / p->chunk}, {"episode_index", NULL, e->index}, {"video_key", "", 0}};
        FW_TRY(expand(ds, p->data, v, 3, path, err));
        if ((e->data_file = intern(&ds->data_files, &ds->n_data_files, 0, path)) < 0) {
            return nomem(err, ds);
        }
        for (int c = 0; c < ds->n_visual && p->video != NULL; c++) {
            if (ds->cameras[c].in_rows) {
                continue;
            }
            v[2].text = ds->cameras[c].key;
            FW_TRY(expand(ds, p->video, v, 3, path, err));
            if ((e->video[c].file = intern(&ds->video_files, &ds->n_video_files, 0, path)) < 0) {
                return nomem(err, ds);
            }
            e->video[c].to_s = (double)e->length / ds->fps;
        }
    }
    return FW_OK;
}

static fw_status open_v21(fw_dataset *ds, const char *where, const json_t *info, fw_err *err) {
    char path[PATH_BYTES];
    v21_paths p;
    int64_t n_tasks;
    FW_TRY(fw_json_str(info, "data_path", where, &p.data, err));
    p.video = json_string_value(json_object_get(info, "video_path"));
    FW_TRY(fw_json_i64(info, "chunks_size", where, 1, MAX_EPISODES, &p.chunk, err));
    FW_TRY(fw_json_i64(info, "total_tasks", where, 0, MAX_EPISODES, &n_tasks, err));
    FW_TRY(alloc_texts(ds, n_tasks, &ds->tasks, &ds->n_tasks, err));
    FW_TRY(dir_path(ds, "meta/tasks.jsonl", path, err));
    FW_TRY(each_line(path, task_line, ds, err));
    FW_TRY(tasks_complete(ds, path, err));
    FW_TRY(dir_path(ds, "meta/episodes.jsonl", path, err));
    if ((ds->priv->lines = calloc((size_t)ds->n_episodes + 1, sizeof(json_t *))) == NULL) {
        return nomem(err, ds);
    }
    FW_TRY(each_line(path, episode_line, ds, err));
    FW_TRY(place_v21(ds, &p, err));
    return fw_fields_from_json(&ds->priv->fields, ds->priv->lines, ds->n_episodes, path, err);
}

/* The columns of a v3.0 episodes file. */
typedef struct ep_columns {
    const fw_column *index, *tasks, *length, *data_chunk, *data_file, *from, *to;
    const fw_column *chunk[FW_MAX_CAMERAS], *file[FW_MAX_CAMERAS], *from_s[FW_MAX_CAMERAS], *to_s[FW_MAX_CAMERAS];
} ep_columns;

static fw_status number_column(const fw_table *t, const char *where, const char *name, const fw_column **out,
                               fw_err *err) {
    *out = fw_table_find(t, name);
    if (*out == NULL || (*out)->type == FW_COL_STR || (*out)->depth != 0) {
        return fw_fail(err, FW_FORMAT, "%s: wanted a number column '%s', found %s", where, name,
                       *out == NULL ? "none" : "another type");
    }
    return FW_OK;
}

static fw_status find_ep_columns(const fw_dataset *ds, const fw_table *t, const char *where, bool videos, ep_columns *c,
                                 fw_err *err) {
    FW_TRY(number_column(t, where, "episode_index", &c->index, err));
    FW_TRY(number_column(t, where, "length", &c->length, err));
    FW_TRY(number_column(t, where, "data/chunk_index", &c->data_chunk, err));
    FW_TRY(number_column(t, where, "data/file_index", &c->data_file, err));
    FW_TRY(number_column(t, where, "dataset_from_index", &c->from, err));
    FW_TRY(number_column(t, where, "dataset_to_index", &c->to, err));
    c->tasks = fw_table_find(t, "tasks");
    if (c->tasks == NULL || c->tasks->type != FW_COL_STR) {
        return fw_fail(err, FW_FORMAT, "%s: wanted a column 'tasks' of text", where);
    }
    for (int k = 0; videos && k < ds->n_visual; k++) {
        char name[512];
        const struct {
            const char *suffix;
            const fw_column **out;
        } part[] = {{"chunk_index", &c->chunk[k]},
                    {"file_index", &c->file[k]},
                    {"from_timestamp", &c->from_s[k]},
                    {"to_timestamp", &c->to_s[k]}};
        for (int i = 0; i < 4 && !ds->cameras[k].in_rows; i++) {
            snprintf(name, sizeof(name), "videos/%s/%s", ds->cameras[k].key, part[i].suffix);
            FW_TRY(number_column(t, where, name, part[i].out, err));
        }
    }
    return FW_OK;
}

static fw_status v3_episode(fw_dataset *ds, const char *where, const ep_columns *c, int64_t row, const char *data_path,
                            const char *video_path, fw_episode_info *e, fw_err *err) {
    char path[PATH_BYTES];
    int64_t first, n;
    e->index = fw_column_i64(c->index, row);
    e->length = fw_column_i64(c->length, row);
    int64_t from = fw_column_i64(c->from, row), to = fw_column_i64(c->to, row);
    if (e->length < 1 || e->length > INT32_MAX || from < 0 || to < from || to - from != e->length) {
        return fw_fail(err, FW_FORMAT, "%s: ep %lld: length %lld, rows %lld..%lld", where, (long long)e->index,
                       (long long)e->length, (long long)from, (long long)to);
    }
    e->data_row = from; /* made file-local when all are known */
    fw_column_row(c->tasks, row, &first, &n);
    FW_TRY(episode_tasks(ds, e, (int)n, err));
    for (int64_t i = 0; i < n; i++) {
        if ((e->tasks[i] = strdup(c->tasks->str[first + i])) == NULL) {
            return nomem(err, ds);
        }
        e->n_tasks++;
    }
    path_value v[3] = {{"chunk_index", NULL, fw_column_i64(c->data_chunk, row)},
                       {"file_index", NULL, fw_column_i64(c->data_file, row)},
                       {"video_key", "", 0}};
    FW_TRY(expand(ds, data_path, v, 3, path, err));
    if ((e->data_file = intern(&ds->data_files, &ds->n_data_files, 4, path)) < 0) {
        return nomem(err, ds);
    }
    for (int k = 0; video_path != NULL && k < ds->n_visual; k++) {
        if (ds->cameras[k].in_rows) {
            continue;
        }
        v[0].number = fw_column_i64(c->chunk[k], row);
        v[1].number = fw_column_i64(c->file[k], row);
        v[2].text = ds->cameras[k].key;
        FW_TRY(expand(ds, video_path, v, 3, path, err));
        e->video[k].from_s = fw_column_f64(c->from_s[k], row);
        e->video[k].to_s = fw_column_f64(c->to_s[k], row);
        if (!(e->video[k].from_s >= 0.0) || !(e->video[k].to_s > e->video[k].from_s) || !isfinite(e->video[k].to_s)) {
            return fw_fail(err, FW_FORMAT, "%s: ep %lld: %s lies at %g..%g s", where, (long long)e->index,
                           ds->cameras[k].key, e->video[k].from_s, e->video[k].to_s);
        }
        if ((e->video[k].file = intern(&ds->video_files, &ds->n_video_files, 4 * FW_MAX_CAMERAS, path)) < 0) {
            return nomem(err, ds);
        }
    }
    return FW_OK;
}

/* Names of the columns read from an episodes file: [7 + 4 cameras], owned by buf. */
static int ep_column_names(const fw_dataset *ds, bool videos, const char *names[], char (*buf)[512]) {
    static const char *const fixed[] = {"episode_index",    "tasks",           "length",
                                        "data/chunk_index", "data/file_index", "dataset_from_index",
                                        "dataset_to_index"};
    static const char *const part[] = {"chunk_index", "file_index", "from_timestamp", "to_timestamp"};
    int n = 0;
    for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++) {
        names[n++] = fixed[i];
    }
    for (int k = 0; videos && k < ds->n_visual; k++) {
        for (int i = 0; i < 4 && !ds->cameras[k].in_rows; i++) {
            snprintf(buf[n], 512, "videos/%s/%s", ds->cameras[k].key, part[i]);
            names[n] = buf[n];
            n++;
        }
    }
    return n;
}

/* Rows of an episodes file that is open: LeRobot's columns into ds->episodes, further ones into the fields. */
static fw_status episodes_rows(fw_dataset *ds, fw_pq_reader *r, const char *path, const char *data_path,
                               const char *video_path, char *const *further, int n_further, int64_t *at, fw_err *err) {
    char buf[7 + 4 * FW_MAX_CAMERAS][512];
    fw_table t = {0};
    ep_columns c = {0};
    const char **names = calloc((size_t)(7 + 4 * FW_MAX_CAMERAS + n_further), sizeof(*names));
    if (names == NULL) {
        return nomem(err, ds);
    }
    int n = ep_column_names(ds, video_path != NULL, names, buf);
    for (int i = 0; i < n_further; i++) {
        names[n++] = further[i];
    }
    fw_status st = fw_table_read_from(r, path, names, n, 0, -1, &t, err);
    st = st == FW_OK ? find_ep_columns(ds, &t, path, video_path != NULL, &c, err) : st;
    int64_t rows = t.rows < ds->n_episodes - *at ? t.rows : ds->n_episodes - *at;
    st = st == FW_OK ? room_for(ds, *at + rows, err) : st;
    for (int64_t i = 0; i < rows && st == FW_OK; i++) {
        st = v3_episode(ds, path, &c, i, data_path, video_path, &ds->episodes[*at + i], err);
    }
    st = st == FW_OK ? fw_fields_append(&ds->priv->fields, &t, further, n_further, rows, path, err) : st;
    *at += rows;
    fw_table_clear(&t);
    free(names);
    return st;
}

static fw_status episodes_file(fw_dataset *ds, const char *path, const char *data_path, const char *video_path,
                               int64_t *at, fw_err *err) {
    fw_pq_reader *r;
    char **further = NULL;
    int n = 0;
    FW_TRY(fw_pq_open(path, &r, err));
    fw_status st = fw_fields_names(r, path, &further, &n, err);
    st = st == FW_OK ? episodes_rows(ds, r, path, data_path, video_path, further, n, at, err) : st;
    fw_names_free(further, (size_t)n);
    fw_pq_close(r);
    return st;
}

/* dataset_from_index counts over all files: make it count within each. */
static fw_status localise_rows(fw_dataset *ds, fw_err *err) {
    int64_t *low = malloc((size_t)(ds->n_data_files + 1) * sizeof(*low));
    if (low == NULL) {
        return nomem(err, ds);
    }
    for (int f = 0; f < ds->n_data_files; f++) {
        low[f] = INT64_MAX;
    }
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        int64_t *l = &low[ds->episodes[e].data_file];
        *l = ds->episodes[e].data_row < *l ? ds->episodes[e].data_row : *l;
    }
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        ds->episodes[e].data_row -= low[ds->episodes[e].data_file];
    }
    free(low);
    return FW_OK;
}

/* What the tables say of each episode's place in the whole, as it stands there. */
static fw_status keep_places(fw_dataset *ds, fw_err *err) {
    if ((ds->priv->from = malloc((size_t)(ds->n_episodes + 1) * sizeof(int64_t))) == NULL) {
        return nomem(err, ds);
    }
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        ds->priv->from[e] = ds->episodes[e].data_row;
    }
    return localise_rows(ds, err);
}

/* Call episodes_file for every meta/episodes/chunk-X/file-Y.parquet in order. */
static fw_status open_v3(fw_dataset *ds, const char *where, const json_t *info, fw_err *err) {
    char root[PATH_BYTES], chunk[PATH_BYTES], path[PATH_BYTES];
    const char *data_path, *video_path = json_string_value(json_object_get(info, "video_path"));
    char **chunks = NULL, **files = NULL;
    size_t n_chunks = 0, n_files = 0;
    int64_t at = 0;
    FW_TRY(fw_json_str(info, "data_path", where, &data_path, err));
    FW_TRY(read_sentences(ds, "task", &ds->tasks, &ds->n_tasks, err));
    FW_TRY(dir_path(ds, "meta/episodes", root, err));
    FW_TRY(fw_list_dir(root, &chunks, &n_chunks, err));
    fw_status st = FW_OK;
    for (size_t i = 0; i < n_chunks && st == FW_OK; i++) {
        if ((st = fw_path_join(chunk, sizeof(chunk), root, chunks[i], err)) != FW_OK || !fw_path_is_dir(chunk)) {
            continue;
        }
        if ((st = fw_list_dir(chunk, &files, &n_files, err)) != FW_OK) {
            break;
        }
        for (size_t k = 0; k < n_files && st == FW_OK && at < ds->n_episodes; k++) {
            const char *dot = strrchr(files[k], '.');
            if (dot == NULL || strcmp(dot, ".parquet") != 0) {
                continue;
            }
            st = fw_path_join(path, sizeof(path), chunk, files[k], err);
            st = st == FW_OK ? episodes_file(ds, path, data_path, video_path, &at, err) : st;
        }
        fw_names_free(files, n_files);
    }
    fw_names_free(chunks, n_chunks);
    if (st == FW_OK && at != ds->n_episodes) {
        st = fw_fail(err, FW_FORMAT, "%s: %lld episodes, info.json counts %lld", root, (long long)at,
                     (long long)ds->n_episodes);
    }
    return st == FW_OK ? keep_places(ds, err) : st;
}

/* --- open, close --- */

static fw_status read_info(fw_dataset *ds, const char *where, const json_t *info, fw_err *err) {
    const char *version;
    const json_t *features;
    int64_t episodes, frames;
    FW_TRY(fw_json_str(info, "codebase_version", where, &version, err));
    ds->version = strncmp(version, "v3.", 3) == 0 ? 30 : strcmp(version, "v2.1") == 0 ? 21 : 0;
    if (ds->version == 0) {
        return fw_fail(err, FW_UNSUPPORTED, "%s: codebase_version '%s', wanted v3.0 or v2.1", where, version);
    }
    FW_TRY(fw_json_f64(info, "fps", where, &ds->fps, err));
    FW_TRY(fw_json_i64(info, "total_episodes", where, 0, MAX_EPISODES, &episodes, err));
    FW_TRY(fw_json_i64(info, "total_frames", where, 0, INT64_MAX / 2, &frames, err));
    FW_TRY(fw_json_obj(info, "features", where, &features, err));
    const char *robot = json_string_value(json_object_get(info, "robot_type"));
    ds->robot_type = strdup(robot != NULL ? robot : "");
    ds->n_episodes = episodes;
    ds->n_frames = frames;
    if (!(ds->fps > 0.0) || ds->fps > 10000.0) {
        return fw_fail(err, FW_FORMAT, "%s: fps is %g", where, ds->fps);
    }
    FW_TRY(read_features(ds, where, features, err));
    FW_TRY(room_for(ds, 0, err));
    FW_TRY(read_subtasks(ds, err));
    return ds->version == 30 ? open_v3(ds, where, info, err) : open_v21(ds, where, info, err);
}

static fw_status count_frames(fw_dataset *ds, bool counted, const char *where, fw_err *err) {
    int64_t n = 0;
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        ds->episodes[e].first = n;
        n += ds->episodes[e].length;
    }
    ds->priv->total_frames = ds->n_frames;
    if (!counted) {
        ds->n_frames = n;
    }
    if (n != ds->n_frames) {
        return fw_fail(err, FW_FORMAT, "%s: total_frames is %lld, its %lld episodes have %lld", where,
                       (long long)ds->n_frames, (long long)ds->n_episodes, (long long)n);
    }
    return FW_OK;
}

static fw_status open_dataset(const char *dir, bool counted, fw_dataset **out, fw_err *err) {
    char path[PATH_BYTES];
    json_t *info = NULL;
    fw_status st;
    *out = NULL;
    fw_dataset *ds = calloc(1, sizeof(*ds));
    if (ds == NULL || (ds->dir = strdup(dir)) == NULL || (ds->priv = calloc(1, sizeof(*ds->priv))) == NULL) {
        st = fw_fail(err, FW_NOMEM, "%s", dir);
        goto done;
    }
    for (size_t n = strlen(ds->dir); n > 1 && ds->dir[n - 1] == '/'; n--) {
        ds->dir[n - 1] = 0;
    }
    ds->priv->table_file = ds->priv->video_file = -1;
    if (!fw_path_is_dir(dir)) {
        st = fw_fail(err, FW_IO, "%s: no such folder", dir);
        goto done;
    }
    if ((st = dir_path(ds, "meta/info.json", path, err)) != FW_OK) {
        goto done;
    }
    if (!fw_path_exists(path)) {
        st = fw_fail(err, FW_FORMAT, "%s: not a LeRobot dataset, it has no meta/info.json", dir);
        goto done;
    }
    if ((st = fw_json_load(path, &info, err)) != FW_OK || (st = read_info(ds, path, info, err)) != FW_OK) {
        goto done;
    }
    st = count_frames(ds, counted, path, err);
done:
    json_decref(info);
    if (st != FW_OK) {
        fw_dataset_close(ds);
        ds = NULL;
    }
    *out = ds;
    return st;
}

fw_status fw_dataset_open(const char *dir, fw_dataset **out, fw_err *err) {
    return open_dataset(dir, true, out, err);
}

fw_status fw_dataset_open_miscounted(const char *dir, fw_dataset **out, fw_err *err) {
    return open_dataset(dir, false, out, err);
}

static void free_texts(char **v, int64_t n) {
    for (int64_t i = 0; v != NULL && i < n; i++) {
        free(v[i]);
    }
    free(v);
}

void fw_dataset_priv_clear(struct fw_dataset_priv *p) {
    fw_table_clear(&p->table);
    fw_video_close(p->video);
    *p = (struct fw_dataset_priv){.fields = p->fields,
                                  .lines = p->lines,
                                  .from = p->from,
                                  .total_frames = p->total_frames,
                                  .table_file = -1,
                                  .video_file = -1};
}

static void free_lines(fw_dataset *ds) {
    for (int64_t e = 0; ds->priv->lines != NULL && e < ds->n_episodes; e++) {
        json_decref(ds->priv->lines[e]);
    }
    free(ds->priv->lines);
    ds->priv->lines = NULL;
}

void fw_dataset_close(fw_dataset *ds) {
    if (ds == NULL) {
        return;
    }
    int64_t room = ds->priv != NULL ? ds->priv->room : 0;
    if (ds->priv != NULL) {
        fw_dataset_priv_clear(ds->priv);
        fw_table_clear(&ds->priv->fields);
        free_lines(ds);
        free(ds->priv->from);
        free(ds->priv);
    }
    for (int i = 0; i < ds->n_features; i++) {
        free(ds->features[i].key);
        free(ds->features[i].dtype);
        free_texts(ds->features[i].names, ds->features[i].n_names);
    }
    for (int i = 0; i < ds->n_visual; i++) {
        free(ds->cameras[i].key);
        free(ds->cameras[i].name);
    }
    for (int64_t e = 0; ds->episodes != NULL && e < ds->n_episodes && e < room; e++) {
        free_texts(ds->episodes[e].tasks, ds->episodes[e].n_tasks);
    }
    free_texts(ds->tasks, ds->n_tasks);
    free_texts(ds->subtasks, ds->n_subtasks);
    free_texts(ds->data_files, ds->n_data_files);
    free_texts(ds->video_files, ds->n_video_files);
    free(ds->features);
    free(ds->cameras);
    free(ds->episodes);
    free(ds->robot_type);
    free(ds->dir);
    free(ds);
}

int fw_dataset_videos(const fw_dataset *ds) {
    int n = 0;
    for (int c = 0; c < ds->n_visual; c++) {
        n += !ds->cameras[c].in_rows;
    }
    return n;
}

int fw_dataset_camera(const fw_dataset *ds, const char *name) {
    for (int i = 0; i < ds->n_visual; i++) {
        if (strcmp(ds->cameras[i].name, name) == 0 || strcmp(ds->cameras[i].key, name) == 0) {
            return i;
        }
    }
    return -1;
}

const char *fw_dataset_video(const fw_dataset *ds, int64_t ep, int cam, double *from_s) {
    int f = ds->episodes[ep].video[cam].file;
    *from_s = ds->episodes[ep].video[cam].from_s;
    return f >= 0 ? ds->video_files[f] : NULL;
}
