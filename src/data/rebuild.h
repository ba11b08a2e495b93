/*
 * rebuild.h - a dataset in its own place with fewer episodes: what `data delete` and `data repair --drop` do.
 *
 *     fw_rebuild_opts o = {.keep = left, .n_keep = n};
 *     FW_TRY(fw_dataset_rebuild("out/k3", &o, err));
 *
 * DESIGN. The smaller dataset is built beside the old one (copy.h; video files that lose no episode go along as links) in
 * "<dir>.rebuilding", with every other file of the folder that `carry` lets through; `finish` may add to it and look at it; a marker
 * says that it is whole. Then the two folders are exchanged in one step (renameat2), and the old one is removed. So a kill leaves the
 * dataset as before or as wanted, and fw_rebuild_resume, or the next rebuild, finishes or clears away what is beside it. Where a file
 * system cannot exchange, two renames do: between them the folder is missing, and the next run puts it there.
 */
#ifndef FW_DATA_REBUILD_H
#define FW_DATA_REBUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "fw/status.h"

typedef struct fw_rebuild_opts {
    const int64_t *keep; /* [n_keep] positions, ascending */
    int64_t n_keep;      /* 0: only what is carried stays, without meta/info.json */
    /* Whether the file `rel` that is no part of the dataset proper goes along; NULL: all do. */
    bool (*carry)(void *ctx, const char *dir, const char *rel);
    /* The new folder is complete: add to it, refuse it. NULL: nothing to do. */
    fw_status (*finish)(void *ctx, const char *fresh, fw_err *err);
    void *ctx;
    bool progress;
} fw_rebuild_opts;

/* dir: no trailing slash needed, links are followed. FW_AGAIN: somebody is writing or recording there. */
FW_NODISCARD fw_status fw_dataset_rebuild(const char *dir, const fw_rebuild_opts *opts, fw_err *err);
/* Finish or clear away what a kill left beside dir. *did: there was something. */
FW_NODISCARD fw_status fw_rebuild_resume(const char *dir, bool *did, fw_err *err);
/* Whether there is something to resume. */
bool fw_rebuild_unfinished(const char *dir);

#endif /* FW_DATA_REBUILD_H */
