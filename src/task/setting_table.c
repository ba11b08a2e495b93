/* setting_table.c - a block and a tray somewhere in the robot's reach, apart from each other. */
#include "task/setting_table.h"

#include <math.h>

#include "sim/parts.h"
#include "sim/world.h"

static fw_status build(fw_world *w, fw_err *err) {
    (void)err;
    fw_part_table(w);
    fw_part_tray(w, "tray", (double[]){(w->reach.near_m + w->reach.far_m) / 2, 0, 0}, 0);
    fw_part_toy(w, "block", "cube");
    return FW_OK;
}

/* The two are apart by tray, block and open fingers; a small table gives what it has. */
static void arrange(fw_sim *s, fw_rng *r) {
    const fw_reach *reach = fw_sim_reach(s);
    double k = fmin(1, reach->opening_m / 0.08), apart = 0.15 * k, best = -1, at[4] = {0};
    double mid = (reach->near_m + reach->far_m) / 2;
    for (int i = 0; i < 200 && best < apart; i++) {
        double x[2], y[2], in = i < 100 ? 0.02 : 0;
        for (int t = 0; t < 2; t++) {
            x[t] = fw_rng_uniform(r, reach->near_m + in, reach->far_m - in);
            y[t] = fw_rng_uniform(r, -reach->side_m + in, reach->side_m - in);
        }
        double d = hypot(x[0] - x[1], y[0] - y[1]);
        if (d > best) {
            best = d;
            at[0] = x[0], at[1] = y[0], at[2] = x[1], at[3] = y[1];
        }
    }
    fw_sim_shift(s, "tray", at[0] - mid, at[1], fw_rng_uniform(r, -0.5, 0.5));
    fw_sim_place(s, TABLE_BLOCK, (double[]){at[2], at[3], 0.0005}, fw_rng_uniform(r, -M_PI, M_PI), true);
}

static void paint(fw_sim *s, fw_rng *r) {
    float c[3];
    double hue = fw_rng_unit(r);
    fw_part_counter_paint(s, r);
    fw_hsv(hue, fw_rng_uniform(r, 0.6, 0.95), fw_rng_uniform(r, 0.5, 0.9), c);
    fw_sim_paint(s, "block", c);
    fw_hsv(fmod(hue + fw_rng_uniform(r, 0.25, 0.75), 1), fw_rng_uniform(r, 0.1, 0.6), fw_rng_uniform(r, 0.4, 0.9), c);
    fw_sim_paint(s, "tray", c);
}

const fw_setting setting_table = {.name = "table", .build = build, .arrange = arrange, .paint = paint};
