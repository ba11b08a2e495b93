/*
 * wino_vec_int.h - the transforms of wino_scalar.c on vectors of channels; included once by each set.
 *
 * One dimension of a tile at a time: first its columns, then its rows, all of it in registers and the first cache. Weights are
 * transformed once, by the scalar file.
 */
#ifndef FW_KERN_WINO_VEC_INT_H
#define FW_KERN_WINO_VEC_INT_H

#include "kern/kern_int.h"
#include "kern/vec_int.h"

#define WINO_A 0.75f /* the points, see wino_scalar.c */
#define WINO_B 1.5f

/* y = B^T x */
FW_INLINE void wino_bt(const int m, const vf x[6], vf y[6]) {
    if (m == 2) {
        y[0] = v_sub(x[2], x[0]);
        y[1] = v_add(x[2], x[1]);
        y[2] = v_sub(x[2], x[1]);
        y[3] = v_sub(x[3], x[1]);
        return;
    }
    const vf a = v_set1(WINO_A), b = v_set1(WINO_B), a2 = v_set1(WINO_A * WINO_A), b2 = v_set1(WINO_B * WINO_B),
             sum = v_set1(WINO_A * WINO_A + WINO_B * WINO_B), both = v_set1(WINO_A * WINO_A * WINO_B * WINO_B);
    const vf e = v_fnma(b2, x[2], x[4]), f = v_mul(a, v_fnma(b2, x[1], x[3]));
    const vf g = v_fnma(a2, x[2], x[4]), h = v_mul(b, v_fnma(a2, x[1], x[3]));
    y[0] = v_fma(both, x[0], v_fnma(sum, x[2], x[4]));
    y[1] = v_add(e, f);
    y[2] = v_sub(e, f);
    y[3] = v_add(g, h);
    y[4] = v_sub(g, h);
    y[5] = v_fma(both, x[1], v_fnma(sum, x[3], x[5]));
}

/* y = A^T x */
FW_INLINE void wino_at(const int m, const vf x[6], vf y[6]) {
    if (m == 2) {
        y[0] = v_add(x[0], v_add(x[1], x[2]));
        y[1] = v_add(v_sub(x[1], x[2]), x[3]);
        return;
    }
    const vf a = v_set1(WINO_A), b = v_set1(WINO_B), a2 = v_set1(WINO_A * WINO_A), b2 = v_set1(WINO_B * WINO_B),
             a3 = v_set1(WINO_A * WINO_A * WINO_A), b3 = v_set1(WINO_B * WINO_B * WINO_B);
    const vf p = v_add(x[1], x[2]), q = v_sub(x[1], x[2]), r = v_add(x[3], x[4]), s = v_sub(x[3], x[4]);
    y[0] = v_add(x[0], v_add(p, r));
    y[1] = v_fma(a, q, v_mul(b, s));
    y[2] = v_fma(a2, p, v_mul(b2, r));
    y[3] = v_fma(a3, q, v_fma(b3, s, x[5]));
}

/* Where tile t begins: its image, first row and column of outputs. */
typedef struct wino_tile {
    int64_t image, i, j;
} wino_tile;

FW_INLINE wino_tile wino_where(const fw_conv *d, int m, int64_t t) {
    const int64_t th = (d->oh + m - 1) / m, tw = (d->ow + m - 1) / m;
    return (wino_tile){t / (th * tw), t / tw % th * m, t % tw * m};
}

FW_INLINE void wino_in_all(const int m, const fw_conv *d, const float *x, int64_t t0, int64_t t1, float *in) {
    const int n = m + 2;
    const int64_t plane = (t1 - t0) * d->c;
    for (int64_t t = t0; t < t1; t++) {
        const wino_tile at = wino_where(d, m, t);
        const int64_t top = at.i - d->pad_top, left = at.j - d->pad_left;
        for (int64_t c = 0; c < d->c; c += VW) {
            const vm mask = v_tail(d->c - c);
            vf e[6], f[6], s[6][6];
            for (int q = 0; q < n; q++) {
                for (int p = 0; p < n; p++) {
                    const int64_t i = top + p, j = left + q;
                    const bool inside = i >= 0 && i < d->h && j >= 0 && j < d->w;
                    e[p] = inside ? v_load_m(x + ((at.image * d->h + i) * d->w + j) * d->c + c, mask) : v_zero();
                }
                wino_bt(m, e, f);
                for (int p = 0; p < n; p++) {
                    s[p][q] = f[p];
                }
            }
            float *out = in + (t - t0) * d->c + c;
            for (int p = 0; p < n; p++) {
                wino_bt(m, s[p], f);
                for (int q = 0; q < n; q++) {
                    v_store_m(out + (p * n + q) * plane, f[q], mask);
                }
            }
        }
    }
}

FW_INLINE void wino_out_all(const int m, const fw_conv *d, const float *in, int64_t t0, int64_t t1, const fw_epi *epi,
                            float *y) {
    const int n = m + 2;
    const int64_t plane = (t1 - t0) * d->o;
    for (int64_t t = t0; t < t1; t++) {
        const wino_tile at = wino_where(d, m, t);
        const int64_t r0 = (at.image * d->oh + at.i) * d->ow + at.j;
        for (int64_t c = 0; c < d->o; c += VW) {
            const vm mask = v_tail(d->o - c);
            const vf bias = epi->bias != NULL ? v_load_m(epi->bias + c, mask) : v_zero();
            const float *from = in + (t - t0) * d->o + c;
            vf e[6], f[6], s[6][6];
            for (int q = 0; q < n; q++) {
                for (int p = 0; p < n; p++) {
                    e[p] = v_load_m(from + (p * n + q) * plane, mask);
                }
                wino_at(m, e, f);
                for (int p = 0; p < m; p++) {
                    s[p][q] = f[p];
                }
            }
            for (int p = 0; p < m && at.i + p < d->oh; p++) {
                wino_at(m, s[p], f);
                for (int q = 0; q < m && at.j + q < d->ow; q++) {
                    const int64_t r = r0 + p * d->ow + q;
                    vf v = v_act(epi->act, v_add(f[q], bias));
                    if (epi->residual != NULL) {
                        v = v_add(v, v_load_m(epi->residual + r * epi->ld_residual + c, mask));
                    }
                    v_store_m(y + r * d->o + c, v, mask);
                }
            }
        }
    }
}

static void wino_in(const fw_conv *d, int m, const float *x, int64_t t0, int64_t t1, float *in) {
    if (m == 2) {
        wino_in_all(2, d, x, t0, t1, in);
    } else {
        wino_in_all(4, d, x, t0, t1, in);
    }
}

static void wino_out(const fw_conv *d, int m, const float *p, int64_t t0, int64_t t1, const fw_epi *epi, float *y) {
    if (m == 2) {
        wino_out_all(2, d, p, t0, t1, epi, y);
    } else {
        wino_out_all(4, d, p, t0, t1, epi, y);
    }
}

#endif /* FW_KERN_WINO_VEC_INT_H */
