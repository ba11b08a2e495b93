/*
 * bench_train.c - training throughput of flywheel-s on made-up features: samples a second, and where the time goes.
 *
 *   bench_train [--batch N] [--threads N] [--rounds N] [--steps N] [--k 1|3] [--tower 0|1] [--checkpointing 0|1] [--profile]
 *
 * The network is the default one of model/flywheel_s.h with two cameras (features [8,8,112] a view), state 6, action 5,
 * dropout on. One step: forward, backward, gradient norm, AdamW, moving average. The inputs stay in place, so that the number
 * is the engine's; reading a batch from the feature cache is measured by `flywheel train`. bench/torch_train.py does
 * the same in PyTorch; run them in turn. The median of the rounds counts: other people share the machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/rng.h"
#include "model/flywheel_s.h"
#include "train/optim.h"

static fw_err g_err;

static void must(fw_status s) {
    if (s != FW_OK) {
        fprintf(stderr, "bench_train: %s\n", g_err.msg);
        exit(1);
    }
}

/* CPU seconds of all threads: what a step costs even while others use the machine. */
static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void fill(fw_plan *p, const fw_graph *g, fw_val v, fw_rng *r) {
    float *x = v == FW_NONE ? NULL : fw_plan_data(p, v);
    for (int64_t i = 0; x != NULL && i < fw_shape_count(fw_val_shape(g, v)); i++) {
        x[i] = (float)fw_rng_normal(r);
    }
}

static int arg(int argc, char **argv, const char *name, int def) {
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return atoi(argv[i + 1]);
        }
    }
    return def;
}

int main(int argc, char **argv) {
    const int batch = arg(argc, argv, "--batch", 128), threads = arg(argc, argv, "--threads", 2);
    const int steps = arg(argc, argv, "--steps", 10);
    int rounds = arg(argc, argv, "--rounds", 7);
    const bool profile = argc > 1 && strcmp(argv[argc - 1], "--profile") == 0;
    double rate[64];
    rounds = rounds < 1 ? 1 : rounds > 64 ? 64 : rounds;

    fw_flywheel_cfg cfg;
    fw_flywheel_cfg_default(&cfg);
    cfg.kernel2 = arg(argc, argv, "--k", cfg.kernel2);
    cfg.train_tower = arg(argc, argv, "--tower", 0) != 0;
    cfg.n_camera = 2;
    snprintf(cfg.camera[0], sizeof(cfg.camera[0]), "front");
    snprintf(cfg.camera[1], sizeof(cfg.camera[1]), "wrist");
    fw_pool *pool;
    fw_params *params;
    fw_graph *g;
    fw_flywheel_io io;
    fw_plan *plan;
    fw_optim *optim;
    fw_optim_opts opts = FW_OPTIM_OPTS_DEFAULT;
    must(fw_pool_new(threads, &pool, &g_err));
    must(fw_params_new(1, &params, &g_err));
    must(fw_graph_new(params, &g, &g_err));
    must(fw_flywheel_build(g, &cfg, 6, 5, batch, true, &io, &g_err));
    const fw_plan_opts plan_opts = {
        .pool = pool, .train = true, .seed = 1, .checkpoint = arg(argc, argv, "--checkpointing", 0) != 0};
    must(fw_plan_new(g, &plan_opts, &io.loss, 1, &plan, &g_err));
    must(fw_optim_new(params, &opts, pool, &optim, &g_err));

    fw_rng r = fw_rng_stream(1, "bench");
    for (int c = 0; c < 2; c++) {
        fill(plan, g, cfg.train_tower ? io.image[c] : io.feat[c][0], &r);
    }
    fill(plan, g, io.text, &r);
    fill(plan, g, io.state, &r);
    fill(plan, g, io.target, &r);
    float *w = fw_plan_data(plan, io.weight);
    for (int64_t i = 0; i < fw_shape_count(fw_val_shape(g, io.weight)); i++) {
        w[i] = 1.0f;
    }

    double optim_s = 0, run_s = 0, cpu = 0;
    for (int k = -1; k < rounds; k++) { /* round -1 warms up */
        if (k == 0) {
            fw_plan_profile(plan, profile);
            optim_s = run_s = 0;
            cpu = cpu_s();
        }
        double t0 = fw_now_s();
        for (int i = 0; i < steps; i++) {
            double a = fw_now_s();
            must(fw_plan_run(plan, &g_err));
            double b = fw_now_s();
            must(fw_optim_step(optim, plan, 1e-3, NULL, &g_err));
            run_s += b - a;
            optim_s += fw_now_s() - b;
        }
        if (k >= 0) {
            rate[k] = steps * batch / (fw_now_s() - t0);
        }
    }
    cpu = cpu_s() - cpu;
    qsort(rate, (size_t)rounds, sizeof(double), by_value);
    fw_plan_info info;
    fw_plan_get_info(plan, &info);
    double per_step = (info.flops_forward + info.flops_backward) * 1e-9, n = (double)rounds * steps;
    printf("ours: batch %d, %d threads: median %.0f samples/s (best %.0f, worst %.0f of %d rounds), %.0f samples a CPU "
           "second\n",
           batch, threads, rate[rounds / 2], rate[rounds - 1], rate[0], rounds, n * batch / cpu);
    printf("%.2f GFLOP a step, %.1f GFLOP/s; graph %.2f ms, optimiser %.2f ms; arena %.1f MB (%.1f MB unshared), "
           "packed %.1f MB\n",
           per_step, per_step * rate[rounds / 2] / batch, 1e3 * run_s / n, 1e3 * optim_s / n,
           (double)info.arena_bytes * 1e-6, (double)info.naive_bytes * 1e-6, (double)info.packed_bytes * 1e-6);
    fw_plan_profile(plan, false);
    fw_optim_free(optim);
    fw_plan_free(plan);
    fw_graph_free(g);
    fw_params_free(params);
    fw_pool_free(pool);
    return 0;
}
