/* ctest: timeout=1800 label=slow */
#include "expert_bar.h"

static void expert_reaches_95_percent_of_200_unseen_seeds_a_task(void) {
    fw_env *env = open_blind();
    for (int t = 0; t < fw_env_n_task(env); t++) {
        CHECK(expert_successes(env, t, 500000, 200) >= 190);
    }
    fw_env_close(env);
}

/* The bars of docs/TASKS.md, on fewer seeds than it reports. */
static void other_suites_hold_their_bars(void) {
    static const struct {
        const char *suite, *task;
        int n;
        double bar;
    } rows[] = {{"furniture3", "put_in_drawer", 20, 0.95}, {"furniture3", "wipe_spill", 20, 0.95},
                {"furniture3", "make_coffee", 20, 0.95},   {"packing", "fold_carton", 40, 0.85},
                {"packing", "tuck_flaps", 40, 0.85},       {"laundry", "fold_towel", 10, 0.85},
                {"laundry", "fold_garment", 5, 0.70}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fw_env *env = open_suite(rows[i].suite);
        int task = fw_env_task_find(env, rows[i].task);
        CHECK(task >= 0);
        CHECK(expert_successes(env, task, 510000, rows[i].n) >= rows[i].bar * rows[i].n);
        fw_env_close(env);
    }
}

FW_TEST_MAIN(T(expert_reaches_95_percent_of_200_unseen_seeds_a_task), T(other_suites_hold_their_bars))
