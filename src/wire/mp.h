/*
 * mp.h - msgpack as robots' programs speak it: parsed to a tree, written to a buffer, with numpy's arrays in both dialects.
 *
 *   fw_mp_doc doc;
 *   FW_TRY(fw_mp_parse(data, n, &doc, err));                        // strings and arrays stay in data
 *   const msgpack_object *state = fw_mp_get(&doc.root, "state");
 *   FW_TRY(fw_nd_view(state, "state", &nd, err));                   // nd.data points into data
 *   fw_mp_clear(&doc);
 *
 *   fw_mp_out o;
 *   fw_mp_begin(&o);
 *   fw_mp_map(&o, 1), fw_mp_str(&o, "actions"), fw_nd_put(&o, FW_ND_OPENPI, "<f4", 2, shape, actions);
 *   FW_TRY(fw_mp_end(&o, &buf, err));                               // out of memory on the way is said here
 *
 * DESIGN. libmsgpack-c parses and writes. It reserves what an array's header claims before the elements are there, so a message is
 * walked first: everything announced must be in the bytes that came, nothing may nest deeper than FW_MP_DEPTH or have more than
 * FW_MP_ITEMS parts. Keys may be text or bytes (openpi marks arrays by bytes, vla-eval by text).
 */
#ifndef FW_WIRE_MP_H
#define FW_WIRE_MP_H

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fw/status.h"

#define FW_MP_DEPTH 16
#define FW_MP_ITEMS 100000
#define FW_BUF_HEAD 16 /* room before a message's first byte, for the websocket's header */
#define FW_ND_DIMS  8

/* A message: n bytes at data; the memory begins FW_BUF_HEAD earlier. */
typedef struct fw_buf {
    uint8_t *mem; /* owned: fw_buf_free */
    size_t n, cap;
} fw_buf;
static inline uint8_t *fw_buf_data(const fw_buf *b) {
    return b->mem + FW_BUF_HEAD;
}
/* Room for n bytes in all, at least. */
FW_NODISCARD fw_status fw_buf_reserve(fw_buf *b, size_t n, fw_err *err);
FW_NODISCARD fw_status fw_buf_put(fw_buf *b, const void *data, size_t n, fw_err *err);
void fw_buf_free(fw_buf *b); /* and empty again */

/* ---- reading ---- */

typedef struct fw_mp_doc {
    msgpack_object root; /* of zone; strings and bytes are borrowed from the message */
    msgpack_zone *zone;
} fw_mp_doc;
/* One value and nothing behind it. FW_FORMAT says at which byte it is wrong; out is empty unless FW_OK. */
FW_NODISCARD fw_status fw_mp_parse(const void *data, size_t n, fw_mp_doc *out, fw_err *err);
void fw_mp_clear(fw_mp_doc *doc); /* an empty one is fine */

/* The value of a key of text or bytes; NULL: no map, or no such key. The last one of several, as Python has it. */
const msgpack_object *fw_mp_get(const msgpack_object *map, const char *key);
/* Text or bytes as text: NUL-terminated copy, cut to cap. false: something else. */
bool fw_mp_text(const msgpack_object *o, char *out, size_t cap);
bool fw_mp_number(const msgpack_object *o, double *out); /* integers, floats, booleans */

/* An array as it lies in the message. */
typedef struct fw_nd {
    char kind;    /* 'b' 'i' 'u' 'f' */
    int size;     /* bytes an element */
    bool swapped; /* big-endian */
    int n_dim;    /* 0: a scalar */
    int64_t shape[FW_ND_DIMS];
    size_t count;        /* elements */
    const uint8_t *data; /* [count * size], not aligned; borrowed from the message */
} fw_nd;
/* Is it an array in one of the dialects? */
bool fw_nd_is(const msgpack_object *o);
/* FW_FORMAT names `where`, and what is wrong with dtype, shape or size. */
FW_NODISCARD fw_status fw_nd_view(const msgpack_object *o, const char *where, fw_nd *out, fw_err *err);
/* Elements from `first` on, n of them, as numbers. */
void fw_nd_f64(const fw_nd *nd, size_t first, size_t n, double *out);
/* "[3, 224, 224] u1" */
void fw_nd_say(const fw_nd *nd, char *out, size_t cap);
/* Everything that numpy would make numbers of: an array, a numpy scalar, a number, a list of them (of lists). At most cap; *n: how many.
 * FW_SHAPE if there are more, FW_FORMAT for what is no number or not finite. */
FW_NODISCARD fw_status fw_mp_numbers(const msgpack_object *o, const char *where, float *out, size_t cap, size_t *n,
                                     fw_err *err);

/* ---- writing ---- */

typedef struct fw_mp_out {
    msgpack_packer pk;
    fw_buf buf;
    bool failed; /* out of memory, said by fw_mp_end */
} fw_mp_out;
void fw_mp_begin(fw_mp_out *o);
/* *out owned: fw_buf_free; empty unless FW_OK. */
FW_NODISCARD fw_status fw_mp_end(fw_mp_out *o, fw_buf *out, fw_err *err);
void fw_mp_map(fw_mp_out *o, size_t n);
void fw_mp_array(fw_mp_out *o, size_t n);
void fw_mp_str(fw_mp_out *o, const char *s);
void fw_mp_bin(fw_mp_out *o, const void *data, size_t n);
void fw_mp_int(fw_mp_out *o, int64_t x);
void fw_mp_f64(fw_mp_out *o, double x);
void fw_mp_bool(fw_mp_out *o, bool x);

typedef enum fw_nd_dialect { FW_ND_OPENPI, FW_ND_VLA_EVAL } fw_nd_dialect;
/* dtype: numpy's, like "<f4" and "|u1". data: C order, without padding. */
void fw_nd_put(fw_mp_out *o, fw_nd_dialect d, const char *dtype, int n_dim, const int64_t *shape, const void *data);

#endif /* FW_WIRE_MP_H */
