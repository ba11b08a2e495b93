/* motion.c - see motion.h */
#include "robot/motion.h"

#include <math.h>
#include <string.h>

enum { STRETCHES = 24 }; /* by 2^(1/4) each: up to 64 times as long */

typedef struct state {
    double pos, vel, acc;
} state;

void fw_motion_start(fw_motion *m, int n, const fw_motion_limits *limits, const float *where) {
    memset(m, 0, sizeof *m);
    m->n = n;
    for (int i = 0; i < n; i++) {
        m->c[i][0] = (double)where[i];
        if (limits != NULL) {
            m->limits[i] = limits[i];
        }
    }
}

/* On the curve c at t. Past its end, because no command came, the axis is brought to rest in as long as the curve took. */
static state on_curve(const double c[6], double t, double span) {
    const double s = t < span ? t : span;
    state x = {c[0] + s * (c[1] + s * (c[2] + s * (c[3] + s * (c[4] + s * c[5])))),
               c[1] + s * (2 * c[2] + s * (3 * c[3] + s * (4 * c[4] + s * 5 * c[5]))),
               2 * c[2] + s * (6 * c[3] + s * (12 * c[4] + s * 20 * c[5]))};
    if (t > span && span > 0) {
        const double late = t - span < span ? t - span : span;
        x = (state){x.pos + x.vel * (late - late * late / (2 * span)), x.vel * (1 - late / span),
                    late < span ? -x.vel / span : 0};
    }
    return x;
}

/* From a to b, which has no acceleration, in T seconds. */
static void curve(state a, double pos, double vel, double T, double c[6]) {
    const double h = pos - a.pos, T2 = T * T, T3 = T2 * T;
    c[0] = a.pos;
    c[1] = a.vel;
    c[2] = a.acc / 2;
    c[3] = (20 * h - (8 * vel + 12 * a.vel) * T - 3 * a.acc * T2) / (2 * T3);
    c[4] = (-30 * h + (14 * vel + 16 * a.vel) * T + 3 * a.acc * T2) / (2 * T3 * T);
    c[5] = (12 * h - 6 * (vel + a.vel) * T - a.acc * T2) / (2 * T3 * T2);
}

static bool inside(double x, double limit) {
    return limit <= 0 || fabs(x) <= limit;
}

/* Are velocity, acceleration and jerk within the limits all along? At 16 places: the curves are of low degree. */
static bool within(const fw_motion_limits *l, const double c[6], double T) {
    for (int i = 0; i <= 16; i++) {
        const double t = T * i / 16;
        const state x = on_curve(c, t, T);
        const double jerk = 6 * c[3] + t * (24 * c[4] + t * 60 * c[5]);
        if (!inside(x.vel, l->vel) || !inside(x.acc, l->acc) || !inside(jerk, l->jerk)) {
            return false;
        }
    }
    return true;
}

/* The velocity with which axis i comes to its target: that of the way to the command after it, when both take T. */
static double end_velocity(const fw_motion *m, int i, double pos, const float *after, double T) {
    const double vel = after != NULL ? ((double)after[i] - pos) / (2 * T) : 0.0, most = m->limits[i].vel;
    return most > 0 && fabs(vel) > most ? copysign(most, vel) : vel;
}

/* The curve of axis i, at least T long and stretched until it is within limits. Returns how long it is. */
static double plan(const fw_motion *m, int i, double from, double to, const float *after, double T, double c[6]) {
    const state a = on_curve(m->c[i], from, m->span[i]);
    curve(a, to, end_velocity(m, i, a.pos, after, T), T, c);
    for (int k = 0; k < STRETCHES && !within(&m->limits[i], c, T); k++) {
        T *= 1.189207115002721;
        curve(a, to, end_velocity(m, i, a.pos, after, T), T, c);
    }
    return T;
}

bool fw_motion_to(fw_motion *m, double from, const float *target, const float *after, double seconds,
                  fw_motion_how how) {
    double c[FW_DIM_MAX][6], span[FW_DIM_MAX], longest = seconds;
    bool ok = seconds > 0 && isfinite(seconds) && from >= 0 && isfinite(from);
    for (int i = 0; i < m->n; i++) {
        ok = ok && isfinite(target[i]) && (after == NULL || isfinite(after[i]));
    }
    for (int pass = 0; pass < 2 && ok;
         pass++) { /* the second time as long as the slowest one took, if they go together */
        for (int i = 0; i < m->n; i++) {
            span[i] = plan(m, i, from, (double)target[i], after, how == FW_MOTION_TOGETHER ? longest : seconds, c[i]);
            longest = fmax(longest, span[i]);
        }
    }
    for (int i = 0; i < m->n && ok; i++) {
        memcpy(m->c[i], c[i], sizeof c[i]);
        m->span[i] = span[i];
    }
    return ok;
}

double fw_motion_span(const fw_motion *m) {
    double most = 0;
    for (int i = 0; i < m->n; i++) {
        most = fmax(most, m->span[i]);
    }
    return most;
}

void fw_motion_at(const fw_motion *m, double t, float *pos, float *vel, float *acc) {
    for (int i = 0; i < m->n; i++) {
        const state x = on_curve(m->c[i], t, m->span[i]);
        pos[i] = (float)x.pos;
        if (vel != NULL) {
            vel[i] = (float)x.vel;
        }
        if (acc != NULL) {
            acc[i] = (float)x.acc;
        }
    }
}
