/* openloop.c - see openloop.h. */
#include "train/openloop.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/plot.h"
#include "model/normalize.h"
#include "model/pretrained.h"
#include "train/recorded.h"

enum { DECODE = 32 /* frames decoded at a time */, REPEAT = 1, MEAN = 2, KINDS = 3 };

typedef struct sums {
    double dim[KINDS][FW_DIM_MAX], step[KINDS][FW_OPEN_STEPS], rows[FW_OPEN_STEPS];
} sums;

typedef struct judge {
    const fw_open_opts *opts;
    fw_recorded *recorded;
    fw_dataset *ds; /* its */
    fw_policy *policy;
    fw_pool *pool;
    fw_policy_info info;
    fw_norm norm; /* of actions */
    float mean[FW_DIM_MAX];
    int horizon, n; /* rows of a chunk, values of an action */
    float *rows;
    sums sum;
    int64_t frames;
    double *truth, *guess; /* [T, n] of the first episode, for the picture */
    int64_t shown;         /* its length */
} judge;

static fw_status open_policy(judge *j, fw_err *err) {
    fw_policy_opts o = {.pool = j->pool};
    FW_TRY(fw_precision_parse(j->opts->precision, &o.precision, err));
    FW_TRY(fw_policy_open(j->opts->policy, &o, &j->policy, err));
    fw_policy_describe(j->policy, &j->info);
    j->n = j->info.embodiment->n_action;
    j->horizon = j->info.horizon;
    j->rows = calloc((size_t)j->horizon * (size_t)j->n, sizeof(float));
    return j->rows != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "a chunk: out of memory");
}

/* Errors are measured in spreads of the actions: those of the policy's training data, else of the recordings judged. */
static fw_status open_norm(judge *j, const char *path, fw_err *err) {
    fw_stat st;
    fw_stats *stats = NULL;
    FW_TRY(fw_stats_load(path, &stats, err));
    fw_status got = fw_stats_get(stats, "action", j->n, &st, err);
    if (got == FW_OK) {
        got = fw_norm_dims(&st, j->info.embodiment->action, j->n, &j->norm, err);
        memcpy(j->mean, st.mean, (size_t)j->n * sizeof *j->mean);
    }
    fw_stats_free(stats);
    return got == FW_OK ? got : fw_fail_in(err, got, "%s", path);
}

static fw_status norm_of_data(judge *j, fw_err *err) {
    fw_column_stats c = {0};
    float std[FW_DIM_MAX], min[FW_DIM_MAX], max[FW_DIM_MAX];
    FW_TRY(fw_dataset_compute_stats(j->ds, "action", NULL, j->ds->n_episodes, &c, err));
    for (int i = 0; i < j->n; i++) {
        j->mean[i] = (float)c.mean[i];
        std[i] = (float)c.std[i];
        min[i] = (float)c.min[i];
        max[i] = (float)c.max[i];
    }
    fw_column_stats_clear(&c);
    const fw_stat st = {"action", j->n, j->mean, std, min, max, min, max};
    return fw_norm_dims(&st, j->info.embodiment->action, j->n, &j->norm, err);
}

static fw_status open_spread(judge *j, fw_err *err) {
    char path[1024];
    FW_TRY(fw_path_join(path, sizeof path, j->opts->policy, "stats.json", err));
    return fw_path_exists(path) ? open_norm(j, path, err) : norm_of_data(j, err);
}

static fw_status open_data(judge *j, fw_err *err) {
    FW_TRY(fw_recorded_open(j->opts->data, j->info.embodiment, DECODE, &j->recorded, err));
    j->ds = fw_recorded_data(j->recorded);
    return FW_OK;
}

static fw_status choose(const judge *j, int64_t *from, int64_t *to, fw_err *err) {
    int64_t n = j->ds->n_episodes;
    *from = j->opts->from;
    *to = j->opts->to < 0 ? n : j->opts->to;
    if (j->opts->last > 0) {
        *from = n - j->opts->last;
        *to = n;
    }
    if (*from < 0 || *from >= *to || *to > n) {
        return fw_fail(err, FW_INVALID, "%s: episodes %lld to %lld of %lld", j->ds->dir, (long long)*from,
                       (long long)*to, (long long)n);
    }
    return FW_OK;
}

/* One prediction [n] of kind for row h at frame t. */
static const float *guess_of(const judge *j, int kind, const fw_episode *ep, int64_t t, int h) {
    if (kind == REPEAT && t > 0) {
        return ep->action + (t - 1) * j->n;
    }
    return kind == 0 ? j->rows + h * j->n : j->mean;
}

static void score(judge *j, const fw_episode *ep, int64_t t) {
    for (int h = 0; h < FW_OPEN_STEPS && h < j->horizon && t + h < ep->length; h++) {
        const float *truth = ep->action + (t + h) * j->n;
        for (int kind = 0; kind < KINDS; kind++) {
            const float *guess = guess_of(j, kind, ep, t, h);
            for (int i = 0; i < j->n; i++) {
                double d = fabs((double)((guess[i] - truth[i]) * j->norm.scale[i]));
                j->sum.dim[kind][i] += d;
                j->sum.step[kind][h] += d / j->n;
            }
        }
        j->sum.rows[h] += 1;
    }
}

static fw_status predict(judge *j, int64_t t, fw_err *err) {
    fw_obs obs;
    fw_chunk chunk = {.actions = j->rows, .cap_horizon = j->horizon};
    FW_TRY(fw_recorded_obs(j->recorded, t, &obs, err));
    return fw_policy_infer(j->policy, &obs, &chunk, err);
}

static void remember(judge *j, const fw_episode *ep, int64_t t) {
    for (int i = 0; i < j->n && j->truth != NULL && t < j->shown; i++) {
        j->truth[i * j->shown + t] = (double)ep->action[t * j->n + i];
        j->guess[i * j->shown + t] = (double)j->rows[i];
    }
}

static fw_status run_episode(judge *j, const fw_episode *ep, fw_progress *pr, fw_err *err) {
    fw_policy_reset(j->policy);
    for (int64_t t = 0; t < ep->length; t++) {
        FW_TRY(predict(j, t, err));
        score(j, ep, t);
        if (j->frames == 0) { /* the first episode */
            remember(j, ep, t);
        }
        fw_progress_update(pr, (uint64_t)(j->frames + t + 1), NULL);
    }
    j->frames += ep->length;
    return FW_OK;
}

static fw_status run_episodes(judge *j, int64_t from, int64_t to, fw_err *err) {
    fw_progress pr;
    uint64_t total = 0;
    for (int64_t e = from; e < to; e++) {
        total += (uint64_t)j->ds->episodes[e].length;
    }
    fw_progress_start(&pr, "frames", total);
    j->shown = j->ds->episodes[from].length;
    j->truth = calloc((size_t)(j->shown * j->n), sizeof(double));
    j->guess = calloc((size_t)(j->shown * j->n), sizeof(double));
    for (int64_t e = from; e < to; e++) {
        const fw_episode *ep;
        FW_TRY(fw_recorded_episode(j->recorded, e, &ep, err));
        FW_TRY(run_episode(j, ep, &pr, err));
    }
    fw_progress_end(&pr);
    return FW_OK;
}

static void conclude(const judge *j, int64_t episodes, fw_open_result *r) {
    double rows = 0, *dims[KINDS] = {r->per_dim, r->repeat_per_dim, r->mean_per_dim};
    double *all[KINDS] = {&r->error, &r->baseline_repeat, &r->baseline_mean};
    *r = (fw_open_result){.episodes = episodes, .frames = j->frames, .n_action = j->n};
    for (int h = 0; h < FW_OPEN_STEPS; h++) {
        rows += j->sum.rows[h];
        r->by_step[h] = j->sum.rows[h] > 0 ? j->sum.step[0][h] / j->sum.rows[h] : 0;
        r->repeat_by_step[h] = j->sum.rows[h] > 0 ? j->sum.step[REPEAT][h] / j->sum.rows[h] : 0;
    }
    for (int i = 0; i < j->n; i++) {
        snprintf(r->dim[i], sizeof r->dim[i], "%s", j->info.embodiment->action[i].name);
        for (int kind = 0; kind < KINDS; kind++) {
            dims[kind][i] = j->sum.dim[kind][i] / rows;
            *all[kind] += dims[kind][i] / j->n;
        }
    }
}

static fw_status draw(const judge *j, const fw_open_result *r, fw_err *err) {
    enum { MOST = FW_DIM_MAX + 1 };
    fw_series s[MOST][2];
    fw_chart c[MOST];
    double x[FW_OPEN_STEPS];
    char heading[256];
    for (int h = 0; h < FW_OPEN_STEPS; h++) {
        x[h] = h + 1;
    }
    s[0][0] = (fw_series){.name = "policy", .x = x, .y = r->by_step, .n = FW_OPEN_STEPS};
    s[0][1] =
        (fw_series){.name = "repeat last action", .x = x, .y = r->repeat_by_step, .n = FW_OPEN_STEPS, .dashed = true};
    c[0] =
        (fw_chart){.title = "normalised error by step of the chunk", .x_label = "step", .series = s[0], .n_series = 2};
    for (int i = 0; i < j->n; i++) {
        size_t n = (size_t)j->shown, at = (size_t)i * n;
        s[i + 1][0] = (fw_series){.name = "recorded", .y = j->truth + at, .n = n, .dashed = true};
        s[i + 1][1] = (fw_series){.name = "predicted", .y = j->guess + at, .n = n};
        c[i + 1] = (fw_chart){.title = r->dim[i], .x_label = "frame", .series = s[i + 1], .n_series = 2};
    }
    snprintf(heading, sizeof heading, "%s: error %.3f, repeat %.3f, mean %.3f; first row of each chunk, first episode",
             j->info.name, r->error, r->baseline_repeat, r->baseline_mean);
    return fw_plot_write(j->opts->plot, heading, c, (size_t)j->n + 1, 2, err);
}

static fw_status judge_all(judge *j, fw_open_result *out, fw_err *err) {
    int64_t from = 0, to = 0;
    FW_TRY(fw_pool_new(j->opts->threads, &j->pool, err));
    FW_TRY(open_policy(j, err));
    FW_TRY(open_data(j, err));
    FW_TRY(open_spread(j, err));
    FW_TRY(choose(j, &from, &to, err));
    FW_TRY(fw_recorded_allowed(j->recorded, from, to, err)); /* before the first is run */
    FW_TRY(run_episodes(j, from, to, err));
    conclude(j, to - from, out);
    return j->opts->plot != NULL && j->truth != NULL && j->guess != NULL ? draw(j, out, err) : FW_OK;
}

fw_status fw_open_run(const fw_open_opts *opts, fw_open_result *out, fw_err *err) {
    judge *j = calloc(1, sizeof *j);
    if (j == NULL) {
        return fw_fail(err, FW_NOMEM, "evaluation: out of memory");
    }
    j->opts = opts;
    fw_status s = judge_all(j, out, err);
    free(j->truth);
    free(j->guess);
    free(j->rows);
    fw_recorded_close(j->recorded);
    fw_policy_close(j->policy);
    fw_norm_clear(&j->norm);
    fw_pool_free(j->pool);
    free(j);
    return s;
}
