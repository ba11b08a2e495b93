/* ws_client.c - WHAT: one connection, its thread, what came and what is to go; see ws_client.h */
#include "wire/ws_client.h"

#include <libwebsockets.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "wire/lws_log.h"

enum { PIECE = 1 << 20, SERV_BUF = 256 << 10, INBOX = 64 };

typedef struct letter {
    struct letter *next;
    fw_buf buf;
    size_t at;
    bool text;
} letter;

typedef enum state { CONNECTING, OPEN, CLOSED } state;

struct fw_ws_client {
    fw_ws_url url;
    char header[600]; /* of Authorization */
    size_t max_message;
    struct lws_context *lws;
    struct lws_protocols protocols[2];
    struct lws *wsi; /* the thread's */
    fw_buf rx;       /* the thread's */
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t news;
    state state;
    bool stop, told; /* told: the server said why it closes */
    fw_err why;      /* once CLOSED */
    letter *in, **in_end, *out, **out_end;
    int n_in;
};

/* ---- URL ---- */

fw_status fw_ws_url_parse(const char *text, fw_ws_url *out, fw_err *err) {
    fw_ws_url u = {0};
    const char *s = text, *end;
    if (strncmp(s, "wss://", 6) == 0) {
        u.tls = true;
        s += 6;
    } else if (strncmp(s, "ws://", 5) == 0) {
        s += 5;
    } else if (strstr(s, "://") != NULL) {
        return fw_fail(err, FW_INVALID, "'%.100s': wanted ws://HOST:PORT/PATH or wss://...", text);
    }
    const size_t n = strcspn(s, ":/?#");
    if (n == 0 || n >= sizeof u.host || strlen(s + n) >= sizeof u.path) {
        return fw_fail(err, FW_INVALID, "'%.100s': no host, or too long", text);
    }
    memcpy(u.host, s, n);
    s += n;
    u.port = u.tls ? 443 : 80;
    if (*s == ':') {
        const long port = strtol(s + 1, (char **)(uintptr_t)&end, 10);
        if (end == s + 1 || port < 1 || port > 65535 || (*end != 0 && *end != '/')) {
            return fw_fail(err, FW_INVALID, "'%.100s': wanted a port of 1 to 65535", text);
        }
        u.port = (int)port;
        s = end;
    }
    for (const char *c = s; *c != 0; c++) {
        if ((unsigned char)*c <= ' ' || *c == 127) {
            return fw_fail(err, FW_INVALID, "'%.100s': a space or control character in the path", text);
        }
    }
    snprintf(u.path, sizeof u.path, "%s%s", *s == '/' ? "" : "/", s);
    *out = u;
    return FW_OK;
}

/* ---- the thread ---- */

static void set_state(fw_ws_client *c, state to, fw_status code, const char *what, size_t n) {
    pthread_mutex_lock(&c->lock);
    if (c->state != CLOSED) {
        c->state = to;
        if (to == CLOSED && !c->told) {
            fw_fail(&c->why, code, "%s:%d: %.*s", c->url.host, c->url.port, (int)(n < 150 ? n : 150), what);
        }
    }
    pthread_cond_broadcast(&c->news);
    pthread_mutex_unlock(&c->lock);
}

static void closed(fw_ws_client *c, const char *what) {
    set_state(c, CLOSED, FW_CLOSED, what, strlen(what));
    c->wsi = NULL;
}

/* A close frame: two bytes of code, then a reason. */
static void said_why(fw_ws_client *c, const unsigned char *in, size_t n) {
    pthread_mutex_lock(&c->lock);
    if (c->state != CLOSED) {
        fw_fail(&c->why, FW_CLOSED, "%s:%d: the server closed the connection: %d %.*s", c->url.host, c->url.port,
                n >= 2 ? in[0] << 8 | in[1] : 1005, n > 2 ? (int)(n - 2) : 0, n > 2 ? (const char *)in + 2 : "");
        c->told = true;
    }
    pthread_mutex_unlock(&c->lock);
}

static void put_in(fw_ws_client *c, bool text) {
    letter *l = calloc(1, sizeof *l);
    pthread_mutex_lock(&c->lock);
    if (l != NULL && c->n_in < INBOX) {
        l->buf = c->rx;
        l->text = text;
        *c->in_end = l;
        c->in_end = &l->next;
        c->n_in++;
        l = NULL;
        c->rx = (fw_buf){0};
    }
    pthread_cond_broadcast(&c->news);
    pthread_mutex_unlock(&c->lock);
    free(l);
    fw_buf_free(&c->rx);
}

static int receive(fw_ws_client *c, const void *in, size_t n) {
    const size_t left = lws_remaining_packet_payload(c->wsi);
    fw_err err = {0};
    lws_validity_confirmed(c->wsi);
    if (left > c->max_message || c->rx.n + n + left > c->max_message) {
        fw_fail(&err, FW_FORMAT, "a message is longer than %zu bytes", c->max_message);
    } else if (fw_buf_reserve(&c->rx, c->rx.n + n + left, &err) == FW_OK) {
        err.code = fw_buf_put(&c->rx, in, n, &err);
    }
    if (err.code != FW_OK) {
        set_state(c, CLOSED, err.code, err.msg, strlen(err.msg));
        return -1;
    }
    if (lws_is_final_fragment(c->wsi) && left == 0) {
        put_in(c, !lws_frame_is_binary(c->wsi));
    }
    return 0;
}

static letter *first_out(fw_ws_client *c) {
    pthread_mutex_lock(&c->lock);
    letter *l = c->out;
    pthread_mutex_unlock(&c->lock);
    return l;
}

static int write_some(fw_ws_client *c) {
    letter *l = first_out(c); /* only this thread takes it away */
    if (l == NULL) {
        return 0;
    }
    const size_t left = l->buf.n - l->at, n = left > PIECE ? PIECE : left;
    const int flags = lws_write_ws_flags(l->text ? LWS_WRITE_TEXT : LWS_WRITE_BINARY, l->at == 0, n == left);
    if (lws_write(c->wsi, fw_buf_data(&l->buf) + l->at, n, (enum lws_write_protocol)flags) < (int)n) {
        return -1;
    }
    l->at += n;
    if (l->at == l->buf.n) {
        pthread_mutex_lock(&c->lock);
        c->out = l->next;
        c->out_end = c->out == NULL ? &c->out : c->out_end;
        pthread_mutex_unlock(&c->lock);
        fw_buf_free(&l->buf);
        free(l);
    }
    lws_callback_on_writable(c->wsi);
    return 0;
}

static int add_key(fw_ws_client *c, struct lws *wsi, void *in, size_t n) {
    unsigned char **p = in, *end = *p + n;
    return c->header[0] != 0 &&
                   lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, (unsigned char *)c->header,
                                                (int)strlen(c->header), p, end) != 0
               ? -1
               : 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in, size_t n) {
    fw_ws_client *c = lws_context_user(lws_get_context(wsi));
    switch (why) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return add_key(c, wsi, in, n);
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        set_state(c, OPEN, FW_OK, "", 0);
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        closed(c, in != NULL ? in : "cannot connect");
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return receive(c, in, n);
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return write_some(c);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        said_why(c, in, n);
        return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
        closed(c, "the connection broke off");
        return 0;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        if (c->wsi != NULL && first_out(c) != NULL) {
            lws_callback_on_writable(c->wsi);
        }
        return 0;
    default:
        return lws_callback_http_dummy(wsi, why, user, in, n);
    }
}

static void connect_it(fw_ws_client *c) {
    struct lws_client_connect_info i = {0};
    static const lws_retry_bo_t quiet = {.secs_since_valid_ping = 65535, .secs_since_valid_hangup = 65535};
    i.context = c->lws;
    i.address = i.host = c->url.host; /* no origin: that is what browsers say */
    i.port = c->url.port;
    i.path = c->url.path;
    i.protocol = NULL;
    i.local_protocol_name = "flywheel";
    i.retry_and_idle_policy = &quiet;
    i.ssl_connection = c->url.tls ? LCCSCF_USE_SSL : 0;
    i.pwsi = &c->wsi;
    if (lws_client_connect_via_info(&i) == NULL) {
        closed(c, "cannot connect"); /* unless it was said better before */
    }
}

static bool stopped(fw_ws_client *c) {
    pthread_mutex_lock(&c->lock);
    const bool stop = c->stop;
    pthread_mutex_unlock(&c->lock);
    return stop;
}

static void *run(void *self) {
    fw_ws_client *c = self;
    connect_it(c);
    while (!stopped(c) && lws_service(c->lws, 0) >= 0) {
    }
    return NULL;
}

/* ---- the caller ---- */

static fw_status make_context(fw_ws_client *c, const fw_ws_client_opts *o, int timeout_ms, fw_err *err) {
    struct lws_context_creation_info ci = {0};
    c->protocols[0] = (struct lws_protocols){.name = "flywheel", .callback = on_event};
    ci.port = CONTEXT_PORT_NO_LISTEN;
    ci.protocols = c->protocols;
    ci.user = c;
    ci.pt_serv_buf_size = SERV_BUF;
    ci.fd_limit_per_thread = 16; /* else a table for as many as the process may have */
    ci.timeout_secs = (unsigned)(timeout_ms / 1000 + 1);
    ci.connect_timeout_secs = ci.timeout_secs;
    ci.ka_time = 60, ci.ka_probes = 3, ci.ka_interval = 20;
    if (c->url.tls) {
        ci.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        ci.client_ssl_ca_filepath = o->ca;
    }
    fw_lws_log_init();
    c->lws = lws_create_context(&ci);
    return c->lws != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "no memory for a websocket");
}

static fw_status new_client(const fw_ws_client_opts *o, int timeout_ms, fw_ws_client *c, fw_err *err) {
    pthread_condattr_t a;
    c->in_end = &c->in;
    c->out_end = &c->out;
    c->max_message = o->max_message > 0 ? o->max_message : (size_t)64 << 20;
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&c->news, &a);
    pthread_condattr_destroy(&a);
    FW_TRY(fw_ws_url_parse(o->url, &c->url, err));
    if (o->api_key != NULL &&
        (size_t)snprintf(c->header, sizeof c->header, "Api-Key %s", o->api_key) >= sizeof c->header) {
        return fw_fail(err, FW_INVALID, "an API key of %zu characters", strlen(o->api_key));
    }
    FW_TRY(make_context(c, o, timeout_ms, err));
    if (pthread_create(&c->thread, NULL, run, c) != 0) {
        lws_context_destroy(c->lws);
        c->lws = NULL;
        return fw_fail(err, FW_NOMEM, "no thread for a websocket");
    }
    return FW_OK;
}

/* Until there is news, with the lock held. false: past `until`. */
static bool wait_news(fw_ws_client *c, int64_t until_ns) {
    const struct timespec t = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    return pthread_cond_timedwait(&c->news, &c->lock, &t) == 0;
}

fw_status fw_ws_client_open(const fw_ws_client_opts *o, int timeout_ms, fw_ws_client **out, fw_err *err) {
    const int64_t until = fw_now_ns() + (int64_t)timeout_ms * 1000000;
    fw_ws_client *c = calloc(1, sizeof *c);
    *out = NULL;
    if (c == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a websocket");
    }
    fw_status st = new_client(o, timeout_ms, c, err);
    if (st == FW_OK) {
        pthread_mutex_lock(&c->lock);
        while (c->state == CONNECTING && wait_news(c, until)) {
        }
        st = c->state == OPEN ? FW_OK
             : c->state == CLOSED
                 ? fw_fail(err, c->why.code, "%s", c->why.msg)
                 : fw_fail(err, FW_TIMEOUT, "%s:%d: no connection within %d ms", c->url.host, c->url.port, timeout_ms);
        pthread_mutex_unlock(&c->lock);
    }
    if (st != FW_OK) {
        fw_ws_client_close(c);
        return st;
    }
    *out = c;
    return FW_OK;
}

fw_status fw_ws_client_send(fw_ws_client *c, fw_buf *m, bool text, fw_err *err) {
    letter *l = calloc(1, sizeof *l);
    fw_status st = l != NULL ? FW_OK : fw_fail(err, FW_NOMEM, "no memory for a message");
    pthread_mutex_lock(&c->lock);
    if (st == FW_OK && c->state != OPEN) {
        st = fw_fail(err, c->why.code, "%s", c->why.msg);
    }
    if (st == FW_OK) {
        l->buf = *m;
        l->text = text;
        *c->out_end = l;
        c->out_end = &l->next;
        *m = (fw_buf){0};
        l = NULL;
        lws_cancel_service(c->lws);
    }
    pthread_mutex_unlock(&c->lock);
    free(l);
    fw_buf_free(m);
    return st;
}

fw_status fw_ws_client_recv(fw_ws_client *c, int timeout_ms, fw_buf *m, bool *text, fw_err *err) {
    const int64_t until = fw_now_ns() + (int64_t)timeout_ms * 1000000;
    fw_status st = FW_OK;
    *m = (fw_buf){0};
    pthread_mutex_lock(&c->lock);
    while (c->in == NULL && c->state == OPEN && wait_news(c, until)) {
    }
    letter *l = c->in;
    if (l != NULL) {
        c->in = l->next;
        c->in_end = c->in == NULL ? &c->in : c->in_end;
        c->n_in--;
        *m = l->buf;
        *text = l->text;
    } else {
        st = c->state == CLOSED
                 ? fw_fail(err, c->why.code, "%s", c->why.msg)
                 : fw_fail(err, FW_TIMEOUT, "%s:%d: no answer within %d ms", c->url.host, c->url.port, timeout_ms);
    }
    pthread_mutex_unlock(&c->lock);
    free(l);
    return st;
}

static void free_letters(letter *l) {
    while (l != NULL) {
        letter *next = l->next;
        fw_buf_free(&l->buf);
        free(l);
        l = next;
    }
}

void fw_ws_client_close(fw_ws_client *c) {
    if (c == NULL) {
        return;
    }
    if (c->lws != NULL) {
        pthread_mutex_lock(&c->lock);
        c->stop = true;
        pthread_mutex_unlock(&c->lock);
        lws_cancel_service(c->lws);
        pthread_join(c->thread, NULL);
        lws_context_destroy(c->lws);
    }
    free_letters(c->in);
    free_letters(c->out);
    fw_buf_free(&c->rx);
    pthread_cond_destroy(&c->news);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
