/*
 * gemm_int8_vec_int.h - operands as small integers for the loops of gemm_vec_int.h, which includes this file under FW_INT8.
 *
 * gemm_int8_scalar.c specifies the quantisation; here it happens while packing: B once, with a scale for each column, A whenever
 * a tile of it is packed, with a scale for each row. A 32-bit unit of A meets a unit of B in every column:
 *
 *   avx512 + VNNI  4 values; A as bytes + 128 (the instruction multiplies unsigned by signed), so 128 * the column's sum of B
 *                  over the block of k comes off at the end: `comp`, counted at packing
 *   neon           4 values, signed bytes on both sides: sdot where there is one, else products of 16 bits added by pairs
 *   avx2           2 values, A as 16-bit integers, B widened from bytes on its way into registers: products of pairs then add up
 *                  without the saturation of the byte instruction
 *   avx2 + VNNI    as avx512, in vectors of half the size (Intel's CPUs without AVX-512)
 *   avx2 + FW_X4   4 values, A as bytes + 110, two units of k at a time ("int8x4": their products add up in 16 bits)
 *
 * Sums are exact within a block of k (768 to 1536 values); blocks add up in float. A packed B is
 *
 *   [64 bytes: is there smoothing?] [1/smooth: k floats] [scales: n floats] [comp: k_blocks * n] [panels: NR columns * U bytes a unit]
 */
#ifndef FW_KERN_GEMM_INT8_VEC_INT_H
#define FW_KERN_GEMM_INT8_VEC_INT_H
#if defined(FW_INT8) /* else there is nothing here */

enum { Q8_SCALES = (MC * (int)sizeof(fw_q8) + 63) / 64 * 16 }; /* floats of scratch: a scale for each row of a block */

#if defined(__AVX512F__)
typedef __m512i vi;
enum { OFFSET = 128 };
FW_INLINE vi i_zero(void) {
    return _mm512_setzero_si512();
}
FW_INLINE vi i_set1(int32_t x) {
    return _mm512_set1_epi32(x);
}
FW_INLINE vi i_step(vi a, vi b, vi c) {
    return _mm512_dpbusd_epi32(c, a, b);
}
FW_INLINE vi load_bytes(const int8_t *p) {
    return _mm512_loadu_si512(p);
}
FW_INLINE vf i_float(vi x) {
    return _mm512_cvtepi32_ps(x);
}
FW_INLINE vi i_sub(vi a, vi b) {
    return _mm512_sub_epi32(a, b);
}
FW_INLINE vi v_round_int(vf x) {
    return _mm512_cvtps_epi32(x);
}
/* Magnitudes order as integers, with NaN above infinity. */
FW_INLINE vi abs_max(vi best, vf x) {
    return _mm512_max_epu32(best, _mm512_castps_si512(v_abs(x)));
}
/* q[i]: 16 values each, 64 in all -> their 16 units, unit u at lane lane_of(u) */
FW_INLINE vi narrow(const vi q[U]) {
    return _mm512_packs_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
}
FW_INLINE int lane_of(int u) {
    return u % 4 * 4 + u / 4;
}
/* q[i]: value i of 16 units */
FW_INLINE vi join(const vi q[U]) {
    const vi byte = _mm512_set1_epi32(255);
    vi lo = _mm512_or_si512(_mm512_and_si512(q[0], byte), _mm512_slli_epi32(_mm512_and_si512(q[1], byte), 8));
    return _mm512_or_si512(
        lo, _mm512_or_si512(_mm512_slli_epi32(_mm512_and_si512(q[2], byte), 16), _mm512_slli_epi32(q[3], 24)));
}
FW_INLINE void store_a(void *p, vi u) { /* + 128 in every byte */
    _mm512_storeu_si512(p, _mm512_xor_si512(u, _mm512_set1_epi32((int)0x80808080u)));
}
FW_INLINE void store_b(void *p, vi u) {
    _mm512_storeu_si512(p, u);
}
FW_INLINE void i_store(void *p, vi x) {
    _mm512_storeu_si512(p, x);
}
FW_INLINE vi as_int(vf x) {
    return _mm512_castps_si512(x);
}
FW_INLINE vf as_float(vi x) {
    return _mm512_castsi512_ps(x);
}
FW_INLINE vi i_load(const void *p) {
    return _mm512_loadu_si512(p);
}
#elif defined(__aarch64__)
typedef struct vi {
    int32x4_t lo, hi;
} vi;
enum { OFFSET = 0 };
FW_INLINE vi i_zero(void) {
    return (vi){vdupq_n_s32(0), vdupq_n_s32(0)};
}
FW_INLINE vi i_load(const void *p) {
    return (vi){vld1q_s32(p), vld1q_s32((const int32_t *)p + 4)};
}
FW_INLINE void i_store(void *p, vi x) {
    vst1q_s32(p, x.lo);
    vst1q_s32((int32_t *)p + 4, x.hi);
}
FW_INLINE vi as_int(vf x) {
    return (vi){vreinterpretq_s32_f32(x.lo), vreinterpretq_s32_f32(x.hi)};
}
FW_INLINE vf as_float(vi x) {
    return (vf){vreinterpretq_f32_s32(x.lo), vreinterpretq_f32_s32(x.hi)};
}
FW_INLINE vi load_bytes(const int8_t *p) {
    return (vi){vreinterpretq_s32_s8(vld1q_s8(p)), vreinterpretq_s32_s8(vld1q_s8(p + 16))};
}
FW_INLINE vf i_float(vi x) {
    return (vf){vcvtq_f32_s32(x.lo), vcvtq_f32_s32(x.hi)};
}
FW_INLINE vi i_sub(vi a, vi b) {
    return (vi){vsubq_s32(a.lo, b.lo), vsubq_s32(a.hi, b.hi)};
}
FW_INLINE vi v_round_int(vf x) {
    return (vi){vcvtnq_s32_f32(x.lo), vcvtnq_s32_f32(x.hi)};
}
FW_INLINE int32x4_t quad_abs_max(int32x4_t best, float32x4_t x) {
    return vreinterpretq_s32_u32(vmaxq_u32(vreinterpretq_u32_s32(best), vreinterpretq_u32_f32(vabsq_f32(x))));
}
FW_INLINE vi abs_max(vi best, vf x) {
    return (vi){quad_abs_max(best.lo, x.lo), quad_abs_max(best.hi, x.hi)};
}
FW_INLINE int32x4_t quad_narrow(vi a, vi b) { /* 16 values */
    const int16x8_t low = vqmovn_high_s32(vqmovn_s32(a.lo), a.hi), high = vqmovn_high_s32(vqmovn_s32(b.lo), b.hi);
    return vreinterpretq_s32_s8(vqmovn_high_s16(vqmovn_s16(low), high));
}
FW_INLINE vi narrow(const vi q[U]) {
    return (vi){quad_narrow(q[0], q[1]), quad_narrow(q[2], q[3])};
}
FW_INLINE int lane_of(int u) {
    return u;
}
FW_INLINE vi join(const vi q[U]) { /* each shift keeps the bytes under it */
    const int32x4_t lo = vsliq_n_s32(vsliq_n_s32(q[0].lo, q[1].lo, 8), q[2].lo, 16);
    const int32x4_t hi = vsliq_n_s32(vsliq_n_s32(q[0].hi, q[1].hi, 8), q[2].hi, 16);
    return (vi){vsliq_n_s32(lo, q[3].lo, 24), vsliq_n_s32(hi, q[3].hi, 24)};
}
FW_INLINE void store_a(void *p, vi u) {
    i_store(p, u);
}
FW_INLINE void store_b(void *p, vi u) {
    i_store(p, u);
}
/* c += the products of b's bytes by those of lane `lane` of a, four to a sum */
#if defined(__ARM_FEATURE_DOTPROD)
FW_INLINE int32x4_t quad_step(int32x4_t c, int32x4_t b, int8x16_t a, int lane) {
    const int8x16_t bytes = vreinterpretq_s8_s32(b);
    switch (lane) {
    case 0:
        return vdotq_laneq_s32(c, bytes, a, 0);
    case 1:
        return vdotq_laneq_s32(c, bytes, a, 1);
    case 2:
        return vdotq_laneq_s32(c, bytes, a, 2);
    default:
        return vdotq_laneq_s32(c, bytes, a, 3);
    }
}
#else
FW_INLINE int32x4_t quad_step(int32x4_t c, int32x4_t b, int8x16_t a, int lane) {
    const int8x16_t bytes = vreinterpretq_s8_s32(b),
                    x = vreinterpretq_s8_s32(vdupq_n_s32(vreinterpretq_s32_s8(a)[lane]));
    const int16x8_t low = vmull_s8(vget_low_s8(bytes), vget_low_s8(x)), high = vmull_high_s8(bytes, x);
    return vpadalq_s16(c, vpaddq_s16(low, high)); /* two products of 127 x 127 fit 16 bits */
}
#endif
FW_INLINE vf v_step(va a, vf b, vf c) {
    const int8x16_t bytes = vreinterpretq_s8_f32(a.q);
    const vi from = as_int(b), to = as_int(c);
    return as_float((vi){quad_step(to.lo, from.lo, bytes, a.lane), quad_step(to.hi, from.hi, bytes, a.lane)});
}
#else
typedef __m256i vi;
FW_INLINE vi i_zero(void) {
    return _mm256_setzero_si256();
}
FW_INLINE vi i_set1(int32_t x) {
    return _mm256_set1_epi32(x);
}
FW_INLINE vf i_float(vi x) {
    return _mm256_cvtepi32_ps(x);
}
FW_INLINE vi i_sub(vi a, vi b) {
    return _mm256_sub_epi32(a, b);
}
FW_INLINE vi v_round_int(vf x) {
    return _mm256_cvtps_epi32(x);
}
FW_INLINE vi abs_max(vi best, vf x) {
    return _mm256_max_epu32(best, _mm256_castps_si256(v_abs(x)));
}
#if defined(FW_X4) || defined(__AVXVNNI__)
#if defined(FW_X4)
enum { OFFSET = FW_X4_MOST };
FW_INLINE vi i_step(vi a, vi b, vi c) {
    return _mm256_add_epi32(c, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)));
}
#else
enum { OFFSET = 128 };
FW_INLINE vi i_step(vi a, vi b, vi c) {
    return _mm256_dpbusd_avx_epi32(c, a, b);
}
#endif
FW_INLINE vi load_bytes(const int8_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
FW_INLINE vi narrow(const vi q[U]) { /* 8 values each */
    return _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
}
FW_INLINE int lane_of(int u) {
    return u % 2 * 4 + u / 2;
}
FW_INLINE vi join(const vi q[U]) {
    const vi byte = _mm256_set1_epi32(255);
    vi lo = _mm256_or_si256(_mm256_and_si256(q[0], byte), _mm256_slli_epi32(_mm256_and_si256(q[1], byte), 8));
    return _mm256_or_si256(
        lo, _mm256_or_si256(_mm256_slli_epi32(_mm256_and_si256(q[2], byte), 16), _mm256_slli_epi32(q[3], 24)));
}
FW_INLINE void store_a(void *p, vi u) {
    _mm256_storeu_si256((__m256i *)p, _mm256_add_epi8(u, _mm256_set1_epi8((char)OFFSET)));
}
FW_INLINE void store_b(void *p, vi u) {
    _mm256_storeu_si256((__m256i *)p, u);
}
#else
enum { OFFSET = 0 };
FW_INLINE vi i_step(vi a, vi b, vi c) {
    return _mm256_add_epi32(c, _mm256_madd_epi16(a, b));
}
FW_INLINE vi load_bytes(const int8_t *p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}
FW_INLINE vi narrow(const vi q[U]) { /* 8 values each */
    return _mm256_packs_epi32(q[0], q[1]);
}
FW_INLINE int lane_of(int u) {
    return u % 4 < 2 ? u % 4 + u / 4 * 2 : u % 4 + 2 + u / 4 * 2;
}
FW_INLINE vi join(const vi q[U]) {
    return _mm256_or_si256(_mm256_and_si256(q[0], _mm256_set1_epi32(0xFFFF)), _mm256_slli_epi32(q[1], 16));
}
FW_INLINE void store_a(void *p, vi u) {
    _mm256_storeu_si256((__m256i *)p, u);
}
FW_INLINE void store_b(void *p, vi u) { /* 16 bits -> 8 */
    vi bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(u, u), 0x08);
    _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(bytes));
}
#endif
FW_INLINE void i_store(void *p, vi x) {
    _mm256_storeu_si256((__m256i *)p, x);
}
FW_INLINE vi as_int(vf x) {
    return _mm256_castps_si256(x);
}
FW_INLINE vf as_float(vi x) {
    return _mm256_castsi256_ps(x);
}
FW_INLINE vi i_load(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}
#endif

/* ---- what the micro-kernel needs: sums are integers in vectors that are called float ---- */

typedef int8_t b_value;
enum { B_STEP = U }; /* of them in a unit */
#if !defined(__aarch64__)
FW_INLINE vf v_step(vf a, vf b, vf c) {
    return as_float(i_step(as_int(a), as_int(b), as_int(c)));
}
#endif
FW_INLINE vf load_b(const b_value *p) {
    return as_float(load_bytes(p));
}

/* The compiler would keep a sum twice, as the integers that leave the loop and as the floats that stay, and spill. */
#if defined(FW_EMULATED) /* tools/emulate_avx512.sh: no such registers */
#define KEEP_IN_LOOP(x, y)
#define KEEP_AT_EXIT(x, y)
#elif defined(__aarch64__)
#define KEEP_IN_LOOP(x, y)
#define KEEP_AT_EXIT(x, y) __asm__ volatile("" : "+w"((x).lo), "+w"((x).hi), "+w"((y).lo), "+w"((y).hi))
#elif defined(__AVX512F__)
#define KEEP_IN_LOOP(x, y)
#define KEEP_AT_EXIT(x, y) __asm__ volatile("" : "+v"(x), "+v"(y))
#else /* nothing of the next row starts before: with 16 registers its loads would be hoisted, and sums spilled */
#define KEEP_IN_LOOP(x, y) __asm__ volatile("" : "+x"(x), "+x"(y))
#define KEEP_AT_EXIT(x, y) __asm__ volatile("" : "+x"(x), "+x"(y))
#endif

#if defined(FW_X4)
/* Two units of k a step: four products of a column in each 16-bit lane, then in pairs into 32 bits. k of a tile is even. */
FW_UNFOLD void sums(const int mr, const int nv, const tile *t, vf acc[MR][2]) {
    const vi one = _mm256_set1_epi16(1);
    const int32_t *a = (const int32_t *)(const void *)t->a;
    const int8_t *b = t->b;
    for (int64_t kk = t->k; kk > 0; kk -= 2, a += 2 * mr, b += 2 * NR * U) {
        FW_UNROLL(16)
        for (int i = 0; i < mr; i++) {
            const vi x = i_set1(a[i]), y = i_set1(a[mr + i]);
            vi s = _mm256_add_epi16(_mm256_maddubs_epi16(x, load_bytes(b)),
                                    _mm256_maddubs_epi16(y, load_bytes(b + NR * U)));
            acc[i][0] = as_float(_mm256_add_epi32(as_int(acc[i][0]), _mm256_madd_epi16(s, one)));
            if (nv == 2) {
                s = _mm256_add_epi16(_mm256_maddubs_epi16(x, load_bytes(b + VW * U)),
                                     _mm256_maddubs_epi16(y, load_bytes(b + (NR + VW) * U)));
                acc[i][1] = as_float(_mm256_add_epi32(as_int(acc[i][1]), _mm256_madd_epi16(s, one)));
            }
            KEEP_IN_LOOP(acc[i][0], acc[i][1]);
        }
    }
}
#endif

/* What the sum of row i and the columns of vector h stands for. */
FW_INLINE vf sum_value(const tile *t, vf sum, int i, int h) {
    vi exact = OFFSET != 0 ? i_sub(as_int(sum), i_load(t->comp + h * VW)) : as_int(sum);
    return v_mul(v_mul(i_float(exact), v_set1(t->sa[i].scale)), v_load(t->sb + h * VW));
}

/* ---- where things lie in a packed B ---- */

typedef struct q8_layout {
    size_t smooth, scale, comp, panel, bytes;
    int64_t columns; /* n, rounded up to whole panels */
} q8_layout;

static q8_layout q8_layout_of(int64_t n, int64_t k) {
    q8_layout l = {.smooth = 64, .columns = (n + NR - 1) / NR * NR};
    l.scale = l.smooth + ((size_t)k * sizeof(float) + 63) / 64 * 64;
    l.comp = l.scale + (size_t)l.columns * sizeof(float);
    l.panel = l.comp + (size_t)(OFFSET != 0 ? k_blocks(units(k)) * l.columns : 0) * sizeof(int32_t);
    l.bytes = l.panel + (size_t)(l.columns * units(k) * U) + 64;
    return l;
}

static size_t gemm_pack_bytes(int64_t n, int64_t k) {
    const int64_t most = (int64_t)1 << 40;
    return n < 0 || k < 0 || n > most || k > most || fw_pack_bytes(n, k, NR) == 0 ? 0 : q8_layout_of(n, k).bytes;
}

/* 1/smooth of g's packed B, or NULL. */
static const float *q8_smooth(const fw_gemm *g) {
    int32_t is_smooth = 0;
    memcpy(&is_smooth, g->b, sizeof is_smooth);
    return is_smooth != 0 ? (const float *)((const char *)g->b + q8_layout_of(g->n, g->k).smooth) : NULL;
}

/* Columns from j, from unit k0 of k block ik. */
static void q8_columns(tile *t, const fw_gemm *g, int64_t k0, int64_t ik, int64_t j) {
    q8_layout l = q8_layout_of(g->n, g->k);
    const char *b = g->b;
    t->sb = (const float *)(b + l.scale) + j;
    t->comp = (const int32_t *)(b + l.comp) + ik * l.columns + j;
    t->b = b + l.panel + (j * units(g->k) + k0 * NR) * U;
}

/* ---- scales ---- */

FW_INLINE vf smoothed(vf x, const float *smooth, int64_t at, vm m) {
    return smooth != NULL ? v_mul(x, v_load_m(smooth + at, m)) : x;
}

/* The largest magnitude of a row. */
static float row_max(const float *p, int64_t n, const float *smooth) {
    vi best[2] = {i_zero(), i_zero()};
    for (int64_t j = 0; j < n; j += 2 * VW) {
        vm m0 = v_tail(n - j), m1 = v_tail(n - j - VW < 0 ? 0 : n - j - VW);
        best[0] = abs_max(best[0], smoothed(v_load_m(p + j, m0), smooth, j, m0));
        best[1] = abs_max(best[1], smoothed(v_load_m(p + j + VW, m1), smooth, j + VW, m1));
    }
    float lane[VW], max;
    v_store(lane, as_float(abs_max(best[0], as_float(best[1]))));
    uint32_t bits = 0, x = 0;
    for (int i = 0; i < VW; i++) {
        memcpy(&x, &lane[i], sizeof x);
        bits = x > bits ? x : bits;
    }
    memcpy(&max, &bits, sizeof max);
    return max;
}

/* Those of w <= VW columns. */
static void column_max(const float *p, int64_t ld, int64_t w, int64_t k, const float *smooth, float max[VW]) {
    vi best = i_zero();
    vm m = v_tail(w);
    for (int64_t kk = 0; kk < k; kk++) {
        vf x = v_load_m(p + kk * ld, m);
        best = abs_max(best, smooth != NULL ? v_mul(x, v_set1(smooth[kk])) : x);
    }
    v_store(max, as_float(best));
}

#if defined(FW_X4)
FW_INLINE vf four_of(vf most, vf a, vf b, vf c, vf d) {
    const vf zero = v_zero();
    vf up = v_add(v_add(v_max(a, zero), v_max(c, zero)), v_add(v_max(b, zero), v_max(d, zero)));
    vf down = v_add(v_add(v_min(a, zero), v_min(c, zero)), v_add(v_min(b, zero), v_min(d, zero)));
    return v_max(v_sub(zero, down), v_max(up, most));
}

/* The largest four (gemm_int8_scalar.c) of w <= VW columns. */
static void column_four(const float *p, int64_t ld, int64_t w, int64_t k, const float *smooth, float most[VW]) {
    vf best = v_zero();
    vm m = v_tail(w);
    for (int64_t kk = 0; kk < k; kk += 8) {
        vf x[8];
        for (int64_t i = 0; i < 8; i++) {
            x[i] = kk + i < k ? v_load_m(p + (kk + i) * ld, m) : v_zero();
            x[i] = smooth != NULL && kk + i < k ? v_mul(x[i], v_set1(smooth[kk + i])) : x[i];
        }
        best = four_of(four_of(best, x[0], x[1], x[4], x[5]), x[2], x[3], x[6], x[7]);
    }
    v_store(most, best);
}

static float row_four(const float *p, int64_t k, const float *smooth) {
    vf best = v_zero();
    for (int64_t j = 0; j < k; j += VW) {
        const vm m = v_tail(k - j);
        const vf x = smoothed(v_load_m(p + j, m), smooth, j, m), zero = v_zero();
        vf up = v_max(x, zero), down = v_sub(zero, v_min(x, zero));
        up = v_add(up, _mm256_permute2f128_ps(up, up, 1)); /* i and i + 4 */
        down = v_add(down, _mm256_permute2f128_ps(down, down, 1));
        best = v_max(best, _mm256_hadd_ps(up, down));
    }
    return v_hmax(best);
}

static fw_q8 a_scale(float max) {
    return fw_q8_to(max, (float)FW_X4_MOST);
}

/* Those of `columns` <= VW columns of B, which lie as rows of p or as its columns. */
static void scale_columns(fw_q8 *q, const float *p, int64_t ld, bool as_columns, int64_t columns, int64_t k,
                          const float *smooth) {
    float max[VW], four[VW];
    if (as_columns) {
        column_max(p, ld, columns, k, smooth, max);
        column_four(p, ld, columns, k, smooth, four);
    }
    for (int64_t i = 0; i < columns; i++) {
        q[i] = as_columns ? fw_q8_x4(max[i], four[i])
                          : fw_q8_x4(row_max(p + i * ld, k, smooth), row_four(p + i * ld, k, smooth));
    }
}
#else
#define a_scale       fw_q8_of
#define scale_columns scale_rows
#endif

/* For `rows` <= VW lines of k values: rows of p, or its columns. */
static void scale_rows(fw_q8 *q, const float *p, int64_t ld, bool columns, int64_t rows, int64_t k,
                       const float *smooth) {
    float max[VW];
    if (columns) {
        column_max(p, ld, rows, k, smooth, max);
    }
    for (int64_t i = 0; i < rows; i++) {
        q[i] = a_scale(columns ? max[i] : row_max(p + i * ld, k, smooth));
    }
}

/* ---- packing ---- */

/* Units of k values of `rows` <= VW rows, transposed: unit kk of row i at dst + kk*ld + i units. Whole vectors are written, as in
 * transpose_block. */
FW_UNFOLD void units_of_rows(const bool is_a, const bool full, char *dst, int64_t ld, const float *src, int64_t lds,
                             int64_t rows, int64_t k, const fw_q8 *q, const float *smooth) {
    vm m[U];
    FW_UNROLL(4)
    for (int t = 0; t < U; t++) {
        m[t] = v_tail(full ? VW : k - t * VW < 0 ? 0 : k - t * VW);
    }
    vf r[VW];
    FW_UNROLL(16)
    for (int i = 0; i < VW; i++) {
        vi x[U];
        FW_UNROLL(4)
        for (int t = 0; t < U; t++) {
            vf f = i >= rows ? v_zero()
                   : full    ? v_load(src + i * lds + t * VW)
                             : v_load_m(src + i * lds + t * VW, m[t]);
            x[t] = i >= rows ? i_zero() : v_round_int(v_mul(smoothed(f, smooth, t * VW, m[t]), v_set1(q[i].inv)));
        }
        r[i] = as_float(narrow(x));
    }
    v_transpose(r);
    FW_UNROLL(16)
    for (int u = 0; u < VW; u++) {
        if (full || u < units(k)) {
            (is_a ? store_a : store_b)(dst + u * ld, as_int(r[lane_of(u)]));
        }
    }
}

/* The same from columns: unit kk of column i at dst + kk*ld + i units. */
FW_UNFOLD void units_of_columns(const bool is_a, char *dst, int64_t ld, const float *src, int64_t lds, int64_t w,
                                int64_t k, const fw_q8 *q, const float *smooth) {
    float lane[VW] = {0};
    for (int64_t i = 0; i < w; i++) {
        lane[i] = q[i].inv;
    }
    vf inv = v_load(lane);
    vm m = v_tail(w);
    for (int64_t kk = 0; kk < units(k) * U; kk += U, dst += ld) {
        vi x[U];
        FW_UNROLL(4)
        for (int t = 0; t < U; t++) {
            vf f = kk + t < k ? v_load_m(src + (kk + t) * lds, m) : v_zero();
            x[t] = v_round_int(v_mul(smooth != NULL && kk + t < k ? v_mul(f, v_set1(smooth[kk + t])) : f, inv));
        }
        (is_a ? store_a : store_b)(dst, join(x));
    }
}

static void pack_a_tile(float *dst, const float *a, int64_t lda, bool trans_a, int64_t mr, int64_t k, const fw_q8 *q,
                        const float *smooth) {
    const int64_t ld = mr * 4;
    if (trans_a) {
        units_of_columns(true, (char *)dst, ld, a, lda, mr, k, q, smooth);
        return;
    }
    int64_t kk = 0;
    for (; kk + VW * U <= k; kk += VW * U) {
        units_of_rows(true, true, (char *)dst + kk / U * ld, ld, a + kk, lda, mr, VW * U, q,
                      smooth != NULL ? smooth + kk : NULL);
    }
    if (kk < k) {
        units_of_rows(true, false, (char *)dst + kk / U * ld, ld, a + kk, lda, mr, k - kk, q,
                      smooth != NULL ? smooth + kk : NULL);
    }
}

/* Columns [0,w) of b, w <= VW, into one half of a panel. */
static void pack_columns(int8_t *dst, const float *b, int64_t ldb, fw_layout layout, int64_t w, int64_t k,
                         const float *smooth, float *scale) {
    fw_q8 q[VW] = {{0}};
    scale_columns(q, b, ldb, layout == FW_KN, w, k, smooth);
    for (int i = 0; i < VW; i++) {
        scale[i] = q[i].scale;
    }
    if (layout == FW_KN) {
        units_of_columns(false, (char *)dst, NR * U, b, ldb, w, k, q, smooth);
        return;
    }
    for (int64_t kk = 0; kk < k; kk += VW * U) {
        units_of_rows(false, false, (char *)dst + kk * NR, NR * U, b + kk, ldb, w, k - kk, q,
                      smooth != NULL ? smooth + kk : NULL);
    }
}

#if !defined(__aarch64__)
/* What the offset of A adds in block ik of k. */
static void count_offset(int32_t *comp, const int8_t *panel, int64_t k, int64_t ik) {
    int64_t depth = units(k), n = k_blocks(depth);
    vi sum[2] = {i_zero(), i_zero()};
    for (int64_t kk = deal_k(depth, n, ik); kk < deal_k(depth, n, ik + 1); kk++) {
        for (int h = 0; h < 2; h++) {
            sum[h] = i_step(i_set1((int)((unsigned)OFFSET * 0x01010101u)), load_bytes(panel + (kk * NR + h * VW) * U),
                            sum[h]);
        }
    }
    i_store(comp, sum[0]);
    i_store(comp + VW, sum[1]);
}
#endif

static void gemm_pack_smooth(void *dst, const float *b, int64_t ldb, fw_layout layout, int64_t n, int64_t k, int64_t n0,
                             int64_t n1, const float *smooth) {
    q8_layout l = q8_layout_of(n, k);
    char *p = dst;
    if (n0 == 0 && n1 > 0) { /* one of the blocks, so that threads do not write the same */
        memcpy(p, &(int32_t){smooth != NULL}, sizeof(int32_t));
        for (int64_t i = 0; i < k && smooth != NULL; i++) {
            ((float *)(p + l.smooth))[i] = 1.0f / smooth[i];
        }
    }
    for (int64_t j = n0; j < n1; j += NR) {
        int8_t *panel = (int8_t *)p + l.panel + j * units(k) * U;
        for (int h = 0; h < 2; h++) {
            int64_t col = j + h * VW, w = n - col < 0 ? 0 : n - col < VW ? n - col : VW;
            const float *from = w > 0 ? b + (layout == FW_NK ? col * ldb : col) : b;
            pack_columns(panel + h * VW * U, from, ldb, layout, w, k, smooth, (float *)(p + l.scale) + col);
        }
#if !defined(__aarch64__)
        for (int64_t ik = 0; OFFSET != 0 && ik < k_blocks(units(k)); ik++) {
            count_offset((int32_t *)(p + l.comp) + ik * l.columns + j, panel, k, ik);
        }
#endif
    }
}

static void gemm_pack(void *dst, const float *b, int64_t ldb, fw_layout layout, int64_t n, int64_t k, int64_t n0,
                      int64_t n1) {
    gemm_pack_smooth(dst, b, ldb, layout, n, k, n0, n1, NULL);
}

#endif /* FW_INT8 */
#endif /* FW_KERN_GEMM_INT8_VEC_INT_H */
