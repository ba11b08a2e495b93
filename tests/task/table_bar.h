/* table_bar.h - the suite `table` with any robot. */
#ifndef TABLE_BAR_H
#define TABLE_BAR_H

#include "expert_bar.h"

static inline fw_env *table_open(const char *robot) {
    fw_err err = {FW_OK, ""};
    fw_env *env = NULL;
    if (fw_env_open("table", &(fw_env_opts){.render = false, .embodiment = robot}, &env, &err) != FW_OK) {
        FW_FAILED("%s: %s", robot, err.msg);
    }
    return env;
}

static inline int table_successes(const char *robot, uint64_t seed0, int n) {
    fw_env *env = table_open(robot);
    printf("%s ", robot);
    int ok = expert_successes(env, 0, seed0, n);
    fw_env_close(env);
    return ok;
}

#endif /* TABLE_BAR_H */
