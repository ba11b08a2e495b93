/*
 * summary_scan.c - summaries and exact statistics of a dataset on disk (see stats.h).
 *
 * EXACT QUANTILES without sorting or holding a column: a quantile needs the k-th and (k+1)-th smallest values. The summary says
 * in which bin each lies and how many values are before it; another pass over the data puts the values of just these bins
 * into bins of their own, which are finer. It ends when the bins tell single values: bits of prefix are gained in
 * every pass, so after at most four, in practice after one.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "data/dataset_int.h"
#include "data/summary_int.h"

/* --- one pass over the rows --- */

/* Rows x [rows, f->size] of one episode. */
typedef fw_status (*rows_fn)(void *ctx, const fw_feature *f, const double *x, int64_t rows, fw_err *err);

typedef struct scan {
    fw_dataset *ds;
    const fw_stats_opts *opts;
    rows_fn visit;
    void *ctx;
    double *x; /* owned [cap] */
    int64_t cap;
} scan;

static bool is_vector(const fw_feature *f) {
    static const char *const other[] = {"video", "image", "string", "language"};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        if (strcmp(f->dtype, other[i]) == 0) {
            return false;
        }
    }
    return true;
}

static bool is_wanted(const fw_stats_opts *o, const fw_feature *f) {
    return o->feature == NULL || strcmp(o->feature, f->key) == 0;
}

static fw_status visit_column(scan *s, const fw_table *t, const fw_feature *f, const fw_episode_info *e, fw_err *err) {
    const fw_column *c = fw_table_find(t, f->key);
    if (c == NULL || c->type == FW_COL_STR || (c->width != f->size && t->rows > 0)) {
        return fw_fail(err, FW_SHAPE, "wanted a column '%s' of %lld numbers, found %lld", f->key, (long long)f->size,
                       c == NULL ? 0ll : (long long)c->width);
    }
    int64_t n = e->length * f->size;
    if (n > s->cap) {
        double *x = realloc(s->x, (size_t)n * sizeof *x);
        if (x == NULL) {
            return fw_fail(err, FW_NOMEM, "%lld rows of %s", (long long)e->length, f->key);
        }
        s->x = x;
        s->cap = n;
    }
    for (int64_t i = 0; i < n; i++) {
        s->x[i] = fw_column_f64(c, e->data_row * f->size + i);
    }
    return s->visit(s->ctx, f, s->x, e->length, err);
}

static fw_status visit_episode(scan *s, const fw_table *t, const char *path, int64_t ep, fw_err *err) {
    const fw_episode_info *e = &s->ds->episodes[ep];
    if (e->data_row + e->length > t->rows) {
        return fw_fail(err, FW_FORMAT, "%s: ep %lld: wanted rows up to %lld, the file has %lld", path,
                       (long long)e->index, (long long)(e->data_row + e->length), (long long)t->rows);
    }
    for (int i = 0; i < s->ds->n_features; i++) {
        const fw_feature *f = &s->ds->features[i];
        fw_status st = is_vector(f) && is_wanted(s->opts, f) ? visit_column(s, t, f, e, err) : FW_OK;
        if (st != FW_OK) {
            return fw_fail_in(err, st, "%s: ep %lld", path, (long long)e->index);
        }
    }
    return FW_OK;
}

static fw_status read_file(scan *s, int file, fw_table *t, fw_err *err) {
    const char **names = calloc((size_t)s->ds->n_features + 1, sizeof *names);
    int n = 0;
    if (names == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: features", s->ds->dir);
    }
    for (int i = 0; i < s->ds->n_features; i++) {
        if (is_vector(&s->ds->features[i]) && is_wanted(s->opts, &s->ds->features[i])) {
            names[n++] = s->ds->features[i].key;
        }
    }
    fw_status st = fw_table_read(s->ds->data_files[file], names, n, t, err);
    free(names);
    return st;
}

static int64_t n_episodes(const fw_dataset *ds, const fw_stats_opts *o) {
    return o->episodes != NULL ? o->n_episodes : ds->n_episodes;
}

static fw_status check_episodes(const fw_dataset *ds, const fw_stats_opts *o, fw_err *err) {
    for (int64_t i = 0; o->episodes != NULL && i < o->n_episodes; i++) {
        if (o->episodes[i] < 0 || o->episodes[i] >= ds->n_episodes) {
            return fw_fail(err, FW_INVALID, "%s: no episode %lld, there are %lld", ds->dir, (long long)o->episodes[i],
                           (long long)ds->n_episodes);
        }
    }
    return FW_OK;
}

static fw_status scan_rows(fw_dataset *ds, const fw_stats_opts *o, rows_fn visit, void *ctx, fw_err *err) {
    scan s = {.ds = ds, .opts = o, .visit = visit, .ctx = ctx};
    fw_table t = {0};
    int file = -1;
    bool any = false;
    for (int i = 0; i < ds->n_features; i++) {
        any = any || (is_vector(&ds->features[i]) && is_wanted(o, &ds->features[i]));
    }
    fw_status st = check_episodes(ds, o, err);
    for (int64_t i = 0; i < n_episodes(ds, o) && st == FW_OK && any; i++) {
        int64_t ep = o->episodes != NULL ? o->episodes[i] : i;
        int want = ds->episodes[ep].data_file;
        if (want != file) {
            fw_table_clear(&t);
            t = (fw_table){0};
            st = read_file(&s, want, &t, err);
            file = st == FW_OK ? want : -1;
        }
        st = st == FW_OK ? visit_episode(&s, &t, fw_dataset_rel(ds, ds->data_files[want]), ep, err) : st;
    }
    fw_table_clear(&t);
    free(s.x);
    return st;
}

/* --- the summary --- */

static fw_status add_rows(void *ctx, const fw_feature *f, const double *x, int64_t rows, fw_err *err) {
    return fw_summary_add_f64(ctx, f->key, x, rows, f->size, err);
}

/* Every n-th frame of one episode of one camera. */
static fw_status add_video(fw_dataset *ds, fw_summary *s, int64_t ep, int cam, int every, uint8_t *rgb, fw_err *err) {
    const fw_ds_camera *c = &ds->cameras[cam];
    for (int64_t t = 0; t < ds->episodes[ep].length; t += every) {
        FW_TRY(fw_dataset_read_images(ds, ep, cam, t, 1, c->h, c->w, rgb, err));
        FW_TRY(fw_summary_add_rgb(s, c->key, rgb, 1, c->h, c->w, err));
    }
    return FW_OK;
}

static fw_status scan_videos(fw_dataset *ds, const fw_stats_opts *o, fw_summary *s, fw_err *err) {
    fw_progress bar = {0};
    fw_status st = FW_OK;
    int64_t n = n_episodes(ds, o);
    if (o->progress) {
        fw_progress_start(&bar, "episodes looked at", (uint64_t)(n * ds->n_cameras));
    }
    for (int c = 0; c < ds->n_cameras && st == FW_OK; c++) {
        if (o->feature != NULL && strcmp(o->feature, ds->cameras[c].key) != 0) {
            continue;
        }
        uint8_t *rgb = malloc((size_t)ds->cameras[c].h * (size_t)ds->cameras[c].w * 3 + 1);
        st = rgb == NULL ? fw_fail(err, FW_NOMEM, "%s: a frame", ds->dir) : FW_OK;
        for (int64_t i = 0; i < n && st == FW_OK; i++) {
            st = add_video(ds, s, o->episodes != NULL ? o->episodes[i] : i, c, o->image_every, rgb, err);
            if (o->progress) {
                fw_progress_update(&bar, (uint64_t)(c * n + i + 1), NULL);
            }
        }
        free(rgb);
    }
    if (o->progress) {
        fw_progress_end(&bar);
    }
    return st;
}

fw_status fw_dataset_summarize(fw_dataset *ds, const fw_stats_opts *opts, fw_summary **out, fw_err *err) {
    bool known = opts->feature == NULL;
    for (int i = 0; i < ds->n_features; i++) {
        known = known || strcmp(ds->features[i].key, opts->feature) == 0;
    }
    *out = NULL;
    if (!known) {
        return fw_fail(err, FW_INVALID, "%s: no feature '%s'", ds->dir, opts->feature);
    }
    FW_TRY(fw_summary_new(out, err));
    fw_status st = scan_rows(ds, opts, add_rows, *out, err);
    st = st == FW_OK && opts->image_every > 0 ? scan_videos(ds, opts, *out, err) : st;
    if (st != FW_OK) {
        fw_summary_free(*out);
        *out = NULL;
    }
    return st;
}

/* --- exact quantiles --- */

/* One order statistic that is being looked for: the k-th smallest value of dimension d lies in bin (prefix, shift). */
typedef struct pick {
    int64_t d, k;
    int64_t before; /* values before the bin */
    uint64_t prefix;
    int shift;
    bool found;
    double value;
    dim in; /* the bin's values, of this pass; empty when the pick before has the same bin */
} pick;

typedef struct picks {
    int64_t n;
    pick *item; /* owned; by dimension and rank */
} picks;

static bool same_bin(const pick *a, const pick *b) {
    return a->d == b->d && a->prefix == b->prefix && a->shift == b->shift;
}

static fw_status take_rows(void *ctx, const fw_feature *f, const double *x, int64_t rows, fw_err *err) {
    picks *p = ctx;
    for (int64_t i = 0; i < p->n; i++) {
        pick *a = &p->item[i];
        if (a->found || (i > 0 && same_bin(a, a - 1))) {
            continue;
        }
        for (int64_t r = 0; r < rows; r++) {
            const double *v = x + r * f->size + a->d;
            if (dim_key(*v) >> a->shift == a->prefix && !dim_add(&a->in, v, 1, 1)) {
                return fw_fail(err, FW_NOMEM, "quantiles of %s", f->key);
            }
        }
    }
    return FW_OK;
}

/* Look up a->k in its bin's values `in`. */
static fw_status narrow(pick *a, dim *in, const char *key, fw_err *err) {
    int64_t bin, before;
    if (a->k < a->before || a->k - a->before >= in->count) {
        return fw_fail(err, FW_INVALID, "quantiles of %s: the summary is of other data", key);
    }
    double v = dim_order(in, a->k - a->before, &bin, &before, NULL);
    a->found = dim_exact(in);
    a->value = v;
    a->before += before;
    a->prefix = in->key[bin];
    a->shift = in->shift;
    return FW_OK;
}

static bool all_found(const picks *p) {
    for (int64_t i = 0; i < p->n; i++) {
        if (!p->item[i].found) {
            return false;
        }
    }
    return true;
}

static fw_status narrow_all(picks *p, const char *key, fw_err *err) {
    for (int64_t i = 0, owner = 0; i < p->n; i++) {
        pick *a = &p->item[i];
        bool shared = i > 0 && owner < i && !a->found && a->in.count == 0;
        owner = shared ? owner : i;
        if (!a->found) {
            if (!dim_flush(&p->item[owner].in)) {
                return fw_fail(err, FW_NOMEM, "quantiles of %s", key);
            }
            FW_TRY(narrow(a, &p->item[owner].in, key, err));
        }
    }
    for (int64_t i = 0; i < p->n; i++) {
        dim_clear(&p->item[i].in);
    }
    return FW_OK;
}

static fw_status first_pick(picks *p, int64_t d, int64_t k, dim *in, const char *key, fw_err *err) {
    pick *a = &p->item[p->n++];
    *a = (pick){.d = d, .k = k};
    return narrow(a, in, key, err);
}

/* The ranks that summary_quantiles will ask for, in its order. */
static void wanted_ranks(int64_t count, int64_t rank[10]) {
    static const double q[5] = {0.01, 0.10, 0.50, 0.90, 0.99};
    for (int i = 0; i < 5; i++) {
        rank[2 * i] = (int64_t)(q[i] * (double)(count - 1));
        rank[2 * i + 1] = rank[2 * i] + 1 < count ? rank[2 * i] + 1 : rank[2 * i];
    }
}

static double picked(void *ctx, int64_t k, double *bound) {
    const pick *a = ctx; /* the first of a dimension's ten */
    while (a->k != k) {
        a++;
    }
    *bound = 0.0;
    return a->value;
}

fw_status fw_dataset_stats(fw_dataset *ds, const fw_stats_opts *opts, fw_summary *s, const char *key,
                           fw_column_stats *out, fw_err *err) {
    summary_feature *f = summary_find(s, key);
    fw_stats_opts only = *opts;
    picks p = {0};
    only.feature = key;
    *out = (fw_column_stats){0};
    FW_TRY(check_episodes(ds, opts, err));
    int64_t rows = 0;
    for (int64_t i = 0; i < n_episodes(ds, opts); i++) {
        rows += ds->episodes[opts->episodes != NULL ? opts->episodes[i] : i].length;
    }
    if (f != NULL && !f->image && f->count != rows) {
        return fw_fail(err, FW_INVALID, "quantiles of %s: the summary is of other data: %lld rows, wanted %lld", key,
                       (long long)f->count, (long long)rows);
    }
    FW_TRY(fw_summary_get(s, key, out, err));
    if (f->image) {
        return FW_OK;
    }
    fw_status st = (p.item = calloc((size_t)f->n * 10, sizeof *p.item)) != NULL
                       ? FW_OK
                       : fw_fail(err, FW_NOMEM, "quantiles of %s", key);
    for (int64_t d = 0; d < f->n && st == FW_OK; d++) {
        int64_t rank[10];
        wanted_ranks(f->count, rank);
        for (int i = 0; i < 10 && st == FW_OK; i++) {
            st = first_pick(&p, d, rank[i], &f->dims[d], key, err);
        }
    }
    while (st == FW_OK && !all_found(&p)) {
        st = scan_rows(ds, &only, take_rows, &p, err);
        st = st == FW_OK ? narrow_all(&p, key, err) : st;
    }
    for (int64_t d = 0; d < f->n && st == FW_OK; d++) {
        double q[5];
        out->bound[d] = summary_quantiles(picked, &p.item[d * 10], f->count, q);
        out->q01[d] = q[0], out->q10[d] = q[1], out->q50[d] = q[2], out->q90[d] = q[3], out->q99[d] = q[4];
    }
    for (int64_t i = 0; i < p.n; i++) {
        dim_clear(&p.item[i].in);
    }
    free(p.item);
    if (st != FW_OK) {
        fw_column_stats_clear(out);
    }
    return st;
}

/* --- writing --- */

/* The lock that a writer of this dataset holds; -1 when there is none to take. */
static fw_status take_lock(const fw_dataset *ds, int *lock, fw_err *err) {
    char path[4096];
    FW_TRY(fw_path_join(path, sizeof path, ds->dir, ".staging/lock", err));
    *lock = open(path, O_RDWR | O_CLOEXEC);
    if (*lock >= 0 && flock(*lock, LOCK_EX | LOCK_NB) != 0) {
        close(*lock);
        return fw_fail(err, FW_AGAIN, "%s: another process is writing this dataset", ds->dir);
    }
    return FW_OK;
}

static fw_status put_stats(fw_dataset *ds, fw_summary *s, json_t *all, fw_err *err) {
    for (int i = 0; i < fw_summary_features(s); i++) {
        fw_column_stats c;
        const char *key = fw_summary_key(s, i);
        FW_TRY(fw_dataset_stats(ds, &(fw_stats_opts){0}, s, key, &c, err));
        json_object_set_new(all, key, fw_column_stats_json(&c, fw_summary_is_image(s, key)));
        fw_column_stats_clear(&c);
    }
    return FW_OK;
}

fw_status fw_dataset_write_stats(fw_dataset *ds, fw_summary *s, fw_err *err) {
    char stats[4096], summary[4096];
    json_t *all = NULL;
    int lock;
    if (ds->version != 30) {
        return fw_fail(err, FW_UNSUPPORTED, "%s: v2.1 has no statistics of the whole to write", ds->dir);
    }
    FW_TRY(fw_path_join(stats, sizeof stats, ds->dir, "meta/stats.json", err));
    FW_TRY(fw_path_join(summary, sizeof summary, ds->dir, FW_SUMMARY_FILE, err));
    FW_TRY(take_lock(ds, &lock, err));
    fw_status st = FW_OK;
    if (!fw_path_exists(stats) || fw_json_load(stats, &all, NULL) != FW_OK || !json_is_object(all)) {
        json_decref(all); /* absent or broken: what was in it cannot be kept */
        all = json_object();
    }
    st = put_stats(ds, s, all, err);
    st = st == FW_OK ? fw_json_save(stats, all, 4, err) : st;
    st = st == FW_OK ? fw_summary_save(s, summary, err) : st;
    json_decref(all);
    if (lock >= 0) {
        close(lock);
    }
    return st;
}
