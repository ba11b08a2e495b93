/* element kernels of every table against the scalar one; the errors that vec_int.h states; formats bit by bit */
#include "kern_test.h"

static const fw_kern *g_all[8];
static int g_n;

static const char *const act_names[] = {"none", "relu", "relu6", "gelu", "gelu_tanh", "silu", "tanh", "sigmoid"};

/* Worst error, relative to max(|y|, 1). */
static double worst(const float *got, const float *want, int64_t n) {
    double w = 0.0;
    for (int64_t i = 0; i < n; i++) {
        double scale = fabs((double)want[i]) > 1.0 ? fabs((double)want[i]) : 1.0;
        double e = fabs((double)got[i] - (double)want[i]) / scale;
        CHECK(!isnan(e));
        w = e > w ? e : w;
    }
    return w;
}

static void activations_are_within_their_stated_error(void) {
    enum { N = 20011 };
    g_n = t_tables(g_all);
    float *x = t_alloc(N), *dy = t_alloc(N), *y = t_alloc(N), *want = t_alloc(N), *dx = t_alloc(N), *dwant = t_alloc(N);
    for (int i = 0; i < N; i++) {
        x[i] = (float)(-12.0 + 24.0 * i / (N - 1));
        dy[i] = 1.0f;
    }
    const float edges[] = {0.0f, -0.0f, 6.0f, 1e-30f, -1e-30f, 1e-40f, 88.0f, -88.0f, 104.0f, -104.0f, 1e18f, -1e18f};
    memcpy(x, edges, sizeof edges);
    for (int act = FW_ACT_NONE; act <= FW_ACT_SIGMOID; act++) {
        g_all[0]->act_fwd((fw_act)act, x, want, N);
        g_all[0]->act_bwd((fw_act)act, x, dy, dwant, false, N);
        for (int i = 1; i < g_n; i++) {
            g_all[i]->act_fwd((fw_act)act, x, y, N);
            g_all[i]->act_bwd((fw_act)act, x, dy, dx, false, N);
            double e = worst(y, want, N), d = worst(dx, dwant, N);
            printf("# %-7s %-9s forward %.1e backward %.1e\n", g_all[i]->isa, act_names[act], e, d);
            CHECK(e <= 4e-7);
            CHECK(d <= 6e-7);
        }
    }
    t_free(x, N), t_free(dy, N), t_free(y, N), t_free(want, N), t_free(dx, N), t_free(dwant, N);
}

static void exp_is_within_its_stated_error(void) {
    enum { N = 7001 };
    g_n = t_tables(g_all);
    float *x = t_alloc(N), *dy = t_alloc(N), *y = t_alloc(N), *want = t_alloc(N), *dx = t_alloc(N);
    for (int i = 0; i < N; i++) {
        x[i] = (float)(-87.0 + 175.0 * i / (N - 1));
        dy[i] = 1.0f;
    }
    g_all[0]->act_fwd(FW_ACT_EXP, x, want, N);
    for (int i = 1; i < g_n; i++) {
        g_all[i]->act_fwd(FW_ACT_EXP, x, y, N);
        g_all[i]->act_bwd(FW_ACT_EXP, x, dy, dx, false, N);
        CHECK(worst(y, want, N) <= 4e-7);
        CHECK(worst(dx, want, N) <= 4e-7);
    }
    t_free(x, N), t_free(dy, N), t_free(y, N), t_free(want, N), t_free(dx, N);
}

static void infinite_inputs_saturate_and_nan_stays(void) {
    g_n = t_tables(g_all);
    for (int i = 0; i < g_n; i++) {
        float x[3] = {INFINITY, -INFINITY, NAN}, y[3];
        g_all[i]->act_fwd(FW_ACT_TANH, x, y, 3);
        CHECK(y[0] == 1.0f && y[1] == -1.0f && isnan(y[2]));
        g_all[i]->act_fwd(FW_ACT_SIGMOID, x, y, 3);
        CHECK(y[0] == 1.0f && y[1] == 0.0f && isnan(y[2]));
        g_all[i]->act_fwd(FW_ACT_RELU, x, y, 2);
        CHECK(y[0] == INFINITY && y[1] == 0.0f);
    }
}

static void arithmetic_agrees_with_scalar(void) {
    g_n = t_tables(g_all);
    for (int64_t n = 0; n <= 70; n++) {
        float *x = t_rand(n, -1, 1), *b = t_rand(n, -1, 1), *y0 = t_rand(n, -1, 1);
        for (int i = 1; i < g_n; i++) {
            const fw_kern *s = g_all[0], *k = g_all[i];
            float *w = t_copy(y0, n), *g = t_copy(y0, n);
            s->add(x, b, w, n), k->add(x, b, g, n);
            CHECK_NEAR(g, w, (size_t)n, 0, 0);
            s->mul(x, b, w, n), k->mul(x, b, g, n);
            CHECK_NEAR(g, w, (size_t)n, 0, 0);
            s->scale(0.3f, w, w, n), k->scale(0.3f, g, g, n); /* in place */
            CHECK_NEAR(g, w, (size_t)n, 0, 0);
            s->axpy(-0.7f, x, w, n), k->axpy(-0.7f, x, g, n);
            CHECK_NEAR(g, w, (size_t)n, 1e-7, 1e-6);
            s->act_bwd(FW_ACT_SILU, x, b, w, true, n), k->act_bwd(FW_ACT_SILU, x, b, g, true, n);
            CHECK_NEAR(g, w, (size_t)n, 1e-6, 1e-6);
            CHECK(fabs(k->dot(x, b, n) - s->dot(x, b, n)) < 1e-5);
            CHECK(fabs(k->sumsq(x, n) - s->sumsq(x, n)) < 1e-5);
            t_free(w, n), t_free(g, n);
        }
        t_free(x, n), t_free(b, n), t_free(y0, n);
    }
}

static void long_dot_products_keep_their_digits(void) {
    enum { N = 1000003 };
    g_n = t_tables(g_all);
    float *x = t_rand(N, 0, 1), *y = t_rand(N, 0, 1);
    double want = g_all[0]->dot(x, y, N);
    for (int i = 1; i < g_n; i++) {
        CHECK(fabs(g_all[i]->dot(x, y, N) - want) < 1e-7 * want);
    }
    t_free(x, N), t_free(y, N);
}

static void broadcasts_agree_with_scalar(void) {
    g_n = t_tables(g_all);
    const fw_bcast cases[] = {
        {3, {2, 3, 21}, {0, 0, 1}},
        {3, {2, 3, 21}, {3, 1, 0}},
        {3, {4, 3, 37}, {37, 0, 1}},
        {5, {2, 3, 2, 2, 9}, {18, 0, 9, 0, 1}},
        {1, {40}, {0}},
        {2, {5, 17}, {0, 0}},
        {0, {0}, {0}},
    };
    for (size_t t = 0; t < sizeof cases / sizeof *cases; t++) {
        const fw_bcast *s = &cases[t];
        int64_t n = 1, outer, nb = 1;
        for (int d = 0; d < s->n; d++) {
            n *= s->d[d];
            nb += (s->d[d] - 1) * s->b_stride[d];
        }
        outer = s->n > 0 ? n / s->d[s->n - 1] : 1;
        float *x = t_rand(n, -1, 1), *b = t_rand(nb, -1, 1), *dy = t_rand(n, -1, 1);
        for (int i = 1; i < g_n; i++) {
            for (int op = 0; op < 2; op++) {
                float *w = t_alloc(n), *g = t_alloc(n), *wb = t_copy(b, nb), *gb = t_copy(b, nb);
                g_all[0]->bcast((fw_bop)op, s, x, b, w, 0, outer);
                g_all[i]->bcast((fw_bop)op, s, x, b, g, 0, outer / 2);
                g_all[i]->bcast((fw_bop)op, s, x, b, g, outer / 2, outer);
                CHECK_NEAR(g, w, (size_t)n, 0, 0);
                g_all[0]->bcast_reduce(s, dy, op == FW_MUL ? x : NULL, wb, 0, outer);
                g_all[i]->bcast_reduce(s, dy, op == FW_MUL ? x : NULL, gb, 0, outer);
                CHECK_NEAR(gb, wb, (size_t)nb, 1e-5, 1e-5);
                t_free(w, n), t_free(g, n), t_free(wb, nb), t_free(gb, nb);
            }
        }
        t_free(x, n), t_free(b, nb), t_free(dy, n);
    }
}

/* The same mask in every table, in any split, across the carry into the high half of the counter; and the right share. */
static void dropout_is_a_function_of_seed_and_index(void) {
    enum { N = 5000 };
    g_n = t_tables(g_all);
    float *x = t_rand(N, 1, 2), *w = t_alloc(N), *g = t_alloc(N);
    const uint64_t firsts[] = {0, 7, 0xFFFFFF00ull, 0xFFFFFFFFull, 0x123456789ABull};
    for (size_t f = 0; f < sizeof firsts / sizeof *firsts; f++) {
        g_all[0]->dropout(x, w, N, 0.3f, 99, firsts[f]);
        for (int i = 0; i < g_n; i++) {
            g_all[i]->dropout(x, g, 1001, 0.3f, 99, firsts[f]);
            g_all[i]->dropout(x + 1001, g + 1001, N - 1001, 0.3f, 99, firsts[f] + 1001);
            CHECK_NEAR(g, w, N, 0, 1e-6);
        }
    }
    int kept = 0;
    for (int i = 0; i < N; i++) {
        kept += w[i] != 0.0f;
    }
    CHECK(kept > 3400 && kept < 3600); /* 3500 +- 3 sigma */
    g_all[0]->dropout(x, w, N, 0.0f, 99, 0);
    CHECK_NEAR(w, x, N, 0, 0);
    t_free(x, N), t_free(w, N), t_free(g, N);
}

static void losses_agree_with_scalar(void) {
    g_n = t_tables(g_all);
    for (int64_t per = 1; per <= 40; per += 13) {
        int64_t n = 23, all = n * per;
        float *p = t_rand(all, -1, 1), *t = t_rand(all, -1, 1), *weight = t_rand(n, 0, 1);
        for (int i = 1; i < g_n; i++) {
            for (int weighted = 0; weighted < 2; weighted++) {
                double w[4] = {0}, g[4] = {0};
                const float *wt = weighted ? weight : NULL;
                g_all[0]->l1_loss(p, t, wt, n, per, &w[0], &w[1]), g_all[i]->l1_loss(p, t, wt, n, per, &g[0], &g[1]);
                g_all[0]->mse_loss(p, t, wt, n, per, &w[2], &w[3]), g_all[i]->mse_loss(p, t, wt, n, per, &g[2], &g[3]);
                for (int j = 0; j < 4; j++) {
                    CHECK(fabs(g[j] - w[j]) <= 1e-6 * w[j]);
                }
                float *gw = t_alloc(all), *gg = t_alloc(all);
                g_all[0]->l1_grad(p, t, wt, n, per, 0.5f, gw), g_all[i]->l1_grad(p, t, wt, n, per, 0.5f, gg);
                CHECK_NEAR(gg, gw, (size_t)all, 1e-7, 1e-6);
                g_all[0]->mse_grad(p, t, wt, n, per, 0.5f, gw), g_all[i]->mse_grad(p, t, wt, n, per, 0.5f, gg);
                CHECK_NEAR(gg, gw, (size_t)all, 1e-7, 1e-6);
                t_free(gw, all), t_free(gg, all);
            }
        }
        t_free(p, all), t_free(t, all), t_free(weight, n);
    }
}

static void cross_entropy_skips_ignored_rows_and_names_bad_labels(void) {
    g_n = t_tables(g_all);
    const int32_t labels[4] = {2, -1, 0, 18}, bad[2] = {0, 19}, worse[1] = {-2};
    float *x = t_rand(4 * 19, -5, 5);
    for (int i = 0; i < g_n; i++) {
        double s = 0.0, slope_sum = 0.0;
        int64_t count = 0;
        float dx[4 * 19];
        CHECK_INT(g_all[i]->xent_loss(x, labels, 4, 19, &s, &count), -1);
        CHECK_INT(count, 3);
        CHECK_INT(g_all[i]->xent_loss(x, bad, 2, 19, &s, &count), 1);
        CHECK_INT(g_all[i]->xent_loss(x, worse, 1, 19, &s, &count), 0);
        g_all[i]->xent_grad(x, labels, 4, 19, 1.0f, dx);
        for (int j = 0; j < 19; j++) {
            CHECK(dx[19 + j] == 0.0f);
            slope_sum += (double)dx[j];
            float keep = x[j];
            double up = 0.0, down = 0.0;
            x[j] = keep + 1e-2f;
            (void)g_all[i]->xent_loss(x, labels, 1, 19, &up, &count);
            x[j] = keep - 1e-2f;
            (void)g_all[i]->xent_loss(x, labels, 1, 19, &down, &count);
            x[j] = keep;
            CHECK(fabs((up - down) / 2e-2 - (double)dx[j]) < 1e-4);
        }
        CHECK(fabs(slope_sum) < 1e-6);
    }
    t_free(x, 4 * 19);
}

static void adamw_agrees_with_scalar(void) {
    g_n = t_tables(g_all);
    for (int64_t n = 1; n <= 67; n += 11) {
        float *p = t_rand(n, -1, 1), *g = t_rand(n, -3, 3), *m = t_rand(n, -1, 1), *v = t_rand(n, 0, 1);
        fw_adamw s = {.lr = 1e-2f,
                      .beta1 = 0.9f,
                      .beta2 = 0.95f,
                      .eps = 1e-8f,
                      .weight_decay = 0.1f,
                      .grad_scale = 0.5f,
                      .bias1 = 0.3f,
                      .bias2 = 0.2f};
        float *w[3] = {t_copy(p, n), t_copy(m, n), t_copy(v, n)};
        g_all[0]->adamw(w[0], g, w[1], w[2], n, &s);
        for (int i = 1; i < g_n; i++) {
            float *a[3] = {t_copy(p, n), t_copy(m, n), t_copy(v, n)};
            g_all[i]->adamw(a[0], g, a[1], a[2], n, &s);
            for (int j = 0; j < 3; j++) {
                CHECK_NEAR(a[j], w[j], (size_t)n, 2e-7, 1e-6);
                t_free(a[j], n);
            }
        }
        t_free(w[0], n), t_free(w[1], n), t_free(w[2], n);
        t_free(p, n), t_free(g, n), t_free(m, n), t_free(v, n);
    }
}

FW_TEST_MAIN(T(activations_are_within_their_stated_error), T(exp_is_within_its_stated_error),
             T(infinite_inputs_saturate_and_nan_stays), T(arithmetic_agrees_with_scalar),
             T(long_dot_products_keep_their_digits), T(broadcasts_agree_with_scalar),
             T(dropout_is_a_function_of_seed_and_index), T(losses_agree_with_scalar),
             T(cross_entropy_skips_ignored_rows_and_names_bad_labels), T(adamw_agrees_with_scalar))
