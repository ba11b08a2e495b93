/*
 * optim.h - AdamW with clipping and an exponential moving average of the weights, and the learning rate over time.
 *
 *   fw_optim *o;
 *   FW_TRY(fw_optim_new(params, &(fw_optim_opts)FW_OPTIM_OPTS_DEFAULT, pool, &o, err));
 *   FW_TRY(fw_plan_run(plan, err));
 *   FW_TRY(fw_optim_step(o, plan, fw_lr_at(&sched, progress, step), &norm, err));
 *
 * DESIGN. All state (first and second moments, and averaged weights where they are asked for) is one block in the order of the trainable
 * parameters.
 * A step walks that block twice over spans of a fixed size through the pool: once to sum the squared gradient (a double
 * a span, added up in span order, so that the sum does not depend on which thread did what), once to update. Same bits
 * for any number of threads. AdamW: arXiv 1711.05101, as in PyTorch's torch.optim.AdamW. Matrices decay, vectors
 * (biases, norms) only when asked: published policies were trained so.
 */
#ifndef FW_TRAIN_OPTIM_H
#define FW_TRAIN_OPTIM_H

#include "base/threads.h"
#include "tensor/plan.h"

typedef struct fw_optim_opts {
    double beta1, beta2, eps;
    double weight_decay; /* decoupled, of parameters with two or more dimensions */
    bool decay_vectors;  /* of the others, too */
    double clip_norm;    /* largest norm of the whole gradient; 0 = no clipping */
    double
        ema_decay; /* of the averaged weights, in [0, 1); early steps use min(ema_decay, (1 + t) / (10 + t)); 0: none are kept */
} fw_optim_opts;
#define FW_OPTIM_OPTS_DEFAULT                                                                                          \
    { .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01, .clip_norm = 1.0, .ema_decay = 0.999 }

typedef struct fw_optim fw_optim;
/* For the parameters that are trainable now. params and pool (NULL: one thread) are borrowed until fw_optim_free; the
 * average starts as the weights. FW_INVALID: nothing is trainable, or an option out of range. */
FW_NODISCARD fw_status fw_optim_new(fw_params *params, const fw_optim_opts *opts, fw_pool *pool, fw_optim **out,
                                    fw_err *err);
void fw_optim_free(fw_optim *o);

int fw_optim_count(const fw_optim *o);                        /* trainable parameters */
const fw_parameter *fw_optim_param(const fw_optim *o, int i); /* the i-th of them */
int64_t fw_optim_values(const fw_optim *o);                   /* numbers in all of them */
int64_t fw_optim_steps(const fw_optim *o);                    /* steps taken */
void fw_optim_set_steps(fw_optim *o, int64_t steps);          /* when state was loaded */
/* Multiply the learning rate of parameters whose name begins with prefix (fine-tuning a tower); how many those are. */
int fw_optim_lr_scale(fw_optim *o, const char *prefix, double scale);

/* One step with gradients grad[fw_optim_count] (each [shape], or NULL for an unused parameter, which then stays).
 * norm: of the gradient before clipping, may be NULL. FW_INVALID, and nothing changed, when a gradient is not finite:
 * the message names the parameter. */
FW_NODISCARD fw_status fw_optim_step_grads(fw_optim *o, const float *const *grad, double lr, double *norm, fw_err *err);
/* The same with the gradients of a plan's last run. */
FW_NODISCARD fw_status fw_optim_step(fw_optim *o, fw_plan *plan, double lr, double *norm, fw_err *err);

/* State of parameter i, [shape] each: borrowed, writable (checkpoints). NULL: the average where ema_decay is 0, which is the weights. */
typedef enum fw_optim_slot { FW_OPTIM_M, FW_OPTIM_V, FW_OPTIM_EMA } fw_optim_slot;
float *fw_optim_state(fw_optim *o, fw_optim_slot slot, int i);
/* Exchange weights and average: call before and after validating or exporting with the averaged weights. */
void fw_optim_swap_ema(fw_optim *o);

/* Learning rate: linear warm-up over `warmup` steps, then a cosine from lr to lr * final_ratio as progress goes 0..1. */
typedef struct fw_lr_sched {
    double lr;
    int64_t warmup;
    double final_ratio;
    bool
        joined; /* as LeRobot has it: the warm-up goes from lr / (warmup + 1) to lr, and the cosine waits for its end */
} fw_lr_sched;
double fw_lr_at(const fw_lr_sched *s, double progress, int64_t step);

#endif /* FW_TRAIN_OPTIM_H */
