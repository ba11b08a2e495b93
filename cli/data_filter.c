/* data_filter.c - `flywheel data filter`: the episodes of a dataset that an expression chooses. */
#include <stdio.h>
#include <stdlib.h>

#include "base/args.h"
#include "data.h"
#include "data/copy.h"
#include "data/select.h"

int data_filter(int argc, char **argv) {
    bool json = false, resume = false;
    const char *out = NULL, *where = NULL;
    int n_paths;
    const fw_arg args[] = {
        FW_ARG_STR("where", &where, "EXPR",
                   "which episodes (required): and or not ( ) == != < <= > >= ~ over episode, length, seconds, task, "
                   "source, success, home, policy_id, ..."),
        FW_ARG_STR("out", &out, "DIR", "where to write (required; must not be there)"),
        FW_ARG_BOOL("resume", &resume, "go on with what an earlier run left in DIR.copying"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {
        .verb = "data filter",
        .example =
            "flywheel data filter out/k3 --where \"success == 1 and length > 40 and task ~ 'mug'\" --out out/mugs",
        .what =
            "A dataset of the episodes that an expression over what is known of them chooses. Exits 1 when none fits.",
        .paths = "DIR",
        .min_paths = 1,
        .max_paths = 1};
    int code = fw_args_parse(&usage, args, 4, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    if (where == NULL) {
        fprintf(stderr, "flywheel data filter: --where EXPR is missing\n");
        return 2;
    }
    if ((code = data_need_out("data filter", out)) != 0) {
        return code;
    }
    fw_err err;
    fw_dataset *ds;
    int64_t *episodes = NULL, n = 0;
    if (fw_dataset_open(argv[1], &ds, &err) != FW_OK) {
        return cli_fail(&err);
    }
    fw_status st = fw_select_where(ds, where, &episodes, &n, &err);
    int version = ds->version;
    int64_t of = ds->n_episodes;
    fw_dataset_close(ds);
    fw_copy_source from = {.dir = argv[1], .episodes = episodes, .n_episodes = n};
    st = st == FW_OK
             ? fw_dataset_copy(&from, 1, out, &(fw_copy_opts){.version = version, .progress = true, .resume = resume},
                               NULL, &err)
             : st;
    free(episodes);
    return st == FW_OK ? data_say_written(out, json, json_pack("{s:I}", "of", (json_int_t)of)) : cli_fail(&err);
}
