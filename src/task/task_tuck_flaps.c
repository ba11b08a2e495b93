/*
 * task_tuck_flaps.c - "tuck the flaps in": the carton stands, its two flaps gape; each is pushed round its crease into the opening.
 *
 * DESIGN. In the plane of a flap's turning: `along` the flap from its crease, `off` its outer face. A hand comes down outside, meets
 * the outer face and goes on pushing square to it, so it ends above the flap, pressing it below the rim. One flap after the other: in
 * the middle there is no room for two hands. A wall that is pushed by its flap yields inwards to its stop; it still stands.
 */
#include <math.h>

#include "task/carton.h"
#include "task/setting_packing.h"

#define WALL_LO_RAD 1.40
#define WALL_HI_RAD 1.80 /* past its stop, 1.75, by what the physics gives */
#define TUCKED_RAD  0.10 /* below level */
#define PAST_RAD    0.30 /* one that is still pressed must have been pushed past that, for it springs back a little */
#define ALONG_M     0.040
#define DEEP_M      0.028 /* along, when it goes below the rim: away from the other flap */
#define HIGH_Z_M    0.24
#define BEFORE_M    0.055 /* outside of the flap's edge, before pushing */
#define PUSH_M      0.012 /* a step */

typedef struct flap {
    carton_panel wall;
    double turn;           /* rad from flat outward: pi/2 upright, pi level over the opening */
    double crease[2];      /* m: out from the wall's crease, up */
    double dir[2], off[2]; /* unit vectors (out, up): along the flap; square to its outer face */
    double hand[2], side;  /* m: the hand from the flap's crease (out, up); beside its middle */
    double along_m, off_m; /* the same in the flap's directions */
} flap;

static flap look(const fw_scene *s, int k) {
    double wall = carton_angle(s, "wall", k);
    flap f = {.wall = carton_wall(s, k), .turn = wall + carton_angle(s, "flap", k)};
    const double *hand = s->arm[k].pos;
    double dx = hand[0] - f.wall.crease[0], dy = hand[1] - f.wall.crease[1];
    f.crease[0] = FW_CARTON_WALL_M * cos(wall), f.crease[1] = FW_CARTON_WALL_M * sin(wall);
    f.dir[0] = cos(f.turn), f.dir[1] = sin(f.turn);
    f.off[0] = sin(f.turn), f.off[1] = -cos(f.turn);
    f.hand[0] = dx * f.wall.out[0] + dy * f.wall.out[1] - f.crease[0];
    f.hand[1] = hand[2] - f.crease[1];
    f.side = dy * f.wall.out[0] - dx * f.wall.out[1];
    f.along_m = f.hand[0] * f.dir[0] + f.hand[1] * f.dir[1];
    f.off_m = f.hand[0] * f.off[0] + f.hand[1] * f.off[1];
    return f;
}

static bool tucked(const fw_scene *s, int k) {
    bool pressed = s->hinge[carton_hinge(s, "flap", k)].touches_hand;
    return look(s, k).turn > M_PI + (pressed ? PAST_RAD : TUCKED_RAD);
}

static bool goal(const fw_scene *s, const fw_meant *m, char reason[160]) {
    (void)m;
    for (int k = 0; k < 4; k++) {
        if (!carton_bent(s, "wall", k, WALL_LO_RAD, WALL_HI_RAD, reason)) {
            return false;
        }
    }
    for (int k = 0; k < 2; k++) {
        double below = M_PI - carton_angle(s, "wall", k);
        if (!carton_bent(s, "flap", k, below + TUCKED_RAD, M_PI, reason)) {
            return false;
        }
    }
    return carton_left_alone(s, reason);
}

/* To (out, up) of the flap's crease, over its middle. */
static void to_world(const flap *f, double out, double up, double target[3]) {
    target[0] = f->wall.crease[0] + (f->crease[0] + out) * f->wall.out[0];
    target[1] = f->wall.crease[1] + (f->crease[0] + out) * f->wall.out[1];
    target[2] = f->crease[1] + up;
}

static const char *approach(const fw_scene *s, int a, const flap *f, fw_hand_cmd *h) {
    double target[3], out = fmax(0, FW_CARTON_FLAP_M * f->dir[0]) + BEFORE_M;
    to_world(f, out, 0.03, target);
    return carton_come(s, a, target, HIGH_Z_M, h);
}

static const char *tuck(const fw_scene *s, int a, fw_hand_cmd *h) {
    flap f = look(s, a);
    bool on = f.off_m > 0 && f.off_m < 0.09 && f.along_m > -0.02 && f.along_m < FW_CARTON_FLAP_M + 0.035 &&
              fabs(f.side) < 0.03;
    if (!on) {
        return approach(s, a, &f, h);
    }
    double want = f.turn > M_PI ? DEEP_M : ALONG_M, along = 0.4 * (want - f.along_m), across = -0.5 * f.side;
    along = fmax(-0.015, fmin(0.015, along));
    double out = along * f.dir[0] - PUSH_M * f.off[0], up = along * f.dir[1] - PUSH_M * f.off[1];
    carton_go(s, a, s->arm[a].pos, 0.03, h);
    h->dpos[0] = out * f.wall.out[0] - across * f.wall.out[1];
    h->dpos[1] = out * f.wall.out[1] + across * f.wall.out[0];
    h->dpos[2] = up;
    return f.turn > M_PI - 0.3 ? "press in" : "push over";
}

/* Flaps 0 and 1 lie towards the two arms. */
static void expert(const fw_scene *s, const fw_meant *m, fw_expert_out *out) {
    (void)m;
    bool clear = true;
    for (int k = 0; k < 2; k++) {
        fw_hand_cmd *h = &out->hand[k];
        if (clear && !tucked(s, k)) {
            out->phase = tuck(s, k, h);
            clear = false;
        } else {
            clear = carton_retreat(s, k, h) && clear;
        }
    }
    out->done = clear;
    out->phase = out->phase[0] != 0 ? out->phase : "leave";
}

static const char *const train[] = {"tuck the flaps in",
                                    "close the flaps of the box",
                                    "fold both flaps into the carton",
                                    "push the flaps of the carton inside",
                                    "please tuck in the flaps of the box",
                                    "bend the two flaps over and into the box",
                                    "tuck the carton's flaps",
                                    "the flaps go inside the carton",
                                    "fold the flaps down into the opening",
                                    "could you tuck the flaps in",
                                    "close the carton with its two flaps, do not crush the walls",
                                    "press both flaps down until they are inside",
                                    NULL};
static const char *const held[] = {"shut the box by its flaps", "get the flaps inside the carton",
                                   "the flaps should not gape, tuck them away", "insert both flaps", NULL};

extern const fw_task task_tuck_flaps;
const fw_task task_tuck_flaps = {.name = "tuck_flaps",
                                 .version = 1,
                                 .setting = &setting_flaps,
                                 .time_s = 40,
                                 .train = train,
                                 .held = held,
                                 .obj = 0,
                                 .named = BIT(0),
                                 .goal = goal,
                                 .expert = expert};
