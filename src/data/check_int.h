/* check_int.h - what check.c (metadata, rows), check_video.c (frames) and check_stats.c (statistics) share. */
#ifndef FW_DATA_CHECK_INT_H
#define FW_DATA_CHECK_INT_H

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "data/dataset_int.h"

typedef struct checker {
    fw_dataset *ds; /* NULL: it does not open */
    bool
        uncounted; /* its tables hold episodes that info.json does not count: nothing of it may be cut to what is counted */
    double tolerance_s;
    fw_findings *out;
    bool nomem, progress;
    fw_progress bar; /* of what is being checked now */
} checker;

/* One stretch of the check: n units of `what` (static). check_step(done) after each, check_end behind the last. */
void check_begin(checker *c, const char *what, int64_t n);
void check_step(checker *c, int64_t done);
void check_end(checker *c);

/* One finding. file: a path of the dataset, or relative to it; ep, frame: -1 when they do not apply. */
void check_found(checker *c, const char *kind, const char *file, int64_t ep, int64_t frame, bool repairable,
                 const char *fmt, ...) FW_PRINTF(7, 8);
/* A message without the path that it begins with: the finding names its file already. */
const char *check_without(const char *path, const char *msg);

fw_status check_videos(checker *c, fw_err *err);
/* Statistics of number features, by episode and of the whole, against the rows. */
fw_status check_statistics(checker *c, fw_err *err);

/* Which frames of a video are an episode's: the first one, of those shown at t_s [n] (fw_video_times). */
int64_t check_first_frame(const double *t_s, int64_t n, double from_s, double fps);

#endif /* FW_DATA_CHECK_INT_H */
