/*
 * proprio.h - what a policy is told about its own body: the state, and where the config asks for it the motion since
 * the control step before ("previous_state"), the last command ("previous_action"), and the commands that are settled for the
 * next steps because the chunk will come late (max_delay).
 *
 * A single state says where the robot is, not where it is going, and a gripper without a sensor says nothing at all.
 * Both extras are known on a robot at any moment. The row is [state | state - previous state | previous action], each
 * part normalised; a missing previous state counts as standing still, a missing previous action as the mean one.
 *
 * With a max_delay of D, what is settled follows: the way that it leads ([n_action], a D-th of the normalised sum; zero for what is no step), and the
 * last D commands of what is no step (a gripper's), normalised, less what the state says of it now; zero for those that came before the state.
 * Neither the steps nor their number are told: a demonstration's steps give away where its expert was heading, and the time since the pictures how far it
 * had come, and a policy that reads those off has only its own last chunk to read from when it is alone.
 */
#ifndef FW_MODEL_PROPRIO_H
#define FW_MODEL_PROPRIO_H

#include "fw/embodiment.h"
#include "model/flywheel_s.h"
#include "model/normalize.h"

typedef struct fw_proprio {
    int n_state, n_action, max_delay;
    bool prev_state, prev_action;
    bool step[FW_DIM_MAX];        /* the action is a step of something, or a speed: its commands add up */
    int seen_pos[FW_DIM_MAX];     /* of an action: the state whose change is that step; -1: none */
    int seen_order[FW_DIM_MAX];   /* of an action: the state "<name>_command", which says what it was last; -1: none */
    int seen_now[FW_DIM_MAX];     /* of an action that is no step: that state, or the one that it commands; -1: none */
    fw_norm state, delta, action; /* delta: only with prev_state; action always (it also maps the chunk) */
} fw_proprio;

/* Values of a row for this config: what fw_flywheel_build calls n_state. */
int fw_proprio_width(const fw_flywheel_cfg *cfg, const fw_embodiment *emb);
/* Values of a row before the prefix. */
int fw_proprio_body(const fw_proprio *p);
/* From "observation.state", "action" and, with previous_state, "observation.state.delta" of the statistics.
 * fw_proprio_clear frees. */
FW_NODISCARD fw_status fw_proprio_init(fw_proprio *p, const fw_flywheel_cfg *cfg, const fw_embodiment *emb,
                                       const fw_stats *stats, fw_err *err);
void fw_proprio_clear(fw_proprio *p);
/* out [width], all but the prefix. state [n_state], prev_state [n_state] or NULL, prev_action [n_action] or NULL, in the robot's units. */
void fw_proprio_row(const fw_proprio *p, const float *state, const float *prev_state, const float *prev_action,
                    float *out);
/* The end of a row: n <= max_delay settled commands, settled [n, n_action], from state [n_state] on, in the robot's units. */
void fw_proprio_settled(const fw_proprio *p, const float *state, const float *settled, int n, float *row);
/* What a recorded robot executed in n steps, out [n, n_action]: where its state tells, since a demonstration keeps the expert's command and may
 * have executed another; else the recorded command. state [n + 1, n_state], action [n, n_action], both from the first step on. */
void fw_proprio_executed(const fw_proprio *p, const float *state, const float *action, int n, float *out);

#endif /* FW_MODEL_PROPRIO_H */
