/* sim_driver.c - see sim_driver.h. Fields say which thread they belong to; the owner's functions exclude each other by a lock. */
#include "task/sim_driver.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/json.h"
#include "sim/body.h"
#include "task/sim_eye.h"

#define AHEAD_NS   50000000LL /* physics in one read at most */
#define SPAN_MIN_S 0.001      /* time between two writes, as far as servos believe it */
#define SPAN_MAX_S 0.05
#define SPAN_S     0.005 /* before there were two */
#define SPANS      50    /* writes whose distance counts */
#define RATE_MAX   4.0   /* rad/s (m/s) of a target that a servo's lag is made up for */
#define TAKE_MS    1000  /* a new scene is taken by the next read, which comes within that, or the loop stands */

typedef struct stage {
    fw_env *env; /* owned */
    sim_scene scene;
} stage;

/* A motor's course between two writes. */
typedef struct course {
    double from, to;
} course;

struct fw_driver_dev {
    char suite[FW_NAME_MAX], embodiment[FW_NAME_MAX], randomise[FW_NAME_MAX];
    fw_env_opts opts;
    fw_driver_info info;
    bool wait; /* pictures are drawn when asked for */
    double render_hz;
    const fw_clock *clock; /* borrowed */
    sim_eye *eye;          /* owned; NULL: no cameras, or wait */
    bool started;

    /* control thread while started, else the owner */
    stage stage[2];
    int64_t t_ns;      /* clock time of the physics' state */
    int64_t read_ns;   /* time of the last samples */
    int64_t write_ns;  /* time of the last write; 0: none since torque came on */
    int64_t render_ns; /* when the next view is due */
    int64_t sample_ns; /* time stamp of the last samples */
    double span_s;     /* between two writes, on average */
    int spans;         /* it is the average of; at most SPANS */
    double effort[FW_AXIS_MAX];
    int n_effort; /* physics steps in the sum effort */
    course course[FW_AXIS_MAX];
    fw_sim_drive drive;
    uint8_t *picture[FW_CAM_MAX]; /* owned; wait */
    uint64_t pictures;

    /* between threads */
    atomic_int present; /* which stage */
    atomic_int wanted;  /* the stage to change to; -1: none */
    atomic_bool limp;
    atomic_int_fast64_t skipped_ns;
    atomic_bool deaf[FW_AXIS_MAX], mute, unplugged[FW_CAM_MAX];
    atomic_uint faults[FW_AXIS_MAX];
    atomic_int stall_ms;
    _Atomic float push[FW_AXIS_MAX][3];
    atomic_bool pushed;
    pthread_mutex_t said_lock; /* of said: the control thread only tries it */
    fw_sim_driver_now said;
    pthread_mutex_t owner; /* resets, one after the other */
};

static int64_t now_of(const fw_driver_dev *d) {
    return d->clock->now_ns(d->clock->self);
}

static stage *present(fw_driver_dev *d) {
    return &d->stage[atomic_load(&d->present)];
}

/* --- open */

static fw_status read_name(const json_t *j, const char *key, char out[FW_NAME_MAX], fw_err *err) {
    const char *text;
    FW_TRY(fw_json_str_or(j, key, "simulator", "", &text, err));
    if (strlen(text) >= FW_NAME_MAX) {
        return fw_fail(err, FW_INVALID, "simulator: key '%s': wanted at most %d bytes, found %zu", key, FW_NAME_MAX - 1,
                       strlen(text));
    }
    snprintf(out, FW_NAME_MAX, "%s", text);
    return FW_OK;
}

static fw_status read_homes(const json_t *j, fw_env_opts *o, fw_err *err) {
    const json_t *homes = json_object_get(j, "homes");
    if (homes == NULL) {
        return FW_OK;
    }
    const json_t *first = json_array_get(homes, 0), *count = json_array_get(homes, 1);
    if (json_array_size(homes) != 2 || !json_is_integer(first) || !json_is_integer(count) ||
        json_integer_value(first) < 0 || json_integer_value(count) < 1) {
        return fw_fail(err, FW_INVALID, "simulator: key 'homes': wanted [first, count], count above 0");
    }
    o->home_first = (uint64_t)json_integer_value(first);
    o->home_count = (uint64_t)json_integer_value(count);
    return FW_OK;
}

static fw_status read_pictures(const json_t *j, fw_driver_dev *d, bool *none, fw_err *err) {
    const char *how;
    FW_TRY(fw_json_str_or(j, "pictures", "simulator", "stream", &how, err));
    FW_TRY(fw_json_f64_or(j, "render_hz", "simulator", 30, &d->render_hz, err));
    *none = strcmp(how, "none") == 0;
    d->wait = strcmp(how, "wait") == 0;
    if (!*none && !d->wait && strcmp(how, "stream") != 0) {
        return fw_fail(err, FW_INVALID, "simulator: key 'pictures': wanted stream, wait or none, found '%.20s'", how);
    }
    return d->render_hz > 0 && d->render_hz <= 500
               ? FW_OK
               : fw_fail(err, FW_INVALID, "simulator: key 'render_hz': wanted 0 to 500, found %g", d->render_hz);
}

typedef struct config {
    char task[FW_NAME_MAX];
    int64_t seed;
    bool no_pictures;
} config;

static fw_status read_config(const json_t *j, fw_driver_dev *d, config *c, fw_err *err) {
    static const char *const known[] = {"suite",     "task",  "seed",     "embodiment", "randomise",
                                        "render_hz", "homes", "pictures", NULL};
    FW_TRY(fw_json_only(j, "simulator", known, err));
    FW_TRY(read_name(j, "suite", d->suite, err));
    FW_TRY(read_name(j, "task", c->task, err));
    FW_TRY(read_name(j, "embodiment", d->embodiment, err));
    FW_TRY(read_name(j, "randomise", d->randomise, err));
    FW_TRY(fw_json_i64_or(j, "seed", "simulator", 0, INT64_MAX, 1, &c->seed, err));
    if (d->suite[0] == 0) {
        return fw_fail(err, FW_INVALID, "simulator: key 'suite' is missing: {\"suite\": \"kitchen3\"}");
    }
    d->opts.embodiment = d->embodiment[0] != 0 ? d->embodiment : NULL;
    d->opts.randomise = d->randomise[0] != 0 ? d->randomise : NULL;
    FW_TRY(read_homes(j, &d->opts, err));
    FW_TRY(read_pictures(j, d, &c->no_pictures, err));
    d->opts.render = d->wait;
    return FW_OK;
}

static fw_status describe_axes(fw_driver_dev *d, const fw_embodiment *e, fw_err *err) {
    fw_body *b;
    FW_TRY(fw_body_open(fw_home(), e->name, &b, err));
    d->info.n_axis = fw_body_n_axis(b);
    for (int i = 0; i < d->info.n_axis; i++) {
        const fw_body_axis *x = fw_body_axis_of(b, i);
        fw_driver_axis *a = &d->info.axis[i];
        *a = (fw_driver_axis){.slide = x->slide, .has_velocity = true, .effort = FW_DRIVER_EFFORT_NM};
        memcpy(a->name, x->name, sizeof a->name);
        a->min = (float)x->min, a->max = (float)x->max;
    }
    fw_body_close(b);
    return FW_OK;
}

static fw_status make_info(fw_driver_dev *d, const config *c, fw_err *err) {
    const fw_embodiment *e = fw_env_embodiment(d->stage[0].env);
    snprintf(d->info.name, sizeof d->info.name, "simulator");
    snprintf(d->info.where, sizeof d->info.where, "%s, %s", d->suite, e->name);
    d->info.read_bound_us = 20000, d->info.write_bound_us = 1000;
    d->info.rate_hz = (float)(1 / fw_sim_timestep(fw_env_sim(d->stage[0].env)));
    d->info.n_camera = c->no_pictures ? 0 : e->n_camera;
    memcpy(d->info.camera, e->camera, sizeof d->info.camera);
    FW_TRY(describe_axes(d, e, err));
    for (int i = 0; i < d->info.n_camera && d->wait; i++) {
        d->picture[i] = calloc(3 * (size_t)e->camera[i].width, (size_t)e->camera[i].height);
        if (d->picture[i] == NULL) {
            return fw_fail(err, FW_NOMEM, "simulator: pictures");
        }
    }
    return d->wait || c->no_pictures ? FW_OK : sim_eye_open(d->suite, &d->opts, e, &d->eye, err);
}

/* What the judge says now; false: somebody is just reading the last. */
static bool say_now(fw_driver_dev *d) {
    const stage *s = present(d);
    if (pthread_mutex_trylock(&d->said_lock) != 0) {
        return false;
    }
    fw_sim_driver_now *n = &d->said;
    snprintf(n->task, sizeof n->task, "%s", fw_env_task_name(s->env, s->scene.task));
    snprintf(n->sentence, sizeof n->sentence, "%s", fw_env_sentence(s->env, s->scene.task, FW_SPLIT_TRAIN, 0));
    n->seed = s->scene.seed;
    n->episode = s->scene.episode;
    n->steps = fw_env_steps(s->env);
    n->done = fw_env_done(s->env);
    n->skipped_ns = atomic_load(&d->skipped_ns);
    fw_env_judge(s->env, &n->verdict);
    pthread_mutex_unlock(&d->said_lock);
    return true;
}

static fw_status set_scene(fw_driver_dev *d, int which, int task, uint64_t seed, int64_t episode, fw_err *err) {
    stage *s = &d->stage[which];
    FW_TRY(fw_env_reset(s->env, task, seed, err));
    s->scene = (sim_scene){task, seed, episode};
    return d->eye != NULL ? sim_eye_fits(s->env, err) : FW_OK;
}

static fw_status find_task(const fw_env *e, const char *suite, const char *name, int *task, fw_err *err) {
    *task = name[0] != 0 ? fw_env_task_find(e, name) : 0;
    return *task >= 0 ? FW_OK
                      : fw_fail(err, FW_INVALID, "simulator: suite %s has no task '%s'; its first is '%s'", suite, name,
                                fw_env_task_name(e, 0));
}

static fw_status build(fw_driver_dev *d, const json_t *j, fw_err *err) {
    config c = {.seed = 1};
    int task;
    FW_TRY(read_config(j, d, &c, err));
    FW_TRY(fw_env_open(d->suite, &d->opts, &d->stage[0].env, err));
    FW_TRY(find_task(d->stage[0].env, d->suite, c.task, &task, err));
    FW_TRY(set_scene(d, 0, task, (uint64_t)c.seed, 0, err));
    FW_TRY(make_info(d, &c, err));
    (void)say_now(d);
    return FW_OK;
}

static void sim_close(fw_driver_dev *d) {
    if (d == NULL) {
        return;
    }
    sim_eye_close(d->eye);
    fw_env_close(d->stage[0].env);
    fw_env_close(d->stage[1].env);
    for (int i = 0; i < FW_CAM_MAX; i++) {
        free(d->picture[i]);
    }
    pthread_mutex_destroy(&d->said_lock);
    pthread_mutex_destroy(&d->owner);
    free(d);
}

static fw_status sim_open(const char *text, fw_driver_dev **out, fw_err *err) {
    json_t *j = NULL;
    *out = NULL;
    FW_TRY(fw_json_parse(text, strlen(text), "simulator", &j, err));
    fw_driver_dev *d = calloc(1, sizeof *d);
    fw_status st = d != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "simulator");
    if (d != NULL) {
        pthread_mutex_init(&d->said_lock, NULL);
        pthread_mutex_init(&d->owner, NULL);
        d->clock = fw_clock_real();
        atomic_init(&d->wanted, -1);
        atomic_init(&d->limp, true);
        d->drive.limp = true;
        st = build(d, j, err);
    }
    json_decref(j);
    if (st != FW_OK) {
        sim_close(d);
        return st;
    }
    *out = d;
    return FW_OK;
}

static void sim_describe(const fw_driver_dev *d, fw_driver_info *out) {
    *out = d->info;
}

/* --- start, stop */

static void go_limp(fw_driver_dev *d) {
    d->drive.limp = true;
    atomic_store(&d->limp, true);
    d->write_ns = 0;
}

static fw_status sim_start(fw_driver_dev *d, fw_err *err) {
    go_limp(d);
    d->t_ns = now_of(d);
    d->read_ns = d->sample_ns = 0;
    d->n_effort = d->spans = 0;
    memset(d->effort, 0, sizeof d->effort);
    if (d->eye != NULL) {
        FW_TRY(sim_eye_start(d->eye, present(d)->env, &present(d)->scene, d->t_ns, d->clock == fw_clock_real(), err));
        d->t_ns = now_of(d); /* the room stood still while its cameras were set up */
    }
    d->render_ns = d->t_ns;
    d->started = true;
    return FW_OK;
}

static void sim_stop(fw_driver_dev *d) {
    go_limp(d);
    d->started = false;
}

/* --- a cycle */

/* Where a servo shall be at a time, and how it moves there. */
static void course_at(const fw_driver_dev *d, int i, int64_t t_ns, double *x, double *v) {
    const course *c = &d->course[i];
    const double s = 1e-9 * (double)(t_ns - d->write_ns), u = s / d->span_s;
    const double rate = (c->to - c->from) / d->span_s;
    *x = u >= 1 ? c->to : u <= 0 ? c->from : c->from + u * (c->to - c->from);
    *v = u < 1.5 ? fmin(fmax(rate, -RATE_MAX), RATE_MAX) : 0; /* then no new target came */
}

static void be_pushed(fw_driver_dev *d) {
    if (!atomic_exchange(&d->pushed, false)) {
        return;
    }
    for (int i = 0; i < d->info.n_axis; i++) {
        double n[3];
        for (int k = 0; k < 3; k++) {
            n[k] = (double)atomic_load(&d->push[i][k]);
        }
        fw_sim_push(fw_env_sim(present(d)->env), i, n);
    }
}

static fw_status step(fw_driver_dev *d, int64_t dt_ns, fw_err *err) {
    bool looked;
    d->t_ns += dt_ns;
    for (int i = 0; i < d->info.n_axis && !d->drive.limp; i++) {
        course_at(d, i, d->t_ns, &d->drive.position[i], &d->drive.velocity[i]);
    }
    FW_TRY(fw_env_drive(present(d)->env, &d->drive, &looked, err));
    fw_sim_axis x[FW_AXIS_MAX];
    fw_sim_axes(fw_env_sim(present(d)->env), x);
    for (int i = 0; i < d->info.n_axis; i++) {
        d->effort[i] += x[i].effort + x[i].weight; /* limp: brakes hold it, and its sensors feel that */
    }
    d->n_effort++;
    if (looked) {
        (void)say_now(d);
    }
    return FW_OK;
}

/* Physics up to the present, or by AHEAD_NS. */
static fw_status catch_up(fw_driver_dev *d, int64_t now_ns, fw_err *err) {
    const int64_t dt_ns = llround(1e9 * fw_sim_timestep(fw_env_sim(present(d)->env)));
    const int64_t missed = now_ns - d->t_ns - AHEAD_NS;
    if (missed > 0) {
        d->t_ns += missed;
        atomic_fetch_add(&d->skipped_ns, missed);
    }
    be_pushed(d);
    while (now_ns - d->t_ns >= dt_ns) {
        FW_TRY(step(d, dt_ns, err));
    }
    return FW_OK;
}

/* The scene that the owner has made ready. */
static void take_scene(fw_driver_dev *d, int64_t now_ns) {
    if (d->drive.limp && atomic_load(&d->wanted) >= 0) {
        atomic_store(&d->present, atomic_load(&d->wanted));
        d->t_ns = d->render_ns = now_ns;
        (void)say_now(d);
        atomic_store(&d->wanted, -1);
    }
}

static void offer_view(fw_driver_dev *d, int64_t now_ns) {
    if (d->eye == NULL || now_ns < d->render_ns) {
        return;
    }
    if (sim_eye_offer(d->eye, present(d)->env, &present(d)->scene, d->t_ns)) {
        const int64_t period = (int64_t)(1e9 / d->render_hz);
        d->render_ns += period;
        d->render_ns = d->render_ns <= now_ns ? now_ns + period : d->render_ns;
    }
}

/* As of physics' last step, with the mean of what motors gave since the last sample. Without a step since then: where the joints go in that
 * time. */
static void measure(fw_driver_dev *d, int64_t now_ns, fw_driver_state *out) {
    fw_sim_axis x[FW_AXIS_MAX];
    const bool stepped = d->t_ns > d->sample_ns;
    const double ahead_s = stepped ? 0 : 1e-9 * (double)(now_ns - d->t_ns);
    d->sample_ns = stepped ? d->t_ns : now_ns;
    fw_sim_axes(fw_env_sim(present(d)->env), x);
    out->n_axis = d->info.n_axis;
    for (int i = 0; i < d->info.n_axis; i++) {
        const double effort = d->n_effort > 0 ? d->effort[i] / d->n_effort : x[i].effort + x[i].weight;
        d->effort[i] = 0;
        out->axis[i] = (fw_driver_sample){.valid = !atomic_load(&d->deaf[i]),
                                          .faults = atomic_load(&d->faults[i]),
                                          .t_ns = d->sample_ns,
                                          .position = (float)(x[i].position + ahead_s * x[i].velocity),
                                          .velocity = (float)x[i].velocity,
                                          .effort = (float)effort,
                                          .temperature = NAN,
                                          .voltage = NAN};
    }
    d->n_effort = 0;
}

static void stall(fw_driver_dev *d) {
    const int ms = atomic_exchange(&d->stall_ms, 0);
    if (ms > 0) {
        nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
    }
}

static fw_status sim_read(fw_driver_dev *d, fw_driver_state *out, fw_err *err) {
    stall(d);
    const int64_t now_ns = now_of(d);
    *out = (fw_driver_state){.n_axis = d->info.n_axis, .torque_on = !d->drive.limp};
    take_scene(d, now_ns);
    FW_TRY(catch_up(d, now_ns, err));
    offer_view(d, now_ns);
    if (atomic_load(&d->mute)) {
        return fw_fail(err, FW_TIMEOUT, "simulator: no answer");
    }
    if (now_ns <= d->read_ns) {
        return fw_fail(err, FW_TIMEOUT, "simulator: no time has passed since the last read");
    }
    d->read_ns = now_ns;
    measure(d, now_ns, out);
    return FW_OK;
}

static fw_status sim_write(fw_driver_dev *d, const fw_driver_command *cmd, fw_err *err) {
    const int64_t now_ns = now_of(d);
    if (atomic_load(&d->mute)) {
        return fw_fail(err, FW_TIMEOUT, "simulator: no answer");
    }
    if (!cmd->torque_on) {
        go_limp(d);
        return FW_OK;
    }
    fw_sim_axis x[FW_AXIS_MAX];
    fw_sim_axes(fw_env_sim(present(d)->env), x);
    const double span = d->write_ns != 0 ? 1e-9 * (double)(now_ns - d->write_ns) : SPAN_S;
    for (int i = 0; i < d->info.n_axis; i++) {
        double v;
        if (d->drive.limp) {
            d->course[i].from = x[i].position;
        } else {
            course_at(d, i, now_ns, &d->course[i].from, &v);
        }
        d->course[i].to = (double)cmd->position[i];
        d->drive.effort[i] = (double)cmd->effort_max[i];
    }
    /* as far apart as they usually come: one that is late must not hurry the next */
    d->spans = d->spans < SPANS ? d->spans + 1 : SPANS;
    d->span_s += (fmin(fmax(span, SPAN_MIN_S), SPAN_MAX_S) - d->span_s) / d->spans;
    d->write_ns = now_ns;
    d->drive.limp = false;
    atomic_store(&d->limp, false);
    return FW_OK;
}

/* --- pictures */

static fw_status draw_now(fw_driver_dev *d, int i, fw_driver_frame *out, fw_err *err) {
    const fw_camera *c = &d->info.camera[i];
    *out = (fw_driver_frame){d->picture[i], c->height, c->width, now_of(d), ++d->pictures};
    if (atomic_load(&d->unplugged[i])) {
        return fw_fail(err, FW_CLOSED, "camera %s: unplugged", c->name);
    }
    return fw_env_picture(present(d)->env, c->name, c->width, c->height, d->picture[i], err);
}

static fw_status sim_frame(fw_driver_dev *d, int i, fw_driver_frame *out, fw_err *err) {
    return d->wait ? draw_now(d, i, out, err) : sim_eye_frame(d->eye, i, out, err);
}

static const fw_driver_api api = {
    FW_DRIVER_ABI,
    sizeof(fw_driver_api),
    "simulator",
    "suite (a name of suites/; needed), task (its first), seed (1), embodiment (the suite's), randomise (the suite's), "
    "homes ([first, "
    "count]), pictures (\"stream\": a thread draws them; \"wait\"; \"none\"), render_hz (30)",
    sim_open,
    sim_describe,
    sim_start,
    sim_read,
    sim_write,
    sim_frame,
    sim_stop,
    sim_close,
};

const fw_driver_api *fw_sim_driver_api(void) {
    return &api;
}

/* --- the owner */

void fw_sim_driver_set_clock(fw_driver *driver, const fw_clock *clock) {
    fw_driver_dev *d = fw_driver_get_dev(driver, &api);
    if (d != NULL) {
        d->clock = clock;
        fw_driver_set_time(driver, clock->now_ns, clock->self);
    }
}

static fw_status no_simulator(const fw_driver *d, fw_err *err) {
    return fw_fail(err, FW_INVALID, "driver %s is not the simulator", fw_driver_get_info(d)->name);
}

fw_status fw_sim_driver_now_get(fw_driver *driver, fw_sim_driver_now *out, fw_err *err) {
    fw_driver_dev *d = fw_driver_get_dev(driver, &api);
    if (d == NULL) {
        return no_simulator(driver, err);
    }
    pthread_mutex_lock(&d->said_lock);
    *out = d->said;
    pthread_mutex_unlock(&d->said_lock);
    return FW_OK;
}

/* The control thread changes to the stage that is ready; if it does not, the torque is on or it stands still. */
static fw_status hand_over(fw_driver_dev *d, int ready, fw_err *err) {
    atomic_store(&d->wanted, ready);
    for (int ms = 0; ms < TAKE_MS && atomic_load(&d->wanted) >= 0; ms++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    int still = ready;
    return atomic_compare_exchange_strong(&d->wanted, &still, -1)
               ? fw_fail(err, FW_AGAIN, "simulator: the scene was not changed: its torque is on, or nobody reads it")
               : FW_OK;
}

static fw_status reset(fw_driver_dev *d, const char *name, uint64_t seed, fw_err *err) {
    const int here = atomic_load(&d->present);
    const stage *s = &d->stage[here];
    const bool alone = !d->started || d->wait;
    const int64_t episode = s->scene.episode + 1;
    int task = s->scene.task;
    if (!atomic_load(&d->limp)) {
        return fw_fail(err, FW_AGAIN, "simulator: its torque is on: take it off before the scene changes");
    }
    if (name != NULL) {
        FW_TRY(find_task(s->env, d->suite, name, &task, err));
    }
    if (alone) {
        FW_TRY(set_scene(d, here, task, seed, episode, err));
        d->t_ns = now_of(d);
        while (!say_now(d)) {
        }
        return FW_OK;
    }
    if (d->stage[1 - here].env == NULL) {
        FW_TRY(fw_env_open(d->suite, &d->opts, &d->stage[1 - here].env, err));
    }
    FW_TRY(set_scene(d, 1 - here, task, seed, episode, err));
    return hand_over(d, 1 - here, err);
}

fw_status fw_sim_driver_reset(fw_driver *driver, const char *task, uint64_t seed, fw_err *err) {
    fw_driver_dev *d = fw_driver_get_dev(driver, &api);
    if (d == NULL) {
        return no_simulator(driver, err);
    }
    pthread_mutex_lock(&d->owner);
    const fw_status st = reset(d, task, seed, err);
    pthread_mutex_unlock(&d->owner);
    return st;
}

fw_env *fw_sim_driver_env(fw_driver *driver) {
    fw_driver_dev *d = fw_driver_get_dev(driver, &api);
    return d != NULL ? present(d)->env : NULL;
}

/* --- faults */

static fw_driver_dev *with_axis(const fw_driver *driver, int axis) {
    fw_driver_dev *d = fw_driver_get_dev(driver, &api);
    return d != NULL && axis >= 0 && axis < d->info.n_axis ? d : NULL;
}

void fw_sim_driver_unplug(fw_driver *driver, int camera, bool out) {
    fw_driver_dev *d = fw_driver_get_dev(driver, &api);
    if (d == NULL || camera < 0 || camera >= d->info.n_camera) {
        return;
    }
    atomic_store(&d->unplugged[camera], out);
    if (d->eye != NULL) {
        sim_eye_unplug(d->eye, camera, out);
    }
}

void fw_sim_driver_deaf(fw_driver *driver, int axis, bool deaf) {
    fw_driver_dev *d = with_axis(driver, axis);
    if (d != NULL) {
        atomic_store(&d->deaf[axis], deaf);
    }
}

void fw_sim_driver_fault(fw_driver *driver, int axis, uint32_t faults) {
    fw_driver_dev *d = with_axis(driver, axis);
    if (d != NULL) {
        atomic_store(&d->faults[axis], faults);
    }
}

void fw_sim_driver_mute(fw_driver *driver, bool mute) {
    fw_driver_dev *d = with_axis(driver, 0);
    if (d != NULL) {
        atomic_store(&d->mute, mute);
    }
}

void fw_sim_driver_stall(fw_driver *driver, int ms) {
    fw_driver_dev *d = with_axis(driver, 0);
    if (d != NULL) {
        atomic_store(&d->stall_ms, ms);
    }
}

void fw_sim_driver_push(fw_driver *driver, int axis, const float n[3]) {
    fw_driver_dev *d = with_axis(driver, axis);
    for (int k = 0; k < 3 && d != NULL; k++) {
        atomic_store(&d->push[axis][k], n[k]);
    }
    if (d != NULL) {
        atomic_store(&d->pushed, true);
    }
}
