#include "fw_test.h"

int over(int x);

static void over_is_over(void) {
    CHECK_INT(over(10), 1);
    CHECK_INT(over(0), 0);
}

FW_TEST_MAIN(T(over_is_over))
