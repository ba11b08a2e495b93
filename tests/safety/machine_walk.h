/*
 * machine_walk.h - every state of the mode machine that can be reached, with every input: the real code, no model of it.
 *
 * Faults of one reaction and the same modes are alike for the machine, so that one of each class stands for all; that
 * they are alike is checked first. Numbers and time do not occur in it.
 */
#ifndef FW_TESTS_SAFETY_MACHINE_WALK_H
#define FW_TESTS_SAFETY_MACHINE_WALK_H

#include "rig.h"

enum { N_CLASS = 8, N_REQUEST = 6 };

/* one fault of each (reaction, modes, release) */
static const uint32_t CLASS[N_CLASS] = {FW_SAFETY_ESTOP,         FW_SAFETY_CONTACT,     FW_SAFETY_STOP_ASKED,
                                        FW_SAFETY_CYCLE,         FW_SAFETY_COMMAND_BAD, FW_SAFETY_POLICY_LOST,
                                        FW_SAFETY_OPERATOR_LOST, FW_SAFETY_CLIPPED};

typedef struct {
    fw_safety_machine m[20000];
    int n;
} set;

/* Which of the latched came first is told, and decides nothing. */
static bool same(const fw_safety_machine *a, const fw_safety_machine *b) {
    return a->mode == b->mode && a->severity == b->severity && a->latched == b->latched;
}

static void add(set *s, const fw_safety_machine *m) {
    for (int i = 0; i < s->n; i++) {
        if (same(&s->m[i], m)) {
            return;
        }
    }
    CHECK(s->n < (int)(sizeof(s->m) / sizeof(s->m[0])));
    s->m[s->n++] = *m;
}

static uint32_t bits_of(int subset) {
    uint32_t bits = 0;
    for (int c = 0; c < N_CLASS; c++) {
        bits |= (subset >> c & 1) != 0 ? CLASS[c] : 0;
    }
    return bits;
}

static fw_safety_severity reaction(uint32_t bits) {
    const struct {
        uint32_t bits;
        fw_safety_severity s;
    } table[] = {{FW_SAFETY_ESTOP | FW_SAFETY_LIMITS, FW_SAFETY_SEV_TERMINATE},
                 {FW_SAFETY_CONTACT | FW_SAFETY_GRIP | FW_SAFETY_STOP_ASKED | FW_SAFETY_CYCLE | FW_SAFETY_SENSOR_STALE |
                      FW_SAFETY_SENSOR_BAD | FW_SAFETY_OVERSPEED | FW_SAFETY_TORQUE | FW_SAFETY_TRACKING |
                      FW_SAFETY_OUTSIDE | FW_SAFETY_SUPERVISOR_LOST,
                  FW_SAFETY_SEV_STOP},
                 {FW_SAFETY_COMMAND_BAD | FW_SAFETY_COMMAND_STALE | FW_SAFETY_POLICY_LOST | FW_SAFETY_OPERATOR_LOST,
                  FW_SAFETY_SEV_HOLD},
                 {FW_SAFETY_CLIPPED, FW_SAFETY_SEV_WARN}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if ((bits & table[i].bits) != 0) {
            return table[i].s;
        }
    }
    return FW_SAFETY_SEV_NONE;
}

static bool moves(fw_safety_mode m) {
    return m == FW_SAFETY_AUTONOMOUS || m == FW_SAFETY_TELEOPERATED;
}

/* The invariants of docs/SAFETY.md, by number, over one step. */
static void check_step(const fw_safety_machine *was, const fw_safety_machine *is, const fw_safety_events *e) {
    uint32_t counted = e->present & fw_safety_counts_in(was->mode);
    bool fell = is->severity < was->severity;

    /* 1: severity falls to none only, by an acknowledgement, and never from terminate */
    CHECK(!fell || (e->acknowledge && is->severity == FW_SAFETY_SEV_NONE && was->severity != FW_SAFETY_SEV_TERMINATE));
    /* 2: what is latched stays until then */
    CHECK(fell || (was->latched & ~is->latched) == 0 || (e->acknowledge && is->latched == 0));
    /* 3: severity is at least that of everything latched; nothing is latched without it */
    CHECK(is->severity >= reaction(is->latched));
    CHECK((is->latched == 0) == (is->severity == FW_SAFETY_SEV_NONE));
    CHECK((is->latched == 0) == (is->first == FW_SAFETY_NOBODY));
    CHECK(is->first == FW_SAFETY_NOBODY || (is->latched >> is->first & 1) != 0);
    CHECK(was->first == FW_SAFETY_NOBODY || is->first == was->first || is->latched == 0);
    /* 4: a counted condition is latched in this very step, unless a person forgave it for being over outside this mode */
    CHECK((counted & ~is->latched) == 0 || (e->acknowledge && is->latched == 0));
    /* 5: an emergency stop terminates from everywhere */
    CHECK((e->present & FW_SAFETY_ESTOP) == 0 || is->severity == FW_SAFETY_SEV_TERMINATE);
    /* 6: terminate is final, silent once at rest, and nothing is enabled in it */
    if (was->severity == FW_SAFETY_SEV_TERMINATE) {
        CHECK_INT(is->severity, FW_SAFETY_SEV_TERMINATE);
        CHECK(is->mode == was->mode || is->mode <= FW_SAFETY_STANDBY);
        CHECK(!e->at_rest || is->mode == FW_SAFETY_SILENT);
        CHECK(was->mode != FW_SAFETY_SILENT || is->mode == FW_SAFETY_SILENT);
    }
    /* 7: enabled by request only, at rest from silence, without a fault latched or a condition that would count */
    bool enabled = (is->mode > was->mode) || (is->mode != was->mode && moves(is->mode));
    if (enabled) {
        uint32_t later = FW_SAFETY_COMMAND_BAD | FW_SAFETY_COMMAND_STALE | FW_SAFETY_CLIPPED;
        CHECK(is->mode == e->request);
        CHECK(is->severity <= FW_SAFETY_SEV_WARN);
        CHECK((e->present & fw_safety_counts_in(is->mode) & ~later) == 0);
        CHECK(was->mode != FW_SAFETY_SILENT || e->at_rest);
    }
    CHECK((is->refused != 0) ==
          (e->request < FW_SAFETY_KEEP && is->mode != e->request &&
           !(is->mode == FW_SAFETY_SILENT && is->severity == FW_SAFETY_SEV_TERMINATE && is->refused == 0)));
    /* and granted where nothing of this is against it */
    if (e->request >= FW_SAFETY_STANDBY && e->request < FW_SAFETY_KEEP && is->severity <= FW_SAFETY_SEV_WARN &&
        (was->mode != FW_SAFETY_SILENT || e->at_rest)) {
        uint32_t later = FW_SAFETY_COMMAND_BAD | FW_SAFETY_COMMAND_STALE | FW_SAFETY_CLIPPED;
        CHECK(is->mode == e->request || (e->present & fw_safety_counts_in(e->request) & ~later) != 0);
    }
    /* 8: torque goes off by request or at the end of terminate, and only at rest */
    if (is->mode == FW_SAFETY_SILENT && was->mode != FW_SAFETY_SILENT) {
        CHECK(e->at_rest && (e->request == FW_SAFETY_SILENT || is->severity == FW_SAFETY_SEV_TERMINATE));
    }
    /* 9: giving up motion is never refused */
    if (e->request == FW_SAFETY_STANDBY && moves(was->mode)) {
        CHECK(!moves(is->mode));
    }
    /* 10: hold comes before retract, retract before the stop it ends in */
    if (is->severity == FW_SAFETY_SEV_RETRACT && was->severity != FW_SAFETY_SEV_RETRACT) {
        CHECK(was->severity == FW_SAFETY_SEV_HOLD && e->hold_over && e->can_retract);
    }
    if (is->severity == FW_SAFETY_SEV_STOP && was->severity < FW_SAFETY_SEV_STOP) {
        CHECK(reaction(is->latched) == FW_SAFETY_SEV_STOP ||
              (was->severity == FW_SAFETY_SEV_HOLD && e->hold_over && !e->can_retract) ||
              (was->severity == FW_SAFETY_SEV_RETRACT && e->retract_over));
    }
    /* 11: no way forward is forgotten: what is over escalates */
    CHECK(!(was->severity == FW_SAFETY_SEV_HOLD && e->hold_over) || is->severity > FW_SAFETY_SEV_HOLD || fell);
    CHECK(!(was->severity == FW_SAFETY_SEV_RETRACT && e->retract_over) || is->severity > FW_SAFETY_SEV_RETRACT || fell);
    /* 12: after a contact nothing retracts */
    CHECK(!fw_safety_releases(is) || is->severity >= FW_SAFETY_SEV_STOP);
    CHECK(fw_safety_releases(is) == ((is->latched & (FW_SAFETY_CONTACT | FW_SAFETY_GRIP)) != 0));
    /* 13: after more than a warning, an acknowledgement does not go on by itself */
    if (fell && was->severity > FW_SAFETY_SEV_WARN) {
        CHECK(!moves(is->mode) || is->mode == e->request);
    }
    /* 14: an acknowledgement works whenever nothing that counts without motion is present */
    uint32_t rest = fw_safety_counts_in(was->mode == FW_SAFETY_SILENT ? FW_SAFETY_SILENT : FW_SAFETY_STANDBY);
    if (e->acknowledge && is->severity != FW_SAFETY_SEV_TERMINATE) {
        CHECK(((e->present & rest) == 0) == (is->latched == 0) || (is->latched == 0 && was->latched == 0));
    }
}

static void for_all_events(const fw_safety_machine *m, int at_once, set *next, long *steps) {
    for (int subset = 0; subset < 1 << N_CLASS; subset++) {
        if (__builtin_popcount((unsigned)subset) > at_once) {
            continue;
        }
        for (int k = 0; k < 32; k++) {
            for (int request = 0; request < N_REQUEST; request++) {
                fw_safety_events e = {.present = bits_of(subset),
                                      .request = (fw_safety_mode)request,
                                      .acknowledge = (k & 1) != 0,
                                      .at_rest = (k & 2) != 0,
                                      .hold_over = (k & 4) != 0,
                                      .retract_over = (k & 8) != 0,
                                      .can_retract = (k & 16) != 0};
                fw_safety_machine is = *m;
                fw_safety_machine_step(&is, &e);
                check_step(m, &is, &e);
                is.refused = 0;
                add(next, &is);
                *steps += 1;
            }
        }
    }
}

/* at_once: conditions that may be present in one step */
static void walk_machine(int at_once) {
    static set s;
    long steps = 0;
    fw_safety_machine start = {.first = FW_SAFETY_NOBODY};
    s.n = 0;
    add(&s, &start);
    for (int i = 0; i < s.n; i++) {
        fw_safety_machine m = s.m[i];
        for_all_events(&m, at_once, &s, &steps);
    }
    bool seen[4][6] = {{false}};
    for (int i = 0; i < s.n; i++) {
        seen[s.m[i].mode][s.m[i].severity] = true;
    }
    for (int mode = 0; mode < 4; mode++) { /* and they are all there: the walk did not miss what it should check */
        for (int severity = 0; severity < 6; severity++) {
            CHECK(seen[mode][severity]);
        }
    }
    printf("%d states, %ld steps\n", s.n, steps);
}

#endif /* FW_TESTS_SAFETY_MACHINE_WALK_H */
