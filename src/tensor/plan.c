/*
 * plan.c - from a graph to a list of steps over one arena.
 *
 * fw_plan_new, in order:
 *   1. needed    which nodes the outputs depend on
 *   2. want      which operands get a gradient: those that lead to a trainable parameter (a frozen tower costs nothing)
 *   3. again     with gradient checkpointing: which nodes are run a second time, before the backward of their segment
 *   4. steps     forward in order of creation, then backward in reverse
 *   5. buffers   activations, saved values, gradients, packed weights that are trained, scratch: bytes and the steps from first
 *                write to last read
 *   6. layout    largest first, each at the lowest offset where no buffer living at the same time lies
 *   7. resolve   every pointer of every step; pack weights that stay
 * Running walks the steps. A weight that is trained is packed by each step that multiplies with it, into scratch: what changes with
 * every run is not kept twice. A gradient's first writer writes, later ones add; an operation that cannot do what is needed
 * gets a cleared buffer or a temporary (see fw_grad_mode).
 *
 * A node that is made again has two buffers for its value and two for what it saves: of the forward pass, dead when its last
 * reader there is done (at once, if only backward reads it), and of its segment's second time. Which of the two a step
 * uses depends on the step alone (value_slot), so liveness needs no special case.
 *
 * Buffers end on a red zone under AddressSanitizer and are poisoned outside their life: a use after the last read that
 * the planner knows of is reported at the instruction.
 */
#include "tensor/plan.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/rng.h"
#include "tensor/op_int.h"

#if defined(__SANITIZE_ADDRESS__)
#define FW_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FW_ASAN 1
#endif
#endif
#ifdef FW_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#define REDZONE        ((size_t)64)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#define REDZONE        ((size_t)0)
#endif

typedef struct buf {
    size_t bytes, offset;
    int first, last; /* steps; -1: before the run, n_step: after it */
} buf;

typedef struct step {
    fw_step call;
    unsigned clear, temp; /* gradients cleared before; made in a temporary and added after */
    float *add_to[FW_MAX_IN];
    int late; /* backward, or forward again: the segment whose values are the second ones; 0: none */
    /* buffers by index, -1: none */
    int save, shared, worker, pack, tmp[FW_MAX_IN];
    size_t worker_bytes;
} step;

typedef struct pack_slot {
    int node, which;
    const fw_parameter *param;
    size_t offset;
    int share;       /* an earlier slot with the same contents, or -1 */
    fw_pack *frozen; /* of the store, referenced; or NULL: in this plan's memory */
    bool fresh;      /* nobody has packed it yet */
} pack_slot;

typedef struct profile_row {
    const fw_op *op;
    double s[3], flops[3]; /* forward, backward, again */
    long n[3];
} profile_row;
enum { FORWARD, BACKWARD, AGAIN };
#define MAX_PROFILE 48

struct fw_plan {
    const fw_graph *g;
    const fw_kern *kern; /* of the precision; exact nodes, and in int8 exact weights, use fw_kern_get's */
    bool int8;
    const fw_watch *watch; /* or NULL */
    fw_pool *pool;
    bool train, checkpoint, pack_at_use;
    uint64_t seed, run;
    fw_val loss; /* root of the loss, or FW_NONE */
    float one;   /* d loss / d loss */

    step *step; /* [n_step] */
    int n_step;
    buf *buf;
    int n_buf, cap_buf;
    bool out_of_memory;
    int *value_buf, *grad_buf; /* [n_val] of roots; -1: none */
    int *again_buf;            /* [n_val] the same of values that are made again */
    bool *output;              /* [n_val] of roots */
    bool *again;               /* [n_node] */
    pack_slot *pack;
    int n_pack;

    char *arena;
    char *packed;
    char *half_scratch; /* while weights kept in bfloat16 are packed */
    size_t half_stride; /* a thread */
    fw_plan_info info;
    bool profiling;
    double pack_s;
    profile_row row[MAX_PROFILE];
};

static const fw_kern *kern_of(const fw_plan *p, const fw_node *n) {
    const bool product = p->int8 && n->op->watch != NULL;
    return n->exact || (product && p->g->val[n->in[n->op->pack_in]].param->exact) ? fw_kern_get() : p->kern;
}

static int n_thread(const fw_plan *p) {
    return p->pool == NULL ? 1 : fw_pool_size(p->pool);
}

static fw_val root(const fw_plan *p, fw_val v) {
    for (;;) {
        const fw_value *x = &p->g->val[p->g->val[v].root];
        const fw_node *n = x->node < 0 ? NULL : &p->g->node[x->node];
        if (n == NULL || p->train || !n->op->identity_in_inference) {
            return p->g->val[v].root;
        }
        v = n->in[0];
    }
}

/* ---- 1, 2: needed, want ---- */

static void mark_needed(const fw_plan *p, const fw_val *out, int n_out, bool *needed) {
    const fw_graph *g = p->g;
    bool *live = needed + g->n_node; /* [n_val] */
    for (int i = 0; i < n_out; i++) {
        live[root(p, out[i])] = true;
    }
    for (int i = g->n_node - 1; i >= 0; i--) {
        const fw_node *n = &g->node[i];
        if (!live[n->out] || root(p, n->out) != n->out) {
            continue;
        }
        needed[i] = true;
        for (int k = 0; k < n->n_in; k++) {
            if (n->in[k] != FW_NONE) {
                live[root(p, n->in[k])] = true;
            }
        }
    }
}

/* leads[v]: a trainable parameter is upstream of v, by a path that gradients can take. want[i]: operands of node i. */
static void mark_want(const fw_plan *p, const bool *needed, bool *leads, unsigned *want) {
    const fw_graph *g = p->g;
    for (fw_val v = 0; v < g->n_val; v++) {
        leads[v] = g->val[v].param != NULL && g->val[v].param->trainable;
    }
    for (int i = 0; i < g->n_node; i++) {
        const fw_node *n = &g->node[i];
        for (int k = 0; k < n->n_in && needed[i]; k++) {
            if (n->in[k] != FW_NONE && (n->op->diff >> k & 1) && leads[root(p, n->in[k])]) {
                want[i] |= 1u << k;
            }
        }
        leads[n->out] = want[i] != 0;
    }
}

/* Nodes the loss does not depend on get no backward. */
static void drop_want(const fw_plan *p, fw_val loss, unsigned *want, bool *reached) {
    const fw_graph *g = p->g;
    reached[root(p, loss)] = true;
    for (int i = g->n_node - 1; i >= 0; i--) {
        const fw_node *n = &g->node[i];
        want[i] = reached[n->out] ? want[i] : 0;
        for (int k = 0; k < n->n_in; k++) {
            if (want[i] >> k & 1) {
                reached[root(p, n->in[k])] = true;
            }
        }
    }
}

/* ---- 3: what is made again ---- */

/* Made in a segment, and read only there. */
static void mark_inner(const fw_plan *p, const bool *needed, bool *inner) {
    const fw_graph *g = p->g;
    for (fw_val v = 0; v < g->n_val; v++) {
        inner[v] = g->val[v].node >= 0 && g->node[g->val[v].node].segment != 0 && !p->output[v];
    }
    for (int i = 0; i < g->n_node; i++) {
        const fw_node *n = &g->node[i];
        for (int k = 0; k < n->n_in && needed[i]; k++) {
            const fw_val r = n->in[k] == FW_NONE ? FW_NONE : root(p, n->in[k]);
            if (r != FW_NONE && inner[r] && g->node[g->val[r].node].segment != n->segment) {
                inner[r] = false;
            }
        }
    }
}

/* Nodes whose value or saved values a backward of their segment reads, and what those are made of. lack [n_val]: cleared. */
static void mark_again(fw_plan *p, const unsigned *want, const bool *inner, bool *lack) {
    const fw_graph *g = p->g;
    for (int i = g->n_node - 1; i >= 0; i--) {
        const fw_node *n = &g->node[i];
        unsigned reads = want[i] != 0 && n->op->needs != NULL ? n->op->needs(g, n, want[i]) : 0;
        if (n->segment == 0) {
            continue;
        }
        lack[n->out] = lack[n->out] || ((reads & FW_NEED_Y) && inner[n->out]);
        p->again[i] =
            lack[n->out] || (want[i] != 0 && n->op->save_bytes != NULL && n->op->save_bytes(g, n, want[i]) > 0);
        for (int k = 0; k < n->n_in; k++) {
            const fw_val r = n->in[k] == FW_NONE ? FW_NONE : root(p, n->in[k]);
            if (r != FW_NONE && inner[r] && (p->again[i] || (reads >> k & 1))) {
                lack[r] = true;
            }
        }
    }
}

/* ---- 4, 5: steps and buffers ---- */

static int add_buf(fw_plan *p, size_t bytes, int first, int last) {
    if (bytes == 0) {
        return -1;
    }
    if (p->n_buf == p->cap_buf) {
        int cap = p->cap_buf > 0 ? 2 * p->cap_buf : 256;
        buf *more = realloc(p->buf, (size_t)cap * sizeof(buf));
        if (more == NULL) {
            p->out_of_memory = true; /* reported once, by plan_steps */
            return -1;
        }
        p->buf = more;
        p->cap_buf = cap;
    }
    p->buf[p->n_buf] = (buf){.bytes = fw_up64(bytes) + REDZONE, .first = first, .last = last};
    return p->n_buf++;
}

static void touch(fw_plan *p, int b, int at) {
    if (b >= 0 && p->buf[b].last < at) {
        p->buf[b].last = at;
    }
}

static size_t value_bytes(const fw_plan *p, fw_val v) {
    size_t bytes = 0;
    return fw_shape_bytes(&p->g->val[v].shape, fw_dtype_bytes(p->g->val[v].dtype), &bytes) ? bytes : 0;
}

/* The buffer in which a step meets value r, a root. */
static int *value_slot(const fw_plan *p, const step *t, fw_val r) {
    const int node = p->g->val[r].node;
    const bool second = t->late != 0 && node >= 0 && p->again[node] && p->g->node[node].segment == t->late;
    return second ? &p->again_buf[r] : &p->value_buf[r];
}

/* Step t, the at-th, reads or writes v. Parameters are not in the arena. Inputs live all the time, so that one written once
 * stays. */
static void need_value(fw_plan *p, const step *t, fw_val v, int at) {
    fw_val r = root(p, v);
    if (p->g->val[r].param != NULL) {
        return;
    }
    int *slot = value_slot(p, t, r);
    if (*slot < 0) {
        bool input = p->g->val[r].node < 0;
        *slot = add_buf(p, value_bytes(p, r), input ? -1 : at, input ? p->n_step : at);
    }
    touch(p, *slot, p->output[r] && slot == &p->value_buf[r] ? p->n_step : at);
}

/* The weight that a step multiplies with, packed; NULL: none. */
static const fw_parameter *packed_param(const fw_plan *p, const fw_step *c) {
    const fw_op *op = c->node->op;
    const bool packs = op->pack != NULL && (!c->backward || (c->want & op->pack_want));
    return packs ? p->g->val[root(p, c->node->in[op->pack_in])].param : NULL;
}

static void add_scratch(fw_plan *p, step *t, int at) {
    const fw_step *c = &t->call;
    const fw_parameter *w = packed_param(p, c);
    const bool every_run = w != NULL && p->pack_at_use && w->trainable && w->half == NULL;
    fw_scratch need = {0};
    t->pack =
        every_run ? add_buf(p, c->node->op->pack_bytes(p->g, c->node, kern_of(p, c->node), c->backward), at, at) : -1;
    if (c->node->op->scratch != NULL) {
        need = c->node->op->scratch(p->g, c->node, kern_of(p, c->node), c->want, c->backward);
    }
    t->worker_bytes = fw_up64(need.per_worker);
    t->shared = add_buf(p, need.shared, at, at);
    t->worker = add_buf(p, t->worker_bytes * (size_t)n_thread(p), at, at);
}

/* late: the segment of n when it is made again; 0: the forward pass. */
static void plan_forward(fw_plan *p, int at, const fw_node *n, unsigned want, int late) {
    step *t = &p->step[at];
    t->call = (fw_step){.node = n, .want = want};
    t->late = late;
    t->save = -1;
    need_value(p, t, n->out, at);
    for (int k = 0; k < n->n_in; k++) {
        if (n->in[k] != FW_NONE) {
            need_value(p, t, n->in[k], at);
        }
    }
    if (want != 0 && n->op->save_bytes != NULL) {
        t->save = add_buf(p, n->op->save_bytes(p->g, n, want), at, at);
    }
    add_scratch(p, t, at);
}

static void plan_gradient(fw_plan *p, step *t, int at, int k) {
    const fw_node *n = t->call.node;
    fw_val r = root(p, n->in[k]);
    fw_grad_mode mode = n->op->grad[k];
    bool first = p->grad_buf[r] < 0;
    if (first) {
        p->grad_buf[r] = add_buf(p, value_bytes(p, r), at, p->g->val[r].param != NULL ? p->n_step : at);
    }
    t->call.add[k] = !first && mode == FW_GRAD_BOTH;
    t->clear |= first && mode == FW_GRAD_ADD ? 1u << k : 0u;
    if (!first && mode == FW_GRAD_WRITE) {
        t->temp |= 1u << k;
        t->tmp[k] = add_buf(p, value_bytes(p, r), at, at);
    }
    touch(p, p->grad_buf[r], at);
}

static void plan_backward(fw_plan *p, int at, const step *fwd) {
    step *t = &p->step[at];
    const fw_node *n = fwd->call.node;
    t->call = (fw_step){.node = n, .want = fwd->call.want, .backward = true};
    t->late = n->segment;
    t->save = fwd->save;
    touch(p, fwd->save, at);
    unsigned needs = n->op->needs == NULL ? 0 : n->op->needs(p->g, n, fwd->call.want);
    for (int k = 0; k < n->n_in; k++) {
        if (n->in[k] != FW_NONE && (needs >> k & 1)) {
            need_value(p, t, n->in[k], at);
        }
        t->tmp[k] = -1;
        if (fwd->call.want >> k & 1) {
            plan_gradient(p, t, at, k);
        }
    }
    if (needs & FW_NEED_Y) {
        need_value(p, t, n->out, at);
    }
    touch(p, p->grad_buf[n->out], at);
    add_scratch(p, t, at);
}

/* Forward of the segment whose last node is `last`, as far as it is made again. made [n_node]: the step that made a node. */
static int plan_again(fw_plan *p, int at, int last, const unsigned *want, int *made) {
    const fw_graph *g = p->g;
    int i = last;
    while (i > 0 && g->node[i - 1].segment == g->node[last].segment) {
        i--;
    }
    for (; i <= last; i++) {
        if (p->again[i]) {
            made[i] = at;
            plan_forward(p, at++, &g->node[i], want[i], g->node[i].segment);
            p->info.flops_again += g->node[i].op->flops(g, &g->node[i], 0);
        }
    }
    return at;
}

/* made [n_node] */
static void list_steps(fw_plan *p, const bool *needed, const unsigned *want, int *made) {
    const fw_graph *g = p->g;
    int at = 0, segment = 0; /* the one whose backward is under way */
    for (int i = 0; i < g->n_node; i++) {
        if (needed[i]) {
            made[i] = at;
            plan_forward(p, at++, &g->node[i], want[i], 0);
            p->info.flops_forward += g->node[i].op->flops(g, &g->node[i], 0);
        }
    }
    for (int i = g->n_node - 1; i >= 0; i--) {
        const fw_node *n = &g->node[i];
        if (n->segment != segment) {
            segment = n->segment;
            at = segment != 0 ? plan_again(p, at, i, want, made) : at;
        }
        if (want[i] != 0) {
            plan_backward(p, at++, &p->step[made[i]]);
            p->info.flops_backward += n->op->flops(g, n, want[i]);
        }
    }
}

static fw_status plan_steps(fw_plan *p, const bool *needed, const unsigned *want, fw_err *err) {
    static const step before = {0};
    const fw_graph *g = p->g;
    for (int i = 0; i < g->n_node; i++) {
        p->n_step += needed[i] + (want[i] != 0) + p->again[i];
    }
    p->step = calloc((size_t)p->n_step + 1, sizeof(*p->step));
    int *made = calloc((size_t)g->n_node + 1, sizeof(*made));
    if (p->step == NULL || made == NULL) {
        free(made);
        return fw_fail(err, FW_NOMEM, "plan of %d steps", p->n_step);
    }
    list_steps(p, needed, want, made);
    free(made);
    for (fw_val v = 0; v < g->n_val; v++) { /* outputs that no node writes: inputs */
        if (p->output[v] && p->value_buf[v] < 0) {
            need_value(p, &before, v, p->n_step);
        }
    }
    for (int i = 0; i < p->n_buf; i++) {
        p->info.naive_bytes += p->buf[i].bytes;
    }
    return p->out_of_memory ? fw_fail(err, FW_NOMEM, "plan: table of %d buffers", p->n_buf) : FW_OK;
}

/* ---- 6: layout ---- */

static int larger_first(const void *a, const void *b) {
    const buf *x = *(buf *const *)a, *y = *(buf *const *)b;
    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1;
    }
    return x < y ? -1 : 1;
}

/* The lowest offset free of the placed buffers (sorted by offset) that live when b does. */
static size_t first_fit(buf *const *placed, int n, const buf *b) {
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        const buf *q = placed[i];
        if (q->last < b->first || q->first > b->last) {
            continue;
        }
        if (q->offset >= at + b->bytes) {
            break;
        }
        at = q->offset + q->bytes > at ? q->offset + q->bytes : at;
    }
    return at;
}

static fw_status lay_out(fw_plan *p, fw_err *err) {
    buf **order = calloc((size_t)p->n_buf + 1, 2 * sizeof(*order));
    if (order == NULL) {
        return fw_fail(err, FW_NOMEM, "plan of %d buffers", p->n_buf);
    }
    buf **placed = order + p->n_buf;
    for (int i = 0; i < p->n_buf; i++) {
        order[i] = &p->buf[i];
    }
    qsort(order, (size_t)p->n_buf, sizeof(*order), larger_first);
    for (int i = 0; i < p->n_buf; i++) {
        order[i]->offset = first_fit(placed, i, order[i]);
        int at = i;
        for (; at > 0 && placed[at - 1]->offset > order[i]->offset; at--) {
            placed[at] = placed[at - 1];
        }
        placed[at] = order[i];
        size_t end = order[i]->offset + order[i]->bytes;
        p->info.arena_bytes = end > p->info.arena_bytes ? end : p->info.arena_bytes;
    }
    free(order);
    p->arena = fw_alloc64(p->info.arena_bytes);
    if (p->arena == NULL) {
        return fw_fail(err, FW_NOMEM, "plan: arena of %zu bytes", p->info.arena_bytes);
    }
    return FW_OK;
}

/* ---- 7: weights and pointers ---- */

/* Weights that may change live in the plan, frozen ones in the store, where another plan may have packed them. */
static fw_status plan_packs(fw_plan *p, fw_err *err) {
    const fw_graph *g = p->g;
    size_t own = 0;
    p->pack = calloc((size_t)p->n_step * 2 + 1, sizeof(*p->pack));
    if (p->pack == NULL) {
        return fw_fail(err, FW_NOMEM, "plan: table of packed weights");
    }
    for (int i = 0; i < p->n_step; i++) {
        fw_step *c = &p->step[i].call;
        const fw_op *op = c->node->op;
        const fw_parameter *w = packed_param(p, c);
        int which = c->backward;
        if (w == NULL || p->step[i].pack >= 0) {
            continue;
        }
        const fw_kern *kern = kern_of(p, c->node);
        size_t bytes = op->pack_bytes(g, c->node, kern, which), wide = fw_gemm_pack_half_scratch(kern, w);
        pack_slot *s = &p->pack[p->n_pack++];
        *s = (pack_slot){i, which, w, own, -1, NULL, false};
        for (int k = 0; k < p->n_pack - 1; k++) {
            const fw_node *other = p->step[p->pack[k].node].call.node;
            if (p->pack[k].param == w && other->op == op && p->pack[k].which == which && p->pack[k].share < 0 &&
                kern_of(p, other) == kern && op->pack_bytes(g, other, kern, which) == bytes) {
                s->share = k;
                s->offset = p->pack[k].offset;
            }
        }
        p->half_stride = wide > p->half_stride ? wide : p->half_stride;
        p->info.packed_bytes += s->share < 0 ? fw_up64(bytes) : 0;
        if (s->share < 0 && w->trainable) {
            own += fw_up64(bytes);
        } else if (s->share < 0) {
            s->frozen = fw_params_pack(
                g->params, &(fw_pack){.param = w, .op = op, .kern = kern, .which = which, .bytes = bytes}, &s->fresh);
            if (s->frozen == NULL) {
                return fw_fail(err, FW_NOMEM, "plan: %zu bytes of packed weights", bytes);
            }
        }
    }
    p->packed = fw_alloc64(own);
    return p->packed != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "plan: %zu bytes of packed weights", own);
}

static void *buf_at(const fw_plan *p, int b) {
    return b < 0 ? NULL : p->arena + p->buf[b].offset;
}

static void *value_at(const fw_plan *p, const step *t, fw_val v) {
    fw_val r = root(p, v);
    const fw_parameter *q = p->g->val[r].param;
    return q != NULL ? (void *)q->data : buf_at(p, *value_slot(p, t, r));
}

static void resolve(fw_plan *p) {
    for (int i = 0; i < p->n_step; i++) {
        step *t = &p->step[i];
        fw_step *c = &t->call;
        c->g = p->g;
        c->kern = kern_of(p, c->node);
        c->pool = p->pool;
        c->train = p->train;
        c->y = value_at(p, t, c->node->out);
        c->dy = c->node->out == p->loss ? &p->one : buf_at(p, p->grad_buf[c->node->out]);
        c->save = buf_at(p, t->save);
        c->scratch = buf_at(p, t->shared);
        c->worker = buf_at(p, t->worker);
        c->worker_stride = t->worker_bytes;
        c->pack[c->backward] = buf_at(p, t->pack);
        for (int k = 0; k < c->node->n_in; k++) {
            c->x[k] = c->node->in[k] == FW_NONE ? NULL : value_at(p, t, c->node->in[k]);
            if (c->backward && (c->want >> k & 1)) {
                t->add_to[k] = buf_at(p, p->grad_buf[root(p, c->node->in[k])]);
                c->dx[k] = (t->temp >> k & 1) ? buf_at(p, t->tmp[k]) : t->add_to[k];
            }
        }
    }
    for (int i = 0; i < p->n_pack; i++) {
        const pack_slot *s = &p->pack[i], *first = s->share < 0 ? s : &p->pack[s->share];
        void *mem = first->frozen != NULL ? first->frozen->mem : p->packed + s->offset;
        p->step[s->node].call.pack[s->which] = mem;
    }
}

static void pack_one(fw_plan *p, const pack_slot *s) {
    fw_step c = p->step[s->node].call;
    if (s->param->half != NULL) {
        c.worker = p->half_scratch;
        c.worker_stride = p->half_stride;
    }
    c.node->op->pack(&c, s->which);
}

/* When the plan is made: what nobody has packed yet. */
static fw_status pack_first(fw_plan *p, fw_err *err) {
    p->half_scratch = p->half_stride == 0 ? NULL : fw_alloc64(p->half_stride * (size_t)n_thread(p));
    if (p->half_stride > 0 && p->half_scratch == NULL) {
        return fw_fail(err, FW_NOMEM, "plan: scratch of %zu bytes a thread", p->half_stride);
    }
    for (int i = 0; i < p->n_pack; i++) {
        pack_slot *s = &p->pack[i];
        if (s->share < 0 && (s->frozen == NULL || s->fresh)) {
            pack_one(p, s);
            s->fresh = false;
        }
    }
    free(p->half_scratch);
    p->half_scratch = NULL;
    return FW_OK;
}

void fw_plan_repack(fw_plan *p) {
    for (int i = 0; i < p->n_pack; i++) {
        if (p->pack[i].share < 0 && p->pack[i].param->half == NULL) {
            pack_one(p, &p->pack[i]);
        }
    }
}

/* ---- making ---- */

fw_status fw_precision_parse(const char *name, fw_precision *out, fw_err *err) {
    static const char *const names[] = {"f32", "bf16", "int8"};
    *out = FW_PRECISION_DEFAULT;
    for (int i = 0; name != NULL && i < 3; i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = (fw_precision)i;
            return FW_OK;
        }
    }
    return name == NULL ? FW_OK : fw_fail(err, FW_INVALID, "precision '%.40s': f32, bf16 or int8", name);
}

const fw_kern *fw_precision_kern(fw_precision precision) {
    const fw_kern *k = fw_kern_get();
    if (precision == FW_PRECISION_BF16) {
        return fw_kern_bf16() != NULL ? fw_kern_bf16() : k;
    }
    return precision == FW_PRECISION_INT8 ? fw_kern_int8() : k;
}

static fw_status check_args(const fw_graph *g, bool train, const fw_val *outputs, int n_output, fw_err *err) {
    char buf_[64];
    FW_TRY(fw_graph_check(g, err));
    if (n_output < 1) {
        return fw_fail(err, FW_INVALID, "plan: no outputs");
    }
    for (int i = 0; i < n_output; i++) {
        if (outputs[i] < 0 || outputs[i] >= g->n_val) {
            return fw_fail(err, FW_INVALID, "plan: output %d is no value of this graph", i);
        }
    }
    if (train && fw_shape_count(fw_shape_of(g, outputs[0])) != 1) {
        return fw_fail(err, FW_SHAPE, "plan: the loss is %s, a scalar wanted",
                       fw_shape_str(fw_shape_of(g, outputs[0]), buf_, sizeof(buf_)));
    }
    return FW_OK;
}

/* inner, lack [n_val] each: room */
static fw_status plan_checkpoint(fw_plan *p, const bool *needed, const unsigned *want, bool *inner, fw_err *err) {
    bool any = false;
    mark_inner(p, needed, inner);
    mark_again(p, want, inner, inner + p->g->n_val + 1);
    for (int i = 0; i < p->g->n_node; i++) {
        any = any || p->again[i];
    }
    return any ? FW_OK
               : fw_fail(err, FW_INVALID,
                         "plan: gradient checkpointing has nothing to make again: no layer of this network keeps "
                         "anything for its gradient");
}

static fw_status build(fw_plan *p, const fw_val *outputs, int n_output, fw_err *err) {
    const fw_graph *g = p->g;
    size_t nv = (size_t)g->n_val + 1, nn = (size_t)g->n_node + 1;
    bool *mark = calloc(nn + 5 * nv, sizeof(bool)); /* needed [nn], live [nv], leads [nv], reached, inner, lack [nv] */
    unsigned *want = calloc(nn, sizeof(unsigned));
    p->value_buf = malloc(nv * sizeof(int));
    p->grad_buf = malloc(nv * sizeof(int));
    p->again_buf = malloc(nv * sizeof(int));
    p->output = calloc(nv, sizeof(bool));
    p->again = calloc(nn, sizeof(bool));
    fw_status st = FW_OK;
    if (mark == NULL || want == NULL || p->value_buf == NULL || p->grad_buf == NULL || p->again_buf == NULL ||
        p->output == NULL || p->again == NULL) {
        st = fw_fail(err, FW_NOMEM, "plan of %d values", g->n_val);
        goto done;
    }
    memset(p->value_buf, -1, nv * sizeof(int));
    memset(p->grad_buf, -1, nv * sizeof(int));
    memset(p->again_buf, -1, nv * sizeof(int));
    for (int i = 0; i < n_output; i++) {
        p->output[root(p, outputs[i])] = true;
    }

    mark_needed(p, outputs, n_output, mark);
    if (p->train) {
        p->loss = root(p, outputs[0]);
        bool *leads = mark + nn - 1 + nv, *reached = leads + nv;
        mark_want(p, mark, leads, want);
        drop_want(p, outputs[0], want, reached);
        if (!leads[p->loss]) {
            st = fw_fail(err, FW_INVALID, "plan: the loss depends on no trainable parameter");
            goto done;
        }
        st = p->checkpoint ? plan_checkpoint(p, mark, want, reached + nv, err) : FW_OK;
    }
    st = st != FW_OK ? st : plan_steps(p, mark, want, err);
    st = st != FW_OK ? st : lay_out(p, err);
    st = st != FW_OK ? st : plan_packs(p, err);
done:
    free(mark);
    free(want);
    return st;
}

fw_status fw_plan_new(const fw_graph *g, const fw_plan_opts *opts, const fw_val *outputs, int n_output, fw_plan **out,
                      fw_err *err) {
    static const fw_plan_opts k_default = {0};
    const fw_plan_opts *o = opts == NULL ? &k_default : opts;
    *out = NULL;
    FW_TRY(check_args(g, o->train, outputs, n_output, err));
    if (fw_precision_kern(o->precision) == NULL || (o->train && o->precision == FW_PRECISION_INT8)) {
        return fw_fail(err, FW_INVALID, "plan: %s",
                       o->train ? "int8 is for inference only" : "this build has no int8 kernels for this CPU");
    }
    fw_plan *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return fw_fail(err, FW_NOMEM, "plan");
    }
    *p = (fw_plan){.g = g,
                   .kern = fw_precision_kern(o->precision),
                   .int8 = o->precision == FW_PRECISION_INT8,
                   .watch = o->watch,
                   .pool = o->pool,
                   .train = o->train,
                   .checkpoint = o->checkpoint,
                   .pack_at_use = o->train || o->pack_at_use,
                   .seed = o->seed,
                   .loss = FW_NONE,
                   .one = 1.0f};
    fw_status st = build(p, outputs, n_output, err);
    if (st != FW_OK) {
        fw_plan_free(p);
        return st;
    }
    p->info.n_step = p->n_step;
    p->info.precision = strstr(p->kern->isa, "bf16") != NULL   ? FW_PRECISION_BF16
                        : strstr(p->kern->isa, "int8") != NULL ? FW_PRECISION_INT8
                                                               : FW_PRECISION_DEFAULT;
    resolve(p);
    st = pack_first(p, err);
    if (st != FW_OK) {
        fw_plan_free(p);
        return st;
    }
    *out = p;
    return FW_OK;
}

void fw_plan_free(fw_plan *p) {
    if (p == NULL) {
        return;
    }
    if (p->arena != NULL) {
        UNPOISON(p->arena, p->info.arena_bytes);
    }
    free(p->arena);
    free(p->packed);
    for (int i = 0; i < p->n_pack; i++) {
        fw_params_unpack(p->g->params, p->pack[i].frozen);
    }
    free(p->pack);
    free(p->step);
    free(p->buf);
    free(p->value_buf);
    free(p->grad_buf);
    free(p->again_buf);
    free(p->output);
    free(p->again);
    free(p);
}

void fw_plan_get_info(const fw_plan *p, fw_plan_info *out) {
    *out = p->info;
}

void *fw_plan_data(fw_plan *p, fw_val v) {
    if (v < 0 || v >= p->g->n_val) {
        return NULL;
    }
    fw_val r = root(p, v);
    bool input = p->g->val[r].node < 0 && p->g->val[r].param == NULL;
    return input || p->output[r] ? value_at(p, &(step){0}, v) : NULL;
}

float *fw_plan_grad(fw_plan *p, const fw_parameter *param) {
    for (fw_val v = 0; v < p->g->n_val && param != NULL; v++) {
        if (p->g->val[v].param == param && p->grad_buf[v] >= 0) {
            return buf_at(p, p->grad_buf[v]);
        }
    }
    return NULL;
}

/* ---- running ---- */

/* Under AddressSanitizer: only what lives at step `at` may be touched. */
static void guard(fw_plan *p, int at) {
#ifdef FW_ASAN
    for (int i = 0; i < p->n_buf; i++) {
        const buf *b = &p->buf[i];
        if (at < 0 || b->last == at - 1) {
            POISON(p->arena + b->offset, b->bytes);
        }
    }
    for (int i = 0; i < p->n_buf; i++) {
        const buf *b = &p->buf[i];
        if (b->first <= at && b->last >= at) {
            UNPOISON(p->arena + b->offset, b->bytes - REDZONE);
        }
    }
#else
    (void)p;
    (void)at;
#endif
}

static size_t dx_bytes(const fw_plan *p, const fw_step *c, int k) {
    return value_bytes(p, root(p, c->node->in[k]));
}

static void pack_now(fw_plan *p, const step *t) {
    const double t0 = p->profiling ? fw_now_s() : 0;
    t->call.node->op->pack(&t->call, t->call.backward);
    p->pack_s += p->profiling ? fw_now_s() - t0 : 0;
}

static fw_status run_step(fw_plan *p, step *t, fw_err *err) {
    fw_step *c = &t->call;
    if (p->watch != NULL && !c->backward && c->node->op->watch != NULL && !c->node->exact) {
        c->node->op->watch(c, p->watch);
    }
    if (t->pack >= 0) {
        pack_now(p, t);
    }
    if (!c->backward) {
        return c->node->op->forward(c, err);
    }
    for (int k = 0; t->clear != 0 && k < c->node->n_in; k++) {
        if (t->clear >> k & 1) {
            memset(c->dx[k], 0, dx_bytes(p, c, k));
        }
    }
    c->node->op->backward(c);
    for (int k = 0; t->temp != 0 && k < c->node->n_in; k++) {
        if (t->temp >> k & 1) {
            fw_copy_par(c, c->dx[k], t->add_to[k], true, (int64_t)(dx_bytes(p, c, k) / sizeof(float)));
        }
    }
    return FW_OK;
}

static void profile_add(fw_plan *p, const step *t, double s) {
    const fw_step *c = &t->call;
    const int which = c->backward ? BACKWARD : t->late != 0 ? AGAIN : FORWARD;
    for (int i = 0; i < MAX_PROFILE; i++) {
        profile_row *r = &p->row[i];
        if (r->op == NULL || r->op == c->node->op) {
            r->op = c->node->op;
            r->s[which] += s;
            r->flops[which] += r->op->flops(p->g, c->node, c->backward ? c->want : 0);
            r->n[which]++;
            return;
        }
    }
}

void fw_plan_seek(fw_plan *p, uint64_t run) {
    p->run = run;
}

fw_status fw_plan_run(fw_plan *p, fw_err *err) {
    fw_rng r = {p->seed ^ (p->run++ * 0x9E3779B97F4A7C15ull)};
    uint64_t seed = fw_rng_u64(&r);
    double t0 = p->profiling ? fw_now_s() : 0, packing = p->pack_s;
    fw_status st = FW_OK;
    for (int i = 0; i < p->n_step && st == FW_OK; i++) {
        guard(p, i);
        p->step[i].call.seed = seed;
        st = run_step(p, &p->step[i], err);
        if (p->profiling) {
            double t1 = fw_now_s();
            profile_add(p, &p->step[i], t1 - t0 - (p->pack_s - packing));
            t0 = t1;
            packing = p->pack_s;
        }
    }
    guard(p, p->n_step);
    return st;
}

/* Columns of "again" only where there is such a step. */
static void profile_print(const fw_plan *p, double sum) {
    static const char *const head[] = {"fwd ms", "bwd ms", "again ms"};
    const int n = p->checkpoint ? 3 : 2;
    fprintf(stderr, "%-16s", "operation");
    for (int k = 0; k < n; k++) {
        fprintf(stderr, " %9s %6s %8s", head[k], "calls", "GFLOP/s");
    }
    fprintf(stderr, " %6s\n", "%");
    for (int i = 0; i < MAX_PROFILE && p->row[i].op != NULL; i++) {
        const profile_row *r = &p->row[i];
        fprintf(stderr, "%-16s", r->op->name);
        for (int k = 0; k < n; k++) {
            fprintf(stderr, " %9.2f %6ld %8.1f", 1e3 * r->s[k], r->n[k],
                    r->s[k] > 0 ? 1e-9 * r->flops[k] / r->s[k] : 0);
        }
        fprintf(stderr, " %6.1f\n", 100 * (r->s[FORWARD] + r->s[BACKWARD] + r->s[AGAIN]) / sum);
    }
    fprintf(stderr, "%-16s %9.2f %*.1f\n%-16s %9.2f\n", "packing", 1e3 * p->pack_s, 26 * n - 4, 100 * p->pack_s / sum,
            "sum", 1e3 * sum);
}

void fw_plan_profile(fw_plan *p, bool on) {
    double sum = p->pack_s;
    for (int i = 0; i < MAX_PROFILE; i++) {
        sum += p->row[i].s[FORWARD] + p->row[i].s[BACKWARD] + p->row[i].s[AGAIN];
    }
    if (p->profiling && sum > 0) {
        profile_print(p, sum);
    }
    memset(p->row, 0, sizeof(p->row));
    p->pack_s = 0;
    p->profiling = on;
}
