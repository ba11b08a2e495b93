/* ctest: timeout=120 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "fw_test.h"
#include "sim/sim.h"
#include "task/setting_kitchen.h"

enum { PX = 64, N_STATE_MAX = 128 };

static fw_sim *open_sim(bool render) {
    fw_err err = {FW_OK, ""};
    fw_sim *s = NULL;
    if (fw_sim_open(fw_home(), &setting_kitchen, "panda_kitchen", &(fw_sim_opts){.render = render, .max_px = 128}, &s,
                    &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    return s;
}

static fw_status reset(fw_sim *s, uint64_t seed, fw_err *err) {
    fw_seeds seeds = fw_seeds_all(seed);
    return fw_sim_reset(s, &seeds, err);
}

static void must(fw_status st, const fw_err *err) {
    if (st != FW_OK) {
        FW_FAILED("%s", err->msg);
    }
}

/* A few steps from a seed; the state and both pictures at the end. */
static size_t play(fw_sim *s, uint64_t seed, double q[N_STATE_MAX], uint8_t *front, uint8_t *wrist) {
    fw_err err;
    must(reset(s, seed, &err), &err);
    for (int i = 0; i < 5; i++) {
        float a[5] = {0.03f, -0.02f, -0.03f, 0.1f, (float)(i < 3)};
        must(fw_sim_step(s, a, &err), &err);
    }
    must(fw_sim_render(s, "front", PX, PX, front, &err), &err);
    must(fw_sim_render(s, "wrist", PX, PX, wrist, &err), &err);
    return fw_sim_physics_state(s, q, N_STATE_MAX);
}

static void same_seed_gives_the_same_bits_whatever_came_before(void) {
    static uint8_t a[2][PX * PX * 3], b[2][PX * PX * 3], c[2][PX * PX * 3];
    double qa[N_STATE_MAX], qb[N_STATE_MAX], qc[N_STATE_MAX];
    fw_sim *one = open_sim(true), *two = open_sim(true);
    size_t n = play(one, 7, qa, a[0], a[1]);
    CHECK(n > 40 && n <= N_STATE_MAX);
    play(one, 8, qc, c[0], c[1]);
    play(one, 7, qb, b[0], b[1]);
    CHECK(memcmp(qa, qb, n * sizeof *qa) == 0);
    CHECK(memcmp(a, b, sizeof a) == 0);
    CHECK(memcmp(a[0], c[0], sizeof a[0]) != 0);
    CHECK(memcmp(qa, qc, n * sizeof *qa) != 0);
    fw_sim_close(one);
    play(two, 7, qb, b[0], b[1]);
    CHECK(memcmp(qa, qb, n * sizeof *qa) == 0);
    CHECK(memcmp(a, b, sizeof a) == 0);
    fw_sim_close(two);
}

static void hand_goes_where_it_is_told(void) {
    fw_err err;
    fw_sim *s = open_sim(false);
    must(reset(s, 3, &err), &err);
    const fw_scene *v = fw_sim_scene(s);
    double from[3] = {v->arm[0].pos[0], v->arm[0].pos[1], v->arm[0].pos[2]}, yaw = v->arm[0].yaw;
    for (int i = 0; i < 10; i++) {
        float a[5] = {0.01f, -0.012f, -0.004f, 0.05f, 0.5f};
        must(fw_sim_step(s, a, &err), &err);
    }
    CHECK(fabs(v->arm[0].pos[0] - from[0] - 0.10) < 0.006);
    CHECK(fabs(v->arm[0].pos[1] - from[1] + 0.12) < 0.006);
    CHECK(fabs(v->arm[0].pos[2] - from[2] + 0.04) < 0.006);
    CHECK(fabs(v->arm[0].yaw - yaw - 0.5) < 0.03);
    CHECK(fabs(v->arm[0].opening - 0.5) < 0.03);
    fw_sim_close(s);
}

/* Pushed against the counter for two seconds, it comes up again at once: the commanded pose did not run away. */
static void blocked_hand_does_not_wind_up(void) {
    fw_err err;
    fw_sim *s = open_sim(false);
    must(reset(s, 4, &err), &err);
    const fw_scene *v = fw_sim_scene(s);
    float down[5] = {0, 0, -0.05f, 0, 0}, up[5] = {0, 0, 0.04f, 0, 0};
    for (int i = 0; i < 25; i++) {
        must(fw_sim_step(s, down, &err), &err);
    }
    double z = v->arm[0].pos[2];
    CHECK(z > -0.02);
    must(fw_sim_step(s, up, &err), &err);
    must(fw_sim_step(s, up, &err), &err);
    CHECK(v->arm[0].pos[2] > z + 0.03);
    fw_sim_close(s);
}

static void every_scene_stands_still_and_does_not_overlap(void) {
    fw_err err;
    fw_sim *s = open_sim(false);
    double min_x = 9, max_x = -9, min_y = 9, max_y = -9;
    for (uint64_t seed = 0; seed < 60; seed++) {
        must(reset(s, seed, &err), &err);
        const fw_scene *v = fw_sim_scene(s);
        for (int o = 0; o < KITCHEN_N_OBJ; o++) {
            const fw_obj_view *b = &v->obj[o];
            CHECK(b->up > 0.97 && b->speed < 0.05 && b->touches_world && !b->touches_hand);
            for (int k = 0; k < KITCHEN_N_OBJ; k++) {
                CHECK(!b->touches[k]);
            }
            min_x = fmin(min_x, b->pos[0]), max_x = fmax(max_x, b->pos[0]);
            min_y = fmin(min_y, b->pos[1]), max_y = fmax(max_y, b->pos[1]);
        }
    }
    CHECK(max_x - min_x > 0.30 && max_y - min_y > 0.40); /* the area is really used */
    fw_sim_close(s);
}

static void nan_action_is_refused_and_changes_nothing(void) {
    fw_err err;
    fw_sim *s = open_sim(false);
    must(reset(s, 5, &err), &err);
    double before[N_STATE_MAX], after[N_STATE_MAX];
    size_t n = fw_sim_physics_state(s, before, N_STATE_MAX);
    float a[5] = {0, 0, NAN, 0, 1};
    CHECK_INT(fw_sim_step(s, a, &err), FW_INVALID);
    CHECK(strstr(err.msg, "action[2]") != NULL);
    fw_sim_physics_state(s, after, N_STATE_MAX);
    CHECK(memcmp(before, after, n * sizeof *before) == 0);
    CHECK(!fw_sim_diverged(s));
    fw_sim_close(s);
}

static void divergence_ends_the_episode_and_reset_recovers(void) {
    fw_err err;
    fw_sim *s = open_sim(false);
    must(reset(s, 6, &err), &err);
    float a[5] = {0, 0, 0, 0, 1};
    fw_sim_place(s, KITCHEN_MUG, (double[]){NAN, 0, 0}, 0, true);
    CHECK_INT(fw_sim_step(s, a, &err), FW_CLOSED);
    CHECK(strstr(err.msg, "diverged") != NULL);
    CHECK(fw_sim_diverged(s));
    CHECK_INT(fw_sim_step(s, a, &err), FW_CLOSED);
    must(reset(s, 6, &err), &err);
    must(fw_sim_step(s, a, &err), &err);
    fw_sim_close(s);
}

static void missing_robot_files_are_named(void) {
    fw_err err = {FW_OK, ""};
    fw_sim *s = NULL;
    CHECK_INT(fw_sim_open("/nowhere", &setting_kitchen, "panda_kitchen", &(fw_sim_opts){.max_px = 64}, &s, &err),
              FW_IO);
    CHECK(strstr(err.msg, "/nowhere/") != NULL);
}

static void pictures_have_limits(void) {
    static uint8_t rgb[128 * 128 * 3];
    fw_err err;
    fw_sim *s = open_sim(true), *blind = open_sim(false);
    CHECK_INT(fw_sim_render(s, "front", 129, 16, rgb, &err), FW_INVALID);
    CHECK_INT(fw_sim_render(s, "behind", 16, 16, rgb, &err), FW_INVALID);
    CHECK_INT(fw_sim_render(blind, "front", 16, 16, rgb, &err), FW_INVALID);
    fw_sim_close(blind);
    fw_sim_close(s);
}

/* Fork: whatever happened in between, a restored state goes on with the same bits. */
static void restored_state_goes_on_to_the_same_bits(void) {
    fw_err err;
    fw_sim *s = open_sim(false);
    must(reset(s, 11, &err), &err);
    float a[5] = {0.02f, -0.02f, -0.04f, 0.1f, 0}, b[5] = {-0.03f, 0.03f, 0.02f, -0.2f, 1};
    for (int i = 0; i < 6; i++) {
        must(fw_sim_step(s, a, &err), &err);
    }
    void *state = malloc(fw_sim_state_size(s));
    double one[N_STATE_MAX], two[N_STATE_MAX];
    CHECK(state != NULL);
    fw_sim_save(s, state);
    fw_scene saved = *fw_sim_scene(s);
    for (int i = 0; i < 4; i++) {
        must(fw_sim_step(s, a, &err), &err);
    }
    size_t n = fw_sim_physics_state(s, one, N_STATE_MAX);
    for (int i = 0; i < 7; i++) {
        must(fw_sim_step(s, b, &err), &err);
    }
    fw_sim_restore(s, state);
    CHECK(memcmp(&saved, fw_sim_scene(s), sizeof saved) == 0);
    for (int i = 0; i < 4; i++) {
        must(fw_sim_step(s, a, &err), &err);
    }
    fw_sim_physics_state(s, two, N_STATE_MAX);
    CHECK(memcmp(one, two, n * sizeof *one) == 0);
    free(state);
    fw_sim_close(s);
}

/* One stream moves, the others stay. */
static void seeds_are_separate(void) {
    static uint8_t a[PX * PX * 3], b[PX * PX * 3];
    fw_err err;
    fw_sim *s = open_sim(true);
    fw_seeds seeds = fw_seeds_all(31);
    double one[N_STATE_MAX], two[N_STATE_MAX];
    must(fw_sim_reset(s, &seeds, &err), &err);
    size_t n = fw_sim_physics_state(s, one, N_STATE_MAX);
    must(fw_sim_render(s, "front", PX, PX, a, &err), &err);
    seeds.visual = 32;
    must(fw_sim_reset(s, &seeds, &err), &err);
    fw_sim_physics_state(s, two, N_STATE_MAX);
    must(fw_sim_render(s, "front", PX, PX, b, &err), &err);
    CHECK(memcmp(one, two, n * sizeof *one) == 0 && memcmp(a, b, sizeof a) != 0);
    seeds.visual = 31, seeds.noise = 32, seeds.expert = 33;
    must(fw_sim_reset(s, &seeds, &err), &err);
    must(fw_sim_render(s, "front", PX, PX, b, &err), &err);
    CHECK(memcmp(a, b, sizeof a) == 0);
    seeds.layout = 32;
    must(fw_sim_reset(s, &seeds, &err), &err);
    fw_sim_physics_state(s, two, N_STATE_MAX);
    CHECK(memcmp(one, two, n * sizeof *one) != 0);
    fw_sim_close(s);
}

static void what_is_parked_hangs_still_until_the_next_reset(void) {
    const double away[3] = {-0.2, -0.5, -0.4}, high[3] = {0.45, -0.1, 0.3};
    const float stay[5] = {0, 0, 0, 0, 1};
    fw_err err;
    fw_sim *s = open_sim(false);
    const fw_obj_view *mug = &fw_sim_scene(s)->obj[KITCHEN_MUG];
    must(reset(s, 12, &err), &err);
    fw_sim_park(s, KITCHEN_MUG, away);
    for (int i = 0; i < 30; i++) {
        must(fw_sim_step(s, stay, &err), &err);
    }
    CHECK(fabs(mug->pos[2] - away[2]) < 1e-6 && mug->speed < 1e-6);
    must(reset(s, 12, &err), &err);
    fw_sim_place(s, KITCHEN_MUG, high, 0, true);
    for (int i = 0; i < 10; i++) {
        must(fw_sim_step(s, stay, &err), &err);
    }
    CHECK(mug->pos[2] < 0.05); /* it has its weight again */
    fw_sim_close(s);
}

FW_TEST_MAIN(T(same_seed_gives_the_same_bits_whatever_came_before), T(hand_goes_where_it_is_told),
             T(blocked_hand_does_not_wind_up), T(every_scene_stands_still_and_does_not_overlap),
             T(nan_action_is_refused_and_changes_nothing), T(divergence_ends_the_episode_and_reset_recovers),
             T(missing_robot_files_are_named), T(pictures_have_limits), T(restored_state_goes_on_to_the_same_bits),
             T(what_is_parked_hangs_still_until_the_next_reset), T(seeds_are_separate))
