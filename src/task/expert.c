/*
 * expert.c - the scripted expert: what to do next, from where things are now.
 *
 * DESIGN. No clock, no memory: each call decides the phase from the scene alone, so a shove, a slip or noise on the command
 * only leads back into an earlier phase, and the action is something a camera and the gripper's own readings could tell.
 *
 *                 placed (in its region, not between both fingers) ------------> leave: open, straight up, rest
 *   held between both fingers, hand closing:   low -> lift;  high -> carry;  over the place -> lower;  there -> open
 *   neither:   far -> above it at hover height;  near -> descend in a funnel;  at the grasp -> close (stay while it closes)
 */
#include <math.h>

#include "task/task_int.h"

#define SPEED_M   0.03 /* a step, when far */
#define GAIN      0.6  /* of the way a step, when near */
#define HOVER_M   0.10 /* above the grasp, before descending */
#define CARRY_Z_M 0.16 /* the hand's height over everything that stands on the counter */
#define REST_Z_M  0.22
#define YAW_RATE  0.15 /* rad a step */
#define CLOSING   0.4  /* a command below this is a closed hand */

static double clamp(double x, double lo, double hi) {
    return x < lo ? lo : x > hi ? hi : x;
}

static double dist_xy(const double a[3], const double b[3]) {
    return hypot(a[0] - b[0], a[1] - b[1]);
}

/* Towards target, at most `fast` a step, slowing down near it. */
static void go(const fw_scene *s, const double target[3], double yaw, double fast_xy, double fast_z, float a[5]) {
    double e[3] = {target[0] - s->ee_pos[0], target[1] - s->ee_pos[1], target[2] - s->ee_pos[2]};
    double n = GAIN * hypot(e[0], e[1]), k = n > fast_xy ? GAIN * fast_xy / n : GAIN;
    a[0] = (float)(k * e[0]);
    a[1] = (float)(k * e[1]);
    a[2] = (float)clamp(GAIN * e[2], -fast_z, fast_z);
    a[3] = (float)clamp(GAIN * (yaw - s->ee_yaw), -YAW_RATE, YAW_RATE);
}

/* Above it, then down a funnel: the nearer in the plane, the lower it may be. */
static const char *reach(const fw_task *t, const fw_scene *s, float a[5]) {
    pose4 g = t->grasp(s);
    double off = dist_xy(g.pos, s->ee_pos), turn = fabs(g.yaw - s->ee_yaw), above = s->ee_pos[2] - g.pos[2];
    bool there = off < 0.007 && turn < 0.10 && fabs(above) < 0.005;
    bool nearly = off < 0.015 && turn < 0.2 && fabs(above) < 0.015;
    bool empty = s->opening < 0.03; /* shut, and nothing in it: again */
    if ((there && s->opening > t->open - 0.2) || (nearly && s->command < CLOSING && !empty)) {
        a[0] = a[1] = a[2] = a[3] = a[4] = 0; /* still: a hand that moves while it closes drags the thing along */
        return "close";
    }
    double slack = fmax(off - 0.006, 0.05 * (turn - 0.06));
    double lift = clamp(4 * slack, 0, HOVER_M), target[3] = {g.pos[0], g.pos[1], g.pos[2] + lift};
    a[4] = (float)t->open;
    if (above < lift - 0.03 && off > 0.03) { /* too low to travel: up first */
        target[0] = s->ee_pos[0], target[1] = s->ee_pos[1];
        go(s, target, s->ee_yaw, SPEED_M, SPEED_M, a);
        return "rise";
    }
    bool opening = s->opening < t->open - 0.2; /* do not come down on it with closed fingers */
    if (opening && above < 0.06) {
        target[2] = fmax(target[2], g.pos[2] + 0.06);
    }
    go(s, target, g.yaw, SPEED_M, above < 0.05 ? 0.025 : SPEED_M, a);
    return lift > 0.5 * HOVER_M ? "approach" : "descend";
}

static const char *deliver(const fw_task *t, const fw_scene *s, float a[5]) {
    double place[3], target[3];
    t->place(s, place);
    double off = dist_xy(place, s->ee_pos), z = s->ee_pos[2];
    if (off < 0.02 && z < place[2] + 0.008) {
        go(s, place, s->ee_yaw, 0.01, 0.01, a);
        a[4] = 1;
        return "open";
    }
    a[4] = 0;
    double lift = clamp(4 * (off - 0.012), 0, 1), high = place[2] + lift * (CARRY_Z_M - place[2]);
    bool low = z < high - 0.03;
    target[0] = low ? s->ee_pos[0] : place[0];
    target[1] = low ? s->ee_pos[1] : place[1];
    if (off > 0.05) {
        high = CARRY_Z_M;
        double free = clamp((z - (CARRY_Z_M - 0.05)) / 0.04, 0, 1); /* start across while still rising */
        target[0] = s->ee_pos[0] + free * (place[0] - s->ee_pos[0]);
        target[1] = s->ee_pos[1] + free * (place[1] - s->ee_pos[1]);
        low = free < 0.5;
    }
    target[2] = high;
    go(s, target, s->ee_yaw, SPEED_M, SPEED_M, a);
    return low ? "lift" : off > 0.03 ? "carry" : "lower";
}

static const char *leave(const fw_task *t, const fw_scene *s, float a[5], bool *done) {
    double up[3] = {s->ee_pos[0], s->ee_pos[1], REST_Z_M};
    bool clear = s->opening > 0.8 || !s->obj[t->obj].touches_hand;
    a[0] = a[1] = a[2] = a[3] = 0;
    if (clear) {
        go(s, up, s->ee_yaw, SPEED_M, SPEED_M, a);
    }
    a[4] = 1;
    *done = clear && s->ee_pos[2] > REST_Z_M - 0.02;
    return *done ? "rest" : clear ? "leave" : "open";
}

void expert_action(const fw_task *t, const fw_scene *s, float action[5], bool *done, const char **phase) {
    const fw_obj_view *o = &s->obj[t->obj];
    *done = false;
    if (t->placed(s) && !(o->touches_both && s->command < CLOSING)) {
        *phase = leave(t, s, action, done);
    } else if (o->touches_both && s->command < CLOSING) {
        *phase = deliver(t, s, action);
    } else {
        *phase = reach(t, s, action);
    }
}
