/* loop.c - see loop.h. One step: draw rows, fill the plan's inputs, run it, move the weights. */
#include "train/loop.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "model/checkpoint.h"
#include "tensor/safetensors.h"
#include "train/batch.h"
#include "train/journal.h"
#include "train/trainstate.h"

enum { HELD_OUT_BATCHES = 4 };

typedef struct run {
    const fw_train_opts *opts;
    fw_train_cfg cfg;
    fw_pool *pool;
    fw_trainset data;
    fw_params *params;
    fw_graph *graph;
    fw_flywheel_io io;
    fw_plan *plan, *check; /* training; held-out loss, no dropout */
    fw_optim *optim;
    fw_sampler *sampler;
    fw_batch_row *rows; /* [batch] */
    fw_journal *journal;
    char *config_print, *data_print, *state_path;
    fw_trainstate at;
    double held_out;
    int64_t first_step; /* of this part of the run */
    double part_s;      /* spent in this part's steps */
} run;

static volatile sig_atomic_t stop_asked;
static void on_signal(int sig) {
    (void)sig;
    stop_asked = 1;
}

/* ---- making it ready ---- */

static fw_status apply_opts(run *r, fw_err *err) {
    const fw_train_opts *o = r->opts;
    if (o->steps > 0 || o->minutes > 0) {
        r->cfg.steps = o->steps;
        r->cfg.minutes = o->minutes;
    }
    if (o->seed >= 0) {
        r->cfg.seed = (uint64_t)o->seed;
    }
    if (o->from != NULL && snprintf(r->cfg.from, sizeof r->cfg.from, "%s", o->from) >= (int)sizeof r->cfg.from) {
        return fw_fail(err, FW_INVALID, "--from: a path of more than %zu bytes", sizeof r->cfg.from - 1);
    }
    if (r->cfg.steps <= 0 && r->cfg.minutes <= 0) {
        return fw_fail(err, FW_INVALID, "%s: neither 'steps' nor 'minutes' ends the run", o->config);
    }
    return FW_OK;
}

static fw_status prepare_out(run *r, fw_err *err) {
    char dir[1024], path[1100];
    FW_TRY(fw_path_join(dir, sizeof dir, r->opts->out, "train", err));
    FW_TRY(fw_mkdirs(dir, err));
    FW_TRY(fw_path_join(path, sizeof path, dir, "state.safetensors", err));
    if (!r->opts->resume && fw_path_exists(path)) {
        return fw_fail(err, FW_INVALID, "%s: a run was begun there: --resume goes on with it, or choose another --out",
                       r->opts->out);
    }
    r->state_path = strdup(path);
    return r->state_path != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "out of memory");
}

static fw_status fingerprints(run *r, fw_err *err) {
    size_t cap = (size_t)r->data.n_data * 65 + 1, used = 0;
    r->config_print = fw_train_cfg_fingerprint(&r->cfg);
    r->data_print = calloc(cap, 1);
    if (r->config_print == NULL || r->data_print == NULL) {
        return fw_fail(err, FW_NOMEM, "fingerprint: out of memory");
    }
    for (int d = 0; d < r->data.n_data; d++) {
        used += (size_t)snprintf(r->data_print + used, cap - used, "%s%s", d > 0 ? "+" : "", r->data.data[d].id);
    }
    return FW_OK;
}

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

/* Weights of another policy, where it has them: one trained on a frozen tower lacks "tower." and gets it elsewhere. */
static fw_status load_from(const char *dir, fw_params *params, fw_err *err) {
    char path[1100];
    fw_st *f = NULL;
    fw_status s = FW_OK;
    FW_TRY(fw_path_join(path, sizeof path, dir, "model.safetensors", err));
    FW_TRY(fw_st_open(path, &f, err));
    for (int i = 0; i < fw_params_count(params) && s == FW_OK; i++) {
        fw_parameter *p = fw_params_at(params, i);
        bool optional = strncmp(p->name, "tower.", 6) == 0 || strncmp(p->name, "pi.norm.", 8) == 0;
        if (!optional || fw_st_find(f, p->name) != NULL) {
            s = fw_st_read_f32(f, p->name, &p->shape, p->data, err);
        }
    }
    fw_st_close(f);
    return s;
}

static fw_status build(run *r, fw_err *err) {
    const fw_train_cfg *c = &r->cfg;
    int width = fw_proprio_width(&c->policy, &c->embodiment);
    FW_TRY(fw_params_new(c->seed, &r->params, err));
    FW_TRY(fw_graph_new(r->params, &r->graph, err));
    FW_TRY(fw_flywheel_build(r->graph, &c->policy, width, c->embodiment.n_action, c->batch, true, &r->io, err));
    FW_TRY(fw_graph_check(r->graph, err));
    if (c->policy.train_tower) {
        FW_TRY(load_tower(r->params, err));
        FW_TRY(fw_flywheel_set_feature_norm(r->params, &c->policy, r->data.stats, err));
    }
    if (c->from[0] != 0) {
        FW_TRY(load_from(c->from, r->params, err));
    }
    FW_TRY(fw_optim_new(r->params, &c->optim, r->pool, &r->optim, err));
    fw_optim_lr_scale(r->optim, "tower.", c->tower_lr);
    const fw_plan_opts train = {.pool = r->pool, .train = true, .seed = c->seed};
    const fw_plan_opts infer = {.pool = r->pool, .train = false, .seed = c->seed};
    FW_TRY(fw_plan_new(r->graph, &train, &r->io.loss, 1, &r->plan, err));
    return fw_plan_new(r->graph, &infer, &r->io.loss, 1, &r->check, err);
}

static fw_status open_run(run *r, fw_err *err) {
    FW_TRY(fw_train_cfg_load(r->opts->config, &r->cfg, err));
    FW_TRY(apply_opts(r, err));
    FW_TRY(prepare_out(r, err));
    FW_TRY(fw_pool_new(r->opts->threads, &r->pool, err));
    FW_TRY(fw_trainset_open(&r->cfg, r->opts->dirs, r->opts->n_dirs, r->pool, &r->data, err));
    FW_TRY(fingerprints(r, err));
    FW_TRY(build(r, err));
    FW_TRY(fw_batch_sampler(&r->data, &r->sampler, err));
    r->rows = calloc((size_t)r->cfg.batch, sizeof *r->rows);
    if (r->rows == NULL) {
        return fw_fail(err, FW_NOMEM, "a batch of %lld: out of memory", (long long)r->cfg.batch);
    }
    r->at = (fw_trainstate){.config = r->config_print, .data = r->data_print, .loss = NAN};
    r->held_out = NAN;
    if (r->opts->resume && fw_path_exists(r->state_path)) {
        FW_TRY(fw_trainstate_load(r->state_path, r->optim, &r->at, err));
        fw_info("resumed at step %lld", (long long)r->at.step);
    } else if (r->opts->resume) {
        fw_warn("--resume: %s has no saved state yet: beginning at step 0", r->opts->out);
    }
    r->first_step = r->at.step;
    char dir[1024];
    FW_TRY(fw_path_join(dir, sizeof dir, r->opts->out, "train", err));
    return fw_journal_open(dir, r->at.step, &r->journal, err);
}

static void close_run(run *r) {
    fw_journal_close(r->journal);
    free(r->rows);
    fw_sampler_free(r->sampler);
    fw_plan_free(r->check);
    fw_plan_free(r->plan);
    fw_optim_free(r->optim);
    fw_graph_free(r->graph);
    fw_params_free(r->params);
    fw_trainset_close(&r->data);
    fw_pool_free(r->pool);
    free(r->config_print);
    free(r->data_print);
    free(r->state_path);
}

static void announce(const run *r) {
    fw_plan_info pi;
    fw_plan_get_info(r->plan, &pi);
    const fw_trainset *d = &r->data;
    fw_info(
        "%lld training frames, %lld held out, %d sentences; %.2f M trainable values; plan %.0f MB, %.1f GFLOP a step",
        (long long)d->train_frames, (long long)d->held_frames, d->n_sentence, (double)fw_optim_values(r->optim) / 1e6,
        (double)(pi.arena_bytes + pi.packed_bytes) / 1e6, (pi.flops_forward + pi.flops_backward) / 1e9);
}

/* ---- the loop ---- */

/* Share of the run that is done: what the learning rate follows. */
static double progress(const run *r) {
    double by_step = r->cfg.steps > 0 ? (double)r->at.step / (double)r->cfg.steps : 0;
    double by_time = r->cfg.minutes > 0 ? r->at.elapsed_s / (60 * r->cfg.minutes) : 0;
    return by_step > by_time ? by_step : by_time;
}

static fw_status one_step(run *r, double *lr, double *norm, fw_err *err) {
    const fw_lr_sched sched = {r->cfg.lr, r->cfg.warmup, r->cfg.final_lr};
    double loss;
    fw_batch_draw(&r->data, r->sampler, r->at.step, r->cfg.batch, r->rows);
    fw_batch_fill(&r->data, &r->io, r->plan, r->pool, r->rows);
    fw_rng rng = fw_rng_stream(r->cfg.seed + (uint64_t)r->at.step * 0x9E3779B97F4A7C15ull, "flow");
    fw_flywheel_fill(r->plan, &r->io, &rng);
    fw_plan_seek(r->plan, (uint64_t)r->at.step);
    FW_TRY(fw_plan_run(r->plan, err));
    loss = (double)*(const float *)fw_plan_data(r->plan, r->io.loss);
    if (!isfinite(loss)) {
        return fw_fail(err, FW_INVALID, "step %lld: the loss is %g: lower 'lr' or look at the data",
                       (long long)r->at.step + 1, loss);
    }
    *lr = fw_lr_at(&sched, progress(r), r->at.step);
    FW_TRY(fw_optim_step(r->optim, r->plan, *lr, norm, err));
    double n = (double)r->at.step, keep = fmin(0.98, (1 + n) / (10 + n));
    r->at.loss = isfinite(r->at.loss) ? keep * r->at.loss + (1 - keep) * loss : loss;
    r->at.step++;
    return FW_OK;
}

/* Mean loss of the averaged weights on held-out frames. */
static fw_status validate(run *r, fw_err *err) {
    fw_status s = FW_OK;
    double sum = 0;
    fw_optim_swap_ema(r->optim);
    fw_plan_repack(r->check);
    for (int64_t k = 0; k < HELD_OUT_BATCHES && s == FW_OK; k++) {
        if (!fw_batch_held_out(&r->data, k, HELD_OUT_BATCHES, r->cfg.batch, r->rows)) {
            sum = NAN;
            break;
        }
        fw_batch_fill(&r->data, &r->io, r->check, r->pool, r->rows);
        fw_rng rng = fw_rng_stream((uint64_t)k, "held out");
        fw_flywheel_fill(r->check, &r->io, &rng);
        s = fw_plan_run(r->check, err);
        sum += (double)*(const float *)fw_plan_data(r->check, r->io.loss);
    }
    fw_optim_swap_ema(r->optim);
    r->held_out = sum / HELD_OUT_BATCHES;
    return s == FW_OK ? fw_journal_held_out(r->journal, r->at.step, r->held_out, err) : s;
}

static fw_status save_state(run *r, fw_err *err) {
    FW_TRY(fw_journal_flush(r->journal, err)); /* the log may be ahead of the state, never behind */
    return fw_trainstate_save(r->state_path, r->optim, &r->at, err);
}

static double rate(const run *r) {
    return r->part_s > 0 ? (double)((r->at.step - r->first_step) * r->cfg.batch) / r->part_s : 0;
}

static void show(const run *r, fw_progress *pr, bool by_time) {
    char held[32] = "";
    if (isfinite(r->held_out)) {
        snprintf(held, sizeof held, "  held out %.4f", r->held_out);
    }
    fw_progress_update(pr, by_time ? (uint64_t)r->at.elapsed_s : (uint64_t)r->at.step,
                       "step %lld  loss %.4f%s  %.0f samples/s", (long long)r->at.step, r->at.loss, held, rate(r));
}

static fw_status train_loop(run *r, fw_err *err) {
    fw_progress pr;
    const bool by_time = r->cfg.steps <= 0;
    fw_progress_start(&pr, by_time ? "seconds" : "steps",
                      by_time ? (uint64_t)(60 * r->cfg.minutes) : (uint64_t)r->cfg.steps);
    while (progress(r) < 1.0 && !stop_asked) {
        double lr = 0, norm = 0, start = fw_now_s();
        FW_TRY(one_step(r, &lr, &norm, err));
        double took = fw_now_s() - start;
        r->at.elapsed_s += took;
        r->part_s += took;
        if (r->at.step % r->cfg.log_every == 0) {
            FW_TRY(fw_journal_step(r->journal, r->at.step, r->at.loss, lr, norm, rate(r), err));
        }
        show(r, &pr, by_time);
        if (r->at.step % r->cfg.validate_every == 0) {
            FW_TRY(validate(r, err));
        }
        if (r->at.step % r->cfg.checkpoint_every == 0) {
            FW_TRY(save_state(r, err));
            FW_TRY(fw_journal_plot(r->journal, r->cfg.name, err));
        }
    }
    fw_progress_end(&pr);
    return FW_OK;
}

/* Signals are caught only here: before it, what was computed is in the cache and dying is fine. */
static fw_status train_until_stopped(run *r, fw_err *err) {
    struct sigaction old_int, old_term, act = {.sa_handler = on_signal};
    stop_asked = 0;
    sigaction(SIGINT, &act, &old_int);
    sigaction(SIGTERM, &act, &old_term);
    fw_status s = train_loop(r, err);
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGTERM, &old_term, NULL);
    return s;
}

/* ---- the result ---- */

static void write_card(const run *r, FILE *f) {
    fprintf(f, "# %s\n\nA flywheel-s policy for the robot `%s`.\n\n", r->cfg.name, r->cfg.embodiment.name);
    fprintf(f, "| | |\n| --- | --- |\n");
    fprintf(f, "| trained on | %lld frames, %lld held out, %d sentences |\n", (long long)r->data.train_frames,
            (long long)r->data.held_frames, r->data.n_sentence);
    for (int d = 0; d < r->data.n_data; d++) {
        const char *name = strrchr(r->data.data[d].ds->dir, '/');
        fprintf(f, "| dataset | %s, %lld episodes, identity %.16s |\n",
                name != NULL ? name + 1 : r->data.data[d].ds->dir, (long long)r->data.data[d].ds->n_episodes,
                r->data.data[d].id);
    }
    fprintf(f, "| steps x batch | %lld x %lld, %.1f minutes, seed %llu |\n", (long long)r->at.step,
            (long long)r->cfg.batch, r->at.elapsed_s / 60, (unsigned long long)r->cfg.seed);
    fprintf(f, "| loss | %.4f training, %.4f held out (normalised) |\n", r->at.loss, r->held_out);
    fprintf(f, "| trainable values | %lld |\n", (long long)fw_optim_values(r->optim));
    fprintf(f, "| towers | EfficientNet-Lite0 %.16s, MiniLM-L6 %.16s |\n", r->data.tower_sha256, r->data.text_sha256);
}

static fw_status export_policy(run *r, fw_err *err) {
    char *card = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&card, &size);
    if (f == NULL) {
        return fw_fail(err, FW_NOMEM, "card: out of memory");
    }
    write_card(r, f);
    fclose(f);
    fw_flywheel_meta meta = {.cfg = r->cfg.policy, .embodiment = r->cfg.embodiment};
    snprintf(meta.name, sizeof meta.name, "%s", r->cfg.name);
    snprintf(meta.tower_sha256, sizeof meta.tower_sha256, "%s", r->data.tower_sha256);
    snprintf(meta.text_sha256, sizeof meta.text_sha256, "%s", r->data.text_sha256);
    fw_optim_swap_ema(r->optim);
    fw_status s = fw_flywheel_save(r->opts->out, &meta, r->params, r->data.stats, FW_BF16, card, err);
    fw_optim_swap_ema(r->optim);
    free(card);
    return s;
}

static fw_status run_all(run *r, fw_err *err) {
    FW_TRY(open_run(r, err));
    announce(r);
    FW_TRY(train_until_stopped(r, err));
    if (stop_asked) {
        FW_TRY(save_state(r, err));
        return fw_fail(err, FW_CLOSED, "stopped after step %lld; the same command with --resume goes on",
                       (long long)r->at.step);
    }
    if (r->at.step % r->cfg.validate_every != 0 || !isfinite(r->held_out)) { /* not just now */
        FW_TRY(validate(r, err));
    }
    FW_TRY(save_state(r, err));
    FW_TRY(fw_journal_plot(r->journal, r->cfg.name, err));
    return export_policy(r, err);
}

/* A run that failed before its first checkpoint leaves no folders. */
static void remove_if_empty(const char *out) {
    char dir[1024];
    if (fw_path_join(dir, sizeof dir, out, "train", NULL) == FW_OK && rmdir(dir) == 0) {
        (void)!rmdir(out);
    }
}

fw_status fw_train(const fw_train_opts *opts, fw_train_result *out, fw_err *err) {
    run r = {.opts = opts};
    fw_status s = run_all(&r, err);
    if (s != FW_OK) {
        remove_if_empty(opts->out);
    }
    if (s == FW_OK && out != NULL) {
        *out = (fw_train_result){r.at.step, r.cfg.batch, r.at.elapsed_s, rate(&r), r.at.loss, r.held_out};
    }
    close_run(&r);
    return s;
}
