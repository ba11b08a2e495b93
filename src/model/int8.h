/*
 * int8.h - int8.safetensors beside a policy's weights: what calibration (calibrate.h) chose for each product that precision int8 rounds.
 *
 *   fw_int8 *q;
 *   FW_TRY(fw_int8_open(dir, NULL, &q, err));       // q is NULL when the folder has none
 *   fw_int8_apply(q, graph, err);                   // before plans of precision int8 are made
 *   fw_int8_done(q, err);                           // "... 'x.weight' is not part of the network"
 *
 * DESIGN. The file has one tensor for every weight of the network that int8 would round, named like it: F32 [columns], what the columns
 * of its input are divided by and its own multiplied (SmoothQuant, arXiv 2211.10438; all ones: nothing is moved), or BOOL [1] = 1: this
 * product stays exact. Its metadata say format "flywheel-int8-1" and the fingerprint of the weights it was made for; of other weights,
 * of another network, or with a scale that is not positive and finite it is refused, never used in part.
 */
#ifndef FW_MODEL_INT8_H
#define FW_MODEL_INT8_H

#include "tensor/plan.h"
#include "tensor/safetensors.h"

#define FW_INT8_FILE  "int8.safetensors"
#define FW_INT8_LEAST 0x1p-40f /* scales; further ones are no calibration's, and would overflow what they scale */
#define FW_INT8_MOST  0x1p40f

typedef struct fw_int8 fw_int8;
/* dir: the policy's folder. file: NULL: FW_INT8_FILE in dir, if there is one; "": none; else this file. *out owned, or NULL: none. */
FW_NODISCARD fw_status fw_int8_open(const char *dir, const char *file, fw_int8 **out, fw_err *err);
/* Over a file that is open (borrowed), without comparing fingerprints; where names it in messages. */
FW_NODISCARD fw_status fw_int8_of(const fw_st *st, const char *where, fw_int8 **out, fw_err *err);
void fw_int8_close(fw_int8 *q); /* NULL is fine */

/* Set how int8 plans take the weights of g (fw_params_set_int8). FW_SHAPE names the first that is missing or has another width.
 * q NULL: nothing happens. */
FW_NODISCARD fw_status fw_int8_apply(fw_int8 *q, const fw_graph *g, fw_err *err);
/* After the last graph. FW_SHAPE names the first tensor that no graph asked for. */
FW_NODISCARD fw_status fw_int8_done(const fw_int8 *q, fw_err *err);

/* One product, as it is written. */
typedef struct fw_int8_layer {
    const char *name;
    int64_t k;           /* columns */
    const float *smooth; /* [k], or NULL: nothing is moved */
    bool exact;
} fw_int8_layer;
/* For the weights in folder dir. meta_kv: as fw_st_write, beside format and fingerprint; may be NULL. Atomic. */
FW_NODISCARD fw_status fw_int8_save(const char *path, const char *dir, const fw_int8_layer *layer, int n,
                                    const char *const *meta_kv, fw_err *err);

#endif /* FW_MODEL_INT8_H */
