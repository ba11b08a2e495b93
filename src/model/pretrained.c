/* pretrained.c - see pretrained.h */
#include "model/pretrained.h"
#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/checkpoint.h"

/* ---- the robot ---- */

/* The robot's name of the camera that gives picture f. */
static void camera_name(const fw_processor *proc, const fw_lerobot_feature *f, char out[FW_LEROBOT_KEY_MAX]) {
    fw_lerobot_feature source = *f;
    snprintf(source.key, sizeof source.key, "%s", fw_processor_source(proc, f->key));
    snprintf(out, FW_LEROBOT_KEY_MAX, "%s", fw_lerobot_camera(&source));
}

static fw_status add_camera(const fw_processor *proc, const fw_lerobot_feature *f, fw_embodiment *e, fw_err *err) {
    char name[FW_LEROBOT_KEY_MAX];
    camera_name(proc, f, name);
    if (e->n_camera == FW_CAM_MAX || strlen(name) >= FW_NAME_MAX) {
        return fw_fail(err, FW_UNSUPPORTED, "picture '%.80s': at most %d cameras with names of %d bytes", name,
                       FW_CAM_MAX, FW_NAME_MAX - 1);
    }
    fw_camera *c = &e->camera[e->n_camera++];
    strcpy(c->name, name);
    c->height = (int)f->shape[1];
    c->width = (int)f->shape[2];
    return FW_OK;
}

static fw_status name_dims(const fw_lerobot_feature *f, const char *what, fw_dim *dims, int *n, fw_err *err) {
    *n = f == NULL ? 0 : (int)f->shape[0];
    if (*n > FW_DIM_MAX) {
        return fw_fail(err, FW_UNSUPPORTED, "%s has %d values, at most %d", f->key, *n, FW_DIM_MAX);
    }
    for (int i = 0; i < *n; i++) {
        snprintf(dims[i].name, sizeof dims[i].name, "%s_%d", what, i);
        dims[i].meaning = FW_MEANING_OTHER;
        dims[i].min = -INFINITY;
        dims[i].max = INFINITY;
    }
    return FW_OK;
}

/* A robot that is what the config says and no more. */
static fw_status plain_robot(const fw_lerobot_config *c, const fw_processor *proc, double rate_hz, fw_embodiment *e,
                             fw_err *err) {
    memset(e, 0, sizeof *e);
    strcpy(e->name, fw_policy_kind_name(c->policy));
    e->rate_hz = rate_hz > 0.0 ? rate_hz : 30.0;
    for (int i = 0; i < c->n_input; i++) {
        if (c->input[i].kind == FW_FEATURE_VISUAL && !fw_lerobot_is_empty_camera(&c->input[i])) {
            FW_TRY(add_camera(proc, &c->input[i], e, err));
        }
    }
    FW_TRY(name_dims(fw_lerobot_input(c, FW_FEATURE_STATE), "state", e->state, &e->n_state, err));
    return name_dims(fw_lerobot_output(c, FW_FEATURE_ACTION), "action", e->action, &e->n_action, err);
}

static fw_status check_sizes(const fw_lerobot_config *c, const fw_embodiment *e, fw_err *err) {
    const fw_lerobot_feature *state = fw_lerobot_input(c, FW_FEATURE_STATE);
    const fw_lerobot_feature *action = fw_lerobot_output(c, FW_FEATURE_ACTION);
    if (state != NULL && state->shape[0] != e->n_state) {
        return fw_fail(err, FW_INVALID, "the policy reads %d values of state, embodiment %s has %d",
                       (int)state->shape[0], e->name, e->n_state);
    }
    if (action->shape[0] != e->n_action) {
        return fw_fail(err, FW_INVALID, "the policy gives %d values of action, embodiment %s takes %d",
                       (int)action->shape[0], e->name, e->n_action);
    }
    return FW_OK;
}

static fw_status find_cameras(const fw_lerobot_config *c, const fw_processor *proc, bool some, fw_pretrained_robot *r,
                              fw_err *err) {
    char name[FW_LEROBOT_KEY_MAX], missing[FW_LEROBOT_KEY_MAX] = "";
    int found = 0;
    for (int i = 0; i < c->n_input; i++) {
        const fw_lerobot_feature *f = &c->input[i];
        if (f->kind != FW_FEATURE_VISUAL) {
            continue;
        }
        int k = r->n_picture++;
        camera_name(proc, f, name);
        r->picture[k] = i;
        r->camera[k] = -1;
        for (int v = 0; v < r->e.n_camera; v++) {
            if (strcmp(r->e.camera[v].name, name) == 0) {
                r->camera[k] = v;
            }
        }
        found += r->camera[k] >= 0;
        if (r->camera[k] < 0 && !fw_lerobot_is_empty_camera(f)) {
            strcpy(missing, name);
        }
    }
    if (missing[0] != 0 && (!some || found == 0)) {
        return fw_fail(err, FW_INVALID, "the policy wants camera '%.80s', embodiment %s has none of that name", missing,
                       r->e.name);
    }
    return FW_OK;
}

fw_status fw_pretrained_robot_of(const fw_lerobot_config *c, const fw_processor *proc, const fw_policy_opts *o,
                                 bool some, fw_pretrained_robot *out, fw_err *err) {
    memset(out, 0, sizeof *out);
    if (o->embodiment != NULL) {
        FW_TRY(fw_embodiment_find(o->embodiment, &out->e, err));
        FW_TRY(check_sizes(c, &out->e, err));
    } else {
        FW_TRY(plain_robot(c, proc, o->rate_hz, &out->e, err));
    }
    return find_cameras(c, proc, some, out, err);
}

/* ---- observations and chunks ---- */

static fw_status check_finite(const char *what, const float *x, const fw_dim *dims, int n, fw_err *err) {
    for (int i = 0; x != NULL && i < n; i++) {
        if (!isfinite(x[i])) {
            return fw_fail(err, FW_FORMAT, "%s '%s' is %g", what, dims[i].name, (double)x[i]);
        }
    }
    return FW_OK;
}

static fw_status check_prefix(const fw_embodiment *e, const fw_obs *obs, int max_delay, fw_err *err) {
    if (obs->n_prefix < 0 || obs->n_prefix > max_delay) {
        return fw_fail(err, FW_INVALID, "a prefix of %d commands: the policy goes on from 0 to %d", obs->n_prefix,
                       max_delay);
    }
    if (obs->n_wish < 0 || (obs->n_prefix + obs->n_wish > 0 && obs->prefix == NULL)) {
        return fw_fail(err, FW_INVALID, "a prefix of %d and %d commands at %p", obs->n_prefix, obs->n_wish,
                       (const void *)obs->prefix);
    }
    for (int i = 0; i < obs->n_prefix + obs->n_wish; i++) {
        FW_TRY(check_finite("prefix", obs->prefix + i * e->n_action, e->action, e->n_action, err));
    }
    return FW_OK;
}

fw_status fw_obs_check(const fw_embodiment *e, const fw_obs *obs, const fw_chunk *chunk, int rows, int max_delay,
                       fw_err *err) {
    if (obs->n_image != e->n_camera) {
        return fw_fail(err, FW_SHAPE, "the observation has %d images, embodiment %s wants %d", obs->n_image, e->name,
                       e->n_camera);
    }
    if (obs->n_state != e->n_state || (obs->state == NULL && e->n_state > 0)) {
        return fw_fail(err, FW_SHAPE, "the observation has %d state values, embodiment %s wants %d",
                       obs->state != NULL ? obs->n_state : 0, e->name, e->n_state);
    }
    FW_TRY(check_finite("state", obs->state, e->state, e->n_state, err));
    FW_TRY(check_finite("previous state", obs->prev_state, e->state, e->n_state, err));
    FW_TRY(check_finite("previous action", obs->prev_action, e->action, e->n_action, err));
    FW_TRY(check_prefix(e, obs, max_delay, err));
    if (obs->instruction == NULL) {
        return fw_fail(err, FW_INVALID, "the observation has no instruction");
    }
    if (chunk->actions == NULL || chunk->cap_horizon < rows) {
        return fw_fail(err, FW_INVALID, "room for %d rows, the chunk has %d",
                       chunk->actions != NULL ? chunk->cap_horizon : 0, rows);
    }
    return FW_OK;
}

fw_status fw_chunk_put(const fw_embodiment *e, const fw_obs *obs, const float *values, int rows, fw_chunk *chunk,
                       fw_err *err) {
    const int n = e->n_action;
    for (int i = 0; i < rows * n; i++) {
        if (!isfinite(values[i])) {
            return fw_fail(err, FW_FORMAT, "action '%s' of row %d is %g", e->action[i % n].name, i / n,
                           (double)values[i]);
        }
    }
    for (int i = 0; i < rows * n; i++) {
        const fw_dim *d = &e->action[i % n];
        float lo = (float)d->min, hi = (float)d->max;
        chunk->actions[i] = values[i] < lo ? lo : values[i] > hi ? hi : values[i];
    }
    for (int i = 0; i < obs->n_prefix * n; i++) {
        chunk->actions[i] = obs->prefix[i];
    }
    chunk->horizon = rows;
    chunk->n_action = n;
    chunk->dt_s = 1.0 / e->rate_hz;
    chunk->t_ns = obs->t_ns;
    return FW_OK;
}

/* ---- open ---- */

static fw_status open_published(const char *dir, const fw_policy_opts *o, fw_policy **out, fw_err *err) {
    fw_lerobot_config c;
    fw_status st;
    FW_TRY(fw_lerobot_config_load(dir, &c, err));
    switch (c.policy) {
    case FW_POLICY_ACT:
        st = fw_act_open(dir, &c, o, out, err);
        break;
    default:
        st = fw_vla_policy_open(dir, &c, o, out, err);
        break;
    }
    return st == FW_OK ? st : fw_fail_in(err, st, "%s", dir);
}

/* Ours has "format" and no "type". */
static fw_status is_ours(const char *dir, bool *ours, fw_err *err) {
    char path[4096];
    json_t *j = NULL;
    snprintf(path, sizeof path, "%s/config.json", dir);
    FW_TRY(fw_json_load(path, &j, err));
    *ours = json_object_get(j, "format") != NULL && json_object_get(j, "type") == NULL;
    json_decref(j);
    return FW_OK;
}

fw_status fw_policy_open(const char *dir, const fw_policy_opts *opts, fw_policy **out, fw_err *err) {
    const fw_policy_opts o = opts != NULL ? *opts : (fw_policy_opts){0};
    const fw_flywheel_opts f = {.pool = o.pool,
                                .embodiment = o.embodiment,
                                .seed = o.seed,
                                .precision = o.precision,
                                .int8 = o.int8,
                                .watch = o.watch};
    bool ours = false;
    *out = NULL;
    FW_TRY(is_ours(dir, &ours, err));
    return ours ? fw_flywheel_open(dir, &f, out, err) : open_published(dir, &o, out, err);
}

/* ---- the files beside the weights ---- */

bool fw_pretrained_is_part(const char *name) {
    static const char *const first[] = {"config.json",  "policy_", "tokenizer", "special_tokens_map",
                                        "added_tokens", "vocab.",  "merges."};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        if (strncmp(name, first[i], strlen(first[i])) == 0) {
            return true;
        }
    }
    return false;
}

static fw_status copy_file(const char *dir, const char *name, const char *out, fw_err *err) {
    char from[4096], to[4096];
    fw_map m = {0};
    FW_TRY(fw_path_join(from, sizeof from, dir, name, err));
    FW_TRY(fw_path_join(to, sizeof to, out, name, err));
    if (fw_path_is_dir(from)) {
        return FW_OK;
    }
    FW_TRY(fw_map_open(from, &m, err));
    fw_status s = fw_file_write_atomic(to, m.data, m.size, err);
    fw_map_close(&m);
    return s;
}

/* openpi's statistics, where they lie under from's assets. */
static fw_status copy_openpi_stats(const char *from, const char *out, fw_err *err) {
    char path[4096], to[4096], folder[4096];
    json_t *root = NULL;
    FW_TRY(fw_openpi_stats(from, path, &root, err));
    fw_status s = fw_path_join(to, sizeof to, out, path + strlen(from) + 1, err);
    if (s == FW_OK) {
        memcpy(folder, to, sizeof folder);
        *strrchr(folder, '/') = 0;
        s = fw_mkdirs(folder, err);
    }
    s = s == FW_OK ? fw_json_save(to, root, 2, err) : s;
    json_decref(root);
    return s;
}

fw_status fw_pretrained_copy(const char *from, const char *out, fw_err *err) {
    char **names = NULL;
    size_t n = 0;
    FW_TRY(fw_list_dir(from, &names, &n, err));
    fw_status s = FW_OK;
    for (size_t i = 0; i < n && s == FW_OK; i++) {
        s = fw_pretrained_is_part(names[i])   ? copy_file(from, names[i], out, err)
            : strcmp(names[i], "assets") == 0 ? copy_openpi_stats(from, out, err)
                                              : FW_OK;
    }
    fw_names_free(names, n);
    return s;
}
