/* row kernels of every table against the scalar one; the scalar backwards against finite differences */
#include "kern_test.h"

static const fw_kern *g_all[8];
static int g_n;

/* Run STMT for every table with `k` bound; the outputs of the first are the reference for the others. */
enum { MAX_OUT = 8 };
typedef struct outs {
    float *p[MAX_OUT];
    int64_t n[MAX_OUT];
    int used;
} outs;

static float *out(outs *o, int64_t n) { /* filled alike in every table: accumulating kernels add to it */
    CHECK(o->used < MAX_OUT);
    float *p = t_alloc(n);
    for (int64_t i = 0; i < n; i++) {
        p[i] = 0.25f * (float)(i % 7) - 0.5f;
    }
    o->p[o->used] = p;
    o->n[o->used++] = n;
    return p;
}

static void judge(outs *want, outs *got, double atol, double rtol) {
    for (int i = 0; i < got->used; i++) {
        CHECK_NEAR(got->p[i], want->p[i], (size_t)got->n[i], atol, rtol);
        t_free(got->p[i], got->n[i]);
    }
}

static void out_free(outs *o) {
    for (int i = 0; i < o->used; i++) {
        t_free(o->p[i], o->n[i]);
    }
}

typedef struct in {
    int64_t r, c;
    float *x, *dy, *g, *h, *mean, *rstd;
    bool acc;
} in;

static void norms(const fw_kern *k, const in *t, outs *o) {
    k->layer_norm_fwd(t->x, t->g, t->h, 1e-5f, out(o, t->r * t->c), out(o, t->r), out(o, t->r), t->r, t->c);
}
static void norms_bwd(const fw_kern *k, const in *t, outs *o) {
    k->layer_norm_bwd(t->x, t->g, t->mean, t->rstd, t->dy, out(o, t->r * t->c), t->acc, out(o, t->c), out(o, t->c),
                      t->r, t->c);
}
static void rms(const fw_kern *k, const in *t, outs *o) {
    k->rms_norm_fwd(t->x, t->g, 1e-5f, out(o, t->r * t->c), out(o, t->r), t->r, t->c);
    k->rms_norm_bwd(t->x, t->g, t->rstd, t->dy, out(o, t->r * t->c), t->acc, out(o, t->c), t->r, t->c);
    k->rms_norm_fwd(t->x, NULL, 1e-5f, out(o, t->r * t->c), NULL, t->r, t->c);
    k->rms_norm_bwd(t->x, NULL, t->rstd, t->dy, out(o, t->r * t->c), t->acc, NULL, t->r, t->c);
}
static void soft(const fw_kern *k, const in *t, outs *o) {
    float *y = out(o, t->r * t->c);
    k->softmax_fwd(t->x, y, t->r, t->c);
    k->softmax_bwd(y, t->dy, out(o, t->r * t->c), t->acc, t->r, t->c);
}
static void sums(const fw_kern *k, const in *t, outs *o) {
    k->colsum(t->x, t->c, out(o, t->c), t->acc, t->r, t->c);
    k->colsum(t->x, t->c, out(o, t->c / 2), t->acc, t->r, t->c / 2);
    k->mean_pool_fwd(t->x, out(o, t->c), 1, t->r, t->c);
    k->mean_pool_bwd(t->dy, out(o, t->r * t->c), t->acc, 1, t->r, t->c);
}

static void each_table(void (*fn)(const fw_kern *, const in *, outs *), const in *t, double atol, double rtol) {
    outs want = {0};
    fn(g_all[0], t, &want);
    for (int i = 1; i < g_n; i++) {
        outs got = {0};
        fn(g_all[i], t, &got);
        judge(&want, &got, atol, rtol);
    }
    out_free(&want);
}

static void rows_agree_with_scalar(void) {
    g_n = t_tables(g_all);
    for (int64_t c = 1; c <= 100; c += 1 + c / 9) {
        in t = {.r = 1 + c % 6, .c = c, .acc = c % 2};
        int64_t n = t.r * c;
        t.x = t_rand(n, -3, 5), t.dy = t_rand(n, -1, 1), t.g = t_rand(c, -1, 2), t.h = t_rand(c, -1, 1);
        t.mean = t_rand(t.r, -1, 1), t.rstd = t_rand(t.r, 0.5, 2);
        each_table(norms, &t, c == 1 ? 1e-3 : 2e-5, 1e-4);
        each_table(norms_bwd, &t, 5e-5, 1e-5);
        each_table(rms, &t, 5e-5, 1e-5);
        each_table(soft, &t, 1e-6, 1e-5);
        each_table(sums, &t, 1e-5, 1e-5);
        t_free(t.x, n), t_free(t.dy, n), t_free(t.g, c), t_free(t.h, c), t_free(t.mean, t.r), t_free(t.rstd, t.r);
    }
}

static void rope_agrees_with_scalar_and_turns_back(void) {
    g_n = t_tables(g_all);
    for (int64_t d = 2; d <= 74; d += 18) {
        int64_t r = 5, h = 3, n = r * h * d;
        float *x = t_rand(n, -2, 2), *table = t_rand(r * d, 0, 1);
        for (int64_t i = 0; i < r * d; i++) { /* d/2 cosines, d/2 sines of the same angles */
            int64_t j = i % d;
            table[i] = j < d / 2 ? cosf((float)(i + 1)) : sinf((float)(i - d / 2 + 1));
        }
        outs want = {0};
        for (int i = 0; i < g_n; i++) {
            outs got = {0};
            outs *o = i == 0 ? &want : &got;
            float *y = out(o, n), *back = t_copy(x, n);
            g_all[i]->rope(x, table, y, false, false, r, h, d);
            g_all[i]->rope(x, table, out(o, n), true, true, r, h, d);
            g_all[i]->rope(back, table, back, false, false, r, h, d); /* in place */
            CHECK_NEAR(back, y, (size_t)n, 0.0, 0.0);
            g_all[i]->rope(back, table, back, true, false, r, h, d);
            CHECK_NEAR(back, x, (size_t)n, 1e-6, 1e-6);
            t_free(back, n);
            judge(&want, &got, 1e-6, 1e-6);
        }
        out_free(&want);
        t_free(x, n), t_free(table, r * d);
    }
}

static void long_columns_sum_within_rounding(void) {
    g_n = t_tables(g_all);
    in t = {.r = 3001, .c = 19};
    t.x = t_rand(t.r * t.c, 0, 1), t.dy = t_rand(t.r * t.c, -1, 1);
    each_table(sums, &t, 1e-5, 1e-6);
    t_free(t.x, t.r * t.c), t_free(t.dy, t.r * t.c);
}

static void softmax_survives_huge_logits(void) {
    const float x[4] = {1e30f, -1e30f, 88.0f, -3e38f}, want[4] = {1, 0, 0, 0};
    g_n = t_tables(g_all);
    for (int i = 0; i < g_n; i++) {
        float y[4];
        g_all[i]->softmax_fwd(x, y, 1, 4);
        CHECK_NEAR(y, want, 4, 0.0, 0.0);
    }
}

static void embeddings_agree_and_name_the_bad_id(void) {
    g_n = t_tables(g_all);
    const int32_t ids[5] = {3, 0, 3, 6, 1}, bad[3] = {1, 7, 0}, negative[1] = {-1};
    float *table = t_rand(7 * 21, -1, 1), *dy = t_rand(5 * 21, -1, 1);
    outs want = {0};
    for (int i = 0; i < g_n; i++) {
        outs got = {0};
        outs *o = i == 0 ? &want : &got;
        CHECK_INT(g_all[i]->embedding_fwd(ids, table, out(o, 5 * 21), 5, 7, 21), -1);
        g_all[i]->embedding_bwd(ids, dy, 21, out(o, 7 * 21), 21, 5, 21);
        CHECK_INT(g_all[i]->embedding_fwd(bad, table, o->p[0], 3, 7, 21), 1);
        CHECK_INT(g_all[i]->embedding_fwd(negative, table, o->p[0], 1, 7, 21), 0);
        judge(&want, &got, 1e-6, 0.0);
    }
    out_free(&want);
    t_free(table, 7 * 21), t_free(dy, 5 * 21);
}

static void film_agrees_with_scalar(void) {
    g_n = t_tables(g_all);
    for (int act = FW_ACT_NONE; act <= FW_ACT_EXP; act++) {
        int64_t b = 2, t = 1 + act, c = 5 + 7 * act, ldg = 2 * c;
        float *x = t_rand(b * t * c, -2, 2), *gh = t_rand(b * ldg, -1, 1), *dy = t_rand(b * t * c, -1, 1);
        outs want = {0};
        for (int i = 0; i < g_n; i++) {
            outs got = {0};
            outs *o = i == 0 ? &want : &got;
            g_all[i]->film_fwd(x, gh, gh + c, ldg, (fw_act)act, out(o, b * t * c), b, t, c);
            float *dx = out(o, b * t * c), *dgh = out(o, b * ldg);
            g_all[i]->film_bwd(x, gh, gh + c, ldg, (fw_act)act, dy, dx, dgh, dgh + c, b, t, c);
            judge(&want, &got, 2e-5, 1e-5);
        }
        out_free(&want);
        t_free(x, b * t * c), t_free(gh, b * ldg), t_free(dy, b * t * c);
    }
}

static void spatial_softmax_agrees_with_scalar(void) {
    g_n = t_tables(g_all);
    for (int64_t k = 1; k <= 70; k += 11) {
        int64_t b = 2, h = 1 + k % 5, w = 1 + k % 8;
        float *x = t_rand(b * h * w * k, -4, 4), *dy = t_rand(b * k * 2, -1, 1);
        outs want = {0};
        for (int i = 0; i < g_n; i++) {
            outs got = {0};
            outs *o = i == 0 ? &want : &got;
            float *y = out(o, b * k * 2), *stats = out(o, b * k * 2);
            g_all[i]->spatial_softmax_fwd(x, y, stats, b, h, w, k);
            g_all[i]->spatial_softmax_bwd(x, y, stats, dy, out(o, b * h * w * k), k % 2, b, h, w, k);
            judge(&want, &got, 2e-5, 1e-5);
        }
        out_free(&want);
        t_free(x, b * h * w * k), t_free(dy, b * k * 2);
    }
}

/* A single bright pixel is where the keypoint is. */
static void spatial_softmax_finds_the_bright_pixel(void) {
    g_n = t_tables(g_all);
    for (int i = 0; i < g_n; i++) {
        float x[3 * 5] = {0}, y[2], stats[2];
        const float want[2] = {0.5f, -1.0f}; /* column 3 of 5, row 0 of 3 */
        x[3] = 80.0f;
        g_all[i]->spatial_softmax_fwd(x, y, stats, 1, 3, 5, 1);
        CHECK_NEAR(y, want, 2, 1e-6, 0.0);
    }
}

/* ---- slopes ---- */

typedef void fwd_fn(const float *x, float *y, const in *t);

static void ln_y(const float *x, float *y, const in *t) {
    fw_kern_get()->layer_norm_fwd(x, t->g, t->h, 1e-5f, y, t->mean, t->rstd, t->r, t->c);
}
static void rms_y(const float *x, float *y, const in *t) {
    fw_kern_get()->rms_norm_fwd(x, t->g, 1e-5f, y, t->rstd, t->r, t->c);
}
static void soft_y(const float *x, float *y, const in *t) {
    fw_kern_get()->softmax_fwd(x, y, t->r, t->c);
}

static double weighted(fwd_fn *fn, const in *t, float *y) {
    double s = 0.0;
    fn(t->x, y, t);
    for (int64_t i = 0; i < t->r * t->c; i++) {
        s += (double)y[i] * (double)t->dy[i];
    }
    return s;
}

static void slopes(fwd_fn *fn, in *t, float *p, int64_t n, const float *grad) {
    float *y = t_alloc(t->r * t->c);
    for (int64_t i = 0; i < n; i++) {
        float keep = p[i];
        p[i] = keep + 4e-3f;
        double up = weighted(fn, t, y);
        p[i] = keep - 4e-3f;
        double down = weighted(fn, t, y);
        p[i] = keep;
        float slope = (float)((up - down) / 8e-3);
        CHECK_NEAR(&grad[i], &slope, 1, 2e-3, 1e-2);
    }
    t_free(y, t->r * t->c);
}

static void backward_is_the_slope_of_forward(void) {
    in t = {.r = 3, .c = 11};
    int64_t n = t.r * t.c;
    t.x = t_rand(n, -1, 1), t.dy = t_rand(n, -1, 1), t.g = t_rand(t.c, 0.5, 2), t.h = t_rand(t.c, -1, 1);
    t.mean = t_alloc(t.r), t.rstd = t_alloc(t.r);
    const fw_kern *k = fw_kern_get();
    float *y = t_alloc(n), dx[33], dg[11] = {0}, dh[11] = {0};
    ln_y(t.x, y, &t);
    k->layer_norm_bwd(t.x, t.g, t.mean, t.rstd, t.dy, dx, false, dg, dh, t.r, t.c);
    slopes(ln_y, &t, t.x, n, dx), slopes(ln_y, &t, t.g, t.c, dg), slopes(ln_y, &t, t.h, t.c, dh);
    memset(dg, 0, sizeof dg);
    rms_y(t.x, y, &t);
    k->rms_norm_bwd(t.x, t.g, t.rstd, t.dy, dx, false, dg, t.r, t.c);
    slopes(rms_y, &t, t.x, n, dx), slopes(rms_y, &t, t.g, t.c, dg);
    soft_y(t.x, y, &t);
    k->softmax_bwd(y, t.dy, dx, false, t.r, t.c);
    slopes(soft_y, &t, t.x, n, dx);
    t_free(t.x, n), t_free(t.dy, n), t_free(t.g, t.c), t_free(t.h, t.c), t_free(t.mean, t.r), t_free(t.rstd, t.r),
        t_free(y, n);
}

FW_TEST_MAIN(T(rows_agree_with_scalar), T(rope_agrees_with_scalar_and_turns_back), T(long_columns_sum_within_rounding),
             T(softmax_survives_huge_logits), T(embeddings_agree_and_name_the_bad_id), T(film_agrees_with_scalar),
             T(spatial_softmax_agrees_with_scalar), T(spatial_softmax_finds_the_bright_pixel),
             T(backward_is_the_slope_of_forward))
