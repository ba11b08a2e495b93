/* calibration files and what steps mean: LeRobot's numbers exactly (tests/golden/gen_so101.py), and radians there and back */
#include "robot/so101_cal.h"

#include "robot/arm.h"
#include "robot/sts.h"

static json_t *golden(void) {
    json_t *j;
    OK(fw_json_load(FW_SOURCE_DIR "/tests/golden/so101_norm.json", &j, &ok_err));
    return j;
}

static fw_so101_norm norm_of(const char *mode) {
    return strcmp(mode, "degrees") == 0 ? FW_SO101_DEGREES
           : strcmp(mode, "0_100") == 0 ? FW_SO101_0_100
                                        : FW_SO101_M100_100;
}

static void numbers_are_lerobots_to_the_last_bit(void) {
    json_t *j = golden();
    const json_t *rows = json_object_get(j, "normalize");
    size_t compared = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *r = json_array_get(rows, i), *range = json_object_get(r, "range");
        const fw_so101_norm norm = norm_of(json_string_value(json_object_get(r, "mode")));
        const fw_so101_motor m = {.drive_mode = (int)json_integer_value(json_object_get(r, "drive_mode")),
                                  .range_min = (int)json_integer_value(json_array_get(range, 0)),
                                  .range_max = (int)json_integer_value(json_array_get(range, 1))};
        const json_t *steps = json_object_get(r, "steps"), *in = json_object_get(r, "in");
        for (size_t k = 0; k < json_array_size(steps); k++, compared++) {
            const double want = json_number_value(json_array_get(json_object_get(r, "values"), k));
            const double got = fw_so101_normalize(&m, norm, (int32_t)json_integer_value(json_array_get(steps, k)));
            if (got != want) {
                FW_FAILED("row %zu, step %zu: %.17g, LeRobot says %.17g", i, k, got, want);
            }
        }
        for (size_t k = 0; k < json_array_size(in); k++, compared++) {
            CHECK_INT(fw_so101_unnormalize(&m, norm, json_number_value(json_array_get(in, k))),
                      json_integer_value(json_array_get(json_object_get(r, "out"), k)));
        }
    }
    CHECK_INT(compared, 30 * (12 + 17));
    json_decref(j);
}

static void signs_and_homing_are_lerobots(void) {
    json_t *j = golden();
    const json_t *signs = json_object_get(j, "signs"), *homing = json_object_get(j, "homing");
    CHECK(json_array_size(signs) == 15 && json_array_size(homing) == 5);
    for (size_t i = 0; i < json_array_size(signs); i++) {
        const json_t *s = json_array_get(signs, i);
        const int64_t bit = json_integer_value(json_object_get(s, "bit"));
        const fw_sts_reg r = bit == 10 ? FW_STS_LOAD : bit == 11 ? FW_STS_HOMING_OFFSET : FW_STS_GOAL_POSITION;
        uint8_t w[2];
        fw_sts_encode(r, (int32_t)json_integer_value(json_object_get(s, "value")), w);
        CHECK_INT(w[0] | w[1] << 8, json_integer_value(json_object_get(s, "raw")));
    }
    for (size_t i = 0; i < json_array_size(homing); i++) {
        const json_t *h = json_array_get(homing, i);
        CHECK_INT(json_integer_value(json_object_get(h, "position")) - 2047,
                  json_integer_value(json_object_get(h, "offset")));
    }
    json_decref(j);
}

static void every_step_goes_to_radians_and_back(void) {
    const fw_so101_axis axes[] = {
        {.sign = 1}, {.sign = -1, .offset_rad = 0.7}, {.sign = 1, .closed_rad = -0.17, .open_rad = 1.75}};
    for (int mode = 0; mode < 2; mode++) {
        for (size_t k = 0; k < 3; k++) {
            const fw_so101_motor m = {.drive_mode = mode, .range_min = 761, .range_max = 3280};
            for (int32_t s = 761; s <= 3280; s++) {
                const double rad = fw_so101_rad(&m, &axes[k], s);
                CHECK_INT(fw_so101_steps(&m, &axes[k], (double)(float)rad), s);
                if (k == 0) { /* LeRobot's degrees */
                    CHECK(fabs(rad - fw_so101_normalize(&m, FW_SO101_DEGREES, s) * M_PI / 180) < 1e-12);
                }
                if (k == 2) {
                    const double share = fw_so101_normalize(&m, FW_SO101_0_100, s) / 100;
                    CHECK(fabs(rad - (-0.17 + share * 1.92)) < 1e-9);
                }
            }
            CHECK_INT(fw_so101_steps(&m, &axes[0], 100.0), 3280); /* never beyond the range */
            CHECK_INT(fw_so101_steps(&m, &axes[0], -100.0), 761);
        }
    }
}

static void a_file_comes_back_as_it_was_saved(void) {
    const char *path = "robot_cal_test.json";
    fw_so101_cal back;
    OK(fw_so101_cal_save(path, &arm_cal, &ok_err));
    memset(&back, 0, sizeof back);
    OK(fw_so101_cal_load(path, &back, &ok_err));
    CHECK(memcmp(&back, &arm_cal, sizeof back) == 0);
    CHECK_INT(remove(path), 0);
}

static void bad_files_are_refused_with_motor_and_key(void) {
    static const struct {
        const char *find, *put, *says[2];
    } table[] = {
        {"\"gripper\"", "\"griper\"", {"griper", "known are"}},
        {"\"id\":6", "\"id\":0", {"gripper", "'id'"}},
        {"\"id\":6", "\"id\":5", {"gripper", "same id 5"}},
        {"\"homing_offset\":500", "\"homing_offset\":2048", {"gripper", "-2047..2047"}},
        {"\"range_max\":3500", "\"range_max\":4096", {"gripper", "0..4095"}},
        {"\"range_max\":3500", "\"range_max\":2030", {"gripper", "range_min < range_max"}},
        {"\"drive_mode\":0,\"homing_offset\":500", "\"drive_mode\":2,\"homing_offset\":500", {"gripper", "0..1"}},
        {"\"range_max\":3500", "\"range_max\":3500.5", {"gripper", "an integer"}},
        {"\"homing_offset\":500,", "", {"gripper", "'homing_offset'"}}};
    json_t *good = fw_so101_cal_to_json(&arm_cal);
    char *text = json_dumps(good, JSON_COMPACT);
    CHECK(text != NULL);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char bad[2048], *at = strstr(text, table[i].find);
        fw_so101_cal cal;
        json_t *j;
        CHECK(at != NULL);
        snprintf(bad, sizeof bad, "%.*s%s%s", (int)(at - text), text, table[i].put, at + strlen(table[i].find));
        OK(fw_json_parse(bad, strlen(bad), "arm.json", &j, &ok_err));
        FAILS(fw_so101_cal_from_json(j, "arm.json", &cal, &fails_err), FW_FORMAT, "arm.json", table[i].says[0],
              table[i].says[1]);
        json_decref(j);
    }
    free(text);
    json_decref(good);
}

FW_TEST_MAIN(T(numbers_are_lerobots_to_the_last_bit), T(signs_and_homing_are_lerobots),
             T(every_step_goes_to_radians_and_back), T(a_file_comes_back_as_it_was_saved),
             T(bad_files_are_refused_with_motor_and_key))
