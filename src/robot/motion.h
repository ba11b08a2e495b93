/*
 * motion.h - from commands at the policy's rate to set-points at the driver's: position, velocity and acceleration are continuous.
 *
 *   fw_motion_start(&m, n, limits, where);                    // at rest
 *   each control step:   fw_motion_to(&m, since, target, after, 1 / rate, FW_MOTION_TOGETHER);
 *   each driver cycle:   fw_motion_at(&m, seconds_since, set_point);
 *
 * DESIGN. Between two commands each axis follows the polynomial of degree 5 from where it is (position, velocity, acceleration) to the
 * target, with the velocity that leads on to the command after it (central difference; 0 when none is known) and no acceleration.
 * A new target, wherever it comes from, begins where the last curve is: it can bend the motion, never break it. A curve whose velocity,
 * acceleration or jerk would pass the axis' limits is stretched in time. Axes that go together are stretched alike, so that what they
 * move keeps its path (fw_motion_span: how long that takes); an axis apart lags by itself, and the next target begins from there.
 * No allocation, no clock, no floating-point traps: a target that is not finite is refused and nothing changes.
 */
#ifndef FW_ROBOT_MOTION_H
#define FW_ROBOT_MOTION_H

#include <stdbool.h>

#include "fw/embodiment.h"

typedef struct fw_motion_limits {
    double vel, acc, jerk; /* of an axis, unit/s, /s^2, /s^3; 0: none */
} fw_motion_limits;

typedef struct fw_motion {
    int n;
    fw_motion_limits limits[FW_DIM_MAX];
    double c[FW_DIM_MAX][6]; /* position at t: sum of c[i] t^i */
    double span[FW_DIM_MAX]; /* seconds of the curve; past it the axis is brought to rest within as many */
} fw_motion;

/* At rest at where [n]. limits [n] or NULL: none. */
void fw_motion_start(fw_motion *m, int n, const fw_motion_limits *limits, const float *where);
typedef enum fw_motion_how { FW_MOTION_TOGETHER, FW_MOTION_APART } fw_motion_how;
/* From what the motion is at `from` seconds of the current curve on to target [n] in `seconds`, or as long as limits make it; after [n]: the command after
 * it, or NULL. False: not finite, or no time. */
bool fw_motion_to(fw_motion *m, double from, const float *target, const float *after, double seconds,
                  fw_motion_how how);
/* Seconds until all axes have come to the end of their curves. */
double fw_motion_span(const fw_motion *m);
/* Set-point at t seconds of the current curve; vel, acc [n] or NULL. */
void fw_motion_at(const fw_motion *m, double t, float *pos, float *vel, float *acc);

#endif /* FW_ROBOT_MOTION_H */
