/*
 * camera.c - see camera.h.
 *
 * Three pictures: the thread fills one, the reader looks at one, the newest lies between them. `middle` holds the index of that one and
 * whether it has been seen; both sides exchange theirs for it in one atomic step. Who writes what: `middle` both; slot[back] the thread;
 * slot[front] the reader; `why` the thread, before it sets `gone`, which the reader only reads after seeing it set and which the thread
 * does not touch again until the source is back.
 */
#include "robot/camera.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "robot/camera_int.h"

enum { SEEN = 4, REOPEN_MS = 200, SIDE_MAX = 8192, WHYS = 8 };

typedef struct slot {
    uint8_t *rgb; /* [h,w,3] */
    int64_t t_ns;
    uint64_t seq; /* 0: never written */
} slot;

struct fw_cam {
    fw_cam_opts o;
    const fw_cam_source *source;
    void *self;
    slot slot[3];
    atomic_int middle; /* index | SEEN */
    int back;          /* the thread's */
    int front;         /* the reader's */
    uint64_t seq;      /* the thread's */
    int64_t start_ns;
    atomic_int_fast64_t last_ns; /* when the newest came */
    fw_err why[WHYS];            /* what went wrong, one after the other */
    atomic_int n_why;            /* entry (n_why - 1) % WHYS is the last; written by the thread */
    atomic_bool gone;
    pthread_t thread;
    bool running;
    atomic_bool quit;
};

/* --- options */

static fw_status copy_text(char *to, size_t cap, const char *text, const char *key, const char *where, fw_err *err) {
    if (text[0] == 0 || strlen(text) >= cap) {
        return fw_fail(err, FW_FORMAT, "%s: key '%s': wanted 1 to %zu bytes, found %zu", where, key, cap - 1,
                       strlen(text));
    }
    memcpy(to, text, strlen(text) + 1);
    return FW_OK;
}

static fw_status one_from_json(const json_t *j, const char *where, fw_cam_opts *o, fw_err *err) {
    static const char *const known[] = {"name",   "source", "width",      "height", "fps",
                                        "format", "loop",   "timeout_ms", NULL};
    const char *name, *source, *format;
    int64_t w, h, timeout;
    *o = (fw_cam_opts){0};
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(fw_json_str(j, "name", where, &name, err));
    FW_TRY(fw_json_str(j, "source", where, &source, err));
    FW_TRY(fw_json_str_or(j, "format", where, "mjpeg", &format, err));
    FW_TRY(fw_json_i64(j, "width", where, 2, SIDE_MAX, &w, err));
    FW_TRY(fw_json_i64(j, "height", where, 2, SIDE_MAX, &h, err));
    FW_TRY(fw_json_i64_or(j, "timeout_ms", where, 10, 60000, 1000, &timeout, err));
    FW_TRY(fw_json_f64_or(j, "fps", where, 0, &o->fps, err));
    FW_TRY(fw_json_bool_or(j, "loop", where, true, &o->loop, err));
    FW_TRY(copy_text(o->name, sizeof o->name, name, "name", where, err));
    FW_TRY(copy_text(o->source, sizeof o->source, source, "source", where, err));
    o->format = strcmp(format, "yuyv") == 0 ? FW_CAM_YUYV : FW_CAM_MJPEG;
    o->width = (int)w;
    o->height = (int)h;
    o->timeout_ms = (int)timeout;
    if ((o->format == FW_CAM_MJPEG && strcmp(format, "mjpeg") != 0) || w % 2 != 0) {
        return fw_fail(err, FW_FORMAT, "%s: wanted format mjpeg or yuyv and an even width, found %.20s, %d", where,
                       format, (int)w);
    }
    return o->fps >= 0 && o->fps <= 1000
               ? FW_OK
               : fw_fail(err, FW_FORMAT, "%s: wanted fps in 0..1000, found %g", where, o->fps);
}

fw_status fw_cam_opts_from_json(const json_t *j, const char *where, fw_cam_opts *out, int *n, fw_err *err) {
    *n = 0;
    if (j == NULL) {
        return FW_OK;
    }
    if (!json_is_array(j) || json_array_size(j) > FW_CAM_MAX) {
        return fw_fail(err, FW_FORMAT, "%s: key 'cameras': wanted an array of at most %d", where, FW_CAM_MAX);
    }
    for (size_t i = 0; i < json_array_size(j); i++) {
        char place[256];
        snprintf(place, sizeof place, "%s: camera %zu", where, i);
        FW_TRY(one_from_json(json_array_get(j, i), place, &out[i], err));
        for (size_t k = 0; k < i; k++) {
            if (strcmp(out[k].name, out[i].name) == 0) {
                return fw_fail(err, FW_FORMAT, "%s: a second camera '%s'", place, out[i].name);
            }
        }
    }
    *n = (int)json_array_size(j);
    return FW_OK;
}

/* --- life */

fw_status fw_cam_open(const fw_cam_opts *opts, fw_cam **out, fw_err *err) {
    fw_cam *c = calloc(1, sizeof *c);
    *out = NULL;
    if (c == NULL) {
        return fw_fail(err, FW_NOMEM, "camera %s", opts->name);
    }
    c->o = *opts;
    fw_status st = strncmp(opts->source, "/dev/", 5) == 0 ? fw_cam_v4l2(&c->o, &c->source, &c->self, err)
                                                          : fw_cam_file(&c->o, &c->source, &c->self, err);
    for (int i = 0; i < 3 && st == FW_OK; i++) {
        c->slot[i].rgb = calloc(3 * (size_t)opts->height, (size_t)opts->width);
        st = c->slot[i].rgb == NULL ? fw_fail(err, FW_NOMEM, "camera %s: pictures", opts->name) : st;
    }
    if (st != FW_OK) {
        fw_cam_close(c);
        return st;
    }
    *out = c;
    return FW_OK;
}

static void sleep_ms(int ms) {
    const struct timespec t = {.tv_nsec = ms * 1000000L};
    nanosleep(&t, NULL);
}

static void publish(fw_cam *c, int64_t t_ns) {
    slot *s = &c->slot[c->back];
    s->t_ns = t_ns;
    s->seq = ++c->seq;
    c->back = atomic_exchange(&c->middle, c->back) & ~SEEN;
    atomic_store(&c->last_ns, fw_now_ns());
    atomic_store(&c->gone, false);
}

static void say_gone(fw_cam *c, const fw_err *err) {
    const int n = atomic_load(&c->n_why);
    c->why[n % WHYS] = *err; /* the reader may be at an older one; it is 1.6 s from being written again */
    atomic_store(&c->n_why, n + 1);
    atomic_store(&c->gone, true);
}

static void *cam_thread(void *arg) {
    fw_cam *c = arg;
    bool open = true;
    while (!atomic_load(&c->quit)) {
        fw_err err = {0};
        int64_t t_ns = 0;
        fw_status st = FW_OK;
        if (!open) {
            st = c->source->open(c->self, &err);
            open = st == FW_OK;
        }
        st = st == FW_OK ? c->source->next(c->self, c->slot[c->back].rgb, &t_ns, &err) : st;
        if (st == FW_OK) {
            publish(c, t_ns);
        } else if (st != FW_AGAIN) {
            say_gone(c, &err);
            c->source->close(c->self);
            open = false;
            sleep_ms(REOPEN_MS);
            if (!c->source->comes_back) {
                break;
            }
        }
    }
    return NULL;
}

fw_status fw_cam_start(fw_cam *c, fw_err *err) {
    if (c->running) {
        return fw_fail(err, FW_INVALID, "camera %s: already started", c->o.name);
    }
    FW_TRY(c->source->open(c->self, err));
    c->seq = 0;
    c->back = 0;
    c->front = 1;
    for (int i = 0; i < 3; i++) {
        c->slot[i].seq = 0;
    }
    c->start_ns = fw_now_ns();
    atomic_store(&c->middle, 2 | SEEN);
    atomic_store(&c->last_ns, c->start_ns);
    atomic_store(&c->n_why, 0);
    atomic_store(&c->gone, false);
    atomic_store(&c->quit, false);
    if (pthread_create(&c->thread, NULL, cam_thread, c) != 0) {
        c->source->close(c->self);
        return fw_fail(err, FW_NOMEM, "camera %s: thread", c->o.name);
    }
    c->running = true;
    return FW_OK;
}

void fw_cam_stop(fw_cam *c) {
    if (c == NULL || !c->running) {
        return;
    }
    atomic_store(&c->quit, true);
    pthread_join(c->thread, NULL);
    c->source->close(c->self);
    c->running = false;
}

void fw_cam_close(fw_cam *c) {
    if (c == NULL) {
        return;
    }
    fw_cam_stop(c);
    if (c->self != NULL) {
        c->source->free(c->self);
    }
    for (int i = 0; i < 3; i++) {
        free(c->slot[i].rgb);
    }
    free(c);
}

/* --- the reader */

static fw_status is_gone(const fw_cam *c, fw_err *err) {
    const int n = atomic_load(&c->n_why);
    const double silent_s = 1e-9 * (double)(fw_now_ns() - atomic_load(&c->last_ns));
    if (atomic_load(&c->gone) && n > 0) {
        return fw_fail(err, FW_CLOSED, "%s", c->why[(n - 1) % WHYS].msg);
    }
    if (silent_s * 1000 > c->o.timeout_ms) {
        return fw_fail(err, FW_CLOSED, "camera %s: %s: no picture for %.1f s", c->o.name, c->o.source, silent_s);
    }
    return FW_OK;
}

fw_status fw_cam_latest(fw_cam *c, fw_driver_frame *out, fw_err *err) {
    *out = (fw_driver_frame){0};
    if (!c->running) {
        return fw_fail(err, FW_INVALID, "camera %s: not started", c->o.name);
    }
    if ((atomic_load(&c->middle) & SEEN) == 0) {
        c->front = atomic_exchange(&c->middle, c->front | SEEN) & ~SEEN;
    }
    const slot *s = &c->slot[c->front];
    if (s->seq > 0) {
        *out = (fw_driver_frame){.rgb = s->rgb, .h = c->o.height, .w = c->o.width, .t_ns = s->t_ns, .seq = s->seq};
    }
    FW_TRY(is_gone(c, err));
    return s->seq > 0 ? FW_OK : fw_fail(err, FW_AGAIN, "camera %s: no picture yet", c->o.name);
}
