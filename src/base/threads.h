/*
 * threads.h - a pool for compute: fork-join over row blocks, bounded spinning, no allocation per call.
 *
 * The calling thread is worker 0. Between calls workers spin for a bounded time, then sleep on a futex: a preempted
 * worker delays only its own blocks (blocks are claimed by an atomic counter), never a barrier of all.
 */
#ifndef FW_BASE_THREADS_H
#define FW_BASE_THREADS_H

#include "fw/status.h"

typedef struct fw_pool fw_pool;

/* n_threads <= 0: the number of CPUs this process may run on. */
FW_NODISCARD fw_status fw_pool_new(int n_threads, fw_pool **out, fw_err *err);
void fw_pool_free(fw_pool *p); /* NULL is fine */
int fw_pool_size(const fw_pool *p);

/* fn(ctx, i, worker) for every i in [0, n); returns when all are done. worker in [0, size): index of per-thread
 * scratch. Which worker takes which i is not specified: results must not depend on it. One caller at a time; not
 * re-entrant. */
void fw_pool_run(fw_pool *p, int n, void (*fn)(void *ctx, int i, int worker), void *ctx);

#endif /* FW_BASE_THREADS_H */
