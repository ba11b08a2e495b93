/*
 * filter.c - where the reference goes in this cycle.
 *
 * Every axis by itself proposes a step (motion.c) that braking can still end inside its own bounds. Together they are
 * taken only if the whole path, this step and then braking to rest, keeps clear of everything; otherwise all axes
 * brake, along the path that was examined when the step before was taken.
 *
 * Between two examined postures with clearances c and d no point of the robot comes nearer than (c + d - way) / 2, where
 * way is the most that any point moves between them: so far from everything one look at the end is enough, and near
 * to something the looks come closer together. The margin is kept, or, where it is not kept already, not made less.
 */
#include "safety/safety_int.h"

static fw_safety_bounds bounds_of(const fw_safety *s, uint32_t i, float share) {
    const fw_safety_axis *a = &s->limits.axis[i];
    fw_safety_bounds w;
    float lo;
    float hi;
    fw_safety_measured(s, i, &lo, &hi);
    w.q_min = fw_safety_max(a->position_min, lo - a->follow);
    w.q_max = fw_safety_min(a->position_max, hi + a->follow);
    w.u_max = share * s->rates[i].u;
    return w;
}

/* What of a command is not allowed. */
static uint32_t outside(const fw_safety *s, uint32_t i, float goal) {
    const fw_safety_axis *a = &s->limits.axis[i];
    const fw_safety_rates *r = &s->rates[i];
    float u = goal - s->ref[i].q;
    float b = u - s->ref[i].u;
    uint32_t limited = 0U;
    float lo;
    float hi;

    fw_safety_measured(s, i, &lo, &hi);
    if (!fw_safety_within(goal, a->position_min, a->position_max)) {
        limited |= (uint32_t)FW_SAFETY_LIM_POSITION;
    }
    if (!fw_safety_within(goal, lo - a->follow, hi + a->follow)) {
        limited |= (uint32_t)FW_SAFETY_LIM_MEASURED;
    }
    if (fw_safety_abs(u) > r->u) {
        limited |= (uint32_t)FW_SAFETY_LIM_VELOCITY;
    }
    if (fw_safety_abs(b) > r->b) {
        limited |= (uint32_t)FW_SAFETY_LIM_ACCELERATION;
    }
    if (fw_safety_abs(b - s->ref[i].b) > r->j) {
        limited |= (uint32_t)FW_SAFETY_LIM_JERK;
    }
    return limited;
}

/* Step towards a goal, inside the bounds of one axis. */
static float towards(const fw_safety *s, uint32_t i, float goal, float rate, float share) {
    fw_safety_bounds w = bounds_of(s, i, share);
    return fw_safety_follow(&s->ref[i], &s->rates[i], &w, goal, rate);
}

static float commanded(const fw_safety *s, uint32_t i, uint32_t *limited) {
    const fw_safety_axis *a = &s->limits.axis[i];
    float goal = s->goal[i];
    float rate = s->rate[i];
    bool closing = ((float)a->grip * (goal - s->ref[i].q)) > 0.0F;

    *limited |= outside(s, i, goal);
    if (closing && (fw_safety_abs(s->track[i].torque) >= a->torque)) {
        *limited |= (uint32_t)FW_SAFETY_LIM_GRIP;
        goal = s->ref[i].q;
        rate = 0.0F;
    }
    return towards(s, i, fw_safety_clamp(goal, a->position_min, a->position_max), rate, 1.0F);
}

static float open_end(const fw_safety_axis *a) {
    return (a->grip > 0) ? a->position_min : a->position_max;
}

/* What an axis would do by itself. */
static float proposal(const fw_safety *s, uint32_t i, uint32_t *limited) {
    const fw_safety_axis *a = &s->limits.axis[i];
    const fw_safety_machine *m = &s->machine;
    bool follows = (m->mode >= FW_SAFETY_AUTONOMOUS) && (m->severity <= FW_SAFETY_SEV_WARN) && s->commanded;
    float b;

    if (fw_safety_releases(m) && (a->grip != 0)) {
        b = towards(s, i, open_end(a), 0.0F, 1.0F);
    } else if (m->severity == FW_SAFETY_SEV_RETRACT) {
        b = towards(s, i, a->retract, 0.0F, s->limits.retract_scale);
    } else if (follows) {
        b = commanded(s, i, limited);
    } else {
        b = fw_safety_brake(&s->ref[i], &s->rates[i]);
    }
    return b;
}

/* m that any point of the robot moves at most in a cycle. */
static float way_of(const fw_safety *s, const fw_safety_motion m[FW_SAFETY_AXIS_MAX]) {
    float way = 0.0F;
    for (uint32_t i = 0U; i < s->limits.n_axis; i++) {
        way += s->reach[i] * fw_safety_abs(m[i].u);
    }
    return way;
}

static float clearance_of(const fw_safety *s, const fw_safety_motion m[FW_SAFETY_AXIS_MAX]) {
    float q[FW_SAFETY_AXIS_MAX] = {0};
    for (uint32_t i = 0U; i < s->limits.n_axis; i++) {
        q[i] = m[i].q;
    }
    return fw_safety_clearance(&s->limits, q);
}

static bool all_at_rest(const fw_safety *s, const fw_safety_motion m[FW_SAFETY_AXIS_MAX]) {
    bool rest = true;
    for (uint32_t i = 0U; i < s->limits.n_axis; i++) {
        rest = rest && fw_safety_at_rest(&m[i]);
    }
    return rest;
}

/* Whether a step of b, and braking to rest after it, keep clear of everything. */
static bool path_clear(const fw_safety *s, const float b[FW_SAFETY_AXIS_MAX]) {
    fw_safety_motion m[FW_SAFETY_AXIS_MAX];
    float here = clearance_of(s, s->ref);
    float way = 0.0F;
    bool clear = true;
    bool rest = false;

    for (uint32_t i = 0U; i < s->limits.n_axis; i++) {
        m[i] = fw_safety_advance(&s->ref[i], b[i]);
    }
    for (uint32_t k = 0U; (k <= FW_SAFETY_STOP_STEPS) && clear && !rest; k++) {
        float step = way_of(s, m);
        way += step;
        rest = all_at_rest(s, m);
        if (rest || ((way + step) > (here + s->limits.margin))) {
            float there = clearance_of(s, m);
            clear = (there >= fw_safety_min(here, s->limits.margin)) && (way <= (here + there));
            here = there;
            way = 0.0F;
        }
        for (uint32_t i = 0U; i < s->limits.n_axis; i++) {
            m[i] = fw_safety_advance(&m[i], fw_safety_brake(&m[i], &s->rates[i]));
        }
    }
    return clear && rest;
}

uint32_t fw_safety_filter(fw_safety *s) {
    float b[FW_SAFETY_AXIS_MAX];
    uint32_t limited = 0U;

    for (uint32_t i = 0U; i < s->limits.n_axis; i++) {
        b[i] = proposal(s, i, &limited);
    }
    if ((s->limits.n_link > 0U) && !path_clear(s, b)) {
        limited |= (uint32_t)FW_SAFETY_LIM_CLEARANCE;
        for (uint32_t i = 0U; i < s->limits.n_axis; i++) {
            b[i] = fw_safety_brake(&s->ref[i], &s->rates[i]);
        }
    }
    for (uint32_t i = 0U; i < s->limits.n_axis; i++) {
        s->ref[i] = fw_safety_advance(&s->ref[i], b[i]);
    }
    return limited;
}
