/*
 * learner_pretrained.c - SmolVLA, pi0, pi0.5 or ACT of a published directory, trained further (learner.h).
 *
 * WHAT a row of a batch is: its pictures as the network sees them, state and words through the checkpoint's processors, and what is
 * to be learnt: for flow matching the chunk at a time t of the flow, x = t noise + (1 - t) actions, and its velocity, noise - actions,
 * with t = scale * Beta(alpha, beta) + offset (arXiv 2410.24164); for ACT the chunk itself and the noise of its latent. Rows past the
 * episode's end repeat the last action and do not count.
 *
 * DESIGN. One graph of prefix, suffix and loss. Frozen weights of linear layers stay in bfloat16 as they lie in the file. A row draws
 * from a stream named by (seed, draw).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/rng.h"
#include "model/act.h"
#include "model/pretrained.h"
#include "train/pretrained_int.h"

enum { TEXT = 4096 }; /* bytes of a prompt */

static bool is_act(const fw_pretrained_learner *p) {
    return p->c.policy == FW_POLICY_ACT;
}

static bool is_trained(const void *ctx, const char *name) {
    const fw_pretrained_learner *p = ctx;
    return p->adapter.lora.rank > 0 ? fw_adapter_is_part(name) : is_act(p) || fw_vla_trains(&p->c, name);
}

/* Only what is_trained gets gradients. */
static void freeze(fw_pretrained_learner *p) {
    for (int i = 0; i < fw_params_count(p->base.params); i++) {
        fw_parameter *q = fw_params_at(p->base.params, i);
        q->trainable = q->trainable && is_trained(p, q->name);
    }
}

/* ---- words ---- */

static fw_status encode(const fw_pretrained_learner *p, const float *state, const char *sentence, int32_t *ids, int *n,
                        fw_err *err) {
    char text[TEXT];
    FW_TRY(fw_processor_prompt(&p->proc, state, sentence, text, sizeof text, err));
    return fw_tokenizer_encode(p->tokenizer, text, ids, p->c.vla.max_tokens, n, err);
}

/* Words of every sentence, and the longest prompt: where the state is in the words, of every frame. */
static fw_status read_words(fw_pretrained_learner *p, fw_err *err) {
    const fw_trainset *ts = &p->base.data;
    const int cap = p->c.vla.max_tokens;
    p->words = calloc((size_t)ts->n_sentence * (size_t)cap, sizeof *p->words);
    p->n_words = calloc((size_t)ts->n_sentence, sizeof *p->n_words);
    if (p->words == NULL || p->n_words == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for %d sentences", ts->n_sentence);
    }
    FW_TRY(fw_pretrained_tokenizer(p->base.cfg->from, NULL, p->proc.tokenizer, p->c.vla.vocab, &p->tokenizer, err));
    for (int64_t e = 0; e < ts->n_episode; e++) {
        const fw_train_episode *ep = &ts->episode[e];
        const int64_t frames = p->proc.prompt == FW_PROMPT_STATE ? ep->length : 1;
        int32_t *ids = p->words + (size_t)ep->sentence * (size_t)cap;
        for (int64_t t = 0; t < frames; t++) {
            int n = 0;
            FW_TRY(encode(p, ep->state + t * p->proc.n_state, ts->sentence[ep->sentence], ids, &n, err));
            if (n == 0) {
                return fw_fail(err, FW_INVALID, "the prompt of '%.60s' has no words", ts->sentence[ep->sentence]);
            }
            p->n_words[ep->sentence] = n;
            p->longest = n > p->longest ? n : p->longest;
        }
    }
    return FW_OK;
}

/* ---- the network ---- */

/* The first graph is of one picture: if nothing in it is trained, frames pass it once. */
static fw_status open_pictures(fw_pretrained_learner *p, fw_err *err) {
    fw_graph *eye;
    fw_vla_io io = fw_vla_io_of(1, 1, 0);
    FW_TRY(fw_graph_new(p->base.params, &eye, err));
    fw_graph_lora(eye, p->adapter.lora.rank > 0 ? &p->adapter.lora : NULL);
    fw_vla_pictures(eye, &p->c, &io);
    fw_status s = fw_graph_check(eye, err);
    freeze(p);
    p->seen = p->base.cfg->tune.cache_pictures;
    for (int i = 0; i < fw_params_count(p->base.params); i++) {
        p->seen = p->seen && !fw_params_at(p->base.params, i)->trainable;
    }
    s = s == FW_OK ? fw_pretrained_see(p, eye, &io, err) : s;
    fw_graph_free(eye);
    return s;
}

static fw_status build_vla(fw_pretrained_learner *p, fw_err *err) {
    fw_learner *l = &p->base;
    fw_vla_rules_of(&p->c, &p->rules);
    p->feed = (fw_feed){.weights = p->weights,
                        .rule = p->rules.rule,
                        .n_rule = p->rules.n,
                        .half = true,
                        .exact = is_trained,
                        .exact_ctx = p};
    fw_feed_start(&p->feed, l->params);
    FW_TRY(open_pictures(p, err));
    p->vla = fw_vla_io_of(l->cfg->micro, p->n_camera, p->longest);
    p->vla.ragged = p->ragged;
    p->vla.seen = p->seen;
    p->vla.state_apart = p->seen; /* what is behind the tower is frozen, too */
    fw_vla_prefix(l->graph, &p->c, &p->vla);
    fw_vla_suffix(l->graph, &p->c, &p->vla);
    fw_vla_loss(l->graph, &p->c, &p->vla, p->proc.n_action);
    fw_status built = fw_graph_check(l->graph, err), fed = fw_feed_done(&p->feed, built == FW_OK ? err : NULL);
    FW_TRY(built);
    FW_TRY(fed);
    freeze(p);
    l->loss = p->vla.loss;
    return fw_learner_plan(l, err);
}

static fw_status build_act(fw_pretrained_learner *p, fw_err *err) {
    fw_learner *l = &p->base;
    FW_TRY(fw_pretrained_see(p, NULL, NULL, err));
    FW_TRY(fw_act_build(l->graph, &p->c, l->cfg->micro, true, &p->act, err));
    FW_TRY(l->cfg->tune.new_heads ? fw_act_new_heads(l->params, p->weights, err) : FW_OK);
    FW_TRY(fw_act_load(l->params, p->weights, err));
    freeze(p);
    l->loss = p->act.loss;
    FW_TRY(fw_learner_plan(l, err));
    fw_optim_lr_scale(l->optim, "model.backbone", l->cfg->tower_lr);
    fw_act_fill(l->plan, &p->c, &p->act);
    if (l->check != NULL) {
        fw_act_fill(l->check, &p->c, &p->act);
    }
    return FW_OK;
}

static fw_status open_adapter(fw_pretrained_learner *p, fw_err *err) {
    const fw_tune_cfg *t = &p->base.cfg->tune;
    const char *targets = t->lora_targets[0] != 0 ? t->lora_targets : fw_adapter_targets(p->c.policy);
    if (targets == NULL) {
        return fw_fail(err, FW_INVALID, "%s: adapters of %s have no default targets: name them in \"lora\"",
                       p->base.cfg->from, fw_policy_kind_name(p->c.policy));
    }
    FW_TRY(fw_adapter_init(&p->adapter, t->lora_rank, t->lora_alpha, targets, err));
    fw_graph_lora(p->base.graph, &p->adapter.lora);
    return FW_OK;
}

static fw_status build(fw_pretrained_learner *p, fw_err *err) {
    char path[1100];
    snprintf(path, sizeof path, "%s/model.safetensors", p->base.cfg->from);
    FW_TRY(fw_sha256_file(path, p->sha256, err));
    FW_TRY(fw_weights_open(path, p->c.openpi ? "model." : "", &p->weights, err));
    FW_TRY(fw_params_new(p->base.cfg->seed, &p->base.params, err));
    FW_TRY(fw_graph_new(p->base.params, &p->base.graph, err));
    FW_TRY(p->base.cfg->tune.lora_rank > 0 ? open_adapter(p, err) : FW_OK);
    return is_act(p) ? build_act(p, err) : build_vla(p, err);
}

/* ---- rows ---- */

typedef struct filling {
    fw_pretrained_learner *p;
    fw_plan *plan;
    const fw_batch_row *rows;
    uint64_t at;
} filling;

/* Beta(a, b), by Johnk's method. */
static double draw_beta(fw_rng *r, double a, double b) {
    for (;;) {
        const double x = pow(1.0 - fw_rng_unit(r), 1.0 / a), y = pow(1.0 - fw_rng_unit(r), 1.0 / b);
        if (x + y <= 1.0 && x + y > 0.0) {
            return x / (x + y);
        }
    }
}

static fw_rng noise_of(const filling *f, int b) {
    const int64_t draw = f->rows[b].draw;
    return draw >= 0 ? fw_rng_stream(f->p->base.cfg->seed + (uint64_t)draw * 0x9E3779B97F4A7C15ull, "flow")
                     : fw_rng_stream(f->at * (uint64_t)f->p->base.cfg->micro + (uint64_t)b, "held out");
}

/* In the places before a row's own pictures is nothing that anybody sees. */
static void clear_picture(const filling *f, int b, int i) {
    const fw_pretrained_learner *p = f->p;
    const fw_val v = p->seen ? p->vla.connector[i] : p->vla.image[i];
    const size_t n = p->seen ? (size_t)(fw_vla_image_tokens(&p->c) * p->c.vla.text.width)
                             : (size_t)p->c.vla.vision.image * (size_t)p->c.vla.vision.image * 3;
    memset((float *)fw_plan_data(f->plan, v) + (size_t)b * n, 0, n * sizeof(float));
}

static void put_pictures(const filling *f, int b, const fw_train_episode *ep, int64_t t) {
    fw_pretrained_learner *p = f->p;
    const fw_train_data *d = &p->base.data.data[ep->dataset];
    const int missing = p->n_camera - d->n_camera;
    p->row_pictures[b] = d->n_camera;
    for (int i = 0; i < missing; i++) {
        clear_picture(f, b, i);
    }
    for (int i = 0; i < d->n_camera; i++) {
        const fw_ds_camera *cam = &d->ds->cameras[d->camera[i]];
        const uint8_t *rgb = fw_blob_row(d->picture[i], ep->row + t);
        if (is_act(p)) {
            const size_t n = (size_t)cam->h * (size_t)cam->w * 3;
            float *x = (float *)fw_plan_data(f->plan, p->act.image[i]) + (size_t)b * n;
            for (size_t k = 0; k < n; k++) {
                x[k] = p->pixel[i][k % 3][rgb[k]];
            }
            continue;
        }
        if (p->seen) {
            fw_pretrained_put_seen(p, f->plan, b, missing + i, rgb);
            continue;
        }
        const size_t n = (size_t)p->c.vla.vision.image * (size_t)p->c.vla.vision.image * 3;
        float *x = fw_plan_data(f->plan, p->vla.image[missing + i]);
        fw_vla_fit_image(&p->c, rgb, cam->h, cam->w, x + (size_t)b * n);
    }
}

static fw_status put_words(const filling *f, int b, const fw_train_episode *ep, const float *state, fw_err *err) {
    fw_pretrained_learner *p = f->p;
    const int n_token = p->vla.n_token, cap = p->c.vla.max_tokens;
    int32_t *to = (int32_t *)fw_plan_data(f->plan, p->vla.tokens) + (size_t)b * (size_t)n_token;
    memset(to, 0, (size_t)n_token * sizeof *to);
    if (p->proc.prompt != FW_PROMPT_STATE) {
        p->row_words[b] = p->n_words[ep->sentence];
        memcpy(to, p->words + (size_t)ep->sentence * (size_t)cap, (size_t)p->row_words[b] * sizeof *to);
        return FW_OK;
    }
    int32_t *ids = p->row_ids + (size_t)b * (size_t)cap;
    int n = 0;
    FW_TRY(encode(p, state, p->base.data.sentence[ep->sentence], ids, &n, err));
    p->row_words[b] = n < n_token ? n : n_token;
    memcpy(to, ids, (size_t)p->row_words[b] * sizeof *to);
    return FW_OK;
}

/* actions [chunk, n_action] normalised */
static void put_flow(const filling *f, int b, const float *actions, const float *weight) {
    const fw_pretrained_learner *p = f->p;
    const fw_lerobot_optim *o = &p->c.optim;
    const size_t rows = (size_t)p->c.chunk, wide = (size_t)p->c.vla.max_action, n = (size_t)p->proc.n_action;
    float *x = (float *)fw_plan_data(f->plan, p->vla.x) + (size_t)b * rows * wide;
    float *target = (float *)fw_plan_data(f->plan, p->vla.target) + (size_t)b * rows * wide;
    fw_rng rng = noise_of(f, b);
    const float time = (float)(draw_beta(&rng, o->time_alpha, o->time_beta) * o->time_scale + o->time_offset);
    for (size_t i = 0; i < rows * wide; i++) {
        const float noise = (float)fw_rng_normal(&rng);
        const float action = i % wide < n ? actions[i / wide * n + i % wide] : 0.0F;
        x[i] = time * noise + (1.0F - time) * action;
        target[i] = noise - action;
    }
    memcpy((float *)fw_plan_data(f->plan, p->vla.weight) + (size_t)b * rows, weight, rows * sizeof *weight);
    fw_vla_put_time(f->plan, &p->c, &p->vla, b, time);
}

static void put_chunk(const filling *f, int b, const float *actions, const float *weight) {
    const fw_pretrained_learner *p = f->p;
    const size_t rows = (size_t)p->c.chunk, n = rows * (size_t)p->proc.n_action;
    memcpy((float *)fw_plan_data(f->plan, p->act.action) + (size_t)b * n, actions, n * sizeof *actions);
    memcpy((float *)fw_plan_data(f->plan, p->act.weight) + (size_t)b * rows, weight, rows * sizeof *weight);
    if (p->act.eps == FW_NONE) {
        return;
    }
    int seen = 0;
    for (size_t i = 0; i < rows; i++) {
        seen += weight[i] > 0.0F;
    }
    ((int32_t *)fw_plan_data(f->plan, p->act.lengths))[b] = fw_act_seen(&p->act, seen);
    fw_rng rng = noise_of(f, b);
    float *eps = (float *)fw_plan_data(f->plan, p->act.eps) + (size_t)b * (size_t)p->c.act.latent;
    for (int i = 0; i < p->c.act.latent; i++) {
        eps[i] = (float)fw_rng_normal(&rng);
    }
}

static void put_state(const filling *f, int b, const float *state) {
    const fw_pretrained_learner *p = f->p;
    const fw_val v = is_act(p) ? p->act.state : p->vla.state;
    if (v == FW_NONE || p->proc.state_at < 0) {
        return;
    }
    const size_t wide = is_act(p) ? (size_t)p->proc.n_state : (size_t)p->c.vla.max_state;
    float *x = (float *)fw_plan_data(f->plan, v) + (size_t)b * wide;
    memset(x, 0, wide * sizeof *x);
    fw_map_apply(&p->proc.input[p->proc.state_at], state, x, 1);
}

static void fill_row(void *ctx, int b, int worker) {
    (void)worker;
    const filling *f = ctx;
    fw_pretrained_learner *p = f->p;
    const fw_batch_row *r = &f->rows[b];
    const fw_train_episode *ep = &p->base.data.episode[r->episode];
    const float *state = ep->state + r->t * p->proc.n_state;
    float *actions = p->row_actions + (size_t)b * (size_t)p->c.chunk * (size_t)(p->proc.n_action + 1);
    float *weight = actions + (size_t)p->c.chunk * (size_t)p->proc.n_action;
    fw_chunk_gather(ep->action, ep->length, p->proc.n_action, r->t, p->c.chunk, actions, weight);
    fw_processor_target(&p->proc, state, actions, (size_t)p->c.chunk, actions);
    put_pictures(f, b, ep, r->t);
    put_state(f, b, state);
    if (is_act(p)) {
        put_chunk(f, b, actions, weight);
        p->row_status[b] = FW_OK;
        return;
    }
    put_flow(f, b, actions, weight);
    p->row_status[b] = put_words(f, b, ep, state, NULL);
}

static fw_status pretrained_fill(fw_learner *l, fw_plan *plan, const fw_batch_row *rows, uint64_t at, fw_err *err) {
    fw_pretrained_learner *p = (fw_pretrained_learner *)l;
    filling f = {p, plan, rows, at};
    const int n = (int)l->cfg->micro;
    if (l->pool != NULL) {
        fw_pool_run(l->pool, n, fill_row, &f);
    }
    for (int b = 0; b < n; b++) {
        if (l->pool == NULL) {
            fill_row(&f, b, 0);
        }
        if (p->row_status[b] != FW_OK) {
            return fw_fail(err, p->row_status[b], "the prompt of episode %lld, frame %lld cannot be read",
                           (long long)rows[b].episode, (long long)rows[b].t);
        }
    }
    if (!is_act(p)) {
        fw_vla_fill(plan, &p->c, &p->vla, p->row_words, p->row_pictures);
    }
    return FW_OK;
}

/* Rows of chunks that count. */
static double pretrained_weight(const fw_learner *l, const fw_batch_row *rows) {
    const fw_pretrained_learner *p = (const fw_pretrained_learner *)l;
    double sum = 0;
    for (int64_t b = 0; b < l->cfg->micro; b++) {
        const int64_t left = l->data.episode[rows[b].episode].length - rows[b].t;
        sum += (double)(left < p->c.chunk ? left : p->c.chunk);
    }
    return sum;
}

/* ---- life ---- */

static void pretrained_title(const fw_learner *l, FILE *f) {
    const fw_pretrained_learner *p = (const fw_pretrained_learner *)l;
    fprintf(f, "A %s policy, trained further with flywheel.", fw_policy_kind_name(p->c.policy));
}

static void pretrained_describe(const fw_learner *l, FILE *f) {
    const fw_pretrained_learner *p = (const fw_pretrained_learner *)l;
    fprintf(f, "| began as | weights %.16s |\n", p->sha256);
    if (p->adapter.lora.rank > 0) {
        fprintf(f, "| adapters | rank %d, alpha %g; alone in adapter/, merged into the weights |\n",
                p->adapter.lora.rank, p->adapter.lora.alpha);
    }
    fprintf(f, "| normalised by | %s |\n",
            l->cfg->tune.new_stats ? "these data" : "the statistics of what it began as");
}

static fw_status pretrained_fingerprint(const fw_learner *l, char **out, fw_err *err) {
    const fw_pretrained_learner *p = (const fw_pretrained_learner *)l;
    *out = strdup(p->sha256);
    return *out != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "fingerprint: out of memory");
}

static void pretrained_close(fw_learner *l) {
    fw_pretrained_learner *p = (fw_pretrained_learner *)l;
    fw_weights_close(p->weights);
    fw_adapter_clear(&p->adapter);
    fw_tokenizer_close(p->tokenizer);
    fw_processor_clear(&p->proc);
    fw_column_stats_clear(&p->new_state);
    fw_column_stats_clear(&p->new_action);
    free(p->words);
    free(p->n_words);
    free(p->row_words);
    free(p->row_pictures);
    free(p->row_ids);
    free(p->row_actions);
    free(p->row_status);
    free(p);
}

static fw_status open_rows(fw_pretrained_learner *p, fw_err *err) {
    const size_t n = (size_t)p->base.cfg->micro;
    p->row_status = calloc(n, sizeof *p->row_status);
    p->row_actions = calloc(n * (size_t)p->c.chunk * (size_t)(p->proc.n_action + 1), sizeof *p->row_actions);
    p->row_words = calloc(n, sizeof *p->row_words);
    p->row_pictures = calloc(n, sizeof *p->row_pictures);
    p->row_ids = is_act(p) ? NULL : calloc(n * (size_t)p->c.vla.max_tokens, sizeof *p->row_ids);
    return p->row_status != NULL && p->row_actions != NULL && p->row_words != NULL && p->row_pictures != NULL &&
                   (is_act(p) || p->row_ids != NULL)
               ? FW_OK
               : fw_fail(err, FW_NOMEM, "no memory for a batch of %zu", n);
}

/* Pictures go through a table (ACT), or into [-1, 1] as they are. */
static fw_status open_pixels(fw_pretrained_learner *p, fw_err *err) {
    for (int i = 0; i < p->c.n_input && !is_act(p); i++) {
        if (p->c.input[i].kind == FW_FEATURE_VISUAL && p->proc.input[i].kind != FW_LEROBOT_IDENTITY) {
            return fw_fail(err, FW_UNSUPPORTED, "%s: pictures of %s are normalised by statistics", p->base.cfg->from,
                           fw_policy_kind_name(p->c.policy));
        }
    }
    for (int i = 0; i < p->n_camera && is_act(p); i++) {
        const fw_map_stat *map = &p->proc.input[p->picture[i]];
        for (int k = 0; k < 256; k++) {
            float x[3] = {(float)k / 255.0F, (float)k / 255.0F, (float)k / 255.0F};
            fw_map_apply(map, x, x, 1);
            for (int c = 0; c < 3; c++) {
                p->pixel[i][c][k] = x[c];
            }
        }
    }
    return FW_OK;
}

static fw_status open_all(fw_pretrained_learner *p, const char *const *dirs, int n, fw_err *err) {
    const fw_train_cfg *cfg = p->base.cfg;
    FW_TRY(fw_processor_load(cfg->from, &p->c, &p->proc, err));
    FW_TRY(fw_trainset_open_recordings(cfg, dirs, n, fw_pretrained_fit, p, &p->base.data, err));
    FW_TRY(fw_pretrained_fitted(p, err));
    if (cfg->tune.new_stats) {
        FW_TRY(fw_pretrained_new_stats(p, err));
    }
    FW_TRY(open_rows(p, err));
    FW_TRY(open_pixels(p, err));
    FW_TRY(is_act(p) ? FW_OK : read_words(p, err));
    return build(p, err);
}

fw_status fw_learner_pretrained(const fw_train_cfg *cfg, const char *const *dirs, int n, fw_pool *pool,
                                fw_learner **out, fw_err *err) {
    static const fw_learner_vtable vtable = {.name = "pretrained",
                                             .fill = pretrained_fill,
                                             .weight = pretrained_weight,
                                             .save = fw_pretrained_save,
                                             .title = pretrained_title,
                                             .describe = pretrained_describe,
                                             .fingerprint = pretrained_fingerprint,
                                             .close = pretrained_close};
    fw_pretrained_learner *p = calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a learner");
    }
    p->base.v = &vtable;
    p->base.cfg = cfg;
    p->base.pool = pool;
    p->c = cfg->published;
    p->n_camera = -1;
    fw_status s = open_all(p, dirs, n, err);
    if (s != FW_OK) {
        fw_learner_close(&p->base);
        return s;
    }
    *out = &p->base;
    return FW_OK;
}
