/* skill_int.h - small geometry that the experts of the furniture tasks share. */
#ifndef FW_TASK_SKILL_INT_H
#define FW_TASK_SKILL_INT_H

#include <math.h>

#include "task/task_int.h"

#define SKILL_SPEED_M 0.03 /* a step, when far */
#define SKILL_CLOSING 0.4  /* a gripper command below this is a closed hand */

/* A level frame: where it stands and how it is turned. */
typedef struct skill_frame {
    double pos[3], yaw;
} skill_frame;

static inline skill_frame skill_region_frame(const fw_region_view *r) {
    return (skill_frame){{r->pos[0], r->pos[1], r->pos[2]}, r->yaw};
}

static inline void skill_into(const skill_frame *f, const double world[3], double out[3]) {
    double dx = world[0] - f->pos[0], dy = world[1] - f->pos[1], c = cos(f->yaw), s = sin(f->yaw);
    out[0] = c * dx + s * dy, out[1] = c * dy - s * dx, out[2] = world[2] - f->pos[2];
}

static inline void skill_out_of(const skill_frame *f, double x, double y, double z, double world[3]) {
    double c = cos(f->yaw), s = sin(f->yaw);
    world[0] = f->pos[0] + c * x - s * y, world[1] = f->pos[1] + s * x + c * y, world[2] = f->pos[2] + z;
}

/* Parts are smaller for a smaller hand. */
static inline double skill_fit(const fw_scene *s) {
    return fmin(1, s->arm[0].opening_m / 0.08);
}

static inline double skill_clamp(double x, double lo, double hi) {
    return x < lo ? lo : x > hi ? hi : x;
}

static inline bool skill_holds(const fw_scene *s, int obj) {
    return (s->obj[obj].held_by & 1u) != 0 && s->arm[0].command < SKILL_CLOSING;
}

/* Let go where the hand is, then rise; `done` at the height of rest. Returns the phase. */
static inline const char *skill_leave(const fw_scene *s, bool touching, fw_expert_out *out) {
    const fw_arm_view *arm = &s->arm[0];
    double rest = s->reach.carry_m + 0.06, up[3] = {arm->pos[0], arm->pos[1], rest};
    bool clear = arm->opening > 0.8 || !touching;
    out->hand[0] = (fw_hand_cmd){.grip = 1};
    if (clear) {
        expert_go(arm, up, arm->yaw, SKILL_SPEED_M, SKILL_SPEED_M, &out->hand[0]);
        out->hand[0].grip = 1;
    }
    out->done = clear && arm->opening > 0.8 && arm->pos[2] > rest - 0.02;
    return out->done ? "rest" : clear ? "leave" : "open";
}

#endif /* FW_TASK_SKILL_INT_H */
