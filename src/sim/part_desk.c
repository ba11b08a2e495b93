/*
 * part_desk.c - the desk of the real CR5 recordings: dark, a monitor's foot and loose cables at its far end.
 *
 * DESIGN. Sizes are measured from the first frames: the plate is 22 cm wide and flat (it need not be pinched), the banana 17 cm of
 * plastic, thick, with green ends. Monitor and cables are only seen; an episode may hide them, as half of the recordings do.
 */
#include "sim/part_int.h"

static void add_monitor(fw_world *w) {
    mjsBody *b = fw_mocap_body(w, "desk_monitor", FW_V3(0.80, 0, 0), 0);
    fw_rgb black = {0.05f, 0.05f, 0.055f}, foot = {0.09f, 0.09f, 0.10f};
    part_paint(fw_geom(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.004), FW_V3(0.09, 0.004, 0), foot));
    part_paint(fw_geom(b, mjGEOM_BOX, FW_V3(0.03, 0, 0.06), FW_V3(0.012, 0.025, 0.06), black));
    part_paint(fw_geom(b, mjGEOM_BOX, FW_V3(0.02, 0, 0.27), FW_V3(0.012, 0.28, 0.17), black));
}

/* Two loose cables that run from behind the monitor to the right. */
static void add_cables(fw_world *w) {
    mjsBody *b = fw_mocap_body(w, "desk_cables", FW_V3(0.82, -0.12, 0), 0);
    enum { N = 10 };
    for (int i = 0; i < 2 * N; i++) {
        int k = i / N;
        double p[2][2];
        for (int e = 0; e < 2; e++) {
            double t = (double)(i % N + e) / N;
            p[e][0] = 0.02 * k - 0.24 * t * t, p[e][1] = -0.40 * t + 0.03 * sin(6 * t + 2 * k);
        }
        double dx = p[1][0] - p[0][0], dy = p[1][1] - p[0][1];
        mjsGeom *g = fw_geom(b, mjGEOM_CAPSULE, FW_V3((p[0][0] + p[1][0]) / 2, (p[0][1] + p[1][1]) / 2, 0.004),
                             FW_V3(0.0035, hypot(dx, dy) / 2, 0), (fw_rgb){0.80f, 0.80f, 0.78f});
        part_paint(part_turn(part_turn(g, 0, 1, 0, mjPI / 2), 0, 0, 1, atan2(dy, dx)));
    }
}

/* A flat rim without gaps: as wide as its outer edge needs. */
static void add_rim(mjsBody *b, double r, double z, double half, double tilt, fw_rgb c) {
    enum { N = 32 };
    for (int i = 0; i < N; i++) {
        double a = 2 * mjPI * i / N, wide = (r + half * sin(tilt) + 0.001) * tan(mjPI / N);
        mjsGeom *g = fw_geom_held(b, mjGEOM_BOX, FW_V3(r * cos(a), r * sin(a), z), FW_V3(0.002, wide, half), c, 1500);
        part_turn(part_turn(g, 0, 1, 0, tilt), 0, 0, 1, a);
    }
}

int fw_part_desk(fw_world *w) {
    mjsBody *b = fw_mocap_body(w, "desk", FW_V3(0, 0, 0), 0);
    fw_geom(b, mjGEOM_BOX, FW_V3(0.45, 0, -0.02), FW_V3(0.65, 0.9, 0.02), (fw_rgb){0.21f, 0.23f, 0.25f});
    add_monitor(w);
    add_cables(w);
    return fw_world_add_region(w, "desk", "desk", FW_V3(0.45, 0, 0), 0, FW_V3(0.2, 0.4, 0.2));
}

int fw_part_dinner_plate(fw_world *w, const char *name) {
    mjsBody *b = fw_free_body(w, name);
    fw_rgb c = {0.93f, 0.92f, 0.94f};
    fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.003), FW_V3(0.082, 0.003, 0), c, 2000);
    add_rim(b, 0.096, 0.0105, 0.0165, 1.05, c);
    return fw_world_add_obj(w, b, name, "dinner_plate", 0.112, 0.020, 0.001);
}

int fw_part_plastic_banana(fw_world *w, const char *name) {
    part_arc f = {
        .k = 1.18, .bend = 0.85, .thick = 0.0045, .skin = {0.97f, 0.76f, 0.08f}, .tip = {0.35f, 0.55f, 0.15f}};
    part_arc_stem(&f);
    return part_banana(w, name, &f);
}
