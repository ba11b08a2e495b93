/*
 * attn_vec_int.h - attention in blocks of query rows; included after gemm_vec_int.h, once by each vector set.
 *
 * Scores never exist as a whole matrix. Keys and values of one head are packed once; then BQ query rows at a time
 *
 *   S = Q K^T  ->  P = exp(scale (S - row max)), row sums  ->  O = P V / sum
 *
 * run from scratch of BQ x tk floats, which stays in the second cache. A row block looks only at the keys that its last
 * row may see. The backward recomputes P from the saved log-sum-exp:
 *
 *   P = exp(scale S - lse), dP = dO V^T, dS = scale P (dP - rowsum(dO O)), dQ = dS K, dK += dS^T Q, dV += P^T dO
 *
 * With FW_BF16 the operands of all products are rounded to bfloat16; scores, exponentials and sums stay in float.
 */
#ifndef FW_KERN_ATTN_VEC_INT_H
#define FW_KERN_ATTN_VEC_INT_H

#include "kern/conv_vec_int.h"

enum { BQ = 4 * MR };

/* Row stride of scores: whole vectors, and not a multiple of 4 KiB (all rows would fall into the same cache sets). */
FW_INLINE int64_t score_ld(int64_t tk) {
    return (tk + VW - 1) / VW * VW + VW;
}

typedef struct attn_mem {
    float *k_nk, *k_kn, *v_nk, *v_kn, *q_kn, *do_kn; /* packed */
    float *s, *ds;                                   /* [BQ, score_ld] */
    float *inv;                                      /* [BQ] 1/sum or delta */
    void *rest;
    size_t bytes;
    int64_t n_key; /* packed: no query sees more. Values behind may be anything; pairs of keys must not pull them in */
} attn_mem;

static void *carve(char *base, size_t *at, size_t bytes) {
    void *p = base != NULL ? base + *at : NULL; /* NULL: only the size is asked for */
    *at += round64(bytes);
    return p;
}

static attn_mem layout(const fw_attn *a, bool bwd, void *scratch) {
    attn_mem m = {0};
    size_t at = 0, score = (size_t)(BQ * score_ld(a->tk)) * sizeof(float);
    size_t wide = fw_pack_bytes(a->tk, units(a->d), NR), deep = fw_pack_bytes(a->d, units(a->tk), NR),
           rows = fw_pack_bytes(a->d, units(BQ), NR);
    m.k_nk = carve(scratch, &at, wide);
    m.s = carve(scratch, &at, score);
    m.inv = carve(scratch, &at, BQ * sizeof(float));
    if (bwd) {
        m.v_nk = carve(scratch, &at, wide);
        m.k_kn = carve(scratch, &at, deep);
        m.q_kn = carve(scratch, &at, rows);
        m.do_kn = carve(scratch, &at, rows);
        m.ds = carve(scratch, &at, score);
    } else {
        m.v_kn = carve(scratch, &at, deep);
    }
    size_t most = gemm_scratch(BQ, KC * U, false), trans = gemm_scratch(a->tk, BQ, true);
    m.rest = carve(scratch, &at, most > trans ? most : trans);
    m.bytes = at;
    return m;
}

static size_t attention_scratch(const fw_attn *a, bool bwd) {
    return layout(a, bwd, NULL).bytes;
}

static void product(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, bool trans_a, const float *b,
                    int64_t k_packed, float *c, int64_t ldc, bool accumulate, void *rest) {
    fw_gemm g = {.m = m,
                 .n = n,
                 .k = k,
                 .a = a,
                 .lda = lda,
                 .trans_a = trans_a,
                 .b = b,
                 .c = c,
                 .ldc = ldc,
                 .epi = {.accumulate = accumulate}};
    gemm_deep(&g, k_packed, rest);
}

#if defined(FW_BF16)
/* 2^t, relative error <= 4e-6 (products see 3 digits of it): 2^n times a polynomial on [-1/2,1/2]. 0 below -149, NaN stays. */
FW_INLINE vf v_exp_score(vf t) {
    t = v_max(v_set1(-200.0f), t); /* NaN is the second operand: it passes */
    vf n = v_round(t), f = v_sub(t, n);
    vf p = v_fma(v_set1(9.66636837e-3f), f, v_set1(5.59219755e-2f));
    p = v_fma(p, f, v_set1(2.40223497e-1f));
    p = v_fma(p, f, v_set1(6.93121016e-1f));
    return v_scale2(v_fma(p, f, v_set1(1.0f)), n);
}
#define SCORE_LOG 1.44269504f /* the scores' exponential is of base 2 */
#else
FW_INLINE vf v_exp_score(vf t) {
    return v_exp(t);
}
#define SCORE_LOG 1.0f
#endif

/* Keys seen -> exp(scale s - shift), the others zero, up to `width` (whole vectors); returns the sum. */
static double exp_row(float *s, fw_seen seen, int64_t width, float scale, float shift) {
    vf sum = v_zero(), sc = v_set1(scale * SCORE_LOG), sh = v_set1(-shift * SCORE_LOG);
    for (int64_t j = 0; j < width; j += VW) {
        vf e = v_sel(v_tail(max64(0, seen.end - j)), v_exp_score(v_fma(v_load(s + j), sc, sh)), v_zero());
        if (j < seen.hi && j + VW > seen.lo) { /* the padding in this vector */
            e = v_sel(v_tail(max64(0, seen.hi - j)), v_sel(v_tail(max64(0, seen.lo - j)), e, v_zero()), e);
        }
        sum = v_add(sum, e);
        v_store(s + j, e);
    }
    return v_sum_d(sum);
}

static float max_row(const float *s, fw_seen seen) {
    vf best = v_set1(-INFINITY);
    for (int64_t j = 0; j < seen.lo; j += VW) {
        best = v_max(best, v_sel(v_tail(seen.lo - j), v_load(s + j), v_set1(-INFINITY)));
    }
    for (int64_t j = seen.hi; j < seen.end; j += VW) {
        best = v_max(best, v_sel(v_tail(seen.end - j), v_load(s + j), v_set1(-INFINITY)));
    }
    return v_hmax(best);
}

/* Offsets of batch b, head h and its key/value head. */
typedef struct head {
    int64_t b, h, q, k, v, o;
} head;

static head head_at(const fw_attn *a, int64_t item, int64_t gh) {
    int64_t b = item / a->n_kv, hk = item % a->n_kv, h = hk * (a->n_head / a->n_kv) + gh;
    return (head){b,
                  h,
                  b * a->q_batch + h * a->q_head,
                  b * a->k_batch + hk * a->k_head,
                  b * a->v_batch + hk * a->v_head,
                  b * a->o_batch + h * a->o_head};
}

static void fwd_block(const fw_attn *a, const attn_mem *w, head hd, int64_t i0, int64_t m) {
    int64_t ld = score_ld(a->tk), n = fw_attn_seen(a, hd.b, i0 + m - 1).end, width = (n + VW - 1) / VW * VW;
    float *o = a->o + hd.o + i0 * a->o_row;
    product(m, n, a->d, a->q + hd.q + i0 * a->q_row, a->q_row, false, w->k_nk, a->d, w->s, ld, false, w->rest);
    for (int64_t i = 0; i < m; i++) {
        const fw_seen seen = fw_attn_seen(a, hd.b, i0 + i);
        bool any = seen.lo + seen.end - seen.hi > 0;
        float *s = w->s + i * ld, max = any ? max_row(s, seen) * a->scale : 0.0f;
        double sum = exp_row(s, seen, width, a->scale, max);
        w->inv[i] = any ? (float)(1.0 / sum) : 0.0f;
        if (a->lse != NULL) {
            a->lse[(hd.b * a->n_head + hd.h) * a->tq + i0 + i] = any ? (float)((double)max + log(sum)) : -INFINITY;
        }
    }
    product(m, a->d, n, w->s, ld, false, w->v_kn, w->n_key, o, a->o_row, false, w->rest);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t c = 0; c < a->d; c += VW) {
            vm t = v_tail(a->d - c);
            v_store_m(o + i * a->o_row + c, v_mul(v_load_m(o + i * a->o_row + c, t), v_set1(w->inv[i])), t);
        }
    }
}

static void attention_fwd(const fw_attn *a, int64_t item0, int64_t item1, void *scratch) {
    attn_mem w = layout(a, false, scratch);
    for (int64_t it = item0; it < item1; it++) {
        head kv = head_at(a, it, 0);
        w.n_key = fw_attn_seen(a, kv.b, a->tq - 1).end;
        pack_panels(w.k_nk, a->k + kv.k, a->k_row, FW_NK, w.n_key, a->d, 0, w.n_key);
        pack_panels(w.v_kn, a->v + kv.v, a->v_row, FW_KN, a->d, w.n_key, 0, a->d);
        for (int64_t gh = 0; gh < a->n_head / a->n_kv; gh++) {
            for (int64_t i = 0; i < a->tq; i += BQ) {
                fwd_block(a, &w, head_at(a, it, gh), i, min64(BQ, a->tq - i));
            }
        }
    }
}

static float dot_row(const float *x, const float *y, int64_t n) {
    vf s = v_zero();
    for (int64_t j = 0; j < n; j += VW) {
        vm m = v_tail(n - j);
        s = v_fma(v_load_m(x + j, m), v_load_m(y + j, m), s);
    }
    return v_sum(s);
}

/* ds[0:n] = scale p (dp - delta), dp read from ds */
static void ds_row(const float *p, float *ds, int64_t width, float scale, float delta) {
    vf sc = v_set1(scale), de = v_set1(delta);
    for (int64_t j = 0; j < width; j += VW) {
        vf x = v_load(p + j), g = v_mul(v_mul(sc, x), v_sub(v_load(ds + j), de));
        v_store(ds + j, v_sel(v_lt(v_zero(), x), g, v_zero())); /* columns past n hold anything: p is 0 there */
    }
}

static void bwd_block(const fw_attn *a, const attn_mem *w, head hd, int64_t i0, int64_t m) {
    int64_t ld = score_ld(a->tk), n = fw_attn_seen(a, hd.b, i0 + m - 1).end, width = (n + VW - 1) / VW * VW;
    const float *q = a->q + hd.q + i0 * a->q_row, *d_o = a->d_o + hd.o + i0 * a->o_row,
                *o = a->o + hd.o + i0 * a->o_row;
    const float *lse = a->lse + (hd.b * a->n_head + hd.h) * a->tq + i0;
    product(m, n, a->d, q, a->q_row, false, w->k_nk, a->d, w->s, ld, false, w->rest);
    product(m, n, a->d, d_o, a->o_row, false, w->v_nk, a->d, w->ds, ld, false, w->rest);
    for (int64_t i = 0; i < m; i++) {
        (void)exp_row(w->s + i * ld, fw_attn_seen(a, hd.b, i0 + i), width, a->scale, lse[i]);
        ds_row(w->s + i * ld, w->ds + i * ld, width, a->scale, dot_row(d_o + i * a->o_row, o + i * a->o_row, a->d));
    }
    product(m, a->d, n, w->ds, ld, false, w->k_kn, w->n_key, a->dq + hd.q + i0 * a->q_row, a->q_row, false, w->rest);
    pack_panels(w->q_kn, q, a->q_row, FW_KN, a->d, m, 0, a->d);
    product(n, a->d, m, w->ds, ld, true, w->q_kn, m, a->dk + hd.k, a->k_row, true, w->rest);
    pack_panels(w->do_kn, d_o, a->o_row, FW_KN, a->d, m, 0, a->d);
    product(n, a->d, m, w->s, ld, true, w->do_kn, m, a->dv + hd.v, a->v_row, true, w->rest);
}

static void attention_bwd(const fw_attn *a, int64_t item0, int64_t item1, void *scratch) {
    attn_mem w = layout(a, true, scratch);
    for (int64_t it = item0; it < item1; it++) {
        head kv = head_at(a, it, 0);
        w.n_key = fw_attn_seen(a, kv.b, a->tq - 1).end;
        pack_panels(w.k_nk, a->k + kv.k, a->k_row, FW_NK, w.n_key, a->d, 0, w.n_key);
        pack_panels(w.k_kn, a->k + kv.k, a->k_row, FW_KN, a->d, w.n_key, 0, a->d);
        pack_panels(w.v_nk, a->v + kv.v, a->v_row, FW_NK, w.n_key, a->d, 0, w.n_key);
        for (int64_t j = 0; j < a->tk; j++) {
            zero(a->dk + kv.k + j * a->k_row, a->d);
            zero(a->dv + kv.v + j * a->v_row, a->d);
        }
        for (int64_t gh = 0; gh < a->n_head / a->n_kv; gh++) {
            for (int64_t i = 0; i < a->tq; i += BQ) {
                bwd_block(a, &w, head_at(a, it, gh), i, min64(BQ, a->tq - i));
            }
        }
    }
}

#endif /* FW_KERN_ATTN_VEC_INT_H */
