/*
 * watch.c - from what arrives in a cycle to the set of conditions that are present.
 *
 * A sample that is not finite, from the future, older than the one before, or too far from it, is a condition and is
 * not taken in. Rates come from the oldest and newest of the last six samples, so that one noisy sample neither hides
 * nor makes a speed. All ages are differences of the caller's clock; where that goes back, everything is forgotten.
 */
#include <string.h>

#include "safety/safety_int.h"

static const float JUMP = 2.0F;                /* a sample may move this many times the velocity limit */
static const uint32_t MISMATCHED = 5U;         /* samples in a row until a velocity sensor is not believed */
static const float MICROSECOND = 1.0e-6F;      /* s */
static const uint32_t BACKWARDS = 0x80000000U; /* a sequence number that is this far ahead is behind */

void fw_safety_forget(fw_safety *s, uint64_t now_us) {
    (void)memset(s->track, 0, sizeof(s->track));
    (void)memset(s->heard, 0, sizeof(s->heard));
    s->command_us = now_us;
    s->unclipped_us = now_us;
    s->severity_us = now_us;
}

float fw_safety_newest(const fw_safety *s, uint32_t i) {
    return s->track[i].q[s->track[i].at];
}

void fw_safety_measured(const fw_safety *s, uint32_t i, float *lo, float *hi) {
    const fw_safety_track *t = &s->track[i];
    *lo = t->q[t->at];
    *hi = t->q[t->at];
    for (uint32_t k = 0U; k < t->n; k++) {
        *lo = fw_safety_min(*lo, t->q[k]);
        *hi = fw_safety_max(*hi, t->q[k]);
    }
}

static float seconds(uint64_t from_us, uint64_t to_us) {
    uint64_t us = to_us - from_us;
    return (float)us * MICROSECOND;
}

static bool sane_sample(const fw_safety_sample *m) {
    return fw_safety_sane(m->position) && fw_safety_sane(m->velocity) && fw_safety_sane(m->torque) &&
           fw_safety_sane(m->residual);
}

static void push(fw_safety_track *t, const fw_safety_sample *m) {
    t->at = (t->n == 0U) ? 0U : ((t->at + 1U) % FW_SAFETY_WINDOW);
    t->n = (t->n < FW_SAFETY_WINDOW) ? (t->n + 1U) : FW_SAFETY_WINDOW;
    t->q[t->at] = m->position;
    t->t_us[t->at] = m->t_us;
    t->torque = m->torque;
    t->residual = m->residual;
}

/* Speed over the window against the limit, and against the velocity sensor. */
static uint32_t rates_wrong(fw_safety_track *t, const fw_safety_axis *a, float velocity) {
    uint32_t oldest = (t->n < FW_SAFETY_WINDOW) ? 0U : ((t->at + 1U) % FW_SAFETY_WINDOW);
    float dt = seconds(t->t_us[oldest], t->t_us[t->at]);
    float way = t->q[t->at] - t->q[oldest];
    float noise = 2.0F * a->noise;
    uint32_t present = 0U;

    if (fw_safety_abs(way) > ((a->velocity * dt) + noise)) {
        present |= (uint32_t)FW_SAFETY_OVERSPEED;
    }
    if (a->velocity_tolerance > 0.0F) {
        bool fits = fw_safety_abs((velocity * dt) - way) <= ((a->velocity_tolerance * dt) + noise);
        t->mismatched = fits ? 0U : (t->mismatched + 1U);
        if (t->mismatched >= MISMATCHED) {
            t->mismatched = MISMATCHED;
            present |= (uint32_t)FW_SAFETY_SENSOR_BAD;
        }
        if (fw_safety_abs(velocity) > (a->velocity + a->velocity_tolerance)) {
            present |= (uint32_t)FW_SAFETY_OVERSPEED;
        }
    }
    return present;
}

static uint32_t take_sample(fw_safety *s, uint32_t i, const fw_safety_sample *m) {
    fw_safety_track *t = &s->track[i];
    const fw_safety_axis *a = &s->limits.axis[i];
    uint32_t present = 0U;

    if (!sane_sample(m) || (m->t_us > s->now_us)) {
        present = (uint32_t)FW_SAFETY_SENSOR_BAD;
    } else if (t->n == 0U) {
        push(t, m);
    } else if (m->t_us < t->t_us[t->at]) {
        present = (uint32_t)FW_SAFETY_SENSOR_BAD;
    } else if (m->t_us > t->t_us[t->at]) {
        float way = fw_safety_abs(m->position - t->q[t->at]);
        if (way > ((JUMP * a->velocity * seconds(t->t_us[t->at], m->t_us)) + a->noise)) {
            present = (uint32_t)FW_SAFETY_SENSOR_BAD;
        } else {
            push(t, m);
            present = rates_wrong(t, a, m->velocity);
        }
    } else {
        /* the same sample again: it only ages */
    }
    return present;
}

/* Torque and residual: how long they have been above what may last. */
static uint32_t loads(fw_safety *s, uint32_t i) {
    fw_safety_track *t = &s->track[i];
    const fw_safety_axis *a = &s->limits.axis[i];
    float residual = fw_safety_abs(t->residual);
    uint32_t present = 0U;

    if (fw_safety_abs(t->torque) <= a->torque) {
        t->under_torque_us = s->now_us;
    }
    if (residual <= a->clamp) {
        t->under_clamp_us = s->now_us;
    }
    if ((s->now_us - t->under_torque_us) > s->limits.overload_us) {
        present |= (a->grip != 0) ? (uint32_t)FW_SAFETY_GRIP : (uint32_t)FW_SAFETY_TORQUE;
    }
    if ((residual > a->contact) || ((s->now_us - t->under_clamp_us) > s->limits.clamp_us)) {
        present |= (uint32_t)FW_SAFETY_CONTACT;
    }
    return present;
}

static uint32_t places(const fw_safety *s, uint32_t i) {
    const fw_safety_track *t = &s->track[i];
    const fw_safety_axis *a = &s->limits.axis[i];
    uint32_t present = 0U;
    float lo;
    float hi;

    if ((t->n == 0U) || ((s->now_us - t->t_us[t->at]) > s->limits.sensor_us)) {
        present |= (uint32_t)FW_SAFETY_SENSOR_STALE;
    }
    if (!fw_safety_within(t->q[t->at], a->position_min - a->noise, a->position_max + a->noise)) {
        present |= (uint32_t)FW_SAFETY_OUTSIDE;
    }
    fw_safety_measured(s, i, &lo, &hi);
    if (!fw_safety_within(s->ref[i].q, lo - a->follow - a->noise, hi + a->follow + a->noise)) {
        present |= (uint32_t)FW_SAFETY_TRACKING;
    }
    return present;
}

static uint32_t axes(fw_safety *s, const fw_safety_in *in) {
    uint32_t present = 0U;
    float q[FW_SAFETY_AXIS_MAX] = {0};
    for (uint32_t i = 0U; i < s->limits.n_axis; i++) {
        if (in->axis[i].valid) {
            present |= take_sample(s, i, &in->axis[i]);
        }
        present |= loads(s, i);
        present |= places(s, i);
        q[i] = fw_safety_newest(s, i);
    }
    s->clearance = fw_safety_clearance(&s->limits, q);
    if (s->clearance < 0.0F) {
        present |= (uint32_t)FW_SAFETY_OUTSIDE;
    }
    return present;
}

/* A party lives while its count changes and it echoes what we beat. */
static bool lost(fw_safety *s, uint32_t party, const fw_safety_heartbeat *h) {
    uint64_t longest = s->limits.heartbeat_us[party];
    uint64_t unheard = (uint64_t)(s->beat - h->echo) * s->limits.period_us;
    if (h->count != s->count[party]) {
        s->count[party] = h->count;
        s->heard[party] = true;
        s->heard_us[party] = s->now_us;
    }
    return (longest != 0U) && (!s->heard[party] || ((s->now_us - s->heard_us[party]) > longest) || (unheard > longest));
}

static uint32_t parties(fw_safety *s, const fw_safety_in *in) {
    static const uint32_t fault[FW_SAFETY_N_PARTY] = {
        (uint32_t)FW_SAFETY_POLICY_LOST, (uint32_t)FW_SAFETY_OPERATOR_LOST, (uint32_t)FW_SAFETY_SUPERVISOR_LOST};
    uint32_t present = 0U;
    for (uint32_t p = 0U; p < (uint32_t)FW_SAFETY_N_PARTY; p++) {
        if (lost(s, p, &in->heartbeat[p])) {
            present |= fault[p];
        }
    }
    return present;
}

static bool refused(const fw_safety *s, const fw_safety_command *c) {
    fw_safety_party source = (s->machine.mode == FW_SAFETY_TELEOPERATED) ? FW_SAFETY_OPERATOR : FW_SAFETY_POLICY;
    bool bad = (c->source != source) || (c->t_us > s->now_us);
    bad = bad || (s->commanded && ((c->seq - s->seq) >= BACKWARDS));
    for (uint32_t i = 0U; i < s->limits.n_axis; i++) {
        bad = bad || !fw_safety_sane(c->position[i]);
    }
    return bad;
}

/* The command becomes the goal; where it came a cycle after the one before, the goal moves. */
static void accept(fw_safety *s, const fw_safety_command *c) {
    for (uint32_t i = 0U; i < s->limits.n_axis; i++) {
        float way = c->position[i] - s->goal[i];
        s->rate[i] = s->streaming ? fw_safety_clamp(way, -s->rates[i].u, s->rates[i].u) : 0.0F;
        s->goal[i] = c->position[i];
    }
    s->commanded = true;
    s->streaming = true;
    s->seq = c->seq;
    s->command_us = c->t_us;
}

static uint32_t command(fw_safety *s, const fw_safety_command *c) {
    bool listening = s->machine.mode >= FW_SAFETY_AUTONOMOUS;
    bool bad = listening && c->present && refused(s, c);
    uint32_t present = 0U;

    if (listening && c->present && !bad && (!s->commanded || (c->seq != s->seq))) {
        accept(s, c);
    } else {
        s->streaming = false;
        for (uint32_t i = 0U; i < s->limits.n_axis; i++) {
            s->rate[i] = 0.0F;
        }
    }
    if (bad) {
        present |= (uint32_t)FW_SAFETY_COMMAND_BAD;
    }
    if ((s->now_us - s->command_us) > s->limits.command_us) {
        present |= (uint32_t)FW_SAFETY_COMMAND_STALE;
    }
    return present;
}

uint32_t fw_safety_watch(fw_safety *s, const fw_safety_in *in) {
    uint32_t present = axes(s, in) | parties(s, in) | command(s, &in->command);
    if (in->stop) {
        present |= (uint32_t)FW_SAFETY_STOP_ASKED;
    }
    if (in->estop) {
        present |= (uint32_t)FW_SAFETY_ESTOP;
    }
    if ((s->now_us - s->unclipped_us) > s->limits.warn_us) {
        present |= (uint32_t)FW_SAFETY_CLIPPED;
    }
    return present;
}
