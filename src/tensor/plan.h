/*
 * plan.h - how a graph is run: kernels picked, weights packed once, one arena laid out by liveness.
 *
 * A plan with train = true also holds the backward of its first output (a scalar loss). Training and inference are two
 * plans; a plan of another device is another kernel table. Running allocates nothing and is deterministic: the same
 * inputs, parameters, seed and run number give the same bits, on any number of threads (work is cut into blocks by shapes alone
 * and sums are combined in the order of blocks). Another kernel table (FW_KERN) may round differently.
 *
 * Gradients are computed only towards parameters that were trainable when the plan was made: whoever freezes or thaws
 * makes a new plan. A frozen tower costs no backward, and its weights are packed once for all plans over one store.
 * Gradient checkpointing (arXiv 1604.06174): of a segment of the graph only what others read is kept; the rest is made again just
 * before the segment's backward. Gradients are the same bits, memory is that of one segment, time at most one more forward.
 * Plans over one store are made, repacked and freed by one thread at a time; they run independently.
 */
#ifndef FW_TENSOR_PLAN_H
#define FW_TENSOR_PLAN_H

#include "base/threads.h"
#include "tensor/graph.h"

struct fw_kern;
typedef struct fw_plan fw_plan;
/* What the operands of matrix products are rounded to inside the kernels; values between operations are f32 always. */
typedef enum fw_precision {
    FW_PRECISION_DEFAULT, /* exact, or what the environment's FW_KERN says */
    FW_PRECISION_BF16,    /* on a CPU without bfloat16 products: exact */
    FW_PRECISION_INT8     /* weights an output, activations a row; forward only */
} fw_precision;
/* The kernels that a plan of this precision uses on this CPU; NULL: none. */
const struct fw_kern *fw_precision_kern(fw_precision precision);
/* "f32", "bf16", "int8"; NULL: the default. FW_INVALID names what there is. */
FW_NODISCARD fw_status fw_precision_parse(const char *name, fw_precision *out, fw_err *err);
/* Somebody who looks at what meets the weights that precision int8 rounds: x [rows, k] before they are multiplied by w, k its columns;
 * a convolution shows windows. Called from the thread that runs the plan. */
typedef struct fw_watch {
    void (*see)(void *ctx, const fw_parameter *w, const float *x, int64_t rows, int64_t k);
    void *ctx;
} fw_watch;
typedef struct fw_plan_opts {
    fw_pool *pool; /* borrowed until the plan is freed; NULL: one thread */
    bool train;
    uint64_t seed; /* dropout */
    fw_precision precision;
    bool checkpoint;  /* training: by segments. FW_INVALID where none with a gradient has anything to make again */
    bool pack_at_use; /* inference that runs seldom: weights that may change are packed at each use, as in training */
    const fw_watch *watch; /* borrowed until the plan is freed; NULL: nobody */
} fw_plan_opts;

typedef struct fw_plan_info {
    size_t arena_bytes;  /* activations, gradients, weights packed in passing and scratch, after sharing by liveness */
    size_t naive_bytes;  /* the same without sharing */
    size_t packed_bytes; /* packed weights that stay, those shared with other plans included */
    double flops_forward, flops_backward; /* multiply-adds count as 2 */
    double flops_again;                   /* of what gradient checkpointing makes again */
    int n_step;
    fw_precision precision; /* that products have on this CPU; DEFAULT: exact */
} fw_plan_info;

/* outputs: values that must be readable after a run. The graph and its parameters must outlive the plan. */
FW_NODISCARD fw_status fw_plan_new(const fw_graph *g, const fw_plan_opts *opts, const fw_val *outputs, int n_output,
                                   fw_plan **out, fw_err *err);
void fw_plan_free(fw_plan *p);
void fw_plan_get_info(const fw_plan *p, fw_plan_info *out);

/* Memory of an input (write before a run; it keeps its values between runs) or an output (read after it). NULL for anything
 * else, an input that no output of this plan depends on included. */
void *fw_plan_data(fw_plan *p, fw_val v);
/* Forward, and backward when train. FW_INVALID for an embedding id out of range. No allocation. */
FW_NODISCARD fw_status fw_plan_run(fw_plan *p, fw_err *err);
/* The next run is the `run`-th (from 0): what dropout draws depends on (seed, run), so training that resumes sets it. */
void fw_plan_seek(fw_plan *p, uint64_t run);
/* d loss / d parameter of the last run, [shape]; NULL if the parameter is frozen or unused. Overwritten at each run. */
float *fw_plan_grad(fw_plan *p, const fw_parameter *param);
/* Parameters changed (optimiser step, load): pack them again. A training plan packs what it trains by itself, at each use. Weights of frozen
 * parameters are shared: all plans see them change. */
void fw_plan_repack(fw_plan *p);
/* Seconds spent per kind of operation since the last call, for benchmarks: prints a table to stderr. Off unless asked. */
void fw_plan_profile(fw_plan *p, bool on);

#endif /* FW_TENSOR_PLAN_H */
