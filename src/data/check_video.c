/*
 * check_video.c - the frames of videos against the rows, by packets and without decoding (see dataset.h).
 *
 * An episode's frames are those from its from_timestamp on, as many as it has rows: the times of all frames of a file say which
 * that are, also where clocks were irregular.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/check_int.h"
#include "data/store_int.h"

/* A video file and the frames that the episodes want of it. */
typedef struct file_check {
    int cam;
    int w, h;   /* 0: it cannot be read */
    int64_t ep; /* the first one in it */
} file_check;

int64_t check_first_frame(const double *t_s, int64_t n, double from_s, double fps) {
    int64_t a = 0, b = n; /* the first that is shown at or after from_s - half a frame */
    while (a < b) {
        int64_t m = a + (b - a) / 2;
        if (t_s[m] < from_s - 0.5 / fps) {
            a = m + 1;
        } else {
            b = m;
        }
    }
    return a;
}

/* Episode by episode: enough frames, none of them another's; behind the last one there is nothing. */
static void check_frames(checker *c, int f, int cam, const double *t_s, int64_t n, bool plain, double fps) {
    const fw_dataset *ds = c->ds;
    const char *file = ds->video_files[f];
    int64_t end = 0, last = -1;
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        const fw_episode_info *i = &ds->episodes[e];
        if (i->video[cam].file != f) {
            continue;
        }
        int64_t first = check_first_frame(t_s, n, i->video[cam].from_s, fps);
        last = i->index;
        if (first + i->length > n) {
            check_found(c, "video_short", file, i->index, n - first, false,
                        "the video has %lld frames, its table wants %lld", (long long)n,
                        (long long)(first + i->length));
            return;
        }
        if (first < end) {
            check_found(
                c, "video_place", file, i->index, 0, false,
                "its frames begin at frame %lld of the file (%.3f s), those of the episode before end at frame %lld",
                (long long)first, i->video[cam].from_s, (long long)end);
        }
        end = first + i->length;
    }
    if (n > end) {
        check_found(c, "video_long", file, last, -1, plain, "the video has %lld frames, its table wants %lld",
                    (long long)n, (long long)end);
    }
}

static fw_status check_video(checker *c, int f, file_check *k) {
    const fw_dataset *ds = c->ds;
    const char *file = ds->video_files[f];
    fw_video *v;
    fw_err why;
    double *t_s = NULL;
    int64_t n = 0;
    bool plain = true;
    if (!fw_path_exists(file)) {
        check_found(c, "missing_file", file, k->ep, -1, false, "there is no such video");
        return FW_OK;
    }
    if (fw_video_open(file, &v, &why) != FW_OK) {
        check_found(c, "damaged_file", file, k->ep, -1, false, "%s", check_without(file, why.msg));
        return FW_OK;
    }
    const fw_video_info *info = fw_video_get_info(v);
    k->w = info->w;
    k->h = info->h;
    if (info->fps > 0.0 && fabs(info->fps - ds->fps) > 0.02 * ds->fps) {
        check_found(c, "video_fps", file, k->ep, -1, false, "%.3f frames/s, info.json says %.3f", info->fps, ds->fps);
    }
    fw_status st = fw_video_times(v, &t_s, &n, &plain, &why);
    if (st == FW_OK) {
        check_frames(c, f, k->cam, t_s, n, plain, info->fps > 0.0 ? info->fps : ds->fps);
        free(t_s);
    } else if (st != FW_NOMEM) {
        check_found(c, "damaged_file", file, k->ep, -1, false, "%s", check_without(file, why.msg));
    }
    fw_video_close(v);
    return st == FW_NOMEM ? st : FW_OK;
}

/* Another size than info.json says is a slip of info.json when all videos of the camera agree on it. */
static void check_sizes(checker *c, int cam, const file_check *k) {
    const fw_dataset *ds = c->ds;
    const fw_ds_camera *want = &ds->cameras[cam];
    const file_check *first = NULL;
    bool agree = true;
    for (int f = 0; f < ds->n_video_files; f++) {
        if (k[f].cam == cam && k[f].w > 0) {
            first = first != NULL ? first : &k[f];
            agree = agree && k[f].w == first->w && k[f].h == first->h;
        }
    }
    for (int f = 0; f < ds->n_video_files; f++) {
        if (k[f].cam == cam && k[f].w > 0 && (k[f].w != want->w || k[f].h != want->h)) {
            check_found(c, "video_size", ds->video_files[f], k[f].ep, -1, agree, "%dx%d, info.json says %dx%d", k[f].w,
                        k[f].h, want->w, want->h);
        }
    }
}

fw_status check_videos(checker *c, fw_err *err) {
    const fw_dataset *ds = c->ds;
    file_check *k = calloc((size_t)ds->n_video_files + 1, sizeof(*k));
    if (k == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: %d videos", ds->dir, ds->n_video_files);
    }
    for (int64_t e = ds->n_episodes - 1; e >= 0; e--) {
        for (int cam = 0; cam < ds->n_visual; cam++) {
            int f = ds->episodes[e].video[cam].file;
            if (f >= 0) {
                k[f] = (file_check){.cam = cam, .ep = ds->episodes[e].index};
            } else if (!ds->cameras[cam].in_rows) {
                check_found(c, "missing_camera", "", ds->episodes[e].index, -1, false, "no video of %s",
                            ds->cameras[cam].key);
            }
        }
    }
    fw_status st = FW_OK;
    check_begin(c, "videos checked", ds->n_video_files);
    for (int f = 0; f < ds->n_video_files && st == FW_OK; f++) {
        st = check_video(c, f, &k[f]);
        check_step(c, f + 1);
    }
    check_end(c);
    for (int cam = 0; cam < ds->n_visual && st == FW_OK; cam++) {
        check_sizes(c, cam, k);
    }
    free(k);
    return st == FW_OK ? FW_OK : fw_fail(err, st, "%s: times of its frames", ds->dir);
}
