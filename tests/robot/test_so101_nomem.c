/* the SO-101's driver with cameras, opened with every allocation failing in turn: it says so, and gives everything back */
#include "nomem.h"

#include "robot/arm.h"

static fw_status open_and_close(const void *ctx, fw_err *err) {
    fw_driver *d = NULL;
    const fw_status st = fw_driver_open("so101", ctx, &d, err);
    fw_driver_close(&d);
    return st;
}

static void every_allocation_of_open_may_fail(void) {
    arm a;
    arm_open(
        &a,
        ", \"gripper\": {\"closed_rad\": -0.17, \"open_rad\": 1.7}, \"cameras\": [{\"name\": \"front\", \"source\": "
        "\"/dev/video0\", \"width\": 64, \"height\": 48}, {\"name\": \"wrist\", \"source\": \"clip.mp4\", \"width\": "
        "64, "
        "\"height\": 48}]");
    nomem_every_allocation(open_and_close, a.config, 1, 100);
    arm_close(&a);
}

FW_TEST_MAIN(T(every_allocation_of_open_may_fail))
