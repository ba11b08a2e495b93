/* data_check.c - `flywheel data check`: what is wrong with a dataset. */
#include "base/args.h"
#include "data.h"
#include "data/dataset.h"

static json_t *check_json(const char *dir, const fw_findings *f) {
    fw_dataset *ds = NULL;
    bool open = fw_dataset_open(dir, &ds, NULL) == FW_OK;
    json_t *j =
        json_pack("{s:s, s:o, s:o, s:o}", "dir", dir, "episodes", open ? json_integer(ds->n_episodes) : json_null(),
                  "frames", open ? json_integer(ds->n_frames) : json_null(), "findings", data_findings_json(f));
    fw_dataset_close(ds);
    return j;
}

int data_check(int argc, char **argv) {
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
    if (fw_dataset_check(argv[1], &(fw_check_opts){tolerance_s, true}, &f, &err) != FW_OK) {
        return cli_fail(&err);
    }
    code = f.n > 0;
    if (json) {
        int printed = cli_json(check_json(argv[1], &f));
        code = printed != 0 ? printed : code;
    } else {
        data_print_findings(argv[1], &f);
    }
    fw_findings_clear(&f);
    return code;
}
