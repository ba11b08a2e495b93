/*
 * killer.h - die at the n-th change of the disk: rename, link, unlink, fsync and the like of this program are counted, and the process
 * kills itself instead of the n-th (kill_before) or right behind it (kill_after).
 *
 * The functions below take libc's place because they are in the test's own program. Include it from one file.
 */
#ifndef TESTS_DATA_KILLER_H
#define TESTS_DATA_KILLER_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int killer_at = -1, killer_count; /* -1: off */
static bool killer_behind;

static long killer_do(long number, long a, long b, long c, long d, long e) {
    bool now = killer_at >= 0 && killer_count++ == killer_at;
    if (now && !killer_behind) {
        kill(getpid(), SIGKILL);
    }
    long r = syscall(number, a, b, c, d, e);
    if (now && killer_behind) {
        kill(getpid(), SIGKILL);
    }
    return r;
}

int rename(const char *from, const char *to) {
    return (int)killer_do(SYS_renameat2, AT_FDCWD, (long)from, AT_FDCWD, (long)to, 0);
}
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    return (int)killer_do(SYS_renameat2, a, (long)from, b, (long)to, (long)flags);
}
int linkat(int a, const char *from, int b, const char *to, int flags) {
    return (int)killer_do(SYS_linkat, a, (long)from, b, (long)to, flags);
}
int unlink(const char *path) {
    return (int)killer_do(SYS_unlinkat, AT_FDCWD, (long)path, 0, 0, 0);
}
int rmdir(const char *path) {
    return (int)killer_do(SYS_unlinkat, AT_FDCWD, (long)path, AT_REMOVEDIR, 0, 0);
}
int mkdir(const char *path, mode_t mode) {
    return (int)killer_do(SYS_mkdirat, AT_FDCWD, (long)path, (long)mode, 0, 0);
}
int fsync(int fd) {
    return (int)killer_do(SYS_fsync, fd, 0, 0, 0, 0);
}

/* Run fn(dir) in a child that dies at change n. true: it died there; false: it ended before, with code 0. */
static inline bool killed_at(int n, bool behind, int (*fn)(const char *dir), const char *dir) {
    pid_t pid = fork();
    int status;
    if (pid == 0) {
        killer_at = n;
        killer_count = 0;
        killer_behind = behind;
        _exit(fn(dir));
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || (WIFEXITED(status) && WEXITSTATUS(status) != 0)) {
        fprintf(stderr, "change %d: the child failed\n", n);
        exit(1);
    }
    return WIFSIGNALED(status);
}

#endif /* TESTS_DATA_KILLER_H */
