#include "model_test.h"

#include <unistd.h>

#include "model/normalize.h"

static const float mean[3] = {1.0f, -2.0f, 0.5f}, std_[3] = {2.0f, 0.0f, 0.25f}, lo[3] = {-3.0f, -2.0f, 0.0f},
                   hi[3] = {5.0f, -2.0f, 1.0f};

static fw_stats *some(void) {
    fw_err err = {0};
    fw_stats *s = NULL;
    CHECK_OK(fw_stats_new(&s, &err), err);
    CHECK_OK(fw_stats_put(s, "action", 3, mean, std_, lo, hi, lo, hi, &err), err);
    return s;
}

static void a_map_and_its_inverse_cancel(void) {
    fw_err err = {0};
    fw_stats *s = some();
    fw_stat st;
    CHECK_OK(fw_stats_get(s, "action", 3, &st, &err), err);
    const float x[6] = {1.0f, -2.0f, 0.5f, 3.0f, -2.0f, 0.75f}, floor[3] = {0.01f, 0.01f, 0.01f};
    float y[6], back[6];
    for (int k = 0; k < 3; k++) {
        fw_norm nm;
        CHECK_OK(fw_norm_make(&st, (fw_norm_kind)k, floor, &nm, &err), err);
        fw_norm_apply(&nm, x, y, 2);
        fw_norm_invert(&nm, y, back, 2);
        CHECK_NEAR(back, x, 6, 1e-6, 1e-6);
        fw_norm_clear(&nm);
    }
    fw_norm nm;
    const float want[6] = {0.0f, 0.0f, 0.0f, 1.0f, 0.0f, 1.0f};
    CHECK_OK(fw_norm_make(&st, FW_NORM_MEAN_STD, floor, &nm, &err), err);
    fw_norm_apply(&nm, x, y, 2);
    CHECK_NEAR(y, want, 6, 1e-6, 0);
    fw_norm_clear(&nm);
    fw_stats_free(s);
}

static void a_joint_that_never_moved_does_not_explode(void) {
    fw_err err = {0};
    fw_stats *s = some();
    fw_stat st;
    CHECK_OK(fw_stats_get(s, "action", 3, &st, &err), err);
    fw_dim dims[3] = {{"a", FW_MEANING_JOINT_POS, -9, 9, 0},
                      {"b", FW_MEANING_JOINT_POS, -9, 9, 0},
                      {"g", FW_MEANING_GRIPPER, 0, 1, 0}};
    fw_norm nm;
    CHECK_OK(fw_norm_dims(&st, dims, 3, &nm, &err), err);
    const float x[3] = {1.0f, -1.999f, 1.0f}; /* a millirad of noise on a still joint */
    float y[3];
    fw_norm_apply(&nm, x, y, 1);
    CHECK(fabsf(y[1]) < 0.2f);
    CHECK(fabsf(y[2] - 1.0f) < 1e-6f); /* the gripper: min and max to -1 and 1 */
    fw_norm_clear(&nm);
    CHECK_FAILS(fw_norm_dims(&st, dims, 2, &nm, &err), err, FW_SHAPE, "'action' have 3");
    fw_stats_free(s);
}

static void a_missing_or_foreign_statistic_is_named(void) {
    fw_err err = {0};
    fw_stats *s = some();
    fw_stat st;
    CHECK_FAILS(fw_stats_get(s, "observation.state", 3, &st, &err), err, FW_FORMAT,
                "no 'observation.state'; they have action");
    CHECK_FAILS(fw_stats_get(s, "action", 4, &st, &err), err, FW_SHAPE, "3 values, wanted 4");
    const float nan_[3] = {0.0f, NAN, 0.0f};
    CHECK_FAILS(fw_stats_put(s, "x", 3, mean, nan_, lo, hi, lo, hi, &err), err, FW_FORMAT, "'x': std[1] is not finite");
    CHECK_FAILS(fw_stats_put(s, "x", 3, mean, std_, hi, lo, lo, hi, &err), err, FW_FORMAT, "'x'[0]");
    fw_stats_free(s);
}

static void statistics_survive_the_file(void) {
    fw_err err = {0};
    char path[] = "/tmp/fw_stats_XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    fw_stats *s = some(), *back = NULL;
    fw_stat st;
    CHECK_OK(fw_stats_save(s, path, &err), err);
    CHECK_OK(fw_stats_load(path, &back, &err), err);
    CHECK_OK(fw_stats_get(back, "action", 3, &st, &err), err);
    CHECK(memcmp(st.mean, mean, sizeof mean) == 0 && memcmp(st.std, std_, sizeof std_) == 0);
    CHECK(memcmp(st.q99, hi, sizeof hi) == 0);
    fw_stats_free(s);
    fw_stats_free(back);
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"[1]", "wanted an object"},
        {"{\"action\": 3}", "action"},
        {"{\"action\": {\"mean\": [1, 2]}}", "std"},
        {"{\"action\": {\"mean\": [1], \"std\": [1, 2], \"min\": [0], \"max\": [1], \"q01\": [0], \"q99\": [1]}}",
         "std"},
        {"{\"action\": {\"mean\": [1], \"std\": [\"a\"], \"min\": [0], \"max\": [1], \"q01\": [0], \"q99\": [1]}}",
         "std"},
        {"{\"action\": {\"mean\": [1], \"std\": [-1], \"min\": [0], \"max\": [1], \"q01\": [0], \"q99\": [1]}}",
         "action"},
        {"{\"action\": {\"mean\": [], \"std\": [], \"min\": [], \"max\": [], \"q01\": [], \"q99\": []}}", "action"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_OK(fw_file_write_atomic(path, bad[i].text, strlen(bad[i].text), &err), err);
        CHECK_FAILS(fw_stats_load(path, &back, &err), err, FW_FORMAT, bad[i].says);
    }
    remove(path);
}

static void half_precision_agrees_with_its_definition(void) {
    for (uint32_t h = 0; h < 65536; h++) { /* sign, exponent, fraction by the formula */
        uint32_t e = h >> 10 & 31, f = h & 1023;
        double want = e == 0 ? ldexp((double)f, -24) : ldexp(1024.0 + f, (int)e - 25);
        want = (h & 0x8000u) != 0 ? -want : want;
        float got = fw_f32_from_f16((uint16_t)h);
        if (e == 31) {
            CHECK(f == 0 ? isinf(got) : isnan(got));
            continue;
        }
        CHECK((double)got == want);
        CHECK_INT(fw_f16_from_f32(got), h); /* exact values come back */
    }
    CHECK_INT(fw_f16_from_f32(1.0f + 0x1p-11f), 0x3C00); /* half way: to even */
    CHECK_INT(fw_f16_from_f32(1.0f + 0x3p-11f), 0x3C02);
    CHECK_INT(fw_f16_from_f32(0x1p-25f), 0x0000);
    CHECK_INT(fw_f16_from_f32(0x3p-26f), 0x0001);
    CHECK_INT(fw_f16_from_f32(1e9f), 0x7BFF);
    CHECK_INT(fw_f16_from_f32(-INFINITY), 0xFBFF);
    CHECK(isnan(fw_f32_from_f16(fw_f16_from_f32(NAN))));
}

FW_TEST_MAIN(T(a_map_and_its_inverse_cancel), T(a_joint_that_never_moved_does_not_explode),
             T(a_missing_or_foreign_statistic_is_named), T(statistics_survive_the_file),
             T(half_precision_agrees_with_its_definition))
