/* data_merge.c - `flywheel data merge`: several datasets into one. */
#include "base/args.h"
#include "data.h"
#include "data/writer.h"

int data_merge(int argc, char **argv) {
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
    if ((code = data_need_out("data merge", out)) != 0) {
        return code;
    }
    fw_err err;
    if (fw_dataset_merge((const char *const *)argv + 1, n_paths, out, &err) != FW_OK) {
        return cli_fail(&err);
    }
    return data_say_written(out, json, NULL);
}
