#include "model_test.h"

#include "model/image.h"
#include "model/normalize.h"
#include "model/vision_tower.h"
#include "tensor/safetensors.h"

#define WEIGHTS ".deps/towers/efficientnet_lite0.safetensors"
#define PIXELS  (128 * 128 * 3)

static float *golden(const char *name, size_t n) {
    fw_err err = {0};
    fw_st *s = NULL;
    CHECK_OK(fw_st_open(GOLDEN "model_vision.safetensors", &s, &err), err);
    const fw_st_tensor *t = fw_st_find(s, name);
    CHECK(t != NULL && t->dtype == FW_F32);
    CHECK_INT(t->bytes, n * sizeof(float));
    float *copy = malloc(t->bytes);
    memcpy(copy, t->data, t->bytes);
    fw_st_close(s);
    return copy;
}

static void blocks_equal_the_reference(void) {
    skip_without(WEIGHTS);
    fw_err err = {0};
    uint8_t *rgb = malloc(PIXELS);
    paint(rgb, 128, 128, 0);
    const int taps[2][2] = {{4, 10}, {4, 15}};
    for (int i = 0; i < 2; i++) {
        fw_vision_opts o = {.image_size = 128, .n_tap = 2, .tap = {taps[i][0], taps[i][1]}, .batch = 1};
        fw_vision_tower *t = NULL;
        CHECK_OK(fw_vision_tower_open(NULL, &o, &t, &err), err);
        CHECK_INT(strlen(fw_vision_tower_sha256(t)), 64);
        size_t n0 = fw_vision_tower_values(t, 0), n1 = fw_vision_tower_values(t, 1);
        CHECK_INT(n0, 16 * 16 * 40);
        CHECK_INT(n1, i == 0 ? 8 * 8 * 112 : 4 * 4 * 320);
        float *out[2] = {malloc(n0 * sizeof(float)), malloc(n1 * sizeof(float))};
        CHECK_OK(fw_vision_tower_run(t, rgb, 1, out, &err), err);
        float *want0 = golden("block4", n0), *want1 = golden(i == 0 ? "block10" : "block15", n1);
        CHECK_NEAR(out[0], want0, n0, 1e-4, 1e-5); /* values up to about 40: fp32 sums in another order */
        CHECK_NEAR(out[1], want1, n1, 1e-4, 1e-5);
        free(out[0]), free(out[1]), free(want0), free(want1);
        fw_vision_tower_close(t);
    }
    free(rgb);
}

static void many_images_on_many_threads_equal_one_by_one(void) {
    skip_without(WEIGHTS);
    fw_err err = {0};
    fw_pool *pool = NULL;
    CHECK_OK(fw_pool_new(3, &pool, &err), err);
    enum { N_IMAGE = 7, VALUES = 8 * 8 * 112 };
    uint8_t *rgb = malloc((size_t)N_IMAGE * PIXELS);
    for (int i = 0; i < N_IMAGE; i++) {
        paint(rgb + (size_t)i * PIXELS, 128, 128, i);
    }
    fw_vision_opts one = FW_VISION_OPTS_DEFAULT, many = one;
    many.pool = pool;
    many.batch = 2; /* 7 is not a multiple */
    fw_vision_tower *a = NULL, *b = NULL;
    CHECK_OK(fw_vision_tower_open(NULL, &one, &a, &err), err);
    CHECK_OK(fw_vision_tower_open(NULL, &many, &b, &err), err);
    float *x = malloc(sizeof(float) * N_IMAGE * VALUES), *y = malloc(sizeof(float) * N_IMAGE * VALUES);
    uint16_t *h = malloc(sizeof(uint16_t) * N_IMAGE * VALUES);
    for (int i = 0; i < N_IMAGE; i++) {
        float *out = x + i * VALUES;
        CHECK_OK(fw_vision_tower_run(a, rgb + (size_t)i * PIXELS, 1, &out, &err), err);
    }
    CHECK_OK(fw_vision_tower_run(b, rgb, N_IMAGE, &y, &err), err);
    CHECK_NEAR(y, x, N_IMAGE * VALUES, 1e-4, 1e-5);
    CHECK_OK(fw_vision_tower_run_f16(b, rgb, N_IMAGE, &h, &err), err);
    for (int i = 0; i < N_IMAGE * VALUES; i++) {
        x[i] = fw_f32_from_f16(h[i]);
    }
    CHECK_NEAR(x, y, N_IMAGE * VALUES, 1e-6, 1e-3);
    free(rgb), free(x), free(y), free(h);
    fw_vision_tower_close(a);
    fw_vision_tower_close(b);
    fw_pool_free(pool);
}

static void impossible_taps_and_sizes_are_refused(void) {
    fw_err err = {0};
    fw_vision_tower *t = NULL;
    fw_params *p = NULL;
    CHECK_OK(fw_params_new(1, &p, &err), err);
    fw_vision_opts o = {.image_size = 128, .n_tap = 1, .tap = {16, 0}, .batch = 1};
    CHECK_FAILS(fw_vision_tower_new(p, "t.", &o, &t, &err), err, FW_INVALID, "blocks 0 to 15");
    o = (fw_vision_opts){.image_size = 100, .n_tap = 1, .tap = {10, 0}, .batch = 1};
    CHECK_FAILS(fw_vision_tower_new(p, "t.", &o, &t, &err), err, FW_INVALID, "multiple of 32");
    o = (fw_vision_opts){.image_size = 128, .n_tap = 2, .tap = {10, 4}, .batch = 1};
    CHECK_FAILS(fw_vision_tower_new(p, "t.", &o, &t, &err), err, FW_INVALID, "ascend");
    CHECK_FAILS(fw_vision_tower_open("/nowhere.safetensors", &o, &t, &err), err, FW_INVALID, "ascend");
    o = FW_VISION_OPTS_DEFAULT;
    CHECK_FAILS(fw_vision_tower_open("/nowhere.safetensors", &o, &t, &err), err, FW_IO, "/nowhere.safetensors");
    fw_params_free(p);
}

static void weights_of_something_else_are_refused_by_name(void) {
    fw_err err = {0};
    fw_vision_tower *t = NULL;
    fw_vision_opts o = FW_VISION_OPTS_DEFAULT;
    CHECK(fw_vision_tower_open(GOLDEN "model_tiny.safetensors", &o, &t, &err) != FW_OK);
    CHECK(strstr(err.msg, "model_tiny.safetensors") != NULL);
    CHECK_FAILS(fw_effnet_convert(GOLDEN "model_tiny.pth", "never.safetensors", &err), err, FW_FORMAT,
                "_conv_stem.weight");
    CHECK(!fw_path_exists("never.safetensors"));
}

static void resized(const uint8_t *src, int h, int w, uint8_t *dst, int size) {
    size_t n = fw_image_scratch(h, w, size);
    void *scratch = aligned_alloc(64, (n + 64) / 64 * 64);
    fw_image_resize(src, h, w, dst, size, scratch);
    free(scratch);
}

static void resizing_keeps_constants_ramps_and_copies(void) {
    enum { H = 96, W = 256, S = 64 };
    uint8_t *src = malloc(H * W * 3), *dst = malloc(S * S * 3), *up = malloc(256 * 256 * 3);
    memset(src, 77, H * W * 3);
    resized(src, H, W, dst, S);
    for (int i = 0; i < S * S * 3; i++) {
        CHECK_INT(dst[i], 77);
    }
    resized(src, H, W, up, 256);
    for (int i = 0; i < 256 * 256 * 3; i++) {
        CHECK_INT(up[i], 77);
    }
    for (int i = 0; i < H * W * 3; i++) {
        src[i] = (uint8_t)(i / 3 % W); /* brightness = column */
    }
    resized(src, H, W, dst, S);
    for (int x = 2; x < S - 2; x++) { /* pixel x covers columns 4x .. 4x + 3, mean 4x + 1.5 */
        CHECK(abs(2 * dst[(5 * S + x) * 3 + 1] - (8 * x + 3)) <= 1);
    }
    uint8_t edge[2 * 2 * 3] = {0, 0, 0, 200, 200, 200, 0, 0, 0, 200, 200, 200};
    resized(edge, 2, 2, up, 4);
    CHECK_INT(up[0], 0);
    CHECK_INT(up[3], 50);
    CHECK_INT(up[6], 150);
    CHECK_INT(up[9], 200);
    CHECK_INT(fw_image_scratch(S, S, S), 0);
    fw_image_resize(dst, S, S, up, S, NULL);
    CHECK(memcmp(dst, up, S * S * 3) == 0);
    free(src), free(dst), free(up);
}

FW_TEST_MAIN(T(blocks_equal_the_reference), T(many_images_on_many_threads_equal_one_by_one),
             T(impossible_taps_and_sizes_are_refused), T(weights_of_something_else_are_refused_by_name),
             T(resizing_keeps_constants_ramps_and_copies))
