/* must FAIL in every build: proves that the guard sees allocations of other threads and inside libraries */
#include "alloc_guard.h"

#include <jansson.h>

#include "base/threads.h"

static void allocate(void *ctx, int i, int worker) {
    (void)ctx, (void)i, (void)worker;
    json_decref(json_integer(7)); /* libjansson calls malloc and free */
}

/* a claim that is true: the pool itself allocates nothing; if it did, the count below would be off */
static void nothing(void *ctx, int i, int worker) {
    (void)ctx, (void)i, (void)worker;
}

static void allocations_of_a_library_in_threads(void) {
    fw_pool *p;
    CHECK_INT(fw_pool_new(3, &p, NULL), FW_OK);
    CHECK_NO_ALLOC(fw_pool_run(p, 50, nothing, NULL));
    fw_alloc_guard_begin();
    fw_pool_run(p, 50, allocate, NULL);
    CHECK_INT(fw_alloc_guard_end(), 100);
    CHECK_NO_ALLOC(fw_pool_run(p, 50, allocate, NULL));
    fw_pool_free(p);
}

FW_TEST_MAIN(T(allocations_of_a_library_in_threads))
