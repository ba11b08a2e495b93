/* ranges.c - ranges from JSON and back, and draws from them. See ranges.h. */
#include "sim/ranges.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

enum { EXTENDS_MAX = 4 };

typedef struct row {
    const char *name, *unit;
    double least, most;
    const char *words, *what;
} row;
static const row rows[FW_RANGE_N] = {
#define X(id, name, unit, least, most, words, what) {name, unit, least, most, words, what},
    FW_RANGE_MAP(X)
#undef X
};
static const char *const dist_names[] = {"uniform", "loguniform", "band", "choice", "probability"};
enum { N_DIST = sizeof dist_names / sizeof *dist_names };

const char *fw_range_name(fw_range_id id) {
    return rows[id].name;
}
const char *fw_range_unit(fw_range_id id) {
    return rows[id].unit;
}
const char *fw_range_what(fw_range_id id) {
    return rows[id].what;
}

/* --- words of a row: separated by single spaces */
static bool word_at(const char *words, int i, char out[32]) {
    for (; i > 0 && words != NULL; i--) {
        words = strchr(words, ' ');
        words = words != NULL ? words + 1 : NULL;
    }
    if (words == NULL || words[0] == 0) {
        return false;
    }
    snprintf(out, 32, "%.*s", (int)strcspn(words, " "), words);
    return true;
}

static int word_find(const char *words, const char *word) {
    char w[32];
    for (int i = 0; word_at(words, i, w); i++) {
        if (strcmp(w, word) == 0) {
            return i;
        }
    }
    return -1;
}

/* --- reading */
static fw_status bad(fw_err *err, const char *where, const row *t, const char *wanted, const char *found) {
    return fw_fail(err, FW_FORMAT, "%.80s: range '%s': wanted %.80s, found %.60s", where, t->name, wanted, found);
}

static fw_status check_value(const row *t, double v, const char *where, fw_err *err) {
    char wanted[80], found[40];
    if (v >= t->least && v <= t->most) {
        return FW_OK;
    }
    snprintf(wanted, sizeof wanted, "values in %g .. %g %s", t->least, t->most, t->unit);
    snprintf(found, sizeof found, "%g", v);
    return bad(err, where, t, wanted, found);
}

static fw_status read_choice(const json_t *list, const row *t, const char *where, fw_range *out, fw_err *err) {
    size_t n = json_array_size(list);
    char found[64];
    if (!json_is_array(list) || n < 1 || n > FW_RANGE_CHOICES) {
        snprintf(found, sizeof found, "%zu", n);
        return bad(err, where, t, "a choice of 1..16 values", json_is_array(list) ? found : "no list");
    }
    out->n = (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        if (t->words[0] != 0) {
            int w = json_is_string(v) ? word_find(t->words, json_string_value(v)) : -1;
            if (w < 0) {
                return bad(err, where, t, t->words, json_is_string(v) ? json_string_value(v) : "no string");
            }
            out->choice[i] = w;
        } else if (!json_is_number(v)) {
            return bad(err, where, t, "numbers to choose from", "something else");
        } else {
            out->choice[i] = json_number_value(v);
            FW_TRY(check_value(t, out->choice[i], where, err));
        }
    }
    return FW_OK;
}

static fw_status read_ends(const json_t *obj, const row *t, const char *where, fw_range *out, fw_err *err) {
    double ends[2];
    char place[160], found[64];
    snprintf(place, sizeof place, "%.100s: range '%s'", where, t->name);
    FW_TRY(fw_json_f64s(obj, dist_names[out->dist], place, ends, 2, err));
    out->a = ends[0];
    out->b = ends[1];
    if (out->a > out->b || (out->dist == FW_DIST_LOGUNIFORM && out->a <= 0) ||
        (out->dist == FW_DIST_BAND && out->a < 0)) {
        snprintf(found, sizeof found, "[%g, %g]", out->a, out->b);
        return bad(err, where, t,
                   out->dist == FW_DIST_LOGUNIFORM ? "loguniform [a, b] with 0 < a <= b"
                   : out->dist == FW_DIST_BAND     ? "band [a, b] with 0 <= a <= b"
                                                   : "uniform [a, b] with a <= b",
                   found);
    }
    if (out->dist == FW_DIST_BAND) {
        FW_TRY(check_value(t, -out->b, where, err));
    }
    FW_TRY(check_value(t, out->a, where, err));
    return check_value(t, out->b, where, err);
}

static fw_status read_range(const json_t *j, const row *t, const char *where, fw_range *out, fw_err *err) {
    static const char *const known[] = {"unit", "uniform", "loguniform", "band", "choice", "probability", NULL};
    char place[160];
    const char *unit;
    int n_dist = 0;
    snprintf(place, sizeof place, "%.100s: range '%s'", where, t->name);
    if (!json_is_object(j)) {
        return bad(err, where, t, "an object {\"unit\", one distribution}", "something else");
    }
    FW_TRY(fw_json_only(j, place, known, err));
    FW_TRY(fw_json_str(j, "unit", place, &unit, err));
    if (strcmp(unit, t->unit) != 0) {
        char wanted[48];
        snprintf(wanted, sizeof wanted, "unit \"%s\"", t->unit);
        return bad(err, where, t, wanted, unit);
    }
    *out = (fw_range){0};
    for (int d = 0; d < N_DIST; d++) {
        if (json_object_get(j, dist_names[d]) != NULL) {
            out->dist = (fw_dist)d;
            n_dist++;
        }
    }
    if (n_dist != 1) {
        return bad(err, where, t, "exactly one of uniform, loguniform, band, choice, probability",
                   n_dist == 0 ? "none" : "several");
    }
    if (strcmp(t->unit, "p") == 0 ? out->dist != FW_DIST_PROBABILITY : out->dist == FW_DIST_PROBABILITY) {
        return bad(err, where, t, strcmp(t->unit, "p") == 0 ? "probability" : "another distribution than probability",
                   dist_names[out->dist]);
    }
    if (t->words[0] != 0 && out->dist != FW_DIST_CHOICE) {
        return bad(err, where, t, "a choice of words", dist_names[out->dist]);
    }
    if (out->dist == FW_DIST_CHOICE) {
        return read_choice(json_object_get(j, "choice"), t, where, out, err);
    }
    if (out->dist == FW_DIST_PROBABILITY) {
        FW_TRY(fw_json_f64(j, "probability", place, &out->a, err));
        return check_value(t, out->a, where, err);
    }
    return read_ends(j, t, where, out, err);
}

fw_status fw_ranges_from_json(const json_t *j, const char *where, bool base, fw_ranges *out, fw_err *err) {
    static const char *const known[] = {"what", "held_out", "extends", "engine", "ranges", NULL};
    const json_t *list;
    const char *what, *engine;
    if (!json_is_object(j)) {
        return fw_fail(err, FW_FORMAT, "%.100s: wanted an object, found something else", where);
    }
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(fw_json_str(j, "what", where, &what, err));
    FW_TRY(fw_json_bool(j, "held_out", where, &out->held_out, err));
    FW_TRY(fw_json_str_or(j, "engine", where, out->engine, &engine, err));
    FW_TRY(fw_json_obj(j, "ranges", where, &list, err));
    if (strlen(engine) >= sizeof out->engine) {
        return fw_fail(err, FW_FORMAT, "%.100s: key 'engine': wanted at most %zu bytes, found \"%.40s\"", where,
                       sizeof out->engine - 1, engine);
    }
    memmove(out->engine, engine, strlen(engine) + 1);
    snprintf(out->what, sizeof out->what, "%s", what);
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)list, key, v) {
        bool found = false;
        for (int i = 0; i < FW_RANGE_N && !found; i++) {
            found = strcmp(key, rows[i].name) == 0;
        }
        if (!found) { /* fw_json_only would list all forty names */
            return fw_fail(err, FW_FORMAT, "%.100s: no range is called '%.60s' (flywheel sim ranges lists them)", where,
                           key);
        }
    }
    for (int i = 0; i < FW_RANGE_N; i++) {
        const json_t *r = json_object_get(list, rows[i].name);
        if (r != NULL) {
            FW_TRY(read_range(r, &rows[i], where, &out->r[i], err));
        } else if (!base) {
            return fw_fail(err, FW_FORMAT, "%.100s: range '%s': wanted one, as the file extends no other; found none",
                           where, rows[i].name);
        }
    }
    return FW_OK;
}

static fw_status load(const char *dir, const char *name, int depth, fw_ranges *out, fw_err *err) {
    char file[96], path[900];
    const char *extends;
    json_t *j = NULL;
    snprintf(file, sizeof file, "%.80s.json", name);
    FW_TRY(fw_path_join(path, sizeof path, dir, file, err));
    FW_TRY(fw_json_load(path, &j, err));
    fw_status st = fw_json_str_or(j, "extends", path, "", &extends, err);
    if (st == FW_OK && extends[0] != 0) {
        if (depth >= EXTENDS_MAX || strchr(extends, '/') != NULL) {
            st = fw_fail(err, FW_FORMAT, "%s: key 'extends': wanted a name without '/', at most %d deep; found '%.60s'",
                         path, EXTENDS_MAX, extends);
        } else {
            st = load(dir, extends, depth + 1, out, err);
        }
    }
    if (st == FW_OK) {
        st = fw_ranges_from_json(j, path, extends[0] != 0, out, err);
    }
    json_decref(j);
    return st;
}

fw_status fw_ranges_load(const char *home_dir, const char *name, fw_ranges *out, fw_err *err) {
    char dir[800], path[900], file[96], list[160] = "";
    name = name != NULL ? name : "default";
    FW_TRY(fw_path_join(dir, sizeof dir, home_dir, "configs/randomise", err));
    snprintf(file, sizeof file, "%.80s.json", name);
    FW_TRY(fw_path_join(path, sizeof path, dir, file, err));
    if (strlen(name) >= sizeof out->name || strchr(name, '/') != NULL || !fw_path_exists(path)) {
        char **names = NULL;
        size_t n = 0;
        FW_TRY(fw_list_dir(dir, &names, &n, err));
        for (size_t i = 0; i < n; i++) {
            size_t len = strlen(names[i]), at = strlen(list);
            if (len > 5 && strcmp(names[i] + len - 5, ".json") == 0) {
                snprintf(list + at, sizeof list - at, "%s%.*s", at > 0 ? ", " : "", (int)len - 5, names[i]);
            }
        }
        fw_names_free(names, n);
        return fw_fail(err, FW_INVALID, "no ranges '%.60s' in %.60s; there are %s", name, dir, list);
    }
    memset(out, 0, sizeof *out);
    FW_TRY(load(dir, name, 1, out, err));
    snprintf(out->name, sizeof out->name, "%s", name);
    return FW_OK;
}

void fw_ranges_look(fw_ranges *r, const fw_ranges *look) {
    for (int id = 0; id < FW_RANGE_MASS; id++) { /* what is seen comes first in the table, then what is felt */
        r->r[id] = look->r[id];
    }
    r->held_out = r->held_out || look->held_out;
}

/* --- writing */
static json_t *range_json(fw_range_id id, const fw_range *r) {
    json_t *j = json_pack("{s:s}", "unit", rows[id].unit);
    const char *key = dist_names[r->dist];
    if (r->dist == FW_DIST_PROBABILITY) {
        json_object_set_new(j, key, json_real(r->a));
    } else if (r->dist != FW_DIST_CHOICE) {
        json_object_set_new(j, key, json_pack("[f,f]", r->a, r->b));
    } else {
        json_t *list = json_array();
        char w[32];
        for (int i = 0; i < r->n; i++) {
            bool word = rows[id].words[0] != 0 && word_at(rows[id].words, (int)r->choice[i], w);
            json_array_append_new(list, word ? json_string(w) : json_real(r->choice[i]));
        }
        json_object_set_new(j, key, list);
    }
    return j;
}

json_t *fw_ranges_to_json(const fw_ranges *r) {
    json_t *list = json_object();
    for (int i = 0; i < FW_RANGE_N; i++) {
        json_object_set_new(list, rows[i].name, range_json((fw_range_id)i, &r->r[i]));
    }
    json_t *j = json_pack("{s:s, s:b, s:o}", "what", r->what, "held_out", r->held_out, "ranges", list);
    if (r->engine[0] != 0) {
        json_object_set_new(j, "engine", json_string(r->engine));
    }
    return j;
}

void fw_range_text(fw_range_id id, const fw_range *r, char *out, size_t cap) {
    if (r->dist == FW_DIST_PROBABILITY) {
        snprintf(out, cap, "%g", r->a);
    } else if (r->dist == FW_DIST_BAND) {
        snprintf(out, cap, "+-(%g .. %g)", r->a, r->b);
    } else if (r->dist != FW_DIST_CHOICE) {
        bool one = fw_range_is(r, r->a), log = r->dist == FW_DIST_LOGUNIFORM;
        snprintf(out, cap, one ? "%g" : "%g .. %g%s", r->a, r->b, log ? " (log)" : "");
    } else {
        size_t at = 0;
        char w[32];
        out[0] = 0;
        for (int i = 0; i < r->n && at < cap; i++) {
            if (rows[id].words[0] == 0 || !word_at(rows[id].words, (int)r->choice[i], w)) {
                snprintf(w, sizeof w, "%g", r->choice[i]);
            }
            snprintf(out + at, cap - at, "%s%s", i > 0 ? ", " : "", w);
            at = strlen(out);
        }
    }
}

/* --- drawing */
double fw_range_draw(const fw_range *r, fw_rng *rng) {
    switch (r->dist) {
    case FW_DIST_UNIFORM:
        return fw_rng_uniform(rng, r->a, r->b);
    case FW_DIST_LOGUNIFORM:
        return r->a * exp(log(r->b / r->a) * fw_rng_unit(rng));
    case FW_DIST_BAND: {
        double u = 2 * fw_rng_unit(rng) - 1;
        return u < 0 ? -(r->a - u * (r->b - r->a)) : r->a + u * (r->b - r->a);
    }
    case FW_DIST_CHOICE:
        return r->choice[fw_rng_below(rng, (uint64_t)r->n)];
    default:
        return fw_rng_unit(rng) < r->a ? 1 : 0;
    }
}

double fw_range_most(const fw_range *r) {
    double most = 0;
    for (int i = 0; r->dist == FW_DIST_CHOICE && i < r->n; i++) {
        most = fmax(most, fabs(r->choice[i]));
    }
    return r->dist == FW_DIST_CHOICE        ? most
           : r->dist == FW_DIST_PROBABILITY ? (r->a > 0)
                                            : fmax(fabs(r->a), fabs(r->b));
}

bool fw_range_is(const fw_range *r, double v) {
    for (int i = 0; r->dist == FW_DIST_CHOICE && i < r->n; i++) {
        if (r->choice[i] < v || r->choice[i] > v) {
            return false;
        }
    }
    if (r->dist == FW_DIST_CHOICE) {
        return true;
    }
    if (r->dist == FW_DIST_PROBABILITY) {
        return (v <= 0 && r->a <= 0) || (v >= 1 && r->a >= 1);
    }
    bool sign = r->dist != FW_DIST_BAND || r->a <= 0;
    return sign && r->a <= v && r->a >= v && r->b <= v && r->b >= v;
}
