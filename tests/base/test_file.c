#include "base/file.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fw_test.h"

static char dir[] = "file_test_XXXXXX";

static const char *at(const char *name) {
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static void check_holds(const char *path, const char *want) {
    char *data;
    size_t n;
    CHECK_INT(fw_file_read(path, 1000, &data, &n, NULL), FW_OK);
    CHECK_INT(n, strlen(want));
    CHECK(strcmp(data, want) == 0); /* NUL beyond the end */
    free(data);
}

static size_t entries(void) {
    char **names;
    size_t n;
    CHECK_INT(fw_list_dir(dir, &names, &n, NULL), FW_OK);
    fw_names_free(names, n);
    return n;
}

static void make_dir(void) {
    CHECK(mkdtemp(dir) != NULL);
}

static void a_file_comes_back_as_written(void) {
    CHECK_INT(fw_file_write_atomic(at("a"), "hello", 5, NULL), FW_OK);
    check_holds(at("a"), "hello");
    CHECK_INT(fw_file_write_atomic(at("a"), "", 0, NULL), FW_OK);
    check_holds(at("a"), "");
    CHECK_INT(entries(), 1);
}

static void a_file_over_the_limit_is_refused_with_both_sizes(void) {
    char *data;
    size_t n;
    fw_err e = {0};
    CHECK_INT(fw_file_write_atomic(at("a"), "hello", 5, NULL), FW_OK);
    CHECK_INT(fw_file_read(at("a"), 4, &data, &n, &e), FW_FORMAT);
    CHECK(data == NULL && strstr(e.msg, "5 bytes") != NULL && strstr(e.msg, "at most 4") != NULL);
}

static void errors_name_the_path(void) {
    char *data;
    size_t n;
    fw_map m;
    fw_err e = {0};
    CHECK_INT(fw_file_read("/no/such", 10, &data, &n, &e), FW_IO);
    CHECK(strstr(e.msg, "/no/such") != NULL);
    CHECK_INT(fw_file_read("/", 10, &data, &n, &e), FW_IO);
    CHECK(strstr(e.msg, "found a folder") != NULL);
    CHECK_INT(fw_map_open("/no/such", &m, &e), FW_IO);
    CHECK_INT(fw_file_write_atomic("/no/such/x", "x", 1, &e), FW_IO);
    CHECK(strstr(e.msg, "/no/such/x") != NULL);
}

/* In a child whose files may grow to `limit` bytes: the disk that is full after the n-th byte. */
static int write_with_limit(const char *path, size_t size, rlim_t limit) {
    pid_t child = fork();
    if (child == 0) {
        struct rlimit r = {limit, limit};
        char *data = malloc(size);
        memset(data, 'n', size);
        signal(SIGXFSZ, SIG_IGN); /* then write gives EFBIG */
        setrlimit(RLIMIT_FSIZE, &r);
        _exit(fw_file_write_atomic(path, data, size, NULL) == FW_OK ? 0 : 1);
    }
    int st;
    CHECK(waitpid(child, &st, 0) == child && WIFEXITED(st));
    return WEXITSTATUS(st);
}

static void a_write_that_fails_anywhere_leaves_the_old_file_and_nothing_else(void) {
    CHECK_INT(fw_file_write_atomic(at("a"), "old", 3, NULL), FW_OK);
    size_t before = entries();
    for (rlim_t limit = 0; limit < 20000; limit += 3999) {
        CHECK_INT(write_with_limit(at("a"), 20000, limit), 1);
        check_holds(at("a"), "old");
        CHECK_INT(entries(), before);
    }
    CHECK_INT(write_with_limit(at("a"), 500, 20000), 0);
}

/* A writer killed at a random moment, again and again: a reader finds one of the two contents, never a mixture. */
static void a_killed_writer_leaves_old_or_new(void) {
    enum { N = 300000 };
    char *data = malloc(N), *got;
    size_t n;
    CHECK(data != NULL);
    memset(data, '0', N);
    CHECK_INT(fw_file_write_atomic(at("k"), data, N, NULL), FW_OK);
    for (int round = 0; round < 12; round++) {
        pid_t child = fork();
        if (child == 0) {
            for (int i = 1;; i++) {
                memset(data, '0' + i % 10, N);
                if (fw_file_write_atomic(at("k"), data, N, NULL) != FW_OK) {
                    _exit(1);
                }
            }
        }
        usleep((useconds_t)(1000 + round * 1700));
        kill(child, SIGKILL);
        CHECK(waitpid(child, NULL, 0) == child);
        CHECK_INT(fw_file_read(at("k"), N, &got, &n, NULL), FW_OK);
        CHECK_INT(n, N);
        for (size_t i = 1; i < n; i++) {
            CHECK(got[i] == got[0]);
        }
        free(got);
    }
    free(data);
}

static void a_map_shows_the_file_and_survives_its_removal(void) {
    fw_map m;
    CHECK_INT(fw_file_write_atomic(at("m"), "mapped", 6, NULL), FW_OK);
    CHECK_INT(fw_map_open(at("m"), &m, NULL), FW_OK);
    CHECK(unlink(at("m")) == 0);
    CHECK_INT(m.size, 6);
    CHECK(memcmp(m.data, "mapped", 6) == 0);
    fw_map_close(&m);
    CHECK(m.data == NULL);
    CHECK_INT(fw_file_write_atomic(at("m"), "", 0, NULL), FW_OK);
    CHECK_INT(fw_map_open(at("m"), &m, NULL), FW_OK);
    CHECK(m.data == NULL && m.size == 0);
    fw_map_close(&m);
}

static void a_created_map_reaches_the_file(void) {
    fw_map m;
    CHECK_INT(fw_map_create(at("c"), 4, &m, NULL), FW_OK);
    memcpy(m.data, "done", 4);
    CHECK_INT(fw_map_sync(&m, at("c"), NULL), FW_OK);
    fw_map_close(&m);
    check_holds(at("c"), "done");
}

static void a_map_beyond_the_disk_fails_at_once_and_leaves_no_file(void) {
    fw_err e = {0};
    fw_map m;
    pid_t child = fork();
    if (child == 0) {
        struct rlimit r = {1000, 1000};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &r);
        _exit(fw_map_create(at("big"), 1 << 20, &m, &e) == FW_IO && !fw_path_exists(at("big")) ? 0 : 1);
    }
    int st;
    CHECK(waitpid(child, &st, 0) == child && WIFEXITED(st));
    CHECK_INT(WEXITSTATUS(st), 0);
    CHECK_INT(fw_map_create(at("big"), (size_t)1 << 62, &m, &e), FW_IO);
    CHECK(!fw_path_exists(at("big")));
}

static void mkdirs_makes_all_and_is_idempotent(void) {
    fw_err e = {0};
    char path[300];
    CHECK_INT(fw_mkdirs(at("p/q//r/"), NULL), FW_OK);
    CHECK_INT(fw_mkdirs(at("p/q/r"), NULL), FW_OK);
    CHECK(fw_path_is_dir(at("p/q/r")));
    CHECK_INT(fw_file_write_atomic(at("p/f"), "x", 1, NULL), FW_OK);
    snprintf(path, sizeof(path), "%s", at("p/f/g"));
    CHECK_INT(fw_mkdirs(path, &e), FW_IO);
    CHECK(strstr(e.msg, "p/f") != NULL);
    CHECK_INT(fw_mkdirs("", &e), FW_INVALID);
}

static void remove_tree_does_not_follow_links(void) {
    char link[300];
    CHECK_INT(fw_mkdirs(at("keep"), NULL), FW_OK);
    CHECK_INT(fw_file_write_atomic(at("keep/me"), "x", 1, NULL), FW_OK);
    CHECK_INT(fw_mkdirs(at("t/u"), NULL), FW_OK);
    CHECK_INT(fw_file_write_atomic(at("t/u/f"), "x", 1, NULL), FW_OK);
    snprintf(link, sizeof(link), "%s", at("t/link"));
    CHECK(symlink("../keep", link) == 0);
    CHECK_INT(fw_remove_tree(at("t"), NULL), FW_OK);
    CHECK(!fw_path_exists(at("t")));
    CHECK(fw_path_exists(at("keep/me")));
    CHECK_INT(fw_remove_tree(at("t"), NULL), FW_OK); /* missing is fine */
}

static void a_folder_lists_sorted(void) {
    char **names;
    size_t n;
    CHECK_INT(fw_mkdirs(at("l"), NULL), FW_OK);
    for (int i = 0; i < 40; i++) {
        char name[32];
        snprintf(name, sizeof(name), "l/%02d", (i * 7) % 40);
        CHECK_INT(fw_file_write_atomic(at(name), "", 0, NULL), FW_OK);
    }
    CHECK_INT(fw_list_dir(at("l"), &names, &n, NULL), FW_OK);
    CHECK_INT(n, 40);
    for (size_t i = 0; i < n; i++) {
        CHECK_INT(atoi(names[i]), i);
    }
    fw_names_free(names, n);
}

static void join_refuses_what_does_not_fit(void) {
    char out[8];
    CHECK_INT(fw_path_join(out, sizeof(out), "a/b", "c", NULL), FW_OK);
    CHECK(strcmp(out, "a/b/c") == 0);
    CHECK_INT(fw_path_join(out, sizeof(out), "a/", "c", NULL), FW_OK);
    CHECK(strcmp(out, "a/c") == 0);
    CHECK_INT(fw_path_join(out, sizeof(out), "abcd", "efg", NULL), FW_INVALID);
}

static void home_holds_the_unpacked_wheels(void) {
    char path[4096];
    CHECK_INT(fw_path_join(path, sizeof(path), fw_home(), ".deps/mujoco", NULL), FW_OK);
    CHECK(fw_path_is_dir(path));
}

static void a_linked_file_is_one_file_and_replaces_what_was_there(void) {
    char from[256], to[256], other[256];
    struct stat a, b;
    snprintf(from, sizeof from, "%s", at("linked"));
    snprintf(to, sizeof to, "%s", at("second"));
    snprintf(other, sizeof other, "%s", at("name"));
    CHECK_INT(fw_file_write_atomic(from, "new", 3, NULL), FW_OK);
    CHECK_INT(fw_file_write_atomic(to, "older", 5, NULL), FW_OK);
    CHECK(symlink("linked", other) == 0); /* means the file it leads to */
    for (int i = 0; i < 2; i++) {
        CHECK_INT(fw_file_link(i == 0 ? from : other, to, NULL), FW_OK);
        check_holds(to, "new");
        CHECK(stat(from, &a) == 0 && lstat(to, &b) == 0 && a.st_ino == b.st_ino);
    }
    fw_err err = {0};
    CHECK_INT(fw_file_link(at("absent"), to, &err), FW_IO);
    CHECK(strstr(err.msg, "absent") != NULL);
    check_holds(to, "new");
    CHECK(unlink(from) == 0 && unlink(to) == 0 && unlink(other) == 0);
}

static void clean_up(void) {
    CHECK_INT(fw_remove_tree(dir, NULL), FW_OK);
}

FW_TEST_MAIN(T(make_dir), T(a_file_comes_back_as_written), T(a_file_over_the_limit_is_refused_with_both_sizes),
             T(errors_name_the_path), T(a_write_that_fails_anywhere_leaves_the_old_file_and_nothing_else),
             T(a_map_shows_the_file_and_survives_its_removal), T(a_created_map_reaches_the_file),
             T(a_map_beyond_the_disk_fails_at_once_and_leaves_no_file), T(mkdirs_makes_all_and_is_idempotent),
             T(remove_tree_does_not_follow_links), T(a_folder_lists_sorted), T(join_refuses_what_does_not_fit),
             T(a_linked_file_is_one_file_and_replaces_what_was_there), T(home_holds_the_unpacked_wheels),
             T(a_killed_writer_leaves_old_or_new), T(clean_up))
