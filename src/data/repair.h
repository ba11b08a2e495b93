/*
 * repair.h - put right what `data check` calls repairable.
 *
 *     fw_repair_result r;
 *     FW_TRY(fw_dataset_repair("out/k3", &(fw_repair_opts){0}, &r, err));
 *     // r.repaired findings are gone; r.left.n are not: what they say cannot be put right without inventing data
 *     fw_repair_result_clear(&r);
 *
 * DESIGN. Nothing is invented: numbering follows from where rows lie, nominal time from frame and fps, statistics from rows, counts
 * from tables; frames that no row refers to are cut off; a size that all videos agree on is written down; recordings that a
 * crash left are sealed. Rows and frames that are missing or spoilt stay as they are, unless `drop` removes their episodes.
 * Each file is written anew beside the old one, synced, and renamed over it, in the order rows, frames, statistics: at any moment
 * the dataset opens, and every file is as before or repaired. What a kill left undone, the next run finds and does; on a
 * dataset without findings repair writes nothing. Dropping episodes goes through rebuild.h instead.
 */
#ifndef FW_DATA_REPAIR_H
#define FW_DATA_REPAIR_H

#include "data/dataset.h"
#include "data/recorder.h"

typedef struct fw_repair_opts {
    double tolerance_s; /* as for fw_dataset_check */
    bool dry_run;       /* only look: nothing is written */
    bool drop;          /* remove the episodes of what cannot be repaired */
    bool progress;      /* on stderr */
} fw_repair_opts;

typedef struct fw_repair_result {
    fw_findings found, left; /* before and after; left: owned, as after fw_dataset_check */
    int64_t repaired;        /* of those found */
    fw_recovered recovered;  /* recordings that were sealed */
    int64_t n_dropped;
    int64_t *dropped; /* owned [n_dropped]: episode_index as it was before */
} fw_repair_result;

/* FW_AGAIN: somebody is writing there. FW_IO: an action failed; what was repaired so far is. */
FW_NODISCARD fw_status fw_dataset_repair(const char *dir, const fw_repair_opts *opts, fw_repair_result *out,
                                         fw_err *err);
void fw_repair_result_clear(fw_repair_result *r);

#endif /* FW_DATA_REPAIR_H */
