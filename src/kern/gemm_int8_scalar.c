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

static int8_t quantise(float x, fw_q8 q) {
    return (int8_t)(q.inv > 0.0f ? rintf(x * q.inv) : 0.0f);
}

static void gemm_pack_smooth(void *dst, const float *b, int64_t ldb, fw_layout layout, int64_t n, int64_t k, int64_t n0,
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
        fw_q8 q = fw_q8_of(max);
        ((float *)(p + scale_at(k)))[j] = q.scale;
        for (int64_t kk = 0; kk < k; kk++) {
            ((int8_t *)p + qw_at(n, k))[j * k + kk] = quantise(w[kk * step] * (smooth != NULL ? smooth[kk] : 1.0f), q);
        }
    }
}

static void gemm_pack(void *dst, const float *b, int64_t ldb, fw_layout layout, int64_t n, int64_t k, int64_t n0,
                      int64_t n1) {
    gemm_pack_smooth(dst, b, ldb, layout, n, k, n0, n1, NULL);
}

static size_t gemm_scratch(int64_t m, int64_t k, bool trans_a) {
    (void)m, (void)trans_a;
    return (size_t)k + 64;
}

/* Row i of A in int8: qx [k]. Returns its scale. */
static float quantise_row(const fw_gemm *g, int64_t i, int8_t *qx) {
    int32_t is_smooth = 0;
    memcpy(&is_smooth, g->b, sizeof is_smooth);
    const float *smooth = is_smooth != 0 ? (const float *)((const char *)g->b + 64) : NULL;
    const float *x = g->trans_a ? g->a + i : g->a + i * g->lda;
    int64_t step = g->trans_a ? g->lda : 1;
    float max = 0.0f;
    for (int64_t kk = 0; kk < g->k; kk++) {
        max = abs_max(max, x[kk * step] * (smooth != NULL ? smooth[kk] : 1.0f));
    }
    fw_q8 q = fw_q8_of(max);
    for (int64_t kk = 0; kk < g->k; kk++) {
        qx[kk] = quantise(x[kk * step] * (smooth != NULL ? smooth[kk] : 1.0f), q);
    }
    return q.scale;
}

static void gemm_f32(const fw_gemm *g, void *scratch) {
    int64_t n1 = g->n0 == 0 && g->n1 == 0 ? g->n : g->n1;
    const float *scale = (const float *)((const char *)g->b + scale_at(g->k));
    const int8_t *qw = (const int8_t *)g->b + qw_at(g->n, g->k), *qx = scratch;
    for (int64_t i = 0; i < g->m; i++) {
        double sa = (double)quantise_row(g, i, scratch);
        for (int64_t j = g->n0; j < n1; j++) {
            int64_t sum = 0;
            for (int64_t kk = 0; kk < g->k; kk++) {
                sum += qx[kk] * qw[j * g->k + kk];
            }
            fw_epi_ref(&g->epi, (double)sum * sa * (double)scale[j], i, j, &g->c[i * g->ldc + j]);
        }
    }
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
static void conv_fwd(const fw_conv *d, const float *x, const void *w, float *y, const fw_epi *epi, int64_t r0,
                     int64_t r1, void *scratch) {
    int64_t k = d->kh * d->kw * d->c;
    float *col = scratch;
    for (int64_t r = r0; r < r1; r++) {
        unroll_pixel(d, x, r, col);
        fw_gemm g = {
            .m = 1, .n = d->o, .k = k, .a = col, .lda = k, .b = w, .c = y + r * d->o, .ldc = d->o, .epi = *epi};
        g.epi.residual = epi->residual != NULL ? epi->residual + r * epi->ld_residual : NULL;
        g.epi.pre = epi->pre != NULL ? epi->pre + r * epi->ld_pre : NULL;
        gemm_f32(&g, col + k);
    }
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
