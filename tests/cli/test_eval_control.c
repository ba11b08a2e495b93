/* ctest: timeout=300 label=slow */
/* The shipped policy moves the simulated robot through hand-over, motion, safety and driver, and the judge sees what it sees without. */
#include <jansson.h>
#include <stdio.h>

#include "fw_test.h"

static json_t *eval(const char *more) {
    char cmd[1024], out[8192];
    snprintf(cmd, sizeof cmd, FW_BIN " eval --workers 1 --seed 7 --through control --json %s 2>/dev/null", more);
    FILE *p = popen(cmd, "r");
    CHECK(p != NULL);
    const size_t n = fread(out, 1, sizeof out, p);
    CHECK(pclose(p) == 0);
    json_t *j = json_loadb(out, n, 0, NULL);
    CHECK(j != NULL);
    return j;
}

static void a_task_is_done_through_the_control_loop(void) {
    json_t *j = eval("--policy " FW_SOURCE_DIR "/models/kitchen3 --suite kitchen3 --task plate_in_sink --episodes 3");
    const double rate = json_real_value(json_object_get(j, "rate"));
    printf("plate_in_sink through control: %.2f of 3\n", rate);
    CHECK(rate > 0.6);
    json_decref(j);
}

/* The scripted expert, on an arm with an embodiment of its own: what the control loop alone costs. */
static void an_expert_goes_through_it_on_a_small_arm(void) {
    json_t *j = eval("--expert --suite table --embodiment so101 --episodes 3 --numb");
    CHECK(json_real_value(json_object_get(j, "rate")) > 0.6);
    json_decref(j);
}

static void what_cannot_go_through_it_is_a_usage_error(void) {
    static const char *const bad[] = {"--through walls", "--through control --swap", "--through control --videos films",
                                      "--numb"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char cmd[512];
        snprintf(cmd, sizeof cmd, FW_BIN " eval --policy x --suite kitchen3 %s 2>/dev/null", bad[i]);
        CHECK_INT(system(cmd) >> 8, 2);
    }
}

FW_TEST_MAIN(T(a_task_is_done_through_the_control_loop), T(an_expert_goes_through_it_on_a_small_arm),
             T(what_cannot_go_through_it_is_a_usage_error))
