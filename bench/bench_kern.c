/*
 * bench_kern.c - how fast the kernels are, against the peak of this core and against oneDNN.
 *
 *   bench_kern [gemm|conv|rows|all] [isa]
 *
 * One thread. Every row: best of several rounds (other people share the machine), GFLOP/s, part of the measured peak, and
 * where oneDNN has the operation, its number and ours/theirs. oneDNN gets prepacked weights and a fused bias, as we do.
 */
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kern/kern.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *mem(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (p == NULL) {
        perror("bench_kern");
        exit(1);
    }
    memset(p, 0, bytes);
    return p;
}

static float *randf(int64_t n) {
    float *p = mem((size_t)n * sizeof(float));
    uint32_t s = 12345;
    for (int64_t i = 0; i < n; i++) {
        s = s * 1664525u + 1013904223u;
        p[i] = (float)(s >> 8) * (2.0f / 16777216.0f) - 1.0f;
    }
    return p;
}

/* Seconds of one call: best of rounds that together last about `budget_s`. */
static double best(void (*fn)(void *), void *ctx, double budget_s) {
    fn(ctx);
    double t0 = now();
    fn(ctx);
    double one = now() - t0, low = one;
    int reps = (int)(0.01 / (one + 1e-9)) + 1;
    for (double end = now() + budget_s; now() < end;) {
        t0 = now();
        for (int i = 0; i < reps; i++) {
            fn(ctx);
        }
        double t = (now() - t0) / reps;
        low = t < low ? t : low;
    }
    return low;
}

/* ---- the peak: independent multiply-adds in registers ---- */

typedef struct peak_ctx {
    int64_t n;
} peak_ctx;

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static void peak_run(void *ctx) {
    int64_t n = ((peak_ctx *)ctx)->n;
    __asm__ volatile("1:\n"
                     "vfmadd231ps %%zmm30,%%zmm31,%%zmm0\n vfmadd231ps %%zmm30,%%zmm31,%%zmm1\n"
                     "vfmadd231ps %%zmm30,%%zmm31,%%zmm2\n vfmadd231ps %%zmm30,%%zmm31,%%zmm3\n"
                     "vfmadd231ps %%zmm30,%%zmm31,%%zmm4\n vfmadd231ps %%zmm30,%%zmm31,%%zmm5\n"
                     "vfmadd231ps %%zmm30,%%zmm31,%%zmm6\n vfmadd231ps %%zmm30,%%zmm31,%%zmm7\n"
                     "vfmadd231ps %%zmm30,%%zmm31,%%zmm8\n vfmadd231ps %%zmm30,%%zmm31,%%zmm9\n"
                     "dec %0\n jnz 1b\n"
                     : "+r"(n)
                     :
                     : "zmm0", "zmm1", "zmm2", "zmm3", "zmm4", "zmm5", "zmm6", "zmm7", "zmm8", "zmm9", "zmm30", "zmm31",
                       "cc");
}
#endif

static double peak_gflops(void) {
    peak_ctx c = {1000000};
    if (!__builtin_cpu_supports("avx512f")) {
        return 0.0;
    }
    return 10.0 * 32.0 * (double)c.n / best(peak_run, &c, 0.3) * 1e-9;
}

/* ---- ours ---- */

typedef struct gemm_ctx {
    const fw_kern *k;
    fw_gemm g;
    void *scratch;
} gemm_ctx;

static void gemm_run(void *ctx) {
    gemm_ctx *c = ctx;
    c->k->gemm_f32(&c->g, c->scratch);
}

/* ---- oneDNN ---- */

static void ok(dnnl_status_t s, const char *what) {
    if (s != dnnl_success) {
        fprintf(stderr, "oneDNN: %s: %d\n", what, (int)s);
        exit(1);
    }
}

typedef struct dnnl_ctx {
    dnnl_primitive_t prim;
    dnnl_stream_t stream;
    dnnl_exec_arg_t args[4];
    int n_arg;
} dnnl_ctx;

static void dnnl_run(void *ctx) {
    dnnl_ctx *c = ctx;
    dnnl_primitive_execute(c->prim, c->stream, c->n_arg, c->args);
}

/* Inner product y = x W^T + b with weights in the layout that the primitive likes best. */
static dnnl_ctx dnnl_inner(dnnl_engine_t eng, int64_t m, int64_t k, int64_t n, float *x, float *w, float *b, float *y) {
    dnnl_memory_desc_t md_x, md_w, md_any, md_b, md_y;
    dnnl_dims_t dx = {m, k}, dw = {n, k}, db = {n}, dy = {m, n};
    ok(dnnl_memory_desc_init_by_tag(&md_x, 2, dx, dnnl_f32, dnnl_ab), "x");
    ok(dnnl_memory_desc_init_by_tag(&md_w, 2, dw, dnnl_f32, dnnl_ab), "w");
    ok(dnnl_memory_desc_init_by_tag(&md_any, 2, dw, dnnl_f32, dnnl_format_tag_any), "w any");
    ok(dnnl_memory_desc_init_by_tag(&md_b, 1, db, dnnl_f32, dnnl_a), "b");
    ok(dnnl_memory_desc_init_by_tag(&md_y, 2, dy, dnnl_f32, dnnl_ab), "y");
    dnnl_inner_product_desc_t d;
    ok(dnnl_inner_product_forward_desc_init(&d, dnnl_forward_inference, &md_x, &md_any, &md_b, &md_y), "desc");
    dnnl_primitive_desc_t pd;
    ok(dnnl_primitive_desc_create(&pd, &d, NULL, eng, NULL), "pd");
    dnnl_ctx c = {0};
    ok(dnnl_primitive_create(&c.prim, pd), "primitive");
    ok(dnnl_stream_create(&c.stream, eng, dnnl_stream_default_flags), "stream");
    const dnnl_memory_desc_t *want = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    dnnl_memory_t mx, mw, mp, mb, my;
    ok(dnnl_memory_create(&mx, &md_x, eng, x), "x");
    ok(dnnl_memory_create(&mw, &md_w, eng, w), "w");
    ok(dnnl_memory_create(&mp, want, eng, DNNL_MEMORY_ALLOCATE), "packed");
    ok(dnnl_memory_create(&mb, &md_b, eng, b), "b");
    ok(dnnl_memory_create(&my, &md_y, eng, y), "y");
    dnnl_primitive_desc_t rpd;
    dnnl_primitive_t re;
    ok(dnnl_reorder_primitive_desc_create(&rpd, &md_w, eng, want, eng, NULL), "reorder pd");
    ok(dnnl_primitive_create(&re, rpd), "reorder");
    dnnl_exec_arg_t ra[2] = {{DNNL_ARG_FROM, mw}, {DNNL_ARG_TO, mp}};
    ok(dnnl_primitive_execute(re, c.stream, 2, ra), "reorder run");
    c.args[0] = (dnnl_exec_arg_t){DNNL_ARG_SRC, mx};
    c.args[1] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, mp};
    c.args[2] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, mb};
    c.args[3] = (dnnl_exec_arg_t){DNNL_ARG_DST, my};
    c.n_arg = 4;
    return c;
}

static void bench_gemm_shape(const fw_kern *kt, dnnl_engine_t eng, double peak, int64_t m, int64_t k, int64_t n) {
    float *x = randf(m * k), *w = randf(n * k), *b = randf(n), *y = randf(m * n), *y2 = randf(m * n);
    gemm_ctx c = {.k = kt};
    void *packed = mem(kt->gemm_pack_bytes(n, k));
    kt->gemm_pack(packed, w, k, FW_NK, n, k, 0, n);
    c.scratch = mem(kt->gemm_scratch(m, k, false));
    c.g = (fw_gemm){.m = m, .n = n, .k = k, .a = x, .lda = k, .b = packed, .c = y, .ldc = n, .epi = {.bias = b}};
    dnnl_ctx d = dnnl_inner(eng, m, k, n, x, w, b, y2);
    double gf = 2e-9 * (double)m * (double)n * (double)k, ours = 1e9, theirs = 1e9;
    for (int round = 0; round < 3; round++) { /* interleaved: a busy neighbour hits both */
        double t = best(gemm_run, &c, 0.12);
        ours = t < ours ? t : ours;
        t = best(dnnl_run, &d, 0.12);
        theirs = t < theirs ? t : theirs;
    }
    double worst = 0.0;
    for (int64_t i = 0; i < m * n; i++) {
        double e = (double)y[i] - (double)y2[i];
        worst = e * e > worst * worst ? (e < 0 ? -e : e) : worst;
    }
    printf("%5ld %5ld %5ld  %8.1f %5.1f%%  %8.1f %5.1f%%  %6.3f  (diff %.1e)\n", (long)m, (long)k, (long)n, gf / ours,
           100.0 * gf / ours / peak, gf / theirs, 100.0 * gf / theirs / peak, theirs / ours, worst);
    free(x), free(w), free(b), free(y), free(y2), free(packed), free(c.scratch);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "all";
    const fw_kern *kt = fw_kern_get();
    dnnl_engine_t eng;
    ok(dnnl_engine_create(&eng, dnnl_cpu, 0), "engine");
    double peak = peak_gflops();
    printf("table %s, peak %.1f GFLOP/s (register-only multiply-adds, one thread)\n", kt->isa, peak);
    if (strcmp(what, "gemm") == 0 || strcmp(what, "all") == 0) {
        static const int64_t shapes[][3] = {{1024, 768, 768}, {256, 768, 3072}, {177, 960, 2560}, {64, 512, 512},
                                            {50, 720, 2048},  {256, 1024, 512}, {16, 384, 384},   {1, 768, 768},
                                            {8, 768, 768},    {4096, 32, 16},   {4096, 16, 96},   {1024, 96, 24},
                                            {1024, 24, 144},  {256, 144, 40},   {256, 40, 240},   {64, 240, 80},
                                            {64, 80, 480},    {64, 480, 80},    {64, 480, 112},   {64, 112, 672}};
        printf("    m     k     n      ours  peak    oneDNN  peak   ratio\n");
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            bench_gemm_shape(kt, eng, peak, shapes[i][0], shapes[i][1], shapes[i][2]);
        }
    }
    return 0;
}
