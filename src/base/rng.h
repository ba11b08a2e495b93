/*
 * rng.h - reproducible random numbers: the same seed gives the same stream on every machine and compiler.
 *
 * splitmix64 (Steele, Lea, Flood 2014) over a key: a stream is named by (seed, text), so that adding a draw to one
 * stream ("lights") never shifts another ("poses"). Copy a stream by value to fork it. Not for secrets.
 */
#ifndef FW_BASE_RNG_H
#define FW_BASE_RNG_H

#include <math.h>
#include <stdint.h>

typedef struct fw_rng {
    uint64_t s;
} fw_rng;

static inline uint64_t fw_rng_u64(fw_rng *r) {
    uint64_t z = (r->s += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

/* The stream called `name` of `seed`. */
static inline fw_rng fw_rng_stream(uint64_t seed, const char *name) {
    uint64_t h = 0xCBF29CE484222325ull; /* FNV-1a over the name, then mixed with the seed */
    for (const char *c = name; *c != 0; c++) {
        h = (h ^ (unsigned char)*c) * 0x100000001B3ull;
    }
    fw_rng r = {seed ^ h};
    r.s = fw_rng_u64(&r);
    return r;
}

/* [0, 1) */
static inline double fw_rng_unit(fw_rng *r) {
    return (double)(fw_rng_u64(r) >> 11) * 0x1.0p-53;
}
/* [a, b) */
static inline double fw_rng_uniform(fw_rng *r, double a, double b) {
    return a + (b - a) * fw_rng_unit(r);
}
/* [0, n), n > 0 */
static inline uint64_t fw_rng_below(fw_rng *r, uint64_t n) {
    return (uint64_t)(((unsigned __int128)fw_rng_u64(r) * n) >> 64);
}
/* Mean 0, variance 1 (Box-Muller; one value a call, so that the stream's position is always 2 draws a value) */
static inline double fw_rng_normal(fw_rng *r) {
    double u = 1.0 - fw_rng_unit(r), v = fw_rng_unit(r);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

#endif /* FW_BASE_RNG_H */
