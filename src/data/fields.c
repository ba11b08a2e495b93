/*
 * fields.c - what a dataset says about its episodes beyond LeRobot's own columns, as one table with a row an episode.
 *
 * v3.0: further columns of meta/episodes (text, numbers, lists of them). v2.1: further keys of the lines of
 * meta/episodes.jsonl (text, numbers, booleans; a missing or null one is "" or NaN). Both give the same table.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset_int.h"

/* --- v3.0 --- */

static bool is_lerobots(const char *name) {
    static const char *const fixed[] = {"episode_index", "tasks", "length", "dataset_from_index", "dataset_to_index"};
    static const char *const prefix[] = {"stats/", "videos/", "data/", "meta/"};
    bool is = false;
    for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++) {
        is = is || strcmp(name, fixed[i]) == 0;
    }
    for (size_t i = 0; i < sizeof(prefix) / sizeof(*prefix); i++) {
        is = is || strncmp(name, prefix[i], strlen(prefix[i])) == 0;
    }
    return is;
}

/* Text, a number, or a list of them. */
static bool readable(const struct ArrowSchema *s) {
    if (s->format[0] == '+' && strchr("lLw", s->format[1]) != NULL && s->n_children == 1) {
        s = s->children[0];
    }
    return s->dictionary == NULL && s->format[0] != 0 && s->format[1] == 0 &&
           strchr("feglcCsSiILbuU", s->format[0]) != NULL;
}

fw_status fw_fields_names(fw_pq_reader *r, const char *where, char ***names, int *n, fw_err *err) {
    struct ArrowSchema s = {0};
    *names = NULL;
    *n = 0;
    FW_TRY(fw_pq_schema(r, &s, err));
    fw_status st = (*names = calloc((size_t)s.n_children + 1, sizeof(char *))) != NULL
                       ? FW_OK
                       : fw_fail(err, FW_NOMEM, "%s", where);
    for (int64_t i = 0; i < s.n_children && st == FW_OK; i++) {
        if (!is_lerobots(s.children[i]->name) && readable(s.children[i])) {
            st = ((*names)[(*n)++] = strdup(s.children[i]->name)) != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s", where);
        }
    }
    s.release(&s);
    return st;
}

static void append_rows(fw_table *to, int col, const fw_column *from, int64_t rows) {
    int64_t before = to->rows;
    for (int64_t r = 0; r < rows; r++) {
        int64_t first, n;
        fw_column_row(from, r, &first, &n);
        to->rows = before + r; /* a list of varying length asks which row this is */
        for (int64_t i = 0; i < n && from->type != FW_COL_STR && to->cols[col].width >= 0; i++) {
            double f = fw_column_f64(from, first + i);
            int64_t v = fw_column_i64(from, first + i);
            if (from->type == FW_COL_F32 || from->type == FW_COL_F64) {
                fw_table_push_f64(to, col, &f, 1);
            } else {
                fw_table_push_i64(to, col, &v, 1);
            }
        }
        if (from->type == FW_COL_STR) {
            fw_table_push_str(to, col, (const char *const *)from->str + first, n);
        } else if (to->cols[col].width < 0) {
            double *v = calloc((size_t)n + 1, sizeof(double));
            for (int64_t i = 0; v != NULL && i < n; i++) {
                v[i] = fw_column_f64(from, first + i);
            }
            if (v != NULL) {
                fw_table_push_f64(to, col, v, n);
            }
            free(v);
        }
    }
    to->rows = before;
}

fw_status fw_fields_append(fw_table *fields, const fw_table *t, char *const *names, int n, int64_t rows,
                           const char *where, fw_err *err) {
    bool first = fields->rows == 0 && fields->n_cols == 0;
    for (int i = 0; i < n && first; i++) {
        const fw_column *c = fw_table_find(t, names[i]);
        fw_table_add_column(fields, names[i], c->type, c->depth, c->depth == 0 ? 1 : -1);
    }
    bool same = fields->n_cols == n;
    for (int i = 0; i < n && same; i++) {
        const fw_column *c = fw_table_find(t, fields->cols[i].name);
        same = c != NULL && c->type == fields->cols[i].type && c->depth == fields->cols[i].depth;
    }
    if (!same) {
        return fw_fail(err, FW_FORMAT,
                       "%s: its columns are not those of the episodes files before it (%d further ones, "
                       "wanted %d of the same names and types)",
                       where, n, fields->n_cols);
    }
    for (int i = 0; i < n; i++) {
        append_rows(fields, i, fw_table_find(t, fields->cols[i].name), rows);
    }
    fields->rows += rows;
    return FW_OK;
}

/* --- v2.1 --- */

/* The type that holds every value of the key; false when there is none. */
static bool type_of_key(json_t *const *rows, int64_t n, const char *key, fw_coltype *type) {
    bool text = false, real = false, integer = false, boolean = false, missing = false;
    for (int64_t r = 0; r < n; r++) {
        const json_t *v = json_object_get(rows[r], key);
        missing = missing || v == NULL || json_is_null(v);
        text = text || json_is_string(v);
        real = real || json_is_real(v);
        integer = integer || json_is_integer(v);
        boolean = boolean || json_is_boolean(v);
        if (json_is_array(v) || json_is_object(v)) {
            return false;
        }
    }
    *type = text ? FW_COL_STR : boolean && !missing ? FW_COL_BOOL : real || missing ? FW_COL_F64 : FW_COL_I64;
    return (text && !real && !integer && !boolean) || (!text && !(boolean && (real || integer || missing)));
}

fw_status fw_fields_from_json(fw_table *fields, json_t *const *rows, int64_t n, const char *where, fw_err *err) {
    for (int64_t r = 0; r < n; r++) {
        const char *key;
        json_t *v;
        json_object_foreach(rows[r], key, v) {
            fw_coltype type;
            if (is_lerobots(key) || fw_table_find(fields, key) != NULL) {
                continue;
            }
            if (!type_of_key(rows, n, key, &type)) {
                return fw_fail(err, FW_UNSUPPORTED, "%s: key '%s' has lists, or values of several types", where, key);
            }
            fw_table_add_column(fields, key, type, 0, 1);
        }
    }
    for (int i = 0; i < fields->n_cols; i++) {
        for (int64_t r = 0; r < n; r++) {
            const json_t *v = json_object_get(rows[r], fields->cols[i].name);
            const char *text = json_is_string(v) ? json_string_value(v) : "";
            double real = json_is_number(v) ? json_number_value(v) : (double)NAN;
            int64_t integer = json_is_boolean(v) ? json_is_true(v) : json_integer_value(v);
            if (fields->cols[i].type == FW_COL_STR) {
                fw_table_push_str(fields, i, &text, 1);
            } else if (fields->cols[i].type == FW_COL_F64) {
                fw_table_push_f64(fields, i, &real, 1);
            } else {
                fw_table_push_i64(fields, i, &integer, 1);
            }
        }
    }
    fields->rows = n;
    return FW_OK;
}
