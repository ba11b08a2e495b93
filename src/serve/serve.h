/*
 * serve.h - policies behind openpi's websocket protocol and vla-eval's, on one port.
 *
 *   const fw_serve_model m = {.name = "kitchen3", .policy = p};
 *   fw_serve_opts o = {.model = &m, .n_model = 1, .net = {.port = 8000}};
 *   FW_TRY(fw_serve_start(&o, &s, err));
 *   ...
 *   fw_serve_stop(s, 10000);            // answers what was asked, then closes
 *
 * DESIGN. The service thread of wire/ws_server.h parses a message and gives it to the queue of its model; a thread a model takes as many
 * as it may run together, decodes pictures, infers, and hands each answer back by the connection's id. So pings are answered while a
 * network runs, one slow client holds up nobody, and a connection that is gone is only a dropped answer.
 *
 *   connection -> session -> queue -> worker: observe, infer, answer -> connection
 *   (service thread)         (lock)   (a thread a model)                (service thread)
 *
 * Which protocol: the path says (/openpi/..., /vla-eval/...), else the first message; whoever is silent for `hello_ms` is an openpi client,
 * which waits for the server to speak first. Which model: the rest of the path, else the key "model" of a message, else the first.
 */
#ifndef FW_SERVE_SERVE_H
#define FW_SERVE_SERVE_H

#include "fw/policy.h"
#include "serve/observe.h"
#include "wire/ws_server.h"

#define FW_SERVE_MODELS 16
#define FW_SERVE_BATCH  64

typedef struct fw_serve_model {
    const char *name;  /* part of a path: letters, digits, '-', '_', '.' */
    fw_policy *policy; /* borrowed until fw_serve_stop; only its worker calls it */
} fw_serve_model;

typedef struct fw_serve_opts {
    const fw_serve_model *model; /* [n_model] */
    int n_model;
    fw_ws_server_opts net;
    fw_key_map map;             /* for all of them */
    const char *default_prompt; /* NULL: an observation without words is refused */
    int max_batch;              /* observations in one inference; 0: 1 */
    double batch_wait_ms;       /* how long the first of them waits for others */
    double deadline_ms;         /* from arrival to the beginning of inference; 0: none */
    int max_queue;              /* observations waiting for a model; 0: 128 */
    int hello_ms;               /* see above; 0: 100 */
} fw_serve_opts;

typedef struct fw_serve fw_serve;
/* *out owned: fw_serve_stop. FW_INVALID for names and keys that do not fit; errors of the network as fw_ws_server_start. */
FW_NODISCARD fw_status fw_serve_start(const fw_serve_opts *o, fw_serve **out, fw_err *err);
int fw_serve_port(const fw_serve *s);
/* Refuse new connections and observations, answer those that are waiting, close; at most wait_ms. NULL is fine. */
void fw_serve_stop(fw_serve *s, int wait_ms);

#endif /* FW_SERVE_SERVE_H */
