/*
 * part_kitchen.c - a kitchen: a counter with a sink; plate, mug, bowl, banana.
 *
 * DESIGN. Boxes, cylinders and capsules only. The counter is one mocap body, so that an episode may shift it; each vessel is a
 * disc and a ring of boxes, because a hollow thing must be hollow for a finger. What a home varies is written as the difference
 * from the plain one's size, which is exactly 0 there: the plain kitchen is the same to the last bit however much others vary.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/part_int.h"
#include "sim/sim_int.h"

#define SINK_X_M     0.48
#define SINK_Y_M     0.36
#define SINK_HALF_M  0.15
#define SINK_DEPTH_M 0.08
enum { N_COUNTER_LOOK = 6 };

/* A dessert plate: its rim is steep enough to be pinched from above (a flat rim cannot be). */
int fw_part_plate(fw_world *w, const char *name) {
    mjsBody *b = fw_free_body(w, name);
    fw_rgb c = {0.92f, 0.92f, 0.95f};
    double rim = fw_world_vary(w, FW_PLATE_RIM_M, 0.072, 0.081), half = fw_world_vary(w, 0.013, 0.0115, 0.0145),
           tilt = fw_world_vary(w, 0.25, 0.18, 0.32), dr = rim - FW_PLATE_RIM_M, dh = half - 0.013;
    fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.003), FW_V3(0.073 + dr, 0.003, 0), c, 900);
    fw_geom_ring(b, 18, rim, 0.016 + dh, 0.0022, half, tilt, c, 900);
    return fw_world_add_obj(w, b, name, "plate", 0.082 + dr, 0.029 + 2 * dh, 0.001);
}

int fw_part_mug(fw_world *w, const char *name) {
    mjsBody *b = fw_free_body(w, name);
    fw_rgb c = {0.8f, 0.25f, 0.2f};
    double r = fw_world_vary(w, 0.028, 0.0255, 0.0305), h = fw_world_vary(w, 0.036, 0.033, 0.041), dr = r - 0.028,
           dh = h - 0.036, reach = fw_world_vary(w, 0, -0.003, 0.003), grip = fw_world_vary(w, 0, -0.003, 0.003);
    fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.003), FW_V3(r - 0.001, 0.003, 0), c, 900);
    fw_geom_ring(b, 14, r - 0.002, h, 0.002, h, 0, c, 900);
    for (mjsElement *e = mjs_firstChild(b, mjOBJ_GEOM, 0); e != NULL; e = mjs_nextChild(b, e, 0)) {
        mjs_asGeom(e)->contype = mjs_asGeom(e)->conaffinity =
            0; /* looks hollow; for fingers it is the solid cylinder below */
    }
    mjsGeom *solid = fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(0, 0, h), FW_V3(r, h, 0), c, 0);
    solid->group = 4;
    solid->mass = 0;
    for (int k = 0; k < 2; k++) {
        fw_geom_held(b, mjGEOM_BOX, FW_V3(r + 0.009 + reach / 2, 0, k ? 0.052 + dh + grip : 0.020 + dh - grip),
                     FW_V3(0.010 + reach / 2, 0.004, 0.004), c, 500);
    }
    fw_geom_held(b, mjGEOM_BOX, FW_V3(r + 0.019 + reach, 0, h), FW_V3(0.004, 0.004, 0.020 + grip), c, 500);
    return fw_world_add_obj(w, b, name, "mug", 0.048 + dr + fmax(0, reach), 0.072 + 2 * dh, 0.001);
}

int fw_part_bowl(fw_world *w, const char *name) {
    mjsBody *b = fw_free_body(w, name);
    fw_rgb c = {0.3f, 0.45f, 0.8f};
    double r = fw_world_vary(w, 0.051, 0.047, 0.054), half = fw_world_vary(w, 0.027, 0.024, 0.029),
           tilt = fw_world_vary(w, 0.55, 0.42, 0.60), out = half * sin(tilt) - 0.027 * sin(0.55), dr = r - 0.051;
    fw_geom_held(b, mjGEOM_CYLINDER, FW_V3(0, 0, 0.003), FW_V3(0.036 + dr - out, 0.003, 0), c, 900);
    fw_geom_ring(b, 14, r, half, 0.0025, half, tilt, c, 900);
    return fw_world_add_obj(w, b, name, "bowl", 0.068 + dr + out, 0.054 + 2 * (half - 0.027), 0.001);
}

int part_banana(fw_world *w, const char *name, const part_arc *f) {
    mjsBody *b = fw_free_body(w, name);
    double arc = 0.096 * f->k / f->bend;
    for (int i = -2; i <= 2; i++) {
        double a = i * 0.28 * f->bend;
        mjsGeom *g = fw_geom_held(b, mjGEOM_CAPSULE, FW_V3(arc * sin(a), arc * (cos(a) - 1), 0),
                                  FW_V3(0.0155 - 0.002 * abs(i) + f->thick, 0.014 * f->k, 0), f->skin, 900);
        double lie[4] = {cos(mjPI / 4), 0, sin(mjPI / 4), 0}, turn[4] = {cos(-a / 2), 0, 0, sin(-a / 2)};
        mju_mulQuat(g->quat, turn, lie);
    }
    mjsGeom *g = fw_geom_held(b, mjGEOM_SPHERE, f->stem, FW_V3(0.009, 0, 0), f->tip, 900);
    g->mass = 0.001;
    return fw_world_add_obj(w, b, name, "banana", f->radius, 0.031 + 2 * f->thick, 0.0165 + f->thick);
}

void part_arc_stem(part_arc *f) {
    double arc = 0.096 * f->k / f->bend, end = 0.71 * f->bend;
    f->stem[0] = 1.09 * arc * sin(end), f->stem[1] = 1.09 * arc * (cos(end) - 1);
    f->radius = fmax(0.074, hypot(f->stem[0], f->stem[1]) + 0.009);
}

/* Five capsules along an arc in the plane of the counter, thinner at the ends. */
int fw_part_banana(fw_world *w, const char *name) {
    part_arc f = {
        .stem = {0.068, -0.026, 0}, .radius = 0.074, .skin = {0.95f, 0.85f, 0.2f}, .tip = {0.45f, 0.33f, 0.15f}};
    f.k = fw_world_vary(w, 1, 0.90, 1.05), f.bend = fw_world_vary(w, 1, 0.75, 1.15);
    f.thick = fw_world_vary(w, 0, -0.0015, 0.0015);
    if (w->home != 0) {
        part_arc_stem(&f);
    }
    return part_banana(w, name, &f);
}

/* Small tileable pictures, so that a counter can be wood, stone or tiles; grey on purpose, the colour is a randomised field. */
static void counter_pixels(int look, unsigned char *px, int n) {
    fw_rng r = fw_rng_stream(1, "counter textures");
    double veins[3] = {0, 0, 0};
    for (int k = 0; k < 3; k++) {
        veins[k] = fw_rng_uniform(&r, 0, 6.28);
    }
    for (int y = 0; y < n; y++) {
        for (int x = 0; x < n; x++) {
            double u = 6.28318530718 * x / n, v = 6.28318530718 * y / n, noise = fw_rng_uniform(&r, -1, 1), g = 0.85;
            switch (look) {
            case 1:
                g = 0.82 + 0.10 * sin(6 * v + 0.7 * sin(2 * u) + veins[0]) + 0.03 * noise;
                break; /* wood grain */
            case 2:
                g = 0.85 + 0.12 * noise;
                break; /* granite */
            case 3:
                g = (x < 3 || y < 3) ? 0.62 : 0.88;
                break; /* tiles */
            case 4:
                g = 0.85 + 0.10 * sin(u + 2 * sin(v + veins[1])) * sin(2 * v + sin(u + veins[2]));
                break; /* marble */
            case 5:
                g = ((x < n / 2) != (y < n / 2)) ? 0.78 : 0.90;
                break; /* checker */
            default:
                break;
            }
            unsigned char b = (unsigned char)(255 * fmin(1, fmax(0, g)));
            memset(px + 3 * ((size_t)y * n + x), b, 3);
        }
    }
}

static void add_looks(mjSpec *s) {
    enum { N = 64 };
    unsigned char px[N * N * 3];
    for (int i = 0; i < N_COUNTER_LOOK; i++) {
        char name[16];
        snprintf(name, sizeof name, "counter%d", i);
        counter_pixels(i, px, N);
        mjsTexture *t = mjs_addTexture(s, NULL);
        mjs_setName(t->element, name);
        t->type = mjTEXTURE_2D;
        t->width = t->height = N;
        t->nchannel = 3;
        mjs_setBuffer(t->data, px, sizeof px);
        mjsMaterial *m = mjs_addMaterial(s, NULL);
        mjs_setName(m->element, name);
        mjs_setInStringVec(m->textures, mjTEXROLE_RGB, name);
        m->texrepeat[0] = m->texrepeat[1] = 4;
        m->texuniform = 1;
        m->specular = 0.2f;
    }
}

/* Where the counter ends and where its sink is. */
typedef struct counter_plan {
    double x0, x1, y0, y1;                /* m, its top */
    double sx, sy, half_x, half_y, depth; /* the sink's middle, half its size */
    int side;                             /* 1: the sink is on the robot's left; -1: on its right */
} counter_plan;

static counter_plan plan_counter(fw_world *w, bool either) {
    counter_plan p = {.side = 1};
    p.x0 = fw_world_vary(w, -0.28, -0.34, -0.27) + (w->reach.edge_m - FW_EDGE_M),
    p.x1 = fw_world_vary(w, 0.86, 0.82, 0.96);
    p.y0 = fw_world_vary(w, -0.65, -1.1, -0.65), p.y1 = fw_world_vary(w, 0.72, 0.72, 1.1);
    p.sx = fw_world_vary(w, SINK_X_M, 0.45, 0.51), p.sy = fw_world_vary(w, SINK_Y_M, 0.345, 0.375);
    p.half_x = fw_world_vary(w, SINK_HALF_M, 0.14, 0.165), p.half_y = fw_world_vary(w, SINK_HALF_M, 0.135, 0.155);
    p.depth = fw_world_vary(w, SINK_DEPTH_M, 0.072, 0.09);
    if (fw_world_vary(w, 0, 0, 1) > 0.5 && either) {
        double y0 = p.y0;
        p.side = -1;
        p.sy = -p.sy;
        p.y0 = -p.y1, p.y1 = -y0;
    }
    return p;
}

/* The tap stands where the arm never is. */
static void add_tap(fw_world *w, mjsBody *b, const counter_plan *p, fw_rgb steel) {
    double out = p->side * p->half_y, tall = fw_world_vary(w, 0, -0.03, 0.05);
    fw_geom(b, mjGEOM_CYLINDER, FW_V3(p->sx - 0.03, p->sy + out + p->side * 0.04, 0.09 + tall / 2),
            FW_V3(0.012, 0.09 + tall / 2, 0), steel);
    mjsGeom *g = fw_geom(b, mjGEOM_CAPSULE, FW_V3(p->sx - 0.03, p->sy + out + p->side * 0.025, 0.24 + tall),
                         FW_V3(0.011, 0.025, 0), steel);
    mju_copy4(g->quat, (double[]){cos(mjPI / 4), sin(mjPI / 4), 0, 0});
}

/* Its top is four boxes round the sink's hole. */
static void add_top(mjsBody *b, const counter_plan *p) {
    double hx = p->half_x, hy = p->half_y, th = 0.02;
    double top[4][4] = {{p->x0, p->x1, p->y0, p->sy - hy},
                        {p->x0, p->x1, p->sy + hy, p->y1},
                        {p->x0, p->sx - hx, p->sy - hy, p->sy + hy},
                        {p->sx + hx, p->x1, p->sy - hy, p->sy + hy}};
    for (int i = 0; i < 4; i++) {
        double *t = top[i];
        mjsGeom *g = fw_geom(b, mjGEOM_BOX, FW_V3((t[0] + t[1]) / 2, (t[2] + t[3]) / 2, -th),
                             FW_V3((t[1] - t[0]) / 2, (t[3] - t[2]) / 2, th), (fw_rgb){0.9f, 0.9f, 0.9f});
        char name[16];
        snprintf(name, sizeof name, "top%d", i);
        mjs_setName(g->element, name);
        mjs_setString(g->material, "counter0");
    }
}

/* One mocap body, so that it can be shifted. */
static int add_counter(fw_world *w, bool either) {
    mjsBody *b = fw_mocap_body(w, "counter", FW_V3(0, 0, 0), 0);
    add_looks(w->spec);
    const counter_plan p = plan_counter(w, either);
    double sx = p.sx, sy = p.sy, half[2] = {p.half_x, p.half_y}, dp = p.depth;
    fw_rgb steel = {0.62f, 0.64f, 0.67f}, dark = {0.5f, 0.52f, 0.55f};
    add_top(b, &p);
    mjsGeom *g = fw_geom(b, mjGEOM_BOX, FW_V3(sx, sy, -dp - 0.02), FW_V3(half[0], half[1], 0.02), dark);
    mjs_setName(g->element, "sink_floor");
    for (int i = 0; i < 4; i++) {
        double sg = i % 2 ? 1 : -1, off = half[i < 2 ? 0 : 1] + 0.006 + fw_world_vary(w, 0, -0.001, -0.001);
        g = fw_geom(b, mjGEOM_BOX, FW_V3(sx + (i < 2 ? sg * off : 0), sy + (i < 2 ? 0 : sg * off), -dp / 2 - 0.02),
                    FW_V3(i < 2 ? 0.006 : half[0], i < 2 ? half[1] : 0.006, dp / 2 + 0.0195), steel);
        char name[16];
        snprintf(name, sizeof name, "sink%d", i);
        mjs_setName(g->element, name);
    }
    fw_geom(b, mjGEOM_CYLINDER, FW_V3(sx, sy, -dp), FW_V3(0.02, 0.001, 0), (fw_rgb){0.2f, 0.2f, 0.2f})->contype = 0;
    add_tap(w, b, &p, steel);
    part_room(w, &(part_counter){p.x0, p.x1, p.y0, p.y1, p.side, w->reach.edge_m > FW_EDGE_M});
    return fw_world_add_region(w, "sink", "counter", FW_V3(sx, sy, -dp), 0, FW_V3(half[0], half[1], dp / 2));
}

int fw_part_counter(fw_world *w) {
    return add_counter(w, false);
}

int fw_part_counter_either(fw_world *w) {
    return add_counter(w, true);
}

int fw_part_table(fw_world *w) {
    add_looks(w->spec);
    mjsBody *b = fw_mocap_body(w, "counter", FW_V3(0, 0, 0), 0);
    double cut = (w->reach.edge_m - FW_EDGE_M) / 2; /* half of what is missing at the robot's side */
    mjsGeom *g =
        fw_geom(b, mjGEOM_BOX, FW_V3(0.29 + cut, 0, -0.02), FW_V3(0.57 - cut, 0.68, 0.02), (fw_rgb){0.9f, 0.9f, 0.9f});
    mjs_setName(g->element, "top0");
    mjs_setString(g->material, "counter0");
    return fw_world_add_region(w, "table", "counter", FW_V3(0.45, 0, 0), 0, FW_V3(0.25, 0.45, 0.2));
}

void fw_part_table_room(fw_world *w) {
    part_room(w, &(part_counter){w->reach.edge_m, 0.86, -0.68, 0.68, 1, w->reach.edge_m > FW_EDGE_M});
}

void fw_hsv(double h, double s, double v, float out[3]) {
    for (int i = 0; i < 3; i++) {
        double k = fmod(6 * h + (i == 0 ? 5 : i == 1 ? 3 : 1), 6);
        out[i] = (float)(v - v * s * fmax(0, fmin(fmin(k, 4 - k), 1)));
    }
}

void fw_part_counter_paint(fw_sim *s, fw_rng *r) {
    mjModel *m = s->m;
    float c[3];
    int look = (int)fw_rng_below(r, N_COUNTER_LOOK), sink = mj_name2id(m, mjOBJ_GEOM, "sink_floor"),
        counter = mj_name2id(m, mjOBJ_BODY, "counter");
    fw_hsv(fw_rng_uniform(r, 0.02, 0.16), fw_rng_uniform(r, 0, 0.55), fw_rng_uniform(r, 0.3, 0.95), c);
    double steel = fw_rng_uniform(r, 0.6, 1.35);
    for (int g = m->body_geomadr[counter]; g < m->body_geomadr[counter] + m->body_geomnum[counter]; g++) {
        if (m->geom_matid[g] >= 0) {
            m->geom_matid[g] = look;
            memcpy(m->geom_rgba + 4 * g, c, sizeof c);
        } else {
            for (int k = 0; k < 3; k++) {
                m->geom_rgba[4 * g + k] =
                    fminf(1, s->m0->geom_rgba[4 * g + k] * (float)(steel * (g == sink ? 0.9 : 1)));
            }
        }
    }
    fw_hsv(fw_rng_unit(r), fw_rng_uniform(r, 0, 0.4), fw_rng_uniform(r, 0.2, 0.8), c);
    int floor = mj_name2id(m, mjOBJ_GEOM, "floor");
    memcpy(m->geom_rgba + 4 * floor, c, sizeof c);
}
