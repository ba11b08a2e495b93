/*
 * check.c - everything about a dataset that can be wrong and that can be seen without decoding pixels (see dataset.h).
 *
 * Findings are collected, never fatal: one bad file must not hide the next. At most a few findings of a kind are kept for
 * each episode and feature, so that a broken column does not bury the rest.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "data/dataset_int.h"

typedef struct checker {
    fw_dataset *ds;
    double tolerance_s;
    fw_findings *out;
    bool nomem;
} checker;

void fw_findings_clear(fw_findings *f) {
    for (int64_t i = 0; i < f->n; i++) {
        free(f->item[i].file);
        free(f->item[i].text);
    }
    free(f->item);
    *f = (fw_findings){0};
}

static void FW_PRINTF(7, 8) found(checker *c, const char *kind, const char *file, int64_t ep, int64_t frame,
                                  bool repairable, const char *fmt, ...) {
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fw_findings *f = c->out;
    if (f->n == f->cap) {
        int64_t cap = f->cap > 0 ? 2 * f->cap : 16;
        fw_finding *more = realloc(f->item, (size_t)cap * sizeof(*more));
        if (more == NULL) {
            c->nomem = true;
            return;
        }
        f->item = more;
        f->cap = cap;
    }
    fw_finding *x = &f->item[f->n];
    *x = (fw_finding){.episode = ep, .frame = frame, .repairable = repairable};
    snprintf(x->kind, sizeof(x->kind), "%s", kind);
    x->file = strdup(c->ds != NULL ? fw_dataset_rel(c->ds, file) : file);
    x->text = strdup(text);
    if (x->file == NULL || x->text == NULL) {
        free(x->file);
        free(x->text);
        c->nomem = true;
        return;
    }
    f->n++;
}

/* A message without the path that it begins with: the finding names its file already. */
static const char *without(const char *path, const char *msg) {
    size_t n = strlen(path);
    return strncmp(msg, path, n) == 0 && strncmp(msg + n, ": ", 2) == 0 ? msg + n + 2 : msg;
}

/* --- rows --- */

/* The column, or a finding. */
static const fw_column *want_column(checker *c, const fw_table *t, const char *file, const char *name, int64_t width) {
    const fw_column *col = fw_table_find(t, name);
    if (col == NULL || col->type == FW_COL_STR) {
        found(c, "missing_column", file, -1, -1, false, "wanted a number column '%s'", name);
        return NULL;
    }
    for (int64_t r = 0; col->width != width && r < t->rows; r++) {
        int64_t first, n;
        fw_column_row(col, r, &first, &n);
        if (n != width) {
            found(c, "shape", file, -1, r, false, "row %lld: %s has %lld values, info.json wants %lld", (long long)r,
                  name, (long long)n, (long long)width);
            return NULL;
        }
    }
    return col;
}

static void check_finite(checker *c, const fw_table *t, const char *file, const fw_feature *f,
                         const fw_episode_info *e) {
    const fw_column *col = fw_table_find(t, f->key);
    for (int64_t i = 0; i < e->length * f->size; i++) {
        double v = fw_column_f64(col, e->data_row * f->size + i);
        if (!isfinite(v)) {
            int64_t dim = i % f->size;
            found(c, "not_finite", file, e->index, i / f->size, false, "%s[%lld]%s%s is %g", f->key, (long long)dim,
                  dim < f->n_names ? " " : "", dim < f->n_names ? f->names[dim] : "", v);
            return; /* one an episode and feature */
        }
    }
}

/* The first row of an integer column that is not what its place says. */
static void check_index(checker *c, const fw_table *t, const char *file, const char *name, const fw_episode_info *e,
                        int64_t start, int64_t step) {
    const fw_column *col = fw_table_find(t, name);
    for (int64_t i = 0; i < e->length; i++) {
        int64_t v = fw_column_i64(col, e->data_row + i), want = start + i * step;
        if (v != want) {
            found(c, name, file, e->index, i, true, "%s is %lld, wanted %lld", name, (long long)v, (long long)want);
            return;
        }
    }
}

static void check_timestamps(checker *c, const fw_table *t, const char *file, const fw_episode_info *e) {
    const fw_column *col = fw_table_find(t, "timestamp");
    double worst = 0.0, last = -INFINITY;
    int64_t at = 0;
    for (int64_t i = 0; i < e->length; i++) {
        double v = fw_column_f64(col, e->data_row + i), d = fabs(v - (double)i / c->ds->fps);
        if (!isfinite(v) || v <= last) {
            found(c, "timestamp_order", file, e->index, i, true, "timestamp is %.4f s after %.4f s", v, last);
            return;
        }
        last = v;
        at = d > worst ? i : at;
        worst = d > worst ? d : worst;
    }
    if (worst > c->tolerance_s) {
        found(c, "timestamp", file, e->index, at, true,
              "timestamps stray up to %.4f s from frame/fps, tolerance %.4f s", worst, c->tolerance_s);
    }
}

static void check_tasks(checker *c, const fw_table *t, const char *file, const fw_episode_info *e) {
    const fw_column *col = fw_table_find(t, "task_index");
    for (int64_t i = 0; i < e->length; i++) {
        int64_t v = fw_column_i64(col, e->data_row + i);
        bool known = false;
        for (int k = 0; v >= 0 && v < c->ds->n_tasks && k < e->n_tasks; k++) {
            known = known || strcmp(e->tasks[k], c->ds->tasks[v]) == 0;
        }
        if (!known) {
            found(c, "task_index", file, e->index, i, false,
                  "task_index %lld is not among the episode's tasks (%d tasks in all)", (long long)v, c->ds->n_tasks);
            return;
        }
    }
}

static void check_rows(checker *c) {
    fw_dataset *ds = c->ds;
    int checked_file = -1;
    bool usable = false;
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        const fw_episode_info *i = &ds->episodes[e];
        const char *file = ds->data_files[i->data_file];
        const fw_table *t = &ds->priv->table;
        fw_err why;
        if (i->data_file != checked_file) { /* once a file */
            checked_file = i->data_file;
            usable = false;
            if (!fw_path_exists(file)) {
                found(c, "missing_file", file, i->index, -1, false, "there is no such file");
                continue;
            }
            if (fw_dataset_table(ds, i->data_file, &t, &why) != FW_OK) {
                found(c, "damaged_file", file, i->index, -1, false, "%s", without(file, why.msg));
                continue;
            }
            usable = true;
            static const char *const scalar[] = {"timestamp", "frame_index", "episode_index", "index", "task_index"};
            for (size_t k = 0; k < sizeof(scalar) / sizeof(*scalar); k++) {
                usable = want_column(c, t, file, scalar[k], 1) != NULL && usable;
            }
            usable = (ds->state == NULL || want_column(c, t, file, ds->state->key, ds->n_state) != NULL) && usable;
            usable = (ds->action == NULL || want_column(c, t, file, ds->action->key, ds->n_action) != NULL) && usable;
        }
        if (!usable) {
            continue;
        }
        bool alone = ds->version == 21; /* one file an episode: it must hold nothing else */
        if (t->rows < i->data_row + i->length || (alone && t->rows != i->length)) {
            found(c, "length", file, i->index, -1, false, "wanted %lld rows from row %lld, the file has %lld",
                  (long long)i->length, (long long)i->data_row, (long long)t->rows);
            continue;
        }
        check_index(c, t, file, "frame_index", i, 0, 1);
        check_index(c, t, file, "episode_index", i, i->index, 0);
        check_index(c, t, file, "index", i, i->first, 1);
        check_timestamps(c, t, file, i);
        check_tasks(c, t, file, i);
        if (ds->state != NULL) {
            check_finite(c, t, file, ds->state, i);
        }
        if (ds->action != NULL) {
            check_finite(c, t, file, ds->action, i);
        }
    }
}

/* --- videos --- */

/* Frames that the episodes want from each video file: up to the end of the last one in it. */
static void wanted_frames(const fw_dataset *ds, int64_t *want, int *cam) {
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        for (int c = 0; c < ds->n_cameras; c++) {
            int f = ds->episodes[e].video[c].file;
            if (f < 0) {
                continue;
            }
            int64_t end = llround(ds->episodes[e].video[c].from_s * ds->fps) + ds->episodes[e].length;
            cam[f] = c;
            want[f] = end > want[f] ? end : want[f];
        }
    }
}

/* The first episode that reaches past frame n of file f, and its frame there. */
static void first_short(const fw_dataset *ds, int f, int c, int64_t n, int64_t *ep, int64_t *frame) {
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        const fw_episode_info *i = &ds->episodes[e];
        int64_t from = llround(i->video[c].from_s * ds->fps);
        if (i->video[c].file == f && from + i->length > n) {
            *ep = i->index;
            *frame = n > from ? n - from : 0;
            return;
        }
    }
}

static void check_video(checker *c, int f, int cam, int64_t want) {
    const fw_dataset *ds = c->ds;
    const char *file = ds->video_files[f];
    int64_t ep = -1, n = 0, frame = -1;
    fw_video *v;
    fw_err why;
    first_short(ds, f, cam, 0, &ep, &frame); /* the first episode in it */
    if (!fw_path_exists(file)) {
        found(c, "missing_file", file, ep, -1, false, "there is no such video");
        return;
    }
    if (fw_video_open(file, &v, &why) != FW_OK) {
        found(c, "damaged_file", file, ep, -1, false, "%s", without(file, why.msg));
        return;
    }
    const fw_video_info *info = fw_video_get_info(v);
    if (info->h != ds->cameras[cam].h || info->w != ds->cameras[cam].w) {
        found(c, "video_size", file, ep, -1, true, "%dx%d, info.json says %dx%d", info->w, info->h, ds->cameras[cam].w,
              ds->cameras[cam].h);
    }
    if (info->fps > 0.0 && fabs(info->fps - ds->fps) > 0.02 * ds->fps) {
        found(c, "video_fps", file, ep, -1, false, "%.3f frames/s, info.json says %.3f", info->fps, ds->fps);
    }
    if (fw_video_count(v, &n, &why) != FW_OK) {
        found(c, "damaged_file", file, ep, -1, false, "%s", without(file, why.msg));
    } else if (n < want) {
        first_short(ds, f, cam, n, &ep, &frame);
        found(c, "video_short", file, ep, frame, false, "the video has %lld frames, its table wants %lld", (long long)n,
              (long long)want);
    } else if (n > want) {
        found(c, "video_long", file, ep, -1, true, "the video has %lld frames, its table wants %lld", (long long)n,
              (long long)want);
    }
    fw_video_close(v);
}

static fw_status check_videos(checker *c, fw_err *err) {
    const fw_dataset *ds = c->ds;
    size_t n = (size_t)ds->n_video_files + 1;
    int64_t *want = calloc(n, sizeof(*want));
    int *cam = calloc(n, sizeof(*cam));
    fw_status st = FW_OK;
    if (want == NULL || cam == NULL) {
        st = fw_fail(err, FW_NOMEM, "%s: %zu videos", ds->dir, n);
    } else {
        wanted_frames(ds, want, cam);
        for (int f = 0; f < ds->n_video_files; f++) {
            check_video(c, f, cam[f], want[f]);
        }
    }
    for (int64_t e = 0; e < ds->n_episodes && st == FW_OK; e++) {
        for (int k = 0; k < ds->n_cameras; k++) {
            if (ds->episodes[e].video[k].file < 0) {
                found(c, "missing_camera", "", ds->episodes[e].index, -1, false, "no video of %s", ds->cameras[k].key);
            }
        }
    }
    free(want);
    free(cam);
    return st;
}

/* --- statistics --- */

static void compare_stat(checker *c, const char *path, const char *feature, const json_t *stats, const char *name,
                         const double *want, const double *scale, int64_t n) {
    const json_t *a = json_object_get(stats, name);
    if (!json_is_array(a) || (int64_t)json_array_size(a) != n) {
        found(c, "stats", path, -1, -1, true, "%s: %s: wanted %lld numbers, found %zu", feature, name, (long long)n,
              json_array_size(a));
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        double v = json_number_value(json_array_get(a, (size_t)i));
        if (!(fabs(v - want[i]) <= 1e-3 * scale[i] + 1e-5 * fabs(want[i]) + 1e-6)) {
            found(c, "stats", path, -1, -1, true, "%s: %s[%lld] is %g, the data say %g", feature, name, (long long)i, v,
                  want[i]);
            return;
        }
    }
}

/* meta/stats.json against the rows (v3.0; v2.1 has statistics by episode only). */
static void check_stats(checker *c, const fw_feature *f) {
    char path[4096];
    json_t *all;
    fw_column_stats s;
    fw_err why;
    if (f == NULL || fw_dataset_compute_stats(c->ds, f->key, NULL, 0, &s, &why) != FW_OK) {
        return; /* the rows are no good: said already */
    }
    if (fw_path_join(path, sizeof(path), c->ds->dir, "meta/stats.json", &why) != FW_OK ||
        fw_json_load(path, &all, &why) != FW_OK) {
        found(c, "stats", "meta/stats.json", -1, -1, true, "%s", why.msg);
        fw_column_stats_clear(&s);
        return;
    }
    const json_t *j = json_object_get(all, f->key);
    if (j == NULL) {
        found(c, "stats", path, -1, -1, true, "no statistics of %s", f->key);
    } else {
        compare_stat(c, path, f->key, j, "min", s.min, s.std, s.n);
        compare_stat(c, path, f->key, j, "max", s.max, s.std, s.n);
        compare_stat(c, path, f->key, j, "mean", s.mean, s.std, s.n);
        compare_stat(c, path, f->key, j, "std", s.std, s.std, s.n);
    }
    json_decref(all);
    fw_column_stats_clear(&s);
}

/* The dataset does not open: msg begins with the file at fault, "DIR/meta/info.json: total_frames is ..." */
static void found_metadata(checker *c, const char *dir, const char *msg) {
    char file[4096] = "meta";
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/') {
        n--;
    }
    const char *end = strstr(msg, ": ");
    if (end != NULL && strncmp(msg, dir, n) == 0 && msg[n] == '/') {
        snprintf(file, sizeof(file), "%.*s", (int)(end - msg - (ptrdiff_t)n - 1), msg + n + 1);
        msg = end + 2;
    }
    found(c, "metadata", file, -1, -1, false, "%s", msg);
}

fw_status fw_dataset_check(const char *dir, double tolerance_s, fw_findings *out, fw_err *err) {
    checker c = {.out = out};
    fw_err why;
    *out = (fw_findings){0};
    fw_status st = fw_dataset_open(dir, &c.ds, &why);
    if (st == FW_NOMEM || (st == FW_IO && !fw_path_is_dir(dir))) {
        return fw_fail(err, st, "%s", why.msg);
    }
    if (st != FW_OK) { /* no struct to go on with: this is the finding */
        found_metadata(&c, dir, why.msg);
        return FW_OK;
    }
    c.tolerance_s = tolerance_s > 0.0 ? tolerance_s : 1.1 / c.ds->fps;
    check_rows(&c);
    st = check_videos(&c, err);
    if (st == FW_OK && c.ds->version == 30) {
        check_stats(&c, c.ds->state);
        check_stats(&c, c.ds->action);
    }
    fw_dataset_close(c.ds);
    if (st == FW_OK && c.nomem) {
        st = fw_fail(err, FW_NOMEM, "%s: findings", dir);
    }
    if (st != FW_OK) {
        fw_findings_clear(out);
    }
    return st;
}
