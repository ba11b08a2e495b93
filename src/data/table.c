/*
 * table.c - Arrow arrays to and from plain C arrays (see table.h).
 *
 * Reading walks each column's chain of list types down to its leaves: the leaves of rows [a,b) are one contiguous
 * range, found by following the offsets level by level. Writing lends the table's own arrays to Arrow; only offsets,
 * bits and string bytes are made, and die with the batch.
 */
#include "data/table.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_DEPTH 8

/* --- columns --- */

static size_t elem_bytes(fw_coltype t) {
    switch (t) {
    case FW_COL_F32:
    case FW_COL_I32:
        return 4;
    case FW_COL_BOOL:
        return 1;
    case FW_COL_F64:
    case FW_COL_I64:
    case FW_COL_STR:
        break;
    }
    return 8;
}

static bool column_reserve(fw_column *c, int64_t more) {
    int64_t need;
    if (__builtin_add_overflow(c->n, more, &need) || need > INT64_MAX / 32) {
        return false;
    }
    if (need <= c->cap) {
        return true;
    }
    int64_t cap = need > 2 * c->cap ? need : 2 * c->cap;
    void *p = realloc(c->data, (size_t)cap * elem_bytes(c->type));
    if (p == NULL) {
        return false;
    }
    c->data = p;
    c->cap = cap;
    return true;
}

static void column_clear(fw_column *c) {
    if (c->type == FW_COL_STR && c->data != NULL) {
        for (int64_t i = 0; i < c->n; i++) {
            free(c->str[i]);
        }
    }
    free(c->data);
    free(c->row_at);
    free(c->name);
}

void fw_table_clear(fw_table *t) {
    for (int i = 0; i < t->n_cols; i++) {
        column_clear(&t->cols[i]);
    }
    free(t->cols);
    *t = (fw_table){0};
}

const fw_column *fw_table_find(const fw_table *t, const char *name) {
    for (int i = 0; i < t->n_cols; i++) {
        if (strcmp(t->cols[i].name, name) == 0) {
            return &t->cols[i];
        }
    }
    return NULL;
}

double fw_column_f64(const fw_column *c, int64_t i) {
    switch (c->type) {
    case FW_COL_F32:
        return (double)c->f32[i];
    case FW_COL_F64:
        return c->f64[i];
    case FW_COL_I32:
        return (double)c->i32[i];
    case FW_COL_I64:
        return (double)c->i64[i];
    case FW_COL_BOOL:
        return (double)c->b[i];
    case FW_COL_STR:
        break;
    }
    return NAN;
}

/* What an integer column takes of a number: INT64_MIN for one that does not fit. */
static int64_t whole(double v) {
    return v > -9e18 && v < 9e18 ? (int64_t)v : INT64_MIN;
}

int64_t fw_column_i64(const fw_column *c, int64_t i) {
    switch (c->type) {
    case FW_COL_I32:
        return c->i32[i];
    case FW_COL_I64:
        return c->i64[i];
    case FW_COL_BOOL:
        return c->b[i];
    case FW_COL_F32:
    case FW_COL_F64:
        return whole(fw_column_f64(c, i));
    case FW_COL_STR:
        break;
    }
    return INT64_MIN;
}

void fw_column_row(const fw_column *c, int64_t r, int64_t *first, int64_t *n) {
    *first = c->width >= 0 ? r * c->width : c->row_at[r];
    *n = c->width >= 0 ? c->width : c->row_at[r + 1] - c->row_at[r];
}

/* --- reading --- */

/* How to read one top-level column. */
typedef struct plan {
    int depth;                               /* list levels */
    const struct ArrowSchema *at[MAX_DEPTH]; /* the list types, outermost first */
    const struct ArrowSchema *leaf;
    fw_coltype type;
} plan;

static bool plan_column(const struct ArrowSchema *s, plan *p) {
    *p = (plan){0};
    while (s->format[0] == '+') {
        bool list = s->format[1] == 'l' || s->format[1] == 'L' || s->format[1] == 'w';
        if (!list || s->n_children != 1 || p->depth == MAX_DEPTH) {
            return false;
        }
        p->at[p->depth++] = s;
        s = s->children[0];
    }
    p->leaf = s;
    if (s->dictionary != NULL || s->format[0] == 0 || s->format[1] != 0) {
        return false;
    }
    switch (s->format[0]) {
    case 'f':
    case 'e':
        p->type = FW_COL_F32;
        return true;
    case 'g':
        p->type = FW_COL_F64;
        return true;
    case 'i':
        p->type = FW_COL_I32;
        return true;
    case 'c':
    case 'C':
    case 's':
    case 'S':
    case 'I':
    case 'l':
    case 'L':
        p->type = FW_COL_I64;
        return true;
    case 'b':
        p->type = FW_COL_BOOL;
        return true;
    case 'u':
    case 'U':
        p->type = FW_COL_STR;
        return true;
    default:
        return false;
    }
}

static bool bit(const void *bits, int64_t i) {
    return (((const uint8_t *)bits)[i >> 3] >> (i & 7)) & 1;
}

/* Follow row offset `i` of a list array down to where that row begins among the leaves. */
static int64_t leaf_of_row(const plan *p, const struct ArrowArray *a, int64_t i) {
    for (int d = 0; d < p->depth; d++) {
        i += a->offset;
        switch (p->at[d]->format[1]) {
        case 'l':
            i = a->buffers[1] == NULL ? 0 : ((const int32_t *)a->buffers[1])[i];
            break;
        case 'L':
            i = a->buffers[1] == NULL ? 0 : ((const int64_t *)a->buffers[1])[i];
            break;
        default: /* "+w:n" */
            i *= strtoll(p->at[d]->format + 3, NULL, 10);
        }
        a = a->children[0];
    }
    return i;
}

static const struct ArrowArray *leaf_array(const plan *p, const struct ArrowArray *a) {
    for (int d = 0; d < p->depth; d++) {
        a = a->children[0];
    }
    return a;
}

static float half_to_f32(uint16_t h) {
    int e = (h >> 10) & 31, m = h & 1023;
    float v = e == 0 ? ldexpf((float)m, -24) : e == 31 ? (m != 0 ? NAN : INFINITY) : ldexpf((float)(m | 1024), e - 25);
    return (h & 0x8000) != 0 ? -v : v;
}

static int64_t int_at(char format, const void *v, int64_t i) {
    switch (format) {
    case 'c':
        return ((const int8_t *)v)[i];
    case 'C':
        return ((const uint8_t *)v)[i];
    case 's':
        return ((const int16_t *)v)[i];
    case 'S':
        return ((const uint16_t *)v)[i];
    case 'I':
        return ((const uint32_t *)v)[i];
    default: /* 'l', 'L' */
        return ((const int64_t *)v)[i];
    }
}

static char *string_at(char format, const struct ArrowArray *a, int64_t i) {
    const char *bytes = a->buffers[2];
    if (format == 'u') {
        const int32_t *o = a->buffers[1];
        return strndup(bytes != NULL ? bytes + o[i] : "", (size_t)(o[i + 1] - o[i]));
    }
    const int64_t *o = a->buffers[1];
    return strndup(bytes != NULL ? bytes + o[i] : "", (size_t)(o[i + 1] - o[i]));
}

/* Append leaves [begin, end) of `a`. */
static fw_status append_leaves(const char *where, fw_column *c, const plan *p, const struct ArrowArray *a,
                               int64_t begin, int64_t end, fw_err *err) {
    int64_t n = end - begin;
    if (begin < 0 || end < begin || end > a->length) {
        return fw_fail(err, FW_FORMAT, "%s: column %s: list offsets %lld..%lld outside 0..%lld", where, c->name,
                       (long long)begin, (long long)end, (long long)a->length);
    }
    if (!column_reserve(c, n)) {
        return fw_fail(err, FW_NOMEM, "%s: column %s: %lld values", where, c->name, (long long)(c->n + n));
    }
    char f = p->leaf->format[0];
    const void *valid = a->null_count != 0 ? a->buffers[0] : NULL, *v = a->buffers[1];
    int64_t off = a->offset + begin, at = c->n;
    size_t same = f == 'f' || f == 'i' ? 4 : f == 'g' || f == 'l' ? 8 : 0; /* stored as we keep them */
    if (same > 0 && valid == NULL && n > 0) {
        memcpy((uint8_t *)c->data + (size_t)at * same, (const uint8_t *)v + (size_t)off * same, (size_t)n * same);
        c->n = at + n;
        return FW_OK;
    }
    for (int64_t i = 0; i < n; i++) {
        bool null = valid != NULL && !bit(valid, off + i);
        if (null && c->type != FW_COL_F32 && c->type != FW_COL_F64) {
            return fw_fail(err, FW_FORMAT, "%s: column %s: value %lld is null", where, c->name, (long long)(at + i));
        }
        switch (c->type) {
        case FW_COL_F32:
            c->f32[at + i] = null       ? NAN
                             : f == 'e' ? half_to_f32(((const uint16_t *)v)[off + i])
                                        : ((const float *)v)[off + i];
            break;
        case FW_COL_F64:
            c->f64[at + i] = null ? (double)NAN : ((const double *)v)[off + i];
            break;
        case FW_COL_I32:
            c->i32[at + i] = ((const int32_t *)v)[off + i];
            break;
        case FW_COL_I64:
            c->i64[at + i] = int_at(f, v, off + i);
            break;
        case FW_COL_BOOL:
            c->b[at + i] = bit(v, off + i);
            break;
        case FW_COL_STR:
            if ((c->str[at + i] = string_at(f, a, off + i)) == NULL) {
                return fw_fail(err, FW_NOMEM, "%s: column %s", where, c->name);
            }
        }
        c->n = at + i + 1;
    }
    return FW_OK;
}

/* Append rows [begin, end) of one batch's column; rows_before of it are in c already. */
static fw_status append_rows(const char *where, fw_column *c, const plan *p, const struct ArrowArray *a, int64_t begin,
                             int64_t end, int64_t rows_before, fw_err *err) {
    int64_t first = leaf_of_row(p, a, begin), at = c->n;
    FW_TRY(append_leaves(where, c, p, leaf_array(p, a), first, leaf_of_row(p, a, end), err));
    if (p->depth == 0) {
        return FW_OK;
    }
    int64_t *row_at = realloc(c->row_at, (size_t)(rows_before + end - begin + 1) * sizeof(int64_t));
    if (row_at == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: column %s", where, c->name);
    }
    c->row_at = row_at;
    row_at[0] = 0;
    for (int64_t r = begin; r < end; r++) {
        int64_t next = at + leaf_of_row(p, a, r + 1) - first, *to = &row_at[rows_before + r - begin + 1];
        if (next < to[-1] || next > c->n) {
            return fw_fail(err, FW_FORMAT, "%s: column %s: row %lld: list offsets go backwards", where, c->name,
                           (long long)r);
        }
        *to = next;
    }
    return FW_OK;
}

/* Lists of equal length need no offsets. */
static void column_finish(fw_column *c, int64_t rows) {
    c->width = 1;
    if (c->depth == 0) {
        return;
    }
    c->width = rows > 0 ? c->row_at[1] : 0;
    for (int64_t r = 0; r < rows; r++) {
        if (c->row_at[r + 1] - c->row_at[r] != c->width) {
            c->width = -1;
            return;
        }
    }
    free(c->row_at);
    c->row_at = NULL;
}

/* Choose the columns: their index in the file, their plan, an empty column in out. */
static fw_status choose(const char *where, const struct ArrowSchema *schema, const char *const *names, int n,
                        fw_table *out, int *index, plan *plans, fw_err *err) {
    int want = names != NULL ? n : (int)schema->n_children;
    for (int i = 0; i < want; i++) {
        int at = names != NULL ? -1 : i;
        for (int64_t k = 0; names != NULL && k < schema->n_children; k++) {
            at = strcmp(schema->children[k]->name, names[i]) == 0 ? (int)k : at;
        }
        if (at < 0) {
            return fw_fail(err, FW_FORMAT, "%s: no column '%s'", where, names[i]);
        }
        plan p;
        if (!plan_column(schema->children[at], &p)) {
            if (names == NULL) {
                continue;
            }
            return fw_fail(err, FW_UNSUPPORTED, "%s: column '%s' has a type that cannot be read (%s)", where, names[i],
                           schema->children[at]->format);
        }
        int c = out->n_cols++;
        index[c] = at;
        plans[c] = p;
        out->cols[c] = (fw_column){.type = p.type, .depth = p.depth, .name = strdup(schema->children[at]->name)};
        if (out->cols[c].name == NULL) {
            return fw_fail(err, FW_NOMEM, "%s", where);
        }
    }
    return FW_OK;
}

/* Row groups that hold rows [begin, end); *first_row: the first row of the first of them. */
static void groups_of(const fw_pq_reader *r, int64_t begin, int64_t end, int *g0, int *g1, int64_t *first_row) {
    int64_t row = 0;
    *g0 = *g1 = 0;
    *first_row = 0;
    for (int g = 0; g < fw_pq_row_groups(r); g++) {
        int64_t next = row + fw_pq_group_rows(r, g);
        if (next <= begin) {
            *g0 = *g1 = g + 1;
            *first_row = next;
        } else if (row < end) {
            *g1 = g + 1;
        }
        row = next;
    }
}

/* Whether the stream's columns are the planned ones: names, and types down to the leaves. */
static fw_status stream_fits(const char *where, struct ArrowArrayStream *s, const plan *plans, const fw_table *t,
                             fw_err *err) {
    struct ArrowSchema schema = {0};
    if (s->get_schema(s, &schema) != 0) {
        return fw_fail(err, FW_FORMAT, "%s: its schema cannot be read", where);
    }
    bool fits = schema.n_children == t->n_cols;
    for (int i = 0; fits && i < t->n_cols; i++) {
        plan p;
        fits = plan_column(schema.children[i], &p) && strcmp(schema.children[i]->name, t->cols[i].name) == 0 &&
               p.depth == plans[i].depth && strcmp(p.leaf->format, plans[i].leaf->format) == 0;
        for (int d = 0; fits && d < p.depth; d++) {
            fits = strcmp(p.at[d]->format, plans[i].at[d]->format) == 0;
        }
    }
    schema.release(&schema);
    return fits ? FW_OK : fw_fail(err, FW_FORMAT, "%s: its columns do not match its schema", where);
}

/* Drain the stream, keeping rows [begin, end) of it. Child k of a batch is the k-th chosen leaf group in *file* order.
 */
static fw_status drain(const char *where, struct ArrowArrayStream *s, const plan *plans, int64_t begin, int64_t end,
                       fw_table *out, fw_err *err) {
    FW_TRY(stream_fits(where, s, plans, out, err));
    fw_status st = FW_OK;
    int64_t row = 0;
    while (st == FW_OK) {
        struct ArrowArray batch = {0};
        if (s->get_next(s, &batch) != 0) {
            const char *why = s->get_last_error(s);
            return fw_fail(err, FW_FORMAT, "%s: %.*s", where, why != NULL ? (int)strcspn(why, "\n") : 7,
                           why != NULL ? why : "damaged");
        }
        if (batch.release == NULL) {
            break;
        }
        int64_t a = begin > row ? begin - row : 0, b = end - row < batch.length ? end - row : batch.length;
        if (batch.n_children != out->n_cols) {
            st = fw_fail(err, FW_FORMAT, "%s: a batch has %lld columns, wanted %d", where, (long long)batch.n_children,
                         out->n_cols);
        }
        for (int i = 0; a < b && i < out->n_cols && st == FW_OK; i++) {
            st = append_rows(where, &out->cols[i], &plans[i], batch.children[i], a, b, out->rows, err);
        }
        out->rows += a < b && st == FW_OK ? b - a : 0;
        row += batch.length;
        batch.release(&batch);
    }
    return st;
}

fw_status fw_table_read_from(fw_pq_reader *r, const char *where, const char *const *names, int n, int64_t row_begin,
                             int64_t row_end, fw_table *out, fw_err *err) {
    fw_status st;
    struct ArrowSchema schema = {0};
    struct ArrowArrayStream stream = {0};
    int *index = NULL;
    plan *plans = NULL;
    *out = (fw_table){0};
    row_end = row_end < 0 || row_end > fw_pq_rows(r) ? fw_pq_rows(r) : row_end;

    FW_TRY(fw_pq_schema(r, &schema, err));
    size_t most = (size_t)(names != NULL ? n : schema.n_children) + 1;
    index = calloc(most, sizeof(int));
    plans = calloc(most, sizeof(plan));
    out->cols = calloc(most, sizeof(fw_column));
    if (index == NULL || plans == NULL || out->cols == NULL) {
        st = fw_fail(err, FW_NOMEM, "%s: %zu columns", where, most);
        goto done;
    }
    if ((st = choose(where, &schema, names, n, out, index, plans, err)) != FW_OK) {
        goto done;
    }

    int g0, g1;
    int64_t first;
    groups_of(r, row_begin, row_end, &g0, &g1, &first);
    if (out->n_cols > 0 && g1 > g0) {
        if ((st = fw_pq_stream(r, index, out->n_cols, g0, g1, &stream, err)) != FW_OK) {
            goto done;
        }
        if ((st = drain(where, &stream, plans, row_begin - first, row_end - first, out, err)) != FW_OK) {
            goto done;
        }
    }
    if (out->n_cols > 0 && out->rows != (row_end > row_begin ? row_end - row_begin : 0)) {
        st = fw_fail(err, FW_FORMAT, "%s: %lld rows, its footer says %lld", where, (long long)out->rows,
                     (long long)(row_end - row_begin));
        goto done;
    }
    for (int i = 0; i < out->n_cols; i++) {
        column_finish(&out->cols[i], out->rows);
    }

done:
    if (stream.release != NULL) {
        stream.release(&stream);
    }
    if (schema.release != NULL) {
        schema.release(&schema);
    }
    free(index);
    free(plans);
    if (st != FW_OK) {
        fw_table_clear(out);
    }
    return st;
}

fw_status fw_table_read(const char *path, const char *const *names, int n, fw_table *out, fw_err *err) {
    fw_pq_reader *r;
    *out = (fw_table){0};
    FW_TRY(fw_pq_open(path, &r, err));
    fw_status st = fw_table_read_from(r, path, names, n, 0, -1, out, err);
    fw_pq_close(r);
    return st;
}

/* --- building --- */

static void must(bool ok) {
    if (!ok) {
        fprintf(stderr, "table: out of memory\n");
        abort();
    }
}

int fw_table_add_column(fw_table *t, const char *name, fw_coltype type, int depth, int64_t width) {
    fw_column *cols = realloc(t->cols, (size_t)(t->n_cols + 1) * sizeof(*cols));
    must(cols != NULL);
    t->cols = cols;
    cols[t->n_cols] = (fw_column){.name = strdup(name), .type = type, .depth = depth, .width = width};
    must(cols[t->n_cols].name != NULL);
    return t->n_cols++;
}

/* Room for n more values; a list of varying length gets its row. Returns where the values go. */
static fw_column *push(fw_table *t, int col, int64_t n) {
    fw_column *c = &t->cols[col];
    must(column_reserve(c, n > 0 ? n : 1));
    if (c->width < 0) {
        int64_t rows = t->rows;
        int64_t *row_at = realloc(c->row_at, (size_t)(rows + 2) * sizeof(int64_t));
        must(row_at != NULL);
        c->row_at = row_at;
        row_at[0] = 0;
        row_at[rows + 1] = c->n + n;
    }
    c->n += n;
    return c;
}

static void put(fw_column *c, int64_t i, double f, int64_t v) {
    switch (c->type) {
    case FW_COL_F32:
        c->f32[i] = (float)f;
        break;
    case FW_COL_F64:
        c->f64[i] = f;
        break;
    case FW_COL_I32:
        c->i32[i] = (int32_t)v;
        break;
    case FW_COL_I64:
        c->i64[i] = v;
        break;
    case FW_COL_BOOL:
        c->b[i] = v != 0;
        break;
    case FW_COL_STR:
        must(false);
    }
}

void fw_table_push_f64(fw_table *t, int col, const double *v, int64_t n) {
    fw_column *c = push(t, col, n);
    for (int64_t i = 0; i < n; i++) {
        put(c, c->n - n + i, v[i], whole(v[i]));
    }
}

void fw_table_push_f32(fw_table *t, int col, const float *v, int64_t n) {
    fw_column *c = push(t, col, n);
    for (int64_t i = 0; i < n; i++) {
        put(c, c->n - n + i, (double)v[i], whole((double)v[i]));
    }
}

void fw_table_push_i64(fw_table *t, int col, const int64_t *v, int64_t n) {
    fw_column *c = push(t, col, n);
    for (int64_t i = 0; i < n; i++) {
        put(c, c->n - n + i, (double)v[i], v[i]);
    }
}

void fw_table_push_str(fw_table *t, int col, const char *const *v, int64_t n) {
    fw_column *c = push(t, col, n);
    for (int64_t i = 0; i < n; i++) {
        must((c->str[c->n - n + i] = strdup(v[i])) != NULL);
    }
}

void fw_table_empty(fw_table *t) {
    for (int i = 0; i < t->n_cols; i++) {
        fw_column *c = &t->cols[i];
        for (int64_t k = 0; c->type == FW_COL_STR && k < c->n; k++) {
            free(c->str[k]);
        }
        c->n = 0;
    }
    t->rows = 0;
}

/* --- writing --- */

struct fw_table_writer {
    fw_pq_writer *pq;
    char *path;
    int n_cols;
};

static const char *const leaf_format[] = {
    [FW_COL_F32] = "f", [FW_COL_F64] = "g",  [FW_COL_I32] = "i",
    [FW_COL_I64] = "l", [FW_COL_BOOL] = "b", [FW_COL_STR] = "u",
};

static void schema_release(struct ArrowSchema *s) {
    for (int64_t i = 0; i < s->n_children; i++) {
        if (s->children[i]->release != NULL) {
            s->children[i]->release(s->children[i]);
        }
        free(s->children[i]);
    }
    free(s->children);
    free(s->private_data); /* the name */
    s->release = NULL;
}

static struct ArrowSchema schema_node(const char *format, const char *name, int64_t n_children) {
    struct ArrowSchema s = {
        .format = format, .flags = ARROW_FLAG_NULLABLE, .n_children = n_children, .release = schema_release};
    must((s.private_data = strdup(name)) != NULL);
    s.name = s.private_data;
    if (n_children > 0) {
        must((s.children = calloc((size_t)n_children, sizeof(*s.children))) != NULL);
    }
    for (int64_t i = 0; i < n_children; i++) {
        must((s.children[i] = calloc(1, sizeof(struct ArrowSchema))) != NULL);
    }
    return s;
}

static struct ArrowSchema column_schema(const fw_column *c) {
    struct ArrowSchema top = schema_node(c->depth > 0 ? "+l" : leaf_format[c->type], c->name, c->depth > 0);
    struct ArrowSchema *s = &top;
    for (int d = 1; d <= c->depth; d++) {
        *s->children[0] = schema_node(d < c->depth ? "+l" : leaf_format[c->type], "element", d < c->depth);
        s = s->children[0];
    }
    return top;
}

/* What a batch allocated: a chain that its root frees. */
typedef struct chain {
    struct chain *next;
    _Alignas(16) unsigned char mem[];
} chain;

static void *chain_alloc(chain **head, size_t bytes) {
    chain *c = calloc(1, sizeof(chain) + bytes);
    must(c != NULL);
    c->next = *head;
    *head = c;
    return c->mem;
}

static void child_release(struct ArrowArray *a) {
    a->release = NULL; /* its memory is the root's */
}

static void root_release(struct ArrowArray *a) {
    for (int64_t i = 0; i < a->n_children; i++) {
        if (a->children[i]->release != NULL) {
            a->children[i]->release(a->children[i]);
        }
    }
    for (chain *c = a->private_data, *next; c != NULL; c = next) {
        next = c->next;
        free(c);
    }
    a->release = NULL;
}

static void array_node(chain **mem, struct ArrowArray *a, int64_t length, int n_buffers, int n_children) {
    *a = (struct ArrowArray){
        .length = length, .n_buffers = n_buffers, .n_children = n_children, .release = child_release};
    a->buffers = chain_alloc(mem, (size_t)n_buffers * sizeof(void *));
    a->children = chain_alloc(mem, (size_t)n_children * sizeof(void *) + 1);
    for (int i = 0; i < n_children; i++) {
        a->children[i] = chain_alloc(mem, sizeof(struct ArrowArray));
    }
}

static void leaf_node(chain **mem, struct ArrowArray *a, const fw_column *c) {
    array_node(mem, a, c->n, c->type == FW_COL_STR ? 3 : 2, 0);
    if (c->type == FW_COL_BOOL) {
        uint8_t *bits = chain_alloc(mem, (size_t)c->n / 8 + 1);
        for (int64_t i = 0; i < c->n; i++) {
            bits[i >> 3] = (uint8_t)(bits[i >> 3] | (c->b[i] << (i & 7)));
        }
        a->buffers[1] = bits;
    } else if (c->type == FW_COL_STR) {
        int32_t *off = chain_alloc(mem, (size_t)(c->n + 1) * sizeof(int32_t));
        size_t bytes = 0;
        for (int64_t i = 0; i < c->n; i++) {
            bytes += strlen(c->str[i]);
        }
        char *text = chain_alloc(mem, bytes + 1);
        for (int64_t i = 0; i < c->n; i++) {
            size_t len = strlen(c->str[i]);
            memcpy(text + off[i], c->str[i], len);
            off[i + 1] = off[i] + (int32_t)len;
        }
        a->buffers[1] = off;
        a->buffers[2] = text;
    } else {
        a->buffers[1] = c->data;
    }
}

/* Lists: level 0 has the column's rows; inner levels (statistics of images) are lists of one. */
static void column_node(chain **mem, struct ArrowArray *a, const fw_column *c, int64_t rows) {
    for (int d = 0; d < c->depth; d++) {
        int64_t length = d == 0 ? rows : c->n;
        array_node(mem, a, length, 2, 1);
        int32_t *off = chain_alloc(mem, (size_t)(length + 1) * sizeof(int32_t));
        for (int64_t i = 0; i <= length; i++) {
            off[i] = (int32_t)(d > 0 ? i : c->width >= 0 ? i * c->width : c->row_at[i]);
        }
        a->buffers[1] = off;
        a = a->children[0];
    }
    leaf_node(mem, a, c);
}

fw_status fw_table_writer_open(const char *path, const fw_table *schema, const fw_kv *kv, int n_kv,
                               fw_table_writer **out, fw_err *err) {
    struct ArrowSchema s = schema_node("+s", "", schema->n_cols);
    for (int i = 0; i < schema->n_cols; i++) {
        *s.children[i] = column_schema(&schema->cols[i]);
    }
    fw_pq_writer *pq;
    *out = NULL;
    FW_TRY(fw_pq_writer_open(path, &s, kv, n_kv, &pq, err));
    fw_table_writer *w = calloc(1, sizeof(*w));
    must(w != NULL && (w->path = strdup(path)) != NULL);
    w->pq = pq;
    w->n_cols = schema->n_cols;
    *out = w;
    return FW_OK;
}

fw_status fw_table_writer_add(fw_table_writer *w, const fw_table *t, fw_err *err) {
    if (t->n_cols != w->n_cols) {
        return fw_fail(err, FW_INVALID, "%s: %d columns, the file has %d", w->path, t->n_cols, w->n_cols);
    }
    for (int i = 0; i < t->n_cols; i++) {
        const fw_column *c = &t->cols[i];
        int64_t want = c->width >= 0 ? t->rows * c->width : t->rows > 0 && c->row_at != NULL ? c->row_at[t->rows] : 0;
        if (c->n != want || c->n > INT32_MAX) {
            return fw_fail(err, FW_INVALID, "%s: column %s: %lld values for %lld rows, wanted %lld", w->path, c->name,
                           (long long)c->n, (long long)t->rows, (long long)want);
        }
    }
    chain *mem = NULL;
    struct ArrowArray root;
    array_node(&mem, &root, t->rows, 1, t->n_cols);
    for (int i = 0; i < t->n_cols; i++) {
        column_node(&mem, root.children[i], &t->cols[i], t->rows);
    }
    root.release = root_release;
    root.private_data = mem;
    return fw_pq_writer_add(w->pq, &root, err);
}

int64_t fw_table_writer_bytes(const fw_table_writer *w) {
    return fw_pq_writer_bytes(w->pq);
}

static fw_status sync_file(const char *path, fw_err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int bad = fd < 0 || fsync(fd) != 0;
    int why = errno;
    if (fd >= 0) {
        close(fd);
    }
    return bad ? fw_fail(err, FW_IO, "%s: fsync: %s", path, strerror(why)) : FW_OK;
}

fw_status fw_table_writer_close(fw_table_writer *w, fw_err *err) {
    fw_status st = fw_pq_writer_close(w->pq, err);
    if (st == FW_OK) {
        st = sync_file(w->path, err);
    }
    free(w->path);
    free(w);
    return st;
}

void fw_table_writer_abort(fw_table_writer *w) {
    if (w != NULL) {
        fw_pq_writer_abort(w->pq);
        free(w->path);
        free(w);
    }
}

void fw_table_view(const fw_table *t, int64_t a, int64_t b, fw_table *out) {
    *out = (fw_table){.rows = b - a, .n_cols = t->n_cols, .cols = calloc((size_t)t->n_cols + 1, sizeof(fw_column))};
    must(out->cols != NULL);
    for (int i = 0; i < t->n_cols; i++) {
        fw_column *c = &out->cols[i];
        *c = t->cols[i];
        int64_t first = c->width >= 0 ? a * c->width : c->row_at[a];
        if (c->width < 0) {
            must((c->row_at = malloc((size_t)(b - a + 1) * sizeof(int64_t))) != NULL);
            for (int64_t r = a; r <= b; r++) {
                c->row_at[r - a] = t->cols[i].row_at[r] - first;
            }
        }
        c->n = c->width >= 0 ? (b - a) * c->width : c->row_at[b - a];
        c->data = c->data == NULL ? NULL : (char *)c->data + (size_t)first * elem_bytes(c->type);
    }
}

void fw_table_view_clear(fw_table *view) {
    for (int i = 0; i < view->n_cols; i++) {
        free(view->cols[i].row_at);
    }
    free(view->cols);
    *view = (fw_table){0};
}

static fw_status write_groups(const char *path, const fw_table *t, int64_t group_rows, const fw_kv *kv, int n_kv,
                              fw_err *err) {
    fw_table_writer *w;
    FW_TRY(fw_table_writer_open(path, t, kv, n_kv, &w, err));
    for (int64_t r = 0; r < t->rows; r += group_rows) {
        fw_table part;
        fw_table_view(t, r, r + group_rows < t->rows ? r + group_rows : t->rows, &part);
        fw_status st = fw_table_writer_add(w, &part, err);
        fw_table_view_clear(&part);
        if (st != FW_OK) {
            fw_table_writer_abort(w);
            return st;
        }
    }
    return fw_table_writer_close(w, err);
}

fw_status fw_table_write(const char *path, const fw_table *t, int64_t group_rows, const fw_kv *kv, int n_kv,
                         fw_err *err) {
    char tmp[4096];
    if (snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= (int)sizeof(tmp)) {
        return fw_fail(err, FW_INVALID, "%s: path too long", path);
    }
    int64_t rows = group_rows > 0 ? group_rows : t->rows > 0 ? t->rows : 1;
    fw_status st = write_groups(tmp, t, rows, kv, n_kv, err);
    if (st == FW_OK && rename(tmp, path) != 0) {
        st = fw_fail(err, FW_IO, "%s: rename: %s", path, strerror(errno));
    }
    if (st != FW_OK) {
        unlink(tmp);
    }
    return st;
}
