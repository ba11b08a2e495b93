/*
 * batch.h - rows of a trainset into the inputs of a plan.
 *
 * Row b of training step s is draw s * B + b of the sampler, and its noise comes from a stream named by (seed, draw):
 * a batch depends on its step alone, never on threads or on where training was resumed.
 */
#ifndef FW_TRAIN_BATCH_H
#define FW_TRAIN_BATCH_H

#include "data/sampler.h"
#include "train/trainset.h"

typedef struct fw_batch_row {
    int64_t episode; /* into trainset.episode */
    int64_t t;       /* frame of it */
    int64_t draw;    /* names its noise; < 0: no augmentation */
} fw_batch_row;

/* Write rows[io->batch] into plan's inputs, through the pool (NULL: this thread). target and weight only when io has
 * them. */
void fw_batch_fill(const fw_trainset *ts, const fw_flywheel_io *io, fw_plan *plan, fw_pool *pool,
                   const fw_batch_row *rows);

/* A sampler over the training episodes of all datasets, a frame as likely as any other. Free with fw_sampler_free. */
FW_NODISCARD fw_status fw_batch_sampler(const fw_trainset *ts, fw_sampler **out, fw_err *err);
/* The rows of training step `step`. Moves the sampler. */
void fw_batch_draw(const fw_trainset *ts, fw_sampler *sampler, int64_t step, int64_t batch, fw_batch_row *rows);
/* `batch` rows of held-out frames, evenly spread, the k-th of n_part interleaved parts; false when nothing is held out. */
bool fw_batch_held_out(const fw_trainset *ts, int64_t part, int64_t n_part, int64_t batch, fw_batch_row *rows);

#endif /* FW_TRAIN_BATCH_H */
