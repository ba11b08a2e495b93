/*
 * pretrained_save.c - the folder of a published policy again (learner_pretrained.c): weights as they are now, processors as they were,
 * with new statistics where the run made them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "model/pretrained.h"
#include "train/pretrained_int.h"

/* ---- statistics ---- */

/* Rows of all training episodes: owned [train_frames, n]. */
static float *gather(const fw_trainset *ts, bool action, int n) {
    float *x = malloc(sizeof(float) * (size_t)ts->train_frames * (size_t)n), *at = x;
    for (int d = 0; x != NULL && d < ts->n_data; d++) {
        for (int64_t e = 0; e < ts->data[d].n_train; e++) {
            const fw_train_episode *ep = &ts->episode[ts->data[d].first + e];
            const size_t count = (size_t)ep->length * (size_t)n;
            memcpy(at, action ? ep->action : ep->state, count * sizeof(float));
            at += count;
        }
    }
    return x;
}

static fw_status count(const fw_trainset *ts, bool action, int n, fw_column_stats *out, fw_err *err) {
    float *x = gather(ts, action, n);
    fw_status s = x != NULL ? fw_column_stats_compute(x, ts->train_frames, n, out, err)
                            : fw_fail(err, FW_NOMEM, "statistics: out of memory");
    free(x);
    return s;
}

enum {
    MOST_RELATIVE = 2000000
}; /* rows of relative chunks that statistics are of, evenly spread over those that there are */

/* Frames of training episodes where a whole chunk begins. */
static int64_t whole_chunks(const fw_trainset *ts, int64_t chunk) {
    int64_t n = 0;
    for (int64_t e = 0; e < ts->n_episode; e++) {
        const fw_train_episode *ep = &ts->episode[e];
        const bool train = e - ts->data[ep->dataset].first < ts->data[ep->dataset].n_train;
        n += train && ep->length >= chunk ? ep->length - chunk + 1 : 0;
    }
    return n;
}

/* Statistics of actions relative to the state where their chunk begins, over whole chunks (LeRobot's recompute_stats). */
static fw_status count_relative(fw_pretrained_learner *p, fw_err *err) {
    const fw_trainset *ts = &p->base.data;
    const int64_t chunk = p->c.chunk, n = p->proc.n_action, starts = whole_chunks(ts, chunk);
    const int64_t every = starts * chunk / MOST_RELATIVE + 1, rows = (starts + every - 1) / every * chunk;
    float *x = malloc(sizeof(float) * (size_t)(rows * n + 1));
    int64_t row = 0, start = 0;
    if (starts == 0 || x == NULL) {
        free(x);
        return fw_fail(err, starts == 0 ? FW_INVALID : FW_NOMEM, "no training episode has the %lld frames of a chunk",
                       (long long)chunk);
    }
    for (int64_t e = 0; e < ts->n_episode; e++) {
        const fw_train_episode *ep = &ts->episode[e];
        const bool train = e - ts->data[ep->dataset].first < ts->data[ep->dataset].n_train;
        for (int64_t t = 0; train && t + chunk <= ep->length; t++, start++) {
            for (int64_t i = 0; start % every == 0 && i < chunk * n; i++) {
                const float state = p->proc.relative[i % n] ? ep->state[t * p->proc.n_state + i % n] : 0.0F;
                x[row * n + i] = ep->action[t * n + i] - state;
            }
            row += start % every == 0 ? chunk : 0;
        }
    }
    fw_status s = fw_column_stats_compute(x, rows, n, &p->new_action, err);
    free(x);
    return s;
}

static void put(const fw_column_stats *s, bool openpi, fw_map_stat *m) {
    const double *a = m->kind == FW_LEROBOT_MEAN_STD    ? s->mean
                      : m->kind == FW_LEROBOT_MIN_MAX   ? s->min
                      : m->kind == FW_LEROBOT_QUANTILES ? s->q01
                                                        : s->q10;
    const double *b = m->kind == FW_LEROBOT_MEAN_STD    ? s->std
                      : m->kind == FW_LEROBOT_MIN_MAX   ? s->max
                      : m->kind == FW_LEROBOT_QUANTILES ? s->q99
                                                        : s->q90;
    for (int i = 0; i < m->n && m->kind != FW_LEROBOT_IDENTITY; i++) {
        m->a[i] = (float)a[i];
        m->b[i] = (float)(b[i] + (openpi ? (double)FW_OPENPI_SPREAD : 0.0));
    }
}

/* Older checkpoints have statistics among the weights. */
static fw_status has_place(const fw_pretrained_learner *p, fw_err *err) {
    char path[1200];
    FW_TRY(fw_path_join(path, sizeof path, p->base.cfg->from, "policy_preprocessor.json", err));
    return p->c.openpi || fw_path_exists(path)
               ? FW_OK
               : fw_fail(err, FW_UNSUPPORTED,
                         "%s: has no policy_preprocessor.json that could take new statistics (LeRobot's "
                         "migrate_policy_normalization makes one)",
                         p->base.cfg->from);
}

fw_status fw_pretrained_new_stats(fw_pretrained_learner *p, fw_err *err) {
    FW_TRY(has_place(p, err));
    FW_TRY(p->proc.relative != NULL ? count_relative(p, err)
                                    : count(&p->base.data, true, p->proc.n_action, &p->new_action, err));
    put(&p->new_action, p->c.openpi, &p->proc.action);
    put(&p->new_action, p->c.openpi, &p->proc.output);
    if (p->proc.state_at >= 0) {
        FW_TRY(count(&p->base.data, false, p->proc.n_state, &p->new_state, err));
        put(&p->new_state, p->c.openpi, &p->proc.input[p->proc.state_at]);
    }
    return FW_OK;
}

/* ---- files ---- */

static bool begins(const char *name, const char *with) {
    return strncmp(name, with, strlen(with)) == 0;
}

static bool ends(const char *name, const char *with) {
    const size_t n = strlen(name), w = strlen(with);
    return n >= w && strcmp(name + n - w, with) == 0;
}

/* The new value of statistic `name` ("action.mean") [*n], or NULL when the run made none. */
static const double *new_value(const fw_pretrained_learner *p, const char *name, int64_t *n) {
    const char *state = p->proc.state_at >= 0 ? p->c.input[p->proc.state_at].key : "";
    const fw_column_stats *s = begins(name, "action.")                                              ? &p->new_action
                               : begins(name, state) && state[0] != 0 && name[strlen(state)] == '.' ? &p->new_state
                                                                                                    : NULL;
    const char *stat = strrchr(name, '.');
    if (s == NULL || stat == NULL) {
        return NULL;
    }
    *n = s->n;
    const struct {
        const char *name;
        const double *v;
    } of[] = {{".mean", s->mean}, {".std", s->std}, {".min", s->min}, {".max", s->max}, {".q01", s->q01},
              {".q10", s->q10},   {".q50", s->q50}, {".q90", s->q90}, {".q99", s->q99}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        if (strcmp(stat, of[i].name) == 0) {
            return of[i].v;
        }
    }
    return NULL;
}

enum { NEW_STATS = FW_LEROBOT_FEATURES * 10 }; /* of pictures that a run has added */

/* A state file on its way out. */
typedef struct stats_out {
    fw_st_out *t;
    void **mem; /* owned by it, two a tensor: name and values, or NULL */
    int n;
} stats_out;

/* Tensor t with the run's own statistic in its place, if there is one. */
static fw_status put_stat(const fw_pretrained_learner *p, const fw_st_tensor *t, stats_out *o, fw_err *err) {
    int64_t values = 0;
    const double *v = t->dtype == FW_F32 && t->shape.n == 1 ? new_value(p, t->name, &values) : NULL;
    float *x = v != NULL ? malloc((size_t)values * sizeof *x) : NULL;
    if (v != NULL && x == NULL) {
        return fw_fail(err, FW_NOMEM, "%s: out of memory", t->name);
    }
    for (int64_t k = 0; x != NULL && k < values; k++) {
        x[k] = (float)v[k];
    }
    o->mem[2 * o->n] = x;
    o->t[o->n++] = (fw_st_out){t->name, t->dtype, x != NULL ? FW_SHAPE_OF(values) : t->shape, x != NULL ? x : t->data};
    return FW_OK;
}

static bool has_stats(const fw_st *st, const char *key) {
    for (int i = 0; i < fw_st_count(st); i++) {
        if (begins(fw_st_at(st, i)->name, key) && fw_st_at(st, i)->name[strlen(key)] == '.') {
            return true;
        }
    }
    return false;
}

/* A picture that the run has added is normalised as the first: so are its statistics. */
static fw_status add_picture_stats(const fw_pretrained_learner *p, const fw_st *st, stats_out *o, fw_err *err) {
    const fw_lerobot_feature *first = fw_lerobot_input(&p->c, FW_FEATURE_VISUAL);
    for (int i = 0; i < p->c.n_input && first != NULL && has_stats(st, first->key); i++) {
        const fw_lerobot_feature *f = &p->c.input[i];
        if (f->kind != FW_FEATURE_VISUAL || fw_lerobot_is_empty_camera(f) || has_stats(st, f->key)) {
            continue;
        }
        for (int k = 0; k < fw_st_count(st) && o->n < fw_st_count(st) + NEW_STATS; k++) {
            const fw_st_tensor *t = fw_st_at(st, k);
            char *name = NULL;
            if (!begins(t->name, first->key) || t->name[strlen(first->key)] != '.') {
                continue;
            }
            if (asprintf(&name, "%s%s", f->key, t->name + strlen(first->key)) < 0) {
                return fw_fail(err, FW_NOMEM, "%s: out of memory", t->name);
            }
            o->mem[2 * o->n + 1] = name;
            o->t[o->n++] = (fw_st_out){name, t->dtype, t->shape, t->data};
        }
    }
    return FW_OK;
}

/* A processor's state file with the new statistics in the places of the old ones. */
static fw_status write_stats(const fw_pretrained_learner *p, const char *from, const char *to, fw_err *err) {
    fw_st *st = NULL;
    FW_TRY(fw_st_open(from, &st, err));
    const size_t room = (size_t)fw_st_count(st) + NEW_STATS;
    stats_out o = {calloc(room, sizeof *o.t), calloc(2 * room, sizeof *o.mem), 0};
    fw_status s = o.t != NULL && o.mem != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "%s: out of memory", to);
    for (int i = 0; i < fw_st_count(st) && s == FW_OK; i++) {
        s = put_stat(p, fw_st_at(st, i), &o, err);
    }
    s = s == FW_OK ? add_picture_stats(p, st, &o, err) : s;
    s = s == FW_OK ? fw_st_write(to, o.t, o.n, NULL, err) : s;
    for (int i = 0; o.mem != NULL && i < 2 * o.n; i++) {
        free(o.mem[i]);
    }
    free(o.mem);
    free(o.t);
    fw_st_close(st);
    return s;
}

/* ---- what says of which robot it is ---- */

static json_t *shape_json(const fw_lerobot_feature *f) {
    json_t *shape = json_array();
    for (int i = 0; i < f->n_dim; i++) {
        json_array_append_new(shape, json_integer((json_int_t)f->shape[i]));
    }
    return shape;
}

/* The policy's pictures that a map of features lacks; LeRobot adds those that stay empty by itself. */
static void add_pictures(json_t *features, const fw_lerobot_config *c) {
    for (int i = 0; i < c->n_input; i++) {
        const fw_lerobot_feature *f = &c->input[i];
        if (f->kind == FW_FEATURE_VISUAL && !fw_lerobot_is_empty_camera(f) &&
            json_object_get(features, f->key) == NULL) {
            json_object_set_new(features, f->key, json_pack("{s:s, s:o}", "type", "VISUAL", "shape", shape_json(f)));
        }
    }
}

/* Sizes of a map of features ("observation.state": {"type", "shape"}) as they are now, without the pictures that are no more. */
static fw_status put_features(json_t *features, const fw_lerobot_config *c, fw_err *err) {
    const char *key;
    json_t *f;
    void *next;
    json_object_foreach_safe(features, next, key, f) {
        const fw_lerobot_feature *now = NULL;
        for (int i = 0; i < c->n_input + c->n_output; i++) {
            const fw_lerobot_feature *k = i < c->n_input ? &c->input[i] : &c->output[i - c->n_input];
            now = strcmp(k->key, key) == 0 ? k : now;
        }
        const char *type = json_string_value(json_object_get(f, "type"));
        if (now != NULL && json_object_set_new(f, "shape", shape_json(now)) != 0) {
            return fw_fail(err, FW_NOMEM, "features: out of memory");
        }
        if (now == NULL && type != NULL && strcmp(type, "VISUAL") == 0) {
            json_object_del(features, key);
        }
    }
    return FW_OK;
}

/* Names of the action's values, which LeRobot keeps with its policies that may be relative to the state: in config.json and, where
 * they are, in the step that makes them so. */
static void put_action_names(const fw_pretrained_learner *p, json_t *config, const char *name) {
    const fw_feature *a = p->base.data.data[0].ds->action;
    json_t *names = json_array();
    if (a == NULL || a->n_names != p->proc.n_action || json_object_get(config, name) == NULL) {
        json_decref(names);
        return;
    }
    for (int i = 0; i < a->n_names; i++) {
        json_array_append_new(names, json_string(a->names[i]));
    }
    json_object_set_new(config, name, names);
}

static fw_status put_config(const fw_pretrained_learner *p, json_t *config, fw_err *err) {
    FW_TRY(put_features(json_object_get(config, "input_features"), &p->c, err));
    FW_TRY(put_features(json_object_get(config, "output_features"), &p->c, err));
    add_pictures(json_object_get(config, "input_features"), &p->c);
    put_action_names(p, config, "action_feature_names");
    return FW_OK;
}

static json_t *rename_map(const fw_processor *proc) {
    json_t *map = json_object();
    for (int i = 0; i < proc->n_renamed; i++) {
        json_object_set_new(map, proc->renamed[i].from, json_string(proc->renamed[i].to));
    }
    return map;
}

/* The step that renames observations: as it is, or a new first one. */
static json_t *rename_step(json_t *steps) {
    static const char name[] = "rename_observations_processor";
    size_t i;
    json_t *step;
    json_array_foreach(steps, i, step) {
        const char *is = json_string_value(json_object_get(step, "registry_name"));
        if (is != NULL && strcmp(is, name) == 0) {
            return json_object_get(step, "config");
        }
    }
    json_array_insert_new(steps, 0, json_pack("{s:s, s:{}}", "registry_name", name, "config"));
    return json_object_get(json_array_get(steps, 0), "config");
}

static fw_status put_steps(const fw_pretrained_learner *p, json_t *pipeline, bool pre, fw_err *err) {
    json_t *steps = json_object_get(pipeline, "steps"), *step;
    size_t i;
    json_array_foreach(steps, i, step) {
        json_t *features = json_object_get(json_object_get(step, "config"), "features");
        if (p->proc.relative != NULL) {
            put_action_names(p, json_object_get(step, "config"), "action_names");
        }
        FW_TRY(features != NULL ? put_features(features, &p->c, err) : FW_OK);
        if (pre && features != NULL) {
            add_pictures(features, &p->c);
        }
    }
    if (pre && p->proc.n_renamed > 0 &&
        json_object_set_new(rename_step(steps), "rename_map", rename_map(&p->proc)) != 0) {
        return fw_fail(err, FW_NOMEM, "rename_map: out of memory");
    }
    return FW_OK;
}

/* Over the copies in the folder out: config.json and the processors of the robot that the run was for. */
static fw_status write_robot(const fw_pretrained_learner *p, const char *out, fw_err *err) {
    static const char *const names[] = {"config.json", "policy_preprocessor.json", "policy_postprocessor.json"};
    for (int i = 0; i < 3; i++) {
        char path[1200];
        json_t *j = NULL;
        FW_TRY(fw_path_join(path, sizeof path, out, names[i], err));
        FW_TRY(fw_json_load(path, &j, err));
        fw_status s = i == 0 ? put_config(p, j, err) : put_steps(p, j, i == 1, err);
        s = s == FW_OK ? fw_json_save(path, j, i == 0 ? 4 : 2, err) : s;
        json_decref(j);
        FW_TRY(s);
    }
    return FW_OK;
}

/* ---- all of it ---- */

/* out/adapter has the adapters alone, out/model.safetensors the weights with them merged. */
static fw_status save_adapter(fw_pretrained_learner *p, const char *out, const char *weights, fw_err *err) {
    char dir[1200], base[1200];
    FW_TRY(fw_path_join(dir, sizeof dir, out, "adapter", err));
    FW_TRY(fw_path_join(base, sizeof base, p->base.cfg->from, "model.safetensors", err));
    FW_TRY(fw_adapter_save(&p->adapter, p->base.params, p->base.cfg->from, p->sha256, dir, err));
    return fw_adapter_merge(base, p->c.openpi ? "model." : "", dir, 1, weights, err);
}

/* Over the copy: openpi's norm_stats.json. */
static fw_status write_openpi_stats(const fw_pretrained_learner *p, const char *out, fw_err *err) {
    const struct {
        const char *part;
        const fw_column_stats *s;
    } parts[] = {{"state", &p->new_state}, {"actions", &p->new_action}};
    char path[4096];
    json_t *root = NULL;
    FW_TRY(fw_openpi_stats(out, path, &root, err));
    for (int i = 0; i < 2; i++) {
        const fw_column_stats *s = parts[i].s;
        const struct {
            const char *name;
            const double *v;
        } of[] = {{"mean", s->mean}, {"std", s->std}, {"q01", s->q01}, {"q99", s->q99}};
        json_t *into = json_object_get(json_object_get(root, "norm_stats"), parts[i].part);
        for (size_t k = 0; k < sizeof of / sizeof *of; k++) {
            json_t *values = json_array();
            for (int64_t j = 0; j < s->n; j++) {
                json_array_append_new(values, json_real(of[k].v[j]));
            }
            json_object_set_new(into, of[k].name, values);
        }
    }
    fw_status st = fw_json_save(path, root, 2, err);
    json_decref(root);
    return st;
}

/* Over the copies: processors whose statistics are new. */
static fw_status write_all_stats(const fw_pretrained_learner *p, const char *out, fw_err *err) {
    char **names = NULL, from[1200], to[1200];
    size_t n = 0;
    FW_TRY(fw_list_dir(p->base.cfg->from, &names, &n, err));
    fw_status s = FW_OK;
    for (size_t i = 0; i < n && s == FW_OK; i++) {
        if (begins(names[i], "policy_") && ends(names[i], ".safetensors")) {
            s = fw_path_join(from, sizeof from, p->base.cfg->from, names[i], err);
            s = s == FW_OK ? fw_path_join(to, sizeof to, out, names[i], err) : s;
            s = s == FW_OK ? write_stats(p, from, to, err) : s;
        }
    }
    fw_names_free(names, n);
    return s;
}

fw_status fw_pretrained_save(fw_learner *l, const char *out, const char *card, fw_err *err) {
    fw_pretrained_learner *p = (fw_pretrained_learner *)l;
    char path[1200];
    FW_TRY(fw_pretrained_copy(l->cfg->from, out, err));
    if (p->new_action.n > 0) {
        FW_TRY(p->c.openpi ? write_openpi_stats(p, out, err) : write_all_stats(p, out, err));
    }
    FW_TRY(p->fitted && !p->c.openpi ? write_robot(p, out, err) : FW_OK);
    if (p->c.openpi && p->proc.n_renamed > 0) {
        fw_warn("%s: openpi's folders keep no names of cameras: who runs it gives pictures the names of openpi's", out);
    }
    FW_TRY(fw_path_join(path, sizeof path, out, "card.md", err));
    FW_TRY(fw_file_write_atomic(path, card, strlen(card), err));
    FW_TRY(fw_path_join(path, sizeof path, out, "model.safetensors", err));
    if (p->adapter.lora.rank > 0) {
        return save_adapter(p, out, path, err);
    }
    return p->c.policy == FW_POLICY_ACT ? fw_act_save(l->params, p->weights, path, err)
                                        : fw_feed_save(&p->feed, path, err);
}
