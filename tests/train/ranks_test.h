/* ranks_test.h - what the tests of shared training runs have in common: starting mpirun, and comparing what is left. */
#ifndef RANKS_TEST_H
#define RANKS_TEST_H

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include "tensor/safetensors.h"
#include "train_test.h"

enum { ARGS = 64, WAIT_S = 100 };
static char said_path[512];

/* ---- starting them ---- */

static inline void begin(void) {
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
    char text[ARGS][600];
    char *arg[ARGS + 1];
    int n;
} command;

static inline void add(command *c, const char *arg) {
    CHECK(c->n < ARGS);
    snprintf(c->text[c->n], sizeof c->text[0], "%s", arg);
    c->arg[c->n] = c->text[c->n];
    c->arg[++c->n] = NULL;
}

/* Further words, NULL at the end. */
static inline void add_all(command *c, va_list more) {
    for (const char *a; (a = va_arg(more, const char *)) != NULL;) {
        add(c, a);
    }
}

/* ranks 0: the program alone, with two threads. */
static inline void add_mpirun(command *c, int ranks) {
    static const char *const always[] = {"mpirun",
                                         "--allow-run-as-root",
                                         "--oversubscribe",
                                         "--bind-to",
                                         "none",
                                         "--mca",
                                         "btl",
                                         "self,vader", /* shared memory, and mpirun's own talk on loopback */
                                         "--mca",
                                         "oob_tcp_if_include",
                                         "lo",
                                         "-n"};
    char n[16];
    for (size_t i = 0; ranks > 0 && i < sizeof always / sizeof(*always); i++) {
        add(c, always[i]);
    }
    snprintf(n, sizeof n, "%d", ranks);
    if (ranks > 0) {
        add(c, n);
    }
}

/* flywheel train into out: of the tiny config and dataset, or of a published policy's golden. */
static inline void add_train(command *c, int ranks, const char *policy, const char *out) {
    char golden[600];
    snprintf(golden, sizeof golden, "%s/tests/golden/policies/%s", FW_SOURCE_DIR, policy != NULL ? policy : "");
    add(c, FW_BIN), add(c, "train");
    add(c, policy != NULL ? "--from" : "--config"), add(c, policy != NULL ? golden : in_tmp("tiny.json"));
    add(c, "--data"), add(c, in_tmp(policy != NULL ? "toy" : "data"));
    add(c, "--out"), add(c, in_tmp(out));
    add(c, "--workers"), add(c, ranks == 0 ? "2" : "1");
}

/* What it says goes to said_path. */
static inline pid_t start(const command *c) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        int fd = open(said_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) {
            _exit(126);
        }
        if (strcmp(c->arg[0], "mpirun") ==
            0) { /* OpenMPI unloads plug-ins that have not freed all: no report could say whose */
            setenv("ASAN_OPTIONS", "detect_leaks=0", 0);
        }
        execvp(c->arg[0], c->arg);
        _exit(127);
    }
    return pid;
}

static inline const char *said(void) {
    static char *text;
    size_t n = 0;
    fw_err err = {0};
    free(text);
    CHECK_OK(fw_file_read(said_path, 1 << 20, &text, &n, &err), err);
    return text;
}

/* Its exit code; -1: it died of a signal. */
static inline int end_of(pid_t pid) {
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

static inline pid_t start_run(int ranks, const char *policy, const char *out, va_list more) {
    command c = {.n = 0};
    add_mpirun(&c, ranks);
    add_train(&c, ranks, policy, out);
    add_all(&c, more);
    return start(&c);
}

/* Exit code of a run of the tiny config, with further arguments up to NULL. */
static inline int run(int ranks, const char *out, ...) {
    va_list more;
    va_start(more, out);
    const pid_t pid = start_run(ranks, NULL, out, more);
    va_end(more);
    return end_of(pid);
}

#define RUN_OK(...)                                                                                                    \
    do {                                                                                                               \
        if (run(__VA_ARGS__) != 0)                                                                                     \
            FW_FAILED("run(%s): %s", #__VA_ARGS__, said());                                                            \
    } while (0)

static inline void check_said(const char *what) {
    if (strstr(said(), what) == NULL) {
        FW_FAILED("wanted '%s', it said: %s", what, said());
    }
}

/* How often it said so. */
static inline int times_said(const char *what) {
    int n = 0;
    for (const char *at = said(); (at = strstr(at, what)) != NULL; at++) {
        n++;
    }
    return n;
}

/* ---- what they leave ---- */

static inline fw_st *state_of(const char *out) {
    fw_err err = {0};
    fw_st *f = NULL;
    char path[700];
    snprintf(path, sizeof path, "%s/train/state.safetensors", in_tmp(out));
    CHECK_OK(fw_st_open(path, &f, &err), err);
    return f;
}

static inline int64_t steps_of(const char *out) {
    fw_st *f = state_of(out);
    int64_t n = strtoll(fw_st_meta(f, "step"), NULL, 10);
    fw_st_close(f);
    return n;
}

static inline void same_file(const char *a, const char *b, const char *name) {
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
static inline void same_end(const char *a, const char *b) {
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

#endif /* RANKS_TEST_H */
