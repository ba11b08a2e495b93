/* cmd_compare.c - flywheel compare: two policies on the same scenes, or two results of `flywheel eval --json`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/file.h"
#include "base/json.h"
#include "cli.h"
#include "sim.h"
#include "train/closed.h"
#include "train/stats.h"

/* A folder is played, a file is read. *out owned. */
static fw_status outcomes_of(const char *what, const char *precision, fw_closed_opts o, json_t **out, fw_err *err) {
    fw_closed_result r;
    if (!fw_path_is_dir(what)) {
        FW_TRY(fw_json_load(what, out, err));
        if (!json_is_object(json_object_get(*out, "outcomes")) || !json_is_array(json_object_get(*out, "seeds"))) {
            json_decref(*out);
            *out = NULL;
            return fw_fail(err, FW_FORMAT, "%s: no result of  flywheel eval --suite ... --json", what);
        }
        return FW_OK;
    }
    if (o.suite == NULL) {
        return fw_fail(err, FW_INVALID, "%s is a policy: wants --suite NAME to play it in", what);
    }
    o.policy = what;
    o.precision = precision;
    FW_TRY(fw_closed_run(&o, &r, err));
    *out = sim_outcomes(&o, &r);
    fw_closed_free(&r);
    return *out != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "results");
}

typedef struct counts {
    int64_t both, only_a, only_b, neither;
} counts;

static void add(counts *c, const json_t *a, const json_t *b) {
    for (size_t i = 0; i < json_array_size(a); i++) {
        bool x = json_integer_value(json_array_get(a, i)) != 0, y = json_integer_value(json_array_get(b, i)) != 0;
        *(x && y ? &c->both : x ? &c->only_a : y ? &c->only_b : &c->neither) += 1;
    }
}

static int64_t total(const counts *c) {
    return c->both + c->only_a + c->only_b + c->neither;
}

static json_t *counts_json(const counts *c) {
    const double n = (double)total(c);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "both", (json_int_t)c->both, "only_a",
                     (json_int_t)c->only_a, "only_b", (json_int_t)c->only_b, "neither", (json_int_t)c->neither, "n",
                     (json_int_t)total(c), "rate_a", (double)(c->both + c->only_a) / n, "rate_b",
                     (double)(c->both + c->only_b) / n, "p_mcnemar", fw_mcnemar_p(c->only_a, c->only_b));
}

static void row(const char *name, const counts *c) {
    const double n = (double)total(c);
    printf("%-18s %5lld %7.1f %% %7.1f %% %6lld %6lld %6lld %7lld   %.3f\n", name, (long long)total(c),
           100.0 * (double)(c->both + c->only_a) / n, 100.0 * (double)(c->both + c->only_b) / n, (long long)c->both,
           (long long)c->only_a, (long long)c->only_b, (long long)c->neither, fw_mcnemar_p(c->only_a, c->only_b));
}

/* Both must have played the same scenes of the same tasks. */
static fw_status check_pairs(const json_t *a, const json_t *b, fw_err *err) {
    const json_t *x = json_object_get(a, "outcomes"), *y = json_object_get(b, "outcomes"), *hits;
    const char *task;
    if (!json_equal(json_object_get(a, "seeds"), json_object_get(b, "seeds"))) {
        return fw_fail(err, FW_INVALID,
                       "the two results are of different scenes: play them with the same --seed and --episodes");
    }
    json_object_foreach((json_t *)(uintptr_t)x, task, hits) {
        if (json_array_size(json_object_get(y, task)) != json_array_size(hits) || json_array_size(hits) == 0) {
            return fw_fail(err, FW_INVALID, "task %s: %zu episodes against %zu", task, json_array_size(hits),
                           json_array_size(json_object_get(y, task)));
        }
    }
    return json_object_size(x) == json_object_size(y)
               ? FW_OK
               : fw_fail(err, FW_INVALID, "%zu tasks against %zu", json_object_size(x), json_object_size(y));
}

static int report(const json_t *a, const json_t *b, bool json) {
    const json_t *y = json_object_get(b, "outcomes"), *hits;
    json_t *tasks = json_object();
    counts all = {0};
    const char *task;
    if (!json) {
        printf("%-18s %5s %9s %9s %6s %6s %6s %7s   %s\n", "task", "n", "A", "B", "both", "only A", "only B", "neither",
               "p (McNemar)");
    }
    json_object_foreach(json_object_get(a, "outcomes"), task, hits) {
        counts c = {0};
        add(&c, hits, json_object_get(y, task));
        add(&all, hits, json_object_get(y, task));
        json_object_set_new(tasks, task, counts_json(&c));
        if (!json) {
            row(task, &c);
        }
    }
    json_t *j = counts_json(&all);
    json_object_set_new(j, "tasks", tasks);
    if (json) {
        return cli_json(j);
    }
    row("all", &all);
    json_decref(j);
    return 0;
}

int cmd_compare(int argc, char **argv) {
    fw_closed_opts o = {.episodes = 20};
    const char *of_a = NULL, *of_b = NULL;
    int64_t seed = 1, workers = 0;
    bool json = false;
    const fw_arg args[] = {
        FW_ARG_STR("suite", &o.suite, "NAME", "where policies play"),
        FW_ARG_INT("episodes", &o.episodes, 1, 1000000, "N", "a task"),
        FW_ARG_STR("task", &o.task, "NAME", "only this task"),
        FW_ARG_INT("seed", &seed, 0, 9007199254740991, "S", "names the scenes"),
        FW_ARG_STR("domain", &o.domain, "NAME", "draw scenes from these ranges instead of the suite's"),
        FW_ARG_STR("precision-a", &of_a, "P", "f32, bf16 or int8: what products of A are computed in"),
        FW_ARG_STR("precision-b", &of_b, "P", "the same of B"),
        FW_ARG_INT("workers", &workers, 0, 64, "N", "processes; 0: all CPUs"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {
        .verb = "compare",
        .example = "flywheel compare models/kitchen3 out/mine --suite kitchen3 --episodes 100 --seed 100000\n"
                   "flywheel compare models/kitchen3 models/kitchen3 --precision-b int8 --suite kitchen3\n"
                   "flywheel compare a.json b.json      # of: flywheel eval --policy ... --suite ... --json",
        .what = "Two policies on the same scenes: who succeeds where, and whether that is chance (exact McNemar test).",
        .paths = "A B",
        .min_paths = 2,
        .max_paths = 2};
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof(*args), argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    fw_err err = {0};
    json_t *a = NULL, *b = NULL;
    o.seed = (uint64_t)seed;
    o.workers = (int)workers;
    fw_status st = outcomes_of(argv[1], of_a, o, &a, &err);
    st = st != FW_OK ? st : outcomes_of(argv[2], of_b, o, &b, &err);
    st = st != FW_OK ? st : check_pairs(a, b, &err);
    code = st != FW_OK ? cli_fail(&err) : report(a, b, json);
    json_decref(a);
    json_decref(b);
    return code;
}
