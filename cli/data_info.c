/* data_info.c - `flywheel data info`: what a dataset holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "data.h"
#include "data/dataset.h"

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

int data_info(int argc, char **argv) {
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
