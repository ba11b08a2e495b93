/*
 * json.c - WHAT: typed access to jansson values, with one message form: "<where>: key '<key>': wanted X, found Y".
 */
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define JSON_MAX_BYTES ((size_t)256 << 20)

/* What stands there, for a message: `string "abc"`, `integer 3`, `array of 4`. */
static const char *describe(const json_t *j, char out[64]) {
    switch (j == NULL ? -1 : (int)json_typeof(j)) {
    case JSON_OBJECT:
        snprintf(out, 64, "an object");
        break;
    case JSON_ARRAY:
        snprintf(out, 64, "an array of %zu", json_array_size(j));
        break;
    case JSON_STRING:
        snprintf(out, 64, "the string \"%.40s\"", json_string_value(j));
        break;
    case JSON_INTEGER:
        snprintf(out, 64, "the integer %lld", (long long)json_integer_value(j));
        break;
    case JSON_REAL:
        snprintf(out, 64, "the number %.9g", json_real_value(j));
        break;
    case -1:
        snprintf(out, 64, "nothing");
        break;
    default:
        snprintf(out, 64, "%s", json_is_true(j) ? "true" : json_is_false(j) ? "false" : "null");
    }
    return out;
}

static fw_status fail_key(fw_err *err, const char *where, const char *key, const char *wanted, const json_t *found) {
    char what[64];
    return fw_fail(err, FW_FORMAT, "%.100s: key '%.60s': wanted %.40s, found %.40s", where, key, wanted,
                   describe(found, what));
}

fw_status fw_json_parse(const char *text, size_t n, const char *where, json_t **out, fw_err *err) {
    json_error_t e;
    *out = NULL;
    if (n > JSON_MAX_BYTES) {
        return fw_fail(err, FW_FORMAT, "%s: %zu bytes of JSON, at most %zu", where, n, JSON_MAX_BYTES);
    }
    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    if (*out == NULL) {
        return fw_fail(err, FW_FORMAT, "%.100s: line %d column %d: %.100s", where, e.line, e.column, e.text);
    }
    return FW_OK;
}

fw_status fw_json_load(const char *path, json_t **out, fw_err *err) {
    char *text;
    size_t n;
    *out = NULL;
    FW_TRY(fw_file_read(path, JSON_MAX_BYTES, &text, &n, err));
    fw_status s = fw_json_parse(text, n, path, out, err);
    free(text);
    return s;
}

fw_status fw_json_save(const char *path, const json_t *j, int indent, fw_err *err) {
    char *text = json_dumps(j, JSON_INDENT((size_t)indent));
    if (text == NULL) {
        return fw_fail(err, FW_INVALID, "%s: cannot be written as JSON (no memory, or text that is not UTF-8)", path);
    }
    size_t n = strlen(text);
    text[n] = '\n'; /* in place of the NUL: write n + 1 bytes */
    fw_status s = fw_file_write_atomic(path, text, n + 1, err);
    free(text);
    return s;
}

/* The value at `key` of what must be an object; NULL with an error when obj is none. Missing: *v = NULL, FW_OK. */
static fw_status lookup(const json_t *obj, const char *key, const char *where, const json_t **v, fw_err *err) {
    *v = NULL;
    if (!json_is_object(obj)) {
        char what[64];
        return fw_fail(err, FW_FORMAT, "%.100s: wanted an object with key '%.60s', found %.40s", where, key,
                       describe(obj, what));
    }
    *v = json_object_get(obj, key);
    return FW_OK;
}

static fw_status as_str(const json_t *v, const char *key, const char *where, const char **out, fw_err *err) {
    if (!json_is_string(v)) {
        return fail_key(err, where, key, "a string", v);
    }
    *out = json_string_value(v);
    return FW_OK;
}

static fw_status as_i64(const json_t *v, const char *key, const char *where, int64_t min, int64_t max, int64_t *out,
                        fw_err *err) {
    json_int_t i = json_is_integer(v) ? json_integer_value(v) : 0;
    if (!json_is_integer(v) || i < min || i > max) {
        char wanted[64];
        snprintf(wanted, sizeof(wanted), "an integer in %lld..%lld", (long long)min, (long long)max);
        return fw_fail(err, FW_FORMAT, "%.90s: key '%.50s': wanted %s, found %.40s", where, key, wanted,
                       describe(v, (char[64]){0}));
    }
    *out = i;
    return FW_OK;
}

static fw_status as_f64(const json_t *v, const char *key, const char *where, double *out, fw_err *err) {
    if (!json_is_number(v) || !isfinite(json_number_value(v))) {
        return fail_key(err, where, key, "a finite number", v);
    }
    *out = json_number_value(v);
    return FW_OK;
}

static fw_status as_bool(const json_t *v, const char *key, const char *where, bool *out, fw_err *err) {
    if (!json_is_boolean(v)) {
        return fail_key(err, where, key, "true or false", v);
    }
    *out = json_is_true(v);
    return FW_OK;
}

fw_status fw_json_str(const json_t *obj, const char *key, const char *where, const char **out, fw_err *err) {
    const json_t *v = NULL;
    FW_TRY(lookup(obj, key, where, &v, err));
    return as_str(v, key, where, out, err);
}

fw_status fw_json_i64(const json_t *obj, const char *key, const char *where, int64_t min, int64_t max, int64_t *out,
                      fw_err *err) {
    const json_t *v = NULL;
    FW_TRY(lookup(obj, key, where, &v, err));
    return as_i64(v, key, where, min, max, out, err);
}

fw_status fw_json_f64(const json_t *obj, const char *key, const char *where, double *out, fw_err *err) {
    const json_t *v = NULL;
    FW_TRY(lookup(obj, key, where, &v, err));
    return as_f64(v, key, where, out, err);
}

fw_status fw_json_bool(const json_t *obj, const char *key, const char *where, bool *out, fw_err *err) {
    const json_t *v = NULL;
    FW_TRY(lookup(obj, key, where, &v, err));
    return as_bool(v, key, where, out, err);
}

fw_status fw_json_obj(const json_t *obj, const char *key, const char *where, const json_t **out, fw_err *err) {
    const json_t *v = NULL;
    FW_TRY(lookup(obj, key, where, &v, err));
    if (!json_is_object(v)) {
        return fail_key(err, where, key, "an object", v);
    }
    *out = v;
    return FW_OK;
}

fw_status fw_json_arr(const json_t *obj, const char *key, const char *where, const json_t **out, fw_err *err) {
    const json_t *v = NULL;
    FW_TRY(lookup(obj, key, where, &v, err));
    if (!json_is_array(v)) {
        return fail_key(err, where, key, "an array", v);
    }
    *out = v;
    return FW_OK;
}

fw_status fw_json_f64s(const json_t *obj, const char *key, const char *where, double *out, size_t n, fw_err *err) {
    const json_t *v = NULL;
    char name[96];
    FW_TRY(fw_json_arr(obj, key, where, &v, err));
    if (json_array_size(v) != n) {
        return fw_fail(err, FW_FORMAT, "%.100s: key '%.60s': wanted %zu numbers, found %zu", where, key, n,
                       json_array_size(v));
    }
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "%.60s[%zu]", key, i);
        FW_TRY(as_f64(json_array_get(v, i), name, where, &out[i], err));
    }
    return FW_OK;
}

fw_status fw_json_str_or(const json_t *obj, const char *key, const char *where, const char *def, const char **out,
                         fw_err *err) {
    const json_t *v = NULL;
    FW_TRY(lookup(obj, key, where, &v, err));
    *out = def;
    return v == NULL ? FW_OK : as_str(v, key, where, out, err);
}

fw_status fw_json_i64_or(const json_t *obj, const char *key, const char *where, int64_t min, int64_t max, int64_t def,
                         int64_t *out, fw_err *err) {
    const json_t *v = NULL;
    FW_TRY(lookup(obj, key, where, &v, err));
    *out = def;
    return v == NULL ? FW_OK : as_i64(v, key, where, min, max, out, err);
}

fw_status fw_json_f64_or(const json_t *obj, const char *key, const char *where, double def, double *out, fw_err *err) {
    const json_t *v = NULL;
    FW_TRY(lookup(obj, key, where, &v, err));
    *out = def;
    return v == NULL ? FW_OK : as_f64(v, key, where, out, err);
}

fw_status fw_json_bool_or(const json_t *obj, const char *key, const char *where, bool def, bool *out, fw_err *err) {
    const json_t *v = NULL;
    FW_TRY(lookup(obj, key, where, &v, err));
    *out = def;
    return v == NULL ? FW_OK : as_bool(v, key, where, out, err);
}

static bool listed(const char *key, const char *const *known) {
    for (; *known != NULL; known++) {
        if (strcmp(key, *known) == 0) {
            return true;
        }
    }
    return false;
}

fw_status fw_json_only(const json_t *obj, const char *where, const char *const *known, fw_err *err) {
    char list[120] = "";
    const char *unknown = NULL;
    if (!json_is_object(obj)) {
        return fw_fail(err, FW_FORMAT, "%.100s: wanted an object, found %s", where, describe(obj, (char[64]){0}));
    }
    for (void *it = json_object_iter((json_t *)obj); it != NULL && unknown == NULL;
         it = json_object_iter_next((json_t *)obj, it)) {
        unknown = listed(json_object_iter_key(it), known) ? NULL : json_object_iter_key(it);
    }
    if (unknown == NULL) {
        return FW_OK;
    }
    for (size_t at = 0; *known != NULL && at < sizeof(list); known++) {
        at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", at > 0 ? " " : "", *known);
    }
    return fw_fail(err, FW_FORMAT, "%.70s: unknown key '%.40s'; known are: %s", where, unknown, list);
}
