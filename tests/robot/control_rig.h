/* control_rig.h - a robot of two joints and a policy for tests: what they do is set by the test, time stands still or is real. */
#ifndef FW_TESTS_ROBOT_CONTROL_RIG_H
#define FW_TESTS_ROBOT_CONTROL_RIG_H

#include <stdatomic.h>

#include "fw_test.h"
#include "robot/control.h"

enum { AXES = 2, ROWS = 16 };

/* Joints that follow their targets with a lag. */
typedef struct plant {
    float q[AXES], v[AXES], target[AXES];
    bool torque, numb, broken;
    uint32_t faults; /* of the second joint */
    int64_t t_ns;
    int writes;
    const fw_clock *clock;
} plant;
static plant g_plant;               /* of the one driver */
static atomic_bool g_plant_powered; /* its torque, for other threads */

static inline fw_status plant_open(const char *config, fw_driver_dev **out, fw_err *err) {
    (void)config, (void)err;
    *out = (fw_driver_dev *)&g_plant;
    return FW_OK;
}

static inline void plant_describe(const fw_driver_dev *d, fw_driver_info *out) {
    (void)d;
    *out = (fw_driver_info){
        .name = "plant", .where = "memory", .n_axis = AXES, .read_bound_us = 10, .write_bound_us = 10, .rate_hz = 1000};
    for (int i = 0; i < AXES; i++) {
        out->axis[i] = (fw_driver_axis){.name = "joint", .min = -1.6f, .max = 2.1f, .has_velocity = true};
        out->axis[i].name[5] = (char)('0' + i);
        out->axis[i].name[6] = 0;
    }
}

static inline fw_status plant_start(fw_driver_dev *d, fw_err *err) {
    (void)d, (void)err;
    return FW_OK;
}

/* Moves on to now, and measures. */
static inline fw_status plant_read(fw_driver_dev *d, fw_driver_state *out, fw_err *err) {
    (void)d;
    plant *p = &g_plant;
    const int64_t now = p->clock->now_ns(p->clock->self);
    const float dt = p->t_ns == 0 ? 0.0f : (float)(1e-9 * (double)(now - p->t_ns));
    memset(out, 0, sizeof *out);
    out->n_axis = AXES;
    for (int i = 0; i < AXES; i++) {
        const float way = p->torque && dt > 0 ? (p->target[i] - p->q[i]) * fminf(1.0f, dt / 0.01f) : 0.0f;
        p->q[i] += way;
        p->v[i] = dt > 0 ? way / dt : p->v[i];
        out->axis[i] = (fw_driver_sample){.valid = !p->numb, .t_ns = now, .position = p->q[i], .velocity = p->v[i]};
        out->axis[i].faults = i == 1 ? p->faults : 0;
    }
    p->t_ns = now;
    return p->broken || p->numb ? fw_fail(err, FW_TIMEOUT, "plant: no answer") : FW_OK;
}

static inline fw_status plant_write(fw_driver_dev *d, const fw_driver_command *cmd, fw_err *err) {
    (void)d;
    g_plant.writes++;
    if (g_plant.broken) {
        return fw_fail(err, FW_TIMEOUT, "plant: no answer");
    }
    g_plant.torque = cmd->torque_on;
    atomic_store(&g_plant_powered, cmd->torque_on);
    memcpy(g_plant.target, cmd->position, sizeof g_plant.target);
    return FW_OK;
}

static inline fw_status plant_frame(fw_driver_dev *d, int i, fw_driver_frame *out, fw_err *err) {
    (void)d, (void)i, (void)out;
    return fw_fail(err, FW_AGAIN, "plant: no camera");
}

static inline void plant_stop(fw_driver_dev *d) {
    (void)d;
    g_plant.torque = false;
}

static const fw_driver_api plant_api = {FW_DRIVER_ABI, sizeof(fw_driver_api), "plant",     "",
                                        plant_open,    plant_describe,        plant_start, plant_read,
                                        plant_write,   plant_frame,           plant_stop,  plant_stop};

/* A policy whose chunks are arcs of one sine, each turned a little by chance: the chunks disagree, unless it is told the prefix. */
typedef struct sine {
    fw_policy base;
    fw_embodiment body;
    int max_delay, asked;
    float stray; /* how far a chunk strays, rad */
    bool nan, fails;
    void (*while_thinking)(void *); /* time passes: the robot's cycles go on */
    void *ctx;
} sine;

static inline void sine_describe(const fw_policy *p, fw_policy_info *out) {
    const sine *s = (const sine *)p;
    *out = (fw_policy_info){"sine", &s->body, ROWS, 4, false, s->max_delay, false};
}

static inline float sine_at(double t_s, int axis) {
    return 0.3f * sinf((float)(2.0 * t_s) + (float)axis);
}

static inline fw_status sine_infer(fw_policy *p, const fw_obs *obs, fw_chunk *chunk, fw_err *err) {
    sine *s = (sine *)p;
    const unsigned turn = (unsigned)s->asked++ * 2654435761u;
    const float stray = s->stray * ((float)(turn >> 8) / 8388608.0f - 1.0f);
    if (s->fails) {
        return fw_fail(err, FW_IO, "sine: out of order");
    }
    chunk->horizon = ROWS, chunk->n_action = AXES, chunk->dt_s = 0.1, chunk->t_ns = obs->t_ns;
    for (int i = 0; i < ROWS; i++) {
        for (int k = 0; k < AXES; k++) {
            const float plain = sine_at(1e-9 * (double)obs->t_ns + 0.1 * i, k) + stray;
            float *out = &chunk->actions[i * AXES + k];
            if (i < obs->n_prefix) {
                *out = obs->prefix[i * AXES + k];
            } else if (obs->n_prefix > 0) { /* goes on from there, and leans towards its own arc */
                const float before = out[-AXES], want = plain - before;
                *out = before + fmaxf(-0.06f, fminf(0.06f, want));
            } else {
                *out = plain;
            }
        }
    }
    if (s->nan) {
        chunk->actions[5] = NAN;
    }
    if (s->while_thinking != NULL) {
        s->while_thinking(s->ctx);
    }
    return FW_OK;
}

static inline void sine_nothing(fw_policy *p) {
    (void)p;
}

static const fw_policy_vtable sine_vtable = {
    .describe = sine_describe, .infer = sine_infer, .reset = sine_nothing, .close = sine_nothing};

static inline sine sine_policy(int max_delay) {
    sine s = {.base = {&sine_vtable}, .max_delay = max_delay};
    s.body = (fw_embodiment){.name = "plant", .rate_hz = 10, .n_state = AXES, .n_action = AXES};
    for (int i = 0; i < AXES; i++) {
        s.body.state[i] = s.body.action[i] = (fw_dim){.min = -1.5, .max = 2.0};
    }
    return s;
}

/* 200 Hz; from full speed to rest in less than 100 ms. */
static inline fw_safety_limits plant_limits(void) {
    fw_safety_limits l = {
        .n_axis = AXES, .period_us = 5000, .late_us = 10000, .sensor_us = 20000, .command_us = 300000};
    for (int i = 0; i < AXES; i++) {
        l.axis[i] = (fw_safety_axis){.position_min = -1.5f,
                                     .position_max = 2.0f,
                                     .velocity = 2.0f,
                                     .acceleration = 40.0f,
                                     .jerk = 2000.0f,
                                     .torque = 3.0f,
                                     .torque_release = 0.5f,
                                     .contact = 1.0f,
                                     .clamp = 0.5f,
                                     .follow = 0.4f,
                                     .noise = 0.01f,
                                     .velocity_tolerance = 0,
                                     .retract = 0.25f};
    }
    l.heartbeat_us[FW_SAFETY_POLICY] = 1200000;
    l.heartbeat_us[FW_SAFETY_OPERATOR] = 150000;
    l.hold_us = 500000, l.retract_us = 5000000, l.overload_us = 200000, l.clamp_us = 500000, l.warn_us = 1000000;
    l.can_retract = true;
    l.retract_scale = 0.25f;
    return l;
}

typedef struct rig {
    int64_t t_ns;
    fw_clock clock;
    fw_driver *driver;
    fw_control *c;
    fw_control_status s;
    fw_safety_limits limits;
} rig;

/* Standing still on a clock that only the test moves. */
static inline void rig_open(rig *r, sine *policy, int blend) {
    fw_err err;
    *r = (rig){.t_ns = 1000000000};
    r->clock = fw_clock_sim(&r->t_ns);
    r->limits = plant_limits();
    memset(&g_plant, 0, sizeof g_plant);
    g_plant.clock = &r->clock;
    if (fw_driver_open_api(&plant_api, "{}", &r->driver, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    fw_driver_set_time(r->driver, r->clock.now_ns, r->clock.self);
    fw_control_opts o = FW_CONTROL_OPTS_DEFAULT;
    o.driver = r->driver, o.limits = &r->limits, o.policy = policy != NULL ? &policy->base : NULL, o.clock = &r->clock;
    o.handover.blend = blend;
    if (fw_control_new(&o, &r->c, &err) != FW_OK || fw_control_prepare(r->c, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
}

static inline void rig_close(rig *r) {
    fw_control_free(r->c);
    fw_driver_close(&r->driver);
}

static inline void cycle(rig *r) {
    r->t_ns += 5000000;
    fw_control_cycle(r->c);
    fw_control_status_get(r->c, &r->s);
}

/* n cycles, thinking in between, which takes no time. */
static inline void live(rig *r, int n) {
    for (int i = 0; i < n; i++) {
        cycle(r);
        (void)fw_control_think(r->c);
    }
}

static inline void to_mode(rig *r, fw_safety_mode m) {
    fw_control_request(r->c, m);
    for (int i = 0; i < 50 && r->s.mode != m; i++) {
        live(r, 1);
    }
    CHECK_INT(r->s.mode, m);
}

#endif /* FW_TESTS_ROBOT_CONTROL_RIG_H */
