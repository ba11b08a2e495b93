/*
 * so101_arm.h - the six servos of an SO-100/101 on their bus: are they there and well, set up as LeRobot does, calibrated by hand.
 *
 * Everything here awaits an acknowledgement of every step and names in its errors the motor, the port, what was wanted and what was
 * found. Registers that the servo keeps without power are written only when they differ (they wear), and read back.
 */
#ifndef FW_ROBOT_SO101_ARM_H
#define FW_ROBOT_SO101_ARM_H

#include <stdbool.h>
#include <stdint.h>

#include "fw/status.h"
#include "robot/so101_cal.h"
#include "robot/sts.h"

typedef struct fw_so101_health {
    bool found;
    uint32_t faults; /* fw_driver_fault bits */
    int model, firmware_major, firmware_minor;
    double voltage, voltage_min, voltage_max; /* V */
    int temperature, temperature_max;         /* degrees C */
    int position;                             /* steps */
    bool torque_on;
} fw_so101_health;

/* fw_driver_fault bits of a reply's error byte. */
uint32_t fw_so101_faults(uint8_t error);

/* Ask servo `id` how it is. A servo that does not answer is not an error (found = false); a port that is gone is. */
FW_NODISCARD fw_status fw_so101_ask_health(fw_sts_bus *b, uint8_t id, fw_so101_health *out, fw_err *err);
/* All six answer, are of the right model, and are well. ids [6]. FW_IO names the first that is not, and who else answers. */
FW_NODISCARD fw_status fw_so101_check(fw_sts_bus *b, const uint8_t *ids, fw_err *err);
/* Their registers are those of the calibration: another arm's file would turn joints beyond their ends. FW_INVALID says what to do. */
FW_NODISCARD fw_status fw_so101_check_calibration(fw_sts_bus *b, const fw_so101_cal *cal, fw_err *err);
/* Torque off, then the registers that LeRobot sets before it drives. */
FW_NODISCARD fw_status fw_so101_configure(fw_sts_bus *b, const uint8_t *ids, fw_err *err);
/* Torque of all six off, those that do not answer passed over; the first failure is returned. */
FW_NODISCARD fw_status fw_so101_limp(fw_sts_bus *b, const uint8_t *ids, fw_err *err);

/* A new servo's id. Exactly one with an id of 1 to 20 may be connected (FW_INVALID names those that answer), of the right model; *from: the id that it had. */
FW_NODISCARD fw_status fw_so101_set_id(fw_sts_bus *b, uint8_t id, uint8_t *from, fw_err *err);
/* What the servos hold; drive modes are not kept there: 0. */
FW_NODISCARD fw_status fw_so101_cal_read(fw_sts_bus *b, const uint8_t *ids, fw_so101_cal *out, fw_err *err);

/* --- calibration by hand: begin (limp), a person puts every joint in its middle, home, moves every joint to both ends while range is
 * called again and again, save. wrist_roll turns without an end: its range is 0..4095. */
FW_NODISCARD fw_status fw_so101_cal_begin(fw_sts_bus *b, const uint8_t *ids, fw_err *err);
/* Here is the middle: offsets such that this reads 2047, written. cal's ranges are empty then. */
FW_NODISCARD fw_status fw_so101_cal_home(fw_sts_bus *b, const uint8_t *ids, fw_so101_cal *cal, fw_err *err);
/* Positions now, into the ranges. steps [6]: out. */
FW_NODISCARD fw_status fw_so101_cal_range(fw_sts_bus *b, fw_so101_cal *cal, int32_t *steps, fw_err *err);
/* Every joint has been moved (by at least a twentieth of a turn)? FW_INVALID names one that has not. */
FW_NODISCARD fw_status fw_so101_cal_done(const fw_so101_cal *cal, fw_err *err);
/* Into the servos: torque off, offsets and limits. */
FW_NODISCARD fw_status fw_so101_cal_write(fw_sts_bus *b, const fw_so101_cal *cal, fw_err *err);

#endif /* FW_ROBOT_SO101_ARM_H */
