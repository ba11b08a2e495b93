/*
 * limits.h - what a robot is allowed: the key "safety" of embodiments/NAME.json (keys and units: docs/SAFETY.md) as numbers for safety.
 *
 *   fw_safety_limits limits;
 *   fw_limits_names names;
 *   fw_limits_load(fw_home(), "so101", &limits, &names, &err);      // checked: fw_safety_init takes it
 *   fw_limits_tighten("careful.json", &limits, &names, &err);       // a user's own file: slower, nearer, softer, never more
 *
 * Nothing is guessed: a key that is missing, unknown, of the wrong shape or length, or whose number cannot be in the unit that is meant (degrees,
 * milliseconds, millimetres) is refused with the file, the key, the axis and what was wanted. Loading allocates for JSON only.
 */
#ifndef FW_ROBOT_LIMITS_H
#define FW_ROBOT_LIMITS_H

#include <stddef.h>

#include "base/json.h"
#include "fw/embodiment.h"
#include "safety/safety.h"

typedef struct fw_limits_names {
    char axis[FW_SAFETY_AXIS_MAX][FW_NAME_MAX]; /* as the driver's axes are named */
    char link[FW_SAFETY_LINK_MAX][FW_NAME_MAX]; /* "" where the file gives none */
} fw_limits_names;

/* embodiments/<embodiment>.json under home_dir. names: NULL when not wanted. out, names: untouched unless FW_OK.
 * FW_FORMAT: as above, or what fw_safety_limits_check says; FW_INVALID: no such name; FW_UNSUPPORTED: the robot has no "safety". */
FW_NODISCARD fw_status fw_limits_load(const char *home_dir, const char *embodiment, fw_safety_limits *out,
                                      fw_limits_names *names, fw_err *err);
/* The value of "safety" itself. `where` is for messages. */
FW_NODISCARD fw_status fw_limits_from_json(const json_t *safety, const char *where, fw_safety_limits *out,
                                           fw_limits_names *names, fw_err *err);

/* Narrow `limits` by a file with some of the same keys: position_min, position_max, velocity, acceleration, jerk, torque, torque_release, contact,
 * clamp, follow, retract_scale, sensor_us, command_us, heartbeat_us, overload_us, clamp_us, workspace, keepouts (added), margin; and "speed": 0..1, a
 * share of all velocities. FW_FORMAT: a value that is looser than what is there, or the result does not pass fw_safety_limits_check.
 * limits: untouched unless FW_OK. names: NULL, or for messages. */
FW_NODISCARD fw_status fw_limits_tighten(const char *path, fw_safety_limits *limits, const fw_limits_names *names,
                                         fw_err *err);
FW_NODISCARD fw_status fw_limits_tighten_json(const json_t *j, const char *where, fw_safety_limits *limits,
                                              const fw_limits_names *names, fw_err *err);

/* The verdict of fw_safety_limits_check in words: "velocity of elbow_flex: wanted above 0". names: NULL: by number. Returns out. */
const char *fw_limits_text(fw_safety_limits_error e, const fw_limits_names *names, char *out, size_t cap);

#endif /* FW_ROBOT_LIMITS_H */
