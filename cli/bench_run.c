/* bench_run.c - one row of `flywheel bench`: made with random weights, run until its time is known */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench.h"
#include "fw/policy.h"
#include "kern/kern.h"
#include "kern/peak.h"
#include "model/checkpoint.h"
#include "model/siglip.h"
#include "model/trial.h"
#include "train/optim.h"

#define POLICY(name, policy, f32, gparam)                                                                              \
    { name, BENCH_POLICY, {0}, policy, f32, true, true, gparam, gparam > 1 }
#define LINEAR(m, k, n)                                                                                                \
    { "linear " #m "x" #k "x" #n, BENCH_LINEAR, {m, k, n}, NULL, true, true, true, 0, false }
#define ATTENTION(tq, tk, heads, kv, d)                                                                                \
    {                                                                                                                  \
        "attention " #tq "x" #tk "x" #heads "x" #kv "x" #d, BENCH_ATTENTION, {tq, tk, heads, kv, d}, NULL, true, true, \
            false, 0, false                                                                                            \
    }
/* layers of SmolVLA's tower, language model and expert, then of pi0's; an exact pi0 would keep its weights twice in f32: 22 GB */
const bench_work bench_works[] = {
    LINEAR(1024, 768, 768),
    LINEAR(1024, 768, 3072),
    LINEAR(177, 960, 2560),
    LINEAR(50, 720, 2048),
    LINEAR(256, 1152, 4304),
    LINEAR(560, 2048, 16384),
    LINEAR(51, 1024, 4096),
    ATTENTION(1024, 1024, 12, 12, 64),
    ATTENTION(50, 227, 15, 5, 64),
    ATTENTION(528, 528, 8, 1, 256),
    {"flywheel-s chunk", BENCH_CHUNK, {0}, NULL, true, true, true, 0, false},
    {"flywheel-s training", BENCH_TRAIN, {0}, NULL, true, true, false, 0, false},
    {"vit-b training", BENCH_VIT, {0}, NULL, true, true, false, 0, true},
    POLICY("act", "act", true, 0.05),
    POLICY("smolvla", "smolvla", true, 0.45),
    POLICY("pi0", "pi0", false, 2.7),
};
const int bench_n_work = sizeof bench_works / sizeof *bench_works;

/* ---- time ---- */

typedef fw_status run_fn(void *ctx, fw_err *err);

static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static fw_status time_one(run_fn *fn, void *ctx, double *s, fw_err *err) {
    const double t = fw_now_s();
    FW_TRY(fn(ctx, err));
    *s = fw_now_s() - t;
    return FW_OK;
}

/* Best of the calls that fit into the time, and their mean CPU time: the system counts that of other threads by ticks, too coarse for
 * one call. The first call makes plans and warms caches, and counts only if it is long. */
static fw_status time_it(run_fn *fn, void *ctx, bool quick, bench_result *out, fw_err *err) {
    const double budget = quick ? 0.3 : 1.0, enough = 4.0, alone = 10.0;
    const int least = quick ? 1 : 3;
    double s = 0.0, best = INFINITY, sum = 0.0, cpu = cpu_s();
    int n = 0;
    FW_TRY(time_one(fn, ctx, &s, err));
    out->ms = 1e3 * s;
    out->cpu_ms = 1e3 * (cpu_s() - cpu);
    if (s > alone) {
        return FW_OK;
    }
    for (cpu = cpu_s(); (n < least && sum < enough) || sum < budget; n++) {
        FW_TRY(time_one(fn, ctx, &s, err));
        best = fmin(best, s);
        sum += s;
    }
    out->ms = 1e3 * best;
    out->cpu_ms = 1e3 * (cpu_s() - cpu) / n;
    return FW_OK;
}

enum { PEAK_ROUNDS = 200000, PEAK_THREADS = 256 };

typedef struct peak_job {
    const char *isa;
    double s[PEAK_THREADS]; /* least CPU time of a part */
} peak_job;

/* The thread's own time: a part that waits for others' programs says nothing about the CPU. */
static void peak_part(void *ctx, int i, int worker) {
    peak_job *j = ctx;
    struct timespec a, b;
    (void)worker;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    fw_peak_run(j->isa, PEAK_ROUNDS);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    j->s[i] = fmin(j->s[i], (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec));
}

double bench_peak(const char *isa, int threads) {
    const double ops = fw_kern_find(isa) == NULL ? 0.0 : fw_peak_run(isa, 1) * PEAK_ROUNDS;
    peak_job j = {.isa = isa};
    fw_pool *pool = NULL;
    double sum = 0.0;
    if (ops <= 0.0 || fw_pool_new(threads, &pool, NULL) != FW_OK) {
        return 0.0;
    }
    for (int i = 0; i < PEAK_THREADS; i++) {
        j.s[i] = INFINITY;
    }
    for (int i = 0; i < 40; i++) {
        fw_pool_run(pool, threads, peak_part, &j);
    }
    fw_pool_free(pool);
    for (int i = 0; i < threads; i++) {
        sum += 1e-9 * ops / j.s[i];
    }
    return sum;
}

/* ---- graphs ---- */

typedef struct net {
    fw_params *params;
    fw_graph *g;
    fw_plan *plan;
    fw_optim *optim;
} net;

static void net_free(net *n) {
    fw_optim_free(n->optim);
    fw_plan_free(n->plan);
    fw_graph_free(n->g);
    fw_params_free(n->params);
}

static fw_status net_new(net *n, fw_err *err) {
    FW_TRY(fw_params_new(1, &n->params, err));
    return fw_graph_new(n->params, &n->g, err);
}

static void fill(net *n, fw_val v) {
    fw_rng r = fw_rng_stream(1, "bench");
    float *x = fw_plan_data(n->plan, v);
    for (int64_t i = 0; x != NULL && i < fw_shape_count(fw_val_shape(n->g, v)); i++) {
        x[i] = (float)fw_rng_uniform(&r, -1.0, 1.0);
    }
}

static fw_status run_plan(void *ctx, fw_err *err) {
    return fw_plan_run(((net *)ctx)->plan, err);
}

static fw_status run_step(void *ctx, fw_err *err) {
    net *n = ctx;
    FW_TRY(fw_plan_run(n->plan, err));
    return fw_optim_step(n->optim, n->plan, 1e-4, NULL, err);
}

static double net_gflop(const net *n) {
    fw_plan_info info;
    fw_plan_get_info(n->plan, &info);
    return 1e-9 * (info.flops_forward + info.flops_backward);
}

static fw_status one_operation(net *n, const bench_work *w, const fw_plan_opts *o, fw_err *err) {
    const int64_t *s = w->size;
    fw_val in[3] = {FW_NONE, FW_NONE, FW_NONE}, y;
    FW_TRY(net_new(n, err));
    if (w->kind == BENCH_LINEAR) {
        in[0] = fw_input(n->g, "x", FW_F32, FW_SHAPE_OF(s[0], s[1]));
        y = fw_linear(n->g, in[0], "w", "b", s[2], FW_ACT_NONE, FW_NONE);
    } else {
        const fw_attn_opts a = {.n_head = (int)s[2], .n_kv = (int)s[3], .mask = FW_MASK_NONE};
        in[0] = fw_input(n->g, "q", FW_F32, FW_SHAPE_OF(1, s[0], s[2] * s[4]));
        in[1] = fw_input(n->g, "k", FW_F32, FW_SHAPE_OF(1, s[1], s[3] * s[4]));
        in[2] = fw_input(n->g, "v", FW_F32, FW_SHAPE_OF(1, s[1], s[3] * s[4]));
        y = fw_grouped_attention(n->g, in[0], in[1], in[2], FW_NONE, &a);
    }
    FW_TRY(fw_graph_check(n->g, err));
    fw_params_set_trainable(n->params, "", false);
    FW_TRY(fw_plan_new(n->g, o, &y, 1, &n->plan, err));
    for (int i = 0; i < 3; i++) {
        fill(n, in[i]);
    }
    return FW_OK;
}

/* The default network, two cameras, batch 128, from features of the tower. */
static fw_status flywheel_training(net *n, const fw_plan_opts *o, fw_err *err) {
    fw_flywheel_cfg cfg;
    fw_flywheel_io io;
    fw_flywheel_cfg_default(&cfg);
    cfg.n_camera = 2;
    snprintf(cfg.camera[0], sizeof cfg.camera[0], "front");
    snprintf(cfg.camera[1], sizeof cfg.camera[1], "wrist");
    FW_TRY(net_new(n, err));
    FW_TRY(fw_flywheel_build(n->g, &cfg, 6, 5, 128, true, &io, err));
    FW_TRY(fw_plan_new(n->g, o, &io.loss, 1, &n->plan, err));
    const fw_val in[] = {io.feat[0][0], io.feat[1][0], io.text, io.state, io.target};
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        fill(n, in[i]);
    }
    float *weight = fw_plan_data(n->plan, io.weight);
    for (int64_t i = 0; i < fw_shape_count(fw_val_shape(n->g, io.weight)); i++) {
        weight[i] = 1.0f;
    }
    return FW_OK;
}

/* ViT-B/16: 85 M weights, two pictures of 256 x 256, which are 256 places each. */
static fw_status vit_training(net *n, const fw_plan_opts *o, fw_err *err) {
    const fw_vision_size size = {.width = 768, .layers = 12, .heads = 12, .mlp = 3072, .patch = 16, .image = 256};
    FW_TRY(net_new(n, err));
    fw_val image = fw_input(n->g, "image", FW_F32, FW_SHAPE_OF(2, 256, 256, 3));
    fw_val target = fw_input(n->g, "target", FW_F32, FW_SHAPE_OF(2, 256, 768));
    fw_val loss = fw_mse_loss(n->g, fw_siglip(n->g, "vit", &size, image), target, FW_NONE);
    FW_TRY(fw_graph_check(n->g, err));
    FW_TRY(fw_plan_new(n->g, o, &loss, 1, &n->plan, err));
    fill(n, image);
    fill(n, target);
    return FW_OK;
}

static fw_status measure_net(const bench_work *w, fw_plan_opts *o, bool quick, bench_result *out, fw_err *err) {
    const fw_optim_opts optim = FW_OPTIM_OPTS_DEFAULT;
    net n = {0};
    o->train = w->kind == BENCH_TRAIN || w->kind == BENCH_VIT;
    fw_status st = w->kind == BENCH_TRAIN ? flywheel_training(&n, o, err)
                   : w->kind == BENCH_VIT ? vit_training(&n, o, err)
                                          : one_operation(&n, w, o, err);
    if (st == FW_OK && o->train) {
        st = fw_optim_new(n.params, &optim, o->pool, &n.optim, err);
    }
    if (st == FW_OK) {
        st = time_it(o->train ? run_step : run_plan, &n, quick, out, err);
        out->gflop = net_gflop(&n);
    }
    net_free(&n);
    return st;
}

/* ---- policies ---- */

static fw_status run_trial(void *ctx, fw_err *err) {
    return fw_trial_run(ctx, err);
}

static fw_status measure_policy(const bench_work *w, const fw_plan_opts *o, bool quick, bench_result *out,
                                fw_err *err) {
    const fw_trial_opts opts = {
        .policy = w->policy, .precision = o->precision, .pool = o->pool, .cameras = 2, .words = 16, .batch = 1};
    fw_trial *t = NULL;
    fw_trial_info info;
    FW_TRY(fw_trial_new(&opts, &t, err));
    fw_status st = time_it(run_trial, t, quick, out, err);
    if (st == FW_OK) {
        fw_trial_get_info(t, &info);
        out->gflop = 1e-9 * info.flops;
    }
    fw_trial_free(t);
    return st;
}

typedef struct seeing {
    fw_policy *policy;
    fw_obs obs;
    fw_chunk chunk;
} seeing;

static fw_status run_chunk(void *ctx, fw_err *err) {
    seeing *s = ctx;
    return fw_policy_infer(s->policy, &s->obs, &s->chunk, err);
}

/* A Panda-like robot: two cameras of 128 x 128, 6 state values, 5 actions. */
static fw_embodiment robot(void) {
    fw_embodiment e = {.name = "bench", .rate_hz = 10.0, .n_camera = 2, .n_state = 6, .n_action = 5};
    e.camera[0] = (fw_camera){"front", 128, 128};
    e.camera[1] = (fw_camera){"wrist", 128, 128};
    for (int i = 0; i < 6; i++) {
        snprintf(e.state[i].name, FW_NAME_MAX, "s%d", i);
        snprintf(e.action[i].name, FW_NAME_MAX, "a%d", i);
        e.state[i].min = e.action[i].min = -1.0;
        e.state[i].max = e.action[i].max = 1.0;
    }
    return e;
}

static fw_status measure_chunk(const fw_plan_opts *o, bool quick, bench_result *out, fw_err *err) {
    static uint8_t rgb[128 * 128 * 3];
    static float actions[FW_HORIZON_MAX * FW_DIM_MAX], state[FW_DIM_MAX];
    const fw_flywheel_opts opts = {.pool = o->pool, .precision = o->precision, .seed = 1};
    const fw_embodiment e = robot();
    fw_flywheel_cfg cfg;
    fw_rng r = fw_rng_stream(1, "bench");
    for (size_t i = 0; i < sizeof rgb; i++) {
        rgb[i] = (uint8_t)fw_rng_u64(&r);
    }
    seeing s = {.obs = {.n_image = 2, .state = state, .n_state = 6, .instruction = "put the mug in the sink"},
                .chunk = {.actions = actions, .cap_horizon = FW_HORIZON_MAX}};
    s.obs.image[0] = s.obs.image[1] = (fw_image){rgb, 128, 128};
    fw_flywheel_cfg_default(&cfg);
    FW_TRY(fw_flywheel_random(&cfg, &e, &opts, &s.policy, err));
    fw_status st = time_it(run_chunk, &s, quick, out, err);
    fw_policy_close(s.policy);
    return st;
}

static double resident_mb(void) {
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    const bool read = f != NULL && fscanf(f, "%*s %ld", &pages) == 1;
    if (f != NULL) {
        fclose(f);
    }
    return read ? (double)pages * (double)sysconf(_SC_PAGESIZE) / (1024.0 * 1024.0) : 0.0;
}

void bench_run(const bench_work *w, fw_precision precision, int threads, bool quick, bench_result *out) {
    fw_plan_opts o = {.precision = precision, .seed = 1};
    fw_err err = {FW_OK, ""};
    *out = (bench_result){.base_mb = resident_mb()};
    fw_status st = fw_pool_new(threads, &o.pool, &err);
    if (st == FW_OK) {
        st = w->kind == BENCH_POLICY  ? measure_policy(w, &o, quick, out, &err)
             : w->kind == BENCH_CHUNK ? measure_chunk(&o, quick, out, &err)
                                      : measure_net(w, &o, quick, out, &err);
    }
    fw_pool_free(o.pool);
    if (st != FW_OK) {
        out->ms = out->cpu_ms = 0.0;
        snprintf(out->error, sizeof out->error, "%s", err.msg);
    }
}
