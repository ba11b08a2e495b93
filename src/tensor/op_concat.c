/*
 * op_concat.c - concat along an axis, and its reverse, slice.
 *
 * Both are copies of `outer` pieces: of the dimensions before the axis. backward of one is the other:
 *   concat  dx_i = its piece of dy          slice  dx[from:to] += dy, into a cleared dx
 */
#include "tensor/op_int.h"

/* [outer, len, inner] around an axis. */
typedef struct around {
    int64_t outer, len, inner;
} around;

static around around_axis(const fw_shape *s, int axis) {
    around a = {1, s->d[axis], 1};
    for (int i = 0; i < axis; i++) {
        a.outer *= s->d[i];
    }
    for (int i = axis + 1; i < s->n; i++) {
        a.inner *= s->d[i];
    }
    return a;
}

static void put(const fw_kern *k, float *y, const float *x, bool add, int64_t n) {
    if (add) {
        k->axpy(1.0f, x, y, n);
    } else {
        memcpy(y, x, (size_t)n * sizeof(float));
    }
}

/* ---- concat ---- */

static void concat_block(const fw_step *s, const void *arg, fw_part part) {
    const around *y = arg;
    for (int64_t o = part.i0; o < part.i1; o++) {
        int64_t at = o * y->len * y->inner;
        for (int k = 0; k < s->node->n_in; k++) {
            int64_t n = fw_shape_of(s->g, s->node->in[k])->d[s->node->u.slice.axis] * y->inner;
            if (!s->backward) {
                memcpy((float *)s->y + at, fw_x(s, k) + o * n, (size_t)n * sizeof(float));
            } else if (s->dx[k] != NULL) {
                put(s->kern, s->dx[k] + o * n, s->dy + at, s->add[k], n);
            }
            at += n;
        }
    }
}

static fw_status concat_forward(const fw_step *s, fw_err *err) {
    const around y = around_axis(fw_shape_of(s->g, s->node->out), s->node->u.slice.axis);
    (void)err;
    fw_split(s, &y, y.outer, fw_block(y.outer, y.len * y.inner), concat_block);
    return FW_OK;
}

static void concat_backward(const fw_step *s) {
    const around y = around_axis(fw_shape_of(s->g, s->node->out), s->node->u.slice.axis);
    fw_split(s, &y, y.outer, fw_block(y.outer, y.len * y.inner), concat_block);
}

static double no_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)g;
    (void)n;
    (void)want;
    return 0.0;
}

static const fw_op k_concat = {
    .name = "concat",
    .diff = (1u << FW_MAX_IN) - 1,
    .grad = {FW_GRAD_BOTH, FW_GRAD_BOTH, FW_GRAD_BOTH, FW_GRAD_BOTH, FW_GRAD_BOTH, FW_GRAD_BOTH, FW_GRAD_BOTH,
             FW_GRAD_BOTH, FW_GRAD_BOTH, FW_GRAD_BOTH, FW_GRAD_BOTH, FW_GRAD_BOTH, FW_GRAD_BOTH, FW_GRAD_BOTH,
             FW_GRAD_BOTH, FW_GRAD_BOTH},
    .forward = concat_forward,
    .backward = concat_backward,
    .flops = no_flops,
};

fw_val fw_concat(fw_graph *g, const fw_val *vals, int n, int axis) {
    char a[64], b[64];
    fw_node node = {.op = &k_concat, .n_in = n, .u.slice.axis = axis};
    if (n < 1 || n > FW_MAX_IN) {
        return fw_graph_fail(g, FW_INVALID, "concat: %d values, 1 to %d wanted", n, FW_MAX_IN);
    }
    for (int i = 0; i < n; i++) {
        if (!fw_graph_takes(g, "concat", vals[i], FW_F32)) {
            return FW_NONE;
        }
        node.in[i] = vals[i];
    }
    fw_shape y = *fw_shape_of(g, vals[0]);
    if (axis < 0 || axis >= y.n) {
        return fw_graph_fail(g, FW_INVALID, "concat: axis %d of %s", axis, fw_shape_str(&y, a, sizeof(a)));
    }
    for (int i = 1; i < n; i++) {
        fw_shape s = *fw_shape_of(g, vals[i]);
        int64_t len = s.n > axis ? s.d[axis] : 0;
        s.d[axis] = y.d[axis];
        if (!fw_shape_eq(&s, &y)) {
            return fw_graph_fail(g, FW_SHAPE, "concat: value %d is %s, beside %s along axis %d", i,
                                 fw_shape_str(fw_shape_of(g, vals[i]), a, sizeof(a)), fw_shape_str(&y, b, sizeof(b)),
                                 axis);
        }
        y.d[axis] += len;
    }
    return fw_graph_add(g, &node, y);
}

/* ---- slice ---- */

static void slice_block(const fw_step *s, const void *arg, fw_part part) {
    const around *x = arg;
    const int64_t n = fw_shape_of(s->g, s->node->out)->d[s->node->u.slice.axis] * x->inner;
    for (int64_t o = part.i0; o < part.i1; o++) {
        int64_t at = (o * x->len + s->node->u.slice.from) * x->inner;
        if (!s->backward) {
            memcpy((float *)s->y + o * n, fw_x(s, 0) + at, (size_t)n * sizeof(float));
        } else {
            s->kern->axpy(1.0f, s->dy + o * n, s->dx[0] + at, n);
        }
    }
}

static fw_status slice_forward(const fw_step *s, fw_err *err) {
    const around x = around_axis(fw_shape_of(s->g, s->node->in[0]), s->node->u.slice.axis);
    (void)err;
    fw_split(s, &x, x.outer, fw_block(x.outer, x.len * x.inner), slice_block);
    return FW_OK;
}

static void slice_backward(const fw_step *s) {
    const around x = around_axis(fw_shape_of(s->g, s->node->in[0]), s->node->u.slice.axis);
    fw_split(s, &x, x.outer, fw_block(x.outer, x.len * x.inner), slice_block);
}

static const fw_op k_slice = {
    .name = "slice",
    .diff = 1,
    .grad = {FW_GRAD_ADD},
    .forward = slice_forward,
    .backward = slice_backward,
    .flops = no_flops,
};

fw_val fw_slice(fw_graph *g, fw_val x, int axis, int64_t from, int64_t to) {
    char a[64];
    if (!fw_graph_takes(g, "slice", x, FW_F32)) {
        return FW_NONE;
    }
    fw_shape y = *fw_shape_of(g, x);
    if (axis < 0 || axis >= y.n || from < 0 || to <= from || to > y.d[axis]) {
        return fw_graph_fail(g, FW_SHAPE, "slice: [%lld,%lld) of axis %d of %s", (long long)from, (long long)to, axis,
                             fw_shape_str(&y, a, sizeof(a)));
    }
    y.d[axis] = to - from;
    return fw_graph_add(g, &(fw_node){.op = &k_slice, .n_in = 1, .in = {x}, .u.slice = {axis, from}}, y);
}
