/*
 * bench.h - the rows of `flywheel bench`: what is run, and how one of them is measured. cmd_bench.c joins rows, peers and table.
 */
#ifndef FW_CLI_BENCH_H
#define FW_CLI_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/threads.h"
#include "tensor/plan.h"

typedef enum bench_kind {
    BENCH_LINEAR,    /* one linear layer: rows, inputs, outputs */
    BENCH_ATTENTION, /* queries, keys, heads, heads of keys, width of a head */
    BENCH_CHUNK,     /* flywheel-s, pixels to actions */
    BENCH_TRAIN,     /* a training step of flywheel-s */
    BENCH_VIT,       /* a training step of a vision transformer */
    BENCH_POLICY     /* ACT, SmolVLA, pi0 */
} bench_kind;

typedef struct bench_work {
    const char *name; /* "linear 1024x768x768": what the peer is asked for */
    bench_kind kind;
    int64_t size[5];    /* of linear and attention */
    const char *policy; /* of BENCH_POLICY */
    bool f32, bf16, int8;
    double gparam; /* weights in 10^9 where memory may be short */
    bool slow;     /* left out by --quick */
} bench_work;

extern const bench_work bench_works[];
extern const int bench_n_work;

typedef struct bench_result {
    double ms;      /* best call; 0: not run, error says why */
    double cpu_ms;  /* mean CPU time of a call, all threads together: what compares while others use the machine */
    double gflop;   /* of a call, multiply-adds counting as 2 */
    double rss_mb;  /* most memory the process had, filled by the caller */
    double base_mb; /* what it had before the network was made */
    char error[400];
} bench_result;

/* One row on `threads` threads. Takes a second or two, longer for a large policy. */
void bench_run(const bench_work *w, fw_precision precision, int threads, bool quick, bench_result *out);
/* 10^9 operations/s of all threads together, of the table called isa; 0: not known, or not on this CPU. */
double bench_peak(const char *isa, int threads);

#endif /* FW_CLI_BENCH_H */
