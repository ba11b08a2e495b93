/*
 * data_replay.c - `flywheel data replay`: does every simulated episode play to the same bits again?
 *
 * Workers (crew.h) each play every W-th episode from its task, version and five seeds and compare states, actions, steps, sentence,
 * length and views with what was recorded. An episode that cannot be played again (another physics, another version of its task, views that
 * cannot be read) is named with the reason, and is not equal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/args.h"
#include "base/log.h"
#include "crew.h"
#include "data.h"
#include "data/select.h"
#include "task/player.h"

typedef enum outcome { EQUAL, DIFFERS, REFUSED, NOT_SIMULATED } outcome;

/* What became of one episode. */
typedef struct verdict {
    int32_t outcome, viewed; /* viewed: its views were compared too */
    int64_t episode, frames;
    char text[400];
} verdict;

typedef struct replay {
    const char *dir;
    const int64_t *episodes; /* [n] */
    int64_t n;
} replay;

/* --- the worker */
static fw_status play_one(fw_dataset *ds, fw_player *p, const fw_replay *r, verdict *v, fw_err *err) {
    fw_episode recorded = {0};
    fw_episode_marks marks = {0};
    fw_views views = {0};
    const fw_demo *demo = NULL;
    fw_replay_difference d;
    v->viewed = fw_views_exist(ds->dir, r);
    fw_status st = fw_dataset_read_episode(ds, v->episode, &recorded, err);
    st = st == FW_OK ? fw_dataset_read_marks(ds, v->episode, &marks, err) : st;
    if (st == FW_OK && v->viewed) {
        st = fw_views_read(ds->dir, r, recorded.length, &views, err);
    }
    st = st == FW_OK ? fw_player_play(p, r, &demo, err) : st;
    if (st == FW_OK) {
        fw_replay_compare(demo, &recorded, &marks.m, v->viewed ? &views : NULL, &d);
        fw_replay_text(&d, recorded.length, v->text, sizeof v->text);
        v->outcome = d.n_part > 0 ? DIFFERS : EQUAL;
        v->frames = recorded.length;
    }
    fw_views_clear(&views);
    fw_episode_marks_clear(&marks);
    fw_episode_clear(&recorded);
    return st;
}

static void judge_one(fw_dataset *ds, fw_player *p, int64_t episode, verdict *v) {
    fw_replay r;
    fw_err err = {FW_OK, ""};
    *v = (verdict){.episode = episode};
    if (fw_replay_read(ds, episode, &r, &err) != FW_OK) {
        v->outcome = NOT_SIMULATED;
    } else if (play_one(ds, p, &r, v, &err) != FW_OK) {
        v->outcome = REFUSED;
    }
    if (err.code != FW_OK) {
        snprintf(v->text, sizeof v->text, "%s", err.msg);
    }
}

static fw_status work(void *ctx, int64_t first, int64_t step, int fd, fw_err *err) {
    const replay *m = ctx;
    fw_dataset *ds = NULL;
    fw_player *p = NULL;
    bool heard = true;
    fw_status st = fw_dataset_open(m->dir, &ds, err);
    st = st == FW_OK ? fw_player_new(ds->robot_type, false, &p, err) : st;
    for (int64_t k = first; st == FW_OK && heard && k < m->n; k += step) {
        verdict v;
        judge_one(ds, p, m->episodes[k], &v);
        heard = crew_head(fd, k) && crew_write(fd, &v, sizeof v);
    }
    fw_player_free(p);
    fw_dataset_close(ds);
    return st;
}

/* --- the parent */
static fw_status take(void *ctx, int64_t piece, int fd, void *into, fw_err *err) {
    (void)ctx;
    return crew_read(fd, into, sizeof(verdict))
               ? FW_OK
               : fw_fail(err, FW_CLOSED, "a worker ended inside episode %lld", (long long)piece);
}

static fw_status play_all(const replay *m, int workers, verdict *out, fw_err *err) {
    replay copy = *m;
    const crew_job job = {.workers = workers, .work = work, .take = take, .ctx = &copy};
    crew c = {.n = 0};
    fw_progress progress;
    int64_t equal = 0;
    fw_status st = crew_hire(&c, &job, 0, err);
    fw_progress_start(&progress, "episodes", (uint64_t)m->n);
    for (int64_t k = 0; st == FW_OK && k < m->n; k++) {
        st = crew_take(&c, k, &out[k], err);
        equal += st == FW_OK && out[k].outcome == EQUAL;
        fw_progress_update(&progress, (uint64_t)(k + 1), "%lld equal", (long long)equal);
    }
    fw_progress_end(&progress);
    crew_dismiss(&c);
    return st;
}

typedef struct tally {
    int64_t of[4], viewed, frames;
} tally;

static tally count(const verdict *v, int64_t n) {
    tally t = {.viewed = 0};
    for (int64_t k = 0; k < n; k++) {
        t.of[v[k].outcome & 3]++;
        t.viewed += v[k].outcome == EQUAL && v[k].viewed;
        t.frames += v[k].outcome == EQUAL ? v[k].frames : 0;
    }
    return t;
}

static int say_json(const char *dir, const verdict *v, int64_t n, const tally *t) {
    json_t *bad = json_array();
    for (int64_t k = 0; k < n; k++) {
        if (v[k].outcome == DIFFERS || v[k].outcome == REFUSED) {
            json_array_append_new(bad, json_pack("{s:I, s:s, s:s}", "episode", (json_int_t)v[k].episode, "outcome",
                                                 v[k].outcome == DIFFERS ? "differs" : "refused", "text", v[k].text));
        }
    }
    return cli_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "dir", dir, "episodes",
                              (json_int_t)(n - t->of[NOT_SIMULATED]), "equal", (json_int_t)t->of[EQUAL], "differ",
                              (json_int_t)t->of[DIFFERS], "refused", (json_int_t)t->of[REFUSED], "not_simulated",
                              (json_int_t)t->of[NOT_SIMULATED], "frames", (json_int_t)t->frames, "findings", bad));
}

static void say(const char *dir, const verdict *v, int64_t n, const tally *t) {
    for (int64_t k = 0; k < n; k++) {
        if (v[k].outcome == DIFFERS || v[k].outcome == REFUSED) {
            printf("ep %lld: %s: %s\n", (long long)v[k].episode,
                   v[k].outcome == DIFFERS ? "not the same" : "cannot be played", v[k].text);
        }
    }
    printf("%s: %lld of %lld simulated episodes play to the same bits (%lld frames; views compared in %lld)", dir,
           (long long)t->of[EQUAL], (long long)(n - t->of[NOT_SIMULATED]), (long long)t->frames, (long long)t->viewed);
    if (t->of[NOT_SIMULATED] > 0) {
        printf("; %lld more are no simulated ones", (long long)t->of[NOT_SIMULATED]);
    }
    printf("\n");
}

int data_replay(int argc, char **argv) {
    bool json = false;
    const char *list = NULL;
    int64_t workers = sysconf(_SC_NPROCESSORS_ONLN);
    int n_paths;
    const fw_arg args[] = {
        FW_ARG_STR("episodes", &list, "LIST", "which, as in 0-9,12,40-; all otherwise"),
        FW_ARG_INT("workers", &workers, 1, CREW_MAX, "W", "processes"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {
        .verb = "data replay",
        .example = "flywheel data replay out/k3 --episodes 0-9",
        .what =
            "Play simulated episodes again from their task, version and five seeds, and compare states, actions and "
            "views bit for bit. Exits 1 when one differs or cannot be played.",
        .paths = "DIR",
        .min_paths = 1,
        .max_paths = 1};
    int code = fw_args_parse(&usage, args, sizeof args / sizeof *args, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    fw_err err;
    fw_dataset *ds = NULL;
    int64_t *episodes = NULL, n = 0;
    verdict *v = NULL;
    fw_status st = fw_dataset_open(argv[1], &ds, &err);
    st = st == FW_OK ? fw_select_list(ds, list != NULL ? list : "0-", &episodes, &n, &err) : st;
    fw_dataset_close(ds);
    if (st == FW_OK && n < 1) {
        st = fw_fail(&err, FW_INVALID, "%s: no episodes", argv[1]);
    }
    if (st == FW_OK && (v = calloc((size_t)n, sizeof *v)) == NULL) {
        st = fw_fail(&err, FW_NOMEM, "%lld episodes", (long long)n);
    }
    const replay m = {.dir = argv[1], .episodes = episodes, .n = n};
    st = st == FW_OK ? play_all(&m, (int)(workers < n ? workers : n), v, &err) : st;
    tally t = st == FW_OK ? count(v, n) : (tally){.viewed = 0};
    if (st == FW_OK && t.of[NOT_SIMULATED] == n) {
        st = fw_fail(&err, FW_INVALID, "%s", v[0].text);
    }
    if (st != FW_OK) {
        code = cli_fail(&err);
    } else {
        code = json ? say_json(argv[1], v, n, &t) : (say(argv[1], v, n, &t), 0);
        code = t.of[DIFFERS] + t.of[REFUSED] > 0 ? 1 : code;
    }
    free(v);
    free(episodes);
    return code;
}
