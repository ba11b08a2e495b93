/* vla_run.c - see vla_run.h */
#include "model/vla_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/int8.h"

enum { SHAPES = 4, WORDS = 16 }; /* plans kept; prompts are padded to multiples of WORDS */

typedef struct shape {
    int64_t batch;
    int n_camera, n_token;
    bool ragged;
    int32_t *n_pictures; /* [batch] of the call at hand */
    uint64_t used;       /* when last; 0: empty */
    fw_graph *prefix, *suffix;
    fw_vla_io before, step;
    fw_plan *read, *denoise;
} shape;

struct fw_vla {
    fw_lerobot_config c;
    fw_vla_opts opts;
    fw_vla_rules rules;
    fw_weights *weights;
    fw_feed feed;
    fw_param_source source; /* random weights */
    uint16_t *block;        /* that they are parts of */
    fw_params *params;
    fw_int8 *int8; /* while the policy is opened; or NULL */
    shape shape[SHAPES], *last;
    uint64_t calls;
};

/* ---- plans ---- */

static void shape_free(shape *s) {
    fw_plan_free(s->read);
    fw_plan_free(s->denoise);
    fw_graph_free(s->prefix);
    fw_graph_free(s->suffix);
    free(s->n_pictures);
    *s = (shape){0};
}

static fw_status build(fw_vla *m, shape *s, fw_err *err) {
    FW_TRY(fw_graph_new(m->params, &s->prefix, err));
    FW_TRY(fw_graph_new(m->params, &s->suffix, err));
    s->before = s->step = fw_vla_io_of(s->batch, s->n_camera, s->n_token);
    s->before.ragged = s->step.ragged = s->ragged;
    s->n_pictures = calloc((size_t)s->batch, sizeof(*s->n_pictures));
    if (s->n_pictures == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a batch of %lld", (long long)s->batch);
    }
    fw_vla_prefix(s->prefix, &m->c, &s->before);
    FW_TRY(fw_graph_check(s->prefix, err));
    fw_vla_cache_inputs(s->suffix, &m->c, &s->step);
    fw_vla_suffix(s->suffix, &m->c, &s->step);
    return fw_graph_check(s->suffix, err);
}

static fw_status plan(fw_vla *m, shape *s, fw_err *err) {
    const fw_plan_opts o = {.pool = m->opts.pool, .precision = m->opts.precision, .watch = m->opts.watch};
    fw_val cache[2 * FW_DECODER_LAYERS];
    int n = 0;
    for (int i = 0; i < m->c.vla.text.layers; i++) {
        if (s->before.k[i] != FW_NONE) {
            cache[n++] = s->before.k[i];
            cache[n++] = s->before.v[i];
        }
    }
    FW_TRY(fw_plan_new(s->prefix, &o, cache, n, &s->read, err));
    return fw_plan_new(s->suffix, &o, &s->step.velocity, 1, &s->denoise, err);
}

/* Once, before weights are packed: any shape has all of them. */
static fw_status calibrate(fw_vla *m, const shape *s, fw_err *err) {
    FW_TRY(fw_int8_apply(m->int8, s->prefix, err));
    FW_TRY(fw_int8_apply(m->int8, s->suffix, err));
    FW_TRY(fw_int8_done(m->int8, err));
    fw_int8_close(m->int8);
    m->int8 = NULL;
    return FW_OK;
}

/* The plans for a shape: kept ones, or new ones in the place of the longest unused. */
static fw_status shape_for(fw_vla *m, int64_t batch, int n_camera, bool ragged, int n_token, shape **out, fw_err *err) {
    shape *oldest = &m->shape[0];
    for (int i = 0; i < SHAPES; i++) {
        shape *s = &m->shape[i];
        if (s->used > 0 && s->batch == batch && s->n_camera == n_camera && s->ragged == ragged &&
            s->n_token == n_token) {
            s->used = ++m->calls;
            *out = s;
            return FW_OK;
        }
        oldest = s->used < oldest->used ? s : oldest;
    }
    shape_free(oldest);
    *oldest = (shape){.batch = batch, .n_camera = n_camera, .ragged = ragged, .n_token = n_token};
    fw_status st = build(m, oldest, err);
    if (st == FW_OK) {
        fw_params_set_trainable(m->params, "", false);
        st = calibrate(m, oldest, err);
    }
    if (st == FW_OK) {
        st = plan(m, oldest, err);
    }
    if (st != FW_OK) {
        shape_free(oldest);
        return st;
    }
    oldest->used = ++m->calls;
    *out = oldest;
    return FW_OK;
}

/* ---- opening ---- */

/* One block that all weights are parts of, large enough for the tables of words; offsets differ. */
static fw_status random_block(fw_vla *m, int64_t n, fw_err *err) {
    fw_rng r = fw_rng_stream(1, "weights");
    m->block = malloc((size_t)n * sizeof(*m->block));
    if (m->block == NULL) {
        return fw_fail(err, FW_NOMEM, "random weights: %lld values", (long long)n);
    }
    for (int64_t i = 0; i < n; i += 4) { /* signs and 7 bits of mantissa at random, around 2^-6 */
        uint64_t bits = fw_rng_u64(&r);
        for (int64_t k = i; k < n && k < i + 4; k++, bits >>= 16) {
            m->block[k] = (uint16_t)((bits & 0x807Fu) | 0x3C80u);
        }
    }
    return FW_OK;
}

static fw_status random_half(void *ctx, const char *name, const fw_shape *dims, const uint16_t **half, bool *owned,
                             fw_err *err) {
    enum { OFFSETS = 1 << 20 };
    fw_vla *m = ctx;
    const fw_vla_config *c = &m->c.vla;
    const int64_t widest = c->text.mlp > c->vocab ? c->text.mlp : c->vocab, room = widest * c->text.width;
    fw_rng r = fw_rng_stream(1, name);
    const int64_t at = (int64_t)fw_rng_below(&r, OFFSETS);
    if (fw_shape_count(dims) > room) {
        return fw_fail(err, FW_SHAPE, "%s: %lld random values, there are %lld", name, (long long)fw_shape_count(dims),
                       (long long)room);
    }
    if (m->block == NULL) {
        FW_TRY(random_block(m, room + OFFSETS, err));
    }
    *half = m->block + at;
    *owned = false;
    return FW_OK;
}

static fw_status random_values(void *ctx, const char *name, const fw_shape *dims, float *data, fw_err *err) {
    fw_rng r = fw_rng_stream(1, name);
    (void)ctx;
    (void)err;
    for (int64_t i = 0; i < fw_shape_count(dims); i++) {
        data[i] = dims->n == 1 ? 1.0f : (float)fw_rng_uniform(&r, -0.02, 0.02);
    }
    return FW_OK;
}

static fw_status open_weights(fw_vla *m, const char *dir, fw_err *err) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/model.safetensors", dir);
    FW_TRY(fw_weights_open(path, m->c.openpi ? "model." : "", &m->weights, err));
    fw_vla_rules_of(&m->c, &m->rules);
    m->feed = (fw_feed){.weights = m->weights,
                        .rule = m->rules.rule,
                        .n_rule = m->rules.n,
                        .half = true,
                        .lossless = m->opts.precision == FW_PRECISION_DEFAULT};
    FW_TRY(m->opts.precision == FW_PRECISION_INT8 ? fw_int8_open(dir, m->opts.int8, &m->int8, err) : FW_OK);
    fw_feed_start(&m->feed, m->params);
    shape *s;
    fw_status st = shape_for(m, 1, 1, false, WORDS, &s, err); /* any shape asks for all parameters */
    fw_status done = fw_feed_done(&m->feed, st == FW_OK ? err : NULL);
    return st != FW_OK ? st : done;
}

static fw_status open_all(fw_vla *m, const char *dir, fw_err *err) {
    shape *s;
    FW_TRY(fw_params_new(1, &m->params, err));
    if (!m->opts.random) {
        return open_weights(m, dir, err);
    }
    m->source = (fw_param_source){m, random_half, random_values};
    fw_params_set_source(m->params, &m->source);
    return shape_for(m, 1, 1, false, WORDS, &s, err);
}

fw_status fw_vla_open(const char *dir, const fw_lerobot_config *c, const fw_vla_opts *o, fw_vla **out, fw_err *err) {
    *out = NULL;
    fw_vla *m = calloc(1, sizeof(*m));
    if (m == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a policy");
    }
    m->c = *c;
    m->opts = *o;
    m->opts.flow_steps = o->flow_steps > 0 ? o->flow_steps : c->vla.flow_steps;
    fw_status st = open_all(m, dir, err);
    if (st != FW_OK) {
        fw_vla_close(m);
        return st;
    }
    *out = m;
    return FW_OK;
}

void fw_vla_close(fw_vla *m) {
    if (m == NULL) {
        return;
    }
    for (int i = 0; i < SHAPES; i++) {
        shape_free(&m->shape[i]);
    }
    fw_int8_close(m->int8);
    fw_params_free(m->params);
    fw_weights_close(m->weights);
    free(m->block);
    free(m);
}

/* ---- a call ---- */

static int32_t pictures_of(const fw_vla_batch *b, int64_t entry) {
    int32_t n = 0;
    for (int i = 0; i < b->n_camera; i++) {
        n += b->image[i * b->size + entry].rgb != NULL;
    }
    return n;
}

static fw_status check(const fw_vla *m, const fw_vla_batch *b, fw_err *err) {
    if (b->size < 1 || b->n_camera < 1 || b->n_camera > FW_CAM_MAX) {
        return fw_fail(err, FW_INVALID, "a batch of %lld with %d pictures", (long long)b->size, b->n_camera);
    }
    for (int64_t i = 0; i < b->size; i++) {
        if (pictures_of(b, i) < 1) {
            return fw_fail(err, FW_INVALID, "entry %lld has no picture", (long long)i);
        }
        if (b->n_words[i] < 1 || b->n_words[i] > m->c.vla.max_tokens || b->n_words[i] > b->ld_tokens) {
            return fw_fail(err, FW_INVALID, "entry %lld: a prompt of %d words, 1 to %d wanted", (long long)i,
                           b->n_words[i], m->c.vla.max_tokens);
        }
    }
    return FW_OK;
}

/* Entry k's pictures into the last places; nobody sees what is in those before. */
static void put_pictures(const fw_vla *m, shape *s, const fw_vla_batch *b, int64_t k) {
    const int64_t pixels = (int64_t)m->c.vla.vision.image * m->c.vla.vision.image * 3;
    const int missing = s->n_camera - pictures_of(b, k);
    int at = missing;
    s->n_pictures[k] = s->n_camera - missing;
    for (int i = 0; i < missing; i++) {
        memset((float *)fw_plan_data(s->read, s->before.image[i]) + k * pixels, 0, (size_t)pixels * sizeof(float));
    }
    for (int i = 0; i < b->n_camera; i++) {
        const fw_image *im = &b->image[i * b->size + k];
        if (im->rgb != NULL) {
            float *x = fw_plan_data(s->read, s->before.image[at++]);
            fw_vla_fit_image(&m->c, im->rgb, im->h, im->w, x + k * pixels);
        }
    }
}

static void put_inputs(fw_vla *m, shape *s, const fw_vla_batch *b) {
    const fw_lerobot_config *c = &m->c;
    for (int64_t k = 0; k < b->size; k++) {
        put_pictures(m, s, b, k);
    }
    int32_t *tokens = fw_plan_data(s->read, s->before.tokens);
    for (int64_t k = 0; k < b->size * s->n_token; k++) {
        const int64_t e = k / s->n_token, i = k % s->n_token;
        tokens[k] = i < b->n_words[e] ? b->tokens[e * b->ld_tokens + i] : 0;
    }
    fw_vla_fill(s->read, c, &s->before, b->n_words, s->n_pictures);
    fw_vla_fill(s->denoise, c, &s->step, b->n_words, s->n_pictures);
    float *state = fw_plan_data(s->read, s->before.state);
    state = state != NULL ? state : fw_plan_data(s->denoise, s->step.state);
    if (state != NULL) {
        memcpy(state, b->state, (size_t)(b->size * c->vla.max_state) * sizeof(*state));
    }
}

static void hand_over(const fw_vla *m, shape *s) {
    for (int i = 0; i < m->c.vla.text.layers; i++) {
        if (s->step.k[i] != FW_NONE) {
            const size_t bytes = (size_t)fw_shape_count(fw_val_shape(s->suffix, s->step.k[i])) * sizeof(float);
            memcpy(fw_plan_data(s->denoise, s->step.k[i]), fw_plan_data(s->read, s->before.k[i]), bytes);
            memcpy(fw_plan_data(s->denoise, s->step.v[i]), fw_plan_data(s->read, s->before.v[i]), bytes);
        }
    }
}

/* How strongly the velocity at time t, 1 (noise) to 0, is bent: that of the paper, at most 10. */
static float guidance(double t) {
    const double most = 10.0, from = 1.0 - t, c = t / from * (t * t + from * from) / (t * t);
    return (float)(c < most ? c : most); /* from 0: infinite */
}

/* Bends the velocity v of an entry so that the chunk x - t v that it leads to comes nearer to the guide's rows. */
static void bend(const fw_vla *m, const fw_vla_guide *g, double t, const float *x, float *v) {
    const int wide = m->c.vla.max_action, settled = g->settled < g->n ? g->settled : g->n;
    const float strength = guidance(t);
    for (int r = 0; r < g->n; r++) {
        const float w = r < settled ? 1.0f : 1.0f - (float)(r - settled + 1) / (float)(g->n - settled + 1);
        for (int i = r * wide; i < (r + 1) * wide; i++) {
            v[i] -= strength * w * (g->rows[i] - (x[i] - (float)t * v[i]));
        }
    }
}

/* Euler steps from time 1 (noise) to 0; the chunk is left in the input x. */
static fw_status flow(fw_vla *m, shape *s, const fw_vla_guide *guide, fw_err *err) {
    const int steps = m->opts.flow_steps;
    const int64_t n = s->batch * m->c.chunk * m->c.vla.max_action;
    float *x = fw_plan_data(s->denoise, s->step.x);
    float *v = fw_plan_data(s->denoise, s->step.velocity);
    for (int k = 0; k < steps; k++) {
        const double t = 1.0 - k / (double)steps;
        for (int64_t b = 0; b < s->batch; b++) {
            fw_vla_put_time(s->denoise, &m->c, &s->step, b, (float)t);
        }
        FW_TRY(fw_plan_run(s->denoise, err));
        for (int64_t b = 0; b < s->batch && guide != NULL; b++) {
            bend(m, &guide[b], t, x + b * (n / s->batch), v + b * (n / s->batch));
        }
        for (int64_t i = 0; i < n; i++) {
            x[i] -= v[i] / (float)steps;
        }
    }
    return FW_OK;
}

fw_status fw_vla_infer(fw_vla *m, const fw_vla_batch *b, float *out, fw_err *err) {
    int words = 1, most = 0, least = FW_CAM_MAX;
    shape *s;
    FW_TRY(check(m, b, err));
    for (int64_t i = 0; i < b->size; i++) {
        const int n = pictures_of(b, i);
        words = b->n_words[i] > words ? b->n_words[i] : words;
        most = n > most ? n : most;
        least = n < least ? n : least;
    }
    FW_TRY(shape_for(m, b->size, most, least < most, (words + WORDS - 1) / WORDS * WORDS, &s, err));
    m->last = s;
    put_inputs(m, s, b);
    FW_TRY(fw_plan_run(s->read, err));
    hand_over(m, s);
    float *x = fw_plan_data(s->denoise, s->step.x);
    const size_t bytes = (size_t)(b->size * m->c.chunk * m->c.vla.max_action) * sizeof(*x);
    memcpy(x, b->noise, bytes);
    FW_TRY(flow(m, s, b->guide, err));
    memcpy(out, x, bytes);
    return FW_OK;
}

void fw_vla_get_info(const fw_vla *m, fw_vla_info *out) {
    fw_plan_info a, b;
    *out = (fw_vla_info){.steps = m->opts.flow_steps};
    if (m->last != NULL) {
        fw_plan_get_info(m->last->read, &a);
        fw_plan_get_info(m->last->denoise, &b);
        out->flops_prefix = a.flops_forward;
        out->flops_step = b.flops_forward;
        out->packed_bytes = a.packed_bytes + b.packed_bytes;
        out->arena_bytes = a.arena_bytes + b.arena_bytes;
    }
}

void fw_vla_profile(fw_vla *m, bool on) {
    if (m->last != NULL) {
        fw_plan_profile(m->last->read, on);
        fw_plan_profile(m->last->denoise, on);
    }
}
