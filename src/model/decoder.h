/*
 * decoder.h - one stream of a decoder-only transformer (Llama, Gemma, and the action experts made like them), as graph operations.
 *
 * A layer is
 *   h = norm(x);  q, k, v = q_proj h, k_proj h, v_proj h;  attention, made by the policy, which knows who sees whom
 *   x = x + gate o_proj(attention);  x = x + gate down_proj(act(gate_proj norm(x)) * up_proj norm(x))
 * Norms are RMS norms; adaptive ones (pi0.5) take scale, shift and gate from a condition, others have no gate. Names below
 * `prefix` are HuggingFace's: layers.<i>.self_attn.q_proj.weight, ..., norm.weight; nothing has a bias but adaptive norms.
 */
#ifndef FW_MODEL_DECODER_H
#define FW_MODEL_DECODER_H

#include "model/lerobot_config.h"
#include "tensor/graph.h"

typedef struct fw_decoder {
    fw_graph *g;
    const char *prefix; /* "model.vlm_with_expert.lm_expert" */
    const fw_decoder_size *size;
    fw_act act; /* of the MLP's gate */
    float eps;
    fw_val cond; /* [B,cond width] of adaptive norms; FW_NONE: plain ones */
} fw_decoder;

typedef struct fw_normed {
    fw_val y;    /* [B,T,width] */
    fw_val gate; /* [B,1,width], or FW_NONE */
} fw_normed;

fw_normed fw_decoder_norm_in(const fw_decoder *d, int layer, fw_val x); /* input_layernorm */
fw_val fw_decoder_norm_out(const fw_decoder *d, fw_val x);              /* the last norm */
/* self_attn.<part>_proj of h: 'q' -> [B,T,heads*head_dim], 'k', 'v' -> [B,T,kv_heads*head_dim] */
fw_val fw_decoder_project(const fw_decoder *d, int layer, char part, fw_val h);
/* The rest of the layer: x before its norm, gate of that norm, attn [B,T,heads*head_dim]. */
fw_val fw_decoder_finish(const fw_decoder *d, int layer, fw_val x, fw_val gate, fw_val attn);

#endif /* FW_MODEL_DECODER_H */
