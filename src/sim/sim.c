/* sim.c - open, reset, step, look: the parts of sim.h that are neither robot, lots nor pictures. MuJoCo's errors end here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "sim/sim_int.h"

/* --- errors: MuJoCo ends the process on a fatal one; inside sim_guard we jump out instead and say what it said. */
static _Thread_local jmp_buf guard_exit;
static _Thread_local bool guarded;
static _Thread_local char guard_message[200];

static void on_log(const mjLogMessage *msg) {
    if (msg->level == mjLOG_ERROR && guarded) {
        snprintf(guard_message, sizeof guard_message, "%.190s", msg->subject);
        guarded = false;
        longjmp(guard_exit, 1);
    }
    if (msg->level == mjLOG_ERROR) {
        fw_error("MuJoCo: %s", msg->subject);
    } else {
        fw_debug("MuJoCo: %s", msg->subject);
    }
}

fw_status sim_guard(void (*fn)(void *ctx), void *ctx, const char *what, fw_err *err) {
    mju_setLogHandler(on_log);
    if (setjmp(guard_exit) != 0) {
        return fw_fail(err, FW_CLOSED, "%s: MuJoCo: %s", what, guard_message);
    }
    guarded = true;
    fn(ctx);
    guarded = false;
    return FW_OK;
}

const char *fw_obj_name(fw_obj obj) {
    static const char *const names[FW_N_OBJ] = {"plate", "mug", "bowl", "banana"};
    return obj >= 0 && obj < FW_N_OBJ ? names[obj] : "thing";
}

/* --- open and close */
static int find(const fw_sim *s, mjtObj type, const char *name, bool *ok) {
    int id = mj_name2id(s->m, type, name);
    *ok = *ok && id >= 0;
    return id < 0 ? 0 : id;
}

static void index_bodies(fw_sim *s) {
    for (int b = 0; b < s->m->nbody; b++) {
        s->body_kind[b] = KIND_OTHER;
        for (int p = b; p > 0; p = s->m->body_parentid[p]) {
            const char *name = mj_id2name(s->m, mjOBJ_BODY, p);
            int kind = name == NULL                       ? KIND_OTHER
                       : strcmp(name, "leftfinger") == 0  ? KIND_FINGER1
                       : strcmp(name, "rightfinger") == 0 ? KIND_FINGER2
                       : strcmp(name, "right_hand") == 0  ? KIND_HAND
                       : strcmp(name, "counter") == 0     ? KIND_WORLD
                                                          : KIND_OTHER;
            if (kind != KIND_OTHER) {
                s->body_kind[b] = kind;
                break;
            }
        }
    }
    for (int o = 0; o < FW_N_OBJ; o++) {
        s->body_kind[s->obj_body[o]] = o;
    }
}

static fw_status index_model(fw_sim *s, fw_err *err) {
    const mjModel *m = s->m;
    bool ok = true;
    char name[32];
    for (int k = 0; k < N_ARM; k++) {
        snprintf(name, sizeof name, "joint%d", k + 1);
        int j = find(s, mjOBJ_JOINT, name, &ok);
        s->arm_q[k] = m->jnt_qposadr[j];
        s->arm_v[k] = m->jnt_dofadr[j];
        s->arm_u[k] = find(s, mjOBJ_ACTUATOR, name, &ok);
    }
    s->finger_q[0] = m->jnt_qposadr[find(s, mjOBJ_JOINT, "finger_joint1", &ok)];
    s->finger_q[1] = m->jnt_qposadr[find(s, mjOBJ_JOINT, "finger_joint2", &ok)];
    s->grip_u = find(s, mjOBJ_ACTUATOR, "gripper", &ok);
    s->tcp = find(s, mjOBJ_SITE, "tcp", &ok);
    s->counter = find(s, mjOBJ_BODY, "counter", &ok);
    s->counter_mocap = m->body_mocapid[s->counter];
    for (int o = 0; o < FW_N_OBJ; o++) {
        s->obj_body[o] = find(s, mjOBJ_BODY, fw_obj_name((fw_obj)o), &ok);
        int j = m->body_jntadr[s->obj_body[o]];
        s->obj_q[o] = m->jnt_qposadr[j < 0 ? 0 : j];
        s->obj_v[o] = m->jnt_dofadr[j < 0 ? 0 : j];
    }
    if (!ok || s->counter_mocap < 0 || m->nbody > 256 || m->nv > 64) {
        return fw_fail(err, FW_FORMAT,
                       "the compiled kitchen lacks a joint, body, site or actuator that the controller needs");
    }
    index_bodies(s);
    return FW_OK;
}

typedef struct build_args {
    const char *home;
    int max_px;
    mjModel **out;
    fw_status st;
    fw_err *err;
} build_args;

static void build(void *ctx) {
    build_args *a = ctx;
    a->st = sim_build_model(a->home, a->max_px, a->out, a->err);
}

fw_status fw_sim_open(const char *home, const fw_sim_opts *opts, fw_sim **out, fw_err *err) {
    if (mj_version() != mjVERSION_HEADER) {
        return fw_fail(err, FW_UNSUPPORTED, "MuJoCo library is version %d, built for %d", mj_version(),
                       mjVERSION_HEADER);
    }
    fw_sim *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return fw_fail(err, FW_NOMEM, "simulator");
    }
    build_args args = {home, opts->max_px, &s->m, FW_OK, err};
    fw_status st = sim_guard(build, &args, "building the kitchen", err);
    st = st != FW_OK ? st : args.st;
    if (st != FW_OK) {
        goto done;
    }
    sim_decimate(s->m, 0.012);
    s->m0 = mj_copyModel(NULL, s->m);
    s->d = mj_makeData(s->m);
    s->ik = mj_makeData(s->m);
    if (s->m0 == NULL || s->d == NULL || s->ik == NULL) {
        st = fw_fail(err, FW_NOMEM, "simulator");
        goto done;
    }
    s->n_sub = (int)lround(CONTROL_DT_S / s->m->opt.timestep);
    st = index_model(s, err);
    if (st == FW_OK && opts->render) {
        st = sim_renderer_new(s->m, opts->max_px, &s->r, err);
    }
done:
    if (st != FW_OK) {
        fw_sim_close(s);
        return st;
    }
    *out = s;
    return FW_OK;
}

void fw_sim_close(fw_sim *s) {
    if (s == NULL) {
        return;
    }
    sim_renderer_free(s->r);
    mj_deleteData(s->ik);
    mj_deleteData(s->d);
    mj_deleteModel(s->m0);
    mj_deleteModel(s->m);
    free(s);
}

/* --- what is where */
static void note_touch(fw_sim *s, int obj, int other, bool fingers[FW_N_OBJ][2]) {
    fw_obj_view *o = &s->scene.obj[obj];
    if (other < FW_N_OBJ) {
        o->touches[other] = true;
    } else if (other == KIND_WORLD) {
        o->touches_world = true;
    } else if (other == KIND_HAND || other == KIND_FINGER1 || other == KIND_FINGER2) {
        o->touches_hand = true;
        if (other != KIND_HAND) {
            fingers[obj][other == KIND_FINGER2] = true;
        }
    }
}

static void observe_contacts(fw_sim *s) {
    bool fingers[FW_N_OBJ][2] = {{false}};
    for (int i = 0; i < s->d->ncon; i++) {
        const mjContact *c = &s->d->contact[i];
        if (c->dist > 0.0005) {
            continue;
        }
        int a = s->body_kind[s->m->geom_bodyid[c->geom[0]]], b = s->body_kind[s->m->geom_bodyid[c->geom[1]]];
        if (a < FW_N_OBJ) {
            note_touch(s, a, b, fingers);
        }
        if (b < FW_N_OBJ) {
            note_touch(s, b, a, fingers);
        }
    }
    for (int o = 0; o < FW_N_OBJ; o++) {
        s->scene.obj[o].touches_both = fingers[o][0] && fingers[o][1];
    }
}

void sim_observe_scene(fw_sim *s) {
    fw_scene *v = &s->scene;
    const mjData *d = s->d;
    for (int o = 0; o < FW_N_OBJ; o++) {
        fw_obj_view *ob = &v->obj[o];
        const double *mat = d->xmat + 9 * s->obj_body[o], *vel = d->qvel + s->obj_v[o];
        mju_copy3(ob->pos, d->xpos + 3 * s->obj_body[o]);
        mju_copy3(ob->mid, d->xipos + 3 * s->obj_body[o]);
        ob->yaw = atan2(mat[3], mat[0]);
        ob->up = mat[8];
        ob->speed = mju_norm3(vel) + 0.05 * mju_norm3(vel + 3);
        ob->lifted = fmax(ob->lifted, ob->pos[2] - ob->start[2]);
        ob->touches_hand = ob->touches_both = ob->touches_world = false;
        memset(ob->touches, 0, sizeof ob->touches);
    }
    observe_contacts(s);
    sim_tcp(s, d, v->ee_pos, &v->ee_yaw);
    double open = (d->qpos[s->finger_q[0]] - d->qpos[s->finger_q[1]]) / FW_FINGER_MAX_M;
    v->opening = fmin(1, fmax(0, open));
    v->command = s->grip_cmd;
    const double *shift = d->mocap_pos + 3 * s->counter_mocap;
    mju_copy3(v->sink, (double[]){SINK_X_M + shift[0], SINK_Y_M + shift[1], -SINK_DEPTH_M});
    v->sink_half[0] = v->sink_half[1] = SINK_HALF_M;
}

const fw_scene *fw_sim_scene(const fw_sim *s) {
    return &s->scene;
}

bool fw_sim_diverged(const fw_sim *s) {
    return s->diverged;
}

size_t fw_sim_physics_state(const fw_sim *s, double *out, size_t cap) {
    size_t nq = (size_t)s->m->nq, n = nq + (size_t)s->m->nv;
    for (size_t i = 0; i < n && i < cap; i++) {
        out[i] = i < nq ? s->d->qpos[i] : s->d->qvel[i - nq];
    }
    return n;
}

void fw_sim_place(fw_sim *s, fw_obj obj, const double pos[3], double yaw, bool upright) {
    double *q = s->d->qpos + s->obj_q[obj], spin[4] = {cos(yaw / 2), 0, 0, sin(yaw / 2)}, flip[4] = {0, 1, 0, 0};
    mju_copy3(q, pos);
    if (upright) {
        mju_copy4(q + 3, spin);
    } else {
        mju_mulQuat(q + 3, spin, flip);
    }
    mju_zero(s->d->qvel + s->obj_v[obj], 6);
}

/* --- time */
typedef struct step_args {
    fw_sim *s;
    double a[5];
} step_args;

static bool finite_state(const mjData *d) {
    return d->warning[mjWARN_BADQPOS].number + d->warning[mjWARN_BADQVEL].number + d->warning[mjWARN_BADQACC].number ==
           0;
}

static void step(void *ctx) {
    step_args *a = ctx;
    fw_sim *s = a->s;
    double q_next[N_ARM];
    sim_control_target(s, a->a, q_next);
    for (int i = 0; i < s->n_sub && finite_state(s->d); i++) {
        sim_control_apply(s, q_next, (double)(i + 1) / s->n_sub);
        mj_step(s->m, s->d);
    }
    for (int k = 0; k < N_ARM; k++) {
        double dq = q_next[k] - s->q_cmd[k];
        s->q_cmd[k] += fmin(0.3, fmax(-0.3, dq));
    }
    mj_forward(s->m, s->d); /* so that poses and contacts belong to the new state */
}

fw_status fw_sim_step(fw_sim *s, const float action[5], fw_err *err) {
    step_args args = {.s = s};
    if (s->diverged) {
        return fw_fail(err, FW_CLOSED, "the episode ended: physics diverged");
    }
    for (int i = 0; i < 5; i++) {
        if (!isfinite(action[i])) {
            return fw_fail(err, FW_INVALID, "action[%d] is not a finite number", i);
        }
        args.a[i] = (double)action[i];
    }
    fw_status st = sim_guard(step, &args, "physics step", err);
    if (st == FW_OK && !finite_state(s->d)) {
        st = fw_fail(err, FW_CLOSED, "physics diverged at %.2f s", s->d->time);
    }
    if (st != FW_OK) {
        s->diverged = true;
        return st;
    }
    sim_observe_scene(s);
    return FW_OK;
}

typedef struct reset_args {
    fw_sim *s;
    uint64_t seed;
} reset_args;

static void reset(void *ctx) {
    reset_args *a = ctx;
    fw_sim *s = a->s;
    double pos[3], yaw;
    sim_draw(s, a->seed, pos, &yaw);
    sim_ik(s, pos, yaw, sim_arm_home, s->q_cmd);
    sim_control_begin(s, pos, yaw, 1);
    for (int k = 0; k < N_ARM; k++) {
        s->d->qpos[s->arm_q[k]] = s->q_cmd[k];
    }
    s->d->qpos[s->finger_q[0]] = FW_FINGER_MAX_M / 2;
    s->d->qpos[s->finger_q[1]] = -FW_FINGER_MAX_M / 2;
    sim_control_apply(s, s->q_cmd, 1);
    for (int i = 0; i < 3 * s->n_sub; i++) {
        mj_step(s->m, s->d);
    }
    mj_forward(s->m, s->d);
}

fw_status fw_sim_reset(fw_sim *s, uint64_t seed, fw_err *err) {
    s->diverged = false;
    memset(&s->scene, 0, sizeof s->scene);
    fw_status st = sim_guard(reset, &(reset_args){s, seed}, "settling the scene", err);
    if (st == FW_OK && !finite_state(s->d)) {
        st = fw_fail(err, FW_CLOSED, "seed %llu: physics diverged while settling", (unsigned long long)seed);
    }
    s->diverged = st != FW_OK;
    if (st != FW_OK) {
        return st;
    }
    sim_observe_scene(s);
    for (int o = 0; o < FW_N_OBJ; o++) {
        mju_copy3(s->scene.obj[o].start, s->scene.obj[o].pos);
        s->scene.obj[o].lifted = 0;
    }
    mju_copy3(s->scene.home, (double[]){0.40, -0.05, 0.26});
    return FW_OK;
}

fw_status fw_sim_render(fw_sim *s, const char *camera, int w, int h, uint8_t *rgb, fw_err *err) {
    if (s->r == NULL) {
        return fw_fail(err, FW_INVALID, "a picture of a simulator that was opened without rendering");
    }
    int cam = mj_name2id(s->m, mjOBJ_CAMERA, camera);
    if (cam < 0) {
        return fw_fail(err, FW_INVALID, "no camera '%s'; there are front and wrist", camera);
    }
    return sim_renderer_draw(s->r, s->m, s->d, cam, w, h, rgb, err);
}
