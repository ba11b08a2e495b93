/*
 * trial.h - a published policy at its real size with random weights and a random observation: what benchmarks measure.
 *
 *   fw_trial *t;
 *   FW_TRY(fw_trial_new(&(fw_trial_opts){.policy = "pi0", .cameras = 2, .words = 16, .batch = 1}, &t, err));
 *   FW_TRY(fw_trial_run(t, err));         // bytes of pictures, words, state, noise -> a chunk; the first run makes the plans
 *
 * DESIGN. Values do not change the time, so no checkpoint is needed. Sizes are those that config.json of the published policies
 * gives. All weights of linear layers are parts of one random block: the memory of a run is what is packed, the activations and that
 * block, without the checkpoint's file, whose pages the system takes back when it needs them.
 */
#ifndef FW_MODEL_TRIAL_H
#define FW_MODEL_TRIAL_H

#include "base/threads.h"
#include "fw/embodiment.h"
#include "tensor/plan.h"

typedef struct fw_trial_opts {
    const char *policy; /* "act", "smolvla", "pi0", "pi05" */
    fw_precision precision;
    fw_pool *pool;  /* borrowed until free; NULL: one thread */
    int cameras;    /* pictures of 640 x 480, up to FW_CAM_MAX */
    int words;      /* of the prompt; not for act */
    int flow_steps; /* 0: the policy's; not for act */
    int64_t batch;  /* robots in one call */
} fw_trial_opts;

typedef struct fw_trial_info {
    double flops; /* of a run; multiply-adds count as 2 */
    size_t packed_bytes, arena_bytes;
    int flow_steps; /* 1 for act */
} fw_trial_info;

typedef struct fw_trial fw_trial;
/* *out owned. FW_INVALID for an unknown policy. */
FW_NODISCARD fw_status fw_trial_new(const fw_trial_opts *o, fw_trial **out, fw_err *err);
void fw_trial_free(fw_trial *t); /* NULL is fine */
FW_NODISCARD fw_status fw_trial_run(fw_trial *t, fw_err *err);
void fw_trial_get_info(const fw_trial *t, fw_trial_info *out); /* after a run */
void fw_trial_profile(fw_trial *t, bool on);                   /* as fw_plan_profile, after a run */

#endif /* FW_MODEL_TRIAL_H */
