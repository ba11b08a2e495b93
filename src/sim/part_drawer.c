/*
 * part_drawer.c - a low cabinet with one drawer and a bar handle.
 *
 * DESIGN. Its frame: x points out of the front, the way the drawer opens; the origin is the middle of the front's underside. A
 * hand that points down takes the bar from above with one finger behind it, so the bar stands 5 cm off the front; and its palm
 * (3 cm over the point between the pads) then hangs over the cabinet, so the bar sits near the top. The drawer slides with dry
 * friction only: it stays where it is left.
 */
#include <stdio.h>

#include "sim/part_int.h"

static void shell(mjsBody *b, double deep, double wide, double high, double t, fw_rgb c) {
    for (int i = -1; i <= 1; i += 2) {
        fw_geom(b, mjGEOM_BOX, FW_V3(-0.010 - deep, i * (wide - t), high), FW_V3(deep, t, high), c);
    }
    fw_geom(b, mjGEOM_BOX, FW_V3(-0.010 - 2 * deep + t, 0, high), FW_V3(t, wide, high), c);
    fw_geom(b, mjGEOM_BOX, FW_V3(-0.010 - deep, 0, 2 * high - 0.003), FW_V3(deep, wide, 0.003), c);
}

static void box(mjsBody *d, double deep, double wide, double high, fw_rgb front, fw_rgb inner) {
    double t = 0.004, z0 = 0.0015;
    fw_geom(d, mjGEOM_BOX, FW_V3(-0.008 - deep, 0, z0 + 0.0025), FW_V3(deep, wide, 0.0025), inner);
    for (int i = -1; i <= 1; i += 2) {
        fw_geom(d, mjGEOM_BOX, FW_V3(-0.008 - deep, i * (wide - t), z0 + high), FW_V3(deep, t, high), inner);
    }
    fw_geom(d, mjGEOM_BOX, FW_V3(-0.008 - 2 * deep + t, 0, z0 + high), FW_V3(t, wide, high), inner);
    fw_geom(d, mjGEOM_BOX, FW_V3(-0.004, 0, z0 + 0.038), FW_V3(0.004, wide + 0.012, 0.038), front);
}

static void bar(mjsBody *d, double out, double z, double half, fw_rgb c) {
    fw_geom_held(d, mjGEOM_BOX, FW_V3(out, 0, z), FW_V3(0.006, half, 0.006), c, 800);
    for (int i = -1; i <= 1; i += 2) {
        fw_geom_held(d, mjGEOM_BOX, FW_V3(out / 2, i * (half - 0.004), z), FW_V3(out / 2, 0.004, 0.005), c, 800);
    }
}

int fw_part_drawer(fw_world *w, const char *name, const double pos[3], double yaw) {
    fw_rgb wood = {0.72f, 0.55f, 0.38f}, front = {0.80f, 0.64f, 0.46f}, inner = {0.88f, 0.83f, 0.74f},
           metal = {0.30f, 0.31f, 0.34f};
    double k = part_fit(w), wide = k * fw_world_vary(w, 0.105, 0.095, 0.12), deep = 0.090 * k, high = 0.030,
           out = fw_world_vary(w, 0.052, 0.048, 0.056), half = fw_world_vary(w, 0.055, 0.045, 0.065) * k, bar_z = 0.066;
    mjsBody *b = fw_mocap_body(w, name, pos, yaw);
    shell(b, deep + 0.008, wide + 0.012, 0.0425, 0.005, wood);
    char id[48];
    snprintf(id, sizeof id, "%s_box", name);
    mjsBody *d = mjs_addBody(b, NULL);
    mjs_setName(d->element, id);
    box(d, deep, wide, high, front, inner);
    bar(d, out, bar_z, half, metal);
    mjsExclude *ex = mjs_addExclude(w->spec);
    mjs_setString(ex->bodyname1, name);
    mjs_setString(ex->bodyname2, id);
    fw_world_add_region(w, name, id, FW_V3(-0.008 - deep, 0, 0.0065), 0,
                        FW_V3(deep - 0.008, wide - 0.008, high - 0.002));
    snprintf(id, sizeof id, "%s_slide", name);
    mjsJoint *j = mjs_addJoint(d, NULL);
    mjs_setName(j->element, id);
    j->type = mjJNT_SLIDE;
    mju_copy3(j->axis, FW_V3(1, 0, 0));
    j->limited = mjLIMITED_TRUE;
    j->range[0] = 0, j->range[1] = FW_DRAWER_STROKE_M * k;
    j->frictionloss = 2.0;
    j->damping[0] = 10;
    return fw_world_add_hinge(w, id, FW_V3(out, 0, bar_z));
}
