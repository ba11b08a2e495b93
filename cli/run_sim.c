/* run_sim.c - the simulator as the robot of `flywheel run`: scenes, the judge's word. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/log.h"
#include "run.h"
#include "task/sim_driver.h"

enum { LIMP_MS = 4000 };

static fw_status config_of(const run *r, char **out, fw_err *err) {
    if (r->a.config != NULL) {
        return run_config(r->a.config, out, err);
    }
    json_t *j = json_pack("{s:s, s:I}", "suite", r->a.suite, "seed", (json_int_t)r->a.seed);
    if (j != NULL && r->a.task != NULL) {
        json_object_set_new(j, "task", json_string(r->a.task));
    }
    *out = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    return *out != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "out of memory");
}

fw_status run_sim_open(run *r, fw_err *err) {
    char *text;
    FW_TRY(config_of(r, &text, err));
    const fw_status st = fw_driver_open_api(fw_sim_driver_api(), text, &r->driver, err);
    free(text);
    FW_TRY(st);
    if (r->a.embodiment == NULL) {
        static char name[FW_NAME_MAX];
        snprintf(name, sizeof name, "%s", fw_env_embodiment(fw_sim_driver_env(r->driver))->name);
        r->a.embodiment = name;
    }
    return FW_OK;
}

/* The task whose phrasings hold this sentence; NULL: none, whatever goal is reached counts for nothing. */
static const char *task_of(const run *r, const char *sentence) {
    const fw_env *env = fw_sim_driver_env(r->driver);
    for (int t = 0; t < fw_env_n_task(env); t++) {
        for (int split = FW_SPLIT_TRAIN; split <= FW_SPLIT_HELD; split++) {
            for (int i = 0; i < fw_env_n_sentence(env, t, (fw_split)split); i++) {
                if (strcasecmp(fw_env_sentence(env, t, (fw_split)split, i), sentence) == 0) {
                    return fw_env_task_name(env, t);
                }
            }
        }
    }
    return NULL;
}

/* The room changes only when nobody holds the arm. */
static fw_status go_limp(run *r, fw_err *err) {
    fw_session_status s;
    fw_session_off(r->session);
    for (int i = 0; i < LIMP_MS / 10; i++) {
        const struct timespec t = {0, 10000000};
        nanosleep(&t, NULL);
        fw_session_get(r->session, &s);
        if (s.control.mode == FW_SAFETY_SILENT) {
            return FW_OK;
        }
    }
    return fw_fail(err, FW_TIMEOUT, "the robot does not come to rest: the scene stays");
}

fw_status run_sim_begin(run *r, const char *sentence, fw_err *err) {
    fw_sim_driver_now now;
    const char *task = sentence != NULL ? task_of(r, sentence) : r->a.task;
    if (sentence != NULL && task == NULL) {
        fw_warn("no task of %s is called \"%s\": it is not judged", r->a.suite, sentence);
    }
    FW_TRY(go_limp(r, err));
    fw_status st = FW_AGAIN;
    for (int i = 0; i < LIMP_MS / 10 && st == FW_AGAIN; i++) { /* the driver hears of it a cycle later */
        const struct timespec t = {0, 10000000};
        st = fw_sim_driver_reset(r->driver, task, (uint64_t)r->a.seed, err);
        nanosleep(&t, NULL);
    }
    FW_TRY(st);
    FW_TRY(fw_sim_driver_now_get(r->driver, &now, err));
    snprintf(r->sim.sentence, sizeof r->sim.sentence, "%s", sentence != NULL ? sentence : now.sentence);
    r->sim.open = true;
    return FW_OK;
}

bool run_sim_over(run *r) {
    fw_sim_driver_now now;
    fw_err err;
    return r->sim.open && fw_sim_driver_now_get(r->driver, &now, &err) == FW_OK && now.done;
}

void run_sim_end(run *r) {
    fw_sim_driver_now now;
    fw_err err;
    r->sim.open = false;
    if (fw_sim_driver_now_get(r->driver, &now, &err) != FW_OK) {
        return;
    }
    fw_session_end_episode(r->session, now.verdict.success);
    fw_session_pause(r->session);
    fw_info("%s: %s%s", r->sim.sentence,
            now.verdict.success ? "done" : "not done: ", now.verdict.success ? "" : now.verdict.reason);
    if (r->sim.n < RUN_TASKS) {
        run_task *t = &r->sim.task[r->sim.n++];
        snprintf(t->sentence, sizeof t->sentence, "%s", r->sim.sentence);
        snprintf(t->reason, sizeof t->reason, "%s", now.verdict.reason);
        t->success = now.verdict.success;
        t->seconds = now.steps / r->e.rate_hz;
    }
}

json_t *run_sim_json(const run *r) {
    json_t *list = json_array();
    for (int i = 0; i < r->sim.n; i++) {
        const run_task *t = &r->sim.task[i];
        json_array_append_new(list, json_pack("{s:s, s:b, s:f, s:s}", "sentence", t->sentence, "success", t->success,
                                              "seconds", t->seconds, "reason", t->reason));
    }
    return list;
}

void run_sim_print(const run *r) {
    for (int i = 0; i < r->sim.n; i++) {
        const run_task *t = &r->sim.task[i];
        printf("%-8s %5.1f s  %s%s%s\n", t->success ? "done" : "NOT DONE", t->seconds, t->sentence,
               t->success ? "" : ": ", t->success ? "" : t->reason);
    }
}

json_t *run_sim_now_json(const run *r) {
    fw_sim_driver_now now;
    fw_err err;
    if (fw_sim_driver_now_get(r->driver, &now, &err) != FW_OK) {
        return json_null();
    }
    return json_pack("{s:s, s:I, s:b, s:b, s:s}", "name", now.task, "seed", (json_int_t)now.seed, "done", now.done,
                     "success", now.verdict.success, "reason", now.verdict.reason);
}
