/*
 * conform.h - is this driver what fw/driver.h promises? Every check is run against the real device that the config names.
 *
 * Without `move` torque stays off and nothing moves. With it torque comes on where the robot is, must hold that, and then the first axis
 * with room is moved by 0.05 rad (5 mm) and back: for a robot that stands free.
 */
#ifndef FW_ROBOT_CONFORM_H
#define FW_ROBOT_CONFORM_H

#include <stdbool.h>

#include "fw/driver.h"

#define FW_CONFORM_MAX 24

typedef enum fw_conform_result { FW_CONFORM_OK, FW_CONFORM_FAILED, FW_CONFORM_SKIPPED } fw_conform_result;

typedef struct fw_conform_check {
    const char *claim; /* static: "read keeps its bound" */
    fw_conform_result result;
    char why[252]; /* what was wanted and found, or why it was skipped */
} fw_conform_check;

typedef struct fw_conform {
    int n, failed;
    fw_conform_check check[FW_CONFORM_MAX];
} fw_conform;

/* Runs all checks whatever fails. `shown`, may be NULL: called after each. */
void fw_driver_conform(const char *name_or_path, const char *config, bool move,
                       void (*shown)(const fw_conform_check *c, void *ctx), void *ctx, fw_conform *out);

#endif /* FW_ROBOT_CONFORM_H */
