/* camera_file.c - a video, or a folder of PNGs, as a camera: one picture every 1/fps s, counted from the first. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/png.h"
#include "data/video.h"
#include "robot/camera_int.h"

enum { WAIT_NS = 100000000 };

typedef struct file_source {
    const fw_cam_opts *o;
    fw_video *video; /* or */
    char **names;    /* of the folder's pictures */
    size_t n, at;
    double fps;
    int64_t began_ns, shown;
} file_source;

static void file_close(void *self) {
    file_source *f = self;
    fw_video_close(f->video);
    fw_names_free(f->names, f->n);
    f->video = NULL;
    f->names = NULL;
    f->n = f->at = 0;
}

static void file_free(void *self) {
    file_close(self);
    free(self);
}

static bool is_png(const char *name) {
    const size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, ".png") == 0;
}

static fw_status open_folder(file_source *f, fw_err *err) {
    size_t pictures = 0;
    FW_TRY(fw_list_dir(f->o->source, &f->names, &f->n, err));
    for (size_t i = 0; i < f->n; i++) {
        pictures += is_png(f->names[i]);
    }
    if (pictures == 0) {
        file_close(f);
        return fw_fail(err, FW_FORMAT, "camera %s: no PNG in %s", f->o->name, f->o->source);
    }
    return FW_OK;
}

static fw_status file_open(void *self, fw_err *err) {
    file_source *f = self;
    file_close(f);
    if (fw_path_is_dir(f->o->source)) {
        FW_TRY(open_folder(f, err));
    } else {
        FW_TRY(fw_video_open(f->o->source, &f->video, err));
    }
    const double own = f->video != NULL ? fw_video_get_info(f->video)->fps : 30;
    f->fps = f->o->fps > 0 ? f->o->fps : own > 0 ? own : 30;
    f->began_ns = fw_now_ns();
    f->shown = 0;
    return FW_OK;
}

/* FW_AGAIN when the next picture is not due within a wait. */
static fw_status wait_due(const file_source *f) {
    const int64_t due = f->began_ns + (int64_t)((double)f->shown / f->fps * 1e9), now = fw_now_ns();
    const int64_t until = due - now > WAIT_NS ? now + WAIT_NS : due;
    const struct timespec t = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
    }
    return until == due ? FW_OK : FW_AGAIN;
}

static fw_status next_png(file_source *f, uint8_t *rgb, fw_err *err) {
    char path[4096];
    uint8_t *own = NULL;
    int h, w;
    while (f->at < f->n && !is_png(f->names[f->at])) {
        f->at++;
    }
    if (f->at == f->n) {
        return FW_CLOSED;
    }
    FW_TRY(fw_path_join(path, sizeof path, f->o->source, f->names[f->at++], err));
    FW_TRY(fw_png_read(path, &own, &h, &w, err));
    fw_status st = FW_OK;
    if (h == f->o->height && w == f->o->width) {
        memcpy(rgb, own, 3 * (size_t)h * (size_t)w);
    } else {
        st = fw_rgb_scale(own, h, w, f->o->height, f->o->width, rgb, err);
    }
    free(own);
    return st;
}

static fw_status next_picture(file_source *f, uint8_t *rgb, fw_err *err) {
    return f->video != NULL ? fw_video_next(f->video, f->o->height, f->o->width, rgb, NULL, err)
                            : next_png(f, rgb, err);
}

static fw_status rewind_file(file_source *f, fw_err *err) {
    f->at = 0;
    return f->video != NULL ? fw_video_seek(f->video, 0, err) : FW_OK;
}

static fw_status file_next(void *self, uint8_t *rgb, int64_t *t_ns, fw_err *err) {
    file_source *f = self;
    FW_TRY(wait_due(f));
    fw_status st = next_picture(f, rgb, err);
    if (st == FW_CLOSED && f->o->loop && f->shown > 0) {
        FW_TRY(rewind_file(f, err));
        st = next_picture(f, rgb, err);
    }
    if (st == FW_CLOSED) {
        return fw_fail(err, st, "camera %s: %s: its end, after %lld pictures", f->o->name, f->o->source,
                       (long long)f->shown);
    }
    f->shown += st == FW_OK;
    *t_ns = fw_now_ns();
    return st;
}

fw_status fw_cam_file(const fw_cam_opts *o, const fw_cam_source **source, void **self, fw_err *err) {
    /* what ends does not come back; what goes round and round does, when its disk does */
    static const fw_cam_source once = {false, file_open, file_next, file_close, file_free};
    static const fw_cam_source round = {true, file_open, file_next, file_close, file_free};
    file_source *f = calloc(1, sizeof *f);
    *self = f;
    if (f == NULL) {
        return fw_fail(err, FW_NOMEM, "camera %s", o->name);
    }
    f->o = o;
    *source = o->loop ? &round : &once;
    return FW_OK;
}
