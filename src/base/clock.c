#include "base/clock.h"

#include <errno.h>
#include <time.h>

static int64_t real_now(void *self) {
    (void)self;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void real_sleep_until(void *self, int64_t t_ns) {
    (void)self;
    struct timespec t = {.tv_sec = (time_t)(t_ns / 1000000000), .tv_nsec = (long)(t_ns % 1000000000)};
    /* an absolute time: a signal in between costs nothing but another turn */
    while (t_ns > 0 && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
    }
}

static int64_t sim_now(void *self) {
    return *(int64_t *)self;
}

static void sim_sleep_until(void *self, int64_t t_ns) {
    int64_t *t = self;
    *t = t_ns > *t ? t_ns : *t; /* time never runs backwards */
}

const fw_clock *fw_clock_real(void) {
    static const fw_clock real = {real_now, real_sleep_until, NULL};
    return &real;
}

fw_clock fw_clock_sim(int64_t *t_ns) {
    return (fw_clock){sim_now, sim_sleep_until, t_ns};
}

int64_t fw_now_ns(void) {
    return real_now(NULL);
}

double fw_now_s(void) {
    return (double)real_now(NULL) * 1e-9;
}
