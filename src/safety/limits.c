/*
 * limits.c - are the limits of an embodiment ones to rely on? The first that is not is named.
 */
#include "safety/safety_int.h"

static const float LEAST = 1.0e-6F;           /* of what must be above zero */
static const float MOST = 1.0e6F;             /* of anything */
static const float FARTHEST = 1000.0F;        /* rad, m, to which sine and distance hold */
static const float UNIT = 2.0e-3F;            /* how far the square of a unit length may be from 1 */
static const float PERIOD_UNIT = 1.0e-6F;     /* s in a microsecond */
static const float INSIDE = 0.99999F;         /* limits are kept with this to spare, more than rounding takes */
static const uint32_t LONGEST_US = 60000000U; /* of any timeout */

static bool positive(float x) {
    return fw_safety_within(x, LEAST, MOST);
}

static bool point(const float p[3]) {
    return fw_safety_within(p[0], -FARTHEST, FARTHEST) && fw_safety_within(p[1], -FARTHEST, FARTHEST) &&
           fw_safety_within(p[2], -FARTHEST, FARTHEST);
}

static bool unit(float squared) {
    return fw_safety_within(squared, 1.0F - UNIT, 1.0F + UNIT);
}

fw_safety_rates fw_safety_rates_of(const fw_safety_limits *l, uint32_t i) {
    const fw_safety_axis *a = &l->axis[i];
    float dt = (float)l->period_us * PERIOD_UNIT;
    fw_safety_rates r;
    r.u = INSIDE * a->velocity * dt;
    r.b = INSIDE * a->acceleration * dt * dt;
    r.j = INSIDE * a->jerk * dt * dt * dt;
    return r;
}

uint32_t fw_safety_stop_us(const fw_safety_limits *l, uint32_t i) {
    fw_safety_rates r = fw_safety_rates_of(l, i);
    fw_safety_motion fastest = {0.0F, r.u, r.b};
    return fw_safety_braking_from(&fastest, &r).steps * l->period_us;
}

static fw_safety_limits_what axis_wrong(const fw_safety_limits *l, uint32_t i) {
    const fw_safety_axis *a = &l->axis[i];
    fw_safety_rates r = fw_safety_rates_of(l, i);
    fw_safety_limits_what what = FW_SAFETY_LIMITS_OK;

    if (!fw_safety_within(a->position_min, -FARTHEST, FARTHEST) ||
        !fw_safety_within(a->position_max, a->position_min + LEAST, FARTHEST)) {
        what = FW_SAFETY_LIMITS_POSITION;
    } else if (!positive(a->velocity)) {
        what = FW_SAFETY_LIMITS_VELOCITY;
    } else if (!positive(a->acceleration)) {
        what = FW_SAFETY_LIMITS_ACCELERATION;
    } else if (!positive(a->jerk) || (r.b > ((float)FW_SAFETY_RAMP_CYCLES * r.j))) {
        what = FW_SAFETY_LIMITS_JERK;
    } else if (!positive(a->torque) || !fw_safety_within(a->torque_release, 0.0F, a->torque)) {
        what = FW_SAFETY_LIMITS_TORQUE;
    } else if (!positive(a->contact) || !fw_safety_within(a->clamp, LEAST, a->contact)) {
        what = FW_SAFETY_LIMITS_CONTACT;
    } else if (!positive(a->follow)) {
        what = FW_SAFETY_LIMITS_FOLLOW;
    } else if (!fw_safety_within(a->noise, 0.0F, MOST) || !fw_safety_within(a->velocity_tolerance, 0.0F, MOST)) {
        what = FW_SAFETY_LIMITS_NOISE;
    } else if (!fw_safety_within(a->retract, a->position_min, a->position_max)) {
        what = FW_SAFETY_LIMITS_RETRACT;
    } else if ((a->grip < -1) || (a->grip > 1)) {
        what = FW_SAFETY_LIMITS_GRIP;
    } else if ((fw_safety_stop_us(l, i) > FW_SAFETY_STOP_US) ||
               (fw_safety_stop_us(l, i) >= (FW_SAFETY_STOP_STEPS * l->period_us))) {
        what = FW_SAFETY_LIMITS_STOP;
    } else {
        /* an axis to rely on */
    }
    return what;
}

static bool link_wrong(const fw_safety_limits *l, uint32_t i) {
    const fw_safety_link *k = &l->link[i];
    const float *q = k->quat;
    const float *v = k->about;
    bool chain = (k->parent >= FW_SAFETY_NOBODY) && (k->parent < (int32_t)i) && (k->axis >= FW_SAFETY_NOBODY) &&
                 (k->axis < (int32_t)l->n_axis);
    bool frame = point(k->pos) && unit((q[0] * q[0]) + (q[1] * q[1]) + (q[2] * q[2]) + (q[3] * q[3])) &&
                 unit((v[0] * v[0]) + (v[1] * v[1]) + (v[2] * v[2])) &&
                 fw_safety_within(k->scale, -FARTHEST, FARTHEST) && fw_safety_within(k->offset, -FARTHEST, FARTHEST);
    bool body = point(k->from) && point(k->to) && fw_safety_within(k->radius, 0.0F, FARTHEST);
    return !(chain && frame && body);
}

static bool box_wrong(const fw_safety_box *b) {
    bool right = point(b->min) && point(b->max);
    for (uint32_t i = 0U; i < 3U; i++) {
        right = right && (b->min[i] < b->max[i]);
    }
    return !right;
}

static bool pair_wrong(const fw_safety_limits *l, uint32_t k) {
    uint32_t i = l->pair[k][0];
    uint32_t j = l->pair[k][1];
    return (i >= l->n_link) || (j >= l->n_link) || (i == j) || !l->link[i].capsule || !l->link[j].capsule;
}

/* The first wrong one of what is there once. */
static fw_safety_limits_what whole_wrong(const fw_safety_limits *l) {
    fw_safety_limits_what what = FW_SAFETY_LIMITS_OK;
    if ((l->n_axis < 1U) || (l->n_axis > FW_SAFETY_AXIS_MAX)) {
        what = FW_SAFETY_LIMITS_N_AXIS;
    } else if ((l->period_us < 500U) || (l->period_us > FW_SAFETY_STOP_US)) {
        what = FW_SAFETY_LIMITS_PERIOD;
    } else if (l->n_link > FW_SAFETY_LINK_MAX) {
        what = FW_SAFETY_LIMITS_LINK;
    } else if (l->n_keepout > FW_SAFETY_KEEPOUT_MAX) {
        what = FW_SAFETY_LIMITS_KEEPOUT;
    } else if (l->n_pair > FW_SAFETY_PAIR_MAX) {
        what = FW_SAFETY_LIMITS_PAIR;
    } else if (!fw_safety_within(l->margin, 0.0F, FARTHEST)) {
        what = FW_SAFETY_LIMITS_MARGIN;
    } else if (!fw_safety_within(l->retract_scale, LEAST, 1.0F)) {
        what = FW_SAFETY_LIMITS_RETRACT;
    } else if ((l->n_link > 0U) && box_wrong(&l->workspace)) {
        what = FW_SAFETY_LIMITS_WORKSPACE;
    } else {
        /* the parts are left */
    }
    return what;
}

static bool timeout_wrong(const fw_safety_limits *l, uint32_t k) {
    const uint32_t all[10] = {l->late_us,
                              l->sensor_us,
                              l->command_us,
                              l->hold_us,
                              l->retract_us,
                              l->overload_us,
                              l->clamp_us,
                              l->warn_us,
                              l->heartbeat_us[FW_SAFETY_POLICY],
                              l->heartbeat_us[FW_SAFETY_OPERATOR]};
    return (all[k] < 1U) || (all[k] > LONGEST_US);
}

/* One kind of part after the other; what was found first stays. */
static void note(fw_safety_limits_error *e, fw_safety_limits_what what, uint32_t index) {
    if ((e->what == FW_SAFETY_LIMITS_OK) && (what != FW_SAFETY_LIMITS_OK)) {
        e->what = what;
        e->index = index;
    }
}

static void parts_wrong(const fw_safety_limits *l, fw_safety_limits_error *e) {
    for (uint32_t k = 0U; k < 10U; k++) {
        note(e, timeout_wrong(l, k) ? FW_SAFETY_LIMITS_TIMEOUT : FW_SAFETY_LIMITS_OK, k);
    }
    for (uint32_t i = 0U; i < l->n_axis; i++) {
        note(e, axis_wrong(l, i), i);
    }
    for (uint32_t i = 0U; i < l->n_link; i++) {
        note(e, link_wrong(l, i) ? FW_SAFETY_LIMITS_LINK : FW_SAFETY_LIMITS_OK, i);
    }
    for (uint32_t k = 0U; k < l->n_keepout; k++) {
        note(e, box_wrong(&l->keepout[k]) ? FW_SAFETY_LIMITS_KEEPOUT : FW_SAFETY_LIMITS_OK, k);
    }
    for (uint32_t k = 0U; k < l->n_pair; k++) {
        note(e, pair_wrong(l, k) ? FW_SAFETY_LIMITS_PAIR : FW_SAFETY_LIMITS_OK, k);
    }
}

fw_safety_limits_error fw_safety_limits_check(const fw_safety_limits *l) {
    fw_safety_limits_error e = {FW_SAFETY_LIMITS_OK, 0U};
    note(&e, whole_wrong(l), 0U);
    if (e.what == FW_SAFETY_LIMITS_OK) {
        parts_wrong(l, &e);
    }
    return e;
}
