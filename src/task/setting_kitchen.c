/*
 * setting_kitchen.c - how a kitchen is arranged and painted. Home 0 is the plain one of the suite kitchen3; other homes vary the
 * shapes of things, the counter and its sink (which may be on the right: then all is mirrored) and what stands round it.
 */
#include "task/setting_kitchen.h"

#include <math.h>

#include "sim/parts.h"
#include "task/grasps.h"

#define PLAIN_EDGE_M (0.36 - 0.15) /* the plain sink's edge; things keep clear of it */

typedef struct spot {
    double x, y, yaw;
} spot;

/* What a layout must respect: circles that hold the things, the area they may lie in, the side of the sink. */
typedef struct plan {
    const fw_obj_view *obj;
    double lo[2], hi[2]; /* of x and of y towards the sink */
    double side;         /* 1: the sink is at +y; -1: at -y */
} plan;

static plan look(const fw_scene *s) {
    const fw_region_view *sink = &s->region[KITCHEN_SINK];
    double edge = fabs(sink->pos[1]) - sink->half[1];
    return (plan){.obj = s->obj,
                  .lo = {0.32, -0.36},
                  .hi = {0.66, 0.09 + (edge - PLAIN_EDGE_M)},
                  .side = sink->pos[1] > 0 ? 1 : -1};
}

/* More room round the tall mug, for the hand beside it. */
static bool fits(const plan *p, const spot *at, const bool *placed, int obj, double gap) {
    const spot *a = &at[obj];
    if (hypot(a->x, fabs(a->y) + 0.04) > 0.72) {
        return false; /* the arm would be stretched out */
    }
    for (int o = 0; o < KITCHEN_N_OBJ; o++) {
        double tall = (o == KITCHEN_MUG || obj == KITCHEN_MUG) ? 0.015 : 0;
        if (placed[o] && hypot(a->x - at[o].x, a->y - at[o].y) < p->obj[o].radius + p->obj[obj].radius + gap + tall) {
            return false;
        }
    }
    return true;
}

/* The hand (21 x 7 cm, long along its fingers' line, its palm 6 cm up) must not come down on the mug or the bowl when it
 * pinches the plate's rim or takes the banana. */
static bool hand_fits(const plan *p, const spot *at, double x, double y, double finger_line) {
    static const double half_long = 0.105, half_wide = 0.035;
    for (int o = KITCHEN_MUG; o <= KITCHEN_BOWL; o++) {
        double dx = at[o].x - x, dy = at[o].y - y, c = cos(finger_line), sn = sin(finger_line);
        double along = fmax(0, fabs(c * dx + sn * dy) - half_long),
               across = fmax(0, fabs(c * dy - sn * dx) - half_wide);
        if (hypot(along, across) < p->obj[o].radius + 0.005) {
            return false;
        }
    }
    return true;
}

/* Any place, any yaw, no overlap: draw until it fits, and start over when the corner is painted. */
static void draw_layout(const plan *w, fw_rng *r, spot at[KITCHEN_N_OBJ]) {
    static const int order[KITCHEN_N_OBJ] = {KITCHEN_PLATE, KITCHEN_BANANA, KITCHEN_BOWL, KITCHEN_MUG};
    for (int attempt = 0;; attempt++) {
        bool placed[KITCHEN_N_OBJ] = {false};
        int n = 0;
        double gap = attempt < 200 ? 0.02 : 0.005;
        for (int k = 0; k < KITCHEN_N_OBJ; k++) {
            int o = order[k];
            for (int t = 0; t < 40 && !placed[o]; t++) {
                at[o].x = fw_rng_uniform(r, w->lo[0], w->hi[0]);
                at[o].y = w->side * fw_rng_uniform(r, w->lo[1], w->hi[1]);
                at[o].yaw = fw_rng_uniform(r, -M_PI, M_PI);
                placed[o] = fits(w, at, placed, o, gap);
            }
            n += placed[o];
        }
        const spot *p = &at[KITCHEN_PLATE], *b = &at[KITCHEN_BANANA];
        bool reachable = hand_fits(w, at, p->x, p->y - w->side * grasp_plate_rim(&w->obj[KITCHEN_PLATE]), M_PI / 2) &&
                         hand_fits(w, at, b->x, b->y, b->yaw + M_PI / 2);
        if ((n == KITCHEN_N_OBJ && reachable) || attempt > 2000) {
            return;
        }
    }
}

static void arrange(fw_sim *s, fw_rng *layout) {
    spot at[KITCHEN_N_OBJ] = {{0}};
    const plan p = look(fw_sim_scene(s));
    draw_layout(&p, layout, at);
    for (int o = 0; o < KITCHEN_N_OBJ; o++) {
        double z = o == KITCHEN_BANANA ? 0.0165 + (p.obj[o].height - 0.031) / 2 : 0.001;
        fw_sim_place(s, o, (double[]){at[o].x, at[o].y, z}, at[o].yaw, true);
    }
    double dx = fw_rng_uniform(layout, -0.015, 0.015), dy = fw_rng_uniform(layout, -0.015, 0.015);
    fw_sim_shift(s, "counter", dx, dy, 0);
}

static void paint(fw_sim *s, fw_rng *r) {
    float c[3];
    fw_hsv(fw_rng_unit(r), fw_rng_uniform(r, 0, 0.12), fw_rng_uniform(r, 0.8, 0.95), c); /* white, cream, pale */
    fw_sim_paint(s, "plate", c);
    double hue = fw_rng_unit(r); /* the mug any strong colour but a banana's, the bowl another one */
    while (hue > 0.09 && hue < 0.20) {
        hue = fw_rng_unit(r);
    }
    fw_hsv(hue, fw_rng_uniform(r, 0.6, 0.95), fw_rng_uniform(r, 0.45, 0.9), c);
    fw_sim_paint(s, "mug", c);
    fw_hsv(fmod(hue + fw_rng_uniform(r, 0.3, 0.7), 1), fw_rng_uniform(r, 0.3, 0.8), fw_rng_uniform(r, 0.35, 0.8), c);
    fw_sim_paint(s, "bowl", c);
    for (int k = 0; k < 3; k++) {
        c[k] = (float)(1 + fw_rng_uniform(r, -0.08, 0.08));
    }
    fw_sim_shade(s, "banana", c);
    fw_part_counter_paint(s, r);
}

static fw_status build(fw_world *w, fw_err *err) {
    (void)err;
    fw_part_counter_either(w);
    fw_part_plate(w, "plate");
    fw_part_mug(w, "mug");
    fw_part_bowl(w, "bowl");
    fw_part_banana(w, "banana");
    return FW_OK;
}

const fw_setting setting_kitchen = {.name = "kitchen", .build = build, .arrange = arrange, .paint = paint};
