/* copy_out.c - the files of a copy: rows and frames into files of the size that v3.0 wants, or a file an episode as v2.1 has it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/copy_int.h"

static fw_status make_folder(const char *file, fw_err *err) {
    char folder[STORE_PATH];
    snprintf(folder, sizeof(folder), "%s", file);
    *strrchr(folder, '/') = 0;
    return fw_mkdirs(folder, err);
}

/* Where file number `file` lies: v2.1 has a file an episode. key NULL: rows. */
static fw_status out_path(const copy_out *o, const char *key, int64_t file, char out[STORE_PATH], fw_err *err) {
    if (o->version == 30) {
        return store_file(o->dir, key != NULL ? key : "data", file, out, err);
    }
    long long chunk = file / STORE_CHUNK_SIZE, episode = file;
    int n = key != NULL
                ? snprintf(out, STORE_PATH, "%s/videos/chunk-%03lld/%s/episode_%06lld.mp4", o->dir, chunk, key, episode)
                : snprintf(out, STORE_PATH, "%s/data/chunk-%03lld/episode_%06lld.parquet", o->dir, chunk, episode);
    return n < STORE_PATH ? FW_OK : fw_fail(err, FW_INVALID, "%s: path too long", o->dir);
}

bool copy_out_has(const copy_out *o, const char *key, int64_t file) {
    char path[STORE_PATH];
    return out_path(o, key, file, path, NULL) == FW_OK && fw_path_exists(path);
}

fw_status copy_out_close(copy_out *o, fw_err *err) {
    if (o->data == NULL) {
        return FW_OK;
    }
    fw_pq_writer *data = o->data;
    o->data = NULL;
    FW_TRY(fw_pq_writer_close(data, err));
    FW_TRY(store_sync_file(o->data_path, err));
    o->data_file++;
    for (int c = 0; c < o->as->n_visual; c++) {
        fw_video_copier *v = o->video[c];
        o->video[c] = NULL;
        if (v != NULL) {
            FW_TRY(fw_video_copier_close(v, err));
            o->video_file[c]++;
        }
    }
    return FW_OK;
}

void copy_out_abort(copy_out *o) {
    fw_pq_writer_abort(o->data);
    o->data = NULL;
    for (int c = 0; c < FW_MAX_CAMERAS; c++) {
        fw_video_copier_abort(o->video[c]);
        o->video[c] = NULL;
    }
    free(o->huggingface);
    o->huggingface = NULL;
}

fw_status copy_out_prepare(copy_out *o, fw_pq_reader *r, const copy_frames *frames, bool *closed, fw_err *err) {
    *closed = false;
    if (o->data == NULL) {
        return FW_OK;
    }
    bool stay =
        o->version == 30 && fw_pq_writer_bytes(o->data) < (int64_t)o->data_mb << 20 && fw_pq_writer_fits(o->data, r);
    for (int c = 0; c < o->as->n_visual && stay; c++) {
        bool fits = (o->video[c] != NULL) == (frames->file[c] != NULL && !frames->link[c]);
        if (fits && o->video[c] != NULL) {
            FW_TRY(fw_video_copier_fits(o->video[c], frames->file[c], &fits, err));
            fits = fits && fw_video_copier_bytes(o->video[c]) < (int64_t)o->video_mb << 20;
        }
        stay = fits;
    }
    *closed = !stay;
    return stay ? FW_OK : copy_out_close(o, err);
}

static fw_status copy_rows(copy_out *o, copy_source *s, int64_t e, int64_t k, const fw_pq_column *other, int n_other,
                           copy_place *place, fw_err *err) {
    const fw_episode_info *i = &s->ds->episodes[e];
    place->data = o->version == 30 ? o->data_file : k;
    if (o->data == NULL) {
        fw_kv kv = {"huggingface", o->huggingface};
        FW_TRY(out_path(o, NULL, place->data, o->data_path, err));
        FW_TRY(make_folder(o->data_path, err));
        FW_TRY(fw_pq_writer_open_like(o->data_path, s->reader, &kv, 1, &o->data, err));
    }
    fw_err why;
    fw_status st =
        fw_pq_writer_add_rows(o->data, s->reader, i->data_row, i->data_row + i->length, other, n_other, &why);
    return st == FW_OK ? FW_OK : fw_fail(err, st, "ep %lld: %s", (long long)i->index, why.msg);
}

/* The source's file under the next number, once; it is complete at once. */
static fw_status link_video(copy_out *o, int c, const copy_frames *frames, copy_place *place, fw_err *err) {
    char path[STORE_PATH];
    if (o->linked[c] != frames->file[c]) {
        FW_TRY(out_path(o, o->as->cameras[c].key, o->video_file[c], path, err));
        FW_TRY(make_folder(path, err));
        FW_TRY(fw_file_link(frames->file[c], path, err));
        o->linked[c] = frames->file[c];
        o->video_file[c]++;
    }
    place->video[c] = o->video_file[c] - 1;
    place->from_s[c] = frames->from_s[c];
    place->to_s[c] = frames->to_s[c];
    return FW_OK;
}

static fw_status copy_video(copy_out *o, copy_source *s, int64_t e, int64_t k, int c, const copy_frames *frames,
                            copy_place *place, fw_err *err) {
    char path[STORE_PATH];
    double from_s = frames->from_s[c];
    const char *from = frames->file[c];
    place->video[c] = -1;
    if (from == NULL) {
        return FW_OK;
    }
    if (frames->link[c]) {
        return link_video(o, c, frames, place, err);
    }
    place->video[c] = o->version == 30 ? o->video_file[c] : k;
    if (o->video[c] == NULL) {
        o->linked[c] = NULL;
        FW_TRY(out_path(o, o->as->cameras[c].key, place->video[c], path, err));
        FW_TRY(make_folder(path, err));
        (void)unlink(path); /* what an earlier run left may be a link: never written through */
        FW_TRY(fw_video_copier_open(path, from, &o->video[c], err));
    }
    fw_err why;
    fw_status st = fw_video_copier_add(o->video[c], from, from_s, s->ds->episodes[e].length, &place->from_s[c],
                                       &place->to_s[c], &why);
    return st == FW_OK ? FW_OK : fw_fail(err, st, "ep %lld: %s", (long long)s->ds->episodes[e].index, why.msg);
}

fw_status copy_out_episode(copy_out *o, copy_source *s, int64_t e, int64_t k, const copy_frames *frames,
                           const fw_pq_column *other, int n_other, copy_place *place, fw_err *err) {
    FW_TRY(copy_rows(o, s, e, k, other, n_other, place, err));
    for (int c = 0; c < o->as->n_visual; c++) {
        FW_TRY(copy_video(o, s, e, k, c, frames, place, err));
    }
    return FW_OK;
}
