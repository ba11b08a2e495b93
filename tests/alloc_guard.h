/*
 * alloc_guard.h - counts every allocation and release of the whole process, libraries included, in one stretch of a test.
 *
 *     CHECK_NO_ALLOC(fw_plan_run(plan, err));
 *
 * Include it in one file of a test program. It defines malloc and its family in the executable, which the dynamic linker
 * prefers over libc's for every library (libstdc++'s operator new calls malloc as well), and passes calls on to glibc's own
 * entry points. Under the sanitizers, which own malloc, their hooks are used instead. The first counted call is reported
 * with its stack. Threads: all of them are counted, begin and end from one; with CHECK_NO_ALLOC_HERE only the calling one.
 */
#ifndef FW_ALLOC_GUARD_H
#define FW_ALLOC_GUARD_H

#include <errno.h>
#include <execinfo.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "fw_test.h"

#define FW_GUARD_DEPTH 24

static atomic_bool fw_guard_on;
static atomic_uint_fast64_t fw_guard_calls;
static void *fw_guard_stack[FW_GUARD_DEPTH];
static atomic_int fw_guard_depth;
static atomic_bool fw_guard_here; /* only threads with fw_guard_mine count */
static _Thread_local bool fw_guard_mine;

static void fw_guard_count(void) {
    if (!atomic_load_explicit(&fw_guard_on, memory_order_relaxed) ||
        (atomic_load_explicit(&fw_guard_here, memory_order_relaxed) && !fw_guard_mine)) {
        return;
    }
    if (atomic_fetch_add(&fw_guard_calls, 1) == 0) {
        atomic_store(&fw_guard_depth, backtrace(fw_guard_stack, FW_GUARD_DEPTH));
    }
}

#ifdef FW_SANITIZED
/* sanitizer/allocator_interface.h, which gcc does not bring along */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));

static void fw_guard_malloc_hook(const volatile void *p, size_t n) {
    (void)p, (void)n;
    fw_guard_count();
}
static void fw_guard_free_hook(const volatile void *p) {
    (void)p;
    fw_guard_count();
}
static void fw_guard_install(void) {
    static int done;
    if (!done) {
        done = __sanitizer_install_malloc_and_free_hooks(fw_guard_malloc_hook, fw_guard_free_hook);
        CHECK(done > 0);
    }
}
#else
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

void *malloc(size_t n) {
    fw_guard_count();
    return __libc_malloc(n);
}
void *calloc(size_t n, size_t size) {
    fw_guard_count();
    return __libc_calloc(n, size);
}
void *realloc(void *p, size_t n) {
    fw_guard_count();
    return __libc_realloc(p, n);
}
void *memalign(size_t align, size_t n) {
    fw_guard_count();
    return __libc_memalign(align, n);
}
void *aligned_alloc(size_t align, size_t n) {
    fw_guard_count();
    return __libc_memalign(align, n);
}
int posix_memalign(void **p, size_t align, size_t n) {
    fw_guard_count();
    void *q = __libc_memalign(align, n);
    if (q == NULL) {
        return ENOMEM;
    }
    *p = q;
    return 0;
}
void free(void *p) {
    if (p != NULL) {
        fw_guard_count();
    }
    __libc_free(p);
}
static void fw_guard_install(void) {}
#endif

/* Count from here. */
static inline void fw_alloc_guard_begin(void) {
    void *warm[2];
    fw_guard_install();
    backtrace(warm, 2); /* loads its library the first time, which allocates */
    atomic_store(&fw_guard_calls, 0);
    atomic_store(&fw_guard_depth, 0);
    atomic_store(&fw_guard_on, true);
}

/* Stop, and return how many calls there were; shows where the first came from. */
static inline uint64_t fw_alloc_guard_end(void) {
    atomic_store(&fw_guard_on, false);
    uint64_t calls = atomic_load(&fw_guard_calls);
    if (calls > 0) {
        fprintf(stderr, "%" PRIu64 " calls to the allocator, the first from:\n", calls);
        backtrace_symbols_fd(fw_guard_stack, atomic_load(&fw_guard_depth), 2);
    }
    return calls;
}

#define CHECK_NO_ALLOC(statement)                                                                                      \
    do {                                                                                                               \
        fw_alloc_guard_begin();                                                                                        \
        statement;                                                                                                     \
        uint64_t calls_ = fw_alloc_guard_end();                                                                        \
        if (calls_ != 0)                                                                                               \
            FW_FAILED("%s: %" PRIu64 " allocations, wanted none", #statement, calls_);                                 \
    } while (0)

#define CHECK_NO_ALLOC_HERE(statement)                                                                                 \
    do {                                                                                                               \
        fw_guard_mine = true;                                                                                          \
        atomic_store(&fw_guard_here, true);                                                                            \
        CHECK_NO_ALLOC(statement);                                                                                     \
        atomic_store(&fw_guard_here, false);                                                                           \
        fw_guard_mine = false;                                                                                         \
    } while (0)

#endif /* FW_ALLOC_GUARD_H */
