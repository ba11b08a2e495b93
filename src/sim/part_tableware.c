/*
 * part_tableware.c - what a table is set with: cutlery thick enough to be pinched, a mug with a big handle, a place mat.
 *
 * DESIGN. A hand that points down pinches walls, bars and blocks; it cannot pinch a sheet of metal that lies flat. So cutlery
 * is a block with rounded ends and a head that tells what it is, and the coffee mug's handle stands off so far that a hand on it
 * stays clear of a spout over the mug. Only the handle's block touches the table: four contacts in place of twenty.
 */
#include <stdio.h>
#include <string.h>

#include "sim/part_int.h"

#define OFF_M 0.0007 /* off the table */

static const fw_rgb steel = {0.70f, 0.72f, 0.76f}, dark_steel = {0.52f, 0.54f, 0.58f};

static void fork_head(mjsBody *b, double k, double x0, double h) {
    fw_geom_held(b, mjGEOM_BOX, FW_V3(x0 + 0.008 * k, 0, h + OFF_M), FW_V3(0.008 * k, 0.014 * k, h), steel, 1500);
    for (int i = -1; i <= 1; i++) {
        fw_geom_held(b, mjGEOM_BOX, FW_V3(x0 + 0.031 * k, i * 0.0115 * k, h + OFF_M), FW_V3(0.016 * k, 0.0025 * k, h),
                     steel, 1500);
    }
}

static void knife_head(mjsBody *b, double k, double x0, double h) {
    fw_geom_held(b, mjGEOM_BOX, FW_V3(x0 + 0.026 * k, -0.003 * k, h + OFF_M), FW_V3(0.028 * k, 0.006 * k, h), steel,
                 1500);
    part_turn(fw_geom_held(b, mjGEOM_BOX, FW_V3(x0 + 0.054 * k, -0.003 * k, h + OFF_M),
                           FW_V3(0.0045 * k, 0.0045 * k, h), steel, 1500),
              0, 0, 1, mjPI / 4);
}

static void spoon_head(mjsBody *b, double k, double x0, double h) {
    fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(x0 + 0.014 * k, 0, h + OFF_M), FW_V3(0.017 * k, h, 0), steel, 1200);
    fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(x0 + 0.027 * k, 0, h + OFF_M), FW_V3(0.014 * k, h, 0), steel, 1200);
    part_paint(
        fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(x0 + 0.020 * k, 0, 2 * h), FW_V3(0.011 * k, 0.0006, 0), dark_steel, 0));
}

int fw_part_cutlery(fw_world *w, const char *name, const char *kind) {
    static const struct {
        const char *kind;
        void (*head)(mjsBody *, double, double, double);
    } kinds[] = {{"fork", fork_head}, {"knife", knife_head}, {"spoon", spoon_head}};
    double k = part_fit(w) * fw_world_vary(w, 1, 0.92, 1.08), len = 0.042 * k, wide = 0.006, tall = 0.008;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].kind, kind) == 0) {
            mjsBody *b = fw_free_body(w, name);
            double mid = -0.028 * k; /* of the handle: the whole balances over the origin */
            fw_geom_held(b, mjGEOM_BOX, FW_V3(mid + 0.010 * k, 0, tall), FW_V3(len + 0.012 * k, wide, tall), dark_steel,
                         1000);
            fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(mid - len, 0, tall), FW_V3(wide, tall - OFF_M, 0), dark_steel, 1000);
            kinds[i].head(b, k, mid + len + 0.014 * k, 0.005);
            return fw_world_add_obj(w, b, name, kind, 0.085 * k, 2 * tall, 0);
        }
    }
    return -1;
}

int fw_part_coffee_mug(fw_world *w, const char *name) {
    mjsBody *b = fw_free_body(w, name);
    fw_rgb c = {0.85f, 0.45f, 0.20f}, brown = {0.23f, 0.13f, 0.07f};
    double k = part_fit(w), r = k * fw_world_vary(w, 0.033, 0.030, 0.036),
           h = k * fw_world_vary(w, 0.034, 0.031, 0.036), d = FW_COFFEE_HANDLE_M * k, top = 0.060 * k, low = 0.014 * k;
    part_paint(fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.003), FW_V3(r - 0.001, 0.003, 0), c, 0));
    fw_geom_ring(b, 14, r - 0.002, h, 0.002, h, 0, c, 0);
    for (mjsElement *e = mjs_firstChild(b, mjOBJ_GEOM, 0); e != NULL; e = mjs_nextChild(b, e, 0)) {
        part_paint(mjs_asGeom(e)); /* looks hollow; for fingers and the counter it is the solid cylinder below */
    }
    fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(0, 0, h), FW_V3(r, h, 0), c, 450)->group = 4;
    for (int i = 0; i < 2; i++) {
        fw_geom_held(b, mjGEOM_BOX, FW_V3((r + d) / 2, 0, i ? top - 0.005 * k : low),
                     FW_V3((d - r) / 2, 0.006 * k, 0.005 * k), c, 400);
    }
    fw_geom_held(b, mjGEOM_BOX, FW_V3(d, 0, (top + low) / 2), FW_V3(0.008 * k, 0.0065 * k, (top - low) / 2 + 0.003 * k),
                 c, 400);
    mjsGeom *coffee =
        fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(0, 0, 2 * h - 0.012), FW_V3(r - 0.004, 0.001, 0), brown, 0);
    part_paint(coffee);
    char geom[48];
    snprintf(geom, sizeof geom, "%s_coffee", name);
    mjs_setName(coffee->element, geom);
    coffee->rgba[3] = 0; /* empty until a setting shows it */
    return fw_world_add_obj(w, b, name, "coffee_mug", d + 0.010 * k, 2 * h, 0);
}

int fw_part_place_mat(fw_world *w, const char *name, const double pos[3], double yaw) {
    mjsBody *b = fw_mocap_body(w, name, pos, yaw);
    fw_rgb cloth = {0.45f, 0.55f, 0.50f}, mark = {0.62f, 0.71f, 0.66f};
    double k = part_fit(w), hx = 0.15 * k, hy = 0.235 * k;
    part_paint(fw_geom(b, mjGEOM_BOX, FW_V3(0, 0, 0.0005), FW_V3(hx, hy, 0.0005), cloth));
    part_paint(fw_geom(b, mjGEOM_CYLINDER, FW_V3(-0.03 * k, 0, 0.001), FW_V3(0.075 * k, 0.0004, 0), mark));
    const struct {
        const char *what;
        double x, y, half_x, half_y;
    } spots[] = {{"plate", -0.03, 0, 0.035, 0.035}, /* open fingers fit between any two */
                 {"fork", -0.03, 0.145, 0.050, 0.030},
                 {"knife", -0.03, -0.140, 0.050, 0.024},
                 {"spoon", -0.03, -0.195, 0.050, 0.024},
                 {"mug", 0.105, -0.08, 0.035, 0.045}};
    int first = -1;
    for (size_t i = 0; i < sizeof spots / sizeof *spots; i++) {
        char region[48];
        snprintf(region, sizeof region, "%s_%s", name, spots[i].what);
        int id = fw_world_add_region(w, region, name, FW_V3(spots[i].x * k, spots[i].y * k, 0.001), 0,
                                     FW_V3(spots[i].half_x * k, spots[i].half_y * k, 0.05));
        first = i == 0 ? id : first;
    }
    return first;
}

int fw_part_cutting_board(fw_world *w, const char *name, const double pos[3], double yaw) {
    mjsBody *b = fw_mocap_body(w, name, pos, yaw);
    fw_rgb wood = {0.78f, 0.60f, 0.38f}, groove = {0.62f, 0.45f, 0.27f};
    double k = part_fit(w), hx = k * fw_world_vary(w, 0.08, 0.07, 0.09), hy = k * fw_world_vary(w, 0.12, 0.10, 0.14),
           t = 0.006;
    fw_geom(b, mjGEOM_BOX, FW_V3(0, 0, t), FW_V3(hx, hy, t), wood);
    part_paint(fw_geom(b, mjGEOM_CYLINDER, FW_V3(0, hy - 0.015, 2 * t), FW_V3(0.007, 0.0003, 0), groove));
    return fw_world_add_region(w, name, name, FW_V3(0, 0, 2 * t), 0, FW_V3(hx - 0.01, hy - 0.01, 0.06));
}

int fw_part_salad_bowl(fw_world *w, const char *name) {
    mjsBody *b = fw_free_body(w, name);
    fw_rgb c = {0.80f, 0.66f, 0.48f};
    double k = part_fit(w), r = k * fw_world_vary(w, 0.097, 0.093, 0.102), half = 0.030 * k,
           tilt = fw_world_vary(w, 0.35, 0.28, 0.42), out = half * sin(tilt);
    fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.004), FW_V3(r - out + 0.002, 0.004, 0), c, 2500);
    fw_geom_ring(b, 18, r, half, 0.003, half, tilt, c, 1500);
    char inside[48];
    snprintf(inside, sizeof inside, "%s_inside", name);
    fw_world_add_region(w, inside, name, FW_V3(0, 0, 0.008), 0, FW_V3(r - 0.01, r - 0.01, 0.045 * k));
    return fw_world_add_obj(w, b, name, "salad_bowl", r + out + 0.004, 2 * half, 0.001);
}
