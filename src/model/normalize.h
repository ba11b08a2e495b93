/*
 * normalize.h - statistics of data that travel with the weights (stats.json), and the maps made from them.
 *
 * A key ("observation.state", "action", "features.front.10") has six vectors of one length. A map is
 * y = (x - shift) * scale, its inverse x = y / scale + shift. A dimension whose spread is below its floor uses the
 * floor: a joint that hardly moved must not turn noise into large numbers. A missing key or vector is an error that
 * names it.
 */
#ifndef FW_MODEL_NORMALIZE_H
#define FW_MODEL_NORMALIZE_H

#include <stddef.h>
#include <stdint.h>

#include "fw/embodiment.h"
#include "fw/status.h"

typedef struct fw_stat {
    const char *key; /* owned by the fw_stats */
    int n;
    const float *mean, *std, *min, *max, *q01, *q99; /* [n] each, finite; owned by the fw_stats */
} fw_stat;

typedef struct fw_stats fw_stats;
FW_NODISCARD fw_status fw_stats_new(fw_stats **out, fw_err *err);
void fw_stats_free(fw_stats *s);
/* LeRobot's layout: {"action": {"mean": [...], "std": [...], "min": ..., "max": ..., "q01": ..., "q99": ...}, ...} */
FW_NODISCARD fw_status fw_stats_load(const char *path, fw_stats **out, fw_err *err);
FW_NODISCARD fw_status fw_stats_save(const fw_stats *s, const char *path, fw_err *err);
/* Add or replace; the vectors are copied. FW_FORMAT for a value that is not finite or std < 0, with the dimension. */
FW_NODISCARD fw_status fw_stats_put(fw_stats *s, const char *key, int n, const float *mean, const float *std,
                                    const float *min, const float *max, const float *q01, const float *q99,
                                    fw_err *err);
/* FW_FORMAT "stats have no 'x'; they have ...", FW_SHAPE when its length is not n (n < 0: any). Borrowed until s
 * changes. */
FW_NODISCARD fw_status fw_stats_get(const fw_stats *s, const char *key, int n, fw_stat *out, fw_err *err);

typedef enum fw_norm_kind {
    FW_NORM_MEAN_STD, /* to mean 0, standard deviation 1 */
    FW_NORM_MIN_MAX,  /* [min, max] -> [-1, 1] */
    FW_NORM_QUANTILE, /* [q01, q99] -> [-1, 1] */
} fw_norm_kind;

typedef struct fw_norm {
    int n;
    float *shift, *scale; /* [n] each; one owned block at shift */
} fw_norm;
/* floor: smallest std (or half range) of each dimension, [n], in the data's units; NULL: 1e-6 everywhere. */
FW_NODISCARD fw_status fw_norm_make(const fw_stat *st, fw_norm_kind kind, const float *floor, fw_norm *out,
                                    fw_err *err);
/* The map of an embodiment's dims: mean and std with a floor by meaning (1 mm, 0.01 rad, ...); grippers by min and max.
 */
FW_NODISCARD fw_status fw_norm_dims(const fw_stat *st, const fw_dim *dims, int n, fw_norm *out, fw_err *err);
void fw_norm_clear(fw_norm *nm);
/* x, y [rows, n]; may be the same memory. */
void fw_norm_apply(const fw_norm *nm, const float *x, float *y, size_t rows);
void fw_norm_invert(const fw_norm *nm, const float *y, float *x, size_t rows);
/* The same from half precision: what the loader does with cached tower features (n = channels). */
void fw_norm_apply_f16(const fw_norm *nm, const uint16_t *x, float *y, size_t rows);

/* IEEE half precision, round to nearest even, saturating. */
uint16_t fw_f16_from_f32(float x);
float fw_f32_from_f16(uint16_t h);

#endif /* FW_MODEL_NORMALIZE_H */
