/*
 * task_make_coffee.c - "make me a coffee": the mug under the spout, the button, the full mug on the coaster.
 *
 * DESIGN. In the machine's frame (x out of its front). The mug is held by its handle, which points away from the machine, and
 * moves in and out below the spout's height; above the machine the hand travels high.
 *
 *   empty, mug elsewhere:      take it by the handle, to the front of the tray, low and straight in, set it down
 *   empty, mug on the tray:    up, over the machine, down on the button
 *   running:                   up, out in front, wait over the handle
 *   full, not on the coaster:  take it, straight out, over to the coaster, down
 *   full, on the coaster:      leave
 */
#include "sim/parts.h"
#include "task/setting_coffee.h"
#include "task/skill_int.h"

#define HIGH_M  0.27  /* the hand's height over the machine */
#define FRONT_M 0.13  /* before the tray, clear of the spout */
#define SLIDE_M 0.006 /* the mug's underside, going in and out */
#define TIP_M   0.010 /* a fingertip, below the point between the pads */
#define FULL    0.99
#define UNDER_M 0.075 /* nearer than this the mug is below the spout or the head */

static const char *const train[] = {
    "make me a coffee",
    "make coffee",
    "please make a cup of coffee and put it on the coaster",
    "put the mug under the spout, press the button and bring the mug to the coaster",
    "I would like a coffee",
    "could you make me a cup of coffee please",
    "fill the mug with coffee and set it on the coaster",
    "get me a coffee from the machine",
    "brew a coffee and bring it to the coaster",
    "use the coffee machine to fill the mug, then put it on the coaster",
    "a coffee please, on the coaster",
    "make a coffee, no milk",
    "prepare a mug of coffee and place it on the coaster",
    "coffee in the mug, not the carton, and then onto the coaster",
    NULL,
};
static const char *const held[] = {
    "I need some coffee, serve it on the coaster",
    "let the machine fill my mug and hand it over on the coaster",
    "would you brew a cup for me",
    "one black coffee on the coaster, if you please",
    NULL,
};

static bool on_coaster(const fw_scene *s) {
    const fw_obj_view *m = &s->obj[COFFEE_MUG];
    const fw_region_view *c = &s->region[COFFEE_COASTER];
    return hypot(m->pos[0] - c->pos[0], m->pos[1] - c->pos[1]) < c->half[0] && fabs(m->pos[2]) < 0.01 && m->up > 0.97;
}

static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    (void)m;
    if (s->aux[COFFEE_FILL] < FULL) {
        return goal_no(reason, "mug", s->aux[COFFEE_FILL] > 0 ? "not full" : "empty");
    }
    if (!on_coaster(s)) {
        return goal_no(reason, "mug", "not upright on the coaster");
    }
    return goal_released(s, COFFEE_MUG, reason);
}

/* What is where in the machine's frame. */
typedef struct kitchen {
    skill_frame f;
    double mug[3], hand[3], button[3];
} kitchen;

static kitchen look(const fw_scene *s) {
    kitchen k = {.f = skill_region_frame(&s->region[COFFEE_TRAY])};
    skill_into(&k.f, s->obj[COFFEE_MUG].pos, k.mug);
    skill_into(&k.f, s->arm[0].pos, k.hand);
    skill_into(&k.f, s->hinge[COFFEE_BUTTON].grip, k.button);
    return k;
}

/* On the bar of the handle; the hand's x axis along it. */
static pose4 handle(const fw_scene *s) {
    const fw_obj_view *m = &s->obj[COFFEE_MUG];
    double out = FW_COFFEE_HANDLE_M * skill_fit(s);
    return (pose4){{m->pos[0] + out * cos(m->yaw), m->pos[1] + out * sin(m->yaw), m->pos[2] + 0.045 * skill_fit(s)},
                   expert_half_turn(&s->arm[0], m->yaw)};
}

/* Through the air to (x, y) of the machine's frame: never through the machine, nor down on it. True when near enough. */
static bool travel(const fw_scene *s, const kitchen *k, double x, double y, double yaw, fw_hand_cmd *hand) {
    bool over = k->hand[0] < 0.055 && fabs(k->hand[1]) < 0.20, to_over = x<0.055, far = fabs(x - k->hand[0])> 0.02;
    bool must_rise = (over || to_over) && far && k->hand[2] < HIGH_M - 0.03;
    double to[3];
    skill_out_of(&k->f, must_rise ? k->hand[0] : x, must_rise ? k->hand[1] : y, HIGH_M, to);
    expert_go(&s->arm[0], to, must_rise ? s->arm[0].yaw : yaw, SKILL_SPEED_M, SKILL_SPEED_M, hand);
    return !over && !to_over;
}

static const char *press(const fw_scene *s, const kitchen *k, fw_expert_out *out) {
    const fw_arm_view *arm = &s->arm[0];
    double off = hypot(k->hand[0] - k->button[0], k->hand[1] - k->button[1]), yaw = expert_half_turn(arm, k->f.yaw),
           to[3];
    fw_hand_cmd *hand = &out->hand[0];
    if (off > 0.02 || arm->opening > 0.2) {
        travel(s, k, k->button[0], k->button[1], yaw, hand);
        hand->grip = k->hand[2] > HIGH_M - 0.08 ? 0 : 1; /* the fingers close where nothing is between them */
        return "to the button";
    }
    skill_out_of(&k->f, k->button[0], k->button[1], k->button[2] + TIP_M - 0.006, to);
    expert_go(arm, to, yaw, 0.01, k->hand[2] > k->button[2] + 0.04 ? SKILL_SPEED_M : 0.012, hand);
    hand->grip = 0;
    return "press";
}

/* Take the handle, or (wait) stay over it. */
static const char *fetch(const fw_scene *s, const kitchen *k, bool wait, fw_expert_out *out) {
    pose4 g = handle(s);
    double at[3];
    fw_hand_cmd *hand = &out->hand[0];
    skill_into(&k->f, g.pos, at);
    if (k->hand[0] < 0.050 && k->hand[0] < at[0] - 0.02 && fabs(k->hand[1]) < 0.20) {
        travel(s, k, fmax(at[0], 0.08), at[1], g.yaw, hand);
        hand->grip = 1;
        return "off the machine";
    }
    if (wait) {
        g.pos[2] += 0.09;
        expert_go(&s->arm[0], g.pos, g.yaw, SKILL_SPEED_M, SKILL_SPEED_M, hand);
        hand->grip = 1;
        return "wait";
    }
    return expert_reach(&g, 1, &s->arm[0], hand);
}

/* The mug's origin to (x, y, z) of frame f, its handle along yaw (world). */
static void move_mug(const fw_scene *s, const skill_frame *f, double x, double y, double z, double yaw, double fast,
                     fw_hand_cmd *hand) {
    const fw_obj_view *m = &s->obj[COFFEE_MUG];
    const fw_arm_view *arm = &s->arm[0];
    double to[3];
    skill_out_of(f, x, y, z, to);
    for (int i = 0; i < 3; i++) {
        to[i] += arm->pos[i] - m->pos[i];
    }
    expert_go(arm, to, arm->yaw + remainder(yaw - m->yaw, 2 * M_PI), fast, fast, hand);
    hand->grip = 0;
}

static const char *set_down(const fw_scene *s, fw_hand_cmd *hand) {
    bool down = s->obj[COFFEE_MUG].pos[2] < 0.0025 || s->obj[COFFEE_MUG].touches_world;
    *hand = (fw_hand_cmd){.dpos = {0, 0, down ? 0 : -0.003}, .grip = down};
    return down ? "open" : "set down";
}

static const char *bring_in(const fw_scene *s, const kitchen *k, fw_expert_out *out) {
    fw_hand_cmd *hand = &out->hand[0];
    double turn = fabs(remainder(k->f.yaw - s->obj[COFFEE_MUG].yaw, 2 * M_PI)), yaw = k->f.yaw;
    bool straight = fabs(k->mug[1]) < 0.012 && turn < 0.12, low = k->mug[2] < 0.02, inside = k->mug[0] < UNDER_M;
    if (straight && low && k->mug[0] < FRONT_M + 0.04 && k->mug[0] > -0.03) {
        if (hypot(k->mug[0], k->mug[1]) < 0.008) {
            return set_down(s, hand);
        }
        move_mug(s, &k->f, 0, 0, SLIDE_M, yaw, 0.02, hand);
        return "under the spout";
    }
    if (inside && fabs(k->mug[1]) < 0.12) {
        move_mug(s, &k->f, FRONT_M, k->mug[1], SLIDE_M, yaw, 0.02, hand);
        return "back out";
    }
    double off = hypot(k->mug[0] - FRONT_M, k->mug[1]), slack = fmax(off - 0.015, 0.1 * (turn - 0.08));
    double z = SLIDE_M + skill_clamp(4 * slack, 0, 0.09);
    bool rise = k->mug[2] < z - 0.03 && off > 0.05;
    move_mug(s, &k->f, rise ? k->mug[0] : FRONT_M, rise ? k->mug[1] : 0, z, rise ? s->obj[COFFEE_MUG].yaw : yaw,
             SKILL_SPEED_M, hand);
    return rise ? "lift" : off > 0.03 ? "to the machine" : "lower";
}

static const char *serve(const fw_scene *s, const kitchen *k, fw_expert_out *out) {
    fw_hand_cmd *hand = &out->hand[0];
    const fw_obj_view *m = &s->obj[COFFEE_MUG];
    if (k->mug[0] < FRONT_M - 0.02 && k->mug[0] > -0.05 && fabs(k->mug[1]) < 0.08 && k->mug[2] < 0.03) {
        move_mug(s, &k->f, FRONT_M + 0.01, k->mug[1], SLIDE_M, m->yaw, 0.02, hand);
        return "out from the spout";
    }
    skill_frame c = skill_region_frame(&s->region[COFFEE_COASTER]);
    double at[3];
    skill_into(&c, m->pos, at);
    double off = hypot(at[0], at[1]), z = SLIDE_M + skill_clamp(4 * (off - 0.012), 0, 0.09);
    if (off < 0.012 && at[2] < SLIDE_M + 0.006) {
        return set_down(s, hand);
    }
    bool rise = at[2] < z - 0.03 && off > 0.05;
    move_mug(s, &c, rise ? at[0] : 0, rise ? at[1] : 0, z, m->yaw, SKILL_SPEED_M, hand);
    return rise ? "lift" : off > 0.03 ? "to the coaster" : "lower";
}

static void expert(const fw_scene *s, const fw_meant *m, fw_expert_out *out) {
    (void)m;
    const fw_obj_view *mug = &s->obj[COFFEE_MUG];
    kitchen k = look(s);
    bool full = s->aux[COFFEE_FILL] >= FULL, held_now = skill_holds(s, COFFEE_MUG),
         placed = coffee_under_spout(s) && !held_now;
    bool done_with_it = full ? on_coaster(s) : placed;
    if (!held_now && done_with_it && mug->touches_hand && s->arm[0].opening < 0.6) {
        out->hand[0] = (fw_hand_cmd){.grip = 1};
        out->phase = "open";
    } else if (full && on_coaster(s) && !held_now) {
        out->phase = skill_leave(s, mug->touches_hand, out);
    } else if (held_now) {
        out->phase = full ? serve(s, &k, out) : bring_in(s, &k, out);
    } else if (placed && s->aux[COFFEE_BREWING] < 0.5 && !full) {
        out->phase = press(s, &k, out);
    } else {
        out->phase = fetch(s, &k, placed && !full, out);
    }
}

extern const fw_task task_make_coffee;
const fw_task task_make_coffee = {.name = "make_coffee",
                                  .version = 1,
                                  .setting = &setting_coffee,
                                  .time_s = 60,
                                  .train = train,
                                  .held = held,
                                  .obj = COFFEE_MUG,
                                  .named = BIT(COFFEE_MUG),
                                  .goal = goal,
                                  .expert = expert};
