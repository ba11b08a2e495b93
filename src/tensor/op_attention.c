/*
 * op_attention.c - softmax(q k^T / sqrt(D)) v, heads side by side in the last dimension.   q [B,Tq,H*D], k v [B,Tk,H*D]
 *
 * Items (batch x head) over the threads. The weights [Tq,Tk] are never kept: forward saves the log-sum-exp of each row and
 * backward makes them again (FlashAttention, arXiv 2205.14135).
 */
#include "tensor/op_int.h"

enum { Q, K, V, LEN };

static fw_attn attn_of(const fw_graph *g, const fw_node *n) {
    const fw_shape *q = fw_shape_of(g, n->in[Q]), *k = fw_shape_of(g, n->in[K]);
    int64_t c = q->d[2], h = n->u.attention.n_head, d = c / h;
    return (fw_attn){.batch = q->d[0],
                     .n_head = h,
                     .n_kv = h,
                     .tq = q->d[1],
                     .tk = k->d[1],
                     .d = d,
                     .scale = (float)(1.0 / __builtin_sqrt((double)d)),
                     .mask = n->u.attention.mask,
                     .q_batch = q->d[1] * c,
                     .q_row = c,
                     .q_head = d,
                     .k_batch = k->d[1] * c,
                     .k_row = c,
                     .k_head = d,
                     .v_batch = k->d[1] * c,
                     .v_row = c,
                     .v_head = d,
                     .o_batch = q->d[1] * c,
                     .o_row = c,
                     .o_head = d};
}

static fw_attn attn_at(const fw_step *s) {
    fw_attn a = attn_of(s->g, s->node);
    a.q = s->x[Q];
    a.k = s->x[K];
    a.v = s->x[V];
    a.lengths = s->x[LEN];
    a.o = s->y;
    a.lse = s->save;
    return a;
}

static void fwd_block(const fw_step *s, const void *arg, fw_part part) {
    s->kern->attention_fwd(arg, part.i0, part.i1, part.scratch);
}

static void bwd_block(const fw_step *s, const void *arg, fw_part part) {
    s->kern->attention_bwd(arg, part.i0, part.i1, part.scratch);
}

static int64_t item_block(const fw_attn *a) {
    int64_t items = a->batch * a->n_kv;
    return fw_block(items, a->tq * a->tk * a->d / 4);
}

static fw_status attention_forward(const fw_step *s, fw_err *err) {
    fw_attn a = attn_at(s);
    for (int64_t b = 0; a.mask == FW_MASK_LENGTH && b < a.batch; b++) {
        if (a.lengths[b] < 0 || a.lengths[b] > a.tk) {
            return fw_fail(err, FW_INVALID, "attention: length %d of batch entry %lld, 0 to %lld wanted", a.lengths[b],
                           (long long)b, (long long)a.tk);
        }
    }
    fw_split(s, &a, a.batch * a.n_kv, item_block(&a), fwd_block);
    return FW_OK;
}

/* The kernel writes all three; where one is not wanted it goes to scratch. */
static float *or_spare(float *dx, char **spare, int64_t n) {
    if (dx == NULL) {
        dx = (float *)*spare;
        *spare += fw_up64((size_t)n * sizeof(float));
    }
    return dx;
}

static void attention_backward(const fw_step *s) {
    fw_attn a = attn_at(s);
    char *spare = s->scratch;
    a.d_o = s->dy;
    a.dq = or_spare(s->dx[Q], &spare, a.batch * a.q_batch);
    a.dk = or_spare(s->dx[K], &spare, a.batch * a.k_batch);
    a.dv = or_spare(s->dx[V], &spare, a.batch * a.v_batch);
    fw_split(s, &a, a.batch * a.n_kv, item_block(&a), bwd_block);
}

static unsigned attention_needs(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)g;
    (void)n;
    (void)want;
    return 1u << Q | 1u << K | 1u << V | 1u << LEN | FW_NEED_Y;
}

static size_t attention_save(const fw_graph *g, const fw_node *n, unsigned want) {
    fw_attn a = attn_of(g, n);
    (void)want;
    return (size_t)(a.batch * a.n_head * a.tq) * sizeof(float);
}

static fw_scratch attention_scratch(const fw_graph *g, const fw_node *n, const fw_kern *k, unsigned want,
                                    bool backward) {
    fw_attn a = attn_of(g, n);
    fw_scratch r = {.per_worker = k->attention_scratch(&a, backward)};
    if (backward) {
        r.shared += want >> Q & 1 ? 0 : fw_up64((size_t)(a.batch * a.q_batch) * sizeof(float));
        r.shared += want >> K & 1 ? 0 : fw_up64((size_t)(a.batch * a.k_batch) * sizeof(float));
        r.shared += want >> V & 1 ? 0 : fw_up64((size_t)(a.batch * a.v_batch) * sizeof(float));
    }
    return r;
}

static double attention_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    fw_attn a = attn_of(g, n);
    return (want == 0 ? 4.0 : 10.0) * (double)(a.batch * a.n_head * a.tq) * (double)(a.tk * a.d);
}

static const fw_op k_attention = {
    .name = "attention",
    .diff = 1u << Q | 1u << K | 1u << V,
    .grad = {FW_GRAD_WRITE, FW_GRAD_WRITE, FW_GRAD_WRITE},
    .forward = attention_forward,
    .backward = attention_backward,
    .needs = attention_needs,
    .flops = attention_flops,
    .save_bytes = attention_save,
    .scratch = attention_scratch,
};

fw_val fw_attention(fw_graph *g, fw_val q, fw_val k, fw_val v, int n_head, fw_mask mask, fw_val lengths) {
    char a[64], b[64], c[64];
    if (!fw_graph_takes(g, "attention", q, FW_F32) || !fw_graph_takes(g, "attention", k, FW_F32) ||
        !fw_graph_takes(g, "attention", v, FW_F32) ||
        (mask == FW_MASK_LENGTH && !fw_graph_takes(g, "attention", lengths, FW_I32))) {
        return FW_NONE;
    }
    const fw_shape *sq = fw_shape_of(g, q), *sk = fw_shape_of(g, k), *sv = fw_shape_of(g, v);
    if (sq->n != 3 || !fw_shape_eq(sk, sv) || sk->n != 3 || sq->d[0] != sk->d[0] || sq->d[2] != sk->d[2] ||
        n_head < 1 || sq->d[2] % n_head != 0) {
        return fw_graph_fail(
            g, FW_SHAPE, "attention: q is %s, k %s, v %s; [B,Tq,C], [B,Tk,C] twice, C a multiple of %d heads",
            fw_shape_str(sq, a, sizeof(a)), fw_shape_str(sk, b, sizeof(b)), fw_shape_str(sv, c, sizeof(c)), n_head);
    }
    if (mask == FW_MASK_LENGTH && (fw_shape_of(g, lengths)->n != 1 || fw_shape_of(g, lengths)->d[0] != sq->d[0])) {
        return fw_graph_fail(g, FW_SHAPE, "attention: lengths is %s, [%lld] wanted",
                             fw_shape_str(fw_shape_of(g, lengths), a, sizeof(a)), (long long)sq->d[0]);
    }
    fw_node n = {.op = &k_attention, .n_in = 4, .in = {q, k, v, mask == FW_MASK_LENGTH ? lengths : FW_NONE}};
    n.u.attention.n_head = n_head;
    n.u.attention.mask = mask;
    return fw_graph_add(g, &n, *sq);
}
