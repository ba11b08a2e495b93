/*
 * policy.h - what every policy is to the rest: words + images + state in, a chunk of actions out.
 *
 *   fw_policy *p;
 *   fw_policy_open("models/kitchen3", &opts, &p, &err);        // model/pretrained.h, or any constructor
 *   fw_policy_infer(p, &obs, &chunk, &err);                    // chunk.actions: caller's memory
 *   fw_policy_close(p);
 *
 * The robot, the simulator and the server see only this vtable, never a network.
 */
#ifndef FW_POLICY_H
#define FW_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "fw/embodiment.h"
#include "fw/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fw_image {
    const uint8_t *rgb; /* [h, w, 3], borrowed during the call; NULL = this camera is missing */
    int h, w;           /* pixels */
} fw_image;

typedef struct fw_obs {
    fw_image image[FW_CAM_MAX]; /* in the embodiment's camera order */
    int n_image;
    const float *state; /* [n_state], the embodiment's units */
    int n_state;
    const float *prev_state;  /* [n_state] one control step ago, borrowed; NULL at an episode's start or when unknown */
    const float *prev_action; /* [n_action] last command, borrowed; NULL at an episode's start or when unknown */
    /* Commands from t_ns on, of the last chunk: [n_prefix + n_wish, n_action], borrowed. The first n_prefix are settled, because they are
     * executed before this chunk is there: it goes on from them (real-time chunking, arXiv 2512.05964). The others are what
     * the last chunk would do next. */
    const float *prefix;
    int n_prefix;            /* at most fw_policy_info.max_delay; 0: the chunk begins at once */
    int n_wish;              /* read by policies with fw_policy_info.guided; 0: none */
    const char *instruction; /* UTF-8 sentence */
    int64_t t_ns;            /* when it was observed */
} fw_obs;

typedef struct fw_chunk {
    float *actions;  /* [cap_horizon, n_action] caller's memory, the embodiment's units */
    int cap_horizon; /* rows there is room for; set by the caller */
    int horizon;     /* rows written */
    int n_action;    /* values a row */
    double dt_s;     /* row i is meant for t_ns + i * dt_s */
    int64_t t_ns;    /* copied from the observation */
} fw_chunk;

typedef struct fw_policy_info {
    char name[FW_NAME_MAX];
    const fw_embodiment *embodiment; /* borrowed until close */
    int horizon;                     /* rows of a chunk */
    int n_execute;                   /* rows to execute before asking again */
    bool wants_motion;               /* reads prev_state */
    int max_delay;                   /* rows of fw_obs.prefix that it goes on from; 0: none */
    bool guided; /* it was not trained for that, but is drawn towards the prefix (arXiv 2506.07339) */
} fw_policy_info;

typedef struct fw_policy fw_policy;
typedef struct fw_policy_vtable {
    void (*describe)(const fw_policy *p, fw_policy_info *out);
    fw_status (*infer)(fw_policy *p, const fw_obs *obs, fw_chunk *chunk, fw_err *err);
    void (*reset)(fw_policy *p); /* a new episode begins */
    void (*close)(fw_policy *p);
    /* Several observations at once; NULL: one after the other. See fw_policy_infer_batch. */
    void (*infer_batch)(fw_policy *p, int n, const fw_obs *obs, fw_chunk *chunk, fw_err *err);
} fw_policy_vtable;

/* Implementations put this first in their struct. */
struct fw_policy {
    const fw_policy_vtable *v;
};

static inline void fw_policy_describe(const fw_policy *p, fw_policy_info *out) {
    p->v->describe(p, out);
}
/* FW_SHAPE if obs does not fit the embodiment, FW_INVALID for a longer prefix than max_delay, FW_FORMAT for NaN; chunk->actions is
 * untouched unless FW_OK. Its first n_prefix rows are the prefix.
 * Not thread-safe: one policy object, one thread. */
FW_NODISCARD static inline fw_status fw_policy_infer(fw_policy *p, const fw_obs *obs, fw_chunk *chunk, fw_err *err) {
    return p->v->infer(p, obs, chunk, err);
}
/* n observations, each with its chunk and its own outcome: err[i].code, FW_OK or as fw_policy_infer. err: [n], never NULL. */
static inline void fw_policy_infer_batch(fw_policy *p, int n, const fw_obs *obs, fw_chunk *chunk, fw_err *err) {
    if (p->v->infer_batch != 0 && n > 1) {
        p->v->infer_batch(p, n, obs, chunk, err);
        return;
    }
    for (int i = 0; i < n; i++) {
        err[i].code = p->v->infer(p, &obs[i], &chunk[i], &err[i]);
    }
}
static inline void fw_policy_reset(fw_policy *p) {
    p->v->reset(p);
}
static inline void fw_policy_close(fw_policy *p) {
    if (p != 0) {
        p->v->close(p);
    }
}

#ifdef __cplusplus
}
#endif
#endif /* FW_POLICY_H */
