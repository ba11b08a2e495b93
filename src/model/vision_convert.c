/* vision_convert.c - the original weights of EfficientNet-Lite0 -> safetensors, batch norms folded */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "model/effnet_int.h"
#include "model/pth.h"
#include "tensor/safetensors.h"

#define BN_EPS 1e-3 /* of the original, a TensorFlow model */

/* A convolution of the original and the batch norm after it. */
typedef struct conv_source {
    const fw_pth *pth;
    char conv[64], norm[64]; /* "_blocks.3._expand_conv", "_blocks.3._bn0" */
    int o, kh, kw, i;        /* as stored: [o, i, kh, kw]; i = 1 for depthwise */
    bool depthwise;
} conv_source;

static fw_status source_data(const conv_source *c, const char *base, const char *part, fw_shape want,
                             const uint8_t **out, fw_err *err) {
    char name[96], a[64], b[64];
    snprintf(name, sizeof name, "%s.%s", base, part);
    const fw_pth_tensor *t = fw_pth_find(c->pth, name);
    if (t == NULL) {
        return fw_fail(err, FW_FORMAT, "no tensor '%s': not the weights of EfficientNet-Lite0", name);
    }
    if (t->dtype != FW_F32 || !fw_shape_eq(&t->shape, &want)) {
        return fw_fail(err, FW_SHAPE, "tensor '%s' is %s %s, wanted F32 %s", name, fw_dtype_name(t->dtype),
                       fw_shape_str(&t->shape, a, sizeof a), fw_shape_str(&want, b, sizeof b));
    }
    *out = t->data;
    return FW_OK;
}

static double f32_at(const uint8_t *p, size_t i) { /* the file does not align */
    float f;
    memcpy(&f, p + i * sizeof f, sizeof f);
    return (double)f;
}

/* w' = w * gamma / sqrt(var + eps) in the graph's layout, b' = beta - mean * gamma / sqrt(var + eps). */
static fw_status fold(const conv_source *c, float *w, float *b, fw_err *err) {
    const uint8_t *src, *gamma, *beta, *mean, *var;
    size_t o_n = (size_t)c->o, i_n = (size_t)c->i, area = (size_t)c->kh * (size_t)c->kw;
    FW_TRY(source_data(c, c->conv, "weight", FW_SHAPE_OF(c->o, c->i, c->kh, c->kw), &src, err));
    FW_TRY(source_data(c, c->norm, "weight", FW_SHAPE_OF(c->o), &gamma, err));
    FW_TRY(source_data(c, c->norm, "bias", FW_SHAPE_OF(c->o), &beta, err));
    FW_TRY(source_data(c, c->norm, "running_mean", FW_SHAPE_OF(c->o), &mean, err));
    FW_TRY(source_data(c, c->norm, "running_var", FW_SHAPE_OF(c->o), &var, err));
    for (size_t o = 0; o < o_n; o++) {
        double k = f32_at(gamma, o) / sqrt(f32_at(var, o) + BN_EPS);
        if (!isfinite(k)) {
            return fw_fail(err, FW_FORMAT, "'%s': the variance of channel %zu is %g", c->norm, o, f32_at(var, o));
        }
        b[o] = (float)(f32_at(beta, o) - f32_at(mean, o) * k);
        for (size_t i = 0; i < i_n; i++) {
            for (size_t a = 0; a < area; a++) {
                size_t to = c->depthwise ? a * o_n + o : (o * area + a) * i_n + i; /* [kh,kw,C] or [O,kh,kw,I] */
                w[to] = (float)(f32_at(src, (o * i_n + i) * area + a) * k);
            }
        }
    }
    return FW_OK;
}

#define CONVS (1 + 3 * FW_EFFNET_BLOCKS)
typedef struct converted {
    fw_st_out t[2 * CONVS];
    effnet_names name[CONVS];
    float *data[2 * CONVS];
    int n; /* convolutions */
} converted;

static fw_status convert_one(converted *v, const conv_source *c, int b, const char *part, fw_err *err) {
    size_t count = (size_t)c->o * (size_t)c->i * (size_t)c->kh * (size_t)c->kw;
    int at = 2 * v->n;
    float *w = malloc(count * sizeof *w), *bias = malloc((size_t)c->o * sizeof *bias);
    v->data[at] = w;
    v->data[at + 1] = bias;
    v->name[v->n] = effnet_name("", b, part);
    if (w == NULL || bias == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for '%s'", c->conv);
    }
    FW_TRY(fold(c, w, bias, err));
    fw_shape shape = FW_SHAPE_OF(c->o, c->kh, c->kw, c->i);
    if (c->depthwise) {
        shape = FW_SHAPE_OF(c->kh, c->kw, c->o);
    } else if (c->kh == 1) {
        shape = FW_SHAPE_OF(c->o, c->i); /* a 1x1 convolution is a linear layer of the pixels */
    }
    v->t[at] = (fw_st_out){v->name[v->n].w, FW_F32, shape, w};
    v->t[at + 1] = (fw_st_out){v->name[v->n].b, FW_F32, FW_SHAPE_OF(c->o), bias};
    v->n++;
    return FW_OK;
}

static conv_source source_of(const fw_pth *pth, int b, const char *conv, const char *norm, int o, int k, int i,
                             bool depthwise) {
    conv_source c = {.pth = pth, .o = o, .kh = k, .kw = k, .i = i, .depthwise = depthwise};
    if (b < 0) {
        snprintf(c.conv, sizeof c.conv, "%s", conv);
        snprintf(c.norm, sizeof c.norm, "%s", norm);
    } else {
        snprintf(c.conv, sizeof c.conv, "_blocks.%d.%s", b, conv);
        snprintf(c.norm, sizeof c.norm, "_blocks.%d.%s", b, norm);
    }
    return c;
}

static fw_status convert_all(converted *v, const fw_pth *pth, fw_err *err) {
    conv_source c = source_of(pth, -1, "_conv_stem", "_bn0", EFFNET_STEM, 3, 3, false);
    FW_TRY(convert_one(v, &c, -1, "stem", err));
    for (int i = 0; i < FW_EFFNET_BLOCKS; i++) {
        const effnet_block *b = &effnet_blocks[i];
        int wide = b->in * b->expand;
        if (b->expand > 1) {
            c = source_of(pth, i, "_expand_conv", "_bn0", wide, 1, b->in, false);
            FW_TRY(convert_one(v, &c, i, "expand", err));
        }
        c = source_of(pth, i, "_depthwise_conv", "_bn1", wide, b->kernel, 1, true);
        FW_TRY(convert_one(v, &c, i, "depthwise", err));
        c = source_of(pth, i, "_project_conv", "_bn2", b->out, 1, wide, false);
        FW_TRY(convert_one(v, &c, i, "project", err));
    }
    return FW_OK;
}

fw_status fw_effnet_convert(const char *pth_path, const char *out_path, fw_err *err) {
    char sha[65];
    fw_pth *pth = NULL;
    converted *v = calloc(1, sizeof *v);
    if (v == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory to convert %s", pth_path);
    }
    fw_status st = fw_sha256_file(pth_path, sha, err);
    if (st == FW_OK) {
        st = fw_pth_open(pth_path, &pth, err);
    }
    if (st == FW_OK) {
        st = convert_all(v, pth, err);
        if (st != FW_OK) {
            fw_fail_in(err, st, "%s", pth_path);
        }
    }
    if (st == FW_OK) {
        const char *const meta[] = {"tower", "efficientnet_lite0",  "source_sha256",  sha,
                                    "input", "rgb / 127 - 1, NHWC", "layout_version", "1",
                                    NULL};
        st = fw_st_write(out_path, v->t, 2 * v->n, meta, err);
    }
    for (int i = 0; i < 2 * CONVS; i++) {
        free(v->data[i]);
    }
    free(v);
    fw_pth_close(pth);
    return st;
}

fw_status fw_effnet_is_current(const char *pth_path, const char *out_path, bool *current, fw_err *err) {
    char have[65] = "", want[65];
    *current = false;
    FW_TRY(fw_sha256_file(pth_path, want, err));
    if (fw_path_exists(out_path) && effnet_read_sha(out_path, have, NULL) == FW_OK) {
        *current = strcmp(have, want) == 0;
    }
    return FW_OK;
}
