/* "put the mug in the sink": grasp across its body, the fingers clear of the handle. */
#include <math.h>

#include "task/task_int.h"

#define CLEAR_RAD 0.87 /* between the line of the fingers and the handle */

/* Turn the hand from yaw 0 just as far as the handle demands. At yaw w the fingers stand on the line of angle w - pi/2. */
static pose4 grasp(const fw_scene *s) {
    const fw_obj_view *m = &s->obj[FW_OBJ_MUG];
    double off = remainder(m->yaw + M_PI / 2, M_PI); /* handle against the finger line at yaw 0, in (-pi/2, pi/2] */
    double yaw = fabs(off) < CLEAR_RAD ? off - copysign(CLEAR_RAD, off) : 0;
    return (pose4){{m->pos[0], m->pos[1], m->pos[2] + 0.043}, yaw};
}

static void place(const fw_scene *s, double ee[3]) {
    ee[0] = s->sink[0];
    ee[1] = s->sink[1];
    ee[2] = -0.028;
}

static bool placed(const fw_scene *s) {
    return inside_sink(s, FW_OBJ_MUG, 0.0);
}

static bool goal(const fw_scene *s, char reason[160]) {
    return goal_in_sink(s, FW_OBJ_MUG, 0.0, reason) && goal_released(s, FW_OBJ_MUG, reason);
}

extern const fw_task task_mug_in_sink;
const fw_task task_mug_in_sink = {.name = "mug_in_sink",
                                  .named = BIT(FW_OBJ_MUG),
                                  .goal = goal,
                                  .obj = FW_OBJ_MUG,
                                  .open = 1,
                                  .grasp = grasp,
                                  .place = place,
                                  .placed = placed};
