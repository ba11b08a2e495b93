/* JPEG in memory: there and back, and what is refused */
#include "base/jpeg.h"

#include "base/rng.h"
#include "fw_test.h"

enum { H = 37, W = 53 };

static uint8_t *picture(void) {
    uint8_t *rgb = malloc(H * W * 3);
    CHECK(rgb != NULL);
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            rgb[3 * (y * W + x)] = (uint8_t)(4 * x);
            rgb[3 * (y * W + x) + 1] = (uint8_t)(6 * y);
            rgb[3 * (y * W + x) + 2] = 90;
        }
    }
    return rgb;
}

static void a_smooth_picture_comes_back_nearly_the_same(void) {
    uint8_t *rgb = picture(), *data, *back;
    size_t n;
    int h, w, worst = 0;
    CHECK_INT(fw_jpeg_encode(rgb, H, W, 95, &data, &n, NULL), FW_OK);
    CHECK_INT(fw_jpeg_decode("x", data, n, &back, &h, &w, NULL), FW_OK);
    CHECK(h == H && w == W && n < H * W * 3 / 2);
    for (int i = 0; i < H * W * 3; i++) {
        const int d = abs(back[i] - rgb[i]);
        worst = d > worst ? d : worst;
    }
    CHECK(worst <= 12);
    free(rgb), free(data), free(back);
}

static void what_is_cut_off_or_damaged_is_refused(void) {
    uint8_t *rgb = picture(), *data, *back;
    size_t n;
    int h, w, refused = 0;
    fw_err err = {0};
    fw_rng r = fw_rng_stream(1, "jpeg");
    CHECK_INT(fw_jpeg_encode(rgb, H, W, 80, &data, &n, NULL), FW_OK);
    for (size_t i = 0; i < n - 2; i += 7) { /* the last two bytes only end it */
        CHECK(fw_jpeg_decode("cut.jpg", data, i, &back, &h, &w, &err) == FW_FORMAT && back == NULL);
        CHECK(strncmp(err.msg, "cut.jpg: ", 9) == 0);
    }
    for (int i = 0; i < 200; i++) { /* damaged: refused, or pixels of the size that it says */
        uint8_t *bad = malloc(n);
        CHECK(bad != NULL);
        memcpy(bad, data, n);
        bad[fw_rng_below(&r, n)] ^= (uint8_t)(1 + fw_rng_below(&r, 255));
        refused += fw_jpeg_decode("x", bad, n, &back, &h, &w, &err) != FW_OK;
        free(back), free(bad);
    }
    CHECK(refused > 20);
    CHECK_INT(fw_jpeg_decode("x", "GIF89a", 6, &back, &h, &w, &err), FW_FORMAT);
    CHECK_INT(fw_jpeg_encode(rgb, 0, W, 80, &back, &n, &err), FW_INVALID);
    CHECK_INT(fw_jpeg_encode(rgb, H, W, 101, &back, &n, &err), FW_INVALID);
    free(rgb), free(data);
}

FW_TEST_MAIN(T(a_smooth_picture_comes_back_nearly_the_same), T(what_is_cut_off_or_damaged_is_refused))
