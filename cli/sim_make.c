/*
 * sim_make.c - `flywheel sim make`: demonstrations of a suite into a dataset.
 *
 * DESIGN. Slot k of the dataset is task k mod n_task; its scene is drawn from (seed, k, attempt), attempts counted up
 * until one succeeds, itself or a branch of it (task/demo.h); HOME_BLOCK slots in a row share a home. Workers (crew.h; each with its own
 * physics and OpenGL) make slots, the parent takes them in order and encodes them. So the dataset depends on the seed only, not on the
 * number of workers; a run that was stopped continues with the first slot that is missing.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/args.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rng.h"
#include "cli.h"
#include "crew.h"
#include "data/replay.h"
#include "data/writer.h"
#include "sim.h"
#include "student.h"
#include "task/demo.h"

enum { ATTEMPTS_MAX = 20, HOME_BLOCK = 32 };

typedef struct make {
    const char *suite, *out, *embodiment, *randomise, *homes, *student;
    fw_env_opts env; /* from these */
    int64_t episodes, seed, workers;
    double noise, noisy_share;
    bool json, resume, held_out_robot;
    int64_t attempts, failed[FW_TASK_MAX], branched;
} make;

/* What precedes an episode's numbers in the pipe. */
typedef struct parcel {
    int32_t length, task, attempts; /* attempts: failed ones before this */
    int32_t version, noisy, branch, n_view, n_subtasks;
    uint64_t home;
    fw_seeds seeds;
    char sentence[256];
} parcel;

/* Where an episode goes in the parent. */
typedef struct delivery {
    parcel p;
    fw_demo *d;
} delivery;

/* --- the worker */
static uint64_t slot_seed(int64_t seed, int64_t slot, int attempt) {
    char name[64];
    snprintf(name, sizeof name, "demo %lld attempt %d", (long long)slot, attempt);
    fw_rng r = fw_rng_stream((uint64_t)seed, name);
    return fw_rng_u64(&r);
}

/* A compiled room is kept while the home stays: slots next to each other share one. The layout seed is drawn until it belongs to it. */
static uint64_t layout_seed(const make *m, const fw_env *env, int64_t slot, uint64_t seed) {
    char name[64];
    snprintf(name, sizeof name, "home block %lld", (long long)(slot / HOME_BLOCK));
    fw_rng wanted = fw_rng_stream((uint64_t)m->seed, name), r = {seed};
    uint64_t home = fw_env_home_of(env, fw_rng_u64(&wanted)), layout = seed;
    while (fw_env_home_of(env, layout) != home) {
        layout = fw_rng_u64(&r);
    }
    return layout;
}

static fw_status make_slot(const make *m, fw_env *env, int64_t slot, student *s, fw_demo *d, int *failed, fw_err *err) {
    fw_demo_opts opts = FW_DEMO_OPTS_DEFAULT;
    int task = (int)(slot % fw_env_n_task(env));
    opts.noise = m->noise;
    opts.noisy_share = m->noisy_share;
    opts.act = s != NULL ? student_act : NULL, opts.act_ctx = s;
    for (*failed = 0; *failed < ATTEMPTS_MAX; ++*failed) {
        fw_seeds seeds = fw_seeds_all(slot_seed(m->seed, slot, *failed));
        seeds.layout = layout_seed(m, env, slot, seeds.layout);
        FW_TRY(fw_demo_record(env, task, &seeds, &opts, d, err));
        if (d->success) {
            return FW_OK;
        }
        fw_debug("slot %lld attempt %d: %s", (long long)slot, *failed, d->reason);
    }
    return fw_fail(err, FW_CLOSED, "slot %lld: %s failed %d times in a row, last: %s", (long long)slot,
                   fw_env_task_name(env, task), ATTEMPTS_MAX, d->reason);
}

static bool send_demo(int fd, const fw_demo *d, int64_t slot, int failed) {
    parcel p = {.length = d->length, .task = d->task, .attempts = failed};
    p.version = d->version, p.noisy = d->noisy, p.home = d->home, p.seeds = d->seeds, p.n_view = d->n_view;
    p.n_subtasks = d->n_subtasks, p.branch = d->branch;
    size_t t = (size_t)d->length;
    memcpy(p.sentence, d->sentence, sizeof p.sentence);
    bool ok = crew_head(fd, slot) && crew_write(fd, &p, sizeof p) &&
              crew_write(fd, d->state, t * (size_t)d->n_state * sizeof *d->state) &&
              crew_write(fd, d->action, t * (size_t)d->n_action * sizeof *d->action) &&
              crew_write(fd, d->subtasks, (size_t)d->n_subtasks * sizeof *d->subtasks) &&
              crew_write(fd, d->subtask, t * sizeof *d->subtask) && crew_write(fd, d->frame, t * sizeof *d->frame) &&
              crew_write(fd, d->view, t * (size_t)d->n_view * sizeof *d->view);
    for (int c = 0; ok && c < d->n_camera; c++) {
        ok = crew_write(fd, d->images[c], t * d->image_bytes[c]);
    }
    return ok;
}

static fw_status work(void *ctx, int64_t first, int64_t step, int fd, fw_err *err) {
    const make *m = ctx;
    fw_env *env = NULL;
    fw_demo *d = NULL;
    student s = {.policy = NULL};
    int failed = 0;
    bool heard = true;
    fw_status st = fw_env_open(m->suite, &m->env, &env, err);
    st = st != FW_OK ? st : fw_demo_new(env, &d, err);
    st = st != FW_OK || m->student == NULL ? st : student_open(m->student, env, &s, err);
    for (int64_t slot = first; st == FW_OK && heard && slot < m->episodes; slot += step) {
        st = make_slot(m, env, slot, m->student != NULL ? &s : NULL, d, &failed, err);
        heard = st != FW_OK || send_demo(fd, d, slot, failed);
    }
    student_close(&s);
    fw_demo_free(d);
    fw_env_close(env);
    return st;
}

/* --- the parent */
static fw_status take(void *ctx, int64_t slot, int fd, void *into, fw_err *err) {
    delivery *box = into;
    parcel *p = &box->p;
    fw_demo *d = box->d;
    (void)ctx;
    if (!crew_read(fd, p, sizeof *p)) {
        return fw_fail(err, FW_CLOSED, "a worker ended inside slot %lld", (long long)slot);
    }
    p->sentence[sizeof p->sentence - 1] = 0;
    if (p->length < 1 || p->length > d->cap || p->n_subtasks < 0 || p->n_subtasks > FW_DEMO_STEPS_MAX) {
        return fw_fail(err, FW_FORMAT, "slot %lld: wanted 1..%d frames, found %d", (long long)slot, d->cap, p->length);
    }
    FW_TRY(fw_demo_size_views(d, p->n_view, err));
    d->length = p->length;
    d->n_subtasks = p->n_subtasks;
    size_t t = (size_t)p->length;
    bool ok = crew_read(fd, d->state, t * (size_t)d->n_state * sizeof *d->state) &&
              crew_read(fd, d->action, t * (size_t)d->n_action * sizeof *d->action) &&
              crew_read(fd, d->subtasks, (size_t)d->n_subtasks * sizeof *d->subtasks) &&
              crew_read(fd, d->subtask, t * sizeof *d->subtask) && crew_read(fd, d->frame, t * sizeof *d->frame) &&
              crew_read(fd, d->view, t * (size_t)d->n_view * sizeof *d->view);
    for (int c = 0; ok && c < d->n_camera; c++) {
        ok = crew_read(fd, d->images[c], t * d->image_bytes[c]);
    }
    return ok ? FW_OK : fw_fail(err, FW_CLOSED, "a worker ended inside slot %lld", (long long)slot);
}

/* What makes an episode again (data/replay.h). */
static fw_replay identity(const make *m, const fw_env *env, const parcel *p) {
    fw_replay r = {.version = p->version,
                   .home = p->home,
                   .noisy = p->noisy != 0,
                   .noise = m->noise,
                   .seed = {p->seeds.layout, p->seeds.visual, p->seeds.dynamics, p->seeds.expert, p->seeds.noise}};
    snprintf(r.suite, sizeof r.suite, "%s", m->suite);
    snprintf(r.task, sizeof r.task, "%s", fw_env_task_name(env, p->task));
    snprintf(r.ranges, sizeof r.ranges, "%s", fw_env_ranges(env));
    snprintf(r.physics, sizeof r.physics, "%s%s", fw_sim_version(), m->student != NULL ? ", student" : "");
    return r;
}

/* The columns of frames that this suite's episodes fill. */
static unsigned marks_of(const fw_env *env) {
    for (int t = 0; t < fw_env_n_task(env); t++) {
        if (fw_env_has_subtasks(env, t)) {
            return FW_MARK_SUBTASK;
        }
    }
    return 0;
}

static fw_status open_writer(const make *m, const fw_env *env, fw_writer **w, fw_err *err) {
    const fw_embodiment *b = fw_env_embodiment(env);
    fw_field fields[FW_REPLAY_FIELDS];
    fw_replay any = identity(m, env, &(parcel){0});
    fw_replay_fields(&any, fields);
    const char *state[FW_DIM_MAX], *action[FW_DIM_MAX];
    fw_writer_desc desc = {.fps = (int)b->rate_hz,
                           .robot_type = b->name,
                           .n_state = b->n_state,
                           .n_action = b->n_action,
                           .state_names = state,
                           .action_names = action,
                           .n_cameras = b->n_camera,
                           .marks = marks_of(env),
                           .n_fields = FW_REPLAY_FIELDS,
                           .fields = fields};
    for (int i = 0; i < b->n_state; i++) {
        state[i] = b->state[i].name;
    }
    for (int i = 0; i < b->n_action; i++) {
        action[i] = b->action[i].name;
    }
    for (int c = 0; c < b->n_camera; c++) {
        desc.cameras[c] = (fw_writer_camera){b->camera[c].name, b->camera[c].height, b->camera[c].width};
    }
    return fw_writer_open(m->out, &desc, w, err);
}

/* How the dataset was made, beside it: a resumed run must continue the same one. */
static fw_status check_recipe(const make *m, fw_err *err) {
    char dir[3000], path[3100];
    FW_TRY(fw_path_join(dir, sizeof dir, m->out, "meta", err));
    FW_TRY(fw_path_join(path, sizeof path, dir, "sim_make.json", err));
    json_t *now = json_pack("{s:s, s:I, s:f, s:f, s:s?, s:s?, s:s?, s:s*}", "suite", m->suite, "seed",
                            (json_int_t)m->seed, "noise", m->noise, "noisy_share", m->noisy_share, "embodiment",
                            m->embodiment, "randomise", m->randomise, "homes", m->homes, "student", m->student);
    fw_status st = FW_OK;
    json_t *old = NULL;
    if (fw_path_exists(path)) {
        st = fw_json_load(path, &old, err);
        if (st == FW_OK && !json_equal(old, now)) {
            st = fw_fail(
                err, FW_INVALID,
                "%s: made with other values of suite, seed, noise, robot, randomise, homes or student; --resume must "
                "repeat them",
                path);
        }
    } else {
        st = fw_mkdirs(dir, err);
        st = st != FW_OK ? st : fw_json_save(path, now, 2, err);
    }
    json_decref(old);
    json_decref(now);
    return st;
}

static fw_status add(const make *m, const fw_env *env, fw_writer *w, const fw_demo *d, const parcel *p, fw_err *err) {
    fw_field fields[FW_REPLAY_FIELDS];
    fw_replay r = identity(m, env, p);
    char home[64];
    fw_replay_fields(&r, fields);
    snprintf(home, sizeof home, "sim-%llu", (unsigned long long)p->home);
    fw_provenance prov = FW_PROVENANCE_UNKNOWN;
    prov.source = FW_SOURCE_EXPERT;
    prov.control_mode = "ee_delta";
    prov.consent = "train+share";
    prov.home = home;
    prov.quality = prov.speed = prov.success = 1;
    prov.n_fields = FW_REPLAY_FIELDS;
    prov.fields = fields;
    fw_writer_episode ep = {
        .length = p->length, .state = d->state, .action = d->action, .sentence = p->sentence, .provenance = &prov};
    for (int k = 0; k < d->n_camera; k++) {
        ep.images[k] = d->images[k];
    }
    const char *steps[FW_DEMO_STEPS_MAX];
    for (int k = 0; k < d->n_subtasks; k++) {
        steps[k] = d->subtasks[k];
    }
    if (fw_writer_marks(w) & FW_MARK_SUBTASK) {
        ep.marks = (fw_marks){.subtask = d->subtask, .subtasks = steps, .n_subtasks = d->n_subtasks};
    }
    fw_views v = {.n_frame = d->length, .n_view = d->n_view, .frame = d->frame, .view = d->view};
    FW_TRY(fw_views_write(m->out, &r, &v, err)); /* before the episode counts: a file too many does no harm */
    return fw_writer_add_episode(w, &ep, err);
}

static fw_status run_make(make *m, const fw_env *env, fw_writer *w, fw_demo *d, fw_err *err) {
    int64_t first = fw_writer_episodes(w);
    const crew_job job = {.workers = (int)m->workers, .work = work, .take = take, .ctx = m};
    crew c = {.n = 0};
    fw_progress progress;
    if (first >= m->episodes) {
        return FW_OK;
    }
    fw_status st = crew_hire(&c, &job, first, err);
    fw_progress_start(&progress, "episodes", (uint64_t)(m->episodes - first));
    for (int64_t slot = first; st == FW_OK && slot < m->episodes; slot++) {
        delivery box = {.d = d};
        st = crew_take(&c, slot, &box, err);
        if (st != FW_OK) {
            break;
        }
        st = add(m, env, w, d, &box.p, err);
        m->attempts += box.p.attempts + 1;
        m->failed[box.p.task % fw_env_n_task(env)] += box.p.attempts;
        m->branched += box.p.branch > 0;
        fw_progress_update(&progress, (uint64_t)(slot - first + 1), "%lld attempts", (long long)m->attempts);
    }
    fw_progress_end(&progress);
    crew_dismiss(&c);
    return st;
}

int sim_make(int argc, char **argv) {
    make m = {.suite = "kitchen3",
              .episodes = 150,
              .seed = 1,
              .workers = sysconf(_SC_NPROCESSORS_ONLN),
              .noise = 0.4,
              .noisy_share = 0.6};
    const fw_arg args[] = {
        FW_ARG_STR("suite", &m.suite, "NAME", "which tasks"),
        FW_ARG_STR("embodiment", &m.embodiment, "NAME", "another robot than the suite's"),
        FW_ARG_BOOL("held-out-robot", &m.held_out_robot,
                    "also a robot that is kept out of training data: for tests only"),
        FW_ARG_STR("randomise", &m.randomise, "NAME", "what episodes draw: flywheel sim ranges NAME; the suite's"),
        FW_ARG_STR("homes", &m.homes, "A:N", "N homes from number A on, instead of the suite's"),
        FW_ARG_INT("episodes", &m.episodes, 1, 10000000, "N", "demonstrations in the dataset, tasks in turn"),
        FW_ARG_INT("seed", &m.seed, 0, 1ll << 53, "S", "everything is drawn from it"),
        FW_ARG_INT("workers", &m.workers, 1, CREW_MAX, "W", "processes; the result does not depend on it"),
        FW_ARG_STR("out", &m.out, "DIR", "the dataset (required)"),
        FW_ARG_F64("noise", &m.noise, 0, 1, "X", "largest offset on the executed command, as a share of its range"),
        FW_ARG_F64("noisy-share", &m.noisy_share, 0, 1, "X", "share of the episodes that are disturbed"),
        FW_ARG_STR("student", &m.student, "DIR",
                   "a policy acts for a part of each episode, its chunks up to its max_delay late, and the expert says "
                   "what it would have done (DAgger); no other disturbance"),
        FW_ARG_BOOL("resume", &m.resume, "continue the dataset in DIR"),
        FW_ARG_BOOL("json", &m.json, "one JSON object on stdout"),
    };
    const fw_usage usage = {.verb = "sim make",
                            .example = "flywheel sim make --suite kitchen3 --episodes 300 --seed 1 --out out/k3",
                            .what = "Make demonstrations of a suite: scripted experts, disturbed on purpose; only "
                                    "verified successes are kept."};
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof *args, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    if (m.out == NULL) {
        fprintf(stderr, "flywheel sim make: --out DIR is required\n");
        return 2;
    }
    fw_err err = {FW_OK, ""};
    fw_env *env = NULL;
    fw_demo *d = NULL;
    fw_writer *w = NULL;
    if (sim_env_opts(m.embodiment, m.randomise, m.homes, &m.env, &err) != FW_OK) {
        cli_fail(&err);
        return 2;
    }
    fw_env_opts blind = m.env;
    blind.render = false;
    double began = fw_now_s();
    if (fw_path_exists(m.out) && !m.resume) {
        fw_fail(&err, FW_INVALID, "%s is already there; --resume continues it", m.out);
        return cli_fail(&err);
    }
    /* without rendering: the parent needs only names and sizes, and OpenGL must not be forked */
    fw_status st = fw_env_open(m.suite, &blind, &env, &err);
    if (st == FW_OK && fw_sim_held_out(fw_env_sim(env))) {
        st = fw_fail(&err, FW_INVALID,
                     "--randomise %s: a held-out domain is never drawn in training data (flywheel eval "
                     "--domain measures on it)",
                     m.randomise != NULL ? m.randomise : "of the suite");
    }
    if (st == FW_OK && fw_env_embodiment(env)->held_out && !m.held_out_robot) {
        st = fw_fail(&err, FW_INVALID,
                     "--embodiment %s: a held-out robot is kept for zero-shot tests and never in training data; "
                     "--held-out-robot makes a dataset of it all the same",
                     fw_env_embodiment(env)->name);
    }
    if (st == FW_OK && m.env.home_first + m.env.home_count > FW_HOME_NEW) {
        st = fw_fail(&err, FW_INVALID, "--homes %s: homes from %d on are for testing, never for training data", m.homes,
                     FW_HOME_NEW);
    }
    st = st != FW_OK ? st : fw_demo_new(env, &d, &err);
    st = st != FW_OK ? st : open_writer(&m, env, &w, &err);
    int64_t had = w != NULL ? fw_writer_episodes(w) : 0;
    st = st != FW_OK ? st : check_recipe(&m, &err);
    st = st != FW_OK ? st : run_make(&m, env, w, d, &err);
    int64_t kept = w != NULL ? fw_writer_episodes(w) : 0, frames = w != NULL ? fw_writer_frames(w) : 0;
    if (st == FW_OK) {
        st = fw_writer_close(w, &err);
    } else if (w != NULL) {
        fw_err close_err = {FW_OK, ""};
        if (kept > had && fw_writer_close(w, &close_err) == FW_OK) {
            fw_warn("%s: %lld episodes are safe; --resume continues", m.out, (long long)kept);
        } else if (kept <= had) {
            fw_writer_abort(w);
        }
    }
    fw_demo_free(d);
    if (st != FW_OK) {
        fw_env_close(env);
        return cli_fail(&err);
    }
    double seconds = fw_now_s() - began, per_hour = seconds > 0 ? 3600.0 * (double)(kept - had) / seconds : 0;
    json_t *failed = json_object();
    for (int i = 0; i < fw_env_n_task(env); i++) {
        json_object_set_new(failed, fw_env_task_name(env, i), json_integer(m.failed[i]));
    }
    fw_env_close(env);
    if (m.json) {
        return cli_json(json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:o, s:s}", "episodes", (json_int_t)kept,
                                  "attempts", (json_int_t)m.attempts, "branched", (json_int_t)m.branched, "kept",
                                  (json_int_t)kept, "frames", (json_int_t)frames, "per_hour", per_hour, "seconds",
                                  seconds, "failed", failed, "out", m.out));
    }
    json_decref(failed);
    printf("%s: %lld episodes, %lld frames; %lld attempts, %lld episodes from a branch, %.0f episodes/hour\n", m.out,
           (long long)kept, (long long)frames, (long long)m.attempts, (long long)m.branched, per_hour);
    return 0;
}
