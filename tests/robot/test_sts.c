/* the servo bus: its packets byte for byte, and what is done about each way in which a bus breaks, on a real pty */
#include "robot/sts.h"

#include "base/clock.h"
#include "robot/servo_bus.h"

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        fw_err ok_err = {0};                                                                                           \
        if ((call) != FW_OK)                                                                                           \
            FW_FAILED("%s: %s", #call, ok_err.msg);                                                                    \
    } while (0)

enum { REPLY_US = 100000, FEEDBACK = 15 }; /* a busy machine may not run the emulator for some time */

static const uint8_t ids[6] = {1, 2, 3, 4, 5, 6};

static void bus_open(servo_bus *bus, fw_sts_bus *b) {
    servo_bus_open(bus, 6);
    OK(fw_sts_open(b, bus->port, 1000000, 2, REPLY_US, &ok_err));
}
static void bus_close(servo_bus *bus, fw_sts_bus *b) {
    CHECK_INT(bus->bad_requests, 0);
    fw_sts_close(b);
    servo_bus_close(bus);
}

/* --- bytes */

static void packets_are_those_of_the_manual(void) {
    uint8_t p[FW_STS_PACKET_MAX];
    const uint8_t ping[] = {0xFF, 0xFF, 0x01, 0x02, 0x01, 0xFB};
    const uint8_t read[] = {0xFF, 0xFF, 0x01, 0x04, 0x02, 0x38, 0x02, 0xBE};
    const uint8_t write[] = {0xFF, 0xFF, 0xFE, 0x04, 0x03, 0x05, 0x01, 0xF4};
    const uint8_t sync_read[] = {0xFF, 0xFF, 0xFE, 0x06, 0x82, 0x38, 0x08, 0x01, 0x02, 0x36};
    CHECK_INT(fw_sts_packet(1, FW_STS_PING, NULL, 0, p), 6);
    CHECK(memcmp(p, ping, 6) == 0);
    CHECK_INT(fw_sts_packet(1, FW_STS_READ, read + 5, 2, p), 8);
    CHECK(memcmp(p, read, 8) == 0);
    CHECK_INT(fw_sts_packet(0xFE, FW_STS_WRITE, write + 5, 2, p), 8);
    CHECK(memcmp(p, write, 8) == 0);
    CHECK_INT(fw_sts_packet(0xFE, FW_STS_SYNC_READ, sync_read + 5, 4, p), 10);
    CHECK(memcmp(p, sync_read, 10) == 0);
}

static void words_are_sign_and_magnitude(void) {
    uint8_t w[2];
    fw_sts_encode(FW_STS_HOMING_OFFSET, -1603, w); /* bit 11 */
    CHECK_INT(w[0] | w[1] << 8, 1603 | 1 << 11);
    CHECK_INT(fw_sts_decode(FW_STS_HOMING_OFFSET, w), -1603);
    fw_sts_encode(FW_STS_LOAD, -200, w); /* bit 10 */
    CHECK_INT(w[0] | w[1] << 8, 200 | 1 << 10);
    CHECK_INT(fw_sts_decode(FW_STS_LOAD, w), -200);
    fw_sts_encode(FW_STS_GOAL_POSITION, -5, w); /* bit 15 */
    CHECK_INT(w[0] | w[1] << 8, 5 | 1 << 15);
    for (int v = -2047; v <= 2047; v++) {
        fw_sts_encode(FW_STS_HOMING_OFFSET, v, w);
        CHECK_INT(fw_sts_decode(FW_STS_HOMING_OFFSET, w), v);
    }
}

static size_t feed(fw_sts_parser *p, const uint8_t *bytes, size_t n, fw_sts_reply *out, size_t cap) {
    size_t got = 0;
    for (size_t i = 0; i < n; i++) { /* byte by byte: every place where a packet can be torn */
        size_t room;
        *fw_sts_parser_room(p, &room) = bytes[i];
        fw_sts_parser_added(p, 1);
        while (got < cap && fw_sts_parser_next(p, &out[got])) {
            got++;
        }
    }
    return got;
}

static void a_reply_is_found_in_noise(void) {
    fw_sts_parser p = {0};
    fw_sts_reply r[4];
    const uint8_t bytes[] = {0x00, 0xFF, 0xFF, 0xFF, 0x02, 0x04, 0x00, 0x18, 0x05, 0xDC, /* a third FF before it */
                             0xFF, 0xFF, 0x01, 0x03, 0x00, 0x18, 0x00,                   /* wrong checksum */
                             0xFF, 0x07, 0xFF, 0xFF, 0x01, 0xFF,                         /* a length that cannot be */
                             0xFF, 0xFF, 0x01, 0x02, 0x20, 0xDC};                        /* overload */
    CHECK_INT(feed(&p, bytes, sizeof bytes, r, 4), 2);
    CHECK(r[0].id == 2 && r[0].n == 2 && r[0].data[0] == 0x18 && r[0].data[1] == 0x05 && r[0].error == 0);
    CHECK(r[1].id == 1 && r[1].n == 0 && r[1].error == 0x20);
    CHECK_INT(p.checksums, 1);
    CHECK_INT(p.noise, sizeof bytes - 8 - 6);
}

static void a_wrong_checksum_does_not_swallow_the_reply_behind_it(void) {
    fw_sts_parser p = {0};
    fw_sts_reply r[2];
    /* the first says that it is 10 bytes long, and was cut: the second lies in it */
    const uint8_t bytes[] = {0xFF, 0xFF, 0x01, 0x0A, 0x00, 0xFF, 0xFF, 0x02, 0x03,
                             0x00, 0x55, 0xA5, 0xFF, 0xFF, 0x03, 0x02, 0x00, 0xFA};
    CHECK_INT(feed(&p, bytes, sizeof bytes, r, 2), 2);
    CHECK(r[0].id == 2 && r[0].data[0] == 0x55 && r[1].id == 3);
}

/* --- transactions */

static void registers_are_read_and_written(void) {
    servo_bus bus;
    fw_sts_bus b;
    uint8_t error = 99;
    int32_t v;
    bus_open(&bus, &b);
    OK(fw_sts_ping(&b, 3, &error, &ok_err));
    CHECK_INT(error, 0);
    OK(fw_sts_read(&b, 3, FW_STS_MODEL, &v, &error, &ok_err));
    CHECK_INT(v, FW_STS_MODEL_3215);
    OK(fw_sts_write(&b, 3, FW_STS_HOMING_OFFSET, -123, &error, &ok_err));
    OK(fw_sts_read(&b, 3, FW_STS_HOMING_OFFSET, &v, &error, &ok_err));
    CHECK_INT(v, -123);
    CHECK_INT(bus.servo[2].reg[31] | bus.servo[2].reg[32] << 8, 123 | 1 << 11);
    OK(fw_sts_read(&b, 3, FW_STS_POSITION, &v, &error, &ok_err));
    CHECK_INT(v, 2048 + 123);
    CHECK_INT(b.counts.retries, 0);
    bus_close(&bus, &b);
}

static uint32_t sync6(fw_sts_bus *b, fw_sts_reply *r) {
    uint32_t got = 0;
    OK(fw_sts_sync_read(b, ids, 6, fw_sts_address(FW_STS_POSITION), FEEDBACK, INT64_MAX, r, &got, &ok_err));
    for (int i = 0; i < 6; i++) {
        CHECK((got >> i & 1) == 0 || (r[i].id == ids[i] && r[i].n == FEEDBACK));
    }
    return got;
}

static void six_servos_answer_one_request(void) {
    servo_bus bus;
    fw_sts_bus b;
    fw_sts_reply r[6];
    const int32_t goal[6] = {2000, 2010, 2020, 2030, 2040, 2050};
    bus_open(&bus, &b);
    CHECK_INT(sync6(&b, r), 63);
    CHECK_INT(b.counts.requests, 1);
    OK(fw_sts_sync_write(&b, ids, 6, FW_STS_GOAL_POSITION, goal, INT64_MAX, &ok_err));
    CHECK_INT(sync6(&b, r), 63); /* the bus is in order: the write has been served */
    for (int i = 0; i < 6; i++) {
        CHECK_INT(bus.servo[i].reg[42] | bus.servo[i].reg[43] << 8, goal[i]);
    }
    bus_close(&bus, &b);
}

/* Break the next replies in one way; the read must end with everything there, after `retries` further requests. */
#define BREAKS(field, count, want_retries)                                                                             \
    do {                                                                                                               \
        SERVO_SET(&bus, field, count);                                                                                 \
        const uint64_t before = b.counts.retries;                                                                      \
        CHECK_INT(sync6(&b, r), 63);                                                                                   \
        CHECK_INT(b.counts.retries - before, want_retries);                                                            \
    } while (0)

static void broken_replies_are_asked_for_again_and_only_those(void) {
    servo_bus bus;
    fw_sts_bus b;
    fw_sts_reply r[6];
    bus_open(&bus, &b);
    BREAKS(noise, 6, 0); /* noise between replies costs nothing */
    CHECK(b.parser.noise > 0);
    BREAKS(truncate, 1, 1);
    BREAKS(corrupt, 2, 1);
    BREAKS(lose, 6, 1);
    BREAKS(stranger, 1, 1);
    CHECK_INT(b.counts.strangers, 1);
    BREAKS(short_by_one, 1, 1); /* right in itself, but no answer to this */
    CHECK_INT(b.counts.strangers, 2);
    BREAKS(deaf, 1, 1);
    CHECK_INT(bus.replies, 6 + (5 + 1 + 1) + (6 + 2) + 6 + (6 + 1) + (6 + 1) + 6);
    bus_close(&bus, &b);
}

static void a_reply_of_another_servo_or_length_is_no_answer(void) {
    servo_bus bus;
    fw_sts_bus b;
    uint8_t error;
    int32_t v = 0;
    bus_open(&bus, &b);
    SERVO_SET(&bus, stranger, 1);
    OK(fw_sts_read(&b, 1, FW_STS_TEMPERATURE, &v, &error, &ok_err));
    CHECK(v == 31 && b.counts.strangers == 1 && b.counts.retries == 1);
    SERVO_SET(&bus, short_by_one, 1);
    OK(fw_sts_read(&b, 1, FW_STS_MODEL, &v, &error, &ok_err));
    CHECK(v == FW_STS_MODEL_3215 && b.counts.strangers == 2 && b.counts.retries == 2);
    bus_close(&bus, &b);
}

static void a_late_reply_is_no_answer_to_another_question(void) {
    servo_bus bus;
    fw_sts_bus b;
    uint8_t error;
    int32_t v;
    bus_open(&bus, &b);
    SERVO_SET(&bus, late_ms, 2 * REPLY_US / 1000);
    SERVO_SET(&bus, late, 1);
    OK(fw_sts_read(&b, 1, FW_STS_VOLTAGE, &v, &error, &ok_err)); /* answered late, asked again: two answers come */
    CHECK_INT(v, 74);
    OK(fw_sts_read(&b, 1, FW_STS_TEMPERATURE, &v, &error, &ok_err));
    CHECK_INT(v, 31);
    CHECK(b.counts.retries >= 1 && b.counts.drained > 0);
    bus_close(&bus, &b);
}

static void a_missing_servo_is_named_after_bounded_time(void) {
    servo_bus bus;
    fw_sts_bus b;
    fw_sts_reply r[6];
    fw_err err = {0};
    uint8_t error;
    bus_open(&bus, &b);
    SERVO_SET(&bus, servo[3].missing, true);
    int64_t t = fw_now_ns();
    CHECK_INT(fw_sts_ping(&b, 4, &error, &err), FW_TIMEOUT);
    CHECK(strstr(err.msg, bus.port) && strstr(err.msg, "id 4") && strstr(err.msg, "3 attempts"));
    t = fw_now_ns();
    CHECK_INT(sync6(&b, r), 63 & ~8);
    CHECK(fw_now_ns() - t < fw_sts_bound_ns(&b, 20, 126) + 500000000);
    CHECK_INT(b.counts.lost, 2);
    for (int i = 0; i < 6; i++) {
        SERVO_SET(&bus, servo[i].missing, true);
    }
    uint32_t got;
    CHECK_INT(fw_sts_sync_read(&b, ids, 6, 56, FEEDBACK, INT64_MAX, r, &got, &err), FW_TIMEOUT);
    CHECK_INT(got, 0);
    bus_close(&bus, &b);
}

static void a_deadline_ends_the_attempts(void) {
    servo_bus bus;
    fw_sts_bus b;
    fw_sts_reply r[6];
    uint32_t got;
    bus_open(&bus, &b);
    SERVO_SET(&bus, servo[5].missing, true);
    SERVO_SET(&bus, requests, 0);
    OK(fw_sts_sync_read(&b, ids, 6, 56, FEEDBACK, fw_now_ns() + REPLY_US * 500, r, &got, &ok_err));
    CHECK_INT(bus.requests, 1); /* half the time of an answer: no second attempt */
    bus_close(&bus, &b);
}

static void an_adapter_that_echoes_is_found_out(void) {
    servo_bus bus;
    fw_sts_bus b;
    fw_sts_reply r[6];
    uint8_t error = 0;
    servo_bus_open(&bus, 6);
    SERVO_SET(&bus, echo, true);
    SERVO_SET(&bus, servo[0].error, 1); /* its reply to a ping is the ping, byte for byte */
    OK(fw_sts_open(&b, bus.port, 1000000, 2, REPLY_US, &ok_err));
    CHECK(b.echo);
    OK(fw_sts_ping(&b, 1, &error, &ok_err));
    CHECK_INT(error, 1);
    CHECK_INT(sync6(&b, r), 63);
    CHECK_INT(b.counts.retries, 0);
    CHECK_INT(b.counts.strangers, 0);
    fw_err err = {0};
    CHECK_INT(fw_sts_ping(&b, 9, &error, &err), FW_TIMEOUT); /* nobody: the echo is no answer */
    bus_close(&bus, &b);
}

static void a_bus_that_babbles_ends_in_a_timeout(void) {
    servo_bus bus;
    fw_sts_bus b;
    fw_err err = {0};
    uint8_t error;
    bus_open(&bus, &b);
    SERVO_SET(&bus, babble, true);
    CHECK_INT(fw_sts_ping(&b, 1, &error, &err), FW_TIMEOUT);
    SERVO_SET(&bus, babble, false);
    usleep(50000);
    OK(fw_sts_ping(&b, 1, &error, &ok_err)); /* and is in step again */
    bus_close(&bus, &b);
}

static void an_unplugged_port_is_gone(void) {
    servo_bus bus;
    fw_sts_bus b;
    fw_sts_reply r[6];
    fw_err err = {0};
    uint32_t got;
    bus_open(&bus, &b);
    servo_bus_unplug(&bus);
    CHECK_INT(fw_sts_sync_read(&b, ids, 6, 56, FEEDBACK, INT64_MAX, r, &got, &err), FW_CLOSED);
    CHECK(strstr(err.msg, bus.port) != NULL);
    bus_close(&bus, &b);
}

static void a_port_is_held_by_one_program_and_named_when_it_cannot_be_opened(void) {
    servo_bus bus;
    fw_sts_bus b, second;
    fw_err err = {0};
    bus_open(&bus, &b);
    CHECK_INT(fw_sts_open(&second, bus.port, 1000000, 2, REPLY_US, &err), FW_IO);
    CHECK(strstr(err.msg, bus.port) && strstr(err.msg, "another program"));
    CHECK_INT(fw_sts_open(&second, "/dev/ttyNONE", 1000000, 2, REPLY_US, &err), FW_IO);
    CHECK(strstr(err.msg, "/dev/ttyNONE") != NULL);
    CHECK_INT(fw_sts_open(&second, "/dev/null", 1000000, 2, REPLY_US, &err), FW_IO);
    CHECK(strstr(err.msg, "not a serial port") != NULL);
    CHECK_INT(fw_sts_open(&second, bus.port, 1000000, 11, REPLY_US, &err), FW_INVALID);
    bus_close(&bus, &b);
}

FW_TEST_MAIN(T(packets_are_those_of_the_manual), T(words_are_sign_and_magnitude), T(a_reply_is_found_in_noise),
             T(a_wrong_checksum_does_not_swallow_the_reply_behind_it), T(registers_are_read_and_written),
             T(six_servos_answer_one_request), T(broken_replies_are_asked_for_again_and_only_those),
             T(a_reply_of_another_servo_or_length_is_no_answer), T(a_late_reply_is_no_answer_to_another_question),
             T(a_missing_servo_is_named_after_bounded_time), T(a_deadline_ends_the_attempts),
             T(an_adapter_that_echoes_is_found_out), T(a_bus_that_babbles_ends_in_a_timeout),
             T(an_unplugged_port_is_gone), T(a_port_is_held_by_one_program_and_named_when_it_cannot_be_opened))
