/*
 * dataset.h - read a LeRobot dataset (v3.0 or v2.1) from a folder.
 *
 *     fw_dataset *ds;
 *     FW_TRY(fw_dataset_open("data/banana", &ds, err));
 *     for (int64_t e = 0; e < ds->n_episodes; e++) {
 *         fw_episode ep;
 *         FW_TRY(fw_dataset_read_episode(ds, e, &ep, err));    // ep.state [T,n_state], ep.action [T,n_action]
 *         FW_TRY(fw_dataset_read_images(ds, e, 0, 0, ep.length, 128, 128, rgb, err));
 *         fw_episode_clear(&ep);
 *     }
 *     fw_dataset_close(ds);
 *
 * DESIGN. Opening reads meta/ only; rows are read a file at a time when asked for. Both versions give the same structs:
 * where an episode's rows and frames lie is resolved at open. Frames are matched to rows by order: row t of an episode
 * is the t-th frame from where its video begins, so real recordings with irregular timestamps read well; `data check`
 * tells how far timestamps stray. A fw_dataset may be read by one thread at a time; its structs are immutable after
 * open and may be shared. The file format: meta/info.json, meta/episodes, data, videos of LeRobotDataset v3.0 (LeRobot
 * 0.6.x).
 */
#ifndef FW_DATA_DATASET_H
#define FW_DATA_DATASET_H

#include <stdbool.h>
#include <stdint.h>

#include "data/provenance.h"
#include "fw/status.h"

#define FW_MAX_CAMERAS 8

typedef struct fw_feature {
    char *key;        /* "observation.state" */
    char *dtype;      /* "float32", "int64", "video", "string" */
    int n_shape;      /* 1..4 */
    int64_t shape[4]; /* video: h, w, c */
    int64_t size;     /* product of shape */
    char **names;     /* [n_names], "" where the file has none; dims of a vector, flattened */
    int n_names;
} fw_feature;

typedef struct fw_ds_camera {
    char *key;    /* "observation.images.front" */
    char *name;   /* "front" */
    int h, w;     /* pixels, as info.json says */
    bool in_rows; /* its pictures lie in the data files (dtype image, PNG), not in videos */
} fw_ds_camera;

typedef struct fw_episode_info {
    int64_t index;    /* its episode_index, usually its position */
    int64_t length;   /* frames */
    int64_t first;    /* frames of all episodes before it: row `first + t` of the whole is frame t */
    int64_t data_row; /* its first row in data_file, v3.0: file-local, found from dataset_from_index */
    int data_file;    /* into ds->data_files */
    int n_tasks;
    char **tasks; /* owned; sentences */
    struct {
        int file;            /* into ds->video_files; -1: none */
        double from_s, to_s; /* inside that file */
    } video[FW_MAX_CAMERAS];
} fw_episode_info;

typedef struct fw_dataset {
    char *dir;
    int version; /* 21 or 30 */
    double fps;
    char *robot_type; /* "" when unknown */
    int64_t n_episodes, n_frames;
    fw_episode_info *episodes; /* [n_episodes] */
    int n_features;
    fw_feature *features;
    int n_cameras;
    int n_visual; /* the cameras, and after them the videos of depth maps: kept by copies, not read as pictures */
    fw_ds_camera *cameras; /* [n_visual] */
    int n_tasks;
    char **tasks; /* [n_tasks] by task_index */
    int n_subtasks;
    char **subtasks;         /* [n_subtasks] by subtask_index; none: n_subtasks == 0 */
    unsigned marks;          /* FW_MARK_*: which of provenance.h's columns its frames have */
    int n_state, n_action;   /* 0: no such feature */
    const fw_feature *state; /* borrowed from features; NULL when n_state == 0 */
    const fw_feature *action;
    int n_data_files, n_video_files;
    char **data_files, **video_files; /* full paths */
    struct fw_dataset_priv *priv;
} fw_dataset;

/* FW_IO: no such folder or file; FW_FORMAT: not a LeRobot dataset, or contradictory; FW_UNSUPPORTED: another version.
 */
FW_NODISCARD fw_status fw_dataset_open(const char *dir, fw_dataset **out, fw_err *err);
void fw_dataset_close(fw_dataset *ds); /* NULL is fine */
/* Index of the camera called by name ("front") or key; -1 when absent. */
int fw_dataset_camera(const fw_dataset *ds, const char *name);

/* The numbers of one episode. */
typedef struct fw_episode {
    int64_t length;
    int n_state, n_action;
    float *state;         /* owned [T,n_state], units as recorded */
    float *action;        /* owned [T,n_action] */
    double *timestamp_s;  /* owned [T] from the episode's start */
    int64_t *task;        /* owned [T] into ds->tasks */
    const char *sentence; /* borrowed from ds: the task of frame 0 */
} fw_episode;

/* Read episode `ep` (position, not episode_index). FW_FORMAT with file, episode, frame for NaN or infinity in state or
 * action, wrong width, missing rows, rows of another episode, a task_index out of range. */
FW_NODISCARD fw_status fw_dataset_read_episode(fw_dataset *ds, int64_t ep, fw_episode *out, fw_err *err);
void fw_episode_clear(fw_episode *e);

/* Who made episode `ep` and how it may be used. Text borrowed from ds; fields are left out: fw_dataset_fields. A dataset without these
 * columns: FW_PROVENANCE_UNKNOWN. */
fw_provenance fw_dataset_provenance(const fw_dataset *ds, int64_t ep);
/* Its further columns "provenance/<name>": at most cap of them to out, whose text is borrowed from ds. Returns their number. */
int fw_dataset_fields(const fw_dataset *ds, int64_t ep, fw_field *out, int cap);
/* The field called `name` of the episodes ("source", "seed_layout", or a column's full name) as text or number. false: the dataset
 * has none, or it is of the other kind. *text borrowed from ds. */
bool fw_dataset_field_text(const fw_dataset *ds, int64_t ep, const char *name, const char **text);
bool fw_dataset_field_number(const fw_dataset *ds, int64_t ep, const char *name, double *number);
/* The same for integers, all 64 bits of them (a seed does not fit a double). */
bool fw_dataset_field_int(const fw_dataset *ds, int64_t ep, const char *name, int64_t *number);

/* The marks of one episode's frames. */
typedef struct fw_episode_marks {
    int64_t length;
    fw_marks m; /* subtasks borrowed from ds, the rest owned; NULL where the dataset has no such column */
} fw_episode_marks;
FW_NODISCARD fw_status fw_dataset_read_marks(fw_dataset *ds, int64_t ep, fw_episode_marks *out, fw_err *err);
void fw_episode_marks_clear(fw_episode_marks *m);
/* Any number column of an episode's rows: *out owned [T, *width]. FW_FORMAT when there is none of that name. */
FW_NODISCARD fw_status fw_dataset_read_column(fw_dataset *ds, int64_t ep, const char *key, double **out, int64_t *width,
                                              fw_err *err);

/* Frames [frame, frame+n) of camera `cam` of episode `ep` as RGB u8 [n,h,w,3] (h = w = 0: as recorded). The last video
 * stays open for the next call. FW_FORMAT when the video is shorter than the table, or a picture in the rows is damaged or of
 * another size than info.json says. */
FW_NODISCARD fw_status fw_dataset_read_images(fw_dataset *ds, int64_t ep, int cam, int64_t frame, int64_t n, int h,
                                              int w, uint8_t *rgb, fw_err *err);

/* Where the frames of episode `ep` begin: the file's path (borrowed from ds; NULL when it has no video of cam) and the time in it. */
const char *fw_dataset_video(const fw_dataset *ds, int64_t ep, int cam, double *from_s);

/* One number a vector dimension. Arrays owned, [n]. */
typedef struct fw_column_stats {
    int64_t n, count;
    double *mean, *std, *min, *max, *q01, *q10, *q50, *q90, *q99;
    double *bound; /* how far a quantile may be from the exact one; 0: exact (always, unless from a summary: stats.h) */
} fw_column_stats;
/* Statistics of "observation.state" or "action", computed now from the data, over the given episodes (NULL: all), exactly: mean and std
 * (population), quantiles by linear interpolation between order statistics. */
FW_NODISCARD fw_status fw_dataset_compute_stats(fw_dataset *ds, const char *feature, const int64_t *episodes,
                                                int64_t n_episodes, fw_column_stats *out, fw_err *err);
/* Statistics of x [rows, n], float. */
FW_NODISCARD fw_status fw_column_stats_compute(const float *x, int64_t rows, int64_t n, fw_column_stats *out,
                                               fw_err *err);
void fw_column_stats_clear(fw_column_stats *s);

/* --- checking --- */
typedef struct fw_finding {
    char kind[32];          /* "video_short", "not_finite", "timestamp", "missing_file" ... */
    char *file;             /* owned, relative to the dataset; "" when about the whole */
    int64_t episode, frame; /* -1 when it does not apply */
    bool repairable;        /* can be put right without inventing data */
    char *text;             /* owned: wanted and found */
} fw_finding;
typedef struct fw_findings {
    int64_t n, cap;
    fw_finding *item;
} fw_findings;
typedef struct fw_check_opts {
    double tolerance_s; /* how far a timestamp may lie from frame/fps; 0: one frame and a tenth */
    bool progress;      /* on stderr */
} fw_check_opts;
/* Check everything that can be checked without decoding pixels: metadata against itself, rows, lengths, indices,
 * timestamps (their order, and their distance from frame/fps), frames in videos, values, statistics. opts NULL: all zero. FW_OK also
 * when there are findings; an error only when the check itself could not run. */
FW_NODISCARD fw_status fw_dataset_check(const char *dir, const fw_check_opts *opts, fw_findings *out, fw_err *err);
void fw_findings_clear(fw_findings *f);

#endif /* FW_DATA_DATASET_H */
