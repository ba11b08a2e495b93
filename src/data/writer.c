/*
 * writer.c - record episodes as a LeRobotDataset v3.0 (see writer.h for what survives a crash).
 *
 * A segment lives in <dir>/.staging as data.parquet (one row group an episode), one .mp4 a camera, and a table of its
 * episodes in memory. seal() is the only function that changes what readers see; it moves files whose names no info.json has
 * named yet, and replaces info.json last.
 */
#include "data/writer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "data/dataset_int.h"
#include "data/store_int.h"

enum { F_STATE, F_ACTION, F_CAMERA }; /* features: state, action, cameras, the five that every dataset has, marks */

struct fw_writer {
    char *dir, *staging;
    fw_writer_desc d; /* its pointers are not used after open */
    int lock;         /* fd; -1: none */
    json_t *info;
    fw_feature *features;
    int n_features, timestamp; /* index of "timestamp": frame_index, episode_index, index, task_index follow */
    char **tasks, **subtasks;
    int n_tasks, n_subtasks;
    bool provenance;  /* its episodes have provenance columns */
    fw_field *fields; /* further ones: names owned */
    int n_fields;
    store_total total;
    int64_t summary_bytes, unsummed_bytes;  /* of summary.bin, and of the rows that came after it */
    int64_t sealed_episodes, sealed_frames; /* what info.json counts */
    int64_t episodes, frames;               /* with the open segment */
    int64_t file;                           /* number of the open segment's files */
    bool broken;                            /* an error left the segment half-written */

    /* the open segment */
    int64_t seg_episodes, seg_frames;
    fw_table rows, eps;
    fw_table_writer *data;
    fw_video_writer *video[FW_MAX_CAMERAS];
};

/* --- what the dataset is --- */

static char *join_text(const char *a, const char *b) {
    size_t n = strlen(a) + strlen(b) + 1;
    char *s = malloc(n);
    if (s != NULL) {
        snprintf(s, n, "%s%s", a, b);
    }
    return s;
}

static bool feature_init(fw_feature *f, char *key, const char *dtype, int n_shape, const int64_t *shape,
                         const char *const *names, int n_names) {
    f->key = key;
    f->dtype = strdup(dtype);
    f->n_shape = n_shape;
    f->size = 1;
    for (int i = 0; i < n_shape; i++) {
        f->shape[i] = shape[i];
        f->size *= shape[i];
    }
    f->names = calloc((size_t)n_names + 1, sizeof(char *));
    if (key == NULL || f->dtype == NULL || f->names == NULL) {
        return false;
    }
    for (; f->n_names < n_names; f->n_names++) {
        if ((f->names[f->n_names] = strdup(names[f->n_names])) == NULL) {
            return false;
        }
    }
    return true;
}

/* The features of d.marks, in the order of their bits. */
static bool make_marks(fw_writer *w) {
    const char *clocks[1 + FW_MAX_CAMERAS] = {"state"};
    int64_t one = 1, n_clocks = 1 + w->d.n_cameras;
    bool ok = true;
    for (int c = 0; c < w->d.n_cameras; c++) {
        clocks[1 + c] = w->d.cameras[c].name;
    }
    for (int i = 0; i < STORE_MARKS && ok; i++) {
        bool capture = store_marks[i].bit == FW_MARK_CAPTURE;
        if ((w->d.marks & store_marks[i].bit) != 0) {
            ok = feature_init(&w->features[w->n_features++], strdup(store_marks[i].key), store_marks[i].dtype, 1,
                              capture ? &n_clocks : &one, capture ? clocks : NULL, capture ? (int)n_clocks : 0);
        }
    }
    return ok;
}

static fw_status make_features(fw_writer *w, const fw_writer_desc *d, fw_err *err) {
    static const char *const hwc[] = {"height", "width", "channels"};
    static const char *const index[] = {"frame_index", "episode_index", "index", "task_index"};
    int64_t ns = d->n_state, na = d->n_action, one = 1;
    fw_feature *f = w->features = calloc((size_t)d->n_cameras + 11, sizeof(fw_feature));
    bool ok = f != NULL;
    ok = ok && feature_init(&f[F_STATE], strdup("observation.state"), "float32", 1, &ns, d->state_names, d->n_state);
    ok = ok && feature_init(&f[F_ACTION], strdup("action"), "float32", 1, &na, d->action_names, d->n_action);
    w->n_features = ok ? 2 : 0;
    for (int c = 0; ok && c < d->n_cameras; c++) {
        int64_t shape[3] = {d->cameras[c].h, d->cameras[c].w, 3};
        ok = feature_init(&f[w->n_features++], join_text("observation.images.", d->cameras[c].name), "video", 3, shape,
                          hwc, 3);
    }
    w->timestamp = w->n_features;
    ok = ok && feature_init(&f[w->n_features++], strdup("timestamp"), "float32", 1, &one, NULL, 0);
    for (int i = 0; ok && i < 4; i++) {
        ok = feature_init(&f[w->n_features++], strdup(index[i]), "int64", 1, &one, NULL, 0);
    }
    ok = ok && make_marks(w);
    return ok ? FW_OK : fw_fail(err, FW_NOMEM, "%s: features", w->dir);
}

static json_t *feature_json(const fw_feature *f, const fw_writer_desc *d) {
    json_t *shape = json_array(), *names = f->n_names > 0 ? json_array() : json_null();
    for (int i = 0; i < f->n_shape; i++) {
        json_array_append_new(shape, json_integer(f->shape[i]));
    }
    for (int i = 0; i < f->n_names; i++) {
        json_array_append_new(names, json_string(f->names[i]));
    }
    json_t *j = json_pack("{s:s, s:o, s:o}", "dtype", f->dtype, "shape", shape, "names", names);
    if (strcmp(f->dtype, "video") == 0) {
        json_t *info = json_pack("{s:I, s:I, s:s, s:s, s:b, s:i, s:i, s:b, s:i, s:i}", "video.height",
                                 (json_int_t)f->shape[0], "video.width", (json_int_t)f->shape[1], "video.codec",
                                 strcmp(d->video.codec, "libsvtav1") == 0 ? "av1" : "h264", "video.pix_fmt", "yuv420p",
                                 "is_depth_map", 0, "video.fps", d->fps, "video.channels", 3, "has_audio", 0, "video.g",
                                 d->video.gop, "video.crf", d->video.crf);
        json_object_set_new(j, "info", info);
    }
    return j;
}

static fw_status make_info(fw_writer *w, fw_err *err) {
    const fw_writer_desc *d = &w->d;
    json_t *features = json_object();
    for (int i = 0; i < w->n_features; i++) {
        json_object_set_new(features, w->features[i].key, feature_json(&w->features[i], d));
    }
    w->info =
        json_pack("{s:s, s:i, s:o, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:s?, s:s, s:{}}", "codebase_version", "v3.0",
                  "fps", d->fps, "features", features, "total_episodes", 0, "total_frames", 0, "total_tasks", 0,
                  "chunks_size", STORE_CHUNK_SIZE, "data_files_size_in_mb", d->data_mb, "video_files_size_in_mb",
                  d->video_mb, "data_path", "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet", "video_path",
                  d->n_cameras > 0 ? "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4" : NULL,
                  "robot_type", d->robot_type, "splits");
    return w->info != NULL ? FW_OK
                           : fw_fail(err, FW_INVALID, "%s: info.json: a name or the robot_type is not UTF-8", w->dir);
}

static fw_status check_desc(const char *dir, const fw_writer_desc *d, fw_err *err) {
    if (d->fps < 1 || d->fps > 1000 || d->n_state < 1 || d->n_action < 1 || d->n_cameras < 0 ||
        d->n_cameras > FW_MAX_CAMERAS || d->robot_type == NULL || d->state_names == NULL || d->action_names == NULL) {
        return fw_fail(err, FW_INVALID, "%s: writer: wanted fps 1..1000, state and action names, 0..%d cameras", dir,
                       FW_MAX_CAMERAS);
    }
    for (int c = 0; c < d->n_cameras; c++) {
        const fw_writer_camera *k = &d->cameras[c];
        if (k->name == NULL || k->name[0] == 0 || strchr(k->name, '/') != NULL || k->h < 16 || k->w < 16 ||
            k->h % 2 != 0 || k->w % 2 != 0) {
            return fw_fail(err, FW_INVALID,
                           "%s: writer: camera %d: wanted a name without '/' and even sizes >= 16, found '%s' %dx%d",
                           dir, c, k->name != NULL ? k->name : "", k->w, k->h);
        }
    }
    return FW_OK;
}

/* --- continuing a dataset --- */

/* Index of text among list [n], appended when new; -1 without memory. */
static int intern(const char *dir, char ***list, int *n, const char *text, fw_err *err) {
    for (int i = 0; i < *n; i++) {
        if (strcmp((*list)[i], text) == 0) {
            return i;
        }
    }
    char **more = realloc(*list, (size_t)(*n + 1) * sizeof(char *));
    if (more != NULL) {
        *list = more;
        if ((more[*n] = strdup(text)) != NULL) {
            return (*n)++;
        }
    }
    fw_fail(err, FW_NOMEM, "%s: task", dir);
    return -1;
}

static int find_task(fw_writer *w, const char *text, fw_err *err) {
    return intern(w->dir, &w->tasks, &w->n_tasks, text, err);
}

static bool add_field(fw_writer *w, const char *name, fw_field_kind kind) {
    fw_field *more = realloc(w->fields, (size_t)(w->n_fields + 1) * sizeof(*more));
    if (more == NULL) {
        return false;
    }
    w->fields = more;
    more[w->n_fields] = (fw_field){.name = strdup(name), .kind = kind};
    return more[w->n_fields].name != NULL && (w->n_fields++, true);
}

/* A new dataset's further fields are the declared ones; an old one's are those it has. */
static fw_status declare_fields(fw_writer *w, const fw_writer_desc *d, const fw_dataset *old, fw_err *err) {
    bool ok = true;
    w->provenance = old == NULL || fw_table_find(&old->priv->fields, STORE_PROVENANCE "source") != NULL;
    for (int i = 0; old == NULL && i < d->n_fields && ok; i++) {
        if (strchr(d->fields[i].name, '/') != NULL || store_is_provenance(d->fields[i].name)) {
            return fw_fail(err, FW_INVALID, "%s: writer: field '%s': the name is taken, or has a '/'", w->dir,
                           d->fields[i].name);
        }
        ok = add_field(w, d->fields[i].name, d->fields[i].kind);
    }
    for (int i = 0; old != NULL && i < old->priv->fields.n_cols && ok; i++) {
        const fw_column *c = &old->priv->fields.cols[i];
        if (strncmp(c->name, STORE_PROVENANCE, strlen(STORE_PROVENANCE)) != 0 || c->depth != 0) {
            return fw_fail(err, FW_UNSUPPORTED, "%s: its episodes have a column '%s' that this writer cannot continue",
                           w->dir, c->name);
        }
        const char *name = c->name + strlen(STORE_PROVENANCE);
        if (!store_is_provenance(name)) {
            ok = add_field(w, name,
                           c->type == FW_COL_STR                            ? FW_FIELD_TEXT
                           : c->type == FW_COL_F64 || c->type == FW_COL_F32 ? FW_FIELD_REAL
                                                                            : FW_FIELD_INT);
        }
    }
    return ok ? FW_OK : fw_fail(err, FW_NOMEM, "%s: fields", w->dir);
}

static fw_status same_features(const fw_writer *w, const fw_dataset *ds, fw_err *err) {
    if (ds->version != 30 || llround(ds->fps * 1000.0) != 1000ll * w->d.fps ||
        strcmp(ds->robot_type, w->d.robot_type) != 0) {
        return fw_fail(err, FW_INVALID, "%s: it is v%d.%d at %g fps of '%s', wanted v3.0 at %d fps of '%s'", w->dir,
                       ds->version / 10, ds->version % 10, ds->fps, ds->robot_type, w->d.fps, w->d.robot_type);
    }
    if (ds->n_features != w->n_features) {
        return fw_fail(err, FW_INVALID, "%s: it has %d features, wanted %d", w->dir, ds->n_features, w->n_features);
    }
    for (int i = 0; i < w->n_features; i++) {
        const fw_feature *want = &w->features[i], *f = NULL;
        for (int k = 0; k < ds->n_features; k++) {
            f = strcmp(ds->features[k].key, want->key) == 0 ? &ds->features[k] : f;
        }
        bool same = f != NULL && strcmp(f->dtype, want->dtype) == 0 && f->n_shape == want->n_shape &&
                    memcmp(f->shape, want->shape, sizeof(f->shape)) == 0;
        for (int k = 0; same && i <= F_ACTION && k < want->n_names; k++) {
            same = k < f->n_names && strcmp(f->names[k], want->names[k]) == 0;
        }
        if (!same) {
            return fw_fail(err, FW_INVALID, "%s: its feature '%s' is missing or has another type, shape or names",
                           w->dir, want->key);
        }
    }
    return FW_OK;
}

/* The number in ".../chunk-CCC/file-FFF.x"; -1 when the name is not of that kind. */
static int64_t file_number(const char *path) {
    long long chunk, file;
    const char *p = strstr(path, "/chunk-");
    for (const char *q = p; q != NULL; q = strstr(q + 1, "/chunk-")) {
        p = q;
    }
    return p != NULL && sscanf(p, "/chunk-%lld/file-%lld.", &chunk, &file) == 2 ? chunk * STORE_CHUNK_SIZE + file : -1;
}

/* Remove files numbered `from` and above in <dir>/<kind>/chunk-*: sealed halfway by a run that died. */
static fw_status remove_uncounted(const char *dir, const char *kind, int64_t from, fw_err *err) {
    char root[STORE_PATH], chunk[STORE_PATH], path[STORE_PATH];
    char **chunks = NULL, **files = NULL;
    size_t n_chunks = 0, n_files = 0;
    FW_TRY(fw_path_join(root, sizeof(root), dir, kind, err));
    if (!fw_path_is_dir(root)) {
        return FW_OK;
    }
    FW_TRY(fw_list_dir(root, &chunks, &n_chunks, err));
    fw_status st = FW_OK;
    for (size_t c = 0; c < n_chunks && st == FW_OK; c++) {
        if ((st = fw_path_join(chunk, sizeof(chunk), root, chunks[c], err)) != FW_OK || !fw_path_is_dir(chunk)) {
            continue;
        }
        st = fw_list_dir(chunk, &files, &n_files, err);
        for (size_t f = 0; f < n_files && st == FW_OK; f++) {
            st = fw_path_join(path, sizeof(path), chunk, files[f], err);
            if (st == FW_OK && file_number(path) >= from) {
                st = fw_remove_tree(path, err);
            }
        }
        fw_names_free(files, n_files);
        files = NULL;
        n_files = 0;
    }
    fw_names_free(chunks, n_chunks);
    return st;
}

/* Rows of data file f from episode *e on. */
static fw_status load_rows(fw_writer *w, fw_dataset *ds, int f, int64_t *e, fw_err *err) {
    fw_table t;
    struct stat size;
    FW_TRY(store_read_whole(ds->data_files[f], &t, err));
    fw_status st = FW_OK;
    for (; *e < ds->n_episodes && ds->episodes[*e].data_file == f && st == FW_OK; ++*e) {
        int64_t a = ds->episodes[*e].data_row, b = a + ds->episodes[*e].length;
        st = b <= t.rows ? store_total_push_rows(&w->total, ds->data_files[f], &t, a, b, err)
                         : fw_fail(err, FW_FORMAT, "%s: %lld rows, wanted %lld", ds->data_files[f], (long long)t.rows,
                                   (long long)b);
    }
    w->unsummed_bytes += stat(ds->data_files[f], &size) == 0 ? size.st_size : 0;
    fw_table_clear(&t);
    return st;
}

/* The episodes' own statistics: those of images into the total; of numbers, the sums over the first `covered` episodes. */
static fw_status load_episodes(fw_writer *w, char **eps, size_t n_eps, int64_t covered, double *sums, fw_err *err) {
    fw_table t;
    for (size_t i = 0; i < n_eps; i++) {
        FW_TRY(store_read_whole(eps[i], &t, err));
        fw_status st = store_total_push_episodes(&w->total, &t, t.rows, err);
        store_total_add_sums(&w->total, &t, covered < t.rows ? covered : t.rows, sums);
        covered -= covered < t.rows ? covered : t.rows;
        fw_table_clear(&t);
        FW_TRY(st);
    }
    return FW_OK;
}

/* Statistics so far: what summary.bin has, and the rows since. */
static fw_status load_totals(fw_writer *w, fw_dataset *ds, char **eps, size_t n_eps, fw_err *err) {
    int64_t e = 0, rows;
    FW_TRY(store_total_load(&w->total, w->dir, &rows, &w->summary_bytes, err));
    while (e < ds->n_episodes && ds->episodes[e].first < rows) {
        e++;
    }
    double *sums = calloc((size_t)store_total_dims(&w->total) + 1, sizeof(double));
    if (sums == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: statistics", w->dir);
    }
    fw_status st = load_episodes(w, eps, n_eps, e, sums, err);
    bool whole = rows == (e < ds->n_episodes ? ds->episodes[e].first : ds->n_frames);
    if (st == FW_OK && rows > 0 && !(whole && store_total_agrees(&w->total, sums))) { /* of other data */
        e = w->summary_bytes = 0;
        st = store_total_forget(&w->total, err);
    }
    free(sums);
    while (e < ds->n_episodes && st == FW_OK) {
        st = load_rows(w, ds, ds->episodes[e].data_file, &e, err);
    }
    return st;
}

static fw_status clean_up(fw_writer *w, fw_err *err) {
    FW_TRY(remove_uncounted(w->dir, "data", w->file, err));
    FW_TRY(remove_uncounted(w->dir, "meta/episodes", w->file, err));
    for (int c = 0; c < w->d.n_cameras; c++) {
        char kind[512];
        snprintf(kind, sizeof(kind), "videos/%s", w->features[F_CAMERA + c].key);
        FW_TRY(remove_uncounted(w->dir, kind, w->file, err));
    }
    return FW_OK;
}

static fw_status continue_dataset(fw_writer *w, fw_dataset *ds, const char *info_path, fw_err *err) {
    char **eps = NULL;
    size_t n_eps = 0;
    fw_status st = same_features(w, ds, err);
    for (int i = 0; i < ds->n_tasks && st == FW_OK; i++) {
        st = find_task(w, ds->tasks[i], err) == i ? FW_OK
                                                  : fw_fail(err, FW_FORMAT, "%s: task %d is there twice", w->dir, i);
    }
    for (int i = 0; i < ds->n_subtasks && st == FW_OK; i++) {
        st = intern(w->dir, &w->subtasks, &w->n_subtasks, ds->subtasks[i], err) >= 0 ? FW_OK : FW_NOMEM;
    }
    st = st == FW_OK ? store_episode_files(w->dir, ds->n_episodes, &eps, &n_eps, err) : st;
    st = st == FW_OK ? load_totals(w, ds, eps, n_eps, err) : st;
    if (st == FW_OK) {
        json_decref(w->info);
        w->info = NULL;
        st = fw_json_load(info_path, &w->info, err); /* keys that are not ours stay */
    }
    w->episodes = w->sealed_episodes = ds->n_episodes;
    w->frames = w->sealed_frames = ds->n_frames;
    for (int i = 0; i < ds->n_data_files; i++) {
        int64_t n = file_number(ds->data_files[i]);
        w->file = n >= w->file ? n + 1 : w->file;
    }
    for (int i = 0; i < ds->n_video_files; i++) {
        int64_t n = file_number(ds->video_files[i]);
        w->file = n >= w->file ? n + 1 : w->file;
    }
    for (size_t i = 0; i < n_eps; i++) {
        int64_t n = file_number(eps[i]);
        w->file = n >= w->file ? n + 1 : w->file;
    }
    fw_names_free(eps, n_eps);
    return st == FW_OK ? clean_up(w, err) : st;
}

/* A folder without info.json may hold only what an unsealed first segment left. */
static fw_status refuse_foreign(const char *dir, fw_err *err) {
    static const char *const ours[] = {".staging", ".recorder", "data", "meta", "sim", "videos"};
    char **names;
    size_t n;
    FW_TRY(fw_list_dir(dir, &names, &n, err));
    fw_status st = FW_OK;
    bool staging = false;
    for (size_t i = 0; i < n; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof ours / sizeof *ours; k++) {
            known = known || strcmp(names[i], ours[k]) == 0;
        }
        staging = staging || strcmp(names[i], ".staging") == 0 || strcmp(names[i], ".recorder") == 0;
        if (!known) {
            st = fw_fail(err, FW_INVALID, "%s: not empty and not a dataset (it has '%s')", dir, names[i]);
        }
    }
    char gone[STORE_PATH]; /* all of its episodes were deleted: their tombstones are what is left */
    staging =
        staging || (fw_path_join(gone, sizeof(gone), dir, "meta/deleted.json", NULL) == FW_OK && fw_path_exists(gone));
    if (st == FW_OK && n > 0 && !staging) {
        st = fw_fail(err, FW_INVALID, "%s: not empty and not a dataset (no meta/info.json)", dir);
    }
    fw_names_free(names, n);
    return st;
}

fw_status fw_writer_open(const char *dir, const fw_writer_desc *desc, fw_writer **out, fw_err *err) {
    char info[STORE_PATH];
    fw_status st;
    fw_dataset *old = NULL;
    *out = NULL;
    FW_TRY(check_desc(dir, desc, err));
    FW_TRY(fw_path_join(info, sizeof(info), dir, "meta/info.json", err));
    bool there = fw_path_exists(info);
    if (!there && fw_path_exists(dir)) {
        FW_TRY(refuse_foreign(dir, err));
    }
    fw_writer *w = calloc(1, sizeof(*w));
    if (w == NULL || (w->lock = -1, (w->dir = strdup(dir)) == NULL) ||
        (w->staging = join_text(dir, "/.staging")) == NULL) {
        st = fw_fail(err, FW_NOMEM, "%s: writer", dir);
        goto done;
    }
    w->d = *desc;
    w->d.video = desc->video.codec != NULL ? desc->video : FW_VIDEO_OPTS_DATA;
    w->d.seal_every = desc->seal_every > 0 ? desc->seal_every : 50;
    w->d.data_mb = desc->data_mb > 0 ? desc->data_mb : 100;
    w->d.video_mb = desc->video_mb > 0 ? desc->video_mb : 200;
    if ((st = store_lock(dir, &w->lock, err)) != FW_OK || (there && (st = fw_dataset_open(dir, &old, err)) != FW_OK)) {
        goto done;
    }
    w->d.marks = old != NULL ? old->marks : desc->marks;
    if ((st = declare_fields(w, desc, old, err)) != FW_OK || (st = make_features(w, desc, err)) != FW_OK ||
        (st = make_info(w, err)) != FW_OK ||
        (st = store_total_init(&w->total, w->features, w->n_features, err)) != FW_OK) {
        goto done;
    }
    st = there ? continue_dataset(w, old, info, err) : clean_up(w, err);
done:
    fw_dataset_close(old);
    if (w != NULL) { /* the caller's text is not kept */
        w->d.robot_type = NULL;
        w->d.state_names = w->d.action_names = NULL;
        w->d.fields = NULL;
        for (int c = 0; c < FW_MAX_CAMERAS; c++) {
            w->d.cameras[c].name = NULL;
        }
    }
    if (st != FW_OK) {
        fw_writer_abort(w);
        w = NULL;
    }
    *out = w;
    return st;
}

/* --- the open segment --- */

/* Columns of an episodes file: fixed ones, videos, statistics of every feature, where the row itself lies. */
static void episode_columns(const fw_writer *w, fw_table *t) {
    static const char *const index[] = {"length", "data/chunk_index", "data/file_index", "dataset_from_index",
                                        "dataset_to_index"};
    char name[512];
    fw_table_add_column(t, "episode_index", FW_COL_I64, 0, 1);
    fw_table_add_column(t, "tasks", FW_COL_STR, 1, -1);
    for (int i = 0; i < 5; i++) {
        fw_table_add_column(t, index[i], FW_COL_I64, 0, 1);
    }
    for (int c = 0; c < w->d.n_cameras; c++) {
        static const char *const part[] = {"chunk_index", "file_index", "from_timestamp", "to_timestamp"};
        for (int i = 0; i < 4; i++) {
            snprintf(name, sizeof(name), "videos/%s/%s", w->features[F_CAMERA + c].key, part[i]);
            fw_table_add_column(t, name, i < 2 ? FW_COL_I64 : FW_COL_F64, 0, 1);
        }
    }
    if (w->provenance) {
        store_provenance_columns(t);
    }
    for (int i = 0; i < w->n_fields; i++) {
        static const fw_coltype type[] = {FW_COL_STR, FW_COL_F64, FW_COL_I64};
        snprintf(name, sizeof(name), STORE_PROVENANCE "%s", w->fields[i].name);
        fw_table_add_column(t, name, type[w->fields[i].kind], 0, 1);
    }
    for (int i = 0; i < w->n_features; i++) {
        const fw_feature *f = &w->features[i];
        bool image = strcmp(f->dtype, "video") == 0, integer = strcmp(f->dtype, "int64") == 0;
        for (int k = 0; k < STORE_STATS; k++) {
            snprintf(name, sizeof(name), "stats/%s/%s", f->key, store_stat_names[k]);
            fw_table_add_column(t, name, integer && k < 2 ? FW_COL_I64 : FW_COL_F64, image ? 3 : 1,
                                image ? 3 : f->size);
        }
        snprintf(name, sizeof(name), "stats/%s/count", f->key);
        fw_table_add_column(t, name, FW_COL_I64, 1, 1);
    }
    fw_table_add_column(t, "meta/episodes/chunk_index", FW_COL_I64, 0, 1);
    fw_table_add_column(t, "meta/episodes/file_index", FW_COL_I64, 0, 1);
}

static fw_status staged(const fw_writer *w, const char *name, char out[STORE_PATH], fw_err *err) {
    return fw_path_join(out, STORE_PATH, w->staging, name, err);
}

static void camera_file(int c, char name[32]) {
    snprintf(name, 32, "camera-%d.mp4", c);
}

static fw_status open_segment(fw_writer *w, fw_err *err) {
    char path[STORE_PATH], name[32];
    for (int i = 0; i < w->n_features && w->rows.n_cols < w->n_features - w->d.n_cameras; i++) {
        const fw_feature *f = &w->features[i];
        if (strcmp(f->dtype, "video") != 0) {
            fw_coltype type = strcmp(f->dtype, "int64") == 0  ? FW_COL_I64
                              : strcmp(f->dtype, "bool") == 0 ? FW_COL_BOOL
                                                              : FW_COL_F32;
            fw_table_add_column(&w->rows, f->key, type, f->size > 1, f->size);
        }
    }
    if (w->eps.n_cols == 0) {
        episode_columns(w, &w->eps);
    }
    char *hf = store_huggingface(w->features, w->n_features, 30);
    if (hf == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: metadata", w->dir);
    }
    fw_kv kv = {"huggingface", hf};
    fw_status st = staged(w, "data.parquet", path, err);
    st = st == FW_OK ? fw_table_writer_open(path, &w->rows, &kv, 1, &w->data, err) : st;
    free(hf);
    for (int c = 0; c < w->d.n_cameras && st == FW_OK; c++) {
        camera_file(c, name);
        if ((st = staged(w, name, path, err)) == FW_OK) {
            st = fw_video_writer_open(path, w->d.cameras[c].h, w->d.cameras[c].w, w->d.fps, &w->d.video, &w->video[c],
                                      err);
        }
    }
    return st;
}

static void drop_segment(fw_writer *w) {
    fw_table_writer_abort(w->data);
    w->data = NULL;
    for (int c = 0; c < FW_MAX_CAMERAS; c++) {
        fw_video_writer_abort(w->video[c]);
        w->video[c] = NULL;
    }
    fw_table_empty(&w->eps);
    w->seg_episodes = w->seg_frames = 0;
}

/* What is given must have a column to go to, and be in range. */
static fw_status check_marks(const fw_writer *w, const fw_writer_episode *ep, fw_err *err) {
    const fw_marks *m = &ep->marks;
    unsigned given = (m->intervention != NULL ? FW_MARK_INTERVENTION : 0u) |
                     (m->advantage != NULL ? FW_MARK_ADVANTAGE : 0u) | (m->subtask != NULL ? FW_MARK_SUBTASK : 0u) |
                     (m->capture_ns != NULL ? FW_MARK_CAPTURE : 0u);
    for (int i = 0; i < STORE_MARKS; i++) {
        if ((given & ~w->d.marks & store_marks[i].bit) != 0) {
            return fw_fail(err, FW_INVALID, "%s: ep %lld: '%s' is given, the dataset has no such column", w->dir,
                           (long long)w->episodes, store_marks[i].key);
        }
    }
    if (ep->provenance != NULL && !w->provenance) {
        return fw_fail(err, FW_INVALID, "%s: ep %lld: provenance is given, the dataset has no columns for it", w->dir,
                       (long long)w->episodes);
    }
    for (int64_t i = 0; m->subtask != NULL && i < ep->length; i++) {
        if (m->subtask[i] < -1 || m->subtask[i] >= m->n_subtasks) {
            return fw_fail(err, FW_INVALID, "%s: ep %lld: frame %lld: subtask %lld, there are %d", w->dir,
                           (long long)w->episodes, (long long)i, (long long)m->subtask[i], m->n_subtasks);
        }
        if (m->subtask[i] >= 0 && m->subtasks[m->subtask[i]] == NULL) {
            return fw_fail(err, FW_INVALID, "%s: ep %lld: subtask %lld has no sentence", w->dir, (long long)w->episodes,
                           (long long)m->subtask[i]);
        }
    }
    for (int i = 0; i < w->n_fields; i++) {
        const fw_field *f = ep->provenance != NULL ? store_field(ep->provenance, w->fields[i].name) : NULL;
        if ((f == NULL && w->fields[i].kind == FW_FIELD_INT) || (f != NULL && f->kind != w->fields[i].kind)) {
            return fw_fail(err, FW_INVALID, "%s: ep %lld: field '%s' is %s", w->dir, (long long)w->episodes,
                           w->fields[i].name, f == NULL ? "not given" : "of another kind");
        }
    }
    for (int i = 0; ep->provenance != NULL && i < ep->provenance->n_fields; i++) {
        bool known = false;
        for (int k = 0; k < w->n_fields; k++) {
            known = known || strcmp(w->fields[k].name, ep->provenance->fields[i].name) == 0;
        }
        if (!known) {
            return fw_fail(err, FW_INVALID, "%s: ep %lld: field '%s' is not a field of this dataset", w->dir,
                           (long long)w->episodes, ep->provenance->fields[i].name);
        }
    }
    return FW_OK;
}

static fw_status check_episode(const fw_writer *w, const fw_writer_episode *ep, fw_err *err) {
    if (ep->length < 1 || ep->length > 10000000 || ep->state == NULL || ep->action == NULL || ep->sentence == NULL ||
        ep->sentence[0] == 0) {
        return fw_fail(err, FW_INVALID, "%s: ep %lld: wanted frames, state, action and a sentence, found %lld frames",
                       w->dir, (long long)w->episodes, (long long)ep->length);
    }
    for (int c = 0; c < w->d.n_cameras && ep->image == NULL; c++) {
        if (ep->images[c] == NULL) {
            return fw_fail(err, FW_INVALID, "%s: ep %lld: no images of %s", w->dir, (long long)w->episodes,
                           w->features[F_CAMERA + c].key);
        }
    }
    FW_TRY(check_marks(w, ep, err));
    const float *v[2] = {ep->state, ep->action};
    for (int f = F_STATE; f <= F_ACTION; f++) {
        int64_t n = w->features[f].size;
        for (int64_t i = 0; i < ep->length * n; i++) {
            if (!isfinite(v[f][i])) {
                return fw_fail(err, FW_FORMAT, "%s: ep %lld: frame %lld: %s[%lld] %s is %g, wanted a finite number",
                               w->dir, (long long)w->episodes, (long long)(i / n), w->features[f].key,
                               (long long)(i % n), w->features[f].names[i % n], (double)v[f][i]);
            }
        }
    }
    return FW_OK;
}

/* Column of the mark among the rows' columns; -1: the dataset has none. */
static int mark_column(const fw_writer *w, unsigned bit) {
    int col = 7; /* state, action, and the five */
    for (int i = 0; i < STORE_MARKS; i++) {
        if (store_marks[i].bit == bit) {
            return (w->d.marks & bit) != 0 ? col : -1;
        }
        col += (w->d.marks & store_marks[i].bit) != 0;
    }
    return -1;
}

static fw_status write_marks(fw_writer *w, const fw_writer_episode *ep, fw_err *err) {
    const fw_marks *m = &ep->marks;
    int hand = mark_column(w, FW_MARK_INTERVENTION), label = mark_column(w, FW_MARK_ADVANTAGE),
        sub = mark_column(w, FW_MARK_SUBTASK), clock = mark_column(w, FW_MARK_CAPTURE);
    int64_t zeros[1 + FW_MAX_CAMERAS] = {0}, n_clocks = 1 + w->d.n_cameras;
    for (int64_t i = 0; i < ep->length; i++) {
        int64_t on = m->intervention != NULL && m->intervention[i] != 0;
        float advantage = m->advantage != NULL ? m->advantage[i] : NAN;
        if (hand >= 0) {
            fw_table_push_i64(&w->rows, hand, &on, 1);
        }
        if (label >= 0) {
            fw_table_push_f32(&w->rows, label, &advantage, 1);
        }
        if (sub >= 0) {
            const char *text = m->subtask != NULL && m->subtask[i] >= 0 ? m->subtasks[m->subtask[i]] : "";
            int64_t at = intern(w->dir, &w->subtasks, &w->n_subtasks, text, err);
            if (at < 0) {
                return FW_NOMEM;
            }
            fw_table_push_i64(&w->rows, sub, &at, 1);
        }
        if (clock >= 0) {
            fw_table_push_i64(&w->rows, clock, m->capture_ns != NULL ? m->capture_ns + i * n_clocks : zeros, n_clocks);
        }
    }
    return FW_OK;
}

static fw_status write_rows(fw_writer *w, const fw_writer_episode *ep, int64_t task, fw_err *err) {
    fw_table *t = &w->rows;
    fw_table_empty(t);
    fw_table_push_f32(t, 0, ep->state, ep->length * w->d.n_state);
    fw_table_push_f32(t, 1, ep->action, ep->length * w->d.n_action);
    for (int64_t i = 0; i < ep->length; i++) {
        float time = (float)((double)i / w->d.fps);
        int64_t index[4] = {i, w->episodes, w->frames + i, task};
        fw_table_push_f32(t, 2, &time, 1);
        for (int k = 0; k < 4; k++) {
            fw_table_push_i64(t, 3 + k, &index[k], 1);
        }
    }
    FW_TRY(write_marks(w, ep, err));
    t->rows = ep->length;
    return fw_table_writer_add(w->data, t, err);
}

typedef struct image_source {
    const fw_writer *w;
    const fw_writer_episode *ep;
    int c;
} image_source;

static fw_status image_of(void *ctx, int64_t t, const uint8_t **rgb, fw_err *err) {
    const image_source *s = ctx;
    if (s->ep->image != NULL) {
        return s->ep->image(s->ep->image_ctx, s->c, t, rgb, err);
    }
    *rgb = s->ep->images[s->c] + (size_t)t * (size_t)s->w->d.cameras[s->c].h * (size_t)s->w->d.cameras[s->c].w * 3;
    return FW_OK;
}

static fw_status push_stats(fw_writer *w, const fw_writer_episode *ep, int feature, int *col, fw_err *err) {
    const fw_feature *f = &w->features[feature];
    bool image = strcmp(f->dtype, "video") == 0;
    store_stats s = {0};
    fw_status st;
    if (image) {
        int c = feature - F_CAMERA;
        st = store_image_stats(image_of, &(image_source){w, ep, c}, ep->length, w->d.cameras[c].h, w->d.cameras[c].w,
                               &s, err);
        st = st == FW_OK ? store_total_push_image(&w->total, f->key, &s, err) : st;
    } else {
        st = store_stats_column(fw_table_find(&w->rows, f->key), 0, ep->length, &s, err);
    }
    for (int k = 0; k < STORE_STATS && st == FW_OK; k++) {
        fw_table_push_f64(&w->eps, (*col)++, s.value + k * s.n, s.n);
    }
    if (st == FW_OK) {
        fw_table_push_i64(&w->eps, (*col)++, &s.count, 1);
    }
    store_stats_clear(&s);
    return st;
}

static void push_provenance(fw_writer *w, const fw_provenance *given, int *col) {
    fw_provenance unknown = FW_PROVENANCE_UNKNOWN;
    const fw_provenance *p = given != NULL ? given : &unknown;
    if (w->provenance) {
        store_push_provenance(&w->eps, p, col);
    }
    for (int i = 0; i < w->n_fields; i++, ++*col) {
        const fw_field *f = store_field(p, w->fields[i].name);
        const char *text = f != NULL && f->text != NULL ? f->text : "";
        double real = f != NULL ? f->real : (double)NAN;
        if (w->fields[i].kind == FW_FIELD_TEXT) {
            fw_table_push_str(&w->eps, *col, &text, 1);
        } else if (w->fields[i].kind == FW_FIELD_REAL) {
            fw_table_push_f64(&w->eps, *col, &real, 1);
        } else {
            fw_table_push_i64(&w->eps, *col, &f->i, 1); /* check_marks saw that it is there */
        }
    }
}

static fw_status push_episode(fw_writer *w, const fw_writer_episode *ep, fw_err *err) {
    fw_table *t = &w->eps;
    int col = 0;
    int64_t chunk = w->file / STORE_CHUNK_SIZE, file = w->file % STORE_CHUNK_SIZE;
    const int64_t index[] = {ep->length, chunk, file, w->frames, w->frames + ep->length};
    fw_table_push_i64(t, col++, &w->episodes, 1);
    fw_table_push_str(t, col++, &ep->sentence, 1);
    for (int i = 0; i < 5; i++) {
        fw_table_push_i64(t, col++, &index[i], 1);
    }
    double from = (double)w->seg_frames / w->d.fps, to = (double)(w->seg_frames + ep->length) / w->d.fps;
    for (int c = 0; c < w->d.n_cameras; c++) {
        fw_table_push_i64(t, col++, &chunk, 1);
        fw_table_push_i64(t, col++, &file, 1);
        fw_table_push_f64(t, col++, &from, 1);
        fw_table_push_f64(t, col++, &to, 1);
    }
    push_provenance(w, ep->provenance, &col);
    FW_TRY(store_total_push_rows(&w->total, w->dir, &w->rows, 0, w->rows.rows, err));
    for (int i = 0; i < w->n_features; i++) {
        FW_TRY(push_stats(w, ep, i, &col, err));
    }
    fw_table_push_i64(t, col++, &chunk, 1);
    fw_table_push_i64(t, col++, &file, 1);
    t->rows++;
    return FW_OK;
}

static fw_status write_frames(fw_writer *w, const fw_writer_episode *ep, fw_err *err) {
    for (int c = 0; c < w->d.n_cameras; c++) {
        image_source from = {w, ep, c};
        const uint8_t *rgb;
        for (int64_t i = 0; i < ep->length; i++) {
            FW_TRY(image_of(&from, i, &rgb, err));
            FW_TRY(fw_video_writer_add(w->video[c], rgb, i == 0, err));
        }
    }
    return FW_OK;
}

static bool segment_full(const fw_writer *w) {
    int64_t video = 0;
    for (int c = 0; c < w->d.n_cameras; c++) {
        int64_t b = fw_video_writer_bytes(w->video[c]);
        video = b > video ? b : video;
    }
    return w->seg_episodes >= w->d.seal_every || video >= (int64_t)w->d.video_mb << 20 ||
           fw_table_writer_bytes(w->data) >= (int64_t)w->d.data_mb << 20;
}

fw_status fw_writer_add_episode(fw_writer *w, const fw_writer_episode *ep, fw_err *err) {
    if (w->broken) {
        return fw_fail(err, FW_IO, "%s: an earlier write failed; abort and open again", w->dir);
    }
    FW_TRY(check_episode(w, ep, err));
    int task = find_task(w, ep->sentence, err);
    if (task < 0) {
        return FW_NOMEM;
    }
    w->broken = true; /* until all of it is written */
    if (w->data == NULL) {
        FW_TRY(open_segment(w, err));
    }
    FW_TRY(write_frames(w, ep, err));
    FW_TRY(write_rows(w, ep, task, err));
    FW_TRY(push_episode(w, ep, err));
    w->broken = false;
    w->episodes++;
    w->frames += ep->length;
    w->seg_episodes++;
    w->seg_frames += ep->length;
    return segment_full(w) ? fw_writer_seal(w, err) : FW_OK;
}

int64_t fw_writer_episodes(const fw_writer *w) {
    return w->episodes;
}

int64_t fw_writer_frames(const fw_writer *w) {
    return w->frames;
}

int64_t fw_writer_sealed(const fw_writer *w) {
    return w->sealed_episodes;
}

unsigned fw_writer_marks(const fw_writer *w) {
    return w->d.marks;
}

bool fw_writer_has_field(const fw_writer *w, const char *name) {
    for (int i = 0; i < w->n_fields; i++) {
        if (strcmp(w->fields[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* --- sealing --- */

/* Complete the staged files: after this they are whole and on disk. */
static fw_status finish_staged(fw_writer *w, fw_err *err) {
    char path[STORE_PATH];
    fw_table_writer *data = w->data;
    w->data = NULL;
    FW_TRY(fw_table_writer_close(data, err));
    for (int c = 0; c < w->d.n_cameras; c++) {
        fw_video_writer *v = w->video[c];
        w->video[c] = NULL;
        FW_TRY(fw_video_writer_close(v, err));
    }
    FW_TRY(staged(w, "episodes.parquet", path, err));
    return fw_table_write(path, &w->eps, 10, NULL, 0, err);
}

/* Put the summary down when as many bytes of rows came since as it has itself: what is written for it, and what the next open
 * has to read, is then never more than a fixed multiple of the rows. It only saves reading: a failure is no loss. */
static void save_summary(fw_writer *w) {
    if (w->unsummed_bytes >= w->summary_bytes &&
        store_total_save(&w->total, w->dir, &w->summary_bytes, NULL) == FW_OK) {
        w->unsummed_bytes = 0;
    }
}

static fw_status move_staged(fw_writer *w, fw_err *err) {
    char from[STORE_PATH], to[STORE_PATH], name[32];
    FW_TRY(staged(w, "data.parquet", from, err));
    FW_TRY(store_file(w->dir, "data", w->file, to, err));
    FW_TRY(store_move(from, to, err));
    for (int c = 0; c < w->d.n_cameras; c++) {
        camera_file(c, name);
        FW_TRY(staged(w, name, from, err));
        FW_TRY(store_file(w->dir, w->features[F_CAMERA + c].key, w->file, to, err));
        FW_TRY(store_move(from, to, err));
    }
    FW_TRY(staged(w, "episodes.parquet", from, err));
    FW_TRY(store_file(w->dir, "meta/episodes", w->file, to, err));
    return store_move(from, to, err);
}

fw_status fw_writer_seal(fw_writer *w, fw_err *err) {
    if (w->broken) {
        return fw_fail(err, FW_IO, "%s: an earlier write failed; what was sealed before is intact (%lld episodes)",
                       w->dir, (long long)w->sealed_episodes);
    }
    if (w->seg_episodes == 0) {
        return FW_OK;
    }
    w->broken = true;
    w->unsummed_bytes += fw_table_writer_bytes(w->data);
    FW_TRY(finish_staged(w, err));
    FW_TRY(move_staged(w, err));
    FW_TRY(store_write_tasks(w->dir, (const char *const *)w->tasks, w->n_tasks, err));
    if ((w->d.marks & FW_MARK_SUBTASK) != 0) {
        FW_TRY(store_write_subtasks(w->dir, (const char *const *)w->subtasks, w->n_subtasks, err));
    }
    FW_TRY(store_write_stats(w->dir, &w->total, err));
    FW_TRY(store_write_info(w->dir, w->info, w->episodes, w->frames, w->n_tasks, err));
    w->broken = false;
    w->sealed_episodes = w->episodes;
    w->sealed_frames = w->frames;
    w->file++;
    drop_segment(w);
    save_summary(w);
    return FW_OK;
}

fw_status fw_writer_close(fw_writer *w, fw_err *err) {
    fw_status st = fw_writer_seal(w, err);
    if (st == FW_OK && w->sealed_episodes == 0) {
        st = fw_fail(err, FW_INVALID, "%s: a dataset without episodes", w->dir);
    }
    fw_writer_abort(w);
    return st;
}

/* The folder itself stays while nothing is sealed: it marks the dataset's folder as ours to begin again in. */
static void clear_staging(const fw_writer *w) {
    char path[STORE_PATH], name[32];
    if (w->sealed_episodes > 0) {
        (void)!fw_remove_tree(w->staging, NULL);
        return;
    }
    for (int c = -2; c < w->d.n_cameras; c++) {
        camera_file(c, name);
        if (staged(w, c == -2 ? "data.parquet" : c == -1 ? "episodes.parquet" : name, path, NULL) == FW_OK) {
            (void)unlink(path);
        }
    }
}

void fw_writer_abort(fw_writer *w) {
    if (w == NULL) {
        return;
    }
    drop_segment(w);
    if (w->lock >= 0) { /* only the holder of the lock may clear the staging folder */
        clear_staging(w);
        close(w->lock);
    }
    fw_table_clear(&w->rows);
    fw_table_clear(&w->eps);
    store_total_clear(&w->total);
    json_decref(w->info);
    for (int i = 0; w->features != NULL && i < w->n_features; i++) {
        free(w->features[i].key);
        free(w->features[i].dtype);
        for (int k = 0; k < w->features[i].n_names; k++) {
            free(w->features[i].names[k]);
        }
        free(w->features[i].names);
    }
    for (int i = 0; i < w->n_tasks; i++) {
        free(w->tasks[i]);
    }
    for (int i = 0; i < w->n_subtasks; i++) {
        free(w->subtasks[i]);
    }
    for (int i = 0; i < w->n_fields; i++) {
        free((char *)(uintptr_t)w->fields[i].name);
    }
    free(w->fields);
    free(w->subtasks);
    free(w->tasks);
    free(w->features);
    free(w->staging);
    free(w->dir);
    free(w);
}
