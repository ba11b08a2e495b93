/* spoil.h - a good dataset of three episodes, and ways to break it. */
#ifndef TESTS_DATA_SPOIL_H
#define TESTS_DATA_SPOIL_H

#include <unistd.h>

#include "base/json.h"
#include "data/table.h"
#include "data/video.h"
#include "make.h"

#define DATA_FILE  "data/chunk-000/file-000.parquet"
#define VIDEO_FILE "videos/observation.images.wrist/chunk-000/file-000.mp4"
#define EPS_FILE   "meta/episodes/chunk-000/file-000.parquet"
#define TASKS_FILE "meta/tasks.parquet"

static inline const char *file_in(const char *dir, const char *name) {
    static char path[1400];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

/* A fresh copy of a dataset of three episodes. */
static inline const char *good(void) {
    static char master[600];
    if (master[0] == 0) {
        snprintf(master, sizeof(master), "%s", mk_dir("master"));
        mk_dataset(master, 0, 3);
    }
    const char *dir = mk_dir("bad");
    char cmd[1300];
    snprintf(cmd, sizeof(cmd), "cp -r '%s' '%s'", master, dir);
    CHECK_INT(system(cmd), 0);
    return dir;
}

/* `data check` has a finding of this kind (and episode, frame, unless -2). */
static inline void check_finds(const char *dir, const char *kind, int64_t ep, int64_t frame) {
    fw_findings f;
    OK(fw_dataset_check(dir, NULL, &f, err));
    int hit = 0;
    for (int64_t i = 0; i < f.n; i++) {
        CHECK(strstr(f.item[i].text, dir) == NULL && f.item[i].file[0] != '/'); /* the path is said once, by `file` */
        hit += strcmp(f.item[i].kind, kind) == 0 && (ep == -2 || f.item[i].episode == ep) &&
               (frame == -2 || f.item[i].frame == frame);
    }
    if (hit == 0) {
        FW_FAILED("no finding '%s' of ep %d frame %d; first of %d: %s %s", kind, (int)ep, (int)frame, (int)f.n,
                  f.n > 0 ? f.item[0].kind : "", f.n > 0 ? f.item[0].text : "");
    }
    fw_findings_clear(&f);
}

static inline void truncate_to(const char *dir, const char *name, double share) {
    char *data;
    size_t n;
    OK(fw_file_read(file_in(dir, name), 1 << 24, &data, &n, err));
    CHECK(truncate(file_in(dir, name), (off_t)((double)n * share)) == 0);
    free(data);
}

/* Rewrite a Parquet file after `change` has had its way with the table. */
static inline void rewrite(const char *dir, const char *name, void (*change)(fw_table *t)) {
    fw_table t;
    OK(fw_table_read(file_in(dir, name), NULL, 0, &t, err));
    change(&t);
    OK(fw_table_write(file_in(dir, name), &t, 0, NULL, 0, err));
    fw_table_clear(&t);
}

static inline fw_column *column(fw_table *t, const char *name) {
    for (int i = 0; i < t->n_cols; i++) {
        if (strcmp(t->cols[i].name, name) == 0) {
            return &t->cols[i];
        }
    }
    FW_FAILED("no column %s", name);
}

static inline void shift_episode_index(fw_table *t) {
    column(t, "episode_index")->i64[mk_length(0) + 2] = 7;
}
static inline void jump_frame_index(fw_table *t) {
    column(t, "frame_index")->i64[5] = 6;
}
static inline void shift_index(fw_table *t) {
    column(t, "index")->i64[4]++;
}
static inline void wild_task(fw_table *t) {
    column(t, "task_index")->i64[1] = 55;
}
static inline void late_timestamp(fw_table *t) {
    column(t, "timestamp")->f32[mk_length(0) - 1] += 0.3f;
}
static inline void backward_timestamp(fw_table *t) {
    column(t, "timestamp")->f32[4] = 0.1f;
}
static inline void fewer_rows(fw_table *t) {
    for (int i = 0; i < t->n_cols; i++) {
        t->cols[i].n -= 2 * t->cols[i].width;
    }
    t->rows -= 2;
}
/* The wrist video again with `more` frames appended (the last one again), or the last ones missing. keys: episodes begin with key frames. */
static inline void resize_video(const char *dir, int more, bool keys) {
    static uint8_t rgb[64 * MK_IMAGE];
    fw_video *v;
    fw_video_writer *w;
    int64_t n;
    char out[700];
    OK(fw_video_open(file_in(dir, VIDEO_FILE), &v, err));
    OK(fw_video_count(v, &n, err));
    OK(fw_video_read(v, 0.0, n, 0, 0, rgb, err));
    fw_video_close(v);
    snprintf(out, sizeof(out), "%s/new.mp4", dir);
    OK(fw_video_writer_open(out, MK_H, MK_W, 10.0, NULL, &w, err));
    for (int64_t i = 0; i < n + more; i++) {
        OK(fw_video_writer_add(w, rgb + (i < n ? i : n - 1) * MK_IMAGE,
                               keys && (i == mk_length(0) || i == mk_length(0) + mk_length(1)), err));
    }
    OK(fw_video_writer_close(w, err));
    CHECK(rename(out, file_in(dir, VIDEO_FILE)) == 0);
}
static inline void shorten_video(const char *dir) {
    resize_video(dir, -3, true);
}
static inline void lengthen_video(const char *dir) {
    resize_video(dir, 2, true);
}

/* Change info.json: where key is "a/b", set a's member b. */
static inline void set_info(const char *dir, const char *outer, const char *key, json_t *value) {
    json_t *j;
    OK(fw_json_load(file_in(dir, "meta/info.json"), &j, err));
    json_t *o = outer != NULL ? json_object_get(j, outer) : j;
    if (value != NULL) {
        json_object_set_new(o, key, value);
    } else {
        json_object_del(o, key);
    }
    OK(fw_json_save(file_in(dir, "meta/info.json"), j, 4, err));
    json_decref(j);
}

static inline void spoil_stats(const char *dir) {
    json_t *j;
    OK(fw_json_load(file_in(dir, "meta/stats.json"), &j, err));
    json_array_set_new(json_object_get(json_object_get(j, "action"), "mean"), 1, json_real(42.0));
    OK(fw_json_save(file_in(dir, "meta/stats.json"), j, 4, err));
    json_decref(j);
}

#endif /* TESTS_DATA_SPOIL_H */
