/* "put the plate in the sink": pinch the rim on the side away from the sink, hang it into the sink, let go. */
#include "task/task_int.h"

/* The rim at -y: the fingers open along y at yaw 0, one inside and one outside, whatever the plate's own yaw. */
static pose4 grasp(const fw_scene *s) {
    const double *p = s->obj[FW_OBJ_PLATE].pos;
    return (pose4){{p[0], p[1] - FW_PLATE_RIM_M, p[2] + 0.019}, 0};
}

static void place(const fw_scene *s, double ee[3]) {
    ee[0] = s->sink[0];
    ee[1] = s->sink[1] + 0.01 - FW_PLATE_RIM_M;
    ee[2] = -0.02;
}

static bool placed(const fw_scene *s) {
    return inside_sink(s, FW_OBJ_PLATE, 0.05);
}

static bool goal(const fw_scene *s, char reason[160]) {
    return goal_in_sink(s, FW_OBJ_PLATE, 0.05, reason) && goal_released(s, FW_OBJ_PLATE, reason);
}

extern const fw_task task_plate_in_sink;
const fw_task task_plate_in_sink = {.name = "plate_in_sink",
                                    .named = BIT(FW_OBJ_PLATE),
                                    .goal = goal,
                                    .obj = FW_OBJ_PLATE,
                                    .open = 0.45,
                                    .grasp = grasp,
                                    .place = place,
                                    .placed = placed};
