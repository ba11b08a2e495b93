/*
 * gradsum.h - the gradient of a step: the sum over the runs of its batch, in one order, whoever computed which of them.
 *
 *   fw_gradsum_add(s, share);                        // after each run of this rank, in order
 *   grad = fw_gradsum_total(s);                     // collective: the same bits on every rank
 *
 * DESIGN. A sum of floats depends on its order. Here that is the order of a binary tree over the runs 0 ... n-1 of a step: a block of 2^k
 * runs which begins at a multiple of 2^k is the sum of its two halves; blocks that are left over are added from the end: n = 7 is
 * ((0+1)+(2+3)) + ((4+5)+6). It does not depend on how many ranks share the runs, nor on the number of threads.
 * A rank has consecutive runs and adds up the largest blocks within them, which takes about log2 of them as memory; a power of two of runs
 * is one block. The values are then cut into a slice a rank: each rank collects its slice of everybody's blocks, adds that up in the
 * tree's order and sends it to all. So a rank sends and receives 2 (R-1)/R of the gradient, and does 1/R of the additions.
 */
#ifndef FW_TRAIN_GRADSUM_H
#define FW_TRAIN_GRADSUM_H

#include "train/optim.h"
#include "train/ranks.h"

typedef struct fw_gradsum fw_gradsum;

/* For steps of `runs` runs of plan, shared evenly by the ranks. All but runs is borrowed until fw_gradsum_free. FW_INVALID: the ranks
 * do not divide the runs. */
FW_NODISCARD fw_status fw_gradsum_new(const fw_optim *optim, fw_plan *plan, int64_t runs, fw_ranks *ranks,
                                      fw_pool *pool, fw_gradsum **out, fw_err *err);
void fw_gradsum_free(fw_gradsum *s); /* NULL is fine */
/* share * the gradients of the plan's last run, the next of this rank's. */
void fw_gradsum_add(fw_gradsum *s, double share);
/* [parameters of optim], NULL where nothing depends on one: borrowed until the next fw_gradsum_add. Collective. */
const float *const *fw_gradsum_total(fw_gradsum *s);

/* ---- the tree; apart for tests ---- */
enum { FW_GRADSUM_BLOCKS = 64 };
typedef struct fw_gradsum_block {
    int64_t first, runs; /* runs: a power of two, which divides first */
    float *sum;
} fw_gradsum_block;
/* The largest blocks within runs [first, first + n), in order; *depth: how many sums it takes at once to add them up. */
int fw_gradsum_blocks(int64_t first, int64_t n, fw_gradsum_block out[FW_GRADSUM_BLOCKS], int *depth);

#endif /* FW_TRAIN_GRADSUM_H */
