/*
 * pretrained.h - a directory with a policy, ours or a published one -> an fw_policy.
 *
 *   fw_policy *p;
 *   FW_TRY(fw_policy_open("models/kitchen3", NULL, &p, &err));          // flywheel-s
 *   FW_TRY(fw_policy_open("outputs/pretrained_model", NULL, &p, &err)); // LeRobot's: config.json says which policy
 *
 * DESIGN. config.json of a published policy knows features, not a robot: it sees pictures of given names and sizes, reads n values
 * and gives m, in the units of the data it was trained on. Without opts.embodiment the robot is exactly that; with it, sizes must
 * agree and cameras are found by name, so that a policy meets the robot that it was trained for or is refused.
 */
#ifndef FW_MODEL_PRETRAINED_H
#define FW_MODEL_PRETRAINED_H

#include "base/threads.h"
#include "fw/policy.h"
#include "model/lerobot_config.h"
#include "model/processor.h"
#include "model/tokenizer.h"
#include "tensor/plan.h"

typedef struct fw_policy_opts {
    fw_pool *pool;          /* borrowed until close; NULL: one thread */
    const char *embodiment; /* NULL, or the robot that the caller has: FW_INVALID when the policy is for another */
    double rate_hz;         /* control rate of a published policy without an embodiment; 0: 30 */
    uint64_t seed;          /* flow noise */
    fw_precision precision; /* of matrix products */
    int flow_steps;         /* of SmolVLA, pi0 and pi0.5; 0: the checkpoint's */
    const char *tokenizer;  /* of these: folder or file; NULL: beside the weights, or in HuggingFace's cache */
    const float *noise;     /* of these: [chunk, max_action] for every call instead of drawing; borrowed until close */
    const char
        *int8; /* for precision int8, see fw_int8_open: NULL: what lies beside the weights; "": none; or a file */
    const fw_watch *watch; /* see fw_plan_opts; borrowed until close */
} fw_policy_opts;
/* *out owned: fw_policy_close. opts NULL: defaults. */
FW_NODISCARD fw_status fw_policy_open(const char *dir, const fw_policy_opts *opts, fw_policy **out, fw_err *err);

/* ---- shared by the published policies ---- */

/* The robot as a published policy meets it. */
typedef struct fw_pretrained_robot {
    fw_embodiment e;
    int n_picture;                    /* pictures that the config declares, those left empty included */
    int picture[FW_LEROBOT_FEATURES]; /* of the config's features */
    int camera[FW_LEROBOT_FEATURES];  /* of the robot, for each picture; -1: it has none of that name */
} fw_pretrained_robot;
/* Cameras go by the robot's names of pictures (proc renames them). some: only some of the pictures need a camera (the network was made for missing ones); else all. */
FW_NODISCARD fw_status fw_pretrained_robot_of(const fw_lerobot_config *c, const fw_processor *proc,
                                              const fw_policy_opts *o, bool some, fw_pretrained_robot *out,
                                              fw_err *err);

/* Does the observation fit the robot, is every number finite, its prefix no longer than max_delay, and has the chunk room for rows?
 * Pictures are not looked at. */
FW_NODISCARD fw_status fw_obs_check(const fw_embodiment *e, const fw_obs *obs, const fw_chunk *chunk, int rows,
                                    int max_delay, fw_err *err);
/* The observation's prefix, then values [rows, n_action] from there on in the robot's units, held to its limits; FW_FORMAT, and chunk untouched, when one is not finite. */
FW_NODISCARD fw_status fw_chunk_put(const fw_embodiment *e, const fw_obs *obs, const float *values, int rows,
                                    fw_chunk *chunk, fw_err *err);

/* The tokenizer called name ("google/paligemma-3b-pt-224"): from the folder or file given, else beside the weights in dir, else from
 * HuggingFace's cache. FW_IO: nowhere; FW_FORMAT: of more than vocab pieces, or with tokens
 * beyond it in every prompt. *out owned. */
FW_NODISCARD fw_status fw_pretrained_tokenizer(const char *dir, const char *given, const char *name, int vocab,
                                               fw_tokenizer **out, fw_err *err);

/* Is a file of this name part of a published policy, beside its weights: config, processors, tokenizer? */
bool fw_pretrained_is_part(const char *name);
/* All those of folder from, and openpi's statistics, copied to the folder out. */
FW_NODISCARD fw_status fw_pretrained_copy(const char *from, const char *out, fw_err *err);

/* One constructor a policy; dir's config is c. */
FW_NODISCARD fw_status fw_act_open(const char *dir, const fw_lerobot_config *c, const fw_policy_opts *o,
                                   fw_policy **out, fw_err *err);
FW_NODISCARD fw_status fw_vla_policy_open(const char *dir, const fw_lerobot_config *c, const fw_policy_opts *o,
                                          fw_policy **out, fw_err *err);

#endif /* FW_MODEL_PRETRAINED_H */
