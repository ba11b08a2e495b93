/* tensor.h - dtypes, shapes, and named parameters. Row-major, last index fastest. */
#ifndef FW_TENSOR_TENSOR_H
#define FW_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fw/status.h"

typedef enum fw_dtype {
    FW_F32,
    FW_F16,
    FW_BF16,
    FW_F64,
    FW_I8,
    FW_U8,
    FW_I16,
    FW_I32,
    FW_I64,
    FW_BOOL,
    FW_N_DTYPE
} fw_dtype;
size_t fw_dtype_bytes(fw_dtype d);
const char *fw_dtype_name(fw_dtype d); /* safetensors' names: "F32", "BF16", ... */

#define FW_MAX_DIMS 5
typedef struct fw_shape {
    int n;                  /* number of dimensions, 0 = scalar */
    int64_t d[FW_MAX_DIMS]; /* each >= 1 */
} fw_shape;
/* FW_SHAPE_OF(2, 3) -> {2, {2, 3}} */
#define FW_SHAPE_OF(...) ((fw_shape){(int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__}})
int64_t fw_shape_count(const fw_shape *s);
bool fw_shape_eq(const fw_shape *a, const fw_shape *b);
/* "[2,3]" */
const char *fw_shape_str(const fw_shape *s, char *buf, size_t cap);

/* ---- parameters: fp32 masters, shared by every graph and plan built over them; or bfloat16 that is only read ---- */

typedef enum fw_init_kind { FW_INIT_ZERO, FW_INIT_ONE, FW_INIT_NORMAL, FW_INIT_UNIFORM } fw_init_kind;
typedef struct fw_init {
    fw_init_kind kind;
    float scale; /* std, or half width */
} fw_init;

typedef struct fw_parameter {
    char name[160];
    fw_shape shape;
    float *data;          /* [shape], 64-byte aligned, owned by the store; NULL when it is kept in bfloat16 */
    const uint16_t *half; /* [shape] bfloat16, or NULL: fw_params_put_half */
    bool trainable;       /* frozen parameters get no gradient and may be packed once */
    bool loaded;          /* came from a file rather than from its initialiser */
    float *smooth; /* plans of precision int8, see fw_params_set_int8; owned by the store, NULL: nothing is moved */
    bool exact;    /* these plans do not round it */
} fw_parameter;

typedef struct fw_params fw_params;
FW_NODISCARD fw_status fw_params_new(uint64_t seed, fw_params **out, fw_err *err);
void fw_params_free(fw_params *p);
int fw_params_count(const fw_params *p);
fw_parameter *fw_params_at(fw_params *p, int i);              /* in order of creation; stable pointers */
fw_parameter *fw_params_find(fw_params *p, const char *name); /* NULL if absent */
/* The one called name: created and initialised from (seed, name) on first use; afterwards the shape must agree (FW_SHAPE). */
FW_NODISCARD fw_status fw_params_get(fw_params *p, const char *name, const fw_shape *shape, fw_init init,
                                     fw_parameter **out, fw_err *err);
/* A frozen parameter kept in bfloat16, for weights of linear layers and tables of embeddings only: [shape], borrowed until the
 * store is freed (a mapped file), or owned by the store from now on (allocated by malloc; freed here also on failure).
 * FW_INVALID when there is one of this name. */
FW_NODISCARD fw_status fw_params_put_half(fw_params *p, const char *name, const fw_shape *shape, const uint16_t *half,
                                          bool owned, fw_err *err);
/* Where the values of parameters come from that are created from now on, instead of their initialiser: a checkpoint. An error
 * fails fw_params_get, and so the graph that asked. Borrowed until the store is freed. */
typedef struct fw_param_source {
    void *ctx;
    /* May be asked first, for the weights of linear layers and the tables of embeddings: *half, if it sets it, is kept as
     * fw_params_put_half would; left NULL, read is called. NULL: never. */
    fw_status (*read_half)(void *ctx, const char *name, const fw_shape *shape, const uint16_t **half, bool *owned,
                           fw_err *err);
    fw_status (*read)(void *ctx, const char *name, const fw_shape *shape, float *data /* [shape] */, fw_err *err);
} fw_param_source;
void fw_params_set_source(fw_params *p, const fw_param_source *source);
/* How plans of precision int8 that are made from now on take p as a weight of k columns (of a convolution: kh * kw * C). smooth [k],
 * copied: each column of the input is divided by it and that of the weight multiplied, before both are rounded; NULL: none. exact: the
 * product is not rounded at all. FW_SHAPE: k is not the number of p's columns. */
FW_NODISCARD fw_status fw_params_set_int8(fw_parameter *p, const float *smooth, int64_t k, bool exact, fw_err *err);
/* Freeze or thaw every parameter whose name begins with prefix (bfloat16 ones stay frozen); returns how many. */
int fw_params_set_trainable(fw_params *p, const char *prefix, bool trainable);

#endif /* FW_TENSOR_TENSOR_H */
