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

/* Of RB rows of k taps, and the overhang of a vector. */
FW_INLINE size_t col_bytes(int64_t k) {
    return round64((size_t)(RB * k + VW) * sizeof(float));
}

#if defined(FW_INT8) /* enough for the other slots, which are those of fp32, too */
static size_t conv_scratch(const fw_conv *d) {
    int64_t taps = d->kh * d->kw, most = max64(taps * d->c, taps * d->o);
    size_t rest = gemm_scratch(MC, most, false), exact = (size_t)(MC * KC + 2 * VW) * sizeof(float);
    return col_bytes(most) + (rest > exact ? rest : exact) + 64;
}
#elif !defined(FW_BF16) /* half the depth at most: the scratch of fp32 is enough for both */
static size_t conv_scratch(const fw_conv *d) {
    int64_t taps = d->kh * d->kw, kf = taps * d->c, kb = taps * d->o;
    size_t unrolled = col_bytes(max64(kf, kb));
    size_t fwd = unrolled + gemm_scratch(d->oh * d->ow * 1024, kf, false); /* whole-gemm case: any number of rows */
    size_t bwd = unrolled + gemm_scratch(d->h * d->w * 1024, kb, false);
    return (fwd > bwd ? fwd : bwd) + 64;
}
#endif

static void zero(float *p, int64_t n) {
    memset(p, 0, (size_t)n * sizeof(float));
}

/* In ascending order only: whole vectors, whose overhang the next copy covers (col_bytes). */
FW_INLINE void copy_up(float *to, const float *from, int64_t n) {
    int64_t j = 0;
    for (; j + VW <= n; j += VW) {
        v_store(to + j, v_load(from + j));
    }
    if (j < n) {
        v_store(to + j, v_load_m(from + j, v_tail(n - j)));
    }
}

/* The taps that output pixel (i, j) of an image reads: col [kh,kw,c]. */
FW_INLINE void unroll_pixel(const fw_conv *d, const float *image, int64_t i, int64_t j, float *col) {
    const int64_t iw = j * d->stride - d->pad_left, run = d->kw * d->c;
    const int64_t q0 = max64(0, -iw), q1 = max64(q0, min64(d->kw, d->w - iw));
    const float *from = image + ((i * d->stride - d->pad_top) * d->w + iw) * d->c;
    for (int64_t p = 0; p < d->kh; p++, col += run, from += d->w * d->c) {
        const int64_t ih = i * d->stride - d->pad_top + p;
        if (ih < 0 || ih >= d->h || q0 >= d->kw) {
            zero(col, run);
        } else if (q1 - q0 == d->kw) {
            copy_up(col, from, run);
        } else {
            zero(col, q0 * d->c);
            copy_up(col + q0 * d->c, from + q0 * d->c, (q1 - q0) * d->c);
            zero(col + q1 * d->c, (d->kw - q1) * d->c);
        }
    }
}

/* Those of output pixels [r,r+m), a row each. */
static void unroll_rows(const fw_conv *d, const float *x, int64_t r, int64_t m, float *col) {
    const int64_t k = d->kh * d->kw * d->c;
    int64_t b = r / (d->oh * d->ow), i = r / d->ow % d->oh, j = r % d->ow;
    for (int64_t t = 0; t < m; t++, col += k) {
        unroll_pixel(d, x + b * d->h * d->w * d->c, i, j, col);
        if (++j == d->ow) {
            j = 0;
            b += i + 1 == d->oh;
            i = i + 1 == d->oh ? 0 : i + 1;
        }
    }
}

#if !defined(FW_FORWARD)
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
#endif

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
    void *rest = (char *)scratch + col_bytes(k);
    for (int64_t r = r0; r < r1; r += step) {
        int64_t m = min64(step, r1 - r);
        fw_gemm g = {
            .m = m, .n = d->o, .k = k, .lda = k, .b = w, .c = y + r * d->o, .ldc = d->o, .epi = epi_at(epi, r)};
        g.a = is_gemm(d) ? x + r * d->c : col;
        if (!is_gemm(d)) {
            unroll_rows(d, x, r, m, col);
        }
        gemm_f32(&g, rest);
    }
}

#if !defined(FW_FORWARD) /* gradients of convolutions and depthwise layers stay in fp32 */
static void conv_bwd_data(const fw_conv *d, const float *dy, const void *w, float *dx, bool accumulate, int64_t r0,
                          int64_t r1, void *scratch) {
    int64_t k = d->kh * d->kw * d->o, step = is_gemm(d) ? r1 - r0 : RB;
    float *col = scratch;
    void *rest = (char *)scratch + col_bytes(k);
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
    float *col = scratch;
    if (is_gemm(d)) {
        gemm_loose(o1 - o0, k, r1 - r0, dy + r0 * d->o + o0, d->o, x + r0 * d->c, d->c, dw + o0 * k, k);
        return;
    }
    for (int64_t r = r0; r < r1; r += RB) {
        int64_t m = min64(RB, r1 - r);
        unroll_rows(d, x, r, m, col);
        gemm_loose(o1 - o0, k, m, dy + r * d->o + o0, d->o, col, k, dw + o0 * k, k);
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

/* What the inner loops need: everything that is bias and clamping stays in registers. */
typedef struct dw_job {
    const fw_conv *d;
    const float *w, *bias;
    vf lo, hi;
    bool flip; /* taps in reverse order: backward data of stride 1 is a forward pass with flipped taps */
    bool accumulate;
} dw_job;

FW_INLINE void dw_store(const dw_job *e, float *y, vf x, vm m) {
    x = v_min(e->hi, v_max(e->lo, x));
    v_store_m(y, e->accumulate ? v_add(x, v_load_m(y, m)) : x, m);
}

FW_INLINE vf dw_weight(const dw_job *e, int64_t p, int64_t q, int64_t c, vm m) {
    const fw_conv *d = e->d;
    int64_t t = e->flip ? (d->kh - 1 - p) * d->kw + (d->kw - 1 - q) : p * d->kw + q;
    return v_load_m(e->w + t * d->c + c, m);
}

/* 4 pixels of an output row, all channels, kw and stride known to the compiler: neighbours share their loads. x is the
 * pixel under tap (0, 0) of the first one; tap rows [p0,p1) are inside the image, `inside` has a bit for each of the
 * 3*stride + kw columns that is. */
FW_UNFOLD void dw_four(const dw_job *e, const int kw, const int stride, const bool edge, const float *x, float *y,
                       int64_t p0, int64_t p1, uint32_t inside) {
    const int64_t n = e->d->c, row = e->d->w * n;
    for (int64_t c = 0; c < n; c += VW) {
        vm m = v_tail(n - c), none = v_tail(0);
        vf b = e->bias != NULL ? v_load_m(e->bias + c, m) : v_zero(), acc[4] = {b, b, b, b};
        for (int64_t p = p0; p < p1; p++) {
            vf in[16];
            FW_UNROLL(16)
            for (int col = 0; col < 3 * stride + kw; col++) {
                in[col] = v_load_m(x + p * row + col * n + c, edge && !(inside >> col & 1u) ? none : m);
            }
            FW_UNROLL(8)
            for (int q = 0; q < kw; q++) {
                vf wt = dw_weight(e, p, q, c, m);
                FW_UNROLL(4)
                for (int u = 0; u < 4; u++) {
                    acc[u] = v_fma(wt, in[u * stride + q], acc[u]);
                }
            }
        }
        FW_UNROLL(4)
        for (int u = 0; u < 4; u++) {
            dw_store(e, y + u * n + c, acc[u], m);
        }
    }
}

/* One pixel of any kernel. */
static void dw_one(const dw_job *e, const float *x, float *y, int64_t p0, int64_t p1, int64_t q0, int64_t q1) {
    int64_t n = e->d->c, row = e->d->w * n;
    for (int64_t c = 0; c < n; c += VW) {
        vm m = v_tail(n - c);
        vf acc = e->bias != NULL ? v_load_m(e->bias + c, m) : v_zero();
        for (int64_t p = p0; p < p1; p++) {
            for (int64_t q = q0; q < q1; q++) {
                acc = v_fma(dw_weight(e, p, q, c, m), v_load_m(x + p * row + q * n + c, m), acc);
            }
        }
        dw_store(e, y + c, acc, m);
    }
}

/* Columns [0, n_col) from iw that lie inside [0, w). */
static uint32_t columns_inside(int64_t iw, int n_col, int64_t w) {
    uint32_t bits = 0;
    for (int col = 0; col < n_col; col++) {
        bits |= (uint32_t)(iw + col >= 0 && iw + col < w) << col;
    }
    return bits;
}

/* One output row in fours. The last four may overlap the ones before (the same values again), unless adding. */
FW_UNFOLD void dw_row_fours(const dw_job *e, const int kw, const int stride, const float *x, float *y, int64_t ih,
                            int64_t p0, int64_t p1) {
    const fw_conv *d = e->d;
    const int n_col = 3 * stride + kw;
    for (int64_t j = 0; j < d->ow; j += 4) {
        j = min64(j, d->ow - 4);
        int64_t iw = j * stride - d->pad_left;
        const float *xj = x + (ih * d->w + iw) * d->c;
        if (iw >= 0 && iw + n_col <= d->w) {
            dw_four(e, kw, stride, false, xj, y + j * d->c, p0, p1, 0);
        } else {
            dw_four(e, kw, stride, true, xj, y + j * d->c, p0, p1, columns_inside(iw, n_col, d->w));
        }
    }
}

/* Output row i of an image x. */
static void dw_row(const dw_job *e, const float *x, float *y, int64_t i) {
    const fw_conv *d = e->d;
    int64_t ih = i * d->stride - d->pad_top, p0 = max64(0, -ih), p1 = max64(p0, min64(d->kh, d->h - ih));
    bool fours = d->ow >= 4 && (d->ow % 4 == 0 || !e->accumulate);
    if (fours && d->kw == 3 && d->stride == 1) {
        dw_row_fours(e, 3, 1, x, y, ih, p0, p1);
    } else if (fours && d->kw == 3 && d->stride == 2) {
        dw_row_fours(e, 3, 2, x, y, ih, p0, p1);
    } else if (fours && d->kw == 5 && d->stride == 1) {
        dw_row_fours(e, 5, 1, x, y, ih, p0, p1);
    } else if (fours && d->kw == 5 && d->stride == 2) {
        dw_row_fours(e, 5, 2, x, y, ih, p0, p1);
    } else {
        for (int64_t j = 0; j < d->ow; j++) {
            int64_t iw = j * d->stride - d->pad_left, q0 = max64(0, -iw), q1 = max64(q0, min64(d->kw, d->w - iw));
            dw_one(e, x + (ih * d->w + iw) * d->c, y + j * d->c, p0, p1, q0, q1);
        }
    }
}

/* Epilogues beyond bias and clamping: raw sums into y, then a pass over the row in the first cache. */
static void dwconv_fwd(const fw_conv *d, const float *x, const float *w, float *y, const fw_epi *epi, int64_t r0,
                       int64_t r1) {
    bool heavy = is_heavy(epi) || epi->residual != NULL || epi->accumulate;
    bool clamp = !heavy && epi->act != FW_ACT_NONE;
    dw_job e = {.d = d, .w = w, .bias = heavy ? NULL : epi->bias, .accumulate = epi->accumulate};
    e.lo = v_set1(clamp ? 0.0f : -INFINITY);
    e.hi = v_set1(clamp && epi->act == FW_ACT_RELU6 ? 6.0f : INFINITY);
    for (int64_t r = r0; r < r1; r++) {
        float *row = y + r * d->ow * d->c;
        dw_row(&e, x + r / d->oh * d->h * d->w * d->c, row, r % d->oh);
        if (heavy) {
            epi_tile(epi, row, d->c, r * d->ow, 0, d->ow, d->c);
        }
    }
}

/* The output pixels that reach one input row or column: tap t, pixel `at`. At most 16 taps a side. */
typedef struct reach {
    int n;
    int64_t t[16], at[16];
} reach;

static reach reach_of(int64_t in, int pad, int taps, int stride, int64_t n_out) {
    reach r = {0};
    for (int t = 0; t < taps; t++) {
        int64_t p = in + pad - t;
        if (p >= 0 && p % stride == 0 && p / stride < n_out) {
            r.t[r.n] = t;
            r.at[r.n++] = p / stride;
        }
    }
    return r;
}

/* One input row of a strided layer: gathered pixel by pixel. g: gradients of this image. */
static void dw_bwd_row(const fw_conv *d, const float *g, const float *w, float *dx, bool accumulate, int64_t ih) {
    reach rows = reach_of(ih, d->pad_top, d->kh, d->stride, d->oh);
    for (int64_t iw = 0; iw < d->w; iw++, dx += d->c) {
        reach cols = reach_of(iw, d->pad_left, d->kw, d->stride, d->ow);
        for (int64_t c = 0; c < d->c; c += VW) {
            vm m = v_tail(d->c - c);
            vf acc = accumulate ? v_load_m(dx + c, m) : v_zero();
            for (int a = 0; a < rows.n; a++) {
                for (int b = 0; b < cols.n; b++) {
                    vf wt = v_load_m(w + (rows.t[a] * d->kw + cols.t[b]) * d->c + c, m);
                    acc = v_fma(wt, v_load_m(g + (rows.at[a] * d->ow + cols.at[b]) * d->c + c, m), acc);
                }
            }
            v_store_m(dx + c, acc, m);
        }
    }
}

static void dwconv_bwd_data(const fw_conv *d, const float *dy, const float *w, float *dx, bool accumulate, int64_t r0,
                            int64_t r1) {
    fw_conv back = {
        .h = d->oh, .w = d->ow, .c = d->c, .oh = d->h, .ow = d->w, .o = d->c, .kh = d->kh, .kw = d->kw, .stride = 1};
    back.pad_top = d->kh - 1 - d->pad_top;
    back.pad_left = d->kw - 1 - d->pad_left;
    dw_job e = {
        .d = &back, .w = w, .lo = v_set1(-INFINITY), .hi = v_set1(INFINITY), .flip = true, .accumulate = accumulate};
    for (int64_t r = r0; r < r1; r++) {
        const float *g = dy + r / d->h * d->oh * d->ow * d->c;
        float *row = dx + r * d->w * d->c;
        if (d->stride == 1) {
            dw_row(&e, g, row, r % d->h);
        } else {
            dw_bwd_row(d, g, w, row, accumulate, r % d->h);
        }
    }
}

/* dw of tap row p over one output row, kw taps at once in registers (kw <= 8; more: in slices). */
FW_UNFOLD void dw_weight_row(const fw_conv *d, const float *x, const float *dy, float *dw, int64_t q_from,
                             const int n_q, int64_t c, vm m) {
    vf acc[8];
    FW_UNROLL(8)
    for (int q = 0; q < n_q; q++) {
        acc[q] = v_load_m(dw + (q_from + q) * d->c + c, m);
    }
    for (int64_t j = 0; j < d->ow; j++) {
        int64_t iw = j * d->stride - d->pad_left + q_from;
        vf g = v_load_m(dy + j * d->c + c, m);
        FW_UNROLL(8)
        for (int q = 0; q < n_q; q++) {
            if (iw + q >= 0 && iw + q < d->w) {
                acc[q] = v_fma(g, v_load_m(x + (iw + q) * d->c + c, m), acc[q]);
            }
        }
    }
    FW_UNROLL(8)
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

/* ---- largest of a window ---- */

/* The window of an output pixel that lies inside its image: tap rows [p0,p1), tap columns [q0,q1) from x. */
typedef struct window {
    const float *x; /* of the image's pixel under tap (0, 0), which may be outside */
    int64_t at;     /* its number */
    int64_t p0, p1, q0, q1;
} window;

static window window_of(const fw_conv *d, const float *x, int64_t r) {
    int64_t b = r / (d->oh * d->ow), ih = r / d->ow % d->oh * d->stride - d->pad_top,
            iw = r % d->ow * d->stride - d->pad_left;
    window w = {.at = ih * d->w + iw, .p0 = max64(0, -ih), .q0 = max64(0, -iw)};
    w.x = x + (b * d->h * d->w + w.at) * d->c;
    w.p1 = max64(w.p0, min64(d->kh, d->h - ih));
    w.q1 = max64(w.q0, min64(d->kw, d->w - iw));
    return w;
}

/* As the scalar kernel compares: a NaN wins only when it comes first. */
static void largest(const fw_conv *d, const window *w, float *y) {
    for (int64_t c = 0; c < d->c; c += VW) {
        const vm m = v_tail(d->c - c);
        vf best = v_load_m(w->x + (w->p0 * d->w + w->q0) * d->c + c, m);
        for (int64_t p = w->p0; p < w->p1; p++) {
            for (int64_t q = w->q0; q < w->q1; q++) {
                best = v_max(v_load_m(w->x + (p * d->w + q) * d->c + c, m), best);
            }
        }
        v_store_m(y + c, best, m);
    }
}

/* The first pixel that equals y; where that is a NaN, the first one. */
static void whence(const fw_conv *d, const window *w, const float *y, int32_t *from) {
    for (int64_t p = w->p1 - 1; p >= w->p0; p--) {
        for (int64_t q = w->q1 - 1; q >= w->q0; q--) {
            const float *x = w->x + (p * d->w + q) * d->c;
            const int32_t at = (int32_t)(w->at + p * d->w + q);
            const bool first = p == w->p0 && q == w->q0;
            for (int64_t c = 0; c < d->c; c++) {
                from[c] = x[c] == y[c] || (first && y[c] != y[c]) ? at : from[c];
            }
        }
    }
}

static void max_pool_fwd(const fw_conv *d, const float *x, float *y, int32_t *from, int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; r++) {
        const window w = window_of(d, x, r);
        if (w.p0 >= w.p1 || w.q0 >= w.q1) {
            continue;
        }
        largest(d, &w, y + r * d->c);
        if (from != NULL) {
            whence(d, &w, y + r * d->c, from + r * d->c);
        }
    }
}
#endif

#endif /* FW_KERN_CONV_VEC_INT_H */
