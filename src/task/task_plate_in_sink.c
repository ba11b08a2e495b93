/* "put the plate in the sink": pinch the rim on the side away from the sink, hang it into the sink, let go. */
#include <math.h>

#include "task/grasps.h"
#include "task/setting_kitchen.h"
#include "task/task_int.h"

static const char *const train[] = {
    "put the plate in the sink",
    "place the plate into the sink",
    "please put the plate in the sink",
    "move the dish to the sink",
    "drop the plate in the sink",
    "take the plate and put it in the sink",
    "could you put the dish in the sink",
    "the plate goes into the sink",
    "set the plate down in the sink",
    "carry the plate over to the sink",
    "pick up the dish and place it in the sink",
    "I want the plate in the sink",
    "bring the white plate to the sink",
    "clear the plate away into the sink",
    "the dirty dish belongs in the sink",
    "would you move the plate into the sink please",
    NULL,
};
static const char *const held[] = {
    "kindly deposit the plate in the sink",
    "grab the dish and leave it in the sink",
    "get the plate into the sink for me",
    "transfer the plate to the sink",
    NULL,
};

static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    (void)m;
    return goal_in_region(s, KITCHEN_PLATE, KITCHEN_SINK, 0.05, reason) && goal_released(s, KITCHEN_PLATE, reason);
}

static void expert(const fw_scene *s, const fw_meant *m, fw_expert_out *out) {
    (void)m;
    const double *sink = s->region[KITCHEN_SINK].pos;
    double side = grasp_rim_side(s), rim = grasp_plate_rim(&s->obj[KITCHEN_PLATE]);
    fw_pick pick = {.place = {sink[0], sink[1] - side * 0.01 + side * rim, -0.02},
                    .place_yaw = NAN,
                    .carry_m = KITCHEN_CARRY_M,
                    .placed = inside_region(s, KITCHEN_PLATE, KITCHEN_SINK, 0.05)};
    grasp_of(s, KITCHEN_PLATE, &pick);
    expert_pick(s, &pick, out);
}

extern const fw_task task_plate_in_sink;
const fw_task task_plate_in_sink = {.name = "plate_in_sink",
                                    .version = 2,
                                    .setting = &setting_kitchen,
                                    .time_s = 16,
                                    .train = train,
                                    .held = held,
                                    .obj = KITCHEN_PLATE,
                                    .named = BIT(KITCHEN_PLATE),
                                    .goal = goal,
                                    .expert = expert};
