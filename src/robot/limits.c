/* limits.c - see limits.h: tables of keys, one reader for each kind of them, and which way is tighter. */
#include "robot/limits.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

enum { WHERE = 128, LONGEST_US = 60000000 };

/* Which way a user may move a number. */
typedef enum { FIXED, LOWER, HIGHER } tighter;

/* One number an axis. The bounds are wide, but too narrow for degrees, degrees a second and newton millimetres. */
typedef struct axis_key {
    const char *key, *unit;
    size_t at; /* of the float in fw_safety_axis */
    double min, max;
    tighter way;
} axis_key;
#define AXIS(field, unit, min, max, way)                                                                               \
    { #field, unit, offsetof(fw_safety_axis, field), min, max, way }
#define ABOVE_0 1e-6
static const axis_key axis_keys[] = {
    AXIS(position_min, "rad (m for a slide)", -12.6, 12.6, HIGHER),
    AXIS(position_max, "rad (m for a slide)", -12.6, 12.6, LOWER),
    AXIS(velocity, "rad/s (m/s)", ABOVE_0, 30, LOWER),
    AXIS(acceleration, "rad/s^2 (m/s^2)", ABOVE_0, 1e4, LOWER),
    AXIS(jerk, "rad/s^3 (m/s^3)", ABOVE_0, 1e6, LOWER),
    AXIS(torque, "Nm (N)", ABOVE_0, 2000, LOWER),
    AXIS(torque_release, "Nm (N)", 0, 2000, LOWER),
    AXIS(contact, "Nm (N)", ABOVE_0, 2000, LOWER),
    AXIS(clamp, "Nm (N)", ABOVE_0, 2000, LOWER),
    AXIS(follow, "rad (m)", ABOVE_0, 3.2, LOWER),
    AXIS(noise, "rad (m)", 0, 0.5, FIXED),
    AXIS(velocity_tolerance, "rad/s (m/s)", 0, 30, FIXED),
    AXIS(retract, "rad (m for a slide)", -12.6, 12.6, FIXED),
};
enum { N_AXIS_KEY = sizeof axis_keys / sizeof *axis_keys };

/* Microseconds. Shorter than a cycle are only milliseconds by mistake; but being late may count sooner. */
typedef struct time_key {
    const char *key;
    size_t at; /* of the uint32_t in fw_safety_limits */
    bool a_cycle;
    tighter way;
} time_key;
#define TIME(field, a_cycle, way)                                                                                      \
    { #field, offsetof(fw_safety_limits, field), a_cycle, way }
static const time_key time_keys[] = {
    TIME(late_us, false, FIXED), TIME(sensor_us, true, LOWER),  TIME(command_us, true, LOWER),
    TIME(hold_us, true, FIXED),  TIME(retract_us, true, FIXED), TIME(overload_us, true, LOWER),
    TIME(clamp_us, true, LOWER), TIME(warn_us, true, FIXED),
};
enum { N_TIME_KEY = sizeof time_keys / sizeof *time_keys };
static const char *const parties[FW_SAFETY_N_PARTY] = {"policy", "operator", "supervisor"};

static float *axis_number(fw_safety_limits *l, size_t i, const axis_key *k) {
    return (float *)(void *)((char *)&l->axis[i] + k->at);
}

static uint32_t *time_number(fw_safety_limits *l, const time_key *k) {
    return (uint32_t *)(void *)((char *)l + k->at);
}

/* ---- one key ---- */

static fw_status read_axis_key(const json_t *j, const char *where, const axis_key *k, fw_safety_limits *l,
                               const fw_limits_names *names, fw_err *err) {
    double v[FW_SAFETY_AXIS_MAX];
    FW_TRY(fw_json_f64s(j, k->key, where, v, l->n_axis, err));
    for (size_t i = 0; i < l->n_axis; i++) {
        if (!(v[i] >= k->min && v[i] <= k->max)) {
            return fw_fail(err, FW_FORMAT, "%.90s: key '%s[%zu]' (%.40s): wanted %g..%g %s, found %g", where, k->key, i,
                           names->axis[i], k->min, k->max, k->unit, v[i]);
        }
        *axis_number(l, i, k) = (float)v[i];
    }
    return FW_OK;
}

static fw_status read_us(const json_t *j, const char *key, const char *where, int64_t least, uint32_t *out,
                         fw_err *err) {
    int64_t us;
    FW_TRY(fw_json_i64(j, key, where, 0, LONGEST_US, &us, err));
    if (us < least) {
        return fw_fail(err, FW_FORMAT, "%.90s: key '%s': wanted at least %lld microseconds, found %lld", where, key,
                       (long long)least, (long long)us);
    }
    *out = (uint32_t)us;
    return FW_OK;
}

static int64_t least_us(const fw_safety_limits *l, const time_key *k) {
    return k->a_cycle ? l->period_us : 1;
}

static fw_status read_vec(const json_t *j, const char *key, const char *where, size_t n, double most, float *out,
                          fw_err *err) {
    double v[4];
    FW_TRY(fw_json_f64s(j, key, where, v, n, err));
    for (size_t i = 0; i < n; i++) {
        if (fabs(v[i]) > most) {
            return fw_fail(err, FW_FORMAT, "%.90s: key '%s[%zu]': wanted at most %g, found %g", where, key, i, most,
                           v[i]);
        }
        out[i] = (float)v[i];
    }
    return FW_OK;
}

static fw_status read_range(const json_t *j, const char *key, const char *where, double min, double max, float *out,
                            fw_err *err) {
    double v;
    FW_TRY(fw_json_f64(j, key, where, &v, err));
    if (!(v >= min && v <= max)) {
        return fw_fail(err, FW_FORMAT, "%.90s: key '%s': wanted %g..%g, found %g", where, key, min, max, v);
    }
    *out = (float)v;
    return FW_OK;
}

static fw_status read_list(const json_t *j, const char *key, const char *where, size_t least, size_t most,
                           const json_t **list, fw_err *err) {
    FW_TRY(fw_json_arr(j, key, where, list, err));
    const size_t n = json_array_size(*list);
    return n >= least && n <= most ? FW_OK
                                   : fw_fail(err, FW_FORMAT, "%.90s: key '%s': wanted %zu..%zu entries, found %zu",
                                             where, key, least, most, n);
}

static fw_status take_name(const json_t *v, const char *where, char out[FW_NAME_MAX], fw_err *err) {
    const char *s = json_string_value(v);
    if (s == NULL || strlen(s) == 0 || strlen(s) >= FW_NAME_MAX) {
        return fw_fail(err, FW_FORMAT, "%.120s: wanted a name of 1..%d characters", where, FW_NAME_MAX - 1);
    }
    snprintf(out, FW_NAME_MAX, "%s", s);
    return FW_OK;
}

/* ---- parts ---- */

static fw_status read_axes(const json_t *j, const char *where, fw_safety_limits *l, fw_limits_names *names,
                           fw_err *err) {
    const json_t *list;
    char at[WHERE + 40];
    FW_TRY(read_list(j, "axes", where, 1, FW_SAFETY_AXIS_MAX, &list, err));
    l->n_axis = (uint32_t)json_array_size(list);
    for (size_t i = 0; i < l->n_axis; i++) {
        snprintf(at, sizeof at, "%.*s: key 'axes[%zu]'", WHERE, where, i);
        FW_TRY(take_name(json_array_get(list, i), at, names->axis[i], err));
        for (size_t k = 0; k < i; k++) {
            if (strcmp(names->axis[k], names->axis[i]) == 0) {
                return fw_fail(err, FW_FORMAT, "%s: \"%s\" is axes[%zu] already", at, names->axis[i], k);
            }
        }
    }
    return FW_OK;
}

static fw_status read_grip(const json_t *j, const char *where, fw_safety_limits *l, fw_err *err) {
    double v[FW_SAFETY_AXIS_MAX];
    FW_TRY(fw_json_f64s(j, "grip", where, v, l->n_axis, err));
    for (size_t i = 0; i < l->n_axis; i++) {
        if (v[i] != 0 && v[i] != 1 && v[i] != -1) {
            return fw_fail(err, FW_FORMAT, "%.90s: key 'grip[%zu]': wanted -1, 0 or 1, found %g", where, i, v[i]);
        }
        l->axis[i].grip = (int32_t)v[i];
    }
    return FW_OK;
}

static fw_status read_times(const json_t *j, const char *where, fw_safety_limits *l, fw_err *err) {
    static const char *const known[] = {"policy", "operator", "supervisor", NULL};
    const json_t *beats;
    char at[WHERE + 40];
    for (int i = 0; i < N_TIME_KEY; i++) {
        FW_TRY(read_us(j, time_keys[i].key, where, least_us(l, &time_keys[i]), time_number(l, &time_keys[i]), err));
    }
    FW_TRY(fw_json_obj(j, "heartbeat_us", where, &beats, err));
    snprintf(at, sizeof at, "%.*s: heartbeat_us", WHERE, where);
    FW_TRY(fw_json_only(beats, at, known, err));
    for (int p = 0; p < FW_SAFETY_N_PARTY; p++) {
        const bool none = p == FW_SAFETY_SUPERVISOR && json_integer_value(json_object_get(beats, parties[p])) == 0;
        FW_TRY(read_us(beats, parties[p], at, none ? 0 : l->period_us, &l->heartbeat_us[p], err));
    }
    return FW_OK;
}

static fw_status read_capsule(const json_t *j, const char *at, fw_safety_link *k, fw_err *err) {
    k->capsule = json_object_get(j, "radius") != NULL;
    if (!k->capsule) {
        static const char *const bodily[] = {"from", "to", "confined"};
        for (int i = 0; i < 3; i++) {
            if (json_object_get(j, bodily[i]) != NULL) {
                return fw_fail(err, FW_FORMAT, "%.120s: key '%s' without a 'radius'", at, bodily[i]);
            }
        }
        return FW_OK;
    }
    FW_TRY(read_range(j, "radius", at, ABOVE_0, 2, &k->radius, err));
    FW_TRY(read_vec(j, "from", at, 3, 10, k->from, err));
    FW_TRY(read_vec(j, "to", at, 3, 10, k->to, err));
    return fw_json_bool(j, "confined", at, &k->confined, err);
}

static fw_status read_link(const json_t *j, const char *at, int64_t i, const fw_safety_limits *l, fw_safety_link *k,
                           fw_err *err) {
    static const char *const known[] = {"name",  "parent", "axis", "slide", "pos",    "quat",     "about",
                                        "scale", "offset", "from", "to",    "radius", "confined", NULL};
    int64_t parent, axis;
    double scale, offset;
    FW_TRY(fw_json_only(j, at, known, err));
    FW_TRY(fw_json_i64(j, "parent", at, FW_SAFETY_NOBODY, i - 1, &parent, err));
    FW_TRY(fw_json_i64(j, "axis", at, FW_SAFETY_NOBODY, (int64_t)l->n_axis - 1, &axis, err));
    FW_TRY(fw_json_bool_or(j, "slide", at, false, &k->slide, err));
    FW_TRY(read_vec(j, "pos", at, 3, 10, k->pos, err));
    FW_TRY(read_vec(j, "quat", at, 4, 1.01, k->quat, err));
    FW_TRY(fw_json_f64_or(j, "scale", at, 1, &scale, err));
    FW_TRY(fw_json_f64_or(j, "offset", at, 0, &offset, err));
    if (!(fabs(scale) <= 100) || !(fabs(offset) <= 12.6)) {
        return fw_fail(err, FW_FORMAT, "%.90s: wanted |scale| <= 100 and |offset| <= 12.6 rad (m), found %g and %g", at,
                       scale, offset);
    }
    k->parent = (int32_t)parent, k->axis = (int32_t)axis;
    k->scale = (float)scale, k->offset = (float)offset;
    k->about[0] = k->about[1] = 0, k->about[2] = 1;
    if (json_object_get(j, "about") != NULL) {
        FW_TRY(read_vec(j, "about", at, 3, 1.01, k->about, err));
    }
    return read_capsule(j, at, k, err);
}

static fw_status read_links(const json_t *j, const char *where, fw_safety_limits *l, fw_limits_names *names,
                            fw_err *err) {
    const json_t *list;
    char at[WHERE + 40], name_at[WHERE + 60];
    FW_TRY(read_list(j, "links", where, 0, FW_SAFETY_LINK_MAX, &list, err));
    l->n_link = (uint32_t)json_array_size(list);
    for (size_t i = 0; i < l->n_link; i++) {
        const json_t *one = json_array_get(list, i);
        snprintf(at, sizeof at, "%.*s: links[%zu]", WHERE, where, i);
        FW_TRY(read_link(one, at, (int64_t)i, l, &l->link[i], err));
        if (json_object_get(one, "name") != NULL) {
            snprintf(name_at, sizeof name_at, "%s: key 'name'", at);
            FW_TRY(take_name(json_object_get(one, "name"), name_at, names->link[i], err));
        }
    }
    return FW_OK;
}

static fw_status read_box(const json_t *j, const char *at, fw_safety_box *b, fw_err *err) {
    FW_TRY(read_vec(j, "min", at, 3, 100, b->min, err));
    FW_TRY(read_vec(j, "max", at, 3, 100, b->max, err));
    for (int i = 0; i < 3; i++) {
        if (!(b->min[i] < b->max[i])) {
            return fw_fail(err, FW_FORMAT, "%.90s: wanted min < max, found min[%d] %g and max[%d] %g", at, i,
                           (double)b->min[i], i, (double)b->max[i]);
        }
    }
    return FW_OK;
}

static fw_status read_workspace(const json_t *j, const char *where, fw_safety_box *b, fw_err *err) {
    static const char *const known[] = {"min", "max", NULL};
    const json_t *one;
    char at[WHERE + 40];
    FW_TRY(fw_json_obj(j, "workspace", where, &one, err));
    snprintf(at, sizeof at, "%.*s: workspace", WHERE, where);
    FW_TRY(fw_json_only(one, at, known, err));
    return read_box(one, at, b, err);
}

/* A number of a link that has a body. */
static fw_status take_link(const json_t *v, const char *at, const fw_safety_limits *l, uint32_t *out, fw_err *err) {
    const json_int_t i = json_is_integer(v) ? json_integer_value(v) : -1;
    if (i < 0 || i >= (json_int_t)l->n_link || !l->link[i].capsule) {
        return fw_fail(err, FW_FORMAT, "%.120s: wanted numbers of links that have a radius, 0..%d", at,
                       (int)l->n_link - 1);
    }
    *out = (uint32_t)i;
    return FW_OK;
}

/* Added to those that are there. */
static fw_status read_keepouts(const json_t *j, const char *where, fw_safety_limits *l, fw_err *err) {
    static const char *const known[] = {"name", "min", "max", "links", NULL};
    const json_t *list, *links;
    char at[WHERE + 40];
    FW_TRY(read_list(j, "keepouts", where, 0, FW_SAFETY_KEEPOUT_MAX - l->n_keepout, &list, err));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        fw_safety_box b = {.links = 0};
        snprintf(at, sizeof at, "%.*s: keepouts[%zu]", WHERE, where, i);
        FW_TRY(fw_json_only(one, at, known, err));
        FW_TRY(read_box(one, at, &b, err));
        FW_TRY(read_list(one, "links", at, 1, FW_SAFETY_LINK_MAX, &links, err));
        for (size_t k = 0; k < json_array_size(links); k++) {
            uint32_t link;
            FW_TRY(take_link(json_array_get(links, k), at, l, &link, err));
            b.links |= 1U << link;
        }
        l->keepout[l->n_keepout++] = b;
    }
    return FW_OK;
}

static fw_status read_pairs(const json_t *j, const char *where, fw_safety_limits *l, fw_err *err) {
    const json_t *list;
    char at[WHERE + 40];
    FW_TRY(read_list(j, "pairs", where, 0, FW_SAFETY_PAIR_MAX, &list, err));
    l->n_pair = (uint32_t)json_array_size(list);
    for (size_t i = 0; i < l->n_pair; i++) {
        const json_t *one = json_array_get(list, i);
        snprintf(at, sizeof at, "%.*s: pairs[%zu]", WHERE, where, i);
        if (json_array_size(one) != 2) {
            return fw_fail(err, FW_FORMAT, "%s: wanted two links", at);
        }
        for (size_t k = 0; k < 2; k++) {
            FW_TRY(take_link(json_array_get(one, k), at, l, &l->pair[i][k], err));
        }
        if (l->pair[i][0] == l->pair[i][1]) {
            return fw_fail(err, FW_FORMAT, "%s: wanted two links, found %u twice", at, l->pair[i][0]);
        }
    }
    return FW_OK;
}

static fw_status read_sources(const json_t *j, const char *where, fw_err *err) {
    const json_t *sources, *v;
    const char *key;
    if (json_object_get(j, "sources") == NULL) {
        return FW_OK;
    }
    FW_TRY(fw_json_obj(j, "sources", where, &sources, err));
    json_object_foreach((json_t *)sources, key, v) {
        if (!json_is_string(v)) {
            return fw_fail(err, FW_FORMAT, "%.90s: sources: key '%.60s': wanted words", where, key);
        }
    }
    return FW_OK;
}

/* ---- the whole ---- */

static const char *const whole_keys[] = {"axes",           "period_us",
                                         "position_min",   "position_max",
                                         "velocity",       "acceleration",
                                         "jerk",           "torque",
                                         "torque_release", "contact",
                                         "clamp",          "follow",
                                         "noise",          "velocity_tolerance",
                                         "can_retract",    "retract",
                                         "retract_scale",  "grip",
                                         "late_us",        "sensor_us",
                                         "command_us",     "hold_us",
                                         "retract_us",     "overload_us",
                                         "clamp_us",       "warn_us",
                                         "heartbeat_us",   "links",
                                         "workspace",      "keepouts",
                                         "pairs",          "margin",
                                         "sources",        NULL};

static fw_status read_whole(const json_t *j, const char *where, fw_safety_limits *l, fw_limits_names *names,
                            fw_err *err) {
    int64_t period;
    FW_TRY(fw_json_only(j, where, whole_keys, err));
    FW_TRY(read_axes(j, where, l, names, err));
    FW_TRY(fw_json_i64(j, "period_us", where, 500, FW_SAFETY_STOP_US, &period, err));
    l->period_us = (uint32_t)period;
    for (int i = 0; i < N_AXIS_KEY; i++) {
        FW_TRY(read_axis_key(j, where, &axis_keys[i], l, names, err));
    }
    FW_TRY(read_grip(j, where, l, err));
    FW_TRY(fw_json_bool(j, "can_retract", where, &l->can_retract, err));
    FW_TRY(read_range(j, "retract_scale", where, ABOVE_0, 1, &l->retract_scale, err));
    FW_TRY(read_times(j, where, l, err));
    FW_TRY(read_links(j, where, l, names, err));
    FW_TRY(read_workspace(j, where, &l->workspace, err));
    FW_TRY(read_keepouts(j, where, l, err));
    FW_TRY(read_pairs(j, where, l, err));
    FW_TRY(read_range(j, "margin", where, 0, 1, &l->margin, err));
    return read_sources(j, where, err);
}

static fw_status verdict(const fw_safety_limits *l, const fw_limits_names *names, const char *where, fw_err *err) {
    const fw_safety_limits_error bad = fw_safety_limits_check(l);
    char text[160];
    return bad.what == FW_SAFETY_LIMITS_OK
               ? FW_OK
               : fw_fail(err, FW_FORMAT, "%.90s: %s", where, fw_limits_text(bad, names, text, sizeof text));
}

fw_status fw_limits_from_json(const json_t *safety, const char *where, fw_safety_limits *out, fw_limits_names *names,
                              fw_err *err) {
    fw_safety_limits l;
    fw_limits_names n;
    memset(&l, 0, sizeof l);
    memset(&n, 0, sizeof n);
    FW_TRY(read_whole(safety, where, &l, &n, err));
    FW_TRY(verdict(&l, &n, where, err));
    *out = l;
    if (names != NULL) {
        *names = n;
    }
    return FW_OK;
}

fw_status fw_limits_load(const char *home_dir, const char *embodiment, fw_safety_limits *out, fw_limits_names *names,
                         fw_err *err) {
    char path[1024], file[FW_NAME_MAX + 32], where[WHERE];
    json_t *j;
    if (strlen(embodiment) == 0 || strlen(embodiment) >= FW_NAME_MAX || strchr(embodiment, '/') != NULL) {
        return fw_fail(err, FW_INVALID, "'%.80s' is not a name of an embodiment", embodiment);
    }
    snprintf(file, sizeof file, "embodiments/%s.json", embodiment);
    snprintf(where, sizeof where, "%s: safety", file);
    FW_TRY(fw_path_join(path, sizeof path, home_dir, file, err));
    FW_TRY(fw_json_load(path, &j, err));
    const json_t *safety = json_object_get(j, "safety");
    const fw_status st =
        safety != NULL ? fw_limits_from_json(safety, where, out, names, err)
                       : fw_fail(err, FW_UNSUPPORTED, "%s: no key 'safety': a robot without limits is not moved", file);
    json_decref(j);
    return st;
}

/* ---- tighter ---- */

static bool looser(tighter way, double was, double is) {
    return way == LOWER ? is > was : is < was;
}

static fw_status too_loose(const char *where, const char *key, const char *of, double was, double is, fw_err *err) {
    return fw_fail(err, FW_FORMAT, "%.90s: key '%s'%s%.40s: %g is looser than the robot's %g: it may only be tighter",
                   where, key, *of != 0 ? " of " : "", of, is, was);
}

static fw_status tighten_axes(const json_t *j, const char *where, fw_safety_limits *l, const fw_limits_names *names,
                              fw_err *err) {
    fw_safety_limits was = *l;
    for (int k = 0; k < N_AXIS_KEY; k++) {
        const axis_key *a = &axis_keys[k];
        if (json_object_get(j, a->key) == NULL) {
            continue;
        }
        FW_TRY(read_axis_key(j, where, a, l, names, err));
        for (size_t i = 0; i < l->n_axis; i++) {
            const float before = *axis_number(&was, i, a), now = *axis_number(l, i, a);
            if (looser(a->way, (double)before, (double)now)) {
                return too_loose(where, a->key, names->axis[i], (double)before, (double)now, err);
            }
        }
    }
    return FW_OK;
}

static fw_status tighten_us(const json_t *j, const char *key, const char *where, int64_t least, uint32_t *us,
                            fw_err *err) {
    const uint32_t was = *us;
    if (json_object_get(j, key) == NULL) {
        return FW_OK;
    }
    FW_TRY(read_us(j, key, where, least, us, err));
    return *us <= was ? FW_OK : too_loose(where, key, "", was, *us, err);
}

static fw_status tighten_times(const json_t *j, const char *where, fw_safety_limits *l, fw_err *err) {
    static const char *const known[] = {"policy", "operator", "supervisor", NULL};
    const json_t *beats = json_object_get(j, "heartbeat_us");
    char at[WHERE + 40];
    for (int k = 0; k < N_TIME_KEY; k++) {
        FW_TRY(tighten_us(j, time_keys[k].key, where, least_us(l, &time_keys[k]), time_number(l, &time_keys[k]), err));
    }
    if (beats == NULL) {
        return FW_OK;
    }
    snprintf(at, sizeof at, "%.*s: heartbeat_us", WHERE, where);
    FW_TRY(fw_json_only(beats, at, known, err));
    for (int p = 0; p < FW_SAFETY_N_PARTY; p++) {
        FW_TRY(tighten_us(beats, parties[p], at, l->period_us, &l->heartbeat_us[p], err));
    }
    return FW_OK;
}

static fw_status tighten_number(const json_t *j, const char *key, const char *where, tighter way, double max, float *x,
                                fw_err *err) {
    const float was = *x;
    if (json_object_get(j, key) == NULL) {
        return FW_OK;
    }
    FW_TRY(read_range(j, key, where, way == LOWER ? ABOVE_0 : 0, max, x, err));
    return looser(way, (double)was, (double)*x) ? too_loose(where, key, "", (double)was, (double)*x, err) : FW_OK;
}

static fw_status tighten_space(const json_t *j, const char *where, fw_safety_limits *l, fw_err *err) {
    const fw_safety_box was = l->workspace;
    if (json_object_get(j, "keepouts") != NULL) {
        FW_TRY(read_keepouts(j, where, l, err));
    }
    if (json_object_get(j, "workspace") == NULL) {
        return FW_OK;
    }
    FW_TRY(read_workspace(j, where, &l->workspace, err));
    for (int i = 0; i < 3; i++) {
        if (l->workspace.min[i] < was.min[i]) {
            return too_loose(where, "workspace", "min", (double)was.min[i], (double)l->workspace.min[i], err);
        }
        if (l->workspace.max[i] > was.max[i]) {
            return too_loose(where, "workspace", "max", (double)was.max[i], (double)l->workspace.max[i], err);
        }
    }
    return FW_OK;
}

fw_status fw_limits_tighten_json(const json_t *j, const char *where, fw_safety_limits *limits,
                                 const fw_limits_names *names, fw_err *err) {
    static const char *const known[] = {
        "speed",          "position_min", "position_max", "velocity",  "acceleration",  "jerk",      "torque",
        "torque_release", "contact",      "clamp",        "follow",    "retract_scale", "sensor_us", "command_us",
        "overload_us",    "clamp_us",     "heartbeat_us", "workspace", "keepouts",      "margin",    NULL};
    static const fw_limits_names unnamed;
    fw_safety_limits l = *limits;
    float speed = 1;
    names = names != NULL ? names : &unnamed;
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(tighten_axes(j, where, &l, names, err));
    FW_TRY(tighten_times(j, where, &l, err));
    FW_TRY(tighten_number(j, "retract_scale", where, LOWER, 1, &l.retract_scale, err));
    FW_TRY(tighten_number(j, "margin", where, HIGHER, 1, &l.margin, err));
    FW_TRY(tighten_number(j, "speed", where, LOWER, 1, &speed, err));
    FW_TRY(tighten_space(j, where, &l, err));
    for (uint32_t i = 0; i < l.n_axis; i++) {
        l.axis[i].velocity *= speed;
    }
    FW_TRY(verdict(&l, names, where, err));
    *limits = l;
    return FW_OK;
}

fw_status fw_limits_tighten(const char *path, fw_safety_limits *limits, const fw_limits_names *names, fw_err *err) {
    json_t *j;
    FW_TRY(fw_json_load(path, &j, err));
    const fw_status st = fw_limits_tighten_json(j, path, limits, names, err);
    json_decref(j);
    return st;
}

/* ---- words ---- */

/* What is wrong, and what the index counts: a: axes, l: links, t: times, k: keep-outs, p: pairs, 0: there is one. */
static const struct {
    char counts;
    const char *what;
} words[] = {
    [FW_SAFETY_LIMITS_OK] = {0, "right"},
    [FW_SAFETY_LIMITS_N_AXIS] = {0, "axes: wanted 1 to 16"},
    [FW_SAFETY_LIMITS_POSITION] = {'a', "position: wanted min < max, both within 1000"},
    [FW_SAFETY_LIMITS_VELOCITY] = {'a', "velocity: wanted above 0"},
    [FW_SAFETY_LIMITS_ACCELERATION] = {'a', "acceleration: wanted above 0"},
    [FW_SAFETY_LIMITS_JERK] = {'a', "jerk: wanted above 0, and full acceleration within 64 cycles"},
    [FW_SAFETY_LIMITS_TORQUE] = {'a', "torque: wanted above 0, and torque_release at most that"},
    [FW_SAFETY_LIMITS_CONTACT] = {'a', "contact: wanted above 0, and clamp at most that"},
    [FW_SAFETY_LIMITS_FOLLOW] = {'a', "follow: wanted above 0"},
    [FW_SAFETY_LIMITS_NOISE] = {'a', "noise, velocity_tolerance: wanted 0 or more"},
    [FW_SAFETY_LIMITS_RETRACT] = {'a', "retract: wanted inside the position limits, and retract_scale in 0..1"},
    [FW_SAFETY_LIMITS_GRIP] = {'a', "grip: wanted -1, 0 or 1"},
    [FW_SAFETY_LIMITS_STOP] = {'a', "velocity, acceleration, jerk: wanted a stop from full speed within 100 ms"},
    [FW_SAFETY_LIMITS_PERIOD] = {0, "period_us: wanted 500 to 100000"},
    [FW_SAFETY_LIMITS_TIMEOUT] = {'t', "wanted 1 to 60000000 microseconds"},
    [FW_SAFETY_LIMITS_LINK] = {'l', "wanted an earlier parent, quat and about of unit length, sizes within 1000"},
    [FW_SAFETY_LIMITS_WORKSPACE] = {0, "workspace: wanted min < max"},
    [FW_SAFETY_LIMITS_KEEPOUT] = {'k', "wanted min < max, and at most 8"},
    [FW_SAFETY_LIMITS_PAIR] = {'p', "wanted two different links with a radius, and at most 32"},
    [FW_SAFETY_LIMITS_MARGIN] = {0, "margin: wanted 0 or more"},
};

static const char *counted(char kind, uint32_t i, const fw_limits_names *names, char out[FW_NAME_MAX + 16]) {
    static const char *const times[] = {
        "late_us", "sensor_us",           "command_us",           "hold_us", "retract_us", "overload_us", "clamp_us",
        "warn_us", "heartbeat_us.policy", "heartbeat_us.operator"};
    const bool axis = kind == 'a' && names != NULL && i < FW_SAFETY_AXIS_MAX && names->axis[i][0] != 0;
    const bool link = kind == 'l' && names != NULL && i < FW_SAFETY_LINK_MAX && names->link[i][0] != 0;
    const char *thing = kind == 'a' ? "axis" : kind == 'l' ? "links" : kind == 'k' ? "keepouts" : "pairs";
    if (axis || link) {
        snprintf(out, FW_NAME_MAX + 16, "%s: ", axis ? names->axis[i] : names->link[i]);
    } else if (kind == 't' && i < sizeof times / sizeof *times) {
        snprintf(out, FW_NAME_MAX + 16, "%s: ", times[i]);
    } else if (kind == 0) {
        out[0] = 0;
    } else {
        snprintf(out, FW_NAME_MAX + 16, "%s[%u]: ", thing, i);
    }
    return out;
}

const char *fw_limits_text(fw_safety_limits_error e, const fw_limits_names *names, char *out, size_t cap) {
    char of[FW_NAME_MAX + 16];
    if ((size_t)e.what >= sizeof words / sizeof *words) {
        snprintf(out, cap, "limit %d is unknown", (int)e.what);
        return out;
    }
    snprintf(out, cap, "%s%s", counted(words[e.what].counts, e.index, names, of), words[e.what].what);
    return out;
}
