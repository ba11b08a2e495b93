/*
 * op_cross_entropy.c - mean over rows of -log softmax(logits)[label]; label -1: the row does not count.
 *
 * backward: dlogits = dy / count * (softmax(logits) - onehot(label)). Saves 1 / count.
 */
#include "tensor/op_int.h"

enum { X, LABELS };

typedef struct part_sum {
    double sum;
    int64_t count, bad; /* bad: the first row with an impossible label, or -1 */
} part_sum;

typedef struct dims {
    int64_t r, n;
} dims;

static dims dims_of(const fw_graph *g, const fw_node *n) {
    const fw_shape *x = fw_shape_of(g, n->in[X]);
    return (dims){fw_rows(x), fw_cols(x)};
}

static void sum_block(const fw_step *s, const void *arg, fw_part part) {
    const dims *d = arg;
    part_sum *p = (part_sum *)s->scratch + part.index;
    *p = (part_sum){0};
    p->bad = s->kern->xent_loss(fw_x(s, X) + part.i0 * d->n, (const int32_t *)s->x[LABELS] + part.i0, part.i1 - part.i0,
                                d->n, &p->sum, &p->count);
    p->bad += p->bad < 0 ? 0 : part.i0;
}

static fw_status cross_entropy_forward(const fw_step *s, fw_err *err) {
    const dims d = dims_of(s->g, s->node);
    const int64_t block = fw_block(d.r, d.n);
    const part_sum *p = s->scratch;
    double sum = 0;
    int64_t count = 0;
    fw_split(s, &d, d.r, block, sum_block);
    for (int64_t i = 0; i < (d.r + block - 1) / block; i++) {
        if (p[i].bad >= 0) {
            return fw_fail(err, FW_INVALID, "cross_entropy: label %d of row %lld, -1 to %lld wanted",
                           ((const int32_t *)s->x[LABELS])[p[i].bad], (long long)p[i].bad, (long long)d.n - 1);
        }
        sum += p[i].sum;
        count += p[i].count;
    }
    count = count < 1 ? 1 : count;
    *(float *)s->y = (float)(sum / (double)count);
    if (s->save != NULL) {
        *(float *)s->save = (float)(1.0 / (double)count);
    }
    return FW_OK;
}

static void grad_block(const fw_step *s, const void *arg, fw_part part) {
    const dims *d = arg;
    s->kern->xent_grad(fw_x(s, X) + part.i0 * d->n, (const int32_t *)s->x[LABELS] + part.i0, part.i1 - part.i0, d->n,
                       s->dy[0] * *(const float *)s->save, s->dx[X] + part.i0 * d->n);
}

static void cross_entropy_backward(const fw_step *s) {
    const dims d = dims_of(s->g, s->node);
    fw_split(s, &d, d.r, fw_block(d.r, d.n), grad_block);
}

static unsigned cross_entropy_needs(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)g;
    (void)n;
    (void)want;
    return 1u << X | 1u << LABELS;
}

static size_t cross_entropy_save(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)g;
    (void)n;
    (void)want;
    return sizeof(float);
}

static fw_scratch cross_entropy_scratch(const fw_graph *g, const fw_node *n, const fw_kern *k, unsigned want,
                                        bool backward) {
    (void)g;
    (void)n;
    (void)k;
    (void)want;
    return (fw_scratch){.shared = backward ? 0 : FW_MAX_BLOCK * sizeof(part_sum)};
}

static double cross_entropy_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)want;
    return 6.0 * (double)fw_shape_count(fw_shape_of(g, n->in[X]));
}

static const fw_op k_cross_entropy = {
    .name = "cross_entropy",
    .diff = 1u << X,
    .grad = {FW_GRAD_WRITE},
    .forward = cross_entropy_forward,
    .backward = cross_entropy_backward,
    .needs = cross_entropy_needs,
    .flops = cross_entropy_flops,
    .save_bytes = cross_entropy_save,
    .scratch = cross_entropy_scratch,
};

fw_val fw_cross_entropy(fw_graph *g, fw_val logits, fw_val labels) {
    char a[64], b[64];
    if (!fw_graph_takes(g, "cross_entropy", logits, FW_F32) || !fw_graph_takes(g, "cross_entropy", labels, FW_I32)) {
        return FW_NONE;
    }
    const fw_shape *x = fw_shape_of(g, logits), *l = fw_shape_of(g, labels);
    fw_shape rows = *x;
    rows.n--;
    if (x->n < 1 || !fw_shape_eq(&rows, l)) {
        return fw_graph_fail(g, FW_SHAPE, "cross_entropy: logits are %s, labels %s; [...,n] and [...] wanted",
                             fw_shape_str(x, a, sizeof(a)), fw_shape_str(l, b, sizeof(b)));
    }
    return fw_graph_add(g, &(fw_node){.op = &k_cross_entropy, .n_in = 2, .in = {logits, labels}}, (fw_shape){0});
}
