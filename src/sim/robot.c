/* robot.c - load and bind a robot, and its controller: from "move the hand a little" to joint servos. DESIGN: robot.h */
#include "sim/robot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "sim/robot_int.h"

#define LEAD_POS_M   0.03 /* how far the commanded pose may be ahead of the measured one */
#define LEAD_YAW_RAD 0.3
#define STEP_RAD     0.3 /* most that a joint is told to move in one control step */

fw_status robot_load(const char *home_dir, const char *embodiment, fw_robot **out, fw_err *err) {
    char path[1024], file[FW_NAME_MAX + 32];
    if (strlen(embodiment) >= FW_NAME_MAX || strchr(embodiment, '/') != NULL) {
        return fw_fail(err, FW_INVALID, "'%.80s' is not a name of an embodiment", embodiment);
    }
    snprintf(file, sizeof file, "embodiments/%s.json", embodiment);
    FW_TRY(fw_path_join(path, sizeof path, home_dir, file, err));
    fw_robot *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return fw_fail(err, FW_NOMEM, "robot");
    }
    fw_status st = robot_read(r, path, err);
    if (st == FW_OK) {
        st = robot_build(r, home_dir, err);
        st = st == FW_OK ? st : fw_fail_in(err, st, "%s", embodiment);
    }
    if (st != FW_OK) {
        robot_free(r);
        return st;
    }
    *out = r;
    return FW_OK;
}

void robot_free(fw_robot *r) {
    if (r != NULL) {
        mj_deleteSpec(r->spec);
        free(r->part);
        free(r->jac);
        free(r);
    }
}

const fw_embodiment *robot_embodiment(const fw_robot *r) {
    return &r->emb;
}
const fw_reach *robot_reach(const fw_robot *r) {
    return &r->reach;
}
int robot_n_arm(const fw_robot *r) {
    return r->n_arm;
}
void robot_home(const fw_robot *r, int arm, fw_arm_start *out) {
    *out = r->arm[arm].start;
}

/* --- ids */
static fw_status find(const mjModel *m, mjtObj kind, const char *what, const char *name, int *id, fw_err *err) {
    *id = mj_name2id(m, kind, name);
    return *id >= 0 ? FW_OK : fw_fail(err, FW_FORMAT, "the compiled model lacks the robot's %s \"%s\"", what, name);
}

static fw_status bind_joint(const mjModel *m, const char *name, int *q, int *v, int *u, fw_err *err) {
    int j;
    FW_TRY(find(m, mjOBJ_JOINT, "joint", name, &j, err));
    *q = m->jnt_qposadr[j];
    if (v != NULL) {
        *v = m->jnt_dofadr[j];
    }
    return u == NULL ? FW_OK : find(m, mjOBJ_ACTUATOR, "motor", name, u, err);
}

static bool below(const mjModel *m, int body, int top) {
    while (body > 0 && body != top) {
        body = m->body_parentid[body];
    }
    return body == top;
}

/* Later calls win: the whole arm first, then its hand, then the fingers. */
static fw_status mark(fw_robot *r, const mjModel *m, const char *name, int part, fw_err *err) {
    int top;
    FW_TRY(find(m, mjOBJ_BODY, "body", name, &top, err));
    for (int b = 0; b < m->nbody; b++) {
        r->part[b] = below(m, b, top) ? (int8_t)part : r->part[b];
    }
    return FW_OK;
}

static fw_status bind_arm(fw_robot *r, int i, const mjModel *m, fw_err *err) {
    robot_arm *a = &r->arm[i];
    char name[16];
    for (int k = 0; k < a->n; k++) {
        FW_TRY(bind_joint(m, a->joint[k], &a->q[k], &a->v[k], &a->u[k], err));
    }
    for (int k = 0; k < a->grip.n_joint; k++) {
        FW_TRY(bind_joint(m, a->grip.joint[k], &a->grip_q[k], &a->grip_v[k], k == 0 ? &a->grip_u : NULL, err));
    }
    snprintf(name, sizeof name, "tcp%d", i);
    FW_TRY(find(m, mjOBJ_SITE, "site", name, &a->site, err));
    const char *first = mj_id2name(m, mjOBJ_BODY, m->jnt_bodyid[m->dof_jntid[a->v[0]]]);
    FW_TRY(mark(r, m, first, i * ROBOT_PARTS + ROBOT_REST, err));
    FW_TRY(mark(r, m, a->hand, i * ROBOT_PARTS + ROBOT_HAND, err));
    FW_TRY(mark(r, m, a->finger[0], i * ROBOT_PARTS + ROBOT_FINGER1, err));
    return mark(r, m, a->finger[1], i * ROBOT_PARTS + ROBOT_FINGER2, err);
}

fw_status robot_bind(fw_robot *r, const mjModel *m, fw_err *err) {
    free(r->part);
    free(r->jac);
    r->nbody = (int)m->nbody;
    r->part = malloc((size_t)m->nbody);
    r->jac = malloc(6 * (size_t)m->nv * sizeof *r->jac);
    if (r->part == NULL || r->jac == NULL) {
        return fw_fail(err, FW_NOMEM, "robot");
    }
    memset(r->part, -1, (size_t)m->nbody);
    FW_TRY(mark(r, m, "robot", ROBOT_REST, err));
    for (int k = 0; k < r->base.n; k++) {
        FW_TRY(bind_joint(m, r->base.joint[k], &r->base.q[k], &r->base.v[k], &r->base.u[k], err));
    }
    for (int i = 0; i < r->n_arm; i++) {
        FW_TRY(bind_arm(r, i, m, err));
    }
    return FW_OK;
}

int robot_part(const fw_robot *r, const mjModel *m, int body) {
    return body >= 0 && body < (int)m->nbody && body < r->nbody ? r->part[body] : -1;
}

/* --- the gripper: opening is the pads' distance, 0..1; f the fraction of the joints' travel */
double robot_opening(const robot_arm *a, double f) {
    double at = robot_clamp(f, 0, 1) * (ROBOT_GAP_N - 1);
    int i = at >= ROBOT_GAP_N - 1 ? ROBOT_GAP_N - 2 : (int)at;
    return a->gap[i] + (at - i) * (a->gap[i + 1] - a->gap[i]);
}

double robot_travel(const robot_arm *a, double opening) {
    int i = 0;
    while (i < ROBOT_GAP_N - 2 && a->gap[i + 1] < opening) {
        i++;
    }
    return (i + (opening - a->gap[i]) / (a->gap[i + 1] - a->gap[i])) / (ROBOT_GAP_N - 1);
}

static double measured_opening(const robot_arm *a, const mjData *d) {
    double f = 0;
    for (int k = 0; k < a->grip.n_joint; k++) {
        f += (d->qpos[a->grip_q[k]] - a->grip.closed[k]) / (a->grip.open[k] - a->grip.closed[k]);
    }
    return robot_opening(a, f / a->grip.n_joint);
}

/* --- a mobile robot's base: the commanded pose lives in its frame */
static void base_pose(const fw_robot *r, const mjData *d, double at[3]) {
    for (int k = 0; k < 3; k++) {
        at[k] = k < r->base.n ? d->qpos[r->base.q[k]] : 0;
    }
}

static void to_base(const fw_robot *r, const mjData *d, double pos[3], double *yaw) {
    if (r->base.n > 0) {
        double at[3];
        base_pose(r, d, at);
        double x = pos[0] - at[0], y = pos[1] - at[1], c = cos(at[2]), s = sin(at[2]);
        pos[0] = c * x + s * y, pos[1] = c * y - s * x;
        *yaw = remainder(*yaw - at[2], 2 * mjPI);
    }
}

static void from_base(const fw_robot *r, const mjData *d, double pos[3], double *yaw) {
    if (r->base.n > 0) {
        double at[3];
        base_pose(r, d, at);
        double x = pos[0], y = pos[1], c = cos(at[2]), s = sin(at[2]);
        pos[0] = at[0] + c * x - s * y, pos[1] = at[1] + s * x + c * y;
        *yaw += at[2];
    }
}

/* --- control */
void robot_draw_base(const fw_robot *r, fw_rng *layout, double base[3]) {
    for (int k = 0; k < 3; k++) {
        base[k] = k < r->base.n ? fw_rng_uniform(layout, r->base.start_lo[k], r->base.start_hi[k]) : 0;
    }
}

void robot_start(fw_robot *r, const mjModel *m, mjData *d, mjData *ik, const double base[3],
                 const fw_arm_start *start) {
    memset(&r->mem, 0, sizeof r->mem);
    for (int k = 0; k < r->base.n; k++) {
        d->qpos[r->base.q[k]] = r->mem.base_cmd[k] = r->mem.base_next[k] = base != NULL ? base[k] : 0;
    }
    for (int i = 0; i < r->n_arm; i++) {
        robot_arm *a = &r->arm[i];
        robot_arm_memory *mem = &r->mem.arm[i];
        mju_copy3(mem->pos, start[i].pos);
        mem->yaw = start[i].yaw;
        mem->grip = start[i].opening;
        double pos[3], yaw = mem->yaw;
        mju_copy3(pos, mem->pos);
        from_base(r, d, pos, &yaw);
        robot_ik(r, i, m, d, ik, pos, yaw, a->home, mem->q_cmd);
        memcpy(mem->q_next, mem->q_cmd, sizeof mem->q_cmd);
        for (int k = 0; k < a->n; k++) {
            d->qpos[a->q[k]] = mem->q_cmd[k];
            d->qvel[a->v[k]] = 0;
        }
        double f = robot_travel(a, mem->grip);
        for (int k = 0; k < a->grip.n_joint; k++) {
            d->qpos[a->grip_q[k]] = a->grip.closed[k] + f * (a->grip.open[k] - a->grip.closed[k]);
        }
    }
    robot_apply(r, m, d, 1);
}

typedef struct arm_action {
    double step[3], yaw, grip;
    bool has_grip;
} arm_action;

/* The action by meaning: the n-th of a meaning and arm is its n-th component. Speeds become steps of the base. */
static void sort_action(const fw_robot *r, const float *action, arm_action out[FW_ARM_MAX], double base[3]) {
    int n_pos[FW_ARM_MAX] = {0}, n_base = 0;
    memset(out, 0, FW_ARM_MAX * sizeof *out);
    mju_zero3(base);
    for (int i = 0; i < r->emb.n_action; i++) {
        const fw_dim *dim = &r->emb.action[i];
        arm_action *a = &out[dim->arm];
        double x = robot_clamp((double)action[i], dim->min, dim->max);
        if (dim->meaning == FW_MEANING_EE_DELTA_POS) {
            a->step[n_pos[dim->arm]++] = x;
        } else if (dim->meaning == FW_MEANING_EE_DELTA_YAW) {
            a->yaw = x;
        } else if (dim->meaning == FW_MEANING_GRIPPER) {
            a->grip = x;
            a->has_grip = true;
        } else if (dim->meaning == FW_MEANING_BASE_VEL) {
            base[n_base++] = x * r->control_dt;
        }
    }
}

static void plan_arm(fw_robot *r, int i, const mjModel *m, const mjData *d, mjData *ik, const arm_action *act) {
    const robot_arm *a = &r->arm[i];
    robot_arm_memory *mem = &r->mem.arm[i];
    double pos[3], yaw, want[3];
    robot_tcp(r, i, d, pos, &yaw);
    to_base(r, d, pos, &yaw);
    for (int k = 0; k < 3; k++) {
        double from = robot_clamp(mem->pos[k], pos[k] - LEAD_POS_M, pos[k] + LEAD_POS_M);
        mem->pos[k] = robot_clamp(from + act->step[k], a->lo[k], a->hi[k]);
    }
    yaw = mem->yaw + remainder(yaw - mem->yaw, 2 * mjPI); /* the same turn, counted as the command counts */
    double from = robot_clamp(mem->yaw, yaw - LEAD_YAW_RAD, yaw + LEAD_YAW_RAD);
    mem->yaw = robot_clamp(from + act->yaw, a->yaw_lo, a->yaw_hi);
    mem->grip = act->has_grip ? robot_clamp(act->grip, 0, 1) : mem->grip;
    mju_copy3(want, mem->pos);
    yaw = mem->yaw;
    from_base(r, d, want, &yaw);
    robot_ik(r, i, m, d, ik, want, yaw, mem->q_cmd, mem->q_next);
}

void robot_plan(fw_robot *r, const mjModel *m, mjData *d, mjData *ik, const float *action) {
    arm_action act[FW_ARM_MAX];
    double base[3];
    sort_action(r, action, act, base);
    for (int i = 0; i < r->n_arm; i++) {
        plan_arm(r, i, m, d, ik, &act[i]);
    }
    double yaw = r->mem.base_cmd[2], c = cos(yaw), s = sin(yaw);
    double world[3] = {c * base[0] - s * base[1], s * base[0] + c * base[1], base[2]};
    for (int k = 0; k < r->base.n; k++) {
        r->mem.base_next[k] = robot_clamp(r->mem.base_cmd[k] + world[k], r->base.lo[k], r->base.hi[k]);
    }
}

/* Below a fifth the gripper asks for more than closed, so that thin things are pushed with the servo's limit too. */
double robot_grip_ctrl(const robot_arm *a, double opening) {
    return a->grip.closed[0] + robot_travel(a, opening) * (a->grip.open[0] - a->grip.closed[0]) -
           copysign(a->grip.squeeze, a->grip.open[0] - a->grip.closed[0]) * robot_clamp(1 - opening / 0.2, 0, 1);
}

/* Targets at fraction u in (0, 1] of the control step. */
void robot_apply(const fw_robot *r, const mjModel *m, mjData *d, double u) {
    (void)m;
    for (int k = 0; k < r->base.n; k++) {
        double step = r->mem.base_next[k] - r->mem.base_cmd[k];
        d->ctrl[r->base.u[k]] = r->mem.base_cmd[k] + u * step + r->base.lag_s * step / r->control_dt;
    }
    for (int i = 0; i < r->n_arm; i++) {
        const robot_arm *a = &r->arm[i];
        const robot_arm_memory *mem = &r->mem.arm[i];
        for (int k = 0; k < a->n; k++) {
            double step = robot_clamp(mem->q_next[k] - mem->q_cmd[k], -STEP_RAD, STEP_RAD);
            d->ctrl[a->u[k]] = mem->q_cmd[k] + u * step + a->lag_s * step / r->control_dt;
        }
        d->ctrl[a->grip_u] = robot_grip_ctrl(a, mem->grip);
    }
}

void robot_finish(fw_robot *r) {
    for (int i = 0; i < r->n_arm; i++) {
        robot_arm_memory *mem = &r->mem.arm[i];
        for (int k = 0; k < r->arm[i].n; k++) {
            mem->q_cmd[k] += robot_clamp(mem->q_next[k] - mem->q_cmd[k], -STEP_RAD, STEP_RAD);
        }
        memcpy(mem->q_next, mem->q_cmd, sizeof mem->q_cmd);
    }
    memcpy(r->mem.base_cmd, r->mem.base_next, sizeof r->mem.base_cmd);
}

/* --- what the robot feels */
void robot_view(const fw_robot *r, const mjModel *m, const mjData *d, fw_scene *out) {
    (void)m;
    out->n_arm = r->n_arm;
    out->mobile = r->base.n > 0;
    base_pose(r, d, out->base);
    for (int i = 0; i < r->n_arm; i++) {
        fw_arm_view *v = &out->arm[i];
        robot_tcp(r, i, d, v->pos, &v->yaw);
        v->opening = measured_opening(&r->arm[i], d);
        v->command = r->mem.arm[i].grip;
        v->opening_m = r->arm[i].grip.opening_m;
        v->home_yaw = r->arm[i].start.yaw;
        mju_copy3(v->home, r->arm[i].start.pos);
        from_base(r, d, v->home, &v->home_yaw);
        v->turn_yaw = r->arm[i].turn_yaw;
    }
}

static double state_of(const fw_robot *r, const mjData *d, const fw_dim *dim, int nth) {
    const robot_arm *a = &r->arm[dim->arm];
    double pos[3], yaw;
    robot_tcp(r, dim->arm, d, pos, &yaw);
    to_base(r, d, pos, &yaw);
    switch (dim->meaning) {
    case FW_MEANING_EE_POS:
        return pos[nth];
    case FW_MEANING_EE_YAW:
        return yaw;
    case FW_MEANING_GRIPPER:
        return nth == 0 ? measured_opening(a, d) : r->mem.arm[dim->arm].grip;
    case FW_MEANING_JOINT_POS:
        return d->qpos[a->q[nth]];
    case FW_MEANING_JOINT_VEL:
        return d->qvel[a->v[nth]];
    case FW_MEANING_BASE_VEL: {
        double at[3], vx = d->qvel[r->base.v[0]], vy = d->qvel[r->base.v[1]];
        base_pose(r, d, at);
        return nth == 0   ? cos(at[2]) * vx + sin(at[2]) * vy
               : nth == 1 ? cos(at[2]) * vy - sin(at[2]) * vx
                          : d->qvel[r->base.v[2]];
    }
    case FW_MEANING_EE_DELTA_POS: /* robot_read refuses these in a state */
    case FW_MEANING_EE_DELTA_YAW:
    case FW_MEANING_OTHER:
    default:
        return 0;
    }
}

void robot_state(const fw_robot *r, const mjModel *m, const mjData *d, float *state) {
    (void)m;
    for (int i = 0; i < r->emb.n_state; i++) {
        int nth = 0;
        for (int k = 0; k < i; k++) {
            nth += r->emb.state[k].meaning == r->emb.state[i].meaning && r->emb.state[k].arm == r->emb.state[i].arm;
        }
        state[i] = (float)state_of(r, d, &r->emb.state[i], nth);
    }
}

size_t robot_memory_size(const fw_robot *r) {
    return sizeof r->mem;
}
void robot_save(const fw_robot *r, void *out) {
    memcpy(out, &r->mem, sizeof r->mem);
}
void robot_restore(fw_robot *r, const void *in) {
    memcpy(&r->mem, in, sizeof r->mem);
}
