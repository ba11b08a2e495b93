/* ctest: timeout=300 */
/* The pick and place that every robot must be able to do, by the training robots: SO-101, xArm7, UR5e with its 2F85. */
#include "table_bar.h"

static void expert_solves_seeds_with_so101(void) {
    CHECK_INT(table_successes("so101", 900, 5), 5);
}

static void expert_solves_seeds_with_xarm7(void) {
    CHECK_INT(table_successes("xarm7", 900, 4), 4);
}

static void expert_solves_seeds_with_ur5e(void) {
    CHECK_INT(table_successes("ur5e", 900, 4), 4);
}

/* The block is grasped with the wrist near its middle: a turn of a quarter, not of the joint's last degrees. */
static void a_wrist_stays_away_from_its_stops(void) {
    fw_err err = {FW_OK, ""};
    fw_env *env = table_open("so101");
    for (uint64_t seed = 910; seed < 913; seed++) {
        bool done = false;
        CHECK_INT(fw_env_reset(env, 0, seed, &err), FW_OK);
        while (!fw_env_done(env)) {
            float a[FW_DIM_MAX];
            const fw_arm_view *arm = &fw_sim_scene(fw_env_sim(env))->arm[0];
            CHECK(fabs(arm->yaw - arm->home_yaw) < 1.0);
            CHECK_INT(fw_expert_act(env, a, &done, &err), FW_OK);
            CHECK_INT(fw_env_step(env, a, &err), FW_OK);
        }
    }
    fw_env_close(env);
}

FW_TEST_MAIN(T(expert_solves_seeds_with_so101), T(expert_solves_seeds_with_xarm7), T(expert_solves_seeds_with_ur5e),
             T(a_wrist_stays_away_from_its_stops))
