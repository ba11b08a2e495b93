/*
 * trainstate.h - a run that can be killed: everything it needs to go on as if it had not been, in one file.
 *
 * One safetensors file, replaced atomically: "w.<name>", "m.<name>", "v.<name>", and "ema.<name>" if averaged weights are kept, in f32
 * for every trainable parameter, and as metadata the step, the time spent, the rows of a run, and fingerprints of the config and the
 * data, which must agree when it is read again. Batches, noise and dropout depend on (seed, step) alone, so nothing else is state: a
 * resumed run gives the same bits on the same kind of machine, shared by however many threads and ranks.
 */
#ifndef FW_TRAIN_TRAINSTATE_H
#define FW_TRAIN_TRAINSTATE_H

#include "train/optim.h"

typedef struct fw_trainstate {
    int64_t step;              /* steps done */
    double elapsed_s;          /* spent in steps, over all parts of the run */
    double loss;               /* smoothed training loss */
    int64_t micro;             /* rows of one run of the network */
    const char *config, *data; /* fingerprints: borrowed */
} fw_trainstate;

FW_NODISCARD fw_status fw_trainstate_save(const char *path, fw_optim *o, const fw_trainstate *s, fw_err *err);
/* Into o and its parameters; s->config and s->data are given, the rest is read. FW_INVALID when the file is of another
 * config or of other data, FW_SHAPE when a tensor is missing or misshapen; nothing is changed unless FW_OK. */
FW_NODISCARD fw_status fw_trainstate_load(const char *path, fw_optim *o, fw_trainstate *s, fw_err *err);

/* The rows of a run alone, before there is anything to load into; 0 when the file does not say. */
FW_NODISCARD fw_status fw_trainstate_micro(const char *path, int64_t *micro, fw_err *err);

#endif /* FW_TRAIN_TRAINSTATE_H */
