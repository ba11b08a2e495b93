/*
 * conv_vec_int.h - convolutions over NHWC on top of gemm_vec_int.h; included after it, once by each vector set.
 *
 * A dense convolution unrolls RB output pixels at a time into rows of taps in scratch (im2col, but never the whole image)
 * and multiplies them by the packed weights; a 1x1 convolution of stride 1 is the matrix product itself. Backward data
 * gathers: input pixel <- the output pixels that read it, so that blocks of rows are independent and need no atomics (for
 * stride s, 1 - 1/s^2 of the gathered taps are zeros: dense strided layers are rare and small here). A depthwise
 * convolution is a loop over channels, 4 pixels at a time.
 */
#ifndef FW_KERN_CONV_VEC_INT_H
#define FW_KERN_CONV_VEC_INT_H

#include "kern/gemm_vec_int.h"

enum { RB = 8 * MR > 96 ? 8 * MR : 96 }; /* rows unrolled at a time */

FW_INLINE bool is_gemm(const fw_conv *d) {
    return d->kh == 1 && d->kw == 1 && d->stride == 1 && d->pad_top == 0 && d->pad_left == 0 && d->oh == d->h &&
           d->ow == d->w;
}

FW_INLINE int64_t max64(int64_t a, int64_t b) {
    return a > b ? a : b;
}
FW_INLINE int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Bytes up to a multiple of 64, so that what follows in scratch is aligned. */
FW_INLINE size_t round64(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

static size_t conv_scratch(const fw_conv *d) {
    int64_t taps = d->kh * d->kw, kf = taps * d->c, kb = taps * d->o;
    size_t unrolled = round64((size_t)RB * (size_t)max64(kf, kb) * sizeof(float));
    size_t fwd = unrolled + gemm_scratch(d->oh * d->ow * 1024, kf, false); /* whole-gemm case: any number of rows */
    size_t bwd = unrolled + gemm_scratch(d->h * d->w * 1024, kb, false);
    size_t wgt = unrolled + round64(fw_pack_bytes(kf, RB, NR)) + gemm_scratch(d->o, RB, true);
    size_t most = fwd > bwd ? fwd : bwd;
    return (most > wgt ? most : wgt) + 64;
}

static void zero(float *p, int64_t n) {
    memset(p, 0, (size_t)n * sizeof(float));
}

/* The taps that output pixel r reads: col [kh,kw,c]. */
static void unroll_pixel(const fw_conv *d, const float *x, int64_t r, float *col) {
    int64_t b = r / (d->oh * d->ow), i = r / d->ow % d->oh, j = r % d->ow;
    int64_t iw = j * d->stride - d->pad_left, q0 = max64(0, -iw), q1 = max64(q0, min64(d->kw, d->w - iw));
    for (int64_t p = 0; p < d->kh; p++, col += d->kw * d->c) {
        int64_t ih = i * d->stride - d->pad_top + p;
        if (ih < 0 || ih >= d->h || q0 >= d->kw) {
            zero(col, d->kw * d->c);
            continue;
        }
        zero(col, q0 * d->c);
        memcpy(col + q0 * d->c, x + ((b * d->h + ih) * d->w + iw + q0) * d->c,
               (size_t)((q1 - q0) * d->c) * sizeof(float));
        zero(col + q1 * d->c, (d->kw - q1) * d->c);
    }
}

/* The output pixel that input row/column `in` reaches through tap t; -1: none. */
FW_INLINE int64_t reached(int64_t in, int pad, int64_t t, int stride, int64_t n_out) {
    int64_t p = in + pad - t;
    return p < 0 || p % stride != 0 || p / stride >= n_out ? -1 : p / stride;
}

/* The gradients that reach input pixel r: col [kh,kw,o]. */
static void gather_pixel(const fw_conv *d, const float *dy, int64_t r, float *col) {
    int64_t b = r / (d->h * d->w), ih = r / d->w % d->h, iw = r % d->w;
    for (int64_t t = 0; t < d->kh * d->kw; t++, col += d->o) {
        int64_t i = reached(ih, d->pad_top, t / d->kw, d->stride, d->oh),
                j = reached(iw, d->pad_left, t % d->kw, d->stride, d->ow);
        if (i < 0 || j < 0) {
            zero(col, d->o);
        } else {
            memcpy(col, dy + ((b * d->oh + i) * d->ow + j) * d->o, (size_t)d->o * sizeof(float));
        }
    }
}

/* Rows [r0, r0+m) of an epilogue. */
static fw_epi epi_at(const fw_epi *e, int64_t r0) {
    fw_epi out = *e;
    out.residual = e->residual != NULL ? e->residual + r0 * e->ld_residual : NULL;
    out.pre = e->pre != NULL ? e->pre + r0 * e->ld_pre : NULL;
    return out;
}

static void conv_fwd(const fw_conv *d, const float *x, const void *w, float *y, const fw_epi *epi, int64_t r0,
                     int64_t r1, void *scratch) {
    int64_t k = d->kh * d->kw * d->c, step = is_gemm(d) ? r1 - r0 : RB;
    float *col = scratch;
    void *rest = (char *)scratch + round64((size_t)RB * (size_t)k * sizeof(float));
    for (int64_t r = r0; r < r1; r += step) {
        int64_t m = min64(step, r1 - r);
        fw_gemm g = {
            .m = m, .n = d->o, .k = k, .lda = k, .b = w, .c = y + r * d->o, .ldc = d->o, .epi = epi_at(epi, r)};
        g.a = is_gemm(d) ? x + r * d->c : col;
        for (int64_t i = 0; i < m && !is_gemm(d); i++) {
            unroll_pixel(d, x, r + i, col + i * k);
        }
        gemm_f32(&g, rest);
    }
}

static void conv_bwd_data(const fw_conv *d, const float *dy, const void *w, float *dx, bool accumulate, int64_t r0,
                          int64_t r1, void *scratch) {
    int64_t k = d->kh * d->kw * d->o, step = is_gemm(d) ? r1 - r0 : RB;
    float *col = scratch;
    void *rest = (char *)scratch + round64((size_t)RB * (size_t)k * sizeof(float));
    for (int64_t r = r0; r < r1; r += step) {
        int64_t m = min64(step, r1 - r);
        fw_gemm g = {.m = m,
                     .n = d->c,
                     .k = k,
                     .lda = k,
                     .b = w,
                     .c = dx + r * d->c,
                     .ldc = d->c,
                     .epi = {.accumulate = accumulate}};
        g.a = is_gemm(d) ? dy + r * d->o : col;
        for (int64_t i = 0; i < m && !is_gemm(d); i++) {
            gather_pixel(d, dy, r + i, col + i * k);
        }
        gemm_f32(&g, rest);
    }
}

static void conv_bwd_weight(const fw_conv *d, const float *x, const float *dy, float *dw, int64_t o0, int64_t o1,
                            int64_t r0, int64_t r1, void *scratch) {
    int64_t k = d->kh * d->kw * d->c;
    float *col = scratch, *packed = (float *)((char *)scratch + round64((size_t)RB * (size_t)k * sizeof(float)));
    void *rest = (char *)packed + round64(fw_pack_bytes(k, RB, NR));
    for (int64_t r = r0; r < r1; r += RB) {
        int64_t m = min64(RB, r1 - r);
        for (int64_t i = 0; i < m && !is_gemm(d); i++) {
            unroll_pixel(d, x, r + i, col + i * k);
        }
        pack_panels(packed, is_gemm(d) ? x + r * d->c : col, k, FW_KN, k, m, 0, k);
        fw_gemm g = {.m = o1 - o0,
                     .n = k,
                     .k = m,
                     .a = dy + r * d->o + o0,
                     .lda = d->o,
                     .trans_a = true,
                     .b = packed,
                     .c = dw + o0 * k,
                     .ldc = k,
                     .epi = {.accumulate = true}};
        gemm_f32(&g, rest);
    }
}

static size_t conv_pack_bwd_bytes(const fw_conv *d) {
    return fw_pack_bytes(d->c, d->kh * d->kw * d->o, NR);
}

static void conv_pack_bwd(const fw_conv *d, void *dst, const float *w) {
    int64_t taps = d->kh * d->kw;
    for (int64_t t = 0; t < taps; t++) {
        fw_pack_panels(dst, w + t * d->c, taps * d->c, FW_KN, d->c, taps * d->o, 0, d->c, t * d->o, d->o, NR);
    }
}

/* ---- depthwise ---- */

/* What the inner loops need of an epilogue: everything that is bias and clamping stays in registers. */
typedef struct dw_out {
    const float *bias;
    vf lo, hi;
} dw_out;

/* `px` pixels of one output row from column j, all channels; taps [p0,p1) x [q0,q1) are inside the image. x points at
 * (row of tap 0, column of tap 0 of pixel j), which may lie outside: only live taps are read. */
FW_INLINE void dw_pixels(const fw_conv *d, const float *x, const float *w, float *y, const dw_out *e, const int px,
                         int64_t p0, int64_t p1, int64_t q0, int64_t q1) {
    int64_t step = d->stride * d->c, row = d->w * d->c;
    for (int64_t c = 0; c < d->c; c += VW) {
        vm m = v_tail(d->c - c);
        vf acc[4], b = e->bias != NULL ? v_load_m(e->bias + c, m) : v_zero();
#pragma GCC unroll 4
        for (int u = 0; u < px; u++) {
            acc[u] = b;
        }
        for (int64_t p = p0; p < p1; p++) {
            for (int64_t q = q0; q < q1; q++) {
                vf wt = v_load_m(w + (p * d->kw + q) * d->c + c, m);
                const float *xp = x + p * row + q * d->c + c;
#pragma GCC unroll 4
                for (int u = 0; u < px; u++) {
                    acc[u] = v_fma(wt, v_load_m(xp + u * step, m), acc[u]);
                }
            }
        }
#pragma GCC unroll 4
        for (int u = 0; u < px; u++) {
            v_store_m(y + u * d->c + c, v_min(e->hi, v_max(e->lo, acc[u])), m);
        }
    }
}

/* One output row: the columns whose taps all lie inside in fours, the others one by one. */
static void dw_row(const fw_conv *d, const float *x, const float *w, float *y, const dw_out *e, int64_t i) {
    int64_t ih = i * d->stride - d->pad_top, p0 = max64(0, -ih), p1 = max64(p0, min64(d->kh, d->h - ih));
    for (int64_t j = 0; j < d->ow;) {
        int64_t iw = j * d->stride - d->pad_left;
        const float *xj = x + (ih * d->w + iw) * d->c;
        if (iw >= 0 && iw + 3 * d->stride + d->kw <= d->w && j + 4 <= d->ow) {
            dw_pixels(d, xj, w, y + j * d->c, e, 4, p0, p1, 0, d->kw);
            j += 4;
        } else {
            int64_t q0 = max64(0, -iw), q1 = max64(q0, min64(d->kw, d->w - iw));
            dw_pixels(d, xj, w, y + j * d->c, e, 1, p0, p1, q0, q1);
            j += 1;
        }
    }
}

/* Epilogues beyond bias and clamping: the sums of one row go to a pass of their own, from the first cache. */
static void dw_row_general(const fw_conv *d, const float *x, const float *w, float *y, const fw_epi *e, int64_t i,
                           int64_t row) {
    int64_t ih = i * d->stride - d->pad_top;
    for (int64_t j = 0; j < d->ow; j++) {
        int64_t iw = j * d->stride - d->pad_left;
        float *yj = y + j * d->c;
        for (int64_t c = 0; c < d->c; c += VW) {
            vm m = v_tail(d->c - c);
            vf acc = e->accumulate ? v_load_m(yj + c, m) : v_zero();
            for (int64_t p = max64(0, -ih); p < min64(d->kh, d->h - ih); p++) {
                for (int64_t q = max64(0, -iw); q < min64(d->kw, d->w - iw); q++) {
                    const float *xp = x + ((ih + p) * d->w + iw + q) * d->c + c;
                    acc = v_fma(v_load_m(w + (p * d->kw + q) * d->c + c, m), v_load_m(xp, m), acc);
                }
            }
            v_store_m(yj + c, acc, m);
        }
        epi_tile(e, yj, d->c, row * d->ow + j, 0, 1, d->c);
    }
}

static void dwconv_fwd(const fw_conv *d, const float *x, const float *w, float *y, const fw_epi *epi, int64_t r0,
                       int64_t r1) {
    bool clamp = epi->act == FW_ACT_NONE || epi->act == FW_ACT_RELU || epi->act == FW_ACT_RELU6;
    bool simple = clamp && epi->pre == NULL && epi->residual == NULL && !epi->accumulate;
    dw_out e = {.bias = epi->bias,
                .lo = v_set1(epi->act == FW_ACT_NONE ? -INFINITY : 0.0f),
                .hi = v_set1(epi->act == FW_ACT_RELU6 ? 6.0f : INFINITY)};
    for (int64_t r = r0; r < r1; r++) {
        const float *image = x + r / d->oh * d->h * d->w * d->c;
        float *row = y + r * d->ow * d->c;
        if (simple) {
            dw_row(d, image, w, row, &e, r % d->oh);
        } else {
            dw_row_general(d, image, w, row, epi, r % d->oh, r);
        }
    }
}

static void dwconv_bwd_data(const fw_conv *d, const float *dy, const float *w, float *dx, bool accumulate, int64_t r0,
                            int64_t r1) {
    for (int64_t r = r0 * d->w; r < r1 * d->w; r++) {
        int64_t b = r / (d->h * d->w), ih = r / d->w % d->h, iw = r % d->w;
        for (int64_t c = 0; c < d->c; c += VW) {
            vm m = v_tail(d->c - c);
            vf acc = accumulate ? v_load_m(dx + r * d->c + c, m) : v_zero();
            for (int64_t p = 0; p < d->kh; p++) {
                int64_t i = reached(ih, d->pad_top, p, d->stride, d->oh);
                for (int64_t q = 0; q < d->kw && i >= 0; q++) {
                    int64_t j = reached(iw, d->pad_left, q, d->stride, d->ow);
                    if (j >= 0) {
                        acc = v_fma(v_load_m(w + (p * d->kw + q) * d->c + c, m),
                                    v_load_m(dy + ((b * d->oh + i) * d->ow + j) * d->c + c, m), acc);
                    }
                }
            }
            v_store_m(dx + r * d->c + c, acc, m);
        }
    }
}

/* dw of tap row p over one output row, kw taps at once in registers (kw <= 8; more: in slices). */
FW_INLINE void dw_weight_row(const fw_conv *d, const float *x, const float *dy, float *dw, int64_t q_from,
                             const int n_q, int64_t c, vm m) {
    vf acc[8];
#pragma GCC unroll 8
    for (int q = 0; q < n_q; q++) {
        acc[q] = v_load_m(dw + (q_from + q) * d->c + c, m);
    }
    for (int64_t j = 0; j < d->ow; j++) {
        int64_t iw = j * d->stride - d->pad_left + q_from;
        vf g = v_load_m(dy + j * d->c + c, m);
#pragma GCC unroll 8
        for (int q = 0; q < n_q; q++) {
            if (iw + q >= 0 && iw + q < d->w) {
                acc[q] = v_fma(g, v_load_m(x + (iw + q) * d->c + c, m), acc[q]);
            }
        }
    }
#pragma GCC unroll 8
    for (int q = 0; q < n_q; q++) {
        v_store_m(dw + (q_from + q) * d->c + c, acc[q], m);
    }
}

static void dwconv_bwd_weight(const fw_conv *d, const float *x, const float *dy, float *dw, int64_t c0, int64_t c1,
                              int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; r++) {
        int64_t b = r / d->oh, ih = r % d->oh * d->stride - d->pad_top;
        const float *g = dy + r * d->ow * d->c;
        for (int64_t p = max64(0, -ih); p < min64(d->kh, d->h - ih); p++) {
            const float *row = x + (b * d->h + ih + p) * d->w * d->c;
            float *dwp = dw + p * d->kw * d->c;
            for (int64_t c = c0; c < c1; c += VW) {
                vm m = v_tail(c1 - c);
                int64_t q = 0;
                for (; q + 5 <= d->kw; q += 5) {
                    dw_weight_row(d, row, g, dwp, q, 5, c, m);
                }
                for (; q + 3 <= d->kw; q += 3) {
                    dw_weight_row(d, row, g, dwp, q, 3, c, m);
                }
                for (; q < d->kw; q++) {
                    dw_weight_row(d, row, g, dwp, q, 1, c, m);
                }
            }
        }
    }
}

#endif /* FW_KERN_CONV_VEC_INT_H */
