/* ctest: timeout=300 */
#include <signal.h>

#include "data/dataset.h"
#include "replay_test.h"

static const char *at(const char *name) {
    static char path[4][400];
    static int k;
    k = (k + 1) % 4;
    snprintf(path[k], sizeof path[k], "%s/%s", root, name);
    return path[k];
}

static bool same_file(const char *a, const char *b, const char *file) {
    char *ta = NULL, *tb = NULL, pa[600], pb[600];
    size_t na = 0, nb = 0;
    snprintf(pa, sizeof pa, "%s/%s/%s", root, a, file);
    snprintf(pb, sizeof pb, "%s/%s/%s", root, b, file);
    must(fw_file_read(pa, 1 << 26, &ta, &na, &fault));
    must(fw_file_read(pb, 1 << 26, &tb, &nb, &fault));
    bool same = na == nb && memcmp(ta, tb, na) == 0;
    free(ta);
    free(tb);
    return same;
}

/* The encoder gives the same file for the same pictures: equal videos are equal frames. */
static bool same_videos(const char *a, const char *b) {
    return same_file(a, b, "videos/observation.images.front/chunk-000/file-000.mp4") &&
           same_file(a, b, "videos/observation.images.wrist/chunk-000/file-000.mp4");
}
static bool same_rows(const char *a, const char *b) {
    return same_file(a, b, "data/chunk-000/file-000.parquet") && same_file(a, b, "meta/tasks.parquet");
}

static void make(const char *name, int episodes) {
    start(name);
    CHECK_INT(flywheel("sim make --suite table --seed 6 --noisy-share 0.5 --episodes %d --workers 1 --out %s", episodes,
                       at("d")),
              0);
}

static fw_replay identity(const char *name, int64_t ep) {
    fw_dataset *ds = NULL;
    fw_replay r;
    must(fw_dataset_open(at(name), &ds, &fault));
    must(fw_replay_read(ds, ep, &r, &fault));
    fw_dataset_close(ds);
    return r;
}

static void the_same_look_and_size_give_the_same_pictures(void) {
    make("same", 2);
    CHECK_INT(flywheel("data render %s --out %s --workers 2", at("d"), at("r")), 0);
    CHECK(same_videos("d", "r") && same_rows("d", "r") && same_file("d", "r", "meta/stats.json"));
    CHECK_INT(flywheel("data check %s", at("r")), 0);
    must(fw_remove_tree(at("d/sim"), &fault)); /* no views: it is played again */
    CHECK_INT(flywheel("data render %s --out %s --workers 1", at("d"), at("s")), 0);
    CHECK(same_videos("d", "s") && same_rows("d", "s"));
    CHECK_INT(flywheel("data replay %s --workers 1", at("s")), 0); /* and has views now */
    CHECK(said("views compared in 2"));
    finish();
}

static void another_look_size_and_camera_keep_the_numbers(void) {
    make("look", 2);
    CHECK_INT(flywheel("data render %s --out %s --randomise broad --seed 3 --size 64x48 --cameras wrist --json",
                       at("d"), at("r")),
              0);
    CHECK(said("\"episodes\":2"));
    CHECK(same_rows("d", "r"));
    fw_dataset *ds = NULL;
    must(fw_dataset_open(at("r"), &ds, &fault));
    CHECK(ds->n_cameras == 1 && ds->cameras[0].w == 64 && ds->cameras[0].h == 48);
    CHECK(strcmp(ds->cameras[0].name, "wrist") == 0);
    CHECK(fw_dataset_provenance(ds, 1).source == FW_SOURCE_EXPERT && fw_dataset_provenance(ds, 1).success == 1);
    fw_dataset_close(ds);
    fw_replay was = identity("d", 1), is = identity("r", 1), first = identity("r", 0);
    CHECK(strcmp(is.look, "broad") == 0 && strcmp(is.ranges, was.ranges) == 0);
    CHECK(is.seed[FW_SEED_VISUAL] != was.seed[FW_SEED_VISUAL] && is.seed[FW_SEED_VISUAL] != first.seed[FW_SEED_VISUAL]);
    CHECK(is.seed[FW_SEED_LAYOUT] == was.seed[FW_SEED_LAYOUT]);
    CHECK_INT(flywheel("data check %s", at("r")), 0);
    CHECK_INT(flywheel("data replay %s --episodes 1 --workers 1", at("r")), 0); /* how it looks changes nothing else */
    CHECK(said("views compared in 1"));
    /* drawn again from what was drawn: the look stays unless another is given, and numbers never change */
    CHECK_INT(flywheel("data render %s --out %s --workers 1", at("r"), at("again")), 0);
    CHECK(same_file("r", "again", "videos/observation.images.wrist/chunk-000/file-000.mp4"));
    CHECK_INT(flywheel("data render %s --out %s --randomise default --workers 1", at("r"), at("plain")), 0);
    CHECK(!same_file("r", "plain", "videos/observation.images.wrist/chunk-000/file-000.mp4"));
    CHECK(identity("plain", 0).look[0] == 0 && same_rows("d", "plain"));
    finish();
}

/* An error under way keeps what is finished; a kill -9 leaves what can be continued; both end as if nothing had happened. */
static void what_was_interrupted_continues_to_the_same_dataset(void) {
    char key[FW_REPLAY_KEY], view[600], keep[600], dir[400], out[400];
    make("resume", 3);
    CHECK_INT(flywheel("data render %s --out %s --seed 1 --workers 1", at("d"), at("whole")), 0);
    fw_replay r = identity("d", 1);
    fw_replay_key(&r, key);
    snprintf(view, sizeof view, "%s/d/sim/%s.parquet", root, key);
    snprintf(keep, sizeof keep, "%s/keep", root);
    CHECK(rename(view, keep) == 0);
    must(fw_file_write_atomic(view, "PAR1", 4, &fault));
    CHECK_INT(flywheel("data render %s --out %s --seed 1 --workers 1", at("d"), at("parts")), 1);
    CHECK(logged("ep 1") && logged("1 episodes are safe"));
    CHECK(rename(keep, view) == 0);
    CHECK_INT(flywheel("data render %s --out %s --seed 2 --workers 1 --resume", at("d"), at("parts")), 1);
    CHECK(logged("data_render.json"));
    CHECK_INT(flywheel("data render %s --out %s --seed 1 --workers 1 --resume", at("d"), at("parts")), 0);
    CHECK_INT(flywheel("data check %s", at("parts")), 0);
    CHECK(same_file("whole", "parts", "meta/stats.json"));
    snprintf(dir, sizeof dir, "%s", at("d"));
    snprintf(out, sizeof out, "%s", at("killed"));
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(freopen(at("log"), "w", stderr) != NULL);
        execl(FW_BIN, FW_BIN, "data", "render", dir, "--out", out, "--seed", "1", "--workers", "1", NULL);
        _exit(9);
    }
    for (int i = 0; i < 5000 && !fw_path_is_dir(at("killed/sim")); i++) {
        usleep(2000); /* until its first views are there */
    }
    CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
    CHECK_INT(flywheel("data render %s --out %s --seed 1 --workers 1 --resume", dir, out), 0);
    CHECK(same_videos("whole", "killed") && same_rows("whole", "killed"));
    finish();
}

static void what_cannot_be_drawn_is_refused_in_one_line(void) {
    make("refuse", 1);
    static const struct {
        int code;
        const char *words, *text;
    } cases[] = {
        {1, "--cameras nose", "it has front, wrist"},
        {1, "--cameras front,front", "twice"},
        {2, "--size 65", "--size 65"},
        {2, "--size 64x", "--size 64x"},
        {2, "--size 2000", "--size 2000"},
        {1, "--randomise held_visual", "held-out"},
        {1, "--randomise nothing", "there are"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_INT(flywheel("data render %s --out %s %s", at("d"), at("x"), cases[i].words), cases[i].code);
        CHECK(logged(cases[i].text));
        CHECK(!fw_path_exists(at("x")));
    }
    CHECK_INT(flywheel("data render %s --out %s", at("d"), at("d")), 1);
    CHECK_INT(flywheel("data render %s --out %s --resume", at("d"), at("d")), 1); /* never into its source */
    CHECK(logged("did not begin"));
    CHECK_INT(flywheel("data render %s/tests/golden/lerobot/theirs --out %s", FW_SOURCE_DIR, at("x")), 1);
    CHECK(logged("only datasets of `sim make`") || logged("not an episode of"));
    CHECK_INT(flywheel("data render %s", at("d")), 2);
    char key[FW_REPLAY_KEY], view[600];
    fw_replay r = identity("d", 0);
    fw_replay_key(&r, key);
    snprintf(view, sizeof view, "%s/d/sim/%s.parquet", root, key);
    must(fw_file_write_atomic(view, "PAR1", 4, &fault));
    CHECK_INT(flywheel("data render %s --out %s", at("d"), at("x")), 1);
    CHECK(logged("ep 0") && logged(key));
    CHECK(!fw_path_exists(at("x"))); /* nothing was finished: nothing is left in the way */
    finish();
}

FW_TEST_MAIN(T(the_same_look_and_size_give_the_same_pictures), T(another_look_size_and_camera_keep_the_numbers),
             T(what_was_interrupted_continues_to_the_same_dataset), T(what_cannot_be_drawn_is_refused_in_one_line))
