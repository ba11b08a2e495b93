/* setting_packing.c - a table with a carton: creased but open, or standing with its flaps up. */
#include "task/setting_packing.h"

#include <math.h>
#include <stdio.h>

#include "sim/parts.h"

#define STANDING_RAD 1.73 /* a crease that is bent all at once springs back by 0.2 */

static int hinge(const fw_sim *s, const char *kind, int k) {
    char name[16];
    snprintf(name, sizeof name, "%.8s_%d", kind, k);
    return fw_scene_hinge(fw_sim_scene(s), name);
}

/* Its walls 0 and 1 lie towards the left arm (+y) and the right one. */
static void put(fw_sim *s, fw_rng *r) {
    const fw_reach *reach = fw_sim_reach(s);
    double x = (reach->near_m + reach->far_m) / 2 + fw_rng_uniform(r, -0.03, 0.03), y = fw_rng_uniform(r, -0.03, 0.03);
    fw_sim_place(s, fw_scene_obj(fw_sim_scene(s), "carton"), (double[]){x, y, 0.001},
                 -M_PI / 2 + fw_rng_uniform(r, -0.25, 0.25), true);
}

static void arrange_carton(fw_sim *s, fw_rng *r) {
    put(s, r);
    for (int k = 0; k < 4; k++) {
        fw_sim_set_hinge(s, hinge(s, "wall", k), fw_rng_uniform(r, 0.7, 1.0));
    }
}

static void arrange_flaps(fw_sim *s, fw_rng *r) {
    put(s, r);
    for (int k = 0; k < 4; k++) {
        fw_sim_set_hinge(s, hinge(s, "wall", k), STANDING_RAD);
    }
    for (int k = 0; k < 2; k++) {
        fw_sim_set_hinge(s, hinge(s, "flap", k), fw_rng_uniform(r, -0.7, 0.3));
    }
}

static void paint(fw_sim *s, fw_rng *r) {
    float c[3];
    fw_hsv(fw_rng_uniform(r, 0.06, 0.11), fw_rng_uniform(r, 0.15, 0.55), fw_rng_uniform(r, 0.6, 0.9), c);
    fw_sim_paint(s, "carton", c);
    for (int k = 0; k < 4; k++) {
        char name[16];
        snprintf(name, sizeof name, "wall_%d", k);
        float shade = (float)fw_rng_uniform(r, 0.85, 1.0), tinted[3] = {shade * c[0], shade * c[1], shade * c[2]};
        fw_sim_paint(s, name, tinted);
    }
    fw_part_worktop_paint(s, r);
}

static fw_status build_carton(fw_world *w, fw_err *err) {
    (void)err;
    fw_part_worktop(w);
    fw_part_carton(w, false);
    return FW_OK;
}

static fw_status build_flaps(fw_world *w, fw_err *err) {
    (void)err;
    fw_part_worktop(w);
    fw_part_carton(w, true);
    return FW_OK;
}

const fw_setting setting_carton = {
    .name = "packing carton", .build = build_carton, .arrange = arrange_carton, .paint = paint, .settle_s = 0.5};
const fw_setting setting_flaps = {
    .name = "packing flaps", .build = build_flaps, .arrange = arrange_flaps, .paint = paint, .settle_s = 0.5};
