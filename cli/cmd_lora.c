/* cmd_lora.c - flywheel lora: low-rank adapters into the weights of a published policy, and out of them again. */
#include <stdio.h>

#include "base/args.h"
#include "base/file.h"
#include "cli.h"
#include "model/lora.h"
#include "model/pretrained.h"

static fw_status apply(const char *from, const char *adapter, int sign, const char *out, fw_err *err) {
    char base[4096], to[4096];
    fw_lerobot_config c;
    FW_TRY(fw_lerobot_config_load(from, &c, err));
    FW_TRY(fw_path_join(base, sizeof base, from, "model.safetensors", err));
    FW_TRY(fw_path_join(to, sizeof to, out, "model.safetensors", err));
    if (fw_path_exists(to)) {
        return fw_fail(err, FW_INVALID, "%s: there is a policy already", out);
    }
    FW_TRY(fw_mkdirs(out, err));
    FW_TRY(fw_adapter_merge(base, c.openpi ? "model." : "", adapter, sign, to, err));
    return fw_pretrained_copy(from, out, err);
}

static int run(int argc, char **argv, int sign, const fw_usage *usage) {
    const char *out = NULL;
    bool json = false;
    const fw_arg args[] = {
        FW_ARG_STR("out", &out, "DIR", "where to write the policy (required)"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    int n_paths, code = fw_args_parse(usage, args, sizeof args / sizeof(*args), argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    if (out == NULL) {
        fprintf(stderr, "flywheel %s: wants --out DIR; --help shows an example\n", usage->verb);
        return 2;
    }
    fw_err err = {0};
    if (apply(argv[1], argv[2], sign, out, &err) != FW_OK) {
        return cli_fail(&err);
    }
    if (json) {
        return cli_json(json_pack("{s:s, s:s, s:s}", "policy", argv[1], "adapter", argv[2], "out", out));
    }
    printf("%s: %s %s %s\n", out, argv[1], sign > 0 ? "with" : "without", argv[2]);
    return 0;
}

static int lora_merge(int argc, char **argv) {
    const fw_usage usage = {.verb = "lora merge",
                            .example = "flywheel lora merge smolvla_base out/tuned/adapter --out out/merged",
                            .what = "Add adapters to the weights they were trained on: W + alpha / rank * B A.",
                            .paths = "POLICY ADAPTER",
                            .min_paths = 2,
                            .max_paths = 2};
    return run(argc, argv, 1, &usage);
}

static int lora_unmerge(int argc, char **argv) {
    const fw_usage usage = {.verb = "lora unmerge",
                            .example = "flywheel lora unmerge out/tuned out/tuned/adapter --out out/base",
                            .what = "Take merged adapters out of the weights again, up to rounding.",
                            .paths = "POLICY ADAPTER",
                            .min_paths = 2,
                            .max_paths = 2};
    return run(argc, argv, -1, &usage);
}

int cmd_lora(int argc, char **argv) {
    static const fw_verb verbs[] = {
        {"merge", "adapters into the weights", lora_merge},
        {"unmerge", "and out of them again", lora_unmerge},
    };
    return cli_dispatch("flywheel lora", "flywheel lora merge smolvla_base out/tuned/adapter --out out/merged",
                        "low-rank adapters of published policies", verbs, sizeof verbs / sizeof *verbs, argc, argv);
}
