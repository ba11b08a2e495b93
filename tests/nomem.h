/*
 * nomem.h - the n-th allocation of the whole process fails, for every n: what is tried says so, frees what it had, and never crashes.
 *
 *     static fw_status once(const void *ctx, fw_err *err) { ... everything there is to allocate, all of it freed again ... }
 *     nomem_every_allocation(once, NULL, 13, 150); // every 13th beyond 200; at least 150 were made to fail
 *
 * Include it in one file of a test program: it defines malloc and its family. Under a sanitizer, which owns malloc, the test is skipped.
 */
#ifndef FW_NOMEM_H
#define FW_NOMEM_H

#include <malloc.h>
#include <stdbool.h>

#include "fw/status.h"
#include "fw_test.h"

static long nomem_left = -1; /* allocations that still succeed; -1: all */
static long nomem_live;      /* blocks handed out and not freed */

#ifndef FW_SANITIZED
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

static bool nomem_refuse(void) {
    if (nomem_left < 0) {
        return false;
    }
    return nomem_left == 0 ? true : (nomem_left--, false);
}
static void *nomem_counted(void *p) {
    nomem_live += p != NULL;
    return p;
}
void *malloc(size_t n) {
    return nomem_refuse() ? NULL : nomem_counted(__libc_malloc(n));
}
void *calloc(size_t n, size_t size) {
    return nomem_refuse() ? NULL : nomem_counted(__libc_calloc(n, size));
}
void *realloc(void *p, size_t n) {
    if (nomem_refuse()) {
        return NULL;
    }
    nomem_live -= p != NULL;
    return nomem_counted(__libc_realloc(p, n));
}
void *aligned_alloc(size_t align, size_t n) {
    return nomem_refuse() ? NULL : nomem_counted(__libc_memalign(align, n));
}
void free(void *p) {
    nomem_live -= p != NULL;
    __libc_free(p);
}
#endif

/* Allocations 0 .. 199 and every `stride`-th beyond, one run of `once` each. */
static inline void nomem_every_allocation(fw_status (*once)(const void *ctx, fw_err *err), const void *ctx, long stride,
                                          long at_least) {
    fw_err err = {0};
    long fails = 0, n;
#ifdef FW_SANITIZED
    SKIP("the sanitizer owns malloc");
#endif
    if (once(ctx, &err) != FW_OK) { /* also what the process allocates once and for all */
        FW_FAILED("%s", err.msg);
    }
    for (n = 0; n < 1000000; n += n < 200 ? 1 : stride) {
        long live = nomem_live;
        err = (fw_err){0};
        nomem_left = n;
        fw_status st = once(ctx, &err);
        bool reached = nomem_left == 0;
        nomem_left = -1;
        if (nomem_live != live) {
            FW_FAILED("allocation %ld failed: %ld blocks leak (%s)", n, nomem_live - live, err.msg);
        }
        if (st == FW_OK && !reached) {
            break;
        }
        fails += st != FW_OK;
        if (st != FW_OK && (err.msg[0] == 0 || err.code != st)) {
            FW_FAILED("allocation %ld failed: %s without a message", n, fw_status_name(st));
        }
    }
    printf("%ld allocations; %ld made to fail\n", n, fails);
    CHECK(fails >= at_least);
}

#endif /* FW_NOMEM_H */
