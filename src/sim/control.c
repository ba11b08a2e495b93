/*
 * control.c - from "move the hand a little" to seven joint servos.
 *
 * DESIGN. An action's deltas are added to a *commanded* pose, which is first pulled to within 3 cm / 0.3 rad of the measured
 * one: a blocked hand does not wind up. Damped least squares finds joints for that pose with the hand pointing down, warm
 * from the last command, the free elbow drawn to its home. The joint targets run straight to the new command over the
 * control step; the servo's own lag is cancelled by feed-forward, so that measured and commanded agree at the step's end.
 */
#include <math.h>
#include <string.h>

#include "sim/sim_int.h"

#define LEAD_POS_M   0.03
#define LEAD_YAW_RAD 0.3

const double sim_arm_home[N_ARM] = {0, 0.05, 0, -2.35, 0, 2.4, 0.785};

static double clamp(double x, double lo, double hi) {
    return x < lo ? lo : x > hi ? hi : x;
}

void sim_tcp(const fw_sim *s, const mjData *d, double pos[3], double *yaw) {
    mju_copy3(pos, d->site_xpos + 3 * s->tcp);
    const double *mat = d->site_xmat + 9 * s->tcp;
    *yaw = atan2(mat[3], mat[0]); /* of the hand's x axis; the fingers open along its y axis */
}

/* Position and rotation (world) from the hand of d to the wanted pose. */
static void pose_error(const fw_sim *s, const mjData *d, const double pos[3], double yaw, double e[6]) {
    double c = cos(yaw), sn = sin(yaw), want[9] = {c, sn, 0, sn, -c, 0, 0, 0, -1}, q_want[4], q_now[4], local[3];
    mju_sub3(e, pos, d->site_xpos + 3 * s->tcp);
    mju_mat2Quat(q_want, want);
    mju_mat2Quat(q_now, d->site_xmat + 9 * s->tcp);
    mju_subQuat(local, q_want, q_now);
    mju_mulMatVec3(e + 3, d->site_xmat + 9 * s->tcp, local);
}

/* One damped step with the posture in the null space: dq = J'(JJ' + l I)^-1 (e - J h) + h, h = 0.05 (home - q). */
static void ik_step(fw_sim *s, mjData *d, const double e[6]) {
    enum { NV_MAX = 64 };
    const mjModel *m = s->m;
    double jac[6 * NV_MAX], j[6][N_ARM], a[36], rhs[6], y[6], home[N_ARM];
    mj_jacSite(m, d, jac, jac + 3 * m->nv, s->tcp);
    for (int k = 0; k < N_ARM; k++) {
        double bias = k == 6 ? 0 : 0.05 * (sim_arm_home[k] - d->qpos[s->arm_q[k]]);
        home[k] = k == 0 ? 0 : bias;
        for (int r = 0; r < 6; r++) {
            j[r][k] = jac[r * m->nv + s->arm_v[k]];
        }
    }
    for (int r = 0; r < 6; r++) {
        rhs[r] = e[r] - mju_dot(j[r], home, N_ARM);
        for (int c = 0; c < 6; c++) {
            a[6 * r + c] = mju_dot(j[r], j[c], N_ARM) + (r == c ? 1e-4 : 0);
        }
    }
    mju_cholFactor(a, 6, 1e-12);
    mju_cholSolve(y, a, rhs, 6);
    for (int k = 0; k < N_ARM; k++) {
        double dq = home[k];
        for (int r = 0; r < 6; r++) {
            dq += j[r][k] * y[r];
        }
        const double *range = m->jnt_range + 2 * m->dof_jntid[s->arm_v[k]];
        double *q = d->qpos + s->arm_q[k];
        *q = clamp(*q + clamp(dq, -0.3, 0.3), range[0] + 0.02, range[1] - 0.02);
    }
}

double sim_ik(fw_sim *s, const double pos[3], double yaw, const double q0[N_ARM], double q[N_ARM]) {
    mjData *d = s->ik;
    double e[6], left = 0;
    mju_copy(d->qpos, s->d->qpos, (int)s->m->nq);
    for (int k = 0; k < N_ARM; k++) {
        d->qpos[s->arm_q[k]] = q0[k];
    }
    for (int it = 0; it < 24; it++) {
        mj_kinematics(s->m, d);
        mj_comPos(s->m, d);
        pose_error(s, d, pos, yaw, e);
        left = mju_norm3(e) + 0.1 * mju_norm3(e + 3);
        if (left < 2e-4) {
            break;
        }
        ik_step(s, d, e);
    }
    for (int k = 0; k < N_ARM; k++) {
        q[k] = d->qpos[s->arm_q[k]];
    }
    return left;
}

void sim_control_begin(fw_sim *s, const double pos[3], double yaw, double grip) {
    mju_copy3(s->pos_cmd, pos);
    s->yaw_cmd = yaw;
    s->grip_cmd = grip;
}

void sim_control_target(fw_sim *s, const double a[5], double q_next[N_ARM]) {
    static const double lo[3] = {0.2, -0.5, -0.07}, hi[3] = {0.8, 0.5, 0.45};
    double pos[3], yaw;
    sim_tcp(s, s->d, pos, &yaw);
    for (int i = 0; i < 3; i++) {
        double base = clamp(s->pos_cmd[i], pos[i] - LEAD_POS_M, pos[i] + LEAD_POS_M);
        s->pos_cmd[i] = clamp(base + clamp(a[i], -0.05, 0.05), lo[i], hi[i]);
    }
    double base = clamp(s->yaw_cmd, yaw - LEAD_YAW_RAD, yaw + LEAD_YAW_RAD);
    s->yaw_cmd = clamp(base + clamp(a[3], -0.3, 0.3), -2.0, 2.0);
    s->grip_cmd = clamp(a[4], 0, 1);
    sim_ik(s, s->pos_cmd, s->yaw_cmd, s->q_cmd, q_next);
}

/* Targets at fraction u in (0, 1] of the control step. Below a fifth the gripper asks for more than closed, so that thin things
 * are pushed with the servo's limit too. */
void sim_control_apply(fw_sim *s, const double q_next[N_ARM], double u) {
    for (int k = 0; k < N_ARM; k++) {
        double step = clamp(q_next[k] - s->q_cmd[k], -0.3, 0.3);
        s->d->ctrl[s->arm_u[k]] = s->q_cmd[k] + u * step + ARM_KV_PER_KP * step / CONTROL_DT_S;
    }
    s->d->ctrl[s->grip_u] = 0.5 * FW_FINGER_MAX_M * s->grip_cmd - 0.03 * clamp(1 - s->grip_cmd / 0.2, 0, 1);
}
