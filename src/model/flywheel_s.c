/* flywheel_s.c - the graph of flywheel-s; see flywheel_s.h for the parts and why there are two FiLMs */
#include "model/flywheel_s.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TIME_DIM 64

/* What every part needs while a graph is built. */
typedef struct builder {
    fw_graph *g;
    const fw_flywheel_cfg *cfg;
    int n_state, n_action;
    int64_t batch;
    bool train;
    fw_flywheel_io *io;
    fw_val words; /* [B, text_dim] what the sentence says, for FiLM and the MLP */
    char name[96];
} builder;

/* A name, valid until the next call. */
static const char *nm(builder *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(b->name, sizeof b->name, fmt, ap);
    va_end(ap);
    return b->name;
}

/* fw_linear with the weight and bias called "pi.<name>.weight" and ".bias". */
static fw_val linear(builder *b, fw_val x, const char *name, int64_t n, fw_act act, fw_val residual) {
    char w[128], bias[128];
    snprintf(w, sizeof w, "pi.%s.weight", name);
    snprintf(bias, sizeof bias, "pi.%s.bias", name);
    return fw_linear(b->g, x, w, bias, n, act, residual);
}

static fw_val layer_norm(builder *b, fw_val x, const char *name) {
    char w[128], bias[128];
    snprintf(w, sizeof w, "pi.%s.weight", name);
    snprintf(bias, sizeof bias, "pi.%s.bias", name);
    return fw_layer_norm(b->g, x, w, bias, 1e-5f);
}

static fw_val param(builder *b, const char *name, fw_shape shape, float std) {
    char w[128];
    snprintf(w, sizeof w, "pi.%s", name);
    return fw_param(b->g, w, shape, (fw_init){FW_INIT_NORMAL, std});
}

/* ---- the sentence ---- */

/* words = gelu(W pooled [+ attention of the sentence over its own tokens]) [B, text_dim] */
static fw_val sentence(builder *b) {
    fw_graph *g = b->g;
    fw_flywheel_io *io = b->io;
    int64_t dim = b->cfg->text_dim;
    io->text = fw_input(g, "text", FW_F32, FW_SHAPE_OF(b->batch, FW_TEXT_DIM));
    fw_val pooled = fw_dropout(g, io->text, b->cfg->dropout);
    if (!b->cfg->text_tokens) {
        return linear(b, pooled, "words", dim, FW_ACT_GELU, FW_NONE);
    }
    io->tokens = fw_input(g, "tokens", FW_F32, FW_SHAPE_OF(b->batch, FW_TEXT_TOKENS, FW_TEXT_DIM));
    io->lengths = fw_input(g, "lengths", FW_I32, FW_SHAPE_OF(b->batch));
    if (b->cfg->trunk == FW_TRUNK_TRANSFORMER) { /* its queries read the tokens themselves */
        return linear(b, pooled, "words", dim, FW_ACT_GELU, FW_NONE);
    }
    fw_val q =
        fw_reshape(g, linear(b, pooled, "words.query", dim, FW_ACT_NONE, FW_NONE), FW_SHAPE_OF(b->batch, 1, dim));
    fw_val k = linear(b, io->tokens, "words.key", dim, FW_ACT_NONE, FW_NONE);
    fw_val v = linear(b, io->tokens, "words.value", dim, FW_ACT_NONE, FW_NONE);
    fw_val read = fw_attention(g, q, k, v, 1, FW_MASK_LENGTH, io->lengths);
    read = fw_reshape(g, read, FW_SHAPE_OF(b->batch, dim));
    return fw_activation(g, linear(b, pooled, "words", dim, FW_ACT_NONE, read), FW_ACT_GELU);
}

/* relu(x * (1 + gamma(words)) + beta(words)), x [B,h,w,c] */
static fw_val film(builder *b, fw_val x, const char *name, int64_t c) {
    fw_val gb = linear(b, b->words, name, 2 * c, FW_ACT_NONE, FW_NONE);
    fw_val gamma = fw_slice(b->g, gb, 1, 0, c);
    fw_val beta = fw_slice(b->g, gb, 1, c, 2 * c);
    return fw_film(b->g, x, gamma, beta, FW_ACT_RELU);
}

/* ---- the eyes ---- */

/* Tower in the graph: [B,S,S,3] -> features normalised by frozen "pi.norm.*" (fw_flywheel_set_feature_norm). */
static void tower(builder *b, int cam, fw_val *out) {
    const fw_flywheel_cfg *cfg = b->cfg;
    b->io->image[cam] = fw_input(b->g, nm(b, "image.%s", cfg->camera[cam]), FW_F32,
                                 FW_SHAPE_OF(b->batch, cfg->image_size, cfg->image_size, 3));
    fw_effnet_graph(b->g, "tower.", b->io->image[cam], cfg->tap, cfg->n_tap, out);
    for (int t = 0; t < cfg->n_tap; t++) {
        int size = 0, channels = 1;
        (void)!fw_effnet_tap_shape(cfg->tap[t], cfg->image_size, &size, &channels, NULL); /* checked at the start */
        fw_val shift = fw_param(b->g, nm(b, "pi.norm.%s.%d.shift", cfg->camera[cam], cfg->tap[t]),
                                FW_SHAPE_OF(channels), (fw_init){FW_INIT_ZERO, 0.0f});
        fw_val scale = fw_param(b->g, nm(b, "pi.norm.%s.%d.scale", cfg->camera[cam], cfg->tap[t]),
                                FW_SHAPE_OF(channels), (fw_init){FW_INIT_ONE, 0.0f});
        out[t] = fw_mul(b->g, fw_add(b->g, out[t], shift), scale);
    }
}

/* One camera, one tap: features [B,h,w,C] -> [B,h,w,channels2 or channels1], twice bent by the sentence. */
static fw_val branch(builder *b, const char *view, fw_val x) {
    const fw_flywheel_cfg *cfg = b->cfg;
    x = linear(b, x, nm(b, "%s.conv1", view), cfg->channels1, FW_ACT_NONE, FW_NONE);
    x = film(b, x, nm(b, "%s.film1", view), cfg->channels1);
    if (cfg->channels2 == 0) {
        return x;
    }
    if (cfg->kernel2 == 1) {
        x = linear(b, x, nm(b, "%s.conv2", view), cfg->channels2, FW_ACT_NONE, FW_NONE);
    } else {
        char w[128], bias[128];
        snprintf(w, sizeof w, "pi.%s.conv2.weight", view);
        snprintf(bias, sizeof bias, "pi.%s.conv2.bias", view);
        x = fw_conv2d(b->g, x, w, bias, cfg->channels2, 3, 3, 1, (const int[4]){1, 1, 1, 1}, FW_ACT_NONE, FW_NONE);
    }
    return film(b, x, nm(b, "%s.film2", view), cfg->channels2);
}

/* All branches: out[i] [B,size,size,c], their names and sizes; returns how many. */
#define BRANCH_MAX (FW_CAM_MAX * FW_TAP_MAX)
static int branches(builder *b, fw_val *out, char (*view)[80], int *size) {
    const fw_flywheel_cfg *cfg = b->cfg;
    int n = 0;
    for (int c = 0; c < cfg->n_camera; c++) {
        fw_val seen[FW_TAP_MAX] = {FW_NONE, FW_NONE};
        if (cfg->train_tower) {
            tower(b, c, seen);
        }
        for (int t = 0; t < cfg->n_tap; t++, n++) {
            int channels = 1;
            (void)!fw_effnet_tap_shape(cfg->tap[t], cfg->image_size, &size[n], &channels, NULL);
            snprintf(view[n], sizeof view[n], "%s.%d", cfg->camera[c], cfg->tap[t]);
            if (!cfg->train_tower) {
                fw_shape s = FW_SHAPE_OF(b->batch, size[n], size[n], channels);
                b->io->feat[c][t] = seen[t] = fw_input(b->g, view[n], FW_F32, s);
            }
            fw_graph_segment(b->g, true);
            out[n] = branch(b, view[n], seen[t]);
            fw_graph_segment(b->g, false);
        }
    }
    return n;
}

/* ---- time of the flow head ---- */

static void time_embedding(float t, float *out) {
    for (int i = 0; i < TIME_DIM / 2; i++) {
        float w = expf(-6.907755f * (float)i / (TIME_DIM / 2 - 1)) * 1000.0f; /* 1000 .. 1 rad over t in [0, 1] */
        out[i] = sinf(t * w);
        out[TIME_DIM / 2 + i] = cosf(t * w);
    }
}

/* How a head turns a noisy chunk into a velocity: the only thing a trunk must offer for flow matching.
 * x [B,H,na], tz [B or 1, hidden] -> [B,H,na] */
typedef fw_val (*velocity_fn)(builder *b, const void *trunk, fw_val x, fw_val tz);

static void flow_train(builder *b, const void *trunk, velocity_fn velocity) {
    fw_graph *g = b->g;
    fw_flywheel_io *io = b->io;
    int64_t h = b->cfg->horizon;
    io->noise = fw_input(g, "noise", FW_F32, FW_SHAPE_OF(b->batch, h, b->n_action));
    io->time = fw_input(g, "time", FW_F32, FW_SHAPE_OF(b->batch, 1, 1));
    io->time_table = fw_input(g, "time_table", FW_F32, FW_SHAPE_OF(b->batch, TIME_DIM));
    fw_val way = fw_add(g, io->target, fw_scale(g, io->noise, -1.0f)); /* from the noise to the data */
    fw_val x = fw_add(g, io->noise, fw_mul(g, way, io->time));
    fw_val tz = linear(b, io->time_table, "head.time", b->cfg->hidden, FW_ACT_SILU, FW_NONE);
    io->pred = velocity(b, trunk, x, tz);
    io->loss = fw_mse_loss(g, io->pred, way, io->weight);
}

static void flow_infer(builder *b, const void *trunk, velocity_fn velocity) {
    fw_graph *g = b->g;
    fw_flywheel_io *io = b->io;
    int steps = b->cfg->flow_steps;
    io->noise = fw_input(g, "noise", FW_F32, FW_SHAPE_OF(b->batch, b->cfg->horizon, b->n_action));
    io->time_table = fw_input(g, "time_table", FW_F32, FW_SHAPE_OF(steps, TIME_DIM));
    fw_val tz = linear(b, io->time_table, "head.time", b->cfg->hidden, FW_ACT_SILU, FW_NONE); /* [steps, hidden] */
    fw_val x = io->noise;
    for (int i = 0; i < steps; i++) {
        fw_val v = velocity(b, trunk, x, fw_slice(g, tz, 0, i, i + 1));
        x = fw_add(g, x, fw_scale(g, v, 1.0f / (float)steps));
    }
    io->pred = x;
}

static void regress(builder *b, fw_val pred) {
    b->io->pred = pred;
    if (!b->train) {
        return;
    }
    b->io->loss = fw_l1_loss(b->g, pred, b->io->target, b->io->weight);
    if (b->cfg->head == FW_HEAD_L1_MSE) {
        fw_val square = fw_mse_loss(b->g, pred, b->io->target, b->io->weight);
        b->io->loss = fw_add(b->g, b->io->loss, fw_scale(b->g, square, 0.5f));
    }
}

static void finish_flow(builder *b, const void *trunk, velocity_fn velocity) {
    if (b->train) {
        flow_train(b, trunk, velocity);
    } else {
        flow_infer(b, trunk, velocity);
    }
}

/* ---- trunk: keypoints and an MLP ---- */

/* hidden layers name.0 ..: the first changes the width, the others add to their input */
static fw_val mlp(builder *b, fw_val x, const char *name, int layers) {
    for (int i = 0; i < layers; i++) {
        fw_graph_segment(b->g, true);
        x = linear(b, x, nm(b, "%s.%d", name, i), b->cfg->hidden, FW_ACT_GELU, i == 0 ? FW_NONE : x);
        x = fw_dropout(b->g, x, b->cfg->dropout);
    }
    fw_graph_segment(b->g, false);
    return x;
}

typedef struct keypoint_trunk {
    fw_val context; /* [B, hidden] */
} keypoint_trunk;

static fw_val keypoint_velocity(builder *b, const void *trunk, fw_val x, fw_val tz) {
    const keypoint_trunk *k = trunk;
    int64_t n = (int64_t)b->cfg->horizon * b->n_action;
    fw_val z = fw_reshape(b->g, x, FW_SHAPE_OF(b->batch, n));
    z = linear(b, z, "head.noisy", b->cfg->hidden, FW_ACT_NONE, k->context);
    z = fw_add(b->g, z, tz);
    for (int i = 0; i < 2; i++) {
        fw_val u = layer_norm(b, z, nm(b, "head.norm.%d", i));
        z = linear(b, u, nm(b, "head.mlp.%d", i), b->cfg->hidden, FW_ACT_GELU, z);
    }
    z = linear(b, z, "head.out", n, FW_ACT_NONE, FW_NONE);
    return fw_reshape(b->g, z, FW_SHAPE_OF(b->batch, b->cfg->horizon, b->n_action));
}

static void build_keypoint(builder *b) {
    const fw_flywheel_cfg *cfg = b->cfg;
    fw_val seen[BRANCH_MAX], parts[2 * BRANCH_MAX + 2];
    char view[BRANCH_MAX][80];
    int size[BRANCH_MAX], n = branches(b, seen, view, size), n_part = 0;
    for (int i = 0; i < n; i++) {
        fw_graph_segment(b->g, true);
        fw_val k = linear(b, seen[i], nm(b, "%s.points", view[i]), cfg->keypoints, FW_ACT_NONE, FW_NONE);
        k = fw_spatial_softmax(b->g, k); /* [B,K,2] */
        parts[n_part++] = fw_reshape(b->g, k, FW_SHAPE_OF(b->batch, 2 * (int64_t)cfg->keypoints));
        parts[n_part++] = fw_mean_pool(b->g, seen[i]);
    }
    fw_graph_segment(b->g, false);
    parts[n_part++] = b->io->state;
    parts[n_part++] = b->words;
    fw_val x = fw_concat(b->g, parts, n_part, 1);
    keypoint_trunk trunk = {mlp(b, x, "mlp", cfg->layers)};
    if (cfg->head == FW_HEAD_FLOW) {
        finish_flow(b, &trunk, keypoint_velocity);
        return;
    }
    x = linear(b, trunk.context, "out", (int64_t)cfg->horizon * b->n_action, FW_ACT_NONE, FW_NONE);
    regress(b, fw_reshape(b->g, x, FW_SHAPE_OF(b->batch, cfg->horizon, b->n_action)));
}

/* ---- trunk: a decoder whose queries read feature, state and word tokens ---- */

#define LAYERS_MAX 24
typedef struct decoder_trunk {
    fw_val key[LAYERS_MAX], value[LAYERS_MAX]; /* [B,T,hidden] of every layer, computed once for all flow steps */
    fw_val start;                              /* [B,H,hidden] queries */
} decoder_trunk;

/* [B,n] -> a token [B,1,hidden] */
static fw_val token(builder *b, fw_val x, const char *name) {
    x = linear(b, x, name, b->cfg->hidden, FW_ACT_NONE, FW_NONE);
    return fw_reshape(b->g, x, FW_SHAPE_OF(b->batch, 1, b->cfg->hidden));
}

static fw_val memory(builder *b) {
    const fw_flywheel_cfg *cfg = b->cfg;
    fw_val seen[BRANCH_MAX], parts[BRANCH_MAX + 3];
    char view[BRANCH_MAX][80];
    int size[BRANCH_MAX], n = branches(b, seen, view, size), keys = 0, n_part = 0;
    for (int i = 0; i < n; i++) {
        int64_t area = (int64_t)size[i] * size[i];
        fw_val x = linear(b, seen[i], nm(b, "%s.token", view[i]), cfg->hidden, FW_ACT_NONE, FW_NONE);
        x = fw_reshape(b->g, x, FW_SHAPE_OF(b->batch, area, cfg->hidden));
        parts[n_part++] =
            fw_add(b->g, x, param(b, nm(b, "%s.position", view[i]), FW_SHAPE_OF(area, cfg->hidden), 0.5f));
        keys += (int)area;
    }
    parts[n_part++] = token(b, b->io->state, "state.token");
    parts[n_part++] = token(b, b->words, "words.token");
    b->io->length_offset = keys + 2;
    if (cfg->text_tokens) { /* last, so that a length masks the padding */
        parts[n_part++] = linear(b, b->io->tokens, "tokens.token", cfg->hidden, FW_ACT_NONE, FW_NONE);
    }
    return layer_norm(b, fw_concat(b->g, parts, n_part, 1), "memory.norm");
}

static fw_val attend(builder *b, fw_val x, const char *name, fw_val k, fw_val v, fw_val lengths) {
    fw_val u = layer_norm(b, x, nm(b, "%s.norm", name));
    if (k == FW_NONE) { /* itself */
        k = linear(b, u, nm(b, "%s.key", name), b->cfg->hidden, FW_ACT_NONE, FW_NONE);
        v = linear(b, u, nm(b, "%s.value", name), b->cfg->hidden, FW_ACT_NONE, FW_NONE);
    }
    fw_val q = linear(b, u, nm(b, "%s.query", name), b->cfg->hidden, FW_ACT_NONE, FW_NONE);
    u = fw_attention(b->g, q, k, v, b->cfg->heads, lengths == FW_NONE ? FW_MASK_NONE : FW_MASK_LENGTH, lengths);
    return linear(b, u, nm(b, "%s.out", name), b->cfg->hidden, FW_ACT_NONE, x);
}

static fw_val decode(builder *b, const decoder_trunk *d, fw_val x) {
    for (int i = 0; i < b->cfg->layers; i++) {
        fw_graph_segment(b->g, true);
        x = attend(b, x, nm(b, "dec%d.self", i), FW_NONE, FW_NONE, FW_NONE);
        x = attend(b, x, nm(b, "dec%d.cross", i), d->key[i], d->value[i], b->io->lengths);
        fw_val u = layer_norm(b, x, nm(b, "dec%d.mlp.norm", i));
        u = linear(b, u, nm(b, "dec%d.mlp.up", i), 4 * (int64_t)b->cfg->hidden, FW_ACT_GELU, FW_NONE);
        u = fw_dropout(b->g, u, b->cfg->dropout);
        x = linear(b, u, nm(b, "dec%d.mlp.down", i), b->cfg->hidden, FW_ACT_NONE, x);
    }
    fw_graph_segment(b->g, false);
    return linear(b, layer_norm(b, x, "dec.norm"), "out", b->n_action, FW_ACT_NONE, FW_NONE);
}

static fw_val decoder_velocity(builder *b, const void *trunk, fw_val x, fw_val tz) {
    const decoder_trunk *d = trunk;
    x = linear(b, x, "head.noisy", b->cfg->hidden, FW_ACT_NONE, d->start);
    int64_t rows = fw_val_shape(b->g, tz) != NULL ? fw_val_shape(b->g, tz)->d[0] : 1; /* NULL after an earlier error */
    return decode(b, d, fw_add(b->g, x, fw_reshape(b->g, tz, FW_SHAPE_OF(rows, 1, b->cfg->hidden))));
}

static void build_transformer(builder *b) {
    const fw_flywheel_cfg *cfg = b->cfg;
    decoder_trunk d;
    fw_val mem = memory(b);
    for (int i = 0; i < cfg->layers; i++) {
        d.key[i] = linear(b, mem, nm(b, "dec%d.cross.key", i), cfg->hidden, FW_ACT_NONE, FW_NONE);
        d.value[i] = linear(b, mem, nm(b, "dec%d.cross.value", i), cfg->hidden, FW_ACT_NONE, FW_NONE);
    }
    fw_val rows[FW_HORIZON_MAX]; /* every row starts from the state, and differs by its own vector */
    fw_val state = token(b, b->io->state, "query.state");
    for (int i = 0; i < cfg->horizon; i++) {
        rows[i] = state;
    }
    d.start = fw_concat(b->g, rows, cfg->horizon, 1);
    d.start = fw_add(b->g, d.start, param(b, "query", FW_SHAPE_OF(cfg->horizon, cfg->hidden), 0.5f));
    if (cfg->head == FW_HEAD_FLOW) {
        finish_flow(b, &d, decoder_velocity);
        return;
    }
    regress(b, decode(b, &d, d.start));
}

/* ---- the whole ---- */

static fw_status check(const fw_flywheel_cfg *cfg, int n_state, int n_action, int64_t batch, fw_err *err) {
    if (n_state < 1 || n_state > 3 * FW_DIM_MAX || n_action < 1 || n_action > FW_DIM_MAX || batch < 1) {
        return fw_fail(err, FW_INVALID,
                       "flywheel-s: %d state and %d action values, batch %lld: wanted 1 to %d, batch >= 1", n_state,
                       n_action, (long long)batch, FW_DIM_MAX);
    }
    if (cfg->n_camera < 1 || cfg->n_camera > FW_CAM_MAX || cfg->n_tap < 1 || cfg->n_tap > FW_TAP_MAX) {
        return fw_fail(err, FW_INVALID, "flywheel-s: %d cameras, %d taps (is the config bound to an embodiment?)",
                       cfg->n_camera, cfg->n_tap);
    }
    if (cfg->horizon < 1 || cfg->horizon > FW_HORIZON_MAX || cfg->layers < 1 || cfg->layers > LAYERS_MAX) {
        return fw_fail(err, FW_INVALID, "flywheel-s: horizon %d, %d layers: wanted at most %d and %d", cfg->horizon,
                       cfg->layers, FW_HORIZON_MAX, LAYERS_MAX);
    }
    for (int t = 0; t < cfg->n_tap; t++) {
        int size = 0, channels = 0;
        FW_TRY(fw_effnet_tap_shape(cfg->tap[t], cfg->image_size, &size, &channels, err));
    }
    return FW_OK;
}

fw_status fw_flywheel_build(fw_graph *g, const fw_flywheel_cfg *cfg, int n_state, int n_action, int64_t batch,
                            bool train, fw_flywheel_io *io, fw_err *err) {
    FW_TRY(check(cfg, n_state, n_action, batch, err));
    *io = (fw_flywheel_io){.batch = batch,
                           .n_camera = cfg->n_camera,
                           .n_tap = cfg->n_tap,
                           .chunk_values = cfg->horizon * n_action,
                           .flow_steps = cfg->flow_steps};
    for (int c = 0; c < FW_CAM_MAX; c++) {
        io->image[c] = FW_NONE;
        for (int t = 0; t < FW_TAP_MAX; t++) {
            io->feat[c][t] = FW_NONE;
        }
    }
    io->tokens = io->lengths = io->target = io->weight = io->noise = io->time = io->time_table = io->loss = FW_NONE;
    builder b = {g, cfg, n_state, n_action, batch, train, io, FW_NONE, ""};
    io->state = fw_input(g, "state", FW_F32, FW_SHAPE_OF(batch, n_state));
    if (train) {
        io->target = fw_input(g, "target", FW_F32, FW_SHAPE_OF(batch, cfg->horizon, n_action));
        io->weight = fw_input(g, "weight", FW_F32, FW_SHAPE_OF(batch, cfg->horizon));
    }
    b.words = sentence(&b);
    if (cfg->trunk == FW_TRUNK_KEYPOINT) {
        build_keypoint(&b);
    } else {
        build_transformer(&b);
    }
    return fw_graph_check(g, err);
}

fw_status fw_flywheel_set_feature_norm(fw_params *params, const fw_flywheel_cfg *cfg, const fw_stats *stats,
                                       fw_err *err) {
    for (int i = 0; i < cfg->n_camera * cfg->n_tap; i++) {
        const char *camera = cfg->camera[i / cfg->n_tap];
        int block = cfg->tap[i % cfg->n_tap];
        char key[128];
        snprintf(key, sizeof key, "pi.norm.%s.%d.shift", camera, block);
        fw_parameter *shift = fw_params_find(params, key);
        snprintf(key, sizeof key, "pi.norm.%s.%d.scale", camera, block);
        fw_parameter *scale = fw_params_find(params, key);
        if (shift == NULL || scale == NULL) {
            return fw_fail(err, FW_INVALID, "no parameter '%s': build with train_tower first", key);
        }
        snprintf(key, sizeof key, "features.%s.%d", camera, block);
        fw_stat st;
        fw_norm nm;
        FW_TRY(fw_stats_get(stats, key, (int)shift->shape.d[0], &st, err));
        FW_TRY(fw_norm_make(&st, FW_NORM_MEAN_STD, NULL, &nm, err));
        for (int c = 0; c < nm.n; c++) {
            shift->data[c] = -nm.shift[c];
            scale->data[c] = nm.scale[c];
        }
        fw_norm_clear(&nm);
        shift->trainable = scale->trainable = false;
    }
    return FW_OK;
}

void fw_flywheel_put_text(fw_plan *plan, const fw_flywheel_io *io, int64_t b, const fw_text_features *f) {
    float *text = fw_plan_data(plan, io->text);
    memcpy(text + b * FW_TEXT_DIM, f->pooled, sizeof f->pooled);
    if (io->tokens != FW_NONE) {
        float *tokens = fw_plan_data(plan, io->tokens);
        memcpy(tokens + b * FW_TEXT_TOKENS * FW_TEXT_DIM, f->tokens, sizeof f->tokens);
        int32_t *lengths = fw_plan_data(plan, io->lengths);
        lengths[b] = io->length_offset + f->n_token;
    }
}

void fw_flywheel_fill(fw_plan *plan, const fw_flywheel_io *io, fw_rng *rng) {
    if (io->noise == FW_NONE) {
        return;
    }
    float *noise = fw_plan_data(plan, io->noise);
    int64_t n = io->batch * io->chunk_values;
    for (int64_t i = 0; i < n; i++) {
        noise[i] = (float)fw_rng_normal(rng);
    }
    float *table = fw_plan_data(plan, io->time_table);
    if (io->time == FW_NONE) { /* inference: the times are the steps */
        for (int i = 0; i < io->flow_steps; i++) {
            time_embedding((float)i / (float)io->flow_steps, table + i * TIME_DIM);
        }
        return;
    }
    float *time = fw_plan_data(plan, io->time);
    for (int64_t b = 0; b < io->batch; b++) {
        time[b] = (float)fw_rng_unit(rng);
        time_embedding(time[b], table + b * TIME_DIM);
    }
}
