/*
 * motion.c - one axis, jerk-limited, in steps of one control cycle.
 *
 * A state is (q, u, b): position, its change in a cycle, the change of that. A cycle chooses b' with |b' - b| <= j and
 * |b'| <= the limit, then u' = u + b', q' = q + u'. In these units a step is three additions, and what braking passes
 * through can be played ahead exactly, to the last bit, because the same additions are made later.
 *
 * Braking is the fastest that does not turn back: b' is such that taking it back to zero by j a cycle ends at u = 0.
 * Taking back x changes the velocity by x + (x - j) + (x - 2j) + ... : with n = floor(x / j), (n + 1) x - j n (n + 1) / 2.
 */
#include "safety/safety_int.h"

/* Halvings in a search for b': each half a bit of b', never a matter of safety, since only examined values are used. */
static const uint32_t SEARCH = 8U;

float fw_safety_ramp(float w, float cap, float j) {
    float x = cap;
    bool found = false;

    for (uint32_t n = 0U; (n < FW_SAFETY_RAMP_CYCLES) && !found; n++) {
        float k = (float)n + 1.0F;
        found = w <= (0.5F * j * k * (k + 1.0F)); /* the most that n + 1 steps can take back is with x = (n + 1) j */
        if (found) {
            x = fw_safety_min((w / k) + (0.5F * j * (float)n), cap);
        }
    }
    return x;
}

float fw_safety_brake(const fw_safety_motion *m, const fw_safety_rates *r) {
    float size = fw_safety_ramp(fw_safety_abs(m->u), r->b, r->j);
    float wanted = (m->u > 0.0F) ? -size : size;
    return fw_safety_clamp(wanted, m->b - r->j, m->b + r->j);
}

fw_safety_motion fw_safety_advance(const fw_safety_motion *m, float b) {
    fw_safety_motion next;
    next.b = b;
    next.u = m->u + b;
    next.q = m->q + next.u;
    return next;
}

bool fw_safety_at_rest(const fw_safety_motion *m) {
    return (m->u == 0.0F) && (m->b == 0.0F);
}

fw_safety_braking fw_safety_braking_from(const fw_safety_motion *m, const fw_safety_rates *r) {
    fw_safety_motion now = *m;
    fw_safety_braking p = {m->q, m->q, m->q, fw_safety_abs(m->u), 0U};

    while ((p.steps < FW_SAFETY_STOP_STEPS) && !fw_safety_at_rest(&now)) {
        now = fw_safety_advance(&now, fw_safety_brake(&now, r));
        p.q_min = fw_safety_min(p.q_min, now.q);
        p.q_max = fw_safety_max(p.q_max, now.q);
        p.u_peak = fw_safety_max(p.u_peak, fw_safety_abs(now.u));
        p.steps++;
    }
    p.q_end = now.q;
    return p;
}

/* Where the axis ends relative to a goal that moves on, when it brakes to the goal's velocity after a step of b. */
static float ends_beyond(const fw_safety_motion *m, const fw_safety_rates *r, float b, float goal, float rate) {
    fw_safety_motion relative = fw_safety_advance(m, b);
    relative.q -= goal;
    relative.u -= rate;
    return fw_safety_braking_from(&relative, r).q_end;
}

/* The largest b in [lo, hi] after which braking to the goal's velocity ends at the goal or short of it, to the
 * resolution of the search; lo where none does. */
static float approach(const fw_safety_motion *m, const fw_safety_rates *r, float lo, float hi, float goal, float rate) {
    float below = lo;
    float above = hi;
    if (ends_beyond(m, r, hi, goal, rate) <= 0.0F) {
        below = hi;
    } else {
        for (uint32_t k = 0U; k < SEARCH; k++) {
            float mid = 0.5F * (below + above);
            if (ends_beyond(m, r, mid, goal, rate) <= 0.0F) {
                below = mid;
            } else {
                above = mid;
            }
        }
    }
    return below;
}

static bool inside(const fw_safety_motion *m, const fw_safety_rates *r, const fw_safety_bounds *within, float b) {
    fw_safety_motion next = fw_safety_advance(m, b);
    fw_safety_braking p = fw_safety_braking_from(&next, r);
    return (p.q_min >= within->q_min) && (p.q_max <= within->q_max) && (p.u_peak <= within->u_max);
}

/* What braking from here passes through is allowed already. */
static fw_safety_bounds widened(const fw_safety_motion *m, const fw_safety_rates *r, const fw_safety_bounds *by) {
    fw_safety_braking p = fw_safety_braking_from(m, r);
    fw_safety_bounds w;
    w.q_min = fw_safety_min(by->q_min, p.q_min);
    w.q_max = fw_safety_max(by->q_max, p.q_max);
    w.u_max = fw_safety_max(by->u_max, p.u_peak);
    return w;
}

float fw_safety_follow(const fw_safety_motion *m, const fw_safety_rates *r, const fw_safety_bounds *within, float goal,
                       float rate) {
    fw_safety_bounds allowed = widened(m, r, within);
    float lo = fw_safety_max(m->b - r->j, -r->b);
    float hi = fw_safety_min(m->b + r->j, r->b);
    float exact = (goal - m->q) - m->u;
    float wanted;
    float chosen;

    /* onto the goal, where that also meets its velocity: one that is tracked passes as it is */
    if (fw_safety_within(exact, lo, hi) && (fw_safety_abs((m->u + exact) - rate) <= r->j)) {
        wanted = exact;
    } else {
        wanted = approach(m, r, lo, hi, goal, rate);
    }

    chosen = wanted;
    if (!inside(m, r, &allowed, wanted)) {
        float good = fw_safety_brake(m, r);
        float bad = wanted;
        for (uint32_t k = 0U; k < SEARCH; k++) {
            float mid = 0.5F * (good + bad);
            if (inside(m, r, &allowed, mid)) {
                good = mid;
            } else {
                bad = mid;
            }
        }
        chosen = good;
    }
    return chosen;
}
