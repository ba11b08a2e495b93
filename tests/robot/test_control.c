/* The control loop: nothing moves unasked, chunks change without a jump, every fault ends at rest and stays there until told otherwise. */
#include "control_rig.h"

static void nothing_moves_until_it_is_asked(void) {
    sine p = sine_policy(8);
    rig r;
    rig_open(&r, &p, 0);
    live(&r, 100);
    CHECK(r.s.mode == FW_SAFETY_SILENT && g_plant.writes == 0 && !g_plant.torque);
    to_mode(&r, FW_SAFETY_STANDBY);
    live(&r, 100);
    CHECK(g_plant.torque && r.s.executed == 0 && fabsf(r.s.position[0]) < 1e-3f);
    to_mode(&r, FW_SAFETY_AUTONOMOUS);
    live(&r, 400);                                   /* 2 s */
    CHECK(r.s.executed >= 17 && r.s.executed <= 20); /* the first way is too long for a control step */
    CHECK(fabsf(r.s.position[0] - sine_at(1e-9 * (double)r.t_ns, 0)) < 0.08f); /* it lags by a step or so */
    CHECK(r.s.chunks == 5 && r.s.rows_missed == 0 && r.s.severity == FW_SAFETY_SEV_NONE);
    rig_close(&r);
}

typedef struct passing {
    rig *r;
    int cycles;
    float last[AXES], step; /* largest change of the command in a control step */
    float window[20][AXES];
    int n;
} passing;

static void watch(passing *w) {
    cycle(w->r);
    for (int k = 0; k < AXES && w->r->s.mode == FW_SAFETY_AUTONOMOUS; k++) {
        if (w->n >= 600) { /* after it has come to where the policy is */
            w->step = fmaxf(w->step, fabsf(w->r->s.command[k] - w->window[w->n % 20][k]));
        }
        w->window[w->n % 20][k] = w->r->s.command[k];
    }
    w->n++;
}

static void time_passes(void *ctx) {
    passing *w = ctx;
    for (int i = 0; i < w->cycles; i++) {
        watch(w);
    }
}

/* Largest change of the command within 0.1 s, chunks being `delay` steps late and straying by 0.05 rad. */
static float largest_step(int max_delay, int delay, int blend) {
    sine p = sine_policy(max_delay);
    rig r;
    passing w = {.r = &r, .cycles = 20 * delay};
    rig_open(&r, &p, blend);
    p.stray = 0.05f;
    to_mode(&r, FW_SAFETY_STANDBY);
    fw_control_request(r.c, FW_SAFETY_AUTONOMOUS);
    p.while_thinking = time_passes;
    p.ctx = &w;
    for (int i = 0; i < 8000; i++) { /* 40 s */
        watch(&w);
        (void)fw_control_think(r.c);
        CHECK(r.s.severity == FW_SAFETY_SEV_NONE);
    }
    CHECK(r.s.executed > 200);
    rig_close(&r);
    return w.step;
}

/* A nominal step is the largest that one chunk makes by itself: 0.06 rad (sine_infer). At a change the robot moves by one, and what the change adds
 * must be less than half of one. */
static void chunks_change_within_a_nominal_step_at_every_delay(void) {
    const float nominal = 0.06f;
    for (int delay = 0; delay <= ROWS / 2; delay++) {
        const float step = largest_step(8, delay, 0);
        printf("# delay %d: %.4f rad in 0.1 s\n", delay, (double)step);
        CHECK(step <= 1.5f * nominal);
    }
    const float switched = largest_step(0, 2, 0), blended = largest_step(0, 2, 4);
    printf("# no prefix: switched %.4f, blended over 4 rows %.4f\n", (double)switched, (double)blended);
    CHECK(switched > 1.7f * nominal && blended < switched);
}

/* The policy dies: rows end, the robot rests, holds, retracts, stops, says why; and moves again only when a person has said so. */
static void a_silent_policy_ends_at_rest(void) {
    sine p = sine_policy(8);
    rig r;
    rig_open(&r, &p, 0);
    to_mode(&r, FW_SAFETY_STANDBY);
    to_mode(&r, FW_SAFETY_AUTONOMOUS);
    live(&r, 100);
    bool held = false, retracted = false;
    for (int i = 0; i < 2000 && r.s.severity < FW_SAFETY_SEV_STOP; i++) {
        cycle(&r); /* nobody thinks */
        held = held || r.s.severity == FW_SAFETY_SEV_HOLD;
        retracted = retracted || r.s.severity == FW_SAFETY_SEV_RETRACT;
    }
    CHECK(held && retracted && r.s.severity == FW_SAFETY_SEV_STOP);
    CHECK((r.s.latched & (FW_SAFETY_POLICY_LOST | FW_SAFETY_COMMAND_STALE)) != 0);
    const float at = r.s.command[0];
    live(&r, 200); /* the policy is back: that alone moves nothing */
    CHECK(r.s.command[0] == at && r.s.severity == FW_SAFETY_SEV_STOP);
    fw_control_request(r.c, FW_SAFETY_AUTONOMOUS); /* nor does asking, while the fault is latched */
    live(&r, 200);
    CHECK(r.s.command[0] == at);
    fw_control_acknowledge(r.c);
    live(&r, 200); /* nor what was asked before it was seen */
    CHECK(r.s.command[0] == at && r.s.severity == FW_SAFETY_SEV_NONE && r.s.mode == FW_SAFETY_STANDBY);
    to_mode(&r, FW_SAFETY_AUTONOMOUS);
    live(&r, 100);
    CHECK(r.s.command[0] != at);
    rig_close(&r);
}

static void a_lying_policy_ends_at_rest(void) {
    for (int k = 0; k < 2; k++) {
        sine p = sine_policy(8);
        rig r;
        rig_open(&r, &p, 0);
        to_mode(&r, FW_SAFETY_STANDBY);
        to_mode(&r, FW_SAFETY_AUTONOMOUS);
        live(&r, 100);
        p.nan = k == 0, p.fails = k == 1;
        for (int i = 0; i < 400 && r.s.severity < FW_SAFETY_SEV_HOLD; i++) {
            live(&r, 1);
            CHECK(isfinite(r.s.command[0]) && isfinite(g_plant.target[1]));
        }
        CHECK(r.s.policy_errors > 10 && r.s.severity >= FW_SAFETY_SEV_HOLD &&
              (r.s.latched & (FW_SAFETY_POLICY_LOST | FW_SAFETY_COMMAND_STALE)) != 0);
        rig_close(&r);
    }
}

static void stop_is_rest_within_100_ms(void) {
    for (int k = 0; k < 40; k++) {
        sine p = sine_policy(8);
        rig r;
        rig_open(&r, &p, 0);
        to_mode(&r, FW_SAFETY_STANDBY);
        to_mode(&r, FW_SAFETY_AUTONOMOUS);
        live(&r, 50 + 7 * k);
        fw_control_stop(r.c, true);
        float last[AXES] = {0};
        for (int i = 0; i < 21; i++) {
            memcpy(last, r.s.command, sizeof last);
            live(&r, 1);
        }
        CHECK(memcmp(last, r.s.command, sizeof last) == 0 && r.s.severity == FW_SAFETY_SEV_STOP);
        CHECK(r.s.first == FW_SAFETY_IX_STOP_ASKED);
        rig_close(&r);
    }
}

/* A person takes over in the middle of a motion, leads elsewhere, and gives it back: the command never jumps. */
static void a_take_over_and_back_has_no_jump(void) {
    sine p = sine_policy(8);
    rig r;
    rig_open(&r, &p, 0);
    to_mode(&r, FW_SAFETY_STANDBY);
    to_mode(&r, FW_SAFETY_AUTONOMOUS);
    live(&r, 130);
    float before[AXES], lead[AXES] = {1.0f, -0.8f};
    fw_safety_mode want[2] = {FW_SAFETY_TELEOPERATED, FW_SAFETY_AUTONOMOUS};
    for (int k = 0; k < 2; k++) {
        fw_control_operate(r.c, lead); /* a leader arm is there, far from where the robot is */
        fw_control_request(r.c, want[k]);
        for (int i = 0; i < 400 + 400 * k; i++) { /* on the way back rows take longer than a control step */
            memcpy(before, r.s.command, sizeof before);
            fw_control_operate(r.c, lead);
            live(&r, 1);
            for (int a = 0; a < AXES; a++) {
                CHECK(fabsf(r.s.command[a] - before[a]) <= 2.0f * 0.005f * 1.001f); /* the velocity limit */
            }
        }
        CHECK(r.s.mode == want[k] && r.s.severity <= FW_SAFETY_SEV_WARN);
        CHECK(k == 1 || (fabsf(r.s.command[0] - 1.0f) < 0.01f && fabsf(r.s.command[1] + 0.8f) < 0.01f));
    }
    CHECK(fabsf(r.s.position[0] - sine_at(1e-9 * (double)r.t_ns, 0)) < 0.1f);
    rig_close(&r);
}

static void an_operator_who_is_gone_is_noticed(void) {
    rig r;
    rig_open(&r, NULL, 0);
    const float lead[AXES] = {0.5f, 0.5f};
    fw_control_operate(r.c, lead);
    to_mode(&r, FW_SAFETY_STANDBY);
    fw_control_request(r.c, FW_SAFETY_TELEOPERATED);
    for (int i = 0; i < 100; i++) {
        fw_control_operate(r.c, lead);
        cycle(&r);
    }
    CHECK(r.s.mode == FW_SAFETY_TELEOPERATED && r.s.command[0] > 0.3f && r.s.severity == FW_SAFETY_SEV_NONE);
    for (int i = 0; i < 60; i++) {
        cycle(&r);
    }
    CHECK(r.s.severity == FW_SAFETY_SEV_HOLD && (r.s.latched & FW_SAFETY_OPERATOR_LOST) != 0);
    rig_close(&r);
}

static void a_numb_robot_stops(void) {
    sine p = sine_policy(8);
    rig r;
    rig_open(&r, &p, 0);
    to_mode(&r, FW_SAFETY_STANDBY);
    to_mode(&r, FW_SAFETY_AUTONOMOUS);
    live(&r, 100);
    g_plant.numb = true;
    live(&r, 10);
    CHECK(r.s.severity == FW_SAFETY_SEV_STOP && (r.s.latched & FW_SAFETY_SENSOR_STALE) != 0 && r.s.driver_errors >= 9);
    rig_close(&r);
}

static void a_joint_that_reports_a_fault_stops_the_robot(void) {
    sine p = sine_policy(8);
    rig r;
    rig_open(&r, &p, 0);
    to_mode(&r, FW_SAFETY_STANDBY);
    to_mode(&r, FW_SAFETY_AUTONOMOUS);
    live(&r, 100);
    CHECK(r.s.severity == FW_SAFETY_SEV_NONE && r.s.driver_faults == 0);
    g_plant.faults = FW_DRIVER_FAULT_OVERLOAD;
    live(&r, 10);
    CHECK(r.s.driver_faults == FW_DRIVER_FAULT_OVERLOAD && r.s.severity == FW_SAFETY_SEV_STOP);
    CHECK((r.s.latched & FW_SAFETY_SENSOR_STALE) != 0);
    rig_close(&r);
}

static void what_does_not_fit_is_refused(void) {
    fw_err err;
    sine p = sine_policy(8);
    rig r;
    rig_open(&r, &p, 0);
    fw_control *c;
    fw_control_opts o = FW_CONTROL_OPTS_DEFAULT;
    fw_safety_limits l = r.limits;
    o.driver = r.driver, o.limits = &l, o.policy = &p.base, o.clock = &r.clock;
    l.n_axis = 1;
    to_mode(&r, FW_SAFETY_STANDBY);
    CHECK(fw_control_new(&o, &c, &err) == FW_INVALID && strstr(err.msg, "2 axes") != NULL && c == NULL);
    CHECK(g_plant.torque); /* refusing it touches no driver that another one has */
    l = r.limits;
    l.axis[1].velocity = NAN;
    CHECK(fw_control_new(&o, &c, &err) == FW_INVALID && strstr(err.msg, "limits") != NULL);
    l = r.limits;
    p.body.rate_hz = 30; /* 6.67 cycles */
    CHECK(fw_control_new(&o, &c, &err) == FW_INVALID && strstr(err.msg, "30 Hz") != NULL);
    p.body.rate_hz = 10, p.body.n_action = 3;
    CHECK(fw_control_new(&o, &c, &err) == FW_INVALID && strstr(err.msg, "3 actions") != NULL);
    p.body.n_action = 2;
    char longer[300];
    memset(longer, 'a', sizeof longer - 1);
    longer[299] = 0;
    CHECK(fw_control_say(r.c, longer, &err) == FW_INVALID);
    rig_close(&r);
}

static void slow(void *ctx) {
    rig *r = ctx;
    r->t_ns += 350000000;
}

static void a_policy_too_slow_for_its_training_is_refused(void) {
    fw_err err;
    sine p = sine_policy(3);
    rig r;
    rig_open(&r, &p, 0);
    p.while_thinking = slow, p.ctx = &r; /* 0.35 s: 4 steps of 0.1 s */
    fw_control_halt(r.c);
    CHECK(fw_control_prepare(r.c, &err) == FW_UNSAFE && strstr(err.msg, "4 steps") != NULL &&
          strstr(err.msg, "at most 3") != NULL);
    p.max_delay = 8;
    rig_close(&r);
}

FW_TEST_MAIN(T(nothing_moves_until_it_is_asked), T(chunks_change_within_a_nominal_step_at_every_delay),
             T(a_silent_policy_ends_at_rest), T(a_lying_policy_ends_at_rest), T(stop_is_rest_within_100_ms),
             T(a_take_over_and_back_has_no_jump), T(an_operator_who_is_gone_is_noticed), T(a_numb_robot_stops),
             T(a_joint_that_reports_a_fault_stops_the_robot), T(what_does_not_fit_is_refused),
             T(a_policy_too_slow_for_its_training_is_refused))
