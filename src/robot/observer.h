/*
 * observer.h - is somebody pushing? What moves the arm beside its motors and its weight, axis by axis, from measured motion and effort.
 *
 *   fw_observer_opts oo = FW_OBSERVER_OPTS_DEFAULT;
 *   oo.dynamics = of_my_arm; oo.ctx = arm;
 *   fw_observer_init(&o, fw_driver_get_info(driver), &oo, &err);
 *   fw_observer_step(&o, &state);                    // once a cycle, with what the driver measured
 *   o.residual[i]                                    // Nm (N) from outside on axis i; fw_control passes it to safety
 *
 * DESIGN. The momentum observer of De Luca et al. (Collision detection and safe reaction with the DLR-III lightweight manipulator arm, IROS 2006):
 *
 *   r = K (p - integral of (tau + C^T v - g + r) dt),      p = M v,      so that      r' = K (tau_outside - r)
 *
 * r follows the torque from outside like a low-pass of time constant 1/K and needs no acceleration. C^T v is not asked for: M' = C + C^T, and over a
 * cycle from a to b the change of momentum less that of the mass matrix is exactly (Ma + Mb)/2 (vb - va). A step is therefore
 *
 *   outside = (Ma + Mb)/2 (vb - va)/dt + mean(C v + g) + friction - mean(tau),      r += (1 - exp(-K dt)) (outside - r)
 *
 * Measurement noise w of velocity appears in r as about K M w. Friction that the opts do not tell, errors of the model and what the hand carries
 * appear in it as well: thresholds (contact, clamp of the embodiment's "safety") lie above those.
 * In the caller's memory; no allocation, no clock, no libm trap; one thread.
 */
#ifndef FW_ROBOT_OBSERVER_H
#define FW_ROBOT_OBSERVER_H

#include "fw/driver.h"

/* The arm's model. q [n] rad (m), v [n] -> M [n,n] kg m^2, rotors included; bias [n] Nm: C(q,v) v + g(q). n: all axes of the driver, in its
 * order. Called by the control thread once a cycle: no allocation, bounded time. */
typedef void (*fw_observer_dynamics)(void *ctx, const double *q, const double *v, double *M, double *bias);

typedef struct fw_observer_opts {
    fw_observer_dynamics dynamics; /* NULL: there is no observer */
    void *ctx;
    double time_s;                       /* 1/K */
    double gap_s;                        /* measurements farther apart than this begin anew; r stays */
    double nm_per_a[FW_DRIVER_AXIS_MAX]; /* of axes whose effort is a current; 0: its residual is 0 */
    double viscous[FW_DRIVER_AXIS_MAX];  /* Nm s/rad, friction of the joints */
    double dry[FW_DRIVER_AXIS_MAX];      /* Nm */
} fw_observer_opts;
#define FW_OBSERVER_OPTS_DEFAULT                                                                                       \
    { .time_s = 0.02, .gap_s = 0.05 }

typedef struct fw_observer {
    int n;
    fw_observer_opts o;
    double nm[FW_DRIVER_AXIS_MAX]; /* Nm in a unit of effort; 0: not measured */
    float residual[FW_DRIVER_AXIS_MAX];

    bool begun;
    int64_t t_ns;                                                  /* of what follows */
    int at;                                                        /* which of the two is the last */
    double v[2][FW_DRIVER_AXIS_MAX], known[2][FW_DRIVER_AXIS_MAX]; /* known: bias + friction - tau */
    double M[2][FW_DRIVER_AXIS_MAX * FW_DRIVER_AXIS_MAX];
} fw_observer;

/* FW_INVALID: an axis without a velocity sensor, or no axis with an effort; numbers of opts that are none. opts: copied. */
FW_NODISCARD fw_status fw_observer_init(fw_observer *o, const fw_driver_info *body, const fw_observer_opts *opts,
                                        fw_err *err);
/* Axes that were not measured, or not anew: r stays as it is. A model that answers with no number: r is NaN from then on, which safety refuses. */
void fw_observer_step(fw_observer *o, const fw_driver_state *s);

#endif /* FW_ROBOT_OBSERVER_H */
