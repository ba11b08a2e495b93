/*
 * openloop.h - a policy on recorded episodes: what it would have done, against what was done.
 *
 * At every frame t the policy predicts a chunk; its first OPEN_STEPS rows are compared with the recorded actions t, t+1,
 * ... (rows past the episode's end do not count). Errors are absolute differences in the units of the policy's own
 * normalisation (a standard deviation of the training actions; half the range of a gripper), averaged over rows and
 * dimensions. Two baselines get the same treatment: repeating the last recorded action (t - 1; at t = 0 the mean one),
 * and the mean action of the training data. The policy sees images as recorded, the state, the state and action of
 * frame t - 1 if it asks for them, and the sentence.
 */
#ifndef FW_TRAIN_OPENLOOP_H
#define FW_TRAIN_OPENLOOP_H

#include <stdint.h>

#include "base/threads.h"
#include "fw/embodiment.h"
#include "fw/status.h"

enum { FW_OPEN_STEPS = 10 };

typedef struct fw_open_opts {
    const char *policy, *data; /* folders */
    const char *precision;     /* as fw_closed_opts */
    int64_t from, to;          /* episodes [from, to); to < 0: to the end */
    int64_t last;              /* > 0: the last so many episodes instead */
    const char *plot;          /* PNG; NULL: none */
    int threads;               /* <= 0: all CPUs */
} fw_open_opts;

typedef struct fw_open_result {
    int64_t episodes, frames;
    int n_action;
    double error, baseline_repeat, baseline_mean;
    double per_dim[FW_DIM_MAX], repeat_per_dim[FW_DIM_MAX], mean_per_dim[FW_DIM_MAX];
    double by_step[FW_OPEN_STEPS], repeat_by_step[FW_OPEN_STEPS]; /* over the rows of the chunk */
    char dim[FW_DIM_MAX][FW_NAME_MAX];
} fw_open_result;

/* FW_INVALID: among others, a chosen episode falls under a tombstone of the dataset (data/deleted.h; names the rule). */
FW_NODISCARD fw_status fw_open_run(const fw_open_opts *opts, fw_open_result *out, fw_err *err);

#endif /* FW_TRAIN_OPENLOOP_H */
