/* sim_ranges.c - `flywheel sim ranges`: what an episode may draw, as a table. */
#include <stdio.h>

#include "base/args.h"
#include "base/file.h"
#include "cli.h"
#include "sim.h"
#include "sim/ranges.h"

static void print_table(const fw_ranges *r) {
    char text[256];
    printf("%s: %s%s\n\n", r->name, r->held_out ? "(held out: never in training data) " : "", r->what);
    printf("%-24s %-4s %-44s %s\n", "range", "unit", "drawn", "what");
    for (int i = 0; i < FW_RANGE_N; i++) {
        fw_range_id id = (fw_range_id)i;
        fw_range_text(id, &r->r[i], text, sizeof text);
        printf("%-24s %-4s %-44s %s\n", fw_range_name(id), fw_range_unit(id), text, fw_range_what(id));
    }
}

int sim_ranges(int argc, char **argv) {
    bool json = false;
    const fw_arg args[] = {FW_ARG_BOOL("json", &json, "one JSON object on stdout")};
    const fw_usage usage = {.verb = "sim ranges",
                            .example = "flywheel sim ranges broad",
                            .what = "What an episode draws with --randomise NAME (or --domain NAME): the ranges of "
                                    "configs/randomise/NAME.json.",
                            .paths = "NAME",
                            .max_paths = 1};
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof *args, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    fw_err err = {FW_OK, ""};
    fw_ranges r;
    if (fw_ranges_load(fw_home(), n_paths > 0 ? argv[1] : NULL, &r, &err) != FW_OK) {
        return cli_fail(&err);
    }
    if (json) {
        json_t *j = fw_ranges_to_json(&r);
        json_object_set_new(j, "name", json_string(r.name));
        return cli_json(j);
    }
    print_table(&r);
    return 0;
}
