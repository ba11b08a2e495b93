/* config.json of published policies: read as LeRobot and openpi write it, refused by name when it cannot be */
#include "model/lerobot_config.h"
#include "model_test.h"

static json_t *text_json(const char *text) {
    json_error_t e;
    json_t *j = json_loads(text, 0, &e);
    if (j == NULL) {
        FW_FAILED("%s: %s", text, e.text);
    }
    return j;
}

static fw_status parse(const char *text, fw_lerobot_config *c, fw_err *err) {
    json_t *j = text_json(text);
    fw_status st = fw_lerobot_config_parse(j, "x/config.json", c, err);
    json_decref(j);
    return st;
}

static fw_lerobot_config load(const char *name) {
    fw_err err = {0};
    fw_lerobot_config c;
    char dir[512];
    snprintf(dir, sizeof dir, GOLDEN "policies/%s", name);
    CHECK_OK(fw_lerobot_config_load(dir, &c, &err), err);
    return c;
}

#define FEATURES                                                                                                       \
    "\"input_features\": {\"observation.state\": {\"type\": \"STATE\", \"shape\": [6]}, \"observation.images.top\": "  \
    "{\"type\": \"VISUAL\", \"shape\": [3, 480, 640]}}, \"output_features\": {\"action\": {\"type\": \"ACTION\", "     \
    "\"shape\": [6]}}"

static void missing_keys_have_lerobots_defaults(void) {
    fw_err err = {0};
    fw_lerobot_config c;
    CHECK_OK(parse("{\"type\": \"act\", " FEATURES "}", &c, &err), err);
    CHECK(c.policy == FW_POLICY_ACT && c.chunk == 100 && c.n_execute == 100 && c.act.width == 512 && c.act.heads == 8);
    CHECK(c.act.mlp == 3200 && c.act.encoder_layers == 4 && c.act.decoder_layers == 1 && c.act.latent == 32);
    CHECK(c.act.use_vae && !c.act.pre_norm && !c.act.ensemble && c.act.backbone_width == 64 && c.act.resnet == 18);
    CHECK(c.norm[FW_FEATURE_VISUAL] == FW_LEROBOT_MEAN_STD && c.optim.lr == 1e-5 && c.act.kl_weight == 10.0);
    CHECK_OK(parse("{\"type\": \"smolvla\", " FEATURES "}", &c, &err), err);
    CHECK(c.vla.text.width == 960 && c.vla.text.layers == 16 && c.vla.expert.width == 720 && c.vla.expert.mlp == 2048);
    CHECK(c.vla.vision.width == 768 && c.vla.vision.image == 512 && c.vla.shuffle == 4 && c.vla.resize_h == 512);
    CHECK(c.chunk == 50 && c.vla.max_tokens == 48 && c.optim.train_expert_only && c.vla.flow_steps == 10);
    CHECK_OK(parse("{\"type\": \"pi0\", " FEATURES "}", &c, &err), err);
    CHECK(c.vla.text.width == 2048 && c.vla.text.mlp == 16384 && c.vla.expert.width == 1024 && c.vla.text.layers == 18);
    CHECK(c.vla.vision.width == 1152 && c.vla.vision.layers == 27 && c.vla.vision.image == 224 &&
          c.vla.vocab == 257152);
    CHECK(c.vla.max_tokens == 48 && c.norm[FW_FEATURE_STATE] == FW_LEROBOT_MEAN_STD && !c.optim.train_expert_only);
    CHECK_OK(parse("{\"type\": \"pi05\", " FEATURES "}", &c, &err), err);
    CHECK(c.vla.max_tokens == 200 && c.norm[FW_FEATURE_ACTION] == FW_LEROBOT_QUANTILES);
}

static void what_lerobot_writes_is_read(void) {
    fw_lerobot_config c = load("act_ensemble");
    CHECK(c.act.ensemble && c.act.ensemble_coeff == 0.01 && c.n_execute == 1 && c.act.gelu &&
          c.act.backbone_width == 2);
    c = load("act_pre_norm");
    CHECK(c.norm[FW_FEATURE_ENV] == FW_LEROBOT_MEAN_STD && fw_lerobot_input(&c, FW_FEATURE_ENV)->shape[0] == 3);
    c = load("act");
    CHECK(c.n_input == 3 && strcmp(fw_lerobot_camera(&c.input[2]), "wrist") == 0 && c.input[1].shape[2] == 56);
    c = load("smolvla");
    CHECK(c.vla.text.layers == 4 && c.vla.expert.width == 36 && c.vla.expert.mlp == 256 && c.vla.empty_cameras == 1);
    CHECK(c.n_input == 4 && fw_lerobot_is_empty_camera(&c.input[3]) && !fw_lerobot_is_empty_camera(&c.input[2]));
    CHECK(c.vla.max_state == 8 && c.vla.max_action == 7 && c.vla.vocab == 320 && c.chunk == 8 && c.n_execute == 6);
    c = load("pi05");
    CHECK(c.policy == FW_POLICY_PI05 && c.vla.relative_actions && c.vla.max_tokens == 64 && c.vla.resize_w == 32);
    CHECK(c.vla.text.heads == 8 && c.vla.expert.mlp == 40 && c.vla.vision.heads == 2 && c.vla.vision.image == 32);
}

static void openpis_form_is_read(void) {
    fw_err err = {0};
    fw_lerobot_config c;
    CHECK_OK(parse("{\"action_dim\": 32, \"action_horizon\": 15, \"paligemma_variant\": \"gemma_2b\", "
                   "\"action_expert_variant\": \"gemma_300m\", \"precision\": \"bfloat16\"}",
                   &c, &err),
             err);
    CHECK(c.openpi && c.policy == FW_POLICY_PI0 && c.chunk == 15 && c.vla.bf16 && c.n_input == 4 && c.n_output == 1);
    CHECK(strcmp(fw_lerobot_camera(&c.input[1]), "base_0_rgb") == 0);
}

static void keys_of_newer_versions_are_left_alone(void) {
    fw_err err = {0};
    fw_lerobot_config c;
    CHECK_OK(
        parse("{\"type\": \"pi05\", \"memory_frames\": 6, \"a_thing_of_next_year\": [1, {}], " FEATURES "}", &c, &err),
        err);
}

static void what_cannot_be_is_refused_by_name(void) {
    static const struct {
        const char *text;
        fw_status status;
        const char *says;
    } bad[] = {
        {"[]", FW_FORMAT, "x/config.json: wanted an object"},
        {"{" FEATURES "}", FW_FORMAT, "'type'"},
        {"{\"type\": \"diffusion\", " FEATURES "}", FW_FORMAT, "'type' is 'diffusion', wanted one of 'act', 'smolvla'"},
        {"{\"type\": \"act\"}", FW_FORMAT, "input_features"},
        {"{\"type\": \"act\", \"chunk_size\": \"8\", " FEATURES "}", FW_FORMAT, "'chunk_size': wanted an integer"},
        {"{\"type\": \"act\", \"chunk_size\": 8, \"n_action_steps\": 9, " FEATURES "}", FW_FORMAT,
         "'n_action_steps' is 9"},
        {"{\"type\": \"act\", \"dim_model\": 510, " FEATURES "}", FW_FORMAT, "'dim_model' is 510"},
        {"{\"type\": \"act\", \"vision_backbone\": \"resnet50\", " FEATURES "}", FW_FORMAT, "'resnet18', 'resnet34'"},
        {"{\"type\": \"act\", \"temporal_ensemble_coeff\": 0.01, " FEATURES "}", FW_FORMAT, "wanted 1"},
        {"{\"type\": \"act\", \"dropout\": 1.5, " FEATURES "}", FW_FORMAT, "'dropout' is 1.5"},
        {"{\"type\": \"act\", \"n_obs_steps\": 2, " FEATURES "}", FW_FORMAT, "n_obs_steps"},
        {"{\"type\": \"act\", \"use_peft\": true, " FEATURES "}", FW_UNSUPPORTED, "'use_peft' is true"},
        {"{\"type\": \"act\", \"normalization_mapping\": {\"STATE\": \"MEDIAN\"}, " FEATURES "}", FW_FORMAT,
         "'STATE' is 'MEDIAN'"},
        {"{\"type\": \"smolvla\", \"adapt_to_pi_aloha\": true, " FEATURES "}", FW_UNSUPPORTED, "adapt_to_pi_aloha"},
        {"{\"type\": \"smolvla\", \"vlm_model_name\": \"me/other\", " FEATURES "}", FW_UNSUPPORTED, "me/other"},
        {"{\"type\": \"pi0\", \"sizes\": {\"text\": {\"layers\": 65}}, " FEATURES "}", FW_FORMAT, "1..64"},
        {"{\"type\": \"smolvla\", \"num_expert_layers\": 5, " FEATURES "}", FW_FORMAT, "do not fit"},
        {"{\"type\": \"smolvla\", \"expert_width_multiplier\": -1, " FEATURES "}", FW_FORMAT,
         "expert_width_multiplier"},
        {"{\"type\": \"pi0\", \"paligemma_variant\": \"gemma_9b\", " FEATURES "}", FW_FORMAT, "gemma_9b"},
        {"{\"type\": \"pi0\", \"max_state_dim\": 4, " FEATURES "}", FW_FORMAT, "'max_state_dim' is 4"},
        {"{\"type\": \"pi0\", \"image_resolution\": [224, 200], " FEATURES "}", FW_FORMAT, "wanted a square"},
        {"{\"type\": \"pi0\", \"image_resolution\": [224.5, 224.5], " FEATURES "}", FW_FORMAT, "224.5"},
        {"{\"type\": \"pi05\", \"use_visual_memory\": true, " FEATURES "}", FW_UNSUPPORTED, "use_visual_memory"},
        {"{\"type\": \"act\", \"input_features\": {\"a\": {\"type\": \"STATE\", \"shape\": [0]}}, \"output_features\": "
         "{}}",
         FW_FORMAT, "x/config.json: a: 'shape'[0]"},
        {"{\"type\": \"act\", \"input_features\": {\"a\": {\"type\": \"VISUAL\", \"shape\": [480, 640, 3]}}, "
         "\"output_features\": {}}",
         FW_FORMAT, "[3, height, width]"},
        {"{\"type\": \"act\", \"input_features\": {\"a\": {\"type\": \"STATE\", \"shape\": [3]}}, \"output_features\": "
         "{\"action\": {\"type\": \"ACTION\", \"shape\": [3]}}}",
         FW_FORMAT, "neither a picture"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fw_err err = {0};
        fw_lerobot_config c;
        CHECK_FAILS(parse(bad[i].text, &c, &err), err, bad[i].status, bad[i].says);
    }
}

FW_TEST_MAIN(T(missing_keys_have_lerobots_defaults), T(what_lerobot_writes_is_read), T(openpis_form_is_read),
             T(keys_of_newer_versions_are_left_alone), T(what_cannot_be_is_refused_by_name))
