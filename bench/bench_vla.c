/*
 * bench_vla.c - one call of ACT, SmolVLA, pi0 or pi0.5 at its real size, random weights, from bytes of pictures to a chunk.
 *
 * `flywheel bench` has the usual cases and their peers; here they are varied, and taken apart by operation.
 */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/args.h"
#include "base/clock.h"
#include "model/trial.h"

typedef struct bench {
    const char *policy, *precision;
    int64_t cameras, words, threads, rounds, steps, batch;
    bool profile, json;
} bench;

/* Seconds of all threads together: what compares while others use the machine. */
static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void print(const bench *b, const fw_trial_info *info, double best, double mean, double cpu) {
    if (b->json) {
        printf("{\"policy\": \"%s\", \"precision\": \"%s\", \"cameras\": %d, \"words\": %d, \"batch\": %d, "
               "\"threads\": %d, "
               "\"steps\": %d, \"ms_best\": %.1f, \"ms_mean\": %.1f, \"cpu_ms_best\": %.1f, \"gflop\": %.1f}\n",
               b->policy, b->precision, (int)b->cameras, (int)b->words, (int)b->batch, (int)b->threads,
               info->flow_steps, 1e3 * best, 1e3 * mean, 1e3 * cpu, 1e-9 * info->flops);
        return;
    }
    printf("%s %s: %d cameras, %d words, batch %d, %d threads, %d flow steps: best %.0f ms, mean %.0f ms, CPU %.0f ms, "
           "%.0f GFLOP "
           "(%.0f GFLOP/s), packed weights %.0f MB, arena %.0f MB\n",
           b->policy, b->precision, (int)b->cameras, (int)b->words, (int)b->batch, (int)b->threads, info->flow_steps,
           1e3 * best, 1e3 * mean, 1e3 * cpu, 1e-9 * info->flops, 1e-9 * info->flops / best,
           1e-6 * (double)info->packed_bytes, 1e-6 * (double)info->arena_bytes);
}

static fw_status measure(const bench *b, fw_trial *t, fw_err *err) {
    double best = INFINITY, sum = 0.0, cpu = INFINITY;
    fw_trial_info info;
    FW_TRY(fw_trial_run(t, err)); /* makes the plans */
    fw_trial_profile(t, b->profile);
    for (int64_t i = 0; i < b->rounds; i++) {
        double s = fw_now_s(), c = cpu_s();
        FW_TRY(fw_trial_run(t, err));
        s = fw_now_s() - s;
        c = cpu_s() - c;
        cpu = c < cpu ? c : cpu;
        best = s < best ? s : best;
        sum += s;
    }
    fw_trial_profile(t, false);
    fw_trial_get_info(t, &info);
    print(b, &info, best, sum / (double)b->rounds, cpu);
    return FW_OK;
}

static fw_status run(const bench *b, fw_err *err) {
    fw_trial_opts o = {.policy = b->policy,
                       .cameras = (int)b->cameras,
                       .words = (int)b->words,
                       .flow_steps = (int)b->steps,
                       .batch = b->batch};
    fw_trial *t = NULL;
    FW_TRY(fw_precision_parse(b->precision, &o.precision, err));
    FW_TRY(fw_pool_new((int)b->threads, &o.pool, err));
    fw_status st = fw_trial_new(&o, &t, err);
    st = st != FW_OK ? st : measure(b, t, err);
    fw_trial_free(t);
    fw_pool_free(o.pool);
    return st;
}

int main(int argc, char **argv) {
    bench b = {"smolvla", "bf16", 2, 16, 2, 3, 0, 1, false, false};
    const fw_arg args[] = {
        FW_ARG_STR("policy", &b.policy, "NAME", "act, smolvla, pi0 or pi05"),
        FW_ARG_STR("precision", &b.precision, "P", "f32, bf16 or int8"),
        FW_ARG_INT("cameras", &b.cameras, 1, FW_CAM_MAX, "N", "pictures of 640 x 480"),
        FW_ARG_INT("words", &b.words, 1, 48, "N", "tokens of the prompt"),
        FW_ARG_INT("steps", &b.steps, 0, 100, "N", "flow steps; 0: the policy's"),
        FW_ARG_INT("batch", &b.batch, 1, 64, "N", "robots in one call"),
        FW_ARG_INT("threads", &b.threads, 1, 64, "N", "threads"),
        FW_ARG_INT("rounds", &b.rounds, 1, 1000, "N", "calls that are timed"),
        FW_ARG_BOOL("profile", &b.profile, "seconds by operation, on stderr"),
        FW_ARG_BOOL("json", &b.json, "one JSON object on stdout"),
    };
    const fw_usage usage = {.verb = "bench_vla",
                            .example = "build/dev/bin/bench_vla --policy smolvla --precision int8 --threads 2",
                            .what = "Time of one call of a published policy at its real size, with random weights."};
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof *args, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    fw_err err = {FW_OK, ""};
    if (run(&b, &err) != FW_OK) {
        fprintf(stderr, "bench_vla: %s\n", err.msg);
        return 1;
    }
    return 0;
}
