/* "put the mug in the sink": grasp across its body, the fingers clear of the handle. */
#include <math.h>

#include "task/grasps.h"
#include "task/setting_kitchen.h"
#include "task/task_int.h"

static const char *const train[] = {
    "put the mug in the sink",
    "place the mug into the sink",
    "please put the cup in the sink",
    "move the mug to the sink",
    "drop the cup in the sink",
    "take the mug and put it in the sink",
    "could you put the mug in the sink",
    "the cup goes into the sink",
    "set the mug down in the sink",
    "carry the cup over to the sink",
    "pick up the mug and place it in the sink",
    "I want the cup in the sink",
    "bring the coffee mug to the sink",
    "clear the mug away into the sink",
    "the dirty cup belongs in the sink",
    "would you move the mug into the sink please",
    NULL,
};
static const char *const held[] = {
    "kindly deposit the mug in the sink",
    "grab the cup and leave it in the sink",
    "get the mug into the sink for me",
    "transfer the coffee cup to the sink",
    NULL,
};

static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    (void)m;
    return goal_in_region(s, KITCHEN_MUG, KITCHEN_SINK, 0.0, reason) && goal_released(s, KITCHEN_MUG, reason);
}

static void expert(const fw_scene *s, const fw_meant *m, fw_expert_out *out) {
    (void)m;
    const double *sink = s->region[KITCHEN_SINK].pos;
    fw_pick pick = {.place = {sink[0], sink[1], -0.028},
                    .place_yaw = NAN,
                    .carry_m = KITCHEN_CARRY_M,
                    .placed = inside_region(s, KITCHEN_MUG, KITCHEN_SINK, 0.0)};
    grasp_of(s, KITCHEN_MUG, &pick);
    expert_pick(s, &pick, out);
}

extern const fw_task task_mug_in_sink;
const fw_task task_mug_in_sink = {.name = "mug_in_sink",
                                  .version = 2,
                                  .setting = &setting_kitchen,
                                  .time_s = 16,
                                  .train = train,
                                  .held = held,
                                  .obj = KITCHEN_MUG,
                                  .named = BIT(KITCHEN_MUG),
                                  .goal = goal,
                                  .expert = expert};
