/* ctest: timeout=300 */
/* The same pick and place by every robot; the bar of 200 seeds a robot is measured by `flywheel eval` (docs/ROBOTS.md). */
#include <math.h>

#include "table_bar.h"
#include "task/task_int.h"

static void expert_solves_a_few_seeds_with_every_robot(void) {
    static const char *const all[] = {"aloha", "panda_mobile", "kinova3"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK(table_successes(all[i], 910, 4) >= 3);
    }
}

/* Which arms carried the block over some seeds: each is used, and never both in one episode. */
static void either_arm_of_two_takes_the_block(void) {
    fw_env *env = table_open("aloha");
    fw_err err = {FW_OK, ""};
    unsigned used = 0;
    for (uint64_t seed = 920; seed < 926; seed++) {
        unsigned held = 0;
        bool done = false;
        CHECK(fw_env_reset(env, 0, seed, &err) == FW_OK);
        while (!fw_env_done(env)) {
            float a[FW_DIM_MAX];
            CHECK(fw_expert_act(env, a, &done, &err) == FW_OK);
            CHECK(fw_env_step(env, a, &err) == FW_OK);
            held |= fw_sim_scene(fw_env_sim(env))->obj[0].held_by;
        }
        CHECK(held == 1 || held == 2);
        used |= held;
    }
    CHECK_INT(used, 3);
    fw_env_close(env);
}

/* It begins away from the table and turned, drives up to it, and sideways when the block or the tray wants it. */
static void a_mobile_robot_drives_to_its_work(void) {
    fw_env *env = table_open("panda_mobile");
    fw_err err = {FW_OK, ""};
    double furthest = 0;
    for (uint64_t seed = 930; seed < 933; seed++) {
        bool done = false;
        CHECK(fw_env_reset(env, 0, seed, &err) == FW_OK);
        const fw_scene *s = fw_sim_scene(fw_env_sim(env));
        double from = s->base[1];
        CHECK(s->mobile && s->base[0] < -0.04);
        while (!fw_env_done(env)) {
            float a[FW_DIM_MAX];
            CHECK(fw_expert_act(env, a, &done, &err) == FW_OK);
            CHECK(fw_env_step(env, a, &err) == FW_OK);
            furthest = fmax(furthest, fabs(s->base[1] - from));
        }
        CHECK(fabs(s->base[0]) < 0.03 && fabs(s->base[2]) < 0.04);
    }
    CHECK(furthest > 0.15);
    fw_env_close(env);
}

/* The arm's pull moves the base by some mm. A base at the edge of its place that drove again for that would never let the hand come
 * down: it drives for 2 cm while the hand is high, for 5 cm once the hand is low (and then raises it first). */
static void a_base_that_an_arm_pulls_at_drives_only_while_the_hand_is_high(void) {
    static const struct {
        double off_m, yaw_rad, hand_m;
        bool drives, rolls;
    } cases[] = {{0.019, 0, 0.26, false, false}, {0.021, 0, 0.26, true, true},   {0.021, 0, 0.22, true, true},
                 {0.021, 0, 0.20, false, false}, {0.049, 0, 0.02, false, false}, {0.051, 0, 0.02, true, false},
                 {0, 0.031, 0.26, true, true},   {0, 0.031, 0.02, false, false}, {0, -0.08, 0.02, true, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fw_scene s = {.n_arm = 1, .mobile = true, .base = {-cases[i].off_m, 0, cases[i].yaw_rad}};
        fw_expert_out out = {.phase = ""};
        s.reach.carry_m = 0.26;
        s.arm[0].pos[2] = cases[i].hand_m;
        CHECK(expert_drive(&s, 0, (double[]){0.5, 0.1, 0}, &out) == cases[i].drives);
        CHECK((out.base[0] > 0 || out.base[2] != 0) == cases[i].rolls);
        CHECK((out.hand[0].dpos[2] > 0) == (cases[i].drives && cases[i].hand_m < 0.26));
    }
}

/* Scenes where the base comes to rest at the edge of its place. */
static void a_base_at_the_edge_of_its_place_lets_the_arm_work(void) {
    CHECK_INT(table_successes("panda_mobile", 500009, 1), 1);
    CHECK_INT(table_successes("panda_mobile", 500017, 3), 3);
    CHECK_INT(table_successes("panda_mobile", 86484465545332, 1),
              1); /* its sway makes two sides of the block the nearer in turn */
}

/* Where a mug that is put down at x, y of a home's kitchen is a second later: m above the worktop. */
static double mug_height(fw_env *env, double x, double y) {
    fw_err err = {FW_OK, ""};
    const float still[FW_DIM_MAX] = {0};
    int task = fw_env_task_find(env, "mug_in_sink");
    CHECK(fw_env_reset(env, task, 950, &err) == FW_OK && fw_env_home(env) != 0);
    int mug = fw_scene_obj(fw_sim_scene(fw_env_sim(env)), "mug");
    fw_sim_place(fw_env_sim(env), mug, (double[]){x, y, 0.002}, 0, true);
    for (int i = 0; i < 10; i++) {
        CHECK(fw_env_step(env, still, &err) == FW_OK);
    }
    return fw_sim_scene(fw_env_sim(env))->obj[mug].pos[2];
}

/* A robot on a worktop has it all round; before one on the floor it begins at the edge that its file names, also with a sink. */
static void a_worktop_ends_before_a_robot_on_the_floor(void) {
    static const char *const robots[] = {"panda_kitchen", "panda_mobile"};
    for (int i = 0; i < 2; i++) {
        fw_err err = {FW_OK, ""};
        fw_env *env = NULL;
        CHECK(fw_env_open("kitchen4", &(fw_env_opts){.embodiment = robots[i]}, &env, &err) == FW_OK);
        CHECK(fabs(mug_height(env, 0.26, -0.55)) < 0.01);
        CHECK(i == 0 ? fabs(mug_height(env, 0.02, -0.55)) < 0.01 : mug_height(env, 0.02, -0.55) < -0.3);
        CHECK_INT(expert_successes(env, fw_env_task_find(env, "mug_in_sink"), 951, 1), 1);
        fw_env_close(env);
    }
}

/* A grasp's yaw is the same line, within a quarter turn of the middle of that arm's wrist, however a base is turned just now. */
static void a_grasp_is_turned_the_way_the_wrist_has_room(void) {
    static const struct {
        const char *robot;
        double middle;
    } cases[] = {{"so101", M_PI / 2}, {"ur5e", 0}, {"panda_kitchen", 0.3008}, {"panda_mobile", 0.3008}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fw_env *env = table_open(cases[i].robot);
        fw_err err = {FW_OK, ""};
        CHECK(fw_env_reset(env, 0, 960, &err) == FW_OK);
        const fw_scene *s = fw_sim_scene(fw_env_sim(env));
        CHECK((s->base[2] != 0) == s->mobile);
        for (double yaw = -7; yaw < 7; yaw += 0.05) {
            double turned = expert_half_turn(&s->arm[0], yaw);
            CHECK(fabs(remainder(turned - yaw, M_PI)) < 1e-9 && fabs(turned - cases[i].middle) < M_PI / 2 + 0.001);
        }
        fw_env_close(env);
    }
}

/* They are never trained on, but stand, see and act as the others do. */
static void held_out_robots_load_and_act(void) {
    static const char *const held[] = {"kinova3", "openarm"};
    for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
        fw_env *env = table_open(held[i]);
        fw_err err = {FW_OK, ""};
        fw_obs obs;
        bool done = false;
        double least = 1;
        CHECK(fw_env_embodiment(env)->held_out);
        CHECK(fw_env_reset(env, 0, 940, &err) == FW_OK);
        const fw_scene *s = fw_sim_scene(fw_env_sim(env));
        for (int step = 0; step < 25 && !done; step++) {
            float a[FW_DIM_MAX];
            CHECK(fw_env_observe(env, &obs, &err) == FW_OK && obs.n_state == fw_env_embodiment(env)->n_state);
            CHECK(fw_expert_act(env, a, &done, &err) == FW_OK && fw_env_step(env, a, &err) == FW_OK);
            for (int k = 0; k < s->n_arm; k++) {
                least = fmin(least, hypot(s->arm[k].pos[0] - s->obj[0].pos[0], s->arm[k].pos[1] - s->obj[0].pos[1]));
            }
        }
        CHECK(least < 0.02); /* a hand went to the block */
        fw_env_close(env);
    }
}

FW_TEST_MAIN(T(expert_solves_a_few_seeds_with_every_robot), T(either_arm_of_two_takes_the_block),
             T(a_mobile_robot_drives_to_its_work), T(a_base_that_an_arm_pulls_at_drives_only_while_the_hand_is_high),
             T(a_base_at_the_edge_of_its_place_lets_the_arm_work), T(a_worktop_ends_before_a_robot_on_the_floor),
             T(a_grasp_is_turned_the_way_the_wrist_has_room), T(held_out_robots_load_and_act))
