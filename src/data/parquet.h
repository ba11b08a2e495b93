/*
 * parquet.h - the C face of Arrow's Parquet library; table.h is what most callers want.
 *
 * DESIGN. parquet.cc is the only C++ here: it turns every exception and arrow::Status into an fw_err and hands data
 * over by the Arrow C data interface (arrow/c/abi.h, plain structs with release callbacks), so that no C++ type is
 * visible. A reader checks the footer when it opens. A writer writes one row group a batch, snappy, and the file is
 * complete only after fw_pq_writer_close.
 */
#ifndef FW_DATA_PARQUET_H
#define FW_DATA_PARQUET_H

#include <arrow/c/abi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fw/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fw_pq_reader fw_pq_reader;
typedef struct fw_pq_writer fw_pq_writer;

/* A key-value pair of the file's metadata ("pandas", "huggingface"). Borrowed. */
typedef struct fw_kv {
    const char *key, *value;
} fw_kv;

/* Open a file, or `n` bytes at `data` (borrowed until close; `where` names them in messages). FW_IO, FW_FORMAT. */
FW_NODISCARD fw_status fw_pq_open(const char *path, fw_pq_reader **out, fw_err *err);
FW_NODISCARD fw_status fw_pq_open_mem(const void *data, size_t n, const char *where, fw_pq_reader **out, fw_err *err);
void fw_pq_close(fw_pq_reader *r); /* NULL is fine */

int64_t fw_pq_rows(const fw_pq_reader *r);
int fw_pq_row_groups(const fw_pq_reader *r);
int64_t fw_pq_group_rows(const fw_pq_reader *r, int group);
/* The value of a metadata key, borrowed until close; NULL when absent. */
const char *fw_pq_meta(const fw_pq_reader *r, const char *key);
/* The schema as a struct type whose children are the columns. *out: owned, call out->release. */
FW_NODISCARD fw_status fw_pq_schema(fw_pq_reader *r, struct ArrowSchema *out, fw_err *err);
/* Top-level columns `columns` [n] (indices into the schema's children) of row groups [group_begin, group_end) as a
 * stream of record batches. *out: owned, call out->release before fw_pq_close. Values are decoded as the stream is
 * read: its get_next reports damage. */
FW_NODISCARD fw_status fw_pq_stream(fw_pq_reader *r, const int *columns, int n, int group_begin, int group_end,
                                    struct ArrowArrayStream *out, fw_err *err);

/* Create (truncate) `path`. schema: consumed, a struct type. kv [n_kv] goes to the file's metadata. */
FW_NODISCARD fw_status fw_pq_writer_open(const char *path, struct ArrowSchema *schema, const fw_kv *kv, int n_kv,
                                         fw_pq_writer **out, fw_err *err);
/* One row group. batch: consumed, a struct array that fits the schema. */
FW_NODISCARD fw_status fw_pq_writer_add(fw_pq_writer *w, struct ArrowArray *batch, fw_err *err);
/* Bytes written so far (what is buffered may be missing). */
int64_t fw_pq_writer_bytes(const fw_pq_writer *w);
/* Write the footer, close, free w whatever the result. Not fsync'd. */
FW_NODISCARD fw_status fw_pq_writer_close(fw_pq_writer *w, fw_err *err);
/* Close and free without a footer: the file is no Parquet file, remove it. NULL is fine. */
void fw_pq_writer_abort(fw_pq_writer *w);

/* --- rows as they are, of any type --- */
/* Create `path` with the columns of r. kv [n_kv] replaces the file's metadata. */
FW_NODISCARD fw_status fw_pq_writer_open_like(const char *path, fw_pq_reader *r, const fw_kv *kv, int n_kv,
                                              fw_pq_writer **out, fw_err *err);
/* Whether r has the same columns, of the same types. */
bool fw_pq_writer_fits(const fw_pq_writer *w, fw_pq_reader *r);
/* A number column that gets other values: i64 or f64 (the other NULL) [rows], converted to the column's type. */
typedef struct fw_pq_column {
    const char *name;
    const int64_t *i64;
    const double *f64;
} fw_pq_column;
/* Rows [a, b) of r as one row group, with columns `other` [n] replaced (values of row a first); they must be in r. */
FW_NODISCARD fw_status fw_pq_writer_add_rows(fw_pq_writer *w, fw_pq_reader *r, int64_t a, int64_t b,
                                             const fw_pq_column *other, int n, fw_err *err);

#ifdef __cplusplus
}
#endif
#endif /* FW_DATA_PARQUET_H */
