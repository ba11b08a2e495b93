/* weights.c - see weights.h */
#include "model/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fw_weights {
    fw_st *st;
    const char *strip;
    bool *taken;    /* a tensor of the file */
    fw_shape *anew; /* a tensor of the file: what it is instead; n 0: what it is */
    char path[512];
};

/* Older checkpoints keep the statistics of normalisation here; processor.c reads them. */
static void skip_statistics(fw_weights *w) {
    static const char *const prefixes[] = {"normalize_inputs.", "unnormalize_outputs.", "normalize_targets."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        fw_weights_skip(w, prefixes[i]);
    }
}

fw_status fw_weights_open(const char *path, const char *strip, fw_weights **out, fw_err *err) {
    fw_weights *w = calloc(1, sizeof *w);
    *out = NULL;
    if (w == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: no memory", path);
    }
    w->strip = strip;
    snprintf(w->path, sizeof w->path, "%s", path);
    fw_status st = fw_st_open(path, &w->st, err);
    if (st == FW_OK) {
        w->taken = calloc((size_t)fw_st_count(w->st) + 1, sizeof *w->taken);
        w->anew = calloc((size_t)fw_st_count(w->st) + 1, sizeof *w->anew);
        st = w->taken != NULL && w->anew != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s: no memory", path);
    }
    if (st != FW_OK) {
        fw_weights_close(w);
        return st;
    }
    skip_statistics(w);
    *out = w;
    return FW_OK;
}

void fw_weights_close(fw_weights *w) {
    if (w != NULL) {
        fw_st_close(w->st);
        free(w->taken);
        free(w->anew);
        free(w);
    }
}

/* As it is called in the file. */
static const char *in_file(const fw_weights *w, const char *name) {
    size_t n = strlen(w->strip);
    return strncmp(name, w->strip, n) == 0 ? name + n : name;
}

static int find(const fw_weights *w, const char *name) {
    name = in_file(w, name);
    for (int i = 0; i < fw_st_count(w->st); i++) {
        if (strcmp(fw_st_at(w->st, i)->name, name) == 0) {
            return i;
        }
    }
    return -1;
}

bool fw_weights_has(const fw_weights *w, const char *name) {
    return find(w, name) >= 0;
}

bool fw_weights_is(const fw_weights *w, const char *name, const fw_st_tensor *t) {
    return strcmp(in_file(w, name), t->name) == 0;
}

const char *fw_weights_path(const fw_weights *w) {
    return w->path;
}

const fw_st *fw_weights_file(const fw_weights *w) {
    return w->st;
}

fw_status fw_weights_anew(fw_weights *w, const char *name, const fw_shape *shape, fw_err *err) {
    char want[96];
    const int i = find(w, name);
    if (i < 0) {
        return fw_fail(err, FW_SHAPE, "%s: tensor '%s' %s is missing", w->path, in_file(w, name),
                       fw_shape_str(shape, want, sizeof want));
    }
    w->taken[i] = true;
    w->anew[i] = fw_shape_eq(&fw_st_at(w->st, i)->shape, shape) ? (fw_shape){0} : *shape;
    return FW_OK;
}

bool fw_weights_is_anew(const fw_weights *w, const char *name) {
    const int i = find(w, name);
    return i >= 0 && w->anew[i].n > 0;
}

fw_status fw_weights_raw(fw_weights *w, const char *name, const fw_shape *shape, const fw_st_tensor **out,
                         fw_err *err) {
    char want[96], have[96];
    int i = find(w, name);
    *out = NULL;
    fw_shape_str(shape, want, sizeof want);
    if (i < 0) {
        return fw_fail(err, FW_SHAPE, "%s: tensor '%s' %s is missing", w->path, in_file(w, name), want);
    }
    const fw_st_tensor *t = fw_st_at(w->st, i);
    if (!fw_shape_eq(&t->shape, shape)) {
        return fw_fail(err, FW_SHAPE, "%s: tensor '%s' is %s, wanted %s", w->path, t->name,
                       fw_shape_str(&t->shape, have, sizeof have), want);
    }
    if (t->dtype != FW_F32 && t->dtype != FW_F16 && t->dtype != FW_BF16) {
        return fw_fail(err, FW_FORMAT, "%s: tensor '%s' is %s, wanted F32, F16 or BF16", w->path, t->name,
                       fw_dtype_name(t->dtype));
    }
    w->taken[i] = true;
    *out = t;
    return FW_OK;
}

fw_status fw_weights_f32(fw_weights *w, const char *name, const fw_shape *shape, float *out, fw_err *err) {
    const fw_st_tensor *t = NULL;
    FW_TRY(fw_weights_raw(w, name, shape, &t, err));
    FW_TRY(fw_st_read_f32(w->st, t->name, shape, out, err));
    int64_t n = fw_shape_count(shape);
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(out[i])) {
            return fw_fail(err, FW_FORMAT, "%s: tensor '%s' holds %g at %lld", w->path, t->name, (double)out[i],
                           (long long)i);
        }
    }
    return FW_OK;
}

static void turn_conv(const float *in, const fw_shape *s, float *out) {
    int64_t o = s->d[0], hw = s->d[1] * s->d[2], c = s->d[3];
    for (int64_t i = 0; i < o; i++) {
        for (int64_t k = 0; k < hw; k++) {
            for (int64_t j = 0; j < c; j++) {
                out[(i * hw + k) * c + j] = in[(i * c + j) * hw + k];
            }
        }
    }
}

/* Read as `file` has it into memory of its own. */
static fw_status read_aside(fw_weights *w, const char *name, const fw_shape *file, float **out, fw_err *err) {
    *out = malloc((size_t)fw_shape_count(file) * sizeof(float));
    if (*out == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: no memory for tensor '%s'", w->path, name);
    }
    fw_status st = fw_weights_f32(w, name, file, *out, err);
    if (st != FW_OK) {
        free(*out);
        *out = NULL;
    }
    return st;
}

fw_status fw_weights_conv(fw_weights *w, const char *name, const fw_shape *shape, float *out, fw_err *err) {
    const fw_shape file = FW_SHAPE_OF(shape->d[0], shape->d[3], shape->d[1], shape->d[2]);
    float *aside = NULL;
    FW_TRY(read_aside(w, name, &file, &aside, err));
    turn_conv(aside, shape, out);
    free(aside);
    return FW_OK;
}

fw_status fw_weights_third(fw_weights *w, const char *name, int k, const fw_shape *shape, float *out, fw_err *err) {
    fw_shape file = *shape;
    float *aside = NULL;
    size_t n = (size_t)fw_shape_count(shape);
    file.d[0] *= 3;
    FW_TRY(read_aside(w, name, &file, &aside, err));
    memcpy(out, aside + (size_t)k * n, n * sizeof *out);
    free(aside);
    return FW_OK;
}

void fw_weights_skip(fw_weights *w, const char *prefix) {
    prefix = in_file(w, prefix);
    for (int i = 0; i < fw_st_count(w->st); i++) {
        w->taken[i] = w->taken[i] || strncmp(fw_st_at(w->st, i)->name, prefix, strlen(prefix)) == 0;
    }
}

fw_status fw_weights_done(const fw_weights *w, fw_err *err) {
    char have[96];
    for (int i = 0; i < fw_st_count(w->st); i++) {
        const fw_st_tensor *t = fw_st_at(w->st, i);
        if (!w->taken[i]) {
            return fw_fail(err, FW_SHAPE, "%s: tensor '%s' %s is not part of this network", w->path, t->name,
                           fw_shape_str(&t->shape, have, sizeof have));
        }
    }
    return FW_OK;
}

/* ---- saving ---- */

void fw_weights_turn_back(const fw_shape *shape, const float *data, float *out) {
    const int64_t n = fw_shape_count(shape);
    if (shape->n != 4) {
        memcpy(out, data, (size_t)n * sizeof *out);
        return;
    }
    const int64_t taps = shape->d[1] * shape->d[2], c = shape->d[3];
    for (int64_t i = 0; i < n; i++) {
        out[(i / (taps * c) * c + i % c) * taps + i / c % taps] = data[i];
    }
}

/* Tensor i. *mem: owned values that o points to, or NULL: the file's bytes. */
static fw_status collect(const fw_weights *w, int i, fw_weights_now now, const void *ctx, fw_st_out *o, float **mem,
                         fw_err *err) {
    const fw_st_tensor *t = fw_st_at(w->st, i);
    const bool number = t->dtype == FW_F32 || t->dtype == FW_BF16 || t->dtype == FW_F16, anew = w->anew[i].n > 0;
    *o = (fw_st_out){t->name, t->dtype, anew ? w->anew[i] : t->shape, t->data};
    if (!number) {
        return FW_OK;
    }
    *mem = malloc((size_t)fw_shape_count(&o->shape) * sizeof **mem);
    if (*mem == NULL) {
        return fw_fail(err, FW_NOMEM, "tensor '%s'", t->name);
    }
    o->data = *mem;
    if (now(ctx, t, *mem)) {
        return FW_OK;
    }
    return anew ? fw_fail(err, FW_SHAPE, "%s: tensor '%s' was made anew and nobody has its values", w->path, t->name)
                : fw_st_read_f32(w->st, t->name, &t->shape, *mem, err);
}

fw_status fw_weights_save(const fw_weights *w, fw_weights_now now, const void *ctx, const char *path, fw_err *err) {
    static const char *const meta[] = {"format", "pt", NULL};
    const int n = fw_st_count(w->st);
    fw_st_out *out = calloc((size_t)n + 1, sizeof *out);
    float **mem = calloc((size_t)n + 1, sizeof *mem);
    fw_status st = out != NULL && mem != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s", path);
    for (int i = 0; st == FW_OK && i < n; i++) {
        st = collect(w, i, now, ctx, &out[i], &mem[i], err);
    }
    st = st != FW_OK ? st : fw_st_write(path, out, n, meta, err);
    for (int i = 0; mem != NULL && i < n; i++) {
        free(mem[i]);
    }
    free(mem);
    free(out);
    return st;
}
