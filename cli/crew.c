/* crew.c - see crew.h. */
#include "crew.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

enum { REHIRE_MAX = 3 }; /* workers that one piece may cost */

/* What precedes a piece in the pipe; or, when status is not FW_OK, what went wrong, and nothing after. */
typedef struct head {
    int64_t piece;
    int32_t status;
    char message[sizeof(((fw_err *)0)->msg)];
} head;

bool crew_write(int fd, const void *data, size_t n) {
    const char *p = data;
    while (n > 0) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k <= 0) {
            return false;
        }
        p += k;
        n -= (size_t)k;
    }
    return true;
}

bool crew_read(int fd, void *data, size_t n) {
    char *p = data;
    while (n > 0) {
        ssize_t k = read(fd, p, n);
        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k <= 0) {
            return false;
        }
        p += k;
        n -= (size_t)k;
    }
    return true;
}

bool crew_head(int fd, int64_t piece) {
    head h = {.piece = piece, .status = FW_OK};
    return crew_write(fd, &h, sizeof h);
}

/* --- the worker */
static int be_worker(const crew_job *job, int64_t first, int fd) {
    fw_err err = {FW_OK, ""};
    fw_status st = job->work(job->ctx, first, job->workers, fd, &err);
    if (st == FW_OK) {
        return 0;
    }
    head h = {.piece = -1, .status = st};
    memcpy(h.message, err.msg, sizeof h.message);
    crew_write(fd, &h, sizeof h);
    return 1;
}

/* Worker i, in place of the one there was, begins with this piece. */
static fw_status hire(crew *c, int i, int64_t piece, fw_err *err) {
    int fds[2];
    if (pipe(fds) != 0) {
        return fw_fail(err, FW_IO, "pipe: %s", strerror(errno));
    }
    fflush(NULL);
    pid_t parent = getpid(), pid = fork();
    if (pid < 0) {
        close(fds[0]);
        close(fds[1]);
        return fw_fail(err, FW_IO, "fork: %s", strerror(errno));
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent) {
            _exit(1);
        }
        for (int k = 0; k < c->n; k++) {
            if (c->fd[k] >= 0) {
                close(c->fd[k]);
            }
        }
        close(fds[0]);
        _exit(be_worker(&c->job, piece, fds[1]));
    }
    close(fds[1]);
    c->pid[i] = pid;
    c->fd[i] = fds[0];
    c->n = i >= c->n ? i + 1 : c->n;
    return FW_OK;
}

/* --- the parent */
fw_status crew_hire(crew *c, const crew_job *job, int64_t first, fw_err *err) {
    *c = (crew){.job = *job, .first = first};
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < job->workers; i++) {
        FW_TRY(hire(c, i, first + i, err));
    }
    return FW_OK;
}

void crew_dismiss(crew *c) {
    for (int i = 0; i < c->n; i++) {
        if (c->fd[i] < 0) {
            continue;
        }
        close(c->fd[i]); /* a worker that still writes fails */
        kill(c->pid[i], SIGTERM);
        waitpid(c->pid[i], NULL, 0);
    }
    c->n = 0;
}

/* *died: it ended without saying why. */
static fw_status receive(crew *c, int worker, int64_t piece, void *into, bool *died, fw_err *err) {
    head h;
    *died = !crew_read(c->fd[worker], &h, sizeof h);
    if (*died) {
        return fw_fail(err, FW_CLOSED, "worker %d ended before piece %lld", worker, (long long)piece);
    }
    if (h.status != FW_OK) {
        return fw_fail(err, (fw_status)h.status, "worker %d: %.*s", worker, (int)sizeof h.message - 20, h.message);
    }
    if (h.piece != piece) {
        return fw_fail(err, FW_FORMAT, "worker %d: wanted piece %lld, found piece %lld", worker, (long long)piece,
                       (long long)h.piece);
    }
    fw_status st = c->job.take(c->job.ctx, piece, c->fd[worker], into, err);
    *died = st == FW_CLOSED;
    return st;
}

fw_status crew_take(crew *c, int64_t piece, void *into, fw_err *err) {
    int worker = (int)((piece - c->first) % c->job.workers);
    for (int lost = 0;; lost++) {
        bool died;
        fw_status st = receive(c, worker, piece, into, &died, err);
        if (!died) {
            return st;
        }
        int how = 0;
        close(c->fd[worker]);
        kill(c->pid[worker], SIGKILL);
        waitpid(c->pid[worker], &how, 0);
        c->fd[worker] = -1;
        if (lost == REHIRE_MAX) {
            return st;
        }
        fw_warn("worker %d died in piece %lld (%s %d): another takes its place", worker, (long long)piece,
                WIFSIGNALED(how) ? "signal" : "exit", WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
        FW_TRY(hire(c, worker, piece, err));
    }
}
