/* ctest: timeout=120 label=slow */
/* flywheel run with an SO-101 (emulated servos on a pty): moved from the page, then by a leader arm. Real time: a busy machine may stop it, and
 * then it begins again. */
#include "robot/arm.h"
#include "robot/run_program.h"

static double servo_at(arm *a, int i) {
    pthread_mutex_lock(&a->bus.lock);
    const double at = a->bus.servo[i].actual;
    pthread_mutex_unlock(&a->bus.lock);
    return at;
}

static bool stopped(fw_ws_client *c) {
    json_t *s = state(c);
    const char *why = json_string_value(json_object_get(s, "why"));
    const bool is = strcmp(json_string_value(json_object_get(s, "severity")), "none") != 0;
    if (is) {
        fprintf(stderr, "# stopped: %s\n", why);
    }
    json_decref(s);
    return is;
}

/* false: something stopped it before it was done. */
static bool moved_from_the_page(void) {
    static program p;
    static arm a;
    arm_open(&a, "");
    const char *const argv[] = {FW_BIN,   "run", "--robot",  "so101", "--config", a.config, "--no-policy",
                                "--port", "0",   "--record", "",      "--for",    "40",     NULL};
    start(&p, argv);
    fw_ws_client *c = page_of(&p);
    const double before = servo_at(&a, 0);
    bool good = true, done = false;
    tell(c, "{\"do\":\"take\",\"id\":1}");
    for (int i = 0; i < 300 && good && !done; i++) {
        tell(c, "{\"do\":\"move\",\"step\":[0,0.4,0,0]}");
        usleep(40000);
        done = fabs(servo_at(&a, 0) - before) > 150; /* 0.23 rad about its base */
        good = i % 5 != 0 || !stopped(c);
    }
    fw_ws_client_close(c);
    kill(p.pid, SIGTERM);
    CHECK_INT(end(&p), 0);
    CHECK_INT(a.bus.servo[0].reg[40], 0); /* its torque is off */
    arm_close(&a);
    return done;
}

static bool led_by_an_arm(void) {
    static program p;
    static arm a, leader;
    arm_open(&a, "");
    arm_open(&leader, "");
    pthread_mutex_lock(&leader.bus.lock);
    leader.bus.servo[0].actual += 200; /* a hand holds it elsewhere */
    pthread_mutex_unlock(&leader.bus.lock);
    const char *const argv[] = {FW_BIN,     "run",         "--robot",     "so101",  "--config", a.config,
                                "--leader", leader.config, "--no-policy", "--port", "0",        "--record",
                                "",         "--for",       "40",          NULL};
    start(&p, argv);
    fw_ws_client *c = page_of(&p);
    bool good = true, done = false;
    tell(c, "{\"do\":\"take\",\"id\":1}");
    for (int i = 0; i < 100 && good && !done; i++) {
        good = !stopped(c);
        done = fabs(servo_at(&a, 0) - servo_at(&leader, 0)) < 15;
    }
    fw_ws_client_close(c);
    kill(p.pid, SIGTERM);
    CHECK_INT(end(&p), 0);
    arm_close(&a);
    arm_close(&leader);
    return done;
}

static void a_page_moves_it(void) {
    CHECK(moved_from_the_page() || moved_from_the_page() || moved_from_the_page());
}

static void a_leader_moves_it(void) {
    CHECK(led_by_an_arm() || led_by_an_arm() || led_by_an_arm());
}

FW_TEST_MAIN(T(a_page_moves_it), T(a_leader_moves_it))
