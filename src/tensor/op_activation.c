/* op_activation.c - y = act(x). backward: dx = dy * act'(x). */
#include "tensor/op_int.h"

static void act_block(const fw_step *s, const void *arg, fw_part part) {
    (void)arg;
    s->kern->act_fwd(s->node->u.activation.act, (const float *)s->x[0] + part.i0, (float *)s->y + part.i0,
                     part.i1 - part.i0);
}

static fw_status activation_forward(const fw_step *s, fw_err *err) {
    int64_t n = fw_shape_count(fw_shape_of(s->g, s->node->out));
    (void)err;
    fw_split(s, NULL, n, fw_block(n, 1), act_block);
    return FW_OK;
}

static void activation_backward(const fw_step *s) {
    fw_act_bwd_par(s, s->node->u.activation.act, s->x[0], s->dy, s->dx[0], s->add[0],
                   fw_shape_count(fw_shape_of(s->g, s->node->out)));
}

static unsigned activation_needs(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)g;
    (void)n;
    return want;
}

static double activation_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)want;
    return (double)fw_shape_count(fw_shape_of(g, n->out));
}

static const fw_op k_activation = {
    .name = "activation",
    .diff = 1,
    .grad = {FW_GRAD_BOTH},
    .forward = activation_forward,
    .backward = activation_backward,
    .needs = activation_needs,
    .flops = activation_flops,
};

fw_val fw_activation(fw_graph *g, fw_val x, fw_act act) {
    if (!fw_graph_takes(g, "activation", x, FW_F32)) {
        return FW_NONE;
    }
    return fw_graph_add(g, &(fw_node){.op = &k_activation, .n_in = 1, .in = {x}, .u.activation.act = act},
                        *fw_shape_of(g, x));
}
