/*
 * handover.h - which command is due: chunks are computed while the last one is executed, and replace it without a jump.
 *
 *   inference thread                                  control thread, once a control step
 *     fw_handover_ask(h, k, &ask);                      if (fw_handover_next(h, action, &due)) ... execute; else hold
 *     obs.prefix = ask.prefix, ...; fw_policy_infer     k = fw_handover_executed(h)   // published with the state it belongs to
 *     fw_handover_put(h, &ask, &chunk, seconds);
 *
 * DESIGN. Time is counted in executed rows: row i of a chunk whose observation was made when k rows had been executed is for row k + i
 * of the run. A robot that holds does not count on, so a chunk that comes late, or first, is taken up where the robot stands.
 * The newest chunk always wins. Until it is there the last one goes on; what that will be is its prefix, as many rows as the largest of
 * the last latencies takes. A policy that goes on from a prefix (fw_policy_info.max_delay) makes the change invisible; else the two
 * chunks are blended over opts.blend rows.
 * Chunks pass through five slots: the control thread has up to three (the current, the one it is blended with, and while it changes the
 * next), one is published, one is being written. Neither side waits, the control thread's calls neither allocate nor lock.
 */
#ifndef FW_ROBOT_HANDOVER_H
#define FW_ROBOT_HANDOVER_H

#include "fw/policy.h"

typedef struct fw_handover fw_handover;

typedef struct fw_handover_opts {
    int blend; /* rows over which a policy without prefix is blended with its last chunk; 0: switched at once (control.c does
                     * so where actions are steps) */
    int wish;       /* rows, with the settled ones, that guide a guided policy */
    double delay_s; /* latency expected before one was measured */
} fw_handover_opts;
#define FW_HANDOVER_OPTS_DEFAULT                                                                                       \
    { .blend = 4, .wish = 10, .delay_s = 0.1 }

/* info: copied; rate_hz: rows a second. FW_INVALID for a horizon that no chunk fits. *out owned. */
FW_NODISCARD fw_status fw_handover_new(const fw_policy_info *info, double rate_hz, const fw_handover_opts *opts,
                                       fw_handover **out, fw_err *err);
void fw_handover_free(fw_handover *h); /* NULL is fine; both threads are done with it */

/* ---- control thread ---- */

typedef struct fw_due {
    int64_t chunk; /* which one, from 0 */
    int row;       /* of it */
    bool first;    /* it was taken up now */
    float
        jump; /* then: largest difference to what the last chunk has for the same row, as a share of an action's range */
    const float *after; /* the row behind it, if the chunk has one: borrowed until the next call */
} fw_due;
/* The next command [n_action]; false: none is left or there yet, hold. due may be NULL. */
bool fw_handover_next(fw_handover *h, float *action, fw_due *due);
/* Forget all chunks: after a take-over. Those asked for before are not taken up. */
void fw_handover_clear(fw_handover *h);
/* Rows executed so far. Any thread. */
int64_t fw_handover_executed(const fw_handover *h);

/* ---- inference thread ---- */

typedef struct fw_ask {
    int64_t k;           /* rows executed when the observation was made */
    const float *prefix; /* [n_prefix + n_wish, n_action]: fw_obs.prefix; borrowed until the next ask */
    int n_prefix, n_wish;
    int delay;     /* rows that the answer is expected to take */
    bool too_slow; /* more than the policy's max_delay covers: the change will be felt, or the robot must run slower */
    int64_t epoch; /* of fw_handover_clear */
} fw_ask;
void fw_handover_ask(fw_handover *h, int64_t k, fw_ask *ask);
/* Seconds that an answer is expected to take: the largest of the last. */
double fw_handover_latency(const fw_handover *h);
/* The rows that must have been executed before it is worth asking again. */
int64_t fw_handover_due(const fw_handover *h);
/* The answer to ask, which took seconds. FW_SHAPE when the chunk is not the policy's, FW_FORMAT when a value is not
 * finite. Copied. */
FW_NODISCARD fw_status fw_handover_put(fw_handover *h, const fw_ask *ask, const fw_chunk *chunk, double seconds,
                                       fw_err *err);

#endif /* FW_ROBOT_HANDOVER_H */
