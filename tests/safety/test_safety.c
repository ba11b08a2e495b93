/* The core as a whole, cycle by cycle: what is sent, when it is not, and how it reacts. */
#include "rig.h"

static void it_is_silent_until_enabled(void) {
    rig r;
    fw_safety_limits l = small_arm(2);
    rig_start(&r, &l);
    for (int k = 0; k < 300; k++) {
        command_all(&r, 0.5f);
        cycle(&r);
        CHECK(!r.out.send && !r.out.torque_on);
        CHECK_INT(r.out.mode, FW_SAFETY_SILENT);
        CHECK_INT(r.out.latched, 0);
    }
}

static void a_good_command_passes_as_it_is(void) {
    rig r;
    fw_safety_limits l = small_arm(2);
    rig_start(&r, &l);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    for (int k = 0; k < 2000; k++) {
        float q = 0.5f * (1.0f - cosf(2.0f * (float)k * 0.005f));
        command_all(&r, q);
        cycle(&r);
        CHECK_INT(r.out.limited, 0);
        CHECK(fabsf(r.out.position[0] - q) <= 2.0e-7f);
    }
}

static void a_jump_is_followed_within_every_rate(void) {
    rig r;
    fw_safety_limits l = small_arm(1);
    rig_start(&r, &l);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    float a = 0;
    float fastest = 0;
    for (int k = 0; k < 400; k++) {
        command_all(&r, 1.0f);
        cycle(&r);
        CHECK(fabsf(r.out.velocity[0]) <= 2.0f && fabsf(r.out.acceleration[0]) <= 40.0f);
        CHECK(fabsf(r.out.acceleration[0] - a) <= 2000.0f * 0.005f * 1.00001f);
        CHECK(r.out.position[0] <= 1.0f + 1.0e-4f);
        a = r.out.acceleration[0];
        fastest = fmaxf(fastest, r.out.velocity[0]);
    }
    CHECK(fastest > 1.95f);
    CHECK(fabsf(r.out.position[0] - 1.0f) < 1.0e-6f);
    CHECK(stands(&r));
}

static void commands_beyond_a_limit_end_at_it(void) {
    for (int sign = -1; sign <= 1; sign += 2) {
        rig r;
        fw_safety_limits l = small_arm(1);
        float end = sign > 0 ? l.axis[0].position_max : l.axis[0].position_min;
        rig_start(&r, &l);
        enable(&r, FW_SAFETY_AUTONOMOUS);
        for (int k = 0; k < 600; k++) {
            float d = fabsf(end - r.out.position[0]); /* a velocity holds for the cycle that begins there */
            command_all(&r, (float)sign * 100.0f);
            cycle(&r);
            CHECK(r.out.position[0] >= l.axis[0].position_min && r.out.position[0] <= l.axis[0].position_max);
            CHECK((float)sign * r.out.velocity[0] <= sqrtf(2.0f * 40.0f * d) * 1.0001f + 1.0e-6f);
            CHECK((r.out.limited & FW_SAFETY_LIM_POSITION) != 0);
        }
        CHECK(fabsf(r.out.position[0] - end) < 1.0e-4f);
    }
}

static void stop_is_zero_velocity_within_100_ms(void) {
    rig r;
    fw_safety_limits l = small_arm(3);
    rig_start(&r, &l);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    run_up(&r, 2.0f);
    CHECK(r.out.velocity[0] > 1.95f);
    r.in.stop = true;
    int n = 0;
    do {
        command_all(&r, 2.0f);
        cycle(&r);
        n++;
    } while (!stands(&r) && n < 100);
    CHECK(n * l.period_us <= FW_SAFETY_STOP_US);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_STOP);
    CHECK_INT(r.out.first, FW_SAFETY_IX_STOP_ASKED);
    CHECK(r.out.send && r.out.torque_on && !r.out.release);
    float at = r.out.position[0];
    follow(&r, 2.0f, 100);
    CHECK(r.out.position[0] == at);
}

static void silence_of_the_policy_holds_then_retracts_then_stops(void) {
    rig r;
    fw_safety_limits l = small_arm(2);
    rig_start(&r, &l);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    follow(&r, 1.0f, 200);
    int held = 0, retracting = 0;
    while (r.out.severity != FW_SAFETY_SEV_STOP && held + retracting < 2000) {
        cycle(&r);
        held += r.out.severity == FW_SAFETY_SEV_HOLD;
        retracting += r.out.severity == FW_SAFETY_SEV_RETRACT;
        CHECK(r.out.severity != FW_SAFETY_SEV_RETRACT || fabsf(r.out.velocity[0]) <= 0.25f * 2.0f);
    }
    CHECK_INT(r.out.first, FW_SAFETY_IX_COMMAND_STALE);
    CHECK(held >= 100 && held <= 130); /* 0.5 s, once it stands */
    CHECK(retracting > 200);
    CHECK(fabsf(r.out.position[0] - 0.25f) <= 0.01f);
}

static void recovery_needs_a_person_and_then_a_request(void) {
    rig r;
    fw_safety_limits l = small_arm(2);
    rig_start(&r, &l);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    follow(&r, 1.0f, 100);
    cycles(&r, 30);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_HOLD);
    follow(&r, 1.0f, 50); /* commands are back: not enough */
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_HOLD);
    r.in.request = FW_SAFETY_AUTONOMOUS;
    cycle(&r);
    r.in.request = FW_SAFETY_TELEOPERATED;
    cycle(&r);
    CHECK_INT(r.out.mode, FW_SAFETY_AUTONOMOUS);
    CHECK((r.out.refused & FW_SAFETY_LATCHED) != 0);
    r.in.acknowledge = true;
    cycle(&r);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_NONE);
    CHECK_INT(r.out.mode, FW_SAFETY_STANDBY);
    float at = r.out.position[0];
    follow(&r, 0.0f, 50); /* standby does not listen */
    CHECK(r.out.position[0] == at);
    r.in.request = FW_SAFETY_AUTONOMOUS;
    cycle(&r);
    follow(&r, 0.0f, 300);
    CHECK(fabsf(r.out.position[0]) < 1.0e-5f);
}

static void contact_stops_and_releases_and_never_retracts(void) {
    rig r;
    fw_safety_limits l = small_arm(2);
    l.axis[1].grip = -1; /* closes with falling position: opens towards 2 */
    rig_start(&r, &l);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    run_up(&r, 1.0f);
    r.in.axis[0].residual = 1.01f;
    cycle(&r);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_STOP);
    CHECK_INT(r.out.first, FW_SAFETY_IX_CONTACT);
    r.in.axis[0].residual = 0.0f;
    float fastest = 0;
    cycles(&r, 20);
    for (int k = 0; k < 2000; k++) {
        cycle(&r);
        fastest = fmaxf(fastest, fabsf(r.out.velocity[0]));
        CHECK_INT(r.out.severity, FW_SAFETY_SEV_STOP);
        CHECK(r.out.release && r.out.torque_on && r.out.torque_cap[0] == 0.5f);
    }
    CHECK(fastest == 0.0f);
    CHECK(fabsf(r.out.position[1] - 2.0f) < 1.0e-4f);
}

static void an_emergency_stop_is_final(void) {
    rig r;
    fw_safety_limits l = small_arm(2);
    rig_start(&r, &l);
    enable(&r, FW_SAFETY_TELEOPERATED);
    run_up(&r, 1.0f);
    r.in.estop = true;
    cycle(&r);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_TERMINATE);
    CHECK(r.out.torque_on && !stands(&r)); /* it brakes first */
    r.in.estop = false;
    cycles(&r, 25);
    CHECK(!r.out.torque_on && !r.out.send);
    for (int k = 0; k < 200; k++) {
        r.in.acknowledge = true;
        r.in.request = (fw_safety_mode)(k % 4);
        cycle(&r);
        CHECK(!r.out.send);
        CHECK_INT(r.out.severity, FW_SAFETY_SEV_TERMINATE);
    }
}

static void taking_over_does_not_jump(void) {
    rig r;
    fw_safety_limits l = small_arm(1);
    rig_start(&r, &l);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    run_up(&r, 1.5f);
    float q = r.out.position[0], v = r.out.velocity[0];
    r.in.request = FW_SAFETY_TELEOPERATED;
    cycle(&r);
    CHECK_INT(r.out.mode, FW_SAFETY_TELEOPERATED);
    CHECK(fabsf(r.out.position[0] - q - v * 0.005f) < 0.001f);
    float a = r.out.acceleration[0];
    for (int k = 0; k < 300; k++) {
        command_all(&r, -1.0f);
        cycle(&r);
        CHECK(fabsf(r.out.acceleration[0] - a) <= 2000.0f * 0.005f * 1.00001f);
        a = r.out.acceleration[0];
    }
    CHECK(fabsf(r.out.position[0] + 1.0f) < 1.0e-5f);
}

FW_TEST_MAIN(T(it_is_silent_until_enabled), T(a_good_command_passes_as_it_is), T(a_jump_is_followed_within_every_rate),
             T(commands_beyond_a_limit_end_at_it), T(stop_is_zero_velocity_within_100_ms),
             T(silence_of_the_policy_holds_then_retracts_then_stops), T(recovery_needs_a_person_and_then_a_request),
             T(contact_stops_and_releases_and_never_retracts), T(an_emergency_stop_is_final),
             T(taking_over_does_not_jump))
