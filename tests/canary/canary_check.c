/* must FAIL in every build: proves that a false CHECK ends a test with its values and a failure */
#include "fw_test.h"

static void one_is_two(void) {
    CHECK_INT(1 + 0, 2);
}

FW_TEST_MAIN(T(one_is_two))
