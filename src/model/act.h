/*
 * act.h - ACT, the action chunking transformer (arXiv 2304.13705), as LeRobot has it: pictures, state -> a chunk, in one pass.
 *
 *   fw_act_build(g, &cfg, batch, false, &io, &err);            // the store gets the checkpoint's names
 *   fw_act_load(params, weights, &err);                        // "model.safetensors", turned to our layouts
 *   fw_plan_new(g, &opts, &io.chunk, 1, &plan, &err);          // training: &io.loss
 *   fw_act_fill(plan, &cfg, &io);                              // positions, once a plan
 *   // each run: write io.image[c], io.state, ...; then io.chunk
 *
 * DESIGN. A ResNet turns each picture into a map; its pixels, the state, the environment's state and a latent are the tokens of a
 * transformer encoder; a decoder with one learnt query a row of the chunk reads them. In training the latent is drawn from what a
 * second encoder makes of the true chunk (a conditional VAE), else it is zero. Batch norms are frozen, as in the paper: for
 * inference they are folded into the convolutions when the weights are loaded, in training they are a fixed scale and shift, so that
 * weights and gradients are the checkpoint's. Fused projections of query, key and value are three parameters here, "<name>.q" and
 * so on. Dropout inside attention is left out.
 */
#ifndef FW_MODEL_ACT_H
#define FW_MODEL_ACT_H

#include "model/lerobot_config.h"
#include "model/weights.h"
#include "tensor/plan.h"

/* Values at the border of a built graph, all normalised; FW_NONE where the policy has none. f32 unless said. */
typedef struct fw_act_io {
    int64_t batch;
    int n_camera;
    int map_h[FW_LEROBOT_FEATURES], map_w[FW_LEROBOT_FEATURES];
    fw_val image[FW_LEROBOT_FEATURES]; /* in  [B,h,w,3], in the order of the config's pictures */
    fw_val state, env;                 /* in  [B,n] */
    fw_val action;                     /* in  [B,T,A]; training only */
    fw_val weight;                     /* in  [B,T] 1 = counts, 0 = past the episode's end; training only */
    fw_val lengths;                    /* in  [B] i32: tokens that the VAE sees, fw_act_seen of the rows that count */
    fw_val eps;                        /* in  [B,latent] standard normal; training with a VAE only */
    fw_val map[FW_LEROBOT_FEATURES];   /* of the backbone [B,map_h,map_w,C] */
    fw_val encoder, decoder;           /* out [B,tokens,width], [B,T,width] */
    fw_val posterior;                  /* out [B,2 latent]: mean, log variance; training with a VAE only */
    fw_val chunk;                      /* out [B,T,A] */
    fw_val l1, kl, loss;               /* out scalars: loss = l1 + kl_weight * kl; training only */
    /* constants that fw_act_fill writes */
    fw_val grid[FW_LEROBOT_FEATURES]; /* [map_h * map_w, width] */
    fw_val zeros, no_latent, first_id, minus_one;
} fw_act_io;

FW_NODISCARD fw_status fw_act_build(fw_graph *g, const fw_lerobot_config *c, int64_t batch, bool train, fw_act_io *io,
                                    fw_err *err);
void fw_act_fill(fw_plan *plan, const fw_lerobot_config *c, const fw_act_io *io);
/* Fill the parameters that the graphs of this store made (all for training or all for inference). What the network lacks is
 * refused by name; the VAE's tensors may be there without being asked for. */
FW_NODISCARD fw_status fw_act_load(fw_params *params, fw_weights *w, fw_err *err);
/* Before fw_act_load: layers as wide as the robot has values of state or action, whose tensors are of another robot's, keep the store's
 * first values. */
FW_NODISCARD fw_status fw_act_new_heads(fw_params *params, fw_weights *w, fw_err *err);
/* The file that the parameters of a store for training came from, with what they are now. */
FW_NODISCARD fw_status fw_act_save(fw_params *params, const fw_weights *w, const char *path, fw_err *err);
/* io.lengths of a chunk of which n rows count. */
int fw_act_seen(const fw_act_io *io, int n);

#endif /* FW_MODEL_ACT_H */
