/* op_softmax.c - y = softmax(x) over the last dimension. backward: dx = y * (dy - sum(y * dy)). */
#include "tensor/op_int.h"

static int64_t cols_of(const fw_step *s) {
    return fw_cols(fw_shape_of(s->g, s->node->out));
}

static void fwd_block(const fw_step *s, const void *arg, fw_part part) {
    const int64_t c = cols_of(s);
    (void)arg;
    s->kern->softmax_fwd(fw_x(s, 0) + part.i0 * c, (float *)s->y + part.i0 * c, part.i1 - part.i0, c);
}

static fw_status softmax_forward(const fw_step *s, fw_err *err) {
    int64_t r = fw_rows(fw_shape_of(s->g, s->node->out));
    (void)err;
    fw_split(s, NULL, r, fw_block(r, cols_of(s)), fwd_block);
    return FW_OK;
}

static void bwd_block(const fw_step *s, const void *arg, fw_part part) {
    const int64_t c = cols_of(s), at = part.i0 * c;
    (void)arg;
    s->kern->softmax_bwd((const float *)s->y + at, s->dy + at, s->dx[0] + at, s->add[0], part.i1 - part.i0, c);
}

static void softmax_backward(const fw_step *s) {
    int64_t r = fw_rows(fw_shape_of(s->g, s->node->out));
    fw_split(s, NULL, r, fw_block(r, cols_of(s)), bwd_block);
}

static unsigned softmax_needs(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)g;
    (void)n;
    (void)want;
    return FW_NEED_Y;
}

static double softmax_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    return (want == 0 ? 5.0 : 4.0) * (double)fw_shape_count(fw_shape_of(g, n->out));
}

static const fw_op k_softmax = {
    .name = "softmax",
    .diff = 1,
    .grad = {FW_GRAD_BOTH},
    .forward = softmax_forward,
    .backward = softmax_backward,
    .needs = softmax_needs,
    .flops = softmax_flops,
};

fw_val fw_softmax(fw_graph *g, fw_val x) {
    if (!fw_graph_takes(g, "softmax", x, FW_F32)) {
        return FW_NONE;
    }
    return fw_graph_add(g, &(fw_node){.op = &k_softmax, .n_in = 1, .in = {x}}, *fw_shape_of(g, x));
}
