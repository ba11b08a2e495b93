/*
 * bench_act.c - one call of ACT at its published size, random weights, from normalised pictures to a chunk.
 *
 * Values do not change the time. The same network by PyTorch: bench/torch_act.py. On a shared machine compare CPU seconds.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/args.h"
#include "base/clock.h"
#include "base/rng.h"
#include "model/act.h"

typedef struct bench {
    const char *precision;
    int64_t cameras, threads, rounds;
    bool profile, json;
} bench;

/* config.json of the published size, a robot of two arms with 14 joints. */
static fw_status config_of(const bench *b, fw_lerobot_config *c, fw_err *err) {
    json_t *in = json_pack("{s:{s:s, s:[i]}}", "observation.state", "type", "STATE", "shape", 14);
    for (int i = 0; in != NULL && i < b->cameras; i++) {
        char key[64];
        snprintf(key, sizeof key, "observation.images.cam%d", i);
        json_object_set_new(in, key, json_pack("{s:s, s:[i,i,i]}", "type", "VISUAL", "shape", 3, 480, 640));
    }
    json_t *o = json_pack("{s:s, s:o, s:{s:{s:s, s:[i]}}}", "type", "act", "input_features", in, "output_features",
                          "action", "type", "ACTION", "shape", 14);
    if (o == NULL) {
        return fw_fail(err, FW_NOMEM, "config");
    }
    fw_status st = fw_lerobot_config_parse(o, "act", c, err);
    json_decref(o);
    return st;
}

static double cpu_s(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void paint(fw_plan *plan, const fw_act_io *io) {
    fw_rng r = fw_rng_stream(1, "bench");
    for (int i = 0; i < io->n_camera; i++) {
        float *x = fw_plan_data(plan, io->image[i]);
        for (int k = 0; k < 480 * 640 * 3; k++) {
            x[k] = (float)fw_rng_unit(&r);
        }
    }
}

static fw_status measure(const bench *b, fw_plan *plan, fw_err *err) {
    double wall = INFINITY, cpu = INFINITY;
    fw_plan_info info;
    fw_plan_get_info(plan, &info);
    FW_TRY(fw_plan_run(plan, err));
    fw_plan_profile(plan, b->profile);
    for (int64_t i = 0; i < b->rounds; i++) {
        double t = fw_now_s(), c = cpu_s();
        FW_TRY(fw_plan_run(plan, err));
        t = fw_now_s() - t;
        c = cpu_s() - c;
        wall = t < wall ? t : wall;
        cpu = c < cpu ? c : cpu;
    }
    if (b->profile) {
        fw_plan_profile(plan, false);
    }
    printf(b->json
               ? "{\"policy\": \"act\", \"precision\": \"%s\", \"cameras\": %d, \"threads\": %d, \"ms_best\": %.1f, "
                 "\"cpu_ms_best\": %.1f, \"gflop\": %.1f}\n"
               : "act %s: %d cameras, %d threads: best %.1f ms, %.1f ms of CPU, %.1f GFLOP\n",
           b->precision, (int)b->cameras, (int)b->threads, 1e3 * wall, 1e3 * cpu, 1e-9 * info.flops_forward);
    return FW_OK;
}

static fw_status precision_of(const bench *b, fw_precision *out, fw_err *err) {
    static const char *const name[] = {"f32", "bf16", "int8"};
    static const fw_precision precision[] = {FW_PRECISION_DEFAULT, FW_PRECISION_BF16, FW_PRECISION_INT8};
    for (int i = 0; i < 3; i++) {
        if (strcmp(b->precision, name[i]) == 0) {
            *out = precision[i];
            return FW_OK;
        }
    }
    return fw_fail(err, FW_INVALID, "precision '%s': f32, bf16 or int8", b->precision);
}

static fw_status run_graph(const bench *b, fw_params *params, fw_graph *g, fw_pool *pool, fw_err *err) {
    fw_lerobot_config c;
    fw_act_io io;
    fw_plan_opts o = {.pool = pool};
    fw_plan *plan = NULL;
    FW_TRY(config_of(b, &c, err));
    FW_TRY(precision_of(b, &o.precision, err));
    FW_TRY(fw_act_build(g, &c, 1, false, &io, err));
    fw_params_set_trainable(params, "", false);
    FW_TRY(fw_plan_new(g, &o, &io.chunk, 1, &plan, err));
    fw_act_fill(plan, &c, &io);
    paint(plan, &io);
    fw_status st = measure(b, plan, err);
    fw_plan_free(plan);
    return st;
}

static fw_status run(const bench *b, fw_err *err) {
    fw_params *params = NULL;
    fw_graph *g = NULL;
    fw_pool *pool = NULL;
    FW_TRY(fw_pool_new((int)b->threads, &pool, err));
    fw_status st = fw_params_new(1, &params, err);
    st = st != FW_OK ? st : fw_graph_new(params, &g, err);
    st = st != FW_OK ? st : run_graph(b, params, g, pool, err);
    fw_graph_free(g);
    fw_params_free(params);
    fw_pool_free(pool);
    return st;
}

int main(int argc, char **argv) {
    bench b = {"f32", 2, 1, 5, false, false};
    const fw_arg args[] = {
        FW_ARG_STR("precision", &b.precision, "P", "f32, bf16 or int8"),
        FW_ARG_INT("cameras", &b.cameras, 1, FW_LEROBOT_FEATURES - 1, "N", "pictures of 640 x 480"),
        FW_ARG_INT("threads", &b.threads, 1, 64, "N", "threads"),
        FW_ARG_INT("rounds", &b.rounds, 1, 1000, "N", "calls that are timed"),
        FW_ARG_BOOL("profile", &b.profile, "seconds by operation, on stderr"),
        FW_ARG_BOOL("json", &b.json, "one JSON object on stdout"),
    };
    const fw_usage usage = {.verb = "bench_act",
                            .example = "build/dev/bin/bench_act --threads 2",
                            .what = "Time of one call of ACT at its published size, with random weights."};
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof *args, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    fw_err err = {FW_OK, ""};
    if (run(&b, &err) != FW_OK) {
        fprintf(stderr, "bench_act: %s\n", err.msg);
        return 1;
    }
    return 0;
}
