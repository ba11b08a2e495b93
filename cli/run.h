/*
 * run.h - the parts of `flywheel run`: what is opened (run_robot.c), what the page hears and shows (run_page.c), the order of it all (cmd_run.c).
 *
 * Threads: control and inference (robot/control.h), the session's (robot/session.h), the page's service thread, and main: ten times a
 * second it tells the page what is. Each thread that turns joints into the embodiment's units has a body of its own (sim/body.h).
 */
#ifndef FW_CLI_RUN_H
#define FW_CLI_RUN_H

#include <jansson.h>
#include <stdatomic.h>

#include "base/args.h"
#include "console/console.h"
#include "fw/driver.h"
#include "fw/policy.h"
#include "model/pretrained.h"
#include "robot/limits.h"
#include "robot/session.h"
#include "sim/body.h"

typedef struct run_args {
    const char *robot, *config, *embodiment; /* driver, its config (JSON or a file with it), the robot's data */
    const char *policy, *server, *api_key, *precision;
    int64_t threads;
    fw_arg_list say;
    const char *suite, *task; /* of the simulator */
    int64_t seed;
    const char *record, *keep, *home, *consent, *careful, *leader;
    double ring_s, for_s;
    const char *host, *keys, *cert, *key, *web;
    int64_t port;
    bool no_page, no_policy, wait, once, allow_slow, unrecorded, json;
} run_args;

/* Joints to the embodiment's units for one thread, or for the two of fw_control. */
typedef struct run_map {
    fw_body *target, *state; /* of the thread that calls it; NULL: the driver's axes are the units */
    fw_control_map map;
} run_map;

enum { RUN_TASKS = 64 };
/* What the simulator's judge said of one sentence. */
typedef struct run_task {
    char sentence[256], reason[160];
    bool success;
    double seconds;
} run_task;

typedef struct run_sim {
    char sentence[256]; /* of the scene */
    int n;
    run_task task[RUN_TASKS];
    bool open; /* an episode goes on that is not judged yet */
} run_sim;

typedef struct run {
    run_args a;
    int said; /* of a.say: which one it is at */
    run_sim sim;
    fw_driver *driver, *leader;
    const fw_driver_info *body;
    fw_policy *policy; /* NULL: only people move it */
    fw_pool *pool;
    fw_policy_info info;
    fw_embodiment e;
    fw_safety_limits limits;
    fw_limits_names names;
    run_map of_control, of_session, of_page;
    fw_observer_opts observer;
    bool feels, simulated;
    fw_control *control;
    fw_session *session;
    _Atomic(fw_console *) console; /* NULL: no page */
    uint64_t shown[FW_CAM_MAX];    /* picture of each camera that the page has */
    uint8_t *picture;              /* the largest camera's */
    int64_t began_ns;
    _Atomic bool again; /* the page asked for a new scene */
} run;

/* Driver, embodiment, limits, policy, bodies. What was opened is closed by run_close in any case. */
FW_NODISCARD fw_status run_open(run *r, fw_err *err);
void run_close(run *r);

/* Text of a driver's config: JSON itself, or a file that holds it; NULL: {}. *out owned. */
FW_NODISCARD fw_status run_config(const char *given, char **out, fw_err *err);

/* ---- the simulator (run_sim.c) ---- */

/* r->driver and, where none was named, r->a.embodiment. */
FW_NODISCARD fw_status run_sim_open(run *r, fw_err *err);
/* A new scene with r->a.seed for this sentence (NULL: the scene's own): torque off, the room anew, r->sim.sentence. */
FW_NODISCARD fw_status run_sim_begin(run *r, const char *sentence, fw_err *err);
bool run_sim_over(run *r); /* done, or its time is over: and not judged yet */
void run_sim_end(run *r);  /* judged, the robot at rest; the episode ends with the judge's word */
json_t *run_sim_json(const run *r);
void run_sim_print(const run *r);
json_t *run_sim_now_json(const run *r); /* for the page */

/* The page; r->session is there. */
FW_NODISCARD fw_status run_page_start(run *r, fw_err *err);
void run_page_stop(run *r);
void run_page_show(run *r);
/* A line for the page's log: fw_session_opts.log. */
void run_page_log(void *ctx, const char *line);

#endif /* FW_CLI_RUN_H */
