/* features.c - the frozen tower over every frame of a dataset, once (trainset.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "train/trainset.h"

enum { CHUNK = 64 }; /* frames decoded and run at a time: 64 x 128 x 128 x 3 = 3 MB */

static fw_status open_blobs(const fw_dataset *ds, const char *ds_id, int camera, const fw_flywheel_cfg *cfg,
                            const char *tower_id, fw_blob **out, fw_err *err) {
    for (int t = 0; t < cfg->n_tap; t++) {
        char key[128], path[1024];
        int size, channels;
        FW_TRY(fw_effnet_tap_shape(cfg->tap[t], cfg->image_size, &size, &channels, err));
        snprintf(key, sizeof key, "features-1 %.32s %.16s %.24s b%d s%d", ds_id, tower_id, ds->cameras[camera].name,
                 cfg->tap[t], cfg->image_size);
        FW_TRY(fw_cache_path("features", key, path, sizeof path, err));
        FW_TRY(fw_blob_open(path, key, ds->n_frames, (int64_t)size * size * channels * 2, &out[t], err));
        fw_blob_source(out[t], ds->dir);
    }
    return FW_OK;
}

static bool row_done(fw_blob *const *blob, int n_tap, int64_t row) {
    for (int t = 0; t < n_tap; t++) {
        if (!fw_blob_has(blob[t], row)) {
            return false;
        }
    }
    return true;
}

/* Frames [from, from+n) of episode e: decode, run, mark. */
static fw_status run_chunk(fw_dataset *ds, int64_t e, int camera, int64_t from, int64_t n, const fw_flywheel_cfg *cfg,
                           fw_vision_tower *tower, uint8_t *rgb, fw_blob *const *blob, fw_err *err) {
    uint16_t *out[FW_TAP_MAX];
    int64_t row = ds->episodes[e].first + from;
    FW_TRY(fw_dataset_read_images(ds, e, camera, from, n, cfg->image_size, cfg->image_size, rgb, err));
    for (int t = 0; t < cfg->n_tap; t++) {
        out[t] = fw_blob_row(blob[t], row);
    }
    FW_TRY(fw_vision_tower_run_f16(tower, rgb, (int)n, out, err));
    for (int64_t i = 0; i < n; i++) {
        for (int t = 0; t < cfg->n_tap; t++) {
            fw_blob_done(blob[t], row + i);
        }
    }
    return FW_OK;
}

static fw_status fill(fw_dataset *ds, int camera, const fw_flywheel_cfg *cfg, fw_vision_tower *tower, uint8_t *rgb,
                      fw_blob *const *blob, fw_err *err) {
    fw_progress pr;
    int64_t done = 0;
    fw_progress_start(&pr, "frames through the tower", (uint64_t)ds->n_frames);
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        const fw_episode_info *ep = &ds->episodes[e];
        for (int64_t from = 0; from < ep->length; from += CHUNK) {
            int64_t n = ep->length - from < CHUNK ? ep->length - from : CHUNK;
            bool have = true;
            for (int64_t i = 0; have && i < n; i++) {
                have = row_done(blob, cfg->n_tap, ep->first + from + i);
            }
            if (!have) {
                FW_TRY(run_chunk(ds, e, camera, from, n, cfg, tower, rgb, blob, err));
            }
            done += n;
            fw_progress_update(&pr, (uint64_t)done, "%s %s", ds->dir, ds->cameras[camera].name);
        }
    }
    fw_progress_end(&pr);
    for (int t = 0; t < cfg->n_tap; t++) {
        FW_TRY(fw_blob_seal(blob[t], err));
    }
    return FW_OK;
}

fw_status fw_features_fill(fw_dataset *ds, const char *ds_id, int camera, const fw_flywheel_cfg *cfg, fw_pool *pool,
                           fw_blob **out, fw_err *err) {
    fw_vision_tower *tower = NULL;
    uint8_t *rgb = NULL;
    fw_vision_opts o = FW_VISION_OPTS_DEFAULT;
    o.pool = pool;
    o.image_size = cfg->image_size;
    o.n_tap = cfg->n_tap;
    memcpy(o.tap, cfg->tap, sizeof o.tap);
    memset(out, 0, sizeof(*out) * (size_t)cfg->n_tap);
    fw_status s = fw_vision_tower_open(NULL, &o, &tower, err);
    if (s != FW_OK || (s = open_blobs(ds, ds_id, camera, cfg, fw_vision_tower_sha256(tower), out, err)) != FW_OK) {
        goto done;
    }
    bool complete = true;
    for (int t = 0; t < cfg->n_tap; t++) {
        complete = complete && fw_blob_count_done(out[t]) == ds->n_frames;
    }
    if (!complete) {
        rgb = malloc((size_t)CHUNK * (size_t)cfg->image_size * (size_t)cfg->image_size * 3);
        s = rgb != NULL ? fill(ds, camera, cfg, tower, rgb, out, err) : fw_fail(err, FW_NOMEM, "features: no memory");
    }
done:
    if (s != FW_OK) {
        for (int t = 0; t < cfg->n_tap; t++) {
            fw_blob_close(out[t]);
            out[t] = NULL;
        }
    }
    free(rgb);
    fw_vision_tower_close(tower);
    return s;
}
