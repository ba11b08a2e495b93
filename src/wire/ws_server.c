/* ws_server.c - WHAT: the service thread, its connections and their queues; see ws_server.h */
#include "wire/ws_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libwebsockets.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "wire/lws_log.h"

_Static_assert(LWS_PRE <= FW_BUF_HEAD, "room for the header that libwebsockets writes before a message");

enum { TX_PIECE = 1 << 20, SERV_BUF = 512 << 10, SWEEP_US = 250000, OUT_MAX = 16 };

/* A message on its way out. */
typedef struct letter {
    struct letter *next;
    fw_ws_id id;
    fw_buf buf;
    size_t at; /* bytes that have left */
    bool text;
    int close;
    char reason[FW_WS_REASON_MAX + 1];
} letter;

/* A connection: libwebsockets' per-session memory, zeroed. Everything is of the service thread. */
typedef struct conn {
    struct lws *wsi;
    fw_ws_id id; /* 0: no websocket */
    void *session;
    fw_buf rx;
    bool dropping;        /* the message is too long: its bytes are thrown away */
    int64_t rx_since;     /* ns, when the message that is coming began; 0: none */
    letter *first, *last; /* to be sent */
    int n_out;            /* of them: from OUT_MAX on, a peer that does not listen is not listened to */
    bool paused, still;   /* fw_ws_pause; libwebsockets does not read */
    int64_t tx_since;     /* ns, when the first of them began to wait; 0: none */
    bool closing;
    char *page; /* body of an HTTP reply */
    size_t page_n;
} conn;

/* A request's parts, copied out of libwebsockets. */
typedef struct asked {
    fw_ws_request r;
    char path[FW_WS_PATH_MAX], query[512], host[300], origin[320], authorization[640];
} asked;

struct fw_ws_server {
    fw_ws_events on;
    fw_ws_keys *keys;
    size_t max_message;
    int max_connections, port, send_buffer;
    int64_t message_ns;
    struct lws_context *lws;
    struct lws_protocols protocols[2];
    pthread_t thread;
    lws_sorted_usec_list_t sweep;
    conn **live; /* [max_connections]; service thread */
    fw_ws_id next_id;
    atomic_int n_live, unsent;
    atomic_bool refuse, stop, leave;
    pthread_mutex_t lock; /* of inbox, and of lws while it goes */
    letter *inbox, **inbox_end;
};

static conn *find(fw_ws_server *s, fw_ws_id id) {
    conn *c = s->live[id % (fw_ws_id)s->max_connections];
    return c != NULL && c->id == id ? c : NULL;
}

/* ---- out ---- */

static void drop_out(fw_ws_server *s, letter *o) {
    fw_buf_free(&o->buf);
    free(o);
    atomic_fetch_sub(&s->unsent, 1);
}

void fw_ws_send(fw_ws_server *s, fw_ws_id id, fw_buf *m, const fw_ws_out *how) {
    letter *o = calloc(1, sizeof *o);
    if (o == NULL) {
        fw_error("no memory to answer connection %llu", (unsigned long long)id);
        fw_buf_free(m);
        return;
    }
    *o = (letter){.id = id, .buf = *m, .text = how->text, .close = how->close};
    snprintf(o->reason, sizeof o->reason, "%s", how->reason != NULL ? how->reason : "");
    *m = (fw_buf){0};
    atomic_fetch_add(&s->unsent, 1);
    pthread_mutex_lock(&s->lock);
    *s->inbox_end = o;
    s->inbox_end = &o->next;
    if (s->lws != NULL) {
        lws_cancel_service(s->lws);
    }
    pthread_mutex_unlock(&s->lock);
}

/* Read of it, or not. */
static void update_flow(conn *c) {
    const bool still = c->paused || c->n_out >= OUT_MAX;
    if (still != c->still) {
        c->still = still;
        lws_rx_flow_control(c->wsi, still ? 0 : 1);
    }
}

static void queue_out(conn *c, letter *o) {
    if (c->last != NULL) {
        c->last->next = o;
    } else {
        c->first = o;
        c->tx_since = fw_now_ns();
    }
    c->last = o;
    c->n_out++;
    update_flow(c);
    lws_callback_on_writable(c->wsi);
}

/* What other threads handed over, to the connections it is for. */
static void sort_inbox(fw_ws_server *s) {
    pthread_mutex_lock(&s->lock);
    letter *o = s->inbox;
    s->inbox = NULL;
    s->inbox_end = &s->inbox;
    pthread_mutex_unlock(&s->lock);
    while (o != NULL) {
        letter *next = o->next;
        conn *c = find(s, o->id);
        o->next = NULL;
        if (c == NULL || c->closing) {
            drop_out(s, o);
        } else {
            queue_out(c, o);
        }
        o = next;
    }
}

static int close_now(conn *c, int code, const char *reason) {
    c->closing = true;
    lws_close_reason(c->wsi, (enum lws_close_status)code, (unsigned char *)(uintptr_t)reason, strlen(reason));
    return -1;
}

/* The next piece of the first message. -1: close. */
static int write_some(fw_ws_server *s, conn *c) {
    letter *o = c->first;
    if (o == NULL) {
        return 0;
    }
    size_t left = o->buf.n - o->at, n = left > TX_PIECE ? TX_PIECE : left;
    if (n > 0) {
        const int flags = lws_write_ws_flags(o->text ? LWS_WRITE_TEXT : LWS_WRITE_BINARY, o->at == 0, n == left);
        if (lws_write(c->wsi, fw_buf_data(&o->buf) + o->at, n, (enum lws_write_protocol)flags) < (int)n) {
            return -1;
        }
        o->at += n;
    }
    if (o->at < o->buf.n) {
        lws_callback_on_writable(c->wsi);
        return 0;
    }
    c->first = o->next;
    c->last = c->first == NULL ? NULL : c->last;
    c->n_out--;
    update_flow(c);
    c->tx_since = c->first == NULL ? 0 : fw_now_ns();
    int r = o->close != 0 ? close_now(c, o->close, o->reason) : 0;
    const bool message = o->buf.n > 0;
    drop_out(s, o);
    if (message && s->on.sent != NULL) {
        s->on.sent(s->on.ctx, c->session, c->id);
    }
    if (c->first != NULL) {
        lws_callback_on_writable(c->wsi);
    }
    return r;
}

/* ---- in ---- */

/* Said once all of a message that is too long has come, so that the peer is there to hear it. */
static void refuse_long(fw_ws_server *s, conn *c) {
    char text[160];
    fw_buf m = {0};
    const int n =
        snprintf(text, sizeof text, "a message is longer than the %zu bytes that this server takes", s->max_message);
    if (fw_buf_put(&m, text, (size_t)n, NULL) == FW_OK) {
        fw_ws_send(s, c->id, &m, &(fw_ws_out){.text = true, .close = 1009, .reason = text});
    }
}

static int receive(fw_ws_server *s, conn *c, const void *in, size_t n) {
    const size_t left = lws_remaining_packet_payload(c->wsi);
    fw_err err;
    c->rx_since = c->rx_since != 0 ? c->rx_since : fw_now_ns();
    lws_validity_confirmed(c->wsi);
    if (c->rx.n + n > s->max_message || left > s->max_message || c->rx.n + n + left > s->max_message) {
        c->dropping = true;
        fw_buf_free(&c->rx);
    }
    if (!c->dropping &&
        (fw_buf_reserve(&c->rx, c->rx.n + n + left, &err) != FW_OK || fw_buf_put(&c->rx, in, n, &err) != FW_OK)) {
        return close_now(c, 1011, err.msg);
    }
    if (!lws_is_final_fragment(c->wsi) || left > 0) {
        return 0;
    }
    c->rx_since = 0;
    if (c->dropping) {
        c->dropping = false;
        refuse_long(s, c);
    } else if (!c->closing) {
        fw_buf m = c->rx;
        c->rx = (fw_buf){0};
        s->on.message(s->on.ctx, c->session, c->id, &m, !lws_frame_is_binary(c->wsi));
        fw_buf_free(&m);
    }
    return 0;
}

void fw_ws_pause(fw_ws_server *s, fw_ws_id id, bool paused) {
    conn *c = find(s, id);
    if (c != NULL) {
        c->paused = paused;
        update_flow(c);
    }
}

void fw_ws_timer(fw_ws_server *s, fw_ws_id id, int ms) {
    conn *c = find(s, id);
    if (c != NULL) {
        lws_set_timer_usecs(c->wsi, (lws_usec_t)ms * 1000);
    }
}

/* ---- connections ---- */

/* libwebsockets keeps "a=1&b=2" as pieces. What does not fit is left out. */
static void copy_query(struct lws *wsi, char *out, size_t cap) {
    char piece[256];
    size_t at = 0;
    out[0] = 0;
    for (int i = 0; lws_hdr_copy_fragment(wsi, piece, sizeof piece, WSI_TOKEN_HTTP_URI_ARGS, i) > 0; i++) {
        if (at + strlen(piece) + 2 > cap) {
            return;
        }
        at += (size_t)snprintf(out + at, cap - at, "%s%s", at > 0 ? "&" : "", piece);
    }
}

/* A header that is missing is empty; one that does not fit is "?", which nobody takes for anything. */
static void copy_header(struct lws *wsi, enum lws_token_indexes which, char *out, size_t cap) {
    out[0] = 0;
    if (lws_hdr_total_length(wsi, which) > 0 && lws_hdr_copy(wsi, out, (int)cap, which) < 0) {
        snprintf(out, cap, "?");
    }
}

static void copy_request(struct lws *wsi, const char *path, asked *a) {
    snprintf(a->path, sizeof a->path, "%s", path);
    copy_query(wsi, a->query, sizeof a->query);
    copy_header(wsi, WSI_TOKEN_HOST, a->host, sizeof a->host);
    copy_header(wsi, WSI_TOKEN_ORIGIN, a->origin, sizeof a->origin);
    copy_header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, a->authorization, sizeof a->authorization);
    a->r = (fw_ws_request){a->path, a->query, a->host, a->origin, a->authorization};
}

static int opened(fw_ws_server *s, conn *c, struct lws *wsi) {
    char path[FW_WS_PATH_MAX] = "/";
    asked a;
    if (lws_hdr_copy(wsi, path, sizeof path, WSI_TOKEN_GET_URI) < 0) {
        return -1; /* looked at in upgrade(), so it is there and fits */
    }
    copy_request(wsi, path, &a);
    if (s->send_buffer > 0) {
        setsockopt(lws_get_socket_fd(wsi), SOL_SOCKET, SO_SNDBUF, &s->send_buffer, sizeof s->send_buffer);
    }
    for (int i = 0; i < s->max_connections; i++) { /* an id whose place is free */
        const fw_ws_id id = ++s->next_id;
        conn **place = &s->live[id % (fw_ws_id)s->max_connections];
        if (*place == NULL) {
            *place = c;
            c->wsi = wsi;
            c->id = id;
            atomic_fetch_add(&s->n_live, 1);
            c->session = s->on.open(s->on.ctx, id, &a.r);
            return 0;
        }
    }
    return -1;
}

static void gone(fw_ws_server *s, conn *c) {
    if (c->id != 0) {
        s->live[c->id % (fw_ws_id)s->max_connections] = NULL;
        atomic_fetch_sub(&s->n_live, 1);
        s->on.closed(s->on.ctx, c->session, c->id);
        c->id = 0;
    }
    while (c->first != NULL) {
        letter *o = c->first;
        c->first = o->next;
        drop_out(s, o);
    }
    fw_buf_free(&c->rx);
}

/* Who is too slow, or silent in the middle of a message, is cut off; at the end everybody is sent away. */
static void sweep(lws_sorted_usec_list_t *sul) {
    fw_ws_server *s = lws_container_of(sul, fw_ws_server, sweep);
    const int64_t now = fw_now_ns();
    for (int i = 0; i < s->max_connections; i++) {
        conn *c = s->live[i];
        if (c == NULL) {
            continue;
        }
        const bool slow = (c->rx_since != 0 && now - c->rx_since > s->message_ns) ||
                          (c->tx_since != 0 && now - c->tx_since > s->message_ns);
        if (slow) {
            fw_warn("connection %llu: a message took longer than %lld s: closed", (unsigned long long)c->id,
                    (long long)(s->message_ns / 1000000000));
            lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
        } else if (atomic_load(&s->leave) && c->first == NULL && !c->closing) {
            letter *bye = calloc(1, sizeof *bye);
            if (bye != NULL) {
                *bye = (letter){.id = c->id, .close = 1001, .reason = "the server is shutting down"};
                atomic_fetch_add(&s->unsent, 1);
                queue_out(c, bye);
            }
        }
    }
    lws_sul_schedule(s->lws, 0, sul, sweep, SWEEP_US);
}

/* ---- HTTP ---- */

static int http_head(struct lws *wsi, const fw_http_reply *r) {
    static const fw_http_header none[] = {{NULL, NULL}}, key[] = {{"www-authenticate:", "Api-Key"}, {NULL, NULL}};
    unsigned char buf[LWS_PRE + 2048], *start = buf + LWS_PRE, *p = start, *end = buf + sizeof buf - 1;
    if (lws_add_http_common_headers(wsi, (unsigned)r->status, r->type, r->n, &p, end) != 0) {
        return -1;
    }
    for (const fw_http_header *h = r->status == 401 ? key : r->more != NULL ? r->more : none; h->name != NULL; h++) {
        if (lws_add_http_header_by_name(wsi, (const unsigned char *)h->name, (const unsigned char *)h->value,
                                        (int)strlen(h->value), &p, end) != 0) {
            return -1;
        }
    }
    return lws_finalize_write_http_header(wsi, start, &p, end);
}

/* A whole reply at once, instead of an upgrade. libwebsockets does not know yet that the peer speaks HTTP/1.1, and would answer in 1.0, which
 * Python's clients refuse to read. */
static int http_refuse(struct lws *wsi, int status, const char *why) {
    static const struct {
        int status;
        const char *name;
    } names[] = {{401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {414, "URI Too Long"},
                 {503, "Service Unavailable"}};
    unsigned char buf[LWS_PRE + 1024];
    const char *name = "Refused";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        name = names[i].status == status ? names[i].name : name;
    }
    const int n = snprintf((char *)buf + LWS_PRE, sizeof buf - LWS_PRE,
                           "HTTP/1.1 %d %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %zu\r\n"
                           "connection: close\r\n%s\r\n%s\n",
                           status, name, strlen(why) + 1, status == 401 ? "www-authenticate: Api-Key\r\n" : "", why);
    if (n >= (int)(sizeof buf - LWS_PRE) || lws_write(wsi, buf + LWS_PRE, (size_t)n, LWS_WRITE_HTTP_HEADERS) != n) {
        return -1;
    }
    return 1; /* answered here */
}

static bool has_key(const fw_ws_server *s, struct lws *wsi) {
    char header[640] = "";
    if (s->keys == NULL) {
        return true;
    }
    return lws_hdr_copy(wsi, header, sizeof header, WSI_TOKEN_HTTP_AUTHORIZATION) > 0 &&
           fw_ws_keys_fit(s->keys, header);
}

static const char *const no_key = "this server wants a key: the header 'Authorization: Api-Key <key>'";

static int upgrade(fw_ws_server *s, struct lws *wsi) {
    char why[320] = "", path[FW_WS_PATH_MAX] = "/";
    asked a;
    if (!has_key(s, wsi)) {
        fw_warn("a websocket without a valid key is refused");
        return http_refuse(wsi, 401, no_key);
    }
    if (atomic_load(&s->refuse) || atomic_load(&s->n_live) >= s->max_connections) {
        snprintf(why, sizeof why, "%s",
                 atomic_load(&s->refuse) ? "the server is shutting down" : "as many connections as this server takes");
        return http_refuse(wsi, 503, why);
    }
    if (lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) >= (int)sizeof path ||
        lws_hdr_copy(wsi, path, sizeof path, WSI_TOKEN_GET_URI) < 0) {
        return http_refuse(wsi, 414, "the path is too long");
    }
    copy_request(wsi, path, &a);
    const int status = s->on.accept != NULL ? s->on.accept(s->on.ctx, &a.r, why, sizeof why) : 0;
    if (status != 0) {
        return http_refuse(wsi, status, why);
    }
    return 0;
}

static void ask_for_page(fw_ws_server *s, struct lws *wsi, const char *path, fw_http_reply *r) {
    const bool open = s->on.open_page != NULL && s->on.open_page(s->on.ctx, path);
    asked a;
    if (lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) <= 0) {
        r->status = 405;
    } else if (!open && !has_key(s, wsi)) {
        r->status = 401;
        r->body = strdup(no_key);
    } else if (s->on.http != NULL) {
        copy_request(wsi, path, &a);
        s->on.http(s->on.ctx, &a.r, r);
    }
    if (r->body == NULL) {
        r->body = strdup(r->status == 404 ? "not found\n" : r->status == 405 ? "only GET\n" : "");
        r->n = 0;
    }
    r->n = r->n == 0 && r->body != NULL ? strlen(r->body) : r->n;
}

static int get(fw_ws_server *s, conn *c, struct lws *wsi, const char *path) {
    fw_http_reply r = {.status = 404, .type = "text/plain; charset=utf-8"};
    ask_for_page(s, wsi, path, &r);
    free(c->page);
    c->page = r.body;
    c->page_n = r.n;
    if (c->page == NULL || http_head(wsi, &r) != 0) {
        return -1;
    }
    lws_callback_on_writable(wsi);
    return 0;
}

static int write_page(conn *c, struct lws *wsi) {
    const size_t n = c->page != NULL ? c->page_n : 0;
    unsigned char *mem = malloc(LWS_PRE + n + 1);
    int r = -1;
    if (mem != NULL) {
        memcpy(mem + LWS_PRE, c->page != NULL ? c->page : "", n);
        r = lws_write(wsi, mem + LWS_PRE, n, LWS_WRITE_HTTP_FINAL) == (int)n ? 0 : -1;
    }
    free(mem);
    free(c->page);
    c->page = NULL;
    return r == 0 && lws_http_transaction_completed(wsi) == 0 ? 0 : -1;
}

/* ---- libwebsockets ---- */

static int on_websocket(fw_ws_server *s, struct lws *wsi, enum lws_callback_reasons why, conn *c, void *in, size_t n) {
    switch (why) {
    case LWS_CALLBACK_ESTABLISHED:
        return opened(s, c, wsi);
    case LWS_CALLBACK_RECEIVE:
        return receive(s, c, in, n);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return write_some(s, c);
    case LWS_CALLBACK_TIMER:
        if (c->id != 0 && s->on.timer != NULL) {
            s->on.timer(s->on.ctx, c->session, c->id);
        }
        return 0;
    case LWS_CALLBACK_CLOSED:
        gone(s, c);
        return 0;
    default:
        return 0;
    }
}

static int on_event(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in, size_t n) {
    fw_ws_server *s = lws_context_user(lws_get_context(wsi));
    conn *c = user;
    switch (why) {
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        sort_inbox(s);
        return 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return upgrade(s, wsi);
    case LWS_CALLBACK_HTTP:
        return get(s, c, wsi, in);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return write_page(c, wsi);
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL: /* before its memory goes, also where CLOSED_HTTP never comes */
    case LWS_CALLBACK_CLOSED_HTTP:
        if (c != NULL) {
            free(c->page);
            c->page = NULL;
        }
        return 0;
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_TIMER:
    case LWS_CALLBACK_CLOSED:
        return on_websocket(s, wsi, why, c, in, n);
    default:
        return lws_callback_http_dummy(wsi, why, user, in, n);
    }
}

static void *serve(void *self) {
    fw_ws_server *s = self;
    while (!atomic_load(&s->stop) && lws_service(s->lws, 0) >= 0) {
    }
    return NULL;
}

/* ---- start and stop ---- */

/* libwebsockets only logs why it cannot listen. */
static fw_status try_to_bind(const char *host, int port, fw_err *err) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1) {
        return FW_OK; /* an interface */
    }
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0) {
        return fw_fail(err, FW_IO, "socket: %s", strerror(errno));
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    fw_status st = bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 1) == 0
                       ? FW_OK
                       : fw_fail(err, FW_IO, "cannot listen on %s:%d: %s", host, port, strerror(errno));
    close(fd);
    return st;
}

static fw_status check_opts(const fw_ws_server_opts *o, fw_err *err) {
    const char *file[] = {o->cert, o->key};
    if ((o->cert == NULL) != (o->key == NULL)) {
        return fw_fail(err, FW_INVALID, "TLS wants both a certificate and its key");
    }
    for (int i = 0; i < 2; i++) {
        if (file[i] != NULL && access(file[i], R_OK) != 0) {
            return fw_fail(err, FW_IO, "%s: %s", file[i], strerror(errno));
        }
    }
    return try_to_bind(o->host != NULL ? o->host : "127.0.0.1", o->port, err);
}

static fw_status make_context(fw_ws_server *s, const fw_ws_server_opts *o, fw_err *err) {
    const char *host = o->host != NULL ? o->host : "127.0.0.1";
    static const lws_retry_bo_t quiet = {.secs_since_valid_ping = 65535, .secs_since_valid_hangup = 65535};
    struct lws_context_creation_info ci = {0};
    s->protocols[0] =
        (struct lws_protocols){.name = "flywheel", .callback = on_event, .per_session_data_size = sizeof(conn)};
    ci.port = o->port;
    ci.iface = strcmp(host, "0.0.0.0") == 0 ? NULL : host;
    ci.protocols = s->protocols;
    ci.user = s;
    ci.alpn = "http/1.1"; /* over TLS too: what is asked about a request below is HTTP/1's */
    ci.vhost_name = "flywheel";
    ci.pt_serv_buf_size = SERV_BUF;
    ci.fd_limit_per_thread = (unsigned)s->max_connections + 64; /* those who ask for pages, or for nothing, too */
    ci.max_http_header_pool = 64;
    ci.timeout_secs = 10;
    ci.ka_time = 60, ci.ka_probes = 3, ci.ka_interval = 20;
    ci.retry_and_idle_policy = &quiet;
    if (o->cert != NULL) {
        ci.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        ci.ssl_cert_filepath = o->cert;
        ci.ssl_private_key_filepath = o->key;
    }
    fw_lws_log_init();
    s->lws = lws_create_context(&ci);
    struct lws_vhost *v = s->lws != NULL ? lws_get_vhost_by_name(s->lws, "flywheel") : NULL;
    s->port = v != NULL ? lws_get_vhost_listen_port(v) : -1;
    return v != NULL && s->port > 0 ? FW_OK
                                    : fw_fail(err, FW_IO, "cannot serve on %s:%d%s%s", host, o->port,
                                              o->cert != NULL ? ": is the certificate fit for its key? " : "",
                                              o->cert != NULL ? o->cert : "");
}

void fw_ws_server_free(fw_ws_server *s) {
    if (s == NULL) {
        return;
    }
    if (s->lws != NULL) {
        lws_context_destroy(s->lws);
    }
    for (letter *o = s->inbox; o != NULL;) {
        letter *next = o->next;
        drop_out(s, o);
        o = next;
    }
    fw_ws_keys_free(s->keys);
    pthread_mutex_destroy(&s->lock);
    free(s->live);
    free(s);
}

static fw_status start(fw_ws_server *s, const fw_ws_server_opts *o, fw_err *err) {
    s->live = calloc((size_t)s->max_connections, sizeof(conn *));
    if (s->live == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a server");
    }
    FW_TRY(check_opts(o, err));
    FW_TRY(o->keys != NULL ? fw_ws_keys_load(o->keys, &s->keys, err) : FW_OK);
    FW_TRY(make_context(s, o, err));
    lws_sul_schedule(s->lws, 0, &s->sweep, sweep, SWEEP_US);
    return FW_OK;
}

fw_status fw_ws_server_start(const fw_ws_server_opts *o, const fw_ws_events *on, fw_ws_server **out, fw_err *err) {
    fw_ws_server *s = calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a server");
    }
    s->on = *on;
    s->max_message = o->max_message > 0 ? o->max_message : (size_t)64 << 20;
    s->max_connections = o->max_connections > 0 ? o->max_connections : 256;
    s->send_buffer = o->send_buffer;
    s->message_ns = (int64_t)(o->message_s > 0 ? o->message_s : 30) * 1000000000;
    s->inbox_end = &s->inbox;
    pthread_mutex_init(&s->lock, NULL);
    fw_status st = start(s, o, err);
    *out = st == FW_OK ? s : NULL; /* before the first event */
    if (st == FW_OK && pthread_create(&s->thread, NULL, serve, s) != 0) {
        st = fw_fail(err, FW_NOMEM, "no thread for a server");
    }
    if (st != FW_OK) {
        *out = NULL;
        fw_ws_server_free(s);
    }
    return st;
}

int fw_ws_server_port(const fw_ws_server *s) {
    return s->port;
}

int fw_ws_server_connections(const fw_ws_server *s) {
    return atomic_load(&s->n_live);
}

void fw_ws_server_refuse(fw_ws_server *s) {
    atomic_store(&s->refuse, true);
}

void fw_ws_server_stop(fw_ws_server *s, int wait_ms) {
    if (s == NULL) {
        return;
    }
    const int64_t until = fw_now_ns() + (int64_t)wait_ms * 1000000;
    atomic_store(&s->refuse, true);
    atomic_store(&s->leave, true);
    while (fw_now_ns() < until && (atomic_load(&s->n_live) > 0 || atomic_load(&s->unsent) > 0)) {
        usleep(5000);
    }
    atomic_store(&s->stop, true);
    lws_cancel_service(s->lws);
    pthread_join(s->thread, NULL);
    struct lws_context *lws = s->lws;
    pthread_mutex_lock(&s->lock); /* of `lws`, too, from here on */
    s->lws = NULL;
    pthread_mutex_unlock(&s->lock);
    lws_context_destroy(lws); /* closes what is left, each with its event */
}
