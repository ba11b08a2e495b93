/* kern_neon.c - what neon overrides: every AArch64 CPU has it, so no check goes before. */
#include "kern/kern_int.h"

void fw_kern_init_neon(fw_kern *k) {
    k->isa = "neon";
    fw_kern_init_gemm_neon(k);
    fw_kern_init_rows_neon(k);
    fw_kern_init_wino_neon(k);
}
