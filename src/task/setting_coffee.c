/*
 * setting_coffee.c - the machine runs when its button is pressed with a mug under the spout, and stops when the mug is full or gone.
 *
 * DESIGN. The coffee itself is two numbers in the scene's aux, written by the tick: how full the mug is, whether the machine runs.
 * A mug that tips over is empty. The stream and the coffee's surface are geoms that the tick shows.
 */
#include "task/setting_coffee.h"

#include <math.h>

#include "sim/parts.h"

#define FILL_S    2.5
#define SPILLS_UP 0.75 /* a mug that leans more than this is empty */

static fw_status build(fw_world *w, fw_err *err) {
    (void)err;
    fw_part_table(w);
    fw_part_coffee_machine(w, "machine", (double[]){0.50, -0.20, 0}, M_PI / 2);
    fw_part_coaster(w, "coaster", (double[]){0.48, 0.20, 0});
    fw_part_coffee_mug(w, "mug");
    fw_part_rubbish(w, "milk", "carton");
    return FW_OK;
}

/* The mug's handle points to the left half, where the hand comes from. */
static void arrange(fw_sim *s, fw_rng *r) {
    double mug[2], milk[2], coaster[2];
    fw_sim_shift(s, "machine", fw_rng_uniform(r, -0.05, 0.05), fw_rng_uniform(r, -0.03, 0.03),
                 fw_rng_uniform(r, -0.2, 0.2));
    do {
        mug[0] = fw_rng_uniform(r, 0.36, 0.60), mug[1] = fw_rng_uniform(r, 0.03, 0.28);
        milk[0] = fw_rng_uniform(r, 0.34, 0.64), milk[1] = fw_rng_uniform(r, 0.02, 0.36);
        coaster[0] = fw_rng_uniform(r, 0.38, 0.60), coaster[1] = fw_rng_uniform(r, 0.08, 0.26);
    } while (hypot(mug[0] - coaster[0], mug[1] - coaster[1]) < 0.13 ||
             hypot(milk[0] - mug[0], milk[1] - mug[1]) < 0.20 ||
             hypot(milk[0] - coaster[0], milk[1] - coaster[1]) < 0.20);
    fw_sim_shift(s, "coaster", coaster[0] - 0.48, coaster[1] - 0.20, 0);
    fw_sim_place(s, COFFEE_MUG, (double[]){mug[0], mug[1], 0.001}, fw_rng_uniform(r, 0.4, 1.75), true);
    fw_sim_place(s, COFFEE_MILK, (double[]){milk[0], milk[1], 0.001}, fw_rng_uniform(r, -M_PI, M_PI), true);
}

static void paint(fw_sim *s, fw_rng *r) {
    float c[3];
    fw_part_counter_paint(s, r);
    double gain = fw_rng_uniform(r, 0.6, 2.2);
    for (int k = 0; k < 3; k++) {
        c[k] = (float)(gain * fw_rng_uniform(r, 0.85, 1.15));
    }
    fw_sim_shade(s, "machine", c);
    for (int k = 0; k < 3; k++) {
        c[k] = (float)fw_rng_uniform(r, 0.6, 1.3);
    }
    fw_sim_shade(s, "mug", c);
    fw_sim_shade(s, "coaster", c);
}

bool coffee_under_spout(const fw_scene *s) {
    const fw_obj_view *m = &s->obj[COFFEE_MUG];
    const fw_region_view *t = &s->region[COFFEE_TRAY];
    double dx = m->pos[0] - t->pos[0], dy = m->pos[1] - t->pos[1];
    return hypot(dx, dy) < t->half[0] && fabs(m->pos[2] - t->pos[2]) < 0.006 && m->up > 0.97;
}

static void tick(fw_sim *sim, fw_scene *s) {
    double *fill = &s->aux[COFFEE_FILL], *brewing = &s->aux[COFFEE_BREWING], dt = s->t_s - s->aux[COFFEE_SINCE];
    bool placed = coffee_under_spout(s), pressed = s->hinge[COFFEE_BUTTON].pos > FW_BUTTON_PRESSED_M;
    s->aux[COFFEE_SINCE] = s->t_s;
    *brewing = placed && *fill < 1 && (*brewing > 0.5 || pressed);
    if (*brewing > 0.5) {
        *fill = fmin(1, *fill + fmax(0, dt) / FILL_S);
    }
    *fill = s->obj[COFFEE_MUG].up < SPILLS_UP ? 0 : *fill;
    fw_sim_show(sim, "machine_stream", *brewing > 0.5);
    fw_sim_show(sim, "mug_coffee", *fill > 0.6);
}

const fw_setting setting_coffee = {.name = "coffee", .build = build, .arrange = arrange, .paint = paint, .tick = tick};
