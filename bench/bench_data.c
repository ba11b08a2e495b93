/* bench_data.c - CPU time of the store: opening a dataset, its rows, its frames in order and at random, writing them again */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/args.h"
#include "base/file.h"
#include "data/dataset.h"
#include "data/writer.h"

typedef struct bench {
    int64_t episodes, size;
    const char *out;
} bench;

static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int64_t longest(const fw_dataset *ds) {
    int64_t n = 1;
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        n = ds->episodes[e].length > n ? ds->episodes[e].length : n;
    }
    return n;
}

static fw_status bench_rows(fw_dataset *ds, fw_err *err) {
    double t = cpu_s();
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        fw_episode ep;
        FW_TRY(fw_dataset_read_episode(ds, e, &ep, err));
        fw_episode_clear(&ep);
    }
    t = cpu_s() - t;
    printf("rows read          %10.0f a CPU second (%lld rows)\n", (double)ds->n_frames / t, (long long)ds->n_frames);
    return FW_OK;
}

static fw_status bench_frames(fw_dataset *ds, const bench *b, int64_t n_ep, uint8_t *rgb, fw_err *err) {
    int64_t frames = 0, size = b->size;
    double t = cpu_s();
    for (int64_t e = 0; e < n_ep; e++) {
        for (int c = 0; c < ds->n_cameras; c++) {
            FW_TRY(fw_dataset_read_images(ds, e, c, 0, ds->episodes[e].length, (int)size, (int)size, rgb, err));
            frames += ds->episodes[e].length;
        }
    }
    t = cpu_s() - t;
    printf("frames in order    %10.0f a CPU second, scaled to %lldx%lld (%lld frames)\n", (double)frames / t,
           (long long)size, (long long)size, (long long)frames);
    t = cpu_s();
    for (int64_t i = 0; i < 200; i++) {
        int64_t e = (i * 7919) % ds->n_episodes;
        FW_TRY(fw_dataset_read_images(ds, e, 0, (i * 31) % ds->episodes[e].length, 1, (int)size, (int)size, rgb, err));
    }
    printf("a frame at random  %10.2f ms of CPU, opening its video included (200 frames)\n",
           (cpu_s() - t) * 1000.0 / 200.0);
    return FW_OK;
}

static fw_status write_one(fw_dataset *ds, fw_writer *w, int64_t e, uint8_t *rgb[], int size, double *spent,
                           fw_err *err) {
    fw_episode ep;
    FW_TRY(fw_dataset_read_episode(ds, e, &ep, err));
    fw_writer_episode out = {.length = ep.length, .state = ep.state, .action = ep.action, .sentence = ep.sentence};
    fw_status st = FW_OK;
    for (int c = 0; c < ds->n_cameras && st == FW_OK; c++) {
        st = fw_dataset_read_images(ds, e, c, 0, ep.length, size, size, rgb[c], err);
        out.images[c] = rgb[c];
    }
    double t = cpu_s();
    st = st == FW_OK ? fw_writer_add_episode(w, &out, err) : st;
    *spent += cpu_s() - t;
    fw_episode_clear(&ep);
    return st;
}

static fw_status bench_write(fw_dataset *ds, const bench *b, int64_t n_ep, uint8_t *rgb[], fw_err *err) {
    if (ds->n_state == 0 || ds->n_action == 0 || ds->state->n_names < ds->n_state ||
        ds->action->n_names < ds->n_action) {
        return fw_fail(err, FW_UNSUPPORTED, "%s: writing it again wants named state and action", ds->dir);
    }
    fw_writer_desc d = {.fps = (int)ds->fps,
                        .robot_type = ds->robot_type,
                        .n_state = ds->n_state,
                        .n_action = ds->n_action,
                        .state_names = (const char *const *)ds->state->names,
                        .action_names = (const char *const *)ds->action->names,
                        .n_cameras = ds->n_cameras};
    for (int c = 0; c < ds->n_cameras; c++) {
        d.cameras[c] = (fw_writer_camera){ds->cameras[c].name, (int)b->size, (int)b->size};
    }
    fw_writer *w;
    double spent = 0.0;
    FW_TRY(fw_writer_open(b->out, &d, &w, err));
    fw_status st = FW_OK;
    for (int64_t e = 0; e < n_ep && st == FW_OK; e++) {
        st = write_one(ds, w, e, rgb, (int)b->size, &spent, err);
    }
    if (st != FW_OK) {
        fw_writer_abort(w);
        return st;
    }
    int64_t rows = fw_writer_frames(w);
    double t = cpu_s();
    FW_TRY(fw_writer_close(w, err));
    spent += cpu_s() - t;
    printf("rows written       %10.0f a CPU second, with %d cameras (%lld rows)\n", (double)rows / spent, ds->n_cameras,
           (long long)rows);
    return FW_OK;
}

static fw_status run(const char *dir, const bench *b, fw_err *err) {
    fw_dataset *ds;
    double t = cpu_s();
    FW_TRY(fw_dataset_open(dir, &ds, err));
    printf("open               %10.1f ms of CPU (%lld episodes)\n", (cpu_s() - t) * 1000.0, (long long)ds->n_episodes);
    int64_t n_ep = b->episodes < ds->n_episodes ? b->episodes : ds->n_episodes;
    uint8_t *rgb[FW_MAX_CAMERAS] = {0};
    fw_status st = FW_OK;
    for (int c = 0; c < ds->n_cameras && st == FW_OK; c++) {
        rgb[c] = malloc((size_t)longest(ds) * (size_t)(b->size * b->size * 3));
        st = rgb[c] == NULL ? fw_fail(err, FW_NOMEM, "frames") : FW_OK;
    }
    st = st == FW_OK ? bench_rows(ds, err) : st;
    if (ds->n_cameras > 0) {
        st = st == FW_OK ? bench_frames(ds, b, n_ep, rgb[0], err) : st;
    }
    st = st == FW_OK && b->out != NULL ? bench_write(ds, b, n_ep, rgb, err) : st;
    for (int c = 0; c < FW_MAX_CAMERAS; c++) {
        free(rgb[c]);
    }
    fw_dataset_close(ds);
    return st;
}

int main(int argc, char **argv) {
    bench b = {.episodes = 20, .size = 128};
    int n_paths;
    const fw_arg args[] = {
        FW_ARG_INT("episodes", &b.episodes, 1, 1000000, "N", "episodes whose frames are decoded"),
        FW_ARG_INT("size", &b.size, 16, 2048, "N", "frames are scaled to N x N"),
        FW_ARG_STR("out", &b.out, "DIR", "also write these episodes to a new dataset"),
    };
    const fw_usage usage = {.verb = "bench_data",
                            .example = "build/release/bin/bench_data out/k3/data --out /dev/shm/again",
                            .what = "CPU time of reading and writing a dataset.",
                            .paths = "DIR",
                            .min_paths = 1,
                            .max_paths = 1};
    int code = fw_args_parse(&usage, args, 3, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    fw_err err;
    if (run(argv[1], &b, &err) != FW_OK) {
        fprintf(stderr, "bench_data: %s\n", err.msg);
        return 1;
    }
    return 0;
}
