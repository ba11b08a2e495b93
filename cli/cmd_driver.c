/* cmd_driver.c - flywheel driver: which bodies this build can drive, and whether a driver is what it must be. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/file.h"
#include "cli.h"
#include "robot/conform.h"

static int driver_list(int argc, char **argv) {
    bool json = false;
    const fw_arg args[] = {FW_ARG_BOOL("json", &json, "one JSON object on stdout")};
    const fw_usage usage = {.verb = "driver list",
                            .example = "flywheel driver list",
                            .what = "The drivers that are built in, and the keys of their configs."};
    int n_paths, code = fw_args_parse(&usage, args, 1, argc, argv, &n_paths);
    size_t n;
    const fw_driver_api *const *all = fw_driver_builtin(&n);
    if (code != FW_ARGS_GO) {
        return code;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        if (json) {
            json_array_append_new(list, json_pack("{s:s, s:s}", "name", all[i]->name, "config", all[i]->help));
        } else {
            printf("%s\n%s\n", all[i]->name, all[i]->help);
        }
    }
    if (json) {
        return cli_json(json_pack("{s:o, s:i}", "drivers", list, "abi", (int)FW_DRIVER_ABI));
    }
    json_decref(list);
    return 0;
}

static const char *result_text(fw_conform_result r) {
    return r == FW_CONFORM_OK ? "ok" : r == FW_CONFORM_FAILED ? "FAILED" : "skipped";
}

static void show(const fw_conform_check *c, void *json) {
    fprintf(*(bool *)json ? stderr : stdout, "%-8s %s%s%s\n", result_text(c->result), c->claim,
            c->why[0] != 0 ? ": " : "", c->why);
}

static int check_as_json(const char *name, const fw_conform *r) {
    json_t *list = json_array();
    for (int i = 0; i < r->n; i++) {
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "claim", r->check[i].claim, "result",
                                              result_text(r->check[i].result), "why", r->check[i].why));
    }
    const int code = cli_json(json_pack("{s:s, s:b, s:i, s:o}", "driver", name, "conforms", r->failed == 0, "failed",
                                        r->failed, "checks", list));
    return code != 0 ? code : r->failed > 0;
}

static int driver_check(int argc, char **argv) {
    const char *config = "{}";
    bool json = false, move = false;
    const fw_arg args[] = {
        FW_ARG_STR("config", &config, "FILE | JSON", "the driver's config: a file, or the text itself"),
        FW_ARG_BOOL("move", &move,
                    "let it move: torque on, a step of 0.05 rad and back. Only a robot that stands free!"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {.verb = "driver check",
                            .example = "flywheel driver check so101 --config arm1.json\n"
                                       "flywheel driver check ./mydriver.so --config '{\"start\": [0.1, -0.2]}' --move",
                            .what = "Run a driver through everything that fw/driver.h promises, on the device itself.",
                            .paths = "NAME | FILE.so",
                            .min_paths = 1,
                            .max_paths = 1};
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof(*args), argc, argv, &n_paths);
    fw_err err = {0};
    char *text = NULL;
    size_t n;
    static fw_conform r;
    if (code != FW_ARGS_GO) {
        return code;
    }
    const bool inline_text = config[strspn(config, " \t\n")] == '{';
    if (!inline_text && fw_file_read(config, 1 << 20, &text, &n, &err) != FW_OK) {
        return cli_fail(&err);
    }
    fw_driver_conform(argv[1], inline_text ? config : text, move, show, &json, &r);
    free(text);
    if (json) {
        return check_as_json(argv[1], &r);
    }
    printf("%s: %d of %d checks failed\n", argv[1], r.failed, r.n);
    return r.failed > 0;
}

int cmd_driver(int argc, char **argv) {
    static const fw_verb parts[] = {{"list", "what is built in", driver_list},
                                    {"check", "is a driver what it must be", driver_check}};
    return cli_dispatch("flywheel driver", "flywheel driver check so101 --config arm1.json",
                        "bodies that this build can drive", parts, 2, argc, argv);
}
