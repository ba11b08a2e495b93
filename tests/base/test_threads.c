#include "base/threads.h"

#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "fw_test.h"

typedef struct job {
    atomic_int hits[257];
    atomic_int in_worker[8];
    int size;
} job;

static void hit(void *ctx, int i, int worker) {
    job *j = ctx;
    CHECK(worker >= 0 && worker < j->size);
    CHECK_INT(atomic_fetch_add(&j->in_worker[worker], 1), 0); /* two blocks never share a worker's scratch */
    atomic_fetch_add(&j->hits[i], 1);
    atomic_fetch_sub(&j->in_worker[worker], 1);
}

static void run_rounds(int threads, int rounds) {
    static job j;
    fw_pool *p;
    CHECK_INT(fw_pool_new(threads, &p, NULL), FW_OK);
    CHECK_INT(fw_pool_size(p), threads);
    for (int r = 0; r < rounds; r++) {
        int n = r * 37 % 258;
        memset(&j, 0, sizeof(j));
        j.size = threads;
        fw_pool_run(p, n, hit, &j);
        for (int i = 0; i < 257; i++) {
            CHECK_INT(atomic_load(&j.hits[i]), i < n ? 1 : 0);
        }
    }
    fw_pool_free(p);
}

static void every_block_runs_exactly_once(void) {
    run_rounds(1, 300);
    run_rounds(2, 2000);
}

/* more threads than CPUs: workers are late for whole runs, and must neither be waited for nor take a later run's block
 */
static void late_workers_never_take_a_block_of_another_run(void) {
    run_rounds(8, 1500);
}

static void sum_own_run(void *ctx, int i, int worker) {
    (void)worker;
    atomic_fetch_add((atomic_int *)ctx, i);
}

static void a_sleeping_pool_wakes_up(void) {
    fw_pool *p;
    CHECK_INT(fw_pool_new(3, &p, NULL), FW_OK);
    for (int r = 0; r < 5; r++) {
        atomic_int sum = 0;
        usleep(3000); /* far beyond the spinning */
        fw_pool_run(p, 100, sum_own_run, &sum);
        CHECK_INT(atomic_load(&sum), 4950);
    }
    fw_pool_free(p);
}

static void nap(void *ctx, int i, int worker) {
    (void)ctx, (void)i, (void)worker;
    usleep(20000);
}

static void blocks_run_side_by_side(void) {
    fw_pool *p;
    CHECK_INT(fw_pool_new(8, &p, NULL), FW_OK);
    double t = fw_now_s();
    fw_pool_run(p, 8, nap, NULL); /* 160 ms one after the other */
    CHECK(fw_now_s() - t < 0.120);
    fw_pool_free(p);
}

static void a_forked_child_still_computes(void) {
    fw_pool *p;
    CHECK_INT(fw_pool_new(3, &p, NULL), FW_OK);
    pid_t child = fork();
    if (child == 0) {
        atomic_int sum = 0;
        alarm(20);
        fw_pool_run(p, 100, sum_own_run, &sum);
        fw_pool_free(p);
        _exit(atomic_load(&sum) == 4950 ? 0 : 1);
    }
    int st;
    CHECK(waitpid(child, &st, 0) == child && WIFEXITED(st));
    CHECK_INT(WEXITSTATUS(st), 0);
    fw_pool_free(p);
}

static void silly_sizes_are_refused(void) {
    fw_pool *p;
    fw_err e = {0};
    CHECK_INT(fw_pool_new(100000, &p, &e), FW_INVALID);
    CHECK(p == NULL && strstr(e.msg, "100000") != NULL);
    CHECK_INT(fw_pool_new(0, &p, NULL), FW_OK);
    CHECK(fw_pool_size(p) >= 1);
    fw_pool_run(p, 0, nap, NULL);
    fw_pool_run(p, -3, nap, NULL);
    fw_pool_free(p);
    fw_pool_free(NULL);
}

FW_TEST_MAIN(T(every_block_runs_exactly_once), T(late_workers_never_take_a_block_of_another_run),
             T(a_sleeping_pool_wakes_up), T(blocks_run_side_by_side), T(a_forked_child_still_computes),
             T(silly_sizes_are_refused))
