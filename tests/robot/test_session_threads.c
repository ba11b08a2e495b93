/* ctest: timeout=120 */
/* A session with all its threads: control, inference, pictures, the session's own, and people on three others who say what they like. */
#include <pthread.h>
#include <unistd.h>

#include "base/file.h"
#include "robot/control_rig.h"
#include "robot/session.h"

enum { SIDE = 256, SECONDS = 3 }; /* pictures large enough to be torn */

/* The plant with a camera whose picture is its number. */
static fw_status frame(fw_driver_dev *d, int i, fw_driver_frame *out, fw_err *err) {
    static uint8_t rgb[SIDE * SIDE * 3];
    static uint64_t seq;
    (void)d, (void)i, (void)err;
    memset(rgb, (int)(++seq & 255), sizeof rgb);
    *out = (fw_driver_frame){rgb, SIDE, SIDE, g_plant.clock->now_ns(g_plant.clock->self), seq};
    return FW_OK;
}

static void describe(const fw_driver_dev *d, fw_driver_info *out) {
    plant_describe(d, out);
    out->n_camera = 1;
    out->camera[0] = (fw_camera){"front", SIDE, SIDE};
}

static const fw_driver_api api = {
    FW_DRIVER_ABI, sizeof(fw_driver_api), "plant", "",         plant_open, describe, plant_start,
    plant_read,    plant_write,           frame,   plant_stop, plant_stop};

static fw_session *s;
static fw_control *control;
static _Atomic bool over;
static _Atomic int torn;

static void *look(void *ctx) {
    uint8_t rgb[SIDE * SIDE * 3];
    (void)ctx;
    while (!atomic_load(&over)) {
        fw_session_status at;
        fw_driver_frame f;
        fw_err err;
        fw_session_get(s, &at);
        if (fw_control_picture(control, 0, rgb, &f, &err) == FW_OK) {
            for (size_t i = 1; i < sizeof rgb; i++) { /* one picture, never parts of two */
                torn += rgb[i] != rgb[0];
            }
        }
        usleep(3000);
    }
    return NULL;
}

static void *operator(void *ctx) {
    const uint64_t who = *(const uint64_t *)ctx;
    const float share[AXES] = {0.2f, -0.2f};
    for (int round = 0; !atomic_load(&over); round++) {
        fw_err err;
        if (fw_session_take(s, who, false, &err) == FW_OK) {
            for (int i = 0; i < 10; i++) {
                (void)!fw_session_move(s, who, share, &err);
                usleep(20000);
            }
            (void)!fw_session_mark(s, who, FW_SESSION_WRONG, "", &err);
            (void)!fw_session_give(s, who, &err);
        }
        (void)!fw_session_say(s, round % 2 == 0 ? "wave" : "stir", &err);
        if (round % 3 == 2) {
            fw_session_press(s, true);
            fw_session_press(s, false);
            fw_session_acknowledge(s);
        }
        usleep(30000);
        (void)!fw_session_run(s, &err);
    }
    fw_session_left(s, who);
    return NULL;
}

static void people_and_threads_agree(void) {
    static sine p;
    static rig r;
    fw_err err;
    char dir[256];
    pthread_t thread[3];
    const uint64_t who[2] = {1, 2};
    p = sine_policy(8);
    p.body.state[0].name[0] = p.body.action[0].name[0] = 'a';
    p.body.state[1].name[0] = p.body.action[1].name[0] = 'b';
    r = (rig){.limits = plant_limits()};
    r.limits.late_us = r.limits.sensor_us = 400000; /* a busy machine is no fault here */
    memset(&g_plant, 0, sizeof g_plant);
    g_plant.clock = fw_clock_real();
    fw_control_opts o = FW_CONTROL_OPTS_DEFAULT;
    CHECK(fw_driver_open_api(&api, "{}", &r.driver, &err) == FW_OK);
    o.driver = r.driver, o.limits = &r.limits, o.policy = &p.base, o.real_time = false;
    if (fw_control_new(&o, &control, &err) != FW_OK || fw_control_start(control, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    snprintf(dir, sizeof dir, "%s/fw_threads_%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
    CHECK(fw_remove_tree(dir, &err) == FW_OK);
    fw_session_opts so = FW_SESSION_OPTS_DEFAULT;
    so.control = control, so.body = fw_driver_get_info(r.driver), so.limits = &r.limits, so.embodiment = &p.body;
    so.has_policy = true, so.record = dir, so.may_go_unrecorded = true;
    if (fw_session_new(&so, &s, &err) != FW_OK || fw_session_start(s, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    CHECK(pthread_create(&thread[0], NULL, look, NULL) == 0);
    CHECK(pthread_create(&thread[1], NULL, operator, (void *)(uintptr_t) & who[0]) == 0);
    CHECK(pthread_create(&thread[2], NULL, operator, (void *)(uintptr_t) & who[1]) == 0);
    sleep(SECONDS);
    atomic_store(&over, true);
    for (int i = 0; i < 3; i++) {
        pthread_join(thread[i], NULL);
    }
    fw_session_status at;
    fw_session_get(s, &at);
    printf("# %lld episodes, %llu frames, %lld cycles\n", (long long)at.episodes, (unsigned long long)at.recorder.taken,
           (long long)at.control.cycle);
    CHECK(at.episodes >= 1 && at.recorder.taken > 0 && at.control.cycle > 100);
    CHECK_INT(torn, 0);
    fw_session_stop(s);
    fw_session_free(s);
    fw_control_free(control);
    fw_driver_close(&r.driver);
    CHECK(fw_remove_tree(dir, &err) == FW_OK);
}

FW_TEST_MAIN(T(people_and_threads_agree))
