#include "student.h"

#include "base/rng.h"
#include "model/pretrained.h"

fw_status student_open(const char *policy, const fw_env *env, student *out, fw_err *err) {
    const fw_embodiment *e = fw_env_embodiment(env);
    const fw_policy_opts o = {.embodiment = e->name};
    *out = (student){.policy = NULL};
    FW_TRY(fw_policy_open(policy, &o, &out->policy, err));
    return fw_rollout_init(&out->rollout, out->policy, e, err);
}

void student_close(student *s) {
    fw_rollout_clear(&s->rollout);
    fw_policy_close(s->policy);
}

fw_status student_act(void *ctx, fw_env *env, uint64_t seed, int step, float *action, fw_err *err) {
    student *s = ctx;
    if (step == 0) {
        fw_rng r = fw_rng_stream(seed, "student");
        const int delay = (int)fw_rng_below(&r, (uint64_t)s->rollout.info.max_delay + 1);
        s->until = (int)fw_rng_below(&r, STUDENT_STEPS + 1);
        FW_TRY(fw_rollout_begin(&s->rollout, delay, true, err));
    }
    return step < s->until ? fw_rollout_act(&s->rollout, env, action, err) : FW_OK;
}
