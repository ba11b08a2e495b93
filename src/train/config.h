/*
 * config.h - a training run as a file (configs/<name>.json): robot, policy, data split, optimiser.
 *
 *   {"name": "kitchen3", "embodiment": "panda_kitchen", "policy": {...flywheel_s.h...},
 *    "data": {"held_out": 12}, "train": {"batch": 256, "steps": 6000, "lr": 1e-3, ...}}
 *
 * Every key of "data" and "train" has a default, and an unknown one is refused.
 */
#ifndef FW_TRAIN_CONFIG_H
#define FW_TRAIN_CONFIG_H

#include "model/flywheel_s.h"
#include "train/optim.h"

typedef struct fw_train_cfg {
    char name[FW_NAME_MAX];
    fw_embodiment embodiment;
    fw_flywheel_cfg policy; /* cameras bound */
    char from[1024];        /* policy folder to begin with, its statistics too; "": from nothing (not in the file) */
    /* data */
    int64_t held_out; /* last episodes of each dataset that are never trained on; -1: one in twenty */
    /* length of a run: the schedule follows whichever end comes first; 0 = no such end, not both 0 */
    int64_t steps;
    double minutes;
    /* optimiser */
    int64_t batch, warmup;
    double lr, final_lr; /* final_lr: as a share of lr */
    double tower_lr;     /* share of lr for "tower." parameters */
    fw_optim_opts optim;
    /* augmentation, of normalised values */
    double state_noise;     /* standard deviation added to the state row */
    double feature_dropout; /* probability that a view's features are all zero in a sample */
    double action_dropout;  /* probability that the previous action is forgotten in a sample */
    uint64_t seed;
    /* rhythm, in steps */
    int64_t log_every, validate_every, checkpoint_every;
} fw_train_cfg;

/* Read a file: FW_FORMAT names file, key, wanted and found. */
FW_NODISCARD fw_status fw_train_cfg_load(const char *path, fw_train_cfg *out, fw_err *err);
/* What must not change between a run and its continuation, as text: owned, free(); NULL when out of memory. */
char *fw_train_cfg_fingerprint(const fw_train_cfg *cfg);

#endif /* FW_TRAIN_CONFIG_H */
