#include "train/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

typedef struct int_key {
    const char *key;
    int64_t min, max, *out;
} int_key;
typedef struct f64_key {
    const char *key;
    double min, max, *out;
} f64_key;

static fw_status read_ints(const json_t *j, const char *where, const int_key *k, size_t n, fw_err *err) {
    for (size_t i = 0; i < n; i++) {
        FW_TRY(fw_json_i64_or(j, k[i].key, where, k[i].min, k[i].max, *k[i].out, k[i].out, err));
    }
    return FW_OK;
}

static fw_status read_f64s(const json_t *j, const char *where, const f64_key *k, size_t n, fw_err *err) {
    for (size_t i = 0; i < n; i++) {
        double v = 0;
        FW_TRY(fw_json_f64_or(j, k[i].key, where, *k[i].out, &v, err));
        if (!(v >= k[i].min && v <= k[i].max)) {
            return fw_fail(err, FW_FORMAT, "%s: '%s' is %g, wanted %g to %g", where, k[i].key, v, k[i].min, k[i].max);
        }
        *k[i].out = v;
    }
    return FW_OK;
}

static void defaults(fw_train_cfg *c) {
    memset(c, 0, sizeof *c);
    fw_flywheel_cfg_default(&c->policy);
    c->held_out = -1;
    c->steps = 4000;
    c->batch = 256;
    c->tune.cache_pictures = true;
    c->tune.lora_alpha = 8; /* LeRobot's */
    c->warmup = 100;
    c->lr = 1e-3;
    c->final_lr = 0.02;
    c->tower_lr = 0.05;
    c->optim = (fw_optim_opts)FW_OPTIM_OPTS_DEFAULT;
    c->seed = 1;
    c->log_every = 20;
    c->validate_every = 500;
    c->checkpoint_every = 500;
}

fw_status fw_train_cfg_precision(fw_train_cfg *c, const char *name, const char *where, fw_err *err) {
    if (fw_precision_parse(name, &c->precision, NULL) != FW_OK || c->precision == FW_PRECISION_INT8) {
        return fw_fail(err, FW_FORMAT, "%s: 'precision' is '%.40s', wanted f32 or bf16", where, name);
    }
    return FW_OK;
}

static fw_status read_train(const json_t *t, const char *where, fw_train_cfg *c, fw_err *err) {
    static const char *const known[] = {"batch",
                                        "steps",
                                        "minutes",
                                        "warmup",
                                        "lr",
                                        "final_lr",
                                        "tower_lr",
                                        "weight_decay",
                                        "clip",
                                        "ema",
                                        "state_noise",
                                        "feature_dropout",
                                        "action_dropout",
                                        "log_every",
                                        "validate_every",
                                        "seed",
                                        "checkpoint_every",
                                        "micro",
                                        "gradient_checkpointing",
                                        "precision",
                                        NULL};
    int64_t seed = (int64_t)c->seed;
    const int_key ints[] = {{"batch", 1, 65536, &c->batch},
                            {"micro", 1, 65536, &c->micro},
                            {"steps", 0, 100000000, &c->steps},
                            {"warmup", 0, 1000000, &c->warmup},
                            {"seed", 0, INT64_MAX, &seed},
                            {"log_every", 1, 1000000, &c->log_every},
                            {"validate_every", 1, 100000000, &c->validate_every},
                            {"checkpoint_every", 1, 100000000, &c->checkpoint_every}};
    const f64_key f64s[] = {{"minutes", 0, 1e6, &c->minutes},
                            {"lr", 0, 10, &c->lr},
                            {"final_lr", 0, 1, &c->final_lr},
                            {"tower_lr", 0, 10, &c->tower_lr},
                            {"weight_decay", 0, 10, &c->optim.weight_decay},
                            {"clip", 0, 1e6, &c->optim.clip_norm},
                            {"ema", 0, 0.999999, &c->optim.ema_decay},
                            {"state_noise", 0, 10, &c->state_noise},
                            {"feature_dropout", 0, 0.99, &c->feature_dropout},
                            {"action_dropout", 0, 1, &c->action_dropout}};
    FW_TRY(fw_json_only(t, where, known, err));
    if (json_object_get(t, "minutes") != NULL && json_object_get(t, "steps") == NULL) {
        c->steps = 0;
    }
    FW_TRY(read_ints(t, where, ints, sizeof ints / sizeof(*ints), err));
    FW_TRY(read_f64s(t, where, f64s, sizeof f64s / sizeof(*f64s), err));
    FW_TRY(fw_json_bool_or(t, "gradient_checkpointing", where, false, &c->gradient_checkpointing, err));
    c->seed = (uint64_t)seed;
    const char *precision = NULL;
    FW_TRY(fw_json_str_or(t, "precision", where, "f32", &precision, err));
    return fw_train_cfg_precision(c, precision, where, err);
}

/* The checkpoint's preset: what "train" may change. LeRobot's batch, no averaged weights. */
static fw_status use_preset(fw_train_cfg *c, fw_err *err) {
    FW_TRY(fw_lerobot_config_load(c->from, &c->published, err));
    const fw_lerobot_optim *o = &c->published.optim;
    c->pretrained = true;
    c->steps = 20000;
    c->batch = 8;
    c->warmup = o->warmup_steps;
    c->decay_steps = o->decay_steps;
    c->lr = o->lr;
    c->final_lr = o->decay_steps > 0 && o->lr > 0 ? fmin(o->decay_lr / o->lr, 1.0) : 1.0;
    c->tower_lr = c->published.policy == FW_POLICY_ACT && o->lr > 0 ? o->lr_backbone / o->lr : 1.0;
    c->optim = (fw_optim_opts){.beta1 = o->beta1,
                               .beta2 = o->beta2,
                               .eps = o->eps,
                               .weight_decay = o->weight_decay,
                               .clip_norm = o->clip,
                               .decay_vectors = true};
    snprintf(c->name, sizeof c->name, "%s", fw_policy_kind_name(c->published.policy));
    return FW_OK;
}

static fw_status read_lora(const json_t *j, const char *where, fw_tune_cfg *t, fw_err *err) {
    static const char *const known[] = {"rank", "alpha", "targets", NULL};
    const char *targets = NULL;
    int64_t rank = 0;
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(fw_json_i64_or(j, "rank", where, 1, 4096, 16, &rank, err));
    FW_TRY(fw_json_f64_or(j, "alpha", where, t->lora_alpha, &t->lora_alpha, err));
    FW_TRY(fw_json_str_or(j, "targets", where, "", &targets, err));
    if (t->lora_alpha <= 0 ||
        snprintf(t->lora_targets, sizeof t->lora_targets, "%s", targets) >= (int)sizeof t->lora_targets) {
        return fw_fail(err, FW_FORMAT, "%s: 'lora': wanted an alpha above 0 and targets of at most %zu bytes", where,
                       sizeof t->lora_targets - 1);
    }
    t->lora_rank = (int)rank;
    return FW_OK;
}

fw_status fw_tune_choose(fw_tune_cfg *t, const char *text, fw_err *err) {
    const char *sign = strchr(text, '=');
    const size_t n = sign != NULL ? (size_t)(sign - text) : 0;
    if (n == 0 || n >= FW_LEROBOT_KEY_MAX || strlen(sign + 1) >= FW_LEROBOT_KEY_MAX) {
        return fw_fail(err, FW_INVALID, "camera '%.80s': wanted DATA=POLICY, the data's name and the policy's", text);
    }
    if (t->n_camera == FW_CAM_MAX) {
        return fw_fail(err, FW_INVALID, "camera '%.80s': more than %d of them", text, FW_CAM_MAX);
    }
    fw_camera_choice *c = &t->camera[t->n_camera++];
    snprintf(c->data, sizeof c->data, "%.*s", (int)n, text);
    snprintf(c->policy, sizeof c->policy, "%s", sign + 1);
    return FW_OK;
}

/* "cameras": {"front": "top", ...} */
static fw_status read_cameras(const json_t *p, const char *where, fw_tune_cfg *t, fw_err *err) {
    const json_t *cameras = NULL;
    const char *data;
    json_t *j;
    if (json_object_get(p, "cameras") == NULL) {
        return FW_OK;
    }
    FW_TRY(fw_json_obj(p, "cameras", where, &cameras, err));
    json_object_foreach((json_t *)(uintptr_t)cameras, data, j) {
        char text[2 * FW_LEROBOT_KEY_MAX + 2];
        const char *policy = NULL;
        FW_TRY(fw_json_str(cameras, data, where, &policy, err));
        snprintf(text, sizeof text, "%.*s=%.*s", FW_LEROBOT_KEY_MAX, data, FW_LEROBOT_KEY_MAX, policy);
        fw_status s = fw_tune_choose(t, text, err);
        if (s != FW_OK) {
            return fw_fail_in(err, s, "%s", where);
        }
    }
    return FW_OK;
}

/* "policy" of kind "pretrained". from: instead of the file's, or NULL. */
static fw_status read_pretrained(const json_t *p, const char *where, const char *from, fw_train_cfg *c, fw_err *err) {
    static const char *const known[] = {"kind",
                                        "from",
                                        "new_stats",
                                        "new_heads",
                                        "cameras",
                                        "cache_pictures",
                                        "lora",
                                        "freeze_vision_encoder",
                                        "train_expert_only",
                                        "train_state_proj",
                                        NULL};
    const char *named = NULL;
    const json_t *lora = NULL;
    fw_lerobot_optim *o = &c->published.optim;
    FW_TRY(fw_json_only(p, where, known, err));
    FW_TRY(from != NULL ? fw_json_str_or(p, "from", where, "", &named, err)
                        : fw_json_str(p, "from", where, &named, err));
    if (snprintf(c->from, sizeof c->from, "%s", from != NULL ? from : named) >= (int)sizeof c->from) {
        return fw_fail(err, FW_FORMAT, "%s: 'from': a path of more than %zu bytes", where, sizeof c->from - 1);
    }
    FW_TRY(use_preset(c, err));
    FW_TRY(fw_json_bool_or(p, "new_stats", where, false, &c->tune.new_stats, err));
    FW_TRY(fw_json_bool_or(p, "new_heads", where, false, &c->tune.new_heads, err));
    FW_TRY(read_cameras(p, where, &c->tune, err));
    FW_TRY(fw_json_bool_or(p, "cache_pictures", where, true, &c->tune.cache_pictures, err));
    FW_TRY(fw_json_bool_or(p, "freeze_vision_encoder", where, o->freeze_vision, &o->freeze_vision, err));
    FW_TRY(fw_json_bool_or(p, "train_expert_only", where, o->train_expert_only, &o->train_expert_only, err));
    FW_TRY(fw_json_bool_or(p, "train_state_proj", where, o->train_state_proj, &o->train_state_proj, err));
    if (json_object_get(p, "lora") == NULL) {
        return FW_OK;
    }
    FW_TRY(fw_json_obj(p, "lora", where, &lora, err));
    return read_lora(lora, where, &c->tune, err);
}

static bool is_pretrained(const json_t *policy) {
    const char *kind = json_string_value(json_object_get(policy, "kind"));
    return kind != NULL && strcmp(kind, "pretrained") == 0;
}

static fw_status read_data(const json_t *d, const char *where, fw_train_cfg *c, fw_err *err) {
    static const char *const known[] = {"held_out", NULL};
    FW_TRY(fw_json_only(d, where, known, err));
    return fw_json_i64_or(d, "held_out", where, 0, 1000000, c->held_out, &c->held_out, err);
}

/* flywheel-s, of a robot. */
static fw_status read_policy(const json_t *j, const char *path, const json_t *policy, fw_train_cfg *c, fw_err *err) {
    const char *emb = NULL;
    FW_TRY(fw_json_str(j, "embodiment", path, &emb, err));
    FW_TRY(fw_embodiment_find(emb, &c->embodiment, err));
    if (policy != NULL) {
        FW_TRY(fw_flywheel_cfg_parse(policy, path, &c->policy, err));
    }
    return fw_flywheel_cfg_bind(&c->policy, &c->embodiment, err);
}

static fw_status read_all(const json_t *j, const char *path, const char *from, fw_train_cfg *c, fw_err *err) {
    static const char *const known[] = {"name", "about", "embodiment", "policy", "data", "train", NULL};
    const char *name = NULL, *about = NULL;
    const json_t *policy = NULL, *train = NULL, *data = NULL;
    FW_TRY(fw_json_only(j, path, known, err));
    FW_TRY(fw_json_str(j, "name", path, &name, err));
    FW_TRY(fw_json_str_or(j, "about", path, "", &about, err));
    if (json_object_get(j, "policy") != NULL) {
        FW_TRY(fw_json_obj(j, "policy", path, &policy, err));
    }
    FW_TRY(is_pretrained(policy) ? read_pretrained(policy, path, from, c, err) : read_policy(j, path, policy, c, err));
    if (strlen(name) >= sizeof c->name || strchr(name, '/') != NULL || name[0] == 0) {
        return fw_fail(err, FW_FORMAT, "%s: 'name' is '%s', wanted 1 to %zu bytes without '/'", path, name,
                       sizeof c->name - 1);
    }
    snprintf(c->name, sizeof c->name, "%s", name);
    if (json_object_get(j, "data") != NULL) {
        FW_TRY(fw_json_obj(j, "data", path, &data, err));
        FW_TRY(read_data(data, path, c, err));
    }
    if (json_object_get(j, "train") != NULL) {
        FW_TRY(fw_json_obj(j, "train", path, &train, err));
        FW_TRY(read_train(train, path, c, err));
    }
    return FW_OK;
}

fw_status fw_train_cfg_load(const char *path, const char *from, fw_train_cfg *out, fw_err *err) {
    json_t *j = NULL;
    fw_train_cfg c;
    defaults(&c);
    if (from != NULL && snprintf(c.from, sizeof c.from, "%s", from) >= (int)sizeof c.from) {
        return fw_fail(err, FW_INVALID, "--from: a path of more than %zu bytes", sizeof c.from - 1);
    }
    if (path == NULL) {
        FW_TRY(use_preset(&c, err));
    } else {
        FW_TRY(fw_json_load(path, &j, err));
        fw_status s = json_is_object(j) ? read_all(j, path, from, &c, err)
                                        : fw_fail(err, FW_FORMAT, "%s: not a JSON object", path);
        json_decref(j);
        FW_TRY(s);
    }
    *out = c;
    return FW_OK;
}

/* What fits a published policy to its data, where it is asked for. */
static void add_fit(json_t *j, const fw_tune_cfg *t) {
    json_t *cameras = t->n_camera > 0 ? json_object() : NULL;
    for (int i = 0; i < t->n_camera; i++) {
        json_object_set_new(cameras, t->camera[i].data, json_string(t->camera[i].policy));
    }
    if (cameras != NULL) {
        json_object_set_new(j, "cameras", cameras);
    }
    if (t->new_heads) {
        json_object_set_new(j, "new_heads", json_true());
    }
}

/* A published policy's part of the fingerprint: owned. */
static json_t *tune_json(const fw_train_cfg *c) {
    const fw_lerobot_optim *o = &c->published.optim;
    json_t *j = json_pack("{s:s, s:b, s:b, s:i, s:f, s:s, s:b, s:b, s:b}", "kind",
                          fw_policy_kind_name(c->published.policy), "new_stats", c->tune.new_stats, "cache_pictures",
                          c->tune.cache_pictures, "lora_rank", c->tune.lora_rank, "lora_alpha", c->tune.lora_alpha,
                          "lora_targets", c->tune.lora_targets, "freeze_vision", o->freeze_vision, "train_expert_only",
                          o->train_expert_only, "train_state_proj", o->train_state_proj);
    add_fit(j, &c->tune);
    return j;
}

char *fw_train_cfg_fingerprint(const fw_train_cfg *c) {
    json_t *j = json_pack(
        "{s:s, s:s, s:o*, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I}", "name", c->name, "embodiment",
        c->embodiment.name, "policy", c->pretrained ? tune_json(c) : fw_flywheel_cfg_json(&c->policy), "held_out",
        (json_int_t)c->held_out, "batch", (json_int_t)c->batch, "lr", c->lr, "weight_decay", c->optim.weight_decay,
        "clip", c->optim.clip_norm, "ema", c->optim.ema_decay, "state_noise", c->state_noise, "feature_dropout",
        c->feature_dropout, "action_dropout", c->action_dropout, "seed", (json_int_t)c->seed);
    if (j != NULL && c->micro < c->batch) {
        json_object_set_new(j, "micro", json_integer(c->micro));
    }
    if (j != NULL && c->precision == FW_PRECISION_BF16) {
        json_object_set_new(j, "precision", json_string("bf16"));
    }
    if (j != NULL && c->from[0] != 0) {
        json_object_set_new(j, "from", json_string(c->from));
    }
    char *text = j != NULL ? json_dumps(j, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    json_decref(j);
    return text;
}
