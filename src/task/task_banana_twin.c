/*
 * task_banana_twin.c - "put the banana on the plate" once more: the twin of the real CR5 recordings, on their desk, seen by the
 * camera beside the hand. What is a twin in it and what is not: docs/TASKS.md.
 */
#include <math.h>

#include "task/setting_desk.h"
#include "task/task_int.h"

#define ON_PLATE_M 0.075

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

static bool on_plate(const fw_scene *s) {
    const fw_obj_view *p = &s->obj[DESK_PLATE], *b = &s->obj[DESK_BANANA];
    return hypot(b->mid[0] - p->pos[0], b->mid[1] - p->pos[1]) < ON_PLATE_M && b->touches[DESK_PLATE] &&
           !b->touches_world && p->up > 0.9;
}

static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    (void)m;
    const fw_obj_view *p = &s->obj[DESK_PLATE];
    if (!on_plate(s)) {
        return goal_no(reason, "banana", "not on the plate");
    }
    if (p->pos[2] < -0.01 || hypot(p->pos[0] - p->start[0], p->pos[1] - p->start[1]) > 0.15) {
        return goal_no(reason, "plate", "not where it was");
    }
    return goal_released(s, DESK_BANANA, reason) && goal_released(s, DESK_PLATE, reason);
}

/* The banana hangs where the fingers took it: aim with its middle, not with the hand's. */
static void expert(const fw_scene *s, const fw_meant *m, fw_expert_out *out) {
    (void)m;
    const fw_obj_view *b = &s->obj[DESK_BANANA];
    const double *plate = s->obj[DESK_PLATE].pos, *hand = s->arm[0].pos;
    const fw_pick pick = {.obj = DESK_BANANA,
                          .open = 1,
                          .grasp = {{b->mid[0], b->mid[1], fmax(b->pos[2] + 0.002, 0.019)}, expert_half_turn(b->yaw)},
                          .place = {plate[0] + hand[0] - b->mid[0], plate[1] + hand[1] - b->mid[1], plate[2] + 0.048},
                          .place_yaw = NAN,
                          .placed = on_plate(s)};
    expert_pick(s, &pick, out);
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
