/*
 * stats.h - what a dataset's values look like: a summary that grows by an episode, merges with others, and stays exact.
 *
 *     fw_summary *all, *one;
 *     FW_TRY(fw_summary_load("meta/summary.bin", &all, err));              // what was there before: O(1), not O(dataset)
 *     FW_TRY(fw_summary_new(&one, err));                                   // this episode
 *     FW_TRY(fw_summary_add_f32(one, "action", action, T, 7, err));
 *     FW_TRY(fw_summary_add_rgb(one, "observation.images.front", rgb, T, 128, 128, err));
 *     FW_TRY(fw_summary_get(one, "action", &stats, err));                  // for its row in meta/episodes
 *     FW_TRY(fw_summary_merge(all, one, err));
 *     FW_TRY(fw_summary_save(all, "meta/summary.bin", err));               // and fw_summary_json(all) is stats.json
 *
 * DESIGN. A summary is a function of the multiset of values that went in: in whatever order or grouping they are added or
 * merged, the same bytes come out (tests/data/test_stats.c). For that, every part is exact integer arithmetic:
 * - count, min, max; the sum and the sum of squares as fixed-point numbers wide enough for any double (exact_sum), from
 *   which mean and population std follow without cancellation;
 * - quantiles from a histogram over the ordered bits of the numbers: a bin is all doubles that share their upper
 *   64 - shift bits, and shift is the smallest one that needs at most FW_SUMMARY_BINS bins. Up to that many distinct values
 *   a dimension, quantiles are exact; beyond it each is within `bound` of the exact one, which
 *   fw_dataset_stats finds by reading the data once more, keeping only the values in the bins that matter.
 * - pixels: 256 counts a channel, exact.
 * Quantiles are those of the whole multiset, by linear interpolation between order statistics (numpy's default); LeRobot's
 * own statistics of the whole have the envelope of the episodes' quantiles instead.
 * Memory: at most 1.5 MiB a dimension; an image feature 6 KiB. One thread at a time.
 */
#ifndef FW_DATA_STATS_H
#define FW_DATA_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "data/dataset.h"
#include "fw/status.h"

#define FW_SUMMARY_BINS 65536
#define FW_SUMMARY_FILE "meta/summary.bin" /* beside meta/stats.json; not part of LeRobot's format, which ignores it */

typedef struct fw_summary fw_summary;

FW_NODISCARD fw_status fw_summary_new(fw_summary **out, fw_err *err);
void fw_summary_free(fw_summary *s); /* NULL is fine */

/* Rows x [rows, n] of vector feature `key`; the first call of a key fixes n (FW_SHAPE otherwise). FW_FORMAT names key, row and
 * dimension of what is not finite or above 1e150; nothing of the call has been taken then. O(rows n). */
FW_NODISCARD fw_status fw_summary_add_f32(fw_summary *s, const char *key, const float *x, int64_t rows, int64_t n,
                                          fw_err *err);
FW_NODISCARD fw_status fw_summary_add_f64(fw_summary *s, const char *key, const double *x, int64_t rows, int64_t n,
                                          fw_err *err);
/* Frames rgb [frames,h,w,3] of image feature `key`: all of them; of frames with a side of 300 or more, every k-th pixel of every
 * k-th row, k = side / 150. Values count as 0..1. */
FW_NODISCARD fw_status fw_summary_add_rgb(fw_summary *s, const char *key, const uint8_t *rgb, int64_t frames, int h,
                                          int w, fw_err *err);
/* from: unchanged, may have keys that s lacks. Associative and commutative; with an empty one the identity. */
FW_NODISCARD fw_status fw_summary_merge(fw_summary *s, fw_summary *from, fw_err *err);
/* As if feature `key` had never been added. */
void fw_summary_drop(fw_summary *s, const char *key);

int fw_summary_features(const fw_summary *s);
const char *fw_summary_key(const fw_summary *s, int i);         /* borrowed, in the order they were added */
int64_t fw_summary_count(const fw_summary *s, const char *key); /* rows (images: frames) so far; 0 when absent */
bool fw_summary_is_image(const fw_summary *s, const char *key);
/* The same features with the same multisets, as far as summaries tell. */
bool fw_summary_equal(fw_summary *a, fw_summary *b);

/* Statistics of `key`; out->bound says how far each quantile may be from the exact one (0: it is exact). Images: 3 channels,
 * 0..1. FW_INVALID: no such key. */
FW_NODISCARD fw_status fw_summary_get(fw_summary *s, const char *key, fw_column_stats *out, fw_err *err);
/* How many values of dimension `dim` fall into each of n equal parts of [lo, hi] (the last part has hi): counts [n]. Bins that
 * straddle parts are shared out, so counts need not be whole. */
FW_NODISCARD fw_status fw_summary_histogram(fw_summary *s, const char *key, int64_t dim, double lo, double hi, int n,
                                            double *counts, fw_err *err);
/* One feature's entry of meta/stats.json; `image`: numbers are nested as [[[r]],[[g]],[[b]]]. Owned. */
json_t *fw_column_stats_json(const fw_column_stats *s, bool image);
/* What meta/stats.json holds, features in the order they were added. Owned; NULL: out of memory. */
json_t *fw_summary_json(fw_summary *s);

/* A file of its own format with a SHA-256 at its end, replaced atomically. FW_FORMAT: damaged, FW_UNSUPPORTED: another version. */
FW_NODISCARD fw_status fw_summary_save(fw_summary *s, const char *path, fw_err *err);
FW_NODISCARD fw_status fw_summary_load(const char *path, fw_summary **out, fw_err *err);
FW_NODISCARD fw_status fw_summary_load_mem(const void *data, size_t size, const char *where, fw_summary **out,
                                           fw_err *err);

/* --- of a dataset on disk --- */
typedef struct fw_stats_opts {
    const char *feature;     /* only this one; NULL: all but strings */
    const int64_t *episodes; /* [n_episodes] positions; NULL: all */
    int64_t n_episodes;
    int image_every; /* decode every n-th frame of videos; 0: no images */
    bool progress;
} fw_stats_opts;
/* The summary of what the files hold now, in one pass over the rows (and the videos when asked for). */
FW_NODISCARD fw_status fw_dataset_summarize(fw_dataset *ds, const fw_stats_opts *opts, fw_summary **out, fw_err *err);
/* Exact statistics of vector feature `key`: those of `s`, a summary of exactly these episodes, with quantiles that it only
 * bounds looked up in the data. One more pass in practice, four at most; memory does not grow with the dataset. */
FW_NODISCARD fw_status fw_dataset_stats(fw_dataset *ds, const fw_stats_opts *opts, fw_summary *s, const char *key,
                                        fw_column_stats *out, fw_err *err);
/* Put exact statistics of every feature of `s`, a summary of the whole dataset, into meta/stats.json (entries of other features stay),
 * and s itself beside it. FW_UNSUPPORTED: v2.1, which has statistics by episode only; FW_AGAIN: somebody is writing it. */
FW_NODISCARD fw_status fw_dataset_write_stats(fw_dataset *ds, fw_summary *s, fw_err *err);

#endif /* FW_DATA_STATS_H */
