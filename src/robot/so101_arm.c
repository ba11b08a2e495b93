/* so101_arm.c - see so101_arm.h. Which registers and values: LeRobot's SO follower, so that an arm can change between both programs. */
#include "robot/so101_arm.h"

#include <stdio.h>
#include <string.h>

#include "fw/driver.h"

enum { HALF_TURN = 2047, LAST_STEP = 4095, MOVED_MIN = 205, WRIST_ROLL = 4, SCAN_LAST = 20 };

uint32_t fw_so101_faults(uint8_t error) {
    static const struct {
        uint8_t bit;
        uint32_t fault;
    } map[] = {{1, FW_DRIVER_FAULT_VOLTAGE}, {2, FW_DRIVER_FAULT_SENSOR},    {4, FW_DRIVER_FAULT_TEMPERATURE},
               {8, FW_DRIVER_FAULT_CURRENT}, {32, FW_DRIVER_FAULT_OVERLOAD}, {16 | 64 | 128, FW_DRIVER_FAULT_OTHER}};
    uint32_t faults = 0;
    for (size_t i = 0; i < sizeof map / sizeof *map; i++) {
        faults |= (error & map[i].bit) != 0 ? map[i].fault : 0;
    }
    return faults;
}

/* --- one servo */

static const char *name_of(const uint8_t *ids, uint8_t id) {
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        if (ids[i] == id) {
            return fw_so101_names[i];
        }
    }
    return "motor";
}

static fw_status set(fw_sts_bus *b, const uint8_t *ids, int i, fw_sts_reg r, int32_t value, fw_err *err) {
    int32_t now;
    uint8_t error;
    fw_status st = fw_sts_read(b, ids[i], r, &now, &error, err);
    if (st == FW_OK && now == value) {
        return FW_OK;
    }
    st = st != FW_OK ? st : fw_sts_write(b, ids[i], r, value, &error, err);
    st = st != FW_OK ? st : fw_sts_read(b, ids[i], r, &now, &error, err);
    if (st != FW_OK) {
        return fw_fail_in(err, st, "%s, register %s", fw_so101_names[i], fw_sts_name(r));
    }
    if (now != value) {
        return fw_fail(err, FW_IO, "%s (id %u) on %s: wanted %d in register %s, found %d after writing it",
                       fw_so101_names[i], ids[i], b->serial.port, (int)value, fw_sts_name(r), (int)now);
    }
    return FW_OK;
}

static fw_status set_all(fw_sts_bus *b, const uint8_t *ids, fw_sts_reg r, int32_t value, fw_err *err) {
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        FW_TRY(set(b, ids, i, r, value, err));
    }
    return FW_OK;
}

static fw_status get(fw_sts_bus *b, uint8_t id, fw_sts_reg r, int *out, fw_err *err) {
    int32_t v;
    uint8_t error;
    FW_TRY(fw_sts_read(b, id, r, &v, &error, err));
    *out = v;
    return FW_OK;
}

fw_status fw_so101_ask_health(fw_sts_bus *b, uint8_t id, fw_so101_health *h, fw_err *err) {
    uint8_t error;
    int v, min, max, torque;
    *h = (fw_so101_health){0};
    fw_status st = fw_sts_ping(b, id, &error, err);
    if (st != FW_OK) {
        return st == FW_TIMEOUT ? FW_OK : st;
    }
    h->found = true;
    h->faults = fw_so101_faults(error);
    FW_TRY(get(b, id, FW_STS_MODEL, &h->model, err));
    FW_TRY(get(b, id, FW_STS_FIRMWARE_MAJOR, &h->firmware_major, err));
    FW_TRY(get(b, id, FW_STS_FIRMWARE_MINOR, &h->firmware_minor, err));
    FW_TRY(get(b, id, FW_STS_VOLTAGE, &v, err));
    FW_TRY(get(b, id, FW_STS_MIN_VOLTAGE, &min, err));
    FW_TRY(get(b, id, FW_STS_MAX_VOLTAGE, &max, err));
    FW_TRY(get(b, id, FW_STS_TEMPERATURE, &h->temperature, err));
    FW_TRY(get(b, id, FW_STS_MAX_TEMPERATURE, &h->temperature_max, err));
    FW_TRY(get(b, id, FW_STS_POSITION, &h->position, err));
    FW_TRY(get(b, id, FW_STS_TORQUE_ENABLE, &torque, err));
    h->voltage = 0.1 * v;
    h->voltage_min = 0.1 * min;
    h->voltage_max = 0.1 * max;
    h->torque_on = torque == 1;
    return FW_OK;
}

/* --- all of them */

/* Who answers: " 1 2 5", or " nobody". */
static void who_answers(fw_sts_bus *b, char *out, size_t cap) {
    const int retries = b->retries;
    size_t at = 0;
    uint8_t error;
    fw_err e;
    out[0] = 0;
    b->retries = 0;
    for (uint8_t id = 1; id <= 12; id++) {
        if (fw_sts_ping(b, id, &error, &e) == FW_OK && at + 8 < cap) {
            at += (size_t)snprintf(out + at, cap - at, " %u", id);
        }
    }
    b->retries = retries;
    if (at == 0) {
        snprintf(out, cap, " nobody");
    }
}

static fw_status check_one(fw_sts_bus *b, const uint8_t *ids, int i, fw_err *err) {
    const char *name = fw_so101_names[i], *port = b->serial.port;
    char text[128];
    fw_so101_health h;
    const fw_status st = fw_so101_ask_health(b, ids[i], &h, err);
    if (st != FW_OK) {
        return fw_fail_in(err, st, "%s", name);
    }
    if (!h.found) {
        who_answers(b, text, sizeof text);
        return fw_fail(err, FW_IO,
                       "%s: %s (id %u) does not answer; of ids 1 to 12 these do:%s. Is its cable in, and the power on?",
                       port, name, ids[i], text);
    }
    if (h.model != FW_STS_MODEL_3215) {
        return fw_fail(err, FW_IO, "%s: %s (id %u): wanted model number %d (sts3215), found %d", port, name, ids[i],
                       FW_STS_MODEL_3215, h.model);
    }
    if (h.temperature >= h.temperature_max) {
        return fw_fail(err, FW_IO, "%s: %s (id %u) is too hot: wanted below %d C, found %d", port, name, ids[i],
                       h.temperature_max, h.temperature);
    }
    if (h.voltage < h.voltage_min || h.voltage > h.voltage_max) {
        return fw_fail(err, FW_IO, "%s: %s (id %u): wanted %.1f to %.1f V, found %.1f", port, name, ids[i],
                       h.voltage_min, h.voltage_max, h.voltage);
    }
    if (h.faults != 0) {
        return fw_fail(err, FW_IO, "%s: %s (id %u): %s", port, name, ids[i],
                       fw_driver_faults_text(h.faults, text, sizeof text));
    }
    return FW_OK;
}

fw_status fw_so101_check(fw_sts_bus *b, const uint8_t *ids, fw_err *err) {
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        FW_TRY(check_one(b, ids, i, err));
    }
    return FW_OK;
}

static void ids_of(const fw_so101_cal *cal, uint8_t *ids) {
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        ids[i] = (uint8_t)cal->motor[i].id;
    }
}

/* The only servo on the bus. */
static fw_status find_only(fw_sts_bus *b, uint8_t *id, fw_err *err) {
    const int retries = b->retries;
    char all[128] = "";
    int n = 0;
    fw_status st = FW_OK;
    b->retries = 0; /* most ids are nobody's */
    for (int i = 1; i <= SCAN_LAST && (st == FW_OK || st == FW_TIMEOUT); i++) {
        uint8_t error;
        st = fw_sts_ping(b, (uint8_t)i, &error, err);
        if (st == FW_OK && n++ < 16) {
            *id = (uint8_t)i;
            snprintf(all + strlen(all), sizeof all - strlen(all), " %d", i);
        }
    }
    b->retries = retries;
    if (st != FW_OK && st != FW_TIMEOUT) {
        return st;
    }
    return n == 1 ? FW_OK
                  : fw_fail(err, n == 0 ? FW_TIMEOUT : FW_INVALID,
                            "%s: wanted exactly one servo connected (ids 1 to %d), %d answer%s%s", b->serial.port,
                            SCAN_LAST, n, n == 0 ? "" : ":", all);
}

fw_status fw_so101_set_id(fw_sts_bus *b, uint8_t id, uint8_t *from, fw_err *err) {
    uint8_t error;
    int model;
    fw_err lost;
    FW_TRY(find_only(b, from, err));
    FW_TRY(get(b, *from, FW_STS_MODEL, &model, err));
    if (model != FW_STS_MODEL_3215) {
        return fw_fail(err, FW_IO, "%s: id %u: wanted model number %d (sts3215), found %d", b->serial.port, *from,
                       FW_STS_MODEL_3215, model);
    }
    FW_TRY(fw_sts_write(b, *from, FW_STS_TORQUE_ENABLE, 0, &error, err));
    FW_TRY(fw_sts_write(b, *from, FW_STS_LOCK, 0, &error, err));
    if (fw_sts_write(b, *from, FW_STS_ID, id, &error, &lost) ==
        FW_CLOSED) { /* who answers, the old or the new one, is open */
        return fw_fail(err, FW_CLOSED, "%.200s", lost.msg);
    }
    return fw_sts_write(b, id, FW_STS_LOCK, 1, &error, err);
}

fw_status fw_so101_cal_read(fw_sts_bus *b, const uint8_t *ids, fw_so101_cal *out, fw_err *err) {
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        fw_so101_motor *m = &out->motor[i];
        *m = (fw_so101_motor){.id = ids[i]};
        FW_TRY(get(b, ids[i], FW_STS_HOMING_OFFSET, &m->homing_offset, err));
        FW_TRY(get(b, ids[i], FW_STS_MIN_POSITION, &m->range_min, err));
        FW_TRY(get(b, ids[i], FW_STS_MAX_POSITION, &m->range_max, err));
    }
    return FW_OK;
}

fw_status fw_so101_check_calibration(fw_sts_bus *b, const fw_so101_cal *cal, fw_err *err) {
    uint8_t ids[FW_SO101_MOTORS];
    fw_so101_cal has;
    ids_of(cal, ids);
    FW_TRY(fw_so101_cal_read(b, ids, &has, err));
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        const fw_so101_motor *m = &cal->motor[i], *h = &has.motor[i];
        if (h->homing_offset != m->homing_offset || h->range_min != m->range_min || h->range_max != m->range_max) {
            return fw_fail(err, FW_INVALID,
                           "%s: %s (id %d): the calibration file wants offset %d, range %d..%d; the servo has %d, "
                           "%d..%d. Another arm's file? If not: flywheel so101 calibrate --write FILE",
                           b->serial.port, fw_so101_names[i], m->id, m->homing_offset, m->range_min, m->range_max,
                           h->homing_offset, h->range_min, h->range_max);
        }
    }
    return FW_OK;
}

fw_status fw_so101_limp(fw_sts_bus *b, const uint8_t *ids, fw_err *err) {
    fw_status first = FW_OK;
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        uint8_t error;
        fw_err e = {0};
        const fw_status st = fw_sts_write(b, ids[i], FW_STS_TORQUE_ENABLE, 0, &error, &e);
        if (st != FW_OK && first == FW_OK) {
            first = fw_fail(err, st, "torque of %s not off: %.200s", name_of(ids, ids[i]), e.msg);
        }
        if (st == FW_CLOSED) {
            break;
        }
    }
    return first;
}

static fw_status unlock(fw_sts_bus *b, const uint8_t *ids, fw_err *err) {
    FW_TRY(set_all(b, ids, FW_STS_TORQUE_ENABLE, 0, err));
    return set_all(b, ids, FW_STS_LOCK, 0, err);
}

static fw_status configure_one(fw_sts_bus *b, const uint8_t *ids, int i, fw_err *err) {
    static const struct {
        fw_sts_reg reg;
        int32_t value;
        bool gripper; /* of the gripper alone: half its torque and current, so that it can press for long */
    } table[] = {
        {FW_STS_RETURN_DELAY, 0, false},
        {FW_STS_MAX_ACCELERATION, 254, false},
        {FW_STS_ACCELERATION, 254, false},
        {FW_STS_OPERATING_MODE, 0, false},
        {FW_STS_P, 16, false},
        {FW_STS_I, 0, false},
        {FW_STS_D, 32, false},
        {FW_STS_MAX_TORQUE, 500, true},
        {FW_STS_PROTECTION_CURRENT, 250, true},
        {FW_STS_OVERLOAD_TORQUE, 25, true},
    };
    int phase;
    FW_TRY(get(b, ids[i], FW_STS_PHASE, &phase, err));
    FW_TRY(set(b, ids, i, FW_STS_PHASE, phase & ~0x10, err)); /* positions in 0..4095, never beyond */
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        if (!table[k].gripper || i == FW_SO101_GRIPPER) {
            FW_TRY(set(b, ids, i, table[k].reg, table[k].value, err));
        }
    }
    return FW_OK;
}

fw_status fw_so101_configure(fw_sts_bus *b, const uint8_t *ids, fw_err *err) {
    FW_TRY(unlock(b, ids, err));
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        FW_TRY(configure_one(b, ids, i, err));
    }
    return set_all(b, ids, FW_STS_LOCK, 1, err);
}

/* --- calibration */

fw_status fw_so101_cal_begin(fw_sts_bus *b, const uint8_t *ids, fw_err *err) {
    FW_TRY(fw_so101_check(b, ids, err));
    FW_TRY(fw_so101_configure(b, ids, err));
    FW_TRY(unlock(b, ids, err));
    FW_TRY(set_all(b, ids, FW_STS_HOMING_OFFSET, 0, err));
    FW_TRY(set_all(b, ids, FW_STS_MIN_POSITION, 0, err));
    return set_all(b, ids, FW_STS_MAX_POSITION, LAST_STEP, err);
}

fw_status fw_so101_cal_home(fw_sts_bus *b, const uint8_t *ids, fw_so101_cal *cal, fw_err *err) {
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        int position;
        FW_TRY(get(b, ids[i], FW_STS_POSITION, &position, err));
        cal->motor[i] = (fw_so101_motor){
            .id = ids[i], .homing_offset = position - HALF_TURN, .range_min = HALF_TURN, .range_max = HALF_TURN};
        if (cal->motor[i].homing_offset > 2047) { /* 4095 - 2047: one more than the register holds */
            cal->motor[i].homing_offset = 2047;
        }
        FW_TRY(set(b, ids, i, FW_STS_HOMING_OFFSET, cal->motor[i].homing_offset, err));
    }
    cal->motor[WRIST_ROLL].range_min = 0;
    cal->motor[WRIST_ROLL].range_max = LAST_STEP;
    return FW_OK;
}

fw_status fw_so101_cal_range(fw_sts_bus *b, fw_so101_cal *cal, int32_t *steps, fw_err *err) {
    fw_sts_reply r[FW_SO101_MOTORS];
    uint8_t ids[FW_SO101_MOTORS];
    uint32_t got;
    ids_of(cal, ids);
    FW_TRY(fw_sts_sync_read(b, ids, FW_SO101_MOTORS, fw_sts_address(FW_STS_POSITION), 2, INT64_MAX, r, &got, err));
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        fw_so101_motor *m = &cal->motor[i];
        if ((got >> i & 1) == 0) {
            return fw_fail(err, FW_TIMEOUT, "%s: %s (id %d) does not answer", b->serial.port, fw_so101_names[i], m->id);
        }
        steps[i] = fw_sts_decode(FW_STS_POSITION, r[i].data);
        m->range_min = steps[i] < m->range_min && steps[i] >= 0 ? steps[i] : m->range_min;
        m->range_max = steps[i] > m->range_max && steps[i] <= LAST_STEP ? steps[i] : m->range_max;
    }
    return FW_OK;
}

fw_status fw_so101_cal_done(const fw_so101_cal *cal, fw_err *err) {
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        const fw_so101_motor *m = &cal->motor[i];
        if (m->range_max - m->range_min < MOVED_MIN) {
            return fw_fail(err, FW_INVALID, "%s moved by %d steps only (wanted at least %d): move it to both its ends",
                           fw_so101_names[i], m->range_max - m->range_min, MOVED_MIN);
        }
    }
    return FW_OK;
}

fw_status fw_so101_cal_write(fw_sts_bus *b, const fw_so101_cal *cal, fw_err *err) {
    uint8_t ids[FW_SO101_MOTORS];
    ids_of(cal, ids);
    FW_TRY(unlock(b, ids, err));
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        FW_TRY(set(b, ids, i, FW_STS_HOMING_OFFSET, cal->motor[i].homing_offset, err));
        FW_TRY(set(b, ids, i, FW_STS_MIN_POSITION, cal->motor[i].range_min, err));
        FW_TRY(set(b, ids, i, FW_STS_MAX_POSITION, cal->motor[i].range_max, err));
    }
    return set_all(b, ids, FW_STS_LOCK, 1, err);
}
