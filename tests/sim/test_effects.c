/* what a camera does to a picture */
#include "sim/effects.h"

#include <math.h>

#include "base/rng.h"
#include "fw_test.h"

enum { W = 50, H = 37, N = 3 * W * H, EDGE = 24 };

/* Smooth colours with an edge (between two chroma samples): something to lose. */
static void paint(uint8_t *rgb) {
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            uint8_t *p = rgb + 3 * (y * W + x);
            p[0] = (uint8_t)(4 * x + 20);
            p[1] = (uint8_t)(5 * y + 30);
            p[2] = x < EDGE ? 60 : 190;
        }
    }
}

static void apply(const fw_effects *e, uint64_t seed, int64_t frame, uint8_t *rgb) {
    fw_err err;
    paint(rgb);
    if (fw_effects_apply(e, seed, frame, W, H, rgb, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
}

static double rms(const uint8_t *a, const uint8_t *b) {
    double sum = 0;
    for (int i = 0; i < N; i++) {
        sum += (double)(a[i] - b[i]) * (a[i] - b[i]);
    }
    return sqrt(sum / N);
}

static void none_changes_no_byte(void) {
    uint8_t a[N], b[N];
    paint(a);
    fw_effects e = FW_EFFECTS_NONE;
    CHECK(!fw_effects_any(&e));
    apply(&e, 1, 1, b);
    CHECK(memcmp(a, b, N) == 0);
}

static void same_seed_and_frame_give_the_same_bytes_and_others_do_not(void) {
    uint8_t a[N], b[N];
    fw_effects e = {.blur = 0.02, .white_balance = 0.1, .exposure = 0.9, .gamma = 1.2, .noise = 6, .jpeg_quality = 60};
    CHECK(fw_effects_any(&e));
    apply(&e, 7, 3, a);
    apply(&e, 7, 9, b);
    CHECK(memcmp(a, b, N) != 0);
    apply(&e, 8, 3, b);
    CHECK(memcmp(a, b, N) != 0);
    apply(&e, 7, 3, b);
    CHECK(memcmp(a, b, N) == 0);
}

static void noise_has_the_spread_that_was_asked_for_and_no_bias(void) {
    static uint8_t rgb[3 * 200 * 200];
    for (int k = 0; k < 3; k++) {
        double std = k == 0 ? 0.4 : k == 1 ? 3 : 12, mean = 0, var = 0;
        memset(rgb, 128, sizeof rgb);
        fw_effect_noise(std, 5, 200, 200, rgb);
        for (size_t i = 0; i < sizeof rgb; i++) {
            mean += rgb[i] - 128.0;
            var += (rgb[i] - 128.0) * (rgb[i] - 128.0);
        }
        mean /= sizeof rgb;
        var /= sizeof rgb;
        CHECK(fabs(mean) < 0.01 + 0.01 * std);
        /* what a byte cannot hold is dithered: between 0 and a quarter of variance more */
        CHECK(sqrt(var) > 0.97 * std && var < 1.05 * std * std + 0.26);
    }
}

static void blur_keeps_the_mean_and_softens_the_edge(void) {
    static uint8_t a[N], b[N], scratch[N];
    paint(a);
    paint(b);
    fw_effect_blur(1.5, W, H, b, scratch);
    double ma = 0, mb = 0;
    for (int i = 0; i < N; i++) {
        ma += a[i];
        mb += b[i];
    }
    CHECK(fabs(ma - mb) / N < 0.6);
    const uint8_t *edge = b + 3 * (20 * W + EDGE);
    CHECK(edge[2] > 110 && edge[2] < 175 && edge[-1] > 80 && edge[-1] < 140); /* 60 | 190 before */
    memset(a, 77, N);
    fw_effect_blur(3, W, H, a, scratch);
    for (int i = 0; i < N; i++) {
        CHECK_INT(a[i], 77); /* the border goes on: no dark frame */
    }
}

static void tone_moves_red_and_blue_apart_and_gamma_darkens_the_middle(void) {
    uint8_t p[3] = {128, 128, 128};
    fw_effect_tone(0.25, 1, 1, 1, 1, p);
    CHECK_INT(p[0], 160);
    CHECK_INT(p[1], 128);
    CHECK_INT(p[2], 96);
    uint8_t q[6] = {255, 128, 0, 255, 128, 0};
    fw_effect_tone(0, 1, 2, 2, 1, q);
    CHECK(q[0] == 255 && q[1] == 64 && q[2] == 0);
    fw_effect_tone(0, 4, 1, 2, 1, q);
    CHECK(q[0] == 255 && q[1] == 255 && q[2] == 0);
}

static void jpeg_loses_more_at_lower_quality_and_little_at_the_highest(void) {
    static uint8_t a[N], b[N];
    fw_err err;
    double lost[3];
    for (int k = 0; k < 3; k++) {
        paint(a);
        paint(b);
        CHECK(fw_effect_jpeg(k == 0 ? 100 : k == 1 ? 60 : 5, W, H, b, &err) == FW_OK);
        lost[k] = rms(a, b);
    }
    CHECK(lost[0] > 0 && lost[0] < 2);
    CHECK(lost[1] > lost[0] && lost[2] > 2 * lost[1]);
    memset(a, 200, N); /* a flat picture is a DC coefficient: it survives */
    CHECK(fw_effect_jpeg(75, W, H, a, &err) == FW_OK);
    for (int i = 0; i < N; i++) {
        CHECK(abs(a[i] - 200) <= 1);
    }
}

static void small_and_odd_pictures_are_fine(void) {
    uint8_t rgb[3 * 9 * 9];
    fw_err err;
    fw_effects e = {.blur = 0.5, .white_balance = -0.2, .exposure = 2, .gamma = 0.5, .noise = 20, .jpeg_quality = 10};
    for (int w = 1; w <= 9; w++) {
        for (int h = 1; h <= 9; h++) {
            memset(rgb, 100, sizeof rgb);
            CHECK(fw_effects_apply(&e, 1, 0, w, h, rgb, &err) == FW_OK);
            for (int i = 3 * w * h; i < (int)sizeof rgb; i++) {
                CHECK_INT(rgb[i], 100); /* nothing written past the picture */
            }
        }
    }
}

FW_TEST_MAIN(T(none_changes_no_byte), T(same_seed_and_frame_give_the_same_bytes_and_others_do_not),
             T(noise_has_the_spread_that_was_asked_for_and_no_bias), T(blur_keeps_the_mean_and_softens_the_edge),
             T(tone_moves_red_and_blue_apart_and_gamma_darkens_the_middle),
             T(jpeg_loses_more_at_lower_quality_and_little_at_the_highest), T(small_and_odd_pictures_are_fine))
