/* replay_test.h - run the program in a folder of the test's own and read what it said. */
#ifndef REPLAY_TEST_H
#define REPLAY_TEST_H

#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "data/replay.h"
#include "data/writer.h"
#include "fw_test.h"
#include "sim/sim.h"

static char root[200];
static fw_err fault;

static inline void must(fw_status st) {
    if (st != FW_OK) {
        FW_FAILED("%s", fault.msg);
    }
}

static inline void start(const char *name) {
    snprintf(root, sizeof root, "/tmp/fw_replay_%s_%d", name, (int)getpid());
    must(fw_remove_tree(root, &fault));
    must(fw_mkdirs(root, &fault));
}

static inline void finish(void) {
    must(fw_remove_tree(root, &fault));
}

/* Exit code of the program; stdout goes to root/out, stderr to root/log. */
static inline int __attribute__((format(printf, 1, 2))) flywheel(const char *fmt, ...) {
    char words[900], cmd[2000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    snprintf(cmd, sizeof cmd, "%s %s >%s/out 2>%s/log", FW_BIN, words, root, root);
    int st = system(cmd);
    CHECK(WIFEXITED(st));
    return WEXITSTATUS(st);
}

static inline bool file_says(const char *name, const char *what) {
    char path[300], *text = NULL;
    size_t n = 0;
    snprintf(path, sizeof path, "%s/%s", root, name);
    must(fw_file_read(path, 1 << 20, &text, &n, &fault));
    bool yes = strstr(text, what) != NULL;
    if (!yes) {
        fprintf(stderr, "%s: %s\n", name, text);
    }
    free(text);
    return yes;
}

static inline bool said(const char *what) {
    return file_says("out", what);
}
static inline bool logged(const char *what) {
    return file_says("log", what);
}

#endif /* REPLAY_TEST_H */
