/*
 * gemm_vec_int.h - C = epilogue(A @ B) with our own micro-kernels; included once by each vector set.
 *
 * B lies packed in panels of NR = 2 vectors of columns. A tile of MR x NR of C lives in registers while k runs: each step
 * loads 2 vectors of B and broadcasts MR values of A (NEON: multiplies by lanes of them). Around it:
 *
 *   for each MC rows of A       (A block packed into scratch, <= half of the second cache)
 *     for each KC of k          (so that A's block and B's panel stay in cache)
 *       for each panel of B     (read once a block of rows, then from the second cache)
 *         for each MR rows      micro-kernel; after the last KC the epilogue, while the tile is still in the first cache
 *
 * Packing A costs one pass over it and pays when several panels share it; with few panels A is read where it lies.
 * With FW_BF16 (avx512bf16, neonbf16): the same loops, but packing rounds both operands to bfloat16 and joins two steps of k into one
 * 32-bit unit, which one instruction multiplies and adds in float. Everything below counts k in such units (U values). With
 * FW_INT8 the units are small integers: gemm_int8_vec_int.h.
 *
 * Rows are dealt evenly to tiles (50 rows = 13+13+12+12, not 14+14+14+8).
 */
#ifndef FW_KERN_GEMM_VEC_INT_H
#define FW_KERN_GEMM_VEC_INT_H

#include "kern/kern_int.h"
#include "kern/vec_int.h"

#if defined(__AVX512F__)
enum { NR = 2 * VW, MR = 14, KC = 384, MC = 24 * MR, PACK_K = 24 }; /* A is not worth packing below */
#elif defined(__aarch64__)                                          /* caches of 32 and 256 KiB and more */
enum { NR = 2 * VW, MR = 6, KC = 256, MC = 20 * MR, PACK_K = 96 };
#elif defined(FW_X4)
enum { NR = 2 * VW, MR = 4, KC = 384, MC = 84 * MR, PACK_K = 96 };
#else
enum { NR = 2 * VW, MR = 6, KC = 384, MC = 56 * MR, PACK_K = 128 };
#endif

/* A value of A for every lane. NEON multiplies by a lane of a register: one load serves four rows that lie side by side. */
#if defined(__aarch64__)
typedef struct va {
    float32x4_t q;
    int lane;
} va;
FW_INLINE va value_of(const float *a, int64_t rs, int i, const int near) {
    return i < near ? (va){vld1q_f32(a + i / 4 * 4), i % 4} : (va){vdupq_n_f32(a[i * rs]), 0};
}
#else
typedef vf va;
FW_INLINE va value_of(const float *a, int64_t rs, int i, const int near) {
    (void)near;
    return v_set1(a[i * rs]);
}
#endif

#if defined(FW_BF16) || defined(FW_INT8)
#define FW_FORWARD /* gradients of convolutions and depthwise layers stay with the fp32 table; operands are always packed */
#endif

#if defined(FW_INT8)
#if defined(__AVX512F__) || defined(__aarch64__) || defined(__AVXVNNI__) || defined(FW_X4)
enum { U = 4 };
#else
enum { U = 2 };
#endif
#elif defined(FW_BF16)
enum { U = 2 }; /* values of k in a 32-bit unit */
FW_INLINE vm tail_of(int64_t n) {
    return v_tail(n < 0 ? 0 : n);
}
#if defined(__aarch64__)
FW_INLINE float32x4_t quad_step(float32x4_t c, float32x4_t b, bfloat16x8_t a, int lane) {
    const bfloat16x8_t pairs = vreinterpretq_bf16_f32(b);
    switch (lane) {
    case 0:
        return vbfdotq_laneq_f32(c, pairs, a, 0);
    case 1:
        return vbfdotq_laneq_f32(c, pairs, a, 1);
    case 2:
        return vbfdotq_laneq_f32(c, pairs, a, 2);
    default:
        return vbfdotq_laneq_f32(c, pairs, a, 3);
    }
}
FW_INLINE vf v_step(va a, vf b, vf c) {
    const bfloat16x8_t pairs = vreinterpretq_bf16_f32(a.q);
    return (vf){quad_step(c.lo, b.lo, pairs, a.lane), quad_step(c.hi, b.hi, pairs, a.lane)};
}
FW_INLINE uint16x8_t to_bf16(vf x) {
    return vreinterpretq_u16_bf16(vcvtq_high_bf16_f32(vcvtq_low_bf16_f32(x.lo), x.hi));
}
/* n floats in a row (at most 2 VW are taken) -> VW units */
FW_INLINE vf load_units(const float *p, int64_t n) {
    const uint16x8_t low = to_bf16(v_load_m(p, tail_of(n)));
    const uint16x8_t high = to_bf16(n > VW ? v_load_m(p + VW, tail_of(n - VW)) : v_zero());
    return (vf){vreinterpretq_f32_u16(low), vreinterpretq_f32_u16(high)};
}
/* Two rows -> their units */
FW_INLINE vf join_rows(vf even, vf odd) {
    const uint16x8_t e = to_bf16(even), o = to_bf16(odd);
    return (vf){vreinterpretq_f32_u16(vzip1q_u16(e, o)), vreinterpretq_f32_u16(vzip2q_u16(e, o))};
}
#else
FW_INLINE vf v_step(vf a, vf b, vf c) {
    return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}
/* n floats in a row (at most 2 VW are taken) -> VW units */
FW_INLINE vf load_units(const float *p, int64_t n) {
    return (vf)_mm512_cvtne2ps_pbh(n > VW ? v_load_m(p + VW, tail_of(n - VW)) : v_zero(), v_load_m(p, tail_of(n)));
}
/* Two rows -> their units */
FW_INLINE vf join_rows(vf even, vf odd) {
    __m512i lo = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(even));
    __m512i hi = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(odd));
    return _mm512_castsi512_ps(_mm512_or_si512(lo, _mm512_slli_epi32(hi, 16)));
}
#endif
#else
enum { U = 1 };
#if defined(__aarch64__)
FW_INLINE vf v_step(va a, vf b, vf c) { /* the compiler finds the instruction that takes the lane */
    const float32x4_t x = vdupq_n_f32(a.q[a.lane]);
    return (vf){vfmaq_f32(c.lo, b.lo, x), vfmaq_f32(c.hi, b.hi, x)};
}
#else
FW_INLINE vf v_step(vf a, vf b, vf c) {
    return v_fma(a, b, c);
}
#endif
FW_INLINE vf load_units(const float *p, int64_t n) {
    return v_load_m(p, v_tail(n));
}
#endif

#if defined(FW_X4)
enum { STEP = 2 }; /* units that are multiplied together: depths are multiples of it */
#else
enum { STEP = 1 };
#endif

FW_INLINE int64_t units(int64_t k) {
    return (k + U * STEP - 1) / (U * STEP) * STEP;
}

/* Blocks of k of a product that is `depth` units deep; it is dealt evenly to them. */
FW_INLINE int64_t k_blocks(int64_t depth) {
    return depth > 0 ? (depth + KC - 1) / KC : 1;
}

/* Rows of A packed together. */
FW_INLINE int64_t rows_at_once(int64_t depth) {
#if defined(FW_INT8) /* whole rows, at most about 4 MB: with few rows B would pass by too often */
    int64_t fit = depth > 0 ? ((int64_t)1 << 20) / depth : MC;
    return fit > MC ? MC : fit < 4 * MR ? 4 * MR : fit;
#else
    (void)depth;
    return MC;
#endif
}

/* First of part t when m are dealt evenly to n. */
FW_INLINE int64_t deal(int64_t m, int64_t n, int64_t t) {
    return m * t / n;
}

/* First unit of block ik of n of k. */
FW_INLINE int64_t deal_k(int64_t depth, int64_t n, int64_t ik) {
    return deal(depth / STEP, n, ik) * STEP;
}

/* ---- micro-kernel: c[mr, nv vectors] (+)= a[mr,k] b[k,NR], and the epilogues that need no more registers ---- */

typedef struct tile {
    int64_t k;
    const float *a; /* a[i,kk] at a[i*rs + kk*cs] */
    int64_t rs, cs;
    const void *b;
    int64_t bs; /* row stride of b: NR when packed */
    float *c;
    int64_t ldc, width; /* live columns, in ((nv-1)*VW, nv*VW] */
    const float *bias;  /* of column 0 of the tile, or NULL */
    const float *res;   /* added after clamping, or NULL */
    int64_t ldres;
    float lo, hi;        /* clamp: relu, relu6 */
    bool load_c, finish; /* add to c; apply bias, clamp, residual */
    const fw_q8 *sa;     /* FW_INT8: scales of the rows */
    const float *sb;     /* FW_INT8: of the columns */
    const int32_t *comp; /* FW_INT8: what the offset of A adds to each column's sum */
} tile;

typedef void micro_fn(const tile *t);

#if defined(FW_INT8)
#include "kern/gemm_int8_vec_int.h"
#else
typedef float b_value;
enum { B_STEP = 1 };
FW_INLINE vf load_b(const b_value *p) {
    return v_load(p);
}
#define KEEP_IN_LOOP(x, y)
#define KEEP_AT_EXIT(x, y)
FW_INLINE vf sum_value(const tile *t, vf sum, int i, int h) {
    (void)t, (void)i, (void)h;
    return sum;
}
#endif

FW_INLINE vf finish(const tile *t, vf x, vf bias, int i, int col, vm m) {
    x = v_min(v_set1(t->hi), v_max(v_set1(t->lo), v_add(x, bias)));
    return t->res != NULL ? v_add(x, v_load_m(t->res + i * t->ldres + col, m)) : x;
}

/* The finished sums go to memory. */
FW_UNFOLD void put_tile(const int mr, const int nv, const tile *t, vf acc[MR][2]) {
    const vm m = v_tail(t->width - (nv - 1) * VW), m0 = nv == 2 ? v_tail(VW) : m;
    vf bias0 = t->bias != NULL ? v_load_m(t->bias, m0) : v_zero();
    vf bias1 = t->bias != NULL && nv == 2 ? v_load_m(t->bias + VW, m) : v_zero();
    float *c = t->c;
    FW_UNROLL(16)
    for (int i = 0; i < mr; i++, c += t->ldc) {
        acc[i][0] = sum_value(t, acc[i][0], i, 0);
        acc[i][1] = nv == 2 ? sum_value(t, acc[i][1], i, 1) : acc[i][1];
        if (t->load_c) {
            acc[i][0] = v_add(acc[i][0], v_load_m(c, m0));
            acc[i][1] = nv == 2 ? v_add(acc[i][1], v_load_m(c + VW, m)) : acc[i][1];
        }
        if (t->finish) {
            acc[i][0] = finish(t, acc[i][0], bias0, i, 0, m0);
            acc[i][1] = nv == 2 ? finish(t, acc[i][1], bias1, i, VW, m) : acc[i][1];
        }
        v_store_m(c, acc[i][0], m0);
        if (nv == 2) {
            v_store_m(c + VW, acc[i][1], m);
        }
    }
}

/* near: how many rows of A lie side by side and may be read by fours (packed ones have slack behind them). */
FW_UNFOLD void micro(const int mr, const int nv, const tile *t, int64_t rs, int64_t cs, const int near,
                     const bool loose) {
    const vm m = v_tail(t->width - (nv - 1) * VW);
    vf acc[MR][2];
    const float *a = t->a;
    const b_value *b = t->b;
    FW_UNROLL(16)
    for (int i = 0; i < mr; i++) {
        acc[i][0] = v_zero();
        acc[i][1] = v_zero();
    }
    for (int i = 0; i < mr && t->k >= 64; i++) { /* C comes from afar while k runs */
        __builtin_prefetch(t->c + i * t->ldc, 1);
        __builtin_prefetch(t->c + i * t->ldc + VW, 1);
    }
#if defined(FW_X4)
    (void)rs, (void)cs, (void)near, (void)loose, (void)m, (void)a, (void)b;
    sums(mr, nv, t, acc);
#else
    for (int64_t kk = t->k; kk > 0; kk--) {
        vf b0 = loose && nv == 1 ? v_load_m((const float *)b, m) : load_b(b);
        vf b1 = nv == 1 ? v_zero() : loose ? v_load_m((const float *)b + VW, m) : load_b(b + VW * B_STEP);
        FW_UNROLL(16)
        for (int i = 0; i < mr; i++) {
            va ai = value_of(a, rs, i, near);
            acc[i][0] = v_step(ai, b0, acc[i][0]);
            if (nv == 2) {
                acc[i][1] = v_step(ai, b1, acc[i][1]);
            }
            KEEP_IN_LOOP(acc[i][0], acc[i][1]);
        }
        a += cs;
        b += loose ? t->bs : NR * B_STEP;
    }
#endif
    FW_UNROLL(16)
    for (int i = 0; i < mr; i++) {
        KEEP_AT_EXIT(acc[i][0], acc[i][1]);
    }
    put_tile(mr, nv, t, acc);
}

/* packed: A and B packed. direct: A where it lies. loose: B where it lies, too. */
#define PACKED_TILE(mr)                                                                                                \
    static void packed_##mr##_1(const tile *t) {                                                                       \
        micro(mr, 1, t, 1, mr, mr, false);                                                                             \
    }                                                                                                                  \
    static void packed_##mr##_2(const tile *t) {                                                                       \
        micro(mr, 2, t, 1, mr, mr, false);                                                                             \
    }
#if defined(FW_FORWARD)
#define MICRO(mr) PACKED_TILE(mr)
#define MICRO_ROW(mr)                                                                                                  \
    {                                                                                                                  \
        {packed_##mr##_1, packed_##mr##_2}, {NULL, NULL}, {                                                            \
            NULL, NULL                                                                                                 \
        }                                                                                                              \
    }
#else
#define MICRO(mr)                                                                                                      \
    PACKED_TILE(mr)                                                                                                    \
    static void direct_##mr##_1(const tile *t) {                                                                       \
        micro(mr, 1, t, t->rs, t->cs, 0, false);                                                                       \
    }                                                                                                                  \
    static void direct_##mr##_2(const tile *t) {                                                                       \
        micro(mr, 2, t, t->rs, t->cs, 0, false);                                                                       \
    }                                                                                                                  \
    static void loose_##mr##_1(const tile *t) {                                                                        \
        micro(mr, 1, t, 1, t->cs, mr / 4 * 4, true);                                                                   \
    }                                                                                                                  \
    static void loose_##mr##_2(const tile *t) {                                                                        \
        micro(mr, 2, t, 1, t->cs, mr / 4 * 4, true);                                                                   \
    }
#define MICRO_ROW(mr)                                                                                                  \
    {                                                                                                                  \
        {packed_##mr##_1, packed_##mr##_2}, {direct_##mr##_1, direct_##mr##_2}, {                                      \
            loose_##mr##_1, loose_##mr##_2                                                                             \
        }                                                                                                              \
    }
#endif

MICRO(1)
MICRO(2)
MICRO(3)
MICRO(4)
#if !defined(FW_X4)
MICRO(5)
MICRO(6)
#endif
#if defined(__AVX512F__)
MICRO(7)
MICRO(8)
MICRO(9)
MICRO(10)
MICRO(11)
MICRO(12)
MICRO(13)
MICRO(14)
#endif

enum { PACKED, DIRECT, LOOSE, N_MODE };
/* [rows - 1][mode][vectors - 1] */
static micro_fn *const micro_table[MR][N_MODE][2] = {
    MICRO_ROW(1), MICRO_ROW(2), MICRO_ROW(3), MICRO_ROW(4),
#if !defined(FW_X4)
    MICRO_ROW(5), MICRO_ROW(6),
#endif
#if defined(__AVX512F__)
    MICRO_ROW(7), MICRO_ROW(8), MICRO_ROW(9), MICRO_ROW(10), MICRO_ROW(11), MICRO_ROW(12), MICRO_ROW(13), MICRO_ROW(14),
#endif
};

/* ---- epilogue of a tile that lies in c, hot in the first cache ---- */

FW_UNFOLD void epi_row(const fw_act act, float *c, const float *bias, float *pre, const float *res, int64_t n) {
    for (int64_t j = 0; j < n; j += VW) {
        vm m = v_tail(n - j);
        vf x = v_load_m(c + j, m);
        if (bias != NULL) {
            x = v_add(x, v_load_m(bias + j, m));
        }
        if (pre != NULL) {
            v_store_m(pre + j, x, m);
        }
        x = v_act(act, x);
        if (res != NULL) {
            x = v_add(x, v_load_m(res + j, m));
        }
        v_store_m(c + j, x, m);
    }
}

static void epi_tile(const fw_epi *e, float *c, int64_t ldc, int64_t row, int64_t col, int64_t m, int64_t n) {
    const float *bias = e->bias != NULL ? e->bias + col : NULL;
    for (int64_t i = 0; i < m; i++) {
        float *pre = e->pre != NULL ? e->pre + (row + i) * e->ld_pre + col : NULL;
        const float *res = e->residual != NULL ? e->residual + (row + i) * e->ld_residual + col : NULL;
#define BODY(a) epi_row(a, c + i * ldc, bias, pre, res, n)
        FW_EACH_ACT(e->act, BODY)
#undef BODY
    }
}

#if !defined(FW_INT8)
/* ---- packing ---- */

/* dst[kk*ld + i] = unit kk of src row i, for i < rows <= VW and k values a row. Writes whole vectors in ascending kk: each
 * covers the overhang of the one before, so dst needs VW floats of slack behind it. Lanes past `rows` become zeros. */
static void transpose_block(float *dst, int64_t ld, const float *src, int64_t lds, int64_t rows, int64_t k) {
    for (int64_t kk = 0; kk < units(k); kk += VW) {
        vf r[VW];
        FW_UNROLL(16)
        for (int i = 0; i < VW; i++) {
            r[i] = i < rows ? load_units(src + i * lds + kk * U, k - kk * U) : v_zero();
        }
        v_transpose(r);
        int64_t live = units(k) - kk < VW ? units(k) - kk : VW;
        if (live == VW) {
            FW_UNROLL(16)
            for (int i = 0; i < VW; i++) {
                v_store(dst + (kk + i) * ld, r[i]);
            }
        } else {
            for (int64_t i = 0; i < live; i++) {
                v_store(dst + (kk + i) * ld, r[i]);
            }
        }
    }
}

/* dst[kk*ld + i] = unit kk of src column i, for i < w <= VW; the same overhang. */
static void copy_block(float *dst, int64_t ld, const float *src, int64_t lds, int64_t w, int64_t k) {
    vm m = v_tail(w);
    for (int64_t kk = 0; kk < units(k); kk++) {
        const float *p = src + kk * U * lds;
#if defined(FW_BF16)
        v_store(dst + kk * ld, join_rows(v_load_m(p, m), kk * U + 1 < k ? v_load_m(p + lds, m) : v_zero()));
#else
        v_store(dst + kk * ld, v_load_m(p, m));
#endif
    }
}

static void pack_panels(float *dst, const float *b, int64_t ldb, fw_layout layout, int64_t n, int64_t k, int64_t n0,
                        int64_t n1) {
    for (int64_t j = n0; j < n1; j += NR) {
        for (int half = 0; half < 2; half++) {
            int64_t col = j + half * VW, w = n - col < 0 ? 0 : n - col < VW ? n - col : VW;
            float *p = dst + j * units(k) + half * VW;
            if (layout == FW_NK) {
                transpose_block(p, NR, b + (w > 0 ? col : 0) * ldb, ldb, w, k);
            } else {
                copy_block(p, NR, b + (w > 0 ? col : 0), ldb, w, k);
            }
        }
    }
}

/* One tile of A: dst[kk*mr + i]. */
static void pack_a_tile(float *dst, const float *a, int64_t lda, bool trans_a, int64_t mr, int64_t k) {
    if (trans_a) {
        copy_block(dst, mr, a, lda, mr, k);
    } else {
        transpose_block(dst, mr, a, lda, mr, k);
    }
}
#endif

/* ---- the loops around ---- */

typedef struct block {
    const fw_gemm *g;
    int64_t k_packed;           /* depth of the packed B: >= g->k */
    int64_t ldb;                /* > 0: B is not packed, this is its row stride; A is transposed and not packed */
    int64_t row0, rows, n_tile; /* of C */
    int64_t from;               /* first column */
    int64_t k0, kn, ik;         /* in units; which block of k */
    bool pack, first, last;
    float *packed; /* tiles of A, each rows*kn floats; FW_INT8: one block of k behind the other, each with slack */
    fw_q8 *scales; /* FW_INT8: [rows] */
} block;

#if defined(FW_INT8)
/* All of k at the first block: a row is read from afar once, for its scale, and again while it is near. */
static void pack_a(const block *s) {
    const fw_gemm *g = s->g;
    int64_t depth = units(g->k), n_block = k_blocks(depth);
    const float *smooth = q8_smooth(g);
    for (int64_t t = 0; t < s->n_tile && s->first; t++) {
        int64_t r = deal(s->rows, s->n_tile, t), mr = deal(s->rows, s->n_tile, t + 1) - r, row = s->row0 + r;
        const float *a = g->trans_a ? g->a + row : g->a + row * g->lda;
        fw_q8 *q = s->scales + r;
        scale_rows(q, a, g->lda, g->trans_a, mr, g->k, smooth);
        for (int64_t ik = 0; ik < n_block; ik++) {
            int64_t from = deal_k(depth, n_block, ik), kn = deal_k(depth, n_block, ik + 1) - from, k0 = from * U;
            float *dst = s->packed + s->rows * from + ik * VW + r * kn;
            pack_a_tile(dst, a + (g->trans_a ? k0 * g->lda : k0), g->lda, g->trans_a, mr,
                        kn * U < g->k - k0 ? kn * U : g->k - k0, q, smooth != NULL ? smooth + k0 : NULL);
        }
    }
}
#else
static void pack_a(const block *s) {
    const fw_gemm *g = s->g;
    for (int64_t t = 0; t < s->n_tile; t++) {
        int64_t r = deal(s->rows, s->n_tile, t), mr = deal(s->rows, s->n_tile, t + 1) - r, row = s->row0 + r;
        int64_t k0 = s->k0 * U, left = g->k - k0;
        const float *a = g->trans_a ? g->a + k0 * g->lda + row : g->a + row * g->lda + k0;
        pack_a_tile(s->packed + r * s->kn, a, g->lda, g->trans_a, mr, left < s->kn * U ? left : s->kn * U);
    }
}
#endif

/* The epilogue needs a pass of its own: it has more than bias, clamp and residual. */
FW_INLINE bool is_heavy(const fw_epi *e) {
    return e->pre != NULL || !(e->act == FW_ACT_NONE || e->act == FW_ACT_RELU || e->act == FW_ACT_RELU6);
}

/* Ask for the rows of the next tile: each is a short stream, which the hardware notices too late. */
static void fetch_rows(const float *a, int64_t lda, int64_t m, int64_t k) {
    for (int64_t i = 0; i < m; i++) {
        for (int64_t kk = 0; kk < k; kk += 16) {
            __builtin_prefetch(a + i * lda + kk, 0, 2);
        }
    }
}

/* Ask for part i of n of a panel of B that comes next: where few rows pass by, it would come too late from afar. */
FW_INLINE void fetch_panel(const char *b, int64_t bytes, int64_t i, int64_t n) {
    const char *end = b + deal(bytes, n, i + 1);
    for (b += deal(bytes, n, i); b < end; b += 64) {
        __builtin_prefetch(b, 0, 2);
    }
}

static void panel(const block *s, int64_t j, int64_t width) {
    const fw_gemm *g = s->g;
    const fw_epi *e = &g->epi;
    bool heavy = is_heavy(e);
    tile t = {.k = s->kn, .rs = g->trans_a ? 1 : g->lda, .cs = g->trans_a ? g->lda : 1, .ldc = g->ldc, .width = width};
#if defined(FW_INT8)
    const float *packed = s->packed + s->rows * s->k0 + s->ik * VW;
    q8_columns(&t, g, s->k0, s->ik, j);
#else
    const float *packed = s->packed;
    t.b = (const float *)g->b + (s->ldb > 0 ? s->k0 * s->ldb + j : j * units(s->k_packed) + s->k0 * NR);
#endif
    t.bs = s->ldb;
    int mode = s->ldb > 0 ? LOOSE : s->pack ? PACKED : DIRECT;
    t.load_c = !s->first || e->accumulate;
    t.finish = s->last && !heavy;
    t.bias = t.finish && e->bias != NULL ? e->bias + j : NULL;
    t.lo = e->act == FW_ACT_NONE ? -INFINITY : 0.0f;
    t.hi = e->act == FW_ACT_RELU6 ? 6.0f : INFINITY;
    t.ldres = e->ld_residual;
    for (int64_t i = 0; i < s->n_tile; i++) {
        int64_t r = deal(s->rows, s->n_tile, i), mr = deal(s->rows, s->n_tile, i + 1) - r, row = s->row0 + r;
        t.a = s->pack ? packed + r * s->kn : g->a + row * t.rs + s->k0 * t.cs;
        t.sa = s->scales != NULL ? s->scales + r : NULL;
        t.c = g->c + row * g->ldc + j;
        if (mode == DIRECT && j == s->from && !g->trans_a) {
            fetch_rows(g->a + (row + mr) * g->lda + s->k0, g->lda, i + 1 < s->n_tile ? mr : 0, s->kn);
        }
        t.res = t.finish && e->residual != NULL ? e->residual + row * e->ld_residual + j : NULL;
#if !defined(FW_INT8)
        if (mode != LOOSE && width == NR) {
            fetch_panel((const char *)((const float *)t.b + units(s->k_packed) * NR), s->kn * NR * 4, i, s->n_tile);
        }
#endif
        micro_table[mr - 1][mode][width > VW](&t);
        if (s->last && heavy) {
            epi_tile(e, t.c, g->ldc, row, j, mr, width);
        }
    }
}

static void block_run(const block *s, int64_t n0, int64_t n1) {
    if (s->pack) {
        pack_a(s);
    }
    for (int64_t j = n0; j < n1; j += NR) {
        panel(s, j, n1 - j < NR ? n1 - j : NR);
    }
}

/* Several panels pay for the pass over A; so do rows that lie a multiple of 2 KiB apart, which would evict each other from
 * the same sets of the first cache, and a transposed A, which jumps a row at every step. */
static bool worth_packing(const fw_gemm *g, int64_t n) {
    return U > 1 || (n > 64 && g->k >= PACK_K) || (g->k >= 128 && g->lda % 512 == 0) || (g->trans_a && n > NR);
}

static void gemm_blocks(const fw_gemm *g, block s) {
    int64_t n1 = g->n0 == 0 && g->n1 == 0 ? g->n : g->n1;
    int64_t depth = units(g->k), kb = k_blocks(depth), mb = (g->m + rows_at_once(depth) - 1) / rows_at_once(depth);
    s.g = g;
    s.from = g->n0;
    s.pack = s.ldb == 0 && worth_packing(g, n1 - g->n0);
    for (int64_t ib = 0; ib < mb; ib++) {
        s.row0 = deal(g->m, mb, ib);
        s.rows = deal(g->m, mb, ib + 1) - s.row0;
        s.n_tile = (s.rows + MR - 1) / MR;
        for (int64_t ik = 0; ik < kb; ik++) {
            s.k0 = deal_k(depth, kb, ik);
            s.kn = deal_k(depth, kb, ik + 1) - s.k0;
            s.ik = ik;
            s.first = ik == 0;
            s.last = ik == kb - 1;
            block_run(&s, g->n0, n1);
        }
    }
}

#if !defined(FW_INT8)
static void gemm_f32(const fw_gemm *g, void *scratch) {
    gemm_blocks(g, (block){.k_packed = g->k, .packed = scratch});
}
#endif

#if !defined(FW_INT8)
/* With the first g->k rows of a B packed k_packed deep. */
static void gemm_deep(const fw_gemm *g, int64_t k_packed, void *scratch) {
    gemm_blocks(g, (block){.k_packed = k_packed, .packed = scratch});
}
#endif

#if !defined(FW_FORWARD)
/* C[m,n] += A^T B, A [k,m] and B [k,n] as they lie, k long and m, n small: packing would cost as much as it gives. */
static void gemm_loose(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
                       float *c, int64_t ldc) {
    fw_gemm g = {.m = m,
                 .n = n,
                 .k = k,
                 .a = a,
                 .lda = lda,
                 .trans_a = true,
                 .b = b,
                 .c = c,
                 .ldc = ldc,
                 .epi = {.accumulate = true}};
    gemm_blocks(&g, (block){.ldb = ldb});
}
#endif

#if defined(FW_INT8)
static void gemm_f32(const fw_gemm *g, void *scratch) {
    gemm_blocks(g, (block){.scales = scratch, .packed = (float *)scratch + Q8_SCALES});
}

static size_t gemm_scratch(int64_t m, int64_t k, bool trans_a) {
    (void)trans_a;
    int64_t most = rows_at_once(units(k)), rows = m < most ? m : most;
    return ((size_t)(rows * units(k) + k_blocks(units(k)) * VW) + Q8_SCALES + VW) * sizeof(float);
}
#else
static size_t gemm_scratch(int64_t m, int64_t k, bool trans_a) {
    (void)trans_a;
    int64_t rows = m < MC ? m : MC, depth = units(k) < KC ? units(k) : KC;
    return ((size_t)(rows * depth) + 2 * VW) * sizeof(float);
}

static size_t gemm_pack_bytes(int64_t n, int64_t k) {
    return fw_pack_bytes(n, units(k), NR);
}

static void gemm_pack(void *dst, const float *b, int64_t ldb, fw_layout layout, int64_t n, int64_t k, int64_t n0,
                      int64_t n1) {
    pack_panels(dst, b, ldb, layout, n, k, n0, n1);
}

/* Nothing is quantised here: the scales would cancel. */
static void gemm_pack_smooth(void *dst, const float *b, int64_t ldb, fw_layout layout, int64_t n, int64_t k, int64_t n0,
                             int64_t n1, const float *smooth) {
    (void)smooth;
    gemm_pack(dst, b, ldb, layout, n, k, n0, n1);
}
#endif

#endif /* FW_KERN_GEMM_VEC_INT_H */
