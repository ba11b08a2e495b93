/*
 * delete.h - forget a home: every episode of it leaves the dataset, and that it is gone is proved.
 *
 *     fw_delete_proof proof;
 *     FW_TRY(fw_dataset_delete("out/k3", &(fw_delete_opts){.home = "h17"}, &proof, err));
 *     // proof.names_found == 0 && proof.rows_found == 0, over proof.files files
 *
 * WHAT GOES. Rows, frames, statistics and sentences of the episodes (the dataset is built again from the others: rebuild.h), their views in
 * sim/, recordings of the home in .recorder, blobs of decoded frames and features in the cache (cache.h), and what earlier runs
 * left beside the folder. A tombstone stays (deleted.h), by which loader, train, merge and convert refuse older copies.
 * THE PROOF looks at files, not at metadata: before the new folder takes its place, and again after, every file under it is searched
 * for the home's name (texts of Parquet columns are decoded for that), and every row of every Parquet file is compared with the
 * rows that went (state and action together; rows that an episode that stays has too cannot tell). Nothing is exchanged when anything
 * is found in the numbers. A name that somebody wrote into a file of his own is reported, and left to him.
 * A kill at any moment: run it again. Copies elsewhere, backups and models that were trained are not reached.
 */
#ifndef FW_DATA_DELETE_H
#define FW_DATA_DELETE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "fw/status.h"

typedef struct fw_delete_opts {
    const char *home;     /* one of these three */
    const char *episodes; /* select.h's list */
    const char *where;    /* select.h's expression */
    bool dry_run;         /* only count: nothing is written */
    bool progress;        /* on stderr */
} fw_delete_opts;

typedef struct fw_delete_proof {
    int64_t episodes, frames;           /* removed by this run */
    int64_t episodes_left, frames_left; /* in the dataset now */
    int64_t recordings, views;          /* segment files, view files removed */
    int64_t blobs, blob_bytes;          /* of the cache, removed */
    char rule[32];                      /* the tombstone's name */
    bool resumed;                       /* an earlier run was finished first */
    int64_t files, bytes;               /* searched */
    int64_t rows;                       /* compared */
    int64_t marks;                      /* rows that went and that no episode that stays has: what was looked for */
    int64_t names_found, rows_found;
    int64_t
        not_searched; /* binary files in which a name this short turns up by chance: only their texts were decoded */
    char first[512];  /* the first place where a name was found, relative to the dataset */
} fw_delete_proof;

/* FW_INVALID: nothing to delete and no tombstone of it either, or a selection that makes no sense. FW_AGAIN: somebody is writing or
 * recording there. FW_OK also when a name was found (see above): look at the proof. */
FW_NODISCARD fw_status fw_dataset_delete(const char *dir, const fw_delete_opts *opts, fw_delete_proof *proof,
                                         fw_err *err);

#endif /* FW_DATA_DELETE_H */
