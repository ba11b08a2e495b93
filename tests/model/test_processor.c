#include "policy_golden.h"

#include <unistd.h>

#include "model/processor.h"
#include "model/tokenizer.h"

#define CASES GOLDEN "processors/"

typedef struct loaded {
    fw_lerobot_config c;
    fw_processor p;
} loaded;

static void load(const char *dir, loaded *l) {
    fw_err err = {0};
    CHECK_OK(fw_lerobot_config_load(dir, &l->c, &err), err);
    CHECK_OK(fw_processor_load(dir, &l->c, &l->p, &err), err);
}

/* Within 1e-6 of the values' scale. */
static void check_near(const char *what, const float *got, const float *want, size_t n) {
    double scale = 1e-30;
    for (size_t i = 0; i < n; i++) {
        scale = fmax(scale, fabs((double)want[i]));
    }
    for (size_t i = 0; i < n; i++) {
        if (!(fabs((double)got[i] - (double)want[i]) <= 1e-6 * scale)) {
            FW_FAILED("%s: value %zu is %.9g, want %.9g", what, i, (double)got[i], (double)want[i]);
        }
    }
}

static json_t *read_json(const char *name, const char *file) {
    char path[512];
    fw_err err = {0};
    json_t *j = NULL;
    snprintf(path, sizeof path, CASES "%s/%s", name, file);
    CHECK_OK(fw_json_load(path, &j, &err), err);
    return j;
}

/* The value at a path of keys and indices; with value (JSON) set, it is put there, "-" takes it away. */
static void change_at(json_t *j, const char *where, const char *value) {
    char path[160], *rest = NULL, *last = NULL;
    snprintf(path, sizeof path, "%s", where);
    for (char *k = strtok_r(path, "/", &rest); k != NULL; k = strtok_r(NULL, "/", &rest)) {
        if (last != NULL) {
            j = json_is_array(j) ? json_array_get(j, (size_t)atoi(last)) : json_object_get(j, last);
        }
        CHECK(j != NULL);
        last = k;
    }
    if (strcmp(value, "-") == 0) {
        CHECK_INT(json_is_array(j) ? json_array_remove(j, (size_t)atoi(last)) : json_object_del(j, last), 0);
        return;
    }
    json_t *v = json_loads(value, JSON_DECODE_ANY, NULL);
    CHECK(v != NULL);
    CHECK_INT(json_is_array(j) ? json_array_set_new(j, (size_t)atoi(last), v) : json_object_set_new(j, last, v), 0);
}

/* ---- LeRobot's pipelines alone ---- */

/* The numbers of row[key], one or two levels deep. */
static size_t numbers(const json_t *row, const char *key, float *out) {
    const json_t *a = json_object_get(row, key), *j;
    size_t i, n = 0;
    json_array_foreach(a, i, j) {
        for (size_t k = 0; k < json_array_size(j); k++) {
            out[n++] = (float)json_number_value(json_array_get(j, k));
        }
        if (json_is_number(j)) {
            out[n++] = (float)json_number_value(j);
        }
    }
    return n;
}

static void check_row(const char *name, const loaded *l, const json_t *row) {
    float state[64], x[64], want[64];
    char text[1024];
    fw_err err = {0};
    size_t n = numbers(row, "state", state);
    CHECK_INT(n, l->p.n_state);
    fw_map_apply(&l->p.input[l->p.state_at], state, x, 1);
    (void)numbers(row, "norm_state", want);
    check_near(name, x, want, n);
    n = numbers(row, "action", x);
    CHECK_INT(n, 3 * l->p.n_action);
    fw_processor_target(&l->p, state, x, 3, x);
    (void)numbers(row, "norm_action", want);
    check_near(name, x, want, n);
    (void)numbers(row, "y", x);
    fw_processor_chunk(&l->p, state, x, 3, x);
    (void)numbers(row, "chunk", want);
    check_near(name, x, want, n);
    if (l->p.prompt == FW_PROMPT_NONE) {
        return;
    }
    const char *task = json_string_value(json_object_get(row, "task"));
    CHECK_OK(fw_processor_prompt(&l->p, state, task, text, sizeof text, &err), err);
    if (strcmp(text, json_string_value(json_object_get(row, "prompt"))) != 0) {
        FW_FAILED("%s: task '%s': prompt '%s', want '%s'", name, task, text,
                  json_string_value(json_object_get(row, "prompt")));
    }
}

static void every_way_of_normalising_equals_lerobots(void) {
    static const char *const cases[] = {"act_min_max",  "act_identity", "smolvla_quantile10",
                                        "pi0_relative", "pi05_edges",   "pi05_relative"};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char path[512];
        loaded l;
        fw_err err = {0};
        json_t *root = NULL, *row;
        size_t i;
        snprintf(path, sizeof path, CASES "%s", cases[k]);
        load(path, &l);
        snprintf(path, sizeof path, CASES "%s/golden.json", cases[k]);
        CHECK_OK(fw_json_load(path, &root, &err), err);
        json_array_foreach(json_object_get(root, "rows"), i, row) {
            check_row(cases[k], &l, row);
        }
        CHECK(i >= 12);
        json_decref(root);
        fw_processor_clear(&l.p);
    }
}

static void settings_are_those_of_the_file(void) {
    loaded l;
    load(CASES "smolvla_quantile10", &l);
    CHECK_INT(l.p.prompt, FW_PROMPT_LINE);
    CHECK_INT(l.p.max_tokens, 48);
    CHECK(!l.p.pad_to_max);
    CHECK(strcmp(l.p.tokenizer, "HuggingFaceTB/SmolVLM2-500M-Video-Instruct") == 0);
    CHECK(strcmp(fw_processor_source(&l.p, "observation.images.top"), "observation.images.front") == 0);
    CHECK(strcmp(fw_processor_source(&l.p, "observation.state"), "observation.state") == 0);
    CHECK(l.p.relative == NULL);
    fw_processor_clear(&l.p);
    load(CASES "pi05_relative", &l);
    CHECK_INT(l.p.prompt, FW_PROMPT_STATE);
    CHECK_INT(l.p.max_tokens, 200);
    CHECK(l.p.pad_to_max);
    CHECK(l.p.relative[0] && l.p.relative[1] && !l.p.relative[2] && !l.p.relative[3]);
    fw_processor_clear(&l.p);
}

/* numpy's digitize on linspace(-1, 1, 257)[:-1], less one: a count of lower ends. */
static void the_state_in_the_prompt_is_counted_exactly(void) {
    static const float hard[] = {-1e-30f,     1e-30f, -0.0f, -1e-9f,       -0.0078125f, -0.00781250093f,
                                 0.99999994f, 1.0f,   -1.0f, -1.00000012f, 3e38f,       -3e38f};
    json_t *pre = read_json("pi05_edges", "policy_preprocessor.json");
    json_t *post = read_json("pi05_edges", "policy_postprocessor.json");
    loaded l;
    fw_err err = {0};
    CHECK_OK(fw_lerobot_config_load(CASES "pi05_edges", &l.c, &err), err);
    change_at(pre, "steps/3/config/norm_map", "{}");
    change_at(post, "steps/0/config/norm_map", "{}");
    CHECK_OK(fw_processor_parse(pre, post, NULL, &l.c, &l.p, &err), err);
    for (size_t i = 0; i < sizeof hard / sizeof *hard; i++) {
        const float state[4] = {hard[i], 0, 0, 0};
        char text[128], want[128];
        int count = -1;
        for (int k = 0; k < 256; k++) {
            count += -1.0 + k / 128.0 <= (double)hard[i];
        }
        snprintf(want, sizeof want, "Task: x, State: %d 128 128 128;\nAction: ", count);
        CHECK_OK(fw_processor_prompt(&l.p, state, "x", text, sizeof text, &err), err);
        if (strcmp(text, want) != 0) {
            FW_FAILED("%.9g: %s, want %s", (double)hard[i], text, want);
        }
    }
    fw_processor_clear(&l.p);
    json_decref(pre);
    json_decref(post);
}

/* ---- together with networks and tokenizers: tests/golden/policies ---- */

static void chunks_of_the_golden_policies_come_out_in_the_robots_units(void) {
    static const char *const cases[] = {"act", "act_env", "act_pre_norm", "smolvla", "pi0", "pi05"};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        golden g = golden_open(cases[k], "golden");
        loaded l;
        size_t n = 0, n_state = 0;
        load(g.dir, &l);
        float *y = golden_f32(&g, "out.model", &n), *want = golden_f32(&g, "out.chunk", NULL);
        float *state = golden_f32(&g, "in.observation.state", &n_state);
        size_t batch = n_state / (size_t)l.p.n_state, rows = n / (size_t)l.p.n_action / batch;
        for (size_t b = 0; b < batch; b++) {
            float *chunk = y + b * rows * (size_t)l.p.n_action;
            fw_processor_chunk(&l.p, state + b * (size_t)l.p.n_state, chunk, rows, chunk);
        }
        check_near(cases[k], y, want, n);
        free(y);
        free(want);
        free(state);
        fw_st_close(g.st);
        fw_processor_clear(&l.p);
    }
}

/* Task and state of a golden observation, through prompt and tokenizer, against the tokens that LeRobot's network was given. */
static void check_tokens(const char *name, const char *file) {
    golden g = golden_open(name, file);
    fw_err err = {0};
    loaded l;
    fw_tokenizer *t = NULL;
    load(g.dir, &l);
    CHECK_OK(fw_tokenizer_open(g.dir, &t, &err), err);
    const fw_st_tensor *want = golden_at(&g, "mid.tokens"), *mask = golden_at(&g, "mid.tokens_mask");
    float *state = golden_f32(&g, "in.observation.state", NULL);
    json_t *tasks = json_loads(fw_st_meta(g.st, "tasks"), 0, NULL);
    int width = (int)want->shape.d[1];
    CHECK_INT(want->dtype, FW_I32);
    for (size_t b = 0; b < json_array_size(tasks); b++) {
        char text[2048];
        int32_t ids[256];
        int n = 0;
        const char *task = json_string_value(json_array_get(tasks, b));
        CHECK_OK(fw_processor_prompt(&l.p, state + b * (size_t)l.p.n_state, task, text, sizeof text, &err), err);
        CHECK_OK(fw_tokenizer_encode(t, text, ids, l.p.max_tokens, &n, &err), err);
        CHECK(n <= width);
        CHECK(!l.p.pad_to_max || width == l.p.max_tokens);
        fw_tokenizer_pad(t, ids, n, width);
        for (int i = 0; i < width; i++) {
            int32_t id;
            memcpy(&id, (const char *)want->data + 4 * ((size_t)width * b + (size_t)i), 4);
            CHECK_INT(ids[i], id);
            CHECK_INT(i < n, ((const uint8_t *)mask->data)[(size_t)width * b + (size_t)i] != 0);
        }
    }
    json_decref(tasks);
    free(state);
    fw_tokenizer_close(t);
    fw_processor_clear(&l.p);
    fw_st_close(g.st);
}

static void prompts_become_the_tokens_that_lerobot_gives_the_network(void) {
    static const char *const names[] = {"smolvla", "pi0", "pi05"};
    static const char *const files[] = {"golden", "golden_empty", "golden_long", "golden_missing", "golden_train"};
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 5; k++) {
            check_tokens(names[i], files[k]);
        }
    }
}

/* ---- refusals ---- */

static void check_refused(const char *name, bool in_post, const char *where, const char *value, fw_status status,
                          const char *says) {
    char path[512];
    fw_err err = {0};
    fw_lerobot_config c;
    fw_processor p;
    json_t *pre = read_json(name, "policy_preprocessor.json"), *post = read_json(name, "policy_postprocessor.json");
    const json_t *step = json_array_get(json_object_get(post, "steps"), 0);
    fw_st *st = NULL;
    snprintf(path, sizeof path, CASES "%s", name);
    CHECK_OK(fw_lerobot_config_load(path, &c, &err), err);
    snprintf(path, sizeof path, CASES "%s/%s", name, json_string_value(json_object_get(step, "state_file")));
    CHECK_OK(fw_st_open(path, &st, &err), err);
    change_at(in_post ? post : pre, where, value);
    fw_status got = fw_processor_parse(pre, post, st, &c, &p, &err);
    if (got != status || strstr(err.msg, says) == NULL) {
        FW_FAILED("%s: %s = %s: got %s '%s', want '...%s...'", name, where, value, fw_status_name(got), err.msg, says);
    }
    CHECK(p.relative == NULL && p.action.a == NULL);
    fw_st_close(st);
    json_decref(pre);
    json_decref(post);
}

static void steps_that_are_unknown_or_out_of_order_are_refused_by_name(void) {
    static const struct {
        const char *name;
        bool in_post;
        const char *where, *value, *says;
    } bad[] = {
        {"act_min_max", false, "steps/1/registry_name", "\"crop_processor\"",
         "step 1 'crop_processor' is not implemented"},
        {"act_min_max", true, "steps/1/registry_name", "\"clip_processor\"",
         "step 1 'clip_processor' is not implemented"},
        {"act_min_max", false, "steps/1", "{\"class\": \"my.Step\", \"config\": {}}", "class 'my.Step'"},
        {"act_min_max", false, "steps", "-", "steps"},
        {"act_min_max", false, "steps/3", "-", "no step 'normalizer_processor'"},
        {"act_min_max", true, "steps/0", "-", "no step 'unnormalizer_processor'"},
        {"act_min_max", false, "steps/2/config/float_dtype", "\"float16\"", "float_dtype float16"},
        {"act_min_max", false, "steps/3/config/eps", "0", "eps is 0"},
        {"act_min_max", false, "steps/3/config/norm_map/STATE", "\"LOG\"", "LOG"},
        {"act_min_max", false, "steps/3/config/features/observation.state", "-",
         "observation.state of config.json is not among its features"},
        {"smolvla_quantile10", false, "steps/3/config/padding_side", "\"left\"", "padding_side 'left'"},
        {"smolvla_quantile10", false, "steps/3/config/padding", "\"round\"", "padding round"},
        {"smolvla_quantile10", false, "steps/3", "-", "no step 'tokenizer_processor'"},
        {"smolvla_quantile10", false, "steps/1/registry_name", "\"pi0_new_line_processor\"", "behind another step"},
        {"pi0_relative", false, "steps/5/config/enabled", "false", "actions are absolute"},
        {"pi0_relative", true, "steps/1/config/enabled", "false", "actions are relative"},
        {"pi0_relative", false, "steps/5/config/exclude_joints", "7", "exclude_joints"},
        {"pi05_edges", false, "steps/3", "{\"registry_name\": \"to_batch_processor\", \"config\": {}}",
         "before normalizer_processor"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        check_refused(bad[i].name, bad[i].in_post, bad[i].where, bad[i].value, FW_FORMAT, bad[i].says);
    }
    check_refused("act_min_max", false, "steps/3/config/norm_map/VISUAL", "\"MEAN_STD\"", FW_SHAPE,
                  "normalised by MEAN_STD, and there is no statistic 'observation.images.top.mean'");
    check_refused("act_min_max", false, "steps/3/config/features/observation.state/shape/0", "6", FW_SHAPE,
                  "observation.state has 6 values, config.json says 5");
}

static void a_prompt_that_does_not_fit_is_refused(void) {
    loaded l;
    char text[16];
    fw_err err = {0};
    const float state[4] = {0};
    load(CASES "pi05_edges", &l);
    CHECK_FAILS(fw_processor_prompt(&l.p, state, "x", text, sizeof text, &err), err, FW_INVALID, "room for 15");
    CHECK_FAILS(fw_processor_prompt(&l.p, state, "x\xff", text, sizeof text, &err), err, FW_FORMAT, "byte 1");
    fw_processor_clear(&l.p);
    load(CASES "act_identity", &l);
    CHECK_FAILS(fw_processor_prompt(&l.p, state, "x", text, sizeof text, &err), err, FW_INVALID, "reads no words");
    fw_processor_clear(&l.p);
}

/* ---- directories ---- */

/* The files of a golden case, copied into a fresh folder. */
static void copy_case(const char *name, char dir[64]) {
    char **names = NULL, from[512], to[512];
    size_t n = 0, size = 0;
    fw_err err = {0};
    strcpy(dir, "/tmp/fw_processor_XXXXXX");
    CHECK(mkdtemp(dir) != NULL);
    snprintf(from, sizeof from, CASES "%s", name);
    CHECK_OK(fw_list_dir(from, &names, &n, &err), err);
    for (size_t i = 0; i < n; i++) {
        char *data = NULL;
        snprintf(from, sizeof from, CASES "%s/%s", name, names[i]);
        snprintf(to, sizeof to, "%s/%s", dir, names[i]);
        CHECK_OK(fw_file_read(from, 1 << 24, &data, &size, &err), err);
        CHECK_OK(fw_file_write_atomic(to, data, size, &err), err);
        free(data);
    }
    fw_names_free(names, n);
}

static void remove_in(const char *dir, const char *name) {
    char path[512];
    fw_err err = {0};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK_OK(fw_remove_tree(path, &err), err);
}

static void missing_files_and_statistics_are_refused_by_name(void) {
    char dir[64];
    fw_err err = {0};
    fw_lerobot_config c;
    fw_processor p;
    copy_case("act_min_max", dir);
    CHECK_OK(fw_lerobot_config_load(dir, &c, &err), err);
    remove_in(dir, "policy_preprocessor_step_3_normalizer_processor.safetensors");
    CHECK_FAILS(fw_processor_load(dir, &c, &p, &err), err, FW_IO, "step_3_normalizer");
    CHECK_OK(fw_remove_tree(dir, &err), err);
    copy_case("act_min_max", dir);
    remove_in(dir, "policy_postprocessor.json");
    CHECK_FAILS(fw_processor_load(dir, &c, &p, &err), err, FW_IO, "policy_postprocessor.json");
    remove_in(dir, "policy_preprocessor.json");
    CHECK_FAILS(fw_processor_load(dir, &c, &p, &err), err, FW_IO, "model.safetensors");
    CHECK_OK(fw_remove_tree(dir, &err), err);
}

static void put_old(const char *dir, bool whole) {
    static const float lo[5] = {-1, -2, 0, 1, -4}, hi[5] = {1, 2, 3, 1, 4};
    char path[512];
    fw_err err = {0};
    const fw_st_out t[] = {
        {"normalize_inputs.buffer_observation_state.min", FW_F32, FW_SHAPE_OF(5), lo},
        {"normalize_inputs.buffer_observation_state.max", FW_F32, FW_SHAPE_OF(5), hi},
        {"unnormalize_outputs.buffer_action.min", FW_F32, FW_SHAPE_OF(4), lo},
        {"unnormalize_outputs.buffer_action.max", FW_F32, FW_SHAPE_OF(4), hi},
    };
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    CHECK_OK(fw_st_write(path, t, whole ? 4 : 3, NULL, &err), err);
}

static void older_checkpoints_keep_their_statistics_among_the_weights(void) {
    char dir[64];
    fw_err err = {0};
    loaded l;
    const float x[5] = {1, 0, 3, 1, 0}, want[5] = {1, 0, 1, -1, 0}, y[4] = {0, 1, -1, 0.5f}, a[4] = {0, 2, 0, 1};
    float got[5];
    copy_case("act_min_max", dir);
    remove_in(dir, "policy_preprocessor.json");
    remove_in(dir, "policy_postprocessor.json");
    put_old(dir, true);
    load(dir, &l);
    fw_map_apply(&l.p.input[l.p.state_at], x, got, 1);
    check_near("state", got, want, 5);
    fw_processor_chunk(&l.p, x, y, 1, got);
    check_near("action", got, a, 4);
    fw_processor_clear(&l.p);
    put_old(dir, false);
    CHECK_FAILS(fw_processor_load(dir, &l.c, &l.p, &err), err, FW_SHAPE,
                "normalised by MIN_MAX, and there is no statistic 'action.max'");
    CHECK_OK(fw_remove_tree(dir, &err), err);
}

/* ---- openpi's folders ---- */

static void put_text(const char *dir, const char *name, const char *text) {
    char path[512], folder[512];
    fw_err err = {0};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    CHECK_OK(fw_mkdirs(folder, &err), err);
    CHECK_OK(fw_file_write_atomic(path, text, strlen(text), &err), err);
}

static void make_openpi(char dir[64], bool pi05) {
    static const float one[1] = {1};
    char path[512];
    fw_err err = {0};
    const fw_st_out t = {pi05 ? "time_mlp_in.weight" : "action_time_mlp_in.weight", FW_F32, FW_SHAPE_OF(1), one};
    strcpy(dir, "/tmp/fw_processor_XXXXXX");
    CHECK(mkdtemp(dir) != NULL);
    put_text(dir, "config.json",
             "{\"action_dim\": 32, \"action_horizon\": 10, \"paligemma_variant\": \"gemma_2b\", "
             "\"action_expert_variant\": \"gemma_300m\", \"precision\": \"bfloat16\"}");
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    CHECK_OK(fw_st_write(path, &t, 1, NULL, &err), err);
    put_text(
        dir, "assets/org/robot/norm_stats.json",
        "{\"norm_stats\": {\"state\": {\"mean\": [0.5, -1], \"std\": [0.25, 0], \"q01\": [0, 2], \"q99\": [2, 2]}, "
        "\"actions\": {\"mean\": [1, 2, 3], \"std\": [1, 0.5, 0], \"q01\": [-1, 0, 1], \"q99\": [1, 4, 1]}}}");
}

/* openpi's Normalize and Unnormalize (transforms.py), by hand. */
static void openpis_statistics_and_formulas_are_read(void) {
    for (int pi05 = 0; pi05 < 2; pi05++) {
        const float state[2] = {1, 2}, y[3] = {0.5f, -1, 1};
        const float x_want[2][2] = {{0.5f / 0.250001f, 3e6f}, {1.0f / 2.000001f * 2.0f - 1.0f, -1}};
        const float a_want[2][3] = {{1 + 0.5f * 1.000001f, 2 - 0.500001f, 3 + 1e-6f},
                                    {0.75f * 2.000001f - 1, 0, 1 + 1e-6f}};
        char dir[64], text[256];
        float got[3];
        loaded l;
        fw_err err = {0};
        make_openpi(dir, pi05);
        load(dir, &l);
        CHECK_INT(l.p.n_state, 2);
        CHECK_INT(l.p.n_action, 3);
        CHECK_INT(l.p.max_tokens, pi05 ? 200 : 48);
        fw_map_apply(&l.p.input[l.p.state_at], state, got, 1);
        check_near("state", got, x_want[pi05], 2);
        fw_processor_chunk(&l.p, state, y, 1, got);
        check_near("actions", got, a_want[pi05], 3);
        CHECK_OK(fw_processor_prompt(&l.p, state, " put_the\ncup ", text, sizeof text, &err), err);
        CHECK(strcmp(text, pi05 ? "Task: put the cup, State: 127 0;\nAction: " : "put the cup\n") == 0);
        fw_processor_clear(&l.p);
        CHECK_OK(fw_remove_tree(dir, &err), err);
    }
}

static void openpis_statistics_that_are_not_there_are_refused(void) {
    char dir[64], path[512];
    fw_lerobot_config c;
    fw_processor p;
    fw_err err = {0};
    make_openpi(dir, true);
    CHECK_OK(fw_lerobot_config_load(dir, &c, &err), err);
    put_text(dir, "assets/other/norm_stats.json", "{}");
    CHECK_FAILS(fw_processor_load(dir, &c, &p, &err), err, FW_FORMAT, "which one?");
    put_text(
        dir, "config.json",
        "{\"action_dim\": 32, \"action_horizon\": 10, \"paligemma_variant\": \"gemma_2b\", \"asset\": \"org/robot\", "
        "\"action_expert_variant\": \"gemma_300m\", \"precision\": \"bfloat16\"}");
    CHECK_OK(fw_lerobot_config_load(dir, &c, &err), err);
    CHECK_OK(fw_processor_load(dir, &c, &p, &err), err);
    CHECK(p.n_state == 2 && p.n_action == 3);
    fw_processor_clear(&p);
    put_text(dir, "config.json", "{\"action_dim\": 32, \"action_horizon\": 10, \"asset\": \"../org\"}");
    CHECK_OK(fw_lerobot_config_load(dir, &c, &err), err);
    CHECK_FAILS(fw_processor_load(dir, &c, &p, &err), err, FW_FORMAT, "'asset' is '../org', wanted a folder in assets");
    put_text(dir, "config.json", "{\"action_dim\": 32, \"action_horizon\": 10}");
    snprintf(path, sizeof path, "%s/assets", dir);
    CHECK_OK(fw_remove_tree(path, &err), err);
    CHECK_FAILS(fw_processor_load(dir, &c, &p, &err), err, FW_IO, "has no norm_stats.json");
    put_text(dir, "assets/norm_stats.json",
             "{\"norm_stats\": {\"state\": {\"mean\": [0, 0], \"std\": [1, 1]}, \"actions\": {}}}");
    CHECK_FAILS(fw_processor_load(dir, &c, &p, &err), err, FW_FORMAT, "state: key 'q01'");
    CHECK_OK(fw_remove_tree(dir, &err), err);
}

FW_TEST_MAIN(T(openpis_statistics_and_formulas_are_read), T(openpis_statistics_that_are_not_there_are_refused),
             T(every_way_of_normalising_equals_lerobots), T(settings_are_those_of_the_file),
             T(the_state_in_the_prompt_is_counted_exactly),
             T(chunks_of_the_golden_policies_come_out_in_the_robots_units),
             T(prompts_become_the_tokens_that_lerobot_gives_the_network),
             T(steps_that_are_unknown_or_out_of_order_are_refused_by_name), T(a_prompt_that_does_not_fit_is_refused),
             T(missing_files_and_statistics_are_refused_by_name),
             T(older_checkpoints_keep_their_statistics_among_the_weights))
