/* console.c - WHAT: who watches, what each of them has not seen yet, commands and their answers; see console.h */
#include "console/console.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "console/console_int.h"

enum {
    SESSIONS = 64,
    WINDOW = 2,              /* messages on their way to one page; what is newer waits for them */
    MESSAGE_MAX = 64 << 10,  /* of a page */
    MESSAGE_S = 10,          /* who takes nothing for so long is cut off */
    SEND_BUFFER = 128 << 10, /* what the system may hold back is old when it arrives */
    HELLO_MS = 5000,
};

/* A connection; memory of the console. */
typedef struct session {
    fw_ws_id id;    /* 0: free */
    bool in;        /* it may see and ask: no key is wanted, or it had one */
    int out;        /* messages on their way */
    uint64_t state; /* counts of what it was sent: console's counts below, when it has seen all */
    uint64_t log;
    uint64_t picture[FW_CONSOLE_CAMERAS];
    int next_camera;
} session;

typedef struct blob {
    char *data; /* owned */
    size_t n;
    uint64_t count; /* of those that there were; 0: none yet */
} blob;

struct fw_console {
    fw_console_events on;
    fw_ws_server *ws;
    fw_ws_keys *keys;
    bool tls;
    char *web;
    pthread_mutex_t lock; /* of all below */
    session session[SESSIONS];
    blob state, picture[FW_CONSOLE_CAMERAS];
    char *log[FW_CONSOLE_LOG]; /* ring of JSON strings; line i at i % FW_CONSOLE_LOG */
    uint64_t n_log;            /* lines that there were */
};

/* ---- out; all under the lock ---- */

static void send_parts(fw_console *c, session *s, bool text, const void *a, size_t n_a, const void *b, size_t n_b) {
    fw_buf m = {0};
    if (fw_buf_reserve(&m, n_a + n_b, NULL) != FW_OK || fw_buf_put(&m, a, n_a, NULL) != FW_OK ||
        fw_buf_put(&m, b, n_b, NULL) != FW_OK) {
        fw_buf_free(&m);
        return; /* the next state will be seen */
    }
    s->out++;
    fw_ws_send(c->ws, s->id, &m, &(fw_ws_out){.text = text});
}

static void send_text(fw_console *c, session *s, const char *text) {
    send_parts(c, s, true, text, strlen(text), "", 0);
}

static bool send_state(fw_console *c, session *s) {
    if (s->state == c->state.count) {
        return false;
    }
    s->state = c->state.count;
    send_parts(c, s, true, c->state.data, c->state.n, "", 0);
    return true;
}

/* All lines it has not seen, in one message. */
static bool send_log(fw_console *c, session *s) {
    static const char head[] = "{\"log\":[", tail[] = "]}";
    fw_buf m = {0};
    fw_status st = FW_OK;
    if (s->log == c->n_log) {
        return false;
    }
    uint64_t i = c->n_log - s->log > FW_CONSOLE_LOG ? c->n_log - FW_CONSOLE_LOG : s->log;
    for (const char *before = head; i < c->n_log && st == FW_OK; i++, before = ",") {
        const char *line = c->log[i % FW_CONSOLE_LOG];
        st = fw_buf_put(&m, before, strlen(before), NULL);
        st = st == FW_OK ? fw_buf_put(&m, line, strlen(line), NULL) : st;
    }
    s->log = c->n_log;
    if (st == FW_OK) {
        send_parts(c, s, true, fw_buf_data(&m), m.n, tail, sizeof tail - 1);
    }
    fw_buf_free(&m);
    return true;
}

/* The cameras take turns. */
static bool send_picture(fw_console *c, session *s) {
    for (int i = 0; i < FW_CONSOLE_CAMERAS; i++) {
        const int k = (s->next_camera + i) % FW_CONSOLE_CAMERAS;
        if (s->picture[k] != c->picture[k].count) {
            const uint8_t camera = (uint8_t)k;
            s->picture[k] = c->picture[k].count;
            s->next_camera = k + 1;
            send_parts(c, s, false, &camera, 1, c->picture[k].data, c->picture[k].n);
            return true;
        }
    }
    return false;
}

static void pump(fw_console *c, session *s) {
    while (s->in && s->out < WINDOW && (send_state(c, s) || send_log(c, s) || send_picture(c, s))) {
    }
}

static void pump_all(fw_console *c) {
    for (int i = 0; i < SESSIONS; i++) {
        if (c->session[i].id != 0) {
            pump(c, &c->session[i]);
        }
    }
}

static void put(fw_console *c, blob *b, char *data, size_t n) {
    pthread_mutex_lock(&c->lock);
    free(b->data);
    *b = (blob){data, n, b->count + 1};
    pump_all(c);
    pthread_mutex_unlock(&c->lock);
}

void fw_console_state(fw_console *c, const char *json) {
    char *text;
    const int n = asprintf(&text, "{\"state\":%s}", json);
    if (n >= 0) {
        put(c, &c->state, text, (size_t)n);
    }
}

void fw_console_picture(fw_console *c, int camera, const void *jpeg, size_t n) {
    char *copy = camera >= 0 && camera < FW_CONSOLE_CAMERAS ? malloc(n + 1) : NULL;
    if (copy != NULL) {
        memcpy(copy, jpeg, n);
        put(c, &c->picture[camera], copy, n);
    }
}

/* A line as a JSON string; owned. */
static char *quote(const char *line) {
    json_t *j = json_string(line);
    char *plain = j == NULL ? strdup(line) : NULL;
    for (char *p = plain; p != NULL && *p != 0; p++) {
        *p = (unsigned char)*p < 128 ? *p : '?';
    }
    j = plain != NULL ? json_string(plain) : j;
    char *text = json_dumps(j, JSON_ENCODE_ANY);
    json_decref(j);
    free(plain);
    return text;
}

void fw_console_log(fw_console *c, const char *line) {
    char *text = quote(line);
    if (text == NULL) {
        return;
    }
    pthread_mutex_lock(&c->lock);
    char **place = &c->log[c->n_log++ % FW_CONSOLE_LOG];
    free(*place);
    *place = text;
    pump_all(c);
    pthread_mutex_unlock(&c->lock);
}

/* ---- in; service thread ---- */

static void page(void *self, const fw_ws_request *r, fw_http_reply *reply) {
    fw_console *c = self;
    char why[200];
    if (!fw_console_origin_fits(r->host, "", c->tls, c->keys != NULL, why, sizeof why)) {
        reply->status = 403;
        reply->body = strdup(why);
        return;
    }
    fw_console_page(c->web, r->path, reply);
}

static int may_upgrade(void *self, const fw_ws_request *r, char *why, size_t cap) {
    fw_console *c = self;
    if (strcmp(r->path, "/ws") != 0) {
        snprintf(why, cap, "the websocket is at /ws");
        return 404;
    }
    if (!fw_console_origin_fits(r->host, r->origin, c->tls, c->keys != NULL, why, cap)) {
        fw_warn("refused: %s", why);
        return 403;
    }
    return 0;
}

/* It may see and ask from now on. */
static void let_in(fw_console *c, session *s) {
    char hello[64];
    snprintf(hello, sizeof hello, "{\"hello\":{\"you\":%llu}}", (unsigned long long)s->id);
    s->in = true;
    send_text(c, s, hello);
    pump(c, s);
}

static void *opened(void *self, fw_ws_id id, const fw_ws_request *r) {
    fw_console *c = self;
    session *s = NULL;
    pthread_mutex_lock(&c->lock);
    for (int i = 0; i < SESSIONS && s == NULL; i++) {
        s = c->session[i].id == 0 ? &c->session[i] : NULL;
    }
    if (s != NULL) {
        *s = (session){.id = id};
        if (c->keys == NULL || fw_ws_keys_fit(c->keys, r->authorization)) {
            let_in(c, s);
        } else {
            fw_ws_timer(c->ws, id, HELLO_MS);
        }
    }
    pthread_mutex_unlock(&c->lock);
    return s;
}

static void reply(fw_console *c, session *s, int64_t id, bool ok, const char *why) {
    json_t *j = json_object();
    if (id >= 0) {
        json_object_set_new(j, "re", json_integer(id));
    }
    if (ok) {
        json_object_set_new(j, "ok", json_true());
    } else {
        json_t *words = json_string(why);
        json_object_set_new(j, "error", words != NULL ? words : json_string("refused"));
    }
    char *text = json_dumps(j, JSON_COMPACT);
    if (text != NULL) {
        pthread_mutex_lock(&c->lock);
        send_text(c, s, text);
        pthread_mutex_unlock(&c->lock);
    }
    free(text);
    json_decref(j);
}

/* {"do": "hello", "key": "..."}: true, and *fits, when it is one. */
static bool is_hello(const fw_console *c, const fw_buf *m, bool *fits) {
    static const char scheme[] = "Api-Key ";
    json_t *j;
    const char *verb = NULL, *key = "";
    char header[640];
    *fits = false;
    if (fw_json_parse((const char *)fw_buf_data(m), m->n, "hello", &j, NULL) != FW_OK) {
        return false;
    }
    verb = json_string_value(json_object_get(j, "do"));
    key = json_string_value(json_object_get(j, "key"));
    const bool hello = verb != NULL && strcmp(verb, "hello") == 0;
    if (hello && key != NULL && snprintf(header, sizeof header, "%s%s", scheme, key) < (int)sizeof header) {
        *fits = fw_ws_keys_fit(c->keys, header);
    }
    explicit_bzero(header, sizeof header);
    json_decref(j);
    return hello;
}

static void ask_in(fw_console *c, session *s, const fw_buf *m) {
    bool fits;
    is_hello(c, m, &fits);
    if (!fits) {
        fw_warn("a page without a valid key is refused");
        fw_ws_send(c->ws, s->id, &(fw_buf){0}, &(fw_ws_out){.close = 4401, .reason = "this robot wants a key"});
        return;
    }
    pthread_mutex_lock(&c->lock);
    let_in(c, s);
    pthread_mutex_unlock(&c->lock);
}

static void heard(void *self, void *session_, fw_ws_id id, fw_buf *m, bool text) {
    fw_console *c = self;
    session *s = session_;
    fw_console_command cmd;
    int64_t re;
    fw_err err = {0};
    bool hello_again;
    if (s == NULL) {
        fw_ws_send(c->ws, id, &(fw_buf){0}, &(fw_ws_out){.close = 1013, .reason = "too many pages watch already"});
    } else if (!s->in) {
        ask_in(c, s, m);
    } else if (!text) {
        reply(c, s, -1, false, "commands are text");
    } else if (fw_console_parse(fw_buf_data(m), m->n, &cmd, &re, &err) != FW_OK) {
        const bool fine = is_hello(c, m, &hello_again);
        reply(c, s, re, fine, err.msg);
    } else {
        char why[200] = "";
        const bool ok = c->on.command(c->on.ctx, s->id, &cmd, why, sizeof why);
        if (!ok || re >= 0) {
            reply(c, s, re, ok, why);
        }
    }
}

static void sent(void *self, void *session_, fw_ws_id id) {
    fw_console *c = self;
    session *s = session_;
    (void)id;
    if (s != NULL) {
        pthread_mutex_lock(&c->lock);
        s->out--;
        pump(c, s);
        pthread_mutex_unlock(&c->lock);
    }
}

static void too_late(void *self, void *session_, fw_ws_id id) {
    fw_console *c = self;
    const session *s = session_;
    if (s == NULL || !s->in) {
        fw_ws_send(c->ws, id, &(fw_buf){0}, &(fw_ws_out){.close = 4401, .reason = "this robot wants a key"});
    }
}

static void closed(void *self, void *session_, fw_ws_id id) {
    fw_console *c = self;
    session *s = session_;
    const bool was_in = s != NULL && s->in;
    if (s != NULL) {
        pthread_mutex_lock(&c->lock);
        *s = (session){0};
        pthread_mutex_unlock(&c->lock);
    }
    if (was_in && c->on.left != NULL) {
        c->on.left(c->on.ctx, id);
    }
}

/* ---- start and stop ---- */

static bool is_loopback(const char *host) {
    return host == NULL || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 || strcmp(host, "lo") == 0;
}

static fw_status start(fw_console *c, const fw_console_opts *o, fw_err *err) {
    const fw_ws_events on = {.ctx = c,
                             .http = page,
                             .accept = may_upgrade,
                             .open = opened,
                             .message = heard,
                             .sent = sent,
                             .timer = too_late,
                             .closed = closed};
    const fw_ws_server_opts net = {.host = o->host,
                                   .port = o->port,
                                   .cert = o->cert,
                                   .key = o->key,
                                   .max_message = MESSAGE_MAX,
                                   .max_connections = SESSIONS,
                                   .message_s = MESSAGE_S,
                                   .send_buffer = SEND_BUFFER};
    if (!is_loopback(o->host) && o->keys == NULL) {
        return fw_fail(err, FW_INVALID, "others can reach %s: the page of a robot wants a file of keys there", o->host);
    }
    if (!is_loopback(o->host) && o->cert == NULL) {
        fw_warn("the page is served on %s without TLS: who listens on the network can read its key", o->host);
    }
    c->web = o->web != NULL ? strdup(o->web) : NULL;
    c->tls = o->cert != NULL;
    FW_TRY(o->keys != NULL ? fw_ws_keys_load(o->keys, &c->keys, err) : FW_OK);
    return fw_ws_server_start(&net, &on, &c->ws, err);
}

fw_status fw_console_start(const fw_console_opts *o, const fw_console_events *on, fw_console **out, fw_err *err) {
    fw_console *c = calloc(1, sizeof *c);
    *out = NULL;
    if (c == NULL) {
        return fw_fail(err, FW_NOMEM, "no memory for a page");
    }
    c->on = *on;
    pthread_mutex_init(&c->lock, NULL);
    fw_status st = start(c, o, err);
    if (st != FW_OK) {
        fw_console_stop(c);
        return st;
    }
    *out = c;
    return FW_OK;
}

int fw_console_port(const fw_console *c) {
    return fw_ws_server_port(c->ws);
}

int fw_console_watchers(const fw_console *c) {
    return fw_ws_server_connections(c->ws);
}

void fw_console_stop(fw_console *c) {
    if (c == NULL) {
        return;
    }
    fw_ws_server_stop(c->ws, 500);
    fw_ws_server_free(c->ws);
    for (int i = 0; i < FW_CONSOLE_LOG; i++) {
        free(c->log[i]);
    }
    for (int i = 0; i < FW_CONSOLE_CAMERAS; i++) {
        free(c->picture[i].data);
    }
    free(c->state.data);
    fw_ws_keys_free(c->keys);
    pthread_mutex_destroy(&c->lock);
    free(c->web);
    free(c);
}
