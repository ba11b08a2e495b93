/* cmd_eval.c - flywheel eval: a policy in closed loop (--suite) or on recorded episodes (--data). */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/args.h"
#include "base/file.h"
#include "cli.h"
#include "sim.h"
#include "sim/ranges.h"
#include "sim/sim.h"
#include "train/closed.h"
#include "train/openloop.h"
#include "train/stats.h"

static json_t *numbers(const double *x, int n) {
    json_t *a = json_array();
    for (int i = 0; i < n; i++) {
        json_array_append_new(a, json_real(x[i]));
    }
    return a;
}

/* ---- closed loop ---- */

static json_t *rate_json(const fw_closed_task *t, bool swap) {
    double lo, hi;
    fw_wilson95(t->success, t->n, &lo, &hi);
    json_t *j = json_pack("{s:f, s:I, s:[f,f], s:f}", "rate", (double)t->success / (double)t->n, "n", (json_int_t)t->n,
                          "ci95", lo, hi, "wrong_object", (double)t->wrong_object / (double)t->n);
    if (swap) {
        json_object_set_new(j, "said_rate", json_real((double)t->said / (double)t->n));
    }
    return j;
}

static int closed_json(const fw_closed_opts *o, const fw_closed_result *r) {
    json_t *j = rate_json(&r->all, o->swap), *tasks = json_object(), *outcomes = sim_outcomes(o, r);
    for (int k = 0; k < r->n_task; k++) {
        json_object_set_new(tasks, r->task[k].name, rate_json(&r->task[k], o->swap));
    }
    json_object_set_new(j, "tasks", tasks);
    json_object_update(j, outcomes);
    json_decref(outcomes);
    json_object_set_new(j, "infer_ms", json_real(r->infer_ms));
    return cli_json(j);
}

static void closed_row(const fw_closed_task *t, bool swap) {
    double lo, hi;
    fw_wilson95(t->success, t->n, &lo, &hi);
    printf("%-18s %5lld %5lld  %5.1f %%  [%5.1f, %5.1f]  %5.1f %%", t->name, (long long)t->success, (long long)t->n,
           100.0 * (double)t->success / (double)t->n, 100 * lo, 100 * hi,
           100.0 * (double)t->wrong_object / (double)t->n);
    if (swap) {
        printf("  %5.1f %%", 100.0 * (double)t->said / (double)t->n);
    }
    printf("\n");
}

/* What went wrong, commonest first. */
static void closed_reasons(const fw_closed_result *r) {
    int64_t n = r->n_task * r->episodes;
    bool *told = calloc((size_t)n, sizeof *told);
    for (int64_t i = 0, lines = 0; told != NULL && i < n && lines < 8; i++) {
        int64_t count = 0;
        if (r->outcome[i].success || told[i]) {
            continue;
        }
        for (int64_t k = i; k < n; k++) {
            if (!r->outcome[k].success && k / r->episodes == i / r->episodes &&
                strcmp(r->outcome[k].reason, r->outcome[i].reason) == 0) {
                told[k] = true;
                count++;
            }
        }
        printf("  %lld x %s: %s\n", (long long)count, r->task[i / r->episodes].name, r->outcome[i].reason);
        lines++;
    }
    free(told);
}

static int closed_table(const fw_closed_opts *o, const fw_closed_result *r) {
    printf("%-18s %5s %5s  %7s  %-14s  %7s%s\n", o->swap ? "original goal of" : "task", "hits", "n", "rate", "95 %",
           "wrong", o->swap ? "     said" : "");
    for (int k = 0; k < r->n_task; k++) {
        closed_row(&r->task[k], o->swap);
    }
    if (r->n_task > 1) {
        closed_row(&r->all, o->swap);
    }
    if (!o->swap) {
        closed_reasons(r);
    }
    if (o->policy != NULL) {
        printf("%.1f ms a chunk\n", r->infer_ms);
    }
    return 0;
}

static int eval_closed(const fw_closed_opts *o, bool json) {
    fw_err err = {0};
    fw_closed_result r;
    if (fw_closed_run(o, &r, &err) != FW_OK) {
        return cli_fail(&err);
    }
    int code = json ? closed_json(o, &r) : closed_table(o, &r);
    fw_closed_free(&r);
    return code;
}

/* ---- open loop ---- */

static int open_json(const fw_open_result *r) {
    json_t *names = json_array();
    for (int i = 0; i < r->n_action; i++) {
        json_array_append_new(names, json_string(r->dim[i]));
    }
    return cli_json(
        json_pack("{s:f, s:f, s:f, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "error", r->error, "baseline_repeat",
                  r->baseline_repeat, "baseline_mean", r->baseline_mean, "per_dim", numbers(r->per_dim, r->n_action),
                  "repeat_per_dim", numbers(r->repeat_per_dim, r->n_action), "mean_per_dim",
                  numbers(r->mean_per_dim, r->n_action), "dims", names, "by_step", numbers(r->by_step, FW_OPEN_STEPS),
                  "episodes", (json_int_t)r->episodes, "frames", (json_int_t)r->frames));
}

static int open_table(const fw_open_result *r) {
    double best = r->baseline_repeat < r->baseline_mean ? r->baseline_repeat : r->baseline_mean;
    printf("%-20s %8s %8s %8s\n", "dimension", "policy", "repeat", "mean");
    for (int i = 0; i < r->n_action; i++) {
        printf("%-20s %8.4f %8.4f %8.4f\n", r->dim[i], r->per_dim[i], r->repeat_per_dim[i], r->mean_per_dim[i]);
    }
    printf("%-20s %8.4f %8.4f %8.4f\n", "all", r->error, r->baseline_repeat, r->baseline_mean);
    printf("%lld episodes, %lld frames: %.1f %% below the better baseline\n", (long long)r->episodes,
           (long long)r->frames, 100 * (1 - r->error / best));
    return 0;
}

static int eval_open(fw_open_opts *o, const char *episodes, bool json) {
    fw_err err = {0};
    fw_open_result r;
    long long from = 0, to = -1;
    char end;
    if (episodes != NULL && sscanf(episodes, "%lld:%lld%c", &from, &to, &end) != 2) {
        fprintf(stderr, "flywheel eval: --episodes with --data wants FROM:TO, got '%s'\n", episodes);
        return 2;
    }
    o->from = from;
    o->to = to;
    if (fw_open_run(o, &r, &err) != FW_OK) {
        return cli_fail(&err);
    }
    return json ? open_json(&r) : open_table(&r);
}

/* A domain may be played by other physics only: then go on as the program that is built with it. Returns 0 or an exit code. */
static int become_engine(const char *domain, char *const *argv) {
    fw_err err = {0};
    fw_ranges r;
    char path[PATH_MAX], *slash;
    if (fw_ranges_load(fw_home(), domain, &r, &err) != FW_OK) {
        return cli_fail(&err);
    }
    if (r.engine[0] == 0 || strcmp(r.engine, fw_sim_version()) == 0) {
        return 0;
    }
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);
    path[n > 0 ? n : 0] = 0;
    slash = strrchr(path, '/');
    snprintf(slash != NULL ? slash : path, 64, "/flywheel-%s", r.engine);
    for (char *c = strrchr(path, '/'); *c != 0; c++) {
        *c = *c == ' ' ? '-' : *c;
    }
    execv(path, argv);
    fw_fail(&err, FW_UNSUPPORTED, "domain %s is played by %s: cannot run %.300s: %s (make builds it)", domain, r.engine,
            path, strerror(errno));
    return cli_fail(&err);
}

int cmd_eval(int argc, char **argv) {
    fw_closed_opts c = {.max_videos = 20};
    fw_open_opts o = {.to = -1};
    const char *episodes = NULL, *homes = NULL, *way = NULL;
    int64_t seed = 1, workers = 0, max_videos = 20, delay = 0;
    bool json = false, expert = false;
    const fw_arg args[] = {
        FW_ARG_STR("policy", &c.policy, "DIR", "the policy"),
        FW_ARG_STR("precision", &c.precision, "P", "f32, bf16 or int8: what its products are computed in"),
        FW_ARG_BOOL("expert", &expert, "the suite's scripted expert instead of a policy"),
        FW_ARG_STR("suite", &c.suite, "NAME", "closed loop in simulation: kitchen3"),
        FW_ARG_STR("data", &o.data, "DIR", "open loop on recorded episodes"),
        FW_ARG_STR("episodes", &episodes, "N | A:B",
                   "--suite: episodes a task (20); --data: episodes A to B - 1 (all)"),
        FW_ARG_STR("task", &c.task, "NAME", "--suite: only this task"),
        FW_ARG_INT("seed", &seed, 0, 9007199254740991, "S", "--suite: names the scenes, the same for every policy"),
        FW_ARG_STR(
            "domain", &c.domain, "NAME",
            "--suite: draw scenes from these ranges instead of the suite's: held_visual, held_physics, held_engine"),
        FW_ARG_STR("embodiment", &c.embodiment, "NAME", "--suite: another robot than the suite's"),
        FW_ARG_STR("homes", &homes, "A:N", "--suite: N homes from number A on; 1000000 and up are in no training data"),
        FW_ARG_BOOL("held-out-phrasings", &c.held_out_phrasings, "--suite: sentences that are in no training data"),
        FW_ARG_INT("delay", &delay, 0, 1000, "N",
                   "--suite: chunks come N control steps late; what is executed until then is the policy's prefix"),
        FW_ARG_STR("through", &way, "control",
                   "--suite: as a robot is moved: hand-over, motion, safety and driver (docs/CONTROL.md)"),
        FW_ARG_BOOL("numb", &c.numb, "--through: contacts are not felt, so that a hand may press as hard as it can"),
        FW_ARG_BOOL("forget-prefix", &c.forget_prefix, "--suite: with --delay, the policy is not told of it"),
        FW_ARG_BOOL("swap", &c.swap, "--suite: say the sentence of another task; rate = the original goal was reached"),
        FW_ARG_STR("videos", &c.videos, "DIR", "--suite: films of failures"),
        FW_ARG_INT("max-videos", &max_videos, 0, 100000, "N", "--suite: at most so many"),
        FW_ARG_INT("last", &o.last, 0, 100000000, "N", "--data: only the last N episodes"),
        FW_ARG_STR("plot", &o.plot, "FILE", "--data: curves as a picture"),
        FW_ARG_INT("workers", &workers, 0, 64, "N", "processes or threads; 0: all CPUs"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {
        .verb = "eval",
        .example = "flywheel eval --policy models/kitchen3 --suite kitchen3 --episodes 20 --seed 7\n"
                   "flywheel eval --expert --suite table --embodiment ur5e\n"
                   "flywheel eval --policy models/cr5 --data data/cr5_banana_plate --last 8 --plot out/cr5.png",
        .what =
            "Judge a policy: by what it reaches in simulation (95 % intervals after Wilson), or by how near it comes "
            "to recorded actions (against two baselines).",
        .paths = NULL};
    char **again = calloc((size_t)argc + 2, sizeof *again); /* the words as they came: parsing moves them */
    if (again == NULL) {
        return 1;
    }
    memcpy(again + 1, argv, (size_t)argc * sizeof *argv);
    again[0] = (char *)"flywheel";
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof(*args), argc, argv, &n_paths);
    if (code == FW_ARGS_GO && c.suite != NULL && c.domain != NULL) {
        int no = become_engine(c.domain, again);
        code = no != 0 ? no : code;
    }
    free(again);
    if (code != FW_ARGS_GO) {
        return code;
    }
    if ((c.policy == NULL) != expert || (c.suite == NULL) == (o.data == NULL) || (expert && o.data != NULL)) {
        fprintf(stderr,
                "flywheel eval: wants --policy DIR (or --expert) and one of --suite NAME and --data DIR; --help "
                "shows an example\n");
        return 2;
    }
    if ((c.numb && way == NULL) ||
        (way != NULL && (strcmp(way, "control") != 0 || o.data != NULL || c.swap || c.videos != NULL))) {
        fprintf(stderr, "flywheel eval: --through control goes with --suite, without --swap and --videos\n");
        return 2;
    }
    c.through = way != NULL ? &eval_through_control : NULL;
    if (o.data != NULL) {
        o.policy = c.policy;
        o.precision = c.precision;
        o.threads = (int)workers;
        return eval_open(&o, episodes, json);
    }
    char *end = NULL;
    c.episodes = episodes != NULL ? strtoll(episodes, &end, 10) : 20;
    if (c.episodes < 1 || (end != NULL && *end != 0)) {
        fprintf(stderr, "flywheel eval: --episodes with --suite wants a number above 0, got '%s'\n", episodes);
        return 2;
    }
    fw_err err = {0};
    fw_env_opts eo;
    if (sim_env_opts(NULL, NULL, homes, &eo, &err) != FW_OK) {
        cli_fail(&err);
        return 2;
    }
    c.home_first = eo.home_first, c.home_count = eo.home_count;
    c.seed = (uint64_t)seed;
    c.delay = (int)delay;
    c.max_videos = (int)max_videos;
    c.workers = (int)workers;
    return eval_closed(&c, json);
}
