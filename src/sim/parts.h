/*
 * parts.h - what rooms are made of: furniture and things, by name. A setting calls these from its build.
 *
 * Each returns the index of the object (or region, hinge) in fw_scene. Shapes vary with the home (fw_world_vary).
 */
#ifndef FW_SIM_PARTS_H
#define FW_SIM_PARTS_H

#include "sim/sim.h"

#define FW_PLATE_RIM_M 0.076 /* radius of the middle of the plain plate's rim, at half its height */

/* part_kitchen.c: the kitchen of the first suite */
int fw_part_plate(fw_world *w, const char *name);
int fw_part_mug(fw_world *w, const char *name);
int fw_part_bowl(fw_world *w, const char *name);
int fw_part_banana(fw_world *w, const char *name);
/* A counter with a sink; body "counter", region "sink" (its index is returned). */
int fw_part_counter(fw_world *w);
/* The counter's look, its steel and the floor, from the visual stream. */
void fw_part_counter_paint(fw_sim *s, fw_rng *visual);

/* Hue, saturation, value in [0,1] to r, g, b. */
void fw_hsv(double h, double s, double v, float out[3]);

#endif /* FW_SIM_PARTS_H */
