/* vision_tower.c - EfficientNet-Lite0: the graph, the bulk runner, and the conversion of the original weights */
#include "model/vision_tower.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "model/normalize.h"
#include "model/pth.h"
#include "tensor/safetensors.h"

/* ---- the architecture: 16 inverted-residual blocks after a 3x3 stride-2 stem of 32 channels ---- */

#define STEM   32
#define BN_EPS 1e-3 /* of the original, a TensorFlow model */

typedef struct block {
    int kernel, stride, expand, in, out;
} block;

static const block blocks[FW_EFFNET_BLOCKS] = {
    {3, 1, 1, 32, 16},                                                                  /* 0        /2 */
    {3, 2, 6, 16, 24},   {3, 1, 6, 24, 24},                                             /* 1..2     /4 */
    {5, 2, 6, 24, 40},   {5, 1, 6, 40, 40},                                             /* 3..4     /8 */
    {3, 2, 6, 40, 80},   {3, 1, 6, 80, 80},   {3, 1, 6, 80, 80},                        /* 5..7     /16 */
    {5, 1, 6, 80, 112},  {5, 1, 6, 112, 112}, {5, 1, 6, 112, 112},                      /* 8..10    /16 */
    {5, 2, 6, 112, 192}, {5, 1, 6, 192, 192}, {5, 1, 6, 192, 192}, {5, 1, 6, 192, 192}, /* 11..14 /32 */
    {3, 1, 6, 192, 320},                                                                /* 15       /32 */
};

fw_status fw_effnet_tap_shape(int b, int image_size, int *size, int *channels, fw_err *err) {
    if (b < 0 || b >= FW_EFFNET_BLOCKS) {
        return fw_fail(err, FW_INVALID, "EfficientNet-Lite0 has blocks 0 to %d, not %d", FW_EFFNET_BLOCKS - 1, b);
    }
    if (image_size < 32 || image_size > 512 || image_size % 32 != 0) {
        return fw_fail(err, FW_INVALID, "image size %d: wanted a multiple of 32 up to 512", image_size);
    }
    int s = image_size / 2;
    for (int i = 0; i <= b; i++) {
        s /= blocks[i].stride;
    }
    *size = s;
    *channels = blocks[b].out;
    return FW_OK;
}

typedef struct names {
    char w[96], b[96];
} names;

static names name_of(const char *prefix, int b, const char *part) {
    names n;
    if (b < 0) {
        snprintf(n.w, sizeof n.w, "%s%s.weight", prefix, part);
        snprintf(n.b, sizeof n.b, "%s%s.bias", prefix, part);
    } else {
        snprintf(n.w, sizeof n.w, "%sblock%d.%s.weight", prefix, b, part);
        snprintf(n.b, sizeof n.b, "%sblock%d.%s.bias", prefix, b, part);
    }
    return n;
}

/* "Same" padding as TensorFlow places it for even sizes: the odd pixel goes to the end. */
static void same_padding(int kernel, int stride, int pad[4]) {
    int total = kernel - stride;
    total = total > 0 ? total : 0;
    pad[0] = pad[1] = total / 2;
    pad[2] = pad[3] = total - total / 2;
}

static fw_val block_graph(fw_graph *g, const char *prefix, fw_val x, int i) {
    const block *b = &blocks[i];
    int pad[4];
    fw_val in = x;
    if (b->expand > 1) {
        names n = name_of(prefix, i, "expand");
        x = fw_linear(g, x, n.w, n.b, (int64_t)b->in * b->expand, FW_ACT_RELU6, FW_NONE);
    }
    same_padding(b->kernel, b->stride, pad);
    names n = name_of(prefix, i, "depthwise");
    x = fw_dwconv2d(g, x, n.w, n.b, b->kernel, b->kernel, b->stride, pad, FW_ACT_RELU6);
    n = name_of(prefix, i, "project");
    bool skip = b->stride == 1 && b->in == b->out;
    return fw_linear(g, x, n.w, n.b, b->out, FW_ACT_NONE, skip ? in : FW_NONE);
}

void fw_effnet_graph(fw_graph *g, const char *prefix, fw_val x, const int *taps, int n_tap, fw_val *out) {
    int pad[4], t = 0;
    names n = name_of(prefix, -1, "stem");
    same_padding(3, 2, pad);
    x = fw_conv2d(g, x, n.w, n.b, STEM, 3, 3, 2, pad, FW_ACT_RELU6, FW_NONE);
    for (int i = 0; i < FW_EFFNET_BLOCKS && t < n_tap; i++) {
        x = block_graph(g, prefix, x, i);
        if (taps[t] == i) {
            out[t++] = x;
        }
    }
    for (; t < n_tap; t++) {
        out[t] = FW_NONE; /* not ascending, or out of range */
    }
}

/* ---- the bulk runner ---- */

struct fw_vision_tower {
    fw_params *owned; /* NULL when the parameters are borrowed */
    fw_pool *pool;
    fw_graph *graph;
    int n_plan, n_tap, batch, image_size;
    fw_plan **plan; /* one a worker, each of one thread */
    fw_val image, tap[FW_TAP_MAX];
    size_t values[FW_TAP_MAX];
    char sha256[65];
    /* the call in progress */
    const uint8_t *rgb;
    int n_image;
    float *const *out_f32;
    uint16_t *const *out_f16;
    fw_err *errors; /* one a worker */
};

static fw_status open_plans(fw_vision_tower *t, fw_err *err) {
    t->plan = calloc((size_t)t->n_plan, sizeof(*t->plan));
    t->errors = calloc((size_t)t->n_plan, sizeof(*t->errors));
    if (t->plan == NULL || t->errors == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for %d plans", t->n_plan);
    }
    for (int i = 0; i < t->n_plan; i++) {
        fw_plan_opts o = {NULL, false, 0};
        FW_TRY(fw_plan_new(t->graph, &o, t->tap, t->n_tap, &t->plan[i], err));
    }
    return FW_OK;
}

static fw_status open_graph(fw_vision_tower *t, fw_params *params, const char *prefix, const fw_vision_opts *o,
                            fw_err *err) {
    for (int i = 0; i < o->n_tap; i++) {
        int size = 0, channels = 0;
        FW_TRY(fw_effnet_tap_shape(o->tap[i], o->image_size, &size, &channels, err));
        if (i > 0 && o->tap[i] <= o->tap[i - 1]) {
            return fw_fail(err, FW_INVALID, "taps must ascend: %d after %d", o->tap[i], o->tap[i - 1]);
        }
        t->values[i] = (size_t)size * (size_t)size * (size_t)channels;
    }
    FW_TRY(fw_graph_new(params, &t->graph, err));
    t->image = fw_input(t->graph, "image", FW_F32, FW_SHAPE_OF(t->batch, o->image_size, o->image_size, 3));
    fw_effnet_graph(t->graph, prefix, t->image, o->tap, o->n_tap, t->tap);
    FW_TRY(fw_graph_check(t->graph, err));
    if (t->owned != NULL) {
        fw_params_set_trainable(params, prefix, false);
    }
    return FW_OK;
}

/* Everything but the weights. */
static fw_status tower_new(fw_params *owned, fw_params *params, const char *prefix, const fw_vision_opts *o,
                           fw_vision_tower **out, fw_err *err) {
    if (o->n_tap < 1 || o->n_tap > FW_TAP_MAX) {
        return fw_fail(err, FW_INVALID, "%d taps, wanted 1 to %d", o->n_tap, FW_TAP_MAX);
    }
    fw_vision_tower *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a vision tower");
    }
    *out = t;
    t->owned = owned;
    t->pool = o->pool;
    t->n_plan = o->pool != NULL ? fw_pool_size(o->pool) : 1;
    t->batch = o->batch > 0 ? o->batch : 1;
    t->n_tap = o->n_tap;
    t->image_size = o->image_size;
    return open_graph(t, params, prefix, o, err);
}

fw_status fw_vision_tower_new(fw_params *params, const char *prefix, const fw_vision_opts *opts, fw_vision_tower **out,
                              fw_err *err) {
    fw_vision_tower *t = NULL;
    fw_status st = tower_new(NULL, params, prefix, opts, &t, err);
    if (st == FW_OK) {
        st = open_plans(t, err);
    }
    if (st != FW_OK) {
        fw_vision_tower_close(t);
        t = NULL;
    }
    *out = t;
    return st;
}

static fw_status default_path(char *out, size_t cap, fw_err *err) {
    FW_TRY(fw_path_join(out, cap, fw_home(), ".deps/towers/efficientnet_lite0.safetensors", err));
    if (!fw_path_exists(out)) {
        return fw_fail(err, FW_IO, "%s is missing: run  flywheel towers", out);
    }
    return FW_OK;
}

/* The hash of the original weights, as the conversion recorded it. */
static fw_status read_sha(const char *path, char out[65], fw_err *err) {
    fw_st *s = NULL;
    FW_TRY(fw_st_open(path, &s, err));
    const char *sha = fw_st_meta(s, "source_sha256");
    bool ok = sha != NULL && strlen(sha) == 64;
    if (ok) {
        memcpy(out, sha, 65);
    }
    fw_st_close(s);
    return ok ? FW_OK
              : fw_fail(err, FW_FORMAT, "%s: no source_sha256 of 64 digits: make it with  flywheel towers", path);
}

fw_status fw_vision_tower_open(const char *path, const fw_vision_opts *opts, fw_vision_tower **out, fw_err *err) {
    char found[4096];
    fw_params *params = NULL;
    fw_vision_tower *t = NULL;
    *out = NULL;
    if (path == NULL) {
        FW_TRY(default_path(found, sizeof found, err));
        path = found;
    }
    FW_TRY(fw_params_new(0, &params, err));
    fw_status st = tower_new(params, params, "", opts, &t, err);
    if (st == FW_OK) {
        st = fw_params_load(params, path, true, err);
    }
    if (st == FW_OK) {
        st = read_sha(path, t->sha256, err);
    }
    if (st == FW_OK) {
        st = open_plans(t, err); /* after loading: plans pack frozen weights */
    }
    if (st != FW_OK) {
        if (t != NULL) {
            fw_vision_tower_close(t);
        } else {
            fw_params_free(params);
        }
        return st;
    }
    *out = t;
    return FW_OK;
}

void fw_vision_tower_close(fw_vision_tower *t) {
    if (t == NULL) {
        return;
    }
    for (int i = 0; t->plan != NULL && i < t->n_plan; i++) {
        fw_plan_free(t->plan[i]);
    }
    free(t->plan);
    free(t->errors);
    fw_graph_free(t->graph);
    fw_params_free(t->owned);
    free(t);
}

const char *fw_vision_tower_sha256(const fw_vision_tower *t) {
    return t->sha256;
}

size_t fw_vision_tower_values(const fw_vision_tower *t, int i) {
    return t->values[i];
}

/* u8 -> x/127 - 1 */
static void scale_pixels(const uint8_t *rgb, float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)rgb[i] * (1.0f / 127.0f) - 1.0f;
    }
}

/* One plan's worth of images: from first on. */
static void run_some(void *ctx, int i, int worker) {
    fw_vision_tower *t = ctx;
    if (t->errors[worker].code != FW_OK) {
        return;
    }
    fw_plan *plan = t->plan[worker];
    int first = i * t->batch, n = t->n_image - first < t->batch ? t->n_image - first : t->batch;
    size_t pixels = (size_t)t->image_size * (size_t)t->image_size * 3;
    float *x = fw_plan_data(plan, t->image);
    scale_pixels(t->rgb + (size_t)first * pixels, x, (size_t)n * pixels);
    memset(x + (size_t)n * pixels, 0, (size_t)(t->batch - n) * pixels * sizeof *x);
    if (fw_plan_run(plan, &t->errors[worker]) != FW_OK) {
        return;
    }
    for (int k = 0; k < t->n_tap; k++) {
        size_t v = t->values[k], count = (size_t)n * v;
        const float *y = fw_plan_data(plan, t->tap[k]);
        if (t->out_f32 != NULL) {
            memcpy(t->out_f32[k] + (size_t)first * v, y, count * sizeof *y);
        } else {
            uint16_t *h = t->out_f16[k] + (size_t)first * v;
            for (size_t j = 0; j < count; j++) {
                h[j] = fw_f16_from_f32(y[j]);
            }
        }
    }
}

static fw_status run(fw_vision_tower *t, const uint8_t *rgb, int n, float *const *f32, uint16_t *const *f16,
                     fw_err *err) {
    if (n < 0 || (n > 0 && rgb == NULL)) {
        return fw_fail(err, FW_INVALID, "vision tower: %d images at %p", n, (const void *)rgb);
    }
    t->rgb = rgb;
    t->n_image = n;
    t->out_f32 = f32;
    t->out_f16 = f16;
    memset(t->errors, 0, (size_t)t->n_plan * sizeof *t->errors);
    int jobs = (n + t->batch - 1) / t->batch;
    if (t->pool != NULL && jobs > 1) {
        fw_pool_run(t->pool, jobs, run_some, t);
    } else {
        for (int i = 0; i < jobs; i++) {
            run_some(t, i, 0);
        }
    }
    for (int i = 0; i < t->n_plan; i++) {
        if (t->errors[i].code != FW_OK) {
            return fw_fail(err, t->errors[i].code, "vision tower: %s", t->errors[i].msg);
        }
    }
    return FW_OK;
}

fw_status fw_vision_tower_run(fw_vision_tower *t, const uint8_t *rgb, int n, float *const *out, fw_err *err) {
    return run(t, rgb, n, out, NULL, err);
}

fw_status fw_vision_tower_run_f16(fw_vision_tower *t, const uint8_t *rgb, int n, uint16_t *const *out, fw_err *err) {
    return run(t, rgb, n, NULL, out, err);
}

/* ---- conversion ---- */

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
    names name[CONVS];
    float *data[2 * CONVS];
    int n; /* convolutions */
} converted;

static fw_status convert_one(converted *v, const conv_source *c, int b, const char *part, fw_err *err) {
    size_t count = (size_t)c->o * (size_t)c->i * (size_t)c->kh * (size_t)c->kw;
    int at = 2 * v->n;
    float *w = malloc(count * sizeof *w), *bias = malloc((size_t)c->o * sizeof *bias);
    v->data[at] = w;
    v->data[at + 1] = bias;
    v->name[v->n] = name_of("", b, part);
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
    conv_source c = source_of(pth, -1, "_conv_stem", "_bn0", STEM, 3, 3, false);
    FW_TRY(convert_one(v, &c, -1, "stem", err));
    for (int i = 0; i < FW_EFFNET_BLOCKS; i++) {
        const block *b = &blocks[i];
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
    if (fw_path_exists(out_path) && read_sha(out_path, have, NULL) == FW_OK) {
        *current = strcmp(have, want) == 0;
    }
    return FW_OK;
}
