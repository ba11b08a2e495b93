/*
 * sim_eye.c - see sim_eye.h. Who writes what: `offered` under its lock, taken by the control thread only with trylock; slots as in
 * robot/camera.c: `middle` both sides, slot[back] the drawing thread, slot[front] the reader; `why` the drawing thread before it sets
 * `failed`.
 */
#include "task/sim_eye.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

enum { SEEN = 4, VIEW_MAX = 8192, NAP_MS = 100, FIRST_MS = 60000 };

typedef struct slot {
    uint8_t *rgb; /* owned [h,w,3] */
    int64_t t_ns;
    uint64_t seq; /* 0: never drawn */
} slot;

typedef struct camera {
    slot slot[3];
    atomic_int middle; /* index | SEEN */
    int back, front;
    uint64_t seq;
    atomic_bool unplugged;
} camera;

typedef struct view {
    double *x; /* owned [VIEW_MAX] */
    sim_scene scene;
    int64_t t_ns, frame;
    bool fresh;
} view;

struct sim_eye {
    char suite[FW_NAME_MAX], embodiment[FW_NAME_MAX], randomise[FW_NAME_MAX];
    fw_env_opts opts;
    fw_embodiment body;
    camera camera[FW_CAM_MAX];
    pthread_mutex_t lock; /* of offered */
    view offered;
    sem_t wake;                  /* a view was offered, or the end */
    atomic_int_fast64_t episode; /* the last that all cameras have a picture of; -1: none */
    atomic_bool quit, failed, real_time;
    fw_err why;
    pthread_t thread;
    bool running;

    /* drawing thread */
    fw_env *env;
    view now;
    int64_t shown; /* the episode that env stands in; -1: none */
};

/* --- life */

static void keep(char to[FW_NAME_MAX], const char **text) {
    if (*text != NULL) {
        snprintf(to, FW_NAME_MAX, "%s", *text);
        *text = to;
    }
}

static fw_status make_slots(sim_eye *e, fw_err *err) {
    for (int c = 0; c < e->body.n_camera; c++) {
        camera *k = &e->camera[c];
        k->back = 0, k->front = 1;
        atomic_init(&k->middle, 2 | SEEN);
        for (int i = 0; i < 3; i++) {
            k->slot[i].rgb = calloc(3 * (size_t)e->body.camera[c].width, (size_t)e->body.camera[c].height);
            if (k->slot[i].rgb == NULL) {
                return fw_fail(err, FW_NOMEM, "camera %s", e->body.camera[c].name);
            }
        }
    }
    e->offered.x = calloc(VIEW_MAX, sizeof(double));
    e->now.x = calloc(VIEW_MAX, sizeof(double));
    return e->offered.x != NULL && e->now.x != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "cameras");
}

fw_status sim_eye_open(const char *suite, const fw_env_opts *opts, const fw_embodiment *body, sim_eye **out,
                       fw_err *err) {
    sim_eye *e = calloc(1, sizeof *e);
    *out = NULL;
    if (e == NULL) {
        return fw_fail(err, FW_NOMEM, "cameras");
    }
    snprintf(e->suite, sizeof e->suite, "%s", suite);
    e->opts = *opts;
    e->opts.render = true;
    keep(e->embodiment, &e->opts.embodiment);
    keep(e->randomise, &e->opts.randomise);
    e->body = *body;
    e->shown = -1;
    atomic_init(&e->episode, -1);
    pthread_mutex_init(&e->lock, NULL);
    sem_init(&e->wake, 0, 0);
    const fw_status st = make_slots(e, err);
    if (st != FW_OK) {
        sim_eye_close(e);
        return st;
    }
    *out = e;
    return FW_OK;
}

void sim_eye_close(sim_eye *e) {
    if (e == NULL) {
        return;
    }
    if (e->running) {
        atomic_store(&e->quit, true);
        sem_post(&e->wake);
        pthread_join(e->thread, NULL);
    }
    for (int c = 0; c < FW_CAM_MAX; c++) {
        for (int i = 0; i < 3; i++) {
            free(e->camera[c].slot[i].rgb);
        }
    }
    free(e->offered.x);
    free(e->now.x);
    pthread_mutex_destroy(&e->lock);
    sem_destroy(&e->wake);
    free(e);
}

/* --- the drawing thread */

/* The newest view, if there is one that was not drawn. */
static bool take(sim_eye *e) {
    pthread_mutex_lock(&e->lock);
    const bool fresh = e->offered.fresh;
    if (fresh) {
        const view free_one = e->now;
        e->now = e->offered;
        e->offered = free_one;
        e->offered.fresh = false;
    }
    pthread_mutex_unlock(&e->lock);
    return fresh;
}

static fw_status draw(sim_eye *e, fw_err *err) {
    if (e->shown != e->now.scene.episode) {
        FW_TRY(fw_env_reset(e->env, e->now.scene.task, e->now.scene.seed, err));
        e->shown = e->now.scene.episode;
    }
    for (int c = 0; c < e->body.n_camera; c++) {
        const fw_camera *is = &e->body.camera[c];
        camera *k = &e->camera[c];
        slot *s = &k->slot[k->back];
        FW_TRY(fw_sim_render_view(fw_env_sim(e->env), e->now.x, e->now.frame, is->name, is->width, is->height, s->rgb,
                                  err));
        s->t_ns = e->now.t_ns;
        s->seq = ++k->seq;
        k->back = atomic_exchange(&k->middle, k->back) & ~SEEN;
    }
    atomic_store(&e->episode, e->shown);
    return FW_OK;
}

/* False: nobody woke us. */
static bool nap(sim_eye *e) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += NAP_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int no;
    while ((no = sem_timedwait(&e->wake, &until)) != 0 && errno == EINTR) {
    }
    return no == 0;
}

static void *eye_main(void *ctx) {
    sim_eye *e = ctx;
    fw_status st = fw_env_open(e->suite, &e->opts, &e->env, &e->why);
    while (st == FW_OK && !atomic_load(&e->quit)) {
        const bool woken = nap(e);
        bool fresh = take(e);
        if (!fresh && !woken && e->shown >= 0 && atomic_load(&e->real_time)) {
            e->now.t_ns = fw_now_ns(); /* nothing moves, and is seen all the same */
            fresh = true;
        }
        st = fresh ? draw(e, &e->why) : FW_OK;
    }
    atomic_store(&e->failed, st != FW_OK);
    fw_env_close(e->env); /* where its context is */
    return NULL;
}

/* --- the others */

fw_status sim_eye_fits(fw_env *env, fw_err *err) {
    const int n = fw_sim_view_size(fw_env_sim(env));
    return n <= VIEW_MAX ? FW_OK : fw_fail(err, FW_UNSUPPORTED, "a view of %d numbers, wanted at most %d", n, VIEW_MAX);
}

bool sim_eye_offer(sim_eye *e, fw_env *env, const sim_scene *scene, int64_t t_ns) {
    if (pthread_mutex_trylock(&e->lock) != 0) {
        return false;
    }
    fw_sim_view(fw_env_sim(env), e->offered.x);
    e->offered.frame = fw_sim_frame(fw_env_sim(env));
    e->offered.scene = *scene;
    e->offered.t_ns = t_ns;
    e->offered.fresh = true;
    pthread_mutex_unlock(&e->lock);
    sem_post(&e->wake);
    return true;
}

static void sleep_ms(int ms) {
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

fw_status sim_eye_start(sim_eye *e, fw_env *env, const sim_scene *scene, int64_t t_ns, bool real_time, fw_err *err) {
    atomic_store(&e->real_time, real_time);
    if (!e->running) {
        const int no = pthread_create(&e->thread, NULL, eye_main, e);
        if (no != 0) {
            return fw_fail(err, FW_IO, "cameras: a thread could not be started: %s", strerror(no));
        }
        e->running = true;
    }
    while (!sim_eye_offer(e, env, scene, t_ns)) {
        sleep_ms(1);
    }
    for (int ms = 0; ms < FIRST_MS; ms += 2) {
        if (atomic_load(&e->failed)) {
            return fw_fail(err, e->why.code, "cameras: %s", e->why.msg);
        }
        if (atomic_load(&e->episode) == scene->episode) {
            return FW_OK;
        }
        sleep_ms(2);
    }
    return fw_fail(err, FW_TIMEOUT, "cameras: no picture in %d s", FIRST_MS / 1000);
}

fw_status sim_eye_frame(sim_eye *e, int i, fw_driver_frame *out, fw_err *err) {
    camera *k = &e->camera[i];
    const bool gone = atomic_load(&k->unplugged), failed = atomic_load(&e->failed);
    if (!gone && !failed && (atomic_load(&k->middle) & SEEN) == 0) {
        k->front = atomic_exchange(&k->middle, k->front | SEEN);
    }
    const slot *s = &k->slot[k->front];
    *out = (fw_driver_frame){s->rgb, e->body.camera[i].height, e->body.camera[i].width, s->t_ns, s->seq};
    if (gone) {
        return fw_fail(err, FW_CLOSED, "camera %s: unplugged", e->body.camera[i].name);
    }
    if (failed) {
        return fw_fail(err, FW_CLOSED, "camera %s: %s", e->body.camera[i].name, e->why.msg);
    }
    return s->seq > 0 ? FW_OK : fw_fail(err, FW_AGAIN, "camera %s: no picture yet", e->body.camera[i].name);
}

void sim_eye_unplug(sim_eye *e, int i, bool out) {
    atomic_store(&e->camera[i].unplugged, out);
}
