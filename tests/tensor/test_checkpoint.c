/* test_checkpoint.c - gradient checkpointing: the bits of a plan that keeps everything, in less memory, for at most one more forward. */
#include "alloc_guard.h"
#include "base/rng.h"
#include "fw_test.h"
#include "tensor/plan.h"

#define S FW_SHAPE_OF

static fw_err g_err;
static void must(fw_status st) {
    if (st != FW_OK)
        FW_FAILED("%s", g_err.msg);
}

typedef struct net {
    fw_params *params;
    fw_graph *g;
    fw_val x, ids, len, loss, seen;
} net;

static net net_start(uint64_t seed) {
    net n = {0};
    must(fw_params_new(seed, &n.params, &g_err));
    must(fw_graph_new(n.params, &n.g, &g_err));
    return n;
}

static void net_free(net *n) {
    fw_graph_free(n->g);
    fw_params_free(n->params);
}

static void fill(fw_plan *p, const net *n, uint64_t seed) {
    fw_rng r = {seed};
    float *x = n->x == FW_NONE ? NULL : fw_plan_data(p, n->x);
    for (int64_t i = 0; x != NULL && i < fw_shape_count(fw_val_shape(n->g, n->x)); i++)
        x[i] = (float)fw_rng_normal(&r);
    int32_t *ids = n->ids == FW_NONE ? NULL : fw_plan_data(p, n->ids),
            *len = n->len == FW_NONE ? NULL : fw_plan_data(p, n->len);
    for (int64_t i = 0; ids != NULL && i < fw_shape_count(fw_val_shape(n->g, n->ids)); i++)
        ids[i] = (int32_t)fw_rng_below(&r, 11);
    for (int64_t i = 0; len != NULL && i < fw_shape_count(fw_val_shape(n->g, n->len)); i++)
        len[i] = (int32_t)fw_rng_below(&r, 6);
}

/* ---- random networks ---- */

enum { B = 2, TOKENS = 5, C = 8, OPS = 40 };

static bool half_of_them(const void *ctx, const char *module) {
    return (module[strlen(module) - 1] & 1) != 0 && ctx == NULL;
}

/* One operation on values drawn from those there are, all [B,TOKENS,C]. */
static fw_val random_op(net *n, fw_rng *r, const fw_val *have, int n_have, int i) {
    static const fw_act acts[] = {FW_ACT_NONE, FW_ACT_RELU, FW_ACT_GELU, FW_ACT_SILU};
    fw_graph *g = n->g;
    char w[32], b[32];
    fw_val x = have[fw_rng_below(r, 2) ? n_have - 1 : (int)fw_rng_below(r, (uint64_t)n_have)];
    fw_val y = have[fw_rng_below(r, (uint64_t)n_have)], z = have[fw_rng_below(r, (uint64_t)n_have)];
    const int name =
        (int)fw_rng_below(r, 4) == 0 ? (int)fw_rng_below(r, (uint64_t)i + 1) : i; /* now and then a weight twice */
    snprintf(w, sizeof w, "w%d.weight", name);
    snprintf(b, sizeof b, "b%d", name);
    const fw_act act = acts[fw_rng_below(r, 4)];
    switch (fw_rng_below(r, 13)) {
    case 0:
        snprintf(w, sizeof w, "g%d", name);
        return fw_layer_norm(g, x, w, b, 1e-5f);
    case 1:
        return fw_rms_norm(g, x, NULL, 1e-6f);
    case 2:
        return fw_attention(g, x, y, z, 2, FW_MASK_LENGTH, n->len);
    case 3:
        return fw_attention(g, x, x, y, 1, FW_MASK_CAUSAL, FW_NONE);
    case 4:
        return fw_dropout(g, x, 0.3f);
    case 5:
        return fw_mul(g, x, fw_softmax(g, y));
    case 6:
        return fw_add(g, x, y);
    case 7:
        return fw_slice(g, fw_concat(g, (fw_val[]){x, y}, 2, 1), 1, 3, 3 + TOKENS);
    case 8:
        return fw_reshape(g, fw_activation(g, fw_reshape(g, x, S(B * TOKENS, C)), act), S(B, TOKENS, C));
    case 9: {
        fw_val gb = fw_mean_pool(g, y);
        return fw_film(g, x, gb, gb, act);
    }
    default: {
        fw_graph_exact(g, (i & 7) == 0);
        fw_val out = fw_linear(g, x, w, b, C, act, fw_rng_below(r, 2) ? y : FW_NONE);
        fw_graph_exact(g, false);
        return out;
    }
    }
}

static net random_net(uint64_t seed) {
    static const fw_lora lora = {.rank = 2, .alpha = 3, .targets = half_of_them, .ctx = NULL};
    net n = net_start(seed);
    fw_rng r = {seed};
    fw_val have[OPS + 2];
    int n_have = 0;
    n.x = fw_input(n.g, "x", FW_F32, S(B, TOKENS, C));
    n.ids = fw_input(n.g, "ids", FW_I32, S(B, TOKENS));
    n.len = fw_input(n.g, "len", FW_I32, S(B));
    if (fw_rng_below(&r, 2)) {
        fw_graph_lora(n.g, &lora);
    }
    have[n_have++] = n.x;
    have[n_have++] = fw_embedding(n.g, n.ids, "words", 11, C);
    for (int i = 0; i < OPS; i++) {
        const uint64_t cut = fw_rng_below(&r, 6); /* segments of six operations, and what lies between them */
        if (cut < 2) {
            fw_graph_segment(n.g, cut == 0);
        }
        have[n_have] = random_op(&n, &r, have, n_have, i);
        n_have++;
    }
    n.seen = have[2 + (int)fw_rng_below(&r, OPS)];
    n.loss = fw_mse_loss(n.g, have[n_have - 1], have[0], FW_NONE);
    must(fw_graph_check(n.g, &g_err));
    for (int i = 0; i < fw_params_count(n.params); i++) {
        fw_params_at(n.params, i)->trainable = fw_rng_below(&r, 3) > 0;
    }
    return n;
}

static fw_status plan_of(const net *n, bool checkpoint, fw_pool *pool, fw_plan **out) {
    fw_val outs[2] = {n->loss, n->seen};
    return fw_plan_new(n->g, &(fw_plan_opts){.pool = pool, .train = true, .seed = 3, .checkpoint = checkpoint}, outs,
                       n->seen == FW_NONE ? 1 : 2, out, &g_err);
}

static void check_same(uint64_t seed, fw_plan *a, fw_plan *b, const net *n) {
    const size_t seen = n->seen == FW_NONE ? 0 : (size_t)fw_shape_count(fw_val_shape(n->g, n->seen));
    CHECK(memcmp(fw_plan_data(a, n->loss), fw_plan_data(b, n->loss), sizeof(float)) == 0);
    CHECK(seen == 0 || memcmp(fw_plan_data(a, n->seen), fw_plan_data(b, n->seen), seen * sizeof(float)) == 0);
    for (int i = 0; i < fw_params_count(n->params); i++) {
        const fw_parameter *q = fw_params_at(n->params, i);
        const float *x = fw_plan_grad(a, q), *y = fw_plan_grad(b, q);
        if ((x == NULL) != (y == NULL) ||
            (x != NULL && memcmp(x, y, (size_t)fw_shape_count(&q->shape) * sizeof(float)) != 0))
            FW_FAILED("seed %llu: the gradient of %s has other bits", (unsigned long long)seed, q->name);
    }
}

/* Every kind of cut: values read across segments, shared weights, adapters, frozen and exact parts, outputs inside a segment. */
static void random_networks_get_the_same_bits(void) {
    fw_pool *pool;
    int compared = 0;
    must(fw_pool_new(2, &pool, &g_err));
    for (uint64_t seed = 1; seed <= 300; seed++) {
        net n = random_net(seed);
        fw_plan *keep, *again;
        if (plan_of(&n, false, NULL, &keep) == FW_OK) {
            if (plan_of(&n, true, seed % 2 ? pool : NULL, &again) == FW_OK) {
                fill(keep, &n, seed);
                fill(again, &n, seed);
                for (int run = 0; run < 2; run++) { /* the second time: other masks of dropout, dirty buffers */
                    must(fw_plan_run(keep, &g_err));
                    must(fw_plan_run(again, &g_err));
                    check_same(seed, keep, again, &n);
                }
                compared++;
                fw_plan_free(again);
            }
            fw_plan_free(keep);
        }
        net_free(&n);
    }
    fw_pool_free(pool);
    printf("%d of 300 networks compared\n", compared);
    CHECK(compared > 200);
}

/* ---- a deep one ---- */

enum { DEEP = 24, LONG = 64, WIDE = 32 };

static fw_val layer(fw_graph *g, fw_val x, int i) {
    char w[5][24];
    for (int k = 0; k < 5; k++)
        snprintf(w[k], sizeof w[k], "l%d.%d", i, k);
    fw_val h = fw_rms_norm(g, x, NULL, 1e-6f), q = fw_linear(g, h, w[0], NULL, WIDE, FW_ACT_NONE, FW_NONE);
    fw_val k = fw_linear(g, h, w[1], NULL, WIDE, FW_ACT_NONE, FW_NONE);
    x = fw_linear(g, fw_attention(g, q, k, h, 2, FW_MASK_NONE, FW_NONE), w[2], NULL, WIDE, FW_ACT_NONE, x);
    h = fw_linear(g, fw_rms_norm(g, x, NULL, 1e-6f), w[3], NULL, 4 * WIDE, FW_ACT_GELU, FW_NONE);
    return fw_linear(g, fw_dropout(g, h, 0.1f), w[4], NULL, WIDE, FW_ACT_NONE, x);
}

static net deep_net(bool segments) {
    net n = net_start(4);
    fw_val x = n.x = fw_input(n.g, "x", FW_F32, S(8, LONG, WIDE));
    n.ids = n.len = n.seen = FW_NONE;
    for (int i = 0; i < DEEP; i++) {
        if (segments)
            fw_graph_segment(n.g, true);
        x = layer(n.g, x, i);
    }
    fw_graph_segment(n.g, false);
    n.loss = fw_mean(n.g, fw_mul(n.g, x, x));
    must(fw_graph_check(n.g, &g_err));
    return n;
}

static void a_deep_network_takes_the_memory_of_one_layer(void) {
    net n = deep_net(true);
    fw_plan *keep, *again;
    fw_plan_info a, b;
    must(plan_of(&n, false, NULL, &keep));
    must(plan_of(&n, true, NULL, &again));
    fw_plan_get_info(keep, &a);
    fw_plan_get_info(again, &b);
    const size_t row = 8u * LONG * WIDE * sizeof(float), weights = DEEP * 11u * WIDE * WIDE * sizeof(float);
    printf("%d layers: %.1f MB, checkpointed %.1f MB; one value of a layer %.2f MB, gradients %.1f MB\n", DEEP,
           1e-6 * (double)a.arena_bytes, 1e-6 * (double)b.arena_bytes, 1e-6 * (double)row, 1e-6 * (double)weights);
    CHECK(a.arena_bytes > DEEP * 10 * row);                       /* a layer keeps ten values and more */
    CHECK(b.arena_bytes < weights + (DEEP + 1) * row + 24 * row); /* one each, and one layer's own */
    CHECK(b.flops_forward == a.flops_forward && b.flops_backward == a.flops_backward && a.flops_again == 0);
    CHECK(b.flops_again > 0.5 * a.flops_forward && b.flops_again < a.flops_forward);
    fill(keep, &n, 1);
    fill(again, &n, 1);
    must(fw_plan_run(keep, &g_err));
    CHECK_NO_ALLOC(must(fw_plan_run(again, &g_err)));
    check_same(0, keep, again, &n);
    fw_plan_free(keep);
    fw_plan_free(again);
    net_free(&n);
}

static void layers_without_gradient_are_not_made_again(void) {
    net n = deep_net(true);
    fw_plan *all, *some;
    fw_plan_info a, b;
    must(plan_of(&n, true, NULL, &all));
    for (int i = 0; i < DEEP / 2; i++) {
        char name[24];
        snprintf(name, sizeof name, "l%d.", i);
        CHECK_INT(fw_params_set_trainable(n.params, name, false), 5);
    }
    must(plan_of(&n, true, NULL, &some));
    fw_plan_get_info(all, &a);
    fw_plan_get_info(some, &b);
    CHECK(b.flops_again == 0.5 * a.flops_again);
    CHECK(b.arena_bytes < a.arena_bytes);
    fw_plan_free(all);
    fw_plan_free(some);
    net_free(&n);
}

static void a_network_without_segments_is_refused(void) {
    net n = deep_net(false);
    fw_plan *p;
    CHECK_INT(plan_of(&n, true, NULL, &p), FW_INVALID);
    CHECK(strstr(g_err.msg, "gradient checkpointing has nothing to make again") != NULL);
    must(plan_of(&n, false, NULL, &p));
    fw_plan_free(p);
    must(fw_plan_new(n.g, &(fw_plan_opts){.checkpoint = true}, &n.loss, 1, &p,
                     &g_err)); /* inference: nothing is kept anyhow */
    fw_plan_free(p);
    net_free(&n);
}

FW_TEST_MAIN(T(random_networks_get_the_same_bits), T(a_deep_network_takes_the_memory_of_one_layer),
             T(layers_without_gradient_are_not_made_again), T(a_network_without_segments_is_refused))
