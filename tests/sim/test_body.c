/* ctest: timeout=120 */
/* The robot alone says the same as the robot in a room: state, targets, dynamics. */
#include <math.h>
#include <string.h>

#include "alloc_guard.h"
#include "base/file.h"
#include "base/rng.h"
#include "fw_test.h"
#include "sim/body.h"
#include "sim/robot_int.h"

#define NEAR(got, want, tol) CHECK(fabs((got) - (want)) <= (tol))

typedef struct room {
    fw_robot *r;
    mjModel *m;
    mjData *d, *ik;
    fw_body *b;
    int n, joint[FW_BODY_AXIS_MAX];
} room;

static void must(fw_status st, const fw_err *err) {
    if (st != FW_OK) {
        FW_FAILED("%s", err->msg);
    }
}

static room open_room(const char *name) {
    fw_err err = {FW_OK, ""};
    room w = {0};
    must(fw_body_open(fw_home(), name, &w.b, &err), &err);
    must(robot_load(fw_home(), name, &w.r, &err), &err);
    mjSpec *s = mj_makeSpec();
    s->compiler.degree = 0;
    s->option.timestep = 0.002;
    s->option.integrator = mjINT_IMPLICITFAST;
    must(robot_attach(w.r, s, &err), &err);
    w.m = mj_compile(s, NULL);
    CHECK(w.m != NULL);
    mj_deleteSpec(s);
    must(robot_bind(w.r, w.m, &err), &err);
    w.d = mj_makeData(w.m);
    w.ik = mj_makeData(w.m);
    w.n = fw_body_n_axis(w.b);
    for (int i = 0; i < w.n; i++) {
        w.joint[i] = mj_name2id(w.m, mjOBJ_JOINT, fw_body_axis_of(w.b, i)->name);
        CHECK(w.joint[i] >= 0);
    }
    fw_arm_start start[FW_ARM_MAX];
    for (int a = 0; a < robot_n_arm(w.r); a++) {
        robot_home(w.r, a, &start[a]);
    }
    robot_start(w.r, w.m, w.d, w.ik, NULL, start);
    mj_forward(w.m, w.d);
    return w;
}

static void close_room(room *w) {
    fw_body_close(w->b);
    mj_deleteData(w->ik);
    mj_deleteData(w->d);
    mj_deleteModel(w->m);
    robot_free(w->r);
}

static void measure(const room *w, float *q) {
    for (int i = 0; i < w->n; i++) {
        q[i] = (float)w->d->qpos[w->m->jnt_qposadr[w->joint[i]]];
    }
}

/* The commanded joints of the room's controller, as axes. */
static void commanded(const room *w, float *q) {
    for (int i = 0; i < w->n; i++) {
        const fw_body_axis *x = fw_body_axis_of(w->b, i);
        const robot_arm *a = &w->r->arm[x->arm];
        q[i] = x->gripper ? (float)fw_body_position(w->b, i, w->r->mem.arm[x->arm].grip) : 0;
        for (int k = 0; k < a->n && !x->gripper; k++) {
            q[i] = strcmp(a->joint[k], x->name) == 0 ? (float)w->r->mem.arm[x->arm].q_cmd[k] : q[i];
        }
    }
}

static void step(room *w, const float *action) {
    robot_plan(w->r, w->m, w->d, w->ik, action);
    const int n = (int)lround(w->r->control_dt / w->m->opt.timestep);
    for (int i = 1; i <= n; i++) {
        robot_apply(w->r, w->m, w->d, (double)i / n);
        mj_step(w->m, w->d);
    }
    robot_finish(w->r);
    mj_forward(w->m, w->d);
}

/* Some steps in a random direction, and back. */
static void wander(const fw_embodiment *e, fw_rng *rng, int t, float *action) {
    for (int i = 0; i < e->n_action; i++) {
        const fw_dim *d = &e->action[i];
        if (d->meaning == FW_MEANING_GRIPPER) {
            action[i] = (float)fw_rng_uniform(rng, d->min, d->max);
        } else {
            action[i] = t % 12 == 0   ? (float)fw_rng_uniform(rng, 0.4 * d->min, 0.4 * d->max)
                        : t % 12 == 6 ? -action[i]
                                      : action[i];
        }
    }
}

static void compare_state(const room *w, const float *last_action) {
    float q[FW_BODY_AXIS_MAX], here[FW_DIM_MAX], there[FW_DIM_MAX];
    const fw_embodiment *e = fw_body_embodiment(w->b);
    measure(w, q);
    fw_body_state(w->b, q, last_action, here);
    robot_state(w->r, w->m, w->d, there);
    for (int i = 0; i < e->n_state; i++) {
        /* an opening is the mean over joints that follow each other softly */
        const double tol = e->state[i].meaning == FW_MEANING_GRIPPER ? 0.01 : 2e-6;
        NEAR((double)here[i], (double)there[i], tol);
    }
}

static void compare_target(const room *w, const float *from, const float *q, const float *action, double worst[3]) {
    float here[FW_BODY_AXIS_MAX], there[FW_BODY_AXIS_MAX];
    (void)fw_body_target(w->b, from, q, action, here);
    commanded(w, there);
    for (int a = 0; a < robot_n_arm(w->r); a++) {
        double p[2][3], yaw[2];
        fw_body_hand(w->b, here, a, p[0], &yaw[0]);
        fw_body_hand(w->b, there, a, p[1], &yaw[1]);
        worst[0] = fmax(worst[0], mju_dist3(p[0], p[1]));
        worst[1] = fmax(worst[1], fabs(remainder(yaw[0] - yaw[1], 2 * mjPI)));
    }
    for (int i = 0; i < w->n; i++) {
        worst[2] = fmax(worst[2], (double)fabsf(here[i] - there[i]));
    }
}

/* The commanded joints bring the hands where the controller remembers them. */
static bool reached(const room *w) {
    float q[FW_BODY_AXIS_MAX];
    bool all = true;
    commanded(w, q);
    for (int a = 0; a < robot_n_arm(w->r); a++) {
        double p[3], yaw;
        fw_body_hand(w->b, q, a, p, &yaw);
        all = all && mju_dist3(p, w->r->mem.arm[a].pos) < 5e-4 && fabs(yaw - w->r->mem.arm[a].yaw) < 2e-3;
    }
    return all;
}

static void says_what_the_room_says(const char *name, double pos_m, double yaw_rad, double joint_rad) {
    room w = open_room(name);
    const fw_embodiment *e = fw_body_embodiment(w.b);
    fw_rng rng = fw_rng_stream(7, "body");
    float action[FW_DIM_MAX] = {0}, from[FW_BODY_AXIS_MAX], q[FW_BODY_AXIS_MAX];
    double worst[3] = {0};
    bool was_there = true;
    int compared = 0;
    compare_state(&w, NULL);
    for (int t = 0; t < 480; t++) {
        wander(e, &rng, t, action);
        measure(&w, q);
        commanded(&w, from);
        step(&w, action);
        compare_state(&w, action);
        const bool there = reached(&w);
        if (there && was_there) { /* what the arm cannot reach, the room remembers all the same */
            compare_target(&w, from, q, action, worst);
            compared++;
        }
        was_there = there;
    }
    printf("%s: %d targets differ by at most %.3f mm, %.4f rad of yaw, %.4f rad of a joint\n", name, compared,
           1e3 * worst[0], worst[1], worst[2]);
    CHECK(compared > 100);
    CHECK(worst[0] < pos_m && worst[1] < yaw_rad && worst[2] < joint_rad);
    close_room(&w);
}

static void panda_says_what_the_room_says(void) {
    says_what_the_room_says("panda_kitchen", 4e-4, 4e-3, 0.01);
}
static void so101_says_what_the_room_says(void) {
    says_what_the_room_says("so101", 4e-4, 4e-3, 0.01);
}
static void aloha_says_what_the_room_says(void) {
    says_what_the_room_says("aloha", 4e-4, 4e-3, 0.01);
}

/* A step of a tenth of a millimetre, many times: small wishes are not swallowed. */
static void slow_motion_arrives(void) {
    fw_body *b;
    fw_err err;
    float q[FW_BODY_AXIS_MAX], action[FW_DIM_MAX] = {1e-4f};
    double p[2][3], yaw;
    must(fw_body_open(fw_home(), "panda_kitchen", &b, &err), &err);
    action[4] = 1;
    fw_body_home(b, q);
    fw_body_hand(b, q, 0, p[0], &yaw);
    for (int i = 0; i < 100; i++) {
        CHECK(fw_body_target(b, q, NULL, action, q));
    }
    fw_body_hand(b, q, 0, p[1], &yaw);
    NEAR(p[1][0] - p[0][0], 0.01, 5e-4);
    NEAR(p[1][1] - p[0][1], 0, 5e-4);
    fw_body_close(b);
}

/* What was asked for is what is told of it afterwards. */
static void an_action_can_be_told_from_its_ends(const char *name) {
    fw_body *b;
    fw_err err;
    fw_rng rng = fw_rng_stream(3, "told");
    float q[FW_BODY_AXIS_MAX], to[FW_BODY_AXIS_MAX], action[FW_DIM_MAX], told[FW_DIM_MAX];
    must(fw_body_open(fw_home(), name, &b, &err), &err);
    const fw_embodiment *e = fw_body_embodiment(b);
    fw_body_home(b, q);
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < e->n_action; k++) {
            const fw_dim *d = &e->action[k];
            const double small = d->meaning == FW_MEANING_GRIPPER ? 1 : 0.3;
            action[k] = (float)(small * fw_rng_uniform(&rng, d->min, d->max));
        }
        CHECK(fw_body_target(b, q, NULL, action, to));
        fw_body_action(b, q, to, told);
        for (int k = 0; k < e->n_action; k++) {
            NEAR(told[k], action[k], e->action[k].meaning == FW_MEANING_GRIPPER ? 0.01 : 0.004);
        }
        fw_body_home(b, q);
    }
    fw_body_close(b);
}

static void actions_can_be_told_from_their_ends(void) {
    an_action_can_be_told_from_its_ends("panda_kitchen");
    an_action_can_be_told_from_its_ends("aloha");
}

static void what_is_no_number_is_refused(void) {
    fw_body *b;
    fw_err err;
    float q[FW_BODY_AXIS_MAX], out[FW_BODY_AXIS_MAX], action[FW_DIM_MAX] = {0};
    must(fw_body_open(fw_home(), "panda_kitchen", &b, &err), &err);
    fw_body_home(b, q);
    CHECK(fw_body_target(b, q, NULL, action, out));
    action[1] = NAN;
    CHECK(!fw_body_target(b, q, NULL, action, out));
    action[1] = 0;
    q[2] = INFINITY;
    CHECK(!fw_body_target(b, q, NULL, action, out));
    fw_body_close(b);
}

/* A blocked hand: the set-point runs ahead of what was measured by the lead at most. */
static void a_blocked_hand_does_not_wind_up(void) {
    fw_body *b;
    fw_err err;
    float stuck[FW_BODY_AXIS_MAX], q[FW_BODY_AXIS_MAX], action[FW_DIM_MAX] = {0, 0, -0.05f, 0, 1};
    double p[2][3], yaw;
    must(fw_body_open(fw_home(), "panda_kitchen", &b, &err), &err);
    fw_body_home(b, stuck);
    memcpy(q, stuck, sizeof q);
    for (int i = 0; i < 20; i++) {
        CHECK(fw_body_target(b, q, stuck, action, q));
    }
    fw_body_hand(b, stuck, 0, p[0], &yaw);
    fw_body_hand(b, q, 0, p[1], &yaw);
    NEAR(p[0][2] - p[1][2], 0.08, 0.002); /* the lead and one step */
    fw_body_close(b);
}

/* Simulated motion obeys M a + coriolis + gravity = torque: with the motors off, no friction, and gravity on. */
static void dynamics_are_those_of_the_simulation(void) {
    room w = open_room("panda_kitchen");
    fw_rng rng = fw_rng_stream(8, "body");
    double q[FW_BODY_AXIS_MAX], v[FW_BODY_AXIS_MAX], M[FW_BODY_AXIS_MAX * FW_BODY_AXIS_MAX], c[FW_BODY_AXIS_MAX],
        g[FW_BODY_AXIS_MAX];
    w.m->opt.disableflags |= mjDSBL_CONSTRAINT | mjDSBL_ACTUATION | mjDSBL_SPRING | mjDSBL_DAMPER;
    mju_zero(w.m->body_gravcomp, (int)w.m->nbody);
    w.m->ngravcomp = 0;
    for (int i = 0; i < 7; i++) { /* the arm alone: the fingers follow by a constraint */
        const int at = w.m->jnt_qposadr[w.joint[i]];
        w.d->qpos[at] += fw_rng_uniform(&rng, -0.5, 0.5);
        w.d->qvel[w.m->jnt_dofadr[w.joint[i]]] = fw_rng_uniform(&rng, -1, 1);
    }
    mj_forward(w.m, w.d);
    for (int i = 0; i < w.n; i++) {
        q[i] = w.d->qpos[w.m->jnt_qposadr[w.joint[i]]];
        v[i] = w.d->qvel[w.m->jnt_dofadr[w.joint[i]]];
    }
    CHECK_NO_ALLOC(fw_body_dynamics(w.b, q, v, M, c, g));
    double left[FW_BODY_AXIS_MAX], most = 0;
    double torque[FW_BODY_AXIS_MAX] = {0}, full[64 * 64];
    mj_fullM(w.m, w.d, full);
    for (int i = 0; i < 7;
         i++) { /* torque that the axes would need for this acceleration: 0 but for the fingers' share */
        const int vi = w.m->jnt_dofadr[w.joint[i]];
        left[i] = c[i] + g[i];
        most = fmax(most, fabs(g[i]));
        for (int k = 0; k < 7; k++) {
            left[i] += M[i * w.n + k] * w.d->qacc[w.m->jnt_dofadr[w.joint[k]]];
            NEAR(M[i * w.n + k], M[k * w.n + i], 1e-12);
        }
        for (int f = 0; f < w.r->arm[0].grip.n_joint; f++) {
            const int vf = w.m->jnt_dofadr[mj_name2id(w.m, mjOBJ_JOINT, w.r->arm[0].grip.joint[f])];
            torque[i] += full[vi * w.m->nv + vf] * w.d->qacc[vf];
        }
        NEAR(left[i] + torque[i], 0, 1e-6);
    }
    CHECK(most > 5);             /* there was gravity to carry */
    CHECK(M[7 * w.n + 7] > 0.4); /* both fingers and their rotors */
    close_room(&w);
}

static void links_reach_from_the_base_to_the_hand(void) {
    fw_body *b;
    fw_err err;
    float q[FW_BODY_AXIS_MAX], xyzr[7 * FW_BODY_LINK_MAX];
    double hand[3], yaw, nearest = 1;
    must(fw_body_open(fw_home(), "so101", &b, &err), &err);
    fw_body_home(b, q);
    fw_body_links(b, q, xyzr);
    fw_body_hand(b, q, 0, hand, &yaw);
    CHECK(fw_body_n_link(b) >= 6);
    for (int i = 0; i < fw_body_n_link(b); i++) {
        const float *x = xyzr + 7 * i;
        double end[3] = {(double)x[3], (double)x[4], (double)x[5]};
        CHECK(x[6] > 0 && x[6] < 0.1f && isfinite(x[0]));
        nearest = fmin(nearest, mju_dist3(end, hand));
    }
    CHECK(nearest < 0.06);
    fw_body_close(b);
}

static void nothing_allocates_after_open(void) {
    fw_body *b;
    fw_err err;
    float q[FW_BODY_AXIS_MAX], state[FW_DIM_MAX], action[FW_DIM_MAX] = {0.01f, 0.02f, 0, 0.1f, 0.5f},
                                                  xyzr[7 * FW_BODY_LINK_MAX];
    must(fw_body_open(fw_home(), "panda_kitchen", &b, &err), &err);
    fw_body_home(b, q);
    CHECK_NO_ALLOC(fw_body_state(b, q, action, state));
    CHECK_NO_ALLOC((void)fw_body_target(b, q, q, action, q));
    CHECK_NO_ALLOC(fw_body_links(b, q, xyzr));
    fw_body_close(b);
}

static void what_is_no_arm_is_refused(void) {
    fw_body *b;
    fw_err err;
    CHECK_INT(fw_body_open(fw_home(), "panda_mobile", &b, &err), FW_UNSUPPORTED);
    CHECK(strstr(err.msg, "base") != NULL && b == NULL);
    CHECK_INT(fw_body_open(fw_home(), "../so101", &b, &err), FW_INVALID);
    CHECK(fw_body_open(fw_home(), "nobody", &b, &err) != FW_OK);
}

FW_TEST_MAIN(T(panda_says_what_the_room_says), T(so101_says_what_the_room_says), T(aloha_says_what_the_room_says),
             T(slow_motion_arrives), T(actions_can_be_told_from_their_ends), T(what_is_no_number_is_refused),
             T(a_blocked_hand_does_not_wind_up), T(dynamics_are_those_of_the_simulation),
             T(links_reach_from_the_base_to_the_hand), T(nothing_allocates_after_open), T(what_is_no_arm_is_refused))
