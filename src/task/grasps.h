/* grasps.h - where a hand that points down takes hold of a thing, by its kind and how it lies. */
#ifndef FW_TASK_GRASPS_H
#define FW_TASK_GRASPS_H

#include "task/task_int.h"

/* Fills p->obj, open and grasp. A plate or bowl is pinched at its rim away from the sink (at -y without one), a mug and round things across the body, long and square
 * things across their own y. What looks the same at two angles is taken at the same one. Pure: of the pose alone. */
void grasp_of(const fw_scene *s, int obj, fw_pick *p);
/* A bowl among other things: pinched at its rim away from the sink, or at the next side to that where the outer finger has room. */
void grasp_bowl_aside(const fw_scene *s, int bowl, fw_pick *p);

/* 1: rims are pinched at +y; -1: at -y. */
double grasp_rim_side(const fw_scene *s);
/* m: from a plate's middle to the middle of its rim; the plain plate's is FW_PLATE_RIM_M. */
static inline double grasp_plate_rim(const fw_obj_view *plate) {
    return FW_PLATE_RIM_M + (plate->radius - 0.082);
}

#endif /* FW_TASK_GRASPS_H */
