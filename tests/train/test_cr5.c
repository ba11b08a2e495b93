/* ctest: timeout=300
 * The shipped CR5 policy on real recordings that it never saw. Skipped where the recordings are not. */
#include <unistd.h>

#include "fw_test.h"
#include "train/openloop.h"

#define DATA FW_SOURCE_DIR "/../shared/data/cr5_banana_plate"

static void shipped_policy_beats_both_baselines_by_a_third_on_held_out_episodes(void) {
    fw_err err = {0};
    fw_open_result r;
    if (access(DATA "/meta/info.json", R_OK) != 0) {
        SKIP("shared/data/cr5_banana_plate is not there");
    }
    fw_open_opts o = {.policy = FW_SOURCE_DIR "/models/cr5", .data = DATA, .last = 8};
    if (fw_open_run(&o, &r, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    CHECK_INT(r.episodes, 8);
    CHECK_INT(r.frames, 1784);
    CHECK(fabs(r.baseline_repeat - 0.2727) < 0.001 && fabs(r.baseline_mean - 0.4836) < 0.001);
    if (!(r.error <= 0.67 * r.baseline_repeat)) {
        FW_FAILED("error %.4f, repeating the last action %.4f", r.error, r.baseline_repeat);
    }
}

FW_TEST_MAIN(T(shipped_policy_beats_both_baselines_by_a_third_on_held_out_episodes))
