/*
 * part_food.c - what a salad is made of: each kind apart from the others by colour and by shape, each convex enough to be pinched.
 *
 * DESIGN. One function draws one kind; the table names them. The round ones have their origin in the middle and roll a little;
 * the long ones lie along x. All are taken across y at their middle.
 */
#include <string.h>

#include "sim/part_int.h"

typedef struct size3 {
    double radius, height, rest_z;
} size3;

static const fw_rgb leaf = {0.20f, 0.50f, 0.16f}, stalk = {0.36f, 0.45f, 0.18f};

static mjsGeom *ball(mjsBody *b, double x, double y, double z, double r, fw_rgb c) {
    return part_rolls(fw_geom_held(b, mjGEOM_SPHERE, FW_V3(x, y, z), FW_V3(r, 0, 0), c, 600));
}

/* A capsule along x. */
static mjsGeom *rod(mjsBody *b, double x, double r, double half, fw_rgb c) {
    return part_rolls(
        part_turn(fw_geom_held(b, mjGEOM_CAPSULE, FW_V3(x, 0, 0), FW_V3(r, half, 0), c, 700), 0, 1, 0, mjPI / 2));
}

static size3 tomato(mjsBody *b, double k) {
    double r = 0.024 * k;
    ball(b, 0, 0, 0, r, (fw_rgb){0.85f, 0.12f, 0.10f});
    for (int i = 0; i < 3; i++) {
        part_paint(part_turn(fw_geom(b, mjGEOM_BOX, FW_V3(0, 0, r * 0.97), FW_V3(0.010 * k, 0.002 * k, 0.0012), leaf),
                             0, 0, 1, i * mjPI / 3));
    }
    return (size3){r, 2 * r, r};
}

static size3 cucumber(mjsBody *b, double k) {
    double r = 0.017 * k;
    fw_rgb light = {0.45f, 0.65f, 0.30f};
    rod(b, 0, r, 0.048 * k, (fw_rgb){0.10f, 0.36f, 0.13f});
    for (int i = 0; i < 3; i++) {
        part_paint(part_turn(fw_geom(b, mjGEOM_BOX, FW_V3(0, 0, 0), FW_V3(0.045 * k, 0.0025 * k, r + 0.0003), light), 1,
                             0, 0, i * mjPI / 3));
    }
    return (size3){0.065 * k, 2 * r, r};
}

static size3 lettuce(mjsBody *b, double k) {
    double r = 0.027 * k;
    ball(b, 0, 0, 0, r, (fw_rgb){0.55f, 0.78f, 0.33f});
    fw_rgb curl = {0.68f, 0.88f, 0.42f};
    for (int i = 0; i < 6; i++) {
        double a = i * mjPI / 3, out = 0.6 * r;
        mjsGeom *g = fw_geom(b, mjGEOM_ELLIPSOID, FW_V3(out * cos(a), out * sin(a), 0.35 * r),
                             FW_V3(0.55 * r, 0.75 * r, 0.16 * r), curl);
        part_paint(part_turn(part_turn(g, 0, 1, 0, 1.05), 0, 0, 1, a));
    }
    return (size3){r, 2 * r, r};
}

static size3 pepper(mjsBody *b, double k) {
    double r = 0.017 * k, out = 0.010 * k;
    fw_rgb c = {0.96f, 0.62f, 0.05f};
    for (int i = 0; i < 3; i++) {
        double a = mjPI / 3 + i * 2 * mjPI / 3; /* one lobe to -x: the pinch across y meets two */
        mjsGeom *g = fw_geom_held(b, mjGEOM_CAPSULE, FW_V3(out * cos(a), out * sin(a), r + 0.008 * k),
                                  FW_V3(r, 0.008 * k, 0), c, 500);
        part_rolls(g);
    }
    part_paint(fw_geom(b, mjGEOM_CYLINDER, FW_V3(0, 0, 2 * r + 0.016 * k), FW_V3(0.004 * k, 0.009 * k, 0), leaf));
    return (size3){r + out, 2 * r + 0.016 * k, 0};
}

static size3 carrot(mjsBody *b, double k) {
    fw_rgb c = {0.95f, 0.45f, 0.08f};
    rod(b, -0.012 * k, 0.0150 * k, 0.018 * k, c);
    rod(b, 0.020 * k, 0.0120 * k, 0.016 * k, c);
    rod(b, 0.046 * k, 0.0075 * k, 0.014 * k, c);
    for (int i = -1; i <= 1; i++) {
        mjsGeom *g = part_turn(
            fw_geom(b, mjGEOM_CAPSULE, FW_V3(-0.056 * k, i * 0.006 * k, 0.002), FW_V3(0.003 * k, 0.012 * k, 0), leaf),
            0, 1, 0, mjPI / 2);
        part_paint(part_turn(g, 0, 0, 1, -0.35 * i));
    }
    return (size3){0.070 * k, 0.030 * k, 0.015 * k};
}

static size3 onion(mjsBody *b, double k) {
    double r = 0.023 * k;
    fw_rgb c = {0.48f, 0.14f, 0.36f};
    ball(b, 0, 0, 0, r, c);
    part_paint(fw_geom(b, mjGEOM_ELLIPSOID, FW_V3(0, 0, r), FW_V3(0.006 * k, 0.006 * k, 0.010 * k),
                       (fw_rgb){0.75f, 0.55f, 0.45f}));
    return (size3){r, 2 * r, r};
}

static size3 egg(mjsBody *b, double k) {
    double r = 0.0175 * k;
    fw_rgb c = {0.93f, 0.85f, 0.75f};
    rod(b, 0, r, 0.006 * k, c);
    part_paint(
        part_turn(fw_geom(b, mjGEOM_ELLIPSOID, FW_V3(0.004 * k, 0, 0), FW_V3(0.0215 * k, 0.0176 * k, 0.0176 * k), c), 0,
                  0, 1, 0));
    return (size3){0.026 * k, 2 * r, r};
}

static size3 lemon(mjsBody *b, double k) {
    double r = 0.0195 * k;
    fw_rgb c = {0.97f, 0.90f, 0.15f};
    rod(b, 0, r, 0.006 * k, c);
    for (int i = -1; i <= 1; i += 2) {
        part_paint(fw_geom(b, mjGEOM_ELLIPSOID, FW_V3(i * 0.026 * k, 0, 0), FW_V3(0.008 * k, 0.006 * k, 0.006 * k), c));
    }
    return (size3){0.034 * k, 2 * r, r};
}

static size3 mushroom(mjsBody *b, double k) {
    fw_rgb cap = {0.72f, 0.52f, 0.38f}, stem = {0.94f, 0.90f, 0.82f};
    fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.011 * k), FW_V3(0.013 * k, 0.011 * k, 0), stem, 400);
    fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.026 * k), FW_V3(0.024 * k, 0.006 * k, 0), cap, 300);
    part_paint(fw_geom(b, mjGEOM_ELLIPSOID, FW_V3(0, 0, 0.031 * k), FW_V3(0.024 * k, 0.024 * k, 0.011 * k), cap));
    return (size3){0.024 * k, 0.042 * k, 0};
}

static size3 cheese(mjsBody *b, double k) {
    fw_rgb c = {0.98f, 0.80f, 0.30f}, hole = {0.88f, 0.64f, 0.18f};
    fw_geom_held(b, mjGEOM_BOX, FW_V3(0, 0, 0.016 * k), FW_V3(0.030 * k, 0.018 * k, 0.016 * k), c, 700);
    for (int i = 0; i < 3; i++) {
        part_paint(fw_geom(b, mjGEOM_CYLINDER, FW_V3((i - 1) * 0.017 * k, (i == 1 ? 0.006 : -0.005) * k, 0.032 * k),
                           FW_V3(0.005 * k, 0.0003, 0), hole));
    }
    return (size3){0.036 * k, 0.032 * k, 0};
}

static size3 celery(mjsBody *b, double k) {
    fw_rgb c = {0.72f, 0.83f, 0.50f};
    fw_geom_held(b, mjGEOM_BOX, FW_V3(-0.008 * k, 0, 0.010 * k), FW_V3(0.052 * k, 0.011 * k, 0.010 * k), c, 500);
    part_paint(fw_geom(b, mjGEOM_BOX, FW_V3(-0.008 * k, 0, 0.020 * k), FW_V3(0.050 * k, 0.004 * k, 0.0004), stalk));
    part_paint(
        fw_geom(b, mjGEOM_ELLIPSOID, FW_V3(0.054 * k, 0, 0.012 * k), FW_V3(0.016 * k, 0.018 * k, 0.010 * k), leaf));
    return (size3){0.068 * k, 0.020 * k, 0};
}

int fw_part_food(fw_world *w, const char *name, const char *kind) {
    static const struct {
        const char *kind;
        size3 (*draw)(mjsBody *, double);
    } kinds[] = {{"tomato", tomato},     {"cucumber", cucumber}, {"lettuce", lettuce}, {"pepper", pepper},
                 {"carrot", carrot},     {"onion", onion},       {"egg", egg},         {"lemon", lemon},
                 {"mushroom", mushroom}, {"cheese", cheese},     {"celery", celery}};
    double k = part_fit(w) * fw_world_vary(w, 1, 0.90, 1.10);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].kind, kind) == 0) {
            mjsBody *b = fw_free_body(w, name);
            size3 s = kinds[i].draw(b, k);
            return fw_world_add_obj(w, b, name, kind, s.radius, s.height, s.rest_z);
        }
    }
    return -1;
}
