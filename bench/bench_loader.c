/* bench_loader.c - training samples a second from a dataset: images, state, action chunk; peer: bench/peer_lerobot.py */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/clock.h"
#include "base/threads.h"
#include "data/loader.h"

enum { BATCHES_A_ROUND = 8 };

typedef struct bench {
    fw_loader *l;
    int64_t batch, first; /* of the round */
    fw_sampler *s[64];
    fw_loader_batch b[BATCHES_A_ROUND];
} bench;

static void fill(void *ctx, int i, int worker) {
    bench *x = ctx;
    fw_sampler_seek(x->s[worker], (x->first + i) * x->batch);
    fw_loader_fill(x->l, x->s[worker], &x->b[i]);
}

/* What a consumer would touch: every cache line once. */
static double touch(const fw_loader_batch *b, size_t image_bytes) {
    const uint8_t *p = b->rgb != NULL ? b->rgb : (const uint8_t *)b->image;
    double sum = (double)b->state[0] + (double)b->action[0] + (double)b->mask[0];
    for (size_t i = 0; i < image_bytes; i += 64) {
        sum += p[i];
    }
    return sum;
}

static fw_status measure(bench *x, int workers, bool f32, int64_t samples, size_t image_bytes, fw_err *err) {
    fw_pool *pool = NULL;
    double seen = 0.0;
    int64_t rounds = samples / (x->batch * BATCHES_A_ROUND) + 1;
    FW_TRY(fw_pool_new(workers, &pool, err));
    int64_t t0 = 0;
    for (int64_t r = -1; r < rounds; r++) { /* one round to warm up */
        t0 = r == 0 ? fw_now_ns() : t0;
        x->first = (r + 1) * BATCHES_A_ROUND;
        fw_pool_run(pool, BATCHES_A_ROUND, fill, x);
        for (int i = 0; i < BATCHES_A_ROUND; i++) {
            seen += touch(&x->b[i], image_bytes);
        }
    }
    double s = (double)(fw_now_ns() - t0) * 1e-9, n = (double)(rounds * BATCHES_A_ROUND * x->batch);
    printf("{\"loader\": \"flywheel\", \"workers\": %d, \"dtype\": \"%s\", \"samples\": %.0f, \"seconds\": %.2f, "
           "\"samples_per_s\": %.0f, \"seen\": %.0f}\n",
           workers, f32 ? "float32" : "uint8", n, s, n / s, seen);
    fw_pool_free(pool);
    return FW_OK;
}

static fw_status run(const char *dir, int64_t size, int64_t batch, int64_t samples, int64_t workers, fw_err *err) {
    bench x = {.batch = batch};
    fw_loader_source src = {.dir = dir};
    fw_loader_opts o = {.h = (int)size, .w = (int)size, .horizon = 16, .seed = 1, .n_threads = (int)workers};
    int64_t t0 = fw_now_ns();
    FW_TRY(fw_loader_open(&src, 1, &o, &x.l, err));
    printf("{\"loader\": \"flywheel\", \"open_s\": %.2f, \"frames\": %lld, \"cameras\": %d}\n",
           (double)(fw_now_ns() - t0) * 1e-9, (long long)fw_loader_frames(x.l), fw_loader_cameras(x.l));
    fw_status st = FW_OK;
    for (int f32 = 0; f32 < 2 && st == FW_OK; f32++) {
        size_t bytes = (size_t)(batch * fw_loader_cameras(x.l) * size * size * 3) * (f32 ? sizeof(float) : 1);
        for (int i = 0; i < BATCHES_A_ROUND && st == FW_OK; i++) {
            st = fw_loader_batch_new(x.l, batch, f32 == 1, &x.b[i], err);
        }
        for (int w = 1; w <= workers && st == FW_OK; w++) {
            for (int i = 0; i < w && st == FW_OK; i++) {
                st = x.s[i] == NULL ? fw_loader_sampler(x.l, &x.s[i], err) : FW_OK;
            }
            st = st == FW_OK ? measure(&x, w, f32 == 1, samples, bytes, err) : st;
        }
        for (int i = 0; i < BATCHES_A_ROUND; i++) {
            fw_loader_batch_free(&x.b[i]);
        }
    }
    for (int i = 0; i < 64; i++) {
        fw_sampler_free(x.s[i]);
    }
    fw_loader_close(x.l);
    return st;
}

int main(int argc, char **argv) {
    int64_t size = 128, batch = 32, samples = 50000, workers = 2;
    int n_paths;
    const fw_arg args[] = {
        FW_ARG_INT("size", &size, 16, 2048, "N", "frames are N x N"),
        FW_ARG_INT("batch", &batch, 1, 4096, "N", "samples a batch"),
        FW_ARG_INT("samples", &samples, 1, 1000000000, "N", "how many to draw"),
        FW_ARG_INT("workers", &workers, 1, 64, "N", "1 to N threads, also for decoding; 1: the caller's own"),
    };
    const fw_usage usage = {.verb = "bench_loader",
                            .example = "XDG_CACHE_HOME=/dev/shm build/release/bin/bench_loader out/k3/data",
                            .what = "Training samples a second: cameras, state, a chunk of 16 actions with its mask. "
                                    "open_s contains the decoding when the cache is cold.",
                            .paths = "DIR",
                            .min_paths = 1,
                            .max_paths = 1};
    int code = fw_args_parse(&usage, args, 4, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    fw_err err;
    if (run(argv[1], size, batch, samples, workers, &err) != FW_OK) {
        fprintf(stderr, "bench_loader: %s\n", err.msg);
        return 1;
    }
    return 0;
}
