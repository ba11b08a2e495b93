/*
 * crew.h - long work in numbered pieces: forked workers make them, the parent takes them in order.
 *
 *     crew_job job = {.workers = 2, .work = make_pieces, .take = read_piece, .ctx = &m};
 *     FW_TRY(crew_hire(&c, &job, first, err));
 *     for (int64_t k = first; k < n; k++) {
 *         FW_TRY(crew_take(&c, k, into, err)); // what worker (k - first) mod W sent: read by job.take
 *     }
 *     crew_dismiss(&c);                        // always
 *
 * DESIGN. A worker makes its pieces in order and sends each through a pipe of its own: a head, then whatever work and take agree on.
 * So what comes out does not depend on the number of workers. A worker that dies (a fault in a library, the kernel short of memory) is
 * replaced and its piece made again; an error that a worker reports is one. No worker outlives its parent.
 */
#ifndef FW_CLI_CREW_H
#define FW_CLI_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fw/status.h"

enum { CREW_MAX = 64 };

typedef struct crew_job {
    int workers; /* 1..CREW_MAX */
    /* In the worker: make pieces first, first + step, ...; crew_head before what each consists of. The status is sent on. */
    fw_status (*work)(void *ctx, int64_t first, int64_t step, int fd, fw_err *err);
    /* In the parent: read what follows the head of `piece`. FW_CLOSED: it ended (crew_read said no). */
    fw_status (*take)(void *ctx, int64_t piece, int fd, void *into, fw_err *err);
    void *ctx; /* of both; a worker has a copy of it */
} crew_job;

typedef struct crew {
    crew_job job;
    int64_t first;
    pid_t pid[CREW_MAX];
    int fd[CREW_MAX];
    int n;
} crew;

FW_NODISCARD fw_status crew_hire(crew *c, const crew_job *job, int64_t first, fw_err *err);
/* Pieces first, first + 1, ... in this order. */
FW_NODISCARD fw_status crew_take(crew *c, int64_t piece, void *into, fw_err *err);
void crew_dismiss(crew *c); /* zeroed, or after a failed crew_hire: fine */

/* For work and take. False: the other side is gone. */
bool crew_head(int fd, int64_t piece);
bool crew_write(int fd, const void *data, size_t n);
bool crew_read(int fd, void *data, size_t n);

#endif /* FW_CLI_CREW_H */
