/*
 * test_nomem.c - an allocation fails, the n-th for n = 0 .. 199 and every 13th beyond: graphs, plans and files say FW_NOMEM
 * (or another error with a message), free what they had, and never crash.
 */
#include <malloc.h>
#include <stdatomic.h>

#include "base/file.h"
#include "fw_test.h"
#include "tensor/plan.h"
#include "tensor/safetensors.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OWN_MALLOC 0
#endif
#endif
#ifndef OWN_MALLOC
#define OWN_MALLOC 1
#endif

static long g_left = -1; /* allocations that still succeed; -1: all */
static long g_live;      /* blocks handed out and not freed */

#if OWN_MALLOC
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

static bool refuse(void) {
    if (g_left < 0) {
        return false;
    }
    return g_left == 0 ? true : (g_left--, false);
}
static void *counted(void *p) {
    g_live += p != NULL;
    return p;
}
void *malloc(size_t n) {
    return refuse() ? NULL : counted(__libc_malloc(n));
}
void *calloc(size_t n, size_t size) {
    return refuse() ? NULL : counted(__libc_calloc(n, size));
}
void *realloc(void *p, size_t n) {
    if (refuse()) {
        return NULL;
    }
    g_live -= p != NULL;
    return counted(__libc_realloc(p, n));
}
void *aligned_alloc(size_t align, size_t n) {
    return refuse() ? NULL : counted(__libc_memalign(align, n));
}
void free(void *p) {
    g_live -= p != NULL;
    __libc_free(p);
}
#endif

#define S    FW_SHAPE_OF
#define PATH "nomem_test.safetensors"

/* Everything there is to allocate in a training run. */
static fw_status once(fw_err *err) {
    fw_params *params = NULL;
    fw_graph *g = NULL;
    fw_plan *p = NULL;
    fw_status st = fw_params_new(1, &params, err);
    st = st != FW_OK ? st : fw_graph_new(params, &g, err);
    if (st != FW_OK) {
        goto done;
    }
    fw_val x = fw_input(g, "x", FW_F32, S(4, 6)), y = x;
    for (int i = 0; i < 24; i++) { /* more than the first size of each table */
        char w[16], b[16];
        snprintf(w, sizeof(w), "w%d", i);
        snprintf(b, sizeof(b), "b%d", i);
        y = fw_linear(g, y, w, b, 6, FW_ACT_GELU, i % 2 ? y : FW_NONE);
    }
    fw_val loss = fw_mse_loss(g, y, x, FW_NONE);
    st = fw_graph_check(g, err);
    st = st != FW_OK ? st : fw_plan_new(g, &(fw_plan_opts){.train = true}, &loss, 1, &p, err);
    st = st != FW_OK ? st : fw_plan_run(p, err);
    st = st != FW_OK ? st : fw_params_save(params, PATH, FW_F32, (const char *const[]){"a", "b", NULL}, err);
    st = st != FW_OK ? st : fw_params_load(params, PATH, false, err);
done:
    fw_plan_free(p);
    fw_graph_free(g);
    fw_params_free(params);
    return st;
}

static void every_allocation_may_fail(void) {
    fw_err err = {0};
    long fails = 0, n;
    if (!OWN_MALLOC)
        SKIP("the sanitizer owns malloc");
    CHECK_INT(once(&err), FW_OK); /* what the process allocates once and for all */
    for (n = 0; n < 100000; n += n < 200 ? 1 : 13) {
        long live = g_live;
        err = (fw_err){0};
        g_left = n;
        fw_status st = once(&err);
        bool reached = g_left == 0;
        g_left = -1;
        if (g_live != live)
            FW_FAILED("allocation %ld failed: %ld blocks leak (%s)", n, g_live - live, err.msg);
        if (st == FW_OK && !reached)
            break;
        fails += st != FW_OK;
        if (st != FW_OK && (err.msg[0] == 0 || err.code != st))
            FW_FAILED("allocation %ld failed: %s without a message", n, fw_status_name(st));
    }
    printf("%ld allocations; %ld tried, each fatal\n", n, fails);
    CHECK(n > 150 && fails > 100);
    CHECK_INT(fw_remove_tree(PATH, &err), FW_OK);
}

FW_TEST_MAIN(T(every_allocation_may_fail))
