/* setting_kitchen.c - how the plain kitchen is arranged and painted (homes vary nothing here: it is the suite kitchen3's). */
#include "task/setting_kitchen.h"

#include <math.h>

#include "sim/parts.h"

typedef struct spot {
    double x, y, yaw;
} spot;

/* Radius of the circle that holds an object, and more room round the tall mug, for the hand beside it. */
static const double reach_m[KITCHEN_N_OBJ] = {0.082, 0.048, 0.068, 0.074};
static const double area_lo[2] = {0.32, -0.36}, area_hi[2] = {0.66, 0.09};

static bool fits(const spot *at, const bool *placed, int obj, double gap) {
    const spot *a = &at[obj];
    if (hypot(a->x, fabs(a->y) + 0.04) > 0.72) {
        return false; /* the arm would be stretched out */
    }
    for (int o = 0; o < KITCHEN_N_OBJ; o++) {
        double tall = (o == KITCHEN_MUG || obj == KITCHEN_MUG) ? 0.015 : 0;
        if (placed[o] && hypot(a->x - at[o].x, a->y - at[o].y) < reach_m[o] + reach_m[obj] + gap + tall) {
            return false;
        }
    }
    return true;
}

/* The hand (21 x 7 cm, long along its fingers' line, its palm 6 cm up) must not come down on the mug or the bowl when it
 * pinches the plate's rim or takes the banana. */
static bool hand_fits(const spot *at, double x, double y, double finger_line) {
    static const double half_long = 0.105, half_wide = 0.035;
    for (int o = KITCHEN_MUG; o <= KITCHEN_BOWL; o++) {
        double dx = at[o].x - x, dy = at[o].y - y, c = cos(finger_line), sn = sin(finger_line);
        double along = fmax(0, fabs(c * dx + sn * dy) - half_long),
               across = fmax(0, fabs(c * dy - sn * dx) - half_wide);
        if (hypot(along, across) < reach_m[o] + 0.005) {
            return false;
        }
    }
    return true;
}

/* Any place, any yaw, no overlap: draw until it fits, and start over when the corner is painted. */
static void draw_layout(fw_rng *r, spot at[KITCHEN_N_OBJ]) {
    static const int order[KITCHEN_N_OBJ] = {KITCHEN_PLATE, KITCHEN_BANANA, KITCHEN_BOWL, KITCHEN_MUG};
    for (int attempt = 0;; attempt++) {
        bool placed[KITCHEN_N_OBJ] = {false};
        int n = 0;
        double gap = attempt < 200 ? 0.02 : 0.005;
        for (int k = 0; k < KITCHEN_N_OBJ; k++) {
            int o = order[k];
            for (int t = 0; t < 40 && !placed[o]; t++) {
                at[o] = (spot){fw_rng_uniform(r, area_lo[0], area_hi[0]), fw_rng_uniform(r, area_lo[1], area_hi[1]),
                               fw_rng_uniform(r, -M_PI, M_PI)};
                placed[o] = fits(at, placed, o, gap);
            }
            n += placed[o];
        }
        const spot *p = &at[KITCHEN_PLATE], *b = &at[KITCHEN_BANANA];
        bool reachable =
            hand_fits(at, p->x, p->y - FW_PLATE_RIM_M, M_PI / 2) && hand_fits(at, b->x, b->y, b->yaw + M_PI / 2);
        if ((n == KITCHEN_N_OBJ && reachable) || attempt > 2000) {
            return;
        }
    }
}

static void arrange(fw_sim *s, fw_rng *layout) {
    spot at[KITCHEN_N_OBJ] = {{0}};
    draw_layout(layout, at);
    for (int o = 0; o < KITCHEN_N_OBJ; o++) {
        double z = o == KITCHEN_BANANA ? 0.0165 : 0.001;
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
    fw_part_counter(w);
    fw_part_plate(w, "plate");
    fw_part_mug(w, "mug");
    fw_part_bowl(w, "bowl");
    fw_part_banana(w, "banana");
    return FW_OK;
}

const fw_setting setting_kitchen = {.name = "kitchen", .build = build, .arrange = arrange, .paint = paint};
