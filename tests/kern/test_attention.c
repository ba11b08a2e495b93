/* attention of every table against the scalar one; the scalar backward against finite differences */
#include "kern_test.h"

typedef struct adata {
    fw_attn a;
    int64_t nq, nk, nl;
    float *q, *k, *v, *d_o;
    int32_t lengths[4];
    bool no_lengths;
} adata;

/* Heads interleaved [B,T,H*D], with a few floats between rows. */
static adata make(int64_t batch, int64_t n_head, int64_t n_kv, int64_t tq, int64_t tk, int64_t d, fw_mask mask) {
    adata t = {.nq = batch * tq * (n_head * d + 3), .nk = batch * tk * (n_kv * d + 2), .nl = batch * n_head * tq};
    t.q = t_rand(t.nq, -1, 1), t.k = t_rand(t.nk, -1, 1), t.v = t_rand(t.nk, -1, 1), t.d_o = t_rand(t.nq, -1, 1);
    fw_attn *a = &t.a;
    *a = (fw_attn){
        .batch = batch, .n_head = n_head, .n_kv = n_kv, .tq = tq, .tk = tk, .d = d, .mask = mask, .scale = 0.7f};
    a->q = t.q, a->k = t.k, a->v = t.v, a->d_o = t.d_o;
    a->q_row = a->o_row = n_head * d + 3, a->k_row = a->v_row = n_kv * d + 2;
    a->q_batch = a->o_batch = tq * a->q_row, a->k_batch = a->v_batch = tk * a->k_row;
    a->q_head = a->k_head = a->v_head = a->o_head = d;
    for (int64_t b = 0; b < 4; b++) {
        t.lengths[b] = (int32_t)(b == 1 ? 0 : t_int(1, tk));
    }
    if (mask == FW_MASK_PREFIX || mask == FW_MASK_PREFIX_CAUSAL) {
        a->prefix = t_int(0, tk), a->first = t_int(0, tq), a->first_end = t_int(0, tk);
        for (int64_t b = 0; b < 4; b++) {
            t.lengths[b] = (int32_t)(b == 1 ? 0 : t_int(0, a->prefix));
        }
        t.no_lengths = t_int(0, 3) == 0;
    }
    return t;
}

static void drop(adata *t) {
    t_free(t->q, t->nq), t_free(t->k, t->nk), t_free(t->v, t->nk), t_free(t->d_o, t->nq);
}

typedef struct result {
    float *o, *lse, *dq, *dk, *dv;
} result;

static result run(const fw_kern *kt, const adata *t) {
    result r = {t_alloc(t->nq), t_alloc(t->nl), t_alloc(t->nq), t_alloc(t->nk), t_alloc(t->nk)};
    fw_attn a = t->a;
    a.lengths = t->no_lengths ? NULL : t->lengths, a.o = r.o, a.lse = r.lse, a.dq = r.dq, a.dk = r.dk, a.dv = r.dv;
    int64_t items = a.batch * a.n_kv;
    size_t sf = kt->attention_scratch(&a, false), sb = kt->attention_scratch(&a, true);
    void *f = t_scratch(sf), *b = t_scratch(sb);
    kt->attention_fwd(&a, 0, items / 2, f);
    kt->attention_fwd(&a, items / 2, items, f);
    kt->attention_bwd(&a, 0, items / 2, b);
    kt->attention_bwd(&a, items / 2, items, b);
    t_scratch_free(f, sf), t_scratch_free(b, sb);
    return r;
}

static void result_free(result *r, const adata *t) {
    t_free(r->o, t->nq), t_free(r->lse, t->nl), t_free(r->dq, t->nq), t_free(r->dk, t->nk), t_free(r->dv, t->nk);
}

/* With products of bfloat16 operands, made from operands that it holds: probabilities and their gradients are what is rounded. */
static bool g_bf16;

static int tables(const fw_kern **all) {
    int n = t_tables(all);
    if (g_bf16) {
        all[1] = fw_kern_bf16();
        all[2] = fw_kern_int8(); /* may stand on the one of bf16 */
        n = all[1] == NULL ? 1 : all[2]->attention_fwd == all[1]->attention_fwd ? 3 : 2;
    }
    return n;
}

static void round_to_bf16(float *x, int64_t n) {
    uint16_t *half = malloc((size_t)n * sizeof(uint16_t) + 1);
    const fw_kern *all[8];
    CHECK(half != NULL && t_tables(all) > 0);
    all[0]->f32_to_bf16(x, half, n);
    all[0]->bf16_to_f32(half, x, n);
    free(half);
}

static void judge(result *want, result *got, const adata *t) {
    for (int64_t j = 0; j < t->nl; j++) { /* -inf (sees nothing) must be -inf in both: CHECK_NEAR cannot say */
        CHECK(isinf(want->lse[j]) == isinf(got->lse[j]));
        if (isinf(want->lse[j])) {
            want->lse[j] = got->lse[j] = 0.0f;
        }
    }
    double most = 1.0 / 256, sum = (double)t->a.tq * (double)(t->a.n_head / t->a.n_kv) / 256;
    CHECK_NEAR(got->o, want->o, (size_t)t->nq, g_bf16 ? most : 2e-6, 1e-5);
    CHECK_NEAR(got->lse, want->lse, (size_t)t->nl, g_bf16 ? 1e-5 : 2e-6, g_bf16 ? 1e-5 : 1e-6);
    CHECK_NEAR(got->dq, want->dq, (size_t)t->nq, g_bf16 ? 4 * most : 1e-5, g_bf16 ? 2 * most : 1e-5);
    CHECK_NEAR(got->dk, want->dk, (size_t)t->nk, g_bf16 ? 0.5 * sum + most : 2e-5, g_bf16 ? 2 * most : 1e-5);
    CHECK_NEAR(got->dv, want->dv, (size_t)t->nk, g_bf16 ? 0.5 * sum + most : 2e-5, g_bf16 ? 2 * most : 1e-5);
}

static void compare(adata t) {
    const fw_kern *all[8];
    int n = tables(all);
    if (g_bf16) {
        round_to_bf16(t.q, t.nq), round_to_bf16(t.k, t.nk), round_to_bf16(t.v, t.nk), round_to_bf16(t.d_o, t.nq);
    }
    result want = run(all[0], &t);
    for (int i = 1; i < n; i++) {
        result got = run(all[i], &t);
        judge(&want, &got, &t);
        result_free(&got, &t);
        if (i + 1 < n) {
            result_free(&want, &t);
            want = run(all[0], &t);
        }
    }
    result_free(&want, &t);
    drop(&t);
}

static void every_mask_and_tail_agrees_with_scalar(void) {
    for (int mask = FW_MASK_NONE; mask <= FW_MASK_PREFIX_CAUSAL; mask++) {
        for (int i = 0; i < 12; i++) {
            compare(make(3, 4, 2, t_int(1, 70), t_int(1, 90), t_int(1, 40), (fw_mask)mask));
        }
    }
}

static void one_query_and_many_keys_agree_with_scalar(void) {
    compare(make(1, 2, 2, 1, 600, 64, FW_MASK_NONE));
    compare(make(1, 2, 1, 3, 500, 32, FW_MASK_CAUSAL));
    compare(make(1, 1, 1, 130, 130, 64, FW_MASK_CAUSAL));
}

/* Values behind the last key that anyone sees are not read, not even times zero. */
static void what_lies_behind_the_length_may_be_anything(void) {
    const fw_kern *all[8];
    for (int g = 0; g < 2; g++) {
        g_bf16 = g == 1;
        for (int i = 0, n = tables(all); i < n; i++) {
            adata t = make(1, 2, 1, 5, 40, 20, FW_MASK_LENGTH);
            t.lengths[0] = 19;
            for (int64_t j = 19 * t.a.k_row; j < t.nk; j++) {
                t.k[j] = t.v[j] = NAN;
            }
            result r = run(all[i], &t);
            for (int64_t j = 0; j < t.nq; j++) {
                CHECK(!isnan(r.o[j]) && !isnan(r.dq[j]));
            }
            result_free(&r, &t);
            drop(&t);
        }
    }
    g_bf16 = false;
}

static void bf16_attention_agrees_on_operands_that_it_holds(void) {
    g_bf16 = true;
    if (fw_kern_bf16() != NULL) {
        every_mask_and_tail_agrees_with_scalar();
        one_query_and_many_keys_agree_with_scalar();
        compare(make(1, 8, 1, 57, 611, 72, FW_MASK_NONE));
        compare(make(2, 2, 1, 60, 131, 256, FW_MASK_PREFIX));
    } else {
        printf("# no bf16 here\n");
    }
    g_bf16 = false;
}

/* Longer query than keys: the first rows see no key and give zeros, with zero gradient. */
static void a_row_without_keys_gives_zeros(void) {
    const fw_kern *all[8];
    int n = t_tables(all);
    for (int i = 0; i < n; i++) {
        adata t = make(1, 1, 1, 9, 5, 8, FW_MASK_CAUSAL);
        result r = run(all[i], &t);
        for (int64_t row = 0; row < 4; row++) {
            for (int64_t c = 0; c < 8; c++) {
                CHECK(r.o[row * t.a.o_row + c] == 0.0f);
                CHECK(r.dq[row * t.a.q_row + c] == 0.0f);
            }
        }
        result_free(&r, &t);
        drop(&t);
    }
}

/* Keys of the padding may hold any number: it reaches nothing. */
static void padding_is_never_read(void) {
    const fw_kern *all[8];
    int n = t_tables(all);
    for (int i = 0; i < n; i++) {
        adata t = make(1, 2, 1, 6, 40, 8, FW_MASK_PREFIX);
        t.a.prefix = 37, t.lengths[0] = 5, t.a.first = 1, t.a.first_end = 38, t.no_lengths = false;
        for (int64_t j = 5; j < 37; j++) {
            t.k[j * t.a.k_row] = 1e30f;
        }
        result big = run(all[i], &t);
        for (int64_t j = 5; j < 37; j++) {
            t.k[j * t.a.k_row] = 0.0f, t.v[j * t.a.v_row] = 7.0f;
        }
        result small = run(all[i], &t);
        CHECK_NEAR(big.o, small.o, (size_t)t.nq, 0.0, 0.0);
        CHECK_NEAR(big.dq, small.dq, (size_t)t.nq, 0.0, 0.0);
        result_free(&big, &t), result_free(&small, &t);
        drop(&t);
    }
}

static double objective(const adata *t) { /* sum of o * d_o, whose gradient the backward gives */
    result r = run(fw_kern_get(), t);
    double s = 0.0;
    for (int64_t row = 0; row < t->a.batch * t->a.tq; row++) {
        for (int64_t c = 0; c < t->a.n_head * t->a.d; c++) {
            s += (double)r.o[row * t->a.o_row + c] * (double)t->d_o[row * t->a.o_row + c];
        }
    }
    result_free(&r, t);
    return s;
}

static void check_slope(const adata *t, float *x, int64_t row_len, int64_t ld, int64_t n, const float *grad) {
    for (int64_t i = 0; i < n; i++) {
        if (i % ld >= row_len) {
            continue; /* between rows */
        }
        float keep = x[i];
        x[i] = keep + 1e-2f;
        double up = objective(t);
        x[i] = keep - 1e-2f;
        double down = objective(t);
        x[i] = keep;
        float slope = (float)((up - down) / 2e-2);
        CHECK_NEAR(&grad[i], &slope, 1, 2e-3, 2e-2);
    }
}

static void backward_is_the_slope(adata t) {
    result r = run(fw_kern_get(), &t);
    check_slope(&t, t.q, 6, t.a.q_row, t.nq, r.dq);
    check_slope(&t, t.k, 3, t.a.k_row, t.nk, r.dk);
    check_slope(&t, t.v, 3, t.a.v_row, t.nk, r.dv);
    result_free(&r, &t);
    drop(&t);
}

static void backward_is_the_slope_of_forward(void) {
    backward_is_the_slope(make(1, 2, 1, 4, 5, 3, FW_MASK_CAUSAL));
    adata t = make(1, 2, 1, 4, 7, 3, FW_MASK_PREFIX);
    t.a.prefix = 4, t.lengths[0] = 2, t.a.first = 1, t.a.first_end = 5, t.no_lengths = false;
    backward_is_the_slope(t);
}

FW_TEST_MAIN(T(every_mask_and_tail_agrees_with_scalar), T(one_query_and_many_keys_agree_with_scalar),
             T(bf16_attention_agrees_on_operands_that_it_holds), T(what_lies_behind_the_length_may_be_anything),
             T(a_row_without_keys_gives_zeros), T(padding_is_never_read), T(backward_is_the_slope_of_forward))
