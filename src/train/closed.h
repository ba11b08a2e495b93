/*
 * closed.h - a policy judged by what it does: episodes of a suite in simulation.
 *
 *   fw_closed_opts o = {.suite = "kitchen3", .policy = "models/kitchen3", .episodes = 100, .seed = 7};
 *   FW_TRY(fw_closed_run(&o, &r, err));
 *   ... r->task[k].success of r->task[k].n ...
 *   fw_closed_free(r);
 *
 * DESIGN. Paired seeds: episode i plays scene fw_closed_seed(seed, i) for every task and every policy, and its sentence is
 * the i-th of the task's (cyclic), so two runs differ by the policy alone. Workers are forked processes, because physics
 * may end its process and an OpenGL context belongs to one; they claim episodes from a counter in shared memory and
 * write outcomes there. A worker that dies names the episode it died in. An episode does not depend on the worker or
 * on the order, so a failure is filmed by playing it again.
 */
#ifndef FW_TRAIN_CLOSED_H
#define FW_TRAIN_CLOSED_H

#include <stdbool.h>
#include <stdint.h>

#include "task/task.h"

typedef struct fw_closed_opts fw_closed_opts;
typedef struct fw_closed_outcome fw_closed_outcome;

/* Another way to play an episode than fw_env_step: through a robot's control loop (cli/eval_control.c). One object a worker. */
typedef struct fw_closed_through {
    /* policy: borrowed, NULL: the expert. *self owned: close. */
    fw_status (*open)(const fw_closed_opts *o, fw_policy *policy, void **self, fw_err *err);
    /* The scene of a seed, the i-th sentence of its task. FW_CLOSED: there is no such scene. */
    fw_status (*play)(void *self, int task, int64_t i, uint64_t seed, fw_closed_outcome *out, fw_err *err);
    void (*close)(void *self); /* NULL is fine */
} fw_closed_through;

struct fw_closed_opts {
    const char *suite;
    const char *policy;              /* folder; NULL: the scripted expert */
    const char *precision;           /* of its products: fw_precision_parse; NULL: the default */
    const char *task;                /* only this one; NULL: all */
    const char *domain;              /* ranges to draw scenes from (configs/randomise); NULL: the suite's */
    const char *embodiment;          /* another robot than the suite's; NULL: the suite's */
    uint64_t home_first, home_count; /* other homes than the suite's; count 0: the suite's */
    int64_t episodes;                /* a task */
    uint64_t seed;
    bool held_out_phrasings; /* sentences that are never in training data */
    int delay; /* control steps from an observation to the first action of its chunk; until then the last chunk goes on */
    bool forget_prefix; /* do not tell the policy what will be executed until then */
    bool swap;          /* judge task i, say the sentence of another one */
    const char *videos; /* folder for films of failures (the first max_videos); NULL: none */
    int max_videos;
    int workers;                      /* processes; <= 0: all CPUs */
    bool numb;                        /* through: contacts are not felt */
    const fw_closed_through *through; /* NULL: by fw_env_step. The policy's own task only: no swap, no films */
};

struct fw_closed_outcome {
    bool played, success, wrong_object, diverged;
    bool said;         /* swap: the goal of the sentence was reached */
    int32_t said_task; /* the task whose sentence was said */
    int32_t steps, inferences;
    float infer_s;   /* sum */
    char reason[96]; /* why it is no success */
};

typedef struct fw_closed_task {
    char name[FW_NAME_MAX];
    int64_t n, success, wrong_object, diverged, said;
} fw_closed_task;

typedef struct fw_closed_result {
    int n_task;
    fw_closed_task task[FW_TASK_MAX];
    fw_closed_task all; /* sums, called "all" */
    int64_t episodes;
    double infer_ms;            /* mean time of a chunk */
    fw_closed_outcome *outcome; /* owned [n_task][episodes] */
} fw_closed_result;

/* The scene of episode i: 48 bits, so that any JSON reader keeps it. */
uint64_t fw_closed_seed(uint64_t seed, int64_t i);
FW_NODISCARD fw_status fw_closed_run(const fw_closed_opts *opts, fw_closed_result *out, fw_err *err);
void fw_closed_free(fw_closed_result *r);

#endif /* FW_TRAIN_CLOSED_H */
