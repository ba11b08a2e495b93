/* train_test.h - what the tests of train share: a folder of their own, a tiny dataset, a tiny config. */
#ifndef TRAIN_TEST_H
#define TRAIN_TEST_H

#include <unistd.h>

#include "base/file.h"
#include "data/writer.h"
#include "fw_test.h"

#define CHECK_OK(expr, err)                                                                                            \
    do {                                                                                                               \
        if ((expr) != FW_OK)                                                                                           \
            FW_FAILED("%s: %s", #expr, (err).msg);                                                                     \
    } while (0)

enum { TINY_EPISODES = 5, TINY_T = 14, TINY_PX = 32 };
static char tmp_dir[] = "/tmp/fw_train_XXXXXX";

/* A path in the test's own folder; one of four rotating buffers. */
static inline const char *in_tmp(const char *name) {
    static char path[4][512];
    static int k;
    k = (k + 1) % 4;
    snprintf(path[k], sizeof path[k], "%s/%s", tmp_dir, name);
    return path[k];
}

/* The folder, with its own cache; skips when the pretrained towers are not set up. */
static inline void begin_tmp(void) {
    if (strstr(tmp_dir, "XXXXXX") != NULL) {
        CHECK(mkdtemp(tmp_dir) != NULL);
        CHECK(setenv("XDG_CACHE_HOME", in_tmp("cache"), 1) == 0);
    }
    if (access(FW_SOURCE_DIR "/.deps/towers/efficientnet_lite0.safetensors", R_OK) != 0 ||
        access(FW_SOURCE_DIR "/.deps/minilm/model.safetensors", R_OK) != 0) {
        SKIP("the pretrained towers are not set up (tools/setup.sh)");
    }
}

static inline void end_tmp(void) {
    fw_err err = {0};
    CHECK_OK(fw_remove_tree(tmp_dir, &err), err);
}

/* The action that the tiny dataset has at frame t of episode e: its first two values follow the bright square's place
 * and the state, so that there is something to learn; the gripper opens half way. */
static inline void tiny_action(int e, int t, float a[5]) {
    float x = (float)((e * 7) % 5) / 5.0f - 0.4f;
    a[0] = 0.04f * x;
    a[1] = 0.02f * (float)(e % 2);
    a[2] = -0.02f;
    a[3] = 0.1f * x;
    a[4] = t < TINY_T / 2 ? 0.0f : 1.0f;
}

/* A dataset of panda_kitchen's shape: 5 episodes of 14 frames, 32-pixel cameras "front" and, unless one_camera,
 * "wrist". */
static inline void tiny_dataset(const char *dir, int one_camera) {
    static const char *const sn[6] = {"ee_x", "ee_y", "ee_z", "ee_yaw", "gripper", "gripper_command"};
    static const char *const an[5] = {"ee_dx", "ee_dy", "ee_dz", "ee_dyaw", "gripper"};
    static uint8_t rgb[2][TINY_T][TINY_PX][TINY_PX][3];
    static float state[TINY_T][6], action[TINY_T][5];
    fw_err err = {0};
    fw_writer *w = NULL;
    fw_writer_desc d = {.fps = 10,
                        .robot_type = "panda_kitchen",
                        .n_state = 6,
                        .n_action = 5,
                        .state_names = sn,
                        .action_names = an,
                        .n_cameras = one_camera ? 1 : 2};
    d.cameras[0] = (fw_writer_camera){"front", TINY_PX, TINY_PX};
    d.cameras[1] = (fw_writer_camera){"wrist", TINY_PX, TINY_PX};
    CHECK_OK(fw_writer_open(dir, &d, &w, &err), err);
    for (int e = 0; e < TINY_EPISODES; e++) {
        memset(rgb, 40, sizeof rgb);
        for (int t = 0; t < TINY_T; t++) {
            tiny_action(e, t, action[t]);
            for (int i = 0; i < 6; i++) {
                state[t][i] = 0.3f + 0.01f * (float)t * (float)(i + 1) + 0.05f * (float)e;
            }
            int x0 = ((e * 7) % 5) * 5;
            for (int k = 0; k < 64; k++) {
                memset(rgb[0][t][8 + k / 8][x0 + k % 8], 230, 3);
                memset(rgb[1][t][t][k / 2 % TINY_PX], 200, 3);
            }
        }
        fw_writer_episode ep = {.length = TINY_T,
                                .state = &state[0][0],
                                .action = &action[0][0],
                                .images = {&rgb[0][0][0][0][0], one_camera ? NULL : &rgb[1][0][0][0][0]},
                                .sentence = e % 2 ? "put the mug in the sink" : "put the plate in the sink"};
        CHECK_OK(fw_writer_add_episode(w, &ep, &err), err);
    }
    CHECK_OK(fw_writer_close(w, &err), err);
}

/* A config that trains in a second. `train`: further members of "train", beginning with a comma, or "". */
static inline void tiny_config(const char *path, const char *train) {
    char text[2048];
    fw_err err = {0};
    int n = snprintf(
        text, sizeof text,
        "{\"name\": \"tiny\", \"embodiment\": \"panda_kitchen\", \"policy\": {\"vision\": {\"image_size\": 64, "
        "\"channels1\": 16, \"channels2\": 16, \"keypoints\": 8}, \"text\": {\"dim\": 16}, \"trunk\": "
        "{\"hidden\": 64, \"layers\": 2, \"dropout\": 0.1}, \"head\": {\"horizon\": 8, \"execute\": 4}}, "
        "\"data\": {\"held_out\": 1}, \"train\": {\"batch\": 16, \"steps\": 40, \"warmup\": 4, \"lr\": 0.003, "
        "\"state_noise\": 0.02, \"feature_dropout\": 0.05, \"log_every\": 5, \"validate_every\": 20, "
        "\"checkpoint_every\": 10%s}}",
        train);
    CHECK(n > 0 && n < (int)sizeof text);
    CHECK_OK(fw_file_write_atomic(path, text, (size_t)n, &err), err);
}

enum { TOY_EPISODES = 4, TOY_T = 14, TOY_STATE = 5, TOY_ACTION = 4 };

/* One toy episode's pictures: a square whose place follows the episode. */
static inline uint8_t *toy_pictures(int e, int h, int w) {
    uint8_t *rgb = malloc((size_t)TOY_T * (size_t)h * (size_t)w * 3);
    CHECK(rgb != NULL);
    for (int i = 0; i < TOY_T * h * w; i++) {
        const int y = i / w % h, x = i % w;
        memset(rgb + (size_t)i * 3, x / 8 == e && y / 8 == 2 ? 220 : 50, 3);
    }
    return rgb;
}

/* A dataset that the tiny published policies of tests/golden/policies fit: cameras "top" 40 x 56 and "wrist" of the given size; sentence by episode. */
static inline void toy_dataset(const char *dir, int wrist_h, int wrist_w) {
    static const char *const sn[TOY_STATE] = {"a", "b", "c", "d", "e"}, *const an[TOY_ACTION] = {"p", "q", "r", "s"};
    float state[TOY_T][TOY_STATE], action[TOY_T][TOY_ACTION];
    fw_err err = {0};
    fw_writer *w = NULL;
    fw_writer_desc d = {.fps = 10,
                        .robot_type = "toy",
                        .n_state = TOY_STATE,
                        .n_action = TOY_ACTION,
                        .state_names = sn,
                        .action_names = an,
                        .n_cameras = 2};
    d.cameras[0] = (fw_writer_camera){"top", 40, 56};
    d.cameras[1] = (fw_writer_camera){"wrist", wrist_h, wrist_w};
    CHECK_OK(fw_writer_open(dir, &d, &w, &err), err);
    for (int e = 0; e < TOY_EPISODES; e++) {
        for (int t = 0; t < TOY_T; t++) {
            for (int i = 0; i < TOY_STATE; i++) {
                state[t][i] = 0.1f * (float)(i + 1) + 0.02f * (float)t - 0.1f * (float)e;
            }
            for (int i = 0; i < TOY_ACTION; i++) {
                action[t][i] = 0.3f * (float)(e - 1) + 0.05f * (float)(t * (i % 2));
            }
        }
        uint8_t *top = toy_pictures(e, 40, 56), *wrist = toy_pictures(e, wrist_h, wrist_w);
        fw_writer_episode ep = {.length = TOY_T,
                                .state = &state[0][0],
                                .action = &action[0][0],
                                .images = {top, wrist},
                                .sentence = e % 2 ? "put the mug in the sink" : "wipe"};
        CHECK_OK(fw_writer_add_episode(w, &ep, &err), err);
        free(top), free(wrist);
    }
    CHECK_OK(fw_writer_close(w, &err), err);
}

#endif /* TRAIN_TEST_H */
