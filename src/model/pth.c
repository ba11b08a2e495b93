/* pth.c - the two containers and a pickle machine that can only build a state dict; see pth.h */
#include "model/pth.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* ---- values of the machine ---- */

typedef enum kind { NONE, BOOL, INT, STR, TUPLE, LIST, DICT, GLOBAL, STORAGE, TENSOR } kind;
static const char *const kind_name[] = {"None",   "a bool",       "an integer", "a string",  "a tuple",
                                        "a list", "a dictionary", "a function", "a storage", "a tensor"};

typedef enum global { G_REBUILD, G_ORDERED_DICT, G_FLOAT, G_HALF, G_LONG, N_GLOBAL } global;
static const char *const global_name[N_GLOBAL] = {"torch._utils _rebuild_tensor_v2", "collections OrderedDict",
                                                  "torch FloatStorage", "torch HalfStorage", "torch LongStorage"};

typedef struct value {
    kind kind;
    int64_t i;        /* BOOL, INT, GLOBAL: which; STR: length; STORAGE: index; TENSOR: index */
    const uint8_t *s; /* STR: bytes in the file */
    uint32_t *item;   /* TUPLE, LIST; DICT: key, value, key, value; owned */
    uint32_t n, cap;
} value;

typedef struct storage {
    const uint8_t *key; /* in the file */
    size_t key_n;
    fw_dtype dtype;
    int64_t count;
    const uint8_t *data; /* found after the pickle */
} storage;

typedef struct raw_tensor {
    uint32_t storage;
    int64_t offset;
    fw_shape shape;
    int64_t stride[FW_MAX_DIMS];
    bool contiguous, empty;
} raw_tensor;

#define MAX_VALUES (1u << 22)
#define MAX_MEMO   (1u << 20)
#define MARK_MAX   64
#define ZIP_MAX    (1u << 16)

struct fw_pth {
    char *where;
    fw_map map;
    const uint8_t *data;
    size_t size;
    fw_pth_tensor *tensor;
    void **copy; /* per tensor: its values in row-major order when the file has another; else NULL */
    int n;
    size_t copied; /* bytes of all copies */
};

/* One run of the machine; several values of several pickles share the tables. */
typedef struct machine {
    const char *where;
    const uint8_t *data; /* the whole file */
    size_t end, at;      /* the pickle's bytes: [at, end) */
    value *v;
    uint32_t n_v, cap_v;
    uint32_t *stack;
    uint32_t n_stack, cap_stack;
    uint32_t mark[MARK_MAX];
    int n_mark;
    uint32_t *memo; /* value + 1, 0 = empty */
    uint32_t n_memo;
    storage *st;
    uint32_t n_st, cap_st;
    raw_tensor *t;
    uint32_t n_t, cap_t;
    fw_err *err;
} machine;

#define FAIL(m, ...) fw_fail((m)->err, FW_FORMAT, __VA_ARGS__)

/* Room for one more element; false when out of memory or above max. */
static bool grow(void **mem, uint32_t n, uint32_t *cap, size_t elem, uint32_t max) {
    if (n < *cap) {
        return true;
    }
    uint32_t want = *cap > 0 ? *cap * 2 : 16;
    if (n >= max) {
        return false;
    }
    void *p = realloc(*mem, (size_t)want * elem);
    if (p == NULL) {
        return false;
    }
    *mem = p;
    *cap = want;
    return true;
}

static void machine_clear(machine *m) {
    for (uint32_t i = 0; i < m->n_v; i++) {
        free(m->v[i].item);
    }
    free(m->v);
    free(m->stack);
    free(m->memo);
    free(m->st);
    free(m->t);
}

static fw_status push(machine *m, uint32_t v) {
    if (!grow((void **)&m->stack, m->n_stack, &m->cap_stack, sizeof *m->stack, MAX_VALUES)) {
        return fw_fail(m->err, FW_NOMEM, "%s: the pickle's stack is too deep", m->where);
    }
    m->stack[m->n_stack++] = v;
    return FW_OK;
}

/* A new value, on the stack. */
static fw_status push_new(machine *m, value v) {
    if (!grow((void **)&m->v, m->n_v, &m->cap_v, sizeof *m->v, MAX_VALUES)) {
        free(v.item);
        return fw_fail(m->err, FW_NOMEM, "%s: the pickle has too many values", m->where);
    }
    m->v[m->n_v++] = v;
    return push(m, m->n_v - 1);
}

static fw_status pop(machine *m, uint32_t *out) {
    uint32_t floor = m->n_mark > 0 ? m->mark[m->n_mark - 1] : 0;
    if (m->n_stack <= floor) {
        return FAIL(m, "%s: byte %zu: the pickle takes from an empty stack", m->where, m->at);
    }
    *out = m->stack[--m->n_stack];
    return FW_OK;
}

static fw_status top(machine *m, kind want, value **out) {
    uint32_t floor = m->n_mark > 0 ? m->mark[m->n_mark - 1] : 0;
    if (m->n_stack <= floor) {
        return FAIL(m, "%s: byte %zu: the pickle's stack is empty", m->where, m->at);
    }
    value *v = &m->v[m->stack[m->n_stack - 1]];
    if (v->kind != want) {
        return FAIL(m, "%s: byte %zu: found %s, wanted %s", m->where, m->at, kind_name[v->kind], kind_name[want]);
    }
    *out = v;
    return FW_OK;
}

static fw_status append(machine *m, value *v, uint32_t item) {
    if (!grow((void **)&v->item, v->n, &v->cap, sizeof *v->item, MAX_VALUES)) {
        return fw_fail(m->err, FW_NOMEM, "%s: a list of the pickle is too long", m->where);
    }
    v->item[v->n++] = item;
    return FW_OK;
}

/* ---- reading the pickle's bytes ---- */

static fw_status take(machine *m, size_t n, const uint8_t **out) {
    if (n > m->end - m->at) {
        return FAIL(m, "%s: byte %zu: the pickle wants %zu bytes, %zu are left", m->where, m->at, n, m->end - m->at);
    }
    *out = m->data + m->at;
    m->at += n;
    return FW_OK;
}

static fw_status take_uint(machine *m, size_t bytes, uint64_t *out) {
    const uint8_t *p = NULL;
    FW_TRY(take(m, bytes, &p));
    *out = 0;
    for (size_t i = 0; i < bytes; i++) {
        *out |= (uint64_t)p[i] << (8 * i);
    }
    return FW_OK;
}

static fw_status take_line(machine *m, const uint8_t **s, size_t *n) {
    const uint8_t *p = m->data + m->at, *e = memchr(p, '\n', m->end - m->at);
    *s = p; /* an empty name after an error, so that it is never undefined */
    *n = 0;
    if (e == NULL) {
        return FAIL(m, "%s: byte %zu: a name without an end", m->where, m->at);
    }
    *n = (size_t)(e - p);
    m->at += *n + 1;
    return FW_OK;
}

/* ---- what functions of a state dict do ---- */

static bool str_is(const value *v, const char *s) {
    return v->kind == STR && (size_t)v->i == strlen(s) && memcmp(v->s, s, strlen(s)) == 0;
}

static fw_status op_global(machine *m) {
    const uint8_t *mod, *name;
    size_t mod_n, name_n;
    FW_TRY(take_line(m, &mod, &mod_n));
    FW_TRY(take_line(m, &name, &name_n));
    for (int g = 0; g < N_GLOBAL; g++) {
        const char *want = global_name[g], *space = strchr(want, ' ');
        if (mod_n == (size_t)(space - want) && memcmp(mod, want, mod_n) == 0 && name_n == strlen(space + 1) &&
            memcmp(name, space + 1, name_n) == 0) {
            return push_new(m, (value){.kind = GLOBAL, .i = g});
        }
    }
    return FAIL(m, "%s: the pickle names '%.*s.%.*s', which a state dict does not need: refused", m->where,
                (int)(mod_n < 60 ? mod_n : 60), (const char *)mod, (int)(name_n < 60 ? name_n : 60),
                (const char *)name);
}

/* ('storage', torch.FloatStorage, key, location, count[, view]) -> STORAGE */
static fw_status op_persistent(machine *m) {
    uint32_t id = 0;
    FW_TRY(pop(m, &id));
    const value *t = &m->v[id];
    if (t->kind != TUPLE || t->n < 5 || t->n > 6) {
        return FAIL(m, "%s: byte %zu: a reference that is not to a storage", m->where, m->at);
    }
    const value *word = &m->v[t->item[0]], *type = &m->v[t->item[1]], *key = &m->v[t->item[2]],
                *count = &m->v[t->item[4]];
    if (!str_is(word, "storage") || type->kind != GLOBAL || type->i < G_FLOAT || key->kind != STR ||
        count->kind != INT || count->i < 0 || (t->n == 6 && m->v[t->item[5]].kind != NONE)) {
        return FAIL(m, "%s: byte %zu: a storage that is not ('storage', type, key, place, count)", m->where, m->at);
    }
    static const fw_dtype dtype[N_GLOBAL] = {[G_FLOAT] = FW_F32, [G_HALF] = FW_F16, [G_LONG] = FW_I64};
    storage s = {key->s, (size_t)key->i, dtype[type->i], count->i, NULL};
    for (uint32_t i = 0; i < m->n_st; i++) {
        const storage *o = &m->st[i];
        if (o->key_n == s.key_n && memcmp(o->key, s.key, s.key_n) == 0) {
            if (o->dtype != s.dtype || o->count != s.count) {
                return FAIL(m, "%s: storage '%.*s' is described in two ways", m->where,
                            (int)(s.key_n < 60 ? s.key_n : 60), (const char *)s.key);
            }
            return push_new(m, (value){.kind = STORAGE, .i = i});
        }
    }
    if (!grow((void **)&m->st, m->n_st, &m->cap_st, sizeof *m->st, ZIP_MAX)) {
        return fw_fail(m->err, FW_NOMEM, "%s: too many storages", m->where);
    }
    m->st[m->n_st] = s;
    return push_new(m, (value){.kind = STORAGE, .i = m->n_st++});
}

/* (storage, offset, size, stride, requires_grad, hooks[, metadata]) -> TENSOR */
static fw_status rebuild_tensor(machine *m, const value *args) {
    static const kind want[4] = {STORAGE, INT, TUPLE, TUPLE};
    if (args->kind != TUPLE || args->n < 6 || args->n > 7) {
        return FAIL(m, "%s: byte %zu: a tensor without its 6 parts", m->where, m->at);
    }
    for (int i = 0; i < 4; i++) {
        const value *a = &m->v[args->item[i]];
        if (a->kind != want[i]) {
            return FAIL(m, "%s: byte %zu: part %d of a tensor is %s, wanted %s", m->where, m->at, i, kind_name[a->kind],
                        kind_name[want[i]]);
        }
    }
    const value *size = &m->v[args->item[2]], *stride = &m->v[args->item[3]];
    raw_tensor t = {.storage = (uint32_t)m->v[args->item[0]].i, .offset = m->v[args->item[1]].i, .contiguous = true};
    if (size->n > FW_MAX_DIMS || stride->n != size->n || t.offset < 0) {
        return FAIL(m, "%s: byte %zu: a tensor of %u sizes and %u strides, at most %d", m->where, m->at, size->n,
                    stride->n, FW_MAX_DIMS);
    }
    t.shape.n = (int)size->n;
    int64_t step = 1;
    for (int d = t.shape.n - 1; d >= 0; d--) {
        const value *s = &m->v[size->item[d]], *k = &m->v[stride->item[d]];
        if (s->kind != INT || k->kind != INT || s->i < 0 || k->i < 0) {
            return FAIL(m, "%s: byte %zu: a tensor whose size or stride is not numbers >= 0", m->where, m->at);
        }
        t.stride[d] = k->i;
        t.shape.d[d] = s->i;
        t.empty = t.empty || s->i == 0;
        t.contiguous = t.contiguous && (s->i == 1 || k->i == step);
        if (__builtin_mul_overflow(step, s->i > 0 ? s->i : 1, &step)) {
            return FAIL(m, "%s: byte %zu: a tensor too large to address", m->where, m->at);
        }
    }
    if (!grow((void **)&m->t, m->n_t, &m->cap_t, sizeof *m->t, MAX_VALUES)) {
        return fw_fail(m->err, FW_NOMEM, "%s: too many tensors", m->where);
    }
    m->t[m->n_t] = t;
    return push_new(m, (value){.kind = TENSOR, .i = m->n_t++});
}

static fw_status op_reduce(machine *m) {
    uint32_t args = 0, fn = 0;
    FW_TRY(pop(m, &args));
    FW_TRY(pop(m, &fn));
    const value *f = &m->v[fn], *a = &m->v[args];
    if (f->kind == GLOBAL && f->i == G_REBUILD) {
        return rebuild_tensor(m, a);
    }
    if (f->kind == GLOBAL && f->i == G_ORDERED_DICT && a->kind == TUPLE && a->n == 0) {
        return push_new(m, (value){.kind = DICT});
    }
    return FAIL(m, "%s: byte %zu: the pickle calls %s: refused", m->where, m->at,
                f->kind == GLOBAL ? global_name[f->i] : kind_name[f->kind]);
}

/* ---- the other opcodes ---- */

/* Values above the last mark become the items of a tuple, or are appended to the list or dictionary below it. */
static fw_status op_collect(machine *m, kind into) {
    if (m->n_mark == 0) {
        return FAIL(m, "%s: byte %zu: the pickle has no mark to go back to", m->where, m->at);
    }
    uint32_t from = m->mark[--m->n_mark], n = m->n_stack - from;
    if (into == TUPLE) {
        value t = {.kind = TUPLE};
        for (uint32_t i = 0; i < n; i++) {
            fw_status st = append(m, &t, m->stack[from + i]);
            if (st != FW_OK) {
                free(t.item);
                return st;
            }
        }
        m->n_stack = from;
        return push_new(m, t);
    }
    m->n_stack = from;
    value *v = NULL;
    FW_TRY(top(m, into, &v));
    if (into == DICT && n % 2 != 0) {
        return FAIL(m, "%s: byte %zu: a dictionary entry without a value", m->where, m->at);
    }
    for (uint32_t i = 0; i < n; i++) {
        FW_TRY(append(m, v, m->stack[from + i]));
    }
    return FW_OK;
}

static fw_status op_tuple_n(machine *m, uint32_t n) {
    value t = {.kind = TUPLE};
    uint32_t item[3] = {0};
    for (uint32_t i = n; i-- > 0;) {
        FW_TRY(pop(m, &item[i]));
    }
    for (uint32_t i = 0; i < n; i++) {
        fw_status st = append(m, &t, item[i]);
        if (st != FW_OK) {
            free(t.item);
            return st;
        }
    }
    return push_new(m, t);
}

/* One value into the list, two into the dictionary below them. */
static fw_status op_add_one(machine *m, kind into) {
    uint32_t key = 0, val = 0;
    value *v = NULL;
    FW_TRY(pop(m, &val));
    if (into == DICT) {
        FW_TRY(pop(m, &key));
    }
    FW_TRY(top(m, into, &v));
    if (into == DICT) {
        FW_TRY(append(m, v, key));
    }
    return append(m, v, val);
}

static fw_status op_put(machine *m, uint64_t slot) {
    uint32_t floor = m->n_mark > 0 ? m->mark[m->n_mark - 1] : 0;
    if (m->n_stack <= floor || slot >= MAX_MEMO) {
        return FAIL(m, "%s: byte %zu: the pickle remembers nothing, or too much", m->where, m->at);
    }
    if (slot >= m->n_memo) {
        uint32_t n = m->n_memo > 0 ? m->n_memo : 1024;
        while (n <= slot) {
            n *= 2;
        }
        uint32_t *p = realloc(m->memo, n * sizeof *p);
        if (p == NULL) {
            return fw_fail(m->err, FW_NOMEM, "%s: no memory for the pickle", m->where);
        }
        memset(p + m->n_memo, 0, (n - m->n_memo) * sizeof *p);
        m->memo = p;
        m->n_memo = n;
    }
    m->memo[slot] = m->stack[m->n_stack - 1] + 1;
    return FW_OK;
}

static fw_status op_get(machine *m, uint64_t slot) {
    if (slot >= m->n_memo || m->memo[slot] == 0) {
        return FAIL(m, "%s: byte %zu: the pickle recalls what it never remembered", m->where, m->at);
    }
    return push(m, m->memo[slot] - 1);
}

static fw_status op_long1(machine *m) {
    uint64_t n = 0, bits = 0;
    FW_TRY(take_uint(m, 1, &n));
    if (n > 16) {
        return FAIL(m, "%s: byte %zu: an integer of %llu bytes", m->where, m->at, (unsigned long long)n);
    }
    size_t keep = n < 8 ? (size_t)n : 8; /* PyTorch's magic number has 10: its low 8 are enough */
    FW_TRY(take_uint(m, keep, &bits));
    const uint8_t *rest = NULL;
    FW_TRY(take(m, (size_t)n - keep, &rest));
    if (keep > 0 && keep < 8 && (bits >> (8 * keep - 1) & 1) != 0) {
        bits |= ~0ull << (8 * keep);
    }
    return push_new(m, (value){.kind = INT, .i = (int64_t)bits});
}

static fw_status op_int(machine *m, size_t bytes) {
    uint64_t u = 0;
    FW_TRY(take_uint(m, bytes, &u));
    return push_new(m, (value){.kind = INT, .i = bytes == 4 ? (int32_t)(uint32_t)u : (int64_t)u});
}

static fw_status op_unicode(machine *m) {
    uint64_t n = 0;
    const uint8_t *s = NULL;
    FW_TRY(take_uint(m, 4, &n));
    FW_TRY(take(m, (size_t)n, &s));
    return push_new(m, (value){.kind = STR, .i = (int64_t)n, .s = s});
}

static fw_status op_mark(machine *m) {
    if (m->n_mark == MARK_MAX) {
        return FAIL(m, "%s: byte %zu: the pickle nests more than %d deep", m->where, m->at, MARK_MAX);
    }
    m->mark[m->n_mark++] = m->n_stack;
    return FW_OK;
}

/* An object's state: only an OrderedDict's attributes (_metadata), which nobody needs. */
static fw_status op_build(machine *m) {
    uint32_t state = 0;
    value *v = NULL;
    FW_TRY(pop(m, &state));
    return top(m, DICT, &v);
}

static fw_status op_slot(machine *m, size_t bytes, fw_status (*op)(machine *, uint64_t)) {
    uint64_t slot = 0;
    FW_TRY(take_uint(m, bytes, &slot));
    return op(m, slot);
}

static fw_status step(machine *m, uint8_t op) {
    switch (op) {
    case 0x80: /* PROTO */
    {
        uint64_t version = 0;
        FW_TRY(take_uint(m, 1, &version));
        return version <= 2 ? FW_OK
                            : FAIL(m, "%s: pickle protocol %llu, wanted 2", m->where, (unsigned long long)version);
    }
    case '(':
        return op_mark(m);
    case '}':
        return push_new(m, (value){.kind = DICT});
    case ']':
        return push_new(m, (value){.kind = LIST});
    case ')':
        return push_new(m, (value){.kind = TUPLE});
    case 't':
        return op_collect(m, TUPLE);
    case 'u':
        return op_collect(m, DICT);
    case 'e':
        return op_collect(m, LIST);
    case 0x85:
        return op_tuple_n(m, 1);
    case 0x86:
        return op_tuple_n(m, 2);
    case 0x87:
        return op_tuple_n(m, 3);
    case 's':
        return op_add_one(m, DICT);
    case 'a':
        return op_add_one(m, LIST);
    case 'N':
        return push_new(m, (value){.kind = NONE});
    case 0x88:
        return push_new(m, (value){.kind = BOOL, .i = 1});
    case 0x89:
        return push_new(m, (value){.kind = BOOL, .i = 0});
    case 'K':
        return op_int(m, 1);
    case 'M':
        return op_int(m, 2);
    case 'J':
        return op_int(m, 4);
    case 0x8a:
        return op_long1(m);
    case 'X':
        return op_unicode(m);
    case 'q':
        return op_slot(m, 1, op_put);
    case 'r':
        return op_slot(m, 4, op_put);
    case 'h':
        return op_slot(m, 1, op_get);
    case 'j':
        return op_slot(m, 4, op_get);
    case 'c':
        return op_global(m);
    case 'Q':
        return op_persistent(m);
    case 'R':
        return op_reduce(m);
    case 'b':
        return op_build(m);
    default:
        return FAIL(m, "%s: byte %zu: pickle opcode 0x%02x, which a state dict does not need: refused", m->where,
                    m->at - 1, op);
    }
}

/* Run one pickle from m->at; *out is its value and m->at stands after it. */
static fw_status run_pickle(machine *m, uint32_t *out) {
    m->n_stack = 0;
    m->n_mark = 0;
    if (m->n_memo > 0) {
        memset(m->memo, 0, m->n_memo * sizeof *m->memo);
    }
    for (;;) {
        const uint8_t *op = NULL;
        FW_TRY(take(m, 1, &op));
        if (*op == '.') {
            return pop(m, out);
        }
        FW_TRY(step(m, *op));
    }
}

/* ---- from the state dict to tensors ---- */

/* Do all elements of the tensor lie in its storage? Nor may it repeat values to become larger than that. */
static bool tensor_fits(const raw_tensor *t, const storage *s) {
    int64_t last = t->offset;
    if (s->data == NULL || t->empty || fw_shape_count(&t->shape) > s->count) {
        return false;
    }
    for (int d = 0; d < t->shape.n; d++) {
        int64_t reach = 0;
        if (__builtin_mul_overflow(t->shape.d[d] - 1, t->stride[d], &reach) ||
            __builtin_add_overflow(last, reach, &last)) {
            return false;
        }
    }
    return last < s->count;
}

/* Strided elements, in row-major order. */
static void gather(const raw_tensor *t, const uint8_t *src, size_t elem, uint8_t *dst) {
    int64_t at[FW_MAX_DIMS] = {0}, n = fw_shape_count(&t->shape);
    for (int64_t i = 0; i < n; i++) {
        int64_t from = t->offset;
        for (int d = 0; d < t->shape.n; d++) {
            from += at[d] * t->stride[d];
        }
        memcpy(dst + (size_t)i * elem, src + (size_t)from * elem, elem);
        for (int d = t->shape.n - 1; d >= 0 && ++at[d] == t->shape.d[d]; d--) {
            at[d] = 0;
        }
    }
}

/* The tensor's bytes: in the file, or copied when they are in another order there. */
static fw_status tensor_data(fw_pth *p, const raw_tensor *t, const storage *s, size_t bytes, const void **out,
                             fw_err *err) {
    size_t elem = fw_dtype_bytes(s->dtype);
    *out = s->data + (size_t)t->offset * elem;
    if (t->contiguous) {
        return FW_OK;
    }
    if (bytes > p->size - p->copied) { /* many tensors over one storage: a small file must not ask for much memory */
        return fw_fail(err, FW_UNSUPPORTED, "%s: its strided tensors are larger than the file", p->where);
    }
    p->copy[p->n] = malloc(bytes);
    if (p->copy[p->n] == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: no memory for %zu bytes", p->where, bytes);
    }
    p->copied += bytes;
    gather(t, s->data, elem, p->copy[p->n]);
    *out = p->copy[p->n];
    return FW_OK;
}

static fw_status emit_tensor(fw_pth *p, const machine *m, const value *key, const value *val, fw_err *err) {
    int n = key->i < 200 ? (int)key->i : 200;
    const char *name = (const char *)key->s;
    if (val->kind != TENSOR) {
        return fw_fail(err, FW_FORMAT, "%s: '%.*s' is %s, wanted a tensor", p->where, n, name, kind_name[val->kind]);
    }
    const raw_tensor *t = &m->t[val->i];
    const storage *s = &m->st[t->storage];
    if (!tensor_fits(t, s)) {
        return fw_fail(err, FW_FORMAT, "%s: tensor '%.*s' is empty or reaches past its storage of %lld values",
                       p->where, n, name, (long long)s->count);
    }
    size_t bytes = (size_t)fw_shape_count(&t->shape) * fw_dtype_bytes(s->dtype);
    const void *data = NULL;
    FW_TRY(tensor_data(p, t, s, bytes, &data, err));
    char *copy = malloc((size_t)key->i + 1);
    if (copy == NULL) {
        free(p->copy[p->n]);
        return fw_fail(err, FW_NOMEM, "%s: no memory", p->where);
    }
    memcpy(copy, key->s, (size_t)key->i);
    copy[key->i] = 0;
    p->tensor[p->n++] = (fw_pth_tensor){copy, s->dtype, t->shape, data, bytes};
    if (strlen(copy) != (size_t)key->i) {
        return fw_fail(err, FW_FORMAT, "%s: a tensor's name has a zero byte in it", p->where);
    }
    return FW_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const fw_pth_tensor *)a)->name, ((const fw_pth_tensor *)b)->name);
}

static fw_status emit(fw_pth *p, const machine *m, uint32_t root, fw_err *err) {
    const value *d = &m->v[root];
    if (d->kind != DICT) {
        return fw_fail(err, FW_FORMAT, "%s: holds %s, wanted a state dict", p->where, kind_name[d->kind]);
    }
    p->tensor = calloc((size_t)d->n / 2 + 1, sizeof *p->tensor);
    p->copy = calloc((size_t)d->n / 2 + 1, sizeof *p->copy);
    if (p->tensor == NULL || p->copy == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: no memory for %u tensors", p->where, d->n / 2);
    }
    for (uint32_t i = 0; i + 1 < d->n; i += 2) {
        if (m->v[d->item[i]].kind != STR) {
            return fw_fail(err, FW_FORMAT, "%s: a tensor is named by %s", p->where, kind_name[m->v[d->item[i]].kind]);
        }
        FW_TRY(emit_tensor(p, m, &m->v[d->item[i]], &m->v[d->item[i + 1]], err));
    }
    qsort(p->tensor, (size_t)p->n, sizeof *p->tensor, by_name);
    for (int i = 1; i < p->n; i++) {
        if (strcmp(p->tensor[i].name, p->tensor[i - 1].name) == 0) {
            return fw_fail(err, FW_FORMAT, "%s: two tensors are called '%.100s'", p->where, p->tensor[i].name);
        }
    }
    return FW_OK;
}

/* Bytes of a storage; false when they cannot be in a file of `size` bytes. */
static bool storage_bytes(const storage *s, size_t size, size_t *out) {
    size_t elem = fw_dtype_bytes(s->dtype);
    if ((uint64_t)s->count > size / elem) {
        return false;
    }
    *out = (size_t)s->count * elem;
    return true;
}

/* ---- the older container: magic, protocol, system information, state dict, list of keys; then each storage ---- */

static storage *find_storage(machine *m, const uint8_t *key, size_t n) {
    for (uint32_t i = 0; i < m->n_st; i++) {
        if (m->st[i].key_n == n && memcmp(m->st[i].key, key, n) == 0) {
            return &m->st[i];
        }
    }
    return NULL;
}

static fw_status legacy_storages(machine *m, const value *keys) {
    if (keys->kind != LIST) {
        return FAIL(m, "%s: %s where the list of storages should be", m->where, kind_name[keys->kind]);
    }
    for (uint32_t i = 0; i < keys->n; i++) {
        const value *k = &m->v[keys->item[i]];
        storage *s = k->kind == STR ? find_storage(m, k->s, (size_t)k->i) : NULL;
        uint64_t count = 0;
        size_t bytes = 0;
        if (s == NULL || s->data != NULL) {
            return FAIL(m, "%s: storage %u of the list is unknown or named twice", m->where, i);
        }
        FW_TRY(take_uint(m, 8, &count));
        if (count != (uint64_t)s->count || !storage_bytes(s, m->end, &bytes)) {
            return FAIL(m, "%s: storage %u has %llu values, its description says %lld", m->where, i,
                        (unsigned long long)count, (long long)s->count);
        }
        FW_TRY(take(m, bytes, &s->data));
    }
    return FW_OK;
}

static fw_status read_legacy(fw_pth *p, machine *m, fw_err *err) {
    static const uint8_t magic[] = {0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};
    uint32_t root = 0, version = 0, system = 0, keys = 0;
    if (m->end < sizeof magic || memcmp(m->data, magic, sizeof magic) != 0) {
        return fw_fail(err, FW_FORMAT, "%s: not a PyTorch file: neither a zip nor PyTorch's magic number", p->where);
    }
    m->at = sizeof magic;
    FW_TRY(run_pickle(m, &version));
    if (m->v[version].kind != INT || m->v[version].i != 1001) {
        return fw_fail(err, FW_FORMAT, "%s: PyTorch's protocol is not 1001", p->where);
    }
    FW_TRY(run_pickle(m, &system));
    const value *info = &m->v[system];
    for (uint32_t i = 0; info->kind == DICT && i + 1 < info->n; i += 2) {
        const value *val = &m->v[info->item[i + 1]];
        if (str_is(&m->v[info->item[i]], "little_endian") && (val->kind != BOOL || val->i != 1)) {
            return fw_fail(err, FW_UNSUPPORTED, "%s: written on a big-endian machine", p->where);
        }
    }
    FW_TRY(run_pickle(m, &root));
    FW_TRY(run_pickle(m, &keys));
    FW_TRY(legacy_storages(m, &m->v[keys]));
    if (m->at != m->end) {
        return fw_fail(err, FW_FORMAT, "%s: %zu bytes after the last storage", p->where, m->end - m->at);
    }
    return emit(p, m, root, err);
}

/* ---- the zip container: <any>/data.pkl and <any>/data/<key>, stored ---- */

static uint32_t le(const uint8_t *p, int n) {
    uint32_t v = 0;
    for (int i = 0; i < n; i++) {
        v |= (uint32_t)p[i] << (8 * i);
    }
    return v;
}

typedef struct zip_entry {
    const uint8_t *name, *data;
    size_t name_n, size;
} zip_entry;

/* Where the central directory begins and how many entries it has; found from the end record. */
static fw_status zip_end(const fw_pth *p, size_t *at, uint32_t *n, fw_err *err) {
    size_t lowest = p->size > 65557 ? p->size - 65557 : 0;
    for (size_t i = p->size >= 22 ? p->size - 22 + 1 : 0; i-- > lowest;) {
        const uint8_t *e = p->data + i;
        if (le(e, 4) == 0x06054b50u) {
            *n = le(e + 10, 2);
            *at = le(e + 16, 4);
            if (*at > i) {
                break;
            }
            return FW_OK;
        }
    }
    return fw_fail(err, FW_FORMAT, "%s: a zip without a readable directory", p->where);
}

/* The entry whose directory record is at *at; *at moves to the next. */
static fw_status zip_next(const fw_pth *p, size_t *at, zip_entry *out, fw_err *err) {
    const uint8_t *c = p->data + *at;
    size_t left = p->size - *at;
    if (left < 46 || le(c, 4) != 0x02014b50u) {
        return fw_fail(err, FW_FORMAT, "%s: byte %zu: not a directory record", p->where, *at);
    }
    size_t name = le(c + 28, 2), whole = 46 + name + le(c + 30, 2) + le(c + 32, 2), local = le(c + 42, 4),
           size = le(c + 24, 4);
    if (whole > left || le(c + 10, 2) != 0 || le(c + 20, 4) != size) {
        return fw_fail(err, FW_UNSUPPORTED, "%s: byte %zu: a truncated or compressed zip entry", p->where, *at);
    }
    if (local > p->size || p->size - local < 30 || le(p->data + local, 4) != 0x04034b50u) {
        return fw_fail(err, FW_FORMAT, "%s: byte %zu: a zip entry outside the file", p->where, *at);
    }
    size_t skip = 30 + le(p->data + local + 26, 2) + le(p->data + local + 28, 2);
    if (skip > p->size - local || size > p->size - local - skip) {
        return fw_fail(err, FW_FORMAT, "%s: byte %zu: a zip entry reaches past the file", p->where, *at);
    }
    *out = (zip_entry){c + 46, p->data + local + skip, name, size};
    *at += whole;
    return FW_OK;
}

/* Calls fn for each entry until one fails. */
static fw_status zip_each(const fw_pth *p, fw_status (*fn)(void *ctx, const zip_entry *e), void *ctx, fw_err *err) {
    size_t at = 0;
    uint32_t n = 0;
    FW_TRY(zip_end(p, &at, &n, err));
    for (uint32_t i = 0; i < n; i++) {
        zip_entry e;
        FW_TRY(zip_next(p, &at, &e, err));
        FW_TRY(fn(ctx, &e));
    }
    return FW_OK;
}

/* Name without its first folder: "archive/data/12" -> "data/12". */
static const uint8_t *zip_short(const zip_entry *e, size_t *n) {
    const uint8_t *slash = memchr(e->name, '/', e->name_n);
    *n = slash != NULL ? e->name_n - (size_t)(slash + 1 - e->name) : 0;
    return slash != NULL ? slash + 1 : e->name;
}

static fw_status zip_find_pickle(void *ctx, const zip_entry *e) {
    zip_entry *out = ctx;
    size_t n = 0;
    const uint8_t *s = zip_short(e, &n);
    if (n == 8 && memcmp(s, "data.pkl", 8) == 0) {
        *out = *e;
    }
    return FW_OK;
}

static fw_status zip_find_storage(void *ctx, const zip_entry *e) {
    machine *m = ctx;
    size_t n = 0, bytes = 0;
    const uint8_t *s = zip_short(e, &n);
    if (n <= 5 || memcmp(s, "data/", 5) != 0) {
        return FW_OK;
    }
    storage *st = find_storage(m, s + 5, n - 5);
    if (st == NULL) {
        return FW_OK; /* not used by the state dict */
    }
    if (!storage_bytes(st, e->size, &bytes) || bytes != e->size || st->data != NULL) {
        return FAIL(m, "%s: storage '%.*s' has %zu bytes, its description says %lld values", m->where,
                    (int)(n < 60 ? n - 5 : 55), (const char *)s + 5, e->size, (long long)st->count);
    }
    st->data = e->data;
    return FW_OK;
}

static fw_status read_zip(fw_pth *p, machine *m, fw_err *err) {
    zip_entry pickle = {0};
    uint32_t root = 0;
    FW_TRY(zip_each(p, zip_find_pickle, &pickle, err));
    if (pickle.data == NULL) {
        return fw_fail(err, FW_FORMAT, "%s: a zip without data.pkl: not a PyTorch file", p->where);
    }
    m->at = (size_t)(pickle.data - p->data);
    m->end = m->at + pickle.size;
    FW_TRY(run_pickle(m, &root));
    FW_TRY(zip_each(p, zip_find_storage, m, err));
    return emit(p, m, root, err);
}

/* ---- the handle ---- */

static fw_status open_mem(fw_pth *p, const void *data, size_t size, const char *where, fw_err *err) {
    p->where = strdup(where);
    p->data = data;
    p->size = size;
    if (p->where == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: no memory", where);
    }
    if (size < 4) {
        return fw_fail(err, FW_FORMAT, "%s: %zu bytes are not a PyTorch file", where, size);
    }
    machine m = {.where = p->where, .data = p->data, .end = size, .err = err};
    bool zip = memcmp(data, "PK\3\4", 4) == 0;
    fw_status st = zip ? read_zip(p, &m, err) : read_legacy(p, &m, err);
    machine_clear(&m);
    return st;
}

fw_status fw_pth_open_mem(const void *data, size_t size, const char *where, fw_pth **out, fw_err *err) {
    fw_pth *p = calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: no memory", where);
    }
    fw_status st = open_mem(p, data, size, where, err);
    if (st != FW_OK) {
        fw_pth_close(p);
        return st;
    }
    *out = p;
    return FW_OK;
}

fw_status fw_pth_open(const char *path, fw_pth **out, fw_err *err) {
    fw_map map;
    *out = NULL;
    FW_TRY(fw_map_open(path, &map, err));
    fw_status st = fw_pth_open_mem(map.data, map.size, path, out, err);
    if (st == FW_OK) {
        (*out)->map = map;
    } else {
        fw_map_close(&map);
    }
    return st;
}

void fw_pth_close(fw_pth *p) {
    if (p == NULL) {
        return;
    }
    for (int i = 0; i < p->n; i++) {
        free((char *)p->tensor[i].name);
        free(p->copy[i]);
    }
    free(p->copy);
    free(p->tensor);
    free(p->where);
    if (p->map.data != NULL) {
        fw_map_close(&p->map);
    }
    free(p);
}

int fw_pth_count(const fw_pth *p) {
    return p->n;
}

const fw_pth_tensor *fw_pth_at(const fw_pth *p, int i) {
    return i >= 0 && i < p->n ? &p->tensor[i] : NULL;
}

const fw_pth_tensor *fw_pth_find(const fw_pth *p, const char *name) {
    fw_pth_tensor key = {.name = name};
    return p->n > 0 ? bsearch(&key, p->tensor, (size_t)p->n, sizeof key, by_name) : NULL;
}
