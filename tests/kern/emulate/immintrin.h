/*
 * immintrin.h - AVX-512 for CPUs that lack it, for tools/emulate_avx512.sh: SIMDe, and in plain C what its version 0.7 does not have.
 *
 * Stands for the compiler's header in the avx512 files of src/kern only. Each function below is what Intel's guide says of its name.
 */
#pragma once
#define SIMDE_NO_NATIVE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>
#include <string.h>
#define __AVX512F__ 1
typedef simde__mmask16 __mmask16;
#ifndef _MM_FROUND_NO_EXC
#define _MM_FROUND_NO_EXC 8
#endif

#define LANES(type, n, var, from)                                                                                      \
    type var[n];                                                                                                       \
    memcpy(var, &from, sizeof var)
#define GIVE(type, from)                                                                                               \
    type give;                                                                                                         \
    memcpy(&give, from, sizeof give);                                                                                  \
    return give

static inline __m512 _mm512_maskz_loadu_ps(__mmask16 m, const void *p) {
    float y[16] = {0};
    for (int i = 0; i < 16; i++) {
        if (m >> i & 1) {
            y[i] = ((const float *)p)[i];
        }
    }
    GIVE(__m512, y);
}
static inline void _mm512_mask_storeu_ps(void *p, __mmask16 m, __m512 a) {
    LANES(float, 16, x, a);
    for (int i = 0; i < 16; i++) {
        if (m >> i & 1) {
            ((float *)p)[i] = x[i];
        }
    }
}
static inline __m512 _mm512_shuffle_f32x4(__m512 a, __m512 b, int imm) {
    LANES(float, 16, x, a);
    LANES(float, 16, z, b);
    float y[16];
    for (int i = 0; i < 4; i++) {
        memcpy(y + 4 * i, (i < 2 ? x : z) + 4 * (imm >> 2 * i & 3), 4 * sizeof *y);
    }
    GIVE(__m512, y);
}
static inline __m256 _mm512_extractf32x8_ps(__m512 a, int half) {
    LANES(float, 16, x, a);
    GIVE(__m256, x + 8 * half);
}
static inline __m512d _mm512_cvtps_pd(__m256 a) {
    LANES(float, 8, x, a);
    double y[8];
    for (int i = 0; i < 8; i++) {
        y[i] = (double)x[i];
    }
    GIVE(__m512d, y);
}
static inline double _mm512_reduce_add_pd(__m512d a) {
    LANES(double, 8, x, a);
    return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}
static inline float _mm512_reduce_add_ps(__m512 a) {
    LANES(float, 16, x, a);
    for (int n = 8; n > 0; n /= 2) {
        for (int i = 0; i < n; i++) {
            x[i] += x[i + n];
        }
    }
    return x[0];
}
static inline float _mm512_reduce_max_ps(__m512 a) {
    LANES(float, 16, x, a);
    for (int i = 1; i < 16; i++) {
        x[0] = x[i] > x[0] ? x[i] : x[0];
    }
    return x[0];
}
static inline __m512 _mm512_cvtepi32_ps(__m512i a) {
    LANES(int32_t, 16, x, a);
    float y[16];
    for (int i = 0; i < 16; i++) {
        y[i] = (float)x[i];
    }
    GIVE(__m512, y);
}
static inline __m512i _mm512_cvtps_epi32(__m512 a) {
    LANES(float, 16, x, a);
    int32_t y[16];
    for (int i = 0; i < 16; i++) {
        const float r = __builtin_nearbyintf(x[i]);
        y[i] = r >= -2147483648.0f && r < 2147483648.0f ? (int32_t)r : INT32_MIN;
    }
    GIVE(__m512i, y);
}
static inline __m512i _mm512_cvtepu8_epi32(__m128i a) {
    LANES(uint8_t, 16, x, a);
    int32_t y[16];
    for (int i = 0; i < 16; i++) {
        y[i] = x[i];
    }
    GIVE(__m512i, y);
}
static inline __m512i _mm512_cvtepu16_epi32(__m256i a) {
    LANES(uint16_t, 16, x, a);
    int32_t y[16];
    for (int i = 0; i < 16; i++) {
        y[i] = x[i];
    }
    GIVE(__m512i, y);
}
static inline __m256i _mm512_cvtepi32_epi16(__m512i a) {
    LANES(int32_t, 16, x, a);
    int16_t y[16];
    for (int i = 0; i < 16; i++) {
        y[i] = (int16_t)x[i];
    }
    GIVE(__m256i, y);
}
static inline __m512 _mm512_cvtph_ps(__m256i a) {
    LANES(_Float16, 16, x, a);
    float y[16];
    for (int i = 0; i < 16; i++) {
        y[i] = (float)x[i];
    }
    GIVE(__m512, y);
}
static inline __m256i _mm512_cvtps_ph(__m512 a, int rounding) {
    LANES(float, 16, x, a);
    _Float16 y[16];
    (void)rounding; /* to nearest even, which is the conversion's own */
    for (int i = 0; i < 16; i++) {
        y[i] = (_Float16)x[i];
    }
    GIVE(__m256i, y);
}
/* To nearest even; denormals are zero, a NaN stays one. */
static inline void emulate_bf16(const float *x, uint16_t *y, int n) {
    for (int i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, x + i, sizeof u);
        const uint32_t a = u & 0x7FFFFFFFu;
        y[i] = (uint16_t)(a > 0x7F800000u   ? (u >> 16) | 0x40u
                          : a < 0x00800000u ? (u >> 16) & 0x8000u
                                            : (u + 0x7FFFu + (u >> 16 & 1u)) >> 16);
    }
}
static inline __m256i _mm512_cvtneps_pbh(__m512 a) {
    LANES(float, 16, x, a);
    uint16_t y[16];
    emulate_bf16(x, y, 16);
    GIVE(__m256i, y);
}
static inline __m512i _mm512_cvtne2ps_pbh(__m512 high, __m512 low) {
    LANES(float, 16, x, low);
    LANES(float, 16, z, high);
    uint16_t y[32];
    emulate_bf16(x, y, 16);
    emulate_bf16(z, y + 16, 16);
    GIVE(__m512i, y);
}
