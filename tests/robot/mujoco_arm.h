/*
 * mujoco_arm.h - a robot of an embodiment file in MuJoCo, without a room, as a driver: for tests of control with real dynamics.
 * One at a time. Physics runs up to the test's clock in read. Efforts are what motors give, weight included. The test may push a body, hang
 * a weight on the hand, and look at everything.
 */
#ifndef FW_TESTS_ROBOT_MUJOCO_ARM_H
#define FW_TESTS_ROBOT_MUJOCO_ARM_H

#include "base/file.h"
#include "fw_test.h"
#include "robot/control.h"
#include "robot/limits.h"
#include "sim/body.h"
#include "sim/robot.h"

#define PHYSICS_S 0.001

typedef struct mujoco_arm {
    mjModel *m;
    mjData *d;
    fw_body *b; /* what the observer knows of it */
    fw_safety_limits limits;
    fw_limits_names names;
    int n, q[FW_DRIVER_AXIS_MAX], v[FW_DRIVER_AXIS_MAX], u[FW_DRIVER_AXIS_MAX];
    double lag_s[FW_DRIVER_AXIS_MAX]; /* of the servos; cancelled */
    double from[FW_DRIVER_AXIS_MAX], to[FW_DRIVER_AXIS_MAX], force[FW_DRIVER_AXIS_MAX];
    bool torque, released;
    int64_t t_ns, written_ns;
    const fw_clock *clock;
    fw_observer_opts observer;
    double noise_v; /* rad/s of the velocity sensor, rms */
    unsigned dice;
} mujoco_arm;
static mujoco_arm g_arm;

/* name: an embodiment. weight_kg hangs in the middle of the hand, rigidly. */
static inline void arm_make(const char *name, double weight_kg) {
    mujoco_arm *a = &g_arm;
    fw_robot *r;
    fw_err err;
    *a = (mujoco_arm){.observer = FW_OBSERVER_OPTS_DEFAULT};
    if (fw_limits_load(fw_home(), name, &a->limits, &a->names, &err) != FW_OK ||
        robot_load(fw_home(), name, &r, &err) != FW_OK || fw_body_open(fw_home(), name, &a->b, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    mjSpec *s = mj_makeSpec();
    s->option.timestep = PHYSICS_S;
    s->option.integrator = mjINT_IMPLICITFAST;
    CHECK(robot_attach(r, s, &err) == FW_OK);
    if (weight_kg > 0) {
        mjsSite *hand = mjs_asSite(mjs_findElement(s, mjOBJ_SITE, "tcp0"));
        CHECK(hand != NULL);
        mjsBody *w = mjs_addBody(mjs_getParent(hand->element), NULL);
        mju_copy3(w->pos, hand->pos);
        w->explicitinertial = 1;
        w->mass = weight_kg;
        w->inertia[0] = w->inertia[1] = w->inertia[2] = 0.4 * weight_kg * 0.03 * 0.03;
    }
    a->m = mj_compile(s, NULL);
    CHECK(a->m != NULL);
    a->d = mj_makeData(a->m);
    mj_deleteSpec(s);
    robot_free(r);
}

static inline void arm_open(const char *name, double weight_kg, const fw_clock *clock) {
    mujoco_arm *a = &g_arm;
    float home[FW_DRIVER_AXIS_MAX];
    arm_make(name, weight_kg);
    a->clock = clock;
    a->n = (int)a->limits.n_axis;
    CHECK_INT(fw_body_n_axis(a->b), a->n);
    fw_body_home(a->b, home);
    for (int i = 0; i < a->n; i++) {
        const fw_body_axis *x = fw_body_axis_of(a->b, i);
        const int j = mj_name2id(a->m, mjOBJ_JOINT, a->names.axis[i]);
        a->u[i] = mj_name2id(a->m, mjOBJ_ACTUATOR, a->names.axis[i]);
        CHECK(j >= 0 && a->u[i] >= 0);
        a->q[i] = a->m->jnt_qposadr[j], a->v[i] = a->m->jnt_dofadr[j];
        a->d->qpos[a->q[i]] = a->from[i] = a->to[i] = (double)home[i];
        a->lag_s[i] = a->m->actuator_biasprm[mjNBIAS * a->u[i] + 2] / a->m->actuator_biasprm[mjNBIAS * a->u[i] + 1];
        a->force[i] = (double)a->limits.axis[i].torque;
        a->observer.viscous[i] = x->damping, a->observer.dry[i] = x->stick;
    }
    for (int e = 0; e < (int)a->m->neq; e++) { /* fingers that follow */
        const double *c = a->m->eq_data + mjNEQDATA * e;
        a->d->qpos[a->m->jnt_qposadr[a->m->eq_obj1id[e]]] =
            c[0] + c[1] * a->d->qpos[a->m->jnt_qposadr[a->m->eq_obj2id[e]]];
    }
    a->observer.dynamics = fw_body_model, a->observer.ctx = a->b;
}

static inline void arm_close(void) {
    fw_body_close(g_arm.b);
    mj_deleteData(g_arm.d);
    mj_deleteModel(g_arm.m);
}

static inline fw_status arm_dev_open(const char *config, fw_driver_dev **out, fw_err *err) {
    (void)config, (void)err;
    *out = (fw_driver_dev *)&g_arm;
    return FW_OK;
}

static inline void arm_dev_describe(const fw_driver_dev *d, fw_driver_info *out) {
    (void)d;
    *out = (fw_driver_info){.name = "mujoco",
                            .where = "memory",
                            .n_axis = g_arm.n,
                            .read_bound_us = 5000,
                            .write_bound_us = 100,
                            .rate_hz = 1000};
    for (int i = 0; i < g_arm.n; i++) {
        const fw_safety_axis *a = &g_arm.limits.axis[i];
        out->axis[i] = (fw_driver_axis){.min = a->position_min - 0.1f,
                                        .max = a->position_max + 0.1f,
                                        .has_velocity = true,
                                        .effort = FW_DRIVER_EFFORT_NM};
        snprintf(out->axis[i].name, FW_NAME_MAX, "%s", g_arm.names.axis[i]);
    }
}

static inline fw_status arm_dev_start(fw_driver_dev *d, fw_err *err) {
    (void)d, (void)err;
    return FW_OK;
}

/* Targets run straight from one command to the next over a cycle, servo lag cancelled. */
static inline void arm_physics(mujoco_arm *a, int64_t now) {
    const double cycle = 1e-6 * a->limits.period_us;
    for (; a->t_ns + (int64_t)(1e9 * PHYSICS_S) <= now; a->t_ns += (int64_t)(1e9 * PHYSICS_S)) {
        const double u = fmin(1, 1e-9 * (double)(a->t_ns - a->written_ns) / cycle + PHYSICS_S / cycle);
        for (int i = 0; i < a->n; i++) {
            const double step = a->to[i] - a->from[i], most = a->torque ? a->force[i] : 0;
            a->d->ctrl[a->u[i]] = a->from[i] + u * step + a->lag_s[i] * step / cycle;
            a->m->actuator_forcelimited[a->u[i]] = 1;
            a->m->actuator_forcerange[2 * a->u[i]] = -most, a->m->actuator_forcerange[2 * a->u[i] + 1] = most;
        }
        mj_step(a->m, a->d);
    }
}

static inline double arm_dice(mujoco_arm *a) { /* about normal, 1 rms */
    double x = -6;
    for (int i = 0; i < 12; i++) {
        a->dice = a->dice * 1664525u + 1013904223u;
        x += (a->dice >> 8) / 16777216.0;
    }
    return x;
}

static inline fw_status arm_dev_read(fw_driver_dev *dev, fw_driver_state *out, fw_err *err) {
    (void)dev, (void)err;
    mujoco_arm *a = &g_arm;
    const int64_t now = a->clock->now_ns(a->clock->self);
    a->t_ns = a->t_ns == 0 ? now : a->t_ns;
    arm_physics(a, now);
    memset(out, 0, sizeof *out);
    out->n_axis = a->n;
    for (int i = 0; i < a->n; i++) {
        const int v = a->v[i];
        out->axis[i] = (fw_driver_sample){
            .valid = true,
            .t_ns = a->t_ns,
            .position = (float)a->d->qpos[a->q[i]],
            .velocity = (float)(a->d->qvel[v] + a->noise_v * (a->noise_v > 0 ? arm_dice(a) : 0)),
            .effort = (float)(a->d->qfrc_actuator[v] + a->d->qfrc_gravcomp[v]),
        };
    }
    return FW_OK;
}

static inline fw_status arm_dev_write(fw_driver_dev *dev, const fw_driver_command *cmd, fw_err *err) {
    (void)dev, (void)err;
    mujoco_arm *a = &g_arm;
    for (int i = 0; i < a->n && cmd->torque_on; i++) {
        a->from[i] = a->torque ? a->to[i] : (double)cmd->position[i];
        a->to[i] = (double)cmd->position[i];
        a->force[i] = (double)cmd->effort_max[i];
    }
    a->written_ns = a->t_ns;
    a->torque = cmd->torque_on;
    return FW_OK;
}

static inline fw_status arm_dev_frame(fw_driver_dev *d, int i, fw_driver_frame *out, fw_err *err) {
    (void)d, (void)i, (void)out;
    return fw_fail(err, FW_AGAIN, "mujoco: no camera");
}

static inline void arm_dev_stop(fw_driver_dev *d) {
    (void)d;
    g_arm.torque = false;
}

static const fw_driver_api arm_api = {FW_DRIVER_ABI, sizeof(fw_driver_api), "mujoco",      "",
                                      arm_dev_open,  arm_dev_describe,      arm_dev_start, arm_dev_read,
                                      arm_dev_write, arm_dev_frame,         arm_dev_stop,  arm_dev_stop};

#endif /* FW_TESTS_ROBOT_MUJOCO_ARM_H */
