/* bench_scan.c - every row of a dataset's Parquet files, one after the other, into plain arrays; peer: bench/peer_pyarrow.py */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/args.h"
#include "base/clock.h"
#include "data/dataset.h"
#include "data/table.h"

static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* All columns of all data files; *values: how many numbers they hold. */
static fw_status scan(const fw_dataset *ds, int64_t *rows, int64_t *values, fw_err *err) {
    *rows = *values = 0;
    for (int f = 0; f < ds->n_data_files; f++) {
        fw_table t;
        FW_TRY(fw_table_read(ds->data_files[f], NULL, 0, &t, err));
        *rows += t.rows;
        for (int c = 0; c < t.n_cols; c++) {
            *values += t.cols[c].n;
        }
        fw_table_clear(&t);
    }
    return FW_OK;
}

static fw_status run(const char *dir, int64_t rounds, fw_err *err) {
    fw_dataset *ds;
    int64_t rows = 0, values = 0;
    FW_TRY(fw_dataset_open(dir, &ds, err));
    fw_status st = scan(ds, &rows, &values, err); /* warm: files in memory, libraries loaded */
    for (int64_t i = 0; i < rounds && st == FW_OK; i++) {
        double cpu = cpu_s();
        int64_t t = fw_now_ns();
        st = scan(ds, &rows, &values, err);
        printf("{\"scan\": \"flywheel\", \"rows\": %lld, \"values\": %lld, \"cpu_s\": %.4f, \"wall_s\": %.4f}\n",
               (long long)rows, (long long)values, cpu_s() - cpu, (double)(fw_now_ns() - t) * 1e-9);
    }
    fw_dataset_close(ds);
    return st;
}

int main(int argc, char **argv) {
    int64_t rounds = 5;
    int n_paths;
    const fw_arg args[] = {FW_ARG_INT("rounds", &rounds, 1, 1000, "N", "how often")};
    const fw_usage usage = {.verb = "bench_scan",
                            .example = "build/release/bin/bench_scan out/k3/data",
                            .what = "Read every row of a dataset's Parquet files; a line of JSON a round.",
                            .paths = "DIR",
                            .min_paths = 1,
                            .max_paths = 1};
    int code = fw_args_parse(&usage, args, 1, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    fw_err err;
    if (run(argv[1], rounds, &err) != FW_OK) {
        fprintf(stderr, "bench_scan: %s\n", err.msg);
        return 1;
    }
    return 0;
}
