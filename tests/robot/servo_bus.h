/*
 * servo_bus.h - a bus of STS3215 servos on a pseudo terminal, with simple dynamics, that breaks in the ways that buses break.
 *
 *     servo_bus bus;
 *     servo_bus_open(&bus, 6);                    // ids 1..6; bus.port is what a driver opens
 *     SERVO_SET(&bus, corrupt, 2);                // the next two replies have a wrong checksum
 *     servo_bus_close(&bus);                      // or servo_bus_unplug: the driver's side hangs up
 *
 * Written from the protocol's description, sharing no code with the driver: what both get wrong in the same way must be wrong in the
 * description. One thread; it allocates nothing. Fields are read and written under the lock: SERVO_SET, SERVO_GET.
 */
#ifndef TESTS_ROBOT_SERVO_BUS_H
#define TESTS_ROBOT_SERVO_BUS_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "fw_test.h"

#define SERVO_MAX 8

typedef struct servo {
    uint8_t id;
    bool missing;      /* answers nothing */
    uint8_t error;     /* error bits of its replies; 0x20 (overload) takes its torque off */
    uint8_t reg[96];   /* its memory table */
    double actual;     /* steps of the encoder */
    double step_per_s; /* its speed now */
    int eprom_writes;  /* bytes written below address 40 */
    double hand_per_s; /* moved by hand at this speed while limp */
} servo;

typedef struct servo_bus {
    char port[64];
    int master, keep; /* keep: the other side held open, so that the bus outlives who talks to it */
    pthread_t thread;
    pthread_mutex_t lock;
    bool quit;
    int n;
    servo servo[SERVO_MAX];
    double now_s;
    /* faults of the next replies: counts down */
    int noise, truncate, corrupt, lose, stranger, late;
    int short_by_one; /* with a byte less, and a checksum that fits */
    int late_ms;
    int deaf;        /* requests that are not heard */
    int per_mille;   /* of all replies: one of noise, truncated, corrupt, lost, stranger, by chance */
    uint64_t chance; /* state of that */
    bool echo;       /* gives every request back */
    bool babble;     /* noise without an end, in place of replies */
    /* what happened */
    int requests, replies, broken, bad_requests, sync_reads, sync_writes;
    uint8_t in[512];
    size_t n_in;
} servo_bus;

#define SERVO_SET(b, field, value)                                                                                     \
    do {                                                                                                               \
        pthread_mutex_lock(&(b)->lock);                                                                                \
        (b)->field = (value);                                                                                          \
        pthread_mutex_unlock(&(b)->lock);                                                                              \
    } while (0)
#define SERVO_GET(b, field, into)                                                                                      \
    do {                                                                                                               \
        pthread_mutex_lock(&(b)->lock);                                                                                \
        (into) = (b)->field;                                                                                           \
        pthread_mutex_unlock(&(b)->lock);                                                                              \
    } while (0)

static inline double servo_time(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline int servo_word(const servo *s, int at, int sign) {
    int raw = s->reg[at] | s->reg[at + 1] << 8, m = (1 << sign) - 1;
    return raw >> sign & 1 ? -(raw & m) : raw & m;
}
static inline void servo_put(servo *s, int at, int sign, double value) {
    int v = (int)(value < 0 ? -value : value) & ((1 << sign) - 1);
    v |= value < 0 ? 1 << sign : 0;
    s->reg[at] = (uint8_t)v;
    s->reg[at + 1] = (uint8_t)(v >> 8);
}

/* Turn to the goal as a loaded motor does, limits and all. */
static inline void servo_move(servo *s, double dt) {
    double offset = servo_word(s, 31, 11), goal = servo_word(s, 42, 15);
    int lo = servo_word(s, 9, 15), hi = servo_word(s, 11, 15);
    goal = goal < lo ? lo : goal > hi ? hi : goal;
    if (s->error & 0x20) {
        s->reg[40] = 0;
    }
    double want = 15.0 * (goal - (s->actual - offset));
    want = want > 2500 ? 2500 : want < -2500 ? -2500 : want;
    want = s->reg[40] == 1 ? want : s->hand_per_s;
    for (double left = dt < 1.0 ? dt : 1.0; left > 0; left -= 0.001) {
        s->step_per_s += (want - s->step_per_s) * 0.05;
        s->actual += s->step_per_s * (left < 0.001 ? left : 0.001);
        if (s->reg[40] == 1) {
            want = 15.0 * (goal - (s->actual - offset));
            want = want > 2500 ? 2500 : want < -2500 ? -2500 : want;
        }
    }
    double shown = s->actual - offset;
    if ((s->reg[18] & 0x10) == 0) {
        shown -= 4096.0 * (double)(long)(shown / 4096.0 - (shown < 0));
    }
    servo_put(s, 56, 15, shown);
    servo_put(s, 58, 15, s->step_per_s);
    servo_put(s, 60, 10, s->reg[40] == 1 ? (goal - (s->actual - offset)) * 0.5 : 0);
    servo_put(s, 69, 15, s->reg[40] == 1 ? (goal - (s->actual - offset)) * 0.1 : 0);
    s->reg[65] = s->error;
    s->reg[66] = s->step_per_s > 20 || s->step_per_s < -20;
}

static inline void servo_send(servo_bus *b, const uint8_t *p, size_t n) {
    ssize_t w = write(b->master, p, n);
    (void)w; /* a full pty loses bytes, as a line does */
}

static inline uint64_t servo_chance(servo_bus *b) {
    b->chance = b->chance * 6364136223846793005U + 1442695040888963407U;
    return b->chance >> 33;
}

static inline bool servo_take(int *count) {
    return *count > 0 ? ((*count)--, true) : false;
}

/* One reply, as broken as was asked for. */
static inline void servo_reply(servo_bus *b, const servo *s, const uint8_t *data, size_t n) {
    static const uint8_t noise[] = {0xFF, 0x00, 0xFF, 0xFF, 0xFF, 0x07, 0x13, 0xFF};
    n -= n > 0 && servo_take(&b->short_by_one);
    uint8_t p[96] = {0xFF, 0xFF, s->id, (uint8_t)(n + 2), s->error};
    unsigned sum = 0;
    int by_chance = b->per_mille > 0 && (int)(servo_chance(b) % 1000) < b->per_mille ? (int)(servo_chance(b) % 5) : -1;
    if (n > 0) {
        memcpy(p + 5, data, n);
    }
    if (servo_take(&b->stranger) || by_chance == 4) {
        p[2] = 0x2A;
        b->broken++;
    }
    for (size_t i = 2; i < 5 + n; i++) {
        sum += p[i];
    }
    p[5 + n] = (uint8_t)(255 - (sum & 255));
    if (servo_take(&b->corrupt) || by_chance == 0) {
        p[5 + n] ^= 0x10;
        b->broken++;
    }
    if (servo_take(&b->noise) || by_chance == 1) {
        servo_send(b, noise, sizeof noise);
        b->broken++;
    }
    size_t bytes = n + 6;
    if (servo_take(&b->truncate) || by_chance == 2) {
        bytes = bytes > 9 ? 9 : 3;
        b->broken++;
    }
    if (servo_take(&b->lose) || by_chance == 3) {
        b->broken++;
        return;
    }
    if (servo_take(&b->late)) {
        int ms = b->late_ms;
        pthread_mutex_unlock(&b->lock);
        usleep((unsigned)ms * 1000);
        pthread_mutex_lock(&b->lock);
        b->broken++;
    }
    b->replies++;
    servo_send(b, p, bytes);
}

static inline void servo_write(servo *s, int at, const uint8_t *data, int n) {
    for (int i = 0; i < n && at + i < (int)sizeof s->reg; i++) {
        s->eprom_writes += at + i < 40;
        s->reg[at + i] = data[i];
    }
}

static inline servo *servo_find(servo_bus *b, uint8_t id) {
    for (int i = 0; i < b->n; i++) {
        if (b->servo[i].id == id && !b->servo[i].missing) {
            return &b->servo[i];
        }
    }
    return NULL;
}

/* A request p[0..n): header, id, length, instruction, parameters, checksum; all of it right. */
static inline void servo_serve(servo_bus *b, const uint8_t *p, size_t n) {
    servo *s = servo_find(b, p[2]);
    const uint8_t *arg = p + 5;
    const size_t n_arg = n - 6;
    switch (p[4]) {
    case 1:
        if (s != NULL) {
            servo_reply(b, s, NULL, 0);
        }
        break;
    case 2:
        if (s != NULL && n_arg == 2 && arg[0] + arg[1] <= (int)sizeof s->reg) {
            servo_reply(b, s, s->reg + arg[0], arg[1]);
        }
        break;
    case 3:
        if (s != NULL && n_arg >= 2) {
            servo_write(s, arg[0], arg + 1, (int)n_arg - 1);
            servo_reply(b, s, NULL, 0); /* of the old id, when it is the id */
            s->id = s->reg[5];
        }
        break;
    case 0x82:
        b->sync_reads++;
        for (size_t i = 2; i < n_arg; i++) {
            s = servo_find(b, arg[i]);
            if (s != NULL && arg[0] + arg[1] <= (int)sizeof s->reg) {
                servo_reply(b, s, s->reg + arg[0], arg[1]);
            }
        }
        break;
    case 0x83:
        b->sync_writes++;
        for (size_t i = 2; i + arg[1] < n_arg; i += 1U + arg[1]) {
            s = servo_find(b, arg[i]);
            if (s != NULL) {
                servo_write(s, arg[0], arg + i + 1, arg[1]);
            }
        }
        break;
    default:
        b->bad_requests++;
    }
}

static inline void servo_take_requests(servo_bus *b) {
    for (;;) {
        size_t skip = 0;
        while (skip < b->n_in && b->in[skip] != 0xFF) {
            skip++;
        }
        memmove(b->in, b->in + skip, b->n_in - skip);
        b->n_in -= skip;
        if (b->n_in < 6 || b->n_in < 4U + b->in[3]) {
            return;
        }
        size_t n = 4U + b->in[3];
        unsigned sum = 0;
        for (size_t i = 2; i < n; i++) {
            sum += b->in[i];
        }
        bool good = b->in[1] == 0xFF && b->in[3] >= 2 && (sum & 255) == 255;
        if (!good) { /* the driver's requests are never wrong */
            b->bad_requests++;
            memmove(b->in, b->in + 1, --b->n_in);
            continue;
        }
        b->requests++;
        if (!servo_take(&b->deaf)) {
            double now = servo_time();
            for (int i = 0; i < b->n; i++) {
                servo_move(&b->servo[i], now - b->now_s);
            }
            b->now_s = now;
            if (b->echo) {
                servo_send(b, b->in, n);
            }
            if (b->babble) {
                servo_send(b, b->in + 2, 3);
            } else {
                servo_serve(b, b->in, n);
            }
        }
        memmove(b->in, b->in + n, b->n_in - n);
        b->n_in -= n;
    }
}

static inline void *servo_thread(void *arg) {
    servo_bus *b = arg;
    for (;;) {
        struct pollfd p = {.fd = b->master, .events = POLLIN};
        int ready = poll(&p, 1, 20);
        pthread_mutex_lock(&b->lock);
        bool quit = b->quit;
        if (!quit && ready > 0) {
            ssize_t n = read(b->master, b->in + b->n_in, sizeof b->in - b->n_in);
            b->n_in += n > 0 ? (size_t)n : 0;
            servo_take_requests(b);
            b->n_in = b->n_in == sizeof b->in ? 0 : b->n_in;
        } else if (!quit && b->babble) {
            servo_send(b, (const uint8_t *)"\xFF\xFF\x01\x40noise", 9);
        }
        pthread_mutex_unlock(&b->lock);
        if (quit) {
            return NULL;
        }
    }
}

/* A servo as it comes from the factory: 12 V or 7.4 V type, in the middle. */
static inline void servo_factory(servo *s, uint8_t id) {
    memset(s, 0, sizeof *s);
    s->id = id;
    s->actual = 2048;
    s->reg[0] = 3;
    s->reg[1] = 10;
    s->reg[3] = 777 & 255;
    s->reg[4] = 777 >> 8;
    s->reg[5] = id;
    s->reg[7] = 250;
    servo_put(s, 11, 15, 4095);
    s->reg[13] = 70;
    s->reg[14] = 140;
    s->reg[15] = 40;
    servo_put(s, 16, 15, 1000);
    s->reg[18] = 12 | 0x10;
    s->reg[21] = 32;
    s->reg[22] = 32;
    servo_put(s, 28, 15, 500);
    s->reg[36] = 80;
    servo_put(s, 48, 15, 1000);
    servo_put(s, 42, 15, 2048);
    s->reg[55] = 1;
    s->reg[62] = 74;
    s->reg[63] = 31;
}

static inline void servo_bus_open(servo_bus *b, int n) {
    memset(b, 0, sizeof *b);
    b->n = n;
    b->chance = 1;
    for (int i = 0; i < n; i++) {
        servo_factory(&b->servo[i], (uint8_t)(i + 1));
    }
    b->master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    CHECK(b->master >= 0 && grantpt(b->master) == 0 && unlockpt(b->master) == 0);
    CHECK_INT(ptsname_r(b->master, b->port, sizeof b->port), 0);
    b->keep = open(b->port, O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios t;
    CHECK(b->keep >= 0 && tcgetattr(b->keep, &t) == 0);
    cfmakeraw(&t);
    CHECK_INT(tcsetattr(b->keep, TCSANOW, &t), 0);
    pthread_mutex_init(&b->lock, NULL);
    b->now_s = servo_time();
    CHECK_INT(pthread_create(&b->thread, NULL, servo_thread, b), 0);
}

/* The cable is pulled: the driver's side hangs up. */
static inline void servo_bus_unplug(servo_bus *b) {
    SERVO_SET(b, quit, true);
    pthread_join(b->thread, NULL);
    close(b->master);
    close(b->keep);
    b->master = b->keep = -1;
}

static inline void servo_bus_close(servo_bus *b) {
    if (b->master >= 0) {
        servo_bus_unplug(b);
    }
    pthread_mutex_destroy(&b->lock);
}

#endif /* TESTS_ROBOT_SERVO_BUS_H */
