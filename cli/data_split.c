/* data_split.c - `flywheel data split`: a dataset in two, by share, list or expression; or in one for each value of a field. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "data.h"
#include "data/copy.h"
#include "data/select.h"

typedef struct split {
    const fw_dataset *ds;
    bool resume;
    json_t *parts; /* [{out, episodes, frames}] */
} split;

static fw_status write_part(split *s, const int64_t *episodes, int64_t n, const char *out, fw_err *err) {
    fw_copy_source from = {.dir = s->ds->dir, .episodes = episodes, .n_episodes = n};
    fw_copy_opts o = {.version = s->ds->version, .progress = true, .resume = s->resume};
    fw_copy_result r;
    FW_TRY(fw_dataset_copy(&from, 1, out, &o, &r, err));
    json_array_append_new(s->parts, json_pack("{s:s, s:I, s:I}", "out", out, "episodes", (json_int_t)r.episodes,
                                              "frames", (json_int_t)r.frames));
    return FW_OK;
}

/* The chosen ones to out[0], the others to out[1]. */
static fw_status write_two(split *s, const int64_t *episodes, int64_t n, const char *const *out, fw_err *err) {
    int64_t *rest, n_rest;
    FW_TRY(fw_select_rest(s->ds, episodes, n, &rest, &n_rest, err));
    fw_status st = n > 0 && n_rest > 0 ? FW_OK
                                       : fw_fail(err, FW_INVALID, "%s: %lld episodes on one side, %lld on the other",
                                                 s->ds->dir, (long long)n, (long long)n_rest);
    st = st == FW_OK ? write_part(s, episodes, n, out[0], err) : st;
    st = st == FW_OK ? write_part(s, rest, n_rest, out[1], err) : st;
    free(rest);
    return st;
}

static const char *value_of(const fw_dataset *ds, int64_t e, const char *field) {
    const char *text = "";
    if (strcmp(field, "task") == 0) {
        return ds->episodes[e].n_tasks > 0 ? ds->episodes[e].tasks[0] : "";
    }
    return fw_dataset_field_text(ds, e, field, &text) ? text : NULL;
}

/* A dataset for each value, in the order they appear: OUT/000-put-the-mug-in, ... */
static fw_status write_by(split *s, const char *field, const char *out, fw_err *err) {
    const fw_dataset *ds = s->ds;
    bool *done = calloc((size_t)ds->n_episodes + 1, sizeof(bool));
    int64_t *part = malloc((size_t)(ds->n_episodes + 1) * sizeof(int64_t));
    fw_status st = done != NULL && part != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s", ds->dir);
    if (st == FW_OK && value_of(ds, 0, field) == NULL) {
        st = fw_fail(err, FW_INVALID, "%s: its episodes have no text field '%s'", ds->dir, field);
    }
    for (int64_t e = 0, values = 0; e < ds->n_episodes && st == FW_OK; e++) {
        char path[4096];
        int64_t n = 0;
        if (done[e]) {
            continue;
        }
        for (int64_t k = e; k < ds->n_episodes; k++) {
            if (strcmp(value_of(ds, k, field), value_of(ds, e, field)) == 0) {
                done[k] = true;
                part[n++] = k;
            }
        }
        int at = snprintf(path, sizeof(path), "%s/%03lld-", out, (long long)values++);
        for (const char *p = value_of(ds, e, field); *p != 0 && at < 4000; p++) {
            bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
            path[at++] = plain ? *p : '-';
        }
        path[at] = 0;
        st = write_part(s, part, n, path, err);
    }
    free(done);
    free(part);
    return st;
}

static int say(const split *s, const char *dir, bool json) {
    if (json) {
        return cli_json(json_pack("{s:s, s:I, s:I, s:O}", "dir", dir, "episodes", (json_int_t)s->ds->n_episodes,
                                  "frames", (json_int_t)s->ds->n_frames, "parts", s->parts));
    }
    size_t i;
    json_t *p;
    json_array_foreach(s->parts, i, p) {
        printf("%s: %lld episodes, %lld frames\n", json_string_value(json_object_get(p, "out")),
               (long long)json_integer_value(json_object_get(p, "episodes")),
               (long long)json_integer_value(json_object_get(p, "frames")));
    }
    return 0;
}

int data_split(int argc, char **argv) {
    bool json = false, resume = false;
    const char *list = NULL, *where = NULL, *by = NULL;
    double fraction = -1.0;
    int64_t seed = 1, *episodes = NULL, n = 0;
    fw_arg_list out = {0};
    int n_paths;
    const fw_arg args[] = {
        FW_ARG_F64("fraction", &fraction, 0, 1, "F", "this share of the episodes, drawn by --seed, goes to A"),
        FW_ARG_STR("episodes", &list, "LIST", "these go to A: 0-9,12,40-"),
        FW_ARG_STR("where", &where, "EXPR", "those that fit go to A (see data filter)"),
        FW_ARG_STR("by", &by, "FIELD", "one dataset under A for each value of task, home, source, ..."),
        FW_ARG_INT("seed", &seed, 0, 9007199254740992.0, "N", "of the draw"),
        FW_ARG_LIST("out", &out, "A B", "where to write (required): the chosen, and the others; one folder with --by"),
        FW_ARG_BOOL("resume", &resume, "go on with what an earlier run left"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {.verb = "data split",
                            .example = "flywheel data split out/k3 --fraction 0.9 --seed 1 --out out/train out/held\n"
                                       "flywheel data split out/k3 --by task --out out/tasks",
                            .what = "A dataset in parts. Videos are copied, not encoded again.",
                            .paths = "DIR",
                            .min_paths = 1,
                            .max_paths = 1};
    int code = fw_args_parse(&usage, args, 8, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    int ways = (fraction >= 0.0) + (list != NULL) + (where != NULL) + (by != NULL), want_out = by != NULL ? 1 : 2;
    if (ways != 1 || out.n != want_out) {
        fprintf(stderr,
                "flywheel data split: wanted one of --fraction, --episodes, --where, --by and --out with %d folder%s, "
                "found %d and %d\n",
                want_out, want_out == 1 ? "" : "s", ways, out.n);
        return 2;
    }
    fw_err err;
    fw_dataset *ds;
    if (fw_dataset_open(argv[1], &ds, &err) != FW_OK) {
        return cli_fail(&err);
    }
    split s = {.ds = ds, .resume = resume, .parts = json_array()};
    fw_status st = fraction >= 0.0 ? fw_select_fraction(ds, fraction, (uint64_t)seed, &episodes, &n, &err)
                   : list != NULL  ? fw_select_list(ds, list, &episodes, &n, &err)
                   : where != NULL ? fw_select_where(ds, where, &episodes, &n, &err)
                                   : write_by(&s, by, out.item[0], &err);
    st = st == FW_OK && by == NULL ? write_two(&s, episodes, n, out.item, &err) : st;
    code = st == FW_OK ? say(&s, argv[1], json) : cli_fail(&err);
    json_decref(s.parts);
    free(episodes);
    fw_dataset_close(ds);
    return code;
}
