/*
 * table.h - Parquet columns as plain C arrays.
 *
 *     fw_table t;
 *     const char *cols[] = {"action", "timestamp"};
 *     FW_TRY(fw_table_read("data/chunk-000/file-000.parquet", cols, 2, &t, err));
 *     const fw_column *a = fw_table_find(&t, "action");        // a->f32 [t.rows, a->width]
 *     fw_table_clear(&t);
 *
 * DESIGN. A column is one typed array of leaf values. Scalars, fixed lists and nested lists whose every row has the
 * same number of leaves become [rows, width]; lists of varying length keep row_at offsets. int8/16 and unsigned types
 * widen to i64, half floats to f32. A null number reads as NaN in float columns and is an error elsewhere. Columns of
 * other types (structs, dictionaries, binary) are skipped when all columns are asked for, and are an error when asked
 * for by name.
 */
#ifndef FW_DATA_TABLE_H
#define FW_DATA_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/parquet.h"
#include "fw/status.h"

typedef enum fw_coltype { FW_COL_F32, FW_COL_F64, FW_COL_I32, FW_COL_I64, FW_COL_BOOL, FW_COL_STR } fw_coltype;

typedef struct fw_column {
    char *name;      /* owned */
    fw_coltype type; /* of the leaf values */
    int depth;       /* 0 scalar, 1 list, 3 list of lists of lists (image statistics) */
    int64_t
        width; /* leaf values a row: 1 for scalars, n for lists of equal length, -1 when lengths differ (see row_at) */
    int64_t n; /* leaf values in all */
    union {    /* owned, [n] */
        void *data;
        float *f32;
        double *f64;
        int32_t *i32;
        int64_t *i64;
        uint8_t *b; /* 0 or 1 */
        char **str; /* each owned, NUL-terminated */
    };
    int64_t *row_at; /* owned, [rows+1] first leaf of each row; NULL unless width == -1 */
    int64_t cap;     /* leaves that fit in data (writers only) */
} fw_column;

typedef struct fw_table {
    int64_t rows;
    int n_cols;
    fw_column *cols; /* owned */
} fw_table;

/* Read columns `names` [n] (NULL: all readable ones) of a Parquet file. Errors name file and column. */
FW_NODISCARD fw_status fw_table_read(const char *path, const char *const *names, int n, fw_table *out, fw_err *err);
/* The same from an open reader; rows [row_begin, row_end), row_end -1: to the end. */
FW_NODISCARD fw_status fw_table_read_from(fw_pq_reader *r, const char *where, const char *const *names, int n,
                                          int64_t row_begin, int64_t row_end, fw_table *out, fw_err *err);
void fw_table_clear(fw_table *t);

/* NULL when absent. Borrowed from t. */
const fw_column *fw_table_find(const fw_table *t, const char *name);
/* Value i of a numeric column as double or (integers, bools) int64. i in [0, c->n). */
double fw_column_f64(const fw_column *c, int64_t i);
int64_t fw_column_i64(const fw_column *c, int64_t i);
/* Leaves of row r: [*first, *first + *n). */
void fw_column_row(const fw_column *c, int64_t r, int64_t *first, int64_t *n);

/* --- building a table to write --- */
/* Append an empty column: depth 0 and width 1, or a list of `width` (-1: lengths differ; then depth must be 1).
 * The returned index stays valid as columns are added. Aborts the process only when memory is gone. */
int fw_table_add_column(fw_table *t, const char *name, fw_coltype type, int depth, int64_t width);
/* Append leaf values to column `col`, converting to its type. For lists of varying length one call is one row. */
void fw_table_push_f64(fw_table *t, int col, const double *v, int64_t n);
void fw_table_push_f32(fw_table *t, int col, const float *v, int64_t n);
void fw_table_push_i64(fw_table *t, int col, const int64_t *v, int64_t n);
void fw_table_push_str(fw_table *t, int col, const char *const *v, int64_t n);
/* Rows [a, b) of t as a table that borrows t's values and names. fw_table_view_clear, not fw_table_clear. */
void fw_table_view(const fw_table *t, int64_t a, int64_t b, fw_table *out);
void fw_table_view_clear(fw_table *view);
/* Drop all rows, keep the columns. */
void fw_table_empty(fw_table *t);

/* --- writing --- */
typedef struct fw_table_writer fw_table_writer;
/* Columns as in `schema` (its rows are not written). */
FW_NODISCARD fw_status fw_table_writer_open(const char *path, const fw_table *schema, const fw_kv *kv, int n_kv,
                                            fw_table_writer **out, fw_err *err);
/* One row group. t->rows is checked against every column; columns must be those of the schema, in order. */
FW_NODISCARD fw_status fw_table_writer_add(fw_table_writer *w, const fw_table *t, fw_err *err);
int64_t fw_table_writer_bytes(const fw_table_writer *w);
/* Footer, fsync, close; frees w whatever the result. */
FW_NODISCARD fw_status fw_table_writer_close(fw_table_writer *w, fw_err *err);
void fw_table_writer_abort(fw_table_writer *w); /* NULL is fine; leaves a broken file to remove */

/* The whole table as one file with row groups of `group_rows` rows (0: one group), replaced atomically. */
FW_NODISCARD fw_status fw_table_write(const char *path, const fw_table *t, int64_t group_rows, const fw_kv *kv,
                                      int n_kv, fw_err *err);

#endif /* FW_DATA_TABLE_H */
