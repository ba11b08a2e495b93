/* test_half.c - parameters kept in bfloat16, packed weights shared by plans, precision of a plan and exact operations in it. */
#include <math.h>

#include "base/rng.h"
#include "base/threads.h"
#include "fw_test.h"
#include "kern/kern.h"
#include "tensor/plan.h"

#define S FW_SHAPE_OF
enum { IDS = 5, VOCAB = 13, C = 24, OUT = 70 };

static fw_err g_err;
static void must(fw_status st) {
    if (st != FW_OK)
        FW_FAILED("%s", g_err.msg);
}

typedef struct net {
    fw_params *params;
    fw_graph *g;
    fw_val ids, shift, h, y, loss;
} net;

/* ids -> embedding + a trainable shift -> linear (wide) -> linear back, exact or not */
static net build(fw_params *params, bool exact_back) {
    net n = {.params = params};
    must(fw_graph_new(params, &n.g, &g_err));
    n.ids = fw_input(n.g, "ids", FW_I32, S(1, IDS));
    n.shift = fw_param(n.g, "shift", S(C), (fw_init){FW_INIT_NORMAL, 1.0f});
    fw_val x = fw_add(n.g, fw_embedding(n.g, n.ids, "table", VOCAB, C), n.shift);
    n.h = fw_linear(n.g, x, "up", NULL, OUT, FW_ACT_SILU, FW_NONE);
    fw_graph_exact(n.g, exact_back);
    n.y = fw_linear(n.g, n.h, "down", NULL, C, FW_ACT_NONE, FW_NONE);
    fw_graph_exact(n.g, false);
    n.loss = fw_mean(n.g, fw_mul(n.g, n.y, n.y));
    must(fw_graph_check(n.g, &g_err));
    return n;
}

static fw_plan *plan_of(const net *n, const fw_plan_opts *o, fw_val out) {
    fw_plan *p;
    const fw_val outs[] = {out, n->y, n->h};
    must(fw_plan_new(n->g, o, outs, 3, &p, &g_err));
    for (int32_t i = 0, *ids = fw_plan_data(p, n->ids); i < IDS; i++) {
        ids[i] = (i * 7 + 3) % VOCAB;
    }
    must(fw_plan_run(p, &g_err));
    return p;
}

static const struct {
    const char *name;
    int64_t rows, cols;
} k_weight[] = {{"table", VOCAB, C}, {"up", OUT, C}, {"down", C, OUT}};

/* The same weights twice: as f32, and kept in bfloat16 (owned, or borrowed from `memory`). */
static void two_stores(fw_params **full, fw_params **half, uint16_t *memory) {
    must(fw_params_new(3, full, &g_err));
    must(fw_params_new(3, half, &g_err));
    for (size_t i = 0; i < 3; i++) {
        const fw_shape s = S(k_weight[i].rows, k_weight[i].cols);
        const int64_t n = fw_shape_count(&s);
        fw_parameter *q;
        must(fw_params_get(*full, k_weight[i].name, &s, (fw_init){FW_INIT_NORMAL, 0.3f}, &q, &g_err));
        uint16_t *h = i == 0 ? memory : malloc((size_t)n * sizeof(*h));
        fw_kern_get()->f32_to_bf16(q->data, h, n);
        fw_kern_get()->bf16_to_f32(h, q->data, n);
        q->trainable = false;
        must(fw_params_put_half(*half, k_weight[i].name, &s, h, i != 0, &g_err));
    }
}

static void bfloat16_parameters_compute_as_their_floats(void) {
    uint16_t memory[VOCAB * C];
    fw_params *full, *half;
    fw_pool *pool;
    two_stores(&full, &half, memory);
    must(fw_pool_new(2, &pool, &g_err));
    for (int train = 0; train < 2; train++) {
        net a = build(full, false), b = build(half, false);
        const fw_plan_opts o = {.train = train, .pool = train ? pool : NULL};
        fw_plan *pa = plan_of(&a, &o, train ? a.loss : a.y), *pb = plan_of(&b, &o, train ? b.loss : b.y);
        CHECK_NEAR(fw_plan_data(pb, b.y), fw_plan_data(pa, a.y), (size_t)IDS * C, 0.0, 0.0);
        if (train) { /* the gradient goes through the frozen weights to the shift */
            const float *ga = fw_plan_grad(pa, fw_params_find(full, "shift"));
            CHECK_NEAR(fw_plan_grad(pb, fw_params_find(half, "shift")), ga, C, 0.0, 0.0);
        }
        fw_plan_repack(pb);
        must(fw_plan_run(pb, &g_err));
        CHECK_NEAR(fw_plan_data(pb, b.y), fw_plan_data(pa, a.y), (size_t)IDS * C, 0.0, train ? 1e-6 : 0.0);
        fw_plan_free(pa), fw_plan_free(pb);
        fw_graph_free(a.g), fw_graph_free(b.g);
    }
    fw_pool_free(pool);
    fw_params_free(full), fw_params_free(half);
}

static void bfloat16_parameters_stay_frozen_and_are_refused_elsewhere(void) {
    uint16_t memory[VOCAB * C];
    fw_params *full, *half;
    fw_graph *g;
    two_stores(&full, &half, memory);
    CHECK_INT(fw_params_set_trainable(half, "table", true), 1);
    CHECK(!fw_params_find(half, "table")->trainable);
    const fw_shape s = S(2, 2);
    CHECK_INT(fw_params_put_half(half, "up", &s, malloc(8), true, &g_err), FW_INVALID);
    CHECK(strcmp(g_err.msg, "parameter up is there already") == 0);
    must(fw_graph_new(half, &g, &g_err));
    CHECK_INT(fw_param(g, "up", S(OUT, C), (fw_init){FW_INIT_ZERO, 0}), FW_NONE);
    CHECK_INT(fw_graph_check(g, &g_err), FW_INVALID);
    CHECK(strcmp(g_err.msg, "parameter up is kept in BF16, F32 wanted") == 0);
    fw_graph_free(g);
    fw_params_free(full), fw_params_free(half);
}

static void frozen_weights_are_packed_once_for_all_plans(void) {
    uint16_t memory[VOCAB * C];
    fw_params *full, *half;
    two_stores(&full, &half, memory);
    net a = build(full, false), b = build(full, false);
    fw_plan *pa = plan_of(&a, NULL, a.y);
    float *up = fw_params_find(full, "up")->data;
    for (int i = 0; i < OUT * C; i++) {
        up[i] *= 2.0f; /* pa has packed it: another plan finds what pa made */
    }
    fw_plan *pb = plan_of(&b, NULL, b.y);
    CHECK_NEAR(fw_plan_data(pb, b.y), fw_plan_data(pa, a.y), (size_t)IDS * C, 0.0, 0.0);
    fw_plan_free(pa);
    fw_plan_repack(pb);
    float before = ((const float *)fw_plan_data(pb, b.h))[0];
    must(fw_plan_run(pb, &g_err));
    CHECK(((const float *)fw_plan_data(pb, b.h))[0] != before);
    fw_plan_free(pb);
    fw_graph_free(a.g), fw_graph_free(b.g);
    fw_params_free(full), fw_params_free(half);
}

/* Largest difference, relative to the largest value. */
static double apart(const float *x, const float *y, int n) {
    double d = 0.0, most = 0.0;
    for (int i = 0; i < n; i++) {
        d = fmax(d, fabs((double)x[i] - (double)y[i]));
        most = fmax(most, fabs((double)y[i]));
    }
    return d / most;
}

static void a_plan_has_its_precision_and_exact_operations_do_not(void) {
    uint16_t memory[VOCAB * C];
    fw_params *full, *half;
    two_stores(&full, &half, memory);
    net a = build(full, true);
    fw_plan *f32 = plan_of(&a, NULL, a.y), *bf16 = plan_of(&a, &(fw_plan_opts){.precision = FW_PRECISION_BF16}, a.y);
    double h = apart(fw_plan_data(bf16, a.h), fw_plan_data(f32, a.h), IDS * OUT);
    CHECK(h <= 0.02);
    CHECK((h > 0.0) == (fw_kern_bf16() != NULL && fw_kern_bf16() != fw_kern_get()));
    /* "down" is exact: on the very h of the bf16 plan it gives what a product in double gives */
    const float *hb = fw_plan_data(bf16, a.h), *w = fw_params_find(full, "down")->data;
    float want[IDS * C];
    for (int i = 0; i < IDS * C; i++) {
        double sum = 0.0;
        for (int k = 0; k < OUT; k++) {
            sum += (double)hb[i / C * OUT + k] * (double)w[i % C * OUT + k];
        }
        want[i] = (float)sum;
    }
    CHECK_NEAR(fw_plan_data(bf16, a.y), want, IDS * C, 1e-5, 1e-5);
    fw_plan *none;
    CHECK_INT(
        fw_plan_new(a.g, &(fw_plan_opts){.train = true, .precision = FW_PRECISION_INT8}, &a.loss, 1, &none, &g_err),
        FW_INVALID);
    fw_plan_free(f32), fw_plan_free(bf16);
    fw_graph_free(a.g);
    fw_params_free(full), fw_params_free(half);
}

FW_TEST_MAIN(T(bfloat16_parameters_compute_as_their_floats),
             T(bfloat16_parameters_stay_frozen_and_are_refused_elsewhere),
             T(frozen_weights_are_packed_once_for_all_plans), T(a_plan_has_its_precision_and_exact_operations_do_not))
