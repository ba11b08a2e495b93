/* carton.c - what the carton tasks share (carton.h). */
#include "task/carton.h"

#include <math.h>
#include <stdio.h>

#define STILL_RAD_S 0.15
#define REST_M_S    0.03

int carton_hinge(const fw_scene *s, const char *kind, int k) {
    char name[16];
    snprintf(name, sizeof name, "%.8s_%d", kind, k);
    return fw_scene_hinge(s, name);
}

double carton_angle(const fw_scene *s, const char *kind, int k) {
    return s->hinge[carton_hinge(s, kind, k)].pos;
}

carton_panel carton_wall(const fw_scene *s, int k) {
    static const double way[4] = {M_PI, 0, -M_PI / 2, M_PI / 2};
    const fw_obj_view *o = &s->obj[fw_scene_obj(s, "carton")];
    double yaw = o->yaw + way[k], off = k < 2 ? FW_CARTON_X_M : FW_CARTON_Y_M;
    return (carton_panel){.hinge = carton_hinge(s, "wall", k),
                          .crease = {o->pos[0] + off * cos(yaw), o->pos[1] + off * sin(yaw)},
                          .out = {cos(yaw), sin(yaw)},
                          .yaw = yaw};
}

bool carton_bent(const fw_scene *s, const char *kind, int k, double lo, double hi, char reason[160]) {
    double a = carton_angle(s, kind, k);
    if (a < lo || a > hi) {
        snprintf(reason, 160, "%s %d: at %.0f degrees, wanted %.0f to %.0f", kind, k, a * 180 / M_PI, lo * 180 / M_PI,
                 hi * 180 / M_PI);
        return false;
    }
    return true;
}

bool carton_left_alone(const fw_scene *s, char reason[160]) {
    const fw_obj_view *o = &s->obj[fw_scene_obj(s, "carton")];
    for (int h = 0; h < s->n_hinge; h++) {
        if (s->hinge[h].touches_hand) {
            return goal_no(reason, s->hinge[h].name, "still touched by a hand");
        }
        if (fabs(s->hinge[h].vel) > STILL_RAD_S) {
            return goal_no(reason, s->hinge[h].name, "still moving");
        }
    }
    if (o->touches_hand) {
        return goal_no(reason, "carton", "still touched by a hand");
    }
    if (o->up < 0.97) {
        return goal_no(reason, "carton", "not on its base");
    }
    return o->speed < REST_M_S || goal_no(reason, "carton", "still moving");
}

void carton_go(const fw_scene *s, int arm, const double target[3], double fast, fw_hand_cmd *h) {
    expert_go(&s->arm[arm], target, s->arm[arm].yaw, fast, fast, h);
    h->grip = 0; /* a fist */
}

const char *carton_come(const fw_scene *s, int a, const double target[3], double high_m, fw_hand_cmd *h) {
    const fw_arm_view *arm = &s->arm[a];
    double to[3] = {target[0], target[1], target[2]};
    bool over = hypot(to[0] - arm->pos[0], to[1] - arm->pos[1]) < 0.02;
    if (!over) {
        to[2] = high_m;
        if (arm->pos[2] < high_m - 0.03) {
            to[0] = arm->pos[0], to[1] = arm->pos[1];
        }
    }
    carton_go(s, a, to, 0.03, h);
    return over ? "descend" : "approach";
}

bool carton_retreat(const fw_scene *s, int a, fw_hand_cmd *h) {
    const fw_arm_view *arm = &s->arm[a];
    double high = fmax(arm->home[2], FW_CARTON_WALL_M + FW_CARTON_FLAP_M + 0.03);
    double home[3] = {arm->home[0], arm->home[1], high};
    if (arm->pos[2] < high - 0.03 && hypot(home[0] - arm->pos[0], home[1] - arm->pos[1]) > 0.03) {
        home[0] = arm->pos[0], home[1] = arm->pos[1];
    }
    carton_go(s, a, home, 0.03, h);
    return hypot(arm->home[0] - arm->pos[0], arm->home[1] - arm->pos[1]) < 0.04;
}

void carton_leave(const fw_scene *s, fw_expert_out *out) {
    out->phase = "leave";
    out->done = true;
    for (int a = 0; a < s->n_arm; a++) {
        out->done = carton_retreat(s, a, &out->hand[a]) && out->done;
    }
}
