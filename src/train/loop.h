/*
 * loop.h - a training run, from a config and datasets to a policy folder.
 *
 *   fw_train_opts o = {.config = "configs/kitchen3.json", .dirs = dirs, .n_dirs = 1, .out = "out/k3"};
 *   FW_TRY(fw_train(&o, &result, err));      // out/k3 is now a policy: config.json, model.safetensors, stats.json, card.md
 *
 * While it runs, <out>/train holds state.safetensors (trainstate.h), log.jsonl and curves.png. Stopped by a signal or by
 * a crash, the same command with resume goes on from the last state.
 */
#ifndef FW_TRAIN_LOOP_H
#define FW_TRAIN_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "fw/status.h"
#include "train/ranks.h"

typedef struct fw_train_opts {
    const char *config;      /* NULL: the published policy `from`, by its own preset */
    const char *const *dirs; /* [n_dirs] datasets */
    int n_dirs;
    const char *out;
    const char *from; /* begin with the weights and statistics of this policy; NULL: from nothing */
    bool resume;
    int64_t steps;        /* > 0: instead of the config's end */
    double minutes;       /* > 0: instead of the config's end */
    int64_t seed;         /* >= 0: instead of the config's */
    int64_t batch, micro; /* > 0: instead of the config's */
    int lora;             /* > 0: adapters of this rank; published policies only, as new_stats */
    bool new_stats; /* normalise by the data's statistics instead of the checkpoint's, whose robot may be another */
    bool new_heads; /* ACT: layers of another robot's sizes are made anew */
    int n_cameras;  /* further choices, fw_tune_choose's */
    const char *const *cameras;
    bool gradient_checkpointing; /* besides the config's */
    const char *precision;       /* "f32" or "bf16" instead of the config's; NULL: that */
    int threads;                 /* <= 0: all CPUs, or this rank's share of them */
    fw_ranks *ranks;             /* that share the run, all with the same options (ranks.h); NULL: this process alone */
} fw_train_opts;

typedef struct fw_train_result {
    int64_t steps, batch;
    double seconds;       /* in steps */
    double samples_per_s; /* of this part of the run, validation and checkpoints not counted */
    double loss;          /* smoothed, at the end */
    double held_out;      /* of the averaged weights; NAN when nothing is held out */
} fw_train_result;

/* Collective with ranks: they end in the same way, and rank 0 alone writes and reports. FW_CLOSED when stopped by SIGINT or SIGTERM (after saving the state). */
FW_NODISCARD fw_status fw_train(const fw_train_opts *opts, fw_train_result *out, fw_err *err);

#endif /* FW_TRAIN_LOOP_H */
