/*
 * safetensors.c - read and write the safetensors format.
 *
 * File: u64 little-endian header length N | N bytes of JSON, padded with spaces | tensor bytes.
 * Header: {"__metadata__": {str: str}, name: {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, ...}, offsets
 * counted from the end of the header.
 *
 * DESIGN: opening validates everything and builds a table; afterwards reading cannot fail except by the caller's own
 * expectations. What is refused beyond malformed JSON: offsets outside the file, a size that is not shape x dtype, overlap,
 * gaps and trailing bytes (data nobody can see is data somebody hid), duplicate names, empty tensors.
 */
#include "tensor/safetensors.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "tensor/tensor_int.h"

#define MAX_HEADER ((uint64_t)100 << 20) /* bytes; the reference implementation's limit */

struct fw_st {
    fw_map map; /* data == NULL when over the caller's memory */
    json_t *header;
    const json_t *meta;
    fw_st_tensor *t; /* [n], in order of offset */
    int n;
    char where[160];
};

static uint64_t load_u64(const uint8_t *p) {
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) {
        v = v << 8 | p[i];
    }
    return v;
}

static fw_status bad(const fw_st *s, const char *tensor, const char *what, fw_err *err) {
    return fw_fail(err, FW_FORMAT, "%s: tensor '%.60s': %s", s->where, tensor, what);
}

static fw_status parse_shape(const fw_st *s, const char *name, const json_t *j, fw_shape *out, fw_err *err) {
    if (!json_is_array(j) || json_array_size(j) > FW_MAX_DIMS) {
        return bad(s, name, "shape must be a list of at most 5 numbers", err);
    }
    out->n = (int)json_array_size(j);
    for (int i = 0; i < out->n; i++) {
        const json_t *d = json_array_get(j, (size_t)i);
        if (!json_is_integer(d) || json_integer_value(d) < 1) {
            return bad(s, name, "each dimension must be an integer >= 1", err);
        }
        out->d[i] = json_integer_value(d);
    }
    return FW_OK;
}

/* One header entry -> *t, its byte range inside data[size] checked. */
static fw_status parse_entry(const fw_st *s, const char *name, const json_t *e, const uint8_t *data, uint64_t size,
                             fw_st_tensor *t, fw_err *err) {
    const json_t *dt = json_object_get(e, "dtype"), *off = json_object_get(e, "data_offsets");
    *t = (fw_st_tensor){.name = name};
    if (!json_is_object(e) || json_object_size(e) != 3 || !json_is_string(dt)) {
        return bad(s, name, "wants exactly dtype, shape, data_offsets", err);
    }
    if (!fw_dtype_parse(json_string_value(dt), &t->dtype)) {
        return fw_fail(err, FW_FORMAT, "%s: tensor '%.60s': unknown dtype '%.20s'", s->where, name,
                       json_string_value(dt));
    }
    FW_TRY(parse_shape(s, name, json_object_get(e, "shape"), &t->shape, err));
    const json_t *b = json_array_get(off, 0), *z = json_array_get(off, 1);
    if (json_array_size(off) != 2 || !json_is_integer(b) || !json_is_integer(z)) {
        return bad(s, name, "data_offsets must be two integers", err);
    }
    json_int_t from = json_integer_value(b), to = json_integer_value(z);
    size_t want;
    if (from < 0 || to < from || (uint64_t)to > size) {
        return fw_fail(err, FW_FORMAT, "%s: tensor '%.60s': bytes %lld..%lld lie outside the %llu bytes of data",
                       s->where, name, (long long)from, (long long)to, (unsigned long long)size);
    }
    if (!fw_shape_bytes(&t->shape, fw_dtype_bytes(t->dtype), &want) || want != (size_t)(to - from)) {
        return bad(s, name, "its byte range does not fit dtype and shape", err);
    }
    t->data = data + from;
    t->bytes = want;
    return FW_OK;
}

static int by_offset(const void *a, const void *b) {
    const fw_st_tensor *x = a, *y = b;
    return x->data < y->data ? -1 : x->data > y->data;
}

static fw_status check_cover(fw_st *s, const uint8_t *data, uint64_t size, fw_err *err) {
    const uint8_t *at = data;
    if (s->n > 0) {
        qsort(s->t, (size_t)s->n, sizeof(*s->t), by_offset);
    }
    for (int i = 0; i < s->n; i++) {
        if (s->t[i].data != at) {
            return bad(s, s->t[i].name,
                       (const uint8_t *)s->t[i].data < at ? "overlaps another" : "a gap lies before it", err);
        }
        at += s->t[i].bytes;
    }
    if (at != data + size) {
        return fw_fail(err, FW_FORMAT, "%s: %llu bytes after the last tensor", s->where,
                       (unsigned long long)(data + size - at));
    }
    return FW_OK;
}

static fw_status check_meta(fw_st *s, fw_err *err) {
    const char *key;
    json_t *v;
    s->meta = json_object_get(s->header, "__metadata__");
    if (s->meta != NULL && !json_is_object(s->meta)) {
        return fw_fail(err, FW_FORMAT, "%s: __metadata__ is not an object", s->where);
    }
    json_object_foreach((json_t *)s->meta, key, v) {
        if (!json_is_string(v)) {
            return fw_fail(err, FW_FORMAT, "%s: __metadata__ '%.60s' is not a string", s->where, key);
        }
    }
    return FW_OK;
}

static fw_status parse(fw_st *s, const uint8_t *p, uint64_t size, fw_err *err) {
    const char *key;
    json_t *v;
    uint64_t n = size >= 8 ? load_u64(p) : 0;
    if (size < 8 || n > size - 8 || n > MAX_HEADER || n < 2) {
        return fw_fail(err, FW_FORMAT, "%s: header of %llu bytes in a file of %llu", s->where, (unsigned long long)n,
                       (unsigned long long)size);
    }
    if (p[8] != '{') {
        return fw_fail(err, FW_FORMAT, "%s: header does not begin with '{'", s->where);
    }
    FW_TRY(fw_json_parse((const char *)p + 8, (size_t)n, s->where, &s->header, err));
    FW_TRY(check_meta(s, err));
    size_t count = json_object_size(s->header);
    s->t = calloc(count + 1, sizeof(*s->t));
    if (s->t == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: table of %zu tensors", s->where, count);
    }
    const uint8_t *data = p + 8 + n;
    json_object_foreach(s->header, key, v) {
        if (strcmp(key, "__metadata__") != 0) {
            FW_TRY(parse_entry(s, key, v, data, size - 8 - n, &s->t[s->n], err));
            s->n++;
        }
    }
    return check_cover(s, data, size - 8 - n, err);
}

fw_status fw_st_open_mem(const void *data, size_t size, const char *where, fw_st **out, fw_err *err) {
    *out = NULL;
    fw_st *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return fw_fail(err, FW_NOMEM, "%s", where);
    }
    size_t n = strlen(where),
           from = n >= sizeof(s->where) ? n - sizeof(s->where) + 1 : 0; /* keep the end of a long path */
    memcpy(s->where, where + from, n - from + 1);
    fw_status st = parse(s, data, size, err);
    if (st != FW_OK) {
        fw_st_close(s);
        return st;
    }
    *out = s;
    return FW_OK;
}

fw_status fw_st_open(const char *path, fw_st **out, fw_err *err) {
    fw_map map;
    *out = NULL;
    FW_TRY(fw_map_open(path, &map, err));
    fw_status st = fw_st_open_mem(map.data, map.size, path, out, err);
    if (st != FW_OK) {
        fw_map_close(&map);
        return st;
    }
    (*out)->map = map;
    return FW_OK;
}

void fw_st_close(fw_st *s) {
    if (s == NULL) {
        return;
    }
    json_decref(s->header);
    free(s->t);
    if (s->map.data != NULL) {
        fw_map_close(&s->map);
    }
    free(s);
}

int fw_st_count(const fw_st *s) {
    return s->n;
}

const fw_st_tensor *fw_st_at(const fw_st *s, int i) {
    return i >= 0 && i < s->n ? &s->t[i] : NULL;
}

const fw_st_tensor *fw_st_find(const fw_st *s, const char *name) {
    for (int i = 0; i < s->n; i++) {
        if (strcmp(s->t[i].name, name) == 0) {
            return &s->t[i];
        }
    }
    return NULL;
}

const char *fw_st_meta(const fw_st *s, const char *key) {
    return json_string_value(json_object_get(s->meta, key));
}

/* ---- values ---- */

static float value_f32(fw_dtype d, const uint8_t *p) {
    uint16_t h;
    double f64;
    float f;
    switch (d) {
    case FW_F16:
        memcpy(&h, p, sizeof(h));
        return fw_f32_of_f16(h);
    case FW_BF16:
        memcpy(&h, p, sizeof(h));
        return fw_f32_of_bf16(h);
    case FW_F64:
        memcpy(&f64, p, sizeof(f64));
        return (float)f64;
    default:
        memcpy(&f, p, sizeof(f));
        return f;
    }
}

static bool is_float(fw_dtype d) {
    return d == FW_F32 || d == FW_F16 || d == FW_BF16 || d == FW_F64;
}

static fw_status copy_f32(const fw_st *s, const fw_st_tensor *t, const fw_shape *shape, float *out, fw_err *err) {
    char want[64], have[64];
    if (!is_float(t->dtype)) {
        return fw_fail(err, FW_FORMAT, "%s: tensor '%s' is %s, a float type wanted", s->where, t->name,
                       fw_dtype_name(t->dtype));
    }
    if (!fw_shape_eq(&t->shape, shape)) {
        return fw_fail(err, FW_SHAPE, "%s: tensor '%s' is %s, %s wanted", s->where, t->name,
                       fw_shape_str(&t->shape, have, sizeof(have)), fw_shape_str(shape, want, sizeof(want)));
    }
    size_t elem = fw_dtype_bytes(t->dtype), n = t->bytes / elem;
    for (size_t i = 0; i < n; i++) {
        out[i] = value_f32(t->dtype, (const uint8_t *)t->data + i * elem);
    }
    return FW_OK;
}

fw_status fw_st_read_f32(const fw_st *s, const char *name, const fw_shape *shape, float *out, fw_err *err) {
    const fw_st_tensor *t = fw_st_find(s, name);
    if (t == NULL) {
        return fw_fail(err, FW_SHAPE, "%s: tensor '%s' is missing", s->where, name);
    }
    return copy_f32(s, t, shape, out, err);
}

/* ---- write ---- */

static fw_status header_of(const char *path, const fw_st_out *t, int n, const char *const *kv, json_t *root,
                           size_t *data, fw_err *err) {
    int fails = 0;
    *data = 0;
    if (kv != NULL) {
        json_t *meta = json_object();
        for (int i = 0; kv[i] != NULL; i += 2) {
            fails |= json_object_set_new(meta, kv[i], json_string(kv[i + 1]));
        }
        fails |= json_object_set_new(root, "__metadata__", meta);
    }
    for (int i = 0; i < n; i++) {
        size_t bytes;
        if (!fw_shape_bytes(&t[i].shape, fw_dtype_bytes(t[i].dtype), &bytes) || bytes == 0 ||
            json_object_get(root, t[i].name) != NULL) {
            return fw_fail(err, FW_INVALID, "%s: tensor '%s': impossible shape or dtype, or named twice", path,
                           t[i].name);
        }
        json_t *shape = json_array();
        for (int k = 0; k < t[i].shape.n; k++) {
            fails |= json_array_append_new(shape, json_integer(t[i].shape.d[k]));
        }
        json_t *e = json_pack("{s:s, s:o, s:[I,I]}", "dtype", fw_dtype_name(t[i].dtype), "shape", shape, "data_offsets",
                              (json_int_t)*data, (json_int_t)(*data + bytes));
        fails |= e == NULL ? 1 : json_object_set_new(root, t[i].name, e);
        *data += bytes;
    }
    return fails ? fw_fail(err, FW_INVALID, "%s: a name or metadata value is not UTF-8", path) : FW_OK;
}

static size_t put_tensor(uint8_t *dst, const fw_st_out *t) {
    size_t bytes = 0;
    const float *f = t->data;
    if (!fw_shape_bytes(&t->shape, fw_dtype_bytes(t->dtype), &bytes)) {
        return 0;
    }
    if (t->dtype != FW_BF16 && t->dtype != FW_F16) {
        memcpy(dst, t->data, bytes);
        return bytes;
    }
    for (size_t i = 0; i < bytes / 2; i++) {
        uint16_t h = t->dtype == FW_BF16 ? fw_bf16_of_f32(f[i]) : fw_f16_of_f32(f[i]);
        memcpy(dst + 2 * i, &h, sizeof(h));
    }
    return bytes;
}

fw_status fw_st_write(const char *path, const fw_st_out *t, int n, const char *const *kv, fw_err *err) {
    json_t *root = json_object();
    char *text = NULL;
    uint8_t *file = NULL;
    size_t data = 0;
    fw_status st = header_of(path, t, n, kv, root, &data, err);
    if (st != FW_OK) {
        goto done;
    }
    text = json_dumps(root, JSON_COMPACT);
    size_t len = text == NULL ? 0 : strlen(text), head = (len + 8 + 63) / 64 * 64 - 8; /* data begins 64-aligned */
    file = text == NULL ? NULL : malloc(8 + head + data);
    if (file == NULL) {
        st = fw_fail(err, FW_NOMEM, "%s: %zu bytes", path, head + data);
        goto done;
    }
    for (int i = 0; i < 8; i++) {
        file[i] = (uint8_t)(head >> (8 * i));
    }
    memset(file + 8, ' ', head);
    memcpy(file + 8, text, len);
    size_t at = 8 + head;
    for (int i = 0; i < n; i++) {
        at += put_tensor(file + at, &t[i]);
    }
    st = fw_file_write_atomic(path, file, at, err);
done:
    free(file);
    free(text);
    json_decref(root);
    return st;
}

/* ---- a whole store ---- */

fw_status fw_params_save(fw_params *p, const char *path, fw_dtype dtype, const char *const *kv, fw_err *err) {
    int n = fw_params_count(p);
    if (dtype != FW_F32 && dtype != FW_BF16 && dtype != FW_F16) {
        return fw_fail(err, FW_INVALID, "%s: parameters are saved as F32, BF16 or F16, not %s", path,
                       fw_dtype_name(dtype));
    }
    fw_st_out *t = calloc((size_t)n + 1, sizeof(*t));
    if (t == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: table of %d tensors", path, n);
    }
    for (int i = 0; i < n; i++) {
        const fw_parameter *q = fw_params_at(p, i);
        t[i] = (fw_st_out){.name = q->name, .dtype = dtype, .shape = q->shape, .data = q->data};
    }
    fw_status st = fw_st_write(path, t, n, kv, err);
    free(t);
    return st;
}

/* Nothing is written into the store before everything is known to fit. */
static fw_status check_fit(fw_params *p, const fw_st *s, bool allow_extra, fw_err *err) {
    char want[64], have[64];
    for (int i = 0; i < fw_params_count(p); i++) {
        const fw_parameter *q = fw_params_at(p, i);
        const fw_st_tensor *t = fw_st_find(s, q->name);
        if (t == NULL || !fw_shape_eq(&t->shape, &q->shape) || !is_float(t->dtype)) {
            return fw_fail(err, FW_SHAPE, "%s: tensor '%s' is %s%s%s, a float %s wanted", s->where, q->name,
                           t == NULL ? "missing" : fw_dtype_name(t->dtype), t == NULL ? "" : " ",
                           t == NULL ? "" : fw_shape_str(&t->shape, have, sizeof(have)),
                           fw_shape_str(&q->shape, want, sizeof(want)));
        }
    }
    for (int i = 0; i < s->n && !allow_extra; i++) {
        if (fw_params_find(p, s->t[i].name) == NULL) {
            return fw_fail(err, FW_SHAPE, "%s: tensor '%s' belongs to no parameter", s->where, s->t[i].name);
        }
    }
    return FW_OK;
}

fw_status fw_params_load(fw_params *p, const char *path, bool allow_extra, fw_err *err) {
    fw_st *s;
    FW_TRY(fw_st_open(path, &s, err));
    fw_status st = check_fit(p, s, allow_extra, err);
    for (int i = 0; st == FW_OK && i < fw_params_count(p); i++) {
        fw_parameter *q = fw_params_at(p, i);
        st = fw_st_read_f32(s, q->name, &q->shape, q->data, err);
        q->loaded = st == FW_OK;
    }
    fw_st_close(s);
    return st;
}
