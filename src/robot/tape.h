/*
 * tape.h - what a robot does, on its way to the recorder: everything, or the half minute before something happened and what followed.
 *
 *   fw_tape_open(&opts, &t, &err);
 *   fw_tape_frame(t, sentence, &frame);       // each control step; opens an episode when none is open
 *   fw_tape_incident(t);                      // keep what led here
 *   fw_tape_turn(t);                          // each tick: moves frames on to the recorder
 *   fw_tape_end(t, 1);                        // the episode is over, and was good
 *   fw_tape_close(t, &err);
 *
 * A ring of the last ring_s seconds holds frames (pictures raw, or as JPEG where raw ones would take over 128 MB) and the ends of episodes. With
 * FW_TAPE_ALL everything moves on at once, and the ring is what a slow disk may lag behind; with FW_TAPE_INCIDENTS nothing does until an
 * incident: then the open episode's frames that are still there, and the rest of the episode. One thread, but fw_tape_mark: any.
 */
#ifndef FW_ROBOT_TAPE_H
#define FW_ROBOT_TAPE_H

#include "data/recorder.h"
#include "fw/embodiment.h"

typedef enum fw_tape_keep { FW_TAPE_ALL, FW_TAPE_INCIDENTS } fw_tape_keep;

typedef struct fw_tape_opts {
    const char *dir;                 /* dataset; its recorder is opened here */
    const fw_embodiment *embodiment; /* state, action, rate; copied */
    int n_camera;
    const fw_camera *camera; /* what is recorded of pictures: as the driver gives them, sides even; copied */
    fw_tape_keep keep;
    double ring_s;
    fw_provenance provenance; /* texts copied */
} fw_tape_opts;

typedef struct fw_tape_state {
    bool within;     /* an episode is open */
    int64_t frames;  /* of it, on tape */
    int64_t touched; /* of those, with a person's hand */
    int64_t ended;   /* episodes */
    int64_t lost;    /* frames that the ring had no room for while they should have moved on */
    bool late;       /* the recorder cannot keep up, or fails: recorder.last_error */
    fw_recorder_state recorder;
} fw_tape_state;

typedef struct fw_tape fw_tape;

/* *out owned: fw_tape_close. */
FW_NODISCARD fw_status fw_tape_open(const fw_tape_opts *o, fw_tape **out, fw_err *err);
/* Copied; subtask is not kept. FW_FORMAT: a value is not finite. */
FW_NODISCARD fw_status fw_tape_frame(fw_tape *t, const char *sentence, const fw_frame *f, fw_err *err);
void fw_tape_incident(fw_tape *t);
void fw_tape_end(fw_tape *t, int success); /* no episode: nothing */
void fw_tape_turn(fw_tape *t);
void fw_tape_get(fw_tape *t, fw_tape_state *out);
/* Where the tape is now, for a mark. */
typedef struct fw_tape_place {
    char recording[FW_RECORDER_NAME]; /* the episode's field of this name: the open one, else the last */
    int64_t frame;                    /* of it, from 0: the last one */
} fw_tape_place;
void fw_tape_here(const fw_tape *t, fw_tape_place *out);
/* A line of <dir>/marks.jsonl, on the disk when this returns. Any thread. verdict, note: text; seconds: how far back it reaches. */
FW_NODISCARD fw_status fw_tape_mark(const fw_tape *t, const fw_tape_place *at, const char *verdict, const char *note,
                                    uint64_t who, double seconds, fw_err *err);
/* Ends, moves on what must be, seals, frees. NULL is fine. */
FW_NODISCARD fw_status fw_tape_close(fw_tape *t, fw_err *err);

#endif /* FW_ROBOT_TAPE_H */
