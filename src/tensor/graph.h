/*
 * graph.h - a network as a graph of large operations.
 *
 *   fw_graph_new(params, &g, &err);
 *   fw_val x = fw_input(g, "x", FW_F32, FW_SHAPE_OF(B, K));
 *   fw_val y = fw_linear(g, x, "head.weight", "head.bias", N, FW_ACT_GELU, FW_NONE);
 *   fw_val loss = fw_l1_loss(g, y, target, mask);
 *   FW_TRY(fw_graph_check(g, &err));                        // the first mistake of all the calls above
 *   fw_plan_new(g, &opts, &loss, 1, &plan, &err);           // plan.h
 *
 * Building: an operation that gets something impossible records the first error in the graph and returns FW_NONE; every
 * later operation with a FW_NONE *operand that it needs* does nothing. So a model reads as straight-line code and is
 * checked once. A graph is built for fixed shapes; parameters live in the store and are shared by several graphs
 * (training with B = 256, inference with B = 1). Not thread-safe while building; const afterwards.
 * Layout of images is NHWC; of sequences [B, T, C]; a weight of a linear layer is [n_out, n_in] as in PyTorch.
 */
#ifndef FW_TENSOR_GRAPH_H
#define FW_TENSOR_GRAPH_H

#include "kern/act.h" /* fw_act, fw_mask */
#include "tensor/tensor.h"

typedef int32_t fw_val; /* a value of a graph */
#define FW_NONE ((fw_val)-1)

typedef struct fw_graph fw_graph;
FW_NODISCARD fw_status fw_graph_new(fw_params *params, fw_graph **out, fw_err *err);
void fw_graph_free(fw_graph *g);
/* FW_OK, or the first error since fw_graph_new: "linear 'head': x is [4,7], weight head.weight wants 8 inputs". */
FW_NODISCARD fw_status fw_graph_check(const fw_graph *g, fw_err *err);
const fw_shape *fw_val_shape(const fw_graph *g, fw_val v);

/* Filled by the caller before each run through fw_plan_data. Inputs get no gradient. */
fw_val fw_input(fw_graph *g, const char *name, fw_dtype dtype, fw_shape shape);
/* A parameter as a value (position embeddings, queries). */
fw_val fw_param(fw_graph *g, const char *name, fw_shape shape, fw_init init);

/* Operations added while exact is on use the exact (fp32) kernels in every plan, whatever its precision: heads, time embeddings. */
void fw_graph_exact(fw_graph *g, bool on);

/* Operations added from (g, true) to (g, false) are a segment, which gradient checkpointing makes again (plan.h): a layer, a block. Again
 * true: the next segment begins. Plans without checkpointing do not care. */
void fw_graph_segment(fw_graph *g, bool on);

/* The weights that a plan of precision int8 rounds, in order of creation, some more than once; NULL: i is past the last. */
fw_parameter *fw_graph_rounded(const fw_graph *g, int i);

/* Low-rank adapters (arXiv 2106.09685), with PEFT's names and initialisation: while set, a linear layer with weight "<module>.weight" of
 * which targets(ctx, module) says yes is y = act(W x + b + alpha / rank * B A x) + residual, A being the parameter
 * "<module>.lora_A.weight" [rank, k] (U(-1/sqrt(k), 1/sqrt(k))) and B "<module>.lora_B.weight" [n, rank] (zero). These never come from
 * the store's source. NULL: no more; borrowed while set. */
typedef struct fw_lora {
    int rank;
    double alpha;
    bool (*targets)(const void *ctx, const char *module);
    const void *ctx;
} fw_lora;
void fw_graph_lora(fw_graph *g, const fw_lora *lora);

/* y = act(x @ W^T + b) + residual. x [..., k] -> [..., n]. bias NULL: none. residual FW_NONE: none.
 * Weight `w_name` [n, k] initialised U(-1/sqrt(k), 1/sqrt(k)), bias zero. */
fw_val fw_linear(fw_graph *g, fw_val x, const char *w_name, const char *b_name, int64_t n, fw_act act, fw_val residual);
/* x [B,H,W,C] -> [B,H',W',O]; weight [O,kh,kw,C]; bias may be NULL; pad = {top, left, bottom, right}. act, then + residual. */
fw_val fw_conv2d(fw_graph *g, fw_val x, const char *w_name, const char *b_name, int64_t o, int kh, int kw, int stride,
                 const int pad[4], fw_act act, fw_val residual);
/* The same of 3x3, stride 1 and padding 1, for inference only (no gradient passes): by Winograd's minimal filtering, a half to a
 * quarter of the multiplications, within 1e-5 of the largest output. */
fw_val fw_conv3x3(fw_graph *g, fw_val x, const char *w_name, const char *b_name, int64_t o, fw_act act,
                  fw_val residual);
/* Depthwise: weight [kh,kw,C]. */
fw_val fw_dwconv2d(fw_graph *g, fw_val x, const char *w_name, const char *b_name, int kh, int kw, int stride,
                   const int pad[4], fw_act act);

/* softmax(q k^T / sqrt(D)) v. q [B,Tq,H*D], k and v [B,Tk,H*D] -> [B,Tq,H*D]. FW_MASK_LENGTH: lengths [B] i32, keys at
 * positions >= lengths[b] are not seen; otherwise lengths = FW_NONE. */
fw_val fw_attention(fw_graph *g, fw_val q, fw_val k, fw_val v, int n_head, fw_mask mask, fw_val lengths);

/* The same with grouped heads and the masks of a prefix. k, v [B,Tk,n_kv*D]; n_head a multiple of n_kv. lengths [B] i32:
 * required by FW_MASK_LENGTH, optional (FW_NONE: no padding) with FW_MASK_PREFIX and FW_MASK_PREFIX_CAUSAL (act.h). lengths [B,2]: where an
 * entry's keys begin and end, those before are not there for any query. */
typedef struct fw_attn_opts {
    int n_head, n_kv;
    fw_mask mask;
    int64_t prefix, first, first_end;
} fw_attn_opts;
fw_val fw_grouped_attention(fw_graph *g, fw_val q, fw_val k, fw_val v, fw_val lengths, const fw_attn_opts *o);
/* Rotary positions (arXiv 2104.09864), halves of a head as pairs. pos [B,T] i32 -> table [B,T,d] (d/2 cosines, d/2 sines of
 * pos * theta^(-2i/d)); x [B,T,n_head*d] -> the same, turned. */
fw_val fw_rope_table(fw_graph *g, fw_val pos, int64_t d, double theta);
fw_val fw_rope(fw_graph *g, fw_val x, fw_val table, int n_head);

/* Over the last dimension; gamma and beta [C] (RMS: gamma only, NULL: ones). */
fw_val fw_layer_norm(fw_graph *g, fw_val x, const char *gamma, const char *beta, float eps);
fw_val fw_rms_norm(fw_graph *g, fw_val x, const char *gamma, float eps);
/* ids i32 [...] -> [..., C]; table [n, C]. An id outside [0, n) fails the run with FW_INVALID. */
fw_val fw_embedding(fw_graph *g, fw_val ids, const char *table, int64_t n, int64_t c);
fw_val fw_softmax(fw_graph *g, fw_val x); /* last dimension */
fw_val fw_activation(fw_graph *g, fw_val x, fw_act act);
/* Same shape, or b broadcast: b's shape is x's with any dimension 1, or a suffix of x's shape. */
fw_val fw_add(fw_graph *g, fw_val x, fw_val b);
fw_val fw_mul(fw_graph *g, fw_val x, fw_val b);
fw_val fw_scale(fw_graph *g, fw_val x, float scale);
/* act(x * (1 + gamma) + beta): x [B,...,C], gamma and beta [B,C] (FiLM, arXiv 1709.07871). */
fw_val fw_film(fw_graph *g, fw_val x, fw_val gamma, fw_val beta, fw_act act);
/* x [B,H,W,C] -> [B,H',W',C], as fw_conv2d; padding never wins. */
fw_val fw_max_pool(fw_graph *g, fw_val x, int k, int stride, const int pad[4]);
fw_val fw_mean(fw_graph *g, fw_val x);      /* of all values: a scalar */
fw_val fw_mean_pool(fw_graph *g, fw_val x); /* [B,H,W,C] or [B,T,C] -> [B,C] */
/* [B,H,W,K] -> [B,K,2]: softmax over H*W, then the expected (x, y) in [-1, 1] (arXiv 1504.00702). */
fw_val fw_spatial_softmax(fw_graph *g, fw_val x);
fw_val fw_concat(fw_graph *g, const fw_val *vals, int n, int axis);
fw_val fw_slice(fw_graph *g, fw_val x, int axis, int64_t from, int64_t to);
fw_val fw_permute(fw_graph *g, fw_val x, const int *axes); /* dimension i of y is dimension axes[i] of x */
fw_val fw_reshape(fw_graph *g, fw_val x, fw_shape shape);  /* same count; free (an alias) */
fw_val fw_dropout(fw_graph *g, fw_val x, float p);         /* identity in plans without training */
/* Scalars. weight: same shape as pred, or a prefix of it (broadcast over the rest), or FW_NONE; mean over weight:
 * sum(w * |p - t|) / max(sum(w), 1) / (number of values per weight). No gradient to target or weight. */
fw_val fw_l1_loss(fw_graph *g, fw_val pred, fw_val target, fw_val weight);
fw_val fw_mse_loss(fw_graph *g, fw_val pred, fw_val target, fw_val weight);
/* logits [..., n], labels i32 [...]; label -1 = ignored. Mean over the others. */
fw_val fw_cross_entropy(fw_graph *g, fw_val logits, fw_val labels);

#endif /* FW_TENSOR_GRAPH_H */
