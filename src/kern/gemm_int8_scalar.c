/*
 * gemm_int8_scalar.c - products of int8 operands, as specified: table "int8".
 *
 *   weights       w'[n,k] = w[n,k] smooth[k]       sw[n] = max |w'[n,:]| / 127    qw = round(w' * (127 / max))
 *   activations   x'[m,k] = x[m,k] (1 / smooth[k]) sa[m] = max |x'[m,:]| / 127    qx = round(x' * (127 / max))
 *   y[m,n] = epilogue(sa[m] sw[n] sum_k qx[m,k] qw[n,k])
 *
 * Every step of the first two lines in float, to nearest even, so that every table finds the same integers; the sum is exact.
 * fw_q8_of (kern_int.h) says what becomes of values that are not finite or tiny. A packed B is
 *
 *   [64 bytes: is there smoothing?] [1/smooth: k floats] [scales: n floats] [qw: n rows of k]
 *
 * Table "int8x4" is for instructions that multiply bytes but add products in 16 bits, four at a time: of every 8 values of k those at 0, 1,
 * 4, 5 and those at 2, 3, 6, 7. Activations are rounded to -110 ... 110 (fw_q8_of's 127), unsigned with 110 added, and the
 * scale of a column of weights is the larger of its maximum / 127 and its largest four / 146, a four being the sum of its positive or
 * of its negative values: rounded, they add up to 148 at most, and 2 * 110 * 148 fits. Columns like a normal distribution's have the
 * first scale or hardly more. The error of a product is 1.1 to 1.4 times that of "int8".
 */
#include <string.h>

#include "kern/kern_int.h"

enum { NR = 8 };

static size_t scale_at(int64_t k) {
    return 64 + (size_t)k * sizeof(float);
}

static size_t qw_at(int64_t n, int64_t k) {
    return scale_at(k) + (size_t)n * sizeof(float);
}

static size_t gemm_pack_bytes(int64_t n, int64_t k) {
    const int64_t most = (int64_t)1 << 40;
    bool fits = n >= 0 && k >= 0 && n <= most && k <= most && fw_pack_bytes(n, k, NR) != 0;
    return fits ? qw_at(n, k) + (size_t)(n * k) : 0;
}

static float abs_max(float best, float x) {
    return isnan(best) || isnan(x) ? NAN : fabsf(x) > best ? fabsf(x) : best;
}

/* The largest four of column w. */
static float largest_four(const float *w, int64_t step, int64_t k, const float *smooth) {
    float most = 0.0f;
    for (int64_t from = 0; from < k; from += 8) {
        float up[8] = {0.0f}, down[8] = {0.0f};
        for (int64_t i = 0; i < 8 && from + i < k; i++) {
            const float x = w[(from + i) * step] * (smooth != NULL ? smooth[from + i] : 1.0f);
            up[i] = x > 0.0f ? x : 0.0f;
            down[i] = x < 0.0f ? -x : 0.0f;
        }
        for (int i = 0; i < 4; i += 2) {
            const float a = (up[i] + up[i + 4]) + (up[i + 1] + up[i + 5]);
            const float b = (down[i] + down[i + 4]) + (down[i + 1] + down[i + 5]);
            most = a > most ? a : most;
            most = b > most ? b : most;
        }
    }
    return most;
}

static int8_t quantise(float x, fw_q8 q) {
    return (int8_t)(q.inv > 0.0f ? rintf(x * q.inv) : 0.0f);
}

static void pack(bool x4, void *dst, const float *b, int64_t ldb, fw_layout layout, int64_t n, int64_t k, int64_t n0,
                 int64_t n1, const float *smooth) {
    char *p = dst;
    if (n0 == 0 && n1 > 0) {
        memcpy(p, &(int32_t){smooth != NULL}, sizeof(int32_t));
        for (int64_t kk = 0; kk < k && smooth != NULL; kk++) {
            ((float *)(p + 64))[kk] = 1.0f / smooth[kk];
        }
    }
    for (int64_t j = n0; j < n1; j++) {
        int64_t step = layout == FW_NK ? 1 : ldb;
        const float *w = b + j * (layout == FW_NK ? ldb : 1);
        float max = 0.0f;
        for (int64_t kk = 0; kk < k; kk++) {
            max = abs_max(max, w[kk * step] * (smooth != NULL ? smooth[kk] : 1.0f));
        }
        fw_q8 q = x4 ? fw_q8_x4(max, largest_four(w, step, k, smooth)) : fw_q8_of(max);
        ((float *)(p + scale_at(k)))[j] = q.scale;
        for (int64_t kk = 0; kk < k; kk++) {
            ((int8_t *)p + qw_at(n, k))[j * k + kk] = quantise(w[kk * step] * (smooth != NULL ? smooth[kk] : 1.0f), q);
        }
    }
}

static void gemm_pack_smooth(void *dst, const float *b, int64_t ldb, fw_layout layout, int64_t n, int64_t k, int64_t n0,
                             int64_t n1, const float *smooth) {
    pack(false, dst, b, ldb, layout, n, k, n0, n1, smooth);
}

static void gemm_pack(void *dst, const float *b, int64_t ldb, fw_layout layout, int64_t n, int64_t k, int64_t n0,
                      int64_t n1) {
    pack(false, dst, b, ldb, layout, n, k, n0, n1, NULL);
}

static void x4_pack_smooth(void *dst, const float *b, int64_t ldb, fw_layout layout, int64_t n, int64_t k, int64_t n0,
                           int64_t n1, const float *smooth) {
    pack(true, dst, b, ldb, layout, n, k, n0, n1, smooth);
}

static void x4_pack(void *dst, const float *b, int64_t ldb, fw_layout layout, int64_t n, int64_t k, int64_t n0,
                    int64_t n1) {
    pack(true, dst, b, ldb, layout, n, k, n0, n1, NULL);
}

static size_t gemm_scratch(int64_t m, int64_t k, bool trans_a) {
    (void)m, (void)trans_a;
    return (size_t)k + 64;
}

/* Row i of A in int8, up to most: qx [k]. Returns its scale. */
static float quantise_row(const fw_gemm *g, int64_t i, float most, int8_t *qx) {
    int32_t is_smooth = 0;
    memcpy(&is_smooth, g->b, sizeof is_smooth);
    const float *smooth = is_smooth != 0 ? (const float *)((const char *)g->b + 64) : NULL;
    const float *x = g->trans_a ? g->a + i : g->a + i * g->lda;
    int64_t step = g->trans_a ? g->lda : 1;
    float max = 0.0f;
    for (int64_t kk = 0; kk < g->k; kk++) {
        max = abs_max(max, x[kk * step] * (smooth != NULL ? smooth[kk] : 1.0f));
    }
    fw_q8 q = fw_q8_to(max, most);
    for (int64_t kk = 0; kk < g->k; kk++) {
        qx[kk] = quantise(x[kk * step] * (smooth != NULL ? smooth[kk] : 1.0f), q);
    }
    return q.scale;
}

static void multiply(const fw_gemm *g, float most, void *scratch) {
    int64_t n1 = g->n0 == 0 && g->n1 == 0 ? g->n : g->n1;
    const float *scale = (const float *)((const char *)g->b + scale_at(g->k));
    const int8_t *qw = (const int8_t *)g->b + qw_at(g->n, g->k), *qx = scratch;
    for (int64_t i = 0; i < g->m; i++) {
        double sa = (double)quantise_row(g, i, most, scratch);
        for (int64_t j = g->n0; j < n1; j++) {
            int64_t sum = 0;
            for (int64_t kk = 0; kk < g->k; kk++) {
                sum += qx[kk] * qw[j * g->k + kk];
            }
            fw_epi_ref(&g->epi, (double)sum * sa * (double)scale[j], i, j, &g->c[i * g->ldc + j]);
        }
    }
}

static void gemm_f32(const fw_gemm *g, void *scratch) {
    multiply(g, 127.0f, scratch);
}

static void x4_f32(const fw_gemm *g, void *scratch) {
    multiply(g, (float)FW_X4_MOST, scratch);
}

static size_t conv_scratch(const fw_conv *d) {
    size_t taps = (size_t)d->kh * (size_t)d->kw * (size_t)d->c;
    return taps * (sizeof(float) + 1) + 64;
}

/* The taps that output pixel r reads: col [kh,kw,c]. */
static void unroll_pixel(const fw_conv *d, const float *x, int64_t r, float *col) {
    int64_t b = r / (d->oh * d->ow), i = r / d->ow % d->oh, j = r % d->ow;
    for (int64_t t = 0; t < d->kh * d->kw; t++) {
        int64_t ih = i * d->stride - d->pad_top + t / d->kw, iw = j * d->stride - d->pad_left + t % d->kw;
        bool inside = ih >= 0 && ih < d->h && iw >= 0 && iw < d->w;
        for (int64_t c = 0; c < d->c; c++) {
            col[t * d->c + c] = inside ? x[((b * d->h + ih) * d->w + iw) * d->c + c] : 0.0f;
        }
    }
}

/* A row of activations is the window of one output pixel. */
static void convolve(const fw_conv *d, float most, const float *x, const void *w, float *y, const fw_epi *epi,
                     int64_t r0, int64_t r1, void *scratch) {
    int64_t k = d->kh * d->kw * d->c;
    float *col = scratch;
    for (int64_t r = r0; r < r1; r++) {
        unroll_pixel(d, x, r, col);
        fw_gemm g = {
            .m = 1, .n = d->o, .k = k, .a = col, .lda = k, .b = w, .c = y + r * d->o, .ldc = d->o, .epi = *epi};
        g.epi.residual = epi->residual != NULL ? epi->residual + r * epi->ld_residual : NULL;
        g.epi.pre = epi->pre != NULL ? epi->pre + r * epi->ld_pre : NULL;
        multiply(&g, most, col + k);
    }
}

static void conv_fwd(const fw_conv *d, const float *x, const void *w, float *y, const fw_epi *epi, int64_t r0,
                     int64_t r1, void *scratch) {
    convolve(d, 127.0f, x, w, y, epi, r0, r1, scratch);
}

static void x4_conv_fwd(const fw_conv *d, const float *x, const void *w, float *y, const fw_epi *epi, int64_t r0,
                        int64_t r1, void *scratch) {
    convolve(d, (float)FW_X4_MOST, x, w, y, epi, r0, r1, scratch);
}

void fw_kern_init_int8_scalar(fw_kern *k) {
    k->isa = "int8";
    k->gemm_nr = NR;
    k->gemm_a_cost = 16;
    k->gemm_pack_bytes = gemm_pack_bytes;
    k->gemm_pack = gemm_pack;
    k->gemm_pack_smooth = gemm_pack_smooth;
    k->gemm_scratch = gemm_scratch;
    k->gemm_f32 = gemm_f32;
    k->conv_scratch = conv_scratch;
    k->conv_fwd = conv_fwd;
}

void fw_kern_init_int8x4_scalar(fw_kern *k) {
    fw_kern_init_int8_scalar(k);
    k->isa = "int8x4";
    k->gemm_pack = x4_pack;
    k->gemm_pack_smooth = x4_pack_smooth;
    k->gemm_f32 = x4_f32;
    k->conv_fwd = x4_conv_fwd;
}
