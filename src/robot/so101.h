/*
 * so101.h - the SO-100/101 arm as a driver: six STS3215 servos on one serial port, and cameras.
 *
 * A cycle is one sync read of 15 registers (position, velocity, load, voltage, temperature, status, moving, current) of all six and one
 * sync write of their goals: 140 + 26 bytes, 1.66 ms at 1 Mbaud (docs/DRIVERS.md counts them). Torque comes on acknowledged: goals are
 * written, read back, then torque is written and read back, so that no servo runs to an old goal and none stays limp unnoticed.
 */
#ifndef FW_ROBOT_SO101_H
#define FW_ROBOT_SO101_H

#include "fw/driver.h"

extern const fw_driver_api fw_so101_api;

#endif /* FW_ROBOT_SO101_H */
