/* grasps.h - where a hand that points down takes hold of a thing, by its kind and how it lies. */
#ifndef FW_TASK_GRASPS_H
#define FW_TASK_GRASPS_H

#include "task/task_int.h"

/* Fills p->obj, open and grasp. A plate or bowl is pinched at its rim at -y, a mug and round things across the body, long and square
 * things across their own y. What looks the same at two angles is taken at the same one. Pure: of the pose alone. */
void grasp_of(const fw_scene *s, int obj, fw_pick *p);

#endif /* FW_TASK_GRASPS_H */
