/* tensors of a checkpoint: each taken once in the form it should have, none left over */
#include "model/weights.h"
#include "model_test.h"

#include <unistd.h>

static const char *path_of(const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "fw_weights_%d_%s", (int)getpid(), name);
    return path;
}

/* a [2,3], conv [2,2,1,3] of 0..11, qkv [6,2] of 0..11, ids [2] I32, bad [1] NaN */
static void write_file(const char *path) {
    float v[12], nan = NAN;
    int32_t ids[2] = {1, 2};
    fw_err err = {0};
    for (int i = 0; i < 12; i++) {
        v[i] = (float)i;
    }
    const fw_st_out t[] = {{"a", FW_BF16, FW_SHAPE_OF(2, 3), v},
                           {"conv", FW_F32, FW_SHAPE_OF(2, 2, 1, 3), v},
                           {"qkv", FW_F16, FW_SHAPE_OF(6, 2), v},
                           {"ids", FW_I32, FW_SHAPE_OF(2), ids},
                           {"bad", FW_F32, FW_SHAPE_OF(1), &nan}};
    CHECK_OK(fw_st_write(path, t, 5, NULL, &err), err);
}

static fw_weights *open_file(const char *strip) {
    fw_weights *w = NULL;
    fw_err err = {0};
    write_file(path_of("w"));
    CHECK_OK(fw_weights_open(path_of("w"), strip, &w, &err), err);
    unlink(path_of("w"));
    return w;
}

static void layouts_are_turned(void) {
    fw_err err = {0};
    fw_weights *w = open_file("");
    const fw_shape conv = FW_SHAPE_OF(2, 1, 3, 2), third = FW_SHAPE_OF(2, 2), a = FW_SHAPE_OF(2, 3);
    const float want_conv[] = {0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11}, want_k[] = {4, 5, 6, 7},
                want_a[] = {0, 1, 2, 3, 4, 5};
    float got[12];
    CHECK_OK(fw_weights_conv(w, "conv", &conv, got, &err), err);
    CHECK_NEAR(got, want_conv, 12, 0.0, 0.0);
    CHECK_OK(fw_weights_third(w, "qkv", 1, &third, got, &err), err);
    CHECK_NEAR(got, want_k, 4, 0.0, 0.0);
    CHECK_OK(fw_weights_f32(w, "a", &a, got, &err), err);
    CHECK_NEAR(got, want_a, 6, 0.0, 0.0);
    fw_weights_close(w);
}

static void names_without_a_prefix_are_found_with_it(void) {
    fw_err err = {0};
    fw_weights *w = open_file("model.");
    const fw_shape a = FW_SHAPE_OF(2, 3);
    float got[6];
    CHECK(fw_weights_has(w, "model.a") && fw_weights_has(w, "a") && !fw_weights_has(w, "model.model.a"));
    CHECK_OK(fw_weights_f32(w, "model.a", &a, got, &err), err);
    fw_weights_close(w);
}

static void what_does_not_fit_is_named(void) {
    fw_err err = {0};
    fw_weights *w = open_file("");
    const fw_shape a = FW_SHAPE_OF(3, 2), two = FW_SHAPE_OF(2), one = FW_SHAPE_OF(1);
    float got[12];
    CHECK_FAILS(fw_weights_f32(w, "b", &two, got, &err), err, FW_SHAPE, "tensor 'b' [2] is missing");
    CHECK_FAILS(fw_weights_f32(w, "a", &a, got, &err), err, FW_SHAPE, "tensor 'a' is [2,3], wanted [3,2]");
    CHECK_FAILS(fw_weights_f32(w, "ids", &two, got, &err), err, FW_FORMAT,
                "tensor 'ids' is I32, wanted F32, F16 or BF16");
    CHECK_FAILS(fw_weights_f32(w, "bad", &one, got, &err), err, FW_FORMAT, "tensor 'bad' holds nan at 0");
    fw_weights_close(w);
    CHECK_FAILS(fw_weights_open("/nowhere/x", "", &w, &err), err, FW_IO, "/nowhere/x");
}

static void what_nobody_took_is_named(void) {
    fw_err err = {0};
    fw_weights *w = open_file("");
    const fw_shape a = FW_SHAPE_OF(2, 3);
    float got[6];
    CHECK_OK(fw_weights_f32(w, "a", &a, got, &err), err);
    fw_weights_skip(w, "bad");
    fw_weights_skip(w, "conv");
    fw_weights_skip(w, "id");
    CHECK_FAILS(fw_weights_done(w, &err), err, FW_SHAPE, "tensor 'qkv' [6,2] is not part of this network");
    fw_weights_skip(w, "q");
    CHECK_OK(fw_weights_done(w, &err), err);
    fw_weights_close(w);
}

FW_TEST_MAIN(T(layouts_are_turned), T(names_without_a_prefix_are_found_with_it), T(what_does_not_fit_is_named),
             T(what_nobody_took_is_named))
