#include "task/banana.h"

#include <math.h>

#define SHOVED_M 0.15 /* a plate that lies further from its start is not where it was */

static const double *place_of(const fw_scene *s, const banana_pair *p) {
    const fw_obj_view *b = &s->obj[p->banana];
    return p->by_mid ? b->mid : b->pos;
}

static bool on_plate(const fw_scene *s, const banana_pair *p) {
    const fw_obj_view *plate = &s->obj[p->plate], *b = &s->obj[p->banana];
    const double *at = place_of(s, p);
    return hypot(at[0] - plate->pos[0], at[1] - plate->pos[1]) < p->on_m && b->touches[p->plate] && !b->touches_world &&
           plate->up > 0.9;
}

bool banana_goal(const fw_scene *s, const banana_pair *p, char reason[160]) {
    const fw_obj_view *plate = &s->obj[p->plate];
    if (!on_plate(s, p)) {
        return goal_no(reason, "banana", "not on the plate");
    }
    if (plate->pos[2] < -0.01 || hypot(plate->pos[0] - plate->start[0], plate->pos[1] - plate->start[1]) > SHOVED_M) {
        return goal_no(reason, "plate", "not where it was");
    }
    return goal_released(s, p->banana, reason) && goal_released(s, p->plate, reason);
}

/* Grasped across its middle. It hangs where the fingers took it: aim with its middle, not with the hand's. */
void banana_expert(const fw_scene *s, const banana_pair *p, fw_expert_out *out) {
    const fw_obj_view *b = &s->obj[p->banana];
    const double *at = place_of(s, p), *plate = s->obj[p->plate].pos, *hand = s->arm[0].pos;
    const fw_pick pick = {.obj = p->banana,
                          .open = 1,
                          .grasp = {{at[0] + p->inward_m * sin(b->yaw), at[1] - p->inward_m * cos(b->yaw),
                                     fmax(b->pos[2] + 0.002, p->low_z_m)},
                                    expert_half_turn(&s->arm[0], b->yaw)},
                          .place = {plate[0] + hand[0] - at[0], plate[1] + hand[1] - at[1], plate[2] + p->above_m},
                          .place_yaw = NAN,
                          .carry_m = p->carry_m,
                          .placed = on_plate(s, p)};
    expert_pick(s, &pick, out);
}
