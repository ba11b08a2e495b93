/* env.c - the environment: a suite read from JSON, the simulator, the current task and sentence, counters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "task/task_int.h"

#define HOLD_STEPS   5
#define SENTENCE_MAX 64
#define PICTURE_MAX  640

typedef struct suite_task {
    const fw_task *task;
    int n[2];
    const char *sentence[2][SENTENCE_MAX]; /* borrowed from the JSON kept in fw_env */
} suite_task;

struct fw_env {
    fw_sim *sim;
    fw_embodiment body;
    json_t *suite; /* owned */
    char suite_name[FW_NAME_MAX];
    suite_task task[FW_TASK_MAX];
    int n_task, time_limit;
    bool render;

    int current, steps, held;
    char sentence[256];
    const char *phase; /* static: the expert's last */
    float state[FW_DIM_MAX], prev_state[FW_DIM_MAX], prev_action[FW_DIM_MAX];
    uint8_t *pixels[FW_CAM_MAX]; /* owned */
    int px_w[FW_CAM_MAX], px_h[FW_CAM_MAX];
};

/* --- the suite file */
static fw_status read_sentences(const json_t *j, const char *key, const char *where, suite_task *t, fw_split split,
                                fw_err *err) {
    const json_t *list;
    FW_TRY(fw_json_arr(j, key, where, &list, err));
    size_t n = json_array_size(list);
    if (n < 1 || n > SENTENCE_MAX) {
        return fw_fail(err, FW_FORMAT, "%s: %s: key '%s': wanted 1..%d sentences, found %zu", where, t->task->name, key,
                       SENTENCE_MAX, n);
    }
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text == NULL || text[0] == 0 || strlen(text) > 255) {
            return fw_fail(err, FW_FORMAT, "%s: %s: %s[%zu]: wanted a sentence of 1..255 bytes", where, t->task->name,
                           key, i);
        }
        t->sentence[split][i] = text;
    }
    t->n[split] = (int)n;
    return FW_OK;
}

static fw_status read_task(const json_t *j, const char *where, suite_task *t, fw_err *err) {
    static const char *const known[] = {"name", "train", "held", NULL};
    const char *name;
    char names[200];
    FW_TRY(fw_json_str(j, "name", where, &name, err));
    FW_TRY(fw_json_only(j, where, known, err));
    t->task = task_find(name);
    if (t->task == NULL) {
        task_names(names, sizeof names);
        return fw_fail(err, FW_INVALID, "%s: no task '%.60s'; there are %s", where, name, names);
    }
    FW_TRY(read_sentences(j, "train", where, t, FW_SPLIT_TRAIN, err));
    return read_sentences(j, "held", where, t, FW_SPLIT_HELD, err);
}

static fw_status read_suite(fw_env *e, const char *name, fw_err *err) {
    static const char *const known[] = {"name", "scene", "embodiment", "time_limit", "tasks", NULL};
    char dir[512], file[128], path[700];
    FW_TRY(fw_path_join(dir, sizeof dir, fw_home(), "suites", err));
    if (strlen(name) >= FW_NAME_MAX || strchr(name, '/') != NULL) {
        return fw_fail(err, FW_INVALID, "suite '%.60s': wanted a name without '/'", name);
    }
    snprintf(file, sizeof file, "%s.json", name);
    FW_TRY(fw_path_join(path, sizeof path, dir, file, err));
    if (!fw_path_exists(path)) {
        return fw_fail(err, FW_INVALID, "no suite '%s': %s is missing", name, path);
    }
    FW_TRY(fw_json_load(path, &e->suite, err));
    FW_TRY(fw_json_only(e->suite, path, known, err));
    snprintf(e->suite_name, sizeof e->suite_name, "%s", name);
    const char *scene, *body;
    const json_t *tasks;
    int64_t limit;
    FW_TRY(fw_json_str(e->suite, "scene", path, &scene, err));
    if (strcmp(scene, "kitchen") != 0) {
        return fw_fail(err, FW_INVALID, "%s: no scene '%.60s'; there is kitchen", path, scene);
    }
    FW_TRY(fw_json_str(e->suite, "embodiment", path, &body, err));
    FW_TRY(fw_embodiment_find(body, &e->body, err));
    FW_TRY(fw_json_i64(e->suite, "time_limit", path, 1, 100000, &limit, err));
    FW_TRY(fw_json_arr(e->suite, "tasks", path, &tasks, err));
    if (json_array_size(tasks) < 1 || json_array_size(tasks) > FW_TASK_MAX) {
        return fw_fail(err, FW_FORMAT, "%s: wanted 1..%d tasks, found %zu", path, FW_TASK_MAX, json_array_size(tasks));
    }
    e->time_limit = (int)limit;
    e->n_task = (int)json_array_size(tasks);
    for (int i = 0; i < e->n_task; i++) {
        FW_TRY(read_task(json_array_get(tasks, (size_t)i), path, &e->task[i], err));
    }
    return FW_OK;
}

/* The simulator speaks one embodiment: refuse a file that says otherwise before numbers go to the wrong place. */
static fw_status check_body(const fw_embodiment *b, fw_err *err) {
    if (b->n_action != 5 || b->n_state != 6 || b->n_camera != 2 || b->rate_hz != 10) {
        return fw_fail(
            err, FW_FORMAT,
            "embodiment %s: the kitchen wants 5 actions, 6 states, 2 cameras at 10 Hz; found %d, %d, %d at %g", b->name,
            b->n_action, b->n_state, b->n_camera, b->rate_hz);
    }
    if (strcmp(b->camera[0].name, "front") != 0 || strcmp(b->camera[1].name, "wrist") != 0) {
        return fw_fail(err, FW_FORMAT, "embodiment %s: the kitchen wants cameras front, wrist; found %s, %s", b->name,
                       b->camera[0].name, b->camera[1].name);
    }
    return FW_OK;
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
    fw_status st = read_suite(e, suite, err);
    if (st == FW_OK) {
        st = check_body(&e->body, err);
    }
    for (int c = 0; st == FW_OK && e->render && c < e->body.n_camera; c++) {
        e->px_w[c] = opts->image_px > 0 ? opts->image_px : e->body.camera[c].width;
        e->px_h[c] = opts->image_px > 0 ? opts->image_px : e->body.camera[c].height;
        e->pixels[c] = malloc(3 * (size_t)e->px_w[c] * (size_t)e->px_h[c]);
        if (e->pixels[c] == NULL) {
            st = fw_fail(err, FW_NOMEM, "images of the environment");
        }
    }
    if (st == FW_OK) {
        st = fw_sim_open(fw_home(), &(fw_sim_opts){.render = e->render, .max_px = PICTURE_MAX}, &e->sim, err);
    }
    if (st == FW_OK) {
        st = fw_env_reset(e, 0, 0, err);
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
    fw_sim_close(e->sim);
    for (int c = 0; c < FW_CAM_MAX; c++) {
        free(e->pixels[c]);
    }
    json_decref(e->suite);
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
    return task >= 0 && task < e->n_task ? e->task[task].n[split] : 0;
}
const char *fw_env_sentence(const fw_env *e, int task, fw_split split, int i) {
    return i >= 0 && i < fw_env_n_sentence(e, task, split) ? e->task[task].sentence[split][i] : "";
}
int fw_env_time_limit(const fw_env *e) {
    return e->time_limit;
}
int fw_env_steps(const fw_env *e) {
    return e->steps;
}

/* --- an episode */
fw_status fw_env_reset(fw_env *e, int task, uint64_t seed, fw_err *err) {
    if (task < 0 || task >= e->n_task) {
        return fw_fail(err, FW_INVALID, "task %d: the suite %s has 0..%d", task, e->suite_name, e->n_task - 1);
    }
    e->current = task;
    e->steps = e->held = 0;
    e->phase = "";
    FW_TRY(fw_env_set_sentence(e, fw_env_sentence(e, task, FW_SPLIT_TRAIN, 0), err));
    return fw_sim_reset(e->sim, seed, err);
}

fw_status fw_env_set_sentence(fw_env *e, const char *sentence, fw_err *err) {
    if (strlen(sentence) >= sizeof e->sentence) {
        return fw_fail(err, FW_INVALID, "sentence of %zu bytes, wanted at most %zu", strlen(sentence),
                       sizeof e->sentence - 1);
    }
    snprintf(e->sentence, sizeof e->sentence, "%s", sentence);
    return FW_OK;
}

/* [n_state] as panda_kitchen.json names them. */
static void read_state(const fw_env *e, float state[FW_DIM_MAX]) {
    const fw_scene *s = fw_sim_scene(e->sim);
    for (int k = 0; k < 3; k++) {
        state[k] = (float)s->ee_pos[k];
    }
    state[3] = (float)s->ee_yaw;
    state[4] = (float)s->opening;
    state[5] = (float)s->command;
}

fw_status fw_env_observe(fw_env *e, fw_obs *obs, fw_err *err) {
    *obs = (fw_obs){.n_image = e->body.n_camera, .n_state = e->body.n_state, .instruction = e->sentence};
    for (int c = 0; c < e->body.n_camera && e->render; c++) {
        FW_TRY(fw_sim_render(e->sim, e->body.camera[c].name, e->px_w[c], e->px_h[c], e->pixels[c], err));
        obs->image[c] = (fw_image){e->pixels[c], e->px_h[c], e->px_w[c]};
    }
    read_state(e, e->state);
    obs->state = e->state;
    obs->prev_state = e->steps > 0 ? e->prev_state : NULL;
    obs->prev_action = e->steps > 0 ? e->prev_action : NULL;
    obs->t_ns = (int64_t)(e->steps * 1e9 / e->body.rate_hz);
    return FW_OK;
}

fw_status fw_env_step(fw_env *e, const float *action, fw_err *err) {
    read_state(e, e->prev_state);
    memcpy(e->prev_action, action, (size_t)e->body.n_action * sizeof *action);
    FW_TRY(fw_sim_step(e->sim, action, err));
    e->steps++;
    fw_verdict v;
    fw_env_judge(e, &v);
    e->held = v.success ? e->held + 1 : 0;
    return FW_OK;
}

bool fw_env_done(const fw_env *e) {
    return e->held >= HOLD_STEPS || e->steps >= e->time_limit || fw_sim_diverged(e->sim);
}

void fw_env_judge(const fw_env *e, fw_verdict *out) {
    const fw_scene *s = fw_sim_scene(e->sim);
    char reason[160] = "";
    *out = (fw_verdict){.held_steps = e->held, .diverged = fw_sim_diverged(e->sim)};
    if (out->diverged) {
        snprintf(out->reason, sizeof out->reason, "physics diverged");
        return;
    }
    for (int i = 0; i < e->n_task; i++) {
        out->goal[i] = e->task[i].task->goal(s, i == e->current ? out->reason : reason);
    }
    out->wrong_object = goal_disturbed(s, e->task[e->current].task->named, reason);
    out->success = out->goal[e->current] && !out->wrong_object;
    if (out->goal[e->current]) {
        snprintf(out->reason, sizeof out->reason, "%s", out->wrong_object ? reason : "");
    }
}

fw_status fw_env_picture(fw_env *e, const char *camera, int w, int h, uint8_t *rgb, fw_err *err) {
    return fw_sim_render(e->sim, camera, w, h, rgb, err);
}

size_t fw_env_physics_state(const fw_env *e, double *out, size_t cap) {
    return fw_sim_physics_state(e->sim, out, cap);
}

/* --- the expert */
fw_status fw_expert_act(fw_env *e, float action[5], bool *done, fw_err *err) {
    if (fw_sim_diverged(e->sim)) {
        return fw_fail(err, FW_CLOSED, "the episode ended: physics diverged");
    }
    expert_action(e->task[e->current].task, fw_sim_scene(e->sim), action, done, &e->phase);
    return FW_OK;
}

const char *fw_expert_phase(const fw_env *e) {
    return e->phase;
}
