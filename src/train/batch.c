#include "train/batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

typedef struct fill {
    const fw_trainset *ts;
    const fw_flywheel_io *io;
    const fw_batch_row *rows;
    fw_plan *plan;
    float *feat[FW_CAM_MAX][FW_TAP_MAX], *image[FW_CAM_MAX], *state, *target, *weight;
    int n_row; /* values of a state row */
} fill;

static void fill_vision(const fill *f, int b, const fw_train_episode *ep, int64_t t, const bool *drop) {
    const fw_trainset *ts = f->ts;
    const fw_train_data *data = &ts->data[ep->dataset];
    const fw_flywheel_cfg *p = &ts->cfg->policy;
    for (int c = 0; c < p->n_camera; c++) {
        if (p->train_tower) {
            size_t n = (size_t)p->image_size * (size_t)p->image_size * 3;
            const uint8_t *rgb = fw_frames_at(data->frames, data->camera[c], ep->row + t);
            float *out = f->image[c] + (size_t)b * n;
            for (size_t i = 0; i < n; i++) {
                out[i] = drop[c] ? 0.0F : (float)rgb[i] * (1.0F / 127.0F) - 1.0F;
            }
            continue;
        }
        for (int k = 0; k < p->n_tap; k++) {
            size_t places = (size_t)ts->tap_size[k] * (size_t)ts->tap_size[k];
            size_t n = places * (size_t)ts->tap_channels[k];
            float *out = f->feat[c][k] + (size_t)b * n;
            if (drop[c]) {
                memset(out, 0, n * sizeof(float));
            } else {
                fw_norm_apply_f16(&ts->feature_norm[c][k], fw_blob_row(data->feature[c][k], ep->row + t), out, places);
            }
        }
    }
}

/* Is it the same scene but for the hand's place at frames `from` and `to`, so that the one's pictures are as good as the other's? So it is where no
 * command changed that is no step (a gripper's), nor in the frames before, in which the fingers may still move. */
static bool is_steady(const fw_trainset *ts, const fw_train_episode *ep, int64_t from, int64_t to) {
    enum { SETTLING = 4 };
    const int ns = ts->cfg->embodiment.n_state, na = ts->cfg->embodiment.n_action;
    float first[FW_DIM_MAX], now[FW_DIM_MAX];
    from = from > SETTLING ? from - SETTLING : 0;
    for (int64_t t = from; t < to; t++) {
        fw_proprio_executed(&ts->proprio, ep->state + t * ns, ep->action + t * na, 1, t == from ? first : now);
        for (int k = 0; k < na && t > from; k++) {
            if (!ts->proprio.step[k] && fabsf(now[k] - first[k]) * ts->proprio.action.scale[k] > 0.1f) {
                return false;
            }
        }
    }
    return true;
}

/* How many commands are settled when the row's pictures are taken, at frame t: none for half of the rows, since a policy that is never late must
 * not be worse for it; else 1 to max_delay alike. Negative: the chunk begins so many frames *before* the pictures, and the hand is led back. A
 * demonstration only ever goes on towards its goal, so where it went gives the goal away; with as many ways back it does not, and the policy has to
 * look. rng NULL: by the row's number, and never back. */
static int draw_delay(const fw_trainset *ts, const fw_train_episode *ep, int64_t t, int b, fw_rng *rng) {
    const int most = ts->cfg->policy.max_delay;
    const int64_t left = ep->length - t;
    if (most == 0 || (rng != NULL ? fw_rng_unit(rng) < 0.5 : b % 2 == 0)) {
        return 0;
    }
    const int n = 1 + (rng != NULL ? (int)fw_rng_below(rng, (uint64_t)most) : b / 2 % most);
    if (rng != NULL && fw_rng_unit(rng) < 0.5 && n <= t && is_steady(ts, ep, t - n, t)) {
        return -n;
    }
    return n < left ? n : (int)left - 1; /* a frame remains that is asked for */
}

/* The chunk of the row that looks at frame t; what is settled before it goes to the end of the body's row. */
static void fill_chunk(const fill *f, int b, const fw_train_episode *ep, int64_t t, fw_rng *rng, float *body) {
    const fw_trainset *ts = f->ts;
    const int ns = ts->cfg->embodiment.n_state, na = ts->cfg->embodiment.n_action, h = ts->cfg->policy.horizon;
    const int delay = draw_delay(ts, ep, t, b, rng), n = delay < 0 ? -delay : delay;
    const int64_t first = delay < 0 ? t - n : t;
    float executed[FW_HORIZON_MAX * FW_DIM_MAX], *target = f->target + (size_t)b * (size_t)(h * na);
    fw_proprio_executed(&ts->proprio, ep->state + first * ns, ep->action + first * na, n, executed);
    for (int i = 0; i < n * na && delay < 0; i++) {
        executed[i] = ts->proprio.step[i % na] ? -executed[i] : executed[i];
    }
    fw_proprio_settled(&ts->proprio, ep->state + t * ns, executed, n, body);
    fw_chunk_gather(ep->action, ep->length, na, t + delay, h, target, f->weight + (size_t)b * (size_t)h);
    fw_norm_apply(&ts->proprio.action, target, target, (size_t)h);
}

static void fill_row(void *ctx, int b, int worker) {
    (void)worker;
    const fill *f = ctx;
    const fw_trainset *ts = f->ts;
    const fw_batch_row *r = &f->rows[b];
    const fw_train_episode *ep = &ts->episode[r->episode];
    const fw_train_cfg *cfg = ts->cfg;
    const int ns = cfg->embodiment.n_state, na = cfg->embodiment.n_action;
    const bool augment = r->draw >= 0;
    fw_rng rng = fw_rng_stream(cfg->seed + (uint64_t)r->draw * 0x9E3779B97F4A7C15ull, "augment");
    bool drop[FW_CAM_MAX] = {false};
    for (int c = 0; c < cfg->policy.n_camera; c++) {
        drop[c] = augment && fw_rng_unit(&rng) < cfg->feature_dropout;
    }
    bool forget = augment && fw_rng_unit(&rng) < cfg->action_dropout;
    fill_vision(f, b, ep, r->t, drop);
    fw_flywheel_put_text(f->plan, f->io, b, &ts->text[ep->sentence]);
    float *state = f->state + (size_t)b * (size_t)f->n_row;
    fw_proprio_row(&ts->proprio, ep->state + r->t * ns, r->t > 0 ? ep->state + (r->t - 1) * ns : NULL,
                   r->t > 0 && !forget ? ep->action + (r->t - 1) * na : NULL, state);
    for (int i = 0; augment && cfg->state_noise > 0 && i < fw_proprio_body(&ts->proprio); i++) {
        state[i] += (float)(cfg->state_noise * fw_rng_normal(&rng));
    }
    fw_proprio_settled(&ts->proprio, ep->state + r->t * ns, NULL, 0, state);
    if (f->target != NULL) {
        fill_chunk(f, b, ep, r->t, augment ? &rng : NULL, state);
    }
}

void fw_batch_fill(const fw_trainset *ts, const fw_flywheel_io *io, fw_plan *plan, fw_pool *pool,
                   const fw_batch_row *rows) {
    fill f = {.ts = ts, .io = io, .rows = rows, .plan = plan, .state = fw_plan_data(plan, io->state)};
    f.n_row = fw_proprio_width(&ts->cfg->policy, &ts->cfg->embodiment);
    f.target = io->target != FW_NONE ? fw_plan_data(plan, io->target) : NULL;
    f.weight = io->weight != FW_NONE ? fw_plan_data(plan, io->weight) : NULL;
    for (int c = 0; c < ts->cfg->policy.n_camera; c++) {
        f.image[c] = ts->cfg->policy.train_tower ? fw_plan_data(plan, io->image[c]) : NULL;
        for (int k = 0; k < ts->cfg->policy.n_tap && !ts->cfg->policy.train_tower; k++) {
            f.feat[c][k] = fw_plan_data(plan, io->feat[c][k]);
        }
    }
    if (pool != NULL) {
        fw_pool_run(pool, (int)io->batch, fill_row, &f);
        return;
    }
    for (int b = 0; b < (int)io->batch; b++) {
        fill_row(&f, b, 0);
    }
}

static double training_frames(const fw_trainset *ts, const fw_train_data *data) {
    double frames = 0;
    for (int64_t e = 0; e < data->n_train; e++) {
        frames += (double)ts->episode[data->first + e].length;
    }
    return frames;
}

fw_status fw_batch_sampler(const fw_trainset *ts, fw_sampler **out, fw_err *err) {
    fw_sampler_source *src = calloc((size_t)ts->n_data, sizeof *src);
    int64_t *ids = calloc((size_t)ts->n_episode, sizeof *ids);
    fw_status s = src != NULL && ids != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "sampler: out of memory");
    for (int64_t e = 0; s == FW_OK && e < ts->n_episode; e++) {
        ids[e] = e;
    }
    for (int d = 0; s == FW_OK && d < ts->n_data; d++) {
        const fw_train_data *data = &ts->data[d];
        src[d] = (fw_sampler_source){data->ds, ids, data->n_train, training_frames(ts, data)};
    }
    s = s == FW_OK ? fw_sampler_new(src, ts->n_data, ts->cfg->seed, 0, out, err) : s;
    free(src);
    free(ids);
    return s;
}

void fw_batch_draw(const fw_trainset *ts, fw_sampler *sampler, int64_t step, int64_t batch, fw_batch_row *rows) {
    if (fw_sampler_tell(sampler) != step * batch) {
        fw_sampler_seek(sampler, step * batch);
    }
    for (int64_t b = 0; b < batch; b++) {
        fw_sample s = fw_sampler_next(sampler);
        rows[b] = (fw_batch_row){ts->data[s.source].first + s.episode, s.t, step * batch + b};
    }
}

bool fw_batch_held_out(const fw_trainset *ts, int64_t part, int64_t n_part, int64_t batch, fw_batch_row *rows) {
    if (ts->held_frames == 0) {
        return false;
    }
    for (int64_t b = 0; b < batch; b++) {
        int64_t want = (b * n_part + part) * ts->held_frames / (batch * n_part);
        for (int d = 0; d < ts->n_data; d++) {
            const fw_train_data *data = &ts->data[d];
            int64_t e = data->n_train;
            for (; e < data->ds->n_episodes && want >= ts->episode[data->first + e].length; e++) {
                want -= ts->episode[data->first + e].length;
            }
            if (e < data->ds->n_episodes) {
                rows[b] = (fw_batch_row){data->first + e, want, -1};
                break;
            }
        }
    }
    return true;
}
