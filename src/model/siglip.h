/*
 * siglip.h - the vision transformer of SmolVLM and PaliGemma (arXiv 2303.15343), as graph operations.
 *
 * Pre-norm blocks with biases, GELU by tanh, learnt positions, a last layer norm, no pooling head. Names below `prefix` are
 * HuggingFace's: embeddings.patch_embedding, encoder.layers.<i>.self_attn.q_proj, ..., post_layernorm.
 */
#ifndef FW_MODEL_SIGLIP_H
#define FW_MODEL_SIGLIP_H

#include "model/lerobot_config.h"
#include "tensor/graph.h"

/* image [B,S,S,3] in [-1,1] -> [B,(S/patch)^2,width], row by row. S = v->image. */
fw_val fw_siglip(fw_graph *g, const char *prefix, const fw_vision_size *v, fw_val image);

#endif /* FW_MODEL_SIGLIP_H */
