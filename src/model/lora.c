/* lora.c - see lora.h */
#include "model/lora.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "model/weights.h"

#define PREFIX "base_model.model."
enum { NAME = 200, PATH_BYTES = 4096 };
static const char *const k_part[2] = {".lora_A.weight", ".lora_B.weight"};

/* ---- which layers ---- */

static bool matches(const void *ctx, const char *module) {
    return regexec(&((const fw_adapter *)ctx)->whole, module, 0, NULL, 0) == 0;
}

fw_status fw_adapter_init(fw_adapter *a, int rank, double alpha, const char *targets, fw_err *err) {
    char whole[sizeof a->targets + 8], why[200];
    memset(a, 0, sizeof *a);
    if (rank < 1 || !(alpha > 0.0) || strlen(targets) >= sizeof a->targets) {
        return fw_fail(err, FW_INVALID, "adapters of rank %d, alpha %g, targets '%.80s'", rank, alpha, targets);
    }
    snprintf(a->targets, sizeof a->targets, "%s", targets);
    snprintf(whole, sizeof whole, "^(%s)$", targets);
    const int code = regcomp(&a->whole, whole, REG_EXTENDED | REG_NOSUB);
    if (code != 0) {
        regerror(code, &a->whole, why, sizeof why);
        return fw_fail(err, FW_FORMAT, "targets '%.80s': %s", targets, why);
    }
    a->lora = (fw_lora){rank, alpha, matches, a};
    return FW_OK;
}

void fw_adapter_clear(fw_adapter *a) {
    if (a->lora.rank > 0) {
        regfree(&a->whole);
    }
    memset(a, 0, sizeof *a);
}

const char *fw_adapter_targets(fw_policy_kind k) {
#define COMMON "model\\.(state_proj|action_in_proj|action_out_proj|action_time_mlp_in|action_time_mlp_out)"
    static const char smol[] = "(model\\.vlm_with_expert\\.lm_expert\\..*\\.(q|v)_proj|" COMMON ")";
    static const char pi[] = "(.*\\.gemma_expert\\..*\\.self_attn\\.(q|v)_proj|" COMMON ")";
    return k == FW_POLICY_SMOLVLA ? smol : k == FW_POLICY_PI0 || k == FW_POLICY_PI05 ? pi : NULL;
}

static bool ends(const char *name, const char *with) {
    const size_t n = strlen(name), w = strlen(with);
    return n > w && strcmp(name + n - w, with) == 0;
}

bool fw_adapter_is_part(const char *name) {
    return ends(name, k_part[0]) || ends(name, k_part[1]);
}

/* ---- files ---- */

static fw_status save_config(const fw_adapter *a, const char *base, const char *dir, fw_err *err) {
    char path[PATH_BYTES];
    json_t *j =
        json_pack("{s:s, s:s, s:i, s:f, s:f, s:s, s:s, s:n, s:n, s:b, s:b, s:b, s:b, s:b}", "peft_type", "LORA",
                  "base_model_name_or_path", base, "r", a->lora.rank, "lora_alpha", a->lora.alpha, "lora_dropout", 0.0,
                  "target_modules", a->targets, "bias", "none", "task_type", "modules_to_save", "fan_in_fan_out", 0,
                  "inference_mode", 1, "init_lora_weights", 1, "use_rslora", 0, "use_dora", 0);
    fw_status st = j != NULL ? fw_path_join(path, sizeof path, dir, "adapter_config.json", err)
                             : fw_fail(err, FW_NOMEM, "%s: out of memory", dir);
    st = st == FW_OK ? fw_json_save(path, j, 2, err) : st;
    json_decref(j);
    return st;
}

fw_status fw_adapter_save(const fw_adapter *a, fw_params *params, const char *base, const char *sha256, const char *dir,
                          fw_err *err) {
    const char *const meta[] = {"format", "pt", "base_sha256", sha256, NULL};
    char path[PATH_BYTES];
    const int all = fw_params_count(params);
    int n = 0;
    FW_TRY(fw_mkdirs(dir, err));
    FW_TRY(fw_path_join(path, sizeof path, dir, "adapter_model.safetensors", err));
    FW_TRY(save_config(a, base, dir, err));
    fw_st_out *out = calloc((size_t)all + 1, sizeof *out);
    char(*name)[NAME] = calloc((size_t)all + 1, sizeof *name);
    fw_status st = out != NULL && name != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s: out of memory", path);
    for (int i = 0; i < all && st == FW_OK; i++) {
        const fw_parameter *q = fw_params_at(params, i);
        if (fw_adapter_is_part(q->name)) {
            snprintf(name[n], NAME, PREFIX "%s", q->name);
            out[n] = (fw_st_out){name[n], FW_F32, q->shape, q->data};
            n++;
        }
    }
    st = st == FW_OK && n == 0 ? fw_fail(err, FW_INVALID, "%s: the network has no adapters", dir) : st;
    st = st == FW_OK ? fw_st_write(path, out, n, meta, err) : st;
    free(out);
    free(name);
    return st;
}

/* ---- merging ---- */

typedef struct merging {
    const char *strip;
    fw_weights *w;
    fw_st *adapter;
    float scale; /* of B A */
} merging;

static const fw_st_tensor *part_of(const merging *m, const char *module, int part) {
    char name[2 * NAME];
    snprintf(name, sizeof name, PREFIX "%s%s", module, k_part[part]);
    return fw_st_find(m->adapter, name);
}

/* "model.x.y" of the weight "x.y.weight" in a file that lacks "model."; false: it is no weight of a layer. */
static bool module_of(const merging *m, const char *tensor, char module[NAME]) {
    const int len = (int)strlen(tensor) - (int)strlen(".weight");
    return ends(tensor, ".weight") && snprintf(module, NAME, "%s%.*s", m->strip, len, tensor) < NAME;
}

static bool add_product(const void *ctx, const fw_st_tensor *t, float *out) {
    const merging *m = ctx;
    char module[NAME];
    if (!module_of(m, t->name, module) || part_of(m, module, 0) == NULL) {
        return false;
    }
    const fw_st_tensor *ta = part_of(m, module, 0), *tb = part_of(m, module, 1);
    const float *a = ta->data, *b = tb->data;
    const int64_t n = t->shape.d[0], k = t->shape.d[1], r = ta->shape.d[0];
    if (fw_st_read_f32(fw_weights_file(m->w), t->name, &t->shape, out, NULL) != FW_OK) {
        return false; /* cannot be: check_fit asked for it */
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t q = 0; q < r; q++) {
            const float by = m->scale * b[i * r + q];
            for (int64_t j = 0; j < k; j++) {
                out[i * k + j] += by * a[q * k + j];
            }
        }
    }
    return true;
}

/* Every tensor of the adapter has its other half and a weight of its shape. */
static fw_status check_fit(const merging *m, const char *dir, int rank, fw_err *err) {
    for (int i = 0; i < fw_st_count(m->adapter); i++) {
        const char *name = fw_st_at(m->adapter, i)->name;
        const fw_st_tensor *t[2], *w;
        char module[NAME], weight[NAME + 16];
        const int len = (int)strlen(name) - (int)strlen(PREFIX) - (int)strlen(k_part[0]);
        if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || !fw_adapter_is_part(name) || len < 1 || len >= NAME) {
            return fw_fail(err, FW_FORMAT, "%s: tensor '%.120s' is no part of an adapter", dir, name);
        }
        snprintf(module, sizeof module, "%.*s", len, name + strlen(PREFIX));
        snprintf(weight, sizeof weight, "%s.weight", module);
        t[0] = part_of(m, module, 0), t[1] = part_of(m, module, 1);
        for (int k = 0; k < 2; k++) {
            if (t[k] == NULL || t[k]->shape.n != 2 || t[k]->dtype != FW_F32 || (uintptr_t)t[k]->data % 4 != 0 ||
                t[k]->shape.d[k] != rank) {
                return fw_fail(err, FW_SHAPE, "%s: module %s lacks its %s, F32 of rank %d", dir, module, k_part[k] + 1,
                               rank);
            }
        }
        FW_TRY(fw_weights_raw(m->w, weight, &FW_SHAPE_OF(t[1]->shape.d[0], t[0]->shape.d[1]), &w, err));
    }
    return FW_OK;
}

static fw_status check_base(const merging *m, const char *base, const char *dir, fw_err *err) {
    char sha256[65];
    const char *want = fw_st_meta(m->adapter, "base_sha256");
    if (want == NULL) {
        return FW_OK; /* PEFT does not say */
    }
    FW_TRY(fw_sha256_file(base, sha256, err));
    return strcmp(want, sha256) == 0
               ? FW_OK
               : fw_fail(err, FW_INVALID, "%s: trained on weights %.16s, %s has %.16s", dir, want, base, sha256);
}

static fw_status merge(merging *m, const char *base, const char *dir, int sign, const char *out, fw_err *err) {
    char path[PATH_BYTES];
    json_t *j;
    int64_t rank = 0;
    double alpha = 0;
    FW_TRY(fw_path_join(path, sizeof path, dir, "adapter_config.json", err));
    FW_TRY(fw_json_load(path, &j, err));
    fw_status st = fw_json_i64(j, "r", path, 1, 65536, &rank, err);
    st = st == FW_OK ? fw_json_f64(j, "lora_alpha", path, &alpha, err) : st;
    json_decref(j);
    FW_TRY(st);
    m->scale = (float)(sign * alpha / (double)rank);
    FW_TRY(fw_path_join(path, sizeof path, dir, "adapter_model.safetensors", err));
    FW_TRY(fw_st_open(path, &m->adapter, err));
    FW_TRY(fw_weights_open(base, m->strip, &m->w, err));
    FW_TRY(sign > 0 ? check_base(m, base, dir, err) : FW_OK);
    FW_TRY(check_fit(m, dir, (int)rank, err));
    return fw_weights_save(m->w, add_product, m, out, err);
}

fw_status fw_adapter_merge(const char *base, const char *strip, const char *dir, int sign, const char *out,
                           fw_err *err) {
    merging m = {.strip = strip};
    fw_status st = merge(&m, base, dir, sign, out, err);
    fw_weights_close(m.w);
    fw_st_close(m.adapter);
    return st;
}
