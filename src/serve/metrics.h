/* metrics.h - what a server counts, and Prometheus' text of it (exposition format 0.0.4). Thread-safe. */
#ifndef FW_SERVE_METRICS_H
#define FW_SERVE_METRICS_H

#include <pthread.h>
#include <stdint.h>

#include "fw/status.h"

#define FW_METRICS_BUCKETS 14
#define FW_METRICS_CODES   16 /* of fw_status, negated */

typedef struct fw_histogram {
    uint64_t count[FW_METRICS_BUCKETS + 1]; /* the last: longer than all bounds */
    double sum_s;
} fw_histogram;

typedef struct fw_metrics {
    pthread_mutex_t lock; /* of all below */
    uint64_t ok, failed[FW_METRICS_CODES], batches, batched, received_bytes, sent_bytes;
    fw_histogram queue, infer, total; /* s: waiting, in the network, from arrival to the answer */
} fw_metrics;

/* One request: seconds it waited, in the network, in all. */
void fw_metrics_ok(fw_metrics *m, double queue_s, double infer_s, double total_s, uint64_t sent_bytes);
void fw_metrics_failed(fw_metrics *m, fw_status why);
void fw_metrics_batch(fw_metrics *m, int n);
void fw_metrics_received(fw_metrics *m, uint64_t bytes);

typedef struct fw_metrics_of {
    const char *model;
    fw_metrics *m;
    int waiting; /* in its queue now */
} fw_metrics_of;
/* Owned (free); NULL: out of memory. */
char *fw_metrics_text(const fw_metrics_of *of, int n, int connections);

#endif /* FW_SERVE_METRICS_H */
