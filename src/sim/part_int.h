/* part_int.h - what the part_*.c files share: sizes that fit the hand that will take them, colours, turned geoms. */
#ifndef FW_SIM_PART_INT_H
#define FW_SIM_PART_INT_H

#include <math.h>

#include "sim/parts.h"
#include "sim/world.h"

/* Everything that is pinched is made for a hand that opens 8 cm, and smaller in proportion for a smaller hand. */
static inline double part_fit(const fw_world *w) {
    double opening = w->reach.opening_m > 0 ? w->reach.opening_m : 0.08;
    return fmin(1, opening / 0.08);
}

/* A geom that is only seen. */
static inline mjsGeom *part_paint(mjsGeom *g) {
    g->contype = g->conaffinity = 0;
    g->mass = 0;
    g->density = 0;
    return g;
}

/* Turn a geom by an angle (rad) about an axis, after what turned it before. */
static inline mjsGeom *part_turn(mjsGeom *g, double x, double y, double z, double angle) {
    double q[4], was[4];
    mju_copy4(was, g->quat);
    mju_axisAngle2Quat(q, FW_V3(x, y, z), angle);
    mju_mulQuat(g->quat, q, was);
    return g;
}

/* A round thing's geom: it rolls, but not for ever. */
static inline mjsGeom *part_rolls(mjsGeom *g) {
    g->condim = 6;
    g->friction[1] = 0.01, g->friction[2] = 0.003;
    return g;
}

/* A counter against a wall; before a robot that stands on the floor an island, with room for the robot and what it drives on. */
typedef struct part_counter {
    double x0, x1, y0, y1; /* m, its top at z = 0 */
    int sink_side;         /* 1: its sink is at +y; -1: at -y */
    bool island;
} part_counter;
/* part_room.c: the kitchen round a counter, drawn from the home; only seen. Nothing in the plain home. */
void part_room(fw_world *w, const part_counter *c);

/* A banana, against the plain one: k times its length, bend times its curve, thick m more in radius. part_kitchen.c */
typedef struct part_arc {
    double k, bend, thick, stem[3], radius;
    fw_rgb skin, tip;
} part_arc;
void part_arc_stem(part_arc *f); /* where the arc ends; and its radius */
int part_banana(fw_world *w, const char *name, const part_arc *f);

#endif /* FW_SIM_PART_INT_H */
