/*
 * vla.h - SmolVLA, pi0 and pi0.5 as graphs: a vision-language model reads pictures and words once (the prefix), an action expert
 * turns noise into a chunk of actions by flow matching, looking at the prefix's keys and values (the suffix).
 *
 *   fw_vla_io io = fw_vla_io_of(1, 2, 16);             // batch, pictures, words
 *   fw_vla_prefix(g, &cfg, &io);                       // inference: one plan of the keys and values,
 *   fw_vla_cache_inputs(g2, &cfg, &io2); fw_vla_suffix(g2, &cfg, &io2);   // one of a flow step, run flow_steps times;
 *   fw_vla_prefix(g3, &cfg, &io3); fw_vla_suffix(g3, ...); fw_vla_loss(g3, ...);   // training: both in one graph
 *
 * DESIGN. The prefix is pictures, words and, in SmolVLA, the state; pictures that are missing are left out, words are padded to
 * n_token and the padding is never seen (positions skip it), which gives what the reference implementations compute by masking. Where
 * entries of a batch have different pictures (ragged), each has its own in the last places, before the words, and the places before
 * them are never seen.
 * Positions and the real length of a prefix are inputs, filled by fw_vla_fill. The parts differ in who sees whom:
 *   SmolVLA  the state sees everything, nobody but the expert sees the state; expert layers take turns: even ones attend to the
 *            prefix and causally to the actions, odd ones to the prefix only, through keys and values projected once more
 *   pi0      the suffix is the state and the actions: the state sees the prefix and itself, actions see all
 *   pi0.5    the state is in the words; norms of the expert depend on the time
 * Parameters have the names of LeRobot's checkpoints.
 */
#ifndef FW_MODEL_VLA_H
#define FW_MODEL_VLA_H

#include "base/rng.h"
#include "fw/embodiment.h"
#include "model/feed.h"
#include "model/lerobot_config.h"
#include "tensor/plan.h"

typedef struct fw_vla_io {
    /* set by the caller */
    int64_t batch;
    int n_camera, n_token; /* pictures that are there; words a prompt is padded to */
    bool ragged;           /* entries may have fewer pictures than n_camera */
    bool seen;             /* training: pictures come as io->connector, what fw_vla_pictures made of them */
    /* Training SmolVLA on a frozen language model: the state, which the others do not see, goes its way alone, so that its gradient
     * passes one place a layer instead of all. Same values. */
    bool state_apart;
    /* inputs of the prefix; f32 unless said */
    fw_val image[FW_CAM_MAX]; /* [B,S,S,3] in [-1,1]; seen: none */
    fw_val tokens;            /* [B,n_token] i32; anything where padded */
    fw_val lengths;           /* [B] i32: real pictures' and words' places; ragged: [B,2], where they begin and end */
    fw_val prefix_pos;        /* [B,prefix] i32 */
    fw_val state;             /* [B,max_state]; SmolVLA in the prefix, pi0 in the suffix, pi0.5 FW_NONE */
    /* between prefix and suffix, a layer of the expert; what is projected is so already. [B,prefix,kv_heads*head_dim] */
    fw_val k[FW_DECODER_LAYERS], v[FW_DECODER_LAYERS];
    /* inputs of the suffix */
    fw_val suffix_pos; /* [B,suffix] i32 */
    fw_val cross_pos;  /* [B,suffix] i32: SmolVLA's odd layers count from 0; else FW_NONE */
    fw_val x;          /* [B,chunk,max_action]: the chunk at the flow's time */
    fw_val time;       /* the time, embedded: fw_vla_put_time */
    /* results */
    fw_val velocity; /* [B,chunk,max_action] */
    fw_val target;   /* in  [B,chunk,max_action]: noise - actions; training */
    fw_val weight;   /* in  [B,chunk]: 1 counts, 0 past the episode's end; training */
    fw_val loss;     /* scalar, over the first n_action dimensions */
    /* what tests look at: pictures after tower and projection, the prefix, the streams before each layer, the suffix */
    fw_val vision[FW_CAM_MAX], connector[FW_CAM_MAX], prefix, vlm[FW_DECODER_LAYERS], suffix, expert[FW_DECODER_LAYERS],
        out;
} fw_vla_io;

/* Nothing built yet: all values FW_NONE. */
fw_vla_io fw_vla_io_of(int64_t batch, int n_camera, int n_token);
/* Places of the prefix and of the suffix. */
int64_t fw_vla_prefix_length(const fw_lerobot_config *c, const fw_vla_io *io);
int64_t fw_vla_suffix_length(const fw_lerobot_config *c);
int64_t fw_vla_image_tokens(const fw_lerobot_config *c); /* places a picture takes */

/* Each adds inputs and operations and fills its part of io; the first mistake is the graph's (fw_graph_check). */
void fw_vla_prefix(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io);
/* io->image to io->connector [B,fw_vla_image_tokens,width] alone: once for all, where a run keeps this part frozen. */
void fw_vla_pictures(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io);
/* io->k, io->v, io->lengths as inputs, for a graph of the suffix alone. */
void fw_vla_cache_inputs(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io);
void fw_vla_suffix(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io);
void fw_vla_loss(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io, int n_action);

/* lengths and positions of the graphs that plan p has, from the numbers of words and of pictures (NULL: all have n_camera) of each
 * entry [B]. */
void fw_vla_fill(fw_plan *p, const fw_lerobot_config *c, const fw_vla_io *io, const int32_t *n_words,
                 const int32_t *n_pictures);
/* io->time of entry b: time in [0,1], 1 is noise. */
void fw_vla_put_time(fw_plan *p, const fw_lerobot_config *c, const fw_vla_io *io, int64_t b, float time);
/* A picture [h,w,3] -> dst [size,size,3] in [-1,1]: scaled without distortion (bilinear, no smoothing; a folder of
 * openpi's: as PIL does, in 8 bits and smoothed), the rest -1; SmolVLA pads left and above, pi0 and pi0.5 on both sides. */
void fw_vla_fit_image(const fw_lerobot_config *c, const uint8_t *src, int h, int w, float *dst);

/* What differs between a checkpoint's tensors and the parameters above. Must stay where it is while it is used. */
typedef struct fw_vla_rules {
    fw_feed_rule rule[8];
    int n;
    char last_layer[96];
} fw_vla_rules;
void fw_vla_rules_of(const fw_lerobot_config *c, fw_vla_rules *out);

/* Is the parameter called name trained, as c->optim says what is frozen? LeRobot's rules: the vision tower by freeze_vision, all of
 * the language model by train_expert_only, SmolVLA's last language layers always. */
bool fw_vla_trains(const fw_lerobot_config *c, const char *name);

#endif /* FW_MODEL_VLA_H */
