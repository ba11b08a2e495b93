/* What arrives in a cycle, at, just before and just beyond what is allowed: which condition is present, and how it ends. */
#include "rig.h"

static rig enabled(const fw_safety_limits *l, fw_safety_mode mode) {
    rig r;
    rig_start(&r, l);
    enable(&r, mode);
    return r;
}

#define EXPECT(r, fault)                                                                                               \
    do {                                                                                                               \
        if (((r).out.present & (uint32_t)(fault)) == 0)                                                                \
            FW_FAILED("%s is not present: %#x", #fault, (r).out.present);                                              \
    } while (0)
#define EXPECT_NOT(r, fault)                                                                                           \
    do {                                                                                                               \
        if (((r).out.present & (uint32_t)(fault)) != 0)                                                                \
            FW_FAILED("%s is present: %#x", #fault, (r).out.present);                                                  \
    } while (0)

/* --- sensors */

static void a_sample_that_is_no_number_is_refused(void) {
    static const float bad[] = {NAN, INFINITY, -INFINITY, 1.1e6f, -1.1e6f};
    for (int what = 0; what < 4; what++) {
        for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
            fw_safety_limits l = small_arm(3);
            rig r = enabled(&l, FW_SAFETY_STANDBY);
            r.frozen = true;
            fw_safety_sample *m = &r.in.axis[1];
            *(what == 0 ? &m->position : what == 1 ? &m->velocity : what == 2 ? &m->torque : &m->residual) = bad[k];
            cycle(&r);
            EXPECT(r, FW_SAFETY_SENSOR_BAD);
            EXPECT_NOT(r, FW_SAFETY_OUTSIDE | FW_SAFETY_CONTACT | FW_SAFETY_OVERSPEED);
            CHECK_INT(r.out.severity, FW_SAFETY_SEV_STOP);
            CHECK_INT(r.out.first, FW_SAFETY_IX_SENSOR_BAD);
            CHECK(fabsf(r.out.position[1]) < 1.0e-6f);
        }
    }
}

static void times_of_samples_neither_go_back_nor_come_from_the_future(void) {
    for (int k = 0; k < 4; k++) {
        fw_safety_limits l = small_arm(1);
        rig r = enabled(&l, FW_SAFETY_STANDBY);
        r.numb = true;
        uint32_t at = r.s.track[0].at;
        cycle(&r); /* the same again is only older */
        EXPECT_NOT(r, FW_SAFETY_SENSOR_BAD);
        CHECK_INT(r.s.track[0].at, at);
        r.in.now_us += 5000;
        r.in.axis[0].t_us = k == 0 ? r.in.now_us : k == 1 ? r.in.now_us + 1 : k == 2 ? 1039999 : 1045001;
        uint64_t newest = r.s.track[0].t_us[r.s.track[0].at];
        if (k == 2) {
            r.in.axis[0].t_us = newest - 1;
        } else if (k == 3) {
            r.in.axis[0].t_us = newest + 1;
        }
        fw_safety_step(&r.s, &r.in, &r.out);
        CHECK_INT((r.out.present & FW_SAFETY_SENSOR_BAD) != 0, k == 1 || k == 2);
    }
}

static void a_sample_is_stale_after_its_time(void) {
    fw_safety_limits l = small_arm(2);
    rig r = enabled(&l, FW_SAFETY_STANDBY);
    r.numb = true;
    cycles(&r, 4); /* 20 ms: the last that is right */
    EXPECT_NOT(r, FW_SAFETY_SENSOR_STALE);
    cycle_after(&r, 1);
    EXPECT(r, FW_SAFETY_SENSOR_STALE);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_STOP);
    r.numb = false;
    cycle(&r);
    EXPECT_NOT(r, FW_SAFETY_SENSOR_STALE);
    CHECK((r.out.latched & FW_SAFETY_SENSOR_STALE) != 0);
}

static void one_missing_servo_is_enough(void) {
    fw_safety_limits l = small_arm(3);
    rig r = enabled(&l, FW_SAFETY_STANDBY);
    for (int k = 0; k < 5; k++) {
        r.numb = true;
        r.in.now_us += 0;
        for (uint32_t i = 0; i < 3; i++) {
            r.in.axis[i].valid = i != 1;
            r.in.axis[i].t_us = r.in.now_us + 5000;
        }
        cycle(&r);
    }
    EXPECT(r, FW_SAFETY_SENSOR_STALE);
}

static void nothing_measured_is_stale(void) {
    fw_safety_limits l = small_arm(1);
    rig r;
    rig_start(&r, &l);
    r.numb = true;
    r.in.now_us = 0; /* a clock that has only begun */
    cycle(&r);
    EXPECT(r, FW_SAFETY_SENSOR_STALE);
    r.in.request = FW_SAFETY_STANDBY;
    cycle(&r);
    CHECK((r.out.refused & FW_SAFETY_SENSOR_STALE) != 0);
    CHECK_INT(r.out.mode, FW_SAFETY_SILENT);
    CHECK_INT(r.out.latched, 0);
}

/* one sample that moves by way in a cycle of 5 ms, at 2 rad/s, noise 0.25 */
static bool jumps(float way) {
    fw_safety_limits l = small_arm(1);
    l.axis[0].noise = 0.25f;
    l.axis[0].velocity_tolerance = 0;
    rig r = enabled(&l, FW_SAFETY_STANDBY);
    r.frozen = true;
    r.in.axis[0].position = way;
    cycle(&r);
    bool bad = (r.out.present & FW_SAFETY_SENSOR_BAD) != 0;
    CHECK_INT(r.s.track[0].q[r.s.track[0].at] == way, !bad); /* what is refused is not taken in */
    return bad;
}

static void a_sample_that_jumps_is_refused(void) {
    float most = 2.0f * 2.0f * (5000.0f * 1.0e-6f) + 0.25f;
    for (int sign = -1; sign <= 1; sign += 2) {
        CHECK(!jumps((float)sign * most));
        CHECK(jumps((float)sign * nextafterf(most, 1)));
    }
}

/* k samples that each move by way; present is what was seen at the last */
static uint32_t creep(fw_safety_limits *l, float way, float velocity, int k) {
    rig r = enabled(l, FW_SAFETY_STANDBY);
    r.frozen = true;
    for (int n = 0; n < k; n++) {
        r.in.axis[0].position += way;
        r.in.axis[0].velocity = velocity;
        cycle(&r);
    }
    return r.out.present;
}

static void speed_is_what_the_last_six_samples_say(void) {
    fw_safety_limits l = small_arm(1);
    l.axis[0].velocity_tolerance = 0;
    l.axis[0].noise = 0.0078125f;
    /* five ways of 5 ms: 0.05 rad at 2 rad/s, and twice the noise */
    float most = (2.0f * (25000.0f * 1.0e-6f) + 2.0f * 0.0078125f) / 5.0f;
    for (int sign = -1; sign <= 1; sign += 2) {
        float way = (float)sign * most;
        CHECK((creep(&l, way * 0.9999f, 0, 5) & FW_SAFETY_OVERSPEED) == 0);
        CHECK((creep(&l, way * 1.0001f, 0, 5) & FW_SAFETY_OVERSPEED) != 0);
        CHECK((creep(&l, way * 1.0001f, 0, 4) & FW_SAFETY_OVERSPEED) == 0); /* noise still explains it */
        CHECK((creep(&l, way * 0.9999f, 0, 40) & FW_SAFETY_OVERSPEED) == 0);
    }
    CHECK((creep(&l, 0, 100.0f, 10) & FW_SAFETY_OVERSPEED) == 0); /* no velocity sensor: not looked at */
}

static void a_window_of_two_samples_is_a_window(void) {
    fw_safety_limits l = small_arm(1);
    l.axis[0].velocity_tolerance = 0;
    l.axis[0].noise = 0.0f;
    rig r;
    rig_start(&r, &l);
    cycle(&r);
    EXPECT_NOT(r, FW_SAFETY_SENSOR_STALE); /* one sample is one */
    r.in.axis[0].position = 0.0101f;
    cycle(&r);
    EXPECT(r, FW_SAFETY_OVERSPEED);
    rig_start(&r, &l);
    cycle(&r);
    r.in.axis[0].position = 0.0099f;
    cycle(&r);
    EXPECT_NOT(r, FW_SAFETY_OVERSPEED);
    r.in.axis[0].position = 0.0199f; /* and three: from the first */
    cycle(&r);
    EXPECT_NOT(r, FW_SAFETY_OVERSPEED);
    r.in.axis[0].position = 0.0301f;
    cycle(&r);
    EXPECT(r, FW_SAFETY_OVERSPEED);
}

static void exactly_the_limit_is_no_overspeed(void) {
    fw_safety_limits l = small_arm(1);
    l.axis[0].velocity_tolerance = 0.5f;
    l.axis[0].velocity = 2.0f;
    l.axis[0].noise = 0.25f;
    CHECK((creep(&l, 0, 2.5f, 1) & FW_SAFETY_OVERSPEED) == 0);
    CHECK((creep(&l, 0, nextafterf(2.5f, 3), 1) & FW_SAFETY_OVERSPEED) != 0);
    CHECK((creep(&l, 0, -2.5f, 1) & FW_SAFETY_OVERSPEED) == 0);
    CHECK((creep(&l, 0, -nextafterf(2.5f, 3), 1) & FW_SAFETY_OVERSPEED) != 0);
    l.axis[0].velocity_tolerance = 0;
    l.axis[0].noise = 0.125f;
    for (int beyond = 0; beyond < 2; beyond++) { /* of the window: in three samples, so that none of them jumps */
        float most = 2.0f * (25000.0f * 1.0e-6f) + 2.0f * 0.125f;
        rig r = enabled(&l, FW_SAFETY_STANDBY);
        r.frozen = true;
        for (int k = 1; k <= 3; k++) {
            r.in.axis[0].position = k < 3 ? 0.1f * (float)k : beyond != 0 ? nextafterf(most, 1) : most;
            cycle(&r);
        }
        CHECK_INT((r.out.present & FW_SAFETY_OVERSPEED) != 0, beyond);
    }
}

static void a_velocity_sensor_that_lies_five_times_is_not_believed(void) {
    fw_safety_limits l = small_arm(1);
    l.axis[0].noise = 0.001f;
    l.axis[0].velocity_tolerance = 0.5f;
    /* standing, at the fifth lie: |v| * 25 ms > 0.5 * 25 ms + 0.002 */
    float most = 0.5f + 0.002f / 0.025f;
    for (int sign = -1; sign <= 1; sign += 2) {
        CHECK((creep(&l, 0, (float)sign * most * 1.001f, 4) & FW_SAFETY_SENSOR_BAD) == 0);
        CHECK((creep(&l, 0, (float)sign * most * 1.001f, 5) & FW_SAFETY_SENSOR_BAD) != 0);
        CHECK((creep(&l, 0, (float)sign * most * 1.001f, 9) & FW_SAFETY_SENSOR_BAD) != 0);
        CHECK((creep(&l, 0, (float)sign * most * 0.999f, 20) & FW_SAFETY_SENSOR_BAD) == 0);
    }
    l.axis[0].noise = 0;
    CHECK((creep(&l, 0, 0.5f, 20) & FW_SAFETY_SENSOR_BAD) == 0);
    CHECK((creep(&l, 0, nextafterf(0.5f, 1), 20) & FW_SAFETY_SENSOR_BAD) != 0);
    /* moving at 1 rad/s: right is right, and standing still in the sensor alone is not */
    CHECK((creep(&l, 0.005f, 1.0f, 30) & FW_SAFETY_SENSOR_BAD) == 0);
    CHECK((creep(&l, 0.005f, 0.0f, 30) & FW_SAFETY_SENSOR_BAD) != 0);
    l.axis[0].velocity_tolerance = 0;
    CHECK((creep(&l, 0.005f, 0.0f, 30) & FW_SAFETY_SENSOR_BAD) == 0);
}

static void one_honest_sample_ends_a_row_of_lies(void) {
    fw_safety_limits l = small_arm(1);
    l.axis[0].noise = 0.001f;
    rig r = enabled(&l, FW_SAFETY_STANDBY);
    r.frozen = true;
    for (int k = 0; k < 40; k++) {
        r.in.axis[0].velocity = k % 5 == 4 ? 0.0f : 0.7f;
        cycle(&r);
        EXPECT_NOT(r, FW_SAFETY_SENSOR_BAD);
    }
    for (int k = 0; k < 12; k++) { /* more than five lies need no more than one honest sample either */
        r.in.axis[0].velocity = 0.7f;
        cycle(&r);
    }
    EXPECT(r, FW_SAFETY_SENSOR_BAD);
    CHECK_INT(r.s.track[0].mismatched, 5); /* it counts no further, for months */
    r.in.axis[0].velocity = 0.0f;
    cycle(&r);
    EXPECT_NOT(r, FW_SAFETY_SENSOR_BAD);
}

static void measured_positions_keep_to_their_limits_but_for_noise(void) {
    for (int sign = -1; sign <= 1; sign += 2) {
        fw_safety_limits l = small_arm(2);
        l.axis[1].noise = 0.0625f;
        l.axis[1].position_min = -1.0f;
        l.axis[1].position_max = 1.0f;
        float at[2] = {0, (float)sign};
        rig r;
        rig_start_at(&r, &l, at);
        enable(&r, FW_SAFETY_STANDBY);
        r.frozen = true;
        r.in.axis[1].position = (float)sign * 1.0625f;
        cycle(&r);
        EXPECT_NOT(r, FW_SAFETY_OUTSIDE);
        r.in.axis[1].position = (float)sign * nextafterf(1.0625f, 2);
        cycle(&r);
        EXPECT(r, FW_SAFETY_OUTSIDE);
        CHECK_INT(r.out.severity, FW_SAFETY_SEV_STOP);
    }
}

static void an_arm_beyond_its_limits_cannot_be_enabled(void) {
    fw_safety_limits l = small_arm(1);
    rig r;
    float at[1] = {2.2f};
    rig_start_at(&r, &l, at);
    cycles(&r, 10);
    r.in.request = FW_SAFETY_AUTONOMOUS;
    cycle(&r);
    CHECK_INT(r.out.mode, FW_SAFETY_SILENT);
    CHECK_INT(r.out.refused, FW_SAFETY_OUTSIDE);
    at[0] = 2.005f; /* within the noise: it starts at the limit itself */
    rig_start_at(&r, &l, at);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    CHECK(r.out.position[0] == 2.0f);
}

static void being_pushed_away_is_noticed(void) {
    for (int k = 0; k < 12; k++) {
        int sign = k % 2 == 0 ? 1 : -1, phase = k / 2; /* wherever in its ring the window begins */
        fw_safety_limits l = small_arm(1);
        l.axis[0].follow = 0.25f;
        l.axis[0].noise = 0.0625f;
        l.axis[0].velocity_tolerance = 0;
        rig r = enabled(&l, FW_SAFETY_STANDBY);
        r.frozen = true;
        cycles(&r, phase);
        for (int n = 0; n < 5; n++) {
            r.in.axis[0].position = (float)sign * 0.0625f * (float)(n + 1);
            cycles(&r, 6);
        }
        CHECK(r.in.axis[0].position == (float)sign * 0.3125f); /* follow and noise */
        EXPECT_NOT(r, FW_SAFETY_TRACKING);
        r.in.axis[0].position = (float)sign * nextafterf(0.3125f, 1);
        cycles(&r, 5);
        EXPECT_NOT(r, FW_SAFETY_TRACKING); /* one of the last six was still near */
        float lo = -9.0f, hi = 9.0f;       /* of these six, whatever was there before */
        fw_safety_measured(&r.s, 0, &lo, &hi);
        CHECK(fabsf(lo) <= 0.3126f && fabsf(hi) <= 0.3126f && lo != hi);
        cycle(&r);
        EXPECT(r, FW_SAFETY_TRACKING);
        CHECK_INT(r.out.first, FW_SAFETY_IX_TRACKING);
    }
}

/* --- loads */

static void torque_may_be_high_for_a_while(void) {
    for (int sign = -1; sign <= 1; sign += 2) {
        fw_safety_limits l = small_arm(2);
        rig r = enabled(&l, FW_SAFETY_STANDBY);
        r.in.axis[1].torque = (float)sign * 3.0f;
        cycles(&r, 60);
        EXPECT_NOT(r, FW_SAFETY_TORQUE);
        r.in.axis[1].torque = (float)sign * nextafterf(3.0f, 4);
        cycles(&r, 40); /* 200 ms */
        EXPECT_NOT(r, FW_SAFETY_TORQUE | FW_SAFETY_GRIP);
        cycle(&r);
        EXPECT(r, FW_SAFETY_TORQUE);
        CHECK_INT(r.out.severity, FW_SAFETY_SEV_STOP);
        CHECK(!r.out.release && r.out.torque_cap[1] == 3.0f);
    }
}

static void a_gripper_that_squeezes_lets_go(void) {
    for (int grip = -1; grip <= 1; grip += 2) {
        fw_safety_limits l = small_arm(2);
        l.axis[1].grip = grip;
        rig r = enabled(&l, FW_SAFETY_STANDBY);
        r.in.axis[1].torque = 3.5f;
        cycles(&r, 41);
        EXPECT(r, FW_SAFETY_GRIP);
        EXPECT_NOT(r, FW_SAFETY_TORQUE);
        CHECK(r.out.release);
        cycles(&r, 400);
        CHECK(fabsf(r.out.position[1] - (grip > 0 ? -1.5f : 2.0f)) < 1.0e-3f);
        CHECK(r.out.position[0] == 0.0f);
    }
}

static void a_push_is_a_contact_at_once_and_a_smaller_one_when_it_lasts(void) {
    for (int sign = -1; sign <= 1; sign += 2) {
        fw_safety_limits l = small_arm(2);
        rig r = enabled(&l, FW_SAFETY_STANDBY);
        r.in.axis[1].residual = (float)sign * 0.5f;
        cycles(&r, 200);
        EXPECT_NOT(r, FW_SAFETY_CONTACT);
        r.in.axis[1].residual = (float)sign * nextafterf(0.5f, 1);
        cycles(&r, 100); /* 500 ms */
        EXPECT_NOT(r, FW_SAFETY_CONTACT);
        cycle(&r);
        EXPECT(r, FW_SAFETY_CONTACT);
        CHECK_INT(r.out.severity, FW_SAFETY_SEV_STOP);
        r = enabled(&l, FW_SAFETY_STANDBY);
        r.in.axis[0].residual = (float)sign * 1.0f;
        cycle(&r);
        EXPECT_NOT(r, FW_SAFETY_CONTACT);
        r.in.axis[0].residual = (float)sign * nextafterf(1.0f, 2);
        cycle(&r);
        EXPECT(r, FW_SAFETY_CONTACT);
    }
}

/* --- heartbeats */

static const struct {
    fw_safety_party party;
    fw_safety_mode mode;
    uint32_t fault;
    fw_safety_severity severity;
} PARTY[] = {{FW_SAFETY_POLICY, FW_SAFETY_AUTONOMOUS, FW_SAFETY_POLICY_LOST, FW_SAFETY_SEV_HOLD},
             {FW_SAFETY_OPERATOR, FW_SAFETY_TELEOPERATED, FW_SAFETY_OPERATOR_LOST, FW_SAFETY_SEV_HOLD},
             {FW_SAFETY_SUPERVISOR, FW_SAFETY_STANDBY, FW_SAFETY_SUPERVISOR_LOST, FW_SAFETY_SEV_STOP}};

/* us of silence (beats = false) or deafness (echo = false) of a party until the fault is there, commands going on */
static uint32_t lasts(size_t k, bool beats, bool echoes, rig *r) {
    fw_safety_limits l = small_arm(1);
    *r = enabled(&l, PARTY[k].mode);
    fw_safety_heartbeat h = r->in.heartbeat[PARTY[k].party];
    r->mute = true;
    for (uint32_t us = 5000; us < 3000000; us += 5000) {
        for (uint32_t p = 0; p < FW_SAFETY_N_PARTY; p++) {
            bool other = p != (uint32_t)PARTY[k].party;
            r->in.heartbeat[p].count += beats || other;
            r->in.heartbeat[p].echo = echoes || other ? r->out.beat : h.echo;
        }
        if (r->out.mode != FW_SAFETY_STANDBY) {
            command_all(r, 0);
        }
        cycle(r);
        if ((r->out.present & PARTY[k].fault) != 0) {
            return us;
        }
    }
    return 0;
}

static void silence_and_deafness_of_a_party_are_faults(void) {
    fw_safety_limits l = small_arm(1);
    for (size_t k = 0; k < 3; k++) {
        rig r;
        uint32_t most = l.heartbeat_us[PARTY[k].party];
        CHECK_INT(lasts(k, true, true, &r), 0);
        CHECK_INT(r.out.latched, 0);
        CHECK_INT(lasts(k, false, true, &r), most + 5000);
        CHECK_INT(r.out.severity, PARTY[k].severity);
        CHECK((r.out.latched & PARTY[k].fault) != 0);
        CHECK_INT(lasts(k, true, false, &r),
                  most); /* it lacks one beat in every cycle: those it cannot have seen yet */
        CHECK_INT(r.out.severity, PARTY[k].severity);
    }
}

static void an_echo_of_a_beat_that_was_not_yet_is_no_echo(void) {
    fw_safety_limits l = small_arm(1);
    rig r = enabled(&l, FW_SAFETY_STANDBY);
    r.mute = true;
    r.in.heartbeat[FW_SAFETY_SUPERVISOR].count++;
    r.in.heartbeat[FW_SAFETY_SUPERVISOR].echo = r.out.beat + 2;
    cycle(&r);
    EXPECT(r, FW_SAFETY_SUPERVISOR_LOST);
}

static void a_party_that_never_beat_is_lost(void) {
    fw_safety_limits l = small_arm(1);
    rig r;
    rig_start(&r, &l);
    r.mute = true;
    for (int k = 0; k < 3; k++) {
        for (uint32_t p = 0; p < FW_SAFETY_N_PARTY; p++) {
            r.in.heartbeat[p].echo = r.out.beat;
        }
        cycle(&r);
    }
    EXPECT(r, FW_SAFETY_POLICY_LOST);
    EXPECT(r, FW_SAFETY_OPERATOR_LOST);
    EXPECT(r, FW_SAFETY_SUPERVISOR_LOST);
    CHECK_INT(r.out.latched, 0);
    r.in.request = FW_SAFETY_AUTONOMOUS;
    cycle(&r);
    CHECK_INT(r.out.refused, FW_SAFETY_POLICY_LOST | FW_SAFETY_SUPERVISOR_LOST);
    r.in.request = FW_SAFETY_TELEOPERATED;
    cycle(&r);
    CHECK_INT(r.out.refused, FW_SAFETY_OPERATOR_LOST | FW_SAFETY_SUPERVISOR_LOST);
    r.in.heartbeat[FW_SAFETY_POLICY].count++;
    cycle(&r);
    EXPECT_NOT(r, FW_SAFETY_POLICY_LOST);
    EXPECT(r, FW_SAFETY_OPERATOR_LOST);
}

static void there_need_not_be_a_supervisor(void) {
    fw_safety_limits l = small_arm(1);
    l.heartbeat_us[FW_SAFETY_SUPERVISOR] = 0;
    rig r;
    rig_start(&r, &l);
    r.mute = true;
    cycles(&r, 300);
    EXPECT_NOT(r, FW_SAFETY_SUPERVISOR_LOST);
}

/* --- commands */

static void a_command_that_is_no_number_is_refused(void) {
    static const float bad[] = {NAN, INFINITY, -INFINITY, 1.1e6f, -1.1e6f};
    for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
        fw_safety_limits l = small_arm(3);
        rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
        follow(&r, 0.5f, 20);
        command_all(&r, 0.5f);
        r.in.command.position[1] = bad[k];
        cycle(&r);
        EXPECT(r, FW_SAFETY_COMMAND_BAD);
        CHECK_INT(r.out.severity, FW_SAFETY_SEV_HOLD);
        CHECK_INT(r.out.first, FW_SAFETY_IX_COMMAND_BAD);
        follow(&r, 0.5f, 30);
        CHECK(stands(&r) && r.out.position[1] < 0.49f);
    }
    fw_safety_limits l = small_arm(1); /* what belongs to no axis does not count */
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    command_all(&r, 0.0f);
    r.in.command.position[1] = NAN;
    cycle(&r);
    EXPECT_NOT(r, FW_SAFETY_COMMAND_BAD);
    l.axis[0].position_max = 1000; /* a large one is only far away */
    r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    follow(&r, 1.0e6f, 1);
    EXPECT_NOT(r, FW_SAFETY_COMMAND_BAD);
}

static bool bad_command(rig *r) {
    cycle(r);
    return (r->out.present & FW_SAFETY_COMMAND_BAD) != 0;
}

static void a_command_of_another_source_is_refused(void) {
    for (int mode = FW_SAFETY_AUTONOMOUS; mode <= FW_SAFETY_TELEOPERATED; mode++) {
        for (int source = 0; source < 3; source++) {
            fw_safety_limits l = small_arm(1);
            rig r = enabled(&l, (fw_safety_mode)mode);
            command_all(&r, 0.1f);
            r.in.command.source = (fw_safety_party)source;
            bool right = source == (mode == FW_SAFETY_TELEOPERATED ? FW_SAFETY_OPERATOR : FW_SAFETY_POLICY);
            CHECK_INT(bad_command(&r), !right);
            CHECK_INT(r.out.velocity[0] > 0, right);
        }
    }
}

static void commands_come_in_order_and_not_from_the_future(void) {
    fw_safety_limits l = small_arm(1);
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    command_all(&r, 0.1f);
    r.in.command.seq = 0x7fffffff; /* the first may have any */
    CHECK(!bad_command(&r));
    rig was = r;
    static const struct {
        uint32_t ahead;
        bool bad;
    } step[] = {{0, false}, {1, false}, {0x7fffffff, false}, {0x80000000u, true}, {0xffffffffu, true}};
    for (size_t k = 0; k < sizeof(step) / sizeof(step[0]); k++) {
        r = was;
        command_all(&r, 0.2f);
        r.in.command.seq = 0x7fffffffu + step[k].ahead;
        CHECK_INT(bad_command(&r), step[k].bad);
    }
    r = was;
    command_all(&r, 0.1f);
    r.in.command.t_us = r.in.now_us + 5000; /* now, in this cycle */
    CHECK(!bad_command(&r));
    r = was;
    command_all(&r, 0.1f);
    r.in.command.t_us = r.in.now_us + 5001;
    CHECK(bad_command(&r));
}

static void the_same_command_again_is_not_a_new_one(void) {
    fw_safety_limits l = small_arm(1);
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    command_all(&r, 0.1f);
    cycle(&r);
    for (int k = 0; k < 19; k++) { /* made 5 ms before it was first seen */
        command_all(&r, 0.5f);
        r.in.command.seq--;
        cycle(&r);
        EXPECT_NOT(r, FW_SAFETY_COMMAND_STALE);
    }
    command_all(&r, 0.5f);
    r.in.command.seq--;
    cycle(&r);
    EXPECT(r, FW_SAFETY_COMMAND_STALE);
    CHECK(r.out.position[0] < 0.11f);
}

static void commands_are_due_from_the_moment_a_mode_begins(void) {
    fw_safety_limits l = small_arm(1);
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    cycles(&r, 20); /* 100 ms */
    EXPECT_NOT(r, FW_SAFETY_COMMAND_STALE);
    CHECK(stands(&r));
    cycle(&r);
    EXPECT(r, FW_SAFETY_COMMAND_STALE);
    r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    follow(&r, 0.1f, 100);
    r.in.request = FW_SAFETY_TELEOPERATED; /* a new mode, a new start; the policy's command is not the operator's */
    cycle(&r);
    cycles(&r, 20);
    EXPECT_NOT(r, FW_SAFETY_COMMAND_STALE);
    cycle(&r);
    EXPECT(r, FW_SAFETY_COMMAND_STALE);
}

static void a_command_is_as_old_as_it_says(void) {
    fw_safety_limits l = small_arm(1);
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    command_all(&r, 0.1f);
    r.in.command.t_us = r.in.now_us + 5000 - 100000;
    cycle(&r);
    EXPECT_NOT(r, FW_SAFETY_COMMAND_STALE);
    command_all(&r, 0.1f);
    r.in.command.t_us = r.in.now_us + 5000 - 100001;
    cycle(&r);
    EXPECT(r, FW_SAFETY_COMMAND_STALE);
}

static void a_mode_change_forgets_the_command_before(void) {
    fw_safety_limits l = small_arm(1);
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    command_all(&r, 1.0f);
    r.in.command.seq = 1000;
    cycle(&r);
    r.in.request = FW_SAFETY_TELEOPERATED;
    cycle(&r);
    CHECK_INT(r.out.mode, FW_SAFETY_TELEOPERATED);
    cycles(&r, 10);
    CHECK(stands(&r)); /* it brakes until the operator commands */
    command_all(&r, 0.0f);
    r.in.command.seq = 3; /* which counts by itself */
    CHECK(!bad_command(&r));
}

static void standby_and_silence_do_not_look_at_commands(void) {
    fw_safety_limits l = small_arm(1);
    rig r = enabled(&l, FW_SAFETY_STANDBY);
    for (int k = 0; k < 50; k++) {
        command_all(&r, k % 2 == 0 ? NAN : 1.0f);
        cycle(&r);
        EXPECT_NOT(r, FW_SAFETY_COMMAND_BAD);
        CHECK(stands(&r));
    }
    CHECK_INT(r.out.latched, 0);
}

static void commands_clipped_for_long_are_a_warning(void) {
    fw_safety_limits l = small_arm(1);
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    follow(&r, 5.0f, 200); /* 1 s */
    EXPECT_NOT(r, FW_SAFETY_CLIPPED);
    follow(&r, 5.0f, 1);
    EXPECT(r, FW_SAFETY_CLIPPED);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_WARN);
    follow(&r, 5.0f, 300);
    CHECK(fabsf(r.out.position[0] - 2.0f) < 1.0e-3f); /* said, nothing else */
    follow(&r, r.out.position[0], 20);
    EXPECT_NOT(r, FW_SAFETY_CLIPPED);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_WARN);
    r.in.acknowledge = true;
    follow(&r, r.out.position[0], 1);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_NONE);
    CHECK_INT(r.out.mode, FW_SAFETY_AUTONOMOUS);
}

/* --- time */

static void an_overrun_is_a_fault(void) {
    fw_safety_limits l = small_arm(1);
    rig r = enabled(&l, FW_SAFETY_STANDBY);
    cycle_after(&r, 15000); /* 10 ms late */
    EXPECT_NOT(r, FW_SAFETY_CYCLE);
    r = enabled(&l, FW_SAFETY_STANDBY);
    cycle_after(&r, 15001);
    EXPECT(r, FW_SAFETY_CYCLE);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_STOP);
    cycle(&r);
    EXPECT_NOT(r, FW_SAFETY_CYCLE);
    rig_start(&r, &l); /* the first call is never late */
    r.in.now_us = 1000000000;
    cycle(&r);
    EXPECT_NOT(r, FW_SAFETY_CYCLE);
    cycle_after(&r, 0);
    EXPECT_NOT(r, FW_SAFETY_CYCLE);
}

/* in silence, where an overrun does not count: what was held is held for its time, by the new clock */
static void a_clock_that_goes_back_does_not_hurry_a_hold(void) {
    fw_safety_limits l = small_arm(1);
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    cycles(&r, 30);
    r.in.request = FW_SAFETY_SILENT;
    cycle(&r);
    CHECK_INT(r.out.mode, FW_SAFETY_SILENT);
    r.in.now_us -= 300000; /* to before it held */
    cycle(&r);
    EXPECT(r, FW_SAFETY_CYCLE);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_HOLD);
}

static void a_clock_that_goes_back_is_a_fault_and_everything_is_forgotten(void) {
    fw_safety_limits l = small_arm(2);
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    run_up(&r, 1.0f);
    r.in.axis[1].torque = 4.0f;
    r.in.axis[1].residual = 0.7f;
    cycles(&r, 20);
    r.numb = true;
    r.mute = true;
    r.in.now_us -= 5001;
    cycle(&r);
    EXPECT(r, FW_SAFETY_CYCLE);
    EXPECT(r, FW_SAFETY_SENSOR_STALE);
    EXPECT(r, FW_SAFETY_POLICY_LOST);
    EXPECT(r, FW_SAFETY_OPERATOR_LOST);
    EXPECT_NOT(r, FW_SAFETY_TORQUE | FW_SAFETY_CONTACT | FW_SAFETY_CLIPPED | FW_SAFETY_COMMAND_STALE);
    EXPECT(r, FW_SAFETY_SUPERVISOR_LOST);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_STOP);
    r.numb = false;
    r.mute = false;
    r.in.axis[1].torque = 0.0f;
    r.in.axis[1].residual = 0.0f;
    r.in.now_us -= 900000; /* nearly to the beginning */
    cycle(&r);
    EXPECT(r, FW_SAFETY_CYCLE);
    cycles(&r, 30);
    EXPECT_NOT(r, FW_SAFETY_CYCLE | FW_SAFETY_SENSOR_STALE | FW_SAFETY_SENSOR_BAD | FW_SAFETY_TORQUE |
                      FW_SAFETY_CONTACT | FW_SAFETY_POLICY_LOST);
    CHECK(stands(&r));
    r.in.acknowledge = true;
    r.in.request = FW_SAFETY_AUTONOMOUS;
    cycle(&r);
    CHECK_INT(r.out.mode, FW_SAFETY_AUTONOMOUS);
    follow(&r, 1.0f, 200);
    CHECK(fabsf(r.out.position[0] - 1.0f) < 1.0e-4f);
}

FW_TEST_MAIN(T(a_sample_that_is_no_number_is_refused), T(times_of_samples_neither_go_back_nor_come_from_the_future),
             T(a_sample_is_stale_after_its_time), T(one_missing_servo_is_enough), T(nothing_measured_is_stale),
             T(a_sample_that_jumps_is_refused), T(speed_is_what_the_last_six_samples_say),
             T(a_window_of_two_samples_is_a_window), T(exactly_the_limit_is_no_overspeed),
             T(a_velocity_sensor_that_lies_five_times_is_not_believed), T(one_honest_sample_ends_a_row_of_lies),
             T(measured_positions_keep_to_their_limits_but_for_noise), T(an_arm_beyond_its_limits_cannot_be_enabled),
             T(being_pushed_away_is_noticed), T(torque_may_be_high_for_a_while), T(a_gripper_that_squeezes_lets_go),
             T(a_push_is_a_contact_at_once_and_a_smaller_one_when_it_lasts),
             T(silence_and_deafness_of_a_party_are_faults), T(an_echo_of_a_beat_that_was_not_yet_is_no_echo),
             T(a_party_that_never_beat_is_lost), T(there_need_not_be_a_supervisor),
             T(a_command_that_is_no_number_is_refused), T(a_command_of_another_source_is_refused),
             T(commands_come_in_order_and_not_from_the_future), T(the_same_command_again_is_not_a_new_one),
             T(commands_are_due_from_the_moment_a_mode_begins), T(a_command_is_as_old_as_it_says),
             T(a_mode_change_forgets_the_command_before), T(standby_and_silence_do_not_look_at_commands),
             T(commands_clipped_for_long_are_a_warning), T(an_overrun_is_a_fault),
             T(a_clock_that_goes_back_is_a_fault_and_everything_is_forgotten),
             T(a_clock_that_goes_back_does_not_hurry_a_hold))
