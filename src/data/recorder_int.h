/*
 * recorder_int.h - what recorder.c (threads), recording.c (what records hold) and recover.c (segments into the dataset) share.
 *
 * Payloads, little-endian (the records around them: segment.h):
 *   BEGIN  u32 1 (version), u32 n, desc [n] (JSON: what the dataset is), u32 source, u32 0, f64 quality, f64 speed, then sentence,
 *          recording, policy_id, control_mode, consent, home: each u32 n, text [n]
 *   FRAME  u32 flags (1: intervention), u32 frames refused in this episode so far, u32 n, u32 0, i64 capture_ns [1+cameras],
 *          f32 state, f32 action, subtask [n], images [h,w,3] each
 *   END    u32 keep, i32 success, u64 frames refused in this episode
 * Images are raw: see docs/DATA.md for what compressing them would cost and save.
 */
#ifndef FW_DATA_RECORDER_INT_H
#define FW_DATA_RECORDER_INT_H

#include "base/file.h"
#include "base/json.h"
#include "data/recorder.h"
#include "data/segment.h"
#include "data/store_int.h"

#define REC_FOLDER ".recorder"
#define REC_NAME   FW_RECORDER_NAME /* "<session>-<episode>" and NUL */

/* What is recorded, as bytes. */
typedef struct rec_layout {
    int n_state, n_action, n_cameras;
    uint32_t image_bytes[FW_MAX_CAMERAS];
    uint32_t fixed;  /* bytes of a frame without its subtask */
    uint32_t images; /* of these, images */
} rec_layout;
/* FW_INVALID when a frame would not fit into a record. */
fw_status rec_layout_of(const fw_writer_desc *d, rec_layout *out, fw_err *err);

/* desc as compact JSON with sorted keys: equal texts, equal datasets. Owned (free); NULL: out of memory. */
char *rec_desc_text(const fw_writer_desc *d);
/* The other way; what it allocates lives as long as `owner`. Zero-initialise owner; rec_desc_clear frees. */
typedef struct rec_desc {
    fw_writer_desc d;
    json_t *json; /* owned */
    const char **names;
} rec_desc;
fw_status rec_desc_parse(const char *text, size_t n, const char *where, rec_desc *out, fw_err *err);
void rec_desc_clear(rec_desc *d);

/* Write a payload to `at`; return its bytes. Texts have been checked: shorter than FW_RECORDER_TEXT. */
uint32_t rec_put_begin(uint8_t *at, const char *desc, const char *recording, const fw_recording *what);
uint32_t rec_begin_max(const char *desc); /* the most that rec_put_begin writes */
uint32_t rec_put_frame(uint8_t *at, const rec_layout *l, const fw_frame *f, uint32_t refused);
uint32_t rec_put_end(uint8_t *at, bool keep, int success, uint64_t refused);

/* One recorded episode, read from the files of its parts. */
typedef struct rec_episode {
    int n_parts;
    fw_map *maps; /* owned */
    char *desc;   /* owned: BEGIN's JSON */
    rec_layout layout;
    char text[6][FW_RECORDER_TEXT]; /* sentence, recording, policy_id, control_mode, consent, home */
    fw_source source;
    double quality, speed;
    int64_t length, cap;
    const uint8_t **frames; /* owned [length], into maps: payloads in order */
    bool ended, keep;
    int success;
    int64_t dropped, damaged; /* frames refused by the queue; acknowledged ones that cannot be read */
} rec_episode;
enum { REC_SENTENCE, REC_RECORDING, REC_POLICY, REC_MODE, REC_CONSENT, REC_HOME };
/* A file without any valid record adds nothing; no BEGIN at all: FW_FORMAT. */
fw_status rec_episode_load(const char *const *paths, int n, rec_episode *out, fw_err *err);
/* The same from n pieces of memory, borrowed: what fuzzing calls. */
fw_status rec_episode_load_mem(const fw_map *maps, int n, const char *where, rec_episode *out, fw_err *err);
void rec_episode_clear(rec_episode *e);

/* The writer's desc with the recorder's own columns and fields. */
fw_writer_desc rec_writer_desc(const fw_writer_desc *d);
/* fw_writer_open with rec_writer_desc's result; FW_INVALID when the dataset that is there lacks the recorder's columns. */
fw_status rec_writer_open(const char *dir, const fw_writer_desc *d, fw_writer **out, fw_err *err);
/* Append it to the dataset (not sealed yet). */
fw_status rec_episode_add(const rec_episode *e, fw_writer *w, fw_err *err);

/* Make dir/.recorder, synced up to an existing folder, and lock it: *lock is a descriptor to close. FW_AGAIN: it is locked. */
fw_status rec_lock(const char *dir, int *lock, fw_err *err);
/* fsync of a folder. */
fw_status rec_sync_folder(const char *path, fw_err *err);
/* sealed[i]: the recording name[i] is in the dataset, for good. No dataset: none is. */
fw_status rec_find_sealed(const char *dir, char (*name)[REC_NAME], int n, bool *sealed, fw_err *err);
/* fw_recorder_recover by the holder of the lock. */
fw_status rec_recover(const char *dir, fw_recovered *out, fw_err *err);

#endif /* FW_DATA_RECORDER_INT_H */
