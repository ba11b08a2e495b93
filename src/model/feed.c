/* feed.c - see feed.h */
#include "model/feed.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "kern/kern.h"

static const fw_feed_rule *rule_of(const fw_feed *f, fw_feed_kind kind, const char *name) {
    for (int i = 0; i < f->n_rule; i++) {
        if (f->rule[i].kind == kind && fnmatch(f->rule[i].pattern, name, 0) == 0) {
            return &f->rule[i];
        }
    }
    return NULL;
}

/* Its own name, or that of the tensor it is tied to where the file has only that one. */
static const char *stored_as(const fw_feed *f, const char *name) {
    const fw_feed_rule *alias = rule_of(f, FW_FEED_ALIAS, name);
    return alias != NULL && !fw_weights_has(f->weights, name) ? alias->other : name;
}

static void add(float *x, int64_t n, float by) {
    for (int64_t i = 0; i < n; i++) {
        x[i] += by;
    }
}

static fw_status read_values(void *ctx, const char *name, const fw_shape *shape, float *data, fw_err *err) {
    const fw_feed *f = ctx;
    if (shape->n == 4) {
        return fw_weights_conv(f->weights, name, shape, data, err);
    }
    FW_TRY(fw_weights_f32(f->weights, stored_as(f, name), shape, data, err));
    if (rule_of(f, FW_FEED_PLUS_ONE, name) != NULL) {
        add(data, fw_shape_count(shape), 1.0f);
    }
    return FW_OK;
}

/* bfloat16 in the file: as it lies there. Other types: rounded, owned by the store. */
static fw_status read_half(void *ctx, const char *name, const fw_shape *shape, const uint16_t **half, bool *owned,
                           fw_err *err) {
    const fw_feed *f = ctx;
    const int64_t n = fw_shape_count(shape);
    const fw_st_tensor *t;
    FW_TRY(fw_weights_raw(f->weights, stored_as(f, name), shape, &t, err));
    if (t->dtype == FW_BF16 && (uintptr_t)t->data % sizeof(uint16_t) == 0) {
        *half = t->data;
        *owned = false;
        return FW_OK;
    }
    float *wide = malloc((size_t)n * sizeof(*wide));
    uint16_t *h = malloc((size_t)n * sizeof(*h));
    fw_status st = wide != NULL && h != NULL ? fw_weights_f32(f->weights, stored_as(f, name), shape, wide, err)
                                             : fw_fail(err, FW_NOMEM, "%s: %lld values", name, (long long)n);
    if (st == FW_OK) {
        fw_kern_get()->f32_to_bf16(wide, h, n);
        *half = h;
        *owned = true;
    } else {
        free(h);
    }
    free(wide);
    return st;
}

void fw_feed_start(fw_feed *f, fw_params *params) {
    f->params = params;
    f->source = (fw_param_source){f, f->half ? read_half : NULL, read_values};
    fw_params_set_source(params, &f->source);
}

fw_status fw_feed_done(fw_feed *f, fw_err *err) {
    fw_params_set_source(f->params, NULL);
    for (int i = 0; i < f->n_rule; i++) {
        if (f->rule[i].kind == FW_FEED_SPARE) {
            fw_weights_skip(f->weights, f->rule[i].pattern);
        }
    }
    return fw_weights_done(f->weights, err);
}

/* ---- saving ---- */

/* The values of a parameter as the file has them: owned f32. */
static float *to_file(const fw_feed *f, const fw_parameter *q) {
    const int64_t n = fw_shape_count(&q->shape);
    float *x = malloc((size_t)n * sizeof(*x));
    if (x == NULL) {
        return NULL;
    }
    if (q->shape.n == 4) {
        const int64_t taps = q->shape.d[1] * q->shape.d[2], c = q->shape.d[3];
        for (int64_t i = 0; i < n; i++) {
            x[(i / (taps * c) * c + i % c) * taps + i / c % taps] = q->data[i];
        }
        return x;
    }
    memcpy(x, q->data, (size_t)n * sizeof(*x));
    if (rule_of(f, FW_FEED_PLUS_ONE, q->name) != NULL) {
        add(x, n, -1.0f);
    }
    return x;
}

static const fw_parameter *trained(const fw_feed *f, const fw_st_tensor *t) {
    for (int i = 0; i < fw_params_count(f->params); i++) {
        const fw_parameter *q = fw_params_at(f->params, i);
        if (q->trainable && fw_weights_is(f->weights, stored_as(f, q->name), t)) {
            return q;
        }
    }
    return NULL;
}

/* *mem: owned values that o points to, or NULL. */
static fw_status collect(const fw_feed *f, const fw_st_tensor *t, fw_st_out *o, float **mem, fw_err *err) {
    const fw_parameter *q = trained(f, t);
    *o = (fw_st_out){t->name, t->dtype, t->shape, t->data};
    *mem = NULL;
    if (q == NULL && t->dtype != FW_BF16 && t->dtype != FW_F16) {
        return FW_OK; /* raw */
    }
    *mem = q != NULL ? to_file(f, q) : malloc((size_t)fw_shape_count(&t->shape) * sizeof(**mem));
    o->data = *mem;
    if (*mem == NULL) {
        return fw_fail(err, FW_NOMEM, "tensor '%s'", t->name);
    }
    return q != NULL ? FW_OK : fw_st_read_f32(fw_weights_file(f->weights), t->name, &t->shape, *mem, err);
}

fw_status fw_feed_save(const fw_feed *f, const char *path, fw_err *err) {
    static const char *const meta[] = {"format", "pt", NULL};
    const fw_st *file = fw_weights_file(f->weights);
    const int n = fw_st_count(file);
    fw_st_out *out = calloc((size_t)n + 1, sizeof(*out));
    float **mem = calloc((size_t)n + 1, sizeof(*mem));
    fw_status st = out != NULL && mem != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s", path);
    for (int i = 0; st == FW_OK && i < n; i++) {
        st = collect(f, fw_st_at(file, i), &out[i], &mem[i], err);
    }
    st = st != FW_OK ? st : fw_st_write(path, out, n, meta, err);
    for (int i = 0; mem != NULL && i < n; i++) {
        free(mem[i]);
    }
    free(mem);
    free(out);
    return st;
}
