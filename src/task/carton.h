/* carton.h - what the carton tasks share: its panels in the plane, goals, and hands that push panels round their creases. */
#ifndef FW_TASK_CARTON_H
#define FW_TASK_CARTON_H

#include "sim/parts.h"
#include "task/task_int.h"

typedef struct carton_panel {
    int hinge;        /* index in the scene */
    double crease[2]; /* m, middle of its crease when the walls stand */
    double out[2];    /* unit vector, away from the carton's middle */
    double yaw;       /* of `out` */
} carton_panel;

/* Wall 0..3. */
carton_panel carton_wall(const fw_scene *s, int k);
int carton_hinge(const fw_scene *s, const char *kind, int k); /* "wall", 2 */
double carton_angle(const fw_scene *s, const char *kind, int k);

/* This panel's angle lies in [lo, hi] rad. */
bool carton_bent(const fw_scene *s, const char *kind, int k, double lo, double hi, char reason[160]);
/* It stands on its base, nothing moves, no hand touches it. */
bool carton_left_alone(const fw_scene *s, char reason[160]);
/* This arm straight up, then home. True when it is there. */
bool carton_retreat(const fw_scene *s, int arm, fw_hand_cmd *h);
/* All arms; out->done when they are home. */
void carton_leave(const fw_scene *s, fw_expert_out *out);
/* To `target`: at `high_m` until it is over it, then down. Returns the phase, static. */
const char *carton_come(const fw_scene *s, int arm, const double target[3], double high_m, fw_hand_cmd *h);
void carton_go(const fw_scene *s, int arm, const double target[3], double fast, fw_hand_cmd *h);

#endif /* FW_TASK_CARTON_H */
