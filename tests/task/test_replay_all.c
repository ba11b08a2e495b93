/* ctest: timeout=1800 label=slow */
#include "replay_test.h"
#include "task/task_int.h"

/* Disturbed and undisturbed demonstrations of every suite there is, so that a task that joins one is proved too. */
static void every_task_of_every_suite_plays_to_the_same_bits(void) {
    char dir[600], **names = NULL, seen[2000] = "";
    size_t n = 0;
    start("all");
    must(fw_path_join(dir, sizeof dir, fw_home(), "suites", &fault));
    must(fw_list_dir(dir, &names, &n, &fault));
    for (size_t i = 0; i < n; i++) {
        char suite[64] = "";
        fw_env *env = NULL;
        if (sscanf(names[i], "%63[^.].json", suite) != 1) {
            continue;
        }
        must(fw_env_open(suite, &(fw_env_opts){.render = false}, &env, &fault));
        int n_task = fw_env_n_task(env);
        for (int t = 0; t < n_task; t++) {
            size_t at = strlen(seen);
            snprintf(seen + at, sizeof seen - at, "[%s]", fw_env_task_name(env, t));
        }
        fw_env_close(env);
        CHECK_INT(
            flywheel("sim make --suite %s --seed 11 --episodes %d --workers 1 --out %s/%s", suite, n_task, root, suite),
            0);
        CHECK_INT(flywheel("data replay %s/%s --workers 1", root, suite), 0);
        printf("%s: %d episodes\n", suite, n_task);
    }
    fw_names_free(names, n);
    for (int i = 0; task_at(i) != NULL; i++) {
        char name[80];
        snprintf(name, sizeof name, "[%s]", task_at(i)->name);
        if (strstr(seen, name) == NULL) {
            printf("%s is in no suite yet\n", task_at(i)->name);
        }
    }
    finish();
}

FW_TEST_MAIN(T(every_task_of_every_suite_plays_to_the_same_bits))
