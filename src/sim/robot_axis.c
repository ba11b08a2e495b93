/* robot_axis.c - the robot's motors one by one: measured, and commanded joint by joint instead of by the hand's steps. */
#include <math.h>

#include "sim/robot_int.h"

int robot_n_axis(const fw_robot *r) {
    int n = r->n_arm;
    for (int i = 0; i < r->n_arm; i++) {
        n += r->arm[i].n;
    }
    return n;
}

robot_axis robot_axis_at(const fw_robot *r, int axis) {
    for (int i = 0; i < r->n_arm; i++) {
        if (axis < r->arm[i].n) {
            return (robot_axis){i, axis};
        }
        axis -= r->arm[i].n;
    }
    return (robot_axis){axis, -1};
}

static int motor(const fw_robot *r, robot_axis x) {
    return x.k >= 0 ? r->arm[x.arm].u[x.k] : r->arm[x.arm].grip_u;
}

int robot_axis_body(const fw_robot *r, const mjModel *m, int axis) {
    return m->jnt_bodyid[m->actuator_trnid[2 * motor(r, robot_axis_at(r, axis))]];
}

/* The fingers' mean, as the first one's joint has it; no further than its stops, which give by some mm under its force. */
static void measure_grip(const robot_arm *a, const mjData *d, fw_sim_axis *out) {
    const robot_grip *g = &a->grip;
    const double way = g->open[0] - g->closed[0];
    double f = 0, rate = 0;
    for (int k = 0; k < g->n_joint; k++) {
        f += (d->qpos[a->grip_q[k]] - g->closed[k]) / (g->open[k] - g->closed[k]) / g->n_joint;
        rate += d->qvel[a->grip_v[k]] / (g->open[k] - g->closed[k]) / g->n_joint;
    }
    out->position = g->closed[0] + robot_clamp(f, 0, 1) * way;
    out->velocity = rate * way;
}

void robot_axes(const fw_robot *r, const mjData *d, fw_sim_axis *out) {
    for (int i = 0; i < robot_n_axis(r); i++) {
        const robot_axis x = robot_axis_at(r, i);
        const robot_arm *a = &r->arm[x.arm];
        if (x.k >= 0) {
            out[i] = (fw_sim_axis){
                .position = d->qpos[a->q[x.k]], .velocity = d->qvel[a->v[x.k]], .weight = d->qfrc_gravcomp[a->v[x.k]]};
        } else {
            out[i] = (fw_sim_axis){0};
            measure_grip(a, d, &out[i]);
        }
        out[i].effort = d->actuator_force[motor(r, x)];
    }
}

void robot_engage(const fw_robot *r, mjModel *m, const mjModel *m0) {
    m->opt.disableactuator = m0->opt.disableactuator;
    for (int i = 0; i < robot_n_axis(r); i++) {
        const int u = motor(r, robot_axis_at(r, i));
        m->actuator_forcelimited[u] = m0->actuator_forcelimited[u];
        mju_copy(m->actuator_forcerange + 2 * u, m0->actuator_forcerange + 2 * u, 2);
        m->actuator_biasprm[mjNBIAS * u + 2] = m0->actuator_biasprm[mjNBIAS * u + 2];
    }
    for (int i = 0; i < r->n_arm; i++) {
        for (int k = 0; k < r->arm[i].grip.n_joint; k++) {
            m->dof_damping[r->arm[i].grip_v[k]] = m0->dof_damping[r->arm[i].grip_v[k]];
        }
    }
}

/* most: of motor and weight together. */
static void limit_torque(mjModel *m, const mjModel *m0, int u, double most, double weight) {
    const double *own = m0->actuator_forcerange + 2 * u;
    const bool limited = m0->actuator_forcelimited[u];
    m->actuator_forcelimited[u] = limited || isfinite(most);
    if (m->actuator_forcelimited[u]) {
        m->actuator_forcerange[2 * u] = limited ? fmax(-most - weight, own[0]) : -most - weight;
        m->actuator_forcerange[2 * u + 1] = limited ? fmin(most - weight, own[1]) : most - weight;
    }
}

/* A gripper's own controller keeps its speed: at its full force, without a thing between the fingers, it is as fast as that. All its joints are
 * braked, as by gears: one that loses what it held must not snap. */
static void drive_grip(const robot_arm *a, mjModel *m, mjData *d, double opening, double velocity, double most) {
    const robot_grip *g = &a->grip;
    const int u = a->grip_u;
    const double kp = m->actuator_gainprm[mjNGAIN * u], at = d->qpos[a->grip_q[0]];
    d->ctrl[u] = robot_grip_ctrl(a, opening);
    most = fmin(most, g->force);
    if (g->speed <= 0 || most <= 0) {
        return;
    }
    const double brake = most / g->speed, ahead = most / kp;
    m->actuator_biasprm[mjNBIAS * u + 2] = -brake / g->n_joint;
    for (int k = 1; k < g->n_joint; k++) {
        const double ratio = (g->open[k] - g->closed[k]) / (g->open[0] - g->closed[0]);
        m->dof_damping[a->grip_v[k]] = g->damping + brake / g->n_joint / (ratio * ratio);
    }
    d->ctrl[u] = robot_clamp(d->ctrl[u] + brake / kp * velocity, at - ahead, at + ahead);
}

void robot_drive(fw_robot *r, mjModel *m, const mjModel *m0, mjData *d, const fw_sim_drive *drive) {
    m->opt.disableactuator = drive->limp ? ~0 : m0->opt.disableactuator;
    for (int i = 0; i < robot_n_axis(r); i++) {
        const robot_axis x = robot_axis_at(r, i);
        robot_arm *a = &r->arm[x.arm];
        if (x.k >= 0) {
            d->ctrl[a->u[x.k]] = drive->position[i] + a->lag_s * drive->velocity[i];
        } else {
            const double f = (drive->position[i] - a->grip.closed[0]) / (a->grip.open[0] - a->grip.closed[0]);
            r->mem.arm[x.arm].grip = robot_opening(a, f); /* what the scene calls its command */
            drive_grip(a, m, d, r->mem.arm[x.arm].grip, drive->velocity[i], drive->effort[i]);
        }
        const double weight = x.k >= 0 && !drive->limp ? d->qfrc_gravcomp[a->v[x.k]] : 0;
        limit_torque(m, m0, motor(r, x), drive->effort[i], weight);
    }
}
