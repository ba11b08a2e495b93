/* fold.c - the shape of a cloth, pieces of goals, and the expert that carries corners over (fold.h). */
#include "task/fold.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DONE_M   0.035 /* a vertex this near its place, let go, has been laid down */
#define PLACED_M 0.018 /* a held one: let go now */
#define HOVER_M  0.07
#define LAY_Z_M  0.010 /* over the layer that it is laid on */
#define CLEAR_M  0.05
#define FAST_M   0.03
#define CARRY_M  0.02
#define SHUT     0.35
#define WIDE     0.55

/* --- the cloth */
const double *fold_vert(const fw_scene *s, int v) {
    return s->cloth.vert + 3 * v;
}

static double gap_xy(const double a[3], const double b[3]) {
    return hypot(a[0] - b[0], a[1] - b[1]);
}

double fold_gap(const fw_scene *s, int a, int b) {
    const double *p = fold_vert(s, a), *q = fold_vert(s, b);
    return hypot(gap_xy(p, q), p[2] - q[2]);
}

/* The four vertices of a cell, or false where the cloth is cut away. */
static bool cell(const fold_grid *g, int r, int c, int q[4]) {
    q[0] = g->vertex(r, c), q[1] = g->vertex(r, c + 1), q[2] = g->vertex(r + 1, c), q[3] = g->vertex(r + 1, c + 1);
    return q[0] >= 0 && q[1] >= 0 && q[2] >= 0 && q[3] >= 0;
}

enum { PIX = 128, SUB = 7 };
#define PIX_M 0.005

/* Mark the pixels under one cell: points of the bilinear patch, denser than pixels. */
static void splat(const fw_scene *s, const int q[4], const double mid[2], uint8_t seen[PIX][PIX]) {
    for (int i = 0; i <= SUB; i++) {
        for (int j = 0; j <= SUB; j++) {
            double u = (double)i / SUB, v = (double)j / SUB, p[2];
            for (int k = 0; k < 2; k++) {
                p[k] = (1 - u) * ((1 - v) * fold_vert(s, q[0])[k] + v * fold_vert(s, q[1])[k]) +
                       u * ((1 - v) * fold_vert(s, q[2])[k] + v * fold_vert(s, q[3])[k]);
            }
            int x = (int)floor((p[0] - mid[0]) / PIX_M) + PIX / 2, y = (int)floor((p[1] - mid[1]) / PIX_M) + PIX / 2;
            if (x >= 0 && x < PIX && y >= 0 && y < PIX) {
                seen[y][x] = 1;
            }
        }
    }
}

double fold_area(const fw_scene *s, const fold_grid *g) {
    static _Thread_local uint8_t seen[PIX][PIX];
    const double *mid = fold_vert(s, g->vertex(g->rows / 2, g->cols / 2));
    int n = 0, q[4];
    memset(seen, 0, sizeof seen);
    for (int r = 0; r + 1 < g->rows; r++) {
        for (int c = 0; c + 1 < g->cols; c++) {
            if (cell(g, r, c, q)) {
                splat(s, q, mid, seen);
            }
        }
    }
    for (int y = 0; y < PIX; y++) {
        for (int x = 0; x < PIX; x++) {
            n += seen[y][x];
        }
    }
    return n * PIX_M * PIX_M;
}

double fold_flat_area(const fw_scene *s, const fold_grid *g) {
    int n = 0, q[4];
    for (int r = 0; r + 1 < g->rows; r++) {
        for (int c = 0; c + 1 < g->cols; c++) {
            n += cell(g, r, c, q);
        }
    }
    return n * s->cloth.spacing * s->cloth.spacing;
}

double fold_highest(const fw_scene *s, const fold_grid *g) {
    double z = 0;
    for (int r = 0; r < g->rows; r++) {
        for (int c = 0; c < g->cols; c++) {
            z = g->vertex(r, c) >= 0 ? fmax(z, fold_vert(s, g->vertex(r, c))[2]) : z;
        }
    }
    return z;
}

/* --- goals */
static double clearance(const fw_scene *s, const fold_grid *g, const double at[3]) {
    double least = 1;
    for (int r = 0; r < g->rows; r++) {
        for (int c = 0; c < g->cols; c++) {
            int v = g->vertex(r, c);
            if (v >= 0) {
                least = fmin(least, hypot(gap_xy(fold_vert(s, v), at), fold_vert(s, v)[2] - at[2]));
            }
        }
    }
    return least;
}

bool fold_released(const fw_scene *s, const fold_grid *g, char reason[160]) {
    for (int a = 0; a < s->n_arm; a++) {
        if (s->cloth.gripped[a] >= 0) {
            return goal_no(reason, "cloth", "still held");
        }
        if (clearance(s, g, s->arm[a].pos) < 0.03) {
            return goal_no(reason, "cloth", "a hand is still at it");
        }
    }
    return true;
}

bool fold_laid(const fw_scene *s, const fold_move *m, double tol, const char *what, char reason[160]) {
    const double *p = fold_vert(s, m->from), *q = fold_vert(s, m->to);
    if (gap_xy(p, q) > tol || fabs(p[2] - q[2]) > 0.05) {
        snprintf(reason, 160, "%s: %.0f cm from where it belongs", what, 100 * fold_gap(s, m->from, m->to));
        return false;
    }
    return p[2] > q[2] || goal_no(reason, what, "under the layer it belongs on");
}

bool fold_neat(const fw_scene *s, const fold_grid *g, double lo, double hi, double high_m, char reason[160]) {
    double ratio = fold_area(s, g) / fold_flat_area(s, g), high = fold_highest(s, g);
    if (ratio < lo || ratio > hi) {
        snprintf(reason, 160, "cloth: covers %.0f %% of its flat area, wanted %.0f to %.0f", 100 * ratio, 100 * lo,
                 100 * hi);
        return false;
    }
    if (high > high_m) {
        snprintf(reason, 160, "cloth: stands %.1f cm high, wanted at most %.1f", 100 * high, 100 * high_m);
        return false;
    }
    return true;
}

/* --- the expert */
static bool holds(const fw_scene *s, int a) {
    return s->cloth.gripped[a] >= 0;
}

/* The hand must not go on by itself: command it to where it is. */
static void stay(fw_hand_cmd *h, double grip) {
    *h = (fw_hand_cmd){.grip = grip};
}

static void go(const fw_scene *s, int a, const double target[3], double fast, double grip, fw_hand_cmd *h) {
    expert_go(&s->arm[a], target, s->arm[a].yaw, fast, fast, h);
    h->grip = grip;
}

/* Above the vertex, down a funnel, close; open again when nothing was caught. */
static const char *fetch(const fw_scene *s, int a, int v, fw_hand_cmd *h) {
    const fw_arm_view *arm = &s->arm[a];
    const double *p = fold_vert(s, v);
    double off = gap_xy(p, arm->pos), above = arm->pos[2] - p[2];
    bool at = off < 0.009 && above < 0.009, closing = arm->command < 0.5;
    if (closing && arm->opening > SHUT - 0.05 && off < 0.014 && above < 0.014) {
        stay(h, 0);
        return "close";
    }
    if (at && !closing && arm->opening > WIDE) {
        stay(h, 0);
        return "close";
    }
    bool blind = arm->opening <= WIDE; /* closed on nothing: open before coming near */
    double lift = fmin(HOVER_M, fmax(blind && above > 0.02 ? 0.03 : 0, 4 * (off - 0.006)));
    double target[3] = {p[0], p[1], p[2] + fmax(0.001, lift)};
    if (above < lift - 0.03 && off > 0.03) { /* too low to travel over the cloth */
        target[0] = arm->pos[0], target[1] = arm->pos[1];
    }
    go(s, a, target, FAST_M, 1, h);
    return lift > 0.5 * HOVER_M ? "approach" : "descend";
}

/* Height of a corner that still has `rem` of `length` to go: a flattened half circle about the crease. */
static double arc(double rem, double length) {
    double r = length / 2, x = fmin(r, fmax(-r, rem - r));
    return 0.8 * sqrt(fmax(0, r * r - x * x));
}

static const char *carry(const fw_scene *s, int a, const fold_move *m, double behind, fw_hand_cmd *h) {
    const fw_arm_view *arm = &s->arm[a];
    const double *q = fold_vert(s, m->to);
    double rem = gap_xy(q, arm->pos), next = fmax(0, rem - CARRY_M), base = q[2] + LAY_Z_M;
    double want = base + arc(next, m->length), slow = arm->pos[2] < want - 0.03 ? 0.2 : 1;
    if (rem < PLACED_M && arm->pos[2] < base + 0.012) {
        stay(h, 1);
        return "let go";
    }
    if (behind > rem + 0.02) { /* wait for the other hand */
        slow = 0;
    }
    double step = slow * fmin(CARRY_M, 0.7 * rem), k = rem > 1e-6 ? step / rem : 0;
    double target[3] = {q[0], q[1], rem < 0.03 ? base + 0.5 * (rem > 0.012) * rem : want};
    go(s, a, target, CARRY_M, 0, h);
    h->dpos[0] = k * (q[0] - arm->pos[0]);
    h->dpos[1] = k * (q[1] - arm->pos[1]);
    return rem > 0.03 ? "carry" : "lay";
}

static bool laid(const fw_scene *s, const fold_move *m) {
    return fold_gap(s, m->from, m->to) < DONE_M;
}

/* The way that is left to the hand that is furthest behind. */
static double to_go(const fw_scene *s, const fold_stage *f) {
    double most = 0;
    for (int a = 0; a < s->n_arm; a++) {
        most =
            f->hand[a].from >= 0 && holds(s, a) ? fmax(most, gap_xy(fold_vert(s, f->hand[a].to), s->arm[a].pos)) : most;
    }
    return most;
}

bool fold_stage_held(const fw_scene *s, const fold_stage *f) {
    for (int a = 0; a < s->n_arm; a++) {
        if (f->hand[a].from >= 0 && holds(s, a) && fold_gap(s, s->cloth.gripped[a], f->hand[a].from) < 0.03) {
            return true;
        }
    }
    return false;
}

bool fold_stage_done(const fw_scene *s, const fold_stage *f) {
    for (int a = 0; a < s->n_arm; a++) {
        if (f->hand[a].from >= 0 && (holds(s, a) || fold_gap(s, f->hand[a].from, f->hand[a].to) > DONE_M)) {
            return false;
        }
    }
    return true;
}

/* Straight up first, then home; the gripper open. */
static bool retreat(const fw_scene *s, int a, fw_hand_cmd *h) {
    const fw_arm_view *arm = &s->arm[a];
    if (arm->opening < WIDE) {
        stay(h, 1);
        return false;
    }
    double high = fmin(arm->home[2], 0.14), target[3] = {arm->home[0], arm->home[1], fmax(high, arm->home[2])};
    if (arm->pos[2] < high - 0.03) {
        target[0] = arm->pos[0], target[1] = arm->pos[1], target[2] = high;
    }
    go(s, a, target, FAST_M, 1, h);
    return arm->pos[2] > CLEAR_M + 0.03;
}

void fold_leave(const fw_scene *s, fw_expert_out *out) {
    out->phase = "leave";
    out->done = true;
    for (int a = 0; a < s->n_arm; a++) {
        bool clear = retreat(s, a, &out->hand[a]);
        out->done = out->done && clear && gap_xy(s->arm[a].pos, s->arm[a].home) < 0.05;
    }
}

bool fold_stage_act(const fw_scene *s, const fold_stage *f, fw_expert_out *out) {
    bool all = true, clear = true;
    if (fold_stage_done(s, f)) {
        for (int a = 0; a < s->n_arm; a++) {
            clear = retreat(s, a, &out->hand[a]) && clear;
        }
        out->phase = "leave";
        return clear;
    }
    for (int a = 0; a < s->n_arm; a++) {
        all = all && (f->hand[a].from < 0 || holds(s, a) || laid(s, &f->hand[a]));
    }
    double behind = to_go(s, f);
    for (int a = 0; a < s->n_arm; a++) {
        fw_hand_cmd *h = &out->hand[a];
        const fold_move *m = &f->hand[a];
        if (m->from < 0) {
            retreat(s, a, h);
        } else if (!holds(s, a) && laid(s, m)) { /* this one is there already: only the other goes again */
            retreat(s, a, h);
        } else if (!holds(s, a)) {
            out->phase = fetch(s, a, m->from, h);
        } else if (all) {
            out->phase = carry(s, a, m, behind, h);
        } else { /* wait low for the other hand */
            double low[3] = {s->arm[a].pos[0], s->arm[a].pos[1], fmin(s->arm[a].pos[2], 0.02)};
            go(s, a, low, CARRY_M, 0, h);
        }
    }
    return false;
}
