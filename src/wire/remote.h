/*
 * remote.h - a policy on another machine as an fw_policy: any server that speaks openpi's protocol, ours or theirs.
 *
 *   FW_TRY(fw_remote_open(&(fw_remote_opts){.url = "ws://gpu:8000"}, &p, err));                      // flywheel serve: it tells its robot
 *   FW_TRY(fw_remote_open(&(fw_remote_opts){.url = "ws://gpu:8000", .embodiment = &robot, .keys = "aloha"}, &p, err));
 *   fw_policy_infer(p, &obs, &chunk, err);
 *
 * DESIGN. A call sends one observation and waits for its answer, timeout_ms at most. A connection that failed in any way is thrown away, as
 * its next message might be the answer to another question; a later call connects again, at growing distances, and returns
 * FW_CLOSED at once in between: a control loop decides what to do meanwhile. Nothing that the server says is believed: shape, size,
 * finite numbers, the robot's limits.
 */
#ifndef FW_WIRE_REMOTE_H
#define FW_WIRE_REMOTE_H

#include "fw/policy.h"

typedef struct fw_remote_opts {
    const char *url;                 /* ws://host:port[/model] or wss:// */
    const char *api_key;             /* NULL: none */
    const char *ca;                  /* wss: who signs; NULL: the system's */
    const fw_embodiment *embodiment; /* the robot here, copied; NULL: as the server describes it */
    /* Names in the observation: "flywheel" (images/<camera> [h,w,3], state, prompt; NULL: this), "aloha" (images/cam_high,
     * cam_left_wrist, ... [3,h,w], state, prompt), "droid", "libero": cameras in the robot's order. */
    const char *keys;
    int timeout_ms; /* of an inference; 0: 2000 */
    int connect_ms; /* of connecting; 0: 5000 */
    int horizon;    /* rows of a chunk; 0: as the server says, else as its first answer has */
    int n_execute;  /* rows to execute; 0: as the server says, else all */
    double rate_hz; /* of the rows; 0: the robot's */
} fw_remote_opts;

/* *out owned: fw_policy_close. Connects, and asks once if nobody says how long a chunk is. FW_INVALID for a server that describes no
 * robot while opts has none, or for another robot's sizes. */
FW_NODISCARD fw_status fw_remote_open(const fw_remote_opts *o, fw_policy **out, fw_err *err);

#endif /* FW_WIRE_REMOTE_H */
