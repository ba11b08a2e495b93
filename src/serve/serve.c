/* serve.c - WHAT: the server put together; see serve.h */
#include "serve/serve.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/serve_int.h"

/* ---- events ---- */

static int may_upgrade(void *self, const fw_ws_request *q, char *why, size_t cap) {
    const fw_serve *s = self;
    const char *names[FW_SERVE_MODELS];
    route r;
    for (int i = 0; i < s->n_model; i++) {
        names[i] = s->model[i].name;
    }
    return fw_route(q->path, names, s->n_model, &r, why, cap);
}

static void *on_open(void *self, fw_ws_id id, const fw_ws_request *r) {
    return fw_serve_session_new(self, id, r->path);
}

static void on_message(void *self, void *c, fw_ws_id id, fw_buf *m, bool text) {
    fw_serve *s = self;
    if (c == NULL) {
        fw_ws_send(s->ws, id, &(fw_buf){0}, &(fw_ws_out){.close = 1011, .reason = "no memory for a session"});
        return;
    }
    fw_serve_session_message(c, m, text);
}

static void on_sent(void *self, void *c, fw_ws_id id) {
    (void)self, (void)id;
    if (c != NULL) {
        fw_serve_session_sent(c);
    }
}

static void on_timer(void *self, void *c, fw_ws_id id) {
    (void)self, (void)id;
    if (c != NULL) {
        fw_serve_session_timer(c);
    }
}

static void on_closed(void *self, void *c, fw_ws_id id) {
    (void)self;
    if (c != NULL) {
        fw_info("connection %llu: closed after %lld observations", (unsigned long long)id,
                (long long)((session *)c)->requests);
        fw_serve_session_drop(c);
    }
}

/* ---- start and stop ---- */

static fw_status check_name(const fw_serve *s, const char *name, fw_err *err) {
    const size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
    if (n == 0 || name[n] != 0 || n >= FW_NAME_MAX || strcmp(name, "openpi") == 0 || strcmp(name, "vla-eval") == 0) {
        return fw_fail(err, FW_INVALID,
                       "a model called '%s': wanted letters, digits, - _ . (and neither openpi nor vla-eval)", name);
    }
    for (int i = 0; i < s->n_model; i++) {
        if (strcmp(s->model[i].name, name) == 0) {
            return fw_fail(err, FW_INVALID, "two models are called '%s'", name);
        }
    }
    return FW_OK;
}

static fw_status add_model(fw_serve *s, const fw_serve_model *from, fw_err *err) {
    model *m = &s->model[s->n_model];
    fw_policy_info info;
    FW_TRY(check_name(s, from->name, err));
    fw_policy_describe(from->policy, &info);
    fw_status st = fw_key_map_check(&s->o.map, info.embodiment, err);
    if (st != FW_OK) {
        return fw_fail_in(err, st, "model '%s'", from->name);
    }
    m->s = s;
    m->policy = from->policy;
    strcpy(m->name, from->name);
    s->n_model++; /* from here on it is stopped */
    return fw_model_start(m, err);
}

static fw_status start(fw_serve *s, fw_err *err) {
    const fw_ws_events on = {.ctx = s,
                             .http = fw_serve_page,
                             .open_page = fw_serve_page_is_open,
                             .accept = may_upgrade,
                             .open = on_open,
                             .message = on_message,
                             .sent = on_sent,
                             .timer = on_timer,
                             .closed = on_closed};
    if (s->o.n_model < 1 || s->o.n_model > FW_SERVE_MODELS) {
        return fw_fail(err, FW_INVALID, "%d models, wanted 1 to %d", s->o.n_model, FW_SERVE_MODELS);
    }
    for (int i = 0; i < s->o.n_model; i++) {
        FW_TRY(add_model(s, &s->o.model[i], err));
    }
    return fw_ws_server_start(&s->o.net, &on, &s->ws, err);
}

fw_status fw_serve_start(const fw_serve_opts *o, fw_serve **out, fw_err *err) {
    fw_serve *s = calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a server");
    }
    s->o = *o;
    s->o.max_queue = o->max_queue > 0 ? o->max_queue : 128;
    s->o.hello_ms = o->hello_ms > 0 ? o->hello_ms : 100;
    s->default_prompt = o->default_prompt != NULL ? strdup(o->default_prompt) : NULL;
    atomic_store(&s->max_batch, o->max_batch < 1 ? 1 : o->max_batch > FW_SERVE_BATCH ? FW_SERVE_BATCH : o->max_batch);
    atomic_store(&s->batch_wait_ms, o->batch_wait_ms);
    fw_status st = o->default_prompt != NULL && s->default_prompt == NULL
                       ? fw_fail(err, FW_NOMEM, "no memory for a prompt")
                       : start(s, err);
    if (st != FW_OK) {
        fw_serve_stop(s, 0);
        return st;
    }
    *out = s;
    return FW_OK;
}

int fw_serve_port(const fw_serve *s) {
    return fw_ws_server_port(s->ws);
}

void fw_serve_stop(fw_serve *s, int wait_ms) {
    if (s == NULL) {
        return;
    }
    const int64_t until = fw_now_ns() + (int64_t)wait_ms * 1000000;
    atomic_store(&s->draining, true);
    if (s->ws != NULL) {
        fw_ws_server_refuse(s->ws);
    }
    while (atomic_load(&s->under_way) > 0 && fw_now_ns() < until) {
        usleep(2000);
    }
    const int64_t left = (until - fw_now_ns()) / 1000000;
    fw_ws_server_stop(s->ws, left < 500 ? 500 : (int)left);
    atomic_store(&s->stop, true);
    for (int i = 0; i < s->n_model; i++) {
        fw_model_stop(&s->model[i]);
    }
    fw_ws_server_free(s->ws); /* workers may have handed it answers until now */
    free(s->default_prompt);
    free(s);
}
