/*
 * provenance.h - where an episode comes from and how it may be used: what the store keeps beside LeRobot's own columns.
 *
 * DESIGN. Two kinds of extra columns, both plain LeRobot v3.0 (LeRobot 0.6.x opens them) and both in v2.1:
 *   of a frame    columns of the data files, declared in info.json `features`:
 *                 intervention   bool [1]          a person's hand is on it
 *                 advantage      float32 [1]       label of a learner; NaN: not labelled
 *                 subtask_index  int64 [1]         row of meta/subtasks.parquet (as LeRobot 0.5 had it), whose sentence may be ""
 *                 capture_ns     int64 [1+cameras] real time of the state and of each camera's frame, ns since 1970 UTC; 0: not known
 *   of an episode columns "provenance/<name>" of meta/episodes (v2.1: keys of meta/episodes.jsonl): the members of fw_provenance,
 *                 and any further ones that the writer declares (a simulator's task, version and seeds).
 * `timestamp` stays nominal (frame / fps), as LeRobot wants it: capture_ns is what the clocks said.
 * A dataset without these columns reads as "unknown" everywhere. Columns that nobody here knows are data too: they are kept.
 */
#ifndef FW_DATA_PROVENANCE_H
#define FW_DATA_PROVENANCE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum fw_source {
    FW_SOURCE_UNKNOWN,
    FW_SOURCE_TELEOP,      /* a person moved it */
    FW_SOURCE_EXPERT,      /* a scripted expert, in simulation */
    FW_SOURCE_AUTONOMOUS,  /* a policy, alone */
    FW_SOURCE_INTERVENTION /* a policy, corrected by a person: see the frames' `intervention` */
} fw_source;
/* "", "teleop", "expert", "autonomous", "intervention". Static. */
const char *fw_source_name(fw_source s);
/* FW_SOURCE_UNKNOWN for a word that is none of them. */
fw_source fw_source_of(const char *name);

typedef enum fw_field_kind { FW_FIELD_TEXT, FW_FIELD_REAL, FW_FIELD_INT } fw_field_kind;

/* One further fact about an episode. Column "provenance/<name>". */
typedef struct fw_field {
    const char *name; /* "seed_layout": no '/' */
    fw_field_kind kind;
    const char *text; /* NULL reads as "" */
    double real;
    int64_t i;
} fw_field;

/* Of an episode. Text: NULL or "" is unknown. */
typedef struct fw_provenance {
    fw_source source;
    const char *policy_id;    /* of the policy that acted */
    const char *control_mode; /* "joint_position", "ee_delta" */
    const char *consent;      /* what its people agreed to: "train", "train+share", "none" */
    const char *home;         /* whose home: what `data delete --home` goes by */
    double quality;           /* 0..1; NaN unknown */
    double speed;             /* of the motion, 1 as usual; NaN unknown */
    int success;              /* 1, 0; -1 unknown */
    int n_fields;
    const fw_field *fields; /* [n_fields] the declared ones, in order */
} fw_provenance;
#define FW_PROVENANCE_UNKNOWN ((fw_provenance){.quality = (double)NAN, .speed = (double)NAN, .success = -1})

/* Columns of frames that a dataset may have. */
enum {
    FW_MARK_INTERVENTION = 1,
    FW_MARK_ADVANTAGE = 2,
    FW_MARK_SUBTASK = 4,
    FW_MARK_CAPTURE = 8,
};

/* Of the T frames of an episode; NULL: unknown everywhere. */
typedef struct fw_marks {
    const uint8_t *intervention; /* [T] 0 or 1 */
    const float *advantage;      /* [T] NaN: not labelled */
    const int64_t *subtask;      /* [T] into subtasks; -1: none */
    const char *const *subtasks; /* sentences: writing, of this episode [n_subtasks]; reading, of the dataset */
    int n_subtasks;
    const int64_t *capture_ns; /* [T, 1 + n_cameras] */
} fw_marks;

#endif /* FW_DATA_PROVENANCE_H */
