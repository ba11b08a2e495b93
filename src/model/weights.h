/*
 * weights.h - the tensors of a published checkpoint, taken one by one; none may be left over.
 *
 *   FW_TRY(fw_weights_open("pretrained_model/model.safetensors", "", &w, &err));
 *   fw_weights_f32(w, "model.action_head.weight", &p->shape, p->data, &err);
 *   fw_weights_skip(w, "model.vae_encoder");                  // not needed for inference
 *   FW_TRY(fw_weights_done(w, &err));                         // "... tensor 'x' [3,4] is not part of this network"
 *
 * DESIGN. A network takes what it expects, under the names that LeRobot gives; a tensor that is missing, has another shape, is not
 * F32, F16 or BF16 or holds a value that is not finite is refused by name with what was expected, and at the end so is one that
 * nobody took. Layouts that differ from ours (convolutions, fused projections) are turned while reading.
 */
#ifndef FW_MODEL_WEIGHTS_H
#define FW_MODEL_WEIGHTS_H

#include "tensor/safetensors.h"

typedef struct fw_weights fw_weights;
/* strip: what the names in this file lack at their beginning ("model." in openpi's), "" for LeRobot's; static. *out owned. */
FW_NODISCARD fw_status fw_weights_open(const char *path, const char *strip, fw_weights **out, fw_err *err);
void fw_weights_close(fw_weights *w);

bool fw_weights_has(const fw_weights *w, const char *name);
/* Is t the tensor of this name? */
bool fw_weights_is(const fw_weights *w, const char *name, const fw_st_tensor *t);
const fw_st *fw_weights_file(const fw_weights *w); /* borrowed until close, as is */
const char *fw_weights_path(const fw_weights *w);
/* The tensor as stored, of this shape and F32, F16 or BF16; counts as taken. Borrowed until w is closed. */
FW_NODISCARD fw_status fw_weights_raw(fw_weights *w, const char *name, const fw_shape *shape, const fw_st_tensor **out,
                                      fw_err *err);
/* Copied as f32 into out [shape]. */
FW_NODISCARD fw_status fw_weights_f32(fw_weights *w, const char *name, const fw_shape *shape, float *out, fw_err *err);
/* A convolution's weight, in the file [O,C,kh,kw], into out [O,kh,kw,C]. shape: ours. */
FW_NODISCARD fw_status fw_weights_conv(fw_weights *w, const char *name, const fw_shape *shape, float *out, fw_err *err);
/* The third k (0 to 2) of a fused projection of query, key and value: in the file [3 n, ...], into out, shape [n, ...]. */
FW_NODISCARD fw_status fw_weights_third(fw_weights *w, const char *name, int k, const fw_shape *shape, float *out,
                                        fw_err *err);
/* The tensor of this name is not read, but made anew with this shape, and saved so; counts as taken. Of the file's shape: it is read.
 * FW_SHAPE: the file has none of that name. */
FW_NODISCARD fw_status fw_weights_anew(fw_weights *w, const char *name, const fw_shape *shape, fw_err *err);
bool fw_weights_is_anew(const fw_weights *w, const char *name);
/* What begins with prefix is not wanted here, and no mistake. */
void fw_weights_skip(fw_weights *w, const char *prefix);
/* FW_SHAPE with the first tensor that was neither taken nor skipped. */
FW_NODISCARD fw_status fw_weights_done(const fw_weights *w, fw_err *err);

/* Copy a parameter as we have it into out [same count] as the file has it: convolutions are [O,C,kh,kw] there. */
void fw_weights_turn_back(const fw_shape *shape, const float *data, float *out);
/* Write t's values as they are now, in the file's layout, into out [its shape, or the one it was made anew with]; false: they are
 * the file's still. */
typedef bool (*fw_weights_now)(const void *ctx, const fw_st_tensor *t, float *out);
/* The file again, with its names, types and order; what was made anew must be among what `now` writes. Atomic. */
FW_NODISCARD fw_status fw_weights_save(const fw_weights *w, fw_weights_now now, const void *ctx, const char *path,
                                       fw_err *err);

#endif /* FW_MODEL_WEIGHTS_H */
