/* gemm_neon.c - matrix products, convolutions and attention for neon */
#include "kern/attn_vec_int.h"

void fw_kern_init_gemm_neon(fw_kern *k) {
    k->gemm_nr = NR;
    k->gemm_pack_bytes = gemm_pack_bytes;
    k->gemm_pack = gemm_pack;
    k->gemm_pack_smooth = gemm_pack_smooth;
    k->gemm_scratch = gemm_scratch;
    k->gemm_f32 = gemm_f32;
    k->conv_scratch = conv_scratch;
    k->conv_fwd = conv_fwd;
    k->conv_bwd_data = conv_bwd_data;
    k->conv_bwd_weight = conv_bwd_weight;
    k->conv_pack_bwd_bytes = conv_pack_bwd_bytes;
    k->conv_pack_bwd = conv_pack_bwd;
    k->dwconv_fwd = dwconv_fwd;
    k->dwconv_bwd_data = dwconv_bwd_data;
    k->dwconv_bwd_weight = dwconv_bwd_weight;
    k->max_pool_fwd = max_pool_fwd;
    k->attention_scratch = attention_scratch;
    k->attention_fwd = attention_fwd;
    k->attention_bwd = attention_bwd;
}
