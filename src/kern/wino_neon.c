/* wino_neon.c - transforms of 3x3 convolutions for neon */
#include "kern/wino_vec_int.h"

void fw_kern_init_wino_neon(fw_kern *k) {
    k->wino_in = wino_in;
    k->wino_out = wino_out;
}
