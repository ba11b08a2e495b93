/* ctest: timeout=120 */
#include <string.h>

#include "base/file.h"
#include "fw_test.h"
#include "task/setting_kitchen.h"
#include "task/task_int.h"

static char why[160];

/* Everything at rest on the counter, the hand open and away. */
static fw_scene still(void) {
    fw_scene s = {.n_arm = 1,
                  .n_obj = KITCHEN_N_OBJ,
                  .n_region = 1,
                  .arm = {{.pos = {0.4, 0, 0.25}, .opening = 1, .command = 1}},
                  .region = {{.name = "sink", .pos = {0.48, 0.36, -0.08}, .half = {0.15, 0.15, 0.04}}}};
    static const char *const names[KITCHEN_N_OBJ] = {"plate", "mug", "bowl", "banana"};
    static const double at[KITCHEN_N_OBJ][3] = {{0.5, -0.1, 0}, {0.35, -0.3, 0}, {0.6, -0.25, 0}, {0.38, 0.05, 0.0155}};
    for (int o = 0; o < KITCHEN_N_OBJ; o++) {
        memcpy(s.obj[o].pos, at[o], sizeof at[o]);
        memcpy(s.obj[o].mid, at[o], sizeof at[o]);
        memcpy(s.obj[o].start, at[o], sizeof at[o]);
        s.obj[o].name = names[o];
        s.obj[o].up = 1;
        s.obj[o].touches_world = true;
    }
    return s;
}

static void put(fw_scene *s, int o, double x, double y, double z) {
    s->obj[o].pos[0] = s->obj[o].mid[0] = x, s->obj[o].pos[1] = s->obj[o].mid[1] = y;
    s->obj[o].pos[2] = z, s->obj[o].mid[2] = z + 0.01;
}

static bool holds(const char *task, const fw_scene *s) {
    why[0] = 0;
    bool ok = task_find(task)->goal(s, &(fw_meant){0}, why);
    CHECK(ok || why[0] != 0); /* a refusal says why */
    return ok;
}

static fw_scene sunk(int o) {
    fw_scene s = still();
    put(&s, o, 0.47, 0.38, -0.08);
    return s;
}

static void nothing_is_done_in_a_fresh_scene(void) {
    fw_scene s = still();
    CHECK(!holds("plate_in_sink", &s) && !holds("mug_in_sink", &s) && !holds("banana_on_plate", &s));
}

static void settled_in_the_sink_counts_for_its_own_object_only(void) {
    fw_scene s = sunk(KITCHEN_PLATE);
    CHECK(holds("plate_in_sink", &s));
    CHECK(!holds("mug_in_sink", &s));
    s = sunk(KITCHEN_MUG);
    CHECK(holds("mug_in_sink", &s));
    CHECK(!holds("plate_in_sink", &s));
    s = sunk(KITCHEN_BOWL);
    CHECK(holds("bowl_in_sink", &s));
    CHECK(!holds("plate_in_sink", &s) && !holds("mug_in_sink", &s));
}

static void near_misses_of_the_sink_are_misses(void) {
    static const struct {
        const char *task;
        int obj;
    } cases[] = {{"plate_in_sink", KITCHEN_PLATE}, {"mug_in_sink", KITCHEN_MUG}, {"bowl_in_sink", KITCHEN_BOWL}};
    for (int i = 0; i < 3; i++) {
        fw_scene s = still();
        put(&s, cases[i].obj, 0.48, 0.19, 0); /* beside the sink */
        CHECK(!holds(cases[i].task, &s) && strstr(why, "not in the sink") != NULL);
        s = sunk(cases[i].obj);
        s.obj[cases[i].obj].touches_hand = true; /* held in it */
        CHECK(!holds(cases[i].task, &s) && strstr(why, "touched") != NULL);
        s = sunk(cases[i].obj);
        s.arm[0].opening = 0.1; /* the hand went away closed */
        CHECK(!holds(cases[i].task, &s) && strstr(why, "closed") != NULL);
        s = sunk(cases[i].obj);
        s.obj[cases[i].obj].speed = 0.2; /* falling or rolling */
        CHECK(!holds(cases[i].task, &s) && strstr(why, "moving") != NULL);
        s = sunk(cases[i].obj);
        s.obj[cases[i].obj].mid[2] = 0.02; /* hovering over it, or lying across its edge */
        CHECK(!holds(cases[i].task, &s));
    }
}

static fw_scene served(void) {
    fw_scene s = still();
    put(&s, KITCHEN_BANANA, 0.51, -0.11, 0.022);
    s.obj[KITCHEN_BANANA].touches_world = false;
    s.obj[KITCHEN_BANANA].touches[KITCHEN_PLATE] = true;
    return s;
}

static void near_misses_of_the_plate_are_misses(void) {
    fw_scene s = served();
    CHECK(holds("banana_on_plate", &s));
    s.obj[KITCHEN_BANANA].touches_world = true; /* half on the counter */
    CHECK(!holds("banana_on_plate", &s));
    s = served();
    s.obj[KITCHEN_BANANA].touches[KITCHEN_PLATE] = false; /* above it */
    CHECK(!holds("banana_on_plate", &s));
    s = served();
    s.obj[KITCHEN_BANANA].pos[0] += 0.08; /* leaning on its rim */
    CHECK(!holds("banana_on_plate", &s));
    s = served();
    s.obj[KITCHEN_BANANA].touches_hand = true;
    CHECK(!holds("banana_on_plate", &s));
    s = served();
    s.obj[KITCHEN_PLATE].up = -1; /* a plate upside down is no plate */
    CHECK(!holds("banana_on_plate", &s));
    s = served(); /* the plate and all carried into the sink */
    put(&s, KITCHEN_PLATE, 0.48, 0.36, -0.08);
    put(&s, KITCHEN_BANANA, 0.48, 0.36, -0.06);
    CHECK(!holds("banana_on_plate", &s) && strstr(why, "plate") != NULL);
}

static void what_is_not_named_must_stay(void) {
    fw_scene s = still();
    unsigned plate = task_find("plate_in_sink")->named;
    CHECK(!goal_disturbed(&s, plate, why));
    s.obj[KITCHEN_PLATE].pos[1] += 0.3;
    CHECK(!goal_disturbed(&s, plate, why)); /* named: may move */
    s.obj[KITCHEN_BOWL].pos[0] += 0.04;
    CHECK(!goal_disturbed(&s, plate, why)); /* a touch */
    s.obj[KITCHEN_BOWL].pos[0] += 0.02;
    CHECK(goal_disturbed(&s, plate, why) && strstr(why, "bowl") != NULL);
    s = still();
    s.obj[KITCHEN_MUG].lifted = 0.05; /* lifted and put back in its place */
    CHECK(goal_disturbed(&s, plate, why) && strstr(why, "mug") != NULL);
}

/* The same in physics: put the real thing there, let it settle, judge. */
static bool settles(fw_sim *s, const char *task, int o, double x, double y, double z, bool upright) {
    fw_err err;
    float stay[5] = {0, 0, 0, 0, 1};
    fw_seeds seeds = fw_seeds_all(21);
    if (fw_sim_reset(s, &seeds, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    fw_sim_place(s, o, (double[]){x, y, z}, 0.3, upright);
    for (int i = 0; i < 20; i++) {
        if (fw_sim_step(s, stay, &err) != FW_OK) {
            FW_FAILED("%s", err.msg);
        }
    }
    return holds(task, fw_sim_scene(s));
}

static void real_things_settle_into_the_same_verdicts(void) {
    fw_err err;
    fw_sim *s = NULL;
    if (fw_sim_open(fw_home(), &setting_kitchen, "panda_kitchen", &(fw_sim_opts){.max_px = 64}, &s, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    CHECK(settles(s, "plate_in_sink", KITCHEN_PLATE, 0.48, 0.36, -0.05, true));
    CHECK(settles(s, "mug_in_sink", KITCHEN_MUG, 0.48, 0.36, -0.05, true));
    CHECK(settles(s, "mug_in_sink", KITCHEN_MUG, 0.48, 0.36, 0.02, false));      /* upside down is in the sink, too */
    CHECK(!settles(s, "mug_in_sink", KITCHEN_MUG, 0.48, 0.14, 0.002, true));     /* beside it */
    CHECK(!settles(s, "plate_in_sink", KITCHEN_PLATE, 0.48, 0.19, 0.002, true)); /* over its edge */
    CHECK(settles(s, "bowl_in_sink", KITCHEN_BOWL, 0.48, 0.36, -0.05, true));
    CHECK(!settles(s, "bowl_in_sink", KITCHEN_BOWL, 0.48, 0.14, 0.002, true));
    const double *plate = fw_sim_scene(s)->obj[KITCHEN_PLATE].start;
    CHECK(settles(s, "banana_on_plate", KITCHEN_BANANA, plate[0], plate[1], 0.035, true));
    CHECK(!settles(s, "banana_on_plate", KITCHEN_BANANA, plate[0], plate[1] + 0.16, 0.02, true));
    fw_sim_close(s);
}

FW_TEST_MAIN(T(nothing_is_done_in_a_fresh_scene), T(settled_in_the_sink_counts_for_its_own_object_only),
             T(near_misses_of_the_sink_are_misses), T(near_misses_of_the_plate_are_misses),
             T(what_is_not_named_must_stay), T(real_things_settle_into_the_same_verdicts))
