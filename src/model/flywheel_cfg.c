/*
 * flywheel_cfg.c - the configuration of flywheel-s: defaults, JSON in, JSON out.
 *
 * DESIGN. One table a section names every number with its range; parsing, writing and "which keys are known" all read
 * the table, so that a new number is one line. Anything that cannot be built (keypoint trunk with unknown block ...) is
 * refused here with the key's name, before a graph exists.
 */
#include <stddef.h>
#include <string.h>

#include "model/flywheel_s.h"

typedef struct int_key {
    const char *key;
    size_t offset;
    int64_t min, max;
} int_key;
#define INT(field, key, min, max)                                                                                      \
    { key, offsetof(fw_flywheel_cfg, field), min, max }

static const int_key vision_ints[] = {
    INT(image_size, "image_size", 32, 512), INT(channels1, "channels1", 1, 1024), INT(channels2, "channels2", 0, 1024),
    INT(kernel2, "kernel2", 1, 3),          INT(keypoints, "keypoints", 1, 512),
};
static const int_key text_ints[] = {INT(text_dim, "dim", 1, 1024)};
static const int_key trunk_ints[] = {
    INT(hidden, "hidden", 1, 4096),
    INT(layers, "layers", 1, 24),
    INT(heads, "heads", 1, 64),
};
static const int_key head_ints[] = {
    INT(horizon, "horizon", 1, FW_HORIZON_MAX),
    INT(n_execute, "execute", 1, FW_HORIZON_MAX),
    INT(flow_steps, "flow_steps", 1, 64),
    INT(max_delay, "max_delay", 0, FW_HORIZON_MAX - 1),
};
#define N(a) (sizeof(a) / sizeof(*(a)))

static int *int_at(fw_flywheel_cfg *cfg, const int_key *k) {
    return (int *)(void *)((char *)cfg + k->offset);
}

void fw_flywheel_cfg_default(fw_flywheel_cfg *cfg) {
    *cfg = (fw_flywheel_cfg){
        .image_size = 128,
        .n_tap = 1,
        .tap = {10},
        .channels1 = 96,
        .channels2 = 64,
        .kernel2 = 1,
        .keypoints = 64,
        .trunk = FW_TRUNK_KEYPOINT,
        .hidden = 512,
        .layers = 3,
        .heads = 8,
        .text_dim = 128,
        .dropout = 0.1f,
        .head = FW_HEAD_L1,
        .horizon = 16,
        .n_execute = 8,
        .flow_steps = 8,
    };
}

static fw_status parse_ints(const json_t *obj, const char *where, const int_key *keys, size_t n, fw_flywheel_cfg *cfg,
                            fw_err *err) {
    for (size_t i = 0; i < n; i++) {
        int64_t v = 0;
        FW_TRY(fw_json_i64_or(obj, keys[i].key, where, keys[i].min, keys[i].max, *int_at(cfg, &keys[i]), &v, err));
        *int_at(cfg, &keys[i]) = (int)v;
    }
    return FW_OK;
}

/* A word out of two, as 0 or 1. */
/* names: ends with NULL; *out: index of the default, then of the choice. */
static fw_status parse_choice(const json_t *obj, const char *key, const char *where, const char *const *names, int *out,
                              fw_err *err) {
    const char *s = NULL;
    char all[96] = "";
    FW_TRY(fw_json_str_or(obj, key, where, names[*out], &s, err));
    for (int i = 0; names[i] != NULL; i++) {
        if (strcmp(s, names[i]) == 0) {
            *out = i;
            return FW_OK;
        }
        size_t n = strlen(all);
        snprintf(all + n, sizeof(all) - n, "%s'%s'", i == 0 ? "" : " or ", names[i]);
    }
    return fw_fail(err, FW_FORMAT, "%s: '%s' is '%s', wanted %s", where, key, s, all);
}

static fw_status parse_name(const json_t *obj, const char *key, const char *where, const char *only, fw_err *err) {
    const char *s = NULL;
    FW_TRY(fw_json_str_or(obj, key, where, only, &s, err));
    if (strcmp(s, only) != 0) {
        return fw_fail(err, FW_FORMAT, "%s: '%s' is '%s', this build has only '%s'", where, key, s, only);
    }
    return FW_OK;
}

/* A section of the object, or an empty one. */
static fw_status section(const json_t *obj, const char *key, const char *where, const char *const *known,
                         const json_t **out, fw_err *err) {
    *out = json_object_get(obj, key);
    if (*out == NULL) {
        return FW_OK;
    }
    FW_TRY(fw_json_obj(obj, key, where, out, err));
    return fw_json_only(*out, where, known, err);
}

static fw_status parse_taps(const json_t *obj, const char *where, fw_flywheel_cfg *cfg, fw_err *err) {
    const json_t *taps = NULL;
    if (json_object_get(obj, "taps") == NULL) {
        return FW_OK;
    }
    FW_TRY(fw_json_arr(obj, "taps", where, &taps, err));
    size_t n = json_array_size(taps);
    if (n < 1 || n > FW_TAP_MAX) {
        return fw_fail(err, FW_FORMAT, "%s: 'taps' has %zu blocks, wanted 1 to %d", where, n, FW_TAP_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *t = json_array_get(taps, i);
        json_int_t b = json_is_integer(t) ? json_integer_value(t) : -1;
        if (b < 0 || b >= FW_EFFNET_BLOCKS || (i > 0 && b <= cfg->tap[i - 1])) {
            return fw_fail(err, FW_FORMAT, "%s: 'taps'[%zu]: wanted ascending blocks 0 to %d", where, i,
                           FW_EFFNET_BLOCKS - 1);
        }
        cfg->tap[i] = (int)b;
    }
    cfg->n_tap = (int)n;
    return FW_OK;
}

static fw_status parse_cameras(const json_t *obj, const char *where, fw_flywheel_cfg *cfg, fw_err *err) {
    const json_t *cams = NULL;
    if (json_object_get(obj, "cameras") == NULL) {
        return FW_OK;
    }
    FW_TRY(fw_json_arr(obj, "cameras", where, &cams, err));
    size_t n = json_array_size(cams);
    if (n > FW_CAM_MAX) {
        return fw_fail(err, FW_FORMAT, "%s: 'cameras' has %zu names, at most %d", where, n, FW_CAM_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        const char *s = json_string_value(json_array_get(cams, i));
        if (s == NULL || s[0] == 0 || strlen(s) >= FW_NAME_MAX) {
            return fw_fail(err, FW_FORMAT, "%s: 'cameras'[%zu]: wanted a name of 1 to %d bytes", where, i,
                           FW_NAME_MAX - 1);
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(cfg->camera[k], s) == 0) {
                return fw_fail(err, FW_FORMAT, "%s: 'cameras' names '%s' twice", where, s);
            }
        }
        strcpy(cfg->camera[i], s);
    }
    cfg->n_camera = (int)n;
    return FW_OK;
}

static const char *const trunk_names[] = {"keypoint", "transformer", NULL};
static const char *const head_names[] = {"l1", "flow", "l1_mse", NULL};
static const char *const pool_names[] = {"mean", "tokens", NULL};

static fw_status parse_vision(const json_t *v, const char *where, fw_flywheel_cfg *cfg, fw_err *err) {
    FW_TRY(parse_name(v, "tower", where, "efficientnet_lite0", err));
    FW_TRY(parse_ints(v, where, vision_ints, N(vision_ints), cfg, err));
    FW_TRY(fw_json_bool_or(v, "train", where, cfg->train_tower, &cfg->train_tower, err));
    FW_TRY(parse_taps(v, where, cfg, err));
    FW_TRY(parse_cameras(v, where, cfg, err));
    if (cfg->image_size % 32 != 0) {
        return fw_fail(err, FW_FORMAT, "%s: 'image_size' is %d, wanted a multiple of 32", where, cfg->image_size);
    }
    if (cfg->kernel2 == 2) {
        return fw_fail(err, FW_FORMAT, "%s: 'kernel2' is 2, wanted 1 or 3", where);
    }
    return FW_OK;
}

static fw_status parse_trunk(const json_t *t, const char *where, fw_flywheel_cfg *cfg, fw_err *err) {
    int trunk = (int)cfg->trunk;
    FW_TRY(parse_choice(t, "kind", where, trunk_names, &trunk, err));
    cfg->trunk = (fw_trunk_kind)trunk;
    if (cfg->trunk == FW_TRUNK_TRANSFORMER) { /* other defaults; the file may override them */
        cfg->hidden = 256;
        cfg->layers = 4;
        cfg->text_tokens = true;
    }
    FW_TRY(parse_ints(t, where, trunk_ints, N(trunk_ints), cfg, err));
    double dropout = 0.0;
    FW_TRY(fw_json_f64_or(t, "dropout", where, (double)cfg->dropout, &dropout, err));
    if (!(dropout >= 0.0 && dropout < 1.0)) {
        return fw_fail(err, FW_FORMAT, "%s: 'dropout' is %g, wanted [0, 1)", where, dropout);
    }
    cfg->dropout = (float)dropout;
    if (cfg->trunk == FW_TRUNK_TRANSFORMER && cfg->hidden % cfg->heads != 0) {
        return fw_fail(err, FW_FORMAT, "%s: 'hidden' %d is not a multiple of 'heads' %d", where, cfg->hidden,
                       cfg->heads);
    }
    return FW_OK;
}

fw_status fw_flywheel_cfg_parse(const json_t *obj, const char *where, fw_flywheel_cfg *out, fw_err *err) {
    static const char *const top[] = {"kind", "vision", "text", "proprio", "trunk", "head", NULL};
    static const char *const vision_keys[] = {"tower",     "image_size", "taps",    "cameras",   "train",
                                              "channels1", "channels2",  "kernel2", "keypoints", NULL};
    static const char *const text_keys[] = {"tower", "pool", "dim", NULL};
    static const char *const proprio_keys[] = {"previous_state", "previous_action", NULL};
    static const char *const trunk_keys[] = {"kind", "hidden", "layers", "heads", "dropout", NULL};
    static const char *const head_keys[] = {"kind", "horizon", "execute", "flow_steps", "max_delay", NULL};
    fw_flywheel_cfg c;
    fw_flywheel_cfg_default(&c);
    const json_t *v = NULL, *t = NULL, *p = NULL, *k = NULL, *h = NULL;
    if (!json_is_object(obj)) {
        return fw_fail(err, FW_FORMAT, "%s: the model is not a JSON object", where);
    }
    FW_TRY(fw_json_only(obj, where, top, err));
    FW_TRY(parse_name(obj, "kind", where, "flywheel-s", err));
    FW_TRY(section(obj, "vision", where, vision_keys, &v, err));
    FW_TRY(section(obj, "text", where, text_keys, &t, err));
    FW_TRY(section(obj, "proprio", where, proprio_keys, &p, err));
    FW_TRY(section(obj, "trunk", where, trunk_keys, &k, err));
    FW_TRY(section(obj, "head", where, head_keys, &h, err));
    if (v != NULL) {
        FW_TRY(parse_vision(v, where, &c, err));
    }
    if (p != NULL) {
        FW_TRY(fw_json_bool_or(p, "previous_state", where, c.prev_state, &c.prev_state, err));
        FW_TRY(fw_json_bool_or(p, "previous_action", where, c.prev_action, &c.prev_action, err));
    }
    if (k != NULL) {
        FW_TRY(parse_trunk(k, where, &c, err));
    }
    if (t != NULL) {
        int pool = c.text_tokens;
        FW_TRY(parse_name(t, "tower", where, "minilm", err));
        FW_TRY(parse_ints(t, where, text_ints, N(text_ints), &c, err));
        FW_TRY(parse_choice(t, "pool", where, pool_names, &pool, err));
        c.text_tokens = pool == 1;
    }
    if (h != NULL) {
        int head = (int)c.head;
        FW_TRY(parse_choice(h, "kind", where, head_names, &head, err));
        c.head = (fw_head_kind)head;
        FW_TRY(parse_ints(h, where, head_ints, N(head_ints), &c, err));
    }
    if (c.n_execute > c.horizon) {
        return fw_fail(err, FW_FORMAT, "%s: 'execute' is %d, more than 'horizon' %d", where, c.n_execute, c.horizon);
    }
    if (c.max_delay + c.n_execute > c.horizon) {
        return fw_fail(err, FW_FORMAT, "%s: 'max_delay' %d and 'execute' %d are more than 'horizon' %d", where,
                       c.max_delay, c.n_execute, c.horizon);
    }
    *out = c;
    return FW_OK;
}

static int put_ints(json_t *obj, const int_key *keys, size_t n, const fw_flywheel_cfg *cfg) {
    int bad = 0;
    fw_flywheel_cfg c = *cfg;
    for (size_t i = 0; i < n; i++) {
        bad |= json_object_set_new(obj, keys[i].key, json_integer(*int_at(&c, &keys[i])));
    }
    return bad;
}

json_t *fw_flywheel_cfg_json(const fw_flywheel_cfg *cfg) {
    json_t *taps = json_array(), *cams = json_array();
    json_t *v = json_object(), *t = json_object(), *p = json_object(), *k = json_object(), *h = json_object();
    int bad = 0;
    for (int i = 0; i < cfg->n_tap; i++) {
        bad |= json_array_append_new(taps, json_integer(cfg->tap[i]));
    }
    for (int i = 0; i < cfg->n_camera; i++) {
        bad |= json_array_append_new(cams, json_string(cfg->camera[i]));
    }
    bad |= json_object_set_new(v, "tower", json_string("efficientnet_lite0"));
    bad |= json_object_set_new(v, "taps", taps) | json_object_set_new(v, "cameras", cams);
    bad |= json_object_set_new(v, "train", json_boolean(cfg->train_tower));
    bad |= put_ints(v, vision_ints, N(vision_ints), cfg);
    bad |= json_object_set_new(t, "tower", json_string("minilm"));
    bad |= json_object_set_new(t, "pool", json_string(pool_names[cfg->text_tokens]));
    bad |= put_ints(t, text_ints, N(text_ints), cfg);
    bad |= json_object_set_new(p, "previous_state", json_boolean(cfg->prev_state));
    bad |= json_object_set_new(p, "previous_action", json_boolean(cfg->prev_action));
    bad |= json_object_set_new(k, "kind", json_string(trunk_names[cfg->trunk]));
    bad |= put_ints(k, trunk_ints, N(trunk_ints), cfg);
    bad |= json_object_set_new(k, "dropout", json_real((double)cfg->dropout));
    bad |= json_object_set_new(h, "kind", json_string(head_names[cfg->head]));
    bad |= put_ints(h, head_ints, N(head_ints), cfg);
    json_t *top = json_object();
    bad |= json_object_set_new(top, "kind", json_string("flywheel-s"));
    bad |= json_object_set_new(top, "vision", v) | json_object_set_new(top, "text", t);
    bad |= json_object_set_new(top, "proprio", p);
    bad |= json_object_set_new(top, "trunk", k) | json_object_set_new(top, "head", h);
    if (bad != 0) {
        json_decref(top);
        return NULL;
    }
    return top;
}

fw_status fw_flywheel_cfg_bind(fw_flywheel_cfg *cfg, const fw_embodiment *emb, fw_err *err) {
    if (cfg->n_camera == 0) {
        for (int i = 0; i < emb->n_camera; i++) {
            strcpy(cfg->camera[i], emb->camera[i].name);
        }
        cfg->n_camera = emb->n_camera;
    }
    for (int i = 0; i < cfg->n_camera; i++) {
        bool found = false;
        for (int k = 0; k < emb->n_camera; k++) {
            found = found || strcmp(cfg->camera[i], emb->camera[k].name) == 0;
        }
        if (!found) {
            return fw_fail(err, FW_INVALID, "embodiment '%s' has no camera '%s'", emb->name, cfg->camera[i]);
        }
    }
    if (cfg->n_camera == 0) {
        return fw_fail(err, FW_INVALID, "embodiment '%s' has no camera: flywheel-s needs one", emb->name);
    }
    return FW_OK;
}
