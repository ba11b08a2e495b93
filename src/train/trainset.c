/* trainset.c - see trainset.h. */
#include "train/trainset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/deleted.h"
#include "data/replay.h"
#include "sim/ranges.h"
#include "sim/sim.h"

enum { STAT_FRAMES = 600 }; /* frames that feature statistics are taken from: 600 x 64 positions a channel */

/* ---- what is kept for tests is never learnt from, however a dataset of it came about ---- */

static fw_status refuse_robot(const fw_dataset *ds, fw_err *err) {
    fw_embodiment e;
    fw_status s = ds->robot_type[0] != 0 ? fw_embodiment_find(ds->robot_type, &e, err) : FW_INVALID;
    if (s != FW_OK || !e.held_out) {
        return s == FW_INVALID ? FW_OK : s; /* a robot that has no file here is not one that is kept */
    }
    return fw_fail(
        err, FW_INVALID,
        "%s: recorded with robot %s, which is held out (embodiments/%s.json): it is kept for zero-shot tests "
        "and never trained on",
        ds->dir, e.name, e.name);
}

static fw_status refuse_domain(const fw_dataset *ds, int64_t ep, const char *ranges, fw_err *err) {
    fw_ranges r;
    fw_status s = fw_ranges_load(fw_home(), ranges, &r, err);
    if (s != FW_OK || !r.held_out) {
        return s == FW_INVALID ? FW_OK : s; /* ranges of another installation */
    }
    return fw_fail(err, FW_INVALID,
                   "%s: ep %lld: drawn from %s, a held-out domain (configs/randomise/%s.json): never trained on",
                   ds->dir, (long long)ep, ranges, ranges);
}

/* Homes and ranges of its simulated episodes. Episodes of the same ranges come together: each run of them is looked up once. */
static fw_status refuse_scenes(const fw_dataset *ds, fw_err *err) {
    char last[2][64] = {"", ""};
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        fw_replay r;
        if (fw_replay_read(ds, e, &r, NULL) != FW_OK) {
            continue;
        }
        const char *drawn[2] = {r.ranges, r.look};
        if (r.home >= FW_HOME_NEW) {
            return fw_fail(err, FW_INVALID,
                           "%s: ep %lld: home %llu: homes from %d on are for testing and never trained on", ds->dir,
                           (long long)ds->episodes[e].index, (unsigned long long)r.home, FW_HOME_NEW);
        }
        for (int k = 0; k < 2; k++) {
            if (drawn[k][0] != 0 && strcmp(drawn[k], last[k]) != 0) {
                FW_TRY(refuse_domain(ds, ds->episodes[e].index, drawn[k], err));
                snprintf(last[k], sizeof last[k], "%s", drawn[k]);
            }
        }
    }
    return FW_OK;
}

/* ---- numbers ---- */

static fw_status check_fit(const fw_train_cfg *cfg, void *ctx, fw_train_data *d, fw_err *err) {
    (void)ctx;
    const fw_embodiment *e = &cfg->embodiment;
    const fw_dataset *ds = d->ds;
    if (ds->n_state != e->n_state || ds->n_action != e->n_action) {
        return fw_fail(err, FW_SHAPE, "%s: state has %d values and action %d, embodiment %s wants %d and %d", ds->dir,
                       ds->n_state, ds->n_action, e->name, e->n_state, e->n_action);
    }
    if (ds->fps < e->rate_hz * 0.9 || ds->fps > e->rate_hz * 1.1) {
        return fw_fail(err, FW_INVALID, "%s: recorded at %g fps, embodiment %s is controlled at %g", ds->dir, ds->fps,
                       e->name, e->rate_hz);
    }
    for (int c = 0; c < cfg->policy.n_camera; c++) {
        d->camera[c] = fw_dataset_camera(ds, cfg->policy.camera[c]);
        if (d->camera[c] < 0) {
            return fw_fail(err, FW_INVALID, "%s: has no camera '%s', which the policy wants", ds->dir,
                           cfg->policy.camera[c]);
        }
    }
    return FW_OK;
}

static int sentence_id(fw_trainset *ts, const char *text, fw_err *err) {
    for (int i = 0; i < ts->n_sentence; i++) {
        if (strcmp(ts->sentence[i], text) == 0) {
            return i;
        }
    }
    char **grown = realloc(ts->sentence, sizeof(*grown) * (size_t)(ts->n_sentence + 1));
    if (grown != NULL) {
        ts->sentence = grown;
        ts->sentence[ts->n_sentence] = strdup(text);
    }
    if (grown == NULL || ts->sentence[ts->n_sentence] == NULL) {
        (void)fw_fail(err, FW_NOMEM, "sentences: out of memory");
        return -1;
    }
    return ts->n_sentence++;
}

/* The numbers of every episode of data[d]. */
static fw_status read_episodes(fw_trainset *ts, int d, fw_err *err) {
    fw_train_data *data = &ts->data[d];
    fw_dataset *ds = data->ds;
    fw_train_episode *grown = realloc(ts->episode, sizeof(*grown) * (size_t)(ts->n_episode + ds->n_episodes));
    if (grown == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: no memory for %lld episodes", ds->dir, (long long)ds->n_episodes);
    }
    ts->episode = grown;
    data->first = ts->n_episode;
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        fw_episode ep;
        FW_TRY(fw_dataset_read_episode(ds, e, &ep, err));
        int sentence = sentence_id(ts, ep.sentence != NULL ? ep.sentence : "", err);
        ts->episode[ts->n_episode++] = (fw_train_episode){.dataset = d,
                                                          .position = e,
                                                          .row = ds->episodes[e].first,
                                                          .length = ep.length,
                                                          .state = ep.state,
                                                          .action = ep.action,
                                                          .sentence = sentence};
        ep.state = NULL;
        ep.action = NULL;
        fw_episode_clear(&ep);
        if (sentence < 0) {
            return FW_NOMEM;
        }
    }
    return FW_OK;
}

static fw_status split(fw_trainset *ts, int d, fw_err *err) {
    fw_train_data *data = &ts->data[d];
    int64_t n = data->ds->n_episodes, held = ts->cfg->held_out;
    held = held >= 0 ? held : (n + 19) / 20;
    if (held >= n) {
        return fw_fail(err, FW_INVALID, "%s: %lld episodes, %lld held out: none left to train on", data->ds->dir,
                       (long long)n, (long long)held);
    }
    data->n_train = n - held;
    for (int64_t e = 0; e < n; e++) {
        *(e < data->n_train ? &ts->train_frames : &ts->held_frames) += ts->episode[data->first + e].length;
    }
    return FW_OK;
}

static fw_status open_data(fw_trainset *ts, int d, const char *dir, fw_trainset_fit *fit, void *ctx, fw_err *err) {
    fw_train_data *data = &ts->data[d];
    FW_TRY(fw_dataset_open(dir, &data->ds, err));
    FW_TRY(refuse_robot(data->ds, err));
    FW_TRY(refuse_scenes(data->ds, err));
    FW_TRY(fit(ts->cfg, ctx, data, err));
    FW_TRY(fw_dataset_identity(data->ds, data->id, err));
    FW_TRY(read_episodes(ts, d, err));
    return split(ts, d, err);
}

/* ---- statistics ---- */

static fw_status put_stats(fw_stats *stats, const char *key, const float *x, int64_t rows, int n, fw_err *err) {
    fw_column_stats cs = {0};
    FW_TRY(fw_column_stats_compute(x, rows, n, &cs, err));
    const double *from[6] = {cs.mean, cs.std, cs.min, cs.max, cs.q01, cs.q99};
    float *v = malloc(sizeof(float) * 6 * (size_t)n);
    fw_status s = v != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "statistics: out of memory");
    if (s == FW_OK) {
        for (int k = 0; k < 6 * n; k++) {
            v[k] = (float)from[k / n][k % n];
        }
        s = fw_stats_put(stats, key, n, v, v + n, v + 2 * n, v + 3 * n, v + 4 * n, v + 5 * n, err);
    }
    free(v);
    fw_column_stats_clear(&cs);
    return s;
}

typedef enum column { COL_STATE, COL_DELTA, COL_ACTION } column;

/* Rows of one kind of all training episodes: owned [train_frames, n]. */
static float *gather(const fw_trainset *ts, column what, int n) {
    float *x = malloc(sizeof(float) * (size_t)ts->train_frames * (size_t)n), *at = x;
    for (int d = 0; x != NULL && d < ts->n_data; d++) {
        for (int64_t e = 0; e < ts->data[d].n_train; e++) {
            const fw_train_episode *ep = &ts->episode[ts->data[d].first + e];
            size_t count = (size_t)ep->length * (size_t)n;
            memcpy(at, what == COL_ACTION ? ep->action : ep->state, count * sizeof(float));
            for (size_t i = count; what == COL_DELTA && i-- > 0;) {
                at[i] = i >= (size_t)n ? at[i] - at[i - (size_t)n] : 0.0F;
            }
            at += count;
        }
    }
    return x;
}

/* Empty, or those of the policy that the run begins with: its weights mean something only under them. */
static fw_status begin_stats(fw_trainset *ts, fw_err *err) {
    char path[1100];
    if (ts->cfg->from[0] == 0) {
        return fw_stats_new(&ts->stats, err);
    }
    FW_TRY(fw_path_join(path, sizeof path, ts->cfg->from, "stats.json", err));
    return fw_stats_load(path, &ts->stats, err);
}

static fw_status number_stats(fw_trainset *ts, fw_err *err) {
    static const char *const keys[] = {"observation.state", "observation.state.delta", "action"};
    for (int k = 0; k < 3; k++) {
        int n = k == COL_ACTION ? ts->cfg->embodiment.n_action : ts->cfg->embodiment.n_state;
        fw_stat given;
        if (fw_stats_get(ts->stats, keys[k], n, &given, NULL) == FW_OK) {
            continue; /* of the policy that this run begins with */
        }
        float *x = gather(ts, (column)k, n);
        fw_status s = x != NULL ? put_stats(ts->stats, keys[k], x, ts->train_frames, n, err)
                                : fw_fail(err, FW_NOMEM, "statistics: out of memory");
        free(x);
        FW_TRY(s);
    }
    return fw_proprio_init(&ts->proprio, &ts->cfg->policy, &ts->cfg->embodiment, ts->stats, err);
}

/* The k-th of STAT_FRAMES training frames, evenly spread: its dataset and row. */
static void spread_frame(const fw_trainset *ts, int64_t k, int64_t n, int *dataset, int64_t *row) {
    int64_t want = k * ts->train_frames / n;
    for (int d = 0; d < ts->n_data; d++) {
        const fw_train_data *data = &ts->data[d];
        for (int64_t e = 0; e < data->n_train; e++) {
            const fw_train_episode *ep = &ts->episode[data->first + e];
            if (want < ep->length) {
                *dataset = d;
                *row = ep->row + want;
                return;
            }
            want -= ep->length;
        }
    }
}

/* Features of n spread frames of camera c as f32: x[t] [n, size*size, channels] a tap. */
static fw_status sample_features(fw_trainset *ts, int c, int64_t n, fw_vision_tower *tower, float *const *x,
                                 fw_err *err) {
    for (int64_t k = 0; k < n; k++) {
        int d = 0;
        int64_t row = 0;
        float *at[FW_TAP_MAX];
        spread_frame(ts, k, n, &d, &row);
        for (int t = 0; t < ts->cfg->policy.n_tap; t++) {
            size_t values = (size_t)ts->tap_size[t] * (size_t)ts->tap_size[t] * (size_t)ts->tap_channels[t];
            at[t] = x[t] + (size_t)k * values;
            const uint16_t *h = tower == NULL ? fw_blob_row(ts->data[d].feature[c][t], row) : NULL;
            for (size_t i = 0; h != NULL && i < values; i++) {
                at[t][i] = fw_f32_from_f16(h[i]);
            }
        }
        if (tower != NULL) {
            FW_TRY(
                fw_vision_tower_run(tower, fw_frames_at(ts->data[d].frames, ts->data[d].camera[c], row), 1, at, err));
        }
    }
    return FW_OK;
}

/* The map of a view's tap, from the statistics. */
static fw_status feature_map(fw_trainset *ts, int c, int t, fw_err *err) {
    char key[FW_NAME_MAX + 32];
    fw_stat st;
    snprintf(key, sizeof key, "features.%s.%d", ts->cfg->policy.camera[c], ts->cfg->policy.tap[t]);
    FW_TRY(fw_stats_get(ts->stats, key, ts->tap_channels[t], &st, err));
    return fw_norm_make(&st, FW_NORM_MEAN_STD, NULL, &ts->feature_norm[c][t], err);
}

/* Both the statistics and the maps of view c; only the maps where the statistics are there. */
static fw_status feature_stats(fw_trainset *ts, int c, fw_vision_tower *tower, fw_err *err) {
    const fw_flywheel_cfg *p = &ts->cfg->policy;
    int mapped = 0;
    while (mapped < p->n_tap && feature_map(ts, c, mapped, NULL) == FW_OK) {
        mapped++;
    }
    if (mapped == p->n_tap) {
        return FW_OK;
    }
    int64_t n = ts->train_frames < STAT_FRAMES ? ts->train_frames : STAT_FRAMES;
    float *x[FW_TAP_MAX] = {NULL};
    fw_status s = FW_OK;
    for (int t = 0; t < p->n_tap && s == FW_OK; t++) {
        size_t values = (size_t)ts->tap_size[t] * (size_t)ts->tap_size[t] * (size_t)ts->tap_channels[t];
        x[t] = malloc(sizeof(float) * values * (size_t)n);
        s = x[t] != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "feature statistics: out of memory");
    }
    s = s == FW_OK ? sample_features(ts, c, n, tower, x, err) : s;
    for (int t = 0; t < p->n_tap && s == FW_OK; t++) {
        char key[FW_NAME_MAX + 32];
        snprintf(key, sizeof key, "features.%s.%d", p->camera[c], p->tap[t]);
        s = put_stats(ts->stats, key, x[t], n * ts->tap_size[t] * ts->tap_size[t], ts->tap_channels[t], err);
        fw_norm_clear(&ts->feature_norm[c][t]);
        s = s == FW_OK ? feature_map(ts, c, t, err) : s;
    }
    for (int t = 0; t < p->n_tap; t++) {
        free(x[t]);
    }
    return s;
}

/* ---- towers ---- */

static fw_status encode_sentences(fw_trainset *ts, fw_pool *pool, fw_err *err) {
    fw_text_tower *tower = NULL;
    ts->text = calloc((size_t)ts->n_sentence, sizeof *ts->text);
    if (ts->text == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for %d sentences", ts->n_sentence);
    }
    FW_TRY(fw_text_tower_open(NULL, pool, &tower, err));
    snprintf(ts->text_sha256, sizeof ts->text_sha256, "%s", fw_text_tower_sha256(tower));
    fw_status s = FW_OK;
    for (int i = 0; i < ts->n_sentence && s == FW_OK; i++) {
        s = fw_text_tower_encode(tower, ts->sentence[i], &ts->text[i], err);
    }
    fw_text_tower_close(tower);
    return s;
}

static fw_status see(fw_trainset *ts, fw_pool *pool, fw_err *err) {
    const fw_flywheel_cfg *p = &ts->cfg->policy;
    for (int d = 0; d < ts->n_data; d++) {
        fw_train_data *data = &ts->data[d];
        if (p->train_tower) {
            FW_TRY(fw_frames_open(data->ds, p->image_size, p->image_size, pool != NULL ? fw_pool_size(pool) : 1,
                                  &data->frames, err));
            continue;
        }
        for (int c = 0; c < p->n_camera; c++) {
            FW_TRY(fw_features_fill(data->ds, data->id, data->camera[c], p, pool, data->feature[c], err));
        }
    }
    fw_vision_tower *tower = NULL;
    fw_vision_opts o = FW_VISION_OPTS_DEFAULT;
    o.pool = pool;
    o.image_size = p->image_size;
    o.n_tap = p->n_tap;
    memcpy(o.tap, p->tap, sizeof o.tap);
    FW_TRY(fw_vision_tower_open(NULL, &o, &tower, err));
    snprintf(ts->tower_sha256, sizeof ts->tower_sha256, "%s", fw_vision_tower_sha256(tower));
    fw_status s = FW_OK;
    for (int c = 0; c < p->n_camera && s == FW_OK; c++) {
        s = feature_stats(ts, c, p->train_tower ? tower : NULL, err);
    }
    fw_vision_tower_close(tower);
    return s;
}

/* What was deleted from one of the datasets is not learnt from another (data/deleted.h). */
static fw_status refuse_deleted(const fw_trainset *ts, fw_err *err) {
    fw_deleted *d;
    FW_TRY(fw_deleted_new(&d, err));
    fw_status s = FW_OK;
    for (int i = 0; i < ts->n_data && s == FW_OK; i++) {
        s = fw_deleted_load(d, ts->data[i].ds->dir, err);
    }
    for (int i = 0; i < ts->n_data && s == FW_OK; i++) {
        s = fw_deleted_refuse_homes(d, ts->data[i].ds, NULL, ts->data[i].ds->n_episodes, err);
    }
    for (int64_t e = 0; e < ts->n_episode && s == FW_OK && fw_deleted_rules(d) > 0; e++) {
        const fw_train_episode *ep = &ts->episode[e];
        const fw_dataset *ds = ts->data[ep->dataset].ds;
        s = fw_deleted_refuse_rows(d, ds->dir, ds->episodes[ep->position].index, ep->state, ep->action, ep->length,
                                   ds->n_state, ds->n_action, err);
    }
    fw_deleted_free(d);
    return s;
}

fw_status fw_trainset_open_recordings(const fw_train_cfg *cfg, const char *const *dirs, int n, fw_trainset_fit *fit,
                                      void *ctx, fw_trainset *out, fw_err *err) {
    fw_trainset ts = {.cfg = cfg, .n_data = n};
    fw_status s = n > 0 ? FW_OK : fw_fail(err, FW_INVALID, "no dataset to train on");
    if (cfg->embodiment.held_out) {
        s = fw_fail(err, FW_INVALID,
                    "%s: embodiment %s is held out: it is kept for zero-shot tests and never trained on", cfg->name,
                    cfg->embodiment.name);
    }
    ts.data = calloc((size_t)(n > 0 ? n : 1), sizeof *ts.data);
    if (s == FW_OK && ts.data == NULL) {
        s = fw_fail(err, FW_NOMEM, "no memory for %d datasets", n);
    }
    for (int d = 0; d < n && s == FW_OK; d++) {
        s = open_data(&ts, d, dirs[d], fit, ctx, err);
    }
    s = s == FW_OK ? refuse_deleted(&ts, err) : s;
    if (s != FW_OK) {
        fw_trainset_close(&ts);
        return s;
    }
    *out = ts;
    return FW_OK;
}

fw_status fw_trainset_open(const fw_train_cfg *cfg, const char *const *dirs, int n, fw_pool *pool, fw_trainset *out,
                           fw_err *err) {
    fw_trainset ts;
    FW_TRY(fw_trainset_open_recordings(cfg, dirs, n, check_fit, NULL, &ts, err));
    fw_status s = FW_OK;
    for (int t = 0; t < cfg->policy.n_tap && s == FW_OK; t++) {
        s = fw_effnet_tap_shape(cfg->policy.tap[t], cfg->policy.image_size, &ts.tap_size[t], &ts.tap_channels[t], err);
    }
    if (s == FW_OK && (s = begin_stats(&ts, err)) == FW_OK && (s = number_stats(&ts, err)) == FW_OK &&
        (s = encode_sentences(&ts, pool, err)) == FW_OK) {
        s = see(&ts, pool, err);
    }
    if (s != FW_OK) {
        fw_trainset_close(&ts);
        return s;
    }
    *out = ts;
    return FW_OK;
}

void fw_trainset_close(fw_trainset *ts) {
    for (int64_t e = 0; e < ts->n_episode; e++) {
        free(ts->episode[e].state);
        free(ts->episode[e].action);
    }
    for (int d = 0; ts->data != NULL && d < ts->n_data; d++) {
        for (int i = 0; i < FW_CAM_MAX * FW_TAP_MAX; i++) {
            fw_blob_close(ts->data[d].feature[i / FW_TAP_MAX][i % FW_TAP_MAX]);
        }
        for (int c = 0; c < FW_CAM_MAX; c++) {
            fw_blob_close(ts->data[d].picture[c]);
        }
        fw_frames_close(ts->data[d].frames);
        fw_dataset_close(ts->data[d].ds);
    }
    for (int i = 0; i < FW_CAM_MAX * FW_TAP_MAX; i++) {
        fw_norm_clear(&ts->feature_norm[i / FW_TAP_MAX][i % FW_TAP_MAX]);
    }
    for (int i = 0; i < ts->n_sentence; i++) {
        free(ts->sentence[i]);
    }
    free(ts->sentence);
    free(ts->text);
    free(ts->episode);
    free(ts->data);
    fw_stats_free(ts->stats);
    fw_proprio_clear(&ts->proprio);
    memset(ts, 0, sizeof *ts);
}
