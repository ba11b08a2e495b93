/*
 * reset.c - what an episode draws: where things lie ("layout"), how they look ("visual"), how they feel ("dynamics").
 *
 * Only fields that MuJoCo allows to change on a compiled model are touched, always from the pristine copy m0.
 */
#include <math.h>
#include <string.h>

#include "sim/sim_int.h"

typedef struct spot {
    double x, y, yaw;
} spot;

/* Radius of the circle that holds an object, and more room round the tall mug, for the hand beside it. */
static const double reach_m[FW_N_OBJ] = {0.082, 0.048, 0.068, 0.074};
static const double area_lo[2] = {0.32, -0.36}, area_hi[2] = {0.66, 0.09};

static bool fits(const spot *at, const bool *placed, int obj, double gap) {
    const spot *a = &at[obj];
    if (hypot(a->x, fabs(a->y) + 0.04) > 0.72) {
        return false; /* the arm would be stretched out */
    }
    for (int o = 0; o < FW_N_OBJ; o++) {
        double tall = (o == FW_OBJ_MUG || obj == FW_OBJ_MUG) ? 0.015 : 0;
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
    for (int o = FW_OBJ_MUG; o <= FW_OBJ_BOWL; o++) {
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
static void draw_layout(fw_rng *r, spot at[FW_N_OBJ]) {
    static const int order[FW_N_OBJ] = {FW_OBJ_PLATE, FW_OBJ_BANANA, FW_OBJ_BOWL, FW_OBJ_MUG};
    for (int attempt = 0;; attempt++) {
        bool placed[FW_N_OBJ] = {false};
        int n = 0;
        double gap = attempt < 200 ? 0.02 : 0.005;
        for (int k = 0; k < FW_N_OBJ; k++) {
            int o = order[k];
            for (int t = 0; t < 40 && !placed[o]; t++) {
                at[o] = (spot){fw_rng_uniform(r, area_lo[0], area_hi[0]), fw_rng_uniform(r, area_lo[1], area_hi[1]),
                               fw_rng_uniform(r, -mjPI, mjPI)};
                placed[o] = fits(at, placed, o, gap);
            }
            n += placed[o];
        }
        const spot *p = &at[FW_OBJ_PLATE], *b = &at[FW_OBJ_BANANA];
        bool reachable =
            hand_fits(at, p->x, p->y - FW_PLATE_RIM_M, mjPI / 2) && hand_fits(at, b->x, b->y, b->yaw + mjPI / 2);
        if ((n == FW_N_OBJ && reachable) || attempt > 2000) {
            return;
        }
    }
}

static void hsv(double h, double s, double v, float out[3]) {
    for (int i = 0; i < 3; i++) {
        double k = fmod(6 * h + (i == 0 ? 5 : i == 1 ? 3 : 1), 6);
        out[i] = (float)(v - v * s * fmax(0, fmin(fmin(k, 4 - k), 1)));
    }
}

static void paint_body(fw_sim *s, int body, const float c[3]) {
    for (int g = s->m->body_geomadr[body]; g < s->m->body_geomadr[body] + s->m->body_geomnum[body]; g++) {
        memcpy(s->m->geom_rgba + 4 * g, c, 3 * sizeof *c);
    }
}

/* A shade around the compiled colour. */
static void shade_body(fw_sim *s, fw_rng *r, int body, double amount) {
    float gain[3];
    for (int k = 0; k < 3; k++) {
        gain[k] = (float)(1 + fw_rng_uniform(r, -amount, amount));
    }
    for (int g = s->m->body_geomadr[body]; g < s->m->body_geomadr[body] + s->m->body_geomnum[body]; g++) {
        for (int k = 0; k < 3; k++) {
            s->m->geom_rgba[4 * g + k] = fminf(1, s->m0->geom_rgba[4 * g + k] * gain[k]);
        }
    }
}

static void draw_colours(fw_sim *s, fw_rng *r) {
    float c[3];
    hsv(fw_rng_unit(r), fw_rng_uniform(r, 0, 0.12), fw_rng_uniform(r, 0.8, 0.95),
        c); /* plates are white, cream, pale */
    paint_body(s, s->obj_body[FW_OBJ_PLATE], c);
    double hue = fw_rng_unit(r); /* the mug any strong colour but a banana's, the bowl another one */
    while (hue > 0.09 && hue < 0.20) {
        hue = fw_rng_unit(r);
    }
    hsv(hue, fw_rng_uniform(r, 0.6, 0.95), fw_rng_uniform(r, 0.45, 0.9), c);
    paint_body(s, s->obj_body[FW_OBJ_MUG], c);
    hsv(fmod(hue + fw_rng_uniform(r, 0.3, 0.7), 1), fw_rng_uniform(r, 0.3, 0.8), fw_rng_uniform(r, 0.35, 0.8), c);
    paint_body(s, s->obj_body[FW_OBJ_BOWL], c);
    shade_body(s, r, s->obj_body[FW_OBJ_BANANA], 0.08);

    int look = (int)fw_rng_below(r, N_COUNTER_LOOK), sink = mj_name2id(s->m, mjOBJ_GEOM, "sink_floor");
    hsv(fw_rng_uniform(r, 0.02, 0.16), fw_rng_uniform(r, 0, 0.55), fw_rng_uniform(r, 0.3, 0.95), c);
    double steel = fw_rng_uniform(r, 0.6, 1.35);
    for (int g = s->m->body_geomadr[s->counter]; g < s->m->body_geomadr[s->counter] + s->m->body_geomnum[s->counter];
         g++) {
        if (s->m->geom_matid[g] >= 0) {
            s->m->geom_matid[g] = look;
            memcpy(s->m->geom_rgba + 4 * g, c, sizeof c);
        } else {
            for (int k = 0; k < 3; k++) {
                s->m->geom_rgba[4 * g + k] =
                    fminf(1, s->m0->geom_rgba[4 * g + k] * (float)(steel * (g == sink ? 0.9 : 1)));
            }
        }
    }
    hsv(fw_rng_unit(r), fw_rng_uniform(r, 0, 0.4), fw_rng_uniform(r, 0.2, 0.8), c);
    int floor = mj_name2id(s->m, mjOBJ_GEOM, "floor");
    memcpy(s->m->geom_rgba + 4 * floor, c, sizeof c);
}

static void draw_lights(fw_sim *s, fw_rng *r) {
    mjModel *m = s->m;
    for (int i = 0; i < N_LIGHT; i++) {
        double bright = fw_rng_uniform(r, 0.1, i == 0 ? 0.55 : 0.3), warm = fw_rng_uniform(r, -0.12, 0.12);
        for (int k = 0; k < 3; k++) {
            m->light_diffuse[3 * i + k] = (float)(bright * (1 + (k == 0 ? warm : k == 2 ? -warm : 0)));
        }
        double az = fw_rng_uniform(r, -mjPI, mjPI), tilt = fw_rng_uniform(r, 0.1, 0.9);
        mjtNum *dir = m->light_dir + 3 * i;
        dir[0] = sin(tilt) * cos(az), dir[1] = sin(tilt) * sin(az), dir[2] = -cos(tilt);
    }
    float ambient = (float)fw_rng_uniform(r, 0.15, 0.35), head = (float)fw_rng_uniform(r, 0.1, 0.3);
    for (int k = 0; k < 3; k++) {
        m->vis.headlight.ambient[k] = ambient;
        m->vis.headlight.diffuse[k] = head;
        m->vis.headlight.specular[k] = 0.05f;
    }
}

static void draw_cameras(fw_sim *s, fw_rng *r) {
    mjModel *m = s->m;
    for (int c = 0; c < m->ncam; c++) {
        bool front = c == mj_name2id(m, mjOBJ_CAMERA, "front");
        double off = front ? 0.015 : 0.003, turn = front ? 0.015 : 0.015, axis[3], q[4];
        for (int k = 0; k < 3; k++) {
            m->cam_pos[3 * c + k] = s->m0->cam_pos[3 * c + k] + fw_rng_uniform(r, -off, off);
            axis[k] = fw_rng_uniform(r, -1, 1);
        }
        mju_normalize3(axis);
        mju_axisAngle2Quat(q, axis, fw_rng_uniform(r, -turn, turn));
        mju_mulQuat(m->cam_quat + 4 * c, s->m0->cam_quat + 4 * c, q);
        m->cam_fovy[c] = s->m0->cam_fovy[c] * fw_rng_uniform(r, 0.98, 1.02);
    }
}

static void draw_dynamics(fw_sim *s, fw_rng *r) {
    mjModel *m = s->m;
    for (int o = 0; o < FW_N_OBJ; o++) {
        int b = s->obj_body[o];
        double heavy = fw_rng_uniform(r, 0.75, 1.35), slide = fw_rng_uniform(r, 0.75, 1.3);
        m->body_mass[b] = s->m0->body_mass[b] * heavy;
        mju_scl3(m->body_inertia + 3 * b, s->m0->body_inertia + 3 * b, heavy);
        for (int g = m->body_geomadr[b]; g < m->body_geomadr[b] + m->body_geomnum[b]; g++) {
            m->geom_friction[3 * g] = s->m0->geom_friction[3 * g] * slide;
        }
    }
    double grip = fw_rng_uniform(r, 0.8, 1.15);
    for (int i = 1; i <= 2; i++) {
        int g = mj_name2id(m, mjOBJ_GEOM, i == 1 ? "finger1_pad_collision" : "finger2_pad_collision");
        m->geom_friction[3 * g] = s->m0->geom_friction[3 * g] * grip;
    }
    mj_setConst(m, s->d);
}

void sim_draw(fw_sim *s, uint64_t seed, double hand_pos[3], double *hand_yaw) {
    fw_rng layout = fw_rng_stream(seed, "layout"), visual = fw_rng_stream(seed, "visual"),
           dynamics = fw_rng_stream(seed, "dynamics");
    draw_dynamics(s, &dynamics);
    mj_resetData(s->m, s->d);
    spot at[FW_N_OBJ] = {{0}};
    draw_layout(&layout, at);
    for (int o = 0; o < FW_N_OBJ; o++) {
        double z = o == FW_OBJ_BANANA ? 0.0165 : 0.001;
        fw_sim_place(s, (fw_obj)o, (double[]){at[o].x, at[o].y, z}, at[o].yaw, true);
    }
    double *shift = s->d->mocap_pos + 3 * s->counter_mocap;
    shift[0] = fw_rng_uniform(&layout, -0.015, 0.015), shift[1] = fw_rng_uniform(&layout, -0.015, 0.015), shift[2] = 0;
    hand_pos[0] = 0.40 + fw_rng_uniform(&layout, -0.04, 0.04);
    hand_pos[1] = -0.05 + fw_rng_uniform(&layout, -0.06, 0.06);
    hand_pos[2] = 0.26 + fw_rng_uniform(&layout, -0.03, 0.03);
    *hand_yaw = fw_rng_uniform(&layout, -0.15, 0.15);
    draw_colours(s, &visual);
    draw_lights(s, &visual);
    draw_cameras(s, &visual);
}
