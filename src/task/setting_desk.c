/*
 * setting_desk.c - plate and banana beside each other, mostly with the plate on the left, as the recordings have them; the hand starts
 * high over the near side of the desk, from where its camera sees both.
 */
#include "task/setting_desk.h"

#include <math.h>

#include "sim/parts.h"

#define APART_M 0.215 /* between their middles */
#define START_X 0.36
#define START_Z 0.43

static fw_status build(fw_world *w, fw_err *err) {
    (void)err;
    fw_part_desk(w);
    fw_part_dinner_plate(w, "plate");
    fw_part_plastic_banana(w, "banana");
    return FW_OK;
}

static void arrange(fw_sim *s, fw_rng *r) {
    const fw_reach *reach = fw_sim_reach(s);
    double at[DESK_N_OBJ][2], side = fw_rng_unit(r) < 0.75 ? 1 : -1, far = fmin(0.60, reach->far_m - 0.02);
    do {
        for (int o = 0; o < DESK_N_OBJ; o++) {
            at[o][0] = fw_rng_uniform(r, 0.42, far);
            at[o][1] = fw_rng_uniform(r, -0.21, 0.22);
        }
    } while (hypot(at[0][0] - at[1][0], at[0][1] - at[1][1]) < APART_M || side * (at[0][1] - at[1][1]) < 0);
    fw_sim_place(s, DESK_PLATE, (double[]){at[0][0], at[0][1], 0.001}, fw_rng_uniform(r, -M_PI, M_PI), true);
    fw_sim_place(s, DESK_BANANA, (double[]){at[1][0], at[1][1], fw_sim_scene(s)->obj[DESK_BANANA].rest_z},
                 fw_rng_uniform(r, -M_PI, M_PI), true);
    double start[3];
    start[0] = START_X + fw_rng_uniform(r, -0.02, 0.02);
    start[1] = fw_rng_uniform(r, -0.03, 0.03);
    start[2] = START_Z + fw_rng_uniform(r, -0.03, 0.02);
    fw_sim_start(s, 0, start, fw_rng_uniform(r, -0.08, 0.08), 1);
}

/* The desk's own grey, a plate that is nearly white, a banana of any ripeness; the monitor and the cables come and go. */
static void paint(fw_sim *s, fw_rng *r) {
    float c[3];
    double shade = fw_rng_uniform(r, 0.7, 1.35);
    for (int k = 0; k < 3; k++) {
        c[k] = (float)(shade * fw_rng_uniform(r, 0.94, 1.06));
    }
    fw_sim_shade(s, "desk", c);
    for (int k = 0; k < 3; k++) {
        c[k] = (float)fw_rng_uniform(r, 0.93, 1.07);
    }
    fw_sim_shade(s, "plate", c);
    for (int k = 0; k < 3; k++) {
        c[k] = (float)fw_rng_uniform(r, 0.92, 1.08);
    }
    fw_sim_shade(s, "banana", c);
    double away = fw_rng_unit(r) < 0.5 ? 0 : 1.5, askew = fw_rng_uniform(r, -0.12, 0.12);
    fw_sim_shift(s, "desk_monitor", away + fw_rng_uniform(r, -0.03, 0.04), askew, 0.6 * askew);
    fw_sim_shift(s, "desk_cables", fw_rng_uniform(r, -0.03, 0.05), fw_rng_uniform(r, -0.05, 0.05),
                 fw_rng_uniform(r, -0.2, 0.2));
}

const fw_setting setting_desk = {.name = "desk", .build = build, .arrange = arrange, .paint = paint};
