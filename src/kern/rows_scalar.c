/* rows_scalar.c - norms, softmax, embeddings, FiLM, pooling, spatial softmax, as specified. */
#include <math.h>

#include "kern/kern_int.h"

static void layer_norm_fwd(const float *x, const float *gamma, const float *beta, float eps, float *y, float *mean,
                           float *rstd, int64_t r, int64_t c) {
    for (int64_t i = 0; i < r; i++) {
        const float *xi = x + i * c;
        double s = 0.0, q = 0.0;
        for (int64_t j = 0; j < c; j++) {
            s += (double)xi[j];
        }
        double mu = s / (double)c;
        for (int64_t j = 0; j < c; j++) {
            q += ((double)xi[j] - mu) * ((double)xi[j] - mu);
        }
        double rs = 1.0 / sqrt(q / (double)c + (double)eps);
        for (int64_t j = 0; j < c; j++) {
            y[i * c + j] = (float)(((double)xi[j] - mu) * rs * (double)gamma[j] + (double)beta[j]);
        }
        if (mean != NULL) {
            mean[i] = (float)mu;
        }
        if (rstd != NULL) {
            rstd[i] = (float)rs;
        }
    }
}

static void put(float *dst, bool accumulate, double v) {
    *dst = (float)(accumulate ? (double)*dst + v : v);
}

/* xhat = (x - mean) rstd, g = dy gamma: dx = rstd (g - mean(g) - xhat mean(g xhat)) */
static void layer_norm_bwd(const float *x, const float *gamma, const float *mean, const float *rstd, const float *dy,
                           float *dx, bool accumulate, float *dgamma, float *dbeta, int64_t r, int64_t c) {
    for (int64_t i = 0; i < r; i++) {
        double mu = (double)mean[i], rs = (double)rstd[i], sg = 0.0, sgx = 0.0;
        for (int64_t j = 0; j < c; j++) {
            double g = (double)dy[i * c + j] * (double)gamma[j];
            sg += g;
            sgx += g * ((double)x[i * c + j] - mu) * rs;
        }
        for (int64_t j = 0; j < c; j++) {
            double xhat = ((double)x[i * c + j] - mu) * rs, d = (double)dy[i * c + j];
            put(&dx[i * c + j], accumulate, rs * (d * (double)gamma[j] - (sg + xhat * sgx) / (double)c));
            if (dgamma != NULL) {
                dgamma[j] += (float)(d * xhat);
            }
            if (dbeta != NULL) {
                dbeta[j] += (float)d;
            }
        }
    }
}

static void rms_norm_fwd(const float *x, const float *gamma, float eps, float *y, float *rstd, int64_t r, int64_t c) {
    for (int64_t i = 0; i < r; i++) {
        double q = 0.0;
        for (int64_t j = 0; j < c; j++) {
            q += (double)x[i * c + j] * (double)x[i * c + j];
        }
        double rs = 1.0 / sqrt(q / (double)c + (double)eps);
        for (int64_t j = 0; j < c; j++) {
            y[i * c + j] = (float)((double)x[i * c + j] * rs * (gamma == NULL ? 1.0 : (double)gamma[j]));
        }
        if (rstd != NULL) {
            rstd[i] = (float)rs;
        }
    }
}

static void rms_norm_bwd(const float *x, const float *gamma, const float *rstd, const float *dy, float *dx,
                         bool accumulate, float *dgamma, int64_t r, int64_t c) {
    for (int64_t i = 0; i < r; i++) {
        double rs = (double)rstd[i], sgx = 0.0;
        for (int64_t j = 0; j < c; j++) {
            double gj = gamma == NULL ? 1.0 : (double)gamma[j];
            sgx += (double)dy[i * c + j] * gj * (double)x[i * c + j] * rs;
        }
        for (int64_t j = 0; j < c; j++) {
            double xhat = (double)x[i * c + j] * rs, d = (double)dy[i * c + j],
                   gj = gamma == NULL ? 1.0 : (double)gamma[j];
            put(&dx[i * c + j], accumulate, rs * (d * gj - xhat * sgx / (double)c));
            if (dgamma != NULL) {
                dgamma[j] += (float)(d * xhat);
            }
        }
    }
}

static void rope(const float *x, const float *table, float *y, bool inverse, bool accumulate, int64_t r, int64_t n_head,
                 int64_t d) {
    int64_t half = d / 2;
    for (int64_t i = 0; i < r * n_head; i++) {
        const float *xi = x + i * d, *cosine = table + i / n_head * d, *sine = cosine + half;
        for (int64_t j = 0; j < half; j++) {
            double c = (double)cosine[j], s = inverse ? -(double)sine[j] : (double)sine[j];
            double a = (double)xi[j], b = (double)xi[half + j];
            put(&y[i * d + j], accumulate, a * c - b * s);
            put(&y[i * d + half + j], accumulate, b * c + a * s);
        }
    }
}

static void softmax_fwd(const float *x, float *y, int64_t r, int64_t c) {
    for (int64_t i = 0; i < r; i++) {
        const float *xi = x + i * c;
        double max = -INFINITY, sum = 0.0;
        for (int64_t j = 0; j < c; j++) {
            max = (double)xi[j] > max ? (double)xi[j] : max;
        }
        for (int64_t j = 0; j < c; j++) {
            sum += exp((double)xi[j] - max);
        }
        for (int64_t j = 0; j < c; j++) {
            y[i * c + j] = (float)(exp((double)xi[j] - max) / sum);
        }
    }
}

static void softmax_bwd(const float *y, const float *dy, float *dx, bool accumulate, int64_t r, int64_t c) {
    for (int64_t i = 0; i < r; i++) {
        double s = 0.0;
        for (int64_t j = 0; j < c; j++) {
            s += (double)y[i * c + j] * (double)dy[i * c + j];
        }
        for (int64_t j = 0; j < c; j++) {
            put(&dx[i * c + j], accumulate, (double)y[i * c + j] * ((double)dy[i * c + j] - s));
        }
    }
}

static void colsum(const float *x, int64_t ld, float *y, bool accumulate, int64_t r, int64_t c) {
    for (int64_t j = 0; j < c; j++) {
        double s = 0.0;
        for (int64_t i = 0; i < r; i++) {
            s += (double)x[i * ld + j];
        }
        put(&y[j], accumulate, s);
    }
}

static int64_t embedding_fwd(const int32_t *ids, const float *table, float *y, int64_t n, int64_t v, int64_t c) {
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= v) {
            return i;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < c; j++) {
            y[i * c + j] = table[ids[i] * c + j];
        }
    }
    return -1;
}

static void embedding_bwd(const int32_t *ids, const float *dy, int64_t ld_dy, float *dtable, int64_t ld_table,
                          int64_t n, int64_t c) {
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < c; j++) {
            dtable[ids[i] * ld_table + j] += dy[i * ld_dy + j];
        }
    }
}

static void film_fwd(const float *x, const float *gamma, const float *beta, int64_t ldg, fw_act act, float *y,
                     int64_t b, int64_t t, int64_t c) {
    for (int64_t i = 0; i < b * t; i++) {
        const float *g = gamma + i / t * ldg, *h = beta + i / t * ldg;
        for (int64_t j = 0; j < c; j++) {
            y[i * c + j] = (float)fw_act_ref(act, (double)x[i * c + j] * (1.0 + (double)g[j]) + (double)h[j]);
        }
    }
}

static void film_bwd(const float *x, const float *gamma, const float *beta, int64_t ldg, fw_act act, const float *dy,
                     float *dx, float *dgamma, float *dbeta, int64_t b, int64_t t, int64_t c) {
    for (int64_t bi = 0; bi < b; bi++) {
        for (int64_t j = 0; j < c; j++) {
            double g1 = 1.0 + (double)gamma[bi * ldg + j], h = (double)beta[bi * ldg + j], sg = 0.0, sb = 0.0;
            for (int64_t i = bi * t; i < (bi + 1) * t; i++) {
                double xi = (double)x[i * c + j], d = (double)dy[i * c + j] * fw_act_ref_grad(act, xi * g1 + h);
                sg += d * xi;
                sb += d;
                if (dx != NULL) {
                    dx[i * c + j] = (float)(d * g1);
                }
            }
            dgamma[bi * ldg + j] = (float)sg;
            dbeta[bi * ldg + j] = (float)sb;
        }
    }
}

static void mean_pool_fwd(const float *x, float *y, int64_t b, int64_t t, int64_t c) {
    for (int64_t i = 0; i < b * c; i++) {
        double s = 0.0;
        for (int64_t k = 0; k < t; k++) {
            s += (double)x[(i / c * t + k) * c + i % c];
        }
        y[i] = (float)(s / (double)t);
    }
}

static void mean_pool_bwd(const float *dy, float *dx, bool accumulate, int64_t b, int64_t t, int64_t c) {
    for (int64_t i = 0; i < b * t; i++) {
        for (int64_t j = 0; j < c; j++) {
            put(&dx[i * c + j], accumulate, (double)dy[i / t * c + j] / (double)t);
        }
    }
}

/* Position of index i of n in [-1, 1]; 0 when there is only one. */
static double coord(int64_t i, int64_t n) {
    return n > 1 ? 2.0 * (double)i / (double)(n - 1) - 1.0 : 0.0;
}

static void spatial_softmax_fwd(const float *x, float *y, float *stats, int64_t b, int64_t h, int64_t w, int64_t k) {
    for (int64_t i = 0; i < b * k; i++) {
        int64_t bi = i / k, ch = i % k;
        const float *xi = x + bi * h * w * k + ch;
        double max = -INFINITY, sum = 0.0, sx = 0.0, sy = 0.0;
        for (int64_t p = 0; p < h * w; p++) {
            max = (double)xi[p * k] > max ? (double)xi[p * k] : max;
        }
        for (int64_t p = 0; p < h * w; p++) {
            double e = exp((double)xi[p * k] - max);
            sum += e;
            sx += e * coord(p % w, w);
            sy += e * coord(p / w, h);
        }
        y[i * 2] = (float)(sx / sum);
        y[i * 2 + 1] = (float)(sy / sum);
        stats[bi * 2 * k + ch] = (float)max;
        stats[bi * 2 * k + k + ch] = (float)sum;
    }
}

/* p = softmax: d x[pixel] = p (dyx (X - yx) + dyy (Y - yy)) */
static void spatial_softmax_bwd(const float *x, const float *y, const float *stats, const float *dy, float *dx,
                                bool accumulate, int64_t b, int64_t h, int64_t w, int64_t k) {
    for (int64_t i = 0; i < b * k; i++) {
        int64_t bi = i / k, ch = i % k;
        double max = (double)stats[bi * 2 * k + ch], sum = (double)stats[bi * 2 * k + k + ch];
        for (int64_t p = 0; p < h * w; p++) {
            int64_t at = (bi * h * w + p) * k + ch;
            double prob = exp((double)x[at] - max) / sum;
            double ex = (double)dy[i * 2] * (coord(p % w, w) - (double)y[i * 2]);
            double ey = (double)dy[i * 2 + 1] * (coord(p / w, h) - (double)y[i * 2 + 1]);
            put(&dx[at], accumulate, prob * (ex + ey));
        }
    }
}

void fw_kern_init_rows_scalar(fw_kern *k) {
    k->layer_norm_fwd = layer_norm_fwd;
    k->layer_norm_bwd = layer_norm_bwd;
    k->rms_norm_fwd = rms_norm_fwd;
    k->rms_norm_bwd = rms_norm_bwd;
    k->rope = rope;
    k->softmax_fwd = softmax_fwd;
    k->softmax_bwd = softmax_bwd;
    k->colsum = colsum;
    k->embedding_fwd = embedding_fwd;
    k->embedding_bwd = embedding_bwd;
    k->film_fwd = film_fwd;
    k->film_bwd = film_bwd;
    k->mean_pool_fwd = mean_pool_fwd;
    k->mean_pool_bwd = mean_pool_bwd;
    k->spatial_softmax_fwd = spatial_softmax_fwd;
    k->spatial_softmax_bwd = spatial_softmax_bwd;
}
