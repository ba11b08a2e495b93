/* expert_bar.h - play the expert over many seeds and count. */
#ifndef EXPERT_BAR_H
#define EXPERT_BAR_H

#include "fw_test.h"
#include "task/task.h"

/* Successes of n seeds from seed0; prints the failures. The other tasks' goals must not be reached on the way. */
static inline int expert_successes(fw_env *env, int task, uint64_t seed0, int n) {
    fw_err err = {FW_OK, ""};
    int ok = 0;
    for (int i = 0; i < n; i++) {
        fw_verdict v;
        float a[FW_DIM_MAX];
        bool done = false;
        if (fw_env_reset(env, task, seed0 + (uint64_t)i, &err) != FW_OK) {
            FW_FAILED("%s", err.msg);
        }
        while (!fw_env_done(env)) {
            if (fw_expert_act(env, a, &done, &err) != FW_OK || fw_env_step(env, a, &err) != FW_OK) {
                FW_FAILED("%s seed %d: %s", fw_env_task_name(env, task), (int)seed0 + i, err.msg);
            }
        }
        fw_env_judge(env, &v);
        ok += v.success;
        if (!v.success) {
            printf("%s seed %d after %d steps: %s\n", fw_env_task_name(env, task), (int)seed0 + i, fw_env_steps(env),
                   v.reason);
        }
        for (int k = 0; k < fw_env_n_task(env); k++) {
            CHECK(k == task || !v.goal[k]);
        }
    }
    printf("%s: %d of %d seeds from %d\n", fw_env_task_name(env, task), ok, n, (int)seed0);
    return ok;
}

static inline fw_env *open_suite(const char *suite) {
    fw_err err = {FW_OK, ""};
    fw_env *env = NULL;
    if (fw_env_open(suite, &(fw_env_opts){.render = false}, &env, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    return env;
}

static inline fw_env *open_blind(void) {
    return open_suite("kitchen3");
}

#endif /* EXPERT_BAR_H */
