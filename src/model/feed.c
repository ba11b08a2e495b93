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

/* What lies in the file is used as it lies there: looked at once all the same. */
static fw_status check_half(const fw_feed *f, const fw_st_tensor *t, int64_t n, fw_err *err) {
    const uint16_t *h = t->data;
    int64_t bad = 0;
    for (int64_t i = 0; i < n; i++) {
        bad += (h[i] & 0x7F80u) == 0x7F80u;
    }
    if (bad == 0) {
        return FW_OK;
    }
    return fw_fail(err, FW_FORMAT, "%s: tensor '%s' holds %lld values that are not finite", fw_weights_path(f->weights),
                   t->name, (long long)bad);
}

/* bfloat16 in the file: as it lies there. Other types: rounded, owned by the store. */
static fw_status read_half(void *ctx, const char *name, const fw_shape *shape, const uint16_t **half, bool *owned,
                           fw_err *err) {
    const fw_feed *f = ctx;
    const int64_t n = fw_shape_count(shape);
    const fw_st_tensor *t;
    if (f->exact != NULL && f->exact(f->exact_ctx, name)) {
        return FW_OK;
    }
    FW_TRY(fw_weights_raw(f->weights, stored_as(f, name), shape, &t, err));
    if (t->dtype == FW_BF16 && (uintptr_t)t->data % sizeof(uint16_t) == 0) {
        FW_TRY(check_half(f, t, n, err));
        *half = t->data;
        *owned = false;
        return FW_OK;
    }
    if (f->lossless) {
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

static const fw_parameter *trained(const fw_feed *f, const fw_st_tensor *t) {
    for (int i = 0; i < fw_params_count(f->params); i++) {
        const fw_parameter *q = fw_params_at(f->params, i);
        if (q->trainable && fw_weights_is(f->weights, stored_as(f, q->name), t)) {
            return q;
        }
    }
    return NULL;
}

static bool as_it_is_now(const void *ctx, const fw_st_tensor *t, float *out) {
    const fw_feed *f = ctx;
    const fw_parameter *q = trained(f, t);
    if (q == NULL) {
        return false;
    }
    fw_weights_turn_back(&q->shape, q->data, out);
    if (rule_of(f, FW_FEED_PLUS_ONE, q->name) != NULL) {
        add(out, fw_shape_count(&q->shape), -1.0f);
    }
    return true;
}

fw_status fw_feed_save(const fw_feed *f, const char *path, fw_err *err) {
    return fw_weights_save(f->weights, as_it_is_now, f, path, err);
}
