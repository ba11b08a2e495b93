/* int8.c - see int8.h */
#include "model/int8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"

#define FORMAT "flywheel-int8-1"

enum { META = 16 }; /* pairs beside ours */

struct fw_int8 {
    fw_st *owned;    /* or NULL */
    const fw_st *st; /* the file */
    char where[4096];
    bool *taken; /* [tensors] */
};

/* ---- which weights ---- */

/* SHA-256 of a file's size and of 1024 places of 4 kB in it (of all of it when it is small): two trainings of a network never agree in
 * them, and gigabytes need not be read. */
static fw_status fingerprint(const char *dir, char out[65], fw_err *err) {
    enum { PLACE = 4096, PLACES = 1024 };
    char path[4096];
    fw_map m = {0};
    FW_TRY(fw_path_join(path, sizeof path, dir, "model.safetensors", err));
    FW_TRY(fw_map_open(path, &m, err));
    const uint64_t size = m.size;
    const size_t n = m.size < (size_t)PLACE * PLACES ? m.size : (size_t)PLACE * PLACES;
    uint8_t *part = malloc(n + sizeof size);
    if (part == NULL) {
        fw_map_close(&m);
        return fw_fail(err, FW_NOMEM, "%s: %zu bytes", path, n);
    }
    memcpy(part + n, &size, sizeof size);
    for (size_t i = 0; n < m.size && i < PLACES; i++) {
        memcpy(part + i * PLACE, m.data + (m.size - PLACE) / (PLACES - 1) * i, PLACE);
    }
    if (n == m.size && n > 0) {
        memcpy(part, m.data, n);
    }
    fw_sha256_hex(part, n + sizeof size, out);
    free(part);
    fw_map_close(&m);
    return FW_OK;
}

/* ---- reading ---- */

static fw_status check_scales(const fw_int8 *q, const fw_st_tensor *t, fw_err *err) {
    for (int64_t i = 0; i < t->shape.d[0]; i++) {
        float x;
        memcpy(&x, (const char *)t->data + (size_t)i * sizeof x, sizeof x);
        if (!(x >= FW_INT8_LEAST && x <= FW_INT8_MOST)) {
            return fw_fail(err, FW_FORMAT, "%s: scale %lld of '%s' is %g, %g to %g wanted", q->where, (long long)i,
                           t->name, (double)x, (double)FW_INT8_LEAST, (double)FW_INT8_MOST);
        }
    }
    return FW_OK;
}

static fw_status check_tensor(const fw_int8 *q, const fw_st_tensor *t, fw_err *err) {
    char have[64];
    if (t->shape.n == 1 && t->dtype == FW_F32) {
        return check_scales(q, t, err);
    }
    if (t->shape.n == 1 && t->shape.d[0] == 1 && t->dtype == FW_BOOL && *(const uint8_t *)t->data == 1) {
        return FW_OK;
    }
    return fw_fail(err, FW_FORMAT, "%s: '%s' is %s %s, F32 [columns] or BOOL [1] = 1 wanted", q->where, t->name,
                   fw_dtype_name(t->dtype), fw_shape_str(&t->shape, have, sizeof have));
}

static fw_status check(const fw_int8 *q, fw_err *err) {
    const char *format = fw_st_meta(q->st, "format");
    if (format == NULL || strcmp(format, FORMAT) != 0) {
        return fw_fail(err, FW_FORMAT, "%s: its format is '%.40s', '%s' wanted", q->where,
                       format != NULL ? format : "none", FORMAT);
    }
    for (int i = 0; i < fw_st_count(q->st); i++) {
        FW_TRY(check_tensor(q, fw_st_at(q->st, i), err));
    }
    return FW_OK;
}

fw_status fw_int8_of(const fw_st *st, const char *where, fw_int8 **out, fw_err *err) {
    fw_int8 *q = calloc(1, sizeof *q);
    *out = NULL;
    if (q != NULL) {
        q->st = st;
        q->taken = calloc((size_t)fw_st_count(st) + 1, sizeof *q->taken);
        snprintf(q->where, sizeof q->where, "%s", where);
    }
    fw_status s = q != NULL && q->taken != NULL ? check(q, err) : fw_fail(err, FW_NOMEM, "%s: out of memory", where);
    if (s != FW_OK) {
        fw_int8_close(q);
        return s;
    }
    *out = q;
    return FW_OK;
}

static fw_status check_weights(const fw_int8 *q, const char *dir, fw_err *err) {
    const char *of = fw_st_meta(q->st, "weights");
    char have[65];
    FW_TRY(fingerprint(dir, have, err));
    if (of == NULL || strcmp(of, have) != 0) {
        return fw_fail(err, FW_INVALID,
                       "%s: made for other weights (%.12s...) than these (%.12s...): run  flywheel calibrate  again",
                       q->where, of != NULL ? of : "none", have);
    }
    return FW_OK;
}

fw_status fw_int8_open(const char *dir, const char *file, fw_int8 **out, fw_err *err) {
    char path[4096];
    fw_st *st = NULL;
    *out = NULL;
    if (file != NULL && file[0] == 0) {
        return FW_OK;
    }
    FW_TRY(fw_path_join(path, sizeof path, dir, FW_INT8_FILE, err));
    if (file == NULL && !fw_path_exists(path)) {
        return FW_OK;
    }
    file = file != NULL ? file : path;
    FW_TRY(fw_st_open(file, &st, err));
    fw_status s = fw_int8_of(st, file, out, err);
    if (s != FW_OK) {
        fw_st_close(st);
        return s;
    }
    (*out)->owned = st;
    s = check_weights(*out, dir, err);
    if (s != FW_OK) {
        fw_int8_close(*out);
        *out = NULL;
    }
    return s;
}

void fw_int8_close(fw_int8 *q) {
    if (q != NULL) {
        fw_st_close(q->owned);
        free(q->taken);
        free(q);
    }
}

/* ---- using ---- */

static int find(const fw_int8 *q, const char *name) {
    for (int i = 0; i < fw_st_count(q->st); i++) {
        if (strcmp(fw_st_at(q->st, i)->name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static bool moves(const float *smooth, int64_t k) {
    for (int64_t i = 0; i < k; i++) {
        if (smooth[i] != 1.0f) {
            return true;
        }
    }
    return false;
}

static fw_status apply(fw_int8 *q, fw_parameter *w, fw_err *err) {
    const int i = find(q, w->name);
    const int64_t k = fw_shape_count(&w->shape) / w->shape.d[0];
    if (i < 0) {
        return fw_fail(err, FW_SHAPE, "%s: has nothing for '%s' [%lld columns]", q->where, w->name, (long long)k);
    }
    const fw_st_tensor *t = fw_st_at(q->st, i);
    q->taken[i] = true;
    if (t->dtype == FW_BOOL) {
        return fw_params_set_int8(w, NULL, k, true, err);
    }
    if (t->shape.d[0] != k) {
        return fw_fail(err, FW_SHAPE, "%s: '%s' has %lld scales, the network has %lld columns", q->where, w->name,
                       (long long)t->shape.d[0], (long long)k);
    }
    float *smooth = malloc((size_t)k * sizeof *smooth);
    if (smooth == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: %lld scales", q->where, (long long)k);
    }
    memcpy(smooth, t->data, (size_t)k * sizeof *smooth); /* the file may be unaligned */
    fw_status s = fw_params_set_int8(w, moves(smooth, k) ? smooth : NULL, k, false, err);
    free(smooth);
    return s;
}

fw_status fw_int8_apply(fw_int8 *q, const fw_graph *g, fw_err *err) {
    fw_parameter *w = NULL;
    for (int i = 0; q != NULL && (w = fw_graph_rounded(g, i)) != NULL; i++) {
        FW_TRY(apply(q, w, err));
    }
    return FW_OK;
}

fw_status fw_int8_done(const fw_int8 *q, fw_err *err) {
    for (int i = 0; q != NULL && i < fw_st_count(q->st); i++) {
        if (!q->taken[i]) {
            return fw_fail(err, FW_SHAPE, "%s: '%s' is no product of the network", q->where, fw_st_at(q->st, i)->name);
        }
    }
    return FW_OK;
}

/* ---- writing ---- */

static const char **with_ours(const char *const *meta_kv, const char *weights) {
    const char **kv = calloc(2 * META + 5, sizeof *kv);
    int n = 0;
    if (kv == NULL) {
        return NULL;
    }
    kv[n++] = "format", kv[n++] = FORMAT;
    kv[n++] = "weights", kv[n++] = weights;
    for (int i = 0; meta_kv != NULL && meta_kv[i] != NULL && i < 2 * META; i++) {
        kv[n++] = meta_kv[i];
    }
    return kv;
}

fw_status fw_int8_save(const char *path, const char *dir, const fw_int8_layer *layer, int n, const char *const *meta_kv,
                       fw_err *err) {
    static const uint8_t yes = 1;
    char weights[65];
    int64_t widest = 1;
    FW_TRY(fingerprint(dir, weights, err));
    for (int i = 0; i < n; i++) {
        widest = layer[i].k > widest ? layer[i].k : widest;
    }
    fw_st_out *t = calloc((size_t)n + 1, sizeof *t);
    float *ones = malloc((size_t)widest * sizeof *ones);
    const char **kv = with_ours(meta_kv, weights);
    fw_status s = t != NULL && ones != NULL && kv != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s: out of memory", path);
    for (int64_t i = 0; s == FW_OK && i < widest; i++) {
        ones[i] = 1.0f;
    }
    for (int i = 0; s == FW_OK && i < n; i++) {
        const fw_int8_layer *l = &layer[i];
        t[i] = l->exact ? (fw_st_out){l->name, FW_BOOL, FW_SHAPE_OF(1), &yes}
                        : (fw_st_out){l->name, FW_F32, FW_SHAPE_OF(l->k), l->smooth != NULL ? l->smooth : ones};
    }
    s = s == FW_OK ? fw_st_write(path, t, n, kv, err) : s;
    free(t);
    free(ones);
    free((void *)kv);
    return s;
}
