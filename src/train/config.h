/*
 * config.h - a training run as a file (configs/<name>.json): robot, policy, data split, optimiser.
 *
 *   {"name": "kitchen3", "embodiment": "panda_kitchen", "policy": {...flywheel_s.h...},
 *    "data": {"held_out": 12}, "train": {"batch": 256, "steps": 6000, "lr": 1e-3, ...}}
 *
 * Every key of "data" and "train" has a default, and an unknown one is refused. A published policy is trained further with
 *
 *   {"name": "cups", "policy": {"kind": "pretrained", "from": "outputs/pretrained_model", "new_stats": true,
 *    "cameras": {"front": "top"}}, "train": {"batch": 8}}
 *
 * whose optimiser, schedule and frozen parts are those of its config.json where this file says nothing else.
 */
#ifndef FW_TRAIN_CONFIG_H
#define FW_TRAIN_CONFIG_H

#include "model/flywheel_s.h"
#include "model/lerobot_config.h"
#include "train/optim.h"

/* Who of the data's cameras gives which of a published policy's pictures. Names as "front", or whole keys. */
typedef struct fw_camera_choice {
    char data[FW_LEROBOT_KEY_MAX];
    char policy[FW_LEROBOT_KEY_MAX]; /* "": the camera is not used; "+side": one more picture of that name */
} fw_camera_choice;

/* How a published policy is trained further. */
typedef struct fw_tune_cfg {
    bool new_heads; /* ACT: layers that do not have the sizes of the data's robot are made anew */
    int n_camera;   /* chosen by hand; the others go by name, or by their order */
    fw_camera_choice camera[FW_CAM_MAX];
    bool new_stats;         /* normalise by the statistics of the training episodes instead of the checkpoint's */
    bool cache_pictures;    /* what a frozen tower makes of each frame is computed once and mapped; true */
    int lora_rank;          /* 0: the weights themselves are trained */
    double lora_alpha;      /* adapters count alpha / rank */
    char lora_targets[512]; /* extended regular expression of whole module names; "": LeRobot's of that policy */
} fw_tune_cfg;

typedef struct fw_train_cfg {
    char name[FW_NAME_MAX];
    fw_embodiment embodiment;
    fw_flywheel_cfg policy;      /* cameras bound */
    char from[1024];             /* policy folder to begin with, its statistics too; "": from nothing */
    bool pretrained;             /* from is a published policy: no embodiment, no policy above, but these two */
    fw_lerobot_config published; /* what is frozen: as this file says */
    fw_tune_cfg tune;
    /* data */
    int64_t held_out; /* last episodes of each dataset that are never trained on; -1: one in twenty */
    /* length of a run: the schedule follows whichever end comes first; 0 = no such end, not both 0 */
    int64_t steps;
    double minutes;
    /* optimiser */
    int64_t batch, warmup;
    int64_t micro;               /* rows of one run of the network: a step sums batch / micro of them */
    bool gradient_checkpointing; /* layers are made again for their gradient: the same bits in less memory */
    fw_precision precision;      /* of products in training; weights and optimiser are f32 always */
    double lr, final_lr;         /* final_lr: as a share of lr */
    int64_t
        decay_steps; /* > 0: the rate falls over this many steps at most, and over the whole run if that is shorter */
    double tower_lr; /* share of lr for "tower." parameters, and for ACT's backbone */
    fw_optim_opts optim;
    /* augmentation, of normalised values */
    double state_noise;     /* standard deviation added to the state row */
    double feature_dropout; /* probability that a view's features are all zero in a sample */
    double action_dropout;  /* probability that the previous action is forgotten in a sample */
    uint64_t seed;
    /* rhythm, in steps */
    int64_t log_every, validate_every, checkpoint_every;
} fw_train_cfg;

/* Read a file: FW_FORMAT names file, key, wanted and found. from: policy folder to begin with instead of the file's, or NULL. path
 * NULL: a published policy, `from`, by its own preset. */
FW_NODISCARD fw_status fw_train_cfg_load(const char *path, const char *from, fw_train_cfg *out, fw_err *err);
/* name: "f32" or "bf16"; where: begins the error's message. FW_FORMAT: another one. */
FW_NODISCARD fw_status fw_train_cfg_precision(fw_train_cfg *cfg, const char *name, const char *where, fw_err *err);
/* What must not change between a run and its continuation, as text: owned, free(); NULL when out of memory. */
char *fw_train_cfg_fingerprint(const fw_train_cfg *cfg);

/* "front=top", "front=" (not used), "side=+side" (one more picture) added to what t chooses; FW_INVALID for another form or too many. */
FW_NODISCARD fw_status fw_tune_choose(fw_tune_cfg *t, const char *text, fw_err *err);

#endif /* FW_TRAIN_CONFIG_H */
