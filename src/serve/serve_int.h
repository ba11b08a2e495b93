/* serve_int.h - inside the server: sessions, requests, models */
#ifndef FW_SERVE_SERVE_INT_H
#define FW_SERVE_SERVE_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "serve/metrics.h"
#include "serve/serve.h"

enum { FW_SESSION_WAITING = 8 }; /* observations of one connection that may be under way; then it is not read */

typedef enum fw_protocol { FW_PROTOCOL_UNKNOWN, FW_PROTOCOL_OPENPI, FW_PROTOCOL_VLA_EVAL } fw_protocol;

typedef struct model model;

/* A connection. The service thread's, except what says otherwise; freed with its last reference. */
typedef struct session {
    fw_serve *s;
    fw_ws_id id;
    atomic_int refs;
    fw_protocol protocol;
    model *model; /* NULL until it is known */
    bool greeted; /* openpi: metadata are sent */
    bool paused;
    atomic_int waiting; /* observations under way */
    bool answering;     /* openpi: the next message that leaves is an answer */
    int64_t requests, since_ns, prev_total_ns;
    bool warned; /* of a missing camera; worker's */
    /* vla-eval: what is left of the chunk, a row an observation */
    pthread_mutex_t lock; /* of the three */
    float *rows;          /* [n_rows, n_action], owned */
    int next_row, n_rows;
} session;

/* An observation on its way. */
typedef struct request {
    struct request *next;
    session *session; /* referenced */
    model *model;
    fw_protocol protocol;
    int64_t seq; /* vla-eval */
    fw_buf message;
    fw_mp_doc doc; /* of message */
    const msgpack_object *obs;
    int64_t came_ns, begun_ns;
    int64_t prev_total_ns; /* openpi: of the request before, 0: none */
    fw_observed seen;
    double decode_ms;
} request;

struct model {
    fw_serve *s;
    char name[FW_NAME_MAX];
    fw_policy *policy;
    fw_policy_info info;
    pthread_t worker;
    bool running;
    fw_metrics metrics;
    pthread_mutex_t lock; /* of the three */
    pthread_cond_t more;
    request *first, **end;
    int n_waiting;
    /* the worker's */
    float *actions; /* [FW_SERVE_BATCH, horizon, n_action] */
    fw_obs obs[FW_SERVE_BATCH];
    fw_chunk chunk[FW_SERVE_BATCH];
};

struct fw_serve {
    fw_serve_opts o;
    char *default_prompt;
    fw_ws_server *ws;
    int n_model;
    model model[FW_SERVE_MODELS];
    atomic_int max_batch;
    _Atomic double batch_wait_ms;
    atomic_bool draining, stop;
    atomic_int under_way; /* requests */
};

/* model.c */
FW_NODISCARD fw_status fw_model_start(model *m, fw_err *err);
void fw_model_stop(model *m); /* what waits is thrown away */
/* r is consumed. FW_AGAIN names the limit when too many wait: then r stays the caller's. */
FW_NODISCARD fw_status fw_model_put(model *m, request *r, fw_err *err);
int fw_model_waiting(model *m);
void fw_request_free(request *r);

/* session.c: protocols */
session *fw_serve_session_new(fw_serve *s, fw_ws_id id, const char *path);
void fw_serve_session_drop(session *c);
void fw_serve_session_timer(session *c);
void fw_serve_session_message(session *c, fw_buf *m, bool text);
void fw_serve_session_sent(session *c);
/* The answers of a request; any thread. */
void fw_answer_chunk(request *r, const fw_chunk *chunk, double infer_ms, int batch);
void fw_answer_error(request *r, const fw_err *err);

/* route.c: what a path says. 0 or an HTTP status and why. */
typedef struct route {
    fw_protocol protocol;
    int model; /* index; -1: not said */
} route;
int fw_route(const char *path, const char *const *names, int n, route *out, char *why, size_t cap);

/* pages.c */
void fw_serve_page(void *serve, const fw_ws_request *r, fw_http_reply *reply);
bool fw_serve_page_is_open(void *serve, const char *path);

#endif /* FW_SERVE_SERVE_INT_H */
