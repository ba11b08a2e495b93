/*
 * op_attention.c - softmax(q k^T / sqrt(D)) v, heads side by side in the last dimension.   q [B,Tq,H*D], k v [B,Tk,KV*D]
 *
 * Items (batch x key/value head) over the threads; where they are few (one head of keys for all queries), blocks of queries. The weights [Tq,Tk] are never kept: forward saves the log-sum-exp of each row and
 * backward makes them again (FlashAttention, arXiv 2205.14135).
 */
#include <string.h>

#include "tensor/op_int.h"

enum { Q, K, V, LEN };

static fw_attn attn_of(const fw_graph *g, const fw_node *n) {
    const fw_shape *q = fw_shape_of(g, n->in[Q]), *k = fw_shape_of(g, n->in[K]);
    const fw_attn_opts *o = &n->u.attention;
    int64_t c = q->d[2], h = o->n_head, d = c / h, ck = k->d[2];
    return (fw_attn){.batch = q->d[0],
                     .n_head = h,
                     .n_kv = o->n_kv,
                     .tq = q->d[1],
                     .tk = k->d[1],
                     .d = d,
                     .scale = (float)(1.0 / __builtin_sqrt((double)d)),
                     .mask = o->mask,
                     .prefix = o->prefix,
                     .first = o->first,
                     .first_end = o->first_end,
                     .q_batch = q->d[1] * c,
                     .q_row = c,
                     .q_head = d,
                     .k_batch = k->d[1] * ck,
                     .k_row = ck,
                     .k_head = d,
                     .v_batch = k->d[1] * ck,
                     .v_row = ck,
                     .v_head = d,
                     .o_batch = q->d[1] * c,
                     .o_row = c,
                     .o_head = d};
}

typedef struct job {
    fw_attn a;
    const int32_t
        *span; /* [batch,2]: entry b sees keys span[2b] to span[2b+1] of those that lengths speak of; NULL: from 0 */
    int64_t n_block, rows; /* few items: blocks of queries an item is cut into; rows of one */
} job;

static job job_of(const fw_step *s) {
    const bool spans = s->node->in[LEN] != FW_NONE && fw_shape_of(s->g, s->node->in[LEN])->n == 2;
    job j = {.a = attn_of(s->g, s->node), .span = spans ? s->x[LEN] : NULL};
    j.a.q = s->x[Q];
    j.a.k = s->x[K];
    j.a.v = s->x[V];
    j.a.lengths = spans ? NULL : s->x[LEN];
    j.a.o = s->y;
    j.a.lse = s->save;
    return j;
}

/* ---- entries whose keys begin later ---- */

/* Entry b of a alone, without the keys before its span. length: where p->lengths points to. */
static fw_attn entry_of(const fw_attn *a, const int32_t *span, int64_t b, int32_t *length) {
    const int64_t from = span[2 * b], k = b * a->k_batch + from * a->k_row, v = b * a->v_batch + from * a->v_row;
    const bool prefix = a->mask == FW_MASK_PREFIX || a->mask == FW_MASK_PREFIX_CAUSAL;
    fw_attn p = *a;
    *length = span[2 * b + 1] - span[2 * b];
    p.batch = 1;
    p.lengths = length;
    p.tk -= from;
    p.prefix -= prefix ? from : 0;
    p.first_end -= a->first > 0 ? from : 0;
    p.q += b * a->q_batch;
    p.k += k;
    p.v += v;
    p.o += b * a->o_batch;
    p.lse = a->lse != NULL ? a->lse + b * a->n_head * a->tq : NULL;
    if (a->d_o != NULL) {
        p.d_o += b * a->o_batch;
        p.dq += b * a->q_batch;
        p.dk += k;
        p.dv += v;
    }
    return p;
}

static void fwd_item(const fw_step *s, const fw_attn *a, const int32_t *span, int64_t item, void *scratch) {
    int32_t length;
    if (span == NULL) {
        s->kern->attention_fwd(a, item, item + 1, scratch);
        return;
    }
    const fw_attn p = entry_of(a, span, item / a->n_kv, &length);
    s->kern->attention_fwd(&p, item % a->n_kv, item % a->n_kv + 1, scratch);
}

static void fwd_block(const fw_step *s, const void *arg, fw_part part) {
    const job *j = arg;
    if (j->span == NULL) {
        s->kern->attention_fwd(&j->a, part.i0, part.i1, part.scratch);
        return;
    }
    for (int64_t i = part.i0; i < part.i1; i++) {
        fwd_item(s, &j->a, j->span, i, part.scratch);
    }
}

/* ---- few items: an item is cut into blocks of queries ---- */

/* Rows [r0,r1) of the queries as an attention of its own. */
static fw_attn rows_of(const fw_attn *a, int64_t r0, int64_t r1) {
    fw_attn p = *a;
    p.tq = r1 - r0;
    p.q += r0 * a->q_row;
    p.o += r0 * a->o_row;
    p.first = a->first > r0 ? a->first - r0 : 0;
    if (a->mask == FW_MASK_CAUSAL || a->mask == FW_MASK_PREFIX_CAUSAL) {
        p.tk = a->tk - a->tq + r1; /* no row of these sees more */
    }
    return p;
}

static void fwd_rows(const fw_step *s, const void *arg, fw_part part) {
    const job *j = arg;
    for (int64_t i = part.i0; i < part.i1; i++) {
        const int64_t item = i / j->n_block, r0 = i % j->n_block * j->rows;
        const fw_attn p = rows_of(&j->a, r0, r0 + j->rows < j->a.tq ? r0 + j->rows : j->a.tq);
        fwd_item(s, &p, j->span, item, part.scratch);
    }
}

/* At least 32 queries a block, about 8 blocks in all; one where it is not worth it, and in training, which keeps more. */
static void rows_plan(job *j) {
    const fw_attn *a = &j->a;
    const int64_t items = a->batch * a->n_kv;
    const bool causal = a->mask == FW_MASK_CAUSAL || a->mask == FW_MASK_PREFIX_CAUSAL;
    int64_t n = items < 8 && a->lse == NULL && !(causal && a->tk < a->tq) ? 8 / items : 1;
    n = n < a->tq / 32 ? n : a->tq / 32;
    n = n > 1 ? n : 1;
    j->rows = (a->tq + n - 1) / n;
    j->n_block = (a->tq + j->rows - 1) / j->rows;
}

/* Keys before its span get nothing. */
static void zero_before(const fw_attn *a, int64_t b, int64_t kv, int64_t from) {
    for (int64_t t = 0; t < from; t++) {
        memset(a->dk + b * a->k_batch + t * a->k_row + kv * a->k_head, 0, (size_t)a->d * sizeof *a->dk);
        memset(a->dv + b * a->v_batch + t * a->v_row + kv * a->v_head, 0, (size_t)a->d * sizeof *a->dv);
    }
}

static void bwd_block(const fw_step *s, const void *arg, fw_part part) {
    const job *j = arg;
    if (j->span == NULL) {
        s->kern->attention_bwd(&j->a, part.i0, part.i1, part.scratch);
        return;
    }
    for (int64_t i = part.i0; i < part.i1; i++) {
        const int64_t b = i / j->a.n_kv, kv = i % j->a.n_kv;
        int32_t length;
        const fw_attn p = entry_of(&j->a, j->span, b, &length);
        zero_before(&j->a, b, kv, j->span[2 * b]);
        s->kern->attention_bwd(&p, kv, kv + 1, part.scratch);
    }
}

static int64_t item_block(const fw_attn *a) {
    int64_t items = a->batch * a->n_kv;
    return fw_block(items, a->tq * a->tk * a->d / 4);
}

static fw_status check_lengths(const job *j, fw_err *err) {
    const fw_attn *a = &j->a;
    const int64_t most = a->mask == FW_MASK_LENGTH ? a->tk : a->prefix;
    for (int64_t b = 0; a->lengths != NULL && b < a->batch; b++) {
        if (a->lengths[b] < 0 || a->lengths[b] > most) {
            return fw_fail(err, FW_INVALID, "attention: length %d of batch entry %lld, 0 to %lld wanted", a->lengths[b],
                           (long long)b, (long long)most);
        }
    }
    for (int64_t b = 0; j->span != NULL && b < a->batch; b++) {
        const int32_t from = j->span[2 * b], to = j->span[2 * b + 1];
        if (from < 0 || from > to || to > most || (a->first > 0 && from > a->first_end)) {
            return fw_fail(err, FW_INVALID, "attention: keys %d to %d of batch entry %lld, 0 to %lld wanted", from, to,
                           (long long)b, (long long)most);
        }
    }
    return FW_OK;
}

static fw_status attention_forward(const fw_step *s, fw_err *err) {
    job j = job_of(s);
    FW_TRY(check_lengths(&j, err));
    rows_plan(&j);
    if (j.n_block > 1) {
        fw_split(s, &j, j.a.batch * j.a.n_kv * j.n_block, 1, fwd_rows);
    } else {
        fw_split(s, &j, j.a.batch * j.a.n_kv, item_block(&j.a), fwd_block);
    }
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
    job j = job_of(s);
    fw_attn *a = &j.a;
    char *spare = s->scratch;
    a->d_o = s->dy;
    a->dq = or_spare(s->dx[Q], &spare, a->batch * a->q_batch);
    a->dk = or_spare(s->dx[K], &spare, a->batch * a->k_batch);
    a->dv = or_spare(s->dx[V], &spare, a->batch * a->v_batch);
    fw_split(s, &j, a->batch * a->n_kv, item_block(a), bwd_block);
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

/* Shapes of q, k, v against the heads. */
static bool shapes_fit(fw_graph *g, fw_val q, fw_val k, fw_val v, const fw_attn_opts *o) {
    char a[64], b[64], c[64];
    const fw_shape *sq = fw_shape_of(g, q), *sk = fw_shape_of(g, k), *sv = fw_shape_of(g, v);
    bool heads = o->n_head >= 1 && o->n_kv >= 1 && o->n_head % o->n_kv == 0;
    if (heads && sq->n == 3 && sk->n == 3 && fw_shape_eq(sk, sv) && sq->d[0] == sk->d[0] && sq->d[2] % o->n_head == 0 &&
        sk->d[2] == sq->d[2] / o->n_head * o->n_kv) {
        return true;
    }
    fw_graph_fail(g, FW_SHAPE, "attention: q is %s, k %s, v %s; [B,Tq,%d*D], [B,Tk,%d*D] twice wanted",
                  fw_shape_str(sq, a, sizeof(a)), fw_shape_str(sk, b, sizeof(b)), fw_shape_str(sv, c, sizeof(c)),
                  o->n_head, o->n_kv);
    return false;
}

static bool mask_fits(fw_graph *g, const fw_attn_opts *o, int64_t tq, int64_t tk) {
    bool prefix = o->mask == FW_MASK_PREFIX || o->mask == FW_MASK_PREFIX_CAUSAL;
    if (!prefix || (o->prefix >= 0 && o->prefix <= tk && o->first >= 0 && o->first <= tq && o->first_end >= 0 &&
                    o->first_end <= tk)) {
        return true;
    }
    fw_graph_fail(g, FW_SHAPE,
                  "attention: a prefix of %lld, first %lld queries end at %lld; there are %lld keys, %lld queries",
                  (long long)o->prefix, (long long)o->first, (long long)o->first_end, (long long)tk, (long long)tq);
    return false;
}

fw_val fw_grouped_attention(fw_graph *g, fw_val q, fw_val k, fw_val v, fw_val lengths, const fw_attn_opts *o) {
    char a[64];
    if (!fw_graph_takes(g, "attention", q, FW_F32) || !fw_graph_takes(g, "attention", k, FW_F32) ||
        !fw_graph_takes(g, "attention", v, FW_F32) ||
        ((o->mask == FW_MASK_LENGTH || lengths != FW_NONE) && !fw_graph_takes(g, "attention", lengths, FW_I32))) {
        return FW_NONE;
    }
    const fw_shape *sq = fw_shape_of(g, q), *sl = lengths == FW_NONE ? NULL : fw_shape_of(g, lengths);
    if (!shapes_fit(g, q, k, v, o) || !mask_fits(g, o, sq->d[1], fw_shape_of(g, k)->d[1])) {
        return FW_NONE;
    }
    if (sl != NULL && (sl->d[0] != sq->d[0] || (sl->n != 1 && (sl->n != 2 || sl->d[1] != 2)))) {
        return fw_graph_fail(g, FW_SHAPE, "attention: lengths is %s, [%lld] or [%lld,2] wanted",
                             fw_shape_str(sl, a, sizeof(a)), (long long)sq->d[0], (long long)sq->d[0]);
    }
    if (sl != NULL && (o->mask == FW_MASK_NONE || o->mask == FW_MASK_CAUSAL)) {
        return fw_graph_fail(g, FW_INVALID, "attention: this mask takes no lengths");
    }
    return fw_graph_add(g, &(fw_node){.op = &k_attention, .n_in = 4, .in = {q, k, v, lengths}, .u.attention = *o}, *sq);
}

fw_val fw_attention(fw_graph *g, fw_val q, fw_val k, fw_val v, int n_head, fw_mask mask, fw_val lengths) {
    return fw_grouped_attention(g, q, k, v, mask == FW_MASK_LENGTH ? lengths : FW_NONE,
                                &(fw_attn_opts){.n_head = n_head, .n_kv = n_head, .mask = mask});
}
