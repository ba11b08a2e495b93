/* arm.h - a servo bus set up as a calibrated SO-101, its calibration file, and the config of a driver for it. */
#ifndef TESTS_ROBOT_ARM_H
#define TESTS_ROBOT_ARM_H

#include "fw/driver.h"
#include "robot/servo_bus.h"
#include "robot/so101_cal.h"

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        fw_err ok_err = {0};                                                                                           \
        if ((call) != FW_OK)                                                                                           \
            FW_FAILED("%s: %s", #call, ok_err.msg);                                                                    \
    } while (0)

/* The call failed with `want`, and says all of the words. */
#define FAILS(call, want, ...)                                                                                         \
    do {                                                                                                               \
        fw_err fails_err = {0};                                                                                        \
        CHECK_INT(call, want);                                                                                         \
        const char *words_[] = {__VA_ARGS__};                                                                          \
        for (size_t w_ = 0; w_ < sizeof words_ / sizeof *words_; w_++)                                                 \
            if (strstr(fails_err.msg, words_[w_]) == NULL)                                                             \
                FW_FAILED("message '%s' lacks '%s'", fails_err.msg, words_[w_]);                                       \
    } while (0)

static const fw_so101_cal arm_cal = {{{1, 0, 100, 761, 3280},
                                      {2, 0, -200, 800, 3200},
                                      {3, 0, 30, 850, 3060},
                                      {4, 0, 0, 900, 3250},
                                      {5, 0, -1000, 0, 4095},
                                      {6, 0, 500, 2030, 3500}}};

typedef struct arm {
    servo_bus bus;
    char dir[64], cal[128], config[1024];
} arm;

static inline void arm_calibrated(arm *a) {
    for (int i = 0; i < 6; i++) {
        const fw_so101_motor *m = &arm_cal.motor[i];
        servo *s = &a->bus.servo[i];
        servo_put(s, 31, 11, m->homing_offset);
        servo_put(s, 9, 15, m->range_min);
        servo_put(s, 11, 15, m->range_max);
        s->actual = 0.5 * (m->range_min + m->range_max) + m->homing_offset;
        servo_put(s, 42, 15, 300); /* whatever goal it had: far away */
    }
}

/* more: further keys, ", \"retries\": 0". A busy machine may not run the emulator for some time: times are long here. */
static inline void arm_open(arm *a, const char *more) {
    memset(a, 0, sizeof *a);
    servo_bus_open(&a->bus, 6);
    arm_calibrated(a);
    snprintf(a->dir, sizeof a->dir, "/tmp/fw_arm_XXXXXX");
    CHECK(mkdtemp(a->dir) != NULL);
    snprintf(a->cal, sizeof a->cal, "%s/arm.json", a->dir);
    OK(fw_so101_cal_save(a->cal, &arm_cal, &ok_err));
    snprintf(a->config, sizeof a->config,
             "{\"port\": \"%s\", \"calibration\": \"%s\", \"reply_us\": 30000, \"read_ms\": 200%s}", a->bus.port,
             a->cal, more);
}

static inline void arm_close(arm *a) {
    CHECK_INT(a->bus.bad_requests, 0);
    servo_bus_close(&a->bus);
    CHECK_INT(remove(a->cal), 0);
    CHECK_INT(rmdir(a->dir), 0);
}

static inline void arm_start(arm *a, fw_driver **d) {
    OK(fw_driver_open("so101", a->config, d, &ok_err));
    OK(fw_driver_start(*d, &ok_err));
}

static inline fw_driver_command arm_here(const fw_driver_state *s) {
    fw_driver_command c = {.n_axis = s->n_axis, .torque_on = true};
    for (int i = 0; i < s->n_axis; i++) {
        c.position[i] = s->axis[i].position;
        c.effort_max[i] = INFINITY;
    }
    return c;
}

#endif /* TESTS_ROBOT_ARM_H */
