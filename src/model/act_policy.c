/*
 * act_policy.c - ACT behind include/fw/policy.h: pixels and state in, actions in the robot's units out.
 *
 * WHAT one call does: check the observation, normalise pictures and state into the plan's inputs, run it, map the chunk back. With
 * temporal ensembling a call gives one row: the mean of what this and earlier calls said about this moment, older ones weighing
 * more (arXiv 2304.13705, algorithm 2). DESIGN. Everything is allocated in open; infer allocates nothing.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/act.h"
#include "model/int8.h"
#include "model/pretrained.h"
#include "model/processor.h"

typedef struct act_policy {
    fw_policy base; /* first */
    fw_lerobot_config cfg;
    fw_pretrained_robot robot;
    fw_params *params;
    fw_graph *graph;
    fw_plan *plan;
    fw_act_io io;
    fw_processor processor;
    float pixel[FW_LEROBOT_FEATURES][3][256]; /* what a byte becomes, for each picture and colour */
    int n_action;
    /* temporal ensembling, normalised: row i is about i steps from now */
    float *mean;   /* [chunk, n_action] */
    int *count;    /* [chunk] of calls that said something about it; 0: none yet */
    float *weight; /* [chunk] exp(-coeff * i), the i-th oldest call's */
    float *total;  /* [chunk] sum of the first i + 1 weights */
} act_policy;

/* ---- infer ---- */

static fw_status see(act_policy *p, const fw_obs *obs, fw_err *err) {
    for (int i = 0; i < p->robot.n_picture; i++) {
        const fw_lerobot_feature *f = &p->cfg.input[p->robot.picture[i]];
        const fw_image *im = &obs->image[p->robot.camera[i]];
        const char *name = p->robot.e.camera[p->robot.camera[i]].name;
        float *x = fw_plan_data(p->plan, p->io.image[i]);
        if (im->rgb == NULL) {
            return fw_fail(err, FW_SHAPE, "camera '%s' is missing from the observation", name);
        }
        if (im->h != f->shape[1] || im->w != f->shape[2]) {
            return fw_fail(err, FW_SHAPE, "camera '%s': image of %d x %d pixels, the policy wants %d x %d", name, im->w,
                           im->h, (int)f->shape[2], (int)f->shape[1]);
        }
        const size_t n = (size_t)im->h * (size_t)im->w * 3;
        for (size_t k = 0; k < n; k += 3) {
            for (size_t c = 0; c < 3; c++) {
                x[k + c] = p->pixel[i][c][im->rgb[k + c]];
            }
        }
    }
    return FW_OK;
}

/* Fold a new chunk into the mean of earlier ones about the same moments. */
static void ensemble(act_policy *p, const float *chunk) {
    const size_t n = (size_t)p->n_action;
    for (int i = 0; i < p->cfg.chunk; i++) {
        const int k = p->count[i];
        const float w = p->weight[k], before = k > 0 ? p->total[k - 1] : 0.0f;
        for (size_t j = (size_t)i * n; j < (size_t)(i + 1) * n; j++) {
            p->mean[j] = k == 0 ? chunk[j] : (p->mean[j] * before + chunk[j] * w) / (before + w);
        }
        p->count[i] = k + 1 < p->cfg.chunk ? k + 1 : k;
    }
}

/* A step passes: row 1 is about now. */
static void step(act_policy *p) {
    const size_t last = (size_t)p->cfg.chunk - 1, n = (size_t)p->n_action;
    memmove(p->mean, p->mean + n, last * n * sizeof *p->mean);
    memmove(p->count, p->count + 1, last * sizeof *p->count);
    p->count[last] = 0;
}

static fw_status act_infer(fw_policy *self, const fw_obs *obs, fw_chunk *chunk, fw_err *err) {
    act_policy *p = (act_policy *)self;
    const int rows = p->cfg.act.ensemble ? 1 : p->cfg.chunk;
    FW_TRY(fw_obs_check(&p->robot.e, obs, chunk, rows, 0, err));
    FW_TRY(see(p, obs, err));
    if (p->io.state != FW_NONE) {
        const fw_map_stat *map = &p->processor.input[p->processor.state_at];
        fw_map_apply(map, obs->state, fw_plan_data(p->plan, p->io.state), 1);
    }
    FW_TRY(fw_plan_run(p->plan, err));
    float *out = fw_plan_data(p->plan, p->io.chunk);
    if (p->cfg.act.ensemble) {
        ensemble(p, out);
        memcpy(out, p->mean, (size_t)p->n_action * sizeof *out);
        step(p);
    }
    fw_processor_chunk(&p->processor, obs->state, out, (size_t)rows, out);
    return fw_chunk_put(&p->robot.e, obs, out, rows, chunk, err);
}

static void act_describe(const fw_policy *self, fw_policy_info *out) {
    const act_policy *p = (const act_policy *)self;
    memset(out, 0, sizeof *out);
    strcpy(out->name, "act");
    out->embodiment = &p->robot.e;
    out->horizon = p->cfg.act.ensemble ? 1 : p->cfg.chunk;
    out->n_execute = p->cfg.n_execute;
}

static void act_reset(fw_policy *self) {
    act_policy *p = (act_policy *)self;
    for (int i = 0; p->count != NULL && i < p->cfg.chunk; i++) {
        p->count[i] = 0;
    }
}

static void act_close(fw_policy *self) {
    act_policy *p = (act_policy *)self;
    fw_plan_free(p->plan);
    fw_graph_free(p->graph);
    fw_params_free(p->params);
    fw_processor_clear(&p->processor);
    free(p->mean);
    free(p->count);
    free(p->weight);
    free(p->total);
    free(p);
}

static const fw_policy_vtable vtable = {act_describe, act_infer, act_reset, act_close, NULL};

/* ---- open ---- */

static fw_status open_int8(act_policy *p, const char *dir, const fw_policy_opts *o, fw_err *err) {
    fw_int8 *q = NULL;
    FW_TRY(o->precision == FW_PRECISION_INT8 ? fw_int8_open(dir, o->int8, &q, err) : FW_OK);
    fw_status st = fw_int8_apply(q, p->graph, err);
    st = st == FW_OK ? fw_int8_done(q, err) : st;
    fw_int8_close(q);
    return st;
}

static fw_status open_network(act_policy *p, const char *dir, const fw_policy_opts *po, fw_err *err) {
    char path[4096];
    fw_weights *w = NULL;
    fw_plan_opts o = {.pool = po->pool, .precision = po->precision, .watch = po->watch};
    FW_TRY(fw_params_new(0, &p->params, err));
    FW_TRY(fw_graph_new(p->params, &p->graph, err));
    FW_TRY(fw_act_build(p->graph, &p->cfg, 1, false, &p->io, err));
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    FW_TRY(fw_weights_open(path, "", &w, err));
    fw_status st = fw_act_load(p->params, w, err);
    fw_weights_close(w);
    FW_TRY(st);
    fw_params_set_trainable(p->params, "", false);
    FW_TRY(open_int8(p, dir, po, err));
    FW_TRY(fw_plan_new(p->graph, &o, &p->io.chunk, 1, &p->plan, err));
    fw_act_fill(p->plan, &p->cfg, &p->io);
    return FW_OK;
}

static fw_status open_ensemble(act_policy *p, fw_err *err) {
    const size_t rows = (size_t)p->cfg.chunk;
    double total = 0.0;
    p->mean = calloc(rows * (size_t)p->n_action, sizeof *p->mean);
    p->count = calloc(rows, sizeof *p->count);
    p->weight = calloc(rows, sizeof *p->weight);
    p->total = calloc(rows, sizeof *p->total);
    if (p->mean == NULL || p->count == NULL || p->weight == NULL || p->total == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a policy's buffers");
    }
    for (size_t i = 0; i < rows; i++) {
        total += exp(-p->cfg.act.ensemble_coeff * (double)i);
        p->weight[i] = (float)exp(-p->cfg.act.ensemble_coeff * (double)i);
        p->total[i] = (float)total;
    }
    return FW_OK;
}

/* What every byte of a picture becomes. */
static void fill_pixels(act_policy *p) {
    for (int i = 0; i < p->robot.n_picture; i++) {
        const fw_map_stat *map = &p->processor.input[p->robot.picture[i]];
        for (int k = 0; k < 256; k++) {
            float x[3] = {(float)k / 255.0f, (float)k / 255.0f, (float)k / 255.0f};
            fw_map_apply(map, x, x, 1);
            for (int c = 0; c < 3; c++) {
                p->pixel[i][c][k] = x[c];
            }
        }
    }
}

static fw_status open_all(act_policy *p, const char *dir, const fw_policy_opts *o, fw_err *err) {
    const fw_lerobot_feature *env = fw_lerobot_input(&p->cfg, FW_FEATURE_ENV);
    if (env != NULL) {
        return fw_fail(err, FW_UNSUPPORTED, "the policy reads %s, which no observation has", env->key);
    }
    FW_TRY(fw_processor_load(dir, &p->cfg, &p->processor, err));
    FW_TRY(fw_pretrained_robot_of(&p->cfg, &p->processor, o, false, &p->robot, err));
    p->n_action = p->robot.e.n_action;
    fill_pixels(p);
    FW_TRY(p->cfg.act.ensemble ? open_ensemble(p, err) : FW_OK);
    return open_network(p, dir, o, err);
}

fw_status fw_act_open(const char *dir, const fw_lerobot_config *c, const fw_policy_opts *o, fw_policy **out,
                      fw_err *err) {
    act_policy *p = calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a policy");
    }
    p->base.v = &vtable;
    p->cfg = *c;
    fw_status st = open_all(p, dir, o, err);
    if (st != FW_OK) {
        act_close(&p->base);
        return st;
    }
    *out = &p->base;
    return FW_OK;
}
