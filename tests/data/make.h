/* make.h - tiny datasets for the tests of data: values and pixels are functions of (episode, frame), so any part can be checked. */
#ifndef TESTS_DATA_MAKE_H
#define TESTS_DATA_MAKE_H

#include <unistd.h>

#include "base/file.h"
#include "data/writer.h"
#include "fw_test.h"

#define OK(e)                                                                                                          \
    do {                                                                                                               \
        fw_err e_ = {FW_OK, ""};                                                                                       \
        fw_err *err = &e_;                                                                                             \
        if ((e) != FW_OK)                                                                                              \
            FW_FAILED("%s: %s", #e, err->msg);                                                                         \
    } while (0)

/* The call must fail with this code, and its message must contain the text. */
#define FAILS(e, want, text)                                                                                           \
    do {                                                                                                               \
        fw_err e_ = {FW_OK, ""};                                                                                       \
        fw_err *err = &e_;                                                                                             \
        fw_status s_ = (e);                                                                                            \
        if (s_ != (want) || strstr(err->msg, (text)) == NULL)                                                          \
            FW_FAILED("%s = %s '%s', wanted %s with '%s'", #e, fw_status_name(s_), err->msg, #want, (text));           \
    } while (0)

enum { MK_NS = 6, MK_NA = 5, MK_H = 48, MK_W = 64, MK_CAMS = 2, MK_IMAGE = MK_H * MK_W * 3 };

static inline float mk_state(int64_t e, int64_t t, int d) {
    return (float)(0.1 * (double)e + 0.01 * (double)t + d);
}
static inline float mk_action(int64_t e, int64_t t, int d) {
    return (float)(0.02 * (double)(t % 7) - 0.05 + 0.001 * (double)e + 0.1 * d);
}
static inline int64_t mk_length(int64_t e) {
    return 9 + (e * 5) % 7;
}
static inline const char *mk_sentence(int64_t e) {
    return e % 2 == 0 ? "put the plate in the sink" : "put the mug in the \"sink\", please";
}
/* A smooth picture (video compresses it well) that says which camera, episode and frame it is. */
static inline void mk_image(int cam, int64_t e, int64_t t, uint8_t *rgb) {
    for (int y = 0; y < MK_H; y++) {
        for (int x = 0; x < MK_W; x++) {
            uint8_t *p = rgb + (y * MK_W + x) * 3;
            p[0] = (uint8_t)(60 + 2 * y + (cam != 0 ? 40 : 0));
            p[1] = (uint8_t)(40 + 2 * x + (int)(t * 4));
            p[2] = (uint8_t)(30 + 20 * (e % 8) + x / 2);
        }
    }
}

static inline fw_writer_desc mk_desc(void) {
    static const char *const sn[MK_NS] = {"ee_pos_x", "ee_pos_y", "ee_pos_z", "ee_yaw", "gripper", "gripper_command"};
    static const char *const an[MK_NA] = {"ee_delta_x", "ee_delta_y", "ee_delta_z", "ee_delta_yaw", "gripper"};
    return (fw_writer_desc){.fps = 10,
                            .robot_type = "panda",
                            .n_state = MK_NS,
                            .n_action = MK_NA,
                            .state_names = sn,
                            .action_names = an,
                            .n_cameras = MK_CAMS,
                            .cameras = {{"front", MK_H, MK_W}, {"wrist", MK_H, MK_W}},
                            .seal_every = 3};
}

/* The contents of episode `e`; w may be changed before it is added. */
typedef struct mk_episode {
    fw_writer_episode w;
    float *state, *action;
    uint8_t *images[MK_CAMS];
} mk_episode;
static inline void mk_make(mk_episode *m, int64_t e) {
    int64_t n = mk_length(e);
    m->state = calloc((size_t)n * MK_NS, sizeof(float));
    m->action = calloc((size_t)n * MK_NA, sizeof(float));
    CHECK(m->state != NULL && m->action != NULL);
    for (int c = 0; c < MK_CAMS; c++) {
        CHECK((m->images[c] = malloc((size_t)n * MK_IMAGE)) != NULL);
    }
    for (int64_t t = 0; t < n; t++) {
        for (int d = 0; d < MK_NS; d++) {
            m->state[t * MK_NS + d] = mk_state(e, t, d);
        }
        for (int d = 0; d < MK_NA; d++) {
            m->action[t * MK_NA + d] = mk_action(e, t, d);
        }
        for (int c = 0; c < MK_CAMS; c++) {
            mk_image(c, e, t, m->images[c] + t * MK_IMAGE);
        }
    }
    m->w = (fw_writer_episode){.length = n,
                               .state = m->state,
                               .action = m->action,
                               .images = {m->images[0], m->images[1]},
                               .sentence = mk_sentence(e)};
}
static inline void mk_free(mk_episode *m) {
    for (int c = 0; c < MK_CAMS; c++) {
        free(m->images[c]);
    }
    free(m->state);
    free(m->action);
}

/* Add episode `e` (its contents), wherever it comes to lie. */
static inline fw_status mk_add(fw_writer *w, int64_t e, fw_err *err) {
    mk_episode m;
    mk_make(&m, e);
    fw_status st = fw_writer_add_episode(w, &m.w, err);
    mk_free(&m);
    return st;
}

/* Write episodes [first, first+n) to dir, as new or more episodes. */
static inline void mk_dataset(const char *dir, int64_t first, int64_t n) {
    fw_writer_desc d = mk_desc();
    fw_writer *w;
    OK(fw_writer_open(dir, &d, &w, err));
    for (int64_t e = first; e < first + n; e++) {
        OK(mk_add(w, e, err));
    }
    OK(fw_writer_close(w, err));
}

/* Episode `at` of ds must be episode `e` as made. Pixels: within `tolerance` on average. */
static inline void mk_check_episode(fw_dataset *ds, int64_t at, int64_t e, double tolerance) {
    fw_episode ep;
    OK(fw_dataset_read_episode(ds, at, &ep, err));
    CHECK_INT(ep.length, mk_length(e));
    CHECK(strcmp(ep.sentence, mk_sentence(e)) == 0);
    uint8_t *rgb = malloc((size_t)ep.length * MK_IMAGE), want[MK_IMAGE];
    CHECK(rgb != NULL);
    for (int64_t t = 0; t < ep.length; t++) {
        for (int d = 0; d < MK_NS; d++) {
            CHECK(ep.state[t * MK_NS + d] == mk_state(e, t, d));
        }
        for (int d = 0; d < MK_NA; d++) {
            CHECK(ep.action[t * MK_NA + d] == mk_action(e, t, d));
        }
        CHECK(ep.timestamp_s[t] == (double)(float)((double)t / 10.0));
    }
    for (int c = 0; c < MK_CAMS; c++) {
        OK(fw_dataset_read_images(ds, at, c, 0, ep.length, 0, 0, rgb, err));
        for (int64_t t = 0; t < ep.length; t++) {
            double sum = 0.0;
            mk_image(c, e, t, want);
            for (int i = 0; i < MK_IMAGE; i++) {
                sum += abs(rgb[t * MK_IMAGE + i] - want[i]);
            }
            if (sum / MK_IMAGE > tolerance)
                FW_FAILED("ep %d frame %d camera %d: mean pixel difference %.2f", (int)e, (int)t, c, sum / MK_IMAGE);
        }
    }
    free(rgb);
    fw_episode_clear(&ep);
}

/* An empty folder of this test's own. Static. */
static inline const char *mk_dir(const char *name) {
    static char path[8][512];
    static int next;
    char *p = path[next++ % 8];
    const char *tmp = getenv("TMPDIR");
    tmp = tmp != NULL ? tmp : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"; /* memory: writers fsync a lot */
    snprintf(p, 512, "%s/fw_data_%s_%d", tmp, name, (int)getpid());
    OK(fw_remove_tree(p, err));
    return p;
}

#endif /* TESTS_DATA_MAKE_H */
