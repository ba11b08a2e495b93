/* deleted.c - see deleted.h. */
#include "data/deleted.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"

#define ROUNDS 2000
#define SALT   32 /* hexadecimal digits */

typedef struct rule {
    char name[32], when[32], salt[SALT + 1], home[65]; /* home "": of single episodes */
    char *from;                                        /* owned: the folder it was read from; "" when it is new */
    char choice[65], left[65];                         /* hashes; "": not known */
    int64_t episodes, frames;
    char (*rows)[65]; /* owned [n_rows] */
    int64_t n_rows;
} rule;

struct fw_deleted {
    int n;
    rule *item; /* owned */
};

fw_status fw_deleted_new(fw_deleted **out, fw_err *err) {
    *out = calloc(1, sizeof(**out));
    return *out != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "tombstones");
}

void fw_deleted_free(fw_deleted *d) {
    for (int i = 0; d != NULL && i < d->n; i++) {
        free(d->item[i].from);
        free(d->item[i].rows);
    }
    if (d != NULL) {
        free(d->item);
        free(d);
    }
}

int fw_deleted_rules(const fw_deleted *d) {
    return d->n;
}

const char *fw_deleted_name(const fw_deleted *d, int i) {
    return d->item[i].name;
}

/* A new rule, zeroed. */
static rule *add_rule(fw_deleted *d, const char *from) {
    rule *more = realloc(d->item, (size_t)(d->n + 1) * sizeof(*more));
    if (more == NULL) {
        return NULL;
    }
    d->item = more;
    more[d->n] = (rule){.from = strdup(from)};
    return more[d->n].from != NULL ? &more[d->n++] : NULL;
}

/* --- hashes --- */

static void home_hash(const char *salt, const char *home, char out[65]) {
    char text[SALT + 65];
    snprintf(text, sizeof(text), "%s", salt);
    fw_sha256_hex(home, strlen(home), out);
    for (int i = 0; i < ROUNDS; i++) {
        memcpy(text + SALT, out, 64);
        fw_sha256_hex(text, SALT + 64, out);
    }
}

static fw_status rows_hash(const char *salt, const float *state, const float *action, size_t n_state, size_t n_action,
                           char out[65], fw_err *err) {
    size_t a = n_state * sizeof(float), b = n_action * sizeof(float);
    char *text = malloc(SALT + a + b + 1);
    if (text == NULL) {
        return fw_fail(err, FW_NOMEM, "tombstones: an episode");
    }
    memcpy(text, salt, SALT);
    if (a > 0) {
        memcpy(text + SALT, state, a);
    }
    if (b > 0) {
        memcpy(text + SALT + a, action, b);
    }
    fw_sha256_hex(text, SALT + a + b, out);
    free(text);
    return FW_OK;
}

/* --- the file --- */

static fw_status read_text(const json_t *j, const char *key, const char *where, char *out, size_t cap, size_t want,
                           fw_err *err) {
    const char *text;
    FW_TRY(fw_json_str(j, key, where, &text, err));
    if (strlen(text) >= cap || (want > 0 && strlen(text) != want)) {
        return fw_fail(err, FW_FORMAT, "%s: %s has %zu characters", where, key, strlen(text));
    }
    snprintf(out, cap, "%s", text);
    return FW_OK;
}

static fw_status read_rows(const json_t *j, const char *where, rule *r, fw_err *err) {
    const json_t *a;
    FW_TRY(fw_json_arr(j, "rows", where, &a, err));
    r->rows = calloc(json_array_size(a) + 1, sizeof(*r->rows));
    if (r->rows == NULL) {
        return fw_fail(err, FW_NOMEM, "%s", where);
    }
    for (size_t i = 0; i < json_array_size(a); i++) {
        const char *text = json_string_value(json_array_get(a, i));
        if (text == NULL || strlen(text) != 64) {
            return fw_fail(err, FW_FORMAT, "%s: rows[%zu] is no hash", where, i);
        }
        memcpy(r->rows[r->n_rows++], text, 65);
    }
    return FW_OK;
}

static fw_status read_rule(const json_t *j, const char *where, rule *r, fw_err *err) {
    FW_TRY(read_text(j, "rule", where, r->name, sizeof(r->name), 0, err));
    FW_TRY(read_text(j, "when", where, r->when, sizeof(r->when), 0, err));
    FW_TRY(read_text(j, "salt", where, r->salt, sizeof(r->salt), SALT, err));
    if (!json_is_null(json_object_get(j, "home"))) {
        FW_TRY(read_text(j, "home", where, r->home, sizeof(r->home), 64, err));
    }
    if (json_object_get(j, "choice") != NULL) {
        FW_TRY(read_text(j, "choice", where, r->choice, sizeof(r->choice), 64, err));
        FW_TRY(read_text(j, "left", where, r->left, sizeof(r->left), 0, err));
    }
    FW_TRY(fw_json_i64(j, "episodes", where, 0, INT64_MAX, &r->episodes, err));
    FW_TRY(fw_json_i64(j, "frames", where, 0, INT64_MAX, &r->frames, err));
    return read_rows(j, where, r, err);
}

static bool known(const fw_deleted *d, const char *name, const char *salt) {
    for (int i = 0; i < d->n; i++) {
        if (strcmp(d->item[i].name, name) == 0 && strcmp(d->item[i].salt, salt) == 0) {
            return true;
        }
    }
    return false;
}

fw_status fw_deleted_load(fw_deleted *d, const char *dir, fw_err *err) {
    char path[4096];
    json_t *j;
    const json_t *list;
    FW_TRY(fw_path_join(path, sizeof(path), dir, FW_DELETED_FILE, err));
    if (!fw_path_exists(path)) {
        return FW_OK;
    }
    FW_TRY(fw_json_load(path, &j, err));
    int64_t version;
    fw_status st = fw_json_i64(j, "version", path, 1, 1, &version, err);
    st = st == FW_OK ? fw_json_arr(j, "deleted", path, &list, err) : st;
    for (size_t i = 0; st == FW_OK && i < json_array_size(list); i++) {
        rule *r = add_rule(d, dir);
        st = r != NULL ? read_rule(json_array_get(list, i), path, r, err) : fw_fail(err, FW_NOMEM, "%s", path);
        if (st == FW_OK) { /* another dataset may have handed the same one on: the one that lists more episodes stays */
            d->n--;
            if (known(d, r->name, r->salt)) {
                for (int k = 0; k < d->n; k++) {
                    rule *old = &d->item[k];
                    if (strcmp(old->name, r->name) == 0 && strcmp(old->salt, r->salt) == 0 &&
                        r->episodes > old->episodes) {
                        rule swap = *old;
                        *old = *r;
                        *r = swap;
                    }
                }
                free(r->from);
                free(r->rows);
            } else {
                d->n++;
            }
        }
    }
    json_decref(j);
    return st;
}

fw_status fw_deleted_save(const fw_deleted *d, const char *dir, fw_err *err) {
    char path[4096];
    if (d->n == 0) {
        return FW_OK;
    }
    FW_TRY(fw_path_join(path, sizeof(path), dir, "meta", err));
    FW_TRY(fw_mkdirs(path, err));
    FW_TRY(fw_path_join(path, sizeof(path), dir, FW_DELETED_FILE, err));
    json_t *list = json_array();
    for (int i = 0; i < d->n; i++) {
        const rule *r = &d->item[i];
        json_t *rows = json_array();
        for (int64_t k = 0; k < r->n_rows; k++) {
            json_array_append_new(rows, json_string(r->rows[k]));
        }
        json_t *one = json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:o}", "rule", r->name, "when", r->when, "salt",
                                r->salt, "home", r->home[0] != 0 ? json_string(r->home) : json_null(), "episodes",
                                (json_int_t)r->episodes, "frames", (json_int_t)r->frames, "rows", rows);
        if (r->choice[0] != 0) {
            json_object_set_new(one, "choice", json_string(r->choice));
            json_object_set_new(one, "left", json_string(r->left));
        }
        json_array_append_new(list, one);
    }
    json_t *j = json_pack("{s:i, s:o}", "version", 1, "deleted", list);
    fw_status st = fw_json_save(path, j, 2, err);
    json_decref(j);
    return st;
}

/* --- asking --- */

static int find_home(const fw_deleted *d, const char *home) {
    char hash[65] = "", salt[SALT + 1] = "";
    for (int i = 0; i < d->n && home[0] != 0; i++) {
        if (d->item[i].home[0] == 0) {
            continue;
        }
        if (strcmp(salt, d->item[i].salt) != 0) { /* rules of one dataset share their salt */
            memcpy(salt, d->item[i].salt, sizeof(salt));
            home_hash(salt, home, hash);
        }
        if (strcmp(hash, d->item[i].home) == 0) {
            return i;
        }
    }
    return -1;
}

const char *fw_deleted_home(fw_deleted *d, const char *home) {
    int i = find_home(d, home);
    return i >= 0 ? d->item[i].name : NULL;
}

static fw_status refuse(const rule *r, const char *dir, int64_t index, fw_err *err) {
    return fw_fail(err, FW_INVALID, "%s: ep %lld: refused by rule %s of %s%s" FW_DELETED_FILE " (deleted %s)", dir,
                   (long long)index, r->name, r->from, r->from[0] != 0 ? "/" : "", r->when);
}

fw_status fw_deleted_refuse_homes(fw_deleted *d, const fw_dataset *ds, const int64_t *episodes, int64_t n,
                                  fw_err *err) {
    const char *last = ""; /* episodes of a home come together: hash each run once */
    for (int64_t i = 0; i < n && d->n > 0; i++) {
        int64_t e = episodes != NULL ? episodes[i] : i;
        fw_provenance p = fw_dataset_provenance(ds, e);
        const char *home = p.home != NULL ? p.home : "";
        if (strcmp(home, last) == 0) {
            continue;
        }
        last = home;
        int r = find_home(d, home);
        if (r >= 0) {
            return refuse(&d->item[r], ds->dir, ds->episodes[e].index, err);
        }
    }
    return FW_OK;
}

fw_status fw_deleted_refuse_rows(const fw_deleted *d, const char *dir, int64_t index, const float *state,
                                 const float *action, int64_t length, int n_state, int n_action, fw_err *err) {
    char hash[65], salt[SALT + 1] = "";
    for (int i = 0; i < d->n; i++) {
        const rule *r = &d->item[i];
        if (r->n_rows == 0) {
            continue;
        }
        if (strcmp(salt, r->salt) != 0) {
            memcpy(salt, r->salt, sizeof(salt));
            FW_TRY(rows_hash(salt, state, action, (size_t)(length * n_state), (size_t)(length * n_action), hash, err));
        }
        for (int64_t k = 0; k < r->n_rows; k++) {
            if (memcmp(hash, r->rows[k], 64) == 0) {
                return refuse(r, dir, index, err);
            }
        }
    }
    return FW_OK;
}

/* --- deleting --- */

static void now(char out[32]) {
    time_t t = time(NULL);
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

int fw_deleted_rule(fw_deleted *d, const char *home) {
    uint8_t random[SALT / 2];
    int i = home != NULL ? find_home(d, home) : -1;
    if (i >= 0) {
        now(d->item[i].when);
        return i;
    }
    rule *r = add_rule(d, "");
    if (r == NULL || getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return -1;
    }
    for (int k = 0; k < SALT / 2; k++) {
        snprintf(r->salt + 2 * k, 3, "%02x", random[k]);
    }
    if (d->n > 1) {
        memcpy(r->salt, d->item[0].salt, sizeof(r->salt));
    }
    snprintf(r->name, sizeof(r->name), "%s-%02x%02x%02x%02x", home != NULL ? "home" : "episodes", random[0], random[1],
             random[2], random[3]);
    now(r->when);
    if (home != NULL) {
        home_hash(r->salt, home, r->home);
    }
    return d->n - 1;
}

fw_status fw_deleted_add(fw_deleted *d, int i, const float *state, const float *action, int64_t length, int n_state,
                         int n_action, fw_err *err) {
    rule *r = &d->item[i];
    r->episodes++;
    r->frames += length;
    if ((state == NULL && action == NULL) || n_state + n_action == 0) {
        return FW_OK;
    }
    char(*more)[65] = realloc(r->rows, (size_t)(r->n_rows + 1) * sizeof(*more));
    if (more == NULL) {
        return fw_fail(err, FW_NOMEM, "tombstones");
    }
    r->rows = more;
    FW_TRY(rows_hash(r->salt, state, action, (size_t)(length * n_state), (size_t)(length * n_action), more[r->n_rows],
                     err));
    r->n_rows++;
    return FW_OK;
}

void fw_deleted_note(fw_deleted *d, int i, const char *choice, const char *left) {
    fw_sha256_hex(choice, strlen(choice), d->item[i].choice);
    snprintf(d->item[i].left, sizeof(d->item[i].left), "%s", left);
}

int fw_deleted_done(const fw_deleted *d, const char *choice, const char *left) {
    char hash[65];
    fw_sha256_hex(choice, strlen(choice), hash);
    for (int i = 0; i < d->n; i++) {
        if (strcmp(d->item[i].choice, hash) == 0 && strcmp(d->item[i].left, left) == 0) {
            return i;
        }
    }
    return -1;
}
