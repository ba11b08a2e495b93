/* calibrate_run.c - see calibrate_run.h */
#include "train/calibrate_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/rng.h"
#include "model/pretrained.h"
#include "train/recorded.h"

typedef struct frame {
    int64_t episode, t;
} frame;

typedef struct frames {
    frame *at; /* ascending, owned */
    int64_t n, episodes;
} frames;

typedef struct run {
    const fw_calibrate_opts *o;
    fw_calibrate_result *out;
    fw_pool *pool;
    fw_policy *policy;   /* the exact one while products are chosen, then each variant */
    fw_embodiment robot; /* a copy: policies come and go */
    fw_recorded *recorded;
    frames seen, held;
    double infer_s;                            /* of all calls so far */
    int64_t horizon, n;                        /* rows of a chunk, values of a row */
    float *exact, *rows;                       /* [held.n, horizon, n], [horizon, n] */
    float mean[FW_DIM_MAX], scale[FW_DIM_MAX]; /* of actions; scale 0: it never changes */
} run;

/* ---- frames ---- */

static bool is_held(const fw_dataset *ds, int64_t e) {
    return ds->n_episodes < 5 ? e == ds->n_episodes - 1 : e % 5 == 4;
}

/* The i-th frame of those held out (or of the others). */
static frame frame_at(const fw_dataset *ds, bool held, int64_t i) {
    int64_t e = 0;
    for (; e < ds->n_episodes - 1; e++) {
        const int64_t n = is_held(ds, e) == held ? ds->episodes[e].length : 0;
        if (i < n) {
            break;
        }
        i -= n;
    }
    return (frame){e, i};
}

/* n frames, one from each n-th of what there is. */
static fw_status draw(const fw_dataset *ds, bool held, int64_t n, fw_rng *rng, frames *out, fw_err *err) {
    int64_t total = 0;
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        total += is_held(ds, e) == held ? ds->episodes[e].length : 0;
    }
    n = n < total ? n : total;
    out->at = calloc((size_t)n + 1, sizeof *out->at);
    if (out->at == NULL) {
        return fw_fail(err, FW_NOMEM, "%lld frames: out of memory", (long long)n);
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t from = i * total / n, to = (i + 1) * total / n;
        out->at[i] = frame_at(ds, held, from + (int64_t)fw_rng_below(rng, (uint64_t)(to - from)));
        out->episodes += i == 0 || out->at[i].episode != out->at[i - 1].episode;
    }
    out->n = n;
    return FW_OK;
}

static fw_status choose_frames(run *r, fw_err *err) {
    const fw_dataset *ds = fw_recorded_data(r->recorded);
    fw_rng rng = fw_rng_stream(r->o->seed, "calibrate");
    if (ds->n_episodes < 2) {
        return fw_fail(err, FW_INVALID, "%s: %lld episodes; at least 2 wanted, one of them is held out", ds->dir,
                       (long long)ds->n_episodes);
    }
    FW_TRY(draw(ds, false, r->o->frames, &rng, &r->seen, err));
    FW_TRY(draw(ds, true, r->o->held_out, &rng, &r->held, err));
    r->exact = calloc((size_t)(r->held.n * r->horizon * r->n), sizeof *r->exact);
    return r->exact != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "chunks of %lld frames", (long long)r->held.n);
}

/* ---- the policy ---- */

static fw_status open_policy(run *r, fw_precision precision, const char *int8, const fw_watch *watch, fw_err *err) {
    const fw_policy_opts o = {.pool = r->pool,
                              .seed = r->o->seed,
                              .precision = precision,
                              .tokenizer = r->o->tokenizer,
                              .int8 = int8,
                              .watch = watch};
    fw_policy_close(r->policy);
    r->policy = NULL;
    return fw_policy_open(r->o->policy, &o, &r->policy, err);
}

/* The chunk at a frame, as if an episode began there. */
static fw_status infer(run *r, frame f, float *rows, fw_err *err) {
    const fw_episode *ep;
    fw_obs obs;
    fw_chunk chunk = {.actions = rows, .cap_horizon = (int)r->horizon};
    FW_TRY(fw_recorded_episode(r->recorded, f.episode, &ep, err));
    FW_TRY(fw_recorded_obs(r->recorded, f.t, &obs, err));
    fw_policy_reset(r->policy);
    const double t0 = fw_now_s();
    fw_status s = fw_policy_infer(r->policy, &obs, &chunk, err);
    r->infer_s += fw_now_s() - t0;
    return s == FW_OK ? s
                      : fw_fail_in(err, s, "%s: ep %lld: frame %lld", fw_recorded_data(r->recorded)->dir,
                                   (long long)f.episode, (long long)f.t);
}

static fw_status describe(run *r, fw_err *err) {
    fw_policy_info info;
    fw_policy_describe(r->policy, &info);
    r->robot = *info.embodiment;
    r->horizon = info.horizon;
    r->n = r->out->n_action = r->robot.n_action;
    for (int i = 0; i < r->n; i++) {
        memcpy(r->out->dim[i], r->robot.action[i].name, sizeof r->out->dim[i]);
    }
    r->rows = calloc((size_t)(r->horizon * r->n), sizeof *r->rows);
    return r->rows != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "a chunk: out of memory");
}

static fw_status open_spread(run *r, fw_err *err) {
    fw_column_stats c = {0};
    fw_dataset *ds = fw_recorded_data(r->recorded);
    FW_TRY(fw_dataset_compute_stats(ds, "action", NULL, ds->n_episodes, &c, err));
    for (int i = 0; i < r->n; i++) {
        r->mean[i] = (float)c.mean[i];
        r->scale[i] = c.std[i] > 1e-9 ? (float)(1.0 / c.std[i]) : 0.0f;
        r->out->spread[i] = c.std[i];
    }
    fw_column_stats_clear(&c);
    return FW_OK;
}

/* ---- choosing ---- */

static fw_status see_frames(run *r, fw_err *err) {
    fw_progress pr;
    fw_progress_start(&pr, "frames, exactly", (uint64_t)r->seen.n);
    for (int64_t i = 0; i < r->seen.n; i++) {
        FW_TRY(infer(r, r->seen.at[i], r->rows, err));
        fw_progress_update(&pr, (uint64_t)i + 1, NULL);
    }
    fw_progress_end(&pr);
    return FW_OK;
}

static void products_done(void *ctx, int done) {
    fw_progress_update(ctx, (uint64_t)done, NULL);
}

static fw_status choose_products(run *r, fw_err *err) {
    fw_progress pr;
    const fw_calibration_opts o = {r->o->alpha, r->o->exact_above, r->o->budget, products_done, &pr};
    fw_progress_start(&pr, "products", (uint64_t)fw_calibration_count(r->out->products));
    FW_TRY(fw_calibration_choose(r->out->products, &o, r->pool, err));
    fw_progress_end(&pr);
    return FW_OK;
}

/* ---- comparing ---- */

/* The cosine of the angle between two chunks; two that do not move agree. */
static double cosine(const run *r, const float *a, const float *b) {
    double ab = 0.0, aa = 0.0, bb = 0.0;
    for (int64_t i = 0; i < r->horizon * r->n; i++) {
        const int64_t d = i % r->n;
        const double x = (double)((a[i] - r->mean[d]) * r->scale[d]), y = (double)((b[i] - r->mean[d]) * r->scale[d]);
        ab += x * y, aa += x * x, bb += y * y;
    }
    return aa > 0.0 && bb > 0.0 ? ab / sqrt(aa * bb) : aa == bb ? 1.0 : 0.0;
}

static void compare(const run *r, const float *exact, const float *got, fw_calibrate_row *row) {
    const double c = cosine(r, exact, got);
    row->cosine += c / (double)r->held.n;
    row->worst = c < row->worst ? c : row->worst;
    for (int64_t i = 0; i < r->horizon * r->n; i++) {
        const double d = fabs((double)got[i] - (double)exact[i]);
        row->largest[i % r->n] = d > row->largest[i % r->n] ? d : row->largest[i % r->n];
    }
}

/* The policy that is open on the frames held out; row NULL: it is the exact one. */
static fw_status run_held(run *r, const char *what, fw_calibrate_row *row, fw_err *err) {
    fw_progress pr;
    const double before = r->infer_s;
    if (row != NULL) {
        row->ran = true;
        row->worst = 1.0;
    }
    fw_progress_start(&pr, what, (uint64_t)r->held.n);
    for (int64_t i = 0; i < r->held.n; i++) {
        float *exact = r->exact + i * r->horizon * r->n;
        FW_TRY(infer(r, r->held.at[i], row != NULL ? r->rows : exact, err));
        if (row != NULL) {
            compare(r, exact, r->rows, row);
        }
        fw_progress_update(&pr, (uint64_t)i + 1, NULL);
    }
    fw_progress_end(&pr);
    *(row != NULL ? &row->ms : &r->out->exact_ms) = 1e3 * (r->infer_s - before) / (double)r->held.n;
    return FW_OK;
}

static fw_status run_variants(run *r, const char *file, fw_err *err) {
    fw_calibrate_row *row = r->out->row;
    row[FW_CALIBRATE_PLAIN].name = "int8";
    row[FW_CALIBRATE_SMOOTH].name = "int8 calibrated";
    row[FW_CALIBRATE_BF16].name = "bf16";
    FW_TRY(open_policy(r, FW_PRECISION_INT8, "", NULL, err));
    FW_TRY(run_held(r, "frames, int8", &row[FW_CALIBRATE_PLAIN], err));
    FW_TRY(open_policy(r, FW_PRECISION_INT8, file, NULL, err));
    FW_TRY(run_held(r, "frames, int8 calibrated", &row[FW_CALIBRATE_SMOOTH], err));
    if (fw_precision_kern(FW_PRECISION_BF16) != fw_precision_kern(FW_PRECISION_DEFAULT)) {
        FW_TRY(open_policy(r, FW_PRECISION_BF16, NULL, NULL, err));
        FW_TRY(run_held(r, "frames, bf16", &row[FW_CALIBRATE_BF16], err));
    }
    return FW_OK;
}

/* ---- all of it ---- */

static fw_status output_path(const fw_calibrate_opts *o, char out[4096], fw_err *err) {
    const char *dir = o->out == NULL ? o->policy : fw_path_is_dir(o->out) ? o->out : NULL;
    if (dir != NULL) {
        return fw_path_join(out, 4096, dir, FW_INT8_FILE, err);
    }
    return (size_t)snprintf(out, 4096, "%s", o->out) < 4096 ? FW_OK
                                                            : fw_fail(err, FW_INVALID, "%.80s...: too long", o->out);
}

static fw_status save(const run *r, const char *path, fw_err *err) {
    char n_frame[32], seed[32];
    snprintf(n_frame, sizeof n_frame, "%lld", (long long)r->seen.n);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)r->o->seed);
    const char *meta[] = {"frames", n_frame, "seed", seed, NULL};
    return fw_calibration_save(r->out->products, path, r->o->policy, meta, err);
}

static fw_status calibrate(run *r, fw_err *err) {
    fw_calibrate_result *out = r->out;
    char draft[4200];
    FW_TRY(output_path(r->o, out->path, err));
    FW_TRY(fw_calibration_new(&out->products, err));
    FW_TRY(fw_pool_new(r->o->threads, &r->pool, err));
    FW_TRY(open_policy(r, FW_PRECISION_DEFAULT, NULL, fw_calibration_watch(out->products), err));
    FW_TRY(describe(r, err));
    FW_TRY(fw_recorded_open(r->o->data, &r->robot, 1, &r->recorded, err));
    FW_TRY(open_spread(r, err));
    FW_TRY(choose_frames(r, err));
    FW_TRY(see_frames(r, err));
    FW_TRY(choose_products(r, err));
    FW_TRY(run_held(r, "frames held out, exactly", NULL, err));
    snprintf(draft, sizeof draft, "%s.new", out->path); /* the old one stays until the new one was run */
    FW_TRY(save(r, draft, err));
    fw_status s = run_variants(r, draft, err);
    if (s == FW_OK && rename(draft, out->path) != 0) {
        s = fw_fail(err, FW_IO, "cannot rename %s to %s", draft, out->path);
    }
    if (s != FW_OK) {
        remove(draft);
    }
    out->frames = r->seen.n, out->episodes = r->seen.episodes;
    out->held_frames = r->held.n, out->held_episodes = r->held.episodes;
    return s;
}

fw_status fw_calibrate_run(const fw_calibrate_opts *o, fw_calibrate_result *out, fw_err *err) {
    run r = {.o = o, .out = out};
    memset(out, 0, sizeof *out);
    fw_status s = calibrate(&r, err);
    fw_recorded_close(r.recorded);
    fw_policy_close(r.policy);
    fw_pool_free(r.pool);
    free(r.seen.at);
    free(r.held.at);
    free(r.exact);
    free(r.rows);
    if (s != FW_OK) {
        fw_calibrate_clear(out);
    }
    return s;
}

void fw_calibrate_clear(fw_calibrate_result *r) {
    fw_calibration_free(r->products);
    r->products = NULL;
}
