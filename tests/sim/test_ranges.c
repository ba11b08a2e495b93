/* ranges: files, errors, draws */
#include "sim/ranges.h"

#include <math.h>

#include "base/file.h"
#include "base/json.h"
#include "fw_test.h"

static fw_ranges load(const char *name) {
    fw_err err = {FW_OK, ""};
    fw_ranges r;
    if (fw_ranges_load(fw_home(), name, &r, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    return r;
}

static fw_status parse(const char *text, bool base, fw_ranges *r, fw_err *err) {
    json_t *j;
    fw_status st = fw_json_parse(text, strlen(text), "x.json", &j, err);
    if (st == FW_OK) {
        st = fw_ranges_from_json(j, "x.json", base, r, err);
        json_decref(j);
    }
    return st;
}

static void default_draws_what_the_first_suite_drew(void) {
    fw_ranges r = load(NULL);
    fw_rng a = fw_rng_stream(9, "visual"), b = a;
    CHECK(strcmp(r.name, "default") == 0 && !r.held_out);
    const struct {
        fw_range_id id;
        double lo, hi;
    } was[] = {{FW_RANGE_LIGHT_KEY, 0.1, 0.55},
               {FW_RANGE_LIGHT_FILL, 0.1, 0.3},
               {FW_RANGE_LIGHT_WARMTH, -0.12, 0.12},
               {FW_RANGE_LIGHT_AZIMUTH, -3.14159265358979323846, 3.14159265358979323846},
               {FW_RANGE_LIGHT_TILT, 0.1, 0.9},
               {FW_RANGE_LIGHT_AMBIENT, 0.15, 0.35},
               {FW_RANGE_LIGHT_HEAD, 0.1, 0.3},
               {FW_RANGE_CAM_SCENE_SHIFT, -0.015, 0.015},
               {FW_RANGE_CAM_SCENE_TURN, -0.015, 0.015},
               {FW_RANGE_CAM_HAND_SHIFT, -0.003, 0.003},
               {FW_RANGE_CAM_HAND_TURN, -0.015, 0.015},
               {FW_RANGE_CAM_ZOOM, 0.98, 1.02},
               {FW_RANGE_MASS, 0.75, 1.35},
               {FW_RANGE_FRICTION, 0.75, 1.3},
               {FW_RANGE_PAD_FRICTION, 0.8, 1.15}};
    for (size_t i = 0; i < sizeof was / sizeof *was; i++) {
        double got = fw_range_draw(&r.r[was[i].id], &a), want = fw_rng_uniform(&b, was[i].lo, was[i].hi);
        CHECK(memcmp(&got, &want, sizeof got) == 0);
    }
}

static void every_draw_takes_one_number_and_stays_inside(void) {
    fw_range kinds[] = {{.dist = FW_DIST_UNIFORM, .a = -2, .b = 3},
                        {.dist = FW_DIST_LOGUNIFORM, .a = 0.5, .b = 2},
                        {.dist = FW_DIST_BAND, .a = 1, .b = 2},
                        {.dist = FW_DIST_CHOICE, .n = 3, .choice = {1, 5, 7}},
                        {.dist = FW_DIST_PROBABILITY, .a = 0.25}};
    for (int k = 0; k < 5; k++) {
        fw_rng r = fw_rng_stream(1, "x"), one = r;
        double lo = 1e9, hi = -1e9, sum = 0;
        fw_range_draw(&kinds[k], &r);
        fw_rng_u64(&one);
        CHECK(r.s == one.s);
        for (int i = 0; i < 20000; i++) {
            double v = fw_range_draw(&kinds[k], &r);
            lo = fmin(lo, v), hi = fmax(hi, v), sum += v;
            CHECK(kinds[k].dist != FW_DIST_BAND || (fabs(v) >= 1 && fabs(v) <= 2));
            CHECK(fabs(v) <= fw_range_most(&kinds[k]));
        }
        double mean = sum / 20000;
        CHECK(k != 0 || (lo < -1.99 && hi > 2.99 && hi < 3));
        CHECK(k != 1 || (lo > 0.5 && hi < 2 && fabs(mean - 1.5 / log(4)) < 0.02)); /* (b-a)/log(b/a) */
        CHECK(k != 2 || (lo < -1.99 && hi > 1.99 && fabs(mean) < 0.05));
        CHECK(k != 3 || fabs(mean - 13.0 / 3) < 0.08);
        CHECK(k != 4 || fabs(mean - 0.25) < 0.02);
    }
}

static bool between(const fw_range *in, const fw_range *out) { /* overlap of two number ranges, same kind of thing */
    fw_rng r = fw_rng_stream(3, "x");
    for (int i = 0; i < 2000; i++) {
        double v = fw_range_draw(in, &r);
        bool inside = out->dist == FW_DIST_CHOICE ? false : v >= out->a && v <= out->b;
        for (int k = 0; out->dist == FW_DIST_CHOICE && k < out->n; k++) {
            inside = inside || fabs(v - out->choice[k]) < 1e-12;
        }
        if (inside) {
            return true;
        }
    }
    return false;
}

/* What names the held-out domains lies wholly outside of what training data may draw. */
static void held_out_domains_lie_outside_the_training_ranges(void) {
    fw_ranges train[2] = {load("default"), load("broad")}, visual = load("held_visual"), physics = load("held_physics");
    static const fw_range_id of_visual[] = {FW_RANGE_LIGHT_KEY,      FW_RANGE_LIGHT_WARMTH,    FW_RANGE_LIGHT_TILT,
                                            FW_RANGE_LIGHT_AMBIENT,  FW_RANGE_CAM_SCENE_SHIFT, FW_RANGE_CAM_SCENE_TURN,
                                            FW_RANGE_CAM_HAND_SHIFT, FW_RANGE_CAM_ZOOM,        FW_RANGE_TEXTURE_KIND,
                                            FW_RANGE_DISTRACTORS,    FW_RANGE_FX_BLUR,         FW_RANGE_FX_WHITE,
                                            FW_RANGE_FX_GAMMA,       FW_RANGE_FX_EXPOSURE,     FW_RANGE_FX_NOISE};
    static const fw_range_id of_physics[] = {FW_RANGE_MASS,           FW_RANGE_FRICTION,     FW_RANGE_JOINT_DAMPING,
                                             FW_RANGE_JOINT_FRICTION, FW_RANGE_MOTOR_GAIN,   FW_RANGE_BACKLASH,
                                             FW_RANGE_ACTION_DELAY,   FW_RANGE_IMAGE_DELAY,  FW_RANGE_NOISE_ANGLE,
                                             FW_RANGE_NOISE_POSITION, FW_RANGE_OFFSET_ANGLE, FW_RANGE_OFFSET_POSITION,
                                             FW_RANGE_TIMESTEP,       FW_RANGE_INTEGRATOR,   FW_RANGE_IMPRATIO};
    CHECK(visual.held_out && physics.held_out && !train[0].held_out && !train[1].held_out);
    for (int t = 0; t < 2; t++) {
        for (size_t i = 0; i < sizeof of_visual / sizeof *of_visual; i++) {
            if (between(&visual.r[of_visual[i]], &train[t].r[of_visual[i]])) {
                FW_FAILED("held_visual: %s overlaps %s", fw_range_name(of_visual[i]), train[t].name);
            }
        }
        for (size_t i = 0; i < sizeof of_physics / sizeof *of_physics; i++) {
            if (between(&physics.r[of_physics[i]], &train[t].r[of_physics[i]])) {
                FW_FAILED("held_physics: %s overlaps %s", fw_range_name(of_physics[i]), train[t].name);
            }
        }
    }
}

static void what_is_written_reads_back_the_same(void) {
    static const char *const names[] = {"default", "broad", "held_visual", "held_physics"};
    for (int i = 0; i < 4; i++) {
        fw_ranges a = load(names[i]), b = {.held_out = !a.held_out};
        fw_err err = {FW_OK, ""};
        json_t *j = fw_ranges_to_json(&a);
        snprintf(b.name, sizeof b.name, "%s", a.name);
        if (fw_ranges_from_json(j, "x", false, &b, &err) != FW_OK) {
            FW_FAILED("%s", err.msg);
        }
        json_decref(j);
        CHECK(a.held_out == b.held_out && strcmp(a.what, b.what) == 0);
        for (int k = 0; k < FW_RANGE_N; k++) {
            char ta[256], tb[256];
            fw_range_text((fw_range_id)k, &a.r[k], ta, sizeof ta);
            fw_range_text((fw_range_id)k, &b.r[k], tb, sizeof tb);
            CHECK(strcmp(ta, tb) == 0 && ta[0] != 0);
        }
    }
}

static void errors_name_file_range_wanted_and_found(void) {
    static const char *const bad[][3] = {
        {"\"object.mas\": {\"unit\": \"x\", \"uniform\": [1, 2]}", "object.mas", "no range"},
        {"\"object.mass\": {\"unit\": \"kg\", \"uniform\": [1, 2]}", "object.mass", "found kg"},
        {"\"object.mass\": {\"unit\": \"x\", \"uniform\": [2, 1]}", "object.mass", "[2, 1]"},
        {"\"object.mass\": {\"unit\": \"x\", \"uniform\": [1, 200]}", "object.mass", "found 200"},
        {"\"object.mass\": {\"unit\": \"x\", \"uniform\": [1]}", "object.mass", "uniform"},
        {"\"object.mass\": {\"unit\": \"x\", \"uniform\": [1, 1e999]}", "", "real number overflow"},
        {"\"object.mass\": {\"unit\": \"x\"}", "object.mass", "found none"},
        {"\"object.mass\": {\"unit\": \"x\", \"uniform\": [1, 2], \"choice\": [1]}", "object.mass", "found several"},
        {"\"object.mass\": {\"unit\": \"x\", \"probability\": 0.5}", "object.mass", "found probability"},
        {"\"object.mass\": {\"unit\": \"x\", \"loguniform\": [0, 2]}", "object.mass", "0 < a"},
        {"\"object.mass\": {\"unit\": \"x\", \"choice\": []}", "object.mass", "found 0"},
        {"\"object.mass\": {\"unit\": \"x\", \"choice\": [\"much\"]}", "object.mass", "numbers"},
        {"\"object.mass\": {\"unit\": \"x\", \"uniform\": [1, 2], \"seed\": 3}", "object.mass", "seed"},
        {"\"object.mass\": 3", "object.mass", "object"},
        {"\"effect.jpeg\": {\"unit\": \"p\", \"uniform\": [0, 1]}", "effect.jpeg", "found uniform"},
        {"\"effect.jpeg\": {\"unit\": \"p\", \"probability\": 1.5}", "effect.jpeg", "found 1.5"},
        {"\"texture.kind\": {\"unit\": \"1\", \"choice\": [\"velvet\"]}", "texture.kind", "found velvet"},
        {"\"texture.kind\": {\"unit\": \"1\", \"uniform\": [0, 1]}", "texture.kind", "a choice of words"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[400];
        fw_err err = {FW_OK, ""};
        fw_ranges r = load("default");
        snprintf(text, sizeof text, "{\"what\": \"\", \"held_out\": false, \"ranges\": {%s}}", bad[i][0]);
        CHECK_INT(parse(text, true, &r, &err), FW_FORMAT);
        if (strstr(err.msg, "x.json") == NULL || strstr(err.msg, bad[i][1]) == NULL ||
            strstr(err.msg, bad[i][2]) == NULL) {
            FW_FAILED("%s -> '%s', wanted '%s' and '%s' in it", bad[i][0], err.msg, bad[i][1], bad[i][2]);
        }
    }
}

static void nothing_has_a_hidden_default(void) {
    fw_ranges r;
    fw_err err = {FW_OK, ""};
    CHECK_INT(parse("{\"what\": \"\", \"held_out\": false, \"ranges\": {}}", false, &r, &err), FW_FORMAT);
    CHECK(strstr(err.msg, "light.count") != NULL && strstr(err.msg, "extends no other") != NULL);
}

static void an_unknown_name_lists_the_known_ones(void) {
    fw_ranges r;
    fw_err err = {FW_OK, ""};
    CHECK_INT(fw_ranges_load(fw_home(), "braod", &r, &err), FW_INVALID);
    CHECK(strstr(err.msg, "braod") != NULL &&
          strstr(err.msg, "broad, default, held_engine, held_physics, held_visual") != NULL);
    CHECK_INT(fw_ranges_load(fw_home(), "../randomise/broad", &r, &err), FW_INVALID);
}

FW_TEST_MAIN(T(default_draws_what_the_first_suite_drew), T(every_draw_takes_one_number_and_stays_inside),
             T(held_out_domains_lie_outside_the_training_ranges), T(what_is_written_reads_back_the_same),
             T(errors_name_file_range_wanted_and_found), T(nothing_has_a_hidden_default),
             T(an_unknown_name_lists_the_known_ones))
