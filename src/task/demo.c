#include "task/demo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

#define REST_FRAMES  4    /* kept after the expert is done: a policy must learn to stay */
#define WANDER_SHARE 0.5  /* of the noisy episodes start somewhere odd */
#define WANDER_MAX   14   /* steps of wandering, not recorded */
#define QUIET_MAX    10   /* steps without noise between two offsets */
#define DROP_SHARE   0.04 /* of the offsets open the gripper */

/* The noise of one episode: an offset held for some steps, then quiet for some. */
typedef struct gust {
    fw_rng r;
    double size;
    int hold, left, quiet;
    bool drop;
    float offset[FW_DIM_MAX];
} gust;

static void gust_draw(gust *g, const fw_embodiment *b) {
    for (int k = 0; k < b->n_action; k++) {
        double range = g->size * (b->action[k].max - b->action[k].min) / 2;
        g->offset[k] = b->action[k].meaning == FW_MEANING_GRIPPER ? 0 : (float)fw_rng_uniform(&g->r, -range, range);
    }
    g->drop = fw_rng_unit(&g->r) < DROP_SHARE;
    g->left = g->hold;
    g->quiet = (int)fw_rng_below(&g->r, QUIET_MAX);
}

/* Disturb what will be executed. */
static void gust_apply(gust *g, const fw_embodiment *b, float *a) {
    if (g->left == 0 && g->quiet-- <= 0) {
        gust_draw(g, b);
    }
    if (g->left > 0) {
        g->left--;
        for (int k = 0; k < b->n_action; k++) {
            a[k] = b->action[k].meaning == FW_MEANING_GRIPPER ? (g->drop ? 1 : a[k]) : a[k] + g->offset[k];
        }
    }
}

/* Move the hand about before anybody watches. */
static fw_status wander(fw_env *env, fw_rng *r, fw_err *err) {
    int n = (int)fw_rng_below(r, WANDER_MAX);
    const fw_embodiment *b = fw_env_embodiment(env);
    float a[FW_DIM_MAX] = {0};
    for (int k = 0; k < b->n_action; k++) {
        switch (b->action[k].meaning) {
        case FW_MEANING_EE_DELTA_POS:
            a[k] = (float)(fw_rng_uniform(r, -0.5, 0.5) * b->action[k].max);
            break;
        case FW_MEANING_EE_DELTA_YAW:
            a[k] = (float)(fw_rng_uniform(r, -1, 1) * b->action[k].max / 3);
            break;
        case FW_MEANING_GRIPPER:
            a[k] = fw_rng_unit(r) < 0.3 ? 0 : (float)fw_rng_unit(r);
            break;
        default:
            break;
        }
    }
    for (int i = 0; i < n; i++) {
        FW_TRY(fw_env_step(env, a, err));
    }
    return FW_OK;
}

fw_status fw_demo_new(const fw_env *env, fw_demo **out, fw_err *err) {
    const fw_embodiment *b = fw_env_embodiment(env);
    fw_demo *d = calloc(1, sizeof *d);
    if (d == NULL) {
        return fw_fail(err, FW_NOMEM, "demonstration");
    }
    d->cap = fw_env_time_limit_max(env);
    d->n_state = b->n_state;
    d->n_action = b->n_action;
    d->n_camera = b->n_camera;
    d->state = calloc((size_t)d->cap * (size_t)d->n_state, sizeof *d->state);
    d->action = calloc((size_t)d->cap * (size_t)d->n_action, sizeof *d->action);
    d->frame = calloc((size_t)d->cap, sizeof *d->frame);
    d->subtask = calloc((size_t)d->cap, sizeof *d->subtask);
    bool ok = d->state != NULL && d->action != NULL && d->frame != NULL && d->subtask != NULL;
    for (int c = 0; c < b->n_camera; c++) {
        d->image_bytes[c] = 3 * (size_t)b->camera[c].width * (size_t)b->camera[c].height;
        d->images[c] = malloc((size_t)d->cap * d->image_bytes[c]);
        ok = ok && d->images[c] != NULL;
    }
    if (!ok) {
        fw_demo_free(d);
        return fw_fail(err, FW_NOMEM, "demonstration of %d frames", fw_env_time_limit_max(env));
    }
    *out = d;
    return FW_OK;
}

void fw_demo_free(fw_demo *d) {
    if (d == NULL) {
        return;
    }
    for (int c = 0; c < FW_CAM_MAX; c++) {
        free(d->images[c]);
    }
    free(d->view);
    free(d->subtask);
    free(d->frame);
    free(d->action);
    free(d->state);
    free(d);
}

fw_status fw_demo_size_views(fw_demo *d, int n_view, fw_err *err) {
    if (n_view == d->n_view) {
        return FW_OK;
    }
    free(d->view);
    d->view = n_view > 0 ? calloc((size_t)d->cap * (size_t)n_view, sizeof *d->view) : NULL;
    d->n_view = d->view != NULL ? n_view : 0;
    return d->view != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "views of %d numbers", n_view);
}

/* The sentence of the step that the expert is in, by its place among those of this episode. */
static int64_t step_of(const fw_env *env, fw_demo *d) {
    char now[FW_SUBTASK_LEN];
    fw_env_subtask(env, now);
    for (int i = 0; i < d->n_subtasks; i++) {
        if (strcmp(d->subtasks[i], now) == 0) {
            return i;
        }
    }
    if (now[0] == 0 || d->n_subtasks == FW_DEMO_STEPS_MAX) {
        return -1;
    }
    memcpy(d->subtasks[d->n_subtasks], now, sizeof now);
    return d->n_subtasks++;
}

/* Keep what is seen now and the clean action for it. */
static fw_status keep(fw_env *env, fw_demo *d, const float *action, fw_err *err) {
    fw_obs obs;
    size_t t = (size_t)d->length;
    FW_TRY(fw_env_observe(env, &obs, err));
    memcpy(d->state + t * (size_t)d->n_state, obs.state, (size_t)d->n_state * sizeof *d->state);
    memcpy(d->action + t * (size_t)d->n_action, action, (size_t)d->n_action * sizeof *d->action);
    fw_sim_view(fw_env_sim(env), d->view + t * (size_t)d->n_view);
    d->frame[t] = fw_sim_frame(fw_env_sim(env));
    d->subtask[t] = step_of(env, d);
    for (int c = 0; c < d->n_camera; c++) {
        if (obs.image[c].rgb == NULL) {
            continue;
        }
        if ((size_t)obs.image[c].h * (size_t)obs.image[c].w * 3 != d->image_bytes[c]) {
            return fw_fail(err, FW_SHAPE,
                           "demonstrations want images of the embodiment's own size; opened with image_px");
        }
        memcpy(d->images[c] + t * d->image_bytes[c], obs.image[c].rgb, d->image_bytes[c]);
    }
    d->length++;
    return FW_OK;
}

static fw_status run(fw_env *env, fw_demo *d, gust *g, fw_err *err) {
    fw_verdict v;
    int rested = 0;
    while (d->length < d->cap && fw_env_steps(env) < fw_env_time_limit(env)) {
        float a[FW_DIM_MAX];
        bool done;
        FW_TRY(fw_expert_act(env, a, &done, err));
        FW_TRY(keep(env, d, a, err));
        fw_env_judge(env, &v);
        rested = done && v.success ? rested + 1 : 0;
        if (rested >= REST_FRAMES && v.held_steps >= REST_FRAMES) {
            break;
        }
        if (d->noisy && !done) {
            gust_apply(g, fw_env_embodiment(env), a);
        }
        FW_TRY(fw_env_step(env, a, err));
    }
    fw_env_judge(env, &v);
    d->success = v.success && rested >= REST_FRAMES;
    snprintf(d->reason, sizeof d->reason, "%s", d->success ? "" : v.reason[0] != 0 ? v.reason : "not settled in time");
    return FW_OK;
}

fw_status fw_demo_record(fw_env *env, int task, const fw_seeds *seeds, const fw_demo_opts *opts, fw_demo *d,
                         fw_err *err) {
    static const fw_demo_opts defaults = FW_DEMO_OPTS_DEFAULT;
    opts = opts != NULL ? opts : &defaults;
    fw_rng expert = fw_rng_stream(seeds->expert, "expert");
    gust g = {.r = fw_rng_stream(seeds->noise, "noise"), .size = opts->noise, .hold = opts->hold_steps};
    g.quiet = (int)fw_rng_below(&g.r, QUIET_MAX);
    d->task = task;
    d->seeds = *seeds;
    d->version = fw_env_task_version(env, task);
    d->length = d->n_subtasks = 0;
    d->success = false;
    d->noisy = fw_rng_unit(&g.r) < opts->noisy_share;
    fw_status begun = fw_env_reset_seeds(env, task, seeds, err);
    if (begun == FW_CLOSED) { /* no such scene: an attempt that failed, not an error */
        snprintf(d->reason, sizeof d->reason, "%.150s", err != NULL ? err->msg : "no such scene");
        return FW_OK;
    }
    FW_TRY(begun);
    d->home = fw_env_home(env);
    FW_TRY(fw_demo_size_views(d, fw_sim_view_size(fw_env_sim(env)), err));
    int n = fw_env_n_sentence(env, task, FW_SPLIT_TRAIN);
    snprintf(d->sentence, sizeof d->sentence, "%s",
             fw_env_sentence(env, task, FW_SPLIT_TRAIN, (int)fw_rng_below(&expert, (uint64_t)n)));
    FW_TRY(fw_env_set_sentence(env, d->sentence, err));
    fw_status st = FW_OK;
    if (d->noisy && fw_rng_unit(&g.r) < WANDER_SHARE) {
        st = wander(env, &g.r, err);
    }
    if (st == FW_OK) {
        st = run(env, d, &g, err);
    }
    if (st == FW_CLOSED) { /* physics diverged: an attempt that failed, not an error */
        snprintf(d->reason, sizeof d->reason, "physics diverged");
        return FW_OK;
    }
    return st;
}
