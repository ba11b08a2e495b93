/* SmolVLA, pi0 and pi0.5 against LeRobot, value by value: pictures, prefix, keys, expert, velocity, chunk, loss and gradients */
#include <math.h>
#include <unistd.h>

#include "model/vla.h"
#include "model_test.h"
#include "tensor/safetensors.h"

static fw_err g_err;

/* A golden directory and one golden file of it. */
typedef struct gold {
    char dir[512];
    fw_lerobot_config c;
    fw_st *st, *stats;
    fw_vla_rules rules;
    fw_weights *w;
    fw_feed feed;
    fw_params *params;
    fw_vla_io io; /* batch, n_camera, n_token of the golden */
    const uint8_t *rgb[FW_CAM_MAX];
    int h[FW_CAM_MAX], wd[FW_CAM_MAX];
    int32_t tokens[4 * 256], n_words[4];
    double worst;
} gold;

static const fw_st_tensor *need(const gold *t, const char *name) {
    const fw_st_tensor *x = fw_st_find(t->st, name);
    if (x == NULL)
        FW_FAILED("%s has no %s", t->dir, name);
    return x;
}

/* Right-padded words of each entry. */
static void read_words(gold *t) {
    const fw_st_tensor *ids = need(t, "mid.tokens"), *mask = need(t, "mid.tokens_mask");
    t->io.batch = ids->shape.d[0], t->io.n_token = (int)ids->shape.d[1];
    memcpy(t->tokens, ids->data, ids->bytes);
    for (int64_t b = 0; b < t->io.batch; b++) {
        for (int i = 0; i < t->io.n_token; i++) {
            t->n_words[b] += ((const uint8_t *)mask->data)[b * t->io.n_token + i];
        }
    }
}

static void read_pictures(gold *t) {
    for (int i = 0; i < t->c.n_input; i++) {
        char name[200];
        snprintf(name, sizeof name, "in.%s", t->c.input[i].key);
        const fw_st_tensor *x = t->c.input[i].kind == FW_FEATURE_VISUAL ? fw_st_find(t->st, name) : NULL;
        if (x != NULL) {
            t->rgb[t->io.n_camera] = x->data;
            t->h[t->io.n_camera] = (int)x->shape.d[1], t->wd[t->io.n_camera++] = (int)x->shape.d[2];
        }
    }
}

static gold gold_open(const char *policy, const char *file, bool half) {
    gold t = {.io = fw_vla_io_of(0, 0, 0)};
    char path[640];
    snprintf(t.dir, sizeof t.dir, "%spolicies/%s", GOLDEN, policy);
    CHECK_OK(fw_lerobot_config_load(t.dir, &t.c, &g_err), g_err);
    snprintf(path, sizeof path, "%s/%s.safetensors", t.dir, file);
    CHECK_OK(fw_st_open(path, &t.st, &g_err), g_err);
    snprintf(path, sizeof path, "%s/policy_postprocessor_step_0_unnormalizer_processor.safetensors", t.dir);
    CHECK_OK(fw_st_open(path, &t.stats, &g_err), g_err);
    snprintf(path, sizeof path, "%s/model.safetensors", t.dir);
    CHECK_OK(fw_weights_open(path, "", &t.w, &g_err), g_err);
    CHECK_OK(fw_params_new(1, &t.params, &g_err), g_err);
    fw_vla_rules_of(&t.c, &t.rules);
    t.feed.half = half;
    read_words(&t);
    read_pictures(&t);
    return t;
}

/* The feed and its rules point into t: only once it lies where it stays. */
static void gold_start(gold *t) {
    fw_vla_rules_of(&t->c, &t->rules);
    t->feed.weights = t->w, t->feed.rule = t->rules.rule, t->feed.n_rule = t->rules.n;
    fw_feed_start(&t->feed, t->params);
}

static void gold_close(gold *t) {
    fw_params_free(t->params);
    fw_weights_close(t->w);
    fw_st_close(t->st), fw_st_close(t->stats);
}

/* Largest difference over the scale of what is wanted: at most `most`. */
static void agrees(gold *t, const char *what, const float *got, const float *want, int64_t n, double most) {
    double d = 0.0, scale = 0.0;
    for (int64_t i = 0; i < n; i++) {
        CHECK(isfinite(got[i]));
        d = fmax(d, fabs((double)got[i] - (double)want[i]));
        scale = fmax(scale, fabs((double)want[i]));
    }
    if (d > most * scale)
        FW_FAILED("%s: %s differs by %.3g, values up to %.3g", t->dir, what, d, scale);
    t->worst = fmax(t->worst, d / scale);
}

static float *widened(const gold *t, const char *name, int64_t *n) {
    const fw_st_tensor *x = need(t, name);
    *n = fw_shape_count(&x->shape);
    float *out = malloc((size_t)*n * sizeof(float));
    CHECK_OK(fw_st_read_f32(t->st, name, &x->shape, out, &g_err), g_err);
    return out;
}

static void agrees_with(gold *t, fw_plan *p, fw_val v, const char *name, double most) {
    int64_t n;
    float *want = widened(t, name, &n);
    CHECK(fw_plan_data(p, v) != NULL);
    agrees(t, name, fw_plan_data(p, v), want, n, most);
    free(want);
}

/* The same of values a place of the prefix: LeRobot keeps cameras that are missing and padding, masked; we compare the rest. */
static void agrees_where_seen(gold *t, fw_plan *p, fw_val v, const char *name, double most) {
    const uint8_t *mask = need(t, "mid.prefix_mask")->data;
    const int64_t theirs = need(t, "mid.prefix_mask")->shape.d[1], ours = fw_vla_prefix_length(&t->c, &t->io);
    const int64_t seen = t->io.n_camera * fw_vla_image_tokens(&t->c);
    int64_t n;
    float *want = widened(t, name, &n);
    const int64_t width = n / (theirs * t->io.batch);
    const float *got = fw_plan_data(p, v);
    for (int64_t b = 0; b < t->io.batch; b++) {
        int64_t mine = 0;
        for (int64_t j = 0; j < theirs; j++) {
            if (mask[b * theirs + j]) {
                agrees(t, name, got + (b * ours + mine) * width, want + (b * theirs + j) * width, width, most);
                mine = mine + 1 == seen + t->n_words[b] ? seen + t->io.n_token : mine + 1;
            }
        }
    }
    free(want);
}

/* ---- inference ---- */

typedef struct graphs {
    fw_graph *prefix, *suffix;
    fw_vla_io before, step; /* io of each */
    fw_plan *read, *denoise;
} graphs;

/* Of a layer without an expert's there is no cache. */
static int with(fw_val *out, int n, fw_val v) {
    if (v != FW_NONE) {
        out[n++] = v;
    }
    return n;
}

static graphs graphs_open(gold *t, fw_precision precision) {
    graphs s = {.before = t->io, .step = t->io};
    const fw_plan_opts o = {.precision = precision};
    fw_val out[4 * FW_DECODER_LAYERS];
    int n = 0;
    CHECK_OK(fw_graph_new(t->params, &s.prefix, &g_err), g_err);
    CHECK_OK(fw_graph_new(t->params, &s.suffix, &g_err), g_err);
    gold_start(t);
    fw_vla_prefix(s.prefix, &t->c, &s.before);
    fw_vla_cache_inputs(s.suffix, &t->c, &s.step);
    fw_vla_suffix(s.suffix, &t->c, &s.step);
    CHECK_OK(fw_graph_check(s.prefix, &g_err), g_err);
    CHECK_OK(fw_graph_check(s.suffix, &g_err), g_err);
    CHECK_OK(fw_feed_done(&t->feed, &g_err), g_err);
    fw_params_set_trainable(t->params, "", false);
    for (int i = 0; i < t->c.vla.text.layers; i++) {
        n = with(out, with(out, with(out, n, s.before.k[i]), s.before.v[i]), s.before.vlm[i]);
    }
    for (int i = 0; i < t->io.n_camera; i++) {
        out[n++] = s.before.vision[i], out[n++] = s.before.connector[i];
    }
    out[n++] = s.before.prefix;
    CHECK_OK(fw_plan_new(s.prefix, &o, out, n, &s.read, &g_err), g_err);
    n = 0;
    out[n++] = s.step.velocity, out[n++] = s.step.suffix, out[n++] = s.step.out;
    for (int i = 0; i < t->c.vla.expert.layers; i++) {
        out[n++] = s.step.expert[i];
    }
    CHECK_OK(fw_plan_new(s.suffix, &o, out, n, &s.denoise, &g_err), g_err);
    return s;
}

static void graphs_close(graphs *s) {
    fw_plan_free(s->read), fw_plan_free(s->denoise);
    fw_graph_free(s->prefix), fw_graph_free(s->suffix);
}

/* mean and standard deviation of the state from the checkpoint's normaliser */
static void put_state(gold *t, fw_plan *p, fw_val state) {
    float *out = fw_plan_data(p, state);
    if (out == NULL) {
        return;
    }
    const fw_st_tensor *x = need(t, "in.observation.state"), *m = fw_st_find(t->stats, "observation.state.mean"),
                       *s = fw_st_find(t->stats, "observation.state.std");
    CHECK(m != NULL && s != NULL);
    const int64_t n = x->shape.d[1];
    for (int64_t b = 0; b < t->io.batch; b++) {
        for (int64_t i = 0; i < n; i++) {
            float mean = ((const float *)m->data)[i], std = ((const float *)s->data)[i];
            out[b * t->c.vla.max_state + i] = (((const float *)x->data)[b * n + i] - mean) / (std + 1e-8f);
        }
    }
}

/* In a ragged batch of more pictures than the golden has, something is in the places before them. */
static void put_pictures(gold *t, fw_plan *p, const fw_vla_io *io) {
    const int64_t size = (int64_t)t->c.vla.vision.image * t->c.vla.vision.image * 3;
    const int spare = io->n_camera - t->io.n_camera;
    int32_t n_pictures[4] = {0};
    for (int64_t b = 0; b < io->batch; b++) {
        n_pictures[b] = t->io.n_camera;
        for (int i = 0; i < io->n_camera; i++) {
            const int from = i < spare ? 0 : i - spare;
            fw_vla_fit_image(&t->c, t->rgb[from] + b * t->h[from] * t->wd[from] * 3, t->h[from], t->wd[from],
                             (float *)fw_plan_data(p, io->image[i]) + b * size);
        }
    }
    memcpy(fw_plan_data(p, io->tokens), t->tokens, (size_t)(io->batch * io->n_token) * sizeof(int32_t));
    fw_vla_fill(p, &t->c, io, t->n_words, n_pictures);
}

static void copy_cache(gold *t, graphs *s) {
    for (int i = 0; i < t->c.vla.text.layers; i++) {
        if (s->step.k[i] == FW_NONE) {
            continue;
        }
        const size_t bytes = (size_t)fw_shape_count(fw_val_shape(s->suffix, s->step.k[i])) * sizeof(float);
        memcpy(fw_plan_data(s->denoise, s->step.k[i]), fw_plan_data(s->read, s->before.k[i]), bytes);
        memcpy(fw_plan_data(s->denoise, s->step.v[i]), fw_plan_data(s->read, s->before.v[i]), bytes);
    }
}

static bool has(const gold *t, const char *name) {
    return fw_st_find(t->st, name) != NULL;
}

static void check_prefix(gold *t, graphs *s, double most) {
    char name[64];
    for (int i = 0; i < t->io.n_camera; i++) {
        snprintf(name, sizeof name, "mid.vision.%d", i);
        if (has(t, name)) {
            agrees_with(t, s->read, s->before.vision[i], name, most);
            snprintf(name, sizeof name, "mid.connector.%d", i);
            agrees_with(t, s->read, s->before.connector[i], name, most);
        }
    }
    if (has(t, "mid.prefix")) {
        agrees_where_seen(t, s->read, s->before.prefix, "mid.prefix", most);
    }
    for (int i = 0; i < t->c.vla.text.layers; i++) {
        snprintf(name, sizeof name, "mid.k%d", i);
        const bool cross = t->c.policy == FW_POLICY_SMOLVLA &&
                           (t->c.vla.self_attn_every == 0 || i % t->c.vla.self_attn_every != 0); /* projected already */
        if (has(t, name) && !cross) {
            agrees_where_seen(t, s->read, s->before.k[i], name, most);
            snprintf(name, sizeof name, "mid.v%d", i);
            agrees_where_seen(t, s->read, s->before.v[i], name, most);
        }
    }
}

/* Euler steps from the golden's noise; checks the first and the last velocity, and the chunk. */
static void check_flow(gold *t, graphs *s, double most) {
    const int steps = t->c.vla.flow_steps, n_action = (int)fw_lerobot_output(&t->c, FW_FEATURE_ACTION)->shape[0];
    const int64_t rows = t->io.batch * t->c.chunk, n = rows * t->c.vla.max_action;
    float *x = fw_plan_data(s->denoise, s->step.x);
    memcpy(x, need(t, "in.noise")->data, (size_t)n * sizeof(float));
    for (int k = 0; k < steps; k++) {
        for (int64_t b = 0; b < t->io.batch; b++) {
            fw_vla_put_time(s->denoise, &t->c, &s->step, b, (float)(1.0 - k / (double)steps));
        }
        CHECK_OK(fw_plan_run(s->denoise, &g_err), g_err);
        if (k == 0 && has(t, "mid.suffix")) {
            agrees_with(t, s->denoise, s->step.suffix, "mid.suffix", most);
        }
        if (k == 0 && has(t, "mid.velocity_first")) {
            agrees_with(t, s->denoise, s->step.velocity, "mid.velocity_first", most);
        }
        const float *v = fw_plan_data(s->denoise, s->step.velocity);
        for (int64_t i = 0; i < n; i++) {
            x[i] -= v[i] / (float)steps;
        }
    }
    if (has(t, "mid.velocity_last")) {
        agrees_with(t, s->denoise, s->step.velocity, "mid.velocity_last", most);
    }
    int64_t n_out;
    float *want = widened(t, "out.model", &n_out), *got = malloc((size_t)n_out * sizeof(float));
    CHECK(n_out == rows * n_action);
    for (int64_t i = 0; i < n_out; i++) {
        got[i] = x[i / n_action * t->c.vla.max_action + i % n_action];
    }
    agrees(t, "out.model", got, want, n_out, most);
    free(want), free(got);
}

static double infer_as_golden(const char *policy, const char *file, bool half, fw_precision precision, double most) {
    gold t = gold_open(policy, file, half);
    graphs s = graphs_open(&t, precision);
    put_pictures(&t, s.read, &s.before);
    put_state(&t, s.read, s.before.state);
    put_state(&t, s.denoise, s.step.state);
    CHECK_OK(fw_plan_run(s.read, &g_err), g_err);
    check_prefix(&t, &s, most);
    fw_vla_fill(s.denoise, &t.c, &s.step, t.n_words, NULL);
    copy_cache(&t, &s);
    check_flow(&t, &s, most);
    graphs_close(&s);
    gold_close(&t);
    return t.worst;
}

static const char *const k_policy[] = {"smolvla", "pi0", "pi05"};
static const char *const k_file[] = {"golden", "golden_long", "golden_empty", "golden_missing"};

static void inference_is_that_of_lerobot(void) {
    for (int p = 0; p < 3; p++) {
        for (int f = 0; f < 4; f++) {
            printf("# %s %s: %.1e\n", k_policy[p], k_file[f],
                   infer_as_golden(k_policy[p], k_file[f], false, FW_PRECISION_DEFAULT, 1e-4));
        }
    }
}

static void an_expert_of_fewer_layers_that_never_reads_itself_is_lerobots(void) {
    infer_as_golden("smolvla_cross", "golden", false, FW_PRECISION_DEFAULT, 1e-4);
}

/* Weights kept in bfloat16 and products in bfloat16 or int8: tiny networks of random weights, so a loose bound; how policies fare is
 * measured in closed loop. */
static void inference_in_fewer_bits_stays_near(void) {
    for (int p = 0; p < 3; p++) {
        double half = infer_as_golden(k_policy[p], "golden", true, FW_PRECISION_DEFAULT, 0.03);
        double bf16 = infer_as_golden(k_policy[p], "golden", true, FW_PRECISION_BF16, 0.05);
        double int8 = infer_as_golden(k_policy[p], "golden", true, FW_PRECISION_INT8, 0.25);
        printf("# %s: weights in bf16 %.1e, products in bf16 %.1e, in int8 %.1e\n", k_policy[p], half, bf16, int8);
    }
}

/* ---- training ---- */

static void put_training(gold *t, fw_plan *p, const fw_vla_io *io) {
    const fw_st_tensor *action = need(t, "mid.action");
    const float *noise = need(t, "in.noise")->data, *time = need(t, "in.time")->data, *a = action->data;
    const uint8_t *pad = need(t, "in.action_is_pad")->data;
    float *x = fw_plan_data(p, io->x), *target = fw_plan_data(p, io->target), *weight = fw_plan_data(p, io->weight);
    const int64_t rows = t->c.chunk, d = t->c.vla.max_action, n_action = action->shape.d[2];
    for (int64_t i = 0; i < io->batch * rows * d; i++) {
        const float now = time[i / (rows * d)], act = i % d < n_action ? a[i / d * n_action + i % d] : 0.0f;
        x[i] = now * noise[i] + (1.0f - now) * act;
        target[i] = noise[i] - act;
    }
    for (int64_t i = 0; i < io->batch * rows; i++) { /* LeRobot's pi0 counts what is past the end, too */
        weight[i] = t->c.policy == FW_POLICY_SMOLVLA ? 1.0f - (float)pad[i] : 1.0f;
    }
    for (int64_t b = 0; b < io->batch; b++) {
        fw_vla_put_time(p, &t->c, io, b, time[b]);
    }
}

static double norm_of(const float *x, int64_t n) {
    double s = 0.0;
    for (int64_t i = 0; i < n; i++) {
        s += (double)x[i] * (double)x[i];
    }
    return sqrt(s);
}

/* A parameter of the golden as we call it: tied tables have the name of the embedding. */
static fw_parameter *parameter_of(gold *t, const char *name) {
    fw_parameter *q = fw_params_find(t->params, name);
    if (q == NULL && strcmp(name, "model.paligemma_with_expert.paligemma.lm_head.weight") == 0) {
        q = fw_params_find(t->params, "model.paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight");
    }
    return q;
}

static void check_gradients(gold *t, fw_plan *p) {
    int norms = 0, whole = 0;
    for (int i = 0; i < fw_st_count(t->st); i++) {
        const fw_st_tensor *x = fw_st_at(t->st, i);
        const bool norm = strncmp(x->name, "train.norm.", 11) == 0, full = strncmp(x->name, "train.grad.", 11) == 0;
        if (!norm && !full) {
            continue;
        }
        const fw_parameter *q = parameter_of(t, x->name + 11);
        const float *want = x->data, *got = q == NULL ? NULL : fw_plan_grad(p, q);
        const int64_t n = q == NULL ? 0 : fw_shape_count(&q->shape);
        if (got == NULL) {
            if (norm && want[0] == 0.0f) {
                continue; /* nothing hangs on it */
            }
            FW_FAILED("%s: no gradient of %s", t->dir, x->name + 11);
        }
        if (full) {
            agrees(t, x->name, got, want, n, 1e-4);
            whole++;
        } else {
            double g = norm_of(got, n);
            if (fabs(g - (double)want[0]) > 2e-4 * ((double)want[0] + 1e-3))
                FW_FAILED("%s: gradient of %s has norm %.7g, %.7g wanted", t->dir, x->name + 11, g, (double)want[0]);
            norms++;
        }
    }
    CHECK(norms > 60 && whole > 5);
}

/* Golden k's training step; apart: its state beside the rest; spare: in a ragged batch with room for more pictures. */
static void train_as_golden(int k, bool apart, int spare) {
    gold t = gold_open(k_policy[k], "golden_train", false);
    fw_vla_io io = t.io;
    fw_graph *g;
    fw_plan *p;
    io.state_apart = apart;
    io.ragged = spare > 0;
    io.n_camera += spare;
    CHECK_OK(fw_graph_new(t.params, &g, &g_err), g_err);
    gold_start(&t);
    fw_vla_prefix(g, &t.c, &io);
    fw_vla_suffix(g, &t.c, &io);
    fw_vla_loss(g, &t.c, &io, (int)need(&t, "mid.action")->shape.d[2]);
    CHECK_OK(fw_graph_check(g, &g_err), g_err);
    CHECK_OK(fw_feed_done(&t.feed, &g_err), g_err);
    CHECK_OK(fw_plan_new(g, &(fw_plan_opts){.train = true}, &io.loss, 1, &p, &g_err), g_err);
    put_pictures(&t, p, &io);
    put_state(&t, p, io.state);
    put_training(&t, p, &io);
    CHECK_OK(fw_plan_run(p, &g_err), g_err);
    agrees_with(&t, p, io.loss, "train.loss", 1e-5);
    check_gradients(&t, p);
    printf("# %s%s%s: %.1e\n", k_policy[k], apart ? ", state apart" : "", spare > 0 ? ", ragged" : "", t.worst);
    fw_plan_free(p);
    fw_graph_free(g);
    gold_close(&t);
}

static void a_training_step_is_that_of_lerobot(void) {
    for (int k = 0; k < 3; k++) {
        train_as_golden(k, false, 0);
        train_as_golden(k, false, 1);
    }
    train_as_golden(0, true, 0);
    train_as_golden(0, true, 2);
}

/* ---- files ---- */

static void a_checkpoint_is_saved_as_it_was_read(void) {
    char path[128];
    snprintf(path, sizeof path, "fw_vla_%d.safetensors", (int)getpid());
    for (int k = 0; k < 3; k++) {
        gold t = gold_open(k_policy[k], "golden", false);
        graphs s = graphs_open(&t, FW_PRECISION_DEFAULT);
        fw_params_set_trainable(t.params, "", true);
        fw_params_find(t.params, "model.action_out_proj.bias")->data[0] = 0.5f;
        CHECK_OK(fw_feed_save(&t.feed, path, &g_err), g_err);
        fw_st *now;
        CHECK_OK(fw_st_open(path, &now, &g_err), g_err);
        const fw_st *was = fw_weights_file(t.w);
        CHECK_INT(fw_st_count(now), fw_st_count(was));
        for (int i = 0; i < fw_st_count(was); i++) {
            const fw_st_tensor *a = fw_st_at(was, i), *b = fw_st_find(now, a->name);
            CHECK(b != NULL && a->dtype == b->dtype && fw_shape_eq(&a->shape, &b->shape));
            if (strcmp(a->name, "model.action_out_proj.bias") == 0) {
                CHECK(((const float *)b->data)[0] == 0.5f);
            } else if (strstr(a->name, "norm.weight") == NULL) { /* norms go through w + 1 */
                CHECK(memcmp(a->data, b->data, a->bytes) == 0);
            }
        }
        fw_st_close(now);
        unlink(path);
        graphs_close(&s);
        gold_close(&t);
    }
}

static void what_is_missing_or_left_over_is_named(void) {
    gold t = gold_open("smolvla", "golden", false);
    fw_graph *g;
    fw_vla_io io = t.io;
    CHECK_OK(fw_graph_new(t.params, &g, &g_err), g_err);
    gold_start(&t);
    t.c.vla.vision.layers = 3; /* the file has two */
    fw_vla_prefix(g, &t.c, &io);
    CHECK_FAILS(fw_graph_check(g, &g_err), g_err, FW_SHAPE,
                "vision_model.encoder.layers.2.layer_norm1.weight' [32] is missing");
    CHECK_FAILS(fw_feed_done(&t.feed, &g_err), g_err, FW_SHAPE, "is not part of this network");
    fw_graph_free(g);
    gold_close(&t);
}

FW_TEST_MAIN(T(inference_is_that_of_lerobot), T(an_expert_of_fewer_layers_that_never_reads_itself_is_lerobots),
             T(inference_in_fewer_bits_stays_near), T(a_training_step_is_that_of_lerobot),
             T(a_checkpoint_is_saved_as_it_was_read), T(what_is_missing_or_left_over_is_named))
