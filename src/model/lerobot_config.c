/*
 * lerobot_config.c - see lerobot_config.h. One table a policy names every key with its place and its range; "must" tables name what
 * this build has only one value for.
 */
#include "model/lerobot_config.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "tensor/safetensors.h"

#define N(a) (sizeof(a) / sizeof(*(a)))

/* ---- keys ---- */

typedef enum key_type { KEY_INT, KEY_REAL, KEY_BOOL } key_type;
typedef struct key {
    const char *name;
    key_type type;
    size_t offset; /* into fw_lerobot_config */
    double min, max;
} key;
#define INT(field, name, min, max)                                                                                     \
    { name, KEY_INT, offsetof(fw_lerobot_config, field), min, max }
#define REAL(field, name, min, max)                                                                                    \
    { name, KEY_REAL, offsetof(fw_lerobot_config, field), min, max }
#define BOOL(field, name)                                                                                              \
    { name, KEY_BOOL, offsetof(fw_lerobot_config, field), 0, 0 }

static const key chunk_keys[] = {
    INT(chunk, "chunk_size", 1, 1024),
    INT(n_execute, "n_action_steps", 1, 1024),
};
static const key act_keys[] = {
    BOOL(act.pre_norm, "pre_norm"),
    INT(act.width, "dim_model", 1, 8192),
    INT(act.heads, "n_heads", 1, 256),
    INT(act.mlp, "dim_feedforward", 1, 65536),
    INT(act.encoder_layers, "n_encoder_layers", 1, 128),
    INT(act.decoder_layers, "n_decoder_layers", 1, 128),
    BOOL(act.use_vae, "use_vae"),
    INT(act.latent, "latent_dim", 1, 4096),
    INT(act.vae_layers, "n_vae_encoder_layers", 1, 128),
    REAL(act.dropout, "dropout", 0.0, 0.999),
    REAL(act.kl_weight, "kl_weight", 0.0, 1e9),
    REAL(optim.lr, "optimizer_lr", 0.0, 1e3),
    REAL(optim.weight_decay, "optimizer_weight_decay", 0.0, 1e3),
    REAL(optim.lr_backbone, "optimizer_lr_backbone", 0.0, 1e3),
};
static const key backbone_keys[] = {INT(act.backbone_width, "backbone_width", 1, 1024)};
static const key vla_keys[] = {
    INT(vla.max_state, "max_state_dim", 1, 4096),
    INT(vla.max_action, "max_action_dim", 1, 4096),
    INT(vla.max_tokens, "tokenizer_max_length", 1, 4096),
    INT(vla.empty_cameras, "empty_cameras", 0, FW_LEROBOT_FEATURES),
    REAL(vla.min_period, "min_period", 1e-9, 1e9),
    REAL(vla.max_period, "max_period", 1e-9, 1e9),
    BOOL(optim.freeze_vision, "freeze_vision_encoder"),
    BOOL(optim.train_expert_only, "train_expert_only"),
    REAL(optim.lr, "optimizer_lr", 0.0, 1e3),
    REAL(optim.eps, "optimizer_eps", 0.0, 1.0),
    REAL(optim.weight_decay, "optimizer_weight_decay", 0.0, 1e3),
    REAL(optim.clip, "optimizer_grad_clip_norm", 0.0, 1e9),
    REAL(optim.decay_lr, "scheduler_decay_lr", 0.0, 1e3),
};
static const key smolvla_keys[] = {
    INT(vla.flow_steps, "num_steps", 1, 1000),
    INT(vla.self_attn_every, "self_attn_every_n_layers", -1, 1024),
    INT(vla.prefix_length, "prefix_length", -1, 65536),
    BOOL(optim.train_state_proj, "train_state_proj"),
};
static const key pi_keys[] = {
    INT(vla.flow_steps, "num_inference_steps", 1, 1000),
    BOOL(vla.relative_actions, "use_relative_actions"),
    REAL(optim.time_alpha, "time_sampling_beta_alpha", 1e-6, 1e6),
    REAL(optim.time_beta, "time_sampling_beta_beta", 1e-6, 1e6),
    REAL(optim.time_scale, "time_sampling_scale", 0.0, 1.0),
    REAL(optim.time_offset, "time_sampling_offset", 0.0, 1.0),
};
static const key vision_keys[] = {
    INT(vla.vision.width, "width", 1, 8192), INT(vla.vision.layers, "layers", 1, 256),
    INT(vla.vision.heads, "heads", 1, 256),  INT(vla.vision.mlp, "mlp", 1, 65536),
    INT(vla.vision.patch, "patch", 1, 256),
};
static const key smol_vision_keys[] = {
    INT(vla.vision.image, "image", 1, 4096),
    INT(vla.shuffle, "shuffle", 1, 64),
};
#define DECODER(which)                                                                                                 \
    {                                                                                                                  \
        INT(vla.which.width, "width", 1, 65536), INT(vla.which.layers, "layers", 1, FW_DECODER_LAYERS),                \
            INT(vla.which.heads, "heads", 1, 256), INT(vla.which.kv_heads, "kv_heads", 1, 256),                        \
            INT(vla.which.head_dim, "head_dim", 2, 1024), INT(vla.which.mlp, "mlp", 1, 262144),                        \
    }
static const key text_keys[] = DECODER(text);
static const key expert_keys[] = DECODER(expert);
static const key vocab_keys[] = {INT(vla.vocab, "vocab", 1, 4194304)};

static fw_status read_key(const json_t *obj, const char *where, const key *k, fw_lerobot_config *c, fw_err *err) {
    void *at = (char *)c + k->offset;
    int64_t i = 0;
    double d = 0.0;
    if (k->type == KEY_BOOL) {
        return fw_json_bool_or(obj, k->name, where, *(bool *)at, (bool *)at, err);
    }
    if (k->type == KEY_INT) {
        FW_TRY(fw_json_i64_or(obj, k->name, where, (int64_t)k->min, (int64_t)k->max, *(int *)at, &i, err));
        *(int *)at = (int)i;
        return FW_OK;
    }
    FW_TRY(fw_json_f64_or(obj, k->name, where, *(double *)at, &d, err));
    if (d < k->min || d > k->max) {
        return fw_fail(err, FW_FORMAT, "%s: '%s' is %g, wanted %g to %g", where, k->name, d, k->min, k->max);
    }
    *(double *)at = d;
    return FW_OK;
}

/* obj NULL: nothing is there. */
static fw_status read_keys(const json_t *obj, const char *where, const key *k, size_t n, fw_lerobot_config *c,
                           fw_err *err) {
    for (size_t i = 0; obj != NULL && i < n; i++) {
        FW_TRY(read_key(obj, where, &k[i], c, err));
    }
    return FW_OK;
}
#define READ(table) read_keys(obj, where, table, N(table), c, err)

/* The index of a word among names (NULL at the end); missing: *out stays. */
static fw_status read_word(const json_t *obj, const char *name, const char *where, const char *const *names, int *out,
                           fw_err *err) {
    const char *s = NULL;
    char all[160] = "";
    FW_TRY(fw_json_str_or(obj, name, where, names[*out], &s, err));
    for (int i = 0; names[i] != NULL; i++) {
        if (strcmp(s, names[i]) == 0) {
            *out = i;
            return FW_OK;
        }
        size_t n = strlen(all);
        snprintf(all + n, sizeof all - n, "%s'%s'", i == 0 ? "" : ", ", names[i]);
    }
    return fw_fail(err, FW_FORMAT, "%s: '%s' is '%.64s', wanted one of %s", where, name, s, all);
}

/* A switch that changes the arithmetic and is off in every network that this build runs. */
static fw_status must_be_off(const json_t *obj, const char *where, const char *const *names, fw_err *err) {
    for (; *names != NULL; names++) {
        bool on = false;
        FW_TRY(fw_json_bool_or(obj, *names, where, false, &on, err));
        if (on) {
            return fw_fail(err, FW_UNSUPPORTED, "%s: '%s' is true: this build does not have it", where, *names);
        }
    }
    return FW_OK;
}

/* Two numbers, as [h, w] or [w, h]. Missing: stays. null (where it may be): zeros. */
static fw_status read_pair(const json_t *obj, const char *name, const char *where, bool nullable, double out[2],
                           fw_err *err) {
    const json_t *v = json_object_get(obj, name);
    if (v == NULL) {
        return FW_OK;
    }
    if (nullable && json_is_null(v)) {
        out[0] = out[1] = 0.0;
        return FW_OK;
    }
    return fw_json_f64s(obj, name, where, out, 2, err);
}

static fw_status read_size(const json_t *obj, const char *name, const char *where, bool nullable, int *a, int *b,
                           fw_err *err) {
    double v[2] = {*a, *b};
    FW_TRY(read_pair(obj, name, where, nullable, v, err));
    bool none = nullable && v[0] == 0.0 && v[1] == 0.0;
    for (int i = 0; i < 2; i++) {
        if (v[i] != floor(v[i]) || v[i] > 4096.0 || (v[i] < 1.0 && !none)) {
            return fw_fail(err, FW_FORMAT, "%s: '%s' has %g, wanted a whole number from 1 to 4096", where, name, v[i]);
        }
    }
    *a = (int)v[0];
    *b = (int)v[1];
    return FW_OK;
}

/* ---- features ---- */

static const char *const kind_names[] = {"STATE", "VISUAL", "ENV", "ACTION", "REWARD", "LANGUAGE", NULL};
static const char *const norm_names[] = {"IDENTITY", "MEAN_STD", "MIN_MAX", "QUANTILES", "QUANTILE10", NULL};
static const char *const policy_names[] = {"act", "smolvla", "pi0", "pi05", NULL};

static fw_status read_shape(const json_t *f, const char *where, fw_lerobot_feature *out, fw_err *err) {
    const json_t *shape = NULL;
    FW_TRY(fw_json_arr(f, "shape", where, &shape, err));
    size_t n = json_array_size(shape);
    if (n < 1 || n > N(out->shape)) {
        return fw_fail(err, FW_FORMAT, "%s: 'shape' has %zu dimensions, wanted 1 to %zu", where, n, N(out->shape));
    }
    for (size_t i = 0; i < n; i++) {
        json_int_t d = json_integer_value(json_array_get(shape, i));
        if (d < 1 || d > 65536) {
            return fw_fail(err, FW_FORMAT, "%s: 'shape'[%zu] is not a whole number from 1 to 65536", where, i);
        }
        out->shape[i] = d;
    }
    out->n_dim = (int)n;
    return FW_OK;
}

static fw_status read_feature(const char *name, const json_t *f, const char *where, fw_lerobot_feature *out,
                              fw_err *err) {
    int kind = FW_N_FEATURE_KIND;
    const char *s = NULL;
    char at[512];
    if (strlen(name) >= sizeof out->key) {
        return fw_fail(err, FW_FORMAT, "%s: feature '%.40s...' has a name of more than %zu bytes", where, name,
                       sizeof out->key - 1);
    }
    snprintf(at, sizeof at, "%.300s: %s", where, name);
    if (!json_is_object(f)) {
        return fw_fail(err, FW_FORMAT, "%s: wanted an object with 'type' and 'shape'", at);
    }
    FW_TRY(fw_json_str(f, "type", at, &s, err)); /* it has no default */
    FW_TRY(read_word(f, "type", at, kind_names, &kind, err));
    FW_TRY(read_shape(f, at, out, err));
    strcpy(out->key, name);
    out->kind = (fw_feature_kind)kind;
    bool visual = out->kind == FW_FEATURE_VISUAL;
    if (visual && (out->n_dim != 3 || out->shape[0] != 3)) {
        return fw_fail(err, FW_FORMAT, "%s: a picture's 'shape' is [3, height, width]", at);
    }
    if (!visual && out->kind <= FW_FEATURE_ACTION && out->n_dim != 1) {
        return fw_fail(err, FW_FORMAT, "%s: 'shape' has %d dimensions, wanted 1", at, out->n_dim);
    }
    return FW_OK;
}

fw_status fw_lerobot_features(const json_t *obj, const char *name, const char *where, fw_lerobot_feature *out,
                              int *n_out, fw_err *err) {
    const json_t *features = NULL;
    const char *k;
    json_t *f;
    FW_TRY(fw_json_obj(obj, name, where, &features, err));
    if (json_object_size(features) > FW_LEROBOT_FEATURES) {
        return fw_fail(err, FW_FORMAT, "%s: '%s' has %zu features, at most %d", where, name, json_object_size(features),
                       FW_LEROBOT_FEATURES);
    }
    json_object_foreach((json_t *)(uintptr_t)features, k, f) {
        FW_TRY(read_feature(k, f, where, &out[*n_out], err));
        (*n_out)++;
    }
    return FW_OK;
}

fw_status fw_lerobot_norms(const json_t *obj, const char *name, const char *where,
                           fw_lerobot_norm out[FW_N_FEATURE_KIND], fw_err *err) {
    const json_t *map = NULL;
    char at[512];
    if (json_object_get(obj, name) == NULL) {
        return FW_OK;
    }
    FW_TRY(fw_json_obj(obj, name, where, &map, err));
    snprintf(at, sizeof at, "%.300s: %.60s", where, name);
    for (int k = 0; k < FW_N_FEATURE_KIND; k++) {
        int norm = FW_LEROBOT_IDENTITY; /* a kind that is not in the map */
        FW_TRY(read_word(map, kind_names[k], at, norm_names, &norm, err));
        out[k] = (fw_lerobot_norm)norm;
    }
    return FW_OK;
}

static fw_status read_optim(const json_t *obj, const char *where, fw_lerobot_config *c, fw_err *err) {
    double betas[2] = {c->optim.beta1, c->optim.beta2};
    FW_TRY(read_pair(obj, "optimizer_betas", where, false, betas, err));
    if (betas[0] < 0.0 || betas[0] >= 1.0 || betas[1] < 0.0 || betas[1] >= 1.0) {
        return fw_fail(err, FW_FORMAT, "%s: 'optimizer_betas' is [%g, %g], wanted [0, 1)", where, betas[0], betas[1]);
    }
    c->optim.beta1 = betas[0];
    c->optim.beta2 = betas[1];
    FW_TRY(fw_json_i64_or(obj, "scheduler_warmup_steps", where, 0, INT64_C(1) << 40, c->optim.warmup_steps,
                          &c->optim.warmup_steps, err));
    return fw_json_i64_or(obj, "scheduler_decay_steps", where, 0, INT64_C(1) << 40, c->optim.decay_steps,
                          &c->optim.decay_steps, err);
}

static fw_status check_features(const fw_lerobot_config *c, const char *where, fw_err *err) {
    const fw_lerobot_feature *action = fw_lerobot_output(c, FW_FEATURE_ACTION);
    const fw_lerobot_feature *state = fw_lerobot_input(c, FW_FEATURE_STATE);
    if (action == NULL) {
        return fw_fail(err, FW_FORMAT, "%s: 'output_features' has no feature of type ACTION", where);
    }
    if (c->policy == FW_POLICY_ACT) {
        bool sees = fw_lerobot_input(c, FW_FEATURE_VISUAL) != NULL || fw_lerobot_input(c, FW_FEATURE_ENV) != NULL;
        return sees ? FW_OK
                    : fw_fail(err, FW_FORMAT, "%s: 'input_features' has neither a picture nor the environment's state",
                              where);
    }
    if (state != NULL && state->shape[0] > c->vla.max_state) {
        return fw_fail(err, FW_FORMAT, "%s: %s has %d values, 'max_state_dim' is %d", where, state->key,
                       (int)state->shape[0], c->vla.max_state);
    }
    if (action->shape[0] > c->vla.max_action) {
        return fw_fail(err, FW_FORMAT, "%s: %s has %d values, 'max_action_dim' is %d", where, action->key,
                       (int)action->shape[0], c->vla.max_action);
    }
    if (fw_lerobot_input(c, FW_FEATURE_VISUAL) == NULL) {
        return fw_fail(err, FW_FORMAT, "%s: 'input_features' has no picture", where);
    }
    return FW_OK;
}

/* ---- sizes of backbones ---- */

static const fw_vision_size so400m = {1152, 27, 16, 4304, 14, 224};
static const struct {
    const char *name;
    fw_decoder_size size;
} gemmas[] = {
    {"gemma_2b", {2048, 18, 8, 1, 256, 16384}},
    {"gemma_300m", {1024, 18, 8, 1, 256, 4096}},
};
static const char *const gemma_names[] = {"gemma_2b", "gemma_300m", NULL};

/* SmolVLM2 of 500 million parameters, the one that SmolVLA was published with. */
static const char *const smol_name = "HuggingFaceTB/SmolVLM2-500M-Video-Instruct";
static const fw_vision_size smol_vision = {768, 12, 12, 3072, 16, 512};
static const fw_decoder_size smol_text = {960, 32, 15, 5, 64, 2560};

static fw_status section(const json_t *obj, const char *name, const char *where, const json_t **out, fw_err *err) {
    *out = json_object_get(obj, name);
    return *out == NULL ? FW_OK : fw_json_obj(obj, name, where, out, err);
}

/* "sizes": {"vision": {...}, "text": {...}, "expert": {...}}; what is not there stays. */
static fw_status read_sizes(const json_t *sizes, const char *file, fw_lerobot_config *c, fw_err *err) {
    const json_t *obj = NULL;
    char where[512];
    snprintf(where, sizeof where, "%.300s: sizes", file);
    if (sizes == NULL) {
        return FW_OK;
    }
    FW_TRY(section(sizes, "vision", where, &obj, err));
    FW_TRY(READ(vision_keys));
    if (c->policy == FW_POLICY_SMOLVLA) {
        FW_TRY(READ(smol_vision_keys));
    }
    FW_TRY(section(sizes, "text", where, &obj, err));
    FW_TRY(READ(text_keys));
    FW_TRY(READ(vocab_keys));
    if (c->policy == FW_POLICY_SMOLVLA) {
        return FW_OK; /* its expert follows from the text model */
    }
    FW_TRY(section(sizes, "expert", where, &obj, err));
    return READ(expert_keys);
}

static fw_status check_decoder(const fw_decoder_size *d, const char *what, const char *where, fw_err *err) {
    if (d->heads % d->kv_heads != 0 || d->head_dim % 2 != 0) {
        return fw_fail(err, FW_FORMAT, "%s: %s with %d heads of %d values, %d of them for keys: impossible", where,
                       what, d->heads, d->head_dim, d->kv_heads);
    }
    return FW_OK;
}

static fw_status check_vla(const fw_lerobot_config *c, const char *where, fw_err *err) {
    const fw_vla_config *v = &c->vla;
    FW_TRY(check_decoder(&v->text, "text", where, err));
    FW_TRY(check_decoder(&v->expert, "expert", where, err));
    if (v->vision.width % v->vision.heads != 0 || v->vision.image % v->vision.patch != 0) {
        return fw_fail(err, FW_FORMAT, "%s: vision of width %d in %d heads, %d pixels in patches of %d: impossible",
                       where, v->vision.width, v->vision.heads, v->vision.image, v->vision.patch);
    }
    if (v->text.heads != v->expert.heads || v->text.kv_heads != v->expert.kv_heads ||
        v->text.head_dim != v->expert.head_dim || v->text.layers % v->expert.layers != 0) {
        return fw_fail(err, FW_FORMAT, "%s: text of %d layers (%d heads of %d) and expert of %d (%d of %d) do not fit",
                       where, v->text.layers, v->text.heads, v->text.head_dim, v->expert.layers, v->expert.heads,
                       v->expert.head_dim);
    }
    return FW_OK;
}

/* ---- one function a policy ---- */

static void act_defaults(fw_lerobot_config *c) {
    c->chunk = c->n_execute = 100;
    for (int k = 0; k <= FW_FEATURE_ACTION; k++) {
        c->norm[k] = k == FW_FEATURE_ENV ? FW_LEROBOT_IDENTITY : FW_LEROBOT_MEAN_STD;
    }
    c->optim = (fw_lerobot_optim){
        .lr = 1e-5, .lr_backbone = 1e-5, .weight_decay = 1e-4, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .clip = 10.0};
    c->act = (fw_act_config){.backbone_width = 64,
                             .width = 512,
                             .heads = 8,
                             .mlp = 3200,
                             .encoder_layers = 4,
                             .decoder_layers = 1,
                             .use_vae = true,
                             .latent = 32,
                             .vae_layers = 4,
                             .dropout = 0.1,
                             .kl_weight = 10.0};
}

static fw_status read_backbone(const json_t *obj, const char *where, fw_lerobot_config *c, fw_err *err) {
    static const char *const resnets[] = {"resnet18", "resnet34", NULL};
    static const int layers[] = {18, 34};
    static const char *const off[] = {"replace_final_stride_with_dilation", NULL};
    const json_t *sizes = NULL;
    int i = 0;
    FW_TRY(read_word(obj, "vision_backbone", where, resnets, &i, err));
    c->act.resnet = layers[i];
    FW_TRY(must_be_off(obj, where, off, err));
    FW_TRY(section(obj, "sizes", where, &sizes, err));
    obj = sizes;
    return READ(backbone_keys);
}

static fw_status read_ensemble(const json_t *obj, const char *where, fw_lerobot_config *c, fw_err *err) {
    const json_t *v = json_object_get(obj, "temporal_ensemble_coeff");
    if (v == NULL || json_is_null(v)) {
        return FW_OK;
    }
    FW_TRY(fw_json_f64(obj, "temporal_ensemble_coeff", where, &c->act.ensemble_coeff, err));
    c->act.ensemble = true;
    if (c->n_execute != 1) {
        return fw_fail(err, FW_FORMAT, "%s: 'n_action_steps' is %d, with 'temporal_ensemble_coeff' wanted 1", where,
                       c->n_execute);
    }
    return FW_OK;
}

static fw_status parse_act(const json_t *obj, const char *where, fw_lerobot_config *c, fw_err *err) {
    static const char *const activations[] = {"relu", "gelu", NULL};
    int activation = 0;
    FW_TRY(READ(act_keys));
    FW_TRY(read_word(obj, "feedforward_activation", where, activations, &activation, err));
    c->act.gelu = activation == 1;
    FW_TRY(read_backbone(obj, where, c, err));
    FW_TRY(read_ensemble(obj, where, c, err));
    if (c->act.width % c->act.heads != 0 || c->act.width % 4 != 0) {
        return fw_fail(err, FW_FORMAT, "%s: 'dim_model' is %d, wanted a multiple of 4 and of 'n_heads', %d", where,
                       c->act.width, c->act.heads);
    }
    return FW_OK;
}

static void vla_defaults(fw_lerobot_config *c) {
    bool quantiles = c->policy == FW_POLICY_PI05, smol = c->policy == FW_POLICY_SMOLVLA;
    c->chunk = c->n_execute = 50;
    c->norm[FW_FEATURE_STATE] = c->norm[FW_FEATURE_ACTION] = quantiles ? FW_LEROBOT_QUANTILES : FW_LEROBOT_MEAN_STD;
    c->optim = (fw_lerobot_optim){.lr = smol ? 1e-4 : 2.5e-5,
                                  .weight_decay = smol ? 1e-10 : 0.01,
                                  .beta1 = 0.9,
                                  .beta2 = 0.95,
                                  .eps = 1e-8,
                                  .clip = smol ? 10.0 : 1.0,
                                  .warmup_steps = 1000,
                                  .decay_steps = 30000,
                                  .decay_lr = 2.5e-6,
                                  .time_alpha = 1.5,
                                  .time_beta = 1.0,
                                  .time_scale = 0.999,
                                  .time_offset = 0.001,
                                  .freeze_vision = smol,
                                  .train_expert_only = smol,
                                  .train_state_proj = smol};
    c->vla = (fw_vla_config){.max_state = 32,
                             .max_action = 32,
                             .max_tokens = quantiles ? 200 : 48,
                             .flow_steps = 10,
                             .min_period = 4e-3,
                             .max_period = 4.0,
                             .resize_h = smol ? 512 : 224,
                             .resize_w = smol ? 512 : 224,
                             .shuffle = 4,
                             .self_attn_every = 2,
                             .prefix_length = -1,
                             .vocab = smol ? 49280 : 257152};
}

/* The sizes of LeRobot's Llama-like expert beside a text model of t (get_intermediate_size of its source). */
static fw_decoder_size smol_expert(const fw_decoder_size *t, int layers, double multiplier) {
    fw_decoder_size e = *t;
    e.width = (int)((double)t->width * multiplier);
    e.mlp = (int)(2.0 * e.width / 3.0) * 4;
    e.mlp = (e.mlp + 255) / 256 * 256;
    e.layers = layers > 0 ? layers : t->layers;
    return e;
}

static fw_status read_smol_sizes(const json_t *obj, const char *where, fw_lerobot_config *c, fw_err *err) {
    const json_t *sizes = NULL;
    const char *name = NULL;
    int64_t layers = 16, expert = -1;
    double multiplier = 0.75;
    FW_TRY(section(obj, "sizes", where, &sizes, err));
    FW_TRY(fw_json_str_or(obj, "vlm_model_name", where, smol_name, &name, err));
    if (sizes == NULL && strcmp(name, smol_name) != 0) {
        return fw_fail(err, FW_UNSUPPORTED,
                       "%s: 'vlm_model_name' is '%.80s', this build knows the sizes of '%s' (others: 'sizes')", where,
                       name, smol_name);
    }
    c->vla.vision = smol_vision;
    c->vla.text = smol_text;
    FW_TRY(read_sizes(sizes, where, c, err));
    FW_TRY(fw_json_i64_or(obj, "num_vlm_layers", where, -1, 256, layers, &layers, err));
    FW_TRY(fw_json_i64_or(obj, "num_expert_layers", where, -1, 256, expert, &expert, err));
    FW_TRY(fw_json_f64_or(obj, "expert_width_multiplier", where, multiplier, &multiplier, err));
    if (layers > 0 && layers < c->vla.text.layers) {
        c->vla.text.layers = (int)layers;
    }
    c->vla.expert = smol_expert(&c->vla.text, (int)expert, multiplier > 0.0 && multiplier < 64.0 ? multiplier : 0.0);
    if (c->vla.expert.width < 2 || c->vla.expert.width % 2 != 0) {
        return fw_fail(err, FW_FORMAT, "%s: 'expert_width_multiplier' is %g: an expert of width %d", where, multiplier,
                       c->vla.expert.width);
    }
    return FW_OK;
}

static fw_status parse_smolvla(const json_t *obj, const char *where, fw_lerobot_config *c, fw_err *err) {
    static const char *const off[] = {"adapt_to_pi_aloha", "use_delta_joint_actions_aloha", "add_image_special_tokens",
                                      NULL};
    static const char *const modes[] = {"cross_attn", NULL};
    int mode = 0, side = 0;
    FW_TRY(READ(vla_keys));
    FW_TRY(READ(smolvla_keys));
    FW_TRY(must_be_off(obj, where, off, err));
    FW_TRY(read_word(obj, "attention_mode", where, modes, &mode, err));
    FW_TRY(read_size(obj, "resize_imgs_with_padding", where, true, &c->vla.resize_w, &c->vla.resize_h, err));
    FW_TRY(read_smol_sizes(obj, where, c, err));
    c->vla.self_attn_every = c->vla.self_attn_every < 0 ? 0 : c->vla.self_attn_every;
    side = c->vla.vision.image / c->vla.vision.patch;
    if (side % c->vla.shuffle != 0) {
        return fw_fail(err, FW_FORMAT, "%s: %d patches a side cannot be shuffled by %d", where, side, c->vla.shuffle);
    }
    return check_vla(c, where, err);
}

static fw_status read_gemma(const json_t *obj, const char *name, const char *where, int def, fw_decoder_size *out,
                            fw_err *err) {
    FW_TRY(read_word(obj, name, where, gemma_names, &def, err));
    *out = gemmas[def].size;
    return FW_OK;
}

static fw_status read_pi_sizes(const json_t *obj, const char *where, fw_lerobot_config *c, fw_err *err) {
    const json_t *sizes = NULL;
    FW_TRY(read_gemma(obj, "paligemma_variant", where, 0, &c->vla.text, err));
    FW_TRY(read_gemma(obj, "action_expert_variant", where, 1, &c->vla.expert, err));
    FW_TRY(section(obj, "sizes", where, &sizes, err));
    c->vla.vision = so400m;
    FW_TRY(read_sizes(sizes, where, c, err));
    c->vla.vision.image = c->vla.resize_h;
    if (c->vla.text.layers != c->vla.expert.layers || c->vla.expert.width % 2 != 0) {
        return fw_fail(err, FW_FORMAT, "%s: text of %d layers and expert of %d (width %d) do not fit", where,
                       c->vla.text.layers, c->vla.expert.layers, c->vla.expert.width);
    }
    return check_vla(c, where, err);
}

static fw_status parse_pi(const json_t *obj, const char *where, fw_lerobot_config *c, fw_err *err) {
    static const char *const off[] = {"use_visual_memory", "use_proprioceptive_memory", NULL};
    static const char *const dtypes[] = {"float32", "bfloat16", NULL};
    int dtype = 0;
    FW_TRY(READ(vla_keys));
    FW_TRY(READ(pi_keys));
    FW_TRY(must_be_off(obj, where, off, err));
    FW_TRY(read_word(obj, "dtype", where, dtypes, &dtype, err));
    c->vla.bf16 = dtype == 1;
    FW_TRY(read_size(obj, "image_resolution", where, false, &c->vla.resize_h, &c->vla.resize_w, err));
    if (c->vla.resize_h != c->vla.resize_w) {
        return fw_fail(err, FW_FORMAT, "%s: 'image_resolution' is [%d, %d], wanted a square", where, c->vla.resize_h,
                       c->vla.resize_w);
    }
    return read_pi_sizes(obj, where, c, err);
}

static fw_status add_feature(const char *where, fw_lerobot_feature *list, int *n, const fw_lerobot_feature *f,
                             fw_err *err) {
    for (int i = 0; i < *n; i++) {
        if (strcmp(list[i].key, f->key) == 0) {
            return FW_OK;
        }
    }
    if (*n == FW_LEROBOT_FEATURES) {
        return fw_fail(err, FW_FORMAT, "%s: with %s more than %d features", where, f->key, FW_LEROBOT_FEATURES);
    }
    list[(*n)++] = *f;
    return FW_OK;
}

/* What LeRobot adds by itself when it makes such a policy. */
static fw_status add_features(const char *where, fw_lerobot_config *c, fw_err *err) {
    const fw_lerobot_feature state = {"observation.state", FW_FEATURE_STATE, 1, {c->vla.max_state}};
    const fw_lerobot_feature action = {"action", FW_FEATURE_ACTION, 1, {c->vla.max_action}};
    for (int i = 0; i < c->vla.empty_cameras; i++) {
        fw_lerobot_feature f = {"", FW_FEATURE_VISUAL, 3, {3, c->vla.vision.image, c->vla.vision.image}};
        snprintf(f.key, sizeof f.key, "observation.images.empty_camera_%d", i);
        FW_TRY(add_feature(where, c->input, &c->n_input, &f, err));
    }
    if (c->policy == FW_POLICY_SMOLVLA) {
        return FW_OK;
    }
    FW_TRY(add_feature(where, c->input, &c->n_input, &state, err));
    return add_feature(where, c->output, &c->n_output, &action, err);
}

/* Every key of LeRobot 0.6.1's policies that is read here or says nothing about the network. */
static const char *const known[] = {
    "type", "n_obs_steps", "input_features", "output_features", "normalization_mapping", "sizes", "chunk_size",
    "n_action_steps", "optimizer_betas", "scheduler_warmup_steps", "scheduler_decay_steps", "vision_backbone",
    "replace_final_stride_with_dilation", "feedforward_activation", "temporal_ensemble_coeff",
    "resize_imgs_with_padding", "adapt_to_pi_aloha", "use_delta_joint_actions_aloha", "attention_mode",
    "vlm_model_name", "num_vlm_layers", "num_expert_layers", "expert_width_multiplier", "paligemma_variant",
    "action_expert_variant", "dtype", "image_resolution", "use_visual_memory", "use_proprioceptive_memory", "use_peft",
    /* of its program, not of the network */
    "device", "use_amp", "push_to_hub", "repo_id", "private", "tags", "license", "pretrained_path",
    "pretrained_revision", "pretrained_backbone_weights", "use_cache", "load_vlm_weights", "pad_language_to",
    "relative_exclude_joints", "action_feature_names", "rtc_config", "gradient_checkpointing", "compile_model",
    "compile_mode"};

static bool is_known(const char *name) {
    const struct {
        const key *k;
        size_t n;
    } tables[] = {{chunk_keys, N(chunk_keys)},
                  {act_keys, N(act_keys)},
                  {vla_keys, N(vla_keys)},
                  {pi_keys, N(pi_keys)},
                  {smolvla_keys, N(smolvla_keys)}};
    for (size_t i = 0; i < N(known); i++) {
        if (strcmp(name, known[i]) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < N(tables); i++) {
        for (size_t k = 0; k < tables[i].n; k++) {
            if (strcmp(name, tables[i].k[k].name) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void name_unknown(const json_t *obj, const char *where) {
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)obj, name, v) {
        if (!is_known(name)) {
            fw_debug("%s: key '%.60s' is not known, left alone", where, name);
        }
    }
}

static fw_status parse_lerobot(const json_t *obj, const char *where, fw_lerobot_config *c, fw_err *err) {
    static const char *const off[] = {"use_peft", NULL};
    const char *type = NULL;
    int policy = FW_POLICY_ACT;
    int64_t steps = 1;
    FW_TRY(fw_json_str(obj, "type", where, &type, err)); /* it has no default */
    FW_TRY(read_word(obj, "type", where, policy_names, &policy, err));
    c->policy = (fw_policy_kind)policy;
    if (c->policy == FW_POLICY_ACT) {
        act_defaults(c);
    } else {
        vla_defaults(c);
    }
    FW_TRY(fw_json_i64_or(obj, "n_obs_steps", where, 1, 1, steps, &steps, err));
    FW_TRY(must_be_off(obj, where, off, err));
    FW_TRY(READ(chunk_keys));
    if (c->n_execute > c->chunk) {
        return fw_fail(err, FW_FORMAT, "%s: 'n_action_steps' is %d, more than 'chunk_size', %d", where, c->n_execute,
                       c->chunk);
    }
    FW_TRY(fw_lerobot_features(obj, "input_features", where, c->input, &c->n_input, err));
    FW_TRY(fw_lerobot_features(obj, "output_features", where, c->output, &c->n_output, err));
    FW_TRY(fw_lerobot_norms(obj, "normalization_mapping", where, c->norm, err));
    FW_TRY(read_optim(obj, where, c, err));
    if (c->policy == FW_POLICY_ACT) {
        FW_TRY(parse_act(obj, where, c, err));
    } else {
        FW_TRY(c->policy == FW_POLICY_SMOLVLA ? parse_smolvla(obj, where, c, err) : parse_pi(obj, where, c, err));
        FW_TRY(add_features(where, c, err));
    }
    name_unknown(obj, where);
    return check_features(c, where, err);
}

/* openpi's converter: {"action_dim", "action_horizon", "paligemma_variant", "action_expert_variant", "precision"}. */
static fw_status parse_openpi(const json_t *obj, const char *where, fw_lerobot_config *c, fw_err *err) {
    static const char *const cameras[] = {"base_0_rgb", "left_wrist_0_rgb", "right_wrist_0_rgb"};
    static const char *const precisions[] = {"float32", "bfloat16", NULL};
    int64_t dim = 32, horizon = 50;
    int precision = 1;
    c->policy = FW_POLICY_PI0;
    c->openpi = true;
    vla_defaults(c);
    FW_TRY(fw_json_i64(obj, "action_dim", where, 1, 4096, &dim, err));
    FW_TRY(fw_json_i64(obj, "action_horizon", where, 1, 1024, &horizon, err));
    FW_TRY(read_word(obj, "precision", where, precisions, &precision, err));
    c->vla.bf16 = precision == 1;
    c->chunk = c->n_execute = (int)horizon;
    c->vla.max_state = c->vla.max_action = (int)dim;
    FW_TRY(read_pi_sizes(obj, where, c, err));
    c->input[c->n_input++] = (fw_lerobot_feature){"observation.state", FW_FEATURE_STATE, 1, {dim}};
    for (size_t i = 0; i < N(cameras); i++) {
        fw_lerobot_feature *f = &c->input[c->n_input++];
        *f = (fw_lerobot_feature){"", FW_FEATURE_VISUAL, 3, {3, c->vla.resize_h, c->vla.resize_w}};
        snprintf(f->key, sizeof f->key, "observation.images.%s", cameras[i]);
    }
    c->output[c->n_output++] = (fw_lerobot_feature){"action", FW_FEATURE_ACTION, 1, {dim}};
    return FW_OK;
}

fw_status fw_lerobot_config_parse(const json_t *obj, const char *where, fw_lerobot_config *out, fw_err *err) {
    memset(out, 0, sizeof *out);
    if (!json_is_object(obj)) {
        return fw_fail(err, FW_FORMAT, "%s: wanted an object", where);
    }
    if (json_object_get(obj, "type") == NULL && json_object_get(obj, "action_horizon") != NULL) {
        return parse_openpi(obj, where, out, err);
    }
    return parse_lerobot(obj, where, out, err);
}

/* pi0 has a projection of the state, pi0.5 has a network for the time alone. */
static fw_status tell_pi05(const char *dir, fw_lerobot_config *c, fw_err *err) {
    char path[4096];
    fw_st *st = NULL;
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    FW_TRY(fw_st_open(path, &st, err));
    bool pi05 = fw_st_find(st, "time_mlp_in.weight") != NULL;
    fw_st_close(st);
    if (pi05) {
        c->policy = FW_POLICY_PI05;
        c->vla.max_tokens = 200;
        c->norm[FW_FEATURE_STATE] = c->norm[FW_FEATURE_ACTION] = FW_LEROBOT_QUANTILES;
    }
    return FW_OK;
}

/* The norm_stats.json in folder `at` or below, `depth` folders down at most, into found; one already there: FW_FORMAT. */
static fw_status find_stats(const char *at, int depth, char found[4096], fw_err *err) {
    char **names = NULL, path[4096];
    size_t n = 0;
    FW_TRY(fw_list_dir(at, &names, &n, err));
    fw_status st = FW_OK;
    for (size_t i = 0; i < n && st == FW_OK; i++) {
        st = fw_path_join(path, sizeof path, at, names[i], err);
        if (st == FW_OK && strcmp(names[i], "norm_stats.json") == 0) {
            st = found[0] == 0
                     ? FW_OK
                     : fw_fail(err, FW_FORMAT, "%.110s and %.110s: which one? (config.json: \"asset\": its folder)",
                               found, path);
            memcpy(found, path, sizeof path);
        } else if (st == FW_OK && depth > 0 && fw_path_is_dir(path)) {
            st = find_stats(path, depth - 1, found, err);
        }
    }
    fw_names_free(names, n);
    return st;
}

/* dir/assets, or the folder in it that config.json's "asset" says, which is our key: published checkpoints have one for each robot. */
static fw_status assets_of(const char *dir, char out[4096], fw_err *err) {
    char path[4096], assets[4096];
    const char *asset = "";
    json_t *j = NULL;
    FW_TRY(fw_path_join(path, sizeof path, dir, "config.json", err));
    FW_TRY(fw_path_join(assets, sizeof assets, dir, "assets", err));
    FW_TRY(fw_json_load(path, &j, err));
    fw_status st = fw_json_str_or(j, "asset", path, "", &asset, err);
    if (st == FW_OK && (asset[0] == '/' || strstr(asset, "..") != NULL)) {
        st = fw_fail(err, FW_FORMAT, "%s: 'asset' is '%.80s', wanted a folder in assets", path, asset);
    }
    if (st == FW_OK && asset[0] == 0) {
        memcpy(out, assets, sizeof assets);
    } else if (st == FW_OK) {
        st = fw_path_join(out, 4096, assets, asset, err);
    }
    json_decref(j);
    return st;
}

fw_status fw_openpi_stats(const char *dir, char path[4096], json_t **out, fw_err *err) {
    char assets[4096];
    *out = NULL;
    path[0] = 0;
    FW_TRY(assets_of(dir, assets, err));
    if (fw_path_is_dir(assets)) {
        FW_TRY(find_stats(assets, 3, path, err));
    }
    return path[0] != 0 ? fw_json_load(path, out, err)
                        : fw_fail(err, FW_IO, "%s: has no norm_stats.json below it", assets);
}

/* How many values the robot really has: the statistics are of those, and the network fills up with zeros. */
static void set_openpi_sizes(const char *dir, fw_lerobot_config *c) {
    char path[4096];
    json_t *root = NULL;
    if (fw_openpi_stats(dir, path, &root, NULL) != FW_OK) {
        return; /* who needs them says so */
    }
    const json_t *all = json_object_get(root, "norm_stats");
    size_t state = json_array_size(json_object_get(json_object_get(all, "state"), "mean"));
    size_t action = json_array_size(json_object_get(json_object_get(all, "actions"), "mean"));
    c->input[0].shape[0] = state > 0 && state < (size_t)c->vla.max_state ? (int64_t)state : c->input[0].shape[0];
    c->output[0].shape[0] = action > 0 && action < (size_t)c->vla.max_action ? (int64_t)action : c->output[0].shape[0];
    json_decref(root);
}

/* The file of statistics of the step that normalises, or NULL. Borrowed from the pipeline. */
static const char *stats_file(const json_t *pipeline) {
    const json_t *step;
    size_t i;
    json_array_foreach(json_object_get(pipeline, "steps"), i, step) {
        const char *name = json_string_value(json_object_get(step, "registry_name"));
        const char *file = json_string_value(json_object_get(step, "state_file"));
        if (name != NULL && file != NULL && strcmp(name, "normalizer_processor") == 0 && strchr(file, '/') == NULL) {
            return file;
        }
    }
    return NULL;
}

/* Values of the first statistic of the feature called name; 0: there is none. */
static int64_t values_of(const fw_st *st, const char *name) {
    const size_t n = strlen(name);
    for (int i = 0; i < fw_st_count(st); i++) {
        const fw_st_tensor *t = fw_st_at(st, i);
        const bool stat = strncmp(t->name, name, n) == 0 && t->name[n] == '.' && strchr(t->name + n + 1, '.') == NULL;
        if (stat && t->shape.n == 1 && strcmp(t->name + n, ".count") != 0) {
            return t->shape.d[0];
        }
    }
    return 0;
}

/* LeRobot trains SmolVLA, pi0 and pi0.5 further on another robot and leaves the old number of state values in input_features: the
 * network fills up with zeros anyway. The statistics are the new robot's. */
static void set_state_size(const char *dir, fw_lerobot_config *c) {
    char path[4096];
    json_t *pre = NULL;
    fw_st *st = NULL;
    for (int i = 0; i < c->n_input && c->policy != FW_POLICY_ACT; i++) {
        fw_lerobot_feature *f = &c->input[i];
        if (f->kind != FW_FEATURE_STATE) {
            continue;
        }
        snprintf(path, sizeof path, "%s/policy_preprocessor.json", dir);
        const char *file = fw_path_exists(path) && fw_json_load(path, &pre, NULL) == FW_OK ? stats_file(pre) : NULL;
        if (file != NULL && fw_path_join(path, sizeof path, dir, file, NULL) == FW_OK &&
            fw_st_open(path, &st, NULL) == FW_OK) { /* who needs what is not there says so */
            const int64_t n = values_of(st, f->key);
            f->shape[0] = n > 0 && n <= c->vla.max_state ? n : f->shape[0];
        }
        fw_st_close(st);
        json_decref(pre);
        return;
    }
}

fw_status fw_lerobot_config_load(const char *dir, fw_lerobot_config *out, fw_err *err) {
    char path[4096];
    json_t *j = NULL;
    snprintf(path, sizeof path, "%s/config.json", dir);
    FW_TRY(fw_json_load(path, &j, err));
    fw_status st = fw_lerobot_config_parse(j, path, out, err);
    json_decref(j);
    if (st != FW_OK) {
        return st;
    }
    if (!out->openpi) {
        set_state_size(dir, out);
        return FW_OK;
    }
    set_openpi_sizes(dir, out);
    return tell_pi05(dir, out, err);
}

/* ---- looking up ---- */

const char *fw_policy_kind_name(fw_policy_kind k) {
    return policy_names[k];
}

static const fw_lerobot_feature *first(const fw_lerobot_feature *f, int n, fw_feature_kind kind) {
    for (int i = 0; i < n; i++) {
        if (f[i].kind == kind) {
            return &f[i];
        }
    }
    return NULL;
}

const fw_lerobot_feature *fw_lerobot_input(const fw_lerobot_config *c, fw_feature_kind kind) {
    return first(c->input, c->n_input, kind);
}

const fw_lerobot_feature *fw_lerobot_output(const fw_lerobot_config *c, fw_feature_kind kind) {
    return first(c->output, c->n_output, kind);
}

const char *fw_lerobot_camera(const fw_lerobot_feature *f) {
    static const char *const prefixes[] = {"observation.images.", "observation."};
    for (size_t i = 0; i < N(prefixes); i++) {
        size_t n = strlen(prefixes[i]);
        if (f->kind == FW_FEATURE_VISUAL && strncmp(f->key, prefixes[i], n) == 0 && f->key[n] != 0) {
            return f->key + n;
        }
    }
    return f->key;
}

bool fw_lerobot_is_empty_camera(const fw_lerobot_feature *f) {
    return strncmp(f->key, "observation.images.empty_camera_", 32) == 0;
}
