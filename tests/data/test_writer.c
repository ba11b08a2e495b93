/* Writing datasets, continuing them, merging them; and what is left after a crash or a full disk. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "make.h"

#define PIXELS 2.5 /* mean difference that crf 18 may leave in these pictures (4:2:0) */

static void check_dataset(const char *dir, const int64_t *episodes, int64_t n) {
    fw_dataset *ds;
    fw_findings f;
    OK(fw_dataset_open(dir, &ds, err));
    CHECK_INT(ds->version, 30);
    CHECK_INT(ds->n_episodes, n);
    CHECK(strcmp(ds->robot_type, "panda") == 0);
    for (int64_t i = 0; i < n; i++) {
        mk_check_episode(ds, i, episodes[i], PIXELS);
    }
    fw_dataset_close(ds);
    OK(fw_dataset_check(dir, NULL, &f, err));
    for (int64_t i = 0; i < f.n; i++) {
        fprintf(stderr, "finding %s %s ep %d: %s\n", f.item[i].kind, f.item[i].file, (int)f.item[i].episode,
                f.item[i].text);
    }
    CHECK_INT(f.n, 0);
    fw_findings_clear(&f);
}

static const int64_t first_ten[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

static void what_is_written_reads_back(void) {
    const char *dir = mk_dir("write");
    mk_dataset(dir, 0, 7);
    check_dataset(dir, first_ten, 7);
    char path[600];
    snprintf(path, sizeof(path), "%s/.staging", dir);
    CHECK(!fw_path_exists(path));
    OK(fw_remove_tree(dir, err));
}

static void writing_again_continues(void) {
    const char *dir = mk_dir("again");
    mk_dataset(dir, 0, 4);
    mk_dataset(dir, 4, 1);
    mk_dataset(dir, 5, 5);
    check_dataset(dir, first_ten, 10);
    fw_writer_desc d = mk_desc();
    fw_writer *w;
    d.fps = 20;
    FAILS(fw_writer_open(dir, &d, &w, err), FW_INVALID, "wanted v3.0 at 20 fps");
    d = mk_desc();
    d.n_cameras = 1;
    FAILS(fw_writer_open(dir, &d, &w, err), FW_INVALID, "features");
    OK(fw_remove_tree(dir, err));
}

static void two_writers_at_once_are_refused(void) {
    const char *dir = mk_dir("lock");
    fw_writer_desc d = mk_desc();
    fw_writer *a, *b;
    OK(fw_writer_open(dir, &d, &a, err));
    FAILS(fw_writer_open(dir, &d, &b, err), FW_AGAIN, "another process");
    OK(mk_add(a, 0, err));
    OK(fw_writer_close(a, err));
    check_dataset(dir, first_ten, 1);
    OK(fw_remove_tree(dir, err));
}

static void a_foreign_folder_is_left_alone(void) {
    const char *dir = mk_dir("foreign");
    char path[600];
    fw_writer_desc d = mk_desc();
    fw_writer *w;
    OK(fw_mkdirs(dir, err));
    snprintf(path, sizeof(path), "%s/thesis.txt", dir);
    OK(fw_file_write_atomic(path, "words", 5, err));
    FAILS(fw_writer_open(dir, &d, &w, err), FW_INVALID, "thesis.txt");
    CHECK(fw_path_exists(path));
    OK(fw_remove_tree(dir, err));
}

static void bad_values_are_refused_and_nothing_is_written(void) {
    const char *dir = mk_dir("nan");
    fw_writer_desc d = mk_desc();
    fw_writer *w;
    OK(fw_writer_open(dir, &d, &w, err));
    OK(mk_add(w, 0, err));
    float s[3 * MK_NS] = {0}, a[3 * MK_NA] = {0};
    uint8_t *img = calloc(3, MK_IMAGE);
    CHECK(img != NULL);
    fw_writer_episode ep = {.length = 3, .state = s, .action = a, .images = {img, img}, .sentence = "x"};
    a[1 * MK_NA + 3] = NAN;
    FAILS(fw_writer_add_episode(w, &ep, err), FW_FORMAT, "ep 1: frame 1: action[3] ee_delta_yaw is nan");
    a[1 * MK_NA + 3] = 0.0f;
    s[2 * MK_NS] = INFINITY;
    FAILS(fw_writer_add_episode(w, &ep, err), FW_FORMAT, "ep 1: frame 2: observation.state[0] ee_pos_x is inf");
    s[2 * MK_NS] = 0.0f;
    ep.images[1] = NULL;
    FAILS(fw_writer_add_episode(w, &ep, err), FW_INVALID, "no images of observation.images.wrist");
    ep.images[1] = img;
    ep.sentence = "";
    FAILS(fw_writer_add_episode(w, &ep, err), FW_INVALID, "sentence");
    OK(mk_add(w, 1, err));
    OK(fw_writer_close(w, err));
    check_dataset(dir, first_ten, 2);
    free(img);
    OK(fw_remove_tree(dir, err));
}

/* Seven episodes, sealed every three, killed without closing: six are there, and writing goes on from them. */
static void a_killed_writer_leaves_what_was_sealed(void) {
    const char *dir = mk_dir("kill");
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        fw_writer_desc d = mk_desc();
        fw_writer *w;
        OK(fw_writer_open(dir, &d, &w, err));
        for (int64_t e = 0; e < 7; e++) {
            OK(mk_add(w, e, err));
        }
        kill(getpid(), SIGKILL);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    check_dataset(dir, first_ten, 6);
    mk_dataset(dir, 6, 2);
    check_dataset(dir, first_ten, 8);
    OK(fw_remove_tree(dir, err));
}

/* A seal that died after moving files but before info.json: those files count for nothing and make way. */
static void files_that_were_never_counted_are_replaced(void) {
    const char *dir = mk_dir("half");
    char info[600], path[600], *old;
    size_t size;
    mk_dataset(dir, 0, 3);
    snprintf(info, sizeof(info), "%s/meta/info.json", dir);
    OK(fw_file_read(info, 1 << 20, &old, &size, err));
    mk_dataset(dir, 7, 2);
    OK(fw_file_write_atomic(info, old, size, err)); /* as if the second run had died just before this file */
    free(old);
    fw_dataset *ds;
    OK(fw_dataset_open(dir, &ds, err));
    CHECK_INT(ds->n_episodes, 3);
    for (int64_t e = 0; e < 3; e++) {
        mk_check_episode(ds, e, e, PIXELS);
    }
    fw_dataset_close(ds);
    mk_dataset(dir, 3, 3);
    check_dataset(dir, first_ten, 6);
    snprintf(path, sizeof(path), "%s/data/chunk-000/file-002.parquet", dir);
    CHECK(!fw_path_exists(path));
    OK(fw_remove_tree(dir, err));
}

/* No file may grow past `limit` bytes: the disk is full as far as this process can tell. */
static void write_until_full(const char *dir, rlim_t limit) {
    fw_writer_desc d = mk_desc();
    fw_writer *w;
    fw_err e = {FW_OK, ""};
    d.seal_every = 1000;
    signal(SIGXFSZ, SIG_IGN);
    OK(fw_writer_open(dir, &d, &w, err));
    struct rlimit r = {limit, limit};
    CHECK(setrlimit(RLIMIT_FSIZE, &r) == 0);
    fw_status st = FW_OK;
    for (int64_t k = 3; k < 60 && st == FW_OK; k++) {
        st = mk_add(w, k, &e);
    }
    st = st == FW_OK ? fw_writer_close(w, &e) : (fw_writer_abort(w), st);
    if (st != FW_IO || strstr(e.msg, dir) == NULL) {
        FW_FAILED("wanted an input/output error that names a file, found %s '%s'", fw_status_name(st), e.msg);
    }
    _exit(0);
}

static void a_full_disk_is_an_error_and_leaves_what_was_sealed(void) {
    static const rlim_t limits[] = {400, 3000, 9000, 20000};
    for (int i = 0; i < 4; i++) {
        const char *dir = mk_dir("full");
        mk_dataset(dir, 0, 3);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            write_until_full(dir, limits[i]);
        }
        int status;
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        check_dataset(dir, first_ten, 3);
        mk_dataset(dir, 3, 2);
        check_dataset(dir, first_ten, 5);
        OK(fw_remove_tree(dir, err));
    }
}

static void merging_keeps_every_row_and_frame(void) {
    const char *a = mk_dir("m_a"), *b = mk_dir("m_b"), *c = mk_dir("m_c"), *out = mk_dir("m_out");
    static const int64_t want[] = {2, 3, 4, 5, 0, 1, 9, 8, 9};
    mk_dataset(a, 2, 4);
    mk_dataset(b, 0, 2);
    mk_dataset(b, 9, 1);
    mk_dataset(c, 8, 2);
    const char *dirs[] = {a, b, c};
    OK(fw_dataset_merge(dirs, 3, out, err));
    check_dataset(out, want, 9);
    fw_dataset *ds;
    OK(fw_dataset_open(out, &ds, err));
    CHECK_INT(ds->n_tasks, 2);
    fw_dataset_close(ds);
    FAILS(fw_dataset_merge(dirs, 3, out, err), FW_INVALID, "is there already");
    mk_dataset(out, 5, 1); /* a merged dataset can be continued */
    for (int i = 0; i < 3; i++) {
        OK(fw_remove_tree(dirs[i], err));
    }
    OK(fw_remove_tree(out, err));
}

/* "out", "out/" and an empty folder are places too; a mistake leaves the empty folder where it is. */
static void merging_takes_any_way_to_write_a_path(void) {
    char from[600], old[600];
    snprintf(from, sizeof(from), "%s", mk_dir("p_a"));
    mk_dataset(from, 0, 1);
    const char *dirs[] = {from, "/no/such/dataset"};
    const int64_t want[] = {0};
    CHECK(getcwd(old, sizeof(old)) != NULL && chdir(P_tmpdir) == 0);
    char name[64], slash[80];
    snprintf(name, sizeof(name), "fw_merge_%d", (int)getpid());
    snprintf(slash, sizeof(slash), "%s/", name);
    OK(fw_dataset_merge(dirs, 1, name, err));
    check_dataset(name, want, 1);
    OK(fw_remove_tree(name, err));
    OK(fw_dataset_merge(dirs, 1, slash, err));
    check_dataset(name, want, 1);
    OK(fw_remove_tree(name, err));
    OK(fw_mkdirs(name, err));
    FAILS(fw_dataset_merge(dirs, 2, name, err), FW_IO, "/no/such/dataset");
    CHECK(fw_path_is_dir(name));
    OK(fw_dataset_merge(dirs, 1, name, err));
    check_dataset(name, want, 1);
    OK(fw_remove_tree(name, err));
    CHECK(chdir(old) == 0);
    OK(fw_remove_tree(from, err));
}

static void merging_refuses_other_robots(void) {
    const char *a = mk_dir("r_a"), *b = mk_dir("r_b"), *out = mk_dir("r_out");
    fw_writer_desc d = mk_desc();
    fw_writer *w;
    mk_dataset(a, 0, 1);
    d.robot_type = "so101";
    OK(fw_writer_open(b, &d, &w, err));
    OK(mk_add(w, 1, err));
    OK(fw_writer_close(w, err));
    const char *dirs[] = {a, b};
    FAILS(fw_dataset_merge(dirs, 2, out, err), FW_INVALID, "so101");
    CHECK(!fw_path_exists(out));
    OK(fw_remove_tree(a, err));
    OK(fw_remove_tree(b, err));
}

/* stats.json against values computed here from the formulas of make.h. */
static void statistics_are_exact(void) {
    const char *dir = mk_dir("stats");
    char path[600];
    json_t *j;
    mk_dataset(dir, 0, 5);
    double sum = 0.0, sq = 0.0, n = 0.0, lo = 1e9, hi = -1e9;
    for (int64_t e = 0; e < 5; e++) {
        for (int64_t t = 0; t < mk_length(e); t++) {
            double v = (double)mk_state(e, t, 2);
            sum += v, sq += v * v, n += 1.0;
            lo = v < lo ? v : lo;
            hi = v > hi ? v : hi;
        }
    }
    snprintf(path, sizeof(path), "%s/meta/stats.json", dir);
    OK(fw_json_load(path, &j, err));
    const json_t *s = json_object_get(j, "observation.state"), *im = json_object_get(j, "observation.images.front");
    CHECK(fabs(json_real_value(json_array_get(json_object_get(s, "mean"), 2)) - sum / n) < 1e-12);
    CHECK(fabs(json_real_value(json_array_get(json_object_get(s, "std"), 2)) - sqrt(sq / n - sum / n * sum / n)) <
          1e-6);
    CHECK(json_real_value(json_array_get(json_object_get(s, "min"), 2)) == lo);
    CHECK(json_real_value(json_array_get(json_object_get(s, "max"), 2)) == hi);
    CHECK_INT(json_integer_value(json_array_get(json_object_get(s, "count"), 0)), (int64_t)n);
    double red = json_real_value(json_array_get(json_array_get(json_array_get(json_object_get(im, "mean"), 0), 0), 0));
    CHECK(fabs(red - (60.0 + 47.0) / 255.0) < 1e-9); /* 60 + 2y, y in 0..47 */
    json_decref(j);
    OK(fw_remove_tree(dir, err));
}

FW_TEST_MAIN(T(what_is_written_reads_back), T(writing_again_continues), T(two_writers_at_once_are_refused),
             T(a_foreign_folder_is_left_alone), T(bad_values_are_refused_and_nothing_is_written),
             T(a_killed_writer_leaves_what_was_sealed), T(files_that_were_never_counted_are_replaced),
             T(a_full_disk_is_an_error_and_leaves_what_was_sealed), T(merging_keeps_every_row_and_frame),
             T(merging_takes_any_way_to_write_a_path), T(merging_refuses_other_robots), T(statistics_are_exact))
