/*
 * part_cloth.c - a towel and a shirt: cloth as a MuJoCo flex, and how fingers hold it.
 *
 * DESIGN. A cloth is a two-dimensional flex over a grid of cells (some may be missing: that is what cuts a shirt), one body of three
 * slides a vertex. Edges keep their length by an equality (far larger time steps than stiff springs), bending is elastic. Settings that
 * were measured (12x12, 30 cm, one core): integrator "discrete", CG, elliptic cones, 10 ms; flat 1,900, while folding 360, folded 290
 * steps/s = 3x real time; 4 ms steps give the same fold 3 times slower, Newton half the rate, no self-contact 3x the rate
 * and layers that sink into each other.
 *
 * Holding is a modelling choice: fingers do not pinch the flex by friction (unreliable at any affordable step). When the jaws of an
 * arm close, every vertex within GRIP_M of the point between the pads is tied to it by a connect equality, so that stacked layers come
 * along; when they open, or one tie pulls harder than BREAK_N, they let go. Ties are built for every pair of arm and vertex and only
 * switched (eq_active is part of the state, so forks and replays keep them). The robot touches the table, never the cloth.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/parts.h"
#include "sim/sim_int.h"

enum { GRID_MAX = 16, VERT_MAX = GRID_MAX * GRID_MAX, HELD_MAX = 6 };

#define GRIP_M      0.018 /* from the point between the pads to a vertex that is caught */
#define SHUT        0.35  /* jaws closed further than this hold */
#define OPEN        0.45  /* and wider than this let go */
#define BREAK_N     12.0
#define RADIUS_M    0.004 /* half the thickness of the cloth */
#define GRAM_PER_M2 900.0 /* terry towelling is 400-600 */

static const char *const flex_name = "cloth";

/* --- building */
static bool has(const char *const *map, int row, int col) {
    return map == NULL || map[row][col] == '#';
}

/* Number the vertices that exist, row by row; -1 elsewhere. */
static int number(const char *const *map, int rows, int cols, int id[GRID_MAX][GRID_MAX]) {
    int n = 0;
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < cols; c++) {
            id[r][c] = has(map, r, c) ? n++ : -1;
        }
    }
    return n;
}

static void add_vertex(fw_world *w, int v, double x, double y, double mass) {
    char name[24];
    mjsBody *b = mjs_addBody(w->root, NULL);
    snprintf(name, sizeof name, "cloth_%d", v);
    mjs_setName(b->element, name);
    mju_copy3(b->pos, FW_V3(x, y, RADIUS_M));
    b->mass = mass;
    b->explicitinertial = 1;
    b->inertia[0] = b->inertia[1] = b->inertia[2] = mass * 1e-5; /* it never turns */
    for (int k = 0; k < 3; k++) {
        mjsJoint *j = mjs_addJoint(b, NULL);
        j->type = mjJNT_SLIDE;
        mju_copy3(j->axis, FW_V3(k == 0, k == 1, k == 2));
    }
    mjsSite *s = mjs_addSite(b, NULL);
    mjs_setName(s->element, name);
    s->group = 5;
}

/* Two triangles a cell, their diagonal alternating so that the cloth has no preferred direction. */
static void add_flex(fw_world *w, const int id[GRID_MAX][GRID_MAX], int rows, int cols, int n) {
    mjsFlex *f = mjs_addFlex(w->spec);
    char names[VERT_MAX * 12];
    int elem[6 * VERT_MAX], n_elem = 0, at = 0;
    for (int v = 0; v < n; v++) {
        at += snprintf(names + at, sizeof names - (size_t)at, "cloth_%d ", v);
    }
    for (int r = 0; r + 1 < rows; r++) {
        for (int c = 0; c + 1 < cols; c++) {
            int q[4] = {id[r][c], id[r][c + 1], id[r + 1][c], id[r + 1][c + 1]};
            if (q[0] < 0 || q[1] < 0 || q[2] < 0 || q[3] < 0) {
                continue;
            }
            const int odd[6] = {q[0], q[1], q[3], q[0], q[3], q[2]}, even[6] = {q[0], q[1], q[2], q[1], q[3], q[2]};
            memcpy(elem + 3 * n_elem, (r + c) % 2 ? odd : even, sizeof odd);
            n_elem += 2;
        }
    }
    mjs_setName(f->element, flex_name);
    mjs_setStringVec(f->vertbody, names);
    mjs_setInt(f->elem, elem, 3 * n_elem);
    f->dim = 2;
    f->radius = RADIUS_M;
    f->contype = f->conaffinity = 1; /* table and itself; robots are contype 2, conaffinity 0 */
    f->condim = 3;
    mju_copy3(f->friction, FW_V3(1, 0.005, 0.0001));
    f->selfcollide = mjFLEXSELF_AUTO;
    f->solimp[0] = 0.95, f->solimp[1] = 0.99, f->solimp[2] = 1e-4;
    f->young = 60, f->poisson = 0.1, f->thickness = 0.02, f->damping = 0.01;
    f->elastic2d = 1; /* bending; edges are kept by the equality */
    mjsEquality *e = mjs_addEquality(w->spec, NULL);
    e->type = mjEQ_FLEX;
    mjs_setString(e->name1, flex_name);
    e->solref[0] = 0.002, e->solref[1] = 5;
}

static void tie_name(char name[32], int arm, int v) {
    snprintf(name, 32, "grip%d_%d", arm, v);
}

static void add_ties(fw_world *w, int n) {
    char tcp[8], vertex[24], name[32];
    for (int a = 0; a < FW_ARM_MAX; a++) {
        snprintf(tcp, sizeof tcp, "tcp%d", a);
        for (int v = 0; v < n; v++) {
            mjsEquality *e = mjs_addEquality(w->spec, NULL);
            snprintf(vertex, sizeof vertex, "cloth_%d", v);
            tie_name(name, a, v);
            mjs_setName(e->element, name);
            e->type = mjEQ_CONNECT;
            e->objtype = mjOBJ_SITE;
            mjs_setString(e->name1, tcp);
            mjs_setString(e->name2, vertex);
            e->active = 0;
            e->solref[0] = 0.02;
        }
    }
}

/* Where it is built: the middle of what the robot reaches. */
static void middle(const fw_world *w, double mid[2]) {
    mid[0] = (w->reach.near_m + w->reach.far_m) / 2;
    mid[1] = 0;
}

/* What a room with cloth in it wants of the solver (see DESIGN). */
static void set_options(mjSpec *s) {
    s->option.timestep = 0.01;
    s->option.integrator = mjINT_DISCRETE;
    s->option.solver = mjSOL_CG;
    s->option.iterations = 50;
    s->option.tolerance = 1e-4;
    s->option.impratio = 1;
    s->memory = (mjtSize)1 << 27;
}

static void build_cloth(fw_world *w, const char *const *map, int rows, int cols, double spacing) {
    int id[GRID_MAX][GRID_MAX];
    int n = number(map, rows, cols, id);
    double mass = GRAM_PER_M2 * 1e-3 * spacing * spacing * (rows - 1) * (cols - 1) / (rows * cols);
    double mid[2];
    middle(w, mid);
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < cols; c++) {
            if (id[r][c] >= 0) {
                add_vertex(w, id[r][c], mid[0] + (c - (cols - 1) / 2.0) * spacing,
                           mid[1] + (r - (rows - 1) / 2.0) * spacing, mass);
            }
        }
    }
    add_flex(w, (const int(*)[GRID_MAX])id, rows, cols, n);
    add_ties(w, n);
    set_options(w->spec);
    snprintf(w->cloth.flex, sizeof w->cloth.flex, "%s", flex_name);
    w->cloth.rows = map == NULL ? rows : n;
    w->cloth.cols = map == NULL ? cols : 1;
    w->cloth.spacing = spacing;
}

void fw_part_towel(fw_world *w) {
    build_cloth(w, NULL, 12, 12, fw_world_vary(w, 0.30, 0.26, 0.32) / 11);
}

/* Row 0 is the hem. The neck is cut out of the top. */
static const char *const shirt_map[FW_SHIRT_ROWS] = {
    "...#########...", "...#########...", "...#########...", "...#########...", "...#########...", "...#########...",
    "...#########...", "###############", "###############", "###############", "###############", "######...######",
};

void fw_part_shirt(fw_world *w) {
    build_cloth(w, shirt_map, FW_SHIRT_ROWS, FW_SHIRT_COLS, fw_world_vary(w, 0.025, 0.022, 0.026));
}

int fw_part_shirt_vertex(int row, int col) {
    int id[GRID_MAX][GRID_MAX];
    number(shirt_map, FW_SHIRT_ROWS, FW_SHIRT_COLS, id);
    return row >= 0 && row < FW_SHIRT_ROWS && col >= 0 && col < FW_SHIRT_COLS ? id[row][col] : -1;
}

/* --- an episode */
static int n_vertex(const fw_sim *s) {
    return s->world.cloth.rows * s->world.cloth.cols;
}

static int vertex_body(const fw_sim *s, int v) {
    return s->m->flex_vertbodyid[s->m->flex_vertadr[s->flex] + v];
}

typedef struct bump {
    double x, y, high, wide;
} bump;

void fw_part_cloth_lay(fw_sim *s, double dx, double dy, double yaw, double rumple_m, fw_rng *r) {
    bump b[3];
    double mid[2], size = s->world.cloth.spacing * 6, c = cos(yaw), sn = sin(yaw);
    middle(&s->world, mid);
    for (int k = 0; k < 3; k++) {
        b[k] = (bump){fw_rng_uniform(r, -size, size), fw_rng_uniform(r, -size, size), fw_rng_uniform(r, 0, rumple_m),
                      fw_rng_uniform(r, 0.02, 0.04)};
    }
    for (int v = 0; v < n_vertex(s); v++) {
        const double *at = s->m0->body_pos + 3 * vertex_body(s, v);
        double x = at[0] - mid[0], y = at[1] - mid[1], z = 0;
        for (int k = 0; k < 3; k++) { /* a bump rises and draws in what lies round it */
            double ex = x - b[k].x, ey = y - b[k].y, near = exp(-(ex * ex + ey * ey) / (2 * b[k].wide * b[k].wide));
            z += b[k].high * near;
            x -= 0.3 * b[k].high / b[k].wide * ex * near;
            y -= 0.3 * b[k].high / b[k].wide * ey * near;
        }
        double *q = s->d->qpos + s->m->jnt_qposadr[s->m->body_jntadr[vertex_body(s, v)]];
        q[0] = mid[0] + dx + c * x - sn * y - at[0];
        q[1] = mid[1] + dy + sn * x + c * y - at[1];
        q[2] = z;
    }
}

void fw_part_cloth_paint(fw_sim *s, const float rgb[3]) {
    memcpy(s->m->flex_rgba + 4 * s->flex, rgb, 3 * sizeof *rgb);
}

/* --- holding */
static int tie(const fw_sim *s, int arm, int v) {
    char name[32];
    tie_name(name, arm, 0); /* they follow each other */
    return mj_name2id(s->m, mjOBJ_EQUALITY, name) + v;
}

/* How hard each tie of this arm pulls; the largest. */
static double pull_n(const fw_sim *s, int first, int n) {
    const mjData *d = s->d;
    double most = 0;
    for (int i = 0; i + 2 < d->nefc; i++) {
        if (d->efc_type[i] == mjCNSTR_EQUALITY && d->efc_id[i] >= first && d->efc_id[i] < first + n) {
            most = fmax(most, mju_norm3(d->efc_force + i));
            i += 2; /* a connect is three rows */
        }
    }
    return most;
}

static void let_go(fw_sim *s, int first, int n) {
    memset(s->d->eq_active + first, 0, (size_t)n * sizeof *s->d->eq_active);
}

/* Tie the nearest vertices (a stack of layers) to the point between the pads. */
static void catch_near(fw_sim *s, int first, int n, const double at[3]) {
    for (int k = 0; k < HELD_MAX; k++) {
        int best = -1;
        double least = GRIP_M;
        for (int v = 0; v < n; v++) {
            double far = mju_dist3(s->cloth + 3 * v, at);
            if (!s->d->eq_active[first + v] && far < least) {
                best = v, least = far;
            }
        }
        if (best < 0) {
            return;
        }
        s->d->eq_active[first + best] = 1;
    }
}

static int nearest_held(const fw_sim *s, int first, int n, const double at[3]) {
    int best = -1;
    double least = 1;
    for (int v = 0; v < n; v++) {
        double far = mju_dist3(s->cloth + 3 * v, at);
        if (s->d->eq_active[first + v] && far < least) {
            best = v, least = far;
        }
    }
    return best;
}

void fw_part_cloth_tick(fw_sim *s, fw_scene *scene) {
    int n = n_vertex(s);
    for (int a = 0; a < scene->n_arm; a++) {
        int first = tie(s, a, 0);
        const fw_arm_view *arm = &scene->arm[a];
        double *ready = &scene->aux[FW_CLOTH_AUX_READY + a]; /* 1: the jaws were open since they last closed */
        if (arm->opening > OPEN && arm->command > SHUT) {
            let_go(s, first, n);
            *ready = 1;
        } else if (arm->opening<SHUT && * ready> 0) {
            catch_near(s, first, n, arm->pos);
            *ready = 0;
        } else if (pull_n(s, first, n) > BREAK_N) {
            let_go(s, first, n); /* torn out of the fingers: they must open before they catch again */
        }
        scene->cloth.gripped[a] = nearest_held(s, first, n, arm->pos);
    }
}
