/* ctest: timeout=300 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "data/dataset.h"
#include "fw_test.h"

static char root[256];

static char *in_root(const char *name) {
    static char path[4][320];
    static int k;
    k = (k + 1) % 4;
    snprintf(path[k], sizeof path[k], "%s/%s", root, name);
    return path[k];
}

/* Exit code of `flywheel sim make --out dir --episodes n` with more words; stderr goes to root/log. */
static int make_demos(const char *dir, const char *more) {
    char cmd[1200];
    snprintf(cmd, sizeof cmd, "%s sim make --seed 5 --out %s %s >%s 2>%s", FW_BIN, in_root(dir), more, in_root("out"),
             in_root("log"));
    int st = system(cmd);
    CHECK(WIFEXITED(st));
    return WEXITSTATUS(st);
}

static bool log_says(const char *what) {
    char *text = NULL;
    size_t n = 0;
    CHECK_INT(fw_file_read(in_root("log"), 1 << 20, &text, &n, NULL), FW_OK);
    bool yes = strstr(text, what) != NULL;
    free(text);
    return yes;
}

static void same_files(const char *a, const char *b) {
    char *ta = NULL, *tb = NULL;
    size_t na = 0, nb = 0;
    CHECK_INT(fw_file_read(in_root(a), 1 << 24, &ta, &na, NULL), FW_OK);
    CHECK_INT(fw_file_read(in_root(b), 1 << 24, &tb, &nb, NULL), FW_OK);
    CHECK(na == nb && memcmp(ta, tb, na) == 0);
    free(ta);
    free(tb);
}

static void start(void) {
    fw_err err;
    snprintf(root, sizeof root, "/tmp/fw_sim_make_%d", (int)getpid());
    CHECK_INT(fw_remove_tree(root, &err), FW_OK);
    CHECK_INT(fw_mkdirs(root, &err), FW_OK);
}

static void result_does_not_depend_on_workers_or_interruption(void) {
    fw_err err = {FW_OK, ""};
    start();
    CHECK_INT(make_demos("one", "--episodes 5 --workers 1 --json"), 0);
    CHECK_INT(make_demos("three", "--episodes 5 --workers 3"), 0);
    same_files("one/meta/stats.json", "three/meta/stats.json");
    CHECK_INT(make_demos("parts", "--episodes 2"), 0);
    CHECK_INT(make_demos("parts", "--episodes 5 --resume"), 0);
    same_files("one/meta/stats.json", "parts/meta/stats.json");
    fw_dataset *ds = NULL;
    if (fw_dataset_open(in_root("parts"), &ds, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    CHECK_INT(ds->n_episodes, 5);
    fw_dataset_close(ds);
    CHECK_INT(fw_remove_tree(root, &err), FW_OK);
}

/* One child of this process, or 0. */
static pid_t a_child(pid_t of) {
    char path[64];
    int child = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)of, (int)of);
    FILE *f = fopen(path, "r");
    if (f != NULL) {
        child = fscanf(f, "%d", &child) == 1 ? child : 0;
        fclose(f);
    }
    return child;
}

/* Two workers are killed -9 under way: others take their places, and the dataset is the one that nobody disturbed. */
static void worker_that_dies_is_replaced_and_its_slot_made_again(void) {
    fw_err err;
    start();
    CHECK_INT(make_demos("quiet", "--episodes 5 --workers 2"), 0);
    char dir[320], log[320];
    snprintf(dir, sizeof dir, "%s", in_root("killed"));
    snprintf(log, sizeof log, "%s", in_root("log"));
    pid_t pid = fork();
    if (pid == 0) {
        if (freopen(log, "w", stderr) == NULL) {
            _exit(9);
        }
        execl(FW_BIN, FW_BIN, "sim", "make", "--seed", "5", "--episodes", "5", "--workers", "2", "--out", dir, NULL);
        _exit(9);
    }
    pid_t killed = 0;
    for (int kills = 0, i = 0; kills < 2 && i < 4000; i++) {
        pid_t child = a_child(pid);
        if (child > 0 && child != killed) {
            usleep(300000); /* it is at work */
            kills += kill(child, SIGKILL) == 0;
            killed = child;
        }
        usleep(5000);
    }
    int how = 0;
    CHECK(waitpid(pid, &how, 0) == pid && WIFEXITED(how));
    CHECK_INT(WEXITSTATUS(how), 0);
    CHECK(log_says("died in piece"));
    same_files("quiet/meta/stats.json", "killed/meta/stats.json");
    CHECK_INT(fw_remove_tree(root, &err), FW_OK);
}

static void what_would_overwrite_or_mix_is_refused(void) {
    fw_err err;
    start();
    CHECK_INT(make_demos("d", "--episodes 1"), 0);
    CHECK_INT(make_demos("d", "--episodes 2"), 1);
    CHECK(log_says("--resume"));
    CHECK_INT(make_demos("d", "--episodes 2 --resume --noise 0.1"), 1);
    CHECK(log_says("sim_make.json"));
    CHECK_INT(make_demos("e", "--episodes 1 --suite garage"), 1);
    CHECK(log_says("garage"));
    CHECK(!fw_path_exists(in_root("e"))); /* nothing half-written */
    CHECK_INT(make_demos("e", "--episodes none"), 2);
    CHECK_INT(fw_remove_tree(root, &err), FW_OK);
}

static void a_held_out_robot_makes_data_only_when_asked_to(void) {
    fw_err err;
    start();
    CHECK_INT(make_demos("h", "--episodes 1 --suite table --embodiment kinova3"), 1);
    CHECK(log_says("kinova3") && log_says("zero-shot") && log_says("--held-out-robot"));
    CHECK(!fw_path_exists(in_root("h")));
    CHECK_INT(make_demos("h", "--episodes 1 --suite table --embodiment kinova3 --held-out-robot"), 0);
    CHECK_INT(fw_remove_tree(root, &err), FW_OK);
}

/* Exit code of `flywheel sim show` in a home that has this suite file (text NULL: the real home). as: "out", "sheet". */
static int show_as(const char *as, const char *suite_text, const char *out, const char *more) {
    char cmd[1400], home[400] = "";
    fw_err err = {FW_OK, ""};
    if (suite_text != NULL) {
        CHECK_INT(fw_mkdirs(in_root("suites"), &err), FW_OK);
        CHECK_INT(fw_file_write_atomic(in_root("suites/s.json"), suite_text, strlen(suite_text), &err), FW_OK);
        snprintf(home, sizeof home, "FLYWHEEL_HOME=%s", root);
    }
    snprintf(cmd, sizeof cmd, "%s %s sim show --%s %s %s >%s 2>%s", home, FW_BIN, as, in_root(out), more,
             in_root("out"), in_root("log"));
    int st = system(cmd);
    CHECK(WIFEXITED(st));
    return WEXITSTATUS(st);
}

static int show(const char *suite_text, const char *out, const char *more) {
    return show_as("out", suite_text, out, more);
}

static void bad_suites_are_refused_in_one_line(void) {
    fw_err err;
    start();
    char cmd[800];
    snprintf(cmd, sizeof cmd, "cp -r %s/embodiments %s/", FW_SOURCE_DIR, root);
    CHECK_INT(system(cmd), 0);
    static const char *const bad[][2] = {
        {"{", "s.json"},
        {"{\"name\":\"s\",\"scene\":\"garage\"}", "scene"},
        {"{\"embodiment\":\"octopus\",\"tasks\":[]}", "octopus"},
        {"{\"embodiment\":\"panda_kitchen\",\"time_limit\":0,\"tasks\":[]}", "time_limit"},
        {"{\"embodiment\":\"panda_kitchen\",\"tasks\":[]}", "1..32 tasks"},
        {"{\"embodiment\":\"panda_kitchen\",\"tasks\":[\"juggle\"]}", "mug_in_sink"},
        {"{\"embodiment\":\"panda_kitchen\",\"homes\":{\"first\":1},\"tasks\":[\"mug_in_sink\"]}", "count"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_INT(show(bad[i][0], "x.png", "--suite s"), 1);
        CHECK(log_says(bad[i][1]));
        CHECK(!fw_path_exists(in_root("x.png")));
    }
    CHECK_INT(fw_remove_tree(root, &err), FW_OK);
}

static void show_makes_pictures_and_videos(void) {
    fw_err err;
    start();
    CHECK_INT(show(NULL, "x.png", "--task mug_in_sink --seed 3"), 0);
    CHECK(fw_path_exists(in_root("x.png")));
    CHECK_INT(show(NULL, "x.mp4", "--task banana_on_plate --seed 3 --json"), 0);
    CHECK(fw_path_exists(in_root("x.mp4")));
    CHECK_INT(show(NULL, "x.gif", ""), 2);
    CHECK_INT(show_as("sheet", NULL, "sheet.png", "--task mug_in_sink --seed 3"), 0);
    CHECK(fw_path_exists(in_root("sheet.png")));
    CHECK_INT(show_as("sheet", NULL, "sheet.mp4", ""), 2);
    CHECK_INT(show_as("sheet", NULL, "s.png", "--out y.png"), 2); /* one of them */
    CHECK_INT(show(NULL, "y.png", "--task juggle"), 1);
    CHECK(log_says("juggle"));
    CHECK_INT(fw_remove_tree(root, &err), FW_OK);
}

/* A policy acts, the expert's commands are recorded; what it did depends on the seed alone. */
static void a_student_acts_the_same_whatever_the_workers(void) {
    fw_err err = {FW_OK, ""};
    if (!fw_path_exists(FW_SOURCE_DIR "/.deps/towers/efficientnet_lite0.safetensors")) {
        return;
    }
    start();
    CHECK_INT(make_demos("cr5", "--episodes 1 --student " FW_SOURCE_DIR "/models/cr5"), 1);
    CHECK(log_says("panda_kitchen"));
    CHECK_INT(make_demos("expert", "--episodes 3 --noisy-share 0"), 0);
    CHECK_INT(make_demos("one", "--episodes 3 --workers 1 --student " FW_SOURCE_DIR "/models/kitchen3"), 0);
    CHECK_INT(make_demos("two", "--episodes 3 --workers 2 --student " FW_SOURCE_DIR "/models/kitchen3"), 0);
    same_files("one/meta/stats.json", "two/meta/stats.json");
    fw_dataset *ds = NULL, *undisturbed = NULL;
    CHECK_INT(fw_dataset_open(in_root("one"), &ds, &err), FW_OK);
    CHECK_INT(fw_dataset_open(in_root("expert"), &undisturbed, &err), FW_OK);
    CHECK(ds->n_frames != undisturbed->n_frames); /* another way there */
    fw_dataset_close(ds);
    fw_dataset_close(undisturbed);
    CHECK_INT(make_demos("one", "--episodes 4 --resume"), 1); /* without the student it is another recipe */
    CHECK_INT(fw_remove_tree(root, &err), FW_OK);
}

FW_TEST_MAIN(T(result_does_not_depend_on_workers_or_interruption),
             T(worker_that_dies_is_replaced_and_its_slot_made_again), T(what_would_overwrite_or_mix_is_refused),
             T(a_held_out_robot_makes_data_only_when_asked_to), T(bad_suites_are_refused_in_one_line),
             T(show_makes_pictures_and_videos), T(a_student_acts_the_same_whatever_the_workers))
