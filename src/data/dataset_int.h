/* dataset_int.h - what dataset.c, episode.c and check.c share. */
#ifndef FW_DATA_DATASET_INT_H
#define FW_DATA_DATASET_INT_H

#include "data/dataset.h"
#include "data/table.h"
#include "data/video.h"

/* What reading keeps open between calls. */
struct fw_dataset_priv {
    int table_file; /* into data_files; -1: none */
    fw_table table; /* the columns that fw_dataset_read_episode needs, of the whole file */
    int video_file; /* into video_files; -1: none */
    fw_video *video;
    int64_t video_ep, video_frame; /* the frame that fw_video_next would return now */
    int video_cam;
};

void fw_dataset_priv_clear(struct fw_dataset_priv *p);
/* Path under the dataset's folder, for messages. */
const char *fw_dataset_rel(const fw_dataset *ds, const char *path);
/* The table of data file `file`, kept until another is asked for. */
fw_status fw_dataset_table(fw_dataset *ds, int file, const fw_table **out, fw_err *err);

/* fw_column_stats_compute for doubles. */
fw_status fw_stats_f64(const double *x, int64_t rows, int64_t n, fw_column_stats *out, fw_err *err);

#endif /* FW_DATA_DATASET_INT_H */
