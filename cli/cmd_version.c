#include <stdio.h>

#include "base/args.h"
#include "cli.h"
#include "sim/sim.h"

int cmd_version(int argc, char **argv) {
    bool json = false;
    const fw_arg args[] = {FW_ARG_BOOL("json", &json, "one JSON object on stdout")};
    const fw_usage usage = {.verb = "version", .example = "flywheel version", .what = "Print what this build is."};
    int n_paths, code = fw_args_parse(&usage, args, 1, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    if (json) {
        return cli_json(
            json_pack("{s:s, s:s, s:s}", "version", "0.1.0", "compiler", __VERSION__, "physics", fw_sim_version()));
    }
    printf("flywheel 0.1.0 (%s, %s)\n", fw_sim_version(), __VERSION__);
    return 0;
}
