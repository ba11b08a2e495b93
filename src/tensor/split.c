/*
 * split.c - work of one step over the threads of the pool: blocks of a fixed size, matrix products in fixed tiles.
 *
 * Nothing here depends on the number of threads, so neither do results.
 */
#include "tensor/op_int.h"

typedef struct job {
    const fw_step *s;
    const void *arg;
    int64_t n, block;
    fw_split_fn *fn;
} job;

static void run_block(void *ctx, int i, int worker) {
    const job *j = ctx;
    fw_part part = {.i0 = i * j->block, .index = i, .scratch = NULL};
    if (j->s->worker != NULL) {
        part.scratch = j->s->worker + (size_t)worker * j->s->worker_stride;
    }
    part.i1 = part.i0 + j->block < j->n ? part.i0 + j->block : j->n;
    j->fn(j->s, j->arg, part);
}

void fw_split(const fw_step *s, const void *arg, int64_t n, int64_t block, fw_split_fn *fn) {
    job j = {s, arg, n, block, fn};
    int64_t n_block = (n + block - 1) / block;
    if (s->pool != NULL && n_block > 1) {
        fw_pool_run(s->pool, (int)n_block, run_block, &j);
        return;
    }
    for (int64_t i = 0; i < n_block; i++) {
        run_block(&j, (int)i, 0);
    }
}

int64_t fw_block(int64_t n, int64_t cost) {
    int64_t by_cost = 16384 / (cost > 0 ? cost : 1), by_count = (n + FW_MAX_BLOCK - 1) / FW_MAX_BLOCK;
    int64_t b = by_cost > by_count ? by_cost : by_count;
    return b > 0 ? b : 1;
}

/* ---- matrix products: tiles of mb rows by nb columns ---- */

typedef struct tiles {
    int64_t mb, nb, n_m, n_n;
} tiles;

static int64_t round_up(int64_t x, int64_t to) {
    return (x + to - 1) / to * to;
}

/* What is read, a value of k: columns of B pass by once for every PASS rows, rows of A once a block of columns. */
static int64_t traffic(const fw_kern *k, int64_t m, int64_t n, int64_t n_m, int64_t n_n) {
    enum { PASS = 336 };
    const int64_t passes = (m + PASS - 1) / PASS;
    return n * (passes > n_m ? passes : n_m) + k->gemm_a_cost * m * n_n;
}

/* Tiles for many threads where there is enough work, of at least 32 rows, cut where the least is read. */
static tiles tiles_of(const fw_kern *k, int64_t m, int64_t n, int64_t kk) {
    double mflop = 2e-6 * (double)m * (double)n * (double)kk;
    int64_t want = mflop < 0.5 ? 1 : mflop < 4 ? 4 : mflop < 256 ? 8 : 24, panels = (n + k->gemm_nr - 1) / k->gemm_nr;
    int64_t most = m / 32 < want ? m / 32 : want, n_m = 1, n_n = want < panels ? want : panels;
    for (int64_t i = 2; i <= most; i++) {
        int64_t j = (want + i - 1) / i;
        if (traffic(k, m, n, i, j) < traffic(k, m, n, n_m, n_n) || n_m * n_n < want) {
            n_m = i;
            n_n = j;
        }
    }
    tiles t = {.mb = round_up((m + n_m - 1) / n_m, n_m > 1 ? 8 : 1), .nb = round_up((n + n_n - 1) / n_n, k->gemm_nr)};
    t.n_m = (m + t.mb - 1) / t.mb;
    t.n_n = (n + t.nb - 1) / t.nb;
    return t;
}

typedef struct gemm_job {
    const fw_gemm *g;
    tiles t;
} gemm_job;

static void run_tile(const fw_step *s, const void *arg, fw_part part) {
    const gemm_job *j = arg;
    for (int64_t i = part.i0; i < part.i1; i++) {
        fw_gemm g = *j->g;
        int64_t r0 = i / j->t.n_n * j->t.mb, c0 = i % j->t.n_n * j->t.nb;
        g.m = g.m - r0 < j->t.mb ? g.m - r0 : j->t.mb;
        g.n0 = c0;
        g.n1 = c0 + j->t.nb < g.n ? c0 + j->t.nb : g.n;
        g.a += g.trans_a ? r0 : r0 * g.lda;
        g.c += r0 * g.ldc;
        g.epi.residual = g.epi.residual == NULL ? NULL : g.epi.residual + r0 * g.epi.ld_residual;
        g.epi.pre = g.epi.pre == NULL ? NULL : g.epi.pre + r0 * g.epi.ld_pre;
        s->kern->gemm_f32(&g, part.scratch);
    }
}

void fw_gemm_par(const fw_step *s, const fw_gemm *g) {
    gemm_job j = {g, tiles_of(s->kern, g->m, g->n, g->k)};
    fw_split(s, &j, j.t.n_m * j.t.n_n, 1, run_tile);
}

/* Rows of a reduction [r,c] are cut into at most FW_MAX_PART blocks; each sums into its own row of partial sums. */
int64_t fw_part_block(int64_t r, int64_t c) {
    int64_t b = fw_block(r, c), least = (r + FW_MAX_PART - 1) / FW_MAX_PART;
    return b > least ? b : least;
}

size_t fw_gemm_par_scratch(const fw_kern *k, int64_t m, int64_t n, int64_t kk, bool trans_a) {
    return k->gemm_scratch(tiles_of(k, m, n, kk).mb, kk, trans_a);
}

typedef struct pack_job {
    void *dst;
    const float *b;
    int64_t ldb, n, k;
    fw_layout layout;
    const float *smooth;
} pack_job;

static void pack_block(const fw_step *s, const void *arg, fw_part part) {
    const pack_job *j = arg;
    int64_t nr = s->kern->gemm_nr, n1 = part.i1 * nr < j->n ? part.i1 * nr : j->n;
    s->kern->gemm_pack_smooth(j->dst, j->b, j->ldb, j->layout, j->n, j->k, part.i0 * nr, n1, j->smooth);
}

void fw_gemm_pack_par(const fw_step *s, void *dst, const float *b, int64_t ldb, fw_layout layout, int64_t n, int64_t k,
                      const float *smooth) {
    pack_job j = {dst, b, ldb, n, k, layout, smooth};
    int64_t panels = (n + s->kern->gemm_nr - 1) / s->kern->gemm_nr;
    fw_split(s, &j, panels, fw_block(panels, 4 * k), pack_block);
}

typedef struct half_job {
    void *dst;
    const uint16_t *b;
    int64_t ldb, n, k;
    fw_layout layout;
    const float *smooth;
} half_job;

/* One panel at a time: its part of the weight as f32, then packed as if it were the whole. */
static void pack_half_block(const fw_step *s, const void *arg, fw_part part) {
    const half_job *j = arg;
    const int64_t nr = s->kern->gemm_nr;
    float *t = part.scratch;
    for (int64_t n0 = part.i0 * nr; n0 < j->n && n0 < part.i1 * nr; n0 += nr) {
        int64_t n1 = n0 + nr < j->n ? n0 + nr : j->n, wide = n1 - n0;
        if (j->layout == FW_NK) {
            s->kern->bf16_to_f32(j->b + n0 * j->ldb, t, wide * j->ldb);
            s->kern->gemm_pack_smooth(j->dst, t - n0 * j->ldb, j->ldb, FW_NK, j->n, j->k, n0, n1, j->smooth);
            continue;
        }
        for (int64_t r = 0; r < j->k; r++) {
            s->kern->bf16_to_f32(j->b + r * j->ldb + n0, t + r * nr, wide);
        }
        s->kern->gemm_pack(j->dst, t - n0, nr, FW_KN, j->n, j->k, n0, n1);
    }
}

void fw_gemm_pack_param(const fw_step *s, void *dst, const fw_parameter *w, fw_layout layout, int64_t n, int64_t k) {
    const int64_t ldb = w->shape.d[w->shape.n - 1];
    const float *smooth = layout == FW_NK ? w->smooth : NULL;
    if (w->half == NULL) {
        fw_gemm_pack_par(s, dst, w->data, ldb, layout, n, k, smooth);
        return;
    }
    half_job j = {dst, w->half, ldb, n, k, layout, smooth};
    int64_t panels = (n + s->kern->gemm_nr - 1) / s->kern->gemm_nr;
    fw_split(s, &j, panels, fw_block(panels, 4 * k), pack_half_block);
}

size_t fw_gemm_pack_half_scratch(const fw_kern *kern, const fw_parameter *w) {
    int64_t a = w->shape.d[0], b = fw_cols(&w->shape);
    return w->half == NULL ? 0 : fw_up64((size_t)(kern->gemm_nr * (a > b ? a : b)) * sizeof(float));
}

typedef struct flat_job {
    const float *x, *dy;
    float *y;
    int64_t r, c;
    fw_act act;
    bool add;
} flat_job;

/* ---- the gradient of a convolution's (or, as one of 1x1, a linear layer's) weight ---- */

static fw_shape weight_dims(const fw_conv *d) { /* [o, taps * c] */
    return FW_SHAPE_OF(d->o, d->kh * d->kw * d->c);
}

/* Every block of rows unrolls x once for all output channels and sums into its own dw. */
static int64_t weight_grad_block(const fw_conv *d, int64_t rows) {
    return fw_part_block(rows, d->kh * d->kw * d->c + d->o);
}

size_t fw_weight_grad_scratch(const fw_conv *d, int64_t rows) {
    const fw_shape w = weight_dims(d);
    int64_t block = weight_grad_block(d, rows);
    return (size_t)((rows + block - 1) / block * fw_shape_count(&w)) * sizeof(float);
}

typedef struct weight_job {
    const fw_conv *d;
    const float *x, *dz;
    float *part;
    int64_t n_w;
} weight_job;

static void weight_block(const fw_step *s, const void *arg, fw_part part) {
    const weight_job *j = arg;
    float *dw = j->part + part.index * j->n_w;
    memset(dw, 0, (size_t)j->n_w * sizeof(float));
    s->kern->conv_bwd_weight(j->d, j->x, j->dz, dw, 0, j->d->o, part.i0, part.i1, part.scratch);
}

void fw_weight_grad(const fw_step *s, const fw_conv *d, const float *x, const float *dz, int64_t rows, float *dw,
                    bool add, void *scratch) {
    const fw_shape w = weight_dims(d);
    const weight_job j = {d, x, dz, scratch, fw_shape_count(&w)};
    int64_t block = weight_grad_block(d, rows), n_part = (rows + block - 1) / block;
    fw_split(s, &j, rows, block, weight_block);
    fw_colsum_par(s, scratch, n_part, j.n_w, dw, add);
}

/* ---- elements ---- */

static void colsum_block(const fw_step *s, const void *arg, fw_part part) {
    const flat_job *j = arg;
    s->kern->colsum(j->x + part.i0, j->c, j->y + part.i0, j->add, j->r, part.i1 - part.i0);
}

void fw_colsum_par(const fw_step *s, const float *x, int64_t r, int64_t c, float *y, bool add) {
    flat_job j = {.x = x, .y = y, .r = r, .c = c, .add = add};
    int64_t b = (fw_block(c, r) + 15) / 16 * 16;
    fw_split(s, &j, c, b, colsum_block);
}

static void copy_block(const fw_step *s, const void *arg, fw_part part) {
    const flat_job *j = arg;
    if (j->add) {
        s->kern->axpy(1.0f, j->x + part.i0, j->y + part.i0, part.i1 - part.i0);
    } else {
        memcpy(j->y + part.i0, j->x + part.i0, (size_t)(part.i1 - part.i0) * sizeof(float));
    }
}

void fw_copy_par(const fw_step *s, const float *x, float *y, bool add, int64_t n) {
    flat_job j = {.x = x, .y = y, .add = add};
    fw_split(s, &j, n, fw_block(n, 1), copy_block);
}

static void act_bwd_block(const fw_step *s, const void *arg, fw_part part) {
    const flat_job *j = arg;
    s->kern->act_bwd(j->act, j->x + part.i0, j->dy + part.i0, j->y + part.i0, j->add, part.i1 - part.i0);
}

void fw_act_bwd_par(const fw_step *s, fw_act act, const float *x, const float *dy, float *dx, bool add, int64_t n) {
    flat_job j = {.x = x, .dy = dy, .y = dx, .act = act, .add = add};
    fw_split(s, &j, n, fw_block(n, 1), act_bwd_block);
}
