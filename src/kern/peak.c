/* peak.c - see peak.h. What the registers hold does not matter for the time, but for denormals: they are cleared first. */
#include "kern/peak.h"

#include <stddef.h>
#include <string.h>

typedef struct way {
    const char *isa, *name;
    void (*run)(int64_t n);
    double ops; /* a round */
} way;

enum { ACCUMULATORS = 12 }; /* no less than latency times units */
#if defined(__x86_64__)
/* OP is fed registers 14 and 15, and has 12 and 13 to itself. */
#define LOOP(run, isa, OP)                                                                                             \
    __attribute__((target(isa))) static void run(int64_t n) {                                                          \
        __asm__ volatile("vzeroall\n1:\n" OP("0") OP("1") OP("2") OP("3") OP("4") OP("5") OP("6") OP("7") OP("8")      \
                             OP("9") OP("10") OP("11") "dec %0\n jnz 1b\n vzeroupper\n"                                \
                         : "+r"(n)                                                                                     \
                         :                                                                                             \
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",    \
                           "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc");                                         \
    }
#define FMA_YMM(r)  "vfmadd231ps %%ymm14,%%ymm15,%%ymm" r "\n"
#define FMA_ZMM(r)  "vfmadd231ps %%zmm14,%%zmm15,%%zmm" r "\n"
#define BF16_ZMM(r) "vdpbf16ps %%zmm14,%%zmm15,%%zmm" r "\n"
#define INT8_ZMM(r) "vpdpbusd %%zmm14,%%zmm15,%%zmm" r "\n"
#define INT8_YMM(r) "vpmaddwd %%ymm14,%%ymm15,%%ymm13\n vpaddd %%ymm13,%%ymm" r ",%%ymm" r "\n"
#define VNNI_YMM(r) "%{vex%} vpdpbusd %%ymm14,%%ymm15,%%ymm" r "\n"
#define X4_YMM(r)                                                                                                      \
    "vpmaddubsw %%ymm14,%%ymm15,%%ymm13\n vpmaddubsw %%ymm14,%%ymm15,%%ymm12\n vpaddw %%ymm13,%%ymm12,%%ymm12\n"       \
    "vpmaddwd %%ymm14,%%ymm12,%%ymm12\n vpaddd %%ymm12,%%ymm" r ",%%ymm" r "\n"
LOOP(f32_avx2, "avx2,fma", FMA_YMM)
LOOP(f32_avx512, "avx512f", FMA_ZMM)
LOOP(bf16_avx512, "avx512bf16", BF16_ZMM)
LOOP(int8_avx512, "avx512vnni", INT8_ZMM)
LOOP(int8_avx2, "avx2", INT8_YMM)
LOOP(int8x4_avx2, "avx2", X4_YMM)
LOOP(int8_avxvnni, "avx2", VNNI_YMM)
static const way ways[] = {
    {"avx2", "vfmadd231ps ymm", f32_avx2, 16 * ACCUMULATORS},
    {"avx512", "vfmadd231ps zmm", f32_avx512, 32 * ACCUMULATORS},
    {"avx512bf16", "vdpbf16ps zmm", bf16_avx512, 64 * ACCUMULATORS},
    {"avx512int8", "vpdpbusd zmm", int8_avx512, 128 * ACCUMULATORS},
    {"avx2int8", "vpmaddwd + vpaddd ymm", int8_avx2, 32 * ACCUMULATORS},
    {"avx2int8x4", "2 vpmaddubsw + vpaddw + vpmaddwd + vpaddd ymm", int8x4_avx2, 128 * ACCUMULATORS},
    {"avxvnniint8", "vpdpbusd ymm", int8_avxvnni, 64 * ACCUMULATORS}};
enum { WAYS = sizeof ways / sizeof *ways };
#elif defined(__aarch64__)
/* The same; 12 and 13 to itself. */
#if defined(__clang__)
#define HAS(feature) __attribute__((target(feature)))
#else
#define HAS(feature) __attribute__((target("arch=armv8.2-a+" feature)))
#endif
#define ALL(OP) OP("0") OP("1") OP("2") OP("3") OP("4") OP("5") OP("6") OP("7") OP("8") OP("9") OP("10") OP("11")
#define LOOP(run, has, OP)                                                                                             \
    has static void run(int64_t n) {                                                                                   \
        __asm__ volatile(ALL(ZERO) ZERO("14") ZERO("15") "1:\n" ALL(OP) "subs %0,%0,#1\n b.ne 1b\n"                    \
                         : "+r"(n)                                                                                     \
                         :                                                                                             \
                         : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13",     \
                           "v14", "v15", "cc");                                                                        \
    }
#define ZERO(r)  "movi v" r ".4s,#0\n"
#define FMLA(r)  "fmla v" r ".4s,v14.4s,v15.4s\n"
#define BFDOT(r) "bfdot v" r ".4s,v14.8h,v15.8h\n"
#define SDOT(r)  "sdot v" r ".4s,v14.16b,v15.16b\n"
#define PRODUCTS "smull v12.8h,v14.8b,v15.8b\n smull2 v13.8h,v14.16b,v15.16b\n addp v12.8h,v12.8h,v13.8h\n"
#define SMULL(r) PRODUCTS "sadalp v" r ".4s,v12.8h\n"
LOOP(f32_neon, , FMLA)
LOOP(bf16_neon, HAS("bf16"), BFDOT)
LOOP(int8_neondot, HAS("dotprod"), SDOT)
LOOP(int8_neon, , SMULL)
static const way ways[] = {{"neon", "fmla 4s", f32_neon, 8 * ACCUMULATORS},
                           {"neonbf16", "bfdot 4s", bf16_neon, 16 * ACCUMULATORS},
                           {"neondotint8", "sdot 4s", int8_neondot, 32 * ACCUMULATORS},
                           {"neonint8", "smull + addp + sadalp 4s", int8_neon, 32 * ACCUMULATORS}};
enum { WAYS = sizeof ways / sizeof *ways };
#else
static const way ways[1];
enum { WAYS = 0 };
#endif

static const way *way_of(const char *isa) {
    for (int i = 0; i < WAYS; i++) {
        if (strcmp(ways[i].isa, isa) == 0) {
            return &ways[i];
        }
    }
    return NULL;
}

double fw_peak_run(const char *isa, int64_t n) {
    const way *w = way_of(isa);
    if (w == NULL || n < 1) {
        return 0.0;
    }
    w->run(n);
    return w->ops * (double)n;
}

const char *fw_peak_name(const char *isa) {
    const way *w = way_of(isa);
    return w == NULL ? "" : w->name;
}
