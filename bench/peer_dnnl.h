/* peer_dnnl.h - the same work by oneDNN, for comparison. Built with it where its headers are; otherwise every peer is NULL. */
#ifndef BENCH_PEER_DNNL_H
#define BENCH_PEER_DNNL_H

#include "kern/kern.h"

typedef struct peer peer;
typedef enum peer_type { PEER_F32, PEER_BF16, PEER_INT8 } peer_type;
/* y[m,n] = x[m,k] w[n,k]^T + b, weights reordered once into the layout that the primitive likes best. x as it wants it, too: in bf16,
 * or random bytes (unsigned, weights signed) without scales: rounding or quantising it is not in its time. NULL if it cannot. */
peer *peer_linear(peer_type type, int64_t m, int64_t k, int64_t n, float *x, float *w, float *b, float *y);
/* Depthwise NHWC with bias and relu6. Weights are zeros: time does not depend on values. */
peer *peer_depthwise(const fw_conv *d, float *x, float *b, float *y);
void peer_run(void *p);
void peer_free(peer *p); /* NULL is fine */

#endif /* BENCH_PEER_DNNL_H */
