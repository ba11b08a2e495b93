/* setting_place.c - three to five of the five things, beside the mat. */
#include "task/setting_place.h"

#include <math.h>

#include "sim/parts.h"
#include "task/scatter.h"

enum { FEWEST = 3 };

static fw_status build(fw_world *w, fw_err *err) {
    (void)err;
    fw_part_table(w);
    fw_part_place_mat(w, "mat", (double[]){0.47, 0.155, 0}, 0);
    fw_part_plate(w, "plate");
    fw_part_cutlery(w, "fork", "fork");
    fw_part_cutlery(w, "knife", "knife");
    fw_part_cutlery(w, "spoon", "spoon");
    fw_part_mug(w, "mug");
    return FW_OK;
}

static int choose(fw_rng *r, int *obj) {
    int n = FEWEST + (int)fw_rng_below(r, PLACE_N_OBJ - FEWEST + 1), k = 0;
    for (int o = 0; o < PLACE_N_OBJ; o++) {
        if (fw_rng_below(r, (uint64_t)(PLACE_N_OBJ - o)) < (uint64_t)(n - k)) {
            obj[k++] = o;
        }
    }
    return k;
}

/* Heads point away from the diner, more or less: what lies the other way round would have to be turned in two goes. */
static void arrange(fw_sim *s, fw_rng *r) {
    const scatter_area area = {.lo = {0.29, -0.42}, .hi = {0.70, -0.10}, .yaw_max = 1.35};
    int obj[PLACE_N_OBJ], n;
    footprint at[PLACE_N_OBJ];
    do {
        n = choose(r, obj);
    } while (!scatter(fw_sim_scene(s), &area, obj, n, r, at));
    scatter_put(s, obj, n, at);
    fw_sim_shift(s, "mat", fw_rng_uniform(r, -0.02, 0.02), fw_rng_uniform(r, -0.005, 0.02),
                 fw_rng_uniform(r, -0.1, 0.1));
}

static void paint(fw_sim *s, fw_rng *r) {
    float c[3];
    fw_hsv(fw_rng_unit(r), fw_rng_uniform(r, 0, 0.12), fw_rng_uniform(r, 0.8, 0.95), c);
    fw_sim_paint(s, "plate", c);
    fw_hsv(fw_rng_unit(r), fw_rng_uniform(r, 0.6, 0.95), fw_rng_uniform(r, 0.45, 0.9), c);
    fw_sim_paint(s, "mug", c);
    for (int k = 0; k < 3; k++) {
        c[k] = (float)fw_rng_uniform(r, 0.5, 1.4);
    }
    fw_sim_shade(s, "mat", c);
    double gain = fw_rng_uniform(r, 0.8, 1.2);
    for (int k = 0; k < 3; k++) {
        c[k] = (float)(gain * fw_rng_uniform(r, 0.95, 1.05));
    }
    fw_sim_shade(s, "fork", c);
    fw_sim_shade(s, "knife", c);
    fw_sim_shade(s, "spoon", c);
    fw_part_counter_paint(s, r);
}

const fw_setting setting_place = {.name = "place", .build = build, .arrange = arrange, .paint = paint};
