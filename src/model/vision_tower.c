/* vision_tower.c - EfficientNet-Lite0: the graph and the bulk runner */
#include "model/vision_tower.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/effnet_int.h"
#include "model/normalize.h"
#include "tensor/safetensors.h"

/* "Same" padding as TensorFlow places it for even sizes: the odd pixel goes to the end. */
static void same_padding(int kernel, int stride, int pad[4]) {
    int total = kernel - stride;
    total = total > 0 ? total : 0;
    pad[0] = pad[1] = total / 2;
    pad[2] = pad[3] = total - total / 2;
}

static fw_val block_graph(fw_graph *g, const char *prefix, fw_val x, int i) {
    const effnet_block *b = &effnet_blocks[i];
    int pad[4];
    fw_val in = x;
    if (b->expand > 1) {
        effnet_names n = effnet_name(prefix, i, "expand");
        x = fw_linear(g, x, n.w, n.b, (int64_t)b->in * b->expand, FW_ACT_RELU6, FW_NONE);
    }
    same_padding(b->kernel, b->stride, pad);
    effnet_names n = effnet_name(prefix, i, "depthwise");
    x = fw_dwconv2d(g, x, n.w, n.b, b->kernel, b->kernel, b->stride, pad, FW_ACT_RELU6);
    n = effnet_name(prefix, i, "project");
    bool skip = b->stride == 1 && b->in == b->out;
    return fw_linear(g, x, n.w, n.b, b->out, FW_ACT_NONE, skip ? in : FW_NONE);
}

void fw_effnet_graph(fw_graph *g, const char *prefix, fw_val x, const int *taps, int n_tap, fw_val *out) {
    int pad[4], t = 0;
    effnet_names n = effnet_name(prefix, -1, "stem");
    same_padding(3, 2, pad);
    x = fw_conv2d(g, x, n.w, n.b, EFFNET_STEM, 3, 3, 2, pad, FW_ACT_RELU6, FW_NONE);
    for (int i = 0; i < FW_EFFNET_BLOCKS && t < n_tap; i++) {
        fw_graph_segment(g, true);
        x = block_graph(g, prefix, x, i);
        if (taps[t] == i) {
            out[t++] = x;
        }
    }
    fw_graph_segment(g, false);
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
    fw_precision precision;
    const fw_watch *watch;
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
        fw_plan_opts o = {.precision = t->precision, .watch = t->watch};
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
    t->precision = o->precision;
    t->watch = o->watch;
    return open_graph(t, params, prefix, o, err);
}

fw_status fw_vision_tower_new(fw_params *params, const char *prefix, const fw_vision_opts *opts, fw_vision_tower **out,
                              fw_err *err) {
    fw_vision_tower *t = NULL;
    fw_status st = tower_new(NULL, params, prefix, opts, &t, err);
    if (st == FW_OK) {
        st = fw_int8_apply(opts->int8, t->graph, err);
    }
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
    if (st == FW_OK && t != NULL) { /* never NULL here, which gcc -O3 cannot know */
        st = effnet_read_sha(path, t->sha256, err);
    }
    if (st == FW_OK && t != NULL) {
        st = fw_int8_apply(opts->int8, t->graph, err);
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

void fw_vision_tower_profile(fw_vision_tower *t, bool on) {
    fw_plan_profile(t->plan[0], on);
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
