/* The contact observer against an arm of two joints in closed form: motion alone is not felt, a push is, and how soon. */
#include "robot/observer.h"

#include "alloc_guard.h"
#include "fw_test.h"

#define STEP  0.0002 /* s of physics */
#define CYCLE 0.005
#define TAU   0.02 /* s, the observer's */

/* Two rods in a vertical plane, all that counts of them. */
static const double A = 1.2, B = 0.35, D = 0.4, G1 = 14, G2 = 5; /* kg m^2, Nm */

typedef struct arm {
    double q[2], v[2], tau[2], push[2], viscous, dry;
    double t;
    double per_a; /* effort is tau / per_a */
    bool deaf;    /* its model leaves out what depends on velocity */
    bool broken;
} arm;

static void mass(const double *q, double M[4]) {
    M[0] = A + 2 * B * cos(q[1]), M[1] = M[2] = D + B * cos(q[1]), M[3] = D;
}

static void bias_of(const double *q, const double *v, double h[2]) {
    const double s = B * sin(q[1]);
    h[0] = -s * (2 * v[0] * v[1] + v[1] * v[1]) + G1 * cos(q[0]) + G2 * cos(q[0] + q[1]);
    h[1] = s * v[0] * v[0] + G2 * cos(q[0] + q[1]);
}

static void model(void *ctx, const double *q, const double *v, double *M, double *bias) {
    const arm *a = ctx;
    const double still[2] = {0, 0};
    mass(q, M);
    bias_of(q, a->deaf ? still : v, bias);
    bias[0] = a->broken ? (double)NAN : bias[0];
}

/* A servo that runs hard after two sines, as fast as physics: half its weight it does not know. */
static void drive(arm *a) {
    for (int i = 0; i < 2; i++) {
        const double w = i == 0 ? 5 : 7, want = 0.8 * sin(w * a->t), speed = 0.8 * w * cos(w * a->t);
        a->tau[i] = 400 * (want - a->q[i]) + 30 * (speed - a->v[i]);
    }
}

static void acceleration(const arm *a, const double *q, const double *v, double acc[2]) {
    double M[4], h[2], f[2];
    mass(q, M);
    bias_of(q, v, h);
    for (int i = 0; i < 2; i++) {
        f[i] = a->tau[i] + a->push[i] - h[i] - a->viscous * v[i] - a->dry * tanh(v[i] / 0.02);
    }
    const double det = M[0] * M[3] - M[1] * M[2];
    acc[0] = (M[3] * f[0] - M[1] * f[1]) / det;
    acc[1] = (M[0] * f[1] - M[2] * f[0]) / det;
}

/* A cycle: midpoint steps, the servo's torque new in each. */
static void run(arm *a, double seconds) {
    for (double end = a->t + seconds - STEP / 2; a->t < end; a->t += STEP) {
        double acc[2], q[2], v[2];
        drive(a);
        acceleration(a, a->q, a->v, acc);
        for (int i = 0; i < 2; i++) {
            q[i] = a->q[i] + STEP / 2 * a->v[i];
            v[i] = a->v[i] + STEP / 2 * acc[i];
        }
        acceleration(a, q, v, acc);
        for (int i = 0; i < 2; i++) {
            a->q[i] += STEP * v[i];
            a->v[i] += STEP * acc[i];
        }
    }
}

static fw_driver_state measured(const arm *a) {
    fw_driver_state s = {.n_axis = 2};
    for (int i = 0; i < 2; i++) {
        s.axis[i] = (fw_driver_sample){.valid = true,
                                       .t_ns = 1 + (int64_t)llround(1e9 * a->t),
                                       .position = (float)a->q[i],
                                       .velocity = (float)a->v[i],
                                       .effort = (float)(a->tau[i] / a->per_a)};
    }
    return s;
}

static fw_driver_info info(fw_driver_effort effort) {
    fw_driver_info d = {.name = "rods", .n_axis = 2};
    for (int i = 0; i < 2; i++) {
        d.axis[i] = (fw_driver_axis){.name = "joint", .has_velocity = true, .effort = effort};
    }
    return d;
}

static fw_observer start(arm *a) {
    fw_observer o;
    fw_err err;
    fw_observer_opts oo = FW_OBSERVER_OPTS_DEFAULT;
    const fw_driver_info d = info(FW_DRIVER_EFFORT_NM);
    a->per_a = a->per_a > 0 ? a->per_a : 1;
    oo.dynamics = model, oo.ctx = a, oo.time_s = TAU;
    if (fw_observer_init(&o, &d, &oo, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    return o;
}

/* Cycles of motion and observation; the largest residual of both joints, and torque of the motors. */
static double watch(arm *a, fw_observer *o, int cycles, double *torque) {
    double most = 0;
    for (int i = 0; i < cycles; i++) {
        run(a, CYCLE);
        const fw_driver_state s = measured(a);
        fw_observer_step(o, &s);
        most = fmax(most, fmax(fabs((double)o->residual[0]), fabs((double)o->residual[1])));
        if (torque != NULL) {
            *torque = fmax(*torque, fmax(fabs(a->tau[0]), fabs(a->tau[1])));
        }
    }
    return most;
}

static void motion_alone_is_not_felt(void) {
    arm a = {0}, b = {.deaf = true};
    fw_observer o = start(&a), p = start(&b);
    double torque = 0;
    (void)watch(&a, &o, 100, NULL); /* from the servo's first jerk on */
    (void)watch(&b, &p, 100, NULL);
    const double most = watch(&a, &o, 2000, &torque), deaf = watch(&b, &p, 2000, NULL);
    printf("# motors give up to %.1f Nm: residual %.3f Nm, %.3f Nm without what depends on velocity\n", torque, most,
           deaf);
    CHECK(torque > 30 && most < 0.01 * torque);
    CHECK(deaf > 10 * most);
}

/* Constant torque from outside: its size, its sign, its axis; 63 % of it after one time constant, within a cycle. */
static void a_push_is_measured(void) {
    arm a = {0};
    fw_observer o = start(&a);
    (void)watch(&a, &o, 200, NULL);
    a.push[0] = 3, a.push[1] = -2;
    int cycles = 0;
    for (; cycles < 100 && (double)o.residual[0] < 3 * 0.632; cycles++) {
        (void)watch(&a, &o, 1, NULL);
    }
    CHECK(cycles * CYCLE >= TAU - CYCLE && cycles * CYCLE <= TAU + CYCLE);
    (void)watch(&a, &o, 30, NULL);
    CHECK(fabs((double)o.residual[0] - 3) < 0.15 && fabs((double)o.residual[1] + 2) < 0.15);
    a.push[0] = a.push[1] = 0;
    (void)watch(&a, &o, 40, NULL);
    CHECK(fabs((double)o.residual[0]) < 0.15 && fabs((double)o.residual[1]) < 0.15);
}

static void friction_is_felt_unless_it_is_told(void) {
    for (int told = 0; told < 2; told++) {
        arm a = {.viscous = 0.5, .dry = 1.5};
        fw_observer o = start(&a);
        for (int i = 0; i < 2 && told; i++) {
            o.o.viscous[i] = 0.5, o.o.dry[i] = 1.5;
        }
        (void)watch(&a, &o, 100, NULL);
        const double most = watch(&a, &o, 2000, NULL);
        CHECK(told ? most < 0.5 : most > 2);
    }
}

static void currents_count_by_their_constant(void) {
    fw_driver_info d = info(FW_DRIVER_EFFORT_AMPERE);
    arm a = {.per_a = 2.5};
    fw_observer o = start(&a);
    fw_observer_opts oo = o.o;
    fw_err err;
    CHECK(fw_observer_init(&o, &d, &oo, &err) == FW_INVALID && strstr(err.msg, "rods tells no torque") != NULL);
    oo.nm_per_a[0] = 2.5;
    CHECK(fw_observer_init(&o, &d, &oo, &err) == FW_OK);
    (void)watch(&a, &o, 200, NULL);
    a.push[0] = 3, a.push[1] = -2;
    (void)watch(&a, &o, 40, NULL);
    CHECK(fabs((double)o.residual[0] - 3) < 0.2 && o.residual[1] == 0); /* of which nothing is known */
}

/* What is missing is not filled in: the residual stays, and goes on with the next two measurements. */
static void gaps_neither_raise_nor_forget(void) {
    arm a = {0};
    fw_observer o = start(&a);
    a.push[0] = 3;
    (void)watch(&a, &o, 100, NULL);
    const float before = o.residual[0];
    run(&a, 0.3);
    fw_driver_state s = measured(&a);
    fw_observer_step(&o, &s);
    CHECK(o.residual[0] == before); /* far apart: anew */
    fw_observer_step(&o, &s);
    CHECK(o.residual[0] == before); /* the same measurement */
    run(&a, CYCLE);
    s = measured(&a);
    s.axis[1].valid = false;
    fw_observer_step(&o, &s);
    s.axis[1].valid = true;
    s.axis[1].velocity = NAN;
    fw_observer_step(&o, &s);
    CHECK(o.residual[0] == before);
    CHECK(watch(&a, &o, 100, NULL) < 3.2 && fabs((double)o.residual[0] - 3) < 0.15);
    a.broken = true;
    (void)watch(&a, &o, 1, NULL);
    CHECK(isnan(o.residual[0])); /* safety refuses it */
    a.broken = false;
    (void)watch(&a, &o, 10, NULL);
    CHECK(isnan(o.residual[0]));
}

static void what_cannot_be_observed_is_refused(void) {
    arm a = {0};
    fw_observer o = start(&a);
    fw_observer_opts oo = o.o;
    fw_driver_info d = info(FW_DRIVER_EFFORT_NM);
    fw_err err;
    d.axis[1].has_velocity = false;
    CHECK(fw_observer_init(&o, &d, &oo, &err) == FW_INVALID && strstr(err.msg, "velocity sensor") != NULL);
    d = info(FW_DRIVER_EFFORT_NONE);
    CHECK(fw_observer_init(&o, &d, &oo, &err) == FW_INVALID && strstr(err.msg, "tells no torque") != NULL);
    d = info(FW_DRIVER_EFFORT_NM);
    oo.dry[1] = (double)NAN;
    CHECK(fw_observer_init(&o, &d, &oo, &err) == FW_INVALID && strstr(err.msg, "friction") != NULL);
    oo.dry[1] = 0;
    oo.time_s = 0;
    CHECK(fw_observer_init(&o, &d, &oo, &err) == FW_INVALID);
    oo.time_s = TAU;
    oo.dynamics = NULL;
    CHECK(fw_observer_init(&o, &d, &oo, &err) == FW_INVALID && strstr(err.msg, "no model") != NULL);
}

static void a_step_allocates_nothing(void) {
    arm a = {0};
    fw_observer o = start(&a);
    double most = 0;
    CHECK_NO_ALLOC(most = watch(&a, &o, 100, NULL));
    CHECK(most > 0);
}

FW_TEST_MAIN(T(motion_alone_is_not_felt), T(a_push_is_measured), T(friction_is_felt_unless_it_is_told),
             T(currents_count_by_their_constant), T(gaps_neither_raise_nor_forget),
             T(what_cannot_be_observed_is_refused), T(a_step_allocates_nothing))
