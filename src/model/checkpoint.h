/*
 * checkpoint.h - a trained policy as a folder: config.json, model.safetensors, stats.json, card.md.
 *
 * config.json names the embodiment, the parts (flywheel_s.h) and the frozen towers by package and SHA-256;
 * model.safetensors holds only what we trained ("pi.*", and "tower.*" when the tower was fine-tuned); stats.json the
 * normalisation. A folder that disagrees with itself or with the installed towers is refused with the two values that
 * differ.
 */
#ifndef FW_MODEL_CHECKPOINT_H
#define FW_MODEL_CHECKPOINT_H

#include "fw/policy.h"
#include "model/flywheel_s.h"
#include "model/normalize.h"

typedef struct fw_flywheel_meta {
    char name[FW_NAME_MAX]; /* "kitchen3" */
    fw_flywheel_cfg cfg;
    fw_embodiment embodiment;
    char tower_sha256[65], text_sha256[65]; /* of the packages' files */
} fw_flywheel_meta;

/* Write dir (made if missing), each file atomically, config.json last. dtype: FW_BF16 or FW_F32. params: those named
 * "pi." and "tower." that are trainable. card: Markdown, may be NULL. stats must hold "observation.state", "action"
 * and, unless cfg.train_tower, "features.<camera>.<block>". */
FW_NODISCARD fw_status fw_flywheel_save(const char *dir, const fw_flywheel_meta *meta, fw_params *params,
                                        const fw_stats *stats, fw_dtype dtype, const char *card, fw_err *err);
/* Read and check config.json (the embodiment as it was recorded there). */
FW_NODISCARD fw_status fw_flywheel_read_meta(const char *dir, fw_flywheel_meta *out, fw_err *err);
/* Load the trained parameters into a store that already holds (or will hold) them by name. */
FW_NODISCARD fw_status fw_flywheel_load_params(const char *dir, fw_params *params, fw_err *err);

typedef struct fw_flywheel_opts {
    fw_pool *pool;           /* borrowed until close; NULL: one thread */
    const char *vision_path; /* NULL: this installation's */
    const char *text_dir;    /* NULL: this installation's */
    const char *embodiment;  /* NULL, or the name the caller expects: FW_INVALID when the checkpoint is for another */
    uint64_t seed;           /* flow noise */
    fw_precision precision;  /* of vision tower and trunk; sentences are encoded exactly */
    const char *int8;        /* as fw_policy_opts */
    const fw_watch *watch;   /* as fw_policy_opts: of vision tower and trunk */
} fw_flywheel_opts;
/* *out owned: fw_policy_close. opts NULL: defaults. Afterwards infer allocates nothing; a sentence is encoded once and
 * remembered (the last 16). Images of another size are resized (memory for the sizes that the
 * embodiment describes is there; a larger one allocates once). Not thread-safe. */
FW_NODISCARD fw_status fw_flywheel_open(const char *dir, const fw_flywheel_opts *opts, fw_policy **out, fw_err *err);
/* A policy with random weights and identity statistics, for benchmarks and tests of everything around it. */
FW_NODISCARD fw_status fw_flywheel_random(const fw_flywheel_cfg *cfg, const fw_embodiment *emb,
                                          const fw_flywheel_opts *opts, fw_policy **out, fw_err *err);
/* For benchmarks: as fw_plan_profile, of the vision tower and the trunk of a policy made by the two functions above. */
void fw_flywheel_profile(fw_policy *p, bool on);

#endif /* FW_MODEL_CHECKPOINT_H */
