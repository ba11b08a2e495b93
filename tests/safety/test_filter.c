/* Where the reference goes: what of a command is allowed, windows around what was measured, and what stands in the way. */
#include "rig.h"

static rig enabled(const fw_safety_limits *l, fw_safety_mode mode) {
    rig r;
    rig_start(&r, l);
    enable(&r, mode);
    return r;
}

/* What one command from rest at 0 (q, goal - q) is said to violate. */
static uint32_t limited(float q, float goal, float follow_by) {
    fw_safety_limits l = small_arm(2);
    float at[2] = {0, q};
    rig r;
    l.axis[1].follow = follow_by;
    rig_start_at(&r, &l, at);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    command_all(&r, 0.0f);
    r.in.command.position[1] = goal;
    cycle(&r);
    return r.out.limited;
}

static void what_a_command_violates_is_said(void) {
    const uint32_t rates = FW_SAFETY_LIM_VELOCITY | FW_SAFETY_LIM_ACCELERATION | FW_SAFETY_LIM_JERK;
    const float j = 0.99999f * 2000.0f * (5000.0f * 1.0e-6f) * (5000.0f * 1.0e-6f) * (5000.0f * 1.0e-6f);
    const float b = 0.99999f * 40.0f * (5000.0f * 1.0e-6f) * (5000.0f * 1.0e-6f);
    const float u = 0.99999f * 2.0f * (5000.0f * 1.0e-6f);
    for (int sign = -1; sign <= 1; sign += 2) {
        float s = (float)sign;
        CHECK_INT(limited(0, 0, 0.5f), 0);
        CHECK_INT(limited(0, s * j, 0.5f), 0);
        CHECK_INT(limited(0, s * nextafterf(j, 1), 0.5f), FW_SAFETY_LIM_JERK);
        CHECK_INT(limited(0, s * b, 0.5f), FW_SAFETY_LIM_JERK);
        CHECK_INT(limited(0, s * nextafterf(b, 1), 0.5f), FW_SAFETY_LIM_JERK | FW_SAFETY_LIM_ACCELERATION);
        CHECK_INT(limited(0, s * u, 0.5f), FW_SAFETY_LIM_JERK | FW_SAFETY_LIM_ACCELERATION);
        CHECK_INT(limited(0, s * nextafterf(u, 1), 0.5f), rates);
        CHECK_INT(limited(0, s * 0.5f, 0.5f), rates);
        CHECK_INT(limited(0, s * nextafterf(0.5f, 1), 0.5f), rates | FW_SAFETY_LIM_MEASURED);
        float end = sign > 0 ? 2.0f : -1.5f;
        CHECK_INT(limited(end, end, 0.5f), 0);
        CHECK_INT(limited(end, nextafterf(end, 9 * s), 0.5f), FW_SAFETY_LIM_POSITION);
    }
}

static void rates_are_those_of_the_reference(void) {
    fw_safety_limits l = small_arm(1);
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    run_up(&r, 2.0f);
    float u = r.s.ref[0].u;
    CHECK(u > 0.0099f);
    command_all(&r, r.s.ref[0].q + u); /* on as it is: nothing is violated */
    cycle(&r);
    CHECK((r.out.limited & FW_SAFETY_LIM_VELOCITY) == 0);
    command_all(&r, r.s.ref[0].q); /* standing still from one cycle to the next is */
    cycle(&r);
    CHECK((r.out.limited & FW_SAFETY_LIM_ACCELERATION) != 0);
    CHECK((r.out.limited & FW_SAFETY_LIM_VELOCITY) == 0);
}

/* A swing whose b changes by less than j in each cycle though b itself is not small. */
static void jerk_is_the_change_of_acceleration(void) {
    fw_safety_limits l = small_arm(1);
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    float q = 0, u = 0;
    for (int k = 1; k <= 4; k++) { /* b of 1, 2, 3 and then 3.8 of the 4 jerks that the acceleration allows */
        float b = (k < 4 ? (float)k * 0.95f : 3.8f) * r.s.rates[0].j;
        u += b;
        q += u;
        command_all(&r, q);
        cycle(&r);
        CHECK_INT(r.out.limited, 0);
        CHECK(fabsf(r.out.position[0] - q) < 1.0e-7f);
    }
}

static void the_reference_stays_near_what_was_measured(void) {
    for (int sign = -1; sign <= 1; sign += 2) {
        fw_safety_limits l = small_arm(2);
        l.axis[0].follow = 0.125f;
        rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
        r.frozen = true; /* the arm is stuck */
        for (int k = 0; k < 200; k++) {
            command_all(&r, (float)sign);
            cycle(&r);
            CHECK(fabsf(r.out.position[0]) <= 0.125f);
            CHECK((r.out.limited & FW_SAFETY_LIM_MEASURED) != 0);
        }
        CHECK(fabsf(r.out.position[0] - (float)sign * 0.125f) < 2.0e-3f);
        CHECK((r.out.latched & FW_SAFETY_TRACKING) == 0);
    }
}

static void full_grip_closes_no_further_but_opens(void) {
    for (int grip = -1; grip <= 1; grip += 2) {
        fw_safety_limits l = small_arm(2);
        l.axis[0].grip = grip;
        l.overload_us = 60000000;
        rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
        follow(&r, 0.5f * (float)grip, 200);
        CHECK(fabsf(r.out.position[0] - 0.5f * (float)grip) < 1.0e-4f);
        for (int sign = -1; sign <= 1; sign += 2) {
            rig f = r;
            f.in.axis[0].torque = (float)sign * nextafterf(3.0f, 0);
            follow(&f, 0.6f * (float)grip, 1);
            CHECK((f.out.limited & FW_SAFETY_LIM_GRIP) == 0);
            f.in.axis[0].torque = (float)sign * 3.0f;
            follow(&f, 0.6f * (float)grip, 1);
            CHECK((f.out.limited & FW_SAFETY_LIM_GRIP) != 0);
            float at = f.out.position[0];
            follow(&f, 0.6f * (float)grip, 200);
            CHECK(fabsf(f.out.position[0] - at) < 1.0e-3f && fabsf(f.out.position[1] - 0.6f * (float)grip) < 1.0e-3f);
            CHECK(stands(&f));
            follow(&f, f.out.position[0], 1); /* staying is not closing */
            CHECK((f.out.limited & FW_SAFETY_LIM_GRIP) == 0);
            follow(&f, 0.0f, 200);
            CHECK(fabsf(f.out.position[0]) < 1.0e-4f);
        }
        r.in.axis[1].torque = 3.0f; /* an axis that is no gripper goes on */
        follow(&r, 0.0f, 200);
        CHECK(fabsf(r.out.position[1]) < 1.0e-4f);
    }
}

static void a_squeezing_gripper_brakes_from_any_speed(void) {
    fw_safety_limits l = small_arm(1);
    l.axis[0].grip = 1;
    l.overload_us = 60000000;
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    float q = 0;
    for (int k = 0; k < 100; k++) {
        q += k < 20 ? 0.0f : 0.005f;
        command_all(&r, q);
        cycle(&r);
    }
    CHECK(r.out.velocity[0] > 0.99f);
    r.in.axis[0].torque = 3.0f;
    float at = r.out.position[0];
    for (int k = 0; k < 100; k++) {
        q += 0.005f;
        command_all(&r, q);
        cycle(&r);
        CHECK((r.out.limited & FW_SAFETY_LIM_GRIP) != 0);
    }
    CHECK(stands(&r) && r.out.position[0] < at + 0.05f);
}

/* --- links */

static void at_a_keep_out_it_brakes_and_goes_on_when_told_elsewhere(void) {
    fw_safety_limits l = planar_arm();
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    bool limited_by = false;
    float least = 1;
    for (int k = 0; k < 600; k++) { /* swing the straight arm up into the box */
        command_all(&r, 0.0f);
        r.in.command.position[0] = 1.2f;
        cycle(&r);
        limited_by = limited_by || (r.out.limited & FW_SAFETY_LIM_CLEARANCE) != 0;
        least = fminf(least, r.out.clearance);
    }
    CHECK(limited_by);
    CHECK(least >= l.margin - 1.0e-5f && least < 1.1f * l.margin);
    CHECK(stands(&r));
    CHECK_INT(r.out.latched & ~(uint32_t)FW_SAFETY_CLIPPED, 0);
    float stuck = r.out.position[0];
    for (int k = 0; k < 300; k++) { /* away is free, and so is the third axis, which moves nothing near it */
        command_all(&r, 0.0f);
        r.in.command.position[2] = 1.0f;
        cycle(&r);
    }
    CHECK(stuck > 0.1f && fabsf(r.out.position[0]) < 1.0e-4f && fabsf(r.out.position[2] - 1.0f) < 1.0e-4f);
    CHECK_INT(r.out.limited, 0);
}

static void an_arm_does_not_fold_into_itself(void) {
    fw_safety_limits l = planar_arm();
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    float least = 1;
    for (int k = 0; k < 900; k++) {
        command_all(&r, 0.0f);
        r.in.command.position[1] = -2.9f;
        cycle(&r);
        least = fminf(least, r.out.clearance);
    }
    CHECK(least >= l.margin - 1.0e-5f && least < 3 * l.margin);
    l.n_pair = 0; /* it was the pair */
    r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    for (int k = 0; k < 900; k++) {
        command_all(&r, 0.0f);
        r.in.command.position[1] = -2.9f;
        cycle(&r);
    }
    CHECK(fabsf(r.out.position[1] + 2.9f) < 1.0e-3f);
}

static void an_arm_that_touches_something_is_not_enabled(void) {
    fw_safety_limits l = planar_arm();
    l.margin = 0;
    float at[3] = {0.6f, 0, 0}; /* through the box */
    rig r;
    rig_start_at(&r, &l, at);
    cycles(&r, 10);
    CHECK(r.out.clearance < 0);
    r.in.request = FW_SAFETY_STANDBY;
    cycle(&r);
    CHECK_INT(r.out.refused, FW_SAFETY_OUTSIDE);
    l.keepout[0].links = 0;
    rig_start_at(&r, &l, at);
    enable(&r, FW_SAFETY_STANDBY);
    CHECK(r.out.clearance > 0);
}

static void being_pushed_into_something_stops(void) {
    fw_safety_limits l = planar_arm();
    l.axis[0].follow = 1.0f;
    rig r = enabled(&l, FW_SAFETY_STANDBY);
    r.frozen = true;
    for (int k = 0; k < 200 && r.out.severity == FW_SAFETY_SEV_NONE; k++) {
        r.in.axis[0].position += 0.004f;
        r.in.axis[0].velocity = 0.8f;
        cycle(&r);
    }
    CHECK_INT(r.out.first, FW_SAFETY_IX_OUTSIDE);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_STOP);
}

/* nearer than the margin from the start, as after a push: it may leave, and move along, not come nearer */
static void within_the_margin_only_ways_out_are_open(void) {
    fw_safety_limits l = planar_arm();
    float at[3] = {0.0f, 0.0f, 0.0f};
    l.keepout[0].min[1] = 0.04f; /* 1 cm from the upper bar */
    rig r;
    rig_start_at(&r, &l, at);
    enable(&r, FW_SAFETY_AUTONOMOUS);
    CHECK(fabsf(r.out.clearance - 0.01f) < 1.0e-6f);
    for (int k = 0; k < 100; k++) {
        command_all(&r, 0.0f);
        r.in.command.position[0] = 0.5f;
        cycle(&r);
        CHECK(r.out.clearance > 0.0099f);
    }
    CHECK((r.out.limited & FW_SAFETY_LIM_CLEARANCE) != 0);
    for (int k = 0; k < 200; k++) {
        command_all(&r, 0.0f);
        r.in.command.position[0] = -0.3f;
        cycle(&r);
    }
    CHECK(fabsf(r.out.position[0] + 0.3f) < 1.0e-4f && r.out.clearance > 0.05f);
}

/* a thin post between two postures that are both clear: no single look may jump over it */
static void swing_at_post(uint32_t axis, uint32_t period_us, float at) {
    fw_safety_limits l = planar_arm();
    l.period_us = period_us; /* of 20 ms: a step of 4 cm at full speed */
    l.sensor_us = l.late_us = 100000;
    l.axis[0].follow = l.axis[1].follow = 3.0f;
    l.margin = 0.001f;
    l.link[0].radius = l.link[1].radius = 0.002f;
    float reach = axis == 0 ? 0.55f : 0.25f, x = (axis == 0 ? 0.0f : 0.3f) + reach * cosf(at), y = reach * sinf(at);
    l.keepout[0] =
        (fw_safety_box){.min = {x - 0.001f, y - 0.001f, -0.1f}, .max = {x + 0.001f, y + 0.001f, 0.1f}, .links = 3};
    l.workspace = (fw_safety_box){.min = {-1, -1, -1}, .max = {1, 1, 1}};
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    for (int n = 0; n < 120 * 5000 / (int)period_us + 30; n++) {
        command_all(&r, 0.0f);
        r.in.command.position[axis] = 1.5f;
        cycle(&r);
        CHECK(r.out.clearance >= 0 && r.out.position[axis] < at);
    }
    CHECK(r.out.position[axis] > at - 0.25f);
}

static void a_thin_post_is_not_jumped_over(void) {
    for (int k = 0; k < 5; k++) {
        for (uint32_t axis = 0; axis < 2; axis++) {
            swing_at_post(axis, 5000, 0.3f + 0.022f * (float)k);
            swing_at_post(axis, 20000, 0.3f + 0.046f * (float)k);
        }
    }
}

/* in a slot that leaves it 5 mm more than the margin, it turns at full speed: looks come close enough together */
static void along_a_wall_it_goes_at_full_speed(void) {
    fw_safety_limits l = planar_arm();
    l.n_keepout = 0;
    l.link[2].pos[1] = -0.45f;
    l.link[2].confined = false;
    l.workspace = (fw_safety_box){.min = {-1, -1, -0.055f}, .max = {1, 1, 0.055f}};
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    float fastest[2] = {0, 0};
    for (int k = 0; k < 150; k++) {
        command_all(&r, 0.0f);
        r.in.command.position[0] = 1.5f;
        r.in.command.position[1] = -0.5f;
        cycle(&r);
        CHECK((r.out.limited & FW_SAFETY_LIM_CLEARANCE) == 0);
        CHECK(fabsf(r.out.clearance - 0.025f) < 1.0e-6f);
        fastest[0] = fmaxf(fastest[0], r.out.velocity[0]);
        fastest[1] = fmaxf(fastest[1], -r.out.velocity[1]);
    }
    CHECK(fastest[0] > 1.98f && fastest[1] > 1.98f);
}

/* the same with steps of 26 mm, which are looked at one by one: two of them are farther than the slot is wide */
static void along_a_wall_it_takes_large_steps(void) {
    fw_safety_limits l = planar_arm();
    l.n_keepout = 0;
    l.link[2].pos[1] = -0.45f;
    l.link[2].confined = false;
    l.period_us = 20000;
    l.sensor_us = l.late_us = 100000;
    l.workspace = (fw_safety_box){.min = {-1, -1, -0.055f}, .max = {1, 1, 0.055f}};
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    float fastest = 0;
    for (int k = 0; k < 50; k++) {
        command_all(&r, 0.0f);
        r.in.command.position[0] = 1.5f;
        cycle(&r);
        CHECK((r.out.limited & FW_SAFETY_LIM_CLEARANCE) == 0);
        fastest = fmaxf(fastest, r.out.velocity[0]);
    }
    CHECK(fastest > 1.98f);
}

/* staying where it is comes no nearer to anything, however near that is: touching, within the margin, at it */
static void staying_is_always_allowed(void) {
    static const float gap[] = {0, 0.03125f, 0.0625f, 0.125f};
    for (size_t k = 0; k < sizeof(gap) / sizeof(gap[0]); k++) {
        fw_safety_limits l = planar_arm();
        l.margin = 0.0625f;
        l.n_pair = 0;
        l.link[0].radius = l.link[1].radius = 0.03125f;
        l.link[2].confined = false;
        l.workspace = (fw_safety_box){.min = {-1, -1, -1}, .max = {1, 1, 1}};
        l.keepout[0] = (fw_safety_box){.min = {0, 0.03125f + gap[k], -1}, .max = {1, 1, 1}, .links = 3};
        rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
        CHECK(r.out.clearance == gap[k]);
        follow(&r, 0.0f, 3);
        CHECK_INT(r.out.limited, 0);
    }
}

static void retracting_goes_round_nothing_and_stops_before_it(void) {
    fw_safety_limits l = planar_arm();
    l.axis[0].retract = 1.0f; /* through the box */
    l.retract_us = 2000000;
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    cycles(&r, 1500);
    CHECK_INT(r.out.severity, FW_SAFETY_SEV_STOP);
    CHECK(r.out.clearance >= l.margin - 1.0e-5f && r.out.position[0] > 0.1f && r.out.position[0] < 0.5f);
}

/* rates that nothing brakes: as no limits that were checked can be */
static void what_does_not_come_to_rest_in_time_is_not_taken(void) {
    fw_safety_limits l = planar_arm();
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    for (int i = 0; i < 3; i++) {
        r.s.rates[i].b = r.s.rates[i].j = 1.0e-7f;
    }
    r.s.ref[2].u = 1.0e-4f;
    command_all(&r, 0.5f);
    cycle(&r);
    CHECK((r.out.limited & FW_SAFETY_LIM_CLEARANCE) != 0);
}

/* as many axes, links, boxes and pairs as there may be: each of them counts, and none beyond them */
static fw_safety_limits most_of_everything(void) {
    fw_safety_limits l = small_arm(FW_SAFETY_AXIS_MAX);
    l.n_link = FW_SAFETY_LINK_MAX;
    for (int32_t i = 0; i < (int32_t)FW_SAFETY_LINK_MAX; i++) {
        l.link[i] = bar(FW_SAFETY_NOBODY, i < 16 ? i : FW_SAFETY_NOBODY, 0, 0.1f, 0.01f);
        l.link[i].pos[2] = 0.1f * (float)i;
    }
    l.workspace = (fw_safety_box){.min = {-1, -1, -1}, .max = {1, 1, 4}};
    l.n_keepout = FW_SAFETY_KEEPOUT_MAX;
    for (uint32_t i = 0; i < FW_SAFETY_KEEPOUT_MAX; i++) {
        l.keepout[i] = (fw_safety_box){.min = {0, -1, -1}, .max = {1, 0.2f, -0.5f}, .links = 0x800001};
    }
    for (uint32_t i = 7; i < FW_SAFETY_KEEPOUT_MAX; i++) { /* the last one is in the way of the first link */
        l.keepout[i] = (fw_safety_box){.min = {-1, 0.05f, -1}, .max = {1, 1, 4}, .links = 1};
    }
    l.n_pair = FW_SAFETY_PAIR_MAX;
    for (uint32_t i = 0; i < FW_SAFETY_PAIR_MAX; i++) {
        l.pair[i][0] = i % 23;
        l.pair[i][1] = 23;
    }
    return l;
}

static void the_most_of_everything_is_watched_and_moved(void) {
    fw_safety_limits l = most_of_everything();
    for (uint32_t i = 0; i < FW_SAFETY_AXIS_MAX; i++) {
        rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
        for (int k = 0; k < 12; k++) {
            command_all(&r, 0.0f);
            r.in.command.position[i] = 0.5f;
            cycle(&r);
        }
        for (uint32_t j = 0; j < FW_SAFETY_AXIS_MAX; j++) {
            CHECK(j == i ? r.out.position[j] > 0.01f && r.out.velocity[j] > 0.1f && r.out.acceleration[j] != 0.0f
                         : r.out.position[j] == 0.0f);
            CHECK(r.out.torque_cap[j] == 3.0f);
        }
        CHECK_INT(r.out.latched, 0);
        rig f = r;
        f.in.axis[i].residual = 2.0f;
        cycle(&f);
        CHECK_INT(f.out.first, FW_SAFETY_IX_CONTACT);
        f = r;
        command_all(&f, 0.0f);
        f.in.command.position[i] = NAN;
        cycle(&f);
        CHECK_INT(f.out.first, FW_SAFETY_IX_COMMAND_BAD);
    }
}

static void it_brakes_before_the_last_keep_out_of_all(void) {
    fw_safety_limits l = most_of_everything();
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    for (int k = 0; k < 100; k++) {
        command_all(&r, 0.0f);
        r.in.command.position[0] = 1.5f;
        r.in.command.position[15] = 0.3f;
        cycle(&r);
        CHECK(r.out.clearance >= -1.0e-6f);
    }
    CHECK((r.out.limited & FW_SAFETY_LIM_CLEARANCE) != 0);
    CHECK(r.out.position[0] > 0.3f && r.out.position[0] < 0.45f);
}

/* one link is enough to run into something */
static void a_robot_of_one_link_keeps_clear(void) {
    fw_safety_limits l = planar_arm();
    l.n_link = 1;
    l.n_pair = 0;
    l.keepout[0] = (fw_safety_box){.min = {0.1f, 0.1f, -0.1f}, .max = {0.5f, 0.4f, 0.1f}, .links = 1};
    rig r = enabled(&l, FW_SAFETY_AUTONOMOUS);
    for (int k = 0; k < 200; k++) {
        command_all(&r, 0.0f);
        r.in.command.position[0] = 1.2f;
        cycle(&r);
        CHECK(r.out.clearance >= l.margin - 1.0e-5f);
    }
    CHECK((r.out.limited & FW_SAFETY_LIM_CLEARANCE) != 0);
}

FW_TEST_MAIN(T(it_brakes_before_the_last_keep_out_of_all), T(a_robot_of_one_link_keeps_clear),
             T(the_most_of_everything_is_watched_and_moved), T(what_does_not_come_to_rest_in_time_is_not_taken),
             T(what_a_command_violates_is_said), T(rates_are_those_of_the_reference),
             T(jerk_is_the_change_of_acceleration), T(the_reference_stays_near_what_was_measured),
             T(full_grip_closes_no_further_but_opens), T(a_squeezing_gripper_brakes_from_any_speed),
             T(at_a_keep_out_it_brakes_and_goes_on_when_told_elsewhere), T(an_arm_does_not_fold_into_itself),
             T(an_arm_that_touches_something_is_not_enabled), T(being_pushed_into_something_stops),
             T(within_the_margin_only_ways_out_are_open), T(a_thin_post_is_not_jumped_over),
             T(along_a_wall_it_goes_at_full_speed), T(along_a_wall_it_takes_large_steps), T(staying_is_always_allowed),
             T(retracting_goes_round_nothing_and_stops_before_it))
