/*
 * calibrate_run.h - int8 made for a policy on recorded frames (model/calibrate.h), and what it does to its actions, on others.
 *
 * One episode in five, at least the last, is held out. Frames are drawn evenly over the rest: the exact policy sees them and the
 * products are chosen. Then each variant runs on frames of the episodes held out, with the same noise; its chunks are compared with the
 * exact ones: the cosine of the angle between them, every action counted from the data's mean in the data's standard deviations (so
 * that an arm's large constant angles do not hide what differs), and the largest difference of an action in the robot's own units.
 */
#ifndef FW_TRAIN_CALIBRATE_RUN_H
#define FW_TRAIN_CALIBRATE_RUN_H

#include "fw/embodiment.h"
#include "model/calibrate.h"

typedef struct fw_calibrate_opts {
    const char *policy, *data;         /* folders */
    const char *out;                   /* the file, or a folder for it; NULL: beside the policy's weights */
    const char *tokenizer;             /* as fw_policy_opts */
    int64_t frames, held_out;          /* >= 1 of each */
    uint64_t seed;                     /* of frames and noise */
    int threads;                       /* <= 0: all CPUs */
    double alpha, exact_above, budget; /* as fw_calibration_opts */
} fw_calibrate_opts;

typedef struct fw_calibrate_row { /* a variant against exact */
    const char *name;             /* static: "int8", "int8 calibrated", "bf16" */
    bool ran;                     /* false: this CPU has no such kernels */
    double cosine, worst;         /* mean and smallest over frames */
    double largest[FW_DIM_MAX];   /* difference, by action */
    double ms;                    /* mean wall time of a call */
} fw_calibrate_row;
enum { FW_CALIBRATE_PLAIN, FW_CALIBRATE_SMOOTH, FW_CALIBRATE_BF16, FW_CALIBRATE_ROWS };

typedef struct fw_calibrate_result {
    fw_calibration *products;                             /* owned; worst first */
    char path[4096];                                      /* the file that was written */
    int64_t frames, episodes, held_frames, held_episodes; /* seen */
    int n_action;
    char dim[FW_DIM_MAX][FW_NAME_MAX];
    double spread[FW_DIM_MAX]; /* standard deviation of the recorded actions */
    double exact_ms;
    fw_calibrate_row row[FW_CALIBRATE_ROWS];
} fw_calibrate_result;

/* Nothing is written on failure. FW_INVALID: a dataset of one episode, among others. */
FW_NODISCARD fw_status fw_calibrate_run(const fw_calibrate_opts *o, fw_calibrate_result *out, fw_err *err);
void fw_calibrate_clear(fw_calibrate_result *r);

#endif /* FW_TRAIN_CALIBRATE_RUN_H */
