/* peer_dnnl.c - oneDNN 2.x through its C API. What it makes is not given back: a benchmark ends soon. */
#include "peer_dnnl.h"

#include <stdlib.h>

#ifndef FW_PEER_DNNL

peer *peer_linear(int64_t m, int64_t k, int64_t n, float *x, float *w, float *b, float *y) {
    (void)m, (void)k, (void)n, (void)x, (void)w, (void)b, (void)y;
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

peer *peer_linear(int64_t m, int64_t k, int64_t n, float *x, float *w, float *b, float *y) {
    dnnl_engine_t eng = engine();
    dnnl_memory_desc_t md_x, md_w, md_any, md_b, md_y;
    dnnl_dims_t dx = {m, k}, dw = {n, k}, db = {n}, dy = {m, n};
    ok(dnnl_memory_desc_init_by_tag(&md_x, 2, dx, dnnl_f32, dnnl_ab), "x");
    ok(dnnl_memory_desc_init_by_tag(&md_w, 2, dw, dnnl_f32, dnnl_ab), "w");
    ok(dnnl_memory_desc_init_by_tag(&md_any, 2, dw, dnnl_f32, dnnl_format_tag_any), "w any");
    ok(dnnl_memory_desc_init_by_tag(&md_b, 1, db, dnnl_f32, dnnl_a), "b");
    ok(dnnl_memory_desc_init_by_tag(&md_y, 2, dy, dnnl_f32, dnnl_ab), "y");
    dnnl_inner_product_desc_t d;
    ok(dnnl_inner_product_forward_desc_init(&d, dnnl_forward_inference, &md_x, &md_any, &md_b, &md_y), "desc");
    dnnl_primitive_desc_t pd;
    ok(dnnl_primitive_desc_create(&pd, &d, NULL, eng, NULL), "pd");
    peer *c = calloc(1, sizeof *c);
    ok(dnnl_primitive_create(&c->prim, pd), "primitive");
    ok(dnnl_stream_create(&c->stream, eng, dnnl_stream_default_flags), "stream");
    const dnnl_memory_desc_t *want = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    dnnl_memory_t mx, mw, mp, mb, my;
    ok(dnnl_memory_create(&mx, &md_x, eng, x), "x");
    ok(dnnl_memory_create(&mw, &md_w, eng, w), "w");
    ok(dnnl_memory_create(&mp, want, eng, DNNL_MEMORY_ALLOCATE), "packed");
    ok(dnnl_memory_create(&mb, &md_b, eng, b), "b");
    ok(dnnl_memory_create(&my, &md_y, eng, y), "y");
    dnnl_primitive_desc_t rpd;
    dnnl_primitive_t re;
    ok(dnnl_reorder_primitive_desc_create(&rpd, &md_w, eng, want, eng, NULL), "reorder pd");
    ok(dnnl_primitive_create(&re, rpd), "reorder");
    dnnl_exec_arg_t ra[2] = {{DNNL_ARG_FROM, mw}, {DNNL_ARG_TO, mp}};
    ok(dnnl_primitive_execute(re, c->stream, 2, ra), "reorder run");
    c->args[0] = (dnnl_exec_arg_t){DNNL_ARG_SRC, mx};
    c->args[1] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, mp};
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
