/* "fold the carton": push its four walls up, two opposite ones at a time; the creases keep them there. */
#include <math.h>

#include "task/carton.h"
#include "task/setting_packing.h"

#define UP_RAD   1.45 /* stands */
#define PAST_RAD 1.58 /* pushed so far that it stands after springing back */
#define MAX_RAD  1.74
#define LOW_Z_M  0.014
#define HIGH_Z_M 0.15
#define BEFORE_M 0.055 /* from the panel's edge to the middle of the hand, before pushing */
#define NEAR_M   0.022 /* from there they push together */
#define PUSH_M   0.014 /* a step */
#define LEVER_M                                                                                                        \
    0.075 /* from the crease to where the hand pushes, nearly: the last steps go with what is left to turn */

/* A wall stands; one that is still leant on must have been pushed past that, for it springs back a little. */
static bool up(const fw_scene *s, int k) {
    const fw_hinge_view *h = &s->hinge[carton_hinge(s, "wall", k)];
    return h->pos > (h->touches_hand ? PAST_RAD : UP_RAD);
}

/* Of the fingertips, for a panel at this angle: its edge touches them 3 cm higher. */
static double height(double angle) {
    return fmax(LOW_Z_M, FW_CARTON_WALL_M * sin(angle) - 0.03);
}

static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    (void)m;
    for (int k = 0; k < 4; k++) {
        if (!carton_bent(s, "wall", k, UP_RAD - 0.05, MAX_RAD, reason)) {
            return false;
        }
    }
    return carton_left_alone(s, reason);
}

/* Where a hand is before a wall. */
typedef struct stance {
    carton_panel p;
    double angle, out_m, side_m; /* of the hand, from the crease */
    double edge_m;               /* of the panel's far edge, the same way */
} stance;

static stance look(const fw_scene *s, int a, int k) {
    stance t = {.p = carton_wall(s, k)};
    double dx = s->arm[a].pos[0] - t.p.crease[0], dy = s->arm[a].pos[1] - t.p.crease[1];
    t.angle = s->hinge[t.p.hinge].pos;
    t.out_m = dx * t.p.out[0] + dy * t.p.out[1];
    t.side_m = dy * t.p.out[0] - dx * t.p.out[1];
    t.edge_m = FW_CARTON_WALL_M * cos(t.angle);
    return t;
}

/* Low, before the panel's edge, about its middle. */
static bool before(const fw_scene *s, int a, const stance *t) {
    return t->out_m > t->edge_m - 0.01 && fabs(t->side_m) < 0.03 && s->arm[a].pos[2] < height(t->angle) + 0.025;
}

static bool ready(const fw_scene *s, int a, int k) {
    stance t = look(s, a, k);
    return up(s, k) || (before(s, a, &t) && (s->hinge[t.p.hinge].touches_hand || t.out_m < t.edge_m + NEAR_M));
}

static void at(const stance *t, double out_m, double z, double target[3]) {
    target[0] = t->p.crease[0] + out_m * t->p.out[0];
    target[1] = t->p.crease[1] + out_m * t->p.out[1];
    target[2] = z;
}

/* One arm at one wall. `go`: the other arm is ready too. The hand follows the edge round the crease, upward as well as inward: a
 * hand that only pushed inward would hold a flat panel down by friction. */
static const char *push(const fw_scene *s, int a, int k, bool go, fw_hand_cmd *h) {
    const fw_arm_view *arm = &s->arm[a];
    stance t = look(s, a, k);
    double target[3];
    double lead = t.angle - carton_angle(s, "wall", k ^ 1);
    if (before(s, a, &t) &&
        (t.angle > PAST_RAD || (go && lead > 0.10))) { /* brace: the other hand pushes against this one */
        double back = t.angle > PAST_RAD + 0.05 ? 0.006 : 0;
        carton_go(s, a, arm->pos, 0.03, h);
        h->dpos[0] = back * t.p.out[0], h->dpos[1] = back * t.p.out[1];
        return "brace";
    }
    if (before(s, a, &t)) {
        double z = height(t.angle), gap = t.out_m - t.edge_m - NEAR_M + 0.004;
        double step = fmin(PUSH_M, fmax(0.003, LEVER_M * (PAST_RAD + 0.04 - t.angle))); /* not past its stop */
        double in = go ? step * fmax(0.4, sin(t.angle)) : fmin(0.02, fmax(0, gap));
        at(&t, t.out_m, z, target);
        carton_go(s, a, target, 0.03, h);
        h->dpos[2] = go ? PUSH_M * cos(t.angle) + 0.2 * (z - arm->pos[2]) : h->dpos[2];
        double across = -0.5 * t.side_m;
        h->dpos[0] = -in * t.p.out[0] - across * t.p.out[1];
        h->dpos[1] = -in * t.p.out[1] + across * t.p.out[0];
        return go ? "push" : "wait";
    }
    at(&t, t.edge_m + BEFORE_M, height(t.angle), target);
    return carton_come(s, a, target, HIGH_Z_M, h);
}

/* Away from a wall that stands, before rising. False when the hand is clear of it. */
static bool back_off(const fw_scene *s, int a, int k, fw_hand_cmd *h) {
    stance t = look(s, a, k);
    double target[3];
    if (!before(s, a, &t) || t.out_m > t.edge_m + 0.05) {
        carton_go(s, a, s->arm[a].pos, 0.03, h);
        return false;
    }
    at(&t, t.edge_m + 0.07, s->arm[a].pos[2], target);
    carton_go(s, a, target, 0.03, h);
    return true;
}

/* Walls 0 and 1 lie towards the two arms; of 2 and 3 each arm takes one. */
static void expert(const fw_scene *s, const fw_meant *m, fw_expert_out *out) {
    (void)m;
    for (int pair = 0; pair < 4; pair += 2) {
        if (!up(s, pair) || !up(s, pair + 1)) {
            bool go = ready(s, 0, pair) && ready(s, 1, pair + 1);
            out->phase = push(s, 0, pair, go, &out->hand[0]);
            const char *other = push(s, 1, pair + 1, go, &out->hand[1]);
            out->phase = up(s, pair) ? other : out->phase;
            return;
        }
        bool backing[2] = {back_off(s, 0, pair, &out->hand[0]), back_off(s, 1, pair + 1, &out->hand[1])};
        if (backing[0] || backing[1]) {
            out->phase = "back off";
            return;
        }
    }
    carton_leave(s, out);
}

static const char *const train[] = {"fold the carton",
                                    "fold up the box",
                                    "put the walls of the carton up",
                                    "fold the four sides of the box upright",
                                    "set up the cardboard box",
                                    "please fold the carton together",
                                    "raise all four panels of the carton",
                                    "make a box of the flat carton",
                                    "bend the sides of the carton up until they stay",
                                    "could you fold this box",
                                    "fold the carton, all of its sides",
                                    "fold the sides up, do not press the box flat",
                                    NULL};
static const char *const held[] = {"assemble the cardboard box", "get the sides of the carton standing",
                                   "the carton's walls should stand up", "erect the box", NULL};

extern const fw_task task_fold_carton;
const fw_task task_fold_carton = {.name = "fold_carton",
                                  .version = 2,
                                  .setting = &setting_carton,
                                  .time_s = 40,
                                  .train = train,
                                  .held = held,
                                  .obj = 0,
                                  .named = BIT(0),
                                  .goal = goal,
                                  .expert = expert};
