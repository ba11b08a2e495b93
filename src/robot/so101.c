/* so101.c - see so101.h */
#include "robot/so101.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "robot/camera.h"
#include "robot/so101_arm.h"
#include "robot/so101_cal.h"
#include "robot/sts.h"

enum {
    FEEDBACK = 15,   /* bytes from POSITION to CURRENT */
    CAP_REPEAT = 64, /* torque caps are written when they change and every so many cycles: a sync write may get lost */
    TORQUE_FULL = 1000, /* TORQUE_LIMIT: 0.1 % */
    PATIENT_US = 30000  /* for an answer at start and stop, where nothing is in a hurry */
};
#define AMPERE_PER_UNIT 0.0065

typedef struct config {
    char port[256];
    fw_so101_cal cal;
    fw_so101_axis axis[FW_SO101_MOTORS];
    int64_t baud, retries, reply_us;
    double read_ms;  /* longest that a read of the cycle takes */
    double stall_nm; /* torque of TORQUE_LIMIT = 100 % */
    double nm_per_a; /* 0: effort is the current */
    bool stay_on;    /* stop leaves the torque on: the arm stays where it is */
} config;

struct fw_driver_dev {
    config c;
    fw_sts_bus bus;
    bool connected; /* the port is open */
    uint8_t ids[FW_SO101_MOTORS];
    bool torque_on; /* goals are followed */
    bool limp;      /* every servo has said that its torque is off */
    int32_t cap[FW_SO101_MOTORS];
    int since_cap; /* cycles since the caps were written */
    int64_t last_ns[FW_SO101_MOTORS];
    int n_cam;
    fw_cam *cam[FW_CAM_MAX];
    fw_cam_opts cam_opts[FW_CAM_MAX];
};

/* --- config */

static const char *const help =
    "port: \"/dev/ttyACM0\" (required)\n"
    "calibration: LeRobot's JSON file of this very arm (required)\n"
    "cameras: [{\"name\", \"source\": \"/dev/video0\", a video or a folder of PNGs, \"width\", \"height\", \"fps\", "
    "\"format\": \"mjpeg\" or \"yuyv\", \"loop\", \"timeout_ms\"}]\n"
    "joints: {\"shoulder_pan\": {\"sign\": 1 or -1, \"offset_rad\"}, ...}: from LeRobot's degrees to the embodiment's "
    "rad\n"
    "gripper: {\"closed_rad\": -0.1745, \"open_rad\": 1.7453}: rad at LeRobot's 0 and 100\n"
    "read_ms: 4, longest that a read takes; reply_us: 2000, silence that is no answer; retries: 2; baud: 1000000\n"
    "stall_nm: 1.91, torque of a servo at 100 %; nm_per_a: 0, when given effort is in Nm instead of A\n"
    "stay_on: false; true: stop leaves the torque on, the arm stays where it is";

static fw_status joint_config(const json_t *joints, int i, const char *where, fw_so101_axis *a, fw_err *err) {
    static const char *const known[] = {"sign", "offset_rad", NULL};
    char place[256];
    int64_t sign;
    const json_t *j = joints != NULL ? json_object_get(joints, fw_so101_names[i]) : NULL;
    *a = (fw_so101_axis){.sign = 1};
    if (j == NULL) {
        return FW_OK;
    }
    snprintf(place, sizeof place, "%s: joints: %s", where, fw_so101_names[i]);
    FW_TRY(fw_json_only(j, place, known, err));
    FW_TRY(fw_json_i64_or(j, "sign", place, -1, 1, 1, &sign, err));
    FW_TRY(fw_json_f64_or(j, "offset_rad", place, 0, &a->offset_rad, err));
    if (sign == 0 || fabs(a->offset_rad) > 7) {
        return fw_fail(err, FW_FORMAT, "%s: wanted sign 1 or -1 and an offset of a turn at most, found %d, %g", place,
                       (int)sign, a->offset_rad);
    }
    a->sign = (double)sign;
    return FW_OK;
}

static fw_status axes_config(const json_t *j, const char *where, config *c, fw_err *err) {
    static const char *const gripper_known[] = {"closed_rad", "open_rad", NULL};
    const char *joints_known[FW_SO101_MOTORS] = {NULL};
    const json_t *joints = json_object_get(j, "joints"), *grip = json_object_get(j, "gripper");
    fw_so101_axis *g = &c->axis[FW_SO101_GRIPPER];
    for (int i = 0; i < FW_SO101_GRIPPER; i++) {
        joints_known[i] = fw_so101_names[i];
    }
    FW_TRY(joints == NULL ? FW_OK : fw_json_only(joints, where, joints_known, err));
    for (int i = 0; i < FW_SO101_GRIPPER; i++) {
        FW_TRY(joint_config(joints, i, where, &c->axis[i], err));
    }
    *g = (fw_so101_axis){.sign = 1, .closed_rad = -0.174533, .open_rad = 1.74533};
    if (grip != NULL) {
        FW_TRY(fw_json_only(grip, where, gripper_known, err));
        FW_TRY(fw_json_f64(grip, "closed_rad", where, &g->closed_rad, err));
        FW_TRY(fw_json_f64(grip, "open_rad", where, &g->open_rad, err));
    }
    if (fabs(g->open_rad - g->closed_rad) < 0.01 || fabs(g->open_rad) > 7 || fabs(g->closed_rad) > 7) {
        return fw_fail(err, FW_FORMAT, "%s: gripper from %g to %g rad", where, g->closed_rad, g->open_rad);
    }
    return FW_OK;
}

static fw_status in_range(double x, double lo, double hi, const char *key, const char *where, fw_err *err) {
    return x >= lo && x <= hi ? FW_OK
                              : fw_fail(err, FW_FORMAT, "%s: key '%s': wanted %g..%g, found %g", where, key, lo, hi, x);
}

static fw_status bus_config(const json_t *j, const char *where, config *c, fw_err *err) {
    const char *port, *calibration;
    FW_TRY(fw_json_str(j, "port", where, &port, err));
    FW_TRY(fw_json_str(j, "calibration", where, &calibration, err));
    FW_TRY(fw_json_i64_or(j, "baud", where, 9600, 2000000, 1000000, &c->baud, err));
    FW_TRY(fw_json_i64_or(j, "retries", where, 0, 10, 2, &c->retries, err));
    FW_TRY(fw_json_i64_or(j, "reply_us", where, 100, 1000000, 2000, &c->reply_us, err));
    FW_TRY(fw_json_f64_or(j, "read_ms", where, 4, &c->read_ms, err));
    FW_TRY(fw_json_f64_or(j, "stall_nm", where, 1.91, &c->stall_nm, err));
    FW_TRY(fw_json_f64_or(j, "nm_per_a", where, 0, &c->nm_per_a, err));
    FW_TRY(fw_json_bool_or(j, "stay_on", where, false, &c->stay_on, err));
    FW_TRY(in_range(c->read_ms, 0.5, 1000, "read_ms", where, err));
    FW_TRY(in_range(c->stall_nm, 0.1, 100, "stall_nm", where, err));
    FW_TRY(in_range(c->nm_per_a, 0, 100, "nm_per_a", where, err));
    if (strlen(port) >= sizeof c->port) {
        return fw_fail(err, FW_FORMAT, "%s: port: longer than %zu", where, sizeof c->port - 1);
    }
    snprintf(c->port, sizeof c->port, "%s", port);
    return fw_so101_cal_load(calibration, &c->cal, err);
}

static fw_status parse(const json_t *j, fw_driver_dev *d, fw_err *err) {
    static const char *const known[] = {"port",    "calibration", "baud",     "retries", "reply_us",
                                        "read_ms", "stall_nm",    "nm_per_a", "stay_on", "joints",
                                        "gripper", "cameras",     NULL};
    const char *where = "so101's config";
    FW_TRY(fw_json_only(j, where, known, err));
    FW_TRY(bus_config(j, where, &d->c, err));
    FW_TRY(axes_config(j, where, &d->c, err));
    return fw_cam_opts_from_json(json_object_get(j, "cameras"), where, d->cam_opts, &d->n_cam, err);
}

static void so101_close(fw_driver_dev *d);

static fw_status so101_open(const char *text, fw_driver_dev **out, fw_err *err) {
    json_t *j = NULL;
    fw_driver_dev *d = calloc(1, sizeof *d);
    *out = NULL;
    fw_status st = d == NULL ? fw_fail(err, FW_NOMEM, "so101: driver") : FW_OK;
    st = st == FW_OK ? fw_json_parse(text, strlen(text), "so101's config", &j, err) : st;
    st = st == FW_OK ? parse(j, d, err) : st;
    for (int i = 0; st == FW_OK && i < d->n_cam; i++) {
        st = fw_cam_open(&d->cam_opts[i], &d->cam[i], err);
    }
    json_decref(j);
    if (st != FW_OK) {
        so101_close(d);
        return st;
    }
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        d->ids[i] = (uint8_t)d->c.cal.motor[i].id;
    }
    *out = d;
    return FW_OK;
}

/* --- what it is */

static int64_t read_ns(const fw_driver_dev *d) {
    return (int64_t)(d->c.read_ms * 1e6);
}

static void describe_axis(const fw_driver_dev *d, int i, fw_driver_axis *a) {
    const fw_so101_motor *m = &d->c.cal.motor[i];
    const double x = fw_so101_rad(m, &d->c.axis[i], m->range_min), y = fw_so101_rad(m, &d->c.axis[i], m->range_max);
    *a = (fw_driver_axis){.min = (float)fmin(x, y),
                          .max = (float)fmax(x, y),
                          .has_velocity = true,
                          .effort = d->c.nm_per_a > 0 ? FW_DRIVER_EFFORT_NM : FW_DRIVER_EFFORT_AMPERE};
    snprintf(a->name, sizeof a->name, "%s", fw_so101_names[i]);
}

static void so101_describe(const fw_driver_dev *d, fw_driver_info *out) {
    /* a reply is read to its end, and the clock is looked at between two system calls: */
    const uint32_t slack_us = 200, read_us = (uint32_t)(read_ns(d) / 1000) + slack_us;
    *out =
        (fw_driver_info){.n_axis = FW_SO101_MOTORS,
                         .n_camera = d->n_cam,
                         .read_bound_us = read_us,
                         .write_bound_us = read_us, /* when torque comes on or goes off; otherwise less than a tenth */
                         .rate_hz = 400};
    snprintf(out->name, sizeof out->name, "so101");
    snprintf(out->where, sizeof out->where, "%s", d->c.port);
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        describe_axis(d, i, &out->axis[i]);
    }
    for (int i = 0; i < d->n_cam; i++) {
        out->camera[i] = (fw_camera){.width = d->cam_opts[i].width, .height = d->cam_opts[i].height};
        snprintf(out->camera[i].name, sizeof out->camera[i].name, "%s", d->cam_opts[i].name);
    }
}

/* --- start and stop */

static void so101_stop(fw_driver_dev *d) {
    fw_err err = {0};
    for (int i = 0; i < d->n_cam; i++) {
        fw_cam_stop(d->cam[i]);
    }
    d->bus.reply_ns = PATIENT_US * 1000LL;
    if (d->connected && !(d->c.stay_on && d->torque_on) && fw_so101_limp(&d->bus, d->ids, &err) != FW_OK) {
        fw_warn("%s", err.msg);
    }
    if (d->connected) {
        fw_sts_close(&d->bus);
    }
    d->connected = d->torque_on = false;
}

static fw_status connect_arm(fw_driver_dev *d, fw_err *err) {
    FW_TRY(fw_sts_open(&d->bus, d->c.port, (uint32_t)d->c.baud, (int)d->c.retries, PATIENT_US, err));
    d->connected = true;
    FW_TRY(fw_so101_check(&d->bus, d->ids, err));
    FW_TRY(fw_so101_check_calibration(&d->bus, &d->c.cal, err));
    FW_TRY(fw_so101_configure(&d->bus, d->ids, err));
    d->bus.reply_ns = d->c.reply_us * 1000;
    d->bus.counts = (fw_sts_counts){0};
    return FW_OK;
}

static fw_status so101_start(fw_driver_dev *d, fw_err *err) {
    fw_status st = connect_arm(d, err);
    for (int i = 0; st == FW_OK && i < d->n_cam; i++) {
        st = fw_cam_start(d->cam[i], err);
    }
    if (st != FW_OK) {
        so101_stop(d);
        return st;
    }
    d->limp = true;
    d->since_cap = CAP_REPEAT; /* with the first command */
    return FW_OK;
}

static void so101_close(fw_driver_dev *d) {
    if (d == NULL) {
        return;
    }
    so101_stop(d);
    for (int i = 0; i < d->n_cam; i++) {
        fw_cam_close(d->cam[i]);
    }
    free(d);
}

/* --- the cycle */

static int32_t at(const fw_sts_reply *r, fw_sts_reg reg) {
    return fw_sts_decode(reg, r->data + (fw_sts_address(reg) - fw_sts_address(FW_STS_POSITION)));
}

static void sample(const fw_driver_dev *d, int i, const fw_sts_reply *r, fw_driver_sample *s) {
    const fw_so101_motor *m = &d->c.cal.motor[i];
    const fw_so101_axis *a = &d->c.axis[i];
    const double rate = fw_so101_rad_per_step(m, a), ampere = AMPERE_PER_UNIT * at(r, FW_STS_CURRENT);
    const double sign = rate < 0 ? -1 : 1;
    *s = (fw_driver_sample){.valid = true,
                            .faults = fw_so101_faults(r->error) | fw_so101_faults((uint8_t)at(r, FW_STS_STATUS)),
                            .t_ns = r->t_ns,
                            .position = (float)fw_so101_rad(m, a, at(r, FW_STS_POSITION)),
                            .velocity = (float)(rate * at(r, FW_STS_VELOCITY)),
                            .effort = (float)(sign * ampere * (d->c.nm_per_a > 0 ? d->c.nm_per_a : 1)),
                            .temperature = (float)at(r, FW_STS_TEMPERATURE),
                            .voltage = 0.1F * (float)at(r, FW_STS_VOLTAGE)};
}

static fw_status so101_read(fw_driver_dev *d, fw_driver_state *out, fw_err *err) {
    fw_sts_reply r[FW_SO101_MOTORS];
    uint32_t got = 0;
    *out = (fw_driver_state){.n_axis = FW_SO101_MOTORS, .torque_on = d->torque_on};
    const fw_status st = fw_sts_sync_read(&d->bus, d->ids, FW_SO101_MOTORS, fw_sts_address(FW_STS_POSITION), FEEDBACK,
                                          fw_now_ns() + read_ns(d), r, &got, err);
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        if ((got >> i & 1) != 0) {
            sample(d, i, &r[i], &out->axis[i]);
        }
    }
    out->retries = d->bus.counts.retries;
    out->lost = d->bus.counts.lost;
    return st;
}

static void goals(const fw_driver_dev *d, const fw_driver_command *cmd, int32_t *goal) {
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        goal[i] = fw_so101_steps(&d->c.cal.motor[i], &d->c.axis[i], (double)cmd->position[i]);
    }
}

static fw_status write_caps(fw_driver_dev *d, const fw_driver_command *cmd, int64_t deadline_ns, fw_err *err) {
    int32_t cap[FW_SO101_MOTORS];
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        const double share = fmin((double)cmd->effort_max[i] / d->c.stall_nm, 1);
        cap[i] = (int32_t)lround(share * TORQUE_FULL);
        cap[i] = i == FW_SO101_GRIPPER && cap[i] > TORQUE_FULL / 2 ? TORQUE_FULL / 2 : cap[i];
    }
    if (memcmp(cap, d->cap, sizeof cap) == 0 && d->since_cap < CAP_REPEAT) {
        d->since_cap++;
        return FW_OK;
    }
    memcpy(d->cap, cap, sizeof cap);
    d->since_cap = 0;
    return fw_sts_sync_write(&d->bus, d->ids, FW_SO101_MOTORS, FW_STS_TORQUE_LIMIT, cap, deadline_ns, err);
}

/* Write a register of all six and read it back until they all have it. */
static fw_status write_sure(fw_driver_dev *d, fw_sts_reg reg, const int32_t *want, int64_t deadline_ns, fw_err *err) {
    fw_sts_reply r[FW_SO101_MOTORS];
    int wrong = 0;
    for (int k = 0; k <= d->bus.retries; k++) {
        uint32_t got = 0;
        FW_TRY(fw_sts_sync_write(&d->bus, d->ids, FW_SO101_MOTORS, reg, want, deadline_ns, err));
        const fw_status st = fw_sts_sync_read(&d->bus, d->ids, FW_SO101_MOTORS, fw_sts_address(reg), fw_sts_bytes(reg),
                                              deadline_ns, r, &got, err);
        if (st != FW_OK && st != FW_TIMEOUT) {
            return st;
        }
        for (wrong = 0; wrong < FW_SO101_MOTORS; wrong++) {
            if ((got >> wrong & 1) == 0 || fw_sts_decode(reg, r[wrong].data) != want[wrong]) {
                break;
            }
        }
        if (wrong == FW_SO101_MOTORS) {
            return FW_OK;
        }
        if (fw_now_ns() >= deadline_ns) {
            break;
        }
    }
    return fw_fail(err, FW_TIMEOUT, "%s: %s (id %u) does not take %d into %s", d->c.port, fw_so101_names[wrong],
                   d->ids[wrong], (int)want[wrong], fw_sts_name(reg));
}

/* Surely, unless it is known: then once more, for a servo that was plugged in since. */
static fw_status limp(fw_driver_dev *d, int64_t deadline_ns, fw_err *err) {
    static const int32_t off[FW_SO101_MOTORS] = {0};
    d->torque_on = false;
    if (d->limp) {
        return fw_sts_sync_write(&d->bus, d->ids, FW_SO101_MOTORS, FW_STS_TORQUE_ENABLE, off, deadline_ns, err);
    }
    FW_TRY(write_sure(d, FW_STS_TORQUE_ENABLE, off, deadline_ns, err));
    d->limp = true;
    return FW_OK;
}

/* Goals first, and surely: torque makes a servo run to whatever goal it has. */
static fw_status engage(fw_driver_dev *d, const int32_t *goal, int64_t deadline_ns, fw_err *err) {
    static const int32_t on[FW_SO101_MOTORS] = {1, 1, 1, 1, 1, 1};
    FW_TRY(write_sure(d, FW_STS_GOAL_POSITION, goal, deadline_ns, err));
    d->limp = false;
    const fw_status st = write_sure(d, FW_STS_TORQUE_ENABLE, on, deadline_ns, err);
    if (st != FW_OK) {
        fw_err second = {0};
        (void)!limp(d, fw_now_ns() + 1000000, &second);
        return st;
    }
    d->torque_on = true;
    return FW_OK;
}

static fw_status so101_write(fw_driver_dev *d, const fw_driver_command *cmd, fw_err *err) {
    const int64_t deadline = fw_now_ns() + read_ns(d);
    int32_t goal[FW_SO101_MOTORS];
    if (!cmd->torque_on) {
        return limp(d, deadline, err);
    }
    goals(d, cmd, goal);
    FW_TRY(write_caps(d, cmd, deadline, err));
    if (!d->torque_on) {
        return engage(d, goal, deadline, err);
    }
    return fw_sts_sync_write(&d->bus, d->ids, FW_SO101_MOTORS, FW_STS_GOAL_POSITION, goal, deadline, err);
}

static fw_status so101_frame(fw_driver_dev *d, int i, fw_driver_frame *out, fw_err *err) {
    return fw_cam_latest(d->cam[i], out, err);
}

const fw_driver_api fw_so101_api = {.abi = FW_DRIVER_ABI,
                                    .size = sizeof(fw_driver_api),
                                    .name = "so101",
                                    .help = help,
                                    .open = so101_open,
                                    .describe = so101_describe,
                                    .start = so101_start,
                                    .read = so101_read,
                                    .write = so101_write,
                                    .frame = so101_frame,
                                    .stop = so101_stop,
                                    .close = so101_close};
