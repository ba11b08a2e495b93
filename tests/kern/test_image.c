/* number formats bit by bit, u8 pixels to floats, resizing */
#include "kern_test.h"

static const fw_kern *g_all[8];
static int g_n;

static float from_bits(uint32_t u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* Every half and every bf16 survives the way to f32 and back, in every table, except that NaNs become quiet. */
static void every_16_bit_number_round_trips(void) {
    enum { N = 65536 };
    static uint16_t all[N], back[N];
    static float wide[N], want[N];
    g_n = t_tables(g_all);
    for (int i = 0; i < N; i++) {
        all[i] = (uint16_t)i;
    }
    for (int t = 0; t < g_n; t++) {
        g_all[t]->f16_to_f32(all, wide, N);
        g_all[t]->f32_to_f16(wide, back, N);
        for (int i = 0; i < N; i++) {
            bool nan = (i & 0x7C00) == 0x7C00 && (i & 0x3FF) != 0;
            CHECK_INT(back[i], nan ? i | 0x200 : i);
        }
        g_all[0]->f16_to_f32(all, want, N);
        CHECK(memcmp(wide, want, sizeof wide) == 0);
        g_all[t]->bf16_to_f32(all, wide, N);
        g_all[t]->f32_to_bf16(wide, back, N);
        for (int i = 0; i < N; i++) {
            bool nan = (i & 0x7F80) == 0x7F80 && (i & 0x7F) != 0;
            CHECK_INT(back[i], nan ? i | 0x40 : i);
        }
    }
}

static void narrowing_rounds_to_nearest_even(void) {
    enum { N = 40003 };
    static float x[N];
    static uint16_t want[N], got[N];
    g_n = t_tables(g_all);
    for (int i = 0; i < N; i++) { /* all magnitudes, with halfway cases among them */
        uint32_t u = (uint32_t)(t_unit() * 4294967296.0);
        x[i] = from_bits(i % 3 == 0 ? (u & 0xFFFFF000u) | 0x1000u : i % 3 == 1 ? (u & 0xFFFF0000u) | 0x8000u : u);
        x[i] = i % 5 == 0 ? from_bits(0x38000000u - (u & 0x0FFFFFFFu) % 0x0C000000u) : x[i];
    }
    for (int t = 0; t < g_n; t++) {
        g_all[0]->f32_to_f16(x, want, N), g_all[t]->f32_to_f16(x, got, N);
        for (int i = 0; i < N; i++) {
            CHECK_INT(got[i], want[i]);
        }
        g_all[0]->f32_to_bf16(x, want, N), g_all[t]->f32_to_bf16(x, got, N);
        for (int i = 0; i < N; i++) {
            CHECK_INT(got[i], want[i]);
        }
    }
    const float known[6] = {1.0f, 65504.0f, 65519.0f, 65520.0f, 0x1p-24f, 0x1p-26f};
    const uint16_t half[6] = {0x3C00, 0x7BFF, 0x7BFF, 0x7C00, 0x0001, 0x0000};
    g_all[0]->f32_to_f16(known, got, 6);
    for (int i = 0; i < 6; i++) {
        CHECK_INT(got[i], half[i]);
    }
}

static void pixels_are_scaled_per_channel(void) {
    g_n = t_tables(g_all);
    const float scale[4] = {0.5f, 1.0f / 127, 2.0f, -1.0f}, shift[4] = {-1.0f, 0.25f, 3.0f, 0.0f};
    uint8_t x[4 * 50];
    for (int i = 0; i < 4 * 50; i++) {
        x[i] = (uint8_t)(i * 37);
    }
    for (int t = 0; t < g_n; t++) {
        for (int64_t c = 1; c <= 4; c++) {
            for (int64_t n = 0; n <= 50; n += 7) {
                float *w = t_alloc(n * c), *g = t_alloc(n * c);
                g_all[0]->u8_to_f32(x, w, scale, shift, n, c), g_all[t]->u8_to_f32(x, g, scale, shift, n, c);
                CHECK_NEAR(g, w, (size_t)(n * c), 1e-6, 1e-6);
                t_free(w, n * c), t_free(g, n * c);
            }
        }
    }
}

static void resize_one(const fw_kern *k, const uint8_t *x, int64_t h, int64_t w, uint8_t *y, int64_t oh, int64_t ow) {
    size_t sb = k->resize_scratch(h, w, oh, ow);
    void *s = t_scratch(sb);
    k->resize_u8(x, w * 3, h, w, y, oh, ow, s);
    t_scratch_free(s, sb);
}

static void resizing_keeps_constants_and_same_size_and_averages_when_shrinking(void) {
    g_n = t_tables(g_all);
    uint8_t x[12 * 10 * 3], y[24 * 24 * 3];
    for (int t = 0; t < g_n; t++) {
        for (size_t i = 0; i < sizeof x; i++) {
            x[i] = (uint8_t)(i * 91);
        }
        resize_one(g_all[t], x, 12, 10, y, 12, 10);
        CHECK(memcmp(x, y, sizeof x) == 0);
        memset(x, 77, sizeof x);
        resize_one(g_all[t], x, 12, 10, y, 5, 23);
        for (int i = 0; i < 5 * 23 * 3; i++) {
            CHECK_INT(y[i], 77);
        }
        const uint8_t stripes[2 * 4 * 3] = {0, 0, 0, 200, 200, 200, 0, 0, 0, 200, 200, 200,
                                            0, 0, 0, 200, 200, 200, 0, 0, 0, 200, 200, 200};
        resize_one(g_all[t], stripes, 2, 4, y, 1, 1); /* weights 5/16.. : symmetric, so exactly the mean */
        CHECK_INT(y[0], 100);
    }
}

static void resizing_is_the_same_in_every_table(void) {
    g_n = t_tables(g_all);
    static uint8_t x[97 * 131 * 3], w[160 * 160 * 3], g[160 * 160 * 3];
    for (size_t i = 0; i < sizeof x; i++) {
        x[i] = (uint8_t)(t_unit() * 256);
    }
    const int64_t sizes[][2] = {{64, 64}, {160, 140}, {1, 1}, {97, 50}, {30, 131}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        resize_one(g_all[0], x, 97, 131, w, sizes[i][0], sizes[i][1]);
        for (int t = 1; t < g_n; t++) {
            resize_one(g_all[t], x, 97, 131, g, sizes[i][0], sizes[i][1]);
            for (int64_t j = 0; j < sizes[i][0] * sizes[i][1] * 3; j++) {
                CHECK(abs(w[j] - g[j]) <= 1);
            }
        }
    }
}

FW_TEST_MAIN(T(every_16_bit_number_round_trips), T(narrowing_rounds_to_nearest_even), T(pixels_are_scaled_per_channel),
             T(resizing_keeps_constants_and_same_size_and_averages_when_shrinking),
             T(resizing_is_the_same_in_every_table))
