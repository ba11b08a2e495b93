/* ctest: timeout=300
 * A robot that loses a camera or a servo: the SO-101's driver on a bus of emulated servos, pictures from a folder, the threads of control.
 * It ends at rest, says what is gone, and moves again only when told. */
#include "base/file.h"
#include "base/png.h"
#include "robot/arm.h"
#include "robot/control.h"
#include "robot/limits.h"

enum { N = 6, ROWS = 16, SIDE = 8 };

/* A policy that looks: without a picture it refuses, as ours do. */
typedef struct seer {
    fw_policy base;
    fw_embodiment body;
    float start[N];
    int64_t t0_ns;
} seer;

static void seer_describe(const fw_policy *p, fw_policy_info *out) {
    const seer *s = (const seer *)p;
    *out = (fw_policy_info){.name = "seer", .embodiment = &s->body, .horizon = ROWS, .n_execute = 4, .max_delay = 8};
}

static fw_status seer_infer(fw_policy *p, const fw_obs *obs, fw_chunk *chunk, fw_err *err) {
    const seer *s = (const seer *)p;
    if (obs->n_image != 1 || obs->image[0].rgb == NULL) {
        return fw_fail(err, FW_INVALID, "camera front: no picture");
    }
    chunk->horizon = ROWS, chunk->n_action = N, chunk->dt_s = 0.1, chunk->t_ns = obs->t_ns;
    for (int i = 0; i < ROWS; i++) {
        const double t = 1e-9 * (double)(obs->t_ns - s->t0_ns) + 0.1 * i;
        for (int k = 0; k < N; k++) {
            chunk->actions[i * N + k] = s->start[k] + 0.1f * (float)sin(t);
        }
    }
    return FW_OK;
}

static void nothing(fw_policy *p) {
    (void)p;
}

static const fw_policy_vtable seer_vtable = {
    .describe = seer_describe, .infer = seer_infer, .reset = nothing, .close = nothing};

typedef struct rig {
    arm a;
    char pictures[128], away[140];
    seer policy;
    fw_safety_limits limits;
    fw_driver *driver;
    fw_control *c;
    fw_control_status s;
} rig;

static void look(rig *r) {
    usleep(4000);
    fw_control_status_get(r->c, &r->s);
}

/* Limits of the real arm, on a bus that a busy machine runs at 50 Hz, with the patience of one. */
static void limit(rig *r, const fw_driver_state *at) {
    OK(fw_limits_load(fw_home(), "so101", &r->limits, NULL, &ok_err));
    r->limits.period_us = 20000;
    r->limits.late_us = 500000, r->limits.sensor_us = 400000, r->limits.command_us = 400000;
    r->limits.hold_us = 300000, r->limits.retract_us = 3000000;
    r->limits.heartbeat_us[FW_SAFETY_SUPERVISOR] = 0;
    r->limits.n_link = r->limits.n_pair = 0;
    for (int i = 0; i < N; i++) {
        fw_safety_axis *a = &r->limits.axis[i];
        a->velocity = 0.5f, a->acceleration = 10, a->jerk = 500;
        a->noise = 0.05f, a->velocity_tolerance = 0; /* samples are as late as the machine is busy */
        a->retract = at->axis[i].position;
        r->policy.start[i] = at->axis[i].position;
    }
}

static void wait_for(rig *r, fw_safety_mode m) {
    for (int i = 0; i < 2500 && r->s.mode != m; i++) {
        look(r);
    }
    if (r->s.mode != m) {
        FW_FAILED("mode %d, severity %d, latched %x, refused %x", (int)r->s.mode, (int)r->s.severity, r->s.latched,
                  r->s.refused);
    }
}

static void run(rig *r) {
    const int64_t executed = r->s.executed;
    fw_control_request(r->c, FW_SAFETY_STANDBY);
    wait_for(r, FW_SAFETY_STANDBY);
    fw_control_request(r->c, FW_SAFETY_AUTONOMOUS);
    wait_for(r, FW_SAFETY_AUTONOMOUS);
    for (int i = 0; i < 2500 && r->s.executed < executed + 8; i++) {
        look(r);
    }
    if (r->s.severity > FW_SAFETY_SEV_WARN || r->s.executed < executed + 8) {
        char trouble[256];
        FW_FAILED("severity %d, latched %x, %d rows of %d: %s", (int)r->s.severity, r->s.latched, (int)r->s.executed,
                  (int)executed, fw_control_trouble(r->c, trouble, sizeof trouble));
    }
}

static void put_picture(const char *folder) {
    static uint8_t rgb[SIDE * SIDE * 3];
    char path[160];
    snprintf(path, sizeof path, "%s/0.png", folder);
    OK(fw_mkdirs(folder, &ok_err));
    OK(fw_png_write(path, rgb, SIDE, SIDE, &ok_err));
}

static void open_all(rig *r) {
    char more[400];
    fw_driver_state at;
    memset(r, 0, sizeof *r);
    snprintf(r->pictures, sizeof r->pictures, "/tmp/fw_faults_%d", (int)getpid());
    snprintf(r->away, sizeof r->away, "%s.away", r->pictures);
    put_picture(r->pictures);
    snprintf(more, sizeof more,
             ", \"cameras\": [{\"name\": \"front\", \"source\": \"%s\", \"width\": %d, \"height\": %d, \"timeout_ms\": "
             "300}]",
             r->pictures, SIDE, SIDE);
    arm_open(&r->a, more);
    arm_start(&r->a, &r->driver);
    OK(fw_driver_read(r->driver, &at, &ok_err));
    limit(r, &at);
    fw_driver_stop(r->driver);
    r->policy.base.v = &seer_vtable;
    r->policy.t0_ns = fw_now_ns();
    r->policy.body = (fw_embodiment){
        .name = "so101", .rate_hz = 10, .n_state = N, .n_action = N, .n_camera = 1, .camera = {{"front", SIDE, SIDE}}};
    for (int i = 0; i < N; i++) {
        r->policy.body.state[i] = r->policy.body.action[i] = (fw_dim){.min = -3, .max = 3};
    }
    fw_control_opts o = FW_CONTROL_OPTS_DEFAULT;
    o.driver = r->driver, o.limits = &r->limits, o.policy = &r->policy.base, o.real_time = false;
    OK(fw_control_new(&o, &r->c, &ok_err));
    OK(fw_control_start(r->c, &ok_err));
    run(r);
}

static void close_all(rig *r) {
    fw_control_free(r->c);
    fw_driver_close(&r->driver);
    arm_close(&r->a);
    OK(fw_remove_tree(r->pictures, &ok_err));
}

/* It is well again: that alone moves nothing, nor does asking. */
static void recovers_when_told(rig *r) {
    float at[N];
    for (int i = 0; i < 100; i++) {
        look(r);
    }
    memcpy(at, r->s.command, sizeof at);
    for (int i = 0; i < 200; i++) {
        if (i == 50) {
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

static void a_camera_that_is_unplugged(void) {
    rig r;
    char trouble[256] = "";
    bool held = false, retracted = false;
    open_all(&r);
    CHECK(rename(r.pictures, r.away) == 0);
    for (int i = 0; i < 2500 && r.s.severity < FW_SAFETY_SEV_STOP; i++) {
        look(&r);
        held = held || r.s.severity == FW_SAFETY_SEV_HOLD;
        retracted = retracted || r.s.severity == FW_SAFETY_SEV_RETRACT;
    }
    CHECK(held && retracted && r.s.severity == FW_SAFETY_SEV_STOP);
    CHECK(r.s.first == FW_SAFETY_IX_POLICY_LOST || r.s.first == FW_SAFETY_IX_COMMAND_STALE);
    CHECK(strstr(fw_control_trouble(r.c, trouble, sizeof trouble), "camera front") != NULL);
    CHECK(rename(r.away, r.pictures) == 0);
    usleep(700000); /* it is opened again */
    recovers_when_told(&r);
    CHECK(strcmp(fw_control_trouble(r.c, trouble, sizeof trouble), "") == 0);
    close_all(&r);
}

static void a_servo_that_is_missing(void) {
    rig r;
    open_all(&r);
    SERVO_SET(&r.a.bus, servo[2].missing, true);
    for (int i = 0; i < 2500 && r.s.severity < FW_SAFETY_SEV_STOP; i++) {
        look(&r);
    }
    CHECK(r.s.severity == FW_SAFETY_SEV_STOP && (r.s.latched & FW_SAFETY_SENSOR_STALE) != 0);
    CHECK(r.s.first == FW_SAFETY_IX_SENSOR_STALE);
    SERVO_SET(&r.a.bus, servo[2].missing, false);
    recovers_when_told(&r);
    close_all(&r);
}

FW_TEST_MAIN(T(a_camera_that_is_unplugged), T(a_servo_that_is_missing))
