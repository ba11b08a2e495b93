/* data_view.c - `flywheel data view`: a dataset as one HTML page. */
#include <stdio.h>
#include <stdlib.h>

#include "base/args.h"
#include "data.h"
#include "data/select.h"
#include "data/view.h"

int data_view(int argc, char **argv) {
    bool json = false;
    const char *out = NULL, *list = NULL;
    int64_t limit = 20;
    int n_paths;
    const fw_arg args[] = {
        FW_ARG_STR("out", &out, "FILE", "the page, .html (required)"),
        FW_ARG_STR("episodes", &list, "LIST", "which, as in 0-9,12,40-; evenly spread over all otherwise"),
        FW_ARG_INT("limit", &limit, 0, 100000, "N", "at most so many of them; 0: all (about 20 KB each)"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {.verb = "data view",
                            .example = "flywheel data view datasets/banana --out banana.html",
                            .what = "One self-contained HTML page of a dataset: what it holds, what is wrong with it, "
                                    "statistics, and episodes with pictures, curves, sentences and provenance.",
                            .paths = "DIR",
                            .min_paths = 1,
                            .max_paths = 1};
    int code = fw_args_parse(&usage, args, sizeof args / sizeof *args, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    if ((code = data_need_out("data view", out)) != 0) {
        return code;
    }
    fw_err err;
    fw_dataset *ds = NULL;
    int64_t *episodes = NULL, n = 0;
    fw_view_result r;
    fw_status st = FW_OK;
    if (list != NULL) {
        st = fw_dataset_open(argv[1], &ds, &err);
        st = st == FW_OK ? fw_select_list(ds, list, &episodes, &n, &err) : st;
        fw_dataset_close(ds);
    }
    const fw_view_opts opts = {.episodes = episodes, .n_episodes = n, .limit = limit, .progress = true};
    st = st == FW_OK ? fw_dataset_view(argv[1], out, &opts, &r, &err) : st;
    free(episodes);
    if (st != FW_OK) {
        return cli_fail(&err);
    }
    if (json) {
        return cli_json(json_pack("{s:s, s:I, s:I, s:I, s:I}", "out", out, "episodes", (json_int_t)r.episodes, "shown",
                                  (json_int_t)r.shown, "findings", (json_int_t)r.findings, "bytes",
                                  (json_int_t)r.bytes));
    }
    printf("%s: %lld of %lld episodes, %lld findings, %.0f KB\n", out, (long long)r.shown, (long long)r.episodes,
           (long long)r.findings, (double)r.bytes / 1000);
    return 0;
}
