/* test_golden.c - the network of tests/golden/gen_ops.py gives PyTorch's outputs and gradients. */
#include "fw_test.h"
#include "tensor/plan.h"
#include "tensor/safetensors.h"

#define S    FW_SHAPE_OF
#define PATH FW_SOURCE_DIR "/tests/golden/ops.safetensors"
enum { B = 3, L = 5, V = 13, C = 12 };

static fw_err g_err;
static void must(fw_status st) {
    if (st != FW_OK)
        FW_FAILED("%s", g_err.msg);
}

typedef struct net {
    fw_val in[7], key, pred, logits, loss;
} net;
static const char *const k_in[7] = {"in.img",    "in.ids",    "in.lengths", "in.state",
                                    "in.target", "in.weight", "in.labels"};

static fw_val words_of(fw_graph *g, fw_val ids, fw_val lengths) {
    fw_val e = fw_add(g, fw_embedding(g, ids, "words", V, C), fw_param(g, "pos", S(L, C), (fw_init){FW_INIT_ZERO, 0}));
    fw_val h = fw_layer_norm(g, e, "ln.g", "ln.b", 1e-5f);
    fw_val q = fw_linear(g, h, "q.w", "q.b", C, FW_ACT_NONE, FW_NONE),
           k = fw_linear(g, h, "k.w", NULL, C, FW_ACT_NONE, FW_NONE);
    h = fw_attention(g, q, k, fw_linear(g, h, "v.w", "v.b", C, FW_ACT_NONE, FW_NONE), 3, FW_MASK_LENGTH, lengths);
    e = fw_linear(g, h, "o.w", NULL, C, FW_ACT_NONE, e);
    fw_val r = fw_rms_norm(g, e, "rms.g", 1e-6f);
    e = fw_add(g, fw_attention(g, r, r, e, 2, FW_MASK_CAUSAL, FW_NONE), e);
    return fw_mean_pool(g, e);
}

static fw_val map_of(fw_graph *g, fw_val img, fw_val words) {
    static const int same[4] = {1, 1, 1, 1}, odd[4] = {0, 0, 1, 1}, none[4] = {0, 0, 0, 0};
    fw_val f = fw_conv2d(g, img, "conv.w", "conv.b", 8, 3, 3, 1, same, FW_ACT_RELU6, FW_NONE);
    f = fw_dwconv2d(g, f, "dw.w", "dw.b", 3, 3, 2, odd, FW_ACT_SILU);
    f = fw_conv2d(g, f, "conv2.w", NULL, 8, 1, 1, 1, none, FW_ACT_TANH, f);
    fw_val gb = fw_linear(g, words, "film.w", "film.b", 16, FW_ACT_NONE, FW_NONE);
    return fw_film(g, f, fw_slice(g, gb, 1, 0, 8), fw_slice(g, gb, 1, 8, 16), FW_ACT_RELU);
}

static net net_of(fw_graph *g) {
    net n = {.in = {fw_input(g, "img", FW_F32, S(B, 7, 6, 4)), fw_input(g, "ids", FW_I32, S(B, L)),
                    fw_input(g, "lengths", FW_I32, S(B)), fw_input(g, "state", FW_F32, S(B, 5)),
                    fw_input(g, "target", FW_F32, S(B, 4, 3)), fw_input(g, "weight", FW_F32, S(B, 4)),
                    fw_input(g, "labels", FW_I32, S(B))}};
    fw_val words = words_of(g, n.in[1], n.in[2]), f = map_of(g, n.in[0], words);
    n.key = fw_spatial_softmax(g, fw_scale(g, f, 2.0f));
    fw_val z = fw_concat(g, (fw_val[]){fw_reshape(g, n.key, S(B, 16)), fw_mean_pool(g, f), n.in[3], words}, 4, 1);
    z = fw_linear(g, z, "up.w", "up.b", 32, FW_ACT_GELU, FW_NONE);
    z = fw_linear(g, z, "mid.w", "mid.b", 32, FW_ACT_GELU_TANH, z);
    z = fw_mul(g, z, fw_activation(g, fw_param(g, "gate", S(32), (fw_init){FW_INIT_ZERO, 0}), FW_ACT_SIGMOID));
    n.pred = fw_reshape(g, fw_linear(g, z, "head.w", "head.b", 12, FW_ACT_NONE, FW_NONE), S(B, 4, 3));
    n.logits = fw_linear(g, z, "cls.w", "cls.b", 4, FW_ACT_NONE, FW_NONE);
    fw_val l1 = fw_l1_loss(g, n.pred, n.in[4], n.in[5]), mse = fw_mse_loss(g, n.pred, n.in[4], FW_NONE);
    n.loss = fw_add(g, l1, fw_scale(g, mse, 0.5f));
    n.loss = fw_add(g, n.loss, fw_scale(g, fw_cross_entropy(g, n.logits, n.in[6]), 0.3f));
    return n;
}

/* Against the tensor `name` of the file, relative to its largest value. */
static void check(const fw_st *s, const char *name, const fw_shape *shape, const float *got) {
    size_t n = (size_t)fw_shape_count(shape);
    float *want = malloc(n * sizeof(float)), most = 0;
    must(fw_st_read_f32(s, name, shape, want, &g_err));
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(want[i]));
    if (!(most > 1e-5f))
        FW_FAILED("%s is all zeros: nothing is compared", name);
    fw_check_near(name, __FILE__, __LINE__, got, want, n, 2e-5 * (double)most, 0);
    free(want);
}

static void outputs_and_gradients_are_those_of_pytorch(void) {
    fw_params *params;
    fw_graph *g;
    fw_plan *p;
    fw_st *s;
    fw_pool *pool;
    must(fw_st_open(PATH, &s, &g_err));
    must(fw_params_new(1, &params, &g_err));
    must(fw_graph_new(params, &g, &g_err));
    must(fw_pool_new(2, &pool, &g_err));
    net n = net_of(g);
    must(fw_graph_check(g, &g_err));
    must(fw_params_load(params, PATH, true, &g_err));
    must(fw_plan_new(g, &(fw_plan_opts){.pool = pool, .train = true}, (fw_val[]){n.loss, n.pred, n.logits, n.key}, 4,
                     &p, &g_err));
    for (int i = 0; i < 7; i++) {
        const fw_st_tensor *t = fw_st_find(s, k_in[i]);
        CHECK(t != NULL && fw_shape_eq(&t->shape, fw_val_shape(g, n.in[i])));
        memcpy(fw_plan_data(p, n.in[i]), t->data, t->bytes);
    }
    must(fw_plan_run(p, &g_err));

    check(s, "out.key", fw_val_shape(g, n.key), fw_plan_data(p, n.key));
    check(s, "out.pred", fw_val_shape(g, n.pred), fw_plan_data(p, n.pred));
    check(s, "out.logits", fw_val_shape(g, n.logits), fw_plan_data(p, n.logits));
    check(s, "out.loss", &S(1), fw_plan_data(p, n.loss));
    CHECK(fw_params_count(params) > 25);
    for (int i = 0; i < fw_params_count(params); i++) {
        const fw_parameter *q = fw_params_at(params, i);
        char name[176];
        snprintf(name, sizeof(name), "grad.%s", q->name);
        CHECK(fw_plan_grad(p, q) != NULL);
        check(s, name, &q->shape, fw_plan_grad(p, q));
    }
    fw_plan_free(p);
    fw_pool_free(pool);
    fw_graph_free(g);
    fw_params_free(params);
    fw_st_close(s);
}

FW_TEST_MAIN(T(outputs_and_gradients_are_those_of_pytorch))
