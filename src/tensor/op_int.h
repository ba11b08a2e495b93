/*
 * op_int.h - what an operation is to the graph and to the planner. Private to this module.
 *
 * An operation lives in one file op_<name>.c: its builder (the public function: checks shapes, creates parameters, adds
 * a node), its forward, its backward, and an fw_op that tells the planner everything else it must know. The planner knows no
 * operation by name.
 *
 * Splitting over threads: always into blocks whose size depends on shapes only (fw_split), reductions combined in the
 * order of blocks. So results do not depend on the number of threads.
 */
#ifndef FW_TENSOR_OP_INT_H
#define FW_TENSOR_OP_INT_H

#include "base/threads.h"
#include "kern/kern.h"
#include "tensor/graph.h"
#include "tensor/plan.h"
#include "tensor/tensor_int.h"

#define FW_MAX_IN 16
#define FW_NEED_Y (1u << 31)

typedef struct fw_op fw_op;

typedef struct fw_node {
    const fw_op *op;
    fw_val in[FW_MAX_IN]; /* operands, parameters included; FW_NONE where optional and absent */
    int n_in;
    fw_val out;
    bool exact;  /* fp32 kernels whatever the plan's precision */
    int segment; /* nodes of one are neighbours; 0: none */
    union {      /* what the operation was called with */
        struct {
            fw_act act;
        } linear, activation, film;
        struct {
            fw_conv dim;
            int64_t batch;
            fw_act act;
        } conv;
        fw_attn_opts attention;
        struct {
            int n_head; /* table: 0 */
            double theta;
        } rope;
        struct {
            int axis[FW_MAX_DIMS];
        } permute;
        struct {
            float eps;
        } norm;
        struct {
            float a;
        } scale;
        struct {
            float p;
            uint64_t stream;
        } dropout;
        struct {
            int axis;
            int64_t from;
        } slice;
        struct {
            fw_bop op;
            fw_bcast dim;
        } bcast;
    } u;
} fw_node;

typedef struct fw_value {
    fw_shape shape;
    fw_dtype dtype;
    fw_val root;         /* itself, or the value whose memory it shares (reshape) */
    fw_parameter *param; /* a parameter, or NULL */
    int node;            /* index of the node that makes it, or -1 */
} fw_value;

struct fw_graph {
    fw_params *params; /* borrowed */
    fw_value *val;
    int n_val, cap_val;
    fw_node *node;
    int n_node, cap_node;
    uint64_t n_dropout;
    bool exact;
    int segment, n_segment;
    const fw_lora *lora; /* borrowed; NULL: no adapters */
    fw_err err;          /* the first mistake; code FW_OK while there is none */
};

/* One call of an operation, every pointer resolved when the plan is made. */
typedef struct fw_step {
    const fw_graph *g;
    const fw_node *node;
    const fw_kern *kern;
    fw_pool *pool; /* or NULL */
    const void *x[FW_MAX_IN];
    void *y; /* forward: to write; backward: to read, if asked for by needs */
    const float *dy;
    float *dx[FW_MAX_IN]; /* NULL: not wanted */
    bool add[FW_MAX_IN];  /* dx += instead of dx = (only FW_GRAD_BOTH sees true) */
    void *save;           /* written by forward for backward; NULL in a plan without gradients through this node */
    void *pack[2];        /* packed weights */
    void *scratch;        /* shared by the workers of this step */
    char *worker;         /* scratch of worker i at worker + i * worker_stride */
    size_t worker_stride;
    bool train, backward;
    uint64_t seed; /* of this run */
    unsigned want; /* operands that get a gradient */
} fw_step;

/* What backward does to dx[i]; the planner does the rest (clears first, or adds from a temporary). */
typedef enum fw_grad_mode { FW_GRAD_WRITE, FW_GRAD_ADD, FW_GRAD_BOTH } fw_grad_mode;

typedef struct fw_scratch {
    size_t shared, per_worker; /* bytes */
} fw_scratch;

struct fw_op {
    const char *name;
    unsigned diff;                /* operands that can get a gradient (bits) */
    fw_grad_mode grad[FW_MAX_IN]; /* of each operand */
    fw_status (*forward)(const fw_step *s, fw_err *err);
    void (*backward)(const fw_step *s);
    /* Which operands (bits), and the output (FW_NEED_Y), backward reads when it makes the gradients `want`. NULL: none. */
    unsigned (*needs)(const fw_graph *g, const fw_node *n, unsigned want);
    /* Multiply-adds count 2. want 0: of forward; else of backward. */
    double (*flops)(const fw_graph *g, const fw_node *n, unsigned want);
    /* The rest may be NULL: nothing. */
    size_t (*save_bytes)(const fw_graph *g, const fw_node *n, unsigned want);
    fw_scratch (*scratch)(const fw_graph *g, const fw_node *n, const fw_kern *k, unsigned want, bool backward);
    size_t (*pack_bytes)(const fw_graph *g, const fw_node *n, const fw_kern *k,
                         int which); /* 0: forward, 1: backward */
    void (*pack)(const fw_step *s, int which);
    unsigned pack_in;   /* the operand that is packed */
    unsigned pack_want; /* pack 1 is needed when one of these gradients is wanted */
    /* Products only: show w the rows that meet the weight. Operations without are never rounded to int8. */
    void (*watch)(const fw_step *s, const fw_watch *w);
    bool identity_in_inference; /* the output is operand 0 in plans without training (dropout) */
};

/* ---- building ---- */
/* Record the first mistake; returns FW_NONE. */
fw_val fw_graph_fail(fw_graph *g, fw_status code, const char *fmt, ...) FW_PRINTF(3, 4);
/* False (and nothing recorded) when a needed operand is FW_NONE or the graph already failed; false and recorded when v is no
 * value of the graph or not of this type. */
bool fw_graph_takes(fw_graph *g, const char *op, fw_val v, fw_dtype dtype);
fw_val fw_graph_add(fw_graph *g, const fw_node *proto, fw_shape shape);
/* fw_param that may be kept in bfloat16: for operations that read param->half. */
fw_val fw_param_any(fw_graph *g, const char *name, fw_shape shape, fw_init init);
static inline const fw_shape *fw_shape_of(const fw_graph *g, fw_val v) {
    return &g->val[v].shape;
}
/* All dimensions but the last; the last. */
int64_t fw_rows(const fw_shape *s);
int64_t fw_cols(const fw_shape *s);
static inline fw_init fw_init_fan(int64_t fan_in) {
    /* U(-1/sqrt(k), 1/sqrt(k)) */
    return (fw_init){FW_INIT_UNIFORM, (float)(1.0 / __builtin_sqrt((double)fan_in))};
}

/* The geometry of a convolution of x; false and recorded when it is impossible (op_conv.c). */
bool fw_conv_dim(fw_graph *g, const char *op, const char *w_name, fw_val x, int64_t o, int kh, int kw, int stride,
                 const int pad[4], fw_conv *d);

/* fw_op.watch of a convolution (op_conv.c). */
void fw_conv_watch(const fw_step *s, const fw_watch *w);

/* ---- running ---- */
/* Items [i0,i1) of a split; index: number of the block; scratch: the worker's own. */
typedef struct fw_part {
    int64_t i0, i1;
    int index;
    void *scratch;
} fw_part;
/* fn over [0,n) in blocks of `block`, on the pool. */
typedef void fw_split_fn(const fw_step *s, const void *arg, fw_part part);
void fw_split(const fw_step *s, const void *arg, int64_t n, int64_t block, fw_split_fn *fn);
/* A block size for n items of `cost` elements each: about 16k elements, at most FW_MAX_BLOCK blocks. */
#define FW_MAX_BLOCK 32
int64_t fw_block(int64_t n, int64_t cost);
/* The same for sums over r rows of c elements, of which each block keeps its own: at most FW_MAX_PART blocks. */
#define FW_MAX_PART 8
int64_t fw_part_block(int64_t r, int64_t c);
static inline int64_t fw_n_part(int64_t r, int64_t c) {
    int64_t b = fw_part_block(r, c);
    return (r + b - 1) / b;
}
static inline const float *fw_x(const fw_step *s, int k) {
    return s->x[k];
}

/* Matrix products over the pool (gemm_par.c). g: the whole product; scratch from fw_gemm_scratch. */
void fw_gemm_par(const fw_step *s, const fw_gemm *g);
size_t fw_gemm_par_scratch(const fw_kern *k, int64_t m, int64_t n, int64_t kk, bool trans_a); /* per worker */
void fw_gemm_pack_par(const fw_step *s, void *dst, const float *b, int64_t ldb, fw_layout layout, int64_t n, int64_t k,
                      const float *smooth /* [k] or NULL: gemm_pack_smooth */);
/* The same of a parameter [rows, ldb] in f32 or bfloat16, smoothed as it says (FW_NK only); in bfloat16 only while a plan is made, with worker scratch for
 * fw_gemm_pack_half_scratch bytes. */
void fw_gemm_pack_param(const fw_step *s, void *dst, const fw_parameter *w, fw_layout layout, int64_t n, int64_t k);
size_t fw_gemm_pack_half_scratch(const fw_kern *kern, const fw_parameter *w);
/* dw [o, kh*kw*c] = or += the gradient of a weight from x and dz [rows, o]; rows over the threads. scratch: of
 * fw_weight_grad_scratch bytes; a worker needs kern->conv_scratch(d). */
void fw_weight_grad(const fw_step *s, const fw_conv *d, const float *x, const float *dz, int64_t rows, float *dw,
                    bool add, void *scratch);
size_t fw_weight_grad_scratch(const fw_conv *d, int64_t rows);
/* y[c] = or += the column sums of x [r,c] */
void fw_colsum_par(const fw_step *s, const float *x, int64_t r, int64_t c, float *y, bool add);
/* y = x or y += x */
void fw_copy_par(const fw_step *s, const float *x, float *y, bool add, int64_t n);
/* dx = dy * act'(x) */
void fw_act_bwd_par(const fw_step *s, fw_act act, const float *x, const float *dy, float *dx, bool add, int64_t n);

#endif /* FW_TENSOR_OP_INT_H */
