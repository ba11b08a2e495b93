/* act.c - see act.h. Names are LeRobot's (policies/act); positions are added to queries and keys of every layer, never to values. */
#include "model/act.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct builder {
    fw_graph *g;
    const fw_lerobot_config *c;
    int64_t batch;
    bool train;
    fw_act_io *io;
} builder;

#define NAME_MAX_ 128
/* "model." + the words, into a buffer of NAME_MAX_. */
static const char *named(char out[NAME_MAX_], const char *fmt, ...) FW_PRINTF(2, 3);
static const char *named(char out[NAME_MAX_], const char *fmt, ...) {
    va_list ap;
    strcpy(out, "model.");
    va_start(ap, fmt);
    vsnprintf(out + 6, NAME_MAX_ - 6, fmt, ap);
    va_end(ap);
    return out;
}

static fw_val linear(builder *b, fw_val x, const char *name, int64_t n, fw_act act, fw_val residual) {
    char w[NAME_MAX_], bias[NAME_MAX_];
    return fw_linear(b->g, x, named(w, "%s.weight", name), named(bias, "%s.bias", name), n, act, residual);
}

static fw_val norm(builder *b, fw_val x, const char *prefix, const char *name) {
    char w[NAME_MAX_], bias[NAME_MAX_];
    return fw_layer_norm(b->g, x, named(w, "%s.%s.weight", prefix, name), named(bias, "%s.%s.bias", prefix, name),
                         1e-5f);
}

static fw_val param(builder *b, const char *name, fw_shape shape) {
    char w[NAME_MAX_];
    return fw_param(b->g, named(w, "%s", name), shape, (fw_init){FW_INIT_NORMAL, 1.0f});
}

/* A picture, a vector, ... as one token or several: [B,n,width]. */
static fw_val tokens(builder *b, fw_val x, int64_t n) {
    return fw_reshape(b->g, x, FW_SHAPE_OF(b->batch, n, b->c->act.width));
}

/* ---- backbone: ResNet-18 or -34 (arXiv 1512.03385) with frozen batch norms ---- */

/* act(norm(conv(x)) + residual), k x k, x [B,h,w,c] -> [B,h',w',o] */
static fw_val conv(builder *b, fw_val x, const char *at, const char *conv_name, const char *bn_name, int64_t o, int k,
                   int stride, fw_act act, fw_val residual) {
    char w[NAME_MAX_], scale[NAME_MAX_], shift[NAME_MAX_];
    const int p = k / 2, pad[4] = {p, p, p, p};
    fw_act inside = residual == FW_NONE ? act : FW_ACT_NONE;
    named(w, "backbone.%s%s.weight", at, conv_name);
    named(scale, "backbone.%s%s.scale", at, bn_name);
    named(shift, "backbone.%s%s.shift", at, bn_name);
    if (!b->train) {
        x = k == 3 && stride == 1 ? fw_conv3x3(b->g, x, w, shift, o, inside, residual)
                                  : fw_conv2d(b->g, x, w, shift, o, k, k, stride, pad, inside, residual);
        return inside == act ? x : fw_activation(b->g, x, act);
    }
    x = fw_conv2d(b->g, x, w, NULL, o, k, k, stride, pad, FW_ACT_NONE, FW_NONE);
    x = fw_mul(b->g, x, fw_param(b->g, scale, FW_SHAPE_OF(o), (fw_init){FW_INIT_ONE, 0}));
    x = fw_add(b->g, x, fw_param(b->g, shift, FW_SHAPE_OF(o), (fw_init){FW_INIT_ZERO, 0}));
    x = residual == FW_NONE ? x : fw_add(b->g, x, residual);
    return act == FW_ACT_NONE ? x : fw_activation(b->g, x, act);
}

/* The block layer<stage>.<i>., which halves the picture when it begins a stage after the first. */
static fw_val block(builder *b, fw_val x, int stage, int i, int64_t o) {
    char at[32];
    int stride = stage > 1 && i == 0 ? 2 : 1;
    snprintf(at, sizeof at, "layer%d.%d.", stage, i);
    fw_val y = conv(b, x, at, "conv1", "bn1", o, 3, stride, FW_ACT_RELU, FW_NONE);
    if (stride == 2) {
        x = conv(b, x, at, "downsample.0", "downsample.1", o, 1, 2, FW_ACT_NONE, FW_NONE);
    }
    return conv(b, y, at, "conv2", "bn2", o, 3, 1, FW_ACT_RELU, x);
}

static fw_val backbone(builder *b, fw_val x) {
    static const int blocks18[] = {2, 2, 2, 2}, blocks34[] = {3, 4, 6, 3};
    const int *blocks = b->c->act.resnet == 18 ? blocks18 : blocks34, pad[4] = {1, 1, 1, 1};
    int64_t width = b->c->act.backbone_width;
    x = conv(b, x, "", "conv1", "bn1", width, 7, 2, FW_ACT_RELU, FW_NONE);
    x = fw_max_pool(b->g, x, 3, 2, pad);
    for (int stage = 1; stage <= 4; stage++) {
        for (int i = 0; i < blocks[stage - 1]; i++) {
            fw_graph_segment(b->g, true);
            x = block(b, x, stage, i, width << (stage - 1));
        }
    }
    fw_graph_segment(b->g, false);
    return x;
}

/* ---- transformer ---- */

/* residual + dropout(linear(x)) */
static fw_val linear_add(builder *b, fw_val x, const char *name, fw_val residual) {
    float p = (float)b->c->act.dropout;
    if (!b->train || p == 0.0f) {
        return linear(b, x, name, b->c->act.width, FW_ACT_NONE, residual);
    }
    x = linear(b, x, name, b->c->act.width, FW_ACT_NONE, FW_NONE);
    return fw_add(b->g, residual, fw_dropout(b->g, x, p));
}

/* One third of a fused projection. */
static fw_val project(builder *b, fw_val x, const char *at, char part) {
    char w[NAME_MAX_], bias[NAME_MAX_];
    return fw_linear(b->g, x, named(w, "%s.in_proj_weight.%c", at, part), named(bias, "%s.in_proj_bias.%c", at, part),
                     b->c->act.width, FW_ACT_NONE, FW_NONE);
}

/* residual + attention of q over k and v, [B,T,width] each; lengths FW_NONE: all keys are seen */
static fw_val attend(builder *b, const char *prefix, const char *name, fw_val q, fw_val k, fw_val v, fw_val lengths,
                     fw_val residual) {
    char at[NAME_MAX_], out[NAME_MAX_ + 16];
    snprintf(at, sizeof at, "%s.%s", prefix, name);
    snprintf(out, sizeof out, "%s.out_proj", at);
    fw_mask mask = lengths == FW_NONE ? FW_MASK_NONE : FW_MASK_LENGTH;
    fw_val a = fw_attention(b->g, project(b, q, at, 'q'), project(b, k, at, 'k'), project(b, v, at, 'v'),
                            b->c->act.heads, mask, lengths);
    return linear_add(b, a, out, residual);
}

/* residual + the two linear layers of x */
static fw_val feed_forward(builder *b, const char *prefix, fw_val x, fw_val residual) {
    char one[NAME_MAX_], two[NAME_MAX_];
    snprintf(one, sizeof one, "%s.linear1", prefix);
    snprintf(two, sizeof two, "%s.linear2", prefix);
    x = linear(b, x, one, b->c->act.mlp, b->c->act.gelu ? FW_ACT_GELU : FW_ACT_RELU, FW_NONE);
    return linear_add(b, fw_dropout(b->g, x, (float)b->c->act.dropout), two, residual);
}

static fw_val encoder_layer(builder *b, const char *at, fw_val x, fw_val pos, fw_val lengths) {
    bool pre = b->c->act.pre_norm;
    fw_val in = pre ? norm(b, x, at, "norm1") : x;
    fw_val qk = fw_add(b->g, in, pos);
    x = attend(b, at, "self_attn", qk, qk, in, lengths, x);
    x = pre ? x : norm(b, x, at, "norm1");
    in = pre ? norm(b, x, at, "norm2") : x;
    x = feed_forward(b, at, in, x);
    return pre ? x : norm(b, x, at, "norm2");
}

/* name "encoder" or "vae_encoder"; x [B,T,width], pos broadcast to it */
static fw_val encoder(builder *b, const char *name, int layers, fw_val x, fw_val pos, fw_val lengths) {
    char at[64];
    for (int i = 0; i < layers; i++) {
        snprintf(at, sizeof at, "%s.layers.%d", name, i);
        fw_graph_segment(b->g, true);
        x = encoder_layer(b, at, x, pos, lengths);
    }
    fw_graph_segment(b->g, false);
    return b->c->act.pre_norm ? norm(b, x, name, "norm") : x;
}

/* x [B,chunk,width]; query_pos [chunk,width]; memory [B,T,width]; key = memory + its positions */
static fw_val decoder_layer(builder *b, const char *at, fw_val x, fw_val query_pos, fw_val key, fw_val memory) {
    bool pre = b->c->act.pre_norm;
    fw_val in = pre ? norm(b, x, at, "norm1") : x;
    fw_val qk = fw_add(b->g, in, query_pos);
    x = attend(b, at, "self_attn", qk, qk, in, FW_NONE, x);
    x = pre ? x : norm(b, x, at, "norm1");
    in = pre ? norm(b, x, at, "norm2") : x;
    x = attend(b, at, "multihead_attn", fw_add(b->g, in, query_pos), key, memory, FW_NONE, x);
    x = pre ? x : norm(b, x, at, "norm2");
    in = pre ? norm(b, x, at, "norm3") : x;
    x = feed_forward(b, at, in, x);
    return pre ? x : norm(b, x, at, "norm3");
}

static fw_val decoder(builder *b, fw_val memory, fw_val pos) {
    const fw_act_config *a = &b->c->act;
    char at[64];
    fw_val query_pos = param(b, "decoder_pos_embed.weight", FW_SHAPE_OF(b->c->chunk, a->width));
    fw_val key = fw_add(b->g, memory, pos);
    fw_val x = b->io->zeros = fw_input(b->g, "queries", FW_F32, FW_SHAPE_OF(b->batch, b->c->chunk, a->width));
    for (int i = 0; i < a->decoder_layers; i++) {
        snprintf(at, sizeof at, "decoder.layers.%d", i);
        fw_graph_segment(b->g, true);
        x = decoder_layer(b, at, x, query_pos, key, memory);
    }
    fw_graph_segment(b->g, false);
    return norm(b, x, "decoder", "norm");
}

/* ---- what it reads ---- */

static fw_val vector_input(builder *b, const char *name, fw_feature_kind kind) {
    const fw_lerobot_feature *f = fw_lerobot_input(b->c, kind);
    return f == NULL ? FW_NONE : fw_input(b->g, name, FW_F32, FW_SHAPE_OF(b->batch, f->shape[0]));
}

static void add_inputs(builder *b) {
    fw_act_io *io = b->io;
    io->state = vector_input(b, "state", FW_FEATURE_STATE);
    io->env = vector_input(b, "env", FW_FEATURE_ENV);
    for (int i = 0; i < b->c->n_input; i++) {
        const fw_lerobot_feature *f = &b->c->input[i];
        if (f->kind == FW_FEATURE_VISUAL) {
            io->image[io->n_camera++] =
                fw_input(b->g, f->key, FW_F32, FW_SHAPE_OF(b->batch, f->shape[1], f->shape[2], 3));
        }
    }
}

/* The tokens of camera i and their positions, [B,h*w,width] and [h*w,width]. */
static fw_val camera(builder *b, int i, fw_val *pos) {
    char w[NAME_MAX_], bias[NAME_MAX_];
    const int none[4] = {0, 0, 0, 0};
    int64_t width = b->c->act.width;
    fw_val map = b->io->map[i] = backbone(b, b->io->image[i]);
    if (map == FW_NONE) {
        return FW_NONE;
    }
    const fw_shape s = *fw_val_shape(b->g, map);
    b->io->map_h[i] = (int)s.d[1];
    b->io->map_w[i] = (int)s.d[2];
    *pos = b->io->grid[i] = fw_input(b->g, "grid", FW_F32, FW_SHAPE_OF(s.d[1] * s.d[2], width));
    map = fw_conv2d(b->g, map, named(w, "encoder_img_feat_input_proj.weight"),
                    named(bias, "encoder_img_feat_input_proj.bias"), width, 1, 1, 1, none, FW_ACT_NONE, FW_NONE);
    return tokens(b, map, s.d[1] * s.d[2]);
}

/* All tokens, [B,n,width], and their positions, [n,width]. */
static fw_val read_all(builder *b, fw_val latent, fw_val *pos) {
    const int64_t width = b->c->act.width;
    fw_val t[FW_LEROBOT_FEATURES + 3], p[FW_LEROBOT_FEATURES + 1];
    int n = 0, n_pos = 1;
    fw_graph_exact(b->g, true); /* small, and everything hangs on them */
    t[n++] = tokens(b, linear(b, latent, "encoder_latent_input_proj", width, FW_ACT_NONE, FW_NONE), 1);
    if (b->io->state != FW_NONE) {
        t[n++] = tokens(b, linear(b, b->io->state, "encoder_robot_state_input_proj", width, FW_ACT_NONE, FW_NONE), 1);
    }
    if (b->io->env != FW_NONE) {
        t[n++] = tokens(b, linear(b, b->io->env, "encoder_env_state_input_proj", width, FW_ACT_NONE, FW_NONE), 1);
    }
    fw_graph_exact(b->g, false);
    p[0] = param(b, "encoder_1d_feature_pos_embed.weight", FW_SHAPE_OF(n, width));
    for (int i = 0; i < b->io->n_camera; i++) {
        t[n++] = camera(b, i, &p[n_pos++]);
    }
    *pos = n_pos == 1 ? p[0] : fw_concat(b->g, p, n_pos, 0);
    return n == 1 ? t[0] : fw_concat(b->g, t, n, 1);
}

/* ---- the conditional VAE, in training ---- */

/* Mean and log variance of the latent, [B,2 latent], from [a learnt token, state, actions]. */
static fw_val posterior(builder *b) {
    fw_act_io *io = b->io;
    const fw_act_config *a = &b->c->act;
    char table[NAME_MAX_];
    fw_val t[3];
    int n = 0;
    io->first_id = fw_input(b->g, "first_id", FW_I32, FW_SHAPE_OF(b->batch, 1));
    t[n++] = fw_embedding(b->g, io->first_id, named(table, "vae_encoder_cls_embed.weight"), 1, a->width);
    if (io->state != FW_NONE) {
        t[n++] =
            tokens(b, linear(b, io->state, "vae_encoder_robot_state_input_proj", a->width, FW_ACT_NONE, FW_NONE), 1);
    }
    t[n++] = linear(b, io->action, "vae_encoder_action_input_proj", a->width, FW_ACT_NONE, FW_NONE);
    io->lengths = fw_input(b->g, "lengths", FW_I32, FW_SHAPE_OF(b->batch));
    fw_val pos = param(b, "vae_encoder_pos_enc", FW_SHAPE_OF(1, b->c->chunk + n - 1, a->width));
    fw_val x = encoder(b, "vae_encoder", a->vae_layers, fw_concat(b->g, t, n, 1), pos, io->lengths);
    x = fw_reshape(b->g, fw_slice(b->g, x, 1, 0, 1), FW_SHAPE_OF(b->batch, a->width));
    return linear(b, x, "vae_encoder_latent_output_proj", 2 * a->latent, FW_ACT_NONE, FW_NONE);
}

/* KL(posterior || standard normal) = latent / 2 * mean(exp(s) - 1 + mu^2 - s), s the log variance */
static fw_val divergence(builder *b, fw_val mu, fw_val s) {
    fw_graph *g = b->g;
    int64_t latent = b->c->act.latent;
    b->io->minus_one = fw_input(g, "minus_one", FW_F32, FW_SHAPE_OF(latent));
    fw_val x = fw_add(g, fw_activation(g, s, FW_ACT_EXP), b->io->minus_one);
    x = fw_add(g, x, fw_mul(g, mu, mu));
    x = fw_add(g, x, fw_scale(g, s, -1.0f));
    return fw_scale(g, fw_mean(g, x), 0.5f * (float)latent);
}

/* The latent, [B,latent]. */
static fw_val draw_latent(builder *b) {
    fw_graph *g = b->g;
    fw_act_io *io = b->io;
    int64_t latent = b->c->act.latent;
    if (!b->train || !b->c->act.use_vae) {
        return io->no_latent = fw_input(g, "no_latent", FW_F32, FW_SHAPE_OF(b->batch, latent));
    }
    io->posterior = posterior(b);
    io->eps = fw_input(g, "eps", FW_F32, FW_SHAPE_OF(b->batch, latent));
    fw_val mu = fw_slice(g, io->posterior, 1, 0, latent), s = fw_slice(g, io->posterior, 1, latent, 2 * latent);
    io->kl = divergence(b, mu, s);
    fw_val std = fw_activation(g, fw_scale(g, s, 0.5f), FW_ACT_EXP);
    return fw_add(g, mu, fw_mul(g, std, io->eps));
}

static void add_loss(builder *b) {
    fw_act_io *io = b->io;
    io->weight = fw_input(b->g, "weight", FW_F32, FW_SHAPE_OF(b->batch, b->c->chunk));
    io->l1 = io->loss = fw_l1_loss(b->g, io->chunk, io->action, io->weight);
    if (io->kl != FW_NONE) {
        io->loss = fw_add(b->g, io->l1, fw_scale(b->g, io->kl, (float)b->c->act.kl_weight));
    }
}

static void no_values(fw_act_io *io, int64_t batch) {
    memset(io, 0, sizeof *io);
    io->batch = batch;
    fw_val *singles[] = {&io->state,   &io->env,     &io->action,    &io->weight,   &io->lengths,  &io->eps,
                         &io->encoder, &io->decoder, &io->posterior, &io->chunk,    &io->l1,       &io->kl,
                         &io->loss,    &io->zeros,   &io->no_latent, &io->first_id, &io->minus_one};
    for (size_t i = 0; i < sizeof singles / sizeof *singles; i++) {
        *singles[i] = FW_NONE;
    }
    for (int i = 0; i < FW_LEROBOT_FEATURES; i++) {
        io->image[i] = io->map[i] = io->grid[i] = FW_NONE;
    }
}

fw_status fw_act_build(fw_graph *g, const fw_lerobot_config *c, int64_t batch, bool train, fw_act_io *io, fw_err *err) {
    builder b = {g, c, batch, train, io};
    fw_val pos = FW_NONE;
    const int64_t n_action = fw_lerobot_output(c, FW_FEATURE_ACTION)->shape[0];
    no_values(io, batch);
    add_inputs(&b);
    if (train) {
        io->action = fw_input(g, "action", FW_F32, FW_SHAPE_OF(batch, c->chunk, n_action));
    }
    fw_val all = read_all(&b, draw_latent(&b), &pos);
    io->encoder = encoder(&b, "encoder", c->act.encoder_layers, all, pos, FW_NONE);
    io->decoder = decoder(&b, io->encoder, pos);
    fw_graph_exact(g, true);
    io->chunk = linear(&b, io->decoder, "action_head", n_action, FW_ACT_NONE, FW_NONE);
    fw_graph_exact(g, false);
    if (train) {
        add_loss(&b);
    }
    return fw_graph_check(g, err);
}

int fw_act_seen(const fw_act_io *io, int n) {
    return n + 1 + (io->state != FW_NONE);
}

/* ---- constants ---- */

/* Angles of row (or column) i of n for `half` channels, sines and cosines in turn. */
static void wave(int i, int n, int half, float *out) {
    double at = (i + 1.0) / (n + 1e-6) * 2.0 * 3.14159265358979323846;
    for (int c = 0; c < half; c++) {
        double angle = at / pow(10000.0, 2.0 * (c / 2) / half);
        out[c] = (float)(c % 2 == 0 ? sin(angle) : cos(angle));
    }
}

/* Pixels have positions in two dimensions, the first half of the channels for y (DETR, arXiv 2005.12872). */
static void fill_grid(float *out, int h, int w, int width) {
    for (int i = 0; i < h * w; i++) {
        wave(i / w, h, width / 2, out + (size_t)i * (size_t)width);
        wave(i % w, w, width / 2, out + (size_t)i * (size_t)width + width / 2);
    }
}

static void fill_with(fw_plan *plan, fw_val v, size_t n, float x) {
    float *p = v == FW_NONE ? NULL : fw_plan_data(plan, v);
    for (size_t i = 0; p != NULL && i < n; i++) {
        p[i] = x;
    }
}

void fw_act_fill(fw_plan *plan, const fw_lerobot_config *c, const fw_act_io *io) {
    const size_t rows = (size_t)io->batch, width = (size_t)c->act.width;
    for (int i = 0; i < io->n_camera; i++) {
        float *grid = fw_plan_data(plan, io->grid[i]);
        if (grid != NULL) {
            fill_grid(grid, io->map_h[i], io->map_w[i], c->act.width);
        }
    }
    fill_with(plan, io->zeros, rows * (size_t)c->chunk * width, 0.0f);
    fill_with(plan, io->no_latent, rows * (size_t)c->act.latent, 0.0f);
    fill_with(plan, io->minus_one, (size_t)c->act.latent, -1.0f);
    int32_t *id = io->first_id == FW_NONE ? NULL : fw_plan_data(plan, io->first_id);
    for (size_t i = 0; id != NULL && i < rows; i++) {
        id[i] = 0;
    }
}
