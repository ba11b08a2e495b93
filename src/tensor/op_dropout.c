/*
 * op_dropout.c - y = x / (1 - p) where a hash of (run, dropout, position) keeps it, else 0; the identity without training.
 *
 * No mask is stored: backward is the same call on dy.
 */
#include "tensor/op_int.h"

static void block(const fw_step *s, const void *arg, fw_part part) {
    const float *x = s->backward ? s->dy : fw_x(s, 0);
    float *y = s->backward ? s->dx[0] : s->y;
    (void)arg;
    s->kern->dropout(x + part.i0, y + part.i0, part.i1 - part.i0, s->node->u.dropout.p,
                     s->seed + s->node->u.dropout.stream * 0x9E3779B97F4A7C15ull, (uint64_t)part.i0);
}

static void dropout_backward(const fw_step *s) {
    int64_t n = fw_shape_count(fw_shape_of(s->g, s->node->out));
    fw_split(s, NULL, n, fw_block(n, 1), block);
}

static fw_status dropout_forward(const fw_step *s, fw_err *err) {
    (void)err;
    dropout_backward(s); /* the same but for where it reads and writes */
    return FW_OK;
}

static double dropout_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)want;
    return (double)fw_shape_count(fw_shape_of(g, n->out));
}

static const fw_op k_dropout = {
    .name = "dropout",
    .diff = 1,
    .grad = {FW_GRAD_WRITE},
    .forward = dropout_forward,
    .backward = dropout_backward,
    .flops = dropout_flops,
    .identity_in_inference = true,
};

fw_val fw_dropout(fw_graph *g, fw_val x, float p) {
    if (!fw_graph_takes(g, "dropout", x, FW_F32)) {
        return FW_NONE;
    }
    if (!(p >= 0.0f && p < 1.0f)) {
        return fw_graph_fail(g, FW_INVALID, "dropout: p = %g, 0 <= p < 1 wanted", (double)p);
    }
    if (p == 0.0f) {
        return x;
    }
    return fw_graph_add(g, &(fw_node){.op = &k_dropout, .n_in = 1, .in = {x}, .u.dropout = {p, ++g->n_dropout}},
                        *fw_shape_of(g, x));
}
