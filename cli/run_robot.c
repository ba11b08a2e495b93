/* run_robot.c - what `flywheel run` opens: a driver, the robot's data and limits, a policy here or on a server, bodies. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "feel.h"
#include "run.h"
#include "wire/remote.h"

/* ---- maps ---- */

static void map_state(void *ctx, const float *joints, const float *last_action, float *state) {
    fw_body_state(((run_map *)ctx)->state, joints, last_action, state);
}

static bool map_target(void *ctx, const float *from, const float *measured, const float *action, float *joints) {
    return fw_body_target(((run_map *)ctx)->target, from, measured, action, joints);
}

static void map_action(void *ctx, const float *from, const float *to, float *action) {
    fw_body_action(((run_map *)ctx)->target, from, to, action);
}

static fw_status open_map(run *r, run_map *m, bool two, fw_err *err) {
    FW_TRY(fw_body_open(fw_home(), r->e.name, &m->target, err));
    m->state = m->target;
    if (two) {
        FW_TRY(fw_body_open(fw_home(), r->e.name, &m->state, err));
    }
    m->map = (fw_control_map){m, map_state, map_target, map_action};
    return FW_OK;
}

static void close_map(run_map *m) {
    if (m->state != m->target) {
        fw_body_close(m->state);
    }
    fw_body_close(m->target);
    *m = (run_map){0};
}

/* A robot whose units are its joints, as its driver has them, needs no model. */
static bool by_joints(const run *r) {
    bool joints = r->e.n_state == r->body->n_axis && r->e.n_action == r->body->n_axis;
    for (int i = 0; joints && i < r->e.n_action; i++) {
        joints = r->e.action[i].meaning == FW_MEANING_JOINT_POS && r->e.state[i].meaning == FW_MEANING_JOINT_POS;
    }
    return joints;
}

/* ---- contacts ---- */

/* An arm that measures torques feels who pushes it. */
static void feel(run *r) {
    r->feels = r->of_control.target != NULL;
    for (int i = 0; i < r->body->n_axis; i++) {
        r->feels = r->feels && r->body->axis[i].has_velocity && r->body->axis[i].effort == FW_DRIVER_EFFORT_NM;
    }
    if (!r->feels) {
        fw_info("%s does not measure torques: a push is noticed only by how far it moves the arm", r->body->name);
        return;
    }
    r->observer = cli_feel(r->of_control.target);
}

/* ---- driver, robot ---- */

fw_status run_config(const char *given, char **out, fw_err *err) {
    size_t n;
    const char *text = given != NULL ? given : "{}";
    if (text[0] == '{') {
        *out = strdup(text);
        return *out != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "out of memory");
    }
    return fw_file_read(text, 1 << 20, out, &n, err);
}

static fw_status open_driver(run *r, fw_err *err) {
    char *text;
    FW_TRY(run_config(r->a.config, &text, err));
    const fw_status st = fw_driver_open(r->a.robot, text, &r->driver, err);
    free(text);
    return st;
}

/* A second arm of the same kind, which a person moves. */
static fw_status open_leader(run *r, fw_err *err) {
    char *text;
    if (r->a.leader == NULL) {
        return FW_OK;
    }
    FW_TRY(run_config(r->a.leader, &text, err));
    fw_status st = fw_driver_open(r->a.robot, text, &r->leader, err);
    free(text);
    st = st == FW_OK ? fw_driver_start(r->leader, err) : st;
    return st == FW_OK ? FW_OK : fw_fail_in(err, st, "the leader arm");
}

static fw_status check_axes(const run *r, fw_err *err) {
    if (r->body->n_axis != (int)r->limits.n_axis) {
        return fw_fail(err, FW_INVALID, "%s has %d axes, embodiments/%s.json's \"safety\" is for %u", r->body->name,
                       r->body->n_axis, r->e.name, r->limits.n_axis);
    }
    for (int i = 0; i < r->body->n_axis; i++) {
        if (strcmp(r->body->axis[i].name, r->names.axis[i]) != 0) {
            return fw_fail(err, FW_INVALID,
                           "axis %d of %s is called \"%s\", in embodiments/%s.json's \"safety\" \"%s\"", i,
                           r->body->name, r->body->axis[i].name, r->e.name, r->names.axis[i]);
        }
    }
    return FW_OK;
}

static fw_status open_body(run *r, fw_err *err) {
    FW_TRY(fw_limits_load(fw_home(), r->e.name, &r->limits, &r->names, err));
    if (r->a.careful != NULL) {
        FW_TRY(fw_limits_tighten(r->a.careful, &r->limits, &r->names, err));
    }
    FW_TRY(check_axes(r, err));
    if (!by_joints(r)) {
        FW_TRY(open_map(r, &r->of_control, true, err));
        FW_TRY(open_map(r, &r->of_session, false, err));
        FW_TRY(open_map(r, &r->of_page, false, err));
    }
    feel(r);
    return FW_OK;
}

/* ---- policy ---- */

static fw_status open_policy(run *r, fw_err *err) {
    if (r->a.no_policy) {
        return FW_OK;
    }
    if (r->a.server != NULL) {
        const fw_remote_opts o = {.url = r->a.server, .api_key = r->a.api_key, .embodiment = &r->e};
        FW_TRY(fw_remote_open(&o, &r->policy, err));
    } else {
        fw_policy_opts o = {.embodiment = r->e.name};
        FW_TRY(r->a.precision != NULL ? fw_precision_parse(r->a.precision, &o.precision, err) : FW_OK);
        FW_TRY(fw_pool_new((int)r->a.threads, &r->pool, err));
        o.pool = r->pool;
        FW_TRY(fw_policy_open(r->a.policy, &o, &r->policy, err));
    }
    fw_policy_describe(r->policy, &r->info);
    return FW_OK;
}

fw_status run_open(run *r, fw_err *err) {
    size_t most = 1;
    r->simulated = strcmp(r->a.robot, "simulator") == 0;
    FW_TRY(r->simulated ? run_sim_open(r, err) : open_driver(r, err));
    FW_TRY(fw_embodiment_find(r->a.embodiment, &r->e, err));
    r->body = fw_driver_get_info(r->driver);
    FW_TRY(open_leader(r, err));
    FW_TRY(open_body(r, err));
    for (int i = 0; i < r->body->n_camera; i++) {
        const size_t bytes = 3 * (size_t)r->body->camera[i].width * (size_t)r->body->camera[i].height;
        most = bytes > most ? bytes : most;
    }
    r->picture = malloc(most);
    return r->picture != NULL ? open_policy(r, err) : fw_fail(err, FW_NOMEM, "out of memory");
}

void run_close(run *r) {
    fw_policy_close(r->policy);
    fw_pool_free(r->pool);
    close_map(&r->of_control);
    close_map(&r->of_session);
    close_map(&r->of_page);
    fw_driver_close(&r->leader);
    fw_driver_close(&r->driver);
    free(r->picture);
}
