/* goals.c - the pieces that goals are made of. They judge a moment that must already be the settled end: see goal_released. */
#include <math.h>
#include <stdio.h>

#include "task/task_int.h"

#define REST_SPEED_M_S 0.03
#define OPEN_ENOUGH    0.3
#define SUNK_M         0.02 /* its middle, below the counter */
#define MOVED_M        0.05
#define LIFTED_M       0.03

static bool no(char reason[160], const char *who, const char *why) {
    snprintf(reason, 160, "%s: %s", who, why);
    return false;
}

bool goal_released(const fw_scene *s, fw_obj o, char reason[160]) {
    const fw_obj_view *v = &s->obj[o];
    if (v->touches_hand) {
        return no(reason, fw_obj_name(o), "still touched by the hand");
    }
    if (s->opening < OPEN_ENOUGH) {
        return no(reason, fw_obj_name(o), "the gripper is closed");
    }
    if (v->speed > REST_SPEED_M_S) {
        return no(reason, fw_obj_name(o), "still moving");
    }
    return true;
}

bool inside_sink(const fw_scene *s, fw_obj o, double inset_m) {
    const double *p = s->obj[o].mid;
    return fabs(p[0] - s->sink[0]) < s->sink_half[0] - inset_m && fabs(p[1] - s->sink[1]) < s->sink_half[1] - inset_m &&
           p[2] < -SUNK_M;
}

bool goal_in_sink(const fw_scene *s, fw_obj o, double inset_m, char reason[160]) {
    return inside_sink(s, o, inset_m) || no(reason, fw_obj_name(o), "not in the sink");
}

bool goal_disturbed(const fw_scene *s, unsigned named, char reason[160]) {
    for (int o = 0; o < FW_N_OBJ; o++) {
        const fw_obj_view *v = &s->obj[o];
        double moved = hypot(v->pos[0] - v->start[0], v->pos[1] - v->start[1]);
        if ((named & BIT(o)) == 0 && (moved > MOVED_M || v->lifted > LIFTED_M || v->pos[2] < v->start[2] - LIFTED_M)) {
            snprintf(reason, 160, "%s: not named, yet moved %.0f cm (lifted %.0f cm)", fw_obj_name((fw_obj)o),
                     100 * moved, 100 * v->lifted);
            return true;
        }
    }
    return false;
}
