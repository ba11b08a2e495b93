/*
 * sts.h - Feetech STS servos on a half-duplex bus: their packets (protocol 0), and transactions that end in bounded time.
 *
 *   request   FF FF id length instruction parameters... checksum        length = parameters + 2
 *   reply     FF FF id length error       parameters... checksum        checksum = ~(id + length + ... ) & FF
 *
 * Words are little-endian; signed ones are sign and magnitude. Replies carry no number: what comes in before a request is sent is
 * thrown away, and within one attempt the last reply of a servo counts. A parser finds the next good packet in any bytes: it never trusts a
 * length that cannot be, and after a wrong checksum looks again one byte further.
 *
 * Adapters whose receiver hears its own sender give every request back (echo): found out at open, and then the first packet that
 * equals the request is passed over.
 */
#ifndef FW_ROBOT_STS_H
#define FW_ROBOT_STS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fw/status.h"
#include "robot/serial.h"

#define FW_STS_BROADCAST  0xFE
#define FW_STS_ID_MAX     0xFC
#define FW_STS_DATA_MAX   64 /* parameters of a packet that we send or take */
#define FW_STS_PACKET_MAX (FW_STS_DATA_MAX + 6)
#define FW_STS_STEPS      4096 /* a turn */
#define FW_STS_MODEL_3215 777
#define FW_STS_SYNC_MAX   16 /* servos in one sync read or write */

/* Registers of the STS series: X(NAME, address, bytes, sign bit or 0). Up to 39 they are kept without power (EPROM), and locked by LOCK. */
/* clang-format off */
#define FW_STS_MAP(X)                                                                           \
  X(FIRMWARE_MAJOR, 0, 1, 0)       X(FIRMWARE_MINOR, 1, 1, 0)      X(MODEL, 3, 2, 0)            \
  X(ID, 5, 1, 0)                   X(BAUD, 6, 1, 0)                X(RETURN_DELAY, 7, 1, 0)     \
  X(MIN_POSITION, 9, 2, 15)        X(MAX_POSITION, 11, 2, 15)      X(MAX_TEMPERATURE, 13, 1, 0) \
  X(MAX_VOLTAGE, 14, 1, 0)         X(MIN_VOLTAGE, 15, 1, 0)        X(MAX_TORQUE, 16, 2, 0)      \
  X(PHASE, 18, 1, 0)               X(P, 21, 1, 0)                  X(D, 22, 1, 0)               \
  X(I, 23, 1, 0)                   X(PROTECTION_CURRENT, 28, 2, 0) X(HOMING_OFFSET, 31, 2, 11)  \
  X(OPERATING_MODE, 33, 1, 0)      X(OVERLOAD_TORQUE, 36, 1, 0)    X(TORQUE_ENABLE, 40, 1, 0)   \
  X(ACCELERATION, 41, 1, 0)        X(GOAL_POSITION, 42, 2, 15)     X(GOAL_VELOCITY, 46, 2, 15)  \
  X(TORQUE_LIMIT, 48, 2, 0)        X(LOCK, 55, 1, 0)               X(POSITION, 56, 2, 15)       \
  X(VELOCITY, 58, 2, 15)           X(LOAD, 60, 2, 10)              X(VOLTAGE, 62, 1, 0)         \
  X(TEMPERATURE, 63, 1, 0)         X(STATUS, 65, 1, 0)             X(MOVING, 66, 1, 0)          \
  X(CURRENT, 69, 2, 15)            X(MAX_ACCELERATION, 85, 1, 0)
/* clang-format on */

typedef enum fw_sts_reg {
#define X(name, address, bytes, sign) FW_STS_##name,
    FW_STS_MAP(X)
#undef X
        FW_STS_N_REG
} fw_sts_reg;

uint8_t fw_sts_address(fw_sts_reg r);
uint8_t fw_sts_bytes(fw_sts_reg r);
const char *fw_sts_name(fw_sts_reg r);
/* A register's value out of its bytes, and into them; the magnitude must fit (FW_ASSERT does not: it is masked). */
int32_t fw_sts_decode(fw_sts_reg r, const uint8_t *bytes);
void fw_sts_encode(fw_sts_reg r, int32_t value, uint8_t *bytes);

/* --- packets */

typedef enum fw_sts_instruction {
    FW_STS_PING = 1,
    FW_STS_READ = 2,
    FW_STS_WRITE = 3,
    FW_STS_SYNC_READ = 0x82,
    FW_STS_SYNC_WRITE = 0x83
} fw_sts_instruction;

/* out [FW_STS_PACKET_MAX]; returns its bytes. n <= FW_STS_DATA_MAX. */
size_t fw_sts_packet(uint8_t id, uint8_t instruction, const uint8_t *data, size_t n, uint8_t *out);

typedef struct fw_sts_reply {
    uint8_t id, error;
    uint8_t data[FW_STS_DATA_MAX];
    size_t n;     /* bytes of data */
    int64_t t_ns; /* when it had come in, CLOCK_MONOTONIC */
} fw_sts_reply;

typedef struct fw_sts_parser {
    uint8_t buf[4 * FW_STS_PACKET_MAX];
    size_t n;           /* bytes held */
    uint64_t noise;     /* bytes passed over */
    uint64_t checksums; /* packets with a wrong one */
} fw_sts_parser;

void fw_sts_parser_reset(fw_sts_parser *p); /* the counters stay */
/* Room for at least one byte is kept: *cap bytes may be put at the returned place, then fw_sts_parser_added. */
uint8_t *fw_sts_parser_room(fw_sts_parser *p, size_t *cap);
void fw_sts_parser_added(fw_sts_parser *p, size_t n);
/* The next good packet, or false: more bytes are needed. */
bool fw_sts_parser_next(fw_sts_parser *p, fw_sts_reply *out);

/* --- transactions */

typedef struct fw_sts_counts {
    uint64_t requests, replies;
    uint64_t retries;   /* requests sent again */
    uint64_t lost;      /* servos that had not answered when a transaction ended */
    uint64_t strangers; /* good packets that nobody had asked for: another id, another length */
    uint64_t drained;   /* bytes that had come before a request */
    int64_t longest_ns; /* transaction, waiting included */
} fw_sts_counts;

typedef struct fw_sts_bus {
    fw_serial serial;
    fw_sts_parser parser;
    fw_sts_counts counts;
    bool echo;
    int retries;      /* further attempts */
    int64_t reply_ns; /* silence, beyond the time the bytes need, after which an answer is missing */
    int64_t byte_ns;  /* on the wire: 10 bits */
} fw_sts_bus;

/* retries 0..10, reply_us 100..1000000. FW_IO as fw_serial_open. */
FW_NODISCARD fw_status fw_sts_open(fw_sts_bus *b, const char *port, uint32_t baud, int retries, uint32_t reply_us,
                                   fw_err *err);
void fw_sts_close(fw_sts_bus *b);

/* Longest that a transaction of `out` bytes to, and `in` bytes from, the bus takes, with all its retries. */
int64_t fw_sts_bound_ns(const fw_sts_bus *b, size_t out, size_t in);

/* Each: FW_TIMEOUT when no good reply came in all attempts (says after how many, and what came instead), FW_CLOSED when the port is gone.
 * *error: the bits of the reply. */
FW_NODISCARD fw_status fw_sts_ping(fw_sts_bus *b, uint8_t id, uint8_t *error, fw_err *err);
FW_NODISCARD fw_status fw_sts_read(fw_sts_bus *b, uint8_t id, fw_sts_reg r, int32_t *value, uint8_t *error,
                                   fw_err *err);
/* The servo's reply is awaited. */
FW_NODISCARD fw_status fw_sts_write(fw_sts_bus *b, uint8_t id, fw_sts_reg r, int32_t value, uint8_t *error,
                                    fw_err *err);

/* `bytes` registers from `address` on, of n servos, who answer in that order; whoever has not answered when the last one has, or when the
 * line is silent, is asked again. replies [n]: those of `got` (bit i: ids[i]) are
 * written. deadline_ns: no attempt waits beyond it (INT64_MAX: the bound of the retries). FW_TIMEOUT: nobody answered. */
FW_NODISCARD fw_status fw_sts_sync_read(fw_sts_bus *b, const uint8_t *ids, int n, uint8_t address, uint8_t bytes,
                                        int64_t deadline_ns, fw_sts_reply *replies, uint32_t *got, fw_err *err);
/* One register of n servos at once: nobody answers. */
FW_NODISCARD fw_status fw_sts_sync_write(fw_sts_bus *b, const uint8_t *ids, int n, fw_sts_reg r, const int32_t *values,
                                         int64_t deadline_ns, fw_err *err);

#endif /* FW_ROBOT_STS_H */
