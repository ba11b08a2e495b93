/*
 * the server over a socket: bytes as HTTP, as frames behind an upgrade, or as a message in a proper frame. It must go on answering.
 * The first byte chooses; a message goes to openpi's path or vla-eval's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "serve/serve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static fw_embodiment robot = {
    .name = "fuzz", .rate_hz = 10, .n_camera = 1, .n_state = 2, .n_action = 2, .camera = {{"front", 8, 8}}};

static void describe(const fw_policy *p, fw_policy_info *out) {
    (void)p;
    *out = (fw_policy_info){.name = "fuzz", .embodiment = &robot, .horizon = 4, .n_execute = 2};
}
static fw_status infer(fw_policy *p, const fw_obs *o, fw_chunk *c, fw_err *err) {
    (void)p, (void)err;
    for (int i = 0; i < 8; i++) {
        c->actions[i] = o->state[i % 2];
    }
    c->horizon = 4, c->n_action = 2, c->dt_s = 0.1, c->t_ns = o->t_ns;
    return FW_OK;
}
static void nothing(fw_policy *p) {
    (void)p;
}

static int serve_once(void) {
    static const fw_policy_vtable v = {describe, infer, nothing, nothing, NULL};
    static fw_policy p = {&v};
    static fw_serve *s;
    if (s == NULL) {
        const fw_serve_model m = {"fuzz", &p};
        const fw_serve_opts o = {
            .model = &m, .n_model = 1, .hello_ms = 1, .net = {.max_message = 1 << 20, .message_s = 20}};
        fw_log_set_level(FW_LOG_ERROR);
        if (fw_serve_start(&o, &s, NULL) != FW_OK) {
            abort();
        }
    }
    return fw_serve_port(s);
}

static int reach(int port) {
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct linger cut = {1, 0}; /* no thousand sockets in TIME_WAIT */
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &cut, sizeof cut);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        abort();
    }
    return fd;
}

/* What is answered within so many ms. */
static ssize_t hear(int fd, int ms, char *out, size_t cap) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, ms) > 0 ? recv(fd, out, cap, MSG_DONTWAIT) : 0;
}

static void say(int fd, const void *data, size_t n) {
    (void)!send(fd, data, n, MSG_NOSIGNAL);
}

static void upgrade(int fd, const char *path) {
    char text[300];
    const int n = snprintf(text, sizeof text,
                           "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                           path);
    char answer[4096];
    say(fd, text, (size_t)n);
    errno = 0;
    const ssize_t heard = hear(fd, 60000, answer, sizeof answer); /* a busy machine is no finding */
    if (heard <= 0) {
        fprintf(stderr, "an upgrade got no answer: %s\n",
                heard < 0 ? strerror(errno) : "closed, or silent for a minute");
        abort();
    }
}

static void say_message(int fd, const uint8_t *data, size_t size) {
    uint8_t head[8] = {0x82, 0xfe, (uint8_t)(size >> 8), (uint8_t)size, 0, 0, 0, 0};
    say(fd, head, sizeof head);
    say(fd, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char answer[8192];
    if (size < 2 || size > 60000) {
        return 0;
    }
    const int fd = reach(serve_once());
    if (data[0] % 4 == 0) {
        say(fd, data + 1, size - 1);
    } else {
        upgrade(fd, data[0] % 4 == 1 ? "/" : data[0] % 4 == 2 ? "/openpi" : "/vla-eval");
        if (data[0] % 4 == 1) {
            say(fd, data + 1, size - 1);
        } else {
            say_message(fd, data + 1, size - 1);
        }
    }
    for (int i = 0; i < 3 && hear(fd, 2, answer, sizeof answer) > 0; i++) {
    }
    close(fd);
    return 0;
}
