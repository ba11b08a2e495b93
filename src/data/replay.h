/*
 * replay.h - what makes a simulated episode again: its identity among the episode's fields, and what its cameras saw beside it.
 *
 * DESIGN. A simulated episode is (suite, task, version, ranges, home, five seeds, noise, physics): the fields "provenance/suite" ...
 * of meta/episodes (provenance.h). From these it plays again to the same bits. So that it can be drawn again without playing, with
 * other cameras, sizes or looks, the views (sim/sim.h: everything visible that moves) lie in DIR/sim/<key>.parquet, a file an
 * episode: columns `frame` and `view`. LeRobot does not look there; copying, renumbering and merging datasets leaves the key
 * as it is, because it is made of the fields. A dataset without these files loses nothing that its seeds cannot make again.
 */
#ifndef FW_DATA_REPLAY_H
#define FW_DATA_REPLAY_H

#include "data/dataset.h"
#include "data/provenance.h"

enum { FW_SEED_LAYOUT, FW_SEED_VISUAL, FW_SEED_DYNAMICS, FW_SEED_EXPERT, FW_SEED_NOISE, FW_SEEDS };
#define FW_REPLAY_FIELDS 14
#define FW_REPLAY_KEY    17

typedef struct fw_replay {
    char suite[64], task[64], ranges[64], physics[32]; /* physics: "mujoco 4.0.1": another version plays differently */
    char look[64]; /* ranges of the pictures, when they were drawn again with others; "" = ranges */
    int64_t version;
    uint64_t home, seed[FW_SEEDS];
    bool noisy;   /* the executed commands were disturbed */
    double noise; /* by this share of their range */
} fw_replay;

/* The fields of r, in their order; they borrow r's text. */
void fw_replay_fields(const fw_replay *r, fw_field out[FW_REPLAY_FIELDS]);
/* Of episode ep. FW_INVALID: not a simulated episode (names the field that is missing). */
FW_NODISCARD fw_status fw_replay_read(const fw_dataset *ds, int64_t ep, fw_replay *out, fw_err *err);
/* 16 hexadecimal digits and NUL, from everything but how it looks (visual seed, look). */
void fw_replay_key(const fw_replay *r, char out[FW_REPLAY_KEY]);

typedef struct fw_views {
    int64_t n_frame;
    int n_view;     /* doubles a frame */
    int64_t *frame; /* [n_frame] control steps since the scene began; owned unless given for writing */
    double *view;   /* [n_frame,n_view] */
} fw_views;

/* Write dir/sim/<key>.parquet, atomically. */
FW_NODISCARD fw_status fw_views_write(const char *dir, const fw_replay *r, const fw_views *v, fw_err *err);
bool fw_views_exist(const char *dir, const fw_replay *r);
/* Of an episode of `length` frames. *out owned: fw_views_clear. FW_FORMAT names the file, wanted and found. */
FW_NODISCARD fw_status fw_views_read(const char *dir, const fw_replay *r, int64_t length, fw_views *out, fw_err *err);
void fw_views_clear(fw_views *v);
/* The views of r in `from` also in `to` (fw_file_link); without views nothing is done. */
FW_NODISCARD fw_status fw_views_copy(const char *from, const char *to, const fw_replay *r, fw_err *err);

#endif /* FW_DATA_REPLAY_H */
