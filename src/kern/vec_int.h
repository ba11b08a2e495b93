/*
 * vec_int.h - one vocabulary for AVX2, AVX-512 and NEON (vec_neon_int.h), so that a kernel is written once and compiled thrice.
 *
 * vf is a vector of VW floats, vm says which of its first lanes are alive in a tail. The functions have the meaning of
 * their names; v_exp, v_tanh, v_phi state their error. A file including this is compiled with the flags of its set.
 */
#ifndef FW_KERN_VEC_INT_H
#define FW_KERN_VEC_INT_H

#if !defined(__aarch64__)
#include <immintrin.h>
#endif
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kern/act.h"
#include "kern/unfold_int.h"

#if defined(__aarch64__)
#include "kern/vec_neon_int.h"
#elif defined(__AVX512F__)

enum { VW = 16 };
typedef __m512 vf;
typedef __mmask16 vm; /* tail or comparison */

FW_INLINE vm v_tail(int64_t n) {
    return (vm)(n >= VW ? 0xFFFFu : (1u << n) - 1u);
}
FW_INLINE vf v_zero(void) {
    return _mm512_setzero_ps();
}
FW_INLINE vf v_set1(float x) {
    return _mm512_set1_ps(x);
}
FW_INLINE vf v_load(const float *p) {
    return _mm512_loadu_ps(p);
}
FW_INLINE void v_store(float *p, vf x) {
    _mm512_storeu_ps(p, x);
}
FW_INLINE vf v_load_m(const float *p, vm m) {
    return _mm512_maskz_loadu_ps(m, p);
}
FW_INLINE void v_store_m(float *p, vf x, vm m) {
    _mm512_mask_storeu_ps(p, m, x);
}
FW_INLINE vf v_add(vf a, vf b) {
    return _mm512_add_ps(a, b);
}
FW_INLINE vf v_sub(vf a, vf b) {
    return _mm512_sub_ps(a, b);
}
FW_INLINE vf v_mul(vf a, vf b) {
    return _mm512_mul_ps(a, b);
}
FW_INLINE vf v_div(vf a, vf b) {
    return _mm512_div_ps(a, b);
}
FW_INLINE vf v_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
} /* a*b + c */
FW_INLINE vf v_fnma(vf a, vf b, vf c) {
    return _mm512_fnmadd_ps(a, b, c);
} /* c - a*b */
FW_INLINE vf v_max(vf a, vf b) {
    return _mm512_max_ps(a, b);
} /* b when a is NaN */
FW_INLINE vf v_min(vf a, vf b) {
    return _mm512_min_ps(a, b);
}
FW_INLINE vf v_sqrt(vf a) {
    return _mm512_sqrt_ps(a);
}
FW_INLINE vf v_abs(vf a) {
    return _mm512_abs_ps(a);
}
FW_INLINE vf v_round(vf a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
FW_INLINE vm v_lt(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
FW_INLINE vf v_sel(vm m, vf a, vf b) {
    return _mm512_mask_blend_ps(m, b, a);
} /* m ? a : b */
FW_INLINE vf v_copysign(vf mag, vf sign) {
    return _mm512_or_ps(_mm512_andnot_ps(_mm512_set1_ps(-0.0f), mag), _mm512_and_ps(_mm512_set1_ps(-0.0f), sign));
}
FW_INLINE vf v_scale2(vf x, vf n) {
    return _mm512_scalef_ps(x, n);
} /* x 2^n, n whole */
FW_INLINE float v_sum(vf x) {
    return _mm512_reduce_add_ps(x);
}
FW_INLINE float v_hmax(vf x) {
    return _mm512_reduce_max_ps(x);
}
/* Sum of lanes in double: for long reductions. */
FW_INLINE double v_sum_d(vf x) {
    return _mm512_reduce_add_pd(
        _mm512_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(x)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1))));
}

#elif defined(__AVX2__)

enum { VW = 8 };
typedef __m256 vf;
typedef __m256 vm; /* lanes all ones or zero */

FW_INLINE vm v_tail(int64_t n) {
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n > VW ? VW : n)), lane));
}
FW_INLINE vf v_zero(void) {
    return _mm256_setzero_ps();
}
FW_INLINE vf v_set1(float x) {
    return _mm256_set1_ps(x);
}
FW_INLINE vf v_load(const float *p) {
    return _mm256_loadu_ps(p);
}
FW_INLINE void v_store(float *p, vf x) {
    _mm256_storeu_ps(p, x);
}
FW_INLINE vf v_load_m(const float *p, vm m) {
    return _mm256_maskload_ps(p, _mm256_castps_si256(m));
}
/* A whole vector goes out as such: a masked store costs an order of magnitude more on AMD. */
FW_INLINE void v_store_m(float *p, vf x, vm m) {
    if (_mm256_movemask_ps(m) == 0xFF) {
        _mm256_storeu_ps(p, x);
    } else {
        _mm256_maskstore_ps(p, _mm256_castps_si256(m), x);
    }
}
FW_INLINE vf v_add(vf a, vf b) {
    return _mm256_add_ps(a, b);
}
FW_INLINE vf v_sub(vf a, vf b) {
    return _mm256_sub_ps(a, b);
}
FW_INLINE vf v_mul(vf a, vf b) {
    return _mm256_mul_ps(a, b);
}
FW_INLINE vf v_div(vf a, vf b) {
    return _mm256_div_ps(a, b);
}
FW_INLINE vf v_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}
FW_INLINE vf v_fnma(vf a, vf b, vf c) {
    return _mm256_fnmadd_ps(a, b, c);
}
FW_INLINE vf v_max(vf a, vf b) {
    return _mm256_max_ps(a, b);
}
FW_INLINE vf v_min(vf a, vf b) {
    return _mm256_min_ps(a, b);
}
FW_INLINE vf v_sqrt(vf a) {
    return _mm256_sqrt_ps(a);
}
FW_INLINE vf v_abs(vf a) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
FW_INLINE vf v_round(vf a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
FW_INLINE vm v_lt(vf a, vf b) {
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
FW_INLINE vf v_sel(vm m, vf a, vf b) {
    return _mm256_blendv_ps(b, a, m);
}
FW_INLINE vf v_copysign(vf mag, vf sign) {
    __m256 top = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(top, mag), _mm256_and_ps(top, sign));
}
/* In two factors, so that both overflow and subnormal results come out right; |n| <= 250. */
FW_INLINE vf v_scale2(vf x, vf n) {
    __m256i i = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(i, 1), bias = _mm256_set1_epi32(127);
    __m256i p = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    __m256i q = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(i, half), bias), 23);
    return _mm256_mul_ps(_mm256_mul_ps(x, _mm256_castsi256_ps(p)), _mm256_castsi256_ps(q));
}
FW_INLINE float v_sum(vf x) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
FW_INLINE float v_hmax(vf x) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
FW_INLINE double v_sum_d(vf x) {
    __m256d s = _mm256_add_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(x)), _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)));
    __m128d t = _mm_add_pd(_mm256_castpd256_pd128(s), _mm256_extractf128_pd(s, 1));
    return _mm_cvtsd_f64(_mm_add_sd(t, _mm_unpackhi_pd(t, t)));
}

#else
#error "vec_int.h: compile with -mavx2 -mfma -mf16c, or -mavx512f and friends, or for AArch64"
#endif

#if defined(__AVX512F__)
/* 16x16 transpose in registers: r[i] becomes column i. */
FW_UNFOLD void v_transpose(vf r[16]) {
    vf t[16];
    FW_UNROLL(16)
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    FW_UNROLL(16)
    for (int i = 0; i < 4; i++) {
        r[4 * i] = _mm512_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
        r[4 * i + 1] = _mm512_shuffle_ps(t[4 * i], t[4 * i + 2], 0xEE);
        r[4 * i + 2] = _mm512_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
        r[4 * i + 3] = _mm512_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xEE);
    }
    FW_UNROLL(16)
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(r[i], r[4 + i], 0x88);
        t[4 + i] = _mm512_shuffle_f32x4(r[i], r[4 + i], 0xDD);
        t[8 + i] = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0x88);
        t[12 + i] = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0xDD);
    }
    FW_UNROLL(16)
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_f32x4(t[i], t[8 + i], 0x88);
        r[8 + i] = _mm512_shuffle_f32x4(t[i], t[8 + i], 0xDD);
        r[4 + i] = _mm512_shuffle_f32x4(t[4 + i], t[12 + i], 0x88);
        r[12 + i] = _mm512_shuffle_f32x4(t[4 + i], t[12 + i], 0xDD);
    }
}
#elif defined(__AVX2__)
/* 8x8 transpose in registers. */
FW_UNFOLD void v_transpose(vf r[8]) {
    vf t[8];
    FW_UNROLL(8)
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    FW_UNROLL(8)
    for (int i = 0; i < 2; i++) {
        r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
        r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xEE);
        r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
        r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xEE);
    }
    FW_UNROLL(8)
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x20);
        t[4 + i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x31);
    }
    FW_UNROLL(8)
    for (int i = 0; i < 8; i++) {
        r[i] = t[i];
    }
}
#endif

/* e^x, relative error <= 2^-22; inf above 88.73, 0 below -104, NaN stays. 2^n e^r with |r| <= ln2/2, e^r by Taylor-like
 * minimax of degree 6 (coefficients of Cephes' expf). */
FW_INLINE vf v_exp(vf x) {
    vf c = v_min(v_set1(89.0f), v_max(v_set1(-105.0f), x)); /* NaN is the second operand: it passes */
    vf n = v_round(v_mul(c, v_set1(1.44269504088896341f)));
    vf r = v_fnma(n, v_set1(0.693359375f), c);
    r = v_fnma(n, v_set1(-2.12194440e-4f), r);
    vf p = v_fma(v_set1(1.9875691500e-4f), r, v_set1(1.3981999507e-3f));
    p = v_fma(p, r, v_set1(8.3334519073e-3f));
    p = v_fma(p, r, v_set1(4.1665795894e-2f));
    p = v_fma(p, r, v_set1(1.6666665459e-1f));
    p = v_fma(p, r, v_set1(5.0000001201e-1f));
    p = v_fma(p, v_mul(r, r), v_add(r, v_set1(1.0f)));
    return v_scale2(p, n);
}

FW_INLINE vf v_sigmoid(vf x) {
    return v_div(v_set1(1.0f), v_add(v_set1(1.0f), v_exp(v_sub(v_zero(), x))));
}

/* sigmoid and its slope s (1 - s), without cancellation where s is near 1. */
FW_INLINE vf v_sigmoid_slope(vf x, vf *slope) {
    vf e = v_exp(v_sub(v_zero(), v_abs(x))), i = v_div(v_set1(1.0f), v_add(v_set1(1.0f), e)), t = v_mul(e, i);
    *slope = v_mul(t, i);
    return v_sel(v_lt(x, v_zero()), t, i);
}

/* tanh, relative error <= 2^-21: odd polynomial below 0.625 (Cephes' tanhf), 1 - 2/(e^2|x| + 1) above. */
FW_INLINE vf v_tanh(vf x) {
    vf a = v_abs(x), z = v_mul(x, x);
    vf p = v_fma(v_set1(-5.70498872745e-3f), z, v_set1(2.06390887954e-2f));
    p = v_fma(p, z, v_set1(-5.37397155531e-2f));
    p = v_fma(p, z, v_set1(1.33314422036e-1f));
    p = v_fma(p, z, v_set1(-3.33332819422e-1f));
    vf small = v_fma(v_mul(p, z), x, x);
    vf e = v_exp(v_add(a, a));
    vf big = v_sub(v_set1(1.0f), v_div(v_set1(2.0f), v_add(e, v_set1(1.0f))));
    return v_sel(v_lt(a, v_set1(0.625f)), small, v_copysign(big, x));
}

/* The normal distribution function, absolute error <= 3e-7; *pdf gets exp(-x^2/2). erfc by Abramowitz & Stegun 7.1.26. */
FW_INLINE vf v_phi(vf x, vf *pdf) {
    vf a = v_mul(v_abs(x), v_set1(0.70710678118654752f));
    vf t = v_div(v_set1(1.0f), v_fma(v_set1(0.3275911f), a, v_set1(1.0f)));
    vf p = v_fma(v_set1(1.061405429f), t, v_set1(-1.453152027f));
    p = v_fma(p, t, v_set1(1.421413741f));
    p = v_fma(p, t, v_set1(-0.284496736f));
    p = v_fma(p, t, v_set1(0.254829592f));
    *pdf = v_exp(v_mul(v_mul(x, x), v_set1(-0.5f)));
    vf tail = v_mul(v_mul(v_mul(p, t), *pdf), v_set1(0.5f)); /* Phi(-|x|) */
    return v_sel(v_lt(x, v_zero()), tail, v_sub(v_set1(1.0f), tail));
}

/* The argument of the tanh of GELU's approximation. */
FW_INLINE vf v_gelu_arg(vf x) {
    vf z = v_mul(x, x);
    return v_mul(v_mul(x, v_set1(0.797884560802865f)), v_fma(v_set1(0.044715f), z, v_set1(1.0f)));
}

/* act is a constant at every call: the switch folds away. */
FW_INLINE vf v_act(fw_act act, vf x) {
    vf e;
    switch (act) {
    case FW_ACT_NONE:
        return x;
    case FW_ACT_RELU:
        return v_max(v_zero(), x);
    case FW_ACT_RELU6:
        return v_min(v_set1(6.0f), v_max(v_zero(), x));
    case FW_ACT_GELU:
        return v_mul(x, v_phi(x, &e));
    case FW_ACT_GELU_TANH: /* x sigmoid(2 arg) */
        return v_mul(x, v_sigmoid(v_mul(v_set1(2.0f), v_gelu_arg(x))));
    case FW_ACT_SILU:
        return v_mul(x, v_sigmoid(x));
    case FW_ACT_TANH:
        return v_tanh(x);
    case FW_ACT_SIGMOID:
        return v_sigmoid(x);
    case FW_ACT_EXP:
        return v_exp(x);
    }
    return x;
}

/* d act / dx */
FW_INLINE vf v_act_grad(fw_act act, vf x) {
    vf one = v_set1(1.0f), d, e, s;
    switch (act) {
    case FW_ACT_NONE:
        return one;
    case FW_ACT_RELU:
        return v_sel(v_lt(v_zero(), x), one, v_zero());
    case FW_ACT_RELU6:
        return v_sel(v_lt(v_zero(), x), v_sel(v_lt(x, v_set1(6.0f)), one, v_zero()), v_zero());
    case FW_ACT_GELU:
        s = v_phi(x, &e);
        return v_fma(v_mul(x, v_set1(0.39894228040143268f)), e, s);
    case FW_ACT_GELU_TANH: /* s = sigmoid(2u): s + x s (1 - s) 2 u' */
        s = v_sigmoid_slope(v_mul(v_set1(2.0f), v_gelu_arg(x)), &d);
        e = v_mul(v_set1(2.0f * 0.797884560802865f), v_fma(v_set1(3.0f * 0.044715f), v_mul(x, x), one));
        return v_fma(v_mul(x, d), e, s);
    case FW_ACT_SILU:
        s = v_sigmoid_slope(x, &d);
        return v_fma(x, d, s);
    case FW_ACT_TANH:
        s = v_tanh(x);
        return v_fnma(s, s, one);
    case FW_ACT_SIGMOID:
        (void)v_sigmoid_slope(x, &d);
        return d;
    case FW_ACT_EXP:
        return v_exp(x);
    }
    return one;
}

/* Run BODY(act) with act a compile-time constant. */
#define FW_EACH_ACT(act, BODY)                                                                                         \
    switch (act) {                                                                                                     \
    case FW_ACT_NONE:                                                                                                  \
        BODY(FW_ACT_NONE);                                                                                             \
        break;                                                                                                         \
    case FW_ACT_RELU:                                                                                                  \
        BODY(FW_ACT_RELU);                                                                                             \
        break;                                                                                                         \
    case FW_ACT_RELU6:                                                                                                 \
        BODY(FW_ACT_RELU6);                                                                                            \
        break;                                                                                                         \
    case FW_ACT_GELU:                                                                                                  \
        BODY(FW_ACT_GELU);                                                                                             \
        break;                                                                                                         \
    case FW_ACT_GELU_TANH:                                                                                             \
        BODY(FW_ACT_GELU_TANH);                                                                                        \
        break;                                                                                                         \
    case FW_ACT_SILU:                                                                                                  \
        BODY(FW_ACT_SILU);                                                                                             \
        break;                                                                                                         \
    case FW_ACT_TANH:                                                                                                  \
        BODY(FW_ACT_TANH);                                                                                             \
        break;                                                                                                         \
    case FW_ACT_SIGMOID:                                                                                               \
        BODY(FW_ACT_SIGMOID);                                                                                          \
        break;                                                                                                         \
    case FW_ACT_EXP:                                                                                                   \
        BODY(FW_ACT_EXP);                                                                                              \
        break;                                                                                                         \
    }

#endif /* FW_KERN_VEC_INT_H */
