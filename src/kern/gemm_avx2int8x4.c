/* gemm_avx2int8x4.c - products and dense convolutions of bytes for avx2, four to a 16-bit sum */
#define FW_INT8
#define FW_X4
#include "kern/conv_vec_int.h"

void fw_kern_init_avx2int8x4(fw_kern *k) {
    k->isa = "avx2int8x4";
    k->gemm_nr = NR;
    k->gemm_a_cost = 16;
    k->gemm_pack_bytes = gemm_pack_bytes;
    k->gemm_pack = gemm_pack;
    k->gemm_pack_smooth = gemm_pack_smooth;
    k->gemm_scratch = gemm_scratch;
    k->gemm_f32 = gemm_f32;
    k->conv_scratch = conv_scratch;
    k->conv_fwd = conv_fwd;
}
