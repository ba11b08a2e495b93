/*
 * cache.h - big arrays on disk, computed once, then only mapped: decoded frames, tower features.
 *
 * fw_blob: `n_rows` rows of `row_bytes` bytes under a key that names what they were computed from. Rows are marked done
 * one by one, so work resumes where it stopped, and may be filled by several threads or forked processes at once (each
 * row by one of them). fw_frames: a blob with every frame of a dataset decoded at one size.
 *
 *     fw_blob *b;                                             // e.g. features [8,8,112] f16 a frame
 *     FW_TRY(fw_blob_open(path, key, n_rows, row_bytes, &b, err));
 *     for (i...) if (!fw_blob_has(b, i)) { compute(fw_blob_row(b, i)); fw_blob_done(b, i); }
 *     FW_TRY(fw_blob_seal(b, err));
 */
#ifndef FW_DATA_CACHE_H
#define FW_DATA_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/dataset.h"
#include "fw/status.h"

typedef struct fw_blob fw_blob;

/* Map `path`, made anew when absent, of another key or shape, or left unsealed by another boot of the machine (its
 * pages may never have reached the disk). Disk space is allocated now: FW_IO when it is not there. key: any text up to
 * 127 bytes. The folder is made. */
FW_NODISCARD fw_status fw_blob_open(const char *path, const char *key, int64_t n_rows, int64_t row_bytes, fw_blob **out,
                                    fw_err *err);
void fw_blob_close(fw_blob *b); /* NULL is fine */
void *fw_blob_row(const fw_blob *b,
                  int64_t i); /* borrowed until close; aligned to 64 bytes when row_bytes is a multiple of 64 */
bool fw_blob_has(const fw_blob *b, int64_t i);
void fw_blob_done(fw_blob *b, int64_t i); /* after its bytes are written */
int64_t fw_blob_count_done(const fw_blob *b);
/* Say which dataset's folder it was computed from, so that fw_cache_forget finds it. */
void fw_blob_source(fw_blob *b, const char *dir);
/* All rows are done: flush to disk and remember that. FW_INVALID when rows are missing. */
FW_NODISCARD fw_status fw_blob_seal(fw_blob *b, fw_err *err);

/* $XDG_CACHE_HOME/flywheel/<kind>/<first 16 digits of the SHA-256 of key>.blob (or ~/.cache, or $TMPDIR without a
 * home). */
FW_NODISCARD fw_status fw_cache_path(const char *kind, const char *key, char *out, size_t cap, fw_err *err);
/* What a dataset holds, as a key: changes when info.json changes, or a file of rows or frames is replaced. 64 digits and NUL. */
FW_NODISCARD fw_status fw_dataset_identity(const fw_dataset *ds, char out[65], fw_err *err);

/* Remove what the cache holds of a dataset: blobs whose key names one of its identities [n_ids], that were computed from the folder
 * `dir`, or that do not say from which (a folder that is gone counts as none): they can all be computed again. *blobs, *bytes: how much. */
FW_NODISCARD fw_status fw_cache_forget(const char *dir, const char (*ids)[65], int n_ids, int64_t *blobs,
                                       int64_t *bytes, fw_err *err);

typedef struct fw_frames fw_frames;
/* Every frame of every camera of ds at [h,w,3] u8, decoding what is missing on n_threads (<= 0: all CPUs) with
 * progress. */
FW_NODISCARD fw_status fw_frames_open(const fw_dataset *ds, int h, int w, int n_threads, fw_frames **out, fw_err *err);
void fw_frames_close(fw_frames *f);
/* Frame `row` (ds->episodes[e].first + t) of camera cam: [h,w,3], borrowed until close. Thread-safe. */
const uint8_t *fw_frames_at(const fw_frames *f, int cam, int64_t row);

#endif /* FW_DATA_CACHE_H */
