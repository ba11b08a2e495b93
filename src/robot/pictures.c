/* pictures.c - see pictures.h. */
#include "robot/pictures.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { LOOK_NS = 8000000 };

typedef struct kept {
    uint8_t *rgb; /* [h,w,3], owned */
    int64_t t_ns;
    uint64_t seq; /* 0: none yet */
    fw_err state; /* of the last look */
} kept;

struct fw_pictures {
    fw_driver *driver;
    const fw_driver_info *info;
    kept camera[FW_CAM_MAX];
    pthread_mutex_t lock; /* of camera */
    pthread_t thread;
    _Atomic bool runs;
};

static size_t bytes_of(const fw_camera *c) {
    return 3 * (size_t)c->width * (size_t)c->height;
}

fw_status fw_pictures_new(fw_driver *driver, fw_pictures **out, fw_err *err) {
    fw_pictures *p = calloc(1, sizeof *p);
    bool whole = p != NULL;
    *out = NULL;
    if (whole) {
        p->driver = driver;
        p->info = fw_driver_get_info(driver);
        pthread_mutex_init(&p->lock, NULL);
    }
    for (int i = 0; whole && i < p->info->n_camera; i++) {
        p->camera[i].rgb = malloc(bytes_of(&p->info->camera[i]));
        p->camera[i].state.code = FW_AGAIN;
        whole = p->camera[i].rgb != NULL;
    }
    if (!whole) {
        fw_pictures_free(p);
        return fw_fail(err, FW_NOMEM, "pictures: out of memory");
    }
    *out = p;
    return FW_OK;
}

void fw_pictures_free(fw_pictures *p) {
    if (p == NULL) {
        return;
    }
    fw_pictures_stop(p);
    for (int i = 0; i < p->info->n_camera; i++) {
        free(p->camera[i].rgb);
    }
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static void look(fw_pictures *p, int i) {
    const fw_camera *c = &p->info->camera[i];
    kept *k = &p->camera[i];
    fw_driver_frame f = {0};
    fw_err err = {FW_OK, ""};
    const fw_status st = fw_driver_frame_latest(p->driver, i, &f, &err);
    pthread_mutex_lock(&p->lock);
    k->state = err;
    k->state.code = st;
    if (st == FW_OK && (f.w != c->width || f.h != c->height)) {
        k->state.code = fw_fail(&k->state, FW_SHAPE, "camera %s gives %d x %d pixels, wanted %d x %d", c->name, f.w,
                                f.h, c->width, c->height);
    } else if (st == FW_OK && f.seq != k->seq) {
        memcpy(k->rgb, f.rgb, bytes_of(c));
        k->t_ns = f.t_ns;
        k->seq = f.seq;
    }
    pthread_mutex_unlock(&p->lock);
}

static void *pictures_main(void *ctx) {
    fw_pictures *p = ctx;
    const fw_clock *clock = fw_clock_real();
    while (atomic_load(&p->runs)) {
        for (int i = 0; i < p->info->n_camera; i++) {
            look(p, i);
        }
        clock->sleep_until_ns(clock->self, fw_now_ns() + LOOK_NS);
    }
    return NULL;
}

fw_status fw_pictures_start(fw_pictures *p, fw_err *err) {
    if (atomic_load(&p->runs) || p->info->n_camera == 0) {
        return FW_OK;
    }
    atomic_store(&p->runs, true);
    if (pthread_create(&p->thread, NULL, pictures_main, p) != 0) {
        atomic_store(&p->runs, false);
        return fw_fail(err, FW_IO, "pictures: a thread could not be started");
    }
    return FW_OK;
}

void fw_pictures_stop(fw_pictures *p) {
    if (p != NULL && atomic_exchange(&p->runs, false)) {
        pthread_join(p->thread, NULL);
    }
}

fw_status fw_pictures_get(fw_pictures *p, int camera, uint8_t *rgb, fw_driver_frame *out, fw_err *err) {
    if (camera < 0 || camera >= p->info->n_camera) {
        return fw_fail(err, FW_INVALID, "%s has no camera %d", p->info->name, camera);
    }
    const fw_camera *c = &p->info->camera[camera];
    kept *k = &p->camera[camera];
    if (!atomic_load(&p->runs)) {
        look(p, camera);
    }
    pthread_mutex_lock(&p->lock);
    *out = (fw_driver_frame){rgb, c->height, c->width, k->t_ns, k->seq};
    if (k->seq > 0) {
        memcpy(rgb, k->rgb, bytes_of(c));
    }
    const fw_status st = k->state.code;
    if (st != FW_OK && err != NULL) {
        *err = k->state;
    }
    pthread_mutex_unlock(&p->lock);
    return st;
}
