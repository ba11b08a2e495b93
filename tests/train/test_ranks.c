/* ctest: timeout=240
 * A run shared by the processes that mpirun starts: the same bytes whatever their number, stopped, killed and resumed by another
 * number, and ended together by whatever goes wrong in one of them. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include "tensor/safetensors.h"
#include "train/gradsum.h"
#include "train_test.h"

enum { ARGS = 64, WAIT_S = 60 };
static char said_path[512];

/* ---- starting them ---- */

static void begin(void) {
    if (system("command -v mpirun >/dev/null 2>&1") != 0) {
        SKIP("mpirun is not installed (tools/setup.sh)");
    }
    begin_tmp();
    if (!fw_path_exists(in_tmp("data"))) {
        tiny_dataset(in_tmp("data"), 0);
        tiny_config(in_tmp("tiny.json"), ", \"micro\": 4");
    }
    snprintf(said_path, sizeof said_path, "%s", in_tmp("said"));
}

typedef struct command {
    const char *arg[ARGS];
    int n;
} command;

static void add(command *c, const char *arg) {
    CHECK(c->n + 1 < ARGS);
    c->arg[c->n++] = strdup(arg);
    c->arg[c->n] = NULL;
}

/* Further words, NULL at the end. */
static void add_all(command *c, va_list more) {
    for (const char *a; (a = va_arg(more, const char *)) != NULL;) {
        add(c, a);
    }
}

/* ranks 0: the program alone, with two threads. */
static void add_mpirun(command *c, int ranks) {
    static const char *const always[] = {
        "mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "--mca", "btl", "self,vader", "-n"};
    char n[16];
    for (int i = 0; ranks > 0 && i < 9; i++) {
        add(c, always[i]);
    }
    snprintf(n, sizeof n, "%d", ranks);
    if (ranks > 0) {
        add(c, n);
    }
}

/* flywheel train on the tiny dataset, into out */
static void add_train(command *c, int ranks, const char *out) {
    add(c, FW_BIN), add(c, "train");
    add(c, "--config"), add(c, in_tmp("tiny.json"));
    add(c, "--data"), add(c, in_tmp("data"));
    add(c, "--out"), add(c, in_tmp(out));
    add(c, "--workers"), add(c, ranks == 0 ? "2" : "1");
}

/* What it says goes to said_path. */
static pid_t start(const command *c) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        int fd = open(said_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) {
            _exit(126);
        }
        execvp(c->arg[0], (char *const *)c->arg);
        _exit(127);
    }
    return pid;
}

static const char *said(void) {
    static char *text;
    size_t n = 0;
    fw_err err = {0};
    free(text);
    CHECK_OK(fw_file_read(said_path, 1 << 20, &text, &n, &err), err);
    return text;
}

/* Its exit code; -1: it died of a signal. */
static int end_of(pid_t pid) {
    int how = 0;
    pid_t got = 0;
    for (int i = 0; i < WAIT_S * 200 && got == 0; i++) {
        got = waitpid(pid, &how, WNOHANG);
        usleep(got == 0 ? 5000 : 0);
    }
    if (got != pid) {
        kill(pid, SIGKILL);
        FW_FAILED("still running after %d s: %s", WAIT_S, said());
    }
    return WIFEXITED(how) ? WEXITSTATUS(how) : -1;
}

static int run(int ranks, const char *out, ...) {
    command c = {0};
    va_list more;
    add_mpirun(&c, ranks);
    add_train(&c, ranks, out);
    va_start(more, out);
    add_all(&c, more);
    va_end(more);
    return end_of(start(&c));
}

#define RUN_OK(...)                                                                                                    \
    do {                                                                                                               \
        if (run(__VA_ARGS__) != 0)                                                                                     \
            FW_FAILED("run(%s): %s", #__VA_ARGS__, said());                                                            \
    } while (0)

static void check_said(const char *what) {
    if (strstr(said(), what) == NULL) {
        FW_FAILED("wanted '%s', it said: %s", what, said());
    }
}

/* How often it said so. */
static int times_said(const char *what) {
    int n = 0;
    for (const char *at = said(); (at = strstr(at, what)) != NULL; at++) {
        n++;
    }
    return n;
}

/* ---- what they leave ---- */

static fw_st *state_of(const char *out) {
    fw_err err = {0};
    fw_st *f = NULL;
    char path[700];
    snprintf(path, sizeof path, "%s/train/state.safetensors", in_tmp(out));
    CHECK_OK(fw_st_open(path, &f, &err), err);
    return f;
}

static int64_t steps_of(const char *out) {
    fw_st *f = state_of(out);
    int64_t n = strtoll(fw_st_meta(f, "step"), NULL, 10);
    fw_st_close(f);
    return n;
}

static void same_file(const char *a, const char *b, const char *name) {
    char *x = NULL, *y = NULL, path[2][700];
    size_t nx = 0, ny = 0;
    fw_err err = {0};
    snprintf(path[0], sizeof path[0], "%s/%s", in_tmp(a), name);
    snprintf(path[1], sizeof path[1], "%s/%s", in_tmp(b), name);
    CHECK_OK(fw_file_read(path[0], 1 << 28, &x, &nx, &err), err);
    CHECK_OK(fw_file_read(path[1], 1 << 28, &y, &ny, &err), err);
    if (nx != ny || memcmp(x, y, nx) != 0) {
        FW_FAILED("%s of %s and of %s differ", name, a, b);
    }
    free(x), free(y);
}

/* Weights, both moments, averages, and the loss; the weights that came out. */
static void same_end(const char *a, const char *b) {
    fw_st *x = state_of(a), *y = state_of(b);
    CHECK_INT(fw_st_count(x), fw_st_count(y));
    for (int i = 0; i < fw_st_count(x); i++) {
        const fw_st_tensor *t = fw_st_at(x, i), *u = fw_st_find(y, t->name);
        CHECK(u != NULL && u->bytes == t->bytes);
        if (memcmp(t->data, u->data, t->bytes) != 0) {
            FW_FAILED("%s of %s and of %s differ", t->name, a, b);
        }
    }
    static const char *const meta[] = {"step", "loss", "micro", "config", "data"};
    for (int i = 0; i < 5; i++) {
        if (strcmp(fw_st_meta(x, meta[i]), fw_st_meta(y, meta[i])) != 0) {
            FW_FAILED("%s of %s is %s, of %s %s", meta[i], a, fw_st_meta(x, meta[i]), b, fw_st_meta(y, meta[i]));
        }
    }
    fw_st_close(x), fw_st_close(y);
    same_file(a, b, "model.safetensors");
}

/* ---- tests ---- */

/* ((0+1)+(2+3)) + ((4+5)+6), and whoever has a part of it adds up the same blocks. */
static void blocks_are_those_of_one_tree(void) {
    fw_gradsum_block whole[FW_GRADSUM_BLOCKS], part[FW_GRADSUM_BLOCKS];
    int depth;
    CHECK_INT(fw_gradsum_blocks(0, 7, whole, &depth), 3);
    CHECK(whole[0].runs == 4 && whole[1].first == 4 && whole[1].runs == 2 && whole[2].first == 6);
    CHECK_INT(depth, 3);
    CHECK_INT(fw_gradsum_blocks(6, 6, part, &depth), 2);
    CHECK(part[0].first == 6 && part[0].runs == 2 && part[1].first == 8 && part[1].runs == 4);
    for (int64_t n = 1; n <= 48; n++) { /* what ranks have side by side covers the runs, in blocks of the tree */
        const int64_t share = n % 3 == 0 ? n / 3 : n % 2 == 0 ? n / 2 : n;
        int64_t at = 0;
        for (int64_t first = 0; first < n; first += share) {
            const int k = fw_gradsum_blocks(first, share, part, &depth);
            CHECK(depth <= 12);
            for (int i = 0; i < k; i++) {
                CHECK(part[i].first == at && at % part[i].runs == 0 && (part[i].runs & (part[i].runs - 1)) == 0);
                at += part[i].runs;
            }
        }
        CHECK_INT(at, n);
    }
}

static void one_two_and_four_ranks_end_in_the_same_bytes(void) {
    begin();
    RUN_OK(0, "alone", NULL);
    RUN_OK(2, "two", NULL);
    CHECK_INT(times_said("training frames"), 1);
    RUN_OK(4, "four", NULL);
    same_end("two", "alone");
    same_end("four", "alone");
    CHECK_INT(steps_of("alone"), 40);
}

/* 12 runs: two ranks have six, which are two blocks; three have four, which are one. */
static void shares_that_are_no_subtree_end_in_the_same_bytes(void) {
    begin();
    RUN_OK(0, "alone12", "--batch", "24", "--micro", "2", "--steps", "10", NULL);
    RUN_OK(2, "two12", "--batch", "24", "--micro", "2", "--steps", "10", NULL);
    RUN_OK(3, "three12", "--batch", "24", "--micro", "2", "--steps", "10", NULL);
    same_end("two12", "alone12");
    same_end("three12", "alone12");
}

static void what_cannot_be_shared_is_refused(void) {
    begin();
    CHECK_INT(run(3, "no", NULL), 1);
    check_said("a batch of 16 in runs of 4 rows has 4 of them, which 3 ranks cannot share: wanted a multiple of 3");
    CHECK(!fw_path_exists(in_tmp("no")));
}

FW_TEST_MAIN(T(blocks_are_those_of_one_tree), T(one_two_and_four_ranks_end_in_the_same_bytes),
             T(shares_that_are_no_subtree_end_in_the_same_bytes), T(what_cannot_be_shared_is_refused))
