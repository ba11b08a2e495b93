/*
 * wino_scalar.c - 3x3 convolutions by Winograd's minimal filtering, F(m x m, 3 x 3): the specification.
 *
 * A tile of m x m outputs and a 3x3 kernel are polynomials; their product is found from its values at m + 1 points and its leading
 * coefficient, in both directions: Y = A^T [(G g G^T) . (B^T d B)] A (arXiv 1509.09308). Points are 0, +-1 for m = 2 and 0, +-3/4, +-3/2 for
 * m = 4: of the common choices these round least in float, 4e-6 of the largest output for 512 channels (0, +-1, +-2: 2e-5).
 */
#include "kern/kern_int.h"

enum { N = 6 }; /* the larger tile: m + 2 */

/* -3/4 and so on, exact in binary */
#define A1 0.75
#define B1 1.5
#define A2 (A1 * A1)
#define B2 (B1 * B1)
#define D1 (2.0 * A2 * (A2 - B2))
#define D3 (2.0 * B2 * (B2 - A2))

typedef struct wino {
    double bt[N][N], g[N][3], at[N][N];
} wino;

static const wino two = {
    .bt = {{-1, 0, 1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, -1, 0, 1}},
    .g = {{-1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}},
    .at = {{1, 1, 1, 0}, {0, 1, -1, 1}},
};
static const wino four = {
    .bt = {{A2 * B2, 0, -A2 - B2, 0, 1, 0},
           {0, -A1 *B2, -B2, A1, 1, 0},
           {0, A1 *B2, -B2, -A1, 1, 0},
           {0, -B1 *A2, -A2, B1, 1, 0},
           {0, B1 *A2, -A2, -B1, 1, 0},
           {0, A2 *B2, 0, -A2 - B2, 0, 1}},
    .g = {{1 / (A2 * B2), 0, 0},
          {1 / D1, A1 / D1, A2 / D1},
          {1 / D1, -A1 / D1, A2 / D1},
          {1 / D3, B1 / D3, B2 / D3},
          {1 / D3, -B1 / D3, B2 / D3},
          {0, 0, 1}},
    .at = {{1, 1, 1, 1, 1, 0},
           {0, A1, -A1, B1, -B1, 0},
           {0, A2, A2, B2, B2, 0},
           {0, A1 *A2, -A1 *A2, B1 *B2, -B1 *B2, 1}},
};

static const wino *of(int m) {
    return m == 2 ? &two : &four;
}

static void wino_in(const fw_conv *d, int m, const float *x, int64_t t0, int64_t t1, float *in) {
    const wino *w = of(m);
    const int n = m + 2;
    const int64_t th = (d->oh + m - 1) / m, tw = (d->ow + m - 1) / m;
    for (int64_t t = t0; t < t1; t++) {
        const float *image = x + t / (th * tw) * d->h * d->w * d->c;
        const int64_t top = t / tw % th * m - d->pad_top, left = t % tw * m - d->pad_left;
        for (int64_t f = 0; f < n * n; f++) {
            for (int64_t c = 0; c < d->c; c++) {
                double sum = 0.0;
                for (int k = 0; k < n * n; k++) {
                    const int64_t i = top + k / n, j = left + k % n;
                    if (i >= 0 && i < d->h && j >= 0 && j < d->w) {
                        sum += w->bt[f / n][k / n] * w->bt[f % n][k % n] * (double)image[(i * d->w + j) * d->c + c];
                    }
                }
                in[(f * (t1 - t0) + t - t0) * d->c + c] = (float)sum;
            }
        }
    }
}

static void wino_weight(const fw_conv *d, int m, int64_t f, const float *w, int64_t o0, int64_t o1, float *u) {
    const double *row = of(m)->g[f / (m + 2)], *col = of(m)->g[f % (m + 2)];
    for (int64_t o = o0; o < o1; o++) {
        for (int64_t c = 0; c < d->c; c++) {
            double sum = 0.0;
            for (int k = 0; k < 9; k++) {
                sum += row[k / 3] * col[k % 3] * (double)w[(o * 9 + k) * d->c + c];
            }
            u[(o - o0) * d->c + c] = (float)sum;
        }
    }
}

static void wino_out(const fw_conv *d, int m, const float *p, int64_t t0, int64_t t1, const fw_epi *epi, float *y) {
    const wino *w = of(m);
    const int n = m + 2;
    const int64_t th = (d->oh + m - 1) / m, tw = (d->ow + m - 1) / m;
    for (int64_t t = t0; t < t1; t++) {
        for (int k = 0; k < m * m; k++) {
            const int64_t i = t / tw % th * m + k / m, j = t % tw * m + k % m;
            const int64_t r = (t / (th * tw) * d->oh + i) * d->ow + j;
            for (int64_t o = 0; o < d->o && i < d->oh && j < d->ow; o++) {
                double sum = 0.0;
                for (int f = 0; f < n * n; f++) {
                    sum += w->at[k / m][f / n] * w->at[k % m][f % n] * (double)p[(f * (t1 - t0) + t - t0) * d->o + o];
                }
                fw_epi_ref(epi, sum, r, o, &y[r * d->o + o]);
            }
        }
    }
}

void fw_kern_init_wino_scalar(fw_kern *k) {
    k->wino_tile = 4;
    k->wino_in = wino_in;
    k->wino_weight = wino_weight;
    k->wino_out = wino_out;
}
