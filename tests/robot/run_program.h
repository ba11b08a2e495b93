/* run_program.h - flywheel run as a child, and its page spoken to as a process would. */
#ifndef TESTS_ROBOT_RUN_PROGRAM_H
#define TESTS_ROBOT_RUN_PROGRAM_H

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "fw_test.h"
#include "wire/ws_client.h"

static fw_err run_err;
#define RUN_OK(call)                                                                                                   \
    do {                                                                                                               \
        if ((call) != FW_OK)                                                                                           \
            FW_FAILED("%s: %s", #call, run_err.msg);                                                                   \
    } while (0)

typedef struct program {
    pid_t pid;
    int out;
    char text[1 << 16];
    size_t n;
} program;

static inline void start(program *p, const char *const *argv) {
    int out[2];
    CHECK(pipe(out) == 0);
    *p = (program){.pid = fork(), .out = out[0]};
    CHECK(p->pid >= 0);
    if (p->pid == 0) {
        dup2(out[1], 1);
        dup2(out[1], 2);
        close(out[0]);
        execv(FW_BIN, (char *const *)argv);
        _exit(127);
    }
    close(out[1]);
}

/* Reads on until it has said `word` (NULL: until its end). */
static inline const char *wait_for(program *p, const char *word) {
    for (;;) {
        const char *at = word != NULL ? strstr(p->text, word) : NULL;
        if (at != NULL && strchr(at, '\n') != NULL) {
            return at;
        }
        const ssize_t r = read(p->out, p->text + p->n, sizeof p->text - 1 - p->n);
        if (r <= 0) {
            return word == NULL ? p->text : NULL;
        }
        p->n += (size_t)r;
    }
}

static inline int end(program *p) {
    int status;
    wait_for(p, NULL);
    CHECK(waitpid(p->pid, &status, 0) == p->pid);
    close(p->out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* ---- the page, from a process ---- */

static inline void tell(fw_ws_client *c, const char *json) {
    fw_buf m = {0};
    RUN_OK(fw_buf_put(&m, json, strlen(json), &run_err));
    RUN_OK(fw_ws_client_send(c, &m, true, &run_err));
}

/* The newest state, waited for; owned by the caller. Messages of other kinds pass by. */
static inline json_t *state(fw_ws_client *c) {
    const int64_t until = fw_now_ns() + 5000000000;
    while (fw_now_ns() < until) {
        fw_buf m = {0};
        bool text;
        json_t *j = NULL;
        RUN_OK(fw_ws_client_recv(c, 5000, &m, &text, &run_err));
        if (text) {
            RUN_OK(fw_json_parse((const char *)fw_buf_data(&m), m.n, "page", &j, &run_err));
            json_t *s = json_incref(json_object_get(j, "state"));
            CHECK(json_object_get(j, "error") == NULL);
            json_decref(j);
            if (s != NULL) {
                fw_buf_free(&m);
                return s;
            }
        }
        fw_buf_free(&m);
    }
    FW_FAILED("no state in 5 s");
}

static inline bool mode_is(fw_ws_client *c, const char *mode) {
    json_t *s = state(c);
    const bool is = strcmp(json_string_value(json_object_get(s, "mode")), mode) == 0;
    json_decref(s);
    return is;
}

static inline void until_mode(fw_ws_client *c, const char *mode) {
    for (int i = 0; i < 200; i++) {
        if (mode_is(c, mode)) {
            return;
        }
    }
    FW_FAILED("not %s in 200 states", mode);
}

/* Largest step of a commanded joint between two states 0.1 s apart, as a share of what its velocity limit allows. */
static inline double step_of(const json_t *a, const json_t *b) {
    double most = 0;
    for (size_t i = 0; i < json_array_size(a); i++) {
        const double d = json_real_value(json_object_get(json_array_get(b, i), "command")) -
                         json_real_value(json_object_get(json_array_get(a, i), "command"));
        most = fmax(most, fabs(d));
    }
    return most;
}

static inline void drive(fw_ws_client *c, const char *move, int states) {
    json_t *last = NULL;
    for (int i = 0; i < states; i++) {
        for (int k = 0; k < 2; k++) {
            tell(c, move);
            usleep(40000);
        }
        json_t *s = state(c);
        if (last != NULL) {
            CHECK(step_of(json_object_get(last, "axes"), json_object_get(s, "axes")) < 0.5); /* no jump */
        }
        json_decref(last);
        last = s;
    }
    json_decref(last);
}

/* Its page, when it has said where that is. */
static inline fw_ws_client *page_of(program *p) {
    char url[128];
    fw_ws_client *c;
    const char *at = wait_for(p, "page: http://");
    if (at == NULL) {
        FW_FAILED("%s", p->text);
    }
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/ws", atoi(strchr(at + 13, ':') + 1));
    RUN_OK(fw_ws_client_open(&(fw_ws_client_opts){.url = url}, 5000, &c, &run_err));
    return c;
}

#endif /* TESTS_ROBOT_RUN_PROGRAM_H */
