/*
 * rows_vec_int.h - norms, softmax, FiLM, pooling and spatial softmax on vectors; included once by each set.
 *
 * A row is read twice or three times from the first cache. Sums over a row run in VW float lanes and are added up in
 * double: error ~ sqrt(c / VW) roundings.
 */
#ifndef FW_KERN_ROWS_VEC_INT_H
#define FW_KERN_ROWS_VEC_INT_H

#include "kern/kern_int.h"
#include "kern/vec_int.h"

static double row_sum(const float *x, int64_t c) {
    vf s0 = v_zero(), s1 = v_zero();
    int64_t j = 0;
    for (; j + 2 * VW <= c; j += 2 * VW) {
        s0 = v_add(s0, v_load(x + j));
        s1 = v_add(s1, v_load(x + j + VW));
    }
    for (; j < c; j += VW) {
        s0 = v_add(s0, v_load_m(x + j, v_tail(c - j)));
    }
    return v_sum_d(v_add(s0, s1));
}

/* sum (x - mu)^2 */
static double row_sumsq(const float *x, float mu, int64_t c) {
    vf s0 = v_zero(), s1 = v_zero(), vmu = v_set1(mu);
    int64_t j = 0;
    for (; j + 2 * VW <= c; j += 2 * VW) {
        vf a = v_sub(v_load(x + j), vmu), b = v_sub(v_load(x + j + VW), vmu);
        s0 = v_fma(a, a, s0);
        s1 = v_fma(b, b, s1);
    }
    for (; j < c; j += VW) {
        vm m = v_tail(c - j);
        vf a = v_sel(m, v_sub(v_load_m(x + j, m), vmu), v_zero());
        s0 = v_fma(a, a, s0);
    }
    return v_sum_d(v_add(s0, s1));
}

static void layer_norm_fwd(const float *x, const float *gamma, const float *beta, float eps, float *y, float *mean,
                           float *rstd, int64_t r, int64_t c) {
    for (int64_t i = 0; i < r; i++, x += c, y += c) {
        float mu = (float)(row_sum(x, c) / (double)c);
        float rs = (float)(1.0 / sqrt(row_sumsq(x, mu, c) / (double)c + (double)eps));
        vf vmu = v_set1(mu), vrs = v_set1(rs);
        for (int64_t j = 0; j < c; j += VW) {
            vm m = v_tail(c - j);
            vf h = v_mul(v_sub(v_load_m(x + j, m), vmu), vrs);
            v_store_m(y + j, v_fma(h, v_load_m(gamma + j, m), v_load_m(beta + j, m)), m);
        }
        if (mean != NULL) {
            mean[i] = mu;
        }
        if (rstd != NULL) {
            rstd[i] = rs;
        }
    }
}

FW_INLINE void put(float *dst, bool accumulate, vf v, vm m) {
    v_store_m(dst, accumulate ? v_add(v_load_m(dst, m), v) : v, m);
}
FW_INLINE void bump(float *dst, vf v, vm m) {
    v_store_m(dst, v_add(v_load_m(dst, m), v), m);
}

FW_INLINE vf gamma_at(const float *gamma, int64_t j, vm m) {
    return gamma == NULL ? v_set1(1.0f) : v_load_m(gamma + j, m);
}

/* Both norms: xhat = (x - mu) rs, g = dy gamma: dx = rs (g - sub_mean mean(g) - xhat mean(g xhat)). */
FW_INLINE void norm_bwd_row(const float *x, const float *gamma, float mu, float rs, const float *dy, float *dx,
                            bool accumulate, float *dgamma, float *dbeta, int64_t c, const bool sub_mean) {
    vf vmu = v_set1(mu), vrs = v_set1(rs), sg = v_zero(), sgx = v_zero();
    for (int64_t j = 0; j < c; j += VW) {
        vm m = v_tail(c - j);
        vf g = v_mul(v_load_m(dy + j, m), gamma_at(gamma, j, m));
        sg = v_add(sg, g);
        sgx = v_fma(g, v_mul(v_sub(v_load_m(x + j, m), vmu), vrs), sgx);
    }
    vf mg = v_set1(sub_mean ? (float)(v_sum_d(sg) / (double)c) : 0.0f), mgx = v_set1((float)(v_sum_d(sgx) / (double)c));
    for (int64_t j = 0; j < c; j += VW) {
        vm m = v_tail(c - j);
        vf d = v_load_m(dy + j, m), xhat = v_mul(v_sub(v_load_m(x + j, m), vmu), vrs);
        vf g = v_mul(d, gamma_at(gamma, j, m));
        put(dx + j, accumulate, v_mul(vrs, v_sub(v_sub(g, mg), v_mul(xhat, mgx))), m);
        if (dgamma != NULL) {
            bump(dgamma + j, v_mul(d, xhat), m);
        }
        if (dbeta != NULL) {
            bump(dbeta + j, d, m);
        }
    }
}

static void layer_norm_bwd(const float *x, const float *gamma, const float *mean, const float *rstd, const float *dy,
                           float *dx, bool accumulate, float *dgamma, float *dbeta, int64_t r, int64_t c) {
    for (int64_t i = 0; i < r; i++) {
        norm_bwd_row(x + i * c, gamma, mean[i], rstd[i], dy + i * c, dx + i * c, accumulate, dgamma, dbeta, c, true);
    }
}

static void rms_norm_fwd(const float *x, const float *gamma, float eps, float *y, float *rstd, int64_t r, int64_t c) {
    for (int64_t i = 0; i < r; i++, x += c, y += c) {
        float rs = (float)(1.0 / sqrt(row_sumsq(x, 0.0f, c) / (double)c + (double)eps));
        vf vrs = v_set1(rs);
        for (int64_t j = 0; j < c; j += VW) {
            vm m = v_tail(c - j);
            v_store_m(y + j, v_mul(v_mul(v_load_m(x + j, m), vrs), gamma_at(gamma, j, m)), m);
        }
        if (rstd != NULL) {
            rstd[i] = rs;
        }
    }
}

static void rms_norm_bwd(const float *x, const float *gamma, const float *rstd, const float *dy, float *dx,
                         bool accumulate, float *dgamma, int64_t r, int64_t c) {
    for (int64_t i = 0; i < r; i++) {
        norm_bwd_row(x + i * c, gamma, 0.0f, rstd[i], dy + i * c, dx + i * c, accumulate, dgamma, NULL, c, false);
    }
}

/* x may be y: each pair is read before it is written. */
static void rope(const float *x, const float *table, float *y, bool inverse, bool accumulate, int64_t r, int64_t n_head,
                 int64_t d) {
    int64_t half = d / 2;
    for (int64_t i = 0; i < r * n_head; i++, x += d, y += d) {
        const float *cosine = table + i / n_head * d, *sine = cosine + half;
        for (int64_t j = 0; j < half; j += VW) {
            vm m = v_tail(half - j);
            vf c = v_load_m(cosine + j, m), s = v_load_m(sine + j, m), a = v_load_m(x + j, m),
               b = v_load_m(x + half + j, m);
            s = inverse ? v_sub(v_zero(), s) : s;
            put(y + j, accumulate, v_fnma(b, s, v_mul(a, c)), m);
            put(y + half + j, accumulate, v_fma(a, s, v_mul(b, c)), m);
        }
    }
}

static float row_max(const float *x, int64_t c) {
    vf s = v_set1(-INFINITY);
    int64_t j = 0;
    for (; j + VW <= c; j += VW) {
        s = v_max(s, v_load(x + j));
    }
    float best = v_hmax(s);
    for (; j < c; j++) {
        best = x[j] > best ? x[j] : best;
    }
    return best;
}

static void softmax_fwd(const float *x, float *y, int64_t r, int64_t c) {
    for (int64_t i = 0; i < r; i++, x += c, y += c) {
        vf max = v_set1(row_max(x, c)), s = v_zero();
        for (int64_t j = 0; j < c; j += VW) {
            vm m = v_tail(c - j);
            vf e = v_sel(m, v_exp(v_sub(v_load_m(x + j, m), max)), v_zero());
            s = v_add(s, e);
            v_store_m(y + j, e, m);
        }
        vf inv = v_set1((float)(1.0 / v_sum_d(s)));
        for (int64_t j = 0; j < c; j += VW) {
            vm m = v_tail(c - j);
            v_store_m(y + j, v_mul(v_load_m(y + j, m), inv), m);
        }
    }
}

static void softmax_bwd(const float *y, const float *dy, float *dx, bool accumulate, int64_t r, int64_t c) {
    for (int64_t i = 0; i < r; i++, y += c, dy += c, dx += c) {
        vf s = v_zero();
        for (int64_t j = 0; j < c; j += VW) {
            vm m = v_tail(c - j);
            s = v_fma(v_load_m(y + j, m), v_load_m(dy + j, m), s);
        }
        s = v_set1((float)v_sum_d(s));
        for (int64_t j = 0; j < c; j += VW) {
            vm m = v_tail(c - j);
            put(dx + j, accumulate, v_mul(v_load_m(y + j, m), v_sub(v_load_m(dy + j, m), s)), m);
        }
    }
}

/* Blocks of 256 rows are summed in float, the blocks in double lanes would cost more than they give: pairs of blocks. */
static void colsum(const float *x, int64_t ld, float *y, bool accumulate, int64_t r, int64_t c) {
    for (int64_t j = 0; j < c; j += VW) {
        vm m = v_tail(c - j);
        vf total = v_zero();
        for (int64_t b = 0; b < r; b += 256) {
            int64_t end = b + 256 < r ? b + 256 : r;
            vf s[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
            int64_t i = b;
            for (; i + 4 <= end; i += 4) {
                for (int u = 0; u < 4; u++) {
                    s[u] = v_add(s[u], v_load_m(x + (i + u) * ld + j, m));
                }
            }
            for (; i < end; i++) {
                s[0] = v_add(s[0], v_load_m(x + i * ld + j, m));
            }
            total = v_add(total, v_add(v_add(s[0], s[1]), v_add(s[2], s[3])));
        }
        put(y + j, accumulate, total, m);
    }
}

static void embedding_bwd(const int32_t *ids, const float *dy, int64_t ld_dy, float *dtable, int64_t ld_table,
                          int64_t n, int64_t c) {
    for (int64_t i = 0; i < n; i++) {
        float *row = dtable + ids[i] * ld_table;
        for (int64_t j = 0; j < c; j += VW) {
            vm m = v_tail(c - j);
            bump(row + j, v_load_m(dy + i * ld_dy + j, m), m);
        }
    }
}

FW_UNFOLD void film_fwd_rows(const fw_act act, const float *x, const float *g, const float *h, float *y, int64_t t,
                             int64_t c) {
    for (int64_t i = 0; i < t; i++) {
        for (int64_t j = 0; j < c; j += VW) {
            vm m = v_tail(c - j);
            vf g1 = v_add(v_load_m(g + j, m), v_set1(1.0f));
            v_store_m(y + i * c + j, v_act(act, v_fma(v_load_m(x + i * c + j, m), g1, v_load_m(h + j, m))), m);
        }
    }
}

static void film_fwd(const float *x, const float *gamma, const float *beta, int64_t ldg, fw_act act, float *y,
                     int64_t b, int64_t t, int64_t c) {
    for (int64_t i = 0; i < b; i++) {
#define BODY(a) film_fwd_rows(a, x + i * t * c, gamma + i * ldg, beta + i * ldg, y + i * t * c, t, c)
        FW_EACH_ACT(act, BODY)
#undef BODY
    }
}

FW_UNFOLD void film_bwd_rows(const fw_act act, const float *x, const float *g, const float *h, const float *dy,
                             float *dx, float *dg, float *dh, int64_t t, int64_t c) {
    for (int64_t j = 0; j < c; j += VW) {
        vm m = v_tail(c - j);
        vf g1 = v_add(v_load_m(g + j, m), v_set1(1.0f)), hj = v_load_m(h + j, m), sg = v_zero(), sh = v_zero();
        for (int64_t i = 0; i < t; i++) {
            vf xi = v_load_m(x + i * c + j, m);
            vf d = v_mul(v_load_m(dy + i * c + j, m), v_act_grad(act, v_fma(xi, g1, hj)));
            sg = v_fma(d, xi, sg);
            sh = v_add(sh, d);
            if (dx != NULL) {
                v_store_m(dx + i * c + j, v_mul(d, g1), m);
            }
        }
        v_store_m(dg + j, sg, m);
        v_store_m(dh + j, sh, m);
    }
}

static void film_bwd(const float *x, const float *gamma, const float *beta, int64_t ldg, fw_act act, const float *dy,
                     float *dx, float *dgamma, float *dbeta, int64_t b, int64_t t, int64_t c) {
    for (int64_t i = 0; i < b; i++) {
        float *dxi = dx != NULL ? dx + i * t * c : NULL;
#define BODY(a)                                                                                                        \
    film_bwd_rows(a, x + i * t * c, gamma + i * ldg, beta + i * ldg, dy + i * t * c, dxi, dgamma + i * ldg,            \
                  dbeta + i * ldg, t, c)
        FW_EACH_ACT(act, BODY)
#undef BODY
    }
}

static void mean_pool_fwd(const float *x, float *y, int64_t b, int64_t t, int64_t c) {
    vf inv = v_set1((float)(1.0 / (double)t));
    for (int64_t i = 0; i < b; i++) {
        for (int64_t j = 0; j < c; j += VW) {
            vm m = v_tail(c - j);
            vf s = v_zero();
            for (int64_t k = 0; k < t; k++) {
                s = v_add(s, v_load_m(x + (i * t + k) * c + j, m));
            }
            v_store_m(y + i * c + j, v_mul(s, inv), m);
        }
    }
}

static void mean_pool_bwd(const float *dy, float *dx, bool accumulate, int64_t b, int64_t t, int64_t c) {
    vf inv = v_set1((float)(1.0 / (double)t));
    for (int64_t i = 0; i < b * t; i++) {
        for (int64_t j = 0; j < c; j += VW) {
            vm m = v_tail(c - j);
            put(dx + i * c + j, accumulate, v_mul(v_load_m(dy + i / t * c + j, m), inv), m);
        }
    }
}

/* ---- spatial softmax: VW channels at a time, pixels inside ---- */

FW_INLINE float coord(int64_t i, int64_t n) {
    return n > 1 ? (float)(2.0 * (double)i / (double)(n - 1) - 1.0) : 0.0f;
}

static void spatial_softmax_fwd(const float *x, float *y, float *stats, int64_t b, int64_t h, int64_t w, int64_t k) {
    for (int64_t i = 0; i < b; i++, x += h * w * k, y += 2 * k, stats += 2 * k) {
        for (int64_t c = 0; c < k; c += VW) {
            vm m = v_tail(k - c);
            vf max = v_set1(-INFINITY), sum = v_zero(), sx = v_zero(), sy = v_zero();
            for (int64_t p = 0; p < h * w; p++) {
                max = v_max(max, v_load_m(x + p * k + c, m));
            }
            for (int64_t r = 0; r < h; r++) {
                vf row = v_zero();
                for (int64_t q = 0; q < w; q++) {
                    vf e = v_exp(v_sub(v_load_m(x + (r * w + q) * k + c, m), max));
                    row = v_add(row, e);
                    sx = v_fma(e, v_set1(coord(q, w)), sx);
                }
                sum = v_add(sum, row);
                sy = v_fma(row, v_set1(coord(r, h)), sy);
            }
            float ex[VW], ey[VW];
            v_store(ex, v_div(sx, sum));
            v_store(ey, v_div(sy, sum));
            for (int64_t u = 0; u < VW && c + u < k; u++) {
                y[(c + u) * 2] = ex[u];
                y[(c + u) * 2 + 1] = ey[u];
            }
            v_store_m(stats + c, max, m);
            v_store_m(stats + k + c, sum, m);
        }
    }
}

static void spatial_softmax_bwd(const float *x, const float *y, const float *stats, const float *dy, float *dx,
                                bool accumulate, int64_t b, int64_t h, int64_t w, int64_t k) {
    for (int64_t i = 0; i < b; i++, x += h * w * k, dx += h * w * k, y += 2 * k, dy += 2 * k, stats += 2 * k) {
        for (int64_t c = 0; c < k; c += VW) {
            vm m = v_tail(k - c);
            float t[4][VW] = {{0}};
            for (int64_t u = 0; u < VW && c + u < k; u++) {
                t[0][u] = y[(c + u) * 2], t[1][u] = y[(c + u) * 2 + 1];
                t[2][u] = dy[(c + u) * 2], t[3][u] = dy[(c + u) * 2 + 1];
            }
            vf yx = v_load(t[0]), yy = v_load(t[1]), gx = v_load(t[2]), gy = v_load(t[3]);
            vf max = v_load_m(stats + c, m), inv = v_div(v_set1(1.0f), v_load_m(stats + k + c, m));
            for (int64_t p = 0; p < h * w; p++) {
                vf prob = v_mul(v_exp(v_sub(v_load_m(x + p * k + c, m), max)), inv);
                vf e = v_mul(gx, v_sub(v_set1(coord(p % w, w)), yx));
                e = v_fma(gy, v_sub(v_set1(coord(p / w, h)), yy), e);
                put(dx + p * k + c, accumulate, v_mul(prob, e), m);
            }
        }
    }
}

#endif /* FW_KERN_ROWS_VEC_INT_H */
