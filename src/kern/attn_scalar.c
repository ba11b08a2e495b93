/* attn_scalar.c - attention, as specified. Scratch: one row of scores in double, twice. */
#include <math.h>

#include "kern/kern_int.h"

/* The key after j that is seen; -1 begins, end is past the last. */
static int64_t next_seen(fw_seen s, int64_t j) {
    return j + 1 == s.lo ? s.hi : j + 1;
}

static double dot_d(const float *x, const float *y, int64_t n) {
    double s = 0.0;
    for (int64_t i = 0; i < n; i++) {
        s += (double)x[i] * (double)y[i];
    }
    return s;
}

static size_t attention_scratch(const fw_attn *a, bool bwd) {
    (void)bwd;
    return ((size_t)a->tk + (size_t)a->d + 8) * sizeof(double);
}

static void fwd_row(const fw_attn *a, int64_t b, int64_t h, int64_t i, double *p, double *acc) {
    int64_t hk = h / (a->n_head / a->n_kv);
    const fw_seen seen = fw_attn_seen(a, b, i);
    bool any = seen.lo + seen.end - seen.hi > 0;
    const float *q = a->q + b * a->q_batch + i * a->q_row + h * a->q_head;
    const float *k = a->k + b * a->k_batch + hk * a->k_head, *v = a->v + b * a->v_batch + hk * a->v_head;
    float *o = a->o + b * a->o_batch + i * a->o_row + h * a->o_head;
    double max = -INFINITY, sum = 0.0;
    for (int64_t j = next_seen(seen, -1); j < seen.end; j = next_seen(seen, j)) {
        p[j] = (double)a->scale * dot_d(q, k + j * a->k_row, a->d);
        max = p[j] > max ? p[j] : max;
    }
    for (int64_t c = 0; c < a->d; c++) {
        acc[c] = 0.0;
    }
    for (int64_t j = next_seen(seen, -1); j < seen.end; j = next_seen(seen, j)) {
        double e = exp(p[j] - max);
        sum += e;
        for (int64_t c = 0; c < a->d; c++) {
            acc[c] += e * (double)v[j * a->v_row + c];
        }
    }
    for (int64_t c = 0; c < a->d; c++) {
        o[c] = any ? (float)(acc[c] / sum) : 0.0f;
    }
    if (a->lse != NULL) {
        a->lse[(b * a->n_head + h) * a->tq + i] = any ? (float)(max + log(sum)) : -INFINITY;
    }
}

static void attention_fwd(const fw_attn *a, int64_t item0, int64_t item1, void *scratch) {
    int64_t group = a->n_head / a->n_kv;
    double *p = scratch, *acc = p + a->tk;
    for (int64_t it = item0; it < item1; it++) {
        for (int64_t gh = 0; gh < group; gh++) {
            for (int64_t i = 0; i < a->tq; i++) {
                fwd_row(a, it / a->n_kv, (it % a->n_kv) * group + gh, i, p, acc);
            }
        }
    }
}

/* One query row: dq of it, and its share of dk, dv. With p = softmax: ds = p (do.v - do.o), dq = scale ds k. */
static void bwd_row(const fw_attn *a, int64_t b, int64_t h, int64_t i, double *acc) {
    int64_t hk = h / (a->n_head / a->n_kv);
    const fw_seen seen = fw_attn_seen(a, b, i);
    int64_t qo = b * a->q_batch + i * a->q_row + h * a->q_head, oo = b * a->o_batch + i * a->o_row + h * a->o_head;
    int64_t ko = b * a->k_batch + hk * a->k_head, vo = b * a->v_batch + hk * a->v_head;
    double lse = (double)a->lse[(b * a->n_head + h) * a->tq + i], delta = dot_d(a->d_o + oo, a->o + oo, a->d);
    for (int64_t c = 0; c < a->d; c++) {
        acc[c] = 0.0;
    }
    for (int64_t j = next_seen(seen, -1); j < seen.end; j = next_seen(seen, j)) {
        const float *kj = a->k + ko + j * a->k_row, *vj = a->v + vo + j * a->v_row;
        float *dkj = a->dk + ko + j * a->k_row, *dvj = a->dv + vo + j * a->v_row;
        double p = exp((double)a->scale * dot_d(a->q + qo, kj, a->d) - lse);
        double ds = (double)a->scale * p * (dot_d(a->d_o + oo, vj, a->d) - delta);
        for (int64_t c = 0; c < a->d; c++) {
            acc[c] += ds * (double)kj[c];
            dkj[c] = (float)((double)dkj[c] + ds * (double)a->q[qo + c]);
            dvj[c] = (float)((double)dvj[c] + p * (double)a->d_o[oo + c]);
        }
    }
    for (int64_t c = 0; c < a->d; c++) {
        a->dq[qo + c] = (float)acc[c];
    }
}

static void attention_bwd(const fw_attn *a, int64_t item0, int64_t item1, void *scratch) {
    int64_t group = a->n_head / a->n_kv;
    for (int64_t it = item0; it < item1; it++) {
        int64_t b = it / a->n_kv, hk = it % a->n_kv;
        for (int64_t j = 0; j < a->tk; j++) {
            for (int64_t c = 0; c < a->d; c++) {
                a->dk[b * a->k_batch + j * a->k_row + hk * a->k_head + c] = 0.0f;
                a->dv[b * a->v_batch + j * a->v_row + hk * a->v_head + c] = 0.0f;
            }
        }
        for (int64_t gh = 0; gh < group; gh++) {
            for (int64_t i = 0; i < a->tq; i++) {
                bwd_row(a, b, hk * group + gh, i, scratch);
            }
        }
    }
}

void fw_kern_init_attn_scalar(fw_kern *k) {
    k->attention_scratch = attention_scratch;
    k->attention_fwd = attention_fwd;
    k->attention_bwd = attention_bwd;
}
