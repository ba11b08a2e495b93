/*
 * The metadata of a v2.1 dataset from anywhere. The input is several files after each other, each after a line "### name": info.json,
 * tasks.jsonl, episodes.jsonl, subtasks.jsonl. What opens has sentences, fields and provenance that can be asked for, and `check`
 * comes to an end.
 */
#include <stdint.h>

#include "data/dataset.h"
#include "data/select.h"
#include "scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_files(const uint8_t *data, size_t size) {
    static const char *const name[] = {"info.json", "tasks.jsonl", "episodes.jsonl", "subtasks.jsonl"};
    char *text = malloc(size + 1), file[64];
    if (text == NULL) {
        abort();
    }
    memcpy(text, data, size);
    text[size] = 0;
    for (int i = 0; i < 4; i++) {
        char mark[64];
        snprintf(mark, sizeof mark, "### %s\n", name[i]);
        const char *from = memmem(text, size, mark, strlen(mark));
        snprintf(file, sizeof file, "ds/meta/%s", name[i]);
        if (from == NULL) {
            (void)!unlink(scratch_path(file));
            continue;
        }
        from += strlen(mark);
        size_t left = size - (size_t)(from - text);
        const char *end = memmem(from, left, "### ", 4);
        scratch_put(file, from, end != NULL ? (size_t)(end - from) : left);
    }
    free(text);
}

static void ask(fw_dataset *ds) {
    for (int64_t e = 0; e < ds->n_episodes && e < 20; e++) {
        fw_provenance p = fw_dataset_provenance(ds, e);
        const char *text;
        double from_s;
        fw_episode ep;
        fw_err err;
        (void)fw_source_name(p.source);
        (void)(p.home != NULL && strlen(p.home) > 0);
        (void)fw_dataset_field_text(ds, e, "home", &text);
        for (int c = 0; c < ds->n_cameras; c++) {
            (void)fw_dataset_video(ds, e, c, &from_s);
        }
        scratch_refused(fw_dataset_read_episode(ds, e, &ep, &err), &err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char dir[256];
    fw_dataset *ds;
    fw_err err;
    int64_t *episodes, n;
    put_files(data, size);
    snprintf(dir, sizeof dir, "%s/ds", scratch());
    fw_status st = fw_dataset_open(dir, &ds, &err);
    scratch_refused(st, &err);
    if (st == FW_OK) {
        ask(ds);
        if (fw_select_where(ds, "length > 1 and home != 'h1' or quality > 0.5 or task ~ 'a'", &episodes, &n, &err) ==
            FW_OK) {
            free(episodes);
        }
        fw_dataset_close(ds);
    }
    return 0;
}
