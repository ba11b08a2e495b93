/*
 * session.c - WHAT: one connection's conversation, in openpi's protocol or vla-eval's.
 *
 * openpi: the server speaks first (a map about the policy), then answers each observation with a map; a failure is a text, and the end
 * of the connection (1011). vla-eval: the client speaks first (hello); every message is {type, payload, seq, timestamp}; an observation is
 * answered by one action of the chunk, the policy is asked again when those that it wants executed are used up; a failure is a message.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/embodiment.h"
#include "base/log.h"
#include "serve/serve_int.h"
#include "wire/mp_json.h"

static const char *const openpi_reason = "Internal server error. Traceback included in previous frame.";

/* ---- life ---- */

session *fw_serve_session_new(fw_serve *s, fw_ws_id id, const char *path) {
    session *c = calloc(1, sizeof *c);
    const char *names[FW_SERVE_MODELS];
    char why[256];
    route r;
    if (c == NULL) {
        fw_error("no memory for connection %llu", (unsigned long long)id);
        return NULL;
    }
    for (int i = 0; i < s->n_model; i++) {
        names[i] = s->model[i].name;
    }
    c->s = s;
    c->id = id;
    atomic_store(&c->refs, 1);
    pthread_mutex_init(&c->lock, NULL);
    fw_route(path, names, s->n_model, &r, why, sizeof why); /* refused before the upgrade otherwise */
    c->protocol = r.protocol;
    if (r.model >= 0) {
        c->model = &s->model[r.model];
    }
    fw_ws_timer(s->ws, id, c->protocol == FW_PROTOCOL_OPENPI ? 1 : s->o.hello_ms);
    return c;
}

void fw_serve_session_drop(session *c) {
    if (c != NULL && atomic_fetch_sub(&c->refs, 1) == 1) {
        pthread_mutex_destroy(&c->lock);
        free(c->rows);
        free(c);
    }
}

static void send_out(session *c, fw_mp_out *o) {
    fw_buf b;
    fw_err err = {0};
    if (fw_mp_end(o, &b, &err) != FW_OK) {
        fw_ws_send(c->s->ws, c->id, &b, &(fw_ws_out){.close = 1011, .reason = err.msg});
        return;
    }
    fw_ws_send(c->s->ws, c->id, &b, &(fw_ws_out){0});
}

static model *model_called(fw_serve *s, const char *name) {
    for (int i = 0; i < s->n_model; i++) {
        if (strcmp(s->model[i].name, name) == 0) {
            return &s->model[i];
        }
    }
    return NULL;
}

/* The model that the message asks for, else the session's, else the first. */
static fw_status pick_model(session *c, const msgpack_object *payload, fw_err *err) {
    char name[FW_NAME_MAX];
    if (fw_mp_text(fw_mp_get(payload, "model"), name, sizeof name)) {
        model *m = model_called(c->s, name);
        if (m == NULL) {
            return fw_fail(err, FW_INVALID, "no model '%s' here; the first is '%s'", name, c->s->model[0].name);
        }
        c->model = m;
    }
    if (c->model == NULL) {
        c->model = &c->s->model[0];
    }
    return FW_OK;
}

/* ---- openpi: metadata ---- */

static void greet_openpi(session *c) {
    const model *m = c->model != NULL ? c->model : &c->s->model[0];
    json_t *e = fw_embodiment_to_json(m->info.embodiment);
    fw_mp_out o;
    fw_mp_begin(&o);
    fw_mp_map(&o, e != NULL ? 10 : 9);
    fw_mp_str(&o, "server"), fw_mp_str(&o, "flywheel");
    fw_mp_str(&o, "model"), fw_mp_str(&o, m->name);
    fw_mp_str(&o, "models"), fw_mp_array(&o, (size_t)c->s->n_model);
    for (int i = 0; i < c->s->n_model; i++) {
        fw_mp_str(&o, c->s->model[i].name);
    }
    fw_mp_str(&o, "policy"), fw_mp_str(&o, m->info.name);
    fw_mp_str(&o, "horizon"), fw_mp_int(&o, m->info.horizon);
    fw_mp_str(&o, "n_execute"), fw_mp_int(&o, m->info.n_execute);
    fw_mp_str(&o, "max_delay"), fw_mp_int(&o, m->info.max_delay);
    fw_mp_str(&o, "guided"), fw_mp_bool(&o, m->info.guided);
    fw_mp_str(&o, "wants_motion"), fw_mp_bool(&o, m->info.wants_motion);
    if (e != NULL) {
        fw_mp_str(&o, "embodiment"), fw_mp_put_json(&o, e);
        json_decref(e);
    }
    c->protocol = FW_PROTOCOL_OPENPI;
    c->greeted = true;
    c->since_ns = fw_now_ns();
    fw_info("connection %llu: openpi, model %s", (unsigned long long)c->id, m->name);
    send_out(c, &o);
}

void fw_serve_session_timer(session *c) {
    if (!c->greeted && c->protocol != FW_PROTOCOL_VLA_EVAL) {
        greet_openpi(c);
    }
}

/* ---- vla-eval: messages ---- */

static double wall_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void vla_begin(fw_mp_out *o, const char *type) {
    fw_mp_begin(o);
    fw_mp_map(o, 4);
    fw_mp_str(o, "type"), fw_mp_str(o, type);
    fw_mp_str(o, "payload");
}

static void vla_send(session *c, fw_mp_out *o, int64_t seq) {
    fw_mp_str(o, "seq"), fw_mp_int(o, seq);
    fw_mp_str(o, "timestamp"), fw_mp_f64(o, wall_s());
    send_out(c, o);
}

static void vla_error(session *c, int64_t seq, const char *what, const fw_err *err, const char *more) {
    char text[1600];
    fw_mp_out o;
    snprintf(text, sizeof text, "%s: %s: %s%s", what, fw_status_name(err->code), err->msg, more);
    vla_begin(&o, "error");
    fw_mp_map(&o, 1);
    fw_mp_str(&o, "error"), fw_mp_str(&o, text);
    vla_send(c, &o, seq);
}

static void vla_hello(session *c, int64_t seq) {
    const model *m = c->model;
    fw_mp_out o;
    vla_begin(&o, "hello");
    fw_mp_map(&o, 5);
    fw_mp_str(&o, "harness_version"), fw_mp_str(&o, "0.8.0");
    fw_mp_str(&o, "protocol_version"), fw_mp_int(&o, 1);
    fw_mp_str(&o, "model_server"), fw_mp_str(&o, m->name);
    fw_mp_str(&o, "capabilities"), fw_mp_map(&o, 0);
    fw_mp_str(&o, "observation_params"), fw_mp_map(&o, m->info.embodiment->n_camera > 1 ? 2 : 1);
    fw_mp_str(&o, "send_state"), fw_mp_bool(&o, true);
    if (m->info.embodiment->n_camera > 1) {
        fw_mp_str(&o, "send_wrist_image"), fw_mp_bool(&o, true);
    }
    fw_info("connection %llu: vla-eval, model %s", (unsigned long long)c->id, m->name);
    vla_send(c, &o, seq);
}

static void vla_action(session *c, const float *row, int n, int64_t seq) {
    const int64_t shape[] = {n};
    fw_mp_out o;
    vla_begin(&o, "action");
    fw_mp_map(&o, 1);
    fw_mp_str(&o, "actions"), fw_nd_put(&o, FW_ND_VLA_EVAL, "<f4", 1, shape, row);
    vla_send(c, &o, seq);
}

static void forget_rows(session *c) {
    pthread_mutex_lock(&c->lock);
    c->next_row = c->n_rows = 0;
    pthread_mutex_unlock(&c->lock);
}

/* A row of the last chunk that is still to be executed. */
static bool next_row(session *c, int64_t seq) {
    float row[FW_DIM_MAX];
    const int n = c->model->info.embodiment->n_action;
    pthread_mutex_lock(&c->lock);
    const bool is = c->next_row < c->n_rows;
    if (is) {
        memcpy(row, c->rows + (size_t)c->next_row++ * (size_t)n, (size_t)n * sizeof *row);
    }
    pthread_mutex_unlock(&c->lock);
    if (is) {
        vla_action(c, row, n, seq);
    }
    return is;
}

/* ---- observations ---- */

static void openpi_fail(session *c, const char *text) {
    fw_buf b = {0};
    if (fw_buf_put(&b, text, strlen(text), NULL) != FW_OK) {
        fw_buf_free(&b);
    }
    fw_ws_send(c->s->ws, c->id, &b, &(fw_ws_out){.text = true, .close = 1011, .reason = openpi_reason});
}

static void fail(session *c, int64_t seq, const fw_err *err, const char *more) {
    char text[1600];
    fw_warn("connection %llu: %s: %s", (unsigned long long)c->id, fw_status_name(err->code), err->msg);
    if (c->protocol == FW_PROTOCOL_VLA_EVAL) {
        vla_error(c, seq, "observation_failed", err, more);
        return;
    }
    snprintf(text, sizeof text, "%s: %s%s", fw_status_name(err->code), err->msg, more);
    openpi_fail(c, text);
}

/* m and doc are consumed; obs is of doc. */
static void ask(session *c, fw_buf *m, fw_mp_doc *doc, const msgpack_object *obs, int64_t seq) {
    request *r = calloc(1, sizeof *r);
    fw_err err = {0};
    if (r == NULL) {
        fw_mp_clear(doc);
        err.code = FW_NOMEM;
        fail(c, seq, &err, "no memory for an observation");
        return;
    }
    *r = (request){.model = c->model,
                   .protocol = c->protocol,
                   .seq = seq,
                   .message = *m,
                   .doc = *doc,
                   .came_ns = fw_now_ns(),
                   .prev_total_ns = c->prev_total_ns,
                   .session = c};
    atomic_fetch_add(&c->refs, 1);
    r->obs = obs == &doc->root ? &r->doc.root : obs;
    *m = (fw_buf){0};
    c->requests++;
    c->answering = true;
    if (atomic_fetch_add(&c->waiting, 1) + 1 >= FW_SESSION_WAITING) {
        c->paused = true;
        fw_ws_pause(c->s->ws, c->id, true);
    }
    fw_status st = atomic_load(&c->s->draining) ? fw_fail(&err, FW_CLOSED, "the server is shutting down")
                                                : fw_model_put(c->model, r, &err);
    if (st != FW_OK) {
        atomic_fetch_sub(&c->waiting, 1);
        fw_metrics_failed(&c->model->metrics, err.code);
        fail(c, seq, &err, "");
        fw_request_free(r);
    }
}

static bool is_vla_eval(const msgpack_object *root) {
    return fw_mp_get(root, "type") != NULL && fw_mp_get(root, "payload") != NULL && fw_mp_get(root, "seq") != NULL;
}

static void openpi_message(session *c, fw_buf *m, fw_mp_doc *doc) {
    fw_err err = {0};
    if (!c->greeted) {
        greet_openpi(c);
    }
    if (pick_model(c, &doc->root, &err) != FW_OK) {
        fail(c, 0, &err, "");
        fw_mp_clear(doc);
        return;
    }
    ask(c, m, doc, &doc->root, 0);
}

static void vla_message(session *c, fw_buf *m, fw_mp_doc *doc) {
    const msgpack_object *payload = fw_mp_get(&doc->root, "payload");
    char type[32] = "";
    double seq = 0;
    fw_err err = {0};
    c->protocol = FW_PROTOCOL_VLA_EVAL;
    if (!fw_mp_text(fw_mp_get(&doc->root, "type"), type, sizeof type) ||
        !fw_mp_number(fw_mp_get(&doc->root, "seq"), &seq) || !(seq >= -9e15 && seq <= 9e15) || payload == NULL) {
        fw_fail(&err, FW_FORMAT, "a message wants type, payload, seq and timestamp");
    }
    const int64_t n = (int64_t)seq;
    const bool asks = strcmp(type, "error") != 0;
    if (err.code != FW_OK || (asks && pick_model(c, payload, &err) != FW_OK)) {
        vla_error(c, n, type[0] != 0 ? type : "message", &err, "");
    } else if (strcmp(type, "hello") == 0) {
        vla_hello(c, n);
    } else if (strcmp(type, "observation") == 0) {
        if (!next_row(c, n)) {
            ask(c, m, doc, payload, n);
            return;
        }
    } else if (strcmp(type, "episode_start") == 0 || strcmp(type, "episode_end") == 0) {
        forget_rows(c);
    } else if (asks) {
        fw_fail(&err, FW_FORMAT, "a message of type '%s', wanted hello, observation, episode_start, episode_end", type);
        vla_error(c, n, "message", &err, "");
    }
    fw_mp_clear(doc);
}

void fw_serve_session_message(session *c, fw_buf *m, bool text) {
    fw_mp_doc doc = {0};
    fw_err err = {0};
    const fw_status st = text ? fw_fail(&err, FW_FORMAT, "a text message, wanted msgpack in a binary one")
                              : fw_mp_parse(fw_buf_data(m), m->n, &doc, &err);
    if (st == FW_OK && doc.root.type != MSGPACK_OBJECT_MAP) {
        fw_mp_clear(&doc);
        fw_fail(&err, FW_FORMAT, "a message is a map");
    }
    if (err.code != FW_OK) {
        fail(c, 0, &err, "");
    } else if (c->protocol == FW_PROTOCOL_VLA_EVAL || (c->protocol == FW_PROTOCOL_UNKNOWN && is_vla_eval(&doc.root))) {
        vla_message(c, m, &doc);
    } else {
        openpi_message(c, m, &doc);
    }
}

void fw_serve_session_sent(session *c) {
    const int64_t now = fw_now_ns();
    if (c->answering) {
        c->prev_total_ns = now - c->since_ns;
        c->answering = false;
    }
    c->since_ns = now;
    if (c->paused && atomic_load(&c->waiting) < FW_SESSION_WAITING) {
        c->paused = false;
        fw_ws_pause(c->s->ws, c->id, false);
    }
}

/* ---- answers ---- */

static void put_ms(fw_mp_out *o, const char *key, double ms) {
    fw_mp_str(o, key), fw_mp_f64(o, ms);
}

/* openpi's map, in its order; with "timing": true in the observation also what we measured. */
static void openpi_answer(request *r, const fw_chunk *chunk, double infer_ms, int batch) {
    const size_t n = (size_t)chunk->horizon * (size_t)chunk->n_action;
    const int64_t shape[] = {chunk->horizon, chunk->n_action};
    const msgpack_object *timing = fw_mp_get(r->obs, "timing");
    const bool all = timing != NULL && timing->type == MSGPACK_OBJECT_BOOLEAN && timing->via.boolean;
    double *actions = malloc((n > 0 ? n : 1) * sizeof *actions);
    fw_mp_out o;
    fw_mp_begin(&o);
    o.failed = actions == NULL;
    for (size_t i = 0; i < n && actions != NULL; i++) {
        actions[i] = (double)chunk->actions[i];
    }
    fw_mp_map(&o, 3);
    fw_mp_str(&o, "actions");
    fw_nd_put(&o, FW_ND_OPENPI, "<f8", 2, shape, actions);
    fw_mp_str(&o, "policy_timing"), fw_mp_map(&o, 1);
    put_ms(&o, "infer_ms", infer_ms);
    fw_mp_str(&o, "server_timing"), fw_mp_map(&o, 1 + (r->prev_total_ns > 0) + (all ? 3 : 0));
    put_ms(&o, "infer_ms", 1e-6 * (double)(fw_now_ns() - r->begun_ns));
    if (r->prev_total_ns > 0) {
        put_ms(&o, "prev_total_ms", 1e-6 * (double)r->prev_total_ns);
    }
    if (all) {
        put_ms(&o, "queue_ms", 1e-6 * (double)(r->begun_ns - r->came_ns));
        put_ms(&o, "decode_ms", r->decode_ms);
        fw_mp_str(&o, "batch"), fw_mp_int(&o, batch);
    }
    free(actions);
    send_out(r->session, &o);
}

/* The first row, and those to be executed behind it for the observations to come. */
static void vla_answer(request *r, const fw_chunk *chunk) {
    session *c = r->session;
    const size_t wide = (size_t)chunk->n_action;
    int keep = r->model->info.n_execute < chunk->horizon ? r->model->info.n_execute - 1 : chunk->horizon - 1;
    keep = keep < 0 ? 0 : keep;
    pthread_mutex_lock(&c->lock);
    float *rows = realloc(c->rows, ((size_t)keep + 1) * wide * sizeof *rows);
    if (rows != NULL) {
        memcpy(rows, chunk->actions + wide, (size_t)keep * wide * sizeof *rows);
        c->rows = rows;
    }
    c->next_row = 0;
    c->n_rows = rows != NULL ? keep : 0;
    pthread_mutex_unlock(&c->lock);
    vla_action(c, chunk->actions, chunk->n_action, r->seq);
}

void fw_answer_chunk(request *r, const fw_chunk *chunk, double infer_ms, int batch) {
    const uint64_t bytes = (uint64_t)chunk->horizon * (uint64_t)chunk->n_action * 8;
    atomic_fetch_sub(&r->session->waiting, 1); /* before the answer leaves: then it is looked at */
    if (r->protocol == FW_PROTOCOL_VLA_EVAL) {
        vla_answer(r, chunk);
    } else {
        openpi_answer(r, chunk, infer_ms, batch);
    }
    fw_metrics_ok(&r->model->metrics, 1e-9 * (double)(r->begun_ns - r->came_ns), 1e-3 * infer_ms,
                  1e-9 * (double)(fw_now_ns() - r->came_ns), bytes);
}

void fw_answer_error(request *r, const fw_err *err) {
    char there[900] = "", more[960] = "";
    atomic_fetch_sub(&r->session->waiting, 1);
    if (err->code == FW_SHAPE || err->code == FW_FORMAT) {
        fw_observe_list(r->obs, there, sizeof there);
        snprintf(more, sizeof more, "\nthe observation has: %s", there);
    }
    fail(r->session, r->seq, err, more);
}
