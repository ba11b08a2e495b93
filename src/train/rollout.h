/*
 * rollout.h - a policy that acts in an environment, step by step, its chunks late by a number of control steps.
 *
 *   fw_rollout r;
 *   FW_TRY(fw_rollout_init(&r, policy, fw_env_embodiment(env), err));
 *   FW_TRY(fw_rollout_begin(&r, delay, true, err));                       // an episode
 *   ... FW_TRY(fw_rollout_act(&r, env, action, err)); FW_TRY(fw_env_step(env, action, err)); ...
 *
 * DESIGN. Two chunks: the one being executed and the one asked for. With a delay of d the next is asked for d steps before the last
 * one's rows end, told those d rows, and taken over at its row d: what a control loop does whose policy takes d steps to answer.
 */
#ifndef FW_TRAIN_ROLLOUT_H
#define FW_TRAIN_ROLLOUT_H

#include "fw/policy.h"
#include "task/task.h"

typedef struct fw_rollout {
    fw_policy *policy; /* borrowed */
    fw_policy_info info;
    int n_action;
    int delay;
    bool tell;     /* the policy is told what is settled */
    int n_execute; /* rows of a chunk that are executed: at least as many as it is late */
    float *rows;   /* [2][horizon, n_action] owned */
    int now, row, n_row;
    float last_action[FW_DIM_MAX], last_state[FW_DIM_MAX];
    bool acted, has_last_state;
    int inferences; /* of this episode */
    double infer_s;
} fw_rollout;

/* policy: borrowed until fw_rollout_clear, of this embodiment. */
FW_NODISCARD fw_status fw_rollout_init(fw_rollout *r, fw_policy *policy, const fw_embodiment *e, fw_err *err);
void fw_rollout_clear(fw_rollout *r);
/* A new episode; the policy is reset. FW_INVALID: a delay of more than half a chunk, or with tell more than its max_delay. */
FW_NODISCARD fw_status fw_rollout_begin(fw_rollout *r, int delay, bool tell, fw_err *err);
/* The action of this step, action [n_action]; what is executed next must be it. */
FW_NODISCARD fw_status fw_rollout_act(fw_rollout *r, fw_env *env, float *action, fw_err *err);

#endif /* FW_TRAIN_ROLLOUT_H */
