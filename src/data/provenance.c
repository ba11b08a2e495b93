/* provenance.c - provenance.h on disk: the names and types of its columns, writing a row of them, reading them back. */
#include "data/provenance.h"

#include <stdlib.h>
#include <string.h>

#include "data/dataset_int.h"
#include "data/store_int.h"

static const char *const source_names[] = {"", "teleop", "expert", "autonomous", "intervention"};

const char *fw_source_name(fw_source s) {
    return source_names[s];
}

fw_source fw_source_of(const char *name) {
    for (int i = FW_SOURCE_INTERVENTION; i > 0; i--) {
        if (strcmp(name, source_names[i]) == 0) {
            return (fw_source)i;
        }
    }
    return FW_SOURCE_UNKNOWN;
}

const store_mark store_marks[STORE_MARKS] = {{FW_MARK_INTERVENTION, "intervention", "bool"},
                                             {FW_MARK_ADVANTAGE, "advantage", "float32"},
                                             {FW_MARK_SUBTASK, "subtask_index", "int64"},
                                             {FW_MARK_CAPTURE, "capture_ns", "int64"}};

/* --- writing --- */

enum { N_TEXT = 5, N_REAL = 2 };
static const char *const text_names[N_TEXT] = {"source", "policy_id", "control_mode", "consent", "home"};
static const char *const real_names[N_REAL] = {"quality", "speed"};

bool store_is_provenance(const char *name) {
    bool is = strcmp(name, "success") == 0;
    for (int i = 0; i < N_TEXT; i++) {
        is = is || strcmp(name, text_names[i]) == 0;
    }
    for (int i = 0; i < N_REAL; i++) {
        is = is || strcmp(name, real_names[i]) == 0;
    }
    return is;
}

static void add_column(fw_table *t, const char *name, fw_coltype type) {
    char full[64];
    snprintf(full, sizeof(full), STORE_PROVENANCE "%s", name);
    fw_table_add_column(t, full, type, 0, 1);
}

void store_provenance_columns(fw_table *t) {
    for (int i = 0; i < N_TEXT; i++) {
        add_column(t, text_names[i], FW_COL_STR);
    }
    for (int i = 0; i < N_REAL; i++) {
        add_column(t, real_names[i], FW_COL_F64);
    }
    add_column(t, "success", FW_COL_I64);
}

void store_push_provenance(fw_table *t, const fw_provenance *p, int *col) {
    const char *const text[N_TEXT] = {fw_source_name(p->source), p->policy_id, p->control_mode, p->consent, p->home};
    const double real[N_REAL] = {p->quality, p->speed};
    int64_t success = p->success > 0 ? 1 : p->success;
    for (int i = 0; i < N_TEXT; i++) {
        const char *v = text[i] != NULL ? text[i] : "";
        fw_table_push_str(t, (*col)++, &v, 1);
    }
    for (int i = 0; i < N_REAL; i++) {
        fw_table_push_f64(t, (*col)++, &real[i], 1);
    }
    fw_table_push_i64(t, (*col)++, &success, 1);
}

const fw_field *store_field(const fw_provenance *p, const char *name) {
    for (int i = 0; i < p->n_fields; i++) {
        if (strcmp(p->fields[i].name, name) == 0) {
            return &p->fields[i];
        }
    }
    return NULL;
}

/* --- reading --- */

/* Column `name` or "provenance/name" of the episodes' fields. */
static const fw_column *field_column(const fw_dataset *ds, const char *name) {
    char full[512];
    snprintf(full, sizeof(full), STORE_PROVENANCE "%s", name);
    const fw_column *c = fw_table_find(&ds->priv->fields, name);
    c = c != NULL ? c : fw_table_find(&ds->priv->fields, full);
    return c != NULL && c->depth == 0 ? c : NULL;
}

bool fw_dataset_field_text(const fw_dataset *ds, int64_t ep, const char *name, const char **text) {
    const fw_column *c = field_column(ds, name);
    bool is = c != NULL && c->type == FW_COL_STR;
    *text = is ? c->str[ep] : "";
    return is;
}

bool fw_dataset_field_number(const fw_dataset *ds, int64_t ep, const char *name, double *number) {
    const fw_column *c = field_column(ds, name);
    bool is = c != NULL && c->type != FW_COL_STR;
    *number = is ? fw_column_f64(c, ep) : (double)NAN;
    return is;
}

bool fw_dataset_field_int(const fw_dataset *ds, int64_t ep, const char *name, int64_t *number) {
    const fw_column *c = field_column(ds, name);
    bool is = c != NULL && c->type == FW_COL_I64;
    *number = is ? fw_column_i64(c, ep) : 0;
    return is;
}

fw_provenance fw_dataset_provenance(const fw_dataset *ds, int64_t ep) {
    fw_provenance p = FW_PROVENANCE_UNKNOWN;
    const char *source;
    double success;
    (void)fw_dataset_field_text(ds, ep, "source", &source);
    p.source = fw_source_of(source);
    (void)fw_dataset_field_text(ds, ep, "policy_id", &p.policy_id);
    (void)fw_dataset_field_text(ds, ep, "control_mode", &p.control_mode);
    (void)fw_dataset_field_text(ds, ep, "consent", &p.consent);
    (void)fw_dataset_field_text(ds, ep, "home", &p.home);
    (void)fw_dataset_field_number(ds, ep, "quality", &p.quality);
    (void)fw_dataset_field_number(ds, ep, "speed", &p.speed);
    p.success = fw_dataset_field_number(ds, ep, "success", &success) && success >= 0.0 ? success > 0.5 : -1;
    return p;
}

int fw_dataset_fields(const fw_dataset *ds, int64_t ep, fw_field *out, int cap) {
    int n = 0;
    for (int i = 0; i < ds->priv->fields.n_cols; i++) {
        const fw_column *c = &ds->priv->fields.cols[i];
        const char *name = c->name + strlen(STORE_PROVENANCE);
        if (strncmp(c->name, STORE_PROVENANCE, strlen(STORE_PROVENANCE)) != 0 || c->depth != 0 ||
            store_is_provenance(name)) {
            continue;
        }
        if (n < cap) {
            bool text = c->type == FW_COL_STR, real = c->type == FW_COL_F64 || c->type == FW_COL_F32;
            out[n] = (fw_field){.name = name,
                                .kind = text   ? FW_FIELD_TEXT
                                        : real ? FW_FIELD_REAL
                                               : FW_FIELD_INT,
                                .text = text ? c->str[ep] : NULL,
                                .real = real ? fw_column_f64(c, ep) : 0,
                                .i = !text && !real ? fw_column_i64(c, ep) : 0};
        }
        n++;
    }
    return n;
}

/* Rows of column `key` in episode ep. *table: owned. */
static fw_status read_rows(fw_dataset *ds, int64_t ep, const char *key, fw_table *table, const fw_column **out,
                           int64_t *first, fw_err *err) {
    const fw_episode_info *e = &ds->episodes[ep];
    const char *path = ds->data_files[e->data_file];
    FW_TRY(fw_table_read(path, &key, 1, table, err));
    const fw_column *c = &table->cols[0];
    *out = c;
    *first = e->data_row * c->width;
    if (c->type == FW_COL_STR || c->width < 0 || table->rows < e->data_row + e->length) {
        fw_status st =
            fw_fail(err, FW_FORMAT, "%s: ep %lld: column '%s': wanted %lld rows of numbers, found %lld of %s", path,
                    (long long)e->index, key, (long long)(e->data_row + e->length), (long long)table->rows,
                    c->type == FW_COL_STR ? "text" : "another width");
        fw_table_clear(table);
        return st;
    }
    return FW_OK;
}

static fw_status episode_exists(const fw_dataset *ds, int64_t ep, fw_err *err) {
    return ep >= 0 && ep < ds->n_episodes ? FW_OK
                                          : fw_fail(err, FW_INVALID, "%s: no episode %lld, there are %lld", ds->dir,
                                                    (long long)ep, (long long)ds->n_episodes);
}

fw_status fw_dataset_read_column(fw_dataset *ds, int64_t ep, const char *key, double **out, int64_t *width,
                                 fw_err *err) {
    fw_table t;
    const fw_column *c;
    int64_t first;
    *out = NULL;
    FW_TRY(episode_exists(ds, ep, err));
    FW_TRY(read_rows(ds, ep, key, &t, &c, &first, err));
    int64_t n = ds->episodes[ep].length * c->width;
    *width = c->width;
    *out = malloc((size_t)(n + 1) * sizeof(double));
    for (int64_t i = 0; *out != NULL && i < n; i++) {
        (*out)[i] = fw_column_f64(c, first + i);
    }
    fw_table_clear(&t);
    return *out != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s: %s", ds->dir, key);
}

/* One mark's values as its own type: [T, width]. */
static fw_status read_mark(fw_dataset *ds, int64_t ep, const store_mark *mark, int64_t width, void **out, fw_err *err) {
    fw_table t;
    const fw_column *c;
    int64_t first, n = ds->episodes[ep].length * width;
    FW_TRY(read_rows(ds, ep, mark->key, &t, &c, &first, err));
    fw_status st = c->width == width ? FW_OK
                                     : fw_fail(err, FW_SHAPE, "%s: %s has %lld values a row, wanted %lld", ds->dir,
                                               mark->key, (long long)c->width, (long long)width);
    if (st == FW_OK && (*out = malloc((size_t)(n + 1) * sizeof(int64_t))) == NULL) {
        st = fw_fail(err, FW_NOMEM, "%s: %s", ds->dir, mark->key);
    }
    for (int64_t i = 0; i < n && st == FW_OK; i++) {
        if (mark->bit == FW_MARK_INTERVENTION) {
            ((uint8_t *)*out)[i] = fw_column_i64(c, first + i) != 0;
        } else if (mark->bit == FW_MARK_ADVANTAGE) {
            ((float *)*out)[i] = (float)fw_column_f64(c, first + i);
        } else {
            ((int64_t *)*out)[i] = fw_column_i64(c, first + i);
        }
    }
    fw_table_clear(&t);
    return st;
}

/* Rows of meta/subtasks.parquet whose sentence is "" mean none. */
static fw_status name_subtasks(const fw_dataset *ds, int64_t ep, int64_t *subtask, fw_err *err) {
    for (int64_t i = 0; i < ds->episodes[ep].length; i++) {
        if (subtask[i] < 0 || subtask[i] >= ds->n_subtasks) {
            return fw_fail(err, FW_FORMAT, "%s: ep %lld: frame %lld: subtask_index is %lld, there are %d subtasks",
                           ds->dir, (long long)ds->episodes[ep].index, (long long)i, (long long)subtask[i],
                           ds->n_subtasks);
        }
        subtask[i] = ds->subtasks[subtask[i]][0] != 0 ? subtask[i] : -1;
    }
    return FW_OK;
}

fw_status fw_dataset_read_marks(fw_dataset *ds, int64_t ep, fw_episode_marks *out, fw_err *err) {
    void *v[STORE_MARKS] = {NULL};
    *out = (fw_episode_marks){0};
    FW_TRY(episode_exists(ds, ep, err));
    fw_status st = FW_OK;
    for (int i = 0; i < STORE_MARKS && st == FW_OK; i++) {
        if ((ds->marks & store_marks[i].bit) != 0) {
            st = read_mark(ds, ep, &store_marks[i], store_marks[i].bit == FW_MARK_CAPTURE ? 1 + ds->n_cameras : 1,
                           &v[i], err);
        }
    }
    st = st == FW_OK && v[2] != NULL ? name_subtasks(ds, ep, v[2], err) : st;
    *out = (fw_episode_marks){.length = ds->episodes[ep].length,
                              .m = {.intervention = v[0],
                                    .advantage = v[1],
                                    .subtask = v[2],
                                    .capture_ns = v[3],
                                    .subtasks = (const char *const *)ds->subtasks,
                                    .n_subtasks = ds->n_subtasks}};
    if (st != FW_OK) {
        fw_episode_marks_clear(out);
    }
    return st;
}

void fw_episode_marks_clear(fw_episode_marks *m) {
    free((void *)(uintptr_t)m->m.intervention);
    free((void *)(uintptr_t)m->m.advantage);
    free((void *)(uintptr_t)m->m.subtask);
    free((void *)(uintptr_t)m->m.capture_ns);
    *m = (fw_episode_marks){0};
}
