/* scatter.c - rejection sampling: draw until it fits, start over when cornered. */
#include "task/scatter.h"

#include <math.h>
#include <string.h>

#include "task/grasps.h"

enum { TRIES = 60, STARTS = 400, DOTS = 5 };
#define GAP_M        0.012 /* between things */
#define HAND_GAP_M   0.012 /* between a thing and the hand beside it */
#define FINGERS_LONG 0.062 /* half the open fingers' reach along their line, and their half width */
#define FINGERS_WIDE 0.013
#define PALM_LONG    0.105
#define PALM_WIDE    0.035
#define PALM_M       0.055  /* the palm over the fingertips */
#define AWAY_M       (-0.4) /* under the counter */
#define FAR_M        0.72   /* beyond it the arm is stretched out */

static footprint shape(const fw_obj_view *o) {
    bool cutlery = strcmp(o->kind, "fork") == 0 || strcmp(o->kind, "knife") == 0 || strcmp(o->kind, "spoon") == 0;
    bool banana = strcmp(o->kind, "banana") == 0;
    double radius = cutlery ? 0.016 : banana ? 0.03 : o->radius;
    return (footprint){.half_len = o->radius - radius, .radius = radius, .height = o->height};
}

/* The i-th of DOTS circles that make up a footprint. */
static void dot(const footprint *f, int i, double out[2]) {
    double t = f->half_len * (2.0 * i / (DOTS - 1) - 1);
    out[0] = f->x + t * cos(f->yaw), out[1] = f->y + t * sin(f->yaw);
}

static bool apart(const footprint *a, const footprint *b) {
    for (int i = 0; i < DOTS * DOTS; i++) {
        double p[2], q[2];
        dot(a, i % DOTS, p);
        dot(b, i / DOTS, q);
        if (hypot(p[0] - q[0], p[1] - q[1]) < a->radius + b->radius + GAP_M) {
            return false;
        }
    }
    return true;
}

static bool box_clear(const double at[2], double line, double half_long, double half_wide, const footprint *b) {
    double c = cos(line), sn = sin(line);
    for (int i = 0; i < DOTS; i++) {
        double q[2];
        dot(b, i, q);
        double dx = q[0] - at[0], dy = q[1] - at[1], along = fmax(0, fabs(c * dx + sn * dy) - half_long),
               across = fmax(0, fabs(c * dy - sn * dx) - half_wide);
        if (hypot(along, across) < b->radius + HAND_GAP_M) {
            return false;
        }
    }
    return true;
}

/* The hand comes down on a, beside b. */
static bool hand_fits(const fw_scene *s, int obj, const footprint *a, const footprint *b) {
    static const double tip_m = 0.010;
    fw_scene one = {.arm = {s->arm[0]}};
    fw_pick p = {0};
    one.obj[0] = s->obj[obj];
    one.obj[0].pos[0] = one.obj[0].mid[0] = a->x, one.obj[0].pos[1] = one.obj[0].mid[1] = a->y;
    one.obj[0].pos[2] = one.obj[0].mid[2] = 0;
    one.obj[0].yaw = a->yaw, one.obj[0].up = 1;
    grasp_of(&one, 0, &p);
    double line = p.grasp.yaw + M_PI / 2, palm = p.grasp.pos[2] - tip_m + PALM_M;
    return box_clear(p.grasp.pos, line, FINGERS_LONG, FINGERS_WIDE, b) &&
           (b->height < palm || box_clear(p.grasp.pos, line, PALM_LONG, PALM_WIDE, b));
}

static bool inside(const scatter_area *area, const footprint *f) {
    for (int i = 0; i < DOTS; i += DOTS - 1) {
        double p[2];
        dot(f, i, p);
        for (int k = 0; k < 2; k++) {
            if (p[k] - f->radius < area->lo[k] || p[k] + f->radius > area->hi[k]) {
                return false;
            }
        }
    }
    return hypot(f->x, fabs(f->y) + 0.04) < FAR_M;
}

static bool fits(const fw_scene *s, const scatter_area *area, const int *obj, const footprint *at, int n) {
    bool ok = inside(area, &at[n]);
    for (int i = 0; ok && i < area->n_wall; i++) {
        ok = apart(&at[n], &area->wall[i]) && hand_fits(s, obj[n], &at[n], &area->wall[i]);
    }
    for (int i = 0; ok && i < n; i++) {
        ok = apart(&at[n], &at[i]) && hand_fits(s, obj[n], &at[n], &at[i]) && hand_fits(s, obj[i], &at[i], &at[n]);
    }
    return ok;
}

bool scatter(const fw_scene *s, const scatter_area *area, const int *obj, int n, fw_rng *r, footprint *at) {
    for (int start = 0; start < STARTS; start++) {
        int k = 0;
        for (int tries = 0; k < n && tries < TRIES; tries++) {
            at[k] = shape(&s->obj[obj[k]]);
            double turn = at[k].half_len > 0 ? area->yaw_max : M_PI;
            at[k].x = fw_rng_uniform(r, area->lo[0], area->hi[0]);
            at[k].y = fw_rng_uniform(r, area->lo[1], area->hi[1]);
            at[k].yaw = fw_rng_uniform(r, -turn, turn);
            if (fits(s, area, obj, at, k)) {
                k++;
                tries = 0;
            }
        }
        if (k == n) {
            return true;
        }
    }
    return false;
}

/* Height of its origin over what it lies on. */
static double rest_z(const fw_obj_view *o) {
    return fmax(0.001, o->rest_z);
}

void scatter_put(fw_sim *sim, const int *obj, int n, const footprint *at) {
    const fw_scene *s = fw_sim_scene(sim);
    for (int o = 0; o < s->n_obj; o++) {
        bool here = false;
        for (int i = 0; i < n; i++) {
            here = here || obj[i] == o;
        }
        if (!here) {
            fw_sim_park(sim, o, (double[]){-0.2 + 0.2 * (o / 5), -0.5 + 0.2 * (o % 5), AWAY_M});
        }
    }
    for (int i = 0; i < n; i++) {
        fw_sim_place(sim, obj[i], (double[]){at[i].x, at[i].y, rest_z(&s->obj[obj[i]])}, at[i].yaw, true);
    }
}

bool scatter_there(const fw_scene *s, int obj) {
    return s->obj[obj].start[2] > 0.5 * AWAY_M;
}
