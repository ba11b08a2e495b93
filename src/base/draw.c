/* draw.c - text through cairo into an 8-bit mask, blended onto the image */
#include "base/draw.h"

#include <cairo.h>
#include <string.h>

static uint8_t mix(uint8_t under, uint32_t over, unsigned alpha) {
    return (uint8_t)((under * (255u - alpha) + (over & 255u) * alpha + 127u) / 255u);
}

void fw_draw_text(uint8_t *rgb, int w, int h, int x, int y, int px, uint32_t colour, const char *text) {
    cairo_surface_t *mask = cairo_image_surface_create(CAIRO_FORMAT_A8, w, h);
    if (cairo_surface_status(mask) != CAIRO_STATUS_SUCCESS) {
        cairo_surface_destroy(mask); /* no memory: a picture without its caption */
        return;
    }
    cairo_t *c = cairo_create(mask);
    cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c, px);
    cairo_move_to(c, x, y);
    cairo_show_text(c, text);
    cairo_destroy(c);
    cairo_surface_flush(mask);
    const uint8_t *a = cairo_image_surface_get_data(mask);
    int stride = cairo_image_surface_get_stride(mask);
    for (int i = 0; i < h; i++) {
        for (int j = 0; j < w; j++) {
            unsigned alpha = a[(size_t)i * (size_t)stride + (size_t)j];
            uint8_t *p = rgb + ((size_t)i * (size_t)w + (size_t)j) * 3;
            for (int k = 0; k < 3 && alpha != 0; k++) {
                p[k] = mix(p[k], colour >> (16 - 8 * k), alpha);
            }
        }
    }
    cairo_surface_destroy(mask);
}

void fw_draw_image(uint8_t *dst, int dw, int dh, int x, int y, const uint8_t *src, int sw, int sh, int scale) {
    for (int i = 0; i < sh * scale; i++) {
        if (y + i < 0 || y + i >= dh) {
            continue;
        }
        for (int j = 0; j < sw * scale; j++) {
            if (x + j >= 0 && x + j < dw) {
                memcpy(dst + ((size_t)(y + i) * (size_t)dw + (size_t)(x + j)) * 3,
                       src + ((size_t)(i / scale) * (size_t)sw + (size_t)(j / scale)) * 3, 3);
            }
        }
    }
}
