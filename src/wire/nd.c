/* nd.c - WHAT: numpy arrays inside msgpack, openpi's dialect (keys are bytes) and vla-eval's (keys are text); see mp.h */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "wire/mp.h"

/* ---- dtype and shape ---- */

/* numpy's "<f4": order, kind, bytes */
static bool read_dtype(const char *s, fw_nd *nd) {
    const char *order = strchr("<>|=", s[0]);
    if (s[0] == 0 || order == NULL || strlen(s) != 3) {
        return false;
    }
    nd->swapped = *order == '>';
    nd->kind = s[1];
    nd->size = s[2] - '0';
    switch (nd->kind) {
    case 'b':
        return nd->size == 1;
    case 'i':
    case 'u':
        return nd->size == 1 || nd->size == 2 || nd->size == 4 || nd->size == 8;
    case 'f':
        return nd->size == 2 || nd->size == 4 || nd->size == 8;
    default:
        return false;
    }
}

static fw_status view_dtype(const msgpack_object *o, const char *where, fw_nd *nd, fw_err *err) {
    char dtype[16];
    if (!fw_mp_text(fw_mp_get(o, "dtype"), dtype, sizeof dtype) || !read_dtype(dtype, nd)) {
        return fw_fail(err, FW_FORMAT, "%s: dtype '%.15s', wanted numbers: |b1, |u1, <i4, <f2, <f4, <f8, ...", where,
                       fw_mp_get(o, "dtype") != NULL && fw_mp_text(fw_mp_get(o, "dtype"), dtype, sizeof dtype) ? dtype
                                                                                                               : "");
    }
    return FW_OK;
}

static fw_status view_shape(const msgpack_object *shape, const char *where, fw_nd *nd, fw_err *err) {
    if (shape == NULL || shape->type != MSGPACK_OBJECT_ARRAY || shape->via.array.size > FW_ND_DIMS) {
        return fw_fail(err, FW_FORMAT, "%s: 'shape' is no list of at most %d integers", where, FW_ND_DIMS);
    }
    nd->n_dim = (int)shape->via.array.size;
    nd->count = 1;
    for (int i = 0; i < nd->n_dim; i++) {
        const msgpack_object *d = &shape->via.array.ptr[i];
        if (d->type != MSGPACK_OBJECT_POSITIVE_INTEGER || d->via.u64 > (uint64_t)1 << 40 ||
            __builtin_mul_overflow(nd->count, (size_t)d->via.u64, &nd->count)) {
            return fw_fail(err, FW_FORMAT, "%s: 'shape' holds what is no size", where);
        }
        nd->shape[i] = (int64_t)d->via.u64;
    }
    return FW_OK;
}

static bool marked(const msgpack_object *o, const char *mark) {
    const msgpack_object *m = fw_mp_get(o, mark);
    return m != NULL && m->type == MSGPACK_OBJECT_BOOLEAN && m->via.boolean;
}

bool fw_nd_is(const msgpack_object *o) {
    return marked(o, "__ndarray__");
}

fw_status fw_nd_view(const msgpack_object *o, const char *where, fw_nd *out, fw_err *err) {
    size_t bytes;
    fw_nd nd = {0};
    if (!fw_nd_is(o)) {
        return fw_fail(err, FW_FORMAT, "%s: not an array", where);
    }
    const msgpack_object *data = fw_mp_get(o, "data");
    FW_TRY(view_dtype(o, where, &nd, err));
    FW_TRY(view_shape(fw_mp_get(o, "shape"), where, &nd, err));
    if (data == NULL || data->type != MSGPACK_OBJECT_BIN) {
        return fw_fail(err, FW_FORMAT, "%s: 'data' holds no bytes", where);
    }
    if (__builtin_mul_overflow(nd.count, (size_t)nd.size, &bytes) || bytes != data->via.bin.size) {
        char say[96];
        fw_nd_say(&nd, say, sizeof say);
        return fw_fail(err, FW_FORMAT, "%s: %s has %" PRIu32 " bytes of data", where, say, data->via.bin.size);
    }
    nd.data = (const uint8_t *)data->via.bin.ptr;
    *out = nd;
    return FW_OK;
}

void fw_nd_say(const fw_nd *nd, char *out, size_t cap) {
    size_t at = (size_t)snprintf(out, cap, "[");
    for (int i = 0; i < nd->n_dim && at < cap; i++) {
        at += (size_t)snprintf(out + at, cap - at, "%s%" PRId64, i > 0 ? ", " : "", nd->shape[i]);
    }
    if (at < cap) {
        snprintf(out + at, cap - at, "] %c%d", nd->kind, nd->size);
    }
}

/* ---- values ---- */

static double half(uint16_t h) {
    const int exponent = h >> 10 & 31, mantissa = h & 1023;
    double x = exponent == 0    ? ldexp(mantissa, -24)
               : exponent == 31 ? (mantissa != 0 ? (double)NAN : (double)INFINITY)
                                : ldexp(1024 + mantissa, exponent - 25);
    return (h & 0x8000) != 0 ? -x : x;
}

static double as_float(uint64_t bits, int size) {
    float f;
    double d;
    const uint32_t low = (uint32_t)bits;
    if (size == 2) {
        return half((uint16_t)bits);
    }
    if (size == 4) {
        memcpy(&f, &low, sizeof f);
        return (double)f;
    }
    memcpy(&d, &bits, sizeof d);
    return d;
}

static double element(const fw_nd *nd, size_t i) {
    const uint8_t *p = nd->data + i * (size_t)nd->size;
    uint64_t bits = 0;
    for (int k = 0; k < nd->size; k++) {
        bits |= (uint64_t)p[nd->swapped ? nd->size - 1 - k : k] << 8 * k;
    }
    if (nd->kind == 'f') {
        return as_float(bits, nd->size);
    }
    if (nd->kind == 'i') {
        const int shift = 64 - 8 * nd->size;
        return (double)((int64_t)(bits << shift) >> shift);
    }
    return nd->kind == 'b' ? (double)(bits != 0) : (double)bits;
}

void fw_nd_f64(const fw_nd *nd, size_t first, size_t n, double *out) {
    for (size_t i = 0; i < n; i++) {
        out[i] = element(nd, first + i);
    }
}

static fw_status put_number(double x, const char *where, float *out, size_t cap, size_t *n, fw_err *err) {
    if (*n >= cap) {
        return fw_fail(err, FW_SHAPE, "%s: more than %zu numbers", where, cap);
    }
    if (!isfinite(x) || !isfinite((float)x)) {
        return fw_fail(err, FW_FORMAT, "%s: value %zu is %g", where, *n, x);
    }
    out[(*n)++] = (float)x;
    return FW_OK;
}

static fw_status array_numbers(const msgpack_object *o, const char *where, float *out, size_t cap, size_t *n,
                               fw_err *err) {
    fw_nd nd;
    FW_TRY(fw_nd_view(o, where, &nd, err));
    if (nd.count > cap - *n) {
        char say[96];
        fw_nd_say(&nd, say, sizeof say);
        return fw_fail(err, FW_SHAPE, "%s: %s, wanted at most %zu numbers", where, say, cap);
    }
    for (size_t i = 0; i < nd.count; i++) {
        FW_TRY(put_number(element(&nd, i), where, out, cap, n, err));
    }
    return FW_OK;
}

/* Depth is bounded by FW_MP_DEPTH. */
static fw_status collect(const msgpack_object *o, const char *where, float *out, size_t cap, size_t *n, fw_err *err) {
    double x;
    if (fw_mp_number(o, &x) || (marked(o, "__npgeneric__") && fw_mp_number(fw_mp_get(o, "data"), &x))) {
        return put_number(x, where, out, cap, n, err);
    }
    if (fw_nd_is(o)) {
        return array_numbers(o, where, out, cap, n, err);
    }
    if (o == NULL || o->type != MSGPACK_OBJECT_ARRAY) {
        return fw_fail(err, FW_FORMAT, "%s: neither numbers nor an array", where);
    }
    for (uint32_t i = 0; i < o->via.array.size; i++) {
        FW_TRY(collect(&o->via.array.ptr[i], where, out, cap, n, err));
    }
    return FW_OK;
}

fw_status fw_mp_numbers(const msgpack_object *o, const char *where, float *out, size_t cap, size_t *n, fw_err *err) {
    *n = 0;
    return collect(o, where, out, cap, n, err);
}

/* ---- writing ---- */

static void put_key(fw_mp_out *o, fw_nd_dialect d, const char *key) {
    if (d == FW_ND_OPENPI) {
        fw_mp_bin(o, key, strlen(key));
    } else {
        fw_mp_str(o, key);
    }
}

void fw_nd_put(fw_mp_out *o, fw_nd_dialect d, const char *dtype, int n_dim, const int64_t *shape, const void *data) {
    size_t bytes = (size_t)(dtype[2] - '0');
    for (int i = 0; i < n_dim; i++) {
        bytes *= (size_t)shape[i];
    }
    fw_mp_map(o, 4);
    put_key(o, d, "__ndarray__");
    fw_mp_bool(o, true);
    put_key(o, d, "data");
    fw_mp_bin(o, data, bytes);
    put_key(o, d, "dtype");
    fw_mp_str(o, dtype);
    put_key(o, d, "shape");
    fw_mp_array(o, (size_t)n_dim);
    for (int i = 0; i < n_dim; i++) {
        fw_mp_int(o, shape[i]);
    }
}
