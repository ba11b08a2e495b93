/*
 * grasps.c - one grasp a kind, for hands that point down.
 *
 * At yaw w the fingers stand on the line of angle w - pi/2 and open along it; a point between the pads is 1 cm above the fingertips.
 */
#include "task/grasps.h"

#include <math.h>
#include <string.h>

#include "task/skill_int.h"

#define MUG_CLEAR_RAD 0.87  /* between the line of the fingers and a mug's handle */
#define BOWL_RIM_M    0.060 /* radius of the plain bowl's rim where the pads take it */
#define LYING_UP      0.7   /* a thing that leans more than this lies on its side */
#define WALL_IN_M     0.007 /* the middle of a bowl's wall where it is pinched, inside the bowl's circle */
#define PINCH_M       0.013 /* there: below its edge */
#define FINGER_M      0.030 /* the outer finger, before it closes */
#define N_SIDE        8

double grasp_rim_side(const fw_scene *s) {
    int sink = fw_scene_region(s, "sink");
    return sink >= 0 && s->region[sink].pos[1] < 0 ? 1 : -1;
}

/* One finger inside the rim and one outside, whatever its own yaw. */
static void at_rim(const fw_scene *s, const fw_obj_view *o, double radius, double height, double open, fw_pick *p) {
    p->open = open;
    p->grasp = (pose4){{o->pos[0], o->pos[1] + grasp_rim_side(s) * radius, o->pos[2] + height}, 0};
}

/* Turn the hand from yaw 0 just as far as the handle demands. */
static void across_mug(const fw_obj_view *o, fw_pick *p) {
    double off = remainder(o->yaw + M_PI / 2, M_PI); /* handle against the finger line at yaw 0, in (-pi/2, pi/2] */
    p->open = 1;
    p->grasp = (pose4){{o->pos[0], o->pos[1], o->pos[2] + 0.043 + 0.6 * (o->height - 0.072)},
                       fabs(off) < MUG_CLEAR_RAD ? off - copysign(MUG_CLEAR_RAD, off) : 0};
}

/* Over its middle. */
static void across(const fw_obj_view *o, double height, double yaw, double open, fw_pick *p) {
    p->open = open;
    p->grasp = (pose4){{o->mid[0], o->mid[1], fmax(o->pos[2] + height, o->mid[2])}, yaw};
}

static bool is(const fw_obj_view *o, const char *kind) {
    return strcmp(o->kind, kind) == 0;
}

/* What a salad is made of: round things at any yaw, the others across their length; in the middle however they lie. */
static bool is_food(const fw_obj_view *o, bool *round) {
    static const char *const kinds[] = {"tomato", "lettuce", "onion",  "cucumber", "pepper",  "carrot",
                                        "egg",    "lemon",   "cheese", "celery",   "mushroom"};
    for (int i = 0; i < (int)(sizeof kinds / sizeof *kinds); i++) {
        if (is(o, kinds[i])) {
            *round = i < 3;
            return true;
        }
    }
    return false;
}

static void across_food(const fw_arm_view *arm, const fw_obj_view *o, bool round, fw_pick *p) {
    p->open = 0.95;
    p->grasp =
        (pose4){{o->mid[0], o->mid[1], fmax(o->mid[2], 0.013)}, round ? arm->home_yaw : expert_half_turn(arm, o->yaw)};
}

/* It fell over: across its long axis (z of its frame), low. */
static void lying(const fw_arm_view *arm, const fw_obj_view *o, fw_pick *p) {
    double w = o->quat[0], x = o->quat[1], y = o->quat[2], z = o->quat[3];
    double axis[2] = {2 * (x * z + w * y), 2 * (y * z - w * x)};
    p->open = 1;
    p->grasp = (pose4){{o->mid[0], o->mid[1], o->mid[2]}, expert_half_turn(arm, atan2(axis[1], axis[0]))};
}

void grasp_of(const fw_scene *s, int obj, fw_pick *p) {
    const fw_obj_view *o = &s->obj[obj];
    const fw_arm_view *arm = &s->arm[p->arm];
    double k = skill_fit(s);
    bool round;
    p->obj = obj;
    if (is(o, "plate")) {
        at_rim(s, o, grasp_plate_rim(o), 0.019 + 0.8 * (o->height - 0.029), 0.45, p);
    } else if (is(o, "bowl")) {
        at_rim(s, o, BOWL_RIM_M + (o->radius - 0.068), 0.042 + (o->height - 0.054), 0.6, p);
    } else if (is(o, "mug") && o->up > LYING_UP) {
        across_mug(o, p);
    } else if (is(o, "fork") || is(o, "knife") || is(o, "spoon")) {
        across(o, 0.014 * k, expert_half_turn(arm, o->yaw), 0.5, p);
    } else if (is(o, "peel")) {
        across(o, 0.018 * k, remainder(o->yaw, M_PI / 2), 0.7, p); /* four tongues: between any two */
    } else if (is(o, "paper")) {
        across(o, 0, arm->home_yaw, 0.9, p);
    } else if (is_food(o, &round)) {
        across_food(arm, o, round, p);
    } else if (o->up > LYING_UP) {
        across(o, fmin(0.6 * o->height, 0.045 * k), is(o, "can") ? arm->home_yaw : expert_half_turn(arm, o->yaw), 0.9,
               p);
    } else {
        lying(arm, o, p);
    }
}

/* Room for the outer finger at this side of the bowl: m to the nearest other thing. */
static double room_at(const fw_scene *s, int bowl, double side) {
    const fw_obj_view *b = &s->obj[bowl];
    double out = b->radius + FINGER_M, x = b->pos[0] + out * cos(side), y = b->pos[1] + out * sin(side), room = 1;
    for (int o = 0; o < s->n_obj; o++) {
        const fw_obj_view *v = &s->obj[o];
        if (o != bowl) {
            room = fmin(room, hypot(v->pos[0] - x, v->pos[1] - y) - v->radius);
        }
    }
    return room;
}

/* The side away from the sink, or the next one to it that has room. */
static double choose_side(const fw_scene *s, int bowl) {
    static const int turns[N_SIDE] = {0, 1, -1, 2, -2, 3, -3, 4};
    double away = grasp_rim_side(s) * M_PI / 2, best = away, most = -1;
    for (int i = 0; i < N_SIDE; i++) {
        double side = away + turns[i] * 2 * M_PI / N_SIDE, room = fmin(room_at(s, bowl, side), 0.015);
        if (room > most + 0.001) {
            most = room;
            best = side;
        }
    }
    return best;
}

void grasp_bowl_aside(const fw_scene *s, int bowl, fw_pick *p) {
    const fw_obj_view *b = &s->obj[bowl];
    double side = choose_side(s, bowl), r = b->radius - WALL_IN_M;
    p->obj = bowl;
    p->open = 0.5;
    p->grasp = (pose4){{b->pos[0] + r * cos(side), b->pos[1] + r * sin(side), b->pos[2] + b->height - PINCH_M},
                       expert_half_turn(&s->arm[p->arm], side + M_PI / 2)};
}
