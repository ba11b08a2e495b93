/* conv_scalar.c - convolutions over NHWC, as specified: the sums written out, no im2col. */
#include "kern/kern_int.h"

enum { NR = 8 }; /* of the packed weights: as in gemm_scalar.c */

static float packed_at(const float *w, int64_t k, int64_t kk, int64_t j) {
    return w[((j / NR) * k + kk) * NR + j % NR];
}

static size_t conv_scratch(const fw_conv *d) {
    (void)d;
    return 64;
}

static void conv_fwd(const fw_conv *d, const float *x, const void *w, float *y, const fw_epi *epi, int64_t r0,
                     int64_t r1, void *scratch) {
    (void)scratch;
    int64_t kd = d->kh * d->kw * d->c;
    for (int64_t r = r0; r < r1; r++) {
        int64_t b = r / (d->oh * d->ow), i = r / d->ow % d->oh, j = r % d->ow;
        for (int64_t o = 0; o < d->o; o++) {
            double sum = 0.0;
            for (int64_t t = 0; t < d->kh * d->kw; t++) {
                int64_t ih = i * d->stride - d->pad_top + t / d->kw, iw = j * d->stride - d->pad_left + t % d->kw;
                if (ih < 0 || ih >= d->h || iw < 0 || iw >= d->w) {
                    continue;
                }
                const float *px = x + ((b * d->h + ih) * d->w + iw) * d->c;
                for (int64_t c = 0; c < d->c; c++) {
                    sum += (double)px[c] * (double)packed_at(w, kd, t * d->c + c, o);
                }
            }
            fw_epi_ref(epi, sum, r, o, &y[r * d->o + o]);
        }
    }
}

/* The output pixel that input row/column `in` reaches through tap t; -1: none. */
static int64_t reached(int64_t in, int pad, int64_t t, int stride, int64_t n_out) {
    int64_t p = in + pad - t;
    return p < 0 || p % stride != 0 || p / stride >= n_out ? -1 : p / stride;
}

static void conv_bwd_data(const fw_conv *d, const float *dy, const void *w, float *dx, bool accumulate, int64_t r0,
                          int64_t r1, void *scratch) {
    (void)scratch;
    int64_t kd = d->kh * d->kw * d->o;
    for (int64_t r = r0; r < r1; r++) {
        int64_t b = r / (d->h * d->w), ih = r / d->w % d->h, iw = r % d->w;
        for (int64_t c = 0; c < d->c; c++) {
            double sum = accumulate ? (double)dx[r * d->c + c] : 0.0;
            for (int64_t t = 0; t < d->kh * d->kw; t++) {
                int64_t i = reached(ih, d->pad_top, t / d->kw, d->stride, d->oh);
                int64_t j = reached(iw, d->pad_left, t % d->kw, d->stride, d->ow);
                if (i < 0 || j < 0) {
                    continue;
                }
                const float *g = dy + ((b * d->oh + i) * d->ow + j) * d->o;
                for (int64_t o = 0; o < d->o; o++) {
                    sum += (double)g[o] * (double)packed_at(w, kd, t * d->o + o, c);
                }
            }
            dx[r * d->c + c] = (float)sum;
        }
    }
}

static void conv_bwd_weight(const fw_conv *d, const float *x, const float *dy, float *dw, int64_t o0, int64_t o1,
                            int64_t r0, int64_t r1, void *scratch) {
    (void)scratch;
    for (int64_t o = o0; o < o1; o++) {
        for (int64_t tc = 0; tc < d->kh * d->kw * d->c; tc++) {
            int64_t t = tc / d->c, c = tc % d->c;
            double sum = 0.0;
            for (int64_t r = r0; r < r1; r++) {
                int64_t b = r / (d->oh * d->ow), i = r / d->ow % d->oh, j = r % d->ow;
                int64_t ih = i * d->stride - d->pad_top + t / d->kw, iw = j * d->stride - d->pad_left + t % d->kw;
                if (ih >= 0 && ih < d->h && iw >= 0 && iw < d->w) {
                    sum += (double)dy[r * d->o + o] * (double)x[((b * d->h + ih) * d->w + iw) * d->c + c];
                }
            }
            dw[o * d->kh * d->kw * d->c + tc] += (float)sum;
        }
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

static void dwconv_fwd(const fw_conv *d, const float *x, const float *w, float *y, const fw_epi *epi, int64_t r0,
                       int64_t r1) {
    for (int64_t r = r0 * d->ow; r < r1 * d->ow; r++) {
        int64_t b = r / (d->oh * d->ow), i = r / d->ow % d->oh, j = r % d->ow;
        for (int64_t c = 0; c < d->c; c++) {
            double sum = 0.0;
            for (int64_t t = 0; t < d->kh * d->kw; t++) {
                int64_t ih = i * d->stride - d->pad_top + t / d->kw, iw = j * d->stride - d->pad_left + t % d->kw;
                if (ih >= 0 && ih < d->h && iw >= 0 && iw < d->w) {
                    sum += (double)x[((b * d->h + ih) * d->w + iw) * d->c + c] * (double)w[t * d->c + c];
                }
            }
            fw_epi_ref(epi, sum, r, c, &y[r * d->c + c]);
        }
    }
}

static void dwconv_bwd_data(const fw_conv *d, const float *dy, const float *w, float *dx, bool accumulate, int64_t r0,
                            int64_t r1) {
    for (int64_t r = r0 * d->w; r < r1 * d->w; r++) {
        int64_t b = r / (d->h * d->w), ih = r / d->w % d->h, iw = r % d->w;
        for (int64_t c = 0; c < d->c; c++) {
            double sum = accumulate ? (double)dx[r * d->c + c] : 0.0;
            for (int64_t t = 0; t < d->kh * d->kw; t++) {
                int64_t i = reached(ih, d->pad_top, t / d->kw, d->stride, d->oh);
                int64_t j = reached(iw, d->pad_left, t % d->kw, d->stride, d->ow);
                if (i >= 0 && j >= 0) {
                    sum += (double)dy[((b * d->oh + i) * d->ow + j) * d->c + c] * (double)w[t * d->c + c];
                }
            }
            dx[r * d->c + c] = (float)sum;
        }
    }
}

static void dwconv_bwd_weight(const fw_conv *d, const float *x, const float *dy, float *dw, int64_t c0, int64_t c1,
                              int64_t r0, int64_t r1) {
    for (int64_t t = 0; t < d->kh * d->kw; t++) {
        for (int64_t c = c0; c < c1; c++) {
            double sum = 0.0;
            for (int64_t r = r0 * d->ow; r < r1 * d->ow; r++) {
                int64_t b = r / (d->oh * d->ow), i = r / d->ow % d->oh, j = r % d->ow;
                int64_t ih = i * d->stride - d->pad_top + t / d->kw, iw = j * d->stride - d->pad_left + t % d->kw;
                if (ih >= 0 && ih < d->h && iw >= 0 && iw < d->w) {
                    sum += (double)dy[r * d->c + c] * (double)x[((b * d->h + ih) * d->w + iw) * d->c + c];
                }
            }
            dw[t * d->c + c] += (float)sum;
        }
    }
}

/* c innermost, so that a compiler's vectors do: memory is the limit. */
static void max_pool_fwd(const fw_conv *d, const float *x, float *y, int32_t *from, int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; r++) {
        int64_t b = r / (d->oh * d->ow), i = r / d->ow % d->oh, j = r % d->ow;
        float *best = y + r * d->c;
        bool any = false;
        for (int64_t t = 0; t < d->kh * d->kw; t++) {
            int64_t ih = i * d->stride - d->pad_top + t / d->kw, iw = j * d->stride - d->pad_left + t % d->kw;
            if (ih < 0 || ih >= d->h || iw < 0 || iw >= d->w) {
                continue;
            }
            const float *xt = x + ((b * d->h + ih) * d->w + iw) * d->c;
            for (int64_t c = 0; c < d->c; c++) {
                if (from != NULL && (!any || xt[c] > best[c])) {
                    from[r * d->c + c] = (int32_t)(ih * d->w + iw);
                }
                best[c] = !any || xt[c] > best[c] ? xt[c] : best[c];
            }
            any = true;
        }
    }
}

static void max_pool_bwd(const fw_conv *d, const int32_t *from, const float *dy, float *dx, int64_t b0, int64_t b1) {
    int64_t out = d->oh * d->ow * d->c;
    for (int64_t b = b0; b < b1; b++) {
        for (int64_t e = b * out; e < (b + 1) * out; e++) {
            dx[(b * d->h * d->w + from[e]) * d->c + e % d->c] += dy[e];
        }
    }
}

void fw_kern_init_conv_scalar(fw_kern *k) {
    k->max_pool_fwd = max_pool_fwd;
    k->max_pool_bwd = max_pool_bwd;
    k->conv_scratch = conv_scratch;
    k->conv_fwd = conv_fwd;
    k->conv_bwd_data = conv_bwd_data;
    k->conv_bwd_weight = conv_bwd_weight;
    k->conv_pack_bwd_bytes = conv_pack_bwd_bytes;
    k->conv_pack_bwd = conv_pack_bwd;
    k->dwconv_fwd = dwconv_fwd;
    k->dwconv_bwd_data = dwconv_bwd_data;
    k->dwconv_bwd_weight = dwconv_bwd_weight;
}
