/* safety.c - one control cycle: time, watch, machine, filter, and what leaves. safety.h teaches the design. */
#include <string.h>

#include "safety/safety_int.h"

static const float CYCLE_UNIT = 1.0e-6F; /* s in a microsecond */

/* In silence the reference is where the arm is, so that nothing jumps when it is enabled. It stands: silence begins at rest. */
static void settle(fw_safety *s) {
    for (uint32_t i = 0U; i < s->limits.n_axis; i++) {
        const fw_safety_axis *a = &s->limits.axis[i];
        s->ref[i].q = fw_safety_clamp(fw_safety_newest(s, i), a->position_min, a->position_max);
    }
}

fw_safety_limits_error fw_safety_init(fw_safety *s, const fw_safety_limits *l) {
    fw_safety_limits_error e = fw_safety_limits_check(l);
    (void)memset(s, 0, sizeof(*s));
    s->machine.first = FW_SAFETY_NOBODY;
    if (e.what == FW_SAFETY_LIMITS_OK) {
        s->limits = *l;
        s->good = true;
        for (uint32_t i = 0U; i < l->n_axis; i++) {
            s->rates[i] = fw_safety_rates_of(l, i);
            s->reach[i] = fw_safety_reach(l, i);
        }
    }
    return e;
}

/* Overruns and a clock that goes back; true where this call is one. */
static bool time_wrong(fw_safety *s, uint64_t now_us) {
    bool back = now_us < s->now_us;
    bool late = now_us > (s->due_us + s->limits.late_us);
    bool wrong = s->started && (back || late);
    if (!s->started || back) {
        fw_safety_forget(s, now_us);
        s->due_us = now_us;
        s->started = true;
    }
    s->now_us = now_us;
    return wrong;
}

/* Whether the reference may move: once a period on average, at most half a period early, so that calls in a burst do
 * not move it faster than its limits. */
static bool due(fw_safety *s) {
    uint64_t period = s->limits.period_us;
    bool now = (s->now_us + (period / 2U)) >= s->due_us;
    if (now) {
        bool missed = s->now_us > (s->due_us + period);
        s->due_us = (missed ? s->now_us : s->due_us) + period;
    }
    return now;
}

static bool reference_at_rest(const fw_safety *s) {
    bool rest = true;
    for (uint32_t i = 0U; i < s->limits.n_axis; i++) {
        rest = rest && fw_safety_at_rest(&s->ref[i]);
    }
    return rest;
}

static bool arm_at_rest(const fw_safety *s) {
    bool rest = true;
    for (uint32_t i = 0U; i < s->limits.n_axis; i++) {
        float lo;
        float hi;
        fw_safety_measured(s, i, &lo, &hi);
        rest = rest && ((hi - lo) <= s->limits.axis[i].noise);
    }
    return rest;
}

static bool retracted(const fw_safety *s) {
    bool there = true;
    for (uint32_t i = 0U; i < s->limits.n_axis; i++) {
        float off = fw_safety_abs(s->ref[i].q - s->limits.axis[i].retract);
        there = there && (off <= s->limits.axis[i].noise);
    }
    return there;
}

static fw_safety_events events(const fw_safety *s, const fw_safety_in *in, uint32_t present) {
    uint64_t for_us = s->now_us - s->severity_us;
    bool still = reference_at_rest(s);
    fw_safety_events e;
    e.present = present;
    e.request = in->request;
    e.acknowledge = in->acknowledge;
    e.at_rest = (s->machine.mode == FW_SAFETY_SILENT) ? arm_at_rest(s) : still;
    e.hold_over = still && (for_us >= s->limits.hold_us);
    e.retract_over = (still && retracted(s)) || (for_us >= s->limits.retract_us);
    e.can_retract = s->limits.can_retract;
    return e;
}

/* Let the machine decide; a new mode begins without a command, a new severity begins its time. */
static void decide(fw_safety *s, const fw_safety_in *in, uint32_t present) {
    fw_safety_mode mode = s->machine.mode;
    fw_safety_severity severity = s->machine.severity;
    fw_safety_events e = events(s, in, present);
    fw_safety_machine_step(&s->machine, &e);
    if (s->machine.mode != mode) {
        s->commanded = false;
        s->streaming = false;
        s->command_us = s->now_us;
    }
    if (s->machine.severity != severity) {
        s->severity_us = s->now_us;
    }
}

static uint32_t move(fw_safety *s) {
    uint32_t limited = 0U;
    bool advance = due(s);
    if (s->machine.mode == FW_SAFETY_SILENT) {
        settle(s);
    } else if (advance) {
        limited = fw_safety_filter(s);
    } else {
        /* too early: the same command again */
    }
    if (limited == 0U) {
        s->unclipped_us = s->now_us;
    }
    return limited;
}

static void put(const fw_safety *s, fw_safety_out *out) {
    float dt = (float)s->limits.period_us * CYCLE_UNIT;
    out->send = s->machine.mode != FW_SAFETY_SILENT;
    out->torque_on = out->send;
    out->release = fw_safety_releases(&s->machine);
    for (uint32_t i = 0U; i < s->limits.n_axis; i++) {
        const fw_safety_axis *a = &s->limits.axis[i];
        out->position[i] = s->ref[i].q;
        out->velocity[i] = s->ref[i].u / dt;
        out->acceleration[i] = s->ref[i].b / (dt * dt);
        out->torque_cap[i] = out->release ? a->torque_release : a->torque;
    }
    out->mode = s->machine.mode;
    out->severity = s->machine.severity;
    out->latched = s->machine.latched;
    out->first = s->machine.first;
    out->refused = s->machine.refused;
    out->beat = s->beat;
    out->clearance = s->clearance;
}

void fw_safety_step(fw_safety *s, const fw_safety_in *in, fw_safety_out *out) {
    uint32_t present;
    (void)memset(out, 0, sizeof(*out));
    s->beat++;
    if (time_wrong(s, in->now_us)) {
        present = (uint32_t)FW_SAFETY_CYCLE | fw_safety_watch(s, in);
    } else {
        present = fw_safety_watch(s, in);
    }
    if (!s->good) {
        present |= (uint32_t)FW_SAFETY_LIMITS;
    }
    decide(s, in, present);
    out->limited = move(s);
    out->present = present;
    put(s, out);
}
