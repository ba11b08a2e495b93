/* Statistics: what numpy says, whatever the order and grouping they were gathered in; wrong numbers are refused by name. */
/* ctest: timeout=120 */
#include "data/stats.h"

#include <float.h>

#include "../golden/stats.h"
#include "base/rng.h"
#include "make.h"

enum { SEED = 20261122, LARGE = 300000, STATS = 9 };

static double *units(int64_t n) {
    fw_rng r = {SEED};
    double *u = malloc((size_t)n * sizeof *u);
    CHECK(u != NULL);
    for (int64_t i = 0; i < n; i++) {
        u[i] = fw_rng_unit(&r);
    }
    return u;
}

static fw_summary *fresh(void) {
    fw_summary *s;
    OK(fw_summary_new(&s, err));
    return s;
}

static void add(fw_summary *s, const double *x, int64_t rows, int64_t n) {
    OK(fw_summary_add_f64(s, "x", x, rows, n, err));
}

static void check_stats(const fw_column_stats *s, int64_t d, const double want[STATS], double bound) {
    const double got[STATS] = {s->min[d], s->max[d], s->mean[d], s->std[d], s->q01[d],
                               s->q10[d], s->q50[d], s->q90[d],  s->q99[d]};
    for (int i = 0; i < STATS; i++) {
        double room = 1e-15 * (1.0 + fabs(want[i])) + (i >= 4 ? bound : 0.0) + (i == 3 ? 1e-12 * want[3] : 0.0);
        if (!(fabs(got[i] - want[i]) <= room)) {
            FW_FAILED("statistic %d is %.17g, numpy says %.17g", i, got[i], want[i]);
        }
    }
}

static void golden(const double *x, int64_t n, const double want[STATS], double bound) {
    fw_summary *s = fresh();
    fw_column_stats c;
    add(s, x, n, 1);
    OK(fw_summary_get(s, "x", &c, err));
    CHECK_INT(c.count, n);
    if (c.bound[0] > bound) {
        FW_FAILED("%lld values: bound %g, wanted at most %g", (long long)n, c.bound[0], bound);
    }
    check_stats(&c, 0, want, c.bound[0]);
    fw_column_stats_clear(&c);
    fw_summary_free(s);
}

static double small_value(double u) {
    return (double)(float)(u * u * u * 8.0 - 2.0);
}
static double large_value(double u) {
    return (double)(float)((u - 0.25) * fabs(u - 0.25));
}

static void statistics_are_those_of_numpy(void) {
    double *u = units(LARGE), *x = malloc(LARGE * sizeof *x);
    CHECK(x != NULL);
    for (int i = 0; i < 3000; i++) {
        x[i] = small_value(u[i]);
    }
    golden(x, 3000, golden_small, 0.0);
    for (int i = 0; i < 5000; i++) {
        x[i] = 1.0e6 + 1.0e-3 * u[i];
    }
    golden(x, 5000, golden_offset, 0.0);
    for (int i = 0; i < 70000; i++) { /* more values than bins, but few different ones */
        x[i] = floor(u[i] * 5.0) - 2.0;
    }
    golden(x, 70000, golden_steps, 0.0);
    for (int i = 0; i < LARGE; i++) {
        x[i] = large_value(u[i]);
    }
    golden(x, LARGE, golden_large, 2e-4);
    free(u);
    free(x);
}

static void pixels_are_counted_exactly(void) {
    double *u = units(40000);
    uint8_t *rgb = malloc(3 * 40000);
    fw_summary *s = fresh();
    fw_column_stats c;
    CHECK(rgb != NULL);
    for (int i = 0; i < 40000; i++) {
        rgb[3 * i] = 7, rgb[3 * i + 1] = (uint8_t)floor(u[i] * u[i] * 256.0), rgb[3 * i + 2] = (uint8_t)(i % 2);
    }
    OK(fw_summary_add_rgb(s, "view", rgb, 4, 100, 100, err));
    OK(fw_summary_get(s, "view", &c, err));
    CHECK_INT(c.n, 3);
    CHECK_INT(c.count, 4);
    check_stats(&c, 1, golden_pixels, 0.0);
    CHECK(c.min[0] == 7 / 255.0 && c.max[0] == 7 / 255.0 && c.std[0] == 0.0 && c.q50[0] == 7 / 255.0);
    CHECK(fabs(c.q50[2] - 0.5 / 255.0) < 1e-12); /* between 0 and 1, as numpy's median of equally many */
    fw_column_stats_clear(&c);
    fw_summary_free(s);
    free(rgb);
    free(u);
}

/* Any grouping and order of the parts gives the same summary, to the last byte of its file. */
static void merging_is_associative_and_commutative(void) {
    enum { N = 90000, PARTS = 7 };
    double *u = units(2 * N);
    const char *a = mk_dir("summary_a"), *b = mk_dir("summary_b");
    char *da, *db;
    size_t na, nb;
    for (int i = 0; i < N; i++) { /* two dimensions: one with more distinct values than bins, one with odd numbers */
        static const double odd[] = {0.0, -0.0, DBL_MIN, -DBL_MIN / 8, 1e100, -1e100, 3.0, -3.0};
        u[2 * i] = (u[2 * i] - 0.5) * 1e-3;
        u[2 * i + 1] = odd[i % 8] * (double)(1 + i % 1000);
    }
    fw_summary *whole = fresh(), *left = fresh(), *right = fresh(), *part[PARTS];
    add(whole, u, N, 2);
    for (int p = 0; p < PARTS; p++) {
        int from = p * p * N / (PARTS * PARTS), to = (p + 1) * (p + 1) * N / (PARTS * PARTS);
        part[p] = fresh();
        add(part[p], u + 2 * from, to - from, 2);
        OK(fw_summary_merge(left, part[p], err)); /* ((a b) c) d ... */
    }
    for (int p = PARTS - 1; p > 0; p -= 2) { /* (f g), (d e), ... in another order, and an empty one */
        OK(fw_summary_merge(part[p], part[p - 1], err));
        OK(fw_summary_merge(right, part[p], err));
    }
    OK(fw_summary_merge(right, part[0], err));
    CHECK(fw_summary_equal(whole, left) && fw_summary_equal(whole, right) && fw_summary_equal(right, left));
    CHECK(!fw_summary_equal(whole, part[0]));
    OK(fw_summary_save(whole, a, err));
    OK(fw_summary_save(right, b, err));
    OK(fw_file_read(a, 1 << 28, &da, &na, err));
    OK(fw_file_read(b, 1 << 28, &db, &nb, err));
    CHECK(na == nb && memcmp(da, db, na) == 0);
    fw_summary *again;
    OK(fw_summary_load(a, &again, err));
    CHECK(fw_summary_equal(whole, again));
    add(again, u, 1, 2);
    CHECK(!fw_summary_equal(whole, again));
    fw_summary_free(again);
    for (int p = 0; p < PARTS; p++) {
        fw_summary_free(part[p]);
    }
    fw_summary_free(whole), fw_summary_free(left), fw_summary_free(right);
    unlink(a), unlink(b);
    free(da), free(db), free(u);
}

static void what_is_not_finite_is_refused_by_name_and_nothing_is_taken(void) {
    float x[6] = {1, 2, 3, 4, NAN, 6};
    fw_summary *s = fresh();
    FAILS(fw_summary_add_f32(s, "action", x, 2, 3, err), FW_FORMAT, "action: row 1: [1] is nan");
    x[4] = -INFINITY;
    FAILS(fw_summary_add_f32(s, "action", x, 2, 3, err), FW_FORMAT, "action: row 1: [1] is -inf");
    CHECK_INT(fw_summary_features(s), 0);
    x[4] = 5;
    OK(fw_summary_add_f32(s, "action", x, 2, 3, err));
    FAILS(fw_summary_add_f32(s, "action", x, 3, 2, err), FW_SHAPE, "wanted 3 values a row, found 2");
    CHECK_INT(fw_summary_count(s, "action"), 2);
    fw_column_stats c;
    FAILS(fw_summary_get(s, "state", &c, err), FW_INVALID, "no statistics of 'state'");
    fw_summary_free(s);
}

static void a_damaged_file_is_refused(void) {
    const char *path = mk_dir("summary");
    char *data;
    size_t n;
    double x[4] = {1, 2, 3, -4};
    uint8_t rgb[12] = {0};
    fw_summary *s = fresh(), *t;
    add(s, x, 2, 2);
    OK(fw_summary_add_rgb(s, "view", rgb, 1, 2, 2, err));
    OK(fw_summary_save(s, path, err));
    OK(fw_file_read(path, 1 << 20, &data, &n, err));
    for (size_t i = 0; i < n; i += 7) {
        data[i] ^= 4;
        CHECK(fw_summary_load_mem(data, n, "x", &t, NULL) != FW_OK && t == NULL);
        data[i] ^= 4;
        CHECK(fw_summary_load_mem(data, i, "x", &t, NULL) != FW_OK && t == NULL);
    }
    FAILS(fw_summary_load_mem(data, n - 1, "x.bin", &t, err), FW_FORMAT, "x.bin: damaged");
    unlink(path);
    free(data);
    fw_summary_free(s);
}

static const char *dataset_of(const double *u, int64_t episodes, int64_t length) {
    const char *dir = mk_dir("stats");
    static const char *const sn[] = {"a", "b"}, *const an[] = {"c"};
    fw_writer_desc d = {
        .fps = 10, .robot_type = "r", .n_state = 2, .n_action = 1, .state_names = sn, .action_names = an};
    fw_writer *w;
    float *s = malloc((size_t)length * 2 * sizeof *s), *a = malloc((size_t)length * sizeof *a);
    CHECK(s != NULL && a != NULL);
    OK(fw_writer_open(dir, &d, &w, err));
    for (int64_t e = 0; e < episodes; e++) {
        for (int64_t t = 0; t < length; t++) {
            double v = u[e * length + t];
            s[2 * t] = (float)large_value(v), s[2 * t + 1] = (float)floor(v * 5.0), a[t] = (float)v;
        }
        fw_writer_episode ep = {.length = length, .state = s, .action = a, .sentence = "go"};
        OK(fw_writer_add_episode(w, &ep, err));
    }
    OK(fw_writer_close(w, err));
    free(s), free(a);
    return dir;
}

/* 300,000 distinct values: the summary only bounds quantiles, one more pass over the rows makes them exact. */
static void quantiles_of_a_dataset_are_exact_however_large(void) {
    double *u = units(LARGE);
    const char *dir = dataset_of(u, 30, LARGE / 30);
    fw_dataset *ds;
    fw_summary *s;
    fw_column_stats c;
    fw_stats_opts o = {0};
    OK(fw_dataset_open(dir, &ds, err));
    OK(fw_dataset_summarize(ds, &o, &s, err));
    OK(fw_summary_get(s, "observation.state", &c, err));
    CHECK(c.bound[0] > 0.0 && c.bound[1] == 0.0);
    fw_column_stats_clear(&c);
    OK(fw_dataset_stats(ds, &o, s, "observation.state", &c, err));
    CHECK(c.bound[0] == 0.0);
    check_stats(&c, 0, golden_large, 0.0);
    fw_column_stats_clear(&c);
    int64_t few[3] = {29, 0, 7};
    fw_column_stats want;
    o = (fw_stats_opts){.feature = "action", .episodes = few, .n_episodes = 3};
    fw_summary_free(s);
    OK(fw_dataset_summarize(ds, &o, &s, err));
    CHECK_INT(fw_summary_features(s), 1);
    OK(fw_dataset_stats(ds, &o, s, "action", &c, err));
    OK(fw_dataset_compute_stats(ds, "action", few, 3, &want, err));
    CHECK(c.q01[0] == want.q01[0] && c.q10[0] == want.q10[0] && c.q50[0] == want.q50[0] && c.q99[0] == want.q99[0]);
    few[0] = 12; /* the summary is of other episodes: noticed where ranks do not fit, never made up */
    o.n_episodes = 1;
    fw_column_stats_clear(&c);
    FAILS(fw_dataset_stats(ds, &o, s, "action", &c, err), FW_INVALID, "other data");
    o.feature = "nothing";
    fw_summary *none;
    FAILS(fw_dataset_summarize(ds, &o, &none, err), FW_INVALID, "no feature 'nothing'");
    fw_column_stats_clear(&want);
    fw_summary_free(s);
    fw_dataset_close(ds);
    OK(fw_remove_tree(dir, err));
    free(u);
}

/* What is written is what `check` and a later reader find, and a summary that grows from there. */
static void statistics_that_are_written_are_read_again(void) {
    double *u = units(4000);
    char path[600];
    const char *dir = dataset_of(u, 4, 1000);
    fw_dataset *ds;
    fw_summary *s, *again;
    fw_findings f;
    json_t *j;
    OK(fw_dataset_open(dir, &ds, err));
    OK(fw_dataset_summarize(ds, &(fw_stats_opts){.feature = "action"}, &s, err));
    OK(fw_path_join(path, sizeof path, dir, "meta/stats.json", err));
    OK(fw_file_write_atomic(path, "{\"x\": 1, \"action\": {}}", 22, err));
    OK(fw_dataset_check(dir, NULL, &f, err));
    CHECK(f.n > 0 && strcmp(f.item[0].kind, "stats") == 0);
    fw_findings_clear(&f);
    OK(fw_dataset_write_stats(ds, s, err));
    OK(fw_json_load(path, &j, err));
    CHECK(json_object_get(j, "x") != NULL &&
          json_object_get(j, "observation.state") == NULL); /* others stay as they are */
    json_decref(j);
    fw_summary_free(s);
    OK(fw_dataset_summarize(ds, &(fw_stats_opts){0}, &s, err));
    OK(fw_dataset_write_stats(ds, s, err));
    OK(fw_dataset_check(dir, NULL, &f, err));
    CHECK_INT(f.n, 0);
    OK(fw_path_join(path, sizeof path, dir, FW_SUMMARY_FILE, err));
    OK(fw_summary_load(path, &again, err));
    CHECK(fw_summary_equal(s, again));
    fw_summary_free(s), fw_summary_free(again);
    fw_findings_clear(&f);
    fw_dataset_close(ds);
    OK(fw_remove_tree(dir, err));
    free(u);
}

static void a_histogram_counts_every_value_once(void) {
    double *u = units(LARGE), counts[10], sum = 0.0;
    fw_summary *s = fresh();
    add(s, u, LARGE, 1);
    OK(fw_summary_histogram(s, "x", 0, 0.0, 1.0, 10, counts, err));
    for (int i = 0; i < 10; i++) {
        CHECK(fabs(counts[i] - LARGE / 10.0) < 1000.0); /* uniform: six standard deviations */
        sum += counts[i];
    }
    CHECK(fabs(sum - LARGE) < 1e-3);
    double flat[3] = {5, 5, 5};
    fw_summary_drop(s, "x");
    add(s, flat, 3, 1);
    OK(fw_summary_histogram(s, "x", 0, 5.0, 5.0, 10, counts, err));
    CHECK(counts[0] == 3.0 && counts[1] == 0.0);
    fw_summary_free(s);
    free(u);
}

FW_TEST_MAIN(T(statistics_are_those_of_numpy), T(pixels_are_counted_exactly), T(merging_is_associative_and_commutative),
             T(what_is_not_finite_is_refused_by_name_and_nothing_is_taken), T(a_damaged_file_is_refused),
             T(quantiles_of_a_dataset_are_exact_however_large), T(statistics_that_are_written_are_read_again),
             T(a_histogram_counts_every_value_once))
