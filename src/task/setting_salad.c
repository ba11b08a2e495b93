/* setting_salad.c - the bowl stands at the left or at the right; what the cook may want lies on the rest of the table. */
#include "task/setting_salad.h"

#include <math.h>

#include "sim/parts.h"
#include "task/scatter.h"

enum { FEWEST = 4, MOST = 6 };

static const char *const kinds[SALAD_N_FOOD] = {"cucumber", "lettuce", "tomato",   "pepper", "carrot",
                                                "onion",    "egg",     "mushroom", "cheese"};

static fw_status build(fw_world *w, fw_err *err) {
    (void)err;
    fw_part_table(w);
    fw_part_table_room(w);
    for (int o = 0; o < SALAD_N_FOOD; o++) {
        fw_part_food(w, kinds[o], kinds[o]);
    }
    fw_part_salad_bowl(w, "salad_bowl");
    return FW_OK;
}

/* n distinct ingredients, in any order. */
static int choose(fw_rng *r, int obj[MOST]) {
    int n = FEWEST + (int)fw_rng_below(r, MOST - FEWEST + 1), all[SALAD_N_FOOD];
    for (int o = 0; o < SALAD_N_FOOD; o++) {
        all[o] = o;
    }
    for (int i = 0; i < n; i++) {
        int k = i + (int)fw_rng_below(r, (uint64_t)(SALAD_N_FOOD - i));
        obj[i] = all[k];
        all[k] = all[i];
    }
    return n;
}

static void arrange(fw_sim *s, fw_rng *r) {
    const fw_scene *scene = fw_sim_scene(s);
    const fw_obj_view *bowl = &scene->obj[SALAD_BOWL];
    int obj[MOST + 1], n;
    footprint at[MOST + 1], wall = {.radius = bowl->radius, .height = bowl->height};
    double side = fw_rng_unit(r) < 0.5 ? -1 : 1;
    wall.x = fw_rng_uniform(r, 0.44, 0.56);
    wall.y = side * fw_rng_uniform(r, 0.20, 0.27);
    scatter_area area = {.lo = {0.30, -0.34}, .hi = {0.68, 0.34}, .yaw_max = M_PI, .wall = &wall, .n_wall = 1};
    do {
        n = choose(r, obj);
    } while (!scatter(scene, &area, obj, n, r, at));
    obj[n] = SALAD_BOWL;
    at[n] = wall;
    scatter_put(s, obj, n + 1, at);
}

static void paint(fw_sim *s, fw_rng *r) {
    float c[3];
    double hue = fw_rng_unit(r), pale = fw_rng_uniform(r, 0.05, 0.4);
    fw_part_counter_paint(s, r);
    fw_hsv(hue, pale, fw_rng_uniform(r, 0.45, 0.95), c);
    fw_sim_paint(s, "salad_bowl", c);
    for (int o = 0; o < SALAD_N_FOOD; o++) {
        float ripe = (float)fw_rng_uniform(r, 0.85, 1.1);
        for (int k = 0; k < 3; k++) {
            c[k] = ripe * (float)fw_rng_uniform(r, 0.95, 1.05);
        }
        fw_sim_shade(s, kinds[o], c);
    }
}

const fw_setting setting_salad = {.name = "salad", .build = build, .arrange = arrange, .paint = paint};
