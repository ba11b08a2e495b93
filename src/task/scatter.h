/*
 * scatter.h - draw places for things on a counter, with room for the hand that will take each of them (grasps.h).
 *
 * A thing is a circle, or a capsule where it is long; a hand is its fingers below and its palm above, a box along the line of the
 * fingers. Only what is higher than the palm hinders the palm.
 */
#ifndef FW_TASK_SCATTER_H
#define FW_TASK_SCATTER_H

#include "task/task_int.h"

/* What stands in the way: a capsule on the counter. */
typedef struct footprint {
    double x, y, yaw, half_len, radius, height;
} footprint;

typedef struct scatter_area {
    double lo[2], hi[2]; /* m: the things lie wholly inside */
    double yaw_max;      /* long things turn at most so far either way; others any */
    const footprint *wall;
    int n_wall;
} scatter_area;

/* Places at[n] for the objects obj[n] of s (kinds and sizes are used), in this order. True, or false when they do not fit. */
bool scatter(const fw_scene *s, const scatter_area *area, const int *obj, int n, fw_rng *r, footprint *at);

/* For arrange: these stand at their places; every other object of the room is parked under the counter, out of sight and reach. */
void scatter_put(fw_sim *sim, const int *obj, int n, const footprint *at);
/* Whether it stands on the counter in this episode. */
bool scatter_there(const fw_scene *s, int obj);

#endif /* FW_TASK_SCATTER_H */
