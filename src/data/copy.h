/*
 * copy.h - datasets from datasets: convert, merge, split, filter, delete and repair are all one copy.
 *
 *     fw_copy_source from = {.dir = "data/banana"};                  // all its episodes
 *     FW_TRY(fw_dataset_copy(&from, 1, "data/banana21", &(fw_copy_opts){.version = 21}, &result, err));
 *
 * DESIGN. The chosen episodes of the sources come one after the other and are numbered anew; everything else is kept. Rows go
 * through Arrow as they are, whatever their columns' types, with the numbering columns replaced; frames are copied as they
 * are encoded; statistics of an episode are kept where they are known, computed where they are not; views of simulated episodes
 * (replay.h) go along, as links. Sentences that no chosen
 * episode uses are dropped (all are kept, in their order, when all episodes of a source are chosen).
 * The copy is built in "<out>.copying" and renamed when it is whole: it appears complete or not at all. What is finished
 * there is listed in a journal, so that a copy that was stopped goes on (`resume`) with the next file. Statistics of the
 * whole are exact. Tombstones (deleted.h) of all sources hold for all of them, and for the result.
 */
#ifndef FW_DATA_COPY_H
#define FW_DATA_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "fw/status.h"

typedef struct fw_copy_source {
    const char *dir;
    const int64_t *episodes; /* [n_episodes] positions in the order wanted; NULL: all */
    int64_t n_episodes;
} fw_copy_source;

typedef struct fw_copy_opts {
    int version;      /* 30 or 21; 0: 30 */
    bool resume;      /* go on with what an earlier run of the same copy left; otherwise that is removed */
    bool progress;    /* on stderr */
    bool recode;      /* frames that cannot be copied alone (no key frame first) are encoded again instead of refused */
    bool link_videos; /* v3.0: video files whose episodes are all chosen, one after the other, go along as links */
    bool fix_numbers; /* frame_index: what the row's place says, whatever the source says */
    bool fix_times;   /* timestamp: frame / fps */
    bool fix_stats;   /* computed from the rows, also where the source has statistics */
    int data_mb, video_mb; /* size limits of v3.0 files; 0: 100 and 200 */
} fw_copy_opts;

typedef struct fw_copy_result {
    int64_t episodes, frames;
    int64_t resumed; /* episodes that an earlier run had finished */
} fw_copy_result;

/* Sources [n] must have the same features, fps and robot_type (FW_INVALID). out must be free: absent or an empty folder. result may
 * be NULL. FW_UNSUPPORTED: an episode's video does not begin with a key frame, so it cannot be copied without encoding. */
FW_NODISCARD fw_status fw_dataset_copy(const fw_copy_source *sources, int n, const char *out, const fw_copy_opts *opts,
                                       fw_copy_result *result, fw_err *err);

#endif /* FW_DATA_COPY_H */
