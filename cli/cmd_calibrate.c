/* cmd_calibrate.c - flywheel calibrate: int8 made for a policy, and what it does to its actions. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "cli.h"
#include "train/calibrate_run.h"

enum { WORST = 12 }; /* products shown */

/* The dimension whose largest difference is largest against what the robot does. */
static int worst_dim(const fw_calibrate_result *r, const fw_calibrate_row *row) {
    int at = 0;
    for (int i = 1; i < r->n_action; i++) {
        if (row->largest[i] * r->spread[at] > row->largest[at] * r->spread[i]) {
            at = i;
        }
    }
    return at;
}

typedef struct counts {
    int smoothed, exact;
    double share; /* of multiplications, exact */
} counts;

static counts count(const fw_calibration *c) {
    counts n = {0};
    for (int i = 0; i < fw_calibration_count(c); i++) {
        const fw_calibration_layer *l = fw_calibration_at(c, i);
        n.smoothed += !l->exact && l->alpha >= 0.0;
        n.exact += l->exact;
        n.share += l->exact ? l->share : 0.0;
    }
    return n;
}

/* ---- as JSON ---- */

static json_t *number(double x) { /* JSON has no infinity */
    return json_real(isfinite(x) ? x : 1e300);
}

static json_t *product_json(const fw_calibration_layer *l) {
    return json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:b}", "name", l->name, "outputs", (json_int_t)l->n,
                     "columns", (json_int_t)l->k, "share", number(l->share), "spread", number(l->spread), "plain",
                     number(l->plain), "calibrated", number(l->error), "alpha",
                     l->alpha >= 0.0 ? number(l->alpha) : json_null(), "exact", (int)l->exact);
}

static json_t *row_json(const fw_calibrate_result *r, const fw_calibrate_row *row) {
    json_t *largest = json_object();
    if (!row->ran) {
        json_decref(largest);
        return json_null();
    }
    for (int i = 0; i < r->n_action; i++) {
        json_object_set_new(largest, r->dim[i], number(row->largest[i]));
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "cosine", number(row->cosine), "worst_cosine", number(row->worst),
                     "largest_difference", largest, "ms", number(row->ms));
}

static int as_json(const fw_calibrate_result *r) {
    json_t *products = json_array();
    const counts n = count(r->products);
    for (int i = 0; i < fw_calibration_count(r->products); i++) {
        json_array_append_new(products, product_json(fw_calibration_at(r->products, i)));
    }
    return cli_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:i, s:i, s:f, s:f, s:o, s:o, s:o, s:o}", "file", r->path,
                              "frames", (json_int_t)r->frames, "episodes", (json_int_t)r->episodes, "held_out_frames",
                              (json_int_t)r->held_frames, "held_out_episodes", (json_int_t)r->held_episodes, "smoothed",
                              n.smoothed, "exact", n.exact, "exact_share", n.share, "exact_ms", r->exact_ms, "int8",
                              row_json(r, &r->row[FW_CALIBRATE_PLAIN]), "int8_calibrated",
                              row_json(r, &r->row[FW_CALIBRATE_SMOOTH]), "bf16",
                              row_json(r, &r->row[FW_CALIBRATE_BF16]), "products", products));
}

/* ---- as a table ---- */

/* The end of a name tells more than its beginning. */
static const char *tail(const char *name, size_t width) {
    const size_t n = strlen(name);
    return n > width ? name + n - width : name;
}

static void products_table(const fw_calibration *c) {
    printf("%-52s %8s %8s %8s %11s %6s\n", "worst products", "columns", "outliers", "int8", "calibrated", "alpha");
    for (int i = 0; i < fw_calibration_count(c) && i < WORST; i++) {
        const fw_calibration_layer *l = fw_calibration_at(c, i);
        char alpha[16] = "-";
        if (l->alpha >= 0.0) {
            snprintf(alpha, sizeof alpha, "%.2f", l->alpha);
        }
        printf("%-52s %8lld %7.0fx %7.2f%% %10.2f%% %6s%s\n", tail(l->name, 52), (long long)l->k, l->spread,
               100.0 * l->plain, 100.0 * l->error, alpha, l->exact ? "  stays exact" : "");
    }
}

static void row_table(const fw_calibrate_result *r, const fw_calibrate_row *row) {
    if (!row->ran) {
        printf("%-16s this CPU has no such products: they are the exact ones\n", row->name);
        return;
    }
    const int d = worst_dim(r, row);
    printf("%-16s %9.5f %9.5f   %.4g of %s, which moves by %.4g %14.1f\n", row->name, row->cosine, row->worst,
           row->largest[d], r->dim[d], r->spread[d], row->ms);
}

static int as_table(const fw_calibrate_result *r) {
    const counts n = count(r->products);
    printf("%lld frames of %lld episodes, %d products: %d smoothed, %d stay exact (%.1f %% of the multiplications)\n\n",
           (long long)r->frames, (long long)r->episodes, fw_calibration_count(r->products), n.smoothed, n.exact,
           100.0 * n.share);
    products_table(r->products);
    printf("\n%lld other frames of %lld episodes, chunks against exact ones (%.1f ms a chunk):\n",
           (long long)r->held_frames, (long long)r->held_episodes, r->exact_ms);
    printf("%-16s %9s %9s   %s\n", "", "cosine", "worst", "largest difference (robot's units), ms a chunk");
    for (int i = 0; i < FW_CALIBRATE_ROWS; i++) {
        row_table(r, &r->row[i]);
    }
    printf("\nwrote %s: every  --precision int8  of this policy uses it\n", r->path);
    return 0;
}

static int parse_alpha(const char *text, double *alpha) {
    char *end = NULL;
    *alpha = strcmp(text, "search") == 0 ? -1.0 : strtod(text, &end);
    if (end != NULL && (end == text || *end != 0 || !(*alpha >= 0.0 && *alpha <= 1.0))) {
        fprintf(stderr, "flywheel calibrate: --alpha wants a number from 0 to 1, or search; got '%s'\n", text);
        return 2;
    }
    return 0;
}

int cmd_calibrate(int argc, char **argv) {
    fw_calibrate_opts o = {.frames = 64, .held_out = 16, .exact_above = 0.05, .budget = 0.1};
    const char *alpha = "search";
    int64_t seed = 1, workers = 0;
    bool json = false;
    const fw_arg args[] = {
        FW_ARG_STR("policy", &o.policy, "DIR", "the policy (required)"),
        FW_ARG_STR("data", &o.data, "DIR", "a dataset like those it was trained on (required)"),
        FW_ARG_INT("frames", &o.frames, 1, 1000000, "N", "to calibrate on"),
        FW_ARG_INT("held-out", &o.held_out, 1, 1000000, "N", "other frames, of other episodes, to compare actions on"),
        FW_ARG_STR("alpha", &alpha, "A",
                   "how much of outliers moves into the weights, 0 to 1; search: by each product"),
        FW_ARG_F64("exact-above", &o.exact_above, 0, 1e9, "E",
                   "products whose error is larger are not rounded, the worst first, ..."),
        FW_ARG_F64("budget", &o.budget, 0, 1, "S", "... for at most this share of all multiplications"),
        FW_ARG_STR("out", &o.out, "DIR | FILE", "where to write; without: beside the policy's weights"),
        FW_ARG_STR("tokenizer", &o.tokenizer, "DIR", "of a published policy, when it lies elsewhere"),
        FW_ARG_INT("seed", &seed, 0, 9007199254740991, "S", "which frames, and the flow's noise"),
        FW_ARG_INT("workers", &workers, 0, 64, "N", "threads; 0: all CPUs"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {
        .verb = "calibrate",
        .example = "flywheel calibrate --policy models/kitchen3 --data data/kitchen3\n"
                   "flywheel calibrate --policy smolvla_base --data data/cups --frames 32 --out out/int8.safetensors",
        .what = "Choose how int8 rounds a policy: runs it exactly on recorded frames, moves outliers of activations "
                "into the weights "
                "where that helps (SmoothQuant), keeps what would still be wrong exact, and tells what it costs in "
                "actions.",
        .paths = NULL};
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof(*args), argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    if (o.policy == NULL || o.data == NULL) {
        fprintf(stderr, "flywheel calibrate: wants --policy DIR and --data DIR; --help shows an example\n");
        return 2;
    }
    if (parse_alpha(alpha, &o.alpha) != 0) {
        return 2;
    }
    fw_err err = {0};
    fw_calibrate_result r;
    o.seed = (uint64_t)seed;
    o.threads = (int)workers;
    if (fw_calibrate_run(&o, &r, &err) != FW_OK) {
        return cli_fail(&err);
    }
    code = json ? as_json(&r) : as_table(&r);
    fw_calibrate_clear(&r);
    return code;
}
