/*
 * op_loss.c - l1 and mse: sum(w |p - t|) / max(sum(w), 1) / per, with `per` values under each weight.
 *
 * forward   block sums in double, combined in the order of blocks; saves the factor 1 / max(sum w, 1) / per
 * backward  dp = dy * factor * w * sign(p - t)        (mse: 2 (p - t))
 */
#include "tensor/op_int.h"

enum { P, T, W };

typedef struct dims {
    int64_t n, per; /* weights, values of each */
} dims;

static dims dims_of(const fw_graph *g, const fw_node *n) {
    int64_t count = fw_shape_count(fw_shape_of(g, n->in[P]));
    if (n->in[W] == FW_NONE) {
        return (dims){count, 1};
    }
    int64_t w = fw_shape_count(fw_shape_of(g, n->in[W]));
    return (dims){w, count / w};
}

static const fw_op k_l1, k_mse;

static void sum_block(const fw_step *s, const void *arg, fw_part part) {
    const dims *d = arg;
    const float *w = s->x[W] == NULL ? NULL : (const float *)s->x[W] + part.i0;
    const float *p = (const float *)s->x[P] + part.i0 * d->per, *t = (const float *)s->x[T] + part.i0 * d->per;
    double *sums = (double *)s->scratch + 2 * part.index;
    sums[0] = sums[1] = 0;
    (s->node->op == &k_l1 ? s->kern->l1_loss : s->kern->mse_loss)(p, t, w, part.i1 - part.i0, d->per, &sums[0],
                                                                  &sums[1]);
}

static fw_status loss_forward(const fw_step *s, fw_err *err) {
    dims d = dims_of(s->g, s->node);
    int64_t block = fw_block(d.n, d.per);
    const double *sums = s->scratch;
    double sum = 0, w = 0;
    (void)err;
    fw_split(s, &d, d.n, block, sum_block);
    for (int64_t i = 0; i < (d.n + block - 1) / block; i++) {
        sum += sums[2 * i];
        w += sums[2 * i + 1];
    }
    double factor = 1.0 / (w > 1 ? w : 1) / (double)d.per;
    *(float *)s->y = (float)(sum * factor);
    if (s->save != NULL) {
        *(float *)s->save = (float)factor;
    }
    return FW_OK;
}

static void grad_block(const fw_step *s, const void *arg, fw_part part) {
    const dims *d = arg;
    const float *w = s->x[W] == NULL ? NULL : (const float *)s->x[W] + part.i0;
    int64_t at = part.i0 * d->per;
    (s->node->op == &k_l1 ? s->kern->l1_grad : s->kern->mse_grad)(
        (const float *)s->x[P] + at, (const float *)s->x[T] + at, w, part.i1 - part.i0, d->per,
        s->dy[0] * *(const float *)s->save, s->dx[P] + at);
}

static void loss_backward(const fw_step *s) {
    dims d = dims_of(s->g, s->node);
    fw_split(s, &d, d.n, fw_block(d.n, d.per), grad_block);
}

static unsigned loss_needs(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)g;
    (void)n;
    (void)want;
    return 1u << P | 1u << T | 1u << W;
}

static size_t loss_save(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)g;
    (void)n;
    (void)want;
    return sizeof(float);
}

static fw_scratch loss_scratch(const fw_graph *g, const fw_node *n, const fw_kern *k, unsigned want, bool backward) {
    (void)g;
    (void)n;
    (void)k;
    (void)want;
    return (fw_scratch){.shared = backward ? 0 : FW_MAX_BLOCK * 2 * sizeof(double)};
}

static double loss_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)want;
    return 3.0 * (double)fw_shape_count(fw_shape_of(g, n->in[P]));
}

#define LOSS_OP(name_)                                                                                                 \
    {                                                                                                                  \
        .name = name_, .diff = 1u << P, .grad = {FW_GRAD_WRITE}, .forward = loss_forward, .backward = loss_backward,   \
        .needs = loss_needs, .flops = loss_flops, .save_bytes = loss_save, .scratch = loss_scratch                     \
    }
static const fw_op k_l1 = LOSS_OP("l1_loss"), k_mse = LOSS_OP("mse_loss");

static bool is_prefix(const fw_shape *a, const fw_shape *of) {
    for (int i = 0; i < a->n; i++) {
        if (i >= of->n || a->d[i] != of->d[i]) {
            return false;
        }
    }
    return true;
}

static fw_val loss(fw_graph *g, const fw_op *op, fw_val pred, fw_val target, fw_val weight) {
    char a[64], b[64];
    if (!fw_graph_takes(g, op->name, pred, FW_F32) || !fw_graph_takes(g, op->name, target, FW_F32) ||
        (weight != FW_NONE && !fw_graph_takes(g, op->name, weight, FW_F32))) {
        return FW_NONE;
    }
    const fw_shape *p = fw_shape_of(g, pred), *t = fw_shape_of(g, target);
    if (!fw_shape_eq(p, t)) {
        return fw_graph_fail(g, FW_SHAPE, "%s: pred is %s, target %s", op->name, fw_shape_str(p, a, sizeof(a)),
                             fw_shape_str(t, b, sizeof(b)));
    }
    if (weight != FW_NONE && !is_prefix(fw_shape_of(g, weight), p)) {
        return fw_graph_fail(g, FW_SHAPE, "%s: pred is %s, weight %s is no prefix of it", op->name,
                             fw_shape_str(p, a, sizeof(a)), fw_shape_str(fw_shape_of(g, weight), b, sizeof(b)));
    }
    return fw_graph_add(g, &(fw_node){.op = op, .n_in = 3, .in = {pred, target, weight}}, (fw_shape){0});
}

fw_val fw_l1_loss(fw_graph *g, fw_val pred, fw_val target, fw_val weight) {
    return loss(g, &k_l1, pred, target, weight);
}

fw_val fw_mse_loss(fw_graph *g, fw_val pred, fw_val target, fw_val weight) {
    return loss(g, &k_mse, pred, target, weight);
}
