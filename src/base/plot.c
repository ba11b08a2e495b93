/*
 * plot.c - WHAT: line charts and contact sheets, drawn with cairo.
 *
 * DESIGN: everything is laid out in pixels on one RGB surface, which leaves through fw_png_write. An axis is a linear map of
 * [lo, hi] (of log10 y on a log axis) to pixels, with ticks at 1, 2 or 5 times a power of ten.
 */
#include "base/plot.h"

#include <cairo.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/png.h"

#define CHART_W  640.0
#define CHART_H  360.0
#define HEAD_H   44.0
#define LEFT     68.0
#define RIGHT    20.0
#define TOP      40.0
#define BOTTOM   50.0
#define TICKS    6
#define GAP      12.0
#define CAPTION  22.0
#define TICK_MAX 16

typedef struct colour {
    double r, g, b;
} colour;

/* Okabe and Ito's colours: told apart by colour-blind readers too */
static const colour palette[] = {{0.00, 0.45, 0.70}, {0.84, 0.37, 0.00}, {0.00, 0.62, 0.45}, {0.80, 0.47, 0.65},
                                 {0.90, 0.62, 0.00}, {0.34, 0.71, 0.91}, {0.35, 0.35, 0.35}};
#define N_COLOUR (sizeof(palette) / sizeof(*palette))

typedef struct axis {
    double lo, hi;   /* data, or log10 of it */
    double from, to; /* pixels */
    bool log10;
    int n_tick;
    double tick[TICK_MAX]; /* same unit as lo */
} axis;

static void set_rgb(cairo_t *c, colour k) {
    cairo_set_source_rgb(c, k.r, k.g, k.b);
}

static void set_grey(cairo_t *c, double v) {
    cairo_set_source_rgb(c, v, v, v);
}

static double to_axis(const axis *a, double v) {
    return a->log10 ? (v > 0.0 ? log10(v) : (double)NAN) : v;
}

static double pixel(const axis *a, double v) {
    return a->from + (v - a->lo) / (a->hi - a->lo) * (a->to - a->from);
}

/* text with its anchor at (x, y): align 0 left, 0.5 middle, 1 right; y is the base line */
static void put_text(cairo_t *c, double x, double y, double align, const char *text) {
    cairo_text_extents_t e;
    cairo_text_extents(c, text, &e);
    cairo_move_to(c, floor(x - align * e.x_advance), y);
    cairo_show_text(c, text);
}

static void set_font(cairo_t *c, double size, bool bold) {
    cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c, size);
}

static double x_of(const fw_series *s, size_t i) {
    return s->x != NULL ? s->x[i] : (double)i;
}

/* Range over all drawable points; an empty or flat one becomes a range of width > 0. */
static void fit_axes(const fw_chart *ch, axis *ax, axis *ay) {
    ax->lo = ay->lo = (double)INFINITY;
    ax->hi = ay->hi = -(double)INFINITY;
    for (size_t k = 0; k < ch->n_series; k++) {
        const fw_series *s = &ch->series[k];
        for (size_t i = 0; i < s->n; i++) {
            double x = x_of(s, i), y = to_axis(ay, s->y[i]);
            if (isfinite(x) && isfinite(y)) {
                ax->lo = fmin(ax->lo, x), ax->hi = fmax(ax->hi, x);
                ay->lo = fmin(ay->lo, y), ay->hi = fmax(ay->hi, y);
            }
        }
    }
    axis *both[] = {ax, ay};
    for (int i = 0; i < 2; i++) {
        axis *a = both[i];
        if (!(a->hi >= a->lo)) {
            a->lo = 0.0, a->hi = 1.0;
        }
        double least = fmax(fabs(a->hi), fabs(a->lo)) * 1e-9 + 1e-12, pad = a == ay ? 0.05 * (a->hi - a->lo) : 0.0;
        if (a->hi - a->lo < least) {
            pad = fmax(fabs(a->hi) * 0.1, 1e-3);
        }
        a->lo -= pad, a->hi += pad;
    }
}

/* On a log axis over less than two powers of ten: 1, 2 and 5 times each of them. */
static void place_log_ticks(axis *a) {
    const double times[] = {1.0, 2.0, 5.0};
    a->n_tick = 0;
    for (double k = floor(a->lo); k <= a->hi; k += 1.0) {
        for (int i = 0; i < 3; i++) {
            double t = k + log10(times[i]);
            if (t >= a->lo && t <= a->hi && a->n_tick < TICK_MAX) {
                a->tick[a->n_tick++] = t;
            }
        }
    }
}

/* Ticks at multiples of 1, 2 or 5 x 10^k; on a log axis over many powers of ten at whole powers. */
static void place_ticks(axis *a) {
    double rough = (a->hi - a->lo) / TICKS;
    double base = pow(10.0, floor(log10(rough))), step = base;
    const double times[] = {1.0, 2.0, 5.0, 10.0};
    if (a->log10 && a->hi - a->lo < 2.0) {
        place_log_ticks(a);
        return;
    }
    for (int i = 0; i < 4 && step < rough; i++) {
        step = base * times[i];
    }
    step = a->log10 ? ceil(rough) : step;
    a->n_tick = 0;
    for (double t = ceil(a->lo / step) * step; t <= a->hi + 1e-9 * step && a->n_tick < TICK_MAX; t += step) {
        a->tick[a->n_tick++] = fabs(t) < 1e-9 * step ? 0.0 : t;
    }
}

static void tick_label(const axis *a, double t, char out[24]) {
    snprintf(out, 24, a->log10 ? "%.3g" : "%.6g", a->log10 ? pow(10.0, t) : t);
}

static void draw_axes(cairo_t *c, const fw_chart *ch, const axis *ax, const axis *ay) {
    char text[24];
    set_font(c, 11.0, false);
    cairo_set_line_width(c, 1.0);
    for (int i = 0; i < ay->n_tick; i++) {
        double y = floor(pixel(ay, ay->tick[i])) + 0.5;
        set_grey(c, 0.90);
        cairo_move_to(c, ax->from, y);
        cairo_line_to(c, ax->to, y);
        cairo_stroke(c);
        set_grey(c, 0.35);
        tick_label(ay, ay->tick[i], text);
        put_text(c, ax->from - 8.0, y + 4.0, 1.0, text);
    }
    for (int i = 0; i < ax->n_tick; i++) {
        double x = floor(pixel(ax, ax->tick[i])) + 0.5;
        set_grey(c, 0.55);
        cairo_move_to(c, x, ay->from);
        cairo_line_to(c, x, ay->from + 4.0);
        cairo_stroke(c);
        set_grey(c, 0.35);
        tick_label(ax, ax->tick[i], text);
        put_text(c, x, ay->from + 18.0, 0.5, text);
    }
    set_grey(c, 0.55);
    cairo_move_to(c, ax->from, floor(ay->from) + 0.5);
    cairo_line_to(c, ax->to, floor(ay->from) + 0.5);
    cairo_stroke(c);
    set_grey(c, 0.25);
    if (ch->x_label != NULL) {
        put_text(c, (ax->from + ax->to) / 2.0, ay->from + 38.0, 0.5, ch->x_label);
    }
    if (ch->y_label != NULL) {
        cairo_save(c);
        cairo_translate(c, ax->from - LEFT + 16.0, (ay->from + ay->to) / 2.0);
        cairo_rotate(c, -M_PI / 2.0);
        put_text(c, 0.0, 0.0, 0.5, ch->y_label);
        cairo_restore(c);
    }
}

static void draw_series(cairo_t *c, const fw_series *s, size_t index, const axis *ax, const axis *ay) {
    const double dashes[] = {6.0, 4.0};
    bool down = false;
    set_rgb(c, palette[index % N_COLOUR]);
    cairo_set_line_width(c, 1.6);
    cairo_set_line_join(c, CAIRO_LINE_JOIN_ROUND);
    cairo_set_dash(c, dashes, s->dashed ? 2 : 0, 0.0);
    for (size_t i = 0; i < s->n; i++) {
        double x = pixel(ax, x_of(s, i)), y = pixel(ay, to_axis(ay, s->y[i]));
        bool ok = isfinite(x) && isfinite(y);
        if (ok && down) {
            cairo_line_to(c, x, y);
        } else if (ok) {
            cairo_move_to(c, x, y);
        }
        down = ok;
    }
    cairo_stroke(c);
    cairo_set_dash(c, NULL, 0, 0.0);
}

/* names behind a piece of their line, in a row that ends at (right, y) */
static void draw_legend(cairo_t *c, const fw_chart *ch, double right, double y) {
    const double dashes[] = {6.0, 4.0};
    cairo_text_extents_t e;
    set_font(c, 11.0, false);
    for (size_t k = ch->n_series; k-- > 0;) {
        if (ch->series[k].name == NULL) {
            continue;
        }
        set_grey(c, 0.2);
        put_text(c, right, y, 1.0, ch->series[k].name);
        cairo_text_extents(c, ch->series[k].name, &e);
        right -= e.x_advance + 6.0;
        set_rgb(c, palette[k % N_COLOUR]);
        cairo_set_line_width(c, 2.0);
        cairo_set_dash(c, dashes, ch->series[k].dashed ? 2 : 0, 0.0);
        cairo_move_to(c, right - 20.0, y - 4.0);
        cairo_line_to(c, right, y - 4.0);
        cairo_stroke(c);
        cairo_set_dash(c, NULL, 0, 0.0);
        right -= 20.0 + 14.0;
    }
}

static void draw_chart(cairo_t *c, const fw_chart *ch, double x, double y) {
    axis ax = {.from = x + LEFT, .to = x + CHART_W - RIGHT};
    axis ay = {.from = y + CHART_H - BOTTOM, .to = y + TOP, .log10 = ch->log_y};
    fit_axes(ch, &ax, &ay);
    place_ticks(&ax);
    place_ticks(&ay);
    draw_axes(c, ch, &ax, &ay);
    for (size_t k = 0; k < ch->n_series; k++) {
        draw_series(c, &ch->series[k], k, &ax, &ay);
    }
    draw_legend(c, ch, ax.to, ay.to - 14.0);
    if (ch->title != NULL) {
        set_font(c, 13.0, true);
        set_grey(c, 0.1);
        put_text(c, ax.from, y + TOP - 14.0, 0.0, ch->title);
    }
}

/* A white canvas with its heading; FW_OK or nothing to free. */
static fw_status canvas_new(const char *path, double w, double h, const char *heading, cairo_t **out, fw_err *err) {
    if (!(w >= 1.0 && h >= 1.0 && w <= FW_PNG_SIDE_MAX && h <= FW_PNG_SIDE_MAX)) {
        return fw_fail(err, FW_INVALID, "%s: picture of %.0fx%.0f, wanted 1..%d a side", path, w, h, FW_PNG_SIDE_MAX);
    }
    cairo_surface_t *s = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)w, (int)h);
    cairo_t *c = cairo_create(s);
    cairo_surface_destroy(s); /* c holds it now */
    if (cairo_status(c) != CAIRO_STATUS_SUCCESS) {
        const char *why = cairo_status_to_string(cairo_status(c));
        cairo_destroy(c);
        return fw_fail(err, FW_NOMEM, "%s: picture of %.0fx%.0f: %s", path, w, h, why);
    }
    set_grey(c, 1.0);
    cairo_paint(c);
    if (heading != NULL) {
        set_font(c, 17.0, true);
        set_grey(c, 0.1);
        put_text(c, GAP + 4.0, 29.0, 0.0, heading);
    }
    *out = c;
    return FW_OK;
}

/* Write and free the canvas (consumed). cairo keeps a pixel as a native-endian 0x00RRGGBB. */
static fw_status canvas_end(cairo_t *c, const char *path, fw_err *err) {
    cairo_surface_t *s = cairo_get_target(c);
    cairo_surface_flush(s);
    int w = cairo_image_surface_get_width(s), h = cairo_image_surface_get_height(s);
    int stride = cairo_image_surface_get_stride(s);
    const uint8_t *data = cairo_image_surface_get_data(s);
    uint8_t *rgb = malloc((size_t)w * (size_t)h * 3);
    fw_status st = FW_OK;
    if (cairo_status(c) != CAIRO_STATUS_SUCCESS) {
        st = fw_fail(err, FW_INVALID, "%s: drawing failed: %s", path, cairo_status_to_string(cairo_status(c)));
        goto done;
    }
    if (rgb == NULL || data == NULL) {
        st = fw_fail(err, FW_NOMEM, "%s: no memory for %dx%d pixels", path, w, h);
        goto done;
    }
    for (int i = 0; i < w * h; i++) {
        uint32_t p;
        memcpy(&p, data + (size_t)(i / w) * (size_t)stride + (size_t)(i % w) * 4, 4);
        rgb[3 * (size_t)i] = (uint8_t)(p >> 16);
        rgb[3 * (size_t)i + 1] = (uint8_t)(p >> 8);
        rgb[3 * (size_t)i + 2] = (uint8_t)p;
    }
    st = fw_png_write(path, rgb, h, w, err);
done:
    free(rgb);
    cairo_destroy(c);
    return st;
}

fw_status fw_plot_write(const char *path, const char *heading, const fw_chart *charts, size_t n, int columns,
                        fw_err *err) {
    if (n == 0 || columns < 1) {
        return fw_fail(err, FW_INVALID, "%s: %zu charts in %d columns", path, n, columns);
    }
    size_t cols = n < (size_t)columns ? n : (size_t)columns, rows = (n + cols - 1) / cols;
    double head = heading != NULL ? HEAD_H : 0.0;
    cairo_t *c;
    FW_TRY(canvas_new(path, CHART_W * (double)cols, head + CHART_H * (double)rows, heading, &c, err));
    for (size_t i = 0; i < n; i++) {
        draw_chart(c, &charts[i], CHART_W * (double)(i % cols), head + CHART_H * (double)(i / cols));
    }
    return canvas_end(c, path, err);
}

/* The picture at (x, y), `side` wide; nearest pixels when enlarged a lot would look coarse, so cairo's GOOD filter. */
static fw_status draw_tile(cairo_t *c, const fw_tile *t, double x, double y, double side, fw_err *err) {
    cairo_surface_t *s = cairo_image_surface_create(CAIRO_FORMAT_RGB24, t->w, t->h);
    if (cairo_surface_status(s) != CAIRO_STATUS_SUCCESS) {
        cairo_surface_destroy(s);
        return fw_fail(err, FW_NOMEM, "no memory for a tile of %dx%d", t->w, t->h);
    }
    uint8_t *data = cairo_image_surface_get_data(s);
    int stride = cairo_image_surface_get_stride(s);
    for (int i = 0; i < t->w * t->h; i++) {
        const uint8_t *q = t->rgb + 3 * (size_t)i;
        uint32_t p = (uint32_t)q[0] << 16 | (uint32_t)q[1] << 8 | q[2];
        memcpy(data + (size_t)(i / t->w) * (size_t)stride + (size_t)(i % t->w) * 4, &p, 4);
    }
    cairo_surface_mark_dirty(s);
    cairo_save(c);
    cairo_translate(c, x, y);
    cairo_scale(c, side / t->w, side / t->w);
    cairo_set_source_surface(c, s, 0.0, 0.0);
    cairo_pattern_set_extend(cairo_get_source(c), CAIRO_EXTEND_PAD);
    cairo_rectangle(c, 0.0, 0.0, t->w, t->h);
    cairo_fill(c);
    cairo_restore(c);
    cairo_surface_destroy(s);
    return FW_OK;
}

static void draw_frame_and_caption(cairo_t *c, const fw_tile *t, double x, double y, double w, double h) {
    if (t->mark != 0) {
        set_rgb(c, t->mark > 0 ? palette[2] : palette[1]);
        cairo_set_line_width(c, 4.0);
        cairo_rectangle(c, x + 2.0, y + 2.0, w - 4.0, h - 4.0);
        cairo_stroke(c);
    }
    if (t->caption != NULL) {
        cairo_save(c);
        cairo_rectangle(c, x, y + h, w, CAPTION);
        cairo_clip(c);
        set_font(c, 12.0, false);
        set_grey(c, 0.2);
        put_text(c, x + 1.0, y + h + 15.0, 0.0, t->caption);
        cairo_restore(c);
    }
}

/* Height of row r: its tallest picture at `side` width. */
static double row_height(const fw_tile *tiles, size_t n, size_t cols, size_t r, double side) {
    double h = 0.0;
    for (size_t i = r * cols; i < n && i < (r + 1) * cols; i++) {
        h = fmax(h, ceil(side * tiles[i].h / tiles[i].w));
    }
    return h;
}

fw_status fw_sheet_write(const char *path, const char *heading, const fw_tile *tiles, size_t n, int columns, int side,
                         fw_err *err) {
    if (n == 0 || columns < 1 || side < 8) {
        return fw_fail(err, FW_INVALID, "%s: %zu tiles of %d pixels in %d columns", path, n, side, columns);
    }
    for (size_t i = 0; i < n; i++) {
        if (tiles[i].w < 1 || tiles[i].h < 1 || tiles[i].w > FW_PNG_SIDE_MAX || tiles[i].h > FW_PNG_SIDE_MAX) {
            return fw_fail(err, FW_INVALID, "%s: tile %zu is %dx%d", path, i, tiles[i].w, tiles[i].h);
        }
    }
    size_t cols = n < (size_t)columns ? n : (size_t)columns, rows = (n + cols - 1) / cols;
    double y = heading != NULL ? HEAD_H : GAP, height = y;
    for (size_t r = 0; r < rows; r++) {
        height += row_height(tiles, n, cols, r, side) + CAPTION + GAP / 2.0;
    }
    cairo_t *c;
    FW_TRY(canvas_new(path, GAP + (side + GAP) * (double)cols, height + GAP / 2.0, heading, &c, err));
    for (size_t i = 0; i < n; i++) {
        double x = GAP + (side + GAP) * (double)(i % cols), h = ceil((double)side * tiles[i].h / tiles[i].w);
        fw_status s = draw_tile(c, &tiles[i], x, y, side, err);
        if (s != FW_OK) {
            cairo_destroy(c);
            return s;
        }
        draw_frame_and_caption(c, &tiles[i], x, y, side, h);
        if (i % cols == cols - 1) {
            y += row_height(tiles, n, cols, i / cols, side) + CAPTION + GAP / 2.0;
        }
    }
    return canvas_end(c, path, err);
}
