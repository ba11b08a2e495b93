/* the policies that benchmarks run: real sizes, random weights */
#include "fw_test.h"
#include "model/trial.h"

static void act_runs_at_its_real_size(void) {
    const fw_trial_opts o = {.policy = "act", .cameras = 1, .words = 1, .batch = 1};
    fw_trial *t;
    fw_trial_info info;
    fw_err err = {FW_OK, ""};
    CHECK_INT(fw_trial_new(&o, &t, &err), FW_OK);
    CHECK_INT(fw_trial_run(t, &err), FW_OK);
    fw_trial_get_info(t, &info);
    /* a ResNet-18 over 480 x 640 takes 22 GFLOP, four encoder layers over 302 places of width 512 about 11 */
    CHECK(info.flops > 30e9 && info.flops < 40e9);
    CHECK(info.flow_steps == 1 && info.packed_bytes > 100000000);
    fw_trial_free(t);
}

static void an_unknown_policy_is_refused(void) {
    const fw_trial_opts o = {.policy = "octo", .cameras = 1, .words = 1, .batch = 1};
    fw_trial *t;
    fw_err err = {FW_OK, ""};
    CHECK(fw_trial_new(&o, &t, &err) != FW_OK && t == NULL && strstr(err.msg, "octo") != NULL);
}

FW_TEST_MAIN(T(act_runs_at_its_real_size), T(an_unknown_policy_is_refused))
