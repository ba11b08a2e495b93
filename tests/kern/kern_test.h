/* kern_test.h - for the tests of kernels: random data, buffers with red zones, every table of this CPU. */
#ifndef KERN_TEST_H
#define KERN_TEST_H

#include "fw_test.h"
#include "kern/kern.h"

static uint64_t t_seed = 42;

static inline double t_unit(void) { /* [0, 1) */
    t_seed ^= t_seed >> 12, t_seed ^= t_seed << 25, t_seed ^= t_seed >> 27;
    return (double)((t_seed * 0x2545F4914F6CDD1Dull) >> 11) * 0x1p-53;
}
static inline int64_t t_int(int64_t lo, int64_t hi) { /* [lo, hi] */
    return lo + (int64_t)(t_unit() * (double)(hi - lo + 1));
}

enum { T_GUARD = 32 };
#define T_CANARY -1234.5f

/* n floats with T_GUARD canaries on both sides. Deliberately not aligned to more than 4 bytes. */
static inline float *t_alloc(int64_t n) {
    float *p = malloc((size_t)(n + 2 * T_GUARD) * sizeof(float));
    CHECK(p != NULL);
    for (int64_t i = 0; i < n + 2 * T_GUARD; i++) {
        p[i] = T_CANARY;
    }
    return p + T_GUARD;
}
static inline float *t_rand(int64_t n, double lo, double hi) {
    float *p = t_alloc(n);
    for (int64_t i = 0; i < n; i++) {
        p[i] = (float)(lo + (hi - lo) * t_unit());
    }
    return p;
}
static inline float *t_copy(const float *x, int64_t n) {
    float *p = t_alloc(n);
    memcpy(p, x, (size_t)n * sizeof(float));
    return p;
}
/* Free, after a look at the red zones. */
static inline void t_free(float *p, int64_t n) {
    for (int i = 1; i <= T_GUARD; i++) {
        CHECK(p[-i] == T_CANARY);
        CHECK(p[n + i - 1] == T_CANARY);
    }
    free(p - T_GUARD);
}

/* Scratch: 64-byte aligned, with a red zone behind it. */
static inline void *t_scratch(size_t bytes) {
    size_t size = (bytes + 63) / 64 * 64;
    unsigned char *p = aligned_alloc(64, size + 64);
    CHECK(p != NULL);
    memset(p, 0xA5, size + 64);
    return p;
}
static inline void t_scratch_free(void *s, size_t bytes) {
    unsigned char *p = s;
    size_t size = (bytes + 63) / 64 * 64;
    for (size_t i = bytes; i < size + 64; i++) {
        CHECK_INT(p[i], 0xA5);
    }
    free(p);
}

static inline int t_tables(const fw_kern **all) {
    return (int)fw_kern_all(all, 8);
}

/* Those of int8 (or of int8x4), the specification first. */
static inline int t_tables_int8(const fw_kern **all, bool x4) {
    static const char *const wide[] = {"int8", "avx2int8", "avxvnniint8", "avx512int8", "neonint8", "neondotint8"};
    static const char *const four[] = {"int8x4", "avx2int8x4", "", "", "", ""};
    const char *const *isa = x4 ? four : wide;
    int n = 0;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        all[n] = fw_kern_find(isa[i]);
        n += all[n] != NULL;
    }
    CHECK(n > 0 && strcmp(all[0]->isa, isa[0]) == 0);
    return n;
}

#endif
