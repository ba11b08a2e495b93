#include "base/plot.h"

#include <unistd.h>

#include "base/file.h"
#include "base/png.h"
#include "base/rng.h"
#include "fw_test.h"

#define N 300

/* pixels that are not near white or grey: lines */
static size_t coloured(const char *path, int *h, int *w) {
    uint8_t *rgb;
    size_t n = 0;
    CHECK_INT(fw_png_read(path, &rgb, h, w, NULL), FW_OK);
    for (int i = 0; i < *h * *w; i++) {
        const uint8_t *p = rgb + 3 * i;
        int hi = p[0] > p[1] ? p[0] : p[1], lo = p[0] < p[1] ? p[0] : p[1];
        hi = p[2] > hi ? p[2] : hi, lo = p[2] < lo ? p[2] : lo;
        n += hi - lo > 60;
    }
    free(rgb);
    return n;
}

static void a_picture_comes_back_equal(void) {
    uint8_t a[7 * 5 * 3], *b;
    int h, w;
    for (size_t i = 0; i < sizeof(a); i++) {
        a[i] = (uint8_t)(i * 37);
    }
    CHECK_INT(fw_png_write("t.png", a, 7, 5, NULL), FW_OK);
    CHECK_INT(fw_png_read("t.png", &b, &h, &w, NULL), FW_OK);
    CHECK_INT(h, 7);
    CHECK_INT(w, 5);
    CHECK(memcmp(a, b, sizeof(a)) == 0);
    free(b);
    unlink("t.png");
}

static void a_damaged_picture_is_refused_by_name_at_every_length(void) {
    uint8_t a[64 * 64 * 3] = {0}, *b;
    char *data;
    size_t n;
    int h, w;
    fw_err e = {0};
    CHECK_INT(fw_png_write("t.png", a, 64, 64, NULL), FW_OK);
    CHECK_INT(fw_file_read("t.png", 1 << 20, &data, &n, NULL), FW_OK);
    for (size_t k = 0; k + 12 < n; k += 5) { /* the last 12 bytes only say "end" */
        CHECK_INT(fw_file_write_atomic("cut.png", data, k, NULL), FW_OK);
        CHECK_INT(fw_png_read("cut.png", &b, &h, &w, &e), FW_FORMAT);
        CHECK(b == NULL && strstr(e.msg, "cut.png") != NULL);
    }
    free(data);
    CHECK_INT(fw_png_write("t.png", a, 0, 64, &e), FW_INVALID);
    unlink("t.png"), unlink("cut.png");
}

static void a_chart_shows_its_lines_even_with_gaps_and_on_a_log_axis(void) {
    static double x[N], loss[N], held[N], gap[N];
    fw_rng r = fw_rng_stream(1, "plot");
    int h, w;
    for (int i = 0; i < N; i++) {
        x[i] = i * 100.0;
        loss[i] = 0.8 * exp(-i / 60.0) + 0.03 + 0.02 * fw_rng_unit(&r);
        held[i] = 0.7 * exp(-i / 70.0) + 0.06;
        gap[i] = i % 50 < 10 ? (double)NAN : sin(i / 20.0) - 0.2;
    }
    const fw_series a[] = {{.name = "training", .x = x, .y = loss, .n = N},
                           {.name = "held out", .x = x, .y = held, .n = N, .dashed = true}};
    const fw_series b[] = {{.name = "ee_delta_x", .y = gap, .n = N}};
    const fw_chart charts[] = {
        {.title = "L1 loss", .x_label = "step", .y_label = "loss", .log_y = true, .series = a, .n_series = 2},
        {.title = "gaps", .x_label = "frame", .series = b, .n_series = 1},
        {.title = "values <= 0 on a log axis", .log_y = true, .series = b, .n_series = 1}};
    CHECK_INT(fw_plot_write("chart.png", "run of a test", charts, 3, 2, NULL), FW_OK);
    CHECK(coloured("chart.png", &h, &w) > 2000);
    CHECK_INT(w, 1280);
    CHECK_INT(h, 2 * 360 + 44);
}

static void nothing_and_nonsense_can_be_drawn(void) {
    double flat[] = {3.0, 3.0, 3.0}, bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY},
           huge[] = {-1e300, 1e300, 0.0};
    const fw_series s[] = {{.y = flat, .n = 3}, {.y = bad, .n = 3}, {.y = huge, .n = 3}, {.name = "none", .n = 0}};
    for (size_t i = 0; i < 4; i++) {
        const fw_chart c = {.title = "one", .series = &s[i], .n_series = 1};
        CHECK_INT(fw_plot_write("odd.png", NULL, &c, 1, 1, NULL), FW_OK);
    }
    const fw_chart empty = {0};
    CHECK_INT(fw_plot_write("odd.png", NULL, &empty, 1, 1, NULL), FW_OK);
    CHECK_INT(fw_plot_write("odd.png", NULL, &empty, 0, 1, NULL), FW_INVALID);
    unlink("odd.png");
}

static void a_sheet_holds_every_tile_with_its_mark(void) {
    static uint8_t im[6][96 * 128 * 3];
    char caption[6][64];
    fw_tile t[6];
    int h, w;
    for (int k = 0; k < 6; k++) {
        for (int i = 0; i < 96 * 128; i++) {
            im[k][3 * i] = (uint8_t)(i % 128 * 2), im[k][3 * i + 1] = (uint8_t)(i / 128 * 2),
                      im[k][3 * i + 2] = (uint8_t)(40 * k);
        }
        snprintf(caption[k], sizeof(caption[k]), "put the plate in the sink, %d.0 s, and a long tail that is cut", k);
        t[k] = (fw_tile){.rgb = im[k], .h = 96, .w = 128, .caption = caption[k], .mark = k % 3 - 1};
    }
    CHECK_INT(fw_sheet_write("sheet.png", "three sentences in one kitchen", t, 6, 4, 200, NULL), FW_OK);
    CHECK(coloured("sheet.png", &h, &w) > 6 * 150 * 100);
    CHECK_INT(w, 12 + 4 * 212);
    t[5].w = 0;
    CHECK_INT(fw_sheet_write("sheet.png", NULL, t, 6, 4, 200, NULL), FW_INVALID);
}

static void clean_up(void) {
    if (getenv("KEEP_PICTURES") == NULL) { /* to look at them */
        unlink("chart.png"), unlink("sheet.png");
    }
}

FW_TEST_MAIN(T(a_picture_comes_back_equal), T(a_damaged_picture_is_refused_by_name_at_every_length),
             T(a_chart_shows_its_lines_even_with_gaps_and_on_a_log_axis), T(nothing_and_nonsense_can_be_drawn),
             T(a_sheet_holds_every_tile_with_its_mark), T(clean_up))
