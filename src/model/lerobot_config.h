/*
 * lerobot_config.h - config.json of a directory with a published policy, typed: as LeRobot 0.6 writes it (act, smolvla, pi0, pi05)
 * or as openpi's converter to PyTorch does (pi0, pi05).
 *
 *   fw_lerobot_config c;
 *   FW_TRY(fw_lerobot_config_load("pretrained_model", &c, &err));
 *   if (c.policy == FW_POLICY_ACT) { ... c.act.width ... }
 *
 * DESIGN. Missing keys have LeRobot's defaults. A key of the wrong type, a value that cannot be and an unknown policy are refused
 * with file, key, wanted and found; so is a setting that would change the arithmetic and that this build does not have
 * (FW_UNSUPPORTED). Keys nobody knows are left alone: newer versions write more of them. Two keys are our own: "sizes" has the sizes
 * of backbones that the other keys only name ("gemma_2b"), for networks that are none of the published ones; "asset" says which of
 * openpi's statistics count where there are several.
 */
#ifndef FW_MODEL_LEROBOT_CONFIG_H
#define FW_MODEL_LEROBOT_CONFIG_H

#include "base/json.h"

#define FW_LEROBOT_FEATURES 24
#define FW_LEROBOT_KEY_MAX  128

typedef enum fw_policy_kind { FW_POLICY_ACT, FW_POLICY_SMOLVLA, FW_POLICY_PI0, FW_POLICY_PI05 } fw_policy_kind;

typedef enum fw_feature_kind {
    FW_FEATURE_STATE,
    FW_FEATURE_VISUAL,
    FW_FEATURE_ENV,
    FW_FEATURE_ACTION,
    FW_FEATURE_REWARD,
    FW_FEATURE_LANGUAGE,
    FW_N_FEATURE_KIND
} fw_feature_kind;

typedef enum fw_lerobot_norm {
    FW_LEROBOT_IDENTITY,
    FW_LEROBOT_MEAN_STD,
    FW_LEROBOT_MIN_MAX,
    FW_LEROBOT_QUANTILES,
    FW_LEROBOT_QUANTILE10
} fw_lerobot_norm;

typedef struct fw_lerobot_feature {
    char key[FW_LEROBOT_KEY_MAX]; /* "observation.images.top" */
    fw_feature_kind kind;
    int n_dim;
    int64_t shape[4]; /* pictures: channels, height, width */
} fw_lerobot_feature;

/* What training would use. */
typedef struct fw_lerobot_optim {
    double lr, lr_backbone /* ACT */, weight_decay, beta1, beta2, eps;
    double clip;                           /* largest norm of all gradients; 0: none */
    int64_t warmup_steps, decay_steps;     /* 0: constant rate */
    double decay_lr;                       /* at decay_steps */
    double time_alpha, time_beta;          /* flow matching: time ~ Beta(alpha, beta) * scale + offset */
    double time_scale, time_offset;        /* 0.999 and 0.001 */
    bool freeze_vision, train_expert_only; /* SmolVLA, pi0, pi0.5 */
    bool train_state_proj;                 /* SmolVLA */
} fw_lerobot_optim;

/* ACT, arXiv 2304.13705 */
typedef struct fw_act_config {
    int resnet;         /* layers of the backbone: 18 or 34 */
    int backbone_width; /* channels behind its first convolution: 64 in every published one */
    bool pre_norm, gelu /* instead of ReLU */;
    int width, heads, mlp, encoder_layers, decoder_layers;
    bool use_vae;
    int latent, vae_layers;
    bool ensemble; /* temporal ensembling */
    double ensemble_coeff, dropout, kl_weight;
} fw_act_config;

/* A vision transformer over square pictures. */
typedef struct fw_vision_size {
    int width, layers, heads, mlp;
    int patch, image; /* pixels */
} fw_vision_size;

#define FW_DECODER_LAYERS 64 /* at most */
/* A decoder-only transformer. */
typedef struct fw_decoder_size {
    int width, layers, heads, kv_heads, head_dim, mlp;
} fw_decoder_size;

/* SmolVLA, pi0 and pi0.5: a vision-language model and an expert that denoises the chunk. */
typedef struct fw_vla_config {
    fw_vision_size vision;
    fw_decoder_size text, expert;
    int vocab;
    int max_state, max_action; /* values are padded with zeros to this */
    int max_tokens;            /* of a prompt */
    int flow_steps;
    double min_period, max_period; /* of the time embedding */
    int resize_h, resize_w;        /* pictures are fitted into this; 0: left as they are */
    int empty_cameras;
    bool bf16; /* pi0, pi0.5: the language model runs in bfloat16 */
    /* SmolVLA */
    int shuffle;         /* side of the square of patches that makes one token */
    int self_attn_every; /* expert layers i with i % this == 0 attend to themselves too; 0: none */
    int prefix_length;   /* the prefix is padded to this; -1: not */
    /* pi0, pi0.5 */
    bool relative_actions;
} fw_vla_config;

typedef struct fw_lerobot_config {
    fw_policy_kind policy;
    bool openpi; /* the directory is openpi's: tensor names lack "model.", statistics are in assets */
    int n_input, n_output;
    fw_lerobot_feature input[FW_LEROBOT_FEATURES], output[FW_LEROBOT_FEATURES]; /* in the file's order */
    fw_lerobot_norm norm[FW_N_FEATURE_KIND];
    int chunk, n_execute; /* rows predicted, rows executed before asking again */
    fw_lerobot_optim optim;
    union {
        fw_act_config act; /* FW_POLICY_ACT */
        fw_vla_config vla; /* the others */
    };
} fw_lerobot_config;

/* dir/config.json, with the number of state values that the statistics beside it have where the network takes any (LeRobot does not
 * write it when it trains for another robot); for openpi's, which does not say pi0 or pi0.5, also the names in dir/model.safetensors. */
FW_NODISCARD fw_status fw_lerobot_config_load(const char *dir, fw_lerobot_config *out, fw_err *err);
/* The same from memory; `where` names it in messages. openpi's: taken for pi0. out is zeroed first. */
FW_NODISCARD fw_status fw_lerobot_config_parse(const json_t *obj, const char *where, fw_lerobot_config *out,
                                               fw_err *err);

/* obj[name], a map of features as config.json and the processors' files have it, in the file's order. out: room for
 * FW_LEROBOT_FEATURES, *n of them are there; more are put behind. */
FW_NODISCARD fw_status fw_lerobot_features(const json_t *obj, const char *name, const char *where,
                                           fw_lerobot_feature *out, int *n, fw_err *err);
/* obj[name], {"STATE": "MEAN_STD", ...}: a kind that is not in it is IDENTITY; out is left alone when there is no obj[name]. */
FW_NODISCARD fw_status fw_lerobot_norms(const json_t *obj, const char *name, const char *where,
                                        fw_lerobot_norm out[FW_N_FEATURE_KIND], fw_err *err);

/* openpi's statistics, {"norm_stats": {"state": {"mean", "std", "q01", "q99"}, "actions"}}: the one norm_stats.json in a folder under
 * dir/assets, or under dir/assets/<config.json's "asset">. *out owned, path: its name. FW_IO: there is none, FW_FORMAT: two. */
FW_NODISCARD fw_status fw_openpi_stats(const char *dir, char path[4096], json_t **out, fw_err *err);

const char *fw_policy_kind_name(fw_policy_kind k); /* "pi05" */
/* The first input or output of a kind, or NULL. */
const fw_lerobot_feature *fw_lerobot_input(const fw_lerobot_config *c, fw_feature_kind kind);
const fw_lerobot_feature *fw_lerobot_output(const fw_lerobot_config *c, fw_feature_kind kind);
/* "top" of "observation.images.top"; the whole key when it is no picture's. Borrowed from f. */
const char *fw_lerobot_camera(const fw_lerobot_feature *f);
/* Is it one of the cameras that LeRobot adds to be left empty ("observation.images.empty_camera_0")? */
bool fw_lerobot_is_empty_camera(const fw_lerobot_feature *f);

#endif /* FW_MODEL_LEROBOT_CONFIG_H */
