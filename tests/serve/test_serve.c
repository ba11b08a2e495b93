/* the policy server: what it answers, what it refuses and in which words, who waits for whom */
#include "serve/serve.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "fake.h"
#include "fw_test.h"
#include "wire/mp_json.h"
#include "wire/remote.h"
#include "wire/ws_client.h"

static fake policies[3];

static fw_serve *start(fw_serve_opts o) {
    static const char *const names[] = {"one", "two", "three"};
    static fw_serve_model m[3];
    fw_serve *s;
    fw_err err = {0};
    for (int i = 0; i < 3; i++) {
        m[i] = (fw_serve_model){names[i], &policies[i].base};
    }
    o.model = m;
    o.n_model = o.n_model > 0 ? o.n_model : 1;
    if (fw_serve_start(&o, &s, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    return s;
}

static void fresh(int delay_ms) {
    for (int i = 0; i < 3; i++) {
        fake_init(&policies[i], delay_ms, (float)i);
    }
}

static fw_ws_client *try_client(const fw_serve *s, const char *path, const char *key, fw_err *err) {
    static _Thread_local char url[128];
    fw_ws_client *c = NULL;
    snprintf(url, sizeof url, "ws://127.0.0.1:%d%s", fw_serve_port(s), path);
    (void)!fw_ws_client_open(&(fw_ws_client_opts){.url = url, .api_key = key}, 5000, &c, err);
    return c;
}

static fw_buf receive(fw_ws_client *c, bool want_text) {
    fw_buf m;
    bool text = false;
    fw_err err = {0};
    if (fw_ws_client_recv(c, 10000, &m, &text, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    if (text != want_text) {
        FW_FAILED("got %s: %.*s", text ? "text" : "bytes", (int)m.n, (const char *)fw_buf_data(&m));
    }
    return m;
}

/* Connected, and greeted as by openpi's server. */
static fw_ws_client *client(const fw_serve *s, const char *path) {
    fw_err err = {0};
    fw_ws_client *c = try_client(s, path, NULL, &err);
    if (c == NULL) {
        FW_FAILED("%s", err.msg);
    }
    fw_buf m = receive(c, false);
    fw_buf_free(&m);
    return c;
}

/* An observation as of our own client; state[0] tells which. */
typedef struct question {
    float first;
    const char *prompt, *model, *camera;
    int n_state;
    size_t side;
} question;

static fw_buf write_question(question q) {
    float state[FAKE_STATE] = {q.first, 1, 2, 3, 4, 5};
    const size_t side = q.side > 0 ? q.side : 8;
    const int64_t shape[] = {(int64_t)side, (int64_t)side, 3}, n[] = {q.n_state > 0 ? q.n_state : FAKE_STATE};
    uint8_t *pixels = calloc(side * side, 3);
    fw_mp_out o;
    fw_buf b;
    pixels[0] = 100;
    fw_mp_begin(&o);
    fw_mp_map(&o, 3u + (q.model != NULL));
    fw_mp_str(&o, "images"), fw_mp_map(&o, 2);
    fw_mp_str(&o, q.camera != NULL ? q.camera : "front"), fw_nd_put(&o, FW_ND_OPENPI, "|u1", 3, shape, pixels);
    fw_mp_str(&o, "wrist"), fw_nd_put(&o, FW_ND_OPENPI, "|u1", 3, shape, pixels);
    fw_mp_str(&o, "state"), fw_nd_put(&o, FW_ND_OPENPI, "<f4", 1, n, state);
    fw_mp_str(&o, "prompt"), fw_mp_str(&o, q.prompt != NULL ? q.prompt : "do it");
    if (q.model != NULL) {
        fw_mp_str(&o, "model"), fw_mp_str(&o, q.model);
    }
    CHECK_INT(fw_mp_end(&o, &b, NULL), FW_OK);
    free(pixels);
    return b;
}

static void ask(fw_ws_client *c, question q) {
    fw_buf b = write_question(q);
    fw_err err = {0};
    if (fw_ws_client_send(c, &b, false, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
}

/* The first action of the answer. */
static float first_action(fw_ws_client *c) {
    fw_buf m = receive(c, false);
    fw_mp_doc doc;
    float a[FAKE_ROWS * FAKE_ACTION];
    size_t n;
    CHECK_INT(fw_mp_parse(fw_buf_data(&m), m.n, &doc, NULL), FW_OK);
    CHECK_INT(fw_mp_numbers(fw_mp_get(&doc.root, "actions"), "actions", a, FAKE_ROWS * FAKE_ACTION, &n, NULL), FW_OK);
    CHECK_INT(n, FAKE_ROWS * FAKE_ACTION);
    fw_mp_clear(&doc);
    fw_buf_free(&m);
    return a[0];
}

static void check_first(fw_ws_client *c, double want) {
    const double got = (double)first_action(c);
    if (fabs(got - want) > 1e-5) {
        FW_FAILED("first action %g, want %g", got, want);
    }
}

/* The failure, and that the connection ends as openpi's does. */
static void check_failure(fw_ws_client *c, const char *words) {
    fw_buf m = receive(c, true), none;
    bool text;
    fw_err err = {0};
    char said[2000] = "";
    snprintf(said, sizeof said, "%.*s", (int)m.n, (const char *)fw_buf_data(&m));
    if (strstr(said, words) == NULL) {
        FW_FAILED("'%s', wanted '%s'", said, words);
    }
    CHECK_INT(fw_ws_client_recv(c, 5000, &none, &text, &err), FW_CLOSED);
    if (strstr(err.msg, "1011 Internal server error. Traceback included in previous frame.") == NULL) {
        FW_FAILED("%s", err.msg);
    }
    fw_buf_free(&m);
    fw_ws_client_close(c);
}

/* ---- without our client ---- */

/* A socket that has asked for a websocket. */
static int raw(const fw_serve *s, bool upgrade) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)fw_serve_port(s)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    static const char ask_it[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    char answer[512] = "";
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    if (upgrade) {
        CHECK(write(fd, ask_it, sizeof ask_it - 1) == (ssize_t)sizeof ask_it - 1);
        CHECK(read(fd, answer, sizeof answer - 1) > 0 && strstr(answer, " 101 ") != NULL);
    }
    return fd;
}

/* Everything until the peer closes, at most so many seconds. Returns bytes; -1: it does not close. */
static ssize_t until_closed(int fd, int seconds, uint8_t *out, size_t cap) {
    const int64_t until = fw_now_ns() + (int64_t)seconds * 1000000000;
    size_t at = 0;
    while (fw_now_ns() < until) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 100) > 0) {
            const ssize_t n = read(fd, out + at, cap - at);
            if (n <= 0) {
                close(fd);
                return (ssize_t)at;
            }
            at += (size_t)n;
        }
    }
    close(fd);
    return -1;
}

/* GET; returns the status. */
static int get(const fw_serve *s, const char *path, const char *header, char *body, size_t cap) {
    char ask_it[512];
    uint8_t got[1 << 16];
    int status = 0;
    const int fd = raw(s, false),
              n = snprintf(ask_it, sizeof ask_it, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", path,
                           header);
    CHECK(write(fd, ask_it, (size_t)n) == n);
    const ssize_t m = until_closed(fd, 5, got, sizeof got - 1);
    CHECK(m > 0);
    got[m] = 0;
    CHECK(sscanf((char *)got, "HTTP/1.1 %d", &status) == 1);
    const char *b = strstr((char *)got, "\r\n\r\n");
    snprintf(body, cap, "%s", b != NULL ? b + 4 : "");
    return status;
}

/* ---- answers ---- */

static void the_answer_has_openpis_keys_in_their_order(void) {
    fresh(0);
    fw_serve *s = start((fw_serve_opts){0});
    fw_ws_client *c = client(s, "/");
    for (int turn = 0; turn < 2; turn++) {
        static const char *const keys[] = {"actions", "policy_timing", "server_timing"};
        fw_mp_doc doc;
        ask(c, (question){.first = 1});
        fw_buf m = receive(c, false);
        CHECK_INT(fw_mp_parse(fw_buf_data(&m), m.n, &doc, NULL), FW_OK);
        CHECK(doc.root.type == MSGPACK_OBJECT_MAP && doc.root.via.map.size == 3);
        for (uint32_t i = 0; i < 3; i++) {
            char key[32];
            CHECK(fw_mp_text(&doc.root.via.map.ptr[i].key, key, sizeof key) && strcmp(key, keys[i]) == 0);
        }
        double ms = -1;
        const msgpack_object *t = fw_mp_get(&doc.root, "server_timing");
        CHECK(fw_mp_number(fw_mp_get(t, "infer_ms"), &ms) && ms >= 0);
        CHECK_INT(t->via.map.size, 1 + turn); /* prev_total_ms from the second on */
        CHECK(turn == 0 || (fw_mp_number(fw_mp_get(t, "prev_total_ms"), &ms) && ms > 0));
        CHECK_INT(fw_mp_get(fw_mp_get(&doc.root, "actions"), "dtype")->via.str.size, 3);
        CHECK(memcmp(fw_mp_get(fw_mp_get(&doc.root, "actions"), "dtype")->via.str.ptr, "<f8", 3) == 0);
        fw_mp_clear(&doc);
        fw_buf_free(&m);
    }
    fw_ws_client_close(c);
    fw_serve_stop(s, 1000);
}

static void failures_name_key_wanted_and_found(void) {
    fresh(0);
    fw_serve *s = start((fw_serve_opts){0});
    fw_ws_client *c = client(s, "/");
    ask(c, (question){.n_state = 4});
    check_failure(c, "SHAPE: state: 4 numbers, wanted 6 (s0, s1, s2, s3, s4, s5)\nthe observation has: "
                     "images/front [8, 8, 3] u1, images/wrist [8, 8, 3] u1, state [4] f4, prompt 'do it'");
    c = client(s, "/");
    ask(c, (question){.camera = "frnt"});
    check_failure(c, "SHAPE: camera 'front' is missing from the observation\nthe observation has: images/frnt");
    c = client(s, "/");
    ask(c, (question){.prompt = "fail"});
    check_failure(c, "INVALID: told to fail");
    fw_serve_stop(s, 1000);
}

static void bad_messages_are_refused_and_the_next_client_is_served(void) {
    static const char *const bad[] = {"\xc1", "\x93\x01\x02", "\x93\x01\x02\x03", "", "\xdd\xff\xff\xff\xff"};
    fresh(0);
    fw_serve *s = start((fw_serve_opts){0});
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fw_buf b = {0};
        fw_ws_client *c = client(s, "/");
        CHECK_INT(fw_buf_put(&b, bad[i], strlen(bad[i]) + (i == 3), NULL), FW_OK);
        CHECK_INT(fw_ws_client_send(c, &b, false, NULL), FW_OK);
        check_failure(c, "FORMAT: ");
    }
    fw_ws_client *c = client(s, "/");
    fw_buf b = {0};
    CHECK_INT(fw_buf_put(&b, "hello", 5, NULL), FW_OK);
    CHECK_INT(fw_ws_client_send(c, &b, true, NULL), FW_OK);
    check_failure(c, "a text message, wanted msgpack");
    c = client(s, "/");
    ask(c, (question){.first = 2});
    check_first(c, 2.2);
    fw_ws_client_close(c);
    fw_serve_stop(s, 1000);
}

static void models_go_by_path_and_by_key(void) {
    fw_err err = {0};
    fresh(0);
    fw_serve *s = start((fw_serve_opts){.n_model = 3});
    fw_ws_client *c = client(s, "/two");
    ask(c, (question){.first = 1});
    check_first(c, 2.2);
    ask(c, (question){.first = 1, .model = "three"});
    check_first(c, 3.2);
    fw_ws_client_close(c);
    c = client(s, "/openpi");
    ask(c, (question){.first = 1});
    check_first(c, 1.2);
    ask(c, (question){.first = 1, .model = "four"});
    check_failure(c, "no model 'four' here");
    CHECK(try_client(s, "/for", NULL, &err) == NULL);
    CHECK(strstr(err.msg, "404") != NULL || strstr(err.msg, "HS") != NULL);
    fw_serve_stop(s, 1000);
}

/* ---- many at once ---- */

typedef struct asker {
    fw_serve *s;
    int n, number, wrong;
    size_t side;
    double *ms; /* [n], or NULL */
} asker;

static void *ask_many(void *self) {
    asker *a = self;
    fw_ws_client *c = client(a->s, "/");
    for (int i = 0; i < a->n; i++) {
        const float first = (float)(a->number % 7) - (float)(i % 5);
        const double from = fw_now_s();
        ask(c, (question){.first = first, .side = a->side});
        a->wrong += fabs((double)first_action(c) - (double)first - 0.2) > 1e-5;
        if (a->ms != NULL) {
            a->ms[i] = 1e3 * (fw_now_s() - from);
        }
    }
    fw_ws_client_close(c);
    return NULL;
}

static void ask_at_once(fw_serve *s, int clients, int n) {
    pthread_t t[64];
    asker a[64];
    for (int i = 0; i < clients; i++) {
        a[i] = (asker){.s = s, .n = n, .number = i};
        CHECK_INT(pthread_create(&t[i], NULL, ask_many, &a[i]), 0);
    }
    for (int i = 0; i < clients; i++) {
        pthread_join(t[i], NULL);
        CHECK_INT(a[i].wrong, 0);
    }
}

static void observations_that_wait_run_as_one_batch_each_with_its_answer(void) {
    fresh(20);
    fw_serve *s = start((fw_serve_opts){.max_batch = 8, .batch_wait_ms = 200});
    ask_at_once(s, 8, 3);
    CHECK_INT(atomic_load(&policies[0].rows), 24);
    CHECK(atomic_load(&policies[0].batches) <= 18);
    fw_serve_stop(s, 1000);
}

static void one_in_a_batch_fails_alone(void) {
    fresh(0);
    fw_serve *s = start((fw_serve_opts){.max_batch = 3, .batch_wait_ms = 2000});
    fw_ws_client *a = client(s, "/"), *b = client(s, "/"), *c = client(s, "/");
    ask(a, (question){.first = 1});
    ask(b, (question){.first = 1, .prompt = "fail"});
    ask(c, (question){.first = 2});
    check_first(a, 1.2);
    check_first(c, 2.2);
    check_failure(b, "told to fail");
    fw_ws_client_close(a);
    fw_ws_client_close(c);
    fw_serve_stop(s, 1000);
}

/* Until the policy runs. */
static void wait_running(void) {
    for (int i = 0; i < 10000 && atomic_load(&policies[0].running) == 0; i++) {
        usleep(1000);
    }
    CHECK_INT(atomic_load(&policies[0].running), 1);
}

static void what_is_too_much_is_refused_naming_the_limit(void) {
    fresh(1000);
    fw_serve *s = start((fw_serve_opts){.max_queue = 2});
    fw_ws_client *c[4];
    char waiting[64], body[1 << 15];
    for (int i = 0; i < 4; i++) {
        c[i] = client(s, "/");
    }
    for (int i = 0; i < 4; i++) { /* the first is taken by the worker, two wait */
        ask(c[i], (question){.first = 1});
        wait_running();
        snprintf(waiting, sizeof waiting, "flywheel_queue_length{model=\"one\"} %d\n", i);
        for (int k = 0; k < 100 && i < 3; k++) {
            CHECK_INT(get(s, "/metrics", "", body, sizeof body), 200);
            k = strstr(body, waiting) != NULL ? 100 : k;
        }
    }
    check_failure(c[3], "AGAIN: model 'one': 2 observations wait already");
    for (int i = 0; i < 3; i++) {
        check_first(c[i], 1.2);
        fw_ws_client_close(c[i]);
    }
    fw_serve_stop(s, 1000);
}

static void what_waits_past_its_deadline_is_refused_naming_it(void) {
    fresh(1200);
    fw_serve *s = start((fw_serve_opts){.deadline_ms = 500});
    fw_ws_client *a = client(s, "/"), *b = client(s, "/");
    ask(a, (question){.first = 1});
    wait_running();
    ask(b, (question){.first = 1});
    check_first(a, 1.2);
    check_failure(b, "the deadline is 500.0 ms");
    fw_ws_client_close(a);
    fw_serve_stop(s, 1000);
}

static void many_questions_of_one_connection_are_all_answered_in_order(void) {
    fresh(1);
    fw_serve *s = start((fw_serve_opts){0});
    fw_ws_client *c = client(s, "/");
    for (int i = 0; i < 40; i++) { /* more than a connection may have under way: it is not read meanwhile */
        ask(c, (question){.first = (float)i / 10});
    }
    for (int i = 0; i < 40; i++) {
        check_first(c, (double)i / 10 + 0.2);
    }
    fw_ws_client_close(c);
    fw_serve_stop(s, 1000);
}

/* ---- peers that do not behave ---- */

static void still_serves(fw_serve *s) {
    fw_ws_client *c = client(s, "/");
    ask(c, (question){.first = 3});
    check_first(c, 3.2);
    fw_ws_client_close(c);
}

static void still_serves_wide(fw_serve *s) {
    fw_ws_client *c = client(s, "/");
    ask(c, (question){.first = 3});
    fw_buf m = receive(c, false);
    CHECK(m.n > 1000000);
    fw_buf_free(&m);
    fw_ws_client_close(c);
}

static void who_is_silent_in_the_middle_of_a_message_is_cut_off(void) {
    uint8_t got[4096];
    fresh(0);
    fw_serve *s = start((fw_serve_opts){.net = {.message_s = 1}});
    const int fd = raw(s, true);
    CHECK_INT(write(fd, "\x82\xfe\x10\x00\x00\x00\x00\x00half", 12), 12); /* 4096 bytes announced, 4 come */
    CHECK(until_closed(fd, 8, got, sizeof got) >= 0);
    still_serves(s);
    fw_serve_stop(s, 1000);
}

static void who_says_nothing_may_stay(void) {
    fresh(0);
    fw_serve *s = start((fw_serve_opts){.net = {.message_s = 1}});
    fw_ws_client *c = client(s, "/");
    sleep(3);
    ask(c, (question){.first = 1});
    check_first(c, 1.2);
    fw_ws_client_close(c);
    fw_serve_stop(s, 1000);
}

static void broken_frames_end_their_connection_only(void) {
    static const struct {
        const char *bytes;
        size_t n;
    } frames[] = {
        {"\x82\x05hello", 7},                                     /* not masked */
        {"\xf2\x81\0\0\0\0x", 7},                                 /* reserved bits */
        {"\x83\x81\0\0\0\0x", 7},                                 /* an opcode that there is not */
        {"\x80\x81\0\0\0\0x", 7},                                 /* goes on with nothing */
        {"\x89\xfe\x00\xff\0\0\0\0", 8},                          /* a ping of 255 bytes */
        {"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14}, /* 2^64 - 1 bytes */
        {"\x88\x81\0\0\0\0x", 7},                                 /* a close of one byte */
    };
    uint8_t got[4096];
    fresh(0);
    fw_serve *s = start((fw_serve_opts){.net = {.message_s = 1}});
    enum { N = sizeof frames / sizeof *frames };
    int fd[N];
    for (int i = 0; i < N; i++) {
        fd[i] = raw(s, true);
        CHECK(write(fd[i], frames[i].bytes, frames[i].n) == (ssize_t)frames[i].n);
    }
    for (int i = 0; i < N; i++) { /* libwebsockets waits 5 s for the peer's own close */
        if (until_closed(fd[i], 10, got, sizeof got) < 0) {
            FW_FAILED("frame %d: still connected", i);
        }
    }
    const int junk = raw(s, false);
    CHECK(write(junk, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 15) == 15);
    close(junk);
    still_serves(s);
    fw_serve_stop(s, 1000);
}

static void a_message_that_is_too_long_is_refused_in_words(void) {
    fresh(0);
    fw_serve *s = start((fw_serve_opts){.net = {.max_message = 100000}});
    fw_ws_client *c = client(s, "/");
    fw_err err = {0};
    bool text;
    fw_buf none;
    ask(c, (question){.side = 500});
    fw_buf m = receive(c, true);
    CHECK(strstr((char *)fw_buf_data(&m), "longer than the 100000 bytes") != NULL);
    CHECK_INT(fw_ws_client_recv(c, 5000, &none, &text, &err), FW_CLOSED);
    CHECK(strstr(err.msg, "1009") != NULL);
    fw_buf_free(&m);
    fw_ws_client_close(c);
    still_serves(s);
    fw_serve_stop(s, 1000);
}

static void who_asks_and_never_listens_is_not_listened_to(void) {
    static const char *const one[] = {"front", "wrist", NULL};
    fake big;
    fw_serve *s;
    const fw_serve_model m = {"big", &big.base};
    fake_init_as(&big, one, FAKE_STATE, 32, 4000); /* answers of 1 MB */
    const fw_serve_opts o = {.model = &m, .n_model = 1, .net = {.message_s = 4}};
    CHECK_INT(fw_serve_start(&o, &s, NULL), FW_OK);
    const int fd = raw(s, true);
    fw_buf b = write_question((question){.first = 1});
    uint8_t frame[8] = {0x82, 0xfe, (uint8_t)(b.n >> 8), (uint8_t)b.n, 0, 0, 0, 0};
    int sent = 0;
    for (; sent < 2000; sent++) {
        if (send(fd, frame, sizeof frame, MSG_DONTWAIT) != (ssize_t)sizeof frame ||
            send(fd, fw_buf_data(&b), b.n, MSG_DONTWAIT) != (ssize_t)b.n) {
            break; /* the pipe is full, as it should be */
        }
    }
    sleep(2);
    const int calls = atomic_load(&big.calls);
    CHECK(sent > 100 && calls > 5 && calls < 60);
    sleep(4); /* and then it is cut off */
    CHECK(atomic_load(&big.calls) < 60);
    close(fd);
    still_serves_wide(s);
    fw_buf_free(&b);
    fw_serve_stop(s, 1000);
}

static void who_dies_while_its_question_runs_harms_nobody(void) {
    fresh(50);
    fw_serve *s = start((fw_serve_opts){0});
    for (int i = 0; i < 10; i++) {
        fw_ws_client *c = client(s, "/");
        ask(c, (question){.first = 1});
        usleep(5000);
        fw_ws_client_close(c);
    }
    still_serves(s);
    fw_serve_stop(s, 5000);
}

/* ---- keys, pages, the end ---- */

static void write_text(const char *path, const char *text) {
    CHECK_INT(fw_file_write_atomic(path, text, strlen(text), NULL), FW_OK);
}

static void keys_let_in_those_who_have_one(void) {
    char body[1 << 15];
    fw_err err = {0};
    fresh(0);
    write_text("serve_keys.txt", "# two of them\nkey-of-sixteen-letters\nanother-key-of-letters\n");
    fw_serve *s = start((fw_serve_opts){.net = {.keys = "serve_keys.txt"}});
    CHECK(try_client(s, "/", NULL, &err) == NULL);
    CHECK(try_client(s, "/", "key-of-sixteen-letter", &err) == NULL);
    CHECK(try_client(s, "/", "key-of-sixteen-letterz", &err) == NULL);
    for (int i = 0; i < 2; i++) {
        fw_ws_client *c = try_client(s, "/", i == 0 ? "key-of-sixteen-letters" : "another-key-of-letters", &err);
        CHECK(c != NULL);
        fw_buf m = receive(c, false);
        fw_buf_free(&m);
        ask(c, (question){.first = 1});
        check_first(c, 1.2);
        fw_ws_client_close(c);
    }
    CHECK_INT(get(s, "/healthz", "", body, sizeof body), 200);
    CHECK_INT(get(s, "/metrics", "", body, sizeof body), 401);
    CHECK(strstr(body, "Authorization: Api-Key") != NULL);
    CHECK_INT(get(s, "/metrics", "Authorization: Api-Key another-key-of-letters\r\n", body, sizeof body), 200);
    fw_serve_stop(s, 1000);
    write_text("serve_keys.txt", "short\n");
    fw_serve *none;
    const fw_serve_model m = {"one", &policies[0].base};
    CHECK_INT(
        fw_serve_start(&(fw_serve_opts){.model = &m, .n_model = 1, .net = {.keys = "serve_keys.txt"}}, &none, &err),
        FW_FORMAT);
    CHECK(strstr(err.msg, "line 1: a key of 5 characters") != NULL);
    remove("serve_keys.txt");
}

static void tls_is_spoken_with_a_certificate(void) {
    char url[64];
    fw_err err = {0};
    fw_policy *p;
    fresh(0);
    fw_serve *s = start((fw_serve_opts){.net = {.cert = FW_SOURCE_DIR "/tests/serve/localhost.pem",
                                                .key = FW_SOURCE_DIR "/tests/serve/localhost.key"}});
    snprintf(url, sizeof url, "wss://localhost:%d", fw_serve_port(s));
    const fw_remote_opts o = {.url = url, .ca = FW_SOURCE_DIR "/tests/serve/localhost.pem"};
    if (fw_remote_open(&o, &p, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    fw_policy_close(p);
    CHECK(fw_remote_open(&(fw_remote_opts){.url = url}, &p, &err) != FW_OK); /* nobody known has signed it */
    snprintf(url, sizeof url, "ws://localhost:%d", fw_serve_port(s));
    CHECK(fw_remote_open(&(fw_remote_opts){.url = url, .connect_ms = 1000}, &p, &err) != FW_OK);
    fw_serve_stop(s, 1000);
}

static void pages_are_those_of_openpi_vla_eval_and_prometheus(void) {
    char body[1 << 15];
    fresh(0);
    fw_serve *s = start((fw_serve_opts){.n_model = 2});
    still_serves(s);
    CHECK_INT(get(s, "/healthz", "", body, sizeof body), 200);
    CHECK(strcmp(body, "OK\n") == 0);
    CHECK_INT(get(s, "/health", "", body, sizeof body), 200);
    CHECK(strcmp(body, "{\"status\": \"ok\"}\n") == 0);
    CHECK_INT(get(s, "/config?max_batch_size=8&max_wait_time=0.005", "", body, sizeof body), 200);
    CHECK(strstr(body, "\"applied\":{\"max_batch_size\":8") != NULL);
    CHECK_INT(get(s, "/config?max_batch_size=0", "", body, sizeof body), 422);
    CHECK(strstr(body, "bad value for max_batch_size: '0'") != NULL);
    CHECK_INT(get(s, "/config?colour=red", "", body, sizeof body), 422);
    CHECK_INT(get(s, "/nothing", "", body, sizeof body), 404);
    CHECK_INT(get(s, "/metrics", "", body, sizeof body), 200);
    CHECK(strstr(body, "flywheel_requests_total{model=\"one\",outcome=\"ok\"} 1\n") != NULL);
    CHECK(strstr(body, "flywheel_requests_total{model=\"two\",outcome=\"ok\"} 0\n") != NULL);
    CHECK(strstr(body, "flywheel_request_seconds_bucket{model=\"one\",le=\"+Inf\"} 1\n") != NULL);
    CHECK(strstr(body, "# TYPE flywheel_request_seconds histogram\n") != NULL);
    fw_serve_stop(s, 1000);
}

static void *stop_it(void *s) {
    fw_serve_stop(s, 5000);
    return NULL;
}

static void at_the_end_what_was_asked_is_answered_and_the_rest_is_told(void) {
    pthread_t t;
    fw_err err = {0};
    fw_buf m;
    bool text;
    fresh(300);
    fw_serve *s = start((fw_serve_opts){0});
    fw_ws_client *a = client(s, "/"), *b = client(s, "/");
    ask(a, (question){.first = 1});
    wait_running();
    CHECK_INT(pthread_create(&t, NULL, stop_it, s), 0);
    check_first(a, 1.2);
    CHECK_INT(fw_ws_client_recv(b, 5000, &m, &text, &err), FW_CLOSED);
    CHECK(strstr(err.msg, "1001 the server is shutting down") != NULL);
    pthread_join(t, NULL);
    fw_ws_client_close(a);
    fw_ws_client_close(b);
}

static void an_address_in_use_and_bad_names_are_said_at_the_start(void) {
    fw_serve *s, *second;
    fw_err err = {0};
    fresh(0);
    s = start((fw_serve_opts){0});
    const fw_serve_model m[] = {{"one", &policies[0].base}, {"one", &policies[1].base}, {"a b", &policies[1].base}};
    fw_serve_opts o = {.model = m, .n_model = 1, .net = {.port = fw_serve_port(s)}};
    CHECK_INT(fw_serve_start(&o, &second, &err), FW_IO);
    CHECK(strstr(err.msg, "Address already in use") != NULL);
    o.net.port = 0;
    o.n_model = 2;
    CHECK(fw_serve_start(&o, &second, &err) == FW_INVALID && strstr(err.msg, "two models are called 'one'") != NULL);
    o.model = m + 2;
    o.n_model = 1;
    CHECK(fw_serve_start(&o, &second, &err) == FW_INVALID && strstr(err.msg, "'a b'") != NULL);
    CHECK_INT(fw_key_map_add(&o.map, "observation/image=frnt", &err), FW_OK);
    o.model = m;
    CHECK(fw_serve_start(&o, &second, &err) == FW_INVALID && strstr(err.msg, "state, prompt, front, wrist") != NULL);
    fw_serve_stop(s, 1000);
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    const fw_test tests[] = {
        T(the_answer_has_openpis_keys_in_their_order),
        T(failures_name_key_wanted_and_found),
        T(bad_messages_are_refused_and_the_next_client_is_served),
        T(models_go_by_path_and_by_key),
        T(observations_that_wait_run_as_one_batch_each_with_its_answer),
        T(one_in_a_batch_fails_alone),
        T(what_is_too_much_is_refused_naming_the_limit),
        T(what_waits_past_its_deadline_is_refused_naming_it),
        T(many_questions_of_one_connection_are_all_answered_in_order),
        T(who_is_silent_in_the_middle_of_a_message_is_cut_off),
        T(who_says_nothing_may_stay),
        T(broken_frames_end_their_connection_only),
        T(a_message_that_is_too_long_is_refused_in_words),
        T(who_asks_and_never_listens_is_not_listened_to),
        T(who_dies_while_its_question_runs_harms_nobody),
        T(keys_let_in_those_who_have_one),
        T(tls_is_spoken_with_a_certificate),
        T(pages_are_those_of_openpi_vla_eval_and_prometheus),
        T(at_the_end_what_was_asked_is_answered_and_the_rest_is_told),
        T(an_address_in_use_and_bad_names_are_said_at_the_start),
    };
    size_t ran = 0;
    fw_log_set_level(FW_LOG_ERROR);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (argc > 1 && strcmp(argv[1], tests[i].name) != 0) {
            continue;
        }
        tests[i].fn();
        printf("ok %s\n", tests[i].name);
        fflush(stdout);
        ran++;
    }
    return ran > 0 ? 0 : 2;
}
