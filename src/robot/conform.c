/* conform.c - see conform.h. A check returns FW_OK, or FW_AGAIN (skipped), or anything else, with the reason in err. */
#include "robot/conform.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum { READS = 30, HOLD_CYCLES = 40, MOVE_CYCLES = 300, FRAME_MS = 3000 };
#define STEP_RAD 0.05F
#define STEP_M   0.005F
#define NEAR     0.5F /* of a step: what holding and arriving may miss */

typedef struct ctx {
    const char *name, *config;
    bool move;
    fw_driver *d; /* NULL when it could not be opened */
    bool started;
} ctx;

static fw_status wrong(fw_err *err, const char *text) {
    return fw_fail(err, FW_FORMAT, "%s", text);
}

static void sleep_ms(int ms) {
    fw_clock_real()->sleep_until_ns(fw_clock_real()->self, fw_now_ns() + ms * 1000000LL);
}

static int cycle_ms(const ctx *c) {
    const float ms = ceilf(1000 / fw_driver_get_info(c->d)->rate_hz);
    return ms < 5 ? 5 : ms > 1000 ? 1000 : (int)ms;
}

/* --- opening */

static fw_status refuses_bad_configs(ctx *c, fw_err *err) {
    static const char *const bad[] = {"", "{", "[]", "null", "{\"no_such_key_of_any_driver\": 1}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fw_driver *d = NULL;
        fw_err e = {0};
        const fw_status st = fw_driver_open(c->name, bad[i], &d, &e);
        if (st == FW_OK || d != NULL) {
            fw_driver_close(&d);
            return fw_fail(err, FW_FORMAT, "opened with the config '%s'", bad[i]);
        }
        if (e.code != st || e.msg[0] == 0) {
            return fw_fail(err, FW_FORMAT, "refused the config '%s' without a word", bad[i]);
        }
    }
    return FW_OK;
}

static fw_status opens_twice_and_closes(ctx *c, fw_err *err) {
    for (int i = 0; i < 2; i++) {
        fw_driver *d = NULL;
        FW_TRY(fw_driver_open(c->name, c->config, &d, err));
        fw_driver_close(&d);
        fw_driver_close(&d);
    }
    return fw_driver_open(c->name, c->config, &c->d, err);
}

static fw_status describes_itself_the_same_way(ctx *c, fw_err *err) {
    fw_driver *d = NULL;
    FW_TRY(fw_driver_open(c->name, c->config, &d, err));
    const fw_driver_info *a = fw_driver_get_info(c->d), *b = fw_driver_get_info(d);
    bool same = a->n_axis == b->n_axis && a->n_camera == b->n_camera && strcmp(a->name, b->name) == 0;
    for (int i = 0; same && i < a->n_axis; i++) {
        same = strcmp(a->axis[i].name, b->axis[i].name) == 0 && a->axis[i].min == b->axis[i].min &&
               a->axis[i].max == b->axis[i].max;
        for (int k = 0; k < i; k++) {
            if (strcmp(a->axis[i].name, a->axis[k].name) == 0) {
                fw_driver_close(&d);
                return fw_fail(err, FW_FORMAT, "two axes are called '%s'", a->axis[i].name);
            }
        }
    }
    fw_driver_close(&d);
    return same ? FW_OK : wrong(err, "opened twice with one config, it is two things");
}

static fw_status needs_a_start(ctx *c, fw_err *err) {
    fw_driver_state s;
    fw_driver_frame f;
    fw_driver_command cmd = {.n_axis = fw_driver_get_info(c->d)->n_axis};
    const bool refused = fw_driver_read(c->d, &s, NULL) == FW_INVALID &&
                         fw_driver_write(c->d, &cmd, NULL) == FW_INVALID &&
                         fw_driver_frame_latest(c->d, 0, &f, NULL) == FW_INVALID;
    fw_driver_stop(c->d); /* without a start: nothing */
    return refused ? FW_OK : wrong(err, "read, write or frame worked before start");
}

static fw_status starts(ctx *c, fw_err *err) {
    FW_TRY(fw_driver_start(c->d, err));
    c->started = true;
    return fw_driver_start(c->d, NULL) == FW_INVALID ? FW_OK : wrong(err, "a second start worked");
}

/* --- measuring */

static fw_status measures_every_axis(ctx *c, fw_err *err) {
    const fw_driver_info *info = fw_driver_get_info(c->d);
    int valid[FW_DRIVER_AXIS_MAX] = {0};
    for (int k = 0; k < READS; k++) {
        fw_driver_state s;
        const fw_status st = fw_driver_read(c->d, &s, err);
        if (st != FW_OK && st != FW_TIMEOUT) {
            return st;
        }
        for (int i = 0; i < info->n_axis; i++) {
            const fw_driver_sample *x = &s.axis[i];
            valid[i] += x->valid;
            if (x->valid && fw_now_ns() - x->t_ns > info->read_bound_us * 1000LL + 500000000) {
                return fw_fail(err, FW_FORMAT, "axis %s: a measurement %.3f s old", info->axis[i].name,
                               1e-9 * (double)(fw_now_ns() - x->t_ns));
            }
        }
        sleep_ms(cycle_ms(c));
    }
    for (int i = 0; i < info->n_axis; i++) {
        if (valid[i] < READS * 9 / 10) {
            return fw_fail(err, FW_TIMEOUT, "axis %s: %d of %d reads were valid, wanted nine of ten",
                           info->axis[i].name, valid[i], READS);
        }
    }
    return FW_OK;
}

static fw_status read_keeps_its_bound(ctx *c, fw_err *err) {
    const fw_driver_info *info = fw_driver_get_info(c->d);
    int over = 0;
    for (int k = 0; k < READS; k++) {
        fw_driver_state s;
        const int64_t t = fw_now_ns();
        (void)!fw_driver_read(c->d, &s, NULL);
        over += fw_now_ns() - t > info->read_bound_us * 1000LL;
        sleep_ms(cycle_ms(c));
    }
    return over <= READS / 2 /* a busy machine */ ? FW_OK
                                                  : fw_fail(err, FW_TIMEOUT, "%d of %d reads took longer than %u us",
                                                            over, READS, info->read_bound_us);
}

/* The farthest any axis goes from where it is, in steps, in n cycles; with cmd, which is written in each. */
static fw_status watch(ctx *c, const fw_driver_command *cmd, int n, fw_driver_state *last, float *strayed,
                       fw_err *err) {
    const fw_driver_info *info = fw_driver_get_info(c->d);
    fw_driver_state first;
    FW_TRY(fw_driver_read(c->d, &first, err));
    *strayed = 0;
    for (int k = 0; k < n; k++) {
        if (cmd != NULL) {
            FW_TRY(fw_driver_write(c->d, cmd, err));
        }
        sleep_ms(cycle_ms(c));
        FW_TRY(fw_driver_read(c->d, last, err));
        for (int i = 0; i < info->n_axis; i++) {
            const float step = info->axis[i].slide ? STEP_M : STEP_RAD;
            *strayed = fmaxf(*strayed, fabsf(last->axis[i].position - first.axis[i].position) / step);
        }
    }
    return FW_OK;
}

static fw_status torque_is_off_after_start(ctx *c, fw_err *err) {
    fw_driver_state s;
    float strayed;
    FW_TRY(watch(c, NULL, HOLD_CYCLES / 2, &s, &strayed, err));
    if (s.torque_on) {
        return wrong(err, "its torque is on");
    }
    return strayed < NEAR ? FW_OK
                          : fw_fail(err, FW_UNSAFE, "it moved by %.2f steps without a command", (double)strayed);
}

/* --- commanding */

static fw_status here(ctx *c, fw_driver_command *cmd, fw_err *err) {
    fw_driver_state s;
    FW_TRY(fw_driver_read(c->d, &s, err));
    *cmd = (fw_driver_command){.n_axis = s.n_axis, .torque_on = true};
    for (int i = 0; i < s.n_axis; i++) {
        const fw_driver_axis *a = &fw_driver_get_info(c->d)->axis[i];
        cmd->position[i] = fminf(fmaxf(s.axis[i].position, a->min), a->max);
        cmd->effort_max[i] = INFINITY;
    }
    return FW_OK;
}

static fw_status bad_commands_are_refused(ctx *c, fw_err *err) {
    const fw_driver_axis *a = &fw_driver_get_info(c->d)->axis[0];
    fw_driver_command good, bad;
    float strayed;
    fw_driver_state s;
    FW_TRY(here(c, &good, err));
    const float values[] = {NAN, INFINITY, -INFINITY, a->max + 0.01F, a->min - 0.01F};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        bad = good;
        bad.position[0] = values[i];
        if (fw_driver_write(c->d, &bad, NULL) == FW_OK) {
            return fw_fail(err, FW_UNSAFE, "took the target %g", (double)values[i]);
        }
    }
    bad = good;
    bad.n_axis++;
    if (fw_driver_write(c->d, &bad, NULL) == FW_OK) {
        return wrong(err, "took a command of another robot");
    }
    FW_TRY(watch(c, NULL, 10, &s, &strayed, err));
    return strayed < NEAR && !s.torque_on ? FW_OK : wrong(err, "it moved after refused commands");
}

static fw_status torque_off_is_taken_at_any_time(ctx *c, fw_err *err) {
    const fw_driver_command off = {.n_axis = fw_driver_get_info(c->d)->n_axis};
    for (int i = 0; i < 3; i++) {
        FW_TRY(fw_driver_write(c->d, &off, err));
    }
    return FW_OK;
}

static fw_status holds_where_torque_comes_on(ctx *c, fw_err *err) {
    fw_driver_command cmd;
    fw_driver_state s;
    float strayed;
    if (!c->move) {
        return fw_fail(err, FW_AGAIN, "it may not move (--move)");
    }
    FW_TRY(here(c, &cmd, err));
    FW_TRY(watch(c, &cmd, HOLD_CYCLES, &s, &strayed, err));
    if (!s.torque_on) {
        return wrong(err, "its torque is not on");
    }
    return strayed < NEAR ? FW_OK
                          : fw_fail(err, FW_UNSAFE, "it moved by %.2f steps when told to hold", (double)strayed);
}

/* An axis with room for a step, and which way. */
static int roomy(const ctx *c, const fw_driver_command *cmd, float *step) {
    const fw_driver_info *info = fw_driver_get_info(c->d);
    for (int i = 0; i < info->n_axis; i++) {
        *step = info->axis[i].slide ? STEP_M : STEP_RAD;
        if (cmd->position[i] + *step < info->axis[i].max) {
            return i;
        }
        *step = -*step;
        if (cmd->position[i] + *step > info->axis[i].min) {
            return i;
        }
    }
    return -1;
}

static fw_status go(ctx *c, const fw_driver_command *cmd, int axis, fw_err *err) {
    fw_driver_state s = {0};
    const float step = fw_driver_get_info(c->d)->axis[axis].slide ? STEP_M : STEP_RAD;
    for (int k = 0; k < MOVE_CYCLES; k++) {
        FW_TRY(fw_driver_write(c->d, cmd, err));
        sleep_ms(cycle_ms(c));
        FW_TRY(fw_driver_read(c->d, &s, err));
        if (fabsf(s.axis[axis].position - cmd->position[axis]) < NEAR * step) {
            return FW_OK;
        }
    }
    return fw_fail(err, FW_TIMEOUT, "axis %s: wanted at %g, is at %g after %d cycles",
                   fw_driver_get_info(c->d)->axis[axis].name, (double)cmd->position[axis],
                   (double)s.axis[axis].position, MOVE_CYCLES);
}

static fw_status goes_where_it_is_told(ctx *c, fw_err *err) {
    fw_driver_command cmd;
    float step = 0;
    if (!c->move) {
        return fw_fail(err, FW_AGAIN, "it may not move (--move)");
    }
    FW_TRY(here(c, &cmd, err));
    const int axis = roomy(c, &cmd, &step);
    if (axis < 0) {
        return fw_fail(err, FW_AGAIN, "no axis has room to move");
    }
    cmd.position[axis] += step;
    FW_TRY(go(c, &cmd, axis, err));
    cmd.position[axis] -= step;
    FW_TRY(go(c, &cmd, axis, err));
    cmd.torque_on = false;
    return fw_driver_write(c->d, &cmd, err);
}

/* --- cameras */

static fw_status camera_runs(ctx *c, int i, fw_err *err) {
    fw_driver_frame f = {0};
    fw_status st = FW_AGAIN;
    uint64_t first = 0;
    for (const int64_t end = fw_now_ns() + FRAME_MS * 1000000LL; fw_now_ns() < end; sleep_ms(5)) {
        st = fw_driver_frame_latest(c->d, i, &f, err);
        if (st == FW_OK && first != 0 && f.seq > first) {
            return fw_now_ns() - f.t_ns < 1000000000 ? FW_OK : wrong(err, "a picture more than a second old");
        }
        first = st == FW_OK && first == 0 ? f.seq : first;
        if (st != FW_OK && st != FW_AGAIN) {
            return st;
        }
    }
    return fw_fail(err, FW_TIMEOUT, "camera %s: no second picture in %d ms", fw_driver_get_info(c->d)->camera[i].name,
                   FRAME_MS);
}

static fw_status cameras_give_new_pictures(ctx *c, fw_err *err) {
    const int n = fw_driver_get_info(c->d)->n_camera;
    if (n == 0) {
        return fw_fail(err, FW_AGAIN, "it has no cameras");
    }
    for (int i = 0; i < n; i++) {
        FW_TRY(camera_runs(c, i, err));
    }
    fw_driver_frame f;
    return fw_driver_frame_latest(c->d, n, &f, NULL) == FW_INVALID ? FW_OK : wrong(err, "one camera too many");
}

/* --- stopping */

static fw_status stops_and_starts_again(ctx *c, fw_err *err) {
    fw_driver_state s;
    fw_driver_stop(c->d);
    fw_driver_stop(c->d);
    if (fw_driver_read(c->d, &s, NULL) != FW_INVALID) {
        return wrong(err, "read worked after stop");
    }
    FW_TRY(fw_driver_start(c->d, err));
    FW_TRY(fw_driver_read(c->d, &s, err));
    return s.torque_on ? wrong(err, "its torque is on after a second start") : FW_OK;
}

static fw_status closes_while_it_runs(ctx *c, fw_err *err) {
    fw_driver_close(&c->d);
    FW_TRY(fw_driver_open(c->name, c->config, &c->d, err)); /* everything was given back: the device can be had again */
    FW_TRY(fw_driver_start(c->d, err));
    fw_driver_close(&c->d);
    return FW_OK;
}

typedef struct check {
    const char *claim;
    fw_status (*fn)(ctx *c, fw_err *err);
    bool open, started; /* what it needs */
} check;

static const check checks[] = {
    {"bad configs are refused with a reason", refuses_bad_configs, false, false},
    {"opens and closes, twice", opens_twice_and_closes, false, false},
    {"describes itself the same way each time", describes_itself_the_same_way, true, false},
    {"reads and writes nothing before start", needs_a_start, true, false},
    {"starts", starts, true, false},
    {"torque is off after start, nothing moves", torque_is_off_after_start, true, true},
    {"every axis is measured, times rise and are fresh", measures_every_axis, true, true},
    {"read keeps its bound", read_keeps_its_bound, true, true},
    {"bad commands are refused, nothing moves", bad_commands_are_refused, true, true},
    {"torque off is taken at any time", torque_off_is_taken_at_any_time, true, true},
    {"holds still when torque comes on", holds_where_torque_comes_on, true, true},
    {"goes where it is told, and back", goes_where_it_is_told, true, true},
    {"cameras give new pictures", cameras_give_new_pictures, true, true},
    {"stops, and starts again", stops_and_starts_again, true, true},
    {"closes while it runs, and can be had again", closes_while_it_runs, true, true},
};

void fw_driver_conform(const char *name_or_path, const char *config, bool move,
                       void (*shown)(const fw_conform_check *c, void *ctx), void *shown_ctx, fw_conform *out) {
    ctx c = {.name = name_or_path, .config = config, .move = move};
    *out = (fw_conform){0};
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        fw_conform_check *r = &out->check[out->n++];
        fw_err err = {0};
        r->claim = checks[i].claim;
        if ((checks[i].open && c.d == NULL) || (checks[i].started && !c.started)) {
            r->result = FW_CONFORM_SKIPPED;
            snprintf(r->why, sizeof r->why, "it did not %s", c.d == NULL ? "open" : "start");
        } else {
            const fw_status st = checks[i].fn(&c, &err);
            r->result = st == FW_OK ? FW_CONFORM_OK : st == FW_AGAIN ? FW_CONFORM_SKIPPED : FW_CONFORM_FAILED;
            snprintf(r->why, sizeof r->why, "%s", st == FW_OK ? "" : err.msg);
        }
        out->failed += r->result == FW_CONFORM_FAILED;
        if (shown != NULL) {
            shown(r, shown_ctx);
        }
    }
    fw_driver_close(&c.d);
}
