/*
 * serial.h - bytes over a serial port, never waiting longer than told.
 *
 * Raw 8N1 at any rate (termios2, BOTHER), non-blocking, held exclusively: a second program on the same bus would garble both. Deadlines
 * are absolute, CLOCK_MONOTONIC. A port that went away (unplugged, the other end of a pseudo terminal closed) is FW_CLOSED.
 */
#ifndef FW_ROBOT_SERIAL_H
#define FW_ROBOT_SERIAL_H

#include <stddef.h>
#include <stdint.h>

#include "fw/status.h"

typedef struct fw_serial {
    int fd; /* -1: closed */
    char port[256];
} fw_serial;

/* FW_IO names the port and why: not there, no right to open it (the group dialout), in use, no such rate. */
FW_NODISCARD fw_status fw_serial_open(fw_serial *s, const char *port, uint32_t baud, fw_err *err);
void fw_serial_close(fw_serial *s);
/* All n bytes. FW_TIMEOUT at the deadline. */
FW_NODISCARD fw_status fw_serial_write(fw_serial *s, const uint8_t *data, size_t n, int64_t deadline_ns, fw_err *err);
/* At least one byte, at most cap: *n. FW_TIMEOUT at the deadline. */
FW_NODISCARD fw_status fw_serial_read(fw_serial *s, uint8_t *data, size_t cap, size_t *n, int64_t deadline_ns,
                                      fw_err *err);
/* Forget what has come in; *n (may be NULL): how many bytes. */
FW_NODISCARD fw_status fw_serial_drain(fw_serial *s, size_t *n, fw_err *err);

#endif /* FW_ROBOT_SERIAL_H */
