/* vla_suffix.c - the action expert: noisy actions and the time to a velocity, over the keys and values of the prefix. */
#include "model/vla_int.h"

/* Actions and time to tokens [B,chunk,width]; pi0.5: the time goes into *cond [B,width] instead. */
static fw_val action_tokens(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io, fw_val *cond) {
    const int64_t w = c->vla.expert.width;
    io->x = fw_input(g, "x", FW_F32, FW_SHAPE_OF(io->batch, c->chunk, c->vla.max_action));
    fw_val a = fw_linear(g, io->x, "model.action_in_proj.weight", "model.action_in_proj.bias", w, FW_ACT_NONE, FW_NONE);
    *cond = FW_NONE;
    if (c->policy == FW_POLICY_PI05) {
        io->time = fw_input(g, "time", FW_F32, FW_SHAPE_OF(io->batch, w));
        fw_val t =
            fw_linear(g, io->time, "model.time_mlp_in.weight", "model.time_mlp_in.bias", w, FW_ACT_SILU, FW_NONE);
        *cond = fw_linear(g, t, "model.time_mlp_out.weight", "model.time_mlp_out.bias", w, FW_ACT_SILU, FW_NONE);
        return a;
    }
    io->time = fw_input(g, "time", FW_F32, FW_SHAPE_OF(io->batch, c->chunk, w));
    fw_val h = fw_concat(g, (fw_val[]){a, io->time}, 2, 2);
    h = fw_linear(g, h, "model.action_time_mlp_in.weight", "model.action_time_mlp_in.bias", w, FW_ACT_SILU, FW_NONE);
    return fw_linear(g, h, "model.action_time_mlp_out.weight", "model.action_time_mlp_out.bias", w, FW_ACT_NONE,
                     FW_NONE);
}

typedef struct expert {
    const fw_lerobot_config *c;
    fw_vla_io *io;
    fw_decoder d;
    fw_val turn, turn_cross; /* tables of positions */
    fw_attn_opts self, cross;
} expert;

/* What the expert beside language layer i attends to. */
static fw_val attend(const expert *e, int i, int layer, fw_val h) {
    fw_graph *g = e->d.g;
    const fw_decoder_size *s = e->d.size;
    fw_val q = fw_decoder_project(&e->d, layer, 'q', h);
    if (vla_is_cross(e->c, i)) {
        q = fw_rope(g, q, e->turn_cross, s->heads);
        return fw_grouped_attention(g, q, e->io->k[i], e->io->v[i], e->io->lengths, &e->cross);
    }
    fw_val k = fw_rope(g, fw_decoder_project(&e->d, layer, 'k', h), e->turn, s->kv_heads);
    fw_val v = fw_decoder_project(&e->d, layer, 'v', h);
    q = fw_rope(g, q, e->turn, s->heads);
    k = fw_concat(g, (fw_val[]){e->io->k[i], k}, 2, 1);
    v = fw_concat(g, (fw_val[]){e->io->v[i], v}, 2, 1);
    return fw_grouped_attention(g, q, k, v, e->io->lengths, &e->self);
}

static expert expert_of(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io, fw_val cond) {
    expert e = {.c = c, .io = io, .d = vla_expert(g, c), .turn_cross = FW_NONE};
    const fw_decoder_size *s = e.d.size;
    const int64_t read = vla_read_length(c, io), n = fw_vla_prefix_length(c, io), ns = fw_vla_suffix_length(c);
    e.d.cond = cond;
    io->suffix_pos = fw_input(g, "suffix_pos", FW_I32, FW_SHAPE_OF(io->batch, ns));
    e.turn = fw_rope_table(g, io->suffix_pos, s->head_dim, 10000.0);
    io->cross_pos = FW_NONE;
    if (vla_is_smolvla(c)) {
        io->cross_pos = fw_input(g, "cross_pos", FW_I32, FW_SHAPE_OF(io->batch, ns));
        e.turn_cross = fw_rope_table(g, io->cross_pos, s->head_dim, 10000.0);
    }
    const bool state = c->policy == FW_POLICY_PI0; /* the first query sees the prefix and itself */
    e.self = (fw_attn_opts){s->heads, s->kv_heads, vla_is_smolvla(c) ? FW_MASK_PREFIX_CAUSAL : FW_MASK_PREFIX,
                            read,     state,       state ? n + 1 : 0};
    e.cross = (fw_attn_opts){s->heads, s->kv_heads, FW_MASK_PREFIX, read, 0, 0};
    return e;
}

void fw_vla_suffix(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io) {
    fw_val cond, x;
    fw_graph_exact(g, true); /* small, and everything hangs on them */
    x = action_tokens(g, c, io, &cond);
    if (c->policy == FW_POLICY_PI0) {
        x = fw_concat(g, (fw_val[]){vla_state(g, c, io, c->vla.expert.width), x}, 2, 1);
    }
    fw_graph_exact(g, false);
    io->suffix = x;
    const expert e = expert_of(g, c, io, cond);
    for (int i = 0; i < c->vla.text.layers; i++) {
        const int layer = vla_expert_layer(c, i);
        if (layer < 0) {
            continue;
        }
        io->expert[layer] = x;
        fw_graph_segment(g, true);
        const fw_normed n = fw_decoder_norm_in(&e.d, layer, x);
        x = fw_decoder_finish(&e.d, layer, x, n.gate, attend(&e, i, layer, n.y));
    }
    fw_graph_segment(g, false);
    io->out = fw_decoder_norm_out(&e.d, x);
    const int64_t ns = fw_vla_suffix_length(c);
    x = fw_slice(g, io->out, 1, ns - c->chunk, ns);
    fw_graph_exact(g, true);
    io->velocity = fw_linear(g, x, "model.action_out_proj.weight", "model.action_out_proj.bias", c->vla.max_action,
                             FW_ACT_NONE, FW_NONE);
    fw_graph_exact(g, false);
}
