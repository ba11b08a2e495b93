/* rollout.c - see rollout.h. */
#include "train/rollout.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

fw_status fw_rollout_init(fw_rollout *r, fw_policy *policy, const fw_embodiment *e, fw_err *err) {
    *r = (fw_rollout){.policy = policy, .n_action = e->n_action};
    fw_policy_describe(policy, &r->info);
    r->rows = calloc(2 * (size_t)r->info.horizon * (size_t)e->n_action, sizeof(float));
    return r->rows != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "no memory for two chunks of %d rows", r->info.horizon);
}

void fw_rollout_clear(fw_rollout *r) {
    free(r->rows);
    r->rows = NULL;
}

fw_status fw_rollout_begin(fw_rollout *r, int delay, bool tell, fw_err *err) {
    const int want = r->info.n_execute, most = r->info.horizon - delay, n = want > delay ? want : delay;
    r->n_execute = n < most ? n : most;
    if (delay < 0 || r->n_execute < delay || r->n_execute < 1) {
        return fw_fail(err, FW_INVALID, "%s: chunks of %d rows allow a delay of 0 to %d steps, not %d", r->info.name,
                       r->info.horizon, r->info.horizon / 2, delay);
    }
    if (delay > r->info.max_delay && tell) {
        return fw_fail(
            err, FW_INVALID,
            "%s goes on from at most %d settled commands ('max_delay'), the delay is %d: train it for that, or "
            "do not tell it (--forget-prefix)",
            r->info.name, r->info.max_delay, delay);
    }
    r->delay = delay, r->tell = tell;
    r->now = r->row = r->n_row = r->inferences = 0;
    r->acted = r->has_last_state = false;
    r->infer_s = 0;
    fw_policy_reset(r->policy);
    return FW_OK;
}

static float *chunk_row(const fw_rollout *r, int which, int row) {
    return r->rows + (size_t)(which * r->info.horizon + row) * (size_t)r->n_action;
}

/* Rows of the last chunk after the settled ones that guide the next: 10 with them, as LeRobot's default. */
static int wish(const fw_rollout *r, int settled) {
    enum { GUIDE = 10 };
    const int left = r->info.horizon - r->row, most = left < GUIDE ? left : GUIDE;
    return settled > 0 && most > settled ? most - settled : 0;
}

/* A chunk into the free one of the two. settled: rows of the other that are executed until it is there. */
static fw_status ask_policy(fw_rollout *r, fw_env *env, int settled, fw_err *err) {
    fw_obs obs;
    FW_TRY(fw_env_observe(env, &obs, err));
    obs.prev_action = r->acted ? r->last_action : NULL;
    obs.prev_state = r->has_last_state ? r->last_state : NULL;
    if (r->tell) {
        obs.prefix = chunk_row(r, r->now, r->row);
        obs.n_prefix = settled;
        obs.n_wish = r->info.guided ? wish(r, settled) : 0;
    }
    fw_chunk chunk = {.actions = chunk_row(r, 1 - r->now, 0), .cap_horizon = r->info.horizon};
    double start = fw_now_s();
    FW_TRY(fw_policy_infer(r->policy, &obs, &chunk, err));
    r->infer_s += fw_now_s() - start;
    r->inferences++;
    if (chunk.horizon < r->n_execute + settled) {
        return fw_fail(err, FW_INVALID, "a chunk of %d rows, of which %d are late and %d wanted", chunk.horizon,
                       settled, r->n_execute);
    }
    return FW_OK;
}

/* The other chunk is executed from now on, from this row. */
static void hand_over(fw_rollout *r, int row) {
    r->now = 1 - r->now;
    r->row = row;
    r->n_row = row + r->n_execute;
}

/* The policy's next row: asked for `delay` steps before the last chunk's rows end, at once at the beginning. */
static fw_status next_row(fw_rollout *r, fw_env *env, fw_err *err) {
    const int late = r->delay, left = r->n_row - r->row;
    if (r->n_row == 0 || (late == 0 && left == 0)) {
        FW_TRY(ask_policy(r, env, 0, err));
        hand_over(r, 0);
    } else if (left == 0) {
        hand_over(r, late);
    }
    return late > 0 && r->n_row - r->row == late ? ask_policy(r, env, late, err) : FW_OK;
}

fw_status fw_rollout_act(fw_rollout *r, fw_env *env, float *action, fw_err *err) {
    FW_TRY(next_row(r, env, err));
    if (r->info.wants_motion && r->n_row - r->row == r->delay + 1) {
        fw_obs obs; /* the step before the next question */
        FW_TRY(fw_env_observe(env, &obs, err));
        memcpy(r->last_state, obs.state, sizeof(float) * (size_t)obs.n_state);
        r->has_last_state = true;
    }
    memcpy(action, chunk_row(r, r->now, r->row++), sizeof(float) * (size_t)r->n_action);
    memcpy(r->last_action, action, sizeof(float) * (size_t)r->n_action);
    r->acted = true;
    return FW_OK;
}
