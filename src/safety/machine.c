/*
 * machine.c - mode, severity and latched faults: a pure function of sets of bits, without time and without numbers.
 *
 * docs/SAFETY.md states its invariants and draws it; tests/safety/test_machine.c walks every state that it can reach
 * with every input, and tests/safety/machine.pml is the model that spin checks.
 */
#include "safety/safety_int.h"

/* Modes in which a fault counts, as bits of fw_safety_mode. */
enum { A = 4, T = 8, AT = 12, BAT = 14, SBAT = 15 };

typedef struct {
    fw_safety_severity severity;
    uint32_t where;
} reaction;

static const reaction REACTION[FW_SAFETY_N_FAULT] = {
#define X(name, severity, where, text) {FW_SAFETY_SEV_##severity, (uint32_t)where},
    FW_SAFETY_FAULT_MAP(X)
#undef X
};

/* What begins with commands cannot be asked for before there are any. */
static const uint32_t LATER =
    (uint32_t)FW_SAFETY_COMMAND_BAD | (uint32_t)FW_SAFETY_COMMAND_STALE | (uint32_t)FW_SAFETY_CLIPPED;

uint32_t fw_safety_counts_in(fw_safety_mode mode) {
    uint32_t faults = 0U;
    for (uint32_t i = 0U; i < (uint32_t)FW_SAFETY_N_FAULT; i++) {
        if ((REACTION[i].where & (1UL << (uint32_t)mode)) != 0U) {
            faults |= (uint32_t)(1UL << i);
        }
    }
    return faults;
}

bool fw_safety_releases(const fw_safety_machine *m) {
    return (m->latched & ((uint32_t)FW_SAFETY_CONTACT | (uint32_t)FW_SAFETY_GRIP)) != 0U;
}

static void raise_to(fw_safety_machine *m, fw_safety_severity severity) {
    if (severity > m->severity) {
        m->severity = severity;
    }
}

static void latch(fw_safety_machine *m, uint32_t present) {
    uint32_t fresh = present & fw_safety_counts_in(m->mode);
    for (uint32_t i = 0U; i < (uint32_t)FW_SAFETY_N_FAULT; i++) {
        if ((fresh & (1UL << i)) != 0U) {
            if (m->first == FW_SAFETY_NOBODY) {
                m->first = (int32_t)i;
            }
            m->latched |= (uint32_t)(1UL << i);
            raise_to(m, REACTION[i].severity);
        }
    }
}

/* Hold before acting; then retract, where there is a posture for it; then stop. */
static void escalate(fw_safety_machine *m, const fw_safety_events *e) {
    if ((m->severity == FW_SAFETY_SEV_HOLD) && e->hold_over) {
        raise_to(m, e->can_retract ? FW_SAFETY_SEV_RETRACT : FW_SAFETY_SEV_STOP);
    } else if ((m->severity == FW_SAFETY_SEV_RETRACT) && e->retract_over) {
        raise_to(m, FW_SAFETY_SEV_STOP);
    } else {
        /* as it is */
    }
}

/* Forget faults that are over, seen by a person. After more than a warning motion has to be asked for anew. */
static void acknowledge(fw_safety_machine *m, uint32_t present) {
    fw_safety_mode rest = (m->mode == FW_SAFETY_SILENT) ? FW_SAFETY_SILENT : FW_SAFETY_STANDBY;
    bool over = (present & fw_safety_counts_in(rest)) == 0U;
    if (over && (m->severity != FW_SAFETY_SEV_TERMINATE)) {
        if (m->severity > FW_SAFETY_SEV_WARN) {
            m->mode = rest;
        }
        m->severity = FW_SAFETY_SEV_NONE;
        m->latched = 0U;
        m->first = FW_SAFETY_NOBODY;
    }
}

/* Why it may not go to a mode that does more; 0: it may. */
static uint32_t against(const fw_safety_machine *m, const fw_safety_events *e) {
    uint32_t reasons = e->present & fw_safety_counts_in(e->request) & ~LATER;
    if (m->severity > FW_SAFETY_SEV_WARN) {
        reasons |= (uint32_t)FW_SAFETY_LATCHED;
    }
    if ((m->mode == FW_SAFETY_SILENT) && !e->at_rest) {
        reasons |= (uint32_t)FW_SAFETY_MOVING;
    }
    return reasons;
}

static void request(fw_safety_machine *m, const fw_safety_events *e) {
    bool asked = ((uint32_t)e->request < (uint32_t)FW_SAFETY_KEEP) && (e->request != m->mode);
    m->refused = 0U;
    if (!asked) {
        /* as it is */
    } else if (e->request > FW_SAFETY_STANDBY) {
        m->refused = against(m, e);
    } else if (e->request == FW_SAFETY_STANDBY) {
        m->refused = (m->mode == FW_SAFETY_SILENT) ? against(m, e) : 0U;
    } else if (!e->at_rest) {
        m->refused = (uint32_t)FW_SAFETY_MOVING;
        m->mode = FW_SAFETY_STANDBY; /* torque stays until it stands, but nobody moves it any more */
    } else {
        /* silence at rest is never refused */
    }
    if (asked && (m->refused == 0U)) {
        m->mode = e->request;
    }
}

void fw_safety_machine_step(fw_safety_machine *m, const fw_safety_events *e) {
    escalate(m, e); /* times are those of the severity that was there before this cycle */
    latch(m, e->present);
    if (e->acknowledge) {
        acknowledge(m, e->present);
    }
    request(m, e);
    if ((m->severity == FW_SAFETY_SEV_TERMINATE) && e->at_rest) {
        m->mode = FW_SAFETY_SILENT;
    }
}

const char *fw_safety_fault_text(int32_t ix) {
    static const char *const text[FW_SAFETY_N_FAULT] = {
#define X(name, severity, where, words) words,
        FW_SAFETY_FAULT_MAP(X)
#undef X
    };
    return ((ix >= 0) && (ix < (int32_t)FW_SAFETY_N_FAULT)) ? text[ix] : "none";
}
