/* "put the bowl in the sink": pinch its rim where the fingers find room, hang it into the sink, let go. */
#include <math.h>

#include "task/grasps.h"
#include "task/setting_kitchen.h"
#include "task/task_int.h"

static const char *const train[] = {
    "put the bowl in the sink",
    "place the bowl into the sink",
    "please put the bowl in the sink",
    "move the bowl to the sink",
    "drop the bowl in the sink",
    "take the bowl and put it in the sink",
    "could you put the bowl in the sink",
    "the bowl goes into the sink",
    "set the bowl down in the sink",
    "carry the bowl over to the sink",
    "pick up the bowl and place it in the sink",
    "I want the bowl in the sink",
    "bring the cereal bowl to the sink",
    "clear the bowl away into the sink",
    "the dirty bowl belongs in the sink",
    "would you move the bowl into the sink please",
    NULL,
};
static const char *const held[] = {
    "kindly deposit the bowl in the sink",
    "grab the bowl and leave it in the sink",
    "get the bowl into the sink for me",
    "transfer the cereal bowl to the sink",
    NULL,
};

static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    (void)m;
    return goal_in_region(s, KITCHEN_BOWL, KITCHEN_SINK, 0.02, reason) && goal_released(s, KITCHEN_BOWL, reason);
}

/* The bowl hangs where the fingers took it: aim with its middle, not with the hand's. */
static void expert(const fw_scene *s, const fw_meant *m, fw_expert_out *out) {
    (void)m;
    const fw_obj_view *b = &s->obj[KITCHEN_BOWL];
    const double *sink = s->region[KITCHEN_SINK].pos, *hand = s->arm[0].pos;
    fw_pick pick = {.place = {sink[0] + hand[0] - b->mid[0], sink[1] + hand[1] - b->mid[1], -0.028},
                    .place_yaw = NAN,
                    .carry_m = KITCHEN_CARRY_M,
                    .placed = inside_region(s, KITCHEN_BOWL, KITCHEN_SINK, 0.02)};
    grasp_bowl_aside(s, KITCHEN_BOWL, &pick);
    expert_pick(s, &pick, out);
}

extern const fw_task task_bowl_in_sink;
const fw_task task_bowl_in_sink = {.name = "bowl_in_sink",
                                   .version = 1,
                                   .setting = &setting_kitchen,
                                   .time_s = 16,
                                   .train = train,
                                   .held = held,
                                   .obj = KITCHEN_BOWL,
                                   .named = BIT(KITCHEN_BOWL),
                                   .goal = goal,
                                   .expert = expert};
