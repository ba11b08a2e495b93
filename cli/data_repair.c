/* data_repair.c - `flywheel data repair`: put right what `data check` calls repairable. */
#include <stdio.h>

#include "base/args.h"
#include "data.h"
#include "data/repair.h"

static json_t *dropped_json(const fw_repair_result *r) {
    json_t *a = json_array();
    for (int64_t i = 0; i < r->n_dropped; i++) {
        json_array_append_new(a, json_integer(r->dropped[i]));
    }
    return a;
}

static json_t *repair_json(const char *dir, bool dry_run, const fw_repair_result *r) {
    fw_dataset *ds = NULL;
    bool open = fw_dataset_open(dir, &ds, NULL) == FW_OK;
    json_t *j = json_pack("{s:s, s:o, s:o, s:b, s:I, s:o, s:o, s:o, s:I}", "dir", dir, "episodes",
                          open ? json_integer(ds->n_episodes) : json_null(), "frames",
                          open ? json_integer(ds->n_frames) : json_null(), "dry_run", dry_run, "repaired",
                          (json_int_t)r->repaired, "found", data_findings_json(&r->found), "findings",
                          data_findings_json(&r->left), "dropped", dropped_json(r), "recovered_episodes",
                          (json_int_t)r->recovered.episodes);
    fw_dataset_close(ds);
    return j;
}

static void print_repair(const char *dir, bool dry_run, const fw_repair_result *r) {
    if (dry_run) {
        data_print_findings(dir, &r->found);
        return;
    }
    if (r->recovered.episodes > 0) {
        printf("%s: %lld recorded episodes (%lld frames) were waiting: they are in the dataset now\n", dir,
               (long long)r->recovered.episodes, (long long)r->recovered.frames);
    }
    for (int64_t i = 0; i < r->n_dropped; i++) {
        printf("%s: ep %lld: REMOVED, it could not be repaired\n", dir, (long long)r->dropped[i]);
    }
    printf("%s: %lld of %lld finding%s repaired\n", dir, (long long)r->repaired, (long long)r->found.n,
           r->found.n == 1 ? "" : "s");
    if (r->left.n > 0) {
        printf("what is left:\n");
        data_print_findings(dir, &r->left);
    }
}

int data_repair(int argc, char **argv) {
    bool json = false;
    fw_repair_opts o = {.progress = true};
    int n_paths;
    const fw_arg args[] = {
        FW_ARG_BOOL("dry-run", &o.dry_run, "only say what is wrong and what of it can be repaired; write nothing"),
        FW_ARG_BOOL("drop", &o.drop, "remove the episodes of what cannot be repaired"),
        FW_ARG_F64("tolerance", &o.tolerance_s, 0, 3600, "S",
                   "how far a timestamp may lie from frame/fps; 0: 1.1 frames"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {
        .verb = "data repair",
        .example = "flywheel data repair datasets/banana --dry-run\nflywheel data repair datasets/banana",
        .what =
            "Put right what data check calls repairable, in place: numbering, nominal times, counts, statistics, "
            "frames "
            "without rows, recordings that a crash left. May be killed and run again. Exits 1 when anything is left.",
        .paths = "DIR",
        .min_paths = 1,
        .max_paths = 1};
    int code = fw_args_parse(&usage, args, 4, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    fw_err err;
    fw_repair_result r;
    if (fw_dataset_repair(argv[1], &o, &r, &err) != FW_OK) {
        return cli_fail(&err);
    }
    code = r.left.n > 0;
    if (json) {
        int printed = cli_json(repair_json(argv[1], o.dry_run, &r));
        code = printed != 0 ? printed : code;
    } else {
        print_repair(argv[1], o.dry_run, &r);
    }
    fw_repair_result_clear(&r);
    return code;
}
