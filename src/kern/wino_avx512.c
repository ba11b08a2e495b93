/* wino_avx512.c - transforms of 3x3 convolutions for avx512 */
#include "kern/wino_vec_int.h"

void fw_kern_init_wino_avx512(fw_kern *k) {
    k->wino_in = wino_in;
    k->wino_out = wino_out;
}
