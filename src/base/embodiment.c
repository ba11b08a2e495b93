#include "base/embodiment.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static const char *const meanings[] = {
#define X(name, text) [FW_MEANING_##name] = text,
    FW_MEANING_MAP(X)
#undef X
};
#define N_MEANING (sizeof(meanings) / sizeof(*meanings))

const char *fw_meaning_name(fw_meaning m) {
    return (unsigned)m < N_MEANING ? meanings[m] : "?";
}

static fw_status read_name(const json_t *j, const char *where, char out[FW_NAME_MAX], fw_err *err) {
    const char *s;
    FW_TRY(fw_json_str(j, "name", where, &s, err));
    size_t n = strlen(s);
    if (n == 0 || n >= FW_NAME_MAX || strchr(s, '/') != NULL) {
        return fw_fail(err, FW_FORMAT, "%s: key 'name': wanted 1..%d characters without '/', found \"%.70s\"", where,
                       FW_NAME_MAX - 1, s);
    }
    memcpy(out, s, n + 1);
    return FW_OK;
}

static fw_status read_meaning(const json_t *j, const char *where, fw_meaning *out, fw_err *err) {
    const char *s;
    char list[160] = "";
    FW_TRY(fw_json_str(j, "meaning", where, &s, err));
    for (size_t i = 0, at = 0; i < N_MEANING; i++) {
        if (strcmp(s, meanings[i]) == 0) {
            *out = (fw_meaning)i;
            return FW_OK;
        }
        at += (size_t)snprintf(list + at, sizeof(list) - at, " %s", meanings[i]);
    }
    return fw_fail(err, FW_FORMAT, "%.60s: key 'meaning': found \"%.30s\", known are:%s", where, s, list);
}

static fw_status read_dim(const json_t *j, const char *where, fw_dim *d, fw_err *err) {
    static const char *const known[] = {"name", "meaning", "arm", "min", "max", NULL};
    int64_t arm;
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(read_name(j, where, d->name, err));
    FW_TRY(read_meaning(j, where, &d->meaning, err));
    FW_TRY(fw_json_i64_or(j, "arm", where, 0, 3, 0, &arm, err));
    d->arm = (int)arm;
    FW_TRY(fw_json_f64(j, "min", where, &d->min, err));
    FW_TRY(fw_json_f64(j, "max", where, &d->max, err));
    if (!(d->min < d->max)) {
        return fw_fail(err, FW_FORMAT, "%s: \"%s\": wanted min < max, found %g and %g", where, d->name, d->min, d->max);
    }
    return FW_OK;
}

static fw_status read_camera(const json_t *j, const char *where, fw_camera *c, fw_err *err) {
    static const char *const known[] = {"name", "width", "height", NULL};
    int64_t w, h;
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(read_name(j, where, c->name, err));
    FW_TRY(fw_json_i64(j, "width", where, 1, 8192, &w, err));
    FW_TRY(fw_json_i64(j, "height", where, 1, 8192, &h, err));
    c->width = (int)w;
    c->height = (int)h;
    return FW_OK;
}

/* `list` of `key`: at least `least`, at most `most` entries */
static fw_status read_list(const json_t *j, const char *key, const char *where, int least, int most,
                           const json_t **list, int *n, fw_err *err) {
    FW_TRY(fw_json_arr(j, key, where, list, err));
    size_t size = json_array_size(*list);
    if (size < (size_t)least || size > (size_t)most) {
        return fw_fail(err, FW_FORMAT, "%s: key '%s': wanted %d..%d entries, found %zu", where, key, least, most, size);
    }
    *n = (int)size;
    return FW_OK;
}

static fw_status read_dims(const json_t *j, const char *key, const char *where, int least, fw_dim dim[FW_DIM_MAX],
                           int *n, fw_err *err) {
    const json_t *list;
    char at[160];
    FW_TRY(read_list(j, key, where, least, FW_DIM_MAX, &list, n, err));
    for (int i = 0; i < *n; i++) {
        snprintf(at, sizeof(at), "%.120s: %s[%d]", where, key, i);
        FW_TRY(read_dim(json_array_get(list, (size_t)i), at, &dim[i], err));
        for (int k = 0; k < i; k++) {
            if (strcmp(dim[k].name, dim[i].name) == 0) {
                return fw_fail(err, FW_FORMAT, "%s: name \"%s\" is taken by %s[%d]", at, dim[i].name, key, k);
            }
        }
    }
    return FW_OK;
}

static fw_status read_cameras(const json_t *j, const char *where, fw_embodiment *e, fw_err *err) {
    const json_t *list;
    char at[160];
    FW_TRY(read_list(j, "cameras", where, 0, FW_CAM_MAX, &list, &e->n_camera, err));
    for (int i = 0; i < e->n_camera; i++) {
        snprintf(at, sizeof(at), "%.120s: cameras[%d]", where, i);
        FW_TRY(read_camera(json_array_get(list, (size_t)i), at, &e->camera[i], err));
        for (int k = 0; k < i; k++) {
            if (strcmp(e->camera[k].name, e->camera[i].name) == 0) {
                return fw_fail(err, FW_FORMAT, "%s: name \"%s\" is taken by cameras[%d]", at, e->camera[i].name, k);
            }
        }
    }
    return FW_OK;
}

fw_status fw_embodiment_from_json(const json_t *j, const char *where, fw_embodiment *out, fw_err *err) {
    static const char *const known[] = {"name",   "held_out", "rate_hz", "cameras", "state",
                                        "action", "model",    "safety",  NULL};
    fw_embodiment e;
    memset(&e, 0, sizeof(e));
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(read_name(j, where, e.name, err));
    FW_TRY(fw_json_bool_or(j, "held_out", where, false, &e.held_out, err));
    FW_TRY(fw_json_f64(j, "rate_hz", where, &e.rate_hz, err));
    if (!(e.rate_hz > 0.0 && e.rate_hz <= 10000.0)) {
        return fw_fail(err, FW_FORMAT, "%s: key 'rate_hz': wanted 0 < rate <= 10000, found %g", where, e.rate_hz);
    }
    FW_TRY(read_cameras(j, where, &e, err));
    FW_TRY(read_dims(j, "state", where, 0, e.state, &e.n_state, err));
    FW_TRY(read_dims(j, "action", where, 1, e.action, &e.n_action, err));
    *out = e;
    return FW_OK;
}

static json_t *dims_to_json(const fw_dim *dim, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        json_t *one = json_pack("{s:s, s:s, s:f, s:f}", "name", dim[i].name, "meaning", fw_meaning_name(dim[i].meaning),
                                "min", dim[i].min, "max", dim[i].max);
        if (dim[i].arm != 0) {
            json_object_set_new(one, "arm", json_integer(dim[i].arm));
        }
        json_array_append_new(list, one);
    }
    return list;
}

json_t *fw_embodiment_to_json(const fw_embodiment *e) {
    json_t *cameras = json_array();
    for (int i = 0; i < e->n_camera; i++) {
        const fw_camera *c = &e->camera[i];
        json_array_append_new(cameras,
                              json_pack("{s:s, s:i, s:i}", "name", c->name, "width", c->width, "height", c->height));
    }
    json_t *j = json_pack("{s:s, s:f, s:o, s:o, s:o}", "name", e->name, "rate_hz", e->rate_hz, "cameras", cameras,
                          "state", dims_to_json(e->state, e->n_state), "action", dims_to_json(e->action, e->n_action));
    if (e->held_out) {
        json_object_set_new(j, "held_out", json_true());
    }
    return j;
}

fw_status fw_embodiment_load(const char *path, fw_embodiment *out, fw_err *err) {
    json_t *j;
    FW_TRY(fw_json_load(path, &j, err));
    fw_status s = fw_embodiment_from_json(j, path, out, err);
    json_decref(j);
    return s;
}

/* "panda_kitchen so101" of the folder: the names that exist */
static void known_names(const char *dir, char *out, size_t cap) {
    char **names;
    size_t n;
    out[0] = 0;
    if (fw_list_dir(dir, &names, &n, NULL) != FW_OK) {
        snprintf(out, cap, "none: there is no folder %.90s", dir);
        return;
    }
    for (size_t i = 0, at = 0; i < n && at < cap; i++) {
        size_t len = strlen(names[i]);
        if (len > 5 && strcmp(names[i] + len - 5, ".json") == 0) {
            at += (size_t)snprintf(out + at, cap - at, "%s%.*s", at > 0 ? " " : "", (int)len - 5, names[i]);
        }
    }
    fw_names_free(names, n);
}

fw_status fw_embodiment_find(const char *name, fw_embodiment *out, fw_err *err) {
    char dir[PATH_MAX], path[PATH_MAX], list[128];
    FW_TRY(fw_path_join(dir, sizeof(dir), fw_home(), "embodiments", err));
    int n = snprintf(path, sizeof(path), "%.3000s/%.64s.json", dir, name);
    if (n > 0 && strlen(name) < FW_NAME_MAX && strchr(name, '/') == NULL && fw_path_exists(path)) {
        return fw_embodiment_load(path, out, err);
    }
    known_names(dir, list, sizeof(list));
    return fw_fail(err, FW_INVALID, "unknown embodiment '%.64s'; known are: %s", name, list);
}
