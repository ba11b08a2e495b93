/* op_embedding.c - y[i,:] = table[ids[i],:]. backward: dtable[ids[i],:] += dy[i,:], columns over the threads. */
#include "tensor/op_int.h"

enum { IDS, TABLE };

typedef struct dims {
    int64_t n, v, c; /* ids, rows of the table, columns */
} dims;

static dims dims_of(const fw_graph *g, const fw_node *n) {
    const fw_shape *t = fw_shape_of(g, n->in[TABLE]);
    return (dims){fw_shape_count(fw_shape_of(g, n->in[IDS])), t->d[0], t->d[1]};
}

static void fwd_block(const fw_step *s, const void *arg, fw_part part) {
    const dims *d = arg;
    const int32_t *ids = s->x[IDS];
    const uint16_t *half = s->g->val[s->node->in[TABLE]].param->half;
    if (half == NULL) {
        s->kern->embedding_fwd(ids + part.i0, s->x[TABLE], (float *)s->y + part.i0 * d->c, part.i1 - part.i0, d->v,
                               d->c);
        return;
    }
    for (int64_t i = part.i0; i < part.i1; i++) {
        s->kern->bf16_to_f32(half + ids[i] * d->c, (float *)s->y + i * d->c, d->c);
    }
}

static fw_status embedding_forward(const fw_step *s, fw_err *err) {
    const dims d = dims_of(s->g, s->node);
    const int32_t *ids = s->x[IDS];
    for (int64_t i = 0; i < d.n; i++) {
        if (ids[i] < 0 || ids[i] >= d.v) {
            return fw_fail(err, FW_INVALID, "embedding '%s': id %d at position %lld, the table has %lld rows",
                           s->g->val[s->node->in[TABLE]].param->name, ids[i], (long long)i, (long long)d.v);
        }
    }
    fw_split(s, &d, d.n, fw_block(d.n, d.c), fwd_block);
    return FW_OK;
}

static void bwd_block(const fw_step *s, const void *arg, fw_part part) {
    const dims *d = arg;
    s->kern->embedding_bwd(s->x[IDS], s->dy + part.i0, d->c, s->dx[TABLE] + part.i0, d->c, d->n, part.i1 - part.i0);
}

static void embedding_backward(const fw_step *s) {
    const dims d = dims_of(s->g, s->node);
    fw_split(s, &d, d.c, d.c <= 64 ? d.c : (d.c / 4 + 15) / 16 * 16, bwd_block);
}

static unsigned embedding_needs(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)g;
    (void)n;
    (void)want;
    return 1u << IDS;
}

static double embedding_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    return want == 0 ? 0.0 : (double)fw_shape_count(fw_shape_of(g, n->out));
}

static const fw_op k_embedding = {
    .name = "embedding",
    .diff = 1u << TABLE,
    .grad = {FW_GRAD_WRITE, FW_GRAD_ADD},
    .forward = embedding_forward,
    .backward = embedding_backward,
    .needs = embedding_needs,
    .flops = embedding_flops,
};

fw_val fw_embedding(fw_graph *g, fw_val ids, const char *table, int64_t n, int64_t c) {
    char a[64];
    if (!fw_graph_takes(g, "embedding", ids, FW_I32)) {
        return FW_NONE;
    }
    fw_shape y = *fw_shape_of(g, ids);
    if (y.n >= FW_MAX_DIMS || n < 1 || c < 1) {
        return fw_graph_fail(g, FW_SHAPE, "embedding '%s': ids is %s, table [%lld,%lld]", table,
                             fw_shape_str(&y, a, sizeof(a)), (long long)n, (long long)c);
    }
    y.d[y.n++] = c;
    fw_val t = fw_param_any(g, table, FW_SHAPE_OF(n, c), (fw_init){FW_INIT_NORMAL, 0.02f});
    return t == FW_NONE ? FW_NONE : fw_graph_add(g, &(fw_node){.op = &k_embedding, .n_in = 2, .in = {ids, t}}, y);
}
