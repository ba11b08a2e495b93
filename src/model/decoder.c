/* decoder.c - see decoder.h */
#include "model/decoder.h"

#include <stdio.h>

enum { NAME = 160 };

static const char *layer_name(const fw_decoder *d, int layer, const char *part, char buf[NAME]) {
    snprintf(buf, NAME, "%s.layers.%d.%s", d->prefix, layer, part);
    return buf;
}

/* `name` up to ".weight": "<prefix>.layers.0.input_layernorm" */
static fw_normed norm(const fw_decoder *d, const char *name, fw_val x) {
    char w[NAME + 16], b[NAME + 16];
    const int64_t c = d->size->width;
    if (d->cond == FW_NONE) {
        snprintf(w, sizeof(w), "%s.weight", name);
        return (fw_normed){fw_rms_norm(d->g, x, w, d->eps), FW_NONE};
    }
    snprintf(w, sizeof(w), "%s.dense.weight", name);
    snprintf(b, sizeof(b), "%s.dense.bias", name);
    const int64_t batch = fw_val_shape(d->g, x)->d[0];
    fw_val m = fw_linear(d->g, d->cond, w, b, 3 * c, FW_ACT_NONE, FW_NONE); /* scale, shift, gate */
    fw_val y = fw_film(d->g, fw_rms_norm(d->g, x, NULL, d->eps), fw_slice(d->g, m, 1, 0, c),
                       fw_slice(d->g, m, 1, c, 2 * c), FW_ACT_NONE);
    return (fw_normed){y, fw_reshape(d->g, fw_slice(d->g, m, 1, 2 * c, 3 * c), FW_SHAPE_OF(batch, 1, c))};
}

fw_normed fw_decoder_norm_in(const fw_decoder *d, int layer, fw_val x) {
    char name[NAME];
    return norm(d, layer_name(d, layer, "input_layernorm", name), x);
}

fw_val fw_decoder_norm_out(const fw_decoder *d, fw_val x) {
    char name[NAME];
    snprintf(name, NAME, "%s.norm", d->prefix);
    return norm(d, name, x).y;
}

fw_val fw_decoder_project(const fw_decoder *d, int layer, char part, fw_val h) {
    char name[NAME], proj[] = "self_attn.?_proj.weight";
    proj[10] = part;
    const int heads = part == 'q' ? d->size->heads : d->size->kv_heads;
    return fw_linear(d->g, h, layer_name(d, layer, proj, name), NULL, (int64_t)heads * d->size->head_dim, FW_ACT_NONE,
                     FW_NONE);
}

/* x + gate * (h through a linear layer) */
static fw_val residual(const fw_decoder *d, int layer, const char *part, fw_val h, fw_val gate, fw_val x) {
    char name[NAME];
    layer_name(d, layer, part, name);
    if (gate == FW_NONE) {
        return fw_linear(d->g, h, name, NULL, d->size->width, FW_ACT_NONE, x);
    }
    h = fw_linear(d->g, h, name, NULL, d->size->width, FW_ACT_NONE, FW_NONE);
    return fw_add(d->g, x, fw_mul(d->g, h, gate));
}

fw_val fw_decoder_finish(const fw_decoder *d, int layer, fw_val x, fw_val gate, fw_val attn) {
    char name[NAME];
    x = residual(d, layer, "self_attn.o_proj.weight", attn, gate, x);
    const fw_normed n = norm(d, layer_name(d, layer, "post_attention_layernorm", name), x);
    fw_val h =
        fw_linear(d->g, n.y, layer_name(d, layer, "mlp.gate_proj.weight", name), NULL, d->size->mlp, d->act, FW_NONE);
    fw_val up = fw_linear(d->g, n.y, layer_name(d, layer, "mlp.up_proj.weight", name), NULL, d->size->mlp, FW_ACT_NONE,
                          FW_NONE);
    return residual(d, layer, "mlp.down_proj.weight", fw_mul(d->g, h, up), n.gate, x);
}
