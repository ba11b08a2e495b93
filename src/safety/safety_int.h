/* safety_int.h - what the files of the safety core share. safety.h teaches the design. */
#ifndef FW_SAFETY_SAFETY_INT_H
#define FW_SAFETY_SAFETY_INT_H

#include "safety/safety.h"

#ifdef __FAST_MATH__
#error "the safety core needs NaN to compare false: compile it without -ffast-math"
#endif

static inline float fw_safety_min(float a, float b) {
    return (a < b) ? a : b;
}
static inline float fw_safety_max(float a, float b) {
    return (a > b) ? a : b;
}
static inline float fw_safety_abs(float x) {
    return (x < 0.0F) ? -x : x;
}
static inline float fw_safety_clamp(float x, float lo, float hi) {
    return fw_safety_max(lo, fw_safety_min(x, hi));
}
/* lo <= x <= hi; false for NaN. */
static inline bool fw_safety_within(float x, float lo, float hi) {
    return (x >= lo) && (x <= hi);
}
/* A number to calculate with: finite and of a size that no sum here makes infinite. */
static inline bool fw_safety_sane(float x) {
    return fw_safety_within(x, -1.0e6F, 1.0e6F);
}

/* Cycles in which jerk reaches full acceleration, at most: checked with the limits. */
#define FW_SAFETY_RAMP_CYCLES 64U

/* --- motion.c: one axis, in steps of one cycle (see fw_safety_motion) */

/* What is passed through from a state by braking at once, the state itself included. */
typedef struct {
    float q_min, q_max, q_end; /* rad */
    float u_peak;              /* largest |u| */
    uint32_t steps;            /* cycles until it stands */
} fw_safety_braking;

/* The largest |b| from which, taken back by j a cycle, velocity changes by no more than w in all; at most cap. */
float fw_safety_ramp(float w, float cap, float j);
/* b of the next cycle when braking as fast as b and j allow, ending at rest without turning back. */
float fw_safety_brake(const fw_safety_motion *m, const fw_safety_rates *r);
fw_safety_motion fw_safety_advance(const fw_safety_motion *m, float b);
fw_safety_braking fw_safety_braking_from(const fw_safety_motion *m, const fw_safety_rates *r);
bool fw_safety_at_rest(const fw_safety_motion *m);

typedef struct {
    float q_min, q_max; /* rad, where braking must end and pass */
    float u_max;        /* rad per cycle */
} fw_safety_bounds;

/* b of the next cycle that follows a goal (rad) which itself moves by rate (rad per cycle): the goal exactly where
 * that is allowed, else the fastest approach that still ends on it. Every result leaves braking within the bounds,
 * which widen to what braking from m already passes through. */
float fw_safety_follow(const fw_safety_motion *m, const fw_safety_rates *r, const fw_safety_bounds *within, float goal,
                       float rate);

/* --- limits.c: limits of axis i in units of one cycle */

fw_safety_rates fw_safety_rates_of(const fw_safety_limits *l, uint32_t i);

/* --- geometry.c */

float fw_safety_sqrt(float x);                              /* x >= 0 */
void fw_safety_sincos(float x, float *sine, float *cosine); /* |x| <= 1000 */
/* m between the nearest two things that must not touch (negative: they do) with axes at q. 1e6 without links. */
float fw_safety_clearance(const fw_safety_limits *l, const float q[FW_SAFETY_AXIS_MAX]);
/* m that any point of the robot moves at most when axis i moves by 1 rad. */
float fw_safety_reach(const fw_safety_limits *l, uint32_t i);

/* --- watch.c */

void fw_safety_forget(fw_safety *s, uint64_t now_us);
/* Take in what was measured, beaten, commanded: the conditions that are present, fw_safety_fault bits. */
uint32_t fw_safety_watch(fw_safety *s, const fw_safety_in *in);
/* rad, smallest and largest of the last samples of axis i. */
void fw_safety_measured(const fw_safety *s, uint32_t i, float *lo, float *hi);
float fw_safety_newest(const fw_safety *s, uint32_t i);

/* --- machine.c */

typedef struct {
    uint32_t present; /* conditions */
    fw_safety_mode request;
    bool acknowledge;
    bool at_rest;
    bool hold_over, retract_over; /* it held, retracted long enough */
    bool can_retract;
} fw_safety_events;

void fw_safety_machine_step(fw_safety_machine *m, const fw_safety_events *e);
/* The faults that count in a mode. */
uint32_t fw_safety_counts_in(fw_safety_mode mode);
/* After these, let go. */
bool fw_safety_releases(const fw_safety_machine *m);

/* --- filter.c */

/* Move the reference by one cycle. Returns fw_safety_limit bits: what of the command was not allowed. */
uint32_t fw_safety_filter(fw_safety *s);

#endif /* FW_SAFETY_SAFETY_INT_H */
