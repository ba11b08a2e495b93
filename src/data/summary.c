/* summary.c - see stats.h: features, their statistics, stats.json. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/summary_int.h"

#define VALUE_MAX 1e150 /* its square is still far from infinity */

static fw_status no_memory(const char *key, fw_err *err) {
    return fw_fail(err, FW_NOMEM, "statistics of %s: out of memory", key);
}

fw_status fw_summary_new(fw_summary **out, fw_err *err) {
    *out = calloc(1, sizeof **out);
    return *out != NULL ? FW_OK : no_memory("a dataset", err);
}

static void feature_clear(summary_feature *f) {
    for (int64_t d = 0; f->dims != NULL && d < f->n; d++) {
        dim_clear(&f->dims[d]);
    }
    free(f->dims);
    free(f->pixels);
    free(f->key);
}

void fw_summary_free(fw_summary *s) {
    if (s == NULL) {
        return;
    }
    for (int i = 0; i < s->n; i++) {
        feature_clear(&s->item[i]);
    }
    free(s->item);
    free(s);
}

void fw_summary_drop(fw_summary *s, const char *key) {
    summary_feature *f = summary_find(s, key);
    if (f != NULL) {
        feature_clear(f);
        s->n--;
        memmove(f, f + 1, (size_t)(s->item + s->n - f) * sizeof *f);
    }
}

summary_feature *summary_find(const fw_summary *s, const char *key) {
    for (int i = 0; i < s->n; i++) {
        if (strcmp(s->item[i].key, key) == 0) {
            return &s->item[i];
        }
    }
    return NULL;
}

fw_status summary_feature_get(fw_summary *s, const char *key, bool image, int64_t n, summary_feature **out,
                              fw_err *err) {
    summary_feature *f = summary_find(s, key);
    if (f != NULL && (f->image != image || f->n != n)) {
        return fw_fail(err, FW_SHAPE, "statistics of %s: wanted %lld %s, found %lld %s", key, (long long)f->n,
                       f->image ? "channels" : "values a row", (long long)n, image ? "channels" : "values a row");
    }
    if (f == NULL) {
        summary_feature *more = realloc(s->item, (size_t)(s->n + 1) * sizeof *more);
        if (more == NULL) {
            return no_memory(key, err);
        }
        s->item = more;
        f = &more[s->n];
        *f = (summary_feature){.key = strdup(key), .image = image, .n = n};
        f->dims = image ? NULL : calloc((size_t)n, sizeof *f->dims);
        f->pixels = image ? calloc(3, sizeof *f->pixels) : NULL;
        if (f->key == NULL || (f->dims == NULL && f->pixels == NULL)) {
            feature_clear(f);
            return no_memory(key, err);
        }
        s->n++;
    }
    *out = f;
    return FW_OK;
}

int fw_summary_features(const fw_summary *s) {
    return s->n;
}

const char *fw_summary_key(const fw_summary *s, int i) {
    return s->item[i].key;
}

int64_t fw_summary_count(const fw_summary *s, const char *key) {
    const summary_feature *f = summary_find(s, key);
    return f != NULL ? f->count : 0;
}

bool fw_summary_is_image(const fw_summary *s, const char *key) {
    const summary_feature *f = summary_find(s, key);
    return f != NULL && f->image;
}

/* --- adding --- */

fw_status fw_summary_add_f64(fw_summary *s, const char *key, const double *x, int64_t rows, int64_t n, fw_err *err) {
    summary_feature *f;
    if (rows < 0 || n < 1) {
        return fw_fail(err, FW_INVALID, "statistics of %s: %lld rows of %lld values", key, (long long)rows,
                       (long long)n);
    }
    for (int64_t i = 0; i < rows * n; i++) {
        if (!(fabs(x[i]) <= VALUE_MAX)) {
            return fw_fail(err, FW_FORMAT, "statistics of %s: row %lld: [%lld] is %g, wanted a finite number", key,
                           (long long)(i / n), (long long)(i % n), x[i]);
        }
    }
    FW_TRY(summary_feature_get(s, key, false, n, &f, err));
    for (int64_t d = 0; d < n; d++) {
        if (!dim_add(&f->dims[d], x + d, rows, n)) {
            return no_memory(key, err);
        }
    }
    f->count += rows;
    return FW_OK;
}

fw_status fw_summary_add_f32(fw_summary *s, const char *key, const float *x, int64_t rows, int64_t n, fw_err *err) {
    double *wide = malloc((size_t)(rows > 0 && n > 0 ? rows * n : 1) * sizeof *wide);
    if (wide == NULL) {
        return no_memory(key, err);
    }
    for (int64_t i = 0; i < rows * n; i++) {
        wide[i] = (double)x[i];
    }
    fw_status st = fw_summary_add_f64(s, key, wide, rows, n, err);
    free(wide);
    return st;
}

fw_status fw_summary_add_rgb(fw_summary *s, const char *key, const uint8_t *rgb, int64_t frames, int h, int w,
                             fw_err *err) {
    summary_feature *f;
    int side = h > w ? h : w, step = side < 300 ? 1 : side / 150;
    FW_TRY(summary_feature_get(s, key, true, 3, &f, err));
    for (int64_t i = 0; i < frames; i++) {
        const uint8_t *image = rgb + (size_t)i * (size_t)h * (size_t)w * 3;
        for (int y = 0; y < h; y += step) {
            const uint8_t *p = image + (size_t)y * (size_t)w * 3;
            for (int x = 0; x < w; x += step, p += 3 * step) {
                f->pixels[0][p[0]]++, f->pixels[1][p[1]]++, f->pixels[2][p[2]]++;
            }
        }
    }
    f->count += frames;
    return FW_OK;
}

fw_status fw_summary_merge(fw_summary *s, fw_summary *from, fw_err *err) {
    for (int i = 0; i < from->n; i++) {
        summary_feature *a, *b = &from->item[i];
        FW_TRY(summary_feature_get(s, b->key, b->image, b->n, &a, err));
        for (int64_t k = 0; b->image && k < 3 * 256; k++) {
            a->pixels[k / 256][k % 256] += b->pixels[k / 256][k % 256];
        }
        for (int64_t d = 0; !b->image && d < b->n; d++) {
            if (!dim_merge(&a->dims[d], &b->dims[d])) {
                return no_memory(b->key, err);
            }
        }
        a->count += b->count;
    }
    return FW_OK;
}

static bool dim_equal(dim *a, dim *b) {
    if (!dim_flush(a) || !dim_flush(b) || a->count != b->count || a->n != b->n || a->shift != b->shift) {
        return false;
    }
    exact_carry(&a->sum), exact_carry(&b->sum), exact_carry(&a->square), exact_carry(&b->square);
    return a->count == 0 || (a->min == b->min && a->max == b->max && a->ones == b->ones &&
                             memcmp(a->sum.limb, b->sum.limb, sizeof a->sum.limb) == 0 &&
                             memcmp(a->square.limb, b->square.limb, sizeof a->square.limb) == 0 &&
                             memcmp(a->key, b->key, (size_t)a->n * sizeof *a->key) == 0 &&
                             memcmp(a->times, b->times, (size_t)a->n * sizeof *a->times) == 0);
}

bool fw_summary_equal(fw_summary *a, fw_summary *b) {
    bool same = a->n == b->n;
    for (int i = 0; i < a->n && same; i++) {
        summary_feature *f = &a->item[i], *g = summary_find(b, f->key);
        same = g != NULL && g->image == f->image && g->n == f->n && g->count == f->count;
        same = same && (!f->image || memcmp(f->pixels, g->pixels, 3 * sizeof *f->pixels) == 0);
        for (int64_t d = 0; same && !f->image && d < f->n; d++) {
            same = dim_equal(&f->dims[d], &g->dims[d]);
        }
    }
    return same;
}

/* --- asking --- */

double summary_quantiles(order_fn order, void *ctx, int64_t count, double value[5]) {
    static const double q[5] = {0.01, 0.10, 0.50, 0.90, 0.99};
    double most = 0.0;
    for (int i = 0; i < 5; i++) {
        double at = q[i] * (double)(count - 1), b_lo, b_hi;
        int64_t k = (int64_t)at;
        double lo = order(ctx, k, &b_lo), hi = order(ctx, k + 1 < count ? k + 1 : k, &b_hi);
        value[i] = lo + (at - (double)k) * (hi - lo);
        most = fmax(most, fmax(b_lo, b_hi));
    }
    return most;
}

static double dim_order_of(void *ctx, int64_t k, double *bound) {
    return dim_order(ctx, k, NULL, NULL, bound);
}

static double pixel_order(void *ctx, int64_t k, double *bound) {
    const uint64_t *times = ctx;
    int64_t seen = (int64_t)times[0];
    int v = 0;
    while (v < 255 && seen <= k) {
        seen += (int64_t)times[++v];
    }
    *bound = 0.0;
    return v / 255.0;
}

static void pixel_stats(uint64_t times[256], int64_t c, fw_column_stats *out) {
    uint64_t n = 0, sum = 0;
    int lo = 255, hi = 0;
    for (unsigned v = 0; v < 256; v++) {
        n += times[v];
        sum += times[v] * v;
        lo = times[v] > 0 && (int)v < lo ? (int)v : lo;
        hi = times[v] > 0 ? (int)v : hi;
    }
    double mean = (double)sum / (double)n, q[5], var = 0.0;
    for (int v = 0; v < 256; v++) {
        var += (double)times[v] * (v - mean) * (v - mean);
    }
    out->mean[c] = mean / 255.0;
    out->std[c] = sqrt(var / (double)n) / 255.0;
    out->min[c] = lo / 255.0;
    out->max[c] = hi / 255.0;
    (void)summary_quantiles(pixel_order, times, (int64_t)n, q);
    out->q01[c] = q[0], out->q10[c] = q[1], out->q50[c] = q[2], out->q90[c] = q[3], out->q99[c] = q[4];
}

void summary_moments(const summary_feature *f, int64_t d, fw_column_stats *out) {
    dim_moments(&f->dims[d], &out->mean[d], &out->std[d]);
    out->min[d] = f->dims[d].min;
    out->max[d] = f->dims[d].max;
}

static fw_status wanted(const fw_summary *s, const char *key, summary_feature **out, fw_err *err) {
    *out = summary_find(s, key);
    return *out != NULL && (*out)->count > 0 ? FW_OK : fw_fail(err, FW_INVALID, "no statistics of '%s'", key);
}

fw_status fw_summary_get(fw_summary *s, const char *key, fw_column_stats *out, fw_err *err) {
    summary_feature *f;
    *out = (fw_column_stats){0};
    FW_TRY(wanted(s, key, &f, err));
    FW_TRY(fw_column_stats_new(out, f->n, err));
    out->count = f->count;
    for (int64_t d = 0; d < f->n; d++) {
        double q[5];
        if (f->image) {
            pixel_stats(f->pixels[d], d, out);
            continue;
        }
        if (!dim_flush(&f->dims[d])) {
            fw_column_stats_clear(out);
            return no_memory(key, err);
        }
        summary_moments(f, d, out);
        out->bound[d] = summary_quantiles(dim_order_of, &f->dims[d], f->count, q);
        out->q01[d] = q[0], out->q10[d] = q[1], out->q50[d] = q[2], out->q90[d] = q[3], out->q99[d] = q[4];
    }
    return FW_OK;
}

/* `times` values that lie evenly in [a, b], shared out among n parts of [lo, hi]. */
static void share_out(double a, double b, double times, double lo, double hi, int n, double *counts) {
    double scale = hi > lo ? n / (hi - lo) : 0.0, x = (a - lo) * scale, y = (b - lo) * scale;
    if (y < 0.0 || x > n) {
        return;
    }
    int first = (int)fmax(0.0, floor(x)), last = (int)fmin(n - 1.0, floor(y));
    first = first < n ? first : n - 1;
    for (int i = first; i <= last; i++) {
        double inside = fmin(y, i + 1.0) - fmax(x, (double)i);
        counts[i] += y > x ? times * fmax(inside, 0.0) / (y - x) : times;
    }
}

fw_status fw_summary_histogram(fw_summary *s, const char *key, int64_t d, double lo, double hi, int n, double *counts,
                               fw_err *err) {
    summary_feature *f;
    FW_TRY(wanted(s, key, &f, err));
    if (d < 0 || d >= f->n || n < 1 || !(hi >= lo)) {
        return fw_fail(err, FW_INVALID, "histogram of %s[%lld]: %d parts of %g..%g", key, (long long)d, n, lo, hi);
    }
    memset(counts, 0, (size_t)n * sizeof *counts);
    for (int v = 0; f->image && v < 256; v++) {
        share_out(v / 255.0, v / 255.0, (double)f->pixels[d][v], lo, hi, n, counts);
    }
    if (f->image) {
        return FW_OK;
    }
    dim *m = &f->dims[d];
    if (!dim_flush(m)) {
        return no_memory(key, err);
    }
    for (int64_t i = 0; i < m->n; i++) {
        uint64_t first = m->key[i] << m->shift, last = first | ((1ull << m->shift) - 1);
        double a = fmax(dim_unkey(first), m->min), b = fmin(dim_unkey(last), m->max);
        if (dim_exact(m)) {
            a = b = first >> 63 ? dim_unkey(first) : dim_unkey(last);
        }
        share_out(a, b, (double)m->times[i], lo, hi, n, counts);
    }
    return FW_OK;
}

/* --- stats.json --- */

/* [v...] for numbers, [[[r]],[[g]],[[b]]] for images. */
static json_t *values_json(const double *v, int64_t n, bool image) {
    json_t *a = json_array();
    for (int64_t i = 0; i < n; i++) {
        json_array_append_new(a, image ? json_pack("[[f]]", v[i]) : json_real(v[i]));
    }
    return a;
}

json_t *fw_column_stats_json(const fw_column_stats *s, bool image) {
    const struct {
        const char *name;
        const double *v;
    } part[] = {{"min", s->min}, {"max", s->max}, {"mean", s->mean}, {"std", s->std}, {NULL, NULL},
                {"q01", s->q01}, {"q10", s->q10}, {"q50", s->q50},   {"q90", s->q90}, {"q99", s->q99}};
    json_t *j = json_object();
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        if (part[i].name == NULL) {
            json_object_set_new(j, "count", json_pack("[I]", (json_int_t)s->count));
        } else {
            json_object_set_new(j, part[i].name, values_json(part[i].v, s->n, image));
        }
    }
    return j;
}

json_t *fw_summary_json(fw_summary *s) {
    json_t *all = json_object();
    for (int i = 0; i < s->n && all != NULL; i++) {
        fw_column_stats c;
        if (s->item[i].count == 0) {
            continue;
        }
        if (fw_summary_get(s, s->item[i].key, &c, NULL) != FW_OK) {
            json_decref(all);
            return NULL;
        }
        json_object_set_new(all, s->item[i].key, fw_column_stats_json(&c, s->item[i].image));
        fw_column_stats_clear(&c);
    }
    return all;
}
