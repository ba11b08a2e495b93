/* ctest: timeout=60 */
/* the page's server: who is let in, what commands become, what goes out to fast and slow watchers */
#include "console/console.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "fw_test.h"
#include "wire/ws_client.h"

/* ---- a robot that only remembers ---- */

typedef struct robot {
    fw_console *c;
    pthread_mutex_t lock; /* of all below */
    fw_console_command last;
    uint64_t who, gone;
    int n_command, n_left;
} robot;

static bool command(void *self, uint64_t who, const fw_console_command *cmd, char *why, size_t cap) {
    robot *r = self;
    pthread_mutex_lock(&r->lock);
    r->last = *cmd;
    r->who = who;
    r->n_command++;
    pthread_mutex_unlock(&r->lock);
    snprintf(why, cap, "the arm is \"tired\"");
    return cmd->verb != FW_CONSOLE_OFF;
}

static void left(void *self, uint64_t who) {
    robot *r = self;
    pthread_mutex_lock(&r->lock);
    r->gone = who;
    r->n_left++;
    pthread_mutex_unlock(&r->lock);
}

static void start(robot *r, fw_console_opts o) {
    fw_err err = {0};
    const fw_console_events on = {.ctx = r, .command = command, .left = left};
    fw_log_set_level(FW_LOG_ERROR);
    *r = (robot){0};
    pthread_mutex_init(&r->lock, NULL);
    if (fw_console_start(&o, &on, &r->c, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
}

static void stop(robot *r) {
    fw_console_stop(r->c);
    pthread_mutex_destroy(&r->lock);
}

static int count(robot *r, const int *what) {
    pthread_mutex_lock(&r->lock);
    const int n = *what;
    pthread_mutex_unlock(&r->lock);
    return n;
}

static void wait_for(robot *r, const int *what, int want) {
    for (int i = 0; i < 1000 && count(r, what) < want; i++) {
        usleep(5000);
    }
    CHECK_INT(count(r, what), want);
}

/* ---- who watches ---- */

static fw_ws_client *try_watch(const robot *r, const char *key, fw_err *err) {
    static _Thread_local char url[64];
    fw_ws_client *w = NULL;
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/ws", fw_console_port(r->c));
    (void)!fw_ws_client_open(&(fw_ws_client_opts){.url = url, .api_key = key}, 5000, &w, err);
    return w;
}

static void say(fw_ws_client *w, const char *text) {
    fw_buf m = {0};
    fw_err err = {0};
    CHECK_INT(fw_buf_put(&m, text, strlen(text), NULL), FW_OK);
    if (fw_ws_client_send(w, &m, true, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
}

/* The next text as JSON; pictures are passed over. */
static json_t *hear(fw_ws_client *w) {
    fw_buf m;
    fw_err err = {0};
    bool text = false;
    json_t *j;
    while (!text) {
        if (fw_ws_client_recv(w, 5000, &m, &text, &err) != FW_OK) {
            FW_FAILED("%s", err.msg);
        }
        if (!text) {
            fw_buf_free(&m);
        }
    }
    if (fw_json_parse((const char *)fw_buf_data(&m), m.n, "heard", &j, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    fw_buf_free(&m);
    return j;
}

/* ... which must have this key. */
static json_t *hear_of(fw_ws_client *w, const char *key) {
    json_t *j = hear(w);
    if (json_object_get(j, key) == NULL) {
        FW_FAILED("wanted '%s', heard %s", key, json_dumps(j, JSON_COMPACT));
    }
    return j;
}

static uint64_t greeted(fw_ws_client *w) {
    json_t *j = hear_of(w, "hello");
    const json_int_t you = json_integer_value(json_object_get(json_object_get(j, "hello"), "you"));
    json_decref(j);
    CHECK(you > 0);
    return (uint64_t)you;
}

static fw_ws_client *watch(const robot *r, uint64_t *who) {
    fw_err err = {0};
    fw_ws_client *w = try_watch(r, NULL, &err);
    if (w == NULL) {
        FW_FAILED("%s", err.msg);
    }
    const uint64_t you = greeted(w);
    if (who != NULL) {
        *who = you;
    }
    return w;
}

static void check_answer(fw_ws_client *w, int re, const char *error) {
    json_t *j = hear_of(w, error == NULL ? "ok" : "error");
    const json_t *id = json_object_get(j, "re");
    CHECK_INT(id != NULL ? json_integer_value(id) : -1, re);
    if (error != NULL && strstr(json_string_value(json_object_get(j, "error")), error) == NULL) {
        FW_FAILED("error '%s', want '%s'", json_string_value(json_object_get(j, "error")), error);
    }
    json_decref(j);
}

/* ---- what strangers send, by hand ---- */

/* A request with these headers; the answer's status, its text in out. */
static int ask(const robot *r, const char *path, const char *headers, char *out, size_t cap) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)fw_console_port(r->c)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    char text[1024];
    const int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n%s\r\n", path, headers);
    size_t at = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0 && write(fd, text, (size_t)n) == n);
    while (at + 1 < cap && poll(&p, 1, at == 0 ? 5000 : 200) > 0) {
        const ssize_t got = read(fd, out + at, cap - 1 - at);
        if (got <= 0) {
            break;
        }
        at += (size_t)got;
    }
    close(fd);
    out[at] = 0;
    CHECK(strncmp(out, "HTTP/1.1 ", 9) == 0);
    return atoi(out + 9);
}

static int upgrade(const robot *r, const char *path, const char *host, const char *origin) {
    char headers[600], out[2048];
    snprintf(headers, sizeof headers,
             "Host: %s\r\n%s%s%sUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
             host, origin != NULL ? "Origin: " : "", origin != NULL ? origin : "", origin != NULL ? "\r\n" : "");
    return ask(r, path, headers, out, sizeof out);
}

/* ---- tests ---- */

static void a_command_arrives_checked_and_is_answered(void) {
    robot r;
    uint64_t who;
    start(&r, (fw_console_opts){0});
    fw_ws_client *w = watch(&r, &who);
    say(w, "{\"id\": 7, \"do\": \"say\", \"text\": \"put the m\\u00fcg in the sink\"}");
    check_answer(w, 7, NULL);
    CHECK(r.last.verb == FW_CONSOLE_SAY && strcmp(r.last.text, "put the m\303\274g in the sink") == 0);
    CHECK(r.who == who);
    say(w, "{\"id\": 8, \"do\": \"move\", \"step\": [1, -0.5, 0, 0.25], \"gripper\": 1}");
    check_answer(w, 8, NULL);
    CHECK_NEAR(r.last.step, ((float[]){1, -0.5f, 0, 0.25f}), 4, 0, 0);
    CHECK(r.last.verb == FW_CONSOLE_MOVE && r.last.has_gripper && r.last.gripper > 0.99f);
    say(w, "{\"id\": 9, \"do\": \"joints\", \"position\": [0.5, 1, -2]}");
    check_answer(w, 9, NULL);
    CHECK(r.last.verb == FW_CONSOLE_JOINTS && r.last.n == 3);
    CHECK_NEAR(r.last.position, ((float[]){0.5f, 1, -2}), 3, 0, 0);
    say(w, "{\"id\": 10, \"do\": \"mark\", \"what\": \"wrong\", \"note\": \"dropped it\"}");
    check_answer(w, 10, NULL);
    CHECK(r.last.verb == FW_CONSOLE_MARK && r.last.mark == FW_CONSOLE_WRONG && strcmp(r.last.text, "dropped it") == 0);
    say(w, "{\"id\": 11, \"do\": \"off\"}");
    check_answer(w, 11, "the arm is \"tired\"");
    say(w, "{\"do\": \"stop\"}"); /* no id, no answer */
    say(w, "{\"id\": 12, \"do\": \"give\"}");
    check_answer(w, 12, NULL);
    CHECK_INT(count(&r, &r.n_command), 7);
    fw_ws_client_close(w);
    stop(&r);
}

static void what_is_no_command_is_refused_in_words_and_never_arrives(void) {
    static const struct {
        const char *text, *words;
        int re;
    } bad[] = {
        {"stop", "command", -1},
        {"[1]", "not a JSON object", -1},
        {"{\"id\": 1}", "'do'", 1},
        {"{\"id\": 2, \"do\": \"dance\"}", "nobody can do 'dance'", 2},
        {"{\"id\": 3, \"do\": \"say\", \"text\": \"\"}", "text has 0 bytes", 3},
        {"{\"id\": 4, \"do\": \"say\", \"text\": \"a\\u0007b\"}", "control character", 4},
        {"{\"id\": 5, \"do\": \"move\", \"step\": [0, 0, 0, 1.01]}", "wanted -1 to 1", 5},
        {"{\"id\": 6, \"do\": \"move\", \"step\": [0, 0, 0]}", "step", 6},
        {"{\"id\": 7, \"do\": \"move\", \"step\": [0, 0, 0, 0], \"gripper\": -1}", "gripper is -1", 7},
        {"{\"id\": 8, \"do\": \"move\", \"step\": [0, 0, 0, 1e999]}", "", -1},
        {"{\"id\": 9, \"do\": \"joints\", \"position\": []}", "position has 0 numbers", 9},
        {"{\"id\": 10, \"do\": \"joints\", \"position\": [1e300]}", "position is 1e+300", 10},
        {"{\"id\": 11, \"do\": \"mark\", \"what\": \"fine\"}", "wanted good, bad or wrong", 11},
        {"{\"id\": 12, \"do\": \"stop\", \"now\": true}", "now", 12},
        {"{\"id\": -1, \"do\": \"stop\"}", "id", -1},
    };
    robot r;
    start(&r, (fw_console_opts){0});
    fw_ws_client *w = watch(&r, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        say(w, bad[i].text);
        check_answer(w, bad[i].re, bad[i].words);
    }
    CHECK_INT(count(&r, &r.n_command), 0);
    fw_ws_client_close(w);
    stop(&r);
}

static void a_newcomer_gets_the_newest_state_the_log_and_pictures(void) {
    robot r;
    char line[32];
    fw_buf m;
    bool text;
    start(&r, (fw_console_opts){0});
    fw_console_state(r.c, "{\"cycles\": 1}");
    fw_console_state(r.c, "{\"cycles\": 2}");
    fw_console_picture(r.c, 3, "\xff\xd8old", 5);
    fw_console_picture(r.c, 3, "\xff\xd8new", 5);
    for (int i = 0; i < FW_CONSOLE_LOG + 20; i++) {
        snprintf(line, sizeof line, i == 30 ? "\"\xff\"" : "line %d", i);
        fw_console_log(r.c, line);
    }
    fw_ws_client *w = watch(&r, NULL);
    json_t *state = hear_of(w, "state"), *log = hear_of(w, "log"), *lines = json_object_get(log, "log");
    CHECK_INT(json_integer_value(json_object_get(json_object_get(state, "state"), "cycles")), 2);
    CHECK_INT(json_array_size(lines), FW_CONSOLE_LOG);
    CHECK(strcmp(json_string_value(json_array_get(lines, 0)), "line 20") == 0);
    CHECK(strcmp(json_string_value(json_array_get(lines, 10)), "\"?\"") == 0);
    CHECK_INT(fw_ws_client_recv(w, 5000, &m, &text, NULL), FW_OK);
    CHECK(!text && m.n == 6 && memcmp(fw_buf_data(&m), "\3\xff\xd8new", 6) == 0);
    fw_buf_free(&m);
    fw_console_log(r.c, "one more");
    json_t *more = hear_of(w, "log");
    CHECK_INT(json_array_size(json_object_get(more, "log")), 1);
    json_decref(state), json_decref(log), json_decref(more);
    fw_ws_client_close(w);
    stop(&r);
}

/* Connected and greeted, but it reads nothing. */
static int deaf(const robot *r) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)fw_console_port(r->c)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    static const char hello[] = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    const int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    CHECK(write(fd, hello, sizeof hello - 1) == (ssize_t)sizeof hello - 1);
    return fd;
}

/* Everything that comes until the text `end` was in it; how many bytes that were. */
static size_t drain(int fd, const char *end) {
    static char buf[1 << 20];
    size_t total = 0, at = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, 5000) > 0) {
        const ssize_t got = read(fd, buf + at, sizeof buf - at);
        CHECK(got > 0);
        total += (size_t)got;
        at += (size_t)got;
        if (memmem(buf, at, end, strlen(end)) != NULL) {
            return total;
        }
        if (at > sizeof buf / 2) { /* keep what may be the text's beginning */
            memmove(buf, buf + at - 64, 64);
            at = 64;
        }
    }
    FW_FAILED("'%s' did not come", end);
}

static void who_is_slow_gets_the_newest_holds_up_nobody_and_is_heard(void) {
    static const uint8_t stop_frame[] = {0x81, 0x8d, 0,   0,   0,   0,   '{', '"', 'd', 'o',
                                         '"',  ':',  '"', 's', 't', 'o', 'p', '"', '}'};
    static char picture[60000];
    robot r;
    char state[64];
    start(&r, (fw_console_opts){0});
    const int slow = deaf(&r);
    fw_ws_client *fast = watch(&r, NULL);
    for (int i = 0; i < 1000; i++) {
        snprintf(state, sizeof state, "{\"cycles\": %d}", i);
        fw_console_state(r.c, state);
        fw_console_picture(r.c, 0, picture, sizeof picture);
        json_t *j = hear_of(fast, "state");
        CHECK_INT(json_integer_value(json_object_get(json_object_get(j, "state"), "cycles")), i);
        json_decref(j);
    }
    CHECK(write(slow, stop_frame, sizeof stop_frame) == sizeof stop_frame);
    wait_for(&r, &r.n_command, 1);
    CHECK(r.last.verb == FW_CONSOLE_STOP);
    const size_t held = drain(slow, "\"cycles\": 999");
    printf("   60 MB were shown, a deaf page was sent %zu kB of them\n", held / 1000);
    CHECK(held < 2000000);
    close(slow);
    fw_ws_client_close(fast);
    stop(&r);
}

static void pages_of_others_are_refused(void) {
    robot r;
    char here[64], origin[80];
    start(&r, (fw_console_opts){0});
    snprintf(here, sizeof here, "127.0.0.1:%d", fw_console_port(r.c));
    snprintf(origin, sizeof origin, "http://%s", here);
    CHECK_INT(upgrade(&r, "/ws", here, origin), 101);
    CHECK_INT(upgrade(&r, "/ws", here, NULL), 101);                                /* no browser */
    CHECK_INT(upgrade(&r, "/ws", "localhost:7000", "http://localhost:7000"), 101); /* through a tunnel */
    CHECK_INT(upgrade(&r, "/ws", "[::1]:7000", "http://[::1]:7000"), 101);
    CHECK_INT(upgrade(&r, "/ws", here, "http://evil.example"), 403);
    CHECK_INT(upgrade(&r, "/ws", here, "http://127.0.0.1:1"), 403); /* another server of this machine */
    CHECK_INT(upgrade(&r, "/ws", here, "null"), 403);
    CHECK_INT(upgrade(&r, "/ws", "evil.example", "http://evil.example"), 403); /* its name bound to us */
    CHECK_INT(upgrade(&r, "/ws", "evil.example", NULL), 403);
    CHECK_INT(upgrade(&r, "/", here, origin), 404);
    stop(&r);
}

static void the_page_comes_with_a_policy_that_lets_nothing_foreign_in(void) {
    static char out[1 << 20];
    robot r;
    start(&r, (fw_console_opts){0});
    CHECK_INT(ask(&r, "/", "Host: localhost\r\n", out, sizeof out), 200);
    CHECK(strstr(out, "content-security-policy: default-src 'self'") != NULL);
    CHECK(strstr(out, "frame-ancestors 'none'") != NULL && strstr(out, "<!doctype html>") != NULL);
    CHECK_INT(ask(&r, "/main.js", "Host: localhost\r\n", out, sizeof out), 200);
    CHECK(strstr(out, "content-type: text/javascript") != NULL);
    CHECK_INT(ask(&r, "/", "Host: evil.example\r\n", out, sizeof out), 403);
    CHECK_INT(ask(&r, "/nothing.html", "Host: localhost\r\n", out, sizeof out), 404);
    CHECK_INT(ask(&r, "/web/main.js", "Host: localhost\r\n", out, sizeof out), 404);
    stop(&r);
}

static void a_folder_takes_the_place_of_the_page(void) {
    char out[4096];
    robot r;
    CHECK_INT(fw_mkdirs("console_web", NULL), FW_OK);
    CHECK_INT(fw_file_write_atomic("console_web/index.html", "mine", 4, NULL), FW_OK);
    CHECK_INT(fw_file_write_atomic("console_secret.js", "secret", 6, NULL), FW_OK);
    start(&r, (fw_console_opts){.web = "console_web"});
    CHECK_INT(ask(&r, "/", "Host: localhost\r\n", out, sizeof out), 200);
    CHECK(strstr(out, "\r\n\r\nmine") != NULL);
    CHECK_INT(ask(&r, "/main.js", "Host: localhost\r\n", out, sizeof out), 404);
    CHECK_INT(ask(&r, "/..%2fconsole_secret.js", "Host: localhost\r\n", out, sizeof out), 404);
    stop(&r);
    CHECK_INT(fw_remove_tree("console_web", NULL), FW_OK);
    remove("console_secret.js");
}

static void with_keys_nobody_sees_or_asks_anything_without_one(void) {
    static const char key[] = "a-key-of-many-letters\n";
    robot r;
    fw_err err = {0};
    fw_buf m;
    bool text;
    CHECK_INT(fw_file_write_atomic("console_key.txt", key, sizeof key - 1, NULL), FW_OK);
    start(&r, (fw_console_opts){.keys = "console_key.txt"});
    fw_console_state(r.c, "{}");
    fw_ws_client *w = try_watch(&r, NULL, &err);
    CHECK(w != NULL);
    CHECK_INT(fw_ws_client_recv(w, 200, &m, &text, &err), FW_TIMEOUT);
    say(w, "{\"do\": \"hello\", \"key\": \"a-key-of-many-letters\"}");
    greeted(w);
    json_decref(hear_of(w, "state"));
    say(w, "{\"id\": 1, \"do\": \"start\"}");
    check_answer(w, 1, NULL);
    fw_ws_client_close(w);
    wait_for(&r, &r.n_left, 1);
    static const char *const wrong[] = {"{\"do\": \"hello\", \"key\": \"a-key-of-other-letters\"}",
                                        "{\"do\": \"hello\"}", "{\"id\": 1, \"do\": \"stop\"}", "?"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        w = try_watch(&r, NULL, &err);
        CHECK(w != NULL);
        say(w, wrong[i]);
        CHECK_INT(fw_ws_client_recv(w, 5000, &m, &text, &err), FW_CLOSED);
        CHECK(strstr(err.msg, "4401") != NULL);
        fw_ws_client_close(w);
    }
    w = try_watch(&r, "a-key-of-many-letters", &err); /* another process: in its header */
    CHECK(w != NULL);
    greeted(w);
    fw_ws_client_close(w);
    wait_for(&r, &r.n_left, 2);
    CHECK_INT(count(&r, &r.n_command), 1);
    stop(&r);
    remove("console_key.txt");
}

static void over_tls_the_page_must_have_come_over_tls_too(void) {
    static const char cert[] = FW_SOURCE_DIR "/tests/serve/localhost.pem",
                      key[] = FW_SOURCE_DIR "/tests/serve/localhost.key";
    robot r;
    char url[64], why[200];
    fw_err err = {0};
    fw_ws_client *w = NULL;
    start(&r, (fw_console_opts){.cert = cert, .key = key});
    snprintf(url, sizeof url, "wss://localhost:%d/ws", fw_console_port(r.c));
    if (fw_ws_client_open(&(fw_ws_client_opts){.url = url, .ca = cert}, 5000, &w, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    greeted(w);
    say(w, "{\"id\": 1, \"do\": \"stop\"}");
    check_answer(w, 1, NULL);
    fw_ws_client_close(w);
    stop(&r);
    CHECK(fw_console_origin_fits("robot:8080", "https://robot:8080", true, true, why, sizeof why));
    CHECK(!fw_console_origin_fits("robot:8080", "http://robot:8080", true, true, why, sizeof why));
    CHECK(fw_console_origin_fits("robot:8080", "https://robot:8080", false, true, why,
                                 sizeof why)); /* TLS ends before us */
}

static void without_keys_it_listens_on_this_machine_only(void) {
    robot r = {0};
    fw_err err = {0};
    const fw_console_events on = {.ctx = &r, .command = command};
    CHECK_INT(fw_console_start(&(fw_console_opts){.host = "0.0.0.0"}, &on, &r.c, &err), FW_INVALID);
    CHECK(strstr(err.msg, "wants a file of keys") != NULL && r.c == NULL);
    CHECK_INT(fw_console_start(&(fw_console_opts){.keys = "nowhere.txt"}, &on, &r.c, &err), FW_IO);
}

static void who_leaves_is_told_of_once(void) {
    robot r;
    uint64_t a, b;
    start(&r, (fw_console_opts){0});
    fw_ws_client *one = watch(&r, &a), *two = watch(&r, &b);
    CHECK(a != b);
    CHECK_INT(fw_console_watchers(r.c), 2);
    fw_ws_client_close(one);
    wait_for(&r, &r.n_left, 1);
    CHECK(r.gone == a);
    fw_console_stop(r.c); /* the other is told of, too */
    CHECK_INT(count(&r, &r.n_left), 2);
    CHECK(r.gone == b);
    fw_ws_client_close(two);
    pthread_mutex_destroy(&r.lock);
}

FW_TEST_MAIN(T(a_command_arrives_checked_and_is_answered), T(what_is_no_command_is_refused_in_words_and_never_arrives),
             T(a_newcomer_gets_the_newest_state_the_log_and_pictures),
             T(who_is_slow_gets_the_newest_holds_up_nobody_and_is_heard), T(pages_of_others_are_refused),
             T(the_page_comes_with_a_policy_that_lets_nothing_foreign_in), T(a_folder_takes_the_place_of_the_page),
             T(with_keys_nobody_sees_or_asks_anything_without_one), T(over_tls_the_page_must_have_come_over_tls_too),
             T(without_keys_it_listens_on_this_machine_only), T(who_leaves_is_told_of_once))
