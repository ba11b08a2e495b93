/*
 * template.c - a driver for flywheel as a shared object of its own: begin here.
 *
 *     cc -std=c11 -Wall -O2 -fPIC -shared -I include examples/driver/template.c -o mydriver.so -lm
 *     flywheel driver check ./mydriver.so --config '{"start": [0.1, -0.2]}' --move
 *
 * It drives two imagined motors: each runs to its target at 2 rad/s while its torque is on. Replace what is between the arrows by your
 * hardware, and run the check until nothing is wrong. include/fw/driver.h says what each function owes; in short:
 *   - open reads the config and allocates; start touches hardware, with torque off; read and write come every cycle from one thread,
 *     allocate nothing and come back within the bounds that describe gives, whatever the hardware does
 *   - a measurement carries the time at which it was made (CLOCK_MONOTONIC), and valid = false when it was not made
 *   - every failure says who, where, what was wanted and what was found
 * The host has already refused targets that are no numbers, out of range or too far away when torque comes on.
 */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fw/driver.h"

enum { AXES = 2 };
#define SPEED_RAD_S 2.0

struct fw_driver_dev {
    double start[AXES]; /* config */
    int started, torque_on;
    double position[AXES], target[AXES]; /* --> your hardware */
    int64_t moved_ns;                    /* <-- */
};

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static fw_status fail(fw_err *err, fw_status code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    err->code = code;
    return code;
}

/* The config is JSON text; use any parser. This one knows exactly  {}  and  {"start": [a, b]}. */
static fw_status parse(const char *text, struct fw_driver_dev *d, fw_err *err) {
    int end = 0;
    if (sscanf(text, " { } %n", &end) == 0 && end > 0 && text[end] == 0) {
        return FW_OK;
    }
    end = 0;
    if (sscanf(text, " { \"start\" : [ %lf , %lf ] } %n", &d->start[0], &d->start[1], &end) != 2 || end == 0 ||
        text[end] != 0) {
        return fail(err, FW_FORMAT, "template: wanted {\"start\": [rad, rad]}, found '%.80s'", text);
    }
    for (int i = 0; i < AXES; i++) {
        if (!(fabs(d->start[i]) <= 1.5)) {
            return fail(err, FW_INVALID, "template: start[%d]: wanted -1.5..1.5 rad, found %g", i, d->start[i]);
        }
    }
    return FW_OK;
}

static fw_status template_open(const char *config, fw_driver_dev **out, fw_err *err) {
    struct fw_driver_dev *d = calloc(1, sizeof *d);
    *out = NULL;
    if (d == NULL) {
        return fail(err, FW_NOMEM, "template: no memory");
    }
    const fw_status st = parse(config, d, err);
    if (st != FW_OK) {
        free(d);
        return st;
    }
    *out = d;
    return FW_OK;
}

static void template_describe(const fw_driver_dev *d, fw_driver_info *out) {
    static const char *const names[AXES] = {"left", "right"};
    (void)d;
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "template");
    snprintf(out->where, sizeof out->where, "nowhere");
    out->n_axis = AXES;
    for (int i = 0; i < AXES; i++) {
        snprintf(out->axis[i].name, sizeof out->axis[i].name, "%s", names[i]);
        out->axis[i].min = -1.57F;
        out->axis[i].max = 1.57F;
        out->axis[i].effort = FW_DRIVER_EFFORT_NONE;
    }
    out->read_bound_us = out->write_bound_us = 1000;
    out->rate_hz = 500;
}

static fw_status template_start(fw_driver_dev *d, fw_err *err) {
    (void)err; /* --> connect; ask every motor whether it is there and well; torque off <-- */
    memcpy(d->position, d->start, sizeof d->position);
    d->moved_ns = now_ns();
    d->torque_on = 0;
    d->started = 1;
    return FW_OK;
}

/* --> your hardware does this by itself */
static void move(fw_driver_dev *d) {
    const int64_t now = now_ns();
    const double most = SPEED_RAD_S * 1e-9 * (double)(now - d->moved_ns);
    for (int i = 0; i < AXES && d->torque_on; i++) {
        d->position[i] += fmax(-most, fmin(most, d->target[i] - d->position[i]));
    }
    d->moved_ns = now;
}
/* <-- */

static fw_status template_read(fw_driver_dev *d, fw_driver_state *out, fw_err *err) {
    (void)err;
    memset(out, 0, sizeof *out);
    move(d);
    out->n_axis = AXES;
    for (int i = 0; i < AXES; i++) {
        fw_driver_sample *s = &out->axis[i];
        s->valid = true;
        s->t_ns = d->moved_ns;
        s->position = (float)d->position[i];
        s->temperature = s->voltage = NAN; /* not measured */
    }
    return FW_OK;
}

static fw_status template_write(fw_driver_dev *d, const fw_driver_command *cmd, fw_err *err) {
    (void)err;
    move(d);
    for (int i = 0; i < AXES && cmd->torque_on; i++) {
        d->target[i] = (double)cmd->position[i];
    }
    d->torque_on = cmd->torque_on;
    return FW_OK;
}

static fw_status template_frame(fw_driver_dev *d, int i, fw_driver_frame *out, fw_err *err) {
    (void)d;
    (void)out;
    return fail(err, FW_INVALID, "template: camera %d of 0", i);
}

static void template_stop(fw_driver_dev *d) {
    d->torque_on = d->started = 0; /* --> and really off, as well as can be <-- */
}

static void template_close(fw_driver_dev *d) {
    if (d != NULL) {
        template_stop(d);
        free(d);
    }
}

static const fw_driver_api api = {
    FW_DRIVER_ABI,  sizeof(fw_driver_api), "template",     "start: [rad, rad], where the motors are at first",
    template_open,  template_describe,     template_start, template_read,
    template_write, template_frame,        template_stop,  template_close,
};

const fw_driver_api *fw_driver_api_of(uint32_t host_abi);
const fw_driver_api *fw_driver_api_of(uint32_t host_abi) {
    return host_abi == FW_DRIVER_ABI ? &api : NULL;
}
