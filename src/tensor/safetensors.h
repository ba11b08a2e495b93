/*
 * safetensors.h - read and write the safetensors format (8-byte length, JSON header, raw little-endian tensors).
 *
 * The reader maps the file and trusts nothing: header length, JSON, dtype, shape product, offsets inside the file, no
 * overlap, no gap that would hide bytes. Errors name the file and the tensor.
 */
#ifndef FW_TENSOR_SAFETENSORS_H
#define FW_TENSOR_SAFETENSORS_H

#include "tensor/tensor.h"

typedef struct fw_st_tensor {
    const char *name; /* borrowed until close */
    fw_dtype dtype;
    fw_shape shape;
    const void *data; /* into the map, may be unaligned; borrowed until close */
    size_t bytes;
} fw_st_tensor;

typedef struct fw_st fw_st;
FW_NODISCARD fw_status fw_st_open(const char *path, fw_st **out, fw_err *err);
/* The same over caller's memory, borrowed until close; `where` names it in messages. For fuzzing. */
FW_NODISCARD fw_status fw_st_open_mem(const void *data, size_t size, const char *where, fw_st **out, fw_err *err);
void fw_st_close(fw_st *s);
int fw_st_count(const fw_st *s);
const fw_st_tensor *fw_st_at(const fw_st *s, int i);
const fw_st_tensor *fw_st_find(const fw_st *s, const char *name); /* NULL if absent */
const char *fw_st_meta(const fw_st *s, const char *key);          /* __metadata__ value or NULL */
/* Copy as f32 into out [shape must agree]; F32, F16, BF16, F64 accepted. FW_SHAPE / FW_FORMAT name the tensor. */
FW_NODISCARD fw_status fw_st_read_f32(const fw_st *s, const char *name, const fw_shape *shape, float *out, fw_err *err);

typedef struct fw_st_out {
    const char *name;
    fw_dtype
        dtype; /* as stored: from f32 data only F32, BF16 (round to nearest even) or F16; any other: data is copied raw */
    fw_shape shape;
    const void *data; /* f32 for F32/BF16/F16; raw otherwise */
} fw_st_out;
/* Atomic. meta_kv: key, value, key, value, ..., NULL; may be NULL. */
FW_NODISCARD fw_status fw_st_write(const char *path, const fw_st_out *t, int n, const char *const *meta_kv,
                                   fw_err *err);

/* All parameters of a store, by name. load: every parameter of the store must be in the file with its shape (missing or
 * misshapen: FW_SHAPE, named), and every tensor of the file in the store unless allow_extra. */
FW_NODISCARD fw_status fw_params_save(fw_params *p, const char *path, fw_dtype dtype, const char *const *meta_kv,
                                      fw_err *err);
FW_NODISCARD fw_status fw_params_load(fw_params *p, const char *path, bool allow_extra, fw_err *err);

#endif /* FW_TENSOR_SAFETENSORS_H */
