/* replay.c - see replay.h. */
#include "data/replay.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/table.h"

static const char *const seed_names[FW_SEEDS] = {"seed_layout", "seed_visual", "seed_dynamics", "seed_expert",
                                                 "seed_noise"};

void fw_replay_fields(const fw_replay *r, fw_field out[FW_REPLAY_FIELDS]) {
    int n = 0;
    out[n++] = (fw_field){.name = "suite", .kind = FW_FIELD_TEXT, .text = r->suite};
    out[n++] = (fw_field){.name = "task", .kind = FW_FIELD_TEXT, .text = r->task};
    out[n++] = (fw_field){.name = "task_version", .kind = FW_FIELD_INT, .i = r->version};
    out[n++] = (fw_field){.name = "ranges", .kind = FW_FIELD_TEXT, .text = r->ranges};
    out[n++] = (fw_field){.name = "look", .kind = FW_FIELD_TEXT, .text = r->look};
    out[n++] = (fw_field){.name = "home_number", .kind = FW_FIELD_INT, .i = (int64_t)r->home};
    for (int k = 0; k < FW_SEEDS; k++) {
        out[n++] = (fw_field){.name = seed_names[k], .kind = FW_FIELD_INT, .i = (int64_t)r->seed[k]};
    }
    out[n++] = (fw_field){.name = "noisy", .kind = FW_FIELD_INT, .i = r->noisy};
    out[n++] = (fw_field){.name = "noise", .kind = FW_FIELD_REAL, .real = r->noise};
    out[n++] = (fw_field){.name = "physics", .kind = FW_FIELD_TEXT, .text = r->physics};
}

/* --- reading */
static fw_status missing(const fw_dataset *ds, int64_t ep, const char *name, fw_err *err) {
    return fw_fail(err, FW_INVALID, "%.120s: ep %lld: no field '%s': not an episode of `flywheel sim make`", ds->dir,
                   (long long)ep, name);
}

static fw_status read_text(const fw_dataset *ds, int64_t ep, const char *name, char *out, size_t cap, fw_err *err) {
    const char *text;
    if (!fw_dataset_field_text(ds, ep, name, &text)) {
        return missing(ds, ep, name, err);
    }
    if (strlen(text) >= cap) {
        return fw_fail(err, FW_FORMAT, "%.100s: ep %lld: field '%s': wanted at most %zu bytes, found %zu", ds->dir,
                       (long long)ep, name, cap - 1, strlen(text));
    }
    snprintf(out, cap, "%s", text);
    return FW_OK;
}

static fw_status read_int(const fw_dataset *ds, int64_t ep, const char *name, int64_t *out, fw_err *err) {
    return fw_dataset_field_int(ds, ep, name, out) ? FW_OK : missing(ds, ep, name, err);
}

fw_status fw_replay_read(const fw_dataset *ds, int64_t ep, fw_replay *r, fw_err *err) {
    int64_t home, noisy, seed;
    *r = (fw_replay){.version = 0};
    FW_TRY(read_text(ds, ep, "suite", r->suite, sizeof r->suite, err));
    FW_TRY(read_text(ds, ep, "task", r->task, sizeof r->task, err));
    FW_TRY(read_text(ds, ep, "ranges", r->ranges, sizeof r->ranges, err));
    FW_TRY(read_text(ds, ep, "look", r->look, sizeof r->look, err));
    FW_TRY(read_text(ds, ep, "physics", r->physics, sizeof r->physics, err));
    FW_TRY(read_int(ds, ep, "task_version", &r->version, err));
    FW_TRY(read_int(ds, ep, "home_number", &home, err));
    FW_TRY(read_int(ds, ep, "noisy", &noisy, err));
    for (int k = 0; k < FW_SEEDS; k++) {
        FW_TRY(read_int(ds, ep, seed_names[k], &seed, err));
        r->seed[k] = (uint64_t)seed;
    }
    if (!fw_dataset_field_number(ds, ep, "noise", &r->noise) || !(r->noise >= 0 && r->noise <= 1)) {
        return missing(ds, ep, "noise", err);
    }
    r->home = (uint64_t)home;
    r->noisy = noisy != 0;
    return FW_OK;
}

void fw_replay_key(const fw_replay *r, char out[FW_REPLAY_KEY]) {
    char text[700];
    uint64_t h = 0xCBF29CE484222325ull; /* FNV-1a */
    snprintf(text, sizeof text, "%s/%s/%lld/%s/%s/%llu/%llu/%llu/%llu/%llu/%d/%.17g", r->suite, r->task,
             (long long)r->version, r->ranges, r->physics, (unsigned long long)r->home,
             (unsigned long long)r->seed[FW_SEED_LAYOUT], (unsigned long long)r->seed[FW_SEED_DYNAMICS],
             (unsigned long long)r->seed[FW_SEED_EXPERT], (unsigned long long)r->seed[FW_SEED_NOISE], r->noisy,
             r->noise);
    for (const char *c = text; *c != 0; c++) {
        h = (h ^ (unsigned char)*c) * 0x100000001B3ull;
    }
    snprintf(out, FW_REPLAY_KEY, "%016llx", (unsigned long long)h);
}

/* --- views */
static fw_status path_of(const char *dir, const fw_replay *r, char folder[1100], char path[1200], fw_err *err) {
    char key[FW_REPLAY_KEY], name[32];
    fw_replay_key(r, key);
    snprintf(name, sizeof name, "%s.parquet", key);
    FW_TRY(fw_path_join(folder, 1100, dir, "sim", err));
    return fw_path_join(path, 1200, folder, name, err);
}

bool fw_views_exist(const char *dir, const fw_replay *r) {
    char folder[1100], path[1200];
    return path_of(dir, r, folder, path, NULL) == FW_OK && fw_path_exists(path);
}

fw_status fw_views_write(const char *dir, const fw_replay *r, const fw_views *v, fw_err *err) {
    char folder[1100], path[1200];
    fw_table t = {.rows = v->n_frame};
    FW_TRY(path_of(dir, r, folder, path, err));
    FW_TRY(fw_mkdirs(folder, err));
    int frame = fw_table_add_column(&t, "frame", FW_COL_I64, 0, 1);
    int view = fw_table_add_column(&t, "view", FW_COL_F64, 1, v->n_view);
    fw_table_push_i64(&t, frame, v->frame, v->n_frame);
    fw_table_push_f64(&t, view, v->view, v->n_frame * v->n_view);
    fw_status st = fw_table_write(path, &t, 0, NULL, 0, err);
    fw_table_clear(&t);
    return st;
}

static fw_status take(const fw_table *t, const char *path, fw_views *out, fw_err *err) {
    const fw_column *frame = fw_table_find(t, "frame"), *view = fw_table_find(t, "view");
    bool fits = frame != NULL && view != NULL && frame->type == FW_COL_I64 && frame->depth == 0 &&
                view->type == FW_COL_F64 && view->depth == 1 && view->width >= 1 && view->width <= 1 << 20 &&
                t->rows > 0;
    if (!fits) {
        return fw_fail(err, FW_FORMAT, "%.160s: wanted columns frame (int64) and view (lists of doubles), found others",
                       path);
    }
    for (int64_t i = 0; i < view->n; i++) {
        if (!isfinite(view->f64[i])) {
            return fw_fail(err, FW_FORMAT, "%.160s: frame %lld: wanted finite numbers, found NaN or infinity", path,
                           (long long)(i / view->width));
        }
    }
    *out = (fw_views){.n_frame = t->rows, .n_view = (int)view->width};
    size_t n = (size_t)view->n;
    out->frame = malloc((size_t)t->rows * sizeof *out->frame);
    out->view = malloc(n * sizeof *out->view);
    if (out->frame == NULL || out->view == NULL) {
        fw_views_clear(out);
        return fw_fail(err, FW_NOMEM, "%.160s: %lld frames", path, (long long)t->rows);
    }
    memcpy(out->frame, frame->i64, (size_t)t->rows * sizeof *out->frame);
    memcpy(out->view, view->f64, n * sizeof *out->view);
    return FW_OK;
}

fw_status fw_views_read(const char *dir, const fw_replay *r, int64_t length, fw_views *out, fw_err *err) {
    char folder[1100], path[1200];
    fw_table t;
    FW_TRY(path_of(dir, r, folder, path, err));
    FW_TRY(fw_table_read(path, NULL, 0, &t, err));
    fw_status st = t.rows == length ? take(&t, path, out, err)
                                    : fw_fail(err, FW_FORMAT, "%.160s: wanted %lld views, found %lld", path,
                                              (long long)length, (long long)t.rows);
    fw_table_clear(&t);
    return st;
}

fw_status fw_views_copy(const char *from, const char *to, const fw_replay *r, fw_err *err) {
    char folder[1100], path[1200], there[1200];
    FW_TRY(path_of(from, r, folder, path, err));
    if (!fw_path_exists(path)) {
        return FW_OK;
    }
    FW_TRY(path_of(to, r, folder, there, err));
    FW_TRY(fw_mkdirs(folder, err));
    return fw_file_link(path, there, err);
}

void fw_views_clear(fw_views *v) {
    free(v->frame);
    free(v->view);
    *v = (fw_views){.n_frame = 0};
}
