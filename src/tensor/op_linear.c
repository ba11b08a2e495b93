/*
 * op_linear.c - y = act(x W^T + b) + residual.   x [M,K], W [N,K], y [M,N]
 *
 * forward   z = x W^T + b;  y = act(z) + residual
 * backward  dz = dy * act'(z);  dx = dz W;  dW = dz^T x;  db = sum of dz over rows;  dresidual = dy
 *
 * z is saved only when act' cannot be had from y: relu and relu6 without residual need none.
 */
#include <stdio.h>

#include "tensor/op_int.h"

enum { X, W, B, RES };

typedef struct dims {
    int64_t m, n, k;
} dims;

static dims dims_of(const fw_graph *g, const fw_node *n) {
    const fw_shape *y = fw_shape_of(g, n->out), *x = fw_shape_of(g, n->in[X]);
    return (dims){fw_rows(x), fw_cols(y), fw_cols(x)};
}

/* Many rows and a small weight (a 1x1 convolution): dW is summed over blocks of rows. Else it is one matrix product. */
static bool is_tall(dims d) {
    return d.m >= 1024 && d.n * d.k <= 64 * d.m;
}

static fw_conv as_conv(dims d) {
    return (fw_conv){.h = 1, .w = d.m, .c = d.k, .oh = 1, .ow = d.m, .o = d.n, .kh = 1, .kw = 1, .stride = 1};
}

static void weight_gradient(const fw_step *s, dims d, const float *dz, void *scratch) {
    const fw_conv c = as_conv(d);
    if (is_tall(d)) {
        fw_weight_grad(s, &c, s->x[X], dz, d.m, s->dx[W], s->add[W], scratch);
        return;
    }
    fw_gemm_pack_par(s, scratch, s->x[X], d.k, FW_KN, d.k, d.m, NULL);
    const fw_gemm g = {.m = d.n,
                       .n = d.k,
                       .k = d.m,
                       .a = dz,
                       .lda = d.n,
                       .trans_a = true,
                       .b = scratch,
                       .c = s->dx[W],
                       .ldc = d.k,
                       .epi = {.accumulate = s->add[W]}};
    fw_gemm_par(s, &g);
}

/* Gradients that are made from dz rather than from dy. */
static unsigned through_act(unsigned want) {
    return want & (1u << X | 1u << W | 1u << B);
}

static bool act_from_y(const fw_node *n) {
    return (n->u.linear.act == FW_ACT_RELU || n->u.linear.act == FW_ACT_RELU6) && n->in[RES] == FW_NONE;
}

static bool has_dz(const fw_node *n, unsigned want) {
    return n->u.linear.act != FW_ACT_NONE && through_act(want) != 0;
}

static fw_status linear_forward(const fw_step *s, fw_err *err) {
    const dims d = dims_of(s->g, s->node);
    const fw_gemm g = {.m = d.m,
                       .n = d.n,
                       .k = d.k,
                       .a = s->x[X],
                       .lda = d.k,
                       .b = s->pack[0],
                       .c = s->y,
                       .ldc = d.n,
                       .epi = {.bias = s->x[B],
                               .residual = s->x[RES],
                               .ld_residual = d.n,
                               .pre = s->save,
                               .ld_pre = d.n,
                               .act = s->node->u.linear.act}};
    (void)err;
    fw_gemm_par(s, &g);
    return FW_OK;
}

static size_t dz_bytes(dims d) {
    return fw_up64((size_t)(d.m * d.n) * sizeof(float));
}

static void linear_backward(const fw_step *s) {
    const dims d = dims_of(s->g, s->node);
    const float *dz = s->dy;
    char *scratch = s->scratch;
    if (has_dz(s->node, s->want)) {
        float *out = (float *)scratch;
        scratch += dz_bytes(d);
        fw_act_bwd_par(s, s->node->u.linear.act, act_from_y(s->node) ? s->y : s->save, s->dy, out, false, d.m * d.n);
        dz = out;
    }
    if (s->dx[X] != NULL) {
        const fw_gemm g = {.m = d.m,
                           .n = d.k,
                           .k = d.n,
                           .a = dz,
                           .lda = d.n,
                           .b = s->pack[1],
                           .c = s->dx[X],
                           .ldc = d.k,
                           .epi = {.accumulate = s->add[X]}};
        fw_gemm_par(s, &g);
    }
    if (s->dx[W] != NULL) {
        weight_gradient(s, d, dz, scratch);
    }
    if (s->dx[B] != NULL) {
        fw_colsum_par(s, dz, d.m, d.n, s->dx[B], s->add[B]);
    }
    if (s->dx[RES] != NULL) {
        fw_copy_par(s, s->dy, s->dx[RES], s->add[RES], d.m * d.n);
    }
}

static unsigned linear_needs(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)g;
    return (want & 1u << W ? 1u << X : 0u) | (has_dz(n, want) && act_from_y(n) ? FW_NEED_Y : 0u);
}

static size_t linear_save(const fw_graph *g, const fw_node *n, unsigned want) {
    dims d = dims_of(g, n);
    return has_dz(n, want) && !act_from_y(n) ? (size_t)(d.m * d.n) * sizeof(float) : 0;
}

static fw_scratch linear_scratch(const fw_graph *g, const fw_node *n, const fw_kern *k, unsigned want, bool backward) {
    dims d = dims_of(g, n);
    fw_scratch r = {0};
    if (!backward) {
        r.per_worker = fw_gemm_par_scratch(k, d.m, d.n, d.k, false);
        return r;
    }
    if (want & 1u << X) {
        r.per_worker = fw_gemm_par_scratch(k, d.m, d.k, d.n, false);
    }
    if (want & 1u << W) {
        const fw_conv c = as_conv(d);
        size_t t = is_tall(d) ? k->conv_scratch(&c) : fw_gemm_par_scratch(k, d.n, d.k, d.m, true);
        r.per_worker = t > r.per_worker ? t : r.per_worker;
        r.shared = is_tall(d) ? fw_weight_grad_scratch(&c, d.m) : k->gemm_pack_bytes(d.k, d.m);
    }
    r.shared += has_dz(n, want) ? dz_bytes(d) : 0;
    return r;
}

static size_t linear_pack_bytes(const fw_graph *g, const fw_node *n, const fw_kern *k, int which) {
    dims d = dims_of(g, n);
    return which == 0 ? k->gemm_pack_bytes(d.n, d.k) : k->gemm_pack_bytes(d.k, d.n);
}

static void linear_pack(const fw_step *s, int which) {
    dims d = dims_of(s->g, s->node);
    const fw_parameter *w = s->g->val[s->node->in[W]].param;
    if (which == 0) {
        fw_gemm_pack_param(s, s->pack[0], w, FW_NK, d.n, d.k);
    } else {
        fw_gemm_pack_param(s, s->pack[1], w, FW_KN, d.k, d.n);
    }
}

static double linear_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    dims d = dims_of(g, n);
    int products = want == 0 ? 1 : (want >> X & 1) + (want >> W & 1);
    return 2.0 * (double)products * (double)d.m * (double)d.n * (double)d.k;
}

static void linear_watch(const fw_step *s, const fw_watch *w) {
    dims d = dims_of(s->g, s->node);
    w->see(w->ctx, s->g->val[s->node->in[W]].param, s->x[X], d.m, d.k);
}

static const fw_op k_linear = {
    .name = "linear",
    .diff = 1u << X | 1u << W | 1u << B | 1u << RES,
    .grad = {FW_GRAD_BOTH, FW_GRAD_BOTH, FW_GRAD_BOTH, FW_GRAD_BOTH},
    .forward = linear_forward,
    .backward = linear_backward,
    .needs = linear_needs,
    .flops = linear_flops,
    .save_bytes = linear_save,
    .scratch = linear_scratch,
    .pack_bytes = linear_pack_bytes,
    .pack = linear_pack,
    .pack_in = W,
    .pack_want = 1u << X,
    .watch = linear_watch,
};

static fw_val plain(fw_graph *g, fw_val x, const char *w_name, const char *b_name, int64_t n, fw_act act,
                    fw_val residual) {
    char a[64], b[64];
    if (!fw_graph_takes(g, "linear", x, FW_F32) ||
        (residual != FW_NONE && !fw_graph_takes(g, "linear", residual, FW_F32))) {
        return FW_NONE;
    }
    fw_shape y = *fw_shape_of(g, x);
    if (y.n < 1 || n < 1) {
        return fw_graph_fail(g, FW_SHAPE, "linear '%s': x is %s, %lld outputs", w_name, fw_shape_str(&y, a, sizeof(a)),
                             (long long)n);
    }
    int64_t k = y.d[y.n - 1];
    const fw_parameter *old = fw_params_find(g->params, w_name);
    if (old != NULL && (old->shape.n != 2 || old->shape.d[1] != k)) {
        return fw_graph_fail(g, FW_SHAPE, "linear '%s': x is %s, the weight is %s", w_name,
                             fw_shape_str(&y, a, sizeof(a)), fw_shape_str(&old->shape, b, sizeof(b)));
    }
    y.d[y.n - 1] = n;
    if (residual != FW_NONE && !fw_shape_eq(fw_shape_of(g, residual), &y)) {
        return fw_graph_fail(g, FW_SHAPE, "linear '%s': residual is %s, the output %s", w_name,
                             fw_shape_str(fw_shape_of(g, residual), a, sizeof(a)), fw_shape_str(&y, b, sizeof(b)));
    }
    fw_node node = {.op = &k_linear, .n_in = 4, .u.linear.act = act};
    node.in[X] = x;
    node.in[W] = fw_param_any(g, w_name, FW_SHAPE_OF(n, k), fw_init_fan(k));
    node.in[B] = b_name == NULL ? FW_NONE : fw_param(g, b_name, FW_SHAPE_OF(n), (fw_init){FW_INIT_ZERO, 0});
    node.in[RES] = residual;
    return g->err.code == FW_OK ? fw_graph_add(g, &node, y) : FW_NONE;
}

/* ---- low-rank adapters ---- */

enum { NAME = 200 };

/* "<module>" of "<module>.weight" if it gets an adapter. */
static bool is_target(const fw_graph *g, const char *w_name, char module[NAME]) {
    static const char tail[] = ".weight";
    const size_t n = strlen(w_name), t = sizeof(tail) - 1;
    if (g->lora == NULL || n <= t || n >= NAME || strcmp(w_name + n - t, tail) != 0) {
        return false;
    }
    snprintf(module, NAME, "%.*s", (int)(n - t), w_name);
    return g->lora->targets(g->lora->ctx, module);
}

/* x through parameter "<module>.<part>.weight" [n, k], made here if it is new. */
static fw_val through(fw_graph *g, fw_val x, const char *module, const char *part, int64_t n, fw_init init,
                      fw_val residual) {
    char name[NAME + 16];
    fw_parameter *p;
    if (x == FW_NONE || g->err.code != FW_OK) {
        return FW_NONE;
    }
    snprintf(name, sizeof(name), "%s.%s.weight", module, part);
    const fw_shape shape = FW_SHAPE_OF(n, fw_cols(fw_shape_of(g, x)));
    if (fw_params_get_own(g->params, name, &shape, init, &p, &g->err) != FW_OK) {
        return FW_NONE;
    }
    return plain(g, x, name, NULL, n, FW_ACT_NONE, residual);
}

fw_val fw_linear(fw_graph *g, fw_val x, const char *w_name, const char *b_name, int64_t n, fw_act act,
                 fw_val residual) {
    char module[NAME];
    if (x == FW_NONE || !is_target(g, w_name, module)) {
        return plain(g, x, w_name, b_name, n, act, residual);
    }
    const fw_lora *l = g->lora;
    const bool at_once = act == FW_ACT_NONE;
    fw_val y = plain(g, x, w_name, b_name, n, FW_ACT_NONE, at_once ? residual : FW_NONE);
    if (y == FW_NONE) {
        return FW_NONE;
    }
    fw_val a = through(g, x, module, "lora_A", l->rank, fw_init_fan(fw_cols(fw_shape_of(g, x))), FW_NONE);
    a = fw_scale(g, a, (float)(l->alpha / l->rank));
    y = through(g, a, module, "lora_B", n, (fw_init){FW_INIT_ZERO, 0}, y);
    y = at_once ? y : fw_activation(g, y, act);
    return at_once || residual == FW_NONE ? y : fw_add(g, y, residual);
}
