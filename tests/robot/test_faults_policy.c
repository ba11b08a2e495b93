/* ctest: timeout=300
 * A policy server that is slow, silent, stopped, dead, or lies, over real sockets, in a process of its own: the robot holds, then retracts, then
 * stops, says why, and moves again only when told. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/embodiment.h"
#include "control_rig.h"
#include "wire/mp_json.h"
#include "wire/remote.h"
#include "wire/ws_server.h"

typedef enum mood { HONEST, SLOW, SILENT, DIES, TOO_WIDE, NAN_INSIDE, GIANT, GARBAGE } mood;

/* ---- the server's process */

typedef struct shared {
    _Atomic int mood, port, questions;
} shared;
static shared *g_shared;
static fw_ws_server *g_ws;
static pid_t g_server, g_spare;
static int g_wake; /* a byte here, and the spare server begins */

static void *greet(void *self, fw_ws_id id, const fw_ws_request *r) {
    const sine s = sine_policy(8);
    fw_embodiment e = s.body;
    fw_mp_out o;
    fw_buf b;
    (void)self, (void)r;
    for (int i = 0; i < AXES; i++) {
        snprintf(e.state[i].name, FW_NAME_MAX, "joint%d", i);
        e.action[i] = e.state[i];
    }
    json_t *j = json_pack("{s:s, s:i, s:i, s:i, s:o}", "server", "flywheel", "horizon", ROWS, "n_execute", 4,
                          "max_delay", 8, "embodiment", fw_embodiment_to_json(&e));
    fw_mp_begin(&o);
    fw_mp_put_json(&o, j);
    json_decref(j);
    CHECK_INT(fw_mp_end(&o, &b, NULL), FW_OK);
    fw_ws_send(g_ws, id, &b, &(fw_ws_out){0});
    return g_shared;
}

static void put_rows(fw_mp_out *o, mood m) {
    static float rows[ROWS * (AXES + 1)];
    const int wide = AXES + (m == TOO_WIDE);
    const int64_t shape[] = {ROWS, wide};
    for (int i = 0; i < ROWS * wide; i++) {
        rows[i] = m == GIANT ? 1e30f : sine_at(fw_now_s() + 0.1 * (i / wide), i % wide);
    }
    rows[5] = m == NAN_INSIDE ? NAN : rows[5];
    fw_mp_map(o, 1);
    fw_mp_str(o, "actions");
    fw_nd_put(o, FW_ND_OPENPI, "<f4", 2, shape, rows);
}

/* A long message, and the end of the process in its middle. */
static void die(fw_ws_id id) {
    static char junk[1 << 20];
    fw_buf b = {0};
    for (int i = 0; i < 32; i++) {
        CHECK_INT(fw_buf_put(&b, junk, sizeof junk, NULL), FW_OK);
    }
    fw_ws_send(g_ws, id, &b, &(fw_ws_out){0});
}

static void answer(void *self, void *session, fw_ws_id id, fw_buf *msg, bool text) {
    const mood m = (mood)atomic_load(&g_shared->mood);
    fw_mp_out o;
    fw_buf b = {0};
    (void)self, (void)session, (void)text, (void)msg;
    atomic_fetch_add(&g_shared->questions, 1);
    if (m == SILENT) {
        return;
    }
    if (m == DIES) {
        die(id);
        return;
    }
    if (m == SLOW) {
        usleep(1500000);
    }
    if (m == GARBAGE) {
        CHECK_INT(fw_buf_put(&b, "\x93\x01", 2, NULL), FW_OK);
    } else {
        fw_mp_begin(&o);
        put_rows(&o, m);
        CHECK_INT(fw_mp_end(&o, &b, NULL), FW_OK);
    }
    fw_ws_send(g_ws, id, &b, &(fw_ws_out){0});
}

static void closed(void *self, void *session, fw_ws_id id) {
    (void)self, (void)session, (void)id;
}

static void serve_for_ever(void) {
    const fw_ws_events on = {.open = greet, .message = answer, .closed = closed};
    const fw_ws_server_opts o = {.port = atomic_load(&g_shared->port), .send_buffer = 4096};
    fw_err err;
    if (fw_ws_server_start(&o, &on, &g_ws, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    atomic_store(&g_shared->port, fw_ws_server_port(g_ws));
    for (int questions = -1;; usleep(2000)) {
        const int now = atomic_load(&g_shared->questions);
        if (atomic_load(&g_shared->mood) == DIES && questions >= 0 && now > questions) {
            _exit(0); /* 2 ms after it was asked: some of 32 MiB has left */
        }
        questions = now;
    }
}

/* Before this process has threads. */
static void start_servers(void) {
    int fd[2];
    char go;
    g_shared = mmap(NULL, sizeof *g_shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(g_shared != MAP_FAILED && pipe(fd) == 0);
    g_server = fork();
    if (g_server == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(fd[1]);
        serve_for_ever();
    }
    g_spare = fork();
    if (g_spare == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(fd[1]);
        if (read(fd[0], &go, 1) == 1) {
            serve_for_ever();
        }
        _exit(0);
    }
    close(fd[0]);
    g_wake = fd[1];
    for (int i = 0; i < 2000 && atomic_load(&g_shared->port) == 0; i++) {
        usleep(5000);
    }
    CHECK(atomic_load(&g_shared->port) != 0);
}

static void end_servers(void) {
    (void)kill(g_server, SIGKILL);
    CHECK(waitpid(g_server, NULL, 0) == g_server);
    if (g_spare != 0) {
        (void)kill(g_spare, SIGKILL);
        CHECK(waitpid(g_spare, NULL, 0) == g_spare);
    }
    close(g_wake);
    munmap(g_shared, sizeof *g_shared);
}

/* ---- the robot */

static void look(rig *r) {
    usleep(2000);
    fw_control_status_get(r->c, &r->s);
    for (int i = 0; i < AXES; i++) {
        const fw_safety_axis *a = &r->limits.axis[i];
        CHECK(r->s.command[i] >= a->position_min && r->s.command[i] <= a->position_max); /* false for NaN */
    }
}

static void wait_for(rig *r, fw_safety_mode m) {
    for (int i = 0; i < 5000 && r->s.mode != m; i++) {
        look(r);
    }
    CHECK_INT(r->s.mode, m);
}

static void run(rig *r) {
    fw_control_request(r->c, FW_SAFETY_STANDBY);
    wait_for(r, FW_SAFETY_STANDBY);
    fw_control_request(r->c, FW_SAFETY_AUTONOMOUS);
    wait_for(r, FW_SAFETY_AUTONOMOUS);
    for (int i = 0; i < 5000 && r->s.executed < 8; i++) {
        look(r);
    }
    if (r->s.severity != FW_SAFETY_SEV_NONE || r->s.executed < 8) {
        FW_FAILED("severity %d: %s, %d rows", (int)r->s.severity, fw_safety_fault_text(r->s.first), (int)r->s.executed);
    }
}

static void open_all(rig *r, fw_policy **p, int timeout_ms) {
    fw_err err;
    char url[64];
    start_servers();
    *r = (rig){.limits = plant_limits()};
    memset(&g_plant, 0, sizeof g_plant);
    g_plant.clock = fw_clock_real();
    r->limits.late_us = r->limits.sensor_us = 400000; /* a busy machine is no fault here */
    r->limits.heartbeat_us[FW_SAFETY_POLICY] = 1000000;
    r->limits.hold_us = 300000, r->limits.retract_us = 3000000;
    snprintf(url, sizeof url, "ws://127.0.0.1:%d", atomic_load(&g_shared->port));
    const fw_remote_opts ro = {.url = url, .timeout_ms = timeout_ms};
    fw_control_opts o = FW_CONTROL_OPTS_DEFAULT;
    if (fw_remote_open(&ro, p, &err) != FW_OK || fw_driver_open_api(&plant_api, "{}", &r->driver, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    o.driver = r->driver, o.limits = &r->limits, o.policy = *p, o.real_time = false;
    if (fw_control_new(&o, &r->c, &err) != FW_OK || fw_control_start(r->c, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    run(r);
}

static void close_all(rig *r, fw_policy *p) {
    rig_close(r);
    fw_policy_close(p);
    end_servers();
}

/* Hold, retract, stop, in this order, for want of a policy; and what the policy's trouble was. */
static void ends_at_rest(rig *r, const char *words) {
    bool seen[FW_SAFETY_SEV_TERMINATE + 1] = {false};
    char trouble[256] = "";
    fw_safety_severity before = FW_SAFETY_SEV_NONE;
    bool said = *words == 0;
    for (int i = 0; i < 10000 && r->s.severity < FW_SAFETY_SEV_STOP; i++) {
        look(r);
        CHECK(r->s.severity >= before);
        before = r->s.severity;
        seen[before] = true;
        said = said || strstr(fw_control_trouble(r->c, trouble, sizeof trouble), words) != NULL;
    }
    CHECK(seen[FW_SAFETY_SEV_HOLD] && seen[FW_SAFETY_SEV_RETRACT] && before == FW_SAFETY_SEV_STOP);
    CHECK(r->s.first == FW_SAFETY_IX_POLICY_LOST || r->s.first == FW_SAFETY_IX_COMMAND_STALE);
    if (!said) {
        FW_FAILED("wanted '%s' in '%s'", words, trouble);
    }
}

/* The policy is well again: that alone moves nothing, nor does asking; acknowledging and asking does. */
static void recovers_when_told(rig *r) {
    float at[AXES];
    for (int i = 0; i < 100; i++) { /* whatever was on its way */
        look(r);
    }
    memcpy(at, r->s.command, sizeof at);
    for (int i = 0; i < 200; i++) {
        if (i == 100) {
            fw_control_request(r->c, FW_SAFETY_AUTONOMOUS);
        }
        look(r);
        CHECK(r->s.severity == FW_SAFETY_SEV_STOP && memcmp(at, r->s.command, sizeof at) == 0);
    }
    const int64_t executed = r->s.executed;
    for (int n = 0; n < 10 && r->s.executed < executed + 6;
         n++) { /* it may take some tries to reach the server again */
        fw_control_acknowledge(r->c);
        for (int i = 0; i < 50; i++) {
            look(r);
        }
        fw_control_request(r->c, FW_SAFETY_AUTONOMOUS);
        for (int i = 0; i < 1500 && r->s.severity < FW_SAFETY_SEV_HOLD && r->s.executed < executed + 6; i++) {
            look(r);
        }
    }
    CHECK(r->s.executed >= executed + 6 && r->s.mode == FW_SAFETY_AUTONOMOUS);
}

static void fault(mood m, int timeout_ms, const char *words) {
    rig r;
    fw_policy *p;
    open_all(&r, &p, timeout_ms);
    atomic_store(&g_shared->mood, m);
    ends_at_rest(&r, words);
    if (m == DIES) {
        CHECK(waitpid(g_server, NULL, WNOHANG) == g_server); /* it is dead */
        g_server = g_spare;
        g_spare = 0;
        CHECK(write(g_wake, "", 1) == 1);
    }
    atomic_store(&g_shared->mood, HONEST);
    recovers_when_told(&r);
    close_all(&r, p);
}

static void a_server_that_is_slow(void) {
    fault(SLOW, 5000, ""); /* its answers come, too late */
}
static void a_server_that_is_silent(void) {
    fault(SILENT, 500, "500 ms");
}
static void a_server_that_dies_within_a_message(void) {
    fault(DIES, 2000, "127.0.0.1");
}
static void a_server_with_actions_of_another_width(void) {
    fault(TOO_WIDE, 500, "actions");
}
static void a_server_with_nan(void) {
    fault(NAN_INSIDE, 500, "nan");
}
/* Cut to the robot's range by the client, to its velocity by the motion: the arm goes to its end, no faster than ever, and back. */
static void a_server_with_numbers_without_measure(void) {
    rig r;
    fw_policy *p;
    float before;
    int64_t since;
    open_all(&r, &p, 500);
    atomic_store(&g_shared->mood, GIANT);
    for (int i = 0; i < 5000 && r.s.command[0] < 1.9f; i++) {
        before = r.s.command[0], since = r.s.cycle;
        look(&r);
        CHECK(fabsf(r.s.command[0] - before) <=
              1.01f * 0.005f * r.limits.axis[0].velocity * (float)(r.s.cycle - since));
    }
    CHECK(r.s.command[0] >= 1.9f && r.s.severity <= FW_SAFETY_SEV_WARN);
    atomic_store(&g_shared->mood, HONEST);
    for (int i = 0; i < 5000 && r.s.command[0] > 0.5f; i++) {
        look(&r);
    }
    CHECK(r.s.command[0] <= 0.5f && r.s.severity <= FW_SAFETY_SEV_WARN);
    close_all(&r, p);
}
static void a_server_that_babbles(void) {
    fault(GARBAGE, 500, "127.0.0.1");
}

/* SIGSTOP: the kernel still takes what is sent, nobody reads it. */
static void a_server_that_stands_still(void) {
    rig r;
    fw_policy *p;
    open_all(&r, &p, 500);
    CHECK(kill(g_server, SIGSTOP) == 0);
    ends_at_rest(&r, "500 ms");
    CHECK(kill(g_server, SIGCONT) == 0);
    recovers_when_told(&r);
    close_all(&r, p);
}

FW_TEST_MAIN(T(a_server_that_is_slow), T(a_server_that_is_silent), T(a_server_that_dies_within_a_message),
             T(a_server_with_actions_of_another_width), T(a_server_with_nan), T(a_server_with_numbers_without_measure),
             T(a_server_that_babbles), T(a_server_that_stands_still))
