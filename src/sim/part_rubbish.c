/* part_rubbish.c - what goes into the bin, and the bin. */
#include <string.h>

#include "sim/part_int.h"

typedef struct size3 {
    double radius, height, rest_z;
} size3;

/* A ball of paper: round for the fingers, crumpled for the eye. */
static size3 paper(mjsBody *b, double k) {
    double r = 0.022 * k;
    fw_rgb c = {0.95f, 0.95f, 0.92f}, shade = {0.80f, 0.81f, 0.80f};
    part_rolls(fw_geom_held(b, mjGEOM_SPHERE, FW_V3(0, 0, 0), FW_V3(r, 0, 0), shade, 200))->friction[2] = 0.01;
    for (int i = 0; i < 5; i++) {
        mjsGeom *g = fw_geom(b, mjGEOM_BOX, FW_V3(0, 0, 0), FW_V3(0.72 * r, 0.66 * r, 0.60 * r), c);
        part_paint(part_turn(part_turn(g, 1, 0.4, 0, 1.1 * i), 0.2, 0.5, 1, 0.7 * i));
    }
    return (size3){r, 2 * r, r};
}

static size3 can(mjsBody *b, double k) {
    double r = 0.025 * k, h = 0.035 * k;
    fw_rgb red = {0.80f, 0.10f, 0.14f}, tin = {0.75f, 0.76f, 0.78f}, band = {0.95f, 0.95f, 0.95f};
    fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(0, 0, h), FW_V3(r, h, 0), red, 150);
    part_paint(fw_geom(b, mjGEOM_CYLINDER, FW_V3(0, 0, h), FW_V3(r + 0.0003, 0.35 * h, 0), band));
    part_paint(fw_geom(b, mjGEOM_CYLINDER, FW_V3(0, 0, 2 * h), FW_V3(r - 0.002, 0.0008, 0), tin));
    part_paint(fw_geom(b, mjGEOM_BOX, FW_V3(0.006 * k, 0, 2 * h + 0.001), FW_V3(0.007 * k, 0.004 * k, 0.0008), tin));
    return (size3){r, 2 * h, 0};
}

static size3 carton(mjsBody *b, double k) {
    double a = 0.022 * k, h = 0.030 * k;
    fw_rgb white = {0.93f, 0.94f, 0.97f}, blue = {0.15f, 0.35f, 0.75f};
    fw_geom_held(b, mjGEOM_BOX, FW_V3(0, 0, h), FW_V3(a, a, h), white, 120);
    part_paint(fw_geom(b, mjGEOM_BOX, FW_V3(0, 0, 0.8 * h), FW_V3(a + 0.0004, a + 0.0004, 0.45 * h), blue));
    for (int i = -1; i <= 1; i += 2) { /* the gable */
        part_turn(
            fw_geom_held(b, mjGEOM_BOX, FW_V3(i * 0.5 * a, 0, 2 * h + 0.42 * a), FW_V3(0.66 * a, a, 0.0012), blue, 120),
            0, 1, 0, i * 0.72);
    }
    fw_geom_held(b, mjGEOM_BOX, FW_V3(0, 0, 2 * h + 1.05 * a), FW_V3(0.0015, a, 0.25 * a), white, 120);
    return (size3){1.42 * a, 2 * h + 1.3 * a, 0};
}

/* A banana's skin: four tongues from a knob. */
static size3 peel(mjsBody *b, double k) {
    fw_rgb c = {0.86f, 0.74f, 0.18f}, tip = {0.40f, 0.30f, 0.12f};
    for (int i = 0; i < 4; i++) {
        double a = mjPI / 4 + i * mjPI / 2, out = 0.026 * k;
        mjsGeom *g = fw_geom_held(b, mjGEOM_CAPSULE, FW_V3(out * cos(a), out * sin(a), 0.010 * k),
                                  FW_V3(0.007 * k, 0.020 * k, 0), c, 400);
        part_turn(part_turn(g, 0, 1, 0, mjPI / 2 + 0.12), 0, 0, 1, a);
    }
    fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.018 * k), FW_V3(0.011 * k, 0.014 * k, 0), c, 400);
    part_paint(fw_geom(b, mjGEOM_SPHERE, FW_V3(0, 0, 0.033 * k), FW_V3(0.006 * k, 0, 0), tip));
    return (size3){0.054 * k, 0.036 * k, 0};
}

int fw_part_rubbish(fw_world *w, const char *name, const char *kind) {
    static const struct {
        const char *kind;
        size3 (*draw)(mjsBody *, double);
    } kinds[] = {{"paper", paper}, {"can", can}, {"carton", carton}, {"peel", peel}};
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

int fw_part_bin(fw_world *w, const char *name, const double pos[3], double yaw) {
    mjsBody *b = fw_mocap_body(w, name, pos, yaw);
    fw_rgb c = {0.28f, 0.32f, 0.36f}, rim = {0.16f, 0.18f, 0.20f};
    double k = part_fit(w), hx = k * fw_world_vary(w, 0.085, 0.075, 0.095),
           hy = k * fw_world_vary(w, 0.105, 0.09, 0.12), h = k * fw_world_vary(w, 0.045, 0.04, 0.05), t = 0.004;
    fw_geom(b, mjGEOM_BOX, FW_V3(0, 0, 0.002), FW_V3(hx, hy, 0.002), rim);
    for (int i = 0; i < 4; i++) {
        double s = i % 2 ? 1 : -1;
        bool along_x = i < 2;
        fw_geom(b, mjGEOM_BOX, FW_V3(along_x ? s * (hx + t) : 0, along_x ? 0 : s * (hy + t), h),
                FW_V3(along_x ? t : hx + 2 * t, along_x ? hy : t, h), c);
        part_paint(fw_geom(b, mjGEOM_BOX, FW_V3(along_x ? s * (hx + t) : 0, along_x ? 0 : s * (hy + t), 2 * h - 0.003),
                           FW_V3(along_x ? t + 0.001 : hx + 2 * t, along_x ? hy : t + 0.001, 0.0035), rim));
    }
    return fw_world_add_region(w, name, name, FW_V3(0, 0, 0.004), 0, FW_V3(hx, hy, h));
}
