/* ctest: timeout=300
 * Time that is not what it was: the wall clock set, the whole process stopped and woken, the inference thread standing still. The threads of control on
 * the real clock. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control_rig.h"

#ifndef FW_SANITIZED
/* The wall clock of this process: a day forth, a day back, with every look at it. */
static _Atomic bool g_set;
static _Atomic int g_looks;
int clock_gettime(clockid_t id, struct timespec *t) {
    const int e = (int)syscall(SYS_clock_gettime, id, t);
    if (e == 0 && id == CLOCK_REALTIME && atomic_load(&g_set)) {
        t->tv_sec += atomic_fetch_add(&g_looks, 1) % 2 == 0 ? 86400 : -86400;
    }
    return e;
}
#endif

static void look(rig *r) {
    usleep(2000);
    fw_control_status_get(r->c, &r->s);
}

static void wait_for(rig *r, fw_safety_mode m) {
    for (int i = 0; i < 5000 && r->s.mode != m; i++) {
        look(r);
    }
    CHECK_INT(r->s.mode, m);
}

static void run(rig *r) {
    const int64_t executed = r->s.executed;
    fw_control_request(r->c, FW_SAFETY_STANDBY);
    wait_for(r, FW_SAFETY_STANDBY);
    fw_control_request(r->c, FW_SAFETY_AUTONOMOUS);
    wait_for(r, FW_SAFETY_AUTONOMOUS);
    for (int i = 0; i < 5000 && r->s.executed < executed + 8; i++) {
        look(r);
    }
    CHECK(r->s.executed >= executed + 8 && r->s.severity == FW_SAFETY_SEV_NONE);
}

static void open_real(rig *r, sine *p) {
    fw_err err;
    *r = (rig){.limits = plant_limits()};
    memset(&g_plant, 0, sizeof g_plant);
    g_plant.clock = fw_clock_real();
    r->limits.late_us = r->limits.sensor_us = 400000; /* a busy machine is no fault here */
    r->limits.heartbeat_us[FW_SAFETY_POLICY] = 1000000;
    r->limits.hold_us = 300000, r->limits.retract_us = 3000000;
    fw_control_opts o = FW_CONTROL_OPTS_DEFAULT;
    CHECK(fw_driver_open_api(&plant_api, "{}", &r->driver, &err) == FW_OK);
    o.driver = r->driver, o.limits = &r->limits, o.policy = &p->base, o.real_time = false;
    if (fw_control_new(&o, &r->c, &err) != FW_OK || fw_control_start(r->c, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    run(r);
}

/* It is well again: that alone moves nothing, nor does asking. */
static void recovers_when_told(rig *r) {
    float at[AXES];
    for (int i = 0; i < 100; i++) {
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
    fw_control_acknowledge(r->c);
    for (int i = 0; i < 500 && r->s.severity != FW_SAFETY_SEV_NONE; i++) {
        look(r);
    }
    CHECK(r->s.severity == FW_SAFETY_SEV_NONE && r->s.mode == FW_SAFETY_STANDBY);
    run(r);
}

static void the_wall_clock_does_not_matter(void) {
#ifdef FW_SANITIZED
    printf("# a sanitizer owns clock_gettime\n");
#else
    sine p = sine_policy(8);
    rig r;
    struct timespec t;
    atomic_store(&g_set, true);
    CHECK(clock_gettime(CLOCK_REALTIME, &t) == 0 && atomic_load(&g_looks) == 1); /* ours is asked */
    open_real(&r, &p);
    for (int i = 0; i < 500; i++) {
        (void)clock_gettime(CLOCK_REALTIME, &t);
        look(&r);
        CHECK(r.s.severity == FW_SAFETY_SEV_NONE && r.s.mode == FW_SAFETY_AUTONOMOUS);
    }
    rig_close(&r);
    atomic_store(&g_set, false);
#endif
}

/* ---- the inference thread alone */

static _Atomic pid_t g_thinker;
static _Atomic bool g_stopped;

static void here(void *ctx) {
    (void)ctx;
    atomic_store(&g_thinker, (pid_t)syscall(SYS_gettid));
}

/* In the middle of whatever it was doing. */
static void stand_still(int sig) {
    (void)sig;
    while (atomic_load(&g_stopped)) {
        const struct timespec nap = {.tv_nsec = 1000000};
        (void)nanosleep(&nap, NULL);
    }
}

static void the_inference_thread_stands_still(void) {
    sine p = sine_policy(8);
    rig r;
    bool held = false, retracted = false;
    p.while_thinking = here;
    (void)signal(SIGUSR1, stand_still);
    open_real(&r, &p);
    atomic_store(&g_stopped, true);
    CHECK(syscall(SYS_tgkill, getpid(), atomic_load(&g_thinker), SIGUSR1) == 0);
    const int64_t cycles = r.s.cycle, from = fw_now_ns();
    for (int i = 0; i < 5000 && r.s.severity < FW_SAFETY_SEV_STOP; i++) {
        look(&r);
        held = held || r.s.severity == FW_SAFETY_SEV_HOLD;
        retracted = retracted || r.s.severity == FW_SAFETY_SEV_RETRACT;
    }
    CHECK(held && retracted && r.s.severity == FW_SAFETY_SEV_STOP);
    CHECK(r.s.first == FW_SAFETY_IX_POLICY_LOST || r.s.first == FW_SAFETY_IX_COMMAND_STALE);
    CHECK((double)(r.s.cycle - cycles) > 0.5 * 200e-9 * (double)(fw_now_ns() - from)); /* control went on */
    atomic_store(&g_stopped, false);
    recovers_when_told(&r);
    rig_close(&r);
}

/* ---- the whole process */

typedef struct shared {
    _Atomic int want; /* 1: acknowledge, 2: ask for autonomy, 3: end */
    _Atomic int mode, severity, first;
    _Atomic int64_t executed, cycle;
    _Atomic float command, position;
} shared;

static void child_main(shared *h) {
    sine p = sine_policy(8);
    rig r;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    open_real(&r, &p);
    for (int want = 0; want != 3; want = atomic_exchange(&h->want, 0)) {
        if (want == 1) {
            fw_control_acknowledge(r.c);
        } else if (want == 2) {
            fw_control_request(r.c, FW_SAFETY_AUTONOMOUS);
        }
        look(&r);
        atomic_store(&h->mode, (int)r.s.mode), atomic_store(&h->severity, (int)r.s.severity);
        atomic_store(&h->first, r.s.first), atomic_store(&h->executed, r.s.executed);
        atomic_store(&h->command, r.s.command[0]), atomic_store(&h->position, r.s.position[0]);
        atomic_store(&h->cycle, r.s.cycle);
    }
    rig_close(&r);
    _exit(0);
}

static void until(const shared *h, const _Atomic int *what, int want) {
    (void)h;
    for (int i = 0; i < 5000 && atomic_load(what) != want; i++) {
        usleep(2000);
    }
    CHECK_INT(atomic_load(what), want);
}

static void more_rows(const shared *h, int64_t n) {
    const int64_t from = atomic_load(&h->executed);
    for (int i = 0; i < 5000 && atomic_load(&h->executed) < from + n; i++) {
        usleep(2000);
    }
    CHECK(atomic_load(&h->executed) >= from + n);
}

static void the_whole_process_is_stopped_and_woken(void) {
    shared *h = mmap(NULL, sizeof *h, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(h != MAP_FAILED);
    const pid_t child = fork();
    if (child == 0) {
        child_main(h);
    }
    more_rows(h, 12);
    CHECK(atomic_load(&h->severity) == FW_SAFETY_SEV_NONE);
    CHECK(kill(child, SIGSTOP) == 0);
    usleep(100000);
    const float before = atomic_load(&h->command);
    usleep(900000);
    CHECK(kill(child, SIGCONT) == 0);
    until(h, &h->severity, FW_SAFETY_SEV_STOP);
    CHECK_INT(atomic_load(&h->first), FW_SAFETY_IX_CYCLE); /* "control cycle overrun, or time went backwards" */
    usleep(200000);
    const float at = atomic_load(&h->command);
    CHECK(fabsf(at - before) < 0.25f); /* the way to brake, and of a few cycles before; 0.3 rad is a second of it */
    atomic_store(&h->want, 2);         /* asking alone moves nothing */
    usleep(300000);
    CHECK(atomic_load(&h->command) == at && atomic_load(&h->severity) == FW_SAFETY_SEV_STOP);
    atomic_store(&h->want, 1);
    until(h, &h->severity, FW_SAFETY_SEV_NONE);
    CHECK(atomic_load(&h->command) == at && atomic_load(&h->mode) == FW_SAFETY_STANDBY);
    atomic_store(&h->want, 2);
    until(h, &h->mode, FW_SAFETY_AUTONOMOUS);
    more_rows(h, 8);
    atomic_store(&h->want, 3);
    CHECK(waitpid(child, NULL, 0) == child);
    munmap(h, sizeof *h);
}

FW_TEST_MAIN(T(the_wall_clock_does_not_matter), T(the_inference_thread_stands_still),
             T(the_whole_process_is_stopped_and_woken))
