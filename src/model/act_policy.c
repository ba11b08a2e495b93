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
#include "model/normalize.h"
#include "model/pretrained.h"

typedef struct act_policy {
    fw_policy base; /* first */
    fw_lerobot_config cfg;
    fw_pretrained_robot robot;
    fw_params *params;
    fw_graph *graph;
    fw_plan *plan;
    fw_act_io io;
    fw_norm state, action;
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
        const char *name = fw_lerobot_camera(f);
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
    FW_TRY(fw_obs_check(&p->robot.e, obs, chunk, rows, err));
    FW_TRY(see(p, obs, err));
    if (p->io.state != FW_NONE) {
        fw_norm_apply(&p->state, obs->state, fw_plan_data(p->plan, p->io.state), 1);
    }
    FW_TRY(fw_plan_run(p->plan, err));
    float *out = fw_plan_data(p->plan, p->io.chunk);
    if (p->cfg.act.ensemble) {
        ensemble(p, out);
        memcpy(out, p->mean, (size_t)p->n_action * sizeof *out);
        step(p);
    }
    fw_norm_invert(&p->action, out, out, (size_t)rows);
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
    fw_norm_clear(&p->state);
    fw_norm_clear(&p->action);
    free(p->mean);
    free(p->count);
    free(p->weight);
    free(p->total);
    free(p);
}

static const fw_policy_vtable vtable = {act_describe, act_infer, act_reset, act_close};

/* ---- open ---- */

static fw_status open_network(act_policy *p, const char *dir, fw_pool *pool, fw_err *err) {
    char path[4096];
    fw_weights *w = NULL;
    fw_plan_opts o = {.pool = pool};
    FW_TRY(fw_params_new(0, &p->params, err));
    FW_TRY(fw_graph_new(p->params, &p->graph, err));
    FW_TRY(fw_act_build(p->graph, &p->cfg, 1, false, &p->io, err));
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    FW_TRY(fw_weights_open(path, "", &w, err));
    fw_status st = fw_act_load(p->params, w, err);
    fw_weights_close(w);
    FW_TRY(st);
    fw_params_set_trainable(p->params, "", false);
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

/* ---- statistics ---- */

/* The state file of the step called `step` in dir/<pipeline>.json, opened. */
static fw_status open_statistics(const char *dir, const char *pipeline, const char *step, fw_st **out, fw_err *err) {
    char path[4096];
    json_t *root = NULL;
    const json_t *steps = NULL;
    const char *file = NULL, *name = NULL;
    snprintf(path, sizeof path, "%s/%s.json", dir, pipeline);
    FW_TRY(fw_json_load(path, &root, err));
    fw_status st = fw_json_arr(root, "steps", path, &steps, err);
    for (size_t i = 0; st == FW_OK && i < json_array_size(steps); i++) {
        const json_t *s = json_array_get(steps, i);
        st = fw_json_str(s, "registry_name", path, &name, err);
        if (st == FW_OK && strcmp(name, step) == 0) {
            st = fw_json_str(s, "state_file", path, &file, err);
        }
    }
    if (st == FW_OK && (file == NULL || strchr(file, '/') != NULL)) {
        st = fw_fail(err, FW_FORMAT, "%s: no step '%s' with a 'state_file' beside it", path, step);
    }
    if (st == FW_OK) {
        snprintf(path, sizeof path, "%s/%s", dir, file);
        st = fw_st_open(path, out, err);
    }
    json_decref(root);
    return st;
}

/* "<key>.<what>" [n], or [n,1,1] for pictures. */
static fw_status read_statistic(const fw_st *st, const char *key, const char *what, int n, float *out, fw_err *err) {
    char name[FW_LEROBOT_KEY_MAX + 16];
    snprintf(name, sizeof name, "%s.%s", key, what);
    const fw_st_tensor *t = fw_st_find(st, name);
    const fw_shape flat = FW_SHAPE_OF(n), picture = FW_SHAPE_OF(n, 1, 1);
    return fw_st_read_f32(st, name, t != NULL && t->shape.n == 3 ? &picture : &flat, out, err);
}

/* The map of a feature: (x - shift) * scale. */
static fw_status read_norm(const fw_st *st, const fw_lerobot_feature *f, fw_lerobot_norm norm, fw_norm *out,
                           fw_err *err) {
    static const char *const low[] = {NULL, NULL, "min", "q01", "q10"}, *const high[] = {NULL, NULL, "max", "q99",
                                                                                         "q90"};
    const int n = f->kind == FW_FEATURE_VISUAL ? 3 : (int)f->shape[0];
    float *v = malloc(2 * sizeof *v * (size_t)n);
    *out = (fw_norm){n, v, v + n};
    if (v == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a map of %d values", n);
    }
    if (norm == FW_LEROBOT_MEAN_STD) {
        FW_TRY(read_statistic(st, f->key, "mean", n, out->shift, err));
        FW_TRY(read_statistic(st, f->key, "std", n, out->scale, err));
    } else if (norm != FW_LEROBOT_IDENTITY) {
        FW_TRY(read_statistic(st, f->key, low[norm], n, out->shift, err));
        FW_TRY(read_statistic(st, f->key, high[norm], n, out->scale, err));
    }
    for (int i = 0; i < n; i++) {
        float a = out->shift[i], b = out->scale[i], range = b - a == 0.0f ? 1e-8f : b - a;
        bool spread = norm == FW_LEROBOT_MEAN_STD;
        out->shift[i] = norm == FW_LEROBOT_IDENTITY ? 0.0f : spread ? a : a + 0.5f * range;
        out->scale[i] = norm == FW_LEROBOT_IDENTITY ? 1.0f : spread ? 1.0f / (b + 1e-8f) : 2.0f / range;
        if (!isfinite(out->shift[i]) || !isfinite(out->scale[i])) {
            return fw_fail(err, FW_FORMAT, "statistics of %s: value %d is %g, %g", f->key, i, (double)a, (double)b);
        }
    }
    return FW_OK;
}

static fw_status read_norms(act_policy *p, const fw_st *st, fw_err *err) {
    const fw_lerobot_feature *state = fw_lerobot_input(&p->cfg, FW_FEATURE_STATE);
    for (int i = 0; i < p->robot.n_picture; i++) {
        fw_norm colour = {0};
        fw_status got = read_norm(st, &p->cfg.input[p->robot.picture[i]], p->cfg.norm[FW_FEATURE_VISUAL], &colour, err);
        for (int k = 0; got == FW_OK && k < 3 * 256; k++) {
            p->pixel[i][k / 256][k % 256] = ((float)(k % 256) / 255.0f - colour.shift[k / 256]) * colour.scale[k / 256];
        }
        fw_norm_clear(&colour);
        FW_TRY(got);
    }
    return state == NULL ? FW_OK : read_norm(st, state, p->cfg.norm[FW_FEATURE_STATE], &p->state, err);
}

static fw_status open_norms(act_policy *p, const char *dir, fw_err *err) {
    fw_st *st = NULL;
    const fw_lerobot_feature *action = fw_lerobot_output(&p->cfg, FW_FEATURE_ACTION);
    FW_TRY(open_statistics(dir, "policy_preprocessor", "normalizer_processor", &st, err));
    fw_status got = read_norms(p, st, err);
    fw_st_close(st);
    FW_TRY(got);
    FW_TRY(open_statistics(dir, "policy_postprocessor", "unnormalizer_processor", &st, err));
    got = read_norm(st, action, p->cfg.norm[FW_FEATURE_ACTION], &p->action, err);
    fw_st_close(st);
    return got;
}

static fw_status open_all(act_policy *p, const char *dir, const fw_policy_opts *o, fw_err *err) {
    const fw_lerobot_feature *env = fw_lerobot_input(&p->cfg, FW_FEATURE_ENV);
    if (env != NULL) {
        return fw_fail(err, FW_UNSUPPORTED, "the policy reads %s, which no observation has", env->key);
    }
    FW_TRY(fw_pretrained_robot_of(&p->cfg, o, false, &p->robot, err));
    p->n_action = p->robot.e.n_action;
    FW_TRY(open_norms(p, dir, err));
    FW_TRY(p->cfg.act.ensemble ? open_ensemble(p, err) : FW_OK);
    return open_network(p, dir, o->pool, err);
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
