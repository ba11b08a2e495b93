/* cmd_data.c - `flywheel data info|check|merge`: what a dataset holds, what is wrong with it, several into one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "cli.h"
#include "data/dataset.h"
#include "data/writer.h"

/* --- info --- */

/* Episodes whose first task is each of ds->tasks. Owned [n_tasks]. */
static int64_t *episodes_by_task(const fw_dataset *ds) {
    int64_t *n = calloc((size_t)ds->n_tasks + 1, sizeof(*n));
    for (int64_t e = 0; n != NULL && e < ds->n_episodes; e++) {
        for (int t = 0; t < ds->n_tasks && ds->episodes[e].n_tasks > 0; t++) {
            n[t] += strcmp(ds->tasks[t], ds->episodes[e].tasks[0]) == 0;
        }
    }
    return n;
}

static void length_range(const fw_dataset *ds, int64_t *shortest, int64_t *longest) {
    *shortest = ds->n_episodes > 0 ? ds->episodes[0].length : 0;
    *longest = 0;
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        int64_t n = ds->episodes[e].length;
        *shortest = n < *shortest ? n : *shortest;
        *longest = n > *longest ? n : *longest;
    }
}

static json_t *numbers(const double *v, int64_t n) {
    json_t *a = json_array();
    for (int64_t i = 0; i < n; i++) {
        json_array_append_new(a, json_real(v[i]));
    }
    return a;
}

static json_t *stats_json(const fw_column_stats *s) {
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "mean", numbers(s->mean, s->n), "std",
                     numbers(s->std, s->n), "min", numbers(s->min, s->n), "max", numbers(s->max, s->n), "q01",
                     numbers(s->q01, s->n), "q10", numbers(s->q10, s->n), "q50", numbers(s->q50, s->n), "q90",
                     numbers(s->q90, s->n), "q99", numbers(s->q99, s->n));
}

static json_t *feature_json(const fw_feature *f) {
    json_t *shape = json_array(), *names = json_array();
    for (int i = 0; i < f->n_shape; i++) {
        json_array_append_new(shape, json_integer(f->shape[i]));
    }
    for (int i = 0; i < f->n_names; i++) {
        json_array_append_new(names, json_string(f->names[i]));
    }
    return json_pack("{s:s, s:o, s:o}", "dtype", f->dtype, "shape", shape, "names", names);
}

static json_t *info_json(const fw_dataset *ds, const fw_column_stats *state, const fw_column_stats *action) {
    json_t *features = json_object(), *cameras = json_array(), *tasks = json_array();
    int64_t *by_task = episodes_by_task(ds), shortest, longest;
    length_range(ds, &shortest, &longest);
    for (int i = 0; i < ds->n_features; i++) {
        json_object_set_new(features, ds->features[i].key, feature_json(&ds->features[i]));
    }
    for (int i = 0; i < ds->n_cameras; i++) {
        json_array_append_new(cameras, json_pack("{s:s, s:i, s:i}", "name", ds->cameras[i].name, "height",
                                                 ds->cameras[i].h, "width", ds->cameras[i].w));
    }
    for (int i = 0; i < ds->n_tasks && by_task != NULL; i++) {
        json_array_append_new(tasks, json_pack("{s:s, s:I}", "task", ds->tasks[i], "episodes", (json_int_t)by_task[i]));
    }
    free(by_task);
    json_t *j =
        json_pack("{s:s, s:s, s:s, s:f, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "dir", ds->dir, "version",
                  ds->version == 30 ? "v3.0" : "v2.1", "robot_type", ds->robot_type, "fps", ds->fps, "episodes",
                  (json_int_t)ds->n_episodes, "frames", (json_int_t)ds->n_frames, "shortest", (json_int_t)shortest,
                  "longest", (json_int_t)longest, "cameras", cameras, "features", features, "tasks", tasks);
    if (state->n > 0) {
        json_object_set_new(j, "observation.state", stats_json(state));
    }
    if (action->n > 0) {
        json_object_set_new(j, "action", stats_json(action));
    }
    return j;
}

static void print_vector(const char *what, const fw_feature *f, const fw_column_stats *s) {
    if (f == NULL) {
        return;
    }
    printf("%s (%lld)\n", what, (long long)f->size);
    if (s->n > 0) {
        printf("  %-20s %10s %10s %10s %10s %10s\n", "", "mean", "std", "min", "median", "max");
    }
    for (int64_t i = 0; i < f->size; i++) {
        char number[24];
        snprintf(number, sizeof(number), "[%lld]", (long long)i);
        const char *name = i < f->n_names ? f->names[i] : number;
        if (s->n > 0) {
            printf("  %-20s %10.4g %10.4g %10.4g %10.4g %10.4g\n", name, s->mean[i], s->std[i], s->min[i], s->q50[i],
                   s->max[i]);
        } else {
            printf("%s%s%s", i == 0 ? "  " : " ", name, i + 1 == f->size ? "\n" : "");
        }
    }
}

static void print_info(const fw_dataset *ds, const fw_column_stats *state, const fw_column_stats *action) {
    int64_t *by_task = episodes_by_task(ds), shortest, longest;
    length_range(ds, &shortest, &longest);
    printf("%s: LeRobot %s, robot '%s', %g frames/s\n", ds->dir, ds->version == 30 ? "v3.0" : "v2.1", ds->robot_type,
           ds->fps);
    printf("%lld episodes, %lld frames (%.1f minutes), %lld to %lld frames long\n", (long long)ds->n_episodes,
           (long long)ds->n_frames, (double)ds->n_frames / ds->fps / 60.0, (long long)shortest, (long long)longest);
    for (int i = 0; i < ds->n_cameras; i++) {
        printf("camera %s %dx%d\n", ds->cameras[i].name, ds->cameras[i].w, ds->cameras[i].h);
    }
    print_vector("state", ds->state, state);
    print_vector("action", ds->action, action);
    printf("tasks (%d)\n", ds->n_tasks);
    for (int i = 0; i < ds->n_tasks && by_task != NULL; i++) {
        printf("  %6lld  %s\n", (long long)by_task[i], ds->tasks[i]);
    }
    free(by_task);
}

static int data_info(int argc, char **argv) {
    bool json = false, stats = false;
    int n_paths;
    const fw_arg args[] = {
        FW_ARG_BOOL("stats", &stats, "statistics of state and action, computed from all rows"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {.verb = "data info",
                            .example = "flywheel data info datasets/banana --stats",
                            .what = "What a LeRobot dataset (v3.0 or v2.1) holds.",
                            .paths = "DIR",
                            .min_paths = 1,
                            .max_paths = 1};
    int code = fw_args_parse(&usage, args, 2, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    fw_err err;
    fw_dataset *ds;
    fw_column_stats state = {0}, action = {0};
    if (fw_dataset_open(argv[1], &ds, &err) != FW_OK) {
        return cli_fail(&err);
    }
    code = 0;
    if (stats &&
        ((ds->state != NULL && fw_dataset_compute_stats(ds, "observation.state", NULL, 0, &state, &err) != FW_OK) ||
         (ds->action != NULL && fw_dataset_compute_stats(ds, "action", NULL, 0, &action, &err) != FW_OK))) {
        code = cli_fail(&err);
    } else if (json) {
        code = cli_json(info_json(ds, &state, &action));
    } else {
        print_info(ds, &state, &action);
    }
    fw_column_stats_clear(&state);
    fw_column_stats_clear(&action);
    fw_dataset_close(ds);
    return code;
}

/* --- check --- */

static json_t *number_or_null(int64_t v) {
    return v >= 0 ? json_integer(v) : json_null();
}

static json_t *findings_json(const char *dir, const fw_findings *f) {
    json_t *a = json_array();
    fw_dataset *ds = NULL;
    for (int64_t i = 0; i < f->n; i++) {
        const fw_finding *x = &f->item[i];
        json_array_append_new(a, json_pack("{s:s, s:s, s:o, s:o, s:b, s:s}", "kind", x->kind, "file", x->file,
                                           "episode", number_or_null(x->episode), "frame", number_or_null(x->frame),
                                           "repairable", x->repairable, "text", x->text));
    }
    bool open = fw_dataset_open(dir, &ds, NULL) == FW_OK;
    json_t *j =
        json_pack("{s:s, s:o, s:o, s:o}", "dir", dir, "episodes", open ? json_integer(ds->n_episodes) : json_null(),
                  "frames", open ? json_integer(ds->n_frames) : json_null(), "findings", a);
    fw_dataset_close(ds);
    return j;
}

static void print_findings(const char *dir, const fw_findings *f) {
    for (int64_t i = 0; i < f->n; i++) {
        const fw_finding *x = &f->item[i];
        printf("%s/%s: ", dir, x->file);
        if (x->episode >= 0) {
            printf("ep %lld: ", (long long)x->episode);
        }
        if (x->frame >= 0) {
            printf("frame %lld: ", (long long)x->frame);
        }
        printf("%s: %s%s\n", x->kind, x->text, x->repairable ? " (repairable)" : "");
    }
    if (f->n == 0) {
        printf("%s: no findings\n", dir);
    } else {
        printf("%lld finding%s\n", (long long)f->n, f->n == 1 ? "" : "s");
    }
}

static int data_check(int argc, char **argv) {
    bool json = false;
    double tolerance_s = 0.0;
    int n_paths;
    const fw_arg args[] = {
        FW_ARG_F64("tolerance", &tolerance_s, 0, 3600, "S",
                   "how far a timestamp may lie from frame/fps; 0: 1.1 frames"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {
        .verb = "data check",
        .example = "flywheel data check datasets/banana",
        .what = "Check a dataset: counts, lengths, indices, timestamps, values, video frames against rows, "
                "statistics. Exits 1 when anything is found.",
        .paths = "DIR",
        .min_paths = 1,
        .max_paths = 1};
    int code = fw_args_parse(&usage, args, 2, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    fw_err err;
    fw_findings f;
    if (fw_dataset_check(argv[1], tolerance_s, &f, &err) != FW_OK) {
        return cli_fail(&err);
    }
    code = f.n > 0;
    if (json) {
        int printed = cli_json(findings_json(argv[1], &f));
        code = printed != 0 ? printed : code;
    } else {
        print_findings(argv[1], &f);
    }
    fw_findings_clear(&f);
    return code;
}

/* --- merge --- */

static int data_merge(int argc, char **argv) {
    bool json = false;
    const char *out = NULL;
    int n_paths;
    const fw_arg args[] = {
        FW_ARG_STR("out", &out, "DIR", "where to write (required; must not be there)"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {.verb = "data merge",
                            .example = "flywheel data merge out/k3-a out/k3-b --out out/k3",
                            .what =
                                "Several v3.0 datasets of one robot into one. Videos are copied, not encoded again.",
                            .paths = "DIR...",
                            .min_paths = 1,
                            .max_paths = 10000};
    int code = fw_args_parse(&usage, args, 2, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    if (out == NULL) {
        fprintf(stderr, "flywheel data merge: --out DIR is missing\n");
        return 2;
    }
    fw_err err;
    fw_dataset *ds;
    if (fw_dataset_merge((const char *const *)argv + 1, n_paths, out, &err) != FW_OK ||
        fw_dataset_open(out, &ds, &err) != FW_OK) {
        return cli_fail(&err);
    }
    if (json) {
        code = cli_json(json_pack("{s:s, s:I, s:I}", "out", out, "episodes", (json_int_t)ds->n_episodes, "frames",
                                  (json_int_t)ds->n_frames));
    } else {
        printf("%s: %lld episodes, %lld frames\n", out, (long long)ds->n_episodes, (long long)ds->n_frames);
        code = 0;
    }
    fw_dataset_close(ds);
    return code;
}

int cmd_data(int argc, char **argv) {
    static const fw_verb verbs[] = {
        {"info", "what a dataset holds", data_info},
        {"check", "what is wrong with it", data_check},
        {"merge", "several datasets into one", data_merge},
    };
    return cli_dispatch("flywheel data", "flywheel data info datasets/banana --stats", "datasets", verbs,
                        sizeof(verbs) / sizeof(*verbs), argc, argv);
}
