/* ctest: timeout=120 */
#include <string.h>

#include "base/file.h"
#include "fw_test.h"
#include "sim/parts.h"
#include "task/setting_coffee.h"
#include "task/setting_drawer.h"
#include "task/setting_spill.h"
#include "task/setting_table.h"
#include "task/task_int.h"

static char why[160];

/* The hand open and away, n things at rest on the table, out of the way. */
static fw_scene still(int n, const char *const *names) {
    fw_scene s = {.n_arm = 1, .n_obj = n, .arm = {{.pos = {0.4, 0, 0.25}, .opening = 1, .command = 1}}};
    for (int o = 0; o < n; o++) {
        s.obj[o] = (fw_obj_view){.name = names[o],
                                 .pos = {0.4, 0.1 * o, 0},
                                 .mid = {0.4, 0.1 * o, 0.01},
                                 .start = {0.4, 0.1 * o, 0},
                                 .up = 1,
                                 .touches_world = true};
    }
    return s;
}

static bool holds(const char *task, const fw_scene *s, const fw_meant *m) {
    why[0] = 0;
    bool ok = task_find(task)->goal(s, m, why);
    CHECK(ok || why[0] != 0); /* a refusal says why */
    return ok;
}

/* Let go and touched, closed hands, moving things: misses of every task whose thing must be released. */
static void check_released(const char *task, const fw_scene *done, int obj, const fw_meant *m) {
    fw_scene s = *done;
    CHECK(holds(task, &s, m));
    s.obj[obj].touches_hand = true;
    CHECK(!holds(task, &s, m) && strstr(why, "touched") != NULL);
    s = *done;
    s.arm[0].opening = 0.1;
    CHECK(!holds(task, &s, m) && strstr(why, "closed") != NULL);
    s = *done;
    s.obj[obj].speed = 0.1;
    CHECK(!holds(task, &s, m) && strstr(why, "moving") != NULL);
}

/* --- the drawer: opens towards +x of its region's frame */
static const fw_meant duck = {.n = 1, .obj = {DRAWER_DUCK}, .to = DRAWER_INSIDE, .named = BIT(DRAWER_DUCK)};

static fw_scene stowed(void) {
    fw_scene s = still(DRAWER_N_OBJ, (const char *const[]){"block_1", "block_2", "car", "duck"});
    s.n_region = 2, s.n_hinge = 1;
    s.region[DRAWER_INSIDE] =
        (fw_region_view){.name = "drawer", .pos = {0.5, -0.3, 0.0065}, .half = {0.082, 0.097, 0.028}};
    s.hinge[DRAWER_SLIDE] = (fw_hinge_view){.name = "slide", .pos = 0.003, .max = FW_DRAWER_STROKE_M};
    memcpy(s.obj[DRAWER_DUCK].pos, (double[]){0.52, -0.28, 0.008}, sizeof s.obj[0].pos);
    memcpy(s.obj[DRAWER_DUCK].mid, (double[]){0.52, -0.28, 0.025}, sizeof s.obj[0].mid);
    return s;
}

static void near_misses_of_the_drawer_are_misses(void) {
    fw_scene in = stowed(), s = in;
    check_released("put_in_drawer", &in, DRAWER_DUCK, &duck);
    s.hinge[DRAWER_SLIDE].pos = 0.015; /* all but shut */
    CHECK(!holds("put_in_drawer", &s, &duck) && strstr(why, "not closed") != NULL);
    s = in;
    s.hinge[DRAWER_SLIDE].touches_hand = true;
    CHECK(!holds("put_in_drawer", &s, &duck) && strstr(why, "touched") != NULL);
    s = in;
    s.obj[DRAWER_DUCK].mid[0] = 0.59; /* over the front: half out */
    CHECK(!holds("put_in_drawer", &s, &duck) && strstr(why, "not in") != NULL);
    s = in;
    s.obj[DRAWER_DUCK].mid[2] = 0.09; /* on top of the cabinet */
    CHECK(!holds("put_in_drawer", &s, &duck) && strstr(why, "not in") != NULL);
    s = in;
    s.obj[DRAWER_DUCK] = still(DRAWER_N_OBJ, (const char *const[]){"", "", "", "duck"}).obj[DRAWER_DUCK];
    s.obj[DRAWER_CAR] = in.obj[DRAWER_DUCK]; /* the wrong thing */
    CHECK(!holds("put_in_drawer", &s, &duck));
}

/* --- the tray */
static void near_misses_of_the_tray_are_misses(void) {
    const fw_meant block = {.n = 1, .obj = {TABLE_BLOCK}, .named = BIT(TABLE_BLOCK)};
    fw_scene on = still(1, (const char *const[]){"block"}), s;
    on.n_region = 2;
    on.region[TABLE_TRAY] = (fw_region_view){.name = "tray", .pos = {0.5, -0.2, 0.002}, .half = {0.06, 0.08, 0.03}};
    memcpy(on.obj[TABLE_BLOCK].mid, (double[]){0.52, -0.23, 0.02}, sizeof on.obj[0].mid);
    check_released("block_on_tray", &on, TABLE_BLOCK, &block);
    s = on;
    s.obj[TABLE_BLOCK].mid[0] = 0.57; /* on its rim, and out */
    CHECK(!holds("block_on_tray", &s, &block) && strstr(why, "not in the tray") != NULL);
    s = on;
    s.region[TABLE_TRAY].yaw = M_PI / 2; /* a turned tray is narrow the other way */
    s.obj[TABLE_BLOCK].mid[1] = -0.27;
    CHECK(!holds("block_on_tray", &s, &block));
    s = on;
    s.obj[TABLE_BLOCK].mid[2] = 0.12; /* over it */
    CHECK(!holds("block_on_tray", &s, &block));
}

/* --- the spill */
static fw_scene wiped(void) {
    fw_scene s = still(SPILL_N_OBJ, (const char *const[]){"sponge", "bottle"});
    for (int i = 0; i < SPILL_N; i++) {
        s.aux[i] = 1;
    }
    return s;
}

static void near_misses_of_the_spill_are_misses(void) {
    fw_meant m = {.n = 1, .obj = {SPILL_SPONGE}, .named = BIT(SPILL_SPONGE)};
    fw_scene clean = wiped(), s = clean;
    check_released("wipe_spill", &clean, SPILL_SPONGE, &m);
    s.aux[0] = s.aux[7] = 0;
    CHECK(holds("wipe_spill", &s, &m)); /* 22 of 24 */
    s.aux[8] = 0;
    CHECK(!holds("wipe_spill", &s, &m) && strstr(why, "not wiped") != NULL);
    s = clean;
    s.obj[SPILL_SPONGE].touches_world = false; /* on the bottle, in the air */
    CHECK(!holds("wipe_spill", &s, &m) && strstr(why, "lie") != NULL);
    s = clean;
    s.obj[SPILL_SPONGE].up = 0; /* on its edge */
    CHECK(!holds("wipe_spill", &s, &m) && strstr(why, "lie") != NULL);
}

static fw_sim *open_sim(const fw_setting *setting, uint64_t seed) {
    fw_err err;
    fw_sim *s = NULL;
    fw_seeds seeds = fw_seeds_all(seed);
    if (fw_sim_open(fw_home(), setting, "panda_kitchen", &(fw_sim_opts){.max_px = 64}, &s, &err) != FW_OK ||
        fw_sim_reset(s, &seeds, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    return s;
}

static void wait(fw_sim *s, int steps) {
    fw_err err;
    float stay[5] = {0, 0, 0, 0, 1};
    for (int i = 0; i < steps; i++) {
        if (fw_sim_step(s, stay, &err) != FW_OK) {
            FW_FAILED("%s", err.msg);
        }
    }
}

static int wet(const fw_scene *s) {
    int n = 0;
    for (int i = 0; i < SPILL_N; i++) {
        n += s->aux[i] < 0.5;
    }
    return n;
}

/* The tick of the real setting on scenes made by hand: only a held, level, pressed and moving sponge wipes. */
static void only_a_pressed_and_moving_sponge_wipes(void) {
    fw_sim *sim = open_sim(&setting_spill, 21);
    fw_scene over = *fw_sim_scene(sim);
    fw_obj_view *w = &over.obj[SPILL_SPONGE];
    CHECK_INT(wet(&over), SPILL_N);
    memcpy(w->pos, over.region[SPILL_STAINS].pos, sizeof w->pos);
    w->touches_hand = w->touches_world = true;
    w->up = 1, w->speed = 0.1;
    fw_scene s = over;
    setting_spill.tick(sim, &s);
    CHECK(wet(&s) < SPILL_N && wet(&s) > SPILL_N / 2); /* what is under it, no more */
    for (int miss = 0; miss < 5; miss++) {
        s = over;
        w = &s.obj[SPILL_SPONGE];
        w->touches_world = miss != 0; /* hovers */
        w->touches_hand = miss != 1;  /* slides about by itself */
        w->speed = miss != 2 ? 0.1 : 0;
        w->up = miss != 3 ? 1 : 0.9;
        w->pos[0] += miss != 4 ? 0 : 0.3; /* beside the spill */
        setting_spill.tick(sim, &s);
        CHECK_INT(wet(&s), SPILL_N);
    }
    fw_sim_close(sim);
}

/* --- the coffee */
static const fw_meant mug = {.n = 1, .obj = {COFFEE_MUG}, .named = BIT(COFFEE_MUG)};

static fw_scene served(void) {
    fw_scene s = still(COFFEE_N_OBJ, (const char *const[]){"mug", "milk"});
    s.n_region = 3, s.n_hinge = 1;
    s.region[COFFEE_TRAY] = (fw_region_view){.name = "machine", .pos = {0.5, -0.2, 0}, .half = {0.018, 0.018, 0.05}};
    s.region[COFFEE_COASTER] = (fw_region_view){.name = "coaster", .pos = {0.5, 0.2, 0}, .half = {0.035, 0.035, 0.05}};
    s.obj[COFFEE_MUG].pos[0] = 0.51, s.obj[COFFEE_MUG].pos[1] = 0.19;
    s.aux[COFFEE_FILL] = 1;
    return s;
}

static void near_misses_of_the_coffee_are_misses(void) {
    fw_scene done = served(), s = done;
    check_released("make_coffee", &done, COFFEE_MUG, &mug);
    s.aux[COFFEE_FILL] = 0;
    CHECK(!holds("make_coffee", &s, &mug) && strstr(why, "empty") != NULL);
    s.aux[COFFEE_FILL] = 0.9; /* taken away too early */
    CHECK(!holds("make_coffee", &s, &mug) && strstr(why, "not full") != NULL);
    s = done;
    s.obj[COFFEE_MUG].pos[0] = 0.55; /* beside the coaster */
    CHECK(!holds("make_coffee", &s, &mug) && strstr(why, "coaster") != NULL);
    memcpy(s.obj[COFFEE_MUG].pos, s.region[COFFEE_TRAY].pos, sizeof s.obj[0].pos); /* full, not brought */
    CHECK(!holds("make_coffee", &s, &mug) && strstr(why, "coaster") != NULL);
    s = done;
    s.obj[COFFEE_MUG].up = 0.9; /* leans */
    CHECK(!holds("make_coffee", &s, &mug) && strstr(why, "upright") != NULL);
    s = done;
    s.obj[COFFEE_MUG].pos[2] = 0.03; /* held over it */
    CHECK(!holds("make_coffee", &s, &mug));
}

/* How full the mug is a second after it stood dx off the spout and the button was (not) pressed. */
static double brewed(fw_sim *sim, double dx, bool press) {
    fw_err err;
    fw_seeds seeds = fw_seeds_all(21);
    if (fw_sim_reset(sim, &seeds, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    const double *t = fw_sim_scene(sim)->region[COFFEE_TRAY].pos;
    fw_sim_place(sim, COFFEE_MUG, (double[]){t[0] + dx, t[1], t[2] + 0.001}, 1.2, true);
    wait(sim, 5);
    fw_scene s = *fw_sim_scene(sim);
    CHECK(s.aux[COFFEE_FILL] == 0); /* standing there is not enough */
    s.hinge[COFFEE_BUTTON].pos = press ? FW_BUTTON_PRESSED_M + 0.001 : FW_BUTTON_PRESSED_M - 0.001;
    setting_coffee.tick(sim, &s);
    s.hinge[COFFEE_BUTTON].pos = 0;
    s.t_s += 1;
    setting_coffee.tick(sim, &s);
    return s.aux[COFFEE_FILL];
}

static void coffee_runs_only_into_a_mug_and_when_asked(void) {
    fw_sim *sim = open_sim(&setting_coffee, 21);
    CHECK(brewed(sim, 0, true) > 0.3);
    CHECK(brewed(sim, 0, false) == 0);
    CHECK(brewed(sim, 0.03, true) == 0); /* not under the spout */
    fw_scene s = *fw_sim_scene(sim);
    s.aux[COFFEE_FILL] = 1;
    s.obj[COFFEE_MUG].up = 0.5; /* tipped over */
    setting_coffee.tick(sim, &s);
    CHECK(s.aux[COFFEE_FILL] == 0);
    fw_sim_close(sim);
}

/* --- the same in physics: the real thing in the real drawer, settled */
static bool stows(fw_sim *sim, double open, double x, double y, double z) {
    fw_err err;
    fw_seeds seeds = fw_seeds_all(21);
    if (fw_sim_reset(sim, &seeds, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    fw_sim_set_hinge(sim, DRAWER_SLIDE, open);
    wait(sim, 1);
    const fw_region_view *r = &fw_sim_scene(sim)->region[DRAWER_INSIDE];
    double c = cos(r->yaw), sn = sin(r->yaw);
    fw_sim_place(sim, DRAWER_DUCK, (double[]){r->pos[0] + c * x - sn * y, r->pos[1] + sn * x + c * y, r->pos[2] + z},
                 0.3, true);
    wait(sim, 10);
    return holds("put_in_drawer", fw_sim_scene(sim), &duck);
}

static void real_things_settle_into_the_same_verdicts(void) {
    fw_sim *sim = open_sim(&setting_drawer, 21);
    CHECK(stows(sim, 0, 0.02, 0, 0.004));
    CHECK(!stows(sim, 0.05, 0.02, 0, 0.004) && strstr(why, "not closed") != NULL);
    CHECK(!stows(sim, 0, 0.22, 0, 0.004) && strstr(why, "not in") != NULL);  /* before the cabinet */
    CHECK(!stows(sim, 0, -0.03, 0, 0.085) && strstr(why, "not in") != NULL); /* on top of it */
    fw_sim_close(sim);
}

FW_TEST_MAIN(T(near_misses_of_the_drawer_are_misses), T(near_misses_of_the_tray_are_misses),
             T(near_misses_of_the_spill_are_misses), T(only_a_pressed_and_moving_sponge_wipes),
             T(near_misses_of_the_coffee_are_misses), T(coffee_runs_only_into_a_mug_and_when_asked),
             T(real_things_settle_into_the_same_verdicts))
