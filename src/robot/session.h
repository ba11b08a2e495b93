/*
 * session.h - a robot at work among people: who moves it, what they say of it, and a record of all of it.
 *
 *   fw_session_opts o = FW_SESSION_OPTS_DEFAULT;
 *   o.control = control; o.body = info; o.limits = &limits; o.embodiment = &e; o.map = &map; o.record = "out/days";
 *   fw_session_new(&o, &s, &err);                                  // control is started already
 *   fw_session_start(s, &err);
 *   fw_session_say(s, "put the mug in the sink", &err); fw_session_run(s, &err); ...     // any thread
 *   fw_session_get(s, &status);                                                          // any thread
 *   fw_session_stop(s); fw_session_free(s);                        // before fw_control_halt
 *
 * WHAT the session's thread does, 50 times a second: it is the supervisor whose heartbeat safety listens to; it brings the robot into the mode
 * that people want; it turns what the operator sends into joint targets; and once a control step it takes a frame: state and pictures at
 * its beginning, the action that was commanded until its end (by whomever, as safety let it through), and whether a person's hand was on it.
 *
 * ONE HOLDS THE TOKEN. An operator takes it (fw_session_take) and is the only one who moves the robot until he gives it back, is gone, or is silent
 * for longer than his heartbeat. Take-over begins where the robot is; who sends joints (a leader arm, another process) is
 * followed from there, the difference melting away at `sync` rad/s. Everybody may stop the robot, mark, and look.
 *
 * RECORDING. An episode lasts while the robot is moved, by policy or operator, under one sentence. FW_SESSION_ALL: every frame goes to the recorder (data/recorder.h) as it
 * comes. FW_SESSION_INCIDENTS: frames stay in memory for `ring_s`; a take-over, a mark, a fault sends them to the recorder, and what follows until the episode ends.
 * A record that must be made and cannot (full disk) withholds all commands: the robot holds, retracts, stops, and says why.
 * Marks are lines of <record>/marks.jsonl, on the disk when fw_session_mark returns.
 */
#ifndef FW_ROBOT_SESSION_H
#define FW_ROBOT_SESSION_H

#include "data/recorder.h"
#include "robot/control.h"

typedef enum fw_session_keep { FW_SESSION_ALL, FW_SESSION_INCIDENTS } fw_session_keep;

typedef struct fw_session_opts {
    fw_control *control; /* borrowed, started; its cameras are recorded */
    const fw_driver_info *body;
    const fw_safety_limits *limits;
    const fw_embodiment *embodiment; /* what is recorded and how fast: state, action, cameras */
    const fw_control_map *map;       /* the session thread's own; NULL: state and actions are the driver's axes */
    bool has_policy;                 /* it can run by itself */
    fw_driver *leader;               /* an arm of the same axes that a person moves; started; NULL: none */
    double sync;                     /* rad/s at which a difference between operator and robot melts away */

    const char *record; /* dataset's folder; NULL: nothing is recorded */
    fw_session_keep keep;
    double ring_s;
    bool may_go_unrecorded;            /* a failing disk does not stop the robot */
    const char *policy_id, *home;      /* provenance; NULL: unknown */
    const char *consent;               /* the same */
    void (*log)(void *, const char *); /* what happens, for people: any of the session's threads; NULL: stderr only */
    void *log_ctx;
    const fw_clock *clock; /* NULL: the real one */
} fw_session_opts;
#define FW_SESSION_OPTS_DEFAULT                                                                                        \
    { .sync = 0.4, .ring_s = 30.0 }

typedef enum fw_session_verdict { FW_SESSION_GOOD, FW_SESSION_BAD, FW_SESSION_WRONG } fw_session_verdict;

typedef struct fw_session_status {
    fw_control_status control;
    char sentence[256];
    char why[256];                   /* in plain words, what keeps it from moving; "" when nothing does */
    uint64_t holder;                 /* of the token; 0: nobody */
    bool leader;                     /* the holder moves it by the leader arm */
    bool stopped;                    /* the stop button is pressed */
    double infer_p50_s, infer_p99_s; /* of the last 128 chunks */
    /* recording */
    bool records, within;     /* there is a recorder; an episode is open in it */
    int64_t episodes, frames; /* ended ones; of the open one */
    int64_t interventions;    /* frames with a person's hand, of the open one */
    int success;              /* what was said of the open one: 1, 0, -1 nothing */
    fw_recorder_state recorder;
} fw_session_status;

typedef struct fw_session fw_session;

/* FW_INVALID for an embodiment that does not fit the body. Opens the recorder. *out owned. */
FW_NODISCARD fw_status fw_session_new(const fw_session_opts *o, fw_session **out, fw_err *err);
void fw_session_free(fw_session *s); /* stops, seals what was recorded; NULL is fine */
FW_NODISCARD fw_status fw_session_start(fw_session *s, fw_err *err);
void fw_session_stop(fw_session *s);

/* ---- any thread but the control thread; none waits for the robot ---- */
void fw_session_get(fw_session *s, fw_session_status *out);
FW_NODISCARD fw_status fw_session_say(fw_session *s, const char *sentence, fw_err *err);
/* Let the policy move it. FW_UNSAFE: faults are not acknowledged, or stop is pressed; FW_AGAIN: somebody holds the token. */
FW_NODISCARD fw_status fw_session_run(fw_session *s, fw_err *err);
void fw_session_pause(fw_session *s);            /* stand, with torque */
void fw_session_off(fw_session *s);              /* torque off, when it stands */
void fw_session_press(fw_session *s, bool stop); /* the stop button: pressed, let go */
void fw_session_acknowledge(fw_session *s);
/* who: not 0. FW_AGAIN: another holds it. leader: moved by the leader arm from now on (FW_INVALID without one). */
FW_NODISCARD fw_status fw_session_take(fw_session *s, uint64_t who, bool leader, fw_err *err);
/* Back to whoever moved it before: the policy goes on, or the robot stands. FW_AGAIN: who does not hold it. */
FW_NODISCARD fw_status fw_session_give(fw_session *s, uint64_t who, fw_err *err);
/* The holder is gone: nobody moves it; the robot holds, retracts, stops. */
void fw_session_left(fw_session *s, uint64_t who);
/* Wanted motion as shares -1..1 of the actions' ranges [n_action] a control step, and for grippers their value, NaN: as it is (without a map: of half the axes' velocity
 * limits); a sign of life. FW_UNSUPPORTED for a robot whose actions are no steps. */
FW_NODISCARD fw_status fw_session_move(fw_session *s, uint64_t who, const float *share, fw_err *err);
/* Joints [n_axis] to follow; a sign of life. */
FW_NODISCARD fw_status fw_session_joints(fw_session *s, uint64_t who, const float *joints, fw_err *err);
/* Said of the last ring_s seconds; GOOD and BAD are also the open episode's success. FW_IO: it is not on the disk. */
FW_NODISCARD fw_status fw_session_mark(fw_session *s, uint64_t who, fw_session_verdict v, const char *note,
                                       fw_err *err);
/* Ends the open episode, if any, with this success (1, 0, -1: what was said of it); the robot goes on under a new one. */
void fw_session_end_episode(fw_session *s, int success);

/* ---- without a thread: what it does in 20 ms ---- */
void fw_session_tick(fw_session *s);

#endif /* FW_ROBOT_SESSION_H */
