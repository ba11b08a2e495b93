/* dataset_int.h - what dataset.c, episode.c and check.c share. */
#ifndef FW_DATA_DATASET_INT_H
#define FW_DATA_DATASET_INT_H

#include "base/json.h"
#include "data/dataset.h"
#include "data/table.h"
#include "data/video.h"

/* What reading keeps open between calls. */
struct fw_dataset_priv {
    fw_table fields;      /* the columns of meta/episodes beyond LeRobot's own: a row an episode */
    json_t **lines;       /* [n_episodes] of v2.1's episodes.jsonl; NULL otherwise */
    int64_t *from;        /* v3.0: [n_episodes] dataset_from_index as the file has it; NULL otherwise */
    int64_t room;         /* of ds->episodes, which has one more, empty */
    int64_t total_frames; /* as info.json says */
    int table_file;       /* into data_files; -1: none */
    fw_table table;       /* the columns that fw_dataset_read_episode needs, of the whole file */
    int video_file;       /* into video_files; -1: none */
    fw_video *video;
    int64_t video_ep, video_frame; /* the frame that fw_video_next would return now */
    int video_cam;
};

void fw_dataset_priv_clear(struct fw_dataset_priv *p);
/* fw_dataset_open, but for info.json's total_frames, which may be wrong: n_frames is what the episodes have. */
fw_status fw_dataset_open_miscounted(const char *dir, fw_dataset **out, fw_err *err);
/* Path under the dataset's folder, for messages. */
const char *fw_dataset_rel(const fw_dataset *ds, const char *path);
/* The table of data file `file`, kept until another is asked for. */
fw_status fw_dataset_table(fw_dataset *ds, int file, const fw_table **out, fw_err *err);

/* How many cameras and depth maps have videos. */
int fw_dataset_videos(const fw_dataset *ds);

/* --- row_images.c: pictures inside the data files --- */
/* As fw_dataset_read_images, of a camera that is in_rows. Opens the file anew: any thread, ds is not changed. */
fw_status fw_row_images(const fw_dataset *ds, int64_t ep, int cam, int64_t frame, int64_t n, int h, int w, uint8_t *rgb,
                        fw_err *err);

/* --- fields.c: columns of meta/episodes beyond LeRobot's own --- */
/* Their names in an episodes file that can be kept in a table: owned (fw_names_free). */
fw_status fw_fields_names(fw_pq_reader *r, const char *where, char ***names, int *n, fw_err *err);
/* Append `rows` rows of the columns `names` of t. FW_FORMAT when the columns are not those that are there. */
fw_status fw_fields_append(fw_table *fields, const fw_table *t, char *const *names, int n, int64_t rows,
                           const char *where, fw_err *err);
/* The table of all lines [n] of a v2.1 episodes.jsonl. */
fw_status fw_fields_from_json(fw_table *fields, json_t *const *rows, int64_t n, const char *where, fw_err *err);

/* fw_column_stats_compute for doubles. */
fw_status fw_stats_f64(const double *x, int64_t rows, int64_t n, fw_column_stats *out, fw_err *err);

#endif /* FW_DATA_DATASET_INT_H */
