/* peer_dnnl.c - oneDNN 2.x through its C API. What it makes is not given back: a benchmark ends soon. */
#include "peer_dnnl.h"

#include <stdlib.h>

#ifndef FW_PEER_DNNL

peer *peer_linear(peer_type type, int64_t m, int64_t k, int64_t n, float *x, float *w, float *b, float *y) {
    (void)type, (void)m, (void)k, (void)n, (void)x, (void)w, (void)b, (void)y;
    return NULL;
}
peer *peer_depthwise(const fw_conv *d, float *x, float *b, float *y) {
    (void)d, (void)x, (void)b, (void)y;
    return NULL;
}
void peer_run(void *p) {
    (void)p;
}

#else

#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>

static void ok(dnnl_status_t s, const char *what) {
    if (s != dnnl_success) {
        fprintf(stderr, "oneDNN: %s: %d\n", what, (int)s);
        exit(1);
    }
}

static dnnl_engine_t engine(void) {
    static dnnl_engine_t eng;
    if (eng == NULL) {
        ok(dnnl_engine_create(&eng, dnnl_cpu, 0), "engine");
    }
    return eng;
}

struct peer {
    dnnl_primitive_t prim;
    dnnl_stream_t stream;
    dnnl_exec_arg_t args[4];
    int n_arg;
};

void peer_run(void *ctx) {
    peer *c = ctx;
    dnnl_primitive_execute(c->prim, c->stream, c->n_arg, c->args);
}

/* x of type f32 in another layout or type. */
static dnnl_memory_t reordered(const dnnl_memory_desc_t *from, float *x, const dnnl_memory_desc_t *to,
                               dnnl_stream_t stream) {
    dnnl_memory_t src, dst;
    ok(dnnl_memory_create(&src, from, engine(), x), "source");
    ok(dnnl_memory_create(&dst, to, engine(), DNNL_MEMORY_ALLOCATE), "copy");
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t run;
    ok(dnnl_reorder_primitive_desc_create(&pd, from, engine(), to, engine(), NULL), "reorder pd");
    ok(dnnl_primitive_create(&run, pd), "reorder");
    dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, src}, {DNNL_ARG_TO, dst}};
    ok(dnnl_primitive_execute(run, stream, 2, args), "reorder run");
    return dst;
}

/* Whole numbers of some spread that a byte holds. */
static float *byte_like(const float *x, int64_t n) {
    float *y = malloc((size_t)n * sizeof(float));
    for (int64_t i = 0; i < n && y != NULL; i++) {
        y[i] = x[i] * 127.0f;
    }
    return y;
}

peer *peer_linear(peer_type type, int64_t m, int64_t k, int64_t n, float *x, float *w, float *b, float *y) {
    static const dnnl_data_type_t src_type[] = {dnnl_f32, dnnl_bf16, dnnl_u8},
                                  w_type[] = {dnnl_f32, dnnl_bf16, dnnl_s8};
    dnnl_engine_t eng = engine();
    dnnl_memory_desc_t md_x, md_w, md_src, md_any, md_b, md_y;
    dnnl_dims_t dx = {m, k}, dw = {n, k}, db = {n}, dy = {m, n};
    ok(dnnl_memory_desc_init_by_tag(&md_x, 2, dx, dnnl_f32, dnnl_ab), "x");
    ok(dnnl_memory_desc_init_by_tag(&md_w, 2, dw, dnnl_f32, dnnl_ab), "w");
    ok(dnnl_memory_desc_init_by_tag(&md_src, 2, dx, src_type[type], dnnl_ab), "source");
    ok(dnnl_memory_desc_init_by_tag(&md_any, 2, dw, w_type[type], dnnl_format_tag_any), "w any");
    ok(dnnl_memory_desc_init_by_tag(&md_b, 1, db, dnnl_f32, dnnl_a), "b");
    ok(dnnl_memory_desc_init_by_tag(&md_y, 2, dy, dnnl_f32, dnnl_ab), "y");
    dnnl_inner_product_desc_t d;
    ok(dnnl_inner_product_forward_desc_init(&d, dnnl_forward_inference, &md_src, &md_any, &md_b, &md_y), "desc");
    dnnl_primitive_desc_t pd;
    if (dnnl_primitive_desc_create(&pd, &d, NULL, eng, NULL) != dnnl_success) {
        return NULL;
    }
    peer *c = calloc(1, sizeof *c);
    ok(dnnl_primitive_create(&c->prim, pd), "primitive");
    ok(dnnl_stream_create(&c->stream, eng, dnnl_stream_default_flags), "stream");
    dnnl_memory_t mx, mw, mb, my;
    float *xb = type == PEER_INT8 ? byte_like(x, m * k) : x, *wb = type == PEER_INT8 ? byte_like(w, n * k) : w;
    mx = type == PEER_F32 ? NULL : reordered(&md_x, xb, &md_src, c->stream);
    if (mx == NULL) {
        ok(dnnl_memory_create(&mx, &md_x, eng, x), "x");
    }
    mw = reordered(&md_w, wb, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0), c->stream);
    if (type == PEER_INT8) {
        free(xb), free(wb);
    }
    ok(dnnl_memory_create(&mb, &md_b, eng, b), "b");
    ok(dnnl_memory_create(&my, &md_y, eng, y), "y");
    c->args[0] = (dnnl_exec_arg_t){DNNL_ARG_SRC, mx};
    c->args[1] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, mw};
    c->args[2] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, mb};
    c->args[3] = (dnnl_exec_arg_t){DNNL_ARG_DST, my};
    c->n_arg = 4;
    return c;
}

peer *peer_depthwise(const fw_conv *d, float *x, float *b, float *y) {
    dnnl_engine_t eng = engine();
    dnnl_memory_desc_t md_x, md_w, md_b, md_y;
    dnnl_dims_t dx = {1, d->c, d->h, d->w}, dw = {d->c, 1, 1, d->kh, d->kw}, db = {d->c}, dy = {1, d->c, d->oh, d->ow};
    dnnl_dims_t strides = {d->stride, d->stride}, pad = {d->pad_top, d->pad_left};
    dnnl_dims_t pad_r = {(d->oh - 1) * d->stride + d->kh - d->h - d->pad_top,
                         (d->ow - 1) * d->stride + d->kw - d->w - d->pad_left};
    ok(dnnl_memory_desc_init_by_tag(&md_x, 4, dx, dnnl_f32, dnnl_nhwc), "x");
    ok(dnnl_memory_desc_init_by_tag(&md_w, 5, dw, dnnl_f32, dnnl_format_tag_any), "w");
    ok(dnnl_memory_desc_init_by_tag(&md_b, 1, db, dnnl_f32, dnnl_a), "b");
    ok(dnnl_memory_desc_init_by_tag(&md_y, 4, dy, dnnl_f32, dnnl_nhwc), "y");
    dnnl_convolution_desc_t cd;
    ok(dnnl_convolution_forward_desc_init(&cd, dnnl_forward_inference, dnnl_convolution_direct, &md_x, &md_w, &md_b,
                                          &md_y, strides, pad, pad_r),
       "desc");
    dnnl_post_ops_t po;
    dnnl_primitive_attr_t attr;
    ok(dnnl_post_ops_create(&po), "post ops");
    ok(dnnl_post_ops_append_eltwise(po, 1.0f, dnnl_eltwise_bounded_relu, 6.0f, 0.0f), "relu6");
    ok(dnnl_primitive_attr_create(&attr), "attr");
    ok(dnnl_primitive_attr_set_post_ops(attr, po), "attr");
    dnnl_primitive_desc_t pd;
    ok(dnnl_primitive_desc_create(&pd, &cd, attr, eng, NULL), "pd");
    peer *r = calloc(1, sizeof *r);
    r->n_arg = 4;
    ok(dnnl_primitive_create(&r->prim, pd), "primitive");
    ok(dnnl_stream_create(&r->stream, eng, dnnl_stream_default_flags), "stream");
    dnnl_memory_t mx, mw, mb, my; /* weights: zeros in whatever layout it likes; time does not depend on values */
    ok(dnnl_memory_create(&mx, &md_x, eng, x), "x");
    ok(dnnl_memory_create(&mw, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0), eng, DNNL_MEMORY_ALLOCATE),
       "w");
    ok(dnnl_memory_create(&mb, &md_b, eng, b), "b");
    ok(dnnl_memory_create(&my, &md_y, eng, y), "y");
    r->args[0] = (dnnl_exec_arg_t){DNNL_ARG_SRC, mx};
    r->args[1] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, mw};
    r->args[2] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, mb};
    r->args[3] = (dnnl_exec_arg_t){DNNL_ARG_DST, my};
    return r;
}

#endif

void peer_free(peer *p) {
    free(p);
}
