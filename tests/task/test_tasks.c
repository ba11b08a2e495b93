/* ctest: timeout=300 */
/* What holds for every task of the table, in every suite: a new one is held to it without being named here. */
#include <dirent.h>
#include <string.h>

#include "base/file.h"
#include "expert_bar.h"
#include "task/task_int.h"

typedef void (*per_suite)(const char *suite);

static int for_each_suite(per_suite f) {
    char dir[512], name[256];
    fw_err err = {FW_OK, ""};
    int n = 0;
    CHECK_INT(fw_path_join(dir, sizeof dir, fw_home(), "suites", &err), FW_OK);
    DIR *d = opendir(dir);
    CHECK(d != NULL);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char *end = strstr(e->d_name, ".json");
        if (end != NULL && end[5] == 0) {
            snprintf(name, sizeof name, "%.*s", (int)(end - e->d_name), e->d_name);
            f(name);
            n++;
        }
    }
    closedir(d);
    return n;
}

/* A goal that holds before anything was done judges nothing. */
static void fresh_scenes_are_not_done(const char *suite) {
    fw_err err = {FW_OK, ""};
    fw_env *env = open_suite(suite);
    for (int t = 0; t < fw_env_n_task(env); t++) {
        int n = 0;
        for (uint64_t seed = 3000; n < 3; seed++) {
            fw_verdict v;
            fw_status st = fw_env_reset(env, t, seed, &err);
            if (st == FW_CLOSED && seed < 3020) { /* this scene has no case of it */
                continue;
            }
            CHECK_INT(st, FW_OK);
            fw_env_judge(env, &v);
            if (v.success || v.goal[t] || v.reason[0] == 0) {
                FW_FAILED("%s %s seed %d: done before it began", suite, fw_env_task_name(env, t), (int)seed);
            }
            n++;
        }
    }
    fw_env_close(env);
}

static void no_goal_holds_before_anything_is_done(void) {
    CHECK(for_each_suite(fresh_scenes_are_not_done) >= 4);
}

static bool in_a_suite[FW_TASK_MAX];

static void note_tasks(const char *suite) {
    char dir[512], path[700], file[300];
    char *text = NULL;
    size_t n = 0;
    fw_err err = {FW_OK, ""};
    snprintf(file, sizeof file, "%s.json", suite);
    CHECK_INT(fw_path_join(dir, sizeof dir, fw_home(), "suites", &err), FW_OK);
    CHECK_INT(fw_path_join(path, sizeof path, dir, file, &err), FW_OK);
    CHECK_INT(fw_file_read(path, 1 << 16, &text, &n, &err), FW_OK);
    for (int i = 0; task_at(i) != NULL; i++) {
        char quoted[80];
        snprintf(quoted, sizeof quoted, "\"%s\"", task_at(i)->name);
        in_a_suite[i] = in_a_suite[i] || strstr(text, quoted) != NULL;
    }
    free(text);
}

static void every_task_is_in_a_suite_and_in_the_guide(void) {
    char path[700];
    char *guide = NULL;
    size_t n = 0;
    fw_err err = {FW_OK, ""};
    for_each_suite(note_tasks);
    CHECK_INT(fw_path_join(path, sizeof path, FW_SOURCE_DIR, "docs/TASKS.md", &err), FW_OK);
    CHECK_INT(fw_file_read(path, 1 << 20, &guide, &n, &err), FW_OK);
    for (int i = 0; task_at(i) != NULL; i++) {
        char quoted[80];
        snprintf(quoted, sizeof quoted, "`%s`", task_at(i)->name);
        if (!in_a_suite[i] || strstr(guide, quoted) == NULL) {
            FW_FAILED("task %s: %s", task_at(i)->name, in_a_suite[i] ? "not in docs/TASKS.md" : "in no suite");
        }
    }
    free(guide);
}

static int count(const char *const *text) {
    int n = 0;
    while (text[n] != NULL) {
        n++;
    }
    return n;
}

static void every_task_is_complete(void) {
    for (int i = 0; task_at(i) != NULL; i++) {
        const fw_task *t = task_at(i);
        CHECK(task_find(t->name) == t); /* no two of one name */
        CHECK(t->version >= 1 && t->time_s > 0 && t->setting != NULL && t->goal != NULL && t->expert != NULL);
        if (count(t->train) < 12 || count(t->held) < 4) {
            FW_FAILED("task %s: %d phrasings to train, %d held out; wanted 12 and 4", t->name, count(t->train),
                      count(t->held));
        }
        for (int k = 0; t->held[k] != NULL; k++) {
            for (int j = 0; t->train[j] != NULL; j++) {
                CHECK(strcmp(t->held[k], t->train[j]) != 0);
            }
        }
    }
}

FW_TEST_MAIN(T(every_task_is_complete), T(every_task_is_in_a_suite_and_in_the_guide),
             T(no_goal_holds_before_anything_is_done))
