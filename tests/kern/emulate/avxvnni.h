/*
 * avxvnni.h - VNNI for vectors of 256 bits on CPUs that lack it, for tools/emulate_avx512.sh: included before gemm_avxvnniint8.c.
 */
#pragma once
#include <immintrin.h>
#include <string.h>
#define __AVXVNNI__ 1

/* c + the sum of four products of an unsigned and a signed byte, in each 32-bit lane (Intel's guide: no saturation). */
static inline __m256i emulated_dpbusd(__m256i c, __m256i a, __m256i b) {
    int sum[8];
    unsigned char x[32];
    signed char y[32];
    memcpy(sum, &c, sizeof sum), memcpy(x, &a, sizeof x), memcpy(y, &b, sizeof y);
    for (int i = 0; i < 32; i++) {
        sum[i / 4] += x[i] * y[i];
    }
    memcpy(&c, sum, sizeof sum);
    return c;
}
#define _mm256_dpbusd_avx_epi32 emulated_dpbusd
