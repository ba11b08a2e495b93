/* "put the banana on the plate": grasp across its middle, let go over the middle of the plate. */
#include "task/banana.h"
#include "task/setting_kitchen.h"

static const char *const train[] = {
    "put the banana on the plate",
    "place the banana onto the plate",
    "please put the banana on the plate",
    "move the banana to the dish",
    "drop the banana on the plate",
    "take the banana and put it on the plate",
    "could you put the banana on the dish",
    "the banana goes onto the plate",
    "set the banana down on the plate",
    "carry the banana over to the plate",
    "pick up the banana and place it on the dish",
    "I want the banana on the plate",
    "bring the fruit to the plate",
    "serve the banana on the plate",
    "the banana belongs on the plate",
    "would you move the yellow fruit onto the plate please",
    NULL,
};
static const char *const held[] = {
    "kindly lay the banana on the plate",
    "grab the banana and leave it on the dish",
    "get the banana onto the plate for me",
    "transfer the fruit to the plate",
    NULL,
};

static banana_pair pair(const fw_scene *s) {
    double height = s->obj[KITCHEN_BANANA].height;
    return (banana_pair){.banana = KITCHEN_BANANA,
                         .plate = KITCHEN_PLATE,
                         .on_m = 0.06,
                         .inward_m = 0.004, /* the arc's weight is a little inside it */
                         .low_z_m = 0.0175 + (height - 0.031) / 2,
                         .above_m = 0.045,
                         .carry_m = KITCHEN_CARRY_M};
}

static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    (void)m;
    const banana_pair p = pair(s);
    return banana_goal(s, &p, reason);
}

static void expert(const fw_scene *s, const fw_meant *m, fw_expert_out *out) {
    (void)m;
    const banana_pair p = pair(s);
    banana_expert(s, &p, out);
}

extern const fw_task task_banana_on_plate;
const fw_task task_banana_on_plate = {.name = "banana_on_plate",
                                      .version = 2,
                                      .setting = &setting_kitchen,
                                      .time_s = 16,
                                      .train = train,
                                      .held = held,
                                      .obj = KITCHEN_BANANA,
                                      .named = BIT(KITCHEN_BANANA) | BIT(KITCHEN_PLATE),
                                      .goal = goal,
                                      .expert = expert};
