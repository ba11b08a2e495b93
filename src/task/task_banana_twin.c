/*
 * task_banana_twin.c - "put the banana on the plate" once more: the twin of the real CR5 recordings, on their desk, seen by the
 * camera beside the hand. What is a twin in it and what is not: docs/TASKS.md.
 */
#include "task/banana.h"
#include "task/setting_desk.h"

static const char *const train[] = {
    "put the banana on the plate",
    "place the banana onto the plate",
    "please put the banana on the plate",
    "move the banana to the white plate",
    "drop the banana on the plate",
    "take the banana and put it on the plate",
    "could you put the banana on the dish",
    "the banana goes onto the plate",
    "set the banana down on the white plate",
    "carry the banana over to the plate",
    "pick up the banana and place it on the dish",
    "I want the banana on the plate",
    "bring the fruit to the plate",
    "serve the banana on the plate",
    NULL,
};
static const char *const held[] = {
    "kindly lay the banana on the plate",
    "grab the banana and leave it on the dish",
    "get the banana onto the plate for me",
    "transfer the fruit to the plate",
    NULL,
};

static const banana_pair pair = {
    .banana = DESK_BANANA, .plate = DESK_PLATE, .by_mid = true, .on_m = 0.075, .low_z_m = 0.019, .above_m = 0.048};

static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    (void)m;
    return banana_goal(s, &pair, reason);
}

static void expert(const fw_scene *s, const fw_meant *m, fw_expert_out *out) {
    (void)m;
    banana_expert(s, &pair, out);
}

extern const fw_task task_banana_twin;
const fw_task task_banana_twin = {.name = "banana_twin",
                                  .version = 1,
                                  .setting = &setting_desk,
                                  .time_s = 24,
                                  .train = train,
                                  .held = held,
                                  .obj = DESK_BANANA,
                                  .named = BIT(DESK_BANANA) | BIT(DESK_PLATE),
                                  .goal = goal,
                                  .expert = expert};
