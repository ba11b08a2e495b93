/* stats.c - exact statistics: mean and population std in double, quantiles from the sorted values. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset_int.h"
#include "data/summary_int.h"

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Linear interpolation between order statistics (numpy's default). v: sorted, [n]. */
static double quantile(const double *v, int64_t n, double q) {
    double at = q * (double)(n - 1);
    int64_t lo = (int64_t)at, hi = lo + 1 < n ? lo + 1 : lo;
    return v[lo] + (at - (double)lo) * (v[hi] - v[lo]);
}

fw_status fw_column_stats_new(fw_column_stats *s, int64_t n, fw_err *err) {
    double **field[] = {&s->mean, &s->std, &s->min, &s->max, &s->q01, &s->q10, &s->q50, &s->q90, &s->q99, &s->bound};
    *s = (fw_column_stats){.n = n};
    for (size_t i = 0; i < sizeof(field) / sizeof(*field); i++) {
        if ((*field[i] = calloc((size_t)n + 1, sizeof(double))) == NULL) {
            fw_column_stats_clear(s);
            return fw_fail(err, FW_NOMEM, "statistics of %lld dimensions", (long long)n);
        }
    }
    return FW_OK;
}

void fw_column_stats_clear(fw_column_stats *s) {
    double *field[] = {s->mean, s->std, s->min, s->max, s->q01, s->q10, s->q50, s->q90, s->q99, s->bound};
    for (size_t i = 0; i < sizeof(field) / sizeof(*field); i++) {
        free(field[i]);
    }
    *s = (fw_column_stats){0};
}

/* One dimension: v [rows] is sorted on the way. */
static void stats_of(double *v, int64_t rows, int64_t d, fw_column_stats *out) {
    double sum = 0.0, var = 0.0;
    for (int64_t r = 0; r < rows; r++) {
        sum += v[r];
    }
    double mean = sum / (double)rows;
    for (int64_t r = 0; r < rows; r++) {
        var += (v[r] - mean) * (v[r] - mean);
    }
    qsort(v, (size_t)rows, sizeof(double), by_value);
    out->mean[d] = mean;
    out->std[d] = sqrt(var / (double)rows);
    out->min[d] = v[0];
    out->max[d] = v[rows - 1];
    out->q01[d] = quantile(v, rows, 0.01);
    out->q10[d] = quantile(v, rows, 0.10);
    out->q50[d] = quantile(v, rows, 0.50);
    out->q90[d] = quantile(v, rows, 0.90);
    out->q99[d] = quantile(v, rows, 0.99);
}

/* Statistics of f32 or f64 (the other is NULL), [rows, n]. */
static fw_status compute(const float *f32, const double *f64, int64_t rows, int64_t n, fw_column_stats *out,
                         fw_err *err) {
    *out = (fw_column_stats){0};
    if (rows < 1 || n < 1) {
        return fw_fail(err, FW_INVALID, "statistics of %lld rows of %lld values", (long long)rows, (long long)n);
    }
    double *v = malloc((size_t)rows * sizeof(double));
    if (v == NULL) {
        return fw_fail(err, FW_NOMEM, "statistics of %lld rows", (long long)rows);
    }
    fw_status st = fw_column_stats_new(out, n, err);
    out->count = rows;
    for (int64_t d = 0; d < n && st == FW_OK; d++) {
        for (int64_t r = 0; r < rows; r++) {
            v[r] = f32 != NULL ? (double)f32[r * n + d] : f64[r * n + d];
        }
        stats_of(v, rows, d, out);
    }
    free(v);
    return st;
}

fw_status fw_column_stats_compute(const float *x, int64_t rows, int64_t n, fw_column_stats *out, fw_err *err) {
    return compute(x, NULL, rows, n, out, err);
}

fw_status fw_stats_f64(const double *x, int64_t rows, int64_t n, fw_column_stats *out, fw_err *err) {
    return compute(NULL, x, rows, n, out, err);
}

fw_status fw_dataset_compute_stats(fw_dataset *ds, const char *feature, const int64_t *episodes, int64_t n_episodes,
                                   fw_column_stats *out, fw_err *err) {
    *out = (fw_column_stats){0};
    bool is_action = ds->action != NULL && strcmp(feature, "action") == 0;
    if (!is_action && (ds->state == NULL || strcmp(feature, "observation.state") != 0)) {
        return fw_fail(err, FW_UNSUPPORTED, "%s: statistics of '%s': wanted action or observation.state", ds->dir,
                       feature);
    }
    int64_t n = is_action ? ds->n_action : ds->n_state, rows = 0, most = episodes != NULL ? n_episodes : ds->n_episodes;
    for (int64_t i = 0; i < most; i++) {
        int64_t e = episodes != NULL ? episodes[i] : i;
        if (e < 0 || e >= ds->n_episodes) {
            return fw_fail(err, FW_INVALID, "%s: no episode %lld", ds->dir, (long long)e);
        }
        rows += ds->episodes[e].length;
    }
    float *x = malloc((size_t)(rows * n + 1) * sizeof(float));
    if (x == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: %lld rows", ds->dir, (long long)rows);
    }
    fw_status st = FW_OK;
    float *at = x;
    for (int64_t i = 0; i < most && st == FW_OK; i++) {
        fw_episode ep;
        if ((st = fw_dataset_read_episode(ds, episodes != NULL ? episodes[i] : i, &ep, err)) == FW_OK) {
            memcpy(at, is_action ? ep.action : ep.state, (size_t)(ep.length * n) * sizeof(float));
            at += ep.length * n;
            fw_episode_clear(&ep);
        }
    }
    st = st == FW_OK ? fw_column_stats_compute(x, rows, n, out, err) : st;
    free(x);
    return st;
}
