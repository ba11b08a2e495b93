/* pictures.c - a camera's frames as a published policy's training reads them: mapped, decoded or through its tower once (trainset.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "train/trainset.h"

enum { CHUNK = 16 }; /* frames decoded at a time */

/* Frames [from, from+n) of episode e. */
static fw_status make_chunk(fw_dataset *ds, int64_t e, int camera, int64_t from, int64_t n, const fw_picture_maker *m,
                            uint8_t *rgb, fw_blob *blob, fw_err *err) {
    const fw_ds_camera *cam = &ds->cameras[camera];
    const int64_t row = ds->episodes[e].first + from;
    void *out = fw_blob_row(blob, row);
    FW_TRY(fw_dataset_read_images(ds, e, camera, from, n, 0, 0, m->make != NULL ? rgb : out, err));
    if (m->make != NULL) {
        FW_TRY(m->make(m->ctx, rgb, n, cam->h, cam->w, out, err));
    }
    for (int64_t i = 0; i < n; i++) {
        fw_blob_done(blob, row + i);
    }
    return FW_OK;
}

static bool have(const fw_blob *blob, int64_t row, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (!fw_blob_has(blob, row + i)) {
            return false;
        }
    }
    return true;
}

static fw_status fill(fw_dataset *ds, int camera, const fw_picture_maker *m, uint8_t *rgb, fw_blob *blob, fw_err *err) {
    fw_progress pr;
    int64_t done = 0;
    fw_progress_start(&pr, m->make != NULL ? "frames through the tower" : "frames decoded", (uint64_t)ds->n_frames);
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        const fw_episode_info *ep = &ds->episodes[e];
        for (int64_t from = 0; from < ep->length; from += CHUNK) {
            const int64_t n = ep->length - from < CHUNK ? ep->length - from : CHUNK;
            if (!have(blob, ep->first + from, n)) {
                FW_TRY(make_chunk(ds, e, camera, from, n, m, rgb, blob, err));
            }
            done += n;
            fw_progress_update(&pr, (uint64_t)done, "%s %s", ds->dir, ds->cameras[camera].name);
        }
    }
    fw_progress_end(&pr);
    return fw_blob_seal(blob, err);
}

fw_status fw_pictures_fill(fw_dataset *ds, const char *ds_id, int camera, const fw_picture_maker *m, fw_blob **out,
                           fw_err *err) {
    const fw_ds_camera *cam = &ds->cameras[camera];
    const int64_t frame = (int64_t)cam->h * cam->w * 3;
    char key[128], path[1024];
    *out = NULL;
    snprintf(key, sizeof key, "pictures-1 %.32s %.20s %dx%d %.40s", ds_id, cam->name, cam->h, cam->w, m->key);
    FW_TRY(fw_cache_path("pictures", key, path, sizeof path, err));
    FW_TRY(fw_blob_open(path, key, ds->n_frames, m->make != NULL ? m->row_bytes : frame, out, err));
    fw_blob_source(*out, ds->dir);
    fw_status s = FW_OK;
    if (fw_blob_count_done(*out) < ds->n_frames) {
        uint8_t *rgb = m->make != NULL ? malloc((size_t)(CHUNK * frame)) : NULL;
        s = m->make == NULL || rgb != NULL ? fill(ds, camera, m, rgb, *out, err)
                                           : fw_fail(err, FW_NOMEM, "%s: frames: no memory", ds->dir);
        free(rgb);
    }
    if (s != FW_OK) {
        fw_blob_close(*out);
        *out = NULL;
    }
    return s;
}
