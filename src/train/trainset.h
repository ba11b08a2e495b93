/*
 * trainset.h - everything a run learns from, opened once: numbers of all episodes in memory, sentences encoded, tower
 * features mapped, statistics, and the split into training and held-out episodes.
 *
 * DESIGN. Images pass the frozen tower once. Their features live in a file per dataset, camera and tap in the cache
 * folder, named by what they were computed from (dataset, tower, block, size), filled row by row and resumed where a
 * run was stopped. Training then reads the map, and its cost is the head's alone. With a tower that is trained
 * (policy.train_tower), decoded frames are mapped instead.
 * Held out are the last episodes of each dataset; statistics come from the training episodes only.
 * What is kept for tests is refused wherever it comes from: datasets of a held-out robot, episodes in new homes or of held-out
 * domains, what was deleted.
 */
#ifndef FW_TRAIN_TRAINSET_H
#define FW_TRAIN_TRAINSET_H

#include "data/cache.h"
#include "data/dataset.h"
#include "model/normalize.h"
#include "model/proprio.h"
#include "train/config.h"

typedef struct fw_train_episode {
    int dataset;      /* into trainset.dataset */
    int64_t position; /* in its dataset */
    int64_t row;      /* its first row in the dataset's features */
    int64_t length;
    float *state, *action; /* owned [T,n_state], [T,n_action] in the robot's units */
    int sentence;          /* into text */
} fw_train_episode;

typedef struct fw_train_data {
    fw_dataset *ds; /* owned */
    char id[65];
    int n_camera;                             /* a published policy's: pictures that the dataset has */
    int camera[FW_CAM_MAX];                   /* of each policy camera */
    fw_blob *feature[FW_CAM_MAX][FW_TAP_MAX]; /* owned; NULL with train_tower */
    fw_frames *frames;                        /* owned; only with train_tower */
    fw_blob *picture[FW_CAM_MAX]; /* owned; a published policy's: frames as recorded, or what its tower made of them */
    int64_t n_train;              /* the first episodes are trained on */
    int64_t first;                /* where its episodes begin in trainset.episode */
} fw_train_data;

typedef struct fw_trainset {
    const fw_train_cfg *cfg; /* borrowed */
    /* The recordings; below them what flywheel-s adds. */
    int n_data;
    fw_train_data *data; /* owned [n_data] */
    int64_t n_episode;
    fw_train_episode *episode; /* owned */
    int n_sentence;
    char **sentence;        /* owned [n_sentence] */
    fw_text_features *text; /* owned [n_sentence] */
    fw_stats *stats;        /* owned: observation.state(.delta), action, features.<camera>.<block> */
    fw_proprio proprio;     /* owned */
    fw_norm feature_norm[FW_CAM_MAX][FW_TAP_MAX];
    int tap_size[FW_TAP_MAX], tap_channels[FW_TAP_MAX];
    char tower_sha256[65], text_sha256[65];
    int64_t train_frames, held_frames;
} fw_trainset;

/* Open datasets dirs[n], run the towers over what is not cached yet (with progress). cfg is borrowed until close.
 * FW_SHAPE / FW_INVALID when a dataset does not fit the embodiment (dimensions, a missing camera), naming both; FW_INVALID for data
 * that is kept for tests, naming the dataset, the robot, home or domain, and why. */
FW_NODISCARD fw_status fw_trainset_open(const fw_train_cfg *cfg, const char *const *dirs, int n, fw_pool *pool,
                                        fw_trainset *out, fw_err *err);
void fw_trainset_close(fw_trainset *ts);

/* The recordings alone: numbers, sentences and split of datasets dirs[n], none of them kept for tests. fit: does a dataset suit what
 * learns from it? It may look at d->ds and set d->camera. */
typedef fw_status fw_trainset_fit(const fw_train_cfg *cfg, void *ctx, fw_train_data *d, fw_err *err);
FW_NODISCARD fw_status fw_trainset_open_recordings(const fw_train_cfg *cfg, const char *const *dirs, int n,
                                                   fw_trainset_fit *fit, void *ctx, fw_trainset *out, fw_err *err);

/* The rows of one dataset's camera and tap, computing what is missing. Used by fw_trainset_open; apart for tests. */
FW_NODISCARD fw_status fw_features_fill(fw_dataset *ds, const char *ds_id, int camera, const fw_flywheel_cfg *cfg,
                                        fw_pool *pool, fw_blob **out /* [cfg->n_tap] */, fw_err *err);

/* What is kept of a frame of a published policy's camera. */
typedef struct fw_picture_maker {
    char key[96];      /* what it is, beside the frame and its size: "" when the frame as recorded */
    int64_t row_bytes; /* of one; 0: the frame as recorded, [h,w,3] u8 */
    /* rgb [n,h,w,3] -> out [n, row_bytes]; not called for frames as recorded */
    fw_status (*make)(void *ctx, const uint8_t *rgb, int64_t n, int h, int w, void *out, fw_err *err);
    void *ctx;
} fw_picture_maker;
/* A row a frame of one camera, computing what is missing, with progress. *out owned: fw_blob_close. */
FW_NODISCARD fw_status fw_pictures_fill(fw_dataset *ds, const char *ds_id, int camera, const fw_picture_maker *m,
                                        fw_blob **out, fw_err *err);

#endif /* FW_TRAIN_TRAINSET_H */
