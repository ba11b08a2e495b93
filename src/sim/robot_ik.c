/*
 * robot_ik.c - joints for a hand's pose: damped least squares, the free joints drawn to the arm's home posture.
 *
 * The hand's z axis points down and its x axis along yaw. An arm with fewer than six joints cannot always point down: its file says
 * how much that counts (tilt), position and yaw stay exact.
 */
#include <math.h>

#include "sim/robot_int.h"

void robot_tcp(const fw_robot *r, int arm, const mjData *d, double pos[3], double *yaw) {
    int site = r->arm[arm].site;
    mju_copy3(pos, d->site_xpos + 3 * site);
    const double *mat = d->site_xmat + 9 * site;
    *yaw = atan2(mat[3], mat[0]); /* of the hand's x axis; the fingers open along its y axis */
}

/* Position and rotation (world) from the hand of d to the wanted pose. */
static void pose_error(const robot_arm *a, const mjData *d, const double pos[3], double yaw, double e[6]) {
    double c = cos(yaw), sn = sin(yaw), want[9] = {c, sn, 0, sn, -c, 0, 0, 0, -1}, q_want[4], q_now[4], local[3];
    mju_sub3(e, pos, d->site_xpos + 3 * a->site);
    mju_mat2Quat(q_want, want);
    mju_mat2Quat(q_now, d->site_xmat + 9 * a->site);
    mju_subQuat(local, q_want, q_now);
    mju_mulMatVec3(e + 3, d->site_xmat + 9 * a->site, local);
}

/* Damped least squares with the posture in the null space: dq = J'(JJ' + l I)^-1 (e - J h) + h. */
static void solve(int n, double j[6][ROBOT_DOF_MAX], const double e[6], const double *h, double *dq) {
    double mat[36], rhs[6], y[6];
    for (int i = 0; i < 6; i++) {
        rhs[i] = e[i] - mju_dot(j[i], h, n);
        for (int c = 0; c < 6; c++) {
            mat[6 * i + c] = mju_dot(j[i], j[c], n) + (i == c ? 1e-4 : 0);
        }
    }
    mju_cholFactor(mat, 6, 1e-12);
    mju_cholSolve(y, mat, rhs, 6);
    for (int k = 0; k < n; k++) {
        dq[k] = h[k];
        for (int i = 0; i < 6; i++) {
            dq[k] += j[i][k] * y[i];
        }
    }
}

static void limits(const robot_arm *a, const mjModel *m, int k, double *lo, double *hi) {
    int joint = m->dof_jntid[a->v[k]];
    bool limited = m->jnt_limited[joint];
    *lo = limited ? m->jnt_range[2 * joint] + 0.02 : -mjMAXVAL;
    *hi = limited ? m->jnt_range[2 * joint + 1] - 0.02 : mjMAXVAL;
}

/* A joint at its limit that would leave it stands still, and the others do without it. Returns whether there was one. */
static bool hold_at_limits(const robot_arm *a, const mjModel *m, const mjData *d, const double *dq,
                           double j[6][ROBOT_DOF_MAX], double *h) {
    bool found = false;
    for (int k = 0; k < a->n; k++) {
        double q = d->qpos[a->q[k]], lo, hi;
        limits(a, m, k, &lo, &hi);
        if ((q <= lo && dq[k] < 0) || (q >= hi && dq[k] > 0)) {
            found = true;
            h[k] = 0;
            for (int i = 0; i < 6; i++) {
                j[i][k] = 0;
            }
        }
    }
    return found;
}

/* One step towards the error e, drawn to the posture: h = posture (home - q). */
static void ik_step(const fw_robot *r, const robot_arm *a, const mjModel *m, mjData *d, double e[6]) {
    double *jac = r->jac, j[6][ROBOT_DOF_MAX], h[ROBOT_DOF_MAX], dq[ROBOT_DOF_MAX];
    mj_jacSite(m, d, jac, jac + 3 * m->nv, a->site);
    for (int k = 0; k < a->n; k++) {
        h[k] = a->posture[k] * (a->home[k] - d->qpos[a->q[k]]);
        for (int i = 0; i < 6; i++) {
            j[i][k] = jac[i * m->nv + a->v[k]];
        }
    }
    if (a->tilt < 1) { /* turning about the world's x and y counts less */
        for (int i = 3; i < 5; i++) {
            e[i] *= a->tilt;
            for (int k = 0; k < a->n; k++) {
                j[i][k] *= a->tilt;
            }
        }
    }
    for (int tries = 0; tries <= a->n; tries++) {
        solve(a->n, j, e, h, dq);
        if (!hold_at_limits(a, m, d, dq, j, h)) {
            break;
        }
    }
    for (int k = 0; k < a->n; k++) {
        double *q = d->qpos + a->q[k], lo, hi;
        limits(a, m, k, &lo, &hi);
        *q = robot_clamp(*q + robot_clamp(dq[k], -0.3, 0.3), lo, hi);
    }
}

double robot_ik(const fw_robot *r, int arm, const mjModel *m, const mjData *d, mjData *ik, const double pos[3],
                double yaw, const double *q0, double *q) {
    const robot_arm *a = &r->arm[arm];
    double e[6], left = 0;
    mju_copy(ik->qpos, d->qpos, (int)m->nq);
    for (int k = 0; k < a->n; k++) {
        ik->qpos[a->q[k]] = q0[k];
    }
    for (int it = 0; it < 24; it++) {
        mj_kinematics(m, ik);
        mj_comPos(m, ik);
        pose_error(a, ik, pos, yaw, e);
        left = mju_norm3(e) + 0.1 * mju_norm3(e + 3);
        if (left < 2e-4 && it >= r->ik_least) {
            break;
        }
        ik_step(r, a, m, ik, e);
    }
    for (int k = 0; k < a->n; k++) {
        q[k] = ik->qpos[a->q[k]];
    }
    return left;
}
