/* vla.c - what SmolVLA, pi0 and pi0.5 share: prefix, inputs, loss, time, pictures. See vla.h; who sees whom is in vla_suffix.c. */
#include "model/vla.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/vla_int.h"

fw_vla_io fw_vla_io_of(int64_t batch, int n_camera, int n_token) {
    fw_vla_io io;
    memset(&io, 0xFF, sizeof(io)); /* FW_NONE */
    io.batch = batch;
    io.n_camera = n_camera;
    io.n_token = n_token;
    io.ragged = io.seen = io.state_apart = false;
    return io;
}

bool vla_is_smolvla(const fw_lerobot_config *c) {
    return c->policy == FW_POLICY_SMOLVLA;
}

int64_t fw_vla_image_tokens(const fw_lerobot_config *c) {
    const int64_t side = c->vla.vision.image / c->vla.vision.patch / (vla_is_smolvla(c) ? c->vla.shuffle : 1);
    return side * side;
}

/* Places of pictures and words. */
int64_t vla_read_length(const fw_lerobot_config *c, const fw_vla_io *io) {
    return io->n_camera * fw_vla_image_tokens(c) + io->n_token;
}

int64_t fw_vla_prefix_length(const fw_lerobot_config *c, const fw_vla_io *io) {
    return vla_read_length(c, io) + vla_is_smolvla(c);
}

int64_t fw_vla_suffix_length(const fw_lerobot_config *c) {
    return c->chunk + (c->policy == FW_POLICY_PI0);
}

fw_decoder vla_language(fw_graph *g, const fw_lerobot_config *c) {
    const bool smol = vla_is_smolvla(c);
    return (fw_decoder){.g = g,
                        .prefix = smol ? SMOL "vlm.model.text_model" : PI "paligemma.model.language_model",
                        .size = &c->vla.text,
                        .act = smol ? FW_ACT_SILU : FW_ACT_GELU_TANH,
                        .eps = smol ? 1e-5f : 1e-6f,
                        .cond = FW_NONE};
}

fw_decoder vla_expert(fw_graph *g, const fw_lerobot_config *c) {
    fw_decoder d = vla_language(g, c);
    d.prefix = vla_is_smolvla(c) ? SMOL "lm_expert" : PI "gemma_expert.model";
    d.size = &c->vla.expert;
    return d;
}

int vla_expert_layer(const fw_lerobot_config *c, int layer) {
    const int every = c->vla.text.layers / c->vla.expert.layers;
    return layer % every == 0 ? layer / every : -1;
}

bool vla_is_cross(const fw_lerobot_config *c, int layer) {
    return vla_is_smolvla(c) && (c->vla.self_attn_every == 0 || layer % c->vla.self_attn_every != 0);
}

/* ---- the prefix ---- */

/* [B,side^2,C] -> [B,(side/s)^2,s*s*C]: squares of s x s patches become one token, row by row. */
static fw_val pixel_shuffle(fw_graph *g, fw_val x, int64_t s) {
    const fw_shape shape = *fw_val_shape(g, x);
    const int64_t b = shape.d[0], side = (int64_t)lround(sqrt((double)shape.d[1])), out = side / s, c = shape.d[2];
    x = fw_reshape(g, x, FW_SHAPE_OF(b * out, s, out, s * c));
    x = fw_permute(g, x, (const int[]){0, 2, 1, 3});
    return fw_reshape(g, x, FW_SHAPE_OF(b, out * out, s * s * c));
}

static fw_val see(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io, int i) {
    const fw_vla_config *v = &c->vla;
    char name[32];
    snprintf(name, sizeof(name), "image.%d", i);
    io->image[i] = fw_input(g, name, FW_F32, FW_SHAPE_OF(io->batch, v->vision.image, v->vision.image, 3));
    if (vla_is_smolvla(c)) {
        fw_val x = io->vision[i] = fw_siglip(g, SMOL "vlm.model.vision_model", &v->vision, io->image[i]);
        return fw_linear(g, pixel_shuffle(g, x, v->shuffle), SMOL "vlm.model.connector.modality_projection.proj.weight",
                         NULL, v->text.width, FW_ACT_NONE, FW_NONE);
    }
    fw_val x = io->vision[i] = fw_siglip(g, PI "paligemma.model.vision_tower.vision_model", &v->vision, io->image[i]);
    return fw_linear(g, x, PI "paligemma.model.multi_modal_projector.linear.weight",
                     PI "paligemma.model.multi_modal_projector.linear.bias", v->text.width, FW_ACT_NONE, FW_NONE);
}

void fw_vla_pictures(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io) {
    for (int i = 0; i < io->n_camera; i++) {
        io->connector[i] = see(g, c, io, i);
    }
}

/* What was seen, as the language model reads it. */
static fw_val picture(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io, int i) {
    char name[32];
    snprintf(name, sizeof(name), "seen.%d", i);
    io->connector[i] =
        io->seen ? fw_input(g, name, FW_F32, FW_SHAPE_OF(io->batch, fw_vla_image_tokens(c), c->vla.text.width))
                 : see(g, c, io, i);
    return vla_is_smolvla(c) ? fw_scale(g, io->connector[i], sqrtf((float)c->vla.text.width)) : io->connector[i];
}

static fw_val words(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io) {
    const char *table = vla_is_smolvla(c) ? SMOL "vlm.model.text_model.embed_tokens.weight"
                                          : PI "paligemma.model.language_model.embed_tokens.weight";
    io->tokens = fw_input(g, "tokens", FW_I32, FW_SHAPE_OF(io->batch, io->n_token));
    return fw_scale(g, fw_embedding(g, io->tokens, table, c->vla.vocab, c->vla.text.width),
                    sqrtf((float)c->vla.text.width));
}

fw_val vla_state(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io, int64_t width) {
    io->state = fw_input(g, "state", FW_F32, FW_SHAPE_OF(io->batch, c->vla.max_state));
    fw_val x = fw_linear(g, io->state, "model.state_proj.weight", "model.state_proj.bias", width, FW_ACT_NONE, FW_NONE);
    return fw_reshape(g, x, FW_SHAPE_OF(io->batch, 1, width));
}

/* Keys and values of layer i for the expert: turned, and for SmolVLA's odd layers projected by the expert. */
static void cache(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io, int i, fw_val k, fw_val v) {
    const int e = vla_expert_layer(c, i);
    const fw_decoder expert = vla_expert(g, c);
    if (e >= 0) {
        io->k[i] = vla_is_cross(c, i) ? fw_decoder_project(&expert, e, 'k', k) : k;
        io->v[i] = vla_is_cross(c, i) ? fw_decoder_project(&expert, e, 'v', v) : v;
    }
}

/* A stream of the prefix: all of it, or pictures and words, or the state. */
typedef struct stream {
    fw_val x, table; /* table of its positions */
    fw_attn_opts who;
    fw_val k, v; /* of the layer at hand */
} stream;

static void keys(const fw_decoder *d, int layer, stream *s, fw_val h) {
    s->k = fw_rope(d->g, fw_decoder_project(d, layer, 'k', h), s->table, d->size->kv_heads);
    s->v = fw_decoder_project(d, layer, 'v', h);
}

/* The rest of the layer, looking at keys k and values v. */
static void look(const fw_decoder *d, int layer, stream *s, fw_val h, fw_val k, fw_val v, fw_val lengths) {
    fw_val q = fw_rope(d->g, fw_decoder_project(d, layer, 'q', h), s->table, d->size->heads);
    s->x = fw_decoder_finish(d, layer, s->x, FW_NONE, fw_grouped_attention(d->g, q, k, v, lengths, &s->who));
}

/* The language model over one stream, or two: pictures and words see each other, the state behind them sees all. */
static void read_prefix(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io, stream *s, int n_stream) {
    const fw_decoder d = vla_language(g, c);
    for (int i = 0; i < c->vla.text.layers; i++) {
        fw_val h[2] = {FW_NONE, FW_NONE};
        io->vlm[i] = s[0].x;
        fw_graph_segment(g, true);
        for (int j = 0; j < n_stream; j++) {
            h[j] = fw_decoder_norm_in(&d, i, s[j].x).y;
            keys(&d, i, &s[j], h[j]);
        }
        fw_val k = s[0].k, v = s[0].v;
        if (n_stream == 2) {
            k = fw_concat(g, (fw_val[]){s[0].k, s[1].k}, 2, 1);
            v = fw_concat(g, (fw_val[]){s[0].v, s[1].v}, 2, 1);
        }
        cache(g, c, io, i, k, v);
        if (i + 1 < c->vla.text.layers) { /* nobody reads what the last layer makes but its keys and values */
            look(&d, i, &s[0], h[0], s[0].k, s[0].v, io->lengths);
            if (n_stream == 2) {
                look(&d, i, &s[1], h[1], k, v, io->lengths);
            }
        }
    }
    fw_graph_segment(g, false);
}

static fw_val lengths_of(fw_graph *g, const fw_vla_io *io) {
    return fw_input(g, "lengths", FW_I32, io->ragged ? FW_SHAPE_OF(io->batch, 2) : FW_SHAPE_OF(io->batch));
}

void fw_vla_prefix(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io) {
    const fw_decoder_size *size = &c->vla.text;
    const int64_t read = vla_read_length(c, io), n = fw_vla_prefix_length(c, io);
    const bool apart = io->state_apart && vla_is_smolvla(c);
    fw_val part[FW_CAM_MAX + 2], state = FW_NONE;
    int n_part = 0;
    for (int i = 0; i < io->n_camera; i++) {
        part[n_part++] = picture(g, c, io, i);
    }
    part[n_part++] = words(g, c, io);
    if (vla_is_smolvla(c)) {
        state = vla_state(g, c, io, size->width);
    }
    if (state != FW_NONE && !apart) {
        part[n_part++] = state;
    }
    io->prefix = fw_concat(g, part, n_part, 1);
    io->lengths = lengths_of(g, io);
    io->prefix_pos = fw_input(g, "prefix_pos", FW_I32, FW_SHAPE_OF(io->batch, n));
    fw_val table = fw_rope_table(g, io->prefix_pos, size->head_dim, 10000.0);
    stream s[2] = {{.x = io->prefix, .table = table}, {.x = state}};
    s[0].who = (fw_attn_opts){size->heads, size->kv_heads, FW_MASK_PREFIX, read, read, read};
    if (apart) {
        s[0].table = fw_slice(g, table, 1, 0, read);
        s[1].table = fw_slice(g, table, 1, read, n);
        s[1].who = (fw_attn_opts){size->heads, size->kv_heads, FW_MASK_PREFIX, read, 0, 0};
    }
    read_prefix(g, c, io, s, apart ? 2 : 1);
}

void fw_vla_cache_inputs(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io) {
    const int64_t n = fw_vla_prefix_length(c, io), width = (int64_t)c->vla.text.kv_heads * c->vla.text.head_dim;
    io->lengths = lengths_of(g, io);
    for (int i = 0; i < c->vla.text.layers; i++) {
        char name[32];
        if (vla_expert_layer(c, i) < 0) {
            continue;
        }
        snprintf(name, sizeof(name), "k.%d", i);
        io->k[i] = fw_input(g, name, FW_F32, FW_SHAPE_OF(io->batch, n, width));
        snprintf(name, sizeof(name), "v.%d", i);
        io->v[i] = fw_input(g, name, FW_F32, FW_SHAPE_OF(io->batch, n, width));
    }
}

void fw_vla_loss(fw_graph *g, const fw_lerobot_config *c, fw_vla_io *io, int n_action) {
    io->target = fw_input(g, "target", FW_F32, FW_SHAPE_OF(io->batch, c->chunk, c->vla.max_action));
    io->weight = fw_input(g, "weight", FW_F32, FW_SHAPE_OF(io->batch, c->chunk));
    io->loss =
        fw_mse_loss(g, fw_slice(g, io->velocity, 2, 0, n_action), fw_slice(g, io->target, 2, 0, n_action), io->weight);
}

/* ---- what is not learnt ---- */

/* Positions of entry b's prefix, whose real places are [from, to), and of its suffix. */
static void put_positions(fw_plan *p, const fw_lerobot_config *c, const fw_vla_io *io, int64_t b, int32_t from,
                          int32_t to) {
    const int64_t read = vla_read_length(c, io), n = fw_vla_prefix_length(c, io), ns = fw_vla_suffix_length(c);
    int32_t *pos = fw_plan_data(p, io->prefix_pos), *after = fw_plan_data(p, io->suffix_pos),
            *cross = fw_plan_data(p, io->cross_pos);
    for (int32_t i = 0; pos != NULL && i < n; i++) {
        const int32_t at = i >= read ? to : i < from ? from : i < to ? i : to - 1;
        pos[b * n + i] = at - from;
    }
    for (int32_t i = 0; i < ns; i++) {
        if (after != NULL) {
            after[b * ns + i] = to - from + vla_is_smolvla(c) + i;
        }
        if (cross != NULL) {
            cross[b * ns + i] = i;
        }
    }
}

void fw_vla_fill(fw_plan *p, const fw_lerobot_config *c, const fw_vla_io *io, const int32_t *n_words,
                 const int32_t *n_pictures) {
    const int64_t each = fw_vla_image_tokens(c);
    int32_t *lengths = fw_plan_data(p, io->lengths);
    for (int64_t b = 0; b < io->batch; b++) {
        const int32_t from = n_pictures != NULL ? (int32_t)((io->n_camera - n_pictures[b]) * each) : 0;
        const int32_t to = (int32_t)(io->n_camera * each) + n_words[b];
        if (lengths != NULL && io->ragged) {
            lengths[2 * b] = from;
            lengths[2 * b + 1] = to;
        } else if (lengths != NULL) {
            lengths[b] = to;
        }
        put_positions(p, c, io, b, from, to);
    }
}

/* Sines, then cosines of time over periods from min to max, geometric. */
static void time_embedding(const fw_lerobot_config *c, float time, float *out) {
    const int half = c->vla.expert.width / 2;
    for (int i = 0; i < half; i++) {
        double fraction = half > 1 ? (double)i / (half - 1) : 0.0;
        double period = c->vla.min_period * pow(c->vla.max_period / c->vla.min_period, fraction);
        double angle = 2.0 * 3.14159265358979323846 / period * (double)time;
        out[i] = (float)sin(angle);
        out[half + i] = (float)cos(angle);
    }
}

void fw_vla_put_time(fw_plan *p, const fw_lerobot_config *c, const fw_vla_io *io, int64_t b, float time) {
    const int64_t w = c->vla.expert.width, rows = c->policy == FW_POLICY_PI05 ? 1 : c->chunk;
    float *at = (float *)fw_plan_data(p, io->time) + b * rows * w;
    time_embedding(c, time, at);
    for (int64_t i = 1; i < rows; i++) {
        memcpy(at + i * w, at, (size_t)w * sizeof(*at));
    }
}

/* Where pixel i of n comes from in m: the two neighbours and the weight of the second. */
static void tap(int i, int n, int m, int *a, int *b, float *t) {
    float x = ((float)i + 0.5f) * ((float)m / (float)n) - 0.5f;
    x = x < 0.0f ? 0.0f : x;
    *a = (int)x < m - 1 ? (int)x : m - 1;
    *b = *a < m - 1 ? *a + 1 : *a;
    *t = x - (float)*a;
}

static void scale_into(const uint8_t *src, int h, int w, float *dst, int ld, int oh, int ow) {
    for (int y = 0; y < oh; y++) {
        int y0, y1;
        float ty;
        tap(y, oh, h, &y0, &y1, &ty);
        for (int x = 0; x < ow; x++) {
            int x0, x1;
            float tx;
            tap(x, ow, w, &x0, &x1, &tx);
            for (int ch = 0; ch < 3; ch++) {
                const float a = (float)src[((size_t)y0 * w + x0) * 3 + ch],
                            b = (float)src[((size_t)y0 * w + x1) * 3 + ch];
                const float e = (float)src[((size_t)y1 * w + x0) * 3 + ch],
                            f = (float)src[((size_t)y1 * w + x1) * 3 + ch];
                const float top = a + (b - a) * tx, low = e + (f - e) * tx;
                dst[((size_t)y * ld + x) * 3 + ch] = (top + (low - top) * ty) * (2.0f / 255.0f) - 1.0f;
            }
        }
    }
}

/* ---- openpi's way: 8 bits, and smoothed where it gets smaller, as PIL scales (Image.resize, BILINEAR) ---- */

enum { TAPS = 256, TAP_BITS = 22 }; /* enough to scale 127 times down; fractions of a weight */

/* Source pixels that make one, and their weights, which sum to 1 << TAP_BITS. */
typedef struct taps {
    int first, n;
    int32_t w[TAPS];
} taps;

static double triangle(double x) {
    return fabs(x) < 1.0 ? 1.0 - fabs(x) : 0.0;
}

/* Of pixel i of n made from m. */
static void taps_of(int i, int n, int m, taps *t) {
    const double scale = (double)m / n, wide = scale > 1.0 ? scale : 1.0, centre = (i + 0.5) * scale;
    int end = (int)(centre + wide + 0.5);
    double sum = 0.0;
    t->first = (int)(centre - wide + 0.5) > 0 ? (int)(centre - wide + 0.5) : 0;
    end = end < m ? end : m;
    t->n = end - t->first < TAPS ? end - t->first : TAPS;
    for (int k = 0; k < t->n; k++) {
        sum += triangle((k + t->first - centre + 0.5) / wide);
    }
    for (int k = 0; k < t->n; k++) {
        t->w[k] = (int32_t)(0.5 + triangle((k + t->first - centre + 0.5) / wide) / sum * (1 << TAP_BITS));
    }
}

static int clip8(int32_t x) {
    const int v = x >> TAP_BITS;
    return v < 0 ? 0 : v > 255 ? 255 : v;
}

/* The pixel at rows r and columns c, channel ch: first along the row, rounded to 8 bits, then down. */
static int pixel_of(const uint8_t *src, int w, const taps *r, const taps *c, int ch) {
    int32_t down = 1 << (TAP_BITS - 1);
    for (int y = 0; y < r->n; y++) {
        const uint8_t *at = src + ((size_t)(r->first + y) * (size_t)w + (size_t)c->first) * 3 + ch;
        int32_t along = 1 << (TAP_BITS - 1);
        for (int x = 0; x < c->n; x++) {
            along += at[3 * x] * c->w[x];
        }
        down += clip8(along) * r->w[y];
    }
    return clip8(down);
}

static void scale_smoothly(const uint8_t *src, int h, int w, float *dst, int ld, int oh, int ow) {
    taps r, c;
    for (int y = 0; y < oh; y++) {
        taps_of(y, oh, h, &r);
        for (int x = 0; x < ow; x++) {
            taps_of(x, ow, w, &c);
            for (int ch = 0; ch < 3; ch++) {
                dst[((size_t)y * ld + x) * 3 + ch] = (float)pixel_of(src, w, &r, &c, ch) / 255.0f * 2.0f - 1.0f;
            }
        }
    }
}

void fw_vla_fit_image(const fw_lerobot_config *c, const uint8_t *src, int h, int w, float *dst) {
    const int size = c->vla.vision.image;
    const double ratio = fmax((double)w / size, (double)h / size);
    int oh = (int)(h / ratio), ow = (int)(w / ratio);
    oh = oh < 1 ? 1 : oh > size ? size : oh;
    ow = ow < 1 ? 1 : ow > size ? size : ow;
    const int top = vla_is_smolvla(c) ? size - oh : (size - oh) / 2,
              left = vla_is_smolvla(c) ? size - ow : (size - ow) / 2;
    for (int64_t i = 0; i < (int64_t)size * size * 3; i++) {
        dst[i] = -1.0f;
    }
    (c->openpi ? scale_smoothly : scale_into)(src, h, w, dst + ((size_t)top * size + left) * 3, size, oh, ow);
}

void fw_vla_rules_of(const fw_lerobot_config *c, fw_vla_rules *r) {
    static const fw_feed_rule smol[] = {
        {FW_FEED_SPARE, SMOL "vlm.lm_head.", NULL},
        {FW_FEED_SPARE, SMOL "vlm.model.text_model.norm.", NULL},
        {FW_FEED_SPARE, SMOL "lm_expert.lm_head.", NULL},
    };
    static const fw_feed_rule pi[] = {
        {FW_FEED_PLUS_ONE, PI "paligemma.model.language_model.*norm.weight", NULL},
        {FW_FEED_PLUS_ONE, PI "gemma_expert.model.*norm.weight", NULL},
        {FW_FEED_ALIAS, PI "paligemma.model.language_model.embed_tokens.weight", PI "paligemma.lm_head.weight"},
        {FW_FEED_SPARE, PI "paligemma.lm_head.", NULL},
        {FW_FEED_SPARE, PI "gemma_expert.lm_head.", NULL},
        {FW_FEED_SPARE, PI "gemma_expert.model.embed_tokens.", NULL},
        {FW_FEED_SPARE, PI "paligemma.model.language_model.norm.", NULL},
    };
    const bool is_smol = vla_is_smolvla(c);
    r->n = (int)(is_smol ? sizeof(smol) / sizeof(*smol) : sizeof(pi) / sizeof(*pi));
    memcpy(r->rule, is_smol ? smol : pi, (size_t)r->n * sizeof(*r->rule));
    /* of the last language layer only keys and values are used */
    snprintf(r->last_layer, sizeof(r->last_layer), "%s.layers.%d.", vla_language(NULL, c).prefix,
             c->vla.text.layers - 1);
    r->rule[r->n++] = (fw_feed_rule){FW_FEED_SPARE, r->last_layer, NULL};
}

static bool begins(const char *name, const char *with) {
    return strncmp(name, with, strlen(with)) == 0;
}

/* Of the language model LeRobot's SmolVLA leaves the last layer alone, two of them when the expert has fewer layers. */
static bool is_last_layer(const fw_lerobot_config *c, const char *name) {
    char at[96];
    const int n = c->vla.text.layers, last = n != c->vla.expert.layers && n % c->vla.expert.layers == 0 ? 2 : 1;
    for (int i = n - last; i < n; i++) {
        snprintf(at, sizeof at, "%s.layers.%d.", vla_language(NULL, c).prefix, i);
        if (begins(name, at)) {
            return true;
        }
    }
    return false;
}

bool fw_vla_trains(const fw_lerobot_config *c, const char *name) {
    const bool smol = vla_is_smolvla(c);
    if (begins(name, "model.state_proj.")) {
        return !smol || c->optim.train_state_proj;
    }
    if (!begins(name, smol ? SMOL "vlm." : PI "paligemma.")) {
        return true;
    }
    const char *vision = smol ? SMOL "vlm.model.vision_model." : PI "paligemma.model.vision_tower.";
    return !c->optim.train_expert_only && !(c->optim.freeze_vision && begins(name, vision)) &&
           !(smol && is_last_layer(c, name));
}
