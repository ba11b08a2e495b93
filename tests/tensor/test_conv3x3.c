/* fw_conv3x3 is fw_conv2d of 3x3, in every precision, on one thread and two, whatever the size */
#include "base/rng.h"
#include "fw_test.h"
#include "tensor/plan.h"

#define S FW_SHAPE_OF

static fw_err g_err;
static void must(fw_status st) {
    if (st != FW_OK)
        FW_FAILED("%s", g_err.msg);
}

typedef struct size {
    int64_t b, h, w, c, o;
} size;

typedef struct both {
    fw_params *params;
    fw_graph *g;
    fw_val x, res, plain, fast;
} both;

static both build(const size *z, fw_act act, bool residual) {
    static const int pad[4] = {1, 1, 1, 1};
    both n;
    must(fw_params_new(3, &n.params, &g_err));
    must(fw_graph_new(n.params, &n.g, &g_err));
    n.x = fw_input(n.g, "x", FW_F32, S(z->b, z->h, z->w, z->c));
    n.res = residual ? fw_input(n.g, "res", FW_F32, S(z->b, z->h, z->w, z->o)) : FW_NONE;
    n.plain = fw_conv2d(n.g, n.x, "w", "b", z->o, 3, 3, 1, pad, act, n.res);
    n.fast = fw_conv3x3(n.g, n.x, "w", "b", z->o, act, n.res);
    must(fw_graph_check(n.g, &g_err));
    fw_parameter *b = fw_params_find(n.params, "b");
    for (int64_t i = 0; i < z->o; i++) {
        b->data[i] = 0.1f * (float)(i % 7) - 0.3f;
    }
    return n;
}

static void put(fw_plan *p, fw_val v, int64_t n, uint64_t seed) {
    fw_rng rng = fw_rng_stream(seed, "x");
    float *x = v == FW_NONE ? NULL : fw_plan_data(p, v);
    for (int64_t i = 0; x != NULL && i < n; i++) {
        x[i] = (float)(2.0 * fw_rng_unit(&rng) - 1.0);
    }
}

/* Both, run once. within: of the largest value. */
static void compare(const size *z, fw_act act, bool residual, fw_precision precision, fw_pool *pool, double within) {
    both n = build(z, act, residual);
    const fw_plan_opts o = {.pool = pool, .precision = precision};
    const int64_t nx = z->b * z->h * z->w * z->c, ny = z->b * z->h * z->w * z->o;
    double scale = 0.0;
    fw_plan *p;
    must(fw_plan_new(n.g, &o, (fw_val[]){n.plain, n.fast}, 2, &p, &g_err));
    put(p, n.x, nx, 5);
    put(p, n.res, ny, 6);
    must(fw_plan_run(p, &g_err));
    const float *want = fw_plan_data(p, n.plain), *got = fw_plan_data(p, n.fast);
    for (int64_t i = 0; i < ny; i++) {
        scale = fmax(scale, fabs((double)want[i]));
    }
    CHECK_NEAR(got, want, (size_t)ny, within * scale, 0.0);
    fw_plan_free(p);
    fw_graph_free(n.g);
    fw_params_free(n.params);
}

static const size sizes[] = {
    {1, 12, 16, 64, 64}, {2, 7, 5, 3, 5}, {1, 4, 4, 264, 264}, {1, 1, 1, 8, 40}, {1, 30, 41, 17, 33}};

static void it_is_the_plain_convolution(void) {
    fw_pool *pool = NULL;
    must(fw_pool_new(2, &pool, &g_err));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        compare(&sizes[i], FW_ACT_NONE, true, FW_PRECISION_DEFAULT, NULL, 1e-5);
        compare(&sizes[i], FW_ACT_RELU, false, FW_PRECISION_DEFAULT, pool, 1e-5);
        compare(&sizes[i], FW_ACT_RELU, true, FW_PRECISION_BF16, pool, 0.015);
        compare(&sizes[i], FW_ACT_NONE, false, FW_PRECISION_INT8, NULL, 1e-6); /* no tile: the same products */
    }
    fw_pool_free(pool);
}

static void what_does_not_fit_is_refused(void) {
    fw_params *params;
    fw_graph *g;
    must(fw_params_new(1, &params, &g_err));
    must(fw_graph_new(params, &g, &g_err));
    fw_val x = fw_input(g, "x", FW_F32, S(1, 4, 4, 3));
    CHECK(fw_conv3x3(g, x, "w", NULL, 5, FW_ACT_NONE, fw_input(g, "r", FW_F32, S(1, 4, 4, 6))) == FW_NONE);
    CHECK(fw_graph_check(g, &g_err) == FW_SHAPE &&
          strstr(g_err.msg, "residual is [1,4,4,6], the output [1,4,4,5]") != NULL);
    fw_graph_free(g);
    fw_params_free(params);
}

FW_TEST_MAIN(T(it_is_the_plain_convolution), T(what_does_not_fit_is_refused))
