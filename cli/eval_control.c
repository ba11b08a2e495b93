/*
 * eval_control.c - eval --through control: the policy moves the simulated robot as it would move a real one.
 *
 * The same scenes, sentences and judge; between policy and motors stand hand-over, motion, safety with the embodiment's limits, and the
 * driver (docs/CONTROL.md), 200 times a second, on a clock that stands still while the policy thinks - or goes on for --delay
 * control steps, in which the last chunk goes on. An episode has as many rows as it has control steps without.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "feel.h"
#include "robot/control.h"
#include "robot/limits.h"
#include "sim.h"
#include "sim/body.h"
#include "task/sim_driver.h"

enum { ENGAGE_CYCLES = 400, HELD_STEPS = 5, SLOWEST = 4, EXPERT_ROWS = 2 };

typedef struct through {
    const fw_closed_opts *opts;
    int64_t t_ns;
    fw_clock clock;
    fw_driver *driver; /* owned */
    fw_body *body;     /* owned; one thread */
    fw_safety_limits limits;
    fw_control_map map;
    fw_observer_opts observer;

    fw_policy as_policy; /* the one that control asks: the real one, and time */
    fw_policy *policy;   /* borrowed; NULL: the expert */
    fw_control *c;       /* of the episode */
    fw_closed_outcome *out;
    int delay_cycles; /* that pass while the policy thinks */
    bool late;        /* they pass now */
} through;

/* --- what control asks */

static void describe(const fw_policy *p, fw_policy_info *out) {
    const through *t = (const through *)((const char *)p - offsetof(through, as_policy));
    fw_policy_describe(t->policy, out);
}

static void one_cycle(through *t) {
    t->t_ns += (int64_t)t->limits.period_us * 1000;
    fw_control_supervise(t->c);
    fw_control_cycle(t->c);
}

static fw_status infer(fw_policy *p, const fw_obs *obs, fw_chunk *chunk, fw_err *err) {
    through *t = (through *)((char *)p - offsetof(through, as_policy));
    const double start = fw_now_s();
    FW_TRY(fw_policy_infer(t->policy, obs, chunk, err));
    t->out->infer_s += (float)(fw_now_s() - start);
    t->out->inferences++;
    for (int i = 0; i < t->delay_cycles && t->late; i++) {
        one_cycle(t);
    }
    return FW_OK;
}

static void forget(fw_policy *p) {
    through *t = (through *)((char *)p - offsetof(through, as_policy));
    fw_policy_reset(t->policy);
}

static void nothing(fw_policy *p) {
    (void)p;
}

static const fw_policy_vtable vtable = {.describe = describe, .infer = infer, .reset = forget, .close = nothing};

/* The scripted expert as a policy that is asked for every row: what the control loop alone costs. */
static void describe_expert(const fw_policy *p, fw_policy_info *out) {
    const through *t = (const through *)((const char *)p - offsetof(through, as_policy));
    *out = (fw_policy_info){"expert", fw_env_embodiment(fw_sim_driver_env(t->driver)), EXPERT_ROWS, 1, false, 0, false};
}

static fw_status infer_expert(fw_policy *p, const fw_obs *obs, fw_chunk *chunk, fw_err *err) {
    through *t = (through *)((char *)p - offsetof(through, as_policy));
    fw_env *env = fw_sim_driver_env(t->driver);
    const fw_embodiment *e = fw_env_embodiment(env);
    float action[FW_DIM_MAX];
    bool done;
    fw_sim_refresh(fw_env_sim(env));
    FW_TRY(fw_expert_act(env, action, &done, err));
    for (int i = 0; i < EXPERT_ROWS; i++) { /* it goes on so: the motion need not come to rest */
        memcpy(chunk->actions + i * e->n_action, action, sizeof(float) * (size_t)e->n_action);
    }
    chunk->horizon = EXPERT_ROWS, chunk->n_action = e->n_action, chunk->dt_s = 1 / e->rate_hz, chunk->t_ns = obs->t_ns;
    t->out->inferences++;
    return FW_OK;
}

static const fw_policy_vtable expert_vtable = {
    .describe = describe_expert, .infer = infer_expert, .reset = nothing, .close = nothing};

static void map_state(void *ctx, const float *joints, const float *last_action, float *state) {
    fw_body_state(ctx, joints, last_action, state);
}

static bool map_target(void *ctx, const float *from, const float *measured, const float *action, float *joints) {
    return fw_body_target(ctx, from, measured, action, joints);
}

/* --- a worker */

static json_t *config_of(const fw_closed_opts *o) {
    json_t *j = json_pack("{s:s, s:s}", "suite", o->suite, "pictures", o->policy != NULL ? "wait" : "none");
    if (o->embodiment != NULL) {
        json_object_set_new(j, "embodiment", json_string(o->embodiment));
    }
    if (o->domain != NULL) {
        json_object_set_new(j, "randomise", json_string(o->domain));
    }
    if (o->home_count > 0) {
        json_object_set_new(j, "homes", json_pack("[I, I]", (json_int_t)o->home_first, (json_int_t)o->home_count));
    }
    return j;
}

static fw_status open_parts(through *t, fw_err *err) {
    json_t *j = config_of(t->opts);
    char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    if (text == NULL) {
        return fw_fail(err, FW_NOMEM, "control: out of memory");
    }
    const fw_status st = fw_driver_open_api(fw_sim_driver_api(), text, &t->driver, err);
    free(text);
    FW_TRY(st);
    const fw_embodiment *e = fw_env_embodiment(fw_sim_driver_env(t->driver));
    FW_TRY(fw_body_open(fw_home(), e->name, &t->body, err));
    FW_TRY(fw_limits_load(fw_home(), e->name, &t->limits, NULL, err));
    t->observer = cli_feel(t->body); /* as on a robot */
    t->delay_cycles = (int)(t->opts->delay * 1e6 / e->rate_hz / t->limits.period_us + 0.5);
    return FW_OK;
}

static void through_close(void *self) {
    through *t = self;
    if (t != NULL) {
        fw_driver_close(&t->driver);
        fw_body_close(t->body);
        free(t);
    }
}

static fw_status through_open(const fw_closed_opts *o, fw_policy *policy, void **self, fw_err *err) {
    through *t = calloc(1, sizeof *t);
    *self = NULL;
    if (t == NULL) {
        return fw_fail(err, FW_NOMEM, "control: out of memory");
    }
    t->opts = o;
    t->policy = policy;
    t->as_policy = (fw_policy){policy != NULL ? &vtable : &expert_vtable};
    t->t_ns = 1000000000;
    t->clock = fw_clock_sim(&t->t_ns);
    const fw_status st = open_parts(t, err);
    if (st != FW_OK) {
        through_close(t);
        return st;
    }
    t->map = (fw_control_map){.ctx = t->body, .state = map_state, .target = map_target};
    fw_sim_driver_set_clock(t->driver, &t->clock);
    *self = t;
    return FW_OK;
}

/* --- an episode */

/* Torque on, standing, then the policy's. */
static fw_status engage(through *t, fw_err *err) {
    fw_control_status s = {0};
    fw_control_request(t->c, FW_SAFETY_STANDBY);
    for (int i = 0; i < ENGAGE_CYCLES && s.mode != FW_SAFETY_AUTONOMOUS; i++) {
        (void)fw_control_think(t->c); /* a sign of life */
        one_cycle(t);
        fw_control_status_get(t->c, &s);
        if (s.mode == FW_SAFETY_STANDBY) {
            fw_control_request(t->c, FW_SAFETY_AUTONOMOUS);
        }
    }
    return s.mode == FW_SAFETY_AUTONOMOUS
               ? FW_OK
               : fw_fail(err, FW_UNSAFE, "control: it does not begin: refused 0x%x, present 0x%x", s.refused,
                         s.present);
}

static void judge(const through *t, const fw_env *env, fw_closed_outcome *out) {
    fw_verdict v;
    fw_control_status s;
    fw_env_judge(env, &v);
    fw_control_status_get(t->c, &s);
    out->success = v.success;
    out->said = v.success;
    out->wrong_object = v.wrong_object;
    out->diverged = v.diverged;
    out->steps = fw_env_steps(env);
    snprintf(out->reason, sizeof out->reason, "%.95s", v.reason);
    if (s.severity >= FW_SAFETY_SEV_HOLD) {
        snprintf(out->reason, sizeof out->reason, "safety: %.85s", fw_safety_fault_text(s.first));
    }
}

/* The judge has seen enough, safety has stopped it for good, or its rows are used up: a robot that limits make slow has as many attempts. */
static bool over(const fw_env *env, const fw_control_status *s) {
    fw_verdict v;
    const int limit = fw_env_time_limit(env);
    if (s->severity >= FW_SAFETY_SEV_STOP || s->executed >= limit || fw_env_steps(env) >= SLOWEST * limit) {
        return true;
    }
    if (fw_env_steps(env) < limit) {
        return fw_env_done(env);
    }
    fw_env_judge(env, &v);
    return v.diverged || v.held_steps >= HELD_STEPS;
}

static fw_status drive(through *t, const char *sentence, fw_closed_outcome *out, fw_err *err) {
    const fw_env *env = fw_sim_driver_env(t->driver);
    fw_control_status s = {0};
    FW_TRY(fw_control_prepare(t->c, err));
    FW_TRY(fw_control_say(t->c, sentence, err));
    FW_TRY(engage(t, err));
    t->late = true;
    out->infer_s = 0, out->inferences = 0;
    while (!over(env, &s)) {
        (void)fw_control_think(t->c);
        one_cycle(t);
        fw_control_status_get(t->c, &s);
    }
    judge(t, env, out);
    return FW_OK;
}

static fw_status through_play(void *self, int task, int64_t i, uint64_t seed, fw_closed_outcome *out, fw_err *err) {
    through *t = self;
    const fw_env *env = fw_sim_driver_env(t->driver);
    const fw_split split = t->opts->held_out_phrasings ? FW_SPLIT_HELD : FW_SPLIT_TRAIN;
    FW_TRY(fw_sim_driver_reset(t->driver, fw_env_task_name(env, task), seed, err));
    const int n = fw_env_n_sentence(env, task, split);
    if (n < 1) {
        return fw_fail(err, FW_INVALID, "task %s has no held-out sentences", fw_env_task_name(env, task));
    }
    fw_control_opts o = FW_CONTROL_OPTS_DEFAULT;
    o.driver = t->driver, o.policy = &t->as_policy, o.limits = &t->limits, o.map = &t->map, o.clock = &t->clock;
    o.observer = t->opts->numb ? NULL : &t->observer;
    o.allow_slow = true, o.handover.delay_s = 0;
    t->out = out;
    t->late = false; /* trying it out takes no time */
    fw_status st = fw_control_new(&o, &t->c, err);
    if (st == FW_OK) {
        st = drive(t, fw_env_sentence(env, task, split, (int)(i % n)), out, err);
    }
    fw_control_free(t->c);
    t->c = NULL;
    return st;
}

const fw_closed_through eval_through_control = {through_open, through_play, through_close};
