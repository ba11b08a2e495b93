/* cmd_towers.c - convert the pretrained towers of this installation into what the engine reads */
#include <stdio.h>
#include <string.h>

#include "base/args.h"
#include "base/file.h"
#include "cli.h"
#include "model/vision_tower.h"

typedef struct towers {
    const char *source; /* a .pth, NULL: the one under .deps/efficientnet_lite0 */
    const char *out;    /* NULL: .deps/towers/efficientnet_lite0.safetensors */
    char source_path[4096], out_dir[4096], out_path[4096];
    bool converted;
} towers;

/* The only .pth in the package's folder. */
static fw_status find_source(towers *t, fw_err *err) {
    char dir[4096], **names = NULL;
    size_t n = 0;
    if (t->source != NULL) {
        snprintf(t->source_path, sizeof t->source_path, "%s", t->source);
        return FW_OK;
    }
    FW_TRY(fw_path_join(dir, sizeof dir, fw_home(), ".deps/efficientnet_lite0", err));
    FW_TRY(fw_list_dir(dir, &names, &n, err));
    fw_status st = fw_fail(err, FW_IO, "%s holds no .pth file: run  tools/setup.sh", dir);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(names[i]);
        if (len > 4 && strcmp(names[i] + len - 4, ".pth") == 0) {
            st = fw_path_join(t->source_path, sizeof t->source_path, dir, names[i], err);
            break;
        }
    }
    fw_names_free(names, n);
    return st;
}

static fw_status convert(towers *t, bool force, fw_err *err) {
    bool current = false;
    FW_TRY(find_source(t, err));
    if (t->out != NULL) {
        snprintf(t->out_path, sizeof t->out_path, "%s", t->out);
    } else {
        FW_TRY(fw_path_join(t->out_dir, sizeof t->out_dir, fw_home(), ".deps/towers", err));
        FW_TRY(fw_mkdirs(t->out_dir, err));
        FW_TRY(fw_path_join(t->out_path, sizeof t->out_path, t->out_dir, "efficientnet_lite0.safetensors", err));
    }
    FW_TRY(fw_effnet_is_current(t->source_path, t->out_path, &current, err));
    if (!current || force) {
        FW_TRY(fw_effnet_convert(t->source_path, t->out_path, err));
        t->converted = true;
    }
    return FW_OK;
}

int cmd_towers(int argc, char **argv) {
    static towers t; /* paths are large */
    bool json = false, force = false;
    fw_err err = {FW_OK, ""};
    const fw_arg args[] = {
        FW_ARG_STR("source", &t.source, "FILE", "weights of EfficientNet-Lite0 (.pth); default: the unpacked package"),
        FW_ARG_STR("out", &t.out, "FILE", "default: .deps/towers/efficientnet_lite0.safetensors"),
        FW_ARG_BOOL("force", &force, "convert again even when the file is up to date"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {
        .verb = "towers",
        .example = "flywheel towers",
        .what = "Convert the pretrained vision tower into safetensors: batch norms folded, layouts of the engine. "
                "Quick; does\n"
                "nothing when the result is up to date. The text tower needs no conversion.",
    };
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof *args, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    if (convert(&t, force, &err) != FW_OK) {
        return cli_fail(&err);
    }
    if (json) {
        return cli_json(
            json_pack("{s:s, s:s, s:b}", "source", t.source_path, "out", t.out_path, "converted", (int)t.converted));
    }
    printf("%s: %s\n", t.out_path, t.converted ? "converted" : "up to date");
    return 0;
}
