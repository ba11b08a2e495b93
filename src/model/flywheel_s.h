/*
 * flywheel_s.h - our own small policy: tower features + sentence + state -> a chunk of actions, from exchangeable
 * parts.
 *
 *   fw_flywheel_cfg cfg;
 *   fw_flywheel_cfg_default(&cfg);                                  // or fw_flywheel_cfg_parse(json, where, &cfg,
 * &err) fw_flywheel_build(g, &cfg, n_state, n_action, B, true, &io, &err); fw_plan_new(g, &opts, &io.loss, 1, &plan,
 * &err);                // training; inference: &io.pred
 *   // each step: write fw_plan_data(plan, io.feat[c][t]), io.state, io.target, io.weight; fw_flywheel_put_text per
 * row; fw_flywheel_fill(plan, &io, &rng);                              // noise and time of the flow head; nothing for
 * L1 fw_plan_run(plan, &err);
 *
 * DESIGN. The graph starts at *features* of the frozen towers (cached on disk while training), not at pixels, unless
 * cfg.train_tower. Parts:
 *   vision  a branch per camera and tap: 1x1 conv, FiLM by the sentence (arXiv 1709.07871), ReLU; then a k x k conv,
 * FiLM, ReLU. Two FiLMs, because one must pick the object that the words name before the next reads where it is. trunk
 * "keypoint": 1x1 conv -> spatial softmax (arXiv 1504.00702) + mean-pooled features, then an MLP with state and words;
 *           "transformer": learnt queries, one a row of the chunk, cross-attend to feature, word and state tokens.
 *   head    "l1": regression of the chunk (median of the demonstrations); "l1_mse": |e| + e^2/2, for actions that are
 *           mostly zero (a wrist turn): the median of those is zero whatever the picture says, and plain L1 stays there;
 *           "flow": flow matching (arXiv 2210.02747), Euler steps.
 * All values at the border are normalised: features per channel, state and actions per dimension
 * (normalize.h).
 */
#ifndef FW_MODEL_FLYWHEEL_S_H
#define FW_MODEL_FLYWHEEL_S_H

#include "base/json.h"
#include "base/rng.h"
#include "fw/embodiment.h"
#include "model/normalize.h"
#include "model/text_tower.h"
#include "model/vision_tower.h"
#include "tensor/plan.h"

#define FW_HORIZON_MAX 64

typedef enum fw_trunk_kind { FW_TRUNK_KEYPOINT, FW_TRUNK_TRANSFORMER } fw_trunk_kind;
typedef enum fw_head_kind { FW_HEAD_L1, FW_HEAD_FLOW, FW_HEAD_L1_MSE } fw_head_kind;

typedef struct fw_flywheel_cfg {
    /* vision */
    int image_size;             /* pixels that the tower sees, square; images of other sizes are resized */
    int n_tap, tap[FW_TAP_MAX]; /* blocks of EfficientNet-Lite0, ascending */
    int n_camera;               /* views used; 0 in a parsed file: all of the embodiment, see fw_flywheel_cfg_bind */
    char camera[FW_CAM_MAX][FW_NAME_MAX]; /* their names, in the order of io.feat */
    bool train_tower;                     /* the tower is in the graph: io.image instead of io.feat */
    /* vision branch */
    int channels1;          /* 1x1 conv */
    int channels2, kernel2; /* second conv: 0 channels = none; kernel 1 or 3 */
    int keypoints;          /* a branch */
    /* what it knows of its body, beside the state (proprio.h) */
    bool prev_state, prev_action;
    /* trunk */
    fw_trunk_kind trunk;
    int hidden, layers; /* MLP width and hidden layers; transformer width and blocks */
    int heads;          /* transformer */
    bool text_tokens;   /* also read the word vectors (attention), not only their mean */
    int text_dim;       /* width of the sentence vector in the MLP */
    float dropout;      /* on the trunk's inputs and hidden layers */
    /* head */
    fw_head_kind head;
    int horizon, n_execute; /* rows predicted; rows executed before asking again */
    int flow_steps;         /* Euler steps at inference */
    int max_delay;          /* rows of a settled prefix that it learns to go on from (fw_obs.prefix); 0: none */
} fw_flywheel_cfg;

/* Block 10, 128 px, keypoint trunk, L1, 16 rows of which 8 are executed; no camera named. */
void fw_flywheel_cfg_default(fw_flywheel_cfg *cfg);
/* Keys of the object override the default; an unknown key or value is FW_FORMAT naming it. docs in MODEL.md. */
FW_NODISCARD fw_status fw_flywheel_cfg_parse(const json_t *obj, const char *where, fw_flywheel_cfg *out, fw_err *err);
/* A new object that fw_flywheel_cfg_parse reads back to the same cfg; NULL when out of memory. */
json_t *fw_flywheel_cfg_json(const fw_flywheel_cfg *cfg);
/* Cameras of the embodiment when the cfg names none; FW_INVALID when it names one that the embodiment lacks. */
FW_NODISCARD fw_status fw_flywheel_cfg_bind(fw_flywheel_cfg *cfg, const fw_embodiment *emb, fw_err *err);

/* The values at the border of a built graph; FW_NONE where the parts do not need one. All f32 unless said. */
typedef struct fw_flywheel_io {
    int64_t batch;
    int n_camera, n_tap;
    int chunk_values; /* H * n_action */
    int flow_steps;
    fw_val image[FW_CAM_MAX];            /* in  [B,S,S,3], x/127 - 1; only with cfg.train_tower */
    fw_val feat[FW_CAM_MAX][FW_TAP_MAX]; /* in  [B,h,w,C] normalised per channel; only without cfg.train_tower */
    fw_val text;                         /* in  [B,384] pooled; by fw_flywheel_put_text */
    fw_val tokens;                       /* in  [B,32,384] or FW_NONE; by fw_flywheel_put_text */
    fw_val lengths;                      /* in  [B] i32 or FW_NONE; by fw_flywheel_put_text */
    int length_offset;                   /* keys before the words */
    fw_val state;                        /* in  [B,n_state] normalised */
    fw_val target;                       /* in  [B,H,n_action] normalised; training only */
    fw_val weight;                       /* in  [B,H] 1 = counts, 0 = past the end of the episode; training only */
    fw_val noise, time, time_table;      /* in  flow head; by fw_flywheel_fill */
    fw_val pred;                         /* out [B,H,n_action] normalised (flow in training: the velocity) */
    fw_val loss;                         /* out scalar; training only */
} fw_flywheel_io;

/* Add the policy to a graph. The store gets parameters "pi...." (and "tower...." with cfg.train_tower). */
FW_NODISCARD fw_status fw_flywheel_build(fw_graph *g, const fw_flywheel_cfg *cfg, int n_state, int n_action,
                                         int64_t batch, bool train, fw_flywheel_io *io, fw_err *err);
/* With cfg.train_tower: set the frozen "pi.norm.*" of the store from the statistics "features.<camera>.<block>". Call
 * once after the first build, before training. */
FW_NODISCARD fw_status fw_flywheel_set_feature_norm(fw_params *params, const fw_flywheel_cfg *cfg,
                                                    const fw_stats *stats, fw_err *err);
/* Write the sentence of row b into the plan's inputs. */
void fw_flywheel_put_text(fw_plan *plan, const fw_flywheel_io *io, int64_t b, const fw_text_features *f);
/* Draw what the flow head needs for the next run (training: noise and a time a row; inference: noise). L1: does
 * nothing. */
void fw_flywheel_fill(fw_plan *plan, const fw_flywheel_io *io, fw_rng *rng);

#endif /* FW_MODEL_FLYWHEEL_S_H */
