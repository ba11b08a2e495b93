/*
 * tensor.c - dtypes, shapes, and the store of named parameters.
 *
 * A parameter is created by the first graph that asks for it and lives until the store is freed; its value depends only
 * on (seed, name), never on the order of creation, so that adding a layer does not change the others.
 */
#include "tensor/tensor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "tensor/tensor_int.h"

static const struct {
    const char *name;
    size_t bytes;
} k_dtype[FW_N_DTYPE] = {
    [FW_F32] = {"F32", 4}, [FW_F16] = {"F16", 2},   [FW_BF16] = {"BF16", 2}, [FW_F64] = {"F64", 8},
    [FW_I8] = {"I8", 1},   [FW_U8] = {"U8", 1},     [FW_I16] = {"I16", 2},   [FW_I32] = {"I32", 4},
    [FW_I64] = {"I64", 8}, [FW_BOOL] = {"BOOL", 1},
};

size_t fw_dtype_bytes(fw_dtype d) {
    return (unsigned)d < FW_N_DTYPE ? k_dtype[d].bytes : 0;
}

const char *fw_dtype_name(fw_dtype d) {
    return (unsigned)d < FW_N_DTYPE ? k_dtype[d].name : "?";
}

bool fw_dtype_parse(const char *name, fw_dtype *out) {
    for (int d = 0; d < FW_N_DTYPE; d++) {
        if (strcmp(name, k_dtype[d].name) == 0) {
            *out = (fw_dtype)d;
            return true;
        }
    }
    return false;
}

int64_t fw_shape_count(const fw_shape *s) {
    int64_t n = 1;
    for (int i = 0; i < s->n; i++) {
        n *= s->d[i];
    }
    return n;
}

bool fw_shape_bytes(const fw_shape *s, size_t elem, size_t *bytes) {
    int64_t n = (int64_t)elem;
    if (s->n < 0 || s->n > FW_MAX_DIMS) {
        return false;
    }
    for (int i = 0; i < s->n; i++) {
        if (s->d[i] < 1 || __builtin_mul_overflow(n, s->d[i], &n) || n > INT64_MAX / 4) {
            return false;
        }
    }
    *bytes = (size_t)n;
    return true;
}

bool fw_shape_eq(const fw_shape *a, const fw_shape *b) {
    return a->n == b->n && memcmp(a->d, b->d, (size_t)a->n * sizeof(a->d[0])) == 0;
}

const char *fw_shape_str(const fw_shape *s, char *buf, size_t cap) {
    size_t at = 0;
    for (int i = 0; i <= s->n && at + 2 < cap; i++) {
        int n = i == s->n ? snprintf(buf + at, cap - at, "%s]", i == 0 ? "[" : "")
                          : snprintf(buf + at, cap - at, "%c%lld", i == 0 ? '[' : ',', (long long)s->d[i]);
        at += n > 0 ? (size_t)n : 0;
    }
    return buf;
}

/* ---- parameters ---- */

typedef struct entry {
    fw_parameter q; /* first: a fw_parameter * is an entry * */
    bool owns_half;
} entry;

struct fw_params {
    uint64_t seed;
    entry **p; /* [n], each owned: pointers stay valid when the array grows */
    int n, cap;
    fw_pack *pack; /* list */
    const fw_param_source *source;
};

fw_status fw_params_new(uint64_t seed, fw_params **out, fw_err *err) {
    *out = calloc(1, sizeof(**out));
    if (*out == NULL) {
        return fw_fail(err, FW_NOMEM, "parameter store");
    }
    (*out)->seed = seed;
    return FW_OK;
}

void fw_params_free(fw_params *p) {
    if (p == NULL) {
        return;
    }
    for (int i = 0; i < p->n; i++) {
        free(p->p[i]->q.data);
        free(p->p[i]->q.smooth);
        free(p->p[i]->owns_half ? (void *)(uintptr_t)p->p[i]->q.half : NULL);
        free(p->p[i]);
    }
    free(p->p);
    free(p);
}

int fw_params_count(const fw_params *p) {
    return p->n;
}

fw_parameter *fw_params_at(fw_params *p, int i) {
    return i >= 0 && i < p->n ? &p->p[i]->q : NULL;
}

fw_parameter *fw_params_find(fw_params *p, const char *name) {
    for (int i = 0; i < p->n; i++) {
        if (strcmp(p->p[i]->q.name, name) == 0) {
            return &p->p[i]->q;
        }
    }
    return NULL;
}

void *fw_alloc64(size_t bytes) {
    size_t up;
    if (__builtin_add_overflow(bytes, (size_t)63, &up)) {
        return NULL;
    }
    up &= ~(size_t)63;
    void *m = aligned_alloc(64, up > 0 ? up : 64);
    return m == NULL ? NULL : memset(m, 0, up > 0 ? up : 64);
}

static void fill(fw_parameter *q, uint64_t seed, fw_init init) {
    int64_t n = fw_shape_count(&q->shape);
    fw_rng r = fw_rng_stream(seed, q->name);
    for (int64_t i = 0; i < n; i++) {
        switch (init.kind) {
        case FW_INIT_ZERO:
            q->data[i] = 0.0f;
            break;
        case FW_INIT_ONE:
            q->data[i] = 1.0f;
            break;
        case FW_INIT_NORMAL:
            q->data[i] = (float)(fw_rng_normal(&r) * (double)init.scale);
            break;
        case FW_INIT_UNIFORM:
            q->data[i] = (float)fw_rng_uniform(&r, -(double)init.scale, (double)init.scale);
            break;
        }
    }
}

static fw_status grow(fw_params *p, fw_err *err) {
    if (p->n < p->cap) {
        return FW_OK;
    }
    int cap = p->cap > 0 ? 2 * p->cap : 64;
    entry **more = realloc(p->p, (size_t)cap * sizeof(entry *));
    if (more == NULL) {
        return fw_fail(err, FW_NOMEM, "parameter store: %d entries", cap);
    }
    p->p = more;
    p->cap = cap;
    return FW_OK;
}

/* Check name and shape, then append an empty entry. */
static fw_status append(fw_params *p, const char *name, const fw_shape *shape, size_t *bytes, entry **out,
                        fw_err *err) {
    char want[64];
    if (strlen(name) >= sizeof((*out)->q.name) || name[0] == 0) {
        return fw_fail(err, FW_INVALID, "parameter name '%.170s': 1 to %zu bytes wanted", name,
                       sizeof((*out)->q.name) - 1);
    }
    if (!fw_shape_bytes(shape, sizeof(float), bytes)) {
        return fw_fail(err, FW_SHAPE, "parameter %s: impossible shape %s", name,
                       fw_shape_str(shape, want, sizeof(want)));
    }
    FW_TRY(grow(p, err));
    *out = calloc(1, sizeof(**out));
    if (*out == NULL) {
        return fw_fail(err, FW_NOMEM, "parameter %s", name);
    }
    (*out)->q.shape = *shape;
    snprintf((*out)->q.name, sizeof((*out)->q.name), "%s", name);
    p->p[p->n++] = *out;
    return FW_OK;
}

fw_status fw_params_put_half(fw_params *p, const char *name, const fw_shape *shape, const uint16_t *half, bool owned,
                             fw_err *err) {
    size_t bytes;
    entry *e;
    fw_status st = fw_params_find(p, name) == NULL ? append(p, name, shape, &bytes, &e, err)
                                                   : fw_fail(err, FW_INVALID, "parameter %s is there already", name);
    if (st != FW_OK) {
        free(owned ? (void *)(uintptr_t)half : NULL);
        return st;
    }
    e->q.half = half;
    e->q.loaded = true;
    e->owns_half = owned;
    return FW_OK;
}

void fw_params_set_source(fw_params *p, const fw_param_source *source) {
    p->source = source;
}

/* From the source as bfloat16: *out NULL when it has or gives none. */
static fw_status take_half(fw_params *p, const char *name, const fw_shape *shape, fw_parameter **out, fw_err *err) {
    const uint16_t *half = NULL;
    bool owned = false;
    *out = NULL;
    if (p->source == NULL || p->source->read_half == NULL) {
        return FW_OK;
    }
    FW_TRY(p->source->read_half(p->source->ctx, name, shape, &half, &owned, err));
    if (half != NULL) {
        FW_TRY(fw_params_put_half(p, name, shape, half, owned, err));
        *out = fw_params_find(p, name);
    }
    return FW_OK;
}

static fw_status set_values(fw_params *p, entry *e, fw_init init, fw_err *err) {
    if (p->source == NULL) {
        fill(&e->q, p->seed, init);
        return FW_OK;
    }
    e->q.loaded = true;
    return p->source->read(p->source->ctx, e->q.name, &e->q.shape, e->q.data, err);
}

fw_status fw_params_get(fw_params *p, const char *name, const fw_shape *shape, fw_init init, fw_parameter **out,
                        fw_err *err) {
    return fw_params_get_any(p, name, shape, init, false, out, err);
}

fw_status fw_params_get_any(fw_params *p, const char *name, const fw_shape *shape, fw_init init, bool half,
                            fw_parameter **out, fw_err *err) {
    char want[64], have[64];
    size_t bytes;
    fw_parameter *q = fw_params_find(p, name);
    if (q != NULL) {
        *out = q;
        return fw_shape_eq(&q->shape, shape)
                   ? FW_OK
                   : fw_fail(err, FW_SHAPE, "parameter %s is %s, %s wanted", name,
                             fw_shape_str(&q->shape, have, sizeof(have)), fw_shape_str(shape, want, sizeof(want)));
    }
    if (half) {
        FW_TRY(take_half(p, name, shape, out, err));
        if (*out != NULL) {
            return FW_OK;
        }
    }
    entry *e;
    FW_TRY(append(p, name, shape, &bytes, &e, err));
    e->q.data = fw_alloc64(bytes);
    e->q.trainable = true;
    fw_status st = e->q.data != NULL ? set_values(p, e, init, err)
                                     : fw_fail(err, FW_NOMEM, "parameter %s: %zu bytes", name, bytes);
    if (st != FW_OK) {
        free(e->q.data);
        free(e);
        p->n--;
        return st;
    }
    *out = &e->q;
    return FW_OK;
}

fw_status fw_params_get_own(fw_params *p, const char *name, const fw_shape *shape, fw_init init, fw_parameter **out,
                            fw_err *err) {
    const fw_param_source *source = p->source;
    p->source = NULL;
    fw_status st = fw_params_get(p, name, shape, init, out, err);
    p->source = source;
    return st;
}

fw_status fw_params_set_int8(fw_parameter *p, const float *smooth, int64_t k, bool exact, fw_err *err) {
    const int64_t columns = p->shape.n > 0 ? fw_shape_count(&p->shape) / p->shape.d[0] : 0;
    if (k != columns) {
        return fw_fail(err, FW_SHAPE, "parameter %s has %lld columns, %lld given", p->name, (long long)columns,
                       (long long)k);
    }
    float *copy = smooth != NULL ? malloc((size_t)k * sizeof(*copy)) : NULL;
    if (smooth != NULL && copy == NULL) {
        return fw_fail(err, FW_NOMEM, "parameter %s: %lld values", p->name, (long long)k);
    }
    if (copy != NULL) {
        memcpy(copy, smooth, (size_t)k * sizeof(*copy));
    }
    free(p->smooth);
    p->smooth = copy;
    p->exact = exact;
    return FW_OK;
}

int fw_params_set_trainable(fw_params *p, const char *prefix, bool trainable) {
    int n = 0;
    for (int i = 0; i < p->n; i++) {
        fw_parameter *q = &p->p[i]->q;
        if (strncmp(q->name, prefix, strlen(prefix)) == 0) {
            q->trainable = trainable && q->half == NULL;
            n++;
        }
    }
    return n;
}

/* ---- packed weights of frozen parameters, one for all plans ---- */

fw_pack *fw_params_pack(fw_params *p, const fw_pack *key, bool *fresh) {
    for (fw_pack *k = p->pack; k != NULL; k = k->next) {
        if (k->param == key->param && k->op == key->op && k->kern == key->kern && k->which == key->which &&
            k->bytes == key->bytes) {
            k->refs++;
            *fresh = false;
            return k;
        }
    }
    fw_pack *k = malloc(sizeof(*k));
    void *mem = fw_alloc64(key->bytes);
    if (k == NULL || mem == NULL) {
        free(k);
        free(mem);
        return NULL;
    }
    *k = *key;
    k->mem = mem;
    k->refs = 1;
    k->next = p->pack;
    p->pack = k;
    *fresh = true;
    return k;
}

void fw_params_unpack(fw_params *p, fw_pack *pack) {
    if (pack == NULL || --pack->refs > 0) {
        return;
    }
    for (fw_pack **at = &p->pack; *at != NULL; at = &(*at)->next) {
        if (*at == pack) {
            *at = pack->next;
            break;
        }
    }
    free(pack->mem);
    free(pack);
}
