/*
 * vla_policy.c - SmolVLA, pi0 and pi0.5 behind include/fw/policy.h: pixels, words and state in, actions in the robot's units out.
 *
 * WHAT one call does: check the observation, fit the pictures that are there, normalise the state, make the prompt and its tokens,
 * draw noise, run (vla_run.h), map the chunk back. DESIGN. Each observation of a batch has a place: its row in the buffers. Buffers are allocated
 * in open; a call allocates only when it sees a number of observations or pictures or a length of prompt for the first time.
 *
 * The tokenizer is not part of LeRobot's checkpoints: config files name it ("google/paligemma-3b-pt-224"). It is looked for where
 * the caller says, in the checkpoint's folder, and in HuggingFace's cache on this machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/pretrained.h"
#include "model/processor.h"
#include "model/tokenizer.h"
#include "model/vla_run.h"

enum { TEXT = 4096, BATCH = 16 }; /* bytes of a prompt; observations in one run of the network */

/* What an observation's place remembers of its words, and the pictures that it has. */
typedef struct place {
    char text[TEXT];
    fw_image image[FW_CAM_MAX]; /* in the config's order; rgb NULL: missing */
} place;

typedef struct vla_policy {
    fw_policy base; /* first */
    fw_lerobot_config cfg;
    fw_pretrained_robot robot;
    fw_processor processor;
    fw_tokenizer *tokenizer;
    fw_vla *net;
    fw_rng rng;
    const float *given_noise;
    int state; /* which of the config's inputs, or -1 */
    int n_place;
    place *place;                        /* [n_place], and so each of these: */
    int32_t *tokens, *n_words;           /* [max_tokens] of the place's text; 0: none */
    float *x_state, *noise, *last, *out; /* [max_state], [chunk, max_action] three times */
} vla_policy;

static size_t chunk_values(const vla_policy *p) {
    return (size_t)p->cfg.chunk * (size_t)p->cfg.vla.max_action;
}

/* ---- infer ---- */

static fw_status see(const vla_policy *p, const fw_obs *obs, fw_image *image, fw_err *err) {
    int n = 0;
    for (int i = 0; i < p->robot.n_picture; i++) {
        const fw_image *im = p->robot.camera[i] < 0 ? NULL : &obs->image[p->robot.camera[i]];
        image[i] = im != NULL ? *im : (fw_image){0};
        if (image[i].rgb == NULL) {
            continue;
        }
        if (im->h < 1 || im->w < 1) {
            return fw_fail(err, FW_SHAPE, "camera '%s': image of %d x %d pixels",
                           fw_lerobot_camera(&p->cfg.input[p->robot.picture[i]]), im->w, im->h);
        }
        n++;
    }
    return n > 0 ? FW_OK : fw_fail(err, FW_SHAPE, "the observation has no picture that the policy knows");
}

/* The prompt's tokens, unless it is the last one of this place. */
static fw_status read_words(vla_policy *p, int at, const fw_obs *obs, fw_err *err) {
    char text[TEXT];
    const int most = p->cfg.vla.max_tokens;
    int32_t *tokens = p->tokens + (size_t)at * (size_t)most;
    FW_TRY(fw_processor_prompt(&p->processor, obs->state, obs->instruction, text, sizeof text, err));
    if (p->n_words[at] > 0 && strcmp(text, p->place[at].text) == 0) {
        return FW_OK;
    }
    int n = 0;
    p->n_words[at] = 0;
    FW_TRY(fw_tokenizer_encode(p->tokenizer, text, tokens, most, &n, err));
    for (int i = 0; i < n; i++) {
        if (tokens[i] >= p->cfg.vla.vocab) {
            return fw_fail(err, FW_INVALID, "the prompt '%.60s' names token %d, the policy knows %d", text,
                           (int)tokens[i], p->cfg.vla.vocab);
        }
    }
    p->n_words[at] = n;
    memcpy(p->place[at].text, text, sizeof text);
    return n > 0 ? FW_OK : fw_fail(err, FW_INVALID, "the prompt '%.60s' has no words", text);
}

static void draw_noise(vla_policy *p, int at) {
    const size_t n = chunk_values(p);
    for (size_t i = 0; i < n; i++) {
        p->noise[(size_t)at * n + i] = p->given_noise != NULL ? p->given_noise[i] : (float)fw_rng_normal(&p->rng);
    }
}

/* The last chunk's rows as the network would have made them. */
static void look_back(vla_policy *p, int at, const fw_obs *obs, fw_vla_guide *g) {
    const int wide = p->cfg.vla.max_action, n = p->robot.e.n_action, given = obs->n_prefix + obs->n_wish;
    float *last = p->last + (size_t)at * chunk_values(p);
    *g = (fw_vla_guide){.rows = last, .n = given < p->cfg.chunk ? given : p->cfg.chunk, .settled = obs->n_prefix};
    if (g->n > 0) {
        fw_processor_target(&p->processor, obs->state, obs->prefix, (size_t)g->n, last);
    }
    for (int i = g->n - 1; i >= 0; i--) { /* n values a row -> max_action */
        memmove(last + i * wide, last + i * n, (size_t)n * sizeof *last);
        memset(last + i * wide + n, 0, (size_t)(wide - n) * sizeof *last);
    }
}

/* Everything of an observation into its place. */
static fw_status take_place(vla_policy *p, int at, const fw_obs *obs, const fw_chunk *chunk, fw_vla_guide *guide,
                            fw_err *err) {
    FW_TRY(fw_obs_check(&p->robot.e, obs, chunk, p->cfg.chunk, p->cfg.chunk / 2, err));
    FW_TRY(see(p, obs, p->place[at].image, err));
    FW_TRY(read_words(p, at, obs, err));
    if (p->state >= 0) {
        fw_map_apply(&p->processor.input[p->state], obs->state, p->x_state + (size_t)at * (size_t)p->cfg.vla.max_state,
                     1);
    }
    draw_noise(p, at);
    look_back(p, at, obs, guide);
    return FW_OK;
}

/* Pictures that at least one of n places has: [n_camera, n]. */
static fw_status gather_pictures(const vla_policy *p, int n, fw_image *image, int *n_camera, fw_err *err) {
    *n_camera = 0;
    for (int i = 0; i < p->robot.n_picture; i++) {
        bool any = false;
        for (int b = 0; b < n; b++) {
            any = any || p->place[b].image[i].rgb != NULL;
        }
        if (any && *n_camera == FW_CAM_MAX) {
            return fw_fail(err, FW_SHAPE, "more than %d pictures in one run", FW_CAM_MAX);
        }
        for (int b = 0; b < n && any; b++) {
            image[*n_camera * n + b] = p->place[b].image[i];
        }
        *n_camera += any;
    }
    return FW_OK;
}

/* The network's chunk of a place, in the robot's units. */
static fw_status give_chunk(vla_policy *p, int at, const fw_obs *obs, fw_chunk *chunk, fw_err *err) {
    const int rows = p->cfg.chunk, wide = p->cfg.vla.max_action, n = p->robot.e.n_action;
    float *out = p->out + (size_t)at * chunk_values(p);
    for (int i = 1; i < rows; i++) { /* the dimensions that the robot has */
        memmove(out + i * n, out + i * wide, (size_t)n * sizeof *out);
    }
    fw_processor_chunk(&p->processor, obs->state, out, (size_t)rows, out);
    return fw_chunk_put(&p->robot.e, obs, out, rows, chunk, err);
}

static fw_status run(vla_policy *p, int n, const fw_vla_guide *guide, fw_err *err) {
    fw_image image[FW_CAM_MAX * BATCH];
    fw_vla_batch b = {.size = n,
                      .image = image,
                      .tokens = p->tokens,
                      .ld_tokens = p->cfg.vla.max_tokens,
                      .n_words = p->n_words,
                      .state = p->x_state,
                      .noise = p->noise,
                      .guide = guide};
    FW_TRY(gather_pictures(p, n, image, &b.n_camera, err));
    return fw_vla_infer(p->net, &b, p->out, err);
}

static fw_status need_places(vla_policy *p, int n, fw_err *err);

/* At most BATCH of them. Those that are no observation for this policy are told so, the others run together. */
static void infer_some(vla_policy *p, int n, const fw_obs *obs, fw_chunk *chunk, fw_err *err) {
    fw_vla_guide guide[BATCH];
    int from[BATCH], kept = 0;
    fw_err all = {0};
    fw_status st = need_places(p, n, &all);
    for (int i = 0; i < n && st == FW_OK; i++) {
        err[i].code = take_place(p, kept, &obs[i], &chunk[i], &guide[kept], &err[i]);
        from[kept] = i;
        kept += err[i].code == FW_OK;
    }
    st = st == FW_OK && kept > 0 ? run(p, kept, guide, &all) : st;
    for (int i = 0; i < n && st != FW_OK; i++) {
        if (err[i].code == FW_OK) {
            err[i] = all;
        }
    }
    for (int k = 0; k < kept && st == FW_OK; k++) {
        err[from[k]].code = give_chunk(p, k, &obs[from[k]], &chunk[from[k]], &err[from[k]]);
    }
}

static void vla_infer_batch(fw_policy *self, int n, const fw_obs *obs, fw_chunk *chunk, fw_err *err) {
    for (int i = 0; i < n; i++) {
        err[i].code = FW_OK;
    }
    for (int i = 0; i < n; i += BATCH) {
        infer_some((vla_policy *)self, n - i < BATCH ? n - i : BATCH, obs + i, chunk + i, err + i);
    }
}

static fw_status vla_infer(fw_policy *self, const fw_obs *obs, fw_chunk *chunk, fw_err *err) {
    fw_err one = {0};
    infer_some((vla_policy *)self, 1, obs, chunk, &one);
    return one.code == FW_OK ? FW_OK : fw_fail(err, one.code, "%s", one.msg);
}

static void vla_describe(const fw_policy *self, fw_policy_info *out) {
    const vla_policy *p = (const vla_policy *)self;
    memset(out, 0, sizeof *out);
    strcpy(out->name, fw_policy_kind_name(p->cfg.policy));
    out->embodiment = &p->robot.e;
    out->horizon = p->cfg.chunk;
    out->n_execute = p->cfg.n_execute;
    out->max_delay = p->cfg.chunk / 2;
    out->guided = true;
}

static void vla_reset(fw_policy *self) {
    (void)self; /* a call knows nothing of the one before it */
}

static void vla_close(fw_policy *self) {
    vla_policy *p = (vla_policy *)self;
    fw_vla_close(p->net);
    fw_tokenizer_close(p->tokenizer);
    fw_processor_clear(&p->processor);
    free(p->place);
    free(p->tokens);
    free(p->n_words);
    free(p->x_state);
    free(p->noise);
    free(p->last);
    free(p->out);
    free(p);
}

static const fw_policy_vtable vtable = {vla_describe, vla_infer, vla_reset, vla_close, vla_infer_batch};

/* ---- the tokenizer ---- */

static bool has_tokenizer(const char *dir) {
    static const char *const name[] = {"tokenizer.json", "tokenizer.model", "vocab.txt"};
    char path[4400];
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, name[i]);
        if (fw_path_exists(path)) {
            return true;
        }
    }
    return false;
}

/* The snapshot of "org/name" in HuggingFace's cache that its main branch points to; false: none. */
static bool in_hub_cache(const char *name, char out[4096]) {
    const char *home = getenv("HF_HOME"), *user = getenv("HOME");
    char flat[512] = "", path[2048], *commit = NULL;
    size_t n = 0, at = 0;
    fw_err ignored;
    for (const char *s = name; *s != 0 && at + 3 < sizeof flat; s++) {
        flat[at++] = *s == '/' ? '-' : *s;
        if (*s == '/') {
            flat[at++] = '-';
        }
    }
    snprintf(path, sizeof path, "%s%s/hub/models--%s",
             home != NULL   ? home
             : user != NULL ? user
                            : "",
             home != NULL ? "" : "/.cache/huggingface", flat);
    snprintf(out, 4096, "%s/refs/main", path);
    if (name[0] == 0 || !fw_path_exists(out) || fw_file_read(out, 200, &commit, &n, &ignored) != FW_OK) {
        return false;
    }
    snprintf(out, 4096, "%s/snapshots/%.*s", path, (int)strcspn(commit, "\r\n"), commit);
    free(commit);
    return has_tokenizer(out);
}

/* Pieces of text, and what stands around every prompt or fills it up, must have a row in the network's table; other added tokens may lie
 * beyond it until somebody says them. */
static fw_status check_tokenizer(const fw_tokenizer *t, const char *where, int vocab, fw_err *err) {
    int32_t ids[8];
    int n = 0;
    if (fw_tokenizer_text_size(t) > vocab) {
        return fw_fail(err, FW_FORMAT, "%s: a tokenizer of %d pieces, the policy knows %d", where,
                       fw_tokenizer_text_size(t), vocab);
    }
    if (fw_tokenizer_pad_id(t) >= vocab) {
        return fw_fail(err, FW_FORMAT, "%s: prompts are filled up with token %d, the policy knows %d", where,
                       (int)fw_tokenizer_pad_id(t), vocab);
    }
    FW_TRY(fw_tokenizer_encode(t, "", ids, 8, &n, err));
    for (int i = 0; i < n; i++) {
        if (ids[i] >= vocab) {
            return fw_fail(err, FW_FORMAT, "%s: every prompt has token %d, the policy knows %d", where, (int)ids[i],
                           vocab);
        }
    }
    return FW_OK;
}

fw_status fw_pretrained_tokenizer(const char *dir, const char *given, const char *name, int vocab, fw_tokenizer **out,
                                  fw_err *err) {
    char cached[4096];
    const char *where = given != NULL ? given : has_tokenizer(dir) ? dir : NULL;
    *out = NULL;
    if (where == NULL && in_hub_cache(name, cached)) {
        where = cached;
    }
    if (where == NULL) {
        return fw_fail(
            err, FW_IO,
            "%s: no tokenizer: put tokenizer.json of '%s' into this folder (or name its folder; HuggingFace's "
            "cache has none)",
            dir, name);
    }
    fw_tokenizer *t;
    FW_TRY(fw_tokenizer_open(where, &t, err));
    fw_status s = check_tokenizer(t, where, vocab, err);
    if (s != FW_OK) {
        fw_tokenizer_close(t);
        return s;
    }
    *out = t;
    return FW_OK;
}

/* ---- open ---- */

/* n * each values of size bytes at *p, the first ones kept. */
static bool grow(void *p, int n, size_t each, size_t size) {
    void *old, *more;
    memcpy(&old, p, sizeof old);
    more = realloc(old, (size_t)n * each * size);
    if (more != NULL) {
        memcpy(p, &more, sizeof more);
    }
    return more != NULL;
}

static fw_status need_places(vla_policy *p, int n, fw_err *err) {
    const size_t chunk = chunk_values(p), state = (size_t)p->cfg.vla.max_state;
    if (n <= p->n_place) {
        return FW_OK;
    }
    if (!grow(&p->place, n, 1, sizeof *p->place) ||
        !grow(&p->tokens, n, (size_t)p->cfg.vla.max_tokens, sizeof *p->tokens) ||
        !grow(&p->n_words, n, 1, sizeof *p->n_words) || !grow(&p->x_state, n, state, sizeof *p->x_state) ||
        !grow(&p->noise, n, chunk, sizeof *p->noise) || !grow(&p->last, n, chunk, sizeof *p->last) ||
        !grow(&p->out, n, chunk, sizeof *p->out)) {
        return fw_fail(err, FW_NOMEM, "no memory for a policy's buffers");
    }
    for (int i = p->n_place; i < n; i++) { /* the state's padding stays zero */
        p->n_words[i] = 0;
        memset(p->x_state + (size_t)i * state, 0, state * sizeof *p->x_state);
    }
    p->n_place = n;
    return FW_OK;
}

/* The state goes into the network, unless it is in the words. */
static fw_status check_state(vla_policy *p, fw_err *err) {
    p->state = -1;
    for (int i = 0; i < p->cfg.n_input && p->cfg.policy != FW_POLICY_PI05; i++) {
        if (p->cfg.input[i].kind == FW_FEATURE_STATE) {
            p->state = i;
        }
    }
    if (p->robot.e.n_state > p->cfg.vla.max_state || p->robot.e.n_action > p->cfg.vla.max_action) {
        return fw_fail(err, FW_SHAPE, "%d values of state and %d of action, the network takes %d and %d",
                       p->robot.e.n_state, p->robot.e.n_action, p->cfg.vla.max_state, p->cfg.vla.max_action);
    }
    return FW_OK;
}

static fw_status open_all(vla_policy *p, const char *dir, const fw_policy_opts *o, fw_err *err) {
    const fw_vla_opts run = {
        .pool = o->pool, .precision = o->precision, .flow_steps = o->flow_steps, .int8 = o->int8, .watch = o->watch};
    FW_TRY(fw_processor_load(dir, &p->cfg, &p->processor, err));
    FW_TRY(fw_pretrained_robot_of(&p->cfg, &p->processor, o, true, &p->robot, err));
    FW_TRY(check_state(p, err));
    FW_TRY(fw_pretrained_tokenizer(dir, o->tokenizer, p->processor.tokenizer, p->cfg.vla.vocab, &p->tokenizer, err));
    FW_TRY(need_places(p, 1, err));
    return fw_vla_open(dir, &p->cfg, &run, &p->net, err);
}

fw_status fw_vla_policy_open(const char *dir, const fw_lerobot_config *c, const fw_policy_opts *o, fw_policy **out,
                             fw_err *err) {
    vla_policy *p = calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a policy");
    }
    p->base.v = &vtable;
    p->cfg = *c;
    p->rng = fw_rng_stream(o->seed, "flow");
    p->given_noise = o->noise;
    fw_status st = open_all(p, dir, o, err);
    if (st != FW_OK) {
        vla_close(&p->base);
        return st;
    }
    *out = &p->base;
    return FW_OK;
}
