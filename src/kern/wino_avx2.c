/* wino_avx2.c - transforms of 3x3 convolutions for avx2 */
#include "kern/wino_vec_int.h"

void fw_kern_init_wino_avx2(fw_kern *k) {
    k->wino_in = wino_in;
    k->wino_out = wino_out;
}
