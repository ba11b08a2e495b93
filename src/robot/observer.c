/* observer.c - see observer.h */
#include "robot/observer.h"

#include <math.h>
#include <string.h>

#define CREEP                                                                                                          \
    0.02 /* rad/s (m/s) at which dry friction has most of its size: it turns with the motion, not with noise */

static fw_status check_axis(const fw_driver_axis *a, const fw_observer_opts *o, int i, fw_err *err) {
    if (!a->has_velocity) {
        return fw_fail(err, FW_INVALID, "contact observer: axis %s has no velocity sensor", a->name);
    }
    if (!(o->nm_per_a[i] >= 0) || !(o->viscous[i] >= 0) || !(o->dry[i] >= 0) || isinf(o->nm_per_a[i]) ||
        isinf(o->viscous[i]) || isinf(o->dry[i])) {
        return fw_fail(err, FW_INVALID,
                       "contact observer: axis %s: wanted 0 or more Nm/A and friction, found %g, %g and %g", a->name,
                       o->nm_per_a[i], o->viscous[i], o->dry[i]);
    }
    return FW_OK;
}

fw_status fw_observer_init(fw_observer *o, const fw_driver_info *body, const fw_observer_opts *opts, fw_err *err) {
    int felt = 0;
    memset(o, 0, sizeof *o);
    o->n = body->n_axis;
    o->o = *opts;
    if (opts->dynamics == NULL || !(opts->time_s > 0) || !(opts->gap_s > 0)) {
        return fw_fail(err, FW_INVALID,
                       "contact observer: wanted a model and times above 0, found %s model, %g s and %g s",
                       opts->dynamics == NULL ? "no" : "a", opts->time_s, opts->gap_s);
    }
    for (int i = 0; i < o->n; i++) {
        FW_TRY(check_axis(&body->axis[i], opts, i, err));
        o->nm[i] = body->axis[i].effort == FW_DRIVER_EFFORT_NM       ? 1
                   : body->axis[i].effort == FW_DRIVER_EFFORT_AMPERE ? opts->nm_per_a[i]
                                                                     : 0;
        felt += o->nm[i] > 0;
    }
    return felt > 0 ? FW_OK
                    : fw_fail(err, FW_INVALID,
                              "contact observer: %s tells no torque on any axis (Nm, or A and nm_per_a)", body->name);
}

/* Everything measured by this read? The mean time of it. */
static bool fresh(const fw_observer *o, const fw_driver_state *s, int64_t *t_ns) {
    int64_t sum = 0;
    for (int i = 0; i < o->n; i++) {
        const fw_driver_sample *x = &s->axis[i];
        if (!x->valid || !isfinite(x->position) || !isfinite(x->velocity) || !isfinite(x->effort)) {
            return false;
        }
        sum += (x->t_ns - s->axis[0].t_ns) / o->n;
    }
    *t_ns = s->axis[0].t_ns + sum;
    return !o->begun || *t_ns > o->t_ns;
}

/* What the model says of this measurement, into slot k. */
static void know(fw_observer *o, const fw_driver_state *s, int k) {
    double q[FW_DRIVER_AXIS_MAX], bias[FW_DRIVER_AXIS_MAX];
    for (int i = 0; i < o->n; i++) {
        q[i] = (double)s->axis[i].position;
        o->v[k][i] = (double)s->axis[i].velocity;
    }
    o->o.dynamics(o->o.ctx, q, o->v[k], o->M[k], bias);
    for (int i = 0; i < o->n; i++) {
        const double v = o->v[k][i], friction = o->o.viscous[i] * v + o->o.dry[i] * tanh(v / CREEP);
        o->known[k][i] = bias[i] + friction - o->nm[i] * (double)s->axis[i].effort;
    }
}

/* Mean torque from outside on axis i between the two slots. */
static double outside(const fw_observer *o, int i, double dt) {
    const double *a = o->M[0] + i * o->n, *b = o->M[1] + i * o->n;
    const double *now = o->v[o->at], *then = o->v[!o->at];
    double change = 0;
    for (int k = 0; k < o->n; k++) {
        change += 0.5 * (a[k] + b[k]) * (now[k] - then[k]);
    }
    return change / dt + 0.5 * (o->known[0][i] + o->known[1][i]);
}

void fw_observer_step(fw_observer *o, const fw_driver_state *s) {
    int64_t t_ns;
    if (!fresh(o, s, &t_ns)) {
        return;
    }
    const double dt = 1e-9 * (double)(t_ns - o->t_ns);
    const bool follows = o->begun && dt <= o->o.gap_s;
    o->at = !o->at;
    know(o, s, o->at);
    o->t_ns = t_ns;
    o->begun = true;
    const double share = 1 - exp(-dt / o->o.time_s);
    for (int i = 0; i < o->n && follows; i++) {
        if (o->nm[i] > 0) {
            o->residual[i] += (float)(share * (outside(o, i, dt) - (double)o->residual[i]));
        }
    }
}
