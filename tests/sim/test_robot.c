/* ctest: timeout=300 */
/* Every embodiment with a "model", standing alone on a floor: it loads, its hand goes where it is told, its fingers hold. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "fw_test.h"
#include "sim/robot.h"

static const char *const all[] = {
    "panda_kitchen", "aloha", "xarm7", "ur5e", "so101", "panda_mobile", "kinova3",
};
enum { N_ROBOT = sizeof all / sizeof *all };

typedef struct room {
    fw_robot *r;
    mjModel *m;
    mjData *d, *ik;
    int n_sub;
    fw_scene scene;
} room;

static void must(fw_status st, const fw_err *err) {
    if (st != FW_OK) {
        FW_FAILED("%s", err->msg);
    }
}

/* A floor at z = 0 and, if wanted, a cube of 0.9 kg/l. */
static mjSpec *make_floor(const double *cube, double side) {
    mjSpec *s = mj_makeSpec();
    s->compiler.degree = 0;
    s->option.timestep = 0.002;
    s->option.integrator = mjINT_IMPLICITFAST;
    s->option.cone = mjCONE_ELLIPTIC;
    s->option.impratio = 100;
    mjsBody *world = mjs_findBody(s, "world");
    mjsGeom *g = mjs_addGeom(world, NULL);
    g->type = mjGEOM_PLANE;
    g->size[0] = g->size[1] = 3, g->size[2] = 0.1;
    g->contype = 1, g->conaffinity = 3;
    if (cube != NULL) {
        mjsBody *b = mjs_addBody(world, NULL);
        mjs_setName(b->element, "cube");
        mju_copy3(b->pos, cube);
        mjs_addFreeJoint(b);
        g = mjs_addGeom(b, NULL);
        g->type = mjGEOM_BOX;
        g->size[0] = g->size[1] = g->size[2] = side / 2;
        g->density = 940;
        g->condim = 4;
        g->friction[0] = 0.6;
        g->contype = 1, g->conaffinity = 3;
    }
    return s;
}

static room open_room(const char *name, const double *cube, double side) {
    fw_err err = {FW_OK, ""};
    room w = {0};
    must(robot_load(fw_home(), name, &w.r, &err), &err);
    mjSpec *s = make_floor(cube, side);
    must(robot_attach(w.r, s, &err), &err);
    w.m = mj_compile(s, NULL);
    if (w.m == NULL) {
        FW_FAILED("%s: %s", name, mjs_getError(s));
    }
    mj_deleteSpec(s);
    must(robot_bind(w.r, w.m, &err), &err);
    w.d = mj_makeData(w.m);
    w.ik = mj_makeData(w.m);
    w.n_sub = (int)lround(1 / robot_embodiment(w.r)->rate_hz / w.m->opt.timestep);
    return w;
}

static void close_room(room *w) {
    mj_deleteData(w->ik);
    mj_deleteData(w->d);
    mj_deleteModel(w->m);
    robot_free(w->r);
}

static void start(room *w, const fw_arm_start *at) {
    fw_arm_start home[FW_ARM_MAX];
    for (int i = 0; i < robot_n_arm(w->r); i++) {
        robot_home(w->r, i, &home[i]);
    }
    mj_resetData(w->m, w->d);
    robot_start(w->r, w->m, w->d, w->ik, NULL, at != NULL ? at : home);
    mj_forward(w->m, w->d);
    robot_view(w->r, w->m, w->d, &w->scene);
}

static void step(room *w, const float *action) {
    robot_plan(w->r, w->m, w->d, w->ik, action);
    for (int i = 0; i < w->n_sub; i++) {
        robot_apply(w->r, w->m, w->d, (double)(i + 1) / w->n_sub);
        mj_step(w->m, w->d);
    }
    robot_finish(w->r);
    mj_forward(w->m, w->d);
    robot_view(w->r, w->m, w->d, &w->scene);
    CHECK(w->d->warning[mjWARN_BADQACC].number == 0);
}

/* The action that moves arm a towards pos, yaw; other arms stay. */
static void step_to(room *w, int a, const double pos[3], double yaw, double grip) {
    const fw_embodiment *e = robot_embodiment(w->r);
    float action[FW_DIM_MAX] = {0};
    int n_pos[FW_ARM_MAX] = {0};
    for (int i = 0; i < e->n_action; i++) {
        const fw_dim *d = &e->action[i];
        int k = d->arm;
        if (d->meaning == FW_MEANING_EE_DELTA_POS) {
            int c = n_pos[k]++;
            action[i] = k == a ? (float)(pos[c] - w->scene.arm[a].pos[c]) : 0;
        } else if (d->meaning == FW_MEANING_EE_DELTA_YAW) {
            action[i] = k == a ? (float)remainder(yaw - w->scene.arm[a].yaw, 2 * mjPI) : 0;
        } else if (d->meaning == FW_MEANING_GRIPPER) {
            action[i] = k == a ? (float)grip : (float)w->scene.arm[k].command;
        }
    }
    step(w, action);
}

static double go(room *w, int a, const double pos[3], double yaw, double grip, int steps) {
    for (int i = 0; i < steps; i++) {
        step_to(w, a, pos, yaw, grip);
    }
    return mju_dist3(pos, w->scene.arm[a].pos);
}

/* Places of the work area: its corners at a low and a high height, in turn. A mobile robot's is wider than its arm reaches. */
static void place(const fw_reach *r, bool mobile, int i, double pos[3]) {
    double side = mobile ? fmin(r->side_m, 0.36) : r->side_m;
    pos[0] = i & 1 ? r->far_m : r->near_m;
    pos[1] = i & 2 ? side : -side;
    pos[2] = i & 4 ? r->carry_m : 0.03;
}

static void hand_goes_where_it_is_told(void) {
    for (int n = 0; n < N_ROBOT; n++) {
        room w = open_room(all[n], NULL, 0);
        const fw_reach *r = robot_reach(w.r);
        start(&w, NULL);
        double worst = 0;
        for (int i = 0; i < 8; i++) {
            double pos[3], yaw = w.scene.arm[0].home_yaw + (i % 3 - 1) * 0.6;
            place(r, w.scene.mobile, i, pos);
            double left = go(&w, 0, pos, yaw, 1, 40), turn = fabs(remainder(yaw - w.scene.arm[0].yaw, 2 * mjPI));
            worst = fmax(worst, left);
            if (!(left < 0.005) || !(turn < 0.03)) {
                FW_FAILED("%s: hand told (%.3f %.3f %.3f yaw %.2f) is %.1f mm and %.3f rad away", all[n], pos[0],
                          pos[1], pos[2], yaw, 1000 * left, turn);
            }
        }
        fprintf(stderr, "%-16s worst %.2f mm\n", all[n], 1000 * worst);
        close_room(&w);
    }
}

/* A cube of half the opening: as wide as 4 cm for a hand that opens 8. */
static void fingers_hold_a_cube_that_is_lifted(void) {
    for (int n = 0; n < N_ROBOT; n++) {
        fw_err err;
        fw_robot *r;
        must(robot_load(fw_home(), all[n], &r, &err), &err);
        const fw_reach reach = *robot_reach(r);
        robot_free(r);
        double side = fmin(0.04, reach.opening_m / 2), hover = fmin(0.12, reach.carry_m + side / 2);
        double cube[3] = {(reach.near_m + reach.far_m) / 2, 0.3 * reach.side_m, side / 2 + 1e-4}, at[3];
        room w = open_room(all[n], cube, side);
        int body = mj_name2id(w.m, mjOBJ_BODY, "cube");
        start(&w, NULL);
        double home = w.scene.arm[0].home_yaw, yaw = home + remainder(-home, mjPI / 2);
        mju_copy3(at, cube);
        at[2] = hover;
        go(&w, 0, at, yaw, 1, 30);
        at[2] = fmax(side / 2, 0.014);
        go(&w, 0, at, yaw, 1, 15);
        go(&w, 0, at, yaw, 0, 8);
        double wide = w.scene.arm[0].opening * w.scene.arm[0].opening_m;
        at[2] = hover;
        go(&w, 0, at, yaw, 0, 30);
        double lifted = w.d->xpos[3 * body + 2] - cube[2], slid = mju_dist3(w.d->xpos + 3 * body, w.scene.arm[0].pos);
        fprintf(stderr, "%-16s lifted %.1f mm, pads %.1f mm apart, %.1f mm off the middle\n", all[n], 1000 * lifted,
                1000 * wide, 1000 * slid);
        if (!(lifted > 0.8 * (hover - side / 2)) || !(fabs(wide - side) < 0.006) || !(slid < 0.015)) {
            FW_FAILED("%s does not hold the cube", all[n]);
        }
        close_room(&w);
    }
}

static void same_actions_after_restore_give_the_same_bits(void) {
    room w = open_room(all[0], NULL, 0);
    start(&w, NULL);
    double a[3] = {0.5, 0.1, 0.2}, b[3] = {0.55, -0.1, 0.1}, first[64], second[64];
    go(&w, 0, a, 0.3, 0.5, 4);
    void *mem = malloc(robot_memory_size(w.r));
    robot_save(w.r, mem);
    mjData *kept = mj_copyData(NULL, w.m, w.d);
    go(&w, 0, b, 0, 1, 6);
    mju_copy(first, w.d->qpos, (int)w.m->nq);
    mj_copyData(w.d, w.m, kept);
    robot_restore(w.r, mem);
    robot_view(w.r, w.m, w.d, &w.scene);
    go(&w, 0, b, 0, 1, 6);
    mju_copy(second, w.d->qpos, (int)w.m->nq);
    CHECK(memcmp(first, second, (size_t)w.m->nq * sizeof *first) == 0);
    mj_deleteData(kept);
    free(mem);
    close_room(&w);
}

static void state_and_parts_mean_what_they_say(void) {
    room w = open_room(all[0], NULL, 0);
    float state[FW_DIM_MAX];
    start(&w, NULL);
    go(&w, 0, (double[]){0.5, 0.1, 0.2}, 0.3, 0.25, 20);
    robot_state(w.r, w.m, w.d, state);
    CHECK(fabsf(state[0] - 0.5f) < 0.003f && fabsf(state[1] - 0.1f) < 0.003f && fabsf(state[2] - 0.2f) < 0.003f);
    CHECK(fabsf(state[3] - 0.3f) < 0.01f && fabsf(state[4] - 0.25f) < 0.02f && fabsf(state[5] - 0.25f) < 1e-6f);
    CHECK_INT(robot_part(w.r, w.m, 0), -1);
    CHECK_INT(robot_part(w.r, w.m, mj_name2id(w.m, mjOBJ_BODY, "link3")), ROBOT_REST);
    CHECK_INT(robot_part(w.r, w.m, mj_name2id(w.m, mjOBJ_BODY, "right_gripper")), ROBOT_HAND);
    CHECK_INT(robot_part(w.r, w.m, mj_name2id(w.m, mjOBJ_BODY, "finger_joint1_tip")), ROBOT_FINGER1);
    CHECK_INT(robot_part(w.r, w.m, mj_name2id(w.m, mjOBJ_BODY, "rightfinger")), ROBOT_FINGER2);
    close_room(&w);
}

/* Speeds are of the base's own frame; the hand keeps its place in that frame, wherever the base goes and began. */
static void a_mobile_base_carries_its_arm(void) {
    room w = open_room("panda_mobile", NULL, 0);
    const fw_embodiment *e = robot_embodiment(w.r);
    const double began[3] = {-0.2, 0.1, 0.3}, speed[3] = {0.2, -0.1, 0.3};
    double want[3] = {began[0], began[1], began[2]};
    float action[FW_DIM_MAX] = {0}, before[FW_DIM_MAX], after[FW_DIM_MAX];
    fw_arm_start home;
    robot_home(w.r, 0, &home);
    mj_resetData(w.m, w.d);
    robot_start(w.r, w.m, w.d, w.ik, began, &home);
    mj_forward(w.m, w.d);
    robot_state(w.r, w.m, w.d, before);
    for (int k = 0; k < 3; k++) {
        CHECK(fabs((double)before[k] - home.pos[k]) < 0.001);
    }
    for (int i = 0; i < 15; i++) {
        for (int k = 0, n = 0; k < e->n_action; k++) {
            action[k] = e->action[k].meaning == FW_MEANING_BASE_VEL && i < 10 ? (float)speed[n++] : 0;
        }
        double c = cos(want[2]), sn = sin(want[2]), dt = i < 10 ? 1 / e->rate_hz : 0;
        want[0] += dt * (c * speed[0] - sn * speed[1]);
        want[1] += dt * (sn * speed[0] + c * speed[1]);
        want[2] += dt * speed[2];
        step(&w, action);
    }
    robot_state(w.r, w.m, w.d, after);
    for (int k = 0; k < 3; k++) {
        CHECK(w.scene.mobile && fabs(w.scene.base[k] - want[k]) < 0.005);
        CHECK(fabsf(after[k] - before[k]) < 0.004f);
    }
    CHECK(fabsf(after[3] - before[3]) < 0.01f);
    double far = hypot(w.scene.arm[0].pos[0] - w.scene.base[0], w.scene.arm[0].pos[1] - w.scene.base[1]);
    CHECK(fabs(far - hypot(home.pos[0], home.pos[1])) < 0.005);
    close_room(&w);
}

/* The same room twice from one loaded robot: homes are compiled again and again. */
static void a_robot_can_be_attached_again(void) {
    room w = open_room(all[0], NULL, 0);
    double cube[3] = {0.5, 0, 0.3};
    fw_err err;
    mjSpec *s = make_floor(cube, 0.04);
    must(robot_attach(w.r, s, &err), &err);
    mjModel *m = mj_compile(s, NULL);
    CHECK(m != NULL && m->nbody == w.m->nbody + 1 && m->nu == w.m->nu);
    must(robot_bind(w.r, m, &err), &err);
    mj_deleteModel(m);
    mj_deleteSpec(s);
    close_room(&w);
}

static void what_is_missing_is_named(void) {
    fw_err err = {FW_OK, ""};
    fw_robot *r = NULL;
    CHECK_INT(robot_load("/nowhere", "panda_kitchen", &r, &err), FW_IO);
    CHECK(strstr(err.msg, "/nowhere/embodiments/panda_kitchen.json") != NULL);
    CHECK_INT(robot_load(fw_home(), "cr5", &r, &err), FW_FORMAT);
    CHECK(strstr(err.msg, "cr5.json") != NULL && strstr(err.msg, "model") != NULL);
}

FW_TEST_MAIN(T(hand_goes_where_it_is_told), T(fingers_hold_a_cube_that_is_lifted),
             T(same_actions_after_restore_give_the_same_bits), T(state_and_parts_mean_what_they_say),
             T(a_mobile_base_carries_its_arm), T(a_robot_can_be_attached_again), T(what_is_missing_is_named))
