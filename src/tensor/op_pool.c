/*
 * op_pool.c - readouts of feature maps: means, maxima, and spatial softmax to keypoints.
 *
 * mean             everything -> a scalar.             backward: dx = dy / n
 * mean_pool        [B,T,C] or [B,H,W,C] -> [B,C].      backward: dx = dy / T
 * max_pool         [B,H,W,C] -> [B,H',W',C]. Saves where each maximum was; backward adds dy there
 * spatial_softmax  [B,H,W,K] -> [B,K,2]: softmax over the H*W pixels of each channel, then the expected (x, y), each in
 *                  [-1,1] from the first pixel to the last (arXiv 1504.00702). Saves maximum and sum of exponentials.
 * Images over the threads.
 */
#include "tensor/op_int.h"

typedef struct dims {
    int64_t b, h, w, c;
} dims;

static dims dims_of(const fw_graph *g, const fw_node *n) {
    const fw_shape *x = fw_shape_of(g, n->in[0]);
    return (dims){x->d[0], x->d[1], x->n == 4 ? x->d[2] : 1, fw_cols(x)};
}

static int64_t image_block(dims d) {
    return fw_block(d.b, d.h * d.w * d.c);
}

static double pool_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)want;
    return (double)fw_shape_count(fw_shape_of(g, n->in[0]));
}

/* ---- mean ---- */

static void mean_fwd_block(const fw_step *s, const void *arg, fw_part part) {
    const dims *d = arg;
    const int64_t t = d->h * d->w;
    s->kern->mean_pool_fwd(fw_x(s, 0) + part.i0 * t * d->c, (float *)s->y + part.i0 * d->c, part.i1 - part.i0, t, d->c);
}

static fw_status mean_pool_forward(const fw_step *s, fw_err *err) {
    const dims d = dims_of(s->g, s->node);
    (void)err;
    fw_split(s, &d, d.b, image_block(d), mean_fwd_block);
    return FW_OK;
}

static void mean_bwd_block(const fw_step *s, const void *arg, fw_part part) {
    const dims *d = arg;
    const int64_t t = d->h * d->w;
    s->kern->mean_pool_bwd(s->dy + part.i0 * d->c, s->dx[0] + part.i0 * t * d->c, s->add[0], part.i1 - part.i0, t,
                           d->c);
}

static void mean_pool_backward(const fw_step *s) {
    const dims d = dims_of(s->g, s->node);
    fw_split(s, &d, d.b, image_block(d), mean_bwd_block);
}

static const fw_op k_mean_pool = {
    .name = "mean_pool",
    .diff = 1,
    .grad = {FW_GRAD_BOTH},
    .forward = mean_pool_forward,
    .backward = mean_pool_backward,
    .flops = pool_flops,
};

fw_val fw_mean_pool(fw_graph *g, fw_val x) {
    char a[64];
    if (!fw_graph_takes(g, "mean_pool", x, FW_F32)) {
        return FW_NONE;
    }
    const fw_shape *s = fw_shape_of(g, x);
    if (s->n != 3 && s->n != 4) {
        return fw_graph_fail(g, FW_SHAPE, "mean_pool: x is %s, [B,T,C] or [B,H,W,C] wanted",
                             fw_shape_str(s, a, sizeof(a)));
    }
    return fw_graph_add(g, &(fw_node){.op = &k_mean_pool, .n_in = 1, .in = {x}}, FW_SHAPE_OF(s->d[0], fw_cols(s)));
}

/* ---- spatial softmax ---- */

static void spatial_fwd_block(const fw_step *s, const void *arg, fw_part part) {
    const dims *d = arg;
    float *stats = s->save != NULL ? s->save : s->scratch;
    s->kern->spatial_softmax_fwd(fw_x(s, 0) + part.i0 * d->h * d->w * d->c, (float *)s->y + part.i0 * d->c * 2,
                                 stats + part.i0 * 2 * d->c, part.i1 - part.i0, d->h, d->w, d->c);
}

static fw_status spatial_softmax_forward(const fw_step *s, fw_err *err) {
    const dims d = dims_of(s->g, s->node);
    (void)err;
    fw_split(s, &d, d.b, image_block(d), spatial_fwd_block);
    return FW_OK;
}

static void spatial_bwd_block(const fw_step *s, const void *arg, fw_part part) {
    const dims *d = arg;
    const int64_t at = part.i0 * d->h * d->w * d->c, at_y = part.i0 * d->c * 2;
    s->kern->spatial_softmax_bwd(fw_x(s, 0) + at, (const float *)s->y + at_y, (const float *)s->save + at_y,
                                 s->dy + at_y, s->dx[0] + at, s->add[0], part.i1 - part.i0, d->h, d->w, d->c);
}

static void spatial_softmax_backward(const fw_step *s) {
    const dims d = dims_of(s->g, s->node);
    fw_split(s, &d, d.b, image_block(d), spatial_bwd_block);
}

static unsigned spatial_softmax_needs(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)g;
    (void)n;
    (void)want;
    return 1u | FW_NEED_Y;
}

static size_t spatial_softmax_save(const fw_graph *g, const fw_node *n, unsigned want) {
    const dims d = dims_of(g, n);
    (void)want;
    return (size_t)(d.b * 2 * d.c) * sizeof(float);
}

static fw_scratch spatial_softmax_scratch(const fw_graph *g, const fw_node *n, const fw_kern *k, unsigned want,
                                          bool backward) {
    (void)k;
    return (fw_scratch){.shared = !backward && want == 0 ? spatial_softmax_save(g, n, want) : 0};
}

static double spatial_softmax_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    return (want == 0 ? 8.0 : 10.0) * pool_flops(g, n, want);
}

static const fw_op k_spatial_softmax = {
    .name = "spatial_softmax",
    .diff = 1,
    .grad = {FW_GRAD_BOTH},
    .forward = spatial_softmax_forward,
    .backward = spatial_softmax_backward,
    .needs = spatial_softmax_needs,
    .flops = spatial_softmax_flops,
    .save_bytes = spatial_softmax_save,
    .scratch = spatial_softmax_scratch,
};

fw_val fw_spatial_softmax(fw_graph *g, fw_val x) {
    char a[64];
    if (!fw_graph_takes(g, "spatial_softmax", x, FW_F32)) {
        return FW_NONE;
    }
    const fw_shape *s = fw_shape_of(g, x);
    if (s->n != 4) {
        return fw_graph_fail(g, FW_SHAPE, "spatial_softmax: x is %s, [B,H,W,K] wanted", fw_shape_str(s, a, sizeof(a)));
    }
    return fw_graph_add(g, &(fw_node){.op = &k_spatial_softmax, .n_in = 1, .in = {x}},
                        FW_SHAPE_OF(s->d[0], s->d[3], 2));
}

/* ---- max ---- */

static void max_fwd_block(const fw_step *s, const void *arg, fw_part part) {
    (void)arg;
    s->kern->max_pool_fwd(&s->node->u.conv.dim, s->x[0], s->y, s->save, part.i0, part.i1);
}

static fw_status max_pool_forward(const fw_step *s, fw_err *err) {
    const fw_conv *d = &s->node->u.conv.dim;
    int64_t rows = s->node->u.conv.batch * d->oh * d->ow;
    (void)err;
    fw_split(s, NULL, rows, fw_block(rows, d->c * d->kh * d->kw), max_fwd_block);
    return FW_OK;
}

static void max_bwd_block(const fw_step *s, const void *arg, fw_part part) {
    (void)arg;
    s->kern->max_pool_bwd(&s->node->u.conv.dim, s->save, s->dy, s->dx[0], part.i0, part.i1);
}

static void max_pool_backward(const fw_step *s) {
    fw_split(s, NULL, s->node->u.conv.batch, 1, max_bwd_block);
}

static size_t max_pool_save(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)want;
    return (size_t)fw_shape_count(fw_shape_of(g, n->out)) * sizeof(int32_t);
}

static const fw_op k_max_pool = {
    .name = "max_pool",
    .diff = 1,
    .grad = {FW_GRAD_ADD},
    .forward = max_pool_forward,
    .backward = max_pool_backward,
    .flops = pool_flops,
    .save_bytes = max_pool_save,
};

fw_val fw_max_pool(fw_graph *g, fw_val x, int k, int stride, const int pad[4]) {
    char a[64];
    if (!fw_graph_takes(g, "max_pool", x, FW_F32)) {
        return FW_NONE;
    }
    const fw_shape *s = fw_shape_of(g, x);
    bool ok = s->n == 4 && k >= 1 && stride >= 1;
    for (int i = 0; i < 4; i++) {
        ok = ok && pad[i] >= 0 && pad[i] < k; /* each window has a pixel */
    }
    int64_t h = ok ? s->d[1] + pad[0] + pad[2] - k : -1, w = ok ? s->d[2] + pad[1] + pad[3] - k : -1;
    if (h < 0 || w < 0 || s->d[1] * s->d[2] > INT32_MAX) {
        return fw_graph_fail(g, FW_SHAPE, "max_pool: x is %s, window %d, stride %d, padding %d %d %d %d",
                             fw_shape_str(s, a, sizeof(a)), k, stride, pad[0], pad[1], pad[2], pad[3]);
    }
    fw_node n = {.op = &k_max_pool, .n_in = 1, .in = {x}};
    n.u.conv.batch = s->d[0];
    n.u.conv.dim = (fw_conv){.h = s->d[1],
                             .w = s->d[2],
                             .c = s->d[3],
                             .oh = h / stride + 1,
                             .ow = w / stride + 1,
                             .o = s->d[3],
                             .kh = k,
                             .kw = k,
                             .stride = stride,
                             .pad_top = pad[0],
                             .pad_left = pad[1]};
    return fw_graph_add(g, &n, FW_SHAPE_OF(s->d[0], h / stride + 1, w / stride + 1, s->d[3]));
}

/* ---- mean of everything ---- */

static void sum_block(const fw_step *s, const void *arg, fw_part part) {
    double sum = 0.0;
    (void)arg;
    for (int64_t i = part.i0; i < part.i1; i++) {
        sum += (double)fw_x(s, 0)[i];
    }
    ((double *)s->scratch)[part.index] = sum;
}

static fw_status mean_forward(const fw_step *s, fw_err *err) {
    const int64_t n = fw_shape_count(fw_shape_of(s->g, s->node->in[0])), block = fw_block(n, 1);
    double sum = 0.0;
    (void)err;
    fw_split(s, NULL, n, block, sum_block);
    for (int64_t i = 0; i < (n + block - 1) / block; i++) {
        sum += ((const double *)s->scratch)[i];
    }
    *(float *)s->y = (float)(sum / (double)n);
    return FW_OK;
}

static void mean_backward(const fw_step *s) {
    const int64_t n = fw_shape_count(fw_shape_of(s->g, s->node->in[0]));
    const float share = s->dy[0] / (float)n;
    for (int64_t i = 0; i < n; i++) {
        s->dx[0][i] = s->add[0] ? s->dx[0][i] + share : share;
    }
}

static fw_scratch mean_scratch(const fw_graph *g, const fw_node *n, const fw_kern *k, unsigned want, bool backward) {
    (void)g;
    (void)n;
    (void)k;
    (void)want;
    return (fw_scratch){.shared = backward ? 0 : FW_MAX_BLOCK * sizeof(double)};
}

static const fw_op k_mean = {
    .name = "mean",
    .diff = 1,
    .grad = {FW_GRAD_BOTH},
    .forward = mean_forward,
    .backward = mean_backward,
    .flops = pool_flops,
    .scratch = mean_scratch,
};

fw_val fw_mean(fw_graph *g, fw_val x) {
    return fw_graph_takes(g, "mean", x, FW_F32)
               ? fw_graph_add(g, &(fw_node){.op = &k_mean, .n_in = 1, .in = {x}}, (fw_shape){0})
               : FW_NONE;
}
