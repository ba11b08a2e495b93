/* banana.h - a banana that goes onto a plate: what the tasks with one share. */
#ifndef FW_TASK_BANANA_H
#define FW_TASK_BANANA_H

#include "task/task_int.h"

typedef struct banana_pair {
    int banana, plate;
    bool by_mid;     /* where it is: its centre of mass; false: its origin */
    double on_m;     /* it lies on the plate when it is so near to the plate's middle */
    double inward_m; /* from there to where it is grasped, to the inner side of its arc */
    double low_z_m;  /* the grasp is no lower */
    double above_m;  /* it is let go of so high over the plate's underside */
    double carry_m;  /* 0: the robot's own height */
} banana_pair;

/* It lies on the plate alone, let go of, and the plate stands where it was, upright. */
bool banana_goal(const fw_scene *s, const banana_pair *p, char reason[160]);
void banana_expert(const fw_scene *s, const banana_pair *p, fw_expert_out *out);

#endif /* FW_TASK_BANANA_H */
