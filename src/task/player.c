/* player.c - see player.h. */
#include "task/player.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fw_player {
    char embodiment[FW_NAME_MAX];
    bool render;
    fw_env *env;    /* owned; NULL before the first episode */
    fw_demo *demo;  /* owned: room for env's longest episode */
    fw_replay room; /* what env was opened for: suite, ranges, look, home */
};

fw_status fw_player_new(const char *embodiment, bool render, fw_player **out, fw_err *err) {
    if (strlen(embodiment) >= FW_NAME_MAX) {
        return fw_fail(err, FW_INVALID, "robot '%.60s': wanted a name of at most %d bytes", embodiment,
                       FW_NAME_MAX - 1);
    }
    fw_player *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return fw_fail(err, FW_NOMEM, "player");
    }
    snprintf(p->embodiment, sizeof p->embodiment, "%s", embodiment);
    p->render = render;
    *out = p;
    return FW_OK;
}

static void leave(fw_player *p) {
    fw_demo_free(p->demo);
    fw_env_close(p->env);
    p->demo = NULL;
    p->env = NULL;
}

void fw_player_free(fw_player *p) {
    if (p != NULL) {
        leave(p);
        free(p);
    }
}

static bool same_room(const fw_replay *a, const fw_replay *b) {
    return strcmp(a->suite, b->suite) == 0 && strcmp(a->ranges, b->ranges) == 0 && strcmp(a->look, b->look) == 0 &&
           a->home == b->home;
}

/* Open the episode's room unless it stands, and find the task in it. */
static fw_status enter(fw_player *p, const fw_replay *r, int *task, fw_err *err) {
    if (p->env == NULL || !same_room(&p->room, r)) {
        fw_env_opts opts = FW_ENV_OPTS_DEFAULT;
        leave(p);
        opts.render = p->render;
        opts.embodiment = p->embodiment;
        opts.randomise = r->ranges;
        opts.look = r->look[0] != 0 ? r->look : NULL;
        opts.home_first = r->home;
        opts.home_count = 1;
        FW_TRY(fw_env_open(r->suite, &opts, &p->env, err));
        p->room = *r;
    }
    *task = fw_env_task_find(p->env, r->task);
    if (*task < 0) {
        return fw_fail(err, FW_INVALID, "suite %s has no task '%s'", r->suite, r->task);
    }
    if (fw_env_task_version(p->env, *task) != r->version) {
        return fw_fail(err, FW_UNSUPPORTED, "recorded with version %lld of task %s, this is version %d",
                       (long long)r->version, r->task, fw_env_task_version(p->env, *task));
    }
    return FW_OK;
}

static fw_seeds seeds_of(const fw_replay *r) {
    return (fw_seeds){.layout = r->seed[FW_SEED_LAYOUT],
                      .visual = r->seed[FW_SEED_VISUAL],
                      .dynamics = r->seed[FW_SEED_DYNAMICS],
                      .expert = r->seed[FW_SEED_EXPERT],
                      .noise = r->seed[FW_SEED_NOISE]};
}

fw_status fw_player_play(fw_player *p, const fw_replay *r, const fw_demo **demo, fw_err *err) {
    fw_demo_opts opts = FW_DEMO_OPTS_DEFAULT;
    fw_seeds seeds = seeds_of(r);
    int task;
    if (strcmp(r->physics, fw_sim_version()) != 0) {
        return fw_fail(err, FW_UNSUPPORTED, "recorded with %s, this is %s, which plays otherwise", r->physics,
                       fw_sim_version());
    }
    FW_TRY(enter(p, r, &task, err));
    if (p->demo == NULL) {
        FW_TRY(fw_demo_new(p->env, &p->demo, err));
    }
    opts.noise = r->noise;
    opts.noisy_share = r->noisy ? 1 : 0; /* whether it was disturbed is known: the draw for it is still made */
    FW_TRY(fw_demo_record(p->env, task, &seeds, &opts, p->demo, err));
    *demo = p->demo;
    return FW_OK;
}

fw_status fw_player_stand(fw_player *p, const fw_replay *r, fw_env **env, fw_err *err) {
    fw_seeds seeds = seeds_of(r);
    int task;
    FW_TRY(enter(p, r, &task, err));
    FW_TRY(fw_env_reset_seeds(p->env, task, &seeds, err));
    *env = p->env;
    return FW_OK;
}

/* --- comparing */
static fw_replay_part *part(fw_replay_difference *d, const char *what, int64_t wanted, int64_t played) {
    fw_replay_part *p = &d->part[d->n_part++];
    *p = (fw_replay_part){.what = what, .first = -1, .most = (double)NAN, .wanted = wanted, .played = played};
    return p;
}

/* The number at i of an array of either kind. */
static double number(const void *x, size_t size, int64_t i) {
    return size == sizeof(float) ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

/* Rows [rows, width] of numbers of `size` bytes: a part of d where their bits differ. */
static void compare(fw_replay_difference *d, const char *what, const void *wanted, const void *played, size_t size,
                    int64_t rows, int64_t width) {
    fw_replay_part *p = NULL;
    size_t row = size * (size_t)width;
    for (int64_t t = 0; t < rows; t++) {
        if (memcmp((const char *)wanted + (size_t)t * row, (const char *)played + (size_t)t * row, row) == 0) {
            continue;
        }
        if (p == NULL) {
            p = part(d, what, width, width);
            p->first = t;
            p->most = 0;
        }
        p->frames++;
        for (int64_t i = t * width; i < (t + 1) * width; i++) {
            p->most = fmax(p->most, fabs(number(wanted, size, i) - number(played, size, i)));
        }
    }
}

/* The sentences of the steps that the expert was in. */
static void compare_steps(fw_replay_difference *d, const fw_demo *played, const fw_marks *m, int64_t rows) {
    fw_replay_part *p = NULL;
    for (int64_t t = 0; t < rows; t++) {
        int64_t a = m->subtask[t], b = played->subtask[t];
        const char *wanted = a >= 0 && a < m->n_subtasks ? m->subtasks[a] : "",
                   *got = b >= 0 ? played->subtasks[b] : "";
        if (strcmp(wanted, got) != 0) {
            if (p == NULL) {
                p = part(d, "steps", 0, 0);
                p->first = t;
            }
            p->frames++;
        }
    }
}

/* When each view was taken, and what it shows. */
static void compare_views(fw_replay_difference *d, const fw_demo *played, const fw_views *v, int64_t rows) {
    if (v->n_view != played->n_view || v->n_frame < rows) {
        part(d, "views", v->n_view, played->n_view);
        return;
    }
    int before = d->n_part;
    compare(d, "views", v->view, played->view, sizeof(double), rows, v->n_view);
    for (int64_t t = 0; t < rows && d->n_part == before; t++) {
        if (v->frame[t] != played->frame[t]) {
            fw_replay_part *p = part(d, "views", v->n_view, v->n_view);
            p->first = t, p->frames = rows - t;
        }
    }
}

void fw_replay_compare(const fw_demo *played, const fw_episode *recorded, const fw_marks *marks, const fw_views *views,
                       fw_replay_difference *out) {
    int64_t rows = recorded->length < played->length ? recorded->length : played->length;
    *out = (fw_replay_difference){.n_part = 0};
    if (recorded->length != played->length) {
        part(out, "length", recorded->length, played->length);
    }
    if (strcmp(recorded->sentence, played->sentence) != 0) {
        part(out, "sentence", 0, 0);
    }
    if (recorded->n_state != played->n_state) {
        part(out, "state", recorded->n_state, played->n_state);
    } else {
        compare(out, "state", recorded->state, played->state, sizeof(float), rows, recorded->n_state);
    }
    if (recorded->n_action != played->n_action) {
        part(out, "action", recorded->n_action, played->n_action);
    } else {
        compare(out, "action", recorded->action, played->action, sizeof(float), rows, recorded->n_action);
    }
    if (marks != NULL && marks->subtask != NULL) {
        compare_steps(out, played, marks, rows);
    }
    if (views != NULL) {
        compare_views(out, played, views, rows);
    }
}

void fw_replay_text(const fw_replay_difference *d, int64_t frames, char *out, size_t cap) {
    size_t at = 0;
    out[0] = 0;
    for (int i = 0; i < d->n_part && at + 1 < cap; i++) {
        const fw_replay_part *p = &d->part[i];
        const char *sep = i > 0 ? "; " : "";
        if (p->frames > 0) {
            char size[40] = "";
            if (isfinite(p->most)) {
                snprintf(size, sizeof size, ", by up to %.3g", p->most);
            }
            snprintf(out + at, cap - at, "%s%s differs in %lld of %lld frames, from frame %lld on%s", sep, p->what,
                     (long long)p->frames, (long long)frames, (long long)p->first, size);
        } else if (p->wanted != p->played) {
            snprintf(out + at, cap - at, "%s%s: recorded %lld, played %lld", sep, p->what, (long long)p->wanted,
                     (long long)p->played);
        } else {
            snprintf(out + at, cap - at, "%s%s differs", sep, p->what);
        }
        at += strlen(out + at);
    }
}
