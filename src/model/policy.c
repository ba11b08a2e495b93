/*
 * policy.c - flywheel-s behind include/fw/policy.h: pixels, words and state in; actions in the robot's units out.
 *
 * WHAT one call does: check the observation, resize the images, run the vision tower (a thread an image), normalise its
 * features, look up the sentence, run the trunk's plan, map the chunk back to units and cut it to the limits.
 * DESIGN. Everything is allocated in open; infer allocates nothing. The tower is never inside the trunk's plan here, also
 * when it was fine-tuned: one thread an image is faster than two threads in every small convolution.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "model/checkpoint.h"
#include "model/image.h"
#include "model/pretrained.h"
#include "model/proprio.h"

#define SENTENCES 16

typedef struct sentence {
    char sha256[65]; /* of the text; "" = empty */
    uint64_t used;   /* when, by the call counter */
    fw_text_features f;
} sentence;

typedef struct flywheel_policy {
    fw_policy base; /* first */
    fw_flywheel_meta meta;
    fw_pool *pool; /* borrowed */
    fw_precision precision;
    const fw_watch *watch; /* or NULL */
    fw_int8 *int8;         /* while the policy is opened; or NULL */
    fw_params *params;
    fw_graph *graph;
    fw_plan *plan;
    fw_flywheel_io io;
    fw_vision_tower *vision;
    fw_text_tower *text;
    fw_proprio proprio;
    fw_norm feature[FW_CAM_MAX][FW_TAP_MAX];
    int camera[FW_CAM_MAX]; /* view -> index of the embodiment's camera */
    uint8_t *pixels;        /* [n_camera, S, S, 3] */
    void *scratch;          /* for resizing, scratch_bytes of it */
    size_t scratch_bytes;
    float *features[FW_TAP_MAX]; /* [n_camera, values of the tap] */
    sentence *known;             /* [SENTENCES] */
    uint64_t calls, seed;
    fw_rng rng;
} flywheel_policy;

/* ---- infer ---- */

static fw_status check_image(const flywheel_policy *p, int view, const fw_obs *obs, fw_err *err) {
    const char *name = p->meta.cfg.camera[view];
    const fw_image *im = &obs->image[p->camera[view]];
    if (im->rgb == NULL) {
        return fw_fail(err, FW_SHAPE, "camera '%s' is missing from the observation", name);
    }
    if (im->h < 1 || im->w < 1 || im->h > 8192 || im->w > 8192) {
        return fw_fail(err, FW_SHAPE, "camera '%s': image of %d x %d pixels", name, im->w, im->h);
    }
    return FW_OK;
}

static fw_status check_images(const flywheel_policy *p, const fw_obs *obs, fw_err *err) {
    for (int v = 0; v < p->meta.cfg.n_camera; v++) {
        FW_TRY(check_image(p, v, obs, err));
    }
    return FW_OK;
}

/* The sentence's features, from memory or from the tower (in the place of the longest unused one). */
static fw_status look_up(flywheel_policy *p, const char *text, const fw_text_features **out, fw_err *err) {
    char sha[65];
    sentence *oldest = &p->known[0];
    fw_sha256_hex(text, strlen(text), sha);
    for (int i = 0; i < SENTENCES; i++) {
        sentence *s = &p->known[i];
        if (strcmp(s->sha256, sha) == 0) {
            s->used = p->calls;
            *out = &s->f;
            return FW_OK;
        }
        oldest = s->used < oldest->used ? s : oldest;
    }
    oldest->sha256[0] = 0;
    FW_TRY(fw_text_tower_encode(p->text, text, &oldest->f, err));
    memcpy(oldest->sha256, sha, sizeof sha);
    oldest->used = p->calls;
    *out = &oldest->f;
    return FW_OK;
}

/* Room to resize an image of this size. Images as the embodiment describes them had theirs at open. */
static fw_status need_scratch(flywheel_policy *p, int h, int w, fw_err *err) {
    size_t bytes = fw_image_scratch(h, w, p->meta.cfg.image_size);
    if (bytes <= p->scratch_bytes) {
        return FW_OK;
    }
    bytes = (bytes + 63) / 64 * 64;
    free(p->scratch);
    p->scratch = aligned_alloc(64, bytes);
    p->scratch_bytes = p->scratch != NULL ? bytes : 0;
    return p->scratch != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "no memory to resize an image of %d x %d", w, h);
}

static fw_status see(flywheel_policy *p, const fw_obs *obs, fw_err *err) {
    const fw_flywheel_cfg *cfg = &p->meta.cfg;
    size_t pixels = (size_t)cfg->image_size * (size_t)cfg->image_size * 3;
    for (int v = 0; v < cfg->n_camera; v++) {
        const fw_image *im = &obs->image[p->camera[v]];
        FW_TRY(need_scratch(p, im->h, im->w, err));
        fw_image_resize(im->rgb, im->h, im->w, p->pixels + (size_t)v * pixels, cfg->image_size, p->scratch);
    }
    FW_TRY(fw_vision_tower_run(p->vision, p->pixels, cfg->n_camera, p->features, err));
    for (int v = 0; v < cfg->n_camera; v++) {
        for (int t = 0; t < cfg->n_tap; t++) {
            size_t values = fw_vision_tower_values(p->vision, t);
            const fw_norm *nm = &p->feature[v][t];
            fw_norm_apply(nm, p->features[t] + (size_t)v * values, fw_plan_data(p->plan, p->io.feat[v][t]),
                          values / (size_t)nm->n);
        }
    }
    return FW_OK;
}

static fw_status policy_infer(fw_policy *self, const fw_obs *obs, fw_chunk *chunk, fw_err *err) {
    flywheel_policy *p = (flywheel_policy *)self;
    const fw_text_features *words = NULL;
    FW_TRY(fw_obs_check(&p->meta.embodiment, obs, chunk, p->meta.cfg.horizon, p->meta.cfg.max_delay, err));
    FW_TRY(check_images(p, obs, err));
    p->calls++;
    FW_TRY(look_up(p, obs->instruction, &words, err));
    FW_TRY(see(p, obs, err));
    fw_flywheel_put_text(p->plan, &p->io, 0, words);
    float *body = fw_plan_data(p->plan, p->io.state);
    fw_proprio_row(&p->proprio, obs->state, obs->prev_state, obs->prev_action, body);
    fw_proprio_settled(&p->proprio, obs->state, obs->prefix, obs->n_prefix, body);
    fw_flywheel_fill(p->plan, &p->io, &p->rng);
    FW_TRY(fw_plan_run(p->plan, err));
    float *pred = fw_plan_data(p->plan, p->io.pred);
    fw_norm_invert(&p->proprio.action, pred, pred, (size_t)p->meta.cfg.horizon);
    const int na = p->meta.embodiment.n_action, go_on = p->meta.cfg.horizon - obs->n_prefix;
    memmove(pred + obs->n_prefix * na, pred,
            sizeof(float) * (size_t)(go_on * na)); /* its first row follows the settled ones */
    return fw_chunk_put(&p->meta.embodiment, obs, pred, p->meta.cfg.horizon, chunk, err);
}

static void policy_describe(const fw_policy *self, fw_policy_info *out) {
    const flywheel_policy *p = (const flywheel_policy *)self;
    memset(out, 0, sizeof *out);
    memcpy(out->name, p->meta.name, sizeof out->name);
    out->embodiment = &p->meta.embodiment;
    out->horizon = p->meta.cfg.horizon;
    out->n_execute = p->meta.cfg.n_execute;
    out->wants_motion = p->meta.cfg.prev_state;
    out->max_delay = p->meta.cfg.max_delay;
}

static void policy_reset(fw_policy *self) {
    flywheel_policy *p = (flywheel_policy *)self;
    p->rng = fw_rng_stream(p->seed, "flow");
}

static void policy_close(fw_policy *self) {
    flywheel_policy *p = (flywheel_policy *)self;
    fw_plan_free(p->plan);
    fw_graph_free(p->graph);
    fw_vision_tower_close(p->vision);
    fw_text_tower_close(p->text);
    fw_params_free(p->params);
    fw_int8_close(p->int8);
    fw_proprio_clear(&p->proprio);
    for (int i = 0; i < FW_CAM_MAX * FW_TAP_MAX; i++) {
        fw_norm_clear(&p->feature[i / FW_TAP_MAX][i % FW_TAP_MAX]);
    }
    for (int t = 0; t < FW_TAP_MAX; t++) {
        free(p->features[t]);
    }
    free(p->pixels);
    free(p->scratch);
    free(p->known);
    free(p);
}

static const fw_policy_vtable vtable = {policy_describe, policy_infer, policy_reset, policy_close, NULL};

/* ---- open ---- */

/* With a fine-tuned tower: a graph with everything in it, thrown away; it only creates the parameters that the file holds. */
static fw_status create_tower_params(flywheel_policy *p, int width, fw_err *err) {
    fw_graph *g = NULL;
    fw_flywheel_io io;
    fw_status st = fw_graph_new(p->params, &g, err);
    if (st == FW_OK) {
        st = fw_flywheel_build(g, &p->meta.cfg, width, p->meta.embodiment.n_action, 1, false, &io, err);
    }
    fw_graph_free(g);
    return st;
}

static fw_status open_trunk(flywheel_policy *p, const char *dir, fw_err *err) {
    int width = fw_proprio_width(&p->meta.cfg, &p->meta.embodiment);
    fw_flywheel_cfg cfg = p->meta.cfg;
    cfg.train_tower = false;
    if (p->meta.cfg.train_tower) {
        FW_TRY(create_tower_params(p, width, err));
    }
    FW_TRY(fw_graph_new(p->params, &p->graph, err));
    FW_TRY(fw_flywheel_build(p->graph, &cfg, width, p->meta.embodiment.n_action, 1, false, &p->io, err));
    if (dir != NULL) {
        FW_TRY(fw_flywheel_load_params(dir, p->params, err));
    }
    fw_params_set_trainable(p->params, "", false);
    FW_TRY(fw_int8_apply(p->int8, p->graph, err));
    fw_plan_opts o = {.pool = p->pool, .precision = p->precision, .watch = p->watch};
    return fw_plan_new(p->graph, &o, &p->io.pred, 1, &p->plan, err);
}

static fw_status check_sha(const char *what, const char *have, const char *want, fw_err *err) {
    if (want[0] == 0 || strcmp(have, want) == 0) {
        return FW_OK;
    }
    return fw_fail(err, FW_FORMAT, "the installed %s tower has sha256 %.12s..., the policy was trained with %.12s...",
                   what, have, want);
}

static fw_status open_towers(flywheel_policy *p, const fw_flywheel_opts *o, fw_err *err) {
    const fw_flywheel_cfg *cfg = &p->meta.cfg;
    const fw_vision_opts v = {.pool = p->pool,
                              .image_size = cfg->image_size,
                              .n_tap = cfg->n_tap,
                              .tap = {cfg->tap[0], cfg->tap[1]},
                              .batch = 1,
                              .precision = o->precision,
                              .int8 = p->int8,
                              .watch = o->watch};
    if (cfg->train_tower) {
        FW_TRY(fw_vision_tower_new(p->params, "tower.", &v, &p->vision, err));
    } else {
        FW_TRY(fw_vision_tower_open(o->vision_path, &v, &p->vision, err));
        FW_TRY(check_sha("vision", fw_vision_tower_sha256(p->vision), p->meta.tower_sha256, err));
    }
    FW_TRY(fw_text_tower_open(o->text_dir, p->pool, &p->text, err));
    return check_sha("text", fw_text_tower_sha256(p->text), p->meta.text_sha256, err);
}

static fw_status open_norms(flywheel_policy *p, const fw_stats *stats, fw_err *err) {
    const fw_flywheel_cfg *cfg = &p->meta.cfg;
    FW_TRY(fw_proprio_init(&p->proprio, cfg, &p->meta.embodiment, stats, err));
    for (int i = 0; i < cfg->n_camera * cfg->n_tap; i++) {
        char key[128];
        fw_stat st;
        int v = i / cfg->n_tap, t = i % cfg->n_tap, size = 0, channels = 0;
        FW_TRY(fw_effnet_tap_shape(cfg->tap[t], cfg->image_size, &size, &channels, err));
        snprintf(key, sizeof key, "features.%s.%d", cfg->camera[v], cfg->tap[t]);
        FW_TRY(fw_stats_get(stats, key, channels, &st, err));
        FW_TRY(fw_norm_make(&st, FW_NORM_MEAN_STD, NULL, &p->feature[v][t], err));
    }
    return FW_OK;
}

static fw_status open_buffers(flywheel_policy *p, fw_err *err) {
    const fw_flywheel_cfg *cfg = &p->meta.cfg;
    size_t n = (size_t)cfg->n_camera, side = (size_t)cfg->image_size;
    p->pixels = malloc(n * side * side * 3);
    p->known = calloc(SENTENCES, sizeof *p->known);
    bool ok = p->pixels != NULL && p->known != NULL;
    for (int t = 0; t < cfg->n_tap; t++) {
        p->features[t] = malloc(n * fw_vision_tower_values(p->vision, t) * sizeof(float));
        ok = ok && p->features[t] != NULL;
    }
    for (int v = 0; v < cfg->n_camera; v++) {
        for (int k = 0; k < p->meta.embodiment.n_camera; k++) {
            if (strcmp(cfg->camera[v], p->meta.embodiment.camera[k].name) == 0) {
                p->camera[v] = k;
                FW_TRY(need_scratch(p, p->meta.embodiment.camera[k].height, p->meta.embodiment.camera[k].width, err));
            }
        }
    }
    return ok ? FW_OK : fw_fail(err, FW_NOMEM, "no memory for a policy's buffers");
}

/* p->meta is filled. dir NULL: random weights. */
static fw_status open_all(flywheel_policy *p, const char *dir, const fw_stats *stats, const fw_flywheel_opts *o,
                          fw_err *err) {
    p->pool = o->pool;
    p->precision = o->precision;
    p->watch = o->watch;
    p->seed = o->seed;
    policy_reset(&p->base);
    FW_TRY(open_norms(p, stats, err));
    FW_TRY(fw_params_new(o->seed, &p->params, err));
    FW_TRY(dir != NULL && p->precision == FW_PRECISION_INT8 ? fw_int8_open(dir, o->int8, &p->int8, err) : FW_OK);
    FW_TRY(open_trunk(p, dir, err));
    FW_TRY(open_towers(p, o, err));
    FW_TRY(fw_int8_done(p->int8, err));
    return open_buffers(p, err);
}

static flywheel_policy *policy_new(fw_err *err) {
    flywheel_policy *p = calloc(1, sizeof *p);
    if (p == NULL) {
        fw_fail(err, FW_NOMEM, "no memory for a policy");
        return NULL;
    }
    p->base.v = &vtable;
    return p;
}

static fw_status open_dir(flywheel_policy *p, const char *dir, const fw_flywheel_opts *o, fw_err *err) {
    char path[4096];
    fw_stats *stats = NULL;
    FW_TRY(fw_flywheel_read_meta(dir, &p->meta, err));
    if (o->embodiment != NULL && strcmp(o->embodiment, p->meta.embodiment.name) != 0) {
        return fw_fail(err, FW_INVALID, "%s is for embodiment '%s', not '%s'", dir, p->meta.embodiment.name,
                       o->embodiment);
    }
    snprintf(path, sizeof path, "%s/stats.json", dir);
    FW_TRY(fw_stats_load(path, &stats, err));
    fw_status st = open_all(p, dir, stats, o, err);
    fw_stats_free(stats);
    return st == FW_OK ? st : fw_fail_in(err, st, "%s", dir);
}

fw_status fw_flywheel_open(const char *dir, const fw_flywheel_opts *opts, fw_policy **out, fw_err *err) {
    fw_flywheel_opts o = opts != NULL ? *opts : (fw_flywheel_opts){0};
    flywheel_policy *p = policy_new(err);
    *out = NULL;
    if (p == NULL) {
        return FW_NOMEM;
    }
    fw_status st = open_dir(p, dir, &o, err);
    if (st != FW_OK) {
        policy_close(&p->base);
        return st;
    }
    *out = &p->base;
    return FW_OK;
}

void fw_flywheel_profile(fw_policy *self, bool on) {
    flywheel_policy *p = (flywheel_policy *)self;
    fw_vision_tower_profile(p->vision, on);
    fw_plan_profile(p->plan, on);
}

/* ---- random ---- */

static fw_status put_plain(fw_stats *s, const char *key, int n, float std, fw_err *err) {
    float zero[512] = {0.0f}, one[512], low[512];
    for (int i = 0; i < n; i++) {
        one[i] = std;
        low[i] = -std;
    }
    return fw_stats_put(s, key, n, zero, one, low, one, low, one, err);
}

static fw_status plain_stats(const fw_flywheel_meta *meta, fw_stats *s, fw_err *err) {
    FW_TRY(put_plain(s, "observation.state", meta->embodiment.n_state, 1.0f, err));
    FW_TRY(put_plain(s, "observation.state.delta", meta->embodiment.n_state, 1.0f, err));
    FW_TRY(put_plain(s, "action", meta->embodiment.n_action, 1.0f, err));
    for (int i = 0; i < meta->cfg.n_camera * meta->cfg.n_tap; i++) {
        char key[128];
        int size = 0, channels = 0, block = meta->cfg.tap[i % meta->cfg.n_tap];
        FW_TRY(fw_effnet_tap_shape(block, meta->cfg.image_size, &size, &channels, err));
        snprintf(key, sizeof key, "features.%s.%d", meta->cfg.camera[i / meta->cfg.n_tap], block);
        FW_TRY(put_plain(s, key, channels, 7.0f, err)); /* about what the tower's features have */
    }
    return FW_OK;
}

fw_status fw_flywheel_random(const fw_flywheel_cfg *cfg, const fw_embodiment *emb, const fw_flywheel_opts *opts,
                             fw_policy **out, fw_err *err) {
    fw_flywheel_opts o = opts != NULL ? *opts : (fw_flywheel_opts){0};
    fw_stats *stats = NULL;
    flywheel_policy *p = policy_new(err);
    *out = NULL;
    if (p == NULL) {
        return FW_NOMEM;
    }
    strcpy(p->meta.name, "random");
    p->meta.cfg = *cfg;
    p->meta.embodiment = *emb;
    fw_status st = fw_flywheel_cfg_bind(&p->meta.cfg, emb, err);
    if (st == FW_OK) {
        st = fw_stats_new(&stats, err);
    }
    if (st == FW_OK) {
        st = plain_stats(&p->meta, stats, err);
    }
    if (st == FW_OK) {
        st = open_all(p, NULL, stats, &o, err);
    }
    fw_stats_free(stats);
    if (st != FW_OK) {
        policy_close(&p->base);
        return st;
    }
    *out = &p->base;
    return FW_OK;
}
