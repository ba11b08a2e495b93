/* ctest: timeout=240 */
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/dataset.h"
#include "expert_bar.h"
#include "task/scatter.h"
#include "task/setting_place.h"
#include "task/task_int.h"

static char why[160];
static const char *const names[PLACE_N_OBJ] = {"plate", "fork", "knife", "spoon", "mug"};
/* the mat's spots: where they are, half their size */
static const double spot[PLACE_N_OBJ][4] = {{0.44, 0.155, 0.035, 0.035},
                                            {0.44, 0.300, 0.050, 0.030},
                                            {0.44, 0.015, 0.050, 0.024},
                                            {0.44, -0.040, 0.050, 0.024},
                                            {0.575, 0.075, 0.035, 0.045}};

static void put(fw_scene *s, int o, double x, double y) {
    fw_obj_view *v = &s->obj[o];
    v->pos[0] = v->mid[0] = x, v->pos[1] = v->mid[1] = y, v->pos[2] = 0, v->mid[2] = 0.015;
}

/* Everything beside the mat, the hand open and high. */
static fw_scene still(void) {
    fw_scene s = {.n_arm = 1,
                  .n_obj = PLACE_N_OBJ,
                  .n_region = 6,
                  .arm = {{.pos = {0.4, 0, 0.32}, .opening = 1, .command = 1, .opening_m = 0.08}},
                  .reach = {.carry_m = 0.26}};
    s.region[PLACE_TABLE] = (fw_region_view){.name = "table"};
    for (int o = 0; o < PLACE_N_OBJ; o++) {
        s.region[PLACE_SPOT + o] = (fw_region_view){
            .name = "spot", .pos = {spot[o][0], spot[o][1], 0.001}, .half = {spot[o][2], spot[o][3], 0.05}};
        s.obj[o] = (fw_obj_view){.name = names[o], .kind = names[o], .quat = {1}, .up = 1, .touches_world = true};
        put(&s, o, 0.4 + 0.05 * o, -0.25);
        memcpy(s.obj[o].start, s.obj[o].pos, sizeof s.obj[o].start);
    }
    return s;
}

static fw_scene laid(uint32_t which) {
    fw_scene s = still();
    for (int o = 0; o < PLACE_N_OBJ; o++) {
        if ((which & BIT(o)) != 0) {
            put(&s, o, spot[o][0] + 0.01, spot[o][1] - 0.01);
        }
    }
    return s;
}

static fw_meant wanted(uint32_t which) {
    fw_meant m = {.named = which};
    for (int o = 0; o < PLACE_N_OBJ; o++) {
        if ((which & BIT(o)) != 0) {
            m.obj[m.n++] = o;
        }
    }
    return m;
}

static bool holds(const fw_scene *s, const fw_meant *m) {
    why[0] = 0;
    bool ok = task_find("set_place")->goal(s, m, why);
    CHECK(ok || why[0] != 0);
    return ok;
}

enum { ALL = BIT(PLACE_N_OBJ) - 1 };

static void laid_counts_and_an_item_missing_does_not(void) {
    fw_meant all = wanted(ALL);
    fw_scene s = laid(ALL);
    CHECK(holds(&s, &all));
    for (int o = 0; o < PLACE_N_OBJ; o++) {
        s = laid(ALL & ~BIT(o));
        CHECK(!holds(&s, &all) && strstr(why, names[o]) != NULL);
        fw_meant rest = wanted(ALL & ~BIT(o)); /* not wanted: then it may stay, and must */
        CHECK(holds(&s, &rest) && !goal_disturbed(&s, rest.named, why));
        s = laid(ALL);
        CHECK(holds(&s, &rest) && goal_disturbed(&s, rest.named, why));
    }
}

static void near_misses_are_misses(void) {
    fw_meant m = wanted(BIT(PLACE_PLATE) | BIT(PLACE_FORK) | BIT(PLACE_MUG));
    const fw_scene good = laid(m.named);
    CHECK(holds(&good, &m));
    fw_scene s = good;
    put(&s, PLACE_FORK, spot[PLACE_KNIFE][0], spot[PLACE_KNIFE][1]); /* on the wrong side */
    CHECK(!holds(&s, &m) && strstr(why, "fork: not in") != NULL);
    s = good;
    put(&s, PLACE_PLATE, 0.44 + 0.04, 0.155); /* slipped out of the middle */
    CHECK(!holds(&s, &m) && strstr(why, "plate: not in") != NULL);
    s = good;
    s.obj[PLACE_FORK].yaw = 3.0; /* its head to the diner */
    CHECK(!holds(&s, &m) && strstr(why, "wrong way") != NULL);
    s.obj[PLACE_FORK].yaw = 0.8; /* askew */
    CHECK(!holds(&s, &m) && strstr(why, "wrong way") != NULL);
    s.obj[PLACE_FORK].yaw = 0.3;
    CHECK(holds(&s, &m));
    s = good;
    s.obj[PLACE_MUG].up = 0.02; /* toppled */
    CHECK(!holds(&s, &m) && strstr(why, "not level") != NULL);
    s = good;
    s.obj[PLACE_FORK].touches_world = false; /* on the plate's rim */
    s.obj[PLACE_FORK].touches[PLACE_PLATE] = true;
    CHECK(!holds(&s, &m) && strstr(why, "not on the table") != NULL);
    s = good;
    s.obj[PLACE_MUG].touches_hand = true;
    CHECK(!holds(&s, &m) && strstr(why, "touched") != NULL);
    s = good;
    s.obj[PLACE_PLATE].speed = 0.2;
    CHECK(!holds(&s, &m) && strstr(why, "moving") != NULL);
    s = good;
    s.arm[0].opening = 0.1;
    CHECK(!holds(&s, &m) && strstr(why, "closed") != NULL);
}

/* Over many seeds: what the words say is what is wanted, and only things that are there. */
static void words_and_wanted_things_agree(void) {
    fw_scene s = still();
    s.obj[PLACE_SPOON].start[2] = -0.8; /* no spoon in this episode */
    int named = 0, left_out = 0, by_place = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        fw_rng r = fw_rng_stream(seed, "set_place");
        fw_meant m;
        CHECK(task_find("set_place")->mean(&s, &r, &m));
        const char *w = m.slot[0];
        CHECK(m.n > 0 && (m.named & BIT(PLACE_SPOON)) == 0 && strlen(w) < 63);
        bool but = strncmp(w, "everything but ", 15) == 0, list = strncmp(w, "the cutlery", 11) != 0 && w[0] == 't';
        for (int o = 0; o < PLACE_SPOON && (but || list); o++) {
            CHECK((strstr(w, names[o]) != NULL) == (((m.named & BIT(o)) != 0) != but));
        }
        named += list, left_out += but;
        if (strcmp(w, "what goes to the left of the plate") == 0) {
            CHECK_INT(m.named, BIT(PLACE_FORK));
            by_place++;
        } else if (strcmp(w, "what goes to the right of the plate") == 0) {
            CHECK_INT(m.named, BIT(PLACE_KNIFE));
        }
    }
    CHECK(named > 40 && left_out > 40 && by_place > 3);
}

static void steps_follow_from_the_scene(void) {
    const fw_task *t = task_find("set_place");
    fw_meant m = wanted(BIT(PLACE_PLATE) | BIT(PLACE_FORK));
    char text[FW_SUBTASK_LEN];
    fw_scene s = still();
    t->subtask(&s, &m, text);
    CHECK(strcmp(text, "put the plate in the middle of the mat") == 0);
    s = laid(BIT(PLACE_PLATE));
    t->subtask(&s, &m, text);
    CHECK(strcmp(text, "put the fork to the left of the plate") == 0);
    s = laid(m.named);
    t->subtask(&s, &m, text);
    CHECK(strcmp(text, "take the hand away") == 0);
}

static fw_env *open_place(void) {
    fw_err err = {FW_OK, ""};
    fw_env *env = NULL;
    if (fw_env_open("place", &(fw_env_opts){.render = false}, &env, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    return env;
}

static void expert_lays_a_few_places(void) {
    fw_env *env = open_place();
    CHECK(expert_successes(env, 0, 910, 8) >= 7);
    fw_env_close(env);
}

/* A fork that lies the wrong way round is turned in two goes. */
static void expert_turns_a_fork_round(void) {
    fw_env *env = open_place();
    fw_err err;
    const fw_scene *s = NULL;
    uint64_t seed = 0;
    for (bool fork = false; !fork; seed++) {
        CHECK_INT(fw_env_reset(env, 0, seed, &err), FW_OK);
        s = fw_sim_scene(fw_env_sim(env));
        fork = strcmp(fw_env_sentence(env, 0, FW_SPLIT_TRAIN, 0), "set the table with the fork") == 0;
    }
    fw_sim_place(fw_env_sim(env), PLACE_FORK, s->obj[PLACE_FORK].start, s->obj[PLACE_FORK].start_yaw + M_PI, true);
    while (!fw_env_done(env)) {
        float a[FW_DIM_MAX];
        bool done;
        CHECK_INT(fw_expert_act(env, a, &done, &err), FW_OK);
        CHECK_INT(fw_env_step(env, a, &err), FW_OK);
    }
    fw_verdict v;
    fw_env_judge(env, &v);
    if (!v.success) {
        FW_FAILED("seed %d: %s", (int)seed - 1, v.reason);
    }
    fw_env_close(env);
}

/* As `sim make` writes it and a trainer reads it: every frame has the step that the expert was in. */
static void steps_land_in_a_dataset(void) {
    fw_err err = {FW_OK, ""};
    char dir[64], cmd[700];
    snprintf(dir, sizeof dir, "/tmp/fw_place_%d", (int)getpid());
    snprintf(cmd, sizeof cmd, "%s sim make --suite place --seed 3 --episodes 1 --workers 1 --out %s >%s.log 2>&1",
             FW_BIN, dir, dir);
    CHECK_INT(system(cmd), 0);
    fw_dataset *ds = NULL;
    fw_episode_marks marks;
    if (fw_dataset_open(dir, &ds, &err) != FW_OK || fw_dataset_read_marks(ds, 0, &marks, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    CHECK((ds->marks & FW_MARK_SUBTASK) != 0 && marks.m.subtask != NULL && marks.length > 20);
    const char *const *step = marks.m.subtasks;
    CHECK(strncmp(step[marks.m.subtask[0]], "put the ", 8) == 0);
    CHECK(strcmp(step[marks.m.subtask[marks.length - 1]], "take the hand away") == 0);
    fw_episode_marks_clear(&marks);
    fw_dataset_close(ds);
    CHECK_INT(fw_remove_tree(dir, &err), FW_OK);
    snprintf(cmd, sizeof cmd, "%s.log", dir);
    CHECK_INT(unlink(cmd), 0);
}

FW_TEST_MAIN(T(laid_counts_and_an_item_missing_does_not), T(near_misses_are_misses), T(words_and_wanted_things_agree),
             T(steps_follow_from_the_scene), T(expert_lays_a_few_places), T(expert_turns_a_fork_round),
             T(steps_land_in_a_dataset))
