/* feed.h - a robot for tests of the page: it tells a state ten times a second, shows two pictures, and remembers what it was told */
#ifndef FW_TEST_FEED_H
#define FW_TEST_FEED_H

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/jpeg.h"
#include "base/json.h"
#include "base/log.h"
#include "console/console.h"
#include "fw_test.h"

enum { FEED_HEARD = 4096, FEED_JOINTS = 7, FEED_HORIZON = 16 };

typedef struct feed_heard {
    fw_console_command cmd;
    uint64_t who;
    int64_t t_ns;
} feed_heard;

typedef struct feed {
    fw_console *c;
    pthread_t thread;
    atomic_bool stop, silent; /* silent: no state is told */
    pthread_mutex_t lock;     /* of all below */
    feed_heard heard[FEED_HEARD];
    int n_heard, n_left;
    uint64_t holder;
    const char *mode, *severity, *fault;
    bool leans; /* on something: a contact that stays until torque is off */
    char sentence[FW_CONSOLE_TEXT_MAX];
    int64_t tick;
    float x[4], gripper; /* where an operator moved it */
} feed;

/* What a robot does about it: enough to see the page follow. Under the lock. */
static inline bool feed_act(feed *f, uint64_t who, const fw_console_command *cmd, char *why, size_t cap) {
    switch (cmd->verb) {
    case FW_CONSOLE_SAY:
        strcpy(f->sentence, cmd->text);
        return true;
    case FW_CONSOLE_START:
        f->mode = "autonomous";
        return true;
    case FW_CONSOLE_STOP:
        f->mode = "standby", f->severity = "stop", f->fault = "the stop button was pressed", f->holder = 0;
        return true;
    case FW_CONSOLE_ACKNOWLEDGE:
        if (f->leans) {
            return true; /* it is stopped again at once */
        }
        f->mode = "standby", f->severity = "none", f->fault = NULL;
        return true;
    case FW_CONSOLE_OFF:
        f->mode = "silent", f->leans = false;
        return true;
    case FW_CONSOLE_TAKE:
        if (f->holder != 0 && f->holder != who) {
            snprintf(why, cap, "operator %llu drives", (unsigned long long)f->holder);
            return false;
        }
        f->mode = "teleoperated", f->holder = who;
        return true;
    case FW_CONSOLE_GIVE:
        f->mode = "autonomous", f->holder = 0;
        return true;
    case FW_CONSOLE_MOVE:
        for (int i = 0; i < 4; i++) {
            f->x[i] += 0.01f * cmd->step[i];
        }
        return f->holder == who;
    default:
        return true;
    }
}

static inline bool feed_command(void *self, uint64_t who, const fw_console_command *cmd, char *why, size_t cap) {
    feed *f = self;
    pthread_mutex_lock(&f->lock);
    const bool ok = feed_act(f, who, cmd, why, cap);
    if (f->n_heard < FEED_HEARD) {
        f->heard[f->n_heard++] = (feed_heard){*cmd, who, fw_now_ns()};
    }
    pthread_mutex_unlock(&f->lock);
    return ok;
}

static inline void feed_left(void *self, uint64_t who) {
    feed *f = self;
    pthread_mutex_lock(&f->lock);
    f->n_left++;
    if (f->holder == who) {
        f->holder = 0, f->severity = "hold", f->fault = "nothing comes from the operator";
    }
    pthread_mutex_unlock(&f->lock);
}

/* An arm that sways: its links, and the angles they come from. */
static inline json_t *feed_links(const feed *f, double q[FEED_JOINTS]) {
    static const double length[FEED_JOINTS] = {0.14, 0.19, 0.32, 0.08, 0.38, 0.09, 0.11},
                        radius[FEED_JOINTS] = {0.06, 0.06, 0.06, 0.055, 0.05, 0.045, 0.03};
    static const double rest[FEED_JOINTS] = {0, 0, 0.35, 0.5, 1.25, 0.55, 0.5};
    double p[3] = {0, 0, 0}, bend = 0;
    json_t *links = json_array();
    const double turn = 0.4 * sin((double)f->tick / 40) + (double)f->x[1];
    for (int i = 0; i < FEED_JOINTS; i++) {
        q[i] = rest[i] + (i > 1 ? 0.06 * sin((double)f->tick / 25 + i) : 0);
        bend += q[i];
        const double to[3] = {p[0] + length[i] * sin(bend) * cos(turn), p[1] + length[i] * sin(bend) * sin(turn),
                              p[2] + length[i] * cos(bend)};
        json_array_append_new(links, json_pack("[f,f,f,f,f,f,f]", p[0], p[1], p[2], to[0], to[1], to[2], radius[i]));
        memcpy(p, to, sizeof p);
    }
    q[0] = turn;
    return links;
}

static inline json_t *feed_axes(const double q[FEED_JOINTS]) {
    json_t *axes = json_array();
    char name[16];
    for (int i = 0; i < FEED_JOINTS; i++) {
        snprintf(name, sizeof name, "joint%d", i + 1);
        json_array_append_new(axes, json_pack("{s:s,s:f,s:f,s:f,s:f,s:f,s:f}", "name", name, "q", q[i], "v",
                                              0.03 * cos(q[i] * 9), "effort", 12.0 - 1.7 * i, "command", q[i] + 0.02,
                                              "min", -2.9, "max", 2.9));
    }
    return axes;
}

static inline char *feed_state(feed *f) {
    double q[FEED_JOINTS];
    const bool alone = strcmp(f->mode, "autonomous") == 0;
    const int row = alone ? (int)(f->tick % FEED_HORIZON) : 0;
    json_t *links = feed_links(f, q);
    json_t *s = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:f,s:o,s:o,s:I,s:i}", "robot", "panda", "embodiment",
                          "panda_kitchen", "policy", "flywheel-s", "mode", f->mode, "severity", f->severity, "sentence",
                          f->sentence, "holder", (json_int_t)f->holder, "t_s", 0.1 * (double)f->tick, "axes",
                          feed_axes(q), "links", links, "cycles", (json_int_t)f->tick * 20, "misses", 3);
    json_object_set_new(s, "faults", f->fault != NULL ? json_pack("[s]", f->fault) : json_array());
    json_object_set_new(s, "stopped", json_boolean(strcmp(f->severity, "stop") == 0));
    json_object_set_new(s, "why", json_string(f->fault != NULL ? f->fault : ""));
    json_object_set_new(s, "subtask", json_string(alone ? "reach for the mug" : ""));
    json_object_set_new(s, "chunk",
                        json_pack("{s:I,s:i,s:i,s:f,s:i,s:f}", "n", (json_int_t)(f->tick / FEED_HORIZON), "row", row,
                                  "horizon", FEED_HORIZON, "infer_ms", 84.0, "delay_rows", 2, "jump", 0.12));
    json_object_set_new(s, "failure", json_real(0.25 + 0.2 * sin((double)f->tick / 17)));
    json_object_set_new(s, "latency_ms", json_pack("{s:f,s:f}", "p50", 84.0, "p99", 131.0));
    json_object_set_new(s, "cameras",
                        json_pack("[{s:s,s:i,s:i,s:f},{s:s,s:i,s:i,s:f}]", "name", "front", "w", 160, "h", 120, "age_s",
                                  0.03, "name", "wrist", "w", 160, "h", 120, "age_s", 0.05));
    json_object_set_new(s, "recording",
                        json_pack("{s:b,s:i,s:I,s:I}", "on", 1, "episode", 3, "frames", (json_int_t)f->tick,
                                  "acknowledged", (json_int_t)f->tick - 4));
    char *text = json_dumps(s, JSON_COMPACT);
    json_decref(s);
    return text;
}

/* A floor with a light spot that walks over it. */
static inline void feed_picture(feed *f, int camera) {
    enum { W = 160, H = 120 };
    static uint8_t rgb[H][W][3];
    uint8_t *jpeg;
    size_t n;
    const double cx = W / 2.0 + 40 * cos((double)f->tick / 20 + camera), cy = 70 + 20 * sin((double)f->tick / 15);
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            const bool spot = hypot(x - cx, y - cy) < 14, board = ((x / 20) + (y / 20)) % 2 == 0;
            const uint8_t grey = (uint8_t)(board ? 150 + y / 2 : 130 + y / 2);
            rgb[y][x][0] = spot ? 222 : grey;
            rgb[y][x][1] = spot ? (uint8_t)(camera == 0 ? 90 : 170) : grey;
            rgb[y][x][2] = spot ? 60 : (uint8_t)(grey - 12);
        }
    }
    if (fw_jpeg_encode(&rgb[0][0][0], H, W, 85, &jpeg, &n, NULL) == FW_OK) {
        fw_console_picture(f->c, camera, jpeg, n);
        free(jpeg);
    }
}

static inline void *feed_run(void *self) {
    feed *f = self;
    while (!atomic_load(&f->stop)) {
        pthread_mutex_lock(&f->lock);
        f->tick++;
        char *text = feed_state(f);
        pthread_mutex_unlock(&f->lock);
        if (!atomic_load(&f->silent)) {
            fw_console_state(f->c, text);
            feed_picture(f, 0);
            feed_picture(f, 1);
        }
        free(text);
        usleep(100000);
    }
    return NULL;
}

static inline void feed_start(feed *f, fw_console_opts o) {
    const fw_console_events on = {.ctx = f, .command = feed_command, .left = feed_left};
    fw_err err = {0};
    memset(f, 0, sizeof *f);
    fw_log_set_level(FW_LOG_ERROR);
    f->mode = "standby", f->severity = "none";
    pthread_mutex_init(&f->lock, NULL);
    if (fw_console_start(&o, &on, &f->c, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    fw_console_log(f->c, "flywheel run: panda in kitchen3, policy flywheel-s");
    fw_console_log(f->c, "episode 3 is being recorded");
    CHECK(pthread_create(&f->thread, NULL, feed_run, f) == 0);
}

static inline void feed_stop(feed *f) {
    atomic_store(&f->stop, true);
    pthread_join(f->thread, NULL);
    fw_console_stop(f->c);
    pthread_mutex_destroy(&f->lock);
}

static inline int feed_count(feed *f) {
    pthread_mutex_lock(&f->lock);
    const int n = f->n_heard;
    pthread_mutex_unlock(&f->lock);
    return n;
}

/* The first command of this verb from `first` on; waits for it. */
static inline feed_heard feed_wait(feed *f, int first, fw_console_verb verb) {
    for (int tries = 0; tries < 1000; tries++) {
        pthread_mutex_lock(&f->lock);
        for (int i = first; i < f->n_heard; i++) {
            if (f->heard[i].cmd.verb == verb) {
                const feed_heard h = f->heard[i];
                pthread_mutex_unlock(&f->lock);
                return h;
            }
        }
        pthread_mutex_unlock(&f->lock);
        usleep(5000);
    }
    FW_FAILED("no '%s' came within 5 s", fw_console_verb_name(verb));
}

#endif /* FW_TEST_FEED_H */
