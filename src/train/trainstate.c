#include "train/trainstate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/safetensors.h"

enum { KINDS = 4, NAME = 176 };
static const char *const prefix[KINDS] = {"w.", "m.", "v.", "ema."};

/* Files of runs without averaged weights have none; of those written when they were kept all the same, they are not read. */
static int n_kind(fw_optim *o) {
    return fw_optim_state(o, FW_OPTIM_EMA, 0) != NULL ? KINDS : KINDS - 1;
}

static float *state_of(fw_optim *o, int kind, int i) {
    return kind == 0 ? fw_optim_param(o, i)->data : fw_optim_state(o, (fw_optim_slot)(kind - 1), i);
}

fw_status fw_trainstate_save(const char *path, fw_optim *o, const fw_trainstate *s, fw_err *err) {
    const int n = fw_optim_count(o), kinds = n_kind(o);
    fw_st_out *out = calloc((size_t)n * KINDS, sizeof *out);
    char(*names)[NAME] = calloc((size_t)n * KINDS, sizeof *names);
    char step[32], elapsed[48], loss[48], micro[32];
    if (out == NULL || names == NULL) {
        free(out);
        free(names);
        return fw_fail(err, FW_NOMEM, "%s: out of memory", path);
    }
    for (int k = 0; k < kinds; k++) {
        for (int i = 0; i < n; i++) {
            const fw_parameter *p = fw_optim_param(o, i);
            char *name = names[k * n + i];
            snprintf(name, NAME, "%s%s", prefix[k], p->name);
            out[k * n + i] = (fw_st_out){.name = name, .dtype = FW_F32, .shape = p->shape, .data = state_of(o, k, i)};
        }
    }
    snprintf(step, sizeof step, "%lld", (long long)s->step);
    snprintf(elapsed, sizeof elapsed, "%a", s->elapsed_s);
    snprintf(loss, sizeof loss, "%a", s->loss);
    snprintf(micro, sizeof micro, "%lld", (long long)s->micro);
    const char *const meta[] = {"step", step,     "elapsed_s", elapsed, "loss",  loss, "micro",
                                micro,  "config", s->config,   "data",  s->data, NULL};
    fw_status st = fw_st_write(path, out, n * kinds, meta, err);
    free(out);
    free(names);
    return st;
}

static fw_status check_meta(const fw_st *f, const char *path, fw_trainstate *s, fw_err *err) {
    const char *config = fw_st_meta(f, "config"), *data = fw_st_meta(f, "data"), *step = fw_st_meta(f, "step");
    const char *elapsed = fw_st_meta(f, "elapsed_s"), *loss = fw_st_meta(f, "loss");
    if (config == NULL || data == NULL || step == NULL || elapsed == NULL || loss == NULL) {
        return fw_fail(err, FW_FORMAT, "%s: not the state of a training run", path);
    }
    if (strcmp(config, s->config) != 0) {
        size_t i = 0; /* where they part */
        while (config[i] == s->config[i]) {
            i++;
        }
        i = i > 20 ? i - 20 : 0;
        return fw_fail(err, FW_INVALID, "%s: is of another config: '...%.60s' there, '...%.60s' now", path, config + i,
                       s->config + i);
    }
    if (strcmp(data, s->data) != 0) {
        return fw_fail(err, FW_INVALID, "%s: is of other data: %.40s... there, %.40s... now", path, data, s->data);
    }
    s->step = strtoll(step, NULL, 10);
    s->elapsed_s = strtod(elapsed, NULL);
    s->loss = strtod(loss, NULL);
    if (s->step < 0 || !isfinite(s->elapsed_s) || s->elapsed_s < 0) {
        return fw_fail(err, FW_FORMAT, "%s: step '%s' after %s s", path, step, elapsed);
    }
    return FW_OK;
}

/* read == false: only look whether every tensor is there with its shape. */
static fw_status load_tensors(const fw_st *f, const char *path, fw_optim *o, bool read, fw_err *err) {
    for (int i = 0; i < fw_optim_count(o); i++) {
        const fw_parameter *p = fw_optim_param(o, i);
        for (int k = 0; k < n_kind(o); k++) {
            char name[NAME];
            snprintf(name, sizeof name, "%s%s", prefix[k], p->name);
            const fw_st_tensor *t = fw_st_find(f, name);
            if (t == NULL || t->dtype != FW_F32 || !fw_shape_eq(&t->shape, &p->shape)) {
                return fw_fail(err, FW_SHAPE, "%s: no tensor %s of the shape that this config has", path, name);
            }
            if (read) {
                FW_TRY(fw_st_read_f32(f, name, &p->shape, state_of(o, k, i), err));
            }
        }
    }
    return FW_OK;
}

fw_status fw_trainstate_load(const char *path, fw_optim *o, fw_trainstate *s, fw_err *err) {
    fw_st *f = NULL;
    FW_TRY(fw_st_open(path, &f, err));
    fw_trainstate got = *s;
    fw_status st = check_meta(f, path, &got, err);
    if (st == FW_OK && (st = load_tensors(f, path, o, false, err)) == FW_OK) {
        st = load_tensors(f, path, o, true, err);
    }
    fw_st_close(f);
    if (st == FW_OK) {
        fw_optim_set_steps(o, got.step);
        *s = got;
    }
    return st;
}

fw_status fw_trainstate_micro(const char *path, int64_t *micro, fw_err *err) {
    fw_st *f = NULL;
    FW_TRY(fw_st_open(path, &f, err));
    const char *text = fw_st_meta(f, "micro");
    *micro = text != NULL ? strtoll(text, NULL, 10) : 0;
    fw_st_close(f);
    return *micro >= 0 ? FW_OK : fw_fail(err, FW_FORMAT, "%s: runs of %lld rows", path, (long long)*micro);
}
