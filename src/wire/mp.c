/* mp.c - WHAT: msgpack trees and buffers; see mp.h */
#include "wire/mp.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- buffers ---- */

fw_status fw_buf_reserve(fw_buf *b, size_t n, fw_err *err) {
    if (b->mem != NULL && n <= b->cap) {
        return FW_OK;
    }
    size_t cap = b->cap + b->cap / 2, all;
    cap = cap < n ? n : cap;
    cap = cap < 256 ? 256 : cap;
    uint8_t *mem = __builtin_add_overflow(cap, (size_t)FW_BUF_HEAD, &all) ? NULL : realloc(b->mem, all);
    if (mem == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a message of %zu bytes", n);
    }
    b->mem = mem;
    b->cap = cap;
    return FW_OK;
}

fw_status fw_buf_put(fw_buf *b, const void *data, size_t n, fw_err *err) {
    FW_TRY(fw_buf_reserve(b, b->n + n, err));
    if (n > 0) {
        memcpy(fw_buf_data(b) + b->n, data, n);
    }
    b->n += n;
    return FW_OK;
}

void fw_buf_free(fw_buf *b) {
    free(b->mem);
    *b = (fw_buf){0};
}

/* ---- is it whole? ---- */

/* What one value announces: bytes of its header, bytes of content, values inside. */
typedef struct item {
    size_t head, content;
    uint64_t inside;
} item;

static uint64_t big_endian(const uint8_t *p, int n) {
    uint64_t x = 0;
    for (int i = 0; i < n; i++) {
        x = x << 8 | p[i];
    }
    return x;
}

/* A value whose length stands in `n` bytes behind its type: content = length + extra. */
static bool counted(const uint8_t *p, size_t left, int n, size_t extra, item *out) {
    if (left < 1 + (size_t)n) {
        return false;
    }
    *out = (item){.head = 1 + (size_t)n, .content = (size_t)big_endian(p + 1, n) + extra};
    return true;
}

static bool container(const uint8_t *p, size_t left, int n, unsigned each, item *out) {
    if (!counted(p, left, n, 0, out)) {
        return false;
    }
    out->inside = out->content * each;
    out->content = 0;
    return true;
}

/* The value at p; false: cut off, or no msgpack. */
static bool look(const uint8_t *p, size_t left, item *out) {
    static const uint8_t fixed[] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17}; /* 0xca .. 0xd8 */
    const uint8_t t = p[0];
    *out = (item){.head = 1};
    if (t <= 0x7f || t >= 0xe0 || t == 0xc0 || t == 0xc2 || t == 0xc3) {
        return true;
    }
    if (t <= 0x8f) {
        out->inside = 2u * (t & 0xfu);
    } else if (t <= 0x9f) {
        out->inside = t & 0xfu;
    } else if (t <= 0xbf) {
        out->content = t & 0x1fu;
    } else if (t == 0xc1) {
        return false;
    } else if (t <= 0xc6) {
        return counted(p, left, 1 << (t - 0xc4), 0, out);
    } else if (t <= 0xc9) {
        return counted(p, left, 1 << (t - 0xc7), 1, out);
    } else if (t <= 0xd8) {
        out->content = fixed[t - 0xca];
    } else if (t <= 0xdb) {
        return counted(p, left, 1 << (t - 0xd9), 0, out);
    } else if (t <= 0xdd) {
        return container(p, left, 2 << (t - 0xdc), 1, out);
    } else {
        return container(p, left, 2 << (t - 0xde), 2, out);
    }
    return true;
}

static fw_status check(const uint8_t *data, size_t n, fw_err *err) {
    uint64_t open[FW_MP_DEPTH + 1] = {1}, items = 0; /* values still to come at each depth */
    int depth = 0;
    size_t at = 0;
    while (depth >= 0) {
        item it;
        if (at >= n || !look(data + at, n - at, &it) || it.content > n - at - it.head) {
            return fw_fail(err, FW_FORMAT, "msgpack: byte %zu of %zu: %s", at, n,
                           at < n && data[at] == 0xc1 ? "not a type" : "the message ends in the middle of a value");
        }
        at += it.head + it.content;
        open[depth]--;
        items += 1 + it.inside;
        if (items > FW_MP_ITEMS || it.inside > n - at || (it.inside > 0 && depth == FW_MP_DEPTH)) {
            return fw_fail(err, FW_FORMAT, "msgpack: byte %zu of %zu: %s", at, n,
                           items > FW_MP_ITEMS    ? "more than 100000 values"
                           : depth == FW_MP_DEPTH ? "values nest deeper than 16"
                                                  : "the message ends before everything announced");
        }
        if (it.inside > 0) {
            open[++depth] = it.inside;
        }
        while (depth >= 0 && open[depth] == 0) {
            depth--;
        }
    }
    return at == n ? FW_OK : fw_fail(err, FW_FORMAT, "msgpack: %zu bytes behind the value", n - at);
}

/* ---- reading ---- */

fw_status fw_mp_parse(const void *data, size_t n, fw_mp_doc *out, fw_err *err) {
    msgpack_unpacked u;
    size_t off = 0;
    *out = (fw_mp_doc){.root = {.type = MSGPACK_OBJECT_NIL}};
    FW_TRY(check(data, n, err));
    msgpack_unpacked_init(&u);
    const msgpack_unpack_return r = msgpack_unpack_next(&u, data, n, &off);
    if (r != MSGPACK_UNPACK_SUCCESS) {
        msgpack_unpacked_destroy(&u);
        return r == MSGPACK_UNPACK_NOMEM_ERROR ? fw_fail(err, FW_NOMEM, "no memory for a message of %zu bytes", n)
                                               : fw_fail(err, FW_FORMAT, "msgpack: byte %zu of %zu", off, n);
    }
    out->root = u.data;
    out->zone = msgpack_unpacked_release_zone(&u);
    return FW_OK;
}

void fw_mp_clear(fw_mp_doc *doc) {
    if (doc->zone != NULL) {
        msgpack_zone_free(doc->zone);
    }
    *doc = (fw_mp_doc){.root = {.type = MSGPACK_OBJECT_NIL}};
}

/* Text or bytes: where they are. */
static bool chars(const msgpack_object *o, const char **p, size_t *n) {
    if (o->type == MSGPACK_OBJECT_STR) {
        *p = o->via.str.ptr, *n = o->via.str.size;
        return true;
    }
    if (o->type == MSGPACK_OBJECT_BIN) {
        *p = o->via.bin.ptr, *n = o->via.bin.size;
        return true;
    }
    return false;
}

const msgpack_object *fw_mp_get(const msgpack_object *map, const char *key) {
    const size_t len = strlen(key);
    if (map == NULL || map->type != MSGPACK_OBJECT_MAP) {
        return NULL;
    }
    for (uint32_t i = map->via.map.size; i-- > 0;) {
        const char *p;
        size_t n;
        if (chars(&map->via.map.ptr[i].key, &p, &n) && n == len && memcmp(p, key, n) == 0) {
            return &map->via.map.ptr[i].val;
        }
    }
    return NULL;
}

bool fw_mp_text(const msgpack_object *o, char *out, size_t cap) {
    const char *p;
    size_t n;
    if (o == NULL || !chars(o, &p, &n)) {
        return false;
    }
    n = n < cap ? n : cap - 1;
    if (n > 0) {
        memcpy(out, p, n);
    }
    out[n] = 0;
    return true;
}

bool fw_mp_number(const msgpack_object *o, double *out) {
    if (o == NULL) {
        return false;
    }
    switch (o->type) {
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        *out = (double)o->via.u64;
        return true;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        *out = (double)o->via.i64;
        return true;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        *out = o->via.f64;
        return true;
    case MSGPACK_OBJECT_BOOLEAN:
        *out = o->via.boolean ? 1.0 : 0.0;
        return true;
    default:
        return false;
    }
}

/* ---- writing ---- */

static int append(void *self, const char *data, size_t n) {
    fw_mp_out *o = self;
    o->failed = o->failed || fw_buf_put(&o->buf, data, n, NULL) != FW_OK;
    return o->failed ? -1 : 0;
}

void fw_mp_begin(fw_mp_out *o) {
    *o = (fw_mp_out){0};
    msgpack_packer_init(&o->pk, o, append);
}

fw_status fw_mp_end(fw_mp_out *o, fw_buf *out, fw_err *err) {
    *out = (fw_buf){0};
    if (o->failed) {
        fw_buf_free(&o->buf);
        return fw_fail(err, FW_NOMEM, "no memory for a message");
    }
    *out = o->buf;
    o->buf = (fw_buf){0};
    return FW_OK;
}

void fw_mp_map(fw_mp_out *o, size_t n) {
    msgpack_pack_map(&o->pk, n);
}
void fw_mp_array(fw_mp_out *o, size_t n) {
    msgpack_pack_array(&o->pk, n);
}
void fw_mp_str(fw_mp_out *o, const char *s) {
    msgpack_pack_str_with_body(&o->pk, s, strlen(s));
}
void fw_mp_bin(fw_mp_out *o, const void *data, size_t n) {
    msgpack_pack_bin_with_body(&o->pk, data, n);
}
void fw_mp_int(fw_mp_out *o, int64_t x) {
    msgpack_pack_int64(&o->pk, x);
}
void fw_mp_f64(fw_mp_out *o, double x) {
    msgpack_pack_double(&o->pk, x);
}
void fw_mp_bool(fw_mp_out *o, bool x) {
    (void)(x ? msgpack_pack_true(&o->pk) : msgpack_pack_false(&o->pk));
}
