/*
 * ranks.h - the processes of one training run, as mpirun started them (OpenMPI).
 *
 *   fw_ranks *ranks;                                       // NULL: not under mpirun, one process
 *   FW_TRY(fw_ranks_open(&ranks, err));
 *   s = fw_ranks_meet(ranks, s, mine, n, all, err);        // everybody's numbers, or the error of who failed
 *   fw_ranks_close(ranks, s);
 *
 * DESIGN. A collective is called by all ranks in the same order, so what decides over it must be the same on all: numbers that were
 * exchanged, never a rank's own clock or luck. What goes wrong in one rank alone is carried to the next fw_ranks_meet, which fails on all
 * of them; what cannot be carried there ends the job by MPI_Abort in fw_ranks_close. A rank that dies is noticed by mpirun, which ends the
 * others.
 * Waiting yields its CPU and soon sleeps, as the pool's workers do: MPI's own calls would spin for as long as rank 0 writes a checkpoint.
 * libmpi is loaded when it is needed, because loading it takes every start 6 ms. All functions take NULL for a process that is alone.
 */
#ifndef FW_TRAIN_RANKS_H
#define FW_TRAIN_RANKS_H

#include <stdbool.h>
#include <stdint.h>

#include "fw/status.h"

typedef struct fw_ranks fw_ranks;

/* MPI_Init when mpirun started more than this process, else *out NULL. Ranks other than 0 log errors only. Once a process. */
FW_NODISCARD fw_status fw_ranks_open(fw_ranks **out, fw_err *err);
/* Whether this process tells people how it ended, s: rank 0, or one whose failure the others do not know of, whose name then stands in
 * *err. */
bool fw_ranks_tells(const fw_ranks *r, fw_status s, fw_err *err);
/* The end of this process's part, after it told people. A failure that the others do not know of ends them, too. */
void fw_ranks_close(fw_ranks *r, fw_status s);

int fw_ranks_rank(const fw_ranks *r); /* 0 ... size - 1 */
int fw_ranks_size(const fw_ranks *r); /* 1 when alone */
int fw_ranks_turn(
    const fw_ranks *r); /* who fills a cache first: 0 rank 0, 1 the first rank of another machine, 2 the others */
int fw_ranks_threads(const fw_ranks *r); /* CPUs that are this rank's share of its machine; 0 when alone: all */

/* Collective. Numbers mine [n] of every rank in all [size, n]. Unless all ranks bring FW_OK: the status and message of the lowest
 * rank that does not, with its name if others are well; the run is then over, and later calls return s at once. err not NULL. */
FW_NODISCARD fw_status fw_ranks_meet(fw_ranks *r, fw_status s, const double *mine, int n, double *all, fw_err *err);

/* Collective. The k-th part sent by rank a to rank b becomes the k-th that b receives from a. At most INT_MAX values a part. */
typedef struct fw_ranks_part {
    int rank; /* whom to, or from; not this one */
    float *data;
    int64_t n;
} fw_ranks_part;
void fw_ranks_swap(fw_ranks *r, const fw_ranks_part *send, int n_send, const fw_ranks_part *recv, int n_recv);

#endif /* FW_TRAIN_RANKS_H */
