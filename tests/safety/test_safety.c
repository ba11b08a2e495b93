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
        CHECK_INT(r.out.limited, 0);
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
        CHECK(fabsf(r.out.velocity[1]) <= 2.0f);
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

/* whether an arm of which axis i moved by way in the last six samples may be enabled */
static uint32_t refused_after(uint32_t i, float way) {
    rig r;
    fw_safety_limits l = small_arm(3);
    l.axis[i].noise = 0.0625f;
    l.axis[i].velocity_tolerance = 0;
    rig_start(&r, &l);
    cycles(&r, 8);
    r.in.axis[i].position = way;
    cycles(&r, 2);
    r.in.request = FW_SAFETY_STANDBY;
    cycle(&r);
    CHECK_INT(r.out.mode, r.out.refused == 0 ? FW_SAFETY_STANDBY : FW_SAFETY_SILENT);
    return r.out.refused;
}

static void an_arm_that_is_being_moved_is_not_enabled(void) {
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_INT(refused_after(i, 0.0625f), 0);
        CHECK_INT(refused_after(i, -0.0625f), 0);
        CHECK_INT(refused_after(i, nextafterf(0.0625f, 1)), FW_SAFETY_MOVING);
        CHECK_INT(refused_after(i, -nextafterf(0.0625f, 1)), FW_SAFETY_MOVING);
    }
}

static void torque_goes_off_by_request_only_at_rest(void) {
    rig r;
    fw_safety_limits l = small_arm(2);
    rig_start(&r, &l);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    run_up(&r, 1.0f);
    int n = 0;
    do {
        r.in.request = FW_SAFETY_SILENT;
        cycle(&r);
        CHECK(r.out.mode == FW_SAFETY_SILENT || (r.out.torque_on && r.out.refused == FW_SAFETY_MOVING));
    } while (r.out.torque_on && ++n < 100);
    CHECK(n > 10 && n < 30);
    CHECK(!r.out.send);
}

/* calls that come in bursts, late and early, move it no faster than one step a period */
static void calls_in_a_burst_do_not_hurry_it(void) {
    rig r;
    fw_safety_limits l = small_arm(1);
    rig_start(&r, &l);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    run_up(&r, 2.0f);
    float from = r.out.position[0], v = r.out.velocity[0];
    uint64_t began = r.in.now_us;
    for (int k = 0; k < 50; k++) {
        command_all(&r, 2.0f);
        cycle_after(&r, k % 10 == 9 ? 10000 : 1000);
    }
    float seconds = (float)(r.in.now_us - began) * 1.0e-6f;
    CHECK(r.out.position[0] - from <= v * (seconds + 0.0051f));
    CHECK(r.out.position[0] - from >= v * (seconds - 0.0151f));
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_NONE);
}

/* us early or late of the n-th call: does it advance? */
static bool advances(int64_t off_us) {
    rig r;
    fw_safety_limits l = small_arm(1);
    rig_start(&r, &l);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    run_up(&r, 2.0f);
    float was = r.out.position[0];
    command_all(&r, 2.0f);
    cycle_after(&r, (uint64_t)(5000 + off_us));
    return r.out.position[0] != was;
}

static void a_call_may_be_half_a_period_early(void) {
    CHECK(advances(0) && advances(-2500) && advances(5000));
    CHECK(!advances(-2501) && !advances(-5000));
}

/* calls d1, d2, ... us apart; how many of them advanced */
static int advanced(const int *apart, int n) {
    rig r;
    fw_safety_limits l = small_arm(1);
    rig_start(&r, &l);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    run_up(&r, 2.0f);
    int count = 0;
    for (int k = 0; k < n; k++) {
        float was = r.out.position[0];
        command_all(&r, 2.0f);
        cycle_after(&r, (uint64_t)apart[k]);
        count += r.out.position[0] != was;
    }
    return count;
}

static void a_late_call_is_made_good_by_one_and_not_by_two(void) {
    static const int late[] = {10000, 2400, 99}, later[] = {10001, 2500, 99}, much[] = {14000, 1400, 100};
    CHECK_INT(advanced(late, 3), 2);  /* one period late: the next may come half a period after it */
    CHECK_INT(advanced(later, 3), 2); /* more: the beat starts anew, from there */
    CHECK_INT(advanced(much, 3), 1);
    static const int too_soon[] = {10001, 2499, 1};
    CHECK_INT(advanced(too_soon, 2), 1);
    CHECK_INT(advanced(too_soon, 3), 2);
}

static void what_leaves_is_in_units_of_seconds(void) {
    rig r;
    fw_safety_limits l = small_arm(1);
    rig_start(&r, &l);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    float q[3] = {0, 0, 0};
    for (int k = 0; k < 60; k++) {
        q[0] = q[1], q[1] = q[2], q[2] = r.out.position[0];
        command_all(&r, 1.5f);
        cycle(&r);
    }
    CHECK(fabsf(r.out.velocity[0] - (r.out.position[0] - q[2]) / 0.005f) < 1.0e-3f && r.out.velocity[0] > 0.1f);
    run_up(&r, -1.0f);
    q[1] = r.out.velocity[0];
    command_all(&r, 1.5f);
    cycle(&r);
    CHECK(fabsf(r.out.acceleration[0] - (r.out.velocity[0] - q[1]) / 0.005f) < 0.05f && r.out.acceleration[0] != 0.0f);
    uint32_t beat = r.out.beat;
    cycle(&r);
    CHECK_INT(r.out.beat, beat + 1);
}

static void hold_lasts_as_long_as_it_should_and_retract_no_longer(void) {
    rig r;
    fw_safety_limits l = small_arm(1);
    l.retract_us = 1000000; /* not enough to get there */
    float at[1] = {1.9f};
    rig_start_at(&r, &l, at);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    cycles(&r, 21);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_HOLD);
    cycles(&r, 99);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_HOLD);
    cycle(&r); /* 500 ms */
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_RETRACT);
    cycles(&r, 199);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_RETRACT);
    cycle(&r); /* 1 s */
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_STOP);
    cycles(&r, 30);
    CHECK(stands(&r) && r.out.position[0] > 1.0f);
    l.can_retract = false;
    rig_start_at(&r, &l, at);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    cycles(&r, 122);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_STOP);
    CHECK(r.out.position[0] == 1.9f);
}

static void a_hold_that_is_still_braking_goes_on_holding(void) {
    rig r;
    fw_safety_limits l = small_arm(1);
    l.hold_us = 5000;
    rig_start(&r, &l);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    run_up(&r, 1.5f);
    command_all(&r, NAN);
    cycle(&r);
    int n = 0;
    while (r.out.severity == FW_SAFETY_SEV_HOLD && n < 100) {
        cycle(&r);
        n++;
    }
    CHECK(n > 10);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_RETRACT);
}

static void retracted_is_every_axis_within_its_noise(void) {
    fw_safety_limits l = small_arm(2);
    l.axis[0].noise = l.axis[1].noise = 0.0625f;
    for (uint32_t i = 0; i < 2; i++) {
        for (int sign = -1; sign <= 1; sign += 2) {
            for (int beyond = 0; beyond < 2; beyond++) {
                float off = beyond != 0 ? 0.0626f : 0.0625f, at[2] = {0.25f, 0.25f};
                at[i] += (float)sign * off;
                rig r;
                rig_start_at(&r, &l, at);
                enable(&r, FW_SAFETY_AUTONOMOUS);
                for (int k = 0; k < 2; k++) { /* it cannot move: it is there, or never will be */
                    r.s.rates[k].b = r.s.rates[k].j = 0.0f;
                }
                cycles(&r, 121); /* held; retracts from here */
                CHECK_INT(r.out.severity, FW_SAFETY_SEV_RETRACT);
                cycle(&r);
                CHECK_INT(r.out.severity, beyond != 0 ? FW_SAFETY_SEV_RETRACT : FW_SAFETY_SEV_STOP);
            }
        }
    }
}

static void standing_is_all_axes_standing(void) {
    for (uint32_t i = 0; i < 2; i++) {
        rig r;
        fw_safety_limits l = small_arm(2);
        rig_start(&r, &l);
        enable(&r, FW_SAFETY_AUTONOMOUS);
        for (int k = 0; k < 30; k++) {
            command_all(&r, 0.0f);
            r.in.command.position[i] = 1.0f;
            cycle(&r);
        }
        r.in.request = FW_SAFETY_SILENT;
        cycle(&r);
        CHECK_INT(r.out.refused, FW_SAFETY_MOVING);
    }
}

static void what_belongs_to_no_axis_is_zero(void) {
    rig r;
    fw_safety_limits l = small_arm(2);
    rig_start(&r, &l);
    enable(&r, FW_SAFETY_STANDBY);
    memset(&r.out, 0xff, sizeof(r.out));
    fw_safety_step(&r.s, &r.in, &r.out);
    for (uint32_t i = 2; i < FW_SAFETY_AXIS_MAX; i++) {
        CHECK(r.out.position[i] == 0.0f && r.out.velocity[i] == 0.0f && r.out.acceleration[i] == 0.0f);
        CHECK(r.out.torque_cap[i] == 0.0f);
    }
}

/* sixteen axes that stand elsewhere than at zero are at rest, and may fall silent */
static void all_axes_at_rest_may_fall_silent(void) {
    rig r;
    fw_safety_limits l = small_arm(FW_SAFETY_AXIS_MAX);
    float at[FW_SAFETY_AXIS_MAX];
    for (uint32_t i = 0; i < FW_SAFETY_AXIS_MAX; i++) {
        at[i] = 0.25f + 0.01f * (float)i;
    }
    rig_start_at(&r, &l, at);
    enable(&r, FW_SAFETY_STANDBY);
    cycles(&r, 8);
    r.in.request = FW_SAFETY_SILENT;
    cycle(&r);
    CHECK_INT(r.out.mode, FW_SAFETY_SILENT);
}

/* the first command of a mode has no velocity: the one before was of another */
static void a_new_mode_begins_without_a_velocity(void) {
    rig r;
    fw_safety_limits l = small_arm(2);
    rig_start(&r, &l);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    follow(&r, 0.0f, 5);
    command_all(&r, 0.0f);
    r.in.request = FW_SAFETY_TELEOPERATED;
    cycle(&r);
    command_all(&r, 0.005f);
    cycle(&r);
    CHECK_INT(r.out.present & FW_SAFETY_COMMAND_BAD, 0);
    CHECK(r.s.goal[0] == 0.005f && r.s.rate[0] == 0.0f);
    command_all(&r, 0.008f);
    cycle(&r);
    CHECK(fabsf(r.s.rate[0] - 0.003f) < 1.0e-6f);
    CHECK(fabsf(r.s.rate[1] - 0.003f) < 1.0e-6f);
    cycle(&r); /* none in this cycle: it stands */
    CHECK(r.s.rate[0] == 0.0f && r.s.rate[1] == 0.0f);
    command_all(&r, 0.009f);
    cycle(&r);
    CHECK(r.s.rate[0] == 0.0f);
}

static void the_reference_follows_the_silent_arm(void) {
    rig r;
    fw_safety_limits l = small_arm(2);
    rig_start(&r, &l);
    r.frozen = true;
    for (int k = 0; k < 200; k++) {
        r.in.axis[1].position += 0.005f;
        r.in.axis[1].velocity = 1.0f;
        cycle(&r);
        CHECK(fabsf(r.out.position[1] - r.in.axis[1].position) < 1.0e-6f && r.out.position[0] == 0.0f);
        CHECK(r.out.velocity[1] == 0.0f && !r.out.send);
    }
    CHECK_INT(r.out.present & (FW_SAFETY_TRACKING | FW_SAFETY_OVERSPEED), 0);
}

FW_TEST_MAIN(T(an_arm_that_is_being_moved_is_not_enabled), T(torque_goes_off_by_request_only_at_rest),
             T(calls_in_a_burst_do_not_hurry_it), T(a_call_may_be_half_a_period_early),
             T(a_late_call_is_made_good_by_one_and_not_by_two), T(what_leaves_is_in_units_of_seconds),
             T(hold_lasts_as_long_as_it_should_and_retract_no_longer), T(a_hold_that_is_still_braking_goes_on_holding),
             T(retracted_is_every_axis_within_its_noise), T(standing_is_all_axes_standing),
             T(what_belongs_to_no_axis_is_zero), T(all_axes_at_rest_may_fall_silent),
             T(a_new_mode_begins_without_a_velocity), T(the_reference_follows_the_silent_arm),
             T(it_is_silent_until_enabled), T(a_good_command_passes_as_it_is), T(a_jump_is_followed_within_every_rate),
             T(commands_beyond_a_limit_end_at_it), T(stop_is_zero_velocity_within_100_ms),
             T(silence_of_the_policy_holds_then_retracts_then_stops), T(recovery_needs_a_person_and_then_a_request),
             T(contact_stops_and_releases_and_never_retracts), T(an_emergency_stop_is_final),
             T(taking_over_does_not_jump))
