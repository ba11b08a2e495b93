/* setting_drawer.c - the cabinet opens to the left, so that both cameras see into it; the things lie on the left half. */
#include "task/setting_drawer.h"

#include <math.h>

#include "sim/parts.h"

#define APART_M 0.095 /* between things: room for open fingers */

static fw_status build(fw_world *w, fw_err *err) {
    (void)err;
    fw_part_table(w);
    fw_part_drawer(w, "cabinet", (double[]){0.50, -0.20, 0}, M_PI / 2);
    fw_part_toy(w, "block_1", "cube");
    fw_part_toy(w, "block_2", "cube");
    fw_part_toy(w, "car", "car");
    fw_part_toy(w, "duck", "duck");
    return FW_OK;
}

static bool apart(double at[][2], int n) {
    for (int i = 0; i < n; i++) {
        if (hypot(at[i][0] - at[n][0], at[i][1] - at[n][1]) < APART_M) {
            return false;
        }
    }
    /* the blocks: one is clearly the left one */
    return n != DRAWER_BLOCK_2 || fabs(at[0][1] - at[1][1]) > 0.07;
}

static void arrange(fw_sim *s, fw_rng *r) {
    double at[DRAWER_N_OBJ][2];
    fw_sim_shift(s, "cabinet", fw_rng_uniform(r, -0.04, 0.04), fw_rng_uniform(r, -0.03, 0.02),
                 fw_rng_uniform(r, -0.2, 0.2));
    for (int n = 0, tries = 0; n < DRAWER_N_OBJ; tries++) {
        at[n][0] = fw_rng_uniform(r, 0.34, 0.62);
        at[n][1] = fw_rng_uniform(r, 0.07, 0.33);
        n = apart(at, n) ? n + 1 : tries % 50 == 49 ? 0 : n;
    }
    for (int o = 0; o < DRAWER_N_OBJ; o++) {
        fw_sim_place(s, o, (double[]){at[o][0], at[o][1], 0.001}, fw_rng_uniform(r, -M_PI, M_PI), true);
    }
}

static void paint(fw_sim *s, fw_rng *r) {
    float c[3];
    fw_part_counter_paint(s, r);
    fw_hsv(fw_rng_unit(r), fw_rng_uniform(r, 0.6, 0.95), fw_rng_uniform(r, 0.5, 0.9), c);
    fw_sim_paint(s, "block_1", c);
    fw_sim_paint(s, "block_2", c);
    for (int k = 0; k < 3; k++) {
        c[k] = (float)fw_rng_uniform(r, 0.6, 1.2);
    }
    fw_sim_shade(s, "cabinet", c);
    fw_sim_shade(s, "cabinet_box", c);
    double hue = fw_rng_unit(r);
    fw_hsv(hue, fw_rng_uniform(r, 0, 0.35), 1, c);
    fw_sim_shade(s, "car", c);
    for (int k = 0; k < 3; k++) {
        c[k] = (float)fw_rng_uniform(r, 0.88, 1.05);
    }
    fw_sim_shade(s, "duck", c);
}

const fw_setting setting_drawer = {.name = "drawer", .build = build, .arrange = arrange, .paint = paint};
