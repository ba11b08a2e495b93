/* trial.c - see trial.h */
#include "model/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/act.h"
#include "model/vla_run.h"

enum { H = 480, W = 640, STATE = 7 };

struct fw_trial {
    fw_trial_opts opts;
    fw_lerobot_config c;
    /* the observation */
    uint8_t *rgb; /* [H,W,3], of every camera */
    fw_image *image;
    int32_t *tokens, *n_words;
    float *state, *noise, *out;
    fw_vla_batch batch;
    fw_vla *vla;
    /* act */
    fw_params *params;
    fw_graph *graph;
    fw_plan *plan;
    fw_act_io io;
};

/* config.json of the published policy, defaults and all. */
static fw_status config_of(const fw_trial_opts *b, fw_lerobot_config *c, fw_err *err) {
    json_t *in = json_pack("{s:{s:s, s:[i]}}", "observation.state", "type", "STATE", "shape", STATE);
    for (int i = 0; in != NULL && i < b->cameras; i++) {
        char key[64];
        snprintf(key, sizeof key, "observation.images.cam%d", i);
        json_object_set_new(in, key, json_pack("{s:s, s:[i,i,i]}", "type", "VISUAL", "shape", 3, H, W));
    }
    json_t *o = json_pack("{s:s, s:o, s:{s:{s:s, s:[i]}}}", "type", b->policy, "input_features", in, "output_features",
                          "action", "type", "ACTION", "shape", STATE);
    if (o == NULL) {
        return fw_fail(err, FW_NOMEM, "config");
    }
    fw_status st = fw_lerobot_config_parse(o, b->policy, c, err);
    json_decref(o);
    return st;
}

/* ---- the observation ---- */

static fw_status paint(fw_trial *t, fw_rng *r, fw_err *err) {
    const int64_t n = t->opts.batch * t->opts.cameras;
    t->rgb = malloc((size_t)H * W * 3);
    t->image = calloc((size_t)n, sizeof *t->image);
    if (t->rgb == NULL || t->image == NULL) {
        return fw_fail(err, FW_NOMEM, "pictures of a batch of %lld", (long long)t->opts.batch);
    }
    for (int i = 0; i < H * W * 3; i++) {
        t->rgb[i] = (uint8_t)fw_rng_u64(r);
    }
    for (int64_t i = 0; i < n; i++) {
        t->image[i] = (fw_image){t->rgb, H, W};
    }
    return FW_OK;
}

static fw_status say(fw_trial *t, fw_rng *r, fw_err *err) {
    const fw_vla_config *c = &t->c.vla;
    const int64_t n = t->opts.batch, chunk = n * t->c.chunk * c->max_action, words = t->opts.words;
    t->tokens = calloc((size_t)(n * words), sizeof *t->tokens);
    t->n_words = calloc((size_t)n, sizeof *t->n_words);
    t->state = calloc((size_t)(n * c->max_state), sizeof *t->state);
    t->noise = calloc((size_t)chunk, sizeof *t->noise);
    t->out = calloc((size_t)chunk, sizeof *t->out);
    if (t->tokens == NULL || t->n_words == NULL || t->state == NULL || t->noise == NULL || t->out == NULL) {
        return fw_fail(err, FW_NOMEM, "inputs of a batch of %lld", (long long)n);
    }
    for (int64_t i = 0; i < n * words; i++) {
        t->tokens[i] = (int32_t)fw_rng_below(r, (uint64_t)c->vocab);
    }
    for (int64_t i = 0; i < n; i++) {
        t->n_words[i] = (int32_t)words;
    }
    for (int64_t i = 0; i < chunk; i++) {
        t->noise[i] = (float)fw_rng_normal(r);
    }
    t->batch = (fw_vla_batch){n, t->opts.cameras, t->image, t->tokens, t->n_words, words, t->state, t->noise, NULL};
    return FW_OK;
}

/* ---- the two kinds of policy ---- */

static fw_status open_vla(fw_trial *t, fw_rng *r, fw_err *err) {
    const fw_vla_opts o = {
        .pool = t->opts.pool, .precision = t->opts.precision, .flow_steps = t->opts.flow_steps, .random = true};
    FW_TRY(say(t, r, err));
    return fw_vla_open("", &t->c, &o, &t->vla, err);
}

static fw_status open_act(fw_trial *t, fw_err *err) {
    const fw_plan_opts o = {.pool = t->opts.pool, .precision = t->opts.precision};
    FW_TRY(fw_params_new(1, &t->params, err));
    FW_TRY(fw_graph_new(t->params, &t->graph, err));
    FW_TRY(fw_act_build(t->graph, &t->c, t->opts.batch, false, &t->io, err));
    fw_params_set_trainable(t->params, "", false);
    FW_TRY(fw_plan_new(t->graph, &o, &t->io.chunk, 1, &t->plan, err));
    fw_act_fill(t->plan, &t->c, &t->io);
    return FW_OK;
}

static fw_status run_act(fw_trial *t, fw_err *err) {
    const int64_t n = (int64_t)H * W * 3;
    for (int64_t i = 0; i < t->opts.cameras * t->opts.batch; i++) {
        const int64_t b = i % t->opts.batch;
        float *x = (float *)fw_plan_data(t->plan, t->io.image[i / t->opts.batch]) + b * n;
        for (int64_t k = 0; k < n; k++) {
            x[k] = (float)t->rgb[k] * (1.0f / 64.0f) - 2.0f;
        }
    }
    return fw_plan_run(t->plan, err);
}

static fw_status open_all(fw_trial *t, fw_err *err) {
    fw_rng r = fw_rng_stream(1, "trial");
    FW_TRY(config_of(&t->opts, &t->c, err));
    FW_TRY(paint(t, &r, err));
    return t->c.policy == FW_POLICY_ACT ? open_act(t, err) : open_vla(t, &r, err);
}

fw_status fw_trial_new(const fw_trial_opts *o, fw_trial **out, fw_err *err) {
    *out = NULL;
    fw_trial *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a trial");
    }
    t->opts = *o;
    fw_status st = open_all(t, err);
    if (st != FW_OK) {
        fw_trial_free(t);
        return st;
    }
    *out = t;
    return FW_OK;
}

void fw_trial_free(fw_trial *t) {
    if (t == NULL) {
        return;
    }
    fw_vla_close(t->vla);
    fw_plan_free(t->plan);
    fw_graph_free(t->graph);
    fw_params_free(t->params);
    free(t->rgb);
    free(t->image);
    free(t->tokens);
    free(t->n_words);
    free(t->state);
    free(t->noise);
    free(t->out);
    free(t);
}

fw_status fw_trial_run(fw_trial *t, fw_err *err) {
    return t->vla == NULL ? run_act(t, err) : fw_vla_infer(t->vla, &t->batch, t->out, err);
}

void fw_trial_get_info(const fw_trial *t, fw_trial_info *out) {
    fw_vla_info v;
    fw_plan_info p;
    if (t->vla == NULL) {
        fw_plan_get_info(t->plan, &p);
        *out = (fw_trial_info){p.flops_forward, p.packed_bytes, p.arena_bytes, 1};
        return;
    }
    fw_vla_get_info(t->vla, &v);
    *out = (fw_trial_info){v.flops_prefix + v.steps * v.flops_step, v.packed_bytes, v.arena_bytes, v.steps};
}

void fw_trial_profile(fw_trial *t, bool on) {
    if (t->vla == NULL) {
        fw_plan_profile(t->plan, on);
    } else {
        fw_vla_profile(t->vla, on);
    }
}
