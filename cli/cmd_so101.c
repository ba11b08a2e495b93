/* cmd_so101.c - flywheel so101: for a person with the arm on the table: who is on the bus and well, calibrate, look at it move. */
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/args.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "cli.h"
#include "fw/driver.h"
#include "robot/so101_arm.h"

enum { PATIENT_US = 20000, BAUD = 1000000 };

static const uint8_t ids[FW_SO101_MOTORS] = {1, 2, 3, 4, 5, 6};

static int wants(const char *verb, const char *what) {
    fprintf(stderr, "flywheel so101 %s: wants %s; --help shows an example\n", verb, what);
    return 2;
}

/* --- scan */

static json_t *health_json(int id, const fw_so101_health *h) {
    char faults[128];
    return json_pack("{s:i, s:s, s:i, s:o, s:f, s:i, s:i, s:b, s:s}", "id", id, "name",
                     id <= FW_SO101_MOTORS ? fw_so101_names[id - 1] : "", "model", h->model, "firmware",
                     json_sprintf("%d.%d", h->firmware_major, h->firmware_minor), "voltage", h->voltage, "temperature",
                     h->temperature, "position", h->position, "torque", (int)h->torque_on, "faults",
                     fw_driver_faults_text(h->faults, faults, sizeof faults));
}

static void health_row(int id, const fw_so101_health *h) {
    char faults[128];
    printf("%3d  %-14s %5d  %2d.%-3d %5.1f V  %3d C  %5d  %-3s  %s\n", id,
           id <= FW_SO101_MOTORS ? fw_so101_names[id - 1] : "-", h->model, h->firmware_major, h->firmware_minor,
           h->voltage, h->temperature, h->position, h->torque_on ? "on" : "off",
           fw_driver_faults_text(h->faults, faults, sizeof faults));
}

static fw_status scan(fw_sts_bus *b, int last, json_t *list, int *found, fw_err *err) {
    *found = 0;
    for (int id = 1; id <= last; id++) {
        fw_so101_health h;
        uint8_t error;
        const fw_status st = fw_sts_ping(b, (uint8_t)id, &error, err); /* once: most ids are nobody's */
        if (st == FW_TIMEOUT) {
            continue;
        }
        FW_TRY(st);
        b->retries = 2;
        FW_TRY(fw_so101_ask_health(b, (uint8_t)id, &h, err));
        b->retries = 0;
        if (h.found && list == NULL && *found == 0) {
            printf(" id  motor          model  firmw. supply    temp.  steps  torque\n");
        }
        if (h.found && list == NULL) {
            health_row(id, &h);
        } else if (h.found) {
            json_array_append_new(list, health_json(id, &h));
        }
        *found += h.found;
    }
    return FW_OK;
}

static int so101_scan(int argc, char **argv) {
    const char *port = NULL;
    int64_t last = 20;
    bool json = false;
    const fw_arg args[] = {
        FW_ARG_STR("port", &port, "DEV", "the serial port (required)"),
        FW_ARG_INT("last", &last, 1, FW_STS_ID_MAX, "ID", "ask ids 1 to this"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {.verb = "so101 scan",
                            .example = "flywheel so101 scan --port /dev/ttyACM0",
                            .what = "Who answers on the bus: model, firmware, supply, temperature, position, faults. "
                                    "Nothing is written."};
    int n_paths, found = 0, code = fw_args_parse(&usage, args, sizeof args / sizeof(*args), argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    if (port == NULL) {
        return wants("scan", "--port DEV");
    }
    fw_err err = {0};
    fw_sts_bus bus;
    json_t *list = json ? json_array() : NULL;
    fw_status st = fw_sts_open(&bus, port, BAUD, 0, PATIENT_US, &err);
    if (st == FW_OK) {
        st = scan(&bus, (int)last, list, &found, &err);
        fw_sts_close(&bus);
    }
    if (st == FW_OK && found == 0) {
        st = fw_fail(&err, FW_TIMEOUT, "%s: nobody answers: is the power on, and the cable in the arm's board?", port);
    }
    if (st != FW_OK) {
        json_decref(list);
        return cli_fail(&err);
    }
    return json ? cli_json(json_pack("{s:s, s:o}", "port", port, "servos", list)) : 0;
}

/* --- id */

static int motor_id(const char *name) {
    for (int i = 0; name != NULL && i < FW_SO101_MOTORS; i++) {
        if (strcmp(name, fw_so101_names[i]) == 0) {
            return i + 1;
        }
    }
    return 0;
}

static int so101_id(int argc, char **argv) {
    const char *port = NULL, *motor = NULL;
    bool json = false;
    const fw_arg args[] = {
        FW_ARG_STR("port", &port, "DEV", "the serial port (required)"),
        FW_ARG_STR("motor", &motor, "NAME",
                   "shoulder_pan, shoulder_lift, elbow_flex, wrist_flex, wrist_roll or gripper (required)"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {.verb = "so101 id",
                            .example = "flywheel so101 id --port /dev/ttyACM0 --motor gripper",
                            .what = "Give a new servo the id of its place: all of them come with id 1. Connect one "
                                    "servo at a time, before the arm is put together."};
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof(*args), argc, argv, &n_paths);
    const int id = motor_id(motor);
    if (code != FW_ARGS_GO) {
        return code;
    }
    if (port == NULL || id == 0) {
        return wants("id", "--port DEV, and --motor with one of the six names");
    }
    fw_err err = {0};
    fw_sts_bus bus;
    uint8_t from = 0;
    fw_status st = fw_sts_open(&bus, port, BAUD, 2, PATIENT_US, &err);
    if (st == FW_OK) {
        st = fw_so101_set_id(&bus, (uint8_t)id, &from, &err);
        fw_sts_close(&bus);
    }
    if (st != FW_OK) {
        return cli_fail(&err);
    }
    if (json) {
        return cli_json(json_pack("{s:s, s:s, s:i, s:i}", "port", port, "motor", motor, "from", (int)from, "id", id));
    }
    printf("%s: %s has id %d (had %u)\n", port, motor, id, from);
    return 0;
}

/* --- read */

static void read_row(const fw_driver_info *info, const fw_driver_state *s, double t_s) {
    printf("%8.3f", t_s);
    for (int i = 0; i < s->n_axis; i++) {
        printf("  %s %+.3f%s", info->axis[i].name, (double)s->axis[i].position, s->axis[i].valid ? "" : "?");
    }
    printf("\n");
}

static json_t *number(float x) { /* JSON knows no NaN */
    return isfinite(x) ? json_real((double)x) : json_null();
}

static json_t *state_json(const fw_driver_info *info, const fw_driver_state *s) {
    json_t *all = json_object();
    for (int i = 0; i < s->n_axis; i++) {
        const fw_driver_sample *x = &s->axis[i];
        char faults[128];
        json_object_set_new(
            all, info->axis[i].name,
            json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "valid", (int)x->valid, "position",
                      number(x->position), "velocity", number(x->velocity), "ampere", number(x->effort), "temperature",
                      number(x->temperature), "voltage", number(x->voltage), "min", number(info->axis[i].min), "max",
                      number(info->axis[i].max), "faults", fw_driver_faults_text(x->faults, faults, sizeof faults)));
    }
    return all;
}

static fw_status read_loop(fw_driver *d, double seconds, bool json, fw_driver_state *s, fw_err *err) {
    const int64_t began = fw_now_ns();
    do {
        FW_TRY(fw_driver_read(d, s, err));
        if (!json) {
            read_row(fw_driver_get_info(d), s, 1e-9 * (double)(fw_now_ns() - began));
        }
        if (seconds > 0) {
            fw_clock_real()->sleep_until_ns(fw_clock_real()->self, fw_now_ns() + 100000000);
        }
    } while (1e-9 * (double)(fw_now_ns() - began) < seconds);
    return FW_OK;
}

static int so101_read(int argc, char **argv) {
    const char *port = NULL, *calibration = NULL;
    double seconds = 0;
    bool json = false;
    const fw_arg args[] = {
        FW_ARG_STR("port", &port, "DEV", "the serial port (required)"),
        FW_ARG_STR("calibration", &calibration, "FILE", "of this arm (required)"),
        FW_ARG_F64("seconds", &seconds, 0, 86400, "S", "go on for this long, ten lines a second"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout: the last reading"),
    };
    const fw_usage usage = {.verb = "so101 read",
                            .example = "flywheel so101 read --port /dev/ttyACM0 --calibration arm1.json --seconds 30",
                            .what = "Joint positions (rad), limp: move the arm by hand and look."};
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof(*args), argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    if (port == NULL || calibration == NULL) {
        return wants("read", "--port DEV and --calibration FILE");
    }
    fw_err err = {0};
    fw_driver *d = NULL;
    fw_driver_state s;
    json_t *result = NULL, *j = json_pack("{s:s, s:s, s:i, s:i}", "port", port, "calibration", calibration, "reply_us",
                                          PATIENT_US, "read_ms", 500);
    char *config = j != NULL ? json_dumps(j, 0) : NULL;
    json_decref(j);
    fw_status st = config == NULL ? fw_fail(&err, FW_NOMEM, "config") : fw_driver_open("so101", config, &d, &err);
    st = st == FW_OK ? fw_driver_start(d, &err) : st;
    st = st == FW_OK ? read_loop(d, seconds, json, &s, &err) : st;
    if (st == FW_OK && json) {
        result = json_pack("{s:s, s:o}", "port", port, "joints", state_json(fw_driver_get_info(d), &s));
    }
    fw_driver_close(&d);
    free(config);
    if (st != FW_OK) {
        return cli_fail(&err);
    }
    return json ? cli_json(result) : 0;
}

/* --- calibrate */

static volatile sig_atomic_t interrupted;
static void on_interrupt(int sig) {
    (void)sig;
    interrupted = 1;
}

/* ENTER within `wait_ms`? FW_CLOSED: Ctrl-C, or no more input. */
static fw_status enter(int wait_ms, bool *pressed, fw_err *err) {
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    char line[256];
    *pressed = false;
    const int r = poll(&p, 1, wait_ms);
    if (interrupted) {
        return fw_fail(err, FW_CLOSED, "interrupted");
    }
    if (r > 0) {
        const ssize_t n = read(STDIN_FILENO, line, sizeof line);
        if (n <= 0) {
            return fw_fail(err, FW_CLOSED, "no more input");
        }
        *pressed = memchr(line, '\n', (size_t)n) != NULL;
    }
    return FW_OK;
}

static fw_status wait_enter(const char *prompt, fw_err *err) {
    bool pressed = false;
    fprintf(stderr, "%s\n", prompt);
    while (!pressed) {
        FW_TRY(enter(200, &pressed, err));
    }
    return FW_OK;
}

static void show_ranges(const fw_so101_cal *cal, const int32_t *steps, bool again) {
    if (again) {
        fprintf(stderr, "\033[%dA", FW_SO101_MOTORS);
    }
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        fprintf(stderr, "  %-14s %4d ... %4d   now %4d\n", fw_so101_names[i], cal->motor[i].range_min,
                cal->motor[i].range_max, (int)steps[i]);
    }
}

/* A joint is missed now and then for a reply that did not come; the arm is not lost for it. */
static fw_status record_ranges(fw_sts_bus *b, fw_so101_cal *cal, fw_err *err) {
    const bool tty = isatty(STDERR_FILENO) != 0;
    int32_t steps[FW_SO101_MOTORS];
    bool shown = false;
    for (int silent = 0; silent < 100;) {
        bool pressed;
        FW_TRY(enter(20, &pressed, err));
        const fw_status st = fw_so101_cal_range(b, cal, steps, err);
        if (st == FW_TIMEOUT) {
            silent++;
            continue;
        }
        FW_TRY(st);
        silent = 0;
        if (tty) {
            show_ranges(cal, steps, shown);
            shown = true;
        }
        if (pressed && fw_so101_cal_done(cal, err) == FW_OK) {
            return FW_OK;
        }
        if (pressed) {
            fw_warn("%s, then press ENTER", err->msg);
            shown = false;
        }
    }
    return FW_TIMEOUT;
}

static fw_status by_hand(fw_sts_bus *b, fw_so101_cal *cal, fw_err *err) {
    FW_TRY(fw_so101_cal_begin(b, ids, err));
    FW_TRY(wait_enter("The arm is limp. Put every joint into the middle of its motion, then press ENTER.", err));
    FW_TRY(fw_so101_cal_home(b, ids, cal, err));
    fprintf(stderr, "Now move every joint but wrist_roll to both its ends, then press ENTER.\n");
    FW_TRY(record_ranges(b, cal, err));
    return fw_so101_cal_write(b, cal, err);
}

/* By hand; the servos get back what they had if that fails. */
static fw_status calibrate(fw_sts_bus *b, const char *out, fw_so101_cal *cal, fw_err *err) {
    fw_so101_cal old;
    FW_TRY(fw_so101_check(b, ids, err));
    FW_TRY(fw_so101_cal_read(b, ids, &old, err));
    fw_status st = by_hand(b, cal, err);
    st = st == FW_OK ? fw_so101_cal_save(out, cal, err) : st;
    if (st != FW_OK) {
        fw_err second = {0};
        const bool back = fw_so101_cal_write(b, &old, &second) == FW_OK;
        fw_warn("%s", back ? "the servos have their old calibration again" : second.msg);
    }
    return st;
}

static fw_status write_file(fw_sts_bus *b, const char *path, fw_so101_cal *cal, fw_err *err) {
    FW_TRY(fw_so101_cal_load(path, cal, err));
    uint8_t own[FW_SO101_MOTORS];
    for (int i = 0; i < FW_SO101_MOTORS; i++) {
        own[i] = (uint8_t)cal->motor[i].id;
    }
    FW_TRY(fw_so101_check(b, own, err));
    return fw_so101_cal_write(b, cal, err);
}

static int so101_calibrate(int argc, char **argv) {
    const char *port = NULL, *out = NULL, *from = NULL;
    bool json = false;
    const fw_arg args[] = {
        FW_ARG_STR("port", &port, "DEV", "the serial port (required)"),
        FW_ARG_STR("out", &out, "FILE", "where to write the calibration; not there yet"),
        FW_ARG_STR("write", &from, "FILE", "instead: put this file's calibration into the servos"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {
        .verb = "so101 calibrate",
        .example = "flywheel so101 calibrate --port /dev/ttyACM0 --out arm1.json\n"
                   "flywheel so101 calibrate --port /dev/ttyACM0 --write arm1.json",
        .what = "Calibrate an SO-100/101 arm by hand, as LeRobot does and in its file format: middle pose, then both "
                "ends of every joint. The arm is limp all the time: hold it. If it is interrupted the servos keep the "
                "calibration that they had."};
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof(*args), argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    if (port == NULL || (out == NULL) == (from == NULL)) {
        return wants("calibrate", "--port DEV, and either --out FILE or --write FILE");
    }
    fw_err err = {0};
    fw_sts_bus bus;
    fw_so101_cal cal = {0};
    if (out != NULL && fw_path_exists(out)) {
        fw_fail(&err, FW_INVALID, "%s: is there already", out);
        return cli_fail(&err);
    }
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_interrupt}, NULL);
    fw_status st = fw_sts_open(&bus, port, BAUD, 3, PATIENT_US, &err);
    if (st == FW_OK) {
        st = out != NULL ? calibrate(&bus, out, &cal, &err) : write_file(&bus, from, &cal, &err);
        fw_sts_close(&bus);
    }
    if (st != FW_OK) {
        return cli_fail(&err);
    }
    if (json) {
        return cli_json(json_pack("{s:s, s:s, s:o}", "port", port, "file", out != NULL ? out : from, "calibration",
                                  fw_so101_cal_to_json(&cal)));
    }
    printf("%s: %s %s\n", port, out != NULL ? "calibrated; wrote" : "has the calibration of", out != NULL ? out : from);
    return 0;
}

int cmd_so101(int argc, char **argv) {
    static const fw_verb parts[] = {{"scan", "who is on the bus, and how they are", so101_scan},
                                    {"calibrate", "by hand, into a file and the servos", so101_calibrate},
                                    {"read", "joint positions, limp", so101_read},
                                    {"id", "a new servo's id, before the arm is put together", so101_id}};
    return cli_dispatch("flywheel so101", "flywheel so101 scan --port /dev/ttyACM0", "an SO-100/101 arm on the table",
                        parts, sizeof parts / sizeof(*parts), argc, argv);
}
