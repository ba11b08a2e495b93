/* learner.c - see learner.h: what all learners share, and flywheel-s. */
#include "train/learner.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/checkpoint.h"
#include "model/proprio.h"
#include "tensor/safetensors.h"

fw_status fw_learner_open(const fw_train_cfg *cfg, const char *const *dirs, int n, fw_pool *pool, fw_learner **out,
                          fw_err *err) {
    return cfg->pretrained ? fw_learner_pretrained(cfg, dirs, n, pool, out, err)
                           : fw_learner_flywheel(cfg, dirs, n, pool, out, err);
}

void fw_learner_close(fw_learner *l) {
    if (l == NULL) {
        return;
    }
    fw_plan_free(l->check);
    fw_plan_free(l->plan);
    fw_optim_free(l->optim);
    fw_graph_free(l->graph);
    fw_params_free(l->params);
    fw_trainset_close(&l->data);
    l->v->close(l);
}

fw_status fw_learner_plan(fw_learner *l, fw_err *err) {
    const fw_plan_opts infer = {
        .pool = l->pool, .seed = l->cfg->seed, .precision = l->cfg->precision, .pack_at_use = true};
    fw_plan_opts train = infer;
    train.train = true;
    train.checkpoint = l->cfg->gradient_checkpointing;
    FW_TRY(fw_optim_new(l->params, &l->cfg->optim, l->pool, &l->optim, err));
    FW_TRY(fw_plan_new(l->graph, &train, &l->loss, 1, &l->plan, err));
    return l->data.held_frames > 0 ? fw_plan_new(l->graph, &infer, &l->loss, 1, &l->check, err) : FW_OK;
}

/* ---- flywheel-s ---- */

typedef struct flywheel {
    fw_learner base; /* first */
    fw_flywheel_io io;
} flywheel;

/* Weights of the tower that is in the graph, from this installation's file (names there lack the "tower."). */
static fw_status load_tower(fw_params *params, fw_err *err) {
    char path[1024];
    fw_st *f = NULL;
    fw_status s = FW_OK;
    FW_TRY(fw_path_join(path, sizeof path, fw_home(), ".deps/towers/efficientnet_lite0.safetensors", err));
    FW_TRY(fw_st_open(path, &f, err));
    for (int i = 0; i < fw_params_count(params) && s == FW_OK; i++) {
        fw_parameter *p = fw_params_at(params, i);
        if (strncmp(p->name, "tower.", 6) == 0) {
            s = fw_st_read_f32(f, p->name + 6, &p->shape, p->data, err);
        }
    }
    fw_st_close(f);
    return s;
}

/* The layer that reads the body, of a policy that knew less of what is settled: `more` of its columns are new, and zero, so that the two begin as
 * the same policy. `after` columns come behind them. */
static fw_status load_wider(const fw_st *f, fw_parameter *p, int64_t more, int64_t after, fw_err *err) {
    const int64_t n = p->shape.d[0], wide = p->shape.d[1], narrow = wide - more, head = narrow - after;
    float *w = malloc(sizeof(float) * (size_t)(n * narrow));
    if (w == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for '%s'", p->name);
    }
    fw_status s = fw_st_read_f32(f, p->name, &FW_SHAPE_OF(n, narrow), w, err);
    memset(p->data, 0, sizeof(float) * (size_t)(n * wide));
    for (int64_t i = 0; i < n && s == FW_OK; i++) {
        memcpy(p->data + i * wide, w + i * narrow, sizeof(float) * (size_t)head);
        memcpy(p->data + i * wide + wide - after, w + i * narrow + head, sizeof(float) * (size_t)after);
    }
    free(w);
    return s;
}

/* Weights of another policy, where it has them: one trained on a frozen tower lacks "tower." and gets it elsewhere. more: values of the body's
 * row that it did not have. */
static fw_status load_from(const char *dir, const fw_flywheel_cfg *cfg, int more, fw_params *params, fw_err *err) {
    char path[1100];
    fw_st *f = NULL;
    fw_status s = FW_OK;
    FW_TRY(fw_path_join(path, sizeof path, dir, "model.safetensors", err));
    FW_TRY(fw_st_open(path, &f, err));
    for (int i = 0; i < fw_params_count(params) && s == FW_OK; i++) {
        fw_parameter *p = fw_params_at(params, i);
        bool optional = strncmp(p->name, "tower.", 6) == 0 || strncmp(p->name, "pi.norm.", 8) == 0;
        const bool mlp = strcmp(p->name, "pi.mlp.0.weight") == 0;
        if (more > 0 && (mlp || strcmp(p->name, "pi.state.token.weight") == 0)) {
            s = load_wider(f, p, more, mlp ? cfg->text_dim : 0, err);
        } else if (!optional || fw_st_find(f, p->name) != NULL) {
            s = fw_st_read_f32(f, p->name, &p->shape, p->data, err);
        }
    }
    fw_st_close(f);
    return s;
}

/* From a policy that may have been trained without a delay. */
static fw_status begin_from(const fw_train_cfg *c, fw_params *params, fw_err *err) {
    fw_flywheel_meta had;
    FW_TRY(fw_flywheel_read_meta(c->from, &had, err));
    const int width = fw_proprio_width(&c->policy, &c->embodiment);
    had.cfg.prev_state = c->policy.prev_state, had.cfg.prev_action = c->policy.prev_action;
    return load_from(c->from, &c->policy,
                     had.cfg.max_delay == 0 ? width - fw_proprio_width(&had.cfg, &c->embodiment) : 0, params, err);
}

static fw_status build(flywheel *f, fw_err *err) {
    fw_learner *l = &f->base;
    const fw_train_cfg *c = l->cfg;
    int width = fw_proprio_width(&c->policy, &c->embodiment);
    FW_TRY(fw_params_new(c->seed, &l->params, err));
    FW_TRY(fw_graph_new(l->params, &l->graph, err));
    FW_TRY(fw_flywheel_build(l->graph, &c->policy, width, c->embodiment.n_action, c->micro, true, &f->io, err));
    FW_TRY(fw_graph_check(l->graph, err));
    if (c->policy.train_tower) {
        FW_TRY(load_tower(l->params, err));
        FW_TRY(fw_flywheel_set_feature_norm(l->params, &c->policy, l->data.stats, err));
    }
    if (c->from[0] != 0) {
        FW_TRY(begin_from(c, l->params, err));
    }
    l->loss = f->io.loss;
    FW_TRY(fw_learner_plan(l, err));
    fw_optim_lr_scale(l->optim, "tower.", c->tower_lr);
    return FW_OK;
}

static fw_status flywheel_fill(fw_learner *l, fw_plan *plan, const fw_batch_row *rows, uint64_t at, fw_err *err) {
    flywheel *f = (flywheel *)l;
    fw_rng rng =
        rows[0].draw < 0
            ? fw_rng_stream(at, "held out")
            : fw_rng_stream(l->cfg->seed + (uint64_t)(rows[0].draw / l->cfg->micro) * 0x9E3779B97F4A7C15ull, "flow");
    (void)err;
    fw_batch_fill(&l->data, &f->io, plan, l->pool, rows);
    fw_flywheel_fill(plan, &f->io, &rng);
    return FW_OK;
}

static fw_status flywheel_save(fw_learner *l, const char *out, const char *card, fw_err *err) {
    fw_flywheel_meta meta = {.cfg = l->cfg->policy, .embodiment = l->cfg->embodiment};
    snprintf(meta.name, sizeof meta.name, "%s", l->cfg->name);
    snprintf(meta.tower_sha256, sizeof meta.tower_sha256, "%s", l->data.tower_sha256);
    snprintf(meta.text_sha256, sizeof meta.text_sha256, "%s", l->data.text_sha256);
    return fw_flywheel_save(out, &meta, l->params, l->data.stats, FW_BF16, card, err);
}

static void flywheel_title(const fw_learner *l, FILE *f) {
    fprintf(f, "A flywheel-s policy for the robot `%s`.", l->cfg->embodiment.name);
}

static void flywheel_describe(const fw_learner *l, FILE *f) {
    fprintf(f, "| towers | EfficientNet-Lite0 %.16s, MiniLM-L6 %.16s |\n", l->data.tower_sha256, l->data.text_sha256);
}

static void flywheel_close(fw_learner *l) {
    free(l);
}

fw_status fw_learner_flywheel(const fw_train_cfg *cfg, const char *const *dirs, int n, fw_pool *pool, fw_learner **out,
                              fw_err *err) {
    static const fw_learner_vtable vtable = {.name = "flywheel-s",
                                             .fill = flywheel_fill,
                                             .save = flywheel_save,
                                             .title = flywheel_title,
                                             .describe = flywheel_describe,
                                             .close = flywheel_close};
    flywheel *f = calloc(1, sizeof *f);
    *out = NULL;
    if (f == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a learner");
    }
    f->base.v = &vtable;
    f->base.cfg = cfg;
    f->base.pool = pool;
    fw_status s = fw_trainset_open(cfg, dirs, n, pool, &f->base.data, err);
    s = s == FW_OK ? build(f, err) : s;
    if (s != FW_OK) {
        fw_learner_close(&f->base);
        return s;
    }
    *out = &f->base;
    return FW_OK;
}
