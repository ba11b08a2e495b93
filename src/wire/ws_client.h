/*
 * ws_client.h - a websocket to a server, for code that waits for its answers.
 *
 *   FW_TRY(fw_ws_client_open(&(fw_ws_client_opts){.url = "ws://127.0.0.1:8000"}, 2000, &c, err));
 *   FW_TRY(fw_ws_client_send(c, &question, false, err));
 *   FW_TRY(fw_ws_client_recv(c, 2000, &answer, &text, err));
 *
 * DESIGN. A thread of its own answers pings and collects messages, also while the caller does something else for minutes. One caller at a
 * time. What goes wrong on the way stays with the client: every later call returns it.
 */
#ifndef FW_WIRE_WS_CLIENT_H
#define FW_WIRE_WS_CLIENT_H

#include <stdbool.h>

#include "fw/status.h"
#include "wire/mp.h"

typedef struct fw_ws_url {
    bool tls;
    char host[256], path[512];
    int port;
} fw_ws_url;
/* ws://host[:port][/path], wss://..., or host[:port]. FW_INVALID for anything else. Ports: 80 and 443 when not given. */
FW_NODISCARD fw_status fw_ws_url_parse(const char *text, fw_ws_url *out, fw_err *err);

typedef struct fw_ws_client_opts {
    const char *url;
    const char *api_key; /* NULL: none */
    const char *ca;      /* wss: PEM of who signs the server's certificate; NULL: the system's */
    size_t max_message;  /* bytes; 0: 64 MiB */
} fw_ws_client_opts;

typedef struct fw_ws_client fw_ws_client;
/* Connected, or why not: FW_CLOSED refused or no such host, FW_TIMEOUT. *out owned: fw_ws_client_close. */
FW_NODISCARD fw_status fw_ws_client_open(const fw_ws_client_opts *o, int timeout_ms, fw_ws_client **out, fw_err *err);
/* m is consumed, always. FW_CLOSED says with which code and reason. */
FW_NODISCARD fw_status fw_ws_client_send(fw_ws_client *c, fw_buf *m, bool text, fw_err *err);
/* The next message: *m owned (fw_buf_free). FW_TIMEOUT: none came; FW_CLOSED: none will. */
FW_NODISCARD fw_status fw_ws_client_recv(fw_ws_client *c, int timeout_ms, fw_buf *m, bool *text, fw_err *err);
void fw_ws_client_close(fw_ws_client *c); /* NULL is fine */

#endif /* FW_WIRE_WS_CLIENT_H */
