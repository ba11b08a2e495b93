/* What is kept for tests is never trained on, whoever made a dataset of it. */
#include "train/trainset.h"

#include "data/replay.h"
#include "sim/sim.h"
#include "train_test.h"

/* Two episodes of `robot` without cameras, the first in a plain scene, the second in `home` of `ranges` and `look`. */
static void kept_dataset(const char *dir, const char *robot, uint64_t home, const char *ranges, const char *look) {
    static const char *const names[6] = {"a", "b", "c", "d", "e", "f"};
    static float rows[6 * TINY_T];
    fw_err err = {0};
    fw_writer *w = NULL;
    fw_replay r = {.suite = "kitchen4", .task = "mug_in_sink", .ranges = "default", .physics = "mujoco", .version = 1};
    fw_field fields[FW_REPLAY_FIELDS];
    fw_replay_fields(&r, fields);
    fw_provenance p = {.n_fields = FW_REPLAY_FIELDS, .fields = fields};
    const fw_writer_desc d = {.fps = 10,
                              .robot_type = robot,
                              .n_state = 6,
                              .n_action = 5,
                              .state_names = names,
                              .action_names = names,
                              .n_fields = FW_REPLAY_FIELDS,
                              .fields = fields};
    const fw_writer_episode e = {
        .length = TINY_T, .state = rows, .action = rows, .sentence = "put the mug in the sink", .provenance = &p};
    CHECK_OK(fw_writer_open(dir, &d, &w, &err), err);
    CHECK_OK(fw_writer_add_episode(w, &e, &err), err);
    r.home = home;
    snprintf(r.ranges, sizeof r.ranges, "%s", ranges);
    snprintf(r.look, sizeof r.look, "%s", look);
    fw_replay_fields(&r, fields);
    CHECK_OK(fw_writer_add_episode(w, &e, &err), err);
    CHECK_OK(fw_writer_close(w, &err), err);
}

static void begin(void) {
    if (strstr(tmp_dir, "XXXXXX") != NULL) {
        CHECK(mkdtemp(tmp_dir) != NULL);
    }
}

/* Every one fits the embodiment's numbers; one that is not refused comes as far as the cameras it lacks. */
static void robots_homes_and_domains_that_are_kept_are_refused(void) {
    static const char next[] = "has no camera 'front'";
    static const struct {
        const char *robot;
        uint64_t home;
        const char *ranges, *look, *says;
    } cases[] = {
        {"kinova3", 1, "broad", "", "/d0: recorded with robot kinova3, which is held out"},
        {"openarm", 1, "broad", "", "/d1: recorded with robot openarm, which is held out"},
        {"panda_kitchen", FW_HOME_NEW, "broad", "", "/d2: ep 1: home 1000000: homes from 1000000 on"},
        {"panda_kitchen", 1, "held_visual", "", "/d3: ep 1: drawn from held_visual, a held-out domain"},
        {"panda_kitchen", 1, "held_engine", "", "/d4: ep 1: drawn from held_engine, a held-out domain"},
        {"panda_kitchen", 1, "broad", "held_visual", "/d5: ep 1: drawn from held_visual, a held-out domain"},
        {"panda_kitchen", FW_HOME_NEW - 1, "broad", "default", next},
        {"so101", 0, "default", "", next},
        {"a robot of another lab", 0, "ranges of another lab", "", next},
        {"", 0, "broad", "", next},
    };
    fw_train_cfg cfg;
    fw_err err = {0};
    begin();
    tiny_config(in_tmp("tiny.json"), "");
    CHECK_OK(fw_train_cfg_load(in_tmp("tiny.json"), NULL, &cfg, &err), err);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char dir[512];
        fw_trainset ts;
        snprintf(dir, sizeof dir, "%s/d%d", tmp_dir, (int)i);
        const char *dirs[] = {dir};
        kept_dataset(dir, cases[i].robot, cases[i].home, cases[i].ranges, cases[i].look);
        CHECK_INT(fw_trainset_open(&cfg, dirs, 1, NULL, &ts, &err), FW_INVALID);
        if (strstr(err.msg, cases[i].says) == NULL) {
            FW_FAILED("case %d: wanted '%s', found '%s'", (int)i, cases[i].says, err.msg);
        }
    }
    cfg.embodiment.held_out = true; /* and no policy is made for such a robot, from whatever data */
    fw_trainset ts;
    const char *dirs[] = {in_tmp("d6")};
    CHECK_INT(fw_trainset_open(&cfg, dirs, 1, NULL, &ts, &err), FW_INVALID);
    CHECK(strstr(err.msg, "embodiment panda_kitchen is held out") != NULL);
    end_tmp();
}

FW_TEST_MAIN(T(robots_homes_and_domains_that_are_kept_are_refused))
