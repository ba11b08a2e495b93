/* handover.c - see handover.h */
#include "robot/handover.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 5, LATENCIES = 16, NONE = -1 };

typedef struct slot {
    float *rows;   /* [horizon, n_action] */
    int64_t k;     /* executed rows at its observation */
    int64_t chunk; /* number */
    int64_t epoch;
    int horizon;
} slot;

struct fw_handover {
    int n, horizon, n_execute, max_delay;
    bool guided;
    double rate_hz;
    fw_handover_opts opts;
    float range[FW_DIM_MAX]; /* of an action */
    slot slot[SLOTS];
    float *memory; /* owned: rows of all slots, and the prefix */
    /* between the threads */
    _Atomic int fresh;     /* published and not taken; NONE: nothing */
    _Atomic unsigned free; /* bits of slots that nobody holds */
    _Atomic int64_t executed, epoch;
    /* control thread */
    int now, before; /* slots, or NONE */
    int64_t since;   /* executed rows when now was taken up */
    /* inference thread */
    float *prefix;
    int last; /* the slot put last, or NONE */
    int64_t n_chunk;
    double latency[LATENCIES];
    int n_latency;
};

fw_status fw_handover_new(const fw_policy_info *info, double rate_hz, const fw_handover_opts *opts, fw_handover **out,
                          fw_err *err) {
    *out = NULL;
    if (info->horizon < 1 || info->n_execute < 1 || info->n_execute > info->horizon || !(rate_hz > 0)) {
        return fw_fail(err, FW_INVALID, "%s: chunks of %d rows of which %d are executed, at %g Hz", info->name,
                       info->horizon, info->n_execute, rate_hz);
    }
    const int n = info->embodiment->n_action;
    const size_t values = (size_t)info->horizon * (size_t)n;
    fw_handover *h = calloc(1, sizeof *h);
    if (h == NULL || (h->memory = calloc((SLOTS + 1) * values, sizeof(float))) == NULL) {
        free(h);
        return fw_fail(err, FW_NOMEM, "hand-over: out of memory");
    }
    h->n = n, h->horizon = info->horizon, h->n_execute = info->n_execute;
    h->max_delay = info->max_delay, h->guided = info->guided;
    h->rate_hz = rate_hz;
    h->opts = *opts;
    for (int i = 0; i < SLOTS; i++) {
        h->slot[i].rows = h->memory + (size_t)i * values;
    }
    h->prefix = h->memory + SLOTS * values;
    for (int i = 0; i < n; i++) {
        h->range[i] = (float)(info->embodiment->action[i].max - info->embodiment->action[i].min);
    }
    h->now = h->before = h->last = NONE;
    atomic_init(&h->fresh, NONE);
    atomic_init(&h->free, (1u << SLOTS) - 1);
    *out = h;
    return FW_OK;
}

void fw_handover_free(fw_handover *h) {
    if (h != NULL) {
        free(h->memory);
        free(h);
    }
}

int64_t fw_handover_executed(const fw_handover *h) {
    return atomic_load_explicit(&h->executed, memory_order_acquire);
}

static void release(fw_handover *h, int i) {
    if (i != NONE) {
        atomic_fetch_or_explicit(&h->free, 1u << i, memory_order_release);
    }
}

/* ---- control thread ---- */

/* Row of the run's row k in slot i, or NULL when it has none. */
static const float *row_at(const fw_handover *h, int i, int64_t k) {
    if (i == NONE || k < h->slot[i].k || k - h->slot[i].k >= h->slot[i].horizon) {
        return NULL;
    }
    return h->slot[i].rows + (k - h->slot[i].k) * h->n;
}

static float largest_jump(const fw_handover *h, const float *a, const float *b) {
    float most = 0.0f;
    for (int i = 0; a != NULL && b != NULL && i < h->n; i++) {
        const float d = h->range[i] > 0 ? fabsf(a[i] - b[i]) / h->range[i] : 0.0f;
        most = d > most ? d : most;
    }
    return most;
}

/* True: a newer chunk is there and has a row for k. */
static bool take_up(fw_handover *h, int64_t k) {
    const int i = atomic_exchange_explicit(&h->fresh, NONE, memory_order_acquire);
    if (i == NONE) {
        return false;
    }
    if (h->slot[i].epoch != atomic_load_explicit(&h->epoch, memory_order_relaxed) || row_at(h, i, k) == NULL) {
        release(h, i); /* of before a take-over, or older than all its rows */
        return false;
    }
    release(h, h->before);
    h->before = h->now;
    h->now = i;
    h->since = k;
    return true;
}

/* The chunk's row, and for the first rows after a change something between it and the last chunk's. */
static void blend(const fw_handover *h, int64_t k, const float *row, float *action) {
    const float *old = h->max_delay > 0 ? NULL : row_at(h, h->before, k);
    const int64_t at = k - h->since;
    const float w = (float)(at + 1) / (float)(h->opts.blend + 1);
    for (int i = 0; i < h->n; i++) {
        action[i] = old != NULL && at < h->opts.blend ? old[i] + w * (row[i] - old[i]) : row[i];
    }
}

bool fw_handover_next(fw_handover *h, float *action, fw_due *due) {
    const int64_t k = atomic_load_explicit(&h->executed, memory_order_relaxed);
    const bool first = take_up(h, k);
    const float *row = row_at(h, h->now, k);
    if (row == NULL) {
        return false;
    }
    if (due != NULL) {
        const slot *s = &h->slot[h->now];
        *due = (fw_due){.chunk = s->chunk, .row = (int)(k - s->k), .first = first};
        due->jump = first ? largest_jump(h, row, row_at(h, h->before, k)) : 0.0f;
        due->after = row_at(h, h->now, k + 1);
    }
    blend(h, k, row, action);
    atomic_store_explicit(&h->executed, k + 1, memory_order_release);
    return true;
}

void fw_handover_clear(fw_handover *h) {
    atomic_fetch_add_explicit(&h->epoch, 1, memory_order_release);
    release(h, h->before);
    release(h, h->now);
    h->now = h->before = NONE;
}

/* ---- inference thread ---- */

double fw_handover_latency(const fw_handover *h) {
    double most = h->n_latency == 0 ? h->opts.delay_s : 0.0;
    for (int i = 0; i < h->n_latency && i < LATENCIES; i++) {
        most = fmax(most, h->latency[i]);
    }
    return most;
}

static int expected_rows(const fw_handover *h) {
    return (int)fmin(ceil(fw_handover_latency(h) * h->rate_hz - 1e-9), 1e6);
}

void fw_handover_ask(fw_handover *h, int64_t k, fw_ask *ask) {
    *ask = (fw_ask){.k = k, .prefix = h->prefix, .delay = expected_rows(h)};
    ask->epoch = atomic_load_explicit(&h->epoch, memory_order_acquire);
    ask->too_slow = ask->delay > h->max_delay || ask->delay + h->n_execute > h->horizon;
    const slot *s = h->last != NONE ? &h->slot[h->last] : NULL;
    if (s == NULL || s->epoch != ask->epoch || k < s->k || k - s->k >= s->horizon) {
        return; /* nothing is being executed */
    }
    const int left = s->horizon - (int)(k - s->k);
    int settled = ask->delay > 1 ? ask->delay : 1; /* at once, too, it must go on from something */
    settled = settled < h->max_delay ? settled : h->max_delay;
    settled = settled < left ? settled : left;
    const int most = left < h->opts.wish ? left : h->opts.wish;
    ask->n_prefix = settled;
    ask->n_wish = h->guided && most > settled ? most - settled : 0;
    memcpy(h->prefix, s->rows + (k - s->k) * h->n,
           sizeof(float) * (size_t)(ask->n_prefix + ask->n_wish) * (size_t)h->n);
}

int64_t fw_handover_due(const fw_handover *h) {
    if (h->last == NONE || h->slot[h->last].epoch != atomic_load_explicit(&h->epoch, memory_order_acquire)) {
        return 0;
    }
    const slot *s = &h->slot[h->last];
    const int spare = s->horizon - expected_rows(h); /* asked later, the robot would hold */
    const int rows = h->n_execute < spare ? h->n_execute : spare;
    return s->k + (rows > 1 ? rows : 1);
}

static int free_slot(fw_handover *h) {
    const unsigned mask = atomic_load_explicit(&h->free, memory_order_acquire);
    const int i = __builtin_ctz(mask | 1u << SLOTS); /* control holds at most three, one is published: there is one */
    atomic_fetch_and_explicit(&h->free, ~(1u << i), memory_order_acquire);
    return i;
}

fw_status fw_handover_put(fw_handover *h, const fw_ask *ask, const fw_chunk *chunk, double seconds, fw_err *err) {
    if (chunk->n_action != h->n || chunk->horizon < 1 || chunk->horizon > h->horizon) {
        return fw_fail(err, FW_SHAPE, "a chunk of %d x %d, wanted 1 to %d rows of %d values", chunk->horizon,
                       chunk->n_action, h->horizon, h->n);
    }
    for (int i = 0; i < chunk->horizon * h->n; i++) {
        if (!isfinite(chunk->actions[i])) {
            return fw_fail(err, FW_FORMAT, "row %d of a chunk has %g", i / h->n, (double)chunk->actions[i]);
        }
    }
    h->latency[h->n_latency++ % LATENCIES] = seconds;
    h->n_latency = h->n_latency < 2 * LATENCIES ? h->n_latency : LATENCIES;
    const int i = free_slot(h);
    slot *s = &h->slot[i];
    s->k = ask->k, s->epoch = ask->epoch, s->horizon = chunk->horizon, s->chunk = h->n_chunk++;
    memcpy(s->rows, chunk->actions, sizeof(float) * (size_t)chunk->horizon * (size_t)h->n);
    h->last = i;
    release(h, atomic_exchange_explicit(&h->fresh, i, memory_order_acq_rel));
    return FW_OK;
}
