/* so101_cal.c - see so101_cal.h */
#include "robot/so101_cal.h"

#include <math.h>
#include <stdio.h>

const char *const fw_so101_names[FW_SO101_MOTORS] = {"shoulder_pan", "shoulder_lift", "elbow_flex",
                                                     "wrist_flex",   "wrist_roll",    "gripper"};

enum { LAST_STEP = 4095 };

static fw_status motor_from_json(const json_t *j, const char *where, fw_so101_motor *out, fw_err *err) {
    static const char *const known[] = {"id", "drive_mode", "homing_offset", "range_min", "range_max", NULL};
    int64_t id, mode, offset, min, max;
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(fw_json_i64(j, "id", where, 1, 252, &id, err));
    FW_TRY(fw_json_i64(j, "drive_mode", where, 0, 1, &mode, err));
    FW_TRY(fw_json_i64(j, "homing_offset", where, -2047, 2047, &offset, err));
    FW_TRY(fw_json_i64(j, "range_min", where, 0, LAST_STEP, &min, err));
    FW_TRY(fw_json_i64(j, "range_max", where, 0, LAST_STEP, &max, err));
    if (min >= max) {
        return fw_fail(err, FW_FORMAT, "%s: wanted range_min < range_max, found %d and %d", where, (int)min, (int)max);
    }
    *out = (fw_so101_motor){(int)id, (int)mode, (int)offset, (int)min, (int)max};
    return FW_OK;
}

fw_status fw_so101_cal_from_json(const json_t *j, const char *where, fw_so101_cal *out, fw_err *err) {
    const char *known[FW_SO101_MOTORS + 1] = {NULL};
    fw_so101_cal cal;
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        known[i] = fw_so101_names[i];
    }
    FW_TRY(fw_json_only(j, where, known, err));
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        char place[512];
        const json_t *m;
        FW_TRY(fw_json_obj(j, fw_so101_names[i], where, &m, err));
        snprintf(place, sizeof place, "%s: %s", where, fw_so101_names[i]);
        FW_TRY(motor_from_json(m, place, &cal.motor[i], err));
        for (int k = 0; k < i; k++) {
            if (cal.motor[k].id == cal.motor[i].id) {
                return fw_fail(err, FW_FORMAT, "%s: %s and %s have the same id %d", where, fw_so101_names[k],
                               fw_so101_names[i], cal.motor[i].id);
            }
        }
    }
    *out = cal;
    return FW_OK;
}

fw_status fw_so101_cal_load(const char *path, fw_so101_cal *out, fw_err *err) {
    json_t *j;
    FW_TRY(fw_json_load(path, &j, err));
    const fw_status st = fw_so101_cal_from_json(j, path, out, err);
    json_decref(j);
    return st;
}

json_t *fw_so101_cal_to_json(const fw_so101_cal *cal) {
    json_t *j = json_object();
    for (int i = 0; j != NULL && i < FW_SO101_MOTORS; i++) {
        const fw_so101_motor *m = &cal->motor[i];
        json_t *one = json_pack("{s:i, s:i, s:i, s:i, s:i}", "id", m->id, "drive_mode", m->drive_mode, "homing_offset",
                                m->homing_offset, "range_min", m->range_min, "range_max", m->range_max);
        if (one == NULL || json_object_set_new(j, fw_so101_names[i], one) != 0) {
            json_decref(j);
            j = NULL;
        }
    }
    return j;
}

fw_status fw_so101_cal_save(const char *path, const fw_so101_cal *cal, fw_err *err) {
    json_t *j = fw_so101_cal_to_json(cal);
    const fw_status st = j == NULL ? fw_fail(err, FW_NOMEM, "%s: calibration", path) : fw_json_save(path, j, 4, err);
    json_decref(j);
    return st;
}

/* --- LeRobot's numbers, operation by operation */

static double clamp(double x, double lo, double hi) {
    return x < lo ? lo : x > hi ? hi : x;
}

static int32_t truncate(double x) {
    return (int32_t)clamp(x, -1e9, 1e9);
}

double fw_so101_normalize(const fw_so101_motor *m, fw_so101_norm norm, int32_t steps) {
    const double min = m->range_min, max = m->range_max;
    const double share = (clamp(steps, min, max) - min) / (max - min);
    switch (norm) {
    case FW_SO101_M100_100:
        return m->drive_mode ? -(share * 200 - 100) : share * 200 - 100;
    case FW_SO101_0_100:
        return m->drive_mode ? 100 - share * 100 : share * 100;
    case FW_SO101_DEGREES:
        break;
    }
    return (steps - (min + max) / 2) * 360 / LAST_STEP;
}

int32_t fw_so101_unnormalize(const fw_so101_motor *m, fw_so101_norm norm, double value) {
    const double min = m->range_min, max = m->range_max;
    switch (norm) {
    case FW_SO101_M100_100:
        return truncate((clamp(m->drive_mode ? -value : value, -100, 100) + 100) / 200 * (max - min) + min);
    case FW_SO101_0_100:
        return truncate(clamp(m->drive_mode ? 100 - value : value, 0, 100) / 100 * (max - min) + min);
    case FW_SO101_DEGREES:
        break;
    }
    return truncate(value * LAST_STEP / 360 + (min + max) / 2);
}

/* --- radians */

static bool is_gripper(const fw_so101_axis *a) {
    return a->closed_rad != a->open_rad;
}

double fw_so101_rad_per_step(const fw_so101_motor *m, const fw_so101_axis *a) {
    if (is_gripper(a)) {
        const double r = (a->open_rad - a->closed_rad) / (m->range_max - m->range_min);
        return m->drive_mode ? -r : r;
    }
    return a->sign * 2 * M_PI / LAST_STEP;
}

/* rad at range_min; the gripper's range ends at it. */
static double rad_at_min(const fw_so101_motor *m, const fw_so101_axis *a) {
    if (is_gripper(a)) {
        return m->drive_mode ? a->open_rad : a->closed_rad;
    }
    return a->offset_rad - fw_so101_rad_per_step(m, a) * 0.5 * (m->range_max - m->range_min);
}

double fw_so101_rad(const fw_so101_motor *m, const fw_so101_axis *a, int32_t steps) {
    return rad_at_min(m, a) + fw_so101_rad_per_step(m, a) * (steps - m->range_min);
}

int32_t fw_so101_steps(const fw_so101_motor *m, const fw_so101_axis *a, double rad) {
    const double steps = m->range_min + (rad - rad_at_min(m, a)) / fw_so101_rad_per_step(m, a);
    return (int32_t)lround(clamp(steps, m->range_min, m->range_max));
}
