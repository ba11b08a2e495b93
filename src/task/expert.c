/*
 * expert.c - the scripted expert: what to do next, from where things are now.
 *
 * DESIGN. No clock, no memory: each call decides the phase from the scene alone, so a shove, a slip or noise on the command
 * only leads back into an earlier phase, and the action is something a camera and the gripper's own readings could tell.
 *
 *                 placed (in its region, not between both fingers) ------------> leave: open, straight up, rest
 *   held between both fingers, hand closing:   low -> lift;  high -> carry;  over the place -> lower;  there -> open
 *   neither:   far -> above it at hover height;  near -> descend in a funnel;  at the grasp -> close (stay while it closes)
 *
 * A mobile base drives before that, the hand high, whenever the place to go to is not before the arm. Once the hand is low, only a
 * base that is well off drives again; what tells the two apart is the hand's height, so this too is no memory.
 */
#include <math.h>

#include "task/task_int.h"

#define SPEED_M  0.03 /* a step, when far */
#define GAIN     0.6  /* of the way a step, when near */
#define HOVER_M  0.10 /* above the grasp, before descending */
#define REST_M   0.06 /* the resting hand, above the height at which things are carried */
#define YAW_RATE 0.15 /* rad a step */
#define CLOSING  0.4  /* a command below this is a closed hand */

#define DRIVE_M    0.03 /* of a mobile base, a step */
#define DRIVE_RAD  0.06
#define DRIVE_GAIN 0.4
#define ASIDE_M    0.15 /* the arm works this far to either side of where the base stands */
#define STANDS_M   0.02 /* near enough to begin to work, the hand high */
#define STANDS_RAD 0.03
#define WORKS      2.5  /* times as far may a base be off whose arm works already: the arm's pull moves it */
#define RISEN_M    0.05 /* a hand no further below the height at which things are carried is high */

static double clamp(double x, double lo, double hi) {
    return x < lo ? lo : x > hi ? hi : x;
}

static double dist_xy(const double a[3], const double b[3]) {
    return hypot(a[0] - b[0], a[1] - b[1]);
}

double expert_half_turn(const fw_arm_view *arm, double yaw) {
    double low = arm->turn_yaw - M_PI / 2, t = fmod(yaw - low, M_PI);
    return (t < 0 ? t + M_PI : t) + low;
}

void expert_go(const fw_arm_view *arm, const double target[3], double yaw, double fast_xy, double fast_z,
               fw_hand_cmd *out) {
    double e[3] = {target[0] - arm->pos[0], target[1] - arm->pos[1], target[2] - arm->pos[2]};
    double n = GAIN * hypot(e[0], e[1]), k = n > fast_xy ? GAIN * fast_xy / n : GAIN;
    out->dpos[0] = k * e[0];
    out->dpos[1] = k * e[1];
    out->dpos[2] = clamp(GAIN * e[2], -fast_z, fast_z);
    out->dyaw = clamp(GAIN * (yaw - arm->yaw), -YAW_RATE, YAW_RATE);
}

static void stay(fw_hand_cmd *out, double grip) {
    *out = (fw_hand_cmd){.grip = grip};
}

/* Above it, then down a funnel: the nearer in the plane, the lower it may be. */
const char *expert_reach(const pose4 *g, double open, const fw_arm_view *arm, fw_hand_cmd *out) {
    double off = dist_xy(g->pos, arm->pos), turn = fabs(g->yaw - arm->yaw), above = arm->pos[2] - g->pos[2];
    bool there = off < 0.007 && turn < 0.10 && fabs(above) < 0.005;
    bool nearly = off < 0.015 && turn < 0.2 && fabs(above) < 0.015;
    bool empty = arm->opening < 0.03; /* shut, and nothing in it: again */
    if ((there && arm->opening > open - 0.2) || (nearly && arm->command < CLOSING && !empty)) {
        stay(out, 0); /* still: a hand that moves while it closes drags the thing along */
        return "close";
    }
    double slack = fmax(off - 0.006, 0.05 * (turn - 0.06));
    double lift = clamp(4 * slack, 0, HOVER_M), target[3] = {g->pos[0], g->pos[1], g->pos[2] + lift};
    out->grip = open;
    if (above < lift - 0.03 && off > 0.03) { /* too low to travel: up first */
        target[0] = arm->pos[0], target[1] = arm->pos[1];
        expert_go(arm, target, arm->yaw, SPEED_M, SPEED_M, out);
        return "rise";
    }
    bool opening = arm->opening < open - 0.2; /* do not come down on it with closed fingers */
    if (opening && above < 0.06) {
        target[2] = fmax(target[2], g->pos[2] + 0.06);
    }
    expert_go(arm, target, g->yaw, SPEED_M, above < 0.05 ? 0.025 : SPEED_M, out);
    return lift > 0.5 * HOVER_M ? "approach" : "descend";
}

static double released(const fw_pick *p) {
    return p->release > 0 ? p->release : 1;
}

static const char *deliver(const fw_pick *p, const fw_arm_view *arm, double carry, fw_hand_cmd *out) {
    double target[3], off = dist_xy(p->place, arm->pos), z = arm->pos[2];
    double yaw = isnan(p->place_yaw) ? arm->yaw : p->place_yaw;
    bool turned = fabs(yaw - arm->yaw) < 0.1;
    if (off < 0.02 && z < p->place[2] + 0.008 && turned) {
        expert_go(arm, p->place, yaw, 0.01, 0.01, out);
        out->grip = released(p);
        return "open";
    }
    out->grip = 0;
    double lift = clamp(4 * (off - 0.012), turned ? 0 : 0.3, 1), high = p->place[2] + lift * (carry - p->place[2]);
    bool low = z < high - 0.03;
    target[0] = low ? arm->pos[0] : p->place[0];
    target[1] = low ? arm->pos[1] : p->place[1];
    if (off > 0.05) {
        high = carry;
        double free = clamp((z - (carry - 0.05)) / 0.04, 0, 1); /* start across while still rising */
        target[0] = arm->pos[0] + free * (p->place[0] - arm->pos[0]);
        target[1] = arm->pos[1] + free * (p->place[1] - arm->pos[1]);
        low = free < 0.5;
    }
    target[2] = high;
    expert_go(arm, target, low ? arm->yaw : yaw, SPEED_M, SPEED_M, out);
    return low ? "lift" : off > 0.03 ? "carry" : "lower";
}

static const char *leave(const fw_obj_view *o, const fw_arm_view *arm, double open, double rest_z, fw_hand_cmd *out,
                         bool *done) {
    double up[3] = {arm->pos[0], arm->pos[1], rest_z};
    bool clear = arm->opening > 0.8 * open || !o->touches_hand;
    stay(out, open);
    if (clear) {
        expert_go(arm, up, arm->yaw, SPEED_M, SPEED_M, out);
    }
    *done = clear && arm->pos[2] > rest_z - 0.02;
    return *done ? "rest" : clear ? "leave" : "open";
}

bool expert_drive(const fw_scene *s, int arm, const double target[3], fw_expert_out *out) {
    double aside = target[1] - s->base[1], c = cos(s->base[2]), sn = sin(s->base[2]);
    double x = -s->base[0], y = aside - clamp(aside, -ASIDE_M, ASIDE_M), yaw = -s->base[2];
    double low = s->reach.carry_m - s->arm[arm].pos[2], off = hypot(x, y), slack = low > RISEN_M ? WORKS : 1;
    if (!s->mobile || (off < slack * STANDS_M && fabs(yaw) < slack * STANDS_RAD)) {
        return false;
    }
    fw_hand_cmd *hand = &out->hand[arm];
    hand->dpos[2] = clamp(GAIN * low, 0, SPEED_M);
    out->phase = low > RISEN_M ? "rise" : "drive";
    if (low <= RISEN_M) {
        double n = DRIVE_GAIN * off, k = n > DRIVE_M ? DRIVE_GAIN * DRIVE_M / n : DRIVE_GAIN;
        out->base[0] = k * (c * x + sn * y);
        out->base[1] = k * (c * y - sn * x);
        out->base[2] = clamp(DRIVE_GAIN * yaw, -DRIVE_RAD, DRIVE_RAD);
    }
    return true;
}

void expert_pick(const fw_scene *s, const fw_pick *p, fw_expert_out *out) {
    const fw_obj_view *o = &s->obj[p->obj];
    const fw_arm_view *arm = &s->arm[p->arm];
    fw_hand_cmd *hand = &out->hand[p->arm];
    double carry = p->carry_m > 0 ? fmin(p->carry_m, s->reach.carry_m) : s->reach.carry_m;
    bool held = (o->held_by & BIT(p->arm)) != 0 && arm->command < CLOSING;
    bool leaves = p->placed && !held;
    if (!leaves && expert_drive(s, p->arm, held ? p->place : p->grasp.pos, out)) {
        return;
    }
    if (leaves) {
        out->phase = leave(o, arm, released(p), carry + REST_M, hand, &out->done);
    } else if (held) {
        out->phase = deliver(p, arm, carry, hand);
    } else {
        out->phase = expert_reach(&p->grasp, p->open, arm, hand);
    }
}
