/*
 * test_bf16.c - training whose products are rounded to bfloat16: near the exact one, with weights, gradients and sums in f32.
 *
 * On a CPU without bf16 products it must be the exact one, bit for bit; tools/emulate_avx512.sh runs this file with them.
 */
#include "base/rng.h"
#include "fw_test.h"
#include "tensor/plan.h"

#define S FW_SHAPE_OF
enum { B = 4, TOKENS = 12, C = 32, LAYERS = 3 };

static fw_err g_err;
static void must(fw_status st) {
    if (st != FW_OK)
        FW_FAILED("%s", g_err.msg);
}

/* A transformer that reads vectors and gives two numbers; its first layer is a convolution, its last is exact. */
typedef struct net {
    fw_params *params;
    fw_graph *g;
    fw_val image, target, loss;
    fw_plan *plan;
} net;

static fw_val layer(fw_graph *g, fw_val x, int i) {
    char w[6][24];
    for (int k = 0; k < 6; k++)
        snprintf(w[k], sizeof w[k], "l%d.%d", i, k);
    fw_val h = fw_rms_norm(g, x, NULL, 1e-6f), q = fw_linear(g, h, w[0], NULL, C, FW_ACT_NONE, FW_NONE);
    fw_val k = fw_linear(g, h, w[1], NULL, C, FW_ACT_NONE, FW_NONE),
           v = fw_linear(g, h, w[2], NULL, C, FW_ACT_NONE, FW_NONE);
    x = fw_linear(g, fw_attention(g, q, k, v, 2, FW_MASK_NONE, FW_NONE), w[3], NULL, C, FW_ACT_NONE, x);
    h = fw_linear(g, fw_rms_norm(g, x, NULL, 1e-6f), w[4], NULL, 2 * C, FW_ACT_GELU, FW_NONE);
    return fw_linear(g, h, w[5], NULL, C, FW_ACT_NONE, x);
}

static net net_new(fw_precision precision, bool checkpoint) {
    static const int no_pad[4] = {0, 0, 0, 0};
    net n;
    must(fw_params_new(7, &n.params, &g_err));
    must(fw_graph_new(n.params, &n.g, &g_err));
    fw_graph *g = n.g;
    n.image = fw_input(g, "image", FW_F32, S(B, 12, 16, 3));
    n.target = fw_input(g, "target", FW_F32, S(B, 2));
    fw_val x = fw_conv2d(g, n.image, "conv.w", "conv.b", C, 4, 4, 4, no_pad, FW_ACT_NONE, FW_NONE);
    x = fw_add(g, fw_reshape(g, x, S(B, TOKENS, C)), fw_param(g, "pos", S(TOKENS, C), (fw_init){FW_INIT_NORMAL, 0.1f}));
    for (int i = 0; i < LAYERS; i++) {
        fw_graph_segment(g, true);
        x = layer(g, x, i);
    }
    fw_graph_segment(g, false);
    fw_graph_exact(g, true);
    x = fw_linear(g, fw_mean_pool(g, x), "out.w", "out.b", 2, FW_ACT_NONE, FW_NONE);
    fw_graph_exact(g, false);
    n.loss = fw_mse_loss(g, x, n.target, FW_NONE);
    must(fw_graph_check(g, &g_err));
    const fw_plan_opts o = {.train = true, .precision = precision, .checkpoint = checkpoint};
    must(fw_plan_new(g, &o, &n.loss, 1, &n.plan, &g_err));
    return n;
}

static void net_free(net *n) {
    fw_plan_free(n->plan);
    fw_graph_free(n->g);
    fw_params_free(n->params);
}

/* A noisy picture of some colour, and how much red and green there is in it. */
static void fill(net *n, fw_rng *r) {
    float *x = fw_plan_data(n->plan, n->image), *t = fw_plan_data(n->plan, n->target);
    for (int b = 0; b < B; b++) {
        t[2 * b] = (float)fw_rng_normal(r);
        t[2 * b + 1] = (float)fw_rng_normal(r);
        for (int i = 0; i < 12 * 16 * 3; i++) {
            x[b * 12 * 16 * 3 + i] = (float)fw_rng_normal(r) + (i % 3 < 2 ? t[2 * b + i % 3] : 0.0f);
        }
    }
}

static bool has_bf16(const net *n) {
    fw_plan_info info;
    fw_plan_get_info(n->plan, &info);
    return info.precision == FW_PRECISION_BF16;
}

static double cosine(const float *a, const float *b, int64_t n) {
    double ab = 0, aa = 1e-30, bb = 1e-30;
    for (int64_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

static void gradients_are_near_the_exact_ones(void) {
    net exact = net_new(FW_PRECISION_DEFAULT, false), bf16 = net_new(FW_PRECISION_BF16, false),
        again = net_new(FW_PRECISION_BF16, true);
    net *all[] = {&exact, &bf16, &again};
    double worst = 1.0;
    int other = 0;
    for (int i = 0; i < 3; i++) {
        fw_rng r = {5};
        fill(all[i], &r);
        must(fw_plan_run(all[i]->plan, &g_err));
    }
    for (int i = 0; i < fw_params_count(exact.params); i++) {
        const fw_parameter *p = fw_params_at(exact.params, i);
        const int64_t n = fw_shape_count(&p->shape);
        const float *a = fw_plan_grad(exact.plan, p),
                    *b = fw_plan_grad(bf16.plan, fw_params_find(bf16.params, p->name)),
                    *c = fw_plan_grad(again.plan, fw_params_find(again.params, p->name));
        const double cos = cosine(a, b, n);
        worst = cos < worst ? cos : worst;
        other += memcmp(a, b, (size_t)n * sizeof(float)) != 0;
        CHECK(memcmp(b, c, (size_t)n * sizeof(float)) == 0); /* made again: the same bits in bf16, too */
    }
    printf("# %s: worst cosine %.6f, %d of %d gradients differ\n", has_bf16(&bf16) ? "bf16" : "no bf16 products here",
           worst, other, fw_params_count(exact.params));
    CHECK(has_bf16(&bf16) ? worst > 0.995 && other > fw_params_count(exact.params) / 2 : other == 0);
    CHECK(!has_bf16(&exact));
    for (int i = 0; i < 3; i++)
        net_free(all[i]);
}

/* Mean loss of the last quarter of `steps` steps, relative to that of the first ten. */
static double trained(fw_precision precision, int steps) {
    net n = net_new(precision, false);
    fw_rng r = {11};
    double first = 0, last = 0;
    for (int i = 0; i < steps; i++) {
        fill(&n, &r);
        must(fw_plan_run(n.plan, &g_err));
        const double loss = (double)*(float *)fw_plan_data(n.plan, n.loss);
        first += i < 10 ? loss / 10 : 0;
        last += i >= steps - steps / 4 ? loss / (steps / 4) : 0;
        for (int k = 0; k < fw_params_count(n.params); k++) {
            fw_parameter *p = fw_params_at(n.params, k);
            const float *g = fw_plan_grad(n.plan, p);
            for (int64_t j = 0; j < fw_shape_count(&p->shape); j++)
                p->data[j] -= 0.05f * g[j];
        }
    }
    net_free(&n);
    return last / first;
}

static void training_gets_as_far_as_the_exact_one(void) {
    const double exact = trained(FW_PRECISION_DEFAULT, 200), bf16 = trained(FW_PRECISION_BF16, 200);
    printf("# loss left: exact %.4f, bf16 %.4f\n", exact, bf16);
    CHECK(exact < 0.2 && bf16 < 1.1 * exact + 0.01);
}

FW_TEST_MAIN(T(gradients_are_near_the_exact_ones), T(training_gets_as_far_as_the_exact_one))
