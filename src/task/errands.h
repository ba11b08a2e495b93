/*
 * errands.h - several things, each to its place, one after the other: what long tasks are made of.
 *
 * DESIGN. Pure, as all experts are: which errand it is follows from the scene. What the hand holds comes first, then what it has just
 * let go of, then the first in the list that is not placed. Between two errands the hand travels high over everything.
 */
#ifndef FW_TASK_ERRANDS_H
#define FW_TASK_ERRANDS_H

#include "task/task_int.h"

/* Index of the errand that the hand is about; -1: all are placed and let go of. */
int errand_now(const fw_scene *s, const fw_pick *p, int n);
/* The same errand, for saying it in words; NULL: none is left, and `words` says so. */
const fw_pick *errand_say(const fw_scene *s, const fw_pick *p, int n, char words[FW_SUBTASK_LEN]);
/* What arm 0 does about it. */
void errand_act(const fw_scene *s, const fw_pick *p, int n, fw_expert_out *out);

#endif /* FW_TASK_ERRANDS_H */
