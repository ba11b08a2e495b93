/* test_plan.c - what plan.h and graph.h promise: no allocation, same bits, memory shared, frozen parts free, clear errors. */
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

/* A network with every kind of operation: two views -> conv -> film -> keypoints; words -> attention; both -> MLP. */
typedef struct net {
    fw_params *params;
    fw_graph *g;
    fw_val img, ids, len, state, target, weight, out, loss;
} net;
enum { BATCH = 24 };

static fw_val view(fw_graph *g, fw_val img, fw_val words, const char *conv_w) {
    static const int pad[4] = {1, 1, 1, 1};
    fw_val f = fw_conv2d(g, img, conv_w, "conv.b", 24, 3, 3, 1, pad, FW_ACT_RELU6, FW_NONE);
    f = fw_dwconv2d(g, f, "dw.w", "dw.b", 3, 3, 1, pad, FW_ACT_SILU);
    fw_val gb = fw_linear(g, words, "film.w", "film.b", 48, FW_ACT_NONE, FW_NONE);
    f = fw_film(g, f, fw_slice(g, gb, 1, 0, 24), fw_slice(g, gb, 1, 24, 48), FW_ACT_RELU);
    fw_val key = fw_reshape(g, fw_spatial_softmax(g, f), S(BATCH, 48));
    return fw_concat(g, (fw_val[]){key, fw_mean_pool(g, f)}, 2, 1);
}

static net net_new(uint64_t seed) {
    net n;
    must(fw_params_new(seed, &n.params, &g_err));
    must(fw_graph_new(n.params, &n.g, &g_err));
    fw_graph *g = n.g;
    n.img = fw_input(g, "img", FW_F32, S(BATCH, 8, 8, 5));
    n.ids = fw_input(g, "ids", FW_I32, S(BATCH, 6));
    n.len = fw_input(g, "len", FW_I32, S(BATCH));
    n.state = fw_input(g, "state", FW_F32, S(BATCH, 7));
    n.target = fw_input(g, "target", FW_F32, S(BATCH, 4, 3));
    n.weight = fw_input(g, "weight", FW_F32, S(BATCH, 4));
    fw_val e = fw_embedding(g, n.ids, "words", 11, 16);
    e = fw_add(g, e, fw_param(g, "pos", S(6, 16), (fw_init){FW_INIT_NORMAL, 0.02f}));
    fw_val a = fw_layer_norm(g, e, "ln.g", "ln.b", 1e-5f);
    a = fw_attention(g, a, a, a, 2, FW_MASK_LENGTH, n.len);
    fw_val words = fw_mean_pool(g, fw_linear(g, a, "attn.w", NULL, 16, FW_ACT_NONE, e));
    fw_val h = fw_concat(g, (fw_val[]){view(g, n.img, words, "conv.w"), n.state}, 2, 1);
    h = fw_dropout(g, fw_linear(g, h, "up.w", "up.b", 64, FW_ACT_GELU, FW_NONE), 0.25f);
    h = fw_linear(g, fw_rms_norm(g, h, "rms.g", 1e-6f), "mid.w", "mid.b", 64, FW_ACT_SILU, h);
    n.out = fw_reshape(g, fw_linear(g, h, "out.w", "out.b", 12, FW_ACT_NONE, FW_NONE), S(BATCH, 4, 3));
    n.loss = fw_l1_loss(g, n.out, n.target, n.weight);
    must(fw_graph_check(g, &g_err));
    return n;
}

static void net_free(net *n) {
    fw_graph_free(n->g);
    fw_params_free(n->params);
}

static void fill(fw_plan *p, const net *n, uint64_t seed) {
    fw_rng r = fw_rng_stream(seed, "inputs");
    const fw_val f[] = {n->img, n->state, n->target, n->weight};
    for (size_t k = 0; k < sizeof(f) / sizeof(*f); k++) {
        float *x = fw_plan_data(p, f[k]);
        for (int64_t i = 0; x != NULL && i < fw_shape_count(fw_val_shape(n->g, f[k])); i++)
            x[i] = f[k] == n->weight ? (float)(fw_rng_below(&r, 4) > 0) : (float)fw_rng_normal(&r);
    }
    int32_t *ids = fw_plan_data(p, n->ids), *len = fw_plan_data(p, n->len);
    for (int i = 0; i < 6 * BATCH; i++)
        ids[i] = (int32_t)fw_rng_below(&r, 11);
    for (int i = 0; i < BATCH; i++)
        len[i] = 1 + (int32_t)fw_rng_below(&r, 6);
}

static fw_plan *plan_of(const net *n, fw_pool *pool, bool train) {
    fw_plan *p;
    fw_val out[2] = {n->loss, n->out};
    must(fw_plan_new(n->g, &(fw_plan_opts){.pool = pool, .train = train, .seed = 3}, train ? out : out + 1,
                     train ? 2 : 1, &p, &g_err));
    fill(p, n, 5);
    return p;
}

static fw_pool *pool_of(int n) {
    fw_pool *p;
    must(fw_pool_new(n, &p, &g_err));
    return p;
}

static void sgd(fw_plan *p, const net *n, float lr) {
    for (int i = 0; i < fw_params_count(n->params); i++) {
        fw_parameter *q = fw_params_at(n->params, i);
        const float *g = fw_plan_grad(p, q);
        for (int64_t k = 0; g != NULL && k < fw_shape_count(&q->shape); k++)
            q->data[k] -= lr * g[k];
    }
}

static float train(int threads, int steps, net *n, float *first) {
    fw_pool *pool = pool_of(threads);
    fw_plan *p = plan_of(n, pool, true);
    float loss = 0;
    for (int i = 0; i < steps; i++) {
        must(fw_plan_run(p, &g_err));
        loss = *(float *)fw_plan_data(p, n->loss);
        *first = i == 0 ? loss : *first;
        sgd(p, n, 0.1f);
    }
    fw_plan_free(p);
    fw_pool_free(pool);
    return loss;
}

static void training_reduces_the_loss(void) {
    net n = net_new(1);
    float first = 0, last = train(2, 300, &n, &first);
    if (!(last < 0.6f * first))
        FW_FAILED("loss %g -> %g", (double)first, (double)last);
    net_free(&n);
}

static bool same_params(const net *a, const net *b) {
    for (int i = 0; i < fw_params_count(a->params); i++) {
        const fw_parameter *p = fw_params_at(a->params, i), *q = fw_params_at(b->params, i);
        if (memcmp(p->data, q->data, (size_t)fw_shape_count(&p->shape) * sizeof(float)) != 0)
            return false;
    }
    return true;
}

/* Ten steps of training, dropout included: the same bits again, and on another number of threads. */
static void same_bits_on_any_number_of_threads(void) {
    float first;
    net a = net_new(1);
    train(1, 10, &a, &first);
    for (int threads = 1; threads <= 3; threads++) {
        net b = net_new(1);
        train(threads, 10, &b, &first);
        if (!same_params(&a, &b))
            FW_FAILED("%d threads: other bits", threads);
        net_free(&b);
    }
    net other = net_new(2); /* the comparison can fail */
    train(1, 10, &other, &first);
    CHECK(!same_params(&a, &other));
    net_free(&other);
    net_free(&a);
}

static void a_resumed_plan_draws_the_same_dropout(void) {
    net n = net_new(1);
    fw_plan *p = plan_of(&n, NULL, true);
    float loss[4];
    for (int i = 0; i < 3; i++) {
        must(fw_plan_run(p, &g_err));
        loss[i] = *(float *)fw_plan_data(p, n.loss);
    }
    CHECK(loss[0] != loss[1]);
    fw_plan_seek(p, 1);
    must(fw_plan_run(p, &g_err));
    loss[3] = *(float *)fw_plan_data(p, n.loss);
    CHECK(memcmp(&loss[3], &loss[1], sizeof(float)) == 0);
    fw_plan_free(p);
    net_free(&n);
}

static void running_allocates_nothing(void) {
    net n = net_new(1);
    fw_pool *pool = pool_of(2);
    fw_plan *t = plan_of(&n, pool, true), *i = plan_of(&n, pool, false);
    CHECK_NO_ALLOC(must(fw_plan_run(t, &g_err)));
    CHECK_NO_ALLOC(must(fw_plan_run(i, &g_err)));
    CHECK_NO_ALLOC(fw_plan_repack(i));
    fw_plan_free(t);
    fw_plan_free(i);
    fw_pool_free(pool);
    net_free(&n);
}

static void buffers_share_memory_by_liveness(void) {
    net n = net_new(1);
    fw_plan_info t, i;
    fw_plan *train_plan = plan_of(&n, NULL, true), *infer = plan_of(&n, NULL, false);
    fw_plan_get_info(train_plan, &t);
    fw_plan_get_info(infer, &i);
    printf("training %zu of %zu bytes, inference %zu of %zu\n", t.arena_bytes, t.naive_bytes, i.arena_bytes,
           i.naive_bytes);
    CHECK(t.arena_bytes * 10 < t.naive_bytes * 7);
    CHECK(i.arena_bytes * 10 < i.naive_bytes * 7);
    CHECK(i.arena_bytes * 4 < t.arena_bytes * 3);
    CHECK(t.packed_bytes == 0 && i.packed_bytes > 0); /* what is trained is packed in passing */
    CHECK(i.flops_backward == 0 && t.flops_backward > t.flops_forward);
    fw_plan_free(train_plan);
    fw_plan_free(infer);
    net_free(&n);
}

static void inference_agrees_with_training_where_dropout_is_off(void) {
    net n = net_new(1);
    fw_plan *i = plan_of(&n, NULL, false), *t;
    /* the same graph below the dropout */
    fw_val y = fw_mean_pool(n.g, fw_reshape(n.g, n.state, S(BATCH, 7, 1)));
    fw_val z = fw_mse_loss(n.g, fw_linear(n.g, y, "z.w", "z.b", 1, FW_ACT_NONE, FW_NONE), y, FW_NONE);
    must(fw_plan_new(n.g, &(fw_plan_opts){.train = true}, (fw_val[]){z, y}, 2, &t, &g_err));
    float *s = fw_plan_data(t, n.state);
    for (int k = 0; k < 7 * BATCH; k++)
        s[k] = (float)k;
    must(fw_plan_run(t, &g_err));
    CHECK_NEAR((float *)fw_plan_data(t, y), ((float[]){3, 10, 17}), 3, 1e-6, 1e-6);
    CHECK(fw_plan_data(t, n.img) == NULL); /* nothing in this plan depends on it */
    CHECK(fw_plan_data(t, n.out) == NULL);
    must(fw_plan_run(i, &g_err));
    fw_plan_free(i);
    fw_plan_free(t);
    net_free(&n);
}

static void frozen_parameters_cost_no_backward(void) {
    net n = net_new(1);
    fw_plan *all = plan_of(&n, NULL, true);
    fw_plan_info before, after;
    fw_plan_get_info(all, &before);
    CHECK_INT(fw_params_set_trainable(n.params, "conv.", false), 2);
    CHECK_INT(fw_params_set_trainable(n.params, "dw.", false), 2);
    fw_plan *some = plan_of(&n, NULL, true);
    fw_plan_get_info(some, &after);
    CHECK(after.n_step == before.n_step - 2);
    CHECK(after.flops_backward < 0.6 * before.flops_backward);
    CHECK(fw_plan_grad(some, fw_params_find(n.params, "conv.w")) == NULL);
    /* what is left gets the gradients it got before */
    must(fw_plan_run(all, &g_err));
    must(fw_plan_run(some, &g_err));
    for (int i = 0; i < fw_params_count(n.params); i++) {
        const fw_parameter *q = fw_params_at(n.params, i);
        if (q->trainable)
            CHECK_NEAR(fw_plan_grad(some, q), fw_plan_grad(all, q), (size_t)fw_shape_count(&q->shape), 1e-7, 1e-6);
    }
    fw_plan_free(all);
    fw_plan_free(some);
    net_free(&n);
}

static void weights_are_packed_again_when_told(void) {
    net n = net_new(1);
    fw_plan *p = plan_of(&n, NULL, false);
    must(fw_plan_run(p, &g_err));
    float before = *(float *)fw_plan_data(p, n.out), was = fw_params_find(n.params, "out.w")->data[0];
    fw_params_find(n.params, "out.w")->data[0] += 1.0f;
    must(fw_plan_run(p, &g_err));
    CHECK(*(float *)fw_plan_data(p, n.out) == before);
    fw_plan_repack(p);
    must(fw_plan_run(p, &g_err));
    CHECK(*(float *)fw_plan_data(p, n.out) != before);
    /* or at each use, which takes no telling */
    fw_plan *q;
    fw_plan_info info;
    must(fw_plan_new(n.g, &(fw_plan_opts){.pack_at_use = true}, &n.out, 1, &q, &g_err));
    fw_plan_get_info(q, &info);
    fill(q, &n, 5);
    fw_params_find(n.params, "out.w")->data[0] = was;
    must(fw_plan_run(q, &g_err));
    CHECK(*(float *)fw_plan_data(q, n.out) == before && info.packed_bytes == 0);
    fw_plan_free(q);
    fw_plan_free(p);
    net_free(&n);
}

static void ids_and_labels_out_of_range_fail_the_run(void) {
    net n = net_new(1);
    fw_plan *p = plan_of(&n, NULL, false);
    int32_t *ids = fw_plan_data(p, n.ids), *len = fw_plan_data(p, n.len);
    ids[7] = 11;
    CHECK_INT(fw_plan_run(p, &g_err), FW_INVALID);
    CHECK(strcmp(g_err.msg, "embedding 'words': id 11 at position 7, the table has 11 rows") == 0);
    ids[7] = -1;
    CHECK_INT(fw_plan_run(p, &g_err), FW_INVALID);
    ids[7] = 10;
    len[3] = 7;
    CHECK_INT(fw_plan_run(p, &g_err), FW_INVALID);
    CHECK(strcmp(g_err.msg, "attention: length 7 of batch entry 3, 0 to 6 wanted") == 0);
    len[3] = 0; /* sees nothing: zeros, not NaN */
    must(fw_plan_run(p, &g_err));
    CHECK(isfinite(*(float *)fw_plan_data(p, n.out)));
    fw_plan_free(p);

    fw_val labels = fw_input(n.g, "labels", FW_I32, S(BATCH));
    fw_val xent = fw_cross_entropy(n.g, fw_linear(n.g, n.state, "c.w", NULL, 3, FW_ACT_NONE, FW_NONE), labels);
    must(fw_plan_new(n.g, NULL, &xent, 1, &p, &g_err));
    ((int32_t *)fw_plan_data(p, labels))[5] = 3;
    CHECK_INT(fw_plan_run(p, &g_err), FW_INVALID);
    CHECK(strcmp(g_err.msg, "cross_entropy: label 3 of row 5, -1 to 2 wanted") == 0);
    fw_plan_free(p);
    net_free(&n);
}

/* ---- mistakes of building ---- */

static fw_val m_linear(fw_graph *g) {
    fw_linear(g, fw_input(g, "x", FW_F32, S(4, 8)), "head.weight", NULL, 3, FW_ACT_NONE, FW_NONE);
    return fw_linear(g, fw_input(g, "y", FW_F32, S(4, 7)), "head.weight", NULL, 3, FW_ACT_NONE, FW_NONE);
}
static fw_val m_residual(fw_graph *g) {
    fw_val x = fw_input(g, "x", FW_F32, S(4, 8));
    return fw_linear(g, x, "w", NULL, 3, FW_ACT_NONE, x);
}
static fw_val m_int(fw_graph *g) {
    return fw_softmax(g, fw_input(g, "x", FW_I32, S(4, 8)));
}
static fw_val m_param(fw_graph *g) {
    fw_param(g, "p", S(2, 3), (fw_init){FW_INIT_ONE, 0});
    return fw_param(g, "p", S(3, 2), (fw_init){FW_INIT_ONE, 0});
}
static fw_val m_reshape(fw_graph *g) {
    return fw_reshape(g, fw_input(g, "x", FW_F32, S(4, 8)), S(5, 6));
}
static fw_val m_conv(fw_graph *g) {
    static const int none[4] = {0, 0, 0, 0};
    return fw_conv2d(g, fw_input(g, "x", FW_F32, S(1, 4, 2, 3)), "c.w", NULL, 8, 3, 3, 1, none, FW_ACT_NONE, FW_NONE);
}
static fw_val m_heads(fw_graph *g) {
    fw_val x = fw_input(g, "x", FW_F32, S(1, 4, 10));
    return fw_attention(g, x, x, x, 4, FW_MASK_NONE, FW_NONE);
}
static fw_val m_concat(fw_graph *g) {
    return fw_concat(g, (fw_val[]){fw_input(g, "x", FW_F32, S(4, 8)), fw_input(g, "y", FW_F32, S(3, 8))}, 2, 1);
}
static fw_val m_slice(fw_graph *g) {
    return fw_slice(g, fw_input(g, "x", FW_F32, S(4, 8)), 1, 5, 9);
}
static fw_val m_add(fw_graph *g) {
    return fw_add(g, fw_input(g, "x", FW_F32, S(4, 8)), fw_input(g, "b", FW_F32, S(4)));
}
static fw_val m_film(fw_graph *g) {
    fw_val c = fw_input(g, "c", FW_F32, S(2, 7));
    return fw_film(g, fw_input(g, "x", FW_F32, S(2, 3, 8)), c, c, FW_ACT_NONE);
}
static fw_val m_weight(fw_graph *g) {
    fw_val x = fw_input(g, "x", FW_F32, S(4, 8));
    return fw_l1_loss(g, x, x, fw_input(g, "w", FW_F32, S(8)));
}
static fw_val m_huge(fw_graph *g) {
    return fw_input(g, "x", FW_F32, S(INT64_C(1) << 40, INT64_C(1) << 40));
}
static fw_val m_first_wins(fw_graph *g) { /* the chain after a mistake stays silent */
    fw_val x = fw_slice(g, fw_input(g, "x", FW_F32, S(4, 8)), 2, 0, 1);
    return fw_add(g, fw_linear(g, x, "w", "b", 3, FW_ACT_NONE, FW_NONE), m_reshape(g));
}

static void mistakes_are_named(void) {
    static const struct {
        fw_val (*build)(fw_graph *g);
        const char *want;
    } k[] = {
        {m_linear, "linear 'head.weight': x is [4,7], the weight is [3,8]"},
        {m_residual, "linear 'w': residual is [4,8], the output [4,3]"},
        {m_int, "softmax: operand is I32, F32 wanted"},
        {m_param, "parameter p is [2,3], [3,2] wanted"},
        {m_reshape, "reshape: x is [4,8], [5,6] wanted"},
        {m_conv, "conv2d 'c.w': kernel 3x3 does not fit into x [1,4,2,3] with its padding"},
        {m_heads, "attention: q is [1,4,10], k [1,4,10], v [1,4,10]; [B,Tq,4*D], [B,Tk,4*D] twice wanted"},
        {m_concat, "concat: value 1 is [3,8], beside [4,8] along axis 1"},
        {m_slice, "slice: [5,9) of axis 1 of [4,8]"},
        {m_add, "add: x is [4,8], b [4] does not broadcast to it"},
        {m_film, "film: x is [2,3,8], gamma [2,7], beta [2,7]; [B,...,C] and [B,C] twice wanted"},
        {m_weight, "l1_loss: pred is [4,8], weight [8] is no prefix of it"},
        {m_huge, "impossible shape [1099511627776,1099511627776]"},
        {m_first_wins, "slice: [0,1) of axis 2 of [4,8]"},
    };
    for (size_t i = 0; i < sizeof(k) / sizeof(*k); i++) {
        fw_params *p;
        fw_graph *g;
        fw_plan *plan;
        must(fw_params_new(0, &p, &g_err));
        must(fw_graph_new(p, &g, &g_err));
        fw_val v = k[i].build(g);
        CHECK_INT(v, FW_NONE);
        fw_err err = {0};
        CHECK(fw_graph_check(g, &err) != FW_OK);
        if (strcmp(err.msg, k[i].want) != 0)
            FW_FAILED("case %zu: \"%s\", want \"%s\"", i, err.msg, k[i].want);
        CHECK(fw_plan_new(g, NULL, &v, 1, &plan, &err) != FW_OK && plan == NULL);
        fw_graph_free(g);
        fw_params_free(p);
    }
}

/* Few heads of keys: inference cuts the queries into blocks, training does not; every mask. */
static void attention_in_blocks_of_queries_is_attention(void) {
    enum { B = 2, TQ = 150, TK = 200, D = 16 };
    for (int i = FW_MASK_NONE; i <= FW_MASK_PREFIX_CAUSAL + 2; i++) { /* the last two: spans instead of lengths */
        const bool spans = i > FW_MASK_PREFIX_CAUSAL;
        const int mask = spans ? i - 2 : i;
        fw_params *params;
        fw_graph *g;
        fw_plan *infer, *train;
        must(fw_params_new(5, &params, &g_err));
        must(fw_graph_new(params, &g, &g_err));
        const fw_init r = {FW_INIT_NORMAL, 1.0f};
        fw_val q = fw_param(g, "q", S(B, TQ, 4 * D), r), k = fw_param(g, "k", S(B, TK, D), r),
               v = fw_param(g, "v", S(B, TK, D), r);
        const bool lengths = mask == FW_MASK_LENGTH || mask == FW_MASK_PREFIX || mask == FW_MASK_PREFIX_CAUSAL;
        fw_val len = lengths ? fw_input(g, "len", FW_I32, spans ? S(B, 2) : S(B)) : FW_NONE;
        fw_val y = fw_grouped_attention(g, q, k, v, len, &(fw_attn_opts){4, 1, (fw_mask)mask, 60, 40, 70});
        fw_val loss = fw_mean(g, fw_mul(g, y, y)), outs[2] = {loss, y};
        must(fw_plan_new(g, NULL, &y, 1, &infer, &g_err));
        must(fw_plan_new(g, &(fw_plan_opts){.train = true}, outs, 2, &train, &g_err));
        for (int b = 0; lengths && b < (spans ? 2 * B : B); b++) {
            ((int32_t *)fw_plan_data(infer, len))[b] = ((int32_t *)fw_plan_data(train, len))[b] =
                spans ? 10 + 13 * b : 20 + 30 * b;
        }
        must(fw_plan_run(infer, &g_err));
        must(fw_plan_run(train, &g_err));
        CHECK_NEAR(fw_plan_data(infer, y), fw_plan_data(train, y), B * TQ * 4 * D, 1e-6, 1e-5);
        fw_plan_free(infer), fw_plan_free(train);
        fw_graph_free(g), fw_params_free(params);
    }
}

static void plans_refuse_what_cannot_be_trained(void) {
    net n = net_new(1);
    fw_plan *p;
    CHECK_INT(fw_plan_new(n.g, &(fw_plan_opts){.train = true}, &n.out, 1, &p, &g_err), FW_SHAPE);
    CHECK(strcmp(g_err.msg, "plan: the loss is [24,4,3], a scalar wanted") == 0);
    fw_params_set_trainable(n.params, "", false);
    CHECK_INT(fw_plan_new(n.g, &(fw_plan_opts){.train = true}, &n.loss, 1, &p, &g_err), FW_INVALID);
    CHECK(strcmp(g_err.msg, "plan: the loss depends on no trainable parameter") == 0);
    CHECK_INT(fw_plan_new(n.g, NULL, (fw_val[]){999}, 1, &p, &g_err), FW_INVALID);
    net_free(&n);
}

FW_TEST_MAIN(T(training_reduces_the_loss), T(same_bits_on_any_number_of_threads),
             T(a_resumed_plan_draws_the_same_dropout), T(running_allocates_nothing),
             T(buffers_share_memory_by_liveness), T(inference_agrees_with_training_where_dropout_is_off),
             T(frozen_parameters_cost_no_backward), T(weights_are_packed_again_when_told),
             T(ids_and_labels_out_of_range_fail_the_run), T(mistakes_are_named),
             T(attention_in_blocks_of_queries_is_attention), T(plans_refuse_what_cannot_be_trained))
