/*
 * op_conv3x3.c - y = act(conv(x, w) + b) + residual, 3x3, stride 1, padding 1, NHWC, by Winograd's minimal filtering.
 * x [B,H,W,C], w [O,3,3,C], y [B,H,W,O]
 *
 * forward   blocks of tiles over the threads; each transforms its tiles, multiplies them by the transformed weights, one product a
 *           point, and transforms back. A table that has no tile (int8) multiplies directly, as op_conv.c.
 * backward  none: for inference
 *
 * The packed weight is one packed matrix [O,C] a point; it takes (m+2)^2 / 9 of the memory of the plain one.
 */
#include "tensor/op_int.h"

enum { X, W, B, RES };
enum { BLOCK_BYTES = 1 << 20 /* of a worker's tiles: the second cache */, LEAST = 28, MOST = 112 /* tiles a block */ };
enum { PANEL = 32 * 1024 /* values of the columns of weights that are transformed and packed at once */ };

static const fw_conv *dim_of(const fw_node *n) {
    return &n->u.conv.dim;
}

/* Large weights take the small tile: they are read from memory each time, and it has fewer points. 0: none fits. */
static int tile_of(const fw_kern *k, const fw_conv *d) {
    if (k->gemm_nr * d->c > PANEL) {
        return 0;
    }
    return k->wino_tile == 4 && d->c * d->o > 256 * 256 ? 2 : k->wino_tile;
}

static int64_t n_tile(const fw_node *n, int m) {
    const fw_conv *d = dim_of(n);
    return n->u.conv.batch * ((d->oh + m - 1) / m) * ((d->ow + m - 1) / m);
}

static int64_t points(int m) {
    return (m + 2) * (m + 2);
}

/* Tiles a block, in whole rows of the matrix kernels' tiles. */
static int64_t block_of(const fw_node *n, int m) {
    const fw_conv *d = dim_of(n);
    const int64_t fit = BLOCK_BYTES / (points(m) * (d->c + d->o) * (int64_t)sizeof(float)), all = n_tile(n, m);
    const int64_t want = fit < LEAST ? LEAST : fit > MOST ? MOST : fit / 14 * 14;
    return want < all ? want : all;
}

static size_t tiles_bytes(const fw_node *n, int m, int64_t channels) {
    return fw_up64((size_t)(points(m) * block_of(n, m) * channels) * sizeof(float));
}

static fw_epi epi_of(const fw_step *s) {
    return (fw_epi){
        .bias = s->x[B], .residual = s->x[RES], .ld_residual = dim_of(s->node)->o, .act = s->node->u.conv.act};
}

static void tile_block(const fw_step *s, const void *arg, fw_part part) {
    const fw_conv *d = arg;
    const int m = tile_of(s->kern, d);
    const int64_t n = part.i1 - part.i0;
    const size_t pack = fw_up64(s->kern->gemm_pack_bytes(d->o, d->c));
    float *in = part.scratch, *out = (float *)((char *)in + tiles_bytes(s->node, m, d->c));
    void *rest = (char *)out + tiles_bytes(s->node, m, d->o);
    const fw_epi epi = epi_of(s);
    s->kern->wino_in(d, m, s->x[X], part.i0, part.i1, in);
    for (int64_t f = 0; f < points(m); f++) {
        const fw_gemm g = {.m = n,
                           .n = d->o,
                           .k = d->c,
                           .a = in + f * n * d->c,
                           .lda = d->c,
                           .b = (const char *)s->pack[0] + (size_t)f * pack,
                           .c = out + f * n * d->o,
                           .ldc = d->o};
        s->kern->gemm_f32(&g, rest);
    }
    s->kern->wino_out(d, m, out, part.i0, part.i1, &epi, s->y);
}

static void row_block(const fw_step *s, const void *arg, fw_part part) {
    const fw_epi epi = epi_of(s);
    s->kern->conv_fwd(arg, s->x[X], s->pack[0], s->y, &epi, part.i0, part.i1, part.scratch);
}

static fw_status conv3x3_forward(const fw_step *s, fw_err *err) {
    const fw_conv *d = dim_of(s->node);
    const int m = tile_of(s->kern, d);
    (void)err;
    if (m == 0) {
        const int64_t rows = s->node->u.conv.batch * d->oh * d->ow, b = (rows + 15) / 16;
        fw_split(s, d, rows, b < 64 ? 64 : (b + 7) / 8 * 8, row_block);
    } else {
        fw_split(s, d, n_tile(s->node, m), block_of(s->node, m), tile_block);
    }
    return FW_OK;
}

static fw_scratch conv3x3_scratch(const fw_graph *g, const fw_node *n, const fw_kern *k, unsigned want, bool backward) {
    const fw_conv *d = dim_of(n);
    const int m = tile_of(k, d);
    (void)g;
    (void)want;
    (void)backward;
    if (m == 0) {
        return (fw_scratch){.per_worker = k->conv_scratch(d)};
    }
    return (fw_scratch){.per_worker = tiles_bytes(n, m, d->c) + tiles_bytes(n, m, d->o) +
                                      k->gemm_scratch(block_of(n, m), d->c, false)};
}

static size_t conv3x3_pack_bytes(const fw_graph *g, const fw_node *n, const fw_kern *k, int which) {
    const fw_conv *d = dim_of(n);
    const int m = tile_of(k, d);
    (void)g;
    (void)which; /* there is no backward */
    return m == 0 ? k->gemm_pack_bytes(d->o, 9 * d->c) : (size_t)points(m) * fw_up64(k->gemm_pack_bytes(d->o, d->c));
}

/* Panels [i0,i1) of every point's matrix. */
static void pack_block(const fw_step *s, const void *arg, fw_part part) {
    const fw_conv *d = arg;
    const fw_kern *k = s->kern;
    const int m = tile_of(k, d);
    const size_t each = fw_up64(k->gemm_pack_bytes(d->o, d->c));
    const float *w = s->g->val[s->node->in[W]].param->data;
    float panel[PANEL], *u = panel;
    for (int64_t o0 = part.i0 * k->gemm_nr; o0 < part.i1 * k->gemm_nr && o0 < d->o; o0 += k->gemm_nr) {
        const int64_t o1 = o0 + k->gemm_nr < d->o ? o0 + k->gemm_nr : d->o;
        for (int64_t f = 0; f < points(m); f++) {
            k->wino_weight(d, m, f, w, o0, o1, u);
            k->gemm_pack((char *)s->pack[0] + (size_t)f * each, u - o0 * d->c, d->c, FW_NK, d->o, d->c, o0, o1);
        }
    }
}

static void conv3x3_pack(const fw_step *s, int which) {
    const fw_conv *d = dim_of(s->node);
    (void)which; /* there is no backward */
    if (tile_of(s->kern, d) == 0) {
        const fw_parameter *w = s->g->val[s->node->in[W]].param;
        fw_gemm_pack_par(s, s->pack[0], w->data, 9 * d->c, FW_NK, d->o, 9 * d->c, w->smooth);
        return;
    }
    const int64_t panels = (d->o + s->kern->gemm_nr - 1) / s->kern->gemm_nr;
    fw_split(s, d, panels, 1, pack_block);
}

/* Those of the convolution, so that rates compare with it. */
static double conv3x3_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    const fw_conv *d = dim_of(n);
    (void)g;
    (void)want;
    return 2.0 * (double)(n->u.conv.batch * d->oh * d->ow) * (double)(d->o * 9 * d->c);
}

static const fw_op k_conv3x3 = {
    .name = "conv3x3",
    .forward = conv3x3_forward,
    .flops = conv3x3_flops,
    .scratch = conv3x3_scratch,
    .pack_bytes = conv3x3_pack_bytes,
    .pack = conv3x3_pack,
    .pack_in = W,
    .watch = fw_conv_watch,
};

fw_val fw_conv3x3(fw_graph *g, fw_val x, const char *w_name, const char *b_name, int64_t o, fw_act act,
                  fw_val residual) {
    static const int pad[4] = {1, 1, 1, 1};
    char a[64], b[64];
    fw_node n = {.op = &k_conv3x3, .n_in = 4};
    if (!fw_graph_takes(g, "conv3x3", x, FW_F32) ||
        (residual != FW_NONE && !fw_graph_takes(g, "conv3x3", residual, FW_F32)) ||
        !fw_conv_dim(g, "conv3x3", w_name, x, o, 3, 3, 1, pad, &n.u.conv.dim)) {
        return FW_NONE;
    }
    const fw_conv *d = dim_of(&n);
    n.u.conv.batch = fw_shape_of(g, x)->d[0];
    n.u.conv.act = act;
    const fw_shape y = FW_SHAPE_OF(n.u.conv.batch, d->oh, d->ow, o);
    if (residual != FW_NONE && !fw_shape_eq(fw_shape_of(g, residual), &y)) {
        return fw_graph_fail(g, FW_SHAPE, "conv3x3 '%s': residual is %s, the output %s", w_name,
                             fw_shape_str(fw_shape_of(g, residual), a, sizeof(a)), fw_shape_str(&y, b, sizeof(b)));
    }
    n.in[X] = x;
    n.in[W] = fw_param(g, w_name, FW_SHAPE_OF(o, 3, 3, d->c), fw_init_fan(9 * d->c));
    n.in[B] = b_name == NULL ? FW_NONE : fw_param(g, b_name, FW_SHAPE_OF(o), (fw_init){FW_INIT_ZERO, 0});
    n.in[RES] = residual;
    return g->err.code == FW_OK ? fw_graph_add(g, &n, y) : FW_NONE;
}
