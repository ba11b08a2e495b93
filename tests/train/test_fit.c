/* ctest: timeout=300
 * A published policy trained for a robot that it was not made for: other numbers of values, other cameras, other names of them. What
 * comes out says so, and gives the chunk that LeRobot gives with it (tests/golden/fit, gen_fit.py); what cannot be is refused by name. */
#include <math.h>

#include "base/json.h"
#include "base/rng.h"
#include "model/pretrained.h"
#include "tensor/safetensors.h"
#include "train/loop.h"
#include "train_test.h"

enum { N_EP = 3, LEN = 12, DIMS = 16 };

/* ---- data of a robot ---- */

typedef struct robot {
    const char *name;
    int n_state, n_action, n_camera;
    fw_writer_camera camera[4];
} robot;

static uint8_t *pictures(int e, int h, int w) {
    uint8_t *rgb = malloc((size_t)LEN * (size_t)h * (size_t)w * 3);
    CHECK(rgb != NULL);
    for (int i = 0; i < LEN * h * w; i++) {
        const int y = i / w % h, x = i % w;
        memset(rgb + (size_t)i * 3, x / 8 == e && y / 8 == 2 ? 220 : 50, 3);
    }
    return rgb;
}

static void add_episode(fw_writer *w, const robot *r, int e) {
    float state[LEN * DIMS], action[LEN * DIMS];
    fw_err err = {0};
    fw_writer_episode ep = {.length = LEN, .state = state, .action = action, .sentence = e % 2 ? "wipe" : "open"};
    for (int i = 0; i < LEN * r->n_state; i++) {
        state[i] = 0.1f * (float)(i % r->n_state + 1) + 0.02f * (float)(i / r->n_state) - 0.1f * (float)e;
    }
    for (int i = 0; i < LEN * r->n_action; i++) {
        action[i] = 0.3f * (float)(e - 1) + 0.05f * (float)(i / r->n_action * (i % r->n_action % 2));
    }
    uint8_t *rgb[4] = {NULL};
    for (int c = 0; c < r->n_camera; c++) {
        ep.images[c] = rgb[c] = pictures(e, r->camera[c].h, r->camera[c].w);
    }
    CHECK_OK(fw_writer_add_episode(w, &ep, &err), err);
    for (int c = 0; c < r->n_camera; c++) {
        free(rgb[c]);
    }
}

/* Its dataset; owned by nobody, one of in_tmp's buffers. */
static const char *data_of(const robot *r) {
    static const char *const names[DIMS] = {"a", "b", "c", "d", "e", "f", "g", "h",
                                            "i", "j", "k", "l", "m", "n", "o", "p"};
    const char *dir = in_tmp(r->name);
    static const char *const jaws[] = {"a", "b", "c", "d", "e", "gripper.pos"};
    fw_err err = {0};
    fw_writer *w = NULL;
    fw_writer_desc d = {.fps = 10,
                        .robot_type = "toy",
                        .n_state = r->n_state,
                        .n_action = r->n_action,
                        .state_names = names,
                        .action_names = names,
                        .n_cameras = r->n_camera};
    if (fw_path_exists(dir)) {
        return dir;
    }
    if (strcmp(r->name, "gripper") == 0) {
        d.action_names = jaws;
    }
    memcpy(d.cameras, r->camera, sizeof r->camera);
    CHECK_OK(fw_writer_open(dir, &d, &w, &err), err);
    for (int e = 0; e < N_EP; e++) {
        add_episode(w, r, e);
    }
    CHECK_OK(fw_writer_close(w, &err), err);
    return dir;
}

/* With FW_GOLDEN_MAKE the folders stay, for gen_fit.py. */
static void begin(void) {
    const char *keep = getenv("FW_GOLDEN_MAKE");
    if (strstr(tmp_dir, "XXXXXX") != NULL) {
        CHECK(mkdtemp(tmp_dir) != NULL);
        CHECK(setenv("XDG_CACHE_HOME", in_tmp("cache"), 1) == 0);
        CHECK(keep == NULL || access(keep, W_OK) == 0);
    }
}

/* ---- a run ---- */

typedef struct fit {
    const char *name, *policy; /* of tests/golden/policies */
    const robot *robot;
    const char *more; /* members of "policy" */
    double lr;        /* 0: the weights stay */
    bool plain;       /* the checkpoint's robot and statistics */
} fit;

static fw_status run(const fit *f, const char *out, fw_err *err) {
    char cfg[512], text[1024], dir[512];
    const int n = snprintf(
        text, sizeof text,
        "{\"name\": \"fit\", \"policy\": {\"kind\": \"pretrained\", \"from\": \"%s/tests/golden/policies/%s\", "
        "\"new_stats\": %s%s}, \"data\": {\"held_out\": 1}, \"train\": {\"batch\": 2, \"steps\": 2, \"warmup\": 0, "
        "\"lr\": %g}}",
        FW_SOURCE_DIR, f->policy, f->plain ? "false" : "true", f->more, f->lr);
    CHECK(n > 0 && n < (int)sizeof text);
    snprintf(cfg, sizeof cfg, "%s", in_tmp("fit.json"));
    snprintf(dir, sizeof dir, "%s", data_of(f->robot));
    CHECK_OK(fw_file_write_atomic(cfg, text, (size_t)n, err), *err);
    const char *dirs[] = {dir};
    const fw_train_opts o = {.config = cfg, .dirs = dirs, .n_dirs = 1, .out = out, .seed = -1, .threads = 1};
    return fw_train(&o, NULL, err);
}

static void fails(const fit *f, fw_status want, const char *says) {
    fw_err err = {0};
    char out[512];
    snprintf(out, sizeof out, "%s", in_tmp("no"));
    const fw_status s = run(f, out, &err);
    if (s != want || strstr(err.msg, says) == NULL) {
        FW_FAILED("%s: %d: %s, wanted %s", f->policy, (int)s, err.msg, says);
    }
    CHECK(!fw_path_exists(out));
}

static void refused(const char *policy, const robot *r, const char *more, fw_status want, const char *says) {
    fails(&(fit){"no", policy, r, more, 0, false}, want, says);
}

static void plain_refused(const char *policy, const robot *r, fw_status want, const char *says) {
    fails(&(fit){"no", policy, r, "", 0, true}, want, says);
}

/* ---- what comes out ---- */

typedef struct opened {
    fw_policy *p;
    float *noise;
    const fw_embodiment *robot;
    int horizon;
} opened;

static opened open_fit(const char *dir) {
    opened o = {.noise = calloc(4096, sizeof(float))};
    fw_err err = {0};
    fw_policy_info info;
    CHECK(o.noise != NULL);
    CHECK_OK(fw_policy_open(dir, &(fw_policy_opts){.noise = o.noise}, &o.p, &err), err);
    fw_policy_describe(o.p, &info);
    o.robot = info.embodiment;
    o.horizon = info.horizon;
    return o;
}

static void close_fit(opened *o) {
    fw_policy_close(o->p);
    free(o->noise);
}

/* The chunk of the observation in file st, owned. */
static float *chunk_of(opened *o, const fw_st *st) {
    fw_obs obs = {.n_image = o->robot->n_camera, .n_state = o->robot->n_state, .instruction = "open the drawer"};
    float *out = calloc((size_t)o->horizon * FW_DIM_MAX, sizeof *out);
    fw_chunk c = {.actions = out, .cap_horizon = o->horizon};
    fw_err err = {0};
    CHECK(out != NULL);
    for (int i = 0; i < o->robot->n_camera; i++) {
        char name[160];
        snprintf(name, sizeof name, "in.observation.images.%s", o->robot->camera[i].name);
        const fw_st_tensor *t = fw_st_find(st, name);
        if (t != NULL) {
            obs.image[i] = (fw_image){t->data, (int)t->shape.d[1], (int)t->shape.d[2]};
        }
    }
    obs.state = fw_st_find(st, "in.observation.state")->data;
    const fw_st_tensor *noise = fw_st_find(st, "in.noise");
    memcpy(o->noise, noise->data, noise->bytes);
    CHECK_OK(fw_policy_infer(o->p, &obs, &c, &err), err);
    CHECK(c.horizon == o->horizon && c.n_action == o->robot->n_action);
    return out;
}

/* dir/ours.safetensors: an observation and what we make of it. */
static void write_ours(const char *dir, const robot *r) {
    enum { PX = 40 * 56 * 3 };
    static uint8_t rgb[4][PX];
    static char name[4][160];
    float state[DIMS], noise[8 * 16];
    fw_rng rng = fw_rng_stream(7, dir + strlen(dir) - 3);
    fw_st_out out[8] = {{"in.observation.state", FW_F32, FW_SHAPE_OF(1, r->n_state), state},
                        {"in.noise", FW_F32, FW_SHAPE_OF(1, 8, 7), noise}};
    int n = 2;
    char path[700];
    fw_st *st;
    fw_err err = {0};
    for (int i = 0; i < DIMS; i++) {
        state[i] = (float)fw_rng_uniform(&rng, -0.5, 0.5);
    }
    for (int i = 0; i < 8 * 16; i++) {
        noise[i] = (float)fw_rng_normal(&rng);
    }
    for (int c = 0; c < r->n_camera; c++) {
        const int h = r->camera[c].h, w = r->camera[c].w;
        CHECK(h * w * 3 <= PX);
        for (int i = 0; i < h * w * 3; i++) {
            rgb[c][i] = (uint8_t)(128 + 100 * sin(0.07 * i + c) + 20 * cos(i / w));
        }
        snprintf(name[c], sizeof name[c], "in.observation.images.%s", r->camera[c].name);
        out[n++] = (fw_st_out){name[c], FW_U8, FW_SHAPE_OF(1, h, w, 3), rgb[c]};
    }
    snprintf(path, sizeof path, "%s/ours.safetensors", dir);
    CHECK_OK(fw_st_write(path, out, n, NULL, &err), err);
    CHECK_OK(fw_st_open(path, &st, &err), err);
    opened o = open_fit(dir);
    float *chunk = chunk_of(&o, st);
    out[n++] = (fw_st_out){"ours.chunk", FW_F32, FW_SHAPE_OF(1, o.horizon, o.robot->n_action), chunk};
    fw_st_close(st);
    CHECK_OK(fw_st_write(path, out, n, NULL, &err), err);
    free(chunk);
    close_fit(&o);
}

static void check_chunk(const char *dir, const char *golden) {
    char path[700];
    fw_st *st;
    fw_err err = {0};
    snprintf(path, sizeof path, "%s/tests/golden/fit/%s.safetensors", FW_SOURCE_DIR, golden);
    CHECK_OK(fw_st_open(path, &st, &err), err);
    const fw_st_tensor *t = fw_st_find(st, "out.chunk");
    const float *want = t->data;
    opened o = open_fit(dir);
    float *got = chunk_of(&o, st);
    double d = 0, scale = 0;
    CHECK(fw_shape_count(&t->shape) == o.horizon * o.robot->n_action);
    for (int64_t i = 0; i < fw_shape_count(&t->shape); i++) {
        d = fmax(d, fabs((double)got[i] - (double)want[i]));
        scale = fmax(scale, fabs((double)want[i]));
    }
    printf("# %s: %.1e of %.2f\n", golden, d, scale);
    CHECK(d <= 1e-4 * scale);
    free(got);
    close_fit(&o);
    fw_st_close(st);
}

/* ---- the robots ---- */

static const robot arm = {"arm", 7, 6, 2, {{"front", 40, 56}, {"side", 32, 48}}};
static const robot three = {"three", 8, 7, 3, {{"a", 40, 56}, {"b", 24, 48}, {"c", 40, 56}}};
static const robot one = {"one", 6, 3, 1, {{"front", 32, 48}}};
static const robot same = {"same", 5, 4, 2, {{"top", 40, 56}, {"wrist", 40, 56}}};
static const robot wide = {"wide", 9, 4, 2, {{"top", 40, 56}, {"wrist", 40, 56}}};

static const robot gripper = {"gripper", 7, 6, 2, {{"front", 40, 56}, {"side", 32, 48}}};
static const robot few = {"few", 3, 4, 2, {{"top", 40, 56}, {"wrist", 32, 48}}};
static const robot same_but_size = {"same_but_size", 5, 4, 2, {{"top", 40, 56}, {"wrist", 32, 48}}};

#define HEADS ", \"new_heads\": true"
static const fit fits[] = {
    {"smolvla_arm", "smolvla", &arm, ", \"cameras\": {\"front\": \"wrist\", \"side\": \"top\"}", 0, false},
    {"pi0_three", "pi0", &three, "", 0, false},
    {"pi0_one", "pi0", &one, ", \"cameras\": {\"front\": \"right\"}", 0, false},
    {"act_arm", "act", &arm, HEADS ", \"cameras\": {\"front\": \"top\", \"side\": \"\"}", 0, false},
    {"act_one", "act", &one, HEADS ", \"cameras\": {\"front\": \"wrist\"}", 0, false},
    {"act_three", "act", &three, HEADS ", \"cameras\": {\"a\": \"top\", \"c\": \"wrist\", \"b\": \"+side\"}", 0, false},
    {"pi05_arm", "pi05", &gripper, ", \"cameras\": {\"front\": \"top\", \"side\": \"wrist\"}", 0,
     false}, /* relative to the state but for the gripper */
    {"smolvla_three", "smolvla", &three, ", \"cameras\": {\"c\": \"+side\"}", 0, false},
};
/* Trained, and LeRobot opens what comes out: compared where it is made (gen_fit.py), as last bits differ between processors. */
static const fit trained[] = {
    {"plain_smolvla", "smolvla", &same, "", 0.002, true},
    {"plain_pi0", "pi0", &same, "", 0.002, true},
    {"plain_pi05", "pi05", &same, "", 0.002, true},
    {"plain_act", "act", &same, "", 0.002, true},
    {"moved_smolvla", "smolvla", &arm, "", 0.002, false},
    {"moved_act", "act", &arm, HEADS, 0.002, false},
    {"lora_smolvla", "smolvla", &arm, ", \"lora\": {\"rank\": 4}", 0.002, false},
};

static void chunks_for_another_robot_are_those_of_lerobot(void) {
    const char *keep = getenv("FW_GOLDEN_MAKE");
    fw_err err = {0};
    char out[512];
    begin();
    for (size_t i = 0; i < sizeof fits / sizeof *fits; i++) {
        snprintf(out, sizeof out, "%s/%s", keep != NULL ? keep : tmp_dir, fits[i].name);
        CHECK_OK(run(&fits[i], out, &err), err);
        if (keep != NULL) {
            write_ours(out, fits[i].robot);
        } else {
            check_chunk(out, fits[i].name);
        }
    }
    for (size_t i = 0; i < sizeof trained / sizeof *trained && keep != NULL; i++) {
        snprintf(out, sizeof out, "%s/%s", keep, trained[i].name);
        CHECK_OK(run(&trained[i], out, &err), err);
        write_ours(out, trained[i].robot);
    }
}

/* LeRobot leaves the old robot's number of state values in input_features. */
static void what_lerobot_made_for_another_robot_opens(void) {
    char cmd[2000], dir[512];
    if (getenv("FW_GOLDEN_MAKE") != NULL) {
        return;
    }
    snprintf(dir, sizeof dir, "%s", in_tmp("by_lerobot"));
    snprintf(cmd, sizeof cmd,
             "cp -r %s/tests/golden/fit/by_lerobot %s && cp %s/tests/golden/policies/smolvla/{model,tokenizer}* %s",
             FW_SOURCE_DIR, dir, FW_SOURCE_DIR, dir);
    char bash[2100];
    snprintf(bash, sizeof bash, "bash -c '%s'", cmd);
    CHECK_INT(system(bash), 0);
    check_chunk(dir, "by_lerobot");
}

static json_t *json_at(const char *dir, const char *file) {
    char path[700];
    fw_err err = {0};
    json_t *j = NULL;
    snprintf(path, sizeof path, "%s/%s", in_tmp(dir), file);
    CHECK_OK(fw_json_load(path, &j, &err), err);
    return j;
}

/* openpi's folder comes out as one, with its statistics or new ones in the place of the old. */
static void openpis_folder_is_saved_as_one(void) {
    static const robot toy = {"toy", 5, 4, 2, {{"base_0_rgb", 60, 80}, {"right_wrist_0_rgb", 30, 50}}};
    const fit as_it_was = {"openpi", "openpi_pi05", &toy, "", 0, true},
              moved = {"openpi_arm",
                       "openpi_pi0",
                       &arm,
                       ", \"cameras\": {\"front\": \"base_0_rgb\", \"side\": \"\"}",
                       0,
                       false},
              lora = {"openpi_lora", "openpi_pi0", &toy, ", \"lora\": {\"rank\": 2}", 0, true};
    fw_err err = {0};
    char out[512], path[700];
    fw_st *st;
    if (getenv("FW_GOLDEN_MAKE") != NULL) {
        return;
    }
    snprintf(out, sizeof out, "%s", in_tmp("openpi"));
    CHECK_OK(run(&as_it_was, out, &err), err);
    snprintf(path, sizeof path, "%s/tests/golden/policies/openpi_pi05/golden_missing.safetensors", FW_SOURCE_DIR);
    CHECK_OK(fw_st_open(path, &st, &err), err);
    snprintf(path, sizeof path, "%s/tests/golden/policies/openpi_pi05", FW_SOURCE_DIR);
    opened a = open_fit(out), b = open_fit(path);
    float *x = chunk_of(&a, st), *y = chunk_of(&b, st);
    CHECK(memcmp(x, y, (size_t)(a.horizon * a.robot->n_action) * sizeof *x) == 0);
    free(x), free(y), close_fit(&a), close_fit(&b), fw_st_close(st);
    snprintf(out, sizeof out, "%s", in_tmp("openpi_arm"));
    CHECK_OK(run(&moved, out, &err), err);
    a = open_fit(out);
    CHECK(a.robot->n_state == 7 && a.robot->n_action == 6);
    close_fit(&a);
    json_t *j = json_at("openpi_arm", "assets/toy/norm_stats.json");
    const json_t *std = json_object_get(json_object_get(json_object_get(j, "norm_stats"), "actions"), "std");
    CHECK(json_array_size(std) == 6 && fabs(json_real_value(json_array_get(std, 0)) - 0.15) < 1e-6); /* -0.3 and 0 */
    json_decref(j);
    snprintf(out, sizeof out, "%s", in_tmp("openpi_lora"));
    CHECK_OK(run(&lora, out, &err), err);
    a = open_fit(out);
    close_fit(&a);
}

static void shape_is(const char *where, const json_t *features, const char *feature, const char *want) {
    char *text =
        json_dumps(json_object_get(json_object_get(features, feature), "shape"), JSON_COMPACT | JSON_ENCODE_ANY);
    if (text == NULL || strcmp(text, want) != 0) {
        FW_FAILED("%s: %s is %s, wanted %s", where, feature, text != NULL ? text : "not there", want);
    }
    free(text);
}

static const json_t *config_of(const json_t *pipeline, const char *step_name) {
    const json_t *step;
    size_t i;
    json_array_foreach(json_object_get(pipeline, "steps"), i, step) {
        if (strcmp(json_string_value(json_object_get(step, "registry_name")), step_name) == 0) {
            return json_object_get(step, "config");
        }
    }
    FW_FAILED("no step %s", step_name);
    return NULL;
}

static void statistic_is(const char *file, const char *name, int i, double want) {
    fw_err err = {0};
    fw_st *st;
    CHECK_OK(fw_st_open(in_tmp(file), &st, &err), err);
    const float *x = fw_st_find(st, name)->data;
    if (!(fabs((double)x[i] - want) < 1e-6)) {
        FW_FAILED("%s: %s[%d] is %g, wanted %g", file, name, i, (double)x[i], want);
    }
    fw_st_close(st);
}

/* Files of some of the runs above. */
static void the_files_say_of_which_robot_it_is(void) {
    if (getenv("FW_GOLDEN_MAKE") != NULL) {
        return;
    }
    json_t *c = json_at("smolvla_arm", "config.json"), *pre = json_at("smolvla_arm", "policy_preprocessor.json"),
           *post = json_at("smolvla_arm", "policy_postprocessor.json");
    const json_t *norm = json_object_get(config_of(pre, "normalizer_processor"), "features");
    const json_t *rename = json_object_get(config_of(pre, "rename_observations_processor"), "rename_map");
    shape_is("config.json", json_object_get(c, "input_features"), "observation.state", "[7]");
    shape_is("config.json", json_object_get(c, "input_features"), "observation.images.top", "[3,40,56]");
    shape_is("config.json", json_object_get(c, "output_features"), "action", "[6]");
    shape_is("preprocessor", norm, "observation.state", "[7]");
    shape_is("preprocessor", norm, "action", "[6]");
    shape_is("postprocessor", json_object_get(config_of(post, "unnormalizer_processor"), "features"), "action", "[6]");
    CHECK_INT(json_object_size(rename), 2);
    CHECK(strcmp(json_string_value(json_object_get(rename, "observation.images.front")), "observation.images.wrist") ==
          0);
    json_decref(c), json_decref(pre), json_decref(post);
    /* ACT is of one camera now, of another size */
    c = json_at("act_one", "config.json");
    CHECK_INT(json_object_size(json_object_get(c, "input_features")), 2);
    shape_is("config.json", json_object_get(c, "input_features"), "observation.images.wrist", "[3,32,48]");
    json_decref(c);
    c = json_at("pi0_three", "config.json");
    CHECK_INT(json_array_size(json_object_get(c, "action_feature_names")), 7); /* as LeRobot's training does */
    json_decref(c);
    /* pi0.5's actions are relative to the state where their chunk of 8 begins: action 0 is 0.3 (e - 1) and state 0
     * 0.1 + 0.02 t - 0.1 e, of two training episodes of 12 frames, t from 0 to 4; action 5 is the gripper's, as it is */
    pre = json_at("pi05_arm", "policy_preprocessor.json");
    const json_t *joints = json_object_get(config_of(pre, "relative_actions_processor"), "action_names");
    CHECK(json_array_size(joints) == 6 && strcmp(json_string_value(json_array_get(joints, 5)), "gripper.pos") == 0);
    json_decref(pre);
    statistic_is("pi05_arm/policy_postprocessor_step_0_unnormalizer_processor.safetensors", "action.mean", 0,
                 -0.15 - (0.1 + 0.04 - 0.05));
    statistic_is("pi05_arm/policy_postprocessor_step_0_unnormalizer_processor.safetensors", "action.max", 5, 0.05 * 11);
}

/* Two datasets, of which one has the first camera alone: a batch has rows of both, its parts have the same gradient as the whole. */
static void datasets_of_other_cameras_are_learnt_together(void) {
    static const robot half = {"half", 5, 4, 1, {{"wrist", 40, 56}}};
    static const char *const policy[] = {"smolvla", "pi0", "pi05"};
    char from[512], a[512], b[512], out[512];
    fw_err err = {0};
    if (getenv("FW_GOLDEN_MAKE") != NULL) {
        return;
    }
    snprintf(a, sizeof a, "%s", data_of(&same));
    snprintf(b, sizeof b, "%s", data_of(&half));
    const char *both[] = {a, b}, *turned[] = {b, a};
    for (int k = 0; k < 3; k++) {
        fw_train_result whole, parts, other;
        snprintf(from, sizeof from, "%s/tests/golden/policies/%s", FW_SOURCE_DIR, policy[k]);
        fw_train_opts o = {
            .from = from, .dirs = both, .n_dirs = 2, .out = out, .seed = -1, .threads = 1, .steps = 1, .batch = 8};
        snprintf(out, sizeof out, "%s_%d", in_tmp("whole"), k);
        CHECK_OK(fw_train(&o, &whole, &err), err);
        snprintf(out, sizeof out, "%s_%d", in_tmp("parts"), k);
        o.micro = 1;
        CHECK_OK(fw_train(&o, &parts, &err), err);
        snprintf(out, sizeof out, "%s_%d", in_tmp("turned"), k);
        o.dirs = turned;
        CHECK_OK(fw_train(&o, &other, &err), err);
        printf("# %s: loss %.6f, in parts %.6f, the other one first %.6f\n", policy[k], whole.loss, parts.loss,
               other.loss);
        CHECK(fabs(whole.loss - parts.loss) < 1e-5 * whole.loss && isfinite(other.loss) && isfinite(whole.held_out));
    }
    snprintf(from, sizeof from, "%s/tests/golden/policies/act", FW_SOURCE_DIR);
    snprintf(out, sizeof out, "%s", in_tmp("no"));
    const fw_train_opts o = {.from = from, .dirs = both, .n_dirs = 2, .out = out, .seed = -1, .threads = 1, .steps = 1};
    CHECK(fw_train(&o, NULL, &err) == FW_INVALID && strstr(err.msg, "no camera 'top'") != NULL);
}

static void what_does_not_fit_is_refused_by_name(void) {
    const robot huge = {"huge", 9, 7, 1, {{"top", 40, 56}}},
                odd = {"odd", 5, 4, 3, {{"top", 40, 56}, {"x", 40, 56}, {"y", 40, 56}}};
    if (getenv("FW_GOLDEN_MAKE") != NULL) {
        return;
    }
    refused("act", &wide, "", FW_SHAPE, "state has 9 values and action 4, the policy in");
    refused("act", &wide, "", FW_SHAPE, "wants 5 and 4: its layers are of these sizes, --new-heads makes them anew");
    refused("smolvla", &huge, "", FW_SHAPE, "state has 9 values and action 7, the network in");
    refused("smolvla", &huge, "", FW_SHAPE, "takes at most 8 and 7");
    plain_refused("smolvla", &arm, FW_SHAPE, "wants 5 and 4: for another robot its statistics must be new, too");
    plain_refused("act", &same_but_size, FW_SHAPE,
                  "camera 'wrist' has 48 x 32 pixels, the policy wants 56 x 40 (--new-stats");
    refused("smolvla", &odd, "", FW_INVALID,
            "camera 'x' is none of the policy's ('top', 'wrist'), of which 'wrist' has none: "
            "--camera x=wrist");
    refused("smolvla", &odd, ", \"cameras\": {\"x\": \"left\"}", FW_INVALID, "camera 'x=left': the policy in");
    refused("smolvla", &odd, ", \"cameras\": {\"x\": \"left\"}", FW_INVALID,
            "has 'top', 'wrist' ('+left' gives it one more)");
    refused("smolvla", &arm, ", \"cameras\": {\"frnt\": \"top\"}", FW_INVALID, "no dataset has a camera 'frnt'");
    refused("act", &one, HEADS ", \"lora\": {\"rank\": 2, \"targets\": \".*linear1\"}", FW_SHAPE, "adapters do not");
    refused("pi05", &few, "", FW_SHAPE, "4 actions relative to a state of 3 values");
    end_tmp();
}

FW_TEST_MAIN(T(chunks_for_another_robot_are_those_of_lerobot), T(what_lerobot_made_for_another_robot_opens),
             T(openpis_folder_is_saved_as_one), T(the_files_say_of_which_robot_it_is),
             T(datasets_of_other_cameras_are_learnt_together), T(what_does_not_fit_is_refused_by_name))
