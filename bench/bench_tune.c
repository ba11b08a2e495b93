/*
 * bench_tune.c - a training step of SmolVLA or pi0 at its real size, random weights: floating-point operations of a sample, and time.
 *
 *   bench_tune --mode full --rounds 0        # count only
 *   bench_tune --mode lora                   # adapters, frozen tower passed beforehand
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/args.h"
#include "base/clock.h"
#include "base/json.h"
#include "model/lora.h"
#include "model/vla.h"
#include "train/optim.h"

enum { N_VALUES = 6 }; /* of state and action */

static double cpu_s(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

typedef struct bench {
    const char *policy, *mode;
    int64_t batch, cameras, words, rank, rounds, threads;
    bool checkpointing, profile;
    fw_pool *pool;
    fw_lerobot_config c;
    fw_adapter adapter;
    fw_params *params;
    fw_graph *g;
    fw_plan *plan;
    fw_optim *optim;
    fw_vla_io io;
} bench;

static bool lora(const bench *b) {
    return strcmp(b->mode, "lora") == 0;
}

static fw_status build(bench *b, fw_err *err) {
    json_t *j = json_pack("{s:s, s:{s:{s:s, s:[i]}, s:{s:s, s:[i,i,i]}}, s:{s:{s:s, s:[i]}}}", "type", b->policy,
                          "input_features", "observation.state", "type", "STATE", "shape", N_VALUES,
                          "observation.images.top", "type", "VISUAL", "shape", 3, 480, 640, "output_features", "action",
                          "type", "ACTION", "shape", N_VALUES);
    fw_status s = fw_lerobot_config_parse(j, "preset", &b->c, err);
    json_decref(j);
    FW_TRY(s);
    b->c.optim.freeze_vision = b->c.optim.train_expert_only = strcmp(b->mode, "full") != 0;
    FW_TRY(fw_params_new(1, &b->params, err));
    FW_TRY(fw_graph_new(b->params, &b->g, err));
    if (lora(b)) {
        FW_TRY(fw_adapter_init(&b->adapter, (int)b->rank, 8.0, fw_adapter_targets(b->c.policy), err));
        fw_graph_lora(b->g, &b->adapter.lora);
    }
    b->io = fw_vla_io_of(b->batch, (int)b->cameras, (int)b->words);
    b->io.seen = b->io.state_apart = strcmp(b->mode, "full") != 0;
    fw_vla_prefix(b->g, &b->c, &b->io);
    fw_vla_suffix(b->g, &b->c, &b->io);
    fw_vla_loss(b->g, &b->c, &b->io, N_VALUES);
    FW_TRY(fw_graph_check(b->g, err));
    for (int i = 0; i < fw_params_count(b->params); i++) {
        fw_parameter *q = fw_params_at(b->params, i);
        q->trainable = lora(b) ? fw_adapter_is_part(q->name) : fw_vla_trains(&b->c, q->name);
    }
    FW_TRY(fw_pool_new((int)b->threads, &b->pool, err));
    FW_TRY(fw_optim_new(b->params, &(fw_optim_opts)FW_OPTIM_OPTS_DEFAULT, b->pool, &b->optim, err));
    const fw_plan_opts o = {.pool = b->pool, .train = true, .checkpoint = b->checkpointing};
    return fw_plan_new(b->g, &o, &b->io.loss, 1, &b->plan, err);
}

static fw_status measure(bench *b, fw_err *err) {
    int32_t n_words[64];
    fw_plan_info info;
    FW_TRY(build(b, err));
    for (int i = 0; i < b->batch; i++) {
        n_words[i] = (int32_t)b->words;
        fw_vla_put_time(b->plan, &b->c, &b->io, i, 0.5F);
    }
    fw_vla_fill(b->plan, &b->c, &b->io, n_words, NULL);
    fw_plan_get_info(b->plan, &info);
    const double flops = (info.flops_forward + info.flops_backward) / (double)b->batch;
    fw_plan_profile(b->plan, b->profile);
    double spent = cpu_s(), wall = fw_now_s();
    for (int64_t i = 0; i < b->rounds; i++) {
        FW_TRY(fw_plan_run(b->plan, err));
        FW_TRY(fw_optim_step(b->optim, b->plan, 1e-4, NULL, err));
    }
    spent = cpu_s() - spent;
    wall = fw_now_s() - wall;
    printf("%s %s, batch %d: %.1f GFLOP a sample (forward %.1f, again %.1f), %.2f M trainable, arena %.0f MB, packed "
           "%.0f MB",
           b->policy, b->mode, (int)b->batch, 1e-9 * flops, 1e-9 * info.flops_forward / (double)b->batch,
           1e-9 * info.flops_again / (double)b->batch, 1e-6 * (double)fw_optim_values(b->optim),
           1e-6 * (double)info.arena_bytes, 1e-6 * (double)info.packed_bytes);
    if (b->rounds > 0) {
        const double n = (double)(b->rounds * b->batch);
        printf(", %.3f samples/s, %.3f a CPU-second", n / wall, n / spent);
    }
    printf("\n");
    fw_plan_profile(b->plan, false);
    return FW_OK;
}

int main(int argc, char **argv) {
    bench b = {.policy = "smolvla",
               .mode = "lora",
               .batch = 1,
               .cameras = 2,
               .words = 48,
               .rank = 16,
               .rounds = 1,
               .threads = 1};
    const fw_arg args[] = {
        FW_ARG_STR("policy", &b.policy, "NAME", "smolvla or pi0"),
        FW_ARG_STR("mode", &b.mode, "NAME", "full; expert or lora: the tower passed beforehand"),
        FW_ARG_INT("batch", &b.batch, 1, 64, "N", "samples of a step"),
        FW_ARG_INT("cameras", &b.cameras, 1, FW_CAM_MAX, "N", "pictures"),
        FW_ARG_INT("words", &b.words, 1, 200, "N", "of the prompt"),
        FW_ARG_INT("rank", &b.rank, 1, 1024, "N", "of the adapters"),
        FW_ARG_INT("threads", &b.threads, 1, 256, "N", "threads"),
        FW_ARG_BOOL("checkpointing", &b.checkpointing, "gradient checkpointing"),
        FW_ARG_BOOL("profile", &b.profile, "where the time goes, an operation a line"),
        FW_ARG_INT("rounds", &b.rounds, 0, 1000, "N", "steps; 0: count only"),
    };
    const fw_usage usage = {
        .verb = "bench_tune", .example = "bench_tune --mode full --rounds 0", .what = "One training step."};
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof(*args), argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    fw_err err = {0};
    fw_status s = measure(&b, &err);
    if (s != FW_OK) {
        fprintf(stderr, "bench_tune: %s\n", err.msg);
    }
    fw_plan_free(b.plan);
    fw_optim_free(b.optim);
    fw_graph_free(b.g);
    fw_params_free(b.params);
    fw_pool_free(b.pool);
    fw_adapter_clear(&b.adapter);
    return s == FW_OK ? 0 : 1;
}
