/*
 * recorder.h - record a robot's life into a LeRobot dataset without losing a frame and without holding up the robot.
 *
 *     fw_recorder_desc d = {.writer = {.fps = 10, .robot_type = "panda", .n_state = 6, ... as in writer.h ...}};
 *     FW_TRY(fw_recorder_open("out", &d, &r, err));                     // first seals what a crash left
 *     FW_TRY(fw_recorder_begin(r, &(fw_recording){.sentence = "put the mug in the sink", .provenance = p}, err));
 *     st = fw_recorder_frame(r, &(fw_frame){state, action, {front, wrist}, capture_ns, false, NULL}, err); // each tick
 *     FW_TRY(fw_recorder_end(r, true, 1, err));
 *     FW_TRY(fw_recorder_close(r, err));                                // seals and frees
 *
 * WHAT IS PROMISED. A frame is taken when fw_recorder_frame says FW_OK, and *acknowledged* when fw_recorder_acknowledged has
 * reached its number (the first frame taken is number 1): then its bytes are in a segment (segment.h) that fdatasync has put on the
 * disk, in a folder that is synced too. An acknowledged frame is never lost: not by kill -9, not by a full disk, not by a power cut.
 * It is in the dataset once its episode is sealed; until then it is in <dir>/.recorder, where the next open, or fw_recorder_recover
 * (`flywheel data repair DIR`), finds it. An episode that a crash cut off is sealed as far as it was written and marked `truncated`.
 * Every episode gets into the dataset exactly once, however often sealing is interrupted. The dataset opens at any moment.
 *
 * DESIGN. Three threads. The caller's copies a frame into a ring of fixed slots and wakes the next one: no lock, no allocation, no
 * wait, whatever disk and encoder do. The writing thread appends all frames that are waiting to the episode's segment, calls
 * fdatasync once for them (group commit), and then moves the acknowledged counter and frees their slots; when the disk
 * fails, frames stay in the ring and it tries again with a new part of the segment. The sealing thread (niced) encodes ended episodes into
 * the dataset, commits them `seal_every` at a time, and removes their segments. A slow encoder makes segments wait on the disk;
 * a slow disk fills the ring, and a full ring is told: FW_AGAIN, the `refused` counter, and the episode's field `dropped_frames`.
 *
 * Sealed episodes have, beside LeRobot's columns and those of provenance.h (frames: intervention, subtask_index, capture_ns),
 * the fields `recording` (unique text), `truncated` (0 or 1), `dropped_frames` and `damaged_frames`.
 */
#ifndef FW_DATA_RECORDER_H
#define FW_DATA_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "data/provenance.h"
#include "data/writer.h"
#include "fw/status.h"

#define FW_RECORDER_TEXT 512 /* bytes of a sentence or another text, NUL included */
#define FW_RECORDER_NAME 64  /* bytes of the field `recording`, NUL included */

typedef struct fw_recorder_desc {
    fw_writer_desc writer; /* marks and fields are the recorder's own: leave them zero. seal_every 0: 10 */
    int queue_frames;      /* 0: two seconds' worth, at least 32 */
} fw_recorder_desc;

/* What an episode is about; everything borrowed for the call. */
typedef struct fw_recording {
    const char *sentence; /* not empty */
    /* NULL: unknown. success and fields are not used: see fw_recorder_end. FW_SOURCE_AUTONOMOUS becomes FW_SOURCE_INTERVENTION when a frame
     * has a person's hand on it. */
    const fw_provenance *provenance;
} fw_recording;

/* One tick; everything borrowed for the call. */
typedef struct fw_frame {
    const float *state;                    /* [n_state] */
    const float *action;                   /* [n_action] */
    const uint8_t *images[FW_MAX_CAMERAS]; /* a camera each [h,w,3] */
    const int64_t
        *capture_ns;     /* [1 + n_cameras] when state and images were captured, ns since 1970 UTC; NULL: unknown */
    bool intervention;   /* a person's hand is on it */
    const char *subtask; /* sentence of the step now; NULL or "": none */
} fw_frame;

typedef struct fw_recorder fw_recorder;

/* Create the dataset or go on with it, seal what a crash left there, start the threads. Blocks; allocates all that is ever
 * needed. FW_AGAIN: another process records or writes there. FW_INVALID: the dataset is of another kind. */
FW_NODISCARD fw_status fw_recorder_open(const char *dir, const fw_recorder_desc *desc, fw_recorder **out, fw_err *err);

/* begin, frame, end: one thread at a time, the caller's loop. None of them blocks, allocates or locks.
 * FW_AGAIN: the queue is full; nothing was taken. (begin and end: call again; frame: the frame is lost unless called again,
 * and counted as refused.) FW_INVALID: not within (begin: still within) an episode, or a text too long. */
FW_NODISCARD fw_status fw_recorder_begin(fw_recorder *r, const fw_recording *what, fw_err *err);
/* FW_FORMAT, naming the dimension, when a value is not finite: not taken. */
FW_NODISCARD fw_status fw_recorder_frame(fw_recorder *r, const fw_frame *frame, fw_err *err);
/* keep false: the episode is dropped. success: 1, 0, -1 unknown. */
FW_NODISCARD fw_status fw_recorder_end(fw_recorder *r, bool keep, int success, fw_err *err);

/* What the field `recording` of the open episode (of the next one, when none is open) will say, or of the one `ahead` episodes later. out
 * [FW_RECORDER_NAME]. The caller's loop. */
void fw_recorder_name(const fw_recorder *r, int ahead, char *out);

/* Frames known to be on the disk, of all that were taken, in order. Never goes back. Any thread. */
uint64_t fw_recorder_acknowledged(const fw_recorder *r);

typedef struct fw_recorder_state {
    uint64_t taken, acknowledged; /* frames */
    uint64_t refused;             /* frames that found the queue full */
    uint64_t queued, queue;       /* records waiting; room for */
    uint64_t sealed_episodes;     /* in the dataset, by this recorder */
    uint64_t waiting_episodes;    /* ended, on the disk, not sealed yet */
    uint64_t disk_errors, seal_errors;
    fw_err last_error; /* of disk or sealing; FW_OK again once it went well */
} fw_recorder_state;
/* Any thread; takes a lock for last_error, so not for the control loop. */
void fw_recorder_get_state(fw_recorder *r, fw_recorder_state *out);

/* Wait until everything taken is acknowledged: FW_TIMEOUT after timeout_ms, with the disk's error. */
FW_NODISCARD fw_status fw_recorder_sync(fw_recorder *r, int timeout_ms, fw_err *err);
/* Wait until every ended episode is in the dataset. FW_IO with the reason when sealing failed; nothing is lost then. */
FW_NODISCARD fw_status fw_recorder_seal(fw_recorder *r, fw_err *err);
/* An episode that is still open is ended as truncated; sync (10 s), seal, free. r is freed whatever the result; on an error,
 * what was acknowledged waits in .recorder for the next open. */
FW_NODISCARD fw_status fw_recorder_close(fw_recorder *r, fw_err *err);
/* Stop without sealing: as a crash, but orderly. NULL is fine. */
void fw_recorder_abort(fw_recorder *r);

typedef struct fw_recovered {
    int64_t episodes, frames; /* put into the dataset */
    int64_t truncated;        /* of these episodes: cut off */
    int64_t already;          /* were in the dataset already: only their segments were removed */
    int64_t discarded;        /* ended with keep false, or without a frame */
    int64_t damaged_frames;   /* acknowledged frames whose bytes the disk spoilt since */
    int64_t unreadable;       /* files of .recorder that hold no record; renamed to *.unreadable */
} fw_recovered;
/* Seal what a crashed recorder left in dir/.recorder. No such folder: FW_OK, all zeros. May be interrupted and run again.
 * FW_AGAIN: a recorder is running there. */
FW_NODISCARD fw_status fw_recorder_recover(const char *dir, fw_recovered *out, fw_err *err);
/* How many files of unsealed recordings lie in dir/.recorder; 0 when there is none. */
FW_NODISCARD fw_status fw_recorder_waiting(const char *dir, int64_t *files, fw_err *err);

#endif /* FW_DATA_RECORDER_H */
