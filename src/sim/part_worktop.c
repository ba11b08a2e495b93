/* part_worktop.c - a bare table top. */
#include "sim/parts.h"
#include "sim/world.h"

void fw_part_worktop(fw_world *w) {
    mjsBody *b = mjs_addBody(w->root, NULL);
    mjs_setName(b->element, "worktop");
    /* a plane, for contacts with cloth: a box top costs three times as much */
    fw_geom(b, mjGEOM_PLANE, FW_V3((w->reach.near_m + w->reach.far_m) / 2, 0, 0), FW_V3(0.62, 0.40, 0.05),
            (fw_rgb){0.62f, 0.5f, 0.38f});
}

void fw_part_worktop_paint(fw_sim *s, fw_rng *r) {
    float c[3];
    fw_hsv(fw_rng_uniform(r, 0.05, 0.12), fw_rng_uniform(r, 0.05, 0.45), fw_rng_uniform(r, 0.35, 0.8), c);
    fw_sim_paint(s, "worktop", c);
}
