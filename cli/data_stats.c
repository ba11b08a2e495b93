/* data_stats.c - `flywheel data stats`: exact statistics and histograms of every number in a dataset. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/plot.h"
#include "data.h"
#include "data/stats.h"

enum { HISTOGRAM_PARTS = 60, PLOT_COLUMNS = 4, PLOT_MOST = 64 };

static const fw_feature *feature_of(const fw_dataset *ds, const char *key) {
    for (int i = 0; i < ds->n_features; i++) {
        if (strcmp(ds->features[i].key, key) == 0) {
            return &ds->features[i];
        }
    }
    return NULL;
}

/* The name of dimension d ("gripper", "[3]"; colours of images), in text [32]. */
static const char *dimension_name(const fw_feature *f, bool image, int64_t d, char *text) {
    static const char *const colour[3] = {"red", "green", "blue"};
    if (image) {
        return colour[d % 3];
    }
    if (d < f->n_names && f->names[d][0] != 0) {
        return f->names[d];
    }
    snprintf(text, 32, "[%lld]", (long long)d);
    return text;
}

/* --- table and JSON --- */

static void print_feature(const fw_feature *f, bool image, const fw_column_stats *s) {
    printf("%s: %lld %s\n  %-20s %10s %10s %10s %10s %10s %10s %10s %10s %10s\n", f->key, (long long)s->count,
           image ? "frames" : "rows", "", "mean", "std", "min", "q01", "q10", "median", "q90", "q99", "max");
    for (int64_t d = 0; d < s->n; d++) {
        char text[32];
        printf("  %-20s %10.4g %10.4g %10.4g %10.4g %10.4g %10.4g %10.4g %10.4g %10.4g\n",
               dimension_name(f, image, d, text), s->mean[d], s->std[d], s->min[d], s->q01[d], s->q10[d], s->q50[d],
               s->q90[d], s->q99[d], s->max[d]);
    }
}

static json_t *names_json(const fw_feature *f, bool image, int64_t n) {
    json_t *a = json_array();
    for (int64_t d = 0; d < n; d++) {
        char text[32];
        json_array_append_new(a, json_string(dimension_name(f, image, d, text)));
    }
    return a;
}

/* --- histograms --- */

typedef struct bars {
    double x[2 * HISTOGRAM_PARTS + 2], y[2 * HISTOGRAM_PARTS + 2];
    char title[160];
    fw_series series;
} bars;

/* The outline of a histogram as a line. */
static fw_status bars_of(fw_summary *s, const fw_feature *f, const fw_column_stats *c, int64_t d, bars *b,
                         fw_err *err) {
    double counts[HISTOGRAM_PARTS], step = (c->max[d] - c->min[d]) / HISTOGRAM_PARTS;
    char text[32];
    FW_TRY(fw_summary_histogram(s, f->key, d, c->min[d], c->max[d], HISTOGRAM_PARTS, counts, err));
    b->x[0] = c->min[d];
    b->x[2 * HISTOGRAM_PARTS + 1] = c->max[d];
    b->y[0] = b->y[2 * HISTOGRAM_PARTS + 1] = 0.0;
    for (int i = 0; i < HISTOGRAM_PARTS; i++) {
        b->x[2 * i + 1] = c->min[d] + i * step;
        b->x[2 * i + 2] = c->min[d] + (i + 1) * step;
        b->y[2 * i + 1] = b->y[2 * i + 2] = counts[i];
    }
    snprintf(b->title, sizeof b->title, "%s %s", f->key, dimension_name(f, fw_summary_is_image(s, f->key), d, text));
    b->series = (fw_series){.x = b->x, .y = b->y, .n = 2 * HISTOGRAM_PARTS + 2};
    return FW_OK;
}

/* Where a row lies rather than what was measured. */
static bool is_bookkeeping(const char *key) {
    static const char *const keys[] = {"timestamp", "frame_index", "episode_index", "index", "task_index"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(key, keys[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* One chart a dimension, at most PLOT_MOST of them; of bookkeeping only when it is all there is. */
static fw_status plot(const fw_dataset *ds, fw_summary *s, const char *path, fw_err *err) {
    bars *b = calloc(PLOT_MOST, sizeof *b);
    fw_chart charts[PLOT_MOST];
    size_t n = 0;
    int64_t left_out = 0;
    fw_status st = b != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s", path);
    for (int i = 0; i < fw_summary_features(s) && st == FW_OK; i++) {
        fw_column_stats c;
        const fw_feature *f = feature_of(ds, fw_summary_key(s, i));
        if (is_bookkeeping(f->key) && fw_summary_features(s) > 1) {
            continue;
        }
        st = fw_summary_get(s, f->key, &c, err);
        for (int64_t d = 0; st == FW_OK && d < c.n; d++) {
            if (n == PLOT_MOST) {
                left_out += c.n - d;
                break;
            }
            st = bars_of(s, f, &c, d, &b[n], err);
            charts[n] = (fw_chart){.title = b[n].title, .series = &b[n].series, .n_series = 1};
            n++;
        }
        fw_column_stats_clear(&c);
    }
    char heading[1200];
    snprintf(heading, sizeof heading, "%s: %lld episodes, %lld frames", ds->dir, (long long)ds->n_episodes,
             (long long)ds->n_frames);
    if (left_out > 0) {
        snprintf(heading + strlen(heading), sizeof heading - strlen(heading), " (%lld dimensions more: use --feature)",
                 (long long)left_out);
    }
    int columns = n < PLOT_COLUMNS ? (int)n : PLOT_COLUMNS;
    st = st == FW_OK ? fw_plot_write(path, heading, charts, n, columns, err) : st;
    free(b);
    return st;
}

/* --- the verb --- */

static fw_status report(fw_dataset *ds, const fw_stats_opts *o, fw_summary *s, json_t *features, fw_err *err) {
    for (int i = 0; i < fw_summary_features(s); i++) {
        fw_column_stats c;
        const char *key = fw_summary_key(s, i);
        const fw_feature *f = feature_of(ds, key);
        bool image = fw_summary_is_image(s, key);
        FW_TRY(fw_dataset_stats(ds, o, s, key, &c, err));
        if (features == NULL) {
            print_feature(f, image, &c);
        } else {
            json_t *j = fw_column_stats_json(&c, false);
            json_object_set_new(j, "names", names_json(f, image, c.n));
            json_object_set_new(features, key, j);
        }
        fw_column_stats_clear(&c);
    }
    return FW_OK;
}

int data_stats(int argc, char **argv) {
    bool json = false, write = false;
    int64_t every = 10;
    const char *feature = NULL, *plot_path = NULL;
    int n_paths;
    const fw_arg args[] = {
        FW_ARG_STR("feature", &feature, "KEY", "only this feature, e.g. action"),
        FW_ARG_INT("every", &every, 0, 1000000, "N", "look at every n-th frame of videos; 0: no images"),
        FW_ARG_STR("plot", &plot_path, "FILE", "also draw a histogram of each dimension into this PNG"),
        FW_ARG_BOOL("write", &write, "put them into meta/stats.json and meta/summary.bin (v3.0)"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {.verb = "data stats",
                            .example = "flywheel data stats datasets/banana --feature action --plot out/action.png",
                            .what = "Exact statistics of every number in a dataset: mean, std, min, max and the true "
                                    "quantiles of the whole.",
                            .paths = "DIR",
                            .min_paths = 1,
                            .max_paths = 1};
    int code = fw_args_parse(&usage, args, sizeof(args) / sizeof(*args), argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    fw_err err;
    fw_dataset *ds = NULL;
    fw_summary *s = NULL;
    json_t *features = json ? json_object() : NULL;
    fw_stats_opts o = {.feature = feature, .image_every = (int)every, .progress = true};
    fw_status st = fw_dataset_open(argv[1], &ds, &err);
    st = st == FW_OK ? fw_dataset_summarize(ds, &o, &s, &err) : st;
    st = st == FW_OK ? report(ds, &o, s, features, &err) : st;
    st = st == FW_OK && plot_path != NULL ? plot(ds, s, plot_path, &err) : st;
    st = st == FW_OK && write ? fw_dataset_write_stats(ds, s, &err) : st;
    if (st != FW_OK) {
        json_decref(features);
        code = cli_fail(&err);
    } else {
        code = !json ? 0
                     : cli_json(json_pack("{s:s, s:I, s:I, s:o, s:b}", "dir", ds->dir, "episodes",
                                          (json_int_t)ds->n_episodes, "frames", (json_int_t)ds->n_frames, "features",
                                          features, "written", write));
    }
    fw_summary_free(s);
    fw_dataset_close(ds);
    return code;
}
