/* base never allocates in the parts that run while a robot moves */
#include "alloc_guard.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/rng.h"
#include "base/threads.h"

static void nothing(void *ctx, int i, int worker) {
    (void)ctx, (void)i, (void)worker;
}

static void a_pool_runs_without_allocating(void) {
    fw_pool *p;
    CHECK_INT(fw_pool_new(4, &p, NULL), FW_OK);
    CHECK_NO_ALLOC(for (int i = 0; i < 200; i++) fw_pool_run(p, i, nothing, NULL));
    fw_pool_free(p);
}

static void arena_clock_errors_and_hash_do_not_allocate(void) {
    static unsigned char mem[4096];
    char hex[65];
    fw_err e;
    fw_arena a;
    CHECK_NO_ALLOC({
        fw_arena_init(&a, mem, sizeof(mem));
        CHECK(FW_ARENA_NEW(&a, 10, double) != NULL);
        CHECK(fw_now_ns() > 0);
        CHECK_INT(fw_fail(&e, FW_IO, "%s %d %g", "text", 7, 0.5), FW_IO);
        fw_sha256_hex("abc", 3, hex);
    });
}

FW_TEST_MAIN(T(a_pool_runs_without_allocating), T(arena_clock_errors_and_hash_do_not_allocate))
