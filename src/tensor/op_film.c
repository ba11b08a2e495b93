/*
 * op_film.c - y = act(x * (1 + gamma) + beta).   x [B,T,C], gamma and beta [B,C]      (FiLM, arXiv 1709.07871)
 *
 * backward, with z = x * (1 + gamma) + beta made again and dz = dy * act'(z):
 *   dx = dz * (1 + gamma);  dgamma = sum over T of dz * x;  dbeta = sum over T of dz
 */
#include "tensor/op_int.h"

enum { X, GAMMA, BETA };

typedef struct dims {
    int64_t b, t, c;
} dims;

static dims dims_of(const fw_graph *g, const fw_node *n) {
    const fw_shape *x = fw_shape_of(g, n->in[X]);
    return (dims){x->d[0], fw_rows(x) / x->d[0], fw_cols(x)};
}

static void fwd_block(const fw_step *s, const void *arg, fw_part part) {
    const dims *d = arg;
    const int64_t at = part.i0 * d->t * d->c, at_g = part.i0 * d->c;
    s->kern->film_fwd(fw_x(s, X) + at, fw_x(s, GAMMA) + at_g, fw_x(s, BETA) + at_g, d->c, s->node->u.film.act,
                      (float *)s->y + at, part.i1 - part.i0, d->t, d->c);
}

static fw_status film_forward(const fw_step *s, fw_err *err) {
    const dims d = dims_of(s->g, s->node);
    (void)err;
    fw_split(s, &d, d.b, fw_block(d.b, d.t * d.c), fwd_block);
    return FW_OK;
}

/* The kernel makes dgamma and dbeta always; what is not wanted goes to scratch [B,C]. */
static float *or_spare(const fw_step *s, int k) {
    return s->dx[k] != NULL ? s->dx[k] : s->scratch;
}

static void bwd_block(const fw_step *s, const void *arg, fw_part part) {
    const dims *d = arg;
    const int64_t at = part.i0 * d->t * d->c, at_g = part.i0 * d->c;
    s->kern->film_bwd(fw_x(s, X) + at, fw_x(s, GAMMA) + at_g, fw_x(s, BETA) + at_g, d->c, s->node->u.film.act,
                      s->dy + at, s->dx[X] == NULL ? NULL : s->dx[X] + at, or_spare(s, GAMMA) + at_g,
                      or_spare(s, BETA) + at_g, part.i1 - part.i0, d->t, d->c);
}

static void film_backward(const fw_step *s) {
    const dims d = dims_of(s->g, s->node);
    fw_split(s, &d, d.b, fw_block(d.b, d.t * d.c), bwd_block);
}

static unsigned film_needs(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)g;
    (void)n;
    (void)want;
    return 1u << X | 1u << GAMMA | 1u << BETA;
}

static fw_scratch film_scratch(const fw_graph *g, const fw_node *n, const fw_kern *k, unsigned want, bool backward) {
    const dims d = dims_of(g, n);
    (void)k;
    return (fw_scratch){.shared =
                            backward && (~want & (1u << GAMMA | 1u << BETA)) ? (size_t)(d.b * d.c) * sizeof(float) : 0};
}

static double film_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    return (want == 0 ? 3.0 : 6.0) * (double)fw_shape_count(fw_shape_of(g, n->out));
}

static const fw_op k_film = {
    .name = "film",
    .diff = 1u << X | 1u << GAMMA | 1u << BETA,
    .grad = {FW_GRAD_WRITE, FW_GRAD_WRITE, FW_GRAD_WRITE},
    .forward = film_forward,
    .backward = film_backward,
    .needs = film_needs,
    .flops = film_flops,
    .scratch = film_scratch,
};

fw_val fw_film(fw_graph *g, fw_val x, fw_val gamma, fw_val beta, fw_act act) {
    char a[64], b[64], c[64];
    if (!fw_graph_takes(g, "film", x, FW_F32) || !fw_graph_takes(g, "film", gamma, FW_F32) ||
        !fw_graph_takes(g, "film", beta, FW_F32)) {
        return FW_NONE;
    }
    const fw_shape *s = fw_shape_of(g, x), *sg = fw_shape_of(g, gamma), *sb = fw_shape_of(g, beta);
    if (s->n < 2 || sg->n != 2 || sg->d[0] != s->d[0] || sg->d[1] != fw_cols(s) || !fw_shape_eq(sg, sb)) {
        return fw_graph_fail(g, FW_SHAPE, "film: x is %s, gamma %s, beta %s; [B,...,C] and [B,C] twice wanted",
                             fw_shape_str(s, a, sizeof(a)), fw_shape_str(sg, b, sizeof(b)),
                             fw_shape_str(sb, c, sizeof(c)));
    }
    return fw_graph_add(g, &(fw_node){.op = &k_film, .n_in = 3, .in = {x, gamma, beta}, .u.film.act = act}, *s);
}
