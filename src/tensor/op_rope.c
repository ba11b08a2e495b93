/*
 * op_rope.c - rotary positions (arXiv 2104.09864): pair (j, j + d/2) of a head is turned by pos * theta^(-2j/d).
 *
 * rope_table  pos [B,T] i32 -> [B,T,d]: d/2 cosines, then d/2 sines. Made once, used by every layer; no gradient.
 * rope        x [B,T,H*d], table [B,T,d] -> [B,T,H*d].      backward: turn dy back
 *
 * The angle is rounded to f32 as the reference implementations have it; its cosine and sine are exact.
 */
#include <math.h>

#include "tensor/op_int.h"

/* ---- table ---- */

static void table_block(const fw_step *s, const void *arg, fw_part part) {
    const int32_t *pos = s->x[0];
    const int64_t d = fw_cols(fw_shape_of(s->g, s->node->out)), half = d / 2;
    (void)arg;
    for (int64_t j = 0; j < half; j++) {
        const float speed = (float)pow(s->node->u.rope.theta, -(double)(2 * j) / (double)d);
        for (int64_t i = part.i0; i < part.i1; i++) {
            float *y = (float *)s->y + i * d, angle = (float)pos[i] * speed;
            y[j] = (float)cos((double)angle);
            y[half + j] = (float)sin((double)angle);
        }
    }
}

static fw_status table_forward(const fw_step *s, fw_err *err) {
    const fw_shape *y = fw_shape_of(s->g, s->node->out);
    (void)err;
    fw_split(s, NULL, fw_rows(y), fw_block(fw_rows(y), 16 * fw_cols(y)), table_block);
    return FW_OK;
}

static double table_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)want;
    return 16.0 * (double)fw_shape_count(fw_shape_of(g, n->out));
}

static const fw_op k_rope_table = {.name = "rope_table", .forward = table_forward, .flops = table_flops};

fw_val fw_rope_table(fw_graph *g, fw_val pos, int64_t d, double theta) {
    char a[64];
    if (!fw_graph_takes(g, "rope_table", pos, FW_I32)) {
        return FW_NONE;
    }
    fw_shape s = *fw_shape_of(g, pos);
    if (s.n != 2 || d < 2 || d % 2 != 0 || !(theta > 1.0)) {
        return fw_graph_fail(g, FW_SHAPE, "rope_table: positions are %s ([B,T] wanted), width %lld (even), theta %g",
                             fw_shape_str(&s, a, sizeof(a)), (long long)d, theta);
    }
    return fw_graph_add(g, &(fw_node){.op = &k_rope_table, .n_in = 1, .in = {pos}, .u.rope.theta = theta},
                        FW_SHAPE_OF(s.d[0], s.d[1], d));
}

/* ---- turning ---- */

typedef struct dims {
    int64_t rows, heads, d;
} dims;

static dims dims_of(const fw_graph *g, const fw_node *n) {
    const fw_shape *y = fw_shape_of(g, n->out);
    return (dims){fw_rows(y), n->u.rope.n_head, fw_cols(y) / n->u.rope.n_head};
}

static void fwd_block(const fw_step *s, const void *arg, fw_part part) {
    const dims *d = arg;
    const int64_t at = part.i0 * d->heads * d->d;
    s->kern->rope(fw_x(s, 0) + at, fw_x(s, 1) + part.i0 * d->d, (float *)s->y + at, false, false, part.i1 - part.i0,
                  d->heads, d->d);
}

static void bwd_block(const fw_step *s, const void *arg, fw_part part) {
    const dims *d = arg;
    const int64_t at = part.i0 * d->heads * d->d;
    s->kern->rope(s->dy + at, fw_x(s, 1) + part.i0 * d->d, s->dx[0] + at, true, s->add[0], part.i1 - part.i0, d->heads,
                  d->d);
}

static fw_status rope_forward(const fw_step *s, fw_err *err) {
    const dims d = dims_of(s->g, s->node);
    (void)err;
    fw_split(s, &d, d.rows, fw_block(d.rows, d.heads * d.d), fwd_block);
    return FW_OK;
}

static void rope_backward(const fw_step *s) {
    const dims d = dims_of(s->g, s->node);
    fw_split(s, &d, d.rows, fw_block(d.rows, d.heads * d.d), bwd_block);
}

static unsigned rope_needs(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)g;
    (void)n;
    (void)want;
    return 1u << 1;
}

static double rope_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)want;
    return 3.0 * (double)fw_shape_count(fw_shape_of(g, n->out));
}

static const fw_op k_rope = {
    .name = "rope",
    .diff = 1,
    .grad = {FW_GRAD_BOTH},
    .forward = rope_forward,
    .backward = rope_backward,
    .needs = rope_needs,
    .flops = rope_flops,
};

fw_val fw_rope(fw_graph *g, fw_val x, fw_val table, int n_head) {
    char a[64], b[64];
    if (!fw_graph_takes(g, "rope", x, FW_F32) || !fw_graph_takes(g, "rope", table, FW_F32)) {
        return FW_NONE;
    }
    const fw_shape *sx = fw_shape_of(g, x), *st = fw_shape_of(g, table);
    if (sx->n != 3 || st->n != 3 || n_head < 1 || sx->d[0] != st->d[0] || sx->d[1] != st->d[1] ||
        sx->d[2] != n_head * st->d[2]) {
        return fw_graph_fail(g, FW_SHAPE, "rope: x is %s, the table %s, %d heads", fw_shape_str(sx, a, sizeof(a)),
                             fw_shape_str(st, b, sizeof(b)), n_head);
    }
    return fw_graph_add(g, &(fw_node){.op = &k_rope, .n_in = 2, .in = {x, table}, .u.rope.n_head = n_head}, *sx);
}
