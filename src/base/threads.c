/*
 * threads.c - WHAT: fork-join over blocks on a fixed set of threads.
 *
 * DESIGN. One 64-bit word, the ticket = run number << 32 | next block, is both "which run" and "which block": a block
 * is claimed by compare-and-swap on it, so a worker that wakes late (preempted, still asleep) can never take a block of
 * a run it has not read the job of, and nobody ever waits for it. Invariants:
 *   1. job fields change only while the ticket is CLOSED; a ticket with a block number is published after them
 * (release).
 *   2. a successful claim of block i < n means run r is not over: its caller waits for block i; so the job stays valid.
 *   3. left counts unfinished blocks; the caller returns at 0 and only it starts the next run.
 *   4. sleep and wake meet in sequentially consistent order: (announce sleeper, look at the word) against
 *      (change the word, look for sleepers); the futex re-checks the word in the kernel.
 * After fork() the child has no workers; the caller then simply claims every block itself.
 */
#include "base/threads.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPINS       2000 /* pauses before sleeping: 20-60 us, the gap between two ops of a plan */
#define CLOSED      0xFFFFFFFFu
#define THREADS_MAX 1024

typedef void block_fn(void *ctx, int i, int worker);

typedef struct worker {
    fw_pool *pool;
    pthread_t thread;
    int index;
} worker;

struct fw_pool {
    _Alignas(64) _Atomic uint64_t ticket; /* everybody claims here */
    _Alignas(64) _Atomic uint32_t left;   /* blocks not finished; the caller's futex */
    _Atomic uint32_t caller_sleeps;
    _Alignas(64) _Atomic uint32_t run; /* number of the run; the workers' futex */
    _Atomic uint32_t sleepers;
    _Atomic uint32_t started; /* workers that run; a futex */
    _Atomic(block_fn *) fn;   /* the job: written by the caller while CLOSED */
    _Atomic(void *) ctx;
    _Atomic uint32_t n;
    atomic_bool quit;
    int size, spins;
    pid_t pid;       /* of the process that has the workers */
    worker *workers; /* [size-1], owned */
};

static void pause_cpu(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void futex_wait(_Atomic uint32_t *word, uint32_t expected) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

/* Claim and do blocks until the current run has none left. */
static void work(fw_pool *p, int index) {
    uint64_t t = atomic_load(&p->ticket);
    for (;;) {
        block_fn *fn = atomic_load(&p->fn);
        void *ctx = atomic_load(&p->ctx);
        uint32_t i = (uint32_t)t;
        if (i == CLOSED || i >= atomic_load(&p->n)) {
            return;
        }
        /* a failed claim reloads t: another block, or another run whose job is then read anew */
        if (!atomic_compare_exchange_weak(&p->ticket, &t, t + 1)) {
            continue;
        }
        fn(ctx, (int)i, index);
        if (atomic_fetch_sub(&p->left, 1) == 1 && atomic_load(&p->caller_sleeps)) {
            futex_wake(&p->left, 1);
        }
        t = atomic_load(&p->ticket);
    }
}

/* Returns when the run number is no longer `seen`. */
static void await_run(fw_pool *p, uint32_t seen) {
    for (int i = 0; i < p->spins; i++) {
        if (atomic_load_explicit(&p->run, memory_order_acquire) != seen) {
            return;
        }
        pause_cpu();
    }
    atomic_fetch_add(&p->sleepers, 1);
    while (atomic_load(&p->run) == seen) {
        futex_wait(&p->run, seen);
    }
    atomic_fetch_sub(&p->sleepers, 1);
}

static void *worker_main(void *arg) {
    worker *w = arg;
    fw_pool *p = w->pool;
    uint32_t seen = 0;
    atomic_fetch_add(&p->started, 1);
    futex_wake(&p->started, 1);
    while (!atomic_load(&p->quit)) {
        work(p, w->index);
        await_run(p, seen);
        seen = atomic_load(&p->run);
    }
    return NULL;
}

static void await_blocks(fw_pool *p) {
    uint32_t left;
    for (int i = 0; i < p->spins; i++) {
        if (atomic_load_explicit(&p->left, memory_order_acquire) == 0) {
            return;
        }
        pause_cpu();
    }
    atomic_store(&p->caller_sleeps, 1);
    while ((left = atomic_load(&p->left)) != 0) {
        futex_wait(&p->left, left);
    }
    atomic_store(&p->caller_sleeps, 0);
}

void fw_pool_run(fw_pool *p, int n, void (*fn)(void *ctx, int i, int worker), void *ctx) {
    if (n <= 1 || p->size == 1) {
        for (int i = 0; i < n; i++) {
            fn(ctx, i, 0);
        }
        return;
    }

    /* close, write the job, open under a new run number (invariant 1) */
    uint32_t run = atomic_load(&p->run) + 1;
    atomic_store(&p->ticket, (uint64_t)run << 32 | CLOSED);
    atomic_store(&p->fn, fn);
    atomic_store(&p->ctx, ctx);
    atomic_store(&p->n, (uint32_t)n);
    atomic_store(&p->left, (uint32_t)n);
    atomic_store(&p->ticket, (uint64_t)run << 32);

    atomic_store(&p->run, run);
    if (atomic_load(&p->sleepers) > 0) {
        futex_wake(&p->run, n - 1 < p->size - 1 ? n - 1 : p->size - 1);
    }
    work(p, 0);
    await_blocks(p);
}

static int cpus_allowed(void) {
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n;
}

/* Start worker threads with all signals blocked: handlers run on the program's own threads. */
static int start_workers(fw_pool *p) {
    sigset_t all, old;
    int e = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (int i = 1; i < p->size && e == 0; i++) {
        worker *w = &p->workers[i - 1];
        *w = (worker){.pool = p, .index = i};
        e = pthread_create(&w->thread, NULL, worker_main, w);
        if (e != 0) {
            p->size = i; /* those that run */
        }
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    for (uint32_t n; (n = atomic_load(&p->started)) < (uint32_t)p->size - 1;) { /* what starting costs is paid here */
        futex_wait(&p->started, n);
    }
    return e;
}

fw_status fw_pool_new(int n_threads, fw_pool **out, fw_err *err) {
    int cpus = cpus_allowed();
    int size = n_threads <= 0 ? cpus : n_threads;
    *out = NULL;
    if (size > THREADS_MAX) {
        return fw_fail(err, FW_INVALID, "a pool of %d threads, at most %d", size, THREADS_MAX);
    }
    fw_pool *p = aligned_alloc(64, sizeof(*p));
    worker *workers = calloc((size_t)size, sizeof(*workers));
    if (p == NULL || workers == NULL) {
        free(p);
        free(workers);
        return fw_fail(err, FW_NOMEM, "no memory for a pool of %d threads", size);
    }
    memset(p, 0, sizeof(*p));
    p->size = size;
    p->spins = size <= cpus ? SPINS : 0; /* more threads than CPUs: spinning steals from whoever works */
    p->pid = getpid();
    p->workers = workers;
    atomic_store(&p->ticket, CLOSED);
    int e = start_workers(p);
    if (e != 0) {
        fw_pool_free(p);
        return fw_fail(err, FW_NOMEM, "cannot start a pool of %d threads: %s", size, strerror(e));
    }
    *out = p;
    return FW_OK;
}

void fw_pool_free(fw_pool *p) {
    if (p == NULL) {
        return;
    }
    if (p->pid == getpid()) {
        atomic_store(&p->quit, true);
        atomic_fetch_add(&p->run, 1);
        futex_wake(&p->run, p->size);
        for (int i = 0; i + 1 < p->size; i++) {
            pthread_join(p->workers[i].thread, NULL);
        }
    }
    free(p->workers);
    free(p);
}

int fw_pool_size(const fw_pool *p) {
    return p->size;
}
