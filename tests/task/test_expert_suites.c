/* ctest: timeout=300 */
#include "expert_bar.h"

/* The experts of a suite, n seeds a task: all of them. */
static void every_seed(const char *suite, int n) {
    fw_env *env = open_suite(suite);
    for (int t = 0; t < fw_env_n_task(env); t++) {
        CHECK_INT(expert_successes(env, t, 91000, n), n);
    }
    fw_env_close(env);
}

static void experts_do_the_furniture_tasks(void) {
    every_seed("furniture3", 3);
}

static void experts_fold_and_tuck_cartons(void) {
    every_seed("packing", 5);
}

static void experts_fold_laundry(void) {
    every_seed("laundry", 1);
}

/* Every draw that a folding episode depends on comes from its seeds: the same ones give the same bits, vertex for vertex. */
static void folding_episodes_replay_to_the_same_bits(void) {
    enum { STEPS = 20, CAP = 2000 };
    static double first[CAP], again[CAP];
    fw_err err;
    size_t n = 0;
    for (int run = 0; run < 2; run++) {
        fw_env *env = open_suite("laundry");
        CHECK_INT(fw_env_reset(env, 0, 91007, &err), FW_OK);
        for (int i = 0; i < STEPS; i++) {
            float a[FW_DIM_MAX];
            bool done;
            CHECK_INT(fw_expert_act(env, a, &done, &err), FW_OK);
            CHECK_INT(fw_env_step(env, a, &err), FW_OK);
        }
        n = fw_env_physics_state(env, run == 0 ? first : again, CAP);
        fw_env_close(env);
    }
    CHECK(n > 2 * 3 * 144 && n <= CAP); /* the towel's vertices are in it */
    CHECK(memcmp(first, again, n * sizeof *first) == 0);
}

/* Where the towel lies comes from the layout seed, how heavy and slippery it is from the dynamics seed, its colour from another. */
static void cloth_feels_as_its_dynamics_seed_says(void) {
    enum { CAP = 2000 };
    static double a[CAP], b[CAP];
    fw_err err;
    fw_env *env = open_suite("laundry");
    fw_seeds seeds = fw_seeds_all(91007);
    CHECK_INT(fw_env_reset_seeds(env, 0, &seeds, &err), FW_OK);
    size_t n = fw_env_physics_state(env, a, CAP);
    CHECK(n <= CAP);
    seeds.visual++;
    CHECK_INT(fw_env_reset_seeds(env, 0, &seeds, &err), FW_OK);
    fw_env_physics_state(env, b, CAP);
    CHECK(memcmp(a, b, n * sizeof *a) == 0);
    seeds.dynamics++;
    CHECK_INT(fw_env_reset_seeds(env, 0, &seeds, &err), FW_OK);
    fw_env_physics_state(env, b, CAP);
    CHECK(memcmp(a, b, n * sizeof *a) != 0); /* it settled otherwise */
    fw_env_close(env);
}

FW_TEST_MAIN(T(experts_do_the_furniture_tasks), T(experts_fold_and_tuck_cartons), T(experts_fold_laundry),
             T(folding_episodes_replay_to_the_same_bits), T(cloth_feels_as_its_dynamics_seed_says))
