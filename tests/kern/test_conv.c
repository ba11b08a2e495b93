/* convolutions of every table against the scalar one: kernels, strides, paddings that reach past both edges */
#include "kern_test.h"

typedef struct ccase {
    int64_t batch;
    fw_conv d;
} ccase;

static fw_conv shape(int64_t h, int64_t w, int64_t c, int64_t o, int kh, int kw, int stride, int top, int left,
                     int bottom, int right) {
    fw_conv d = {
        .h = h, .w = w, .c = c, .o = o, .kh = kh, .kw = kw, .stride = stride, .pad_top = top, .pad_left = left};
    d.oh = (h + top + bottom - kh) / stride + 1;
    d.ow = (w + left + right - kw) / stride + 1;
    return d;
}

static const fw_kern *g_all[8];
static int g_n;

static void fwd(const fw_kern *kt, const ccase *t, const float *x, const float *w, float *y, const fw_epi *e) {
    const fw_conv *d = &t->d;
    int64_t k = d->kh * d->kw * d->c, rows = t->batch * d->oh * d->ow;
    size_t pb = kt->gemm_pack_bytes(d->o, k), sb = kt->conv_scratch(d);
    void *p = t_scratch(pb), *s = t_scratch(sb);
    kt->gemm_pack(p, w, k, FW_NK, d->o, k, 0, d->o);
    kt->conv_fwd(d, x, p, y, e, 0, rows / 3, s); /* in two blocks */
    kt->conv_fwd(d, x, p, y, e, rows / 3, rows, s);
    t_scratch_free(p, pb), t_scratch_free(s, sb);
}

static void bwd(const fw_kern *kt, const ccase *t, const float *x, const float *w, const float *dy, float *dx,
                float *dw) {
    const fw_conv *d = &t->d;
    int64_t in = t->batch * d->h * d->w, out = t->batch * d->oh * d->ow;
    size_t pb = kt->conv_pack_bwd_bytes(d), sb = kt->conv_scratch(d);
    void *p = t_scratch(pb), *s = t_scratch(sb);
    kt->conv_pack_bwd(d, p, w);
    kt->conv_bwd_data(d, dy, p, dx, false, 0, in / 2, s);
    kt->conv_bwd_data(d, dy, p, dx, true, in / 2, in, s);
    kt->conv_bwd_weight(d, x, dy, dw, 0, d->o / 2, 0, out, s);
    kt->conv_bwd_weight(d, x, dy, dw, d->o / 2, d->o, 0, out / 2, s);
    kt->conv_bwd_weight(d, x, dy, dw, d->o / 2, d->o, out / 2, out, s);
    t_scratch_free(p, pb), t_scratch_free(s, sb);
}

static void compare_dense(const ccase *t, const fw_act act) {
    const fw_conv *d = &t->d;
    int64_t nx = t->batch * d->h * d->w * d->c, nw = d->o * d->kh * d->kw * d->c, ny = t->batch * d->oh * d->ow * d->o;
    float *x = t_rand(nx, -1, 1), *w = t_rand(nw, -1, 1), *b = t_rand(d->o, -1, 1), *y = t_rand(ny, -1, 1),
          *res = t_rand(ny, -1, 1);
    float *dx = t_rand(nx, -1, 1), *dw = t_rand(nw, -1, 1);
    fw_epi e = {.bias = b, .act = act, .residual = res, .ld_residual = d->o};
    float *wy = t_copy(y, ny), *wdx = t_copy(dx, nx), *wdw = t_copy(dw, nw);
    fwd(g_all[0], t, x, w, wy, &e);
    bwd(g_all[0], t, x, w, res, wdx, wdw);
    for (int i = 1; i < g_n; i++) {
        float *gy = t_copy(y, ny), *gdx = t_copy(dx, nx), *gdw = t_copy(dw, nw);
        fwd(g_all[i], t, x, w, gy, &e);
        bwd(g_all[i], t, x, w, res, gdx, gdw);
        CHECK_NEAR(gy, wy, (size_t)ny, 1e-4, 1e-5);
        CHECK_NEAR(gdx, wdx, (size_t)nx, 1e-4, 1e-5);
        CHECK_NEAR(gdw, wdw, (size_t)nw, 1e-4, 1e-5);
        t_free(gy, ny), t_free(gdx, nx), t_free(gdw, nw);
    }
    t_free(x, nx), t_free(w, nw), t_free(b, d->o), t_free(y, ny), t_free(res, ny), t_free(dx, nx), t_free(dw, nw);
    t_free(wy, ny), t_free(wdx, nx), t_free(wdw, nw);
}

static void dense_cases(void) {
    const ccase cases[] = {
        {2, shape(7, 9, 3, 5, 3, 3, 2, 0, 0, 1, 1)},    {1, shape(5, 4, 17, 33, 3, 3, 1, 1, 1, 1, 1)},
        {3, shape(4, 4, 20, 7, 1, 1, 1, 0, 0, 0, 0)},   {2, shape(5, 5, 8, 16, 1, 1, 2, 0, 0, 0, 0)},
        {1, shape(9, 11, 2, 40, 5, 3, 2, 2, 1, 2, 1)},  {1, shape(3, 3, 4, 4, 5, 5, 1, 2, 2, 2, 2)},
        {1, shape(16, 16, 3, 32, 8, 8, 8, 0, 0, 0, 0)}, {1, shape(20, 20, 3, 4, 3, 3, 3, 1, 0, 0, 1)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        compare_dense(&cases[i], i % 2 ? FW_ACT_RELU6 : FW_ACT_GELU);
    }
}

static void dense_convolutions_agree_with_scalar(void) {
    g_n = t_tables(g_all);
    dense_cases();
}

static void int8_convolutions_agree_with_their_specification(void) {
    g_n = t_tables_int8(g_all, false);
    dense_cases();
    g_n = t_tables_int8(g_all, true);
    dense_cases();
}

static void compare_depthwise(const ccase *t, const fw_epi *proto) {
    const fw_conv *d = &t->d;
    int64_t nx = t->batch * d->h * d->w * d->c, nw = d->kh * d->kw * d->c, ny = t->batch * d->oh * d->ow * d->c;
    float *x = t_rand(nx, -1, 1), *w = t_rand(nw, -1, 1), *b = t_rand(d->c, -1, 1), *y = t_rand(ny, -1, 1),
          *res = t_rand(ny, -1, 1);
    float *dx = t_rand(nx, -1, 1), *dw = t_rand(nw, -1, 1);
    float *ref[4] = {0};
    for (int i = 0; i < g_n; i++) {
        const fw_kern *k = g_all[i];
        float *gy = t_copy(y, ny), *gp = t_copy(y, ny), *gdx = t_copy(dx, nx), *gdw = t_copy(dw, nw);
        fw_epi e = *proto;
        e.bias = proto->act == FW_ACT_NONE ? NULL : b;
        e.pre = proto->ld_pre > 0 ? gp : NULL, e.ld_pre = d->c;
        e.residual = proto->ld_residual > 0 ? res : NULL, e.ld_residual = d->c;
        int64_t rows = t->batch * d->oh, in = t->batch * d->h;
        k->dwconv_fwd(d, x, w, gy, &e, 0, rows / 2);
        k->dwconv_fwd(d, x, w, gy, &e, rows / 2, rows);
        k->dwconv_bwd_data(d, res, w, gdx, false, 0, in / 2);
        k->dwconv_bwd_data(d, res, w, gdx, true, in / 2, in);
        k->dwconv_bwd_weight(d, x, res, gdw, 0, d->c / 2, 0, rows);
        k->dwconv_bwd_weight(d, x, res, gdw, d->c / 2, d->c, 0, rows);
        if (i == 0) {
            ref[0] = gy, ref[1] = gp, ref[2] = gdx, ref[3] = gdw;
            continue;
        }
        CHECK_NEAR(gy, ref[0], (size_t)ny, 2e-5, 1e-5);
        CHECK_NEAR(gp, ref[1], (size_t)ny, 2e-5, 1e-5);
        CHECK_NEAR(gdx, ref[2], (size_t)nx, 2e-5, 1e-5);
        CHECK_NEAR(gdw, ref[3], (size_t)nw, 2e-4, 1e-5);
        t_free(gy, ny), t_free(gp, ny), t_free(gdx, nx), t_free(gdw, nw);
    }
    t_free(ref[0], ny), t_free(ref[1], ny), t_free(ref[2], nx), t_free(ref[3], nw);
    t_free(x, nx), t_free(w, nw), t_free(b, d->c), t_free(y, ny), t_free(res, ny), t_free(dx, nx), t_free(dw, nw);
}

static void depthwise_convolutions_agree_with_scalar(void) {
    g_n = t_tables(g_all);
    const fw_epi protos[] = {{.act = FW_ACT_RELU6},
                             {.act = FW_ACT_NONE},
                             {.act = FW_ACT_RELU},
                             {.act = FW_ACT_SILU, .ld_pre = 1},
                             {.act = FW_ACT_RELU6, .ld_residual = 1, .accumulate = true}};
    for (int stride = 1; stride <= 2; stride++) {
        for (int k = 3; k <= 7; k += 2) {
            for (int64_t c = 1; c <= 49; c += 8) {
                for (int pad = 0; pad < 2; pad++) {
                    ccase t = {2, shape(8 + c % 3, 13 - c % 5, c, c, k, k, stride, pad * k / 2, pad * (k / 2), k / 2,
                                        pad * (k - 1) / 2)};
                    compare_depthwise(&t, &protos[(c + k + pad) % 5]);
                }
            }
        }
    }
}

/* A known answer that no table shares with another: ones over ones counts the live taps. */
static void ones_count_the_taps_inside_the_image(void) {
    g_n = t_tables(g_all);
    ccase t = {1, shape(4, 4, 1, 1, 3, 3, 1, 1, 1, 1, 1)};
    static const float want[16] = {4, 6, 6, 4, 6, 9, 9, 6, 6, 9, 9, 6, 4, 6, 6, 4};
    float x[16], w[9], y[16];
    for (int i = 0; i < 16; i++) {
        x[i] = 1.0f;
    }
    for (int i = 0; i < 9; i++) {
        w[i] = 1.0f;
    }
    fw_epi e = {0};
    for (int i = 0; i < g_n; i++) {
        fwd(g_all[i], &t, x, w, y, &e);
        CHECK_NEAR(y, want, 16, 0.0, 0.0);
        memset(y, 0, sizeof y);
        g_all[i]->dwconv_fwd(&t.d, x, w, y, &e, 0, 4);
        CHECK_NEAR(y, want, 16, 0.0, 0.0);
    }
}

/* Bit for bit, sources too: windows that reach past edges, equal values, NaN. */
static void max_pools_agree_with_scalar(void) {
    g_n = t_tables(g_all);
    for (int n = 0; n < 40; n++) {
        const int k = (int)t_int(1, 4), pad = (int)t_int(0, k - 1), c = (int)t_int(1, 40);
        const fw_conv d = shape(t_int(k, 9), t_int(k, 11), c, c, k, k, (int)t_int(1, 3), pad, pad / 2, pad, pad);
        const int64_t nx = 2 * d.h * d.w * c, rows = 2 * d.oh * d.ow, ny = rows * c;
        float *x = t_rand(nx, -2, 2), *want = t_rand(ny, -1, 1);
        int32_t *from = malloc((size_t)ny * sizeof *from), *got_from = malloc((size_t)ny * sizeof *from);
        CHECK(from != NULL && got_from != NULL);
        for (int64_t i = 0; i < nx; i++) {
            x[i] = n % 4 == 0 && t_int(0, 9) == 0 ? NAN : floorf(x[i]);
        }
        g_all[0]->max_pool_fwd(&d, x, want, from, 0, rows);
        for (int i = 1; i < g_n; i++) {
            float *y = t_rand(ny, -1, 1);
            g_all[i]->max_pool_fwd(&d, x, y, got_from, 0, rows / 3);
            g_all[i]->max_pool_fwd(&d, x, y, got_from, rows / 3, rows);
            CHECK_INT(memcmp(y, want, (size_t)ny * sizeof *y), 0);
            CHECK_INT(memcmp(got_from, from, (size_t)ny * sizeof *from), 0);
            g_all[i]->max_pool_fwd(&d, x, y, NULL, 0, rows);
            CHECK_INT(memcmp(y, want, (size_t)ny * sizeof *y), 0);
            t_free(y, ny);
        }
        t_free(x, nx), t_free(want, ny), free(from), free(got_from);
    }
}

FW_TEST_MAIN(T(dense_convolutions_agree_with_scalar), T(int8_convolutions_agree_with_their_specification),
             T(depthwise_convolutions_agree_with_scalar), T(ones_count_the_taps_inside_the_image),
             T(max_pools_agree_with_scalar))
