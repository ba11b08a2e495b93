/*
 * part_carton.c - a carton: a base, four walls hinged to it and, on two of them, flaps.
 *
 * DESIGN. Cardboard is a hinge whose spring yields: bent a little it comes back, bent further it keeps what is past the yield angle
 * (joint springyield). YIELD_RAD * STIFF is the torque of folding; YIELD_RAD is how far a panel springs back when it is let go.
 *
 * Names: body "carton"; hinges wall_0 (its -x side), wall_1 (+x), wall_2 (-y), wall_3 (+y): 0 flat on the table, pi/2 upright;
 * flap_0, flap_1 on walls 0 and 1: 0 in line with the wall, pi/2 level over the opening, more: tucked in.
 */
#include <math.h>
#include <stdio.h>

#include "sim/parts.h"
#include "sim/sim_int.h"

#define STIFF     0.8 /* N m/rad */
#define YIELD_RAD 0.03
#define BOARD_M   0.002 /* half the thickness */

static const fw_rgb card = {0.72f, 0.55f, 0.36f}, inner = {0.78f, 0.62f, 0.44f};

/* A crease: turns about the y axis of the panel's own frame, from flat outward to up and in. */
static void add_crease(mjsBody *b, const char *name, double lo, double hi) {
    mjsJoint *j = mjs_addJoint(b, NULL);
    mjs_setName(j->element, name);
    j->type = mjJNT_HINGE;
    mju_copy3(j->axis, FW_V3(0, -1, 0));
    j->limited = 1;
    j->range[0] = lo, j->range[1] = hi;
    j->stiffness[0] = STIFF;
#if mjVERSION_HEADER >= 4000000
    j->springyield = YIELD_RAD;
#endif
    j->damping[0] = 0.01;
    j->armature = 1e-4;
}

/* A panel that reaches `length` along the x axis of its own frame, `half_wide` to both sides. */
static mjsBody *add_panel(fw_world *w, mjsBody *on, const char *name, const double pos[3], double yaw, double length,
                          double half_wide, const double range[2], fw_rgb c) {
    char joint[32];
    mjsBody *b = mjs_addBody(on, NULL);
    snprintf(joint, sizeof joint, "%s", name);
    mjs_setName(b->element, name);
    mju_copy3(b->pos, pos);
    mju_copy4(b->quat, (double[]){cos(yaw / 2), 0, 0, sin(yaw / 2)});
    add_crease(b, joint, range[0], range[1]);
    fw_geom_held(b, mjGEOM_BOX, FW_V3(length / 2, 0, 0), FW_V3(length / 2 - 0.001, half_wide, BOARD_M), c, 300);
    fw_world_add_hinge(w, joint, FW_V3(length, 0, 0));
    return b;
}

void fw_part_carton(fw_world *w, bool flaps) {
    static const double way[4] = {mjPI, 0, -mjPI / 2, mjPI / 2}, wall_range[2] = {-0.1, 1.75},
                        flap_range[2] = {-1.2, 2.2};
    char name[16];
    mjsBody *b = fw_free_body(w, "carton"), *wall[4];
    w->lacks = mjVERSION_HEADER >= 4000000 ? NULL : "cardboard that keeps a fold (springyield, from mujoco 4 on)";
    fw_geom_held(b, mjGEOM_BOX, FW_V3(0, 0, BOARD_M), FW_V3(FW_CARTON_X_M, FW_CARTON_Y_M, BOARD_M), inner, 1200);
    fw_world_add_obj(w, b, "carton", "carton", hypot(FW_CARTON_X_M, FW_CARTON_Y_M), FW_CARTON_WALL_M, 0);
    for (int k = 0; k < 4; k++) {
        double out = k < 2 ? FW_CARTON_X_M : FW_CARTON_Y_M, wide = (k < 2 ? FW_CARTON_Y_M : FW_CARTON_X_M) - 0.006;
        snprintf(name, sizeof name, "wall_%d", k);
        wall[k] = add_panel(w, b, name, FW_V3(cos(way[k]) * out, sin(way[k]) * out, BOARD_M), way[k], FW_CARTON_WALL_M,
                            wide, wall_range, card);
        mjsExclude *x = mjs_addExclude(w->spec);
        mjs_setString(x->bodyname1, "carton");
        mjs_setString(x->bodyname2, name);
    }
    for (int k = 0; k < 2 && flaps; k++) {
        snprintf(name, sizeof name, "flap_%d", k);
        add_panel(w, wall[k], name, FW_V3(FW_CARTON_WALL_M, 0, 0), 0, FW_CARTON_FLAP_M, FW_CARTON_Y_M - 0.012,
                  flap_range, inner);
    }
    w->spec->option.timestep = 0.0025;
}
