/* "put the banana on the plate": grasp across its middle, let go over the middle of the plate. */
#include <math.h>
#include <stdio.h>

#include "task/task_int.h"

#define YAW_LOW (-1.27) /* the hand's half turn lies where the last joint has room: [-1.27, 1.87) */

static pose4 grasp(const fw_scene *s) {
    const fw_obj_view *b = &s->obj[FW_OBJ_BANANA];
    double back = -0.004; /* the arc's weight is a little inside it */
    double yaw = fmod(b->yaw - YAW_LOW, M_PI);
    yaw = (yaw < 0 ? yaw + M_PI : yaw) + YAW_LOW;
    return (pose4){{b->pos[0] - back * sin(b->yaw), b->pos[1] + back * cos(b->yaw), fmax(b->pos[2] + 0.002, 0.0175)},
                   yaw};
}

/* The banana hangs where the fingers took it: aim with its middle, not with the hand's. */
static void place(const fw_scene *s, double ee[3]) {
    const double *plate = s->obj[FW_OBJ_PLATE].pos, *banana = s->obj[FW_OBJ_BANANA].pos;
    ee[0] = plate[0] + s->ee_pos[0] - banana[0];
    ee[1] = plate[1] + s->ee_pos[1] - banana[1];
    ee[2] = plate[2] + 0.045;
}

static bool on_plate(const fw_scene *s) {
    const fw_obj_view *p = &s->obj[FW_OBJ_PLATE], *b = &s->obj[FW_OBJ_BANANA];
    return hypot(b->pos[0] - p->pos[0], b->pos[1] - p->pos[1]) < 0.06 && b->touches[FW_OBJ_PLATE] &&
           !b->touches_world && p->up > 0.9;
}

static bool placed(const fw_scene *s) {
    return on_plate(s);
}

static bool goal(const fw_scene *s, char reason[160]) {
    if (!on_plate(s)) {
        snprintf(reason, 160, "banana: not on the plate");
        return false;
    }
    const fw_obj_view *p = &s->obj[FW_OBJ_PLATE];
    if (p->pos[2] < -0.01 || hypot(p->pos[0] - p->start[0], p->pos[1] - p->start[1]) > 0.15) {
        snprintf(reason, 160, "plate: not where it was");
        return false;
    }
    return goal_released(s, FW_OBJ_BANANA, reason) && goal_released(s, FW_OBJ_PLATE, reason);
}

extern const fw_task task_banana_on_plate;
const fw_task task_banana_on_plate = {.name = "banana_on_plate",
                                      .named = BIT(FW_OBJ_BANANA) | BIT(FW_OBJ_PLATE),
                                      .goal = goal,
                                      .obj = FW_OBJ_BANANA,
                                      .open = 1,
                                      .grasp = grasp,
                                      .place = place,
                                      .placed = placed};
