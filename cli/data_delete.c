/* data_delete.c - `flywheel data delete`: forget a home, and prove it. */
#include <stdio.h>

#include "base/args.h"
#include "data.h"
#include "data/delete.h"

static json_t *proof_json(const char *dir, bool dry_run, const fw_delete_proof *p) {
    json_t *j = json_pack("{s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "dir", dir, "dry_run", dry_run,
                          "resumed", p->resumed, "episodes", (json_int_t)p->episodes, "frames", (json_int_t)p->frames,
                          "episodes_left", (json_int_t)p->episodes_left, "frames_left", (json_int_t)p->frames_left,
                          "recordings", (json_int_t)p->recordings, "views", (json_int_t)p->views, "cache_files",
                          (json_int_t)p->blobs, "cache_bytes", (json_int_t)p->blob_bytes);
    if (j != NULL && !dry_run) {
        json_object_set_new(j, "rule", json_string(p->rule));
        json_object_set_new(j, "proof",
                            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "files", (json_int_t)p->files,
                                      "bytes", (json_int_t)p->bytes, "rows", (json_int_t)p->rows, "rows_looked_for",
                                      (json_int_t)p->marks, "rows_found", (json_int_t)p->rows_found, "names_found",
                                      (json_int_t)p->names_found, "names_by_texts_only", (json_int_t)p->not_searched,
                                      "first", p->first));
    }
    return j;
}

static void print_proof(const char *dir, bool dry_run, const fw_delete_proof *p) {
    if (p->resumed) {
        printf("%s: an earlier run was interrupted: finished first\n", dir);
    }
    printf("%s: %lld episodes (%lld frames) and %lld files of recordings %s; %lld episodes (%lld frames) %s\n", dir,
           (long long)p->episodes, (long long)p->frames, (long long)p->recordings, dry_run ? "would go" : "are gone",
           (long long)p->episodes_left, (long long)p->frames_left, dry_run ? "are there" : "are left");
    if (dry_run) {
        return;
    }
    printf("also removed: %lld view files, %lld cache files (%.1f MiB)\n", (long long)p->views, (long long)p->blobs,
           (double)p->blob_bytes / 1048576.0);
    printf("tombstone: rule %s in meta/deleted.json: loader, train, merge and convert refuse older copies\n", p->rule);
    printf("proof: %lld files (%lld bytes) searched for the name: %lld found; %lld rows compared with %lld that went: "
           "%lld "
           "found\n",
           (long long)p->files, (long long)p->bytes, (long long)p->names_found, (long long)p->rows, (long long)p->marks,
           (long long)p->rows_found);
    if (p->not_searched > 0) {
        printf(
            "the name is short: in %lld compressed files it would turn up by chance, there only texts were decoded\n",
            (long long)p->not_searched);
    }
    if (p->names_found > 0) {
        printf("NOT PROVED: the name still stands in %s: look at it yourself\n", p->first);
    }
}

int data_delete(int argc, char **argv) {
    bool json = false;
    fw_delete_opts o = {.progress = true};
    int n_paths;
    const fw_arg args[] = {
        FW_ARG_STR("home", &o.home, "H", "every episode and recording of this home"),
        FW_ARG_STR("episodes", &o.episodes, "LIST", "these episodes: 0-9,12,40-"),
        FW_ARG_STR("where", &o.where, "EXPR", "the episodes that fit (see data filter)"),
        FW_ARG_BOOL("dry-run", &o.dry_run, "only say what would go; write nothing"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {.verb = "data delete",
                            .example = "flywheel data delete out/k3 --home h17",
                            .what = "Remove episodes from a dataset for good: rows, frames, statistics, views, "
                                    "recordings, caches; leave a tombstone "
                                    "by which older copies are refused; search every file for what went. May be killed "
                                    "and run again. Exits 1 when "
                                    "anything is found. Copies elsewhere and trained models are not reached.",
                            .paths = "DIR",
                            .min_paths = 1,
                            .max_paths = 1};
    int code = fw_args_parse(&usage, args, 5, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    if ((o.home != NULL) + (o.episodes != NULL) + (o.where != NULL) != 1 || (o.home != NULL && o.home[0] == 0)) {
        fprintf(stderr, "flywheel data delete: wanted one of --home, --episodes, --where\n");
        return 2;
    }
    fw_err err;
    fw_delete_proof p;
    if (fw_dataset_delete(argv[1], &o, &p, &err) != FW_OK) {
        return cli_fail(&err);
    }
    code = p.names_found > 0 || p.rows_found > 0;
    if (json) {
        int printed = cli_json(proof_json(argv[1], o.dry_run, &p));
        code = printed != 0 ? printed : code;
    } else {
        print_proof(argv[1], o.dry_run, &p);
    }
    return code;
}
