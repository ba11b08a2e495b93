/* closed.c - see closed.h. */
#include "train/closed.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/draw.h"
#include "base/file.h"
#include "base/log.h"
#include "base/rng.h"
#include "data/video.h"
#include "model/pretrained.h"
#include "train/rollout.h"

enum { WORKERS_MAX = 64, HELD_STEPS = 5, REST_STEPS = 10, FILM_PX = 384 };

typedef struct slot {
    pid_t pid;
    _Atomic int64_t job; /* being played; -1: none */
    fw_status status;    /* written by the worker before it leaves */
    fw_err err;
} slot;

/* Between the processes: written by workers (their slot, their outcomes), read by the parent. */
typedef struct board {
    _Atomic int64_t next, done, films;
    slot slot[WORKERS_MAX];
    fw_closed_outcome outcome[]; /* [n_job] */
} board;

typedef struct player {
    const fw_closed_opts *opts;
    fw_env *env;
    fw_policy *policy;  /* NULL: expert */
    fw_rollout rollout; /* of the policy */
    void *through;      /* of opts->through */
    int first_task;
    uint8_t *film; /* [FILM_PX, FILM_PX, 3] */
} player;

uint64_t fw_closed_seed(uint64_t seed, int64_t i) {
    fw_rng r = fw_rng_stream(seed + (uint64_t)i * 0xD1B54A32D192ED03ull, "evaluation scene");
    return fw_rng_u64(&r) >> 16;
}

/* ---- one episode ---- */

typedef struct episode {
    int task, said;
    int64_t i;
    int said_held; /* steps in a row that the said goal held */
    float action[FW_DIM_MAX];
    int rest;
    fw_video_writer *film; /* NULL: not filmed */
} episode;

static fw_status begin(player *p, episode *e, fw_err *err) {
    const fw_closed_opts *o = p->opts;
    int n = fw_env_n_task(p->env);
    fw_split split = o->held_out_phrasings ? FW_SPLIT_HELD : FW_SPLIT_TRAIN;
    e->said = e->task;
    for (int k = 0, skip = (int)(e->i % (n > 1 ? n - 1 : 1)); o->swap && k < 2 * n && e->said == e->task; k++) {
        int other = (e->task + 1 + k) % n; /* another task of this scene, in turn over the episodes */
        e->said = other != e->task && fw_env_same_setting(p->env, e->task, other) && skip-- <= 0 ? other : e->said;
    }
    fw_status st = FW_CLOSED; /* no such scene: the next one, the same for every policy */
    for (int64_t again = 0; st == FW_CLOSED && again < 20; again++) {
        st = fw_env_reset(p->env, e->task, fw_closed_seed(o->seed, e->i + (again << 40)), err);
    }
    FW_TRY(st);
    int n_sentence = fw_env_n_sentence(p->env, e->said, split);
    if (n_sentence < 1) {
        return fw_fail(err, FW_INVALID, "task %s has no held-out sentences", fw_env_task_name(p->env, e->said));
    }
    if (p->policy != NULL) {
        FW_TRY(fw_rollout_begin(&p->rollout, o->delay, !o->forget_prefix, err));
    }
    return fw_env_set_sentence(p->env, fw_env_sentence(p->env, e->said, split, (int)(e->i % n_sentence)), err);
}

/* The action of this step into e->action; *stop: the expert has nothing left to do. */
static fw_status decide(player *p, episode *e, bool *stop, fw_err *err) {
    bool done = false;
    if (p->policy != NULL) {
        return fw_rollout_act(&p->rollout, p->env, e->action, err);
    }
    FW_TRY(fw_expert_act(p->env, e->action, &done, err));
    e->rest = done ? e->rest + 1 : 0;
    *stop = e->rest > REST_STEPS;
    return FW_OK;
}

static fw_status film_frame(player *p, episode *e, fw_err *err) {
    char caption[160];
    fw_obs obs;
    FW_TRY(fw_env_picture(p->env, fw_env_embodiment(p->env)->camera[0].name, FILM_PX, FILM_PX, p->film, err));
    FW_TRY(fw_env_observe(p->env, &obs, err));
    snprintf(caption, sizeof caption, "%s  [%s, step %d]", obs.instruction, fw_env_task_name(p->env, e->task),
             fw_env_steps(p->env));
    fw_draw_text(p->film, FILM_PX, FILM_PX, 6, FILM_PX - 8, 12, 0xFFFFFF, caption);
    return fw_video_writer_add(e->film, p->film, false, err);
}

static fw_status play(player *p, episode *e, fw_closed_outcome *out, fw_err *err) {
    fw_verdict v;
    bool stop = false;
    *out = (fw_closed_outcome){0};
    FW_TRY(begin(p, e, err));
    out->said_task = e->said;
    while (!stop && !fw_env_done(p->env)) {
        FW_TRY(decide(p, e, &stop, err));
        fw_status s = fw_env_step(p->env, e->action, err);
        if (s == FW_CLOSED) {
            break; /* physics diverged: the verdict says so */
        }
        FW_TRY(s);
        fw_env_judge(p->env, &v);
        e->said_held = v.goal[e->said] ? e->said_held + 1 : 0;
        stop = stop || (p->opts->swap && e->said_held >= HELD_STEPS);
        if (e->film != NULL) {
            FW_TRY(film_frame(p, e, err));
        }
    }
    fw_env_judge(p->env, &v);
    out->success = p->opts->swap ? v.goal[e->task] : v.success;
    out->said = v.goal[e->said];
    out->wrong_object = v.wrong_object;
    out->diverged = v.diverged;
    out->steps = fw_env_steps(p->env);
    out->inferences = p->rollout.inferences;
    out->infer_s = (float)p->rollout.infer_s;
    snprintf(out->reason, sizeof out->reason, "%.95s", v.reason);
    out->played = true;
    return FW_OK;
}

static fw_status play_through(player *p, const episode *e, fw_closed_outcome *out, fw_err *err) {
    fw_status st = FW_CLOSED; /* the same scenes as begin() takes */
    for (int64_t again = 0; st == FW_CLOSED && again < 20; again++) {
        *out = (fw_closed_outcome){.said_task = e->task};
        st = p->opts->through->play(p->through, e->task, e->i, fw_closed_seed(p->opts->seed, e->i + (again << 40)), out,
                                    err);
    }
    out->played = st == FW_OK;
    return st;
}

/* Play a failure again, filmed. */
static fw_status film(player *p, int task, int64_t i, fw_err *err) {
    char path[1024], name[160];
    fw_closed_outcome again;
    episode e = {.task = task, .i = i};
    snprintf(name, sizeof name, "%s-%04lld.mp4", fw_env_task_name(p->env, task), (long long)i);
    FW_TRY(fw_path_join(path, sizeof path, p->opts->videos, name, err));
    const fw_video_opts show = FW_VIDEO_OPTS_SHOW;
    FW_TRY(fw_video_writer_open(path, FILM_PX, FILM_PX, fw_env_embodiment(p->env)->rate_hz, &show, &e.film, err));
    fw_status s = play(p, &e, &again, err);
    if (s != FW_OK) {
        fw_video_writer_abort(e.film);
        return s;
    }
    return fw_video_writer_close(e.film, err);
}

/* ---- a worker ---- */

static fw_status open_player(player *p, fw_err *err) {
    fw_env_opts eo = FW_ENV_OPTS_DEFAULT;
    eo.render = (p->opts->policy != NULL && p->opts->through == NULL) || p->opts->videos != NULL;
    eo.randomise = p->opts->domain;
    eo.embodiment = p->opts->embodiment;
    eo.home_first = p->opts->home_first, eo.home_count = p->opts->home_count;
    FW_TRY(fw_env_open(p->opts->suite, &eo, &p->env, err));
    p->first_task = p->opts->task != NULL ? fw_env_task_find(p->env, p->opts->task) : 0;
    const fw_embodiment *emb = fw_env_embodiment(p->env);
    if (p->opts->policy != NULL) {
        fw_policy_opts po = {.embodiment = emb->name};
        FW_TRY(fw_precision_parse(p->opts->precision, &po.precision, err));
        FW_TRY(fw_policy_open(p->opts->policy, &po, &p->policy, err));
        FW_TRY(fw_rollout_init(&p->rollout, p->policy, emb, err));
        FW_TRY(fw_rollout_begin(&p->rollout, p->opts->delay, !p->opts->forget_prefix, err)); /* refused at once */
    }
    if (p->opts->through != NULL) {
        FW_TRY(p->opts->through->open(p->opts, p->policy, &p->through, err));
    }
    p->film = malloc((size_t)FILM_PX * FILM_PX * 3);
    return p->film != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "evaluation: out of memory");
}

static void close_player(player *p) {
    fw_rollout_clear(&p->rollout);
    free(p->film);
    if (p->opts->through != NULL) {
        p->opts->through->close(p->through);
    }
    fw_policy_close(p->policy);
    fw_env_close(p->env);
}

static fw_status work(player *p, board *b, slot *me, int64_t n_job, fw_err *err) {
    const fw_closed_opts *o = p->opts;
    FW_TRY(open_player(p, err));
    for (;;) {
        int64_t job = atomic_fetch_add(&b->next, 1);
        if (job >= n_job) {
            return FW_OK;
        }
        atomic_store(&me->job, job);
        episode e = {.task = p->first_task + (int)(job / o->episodes), .i = job % o->episodes};
        FW_TRY(o->through != NULL ? play_through(p, &e, &b->outcome[job], err) : play(p, &e, &b->outcome[job], err));
        bool failed = o->swap ? b->outcome[job].success : !b->outcome[job].success;
        if (o->videos != NULL && failed && atomic_fetch_add(&b->films, 1) < o->max_videos) {
            FW_TRY(film(p, e.task, e.i, err));
        }
        atomic_fetch_add(&b->done, 1);
        atomic_store(&me->job, -1);
    }
}

static void worker_main(const fw_closed_opts *o, board *b, int k, int64_t n_job) {
    player p = {.opts = o};
    slot *me = &b->slot[k];
    me->status = work(&p, b, me, n_job, &me->err);
    close_player(&p);
    _exit(me->status == FW_OK ? 0 : 1);
}

/* ---- the parent ---- */

static int cpus(void) {
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (int)n;
}

/* Names and number of tasks, without graphics; n_task is 1 with opts->task. */
static fw_status ask_suite(const fw_closed_opts *o, fw_closed_result *r, fw_err *err) {
    fw_env *env = NULL;
    const fw_env_opts eo = {.render = false,
                            .randomise = o->domain,
                            .embodiment = o->embodiment,
                            .home_first = o->home_first,
                            .home_count = o->home_count};
    FW_TRY(fw_env_open(o->suite, &eo, &env, err));
    int first = 0;
    fw_status s = FW_OK;
    r->n_task = fw_env_n_task(env);
    if (o->task != NULL) {
        first = fw_env_task_find(env, o->task);
        r->n_task = 1;
        if (first < 0) {
            s = fw_fail(err, FW_INVALID, "suite %s has no task '%s'; its first is '%s'", o->suite, o->task,
                        fw_env_task_name(env, 0));
        }
    }
    for (int k = 0; k < r->n_task && s == FW_OK; k++) {
        snprintf(r->task[k].name, sizeof r->task[k].name, "%s", fw_env_task_name(env, first + k));
    }
    fw_env_close(env);
    return s;
}

static fw_status start_workers(const fw_closed_opts *o, board *b, int n, int64_t n_job, fw_err *err) {
    fflush(NULL); /* what is buffered must not be written twice */
    for (int k = 0; k < n; k++) {
        atomic_store(&b->slot[k].job, -1);
        b->slot[k].status = FW_IO; /* until it says otherwise */
        pid_t pid = fork();
        if (pid < 0) {
            return fw_fail(err, FW_IO, "fork: %s", strerror(errno));
        }
        if (pid == 0) {
            worker_main(o, b, k, n_job);
        }
        b->slot[k].pid = pid;
    }
    return FW_OK;
}

static fw_status reap(const slot *w, int wait_status, const fw_closed_result *r, fw_err *err) {
    int64_t job = atomic_load(&w->job);
    char where[128] = "before its first episode";
    if (job >= 0) {
        snprintf(where, sizeof where, "%s episode %lld", r->task[job / r->episodes].name,
                 (long long)(job % r->episodes));
    }
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) {
        return FW_OK;
    }
    if (WIFSIGNALED(wait_status)) {
        return fw_fail(err, FW_IO, "an evaluation worker was killed by signal %d in %s", WTERMSIG(wait_status), where);
    }
    if (w->err.code != FW_OK) {
        return fw_fail(err, w->err.code, "%s: %.180s", where, w->err.msg);
    }
    return fw_fail(err, FW_IO, "an evaluation worker left with code %d in %s", WEXITSTATUS(wait_status), where);
}

/* Until all have left; the first failure ends the others. */
static fw_status watch(board *b, int n, int64_t n_job, const fw_closed_result *r, fw_err *err) {
    fw_progress pr;
    fw_status s = FW_OK;
    int left = n;
    fw_progress_start(&pr, "episodes", (uint64_t)n_job);
    while (left > 0) {
        for (int k = 0; k < n; k++) {
            int ws = 0;
            if (b->slot[k].pid == 0 || waitpid(b->slot[k].pid, &ws, WNOHANG) != b->slot[k].pid) {
                continue;
            }
            b->slot[k].pid = 0;
            left--;
            fw_status one = s == FW_OK ? reap(&b->slot[k], ws, r, err) : FW_OK;
            for (int j = 0; one != FW_OK && j < n; j++) {
                if (b->slot[j].pid > 0) {
                    kill(b->slot[j].pid, SIGKILL);
                }
            }
            s = s != FW_OK ? s : one;
        }
        int64_t done = atomic_load(&b->done), good = 0;
        for (int64_t i = 0; i < n_job; i++) {
            good += b->outcome[i].played && b->outcome[i].success;
        }
        fw_progress_update(&pr, (uint64_t)done, "%lld reached the goal", (long long)good);
        usleep(50000);
    }
    fw_progress_end(&pr);
    return s;
}

static void add(fw_closed_task *t, const fw_closed_outcome *o) {
    t->n++;
    t->success += o->success;
    t->wrong_object += o->wrong_object;
    t->diverged += o->diverged;
    t->said += o->said;
}

static fw_status collect(const board *b, int64_t n_job, fw_closed_result *r, fw_err *err) {
    double infer_s = 0, inferences = 0;
    r->outcome = malloc(sizeof(*r->outcome) * (size_t)n_job);
    if (r->outcome == NULL) {
        return fw_fail(err, FW_NOMEM, "outcomes: out of memory");
    }
    memcpy(r->outcome, b->outcome, sizeof(*r->outcome) * (size_t)n_job);
    snprintf(r->all.name, sizeof r->all.name, "all");
    for (int64_t i = 0; i < n_job; i++) {
        add(&r->task[i / r->episodes], &r->outcome[i]);
        add(&r->all, &r->outcome[i]);
        infer_s += (double)r->outcome[i].infer_s;
        inferences += r->outcome[i].inferences;
    }
    r->infer_ms = inferences > 0 ? 1e3 * infer_s / inferences : 0;
    return FW_OK;
}

fw_status fw_closed_run(const fw_closed_opts *opts, fw_closed_result *out, fw_err *err) {
    fw_closed_result r = {.episodes = opts->episodes};
    if (opts->episodes < 1 || opts->episodes > 1000000) {
        return fw_fail(err, FW_INVALID, "%lld episodes, wanted 1 to 1000000", (long long)opts->episodes);
    }
    FW_TRY(ask_suite(opts, &r, err));
    if (opts->videos != NULL) {
        FW_TRY(fw_mkdirs(opts->videos, err));
    }
    int64_t n_job = r.n_task * opts->episodes;
    size_t bytes = sizeof(board) + sizeof(fw_closed_outcome) * (size_t)n_job;
    board *b = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (b == MAP_FAILED) {
        return fw_fail(err, FW_NOMEM, "shared memory of %zu bytes: %s", bytes, strerror(errno));
    }
    int n = opts->workers > 0 ? opts->workers : cpus();
    n = n > WORKERS_MAX ? WORKERS_MAX : n;
    n = n > n_job ? (int)n_job : n;
    fw_status s = start_workers(opts, b, n, n_job, err);
    if (s != FW_OK) {
        atomic_store(&b->next, n_job);
        (void)watch(b, n, n_job, &r, NULL);
    } else if ((s = watch(b, n, n_job, &r, err)) == FW_OK) {
        s = collect(b, n_job, &r, err);
    }
    munmap(b, bytes);
    if (s == FW_OK) {
        *out = r;
    }
    return s;
}

void fw_closed_free(fw_closed_result *r) {
    free(r->outcome);
    r->outcome = NULL;
}
