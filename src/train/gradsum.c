#include "train/gradsum.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { SPAN = 16384 }; /* values a work item */

typedef struct span {
    int param;
    int64_t from, n, at; /* values of that parameter; where they are in a sum */
} span;

struct fw_gradsum {
    const fw_optim *optim;
    fw_ranks *ranks;
    fw_pool *pool;
    int64_t values;
    int64_t first, runs; /* of this rank, in a step */
    span *spans;         /* [n_span] */
    int n_span;
    const float **run_grad, **grad; /* [parameters] of the plan's last run; of the step */
    float *sums; /* [depth, values]: where blocks are added up; NULL: one run in one rank, nothing is */
    int depth;
    fw_gradsum_block block[FW_GRADSUM_BLOCKS]; /* of this rank's runs so far */
    int n_block;
    int64_t next; /* run */
    /* of several ranks: owned */
    int64_t slice;         /* values */
    float *foreign;        /* the others' blocks of this rank's slice */
    fw_gradsum_block *all; /* [n_all] everybody's, in order; those of this rank have no sum */
    int n_all;
    fw_ranks_part *send, *recv, *send_total, *recv_total;
    int n_send, n_recv;
    /* of the work under way */
    float share;
    float *to;
    const float *from;
    int64_t count;
};

/* ---- blocks ---- */

static bool are_halves(const fw_gradsum_block *a, const fw_gradsum_block *b) {
    return a->runs == b->runs && a->first % (2 * a->runs) == 0;
}

int fw_gradsum_blocks(int64_t first, int64_t n, fw_gradsum_block out[FW_GRADSUM_BLOCKS], int *depth) {
    int k = 0;
    *depth = 0;
    for (int64_t i = first; i < first + n; i++) {
        out[k++] = (fw_gradsum_block){.first = i, .runs = 1};
        *depth = k > *depth ? k : *depth;
        while (k >= 2 && are_halves(&out[k - 2], &out[k - 1])) {
            out[k-- - 2].runs *= 2;
        }
    }
    return k;
}

static void add_span(void *ctx, int i, int worker) {
    (void)worker;
    const fw_gradsum *s = ctx;
    const int64_t from = (int64_t)i * SPAN, n = s->count - from < SPAN ? s->count - from : SPAN;
    float *restrict to = s->to + from;
    const float *restrict x = s->from + from;
    for (int64_t j = 0; j < n; j++) {
        to[j] += x[j];
    }
}

static void each(fw_gradsum *s, int n, void (*fn)(void *, int, int)) {
    if (s->pool != NULL) {
        fw_pool_run(s->pool, n, fn, s);
        return;
    }
    for (int i = 0; i < n; i++) {
        fn(s, i, 0);
    }
}

/* The last of n blocks into the one before it. */
static void merge(fw_gradsum *s, fw_gradsum_block *b, int n, int64_t count) {
    s->to = b[n - 2].sum;
    s->from = b[n - 1].sum;
    s->count = count;
    each(s, (int)((count + SPAN - 1) / SPAN), add_span);
    b[n - 2].runs *= 2;
}

/* One more block of `count` values on a stack of n; how many it has then. */
static int push(fw_gradsum *s, fw_gradsum_block *stack, int n, fw_gradsum_block b, int64_t count) {
    stack[n++] = b;
    while (n >= 2 && are_halves(&stack[n - 2], &stack[n - 1])) {
        merge(s, stack, n--, count);
    }
    return n;
}

/* All blocks into the first. */
static void fold(fw_gradsum *s, fw_gradsum_block *stack, int n, int64_t count) {
    while (n >= 2) {
        merge(s, stack, n--, count);
    }
}

/* ---- life ---- */

static fw_status list_spans(fw_gradsum *s, fw_plan *plan, fw_err *err) {
    const unsigned n = (unsigned)fw_optim_count(s->optim);
    int64_t at = 0, many = 0;
    for (unsigned i = 0; i < n; i++) {
        many += (fw_shape_count(&fw_optim_param(s->optim, (int)i)->shape) + SPAN - 1) / SPAN;
    }
    s->run_grad = calloc(n, sizeof(*s->run_grad));
    s->grad = calloc(n, sizeof(*s->grad));
    s->spans = calloc((size_t)many, sizeof *s->spans);
    if (s->run_grad == NULL || s->grad == NULL || s->spans == NULL) {
        return fw_fail(err, FW_NOMEM, "gradients: out of memory");
    }
    for (unsigned i = 0; i < n; i++) {
        const int64_t count = fw_shape_count(&fw_optim_param(s->optim, (int)i)->shape);
        s->run_grad[i] = fw_plan_grad(plan, fw_optim_param(s->optim, (int)i));
        for (int64_t from = 0; from < count; from += SPAN) {
            s->spans[s->n_span++] = (span){(int)i, from, count - from < SPAN ? count - from : SPAN, at + from};
        }
        at += count;
    }
    return FW_OK;
}

static int64_t slice_of(const fw_gradsum *s, int rank) {
    const int64_t left = s->values - rank * s->slice;
    return left < 0 ? 0 : left < s->slice ? left : s->slice;
}

/* Everybody's blocks, and how many of them are not this rank's. */
static int list_all(fw_gradsum *s, fw_gradsum_block *all) {
    int depth, n = 0, foreign = 0;
    for (int q = 0; q < fw_ranks_size(s->ranks); q++) {
        fw_gradsum_block of[FW_GRADSUM_BLOCKS];
        const int k = fw_gradsum_blocks(q * s->runs, s->runs, of, &depth);
        if (all != NULL) {
            memcpy(all + n, of, (size_t)k * sizeof *all);
        }
        foreign += q != fw_ranks_rank(s->ranks) ? k : 0;
        n += k;
    }
    s->n_all = n;
    return foreign;
}

/* Who sends what to whom. */
static void list_parts(fw_gradsum *s) {
    const int me = fw_ranks_rank(s->ranks), size = fw_ranks_size(s->ranks);
    const int64_t mine = slice_of(s, me);
    float *total = s->sums, *foreign = s->foreign;
    int k = 0;
    for (int b = 0; b < s->n_all; b++) {
        const int q = (int)(s->all[b].first / s->runs);
        if (q != me) {
            s->all[b].sum = foreign;
            s->recv[s->n_recv++] = (fw_ranks_part){q, foreign, mine};
            foreign += mine;
            continue;
        }
        for (int to = 0; to < size; to++) {
            if (to != me) {
                s->send[s->n_send++] = (fw_ranks_part){to, s->sums + k * s->values + to * s->slice, slice_of(s, to)};
            }
        }
        s->all[b].sum = s->sums + k++ * s->values + me * s->slice;
    }
    for (int q = 0, i = 0; q < size; q++) {
        if (q != me) {
            s->send_total[i] = (fw_ranks_part){q, total + me * s->slice, mine};
            s->recv_total[i++] = (fw_ranks_part){q, total + q * s->slice, slice_of(s, q)};
        }
    }
}

static fw_status open_slices(fw_gradsum *s, fw_err *err) {
    const size_t others = (size_t)fw_ranks_size(s->ranks) - 1;
    fw_gradsum_block mine[FW_GRADSUM_BLOCKS];
    int depth;
    s->slice = (s->values + (int64_t)others) / (int64_t)(others + 1);
    if (s->slice > INT_MAX) {
        return fw_fail(err, FW_UNSUPPORTED, "%lld trainable values: at most %d a rank", (long long)s->values, INT_MAX);
    }
    const size_t foreign = (size_t)list_all(s, NULL);
    const size_t own = (size_t)fw_gradsum_blocks(s->first, s->runs, mine, &depth);
    s->all = calloc((size_t)s->n_all, sizeof *s->all);
    s->foreign = calloc(foreign * (size_t)s->slice + 1, sizeof *s->foreign);
    s->send = calloc(own * others, sizeof *s->send);
    s->recv = calloc(foreign, sizeof *s->recv);
    s->send_total = calloc(others, sizeof *s->send_total);
    s->recv_total = calloc(others, sizeof *s->recv_total);
    if (!s->all || !s->foreign || !s->send || !s->recv || !s->send_total || !s->recv_total) {
        return fw_fail(err, FW_NOMEM, "gradients of %lld values: out of memory", (long long)s->values);
    }
    (void)list_all(s, s->all);
    list_parts(s);
    return FW_OK;
}

static fw_status open_sums(fw_gradsum *s, fw_err *err) {
    fw_gradsum_block mine[FW_GRADSUM_BLOCKS];
    (void)fw_gradsum_blocks(s->first, s->runs, mine, &s->depth);
    s->sums = calloc((size_t)s->depth * (size_t)s->values, sizeof *s->sums);
    if (s->sums == NULL) {
        return fw_fail(err, FW_NOMEM, "%d gradients of %lld values: out of memory", s->depth, (long long)s->values);
    }
    return fw_ranks_size(s->ranks) > 1 ? open_slices(s, err) : FW_OK;
}

fw_status fw_gradsum_new(const fw_optim *optim, fw_plan *plan, int64_t runs, fw_ranks *ranks, fw_pool *pool,
                         fw_gradsum **out, fw_err *err) {
    const int size = fw_ranks_size(ranks);
    *out = NULL;
    if (runs < 1 || runs % size != 0) {
        return fw_fail(err, FW_INVALID, "%lld runs a step cannot be shared by %d ranks", (long long)runs, size);
    }
    fw_gradsum *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return fw_fail(err, FW_NOMEM, "gradients: out of memory");
    }
    s->optim = optim;
    s->ranks = ranks;
    s->pool = pool;
    s->values = fw_optim_values(optim);
    s->runs = runs / size;
    s->next = s->first = fw_ranks_rank(ranks) * s->runs;
    fw_status st = list_spans(s, plan, err);
    st = st == FW_OK && runs > 1 ? open_sums(s, err) : st;
    if (st != FW_OK) {
        fw_gradsum_free(s);
        return st;
    }
    *out = s;
    return FW_OK;
}

void fw_gradsum_free(fw_gradsum *s) {
    if (s == NULL) {
        return;
    }
    free(s->spans);
    free(s->run_grad);
    free(s->grad);
    free(s->sums);
    free(s->foreign);
    free(s->all);
    free(s->send);
    free(s->recv);
    free(s->send_total);
    free(s->recv_total);
    free(s);
}

/* ---- a step ---- */

static void scale_span(void *ctx, int i, int worker) {
    (void)worker;
    const fw_gradsum *s = ctx;
    const span *x = &s->spans[i];
    const float *g = s->run_grad[x->param], w = s->share;
    float *restrict to = s->to + x->at;
    for (int64_t j = 0; g != NULL && j < x->n; j++) {
        to[j] = w * g[x->from + j];
    }
}

void fw_gradsum_add(fw_gradsum *s, double share) {
    if (s->sums == NULL) {
        return;
    }
    /* stored before it is added, so that no compiler fuses the two: the product is rounded as if another rank had sent it */
    s->to = s->sums + s->n_block * s->values;
    s->share = (float)share;
    each(s, s->n_span, scale_span);
    const fw_gradsum_block b = {.first = s->next++, .runs = 1, .sum = s->to};
    s->n_block = push(s, s->block, s->n_block, b, s->values);
}

/* Blocks of all ranks -> their sum in s->sums. */
static void exchange(fw_gradsum *s) {
    fw_gradsum_block stack[FW_GRADSUM_BLOCKS];
    const int me = fw_ranks_rank(s->ranks), others = fw_ranks_size(s->ranks) - 1;
    const int64_t mine = slice_of(s, me);
    float *total = s->sums + me * s->slice;
    int n = 0;
    fw_ranks_swap(s->ranks, s->send, s->n_send, s->recv, s->n_recv);
    for (int b = 0; b < s->n_all; b++) {
        n = push(s, stack, n, s->all[b], mine);
    }
    fold(s, stack, n, mine);
    if (stack[0].sum != total && mine > 0) {
        memcpy(total, stack[0].sum, (size_t)mine * sizeof *total);
    }
    fw_ranks_swap(s->ranks, s->send_total, others, s->recv_total, others);
}

const float *const *fw_gradsum_total(fw_gradsum *s) {
    const float *at = s->sums;
    if (fw_ranks_size(s->ranks) > 1) {
        exchange(s);
    } else if (s->sums != NULL) {
        fold(s, s->block, s->n_block, s->values);
    }
    for (int i = 0; i < fw_optim_count(s->optim); i++) {
        s->grad[i] = s->run_grad[i] == NULL || at == NULL ? s->run_grad[i] : at;
        at = at != NULL ? at + fw_shape_count(&fw_optim_param(s->optim, i)->shape) : NULL;
    }
    s->n_block = 0;
    s->next = s->first;
    return s->grad;
}
