/*
 * op_conv.c - y = act(conv(x, w) + b) + residual, NHWC.   x [B,H,W,C], w [O,kh,kw,C], y [B,H',W',O]
 *
 * forward   rows (output pixels) over the threads; the kernel turns a block of them into a matrix product
 * backward  dz = dy * act'(z);  dx: input pixels over the threads;  db = sum dz;  dw: a block of rows each,
 *           summed over the blocks in order
 */
#include <stdlib.h>

#include "tensor/op_int.h"

enum { X, W, B, RES };

static fw_conv dim_of(const fw_node *n) {
    return n->u.conv.dim;
}

static int64_t out_rows(const fw_node *n) {
    return n->u.conv.batch * n->u.conv.dim.oh * n->u.conv.dim.ow;
}

static bool act_from_y(const fw_node *n) {
    return (n->u.conv.act == FW_ACT_RELU || n->u.conv.act == FW_ACT_RELU6) && n->in[RES] == FW_NONE;
}

static bool has_dz(const fw_node *n, unsigned want) {
    return n->u.conv.act != FW_ACT_NONE && (want & (1u << X | 1u << W | 1u << B)) != 0;
}

/* Rows a block: enough of them to keep the matrix product efficient, about 16 blocks. */
static int64_t row_block(int64_t rows) {
    int64_t b = (rows + 15) / 16;
    return b < 64 ? 64 : (b + 7) / 8 * 8;
}

static void fwd_block(const fw_step *s, const void *arg, fw_part part) {
    const fw_conv *d = arg;
    const fw_epi epi = {.bias = s->x[B],
                        .residual = s->x[RES],
                        .ld_residual = d->o,
                        .pre = s->save,
                        .ld_pre = d->o,
                        .act = s->node->u.conv.act};
    s->kern->conv_fwd(d, s->x[X], s->pack[0], s->y, &epi, part.i0, part.i1, part.scratch);
}

static fw_status conv_forward(const fw_step *s, fw_err *err) {
    fw_conv d = dim_of(s->node);
    int64_t rows = out_rows(s->node);
    (void)err;
    fw_split(s, &d, rows, row_block(rows), fwd_block);
    return FW_OK;
}

typedef struct bwd {
    fw_conv d;
    const float *dz;
    int64_t rows;
} bwd;

static void dx_block(const fw_step *s, const void *arg, fw_part part) {
    const bwd *j = arg;
    s->kern->conv_bwd_data(&j->d, j->dz, s->pack[1], s->dx[X], s->add[X], part.i0, part.i1, part.scratch);
}

static void conv_backward(const fw_step *s) {
    bwd j = {dim_of(s->node), s->dy, out_rows(s->node)};
    const int64_t o = j.d.o, pixels = s->node->u.conv.batch * j.d.h * j.d.w;
    char *spare = s->scratch;
    if (has_dz(s->node, s->want)) {
        fw_act_bwd_par(s, s->node->u.conv.act, act_from_y(s->node) ? s->y : s->save, s->dy, s->scratch, false,
                       j.rows * o);
        j.dz = s->scratch;
        spare += fw_up64((size_t)(j.rows * o) * sizeof(float));
    }
    if (s->dx[X] != NULL) {
        fw_split(s, &j, pixels, row_block(pixels), dx_block);
    }
    if (s->dx[W] != NULL) {
        fw_weight_grad(s, &j.d, s->x[X], j.dz, j.rows, s->dx[W], s->add[W], spare);
    }
    if (s->dx[B] != NULL) {
        fw_colsum_par(s, j.dz, j.rows, o, s->dx[B], s->add[B]);
    }
    if (s->dx[RES] != NULL) {
        fw_copy_par(s, s->dy, s->dx[RES], s->add[RES], j.rows * o);
    }
}

static unsigned conv_needs(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)g;
    return (want & 1u << W ? 1u << X : 0u) | (has_dz(n, want) && act_from_y(n) ? FW_NEED_Y : 0u);
}

static size_t y_bytes(const fw_graph *g, const fw_node *n) {
    return (size_t)fw_shape_count(fw_shape_of(g, n->out)) * sizeof(float);
}

static size_t conv_save(const fw_graph *g, const fw_node *n, unsigned want) {
    return has_dz(n, want) && !act_from_y(n) ? y_bytes(g, n) : 0;
}

static fw_scratch conv_scratch(const fw_graph *g, const fw_node *n, const fw_kern *k, unsigned want, bool backward) {
    fw_conv d = dim_of(n);
    fw_scratch r = {.per_worker = k->conv_scratch(&d)};
    r.shared += backward && has_dz(n, want) ? fw_up64(y_bytes(g, n)) : 0;
    r.shared += backward && (want >> W & 1) ? fw_weight_grad_scratch(&d, out_rows(n)) : 0;
    return r;
}

static size_t conv_pack_bytes(const fw_graph *g, const fw_node *n, const fw_kern *k, int which) {
    fw_conv d = dim_of(n);
    (void)g;
    return which == 0 ? k->gemm_pack_bytes(d.o, d.kh * d.kw * d.c) : k->conv_pack_bwd_bytes(&d);
}

static void conv_pack(const fw_step *s, int which) {
    fw_conv d = dim_of(s->node);
    const fw_parameter *w = s->g->val[s->node->in[W]].param;
    if (which == 0) {
        fw_gemm_pack_par(s, s->pack[0], w->data, d.kh * d.kw * d.c, FW_NK, d.o, d.kh * d.kw * d.c, w->smooth);
    } else {
        s->kern->conv_pack_bwd(&d, s->pack[1], w->data);
    }
}

static double conv_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    fw_conv d = dim_of(n);
    int products = want == 0 ? 1 : (want >> X & 1) + (want >> W & 1);
    (void)g;
    return 2.0 * (double)products * (double)out_rows(n) * (double)(d.o * d.kh * d.kw * d.c);
}

void fw_conv_watch(const fw_step *s, const fw_watch *w) {
    const fw_conv d = dim_of(s->node);
    const int64_t taps = d.kh * d.kw, k = taps * d.c;
    float *window = malloc((size_t)k * sizeof(*window));
    for (int64_t r = 0; window != NULL && r < out_rows(s->node); r++) {
        const int64_t b = r / (d.oh * d.ow), i = r / d.ow % d.oh, j = r % d.ow;
        for (int64_t t = 0; t < taps; t++) {
            const int64_t ih = i * d.stride - d.pad_top + t / d.kw, iw = j * d.stride - d.pad_left + t % d.kw;
            const bool inside = ih >= 0 && ih < d.h && iw >= 0 && iw < d.w;
            const float *from = fw_x(s, X) + (inside ? ((b * d.h + ih) * d.w + iw) * d.c : 0);
            for (int64_t c = 0; c < d.c; c++) {
                window[t * d.c + c] = inside ? from[c] : 0.0f;
            }
        }
        w->see(w->ctx, s->g->val[s->node->in[W]].param, window, 1, k);
    }
    free(window);
}

static const fw_op k_conv = {
    .name = "conv2d",
    .diff = 1u << X | 1u << W | 1u << B | 1u << RES,
    .grad = {FW_GRAD_BOTH, FW_GRAD_BOTH, FW_GRAD_BOTH, FW_GRAD_BOTH},
    .forward = conv_forward,
    .backward = conv_backward,
    .needs = conv_needs,
    .flops = conv_flops,
    .save_bytes = conv_save,
    .scratch = conv_scratch,
    .pack_bytes = conv_pack_bytes,
    .pack = conv_pack,
    .pack_in = W,
    .pack_want = 1u << X,
    .watch = fw_conv_watch,
};

/* ---- depthwise: w [kh,kw,C]; rows are image rows; used as it is stored ---- */

static void dw_fwd_block(const fw_step *s, const void *arg, fw_part part) {
    const fw_conv *d = arg;
    const fw_epi epi = {.bias = s->x[B], .pre = s->save, .ld_pre = d->c, .act = s->node->u.conv.act};
    s->kern->dwconv_fwd(d, s->x[X], s->x[W], s->y, &epi, part.i0, part.i1);
}

static fw_status dwconv_forward(const fw_step *s, fw_err *err) {
    fw_conv d = dim_of(s->node);
    int64_t rows = s->node->u.conv.batch * d.oh;
    (void)err;
    fw_split(s, &d, rows, fw_block(rows, d.ow * d.c * d.kh * d.kw / 4), dw_fwd_block);
    return FW_OK;
}

static void dw_dx_block(const fw_step *s, const void *arg, fw_part part) {
    const bwd *j = arg;
    s->kern->dwconv_bwd_data(&j->d, j->dz, s->x[W], s->dx[X], s->add[X], part.i0, part.i1);
}

static void dw_dw_block(const fw_step *s, const void *arg, fw_part part) {
    const bwd *j = arg;
    s->kern->dwconv_bwd_weight(&j->d, s->x[X], j->dz, s->dx[W], part.i0, part.i1, 0, j->rows);
}

static void dwconv_backward(const fw_step *s) {
    bwd j = {dim_of(s->node), s->dy, s->node->u.conv.batch * dim_of(s->node).oh};
    const fw_conv *d = &j.d;
    const int64_t pixels = j.rows * d->ow, rows_x = s->node->u.conv.batch * d->h;
    if (has_dz(s->node, s->want)) {
        fw_act_bwd_par(s, s->node->u.conv.act, act_from_y(s->node) ? s->y : s->save, s->dy, s->scratch, false,
                       pixels * d->c);
        j.dz = s->scratch;
    }
    if (s->dx[X] != NULL) {
        fw_split(s, &j, rows_x, fw_block(rows_x, d->w * d->c * d->kh * d->kw / 4), dw_dx_block);
    }
    if (s->dx[W] != NULL) {
        fw_split(s, &j, d->c, d->c <= 32 ? d->c : ((d->c + 7) / 8 + 15) / 16 * 16, dw_dw_block);
    }
    if (s->dx[B] != NULL) {
        fw_colsum_par(s, j.dz, pixels, d->c, s->dx[B], s->add[B]);
    }
}

static unsigned dwconv_needs(const fw_graph *g, const fw_node *n, unsigned want) {
    return conv_needs(g, n, want) | (want & 1u << X ? 1u << W : 0u);
}

static fw_scratch dwconv_scratch(const fw_graph *g, const fw_node *n, const fw_kern *k, unsigned want, bool backward) {
    (void)k;
    return (fw_scratch){.shared = backward && has_dz(n, want) ? y_bytes(g, n) : 0};
}

static double dwconv_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    int products = want == 0 ? 1 : (want >> X & 1) + (want >> W & 1);
    return 2.0 * (double)products * (double)fw_shape_count(fw_shape_of(g, n->out)) * dim_of(n).kh * dim_of(n).kw;
}

static const fw_op k_dwconv = {
    .name = "dwconv2d",
    .diff = 1u << X | 1u << W | 1u << B,
    .grad = {FW_GRAD_BOTH, FW_GRAD_ADD, FW_GRAD_BOTH},
    .forward = dwconv_forward,
    .backward = dwconv_backward,
    .needs = dwconv_needs,
    .flops = dwconv_flops,
    .save_bytes = conv_save,
    .scratch = dwconv_scratch,
};

/* ---- building ---- */

bool fw_conv_dim(fw_graph *g, const char *op, const char *w_name, fw_val x, int64_t o, int kh, int kw, int stride,
                 const int pad[4], fw_conv *d) {
    char a[64];
    const fw_shape *s = fw_shape_of(g, x);
    if (s->n != 4 || o < 1 || kh < 1 || kw < 1 || stride < 1 || pad[0] < 0 || pad[1] < 0 || pad[2] < 0 || pad[3] < 0) {
        fw_graph_fail(g, FW_SHAPE, "%s '%s': x is %s, [B,H,W,C] wanted; %lld outputs, kernel %dx%d, stride %d", op,
                      w_name, fw_shape_str(s, a, sizeof(a)), (long long)o, kh, kw, stride);
        return false;
    }
    *d = (fw_conv){.h = s->d[1],
                   .w = s->d[2],
                   .c = s->d[3],
                   .o = o,
                   .kh = kh,
                   .kw = kw,
                   .stride = stride,
                   .pad_top = pad[0],
                   .pad_left = pad[1]};
    int64_t h = d->h + pad[0] + pad[2] - kh, w = d->w + pad[1] + pad[3] - kw;
    if (h < 0 || w < 0) {
        fw_graph_fail(g, FW_SHAPE, "%s '%s': kernel %dx%d does not fit into x %s with its padding", op, w_name, kh, kw,
                      fw_shape_str(s, a, sizeof(a)));
        return false;
    }
    d->oh = h / stride + 1;
    d->ow = w / stride + 1;
    return true;
}

fw_val fw_conv2d(fw_graph *g, fw_val x, const char *w_name, const char *b_name, int64_t o, int kh, int kw, int stride,
                 const int pad[4], fw_act act, fw_val residual) {
    char a[64], b[64];
    fw_node n = {.op = &k_conv, .n_in = 4};
    if (!fw_graph_takes(g, "conv2d", x, FW_F32) ||
        (residual != FW_NONE && !fw_graph_takes(g, "conv2d", residual, FW_F32)) ||
        !fw_conv_dim(g, "conv2d", w_name, x, o, kh, kw, stride, pad, &n.u.conv.dim)) {
        return FW_NONE;
    }
    const fw_conv *d = &n.u.conv.dim;
    n.u.conv.batch = fw_shape_of(g, x)->d[0];
    n.u.conv.act = act;
    fw_shape y = FW_SHAPE_OF(n.u.conv.batch, d->oh, d->ow, o);
    if (residual != FW_NONE && !fw_shape_eq(fw_shape_of(g, residual), &y)) {
        return fw_graph_fail(g, FW_SHAPE, "conv2d '%s': residual is %s, the output %s", w_name,
                             fw_shape_str(fw_shape_of(g, residual), a, sizeof(a)), fw_shape_str(&y, b, sizeof(b)));
    }
    n.in[X] = x;
    n.in[W] = fw_param(g, w_name, FW_SHAPE_OF(o, kh, kw, d->c), fw_init_fan(kh * kw * d->c));
    n.in[B] = b_name == NULL ? FW_NONE : fw_param(g, b_name, FW_SHAPE_OF(o), (fw_init){FW_INIT_ZERO, 0});
    n.in[RES] = residual;
    return g->err.code == FW_OK ? fw_graph_add(g, &n, y) : FW_NONE;
}

fw_val fw_dwconv2d(fw_graph *g, fw_val x, const char *w_name, const char *b_name, int kh, int kw, int stride,
                   const int pad[4], fw_act act) {
    fw_node n = {.op = &k_dwconv, .n_in = 4};
    if (!fw_graph_takes(g, "dwconv2d", x, FW_F32) ||
        !fw_conv_dim(g, "dwconv2d", w_name, x, fw_cols(fw_shape_of(g, x)), kh, kw, stride, pad, &n.u.conv.dim)) {
        return FW_NONE;
    }
    const fw_conv *d = &n.u.conv.dim;
    n.u.conv.batch = fw_shape_of(g, x)->d[0];
    n.u.conv.act = act;
    n.in[X] = x;
    n.in[W] = fw_param(g, w_name, FW_SHAPE_OF(kh, kw, d->c), fw_init_fan(kh * kw));
    n.in[B] = b_name == NULL ? FW_NONE : fw_param(g, b_name, FW_SHAPE_OF(d->c), (fw_init){FW_INIT_ZERO, 0});
    n.in[RES] = FW_NONE;
    return g->err.code == FW_OK ? fw_graph_add(g, &n, FW_SHAPE_OF(n.u.conv.batch, d->oh, d->ow, d->c)) : FW_NONE;
}
