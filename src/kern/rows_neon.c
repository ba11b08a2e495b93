/* rows_neon.c - row and element kernels for neon */
#include "kern/elem_vec_int.h"
#include "kern/rows_vec_int.h"

void fw_kern_init_rows_neon(fw_kern *k) {
    k->layer_norm_fwd = layer_norm_fwd;
    k->layer_norm_bwd = layer_norm_bwd;
    k->rms_norm_fwd = rms_norm_fwd;
    k->rms_norm_bwd = rms_norm_bwd;
    k->rope = rope;
    k->softmax_fwd = softmax_fwd;
    k->softmax_bwd = softmax_bwd;
    k->colsum = colsum;
    k->embedding_bwd = embedding_bwd;
    k->film_fwd = film_fwd;
    k->film_bwd = film_bwd;
    k->mean_pool_fwd = mean_pool_fwd;
    k->mean_pool_bwd = mean_pool_bwd;
    k->spatial_softmax_fwd = spatial_softmax_fwd;
    k->spatial_softmax_bwd = spatial_softmax_bwd;
    k->act_fwd = act_fwd;
    k->act_bwd = act_bwd;
    k->add = add;
    k->mul = mul;
    k->scale = scale;
    k->axpy = axpy;
    k->dot = dot;
    k->sumsq = sumsq;
    k->bcast = bcast;
    k->bcast_reduce = bcast_reduce;
    k->dropout = dropout;
    k->l1_loss = l1_loss;
    k->mse_loss = mse_loss;
    k->adamw = adamw;
    k->f32_to_bf16 = f32_to_bf16;
    k->bf16_to_f32 = bf16_to_f32;
    k->f32_to_f16 = f32_to_f16;
    k->f16_to_f32 = f16_to_f32;
    k->u8_to_f32 = u8_to_f32;
}
