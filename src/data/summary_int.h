/*
 * summary_int.h - one dimension of a summary (stats.h): exact sums, and a histogram over the bits of doubles.
 *
 * ORDER OF BITS. A finite double's 64 bits, sign bit flipped when positive and all bits flipped when negative, are an
 * unsigned number (its key) that is ordered as the doubles are. -0 counts as +0. A bin of shift s holds the keys that
 * agree in their upper 64 - s bits. Numbers that came from float32 have 29 trailing zero bits, so that shifts up to 29 lose
 * nothing for them: `ones`, the OR of all raw bits, tells.
 * CANONICAL. dim_flush leaves the smallest shift at which the distinct prefixes are at most FW_SUMMARY_BINS. Prefixes only
 * become fewer as the shift grows and more as values come, so no grouping of adds and merges ever goes past the shift that
 * the whole multiset needs: the result depends on the multiset alone.
 */
#ifndef FW_DATA_SUMMARY_INT_H
#define FW_DATA_SUMMARY_INT_H

#include <stdint.h>

#include "data/stats.h"

/* A sum of doubles without rounding: sum of limb[i] * 2^(32 i - 1074). Limbs carry lazily. */
#define EXACT_LIMBS 68
typedef struct exact_sum {
    int64_t limb[EXACT_LIMBS];
    int64_t pending; /* additions since limbs were last carried: below 2^29 */
} exact_sum;
void exact_add(exact_sum *s, double x); /* finite */
void exact_merge(exact_sum *s, const exact_sum *from);
/* Carry: limbs but the last in [0, 2^32). One representation for each value. */
void exact_carry(exact_sum *s);
/* The sum as hi + lo, |lo| <= ulp(hi) / 2. */
void exact_value(const exact_sum *s, double *hi, double *lo);

typedef struct dim {
    double min, max; /* of count > 0 values */
    exact_sum sum, square;
    int64_t count;
    uint64_t ones; /* OR of the values' bits */
    int shift;     /* 0..63 */
    int64_t n;
    uint64_t *key, *times; /* owned [n]: prefixes in increasing order, and how many values each has */
    int64_t n_new, cap_new;
    uint64_t *fresh; /* owned [n_new] whole keys not yet in the bins */
} dim;

uint64_t dim_key(double x);
double dim_unkey(uint64_t key);
void dim_clear(dim *d);
/* Every stride-th value of x, n of them, finite. false: out of memory. */
bool dim_add(dim *d, const double *x, int64_t n, int64_t stride);
bool dim_merge(dim *d, dim *from);
bool dim_flush(dim *d);
/* Whether the bins still tell single values. */
bool dim_exact(const dim *d);
/* The k-th smallest value, 0 <= k < count, of a flushed dim: its bin, how many values lie before the bin, and the closest guess,
 * off by at most *bound (0 when exact). Any of the pointers may be NULL. */
double dim_order(const dim *d, int64_t k, int64_t *bin, int64_t *before, double *bound);
void dim_moments(const dim *d, double *mean, double *std);

typedef struct summary_feature {
    char *key; /* owned */
    bool image;
    int64_t n, count;        /* dimensions (images: 3), rows (images: frames) */
    dim *dims;               /* owned [n]; NULL for images */
    uint64_t (*pixels)[256]; /* owned [3][256]; NULL for vectors */
} summary_feature;

struct fw_summary {
    int n;
    summary_feature *item; /* owned */
};

/* The feature, made with n dimensions when absent. */
fw_status summary_feature_get(fw_summary *s, const char *key, bool image, int64_t n, summary_feature **out,
                              fw_err *err);
summary_feature *summary_find(const fw_summary *s, const char *key); /* NULL when absent */
/* q01 q10 q50 q90 q99 of sorted values that `order(ctx, k, &bound)` looks up: count of them, into value [5]. Returns the bound. */
typedef double (*order_fn)(void *ctx, int64_t k, double *bound);
double summary_quantiles(order_fn order, void *ctx, int64_t count, double value[5]);
/* Zeroed statistics of n dimensions. */
fw_status fw_column_stats_new(fw_column_stats *s, int64_t n, fw_err *err);
/* Like fw_summary_get for one dimension d of a vector feature, quantiles left out. */
void summary_moments(const summary_feature *f, int64_t d, fw_column_stats *out);

#endif /* FW_DATA_SUMMARY_INT_H */
