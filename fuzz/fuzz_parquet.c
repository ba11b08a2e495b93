/* Parquet files from anywhere: footer, schema, metadata, then every column, through the shim, from memory. */
#include <stdint.h>

#include "data/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fw_pq_reader *r;
    fw_table t;
    fw_err err;
    if (fw_pq_open_mem(data, size, "fuzz", &r, &err) != FW_OK) {
        return err.msg[0] == 0; /* every refusal says why */
    }
    (void)fw_pq_meta(r, "pandas");
    for (int g = 0; g < fw_pq_row_groups(r); g++) {
        (void)fw_pq_group_rows(r, g);
    }
    if (fw_pq_rows(r) <= 100000 && fw_table_read_from(r, "fuzz", NULL, 0, 0, -1, &t, &err) == FW_OK) {
        for (int c = 0; c < t.n_cols; c++) {
            for (int64_t i = 0, first, n; i < t.rows; i++) {
                fw_column_row(&t.cols[c], i, &first, &n);
                (void)(n > 0 ? fw_column_f64(&t.cols[c], first + n - 1) : 0.0);
            }
        }
        fw_table_clear(&t);
    }
    fw_pq_close(r);
    return 0;
}
