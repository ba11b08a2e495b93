/*
 * embodiment.h - a robot as data: what it sees, feels and can be told, and how fast.
 *
 * Read from a JSON file (embodiments/<name>.json): a new robot is a new file. Slots carry their *meaning*, so that a
 * policy can put the same quantity of two robots into the same place.
 */
#ifndef FW_EMBODIMENT_H
#define FW_EMBODIMENT_H

#include <stdbool.h>

#include "fw/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FW_NAME_MAX 64
#define FW_CAM_MAX  6
#define FW_DIM_MAX  32

/* clang-format off */
#define FW_MEANING_MAP(X)                                                             \
  X(JOINT_POS, "joint_pos")       /* rad (m for a slide)                           */ \
  X(JOINT_VEL, "joint_vel")       /* rad/s                                         */ \
  X(EE_POS, "ee_pos")             /* m, end effector in the robot's base frame     */ \
  X(EE_YAW, "ee_yaw")             /* rad, about the base's z                       */ \
  X(EE_DELTA_POS, "ee_delta_pos") /* m per control step, base frame                */ \
  X(EE_DELTA_YAW, "ee_delta_yaw") /* rad per control step                          */ \
  X(GRIPPER, "gripper")           /* 0 closed .. 1 open                            */ \
  X(BASE_VEL, "base_vel")         /* m/s or rad/s                                  */ \
  X(OTHER, "other")
/* clang-format on */

typedef enum fw_meaning {
#define X(name, text) FW_MEANING_##name,
    FW_MEANING_MAP(X)
#undef X
} fw_meaning;

typedef struct fw_dim {
    char name[FW_NAME_MAX];
    fw_meaning meaning;
    double min, max; /* limits, in the meaning's unit */
    int arm;         /* which arm it belongs to, 0.. (0 for a robot of one arm, and for its base) */
} fw_dim;

typedef struct fw_camera {
    char name[FW_NAME_MAX]; /* "front": dataset key observation.images.front */
    int width, height;      /* pixels */
} fw_camera;

typedef struct fw_embodiment {
    char name[FW_NAME_MAX];
    double rate_hz; /* control rate */
    bool held_out;  /* kept for zero-shot tests: never in training data */
    int n_camera, n_state, n_action;
    fw_camera camera[FW_CAM_MAX];
    fw_dim state[FW_DIM_MAX];
    fw_dim action[FW_DIM_MAX];
} fw_embodiment;

/* Read a file. FW_FORMAT with file, key, wanted and found. */
FW_NODISCARD fw_status fw_embodiment_load(const char *path, fw_embodiment *out, fw_err *err);
/* embodiments/<name>.json of this installation. FW_INVALID lists the known names. */
FW_NODISCARD fw_status fw_embodiment_find(const char *name, fw_embodiment *out, fw_err *err);
const char *fw_meaning_name(fw_meaning m);

#ifdef __cplusplus
}
#endif
#endif /* FW_EMBODIMENT_H */
