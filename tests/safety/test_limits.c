/* Limits of an embodiment: the first wrong one is named; each probed at its bounds, one ulp beyond, and with no number. */
#include "rig.h"

static void expect(const fw_safety_limits *l, fw_safety_limits_what what, uint32_t index, const char *which) {
    fw_safety_limits_error e = fw_safety_limits_check(l);
    if (e.what != what || e.index != index) {
        FW_FAILED("%s: wrong is %d of %u, want %d of %u", which, (int)e.what, e.index, (int)what, index);
    }
}

/* A number that must be in [lo, hi]: at both ends right, beyond them and where it is none, wrong. */
static void probe(fw_safety_limits *l, float *x, float lo, float hi, fw_safety_limits_what what, uint32_t index,
                  const char *which) {
    float was = *x;
    const float wrong[] = {nextafterf(lo, -INFINITY), nextafterf(hi, INFINITY), NAN, INFINITY, -INFINITY};
    expect(l, FW_SAFETY_LIMITS_OK, 0, which);
    *x = lo;
    expect(l, FW_SAFETY_LIMITS_OK, 0, which);
    *x = hi;
    expect(l, FW_SAFETY_LIMITS_OK, 0, which);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        *x = wrong[i];
        expect(l, what, index, which);
    }
    *x = was;
}

static void probe_count(fw_safety_limits *l, uint32_t *x, uint32_t lo, uint32_t hi, fw_safety_limits_what what,
                        uint32_t index, const char *which) {
    uint32_t was = *x;
    *x = lo;
    expect(l, FW_SAFETY_LIMITS_OK, 0, which);
    *x = hi;
    expect(l, FW_SAFETY_LIMITS_OK, 0, which);
    *x = hi + 1;
    expect(l, what, index, which);
    *x = lo - 1;
    expect(l, what, index, which);
    *x = was;
}

/* An axis for which a stop never is what is wrong, so that each number can be taken to its ends. */
static fw_safety_limits quick_arm(void) {
    fw_safety_limits l = small_arm(3);
    for (int i = 0; i < 3; i++) {
        l.axis[i].velocity = 1.0e-3f;
        l.axis[i].acceleration = 100.0f;
        l.axis[i].jerk = 1.0e5f;
    }
    return l;
}

static void every_number_of_an_axis_is_checked(void) {
    fw_safety_limits l = quick_arm();
    fw_safety_axis *a = &l.axis[1];
    const float least = 1.0e-6f, most = 1.0e6f;

    probe(&l, &a->retract, -1.5f, 2.0f, FW_SAFETY_LIMITS_RETRACT, 1, "retract");
    float high = 2.0f, low = -1.5f; /* as near as the ends may come */
    while (high + least > 2.0f) {
        high = nextafterf(high, 0);
    }
    a->retract = 2.0f;
    probe(&l, &a->position_min, -1000, high, FW_SAFETY_LIMITS_POSITION, 1, "position_min");
    a->retract = low;
    probe(&l, &a->position_max, low + least, 1000, FW_SAFETY_LIMITS_POSITION, 1, "position_max");
    a->retract = 0.25f;
    probe(&l, &a->torque, 0.5f, most, FW_SAFETY_LIMITS_TORQUE, 1, "torque");
    probe(&l, &a->torque_release, 0, 3, FW_SAFETY_LIMITS_TORQUE, 1, "torque_release");
    probe(&l, &a->contact, 0.5f, most, FW_SAFETY_LIMITS_CONTACT, 1, "contact");
    probe(&l, &a->clamp, least, 1, FW_SAFETY_LIMITS_CONTACT, 1, "clamp");
    probe(&l, &a->follow, least, most, FW_SAFETY_LIMITS_FOLLOW, 1, "follow");
    probe(&l, &a->noise, 0, most, FW_SAFETY_LIMITS_NOISE, 1, "noise");
    probe(&l, &a->velocity_tolerance, 0, most, FW_SAFETY_LIMITS_NOISE, 1, "velocity_tolerance");
    a->torque_release = 0;
    probe(&l, &a->torque, least, most, FW_SAFETY_LIMITS_TORQUE, 1, "torque without release");
    a->clamp = least;
    probe(&l, &a->contact, least, most, FW_SAFETY_LIMITS_CONTACT, 1, "contact without clamp");
}

static void velocity_acceleration_and_jerk_are_above_zero(void) {
    const float wrong[] = {0, -1, nextafterf(1.0e-6f, 0), nextafterf(1.0e6f, INFINITY), NAN, INFINITY};
    for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
        fw_safety_limits l = quick_arm();
        l.axis[2].velocity = wrong[k];
        expect(&l, FW_SAFETY_LIMITS_VELOCITY, 2, "velocity");
        l = quick_arm();
        l.axis[2].acceleration = wrong[k];
        expect(&l, FW_SAFETY_LIMITS_ACCELERATION, 2, "acceleration");
        l = quick_arm();
        l.axis[2].jerk = wrong[k];
        expect(&l, FW_SAFETY_LIMITS_JERK, 2, "jerk");
    }
    fw_safety_limits l = quick_arm();
    l.axis[0].velocity = 1.0e-6f;
    expect(&l, FW_SAFETY_LIMITS_OK, 0, "slow");
    l.axis[0].acceleration = l.axis[0].jerk = 1.0e6f;
    l.period_us = 20000;
    expect(&l, FW_SAFETY_LIMITS_STOP, 0, "strong, but its jerk takes a second");
    l = quick_arm();
    l.axis[0].jerk = 1.0e6f;
    expect(&l, FW_SAFETY_LIMITS_OK, 0, "hard");
    l.axis[0].jerk = l.axis[0].acceleration = l.axis[0].velocity = 1.0e-6f;
    l.period_us = 100000;
    expect(&l, FW_SAFETY_LIMITS_STOP, 0, "weak");
    l.period_us = 5000;
    l.axis[0].jerk = 100;
    l.axis[0].velocity = 1.0e6f;
    l.axis[0].acceleration = 1.0f;
    expect(&l, FW_SAFETY_LIMITS_STOP, 0, "fast");
}

static void an_axis_turns_no_less_than_nothing(void) {
    fw_safety_limits l = quick_arm();
    l.axis[0].position_min = 0.25f;
    l.axis[0].position_max = 0.25f + 1.0e-6f;
    l.axis[0].retract = 0.25f;
    expect(&l, FW_SAFETY_LIMITS_OK, 0, "just a range");
    l.axis[0].position_max = 0.25f + 0.9e-6f;
    expect(&l, FW_SAFETY_LIMITS_POSITION, 0, "no range");
    l.axis[0].position_max = 0.2f;
    expect(&l, FW_SAFETY_LIMITS_POSITION, 0, "upside down");
}

static void jerk_reaches_full_acceleration_within_64_cycles(void) {
    fw_safety_limits l = small_arm(1); /* 4 ms each */
    l.period_us = 1000;
    l.axis[0].velocity = 0.1f;
    l.axis[0].jerk = 1000;
    l.axis[0].acceleration = 63.9f;
    l.axis[0].velocity = 0.0001f;
    fw_safety_limits_error e = fw_safety_limits_check(&l);
    CHECK(e.what != FW_SAFETY_LIMITS_JERK);
    l.axis[0].acceleration = 64.1f;
    expect(&l, FW_SAFETY_LIMITS_JERK, 0, "65 cycles");
    bool exact = false; /* one that is 64 cycles to the last bit */
    for (float a = 63.999f; a < 64.001f && !exact; a = nextafterf(a, 65)) {
        l.axis[0].acceleration = a;
        fw_safety_rates r = fw_safety_rates_of(&l, 0);
        exact = r.b == 64.0f * r.j;
    }
    CHECK(exact && fw_safety_limits_check(&l).what != FW_SAFETY_LIMITS_JERK);
}

static void a_grip_has_a_direction_or_none(void) {
    for (int32_t grip = -2; grip <= 2; grip++) {
        fw_safety_limits l = small_arm(2);
        l.axis[0].grip = grip;
        expect(&l, grip < -1 || grip > 1 ? FW_SAFETY_LIMITS_GRIP : FW_SAFETY_LIMITS_OK, 0, "grip");
    }
}

static void what_cannot_stop_in_100_ms_is_refused(void) {
    fw_safety_limits l = small_arm(2);
    uint32_t last = 0;
    bool at = false;
    for (int k = 1; k < 90; k++) {
        l.axis[1].velocity = (float)k * 0.04f;
        uint32_t us = fw_safety_stop_us(&l, 1);
        CHECK(us + 5000 >= last && us % 5000 == 0);
        expect(&l, us > 100000 ? FW_SAFETY_LIMITS_STOP : FW_SAFETY_LIMITS_OK, us > 100000 ? 1 : 0, "stop");
        /* from full acceleration: jerk down to full braking, that, and jerk to rest */
        double v = (double)l.axis[1].velocity;
        CHECK(v < 1.0 || fabs((double)us * 1.0e-6 - (v / 40.0 + 2.5 * 40.0 / 2000.0)) < 0.0101);
        at = at || us == 100000;
        last = us;
    }
    CHECK(at && last > 100000);
}

static void one_microsecond_more_than_100_ms_is_too_long(void) {
    fw_safety_limits l = small_arm(1);
    bool met = false;
    l.period_us = 9091; /* 11 of them are 100001 us */
    for (int k = 1; k < 400 && !met; k++) {
        l.axis[0].velocity = (float)k * 0.01f;
        met = fw_safety_stop_us(&l, 0) == 100001;
    }
    CHECK(met);
    expect(&l, FW_SAFETY_LIMITS_STOP, 0, "100001 us");
}

static void a_stop_has_no_more_cycles_than_are_looked_ahead(void) {
    fw_safety_limits l = small_arm(1);
    l.period_us = 500;
    bool fits = false, not_any_more = false;
    for (int k = 340; k < 440; k++) {
        l.axis[0].velocity = (float)k * 0.004f;
        l.axis[0].jerk = 4000;
        uint32_t cycles = fw_safety_stop_us(&l, 0) / 500;
        fw_safety_limits_error e = fw_safety_limits_check(&l);
        CHECK_INT(e.what, cycles < FW_SAFETY_STOP_STEPS ? FW_SAFETY_LIMITS_OK : FW_SAFETY_LIMITS_STOP);
        fits = fits || cycles == FW_SAFETY_STOP_STEPS - 1;
        not_any_more = not_any_more || cycles == FW_SAFETY_STOP_STEPS;
    }
    CHECK(fits && not_any_more);
}

static void counts_are_checked(void) {
    fw_safety_limits l = quick_arm();
    for (uint32_t i = 0; i < FW_SAFETY_AXIS_MAX; i++) {
        l.axis[i] = l.axis[0];
    }
    for (uint32_t i = 0; i < FW_SAFETY_LINK_MAX; i++) {
        l.link[i] = bar(FW_SAFETY_NOBODY, FW_SAFETY_NOBODY, 0, 0.1f, 0.01f);
    }
    l.workspace = (fw_safety_box){.min = {-1, -1, -1}, .max = {1, 1, 1}};
    l.n_link = 2;
    for (uint32_t i = 0; i < FW_SAFETY_KEEPOUT_MAX; i++) {
        l.keepout[i] = l.workspace;
    }
    for (uint32_t i = 0; i < FW_SAFETY_PAIR_MAX; i++) {
        l.pair[i][1] = 1;
    }
    const struct {
        uint32_t *n, lo, hi;
        fw_safety_limits_what what;
    } count[] = {{&l.n_axis, 1, FW_SAFETY_AXIS_MAX, FW_SAFETY_LIMITS_N_AXIS},
                 {&l.n_link, 0, FW_SAFETY_LINK_MAX, FW_SAFETY_LIMITS_LINK},
                 {&l.n_keepout, 0, FW_SAFETY_KEEPOUT_MAX, FW_SAFETY_LIMITS_KEEPOUT},
                 {&l.n_pair, 0, FW_SAFETY_PAIR_MAX, FW_SAFETY_LIMITS_PAIR}};
    for (size_t k = 0; k < sizeof(count) / sizeof(count[0]); k++) {
        uint32_t was = *count[k].n;
        *count[k].n = count[k].lo;
        expect(&l, FW_SAFETY_LIMITS_OK, 0, "fewest");
        *count[k].n = count[k].hi;
        expect(&l, FW_SAFETY_LIMITS_OK, 0, "most");
        *count[k].n = count[k].lo - 1; /* 0 - 1 is very many */
        expect(&l, count[k].what, 0, "too few");
        *count[k].n = count[k].hi + 1;
        expect(&l, count[k].what, 0, "too many");
        *count[k].n = was;
    }
}

static void times_are_checked(void) {
    fw_safety_limits l = quick_arm();
    uint32_t *const time[] = {&l.late_us,
                              &l.sensor_us,
                              &l.command_us,
                              &l.hold_us,
                              &l.retract_us,
                              &l.overload_us,
                              &l.clamp_us,
                              &l.warn_us,
                              &l.heartbeat_us[FW_SAFETY_POLICY],
                              &l.heartbeat_us[FW_SAFETY_OPERATOR]};
    for (uint32_t k = 0; k < sizeof(time) / sizeof(time[0]); k++) {
        probe_count(&l, time[k], 1, 60000000, FW_SAFETY_LIMITS_TIMEOUT, k, "time");
    }
    l.heartbeat_us[FW_SAFETY_SUPERVISOR] = 0; /* there need not be one */
    expect(&l, FW_SAFETY_LIMITS_OK, 0, "supervisor");
    for (int i = 0; i < 3; i++) { /* so that only the period is probed */
        l.axis[i].velocity = 1.0e-6f;
        l.axis[i].acceleration = 0.01f;
        l.axis[i].jerk = 1.0f;
    }
    l.period_us = 500;
    expect(&l, FW_SAFETY_LIMITS_OK, 0, "500 us");
    l.period_us = 499;
    expect(&l, FW_SAFETY_LIMITS_PERIOD, 0, "499 us");
    l.period_us = 100001;
    expect(&l, FW_SAFETY_LIMITS_PERIOD, 0, "100001 us");
    l.period_us = 100000;
    CHECK(fw_safety_limits_check(&l).what != FW_SAFETY_LIMITS_PERIOD);
    l = quick_arm();
    probe(&l, &l.margin, 0, 1000, FW_SAFETY_LIMITS_MARGIN, 0, "margin");
    probe(&l, &l.retract_scale, 1.0e-6f, 1, FW_SAFETY_LIMITS_RETRACT, 0, "retract_scale");
}

static void probe_box(fw_safety_limits *l, fw_safety_box *b, fw_safety_limits_what what, uint32_t index) {
    for (int d = 0; d < 3; d++) {
        float min = b->min[d];
        probe(l, &b->min[d], -1000, nextafterf(b->max[d], -1), what, index, "lower corner");
        probe(l, &b->max[d], nextafterf(min, 2), 1000, what, index, "upper corner");
    }
}

static void boxes_have_an_inside(void) {
    fw_safety_limits l = planar_arm();
    l.n_keepout = 3;
    l.keepout[1] = l.keepout[2] = l.keepout[0];
    probe_box(&l, &l.workspace, FW_SAFETY_LIMITS_WORKSPACE, 0);
    probe_box(&l, &l.keepout[2], FW_SAFETY_LIMITS_KEEPOUT, 2);
    l = quick_arm();
    expect(&l, FW_SAFETY_LIMITS_OK, 0, "no links, no workspace");
    l.n_link = 1;
    l.link[0] = bar(FW_SAFETY_NOBODY, 0, 0, 0.3f, 0.03f);
    expect(&l, FW_SAFETY_LIMITS_WORKSPACE, 0, "a link, no workspace");
}

static void links_are_a_chain_of_frames(void) {
    fw_safety_limits l = planar_arm();
    l.link[0].radius = -1;
    expect(&l, FW_SAFETY_LIMITS_LINK, 0, "the first link");
    l = planar_arm();
    fw_safety_link *k = &l.link[2];
    for (int32_t parent = -2; parent <= 2; parent++) {
        k->parent = parent;
        bool right = parent >= -1 && parent < 2;
        expect(&l, right ? FW_SAFETY_LIMITS_OK : FW_SAFETY_LIMITS_LINK, right ? 0 : 2, "parent");
    }
    k->parent = 1;
    for (int32_t axis = -2; axis <= 3; axis++) {
        k->axis = axis;
        bool right = axis >= -1 && axis < 3;
        expect(&l, right ? FW_SAFETY_LIMITS_OK : FW_SAFETY_LIMITS_LINK, right ? 0 : 2, "axis");
    }
    k->axis = 2;
    for (int d = 0; d < 3; d++) {
        probe(&l, &k->pos[d], -1000, 1000, FW_SAFETY_LIMITS_LINK, 2, "pos");
        probe(&l, &k->from[d], -1000, 1000, FW_SAFETY_LIMITS_LINK, 2, "from");
        probe(&l, &k->to[d], -1000, 1000, FW_SAFETY_LIMITS_LINK, 2, "to");
    }
    probe(&l, &k->radius, 0, 1000, FW_SAFETY_LIMITS_LINK, 2, "radius");
    probe(&l, &k->scale, -1000, 1000, FW_SAFETY_LIMITS_LINK, 2, "scale");
    probe(&l, &k->offset, -1000, 1000, FW_SAFETY_LIMITS_LINK, 2, "offset");
}

static void directions_are_of_unit_length(void) {
    static const float right[] = {0.9991f, 1.0f, 1.0009f}, wrong[] = {0.9989f, 1.0011f, 0, NAN, INFINITY};
    for (int d = 0; d < 4; d++) {
        for (int k = 0; k < 8; k++) {
            bool good = k < 3;
            float size = good ? right[k] : wrong[k - 3];
            fw_safety_limits l = planar_arm();
            memset(l.link[1].quat, 0, sizeof(l.link[1].quat));
            l.link[1].quat[d] = d % 2 == 0 ? size : -size;
            expect(&l, good ? FW_SAFETY_LIMITS_OK : FW_SAFETY_LIMITS_LINK, good ? 0 : 1, "quat");
            if (d < 3) {
                l = planar_arm();
                memset(l.link[1].about, 0, sizeof(l.link[1].about));
                l.link[1].about[d] = -size;
                expect(&l, good ? FW_SAFETY_LIMITS_OK : FW_SAFETY_LIMITS_LINK, good ? 0 : 1, "about");
            }
        }
    }
    fw_safety_limits l = planar_arm(); /* and of several parts, which add */
    const float half[4] = {0.5f, -0.5f, 0.5f, -0.5f}, ninth[3] = {1.0f / 3, 2.0f / 3, -2.0f / 3};
    memcpy(l.link[1].quat, half, sizeof(half));
    memcpy(l.link[1].about, ninth, sizeof(ninth));
    expect(&l, FW_SAFETY_LIMITS_OK, 0, "parts");
}

static void pairs_are_of_two_bodies(void) {
    static const uint32_t wrong[][2] = {{3, 0}, {0, 3}, {1, 1}, {0, 2}, {2, 0}};
    fw_safety_limits l = planar_arm();
    l.n_pair = 2;
    l.link[2].capsule = false;
    l.link[3].capsule = true; /* beyond the last */
    l.pair[0][0] = 0;
    l.pair[0][1] = 1;
    for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
        memcpy(l.pair[1], wrong[k], sizeof(wrong[k]));
        expect(&l, FW_SAFETY_LIMITS_PAIR, 1, "pair");
    }
    l.link[2].capsule = true;
    for (size_t k = 3; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
        memcpy(l.pair[1], wrong[k], sizeof(wrong[k]));
        expect(&l, FW_SAFETY_LIMITS_OK, 0, "pair");
    }
}

static void the_first_of_each_kind_is_looked_at(void) {
    fw_safety_limits l = planar_arm();
    l.keepout[0].min[0] = 1;
    expect(&l, FW_SAFETY_LIMITS_KEEPOUT, 0, "keepout");
    l = planar_arm();
    l.pair[0][0] = 2;
    expect(&l, FW_SAFETY_LIMITS_PAIR, 0, "pair");
    l = planar_arm();
    l.axis[0].follow = 0;
    expect(&l, FW_SAFETY_LIMITS_FOLLOW, 0, "axis");
}

static void the_first_wrong_one_is_named(void) {
    fw_safety_limits l = planar_arm();
    l.axis[1].jerk = 0;
    l.axis[2].velocity = 0;
    l.link[1].radius = -1;
    expect(&l, FW_SAFETY_LIMITS_JERK, 1, "first axis");
    l.axis[0].follow = 0;
    expect(&l, FW_SAFETY_LIMITS_FOLLOW, 0, "axis before");
    l.hold_us = 0;
    expect(&l, FW_SAFETY_LIMITS_TIMEOUT, 3, "times before axes");
    l.margin = -1;
    expect(&l, FW_SAFETY_LIMITS_MARGIN, 0, "the whole before its parts");
}

static void wrong_limits_terminate_and_never_move(void) {
    fw_safety_limits l = small_arm(2);
    l.axis[1].velocity = NAN;
    fw_safety s;
    fw_safety_in in;
    fw_safety_out out;
    fw_safety_limits_error e = fw_safety_init(&s, &l);
    CHECK_INT(e.what, FW_SAFETY_LIMITS_VELOCITY);
    CHECK_INT(e.index, 1);
    memset(&in, 0, sizeof(in));
    for (int k = 0; k < 100; k++) {
        in.now_us += 5000;
        in.request = (fw_safety_mode)(k % 4);
        in.acknowledge = true;
        fw_safety_step(&s, &in, &out);
        CHECK(!out.send && !out.torque_on);
        CHECK_INT(out.severity, FW_SAFETY_SEV_TERMINATE);
        CHECK((out.latched & FW_SAFETY_LIMITS) != 0);
    }
}

FW_TEST_MAIN(T(every_number_of_an_axis_is_checked), T(velocity_acceleration_and_jerk_are_above_zero),
             T(an_axis_turns_no_less_than_nothing), T(jerk_reaches_full_acceleration_within_64_cycles),
             T(a_grip_has_a_direction_or_none), T(what_cannot_stop_in_100_ms_is_refused),
             T(one_microsecond_more_than_100_ms_is_too_long), T(a_stop_has_no_more_cycles_than_are_looked_ahead),
             T(counts_are_checked), T(times_are_checked), T(boxes_have_an_inside), T(links_are_a_chain_of_frames),
             T(directions_are_of_unit_length), T(pairs_are_of_two_bodies), T(the_first_of_each_kind_is_looked_at),
             T(the_first_wrong_one_is_named), T(wrong_limits_terminate_and_never_move))
