/* effects.c - see effects.h. */
#include "sim/effects.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

enum { BLUR_RADIUS_MAX = 32, BLOCK = 8 };

static uint8_t clamp_u8(float v) {
    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)(v + 0.5f);
}

bool fw_effects_any(const fw_effects *e) {
    bool tone = fabs(e->white_balance) > 0 || fabs(e->exposure - 1) > 0 || fabs(e->gamma - 1) > 0;
    return e->blur > 0 || tone || e->noise > 0 || e->jpeg_quality > 0;
}

/* --- lens */
/* One pass along rows of n pixels; dst is written transposed, so that two passes blur both ways. */
static void blur_pass(const float *k, int radius, int n, int lines, const uint8_t *src, uint8_t *dst) {
    for (int y = 0; y < lines; y++) {
        for (int x = 0; x < n; x++) {
            float sum[3] = {0, 0, 0};
            for (int i = -radius; i <= radius; i++) {
                int at = x + i < 0 ? 0 : x + i >= n ? n - 1 : x + i; /* the border goes on */
                const uint8_t *p = src + 3 * ((size_t)y * (size_t)n + (size_t)at);
                for (int c = 0; c < 3; c++) {
                    sum[c] += k[radius + i] * (float)p[c];
                }
            }
            uint8_t *q = dst + 3 * ((size_t)x * (size_t)lines + (size_t)y);
            for (int c = 0; c < 3; c++) {
                q[c] = clamp_u8(sum[c]);
            }
        }
    }
}

void fw_effect_blur(double sigma_px, int w, int h, uint8_t *rgb, uint8_t *scratch) {
    float k[2 * BLUR_RADIUS_MAX + 1], sum = 0;
    int radius = (int)ceil(3 * sigma_px);
    radius = radius > BLUR_RADIUS_MAX ? BLUR_RADIUS_MAX : radius;
    if (radius < 1 || sigma_px < 0.05) {
        return;
    }
    for (int i = -radius; i <= radius; i++) {
        k[radius + i] = (float)exp(-0.5 * i * i / (sigma_px * sigma_px));
        sum += k[radius + i];
    }
    for (int i = 0; i <= 2 * radius; i++) {
        k[i] /= sum;
    }
    blur_pass(k, radius, w, h, rgb, scratch);
    blur_pass(k, radius, h, w, scratch, rgb);
}

/* --- sensor */
void fw_effect_tone(double white_balance, double exposure, double gamma, int w, int h, uint8_t *rgb) {
    uint8_t table[3][256];
    for (int c = 0; c < 3; c++) {
        double gain = exposure * (1 + (c == 0 ? white_balance : c == 2 ? -white_balance : 0));
        for (int v = 0; v < 256; v++) {
            table[c][v] = clamp_u8((float)(255 * pow(fmin(1, gain * v / 255.0), gamma)));
        }
    }
    size_t n = (size_t)w * (size_t)h;
    for (size_t i = 0; i < n; i++) {
        for (int c = 0; c < 3; c++) {
            rgb[3 * i + (size_t)c] = table[c][rgb[3 * i + (size_t)c]];
        }
    }
}

/* Quantile of the standard normal (Abramowitz and Stegun 26.2.23, absolute error below 4.5e-4). */
static double normal_quantile(double p) {
    double q = p < 0.5 ? p : 1 - p, t = sqrt(-2 * log(q));
    double x = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
    return p < 0.5 ? -x : x;
}

/* Eight values a random number: one of 256 equally likely quantiles of the normal, with the noise's own std. */
void fw_effect_noise(double std, uint64_t seed, int w, int h, uint8_t *rgb) {
    int16_t table[256]; /* in 1/64 */
    double sum2 = 0;
    for (int i = 0; i < 256; i++) {
        double x = normal_quantile((i + 0.5) / 256);
        sum2 += x * x;
    }
    for (int i = 0; i < 256; i++) {
        table[i] = (int16_t)lround(64 * std * normal_quantile((i + 0.5) / 256) / sqrt(sum2 / 256));
    }
    fw_rng r = fw_rng_stream(seed, "pixel noise");
    size_t n = 3 * (size_t)w * (size_t)h;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t bits = fw_rng_u64(&r), round = fw_rng_u64(&r);
        for (size_t k = 0; k < 8 && i + k < n; k++) {
            /* rounded down after a random offset: the mean stays, however small the noise */
            int v = 64 * rgb[i + k] + table[(bits >> (8 * k)) & 255] + (int)((round >> (8 * k)) & 63);
            rgb[i + k] = (uint8_t)(v < 0 ? 0 : v / 64 > 255 ? 255 : v / 64);
        }
    }
}

/* --- encoder */
static const uint8_t quant_luma[64] = {16, 11, 10, 16, 24,  40,  51,  61,  12, 12, 14, 19, 26,  58,  60,  55,
                                       14, 13, 16, 24, 40,  57,  69,  56,  14, 17, 22, 29, 51,  87,  80,  62,
                                       18, 22, 37, 56, 68,  109, 103, 77,  24, 35, 55, 64, 81,  104, 113, 92,
                                       49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99};
static const uint8_t quant_chroma[64] = {17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
                                         24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
                                         99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
                                         99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99};

typedef struct codec {
    float dct[BLOCK][BLOCK]; /* orthonormal: row u is the u-th cosine */
    float step[2][64];       /* luma, chroma */
} codec;

static void codec_init(codec *k, int quality) {
    int scale = quality < 50 ? 5000 / quality : 200 - 2 * quality; /* the IJG's scaling */
    for (int i = 0; i < 64; i++) {
        int l = (quant_luma[i] * scale + 50) / 100, c = (quant_chroma[i] * scale + 50) / 100;
        k->step[0][i] = (float)(l < 1 ? 1 : l > 255 ? 255 : l);
        k->step[1][i] = (float)(c < 1 ? 1 : c > 255 ? 255 : c);
    }
    for (int u = 0; u < BLOCK; u++) {
        for (int x = 0; x < BLOCK; x++) {
            k->dct[u][x] = (float)((u == 0 ? sqrt(0.125) : 0.5) * cos((2 * x + 1) * u * 3.14159265358979323846 / 16));
        }
    }
}

/* out = D in (inverse: D' in), then the same on the transposed: both ways. */
static void transform(const codec *k, bool inverse, float in[64]) {
    float mid[64];
    for (int pass = 0; pass < 2; pass++) {
        for (int u = 0; u < BLOCK; u++) {
            for (int x = 0; x < BLOCK; x++) {
                float sum = 0;
                for (int i = 0; i < BLOCK; i++) {
                    sum += (inverse ? k->dct[i][u] : k->dct[u][i]) * in[BLOCK * i + x];
                }
                mid[BLOCK * x + u] = sum; /* transposed */
            }
        }
        memcpy(in, mid, sizeof mid);
    }
}

/* A plane [h,w] of values around 0, in place, block by block; the border goes on past the edge. */
static void code_plane(const codec *k, const float step[64], int w, int h, float *plane) {
    for (int by = 0; by < h; by += BLOCK) {
        for (int bx = 0; bx < w; bx += BLOCK) {
            float b[64];
            for (int i = 0; i < 64; i++) {
                int y = by + i / BLOCK, x = bx + i % BLOCK;
                b[i] = plane[(size_t)(y < h ? y : h - 1) * (size_t)w + (size_t)(x < w ? x : w - 1)];
            }
            transform(k, false, b);
            for (int i = 0; i < 64; i++) {
                b[i] = step[i] * roundf(b[i] / step[i]);
            }
            transform(k, true, b);
            for (int i = 0; i < 64; i++) {
                int y = by + i / BLOCK, x = bx + i % BLOCK;
                if (y < h && x < w) {
                    plane[(size_t)y * (size_t)w + (size_t)x] = b[i];
                }
            }
        }
    }
}

/* Luma [h,w], and chroma halved both ways [(h+1)/2,(w+1)/2], of the full-range BT.601 that JFIF uses. */
static void split(int w, int h, const uint8_t *rgb, float *luma, float *cb, float *cr) {
    int cw = (w + 1) / 2, ch = (h + 1) / 2;
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            const uint8_t *p = rgb + 3 * ((size_t)y * (size_t)w + (size_t)x);
            luma[(size_t)y * (size_t)w + (size_t)x] =
                0.299f * (float)p[0] + 0.587f * (float)p[1] + 0.114f * (float)p[2] - 128;
        }
    }
    for (int y = 0; y < ch; y++) {
        for (int x = 0; x < cw; x++) {
            float sum[3] = {0, 0, 0};
            for (int i = 0; i < 4; i++) {
                int sy = 2 * y + i / 2 < h ? 2 * y + i / 2 : h - 1, sx = 2 * x + i % 2 < w ? 2 * x + i % 2 : w - 1;
                for (int c = 0; c < 3; c++) {
                    sum[c] += 0.25f * (float)rgb[3 * ((size_t)sy * (size_t)w + (size_t)sx) + (size_t)c];
                }
            }
            cb[(size_t)y * (size_t)cw + (size_t)x] = -0.168736f * sum[0] - 0.331264f * sum[1] + 0.5f * sum[2];
            cr[(size_t)y * (size_t)cw + (size_t)x] = 0.5f * sum[0] - 0.418688f * sum[1] - 0.081312f * sum[2];
        }
    }
}

static void join(int w, int h, const float *luma, const float *cb, const float *cr, uint8_t *rgb) {
    int cw = (w + 1) / 2;
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            size_t at = (size_t)y * (size_t)w + (size_t)x, c = (size_t)(y / 2) * (size_t)cw + (size_t)(x / 2);
            float l = luma[at] + 128;
            rgb[3 * at] = clamp_u8(l + 1.402f * cr[c]);
            rgb[3 * at + 1] = clamp_u8(l - 0.344136f * cb[c] - 0.714136f * cr[c]);
            rgb[3 * at + 2] = clamp_u8(l + 1.772f * cb[c]);
        }
    }
}

static void jpeg(int quality, int w, int h, uint8_t *rgb, float *planes) {
    codec k;
    int cw = (w + 1) / 2, ch = (h + 1) / 2;
    float *luma = planes, *cb = luma + (size_t)w * (size_t)h, *cr = cb + (size_t)cw * (size_t)ch;
    codec_init(&k, quality < 1 ? 1 : quality > 100 ? 100 : quality);
    split(w, h, rgb, luma, cb, cr);
    code_plane(&k, k.step[0], w, h, luma);
    code_plane(&k, k.step[1], cw, ch, cb);
    code_plane(&k, k.step[1], cw, ch, cr);
    join(w, h, luma, cb, cr, rgb);
}

fw_status fw_effect_jpeg(int quality, int w, int h, uint8_t *rgb, fw_err *err) {
    float *planes = malloc(sizeof(float) * 3 * (size_t)(w + 1) * (size_t)(h + 1));
    if (planes == NULL) {
        return fw_fail(err, FW_NOMEM, "JPEG of %dx%d", w, h);
    }
    jpeg(quality, w, h, rgb, planes);
    free(planes);
    return FW_OK;
}

fw_status fw_effects_apply(const fw_effects *e, uint64_t seed, int64_t frame, int w, int h, uint8_t *rgb, fw_err *err) {
    if (e->blur > 0) {
        uint8_t *scratch = malloc(3 * (size_t)w * (size_t)h);
        if (scratch == NULL) {
            return fw_fail(err, FW_NOMEM, "blur of %dx%d", w, h);
        }
        fw_effect_blur(e->blur * h, w, h, rgb, scratch);
        free(scratch);
    }
    if (fabs(e->white_balance) > 0 || fabs(e->exposure - 1) > 0 || fabs(e->gamma - 1) > 0) {
        fw_effect_tone(e->white_balance, e->exposure, e->gamma, w, h, rgb);
    }
    if (e->noise > 0) {
        fw_effect_noise(e->noise, seed ^ (0x9E3779B97F4A7C15ull * (uint64_t)(frame + 1)), w, h, rgb);
    }
    return e->jpeg_quality > 0 ? fw_effect_jpeg(e->jpeg_quality, w, h, rgb, err) : FW_OK;
}
