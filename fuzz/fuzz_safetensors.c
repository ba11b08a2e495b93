/* fuzz_safetensors.c - any bytes: refused with a message, or every tensor can be read. */
#include <stdint.h>
#include <stdlib.h>

#include "tensor/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fw_err err = {0};
    fw_st *s;
    if (fw_st_open_mem(data, size, "fuzz", &s, &err) != FW_OK) {
        if (err.code == FW_OK || err.msg[0] == 0) {
            abort(); /* a failure without a message */
        }
        return 0;
    }
    (void)fw_st_meta(s, "format");
    for (int i = 0; i < fw_st_count(s); i++) {
        const fw_st_tensor *t = fw_st_at(s, i);
        float *out = malloc((size_t)fw_shape_count(&t->shape) * sizeof(float));
        volatile uint8_t sum = 0;
        for (size_t k = 0; k < t->bytes; k++) {
            sum = (uint8_t)(sum + ((const uint8_t *)t->data)[k]);
        }
        if (out == NULL || fw_st_find(s, t->name) == NULL) {
            abort();
        }
        (void)!fw_st_read_f32(s, t->name, &t->shape, out, &err);
        free(out);
    }
    fw_st_close(s);
    return 0;
}
