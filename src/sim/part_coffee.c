/*
 * part_coffee.c - a coffee machine: a spout over a tray, a button on top, a coaster to bring the mug to.
 *
 * DESIGN. Its frame: x points out of its front; the origin is the middle of the tray. The head reaches only just past the spout,
 * and the coffee mug's handle stands 8 cm off, so a hand that holds the handle out in front passes it. The button is a spring
 * with 8 mm of travel.
 */
#include <stdio.h>

#include "sim/part_int.h"

int fw_part_coffee_machine(fw_world *w, const char *name, const double pos[3], double yaw) {
    fw_rgb body = {0.20f, 0.21f, 0.24f}, trim = {0.62f, 0.63f, 0.66f}, tray = {0.42f, 0.43f, 0.46f},
           red = {0.85f, 0.16f, 0.12f}, brown = {0.25f, 0.14f, 0.07f};
    double k = part_fit(w), half = k * fw_world_vary(w, 0.075, 0.065, 0.085), spout = 0.100 * k,
           top = k * fw_world_vary(w, 0.175, 0.165, 0.19), back = -0.19 * k, front = -0.060 * k;
    mjsBody *b = fw_mocap_body(w, name, pos, yaw);
    fw_geom(b, mjGEOM_BOX, FW_V3((back + front) / 2, 0, top / 2), FW_V3((front - back) / 2, half, top / 2), body);
    fw_geom(b, mjGEOM_BOX, FW_V3((front + 0.006) / 2, 0, (top + spout + 0.025) / 2),
            FW_V3((0.006 - front) / 2, 0.6 * half, (top - spout - 0.025) / 2), body);
    fw_geom(b, mjGEOM_CYLINDER, FW_V3(0, 0, spout + 0.0125), FW_V3(0.006, 0.0125, 0), trim);
    part_paint(fw_geom(b, mjGEOM_BOX, FW_V3(front + 0.001, 0, 0.045 * k), FW_V3(0.001, 0.7 * half, 0.03 * k), trim));
    part_paint(fw_geom(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.0006), FW_V3(0.050 * k, 0.0006, 0), tray));
    mjsGeom *stream =
        fw_geom(b, mjGEOM_CYLINDER, FW_V3(0, 0, spout / 2 + 0.01), FW_V3(0.003, spout / 2 - 0.01, 0), brown);
    part_paint(stream);
    stream->rgba[3] = 0; /* shown by a setting while it runs */
    char id[48];
    snprintf(id, sizeof id, "%s_stream", name);
    mjs_setName(stream->element, id);
    fw_world_add_region(w, name, name, FW_V3(0, 0, 0), 0, FW_V3(0.018 * k, 0.018 * k, 0.05));

    double bx = (back + front) / 2 + 0.015 * k;
    snprintf(id, sizeof id, "%s_button_body", name);
    mjsBody *d = mjs_addBody(b, NULL);
    mjs_setName(d->element, id);
    mju_copy3(d->pos, FW_V3(bx, 0, top + 0.010));
    fw_geom_held(d, mjGEOM_CYLINDER, FW_V3(0, 0, 0), FW_V3(0.020 * k, 0.008, 0), red, 800);
    mjsExclude *ex = mjs_addExclude(w->spec);
    mjs_setString(ex->bodyname1, name);
    mjs_setString(ex->bodyname2, id);
    part_paint(fw_geom(b, mjGEOM_CYLINDER, FW_V3(bx, 0, top + 0.001), FW_V3(0.026 * k, 0.001, 0), trim));
    snprintf(id, sizeof id, "%s_button", name);
    mjsJoint *j = mjs_addJoint(d, NULL);
    mjs_setName(j->element, id);
    j->type = mjJNT_SLIDE;
    mju_copy3(j->axis, FW_V3(0, 0, -1));
    j->limited = mjLIMITED_TRUE;
    j->range[0] = 0, j->range[1] = 0.008;
    j->stiffness[0] = 300;
    j->springref = -0.004; /* 1.2 N to begin with, 3.6 N at the end */
    j->damping[0] = 8;
    j->armature = 0.02;
    return fw_world_add_hinge(w, id, FW_V3(0, 0, 0.008));
}

int fw_part_coaster(fw_world *w, const char *name, const double pos[3]) {
    mjsBody *b = fw_mocap_body(w, name, pos, 0);
    fw_rgb cork = {0.70f, 0.52f, 0.33f}, ring = {0.50f, 0.35f, 0.20f};
    double r = 0.050 * part_fit(w);
    part_paint(fw_geom(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.0006), FW_V3(r, 0.0006, 0), ring));
    part_paint(fw_geom(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.0010), FW_V3(0.86 * r, 0.0006, 0), cork));
    return fw_world_add_region(w, name, name, FW_V3(0, 0, 0), 0, FW_V3(0.7 * r, 0.7 * r, 0.05));
}
