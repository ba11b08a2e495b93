/*
 * learner.h - what the loop trains: a network, the data it learns from, and how rows of the one become inputs of the other.
 *
 *   FW_TRY(fw_learner_open(&cfg, dirs, n, pool, &l, err));   // flywheel-s, or a published policy
 *   l->v->fill(l, l->plan, rows, step);  fw_plan_run(l->plan, err);  ...
 *   FW_TRY(l->v->save(l, "out/policy", card, err));
 *   fw_learner_close(l);
 *
 * DESIGN. A plan takes cfg->micro rows; a step of cfg->batch rows runs it several times and sums the gradients, each run counting as
 * much as weight() says, which gives the gradient of the whole batch. What fill draws depends on (seed, row) alone.
 */
#ifndef FW_TRAIN_LEARNER_H
#define FW_TRAIN_LEARNER_H

#include <stdio.h>

#include "train/batch.h"

typedef struct fw_learner fw_learner;
typedef struct fw_learner_vtable {
    const char *name;
    /* rows [cfg->micro] into plan's inputs, noise included. at: names the noise of rows that have no draw of their own. */
    fw_status (*fill)(fw_learner *l, fw_plan *plan, const fw_batch_row *rows, uint64_t at, fw_err *err);
    /* What the mean loss over these rows counts in the mean over several runs; > 0. NULL: all count the same. */
    double (*weight)(const fw_learner *l, const fw_batch_row *rows);
    /* The policy as it is now into the folder out. */
    fw_status (*save)(fw_learner *l, const char *out, const char *card, fw_err *err);
    /* Its first lines and its own rows in the table of the card. */
    void (*title)(const fw_learner *l, FILE *card);
    void (*describe)(const fw_learner *l, FILE *card);
    /* What must not change between a run and its continuation, beyond config and data: *out owned text, NULL: nothing. */
    fw_status (*fingerprint)(const fw_learner *l, char **out, fw_err *err);
    void (*close)(fw_learner *l); /* frees l, all below excepted */
} fw_learner_vtable;

struct fw_learner {
    const fw_learner_vtable *v;
    const fw_train_cfg *cfg; /* borrowed until close */
    fw_pool *pool;           /* borrowed until close */
    fw_trainset data;
    fw_params *params; /* owned, as all below */
    fw_graph *graph;
    fw_plan *plan, *check; /* training; held-out loss, no dropout: NULL when nothing is held out */
    fw_optim *optim;
    fw_val loss;
};

/* *out owned: fw_learner_close. */
FW_NODISCARD fw_status fw_learner_open(const fw_train_cfg *cfg, const char *const *dirs, int n, fw_pool *pool,
                                       fw_learner **out, fw_err *err);
void fw_learner_close(fw_learner *l); /* NULL is fine */

/* ---- for those that make one ---- */
FW_NODISCARD fw_status fw_learner_flywheel(const fw_train_cfg *cfg, const char *const *dirs, int n, fw_pool *pool,
                                           fw_learner **out, fw_err *err);
FW_NODISCARD fw_status fw_learner_pretrained(const fw_train_cfg *cfg, const char *const *dirs, int n, fw_pool *pool,
                                             fw_learner **out, fw_err *err);
/* Plans and optimiser over l->graph, whose loss is l->loss. */
FW_NODISCARD fw_status fw_learner_plan(fw_learner *l, fw_err *err);

#endif /* FW_TRAIN_LEARNER_H */
