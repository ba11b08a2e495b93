/* a policy on another machine: honest servers, slow, silent, dying and lying ones */
#include "wire/remote.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/embodiment.h"
#include "base/log.h"
#include "fw_test.h"
#include "wire/mp_json.h"
#include "wire/ws_client.h"
#include "wire/ws_server.h"

enum { N_STATE = 3, N_ACTION = 2, ROWS = 4 };

/* What the server of these tests does next. */
typedef enum mood {
    HONEST,
    SILENT,
    TEXT,
    GARBAGE,
    NO_ACTIONS,
    NAN_INSIDE,
    TOO_WIDE,
    NO_ROWS,
    WORDS,
    OUTSIDE,
    HANGS_UP
} mood;

typedef struct liar {
    fw_ws_server *ws;
    mood mood;
    bool plain; /* metadata {}, as of any server of openpi */
    atomic_int questions, greetings;
    char seen[512]; /* keys of the last question */
    double prefix_rows, n_prefix;
} liar;

static fw_embodiment robot;

static void make_robot(void) {
    robot = (fw_embodiment){.name = "r",
                            .rate_hz = 20,
                            .n_camera = 2,
                            .n_state = N_STATE,
                            .n_action = N_ACTION,
                            .camera = {{"front", 4, 3}, {"wrist", 4, 3}}};
    for (int i = 0; i < N_STATE; i++) {
        robot.state[i] = robot.action[i] = (fw_dim){.meaning = FW_MEANING_JOINT_POS, .min = -1, .max = 1};
        snprintf(robot.state[i].name, FW_NAME_MAX, "s%d", i);
        snprintf(robot.action[i].name, FW_NAME_MAX, "a%d", i);
    }
}

static void *greet(void *self, fw_ws_id id, const fw_ws_request *r) {
    liar *l = self;
    fw_mp_out o;
    fw_buf b;
    (void)r;
    l->greetings++;
    fw_mp_begin(&o);
    if (l->plain) {
        fw_mp_map(&o, 0);
    } else {
        json_t *e = fw_embodiment_to_json(&robot);
        json_t *j = json_pack("{s:s, s:i, s:i, s:i, s:b, s:o}", "server", "flywheel", "horizon", ROWS, "n_execute", 2,
                              "max_delay", 3, "wants_motion", 1, "embodiment", e);
        fw_mp_put_json(&o, j);
        json_decref(j);
    }
    CHECK_INT(fw_mp_end(&o, &b, NULL), FW_OK);
    fw_ws_send(l->ws, id, &b, &(fw_ws_out){0});
    return l;
}

static void note_keys(liar *l, const msgpack_object *root) {
    l->seen[0] = 0;
    for (uint32_t i = 0; i < root->via.map.size; i++) {
        char key[64];
        const size_t at = strlen(l->seen);
        CHECK(fw_mp_text(&root->via.map.ptr[i].key, key, sizeof key));
        snprintf(l->seen + at, sizeof l->seen - at, "%s%s", at > 0 ? " " : "", key);
    }
    fw_nd nd;
    l->prefix_rows = fw_nd_view(fw_mp_get(root, "prefix"), "", &nd, NULL) == FW_OK ? (double)nd.shape[0] : 0;
    l->n_prefix = 0;
    (void)fw_mp_number(fw_mp_get(root, "n_prefix"), &l->n_prefix);
}

static void put_actions(fw_mp_out *o, const liar *l) {
    static float rows[ROWS * (N_ACTION + 1)];
    const int64_t shape[] = {l->mood == NO_ROWS ? 0 : ROWS, N_ACTION + (l->mood == TOO_WIDE)};
    for (int i = 0; i < ROWS * (N_ACTION + 1); i++) {
        rows[i] = l->mood == OUTSIDE ? 50.f : (float)i / 100;
    }
    rows[5] = l->mood == NAN_INSIDE ? NAN : rows[5];
    fw_mp_map(o, 1);
    fw_mp_str(o, l->mood == NO_ACTIONS ? "action" : "actions");
    if (l->mood == WORDS) {
        fw_mp_str(o, "left a bit");
    } else {
        fw_nd_put(o, FW_ND_OPENPI, "<f4", 2, shape, rows);
    }
}

static void answer(void *self, void *session, fw_ws_id id, fw_buf *m, bool text) {
    liar *l = self;
    fw_mp_doc doc;
    fw_mp_out o;
    fw_buf b = {0};
    (void)session, (void)text;
    CHECK_INT(fw_mp_parse(fw_buf_data(m), m->n, &doc, NULL), FW_OK);
    note_keys(l, &doc.root);
    fw_mp_clear(&doc);
    l->questions++;
    if (l->mood == SILENT) {
        return;
    }
    if (l->mood == TEXT || l->mood == GARBAGE) {
        const char *words = l->mood == TEXT ? "SHAPE: state: 3 numbers, wanted 4" : "\x93\x01";
        CHECK_INT(fw_buf_put(&b, words, strlen(words), NULL), FW_OK);
        fw_ws_send(l->ws, id, &b, &(fw_ws_out){.text = l->mood == TEXT, .close = l->mood == TEXT ? 1011 : 0});
        return;
    }
    if (l->mood == HANGS_UP) {
        fw_ws_send(l->ws, id, &b, &(fw_ws_out){.close = 1008, .reason = "tired"});
        return;
    }
    fw_mp_begin(&o);
    put_actions(&o, l);
    CHECK_INT(fw_mp_end(&o, &b, NULL), FW_OK);
    fw_ws_send(l->ws, id, &b, &(fw_ws_out){0});
}

static void gone(void *self, void *session, fw_ws_id id) {
    (void)self, (void)session, (void)id;
}

static void serve(liar *l, int port) {
    fw_err err = {0};
    const fw_ws_events on = {.ctx = l, .open = greet, .message = answer, .closed = gone};
    if (fw_ws_server_start(&(fw_ws_server_opts){.port = port}, &on, &l->ws, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
}

static void unserve(liar *l) {
    fw_ws_server_stop(l->ws, 300);
    fw_ws_server_free(l->ws);
}

static fw_policy *open_remote(const liar *l, fw_remote_opts o) {
    char url[64];
    fw_policy *p;
    fw_err err = {0};
    snprintf(url, sizeof url, "ws://127.0.0.1:%d", fw_ws_server_port(l->ws));
    o.url = url;
    if (fw_remote_open(&o, &p, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    return p;
}

static const float state[N_STATE] = {0.1f, 0.2f, 0.3f}, settled[6] = {1, 1, 1, 1, 1, 1};
static uint8_t pixels[4 * 3 * 3];
static float rows[8 * N_ACTION];

static fw_obs observation(void) {
    return (fw_obs){.image = {{pixels, 3, 4}, {pixels, 3, 4}},
                    .n_image = 2,
                    .state = state,
                    .n_state = N_STATE,
                    .instruction = "go",
                    .t_ns = 77};
}

static fw_status infer(fw_policy *p, fw_err *err) {
    const fw_obs obs = observation();
    fw_chunk c = {.actions = rows, .cap_horizon = 8};
    rows[0] = -9;
    const fw_status st = fw_policy_infer(p, &obs, &c, err);
    if (st == FW_OK) {
        CHECK(c.horizon == ROWS && c.n_action == N_ACTION && c.t_ns == 77 && fabs(c.dt_s - 0.05) < 1e-9);
    } else {
        CHECK((double)rows[0] == -9.0); /* untouched */
    }
    return st;
}

static void the_server_says_what_it_is_and_is_asked(void) {
    liar l = {0};
    fw_policy_info info;
    fw_err err = {0};
    serve(&l, 0);
    fw_policy *p = open_remote(&l, (fw_remote_opts){0});
    fw_policy_describe(p, &info);
    CHECK(info.horizon == ROWS && info.n_execute == 2 && info.max_delay == 3 && info.wants_motion);
    CHECK(strcmp(info.embodiment->name, "r") == 0 && info.embodiment->n_camera == 2);
    CHECK_INT(infer(p, &err), FW_OK);
    CHECK(fabs((double)rows[7] - 0.07) < 1e-6);
    CHECK(strcmp(l.seen, "images state prompt") == 0);
    fw_obs obs = observation();
    fw_chunk c = {.actions = rows, .cap_horizon = 2};
    obs.prev_state = state, obs.prefix = settled, obs.n_prefix = 2, obs.n_wish = 1;
    CHECK_INT(fw_policy_infer(p, &obs, &c, &err), FW_OK);
    CHECK_INT(c.horizon, 2); /* as many as there is room for */
    CHECK(strcmp(l.seen, "images state prompt prev_state prefix n_prefix") == 0);
    CHECK(l.prefix_rows == 3 && l.n_prefix == 2);
    obs.n_prefix = 4;
    CHECK_INT(fw_policy_infer(p, &obs, &c, &err), FW_INVALID);
    fw_policy_close(p);
    unserve(&l);
}

static void any_server_of_openpi_is_asked_by_its_environments_names(void) {
    static const char *const seen[] = {
        "aloha",
        "images state prompt",
        "droid",
        ("observation/exterior_image_1_left observation/wrist_image_left observation/joint_position "
         "observation/gripper_position prompt"),
        "libero",
        "observation/image observation/wrist_image observation/state prompt"};
    liar l = {.plain = true};
    fw_err err = {0};
    fw_policy *none;
    char url[64];
    serve(&l, 0);
    for (int i = 0; i < 3; i++) {
        fw_policy_info info;
        fw_policy *p = open_remote(&l, (fw_remote_opts){.embodiment = &robot, .keys = seen[2 * i]});
        fw_policy_describe(p, &info);
        CHECK(info.horizon == ROWS && info.n_execute == ROWS && info.max_delay == 0); /* by asking once */
        CHECK_INT(infer(p, &err), FW_OK);
        CHECK(strcmp(l.seen, seen[2 * i + 1]) == 0);
        fw_policy_close(p);
    }
    snprintf(url, sizeof url, "ws://127.0.0.1:%d", fw_ws_server_port(l.ws));
    CHECK_INT(fw_remote_open(&(fw_remote_opts){.url = url}, &none, &err), FW_INVALID);
    CHECK(strstr(err.msg, "does not say for which robot") != NULL);
    CHECK_INT(fw_remote_open(&(fw_remote_opts){.url = url, .embodiment = &robot, .keys = "ur5"}, &none, &err),
              FW_INVALID);
    unserve(&l);
}

static void what_a_lying_server_says_is_refused_by_name(void) {
    static const struct {
        mood mood;
        fw_status code;
        const char *words;
    } lies[] = {
        {TEXT, FW_SHAPE, "state: 3 numbers, wanted 4"},
        {GARBAGE, FW_FORMAT, "msgpack: byte"},
        {NO_ACTIONS, FW_FORMAT, "the answer has no 'actions'"},
        {NAN_INSIDE, FW_FORMAT, "action 'a1' of row 2 is nan"},
        {TOO_WIDE, FW_SHAPE, "actions are [4, 3] f4, wanted [rows, 2] numbers for r"},
        {NO_ROWS, FW_SHAPE, "actions are [0, 2] f4"},
        {WORDS, FW_FORMAT, "actions: not an array"},
        {HANGS_UP, FW_CLOSED, "1008 tired"},
    };
    liar l = {0};
    serve(&l, 0);
    fw_policy *p = open_remote(&l, (fw_remote_opts){0});
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        fw_err err = {0};
        l.mood = lies[i].mood;
        const fw_status st = infer(p, &err);
        if (st != lies[i].code || strstr(err.msg, lies[i].words) == NULL) {
            FW_FAILED("lie %zu: %s: %s", i, fw_status_name(st), err.msg);
        }
        l.mood = HONEST;
        usleep(150000); /* past the first distance */
        CHECK_INT(infer(p, &err), FW_OK);
    }
    l.mood = OUTSIDE;
    CHECK_INT(infer(p, NULL), FW_OK);
    CHECK((double)rows[0] == 1.0); /* held to the robot's limits */
    fw_policy_close(p);
    unserve(&l);
}

static void a_silent_server_costs_the_timeout_and_no_more(void) {
    liar l = {.mood = SILENT};
    fw_err err = {0};
    serve(&l, 0);
    fw_policy *p = open_remote(&l, (fw_remote_opts){.timeout_ms = 200});
    const int64_t from = fw_now_ns();
    CHECK_INT(infer(p, &err), FW_TIMEOUT);
    CHECK(strstr(err.msg, "no answer within 200 ms") != NULL);
    CHECK(fw_now_ns() - from < 1500000000);
    fw_status st = FW_TIMEOUT; /* a machine may stop for longer than the first distances */
    for (int i = 0; i < 6 && st != FW_CLOSED; i++) {
        st = infer(p, &err); /* at once, until it may try again */
    }
    CHECK_INT(st, FW_CLOSED);
    CHECK(strstr(err.msg, "next try in") != NULL);
    fw_policy_close(p);
    unserve(&l);
}

static void a_server_that_died_is_found_again(void) {
    liar l = {0};
    fw_err err = {0};
    serve(&l, 0);
    const int port = fw_ws_server_port(l.ws);
    fw_policy *p = open_remote(&l, (fw_remote_opts){.timeout_ms = 500});
    CHECK_INT(infer(p, &err), FW_OK);
    unserve(&l);
    for (int i = 0; i < 3; i++) {
        CHECK(infer(p, &err) != FW_OK);
        usleep(120000);
    }
    serve(&l, port);
    fw_status st = FW_CLOSED;
    for (int64_t until = fw_now_ns() + 10000000000ll; st != FW_OK && fw_now_ns() < until; usleep(50000)) {
        st = infer(p, &err);
    }
    CHECK_INT(st, FW_OK);
    fw_policy_close(p);
    unserve(&l);
}

static void nobody_there_is_said_at_once(void) {
    fw_policy *p;
    fw_err err = {0};
    const int64_t from = fw_now_ns();
    CHECK(fw_remote_open(&(fw_remote_opts){.url = "ws://127.0.0.1:1"}, &p, &err) != FW_OK);
    CHECK(strstr(err.msg, "127.0.0.1:1") != NULL && fw_now_ns() - from < 4000000000);
}

static void observations_that_do_not_fit_are_not_sent(void) {
    liar l = {0};
    fw_err err = {0};
    fw_chunk c = {.actions = rows, .cap_horizon = 8};
    const float bad[] = {0, NAN, 0};
    serve(&l, 0);
    fw_policy *p = open_remote(&l, (fw_remote_opts){0});
    fw_obs obs = observation();
    obs.n_state = 2;
    CHECK_INT(fw_policy_infer(p, &obs, &c, &err), FW_SHAPE);
    obs = observation();
    obs.state = bad;
    CHECK_INT(fw_policy_infer(p, &obs, &c, &err), FW_FORMAT);
    CHECK(strstr(err.msg, "state 's1' is nan") != NULL);
    CHECK_INT(l.questions, 0);
    fw_policy_close(p);
    unserve(&l);
}

static void urls_are_read_and_bad_ones_refused(void) {
    fw_ws_url u;
    fw_err err;
    CHECK(fw_ws_url_parse("ws://gpu:8000/kitchen3", &u, &err) == FW_OK && !u.tls && u.port == 8000 &&
          strcmp(u.host, "gpu") == 0 && strcmp(u.path, "/kitchen3") == 0);
    CHECK(fw_ws_url_parse("wss://gpu", &u, &err) == FW_OK && u.tls && u.port == 443 && strcmp(u.path, "/") == 0);
    CHECK(fw_ws_url_parse("127.0.0.1:80", &u, &err) == FW_OK && u.port == 80);
    static const char *const bad[] = {"http://gpu",     "ws://",        "ws://:80",     "ws://gpu:0",
                                      "ws://gpu:99999", "ws://gpu:80x", "ws://gpu/a b", "ws://gpu/a\r\nX: y"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_INT(fw_ws_url_parse(bad[i], &u, &err), FW_INVALID);
    }
}

int main(int argc, char **argv) {
    const fw_test tests[] = {
        T(the_server_says_what_it_is_and_is_asked),     T(any_server_of_openpi_is_asked_by_its_environments_names),
        T(what_a_lying_server_says_is_refused_by_name), T(a_silent_server_costs_the_timeout_and_no_more),
        T(a_server_that_died_is_found_again),           T(nobody_there_is_said_at_once),
        T(observations_that_do_not_fit_are_not_sent),   T(urls_are_read_and_bad_ones_refused)};
    signal(SIGPIPE, SIG_IGN);
    fw_log_set_level(FW_LOG_ERROR);
    make_robot();
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (argc == 1 || strcmp(argv[1], tests[i].name) == 0) {
            tests[i].fn();
            printf("ok %s\n", tests[i].name);
        }
    }
    return 0;
}
