/* gemm_avx2.c - matrix products for avx2 */
#include "kern/gemm_vec_int.h"

void fw_kern_init_gemm_avx2(fw_kern *k) {
    k->gemm_nr = NR;
    k->gemm_pack_bytes = gemm_pack_bytes;
    k->gemm_pack = gemm_pack;
    k->gemm_scratch = gemm_scratch;
    k->gemm_f32 = gemm_f32;
}
