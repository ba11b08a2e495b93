/* metrics.c - see metrics.h */
#include "serve/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const double bound_s[FW_METRICS_BUCKETS] = {0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05,
                                                   0.1,   0.2,    0.35,  0.5,  1,    2.5,   10};

static void observe(fw_histogram *h, double s) {
    int i = 0;
    while (i < FW_METRICS_BUCKETS && s > bound_s[i]) {
        i++;
    }
    h->count[i]++;
    h->sum_s += s;
}

void fw_metrics_ok(fw_metrics *m, double queue_s, double infer_s, double total_s, uint64_t sent_bytes) {
    pthread_mutex_lock(&m->lock);
    m->ok++;
    m->sent_bytes += sent_bytes;
    observe(&m->queue, queue_s);
    observe(&m->infer, infer_s);
    observe(&m->total, total_s);
    pthread_mutex_unlock(&m->lock);
}

void fw_metrics_failed(fw_metrics *m, fw_status why) {
    const int code = -(int)why;
    pthread_mutex_lock(&m->lock);
    m->failed[code >= 0 && code < FW_METRICS_CODES ? code : 0]++;
    pthread_mutex_unlock(&m->lock);
}

void fw_metrics_batch(fw_metrics *m, int n) {
    pthread_mutex_lock(&m->lock);
    m->batches++;
    m->batched += (uint64_t)n;
    pthread_mutex_unlock(&m->lock);
}

void fw_metrics_received(fw_metrics *m, uint64_t bytes) {
    pthread_mutex_lock(&m->lock);
    m->received_bytes += bytes;
    pthread_mutex_unlock(&m->lock);
}

static void head(FILE *f, const char *name, const char *type, const char *help) {
    fprintf(f, "# HELP flywheel_%s %s\n# TYPE flywheel_%s %s\n", name, help, name, type);
}

static void histogram(FILE *f, const char *name, const char *model, const fw_histogram *h) {
    uint64_t sum = 0;
    for (int i = 0; i < FW_METRICS_BUCKETS; i++) {
        sum += h->count[i];
        fprintf(f, "flywheel_%s_bucket{model=\"%s\",le=\"%g\"} %" PRIu64 "\n", name, model, bound_s[i], sum);
    }
    sum += h->count[FW_METRICS_BUCKETS];
    fprintf(f, "flywheel_%s_bucket{model=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, model, sum);
    fprintf(f, "flywheel_%s_sum{model=\"%s\"} %.9g\n", name, model, h->sum_s);
    fprintf(f, "flywheel_%s_count{model=\"%s\"} %" PRIu64 "\n", name, model, sum);
}

typedef struct row {
    const char *name, *type, *help;
} row;

static void number(FILE *f, const row *r, const char *model, uint64_t x) {
    fprintf(f, "flywheel_%s{model=\"%s\"} %" PRIu64 "\n", r->name, model, x);
}

/* Every metric once, with all models: the format wants them together. */
static void write_all(FILE *f, const fw_metrics_of *of, int n, int connections) {
    static const row rows[] = {
        {"batches_total", "counter", "Inferences, of one or more observations."},
        {"batched_requests_total", "counter", "Observations in them."},
        {"received_bytes_total", "counter", "Bytes of observations."},
        {"sent_bytes_total", "counter", "Bytes of answers."},
        {"queue_length", "gauge", "Observations waiting."},
    };
    head(f, "connections", "gauge", "Open websockets.");
    fprintf(f, "flywheel_connections %d\n", connections);
    head(f, "requests_total", "counter", "Observations answered, by outcome.");
    for (int i = 0; i < n; i++) {
        fprintf(f, "flywheel_requests_total{model=\"%s\",outcome=\"ok\"} %" PRIu64 "\n", of[i].model, of[i].m->ok);
        for (int c = 0; c < FW_METRICS_CODES; c++) {
            if (of[i].m->failed[c] > 0) {
                fprintf(f, "flywheel_requests_total{model=\"%s\",outcome=\"%s\"} %" PRIu64 "\n", of[i].model,
                        fw_status_name((fw_status)-c), of[i].m->failed[c]);
            }
        }
    }
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        head(f, rows[r].name, rows[r].type, rows[r].help);
        for (int i = 0; i < n; i++) {
            const fw_metrics *m = of[i].m;
            const uint64_t x[] = {m->batches, m->batched, m->received_bytes, m->sent_bytes, (uint64_t)of[i].waiting};
            number(f, &rows[r], of[i].model, x[r]);
        }
    }
    head(f, "queue_seconds", "histogram", "From arrival to the beginning of inference.");
    for (int i = 0; i < n; i++) {
        histogram(f, "queue_seconds", of[i].model, &of[i].m->queue);
    }
    head(f, "infer_seconds", "histogram", "In the network.");
    for (int i = 0; i < n; i++) {
        histogram(f, "infer_seconds", of[i].model, &of[i].m->infer);
    }
    head(f, "request_seconds", "histogram", "From arrival to the answer.");
    for (int i = 0; i < n; i++) {
        histogram(f, "request_seconds", of[i].model, &of[i].m->total);
    }
}

char *fw_metrics_text(const fw_metrics_of *of, int n, int connections) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (f == NULL) {
        return NULL;
    }
    for (int i = 0; i < n; i++) {
        pthread_mutex_lock(&of[i].m->lock);
    }
    write_all(f, of, n, connections);
    for (int i = 0; i < n; i++) {
        pthread_mutex_unlock(&of[i].m->lock);
    }
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
