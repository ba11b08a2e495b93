/* model_test.h - what tests of the model share */
#ifndef FW_MODEL_TEST_H
#define FW_MODEL_TEST_H

#include "fw_test.h"

#include "base/file.h"
#include "fw/embodiment.h"

#define GOLDEN FW_SOURCE_DIR "/tests/golden/"

#define CHECK_OK(expr, err)                                                                                            \
    do {                                                                                                               \
        fw_status s_ = (expr);                                                                                         \
        if (s_ != FW_OK)                                                                                               \
            FW_FAILED("%s: %s: %s", #expr, fw_status_name(s_), (err).msg);                                             \
    } while (0)

/* Fails with this status and a message that holds `says`. */
#define CHECK_FAILS(expr, err, status, says)                                                                           \
    do {                                                                                                               \
        fw_status s_ = (expr);                                                                                         \
        if (s_ != (status) || strstr((err).msg, (says)) == NULL)                                                       \
            FW_FAILED("%s: got %s '%s', want %s '...%s...'", #expr, fw_status_name(s_), (err).msg,                     \
                      fw_status_name(status), (says));                                                                 \
    } while (0)

static inline void skip_without(const char *path_in_home) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", fw_home(), path_in_home);
    if (!fw_path_exists(path)) {
        fprintf(stderr, "skip: no %s\n", path_in_home);
        exit(77);
    }
}

/* Two cameras, three state values, two actions of which one is a gripper. */
static inline fw_embodiment small_robot(void) {
    fw_embodiment e = {.name = "small", .rate_hz = 10.0, .n_camera = 2, .n_state = 3, .n_action = 2};
    e.camera[0] = (fw_camera){"front", 128, 128};
    e.camera[1] = (fw_camera){"wrist", 160, 120};
    e.state[0] = (fw_dim){"x", FW_MEANING_EE_POS, -1.0, 1.0, 0};
    e.state[1] = (fw_dim){"y", FW_MEANING_EE_POS, -1.0, 1.0, 0};
    e.state[2] = (fw_dim){"grip", FW_MEANING_GRIPPER, 0.0, 1.0, 0};
    e.action[0] = (fw_dim){"dx", FW_MEANING_EE_DELTA_POS, -0.05, 0.05, 0};
    e.action[1] = (fw_dim){"grip", FW_MEANING_GRIPPER, 0.0, 1.0, 0};
    return e;
}

/* A picture made of a formula. */
static inline void paint(uint8_t *rgb, int h, int w, int seed) {
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            for (int c = 0; c < 3; c++) {
                *rgb++ = (uint8_t)((37 * y + 91 * x + 53 * c + (x * y) / 7 + 31 * seed) % 256);
            }
        }
    }
}

#endif /* FW_MODEL_TEST_H */
