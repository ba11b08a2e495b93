/* setting_laundry.c - a table with one piece of laundry: a towel, or a shirt, spread out by somebody in a hurry. */
#include "task/setting_laundry.h"

#include <math.h>

#include "sim/parts.h"

#define ACROSS_YAW (-M_PI / 2) /* its columns run from the left arm's side (+y) to the right one's */

/* Where the cloth lies this episode: a few centimetres and degrees off, a little rumpled. */
static void arrange(fw_sim *s, fw_rng *r) {
    double dx = fw_rng_uniform(r, -0.03, 0.03), dy = fw_rng_uniform(r, -0.03, 0.03);
    double yaw = fw_rng_uniform(r, -0.30, 0.30);
    fw_part_cloth_lay(s, dx, dy, ACROSS_YAW + yaw, 0.012, r);
}

static void paint(fw_sim *s, fw_rng *r) {
    float c[3];
    fw_hsv(fw_rng_unit(r), fw_rng_uniform(r, 0.2, 0.8), fw_rng_uniform(r, 0.5, 0.95), c);
    fw_part_cloth_paint(s, c);
    fw_part_worktop_paint(s, r);
}

static fw_status build_towel(fw_world *w, fw_err *err) {
    (void)err;
    fw_part_worktop(w);
    fw_part_towel(w);
    return FW_OK;
}

static fw_status build_shirt(fw_world *w, fw_err *err) {
    (void)err;
    fw_part_worktop(w);
    fw_part_shirt(w);
    return FW_OK;
}

const fw_setting setting_towel = {.name = "laundry towel",
                                  .build = build_towel,
                                  .arrange = arrange,
                                  .paint = paint,
                                  .tick = fw_part_cloth_tick,
                                  .settle_s = 0.6};
const fw_setting setting_shirt = {.name = "laundry shirt",
                                  .build = build_shirt,
                                  .arrange = arrange,
                                  .paint = paint,
                                  .tick = fw_part_cloth_tick,
                                  .settle_s = 0.6};
