/*
 * store_int.h - the pieces of a v3.0 dataset on disk that recording (writer.c) and merging (merge.c) both write: metadata
 * files, episode rows with their statistics, and the running statistics of the whole.
 */
#ifndef FW_DATA_STORE_INT_H
#define FW_DATA_STORE_INT_H

#include "base/json.h"
#include "data/dataset.h"
#include "data/stats.h"
#include "data/table.h"

#define STORE_PATH       4096
#define STORE_CHUNK_SIZE 1000 /* files a chunk folder */
#define STORE_STATS      9    /* min max mean std q01 q10 q50 q90 q99: the order of store_stat_names */

extern const char *const store_stat_names[STORE_STATS];

/* Statistics of one feature over one episode or over all: value [STORE_STATS][n]. */
typedef struct store_stats {
    int64_t n, count;
    double *value; /* owned */
} store_stats;
void store_stats_clear(store_stats *s);
/* Of x [rows, n]. */
fw_status store_stats_of(const double *x, int64_t rows, int64_t n, store_stats *out, fw_err *err);
/* Of t frames [h,w,3] that `image` hands out: channels in 0..1, over at most a few thousand sampled frames, large ones thinned
 * out to about 150 px. */
fw_status store_image_stats(fw_status (*image)(void *ctx, int64_t i, const uint8_t **rgb, fw_err *err), void *ctx,
                            int64_t t, int h, int w, store_stats *out, fw_err *err);

/* Of rows [a, b) of a number column, those that are finite; count says how many. None: NaN everywhere. */
fw_status store_stats_column(const fw_column *c, int64_t a, int64_t b, store_stats *out, fw_err *err);

/* The whole dataset's statistics as episodes come, in memory and time that do not grow with it: numbers as a summary (stats.h:
 * exact up to FW_SUMMARY_BINS distinct values a dimension), images as sums over the episodes' statistics. */
typedef struct store_total_image {
    const fw_feature *f;                                       /* borrowed */
    double count, min[3], max[3], mean[3], second[3], q[5][3]; /* of mean on: sums, times the episodes' counts */
} store_total_image;
typedef struct store_total {
    const fw_feature *features; /* borrowed [n] */
    int n, n_images;
    store_total_image *image; /* owned */
    fw_summary *numbers;      /* owned */
} store_total;
/* features [n]: borrowed until store_total_clear; strings are left out. */
fw_status store_total_init(store_total *t, const fw_feature *features, int n, fw_err *err);
void store_total_clear(store_total *t);
fw_status store_total_push_image(store_total *t, const char *key, const store_stats *s, fw_err *err);
/* Rows [a, b) of a data table into every number feature; rows that are not finite (labels not given) are left out of that
 * feature. FW_SHAPE when a column is missing. */
fw_status store_total_push_rows(store_total *t, const char *where, const fw_table *data, int64_t a, int64_t b,
                                fw_err *err);
/* The image statistics that rows of an episodes table hold; episodes without them are skipped. */
fw_status store_total_push_episodes(store_total *t, const fw_table *episodes, int64_t rows, fw_err *err);
/* The numbers' part that dir's meta/summary.bin holds, when it is one of this dataset's first *rows rows (0: there is none, or it
 * does not fit); *bytes: how large it is. The file is there to save reading: without it nothing is lost. */
fw_status store_total_load(store_total *t, const char *dir, int64_t *rows, int64_t *bytes, fw_err *err);
/* Whether it agrees with the statistics that the episodes' rows hold, the rows it has seen being those of the first n episodes:
 * add the n episodes' sums, table by table, to sums [all dimensions, zeroed], then compare. */
int64_t store_total_dims(const store_total *t);
void store_total_add_sums(const store_total *t, const fw_table *episodes, int64_t rows, double *sums);
fw_status store_total_forget(store_total *t, fw_err *err); /* the numbers' part */
bool store_total_agrees(store_total *t, const double *sums);
fw_status store_total_save(store_total *t, const char *dir, int64_t *bytes, fw_err *err);
/* As LeRobot writes them: [v...], and [[[r]],[[g]],[[b]]] for images. */
json_t *store_stats_json(const store_stats *s, bool image, bool quantiles);
/* What meta/stats.json holds. *out: owned, also after an error. */
fw_status store_total_json(store_total *t, json_t **out, fw_err *err);
/* meta/stats.json */
fw_status store_write_stats(const char *dir, store_total *t, fw_err *err);

/* meta/tasks.parquet, rows by task_index, with the "pandas" metadata that makes `task` its index. */
fw_status store_write_tasks(const char *dir, const char *const *tasks, int n, fw_err *err);
/* meta/subtasks.parquet, the same for subtasks. */
fw_status store_write_subtasks(const char *dir, const char *const *subtasks, int n, fw_err *err);
/* meta/info.json: totals set in `info` (borrowed, changed), written atomically. */
fw_status store_write_info(const char *dir, json_t *info, int64_t episodes, int64_t frames, int64_t tasks, fw_err *err);
/* --- provenance.h on disk --- */
#define STORE_PROVENANCE "provenance/"
#define STORE_MARKS      4
typedef struct store_mark {
    unsigned bit;
    const char *key, *dtype;
} store_mark;
extern const store_mark store_marks[STORE_MARKS];
/* "source", "home" and the other members of fw_provenance. */
bool store_is_provenance(const char *name);
/* The members' columns, and one row of them from column *col on (which moves past them). */
void store_provenance_columns(fw_table *t);
void store_push_provenance(fw_table *t, const fw_provenance *p, int *col);
/* NULL when it is not given. */
const fw_field *store_field(const fw_provenance *p, const char *name);

/* The "huggingface" metadata of a data file. version 30 or 21: the library of the readers of v2.1 (datasets before 4.0) knows a list
 * of fixed length as "Sequence" alone. Owned (free); NULL: out of memory. */
char *store_huggingface(const fw_feature *features, int n, int version);

/* "data/chunk-000/file-007.parquet" and the like for file number `file` under dir. kind: "data", "meta/episodes" or a video's
 * key. */
fw_status store_file(const char *dir, const char *kind, int64_t file, char out[STORE_PATH], fw_err *err);
/* mkdir -p, each new folder's name on the disk (fsync of the folder that holds it) before this returns. */
fw_status store_mkdirs(const char *path, fw_err *err);
/* store_mkdirs of its folder, rename, fsync of the folder. */
fw_status store_move(const char *from, const char *to, fw_err *err);
/* fsync of a file. */
fw_status store_sync_file(const char *path, fw_err *err);
/* The lock of those who write: *lock is a descriptor for store_unlock. FW_AGAIN: another process is writing. */
fw_status store_lock(const char *dir, int *lock, fw_err *err);
/* Lock -1 is fine. What a writer that died has staged stays. */
void store_unlock(const char *dir, int lock);
/* Episodes files that hold the dataset's `episodes` episodes, in order: paths owned (fw_names_free). FW_FORMAT when the last
 * one holds more than is counted. */
fw_status store_episode_files(const char *dir, int64_t episodes, char ***paths, size_t *n, fw_err *err);
/* All columns; FW_UNSUPPORTED rather than a table with columns missing. */
fw_status store_read_whole(const char *path, fw_table *out, fw_err *err);

#endif /* FW_DATA_STORE_INT_H */
