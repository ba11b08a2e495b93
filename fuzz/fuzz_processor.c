/* fuzz_processor.c - bytes as {"pre": policy_preprocessor.json, "post": policy_postprocessor.json}: refused with words, or pipelines
 * that turn any state, task and chunk into numbers and text. First byte: for ACT's or pi0.5's config.json. */
#include <stdint.h>

#include "model/processor.h"
#include "scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FEATURES                                                                                                       \
    "\"input_features\": {\"observation.state\": {\"type\": \"STATE\", \"shape\": [5]}, \"observation.images.top\": "  \
    "{\"type\": \"VISUAL\", \"shape\": [3, 24, 32]}}, \"output_features\": {\"action\": {\"type\": \"ACTION\", "       \
    "\"shape\": [4]}}"

static fw_lerobot_config config[2];
static fw_st *stats;

static void put_stats(void) {
    static const char *const names[] = {"mean", "std", "min", "max", "q01", "q99", "q10", "q90"};
    static const float value[2][5] = {{0, -1, 0.5f, -2, 0}, {1, 0, 0.5f, 3, 2}};
    static char key[16][64];
    fw_st_out t[16];
    for (int i = 0; i < 16; i++) {
        snprintf(key[i], sizeof key[i], "%s.%s", i < 8 ? "observation.state" : "action", names[i % 8]);
        t[i] = (fw_st_out){key[i], FW_F32, i < 8 ? FW_SHAPE_OF(5) : FW_SHAPE_OF(4), value[i % 2]};
    }
    if (fw_st_write(scratch_path("stats.safetensors"), t, 16, NULL, NULL) != FW_OK ||
        fw_st_open(scratch_path("stats.safetensors"), &stats, NULL) != FW_OK) {
        abort();
    }
}

static void set_up(void) {
    static const char *const text[] = {
        "{\"type\": \"act\", \"normalization_mapping\": {\"STATE\": \"MEAN_STD\", \"ACTION\": \"MIN_MAX\"}, " FEATURES
        "}",
        "{\"type\": \"pi05\", " FEATURES "}"};
    for (int i = 0; i < 2; i++) {
        json_t *j = NULL;
        if (fw_json_parse(text[i], strlen(text[i]), "config", &j, NULL) != FW_OK ||
            fw_lerobot_config_parse(j, "config", &config[i], NULL) != FW_OK) {
            abort();
        }
        json_decref(j);
    }
    put_stats();
}

static void use(const fw_processor *p, const char *task) {
    const float state[5] = {0.5f, -3, 0.5f, 1e30f, -0.0f}, y[8] = {0, 1, -1, 2, 1e20f, 0, 0, 0};
    char prompt[600];
    float x[8];
    fw_err err = {0};
    fw_map_apply(&p->input[p->state_at], state, x, 1);
    fw_processor_chunk(p, state, y, 2, x);
    fw_processor_target(p, state, y, 2, x);
    fw_status st = fw_processor_prompt(p, state, task, prompt, sizeof prompt, &err);
    scratch_refused(st, &err);
    if (st == FW_OK && strlen(prompt) >= sizeof prompt) {
        abort();
    }
    (void)fw_processor_source(p, task);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fw_err err = {0};
    fw_processor p;
    json_t *root = NULL;
    char task[300] = {0};
    if (stats == NULL) {
        set_up();
    }
    if (size < 1 || fw_json_parse((const char *)data + 1, size - 1, "fuzz", &root, &err) != FW_OK) {
        return 0;
    }
    fw_status st = fw_processor_parse(json_object_get(root, "pre"), json_object_get(root, "post"), stats,
                                      &config[data[0] % 2], &p, &err);
    scratch_refused(st, &err);
    if (st == FW_OK) {
        memcpy(task, data + 1, size - 1 < 299 ? size - 1 : 299);
        use(&p, task);
        use(&p, " put_the cup\n ");
    }
    fw_processor_clear(&p); /* also after a refusal: it is empty */
    json_decref(root);
    return 0;
}
