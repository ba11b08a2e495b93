/*
 * prove.c - see prove.h.
 *
 * A NAME in a file stands alone: what is before and after it is no letter, digit, '-' or '_' (so that "home-1" is not found in
 * "home-12"), or it follows its own length, as Parquet and thrift write texts. In compressed files a short name also turns up by
 * chance: where more than a thousandth of a hit would be expected, only the texts are decoded and compared.
 */
#include "data/prove.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

/* --- rows --- */

static uint64_t mix(uint64_t h, float v) {
    uint32_t bits;
    memcpy(&bits, &v, 4);
    h = (h ^ bits) * 0x9E3779B97F4A7C15ull;
    return h ^ (h >> 29);
}

/* Row r of the columns, NULL for those that are not there. */
static uint64_t row_hash(const fw_column *state, const fw_column *action, int64_t r) {
    uint64_t h = 0xCBF29CE484222325ull;
    const fw_column *c[2] = {state, action};
    for (int k = 0; k < 2; k++) {
        for (int64_t i = 0; c[k] != NULL && i < c[k]->width; i++) {
            h = mix(h, (float)fw_column_f64(c[k], r * c[k]->width + i));
        }
    }
    return h;
}

/* The column, when it has the right width. */
static const fw_column *wanted(const fw_table *t, const char *name, int64_t width) {
    const fw_column *c = name != NULL ? fw_table_find(t, name) : NULL;
    return c != NULL && c->type != FW_COL_STR && c->width == width ? c : NULL;
}

static bool find_columns(const prove_rows *r, const fw_table *t, const fw_column **state, const fw_column **action) {
    *state = wanted(t, r->state, r->n_state);
    *action = wanted(t, r->action, r->n_action);
    return (*state != NULL || r->state == NULL) && (*action != NULL || r->action == NULL) &&
           (*state != NULL || *action != NULL);
}

fw_status prove_rows_add(prove_rows *r, const copy_source *s, int64_t e, fw_err *err) {
    const fw_episode_info *i = &s->ds->episodes[e];
    const fw_column *state, *action;
    if (!find_columns(r, &s->rows, &state, &action)) {
        return FW_OK;
    }
    if (r->n + i->length > r->cap) {
        r->cap = 2 * r->cap + i->length;
        uint64_t *more = realloc(r->hash, (size_t)r->cap * sizeof(*more));
        if (more == NULL) {
            return fw_fail(err, FW_NOMEM, "%s: %lld rows", s->ds->dir, (long long)r->cap);
        }
        r->hash = more;
    }
    for (int64_t t = 0; t < i->length; t++) {
        r->hash[r->n++] = row_hash(state, action, i->data_row + t);
    }
    return FW_OK;
}

static int by_hash(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void prove_rows_seal(prove_rows *r) {
    int64_t n = 0;
    if (r->n > 0) {
        qsort(r->hash, (size_t)r->n, sizeof(*r->hash), by_hash);
    }
    for (int64_t i = 0; i < r->n; i++) {
        if (n == 0 || r->hash[n - 1] != r->hash[i]) {
            r->hash[n++] = r->hash[i];
        }
    }
    r->n = n;
    r->common = calloc((size_t)n + 1, sizeof(bool)); /* NULL: none is: more is found then, not less */
}

static int64_t find(const prove_rows *r, uint64_t h) {
    const uint64_t *at = r->n > 0 ? bsearch(&h, r->hash, (size_t)r->n, sizeof(h), by_hash) : NULL;
    return at != NULL ? at - r->hash : -1;
}

void prove_rows_except(prove_rows *r, const copy_source *s, int64_t e) {
    const fw_episode_info *i = &s->ds->episodes[e];
    const fw_column *state, *action;
    bool there = find_columns(r, &s->rows, &state, &action);
    for (int64_t t = 0; t < i->length && there && r->common != NULL; t++) {
        int64_t at = find(r, row_hash(state, action, i->data_row + t));
        if (at >= 0) {
            r->common[at] = true;
        }
    }
}

bool prove_rows_tell(const prove_rows *r, const copy_source *s, int64_t e) {
    const fw_episode_info *i = &s->ds->episodes[e];
    const fw_column *state, *action;
    bool there = find_columns(r, &s->rows, &state, &action), tells = false;
    for (int64_t t = 0; t < i->length && there && !tells; t++) {
        int64_t at = find(r, row_hash(state, action, i->data_row + t));
        tells = at >= 0 && (r->common == NULL || !r->common[at]);
    }
    return tells;
}

int64_t prove_rows_marks(const prove_rows *r) {
    int64_t n = 0;
    for (int64_t i = 0; i < r->n; i++) {
        n += r->common == NULL || !r->common[i];
    }
    return n;
}

void prove_rows_clear(prove_rows *r) {
    free(r->hash);
    free(r->common);
    *r = (prove_rows){0};
}

static void search_rows(const char *path, const prove_rows *r, fw_delete_proof *p) {
    const char *names[2];
    int n = 0;
    fw_table t = {0};
    const fw_column *state, *action;
    if (r->state != NULL) {
        names[n++] = r->state;
    }
    if (r->action != NULL) {
        names[n++] = r->action;
    }
    if (n == 0 || fw_table_read(path, names, n, &t, NULL) != FW_OK) {
        return; /* a table of something else */
    }
    for (int64_t i = 0; find_columns(r, &t, &state, &action) && i < t.rows; i++) {
        int64_t at = find(r, row_hash(state, action, i));
        p->rows_found += at >= 0 && (r->common == NULL || !r->common[at]);
        p->rows++;
    }
    fw_table_clear(&t);
}

/* --- names --- */

static bool part_of_word(uint8_t c) {
    return isalnum(c) || c == '-' || c == '_';
}

/* Times that `name` stands in data. */
static int64_t count_name(const uint8_t *data, size_t size, const char *name) {
    size_t n = strlen(name);
    int64_t found = 0;
    if (size < n) {
        return 0; /* an empty file has no data to point into */
    }
    const uint8_t *p = data, *end = data + size;
    while ((p = memmem(p, (size_t)(end - p), name, n)) != NULL) {
        bool alone = (p == data || !part_of_word(p[-1])) && (p + n == end || !part_of_word(p[n]));
        bool counted = p > data && p[-1] == n; /* thrift */
        counted =
            counted || (p >= data + 4 && p[-4] == n && p[-3] == 0 && p[-2] == 0 && p[-1] == 0); /* Parquet, plain */
        found += alone || counted;
        p++;
    }
    return found;
}

/* Names among the texts of a Parquet file. */
static int64_t count_texts(const char *path, const char *name) {
    int64_t found = 0;
    fw_table t = {0};
    if (fw_table_read(path, NULL, 0, &t, NULL) != FW_OK) {
        return 0;
    }
    for (int c = 0; c < t.n_cols; c++) {
        for (int64_t i = 0; t.cols[c].type == FW_COL_STR && i < t.cols[c].n; i++) {
            found += count_name((const uint8_t *)t.cols[c].str[i], strlen(t.cols[c].str[i]), name);
        }
    }
    fw_table_clear(&t);
    return found;
}

static bool ends_with(const char *path, const char *end) {
    size_t n = strlen(path), k = strlen(end);
    return n >= k && strcmp(path + n - k, end) == 0;
}

static bool is_binary(const char *path) {
    static const char *const end[] = {".mp4", ".parquet", ".bin", ".seg", ".png", ".jpg", ".blob"};
    for (size_t i = 0; i < sizeof(end) / sizeof(*end); i++) {
        if (ends_with(path, end[i])) {
            return true;
        }
    }
    return false;
}

/* Hits that chance would give in so many random bytes. */
static double by_chance(size_t bytes, const char *name) {
    double p = (double)bytes;
    for (const char *c = name; *c != 0; c++) {
        p /= 256.0;
    }
    return p;
}

static fw_status search_name(const char *path, const char *rel, const char *name, fw_delete_proof *p, fw_err *err) {
    fw_map m;
    int64_t found = 0;
    FW_TRY(fw_map_open(path, &m, err));
    if (is_binary(path) && by_chance(m.size, name) > 1e-3) {
        p->not_searched++;
    } else {
        found = count_name(m.data, m.size, name);
    }
    fw_map_close(&m);
    found += ends_with(path, ".parquet") ? count_texts(path, name) : 0;
    found += count_name((const uint8_t *)rel, strlen(rel), name);
    if (found > 0 && p->names_found == 0) {
        snprintf(p->first, sizeof(p->first), "%.500s", rel);
    }
    p->names_found += found;
    return FW_OK;
}

/* --- all files --- */

static fw_status walk(const char *dir, const char *under, const char *name, const prove_rows *rows, fw_delete_proof *p,
                      fw_err *err) {
    char folder[STORE_PATH], path[STORE_PATH], rel[STORE_PATH], **names;
    size_t n;
    struct stat st;
    FW_TRY(fw_path_join(folder, sizeof(folder), dir, under, err));
    FW_TRY(fw_list_dir(folder, &names, &n, err));
    fw_status result = FW_OK;
    for (size_t i = 0; i < n && result == FW_OK; i++) {
        int k = snprintf(rel, sizeof(rel), "%s%s%s", under, under[0] != 0 ? "/" : "", names[i]);
        result = k < (int)sizeof(rel) ? fw_path_join(path, sizeof(path), dir, rel, err)
                                      : fw_fail(err, FW_INVALID, "%s: path too long", folder);
        if (result != FW_OK || lstat(path, &st) != 0) {
            continue;
        }
        if (S_ISDIR(st.st_mode)) {
            result = walk(dir, rel, name, rows, p, err);
        } else if (S_ISREG(st.st_mode)) {
            p->files++;
            p->bytes += (int64_t)st.st_size;
            result = name != NULL ? search_name(path, rel, name, p, err) : FW_OK;
            if (result == FW_OK && rows != NULL && ends_with(path, ".parquet")) {
                search_rows(path, rows, p);
            }
        }
    }
    fw_names_free(names, n);
    return result;
}

fw_status prove_folder(const char *dir, const char *name, const prove_rows *rows, fw_delete_proof *proof, fw_err *err) {
    return walk(dir, "", name, rows, proof, err);
}
