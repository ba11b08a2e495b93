/* ACT against LeRobot's own, stage by stage: tests/golden/policies/act* */
#include "policy_golden.h"

#include <unistd.h>

#include "model/act.h"

/* A tiny ACT as a plan; batch of 2. */
typedef struct net {
    golden gold;
    fw_lerobot_config cfg;
    fw_params *params;
    fw_graph *g;
    fw_plan *plan;
    fw_act_io io;
} net;

static fw_weights *weights_of(const golden *g) {
    fw_weights *w = NULL;
    fw_err err = {0};
    char path[600];
    snprintf(path, sizeof path, "%s/model.safetensors", g->dir);
    CHECK_OK(fw_weights_open(path, "", &w, &err), err);
    return w;
}

static net build(const char *name, bool train) {
    net n = {.gold = golden_open(name, "golden")};
    fw_err err = {0};
    CHECK_OK(fw_lerobot_config_load(n.gold.dir, &n.cfg, &err), err);
    CHECK_OK(fw_params_new(1, &n.params, &err), err);
    CHECK_OK(fw_graph_new(n.params, &n.g, &err), err);
    CHECK_OK(fw_act_build(n.g, &n.cfg, 2, train, &n.io, &err), err);
    fw_weights *w = weights_of(&n.gold);
    CHECK_OK(fw_act_load(n.params, w, &err), err);
    fw_weights_close(w);
    return n;
}

static void plan(net *n, bool train, const fw_val *outputs, int n_output) {
    fw_err err = {0};
    fw_plan_opts o = {.train = train};
    CHECK_OK(fw_plan_new(n->g, &o, outputs, n_output, &n->plan, &err), err);
    fw_act_fill(n->plan, &n->cfg, &n->io);
}

static void clear(net *n) {
    fw_plan_free(n->plan);
    fw_graph_free(n->g);
    fw_params_free(n->params);
    fw_st_close(n->gold.st);
}

/* (x - mean) / (std + 1e-8), as the preprocessor; key's statistics broadcast over the last dimension. */
static void put_normalised(net *n, fw_val v, const char *key, double unit) {
    char path[700], name[160];
    fw_st *st = NULL;
    fw_err err = {0};
    size_t count = 0;
    float *x, *out = fw_plan_data(n->plan, v), mean[16] = {0}, std[16];
    snprintf(path, sizeof path, "%s/policy_preprocessor_step_3_normalizer_processor.safetensors", n->gold.dir);
    snprintf(name, sizeof name, "in.%s", key);
    x = golden_f32(&n->gold, name, &count);
    CHECK_OK(fw_st_open(path, &st, &err), err);
    snprintf(name, sizeof name, "%s.mean", key);
    const fw_st_tensor *t = fw_st_find(st, name);
    CHECK(t != NULL && out != NULL);
    size_t c = (size_t)fw_shape_count(&t->shape);
    CHECK_OK(fw_st_read_f32(st, name, &t->shape, mean, &err), err);
    snprintf(name, sizeof name, "%s.std", key);
    CHECK_OK(fw_st_read_f32(st, name, &t->shape, std, &err), err);
    for (size_t i = 0; i < count; i++) {
        out[i] = (float)(((double)x[i] * unit - (double)mean[i % c]) / ((double)std[i % c] + 1e-8));
    }
    fw_st_close(st);
    free(x);
}

static void put_plain(net *n, fw_val v, const char *name) {
    size_t count = 0;
    float *x = golden_f32(&n->gold, name, &count);
    memcpy(fw_plan_data(n->plan, v), x, count * sizeof *x);
    free(x);
}

static void put_observation(net *n) {
    int cam = 0;
    put_normalised(n, n->io.state, "observation.state", 1.0);
    for (int i = 0; i < n->cfg.n_input; i++) {
        if (n->cfg.input[i].kind == FW_FEATURE_VISUAL) {
            put_normalised(n, n->io.image[cam++], n->cfg.input[i].key, 1.0 / 255.0);
        }
    }
    if (n->io.env == FW_NONE) {
        return;
    }
    if (n->cfg.norm[FW_FEATURE_ENV] == FW_LEROBOT_IDENTITY) {
        put_plain(n, n->io.env, "in.observation.environment_state");
    } else {
        put_normalised(n, n->io.env, "observation.environment_state", 1.0);
    }
}

static void same_as_lerobot(const char *name) {
    net n = build(name, false);
    fw_err err = {0};
    fw_val outputs[8] = {n.io.chunk, n.io.encoder, n.io.decoder};
    char stage[32];
    for (int i = 0; i < n.io.n_camera; i++) {
        outputs[3 + i] = n.io.map[i];
    }
    plan(&n, false, outputs, 3 + n.io.n_camera);
    put_observation(&n);
    CHECK_OK(fw_plan_run(n.plan, &err), err);
    for (int i = 0; i < n.io.n_camera; i++) {
        snprintf(stage, sizeof stage, "mid.backbone.%d", i);
        check_golden(&n.gold, stage, fw_plan_data(n.plan, n.io.map[i]));
    }
    check_golden(&n.gold, "mid.encoder", fw_plan_data(n.plan, n.io.encoder));
    check_golden(&n.gold, "mid.decoder", fw_plan_data(n.plan, n.io.decoder));
    check_golden(&n.gold, "out.model", fw_plan_data(n.plan, n.io.chunk));
    clear(&n);
}

static void two_cameras_are_lerobots(void) {
    same_as_lerobot("act");
}

static void norms_first_and_an_environment_are_lerobots(void) {
    same_as_lerobot("act_pre_norm");
}

static void gelu_is_lerobots(void) {
    same_as_lerobot("act_ensemble");
}

static void no_camera_is_lerobots(void) {
    same_as_lerobot("act_env");
}

/* ---- training ---- */

static void put_target(net *n) {
    put_normalised(n, n->io.action, "action", 1.0);
    float *pad = golden_f32(&n->gold, "in.action_is_pad", NULL), *weight = fw_plan_data(n->plan, n->io.weight);
    for (int b = 0; b < 2; b++) {
        int counts = 0;
        for (int t = 0; t < n->cfg.chunk; t++) {
            weight[b * n->cfg.chunk + t] = 1.0f - pad[b * n->cfg.chunk + t];
            counts += pad[b * n->cfg.chunk + t] == 0.0f;
        }
        if (n->io.lengths != FW_NONE) {
            ((int32_t *)fw_plan_data(n->plan, n->io.lengths))[b] = fw_act_seen(&n->io, counts);
        }
    }
    if (n->io.eps != FW_NONE) {
        put_plain(n, n->io.eps, "in.eps");
    }
    free(pad);
}

/* Squares of the gradient of a parameter, or of the three that the checkpoint has as one. */
static double squares(net *n, const char *name, int *found) {
    static const char *const tails[] = {"", ".q", ".k", ".v"};
    double sum = 0.0;
    for (int t = 0; t < 4; t++) {
        char full[200];
        snprintf(full, sizeof full, "%s%s", name, tails[t]);
        fw_parameter *p = fw_params_find(n->params, full);
        const float *d = p == NULL ? NULL : fw_plan_grad(n->plan, p);
        for (int64_t i = 0; d != NULL && i < fw_shape_count(&p->shape); i++) {
            sum += (double)d[i] * (double)d[i];
        }
        *found += d != NULL;
    }
    return sum;
}

/* Every gradient's norm; those that LeRobot's gives are all there. */
static void check_norms(net *n, double scale) {
    int checked = 0;
    for (int i = 0; i < fw_st_count(n->gold.st); i++) {
        const fw_st_tensor *t = fw_st_at(n->gold.st, i);
        if (strncmp(t->name, "train.norm.", 11) == 0) {
            int found = 0;
            float want = 0.0f;
            memcpy(&want, t->data, sizeof want);
            double got = sqrt(squares(n, t->name + 11, &found));
            if (found == 0 || fabs(got - (double)want) > 1e-4 * scale + 1e-3 * (double)want) {
                FW_FAILED("%s: |d %s| is %g, want %g", n->gold.dir, t->name + 11, got, (double)want);
            }
            checked++;
        }
    }
    CHECK(checked > 20);
}

/* dst in the checkpoint's layout: [O,C,kh,kw] of convolutions. */
static void as_stored(const fw_parameter *p, const float *d, float *dst) {
    const fw_shape *s = &p->shape;
    int64_t n = fw_shape_count(s), c = s->n == 4 ? s->d[3] : 1, hw = s->n == 4 ? s->d[1] * s->d[2] : 1;
    for (int64_t i = 0; i < n; i++) {
        int64_t o = i / (hw * c), k = i / c % hw, j = i % c;
        dst[(o * c + j) * hw + k] = d[i];
    }
}

/* Gradients that the golden has in full. */
static void check_full(net *n) {
    static const char *const tails[] = {"", ".q", ".k", ".v"};
    static float got[16384];
    int checked = 0;
    for (int i = 0; i < fw_st_count(n->gold.st); i++) {
        const fw_st_tensor *t = fw_st_at(n->gold.st, i);
        int64_t at = 0;
        for (int k = 0; k < 4 && strncmp(t->name, "train.grad.", 11) == 0; k++) {
            char full[200];
            snprintf(full, sizeof full, "%s%s", t->name + 11, tails[k]);
            fw_parameter *p = fw_params_find(n->params, full);
            if (p != NULL) {
                as_stored(p, fw_plan_grad(n->plan, p), got + at);
                at += fw_shape_count(&p->shape);
            }
        }
        if (at > 0) {
            CHECK_INT(at, fw_shape_count(&t->shape));
            check_golden(&n->gold, t->name, got);
            checked++;
        }
    }
    CHECK(checked >= 4);
}

static float scalar(net *n, fw_val v) {
    return *(const float *)fw_plan_data(n->plan, v);
}

static void trains_as_lerobot(const char *name) {
    net n = build(name, true);
    fw_err err = {0};
    const fw_val outputs[3] = {n.io.loss, n.io.l1, n.io.posterior};
    bool vae = n.cfg.act.use_vae;
    plan(&n, true, outputs, vae ? 3 : 2);
    put_observation(&n);
    put_target(&n);
    CHECK_OK(fw_plan_run(n.plan, &err), err);
    float loss = scalar(&n, n.io.loss), l1 = scalar(&n, n.io.l1);
    check_golden(&n.gold, "train.loss", &loss);
    check_golden(&n.gold, "train.l1_loss", &l1);
    if (vae) {
        check_golden(&n.gold, "train.latent", fw_plan_data(n.plan, n.io.posterior));
    }
    check_norms(&n, vae ? 1.0 : 0.1);
    check_full(&n);
    clear(&n);
}

static void loss_and_gradients_are_lerobots(void) {
    trains_as_lerobot("act");
    trains_as_lerobot("act_ensemble");
    trains_as_lerobot("act_env");
}

static void loss_and_gradients_without_a_vae_are_lerobots(void) {
    trains_as_lerobot("act_pre_norm");
}

/* ---- saving ---- */

/* Every trainable parameter moved a little, the file written again. */
static void save_moved(net *n, const char *path) {
    fw_err err = {0};
    fw_weights *w = weights_of(&n->gold);
    for (int i = 0; i < fw_params_count(n->params); i++) {
        fw_parameter *p = fw_params_at(n->params, i);
        for (int64_t k = 0; p->trainable && k < fw_shape_count(&p->shape); k++) {
            p->data[k] += 0.5f;
        }
    }
    CHECK_OK(fw_act_save(n->params, w, path, &err), err);
    fw_weights_close(w);
}

static bool is_frozen(const char *name) {
    return strstr(name, ".bn") != NULL || strstr(name, "downsample.1") != NULL || strstr(name, "pos_enc") != NULL;
}

static void a_saved_network_has_the_same_tensors_moved(void) {
    net n = build("act", true);
    fw_err err = {0};
    char path[600];
    fw_st *was = NULL, *is = NULL;
    snprintf(path, sizeof path, "fw_act_%d.safetensors", (int)getpid());
    save_moved(&n, path);
    CHECK_OK(fw_st_open(path, &is, &err), err);
    CHECK_INT(remove(path), 0);
    snprintf(path, sizeof path, "%s/model.safetensors", n.gold.dir);
    CHECK_OK(fw_st_open(path, &was, &err), err);
    CHECK_INT(fw_st_count(is), fw_st_count(was));
    for (int i = 0; i < fw_st_count(was); i++) {
        const fw_st_tensor *a = fw_st_at(was, i), *b = fw_st_find(is, a->name);
        CHECK(b != NULL && fw_shape_eq(&a->shape, &b->shape) && a->dtype == b->dtype);
        for (int64_t k = 0; k < fw_shape_count(&a->shape); k++) {
            float x, y;
            memcpy(&x, (const char *)a->data + 4 * k, 4);
            memcpy(&y, (const char *)b->data + 4 * k, 4);
            if (y != x + (is_frozen(a->name) ? 0.0f : 0.5f)) {
                FW_FAILED("%s[%lld] was %g, is %g", a->name, (long long)k, (double)x, (double)y);
            }
        }
    }
    fw_st_close(was);
    fw_st_close(is);
    clear(&n);
}

FW_TEST_MAIN(T(a_saved_network_has_the_same_tensors_moved), T(two_cameras_are_lerobots),
             T(norms_first_and_an_environment_are_lerobots), T(gelu_is_lerobots), T(no_camera_is_lerobots),
             T(loss_and_gradients_are_lerobots), T(loss_and_gradients_without_a_vae_are_lerobots))
