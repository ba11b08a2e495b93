/*
 * bench_kern.c - how fast the kernels are, against the peak of this core and against oneDNN.
 *
 *   bench_kern [gemm|train|conv|rows|policy|attention|all]        FW_KERN=avx2 for another table
 *   policy: the layers of SmolVLA and pi0 in every precision that this CPU has
 *
 * One thread (run with OMP_NUM_THREADS=1, so that oneDNN also has one). CPU time, best of several rounds, GFLOP/s, part of the measured peak, and
 * where oneDNN has the operation, its number and ours/theirs. oneDNN gets prepacked weights and a fused bias, as we do.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kern/kern.h"
#include "kern/peak.h"
#include "peer_dnnl.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* others preempt us: count our own time */
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

/* ---- the peak ---- */

static void peak_run(void *isa) {
    fw_peak_run(isa, 100000);
}

/* GOP/s (a multiply-add is two) of the instruction that a table's products are made of; 0: not known. */
static double peak_of(const char *isa) {
    return fw_peak_run(isa, 1) * 100000e-9 / best(peak_run, (void *)(uintptr_t)isa, 0.3);
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

static peer_type type_of(const fw_kern *k) {
    return strstr(k->isa, "int8") != NULL ? PEER_INT8 : strstr(k->isa, "bf16") != NULL ? PEER_BF16 : PEER_F32;
}

static void bench_gemm_shape(const fw_kern *kt, double peak, int64_t m, int64_t k, int64_t n) {
    float *x = randf(m * k), *w = randf(n * k), *b = randf(n), *y = randf(m * n), *y2 = randf(m * n);
    gemm_ctx c = {.k = kt};
    void *packed = mem(kt->gemm_pack_bytes(n, k));
    kt->gemm_pack(packed, w, k, FW_NK, n, k, 0, n);
    c.scratch = mem(kt->gemm_scratch(m, k, false));
    c.g = (fw_gemm){.m = m, .n = n, .k = k, .a = x, .lda = k, .b = packed, .c = y, .ldc = n, .epi = {.bias = b}};
    peer *d = peer_linear(type_of(kt), m, k, n, x, w, b, y2);
    double gf = 2e-9 * (double)m * (double)n * (double)k, ours = 1e9, theirs = 1e9;
    for (int round = 0; round < 3; round++) { /* interleaved: a busy neighbour hits both */
        double t = best(gemm_run, &c, 0.06);
        ours = t < ours ? t : ours;
        t = d != NULL ? best(peer_run, d, 0.06) : (double)NAN;
        theirs = t < theirs || d == NULL ? t : theirs;
    }
    printf("%-10s %5ld %5ld %5ld  %8.1f %5.1f%%  %8.1f %5.1f%%  %6.3f", kt->isa, (long)m, (long)k, (long)n, gf / ours,
           100.0 * gf / ours / peak, gf / theirs, 100.0 * gf / theirs / peak, theirs / ours);
    double worst = 0.0;
    for (int64_t i = 0; i < m * n && d != NULL; i++) {
        double e = (double)y[i] - (double)y2[i];
        worst = e * e > worst * worst ? (e < 0 ? -e : e) : worst;
    }
    if (type_of(kt) == PEER_INT8) {
        printf("\n"); /* its bytes are not ours */
    } else {
        printf("  (diff %.1e)\n", worst);
    }
    free(x), free(w), free(b), free(y), free(y2), free(packed), free(c.scratch);
    peer_free(d);
}

static void gemm_heading(void) {
    printf("table          m     k     n      ours  peak    oneDNN  peak   ratio\n");
}

/* Layers of SmolVLA (vision, language model, expert) and pi0 (vision, language model, expert). */
static void bench_policy(void) {
    static const int64_t shapes[][3] = {{1024, 768, 3072}, {1024, 3072, 768},  {177, 960, 2560},
                                        {50, 720, 2048},   {50, 2048, 720},    {256, 1152, 4304},
                                        {51, 1024, 4096},  {560, 2048, 16384}, {560, 16384, 2048}};
    static const char *const tables[] = {"avx2",       "avx512", "avx512bf16", "avx2int8", "avx2int8x4", "avxvnniint8",
                                         "avx512int8", "neon",   "neonbf16",   "neonint8", "neondotint8"};
    double peak[sizeof tables / sizeof *tables];
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        peak[t] = fw_kern_find(tables[t]) != NULL ? peak_of(tables[t]) : 0.0;
        printf("%s: peak %.1f GOP/s\n", tables[t], peak[t]);
    }
    gemm_heading();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
            if (fw_kern_find(tables[t]) != NULL) {
                bench_gemm_shape(fw_kern_find(tables[t]), peak[t], shapes[i][0], shapes[i][1], shapes[i][2]);
            }
        }
    }
}

/* ---- the three products of a linear layer in training: packing counts, since weights change every step ---- */

typedef struct train_ctx {
    const fw_kern *k;
    int64_t m, n_in, n_out;
    float *x, *w, *dy, *y, *dx, *dw;
    void *packed, *scratch;
} train_ctx;

static void train_fwd(void *ctx) {
    train_ctx *c = ctx;
    c->k->gemm_pack(c->packed, c->w, c->n_in, FW_NK, c->n_out, c->n_in, 0, c->n_out);
    fw_gemm g = {
        .m = c->m, .n = c->n_out, .k = c->n_in, .a = c->x, .lda = c->n_in, .b = c->packed, .c = c->y, .ldc = c->n_out};
    c->k->gemm_f32(&g, c->scratch);
}

static void train_dx(void *ctx) {
    train_ctx *c = ctx;
    c->k->gemm_pack(c->packed, c->w, c->n_in, FW_KN, c->n_in, c->n_out, 0, c->n_in);
    fw_gemm g = {.m = c->m,
                 .n = c->n_in,
                 .k = c->n_out,
                 .a = c->dy,
                 .lda = c->n_out,
                 .b = c->packed,
                 .c = c->dx,
                 .ldc = c->n_in};
    c->k->gemm_f32(&g, c->scratch);
}

static void train_dw(void *ctx) {
    train_ctx *c = ctx;
    c->k->gemm_pack(c->packed, c->x, c->n_in, FW_KN, c->n_in, c->m, 0, c->n_in);
    fw_gemm g = {.m = c->n_out,
                 .n = c->n_in,
                 .k = c->m,
                 .a = c->dy,
                 .lda = c->n_out,
                 .trans_a = true,
                 .b = c->packed,
                 .c = c->dw,
                 .ldc = c->n_in};
    c->k->gemm_f32(&g, c->scratch);
}

static void
train_conv_dw(void *ctx) { /* the same product through the convolution: 4 blocks of outputs, nothing packed */
    train_ctx *c = ctx;
    fw_conv d = {.h = 1, .w = c->m, .c = c->n_in, .oh = 1, .ow = c->m, .o = c->n_out, .kh = 1, .kw = 1, .stride = 1};
    for (int64_t i = 0; i < 4; i++) {
        c->k->conv_bwd_weight(&d, c->x, c->dy, c->dw, c->n_out * i / 4, c->n_out * (i + 1) / 4, 0, c->m, c->scratch);
    }
}

static size_t max3(size_t a, size_t b, size_t c) {
    size_t m = a > b ? a : b;
    return m > c ? m : c;
}

static void bench_train(const fw_kern *kt, double peak) {
    static const int64_t shapes[][3] = {
        {256, 1024, 512}, {256, 512, 512}, {256, 384, 1024}, {16384, 112, 64}, {1024, 768, 768}};
    printf("training products, packing included: m, in, out; forward, dx, dW, dW as 1x1 convolution in %% of peak\n");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        train_ctx c = {.k = kt, .m = shapes[i][0], .n_in = shapes[i][1], .n_out = shapes[i][2]};
        c.x = randf(c.m * c.n_in), c.w = randf(c.n_in * c.n_out), c.dy = randf(c.m * c.n_out);
        c.y = randf(c.m * c.n_out), c.dx = randf(c.m * c.n_in), c.dw = randf(c.n_in * c.n_out);
        c.packed = mem(max3(kt->gemm_pack_bytes(c.n_out, c.n_in), kt->gemm_pack_bytes(c.n_in, c.n_out),
                            kt->gemm_pack_bytes(c.n_in, c.m)));
        c.scratch = mem(max3(kt->gemm_scratch(c.m, c.n_in, false), kt->gemm_scratch(c.m, c.n_out, false),
                             kt->gemm_scratch(c.n_out, c.m, true)));
        double gf = 2e-9 * (double)c.m * (double)c.n_in * (double)c.n_out / peak * 100.0;
        printf("%6ld %5ld %5ld   %5.1f %5.1f %5.1f %5.1f\n", (long)c.m, (long)c.n_in, (long)c.n_out,
               gf / best(train_fwd, &c, 0.2), gf / best(train_dx, &c, 0.2), gf / best(train_dw, &c, 0.2),
               gf / best(train_conv_dw, &c, 0.2));
        free(c.x), free(c.w), free(c.dy), free(c.y), free(c.dx), free(c.dw), free(c.packed), free(c.scratch);
    }
}

/* ---- depthwise ---- */

typedef struct dw_ctx {
    const fw_kern *k;
    fw_conv d;
    float *x, *w, *b, *y, *dy, *dx, *dw;
} dw_ctx;

static void dw_fwd(void *ctx) {
    dw_ctx *c = ctx;
    fw_epi e = {.bias = c->b, .act = FW_ACT_RELU6};
    c->k->dwconv_fwd(&c->d, c->x, c->w, c->y, &e, 0, c->d.oh);
}
static void dw_bwd(void *ctx) {
    dw_ctx *c = ctx;
    c->k->dwconv_bwd_data(&c->d, c->dy, c->w, c->dx, false, 0, c->d.h);
}
static void dw_bww(void *ctx) {
    dw_ctx *c = ctx;
    c->k->dwconv_bwd_weight(&c->d, c->x, c->dy, c->dw, 0, c->d.c, 0, c->d.oh);
}

static void bench_depthwise(const fw_kern *kt) {
    static const int shapes[][4] = {{64, 32, 3, 1},  {64, 96, 3, 2}, {32, 144, 3, 1}, {32, 144, 5, 2}, {16, 240, 5, 1},
                                    {16, 240, 3, 2}, {8, 480, 3, 1}, {8, 480, 5, 1},  {8, 672, 5, 1}};
    printf("depthwise of EfficientNet-Lite0 at 128 px, relu6: size channels kernel stride; us ours, oneDNN, ratio; bwd "
           "data, bwd weight us\n");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int h = shapes[i][0], ch = shapes[i][1], k = shapes[i][2], s = shapes[i][3], out = (h + s - 1) / s;
        int pad = (out - 1) * s + k - h;
        dw_ctx c = {.k = kt,
                    .d = {.h = h,
                          .w = h,
                          .c = ch,
                          .oh = out,
                          .ow = out,
                          .o = ch,
                          .kh = k,
                          .kw = k,
                          .stride = s,
                          .pad_top = pad / 2,
                          .pad_left = pad / 2}};
        int64_t nx = (int64_t)h * h * ch, ny = (int64_t)out * out * ch;
        c.x = randf(nx), c.w = randf(k * k * ch), c.b = randf(ch), c.y = randf(ny), c.dy = randf(ny), c.dx = randf(nx);
        c.dw = randf(k * k * ch);
        float *y2 = randf(ny);
        peer *d = peer_depthwise(&c.d, c.x, c.b, y2);
        double ours = best(dw_fwd, &c, 0.1), theirs = d != NULL ? best(peer_run, d, 0.1) : (double)NAN;
        printf("%4d %4d %d %d   %8.1f %8.1f  %6.3f   %8.1f %8.1f\n", h, ch, k, s, ours * 1e6, theirs * 1e6,
               theirs / ours, best(dw_bwd, &c, 0.1) * 1e6, best(dw_bww, &c, 0.1) * 1e6);
        free(c.x), free(c.w), free(c.b), free(c.y), free(c.dy), free(c.dx), free(c.dw), free(y2);
        peer_free(d);
    }
}

/* ---- dense convolutions ---- */

typedef struct conv_ctx {
    const fw_kern *k;
    fw_conv d;
    float *x, *y, *b;
    void *packed, *scratch;
    int64_t rows;
} conv_ctx;

static void conv_run(void *ctx) {
    conv_ctx *c = ctx;
    fw_epi e = {.bias = c->b, .act = FW_ACT_RELU};
    c->k->conv_fwd(&c->d, c->x, c->packed, c->y, &e, 0, c->rows, c->scratch);
}

static void pool_run(void *ctx) {
    conv_ctx *c = ctx;
    c->k->max_pool_fwd(&c->d, c->x, c->y, NULL, 0, c->rows);
}

static conv_ctx conv_of(const fw_kern *kt, int h, int w, int c, int o, int k, int stride) {
    conv_ctx r = {.k = kt, .d = {.h = h, .w = w, .c = c, .o = o, .kh = k, .kw = k, .stride = stride}};
    r.d.oh = (h + stride - 1) / stride, r.d.ow = (w + stride - 1) / stride;
    r.d.pad_top = r.d.pad_left = k / 2;
    r.rows = r.d.oh * r.d.ow < 4096 ? r.d.oh * r.d.ow : 4096; /* a part of a large image will do */
    r.x = randf((int64_t)h * w * c), r.y = randf(r.d.oh * r.d.ow * o), r.b = randf(o);
    return r;
}

static void bench_dense(const fw_kern *kt, double peak) {
    static const int shapes[][6] = {{480, 640, 3, 64, 7, 2},   {120, 160, 64, 64, 3, 1}, {120, 160, 64, 128, 3, 2},
                                    {60, 80, 128, 128, 3, 1},  {30, 40, 256, 256, 3, 1}, {15, 20, 512, 512, 3, 1},
                                    {120, 160, 64, 128, 1, 2}, {15, 20, 512, 512, 1, 1}};
    printf(
        "dense convolutions of ResNet-18 at 480 x 640: height width in out kernel stride; us, GFLOP/s, %% of peak\n");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int *s = shapes[i];
        conv_ctx c = conv_of(kt, s[0], s[1], s[2], s[3], s[4], s[5]);
        int64_t k = c.d.kh * c.d.kw * c.d.c;
        float *weight = randf(k * c.d.o);
        c.packed = mem(kt->gemm_pack_bytes(c.d.o, k));
        c.scratch = mem(kt->conv_scratch(&c.d));
        kt->gemm_pack(c.packed, weight, k, FW_NK, c.d.o, k, 0, c.d.o);
        double t = best(conv_run, &c, 0.3), gf = 2e-9 * (double)(c.rows * k * c.d.o) / t;
        printf("%4d %4d %4d %4d %d %d   %8.1f %8.1f %5.1f\n", s[0], s[1], s[2], s[3], s[4], s[5], t * 1e6, gf,
               100 * gf / peak);
        free(weight), free(c.x), free(c.y), free(c.b), free(c.packed), free(c.scratch);
    }
    conv_ctx c = conv_of(kt, 240, 320, 64, 64, 3, 2);
    double t = best(pool_run, &c, 0.3);
    printf("max pool 240 320 64, 3 x 3 stride 2: %.1f us for %ld pixels\n", t * 1e6, (long)c.rows);
    free(c.x), free(c.y), free(c.b);
}

/* ---- rows and elements: GB/s of memory touched, in the second cache ---- */

typedef struct row_ctx {
    const fw_kern *k;
    float *x, *y, *g, *h, *m, *v;
    uint16_t *s;
    fw_attn a;
    void *scratch;
} row_ctx;

enum { R = 64, C = 768, N = R * C };
static void run_ln(void *p) {
    row_ctx *c = p;
    c->k->layer_norm_fwd(c->x, c->g, c->h, 1e-5f, c->y, NULL, NULL, R, C);
}
static void run_softmax(void *p) {
    row_ctx *c = p;
    c->k->softmax_fwd(c->x, c->y, R, C);
}
static void run_gelu(void *p) {
    row_ctx *c = p;
    c->k->act_fwd(FW_ACT_GELU, c->x, c->y, N);
}
static void run_silu(void *p) {
    row_ctx *c = p;
    c->k->act_fwd(FW_ACT_SILU, c->x, c->y, N);
}
static void run_relu6(void *p) {
    row_ctx *c = p;
    c->k->act_fwd(FW_ACT_RELU6, c->x, c->y, N);
}
static void run_add(void *p) {
    row_ctx *c = p;
    c->k->add(c->x, c->m, c->y, N);
}
static void run_f16(void *p) {
    row_ctx *c = p;
    c->k->f32_to_f16(c->x, c->s, N);
}
static void run_unf16(void *p) {
    row_ctx *c = p;
    c->k->f16_to_f32(c->s, c->y, N);
}
static void run_drop(void *p) {
    row_ctx *c = p;
    c->k->dropout(c->x, c->y, N, 0.1f, 1, 0);
}
static void run_adamw(void *p) {
    row_ctx *c = p;
    fw_adamw s = {.lr = 1e-3f,
                  .beta1 = 0.9f,
                  .beta2 = 0.95f,
                  .eps = 1e-8f,
                  .weight_decay = 0.01f,
                  .grad_scale = 1,
                  .bias1 = 1,
                  .bias2 = 1};
    c->k->adamw(c->y, c->x, c->m, c->v, N, &s);
}
static void run_attn(void *p) {
    row_ctx *c = p;
    c->k->attention_fwd(&c->a, 0, c->a.batch * c->a.n_kv, c->scratch);
}

static void bench_rows(const fw_kern *kt) {
    static const struct {
        const char *name;
        void (*fn)(void *);
        int bytes; /* an element */
    } rows[] = {{"layer_norm [64,768]", run_ln, 8},
                {"softmax [64,768]", run_softmax, 8},
                {"gelu", run_gelu, 8},
                {"silu", run_silu, 8},
                {"relu6", run_relu6, 8},
                {"add", run_add, 12},
                {"f32_to_f16", run_f16, 6},
                {"f16_to_f32", run_unf16, 6},
                {"dropout", run_drop, 8},
                {"adamw", run_adamw, 28}};
    row_ctx c = {.k = kt,
                 .x = randf(N),
                 .y = randf(N),
                 .g = randf(C),
                 .h = randf(C),
                 .m = randf(N),
                 .v = randf(N),
                 .s = mem(N * 2)};
    for (int i = 0; i < N; i++) {
        c.v[i] *= c.v[i];
    }
    printf("rows and elements, 49152 floats: ns an element, GB/s\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double t = best(rows[i].fn, &c, 0.1) / N * 1e9;
        printf("%-22s %7.3f %7.1f\n", rows[i].name, t, rows[i].bytes / t);
    }
    free(c.x), free(c.y), free(c.g), free(c.h), free(c.m), free(c.v), free(c.s);
}

/* Heads interleaved, d wide: towers of SmolVLA and pi0, their language models, their experts' steps. */
static void bench_attention(void) {
    static const int shapes[][5] = {{1024, 1024, 64, 12, 12}, {256, 256, 72, 16, 16}, {560, 560, 256, 8, 1},
                                    {50, 611, 256, 8, 1},     {177, 177, 64, 15, 5},  {50, 241, 64, 12, 12}};
    static const char *const tables[] = {"avx2", "avx512", "avx512bf16", "neon", "neonbf16"};
    printf("attention forward: tq tk d heads kv heads; ms, GFLOP/s, %% of the table's peak\n");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int64_t tq = shapes[i][0], tk = shapes[i][1], d = shapes[i][2], h = shapes[i][3], kv = shapes[i][4];
        float *q = randf(tq * h * d), *k = randf(tk * kv * d), *v = randf(tk * kv * d), *o = randf(tq * h * d);
        for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
            row_ctx c = {.k = fw_kern_find(tables[t])};
            if (c.k == NULL) {
                continue;
            }
            c.a = (fw_attn){.batch = 1, .n_head = h, .n_kv = kv, .tq = tq, .tk = tk, .d = d, .scale = 0.125f};
            c.a.q = q, c.a.k = k, c.a.v = v, c.a.o = o;
            c.a.q_row = c.a.o_row = h * d, c.a.k_row = c.a.v_row = kv * d;
            c.a.q_head = c.a.k_head = c.a.v_head = c.a.o_head = d;
            c.scratch = mem(c.k->attention_scratch(&c.a, false));
            double s = best(run_attn, &c, 0.2), gf = 4e-9 * (double)h * (double)(tq * tk * d) / s;
            printf("%-10s %5ld %5ld %3ld %2ld %2ld %8.3f %7.1f %5.1f\n", tables[t], (long)tq, (long)tk, (long)d,
                   (long)h, (long)kv, s * 1e3, gf, 100 * gf / peak_of(tables[t]));
            free(c.scratch);
        }
        free(q), free(k), free(v), free(o);
    }
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *what = argc > 1 ? argv[1] : "all";
    const fw_kern *kt = fw_kern_get();
    double peak = peak_of(kt->isa);
    printf("table %s, peak %.1f GFLOP/s (register-only multiply-adds, one thread)\n", kt->isa, peak);
    if (strcmp(what, "gemm") == 0 || strcmp(what, "all") == 0) {
        static const int64_t shapes[][3] = {{1024, 768, 768}, {256, 768, 3072}, {177, 960, 2560}, {64, 512, 512},
                                            {50, 720, 2048},  {256, 1024, 512}, {16, 384, 384},   {1, 768, 768},
                                            {8, 768, 768},    {4096, 32, 16},   {4096, 16, 96},   {1024, 96, 24},
                                            {1024, 24, 144},  {256, 144, 40},   {256, 40, 240},   {64, 240, 80},
                                            {64, 80, 480},    {64, 480, 80},    {64, 480, 112},   {64, 112, 672}};
        gemm_heading();
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            bench_gemm_shape(kt, peak, shapes[i][0], shapes[i][1], shapes[i][2]);
        }
    }
    if (strcmp(what, "train") == 0 || strcmp(what, "all") == 0) {
        bench_train(kt, peak);
    }
    if (strcmp(what, "conv") == 0 || strcmp(what, "all") == 0) {
        bench_depthwise(kt);
        bench_dense(kt, peak);
    }
    if (strcmp(what, "rows") == 0 || strcmp(what, "all") == 0) {
        bench_rows(kt);
    }
    if (strcmp(what, "attention") == 0 || strcmp(what, "all") == 0) {
        bench_attention();
    }
    if (strcmp(what, "policy") == 0 || strcmp(what, "all") == 0) {
        bench_policy();
    }
    return 0;
}
