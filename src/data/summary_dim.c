/* summary_dim.c - see summary_int.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/summary_int.h"

/* --- exact sums --- */

enum { DIGIT_BITS = 32, MANTISSA_BITS = 52, MOST_PENDING = 1 << 29 };
#define DIGIT_MASK 0xFFFFFFFFull

void exact_carry(exact_sum *s) {
    int64_t carry = 0;
    for (int i = 0; i + 1 < EXACT_LIMBS; i++) {
        int64_t v = s->limb[i] + carry;
        s->limb[i] = (int64_t)((uint64_t)v & DIGIT_MASK);
        carry = v >> DIGIT_BITS; /* floor: arithmetic shift */
    }
    s->limb[EXACT_LIMBS - 1] += carry;
    s->pending = 0;
}

void exact_add(exact_sum *s, double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint64_t exponent = (bits >> MANTISSA_BITS) & 0x7FF, mantissa = bits & ((1ull << MANTISSA_BITS) - 1);
    mantissa |= exponent > 0 ? 1ull << MANTISSA_BITS : 0;
    uint64_t at = exponent > 0 ? exponent - 1 : 0, off = at % DIGIT_BITS; /* x = mantissa * 2^(at - 1074) */
    uint64_t low = (mantissa & DIGIT_MASK) << off, high = (mantissa >> DIGIT_BITS) << off;
    int64_t digit[3] = {(int64_t)(low & DIGIT_MASK), (int64_t)((low >> DIGIT_BITS) + (high & DIGIT_MASK)),
                        (int64_t)(high >> DIGIT_BITS)};
    int64_t *limb = s->limb + at / DIGIT_BITS;
    for (int i = 0; i < 3; i++) {
        limb[i] += bits >> 63 ? -digit[i] : digit[i];
    }
    if (++s->pending >= MOST_PENDING) {
        exact_carry(s);
    }
}

void exact_merge(exact_sum *s, const exact_sum *from) {
    exact_sum f = *from;
    exact_carry(&f);
    exact_carry(s);
    for (int i = 0; i < EXACT_LIMBS; i++) {
        s->limb[i] += f.limb[i];
    }
    exact_carry(s);
}

void exact_value(const exact_sum *s, double *hi, double *lo) {
    exact_sum v = *s;
    exact_carry(&v);
    bool negative = v.limb[EXACT_LIMBS - 1] < 0;
    for (int i = 0; i < EXACT_LIMBS && negative; i++) {
        v.limb[i] = -v.limb[i];
    }
    exact_carry(&v);
    double h = 0.0, l = 0.0;
    for (int i = EXACT_LIMBS - 1; i >= 0;
         i--) { /* two-sum from the largest digit down: what does not fit h goes to l */
        double d = ldexp((double)v.limb[i], DIGIT_BITS * i - 1074), sum = h + d;
        l += d - (sum - h);
        h = sum;
    }
    double sum = h + l;
    *lo = negative ? -(l - (sum - h)) : l - (sum - h);
    *hi = negative ? -sum : sum;
}

/* Products and quotients of hi + lo pairs, to about 104 bits. */
typedef struct pair {
    double hi, lo;
} pair;

static pair pair_make(double hi, double lo) {
    double s = hi + lo;
    return (pair){s, lo - (s - hi)};
}

static pair pair_divide(pair a, double n) {
    double q = a.hi / n, rest = fma(-q, n, a.hi) + a.lo;
    return pair_make(q, rest / n);
}

static pair pair_square(pair a) {
    double p = a.hi * a.hi, e = fma(a.hi, a.hi, -p);
    return pair_make(p, e + 2.0 * a.hi * a.lo);
}

void dim_moments(const dim *d, double *mean, double *std) {
    pair sum, square;
    exact_value(&d->sum, &sum.hi, &sum.lo);
    exact_value(&d->square, &square.hi, &square.lo);
    pair m = pair_divide(sum, (double)d->count), s = pair_divide(square, (double)d->count), mm = pair_square(m);
    double var = (s.hi - mm.hi) + (s.lo - mm.lo);
    *mean = m.hi;
    *std = d->min == d->max ? 0.0 : sqrt(fmax(var, 0.0));
}

/* --- bins --- */

uint64_t dim_key(double x) {
    uint64_t b;
    x += 0.0; /* -0 becomes +0 */
    memcpy(&b, &x, sizeof b);
    return b >> 63 ? ~b : b | 1ull << 63;
}

double dim_unkey(uint64_t key) {
    uint64_t b = key >> 63 ? key & ~(1ull << 63) : ~key;
    double x;
    memcpy(&x, &b, sizeof x);
    return x;
}

void dim_clear(dim *d) {
    free(d->key);
    free(d->times);
    free(d->fresh);
    *d = (dim){0};
}

static int by_key(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Room for one more fresh key. */
static bool fresh_room(dim *d) {
    if (d->n_new < d->cap_new) {
        return true;
    }
    if (d->n_new >= FW_SUMMARY_BINS) {
        return dim_flush(d);
    }
    int64_t cap = d->cap_new == 0 ? 256 : 4 * d->cap_new;
    uint64_t *v = realloc(d->fresh, (size_t)cap * sizeof *v);
    if (v != NULL) {
        d->fresh = v;
        d->cap_new = cap;
    }
    return v != NULL;
}

bool dim_add(dim *d, const double *x, int64_t n, int64_t stride) {
    for (int64_t i = 0; i < n; i++) {
        double v = x[i * stride] + 0.0, square = v * v, rest = fma(v, v, -square);
        uint64_t bits;
        if (!fresh_room(d)) {
            return false;
        }
        memcpy(&bits, &v, sizeof bits);
        d->ones |= bits;
        d->fresh[d->n_new++] = dim_key(v);
        d->min = d->count == 0 || v < d->min ? v : d->min;
        d->max = d->count == 0 || v > d->max ? v : d->max;
        d->count++;
        exact_add(&d->sum, v);
        exact_add(&d->square, square);
        if (rest != 0.0) {
            exact_add(&d->square, rest);
        }
    }
    return true;
}

/* Prefixes of `more` bits less; equal neighbours become one. */
static int64_t coarsen(uint64_t *key, uint64_t *times, int64_t n, int more) {
    int64_t m = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t k = key[i] >> more;
        if (m > 0 && key[m - 1] == k) {
            times[m - 1] += times[i];
        } else {
            key[m] = k;
            times[m++] = times[i];
        }
    }
    return m;
}

/* Merge sorted prefixes (same shift) into d, then make them few enough. Takes O(n + FW_SUMMARY_BINS). */
static bool merge_bins(dim *d, const uint64_t *key, const uint64_t *times, int64_t n) {
    uint64_t *k = malloc((size_t)(d->n + n + 1) * sizeof *k), *t = malloc((size_t)(d->n + n + 1) * sizeof *t);
    if (k == NULL || t == NULL) {
        free(k);
        free(t);
        return false;
    }
    int64_t m = 0;
    for (int64_t a = 0, b = 0; a < d->n || b < n;) {
        bool left = b >= n || (a < d->n && d->key[a] <= key[b]), both = left && b < n && d->key[a] == key[b];
        k[m] = left ? d->key[a] : key[b];
        t[m++] = (left ? d->times[a] : 0) + (left && !both ? 0 : times[b]);
        a += left;
        b += !left || both;
    }
    while (m > FW_SUMMARY_BINS) {
        m = coarsen(k, t, m, 1);
        d->shift++;
    }
    free(d->key);
    free(d->times);
    d->key = k;
    d->times = t;
    d->n = m;
    return true;
}

bool dim_flush(dim *d) {
    if (d->n_new == 0) {
        return true;
    }
    uint64_t *times = malloc((size_t)d->n_new * sizeof *times);
    if (times == NULL) {
        return false;
    }
    qsort(d->fresh, (size_t)d->n_new, sizeof *d->fresh, by_key);
    for (int64_t i = 0; i < d->n_new; i++) {
        times[i] = 1;
    }
    bool ok = merge_bins(d, d->fresh, times, coarsen(d->fresh, times, d->n_new, d->shift));
    d->n_new = ok ? 0 : d->n_new;
    free(times);
    return ok;
}

bool dim_merge(dim *d, dim *from) {
    if (!dim_flush(d) || !dim_flush(from)) {
        return false;
    }
    if (from->count == 0) {
        return true;
    }
    uint64_t *k = malloc((size_t)from->n * sizeof *k), *t = malloc((size_t)from->n * sizeof *t);
    bool ok = k != NULL && t != NULL;
    if (ok) {
        int64_t n = from->n;
        memcpy(k, from->key, (size_t)n * sizeof *k);
        memcpy(t, from->times, (size_t)n * sizeof *t);
        if (from->shift < d->shift) {
            n = coarsen(k, t, n, d->shift - from->shift);
        } else if (from->shift > d->shift) {
            d->n = coarsen(d->key, d->times, d->n, from->shift - d->shift);
            d->shift = from->shift;
        }
        ok = merge_bins(d, k, t, n);
    }
    free(k);
    free(t);
    if (!ok) {
        return false;
    }
    d->min = d->count == 0 || from->min < d->min ? from->min : d->min;
    d->max = d->count == 0 || from->max > d->max ? from->max : d->max;
    d->count += from->count;
    d->ones |= from->ones;
    exact_merge(&d->sum, &from->sum);
    exact_merge(&d->square, &from->square);
    return true;
}

bool dim_exact(const dim *d) {
    return (d->ones & ((1ull << d->shift) - 1)) == 0;
}

double dim_order(const dim *d, int64_t k, int64_t *bin, int64_t *before, double *bound) {
    int64_t seen = 0, i = 0;
    while (i + 1 < d->n && seen + (int64_t)d->times[i] <= k) {
        seen += (int64_t)d->times[i++];
    }
    uint64_t first = d->key[i] << d->shift, last = first | ((1ull << d->shift) - 1);
    double lo = fmax(dim_unkey(first), d->min), hi = fmin(dim_unkey(last), d->max), v = 0.5 * lo + 0.5 * hi;
    if (dim_exact(d)) { /* the value of the bin whose low bits are zeros: a negative key has its low bits flipped */
        v = first >> 63 ? dim_unkey(first) : dim_unkey(last);
    }
    if (bin != NULL) {
        *bin = i;
    }
    if (before != NULL) {
        *before = seen;
    }
    if (bound != NULL) {
        *bound = dim_exact(d) ? 0.0 : 0.5 * (hi - lo);
    }
    return v;
}
