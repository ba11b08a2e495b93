/* matrix products of every table against the scalar one, over odd shapes, layouts and epilogues */
#include "kern_test.h"

typedef struct gcase {
    int64_t m, n, k, n0, n1;
    bool trans_a, bias, residual, pre, accumulate;
    fw_layout layout;
    fw_act act;
    bool smooth;
} gcase;

typedef struct gdata {
    int64_t lda, ldb, ldc, na, nb, nc;
    float *a, *b, *bias, *res, *c0, *smooth;
} gdata;

/* Which tables are compared: the exact ones with scalar; that of bf16 with scalar, on operands that bfloat16 holds exactly (then both
 * agree as closely); those of int8 with "int8", of int8x4 with "int8x4". */
static enum { EXACT, BF16, INT8, INT8X4 } g_kind;

static void round_to_bf16(float *x, int64_t n) {
    uint16_t *half = malloc((size_t)n * sizeof(uint16_t) + 1);
    const fw_kern *all[16];
    CHECK(half != NULL && t_tables(all) > 0);
    all[0]->f32_to_bf16(x, half, n);
    all[0]->bf16_to_f32(half, x, n);
    free(half);
}

static int tables(const fw_kern **all) {
    int n = t_tables(all);
    if (g_kind == BF16) {
        n = 1;
        all[n++] = fw_kern_bf16();
    } else if (g_kind != EXACT) {
        n = t_tables_int8(all, g_kind == INT8X4);
    }
    return n;
}

static gdata make(const gcase *t) {
    gdata d = {0};
    d.lda = (t->trans_a ? t->m : t->k) + 3;
    d.ldb = (t->layout == FW_NK ? t->k : t->n) + 1;
    d.ldc = t->n + 5;
    d.na = (t->trans_a ? t->k : t->m) * d.lda, d.nb = (t->layout == FW_NK ? t->n : t->k) * d.ldb, d.nc = t->m * d.ldc;
    d.a = t_rand(d.na, -1, 1), d.b = t_rand(d.nb, -1, 1), d.bias = t_rand(t->n, -1, 1), d.res = t_rand(d.nc, -1, 1);
    d.c0 = t_rand(d.nc, -1, 1), d.smooth = t_rand(t->k, 0.1, 3);
    if (g_kind == BF16) {
        round_to_bf16(d.a, d.na);
        round_to_bf16(d.b, d.nb);
    }
    return d;
}

static void run(const fw_kern *kt, const gcase *t, const gdata *d, float *c, float *pre) {
    size_t pb = kt->gemm_pack_bytes(t->n, t->k), sb = kt->gemm_scratch(t->m, t->k, t->trans_a);
    void *packed = t_scratch(pb), *scratch = t_scratch(sb);
    int64_t half = t->n / 2 / kt->gemm_nr * kt->gemm_nr; /* packing in two blocks must give the same */
    const float *smooth = t->smooth ? d->smooth : NULL;
    kt->gemm_pack_smooth(packed, d->b, d->ldb, t->layout, t->n, t->k, 0, half, smooth);
    kt->gemm_pack_smooth(packed, d->b, d->ldb, t->layout, t->n, t->k, half, t->n, smooth);
    fw_gemm g = {.m = t->m,
                 .n = t->n,
                 .k = t->k,
                 .a = d->a,
                 .lda = d->lda,
                 .trans_a = t->trans_a,
                 .b = packed,
                 .c = c,
                 .ldc = d->ldc,
                 .n0 = t->n0,
                 .n1 = t->n1};
    g.epi = (fw_epi){.bias = t->bias ? d->bias : NULL,
                     .residual = t->residual ? d->res : NULL,
                     .ld_residual = d->ldc,
                     .pre = t->pre ? pre : NULL,
                     .ld_pre = d->ldc,
                     .act = t->act,
                     .accumulate = t->accumulate};
    kt->gemm_f32(&g, scratch);
    t_scratch_free(packed, pb), t_scratch_free(scratch, sb);
}

static void compare(const gcase *t) {
    const fw_kern *all[16];
    int n_all = tables(all);
    gdata d = make(t);
    float *want = t_copy(d.c0, d.nc), *want_pre = t_copy(d.c0, d.nc);
    run(all[0], t, &d, want, want_pre);
    for (int i = 1; i < n_all; i++) {
        float *got = t_copy(d.c0, d.nc), *got_pre = t_copy(d.c0, d.nc);
        run(all[i], t, &d, got, got_pre);
        double tol =
            g_kind == INT8 || g_kind == INT8X4 ? 1e-6 * (1.0 + sqrt((double)t->k)) : 3e-7 * (8.0 + (double)t->k);
        CHECK_NEAR(got, want, (size_t)d.nc, tol, 1e-6);
        CHECK_NEAR(got_pre, want_pre, (size_t)d.nc, tol, 1e-6);
        t_free(got, d.nc), t_free(got_pre, d.nc);
    }
    t_free(want, d.nc), t_free(want_pre, d.nc);
    t_free(d.a, d.na), t_free(d.b, d.nb), t_free(d.bias, t->n), t_free(d.res, d.nc), t_free(d.c0, d.nc),
        t_free(d.smooth, t->k);
}

static void every_tail_agrees_with_scalar(void) {
    for (int64_t m = 0; m <= 31; m++) {
        for (int64_t n = 1; n <= 70; n += 3) {
            gcase t = {.m = m,
                       .n = n,
                       .k = (m * 7 + n * 3) % 40,
                       .layout = (m + n) % 2 ? FW_NK : FW_KN,
                       .trans_a = m % 3 == 1};
            compare(&t);
        }
    }
}

static void k_over_several_blocks_agrees_with_scalar(void) {
    static const int64_t shapes[][3] = {
        {50, 129, 1000}, {345, 33, 400}, {15, 256, 385}, {337, 100, 770}, {1, 300, 2000}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (int v = 0; v < 4; v++) {
            gcase t = {.m = shapes[i][0],
                       .n = shapes[i][1],
                       .k = shapes[i][2],
                       .trans_a = v & 1,
                       .layout = v & 2 ? FW_NK : FW_KN,
                       .bias = true,
                       .act = FW_ACT_RELU,
                       .accumulate = v == 3,
                       .residual = v == 2,
                       .smooth = v >= 2};
            compare(&t);
        }
    }
}

static void every_epilogue_agrees_with_scalar(void) {
    for (int act = FW_ACT_NONE; act <= FW_ACT_SIGMOID; act++) {
        for (int bits = 0; bits < 16; bits++) {
            gcase t = {.m = 17,
                       .n = 45,
                       .k = 30,
                       .act = (fw_act)act,
                       .bias = bits & 1,
                       .residual = bits & 2,
                       .pre = bits & 4,
                       .accumulate = bits & 8};
            compare(&t);
        }
    }
}

static void a_block_of_columns_leaves_the_others_alone(void) {
    gcase t = {.m = 9, .n = 203, .k = 21, .n0 = 64, .n1 = 128, .bias = true, .residual = true, .act = FW_ACT_RELU6};
    compare(&t);
    t.n0 = 192, t.n1 = 203;
    compare(&t);
}

static void k_zero_gives_the_epilogue_of_zero(void) {
    gcase t = {.m = 5, .n = 19, .k = 0, .bias = true};
    compare(&t);
}

/* Threads may cut C where they like: every element is summed in the order of k alone, however A is read. */
static void splitting_rows_and_columns_does_not_change_a_bit(void) {
    const fw_kern *all[16];
    int n_all = t_tables(all);
    n_all += t_tables_int8(all + n_all, false);
    n_all += t_tables_int8(all + n_all, true);
    enum { M = 61, N = 150, K = 401 };
    float *a = t_rand(M * K, -1, 1), *b = t_rand(N * K, -1, 1), *bias = t_rand(N, -1, 1);
    for (int i = 0; i < n_all; i++) {
        const fw_kern *kt = all[i];
        size_t pb = kt->gemm_pack_bytes(N, K), sb = kt->gemm_scratch(M, K, false);
        void *packed = t_scratch(pb), *scratch = t_scratch(sb);
        float *whole = t_alloc(M * N), *parts = t_alloc(M * N);
        kt->gemm_pack(packed, b, K, FW_NK, N, K, 0, N);
        fw_gemm g = {
            .m = M, .n = N, .k = K, .a = a, .lda = K, .b = packed, .c = whole, .ldc = N, .epi = {.bias = bias}};
        kt->gemm_f32(&g, scratch);
        for (int64_t r = 0; r < M; r += 9) {
            for (int64_t c = 0; c < N; c += kt->gemm_nr) {
                fw_gemm p = g;
                p.m = M - r < 9 ? M - r : 9, p.a = a + r * K, p.c = parts + r * N;
                p.n0 = c, p.n1 = c + kt->gemm_nr < N ? c + kt->gemm_nr : N;
                kt->gemm_f32(&p, scratch);
            }
        }
        CHECK(memcmp(whole, parts, M * N * sizeof(float)) == 0);
        t_scratch_free(packed, pb), t_scratch_free(scratch, sb), t_free(whole, M * N), t_free(parts, M * N);
    }
    t_free(a, M * K), t_free(b, N * K), t_free(bias, N);
}

static void bf16_products_agree_on_operands_that_it_holds(void) {
    g_kind = BF16;
    if (fw_kern_bf16() != NULL) {
        every_tail_agrees_with_scalar();
        k_over_several_blocks_agrees_with_scalar();
        every_epilogue_agrees_with_scalar();
        a_block_of_columns_leaves_the_others_alone();
    } else {
        printf("# no bf16 here\n");
    }
    g_kind = EXACT;
}

static void tables_agree_with_their_specification(bool x4) {
    g_kind = x4 ? INT8X4 : INT8;
    every_tail_agrees_with_scalar();
    k_over_several_blocks_agrees_with_scalar();
    every_epilogue_agrees_with_scalar();
    a_block_of_columns_leaves_the_others_alone();
    k_zero_gives_the_epilogue_of_zero();
    gcase deep = {.m = 3, .n = 37, .k = 16384, .smooth = true}, deeper = {.m = 2, .n = 5, .k = 140001};
    compare(&deep);
    compare(&deeper); /* the sum over all k would not fit 32 bits */
    g_kind = EXACT;
}

static void int8_tables_agree_with_their_specification(void) {
    tables_agree_with_their_specification(false);
}

static void int8x4_tables_agree_with_their_specification(void) {
    tables_agree_with_their_specification(true);
}

/* Every weight of a column alike, and every activation of a row: what sums of 16 bits can hold, and not more, whatever the signs. */
static void sums_of_four_never_overflow(void) {
    const fw_kern *all[16];
    enum { M = 8, N = 32, K = 96 };
    float *a = t_alloc(M * K), *b = t_alloc(N * K);
    for (int i = 0; i < M * K; i++) {
        a[i] = i / K % 2 ? -1.0f : 1.0f;
    }
    for (int i = 0; i < N * K; i++) {
        const int four = i % K / 2 % 2; /* of each eight: 0, 1, 4, 5 and 2, 3, 6, 7 */
        b[i] = (i / K % 4 == 0 ? 1.0f : i / K % 4 == 1 ? -1.0f : four ? 1.0f : -1.0f) * (i / K < 16 ? 1.0f : 0.7f);
    }
    for (int t = 0, n = t_tables_int8(all, true); t < n; t++) {
        size_t pb = all[t]->gemm_pack_bytes(N, K), sb = all[t]->gemm_scratch(M, K, false);
        void *packed = t_scratch(pb), *scratch = t_scratch(sb);
        float *c = t_alloc(M * N);
        all[t]->gemm_pack(packed, b, K, FW_NK, N, K, 0, N);
        fw_gemm g = {.m = M, .n = N, .k = K, .a = a, .lda = K, .b = packed, .c = c, .ldc = N};
        all[t]->gemm_f32(&g, scratch);
        for (int i = 0; i < M * N; i++) {
            double sum = 0.0;
            for (int kk = 0; kk < K; kk++) {
                sum += (double)a[i / N * K + kk] * (double)b[i % N * K + kk];
            }
            CHECK(fabs((double)c[i] - sum) <= 0.02 * K);
        }
        t_free(c, M * N), t_scratch_free(packed, pb), t_scratch_free(scratch, sb);
    }
    t_free(a, M * K), t_free(b, N * K);
}

static void pack_bytes_refuses_overflow(void) {
    const fw_kern *all[16];
    int n = t_tables(all);
    n += t_tables_int8(all + n, false);
    n += t_tables_int8(all + n, true);
    for (int i = 0; i < n; i++) {
        CHECK_INT(all[i]->gemm_pack_bytes(INT64_MAX / 2, INT64_MAX / 2), 0);
        CHECK(all[i]->gemm_pack_bytes(3, 5) >= 3 * 5);
    }
}

/* Operands that are whole numbers up to 127 in every row and column (int8x4: up to 110, and fours up to 146) lose nothing; smoothing by
 * powers of two changes no bit. */
static void whole_numbers_are_exact(bool x4) {
    const fw_kern *all[16];
    enum { M = 33, N = 70, K = 201 };
    float *a = t_alloc(M * K), *b = t_alloc(N * K), *s = t_alloc(K);
    for (int i = 0; i < M * K; i++) {
        a[i] = x4 ? (i % K == 7 ? 110.0f : (float)t_int(-110, 110)) : i % K == 7 ? 127.0f : (float)t_int(-127, 127);
    }
    for (int i = 0; i < N * K; i++) {
        const int most = !x4 ? 127 : i % K < 8 ? 6 : 36;
        b[i] = i % K == 5 ? -127.0f : (float)t_int(-most, most);
    }
    for (int i = 0; i < K; i++) {
        s[i] = i % 3 == 0 ? 0.25f : 2.0f;
    }
    for (int t = 0, n = t_tables_int8(all, x4); t < 2 * n; t++) {
        const fw_kern *kt = all[t / 2];
        size_t pb = kt->gemm_pack_bytes(N, K), sb = kt->gemm_scratch(M, K, false);
        void *packed = t_scratch(pb), *scratch = t_scratch(sb);
        float *c = t_alloc(M * N), *x = t_copy(a, M * K), *w = t_copy(b, N * K);
        for (int i = 0; i < M * K && t % 2; i++) { /* as a layer before and a calibration would leave them */
            x[i] *= s[i % K];
        }
        for (int i = 0; i < N * K && t % 2; i++) {
            w[i] /= s[i % K];
        }
        kt->gemm_pack_smooth(packed, w, K, FW_NK, N, K, 0, N, t % 2 ? s : NULL);
        fw_gemm g = {.m = M, .n = N, .k = K, .a = x, .lda = K, .b = packed, .c = c, .ldc = N};
        kt->gemm_f32(&g, scratch);
        for (int i = 0; i < M * N; i++) {
            double sum = 0.0;
            for (int kk = 0; kk < K; kk++) {
                sum += (double)a[i / N * K + kk] * (double)b[i % N * K + kk];
            }
            CHECK(fabs((double)c[i] - sum) <= 1e-6 * fabs(sum));
        }
        t_free(c, M * N), t_free(x, M * K), t_free(w, N * K), t_scratch_free(packed, pb), t_scratch_free(scratch, sb);
    }
    t_free(a, M * K), t_free(b, N * K), t_free(s, K);
}

static void int8_products_of_small_whole_numbers_are_exact(void) {
    whole_numbers_are_exact(false);
    whole_numbers_are_exact(true);
}

/* Rows of A and columns of B that are special: what comes of each is promised, and the others do not notice. */
static void int8_gives_nan_for_what_is_not_finite_and_zero_for_zeros(void) {
    const fw_kern *all[16];
    enum { M = 16, N = 40, K = 300 };
    float *a = t_rand(M * K, -1, 1), *b = t_rand(N * K, -1, 1);
    for (int k = 0; k < K; k++) {
        a[1 * K + k] = 0.0f, a[2 * K + k] = 0.75f, a[3 * K + k] = -0.3f, a[7 * K + k] *= 1e-38f, b[9 * K + k] = 0.0f;
    }
    a[4 * K + 17] = NAN, a[5 * K + 299] = INFINITY, a[6 * K] = -INFINITY, b[11 * K + 123] = NAN,
              b[33 * K + 1] = INFINITY;
    a[8 * K + 255] = 1e30f; /* all others of the row round to zero */
    int n = t_tables_int8(all, false);
    n += t_tables_int8(all + n, true);
    for (int t = 0; t < n; t++) {
        const fw_kern *kt = all[t];
        size_t pb = kt->gemm_pack_bytes(N, K), sb = kt->gemm_scratch(M, K, false);
        void *packed = t_scratch(pb), *scratch = t_scratch(sb);
        float *c = t_alloc(M * N);
        kt->gemm_pack(packed, b, K, FW_NK, N, K, 0, N);
        fw_gemm g = {.m = M, .n = N, .k = K, .a = a, .lda = K, .b = packed, .c = c, .ldc = N};
        kt->gemm_f32(&g, scratch);
        for (int i = 0; i < M; i++) {
            for (int j = 0; j < N; j++) {
                double got = (double)c[i * N + j], want = 0.0;
                for (int k = 0; k < K; k++) {
                    want += (double)a[i * K + k] * (double)b[j * K + k];
                }
                bool none = (i >= 4 && i <= 6) || j == 11 || j == 33, zero = i == 1 || i == 7 || j == 9;
                CHECK(none ? isnan(got) : zero ? got == 0.0 : fabs(got - want) < (i == 8 ? 2e28 : 0.4));
            }
        }
        t_free(c, M * N), t_scratch_free(packed, pb), t_scratch_free(scratch, sb);
    }
    t_free(a, M * K), t_free(b, N * K);
}

FW_TEST_MAIN(T(every_tail_agrees_with_scalar), T(k_over_several_blocks_agrees_with_scalar),
             T(every_epilogue_agrees_with_scalar), T(a_block_of_columns_leaves_the_others_alone),
             T(k_zero_gives_the_epilogue_of_zero), T(bf16_products_agree_on_operands_that_it_holds),
             T(int8_tables_agree_with_their_specification), T(int8x4_tables_agree_with_their_specification),
             T(sums_of_four_never_overflow), T(int8_products_of_small_whole_numbers_are_exact),
             T(int8_gives_nan_for_what_is_not_finite_and_zero_for_zeros), T(pack_bytes_refuses_overflow),
             T(splitting_rows_and_columns_does_not_change_a_bit))
