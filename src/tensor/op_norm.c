/*
 * op_norm.c - layer norm and RMS norm over the last dimension.   x [R,C]
 *
 * forward   y = (x - mean) * rstd * gamma + beta      (RMS: y = x * rstd * gamma); saves mean and rstd of each row
 * backward  rows over the threads; dgamma and dbeta summed a block of rows, then over the blocks in order
 */
#include "tensor/op_int.h"

enum { X, GAMMA, BETA };

static const fw_op k_layer_norm, k_rms_norm;

typedef struct dims {
    int64_t r, c;
} dims;

static dims dims_of(const fw_graph *g, const fw_node *n) {
    const fw_shape *x = fw_shape_of(g, n->in[X]);
    return (dims){fw_rows(x), fw_cols(x)};
}

static bool is_layer(const fw_node *n) {
    return n->op == &k_layer_norm;
}

static void fwd_block(const fw_step *s, const void *arg, fw_part part) {
    const dims *d = arg;
    const float *x = fw_x(s, X) + part.i0 * d->c;
    float *y = (float *)s->y + part.i0 * d->c, *rstd = s->save == NULL ? NULL : (float *)s->save + part.i0;
    float *mean = rstd == NULL ? NULL : rstd + d->r;
    if (is_layer(s->node)) {
        s->kern->layer_norm_fwd(x, s->x[GAMMA], s->x[BETA], s->node->u.norm.eps, y, mean, rstd, part.i1 - part.i0,
                                d->c);
    } else {
        s->kern->rms_norm_fwd(x, s->x[GAMMA], s->node->u.norm.eps, y, rstd, part.i1 - part.i0, d->c);
    }
}

static fw_status norm_forward(const fw_step *s, fw_err *err) {
    dims d = dims_of(s->g, s->node);
    (void)err;
    fw_split(s, &d, d.r, fw_block(d.r, d.c), fwd_block);
    return FW_OK;
}

/* Partial sums: [n_part,C] of dgamma, then [n_part,C] of dbeta; the spare dx of a frozen input behind them. */
typedef struct bwd {
    dims d;
    float *dgamma, *dbeta, *spare;
} bwd;

static bwd bwd_of(dims d, unsigned want, float *at) {
    bwd j = {.d = d};
    int64_t n = fw_n_part(d.r, d.c) * d.c;
    if (want >> GAMMA & 1) {
        j.dgamma = at;
        at = at == NULL ? NULL : at + n;
    }
    if (want >> BETA & 1) {
        j.dbeta = at;
        at = at == NULL ? NULL : at + n;
    }
    j.spare = want >> X & 1 ? NULL : at;
    return j;
}

static void bwd_block(const fw_step *s, const void *arg, fw_part part) {
    const bwd *j = arg;
    const int64_t c = j->d.c, at = part.i0 * c, r = part.i1 - part.i0;
    const float *rstd = (const float *)s->save + part.i0;
    float *dx = s->dx[X] != NULL ? s->dx[X] + at : j->spare + at;
    float *dgamma = j->dgamma == NULL ? NULL : j->dgamma + part.index * c;
    float *dbeta = j->dbeta == NULL ? NULL : j->dbeta + part.index * c;
    if (dgamma != NULL) {
        memset(dgamma, 0, (size_t)c * sizeof(float));
    }
    if (dbeta != NULL) {
        memset(dbeta, 0, (size_t)c * sizeof(float));
    }
    if (is_layer(s->node)) {
        s->kern->layer_norm_bwd(fw_x(s, X) + at, s->x[GAMMA], rstd + j->d.r, rstd, s->dy + at, dx, s->add[X], dgamma,
                                dbeta, r, c);
    } else {
        s->kern->rms_norm_bwd(fw_x(s, X) + at, s->x[GAMMA], rstd, s->dy + at, dx, s->add[X], dgamma, r, c);
    }
}

static void norm_backward(const fw_step *s) {
    const dims d = dims_of(s->g, s->node);
    const bwd j = bwd_of(d, s->want, s->scratch);
    const int64_t n_part = fw_n_part(d.r, d.c);
    fw_split(s, &j, d.r, fw_part_block(d.r, d.c), bwd_block);
    if (j.dgamma != NULL) {
        s->kern->colsum(j.dgamma, d.c, s->dx[GAMMA], s->add[GAMMA], n_part, d.c);
    }
    if (j.dbeta != NULL) {
        s->kern->colsum(j.dbeta, d.c, s->dx[BETA], s->add[BETA], n_part, d.c);
    }
}

static unsigned norm_needs(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)g;
    (void)n;
    (void)want;
    return 1u << X | 1u << GAMMA;
}

static size_t norm_save(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)want;
    return (size_t)dims_of(g, n).r * 2 * sizeof(float);
}

static fw_scratch norm_scratch(const fw_graph *g, const fw_node *n, const fw_kern *k, unsigned want, bool backward) {
    dims d = dims_of(g, n);
    int64_t parts = (want >> GAMMA & 1) + (want >> BETA & 1);
    int64_t floats = fw_n_part(d.r, d.c) * d.c * parts + (want >> X & 1 ? 0 : d.r * d.c);
    (void)k;
    return (fw_scratch){.shared = backward ? (size_t)floats * sizeof(float) : 0};
}

static double norm_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    return (want == 0 ? 8.0 : 14.0) * (double)fw_shape_count(fw_shape_of(g, n->out));
}

static const fw_op k_layer_norm = {
    .name = "layer_norm",
    .diff = 1u << X | 1u << GAMMA | 1u << BETA,
    .grad = {FW_GRAD_BOTH, FW_GRAD_BOTH, FW_GRAD_BOTH},
    .forward = norm_forward,
    .backward = norm_backward,
    .needs = norm_needs,
    .flops = norm_flops,
    .save_bytes = norm_save,
    .scratch = norm_scratch,
};
static const fw_op k_rms_norm = {
    .name = "rms_norm",
    .diff = 1u << X | 1u << GAMMA,
    .grad = {FW_GRAD_BOTH, FW_GRAD_BOTH},
    .forward = norm_forward,
    .backward = norm_backward,
    .needs = norm_needs,
    .flops = norm_flops,
    .save_bytes = norm_save,
    .scratch = norm_scratch,
};

static fw_val norm(fw_graph *g, const fw_op *op, fw_val x, const char *gamma, const char *beta, float eps) {
    if (!fw_graph_takes(g, op->name, x, FW_F32)) {
        return FW_NONE;
    }
    const fw_shape s = *fw_shape_of(g, x), c = FW_SHAPE_OF(fw_cols(&s));
    if (s.n < 1 || !(eps >= 0.0f)) {
        return fw_graph_fail(g, FW_SHAPE, "%s '%s': x is a scalar, or eps %g is negative", op->name,
                             gamma == NULL ? "" : gamma, (double)eps);
    }
    fw_node n = {.op = op, .n_in = beta == NULL ? 2 : 3, .u.norm.eps = eps};
    n.in[X] = x;
    n.in[GAMMA] = gamma == NULL ? FW_NONE : fw_param(g, gamma, c, (fw_init){FW_INIT_ONE, 0});
    n.in[BETA] = beta == NULL ? FW_NONE : fw_param(g, beta, c, (fw_init){FW_INIT_ZERO, 0});
    return g->err.code == FW_OK ? fw_graph_add(g, &n, s) : FW_NONE;
}

fw_val fw_layer_norm(fw_graph *g, fw_val x, const char *gamma, const char *beta, float eps) {
    return norm(g, &k_layer_norm, x, gamma, beta, eps);
}

fw_val fw_rms_norm(fw_graph *g, fw_val x, const char *gamma, float eps) {
    return norm(g, &k_rms_norm, x, gamma, NULL, eps);
}
