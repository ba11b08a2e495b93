/* vla_int.h - shared by vla.c and vla_suffix.c */
#ifndef FW_MODEL_VLA_INT_H
#define FW_MODEL_VLA_INT_H

#include "model/decoder.h"
#include "model/siglip.h"
#include "model/vla.h"

#define SMOL "model.vlm_with_expert."
#define PI   "model.paligemma_with_expert."

bool vla_is_smolvla(const fw_lerobot_config *c);
fw_decoder vla_language(fw_graph *g, const fw_lerobot_config *c);
fw_decoder vla_expert(fw_graph *g, const fw_lerobot_config *c);
/* The expert's layer beside layer i of the language model, or -1. */
int vla_expert_layer(const fw_lerobot_config *c, int layer);
/* Does the expert beside language layer i attend to the prefix only? */
bool vla_is_cross(const fw_lerobot_config *c, int layer);
/* The state as one token [B,1,width]; sets io->state. */
fw_val vla_state(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io, int64_t width);
/* Places of pictures and words. */
int64_t vla_read_length(const fw_lerobot_config *c, const fw_vla_io *io);

#endif /* FW_MODEL_VLA_INT_H */
