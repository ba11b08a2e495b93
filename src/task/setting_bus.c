/* setting_bus.c - three to six things of ten, at least one dish and one piece of rubbish. */
#include "task/setting_bus.h"

#include <math.h>

#include "sim/parts.h"
#include "task/scatter.h"

enum { FEWEST = 3, MOST = 6 };
#define BIN_X_M 0.47
#define BIN_Y_M (-0.41)

static fw_status build(fw_world *w, fw_err *err) {
    (void)err;
    fw_part_counter(w);
    fw_part_bin(w, "bin", (double[]){BIN_X_M, BIN_Y_M, 0}, 0);
    fw_part_plate(w, "plate");
    fw_part_bowl(w, "bowl");
    fw_part_mug(w, "mug");
    fw_part_cutlery(w, "fork", "fork");
    fw_part_cutlery(w, "spoon", "spoon");
    fw_part_rubbish(w, "paper", "paper");
    fw_part_rubbish(w, "can", "can");
    fw_part_rubbish(w, "carton", "carton");
    fw_part_rubbish(w, "peel", "peel");
    return FW_OK;
}

/* Which things: distinct, in the order of their indices, of both sorts. */
static int choose(fw_rng *r, int *obj) {
    int n = FEWEST + (int)fw_rng_below(r, MOST - FEWEST + 1), k, dishes;
    bool in[BUS_N_OBJ];
    do {
        k = dishes = 0;
        for (int o = 0; o < BUS_N_OBJ; o++) {
            in[o] = fw_rng_below(r, (uint64_t)(BUS_N_OBJ - o)) < (uint64_t)(n - k);
            dishes += in[o] && o < BUS_N_DISH;
            k += in[o];
        }
    } while (dishes == 0 || dishes == n);
    k = 0;
    for (int o = 0; o < BUS_N_OBJ; o++) {
        if (in[o]) {
            obj[k++] = o;
        }
    }
    return k;
}

static void arrange(fw_sim *s, fw_rng *r) {
    const fw_scene *scene = fw_sim_scene(s);
    int obj[MOST], n;
    footprint at[MOST];
    double half[2] = {scene->region[BUS_BIN].half[0], scene->region[BUS_BIN].half[1]},
           shift[2] = {fw_rng_uniform(r, -0.02, 0.02), fw_rng_uniform(r, -0.01, 0.01)};
    footprint wall = {BIN_X_M + shift[0], BIN_Y_M + shift[1] + half[1], 0, half[0], 0.01, 0.1};
    scatter_area area = {.lo = {0.29, -0.30}, .hi = {0.71, 0.185}, .yaw_max = M_PI, .wall = &wall, .n_wall = 1};
    do {
        n = choose(r, obj);
    } while (!scatter(scene, &area, obj, n, r, at));
    scatter_put(s, obj, n, at);
    fw_sim_shift(s, "bin", shift[0], shift[1], 0);
    double dx = fw_rng_uniform(r, -0.015, 0.015), dy = fw_rng_uniform(r, -0.01, 0.015);
    fw_sim_shift(s, "counter", dx, dy, 0);
}

static void tint(fw_sim *s, const char *body, fw_rng *r, double least, double most) {
    float c[3];
    for (int k = 0; k < 3; k++) {
        c[k] = (float)fw_rng_uniform(r, least, most);
    }
    fw_sim_shade(s, body, c);
}

static void paint(fw_sim *s, fw_rng *r) {
    float c[3];
    fw_hsv(fw_rng_unit(r), fw_rng_uniform(r, 0, 0.12), fw_rng_uniform(r, 0.8, 0.95), c);
    fw_sim_paint(s, "plate", c);
    double hue = fw_rng_unit(r);
    fw_hsv(hue, fw_rng_uniform(r, 0.6, 0.95), fw_rng_uniform(r, 0.45, 0.9), c);
    fw_sim_paint(s, "mug", c);
    fw_hsv(fmod(hue + fw_rng_uniform(r, 0.3, 0.7), 1), fw_rng_uniform(r, 0.3, 0.8), fw_rng_uniform(r, 0.35, 0.8), c);
    fw_sim_paint(s, "bowl", c);
    for (const char *const *b = (const char *const[]){"fork", "spoon", "paper", "can", "carton", "peel", NULL};
         *b != NULL; b++) {
        tint(s, *b, r, 0.85, 1.1);
    }
    tint(s, "bin", r, 0.6, 1.8);
    fw_part_counter_paint(s, r);
}

const fw_setting setting_bus = {.name = "bus", .build = build, .arrange = arrange, .paint = paint};
