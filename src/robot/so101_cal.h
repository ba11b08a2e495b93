/*
 * so101_cal.h - an SO-100/101 arm's calibration, as LeRobot writes it, and what a servo's steps mean.
 *
 *   {"shoulder_pan": {"id": 1, "drive_mode": 0, "homing_offset": 1603, "range_min": 761, "range_max": 3280}, ...}
 *
 * A servo gives Present_Position = position of its encoder - homing_offset, 0..4095; the offset is chosen such that the middle of the
 * motion reads 2047. LeRobot's numbers (fw_so101_normalize) are kept bit for bit, truncation included, so that its datasets and
 * policies mean the same here. Radians are its degrees: 0 in the middle of the range, 4095 steps a turn; here steps are rounded.
 */
#ifndef FW_ROBOT_SO101_CAL_H
#define FW_ROBOT_SO101_CAL_H

#include <stdint.h>

#include "base/json.h"
#include "fw/embodiment.h"
#include "fw/status.h"

#define FW_SO101_MOTORS  6
#define FW_SO101_GRIPPER 5 /* the last one */

extern const char *const fw_so101_names[FW_SO101_MOTORS]; /* shoulder_pan .. gripper */

typedef struct fw_so101_motor {
    int id;                   /* 1..252 */
    int drive_mode;           /* 1: LeRobot's ranges (not its degrees) are turned round */
    int homing_offset;        /* -2047..2047 steps */
    int range_min, range_max; /* 0..4095 steps, min < max */
} fw_so101_motor;

typedef struct fw_so101_cal {
    fw_so101_motor motor[FW_SO101_MOTORS];
} fw_so101_cal;

/* Exactly the six motors, ids different. FW_FORMAT names file, motor, key, wanted and found; out is untouched unless FW_OK. */
FW_NODISCARD fw_status fw_so101_cal_load(const char *path, fw_so101_cal *out, fw_err *err);
FW_NODISCARD fw_status fw_so101_cal_from_json(const json_t *j, const char *where, fw_so101_cal *out, fw_err *err);
/* Replaced atomically, in LeRobot's form. */
FW_NODISCARD fw_status fw_so101_cal_save(const char *path, const fw_so101_cal *cal, fw_err *err);
json_t *fw_so101_cal_to_json(const fw_so101_cal *cal); /* owned; NULL: out of memory */

typedef enum fw_so101_norm { FW_SO101_DEGREES, FW_SO101_M100_100, FW_SO101_0_100 } fw_so101_norm;

double fw_so101_normalize(const fw_so101_motor *m, fw_so101_norm norm, int32_t steps);
/* value: finite. */
int32_t fw_so101_unnormalize(const fw_so101_motor *m, fw_so101_norm norm, double value);

/* From LeRobot's numbers to the embodiment's radians. */
typedef struct fw_so101_axis {
    double sign;                 /* +1 or -1: joints */
    double offset_rad;           /* added after the sign: joints */
    double closed_rad, open_rad; /* the gripper at 0 and at 100; both 0: a joint */
} fw_so101_axis;

double fw_so101_rad(const fw_so101_motor *m, const fw_so101_axis *a, int32_t steps);
/* rad per step, signed: for velocities. */
double fw_so101_rad_per_step(const fw_so101_motor *m, const fw_so101_axis *a);
/* Nearest step, inside the range. rad: finite. */
int32_t fw_so101_steps(const fw_so101_motor *m, const fw_so101_axis *a, double rad);

#endif /* FW_ROBOT_SO101_CAL_H */
