/*
 * writer.h - write a LeRobotDataset v3.0.
 *
 *     fw_writer_desc d = {.fps = 10, .robot_type = "panda", .n_state = 6, .state_names = sn, .n_action = 5,
 * .action_names = an, .n_cameras = 2, .cameras = {{"front", 128, 128}, {"wrist", 128, 128}}};
 *     FW_TRY(fw_writer_open("out", &d, &w, err));          // or continues what is there
 *     FW_TRY(fw_writer_add_episode(w, &ep, err));          // any number of times
 *     FW_TRY(fw_writer_close(w, err));                     // seals and frees
 *
 * DESIGN. Episodes gather in a segment: one data file, one video a camera, one episodes file, all in <dir>/.staging.
 * Sealing completes and fsyncs them, renames them to their places, and then replaces tasks.parquet, stats.json and last
 * info.json, each atomically. info.json decides what exists: after a crash or a full disk the dataset reads as of the
 * last seal, and opening it for writing again removes what was never counted. A segment is sealed every `seal_every`
 * episodes, at the size limits, by fw_writer_seal, and at close.
 */
#ifndef FW_DATA_WRITER_H
#define FW_DATA_WRITER_H

#include <stdint.h>

#include "data/dataset.h"
#include "data/provenance.h"
#include "data/video.h"
#include "fw/status.h"

typedef struct fw_writer_camera {
    const char *name; /* "front": the feature is observation.images.front */
    int h, w;         /* pixels, even */
} fw_writer_camera;

typedef struct fw_writer_desc {
    int fps;
    const char *robot_type;
    int n_state, n_action;
    const char *const *state_names;  /* [n_state] */
    const char *const *action_names; /* [n_action] */
    int n_cameras;
    fw_writer_camera cameras[FW_MAX_CAMERAS];
    fw_video_opts video; /* zeroed: FW_VIDEO_OPTS_DATA. Its texts are borrowed until the writer is closed */
    unsigned marks;      /* FW_MARK_*: columns of frames that a new dataset gets (provenance.h) */
    int n_fields;        /* further episode fields that it gets: name and kind are used */
    const fw_field *fields;
    int seal_every;        /* episodes a segment; 0: 50 */
    int data_mb, video_mb; /* size limits of a file; 0: 100 and 200 */
} fw_writer_desc;

/* One demonstration; everything borrowed. */
typedef struct fw_writer_episode {
    int64_t length;                        /* T >= 1 */
    const float *state;                    /* [T,n_state] */
    const float *action;                   /* [T,n_action] */
    const uint8_t *images[FW_MAX_CAMERAS]; /* a camera each [T,h,w,3]; not used when `image` is set */
    /* Frame t of camera c as [h,w,3], borrowed until the next call: for episodes that do not fit in memory. */
    fw_status (*image)(void *ctx, int c, int64_t t, const uint8_t **rgb, fw_err *err);
    void *image_ctx;
    const char *sentence;            /* not empty */
    const fw_provenance *provenance; /* NULL: unknown */
    fw_marks marks;                  /* zeroed: unknown. FW_INVALID when the dataset has no such column */
} fw_writer_episode;

typedef struct fw_writer fw_writer; /* one process, one thread */

/* Create the dataset, or continue one whose features, fps and robot_type are the same (FW_INVALID otherwise). */
FW_NODISCARD fw_status fw_writer_open(const char *dir, const fw_writer_desc *desc, fw_writer **out, fw_err *err);
/* FW_FORMAT, naming frame and dimension, when a value is not finite: nothing is written then. After FW_IO only abort
 * helps. */
FW_NODISCARD fw_status fw_writer_add_episode(fw_writer *w, const fw_writer_episode *ep, fw_err *err);
FW_NODISCARD fw_status fw_writer_seal(fw_writer *w, fw_err *err);
int64_t fw_writer_episodes(const fw_writer *w); /* sealed or not */
int64_t fw_writer_frames(const fw_writer *w);
int64_t fw_writer_sealed(const fw_writer *w);                   /* episodes that info.json counts */
unsigned fw_writer_marks(const fw_writer *w);                   /* FW_MARK_*: what a dataset that was continued has */
bool fw_writer_has_field(const fw_writer *w, const char *name); /* of episodes, beyond fw_provenance's members */
/* Seal and free; frees w whatever the result. A dataset without episodes is an error. */
FW_NODISCARD fw_status fw_writer_close(fw_writer *w, fw_err *err);
void fw_writer_abort(fw_writer *w); /* drop what is not sealed; NULL is fine */

/* Merge datasets [n] of equal features, fps and robot_type into the new folder `out` (must not hold a dataset). Rows
 * are renumbered; video files are copied as they are, not encoded again. v3.0 in, v3.0 out. Sources are left alone. */
FW_NODISCARD fw_status fw_dataset_merge(const char *const *dirs, int n, const char *out, fw_err *err);

#endif /* FW_DATA_WRITER_H */
