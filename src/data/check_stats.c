/*
 * check_stats.c - statistics in the metadata against the rows (see dataset.h).
 *
 * One pass over the rows gives count, min, max, mean and std of each number feature, by episode and merged for the whole (Chan,
 * Golub, LeVeque 1979); nothing else is kept. Quantiles depend on the estimator: of these only the order is checked. Rows that are
 * not finite are left out, as those who write statistics leave them out.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/check_int.h"
#include "data/copy_int.h"

typedef struct moments {
    int64_t n; /* rows */
    double *value
        [4]; /* owned [size] each: min, max, mean, std (while it grows: sum of squared distances), as store_stat_names */
} moments;
enum { MIN, MAX, MEAN, STD };

static void moments_clear(moments *m) {
    free(m->value[0]);
    *m = (moments){0};
}

static bool moments_init(moments *m, int64_t size) {
    double *v = calloc((size_t)size * 4 + 1, sizeof(double));
    *m = (moments){.value = {v, v + size, v + 2 * size, v + 3 * size}};
    return v != NULL;
}

/* Rows [first, first+rows) of col. */
static void moments_of(const fw_column *col, int64_t first, int64_t rows, moments *m) {
    int64_t w = col->width;
    m->n = 0;
    for (int64_t r = first; r < first + rows; r++) {
        bool finite = true;
        for (int64_t d = 0; d < w && finite; d++) {
            finite = isfinite(fw_column_f64(col, r * w + d));
        }
        m->n += finite;
        for (int64_t d = 0; d < w && finite; d++) {
            double v = fw_column_f64(col, r * w + d), delta = v - (m->n > 1 ? m->value[MEAN][d] : 0.0);
            m->value[MIN][d] = m->n > 1 ? fmin(m->value[MIN][d], v) : v;
            m->value[MAX][d] = m->n > 1 ? fmax(m->value[MAX][d], v) : v;
            m->value[MEAN][d] = m->n > 1 ? m->value[MEAN][d] + delta / (double)m->n : v;
            m->value[STD][d] = m->n > 1 ? m->value[STD][d] + delta * (v - m->value[MEAN][d]) : 0.0;
        }
    }
}

static void moments_merge(moments *m, const moments *from, int64_t size) {
    double a = (double)m->n, b = (double)from->n;
    for (int64_t d = 0; d < size && from->n > 0; d++) {
        double delta = from->value[MEAN][d] - m->value[MEAN][d];
        bool first = m->n == 0;
        m->value[MIN][d] = first ? from->value[MIN][d] : fmin(m->value[MIN][d], from->value[MIN][d]);
        m->value[MAX][d] = first ? from->value[MAX][d] : fmax(m->value[MAX][d], from->value[MAX][d]);
        m->value[MEAN][d] += delta * b / (a + b);
        m->value[STD][d] += from->value[STD][d] + delta * delta * a * b / (a + b);
    }
    m->n += from->n;
}

/* How far a statistic of dimension d may be off: float32 sums, texts of few digits, and, for times in ns, doubles themselves. */
static double slack(const moments *m, int64_t d, double std) {
    return 1e-3 * std + 1e-15 * fmax(fabs(m->value[MIN][d]), fabs(m->value[MAX][d])) + 1e-6;
}

/* s [STORE_STATS][n] says what the rows say; level: up to STD, or the quantiles too. text: what is wrong. */
static bool fits(const store_stats *s, stat_level level, const moments *m, int64_t length, char text[160]) {
    if (s->count != m->n && s->count != length) {
        snprintf(text, 160, "count is %lld, the rows are %lld", (long long)s->count, (long long)m->n);
        return false;
    }
    for (int64_t d = 0; d < s->n; d++) {
        double std = sqrt(m->value[STD][d] / (double)m->n), room = slack(m, d, std);
        for (int k = MIN; k <= STD; k++) {
            double have = s->value[k * s->n + d], want = k == STD ? std : m->value[k][d];
            if (!(fabs(have - want) <= room + 1e-5 * fabs(want))) {
                snprintf(text, 160, "%s[%lld] is %g, the rows say %g", store_stat_names[k], (long long)d, have, want);
                return false;
            }
        }
        double last = m->value[MIN][d];
        for (int k = 4; k < STORE_STATS && level == STAT_FULL; k++) {
            double q = s->value[k * s->n + d], top = m->value[MAX][d];
            if (!(q >= last - room - 1e-5 * fabs(last) && q <= top + room + 1e-5 * fabs(top))) {
                snprintf(text, 160, "%s[%lld] is %g, between %g and %g is room for it", store_stat_names[k],
                         (long long)d, q, last, m->value[MAX][d]);
                return false;
            }
            last = q;
        }
    }
    return true;
}

static const char *episodes_file(const fw_dataset *ds) {
    return ds->version == 30 ? "meta/episodes" : "meta/episodes_stats.jsonl";
}

/* One episode of feature f; the whole's moments grow. false: out of memory. */
static bool check_episode(checker *c, copy_source *s, const fw_feature *f, int64_t e, moments *one, moments *all) {
    const fw_episode_info *i = &s->ds->episodes[e];
    const fw_column *col = fw_table_find(&s->rows, f->key);
    store_stats have;
    stat_level level;
    char text[160];
    if (col == NULL || col->type == FW_COL_STR || col->width != f->size) {
        return true; /* said already */
    }
    moments_of(col, i->data_row, i->length, one);
    moments_merge(all, one, f->size);
    if (copy_source_stats(s, e, f, &level, &have, NULL) != FW_OK) {
        return false;
    }
    if (one->n > 0 && level != STAT_NONE && !fits(&have, level, one, i->length, text)) {
        check_found(c, "episode_stats", episodes_file(s->ds), i->index, -1, true, "%s: %s", f->key, text);
    }
    store_stats_clear(&have);
    return true;
}

/* meta/stats.json of v3.0 against the merged moments. */
static void check_whole(checker *c, const fw_feature *f, const json_t *stats, const moments *all) {
    char text[160];
    store_stats have = {.n = f->size, .value = calloc((size_t)f->size * STORE_STATS + 1, sizeof(double))};
    stat_level level;
    if (have.value == NULL) {
        c->nomem = true;
        return;
    }
    if (json_object_get(stats, f->key) == NULL) {
        check_found(c, "stats", "meta/stats.json", -1, -1, true, "no statistics of %s", f->key);
    } else {
        copy_stats_json(json_object_get(stats, f->key), f->size, &level, &have);
        if (level == STAT_NONE) {
            check_found(c, "stats", "meta/stats.json", -1, -1, true,
                        "%s: wanted min, max, mean and std of %lld numbers", f->key, (long long)f->size);
        } else if (!fits(&have, level, all, c->ds->n_frames, text)) {
            check_found(c, "stats", "meta/stats.json", -1, -1, true, "%s: %s", f->key, text);
        }
    }
    store_stats_clear(&have);
}

/* All episodes of all number features, file by file. *whole: every row could be read. */
static fw_status scan(checker *c, copy_source *s, moments *one, moments *all, bool *whole, fw_err *err) {
    const fw_dataset *ds = s->ds;
    check_begin(c, "episodes' statistics checked", ds->n_episodes);
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        fw_status st = copy_source_rows(s, e, NULL);
        if (st == FW_NOMEM) {
            return fw_fail(err, st, "%s: statistics", ds->dir);
        }
        *whole = *whole && st == FW_OK;
        for (int f = 0; f < ds->n_features && st == FW_OK; f++) {
            if (one[f].value[0] != NULL && !check_episode(c, s, &ds->features[f], e, &one[f], &all[f])) {
                return fw_fail(err, FW_NOMEM, "%s: statistics of ep %lld", ds->dir, (long long)e);
            }
        }
        check_step(c, e + 1);
    }
    check_end(c);
    return FW_OK;
}

static void check_totals(checker *c, const fw_dataset *ds, const moments *all) {
    char path[STORE_PATH];
    json_t *stats = NULL;
    fw_err why;
    if (fw_path_join(path, sizeof(path), ds->dir, "meta/stats.json", &why) != FW_OK ||
        fw_json_load(path, &stats, &why) != FW_OK) {
        check_found(c, "stats", "meta/stats.json", -1, -1, true, "%s", check_without(path, why.msg));
        return;
    }
    for (int f = 0; f < ds->n_features; f++) {
        if (all[f].n > 0) {
            check_whole(c, &ds->features[f], stats, &all[f]);
        }
    }
    json_decref(stats);
}

fw_status check_statistics(checker *c, fw_err *err) {
    copy_source s = {.file = -1};
    fw_dataset *ds;
    bool whole = true, ok;
    FW_TRY(fw_dataset_open_miscounted(c->ds->dir, &ds, err));
    moments *one = calloc((size_t)ds->n_features + 1, sizeof(*one)),
            *all = calloc((size_t)ds->n_features + 1, sizeof(*all));
    ok = one != NULL && all != NULL;
    for (int f = 0; f < ds->n_features && ok; f++) {
        const fw_feature *x = &ds->features[f];
        ok = !copy_is_number(x) || (moments_init(&one[f], x->size) && moments_init(&all[f], x->size));
    }
    fw_err why;
    fw_status st = ok ? FW_OK : fw_fail(err, FW_NOMEM, "%s: statistics", ds->dir);
    fw_status taken = copy_source_take(&s, ds, &(fw_copy_source){.dir = ds->dir}, &why);
    if (taken == FW_NOMEM && st == FW_OK) {
        st = fw_fail(err, FW_NOMEM, "%s: statistics", ds->dir);
    } else if (taken != FW_OK) { /* the tables with the episodes' statistics cannot be read as a whole */
        check_found(c, "metadata", episodes_file(ds), -1, -1, false, "%s", why.msg);
    } else if (st == FW_OK) {
        st = scan(c, &s, one, all, &whole, err);
        if (st == FW_OK && whole && ds->version == 30) {
            check_totals(c, ds, all);
        }
    }
    for (int f = 0; f < ds->n_features; f++) {
        if (one != NULL && all != NULL) {
            moments_clear(&one[f]);
            moments_clear(&all[f]);
        }
    }
    free(one);
    free(all);
    copy_source_clear(&s);
    return st;
}
