/* goals.c - the pieces that goals are made of. They judge a moment that must already be the settled end: see goal_released. */
#include <math.h>
#include <stdio.h>

#include "task/task_int.h"

#define REST_SPEED_M_S 0.03
#define OPEN_ENOUGH    0.3
#define SUNK_M         0.02 /* its middle, below a region's rim */
#define MOVED_M        0.05
#define LIFTED_M       0.03

bool goal_no(char reason[160], const char *who, const char *why) {
    snprintf(reason, 160, "%s: %s", who, why);
    return false;
}

bool goal_released(const fw_scene *s, int obj, char reason[160]) {
    const fw_obj_view *v = &s->obj[obj];
    if (v->touches_hand) {
        return goal_no(reason, v->name, "still touched by the hand");
    }
    for (int a = 0; a < s->n_arm; a++) {
        if (s->arm[a].opening < OPEN_ENOUGH) {
            return goal_no(reason, v->name, "the gripper is closed");
        }
    }
    if (v->speed > REST_SPEED_M_S) {
        return goal_no(reason, v->name, "still moving");
    }
    return true;
}

bool inside_region(const fw_scene *s, int obj, int region, double inset_m) {
    const double *p = s->obj[obj].mid;
    const fw_region_view *r = &s->region[region];
    double dx = p[0] - r->pos[0], dy = p[1] - r->pos[1], c = cos(r->yaw), sn = sin(r->yaw);
    return fabs(c * dx + sn * dy) < r->half[0] - inset_m && fabs(c * dy - sn * dx) < r->half[1] - inset_m &&
           p[2] < r->pos[2] + 2 * r->half[2] - SUNK_M && p[2] > r->pos[2] - SUNK_M;
}

bool goal_in_region(const fw_scene *s, int obj, int region, double inset_m, char reason[160]) {
    char why[96];
    snprintf(why, sizeof why, "not in the %s", s->region[region].name);
    return inside_region(s, obj, region, inset_m) || goal_no(reason, s->obj[obj].name, why);
}

bool goal_disturbed(const fw_scene *s, uint32_t named, char reason[160]) {
    for (int o = 0; o < s->n_obj; o++) {
        const fw_obj_view *v = &s->obj[o];
        double moved = hypot(v->pos[0] - v->start[0], v->pos[1] - v->start[1]);
        if ((named & BIT(o)) == 0 && (moved > MOVED_M || v->lifted > LIFTED_M || v->pos[2] < v->start[2] - LIFTED_M)) {
            snprintf(reason, 160, "%s: not named, yet moved %.0f cm (lifted %.0f cm)", v->name, 100 * moved,
                     100 * v->lifted);
            return true;
        }
    }
    return false;
}
