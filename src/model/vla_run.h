/*
 * vla_run.h - SmolVLA, pi0 and pi0.5 loaded from a directory and run: pictures, words, state and noise in, a chunk out.
 *
 *   fw_vla *m;
 *   FW_TRY(fw_vla_open("pretrained_model", &cfg, &(fw_vla_opts){.pool = pool, .precision = FW_PRECISION_BF16}, &m, err));
 *   FW_TRY(fw_vla_infer(m, &batch, chunk, err));
 *
 * DESIGN. The prefix is read once a call, its keys and values serve all flow steps. A plan is made for each shape of batch (entries,
 * pictures, whether all have as many, words rounded up) when it is first seen and kept, the last few of them; weights are packed once for all. After a shape
 * was seen, a call allocates nothing.
 */
#ifndef FW_MODEL_VLA_RUN_H
#define FW_MODEL_VLA_RUN_H

#include "base/threads.h"
#include "fw/policy.h"
#include "model/vla.h"

typedef struct fw_vla_opts {
    fw_pool *pool; /* borrowed until close; NULL: one thread */
    fw_precision precision;
    int flow_steps;        /* 0: the checkpoint's */
    const char *int8;      /* as fw_policy_opts */
    const fw_watch *watch; /* as fw_policy_opts */
    /* Instead of a file: random weights of these sizes, kept in bfloat16; for benchmarks. */
    bool random;
} fw_vla_opts;

typedef struct fw_vla fw_vla;
/* *out owned. c is copied. Errors name file and tensor. */
FW_NODISCARD fw_status fw_vla_open(const char *dir, const fw_lerobot_config *c, const fw_vla_opts *o, fw_vla **out,
                                   fw_err *err);
void fw_vla_close(fw_vla *m); /* NULL is fine */

/* What a chunk should begin like: real-time chunking by guidance (arXiv 2506.07339), as LeRobot 0.6 does it with linear weights. */
typedef struct fw_vla_guide {
    const float *rows; /* [n, max_action] of the last chunk, normalised, zero-padded */
    int n;             /* 0: no guide; at most the chunk */
    int settled;       /* the first of them have weight 1, then it falls linearly */
} fw_vla_guide;

/* B observations. All borrowed during the call. An observation may lack pictures, all but one: each gives what it gives alone. */
typedef struct fw_vla_batch {
    int64_t size;
    int n_camera;           /* pictures, in the config's order */
    const fw_image *image;  /* [n_camera, size]; rgb NULL: that entry lacks it */
    const int32_t *tokens;  /* [size, ld_tokens] */
    const int32_t *n_words; /* [size] of them, 1 to the config's max_tokens */
    int64_t ld_tokens;
    const float *state;        /* [size, max_state] normalised, zero-padded; NULL for pi0.5 */
    const float *noise;        /* [size, chunk, max_action] standard normal */
    const fw_vla_guide *guide; /* [size], or NULL: none */
} fw_vla_batch;
/* out [size, chunk, max_action], normalised. FW_INVALID for a word that the vocabulary lacks or too many of them. */
FW_NODISCARD fw_status fw_vla_infer(fw_vla *m, const fw_vla_batch *b, float *out, fw_err *err);

typedef struct fw_vla_info {
    double flops_prefix, flops_step; /* of the last shape; multiply-adds count as 2 */
    size_t packed_bytes, arena_bytes;
    int steps;
} fw_vla_info;
void fw_vla_get_info(const fw_vla *m, fw_vla_info *out);
/* For benchmarks: as fw_plan_profile, of the prefix and the flow steps of the last shape. */
void fw_vla_profile(fw_vla *m, bool on);

#endif /* FW_MODEL_VLA_RUN_H */
