/* act_weights.c - ACT's parameters from a checkpoint, and back into one; see act.h for what is laid out differently here */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/act.h"
#include "model/lora.h"

enum { NAME = 128 };
static const char *const thirds[] = {".q", ".k", ".v"};

/* Does name end with tail? Then stem is what comes before it. */
static bool cut(const char *name, const char *tail, char stem[NAME]) {
    size_t n = strlen(name), t = strlen(tail);
    if (n <= t || n - t >= NAME || strcmp(name + n - t, tail) != 0) {
        return false;
    }
    memcpy(stem, name, n - t);
    stem[n - t] = 0;
    return true;
}

/* The tensors of a frozen batch norm; kept in the store so that saving finds them. */
static const char *const bn_parts[] = {"weight", "bias", "running_mean", "running_var"};

static fw_status read_bn(fw_params *params, const char *bn, int64_t o, fw_weights *w, fw_parameter *part[4],
                         fw_err *err) {
    char name[2 * NAME];
    const fw_shape shape = FW_SHAPE_OF(o);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s.%s", bn, bn_parts[i]);
        FW_TRY(fw_params_get(params, name, &shape, (fw_init){FW_INIT_ZERO, 0}, &part[i], err));
        FW_TRY(fw_weights_f32(w, name, &shape, part[i]->data, err));
        part[i]->trainable = false;
        part[i]->loaded = true;
    }
    for (int64_t i = 0; i < o; i++) {
        if (part[3]->data[i] < 0.0f) {
            return fw_fail(err, FW_FORMAT, "tensor '%s' holds %g, wanted a variance", name, (double)part[3]->data[i]);
        }
    }
    return FW_OK;
}

/* "...bn1" -> "...conv1.weight", "...downsample.1" -> "...downsample.0.weight" */
static void conv_of(const char *bn, char out[2 * NAME]) {
    char stem[NAME];
    size_t n = strlen(bn);
    if (cut(bn, "downsample.1", stem)) {
        snprintf(out, 2 * NAME, "%sdownsample.0.weight", stem);
    } else {
        snprintf(out, 2 * NAME, "%.*sconv%c.weight", (int)n - 3, bn, bn[n - 1]);
    }
}

/* y = x * scale + shift of a norm in evaluation: into the parameters for training, or the scale into the convolution. */
static fw_status load_bn(fw_params *params, const char *bn, fw_parameter *shift, fw_weights *w, fw_err *err) {
    char name[2 * NAME];
    fw_parameter *p[4] = {NULL};
    const int64_t o = shift->shape.d[0];
    FW_TRY(read_bn(params, bn, o, w, p, err));
    snprintf(name, sizeof name, "%s.scale", bn);
    fw_parameter *scale = fw_params_find(params, name);
    conv_of(bn, name);
    fw_parameter *kernel = fw_params_find(params, name);
    const int64_t each = fw_shape_count(&kernel->shape) / o;
    for (int64_t i = 0; i < o; i++) {
        float s = (float)((double)p[0]->data[i] / sqrt((double)p[3]->data[i] + 1e-5));
        shift->data[i] = p[1]->data[i] - p[2]->data[i] * s;
        if (scale != NULL) {
            scale->data[i] = s;
        }
        for (int64_t k = 0; scale == NULL && k < each; k++) {
            kernel->data[i * each + k] *= s;
        }
    }
    shift->trainable = false;
    shift->loaded = true;
    if (scale != NULL) {
        scale->trainable = false;
        scale->loaded = true;
    }
    return FW_OK;
}

static fw_status load_one(fw_parameter *p, fw_weights *w, fw_err *err) {
    char stem[NAME];
    p->loaded = true;
    if (fw_weights_is_anew(w, p->name)) {
        return FW_OK;
    }
    for (int k = 0; k < 3; k++) {
        if (cut(p->name, thirds[k], stem)) {
            return fw_weights_third(w, stem, k, &p->shape, p->data, err);
        }
    }
    p->trainable = p->trainable && strstr(p->name, "pos_enc") == NULL;
    return p->shape.n == 4 ? fw_weights_conv(w, p->name, &p->shape, p->data, err)
                           : fw_weights_f32(w, p->name, &p->shape, p->data, err);
}

fw_status fw_act_new_heads(fw_params *params, fw_weights *w, fw_err *err) {
    static const char *const heads[] = {
        "model.encoder_robot_state_input_proj.weight", "model.vae_encoder_robot_state_input_proj.weight",
        "model.vae_encoder_action_input_proj.weight", "model.action_head.weight", "model.action_head.bias"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        const fw_parameter *p = fw_params_find(params, heads[i]);
        FW_TRY(p != NULL ? fw_weights_anew(w, heads[i], &p->shape, err) : FW_OK);
    }
    return FW_OK;
}

fw_status fw_act_load(fw_params *params, fw_weights *w, fw_err *err) {
    char bn[NAME];
    const int n = fw_params_count(params); /* batch norms add to them */
    for (int i = 0; i < n; i++) {
        fw_parameter *p = fw_params_at(params, i);
        if (!cut(p->name, ".scale", bn) && !cut(p->name, ".shift", bn) && !fw_adapter_is_part(p->name)) {
            FW_TRY(load_one(p, w, err));
        }
    }
    for (int i = 0; i < n; i++) {
        fw_parameter *p = fw_params_at(params, i);
        if (cut(p->name, ".shift", bn)) {
            FW_TRY(load_bn(params, bn, p, w, err));
        }
    }
    fw_weights_skip(w, "model.vae_encoder");
    return fw_weights_done(w, err);
}

/* ---- saving ---- */

/* "....q", "....k" and "....v" one after the other. */
static bool fuse(fw_params *params, const fw_st_tensor *t, float *out) {
    const int64_t third = fw_shape_count(&t->shape) / 3;
    for (int k = 0; k < 3; k++) {
        char name[2 * NAME];
        snprintf(name, sizeof name, "%s%s", t->name, thirds[k]);
        const fw_parameter *p = fw_params_find(params, name);
        if (p == NULL || fw_shape_count(&p->shape) != third) {
            return false;
        }
        memcpy(out + k * third, p->data, (size_t)third * sizeof *out);
    }
    return true;
}

static bool as_it_is_now(const void *ctx, const fw_st_tensor *t, float *out) {
    fw_params *params = (fw_params *)(uintptr_t)ctx;
    const fw_parameter *p = fw_params_find(params, t->name);
    if (p == NULL) {
        return fuse(params, t, out);
    }
    if (p->trainable) {
        fw_weights_turn_back(&p->shape, p->data, out);
    }
    return p->trainable;
}

fw_status fw_act_save(fw_params *params, const fw_weights *w, const char *path, fw_err *err) {
    return fw_weights_save(w, as_it_is_now, params, path, err);
}
