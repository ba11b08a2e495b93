/*
 * elem_vec_int.h - activations, arithmetic, losses, AdamW and formats on vectors; included once by each set.
 *
 * Activations are within 4e-7 max(|y|, 1) of the double reference, their slopes within 6e-7 (tests/kern/test_elem.c).
 * Long reductions keep float lanes for at most 4096 elements, then go on in double.
 */
#ifndef FW_KERN_ELEM_VEC_INT_H
#define FW_KERN_ELEM_VEC_INT_H

#include "kern/kern_int.h"
#include "kern/vec_int.h"

FW_UNFOLD void act_fwd_all(const fw_act act, const float *x, float *y, int64_t n) {
    int64_t i = 0;
    for (; i + VW <= n; i += VW) {
        v_store(y + i, v_act(act, v_load(x + i)));
    }
    if (i < n) {
        vm m = v_tail(n - i);
        v_store_m(y + i, v_act(act, v_load_m(x + i, m)), m);
    }
}

static void act_fwd(fw_act act, const float *x, float *y, int64_t n){
#define BODY(a) act_fwd_all(a, x, y, n)
    FW_EACH_ACT(act, BODY)
#undef BODY
}

FW_UNFOLD void act_bwd_all(const fw_act act, const float *x, const float *dy, float *dx, bool accumulate, int64_t n) {
    for (int64_t i = 0; i < n; i += VW) {
        vm m = v_tail(n - i);
        vf g = v_mul(v_load_m(dy + i, m), v_act_grad(act, v_load_m(x + i, m)));
        v_store_m(dx + i, accumulate ? v_add(v_load_m(dx + i, m), g) : g, m);
    }
}

static void act_bwd(fw_act act, const float *x, const float *dy, float *dx, bool accumulate, int64_t n) {
#define BODY(a) act_bwd_all(a, x, dy, dx, accumulate, n)
    FW_EACH_ACT(act, BODY)
#undef BODY
}

static void add(const float *x, const float *b, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i += VW) {
        vm m = v_tail(n - i);
        v_store_m(y + i, v_add(v_load_m(x + i, m), v_load_m(b + i, m)), m);
    }
}

static void mul(const float *x, const float *b, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i += VW) {
        vm m = v_tail(n - i);
        v_store_m(y + i, v_mul(v_load_m(x + i, m), v_load_m(b + i, m)), m);
    }
}

static void scale(float a, const float *x, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i += VW) {
        vm m = v_tail(n - i);
        v_store_m(y + i, v_mul(v_set1(a), v_load_m(x + i, m)), m);
    }
}

static void axpy(float a, const float *x, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i += VW) {
        vm m = v_tail(n - i);
        v_store_m(y + i, v_fma(v_set1(a), v_load_m(x + i, m), v_load_m(y + i, m)), m);
    }
}

static double dot(const float *x, const float *y, int64_t n) {
    double total = 0.0;
    for (int64_t b = 0; b < n; b += 4096) {
        int64_t end = b + 4096 < n ? b + 4096 : n, i = b;
        vf s[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
        for (; i + 4 * VW <= end; i += 4 * VW) {
            for (int u = 0; u < 4; u++) {
                s[u] = v_fma(v_load(x + i + u * VW), v_load(y + i + u * VW), s[u]);
            }
        }
        for (; i < end; i += VW) {
            vm m = v_tail(end - i);
            s[0] = v_fma(v_load_m(x + i, m), v_load_m(y + i, m), s[0]);
        }
        total += v_sum_d(v_add(v_add(s[0], s[1]), v_add(s[2], s[3])));
    }
    return total;
}

static double sumsq(const float *x, int64_t n) {
    return dot(x, x, n);
}

FW_INLINE uint32_t mix32(uint32_t x) { /* as in elem_scalar.c: the mask is part of the specification */
    x ^= x >> 16;
    x *= 0x7FEB352Du;
    x ^= x >> 15;
    x *= 0x846CA68Bu;
    return x ^ (x >> 16);
}

/* Blocks of 64: a mask by plain integer code, which the compiler turns into vectors, then a product. */
static void dropout(const float *x, float *y, int64_t n, float p, uint64_t seed, uint64_t first) {
    uint32_t limit = (uint32_t)((double)p * 4294967296.0);
    float keep = 1.0f / (1.0f - p), mask[64];
    for (int64_t i = 0; i < n; i += 64) {
        int64_t live = n - i < 64 ? n - i : 64;
        uint64_t at = first + (uint64_t)i;
        bool carry = (uint32_t)at > UINT32_MAX - 64; /* the high half changes inside the block */
        for (uint32_t u = 0; u < 64; u++) {
            uint32_t high = (uint32_t)((carry ? at + u : at) >> 32);
            uint32_t h = mix32(mix32(((uint32_t)at + u) ^ (uint32_t)seed) + high + (uint32_t)(seed >> 32));
            mask[u] = h >= limit ? keep : 0.0f;
        }
        for (int64_t j = 0; j < live; j += VW) {
            vm m = v_tail(live - j);
            vf k = v_load(mask + j);
            v_store_m(y + i + j, v_sel(v_lt(v_zero(), k), v_mul(v_load_m(x + i + j, m), k), v_zero()), m);
        }
    }
}

/* ---- broadcasting: rows of the last dimension ---- */

FW_INLINE int64_t b_offset(const fw_bcast *s, int64_t outer) {
    int64_t at = 0;
    for (int k = s->n - 2; k >= 0; k--) {
        at += outer % s->d[k] * s->b_stride[k];
        outer /= s->d[k];
    }
    return at;
}

static void bcast(fw_bop op, const fw_bcast *s, const float *x, const float *b, float *y, int64_t i0, int64_t i1) {
    int64_t c = s->n > 0 ? s->d[s->n - 1] : 1, bs = s->n > 0 ? s->b_stride[s->n - 1] : 0;
    for (int64_t i = i0; i < i1; i++) {
        const float *bi = b + b_offset(s, i);
        for (int64_t j = 0; j < c; j += VW) {
            vm m = v_tail(c - j);
            vf v = v_load_m(x + i * c + j, m), w = bs != 0 ? v_load_m(bi + j, m) : v_set1(bi[0]);
            v_store_m(y + i * c + j, op == FW_ADD ? v_add(v, w) : v_mul(v, w), m);
        }
    }
}

static void bcast_reduce(const fw_bcast *s, const float *dy, const float *x, float *db, int64_t i0, int64_t i1) {
    int64_t c = s->n > 0 ? s->d[s->n - 1] : 1, bs = s->n > 0 ? s->b_stride[s->n - 1] : 0;
    for (int64_t i = i0; i < i1; i++) {
        float *o = db + b_offset(s, i);
        vf sum = v_zero();
        for (int64_t j = 0; j < c; j += VW) {
            vm m = v_tail(c - j);
            vf g = v_load_m(dy + i * c + j, m);
            g = x != NULL ? v_mul(g, v_load_m(x + i * c + j, m)) : g;
            if (bs != 0) {
                v_store_m(o + j, v_add(v_load_m(o + j, m), g), m);
            } else {
                sum = v_add(sum, g);
            }
        }
        if (bs == 0) {
            o[0] += (float)v_sum_d(sum);
        }
    }
}

/* ---- losses ---- */

FW_INLINE double loss_row(const bool square, const float *p, const float *t, int64_t n) {
    vf s = v_zero();
    for (int64_t j = 0; j < n; j += VW) {
        vm m = v_tail(n - j);
        vf d = v_sub(v_load_m(p + j, m), v_load_m(t + j, m));
        s = square ? v_fma(d, d, s) : v_add(s, v_abs(d));
    }
    return v_sum_d(s);
}

/* Unweighted rows are one long row: cut it so that float lanes never sum more than 256 values each. */
FW_INLINE void loss(const bool square, const float *p, const float *t, const float *weight, int64_t n, int64_t per,
                    double *sum, double *wsum) {
    enum { CUT = 256 * VW };
    for (int64_t i = 0; i < n && weight != NULL; i++) {
        double s = 0.0;
        for (int64_t j = 0; j < per; j += CUT) {
            s += loss_row(square, p + i * per + j, t + i * per + j, per - j < CUT ? per - j : CUT);
        }
        *sum += (double)weight[i] * s;
        *wsum += (double)weight[i];
    }
    for (int64_t j = 0; j < n * per && weight == NULL; j += CUT) {
        *sum += loss_row(square, p + j, t + j, n * per - j < CUT ? n * per - j : CUT);
    }
    *wsum += weight == NULL ? (double)n : 0.0;
}

static void l1_loss(const float *p, const float *t, const float *weight, int64_t n, int64_t per, double *sum,
                    double *wsum) {
    loss(false, p, t, weight, n, per, sum, wsum);
}

static void mse_loss(const float *p, const float *t, const float *weight, int64_t n, int64_t per, double *sum,
                     double *wsum) {
    loss(true, p, t, weight, n, per, sum, wsum);
}

static void adamw(float *p, const float *g, float *m, float *v, int64_t n, const fw_adamw *s) {
    vf b1 = v_set1(s->beta1), b2 = v_set1(s->beta2), c1 = v_set1(1.0f - s->beta1), c2 = v_set1(1.0f - s->beta2);
    vf gs = v_set1(s->grad_scale), step = v_set1(s->lr / s->bias1),
       root = v_set1((float)(1.0 / sqrt((double)s->bias2)));
    vf keep = v_set1(1.0f - s->lr * s->weight_decay), eps = v_set1(s->eps);
    for (int64_t i = 0; i < n; i += VW) {
        vm k = v_tail(n - i);
        vf gi = v_mul(v_load_m(g + i, k), gs);
        vf mi = v_fma(b1, v_load_m(m + i, k), v_mul(c1, gi));
        vf vi = v_fma(b2, v_load_m(v + i, k), v_mul(c2, v_mul(gi, gi)));
        vf d = v_div(mi, v_fma(v_sqrt(vi), root, eps));
        v_store_m(m + i, mi, k);
        v_store_m(v + i, vi, k);
        v_store_m(p + i, v_fnma(step, d, v_mul(keep, v_load_m(p + i, k))), k);
    }
}

/* ---- formats; tails go through a small buffer ---- */

#if defined(__AVX512F__)
FW_INLINE void half_from(const float *x, uint16_t *y) {
    _mm256_storeu_si256((__m256i *)y,
                        _mm512_cvtps_ph(_mm512_loadu_ps(x), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
FW_INLINE void half_to(const uint16_t *x, float *y) {
    _mm512_storeu_ps(y, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)x)));
}
FW_INLINE void bf16_to(const uint16_t *x, float *y) {
    __m512i u = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)x));
    _mm512_storeu_ps(y, _mm512_castsi512_ps(_mm512_slli_epi32(u, 16)));
}
FW_INLINE void bf16_from(const float *x, uint16_t *y) {
    __m512i u = _mm512_loadu_si512(x), top = _mm512_srli_epi32(u, 16);
    __m512i odd = _mm512_and_si512(top, _mm512_set1_epi32(1));
    __m512i r = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7FFF)), odd), 16);
    __mmask16 nan = _mm512_cmp_ps_mask(_mm512_castsi512_ps(u), _mm512_castsi512_ps(u), _CMP_UNORD_Q);
    r = _mm512_mask_or_epi32(r, nan, top, _mm512_set1_epi32(0x40));
    _mm256_storeu_si256((__m256i *)y, _mm512_cvtepi32_epi16(r));
}
FW_INLINE vf bytes_to(const uint8_t *x) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)x)));
}
#elif defined(__aarch64__)
FW_INLINE void half_from(const float *x, uint16_t *y) {
    const vf v = v_load(x);
    vst1q_u16(y, vreinterpretq_u16_f16(vcvt_high_f16_f32(vcvt_f16_f32(v.lo), v.hi)));
}
FW_INLINE void half_to(const uint16_t *x, float *y) {
    const float16x8_t h = vreinterpretq_f16_u16(vld1q_u16(x));
    v_store(y, (vf){vcvt_f32_f16(vget_low_f16(h)), vcvt_high_f32_f16(h)});
}
FW_INLINE void bf16_to(const uint16_t *x, float *y) {
    const uint16x8_t h = vld1q_u16(x);
    v_store(y, (vf){vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(h), 16)),
                    vreinterpretq_f32_u32(vshll_high_n_u16(h, 16))});
}
FW_INLINE uint32x4_t quad_bf16(float32x4_t x) { /* in the upper halves */
    const uint32x4_t u = vreinterpretq_u32_f32(x), odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
    const uint32x4_t r = vaddq_u32(vaddq_u32(u, vdupq_n_u32(0x7FFF)), odd);
    return vbslq_u32(vceqq_f32(x, x), r, vorrq_u32(u, vdupq_n_u32(0x400000)));
}
FW_INLINE void bf16_from(const float *x, uint16_t *y) {
    vst1q_u16(y, vshrn_high_n_u32(vshrn_n_u32(quad_bf16(vld1q_f32(x)), 16), quad_bf16(vld1q_f32(x + 4)), 16));
}
FW_INLINE vf bytes_to(const uint8_t *x) {
    const uint16x8_t h = vmovl_u8(vld1_u8(x));
    return (vf){vcvtq_f32_u32(vmovl_u16(vget_low_u16(h))), vcvtq_f32_u32(vmovl_high_u16(h))};
}
#else
FW_INLINE void half_from(const float *x, uint16_t *y) {
    _mm_storeu_si128((__m128i *)y, _mm256_cvtps_ph(_mm256_loadu_ps(x), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
FW_INLINE void half_to(const uint16_t *x, float *y) {
    _mm256_storeu_ps(y, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)x)));
}
FW_INLINE void bf16_to(const uint16_t *x, float *y) {
    __m256i u = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)x));
    _mm256_storeu_ps(y, _mm256_castsi256_ps(_mm256_slli_epi32(u, 16)));
}
FW_INLINE void bf16_from(const float *x, uint16_t *y) {
    __m256i u = _mm256_loadu_si256((const __m256i *)x), top = _mm256_srli_epi32(u, 16);
    __m256i odd = _mm256_and_si256(top, _mm256_set1_epi32(1));
    __m256i r = _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7FFF)), odd), 16);
    __m256 f = _mm256_castsi256_ps(u);
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(f, f, _CMP_UNORD_Q));
    r = _mm256_blendv_epi8(r, _mm256_or_si256(top, _mm256_set1_epi32(0x40)), nan);
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(r, r), 0x08);
    _mm_storeu_si128((__m128i *)y, _mm256_castsi256_si128(packed));
}
FW_INLINE vf bytes_to(const uint8_t *x) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)x)));
}
#endif

#define NARROW(name, step)                                                                                             \
    static void name(const float *x, uint16_t *y, int64_t n) {                                                         \
        int64_t i = 0;                                                                                                 \
        for (; i + VW <= n; i += VW) {                                                                                 \
            step(x + i, y + i);                                                                                        \
        }                                                                                                              \
        if (i < n) {                                                                                                   \
            float in[VW] = {0};                                                                                        \
            uint16_t out[VW];                                                                                          \
            memcpy(in, x + i, (size_t)(n - i) * sizeof(float));                                                        \
            step(in, out);                                                                                             \
            memcpy(y + i, out, (size_t)(n - i) * sizeof(uint16_t));                                                    \
        }                                                                                                              \
    }
#define WIDEN(name, step)                                                                                              \
    static void name(const uint16_t *x, float *y, int64_t n) {                                                         \
        int64_t i = 0;                                                                                                 \
        for (; i + VW <= n; i += VW) {                                                                                 \
            step(x + i, y + i);                                                                                        \
        }                                                                                                              \
        if (i < n) {                                                                                                   \
            uint16_t in[VW] = {0};                                                                                     \
            float out[VW];                                                                                             \
            memcpy(in, x + i, (size_t)(n - i) * sizeof(uint16_t));                                                     \
            step(in, out);                                                                                             \
            memcpy(y + i, out, (size_t)(n - i) * sizeof(float));                                                       \
        }                                                                                                              \
    }
NARROW(f32_to_f16, half_from)
NARROW(f32_to_bf16, bf16_from)
WIDEN(f16_to_f32, half_to)
WIDEN(bf16_to_f32, bf16_to)

/* c = 3: 3 vectors hold VW pixels, whose scales repeat with period 3. Other c: the period is c vectors as well. */
static void u8_to_f32(const uint8_t *x, float *y, const float *sc, const float *shift, int64_t n_pixel, int64_t c) {
    float s[4 * VW], h[4 * VW];
    for (int64_t i = 0; i < c * VW; i++) {
        s[i] = sc[i % c];
        h[i] = shift[i % c];
    }
    int64_t n = n_pixel * c, i = 0;
    for (; i + c * VW <= n; i += c * VW) {
        for (int64_t j = 0; j < c * VW; j += VW) {
            v_store(y + i + j, v_fma(bytes_to(x + i + j), v_load(s + j), v_load(h + j)));
        }
    }
    for (; i < n; i++) {
        y[i] = (float)x[i] * sc[i % c] + shift[i % c];
    }
}

#endif /* FW_KERN_ELEM_VEC_INT_H */
