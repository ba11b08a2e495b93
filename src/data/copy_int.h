/* copy_int.h - what copy.c (the copy), copy_in.c (its sources) and copy_out.c (its files) share. */
#ifndef FW_DATA_COPY_INT_H
#define FW_DATA_COPY_INT_H

#include "data/copy.h"
#include "data/dataset_int.h"
#include "data/store_int.h"
#include "data/video.h"

/* What is known of an episode's statistics of a feature, worst first. */
typedef enum stat_level {
    STAT_NONE,
    STAT_BASIC /* min max mean std count */,
    STAT_FULL /* quantiles too */
} stat_level;

/* --- copy_in.c --- */
typedef struct copy_source {
    fw_dataset *ds;
    int64_t *episodes; /* owned [n] positions */
    int64_t n;
    bool whole;           /* all of them */
    int64_t *task_map;    /* [ds->n_tasks] new index; -1: not used so far */
    int64_t *subtask_map; /* [ds->n_subtasks] */
    int file;             /* the data file that is open; -1: none */
    fw_pq_reader *reader;
    fw_table rows;   /* its number columns that are features */
    fw_table *eps;   /* v3.0: [n_eps] episodes files, whole */
    int64_t *eps_at; /* [n_eps + 1] first episode of each */
    size_t n_eps;
    bool *link;     /* owned [ds->n_video_files] the file goes along whole; NULL: none does */
    json_t **stats; /* v2.1: [n_episodes] "stats" of a line of episodes_stats.jsonl, or NULL */
} copy_source;

fw_status copy_source_open(const fw_copy_source *from, copy_source *s, fw_err *err);
/* The same with a dataset that is open: ds is s's from now on, also after an error. */
fw_status copy_source_take(copy_source *s, fw_dataset *ds, const fw_copy_source *from, fw_err *err);
void copy_source_clear(copy_source *s);
/* Work out s->link: v3.0 files whose episodes are all chosen, one after the other, and that hold the frames of these alone. */
fw_status copy_source_link(copy_source *s, fw_err *err);
/* Make the rows of the data file of episode e available: s->reader and s->rows. */
fw_status copy_source_rows(copy_source *s, int64_t e, fw_err *err);
bool copy_is_visual(const fw_feature *f); /* video or image */
bool copy_is_number(const fw_feature *f);
/* The statistics that the source has of feature f over episode e; STAT_NONE: *out is empty. Visual: a value a channel. */
fw_status copy_source_stats(const copy_source *s, int64_t e, const fw_feature *f, stat_level *level, store_stats *out,
                            fw_err *err);
/* The statistics in a JSON object as LeRobot writes it; out->value has room for [STORE_STATS][n]. */
void copy_stats_json(const json_t *j, int64_t n, stat_level *level, store_stats *out);

/* --- copy_out.c --- */
typedef struct copy_place {
    int64_t data; /* file number */
    int64_t video[FW_MAX_CAMERAS];
    double from_s[FW_MAX_CAMERAS], to_s[FW_MAX_CAMERAS];
} copy_place;

typedef struct copy_out {
    const char *dir; /* where it is built */
    int version;
    int data_mb, video_mb;
    const fw_dataset *as; /* the first source */
    char *huggingface;
    /* the open files */
    int64_t data_file, video_file[FW_MAX_CAMERAS]; /* numbers of the next ones (v2.1: the episode) */
    const char *linked[FW_MAX_CAMERAS]; /* the source's file that is the one before that, borrowed; NULL: none */
    fw_pq_writer *data;
    char data_path[STORE_PATH];
    fw_video_copier *video[FW_MAX_CAMERAS];
} copy_out;

/* Whether its file number `file` is there. key NULL: rows, else the camera's video. */
bool copy_out_has(const copy_out *o, const char *key, int64_t file);
/* An episode's frames: of each camera of `as` a file (NULL: none) and where they lie in it. */
typedef struct copy_frames {
    const char *file[FW_MAX_CAMERAS]; /* borrowed; of a source that is open when link */
    double from_s[FW_MAX_CAMERAS], to_s[FW_MAX_CAMERAS];
    bool link[FW_MAX_CAMERAS]; /* the whole file goes along as it is */
} copy_frames;

/* Close what is open when the next episode (its rows in reader r) must not or cannot go there. */
fw_status copy_out_prepare(copy_out *o, fw_pq_reader *r, const copy_frames *frames, bool *closed, fw_err *err);
/* The rows and frames of episode k of the copy: e of s. */
fw_status copy_out_episode(copy_out *o, copy_source *s, int64_t e, int64_t k, const copy_frames *frames,
                           const fw_pq_column *other, int n_other, copy_place *place, fw_err *err);
/* Complete the open files and put them on disk. */
fw_status copy_out_close(copy_out *o, fw_err *err);
void copy_out_abort(copy_out *o);

#endif /* FW_DATA_COPY_INT_H */
