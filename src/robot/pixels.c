/* pixels.c - see pixels.h */
#include "robot/pixels.h"

static uint8_t clamp8(int x) {
    return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
}

/* 298/256 = 255/219, 409/256 = 1.596, 100/256 = 0.391, 208/256 = 0.813, 516/256 = 2.018 */
static void one(int y, int u, int v, uint8_t *rgb) {
    const int c = 298 * (y - 16) + 128, d = u - 128, e = v - 128;
    rgb[0] = clamp8((c + 409 * e) >> 8);
    rgb[1] = clamp8((c - 100 * d - 208 * e) >> 8);
    rgb[2] = clamp8((c + 516 * d) >> 8);
}

void fw_yuyv_to_rgb(const uint8_t *yuyv, size_t pitch, int h, int w, uint8_t *rgb) {
    for (int r = 0; r < h; r++) {
        const uint8_t *p = yuyv + (size_t)r * pitch;
        for (int x = 0; x + 1 < w; x += 2, p += 4, rgb += 6) {
            one(p[0], p[1], p[3], rgb);
            one(p[2], p[1], p[3], rgb + 3);
        }
    }
}
