/* flywheel so101 and flywheel driver, as a person with an arm runs them: the program against emulated servos */
#include <errno.h>
#include <sys/wait.h>

#include "base/file.h"
#include "robot/arm.h"

typedef struct program {
    pid_t pid;
    int in, out;
} program;

static program start(const char *const *argv) {
    int in[2], out[2];
    CHECK(pipe(in) == 0 && pipe(out) == 0);
    program p = {.pid = fork(), .in = in[1], .out = out[0]};
    CHECK(p.pid >= 0);
    if (p.pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(out[1], 2);
        close(in[1]);
        close(out[0]);
        execv(FW_BIN, (char *const *)argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    return p;
}

/* Its exit code; all that it said into text. */
static int finish(program *p, char *text, size_t cap) {
    size_t n = 0;
    int status;
    if (p->in >= 0) {
        close(p->in);
    }
    for (;;) {
        const ssize_t r = read(p->out, text + n, cap - 1 - n);
        if (r <= 0 && errno != EINTR) {
            break;
        }
        n += r > 0 ? (size_t)r : 0;
    }
    text[n] = 0;
    close(p->out);
    CHECK_INT(waitpid(p->pid, &status, 0), p->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define RUN(text, ...)                                                                                                 \
    ({                                                                                                                 \
        const char *argv_[] = {FW_BIN, __VA_ARGS__, NULL};                                                             \
        program p_ = start(argv_);                                                                                     \
        finish(&p_, text, sizeof text);                                                                                \
    })
#define SAYS(text, ...)                                                                                                \
    do {                                                                                                               \
        const char *words_[] = {__VA_ARGS__};                                                                          \
        for (size_t w_ = 0; w_ < sizeof words_ / sizeof *words_; w_++)                                                 \
            if (strstr(text, words_[w_]) == NULL)                                                                      \
                FW_FAILED("'%s' lacks '%s'", text, words_[w_]);                                                        \
    } while (0)

static void scan_shows_who_is_there_and_how_they_are(void) {
    arm a;
    char text[8192];
    json_t *j;
    arm_open(&a, "");
    SERVO_SET(&a.bus, servo[2].missing, true);
    SERVO_SET(&a.bus, servo[1].reg[63], 68);
    SERVO_SET(&a.bus, servo[1].error, 4);
    CHECK_INT(RUN(text, "so101", "scan", "--port", a.bus.port, "--last", "8", "--json"), 0);
    OK(fw_json_parse(text, strlen(text), "stdout", &j, &ok_err));
    const json_t *servos = json_object_get(j, "servos"), *two = json_array_get(servos, 1);
    CHECK_INT(json_array_size(servos), 5);
    CHECK_INT(json_integer_value(json_object_get(two, "temperature")), 68);
    CHECK(strcmp(json_string_value(json_object_get(two, "faults")), "too hot") == 0);
    json_decref(j);
    CHECK_INT(RUN(text, "so101", "scan", "--port", a.bus.port, "--last", "8"), 0);
    SAYS(text, "shoulder_lift", "68 C", "too hot", "7.4 V", "777");
    for (int i = 0; i < 6; i++) {
        CHECK_INT(a.bus.servo[i].eprom_writes, 0);
        SERVO_SET(&a.bus, servo[i].missing, true);
    }
    CHECK_INT(RUN(text, "so101", "scan", "--port", a.bus.port, "--last", "3"), 1);
    SAYS(text, a.bus.port, "nobody answers");
    CHECK_INT(RUN(text, "so101", "scan"), 2);
    SAYS(text, "--port");
    arm_close(&a);
}

static void read_shows_positions_in_radians(void) {
    arm a;
    char text[8192];
    json_t *j;
    arm_open(&a, "");
    CHECK_INT(RUN(text, "so101", "read", "--port", a.bus.port, "--calibration", a.cal, "--json"), 0);
    OK(fw_json_parse(text, strlen(text), "stdout", &j, &ok_err));
    const json_t *grip = json_object_get(json_object_get(j, "joints"), "gripper");
    CHECK(fabs(json_real_value(json_object_get(grip, "position")) - 0.7854) < 0.01);
    CHECK(json_is_true(json_object_get(grip, "valid")));
    json_decref(j);
    CHECK_INT(RUN(text, "so101", "read", "--port", a.bus.port, "--calibration", "/none.json"), 1);
    SAYS(text, "/none.json");
    arm_close(&a);
}

/* Wait until the servo's register is that. */
static void until(servo_bus *b, int i, int at, int sign, int want) {
    int now = 0;
    for (int k = 0; k < 4000; k++) {
        pthread_mutex_lock(&b->lock);
        now = servo_word(&b->servo[i], at, sign);
        pthread_mutex_unlock(&b->lock);
        if (now == want) {
            return;
        }
        usleep(5000);
    }
    FW_FAILED("register %d of servo %d is %d, want %d", at, i + 1, now, want);
}

static program begin_calibration(arm *a, const char *out) {
    const char *argv[] = {FW_BIN, "so101", "calibrate", "--port", a->bus.port, "--out", out, NULL};
    program p = start(argv);
    until(&a->bus, 5, 11, 15, 4095);
    for (int i = 0; i < 6; i++) {
        SERVO_SET(&a->bus, servo[i].actual, 1500 + 200 * i);
    }
    CHECK_INT(write(p.in, "\n", 1), 1);
    until(&a->bus, 5, 31, 11, 1500 + 200 * 5 - 2047);
    return p;
}

static void by_hand(arm *a, double steps_per_s) {
    for (int i = 0; i < 6; i++) {
        SERVO_SET(&a->bus, servo[i].hand_per_s, steps_per_s);
    }
}

static void calibrate_goes_by_hand_through_middle_and_ends(void) {
    arm a;
    char text[8192], out[128];
    fw_so101_cal cal;
    arm_open(&a, "");
    snprintf(out, sizeof out, "%s/new.json", a.dir);
    program p = begin_calibration(&a, out);
    CHECK_INT(write(p.in, "\n", 1), 1); /* too early: nothing has moved */
    by_hand(&a, 800);
    usleep(700000);
    by_hand(&a, -800);
    usleep(1300000);
    by_hand(&a, 0);
    usleep(200000);
    CHECK_INT(write(p.in, "\n", 1), 1);
    CHECK_INT(finish(&p, text, sizeof text), 0);
    SAYS(text, "middle", "shoulder_pan moved by", "calibrated; wrote");
    OK(fw_so101_cal_load(out, &cal, &ok_err));
    for (int i = 0; i < 6; i++) {
        const fw_so101_motor *m = &cal.motor[i];
        CHECK(m->id == i + 1 && m->homing_offset == 1500 + 200 * i - 2047 && m->drive_mode == 0);
        CHECK(i == 4 ? m->range_min == 0 && m->range_max == 4095 : m->range_min < 1900 && m->range_max > 2200);
        CHECK_INT(servo_word(&a.bus.servo[i], 9, 15), m->range_min);
        CHECK_INT(servo_word(&a.bus.servo[i], 11, 15), m->range_max);
        CHECK_INT(a.bus.servo[i].reg[55], 1);
    }
    CHECK_INT(RUN(text, "so101", "calibrate", "--port", a.bus.port, "--out", out), 1);
    SAYS(text, "is there already");
    CHECK_INT(remove(out), 0);
    arm_close(&a);
}

static void an_interrupted_calibration_leaves_what_was_there(void) {
    arm a;
    char text[8192], out[128];
    arm_open(&a, "");
    snprintf(out, sizeof out, "%s/new.json", a.dir);
    program p = begin_calibration(&a, out);
    CHECK_INT(kill(p.pid, SIGINT), 0);
    CHECK_INT(finish(&p, text, sizeof text), 1);
    SAYS(text, "interrupted", "old calibration again");
    CHECK(!fw_path_exists(out));
    for (int i = 0; i < 6; i++) {
        CHECK_INT(servo_word(&a.bus.servo[i], 31, 11), arm_cal.motor[i].homing_offset);
        CHECK_INT(servo_word(&a.bus.servo[i], 9, 15), arm_cal.motor[i].range_min);
        CHECK_INT(servo_word(&a.bus.servo[i], 11, 15), arm_cal.motor[i].range_max);
    }
    CHECK_INT(RUN(text, "so101", "calibrate", "--port", a.bus.port, "--write", a.cal), 0);
    arm_close(&a);
}

static void a_new_servo_gets_the_id_of_its_place(void) {
    servo_bus bus;
    char text[8192];
    servo_bus_open(&bus, 2);
    SERVO_SET(&bus, servo[1].missing, true);
    CHECK_INT(RUN(text, "so101", "id", "--port", bus.port, "--motor", "gripper"), 0);
    SAYS(text, "gripper has id 6 (had 1)");
    CHECK(bus.servo[0].id == 6 && bus.servo[0].reg[5] == 6 && bus.servo[0].reg[55] == 1);
    SERVO_SET(&bus, servo[1].missing, false);
    CHECK_INT(RUN(text, "so101", "id", "--port", bus.port, "--motor", "wrist_roll"), 1);
    SAYS(text, "exactly one servo", "2 answer: 2 6");
    CHECK_INT(RUN(text, "so101", "id", "--port", bus.port, "--motor", "wrist"), 2);
    servo_bus_close(&bus);
}

static void driver_check_judges_a_driver(void) {
    arm a;
    char text[16384], config[160];
    json_t *j;
    arm_open(&a, "");
    CHECK_INT(RUN(text, "driver", "list"), 0);
    SAYS(text, "so101", "calibration:");
    snprintf(config, sizeof config, "%s/config.json", a.dir);
    OK(fw_file_write_atomic(config, a.config, strlen(a.config), &ok_err));
    CHECK_INT(RUN(text, "driver", "check", "so101", "--config", config), 0);
    SAYS(text, "0 of 15 checks failed", "skipped  goes where");
    CHECK_INT(remove(config), 0);
    SERVO_SET(&a.bus, servo[0].missing, true);
    CHECK_INT(RUN(text, "driver", "check", "so101", "--config", a.config), 1);
    SAYS(text, "FAILED   starts", "shoulder_pan (id 1) does not answer");
    const char *argv[] = {FW_BIN, "driver", "check", "so102", "--json", NULL};
    program p = start(argv);
    CHECK_INT(finish(&p, text, sizeof text), 1);
    char *object = strchr(text, '{'); /* lines of the checks stand on stderr before it */
    CHECK(object != NULL);
    OK(fw_json_parse(object, strlen(object), "stdout", &j, &ok_err));
    CHECK(json_is_false(json_object_get(j, "conforms")));
    json_decref(j);
    arm_close(&a);
}

FW_TEST_MAIN(T(scan_shows_who_is_there_and_how_they_are), T(read_shows_positions_in_radians),
             T(calibrate_goes_by_hand_through_middle_and_ends), T(an_interrupted_calibration_leaves_what_was_there),
             T(a_new_servo_gets_the_id_of_its_place), T(driver_check_judges_a_driver))
