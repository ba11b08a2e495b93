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
LINEAR_ACT(exp, FW_ACT_EXP)
static fw_val c_linear_residual(fw_graph *g) {
    return fw_linear(g, var(g, "x", S(6, 5)), "w", "b", 9, FW_ACT_RELU, var(g, "r", S(6, 9)));
}
static fw_val c_linear_residual_self(fw_graph *g) {
    fw_val x = var(g, "x", S(6, 5));
    return fw_linear(g, x, "w", "b", 5, FW_ACT_GELU, x);
}
/* Low-rank adapters: on one of two layers, with and without an activation. */
static bool lora_target(const void *ctx, const char *module) {
    return strcmp(module, ctx) == 0;
}
static const fw_lora k_lora = {.rank = 2, .alpha = 3.0, .targets = lora_target, .ctx = "m.in"};
static fw_val c_lora(fw_graph *g) {
    fw_graph_lora(g, &k_lora);
    fw_val h = fw_linear(g, var(g, "x", S(3, 5)), "m.in.weight", "m.in.bias", 7, FW_ACT_NONE, var(g, "r", S(3, 7)));
    return fw_linear(g, h, "m.out.weight", NULL, 4, FW_ACT_NONE, FW_NONE);
}
static fw_val c_lora_act(fw_graph *g) {
    fw_graph_lora(g, &k_lora);
    return fw_linear(g, var(g, "x", S(2, 3, 5)), "m.in.weight", NULL, 5, FW_ACT_SILU, var(g, "r", S(2, 3, 5)));
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

static const int k_same[4] = {1, 1, 1, 1}, k_odd[4] = {0, 1, 1, 0}, k_none[4] = {0, 0, 0, 0};
#define CONV(name, h, w, c, o, k, stride, pad, act)                                                                    \
    static fw_val c_conv_##name(fw_graph *g) {                                                                         \
        return fw_conv2d(g, var(g, "x", S(2, h, w, c)), "w", "b", o, k, k, stride, pad, act, FW_NONE);                 \
    }
CONV(1x1, 3, 5, 4, 7, 1, 1, k_none, FW_ACT_NONE)
CONV(3x3, 5, 4, 3, 5, 3, 1, k_same, FW_ACT_RELU)
CONV(3x3_s2, 7, 5, 3, 4, 3, 2, k_same, FW_ACT_SILU)
CONV(odd_pad, 6, 6, 2, 3, 3, 2, k_odd, FW_ACT_RELU6)
CONV(5x5_valid, 7, 6, 1, 17, 5, 1, k_none, FW_ACT_GELU)
static fw_val c_conv_residual(fw_graph *g) {
    fw_val x = var(g, "x", S(2, 4, 3, 5));
    return fw_conv2d(g, x, "w", NULL, 5, 3, 3, 1, k_same, FW_ACT_RELU, x);
}
static fw_val c_conv_wide(fw_graph *g) { /* several blocks of rows and of channels */
    fw_val x = var(g, "x", S(3, 9, 11, 6));
    return fw_conv2d(g, x, "w", "b", 41, 3, 3, 1, k_same, FW_ACT_TANH, FW_NONE);
}
static fw_val c_conv_frozen_x(fw_graph *g) { /* the second layer's x leads to a parameter, the first's is an input */
    fw_val x = fw_input(g, "x", FW_F32, S(2, 4, 4, 3));
    x = fw_conv2d(g, x, "w", "b", 4, 3, 3, 1, k_same, FW_ACT_NONE, FW_NONE);
    return fw_conv2d(g, x, "w2", "b2", 2, 1, 1, 1, k_none, FW_ACT_NONE, FW_NONE);
}
#define DWCONV(name, h, w, c, k, stride, pad, act)                                                                     \
    static fw_val c_dwconv_##name(fw_graph *g) {                                                                       \
        return fw_dwconv2d(g, var(g, "x", S(2, h, w, c)), "w", "b", k, k, stride, pad, act);                           \
    }
DWCONV(3x3, 5, 4, 7, 3, 1, k_same, FW_ACT_NONE)
DWCONV(3x3_s2, 6, 7, 5, 3, 2, k_odd, FW_ACT_RELU6)
DWCONV(5x5, 6, 6, 35, 5, 1, k_same, FW_ACT_SILU)
static fw_val c_dwconv_twice(fw_graph *g) {
    fw_val x = var(g, "x", S(1, 4, 4, 3)), h = fw_dwconv2d(g, x, "w", NULL, 3, 3, 1, k_same, FW_ACT_NONE);
    return fw_add(g, fw_dwconv2d(g, h, "w", NULL, 3, 3, 1, k_same, FW_ACT_NONE), fw_add(g, x, h));
}

static fw_val c_attention(fw_graph *g) {
    return fw_attention(g, var(g, "q", S(2, 3, 8)), var(g, "k", S(2, 5, 8)), var(g, "v", S(2, 5, 8)), 2, FW_MASK_NONE,
                        FW_NONE);
}
static fw_val c_attention_causal(fw_graph *g) {
    return fw_attention(g, var(g, "q", S(1, 5, 9)), var(g, "k", S(1, 5, 9)), var(g, "v", S(1, 5, 9)), 3, FW_MASK_CAUSAL,
                        FW_NONE);
}
static fw_val c_attention_length(fw_graph *g) {
    static const int32_t len[] = {2, 4, 1};
    fw_val l = fw_input(g, "len", FW_I32, S(3));
    g_ints = len, g_int_val = l, g_n_ints = 3;
    return fw_attention(g, var(g, "q", S(3, 2, 4)), var(g, "k", S(3, 4, 4)), var(g, "v", S(3, 4, 4)), 1, FW_MASK_LENGTH,
                        l);
}
static fw_val c_attention_self(fw_graph *g) { /* one value in all three places */
    fw_val x = var(g, "x", S(2, 4, 6));
    return fw_attention(g, x, x, x, 2, FW_MASK_NONE, FW_NONE);
}
static fw_val c_attention_input_kv(fw_graph *g) { /* no gradient towards k and v */
    fw_val kv = fw_input(g, "kv", FW_F32, S(2, 4, 6)), q = var(g, "q", S(2, 3, 6));
    return fw_add(g, q, fw_attention(g, q, kv, kv, 2, FW_MASK_NONE, FW_NONE));
}
static fw_val c_attention_grouped(fw_graph *g) {
    return fw_grouped_attention(g, var(g, "q", S(2, 3, 12)), var(g, "k", S(2, 5, 4)), var(g, "v", S(2, 5, 4)), FW_NONE,
                                &(fw_attn_opts){.n_head = 6, .n_kv = 2});
}
static fw_val
c_attention_prefix(fw_graph *g) { /* 4 keys of prefix, of which 3 and 1 are real; the first query sees 5 */
    static const int32_t len[] = {3, 1};
    fw_val l = fw_input(g, "len", FW_I32, S(2));
    g_ints = len, g_int_val = l, g_n_ints = 2;
    return fw_grouped_attention(
        g, var(g, "q", S(2, 3, 8)), var(g, "k", S(2, 7, 4)), var(g, "v", S(2, 7, 4)), l,
        &(fw_attn_opts){.n_head = 2, .n_kv = 1, .mask = FW_MASK_PREFIX, .prefix = 4, .first = 1, .first_end = 5});
}
static fw_val c_attention_prefix_causal(fw_graph *g) {
    static const int32_t len[] = {2, 0};
    fw_val l = fw_input(g, "len", FW_I32, S(2));
    g_ints = len, g_int_val = l, g_n_ints = 2;
    return fw_grouped_attention(g, var(g, "q", S(2, 3, 8)), var(g, "k", S(2, 7, 8)), var(g, "v", S(2, 7, 8)), l,
                                &(fw_attn_opts){.n_head = 2, .n_kv = 2, .mask = FW_MASK_PREFIX_CAUSAL, .prefix = 4});
}
static fw_val
c_attention_span(fw_graph *g) { /* keys 1 and 2 of a prefix of 4, and 3 alone; the first query sees up to key 5 */
    static const int32_t span[] = {1, 3, 3, 4};
    fw_val l = fw_input(g, "len", FW_I32, S(2, 2));
    g_ints = span, g_int_val = l, g_n_ints = 4;
    return fw_grouped_attention(
        g, var(g, "q", S(2, 3, 8)), var(g, "k", S(2, 7, 4)), var(g, "v", S(2, 7, 4)), l,
        &(fw_attn_opts){.n_head = 4, .n_kv = 2, .mask = FW_MASK_PREFIX, .prefix = 4, .first = 1, .first_end = 5});
}
static fw_val c_attention_span_causal(fw_graph *g) { /* entry 1 sees nothing of the prefix */
    static const int32_t span[] = {2, 4, 3, 3};
    fw_val l = fw_input(g, "len", FW_I32, S(2, 2));
    g_ints = span, g_int_val = l, g_n_ints = 4;
    return fw_grouped_attention(g, var(g, "q", S(2, 3, 8)), var(g, "k", S(2, 7, 4)), var(g, "v", S(2, 7, 4)), l,
                                &(fw_attn_opts){.n_head = 2, .n_kv = 1, .mask = FW_MASK_PREFIX_CAUSAL, .prefix = 4});
}
static fw_val c_rope(fw_graph *g) {
    static const int32_t at[] = {0, 3, 7, 1, 1, 100};
    fw_val p = fw_input(g, "pos", FW_I32, S(2, 3)), x = var(g, "x", S(2, 3, 12));
    g_ints = at, g_int_val = p, g_n_ints = 6;
    return fw_add(g, x, fw_rope(g, x, fw_rope_table(g, p, 4, 10000.0), 3));
}
static fw_val c_permute(fw_graph *g) { /* the last dimension stays, and does not; x used twice */
    fw_val x = var(g, "x", S(2, 3, 4, 5)), y = fw_permute(g, x, (const int[]){2, 0, 1, 3});
    fw_val z = fw_permute(g, fw_permute(g, x, (const int[]){3, 2, 1, 0}), (const int[]){3, 2, 1, 0});
    return fw_add(g, fw_permute(g, y, (const int[]){1, 2, 0, 3}), z);
}
static fw_val c_max_pool(fw_graph *g) {
    fw_val x = fw_conv2d(g, var(g, "x", S(2, 7, 6, 3)), "w", "b", 4, 1, 1, 1, k_none, FW_ACT_NONE, FW_NONE);
    return fw_max_pool(g, x, 3, 2, k_same);
}
static fw_val c_mean(fw_graph *g) { /* what is averaged is used as well */
    fw_val x = var(g, "x", S(2, 3)), t = fw_mul(g, x, x);
    return fw_mul(g, x, fw_reshape(g, fw_mean(g, t), S(1)));
}
static fw_val c_rms_norm_plain(fw_graph *g) { /* adaptive: scale and shift from a condition, then gated */
    fw_val x = var(g, "x", S(2, 3, 6)), h = fw_rms_norm(g, x, NULL, 1e-5f);
    h = fw_film(g, h, var(g, "scale", S(2, 6)), var(g, "shift", S(2, 6)), FW_ACT_NONE);
    return fw_add(g, fw_mul(g, h, fw_reshape(g, var(g, "gate", S(2, 6)), S(2, 1, 6))), x);
}
static fw_val c_layer_norm(fw_graph *g) {
    return fw_layer_norm(g, var(g, "x", S(5, 7)), "gamma", "beta", 1e-5f);
}
static fw_val c_layer_norm_rows(fw_graph *g) { /* several blocks of rows; x used twice */
    fw_val x = var(g, "x", S(900, 21));
    return fw_add(g, fw_layer_norm(g, x, "gamma", "beta", 1e-5f), x);
}
static fw_val c_layer_norm_input(fw_graph *g) {
    fw_val x = fw_input(g, "x", FW_F32, S(4, 6)); /* zeros: only beta matters */
    return fw_mul(g, fw_layer_norm(g, x, "gamma", "beta", 1e-5f),
                  fw_layer_norm(g, var(g, "y", S(4, 6)), "gamma", "beta", 1e-5f));
}
static fw_val c_rms_norm(fw_graph *g) {
    return fw_rms_norm(g, var(g, "x", S(2, 3, 6)), "gamma", 1e-5f);
}
static fw_val c_embedding(fw_graph *g) {
    static const int32_t ids[] = {4, 0, 2, 4, 4, 1};
    fw_val i = fw_input(g, "ids", FW_I32, S(2, 3));
    g_ints = ids, g_int_val = i, g_n_ints = 6;
    return fw_embedding(g, i, "table", 5, 4);
}
static fw_val c_embedding_tied(fw_graph *g) { /* the table is also a weight: two writers of one gradient */
    static const int32_t ids[] = {2, 0, 2};
    fw_val i = fw_input(g, "ids", FW_I32, S(3));
    g_ints = ids, g_int_val = i, g_n_ints = 3;
    return fw_linear(g, fw_scale(g, fw_embedding(g, i, "table", 5, 4), 30.0f), "table", NULL, 5, FW_ACT_NONE, FW_NONE);
}
static fw_val c_softmax(fw_graph *g) {
    return fw_scale(g, fw_softmax(g, var(g, "x", S(3, 2, 5))), 5.0f);
}
#define BINARY(name, sx, sb)                                                                                           \
    static fw_val c_add_##name(fw_graph *g) {                                                                          \
        return fw_add(g, var(g, "x", sx), var(g, "b", sb));                                                            \
    }                                                                                                                  \
    static fw_val c_mul_##name(fw_graph *g) {                                                                          \
        fw_val x = var(g, "x", sx), b = var(g, "b", sb);                                                               \
        return fw_add(g, fw_mul(g, x, b), x); /* x a second time */                                                    \
    }
BINARY(same, S(3, 5), S(3, 5))
BINARY(suffix, S(4, 3, 5), S(5))
BINARY(rows, S(4, 3, 5), S(4, 3, 1))
BINARY(middle, S(4, 3, 5), S(4, 1, 5))
BINARY(suffix2, S(4, 3, 5), S(3, 5))
BINARY(scalar, S(4, 3), S(1))
BINARY(big, S(600, 3, 11), S(3, 11))
static fw_val c_mul_square(fw_graph *g) {
    fw_val x = var(g, "x", S(3, 4));
    return fw_mul(g, x, x);
}
static fw_val c_film(fw_graph *g) {
    return fw_film(g, var(g, "x", S(2, 3, 4, 5)), var(g, "gamma", S(2, 5)), var(g, "beta", S(2, 5)), FW_ACT_SILU);
}
static fw_val c_film_input(fw_graph *g) { /* conditions are inputs; x used twice */
    fw_val x = var(g, "x", S(3, 2, 7)), c = fw_input(g, "c", FW_F32, S(3, 7));
    return fw_add(g, fw_film(g, x, c, c, FW_ACT_RELU), x);
}
static fw_val c_film_both(fw_graph *g) {
    fw_val c = var(g, "c", S(3, 7));
    return fw_film(g, var(g, "x", S(3, 2, 7)), c, c, FW_ACT_NONE);
}
static fw_val c_mean_pool(fw_graph *g) {
    fw_val x = var(g, "x", S(2, 3, 2, 5));
    return fw_mul(g, fw_mean_pool(g, x), fw_mean_pool(g, fw_reshape(g, x, S(2, 6, 5))));
}
static fw_val c_spatial_softmax(fw_graph *g) {
    return fw_spatial_softmax(g, fw_scale(g, var(g, "x", S(2, 4, 3, 5)), 1.5f));
}
static fw_val c_spatial_twice(fw_graph *g) {
    fw_val x = var(g, "x", S(3, 3, 3, 2));
    return fw_add(g, fw_spatial_softmax(g, x), fw_spatial_softmax(g, fw_scale(g, x, 0.3f)));
}
static fw_val c_concat(fw_graph *g) {
    fw_val a = var(g, "a", S(2, 3, 4)), b = var(g, "b", S(2, 2, 4)), z = fw_input(g, "z", FW_F32, S(2, 1, 4));
    return fw_concat(g, (fw_val[]){a, z, b, a}, 4, 1);
}
static fw_val c_concat_last(fw_graph *g) {
    fw_val a = var(g, "a", S(5, 3));
    return fw_concat(g, (fw_val[]){fw_scale(g, a, 2.0f), a, var(g, "b", S(5, 1))}, 3, 1);
}
static fw_val c_slice(fw_graph *g) {
    fw_val x = var(g, "x", S(3, 5, 2));
    return fw_mul(g, fw_slice(g, x, 1, 0, 3), fw_slice(g, x, 1, 2, 5));
}
static fw_val c_slice_rows(fw_graph *g) {
    fw_val x = var(g, "x", S(6, 2));
    return fw_add(g, fw_slice(g, x, 0, 1, 6), fw_slice(g, x, 0, 0, 5));
}
static fw_val c_losses(fw_graph *g) { /* a scalar made of several, through another mean */
    fw_val p = var(g, "p", S(4, 3)), t = fw_input(g, "target", FW_F32, S(4, 3));
    fw_val a = fw_l1_loss(g, p, t, FW_NONE), b = fw_mse_loss(g, fw_scale(g, p, 2.0f), t, FW_NONE);
    return fw_add(g, fw_scale(g, a, 0.7f), b);
}
static fw_val c_cross_entropy(fw_graph *g) {
    static const int32_t labels[] = {1, -1, 3, 0, -1};
    fw_val l = fw_input(g, "labels", FW_I32, S(5));
    g_ints = labels, g_int_val = l, g_n_ints = 5;
    return fw_cross_entropy(g, var(g, "x", S(5, 4)), l);
}
static fw_val c_transformer(fw_graph *g) { /* everything a block of a transformer does, used as such */
    fw_val x = var(g, "x", S(2, 3, 8)), h = fw_layer_norm(g, x, "n1.g", "n1.b", 1e-5f);
    fw_val qkv = fw_linear(g, h, "qkv.w", "qkv.b", 24, FW_ACT_NONE, FW_NONE);
    fw_val a = fw_attention(g, fw_slice(g, qkv, 2, 0, 8), fw_slice(g, qkv, 2, 8, 16), fw_slice(g, qkv, 2, 16, 24), 2,
                            FW_MASK_CAUSAL, FW_NONE);
    x = fw_linear(g, a, "o.w", "o.b", 8, FW_ACT_NONE, x);
    h = fw_layer_norm(g, x, "n2.g", "n2.b", 1e-5f);
    return fw_linear(g, fw_linear(g, h, "up.w", "up.b", 16, FW_ACT_GELU, FW_NONE), "down.w", "down.b", 8, FW_ACT_NONE,
                     x);
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
    {"lora", c_lora, 0},
    {"lora_act", c_lora_act, 0},
    {"linear_shared", c_linear_shared, 0},
    {"reshape", c_reshape, 0},
    {"act_relu", c_act_relu, 0},
    {"act_relu6", c_act_relu6, 0},
    {"act_gelu", c_act_gelu, 0},
    {"act_gelu_tanh", c_act_gelu_tanh, 0},
    {"act_silu", c_act_silu, 0},
    {"act_tanh", c_act_tanh, 0},
    {"act_sigmoid", c_act_sigmoid, 0},
    {"conv_residual", c_conv_residual, 0},
    {"conv_wide", c_conv_wide, 0},
    {"conv_frozen_x", c_conv_frozen_x, 0},
    {"dwconv_twice", c_dwconv_twice, 0},
    {"attention", c_attention, 0},
    {"attention_causal", c_attention_causal, 0},
    {"attention_length", c_attention_length, 0},
    {"attention_self", c_attention_self, 0},
    {"attention_input_kv", c_attention_input_kv, 0},
    {"attention_grouped", c_attention_grouped, 0},
    {"attention_prefix", c_attention_prefix, 0},
    {"attention_prefix_causal", c_attention_prefix_causal, 0},
    {"attention_span", c_attention_span, 0},
    {"attention_span_causal", c_attention_span_causal, 0},
    {"rope", c_rope, 0},
    {"permute", c_permute, 0},
    {"max_pool", c_max_pool, 0},
    {"mean", c_mean, 0},
    {"act_exp", c_act_exp, 0},
    {"linear_exp", c_linear_exp, 0},
    {"rms_norm_plain", c_rms_norm_plain, 0},
    {"layer_norm", c_layer_norm, 0},
    {"layer_norm_rows", c_layer_norm_rows, 0},
    {"layer_norm_input", c_layer_norm_input, 0},
    {"rms_norm", c_rms_norm, 0},
    {"embedding", c_embedding, 0},
    {"embedding_tied", c_embedding_tied, 0},
    {"softmax", c_softmax, 0},
    {"mul_square", c_mul_square, 0},
    {"film", c_film, 0},
    {"film_input", c_film_input, 0},
    {"film_both", c_film_both, 0},
    {"mean_pool", c_mean_pool, 0},
    {"spatial_softmax", c_spatial_softmax, 0},
    {"spatial_twice", c_spatial_twice, 0},
    {"concat", c_concat, 0},
    {"concat_last", c_concat_last, 0},
    {"slice", c_slice, 0},
    {"slice_rows", c_slice_rows, 0},
    {"losses", c_losses, 0},
    {"cross_entropy", c_cross_entropy, 0},
    {"transformer", c_transformer, 1e-3},
    {"conv_1x1", c_conv_1x1, 0},
    {"conv_3x3", c_conv_3x3, 0},
    {"conv_3x3_s2", c_conv_3x3_s2, 0},
    {"conv_odd_pad", c_conv_odd_pad, 0},
    {"conv_5x5_valid", c_conv_5x5_valid, 0},
    {"dwconv_3x3", c_dwconv_3x3, 0},
    {"dwconv_3x3_s2", c_dwconv_3x3_s2, 0},
    {"dwconv_5x5", c_dwconv_5x5, 0},
    {"add_same", c_add_same, 0},
    {"mul_same", c_mul_same, 0},
    {"add_suffix", c_add_suffix, 0},
    {"mul_suffix", c_mul_suffix, 0},
    {"add_rows", c_add_rows, 0},
    {"mul_rows", c_mul_rows, 0},
    {"add_middle", c_add_middle, 0},
    {"mul_middle", c_mul_middle, 0},
    {"add_suffix2", c_add_suffix2, 0},
    {"mul_suffix2", c_mul_suffix2, 0},
    {"add_scalar", c_add_scalar, 0},
    {"mul_scalar", c_mul_scalar, 0},
    {"add_big", c_add_big, 0},
    {"mul_big", c_mul_big, 0},
};
