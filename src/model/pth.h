/*
 * pth.h - read the tensors of a PyTorch file (.pth, torch.save of a state dict) without PyTorch and without running
 * anything.
 *
 * DESIGN. A .pth is a pickle: a program for a stack machine that may call any function. This reader knows the opcodes
 * and the five names that a state dict needs (torch._utils _rebuild_tensor_v2, collections OrderedDict, torch
 * FloatStorage / HalfStorage / LongStorage); anything else is refused by its name. Both containers are read: the zip of
 * PyTorch >= 1.6 (stored entries) and the older stream of pickles. Tensors must be contiguous; data stays in the mapped
 * file.
 */
#ifndef FW_MODEL_PTH_H
#define FW_MODEL_PTH_H

#include "tensor/tensor.h"

typedef struct fw_pth_tensor {
    const char *name; /* NUL-terminated, owned by the fw_pth */
    fw_dtype dtype;
    fw_shape shape;
    const void *data; /* row-major, little-endian, may be unaligned; borrowed until close */
    size_t bytes;
} fw_pth_tensor;

typedef struct fw_pth fw_pth;
FW_NODISCARD fw_status fw_pth_open(const char *path, fw_pth **out, fw_err *err);
/* The same over caller's memory, borrowed until close; `where` names it in messages. For fuzzing. */
FW_NODISCARD fw_status fw_pth_open_mem(const void *data, size_t size, const char *where, fw_pth **out, fw_err *err);
void fw_pth_close(fw_pth *p);
int fw_pth_count(const fw_pth *p);
const fw_pth_tensor *fw_pth_at(const fw_pth *p, int i);
const fw_pth_tensor *fw_pth_find(const fw_pth *p, const char *name); /* NULL if absent */

#endif /* FW_MODEL_PTH_H */
