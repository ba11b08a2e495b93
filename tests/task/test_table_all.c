/* ctest: timeout=1800 label=slow */
#include <stdlib.h>

#include "table_bar.h"

/* FW_SEEDS=20 for a quick look. */
static void expert_reaches_90_percent_of_unseen_seeds_with_each_training_robot(void) {
    const char *seeds = getenv("FW_SEEDS");
    int n = seeds != NULL ? atoi(seeds) : 200;
    CHECK(n > 0);
    static const char *const robots[] = {"so101", "xarm7", "ur5e", "aloha", "panda_mobile"};
    for (size_t i = 0; i < sizeof robots / sizeof *robots; i++) {
        CHECK(table_successes(robots[i], 500000, n) >= 0.9 * n);
    }
}

FW_TEST_MAIN(T(expert_reaches_90_percent_of_unseen_seeds_with_each_training_robot))
