/* fuzz_int8.c - any bytes as an int8.safetensors: refused with words, or every product of a network gets scales it can be packed with. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "model/int8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static fw_params *params;
static fw_graph *graph;

/* A convolution, a linear layer, and one that no file may speak of. */
static void set_up(void) {
    static const int pad[4] = {0, 0, 0, 0};
    if (fw_params_new(1, &params, NULL) != FW_OK || fw_graph_new(params, &graph, NULL) != FW_OK) {
        abort();
    }
    fw_val x = fw_input(graph, "x", FW_F32, FW_SHAPE_OF(1, 2, 2, 1));
    x = fw_conv2d(graph, x, "conv", NULL, 3, 2, 2, 1, pad, FW_ACT_NONE, FW_NONE);
    x = fw_linear(graph, x, "a", NULL, 2, FW_ACT_NONE, FW_NONE);
    fw_graph_exact(graph, true);
    fw_linear(graph, x, "head", NULL, 2, FW_ACT_NONE, FW_NONE);
    if (fw_graph_check(graph, NULL) != FW_OK) {
        abort();
    }
}

static void refused(fw_status s, const fw_err *err) {
    if (s != FW_OK && (err->code == FW_OK || err->msg[0] == 0)) {
        abort(); /* a failure without a message */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fw_err err = {0};
    fw_st *st;
    fw_int8 *q = NULL;
    if (params == NULL) {
        set_up();
    }
    if (fw_st_open_mem(data, size, "fuzz", &st, &err) != FW_OK) {
        return 0;
    }
    fw_status s = fw_int8_of(st, "fuzz", &q, &err);
    refused(s, &err);
    if (s == FW_OK) {
        s = fw_int8_apply(q, graph, &err);
        s = s == FW_OK ? fw_int8_done(q, &err) : s;
        refused(s, &err);
    }
    const fw_parameter *w;
    for (int i = 0; (w = fw_graph_rounded(graph, i)) != NULL; i++) {
        for (int64_t k = 0; w->smooth != NULL && k < fw_shape_count(&w->shape) / w->shape.d[0]; k++) {
            if (!(w->smooth[k] > 0.0f && isfinite(w->smooth[k]) && isfinite(1.0f / w->smooth[k]))) {
                abort();
            }
        }
    }
    fw_int8_close(q);
    fw_st_close(st);
    return 0;
}
