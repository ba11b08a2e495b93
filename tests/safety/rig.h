/*
 * rig.h - what the tests of the safety core share: limits of small robots, and a rig that gives it healthy cycles.
 *
 * A test changes rig.in for one cycle (a command, a fault) and calls cycle(); measurements follow what was sent, with
 * the delay of no plant at all, unless the test sets them itself.
 */
#ifndef FW_TESTS_SAFETY_RIG_H
#define FW_TESTS_SAFETY_RIG_H

#include "fw_test.h"
#include "safety/safety_int.h"

/* n axes like a small servo arm's at 200 Hz, without links. */
static inline fw_safety_limits small_arm(uint32_t n) {
    fw_safety_limits l;
    memset(&l, 0, sizeof(l));
    l.n_axis = n;
    for (uint32_t i = 0; i < n; i++) {
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
                                     .velocity_tolerance = 0.5f,
                                     .retract = 0.25f};
    }
    l.period_us = 5000;
    l.late_us = 10000;
    l.sensor_us = 20000;
    l.command_us = 100000;
    l.heartbeat_us[FW_SAFETY_POLICY] = 100000;
    l.heartbeat_us[FW_SAFETY_OPERATOR] = 150000;
    l.heartbeat_us[FW_SAFETY_SUPERVISOR] = 1000000;
    l.hold_us = 500000;
    l.retract_us = 5000000;
    l.overload_us = 200000;
    l.clamp_us = 500000;
    l.warn_us = 1000000;
    l.can_retract = true;
    l.retract_scale = 0.25f;
    return l;
}

static inline fw_safety_link bar(int32_t parent, int32_t axis, float x, float length, float radius) {
    return (fw_safety_link){.parent = parent,
                            .axis = axis,
                            .capsule = true,
                            .confined = true,
                            .pos = {x, 0, 0},
                            .quat = {1, 0, 0, 0},
                            .about = {0, 0, 1},
                            .scale = 1,
                            .to = {length, 0, 0},
                            .radius = radius};
}

/* Two bars of 0.3 m in the plane z = 0, a post beside them, a wall, and a third axis that carries nothing. */
static inline fw_safety_limits planar_arm(void) {
    fw_safety_limits l = small_arm(3);
    l.n_link = 3;
    l.link[0] = bar(FW_SAFETY_NOBODY, 0, 0, 0.3f, 0.03f);
    l.link[1] = bar(0, 1, 0.3f, 0.3f, 0.03f);
    l.link[2] = bar(FW_SAFETY_NOBODY, FW_SAFETY_NOBODY, 0, 0, 0.04f);
    l.link[2].pos[0] = -0.1f;
    l.link[2].pos[1] = -0.12f;
    l.axis[1].position_min = -3.0f;
    l.axis[1].position_max = 3.0f;
    l.workspace = (fw_safety_box){.min = {-0.7f, -0.5f, -0.1f}, .max = {0.7f, 0.55f, 0.1f}};
    l.n_keepout = 1;
    l.keepout[0] = (fw_safety_box){.min = {0.35f, 0.2f, -0.1f}, .max = {0.5f, 0.4f, 0.1f}, .links = 3};
    l.n_pair = 1;
    l.pair[0][0] = 1;
    l.pair[0][1] = 2;
    l.margin = 0.02f;
    return l;
}

typedef struct {
    fw_safety s;
    fw_safety_in in;
    fw_safety_out out;
    bool frozen; /* measurements stay as the test set them */
    bool mute;   /* no heartbeats */
    bool numb;   /* no new measurements */
} rig;

static inline void rig_start_at(rig *r, const fw_safety_limits *l, const float *q) {
    memset(r, 0, sizeof(*r));
    CHECK_INT(fw_safety_init(&r->s, l).what, FW_SAFETY_LIMITS_OK);
    r->in.now_us = 1000000;
    r->in.request = FW_SAFETY_KEEP;
    for (uint32_t i = 0; i < l->n_axis; i++) {
        r->in.axis[i].position = q != NULL ? q[i] : 0.0f;
    }
}

static inline void rig_start(rig *r, const fw_safety_limits *l) {
    rig_start_at(r, l, NULL);
}

/* Let dt_us pass and step. */
static inline void cycle_after(rig *r, uint64_t dt_us) {
    r->in.now_us += dt_us;
    for (uint32_t i = 0; i < r->s.limits.n_axis && !r->numb; i++) {
        fw_safety_sample *m = &r->in.axis[i];
        m->valid = true;
        m->t_us = r->in.now_us;
        if (!r->frozen && r->out.send) {
            m->position = r->out.position[i];
            m->velocity = r->out.velocity[i];
        }
    }
    for (int p = 0; p < FW_SAFETY_N_PARTY && !r->mute; p++) {
        r->in.heartbeat[p].count++;
        r->in.heartbeat[p].echo = r->out.beat;
    }
    fw_safety_step(&r->s, &r->in, &r->out);
    r->in.request = FW_SAFETY_KEEP;
    r->in.acknowledge = false;
    r->in.stop = false;
    r->in.command.present = false;
}

static inline void cycle(rig *r) {
    cycle_after(r, r->s.limits.period_us);
}

static inline void cycles(rig *r, int n) {
    for (int k = 0; k < n; k++) {
        cycle(r);
    }
}

/* A command of the present mode for the next cycle: every axis to q. */
static inline void command_all(rig *r, float q) {
    fw_safety_command *c = &r->in.command;
    c->present = true;
    c->source = r->out.mode == FW_SAFETY_TELEOPERATED ? FW_SAFETY_OPERATOR : FW_SAFETY_POLICY;
    c->seq++;
    c->t_us = r->in.now_us;
    for (uint32_t i = 0; i < r->s.limits.n_axis; i++) {
        c->position[i] = q;
    }
}

static inline void follow(rig *r, float q, int n) {
    for (int k = 0; k < n; k++) {
        command_all(r, q);
        cycle(r);
    }
}

static inline void enable(rig *r, fw_safety_mode mode) {
    cycles(r, 8);
    r->in.request = mode;
    cycle(r);
    if (r->out.mode != mode) {
        FW_FAILED("not enabled: refused %#x, present %#x", r->out.refused, r->out.present);
    }
}

/* At full speed: commands that run away in one direction until velocity is at its limit. */
static inline void run_up(rig *r, float towards) {
    for (int k = 0; k < 30; k++) {
        command_all(r, towards);
        cycle(r);
    }
}

static inline bool stands(const rig *r) {
    for (uint32_t i = 0; i < r->s.limits.n_axis; i++) {
        if (r->out.velocity[i] != 0.0f || r->out.acceleration[i] != 0.0f) {
            return false;
        }
    }
    return true;
}

static inline float random_in(uint64_t *state, float lo, float hi) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    z ^= z >> 31;
    return lo + (hi - lo) * (float)(z >> 40) * 0x1p-24f;
}

#endif /* FW_TESTS_SAFETY_RIG_H */
