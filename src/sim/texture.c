/* texture.c - see texture.h. Every kind gives the grey level 0..1 of a place (u, v) in [0,1)^2; 1 is the surface's light. */
#include "sim/texture.h"

#include <math.h>
#include <string.h>

#define TAU 6.283185307179586

enum { N_WAVE = 6, N_CELL = 12 };

/* The numbers of one surface. */
typedef struct surface {
    double phase[N_WAVE];
    int fx[N_WAVE], fy[N_WAVE]; /* whole numbers: the torus closes */
    double cell[N_CELL][2];
    int n;        /* how many stripes, tiles ... */
    double width; /* of a joint or stripe, 0..1 */
} surface;

static surface surface_draw(fw_rng *r) {
    surface s;
    for (int i = 0; i < N_WAVE; i++) {
        s.phase[i] = fw_rng_uniform(r, 0, TAU);
        s.fx[i] = 1 + (int)fw_rng_below(r, 4);
        s.fy[i] = 1 + (int)fw_rng_below(r, 4);
    }
    for (int i = 0; i < N_CELL; i++) {
        s.cell[i][0] = fw_rng_unit(r);
        s.cell[i][1] = fw_rng_unit(r);
    }
    s.n = 2 + (int)fw_rng_below(r, 5);
    s.width = fw_rng_uniform(r, 0.06, 0.3);
    return s;
}

static double wave(const surface *s, int i, double u, double v) {
    return sin(TAU * (s->fx[i] * u + s->fy[i] * v) + s->phase[i]);
}
static double frac(double x) {
    return x - floor(x);
}
static double step_in(double x, double width) { /* 0 inside the joint, 1 elsewhere */
    return x < width ? 0 : 1;
}

/* Distance to the nearest of the cells' points on the torus, 0..1. */
static double cells(const surface *s, double u, double v) {
    double best = 1;
    for (int i = 0; i < N_CELL; i++) {
        double dx = fabs(u - s->cell[i][0]), dy = fabs(v - s->cell[i][1]);
        dx = fmin(dx, 1 - dx), dy = fmin(dy, 1 - dy);
        best = fmin(best, sqrt(dx * dx + dy * dy));
    }
    return fmin(1, best * 4);
}

static double grey(fw_texture kind, const surface *s, double u, double v, double noise) {
    double warp = 0.5 * wave(s, 1, u, v);
    switch (kind) {
    case FW_TEXTURE_WOOD:
        return 0.5 + 0.4 * sin(TAU * 2 * s->n * v + 0.8 * sin(TAU * u + s->phase[0]) + warp) + 0.1 * noise;
    case FW_TEXTURE_GRANITE:
        return 0.5 + 0.5 * noise;
    case FW_TEXTURE_TILES:
        return fmin(step_in(frac(s->n * u), 0.3 * s->width), step_in(frac(s->n * v), 0.3 * s->width));
    case FW_TEXTURE_MARBLE:
        return 0.5 +
               0.5 * sin(TAU * u + 2 * sin(TAU * v + s->phase[1])) * sin(2 * TAU * v + sin(TAU * u + s->phase[2]));
    case FW_TEXTURE_CHECKER:
        return ((int)floor(2 * s->n * u) + (int)floor(2 * s->n * v)) % 2;
    case FW_TEXTURE_STRIPES:
        return step_in(frac(s->n * u), 2 * s->width);
    case FW_TEXTURE_GRADIENT:
        return 0.5 + 0.5 * cos(TAU * v + s->phase[0]);
    case FW_TEXTURE_WEAVE:
        return 0.25 * (2 + sin(TAU * 4 * s->n * u) + sin(TAU * 4 * s->n * v)) + 0.1 * noise;
    case FW_TEXTURE_CELLS:
        return cells(s, u, v);
    case FW_TEXTURE_ZIGZAG:
        return step_in(frac(s->n * v + 2 * fabs(frac(s->n * u) - 0.5)), 0.5);
    case FW_TEXTURE_DOTS:
        return hypot(frac(s->n * u) - 0.5, frac(s->n * v) - 0.5) < 0.15 + s->width ? 0 : 1;
    default:
        return 1;
    }
}

void fw_texture_draw(fw_texture kind, fw_rng *r, double contrast, int n, int channels, uint8_t *px) {
    surface s = surface_draw(r);
    double lo = 0.92 * (1 - contrast), span = 0.92 * contrast;
    for (int y = 0; y < n; y++) {
        for (int x = 0; x < n; x++) {
            double g = grey(kind, &s, (x + 0.5) / n, (y + 0.5) / n, fw_rng_uniform(r, -1, 1));
            uint8_t *p = px + (size_t)channels * ((size_t)y * (size_t)n + (size_t)x);
            memset(p, (int)(255 * (lo + span * fmin(1, fmax(0, g)))), (size_t)channels);
            if (channels == 4) {
                p[3] = 255;
            }
        }
    }
}
