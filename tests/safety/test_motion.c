/* One axis in steps: braking, what it passes through, and following a goal. Numbers are exact in float where it matters. */
#include "rig.h"

static const fw_safety_rates R = {.u = 1.0f, .b = 0.25f, .j = 0.0625f};
static const fw_safety_bounds WIDE = {-100.0f, 100.0f, 1.0f};

static fw_safety_motion state(float q, float u, float b) {
    fw_safety_motion m = {q, u, b};
    return m;
}

/* what velocity changes by when x is taken back by j a step, the step of x included */
static double taken_back(double x, double j) {
    double sum = 0;
    for (; x > 0; x -= j) {
        sum += x;
    }
    return sum;
}

static void a_ramp_takes_back_exactly_what_it_should(void) {
    static const float exact[][3] = {{0, 9, 0},    {0.5f, 9, 0.5f}, {1, 9, 1},       {2, 9, 1.5f},      {3, 9, 2},
                                     {6, 9, 3},    {10, 9, 4},      {6, 2.5f, 2.5f}, {100, 2.5f, 2.5f}, {100, 3, 3},
                                     {8, 9, 3.5f}, {1, 1, 1},       {0.5f, 1, 0.5f}, {1, 0.5f, 0.5f}};
    for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++) {
        float got = fw_safety_ramp(exact[i][0], exact[i][1], 1.0f);
        CHECK_NEAR(&got, &exact[i][2], 1, 0, 0);
    }
    uint64_t seed = 1;
    for (int k = 0; k < 4000; k++) {
        float j = random_in(&seed, 0.01f, 1), cap = random_in(&seed, 0.5f, 30) * j, w = random_in(&seed, 0, 300) * j;
        float x = fw_safety_ramp(w, cap, j);
        CHECK(x >= 0 && x <= cap);
        double back = taken_back((double)x, (double)j);
        CHECK(x < cap ? fabs(back - (double)w) <= 2.0e-6 * ((double)w + (double)j) : back <= (double)w * (1 + 1.0e-6));
    }
}

static void braking_ends_at_rest_without_turning_back(void) {
    uint64_t seed = 2;
    for (int k = 0; k < 600; k++) {
        fw_safety_rates r = {.b = random_in(&seed, 0.001f, 0.3f)};
        r.j = r.b / random_in(&seed, 0.6f, 12);
        fw_safety_motion m = state(random_in(&seed, -3, 3), random_in(&seed, -1, 1), 0);
        float way = m.u > 0 ? 1.0f : -1.0f, least_steps = fabsf(m.u) / r.b;
        int steps = 0;
        while (!fw_safety_at_rest(&m)) {
            float b = fw_safety_brake(&m, &r);
            CHECK(fabsf(b) <= r.b && fabsf(b - m.b) <= r.j * 1.0001f);
            m = fw_safety_advance(&m, b);
            CHECK(way * m.u >= -1.0e-6f);
            CHECK(++steps <= (int)(least_steps + r.b / r.j) + 3);
        }
    }
}

static void braking_is_the_same_both_ways(void) {
    uint64_t seed = 3;
    for (int k = 0; k < 600; k++) {
        fw_safety_motion m = state(0, random_in(&seed, -1, 1), random_in(&seed, -0.25f, 0.25f));
        fw_safety_motion other = state(0, -m.u, -m.b);
        CHECK(fw_safety_brake(&m, &R) == -fw_safety_brake(&other, &R));
    }
    fw_safety_motion m = state(0, 0.0f, 0.125f);
    CHECK(fw_safety_brake(&m, &R) == 0.0625f);
    m.b = -0.125f;
    CHECK(fw_safety_brake(&m, &R) == -0.0625f);
    m = state(0, 1, 0);
    CHECK(fw_safety_brake(&m, &R) == -0.0625f);
    m = state(0, 1, -0.25f);
    CHECK(fw_safety_brake(&m, &R) == -0.25f);
}

static void a_step_is_three_additions(void) {
    fw_safety_motion m = state(1, 0.5f, 9);
    m = fw_safety_advance(&m, 0.25f);
    CHECK(m.q == 1.75f && m.u == 0.75f && m.b == 0.25f);
    CHECK(!fw_safety_at_rest(&m));
    m = state(3, 0, 0.5f);
    CHECK(!fw_safety_at_rest(&m));
    m = state(3, 0.5f, 0);
    CHECK(!fw_safety_at_rest(&m));
    m = state(3, 0, 0);
    CHECK(fw_safety_at_rest(&m));
}

static void what_braking_passes_through_is_all_of_it(void) {
    uint64_t seed = 4;
    for (int k = 0; k < 500; k++) {
        fw_safety_motion m = state(random_in(&seed, -1, 1), random_in(&seed, -1, 1), random_in(&seed, -0.25f, 0.25f));
        fw_safety_braking p = fw_safety_braking_from(&m, &R), want = {m.q, m.q, m.q, fabsf(m.u), 0};
        while (!fw_safety_at_rest(&m)) {
            m = fw_safety_advance(&m, fw_safety_brake(&m, &R));
            want.q_min = fminf(want.q_min, m.q);
            want.q_max = fmaxf(want.q_max, m.q);
            want.u_peak = fmaxf(want.u_peak, fabsf(m.u));
            want.steps++;
        }
        CHECK(p.q_min == want.q_min && p.q_max == want.q_max && p.q_end == m.q && p.u_peak == want.u_peak);
        CHECK_INT(p.steps, want.steps);
    }
    fw_safety_rates weak = {.b = 1.0e-4f, .j = 1.0e-4f};
    fw_safety_motion m = state(0, 1, 0);
    CHECK_INT(fw_safety_braking_from(&m, &weak).steps, FW_SAFETY_STOP_STEPS);
}

static void a_goal_within_reach_is_met_exactly(void) {
    fw_safety_motion m = state(0, 0.5f, 0);
    CHECK(fw_safety_follow(&m, &R, &WIDE, 0.5625f, 0.5f) == 0.0625f);  /* b at its most for the jerk */
    CHECK(fw_safety_follow(&m, &R, &WIDE, 0.4375f, 0.5f) == -0.0625f); /* and at its least */
    CHECK(fw_safety_follow(&m, &R, &WIDE, 0.53125f, 0.5f) == 0.03125f);
    m = state(0, 0.25f, 0.25f);
    CHECK(fw_safety_follow(&m, &R, &WIDE, 0.5f, 0.5f) == 0.25f); /* at its most for the acceleration */
    m = state(0, -0.25f, -0.25f);
    CHECK(fw_safety_follow(&m, &R, &WIDE, -0.5f, -0.5f) == -0.25f);
    m = state(0, 0.875f, 0.125f);
    CHECK(fw_safety_follow(&m, &R, &WIDE, 0.96875f, 1.0f) == 0.09375f);
}

static void a_goal_on_which_braking_just_ends_is_gone_for(void) {
    fw_safety_motion m = state(0, 0, 0); /* a step of j, one of none, one back: ends at 2 j */
    CHECK(fw_safety_follow(&m, &R, &WIDE, 0.125f, 0.0f) == 0.0625f);
    /* and one that the search meets: half of j, relative to a goal that comes towards it */
    CHECK(fw_safety_follow(&m, &R, &WIDE, 0.09375f, -0.0625f) == 0.03125f);
    /* the same with a half of j, which the search meets */
    CHECK(fw_safety_follow(&m, &R, &WIDE, 0.0625f + 0.0078125f, 0.0f) > 0.03f);
}

static void a_goal_that_is_run_past_is_not_jumped_at(void) {
    /* within one step's reach, but at a velocity that is not the goal's: braking to meet it comes first */
    fw_safety_motion m = state(0, 0.5f, 0);
    float b = fw_safety_follow(&m, &R, &WIDE, 0.5f, 0.0f);
    CHECK(b < -0.06f);
    b = fw_safety_follow(&m, &R, &WIDE, 0.5f, 0.5f - 0.0625f); /* differs by no more than one jerk: met */
    CHECK(b == 0.0f);
    b = fw_safety_follow(&m, &R, &WIDE, 0.5f, 0.5f - 0.0626f);
    CHECK(b < 0.0f);
    b = fw_safety_follow(&m, &R, &WIDE, 0.5f, 0.75f); /* it will lag behind: speeds up ahead of it */
    CHECK(b > 0.0f);
}

static void following_keeps_all_rates_and_bounds_from_any_state(void) {
    uint64_t seed = 5;
    for (int k = 0; k < 60; k++) {
        fw_safety_rates r = {.u = random_in(&seed, 0.1f, 1), .b = random_in(&seed, 0.05f, 0.25f)};
        r.j = r.b / random_in(&seed, 0.8f, 8);
        fw_safety_bounds w = {-3, 3, r.u};
        fw_safety_motion m = state(random_in(&seed, -3, 3), 0, 0);
        float goal = 0;
        for (int step = 0; step < 150; step++) {
            goal = step % 10 == 0 ? random_in(&seed, -5, 5) : goal;
            float b = fw_safety_follow(&m, &r, &w, goal, random_in(&seed, -r.u, r.u));
            CHECK(fabsf(b) <= r.b && fabsf(b - m.b) <= r.j * 1.00001f);
            m = fw_safety_advance(&m, b);
            fw_safety_braking p = fw_safety_braking_from(&m, &r);
            CHECK(m.q >= -3 && m.q <= 3 && fabsf(m.u) <= r.u);
            CHECK(p.q_min >= -3 && p.q_max <= 3 && p.u_peak <= r.u && p.steps < FW_SAFETY_STOP_STEPS);
        }
    }
}

/* steps from rest at q to rest at goal */
static int reach(float q, float goal, const fw_safety_rates *r, const fw_safety_bounds *w, float *beyond) {
    fw_safety_motion m = state(q, 0, 0);
    float way = goal > q ? 1.0f : -1.0f;
    *beyond = 0;
    for (int step = 1; step < 1000; step++) {
        m = fw_safety_advance(&m, fw_safety_follow(&m, r, w, goal, 0.0f));
        *beyond = fmaxf(*beyond, way * (m.q - goal));
        if (fw_safety_at_rest(&m) && m.q == goal) {
            return step;
        }
    }
    return 1000;
}

static void a_standing_goal_is_reached_soon_and_not_overrun(void) {
    float beyond;
    for (int sign = -1; sign <= 1; sign += 2) {
        /* 20 rad: 17 at full speed of 1, ramps of 4 + 4 + 4 + 4; the search for b costs little */
        int n = reach(0, (float)sign * 20.0f, &R, &WIDE, &beyond);
        CHECK(n >= 24 && n <= 32);
        CHECK(beyond <= 0.02f);
        n = reach(0, (float)sign * 0.03125f, &R, &WIDE, &beyond);
        CHECK(n <= 3);
        n = reach(0, (float)sign * 0.75f, &R, &WIDE, &beyond);
        CHECK(n >= 5 && n <= 14);
        CHECK(beyond <= 0.02f);
    }
}

static void a_moving_goal_is_caught_up_with(void) {
    fw_safety_motion m = state(0, 0, 0);
    float goal = 0.5f;
    int exact = 0;
    for (int step = 0; step < 60; step++) {
        goal += 0.5f;
        m = fw_safety_advance(&m, fw_safety_follow(&m, &R, &WIDE, goal, 0.5f));
        exact = m.q == goal ? exact + 1 : 0;
    }
    CHECK(exact > 35);
    CHECK(m.u == 0.5f && m.b == 0.0f);
}

static void bounds_are_reached_and_not_passed(void) {
    for (int sign = -1; sign <= 1; sign += 2) {
        fw_safety_bounds w = {-20, 20, 0.75f};
        fw_safety_motion m = state(0, 0, 0);
        float fastest = 0;
        for (int step = 0; step < 60; step++) {
            m = fw_safety_advance(&m, fw_safety_follow(&m, &R, &w, (float)sign * 50.0f, 0.0f));
            CHECK(fabsf(m.q) <= 20 && fabsf(m.u) <= 0.75f);
            fastest = fmaxf(fastest, fabsf(m.u));
        }
        CHECK(fastest > 0.74f);
        CHECK(fabsf(m.q - (float)sign * 20.0f) < 0.01f);
    }
}

static void the_search_for_a_bound_closes_in_from_both_sides(void) {
    fw_safety_motion m = state(0, 0.984375f, 0); /* 1/64 below full speed */
    CHECK(fw_safety_follow(&m, &R, &WIDE, 90.0f, 0.0f) == 0.015625f);
    m = state(0, 0.96875f, 0);
    CHECK(fw_safety_follow(&m, &R, &WIDE, 90.0f, 0.0f) == 0.03125f);
}

static void bounds_widen_to_what_braking_needs(void) {
    fw_safety_bounds narrow = {-0.1f, 0.1f, 0.01f};
    fw_safety_motion m = state(1, 0.5f, 0.125f); /* outside and too fast already */
    CHECK(fw_safety_follow(&m, &R, &narrow, 50.0f, 0.0f) == fw_safety_brake(&m, &R));
    m = state(-1, -0.5f, -0.125f);
    CHECK(fw_safety_follow(&m, &R, &narrow, -50.0f, 0.0f) == fw_safety_brake(&m, &R));
    m = state(1, 0, 0); /* the way back is open */
    fw_safety_bounds slow = {-0.1f, 0.1f, 0.25f};
    for (int step = 0; step < 40; step++) {
        m = fw_safety_advance(&m, fw_safety_follow(&m, &R, &slow, 0.0f, 0.0f));
        CHECK(m.q <= 1.0f && fabsf(m.u) <= 0.25f);
    }
    CHECK(m.q == 0.0f);
}

static void a_limit_is_kept_to_the_last_bit(void) {
    /* at rest below a bound: a goal at it passes exactly, one ulp beyond it does not */
    fw_safety_bounds w = {-1, 1, 1};
    for (int sign = -1; sign <= 1; sign += 2) {
        float at = (float)sign, s = (float)sign * 0.03125f;
        fw_safety_motion m = state(at - s, 0, 0);
        fw_safety_bounds moving = {-2, 2, 0.03125f};
        CHECK(fw_safety_follow(&m, &R, &moving, at, s) == s); /* |u| at its limit */
        moving.u_max = nextafterf(0.03125f, 0.0f);
        CHECK(fabsf(fw_safety_follow(&m, &R, &moving, at, s)) < 0.03125f);
        CHECK(fw_safety_follow(&m, &R, &w, at, 0.0f) == s);
        float b = fw_safety_follow(&m, &R, &w, nextafterf(at, 9.0f * at), 0.0f);
        m = fw_safety_advance(&m, b);
        CHECK(fabsf(m.q) <= 1.0f);
    }
}

FW_TEST_MAIN(T(a_ramp_takes_back_exactly_what_it_should), T(braking_ends_at_rest_without_turning_back),
             T(braking_is_the_same_both_ways), T(a_step_is_three_additions),
             T(what_braking_passes_through_is_all_of_it), T(a_goal_within_reach_is_met_exactly),
             T(a_goal_on_which_braking_just_ends_is_gone_for), T(a_goal_that_is_run_past_is_not_jumped_at),
             T(following_keeps_all_rates_and_bounds_from_any_state), T(a_standing_goal_is_reached_soon_and_not_overrun),
             T(a_moving_goal_is_caught_up_with), T(bounds_are_reached_and_not_passed),
             T(the_search_for_a_bound_closes_in_from_both_sides), T(bounds_widen_to_what_braking_needs),
             T(a_limit_is_kept_to_the_last_bit))
