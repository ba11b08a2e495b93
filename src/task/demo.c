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
#define FORK_EVERY   10   /* steps between two saved states */
#define BACK_STEPS   20   /* a branch begins so much before a thing was lost, the next one twice as much, ... */
#define SKILL_STEPS  40   /* about as long as a step of a long task takes */

/* The noise of one episode: an offset held for some steps, then quiet for some. */
typedef struct gust {
    fw_rng r;
    double size;
    int hold, left, quiet;
    bool drop;
    float offset[FW_DIM_MAX];
} gust;

/* A moment to go back to; the environment's state of it lies in fw_demo.fork_state. */
struct fw_demo_fork {
    int length, n_subtasks, rested;
    gust g;
};

/* One attempt, or what a branch makes of it. */
typedef struct attempt {
    gust g;
    int rested;
    int lost;  /* frame at which it was: a thing moved that is not named, physics diverged; -1 */
    int skill; /* frame at which the expert last began a step that it had not been in */
} attempt;

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
    d->fork = calloc((size_t)(d->cap / FORK_EVERY + 1), sizeof *d->fork);
    bool ok = d->state != NULL && d->action != NULL && d->frame != NULL && d->subtask != NULL && d->fork != NULL;
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
    free(d->fork_state);
    free(d->fork);
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

/* Room for the states to go back to, whose size is the home's. */
static fw_status size_forks(fw_demo *d, size_t bytes, fw_err *err) {
    d->n_fork = 0;
    if (bytes == d->fork_bytes) {
        return FW_OK;
    }
    free(d->fork_state);
    d->fork_state = malloc((size_t)(d->cap / FORK_EVERY + 1) * bytes);
    d->fork_bytes = d->fork_state != NULL ? bytes : 0;
    return d->fork_state != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "states of %zu bytes to go back to", bytes);
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

/* --- branches */
static void fork_save(const fw_env *env, fw_demo *d, const attempt *a) {
    if (d->length % FORK_EVERY == 0) {
        d->fork[d->n_fork] = (fw_demo_fork){d->length, d->n_subtasks, a->rested, a->g};
        fw_env_save(env, d->fork_state + (size_t)d->n_fork++ * d->fork_bytes);
    }
}

/* Where branch k = 1.. begins: before the thing was lost; else with the skill that did not come to its end, and then before it. */
static int branch_point(const attempt *a, int k) {
    int at = a->lost < 0 ? a->skill - (k - 1) * SKILL_STEPS : a->lost - k * BACK_STEPS;
    return at > 0 ? at : 0;
}

/* Back to the last saved moment that is not after frame `at`; what came later is forgotten. */
static void fork_restore(fw_env *env, fw_demo *d, int at, attempt *a) {
    while (d->n_fork > 1 && d->fork[d->n_fork - 1].length > at) {
        d->n_fork--;
    }
    const fw_demo_fork *f = &d->fork[--d->n_fork]; /* it is saved once more when the attempt goes on */
    fw_env_restore(env, d->fork_state + (size_t)d->n_fork * d->fork_bytes);
    d->length = f->length;
    d->n_subtasks = f->n_subtasks;
    *a = (attempt){.g = f->g, .rested = f->rested, .lost = -1, .skill = f->length};
}

/* From here to the end. d->success: it ended settled and judged a success. */
static fw_status run(fw_env *env, fw_demo *d, attempt *a, const fw_demo_opts *o, fw_err *err) {
    fw_verdict v;
    while (d->length < d->cap && fw_env_steps(env) < fw_env_time_limit(env)) {
        float action[FW_DIM_MAX];
        bool done;
        int steps = d->n_subtasks;
        fork_save(env, d, a);
        FW_TRY(fw_expert_act(env, action, &done, err));
        FW_TRY(keep(env, d, action, err));
        a->skill = d->n_subtasks > steps ? d->length - 1 : a->skill;
        fw_env_judge(env, &v);
        a->lost = a->lost < 0 && v.wrong_object ? d->length - 1 : a->lost;
        a->rested = done && v.success ? a->rested + 1 : 0;
        if (a->rested >= REST_FRAMES && v.held_steps >= REST_FRAMES) {
            break;
        }
        if (d->noisy && !done) {
            gust_apply(&a->g, fw_env_embodiment(env), action);
        }
        if (o->act != NULL) {
            FW_TRY(o->act(o->act_ctx, env, d->seeds.noise, d->length - 1, action, err));
        }
        FW_TRY(fw_env_step(env, action, err));
    }
    fw_env_judge(env, &v);
    d->success = v.success && a->rested >= REST_FRAMES;
    snprintf(d->reason, sizeof d->reason, "%s", d->success ? "" : v.reason[0] != 0 ? v.reason : "not settled in time");
    return FW_OK;
}

/* The same, physics that diverges being one way to fail. */
static fw_status attempt_run(fw_env *env, fw_demo *d, attempt *a, const fw_demo_opts *o, fw_err *err) {
    fw_status st = run(env, d, a, o, err);
    if (st == FW_CLOSED) {
        a->lost = a->lost < 0 ? d->length : a->lost;
        snprintf(d->reason, sizeof d->reason, "physics diverged");
        return FW_OK;
    }
    return st;
}

/* Go back and on with other noise until one of `most` branches succeeds. Without noise there is nothing to draw again. */
static fw_status branches(fw_env *env, fw_demo *d, attempt *a, const fw_demo_opts *o, fw_err *err) {
    while (!d->success && d->noisy && d->n_fork > 0 && d->branch < o->branches) {
        char name[32];
        snprintf(name, sizeof name, "branch %d", ++d->branch);
        fork_restore(env, d, branch_point(a, d->branch), a);
        a->g.r = fw_rng_stream(d->seeds.noise, name);
        a->g.left = 0;
        a->g.quiet = (int)fw_rng_below(&a->g.r, QUIET_MAX);
        FW_TRY(attempt_run(env, d, a, o, err));
    }
    return FW_OK;
}

fw_status fw_demo_record(fw_env *env, int task, const fw_seeds *seeds, const fw_demo_opts *opts, fw_demo *d,
                         fw_err *err) {
    static const fw_demo_opts defaults = FW_DEMO_OPTS_DEFAULT;
    opts = opts != NULL ? opts : &defaults;
    fw_rng expert = fw_rng_stream(seeds->expert, "expert");
    attempt a = {.g = {.r = fw_rng_stream(seeds->noise, "noise"), .size = opts->noise, .hold = opts->hold_steps},
                 .lost = -1};
    a.g.quiet = (int)fw_rng_below(&a.g.r, QUIET_MAX);
    d->task = task;
    d->seeds = *seeds;
    d->version = fw_env_task_version(env, task);
    d->length = d->n_subtasks = d->branch = 0;
    d->success = false;
    d->noisy = fw_rng_unit(&a.g.r) < opts->noisy_share && opts->act == NULL;
    fw_status begun = fw_env_reset_seeds(env, task, seeds, err);
    if (begun == FW_CLOSED) { /* no such scene: an attempt that failed, not an error */
        snprintf(d->reason, sizeof d->reason, "%.150s", err != NULL ? err->msg : "no such scene");
        return FW_OK;
    }
    FW_TRY(begun);
    d->home = fw_env_home(env);
    FW_TRY(fw_demo_size_views(d, fw_sim_view_size(fw_env_sim(env)), err));
    FW_TRY(size_forks(d, fw_env_state_size(env), err));
    int n = fw_env_n_sentence(env, task, FW_SPLIT_TRAIN);
    snprintf(d->sentence, sizeof d->sentence, "%s",
             fw_env_sentence(env, task, FW_SPLIT_TRAIN, (int)fw_rng_below(&expert, (uint64_t)n)));
    FW_TRY(fw_env_set_sentence(env, d->sentence, err));
    if (d->noisy && fw_rng_unit(&a.g.r) < WANDER_SHARE) {
        fw_status st = wander(env, &a.g.r, err);
        if (st == FW_CLOSED) { /* physics diverged: an attempt that failed, not an error */
            snprintf(d->reason, sizeof d->reason, "physics diverged");
            return FW_OK;
        }
        FW_TRY(st);
    }
    FW_TRY(attempt_run(env, d, &a, opts, err));
    return branches(env, d, &a, opts, err);
}
