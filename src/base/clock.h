/* clock.h - the only place that asks for time. A fw_clock is real, or simulated (tests, the simulator). */
#ifndef FW_BASE_CLOCK_H
#define FW_BASE_CLOCK_H

#include <stdint.h>

typedef struct fw_clock {
    int64_t (*now_ns)(void *self); /* monotonic, ns */
    void (*sleep_until_ns)(void *self, int64_t t_ns);
    void *self;
} fw_clock;

/* CLOCK_MONOTONIC. Static. */
const fw_clock *fw_clock_real(void);
/* A clock that stands still until told: *t_ns is its time and outlives it. sleep_until advances it. */
fw_clock fw_clock_sim(int64_t *t_ns);

/* Shorthands on the real clock. */
int64_t fw_now_ns(void);
double fw_now_s(void);

#endif /* FW_BASE_CLOCK_H */
