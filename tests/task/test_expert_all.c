/* ctest: timeout=900 label=slow */
#include "expert_bar.h"

static void expert_reaches_95_percent_of_200_unseen_seeds_a_task(void) {
    fw_env *env = open_blind();
    for (int t = 0; t < fw_env_n_task(env); t++) {
        CHECK(expert_successes(env, t, 500000, 200) >= 190);
    }
    fw_env_close(env);
}

FW_TEST_MAIN(T(expert_reaches_95_percent_of_200_unseen_seeds_a_task))
