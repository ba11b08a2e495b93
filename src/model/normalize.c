/* normalize.c - statistics on disk (LeRobot's stats.json) and the linear maps made from them */
#include "model/normalize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "kern/kern.h"

enum { MEAN, STD, MIN, MAX, Q01, Q99, N_VEC };
static const char *const vec_name[N_VEC] = {"mean", "std", "min", "max", "q01", "q99"};

typedef struct entry {
    char *key;
    int n;
    float *v; /* [N_VEC, n] */
} entry;

struct fw_stats {
    entry *e;
    int n, cap;
};

fw_status fw_stats_new(fw_stats **out, fw_err *err) {
    *out = calloc(1, sizeof **out);
    return *out != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "no memory for statistics");
}

void fw_stats_free(fw_stats *s) {
    if (s == NULL) {
        return;
    }
    for (int i = 0; i < s->n; i++) {
        free(s->e[i].key);
        free(s->e[i].v);
    }
    free(s->e);
    free(s);
}

static fw_status check_values(const char *key, int n, const float *const v[N_VEC], fw_err *err) {
    for (int k = 0; k < N_VEC; k++) {
        for (int i = 0; i < n; i++) {
            if (!isfinite(v[k][i])) {
                return fw_fail(err, FW_FORMAT, "statistics '%s': %s[%d] is not finite", key, vec_name[k], i);
            }
        }
    }
    for (int i = 0; i < n; i++) {
        if (v[STD][i] < 0.0f || v[MAX][i] < v[MIN][i] || v[Q99][i] < v[Q01][i]) {
            return fw_fail(
                err, FW_FORMAT, "statistics '%s'[%d]: std %g, min %g, max %g, q01 %g, q99 %g do not fit together", key,
                i, (double)v[STD][i], (double)v[MIN][i], (double)v[MAX][i], (double)v[Q01][i], (double)v[Q99][i]);
        }
    }
    return FW_OK;
}

static entry *find(const fw_stats *s, const char *key) {
    for (int i = 0; i < s->n; i++) {
        if (strcmp(s->e[i].key, key) == 0) {
            return &s->e[i];
        }
    }
    return NULL;
}

/* The entry called key, new and empty if there was none; NULL when out of memory. */
static entry *find_or_add(fw_stats *s, const char *key) {
    entry *e = find(s, key);
    if (e != NULL) {
        return e;
    }
    if (s->n == s->cap) {
        int cap = s->cap > 0 ? 2 * s->cap : 8;
        entry *grown = realloc(s->e, (size_t)cap * sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        s->e = grown;
        s->cap = cap;
    }
    char *name = strdup(key);
    if (name == NULL) {
        return NULL;
    }
    s->e[s->n] = (entry){name, 0, NULL};
    return &s->e[s->n++];
}

fw_status fw_stats_put(fw_stats *s, const char *key, int n, const float *mean, const float *std, const float *min,
                       const float *max, const float *q01, const float *q99, fw_err *err) {
    const float *const v[N_VEC] = {mean, std, min, max, q01, q99};
    if (n < 1 || n > 1 << 20) {
        return fw_fail(err, FW_FORMAT, "statistics '%s': %d values", key, n);
    }
    FW_TRY(check_values(key, n, v, err));
    float *copy = malloc(sizeof(float) * N_VEC * (size_t)n);
    entry *e = copy != NULL ? find_or_add(s, key) : NULL;
    if (e == NULL) {
        free(copy);
        return fw_fail(err, FW_NOMEM, "no memory for statistics '%s'", key);
    }
    for (int k = 0; k < N_VEC; k++) {
        memcpy(copy + (size_t)k * (size_t)n, v[k], sizeof(float) * (size_t)n);
    }
    free(e->v);
    e->v = copy;
    e->n = n;
    return FW_OK;
}

fw_status fw_stats_get(const fw_stats *s, const char *key, int n, fw_stat *out, fw_err *err) {
    const entry *e = find(s, key);
    if (e == NULL) {
        char have[160] = "nothing";
        size_t at = 0;
        for (int i = 0; i < s->n && at + 2 < sizeof have; i++) {
            int w = snprintf(have + at, sizeof have - at, "%s%s", i > 0 ? ", " : "", s->e[i].key);
            at += w > 0 ? (size_t)w : 0;
        }
        return fw_fail(err, FW_FORMAT, "the statistics have no '%s'; they have %s", key, have);
    }
    if (n >= 0 && e->n != n) {
        return fw_fail(err, FW_SHAPE, "statistics '%s' have %d values, wanted %d", key, e->n, n);
    }
    size_t step = (size_t)e->n;
    *out =
        (fw_stat){e->key, e->n, e->v, e->v + step, e->v + 2 * step, e->v + 3 * step, e->v + 4 * step, e->v + 5 * step};
    return FW_OK;
}

/* ---- stats.json ---- */

/* One key's object: six arrays of one length. */
static fw_status load_entry(fw_stats *s, const char *key, const json_t *obj, const char *path, fw_err *err) {
    fw_status st = FW_OK;
    float *v = NULL;
    double *d = NULL;
    size_t n = 0;
    char where[200];
    snprintf(where, sizeof where, "%s: '%s'", path, key);
    for (int k = 0; k < N_VEC && st == FW_OK; k++) {
        const json_t *arr = NULL;
        st = fw_json_arr(obj, vec_name[k], where, &arr, err);
        if (st != FW_OK) {
            break;
        }
        if (k == 0) {
            n = json_array_size(arr);
            if (n < 1 || n > 1 << 20) {
                st = fw_fail(err, FW_FORMAT, "%s: %zu values", where, n);
                break;
            }
            v = malloc(sizeof(float) * N_VEC * n);
            d = malloc(sizeof(double) * n);
            if (v == NULL || d == NULL) {
                st = fw_fail(err, FW_NOMEM, "no memory for %s", where);
                break;
            }
        }
        st = fw_json_f64s(obj, vec_name[k], where, d, n, err);
        for (size_t i = 0; i < n && st == FW_OK; i++) {
            v[(size_t)k * n + i] = (float)d[i];
        }
    }
    if (st == FW_OK) {
        st = fw_stats_put(s, key, (int)n, v, v + n, v + 2 * n, v + 3 * n, v + 4 * n, v + 5 * n, err);
    }
    free(v);
    free(d);
    return st;
}

fw_status fw_stats_load(const char *path, fw_stats **out, fw_err *err) {
    json_t *root = NULL;
    fw_stats *s = NULL;
    *out = NULL;
    fw_status st = fw_json_load(path, &root, err);
    if (st == FW_OK && !json_is_object(root)) {
        st = fw_fail(err, FW_FORMAT, "%s: wanted an object of statistics by name", path);
    }
    if (st == FW_OK) {
        st = fw_stats_new(&s, err);
    }
    if (st == FW_OK) {
        const char *key;
        json_t *val;
        json_object_foreach(root, key, val) {
            st = load_entry(s, key, val, path, err);
            if (st != FW_OK) {
                break;
            }
        }
    }
    json_decref(root);
    if (st != FW_OK) {
        fw_stats_free(s);
        return st;
    }
    *out = s;
    return FW_OK;
}

fw_status fw_stats_save(const fw_stats *s, const char *path, fw_err *err) {
    json_t *root = json_object();
    int bad = root == NULL;
    for (int i = 0; i < s->n; i++) {
        json_t *obj = json_object();
        for (int k = 0; k < N_VEC; k++) {
            json_t *arr = json_array();
            for (int j = 0; j < s->e[i].n; j++) {
                bad |= json_array_append_new(arr, json_real((double)s->e[i].v[k * s->e[i].n + j]));
            }
            bad |= json_object_set_new(obj, vec_name[k], arr);
        }
        bad |= json_object_set_new(root, s->e[i].key, obj);
    }
    fw_status st = bad != 0 ? fw_fail(err, FW_NOMEM, "no memory to write %s", path) : fw_json_save(path, root, 2, err);
    json_decref(root);
    return st;
}

/* ---- maps ---- */

static fw_status norm_alloc(int n, fw_norm *out, fw_err *err) {
    *out = (fw_norm){n, malloc(sizeof(float) * 2 * (size_t)n), NULL};
    if (out->shift == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a map of %d values", n);
    }
    out->scale = out->shift + n;
    return FW_OK;
}

static void norm_dim(const fw_stat *st, int i, fw_norm_kind kind, float floor, fw_norm *out) {
    float center = st->mean[i], spread = st->std[i];
    if (kind != FW_NORM_MEAN_STD) {
        float lo = kind == FW_NORM_MIN_MAX ? st->min[i] : st->q01[i];
        float hi = kind == FW_NORM_MIN_MAX ? st->max[i] : st->q99[i];
        center = 0.5f * (lo + hi);
        spread = 0.5f * (hi - lo);
    }
    out->shift[i] = center;
    out->scale[i] = 1.0f / fmaxf(spread, floor);
}

fw_status fw_norm_make(const fw_stat *st, fw_norm_kind kind, const float *floor, fw_norm *out, fw_err *err) {
    FW_TRY(norm_alloc(st->n, out, err));
    for (int i = 0; i < st->n; i++) {
        norm_dim(st, i, kind, floor != NULL ? floor[i] : 1e-6f, out);
    }
    return FW_OK;
}

/* The smallest spread that is still motion rather than noise. */
static float meaning_floor(fw_meaning m) {
    switch (m) {
    case FW_MEANING_JOINT_POS:
    case FW_MEANING_EE_YAW:
    case FW_MEANING_JOINT_VEL:
        return 0.01f; /* rad, rad/s */
    case FW_MEANING_EE_POS:
        return 0.002f; /* m */
    case FW_MEANING_EE_DELTA_POS:
        return 0.0005f; /* m a step */
    case FW_MEANING_EE_DELTA_YAW:
        return 0.002f; /* rad a step */
    case FW_MEANING_GRIPPER:
        return 0.05f; /* of its travel */
    case FW_MEANING_BASE_VEL:
        return 0.01f; /* m/s, rad/s */
    default:
        return 1e-3f;
    }
}

fw_status fw_norm_dims(const fw_stat *st, const fw_dim *dims, int n, fw_norm *out, fw_err *err) {
    if (st->n != n) {
        return fw_fail(err, FW_SHAPE, "statistics '%s' have %d values, the embodiment %d", st->key, st->n, n);
    }
    FW_TRY(norm_alloc(n, out, err));
    for (int i = 0; i < n; i++) {
        fw_norm_kind kind = dims[i].meaning == FW_MEANING_GRIPPER ? FW_NORM_MIN_MAX : FW_NORM_MEAN_STD;
        norm_dim(st, i, kind, meaning_floor(dims[i].meaning), out);
    }
    return FW_OK;
}

void fw_norm_clear(fw_norm *nm) {
    free(nm->shift);
    *nm = (fw_norm){0, NULL, NULL};
}

/* One row, in blocks whose copy tells the compiler that x and y may be the same: it makes vectors of them. */
static void apply_row(const fw_norm *nm, const float *x, float *y) {
    enum { BLOCK = 16 };
    size_t n = (size_t)nm->n, i = 0;
    for (; i + BLOCK <= n; i += BLOCK) {
        float t[BLOCK];
        memcpy(t, x + i, sizeof t);
        for (size_t k = 0; k < BLOCK; k++) {
            t[k] = (t[k] - nm->shift[i + k]) * nm->scale[i + k];
        }
        memcpy(y + i, t, sizeof t);
    }
    for (; i < n; i++) {
        y[i] = (x[i] - nm->shift[i]) * nm->scale[i];
    }
}

void fw_norm_apply(const fw_norm *nm, const float *x, float *y, size_t rows) {
    size_t n = (size_t)nm->n;
    for (size_t r = 0; r < rows; r++) {
        apply_row(nm, x + r * n, y + r * n);
    }
}

void fw_norm_invert(const fw_norm *nm, const float *y, float *x, size_t rows) {
    size_t n = (size_t)nm->n;
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < n; i++) {
            x[r * n + i] = y[r * n + i] / nm->scale[i] + nm->shift[i];
        }
    }
}

void fw_norm_apply_f16(const fw_norm *nm, const uint16_t *x, float *y, size_t rows) {
    const fw_kern *k = fw_kern_get();
    size_t n = (size_t)nm->n;
    for (size_t r = 0; r < rows; r++) {
        k->f16_to_f32(x + r * n, y + r * n, (int64_t)n);
        apply_row(nm, y + r * n, y + r * n);
    }
}

float fw_f32_from_f16(uint16_t h) {
    /* Put the 15 low bits where a float keeps them and scale by 2^112: right for normal and subnormal numbers alike. */
    uint32_t bits = (uint32_t)(h & 0x7FFFu) << 13;
    float f;
    if ((h & 0x7C00u) == 0x7C00u) {
        bits |= 0x7F800000u; /* infinity, NaN */
    }
    memcpy(&f, &bits, sizeof f);
    if ((h & 0x7C00u) != 0x7C00u) {
        f *= 0x1p112f;
    }
    return (h & 0x8000u) != 0 ? -f : f;
}

uint16_t fw_f16_from_f32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint16_t sign = (uint16_t)((bits >> 16) & 0x8000u);
    bits &= 0x7FFFFFFFu;
    if (bits > 0x7F800000u) {
        return sign | 0x7E00u; /* NaN stays NaN */
    }
    if (bits >= 0x477FF000u) {
        return sign | 0x7BFFu; /* too large, also infinity: the largest finite */
    }
    if (bits < 0x38800000u) { /* subnormal: a float of exponent -14 + 10 + ... does the rounding */
        float f;
        memcpy(&f, &bits, sizeof f);
        f += 0.5f; /* the last bit of 0.5f's mantissa is 2^-24, the step of a subnormal half */
        memcpy(&bits, &f, sizeof bits);
        return (uint16_t)(sign | (bits - 0x3F000000u));
    }
    uint32_t odd = (bits >> 13) & 1u;
    return (uint16_t)(sign | ((bits - 0x38000000u + 0xFFFu + odd) >> 13));
}
