/* ctest: timeout=300 */
#include "data/dataset.h"
#include "replay_test.h"
#include "task/player.h"

static void an_undisturbed_and_a_disturbed_episode_play_to_the_same_bits(void) {
    start("same");
    CHECK_INT(flywheel("sim make --suite table --seed 5 --episodes 1 --noisy-share 0 --workers 1 --out %s/quiet", root),
              0);
    CHECK_INT(flywheel("data replay %s/quiet --json", root), 0);
    CHECK(said("\"equal\":1") && said("\"differ\":0"));
    CHECK_INT(flywheel("sim make --suite table --seed 6 --episodes 2 --noisy-share 1 --workers 1 --out %s/noisy", root),
              0);
    CHECK_INT(flywheel("data replay %s/noisy --workers 2", root), 0);
    CHECK(said("2 of 2 simulated episodes play to the same bits") && said("views compared in 2"));
    CHECK_INT(flywheel("data replay %s/noisy --episodes 1 --json", root), 0);
    CHECK(said("\"episodes\":1"));
    finish();
}

/* The dataset at `from` written again with one thing changed in episode 0. */
typedef enum change { STATE, ACTION, SENTENCE, SHORTER, NOISY_SEED, PHYSICS, VERSION, NOTHING } change;

static void rewrite(const char *from, const char *to, change what) {
    fw_dataset *ds = NULL;
    fw_writer *w = NULL;
    fw_episode ep;
    fw_replay r;
    fw_field fields[FW_REPLAY_FIELDS];
    const char *sn[16], *an[16];
    must(fw_dataset_open(from, &ds, &fault));
    must(fw_replay_read(ds, 0, &r, &fault));
    must(fw_dataset_read_episode(ds, 0, &ep, &fault));
    char views_of[FW_REPLAY_KEY], key[FW_REPLAY_KEY];
    fw_views v;
    must(fw_views_read(from, &r, ep.length, &v, &fault));
    fw_replay_key(&r, views_of);
    int middle = (int)ep.length / 2;
    ep.state[middle * ep.n_state] += what == STATE ? 0.25f : 0;
    ep.action[middle * ep.n_action + 1] =
        what == ACTION ? nextafterf(ep.action[middle * ep.n_action + 1], 1) : ep.action[middle * ep.n_action + 1];
    r.seed[FW_SEED_NOISE] += what == NOISY_SEED;
    r.version += what == VERSION;
    snprintf(r.physics, sizeof r.physics, "%s", what == PHYSICS ? "mujoco 3.17.0" : fw_sim_version());
    fw_replay_fields(&r, fields);
    for (int i = 0; i < ds->n_state; i++) {
        sn[i] = ds->state->names[i];
    }
    for (int i = 0; i < ds->n_action; i++) {
        an[i] = ds->action->names[i];
    }
    const fw_writer_desc d = {.fps = (int)ds->fps,
                              .robot_type = ds->robot_type,
                              .n_state = ds->n_state,
                              .n_action = ds->n_action,
                              .state_names = sn,
                              .action_names = an,
                              .n_fields = FW_REPLAY_FIELDS,
                              .fields = fields};
    fw_provenance prov = fw_dataset_provenance(ds, 0);
    prov.n_fields = FW_REPLAY_FIELDS, prov.fields = fields;
    v.n_frame = what == SHORTER ? ep.length - 3 : ep.length;
    const fw_writer_episode e = {.length = v.n_frame,
                                 .state = ep.state,
                                 .action = ep.action,
                                 .provenance = &prov,
                                 .sentence = what == SENTENCE ? "do something else" : ep.sentence};
    must(fw_writer_open(to, &d, &w, &fault));
    must(fw_writer_add_episode(w, &e, &fault));
    must(fw_writer_close(w, &fault));
    fw_replay_key(&r, key);
    CHECK((strcmp(key, views_of) == 0) == (what != NOISY_SEED && what != PHYSICS && what != VERSION));
    must(fw_views_write(to, &r, &v, &fault));
    fw_views_clear(&v);
    fw_episode_clear(&ep);
    fw_dataset_close(ds);
}

/* Each change is found and named; where and by how much. */
static void what_differs_is_said(void) {
    static const struct {
        change what;
        int code;
        const char *text;
    } cases[] = {
        {NOTHING, 0, "1 of 1 simulated"},
        {STATE, 1, "state differs in 1 of"},
        {ACTION, 1, "action differs in 1 of"},
        {SENTENCE, 1, "sentence differs"},
        {SHORTER, 1, "length: recorded"},
        {NOISY_SEED, 1, "action differs in"},
        {PHYSICS, 1, "recorded with mujoco 3.17.0, this is"},
        {VERSION, 1, "recorded with version 3 of task block_on_tray, this is version 2"},
    };
    char from[400], to[400];
    start("differs");
    CHECK_INT(flywheel("sim make --suite table --seed 6 --episodes 1 --noisy-share 1 --workers 1 --out %s/d", root), 0);
    snprintf(from, sizeof from, "%s/d", root);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(to, sizeof to, "%s/e%d", root, (int)i);
        rewrite(from, to, cases[i].what);
        CHECK_INT(flywheel("data replay %s", to), cases[i].code);
        if (!said(cases[i].text)) {
            FW_FAILED("case %d: wanted '%s'", (int)i, cases[i].text);
        }
    }
    CHECK_INT(flywheel("data replay %s/e1", root), 1);
    CHECK(said("by up to 0.25"));
    finish();
}

static void steps_and_views_are_compared_too(void) {
    static fw_demo d = {
        .length = 2, .n_state = 1, .n_action = 1, .n_view = 1, .n_subtasks = 2, .subtasks = {"reach", "lift"}};
    float zero[2] = {0, 0};
    double view[2] = {1, 2}, other[2] = {1, 2.5};
    int64_t steps[2] = {0, 1}, same[2] = {3, 2}, frames[2] = {4, 5}, late[2] = {4, 6};
    const char *const words[] = {"", "drop", "lift", "reach"};
    char text[200];
    fw_replay_difference diff;
    fw_episode ep = {.length = 2, .n_state = 1, .n_action = 1, .state = zero, .action = zero, .sentence = ""};
    fw_marks marks = {.subtask = same, .subtasks = words, .n_subtasks = 4};
    fw_views views = {.n_frame = 2, .n_view = 1, .frame = frames, .view = view};
    d.state = d.action = zero, d.subtask = steps, d.frame = frames, d.view = view;
    fw_replay_compare(&d, &ep, &marks, &views, &diff);
    CHECK_INT(diff.n_part, 0);
    same[1] = 1;
    views.view = other;
    fw_replay_compare(&d, &ep, &marks, &views, &diff);
    fw_replay_text(&diff, 2, text, sizeof text);
    CHECK(strcmp(text,
                 "steps differs in 1 of 2 frames, from frame 1 on; views differs in 1 of 2 frames, from frame 1 on, "
                 "by up to 0.5") == 0);
    same[1] = 2;
    views.view = view, views.frame = late;
    fw_replay_compare(&d, &ep, &marks, &views, &diff);
    CHECK(diff.n_part == 1 && strcmp(diff.part[0].what, "views") == 0 && diff.part[0].first == 1);
    views.n_view = 7;
    fw_replay_compare(&d, &ep, &marks, &views, &diff);
    CHECK(diff.n_part == 1 && diff.part[0].wanted == 7 && diff.part[0].played == 1);
}

static void other_data_and_broken_views_are_named(void) {
    char path[700], key[FW_REPLAY_KEY];
    fw_dataset *ds = NULL;
    fw_replay r;
    start("other");
    CHECK_INT(flywheel("data replay %s/tests/golden/lerobot/theirs", FW_SOURCE_DIR), 1);
    CHECK(logged("not an episode of"));
    CHECK_INT(flywheel("sim make --suite table --seed 6 --episodes 1 --workers 1 --out %s/d", root), 0);
    snprintf(path, sizeof path, "%s/d", root);
    must(fw_dataset_open(path, &ds, &fault));
    must(fw_replay_read(ds, 0, &r, &fault));
    fw_dataset_close(ds);
    fw_replay_key(&r, key);
    snprintf(path, sizeof path, "%s/d/sim/%s.parquet", root, key);
    must(fw_file_write_atomic(path, "PAR1", 4, &fault));
    CHECK_INT(flywheel("data replay %s/d", root), 1);
    CHECK(said("cannot be played") && said(key));
    CHECK(unlink(path) == 0); /* without views the rest is compared */
    CHECK_INT(flywheel("data replay %s/d", root), 0);
    CHECK(said("views compared in 0"));
    CHECK_INT(flywheel("data replay %s/d --episodes 7", root), 1);
    CHECK_INT(flywheel("data replay"), 2);
    finish();
}

/* How many views lie in root/name/sim. */
static int views_in(const char *name) {
    char path[300], **names;
    size_t n;
    snprintf(path, sizeof path, "%s/%s/sim", root, name);
    must(fw_list_dir(path, &names, &n, &fault));
    fw_names_free(names, n);
    return (int)n;
}

/* Chosen, put together in another order, and converted: each episode takes its views with it, under its new number. */
static void episodes_replay_and_render_wherever_they_are_copied(void) {
    start("copied");
    CHECK_INT(flywheel("sim make --suite table --seed 6 --episodes 2 --noisy-share 1 --workers 1 --out %s/d", root), 0);
    CHECK_INT(flywheel("data filter %s/d --where \"episode == 1\" --out %s/second", root, root), 0);
    CHECK_INT(views_in("second"), 1);
    CHECK_INT(flywheel("data replay %s/second", root), 0);
    CHECK(said("1 of 1 simulated episodes play to the same bits") && said("views compared in 1"));
    CHECK_INT(flywheel("data render %s/second --seed 9 --size 32 --workers 1 --out %s/drawn", root, root), 0);
    CHECK_INT(views_in("drawn"), 1);
    CHECK_INT(flywheel("data split %s/d --episodes 1 --out %s/a %s/b", root, root, root), 0);
    CHECK_INT(flywheel("data merge %s/a %s/b --out %s/turned", root, root, root), 0);
    CHECK_INT(views_in("turned"), 2);
    CHECK_INT(flywheel("data convert %s/turned --to v2.1 --out %s/v21", root, root), 0);
    CHECK_INT(flywheel("data replay %s/v21", root), 0);
    CHECK(said("2 of 2 simulated episodes play to the same bits") && said("views compared in 2"));
    finish();
}

FW_TEST_MAIN(T(an_undisturbed_and_a_disturbed_episode_play_to_the_same_bits), T(what_differs_is_said),
             T(steps_and_views_are_compared_too), T(other_data_and_broken_views_are_named),
             T(episodes_replay_and_render_wherever_they_are_copied))
