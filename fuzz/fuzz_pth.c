/* fuzz_pth.c - bytes that claim to be a PyTorch file: an error or tensors that lie inside them, nothing else */
#include <stdint.h>
#include <stdlib.h>

#include "model/pth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fw_pth *p = NULL;
    fw_err err;
    if (fw_pth_open_mem(data, size, "fuzz", &p, &err) != FW_OK) {
        return 0;
    }
    volatile unsigned sum = 0;
    for (int i = 0; i < fw_pth_count(p); i++) {
        const fw_pth_tensor *t = fw_pth_at(p, i);
        for (size_t k = 0; k < t->bytes; k++) {
            sum += ((const uint8_t *)t->data)[k];
        }
        if (fw_pth_find(p, t->name) != t || (size_t)fw_shape_count(&t->shape) * fw_dtype_bytes(t->dtype) != t->bytes) {
            abort();
        }
    }
    (void)sum;
    fw_pth_close(p);
    return 0;
}
