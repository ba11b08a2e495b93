/* part_toys.c - small things that lie about: blocks, a car, a duck, boxes, bottles. All are pinched across y at their middle. */
#include <string.h>

#include "sim/part_int.h"

typedef struct size3 {
    double radius, height, rest_z;
} size3;

static size3 cube(mjsBody *b, double k) {
    double a = 0.017 * k;
    fw_geom_held(b, mjGEOM_BOX, FW_V3(0, 0, a), FW_V3(a, a, a), (fw_rgb){0.82f, 0.18f, 0.16f}, 500);
    return (size3){1.42 * a, 2 * a, 0};
}

static size3 car(mjsBody *b, double k) {
    fw_rgb c = {0.15f, 0.42f, 0.80f}, glass = {0.75f, 0.88f, 0.95f}, tyre = {0.12f, 0.12f, 0.13f};
    fw_geom_held(b, mjGEOM_BOX, FW_V3(0, 0, 0.013 * k), FW_V3(0.034 * k, 0.016 * k, 0.009 * k), c, 500);
    fw_geom_held(b, mjGEOM_BOX, FW_V3(-0.004 * k, 0, 0.028 * k), FW_V3(0.017 * k, 0.0155 * k, 0.007 * k), glass, 300);
    part_paint(fw_geom(b, mjGEOM_BOX, FW_V3(-0.004 * k, 0, 0.0355 * k), FW_V3(0.017 * k, 0.0156 * k, 0.0012), c));
    for (int i = 0; i < 4; i++) {
        double x = (i & 1 ? 1 : -1) * 0.020 * k, y = (i & 2 ? 1 : -1) * 0.0155 * k;
        mjsGeom *g =
            fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(x, y, 0.008 * k), FW_V3(0.008 * k, 0.003 * k, 0), tyre, 500);
        part_turn(g, 1, 0, 0, mjPI / 2);
    }
    return (size3){0.040 * k, 0.036 * k, 0};
}

static size3 duck(mjsBody *b, double k) {
    fw_rgb c = {0.98f, 0.82f, 0.12f}, bill = {0.95f, 0.45f, 0.08f}, eye = {0.08f, 0.08f, 0.08f};
    fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.005 * k), FW_V3(0.017 * k, 0.005 * k, 0), c, 500);
    fw_geom_held(b, mjGEOM_SPHERE, FW_V3(0, 0, 0.018 * k), FW_V3(0.0185 * k, 0, 0), c, 250);
    part_paint(
        fw_geom(b, mjGEOM_ELLIPSOID, FW_V3(-0.004 * k, 0, 0.017 * k), FW_V3(0.027 * k, 0.0188 * k, 0.015 * k), c));
    fw_geom_held(b, mjGEOM_SPHERE, FW_V3(0.010 * k, 0, 0.036 * k), FW_V3(0.0115 * k, 0, 0), c, 150);
    part_paint(fw_geom(b, mjGEOM_BOX, FW_V3(0.023 * k, 0, 0.034 * k), FW_V3(0.005 * k, 0.005 * k, 0.002 * k), bill));
    for (int i = -1; i <= 1; i += 2) {
        part_paint(fw_geom(b, mjGEOM_SPHERE, FW_V3(0.018 * k, i * 0.007 * k, 0.039 * k), FW_V3(0.002 * k, 0, 0), eye));
    }
    return (size3){0.030 * k, 0.047 * k, 0};
}

static size3 matchbox(mjsBody *b, double k) {
    fw_rgb c = {0.20f, 0.55f, 0.35f}, side = {0.90f, 0.86f, 0.72f};
    fw_geom_held(b, mjGEOM_BOX, FW_V3(0, 0, 0.013 * k), FW_V3(0.034 * k, 0.020 * k, 0.013 * k), c, 350);
    part_paint(fw_geom(b, mjGEOM_BOX, FW_V3(0, 0, 0.013 * k), FW_V3(0.0343 * k, 0.018 * k, 0.011 * k), side));
    part_paint(fw_geom(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.0262 * k), FW_V3(0.011 * k, 0.0003, 0), side));
    return (size3){0.040 * k, 0.026 * k, 0};
}

static size3 tape(mjsBody *b, double k) {
    fw_rgb c = {0.80f, 0.66f, 0.42f}, core = {0.30f, 0.22f, 0.15f};
    fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.010 * k), FW_V3(0.025 * k, 0.010 * k, 0), c, 400);
    part_paint(fw_geom(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.020 * k), FW_V3(0.015 * k, 0.0004, 0), core));
    return (size3){0.025 * k, 0.020 * k, 0};
}

static size3 bottle(mjsBody *b, double k) {
    fw_rgb c = {0.25f, 0.55f, 0.30f}, cap = {0.90f, 0.90f, 0.88f}, label = {0.95f, 0.92f, 0.80f};
    fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.033 * k), FW_V3(0.022 * k, 0.033 * k, 0), c, 400);
    part_paint(fw_geom(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.030 * k), FW_V3(0.0223 * k, 0.014 * k, 0), label));
    part_paint(fw_geom(b, mjGEOM_ELLIPSOID, FW_V3(0, 0, 0.066 * k), FW_V3(0.022 * k, 0.022 * k, 0.012 * k), c));
    fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.080 * k), FW_V3(0.009 * k, 0.016 * k, 0), c, 200);
    part_paint(fw_geom(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.095 * k), FW_V3(0.0105 * k, 0.006 * k, 0), cap));
    return (size3){0.022 * k, 0.101 * k, 0};
}

int fw_part_toy(fw_world *w, const char *name, const char *kind) {
    static const struct {
        const char *kind;
        size3 (*draw)(mjsBody *, double);
    } kinds[] = {{"cube", cube},         {"car", car},   {"duck", duck},
                 {"matchbox", matchbox}, {"tape", tape}, {"bottle", bottle}};
    double k = part_fit(w) * fw_world_vary(w, 1, 0.90, 1.08);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].kind, kind) == 0) {
            mjsBody *b = fw_free_body(w, name);
            size3 s = kinds[i].draw(b, k);
            return fw_world_add_obj(w, b, name, kind, s.radius, s.height, s.rest_z);
        }
    }
    return -1;
}
