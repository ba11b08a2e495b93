/*
 * driver.c - the robot's side of fw/driver.h: finds drivers, keeps the order of calls, and believes none of them.
 *
 * What every driver would have to check stands here once: targets that are no numbers or out of range, torque switched on far from where
 * the robot is, calls in the wrong order. What a driver says is checked, too: a description that cannot be, measurements that are no
 * numbers, or stamped before the last one or in the future, are FW_FORMAT and not valid.
 */
#include "fw/driver.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "robot/so101.h"

#define ENGAGE_RAD    0.2F      /* torque comes on within this of where the robot is, ... */
#define ENGAGE_M      0.02F     /* ... slides: this, ... */
#define ENGAGE_OLD_NS 500000000 /* ... measured this long ago at most */

struct fw_driver {
    const fw_driver_api *api; /* static, or of dl */
    fw_driver_dev *dev;       /* owned */
    void *dl;                 /* owned, NULL for built-in ones */
    fw_driver_info info;
    fw_driver_state last; /* of each axis the last valid sample */
    bool started, torque_on;
    int64_t (*now_ns)(void *self); /* NULL: CLOCK_MONOTONIC */
    void *self;
};

static int64_t time_of(const fw_driver *d) {
    return d->now_ns != NULL ? d->now_ns(d->self) : fw_now_ns();
}

void fw_driver_set_time(fw_driver *d, int64_t (*now_ns)(void *self), void *self) {
    d->now_ns = now_ns;
    d->self = self;
}

enum { BUILTIN_MAX = 8 };
static const fw_driver_api *builtin[BUILTIN_MAX] = {&fw_so101_api};
static size_t n_builtin = 1;

const fw_driver_api *const *fw_driver_builtin(size_t *n) {
    *n = n_builtin;
    return builtin;
}

fw_status fw_driver_add(const fw_driver_api *api, fw_err *err) {
    for (size_t i = 0; i < n_builtin; i++) {
        if (builtin[i] == api) {
            return FW_OK;
        }
        if (strcmp(builtin[i]->name, api->name) == 0) {
            return fw_fail(err, FW_INVALID, "a second driver '%s'", api->name);
        }
    }
    if (n_builtin == BUILTIN_MAX) {
        return fw_fail(err, FW_INVALID, "driver %s: there are %d already", api->name, BUILTIN_MAX);
    }
    builtin[n_builtin++] = api;
    return FW_OK;
}

const char *fw_driver_faults_text(uint32_t faults, char *out, size_t cap) {
    size_t at = 0;
    snprintf(out, cap, "no fault");
#define X(name, bit, text)                                                                                             \
    if ((faults & (bit)) != 0 && at < cap) {                                                                           \
        at += (size_t)snprintf(out + at, cap - at, "%s%s", at > 0 ? ", " : "", text);                                  \
    }
    FW_DRIVER_FAULT_MAP(X)
#undef X
    return out;
}

/* --- opening */

static fw_status check_api(const fw_driver_api *a, const char *what, fw_err *err) {
    if (a == NULL) {
        return fw_fail(err, FW_FORMAT, "%s: does not know ABI %u", what, FW_DRIVER_ABI);
    }
    if (a->abi != FW_DRIVER_ABI || a->size < sizeof *a) {
        return fw_fail(err, FW_FORMAT, "%s: wanted ABI %u of %zu bytes, found %u of %u", what, FW_DRIVER_ABI, sizeof *a,
                       a->abi, a->size);
    }
    if (a->name == NULL || a->open == NULL || a->describe == NULL || a->start == NULL || a->read == NULL ||
        a->write == NULL || a->frame == NULL || a->stop == NULL || a->close == NULL) {
        return fw_fail(err, FW_FORMAT, "%s: a driver fills in its name and all functions", what);
    }
    return FW_OK;
}

static bool ended(const char *text, size_t cap) {
    return text[0] != 0 && memchr(text, 0, cap) != NULL;
}

static fw_status check_axes(const fw_driver_info *i, const char *what, fw_err *err) {
    if (i->n_axis < 1 || i->n_axis > FW_DRIVER_AXIS_MAX) {
        return fw_fail(err, FW_FORMAT, "%s: wanted 1 to %d axes, found %d", what, FW_DRIVER_AXIS_MAX, i->n_axis);
    }
    for (int k = 0; k < i->n_axis; k++) {
        const fw_driver_axis *a = &i->axis[k];
        if (!ended(a->name, sizeof a->name) || !isfinite(a->min) || !isfinite(a->max) || !(a->min < a->max)) {
            return fw_fail(err, FW_FORMAT, "%s: axis %d: wanted a name and min < max, found '%.32s', %g, %g", what, k,
                           a->name, (double)a->min, (double)a->max);
        }
    }
    return FW_OK;
}

static fw_status check_info(const fw_driver_info *i, const char *what, fw_err *err) {
    FW_TRY(check_axes(i, what, err));
    if (!ended(i->name, sizeof i->name) || memchr(i->where, 0, sizeof i->where) == NULL) {
        return fw_fail(err, FW_FORMAT, "%s: no name, or a text without an end", what);
    }
    if (i->n_camera < 0 || i->n_camera > FW_CAM_MAX) {
        return fw_fail(err, FW_FORMAT, "%s: wanted 0 to %d cameras, found %d", what, FW_CAM_MAX, i->n_camera);
    }
    for (int k = 0; k < i->n_camera; k++) {
        const fw_camera *c = &i->camera[k];
        if (!ended(c->name, sizeof c->name) || c->width < 1 || c->height < 1) {
            return fw_fail(err, FW_FORMAT, "%s: camera %d: '%.32s', %dx%d", what, k, c->name, c->width, c->height);
        }
    }
    if (i->read_bound_us == 0 || i->write_bound_us == 0 || !(i->rate_hz > 0)) {
        return fw_fail(err, FW_FORMAT, "%s: bounds and rate are not positive", what);
    }
    return FW_OK;
}

/* dl: consumed, on failure too. */
static fw_status open_api(const fw_driver_api *api, void *dl, const char *what, const char *config, fw_driver **out,
                          fw_err *err) {
    fw_err own = {0};
    err = err != NULL ? err : &own; /* drivers may rely on it */
    fw_driver *d = NULL;
    fw_status st = check_api(api, what, err);
    if (st == FW_OK && (d = calloc(1, sizeof *d)) == NULL) {
        st = fw_fail(err, FW_NOMEM, "%s: driver", what);
    }
    if (st == FW_OK) {
        d->api = api;
        st = api->open(config, &d->dev, err);
    }
    if (st == FW_OK) {
        api->describe(d->dev, &d->info);
        st = check_info(&d->info, what, err);
    }
    if (st != FW_OK) {
        if (d != NULL) {
            api->close(d->dev);
        }
        free(d);
        if (dl != NULL) {
            dlclose(dl);
        }
        return st;
    }
    d->dl = dl;
    *out = d;
    return FW_OK;
}

fw_status fw_driver_open_api(const fw_driver_api *api, const char *config, fw_driver **out, fw_err *err) {
    *out = NULL;
    return open_api(api, NULL, api != NULL && api->name != NULL ? api->name : "driver", config, out, err);
}

static fw_status open_shared(const char *path, const char *config, fw_driver **out, fw_err *err) {
    void *dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (dl == NULL) {
        return fw_fail(err, FW_IO, "cannot load driver: %s", dlerror());
    }
    void *symbol = dlsym(dl, FW_DRIVER_SYMBOL);
    fw_driver_entry entry;
    if (symbol == NULL) {
        dlclose(dl);
        return fw_fail(err, FW_FORMAT, "%s: no driver: it exports no %s", path, FW_DRIVER_SYMBOL);
    }
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from object to function pointers */
    return open_api(entry(FW_DRIVER_ABI), dl, path, config, out, err);
}

fw_status fw_driver_open(const char *name_or_path, const char *config, fw_driver **out, fw_err *err) {
    char known[256] = "";
    *out = NULL;
    if (strchr(name_or_path, '/') != NULL) {
        return open_shared(name_or_path, config, out, err);
    }
    for (size_t i = 0; i < n_builtin; i++) {
        if (strcmp(builtin[i]->name, name_or_path) == 0) {
            return open_api(builtin[i], NULL, name_or_path, config, out, err);
        }
        snprintf(known + strlen(known), sizeof known - strlen(known), " %s", builtin[i]->name);
    }
    return fw_fail(err, FW_INVALID, "no driver '%s'; built in:%s; a shared object has a '/' in its path", name_or_path,
                   known);
}

const fw_driver_info *fw_driver_get_info(const fw_driver *d) {
    return &d->info;
}

fw_driver_dev *fw_driver_get_dev(const fw_driver *d, const fw_driver_api *api) {
    return d->api == api ? d->dev : NULL;
}

/* --- running */

fw_status fw_driver_start(fw_driver *d, fw_err *err) {
    fw_err own = {0};
    if (d->started) {
        return fw_fail(err, FW_INVALID, "%s: already started", d->info.name);
    }
    const fw_status st = d->api->start(d->dev, err != NULL ? err : &own);
    if (st != FW_OK) {
        return st;
    }
    d->started = true;
    d->torque_on = false;
    d->last = (fw_driver_state){.n_axis = d->info.n_axis};
    for (int i = 0; i < d->info.n_axis; i++) {
        d->last.axis[i].temperature = d->last.axis[i].voltage = NAN;
    }
    return FW_OK;
}

static fw_status not_started(const fw_driver *d, const char *what, fw_err *err) {
    return fw_fail(err, FW_INVALID, "%s: %s before start", d->info.name, what);
}

/* A sample that can be, or why not. */
static const char *lie(const fw_driver_sample *s, const fw_driver_sample *last, int64_t now_ns) {
    if (!isfinite(s->position) || !isfinite(s->velocity) || !isfinite(s->effort)) {
        return "a value that is no number";
    }
    if (s->t_ns <= last->t_ns) {
        return "a time that does not rise";
    }
    return s->t_ns > now_ns ? "a time in the future" : NULL;
}

/* What was not measured now is the last that was, with the faults that are said now. */
static void keep_last(const fw_driver_sample *last, fw_driver_sample *s) {
    const uint32_t faults = s->faults;
    *s = *last;
    s->valid = false;
    s->faults = faults;
}

fw_status fw_driver_read(fw_driver *d, fw_driver_state *out, fw_err *err) {
    fw_err own = {0};
    err = err != NULL ? err : &own;
    *out = (fw_driver_state){0};
    if (!d->started) {
        return not_started(d, "read", err);
    }
    fw_status st = d->api->read(d->dev, out, err);
    const int64_t now = time_of(d);
    out->n_axis = d->info.n_axis;
    out->torque_on = d->torque_on;
    for (int i = 0; i < d->info.n_axis; i++) {
        fw_driver_sample *s = &out->axis[i], *last = &d->last.axis[i];
        const char *why = s->valid ? lie(s, last, now) : NULL;
        if (why != NULL) {
            st = fw_fail(err, FW_FORMAT, "%s: axis %s measured %s", d->info.name, d->info.axis[i].name, why);
        }
        if (s->valid && why == NULL) {
            *last = *s;
        } else {
            keep_last(last, s);
        }
    }
    return st;
}

static fw_status check_command(const fw_driver *d, const fw_driver_command *c, fw_err *err) {
    if (c->n_axis != d->info.n_axis) {
        return fw_fail(err, FW_INVALID, "%s: command of %d axes, wanted %d", d->info.name, c->n_axis, d->info.n_axis);
    }
    for (int i = 0; c->torque_on && i < c->n_axis; i++) {
        const fw_driver_axis *a = &d->info.axis[i];
        const float p = c->position[i], e = c->effort_max[i];
        if (!isfinite(p) || isnan(e) || e < 0) {
            return fw_fail(err, FW_INVALID, "%s: axis %s: target %g, effort at most %g", d->info.name, a->name,
                           (double)p, (double)e);
        }
        if (p < a->min || p > a->max) {
            return fw_fail(err, FW_UNSAFE, "%s: axis %s: wanted a target in %g..%g, found %g", d->info.name, a->name,
                           (double)a->min, (double)a->max, (double)p);
        }
    }
    return FW_OK;
}

/* Torque comes on where the robot is: anything else is a jump. */
static fw_status check_engage(const fw_driver *d, const fw_driver_command *c, fw_err *err) {
    const int64_t now = time_of(d);
    for (int i = 0; i < c->n_axis; i++) {
        const fw_driver_sample *s = &d->last.axis[i];
        const float near = d->info.axis[i].slide ? ENGAGE_M : ENGAGE_RAD;
        if (s->t_ns == 0 || now - s->t_ns > ENGAGE_OLD_NS) {
            return fw_fail(err, FW_UNSAFE, "%s: axis %s: torque on, but where it is was not read lately", d->info.name,
                           d->info.axis[i].name);
        }
        if (fabsf(s->position - c->position[i]) > near) {
            return fw_fail(err, FW_UNSAFE, "%s: axis %s: torque on at %g, but it is at %g: further than %g",
                           d->info.name, d->info.axis[i].name, (double)c->position[i], (double)s->position,
                           (double)near);
        }
    }
    return FW_OK;
}

fw_status fw_driver_write(fw_driver *d, const fw_driver_command *cmd, fw_err *err) {
    fw_err own = {0};
    err = err != NULL ? err : &own;
    if (!d->started) {
        return not_started(d, "write", err);
    }
    FW_TRY(check_command(d, cmd, err));
    if (cmd->torque_on && !d->torque_on) {
        FW_TRY(check_engage(d, cmd, err));
    }
    const fw_status st = d->api->write(d->dev, cmd, err);
    if (st == FW_OK || !cmd->torque_on) { /* half limp is not on: before it comes on again, it is looked where it is */
        d->torque_on = cmd->torque_on;
    }
    return st;
}

fw_status fw_driver_frame_latest(fw_driver *d, int camera, fw_driver_frame *out, fw_err *err) {
    fw_err own = {0};
    *out = (fw_driver_frame){0};
    if (!d->started) {
        return not_started(d, "frame", err);
    }
    if (camera < 0 || camera >= d->info.n_camera) {
        return fw_fail(err, FW_INVALID, "%s: camera %d of %d", d->info.name, camera, d->info.n_camera);
    }
    const fw_status st = d->api->frame(d->dev, camera, out, err != NULL ? err : &own);
    const fw_camera *c = &d->info.camera[camera];
    if (st == FW_OK && (out->rgb == NULL || out->h != c->height || out->w != c->width)) {
        return fw_fail(err, FW_FORMAT, "%s: camera %s: wanted %dx%d, found %dx%d", d->info.name, c->name, c->width,
                       c->height, out->w, out->h);
    }
    return st;
}

void fw_driver_stop(fw_driver *d) {
    if (d->started) {
        d->api->stop(d->dev);
    }
    d->started = d->torque_on = false;
}

void fw_driver_close(fw_driver **d) {
    if (d == NULL || *d == NULL) {
        return;
    }
    fw_driver_stop(*d);
    (*d)->api->close((*d)->dev);
    if ((*d)->dl != NULL) {
        dlclose((*d)->dl);
    }
    free(*d);
    *d = NULL;
}
