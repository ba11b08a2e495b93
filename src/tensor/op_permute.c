/*
 * op_permute.c - dimension i of y is dimension axes[i] of x.      backward: the inverse permutation of dy
 *
 * Rows of y (all dimensions but the last) over the threads; where the last dimension stays last, a row is one copy.
 */
#include "tensor/op_int.h"

/* Walk a dense y; in the other tensor, dimension i of y has stride `stride[i]`. */
typedef struct walk {
    fw_shape y;
    int64_t stride[FW_MAX_DIMS];
} walk;

static walk walk_of(const fw_graph *g, const fw_node *n) {
    const fw_shape *x = fw_shape_of(g, n->in[0]);
    walk w = {.y = *fw_shape_of(g, n->out)};
    for (int i = 0; i < w.y.n; i++) {
        w.stride[i] = 1;
        for (int k = n->u.permute.axis[i] + 1; k < x->n; k++) {
            w.stride[i] *= x->d[k];
        }
    }
    return w;
}

/* Where row r of y begins in x. */
static int64_t row_at(const walk *w, int64_t r) {
    int64_t at = 0;
    for (int i = w->y.n - 2; i >= 0; i--) {
        at += r % w->y.d[i] * w->stride[i];
        r /= w->y.d[i];
    }
    return at;
}

static void fwd_block(const fw_step *s, const void *arg, fw_part part) {
    const walk *w = arg;
    const int64_t c = fw_cols(&w->y), step = w->stride[w->y.n - 1];
    for (int64_t r = part.i0; r < part.i1; r++) {
        const float *x = fw_x(s, 0) + row_at(w, r);
        float *y = (float *)s->y + r * c;
        if (step == 1) {
            memcpy(y, x, (size_t)c * sizeof(float));
            continue;
        }
        for (int64_t j = 0; j < c; j++) {
            y[j] = x[j * step];
        }
    }
}

static void bwd_block(const fw_step *s, const void *arg, fw_part part) {
    const walk *w = arg;
    const int64_t c = fw_cols(&w->y), step = w->stride[w->y.n - 1];
    for (int64_t r = part.i0; r < part.i1; r++) {
        float *dx = s->dx[0] + row_at(w, r);
        const float *dy = s->dy + r * c;
        for (int64_t j = 0; j < c; j++) {
            dx[j * step] = s->add[0] ? dx[j * step] + dy[j] : dy[j];
        }
    }
}

static fw_status permute_forward(const fw_step *s, fw_err *err) {
    const walk w = walk_of(s->g, s->node);
    (void)err;
    fw_split(s, &w, fw_rows(&w.y), fw_block(fw_rows(&w.y), fw_cols(&w.y)), fwd_block);
    return FW_OK;
}

static void permute_backward(const fw_step *s) {
    const walk w = walk_of(s->g, s->node);
    fw_split(s, &w, fw_rows(&w.y), fw_block(fw_rows(&w.y), fw_cols(&w.y)), bwd_block);
}

static double permute_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)g;
    (void)n;
    (void)want;
    return 0.0;
}

static const fw_op k_permute = {
    .name = "permute",
    .diff = 1,
    .grad = {FW_GRAD_BOTH},
    .forward = permute_forward,
    .backward = permute_backward,
    .flops = permute_flops,
};

fw_val fw_permute(fw_graph *g, fw_val x, const int *axes) {
    char a[64];
    if (!fw_graph_takes(g, "permute", x, FW_F32)) {
        return FW_NONE;
    }
    const fw_shape *s = fw_shape_of(g, x);
    fw_node n = {.op = &k_permute, .n_in = 1, .in = {x}};
    fw_shape y = {.n = s->n};
    unsigned seen = 0;
    for (int i = 0; i < s->n; i++) {
        if (axes[i] < 0 || axes[i] >= s->n || (seen >> axes[i] & 1)) {
            return fw_graph_fail(g, FW_SHAPE, "permute: x is %s, axis %d at place %d", fw_shape_str(s, a, sizeof(a)),
                                 axes[i], i);
        }
        seen |= 1u << axes[i];
        n.u.permute.axis[i] = axes[i];
        y.d[i] = s->d[axes[i]];
    }
    return s->n < 1 ? fw_graph_fail(g, FW_SHAPE, "permute: x is a scalar") : fw_graph_add(g, &n, y);
}
