/*
 * calibrate.h - which scales and which exact products make int8 come nearest to what a network computes exactly.
 *
 *   fw_calibration *c;
 *   FW_TRY(fw_calibration_new(&c, err));
 *   fw_policy_open(dir, &(fw_policy_opts){.int8 = "", .watch = fw_calibration_watch(c)}, &p, err);   // exact
 *   ... fw_policy_infer on recorded observations ...
 *   FW_TRY(fw_calibration_choose(c, &FW_CALIBRATION_OPTS_DEFAULT, pool, err));                       // while p is open
 *   FW_TRY(fw_calibration_save(c, path, dir, meta, err));
 *
 * DESIGN. Of every product int8 would round, the largest magnitude of each input column is kept, and a sample of input rows: those whose
 * bits hash lowest, so that it depends on what was seen and not on its order, and rows that repeat count once. Then each product is
 * computed on its sample: exactly, in int8 as it is, and in int8 with the columns' scales
 *
 *   s[k] = max |x[:,k]|^alpha / max |w[:,k]|^(1 - alpha)        (SmoothQuant, arXiv 2211.10438)
 *
 * for each alpha tried; the one with the smallest error stays, if it is clearly below that without. Products that are still worse than
 * exact_above stay exact, the worst first, as long as all of these together are no more than `budget` of the multiplications.
 */
#ifndef FW_MODEL_CALIBRATE_H
#define FW_MODEL_CALIBRATE_H

#include "base/threads.h"
#include "model/int8.h"

typedef struct fw_calibration fw_calibration;
FW_NODISCARD fw_status fw_calibration_new(fw_calibration **out, fw_err *err);
void fw_calibration_free(fw_calibration *c); /* NULL is fine */
/* For plans of the exact network; valid until c is freed. Several threads may call it. After choosing it looks no more. */
const fw_watch *fw_calibration_watch(fw_calibration *c);
int fw_calibration_count(const fw_calibration *c); /* products seen */

typedef struct fw_calibration_opts {
    double alpha;       /* in [0,1]; negative: searched a product */
    double exact_above; /* error of a product */
    double budget;      /* share of all multiplications */
    /* Called with the number of products done, from one thread at a time; NULL: nobody. */
    void (*progress)(void *ctx, int done);
    void *ctx;
} fw_calibration_opts;
#define FW_CALIBRATION_OPTS_DEFAULT ((fw_calibration_opts){-1.0, 0.05, 0.1, NULL, NULL})

/* What was found for a product, worst first after choosing. Errors: |y - exact| / |exact| over the sample, root of squares. */
typedef struct fw_calibration_layer {
    const char *name; /* of the weight; borrowed until c is freed */
    int64_t n, k;     /* outputs, columns */
    double share;     /* of all multiplications */
    double spread;    /* the largest column's magnitude over the median one's: how far outliers stand out */
    double plain, error;
    double alpha; /* negative: nothing is moved */
    bool exact;
} fw_calibration_layer;
/* The parameters that were seen must still be there. pool may be NULL. FW_INVALID: nothing was seen. */
FW_NODISCARD fw_status fw_calibration_choose(fw_calibration *c, const fw_calibration_opts *o, fw_pool *pool,
                                             fw_err *err);
/* i < count, after choosing. */
const fw_calibration_layer *fw_calibration_at(const fw_calibration *c, int i);
/* As fw_int8_save. */
FW_NODISCARD fw_status fw_calibration_save(const fw_calibration *c, const char *path, const char *dir,
                                           const char *const *meta_kv, fw_err *err);

#endif /* FW_MODEL_CALIBRATE_H */
