/*
 * check.c - everything about a dataset that can be wrong and that can be seen without decoding pixels (see dataset.h).
 *
 * Findings are collected, never fatal: one bad file must not hide the next. At most a few findings of a kind are kept for
 * each episode and feature, so that a broken column does not bury the rest.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/check_int.h"
#include "data/deleted.h"
#include "data/rebuild.h"
#include "data/recorder.h"
#include "data/store_int.h"

#define found check_found

void fw_findings_clear(fw_findings *f) {
    for (int64_t i = 0; i < f->n; i++) {
        free(f->item[i].file);
        free(f->item[i].text);
    }
    free(f->item);
    *f = (fw_findings){0};
}

void check_found(checker *c, const char *kind, const char *file, int64_t ep, int64_t frame, bool repairable,
                 const char *fmt, ...) {
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fw_findings *f = c->out;
    if (f->n == f->cap) {
        int64_t cap = f->cap > 0 ? 2 * f->cap : 16;
        fw_finding *more = realloc(f->item, (size_t)cap * sizeof(*more));
        if (more == NULL) {
            c->nomem = true;
            return;
        }
        f->item = more;
        f->cap = cap;
    }
    fw_finding *x = &f->item[f->n];
    *x = (fw_finding){.episode = ep, .frame = frame, .repairable = repairable && !c->uncounted};
    snprintf(x->kind, sizeof(x->kind), "%s", kind);
    x->file = strdup(c->ds != NULL ? fw_dataset_rel(c->ds, file) : file);
    x->text = strdup(text);
    if (x->file == NULL || x->text == NULL) {
        free(x->file);
        free(x->text);
        c->nomem = true;
        return;
    }
    f->n++;
}

const char *check_without(const char *path, const char *msg) {
    size_t n = strlen(path);
    return strncmp(msg, path, n) == 0 && strncmp(msg + n, ": ", 2) == 0 ? msg + n + 2 : msg;
}

/* --- info.json --- */

static void check_count(checker *c, const json_t *info, const char *key, int64_t want) {
    const json_t *j = json_object_get(info, key);
    if (json_is_integer(j) && json_integer_value(j) != want) {
        found(c, "totals", "meta/info.json", -1, -1, true, "%s is %lld, wanted %lld", key,
              (long long)json_integer_value(j), (long long)want);
    }
}

/* What info.json counts, against the tables. total_episodes decides what exists: it is never wrong by itself. */
static void check_totals(checker *c) {
    const fw_dataset *ds = c->ds;
    char path[STORE_PATH];
    json_t *info = NULL;
    if (fw_path_join(path, sizeof(path), ds->dir, "meta/info.json", NULL) != FW_OK ||
        fw_json_load(path, &info, NULL) != FW_OK) {
        return; /* it has just been read */
    }
    int64_t chunk = json_integer_value(json_object_get(info, "chunks_size"));
    check_count(c, info, "total_frames", ds->n_frames);
    check_count(c, info, "total_tasks", ds->n_tasks);
    if (ds->version == 21) {
        check_count(c, info, "total_videos", ds->n_episodes * fw_dataset_videos(ds));
        check_count(c, info, "total_chunks", chunk > 0 ? (ds->n_episodes + chunk - 1) / chunk : 0);
    }
    json_decref(info);
}

/* --- rows --- */

/* The column, or a finding. */
static const fw_column *want_column(checker *c, const fw_table *t, const char *file, const char *name, int64_t width) {
    const fw_column *col = fw_table_find(t, name);
    if (col == NULL || col->type == FW_COL_STR) {
        found(c, "missing_column", file, -1, -1, false, "wanted a number column '%s'", name);
        return NULL;
    }
    for (int64_t r = 0; col->width != width && r < t->rows; r++) {
        int64_t first, n;
        fw_column_row(col, r, &first, &n);
        if (n != width) {
            found(c, "shape", file, -1, r, false, "row %lld: %s has %lld values, info.json wants %lld", (long long)r,
                  name, (long long)n, (long long)width);
            return NULL;
        }
    }
    return col;
}

static void check_finite(checker *c, const fw_table *t, const char *file, const fw_feature *f,
                         const fw_episode_info *e) {
    const fw_column *col = fw_table_find(t, f->key);
    for (int64_t i = 0; i < e->length * f->size; i++) {
        double v = fw_column_f64(col, e->data_row * f->size + i);
        if (!isfinite(v)) {
            int64_t dim = i % f->size;
            found(c, "not_finite", file, e->index, i / f->size, false, "%s[%lld]%s%s is %g", f->key, (long long)dim,
                  dim < f->n_names ? " " : "", dim < f->n_names ? f->names[dim] : "", v);
            return; /* one an episode and feature */
        }
    }
}

/* The first row of an integer column that is not what its place says; -1 when there is none. */
static int64_t first_wrong(const fw_column *col, const fw_episode_info *e, int64_t start, int64_t step) {
    for (int64_t i = 0; i < e->length; i++) {
        if (fw_column_i64(col, e->data_row + i) != start + i * step) {
            return i;
        }
    }
    return -1;
}

static void check_index(checker *c, const fw_table *t, const char *file, const char *name, const fw_episode_info *e,
                        int64_t start, int64_t step) {
    const fw_column *col = fw_table_find(t, name);
    int64_t i = first_wrong(col, e, start, step);
    if (i >= 0) {
        found(c, name, file, e->index, i, true, "%s is %lld, wanted %lld", name,
              (long long)fw_column_i64(col, e->data_row + i), (long long)(start + i * step));
    }
}

/* The numbering columns. A row of which both frame_index and episode_index say another place than the metadata is not a slip of one
 * column: it may well be another episode's, and then numbering it anew would hide that. false: so it is. */
static bool check_numbers(checker *c, const fw_table *t, const char *file, const fw_episode_info *e) {
    const fw_column *frame = fw_table_find(t, "frame_index"), *episode = fw_table_find(t, "episode_index");
    for (int64_t i = 0; i < e->length; i++) {
        int64_t f = fw_column_i64(frame, e->data_row + i), ep = fw_column_i64(episode, e->data_row + i);
        if (f != i && ep != e->index) {
            found(c, "length", file, e->index, i, false,
                  "the row there says it is frame %lld of ep %lld: the episode is shorter or longer than its metadata "
                  "say",
                  (long long)f, (long long)ep);
            return false;
        }
    }
    check_index(c, t, file, "frame_index", e, 0, 1);
    check_index(c, t, file, "episode_index", e, e->index, 0);
    check_index(c, t, file, "index", e, e->first, 1);
    return true;
}

static void check_timestamps(checker *c, const fw_table *t, const char *file, const fw_episode_info *e) {
    const fw_column *col = fw_table_find(t, "timestamp");
    double worst = 0.0, last = -INFINITY;
    int64_t at = 0;
    for (int64_t i = 0; i < e->length; i++) {
        double v = fw_column_f64(col, e->data_row + i), d = fabs(v - (double)i / c->ds->fps);
        if (!isfinite(v) || v <= last) {
            found(c, "timestamp_order", file, e->index, i, true, "timestamp is %.4f s after %.4f s", v, last);
            return;
        }
        last = v;
        at = d > worst ? i : at;
        worst = d > worst ? d : worst;
    }
    if (worst > c->tolerance_s) {
        found(c, "timestamp", file, e->index, at, true,
              "timestamps stray up to %.4f s from frame/fps, tolerance %.4f s", worst, c->tolerance_s);
    }
}

/* Sentences that the metadata of the episode name and nobody knows. */
static void check_sentences(checker *c, const fw_episode_info *e) {
    for (int k = 0; k < e->n_tasks; k++) {
        bool known = false;
        for (int i = 0; i < c->ds->n_tasks && !known; i++) {
            known = strcmp(e->tasks[k], c->ds->tasks[i]) == 0;
        }
        if (!known) {
            found(c, "task_index", "meta", e->index, -1, false, "its sentence '%.80s' is not among the %d tasks",
                  e->tasks[k], c->ds->n_tasks);
        }
    }
}

static void check_tasks(checker *c, const fw_table *t, const char *file, const fw_episode_info *e) {
    const fw_column *col = fw_table_find(t, "task_index");
    for (int64_t i = 0; i < e->length; i++) {
        int64_t v = fw_column_i64(col, e->data_row + i);
        bool known = false;
        for (int k = 0; v >= 0 && v < c->ds->n_tasks && k < e->n_tasks; k++) {
            known = known || strcmp(e->tasks[k], c->ds->tasks[v]) == 0;
        }
        if (!known) {
            found(c, "task_index", file, e->index, i, false,
                  "task_index %lld is not among the episode's tasks (%d tasks in all)", (long long)v, c->ds->n_tasks);
            return;
        }
    }
}

/* --- the columns of a data file --- */

/* "float32" for Arrow's "f"; NULL: no number. */
static const char *dtype_of(const struct ArrowSchema *s) {
    static const char *const name[][2] = {{"f", "float32"}, {"g", "float64"}, {"e", "float16"}, {"c", "int8"},
                                          {"s", "int16"},   {"i", "int32"},   {"l", "int64"},   {"C", "uint8"},
                                          {"S", "uint16"},  {"I", "uint32"},  {"L", "uint64"},  {"b", "bool"},
                                          {"u", "string"},  {"U", "string"}};
    while (s->format[0] == '+' && s->n_children == 1) {
        s = s->children[0];
    }
    for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
        if (strcmp(s->format, name[i][0]) == 0) {
            return name[i][1];
        }
    }
    return NULL;
}

/* The features that have a column, and whether it is of the declared type. false: one is missing or holds no numbers. */
static bool check_columns(checker *c, const char *file, const struct ArrowSchema *schema) {
    bool usable = true;
    for (int f = 0; f < c->ds->n_features; f++) {
        const fw_feature *want = &c->ds->features[f];
        const struct ArrowSchema *col = NULL;
        if (strcmp(want->dtype, "video") == 0) {
            continue;
        }
        for (int64_t i = 0; i < schema->n_children; i++) {
            col = strcmp(schema->children[i]->name, want->key) == 0 ? schema->children[i] : col;
        }
        bool plain = strcmp(want->dtype, "image") != 0 && strcmp(want->dtype, "language") != 0;
        const char *is = col != NULL && plain ? dtype_of(col) : want->dtype;
        if (col == NULL) {
            found(c, "missing_column", file, -1, -1, false, "no column '%s', which info.json declares", want->key);
            usable = false;
        } else if (is == NULL || strcmp(is, want->dtype) != 0) {
            found(c, "dtype", file, -1, -1, false, "%s is of type %s, info.json says %s", want->key,
                  is != NULL ? is : col->format, want->dtype);
            bool text = is == NULL || strcmp(is, "string") == 0;
            usable = usable && (!text || strcmp(want->dtype, "string") == 0);
        }
    }
    return usable;
}

static fw_status check_schema(checker *c, const char *file, bool *usable, fw_err *err) {
    fw_pq_reader *r;
    struct ArrowSchema schema = {0};
    FW_TRY(fw_pq_open(file, &r, err));
    fw_status st = fw_pq_schema(r, &schema, err);
    if (st == FW_OK) {
        *usable = check_columns(c, file, &schema);
        schema.release(&schema);
    }
    fw_pq_close(r);
    return st;
}

/* Load the columns that reading needs, of the data file of episode e; false: said why not. */
static bool check_file(checker *c, const fw_episode_info *e) {
    fw_dataset *ds = c->ds;
    const char *file = ds->data_files[e->data_file];
    const fw_table *t;
    fw_err why;
    bool usable = false;
    if (!fw_path_exists(file)) {
        found(c, "missing_file", file, e->index, -1, false, "there is no such file");
        return false;
    }
    fw_status st = check_schema(c, file, &usable, &why);
    st = st == FW_OK && usable ? fw_dataset_table(ds, e->data_file, &t, &why) : st;
    if (st != FW_OK) {
        found(c, "damaged_file", file, e->index, -1, false, "%s", check_without(file, why.msg));
    }
    if (st != FW_OK || !usable) {
        return false;
    }
    static const char *const scalar[] = {"timestamp", "frame_index", "episode_index", "index", "task_index"};
    for (size_t k = 0; k < sizeof(scalar) / sizeof(*scalar); k++) {
        usable = want_column(c, t, file, scalar[k], 1) != NULL && usable;
    }
    usable = (ds->state == NULL || want_column(c, t, file, ds->state->key, ds->n_state) != NULL) && usable;
    return (ds->action == NULL || want_column(c, t, file, ds->action->key, ds->n_action) != NULL) && usable;
}

/* Episodes follow each other without gap or overlap, in each file and in the whole. *end: the row after the last one in this file. */
static bool check_place(checker *c, const char *file, int64_t rows, int64_t ep, int64_t *end) {
    const fw_dataset *ds = c->ds;
    const fw_episode_info *i = &ds->episodes[ep];
    bool last = ep + 1 == ds->n_episodes || ds->episodes[ep + 1].data_file != i->data_file, ok = true;
    if (rows < i->data_row + i->length || (last && rows != i->data_row + i->length)) {
        found(c, "length", file, i->index, -1, false, "wanted %lld rows from row %lld, the file has %lld",
              (long long)i->length, (long long)i->data_row, (long long)rows);
        ok = rows >= i->data_row + i->length; /* more rows than are counted: its own can be looked at */
    }
    if (i->data_row != *end) {
        found(c, "length", file, i->index, -1, false, "its rows begin at row %lld, the episode before ends at row %lld",
              (long long)i->data_row, (long long)*end);
        ok = false;
    } else if (ds->priv->from != NULL && ds->priv->from[ep] != i->first) {
        found(c, "episode_rows", "meta/episodes", i->index, -1, true, "dataset_from_index is %lld, wanted %lld",
              (long long)ds->priv->from[ep], (long long)i->first);
    }
    *end = i->data_row + i->length;
    return ok;
}

static void check_rows(checker *c) {
    fw_dataset *ds = c->ds;
    int file = -1;
    bool usable = false;
    int64_t end = 0;
    check_begin(c, "episodes' rows checked", ds->n_episodes);
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        const fw_episode_info *i = &ds->episodes[e];
        check_step(c, e);
        const char *path = ds->data_files[i->data_file];
        const fw_table *t = &ds->priv->table;
        check_sentences(c, i);
        if (i->data_file != file) { /* once a file */
            file = i->data_file;
            end = 0;
            usable = check_file(c, i);
        }
        if (!usable || !check_place(c, path, t->rows, e, &end) || !check_numbers(c, t, path, i)) {
            continue;
        }
        check_timestamps(c, t, path, i);
        check_tasks(c, t, path, i);
        if (ds->state != NULL) {
            check_finite(c, t, path, ds->state, i);
        }
        if (ds->action != NULL) {
            check_finite(c, t, path, ds->action, i);
        }
    }
    check_step(c, ds->n_episodes);
    check_end(c);
}

/* A table with more episodes than are counted: what of it exists is not for us to say. (Whole files that are not counted are what a
 * writer that died leaves, and count for nothing.) */
static void check_uncounted(checker *c) {
    char **paths = NULL;
    size_t n = 0;
    fw_err why;
    if (c->ds->version != 30 || store_episode_files(c->ds->dir, c->ds->n_episodes, &paths, &n, &why) == FW_OK) {
        fw_names_free(paths, n);
        return;
    }
    c->uncounted = true;
    found(c, "metadata", "meta/episodes", -1, -1, false, "%s", why.msg);
}

/* Recordings that are acknowledged and not yet in the dataset. */
static void check_recordings(checker *c, const char *dir) {
    int64_t files = 0;
    if (fw_recorder_waiting(dir, &files, NULL) == FW_OK && files > 0) {
        found(c, "recording", ".recorder", -1, -1, true, "%lld file%s of recordings that are not in the dataset yet",
              (long long)files, files == 1 ? "" : "s");
    }
}

/* A repair or deletion that was killed after the exchange. */
static void check_unfinished(checker *c, const char *dir) {
    if (fw_rebuild_unfinished(dir)) {
        found(c, "unfinished", "", -1, -1, true, "a deletion was interrupted: what went still lies beside the folder");
    }
}

/* Whether episode e falls under a rule by what was recorded. One that cannot be read is said elsewhere. */
static bool rows_deleted(checker *c, const fw_deleted *d, int64_t e) {
    fw_episode ep;
    if (fw_dataset_read_episode(c->ds, e, &ep, NULL) != FW_OK) {
        return false;
    }
    bool gone = fw_deleted_refuse_rows(d, c->ds->dir, c->ds->episodes[e].index, ep.state, ep.action, ep.length,
                                       ep.n_state, ep.n_action, NULL) != FW_OK;
    fw_episode_clear(&ep);
    return gone;
}

/* Episodes that were deleted, or are of a home that was, which came back. */
static void check_deleted(checker *c) {
    const fw_dataset *ds = c->ds;
    fw_deleted *d;
    fw_err why;
    if (fw_deleted_new(&d, &why) != FW_OK) {
        c->nomem = true;
        return;
    }
    if (fw_deleted_load(d, ds->dir, &why) != FW_OK) {
        found(c, "metadata", FW_DELETED_FILE, -1, -1, false, "%s", why.msg);
    }
    for (int64_t e = 0; e < ds->n_episodes && fw_deleted_rules(d) > 0; e++) {
        const char *home = fw_dataset_provenance(ds, e).home, *rule = home != NULL ? fw_deleted_home(d, home) : NULL;
        if (rule != NULL) {
            found(c, "deleted", FW_DELETED_FILE, ds->episodes[e].index, -1, false,
                  "its home was deleted (rule %s): run data delete again", rule);
        } else if (rows_deleted(c, d, e)) {
            found(c, "deleted", FW_DELETED_FILE, ds->episodes[e].index, -1, false,
                  "its rows were deleted: run data delete --episodes %lld", (long long)e);
        }
    }
    fw_deleted_free(d);
}

void check_begin(checker *c, const char *what, int64_t n) {
    if (c->progress) {
        fw_progress_start(&c->bar, what, (uint64_t)n);
    }
}

void check_step(checker *c, int64_t done) {
    if (c->progress) {
        fw_progress_update(&c->bar, (uint64_t)done, NULL);
    }
}

void check_end(checker *c) {
    if (c->progress) {
        fw_progress_end(&c->bar);
    }
}

/* The dataset does not open: msg begins with the file at fault, "DIR/meta/info.json: total_frames is ..." */
static void found_metadata(checker *c, const char *dir, const char *msg) {
    char file[4096] = "meta";
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/') {
        n--;
    }
    const char *end = strstr(msg, ": ");
    if (end != NULL && strncmp(msg, dir, n) == 0 && msg[n] == '/') {
        snprintf(file, sizeof(file), "%.*s", (int)(end - msg - (ptrdiff_t)n - 1), msg + n + 1);
        msg = end + 2;
    }
    found(c, "metadata", file, -1, -1, false, "%s", msg);
}

fw_status fw_dataset_check(const char *dir, const fw_check_opts *opts, fw_findings *out, fw_err *err) {
    checker c = {.out = out, .progress = opts != NULL && opts->progress};
    double tolerance_s = opts != NULL ? opts->tolerance_s : 0.0;
    fw_err why;
    *out = (fw_findings){0};
    fw_status st = fw_dataset_open_miscounted(dir, &c.ds, &why);
    if (st == FW_NOMEM || (st == FW_IO && !fw_path_is_dir(dir))) {
        return fw_fail(err, st, "%s", why.msg);
    }
    check_recordings(&c, dir);
    check_unfinished(&c, dir);
    if (st != FW_OK) { /* no struct to go on with: this is the finding */
        found_metadata(&c, dir, why.msg);
        return c.nomem ? fw_fail(err, FW_NOMEM, "%s: findings", dir) : FW_OK;
    }
    c.tolerance_s = tolerance_s > 0.0 ? tolerance_s : 1.1 / c.ds->fps;
    check_uncounted(&c);
    check_totals(&c);
    check_deleted(&c);
    check_rows(&c);
    st = check_videos(&c, err);
    st = st == FW_OK ? check_statistics(&c, err) : st;
    fw_dataset_close(c.ds);
    if (st == FW_OK && c.nomem) {
        st = fw_fail(err, FW_NOMEM, "%s: findings", dir);
    }
    if (st != FW_OK) {
        fw_findings_clear(out);
    }
    return st;
}
