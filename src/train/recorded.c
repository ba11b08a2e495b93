/* recorded.c - see recorded.h */
#include "train/recorded.h"

#include <stdlib.h>

#include "data/deleted.h"

struct fw_recorded {
    const fw_embodiment *e;
    fw_dataset *ds;
    fw_deleted *deleted; /* the dataset's tombstones */
    int ahead, camera[FW_CAM_MAX];
    uint8_t *rgb[FW_CAM_MAX]; /* [ahead,h,w,3]: frames [first, first + decoded) of episode at */
    fw_episode ep;
    int64_t at, first, decoded; /* at: -1 before the first episode */
};

static fw_status open_camera(fw_recorded *r, int c, fw_err *err) {
    r->camera[c] = fw_dataset_camera(r->ds, r->e->camera[c].name);
    if (r->camera[c] < 0) {
        return fw_fail(err, FW_INVALID, "%s: has no camera '%s', which the policy wants", r->ds->dir,
                       r->e->camera[c].name);
    }
    const fw_ds_camera *cam = &r->ds->cameras[r->camera[c]];
    r->rgb[c] = malloc((size_t)r->ahead * (size_t)cam->h * (size_t)cam->w * 3);
    return r->rgb[c] != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "images: out of memory");
}

static fw_status open_all(fw_recorded *r, const char *dir, fw_err *err) {
    FW_TRY(fw_dataset_open(dir, &r->ds, err));
    if (r->ds->n_state != r->e->n_state || r->ds->n_action != r->e->n_action) {
        return fw_fail(err, FW_SHAPE, "%s: state has %d values and action %d, the policy's robot %s wants %d and %d",
                       r->ds->dir, r->ds->n_state, r->ds->n_action, r->e->name, r->e->n_state, r->e->n_action);
    }
    for (int c = 0; c < r->e->n_camera; c++) {
        FW_TRY(open_camera(r, c, err));
    }
    FW_TRY(fw_deleted_new(&r->deleted, err));
    return fw_deleted_load(r->deleted, r->ds->dir, err);
}

fw_status fw_recorded_open(const char *dir, const fw_embodiment *e, int ahead, fw_recorded **out, fw_err *err) {
    fw_recorded *r = calloc(1, sizeof *r);
    *out = NULL;
    if (r == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: out of memory", dir);
    }
    r->e = e;
    r->ahead = ahead;
    r->at = -1;
    fw_status s = open_all(r, dir, err);
    if (s != FW_OK) {
        fw_recorded_close(r);
        return s;
    }
    *out = r;
    return FW_OK;
}

void fw_recorded_close(fw_recorded *r) {
    if (r == NULL) {
        return;
    }
    for (int c = 0; c < FW_CAM_MAX; c++) {
        free(r->rgb[c]);
    }
    fw_episode_clear(&r->ep);
    fw_deleted_free(r->deleted);
    fw_dataset_close(r->ds);
    free(r);
}

fw_dataset *fw_recorded_data(fw_recorded *r) {
    return r->ds;
}

fw_status fw_recorded_allowed(fw_recorded *r, int64_t from, int64_t to, fw_err *err) {
    for (int64_t e = from; e < to; e++) {
        FW_TRY(fw_deleted_refuse_homes(r->deleted, r->ds, &e, 1, err));
    }
    return FW_OK;
}

fw_status fw_recorded_episode(fw_recorded *r, int64_t ep, const fw_episode **out, fw_err *err) {
    if (r->at != ep) {
        fw_episode_clear(&r->ep);
        r->ep = (fw_episode){0};
        r->at = -1;
        r->decoded = 0;
        FW_TRY(fw_recorded_allowed(r, ep, ep + 1, err));
        FW_TRY(fw_dataset_read_episode(r->ds, ep, &r->ep, err));
        FW_TRY(fw_deleted_refuse_rows(r->deleted, r->ds->dir, r->ds->episodes[ep].index, r->ep.state, r->ep.action,
                                      r->ep.length, r->ep.n_state, r->ep.n_action, err));
        r->at = ep;
    }
    *out = &r->ep;
    return FW_OK;
}

static fw_status decode(fw_recorded *r, int64_t t, fw_err *err) {
    if (t >= r->first && t < r->first + r->decoded) {
        return FW_OK;
    }
    const int64_t n = r->ep.length - t < r->ahead ? r->ep.length - t : r->ahead;
    r->decoded = 0;
    for (int c = 0; c < r->e->n_camera; c++) {
        FW_TRY(fw_dataset_read_images(r->ds, r->at, r->camera[c], t, n, 0, 0, r->rgb[c], err));
    }
    r->first = t;
    r->decoded = n;
    return FW_OK;
}

fw_status fw_recorded_obs(fw_recorded *r, int64_t t, fw_obs *out, fw_err *err) {
    const fw_embodiment *e = r->e;
    const fw_episode *ep = &r->ep;
    FW_TRY(decode(r, t, err));
    *out = (fw_obs){.n_image = e->n_camera,
                    .state = ep->state + t * e->n_state,
                    .n_state = e->n_state,
                    .prev_state = t > 0 ? ep->state + (t - 1) * e->n_state : NULL,
                    .prev_action = t > 0 ? ep->action + (t - 1) * e->n_action : NULL,
                    .instruction = ep->sentence,
                    .t_ns = (int64_t)(ep->timestamp_s[t] * 1e9)};
    for (int c = 0; c < e->n_camera; c++) {
        const fw_ds_camera *cam = &r->ds->cameras[r->camera[c]];
        const size_t bytes = (size_t)cam->h * (size_t)cam->w * 3;
        out->image[c] = (fw_image){r->rgb[c] + (size_t)(t - r->first) * bytes, cam->h, cam->w};
    }
    return FW_OK;
}
