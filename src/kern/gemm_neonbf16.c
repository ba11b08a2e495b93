/*
 * gemm_neonbf16.c - products whose operands are rounded to bfloat16, sums in float: twice the fp32 rate.
 *
 * Products, forward and backward, dense convolutions forward, attention forward and backward; gradients of convolutions and all
 * row kernels are those of neon. Chosen by name (FW_KERN=neonbf16), never by default: results differ from fp32 by about 2^-8
 * a product.
 */
#define FW_BF16
#include "kern/attn_vec_int.h"

void fw_kern_init_neonbf16(fw_kern *k) {
    k->isa = "neonbf16";
    k->gemm_nr = NR;
    k->gemm_pack_bytes = gemm_pack_bytes;
    k->gemm_pack = gemm_pack;
    k->gemm_pack_smooth = gemm_pack_smooth;
    k->gemm_scratch = gemm_scratch;
    k->gemm_f32 = gemm_f32;
    k->conv_fwd = conv_fwd;
    k->attention_scratch = attention_scratch;
    k->attention_fwd = attention_fwd;
    k->attention_bwd = attention_bwd;
}
