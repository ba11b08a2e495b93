/*
 * vec_neon_int.h - the vocabulary of vec_int.h for NEON; included by it on AArch64.
 *
 * vf is two registers of 4 floats, so that tiles, transposes and tails are those of AVX2: with 32 registers a tile of 6 x 16 leaves
 * room for a row of B (4) and its values of A (2), which multiply by lane. NEON has no masked memory: a whole vector goes by two
 * plain accesses, a tail by a call. vm knows its count for that and its lanes for v_sel; what is not asked for costs nothing.
 */
#ifndef FW_KERN_VEC_NEON_INT_H
#define FW_KERN_VEC_NEON_INT_H

#if defined(__aarch64__)
#include <arm_neon.h>
#include <stdint.h>

#include "kern/unfold_int.h"

enum { VW = 8 };
typedef struct vf {
    float32x4_t lo, hi;
} vf;
typedef struct vm {
    int64_t n;         /* first lanes alive, of a tail; >= VW: all */
    uint32x4_t lo, hi; /* lanes all ones or zero */
} vm;

FW_INLINE vm v_tail(int64_t n) {
    const int32x4_t live = vdupq_n_s32((int)(n > VW ? VW : n));
    return (vm){n, vcgtq_s32(live, (int32x4_t){0, 1, 2, 3}), vcgtq_s32(live, (int32x4_t){4, 5, 6, 7})};
}
FW_INLINE vf v_zero(void) {
    return (vf){vdupq_n_f32(0.0f), vdupq_n_f32(0.0f)};
}
FW_INLINE vf v_set1(float x) {
    return (vf){vdupq_n_f32(x), vdupq_n_f32(x)};
}
FW_INLINE vf v_load(const float *p) {
    return (vf){vld1q_f32(p), vld1q_f32(p + 4)};
}
FW_INLINE void v_store(float *p, vf x) {
    vst1q_f32(p, x.lo);
    vst1q_f32(p + 4, x.hi);
}

/* The first n lanes, 0 <= n < 4; the others zero. */
FW_INLINE float32x4_t quad_load(const float *p, int64_t n) {
    float32x4_t x = vdupq_n_f32(0.0f);
    if ((n & 2) != 0) {
        x = vcombine_f32(vld1_f32(p), vdup_n_f32(0.0f));
        return (n & 1) != 0 ? vld1q_lane_f32(p + 2, x, 2) : x;
    }
    return (n & 1) != 0 ? vld1q_lane_f32(p, x, 0) : x;
}
FW_INLINE void quad_store(float *p, float32x4_t x, int64_t n) {
    if ((n & 2) != 0) {
        vst1_f32(p, vget_low_f32(x));
        p += 2;
        x = vextq_f32(x, x, 2);
    }
    if ((n & 1) != 0) {
        vst1q_lane_f32(p, x, 0);
    }
}
static __attribute__((noinline, unused)) vf load_some(const float *p, int64_t n) {
    vf x = v_zero();
    x.lo = n >= 4 ? vld1q_f32(p) : quad_load(p, n);
    x.hi = n > 4 ? quad_load(p + 4, n - 4) : x.hi;
    return x;
}
static __attribute__((noinline, unused)) void store_some(float *p, vf x, int64_t n) {
    if (n < 4) {
        quad_store(p, x.lo, n);
        return;
    }
    vst1q_f32(p, x.lo);
    quad_store(p + 4, x.hi, n - 4);
}
FW_INLINE vf v_load_m(const float *p, vm m) {
    return __builtin_expect(m.n >= VW, 1) ? v_load(p) : load_some(p, m.n);
}
FW_INLINE void v_store_m(float *p, vf x, vm m) {
    if (__builtin_expect(m.n >= VW, 1)) {
        v_store(p, x);
    } else {
        store_some(p, x, m.n);
    }
}

#define FW_BOTH(name, op)                                                                                              \
    FW_INLINE vf name(vf a, vf b) {                                                                                    \
        return (vf){op(a.lo, b.lo), op(a.hi, b.hi)};                                                                   \
    }
FW_BOTH(v_add, vaddq_f32)
FW_BOTH(v_sub, vsubq_f32)
FW_BOTH(v_mul, vmulq_f32)
FW_BOTH(v_div, vdivq_f32)
FW_INLINE vf v_fma(vf a, vf b, vf c) {
    return (vf){vfmaq_f32(c.lo, a.lo, b.lo), vfmaq_f32(c.hi, a.hi, b.hi)};
} /* a*b + c */
FW_INLINE vf v_fnma(vf a, vf b, vf c) {
    return (vf){vfmsq_f32(c.lo, a.lo, b.lo), vfmsq_f32(c.hi, a.hi, b.hi)};
} /* c - a*b */
FW_INLINE vm v_lt(vf a, vf b) {
    return (vm){0, vcltq_f32(a.lo, b.lo), vcltq_f32(a.hi, b.hi)};
}
FW_INLINE vf v_sel(vm m, vf a, vf b) {
    return (vf){vbslq_f32(m.lo, a.lo, b.lo), vbslq_f32(m.hi, a.hi, b.hi)};
} /* m ? a : b */
/* Not FMAX, which gives NaN when either is one. */
FW_INLINE vf v_max(vf a, vf b) {
    return v_sel(v_lt(b, a), a, b);
} /* b when a is NaN */
FW_INLINE vf v_min(vf a, vf b) {
    return v_sel(v_lt(a, b), a, b);
}
FW_INLINE vf v_sqrt(vf a) {
    return (vf){vsqrtq_f32(a.lo), vsqrtq_f32(a.hi)};
}
FW_INLINE vf v_abs(vf a) {
    return (vf){vabsq_f32(a.lo), vabsq_f32(a.hi)};
}
FW_INLINE vf v_round(vf a) {
    return (vf){vrndnq_f32(a.lo), vrndnq_f32(a.hi)};
}
FW_INLINE vf v_copysign(vf mag, vf sign) {
    const uint32x4_t top = vdupq_n_u32(0x80000000u);
    return (vf){vbslq_f32(top, sign.lo, mag.lo), vbslq_f32(top, sign.hi, mag.hi)};
}
FW_INLINE float32x4_t quad_scale2(float32x4_t x, float32x4_t n) {
    const int32x4_t i = vcvtnq_s32_f32(n), half = vshrq_n_s32(i, 1), bias = vdupq_n_s32(127);
    const int32x4_t p = vshlq_n_s32(vaddq_s32(half, bias), 23);
    const int32x4_t q = vshlq_n_s32(vaddq_s32(vsubq_s32(i, half), bias), 23);
    return vmulq_f32(vmulq_f32(x, vreinterpretq_f32_s32(p)), vreinterpretq_f32_s32(q));
}
/* In two factors, as for AVX2. */
FW_INLINE vf v_scale2(vf x, vf n) {
    return (vf){quad_scale2(x.lo, n.lo), quad_scale2(x.hi, n.hi)};
}
FW_INLINE float v_sum(vf x) {
    const float32x4_t s = vaddq_f32(x.lo, x.hi);
    return vaddv_f32(vadd_f32(vget_low_f32(s), vget_high_f32(s)));
}
FW_INLINE float v_hmax(vf x) {
    return vmaxvq_f32(vmaxq_f32(x.lo, x.hi));
}
/* Sum of lanes in double: for long reductions. */
FW_INLINE double v_sum_d(vf x) {
    const float64x2_t low = vaddq_f64(vcvt_f64_f32(vget_low_f32(x.lo)), vcvt_f64_f32(vget_low_f32(x.hi)));
    const float64x2_t high = vaddq_f64(vcvt_high_f64_f32(x.lo), vcvt_high_f64_f32(x.hi));
    return vaddvq_f64(vaddq_f64(low, high));
}

/* 4x4 transpose in registers */
FW_INLINE void quad_transpose(float32x4_t *a, float32x4_t *b, float32x4_t *c, float32x4_t *d) {
    const float64x2_t p = vreinterpretq_f64_f32(vtrn1q_f32(*a, *b)), q = vreinterpretq_f64_f32(vtrn2q_f32(*a, *b));
    const float64x2_t r = vreinterpretq_f64_f32(vtrn1q_f32(*c, *d)), s = vreinterpretq_f64_f32(vtrn2q_f32(*c, *d));
    *a = vreinterpretq_f32_f64(vtrn1q_f64(p, r));
    *b = vreinterpretq_f32_f64(vtrn1q_f64(q, s));
    *c = vreinterpretq_f32_f64(vtrn2q_f64(p, r));
    *d = vreinterpretq_f32_f64(vtrn2q_f64(q, s));
}
/* 8x8 transpose in registers: r[i] becomes column i. */
FW_UNFOLD void v_transpose(vf r[8]) {
    quad_transpose(&r[0].lo, &r[1].lo, &r[2].lo, &r[3].lo);
    quad_transpose(&r[4].lo, &r[5].lo, &r[6].lo, &r[7].lo);
    quad_transpose(&r[0].hi, &r[1].hi, &r[2].hi, &r[3].hi);
    quad_transpose(&r[4].hi, &r[5].hi, &r[6].hi, &r[7].hi);
    FW_UNROLL(8)
    for (int i = 0; i < 4; i++) {
        const float32x4_t t = r[i].hi;
        r[i].hi = r[4 + i].lo;
        r[4 + i].lo = t;
    }
}

#endif
#endif /* FW_KERN_VEC_NEON_INT_H */
