/* env.c - the environment: a suite read from JSON, a simulator a setting, the current task and sentence, counters. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "task/task_int.h"

#define HOLD_STEPS  5
#define PICTURE_MAX 640

typedef char sentence_text[FW_SENTENCE_LEN];

typedef struct suite_task {
    const fw_task *task;
    int room;                 /* index of its setting's simulator */
    int n[2], said[2];        /* phrasings; those that are said in this scene */
    sentence_text *filled[2]; /* owned, [said]: with their slots filled for this scene; NULL: no phrasing has slots */
    fw_meant meant;
    bool offered; /* this scene has a case of the task */
} suite_task;

/* What an episode has behind it, beside the simulator's state. */
typedef struct past {
    int steps, held; /* control steps; those in a row for which success has held */
    float state[FW_DIM_MAX], action[FW_DIM_MAX];
} past;

struct fw_env {
    fw_sim *room[FW_TASK_MAX]; /* a simulator for each setting, opened when first used */
    const fw_setting *setting[FW_TASK_MAX];
    int n_room;
    fw_embodiment body;
    fw_sim_opts sim_opts;
    char suite_name[FW_NAME_MAX], randomise[FW_NAME_MAX], look[FW_NAME_MAX];
    suite_task task[FW_TASK_MAX];
    int n_task, suite_limit; /* control steps; 0: the tasks' own */
    bool render;

    int current;
    past past;
    sentence_text sentence;
    const char *phase; /* static: the expert's last */
    float state[FW_DIM_MAX];
    uint8_t *pixels[FW_CAM_MAX]; /* owned */
    int px_w[FW_CAM_MAX], px_h[FW_CAM_MAX];
};

/* --- the suite file */
static int room_of(fw_env *e, const fw_setting *setting) {
    for (int r = 0; r < e->n_room; r++) {
        if (e->setting[r] == setting) {
            return r;
        }
    }
    e->setting[e->n_room] = setting;
    return e->n_room++;
}

static fw_status read_task(fw_env *e, const json_t *j, const char *where, suite_task *t, fw_err *err) {
    char names[1000];
    const char *name = json_string_value(j);
    t->task = name != NULL ? task_find(name) : NULL;
    if (t->task == NULL) {
        task_names(names, sizeof names);
        return fw_fail(err, FW_INVALID, "%s: no task '%.60s'; there are %.300s", where, name != NULL ? name : "?",
                       names);
    }
    t->room = room_of(e, t->task->setting);
    for (int split = 0; split < 2; split++) {
        const char *const *text = split == FW_SPLIT_TRAIN ? t->task->train : t->task->held;
        bool slots = false;
        for (t->n[split] = 0; text[t->n[split]] != NULL; t->n[split]++) {
            slots = slots || strchr(text[t->n[split]], '{') != NULL;
        }
        t->said[split] = t->n[split];
        t->filled[split] = slots ? calloc((size_t)t->n[split], sizeof(sentence_text)) : NULL;
        if (slots && t->filled[split] == NULL) {
            return fw_fail(err, FW_NOMEM, "sentences of %s", t->task->name);
        }
    }
    return FW_OK;
}

/* "homes": {"first": 1, "count": 64} */
static fw_status read_homes(fw_env *e, const json_t *j, const char *where, fw_err *err) {
    static const char *const known[] = {"first", "count", NULL};
    int64_t first, count;
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(fw_json_i64(j, "first", where, 0, INT64_MAX, &first, err));
    FW_TRY(fw_json_i64(j, "count", where, 1, INT64_MAX, &count, err));
    e->sim_opts.home_first = (uint64_t)first;
    e->sim_opts.home_count = (uint64_t)count;
    return FW_OK;
}

static fw_status open_suite(const char *name, json_t **out, char path[700], fw_err *err) {
    char dir[512], file[128];
    FW_TRY(fw_path_join(dir, sizeof dir, fw_home(), "suites", err));
    if (strlen(name) >= FW_NAME_MAX || strchr(name, '/') != NULL) {
        return fw_fail(err, FW_INVALID, "suite '%.60s': wanted a name without '/'", name);
    }
    snprintf(file, sizeof file, "%s.json", name);
    FW_TRY(fw_path_join(path, 700, dir, file, err));
    if (!fw_path_exists(path)) {
        return fw_fail(err, FW_INVALID, "no suite '%s': %s is missing", name, path);
    }
    return fw_json_load(path, out, err);
}

static fw_status read_suite(fw_env *e, const json_t *suite, const char *path, const fw_env_opts *opts, fw_err *err) {
    static const char *const known[] = {"name", "embodiment", "time_limit", "homes", "randomise", "tasks", NULL};
    const char *body = opts->embodiment, *randomise = opts->randomise;
    const json_t *tasks;
    int64_t limit = 0;
    FW_TRY(fw_json_only(suite, path, known, err));
    if (body == NULL) {
        FW_TRY(fw_json_str(suite, "embodiment", path, &body, err));
    }
    FW_TRY(fw_embodiment_find(body, &e->body, err));
    if (json_object_get(suite, "time_limit") != NULL) {
        FW_TRY(fw_json_i64(suite, "time_limit", path, 1, 100000, &limit, err));
    }
    if (opts->home_count > 0) {
        e->sim_opts.home_first = opts->home_first, e->sim_opts.home_count = opts->home_count;
    } else if (json_object_get(suite, "homes") != NULL) {
        FW_TRY(read_homes(e, json_object_get(suite, "homes"), path, err));
    }
    if (randomise == NULL && json_object_get(suite, "randomise") != NULL) {
        FW_TRY(fw_json_str(suite, "randomise", path, &randomise, err));
    }
    snprintf(e->randomise, sizeof e->randomise, "%s", randomise != NULL ? randomise : "default");
    FW_TRY(fw_json_arr(suite, "tasks", path, &tasks, err));
    if (json_array_size(tasks) < 1 || json_array_size(tasks) > FW_TASK_MAX) {
        return fw_fail(err, FW_FORMAT, "%s: wanted 1..%d tasks, found %zu", path, FW_TASK_MAX, json_array_size(tasks));
    }
    e->suite_limit = (int)limit;
    for (; e->n_task < (int)json_array_size(tasks); e->n_task++) {
        FW_TRY(read_task(e, json_array_get(tasks, (size_t)e->n_task), path, &e->task[e->n_task], err));
    }
    return FW_OK;
}

static fw_status load_suite(fw_env *e, const char *name, const fw_env_opts *opts, fw_err *err) {
    char path[700];
    json_t *suite = NULL;
    FW_TRY(open_suite(name, &suite, path, err));
    snprintf(e->suite_name, sizeof e->suite_name, "%s", name);
    fw_status st = read_suite(e, suite, path, opts, err);
    json_decref(suite);
    return st;
}

/* The simulator of a task, opened when first used. */
static fw_status room_open(fw_env *e, int task, fw_err *err) {
    int r = e->task[task].room;
    return e->room[r] != NULL ? FW_OK
                              : fw_sim_open(fw_home(), e->setting[r], e->body.name, &e->sim_opts, &e->room[r], err);
}

fw_status fw_env_open(const char *suite, const fw_env_opts *opts, fw_env **out, fw_err *err) {
    static const fw_env_opts defaults = FW_ENV_OPTS_DEFAULT;
    opts = opts != NULL ? opts : &defaults;
    if (opts->image_px < 0 || opts->image_px > PICTURE_MAX) {
        return fw_fail(err, FW_INVALID, "image_px %d: wanted 0..%d", opts->image_px, PICTURE_MAX);
    }
    fw_env *e = calloc(1, sizeof *e);
    if (e == NULL) {
        return fw_fail(err, FW_NOMEM, "environment");
    }
    e->render = opts->render;
    e->phase = "";
    fw_status st = load_suite(e, suite, opts, err);
    e->sim_opts.render = e->render;
    e->sim_opts.max_px = PICTURE_MAX;
    e->sim_opts.randomise = e->randomise;
    snprintf(e->look, sizeof e->look, "%s", opts->look != NULL ? opts->look : "");
    e->sim_opts.look = opts->look != NULL ? e->look : NULL;
    for (int c = 0; st == FW_OK && e->render && c < e->body.n_camera; c++) {
        e->px_w[c] = opts->image_px > 0 ? opts->image_px : e->body.camera[c].width;
        e->px_h[c] = opts->image_px > 0 ? opts->image_px : e->body.camera[c].height;
        e->pixels[c] = malloc(3 * (size_t)e->px_w[c] * (size_t)e->px_h[c]);
        if (e->pixels[c] == NULL) {
            st = fw_fail(err, FW_NOMEM, "images of the environment");
        }
    }
    for (uint64_t seed = 0; st == FW_OK && seed < 8; seed++) { /* some scene, so that there is always one */
        st = fw_env_reset(e, 0, seed, err);
        if (st != FW_CLOSED) {
            break;
        }
        st = seed < 7 ? FW_OK : st;
    }
    if (st != FW_OK) {
        fw_env_close(e);
        return st;
    }
    *out = e;
    return FW_OK;
}

void fw_env_close(fw_env *e) {
    if (e == NULL) {
        return;
    }
    for (int r = 0; r < e->n_room; r++) {
        fw_sim_close(e->room[r]);
    }
    for (int t = 0; t < FW_TASK_MAX; t++) {
        free(e->task[t].filled[0]);
        free(e->task[t].filled[1]);
    }
    for (int c = 0; c < FW_CAM_MAX; c++) {
        free(e->pixels[c]);
    }
    free(e);
}

/* --- what there is */
const fw_embodiment *fw_env_embodiment(const fw_env *e) {
    return &e->body;
}
int fw_env_n_task(const fw_env *e) {
    return e->n_task;
}
const char *fw_env_task_name(const fw_env *e, int task) {
    return task >= 0 && task < e->n_task ? e->task[task].task->name : "";
}
int fw_env_task_find(const fw_env *e, const char *name) {
    for (int i = 0; i < e->n_task; i++) {
        if (strcmp(e->task[i].task->name, name) == 0) {
            return i;
        }
    }
    return -1;
}
int fw_env_n_sentence(const fw_env *e, int task, fw_split split) {
    return task >= 0 && task < e->n_task ? e->task[task].said[split] : 0;
}
const char *fw_env_sentence(const fw_env *e, int task, fw_split split, int i) {
    if (i < 0 || i >= fw_env_n_sentence(e, task, split)) {
        return "";
    }
    const suite_task *t = &e->task[task];
    const char *const *text = split == FW_SPLIT_TRAIN ? t->task->train : t->task->held;
    return t->filled[split] != NULL ? t->filled[split][i] : text[i];
}
int fw_env_task_version(const fw_env *e, int task) {
    return task >= 0 && task < e->n_task ? e->task[task].task->version : 0;
}
bool fw_env_same_setting(const fw_env *e, int a, int b) {
    return a >= 0 && b >= 0 && a < e->n_task && b < e->n_task && e->task[a].room == e->task[b].room;
}
static int limit_of(const fw_env *e, int task) {
    int own = (int)lround(e->task[task].task->time_s * e->body.rate_hz);
    return e->suite_limit > 0 ? e->suite_limit : own;
}
int fw_env_time_limit(const fw_env *e) {
    return limit_of(e, e->current);
}
int fw_env_time_limit_max(const fw_env *e) {
    int most = 1;
    for (int t = 0; t < e->n_task; t++) {
        most = limit_of(e, t) > most ? limit_of(e, t) : most;
    }
    return most;
}
uint64_t fw_env_home(const fw_env *e) {
    return fw_sim_home(e->room[e->task[e->current].room]);
}
uint64_t fw_env_home_of(const fw_env *e, uint64_t layout_seed) {
    return fw_sim_home_of(&e->sim_opts, layout_seed);
}
const char *fw_env_ranges(const fw_env *e) {
    return e->randomise;
}
fw_sim *fw_env_sim(fw_env *e) {
    return e->room[e->task[e->current].room];
}
int fw_env_steps(const fw_env *e) {
    return e->past.steps;
}

/* --- an episode */
static const fw_sim *now(const fw_env *e) {
    return e->room[e->task[e->current].room];
}

/* Its phrasings in this scene's words, less those that are not said here; "" each where there is no case of it. */
static void say(suite_task *t, int split) {
    const char *const *text = split == FW_SPLIT_TRAIN ? t->task->train : t->task->held;
    if (t->filled[split] == NULL) {
        return;
    }
    t->said[split] = 0;
    for (int i = 0; i < t->n[split]; i++) {
        bool said = task_say(t->offered ? text[i] : "", &t->meant, t->filled[split][t->said[split]]);
        t->said[split] += said;
    }
}

/* What each task of this setting means in this scene, and how it is said. */
static void mean(fw_env *e, int room, uint64_t layout_seed) {
    const fw_scene *s = fw_sim_scene(e->room[room]);
    for (int k = 0; k < e->n_task; k++) {
        suite_task *t = &e->task[k];
        t->offered = t->room == room;
        if (t->room != room) {
            continue;
        }
        t->meant = (fw_meant){.n = 1, .obj = {t->task->obj}, .to = -1, .named = t->task->named};
        if (t->task->mean != NULL) {
            fw_rng r = fw_rng_stream(layout_seed, t->task->name);
            t->offered = t->task->mean(s, &r, &t->meant);
        }
        say(t, FW_SPLIT_TRAIN);
        say(t, FW_SPLIT_HELD);
    }
}

fw_status fw_env_reset_seeds(fw_env *e, int task, const fw_seeds *seeds, fw_err *err) {
    if (task < 0 || task >= e->n_task) {
        return fw_fail(err, FW_INVALID, "task %d: the suite %s has 0..%d", task, e->suite_name, e->n_task - 1);
    }
    FW_TRY(room_open(e, task, err));
    e->current = task;
    e->past.steps = e->past.held = 0;
    e->phase = "";
    FW_TRY(fw_sim_reset(fw_env_sim(e), seeds, err));
    mean(e, e->task[task].room, seeds->layout);
    if (!e->task[task].offered) {
        return fw_fail(err, FW_CLOSED, "layout seed %llu has no case of %s", (unsigned long long)seeds->layout,
                       e->task[task].task->name);
    }
    return fw_env_set_sentence(e, fw_env_sentence(e, task, FW_SPLIT_TRAIN, 0), err);
}

fw_status fw_env_reset(fw_env *e, int task, uint64_t seed, fw_err *err) {
    fw_seeds all = fw_seeds_all(seed);
    return fw_env_reset_seeds(e, task, &all, err);
}

fw_status fw_env_set_sentence(fw_env *e, const char *sentence, fw_err *err) {
    if (strlen(sentence) >= sizeof e->sentence) {
        return fw_fail(err, FW_INVALID, "sentence of %zu bytes, wanted at most %zu", strlen(sentence),
                       sizeof e->sentence - 1);
    }
    snprintf(e->sentence, sizeof e->sentence, "%s", sentence);
    return FW_OK;
}

fw_status fw_env_observe(fw_env *e, fw_obs *obs, fw_err *err) {
    *obs = (fw_obs){.n_image = e->body.n_camera, .n_state = e->body.n_state, .instruction = e->sentence};
    for (int c = 0; c < e->body.n_camera && e->render; c++) {
        FW_TRY(fw_sim_render(fw_env_sim(e), e->body.camera[c].name, e->px_w[c], e->px_h[c], e->pixels[c], err));
        obs->image[c] = (fw_image){e->pixels[c], e->px_h[c], e->px_w[c]};
    }
    fw_sim_state(now(e), e->state);
    obs->state = e->state;
    obs->prev_state = e->past.steps > 0 ? e->past.state : NULL;
    obs->prev_action = e->past.steps > 0 ? e->past.action : NULL;
    obs->t_ns = (int64_t)(e->past.steps * 1e9 / e->body.rate_hz);
    return FW_OK;
}

static void count_step(fw_env *e) {
    fw_verdict v;
    e->past.steps++;
    fw_env_judge(e, &v);
    e->past.held = v.success ? e->past.held + 1 : 0;
}

fw_status fw_env_step(fw_env *e, const float *action, fw_err *err) {
    fw_sim_state(now(e), e->past.state);
    memcpy(e->past.action, action, (size_t)e->body.n_action * sizeof *action);
    FW_TRY(fw_sim_step(fw_env_sim(e), action, err));
    count_step(e);
    return FW_OK;
}

fw_status fw_env_drive(fw_env *e, const fw_sim_drive *drive, bool *looked, fw_err *err) {
    FW_TRY(fw_sim_drive_step(fw_env_sim(e), drive, looked, err));
    if (*looked) {
        count_step(e);
    }
    return FW_OK;
}

bool fw_env_done(const fw_env *e) {
    return e->past.held >= HOLD_STEPS || e->past.steps >= fw_env_time_limit(e) || fw_sim_diverged(now(e));
}

void fw_env_judge(const fw_env *e, fw_verdict *out) {
    const fw_scene *s = fw_sim_scene(now(e));
    const suite_task *cur = &e->task[e->current];
    char reason[160] = "";
    *out = (fw_verdict){.held_steps = e->past.held, .diverged = fw_sim_diverged(now(e))};
    if (out->diverged) {
        snprintf(out->reason, sizeof out->reason, "physics diverged");
        return;
    }
    for (int i = 0; i < e->n_task; i++) {
        const suite_task *t = &e->task[i];
        out->goal[i] = t->offered && t->task->goal(s, &t->meant, i == e->current ? out->reason : reason);
    }
    out->wrong_object = goal_disturbed(s, cur->meant.named, reason);
    out->success = out->goal[e->current] && !out->wrong_object;
    if (out->goal[e->current]) {
        snprintf(out->reason, sizeof out->reason, "%s", out->wrong_object ? reason : "");
    }
}

fw_status fw_env_picture(fw_env *e, const char *camera, int w, int h, uint8_t *rgb, fw_err *err) {
    return fw_sim_render(fw_env_sim(e), camera, w, h, rgb, err);
}

/* --- forks: the simulator's state, then the past */
size_t fw_env_state_size(const fw_env *e) {
    return fw_sim_state_size(now(e)) + sizeof e->past;
}

void fw_env_save(const fw_env *e, void *state) {
    fw_sim_save(now(e), state);
    memcpy((char *)state + fw_sim_state_size(now(e)), &e->past, sizeof e->past);
}

void fw_env_restore(fw_env *e, const void *state) {
    fw_sim_restore(fw_env_sim(e), state);
    memcpy(&e->past, (const char *)state + fw_sim_state_size(now(e)), sizeof e->past);
}

size_t fw_env_physics_state(const fw_env *e, double *out, size_t cap) {
    return fw_sim_physics_state(now(e), out, cap);
}

/* --- the expert */
static float limited(const fw_dim *d, double x) {
    return (float)(x < d->min ? d->min : x > d->max ? d->max : x);
}

/* The k-th dimension of its meaning and arm takes the k-th number. */
static void to_action(const fw_embodiment *b, const fw_expert_out *want, float *action) {
    int n_pos[FW_ARM_MAX] = {0}, n_base = 0;
    for (int k = 0; k < b->n_action; k++) {
        const fw_dim *d = &b->action[k];
        const fw_hand_cmd *hand = &want->hand[d->arm];
        double x = 0;
        switch (d->meaning) {
        case FW_MEANING_EE_DELTA_POS:
            x = hand->dpos[n_pos[d->arm]++ % 3];
            break;
        case FW_MEANING_EE_DELTA_YAW:
            x = hand->dyaw;
            break;
        case FW_MEANING_GRIPPER:
            x = hand->grip;
            break;
        case FW_MEANING_BASE_VEL:
            x = want->base[n_base++ % 3] * b->rate_hz;
            break;
        default:
            break;
        }
        action[k] = limited(d, x);
    }
}

/* Experts think in the room's directions, a mobile robot's hands move in its base's. */
static void turn_to_base(const fw_scene *s, fw_expert_out *want) {
    double c = cos(s->base[2]), sn = sin(s->base[2]);
    for (int a = 0; s->mobile && a < s->n_arm; a++) {
        double *d = want->hand[a].dpos, x = d[0], y = d[1];
        d[0] = c * x + sn * y, d[1] = c * y - sn * x;
    }
}

fw_status fw_expert_act(fw_env *e, float action[FW_DIM_MAX], bool *done, fw_err *err) {
    if (fw_sim_diverged(now(e))) {
        return fw_fail(err, FW_CLOSED, "the episode ended: physics diverged");
    }
    const suite_task *t = &e->task[e->current];
    const fw_scene *s = fw_sim_scene(now(e));
    fw_expert_out want = {.phase = ""};
    for (int a = 0; a < s->n_arm; a++) {
        want.hand[a].grip = s->arm[a].command;
    }
    t->task->expert(s, &t->meant, &want);
    turn_to_base(s, &want);
    to_action(&e->body, &want, action);
    e->phase = want.phase;
    *done = want.done;
    return FW_OK;
}

const char *fw_expert_phase(const fw_env *e) {
    return e->phase;
}

bool fw_env_has_subtasks(const fw_env *e, int task) {
    return task >= 0 && task < e->n_task && e->task[task].task->subtask != NULL;
}

void fw_env_subtask(const fw_env *e, char out[FW_SUBTASK_LEN]) {
    const suite_task *t = &e->task[e->current];
    out[0] = 0;
    if (t->task->subtask != NULL && t->offered) {
        t->task->subtask(fw_sim_scene(now(e)), &t->meant, out);
    }
}
