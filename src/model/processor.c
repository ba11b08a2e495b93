/* processor.c - see processor.h */
#include "model/processor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/tokenizer_int.h"

#define PATH_BYTES     4096
#define N(a)           (sizeof(a) / sizeof(*(a)))
#define LEROBOT_EPS    1e-8f
#define OPENPI_DIM_MAX 256

/* ---- maps ---- */

static float range_of(const fw_map_stat *m, int i) {
    float range = m->b[i] - m->a[i];
    return range == 0.0f ? m->eps : range;
}

void fw_map_apply(const fw_map_stat *m, const float *x, float *y, size_t rows) {
    for (size_t r = 0; r < rows; r++, x += m->n, y += m->n) {
        for (int i = 0; i < m->n; i++) {
            y[i] = m->kind == FW_LEROBOT_IDENTITY   ? x[i]
                   : m->kind == FW_LEROBOT_MEAN_STD ? (x[i] - m->a[i]) / (m->b[i] + m->eps)
                                                    : 2.0f * (x[i] - m->a[i]) / range_of(m, i) - 1.0f;
        }
    }
}

void fw_map_invert(const fw_map_stat *m, const float *y, float *x, size_t rows) {
    for (size_t r = 0; r < rows; r++, x += m->n, y += m->n) {
        for (int i = 0; i < m->n; i++) {
            x[i] = m->kind == FW_LEROBOT_IDENTITY   ? y[i]
                   : m->kind == FW_LEROBOT_MEAN_STD ? y[i] * m->b[i] + m->a[i]
                                                    : (y[i] + 1.0f) * range_of(m, i) / 2.0f + m->a[i];
        }
    }
}

void fw_processor_chunk(const fw_processor *p, const float *state, const float *y, size_t rows, float *out) {
    fw_map_invert(&p->output, y, out, rows);
    for (size_t i = 0; p->relative != NULL && i < rows * (size_t)p->n_action; i++) {
        size_t k = i % (size_t)p->n_action;
        out[i] += p->relative[k] ? state[k] : 0.0f;
    }
}

void fw_processor_target(const fw_processor *p, const float *state, const float *actions, size_t rows, float *out) {
    memmove(out, actions, rows * (size_t)p->n_action * sizeof *out);
    for (size_t i = 0; p->relative != NULL && i < rows * (size_t)p->n_action; i++) {
        size_t k = i % (size_t)p->n_action;
        out[i] -= p->relative[k] ? state[k] : 0.0f;
    }
    fw_map_apply(&p->action, out, out, rows);
}

static fw_status map_resize(fw_map_stat *m, int n, fw_err *err) {
    m->n = n;
    if (m->kind == FW_LEROBOT_IDENTITY) {
        return FW_OK;
    }
    float *a = calloc(2 * (size_t)n, sizeof *a);
    if (a == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for statistics of %d values", n);
    }
    free(m->a);
    m->a = a;
    m->b = a + n;
    return FW_OK;
}

/* Does a joint's name equal or hold one of these words, whatever the case? */
static bool is_excluded(const char *joint, const json_t *words) {
    const json_t *j;
    size_t i;
    json_array_foreach(words, i, j) {
        const char *w = json_string_value(j);
        if (w != NULL && w[0] != 0 && strcasestr(joint, w) != NULL) {
            return true;
        }
    }
    return false;
}

void fw_processor_name_joints(fw_processor *p, char *const *names, int n) {
    for (int i = 0; p->relative != NULL && i < p->n_action; i++) {
        p->relative[i] = i >= n || !is_excluded(names[i], p->except);
    }
}

fw_status fw_processor_resize(fw_processor *p, fw_lerobot_config *config, int n_state, int n_action, fw_err *err) {
    uint8_t *relative = p->relative != NULL ? calloc((size_t)n_action, 1) : NULL;
    if (p->relative != NULL && (relative == NULL || n_state < n_action)) {
        free(relative);
        return fw_fail(err, relative == NULL ? FW_NOMEM : FW_SHAPE, "%d actions relative to a state of %d values",
                       n_action, n_state);
    }
    free(p->relative);
    p->relative = relative;
    FW_TRY(map_resize(&p->action, n_action, err));
    FW_TRY(map_resize(&p->output, n_action, err));
    for (int i = 0; i < config->n_output; i++) {
        if (config->output[i].kind == FW_FEATURE_ACTION) {
            config->output[i].shape[0] = n_action;
            break;
        }
    }
    p->n_action = n_action;
    fw_processor_name_joints(p, NULL, 0);
    if (p->state_at >= 0) {
        FW_TRY(map_resize(&p->input[p->state_at], n_state, err));
        config->input[p->state_at].shape[0] = n_state;
        p->n_state = n_state;
    }
    return FW_OK;
}

fw_status fw_processor_rename(fw_processor *p, const char *from, const char *to, fw_err *err) {
    int n = 0;
    for (int i = 0; i < p->n_renamed; i++) { /* one name, one meaning */
        if (strcmp(p->renamed[i].from, from) != 0) {
            p->renamed[n++] = p->renamed[i];
        }
    }
    p->n_renamed = n;
    if (n == FW_LEROBOT_FEATURES || strlen(from) >= FW_LEROBOT_KEY_MAX || strlen(to) >= FW_LEROBOT_KEY_MAX) {
        return fw_fail(err, FW_FORMAT, "'%.40s' for '%.40s': more than %d names, or one of more than %d bytes", to,
                       from, FW_LEROBOT_FEATURES, FW_LEROBOT_KEY_MAX - 1);
    }
    memmove(p->renamed + 1, p->renamed, (size_t)n * sizeof *p->renamed); /* fw_processor_source finds the latest */
    strcpy(p->renamed[0].from, from);
    strcpy(p->renamed[0].to, to);
    p->n_renamed = n + 1;
    return FW_OK;
}

const char *fw_processor_source(const fw_processor *p, const char *key) {
    for (int i = 0; i < p->n_renamed; i++) {
        if (strcmp(p->renamed[i].to, key) == 0) {
            return p->renamed[i].from;
        }
    }
    return key;
}

/* ---- the prompt ---- */

typedef struct text {
    char *s;
    size_t n, cap; /* n may pass cap: then it does not fit */
} text;

static void add_text(text *t, const char *s, size_t n) {
    if (t->n + n < t->cap) {
        memcpy(t->s + t->n, s, n);
    }
    t->n += n;
}

/* How many of the lower ends of 256 equal parts of [-1, 1] are at most x, less one: -1 below the range, 255 at its end. */
static int part_of(float x) {
    int k = x >= 1.0f ? 255 : x < -1.0f ? -1 : (int)floor((double)x * 128.0 + 128.0);
    while (k >= 0 && (double)x < -1.0 + k / 128.0) { /* the sum above is rounded */
        k--;
    }
    return k;
}

/* What Python's str.strip() takes away. */
static bool strips(uint32_t c) {
    return fw_is_space(c) || (c >= 0x1C && c <= 0x1F);
}

/* The task without white space at its ends, and with spaces for '_' and line ends. */
static void add_clean(text *t, const char *task, size_t n) {
    size_t from = 0, end = 0, len;
    bool begun = false;
    for (size_t at = 0; at < n; at += len) {
        bool space = strips(fw_utf8_at(task + at, &len));
        from = !begun && space ? at + len : from;
        begun = begun || !space;
        end = space ? end : at + len;
    }
    for (size_t at = from; at < end; at++) {
        char c = task[at] == '_' || task[at] == '\n' ? ' ' : task[at];
        add_text(t, &c, 1);
    }
}

static void add_state(text *t, const fw_processor *p, const float *state) {
    const fw_map_stat *m = &p->input[p->state_at];
    for (int i = 0; i < m->n; i++) {
        char number[16];
        fw_map_stat one = {m->kind, 1, m->eps, m->a != NULL ? m->a + i : NULL, m->b != NULL ? m->b + i : NULL};
        float y;
        fw_map_apply(&one, state + i, &y, 1);
        add_text(t, number, (size_t)snprintf(number, sizeof number, "%s%d", i > 0 ? " " : "", part_of(y)));
    }
}

fw_status fw_processor_prompt(const fw_processor *p, const float *state, const char *task, char *out, size_t cap,
                              fw_err *err) {
    text t = {out, 0, cap};
    size_t n = 0;
    FW_TRY(fw_utf8_check(task, &n, err));
    switch (p->prompt) {
    case FW_PROMPT_NONE:
        return fw_fail(err, FW_INVALID, "the policy reads no words");
    case FW_PROMPT_TASK:
        add_text(&t, task, n);
        break;
    case FW_PROMPT_LINE:
        add_text(&t, task, n);
        add_text(&t, "\n", n == 0 || task[n - 1] != '\n');
        break;
    case FW_PROMPT_CLEAN:
        add_clean(&t, task, n);
        add_text(&t, "\n", 1);
        break;
    case FW_PROMPT_STATE:
        add_text(&t, "Task: ", 6);
        add_clean(&t, task, n);
        add_text(&t, ", State: ", 9);
        add_state(&t, p, state);
        add_text(&t, ";\nAction: ", 10);
        break;
    }
    if (t.n >= cap) {
        return fw_fail(err, FW_INVALID, "a prompt of %zu bytes, there is room for %zu", t.n, cap > 0 ? cap - 1 : 0);
    }
    out[t.n] = 0;
    return FW_OK;
}

/* ---- statistics ---- */

typedef struct reader {
    const fw_lerobot_config *c;
    fw_processor *p;
    const char *dir; /* where state files lie; NULL: all statistics are in `stats` */
    const fw_st *stats;
    char where[300]; /* file, and the step in it */
    bool buffers;    /* an older checkpoint: `stats` is its model.safetensors */
    bool normalizer, unnormalizer, tokenizer, absolute;
} reader;

/* Where older checkpoints keep them, among the weights. */
static const char *const buffers[] = {"normalize_inputs.buffer_", "unnormalize_outputs.buffer_",
                                      "normalize_targets.buffer_"};

/* The tensor of a statistic; NULL: none. */
static const fw_st_tensor *find_stat(const reader *r, const fw_st *st, const char *key, const char *stat) {
    char name[2 * FW_LEROBOT_KEY_MAX];
    const fw_st_tensor *t = NULL;
    if (st == NULL) {
        return NULL;
    }
    if (!r->buffers) {
        snprintf(name, sizeof name, "%s.%s", key, stat);
        return fw_st_find(st, name);
    }
    for (size_t i = 0; t == NULL && i < N(buffers); i++) {
        size_t n = (size_t)snprintf(name, sizeof name, "%s", buffers[i]);
        for (const char *k = key; *k != 0; k++) {
            name[n++] = *k == '.' ? '_' : *k;
        }
        snprintf(name + n, sizeof name - n, ".%s", stat);
        t = fw_st_find(st, name);
    }
    return t;
}

static fw_status read_stat(const reader *r, const fw_st *st, const fw_lerobot_feature *f, fw_lerobot_norm norm,
                           const char *stat, int n, float *out, fw_err *err) {
    static const char *const names[] = {"IDENTITY", "MEAN_STD", "MIN_MAX", "QUANTILES", "QUANTILE10"};
    const fw_shape flat = FW_SHAPE_OF(n), picture = FW_SHAPE_OF(n, 1, 1);
    const fw_st_tensor *t = find_stat(r, st, f->key, stat);
    if (t == NULL) {
        return fw_fail(err, FW_SHAPE, "%s: normalised by %s, and there is no statistic '%.80s.%s'", r->where,
                       names[norm], f->key, stat);
    }
    FW_TRY(fw_st_read_f32(st, t->name, t->shape.n == 3 ? &picture : &flat, out, err));
    for (int i = 0; i < n; i++) {
        if (!isfinite(out[i])) {
            return fw_fail(err, FW_FORMAT, "%s: statistic '%.120s': value %d is %g", r->where, t->name, i,
                           (double)out[i]);
        }
    }
    return FW_OK;
}

static fw_status check_spread(const reader *r, const fw_map_stat *m, const char *key, fw_err *err) {
    for (int i = 0; i < m->n; i++) {
        bool spread = m->kind == FW_LEROBOT_MEAN_STD;
        if (spread ? m->b[i] < 0.0f : m->b[i] < m->a[i]) {
            return fw_fail(err, FW_FORMAT, "%s: %.80s: value %d: %s", r->where, key, i,
                           spread ? "a negative standard deviation" : "a range that ends before it begins");
        }
    }
    return FW_OK;
}

static fw_status read_map(const reader *r, const fw_st *st, const fw_lerobot_feature *f, fw_lerobot_norm norm,
                          float eps, fw_map_stat *m, fw_err *err) {
    static const char *const low[] = {"", "mean", "min", "q01", "q10"}, *const high[] = {"", "std", "max", "q99",
                                                                                         "q90"};
    const int n = (int)f->shape[0];
    *m = (fw_map_stat){FW_LEROBOT_IDENTITY, n, eps, NULL, NULL};
    if (norm == FW_LEROBOT_IDENTITY) {
        return FW_OK;
    }
    m->a = calloc(2 * (size_t)n, sizeof *m->a);
    if (m->a == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for statistics of %d values", n);
    }
    m->b = m->a + n;
    m->kind = norm;
    FW_TRY(read_stat(r, st, f, norm, low[norm], n, m->a, err));
    FW_TRY(read_stat(r, st, f, norm, high[norm], n, m->b, err));
    return check_spread(r, m, f->key, err);
}

/* A step that normalises: its features, how each kind is normalised, and which observations are. */
typedef struct norm_step {
    fw_lerobot_feature feature[FW_LEROBOT_FEATURES + 1];
    int n;
    fw_lerobot_norm norm[FW_N_FEATURE_KIND];
    const json_t *only; /* names of observations, NULL: all */
    double eps;
} norm_step;

static bool is_listed(const json_t *list, const char *key) {
    const json_t *j;
    size_t i;
    json_array_foreach(list, i, j) {
        const char *s = json_string_value(j);
        if (s != NULL && strcmp(s, key) == 0) {
            return true;
        }
    }
    return false;
}

/* The map of a feature of config.json, as the step has it. */
static fw_status map_of(const reader *r, const norm_step *s, const fw_st *st, const fw_lerobot_feature *want,
                        fw_map_stat *m, fw_err *err) {
    const fw_lerobot_feature *f = NULL;
    fw_lerobot_norm norm = s->norm[want->kind];
    for (int i = 0; i < s->n && f == NULL; i++) {
        f = strcmp(s->feature[i].key, want->key) == 0 ? &s->feature[i] : NULL;
    }
    bool left_out = s->only != NULL && want->kind != FW_FEATURE_ACTION && !is_listed(s->only, want->key);
    if (left_out || (f == NULL && fw_lerobot_is_empty_camera(want))) {
        norm = FW_LEROBOT_IDENTITY;
    }
    if (norm != FW_LEROBOT_IDENTITY && f == NULL) {
        return fw_fail(err, FW_FORMAT, "%s: %.80s of config.json is not among its features", r->where, want->key);
    }
    /* SmolVLA, pi0 and pi0.5: the step keeps the number of state values of the robot that the policy was first made for */
    const bool any = want->kind == FW_FEATURE_STATE && r->c->policy != FW_POLICY_ACT;
    if (f != NULL && (f->kind != want->kind || (f->shape[0] != want->shape[0] && !any))) {
        return fw_fail(err, FW_SHAPE, "%s: %.80s has %d values, config.json says %d", r->where, want->key,
                       (int)f->shape[0], (int)want->shape[0]);
    }
    return read_map(r, st, want, norm, (float)s->eps, m, err);
}

static fw_status read_maps(reader *r, const norm_step *s, const fw_st *st, bool inverse, fw_err *err) {
    const fw_lerobot_feature *action = fw_lerobot_output(r->c, FW_FEATURE_ACTION);
    if (inverse) {
        return map_of(r, s, st, action, &r->p->output, err);
    }
    for (int i = 0; i < r->c->n_input; i++) {
        FW_TRY(map_of(r, s, st, &r->c->input[i], &r->p->input[i], err));
    }
    return map_of(r, s, st, action, &r->p->action, err);
}

/* ---- steps ---- */

static bool is_null(const json_t *j) {
    return j == NULL || json_is_null(j);
}

static fw_status read_nothing(reader *r, const json_t *step, const json_t *config, fw_err *err) {
    (void)r, (void)step, (void)config, (void)err;
    return FW_OK;
}

static fw_status read_device(reader *r, const json_t *step, const json_t *config, fw_err *err) {
    const json_t *j = json_object_get(config, "float_dtype");
    (void)step;
    if (is_null(j) || (json_is_string(j) && strcmp(json_string_value(j), "float32") == 0)) {
        return FW_OK;
    }
    return fw_fail(err, FW_FORMAT, "%s: float_dtype %.40s is not implemented", r->where,
                   json_is_string(j) ? json_string_value(j) : "that is no name");
}

static fw_status read_rename(reader *r, const json_t *step, const json_t *config, fw_err *err) {
    const json_t *map;
    (void)step;
    FW_TRY(fw_json_obj(config, "rename_map", r->where, &map, err));
    for (void *it = json_object_iter((json_t *)(uintptr_t)map); it != NULL;
         it = json_object_iter_next((json_t *)(uintptr_t)map, it)) {
        const char *from = json_object_iter_key(it), *to;
        FW_TRY(fw_json_str(map, from, r->where, &to, err));
        if (r->p->n_renamed == FW_LEROBOT_FEATURES || strlen(from) >= FW_LEROBOT_KEY_MAX ||
            strlen(to) >= FW_LEROBOT_KEY_MAX) {
            return fw_fail(err, FW_FORMAT, "%s: more than %d names, or one of more than %d bytes", r->where,
                           FW_LEROBOT_FEATURES, FW_LEROBOT_KEY_MAX - 1);
        }
        fw_renamed *n = &r->p->renamed[r->p->n_renamed++];
        strcpy(n->from, from);
        strcpy(n->to, to);
    }
    return FW_OK;
}

static fw_status open_state(const reader *r, const json_t *step, fw_st **out, fw_err *err) {
    char path[PATH_BYTES];
    const char *file;
    *out = NULL;
    if (r->dir == NULL || json_object_get(step, "state_file") == NULL) {
        return FW_OK; /* a step without statistics; who needs one says so */
    }
    FW_TRY(fw_json_str(step, "state_file", r->where, &file, err));
    if (file[0] == 0 || strchr(file, '/') != NULL) {
        return fw_fail(err, FW_FORMAT, "%s: state_file '%.100s' is not the name of a file beside it", r->where, file);
    }
    FW_TRY(fw_path_join(path, sizeof path, r->dir, file, err));
    return fw_st_open(path, out, err);
}

static fw_status read_norm_step(reader *r, const json_t *step, const json_t *config, bool inverse, fw_err *err) {
    norm_step s = {.eps = (double)LEROBOT_EPS};
    const json_t *only = json_object_get(config, "normalize_observation_keys");
    fw_st *st;
    FW_TRY(fw_lerobot_features(config, "features", r->where, s.feature, &s.n, err));
    FW_TRY(fw_lerobot_norms(config, "norm_map", r->where, s.norm, err));
    FW_TRY(fw_json_f64_or(config, "eps", r->where, s.eps, &s.eps, err));
    if (s.eps <= 0.0 || s.eps > 1.0) {
        return fw_fail(err, FW_FORMAT, "%s: eps is %g", r->where, s.eps);
    }
    if (!is_null(only)) {
        FW_TRY(fw_json_arr(config, "normalize_observation_keys", r->where, &s.only, err));
    }
    FW_TRY(open_state(r, step, &st, err));
    fw_status got = read_maps(r, &s, st != NULL ? st : r->stats, inverse, err);
    fw_st_close(st);
    return got;
}

static fw_status only_once(const reader *r, bool *seen, fw_err *err) {
    if (*seen) {
        return fw_fail(err, FW_FORMAT, "%s: a second step of its kind", r->where);
    }
    *seen = true;
    return FW_OK;
}

static fw_status read_normalizer(reader *r, const json_t *step, const json_t *config, fw_err *err) {
    FW_TRY(only_once(r, &r->normalizer, err));
    return read_norm_step(r, step, config, false, err);
}

static fw_status read_unnormalizer(reader *r, const json_t *step, const json_t *config, fw_err *err) {
    FW_TRY(only_once(r, &r->unnormalizer, err));
    return read_norm_step(r, step, config, true, err);
}

/* A step that makes the prompt from the task: one, before the tokenizer. */
static fw_status set_prompt(reader *r, fw_prompt_kind kind, fw_err *err) {
    if (r->p->prompt != FW_PROMPT_NONE) {
        return fw_fail(err, FW_FORMAT, "%s: behind another step that makes or reads the prompt", r->where);
    }
    r->p->prompt = kind;
    return FW_OK;
}

static fw_status read_new_line(reader *r, const json_t *step, const json_t *config, fw_err *err) {
    (void)step, (void)config;
    return set_prompt(r, FW_PROMPT_LINE, err);
}

static fw_status read_prepare_state(reader *r, const json_t *step, const json_t *config, fw_err *err) {
    (void)step, (void)config;
    if (!r->normalizer) {
        return fw_fail(err, FW_FORMAT, "%s: before normalizer_processor, and it reads the normalised state", r->where);
    }
    if (r->p->n_state == 0) {
        return fw_fail(err, FW_FORMAT, "%s: config.json has no feature of type STATE", r->where);
    }
    return set_prompt(r, FW_PROMPT_STATE, err);
}

/* padding: "max_length"; "longest" or true; "do_not_pad" or false, which is the same for one text. */
static fw_status read_padding(reader *r, const json_t *config, fw_err *err) {
    const json_t *j = json_object_get(config, "padding");
    const char *s = json_is_string(j) ? json_string_value(j) : NULL;
    r->p->pad_to_max = j == NULL || (s != NULL && strcmp(s, "max_length") == 0);
    bool known = r->p->pad_to_max || json_is_boolean(j) ||
                 (s != NULL && (strcmp(s, "longest") == 0 || strcmp(s, "do_not_pad") == 0));
    return known ? FW_OK
                 : fw_fail(err, FW_FORMAT, "%s: padding %.40s is not implemented", r->where,
                           s != NULL ? s : "that is no word");
}

static fw_status read_tokenizer(reader *r, const json_t *step, const json_t *config, fw_err *err) {
    const char *name, *side, *task;
    int64_t max;
    bool cut;
    (void)step;
    FW_TRY(only_once(r, &r->tokenizer, err));
    FW_TRY(fw_json_i64_or(config, "max_length", r->where, 2, 1 << 20, 512, &max, err));
    FW_TRY(fw_json_str_or(config, "tokenizer_name", r->where, "", &name, err));
    FW_TRY(fw_json_str_or(config, "padding_side", r->where, "right", &side, err));
    FW_TRY(fw_json_str_or(config, "task_key", r->where, "task", &task, err));
    FW_TRY(fw_json_bool_or(config, "truncation", r->where, true, &cut, err));
    FW_TRY(read_padding(r, config, err));
    if (strcmp(side, "right") != 0 || strcmp(task, "task") != 0 || !cut) {
        return fw_fail(err, FW_FORMAT,
                       "%s: padding_side '%.20s', task_key '%.20s', truncation %s: wanted right, task, true", r->where,
                       side, task, cut ? "true" : "false");
    }
    if (strlen(name) >= sizeof r->p->tokenizer) {
        return fw_fail(err, FW_FORMAT, "%s: tokenizer_name of more than %zu bytes", r->where,
                       sizeof r->p->tokenizer - 1);
    }
    strcpy(r->p->tokenizer, name);
    r->p->max_tokens = (int)max;
    r->p->prompt = r->p->prompt == FW_PROMPT_NONE ? FW_PROMPT_TASK : r->p->prompt;
    return FW_OK;
}

static fw_status read_relative(reader *r, const json_t *step, const json_t *config, fw_err *err) {
    const json_t *words = json_object_get(config, "exclude_joints"), *names = json_object_get(config, "action_names");
    bool enabled;
    (void)step;
    FW_TRY(fw_json_bool_or(config, "enabled", r->where, false, &enabled, err));
    if (!enabled) {
        return FW_OK;
    }
    FW_TRY(is_null(words) ? FW_OK : fw_json_arr(config, "exclude_joints", r->where, &words, err));
    FW_TRY(is_null(names) ? FW_OK : fw_json_arr(config, "action_names", r->where, &names, err));
    if (r->p->relative != NULL || r->normalizer) {
        return fw_fail(err, FW_FORMAT, "%s: behind normalizer_processor, or a second time", r->where);
    }
    if (r->p->n_state < r->p->n_action) {
        return fw_fail(err, FW_FORMAT, "%s: %d actions relative to a state of %d values", r->where, r->p->n_action,
                       r->p->n_state);
    }
    r->p->relative = malloc((size_t)r->p->n_action);
    if (r->p->relative == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for %d actions", r->p->n_action);
    }
    for (int i = 0; i < r->p->n_action; i++) {
        const char *joint = json_string_value(json_array_get(names, (size_t)i));
        r->p->relative[i] = joint == NULL || !is_excluded(joint, words);
    }
    r->p->except = json_incref((json_t *)(uintptr_t)words);
    return FW_OK;
}

static fw_status read_absolute(reader *r, const json_t *step, const json_t *config, fw_err *err) {
    bool enabled;
    (void)step;
    FW_TRY(fw_json_bool_or(config, "enabled", r->where, false, &enabled, err));
    if (enabled && !r->unnormalizer) {
        return fw_fail(err, FW_FORMAT, "%s: before unnormalizer_processor", r->where);
    }
    r->absolute = r->absolute || enabled;
    return FW_OK;
}

/* ---- pipelines ---- */

typedef struct known_step {
    const char *name;
    fw_status (*read)(reader *r, const json_t *step, const json_t *config, fw_err *err);
} known_step;
static const known_step pre_steps[] = {{"rename_observations_processor", read_rename},
                                       {"to_batch_processor", read_nothing},
                                       {"device_processor", read_device},
                                       {"normalizer_processor", read_normalizer},
                                       {"smolvla_new_line_processor", read_new_line},
                                       {"pi0_new_line_processor", read_new_line},
                                       {"relative_actions_processor", read_relative},
                                       {"pi05_prepare_state_tokenizer_processor_step", read_prepare_state},
                                       {"tokenizer_processor", read_tokenizer},
                                       {NULL, NULL}};
static const known_step post_steps[] = {{"unnormalizer_processor", read_unnormalizer},
                                        {"absolute_actions_processor", read_absolute},
                                        {"device_processor", read_device},
                                        {NULL, NULL}};

static fw_status read_step(reader *r, const known_step *known, const char *file, size_t i, const json_t *step,
                           fw_err *err) {
    const char *name = NULL;
    const json_t *config = NULL;
    snprintf(r->where, sizeof r->where, "%.180s: step %zu", file, i);
    if (json_is_object(step) && json_object_get(step, "registry_name") == NULL) {
        const char *class = json_string_value(json_object_get(step, "class"));
        return fw_fail(err, FW_FORMAT, "%s has no registry_name; class '%.80s' is not implemented", r->where,
                       class != NULL ? class : "");
    }
    FW_TRY(fw_json_str(step, "registry_name", r->where, &name, err));
    snprintf(r->where, sizeof r->where, "%.180s: step %zu '%.80s'", file, i, name);
    while (known->name != NULL && strcmp(known->name, name) != 0) {
        known++;
    }
    if (known->name == NULL) {
        return fw_fail(err, FW_FORMAT, "%s is not implemented", r->where);
    }
    FW_TRY(fw_json_obj(step, "config", r->where, &config, err));
    return known->read(r, step, config, err);
}

static fw_status read_pipeline(reader *r, const known_step *known, const json_t *root, const char *file, fw_err *err) {
    const json_t *steps;
    FW_TRY(fw_json_arr(root, "steps", file, &steps, err));
    for (size_t i = 0; i < json_array_size(steps); i++) {
        FW_TRY(read_step(r, known, file, i, json_array_get(steps, i), err));
    }
    return FW_OK;
}

/* A pipeline without a step that normalises passes everything as it is. */
static void pass_all(reader *r) {
    for (int i = 0; !r->normalizer && i < r->c->n_input; i++) {
        r->p->input[i] = (fw_map_stat){.n = (int)r->c->input[i].shape[0]};
    }
    if (!r->normalizer) {
        r->p->action = (fw_map_stat){.n = r->p->n_action};
    }
    if (!r->unnormalizer) {
        r->p->output = (fw_map_stat){.n = r->p->n_action};
    }
}

static fw_status check_whole(reader *r, const char *pre, const char *post, fw_err *err) {
    const fw_lerobot_config *c = r->c;
    for (int i = 0; !r->normalizer && i < c->n_input; i++) {
        if (c->norm[c->input[i].kind] != FW_LEROBOT_IDENTITY) {
            return fw_fail(err, FW_FORMAT, "%s: no step 'normalizer_processor', and config.json normalises %.80s", pre,
                           c->input[i].key);
        }
    }
    if (!r->unnormalizer && c->norm[FW_FEATURE_ACTION] != FW_LEROBOT_IDENTITY) {
        return fw_fail(err, FW_FORMAT, "%s: no step 'unnormalizer_processor', and config.json normalises the action",
                       post);
    }
    if (r->absolute != (r->p->relative != NULL)) {
        return fw_fail(err, FW_FORMAT, "%s: actions are %s, and %s says otherwise", pre,
                       r->absolute ? "absolute" : "relative", post);
    }
    if (r->p->prompt != FW_PROMPT_NONE && !r->tokenizer) {
        return fw_fail(err, FW_FORMAT, "%s: makes a prompt, and no step 'tokenizer_processor' reads it", pre);
    }
    pass_all(r);
    return FW_OK;
}

static void begin(reader *r, const fw_lerobot_config *c, fw_processor *out) {
    const fw_lerobot_feature *state = fw_lerobot_input(c, FW_FEATURE_STATE);
    memset(out, 0, sizeof *out);
    out->n_state = state != NULL ? (int)state->shape[0] : 0;
    out->state_at = state != NULL ? (int)(state - c->input) : -1;
    out->n_action = (int)fw_lerobot_output(c, FW_FEATURE_ACTION)->shape[0];
    *r = (reader){.c = c, .p = out};
}

fw_status fw_processor_parse(const json_t *pre, const json_t *post, const fw_st *stats, const fw_lerobot_config *config,
                             fw_processor *out, fw_err *err) {
    reader r;
    begin(&r, config, out);
    r.stats = stats;
    fw_status st = read_pipeline(&r, pre_steps, pre, "policy_preprocessor.json", err);
    st = st != FW_OK ? st : read_pipeline(&r, post_steps, post, "policy_postprocessor.json", err);
    st = st != FW_OK ? st : check_whole(&r, "policy_preprocessor.json", "policy_postprocessor.json", err);
    if (st != FW_OK) {
        fw_processor_clear(out);
    }
    return st;
}

static fw_status load_pipelines(reader *r, const char *pre, const char *post, fw_err *err) {
    json_t *a = NULL, *b = NULL;
    fw_status st = fw_json_load(pre, &a, err);
    st = st != FW_OK ? st : read_pipeline(r, pre_steps, a, pre, err);
    st = st != FW_OK ? st : fw_json_load(post, &b, err);
    st = st != FW_OK ? st : read_pipeline(r, post_steps, b, post, err);
    json_decref(a);
    json_decref(b);
    return st != FW_OK ? st : check_whole(r, pre, post, err);
}

static void set_usual_prompt(reader *r) {
    static const fw_prompt_kind kinds[] = {FW_PROMPT_NONE, FW_PROMPT_LINE, FW_PROMPT_LINE, FW_PROMPT_STATE};
    r->p->prompt = kinds[r->c->policy];
    r->p->max_tokens = r->c->policy != FW_POLICY_ACT ? r->c->vla.max_tokens : 0;
    r->p->pad_to_max = r->c->policy == FW_POLICY_PI0 || r->c->policy == FW_POLICY_PI05;
}

/* An older checkpoint: the steps of its kind of policy, with the statistics among the weights. */
static fw_status load_buffers(reader *r, const char *dir, fw_err *err) {
    const fw_lerobot_config *c = r->c;
    char path[PATH_BYTES];
    norm_step s = {.eps = (double)LEROBOT_EPS};
    fw_st *st = NULL;
    if (c->policy == FW_POLICY_PI05 && r->p->n_state == 0) {
        return fw_fail(err, FW_FORMAT, "%s/config.json: no feature of type STATE, which the prompt has", dir);
    }
    if (c->policy != FW_POLICY_ACT && c->vla.relative_actions) {
        return fw_fail(err, FW_FORMAT, "%s: has relative actions, and no policy_preprocessor.json says of which joints",
                       dir);
    }
    FW_TRY(fw_path_join(path, sizeof path, dir, "model.safetensors", err));
    snprintf(r->where, sizeof r->where, "%.160s (there is no policy_preprocessor.json)", path);
    memcpy(s.norm, c->norm, sizeof s.norm);
    for (int i = 0; i < c->n_input; i++) {
        s.feature[s.n++] = c->input[i];
    }
    s.feature[s.n++] = *fw_lerobot_output(c, FW_FEATURE_ACTION);
    r->buffers = true;
    set_usual_prompt(r);
    FW_TRY(fw_st_open(path, &st, err));
    fw_status got = read_maps(r, &s, st, false, err);
    got = got != FW_OK ? got : read_maps(r, &s, st, true, err);
    fw_st_close(st);
    return got;
}

/* ---- openpi ---- */

static fw_status read_openpi_map(const json_t *all, const char *part, const char *path, fw_lerobot_norm norm, int n,
                                 fw_map_stat *m, fw_err *err) {
    const bool spread = norm == FW_LEROBOT_MEAN_STD;
    char where[300];
    double v[2][OPENPI_DIM_MAX];
    const json_t *j;
    snprintf(where, sizeof where, "%.200s: %s", path, part);
    FW_TRY(fw_json_obj(all, part, path, &j, err));
    if (n > OPENPI_DIM_MAX) {
        return fw_fail(err, FW_SHAPE, "%s: %d values, at most %d", where, n, OPENPI_DIM_MAX);
    }
    FW_TRY(fw_json_f64s(j, spread ? "mean" : "q01", where, v[0], (size_t)n, err));
    FW_TRY(fw_json_f64s(j, spread ? "std" : "q99", where, v[1], (size_t)n, err));
    *m = (fw_map_stat){norm, n, spread ? 0.0f : FW_OPENPI_SPREAD, calloc(2 * (size_t)n, sizeof *m->a), NULL};
    if (m->a == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for statistics of %d values", n);
    }
    m->b = m->a + n;
    for (int i = 0; i < n; i++) {
        if (v[1][i] < (spread ? 0.0 : v[0][i])) {
            return fw_fail(err, FW_FORMAT, "%s: value %d: %s", where, i, spread ? "std below 0" : "q99 below q01");
        }
        m->a[i] = (float)v[0][i];
        m->b[i] = (float)(v[1][i] + (double)FW_OPENPI_SPREAD);
    }
    return FW_OK;
}

static fw_status read_openpi(reader *r, const json_t *root, const char *path, fw_err *err) {
    const fw_lerobot_norm norm = r->c->policy == FW_POLICY_PI05 ? FW_LEROBOT_QUANTILES : FW_LEROBOT_MEAN_STD;
    fw_processor *p = r->p;
    const json_t *all;
    FW_TRY(fw_json_obj(root, "norm_stats", path, &all, err));
    for (int i = 0; i < r->c->n_input; i++) {
        p->input[i] = (fw_map_stat){.n = (int)r->c->input[i].shape[0]};
    }
    FW_TRY(read_openpi_map(all, "state", path, norm, p->n_state, &p->input[p->state_at], err));
    FW_TRY(read_openpi_map(all, "actions", path, norm, p->n_action, &p->action, err));
    FW_TRY(read_openpi_map(all, "actions", path, norm, p->n_action, &p->output, err));
    set_usual_prompt(r);
    p->prompt = r->c->policy == FW_POLICY_PI05 ? FW_PROMPT_STATE : FW_PROMPT_CLEAN;
    strcpy(p->tokenizer, "google/paligemma-3b-pt-224");
    return FW_OK;
}

static fw_status load_openpi(reader *r, const char *dir, fw_err *err) {
    char path[PATH_BYTES];
    json_t *root = NULL;
    FW_TRY(fw_openpi_stats(dir, path, &root, err));
    fw_status st = read_openpi(r, root, path, err);
    json_decref(root);
    return st;
}

static fw_status load(reader *r, const char *dir, fw_err *err) {
    char pre[PATH_BYTES], post[PATH_BYTES];
    if (r->c->openpi) {
        return load_openpi(r, dir, err);
    }
    FW_TRY(fw_path_join(pre, sizeof pre, dir, "policy_preprocessor.json", err));
    FW_TRY(fw_path_join(post, sizeof post, dir, "policy_postprocessor.json", err));
    if (fw_path_exists(pre) || fw_path_exists(post)) {
        r->dir = dir;
        return load_pipelines(r, pre, post, err);
    }
    return load_buffers(r, dir, err);
}

fw_status fw_processor_load(const char *dir, const fw_lerobot_config *config, fw_processor *out, fw_err *err) {
    reader r;
    begin(&r, config, out);
    fw_status st = load(&r, dir, err);
    if (st != FW_OK) {
        fw_processor_clear(out);
    }
    return st;
}

void fw_processor_clear(fw_processor *p) {
    for (int i = 0; i < FW_LEROBOT_FEATURES; i++) {
        free(p->input[i].a);
    }
    free(p->action.a);
    free(p->output.a);
    free(p->relative);
    json_decref(p->except);
    memset(p, 0, sizeof *p);
}
