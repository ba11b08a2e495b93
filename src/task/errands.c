#include "task/errands.h"

#include <stdio.h>

#include "task/skill_int.h"

#define HIGH_M   0.17 /* the hand's height between errands: fingertips over everything that stands about */
#define NEAR_M   0.08 /* nearer than this in the plane the hand may come down */
#define LET_GO   0.8  /* of the wanted opening: it has let go */
#define OPEN_MIN 0.45 /* beside what it has just put down */

static double released(const fw_pick *p) {
    return p->release > 0 ? p->release : 1;
}

static bool letting_go(const fw_scene *s, const fw_pick *p) {
    return p->placed && s->obj[p->obj].touches_hand && s->arm[0].opening < LET_GO * released(p);
}

int errand_now(const fw_scene *s, const fw_pick *p, int n) {
    for (int i = 0; i < n; i++) {
        if (skill_holds(s, p[i].obj)) {
            return i;
        }
    }
    for (int i = 0; i < n; i++) {
        if (letting_go(s, &p[i])) {
            return i;
        }
    }
    for (int i = 0; i < n; i++) {
        if (!p[i].placed) {
            return i;
        }
    }
    return -1;
}

const fw_pick *errand_say(const fw_scene *s, const fw_pick *p, int n, char words[FW_SUBTASK_LEN]) {
    int now = errand_now(s, p, n);
    if (now < 0) {
        snprintf(words, FW_SUBTASK_LEN, "take the hand away");
    }
    return now < 0 ? NULL : &p[now];
}

/* Straight up, then across: over what has just been put down, and over the edges of bins. */
static const char *travel(const fw_pick *p, const fw_arm_view *arm, fw_hand_cmd *hand) {
    double free = skill_clamp((arm->pos[2] - (HIGH_M - 0.05)) / 0.04, 0, 1), to[3] = {0, 0, HIGH_M};
    bool rising = free < 0.5;
    for (int i = 0; i < 2; i++) {
        to[i] = arm->pos[i] + free * (p->grasp.pos[i] - arm->pos[i]);
    }
    expert_go(arm, to, rising ? arm->yaw : p->grasp.yaw, SKILL_SPEED_M, SKILL_SPEED_M, hand);
    hand->grip = rising ? fmax(arm->command, OPEN_MIN) : p->open;
    return rising ? "rise" : "travel";
}

void errand_act(const fw_scene *s, const fw_pick *p, int n, fw_expert_out *out) {
    const fw_arm_view *arm = &s->arm[0];
    int now = errand_now(s, p, n);
    if (now < 0) {
        out->phase = skill_leave(s, false, out);
        return;
    }
    const fw_pick *e = &p[now];
    bool held = skill_holds(s, e->obj);
    if (letting_go(s, e) && !held) {
        out->hand[0] = (fw_hand_cmd){.grip = released(e)};
        out->phase = "open";
    } else if (!held && hypot(e->grasp.pos[0] - arm->pos[0], e->grasp.pos[1] - arm->pos[1]) > NEAR_M) {
        if (!expert_drive(s, 0, e->grasp.pos, out)) {
            out->phase = travel(e, arm, &out->hand[0]);
        }
    } else {
        expert_pick(s, e, out);
    }
    out->done = false;
}
