/* "put the banana on the plate": grasp across its middle, let go over the middle of the plate. */
#include <math.h>
#include <stdio.h>

#include "task/setting_kitchen.h"
#include "task/task_int.h"

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

static bool on_plate(const fw_scene *s) {
    const fw_obj_view *p = &s->obj[KITCHEN_PLATE], *b = &s->obj[KITCHEN_BANANA];
    return hypot(b->pos[0] - p->pos[0], b->pos[1] - p->pos[1]) < 0.06 && b->touches[KITCHEN_PLATE] &&
           !b->touches_world && p->up > 0.9;
}

static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    (void)m;
    if (!on_plate(s)) {
        return goal_no(reason, "banana", "not on the plate");
    }
    const fw_obj_view *p = &s->obj[KITCHEN_PLATE];
    if (p->pos[2] < -0.01 || hypot(p->pos[0] - p->start[0], p->pos[1] - p->start[1]) > 0.15) {
        return goal_no(reason, "plate", "not where it was");
    }
    return goal_released(s, KITCHEN_BANANA, reason) && goal_released(s, KITCHEN_PLATE, reason);
}

/* The banana hangs where the fingers took it: aim with its middle, not with the hand's. */
static void expert(const fw_scene *s, const fw_meant *m, fw_expert_out *out) {
    (void)m;
    const fw_obj_view *b = &s->obj[KITCHEN_BANANA];
    const double *plate = s->obj[KITCHEN_PLATE].pos, *hand = s->arm[0].pos;
    double back = -0.004; /* the arc's weight is a little inside it */
    const fw_pick pick = {.obj = KITCHEN_BANANA,
                          .open = 1,
                          .grasp = {{b->pos[0] - back * sin(b->yaw), b->pos[1] + back * cos(b->yaw),
                                     fmax(b->pos[2] + 0.002, 0.0175 + (b->height - 0.031) / 2)},
                                    expert_half_turn(b->yaw)},
                          .place = {plate[0] + hand[0] - b->pos[0], plate[1] + hand[1] - b->pos[1], plate[2] + 0.045},
                          .place_yaw = NAN,
                          .carry_m = KITCHEN_CARRY_M,
                          .placed = on_plate(s)};
    expert_pick(s, &pick, out);
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
