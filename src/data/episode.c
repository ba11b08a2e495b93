/* episode.c - the rows and frames of one episode (see dataset.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset_int.h"

/* --- rows --- */

fw_status fw_dataset_table(fw_dataset *ds, int file, const fw_table **out, fw_err *err) {
    struct fw_dataset_priv *p = ds->priv;
    *out = &p->table;
    if (p->table_file == file) {
        return FW_OK;
    }
    const char *names[8];
    int n = 0;
    const char *const fixed[] = {"timestamp", "frame_index", "episode_index", "index", "task_index"};
    for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++) {
        names[n++] = fixed[i];
    }
    if (ds->state != NULL) {
        names[n++] = ds->state->key;
    }
    if (ds->action != NULL) {
        names[n++] = ds->action->key;
    }
    fw_table_clear(&p->table);
    p->table_file = -1;
    FW_TRY(fw_table_read(ds->data_files[file], names, n, &p->table, err));
    p->table_file = file;
    return FW_OK;
}

static fw_status column_of(const fw_table *t, const char *path, const char *name, int64_t width, const fw_column **out,
                           fw_err *err) {
    *out = fw_table_find(t, name);
    if (*out == NULL || (*out)->type == FW_COL_STR) {
        return fw_fail(err, FW_FORMAT, "%s: wanted a number column '%s'", path, name);
    }
    if ((*out)->width != width && t->rows > 0) {
        if ((*out)->width >= 0) {
            return fw_fail(err, FW_SHAPE, "%s: %s has %lld values a row, info.json wants %lld", path, name,
                           (long long)(*out)->width, (long long)width);
        }
        for (int64_t r = 0; r < t->rows; r++) {
            int64_t first, n;
            fw_column_row(*out, r, &first, &n);
            if (n != width) {
                return fw_fail(err, FW_SHAPE, "%s: row %lld: %s has %lld values, info.json wants %lld", path,
                               (long long)r, name, (long long)n, (long long)width);
            }
        }
    }
    return FW_OK;
}

/* Copy rows [row, row+T) of a vector column; not a number or infinite is an error. */
static fw_status copy_vectors(const fw_table *t, const char *path, const fw_feature *f, const fw_episode_info *e,
                              float **out, fw_err *err) {
    const fw_column *c;
    FW_TRY(column_of(t, path, f->key, f->size, &c, err));
    size_t n = (size_t)e->length * (size_t)f->size;
    if ((*out = malloc(n * sizeof(float))) == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: ep %lld", path, (long long)e->index);
    }
    for (size_t i = 0; i < n; i++) {
        double v = fw_column_f64(c, e->data_row * f->size + (int64_t)i);
        (*out)[i] = (float)v;
        if (!isfinite((*out)[i])) {
            int64_t dim = (int64_t)(i % (size_t)f->size);
            return fw_fail(err, FW_FORMAT, "%s: ep %lld: frame %lld: %s[%lld]%s%s is %g, wanted a finite number", path,
                           (long long)e->index, (long long)(i / (size_t)f->size), f->key, (long long)dim,
                           f->n_names > dim ? " " : "", f->n_names > dim ? f->names[dim] : "", v);
        }
    }
    return FW_OK;
}

static fw_status copy_scalars(fw_dataset *ds, const fw_table *t, const char *path, const fw_episode_info *e,
                              fw_episode *out, fw_err *err) {
    const fw_column *ts, *ei, *fi, *ti;
    FW_TRY(column_of(t, path, "timestamp", 1, &ts, err));
    FW_TRY(column_of(t, path, "episode_index", 1, &ei, err));
    FW_TRY(column_of(t, path, "frame_index", 1, &fi, err));
    FW_TRY(column_of(t, path, "task_index", 1, &ti, err));
    out->timestamp_s = malloc((size_t)e->length * sizeof(double));
    out->task = malloc((size_t)e->length * sizeof(int64_t));
    if (out->timestamp_s == NULL || out->task == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: ep %lld", path, (long long)e->index);
    }
    for (int64_t i = 0; i < e->length; i++) {
        int64_t r = e->data_row + i;
        if (fw_column_i64(ei, r) != e->index || fw_column_i64(fi, r) != i) {
            return fw_fail(err, FW_FORMAT, "%s: row %lld: wanted ep %lld frame %lld, found ep %lld frame %lld", path,
                           (long long)r, (long long)e->index, (long long)i, (long long)fw_column_i64(ei, r),
                           (long long)fw_column_i64(fi, r));
        }
        out->timestamp_s[i] = fw_column_f64(ts, r);
        out->task[i] = fw_column_i64(ti, r);
        if (out->task[i] < 0 || out->task[i] >= ds->n_tasks) {
            return fw_fail(err, FW_FORMAT, "%s: ep %lld: frame %lld: task_index is %lld, there are %d tasks", path,
                           (long long)e->index, (long long)i, (long long)out->task[i], ds->n_tasks);
        }
        if (!isfinite(out->timestamp_s[i])) {
            return fw_fail(err, FW_FORMAT, "%s: ep %lld: frame %lld: timestamp is %g", path, (long long)e->index,
                           (long long)i, out->timestamp_s[i]);
        }
    }
    return FW_OK;
}

fw_status fw_dataset_read_episode(fw_dataset *ds, int64_t ep, fw_episode *out, fw_err *err) {
    *out = (fw_episode){0};
    if (ep < 0 || ep >= ds->n_episodes) {
        return fw_fail(err, FW_INVALID, "%s: no episode %lld, there are %lld", ds->dir, (long long)ep,
                       (long long)ds->n_episodes);
    }
    const fw_episode_info *e = &ds->episodes[ep];
    const char *path = ds->data_files[e->data_file];
    const fw_table *t;
    FW_TRY(fw_dataset_table(ds, e->data_file, &t, err));
    if (t->rows < e->data_row + e->length) {
        return fw_fail(err, FW_FORMAT, "%s: ep %lld: wanted rows %lld..%lld, the file has %lld", path,
                       (long long)e->index, (long long)e->data_row, (long long)(e->data_row + e->length),
                       (long long)t->rows);
    }
    out->length = e->length;
    out->n_state = ds->n_state;
    out->n_action = ds->n_action;
    fw_status st = copy_scalars(ds, t, path, e, out, err);
    if (st == FW_OK && ds->state != NULL) {
        st = copy_vectors(t, path, ds->state, e, &out->state, err);
    }
    if (st == FW_OK && ds->action != NULL) {
        st = copy_vectors(t, path, ds->action, e, &out->action, err);
    }
    if (st != FW_OK) {
        fw_episode_clear(out);
        return st;
    }
    out->sentence = ds->tasks[out->task[0]];
    return FW_OK;
}

void fw_episode_clear(fw_episode *e) {
    free(e->state);
    free(e->action);
    free(e->timestamp_s);
    free(e->task);
    *e = (fw_episode){0};
}

/* --- frames --- */

static fw_status use_video(fw_dataset *ds, int file, fw_err *err) {
    struct fw_dataset_priv *p = ds->priv;
    if (p->video_file == file) {
        return FW_OK;
    }
    fw_video_close(p->video);
    p->video = NULL;
    p->video_file = -1;
    p->video_ep = -1;
    FW_TRY(fw_video_open(ds->video_files[file], &p->video, err));
    p->video_file = file;
    return FW_OK;
}

fw_status fw_dataset_read_images(fw_dataset *ds, int64_t ep, int cam, int64_t frame, int64_t n, int h, int w,
                                 uint8_t *rgb, fw_err *err) {
    struct fw_dataset_priv *p = ds->priv;
    if (ep < 0 || ep >= ds->n_episodes || cam < 0 || cam >= ds->n_cameras || frame < 0 || n < 0 ||
        frame + n > ds->episodes[ep].length) {
        return fw_fail(err, FW_INVALID, "%s: no frames %lld..%lld of camera %d of ep %lld", ds->dir, (long long)frame,
                       (long long)(frame + n), cam, (long long)ep);
    }
    const fw_episode_info *e = &ds->episodes[ep];
    if (ds->cameras[cam].in_rows) {
        return fw_row_images(ds, ep, cam, frame, n, h, w, rgb, err);
    }
    if (e->video[cam].file < 0) {
        return fw_fail(err, FW_FORMAT, "%s: ep %lld: no video of camera %s", ds->dir, (long long)e->index,
                       ds->cameras[cam].name);
    }
    FW_TRY(use_video(ds, e->video[cam].file, err));
    const fw_video_info *info = fw_video_get_info(p->video);
    if (p->video_ep != ep || p->video_cam != cam || p->video_frame != frame) {
        double fps = ds->version == 21 && info->fps > 0.0 ? info->fps : ds->fps;
        FW_TRY(fw_video_seek(p->video, e->video[cam].from_s + (double)frame / fps, err));
    }
    p->video_ep = -1;
    size_t bytes = (size_t)(h > 0 ? h : info->h) * (size_t)(w > 0 ? w : info->w) * 3;
    for (int64_t i = 0; i < n; i++) {
        fw_err why;
        fw_status st = fw_video_next(p->video, h, w, rgb + (size_t)i * bytes, NULL, &why);
        if (st == FW_CLOSED) {
            return fw_fail(err, FW_FORMAT, "%s: ep %lld: frame %lld: the video ends, its table has %lld frames",
                           ds->video_files[p->video_file], (long long)e->index, (long long)(frame + i),
                           (long long)e->length);
        }
        if (st != FW_OK) {
            return fw_fail(err, st, "ep %lld: frame %lld: %s", (long long)e->index, (long long)(frame + i), why.msg);
        }
    }
    p->video_ep = ep;
    p->video_cam = cam;
    p->video_frame = frame + n;
    return FW_OK;
}
