/*
 * student.h - a policy that acts in demonstrations while the expert says what it would have done (fw_demo_act).
 *
 * Each episode draws from its seed how late the student's chunks are (0 ... its max_delay) and when the expert takes over: after 0 to
 * STUDENT_STEPS steps; so every part of a task is reached by the student's own way, and most episodes come to their end.
 */
#ifndef FW_CLI_STUDENT_H
#define FW_CLI_STUDENT_H

#include "train/rollout.h"

enum { STUDENT_STEPS = 120 };

typedef struct student {
    fw_policy *policy; /* owned */
    fw_rollout rollout;
    int until; /* step at which the expert takes over */
} student;

/* student_close frees. */
FW_NODISCARD fw_status student_open(const char *policy, const fw_env *env, student *out, fw_err *err);
void student_close(student *s);
/* fw_demo_act; ctx: a student */
FW_NODISCARD fw_status student_act(void *ctx, fw_env *env, uint64_t seed, int step, float *action, fw_err *err);

#endif /* FW_CLI_STUDENT_H */
