/* ctest: timeout=3600 label=slow */
#include "table_bar.h"

static void expert_reaches_90_percent_of_200_unseen_seeds_with_each_training_robot(void) {
    static const char *const robots[] = {"so101", "xarm7", "ur5e", "aloha", "panda_mobile"};
    for (size_t i = 0; i < sizeof robots / sizeof *robots; i++) {
        CHECK(table_successes(robots[i], 500000, 200) >= 180);
    }
}

FW_TEST_MAIN(T(expert_reaches_90_percent_of_200_unseen_seeds_with_each_training_robot))
