/*
 * ws_server.h - websockets and small HTTP pages on one port: what every server of ours stands on.
 *
 *   const fw_ws_events on = {.ctx = me, .http = page, .accept = who, .open = begin, .message = heard, .closed = gone};
 *   FW_TRY(fw_ws_server_start(&(fw_ws_server_opts){.host = "127.0.0.1", .port = 8000}, &on, &s, err));
 *   ... on any thread:  fw_ws_send(s, id, &buf, &(fw_ws_out){0});
 *   fw_ws_server_stop(s, 1000), fw_ws_server_free(s);
 *
 * DESIGN. libwebsockets on a thread of its own, which does nothing but move bytes: it calls the events, none of which may block, and
 * answers pings at once whatever the rest is doing. Messages arrive whole. Others hand messages over by a connection's id, which is never
 * used again: what is for one that is gone, is dropped. Limits stand here: size of a message, time for it, connections, keys.
 * libwebsockets' own keep-alive stays off: 4.1.6 answers a ping that coincides with its own by a wrong pong. TCP's finds dead peers.
 */
#ifndef FW_WIRE_WS_SERVER_H
#define FW_WIRE_WS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fw/status.h"
#include "wire/mp.h"

#define FW_WS_REASON_MAX 123 /* bytes of a close frame's reason */
#define FW_WS_PATH_MAX   256

typedef struct fw_ws_server fw_ws_server;
typedef uint64_t fw_ws_id; /* of a connection; never 0 */

/* What a stranger asks for. Text that did not come is "". Borrowed during the event. */
typedef struct fw_ws_request {
    const char *path, *query; /* path without the query; query "" or "a=1&b=2" */
    const char *host, *origin, *authorization;
} fw_ws_request;

typedef struct fw_http_header {
    const char *name, *value; /* static: "cache-control:" (with the colon), "no-store" */
} fw_http_header;

typedef struct fw_http_reply {
    int status;                 /* 200, ... */
    const char *type;           /* static: "text/plain; charset=utf-8" */
    char *body;                 /* owned by the reply (malloc); NULL: none */
    size_t n;                   /* bytes of it; 0: it is text, NUL-terminated */
    const fw_http_header *more; /* static, ends with a NULL name; NULL: none */
} fw_http_reply;

/* All on the service thread; none may block. */
typedef struct fw_ws_events {
    void *ctx;
    /* A GET. reply is 404 before; NULL: there are no pages. */
    void (*http)(void *ctx, const fw_ws_request *r, fw_http_reply *reply);
    /* Pages that want no key. NULL: all want one when there are keys. */
    bool (*open_page)(void *ctx, const char *path);
    /* May it have a websocket? 0, or an HTTP status and why. NULL: any. */
    int (*accept)(void *ctx, const fw_ws_request *r, char *why, size_t cap);
    /* A websocket is there. The result is `session` below; NULL with a refusal is no failure, just a NULL session. */
    void *(*open)(void *ctx, fw_ws_id id, const fw_ws_request *r);
    /* A whole message, consumed: take m's memory or leave it. */
    void (*message)(void *ctx, void *session, fw_ws_id id, fw_buf *m, bool text);
    /* A message has left completely. NULL: not interested. */
    void (*sent)(void *ctx, void *session, fw_ws_id id);
    /* fw_ws_timer ran out. NULL: there are none. */
    void (*timer)(void *ctx, void *session, fw_ws_id id);
    /* Gone; once for each open. */
    void (*closed)(void *ctx, void *session, fw_ws_id id);
} fw_ws_events;

typedef struct fw_ws_server_opts {
    const char *host;       /* address or interface; NULL: 127.0.0.1; "0.0.0.0": all */
    int port;               /* 0: any free one */
    const char *cert, *key; /* PEM files for TLS; NULL: none */
    const char *keys;       /* file of API keys, a line each; NULL: nobody is asked */
    size_t max_message;     /* bytes; 0: 64 MiB */
    int max_connections;    /* 0: 256 */
    int message_s;          /* a message must come, or be taken, within this time; 0: 30 */
    int send_buffer; /* bytes that the system may hold for a peer that is slow to take them; 0: as many as it likes */
} fw_ws_server_opts;

/* *out owned: fw_ws_server_stop, fw_ws_server_free. Events may come before it returns. FW_IO: address in use, certificate unreadable. */
FW_NODISCARD fw_status fw_ws_server_start(const fw_ws_server_opts *o, const fw_ws_events *on, fw_ws_server **out,
                                          fw_err *err);
int fw_ws_server_port(const fw_ws_server *s);
int fw_ws_server_connections(const fw_ws_server *s);
/* No new connections from now on; any thread. */
void fw_ws_server_refuse(fw_ws_server *s);
/* What was handed over leaves, every websocket is closed with 1001, or cut after wait_ms. No event comes after it. NULL is fine. */
void fw_ws_server_stop(fw_ws_server *s, int wait_ms);
/* Of a stopped one; until then fw_ws_send may be called, and sends nothing. NULL is fine. */
void fw_ws_server_free(fw_ws_server *s);

typedef struct fw_ws_out {
    bool text;
    int close;          /* 0, or close the connection behind this message with this code */
    const char *reason; /* of closing; copied */
} fw_ws_out;
/* Any thread. m is consumed, an empty one sends nothing (to close only). */
void fw_ws_send(fw_ws_server *s, fw_ws_id id, fw_buf *m, const fw_ws_out *how);

/* Service thread only. */
void fw_ws_pause(fw_ws_server *s, fw_ws_id id, bool paused); /* read no more of it for now */
void fw_ws_timer(fw_ws_server *s, fw_ws_id id, int ms);

/* ---- for tests and fuzzing: the parts that read what strangers send ---- */

typedef struct fw_ws_keys fw_ws_keys;
FW_NODISCARD fw_status fw_ws_keys_load(const char *path, fw_ws_keys **out, fw_err *err);
void fw_ws_keys_free(fw_ws_keys *k);
/* header: "Api-Key <key>" (or "Bearer <key>"). In a time that does not tell how much of it was right. k NULL: true. */
bool fw_ws_keys_fit(const fw_ws_keys *k, const char *header);

#endif /* FW_WIRE_WS_SERVER_H */
