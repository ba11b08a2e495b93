/* 3x3 convolutions by Winograd's transforms: every table against the scalar one, and that one against the convolution itself */
#include "kern_test.h"

typedef struct wcase {
    int64_t batch, h, w, c, o;
    int m, top, left;
} wcase;

static const wcase cases[] = {
    {1, 7, 9, 3, 5, 2, 1, 1},   {2, 8, 8, 17, 33, 4, 1, 1}, {1, 5, 6, 64, 16, 4, 1, 1}, {3, 3, 3, 16, 20, 4, 1, 1},
    {1, 9, 11, 5, 40, 4, 0, 0}, {2, 1, 1, 8, 8, 2, 1, 1},   {1, 6, 13, 2, 1, 2, 0, 1},
};

static fw_conv conv_of(const wcase *t) {
    fw_conv d = {.h = t->h,
                 .w = t->w,
                 .c = t->c,
                 .o = t->o,
                 .kh = 3,
                 .kw = 3,
                 .stride = 1,
                 .pad_top = t->top,
                 .pad_left = t->left};
    d.oh = t->h + 2 * t->top - 2;
    d.ow = t->w + 2 * t->left - 2;
    return d;
}

static int64_t tiles(const wcase *t, const fw_conv *d) {
    return t->batch * ((d->oh + t->m - 1) / t->m) * ((d->ow + t->m - 1) / t->m);
}

/* The whole of it: y, in two blocks of tiles. */
static void by_wino(const fw_kern *k, const wcase *t, const float *x, const float *w, const fw_epi *e, float *y) {
    const fw_conv d = conv_of(t);
    const int64_t all = tiles(t, &d), half = all / 2, points = (t->m + 2) * (t->m + 2);
    const size_t pb = k->gemm_pack_bytes(d.o, d.c), sb = k->gemm_scratch(all, d.c, false);
    float *in = t_alloc(points * all * d.c), *p = t_alloc(points * all * d.o), *u = t_alloc(d.o * d.c);
    void *pack = t_scratch(pb), *scratch = t_scratch(sb);
    for (int part = 0; part < 2; part++) {
        const int64_t t0 = part == 0 ? 0 : half, t1 = part == 0 ? half : all, n = t1 - t0;
        k->wino_in(&d, t->m, x, t0, t1, in);
        for (int f = 0; f < points; f++) {
            k->wino_weight(&d, t->m, f, w, 0, d.o / 2, u);
            k->wino_weight(&d, t->m, f, w, d.o / 2, d.o, u + d.o / 2 * d.c);
            k->gemm_pack(pack, u, d.c, FW_NK, d.o, d.c, 0, d.o);
            const fw_gemm g = {.m = n,
                               .n = d.o,
                               .k = d.c,
                               .a = in + f * n * d.c,
                               .lda = d.c,
                               .b = pack,
                               .c = p + f * n * d.o,
                               .ldc = d.o};
            k->gemm_f32(&g, scratch);
        }
        k->wino_out(&d, t->m, p, t0, t1, e, y);
    }
    t_free(in, points * all * d.c), t_free(p, points * all * d.o), t_free(u, d.o * d.c);
    t_scratch_free(pack, pb), t_scratch_free(scratch, sb);
}

static void by_conv(const fw_kern *k, const wcase *t, const float *x, const float *w, const fw_epi *e, float *y) {
    const fw_conv d = conv_of(t);
    const size_t pb = k->gemm_pack_bytes(d.o, 9 * d.c), sb = k->conv_scratch(&d);
    void *pack = t_scratch(pb), *scratch = t_scratch(sb);
    k->gemm_pack(pack, w, 9 * d.c, FW_NK, d.o, 9 * d.c, 0, d.o);
    k->conv_fwd(&d, x, pack, y, e, 0, t->batch * d.oh * d.ow, scratch);
    t_scratch_free(pack, pb), t_scratch_free(scratch, sb);
}

static void it_is_the_convolution_in_every_table(void) {
    const fw_kern *all[8];
    const int n = t_tables(all);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const wcase *t = &cases[i];
        const fw_conv d = conv_of(t);
        const int64_t nx = t->batch * d.h * d.w * d.c, ny = t->batch * d.oh * d.ow * d.o, nw = 9 * d.o * d.c;
        float *x = t_rand(nx, -1, 1), *w = t_rand(nw, -1, 1), *b = t_rand(d.o, -1, 1), *res = t_rand(ny, -1, 1),
              *want = t_alloc(ny);
        const fw_epi e = {.bias = i % 3 == 0 ? NULL : b,
                          .residual = i % 2 == 0 ? NULL : res,
                          .ld_residual = d.o,
                          .act = i % 2 == 0 ? FW_ACT_RELU : FW_ACT_NONE};
        by_conv(all[0], t, x, w, &e, want);
        for (int k = 0; k < n; k++) {
            float *y = t_alloc(ny);
            CHECK_INT(all[k]->wino_tile, 4);
            by_wino(all[k], t, x, w, &e, y);
            CHECK_NEAR(y, want, (size_t)ny, 1e-5 * sqrt((double)(9 * d.c)), 0.0);
            t_free(y, ny);
        }
        t_free(x, nx), t_free(w, nw), t_free(b, d.o), t_free(res, ny), t_free(want, ny);
    }
}

static void rounded_operands_get_the_small_tile_or_none(void) {
    const fw_kern *bf16 = fw_kern_bf16(), *int8 = fw_kern_find("int8");
    CHECK(bf16 == NULL || bf16->wino_tile == 2);
    CHECK(int8 != NULL && int8->wino_tile == 0);
}

FW_TEST_MAIN(T(it_is_the_convolution_in_every_table), T(rounded_operands_get_the_small_tile_or_none))
