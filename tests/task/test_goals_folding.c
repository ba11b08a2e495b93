/* ctest: timeout=120 */
#include <string.h>

#include "base/file.h"
#include "fw_test.h"
#include "sim/parts.h"
#include "task/setting_packing.h"
#include "task/task_int.h"

#define GAP_M   0.027 /* between vertices */
#define LAYER_M 0.009 /* a layer on a layer */

enum { TOWEL = 12, VERT_MAX = 256 };

static char why[160];
static double vert[3 * VERT_MAX];

/* Two arms far from the cloth, open. */
static fw_scene still(void) {
    fw_scene s = {.n_arm = 2, .arm = {{.opening = 1, .command = 1}, {.opening = 1, .command = 1}}};
    for (int a = 0; a < 2; a++) {
        memcpy(s.arm[a].pos, (double[]){0.3, a == 0 ? 0.3 : -0.3, 0.2}, sizeof s.arm[a].pos);
        memcpy(s.arm[a].home, s.arm[a].pos, sizeof s.arm[a].home);
        s.cloth.gripped[a] = -1;
    }
    s.cloth.vert = vert;
    s.cloth.spacing = GAP_M;
    return s;
}

static bool holds(const char *task, const fw_scene *s) {
    why[0] = 0;
    bool ok = task_find(task)->goal(s, &(fw_meant){.obj = {0}}, why);
    CHECK(ok || why[0] != 0); /* a refusal says why */
    return ok;
}

static double *at(int v) {
    return vert + 3 * v;
}

/* A vertex at grid (row, col), mirrored about the line row = crease when it lies before it. */
static void lay(int v, double row, double col, double crease) {
    bool over = row < crease;
    at(v)[0] = GAP_M * (over ? 2 * crease - row : row) + 0.25;
    at(v)[1] = GAP_M * (col - 5.5);
    at(v)[2] = over ? 0.004 + LAYER_M : 0.004;
}

/* --- the towel */
static fw_scene towel(double crease) {
    fw_scene s = still();
    s.cloth.rows = s.cloth.cols = TOWEL;
    for (int v = 0; v < TOWEL * TOWEL; v++) {
        lay(v, v / TOWEL, v % TOWEL, crease);
    }
    return s;
}

static void towel_folded_in_half_counts(void) {
    fw_scene s = towel(5.5);
    CHECK(holds("fold_towel", &s));
    s = towel(5); /* edges 2.7 cm apart */
    CHECK(holds("fold_towel", &s));
}

static void near_misses_of_the_towel_are_misses(void) {
    fw_scene s = towel(-1);
    CHECK(!holds("fold_towel", &s)); /* flat */
    s = towel(2.75);                 /* half folded: the edge to the middle */
    CHECK(!holds("fold_towel", &s) && strstr(why, "corner") != NULL);
    s = towel(4.5); /* edges 5.4 cm apart */
    CHECK(!holds("fold_towel", &s) && strstr(why, "5 cm") != NULL);
    s = towel(5.5);
    at(0)[1] -= 0.06; /* one corner pulled off */
    CHECK(!holds("fold_towel", &s) && strstr(why, "corner") != NULL);
    s = towel(5.5);
    at(0)[2] = 0.002; /* one corner under the other */
    CHECK(!holds("fold_towel", &s) && strstr(why, "under") != NULL);
    s = towel(5.5);
    s.cloth.gripped[1] = TOWEL - 1; /* a corner still in the fingers */
    CHECK(!holds("fold_towel", &s) && strstr(why, "held") != NULL);
    s = towel(5.5);
    memcpy(s.arm[0].pos, at(0), sizeof s.arm[0].pos); /* let go, the hand still there */
    CHECK(!holds("fold_towel", &s) && strstr(why, "hand") != NULL);
}

static void crumpled_towels_are_not_folded_ones(void) {
    fw_scene s = towel(5.5);
    for (int v = 0; v < TOWEL * TOWEL; v++) { /* gathered across: the four corners lie right, the rest in waves */
        at(v)[1] *= 0.6;
    }
    CHECK(!holds("fold_towel", &s) && strstr(why, "covers") != NULL);
    s = towel(5.5);
    at(5 * TOWEL + 5)[2] = 0.09; /* a bulge */
    CHECK(!holds("fold_towel", &s) && strstr(why, "high") != NULL);
    s = towel(5.5);
    for (int v = 0; v < TOWEL * TOWEL; v++) { /* folded twice: quarters */
        int col = v % TOWEL;
        if (col < 6) {
            at(v)[1] = GAP_M * (11 - col - 5.5), at(v)[2] += 2 * LAYER_M;
        }
    }
    CHECK(!holds("fold_towel", &s) && strstr(why, "covers") != NULL);
}

/* --- the shirt: sleeves to columns 0..2 and 12..14, the hem in row 0 */
static fw_scene shirt(bool left, bool right, double crease) {
    fw_scene s = still();
    for (int r = 0; r < FW_SHIRT_ROWS; r++) {
        for (int c = 0; c < FW_SHIRT_COLS; c++) {
            int v = fw_part_shirt_vertex(r, c);
            if (v < 0) {
                continue;
            }
            double col = left && c < 3 ? 6 - c : right && c > 11 ? 22 - c : c;
            lay(v, r, col, -1);
            at(v)[2] += col != c ? LAYER_M : 0;
            if (r < crease) {
                lay(v, r, col, crease);
                at(v)[2] += LAYER_M; /* over the sleeves, too */
            }
            s.cloth.rows = v + 1, s.cloth.cols = 1;
        }
    }
    return s;
}

static void near_misses_of_the_shirt_are_misses(void) {
    fw_scene s = shirt(true, true, 5.5);
    CHECK(holds("fold_garment", &s));
    s = shirt(false, false, -1);
    CHECK(!holds("fold_garment", &s)); /* flat */
    s = shirt(false, true, 5.5);
    CHECK(!holds("fold_garment", &s) && strstr(why, "sleeve") != NULL);
    s = shirt(true, false, 5.5);
    CHECK(!holds("fold_garment", &s) && strstr(why, "sleeve") != NULL);
    s = shirt(true, true, -1);
    CHECK(!holds("fold_garment", &s) && strstr(why, "hem") != NULL);
    s = shirt(true, true, 3); /* the hem to the middle */
    CHECK(!holds("fold_garment", &s) && strstr(why, "hem") != NULL);
    s = shirt(true, true, 4.5); /* 5.4 cm short of the shoulders */
    CHECK(!holds("fold_garment", &s) && strstr(why, "hem") != NULL);
    s = shirt(true, true, 5.5);
    s.cloth.gripped[0] = fw_part_shirt_vertex(0, 3);
    CHECK(!holds("fold_garment", &s) && strstr(why, "held") != NULL);
}

/* --- the carton */
static fw_scene carton(double wall, double flap) {
    static const char *const name[6] = {"wall_0", "wall_1", "wall_2", "wall_3", "flap_0", "flap_1"};
    fw_scene s = still();
    s.n_obj = 1, s.n_hinge = flap > -9 ? 6 : 4;
    s.obj[0] = (fw_obj_view){.name = "carton", .pos = {0.5, 0, 0}, .up = 1, .touches_world = true};
    for (int h = 0; h < s.n_hinge; h++) {
        s.hinge[h] = (fw_hinge_view){.name = name[h], .pos = h < 4 ? wall : flap};
    }
    return s;
}

/* Touched, moving, tipped: misses of all carton tasks. */
static void check_left_alone(const char *task, const fw_scene *done) {
    CHECK(holds(task, done));
    fw_scene s = *done;
    s.hinge[2].touches_hand = true;
    CHECK(!holds(task, &s) && strstr(why, "touched") != NULL);
    s = *done;
    s.hinge[1].vel = 0.5; /* falling */
    CHECK(!holds(task, &s) && strstr(why, "moving") != NULL);
    s = *done;
    s.obj[0].touches_hand = true;
    CHECK(!holds(task, &s) && strstr(why, "touched") != NULL);
    s = *done;
    s.obj[0].up = 0.5; /* on its side */
    CHECK(!holds(task, &s) && strstr(why, "base") != NULL);
    s = *done;
    s.obj[0].speed = 0.2;
    CHECK(!holds(task, &s) && strstr(why, "moving") != NULL);
}

static void near_misses_of_the_carton_are_misses(void) {
    fw_scene s = carton(1.55, -10);
    check_left_alone("fold_carton", &s);
    s = carton(0.9, -10);
    CHECK(!holds("fold_carton", &s)); /* as it is found */
    for (int k = 0; k < 4; k++) {
        s = carton(1.55, -10);
        s.hinge[k].pos = 1.3; /* one wall sprang back */
        CHECK(!holds("fold_carton", &s) && why[5] == '0' + k);
        s.hinge[k].pos = 1.75; /* one pushed in */
        CHECK(!holds("fold_carton", &s) && why[5] == '0' + k);
    }
}

static void near_misses_of_the_flaps_are_misses(void) {
    fw_scene s = carton(1.6, 1.75);
    check_left_alone("tuck_flaps", &s);
    for (int k = 0; k < 2; k++) {
        s = carton(1.6, 1.75);
        s.hinge[4 + k].pos = 0.2; /* one gapes */
        CHECK(!holds("tuck_flaps", &s) && strncmp(why, "flap", 4) == 0 && why[5] == '0' + k);
        s.hinge[4 + k].pos = 1.5; /* one lies level on the opening */
        CHECK(!holds("tuck_flaps", &s) && strncmp(why, "flap", 4) == 0 && why[5] == '0' + k);
    }
    s = carton(1.6, 1.75);
    s.hinge[3].pos = 1.1; /* tucked, but a wall fell */
    CHECK(!holds("tuck_flaps", &s) && strstr(why, "wall 3") != NULL);
}

/* The real carton: its creases keep what they were bent to, less what they spring back. */
static bool stays(const char *task, fw_sim *sim, const double *bend) {
    fw_err err;
    fw_seeds seeds = fw_seeds_all(21);
    float stay[5] = {0, 0, 0, 0, 1};
    if (fw_sim_reset(sim, &seeds, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    for (int i = 0; i < 20; i++) { /* bent little by little, then let go */
        for (int k = 0; i < 10 && k < fw_sim_scene(sim)->n_hinge; k++) {
            double now = fw_sim_scene(sim)->hinge[k].pos;
            fw_sim_set_hinge(sim, k, now + (bend[k] - now) / (10 - i));
        }
        if (fw_sim_step(sim, stay, &err) != FW_OK) {
            FW_FAILED("%s", err.msg);
        }
    }
    return holds(task, fw_sim_scene(sim));
}

static fw_sim *open_sim(const fw_setting *setting) {
    fw_err err;
    fw_sim *sim = NULL;
    if (fw_sim_open(fw_home(), setting, "panda_kitchen", &(fw_sim_opts){.max_px = 64}, &sim, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    return sim;
}

static void real_cartons_stand_as_far_as_they_were_bent(void) {
    fw_sim *sim = open_sim(&setting_carton);
    CHECK(stays("fold_carton", sim, (double[]){1.6, 1.6, 1.6, 1.6}));
    CHECK(!stays("fold_carton", sim, (double[]){1.6, 1.6, 1.6, 1.35}) && strstr(why, "wall 3") != NULL);
    CHECK(!stays("fold_carton", sim, (double[]){1.6, 0.8, 1.6, 1.6}) && strstr(why, "wall 1") != NULL);
    fw_sim_close(sim);
    sim = open_sim(&setting_flaps);
    int flap = fw_scene_hinge(fw_sim_scene(sim), "flap_0");
    double bend[FW_HINGE_MAX] = {1.6, 1.6, 1.6, 1.6, 1.6, 1.6};
    bend[flap] = 1.8, bend[fw_scene_hinge(fw_sim_scene(sim), "flap_1")] = 1.8;
    CHECK(stays("tuck_flaps", sim, bend));
    bend[flap] = 1.5;
    CHECK(!stays("tuck_flaps", sim, bend) && strstr(why, "flap 0") != NULL);
    fw_sim_close(sim);
}

FW_TEST_MAIN(T(towel_folded_in_half_counts), T(near_misses_of_the_towel_are_misses),
             T(crumpled_towels_are_not_folded_ones), T(near_misses_of_the_shirt_are_misses),
             T(near_misses_of_the_carton_are_misses), T(near_misses_of_the_flaps_are_misses),
             T(real_cartons_stand_as_far_as_they_were_bent))
