/* siglip.c - see siglip.h */
#include "model/siglip.h"

#include <stdio.h>

enum { NAME = 160 };
#define EPS 1e-6f

typedef struct tower {
    fw_graph *g;
    const char *prefix;
    const fw_vision_size *v;
    int layer;
    char w[NAME], b[NAME]; /* of name() */
} tower;

static void name(tower *t, const char *part) {
    snprintf(t->w, NAME, "%s.encoder.layers.%d.%s.weight", t->prefix, t->layer, part);
    snprintf(t->b, NAME, "%s.encoder.layers.%d.%s.bias", t->prefix, t->layer, part);
}

static fw_val linear(tower *t, const char *part, fw_val x, int64_t n, fw_act act, fw_val residual) {
    name(t, part);
    return fw_linear(t->g, x, t->w, t->b, n, act, residual);
}

static fw_val norm(tower *t, const char *part, fw_val x) {
    name(t, part);
    return fw_layer_norm(t->g, x, t->w, t->b, EPS);
}

static fw_val block(tower *t, fw_val x) {
    const int width = t->v->width;
    fw_val h = norm(t, "layer_norm1", x);
    fw_val q = linear(t, "self_attn.q_proj", h, width, FW_ACT_NONE, FW_NONE);
    fw_val k = linear(t, "self_attn.k_proj", h, width, FW_ACT_NONE, FW_NONE);
    fw_val v = linear(t, "self_attn.v_proj", h, width, FW_ACT_NONE, FW_NONE);
    h = fw_attention(t->g, q, k, v, t->v->heads, FW_MASK_NONE, FW_NONE);
    x = linear(t, "self_attn.out_proj", h, width, FW_ACT_NONE, x);
    h = linear(t, "mlp.fc1", norm(t, "layer_norm2", x), t->v->mlp, FW_ACT_GELU_TANH, FW_NONE);
    return linear(t, "mlp.fc2", h, width, FW_ACT_NONE, x);
}

fw_val fw_siglip(fw_graph *g, const char *prefix, const fw_vision_size *v, fw_val image) {
    static const int no_pad[4] = {0, 0, 0, 0};
    tower t = {.g = g, .prefix = prefix, .v = v};
    const int64_t b = fw_val_shape(g, image)->d[0], side = v->image / v->patch, n = side * side;
    snprintf(t.w, NAME, "%s.embeddings.patch_embedding.weight", prefix);
    snprintf(t.b, NAME, "%s.embeddings.patch_embedding.bias", prefix);
    fw_val x = fw_conv2d(g, image, t.w, t.b, v->width, v->patch, v->patch, v->patch, no_pad, FW_ACT_NONE, FW_NONE);
    x = fw_reshape(g, x, FW_SHAPE_OF(b, n, v->width));
    snprintf(t.w, NAME, "%s.embeddings.position_embedding.weight", prefix);
    x = fw_add(g, x, fw_param(g, t.w, FW_SHAPE_OF(n, v->width), (fw_init){FW_INIT_NORMAL, 0.02f}));
    for (t.layer = 0; t.layer < v->layers; t.layer++) {
        fw_graph_segment(g, true);
        x = block(&t, x);
    }
    fw_graph_segment(g, false);
    snprintf(t.w, NAME, "%s.post_layernorm.weight", prefix);
    snprintf(t.b, NAME, "%s.post_layernorm.bias", prefix);
    return fw_layer_norm(g, x, t.w, t.b, EPS);
}
