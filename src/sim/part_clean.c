/*
 * part_clean.c - a sponge, and a spill that it can wipe away.
 *
 * DESIGN. A spill is a grid of discs that are only seen; the setting hides those that the sponge has passed over. Which ones are
 * wet is the episode's business (scene aux), not this file's. Its body may be shifted; its region spans the grid.
 */
#include <stdio.h>

#include "sim/part_int.h"

int fw_part_sponge(fw_world *w, const char *name) {
    mjsBody *b = fw_free_body(w, name);
    fw_rgb foam = {0.96f, 0.80f, 0.25f}, scrub = {0.18f, 0.48f, 0.26f};
    double k = part_fit(w), hx = FW_SPONGE_X_M * k, hy = FW_SPONGE_Y_M * k, h = 0.016 * k;
    mjsGeom *g = fw_geom_held(b, mjGEOM_BOX, FW_V3(0, 0, h), FW_V3(hx, hy, h), foam, 250);
    g->solref[0] = 0.03; /* foam gives */
    g->friction[0] = 0.4;
    part_paint(
        fw_geom(b, mjGEOM_BOX, FW_V3(0, 0, 2 * h - 0.004 * k), FW_V3(hx + 0.0004, hy + 0.0004, 0.0045 * k), scrub));
    return fw_world_add_obj(w, b, name, "sponge", hypot(hx, hy), 2 * h, 0);
}

int fw_part_spill(fw_world *w, const char *name, const double pos[3], int rows, int cols) {
    mjsBody *b = fw_mocap_body(w, name, pos, 0);
    fw_rgb wine = {0.50f, 0.06f, 0.14f};
    double k = part_fit(w), step = FW_SPILL_STEP_M * k;
    for (int i = 0; i < rows * cols; i++) {
        double x = (i / cols - 0.5 * (rows - 1)) * step, y = (i % cols - 0.5 * (cols - 1)) * step;
        mjsGeom *g = fw_geom(b, mjGEOM_CYLINDER, FW_V3(x, y, 0.0006), FW_V3(0.62 * step, 0.0004, 0), wine);
        part_paint(g);
        char id[48];
        snprintf(id, sizeof id, "%s_%d", name, i);
        mjs_setName(g->element, id);
    }
    return fw_world_add_region(w, name, name, FW_V3(0, 0, 0), 0, FW_V3(0.5 * rows * step, 0.5 * cols * step, 0.02));
}
