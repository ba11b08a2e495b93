/*
 * control.h - a robot under control: a thread that moves it on absolute deadlines, and one that thinks.
 *
 *   fw_control_opts o = FW_CONTROL_OPTS_DEFAULT;
 *   o.driver = driver; o.limits = &limits; o.policy = policy; o.map = &map;      // all borrowed until fw_control_free
 *   fw_control_new(&o, &c, &err);
 *   fw_control_start(c, &err);                            // driver started, policy tried out; nothing moves yet
 *   fw_control_request(c, FW_SAFETY_STANDBY); ... FW_SAFETY_AUTONOMOUS           // any thread
 *   fw_control_status(c, &status);                                              // any thread
 *   fw_control_halt(c); fw_control_free(c);
 *
 * WHAT a cycle of the control thread is: read the driver; when a control step begins, take the due row of the chunk (handover.h), turn it
 * into joint targets (map) and bend the motion there (motion.h); pass the set-point of this cycle through safety; write what comes out;
 * publish what was measured. It allocates nothing, locks nothing, waits for nothing but its next deadline.
 * The inference thread waits until the next observation is worth making, copies the last measurement with the number of rows
 * executed then, takes the newest pictures, asks the policy and hands the chunk over. It may be as slow, silent or dead as it likes:
 * the rows end, the motion comes to rest, safety holds, then retracts, then stops.
 *
 * fw_control_cycle does one cycle without a thread: tests and simulations drive it by hand.
 */
#ifndef FW_ROBOT_CONTROL_H
#define FW_ROBOT_CONTROL_H

#include "base/clock.h"
#include "fw/driver.h"
#include "fw/policy.h"
#include "robot/handover.h"
#include "robot/motion.h"
#include "robot/observer.h"
#include "robot/pictures.h"
#include "safety/safety.h"

/* Between the embodiment's units, which policies speak, and the driver's joints. Called by the control thread (target) and the
 * inference thread (state) at the same time; no allocation. */
typedef struct fw_control_map {
    void *ctx;
    /* joints [n_axis] as measured, last_action [n_action]: NULL before there is one -> state [n_state] */
    void (*state)(void *ctx, const float *joints, const float *last_action, float *state);
    /* One row of a chunk -> joint targets. from [n_axis]: the set-point now; measured [n_axis]: where the robot is, so that a blocked hand
     * need not wind up (NULL: it is not there yet). False: there is none (unreachable): hold. */
    bool (*target)(void *ctx, const float *from, const float *measured, const float *action, float *joints);
    /* The other way: what brought the set-point from `from` to `to` [n_axis] -> action [n_action]. Recording; NULL: actions cannot be told. */
    void (*action)(void *ctx, const float *from, const float *to, float *action);
} fw_control_map;

typedef struct fw_control_opts {
    fw_driver *driver;
    fw_policy *policy; /* NULL: only operators move it */
    const fw_safety_limits *limits;
    const fw_control_map *map; /* NULL: state and actions are the driver's axes, in their order */
    const char *instruction;   /* what to do at first */
    const fw_observer_opts
        *observer; /* the arm's dynamics: contacts are felt (observer.h); copied. NULL: they are not */
    fw_handover_opts handover;
    const fw_clock *clock; /* NULL: the real one */
    bool allow_slow;       /* a policy slower than its max_delay covers is not refused */
    bool real_time;        /* lock memory, SCHED_FIFO where allowed; what is refused is said once */
    double camera_age_s;   /* oldest picture that is thought about; then the camera is missing */
} fw_control_opts;
#define FW_CONTROL_OPTS_DEFAULT                                                                                        \
    { .handover = FW_HANDOVER_OPTS_DEFAULT, .instruction = "", .real_time = true, .camera_age_s = 0.5 }

enum { FW_CONTROL_BUCKETS = 24 };
/* As of the last cycle. */
typedef struct fw_control_status {
    int64_t t_ns, cycle, executed;
    int n_axis;
    float position[FW_DRIVER_AXIS_MAX], velocity[FW_DRIVER_AXIS_MAX], effort[FW_DRIVER_AXIS_MAX];
    float residual
        [FW_DRIVER_AXIS_MAX]; /* Nm (N) from outside, as safety is told; 0 without an observer, and of grippers */
    float command[FW_DRIVER_AXIS_MAX];
    float action[FW_DIM_MAX]; /* the row being executed */
    int row;                  /* of its chunk */
    fw_safety_mode mode;
    fw_safety_severity severity;
    uint32_t latched, present, refused, limited;
    int32_t first; /* fw_safety_fault_ix */
    float clearance;
    int64_t chunks, rows_missed; /* taken up; control steps without a row while autonomous */
    float jump;                  /* largest at a change of chunks, share of an action's range */
    double infer_s;              /* of the last chunk */
    int64_t misses;              /* cycles that ended after the next one should have begun */
    int64_t driver_errors, policy_errors;
    uint32_t
        driver_faults; /* fw_driver_fault bits of all axes in this cycle: such an axis does not count as measured */
    int64_t late[FW_CONTROL_BUCKETS]; /* cycles whose beginning was late by [2^i, 2^(i+1)) us; 0: by less than 2 */
} fw_control_status;

typedef struct fw_control fw_control;
/* FW_INVALID: the driver's axes are not those of the limits, the rates do not fit (the cycle rate is limits->period_us, a whole multiple of the
 * policy's), limits are wrong (named), contacts cannot be felt though an observer is wanted. *out owned. */
FW_NODISCARD fw_status fw_control_new(const fw_control_opts *o, fw_control **out, fw_err *err);
/* Driver started, the policy asked a few times so that its latency is known, threads begun. FW_UNSAFE: the policy is too slow for its max_delay. */
FW_NODISCARD fw_status fw_control_start(fw_control *c, fw_err *err);
/* Rest (waited for at most 400 cycles), torque off, threads ended: that of the policy when its question is answered. */
void fw_control_halt(fw_control *c);
void fw_control_free(fw_control *c); /* halts; NULL is fine */

/* ---- any thread ---- */
void fw_control_status_get(const fw_control *c, fw_control_status *out);
/* Asked again every cycle until it is so, or another is asked for; why not: status.refused. */
void fw_control_request(fw_control *c, fw_safety_mode mode);
void fw_control_acknowledge(fw_control *c);
void fw_control_stop(fw_control *c, bool on);  /* the stop button: pressed until released */
void fw_control_estop(fw_control *c, bool on); /* the emergency stop chain */
/* While on, neither the policy's nor the operator's commands are passed on: safety holds, then retracts, then stops. */
void fw_control_withhold(fw_control *c, bool on);
/* As fw_pictures_get, of the driver's cameras. Not the control thread. */
FW_NODISCARD fw_status fw_control_picture(fw_control *c, int camera, uint8_t *rgb, fw_driver_frame *out, fw_err *err);
/* What the policy's last question failed with; "" when it was answered. Not the control thread. Returns out. */
const char *fw_control_trouble(fw_control *c, char *out, size_t cap);
/* A sentence for the policy, from its next observation on. FW_INVALID: longer than 255 bytes. */
FW_NODISCARD fw_status fw_control_say(fw_control *c, const char *sentence, fw_err *err);
/* An operator's joint targets [n_axis], and with them a sign of life; only while teleoperated they move anything. One thread. */
void fw_control_operate(fw_control *c, const float *joints);
void fw_control_supervise(fw_control *c); /* a sign of life of the supervisor */

/* ---- without threads: after fw_control_prepare instead of fw_control_start ---- */
FW_NODISCARD fw_status fw_control_prepare(fw_control *c, fw_err *err);
void fw_control_cycle(fw_control *c);
/* One question to the policy, if one is due. True: it was asked and answered. */
bool fw_control_think(fw_control *c);

#endif /* FW_ROBOT_CONTROL_H */
