/* data_merge.c - `flywheel data merge`: several datasets into one. */
#include <stdlib.h>

#include "base/args.h"
#include "data.h"
#include "data/copy.h"

int data_merge(int argc, char **argv) {
    bool json = false, resume = false;
    const char *out = NULL;
    int n_paths;
    const fw_arg args[] = {
        FW_ARG_STR("out", &out, "DIR", "where to write (required; must not be there)"),
        FW_ARG_BOOL("resume", &resume, "go on with what an earlier run left in DIR.copying"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {
        .verb = "data merge",
        .example = "flywheel data merge out/k3-a out/k3-b --out out/k3",
        .what = "Several datasets of one robot into one, as v3.0. Videos are copied, not encoded again.",
        .paths = "DIR...",
        .min_paths = 1,
        .max_paths = 10000};
    int code = fw_args_parse(&usage, args, 3, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    if ((code = data_need_out("data merge", out)) != 0) {
        return code;
    }
    fw_err err;
    fw_copy_source *from = calloc((size_t)n_paths, sizeof(*from));
    for (int i = 0; from != NULL && i < n_paths; i++) {
        from[i].dir = argv[1 + i];
    }
    fw_status st = from != NULL ? fw_dataset_copy(from, n_paths, out,
                                                  &(fw_copy_opts){.progress = true, .resume = resume}, NULL, &err)
                                : fw_fail(&err, FW_NOMEM, "%s", out);
    free(from);
    return st == FW_OK ? data_say_written(out, json, NULL) : cli_fail(&err);
}
