/* ctest: timeout=180 */
/* the page in a browser, at a desk and on a phone: what people do there reaches the robot, and what the robot does is seen */
#include "browser.h"
#include "feed.h"

static feed robot;

static page open_page(bool phone) {
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", fw_console_port(robot.c));
    page p = phone ? page_open(url, 390, 844, true) : page_open(url, 1280, 800, false);
    page_wait(&p, "document.body?.dataset.link === 'up' && document.querySelectorAll('#axes tr').length === 7");
    return p;
}

/* The page is ready when something new can be asked of the robot. */
static void settle(const page *p, const char *mode) {
    char js[200];
    snprintf(js, sizeof js, "document.body.dataset.mode === '%s' && document.body.dataset.severity === 'none'", mode);
    page_wait(p, js);
}

static void say_a_sentence(const page *p, const char *text) {
    const int before = feed_count(&robot);
    page_click(p, "#sentence");
    page_type(p, text);
    page_click(p, "#say button");
    const feed_heard h = feed_wait(&robot, before, FW_CONSOLE_SAY);
    CHECK(strcmp(h.cmd.text, text) == 0);
    page_wait(
        p,
        "document.querySelector('#history button.now') !== null && document.querySelector('#sentence').value === ''");
}

static double stop_ms(const page *p, bool key) {
    const int before = feed_count(&robot);
    const int64_t from = fw_now_ns();
    if (key) {
        page_key(p, "rawKeyDown", "Space", " ");
    } else {
        page_press(p, "#stop"); /* the finger need not be lifted */
    }
    const double ms = 1e-6 * (double)(feed_wait(&robot, before, FW_CONSOLE_STOP).t_ns - from);
    page_wait(p, "document.body.dataset.severity === 'stop'");
    if (key) {
        page_key(p, "keyUp", "Space", " ");
    } else if (p->touch) {
        page_finger(p, "touchEnd", 0, 0);
    }
    page_click(p, "#acknowledge");
    settle(p, "standby");
    return ms;
}

static void a_sentence_typed_reaches_the_robot(void) {
    page desk = open_page(false), phone = open_page(true);
    say_a_sentence(&desk, "put the mug in the sink");
    page_wait(&phone, "document.querySelector('#sentence').placeholder === 'Now: put the mug in the sink'");
    say_a_sentence(&phone, "wipe the table \xe2\x80\x93 slowly");
    page_wait(&desk, "document.querySelector('#history button').textContent === 'wipe the table \\u2013 slowly'");
    page_click(&desk, "#sentence");
    page_type(&desk, "a b"); /* a space here stops nothing */
    page_key(&desk, "rawKeyDown", "ArrowUp", "ArrowUp");
    page_wait(&desk, "document.querySelector('#sentence').value === 'wipe the table \u2013 slowly'");
    page_close(&desk), page_close(&phone);
}

static void stop_is_one_message_away_by_button_and_by_key(void) {
    page desk = open_page(false), phone = open_page(true);
    const double button = stop_ms(&desk, false), key = stop_ms(&desk, true), thumb = stop_ms(&phone, false);
    printf("   from the press to the robot: button %.1f ms, key %.1f ms, on a phone %.1f ms\n", button, key, thumb);
    CHECK(button < 500 && key < 500 &&
          thumb < 500); /* a busy machine; one round trip of the browser's own protocol is in it */
    page_click(&desk, "#sentence");
    const int before = feed_count(&robot);
    page_key(&desk, "rawKeyDown", "Escape", "Escape"); /* also while one types */
    feed_wait(&robot, before, FW_CONSOLE_STOP);
    page_wait(&desk, "document.querySelector('#mode-name').textContent === 'Stopped'");
    page_click(&desk, "#acknowledge");
    settle(&desk, "standby");
    page_close(&desk), page_close(&phone);
}

static void what_stays_so_is_not_acknowledged_away(void) {
    page p = open_page(false);
    pthread_mutex_lock(&robot.lock);
    robot.leans = true, robot.severity = "stop", robot.fault = "the arm was pushed against";
    pthread_mutex_unlock(&robot.lock);
    page_wait(&p, "document.querySelector('#mode-name').textContent === 'Stopped'");
    page_click(&p, "#acknowledge");
    page_wait(&p, "document.querySelector('#toast').textContent.startsWith('It is still so. Torque off')");
    page_click(&p, "#off");
    page_wait(&p, "document.body.dataset.mode === 'silent'");
    page_click(&p, "#acknowledge");
    settle(&p, "standby");
    page_close(&p);
}

/* Moves in a time, all of which must be of this step. */
static int moves_of(int ms, const float step[4]) {
    usleep(150000); /* what was pressed before is through */
    const int before = feed_count(&robot);
    usleep((unsigned)ms * 1000);
    pthread_mutex_lock(&robot.lock);
    int n = 0;
    for (int i = before; i < robot.n_heard; i++) {
        const fw_console_command *c = &robot.heard[i].cmd;
        if (c->verb == FW_CONSOLE_MOVE) {
            CHECK_NEAR(c->step, step, 4, 1e-4, 0);
            n++;
        }
    }
    pthread_mutex_unlock(&robot.lock);
    return n;
}

static void take_over(const page *p) {
    const int before = feed_count(&robot);
    page_click(p, "#take");
    feed_wait(&robot, before, FW_CONSOLE_TAKE);
    page_wait(p, "document.body.dataset.holder === 'me' && document.body.dataset.mode === 'teleoperated'");
}

static void give_back(const page *p) {
    const int before = feed_count(&robot);
    page_click(p, "#take");
    feed_wait(&robot, before, FW_CONSOLE_GIVE);
    page_wait(p, "document.body.dataset.holder === 'nobody'");
}

static void keys_move_the_robot_twenty_times_a_second(void) {
    static const float none[4], ahead[4] = {0.5f}, slow_turn[4] = {0.125f, 0, 0, 0.125f};
    page p = open_page(false);
    page_click(&p, "#start");
    settle(&p, "autonomous");
    page_key(&p, "rawKeyDown", "KeyW", "w"); /* not his to move yet */
    CHECK_INT(moves_of(300, none), 0);
    page_key(&p, "keyUp", "KeyW", "w");
    take_over(&p);
    const int idle = moves_of(1000, none);
    page_key(&p, "rawKeyDown", "KeyW", "w");
    const int held = moves_of(1000, ahead);
    printf("   moves in a second: %d with nothing pressed, %d with W\n", idle, held);
    CHECK(idle >= 14 && idle <= 26 && held >= 14 && held <= 26);
    tell(p.session, "Input.dispatchKeyEvent",
         json_pack("{s:s,s:s,s:s,s:i}", "type", "rawKeyDown", "code", "KeyQ", "key", "Q", "modifiers",
                   8)); /* with Shift */
    CHECK(moves_of(400, slow_turn) > 0);
    page_key(&p, "keyUp", "KeyQ", "q");
    page_key(&p, "keyUp", "KeyW", "w");
    CHECK(moves_of(400, none) > 0);
    page_key(&p, "rawKeyDown", "KeyG", "g");
    usleep(200000);
    const feed_heard closing = feed_wait(&robot, feed_count(&robot), FW_CONSOLE_MOVE);
    CHECK(closing.cmd.has_gripper && closing.cmd.gripper < 0.01f);
    give_back(&p);
    CHECK_INT(moves_of(500, none), 0);
    page_close(&p);
}

static void a_gamepad_moves_it_and_its_buttons_stop_and_mark(void) {
    static const float up[4] = {0, 0, 0.5f, 0};
    page p = open_page(false);
    take_over(&p);
    json_decref(page_eval(
        &p, "window.pad = {connected: true, mapping: 'standard', id: 'Pad (of a test)', axes: [0, 0.05, 0, -1],"
            " buttons: Array.from({length: 17}, () => ({pressed: false}))};"
            "navigator.getGamepads = () => [null, window.pad]; 1"));
    CHECK(moves_of(400, up) > 0);
    int before = feed_count(&robot);
    json_decref(page_eval(&p, "window.pad.buttons[3].pressed = true"));
    CHECK(feed_wait(&robot, before, FW_CONSOLE_MARK).cmd.mark == FW_CONSOLE_WRONG);
    before = feed_count(&robot);
    json_decref(page_eval(&p, "window.pad.buttons[9].pressed = true"));
    feed_wait(&robot, before, FW_CONSOLE_STOP);
    page_wait(&p, "document.body.dataset.severity === 'stop' && document.body.dataset.holder === 'nobody'");
    page_click(&p, "#acknowledge");
    settle(&p, "standby");
    page_close(&p);
}

static void sticks_move_it_from_a_phone_and_stop_stays_under_the_thumb(void) {
    static const float none[4];
    double x, y;
    page p = open_page(true);
    page_click(&p, "#start");
    settle(&p, "autonomous");
    take_over(&p);
    page_centre(&p, "#stop", &x, &y);
    CHECK(y > 844 - 120 && page_number(&p, "document.querySelector('#stop').getBoundingClientRect().width") > 300);
    page_centre(&p, "#stick-xy", &x, &y);
    page_finger(&p, "touchStart", x, y);
    page_finger(&p, "touchMove", x, y - 200); /* far up: all of it */
    CHECK(moves_of(500, (const float[4]){0.5f}) > 5);
    page_shot(&p, "page_phone", 1);
    page_finger(&p, "touchMove", x - 200, y);
    CHECK(moves_of(300, (const float[4]){0, 0.5f}) > 3);
    page_finger(&p, "touchEnd", x, y);
    CHECK(moves_of(300, none) > 3);
    stop_ms(&p, false);
    page_close(&p);
}

static void marks_carry_their_note(void) {
    page p = open_page(false);
    int before = feed_count(&robot);
    page_click(&p, "[data-mark=good]");
    feed_heard h = feed_wait(&robot, before, FW_CONSOLE_MARK);
    CHECK(h.cmd.mark == FW_CONSOLE_GOOD && h.cmd.text[0] == 0);
    before = feed_count(&robot);
    page_key(&p, "rawKeyDown", "Digit2", "2");
    CHECK(feed_wait(&robot, before, FW_CONSOLE_MARK).cmd.mark == FW_CONSOLE_BAD);
    page_click(&p, "#note");
    page_type(&p, "it knocked the cup over");
    before = feed_count(&robot);
    page_click(&p, "[data-mark=wrong]");
    h = feed_wait(&robot, before, FW_CONSOLE_MARK);
    CHECK(h.cmd.mark == FW_CONSOLE_WRONG && strcmp(h.cmd.text, "it knocked the cup over") == 0);
    page_close(&p);
}

static void one_drives_another_is_told_who(void) {
    page a = open_page(false), b = open_page(false);
    take_over(&a);
    page_wait(&b, "document.body.dataset.holder === 'other' && "
                  "document.querySelector('#holder').textContent.startsWith('Operator ')");
    page_click(&b, "#take");
    page_wait(&b, "document.querySelector('#toast').textContent.endsWith('drives') && "
                  "document.querySelector('#toast').className === 'bad'");
    CHECK(page_number(&b, "document.querySelector('#drive').hidden ? 1 : 0") > 0);
    give_back(&a);
    page_close(&a), page_close(&b);
}

static void a_page_that_is_gone_is_told_of(void) {
    page a = open_page(false), b = open_page(false);
    take_over(&a);
    pthread_mutex_lock(&robot.lock);
    const int before = robot.n_left;
    pthread_mutex_unlock(&robot.lock);
    page_close(&a);
    page_wait(&b, "document.body.dataset.severity === 'hold'");
    page_wait(&b, "document.querySelector('#faults').textContent === 'nothing comes from the operator'");
    pthread_mutex_lock(&robot.lock);
    CHECK_INT(robot.n_left, before + 1);
    pthread_mutex_unlock(&robot.lock);
    page_click(&b, "#acknowledge");
    settle(&b, "standby");
    page_close(&b);
}

static void a_lost_robot_cannot_be_missed_and_comes_back_by_itself(void) {
    page p = open_page(false);
    const int port = fw_console_port(robot.c);
    take_over(&p);
    atomic_store(&robot.silent, true);
    page_wait(&p, "document.body.dataset.link === 'silent' && document.querySelector('#lost').offsetHeight > 40");
    atomic_store(&robot.silent, false);
    page_wait(&p, "document.body.dataset.link === 'up' && document.querySelector('#lost').offsetHeight === 0");
    feed_stop(&robot);
    page_wait(&p, "document.body.dataset.link === 'down' && document.querySelector('#lost-title').textContent === 'No "
                  "connection to the robot'");
    page_wait(&p, "document.body.dataset.holder === 'nobody'");
    page_shot(&p, "page_lost", 1);
    page_press(&p, "#stop"); /* sent as soon as there is somebody */
    feed_start(&robot, (fw_console_opts){.port = port});
    feed_wait(&robot, 0, FW_CONSOLE_STOP);
    page_wait(&p, "document.body.dataset.link === 'up' && document.body.dataset.severity === 'stop'");
    page_click(&p, "#acknowledge");
    settle(&p, "standby");
    page_close(&p);
}

/* As it is reached from elsewhere: over TLS. */
static void a_robot_with_keys_asks_for_one(void) {
    static const char key[] = "a-key-of-many-letters\n";
    static feed locked;
    char url[120];
    CHECK_INT(fw_file_write_atomic("page_key.txt", key, sizeof key - 1, NULL), FW_OK);
    feed_start(&locked, (fw_console_opts){.keys = "page_key.txt",
                                          .cert = FW_SOURCE_DIR "/tests/serve/localhost.pem",
                                          .key = FW_SOURCE_DIR "/tests/serve/localhost.key"});
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", fw_console_port(locked.c));
    page p = page_open(url, 1280, 800, false);
    page_wait(&p, "document.querySelector('#ask-key')?.open === true");
    page_click(&p, "#key");
    page_type(&p, "a-wrong-key-of-letters");
    page_click(&p, "#key-form button");
    page_wait(&p, "document.querySelector('#key').value === '' && document.querySelector('#ask-key').open");
    page_click(&p, "#key");
    page_type(&p, "a-key-of-many-letters");
    page_click(&p, "#key-form button");
    page_wait(&p, "document.body.dataset.link === 'up'");
    page_close(&p);
    strcat(url, "#key=a-key-of-many-letters");
    p = page_open(url, 1280, 800, false);
    page_wait(&p, "document.body?.dataset.link === 'up' && location.hash === ''");
    page_close(&p);
    feed_stop(&locked);
    remove("page_key.txt");
}

static void pictures_and_the_body_are_drawn(void) {
    static const char drawn[] = "[...document.querySelectorAll('.tile canvas')].filter((c) => { const d = "
                                "c.getContext('2d').getImageData(0, 0, c.width,"
                                " c.height).data; let s = new Set(); for (let i = 0; i < d.length; i += 404) "
                                "s.add(d[i] * 65536 + d[i + 1] * 256 + d[i + 2]);"
                                " return s.size > 8 }).length === 3";
    page p = open_page(false);
    page_wait(&p, drawn);
    page_click(&p, "[data-tile=body]");
    page_wait(&p, "document.querySelector('[data-tile=body]').classList.contains('large')");
    page_drag(&p, "[data-tile=body] canvas", 120, 30); /* seen from elsewhere now */
    page_wait(&p, drawn);
    page_dark(&p, true);
    usleep(300000);
    page_shot(&p, "page_dark", 1);
    page_close(&p);
}

/* Last: it is seen that the checks before would have seen something. */
static void nothing_complained_and_foreign_hosts_are_refused_by_the_browser(void) {
    CHECK_INT(browser.complaints, 0);
    page p = open_page(false);
    json_decref(
        page_eval(&p, "fetch('http://192.0.2.1/').catch(() => 0).then(() => new Promise((r) => setTimeout(r, 200)))"));
    json_decref(page_eval(&p, "1"));
    CHECK(browser.complaints > 0);
    page_close(&p);
}

int main(int argc, char **argv) {
    static const fw_test tests[] = {T(a_sentence_typed_reaches_the_robot),
                                    T(stop_is_one_message_away_by_button_and_by_key),
                                    T(what_stays_so_is_not_acknowledged_away),
                                    T(keys_move_the_robot_twenty_times_a_second),
                                    T(a_gamepad_moves_it_and_its_buttons_stop_and_mark),
                                    T(sticks_move_it_from_a_phone_and_stop_stays_under_the_thumb),
                                    T(marks_carry_their_note),
                                    T(one_drives_another_is_told_who),
                                    T(a_page_that_is_gone_is_told_of),
                                    T(a_lost_robot_cannot_be_missed_and_comes_back_by_itself),
                                    T(a_robot_with_keys_asks_for_one),
                                    T(pictures_and_the_body_are_drawn),
                                    T(nothing_complained_and_foreign_hosts_are_refused_by_the_browser)};
    int ran = 0;
    browser_start();
    feed_start(&robot, (fw_console_opts){0});
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (argc < 2 || strcmp(argv[1], tests[i].name) == 0) {
            tests[i].fn();
            printf("ok %s\n", tests[i].name);
            fflush(stdout);
            ran++;
        }
    }
    feed_stop(&robot);
    browser_stop();
    return ran > 0 ? 0 : 2;
}
