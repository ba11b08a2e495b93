/*
 * loop.c - see loop.h. One step: draw rows, fill the plan's inputs, run it, move the weights.
 *
 * Several ranks share the runs of a step and those of a validation; everything else all of them do alike, on numbers that are the same
 * everywhere: losses and gradients of all runs, and rank 0's clock. Rank 0 alone has a journal and writes.
 */
#include "train/loop.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "train/gradsum.h"
#include "train/journal.h"
#include "train/learner.h"
#include "train/trainstate.h"

enum { HELD_OUT_BATCHES = 4 };

typedef struct run {
    const fw_train_opts *opts;
    fw_train_cfg cfg;
    fw_pool *pool;
    fw_learner *l;
    fw_sampler *sampler;
    fw_batch_row *rows; /* [batch] */
    fw_ranks *ranks;    /* borrowed; NULL: alone */
    fw_gradsum *sum;
    double *mine, *all;  /* [runs of a validation] what this rank tells the others, and what all told */
    fw_journal *journal; /* NULL unless rank 0 */
    char *config_print, *data_print, *state_path;
    fw_trainstate at;
    double held_out;
    int64_t first_step; /* of this part of the run */
    double part_s;      /* spent in this part's steps */
    bool stop;          /* a signal asked one of the ranks */
} run;

static volatile sig_atomic_t stop_asked;
static void on_signal(int sig) {
    (void)sig;
    stop_asked = 1;
}

/* ---- making it ready ---- */

/* Rows of one run of the network: as told, or as the run that goes on has them; else a step is one run in each rank. */
static fw_status choose_micro(run *r, fw_err *err) {
    const int size = fw_ranks_size(r->ranks);
    fw_train_cfg *c = &r->cfg;
    int64_t begun = 0;
    if (r->opts->micro <= 0 && c->micro <= 0 && r->opts->resume && fw_path_exists(r->state_path)) {
        FW_TRY(fw_trainstate_micro(r->state_path, &begun, err));
    }
    c->micro = r->opts->micro > 0 ? r->opts->micro : c->micro > 0 ? c->micro : begun;
    if (c->micro <= 0 && c->batch % size != 0) {
        return fw_fail(err, FW_INVALID, "a batch of %lld rows cannot be shared by %d ranks: wanted a multiple of %d",
                       (long long)c->batch, size, size);
    }
    c->micro = c->micro > 0 ? c->micro : c->batch / size;
    if (c->batch % c->micro != 0) {
        return fw_fail(err, FW_INVALID, "a batch of %lld is no multiple of runs of %lld rows", (long long)c->batch,
                       (long long)c->micro);
    }
    if (c->batch / c->micro % size != 0) {
        return fw_fail(err, FW_INVALID,
                       "a batch of %lld in runs of %lld rows has %lld of them, which %d ranks cannot share: wanted a "
                       "multiple of %d",
                       (long long)c->batch, (long long)c->micro, (long long)(c->batch / c->micro), size, size);
    }
    return FW_OK;
}

static fw_status apply_opts(run *r, fw_err *err) {
    const fw_train_opts *o = r->opts;
    if (o->steps > 0 || o->minutes > 0) {
        r->cfg.steps = o->steps;
        r->cfg.minutes = o->minutes;
    }
    if (o->seed >= 0) {
        r->cfg.seed = (uint64_t)o->seed;
    }
    r->cfg.batch = o->batch > 0 ? o->batch : r->cfg.batch;
    r->cfg.tune.lora_rank = o->lora > 0 ? o->lora : r->cfg.tune.lora_rank;
    r->cfg.tune.new_stats = r->cfg.tune.new_stats || o->new_stats;
    r->cfg.gradient_checkpointing = r->cfg.gradient_checkpointing || o->gradient_checkpointing;
    FW_TRY(o->precision != NULL ? fw_train_cfg_precision(&r->cfg, o->precision, "--precision", err) : FW_OK);
    r->cfg.tune.new_heads = r->cfg.tune.new_heads || o->new_heads;
    for (int i = 0; i < o->n_cameras; i++) {
        FW_TRY(fw_tune_choose(&r->cfg.tune, o->cameras[i], err));
    }
    if (!r->cfg.pretrained && (o->lora > 0 || o->new_stats || o->new_heads || o->n_cameras > 0)) {
        return fw_fail(err, FW_INVALID,
                       "--lora, --new-stats, --new-heads and --camera are for published policies; %s trains flywheel-s",
                       o->config);
    }
    if (r->cfg.steps <= 0 && r->cfg.minutes <= 0) {
        return fw_fail(err, FW_INVALID, "%s: neither 'steps' nor 'minutes' ends the run",
                       o->config != NULL ? o->config : r->cfg.from);
    }
    return FW_OK;
}

static bool is_first(const run *r) {
    return fw_ranks_rank(r->ranks) == 0;
}

static fw_status prepare_out(run *r, fw_err *err) {
    char dir[1024], path[1100];
    FW_TRY(fw_path_join(dir, sizeof dir, r->opts->out, "train", err));
    FW_TRY(is_first(r) ? fw_mkdirs(dir, err) : FW_OK);
    FW_TRY(fw_path_join(path, sizeof path, dir, "state.safetensors", err));
    if (!r->opts->resume && fw_path_exists(path)) {
        return fw_fail(err, FW_INVALID, "%s: a run was begun there: --resume goes on with it, or choose another --out",
                       r->opts->out);
    }
    r->state_path = strdup(path);
    return r->state_path != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "out of memory");
}

/* Of the config and what the learner adds to it; of the datasets. */
static fw_status fingerprints(run *r, fw_err *err) {
    const fw_trainset *data = &r->l->data;
    size_t cap = (size_t)data->n_data * 65 + 1, used = 0;
    char *more = NULL, *cfg = fw_train_cfg_fingerprint(&r->cfg);
    fw_status s = r->l->v->fingerprint != NULL ? r->l->v->fingerprint(r->l, &more, err) : FW_OK;
    r->data_print = calloc(cap, 1);
    if (s == FW_OK && (cfg == NULL || r->data_print == NULL ||
                       asprintf(&r->config_print, "%s%s", cfg, more != NULL ? more : "") < 0)) {
        r->config_print = NULL;
        s = fw_fail(err, FW_NOMEM, "fingerprint: out of memory");
    }
    free(cfg);
    free(more);
    for (int d = 0; d < data->n_data && s == FW_OK; d++) {
        used += (size_t)snprintf(r->data_print + used, cap - used, "%s%s", d > 0 ? "+" : "", data->data[d].id);
    }
    return s;
}

static int64_t runs_of(const run *r) {
    return r->cfg.batch / r->cfg.micro;
}

/* This rank's share of n things in order. */
static int64_t first_of(const run *r, int64_t n) {
    return n / fw_ranks_size(r->ranks) * fw_ranks_rank(r->ranks);
}
static int64_t end_of(const run *r, int64_t n) {
    return first_of(r, n) + n / fw_ranks_size(r->ranks);
}

static fw_status buffers(run *r, fw_err *err) {
    r->rows = calloc((size_t)r->cfg.batch, sizeof *r->rows);
    r->mine = calloc((size_t)(HELD_OUT_BATCHES * runs_of(r)), sizeof *r->mine);
    r->all = calloc((size_t)(HELD_OUT_BATCHES * runs_of(r)), sizeof *r->all);
    if (r->rows == NULL || r->mine == NULL || r->all == NULL) {
        return fw_fail(err, FW_NOMEM, "a batch of %lld: out of memory", (long long)r->cfg.batch);
    }
    return fw_gradsum_new(r->l->optim, r->l->plan, runs_of(r), r->ranks, r->pool, &r->sum, err);
}

static fw_status load_state(run *r, fw_err *err) {
    r->at = (fw_trainstate){.config = r->config_print, .data = r->data_print, .micro = r->cfg.micro, .loss = NAN};
    r->held_out = NAN;
    if (r->opts->resume && fw_path_exists(r->state_path)) {
        FW_TRY(fw_trainstate_load(r->state_path, r->l->optim, &r->at, err));
        fw_info("resumed at step %lld", (long long)r->at.step);
    } else if (r->opts->resume) {
        fw_warn("--resume: %s has no saved state yet: beginning at step 0", r->opts->out);
    }
    r->first_step = r->at.step;
    return FW_OK;
}

static fw_status open_run(run *r, fw_err *err) {
    const int threads = r->opts->threads > 0 ? r->opts->threads : fw_ranks_threads(r->ranks);
    FW_TRY(fw_train_cfg_load(r->opts->config, r->opts->from, &r->cfg, err));
    FW_TRY(apply_opts(r, err));
    FW_TRY(prepare_out(r, err));
    FW_TRY(choose_micro(r, err));
    FW_TRY(fw_pool_new(threads, &r->pool, err));
    FW_TRY(fw_learner_open(&r->cfg, r->opts->dirs, r->opts->n_dirs, r->pool, &r->l, err));
    FW_TRY(fingerprints(r, err));
    FW_TRY(fw_batch_sampler(&r->l->data, &r->sampler, err));
    FW_TRY(buffers(r, err));
    return load_state(r, err);
}

/* What must be the same in all ranks, as numbers: where the run begins and ends, and what it is. */
enum { SAME = 5 };
static void what_it_is(const run *r, double out[SAME]) {
    char text[64], hex[65];
    fw_sha256_hex(r->config_print, strlen(r->config_print), hex);
    snprintf(text, sizeof text, "%.12s", hex);
    out[0] = (double)r->at.step;
    out[1] = (double)r->cfg.steps;
    out[2] = r->cfg.minutes;
    out[3] = (double)strtoll(text, NULL, 16);
    fw_sha256_hex(r->data_print, strlen(r->data_print), hex);
    snprintf(text, sizeof text, "%.12s", hex);
    out[4] = (double)strtoll(text, NULL, 16);
}

static fw_status check_same(run *r, fw_err *err) {
    static const char *const what[SAME] = {"first step", "steps", "minutes", "config (hash)", "data (hash)"};
    const int size = fw_ranks_size(r->ranks);
    double mine[SAME], *all = calloc((size_t)size * SAME, sizeof *all);
    fw_status s = all != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "ranks: out of memory");
    what_it_is(r, mine);
    s = fw_ranks_meet(r->ranks, s, mine, SAME, all, err);
    for (int i = 0; i < size * SAME && s == FW_OK; i++) {
        if (all[i] != all[i % SAME]) {
            s = fw_fail(err, FW_INVALID, "%s: %.15g in rank %d, %.15g in rank 0: all want the same options and files",
                        what[i % SAME], all[i], i / SAME, all[i % SAME]);
        }
    }
    free(all);
    return fw_ranks_meet(r->ranks, s, NULL, 0, NULL, err);
}

/* One after the other, so that caches are made by one and found by the others. */
static fw_status open_in_turn(run *r, fw_err *err) {
    for (int turn = 0; turn < 3; turn++) {
        fw_status s = turn == fw_ranks_turn(r->ranks) ? open_run(r, err) : FW_OK;
        FW_TRY(fw_ranks_meet(r->ranks, s, NULL, 0, NULL, err));
    }
    return check_same(r, err);
}

static fw_status open_journal(run *r, fw_err *err) {
    char dir[1024];
    FW_TRY(fw_path_join(dir, sizeof dir, r->opts->out, "train", err));
    if (!is_first(r)) {
        return FW_OK;
    }
    fw_plan_info pi;
    fw_plan_get_info(r->l->plan, &pi);
    FW_TRY(fw_journal_open(dir, r->at.step, &r->journal, err));
    fw_journal_begin(r->journal, r->at.step, pi.precision == FW_PRECISION_BF16 ? "bf16" : "f32");
    return FW_OK;
}

static void close_run(run *r) {
    fw_journal_close(r->journal);
    free(r->rows);
    free(r->mine);
    free(r->all);
    fw_gradsum_free(r->sum);
    fw_sampler_free(r->sampler);
    fw_learner_close(r->l);
    fw_pool_free(r->pool);
    free(r->config_print);
    free(r->data_print);
    free(r->state_path);
}

static void announce(const run *r) {
    fw_plan_info pi;
    fw_plan_get_info(r->l->plan, &pi);
    const fw_trainset *d = &r->l->data;
    const double runs = (double)(r->cfg.batch / r->cfg.micro);
    fw_info(
        "%lld training frames, %lld held out, %d sentences; %.2f M trainable values; plan %.0f MB, %.1f GFLOP a step",
        (long long)d->train_frames, (long long)d->held_frames, d->n_sentence,
        (double)fw_optim_values(r->l->optim) / 1e6, (double)(pi.arena_bytes + pi.packed_bytes) / 1e6,
        runs * (pi.flops_forward + pi.flops_backward) / 1e9);
    if (r->ranks != NULL) {
        fw_info("%d ranks, %d of the %lld runs of a step in each; rank 0 has threads: %d", fw_ranks_size(r->ranks),
                (int)(end_of(r, runs_of(r)) - first_of(r, runs_of(r))), (long long)runs_of(r), fw_pool_size(r->pool));
    }
    if (r->cfg.gradient_checkpointing) {
        fw_info("gradient checkpointing: %.1f GFLOP more a step, for what is made again", runs * pi.flops_again / 1e9);
    }
    if (r->cfg.precision == FW_PRECISION_BF16 && pi.precision != FW_PRECISION_BF16) {
        fw_info("bf16: this CPU has no bf16 products, training is exact");
    }
}

/* ---- the loop ---- */

/* Share of the run that is done: what the learning rate follows. */
static double progress(const run *r) {
    double by_step = r->cfg.steps > 0 ? (double)r->at.step / (double)r->cfg.steps : 0;
    double by_time = r->cfg.minutes > 0 ? r->at.elapsed_s / (60 * r->cfg.minutes) : 0;
    return by_step > by_time ? by_step : by_time;
}

/* A published policy's schedule is one of steps: shorter runs shrink it, warm-up included, longer ones stay at its end. */
static double learning_rate(const run *r) {
    fw_lr_sched s = {r->cfg.lr, r->cfg.warmup, r->cfg.final_lr, r->cfg.pretrained};
    const int64_t over = r->cfg.decay_steps, steps = r->cfg.steps;
    if (over == 0 || steps == 0) {
        return fw_lr_at(&s, progress(r), r->at.step);
    }
    s.warmup = steps < over ? (int64_t)((double)s.warmup * ((double)steps / (double)over)) : s.warmup;
    return fw_lr_at(&s, (double)r->at.step / (double)(steps < over ? steps : over), r->at.step);
}

static double weight_of(const run *r, const fw_batch_row *rows) {
    return r->l->v->weight != NULL ? r->l->v->weight(r->l, rows) : 1.0;
}

/* Losses of this rank's runs of r->rows into r->mine, gradients into r->sum. */
static fw_status own_runs(run *r, fw_err *err) {
    const int64_t runs = runs_of(r), first = first_of(r, runs);
    double all = 0;
    for (int64_t k = 0; k < runs; k++) {
        all += weight_of(r, r->rows + k * r->cfg.micro);
    }
    for (int64_t k = first; k < end_of(r, runs); k++) {
        const fw_batch_row *rows = r->rows + k * r->cfg.micro;
        const double share = weight_of(r, rows) / all;
        const uint64_t at = (uint64_t)(r->at.step * runs + k);
        FW_TRY(r->l->v->fill(r->l, r->l->plan, rows, at, err));
        fw_plan_seek(r->l->plan, at);
        FW_TRY(fw_plan_run(r->l->plan, err));
        r->mine[k - first] = share * (double)*(const float *)fw_plan_data(r->l->plan, r->l->loss);
        fw_gradsum_add(r->sum, share);
    }
    return FW_OK;
}

/* Sum of everybody's losses in the order of their runs: r->mine holds this rank's of n. s: how this rank fares. */
static fw_status sum_losses(run *r, fw_status s, int64_t n, double *sum, fw_err *err) {
    FW_TRY(fw_ranks_meet(r->ranks, s, r->mine, (int)(n / fw_ranks_size(r->ranks)), r->all, err));
    *sum = 0;
    for (int64_t k = 0; k < n; k++) {
        *sum += r->all[k];
    }
    return FW_OK;
}

static fw_status one_step(run *r, double *lr, double *norm, fw_err *err) {
    double loss;
    fw_batch_draw(&r->l->data, r->sampler, r->at.step, r->cfg.batch, r->rows);
    FW_TRY(sum_losses(r, own_runs(r, err), runs_of(r), &loss, err));
    if (!isfinite(loss)) {
        return fw_fail(err, FW_INVALID, "step %lld: the loss is %g: lower 'lr' or look at the data",
                       (long long)r->at.step + 1, loss);
    }
    *lr = learning_rate(r);
    FW_TRY(fw_optim_step_grads(r->l->optim, fw_gradsum_total(r->sum), *lr, norm, err));
    double n = (double)r->at.step, keep = fmin(0.98, (1 + n) / (10 + n));
    r->at.loss = isfinite(r->at.loss) ? keep * r->at.loss + (1 - keep) * loss : loss;
    r->at.step++;
    return FW_OK;
}

static fw_status own_held_out(run *r, int64_t parts, fw_err *err) {
    fw_learner *l = r->l;
    const int64_t first = first_of(r, parts);
    for (int64_t k = first; k < end_of(r, parts); k++) {
        (void)fw_batch_held_out(&l->data, k, parts, r->cfg.micro, r->rows);
        FW_TRY(l->v->fill(l, l->check, r->rows, (uint64_t)k, err));
        FW_TRY(fw_plan_run(l->check, err));
        r->mine[k - first] = (double)*(const float *)fw_plan_data(l->check, l->loss);
    }
    return FW_OK;
}

/* Mean loss of the averaged weights on held-out frames. s: how this rank fares so far. */
static fw_status validate(run *r, fw_status s, fw_err *err) {
    const int64_t parts = HELD_OUT_BATCHES * runs_of(r);
    double sum;
    r->held_out = NAN;
    if (r->l->check == NULL) {
        return s;
    }
    fw_optim_swap_ema(r->l->optim);
    fw_plan_repack(r->l->check);
    s = s == FW_OK ? own_held_out(r, parts, err) : s;
    s = sum_losses(r, s, parts, &sum, err);
    fw_optim_swap_ema(r->l->optim);
    FW_TRY(s);
    r->held_out = sum / (double)parts;
    return r->journal != NULL ? fw_journal_held_out(r->journal, r->at.step, r->held_out, err) : FW_OK;
}

/* State and curves, by rank 0. */
static fw_status save_state(run *r, fw_err *err) {
    if (!is_first(r)) {
        return FW_OK;
    }
    FW_TRY(fw_journal_flush(r->journal, err)); /* the log may be ahead of the state, never behind */
    FW_TRY(fw_trainstate_save(r->state_path, r->l->optim, &r->at, err));
    return fw_journal_plot(r->journal, r->cfg.name, err);
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

/* A step and what is due after it. Between two meetings each rank may fail by itself. */
static fw_status one_round(run *r, fw_err *err) {
    double lr = 0, norm = 0, start = fw_now_s();
    FW_TRY(one_step(r, &lr, &norm, err));
    const double took = fw_now_s() - start;
    const int64_t step = r->at.step;
    fw_status s = FW_OK;
    r->at.elapsed_s += took;
    r->part_s += took;
    if (r->journal != NULL && step % r->cfg.log_every == 0) {
        s = fw_journal_step(r->journal, step, r->at.loss, lr, norm, rate(r), err);
    }
    if (step % r->cfg.validate_every == 0) {
        s = validate(r, s, err);
    }
    return s == FW_OK && step % r->cfg.checkpoint_every == 0 ? save_state(r, err) : s;
}

/* Another step? By rank 0's clock, and no signal to any rank. */
static fw_status decide(run *r, fw_status s, bool *more, fw_err *err) {
    const double mine[2] = {r->at.elapsed_s, stop_asked};
    FW_TRY(fw_ranks_meet(r->ranks, s, mine, 2, r->all, err));
    r->at.elapsed_s = r->all[0];
    for (int i = 0; i < fw_ranks_size(r->ranks); i++) {
        r->stop = r->stop || r->all[2 * i + 1] != 0;
    }
    *more = progress(r) < 1.0 && !r->stop;
    return FW_OK;
}

/* s: how this rank fares. */
static fw_status train_loop(run *r, fw_status s, fw_err *err) {
    fw_progress pr;
    const bool by_time = r->cfg.steps <= 0;
    bool more = true;
    fw_progress_start(&pr, by_time ? "seconds" : "steps",
                      by_time ? (uint64_t)(60 * r->cfg.minutes) : (uint64_t)r->cfg.steps);
    FW_TRY(decide(r, s, &more, err));
    while (more) {
        s = one_round(r, err);
        show(r, &pr, by_time);
        FW_TRY(decide(r, s, &more, err));
    }
    fw_progress_end(&pr);
    return FW_OK;
}

/* Signals are caught only here: before it, what was computed is in the cache and dying is fine. SIGUSR1 is what mpirun passes on
 * to its ranks without ending them itself. */
static fw_status train_until_stopped(run *r, fw_status s, fw_err *err) {
    static const int stops[] = {SIGINT, SIGTERM, SIGUSR1};
    const int n = r->ranks != NULL ? 3 : 2;
    struct sigaction old[3], act = {.sa_handler = on_signal};
    stop_asked = 0;
    for (int i = 0; i < n; i++) {
        sigaction(stops[i], &act, &old[i]);
    }
    s = train_loop(r, s, err);
    for (int i = 0; i < n; i++) {
        sigaction(stops[i], &old[i], NULL);
    }
    return s;
}

/* ---- the result ---- */

static const char *products(const run *r) {
    fw_plan_info pi;
    fw_plan_get_info(r->l->plan, &pi);
    return pi.precision == FW_PRECISION_BF16       ? "bf16, of f32 weights"
           : r->cfg.precision == FW_PRECISION_BF16 ? "bf16 asked for, but this CPU has none: f32"
                                                   : "f32";
}

static void write_card(const run *r, FILE *f) {
    const fw_trainset *data = &r->l->data;
    fprintf(f, "# %s\n\n", r->cfg.name);
    r->l->v->title(r->l, f);
    fprintf(f, "\n\n| | |\n| --- | --- |\n");
    fprintf(f, "| trained on | %lld frames, %lld held out, %d sentences |\n", (long long)data->train_frames,
            (long long)data->held_frames, data->n_sentence);
    for (int d = 0; d < data->n_data; d++) {
        const char *name = strrchr(data->data[d].ds->dir, '/');
        fprintf(f, "| dataset | %s, %lld episodes, identity %.16s |\n", name != NULL ? name + 1 : data->data[d].ds->dir,
                (long long)data->data[d].ds->n_episodes, data->data[d].id);
    }
    fprintf(f, "| steps x batch | %lld x %lld, %.1f minutes, seed %llu |\n", (long long)r->at.step,
            (long long)r->cfg.batch, r->at.elapsed_s / 60, (unsigned long long)r->cfg.seed);
    fprintf(f, "| loss | %.4f training, %.4f held out (normalised) |\n", r->at.loss, r->held_out);
    fprintf(f, "| products in training | %s |\n", products(r));
    fprintf(f, "| trainable values | %lld |\n", (long long)fw_optim_values(r->l->optim));
    r->l->v->describe(r->l, f);
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
    fw_optim_swap_ema(r->l->optim);
    fw_status s = r->l->v->save(r->l, r->opts->out, card, err);
    fw_optim_swap_ema(r->l->optim);
    free(card);
    return s;
}

static fw_status finish(run *r, fw_err *err) {
    if (r->stop) {
        FW_TRY(save_state(r, err));
        return fw_fail(err, FW_CLOSED, "stopped after step %lld; the same command with --resume goes on",
                       (long long)r->at.step);
    }
    if (r->at.step % r->cfg.validate_every != 0 || !isfinite(r->held_out)) { /* not just now */
        FW_TRY(validate(r, FW_OK, err));
    }
    FW_TRY(save_state(r, err));
    return is_first(r) ? export_policy(r, err) : FW_OK;
}

static fw_status run_all(run *r, fw_err *err) {
    FW_TRY(open_in_turn(r, err));
    announce(r);
    fw_status s = open_journal(r, err);
    FW_TRY(train_until_stopped(r, s, err));
    s = finish(r, err);
    return fw_ranks_meet(r->ranks, s, NULL, 0, NULL, err);
}

/* A run that failed before its first checkpoint leaves no folders. */
static void remove_if_empty(const char *out) {
    char dir[1024];
    if (fw_path_join(dir, sizeof dir, out, "train", NULL) == FW_OK && rmdir(dir) == 0) {
        (void)!rmdir(out);
    }
}

fw_status fw_train(const fw_train_opts *opts, fw_train_result *out, fw_err *err) {
    run r = {.opts = opts, .ranks = opts->ranks};
    fw_err unasked = {0};
    fw_status s = run_all(&r, err != NULL ? err : &unasked);
    if (s != FW_OK && is_first(&r)) {
        remove_if_empty(opts->out);
    }
    if (s == FW_OK && out != NULL) {
        *out = (fw_train_result){r.at.step, r.cfg.batch, r.at.elapsed_s, rate(&r), r.at.loss, r.held_out};
    }
    close_run(&r);
    return s;
}
