/* gemm_avxvnniint8.c - products and dense convolutions of int8 operands for avx2 with VNNI */
#define FW_INT8
#include "kern/conv_vec_int.h"

void fw_kern_init_avxvnniint8(fw_kern *k) {
    k->isa = "avxvnniint8";
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
