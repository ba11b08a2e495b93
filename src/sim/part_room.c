/*
 * part_room.c - the kitchen round a counter, one for each home: wall, backsplash, base cupboards, hob, appliances, floor.
 *
 * DESIGN. All of it is only seen: it touches nothing, so that physics is that of the bare counter. A home has a style (the colours of
 * its wall, fronts, metal and appliances, the pattern of its backsplash and floor) and a plan (which things stand in which of the
 * slots along the wall, and on which side the tall cupboard is). Everything comes from a stream of its own, so that adding
 * furniture never changes the shape of a plate. Things stand behind and beside the area that a hand works in.
 */
#include <stdio.h>

#include "sim/part_int.h"
#include "sim/texture.h"

enum { TEXTURE_PX = 64, N_SLOT = 3 };
#define AISLE_M 1.4 /* between an island and the wall */
#define KNEES_M 0.3 /* an island's top stands out so far over its cupboards, for a robot's base */

typedef struct style {
    fw_rgb wall, front, metal, device, accent, tall;
} style;

static fw_rgb colour(double h, double s, double v) {
    float c[3];
    fw_hsv(h, s, v, c);
    return (fw_rgb){c[0], c[1], c[2]};
}

/* A colour between two: each of hue, saturation, value. */
static fw_rgb between(fw_rng *r, const double lo[3], const double hi[3]) {
    double hsv[3];
    for (int k = 0; k < 3; k++) {
        hsv[k] = fw_rng_uniform(r, lo[k], hi[k]);
    }
    return colour(hsv[0], hsv[1], hsv[2]);
}

static style draw_style(fw_rng *r) {
    static const double fronts[][3] = {{0.10, 0.03, 0.93}, {0.10, 0.10, 0.85}, {0.60, 0.04, 0.45}, {0.62, 0.45, 0.32},
                                       {0.30, 0.22, 0.58}, {0.07, 0.50, 0.52}, {0.08, 0.42, 0.72}, {0.00, 0.00, 0.16}};
    static const double metals[][3] = {{0.60, 0.03, 0.72}, {0.0, 0.0, 0.12}, {0.11, 0.45, 0.70}};
    const double *f = fronts[fw_rng_below(r, 8)], *m = metals[fw_rng_below(r, 3)], *t = fronts[fw_rng_below(r, 8)];
    style s = {.front = colour(f[0], f[1], f[2] * fw_rng_uniform(r, 0.9, 1.05)), .metal = colour(m[0], m[1], m[2])};
    s.wall = between(r, FW_V3(0, 0, 0.65), FW_V3(1, 0.22, 0.95));
    s.device = fw_rng_unit(r) < 0.3 ? between(r, FW_V3(0, 0.5, 0.5), FW_V3(1, 0.6, 0.7))
                                    : between(r, FW_V3(0.6, 0.03, 0.1), FW_V3(0.6, 0.03, 0.9));
    s.accent = between(r, FW_V3(0, 0.4, 0.35), FW_V3(1, 0.9, 0.9));
    s.tall = fw_rng_unit(r) < 0.6 ? s.front : colour(t[0], t[1], t[2]);
    return s;
}

/* A surface with a pattern of its own: a material named so. */
static void add_surface(fw_world *w, const char *name, fw_texture kind, double contrast, double repeat, fw_rng *r) {
    static unsigned char px[TEXTURE_PX * TEXTURE_PX * 3];
    fw_texture_draw(kind, r, contrast, TEXTURE_PX, 3, px);
    mjsTexture *t = mjs_addTexture(w->spec, NULL);
    mjs_setName(t->element, name);
    t->type = mjTEXTURE_2D;
    t->width = t->height = TEXTURE_PX;
    t->nchannel = 3;
    mjs_setBuffer(t->data, px, sizeof px);
    mjsMaterial *m = mjs_addMaterial(w->spec, NULL);
    mjs_setName(m->element, name);
    mjs_setInStringVec(m->textures, mjTEXROLE_RGB, name);
    m->texrepeat[0] = m->texrepeat[1] = (float)repeat;
    m->texuniform = 1;
    m->specular = 0.2f;
}

static void add_surfaces(fw_world *w, fw_rng *r) {
    static const fw_texture splash[] = {FW_TEXTURE_TILES, FW_TEXTURE_TILES, FW_TEXTURE_PLAIN, FW_TEXTURE_MARBLE,
                                        FW_TEXTURE_STRIPES},
                            floor[] = {FW_TEXTURE_WOOD, FW_TEXTURE_WOOD, FW_TEXTURE_TILES, FW_TEXTURE_CHECKER,
                                       FW_TEXTURE_GRANITE},
                            front[] = {FW_TEXTURE_PLAIN, FW_TEXTURE_PLAIN, FW_TEXTURE_WOOD};
    fw_texture kind[3];
    kind[0] = splash[fw_rng_below(r, 5)];
    kind[1] = floor[fw_rng_below(r, 5)];
    kind[2] = front[fw_rng_below(r, 3)];
    const struct {
        const char *name;
        fw_texture kind;
        double contrast, few, many; /* repeats a metre */
    } s[] = {{"room_splash", kind[0], 0.25, 3, 7},
             {"room_floor", kind[1], 0.30, 0.8, 2},
             {"room_front", kind[2], 0.18, 1, 3}};
    for (size_t i = 0; i < sizeof s / sizeof *s; i++) {
        double contrast = s[i].contrast * fw_rng_uniform(r, 0.5, 1.4), repeat = fw_rng_uniform(r, s[i].few, s[i].many);
        add_surface(w, s[i].name, s[i].kind, contrast, repeat, r);
    }
}

/* --- furniture */
static mjsBody *piece(fw_world *w, const char *name, double x, double y, double z, double yaw) {
    mjsBody *b = mjs_addBody(w->root, NULL);
    mjs_setName(b->element, name);
    mju_copy3(b->pos, FW_V3(x, y, z));
    mju_copy4(b->quat, (double[]){cos(yaw / 2), 0, 0, sin(yaw / 2)});
    return b;
}

static mjsGeom *box(mjsBody *b, double x, double y, double z, double hx, double hy, double hz, fw_rgb c) {
    return part_paint(fw_geom(b, mjGEOM_BOX, FW_V3(x, y, z), FW_V3(hx, hy, hz), c));
}
static mjsGeom *can(mjsBody *b, double x, double y, double z, double r, double hz, fw_rgb c) {
    return part_paint(fw_geom(b, mjGEOM_CYLINDER, FW_V3(x, y, z), FW_V3(r, hz, 0), c));
}

static double wall_x(const part_counter *c) {
    return c->island ? c->x0 - AISLE_M : c->x0;
}

static void add_walls(fw_world *w, const part_counter *c, const style *s, fw_rng *r) {
    double high = fw_rng_uniform(r, 0.10, 0.55);
    int sockets = (int)fw_rng_below(r, 3);
    mjsBody *b = piece(w, "room_wall", wall_x(c), 0, 0, 0);
    box(b, -0.03, 0, 0.6, 0.02, 3, 1.4, s->wall);
    for (int i = 0; i < sockets; i++) {
        double y = (i ? -1 : 1) * fw_rng_uniform(r, 0.12, 0.6), z = fw_rng_uniform(r, 0.09, 0.16);
        box(b, -0.003, y, z, 0.004, 0.04, 0.04, (fw_rgb){0.93f, 0.93f, 0.92f});
        can(b, 0.001, y, z, 0.02, 0.001, (fw_rgb){0.55f, 0.55f, 0.55f});
    }
    b = piece(w, "room_splash", wall_x(c), 0, 0, 0);
    mjsGeom *g = box(b, -0.008, 0, high / 2, 0.002, 3, high / 2, (fw_rgb){0.9f, 0.9f, 0.9f});
    fw_rgb tint = fw_rng_unit(r) < 0.5 ? s->wall : between(r, FW_V3(0, 0, 0.6), FW_V3(1, 0.45, 0.95));
    g->rgba[0] = tint.r, g->rgba[1] = tint.g, g->rgba[2] = tint.b;
    mjs_setString(g->material, "room_splash");
    mjsElement *floor = mjs_findElement(w->spec, mjOBJ_GEOM, "floor");
    mjs_setString(mjs_asGeom(floor)->material, "room_floor");
}

/* Under the counter's edge, as far down as the floor; fronts with gaps and handles face the room. */
static void add_base(fw_world *w, const part_counter *c, const style *s, fw_rng *r) {
    mjsBody *b = piece(w, "room_base", 0, 0, 0, 0);
    double in = 0.025, low = -0.72, top = -0.045, x0 = c->island ? c->x0 + KNEES_M : c->x0,
           deep = (c->x1 - in - x0) / 2, wide = fw_rng_uniform(r, 0.3, 0.6), drawer = fw_rng_unit(r) < 0.5 ? 0.16 : 0;
    box(b, x0 + deep - 0.02, (c->y0 + c->y1) / 2, (low - 0.14) / 2, deep - 0.02, (c->y1 - c->y0) / 2 - in,
        (-0.14 - low) / 2, s->front);
    for (double y = c->y0 + in; y < c->y1 - in - 0.1; y += wide) {
        double half = (fmin(y + wide, c->y1 - in) - y) / 2 - 0.003, x = c->x1 - in - 0.008;
        double split = drawer > 0 ? top - drawer : top;
        mjsGeom *g =
            box(b, x, y + half + 0.003, (split - 0.003 + low) / 2, 0.008, half, (split - 0.003 - low) / 2, s->front);
        mjs_setString(g->material, "room_front");
        if (drawer > 0) {
            g = box(b, x, y + half + 0.003, top - drawer / 2, 0.008, half, drawer / 2, s->front);
            mjs_setString(g->material, "room_front");
        }
        box(b, c->x1 - in + 0.012, y + half, top - 0.035, 0.006, fmin(0.07, 0.5 * half), 0.006, s->metal);
    }
}

/* A fridge or a tall cupboard at the end that has no sink. */
static void add_tall(fw_world *w, const part_counter *c, const style *s, fw_rng *r) {
    if (fw_rng_unit(r) < 0.35) {
        return;
    }
    double end = c->sink_side > 0 ? c->y0 : c->y1, out = c->sink_side > 0 ? -1 : 1, deep = fw_rng_uniform(r, 0.28, 0.4);
    mjsBody *b = piece(w, "room_tall", wall_x(c) + deep, end + out * 0.33, 0, 0);
    box(b, 0, 0, 0.2, deep, 0.32, 1.0, s->tall);
    box(b, deep + 0.004, 0, 0.55, 0.004, 0.315, 0.6, s->tall);
    box(b, deep + 0.02, -out * 0.27, 0.4, 0.008, 0.01, 0.25, s->metal);
}

/* A glass plate with rings, level with the counter. */
static void add_hob(fw_world *w, const part_counter *c, fw_rng *r) {
    double room = c->sink_side > 0 ? -0.465 - c->y0 : c->y1 - 0.465, half = fmin(0.24, room / 2 - 0.02);
    if (half < 0.1 || fw_rng_unit(r) < 0.25) {
        return;
    }
    mjsBody *b =
        piece(w, "room_hob", fmax(c->x0 + 0.27, fw_rng_uniform(r, 0.28, 0.48)), -c->sink_side * (0.465 + half), 0, 0);
    fw_rgb glass = {0.05f, 0.05f, 0.06f}, ring = {0.30f, 0.30f, 0.32f};
    box(b, 0, 0, 0.001, 0.25, half, 0.002, glass);
    for (int i = 0; i < 4; i++) {
        double x = i % 2 ? 0.12 : -0.12, y = i / 2 ? half / 2 : -half / 2,
               big = fmin(0.085, 0.42 * half) * (i % 3 ? 0.8 : 1);
        can(b, x, y, 0.003, big, 0.0005, ring);
        can(b, x, y, 0.0035, big - 0.006, 0.0005, glass);
    }
}

/* --- what stands along the wall; each at the origin of its body, its face towards +x, at most 0.22 wide and 0.2 deep */
static void kettle(mjsBody *b, const style *s, fw_rng *r) {
    double h = fw_rng_uniform(r, 0.08, 0.11), t = fw_rng_uniform(r, 0.06, 0.075);
    can(b, 0, 0, h, t, h, s->device);
    can(b, 0, 0, 2 * h + 0.008, 0.7 * t, 0.008, s->metal);
    box(b, t + 0.035, 0, h + 0.03, 0.009, 0.012, 0.6 * h, s->metal);
    box(b, t + 0.012, 0, 1.75 * h, 0.03, 0.012, 0.009, s->metal);
    can(b, 0, 0, 0.006, t + 0.012, 0.006, (fw_rgb){0.1f, 0.1f, 0.1f});
}

static void toaster(mjsBody *b, const style *s, fw_rng *r) {
    double wide = fw_rng_uniform(r, 0.12, 0.16), tall = fw_rng_uniform(r, 0.085, 0.105);
    box(b, 0, 0, tall, 0.075, wide, tall, s->device);
    for (int i = -1; i <= 1; i += 2) {
        box(b, i * 0.03, 0, 2 * tall, 0.012, 0.75 * wide, 0.001, (fw_rgb){0.05f, 0.05f, 0.05f});
    }
    box(b, 0, wide + 0.01, tall, 0.012, 0.012, 0.008, s->metal);
}

static void microwave(mjsBody *b, const style *s, fw_rng *r) {
    double tall = fw_rng_uniform(r, 0.12, 0.14);
    box(b, 0, 0, tall, 0.15, 0.22, tall, s->device);
    box(b, 0.151, 0.05, tall, 0.001, 0.15, tall - 0.03, (fw_rgb){0.06f, 0.06f, 0.07f});
    box(b, 0.152, -0.16, tall + 0.05, 0.001, 0.04, 0.02, (fw_rgb){0.15f, 0.35f, 0.25f});
    can(b, 0.15, -0.16, tall - 0.04, 0.02, 0.004, s->metal);
}

static void jars(mjsBody *b, const style *s, fw_rng *r) {
    for (int i = -1; i <= 1; i++) {
        double h = fw_rng_uniform(r, 0.045, 0.085), t = fw_rng_uniform(r, 0.035, 0.045);
        can(b, 0.02 * (i == 0), 0.1 * i, h, t, h, i == 0 ? s->accent : s->wall);
        can(b, 0.02 * (i == 0), 0.1 * i, 2 * h + 0.006, t * 0.95, 0.008, s->metal);
    }
}

static void plant(mjsBody *b, const style *s, fw_rng *r) {
    can(b, 0, 0, 0.05, 0.05, 0.05, s->accent);
    for (int i = 0; i < 9; i++) {
        double a = 2.4 * i, out = 0.02 + 0.006 * i, z = 0.12 + 0.09 * fw_rng_unit(r);
        fw_rgb leaf = between(r, FW_V3(0.25, 0.6, 0.3), FW_V3(0.36, 0.6, 0.6));
        mjsGeom *g =
            fw_geom(b, mjGEOM_ELLIPSOID, FW_V3(out * cos(a), out * sin(a), z), FW_V3(0.012, 0.028, 0.04), leaf);
        part_paint(part_turn(part_turn(g, 1, 0, 0, 0.5), 0, 0, 1, a));
    }
}

static void knives(mjsBody *b, const style *s, fw_rng *r) {
    fw_rgb wood = colour(0.08, 0.5, fw_rng_uniform(r, 0.35, 0.7));
    part_turn(box(b, 0, 0, 0.10, 0.06, 0.05, 0.09, wood), 0, 1, 0, 0.3);
    for (int i = 0; i < 4; i++) {
        part_turn(box(b, 0.03 + 0.02 * (i % 2), -0.03 + 0.02 * i, 0.22, 0.012, 0.008, 0.045, s->metal), 0, 1, 0, 0.3);
    }
}

static void boards(mjsBody *b, const style *s, fw_rng *r) {
    double tall = fw_rng_uniform(r, 0.13, 0.18);
    part_turn(box(b, -0.07, 0, tall, 0.009, 0.12, tall, colour(0.08, 0.45, 0.75)), 0, 1, 0, -0.16);
    part_turn(box(b, -0.045, 0.05, 0.8 * tall, 0.007, 0.08, 0.8 * tall, s->accent), 0, 1, 0, -0.2);
}

static void crock(mjsBody *b, const style *s, fw_rng *r) {
    can(b, 0, 0, 0.07, 0.055, 0.07, s->wall);
    for (int i = 0; i < 5; i++) {
        double a = 1.26 * i, lean = fw_rng_uniform(r, 0.1, 0.3);
        mjsGeom *g = fw_geom(b, mjGEOM_CAPSULE, FW_V3(0.03 * cos(a), 0.03 * sin(a), 0.19), FW_V3(0.006, 0.07, 0),
                             i % 2 ? colour(0.08, 0.5, 0.7) : s->metal);
        part_paint(part_turn(g, -sin(a), cos(a), 0, lean));
        g = fw_geom(b, mjGEOM_ELLIPSOID, FW_V3(0.055 * cos(a), 0.055 * sin(a), 0.27), FW_V3(0.010, 0.024, 0.034),
                    i % 2 ? colour(0.08, 0.5, 0.7) : s->metal);
        part_paint(part_turn(g, 0, 0, 1, a));
    }
}

static void paper(mjsBody *b, const style *s, fw_rng *r) {
    can(b, 0, 0, 0.006, 0.075, 0.006, s->metal);
    can(b, 0, 0, 0.13, fw_rng_uniform(r, 0.045, 0.06), 0.115, (fw_rgb){0.95f, 0.95f, 0.94f});
    can(b, 0, 0, 0.265, 0.008, 0.02, s->metal);
}

static void rack(mjsBody *b, const style *s, fw_rng *r) {
    box(b, 0, 0, 0.01, 0.13, 0.19, 0.008, s->metal);
    int n = 3 + (int)fw_rng_below(r, 3);
    for (int i = 0; i < n; i++) {
        mjsGeom *g =
            can(b, 0, -0.12 + 0.055 * i, 0.095, 0.085, 0.004, i == 1 ? s->accent : (fw_rgb){0.93f, 0.93f, 0.94f});
        part_turn(g, 1, 0, 0, mjPI / 2 - 0.2);
    }
    for (int i = -1; i <= 1; i += 2) {
        box(b, i * 0.13, 0, 0.05, 0.004, 0.19, 0.004, s->metal);
        box(b, 0, i * 0.19, 0.05, 0.13, 0.004, 0.004, s->metal);
    }
}

/* Three slots on each side of the robot's base, from it outwards; a home fills some, no thing twice. */
static void add_things(fw_world *w, const part_counter *c, const style *s, fw_rng *r) {
    static void (*const draw[])(mjsBody *, const style *, fw_rng *) = {kettle, toaster, microwave, jars,  plant,
                                                                       knives, boards,  crock,     paper, rack};
    enum { N = sizeof draw / sizeof *draw };
    int order[N];
    for (int i = 0; i < N; i++) {
        int k = (int)fw_rng_below(r, (uint64_t)i + 1);
        order[i] = order[k];
        order[k] = i;
    }
    for (int i = 0, next = 0; i < 2 * N_SLOT; i++) {
        double side = i % 2 ? 1 : -1, y = side * (0.34 + 0.27 * (i / 2) + fw_rng_uniform(r, -0.02, 0.02));
        double deep = order[next] == 2 ? 0.17 : 0.11, x = c->x0 + deep + fw_rng_uniform(r, 0, 0.03);
        double yaw = fw_rng_uniform(r, -0.3, 0.3) * (deep > 0.15 ? 0.2 : 1);
        bool fits = y > c->y0 + 0.13 && y < c->y1 - 0.13, take = fw_rng_unit(r) < 0.75;
        if (fits && take) {
            char name[24];
            snprintf(name, sizeof name, "room_thing%d", i);
            draw[order[next++]](piece(w, name, x, y, 0, yaw), s, r);
        }
    }
}

void part_room(fw_world *w, const part_counter *c) {
    if (w->home == 0) {
        return;
    }
    fw_rng r = fw_rng_stream(w->home, "room");
    const style s = draw_style(&r);
    add_surfaces(w, &r);
    add_walls(w, c, &s, &r);
    add_base(w, c, &s, &r);
    add_tall(w, c, &s, &r);
    add_hob(w, c, &r);
    if (!c->island) { /* along an island's edge a robot drives */
        add_things(w, c, &s, &r);
    }
}
