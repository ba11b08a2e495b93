/* Set-points between commands: they arrive, they never break, they keep to limits. */
#include "robot/motion.h"

#include "fw_test.h"

enum { HZ = 200, STEP = 20 }; /* cycles of the driver in a control step of 0.1 s */

static void a_target_is_reached_at_its_time(void) {
    fw_motion m;
    const float at[2] = {0.5f, -1.0f}, to[2] = {0.7f, -1.0f};
    float pos[2], vel[2], acc[2];
    fw_motion_start(&m, 2, NULL, at);
    fw_motion_at(&m, 3.0, pos, vel, acc);
    CHECK(pos[0] == 0.5f && vel[0] == 0.0f && acc[1] == 0.0f);
    CHECK(fw_motion_to(&m, 0, to, NULL, 0.1, FW_MOTION_TOGETHER));
    fw_motion_at(&m, 0.1, pos, vel, acc);
    CHECK(fabsf(pos[0] - 0.7f) < 1e-6f && fabsf(vel[0]) < 1e-5f && fabsf(acc[0]) < 1e-3f && pos[1] == -1.0f);
    fw_motion_at(&m, 9.0, pos, vel, NULL);
    CHECK(fabsf(pos[0] - 0.7f) < 1e-6f && vel[0] == 0.0f);
}

/* Random commands at 10 Hz, set-points at 200 Hz: no step of position, velocity or acceleration is larger than jerk allows. */
static void random_commands_bend_the_motion_but_never_break_it(void) {
    fw_motion m;
    float at = 0, pos = 0, vel = 0, acc = 0, p0 = 0, v0 = 0, a0 = 0, worst = 0;
    unsigned seed = 7;
    fw_motion_start(&m, 1, NULL, &at);
    for (int k = 0; k < 2000; k++) {
        const float to = (float)(seed = seed * 1664525u + 1013904223u) / 4294967296.0f;
        const float after = (float)((seed * 22695477u + 1u) >> 8) / 16777216.0f;
        CHECK(fw_motion_to(&m, k == 0 ? 0 : 0.1, &to, k % 3 == 0 ? NULL : &after, 0.1, FW_MOTION_TOGETHER));
        fw_motion_at(&m, 0, &pos, &vel, &acc);
        CHECK(fabsf(pos - p0) < 1e-4f && fabsf(vel - v0) < 1e-3f &&
              fabsf(acc - a0) < 0.5f); /* where the last curve ended */
        for (int i = 1; i <= STEP; i++) {
            fw_motion_at(&m, (double)i / HZ, &pos, &vel, &acc);
            worst = fmaxf(worst, fabsf(pos - p0 - (vel + v0) / 2 / HZ));
            p0 = pos, v0 = vel, a0 = acc;
        }
        CHECK(fabsf(pos - to) < 1e-4f);
    }
    CHECK(worst < 1e-3f); /* position is the integral of velocity */
}

static void limits_stretch_a_curve(void) {
    const fw_motion_limits l = {.vel = 1.0, .acc = 8.0, .jerk = 200.0};
    fw_motion m;
    const float at = 0, to = 0.5f;
    float pos = 0, vel = 0, acc = 0, a0 = 0;
    fw_motion_start(&m, 1, &l, &at);
    CHECK(fw_motion_to(&m, 0, &to, NULL, 0.1, FW_MOTION_TOGETHER)); /* would take 9.4 rad/s */
    double t = 0;
    for (int i = 0; i < 400; i++, t += 1.0 / HZ) {
        fw_motion_at(&m, t, &pos, &vel, &acc);
        CHECK(fabsf(vel) <= 1.001f && fabsf(acc) <= 8.01f && (i == 0 || fabsf(acc - a0) * HZ <= 201.0f));
        a0 = acc;
    }
    CHECK(fabsf(pos - 0.5f) < 1e-6f); /* late, but there */
}

/* A slow axis and a quick one: together they keep to the straight line between their ends, apart each is as quick as it can. */
static void what_goes_together_keeps_its_path(void) {
    const fw_motion_limits l[2] = {{.vel = 0.2, .acc = 4, .jerk = 400}, {.vel = 2, .acc = 40, .jerk = 4000}};
    const float at[2] = {0, 0}, to[2] = {0.1f, 0.1f};
    float pos[2];
    fw_motion m;
    fw_motion_start(&m, 2, l, at);
    CHECK(fw_motion_to(&m, 0, to, NULL, 0.1, FW_MOTION_TOGETHER));
    CHECK(fw_motion_span(&m) > 0.5);
    for (double t = 0; t < 1.5; t += 1.0 / HZ) {
        fw_motion_at(&m, t, pos, NULL, NULL);
        CHECK(fabsf(pos[0] - pos[1]) < 1e-6f);
    }
    CHECK(fabsf(pos[0] - 0.1f) < 1e-6f);
    fw_motion_start(&m, 2, l, at);
    CHECK(fw_motion_to(&m, 0, to, NULL, 0.1, FW_MOTION_APART));
    fw_motion_at(&m, 0.25, pos, NULL, NULL);
    CHECK(pos[0] < 0.05f && pos[1] > 0.099f);
}

/* No command comes: a moving axis is brought to rest, without a step in its velocity. */
static void a_missing_command_ends_in_rest(void) {
    fw_motion m;
    const float at = 0, to = 0.1f, after = 0.2f;
    float pos, vel, before = 0;
    fw_motion_start(&m, 1, NULL, &at);
    CHECK(fw_motion_to(&m, 0, &to, &after, 0.1, FW_MOTION_TOGETHER));
    for (int i = 0; i <= 3 * STEP; i++) {
        fw_motion_at(&m, (double)i / HZ, &pos, &vel, NULL);
        CHECK(i <= STEP || (vel <= before && before - vel < 0.06f && vel >= 0));
        before = vel;
    }
    CHECK(vel == 0 && pos > 0.1f && pos < 0.16f);
}

static void what_is_not_a_number_is_refused(void) {
    fw_motion m, was;
    const float at = 0.3f, nan = NAN, ok = 1, inf = INFINITY;
    fw_motion_start(&m, 1, NULL, &at);
    was = m;
    CHECK(!fw_motion_to(&m, 0, &nan, NULL, 0.1, FW_MOTION_TOGETHER) &&
          !fw_motion_to(&m, 0, &ok, &inf, 0.1, FW_MOTION_TOGETHER) &&
          !fw_motion_to(&m, 0, &ok, NULL, 0, FW_MOTION_TOGETHER));
    CHECK(!fw_motion_to(&m, (double)NAN, &ok, NULL, 0.1, FW_MOTION_TOGETHER) &&
          !fw_motion_to(&m, 0, &ok, NULL, (double)INFINITY, FW_MOTION_APART));
    CHECK(memcmp(&m, &was, sizeof m) == 0);
}

FW_TEST_MAIN(T(a_target_is_reached_at_its_time), T(random_commands_bend_the_motion_but_never_break_it),
             T(limits_stretch_a_curve), T(what_goes_together_keeps_its_path), T(a_missing_command_ends_in_rest),
             T(what_is_not_a_number_is_refused))
