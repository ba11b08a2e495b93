/* body.c - see body.h. Every number comes from the controller's own functions (robot.c), with the caller's set-point as their memory. */
#include "sim/body.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "sim/robot_int.h"
#include "sim/sim_int.h"

#define LINK_MIN_M 0.004

struct fw_body {
    fw_robot *r; /* owned */
    mjModel *m;  /* owned */
    mjData *d;   /* owned: what was measured */
    mjData *ik;  /* owned: scratch */
    int n;
    fw_body_axis axis[FW_BODY_AXIS_MAX];
    robot_axis place[FW_BODY_AXIS_MAX];
    int n_link, link[FW_BODY_LINK_MAX]; /* geoms */
    double *full, *torque;              /* owned [nv,nv], [nv] */
    double *follow;                     /* owned [nv,n]: velocity of each joint of the model a unit of each axis' */
};

/* --- open */

static fw_status check_order(const fw_body *b, const char *path, const json_t *axes, fw_err *err) {
    for (int i = 0; i < b->n || i < (int)json_array_size(axes); i++) {
        const char *found = json_string_value(json_array_get(axes, (size_t)i));
        const char *want = i < b->n ? b->axis[i].name : "no more";
        if (found == NULL || strcmp(found, want) != 0) {
            return fw_fail(err, FW_FORMAT,
                           "%s: safety.axes[%d]: wanted \"%s\" (all arms' joints, then the grippers), found \"%.60s\"",
                           path, i, want, found != NULL ? found : "nothing");
        }
    }
    return FW_OK;
}

/* The file's "safety" numbers its axes as we do. */
static fw_status check_safety(const fw_body *b, const char *home_dir, fw_err *err) {
    char path[1024], file[FW_NAME_MAX + 32];
    json_t *j;
    snprintf(file, sizeof file, "embodiments/%s.json", b->r->emb.name);
    FW_TRY(fw_path_join(path, sizeof path, home_dir, file, err));
    FW_TRY(fw_json_load(path, &j, err));
    const json_t *axes = json_object_get(json_object_get(j, "safety"), "axes");
    const fw_status st = axes != NULL ? check_order(b, path, axes, err) : FW_OK;
    json_decref(j);
    return st;
}

static void add_axis(fw_body *b) {
    const robot_axis p = robot_axis_at(b->r, b->n);
    const robot_arm *a = &b->r->arm[p.arm];
    const int v = p.k >= 0 ? a->v[p.k] : a->grip_v[0], j = b->m->dof_jntid[v];
    fw_body_axis *x = &b->axis[b->n];
    *x = (fw_body_axis){.slide = b->m->jnt_type[j] == mjJNT_SLIDE, .gripper = p.k < 0, .arm = p.arm};
    snprintf(x->name, sizeof x->name, "%s", p.k >= 0 ? a->joint[p.k] : a->grip.joint[0]);
    x->min = p.k >= 0 ? b->m->jnt_range[2 * j] : fmin(a->grip.closed[0], a->grip.open[0]);
    x->max = p.k >= 0 ? b->m->jnt_range[2 * j + 1] : fmax(a->grip.closed[0], a->grip.open[0]);
    if (p.k >= 0 && !b->m->jnt_limited[j]) {
        x->min = -2 * mjPI, x->max = 2 * mjPI;
    }
    x->damping = b->m->dof_damping[v];
    x->stick = b->m->dof_frictionloss[v];
    const double force = p.k >= 0 ? a->force[p.k] : a->grip.force;
    x->effort = force > 0 ? force : (double)INFINITY;
    b->place[b->n++] = p;
}

/* The velocity of every joint when one axis moves by a unit: itself, and what follows a gripper. */
static void note_followers(fw_body *b) {
    for (int i = 0; i < b->n; i++) {
        const robot_arm *a = &b->r->arm[b->place[i].arm];
        if (b->place[i].k >= 0) {
            b->follow[a->v[b->place[i].k] * b->n + i] = 1;
            continue;
        }
        for (int k = 0; k < a->grip.n_joint; k++) {
            b->follow[a->grip_v[k] * b->n + i] =
                (a->grip.open[k] - a->grip.closed[k]) / (a->grip.open[0] - a->grip.closed[0]);
        }
    }
}

static void shape(const fw_body *b, int geom, int *along, double *half, double *radius) {
    const double *h = b->m->geom_aabb + 6 * geom + 3;
    *along = h[0] >= h[1] && h[0] >= h[2] ? 0 : h[1] >= h[2] ? 1 : 2;
    *radius = (h[0] + h[1] + h[2] - h[*along]) / 2;
    *half = fmax(0, h[*along] - *radius);
}

/* The largest geoms, as many as there is room for. */
static void choose_links(fw_body *b) {
    int n = FW_BODY_LINK_MAX + 1;
    for (double least = LINK_MIN_M; n > FW_BODY_LINK_MAX; least *= 1.5) {
        n = 0;
        for (int g = 0; g < (int)b->m->ngeom; g++) {
            const double *h = b->m->geom_aabb + 6 * g + 3;
            if (fmax(h[0], fmax(h[1], h[2])) >= least && n++ < FW_BODY_LINK_MAX) {
                b->link[n - 1] = g;
            }
        }
    }
    b->n_link = n;
}

static fw_status check_robot(const fw_robot *r, fw_err *err) {
    const int n = robot_n_axis(r);
    if (r->base.n > 0) {
        return fw_fail(err, FW_UNSUPPORTED, "%s has a base that drives: only its arms would be axes", r->emb.name);
    }
    for (int i = 0; i < r->emb.n_state; i++) {
        if (r->emb.state[i].meaning == FW_MEANING_JOINT_VEL) {
            return fw_fail(err, FW_UNSUPPORTED, "%s: state[%d] \"%s\" is a velocity, which positions do not say",
                           r->emb.name, i, r->emb.state[i].name);
        }
    }
    return n <= FW_BODY_AXIS_MAX
               ? FW_OK
               : fw_fail(err, FW_UNSUPPORTED, "%s has %d axes, wanted at most %d", r->emb.name, n, FW_BODY_AXIS_MAX);
}

static fw_status compile(fw_body *b, fw_err *err) {
    mjSpec *s = mj_makeSpec();
    if (s == NULL) {
        return fw_fail(err, FW_NOMEM, "body");
    }
    s->compiler.degree = 0;
    fw_status st = robot_attach(b->r, s, err);
    if (st == FW_OK) {
        b->m = mj_compile(s, NULL);
        st = b->m != NULL ? FW_OK : fw_fail(err, FW_FORMAT, "compiling %s: %.200s", b->r->emb.name, mjs_getError(s));
    }
    mj_deleteSpec(s);
    FW_TRY(st);
    FW_TRY(robot_bind(b->r, b->m, err));
    b->d = mj_makeData(b->m);
    b->ik = mj_makeData(b->m);
    const size_t nv = (size_t)b->m->nv;
    b->full = calloc(nv * nv, sizeof *b->full);
    b->torque = calloc(nv, sizeof *b->torque);
    b->follow = calloc(nv * FW_BODY_AXIS_MAX, sizeof *b->follow);
    return b->d != NULL && b->ik != NULL && b->full != NULL && b->torque != NULL && b->follow != NULL
               ? FW_OK
               : fw_fail(err, FW_NOMEM, "body");
}

typedef struct open_args {
    fw_body *b;
    const char *home_dir, *embodiment;
    fw_status st;
    fw_err *err;
} open_args;

static fw_status build(fw_body *b, const char *home_dir, const char *embodiment, fw_err *err) {
    FW_TRY(robot_load(home_dir, embodiment, &b->r, err));
    FW_TRY(check_robot(b->r, err));
    FW_TRY(compile(b, err));
    b->r->ik_least =
        1; /* a set-point begins where the last one ended, not where it was meant to: small wishes add up */
    while (b->n < robot_n_axis(b->r)) {
        add_axis(b);
    }
    note_followers(b);
    choose_links(b);
    return check_safety(b, home_dir, err);
}

static void build_guarded(void *ctx) {
    open_args *a = ctx;
    a->st = build(a->b, a->home_dir, a->embodiment, a->err);
}

fw_status fw_body_open(const char *home_dir, const char *embodiment, fw_body **out, fw_err *err) {
    fw_body *b = calloc(1, sizeof *b);
    *out = NULL;
    if (b == NULL) {
        return fw_fail(err, FW_NOMEM, "body");
    }
    open_args args = {b, home_dir, embodiment, FW_OK, err};
    fw_status st = sim_guard(build_guarded, &args, "building the robot", err);
    st = st != FW_OK ? st : args.st;
    if (st != FW_OK) {
        fw_body_close(b);
        return st;
    }
    *out = b;
    return FW_OK;
}

void fw_body_close(fw_body *b) {
    if (b == NULL) {
        return;
    }
    mj_deleteData(b->ik);
    mj_deleteData(b->d);
    mj_deleteModel(b->m);
    robot_free(b->r);
    free(b->full);
    free(b->torque);
    free(b->follow);
    free(b);
}

const fw_embodiment *fw_body_embodiment(const fw_body *b) {
    return &b->r->emb;
}
int fw_body_n_axis(const fw_body *b) {
    return b->n;
}
const fw_body_axis *fw_body_axis_of(const fw_body *b, int axis) {
    return &b->axis[axis];
}
int fw_body_axis_find(const fw_body *b, const char *name) {
    for (int i = 0; i < b->n; i++) {
        if (strcmp(b->axis[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

/* --- axes and joints */

static double fraction(const robot_grip *g, double position) {
    return (position - g->closed[0]) / (g->open[0] - g->closed[0]);
}

double fw_body_opening(const fw_body *b, int axis, double position) {
    const robot_arm *a = &b->r->arm[b->place[axis].arm];
    return robot_opening(a, fraction(&a->grip, position));
}

double fw_body_position(const fw_body *b, int axis, double opening) {
    const robot_arm *a = &b->r->arm[b->place[axis].arm];
    return a->grip.closed[0] + robot_travel(a, robot_clamp(opening, 0, 1)) * (a->grip.open[0] - a->grip.closed[0]);
}

static void put(const fw_body *b, mjData *d, int axis, double position) {
    const robot_arm *a = &b->r->arm[b->place[axis].arm];
    if (b->place[axis].k >= 0) {
        d->qpos[a->q[b->place[axis].k]] = position;
        return;
    }
    for (int k = 0; k < a->grip.n_joint; k++) {
        d->qpos[a->grip_q[k]] =
            a->grip.closed[k] + fraction(&a->grip, position) * (a->grip.open[k] - a->grip.closed[k]);
    }
}

static void stand(const fw_body *b, mjData *d, const float *joints) {
    for (int i = 0; i < b->n; i++) {
        put(b, d, i, (double)joints[i]);
    }
    mj_kinematics(b->m, d);
    mj_comPos(b->m, d);
}

void fw_body_home(const fw_body *b, float *joints) {
    for (int i = 0; i < b->n; i++) {
        const robot_arm *a = &b->r->arm[b->place[i].arm];
        joints[i] = (float)(b->place[i].k >= 0 ? a->home[b->place[i].k] : a->grip.open[0]);
    }
}

/* --- what policies speak of */

/* A gripper's command in an action; its opening without one. */
static void remember_grip(fw_body *b, const float *last_action, const float *joints) {
    const fw_embodiment *e = &b->r->emb;
    for (int i = 0; i < b->n; i++) {
        if (b->axis[i].gripper) {
            b->r->mem.arm[b->axis[i].arm].grip = fw_body_opening(b, i, (double)joints[i]);
        }
    }
    for (int i = 0; i < e->n_action && last_action != NULL; i++) {
        if (e->action[i].meaning == FW_MEANING_GRIPPER) {
            b->r->mem.arm[e->action[i].arm].grip = robot_clamp((double)last_action[i], 0, 1);
        }
    }
}

void fw_body_state(fw_body *b, const float *joints, const float *last_action, float *state) {
    stand(b, b->d, joints);
    remember_grip(b, last_action, joints);
    robot_state(b->r, b->m, b->d, state);
}

/* The controller's memory as if it had commanded this set-point; the yaw counted in the turn that the arm's space is in. */
static void remember(fw_body *b, const float *from) {
    stand(b, b->ik, from);
    remember_grip(b, NULL, from);
    for (int i = 0; i < b->n; i++) {
        if (b->place[i].k >= 0) {
            b->r->mem.arm[b->place[i].arm].q_cmd[b->place[i].k] = (double)from[i];
        }
    }
    for (int i = 0; i < b->r->n_arm; i++) {
        const robot_arm *a = &b->r->arm[i];
        const double middle = (a->yaw_lo + a->yaw_hi) / 2;
        robot_arm_memory *mem = &b->r->mem.arm[i];
        robot_tcp(b->r, i, b->ik, mem->pos, &mem->yaw);
        mem->yaw = middle + remainder(mem->yaw - middle, 2 * mjPI);
    }
}

static bool finite_values(const float *x, int n) {
    bool ok = true;
    for (int i = 0; i < n; i++) {
        ok = ok && isfinite(x[i]);
    }
    return ok;
}

bool fw_body_target(fw_body *b, const float *from, const float *measured, const float *action, float *joints) {
    measured = measured != NULL ? measured : from;
    if (!finite_values(from, b->n) || !finite_values(measured, b->n) || !finite_values(action, b->r->emb.n_action)) {
        return false;
    }
    remember(b, from);
    stand(b, b->d, measured);
    robot_plan(b->r, b->m, b->d, b->ik, action);
    robot_finish(b->r);
    for (int i = 0; i < b->n; i++) {
        const robot_arm_memory *mem = &b->r->mem.arm[b->place[i].arm];
        const double x = b->place[i].k >= 0 ? mem->q_cmd[b->place[i].k] : fw_body_position(b, i, mem->grip);
        joints[i] = (float)robot_clamp(x, b->axis[i].min, b->axis[i].max);
    }
    return true;
}

static double grip_of(const fw_body *b, const float *joints, int arm) {
    for (int i = 0; i < b->n; i++) {
        if (b->axis[i].gripper && b->axis[i].arm == arm) {
            return fw_body_opening(b, i, (double)joints[i]);
        }
    }
    return 0;
}

static double joint_of(const fw_body *b, const float *joints, int arm, int nth) {
    for (int i = 0; i < b->n; i++) {
        if (b->place[i].arm == arm && b->place[i].k == nth) {
            return (double)joints[i];
        }
    }
    return 0;
}

void fw_body_action(fw_body *b, const float *from, const float *to, float *action) {
    const fw_embodiment *e = &b->r->emb;
    double pos[2][FW_ARM_MAX][3], yaw[2][FW_ARM_MAX];
    int nth[FW_ARM_MAX][FW_MEANING_OTHER + 1] = {{0}};
    for (int a = 0; a < b->r->n_arm; a++) {
        fw_body_hand(b, from, a, pos[0][a], &yaw[0][a]);
        fw_body_hand(b, to, a, pos[1][a], &yaw[1][a]);
    }
    for (int i = 0; i < e->n_action; i++) {
        const fw_dim *d = &e->action[i];
        const int a = d->arm, k = nth[a][d->meaning]++;
        const double x = d->meaning == FW_MEANING_EE_DELTA_POS   ? pos[1][a][k % 3] - pos[0][a][k % 3]
                         : d->meaning == FW_MEANING_EE_DELTA_YAW ? remainder(yaw[1][a] - yaw[0][a], 2 * mjPI)
                         : d->meaning == FW_MEANING_GRIPPER      ? grip_of(b, to, a)
                         : d->meaning == FW_MEANING_JOINT_POS    ? joint_of(b, to, a, k)
                                                                 : 0;
        action[i] = (float)robot_clamp(x, d->min, d->max);
    }
}

void fw_body_hand(fw_body *b, const float *joints, int arm, double pos[3], double *yaw) {
    stand(b, b->d, joints);
    robot_tcp(b->r, arm, b->d, pos, yaw);
}

/* --- dynamics */

/* out [n] = follow' x [nv]: what joints feel, as their axes feel it. */
static void to_axes(const fw_body *b, const double *x, double *out) {
    for (int i = 0; i < b->n; i++) {
        out[i] = 0;
        for (int v = 0; v < (int)b->m->nv; v++) {
            out[i] += b->follow[v * b->n + i] * x[v];
        }
    }
}

static void mass(fw_body *b, double *M) {
    const int nv = (int)b->m->nv, n = b->n;
    mj_fullM(b->m, b->d, b->full);
    for (int i = 0; i < n; i++) { /* column i of M: the torques of a unit acceleration of axis i */
        for (int v = 0; v < nv; v++) {
            b->torque[v] = 0;
            for (int w = 0; w < nv; w++) {
                b->torque[v] += b->full[v * nv + w] * b->follow[w * n + i];
            }
        }
        to_axes(b, b->torque, M + i * n); /* symmetric: the column is the row */
    }
}

static void bias(fw_body *b, bool gravity, double *out) {
    double g[3];
    mju_copy3(g, b->m->opt.gravity);
    if (!gravity) {
        mju_zero3(b->m->opt.gravity);
    }
    mj_rne(b->m, b->d, 0, b->torque);
    mju_copy3(b->m->opt.gravity, g);
    to_axes(b, b->torque, out);
}

static void moving(fw_body *b, const double *q, const double *v) {
    for (int i = 0; i < b->n; i++) {
        put(b, b->d, i, q[i]);
    }
    for (int k = 0; k < (int)b->m->nv; k++) {
        b->d->qvel[k] = mju_dot(b->follow + k * b->n, v, b->n);
    }
    mj_kinematics(b->m, b->d);
    mj_comPos(b->m, b->d);
    mj_comVel(b->m, b->d);
}

void fw_body_dynamics(fw_body *b, const double *q, const double *v, double *M, double *coriolis, double *gravity) {
    moving(b, q, v);
    if (M != NULL) {
        mj_makeM(b->m, b->d);
        mass(b, M);
    }
    if (coriolis != NULL) {
        bias(b, false, coriolis);
    }
    if (gravity != NULL) {
        mju_zero(b->d->qvel, (int)b->m->nv);
        mj_comVel(b->m, b->d);
        bias(b, true, gravity);
    }
}

void fw_body_model(void *body, const double *q, const double *v, double *M, double *both) {
    fw_body *b = body;
    moving(b, q, v);
    mj_makeM(b->m, b->d);
    mass(b, M);
    bias(b, true, both);
}

/* --- drawing */

int fw_body_n_link(const fw_body *b) {
    return b->n_link;
}

void fw_body_links(fw_body *b, const float *joints, float *xyzr) {
    stand(b, b->d, joints);
    for (int i = 0; i < b->n_link; i++) {
        const int g = b->link[i];
        const double *mat = b->d->geom_xmat + 9 * g;
        double half, radius, mid[3];
        int along;
        shape(b, g, &along, &half, &radius);
        mju_mulMatVec3(mid, mat, b->m->geom_aabb + 6 * g);
        mju_addTo3(mid, b->d->geom_xpos + 3 * g);
        for (int k = 0; k < 3; k++) {
            xyzr[7 * i + k] = (float)(mid[k] - half * mat[3 * k + along]);
            xyzr[7 * i + 3 + k] = (float)(mid[k] + half * mat[3 * k + along]);
        }
        xyzr[7 * i + 6] = (float)radius;
    }
}
