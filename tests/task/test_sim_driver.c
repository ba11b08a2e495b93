/* ctest: timeout=300 */
/* The simulator as a driver: what every driver owes, real time, scenes changed under way, faults on purpose. */
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "alloc_guard.h"
#include "fw_test.h"
#include "robot/conform.h"
#include "task/sim_driver.h"

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        fw_err ok_err = {FW_OK, ""};                                                                                   \
        fw_err *err = &ok_err;                                                                                         \
        if ((call) != FW_OK)                                                                                           \
            FW_FAILED("%s: %s", #call, ok_err.msg);                                                                    \
    } while (0)
#define KITCHEN "{\"suite\": \"kitchen3\", \"seed\": 3"
#define LIMP    KITCHEN ", \"pictures\": \"none\"}"

typedef struct rig {
    int64_t t_ns;
    fw_clock clock;
    fw_driver *d;
    int n;
    fw_driver_state s;
} rig;

/* On a clock that only the test moves. */
static void rig_open(rig *r, const char *config) {
    *r = (rig){.t_ns = 1000000000};
    r->clock = fw_clock_sim(&r->t_ns);
    OK(fw_driver_open_api(fw_sim_driver_api(), config, &r->d, err));
    fw_sim_driver_set_clock(r->d, &r->clock);
    r->n = fw_driver_get_info(r->d)->n_axis;
    OK(fw_driver_start(r->d, err));
}

static fw_status cycle(rig *r, const fw_driver_command *cmd, fw_err *err) {
    r->t_ns += 5000000;
    FW_TRY(fw_driver_read(r->d, &r->s, err));
    return cmd != NULL ? fw_driver_write(r->d, cmd, err) : FW_OK;
}

static fw_driver_command here(const rig *r) {
    fw_driver_command c = {.n_axis = r->n, .torque_on = true};
    for (int i = 0; i < r->n; i++) {
        const fw_driver_axis *a = &fw_driver_get_info(r->d)->axis[i];
        c.position[i] = fminf(fmaxf(r->s.axis[i].position, a->min), a->max);
        c.effort_max[i] = INFINITY;
    }
    return c;
}

static void shown(const fw_conform_check *c, void *ctx) {
    static const char *const said[] = {"ok", "FAILED", "skipped"};
    (void)ctx;
    printf("  %-50s %s %s\n", c->claim, said[c->result], c->why);
}

static void owes_what_every_driver_owes(void) {
    fw_conform all;
    OK(fw_driver_add(fw_sim_driver_api(), err));
    OK(fw_driver_add(fw_sim_driver_api(), err)); /* once more: the same */
    fw_driver_conform("simulator", KITCHEN "}", true, shown, NULL, &all);
    CHECK_INT(all.failed, 0);
}

static void small_arm_owes_it_too(void) {
    fw_conform all;
    OK(fw_driver_add(fw_sim_driver_api(), err));
    fw_driver_conform("simulator", "{\"suite\": \"table\", \"embodiment\": \"so101\"}", true, shown, NULL, &all);
    CHECK_INT(all.failed, 0);
}

static void bad_configs_are_refused_with_their_key(void) {
    static const char *const bad[][2] = {
        {"{\"suite\": \"nowhere\"}", "nowhere"},
        {"{}", "suite"},
        {KITCHEN ", \"task\": \"fly\"}", "fly"},
        {KITCHEN ", \"pictures\": \"some\"}", "pictures"},
        {KITCHEN ", \"render_hz\": 0}", "render_hz"},
        {KITCHEN ", \"homes\": [1]}", "homes"},
        {KITCHEN ", \"embodiment\": \"panda_mobile\"}", "base"},
        {"{\"suite\": \"kitchen3\", \"seed\": -1}", "seed"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fw_err err = {FW_OK, ""};
        fw_driver *d;
        CHECK(fw_driver_open_api(fw_sim_driver_api(), bad[i][0], &d, &err) != FW_OK);
        if (strstr(err.msg, bad[i][1]) == NULL) {
            FW_FAILED("%s: '%s' lacks '%s'", bad[i][0], err.msg, bad[i][1]);
        }
    }
}

/* A slow sine on a joint is followed within a thousandth of a rad, and at its speed. */
static void follows_a_moving_target(void) {
    rig r;
    float worst = 0, worst_v = 0;
    rig_open(&r, LIMP);
    OK(cycle(&r, NULL, err));
    const fw_driver_command start = here(&r);
    for (int k = 0; k < 400; k++) {
        const float t = 0.005f * (float)k, ahead = t + 0.005f;
        fw_driver_command c = start;
        c.position[3] += 0.3f * (1 - cosf(2 * ahead));
        OK(cycle(&r, &c, err));
        if (k > 40) { /* read before this write: where the last one wanted it */
            worst = fmaxf(worst, fabsf(r.s.axis[3].position - start.position[3] - 0.3f * (1 - cosf(2 * t))));
            worst_v = fmaxf(worst_v, fabsf(r.s.axis[3].velocity - 0.6f * sinf(2 * t)));
        }
    }
    printf("off by at most %.4f rad, %.3f rad/s\n", (double)worst, (double)worst_v);
    CHECK(worst < 0.004f && worst_v < 0.05f);
    fw_driver_close(&r.d);
}

/* Told to close, the gripper squeezes; its force is what it may be at most. */
static void gripper_squeezes_with_what_it_may(void) {
    rig r;
    rig_open(&r, LIMP);
    OK(cycle(&r, NULL, err));
    fw_driver_command c = here(&r);
    const int g = r.n - 1;
    CHECK(c.position[g] > 0.035f);
    for (float most = 20; most < 61; most += 40) {
        c.effort_max[g] = most;
        for (int k = 0; k < 200; k++) {
            c.position[g] = fmaxf(0, c.position[g] - 0.0005f);
            OK(cycle(&r, &c, err));
        }
        CHECK(r.s.axis[g].position < 0.002f);
        CHECK(fabsf(r.s.axis[g].effort + most) < 1); /* closing is negative */
    }
    fw_driver_close(&r.d);
}

static void time_that_was_missed_is_skipped_and_counted(void) {
    rig r;
    fw_sim_driver_now now;
    rig_open(&r, LIMP);
    OK(cycle(&r, NULL, err));
    r.t_ns += 3000000000;
    OK(cycle(&r, NULL, err));
    for (int k = 0; k < 40; k++) {
        OK(cycle(&r, NULL, err));
    }
    OK(fw_sim_driver_now_get(r.d, &now, err));
    CHECK(now.skipped_ns > 2900000000 && now.skipped_ns < 3000000001);
    CHECK_INT(now.steps, 2); /* 5 + 50 + 200 ms */
    fw_driver_close(&r.d);
}

static void a_cycle_allocates_nothing(void) {
    rig r;
    fw_err e;
    fw_driver_frame f;
    rig_open(&r, KITCHEN "}");
    OK(cycle(&r, NULL, err));
    const fw_driver_command c = here(&r);
    OK(cycle(&r, &c, err));
    fw_sim_driver_stall(r.d, 0);
    CHECK_NO_ALLOC_HERE({ /* the drawing thread may allocate */
                          for (int k = 0; k < 50; k++) {
                              (void)!cycle(&r, &c, &e);
                              (void)!fw_driver_frame_latest(r.d, 0, &f, &e);
                          }
    });
    fw_driver_close(&r.d);
}

/* The same seed and commands: the same joints and the same picture, to the bit. */
static void waited_for_it_is_deterministic(void) {
    uint8_t *kept = malloc(128 * 128 * 3);
    fw_driver_state last = {0};
    for (int run = 0; run < 2; run++) {
        rig r;
        fw_driver_frame f;
        rig_open(&r, KITCHEN ", \"pictures\": \"wait\"}");
        OK(cycle(&r, NULL, err));
        fw_driver_command c = here(&r);
        for (int k = 0; k < 60; k++) {
            c.position[0] += 0.002f;
            OK(cycle(&r, &c, err));
        }
        OK(fw_driver_frame_latest(r.d, 0, &f, err));
        for (int i = 0; i < r.n && run > 0; i++) {
            CHECK(r.s.axis[i].position == last.axis[i].position);
        }
        CHECK(run == 0 || memcmp(kept, f.rgb, 128 * 128 * 3) == 0);
        memcpy(kept, f.rgb, 128 * 128 * 3);
        last = r.s;
        fw_driver_close(&r.d);
    }
    free(kept);
}

/* --- scenes under way */

typedef struct loop {
    fw_driver *d;
    atomic_bool quit, on;
    atomic_int errors;
} loop;

static void *loop_main(void *ctx) {
    loop *l = ctx;
    fw_driver_state s;
    while (!atomic_load(&l->quit)) {
        fw_err err = {FW_OK, ""};
        if (fw_driver_read(l->d, &s, &err) != FW_OK) {
            fprintf(stderr, "%s\n", err.msg);
            atomic_fetch_add(&l->errors, 1);
        }
        fw_driver_command c = {.n_axis = s.n_axis, .torque_on = atomic_load(&l->on)};
        for (int i = 0; i < s.n_axis; i++) {
            const fw_driver_axis *a = &fw_driver_get_info(l->d)->axis[i];
            c.position[i] = fminf(fmaxf(s.axis[i].position, a->min), a->max);
            c.effort_max[i] = INFINITY;
        }
        if (fw_driver_write(l->d, &c, &err) != FW_OK) {
            fprintf(stderr, "%s\n", err.msg);
            atomic_fetch_add(&l->errors, 1);
        }
        fw_clock_real()->sleep_until_ns(fw_clock_real()->self, fw_now_ns() + 4000000);
    }
    return NULL;
}

static uint64_t picture_of(fw_driver *d, uint8_t *out) {
    fw_driver_frame f;
    fw_err err;
    uint64_t first = 0;
    for (int k = 0; k < 3000; k++) {
        if (fw_driver_frame_latest(d, 0, &f, &err) == FW_OK) {
            first = first == 0 ? f.seq : first;
            if (f.seq > first + 2) {
                memcpy(out, f.rgb, (size_t)f.h * (size_t)f.w * 3);
                return f.seq;
            }
        }
        fw_clock_real()->sleep_until_ns(fw_clock_real()->self, fw_now_ns() + 2000000);
    }
    FW_FAILED("no new picture: %s", err.msg);
}

static int differing(const uint8_t *a, const uint8_t *b) {
    int n = 0;
    for (int i = 0; i < 128 * 128 * 3; i++) {
        n += abs(a[i] - b[i]) > 12;
    }
    return n;
}

static void the_scene_changes_while_it_runs_limp(void) {
    static uint8_t before[128 * 128 * 3], after[128 * 128 * 3];
    loop l = {0};
    pthread_t thread;
    fw_sim_driver_now now;
    fw_err e;
    OK(fw_driver_open_api(fw_sim_driver_api(), KITCHEN "}", &l.d, err));
    OK(fw_driver_start(l.d, err));
    CHECK(pthread_create(&thread, NULL, loop_main, &l) == 0);
    picture_of(l.d, before);
    atomic_store(&l.on, true);
    fw_clock_real()->sleep_until_ns(fw_clock_real()->self, fw_now_ns() + 50000000);
    CHECK_INT(fw_sim_driver_reset(l.d, "mug_in_sink", 4, &e), FW_AGAIN); /* its torque is on */
    atomic_store(&l.on, false);
    fw_clock_real()->sleep_until_ns(fw_clock_real()->self, fw_now_ns() + 50000000);
    OK(fw_sim_driver_reset(l.d, "mug_in_sink", 4, err));
    OK(fw_sim_driver_now_get(l.d, &now, err));
    CHECK(strcmp(now.task, "mug_in_sink") == 0 && now.seed == 4 && now.episode == 1 && now.sentence[0] != 0);
    CHECK(!now.verdict.success && now.verdict.reason[0] != 0);
    picture_of(l.d, after);
    picture_of(l.d, after);
    CHECK(differing(before, after) > 500); /* another scene, in another light */
    OK(fw_sim_driver_reset(l.d, NULL, 3, err));
    OK(fw_sim_driver_reset(l.d, "plate_in_sink", 3, err)); /* there and back: what was seen first */
    picture_of(l.d, after);
    picture_of(l.d, after);
    CHECK(differing(before, after) < 500);
    CHECK_INT(fw_sim_driver_reset(l.d, "fly", 3, &e), FW_INVALID);
    atomic_store(&l.quit, true);
    pthread_join(thread, NULL);
    CHECK_INT(atomic_load(&l.errors), 0);
    fw_driver_close(&l.d);
}

/* --- faults */

static void a_deaf_joint_is_not_valid_and_a_fault_is_reported(void) {
    rig r;
    rig_open(&r, LIMP);
    fw_sim_driver_deaf(r.d, 2, true);
    fw_sim_driver_fault(r.d, 4, FW_DRIVER_FAULT_TEMPERATURE);
    fw_sim_driver_deaf(r.d, 99, true); /* nothing */
    OK(cycle(&r, NULL, err));
    CHECK(!r.s.axis[2].valid && r.s.axis[1].valid && r.s.axis[4].faults == FW_DRIVER_FAULT_TEMPERATURE);
    fw_sim_driver_deaf(r.d, 2, false);
    fw_sim_driver_fault(r.d, 4, 0);
    OK(cycle(&r, NULL, err));
    CHECK(r.s.axis[2].valid && r.s.axis[4].faults == 0);
    fw_driver_close(&r.d);
}

static void a_mute_robot_times_out_and_comes_back(void) {
    rig r;
    fw_err e;
    rig_open(&r, LIMP);
    fw_sim_driver_mute(r.d, true);
    CHECK_INT(cycle(&r, NULL, &e), FW_TIMEOUT);
    CHECK_INT(fw_driver_write(r.d, &(fw_driver_command){.n_axis = r.n}, &e), FW_TIMEOUT);
    fw_sim_driver_mute(r.d, false);
    OK(cycle(&r, NULL, err));
    fw_driver_close(&r.d);
}

static void an_unplugged_camera_is_gone_until_it_is_back(void) {
    rig r;
    fw_driver_frame f;
    fw_err e;
    rig_open(&r, KITCHEN "}");
    OK(fw_driver_frame_latest(r.d, 1, &f, err));
    fw_sim_driver_unplug(r.d, 1, true);
    CHECK_INT(fw_driver_frame_latest(r.d, 1, &f, &e), FW_CLOSED);
    CHECK(f.rgb != NULL && strstr(e.msg, "wrist") != NULL);
    OK(fw_driver_frame_latest(r.d, 0, &f, err));
    fw_sim_driver_unplug(r.d, 1, false);
    OK(fw_driver_frame_latest(r.d, 1, &f, err));
    fw_driver_close(&r.d);
}

/* A person leans on the elbow: motors that hold answer with torque, a limp arm gives way. */
static void a_push_is_felt(void) {
    rig r;
    rig_open(&r, LIMP);
    OK(cycle(&r, NULL, err));
    fw_driver_command c = here(&r);
    for (int k = 0; k < 100; k++) {
        OK(cycle(&r, &c, err));
    }
    const float before = r.s.axis[0].effort, at = r.s.axis[0].position;
    fw_sim_driver_push(r.d, 5, (float[3]){0, 60, 0});
    for (int k = 0; k < 100; k++) {
        OK(cycle(&r, &c, err));
    }
    CHECK(fabsf(r.s.axis[0].effort - before) > 10); /* 60 N at about 0.4 m */
    CHECK(fabsf(r.s.axis[0].position - at) < 0.02f);
    const fw_driver_command off = {.n_axis = r.n};
    for (int k = 0; k < 40; k++) {
        OK(cycle(&r, &off, err));
    }
    CHECK(r.s.axis[0].position > at + 0.02f && r.s.axis[0].effort == 0);
    fw_sim_driver_push(r.d, 5, (float[3]){0, 0, 0});
    fw_driver_close(&r.d);
}

static void its_owner_needs_the_simulator(void) {
    fw_sim_driver_now now;
    fw_err e;
    rig r;
    rig_open(&r, LIMP);
    CHECK(fw_driver_get_dev(r.d, fw_sim_driver_api()) != NULL);
    CHECK(fw_driver_get_dev(r.d, NULL) == NULL);
    OK(fw_sim_driver_now_get(r.d, &now, err));
    CHECK(strcmp(now.task, "plate_in_sink") == 0 && now.seed == 3 && !now.done);
    fw_driver_stop(r.d);
    OK(fw_sim_driver_reset(r.d, "banana_on_plate", 11, err));
    OK(fw_sim_driver_now_get(r.d, &now, err));
    CHECK(strcmp(now.task, "banana_on_plate") == 0 && now.seed == 11 && now.episode == 1);
    CHECK_INT(fw_driver_read(r.d, &r.s, &e), FW_INVALID);
    fw_driver_close(&r.d);
}

FW_TEST_MAIN(T(owes_what_every_driver_owes), T(small_arm_owes_it_too), T(bad_configs_are_refused_with_their_key),
             T(follows_a_moving_target), T(gripper_squeezes_with_what_it_may),
             T(time_that_was_missed_is_skipped_and_counted), T(a_cycle_allocates_nothing),
             T(waited_for_it_is_deterministic), T(the_scene_changes_while_it_runs_limp),
             T(a_deaf_joint_is_not_valid_and_a_fault_is_reported), T(a_mute_robot_times_out_and_comes_back),
             T(an_unplugged_camera_is_gone_until_it_is_back), T(a_push_is_felt), T(its_owner_needs_the_simulator))
