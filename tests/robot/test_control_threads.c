/* ctest: timeout=120
 * The control loop with its threads, on the real clock: it keeps time, allocates nothing, and whatever the inference thread does. */
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "alloc_guard.h"
#include "control_rig.h"

static void nap(void *ctx) {
    (void)ctx;
    const struct timespec t = {.tv_nsec = 30000000};
    nanosleep(&t, NULL);
}

static void wait_for(rig *r, fw_safety_mode m, double seconds) {
    for (int i = 0; i < seconds * 200 && r->s.mode != m; i++) {
        usleep(5000);
        fw_control_status_get(r->c, &r->s);
    }
    CHECK_INT(r->s.mode, m);
}

static void real_open(rig *r, sine *p) {
    fw_err err;
    *r = (rig){.limits = plant_limits()};
    r->clock = *fw_clock_real();
    memset(&g_plant, 0, sizeof g_plant);
    g_plant.clock = fw_clock_real();
    r->limits.late_us = 400000; /* a busy machine is no fault here */
    r->limits.sensor_us = 400000;
    fw_control_opts o = FW_CONTROL_OPTS_DEFAULT;
    CHECK(fw_driver_open_api(&plant_api, "{}", &r->driver, &err) == FW_OK);
    o.driver = r->driver, o.limits = &r->limits, o.policy = &p->base, o.real_time = false;
    if (fw_control_new(&o, &r->c, &err) != FW_OK || fw_control_start(r->c, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    fw_control_request(r->c, FW_SAFETY_STANDBY);
    wait_for(r, FW_SAFETY_STANDBY, 5);
    fw_control_request(r->c, FW_SAFETY_AUTONOMOUS);
    wait_for(r, FW_SAFETY_AUTONOMOUS, 5);
}

static void it_runs_and_allocates_nothing(void) {
    sine p = sine_policy(8);
    rig r;
    p.while_thinking = nap;
    real_open(&r, &p);
    usleep(500000);
    CHECK_NO_ALLOC(usleep(1500000)); /* all threads */
    fw_control_status_get(r.c, &r.s);
    int64_t cycles = 0;
    for (int i = 0; i < FW_CONTROL_BUCKETS; i++) {
        cycles += r.s.late[i];
    }
    printf("# %lld cycles, %lld missed, %lld rows, %lld chunks\n", (long long)r.s.cycle, (long long)r.s.misses,
           (long long)r.s.executed, (long long)r.s.chunks);
    printf("# severity %d first %s latched %x present %x policy errors %lld infer %g\n", (int)r.s.severity,
           fw_safety_fault_text(r.s.first), r.s.latched, r.s.present, (long long)r.s.policy_errors, r.s.infer_s);
    CHECK(cycles > 200 && r.s.executed >= 5 && r.s.chunks >= 2 && r.s.severity == FW_SAFETY_SEV_NONE);
    fw_control_halt(r.c);
    fw_control_status_get(r.c, &r.s);
    CHECK(r.s.mode == FW_SAFETY_SILENT && !g_plant.torque);
    rig_close(&r);
}

static _Atomic bool g_stuck;

static void stuck(void *ctx) {
    (void)ctx;
    while (g_stuck) {
        usleep(1000);
    }
}

/* As if stopped by a signal: the robot holds, and stop is obeyed, while the inference thread stands still. */
static void a_stuck_inference_thread_holds_up_nothing(void) {
    sine p = sine_policy(8);
    rig r;
    p.while_thinking = stuck;
    real_open(&r, &p);
    usleep(400000);
    g_stuck = true;
    for (int i = 0; i < 1000 && r.s.severity < FW_SAFETY_SEV_HOLD; i++) {
        usleep(5000);
        fw_control_status_get(r.c, &r.s);
    }
    CHECK(r.s.severity >= FW_SAFETY_SEV_HOLD && (r.s.latched & (FW_SAFETY_COMMAND_STALE | FW_SAFETY_POLICY_LOST)) != 0);
    fw_control_stop(r.c, true);
    for (int i = 0; i < 400 && r.s.severity < FW_SAFETY_SEV_STOP; i++) {
        usleep(5000);
        fw_control_status_get(r.c, &r.s);
    }
    CHECK(r.s.severity == FW_SAFETY_SEV_STOP);
    g_stuck = false;
    rig_close(&r);
}

static void *halt(void *ctx) {
    fw_control_halt(ctx);
    return NULL;
}

/* Ending it must not wait for the policy with the torque on. */
static void torque_is_off_while_the_inference_thread_stands_still(void) {
    sine p = sine_policy(8);
    rig r;
    pthread_t t;
    p.while_thinking = stuck;
    real_open(&r, &p);
    usleep(400000);
    g_stuck = true;
    usleep(600000); /* it has asked by now */
    CHECK(pthread_create(&t, NULL, halt, r.c) == 0);
    for (int i = 0; i < 2000 && atomic_load(&g_plant_powered); i++) {
        usleep(5000);
    }
    CHECK(!atomic_load(&g_plant_powered));
    g_stuck = false;
    pthread_join(t, NULL);
    rig_close(&r);
}

FW_TEST_MAIN(T(it_runs_and_allocates_nothing), T(a_stuck_inference_thread_holds_up_nothing),
             T(torque_is_off_while_the_inference_thread_stands_still))
