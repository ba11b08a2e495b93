/* op_scale.c - y = a x. backward: dx = a dy. */
#include "tensor/op_int.h"

static void scale_block(const fw_step *s, const void *arg, fw_part part) {
    (void)arg;
    s->kern->scale(s->node->u.scale.a, (const float *)s->x[0] + part.i0, (float *)s->y + part.i0, part.i1 - part.i0);
}

static fw_status scale_forward(const fw_step *s, fw_err *err) {
    int64_t n = fw_shape_count(fw_shape_of(s->g, s->node->out));
    (void)err;
    fw_split(s, NULL, n, fw_block(n, 1), scale_block);
    return FW_OK;
}

static void grad_block(const fw_step *s, const void *arg, fw_part part) {
    (void)arg;
    if (s->add[0]) {
        s->kern->axpy(s->node->u.scale.a, s->dy + part.i0, s->dx[0] + part.i0, part.i1 - part.i0);
    } else {
        s->kern->scale(s->node->u.scale.a, s->dy + part.i0, s->dx[0] + part.i0, part.i1 - part.i0);
    }
}

static void scale_backward(const fw_step *s) {
    int64_t n = fw_shape_count(fw_shape_of(s->g, s->node->out));
    fw_split(s, NULL, n, fw_block(n, 1), grad_block);
}

static double scale_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)want;
    return (double)fw_shape_count(fw_shape_of(g, n->out));
}

static const fw_op k_scale = {
    .name = "scale",
    .diff = 1,
    .grad = {FW_GRAD_BOTH},
    .forward = scale_forward,
    .backward = scale_backward,
    .flops = scale_flops,
};

fw_val fw_scale(fw_graph *g, fw_val x, float scale) {
    if (!fw_graph_takes(g, "scale", x, FW_F32)) {
        return FW_NONE;
    }
    return fw_graph_add(g, &(fw_node){.op = &k_scale, .n_in = 1, .in = {x}, .u.scale.a = scale}, *fw_shape_of(g, x));
}
