/*
 * task_put_in_drawer.c - "open the drawer, put the duck in and close it".
 *
 * DESIGN. What is to be done follows from three facts: is the thing in the drawer, is it in the hand, how far is the drawer open.
 *
 *   thing in the drawer, not in the hand:   drawer open -> push the bar;   shut -> leave
 *   thing in the hand:                      drawer open -> lower it in;    shut (somebody pushed it) -> lay it down
 *   neither:                                drawer open -> take the thing; shut -> take the bar from above and pull
 *
 * All in the cabinet's frame: x out of its front.
 */
#include <stdio.h>
#include <string.h>

#include "task/setting_drawer.h"
#include "task/skill_int.h"

#define SHUT_M      0.01  /* the judge's */
#define PUSH_TO_M   0.005 /* the expert's */
#define BAR_HALF_M  0.006 /* half the bar's thickness */
#define FINGER_M    0.011 /* half a finger's width, across the line of the fingers */
#define BAR_OPEN    0.5   /* gripper while it comes down on the bar: its back must clear the front */
#define RELEASE_Z_M 0.046 /* the palm clears the drawer's sides */

static const char *const train[] = {
    "open the drawer, put {0} in and close it",
    "put {0} into the drawer and shut it",
    "put {0} away in the drawer",
    "please put {0} in the drawer and close the drawer",
    "open the drawer, place {0} inside, then push it shut",
    "{0} goes into the drawer; close it afterwards",
    "pull the drawer open, drop {0} in, close it again",
    "could you put {0} in the drawer and close it",
    "I want {0} in the drawer, and the drawer closed",
    "stow {0} in the drawer",
    "tidy {0} away into the drawer",
    "move {0} into the drawer and close it please",
    "take {0}, put it in the drawer and shut the drawer",
    "lay {0} in the drawer and push it closed",
    NULL,
};
static const char *const held[] = {
    "slide the drawer open, leave {0} inside and slide it shut",
    "keep {0} in the drawer from now on, and shut it",
    "hide {0} in the drawer, closed of course",
    "would you store {0} inside the drawer and close up",
    NULL,
};

/* Said by name, by place, or by what it is not. */
static bool mean(const fw_scene *s, fw_rng *r, fw_meant *m) {
    static const char *const plain[] = {"", "", "the car", "the duck"};
    static const char *const negative[] = {"", "", "the toy that is not the duck", "the toy that is not the car"};
    static const char *const side[2][3] = {
        {"the left block", "the block on the left", "the block that is not on the right"},
        {"the right block", "the block on the right", "the block that is not on the left"}};
    int o = (int)fw_rng_below(r, DRAWER_N_OBJ), way = (int)fw_rng_below(r, 3);
    const char *words;
    if (o <= DRAWER_BLOCK_2) {
        bool left = s->obj[o].start[1] > s->obj[DRAWER_BLOCK_1 + DRAWER_BLOCK_2 - o].start[1];
        words = side[left ? 0 : 1][way];
    } else {
        words = way == 2 ? negative[o] : plain[o];
    }
    m->n = 1;
    m->obj[0] = o;
    m->named = BIT(o);
    m->to = DRAWER_INSIDE;
    snprintf(m->slot[0], sizeof m->slot[0], "%s", words);
    return true;
}

static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    if (!goal_in_region(s, m->obj[0], DRAWER_INSIDE, 0, reason)) {
        return false;
    }
    if (s->hinge[DRAWER_SLIDE].pos > SHUT_M) {
        return goal_no(reason, "drawer", "not closed");
    }
    if (s->hinge[DRAWER_SLIDE].touches_hand) {
        return goal_no(reason, "drawer", "still touched by the hand");
    }
    return goal_released(s, m->obj[0], reason);
}

/* The cabinet, as if shut: x = 0 at its front, the bar's middle at x = out. */
typedef struct cabinet {
    skill_frame frame;
    double open, stroke, out, bar_z, hand[3];
} cabinet;

static cabinet look(const fw_scene *s) {
    const fw_hinge_view *h = &s->hinge[DRAWER_SLIDE];
    const fw_region_view *in = &s->region[DRAWER_INSIDE];
    double deep = in->half[0] + 0.008, front = deep + 0.008; /* as part_drawer.c builds it: from the inside's middle */
    cabinet c = {.frame = {{in->pos[0], in->pos[1], 0}, in->yaw}, .open = h->pos, .stroke = h->max};
    double x = front - h->pos, bar[3];
    skill_out_of(&c.frame, x, 0, 0, c.frame.pos);
    skill_into(&c.frame, h->grip, bar);
    c.out = bar[0] - h->pos;
    c.bar_z = bar[2];
    skill_into(&c.frame, s->arm[0].pos, c.hand);
    return c;
}

static bool open_enough(const cabinet *c) {
    return c->open > 0.8 * c->stroke;
}

static const char *pull(const fw_scene *s, const cabinet *c, fw_expert_out *out) {
    const fw_arm_view *arm = &s->arm[0];
    pose4 g = {.yaw = expert_half_turn(arm, c->frame.yaw - M_PI / 2)};
    skill_out_of(&c->frame, c->out + c->open, 0, c->bar_z + 0.004, g.pos);
    double off = hypot(c->hand[0] - c->out - c->open, c->hand[1]);
    bool bar_in_hand = s->hinge[DRAWER_SLIDE].touches_hand && arm->command < SKILL_CLOSING && arm->opening < 0.25 &&
                       arm->opening > 0.05 && off < 0.04 && fabs(arm->pos[2] - g.pos[2]) < 0.012;
    if (!bar_in_hand) {
        return expert_reach(&g, BAR_OPEN, arm, &out->hand[0]);
    }
    double to[3];
    skill_out_of(&c->frame, c->out + c->stroke - 0.004, 0, c->bar_z + 0.004, to);
    expert_go(arm, to, g.yaw, 0.02, 0.01, &out->hand[0]);
    out->hand[0].grip = 0;
    return "pull";
}

/* From in front of the bar, fingers closed and side by side along it. */
static const char *push(const fw_scene *s, const cabinet *c, fw_expert_out *out) {
    const fw_arm_view *arm = &s->arm[0];
    double touch = c->out + c->open + BAR_HALF_M + FINGER_M, before = touch + 0.025, z = c->bar_z + 0.002, to[3];
    double yaw = expert_half_turn(arm, c->frame.yaw), turn = fabs(yaw - arm->yaw), high = z + 0.07;
    bool low = c->hand[2]<z + 0.015, in_front = c->hand[0]> touch - 0.008;
    out->phase = "push";
    if (low && in_front && fabs(c->hand[1]) < 0.03 && c->hand[0] < touch + 0.06 && turn < 0.2) {
        skill_out_of(&c->frame, touch - c->open - 0.006, 0, z, to);
        expert_go(arm, to, yaw, 0.02, 0.01, &out->hand[0]);
    } else {
        double off = hypot(c->hand[0] - before, c->hand[1]), slack = fmax(off - 0.01, 0.05 * (turn - 0.1));
        bool below = c->hand[2] < high - 0.02 && off > 0.03;
        skill_out_of(&c->frame, below ? c->hand[0] : before, below ? c->hand[1] : 0,
                     below ? high + 0.02 : z + skill_clamp(4 * slack, 0, high - z), to);
        expert_go(arm, to, below ? arm->yaw : yaw, SKILL_SPEED_M, SKILL_SPEED_M, &out->hand[0]);
        out->phase = below ? "rise" : "before the bar";
    }
    out->hand[0].grip = 0;
    return out->phase;
}

static const char *carry(const fw_scene *s, const cabinet *c, int obj, bool placed, fw_expert_out *out) {
    const fw_obj_view *o = &s->obj[obj];
    fw_pick p = {.obj = obj, .open = 0.75, .place_yaw = NAN, .placed = placed};
    p.grasp.yaw = expert_half_turn(&s->arm[0], o->yaw);
    memcpy(p.grasp.pos, o->mid, sizeof p.grasp.pos);
    p.grasp.pos[2] = fmax(o->pos[2] + 0.016 * skill_fit(s), 0.014);
    if (open_enough(c)) {
        skill_out_of(&c->frame, 0.5 * c->open + 0.006, 0, RELEASE_Z_M, p.place);
        p.place_yaw = expert_half_turn(&s->arm[0], c->frame.yaw);
    } else {
        memcpy(p.place, o->start, sizeof p.place);
        p.place[2] = p.grasp.pos[2] - o->pos[2] + 0.004;
    }
    expert_pick(s, &p, out);
    out->done = false;
    return out->phase;
}

static void expert(const fw_scene *s, const fw_meant *m, fw_expert_out *out) {
    int obj = m->obj[0];
    cabinet c = look(s);
    const fw_arm_view *arm = &s->arm[0];
    bool held_now = skill_holds(s, obj), in = inside_region(s, obj, DRAWER_INSIDE, 0) && !held_now;
    bool at_bar = s->hinge[DRAWER_SLIDE].touches_hand && fabs(arm->pos[2] - c.bar_z) < 0.025;
    if (in && c.open < PUSH_TO_M) {
        out->phase = skill_leave(s, s->obj[obj].touches_hand, out);
    } else if (in && s->obj[obj].touches_hand && arm->opening < 0.8) {
        out->hand[0] = (fw_hand_cmd){.grip = 1};
        out->phase = "open";
    } else if (in) {
        out->phase = push(s, &c, out);
    } else if (!held_now && !open_enough(&c)) {
        out->phase = pull(s, &c, out);
    } else if (!held_now && at_bar && arm->opening < BAR_OPEN - 0.1) {
        out->hand[0] = (fw_hand_cmd){.grip = BAR_OPEN};
        out->phase = "let go of the bar";
    } else {
        out->phase = carry(s, &c, obj, in, out);
    }
}

extern const fw_task task_put_in_drawer;
const fw_task task_put_in_drawer = {.name = "put_in_drawer",
                                    .version = 1,
                                    .setting = &setting_drawer,
                                    .time_s = 45,
                                    .train = train,
                                    .held = held,
                                    .mean = mean,
                                    .goal = goal,
                                    .expert = expert};
