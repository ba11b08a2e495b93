/* data_convert.c - `flywheel data convert`: a dataset in the other version of the format. */
#include <stdio.h>
#include <string.h>

#include "base/args.h"
#include "data.h"
#include "data/copy.h"

int data_convert(int argc, char **argv) {
    bool json = false, resume = false;
    const char *out = NULL, *to = NULL;
    int n_paths;
    const fw_arg args[] = {
        FW_ARG_STR("to", &to, "VERSION", "v3.0 or v2.1 (required)"),
        FW_ARG_STR("out", &out, "DIR", "where to write (required; must not be there)"),
        FW_ARG_BOOL("resume", &resume, "go on with what an earlier run left in DIR.copying"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {
        .verb = "data convert",
        .example = "flywheel data convert datasets/banana --to v3.0 --out datasets/banana3",
        .what = "A LeRobot dataset in another version of its format. Values stay as they are, videos are "
                "copied without encoding them again.",
        .paths = "DIR",
        .min_paths = 1,
        .max_paths = 1};
    int code = fw_args_parse(&usage, args, 4, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    fw_copy_opts o = {.progress = true, .resume = resume};
    o.version = to == NULL ? 0 : strcmp(to, "v3.0") == 0 ? 30 : strcmp(to, "v2.1") == 0 ? 21 : 0;
    if (o.version == 0) {
        fprintf(stderr, "flywheel data convert: --to: wanted v3.0 or v2.1, found %s\n", to != NULL ? to : "nothing");
        return 2;
    }
    if ((code = data_need_out("data convert", out)) != 0) {
        return code;
    }
    fw_err err;
    fw_copy_source from = {.dir = argv[1]};
    fw_copy_result r;
    if (fw_dataset_copy(&from, 1, out, &o, &r, &err) != FW_OK) {
        return cli_fail(&err);
    }
    return data_say_written(out, json, json_pack("{s:s, s:I}", "version", to, "resumed", (json_int_t)r.resumed));
}
