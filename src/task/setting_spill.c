/*
 * setting_spill.c - a stain is wiped when the underside of the sponge moves over it, held by the hand and pressed to the table.
 *
 * DESIGN. Wetness is a bit a stain, kept in the scene's aux and shown by hiding its disc. Only the tick writes it; it looks at
 * contact, speed and where the sponge is, so a sponge that hovers, lies about, or is stamped down wipes nothing.
 */
#include "task/setting_spill.h"

#include <math.h>
#include <stdio.h>

#include "sim/parts.h"

#define EDGE_M     0.003 /* the sponge's rim does not count */
#define MOVING_M_S 0.02

static fw_status build(fw_world *w, fw_err *err) {
    (void)err;
    fw_part_table(w);
    fw_part_spill(w, "spill", (double[]){0.48, 0, 0}, SPILL_ROWS, SPILL_COLS);
    fw_part_sponge(w, "sponge");
    fw_part_toy(w, "bottle", "bottle");
    return FW_OK;
}

/* The spill anywhere in reach; sponge and bottle clear of it and of each other. */
static void arrange(fw_sim *s, fw_rng *r) {
    double x = fw_rng_uniform(r, -0.06, 0.06), y = fw_rng_uniform(r, -0.20, 0.20), turn = fw_rng_uniform(r, -0.5, 0.5);
    fw_sim_shift(s, "spill", x, y, turn);
    double at[SPILL_N_OBJ][2];
    for (int n = 0; n < SPILL_N_OBJ;) {
        at[n][0] = fw_rng_uniform(r, 0.34, 0.62);
        at[n][1] = fw_rng_uniform(r, -0.34, 0.34);
        bool far = hypot(at[n][0] - 0.48 - x, at[n][1] - y) > (n == SPILL_BOTTLE ? 0.22 : 0.17);
        bool apart = n == 0 || hypot(at[0][0] - at[n][0], at[0][1] - at[n][1]) > 0.17;
        n += far && apart;
    }
    for (int o = 0; o < SPILL_N_OBJ; o++) {
        fw_sim_place(s, o, (double[]){at[o][0], at[o][1], 0.001}, fw_rng_uniform(r, -M_PI, M_PI), true);
    }
}

static void paint(fw_sim *s, fw_rng *r) {
    static const float liquid[5][3] = {{0.50f, 0.06f, 0.14f},
                                       {0.30f, 0.16f, 0.06f},
                                       {0.93f, 0.93f, 0.90f},
                                       {0.85f, 0.45f, 0.05f},
                                       {0.20f, 0.35f, 0.10f}};
    float c[3];
    fw_part_counter_paint(s, r);
    fw_sim_paint(s, "spill", liquid[fw_rng_below(r, 5)]);
    for (int o = 0; o < SPILL_N_OBJ; o++) {
        for (int k = 0; k < 3; k++) {
            c[k] = (float)fw_rng_uniform(r, 0.6, 1.15);
        }
        fw_sim_shade(s, o == SPILL_SPONGE ? "sponge" : "bottle", c);
    }
}

void spill_stain(const fw_region_view *p, int i, double out[3]) {
    double c = cos(p->yaw), s = sin(p->yaw), dx = (((i / SPILL_COLS) + 0.5) * 2 / SPILL_ROWS - 1) * p->half[0],
           dy = (((i % SPILL_COLS) + 0.5) * 2 / SPILL_COLS - 1) * p->half[1];
    out[0] = p->pos[0] + c * dx - s * dy, out[1] = p->pos[1] + s * dx + c * dy, out[2] = p->pos[2];
}

static void tick(fw_sim *sim, fw_scene *s) {
    const fw_obj_view *w = &s->obj[SPILL_SPONGE];
    bool wiping = w->touches_hand && w->touches_world && w->up > 0.97 && w->speed > MOVING_M_S;
    double k = fmin(1, s->arm[0].opening_m / 0.08), c = cos(w->yaw), sn = sin(w->yaw);
    for (int i = 0; i < SPILL_N; i++) {
        double at[3];
        char geom[32];
        spill_stain(&s->region[SPILL_STAINS], i, at);
        double dx = at[0] - w->pos[0], dy = at[1] - w->pos[1];
        bool under =
            fabs(c * dx + sn * dy) < FW_SPONGE_X_M * k - EDGE_M && fabs(c * dy - sn * dx) < FW_SPONGE_Y_M * k - EDGE_M;
        if (wiping && under) {
            s->aux[i] = 1;
        }
        snprintf(geom, sizeof geom, "spill_%d", i);
        fw_sim_show(sim, geom, s->aux[i] < 0.5);
    }
}

const fw_setting setting_spill = {.name = "spill", .build = build, .arrange = arrange, .paint = paint, .tick = tick};
