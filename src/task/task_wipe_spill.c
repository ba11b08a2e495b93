/*
 * task_wipe_spill.c - "wipe up the spill with the sponge".
 *
 * DESIGN. What to wipe next follows from the stains that are left: the sponge covers two rows, so it goes to the nearer end of the
 * first two rows that have stains, then along them towards the nearest stain that is left. What it has passed over is gone, so
 * that is a sweep, without a memory. It is pressed by going down until it touches, and no further.
 */
#include <string.h>

#include "task/setting_spill.h"
#include "task/skill_int.h"

#define ENOUGH    0.9    /* of the stains */
#define DOWN_M    0.0015 /* a step, while it does not touch */
#define SWEEP_M   0.022  /* a step */
#define LANE_M    0.010  /* off the middle of the lane */
#define OVERSHOOT 0.02
#define HOVER_Z_M 0.05 /* of the sponge, on its way */
#define PASS_M    0.14 /* a way that comes nearer than this to the bottle leads over it */
#define OVER_M    0.03

static const char *const train[] = {
    "wipe up the spill with the sponge",
    "wipe the spill",
    "clean the table with the sponge",
    "please wipe the table clean",
    "take the sponge and wipe up the mess",
    "mop up the spilled drink with the sponge",
    "there is a spill on the table, wipe it away",
    "could you clean up the spill",
    "use the sponge to wipe the stains off the table",
    "wipe the stains away, leave the bottle alone",
    "grab the sponge and clean up the spill",
    "the table is wet, wipe it with the sponge",
    "wipe it up, but do not touch the bottle",
    "rub the stains off with the sponge",
    NULL,
};
static const char *const held[] = {
    "somebody spilled something, sponge it away",
    "get rid of the spill on the table",
    "give the dirty spot a wipe with the sponge",
    "make the table clean again with the sponge",
    NULL,
};

static int left(const fw_scene *s) {
    int n = 0;
    for (int i = 0; i < SPILL_N; i++) {
        n += s->aux[i] < 0.5;
    }
    return n;
}

static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    (void)m;
    if (left(s) > (1 - ENOUGH) * SPILL_N) {
        return goal_no(reason, "spill", "not wiped");
    }
    const fw_obj_view *w = &s->obj[SPILL_SPONGE];
    if (!w->touches_world || w->up < 0.9) {
        return goal_no(reason, w->name, "does not lie on the table");
    }
    return goal_released(s, SPILL_SPONGE, reason);
}

typedef struct lane {
    double x, lo, hi; /* m in the spill's frame: the lane's middle; its first and last stain that is left */
    double nearest;   /* y of the stain nearest to the sponge */
} lane;

/* The first two rows that have stains. */
static lane next_lane(const fw_scene *s, const skill_frame *f, double sponge_y) {
    const fw_region_view *p = &s->region[SPILL_STAINS];
    int first = 0;
    while (s->aux[first] > 0.5) {
        first++;
    }
    int row = first / SPILL_COLS, last = row + 1 < SPILL_ROWS ? row + 1 : row;
    lane out = {.lo = 1, .hi = -1, .nearest = 10};
    for (int i = row * SPILL_COLS; i < (last + 1) * SPILL_COLS; i++) {
        double world[3], at[3];
        if (s->aux[i] > 0.5) {
            continue;
        }
        spill_stain(p, i, world);
        skill_into(f, world, at);
        out.lo = fmin(out.lo, at[1]), out.hi = fmax(out.hi, at[1]);
        out.nearest = fabs(at[1] - sponge_y) < fabs(out.nearest - sponge_y) ? at[1] : out.nearest;
    }
    out.x = ((row + last + 1.0) / SPILL_ROWS - 1) * p->half[0];
    return out;
}

/* Move the hand so that the sponge goes to (x, y, z) of the spill's frame, square to it. */
static void move(const fw_scene *s, const skill_frame *f, double x, double y, double z, double fast,
                 fw_hand_cmd *hand) {
    const fw_obj_view *w = &s->obj[SPILL_SPONGE];
    const fw_arm_view *arm = &s->arm[0];
    double to[3];
    skill_out_of(f, x, y, z, to);
    for (int k = 0; k < 3; k++) {
        to[k] += arm->pos[k] - w->pos[k];
    }
    expert_go(arm, to, expert_half_turn(arm, arm->yaw + f->yaw - w->yaw), fast, SKILL_SPEED_M, hand);
    hand->grip = 0;
}

/* The straight way from a to b comes near the bottle. */
static bool past_bottle(const fw_scene *s, const double a[3], const double b[3]) {
    const double *p = s->obj[SPILL_BOTTLE].pos;
    double x = b[0] - a[0], y = b[1] - a[1];
    double t = skill_clamp((x * (p[0] - a[0]) + y * (p[1] - a[1])) / fmax(1e-6, x * x + y * y), 0, 1);
    return hypot(a[0] + t * x - p[0], a[1] + t * y - p[1]) < PASS_M;
}

static const char *wipe(const fw_scene *s, fw_expert_out *out) {
    const fw_obj_view *w = &s->obj[SPILL_SPONGE];
    skill_frame f = skill_region_frame(&s->region[SPILL_STAINS]);
    double at[3], half_y = FW_SPONGE_Y_M * skill_fit(s);
    skill_into(&f, w->pos, at);
    lane l = next_lane(s, &f, at[1]);
    bool down = w->pos[2]<0.005, near = at[1]> l.lo - half_y - 0.05 && at[1] < l.hi + half_y + 0.05;
    fw_hand_cmd *hand = &out->hand[0];
    if (down && near && fabs(at[0] - l.x) < 0.05) {
        bool in_lane = fabs(at[0] - l.x) < LANE_M;
        double beyond = l.nearest + (l.nearest > at[1] ? OVERSHOOT : -OVERSHOOT);
        move(s, &f, l.x, in_lane ? beyond : at[1], at[2], SWEEP_M, hand);
        hand->dpos[2] = w->touches_world ? 0 : -DOWN_M;
        return in_lane ? "wipe" : "next rows";
    }
    double start = fabs(at[1] - l.lo) < fabs(at[1] - l.hi) ? l.lo - half_y : l.hi + half_y;
    double off = hypot(at[0] - l.x, at[1] - start), there[3], hover = HOVER_Z_M;
    skill_out_of(&f, l.x, start, 0, there);
    if (past_bottle(s, w->pos, there)) {
        hover = s->obj[SPILL_BOTTLE].height + OVER_M;
    }
    double z = skill_clamp(4 * (off - 0.015), 0, hover);
    bool low = at[2] < z - 0.02 && off > 0.04;
    move(s, &f, low ? at[0] : l.x, low ? at[1] : start, low ? hover : z, SKILL_SPEED_M, hand);
    if (z < 0.001 && at[2] < 0.006) { /* the last bit by feeling */
        hand->dpos[2] = w->touches_world ? 0 : -DOWN_M;
    }
    return low ? "lift" : off > 0.03 ? "carry" : "press";
}

/* Take the sponge from above; over the bottle where it stands in the way. */
static const char *fetch(const fw_scene *s, fw_hand_cmd *hand) {
    const fw_obj_view *w = &s->obj[SPILL_SPONGE];
    const fw_arm_view *arm = &s->arm[0];
    pose4 g = {{w->pos[0], w->pos[1], w->pos[2] + 0.020 * skill_fit(s)}, expert_half_turn(arm, w->yaw)};
    bool far = hypot(g.pos[0] - arm->pos[0], g.pos[1] - arm->pos[1]) > 0.06;
    if (!far || !past_bottle(s, arm->pos, g.pos)) {
        return expert_reach(&g, 1, arm, hand);
    }
    double high = s->obj[SPILL_BOTTLE].height + OVER_M + 0.02, to[3] = {g.pos[0], g.pos[1], high};
    if (arm->pos[2] < high - 0.02) {
        to[0] = arm->pos[0], to[1] = arm->pos[1];
    }
    expert_go(arm, to, g.yaw, SKILL_SPEED_M, SKILL_SPEED_M, hand);
    hand->grip = 1;
    return "over the bottle";
}

static void expert(const fw_scene *s, const fw_meant *m, fw_expert_out *out) {
    (void)m;
    const fw_obj_view *w = &s->obj[SPILL_SPONGE];
    bool clean = left(s) == 0, held_now = skill_holds(s, SPILL_SPONGE);
    if (clean && !held_now) {
        out->phase = skill_leave(s, w->touches_hand, out);
    } else if (clean) {
        bool down = w->pos[2] < 0.008;
        out->hand[0] = (fw_hand_cmd){.dpos = {0, 0, down ? 0 : -0.01}, .grip = down};
        out->phase = down ? "open" : "lower";
    } else if (held_now) {
        out->phase = wipe(s, out);
    } else {
        out->phase = fetch(s, &out->hand[0]);
    }
}

extern const fw_task task_wipe_spill;
const fw_task task_wipe_spill = {.name = "wipe_spill",
                                 .version = 2,
                                 .setting = &setting_spill,
                                 .time_s = 40,
                                 .train = train,
                                 .held = held,
                                 .obj = SPILL_SPONGE,
                                 .named = BIT(SPILL_SPONGE),
                                 .goal = goal,
                                 .expert = expert};
