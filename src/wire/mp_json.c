/* mp_json.c - see mp_json.h. Depth is bounded by FW_MP_DEPTH. */
#include "wire/mp_json.h"

#include <math.h>

static void put_inside(fw_mp_out *o, const json_t *j) {
    const char *key;
    json_t *v;
    size_t i;
    if (json_is_object(j)) {
        fw_mp_map(o, json_object_size(j));
        json_object_foreach((json_t *)(uintptr_t)j, key, v) {
            fw_mp_str(o, key);
            fw_mp_put_json(o, v);
        }
    } else {
        fw_mp_array(o, json_array_size(j));
        json_array_foreach(j, i, v) {
            fw_mp_put_json(o, v);
        }
    }
}

void fw_mp_put_json(fw_mp_out *o, const json_t *j) {
    switch (json_typeof(j)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        put_inside(o, j);
        return;
    case JSON_STRING:
        msgpack_pack_str_with_body(&o->pk, json_string_value(j), json_string_length(j)); /* may hold NUL */
        return;
    case JSON_INTEGER:
        fw_mp_int(o, json_integer_value(j));
        return;
    case JSON_REAL:
        fw_mp_f64(o, json_real_value(j));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        fw_mp_bool(o, json_is_true(j));
        return;
    default:
        msgpack_pack_nil(&o->pk);
    }
}

static fw_status from_map(const msgpack_object *o, json_t *to, fw_err *err) {
    for (uint32_t i = 0; i < o->via.map.size; i++) {
        const msgpack_object_kv *kv = &o->via.map.ptr[i];
        char key[256];
        json_t *v;
        if (kv->key.type != MSGPACK_OBJECT_STR || !fw_mp_text(&kv->key, key, sizeof key)) {
            return fw_fail(err, FW_FORMAT, "a key that is no text");
        }
        FW_TRY(fw_mp_to_json(&kv->val, &v, err));
        if (json_object_set_new(to, key, v) != 0) {
            return fw_fail(err, FW_FORMAT, "key '%.60s': no memory, or no UTF-8", key);
        }
    }
    return FW_OK;
}

static fw_status from_array(const msgpack_object *o, json_t *to, fw_err *err) {
    for (uint32_t i = 0; i < o->via.array.size; i++) {
        json_t *v;
        FW_TRY(fw_mp_to_json(&o->via.array.ptr[i], &v, err));
        if (json_array_append_new(to, v) != 0) {
            return fw_fail(err, FW_NOMEM, "no memory for a document");
        }
    }
    return FW_OK;
}

static json_t *scalar(const msgpack_object *o) {
    switch (o->type) {
    case MSGPACK_OBJECT_NIL:
        return json_null();
    case MSGPACK_OBJECT_BOOLEAN:
        return json_boolean(o->via.boolean);
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return o->via.u64 <= INT64_MAX ? json_integer((json_int_t)o->via.u64) : NULL;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return json_integer(o->via.i64);
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return isfinite(o->via.f64) ? json_real(o->via.f64) : NULL;
    case MSGPACK_OBJECT_STR:
        return json_stringn(o->via.str.ptr != NULL ? o->via.str.ptr : "", o->via.str.size);
    default:
        return NULL;
    }
}

fw_status fw_mp_to_json(const msgpack_object *o, json_t **out, fw_err *err) {
    const bool map = o->type == MSGPACK_OBJECT_MAP, array = o->type == MSGPACK_OBJECT_ARRAY;
    json_t *j = map ? json_object() : array ? json_array() : scalar(o);
    *out = NULL;
    if (j == NULL) {
        return fw_fail(err, FW_FORMAT, "a value that JSON lacks, or no memory");
    }
    fw_status st = map ? from_map(o, j, err) : array ? from_array(o, j, err) : FW_OK;
    if (st != FW_OK) {
        json_decref(j);
        return st;
    }
    *out = j;
    return FW_OK;
}
