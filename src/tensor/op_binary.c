/*
 * op_binary.c - y = x + b and y = x * b; b of x's shape, or broadcast.
 *
 * backward  add: dx = dy,      db = sum of dy     over the broadcast dimensions
 *           mul: dx = dy * b,  db = sum of dy * x
 * Sums: a block of the outer indices each, then over the blocks in order.
 */
#include "tensor/op_int.h"

enum { X, B };

/* ---- same shape ---- */

static void same_block(const fw_step *s, const void *arg, fw_part part) {
    const fw_bop op = s->node->u.bcast.op;
    (void)arg;
    (op == FW_ADD ? s->kern->add : s->kern->mul)(fw_x(s, X) + part.i0, fw_x(s, B) + part.i0, (float *)s->y + part.i0,
                                                 part.i1 - part.i0);
}

static fw_status same_forward(const fw_step *s, fw_err *err) {
    int64_t n = fw_shape_count(fw_shape_of(s->g, s->node->out));
    (void)err;
    fw_split(s, NULL, n, fw_block(n, 1), same_block);
    return FW_OK;
}

static void add_same_backward(const fw_step *s) {
    int64_t n = fw_shape_count(fw_shape_of(s->g, s->node->out));
    for (int k = X; k <= B; k++) {
        if (s->dx[k] != NULL) {
            fw_copy_par(s, s->dy, s->dx[k], s->add[k], n);
        }
    }
}

static void mul_same_block(const fw_step *s, const void *arg, fw_part part) {
    const int k = *(const int *)arg; /* the operand differentiated; the other one is its factor */
    s->kern->mul(s->dy + part.i0, fw_x(s, X + B - k) + part.i0, s->dx[k] + part.i0, part.i1 - part.i0);
}

static void mul_same_backward(const fw_step *s) {
    int64_t n = fw_shape_count(fw_shape_of(s->g, s->node->out));
    for (int k = X; k <= B; k++) {
        if (s->dx[k] != NULL) {
            fw_split(s, &k, n, fw_block(n, 1), mul_same_block);
        }
    }
}

static unsigned mul_needs(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)g;
    (void)n;
    return (want >> X & 1) << B | (want >> B & 1) << X;
}

static double binary_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)want;
    return (double)fw_shape_count(fw_shape_of(g, n->out));
}

static const fw_op k_add_same = {
    .name = "add",
    .diff = 3,
    .grad = {FW_GRAD_BOTH, FW_GRAD_BOTH},
    .forward = same_forward,
    .backward = add_same_backward,
    .flops = binary_flops,
};
static const fw_op k_mul_same = {
    .name = "mul",
    .diff = 3,
    .grad = {FW_GRAD_WRITE, FW_GRAD_WRITE},
    .forward = same_forward,
    .backward = mul_same_backward,
    .needs = mul_needs,
    .flops = binary_flops,
};

/* ---- broadcast ---- */

static int64_t outer_of(const fw_bcast *d) {
    int64_t n = 1;
    for (int i = 0; i + 1 < d->n; i++) {
        n *= d->d[i];
    }
    return n;
}

static int64_t inner_of(const fw_bcast *d) {
    return d->d[d->n - 1];
}

static void bcast_block(const fw_step *s, const void *arg, fw_part part) {
    (void)arg;
    s->kern->bcast(s->node->u.bcast.op, &s->node->u.bcast.dim, s->x[X], s->x[B], s->y, part.i0, part.i1);
}

static fw_status bcast_forward(const fw_step *s, fw_err *err) {
    const fw_bcast *d = &s->node->u.bcast.dim;
    (void)err;
    fw_split(s, NULL, outer_of(d), fw_block(outer_of(d), inner_of(d)), bcast_block);
    return FW_OK;
}

static void dx_block(const fw_step *s, const void *arg, fw_part part) {
    (void)arg;
    s->kern->bcast(FW_MUL, &s->node->u.bcast.dim, s->dy, s->x[B], s->dx[X], part.i0, part.i1);
}

static void db_block(const fw_step *s, const void *arg, fw_part part) {
    const int64_t nb = *(const int64_t *)arg;
    float *sum = (float *)s->scratch + part.index * nb;
    memset(sum, 0, (size_t)nb * sizeof(float));
    s->kern->bcast_reduce(&s->node->u.bcast.dim, s->dy, s->node->u.bcast.op == FW_MUL ? s->x[X] : NULL, sum, part.i0,
                          part.i1);
}

static void bcast_backward(const fw_step *s) {
    const fw_bcast *d = &s->node->u.bcast.dim;
    const int64_t outer = outer_of(d), inner = inner_of(d);
    if (s->dx[X] != NULL && s->node->u.bcast.op == FW_ADD) {
        fw_copy_par(s, s->dy, s->dx[X], s->add[X], outer * inner);
    } else if (s->dx[X] != NULL) {
        fw_split(s, NULL, outer, fw_block(outer, inner), dx_block);
    }
    if (s->dx[B] != NULL) {
        const int64_t nb = fw_shape_count(fw_shape_of(s->g, s->node->in[B]));
        fw_split(s, &nb, outer, fw_part_block(outer, inner), db_block);
        s->kern->colsum(s->scratch, nb, s->dx[B], s->add[B], fw_n_part(outer, inner), nb);
    }
}

static fw_scratch bcast_scratch(const fw_graph *g, const fw_node *n, const fw_kern *k, unsigned want, bool backward) {
    const fw_bcast *d = &n->u.bcast.dim;
    int64_t floats = fw_shape_count(fw_shape_of(g, n->in[B])) * fw_n_part(outer_of(d), inner_of(d));
    (void)k;
    return (fw_scratch){.shared = backward && (want >> B & 1) ? (size_t)floats * sizeof(float) : 0};
}

static const fw_op k_add_bcast = {
    .name = "add (broadcast)",
    .diff = 3,
    .grad = {FW_GRAD_BOTH, FW_GRAD_BOTH},
    .forward = bcast_forward,
    .backward = bcast_backward,
    .flops = binary_flops,
    .scratch = bcast_scratch,
};
static const fw_op k_mul_bcast = {
    .name = "mul (broadcast)",
    .diff = 3,
    .grad = {FW_GRAD_WRITE, FW_GRAD_BOTH},
    .forward = bcast_forward,
    .backward = bcast_backward,
    .needs = mul_needs,
    .flops = binary_flops,
    .scratch = bcast_scratch,
};

/* ---- building ---- */

/* Strides of b under x, right-aligned; false: it does not fit. */
static bool bcast_of(const fw_shape *x, const fw_shape *b, fw_bcast *d) {
    int64_t stride = 1;
    *d = (fw_bcast){.n = x->n > 0 ? x->n : 1, .d = {1}};
    if (b->n > x->n) {
        return false;
    }
    for (int i = x->n - 1; i >= 0; i--) {
        int k = i - (x->n - b->n);
        int64_t db = k < 0 ? 1 : b->d[k];
        d->d[i] = x->d[i];
        if (db != 1 && db != x->d[i]) {
            return false;
        }
        d->b_stride[i] = db == 1 ? 0 : stride;
        stride *= db;
    }
    return true;
}

static fw_val binary(fw_graph *g, fw_bop op, fw_val x, fw_val b) {
    char p[64], q[64];
    const char *name = op == FW_ADD ? "add" : "mul";
    if (!fw_graph_takes(g, name, x, FW_F32) || !fw_graph_takes(g, name, b, FW_F32)) {
        return FW_NONE;
    }
    const fw_shape sx = *fw_shape_of(g, x), sb = *fw_shape_of(g, b);
    fw_node n = {.n_in = 2, .in = {x, b}, .u.bcast.op = op};
    if (!bcast_of(&sx, &sb, &n.u.bcast.dim)) {
        return fw_graph_fail(g, FW_SHAPE, "%s: x is %s, b %s does not broadcast to it", name,
                             fw_shape_str(&sx, p, sizeof(p)), fw_shape_str(&sb, q, sizeof(q)));
    }
    if (fw_shape_eq(&sx, &sb)) {
        n.op = op == FW_ADD ? &k_add_same : &k_mul_same;
    } else {
        n.op = op == FW_ADD ? &k_add_bcast : &k_mul_bcast;
    }
    return fw_graph_add(g, &n, sx);
}

fw_val fw_add(fw_graph *g, fw_val x, fw_val b) {
    return binary(g, FW_ADD, x, b);
}

fw_val fw_mul(fw_graph *g, fw_val x, fw_val b) {
    return binary(g, FW_MUL, x, b);
}
