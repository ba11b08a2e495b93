/* grad_cases.h - the networks whose gradients test_grad.c checks: every operation, odd shapes, values used twice. */

/* Integers of one input value of the case being built. */
static const int32_t *g_ints;
static fw_val g_int_val;
static int g_n_ints;

static fw_val c_linear(fw_graph *g) {
    return fw_linear(g, var(g, "x", S(3, 5)), "w", "b", 7, FW_ACT_NONE, FW_NONE);
}
static fw_val c_linear_nobias(fw_graph *g) {
    return fw_linear(g, var(g, "x", S(2, 3, 4)), "w", NULL, 1, FW_ACT_NONE, FW_NONE);
}
#define LINEAR_ACT(name, act)                                                                                          \
    static fw_val c_linear_##name(fw_graph *g) {                                                                       \
        return fw_linear(g, var(g, "x", S(5, 9)), "w", "b", 6, act, FW_NONE);                                          \
    }                                                                                                                  \
    static fw_val c_act_##name(fw_graph *g) {                                                                          \
        return fw_activation(g, fw_scale(g, var(g, "x", S(4, 9)), 1.7f), act);                                         \
    }
LINEAR_ACT(relu, FW_ACT_RELU)
LINEAR_ACT(relu6, FW_ACT_RELU6)
LINEAR_ACT(gelu, FW_ACT_GELU)
LINEAR_ACT(gelu_tanh, FW_ACT_GELU_TANH)
LINEAR_ACT(silu, FW_ACT_SILU)
LINEAR_ACT(tanh, FW_ACT_TANH)
LINEAR_ACT(sigmoid, FW_ACT_SIGMOID)
static fw_val c_linear_residual(fw_graph *g) {
    return fw_linear(g, var(g, "x", S(6, 5)), "w", "b", 9, FW_ACT_RELU, var(g, "r", S(6, 9)));
}
static fw_val c_linear_residual_self(fw_graph *g) {
    fw_val x = var(g, "x", S(6, 5));
    return fw_linear(g, x, "w", "b", 5, FW_ACT_GELU, x);
}
static fw_val c_linear_big(fw_graph *g) {
    return fw_linear(g, var(g, "x", S(133, 67)), "w", "b", 71, FW_ACT_SILU, FW_NONE);
}
static fw_val c_linear_shared(fw_graph *g) { /* one weight used three times, one value twice */
    fw_val x = var(g, "x", S(4, 6)), h = fw_linear(g, x, "w", "b", 6, FW_ACT_TANH, FW_NONE);
    return fw_linear(g, fw_linear(g, h, "w", "b", 6, FW_ACT_GELU, x), "w", NULL, 6, FW_ACT_NONE, h);
}
static fw_val c_reshape(fw_graph *g) {
    fw_val x = fw_linear(g, var(g, "x", S(4, 6)), "w", "b", 6, FW_ACT_TANH, FW_NONE);
    return fw_linear(g, fw_reshape(g, x, S(2, 12)), "w2", NULL, 3, FW_ACT_NONE, FW_NONE);
}

static const gcase k_cases[] = {
    {"linear", c_linear, 0},
    {"linear_nobias", c_linear_nobias, 0},
    {"linear_relu", c_linear_relu, 0},
    {"linear_relu6", c_linear_relu6, 0},
    {"linear_gelu", c_linear_gelu, 0},
    {"linear_gelu_tanh", c_linear_gelu_tanh, 0},
    {"linear_silu", c_linear_silu, 0},
    {"linear_tanh", c_linear_tanh, 0},
    {"linear_sigmoid", c_linear_sigmoid, 0},
    {"linear_residual", c_linear_residual, 0},
    {"linear_residual_self", c_linear_residual_self, 0},
    {"linear_big", c_linear_big, 0},
    {"linear_shared", c_linear_shared, 0},
    {"reshape", c_reshape, 0},
    {"act_relu", c_act_relu, 0},
    {"act_relu6", c_act_relu6, 0},
    {"act_gelu", c_act_gelu, 0},
    {"act_gelu_tanh", c_act_gelu_tanh, 0},
    {"act_silu", c_act_silu, 0},
    {"act_tanh", c_act_tanh, 0},
    {"act_sigmoid", c_act_sigmoid, 0},
};
