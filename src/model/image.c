#include "model/image.h"

#include <math.h>
#include <string.h>

/* The source pixels [first, last] that output pixel i of n sees on an axis of m pixels. */
typedef struct span {
    int first, last;
    float a, b; /* shrinking: the covered interval [a, b]; growing: a = weight of `last` */
} span;

static span span_of(int i, int n, int m) {
    float scale = (float)m / (float)n;
    if (m > n) {
        span s = {0, 0, (float)i * scale, (float)(i + 1) * scale};
        s.first = (int)s.a;
        s.last = (int)ceilf(s.b) - 1;
        s.last = s.last < m ? s.last : m - 1;
        return s;
    }
    float at = ((float)i + 0.5f) * scale - 0.5f;
    at = at > 0.0f ? at : 0.0f;
    span s = {(int)at, (int)at + 1, at - (float)(int)at, 0.0f};
    s.first = s.first < m ? s.first : m - 1;
    s.last = s.last < m ? s.last : m - 1;
    return s;
}

static float weight(const span *s, int k, int n, int m) {
    if (m > n) {
        float lo = s->a > (float)k ? s->a : (float)k, hi = s->b < (float)(k + 1) ? s->b : (float)(k + 1);
        return hi > lo ? hi - lo : 0.0f;
    }
    return s->first == s->last ? 1.0f : k == s->first ? 1.0f - s->a : s->a;
}

void fw_image_resize(const uint8_t *src, int h, int w, uint8_t *dst, int size) {
    if (h == size && w == size) {
        memcpy(dst, src, (size_t)size * (size_t)size * 3);
        return;
    }
    for (int y = 0; y < size; y++) {
        span sy = span_of(y, size, h);
        for (int x = 0; x < size; x++) {
            span sx = span_of(x, size, w);
            float sum[3] = {0.0f, 0.0f, 0.0f}, total = 0.0f;
            for (int v = sy.first; v <= sy.last; v++) {
                float wy = weight(&sy, v, size, h);
                const uint8_t *row = src + ((size_t)v * (size_t)w + (size_t)sx.first) * 3;
                for (int u = sx.first; u <= sx.last; u++, row += 3) {
                    float k = wy * weight(&sx, u, size, w);
                    total += k;
                    sum[0] += k * (float)row[0];
                    sum[1] += k * (float)row[1];
                    sum[2] += k * (float)row[2];
                }
            }
            for (int c = 0; c < 3; c++) {
                *dst++ = (uint8_t)(sum[c] / total + 0.5f);
            }
        }
    }
}
