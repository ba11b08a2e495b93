/* the SO-101's driver against a bus of emulated servos: what it sets, says, refuses, and does about every fault */
#include "alloc_guard.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "robot/arm.h"

/* --- start */

static void start_sets_the_registers_and_moves_nothing(void) {
    arm a;
    fw_driver *d;
    fw_driver_state s;
    arm_open(&a, "");
    SERVO_SET(&a.bus, servo[2].reg[40], 1); /* somebody left its torque on */
    arm_start(&a, &d);
    for (int i = 0; i < 6; i++) {
        const uint8_t *r = a.bus.servo[i].reg;
        CHECK(r[7] == 0 && r[85] == 254 && r[41] == 254 && (r[18] & 0x10) == 0 && r[18] == 12);
        CHECK(r[33] == 0 && r[21] == 16 && r[23] == 0 && r[22] == 32 && r[40] == 0 && r[55] == 1);
    }
    CHECK_INT(servo_word(&a.bus.servo[5], 16, 15), 500);
    CHECK_INT(servo_word(&a.bus.servo[5], 28, 15), 250);
    CHECK_INT(a.bus.servo[5].reg[36], 25);
    CHECK_INT(servo_word(&a.bus.servo[4], 16, 15), 1000);
    OK(fw_driver_read(d, &s, &ok_err));
    for (int i = 0; i < 6; i++) {
        CHECK(s.axis[i].valid && s.axis[i].faults == 0);
    }
    CHECK(!s.torque_on);
    fw_driver_close(&d);
    const int worn = a.bus.servo[0].eprom_writes;
    arm_start(&a, &d); /* a second time there is nothing left to write */
    CHECK_INT(a.bus.servo[0].eprom_writes, worn);
    fw_driver_close(&d);
    arm_close(&a);
}

static void start_names_what_is_wrong_with_whom(void) {
    arm a;
    fw_driver *d;
    arm_open(&a, "");
    OK(fw_driver_open("so101", a.config, &d, &ok_err));
    SERVO_SET(&a.bus, servo[2].missing, true);
    FAILS(fw_driver_start(d, &fails_err), FW_IO, a.bus.port, "elbow_flex (id 3)", "does not answer", "1 2 4 5 6");
    SERVO_SET(&a.bus, servo[2].missing, false);
    SERVO_SET(&a.bus, servo[5].reg[3], 1284 & 255);
    SERVO_SET(&a.bus, servo[5].reg[4], 1284 >> 8);
    FAILS(fw_driver_start(d, &fails_err), FW_IO, "gripper (id 6)", "wanted model number 777", "found 1284");
    SERVO_SET(&a.bus, servo[5].reg[3], 777 & 255);
    SERVO_SET(&a.bus, servo[5].reg[4], 777 >> 8);
    SERVO_SET(&a.bus, servo[1].reg[63], 75);
    FAILS(fw_driver_start(d, &fails_err), FW_IO, "shoulder_lift (id 2)", "too hot", "below 70 C", "found 75");
    SERVO_SET(&a.bus, servo[1].reg[63], 30);
    SERVO_SET(&a.bus, servo[0].reg[62], 31);
    FAILS(fw_driver_start(d, &fails_err), FW_IO, "shoulder_pan (id 1)", "4.0 to 14.0 V", "found 3.1");
    SERVO_SET(&a.bus, servo[0].reg[62], 74);
    SERVO_SET(&a.bus, servo[3].error, 0x20);
    FAILS(fw_driver_start(d, &fails_err), FW_IO, "wrist_flex (id 4)", "overloaded");
    SERVO_SET(&a.bus, servo[3].error, 0);
    SERVO_SET(&a.bus, servo[4].reg[31], 7);
    FAILS(fw_driver_start(d, &fails_err), FW_INVALID, "wrist_roll (id 5)", "wants offset -1000", "calibrate --write");
    arm_calibrated(&a);
    OK(fw_driver_start(d, &ok_err)); /* none of these failures stays */
    fw_driver_close(&d);
    arm_close(&a);
}

static void config_is_refused_with_its_key(void) {
    arm a;
    fw_driver *d = NULL;
    arm_open(&a, ", \"gripper\": {\"closed_rad\": 1, \"open_rad\": 1}");
    FAILS(fw_driver_open("so101", a.config, &d, &fails_err), FW_FORMAT, "gripper");
    CHECK(d == NULL);
    FAILS(fw_driver_open("so101", "{", &d, &fails_err), FW_FORMAT, "line 1");
    FAILS(fw_driver_open("so101", "[]", &d, &fails_err), FW_FORMAT, "an object");
    FAILS(fw_driver_open("so101", "{}", &d, &fails_err), FW_FORMAT, "'port'");
    FAILS(fw_driver_open("so101", "{\"prot\": \"x\"}", &d, &fails_err), FW_FORMAT, "prot");
    FAILS(fw_driver_open("so101", "{\"port\": \"x\", \"calibration\": \"/none.json\"}", &d, &fails_err), FW_IO,
          "/none.json");
    FAILS(fw_driver_open("so100", a.config, &d, &fails_err), FW_INVALID, "so100", "so101");
    arm_close(&a);
}

/* --- the cycle */

static void it_follows_and_measures_in_radians(void) {
    arm a;
    fw_driver *d;
    fw_driver_state s;
    arm_open(&a, ", \"joints\": {\"elbow_flex\": {\"sign\": -1, \"offset_rad\": 0.5}}");
    arm_start(&a, &d);
    OK(fw_driver_read(d, &s, &ok_err));
    CHECK(fabsf(s.axis[0].position) < 0.002F && fabsf(s.axis[2].position - 0.5F) < 0.002F);
    CHECK(fabsf(s.axis[5].position - 0.5F * (1.74533F - 0.174533F)) < 0.002F);
    CHECK(fabsf(s.axis[1].voltage - 7.4F) < 0.01F && s.axis[1].temperature == 31.0F);
    fw_driver_command c = arm_here(&s);
    OK(fw_driver_write(d, &c, &ok_err));
    for (int i = 0; i < 6; i++) { /* not to the goal that it had before */
        CHECK(a.bus.servo[i].reg[40] == 1 &&
              abs(servo_word(&a.bus.servo[i], 56, 15) - servo_word(&a.bus.servo[i], 42, 15)) < 3);
    }
    for (int k = 0; k < 100; k++) {
        c.position[0] = 0.004F * (float)k;
        c.position[2] = 0.5F + 0.002F * (float)k;
        OK(fw_driver_write(d, &c, &ok_err));
        usleep(5000);
        OK(fw_driver_read(d, &s, &ok_err));
    }
    CHECK(s.torque_on && s.axis[0].velocity > 0.05F && s.axis[2].velocity > 0.02F);
    usleep(600000);
    OK(fw_driver_read(d, &s, &ok_err));
    CHECK(fabsf(s.axis[0].position - 0.396F) < 0.02F && fabsf(s.axis[2].position - 0.698F) < 0.02F);
    CHECK(servo_word(&a.bus.servo[2], 56, 15) < 1955); /* sign -1 */
    c.torque_on = false;
    OK(fw_driver_write(d, &c, &ok_err));
    OK(fw_driver_read(d, &s, &ok_err));
    CHECK_INT(a.bus.servo[0].reg[40], 0);
    fw_driver_close(&d);
    arm_close(&a);
}

static void targets_out_of_range_are_refused_and_nothing_is_sent(void) {
    arm a;
    fw_driver *d;
    fw_driver_state s;
    arm_open(&a, "");
    arm_start(&a, &d);
    OK(fw_driver_read(d, &s, &ok_err));
    fw_driver_command c = arm_here(&s), good = c;
    int writes = a.bus.sync_writes;
    c.position[1] = 1.85F; /* (3200 - 800) / 2 steps are 1.841 rad */
    FAILS(fw_driver_write(d, &c, &fails_err), FW_UNSAFE, "shoulder_lift", "1.84", "1.85");
    c = good;
    c.position[3] = NAN;
    FAILS(fw_driver_write(d, &c, &fails_err), FW_INVALID, "wrist_flex", "nan");
    c = good;
    c.effort_max[3] = -1;
    FAILS(fw_driver_write(d, &c, &fails_err), FW_INVALID, "wrist_flex");
    c = good;
    c.n_axis = 5;
    FAILS(fw_driver_write(d, &c, &fails_err), FW_INVALID, "5 axes", "wanted 6");
    c = good;
    c.position[0] += 0.3F;
    FAILS(fw_driver_write(d, &c, &fails_err), FW_UNSAFE, "shoulder_pan", "torque on at 0.29");
    usleep(600000);
    FAILS(fw_driver_write(d, &good, &fails_err), FW_UNSAFE, "not read lately");
    CHECK_INT(a.bus.sync_writes, writes);
    fw_driver_close(&d);
    arm_close(&a);
}

static void torque_caps_reach_the_servos(void) {
    arm a;
    fw_driver *d;
    fw_driver_state s;
    arm_open(&a, ", \"stall_nm\": 2");
    arm_start(&a, &d);
    OK(fw_driver_read(d, &s, &ok_err));
    fw_driver_command c = arm_here(&s);
    c.effort_max[0] = 0.5F;
    OK(fw_driver_write(d, &c, &ok_err));
    CHECK_INT(servo_word(&a.bus.servo[0], 48, 15), 250);
    CHECK_INT(servo_word(&a.bus.servo[1], 48, 15), 1000);
    CHECK_INT(servo_word(&a.bus.servo[5], 48, 15), 500); /* the gripper's half */
    fw_driver_close(&d);
    arm_close(&a);
}

/* --- faults while it runs */

static void a_lost_goal_or_torque_packet_does_not_engage_half_an_arm(void) {
    arm a;
    fw_driver *d;
    fw_driver_state s;
    arm_open(&a, "");
    arm_start(&a, &d);
    OK(fw_driver_read(d, &s, &ok_err));
    fw_driver_command c = arm_here(&s);
    SERVO_SET(&a.bus, deaf, 2); /* the caps and the goals are not heard */
    OK(fw_driver_write(d, &c, &ok_err));
    for (int i = 0; i < 6; i++) {
        CHECK_INT(a.bus.servo[i].reg[40], 1);
        CHECK(abs(servo_word(&a.bus.servo[i], 42, 15) - servo_word(&a.bus.servo[i], 56, 15)) < 3);
    }
    c.torque_on = false;
    OK(fw_driver_write(d, &c, &ok_err));
    c.torque_on = true;
    SERVO_SET(&a.bus, servo[4].missing, true);
    FAILS(fw_driver_write(d, &c, &fails_err), FW_TIMEOUT, "wrist_roll (id 5)", "GOAL_POSITION");
    FAILS(fw_driver_read(d, &s, &fails_err), FW_OK, "");
    CHECK(!s.torque_on && a.bus.servo[0].reg[40] == 0);
    fw_driver_close(&d);
    arm_close(&a);
}

static void torque_off_is_sure(void) {
    arm a;
    fw_driver *d;
    fw_driver_state s;
    arm_open(&a, "");
    arm_start(&a, &d);
    OK(fw_driver_read(d, &s, &ok_err));
    fw_driver_command c = arm_here(&s);
    OK(fw_driver_write(d, &c, &ok_err));
    c.torque_on = false;
    SERVO_SET(&a.bus, deaf, 1); /* the first is not heard */
    OK(fw_driver_write(d, &c, &ok_err));
    for (int i = 0; i < 6; i++) {
        CHECK_INT(a.bus.servo[i].reg[40], 0);
    }
    c.torque_on = true;
    OK(fw_driver_read(d, &s, &ok_err));
    OK(fw_driver_write(d, &c, &ok_err));
    c.torque_on = false;
    SERVO_SET(&a.bus, servo[1].missing,
              true); /* it cannot be told: the others are off, and it is said until it answers */
    for (int k = 0; k < 2; k++) {
        FAILS(fw_driver_write(d, &c, &fails_err), FW_TIMEOUT, "shoulder_lift (id 2)", "TORQUE_ENABLE");
    }
    CHECK(a.bus.servo[0].reg[40] == 0 && a.bus.servo[1].reg[40] == 1);
    SERVO_SET(&a.bus, servo[1].missing, false);
    OK(fw_driver_write(d, &c, &ok_err));
    CHECK_INT(a.bus.servo[1].reg[40], 0);
    fw_driver_close(&d);
    arm_close(&a);
}

static void after_a_kill_the_arm_holds_and_can_be_had_again(void) {
    arm a;
    fw_driver *d;
    fw_driver_state s;
    int ready[2];
    char c = 0;
    arm_open(&a, "");
    CHECK_INT(pipe(ready), 0);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        arm_start(&a, &d);
        OK(fw_driver_read(d, &s, &ok_err));
        fw_driver_command cmd = arm_here(&s);
        OK(fw_driver_write(d, &cmd, &ok_err));
        CHECK_INT(write(ready[1], "x", 1), 1);
        for (;;) { /* in the middle of a cycle */
            (void)!fw_driver_read(d, &s, NULL);
        }
    }
    CHECK_INT(read(ready[0], &c, 1), 1);
    CHECK_INT(kill(pid, SIGKILL), 0);
    CHECK_INT(waitpid(pid, NULL, 0), pid);
    CHECK_INT(a.bus.servo[0].reg[40], 1); /* holds */
    arm_start(&a, &d);
    CHECK_INT(a.bus.servo[0].reg[40], 0);
    OK(fw_driver_read(d, &s, &ok_err));
    fw_driver_close(&d);
    close(ready[0]);
    close(ready[1]);
    arm_close(&a);
}

static void a_servo_that_falls_silent_is_invalid_and_the_others_are_not(void) {
    arm a;
    fw_driver *d;
    fw_driver_state s, before;
    arm_open(&a, "");
    arm_start(&a, &d);
    OK(fw_driver_read(d, &before, &ok_err));
    SERVO_SET(&a.bus, servo[3].missing, true);
    OK(fw_driver_read(d, &s, &ok_err));
    for (int i = 0; i < 6; i++) {
        CHECK_INT(s.axis[i].valid, i != 3);
    }
    CHECK(s.axis[3].t_ns == before.axis[3].t_ns && s.axis[3].position == before.axis[3].position);
    SERVO_SET(&a.bus, servo[3].missing, false);
    OK(fw_driver_read(d, &s, &ok_err));
    CHECK(s.axis[3].valid && s.axis[3].t_ns > before.axis[3].t_ns);
    for (int i = 0; i < 6; i++) {
        SERVO_SET(&a.bus, servo[i].missing, true);
    }
    FAILS(fw_driver_read(d, &s, &fails_err), FW_TIMEOUT, a.bus.port, "none of 6");
    CHECK(!s.axis[0].valid);
    fw_driver_close(&d);
    arm_close(&a);
}

static void error_bits_come_with_the_measurement(void) {
    static const struct {
        uint8_t error;
        uint32_t fault;
        const char *text;
    } table[] = {{1, FW_DRIVER_FAULT_VOLTAGE, "voltage"},    {2, FW_DRIVER_FAULT_SENSOR, "sensor"},
                 {4, FW_DRIVER_FAULT_TEMPERATURE, "hot"},    {8, FW_DRIVER_FAULT_CURRENT, "current"},
                 {32, FW_DRIVER_FAULT_OVERLOAD, "overload"}, {128, FW_DRIVER_FAULT_OTHER, "unknown"}};
    arm a;
    fw_driver *d;
    fw_driver_state s;
    char text[128];
    arm_open(&a, "");
    arm_start(&a, &d);
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        SERVO_SET(&a.bus, servo[1].error, table[k].error);
        OK(fw_driver_read(d, &s, &ok_err));
        CHECK(s.axis[1].valid && s.axis[0].faults == 0);
        CHECK_INT(s.axis[1].faults, table[k].fault);
        CHECK(strstr(fw_driver_faults_text(s.axis[1].faults, text, sizeof text), table[k].text) != NULL);
    }
    fw_driver_close(&d);
    arm_close(&a);
}

static void an_unplugged_arm_is_gone_until_it_is_started_again(void) {
    arm a;
    fw_driver *d;
    fw_driver_state s;
    arm_open(&a, "");
    arm_start(&a, &d);
    OK(fw_driver_read(d, &s, &ok_err));
    fw_driver_command c = arm_here(&s);
    OK(fw_driver_write(d, &c, &ok_err));
    servo_bus_unplug(&a.bus);
    FAILS(fw_driver_read(d, &s, &fails_err), FW_CLOSED, a.bus.port, "gone");
    FAILS(fw_driver_write(d, &c, &fails_err), FW_CLOSED, "gone");
    fw_driver_stop(d);
    FAILS(fw_driver_start(d, &fails_err), FW_IO, a.bus.port);
    fw_driver_close(&d);
    arm_close(&a);
}

static void stop_takes_the_torque_off_in_spite_of_lost_replies(void) {
    arm a;
    fw_driver *d;
    fw_driver_state s;
    arm_open(&a, "");
    arm_start(&a, &d);
    OK(fw_driver_read(d, &s, &ok_err));
    fw_driver_command c = arm_here(&s);
    OK(fw_driver_write(d, &c, &ok_err));
    CHECK_INT(a.bus.servo[5].reg[40], 1);
    SERVO_SET(&a.bus, lose, 1);
    SERVO_SET(&a.bus, servo[2].missing, true); /* it cannot be told */
    fw_driver_stop(d);
    for (int i = 0; i < 6; i++) {
        CHECK_INT(a.bus.servo[i].reg[40], i == 2);
    }
    FAILS(fw_driver_read(d, &s, &fails_err), FW_INVALID, "before start");
    fw_driver_close(&d);
    arm_close(&a);
}

/* 200 Hz for some seconds with 1 % of the replies broken: no call longer than its bound (but for what the machine takes), no allocation,
 * nearly everything measured. */
static void two_hundred_hertz_with_a_hundredth_of_the_replies_broken(void) {
    enum { CYCLES = 800, PERIOD_NS = 5000000 };
    arm a;
    fw_driver *d;
    fw_driver_state s;
    int valid = 0, over = 0, late = 0;
    int64_t longest = 0;
    fw_err err = {0};
    arm_open(&a, "");
    char *at = strstr(a.config, "\"reply_us\""); /* the times of a real arm */
    snprintf(at, sizeof a.config - (size_t)(at - a.config), "\"reply_us\": 1000, \"read_ms\": 4}");
    OK(fw_driver_open("so101", a.config, &d, &ok_err));
    OK(fw_driver_start(d, &ok_err));
    do {
        CHECK(fw_driver_read(d, &s, &err) != FW_CLOSED);
    } while (!s.axis[0].valid || !s.axis[1].valid || !s.axis[2].valid || !s.axis[3].valid || !s.axis[4].valid ||
             !s.axis[5].valid);
    fw_driver_command c = arm_here(&s);
    for (int k = 0; k < 50 && fw_driver_write(d, &c, &err) != FW_OK; k++) {
    }
    SERVO_SET(&a.bus, per_mille, 10);
    const int64_t bound = 1000 * (int64_t)fw_driver_get_info(d)->read_bound_us;
    int64_t due = fw_now_ns();
    fw_alloc_guard_begin();
    for (int k = 0; k < CYCLES; k++) {
        const int64_t t = fw_now_ns();
        fw_status r = fw_driver_read(d, &s, &err);
        const int64_t read_ns = fw_now_ns() - t;
        c.position[0] = 0.1F * sinf(0.02F * (float)k);
        fw_status w = fw_driver_write(d, &c, &err);
        const int64_t write_ns = fw_now_ns() - t - read_ns;
        const int64_t took = read_ns > write_ns ? read_ns : write_ns;
        if ((r != FW_OK && r != FW_TIMEOUT) || (w != FW_OK && w != FW_TIMEOUT && w != FW_UNSAFE)) {
            FW_FAILED("%s", err.msg);
        }
        longest = took > longest ? took : longest;
        over += took > bound;
        for (int i = 0; i < 6; i++) {
            valid += s.axis[i].valid;
        }
        due = due + PERIOD_NS > fw_now_ns() ? due + PERIOD_NS : fw_now_ns() + PERIOD_NS;
        fw_clock_real()->sleep_until_ns(fw_clock_real()->self, due);
        late += fw_now_ns() - due > 1000000;
    }
    CHECK_INT(fw_alloc_guard_end(), 0);
    printf("%d cycles: %d replies, %d broken, %" PRIu64
           " asked again, %.2f %% of the axes measured; longest call %.2f ms, %d over %.1f ms; "
           "this machine woke "
           "us %d times more than 1 ms late\n",
           CYCLES, a.bus.replies, a.bus.broken, s.retries, 100.0 * valid / (6.0 * CYCLES), 1e-6 * (double)longest, over,
           1e-6 * (double)bound, late);
    CHECK(a.bus.broken > CYCLES / 40 && s.retries > CYCLES / 80);
    CHECK(valid >= 6 * (CYCLES * 9 / 10 - late)); /* what delays us delays the emulator, too */
    CHECK(over <= CYCLES / 50 + 2 * late);
    fw_driver_close(&d);
    arm_close(&a);
}

FW_TEST_MAIN(T(start_sets_the_registers_and_moves_nothing), T(start_names_what_is_wrong_with_whom),
             T(config_is_refused_with_its_key), T(it_follows_and_measures_in_radians),
             T(targets_out_of_range_are_refused_and_nothing_is_sent), T(torque_caps_reach_the_servos),
             T(a_lost_goal_or_torque_packet_does_not_engage_half_an_arm), T(torque_off_is_sure),
             T(after_a_kill_the_arm_holds_and_can_be_had_again),
             T(a_servo_that_falls_silent_is_invalid_and_the_others_are_not), T(error_bits_come_with_the_measurement),
             T(an_unplugged_arm_is_gone_until_it_is_started_again),
             T(stop_takes_the_torque_off_in_spite_of_lost_replies),
             T(two_hundred_hertz_with_a_hundredth_of_the_replies_broken))
