/* ctest: timeout=300 */
/* The same pick and place by every robot; the bar of 200 seeds a robot is measured by `flywheel eval` (docs/ROBOTS.md). */
#include <math.h>
#include <string.h>

#include "expert_bar.h"

static fw_env *open_table(const char *robot) {
    fw_err err = {FW_OK, ""};
    fw_env *env = NULL;
    if (fw_env_open("table", &(fw_env_opts){.render = false, .embodiment = robot}, &env, &err) != FW_OK) {
        FW_FAILED("%s: %s", robot, err.msg);
    }
    return env;
}

static void expert_solves_a_few_seeds_with_every_robot(void) {
    static const char *const all[] = {"aloha", "panda_mobile", "kinova3"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        fw_env *env = open_table(all[i]);
        printf("%s\n", all[i]);
        CHECK(expert_successes(env, 0, 910, 4) >= 3);
        fw_env_close(env);
    }
}

/* Which arms carried the block over some seeds: each is used, and never both in one episode. */
static void either_arm_of_two_takes_the_block(void) {
    fw_env *env = open_table("aloha");
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
    fw_env *env = open_table("panda_mobile");
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

FW_TEST_MAIN(T(expert_solves_a_few_seeds_with_every_robot), T(either_arm_of_two_takes_the_block),
             T(a_mobile_robot_drives_to_its_work))
