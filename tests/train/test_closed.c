/* ctest: timeout=180
 * Closed-loop evaluation: paired seeds, the same outcomes for any number of workers, errors that name their cause. */
#include "train/closed.h"

#include "fw_test.h"

static void scenes_are_paired_and_distinct(void) {
    for (int64_t i = 0; i < 200; i++) {
        CHECK(fw_closed_seed(7, i) == fw_closed_seed(7, i) && fw_closed_seed(7, i) >> 48 == 0);
        for (int64_t k = 0; k < i; k++) {
            CHECK(fw_closed_seed(7, i) != fw_closed_seed(7, k));
        }
        CHECK(fw_closed_seed(7, i) != fw_closed_seed(8, i));
    }
}

static void expert_reaches_its_goals_whatever_the_workers(void) {
    fw_err err = {0};
    fw_closed_result one, two;
    fw_closed_opts o = {.suite = "kitchen3", .episodes = 1, .seed = 3, .workers = 1};
    if (fw_closed_run(&o, &one, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    o.workers = 2;
    CHECK(fw_closed_run(&o, &two, &err) == FW_OK);
    CHECK_INT(one.n_task, 3);
    CHECK_INT(one.all.n, 3);
    CHECK_INT(one.all.success, 3);
    CHECK_INT(one.all.wrong_object, 0);
    for (int k = 0; k < 3; k++) {
        CHECK(one.outcome[k].played && one.outcome[k].steps > 5 && one.outcome[k].steps == two.outcome[k].steps);
    }
    fw_closed_free(&one);
    fw_closed_free(&two);
}

static void one_task_alone_plays_the_same_scene(void) {
    fw_err err = {0};
    fw_closed_result r;
    fw_closed_opts o = {.suite = "kitchen3", .episodes = 1, .seed = 3, .workers = 1, .task = "mug_in_sink"};
    CHECK(fw_closed_run(&o, &r, &err) == FW_OK);
    CHECK_INT(r.n_task, 1);
    CHECK(strcmp(r.task[0].name, "mug_in_sink") == 0 && r.all.success == 1);
    fw_closed_free(&r);
}

static void mistakes_are_named(void) {
    fw_err err = {0};
    fw_closed_result r;
    fw_closed_opts o = {.suite = "kitchen3", .episodes = 1, .task = "fly"};
    CHECK(fw_closed_run(&o, &r, &err) == FW_INVALID && strstr(err.msg, "fly") != NULL);
    o = (fw_closed_opts){.suite = "nowhere", .episodes = 1};
    CHECK(fw_closed_run(&o, &r, &err) != FW_OK && strstr(err.msg, "nowhere") != NULL);
    o = (fw_closed_opts){.suite = "kitchen3", .episodes = 1, .policy = "/nonexistent/policy", .workers = 1};
    CHECK(fw_closed_run(&o, &r, &err) != FW_OK && strstr(err.msg, "/nonexistent/policy") != NULL);
    o.policy = FW_SOURCE_DIR "/models/cr5"; /* of another robot */
    CHECK(fw_closed_run(&o, &r, &err) == FW_INVALID && strstr(err.msg, "cr5") != NULL &&
          strstr(err.msg, "panda_kitchen") != NULL);
    o = (fw_closed_opts){.suite = "kitchen3", .episodes = 1, .policy = FW_SOURCE_DIR "/models/kitchen4", .workers = 1};
    o.delay = 4; /* it was not trained for that */
    CHECK(fw_closed_run(&o, &r, &err) == FW_INVALID && strstr(err.msg, "max_delay") != NULL);
    o.forget_prefix = true;
    o.delay = 9;
    CHECK(fw_closed_run(&o, &r, &err) == FW_INVALID && strstr(err.msg, "0 to 8") != NULL);
    o = (fw_closed_opts){.suite = "kitchen3", .episodes = 0};
    CHECK(fw_closed_run(&o, &r, &err) == FW_INVALID);
}

FW_TEST_MAIN(T(scenes_are_paired_and_distinct), T(expert_reaches_its_goals_whatever_the_workers),
             T(one_task_alone_plays_the_same_scene), T(mistakes_are_named))
