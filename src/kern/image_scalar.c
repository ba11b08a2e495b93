/*
 * image_scalar.c - number formats and images, as specified.
 *
 * Resizing is separable: rows first into a float image [h,ow,3] in scratch, then columns. Each output reads a triangle
 * of half-width max(1, in/out) around its centre, normalised; shrinking therefore averages instead of skipping pixels.
 */
#include <math.h>
#include <string.h>

#include "kern/kern_int.h"

static uint32_t bits_of(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}

static float float_of(uint32_t u) {
    float x;
    memcpy(&x, &u, 4);
    return x;
}

static void f32_to_bf16(const float *x, uint16_t *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t u = bits_of(x[i]);
        bool nan = (u & 0x7FFFFFFFu) > 0x7F800000u;
        y[i] = (uint16_t)(nan ? (u >> 16) | 0x40u : (u + 0x7FFFu + ((u >> 16) & 1u)) >> 16);
    }
}

static void bf16_to_f32(const uint16_t *x, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = float_of((uint32_t)x[i] << 16);
    }
}

static uint16_t half_of(float x) {
    uint32_t u = bits_of(x), sign = (u >> 16) & 0x8000u, mag = u & 0x7FFFFFFFu;
    if (mag > 0x7F800000u) { /* NaN: quiet, keep the top of the payload */
        return (uint16_t)(sign | 0x7E00u | ((mag >> 13) & 0x1FFu));
    }
    if (mag >= 0x477FF000u) { /* 65520 and more round to infinity */
        return (uint16_t)(sign | 0x7C00u);
    }
    if (mag < 0x38800000u) { /* below 2^-14: a subnormal is |x| in units of 2^-24, rounded by the float adder */
        float f = float_of(mag) + 0.5f;
        return (uint16_t)(sign | (bits_of(f) - 0x3F000000u));
    }
    uint32_t rounded = mag + 0xFFFu + ((mag >> 13) & 1u);
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

static void f32_to_f16(const float *x, uint16_t *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = half_of(x[i]);
    }
}

static void f16_to_f32(const uint16_t *x, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t sign = (uint32_t)(x[i] & 0x8000u) << 16, mag = x[i] & 0x7FFFu;
        if (mag >= 0x7C00u) {
            y[i] = float_of(sign | 0x7F800000u | ((mag & 0x3FFu) << 13) | ((mag & 0x3FFu) != 0 ? 0x400000u : 0u));
        } else if (mag < 0x400u) {
            y[i] = float_of(sign | bits_of((float)mag * 0x1p-24f));
        } else {
            y[i] = float_of(sign | ((mag << 13) + 0x38000000u));
        }
    }
}

static void u8_to_f32(const uint8_t *x, float *y, const float *scale, const float *shift, int64_t n_pixel, int64_t c) {
    for (int64_t i = 0; i < n_pixel * c; i++) {
        y[i] = (float)x[i] * scale[i % c] + shift[i % c];
    }
}

/* The taps of output i of n_out over n_in inputs: weights (sum 1) into wt, first input into *first; returns how many. */
static int64_t taps(int64_t i, int64_t n_in, int64_t n_out, double *wt, int64_t *first) {
    double ratio = (double)n_in / (double)n_out, width = ratio > 1.0 ? ratio : 1.0, total = 0.0;
    double centre = ((double)i + 0.5) * ratio - 0.5;
    int64_t lo = (int64_t)floor(centre - width) + 1, hi = (int64_t)ceil(centre + width) - 1;
    lo = lo < 0 ? 0 : lo;
    hi = hi >= n_in ? n_in - 1 : hi;
    for (int64_t t = lo; t <= hi; t++) {
        wt[t - lo] = 1.0 - fabs((double)t - centre) / width;
        total += wt[t - lo];
    }
    for (int64_t t = 0; t <= hi - lo; t++) {
        wt[t] /= total;
    }
    *first = lo;
    return hi - lo + 1;
}

/* Weights of one output, at most n_in of them, then the rows. */
static size_t weights_bytes(int64_t h, int64_t w) {
    return ((size_t)(h > w ? h : w) * sizeof(double) + 63) / 64 * 64;
}

static size_t resize_scratch(int64_t h, int64_t w, int64_t oh, int64_t ow) {
    (void)oh;
    return weights_bytes(h, w) + (size_t)h * (size_t)ow * 3 * sizeof(float);
}

/* Column j of every row: u8 [h,w,3] -> float [h,ow,3]. */
static void resize_column(const uint8_t *x, int64_t ldx, int64_t h, float *rows, int64_t ow, int64_t j,
                          const double *wt, int64_t n) {
    for (int64_t i = 0; i < h; i++) {
        double sum[3] = {0};
        for (int64_t t = 0; t < n; t++) {
            sum[0] += wt[t] * (double)x[i * ldx + t * 3];
            sum[1] += wt[t] * (double)x[i * ldx + t * 3 + 1];
            sum[2] += wt[t] * (double)x[i * ldx + t * 3 + 2];
        }
        for (int ch = 0; ch < 3; ch++) {
            rows[(i * ow + j) * 3 + ch] = (float)sum[ch];
        }
    }
}

static void resize_u8(const uint8_t *x, int64_t ldx, int64_t h, int64_t w, uint8_t *y, int64_t oh, int64_t ow,
                      void *scratch) {
    double *wt = scratch;
    float *rows = (float *)((char *)scratch + weights_bytes(h, w));
    int64_t first;
    for (int64_t j = 0; j < ow; j++) {
        int64_t n = taps(j, w, ow, wt, &first);
        resize_column(x + first * 3, ldx, h, rows, ow, j, wt, n);
    }
    for (int64_t i = 0; i < oh; i++) {
        int64_t n = taps(i, h, oh, wt, &first);
        for (int64_t j = 0; j < ow * 3; j++) {
            double sum = 0.0;
            for (int64_t t = 0; t < n; t++) {
                sum += wt[t] * (double)rows[(first + t) * ow * 3 + j];
            }
            y[i * ow * 3 + j] = (uint8_t)(sum + 0.5);
        }
    }
}

void fw_kern_init_image_scalar(fw_kern *k) {
    k->f32_to_bf16 = f32_to_bf16;
    k->bf16_to_f32 = bf16_to_f32;
    k->f32_to_f16 = f32_to_f16;
    k->f16_to_f32 = f16_to_f32;
    k->u8_to_f32 = u8_to_f32;
    k->resize_scratch = resize_scratch;
    k->resize_u8 = resize_u8;
}
