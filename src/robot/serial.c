/* serial.c - see serial.h. The kernel's own termios2, because libc's termios has no 1 Mbaud that all rates share. */
#include "robot/serial.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static fw_status gone(const fw_serial *s, const char *what, fw_err *err) {
    return fw_fail(err, FW_CLOSED, "%s: the port is gone (%s)", s->port, what);
}

static fw_status set_raw(const fw_serial *s, uint32_t baud, fw_err *err) {
    struct termios2 t;
    if (ioctl(s->fd, TCGETS2, &t) != 0) {
        return fw_fail(err, FW_IO, "%s: not a serial port: %s", s->port, strerror(errno));
    }
    t.c_iflag = 0;
    t.c_oflag = 0;
    t.c_lflag = 0;
    t.c_cflag = CS8 | CREAD | CLOCAL | BOTHER | (BOTHER << IBSHIFT);
    t.c_ispeed = t.c_ospeed = baud;
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    if (ioctl(s->fd, TCSETS2, &t) != 0 || ioctl(s->fd, TCGETS2, &t) != 0) {
        return fw_fail(err, FW_IO, "%s: cannot set %u baud: %s", s->port, baud, strerror(errno));
    }
    if (t.c_ospeed != baud) {
        return fw_fail(err, FW_IO, "%s: wanted %u baud, it can do %u", s->port, baud, (unsigned)t.c_ospeed);
    }
    return FW_OK;
}

/* Adapters gather bytes for up to 16 ms unless told not to; those that cannot be told are not asked twice. */
static void set_low_latency(const fw_serial *s) {
    struct serial_struct x;
    if (ioctl(s->fd, TIOCGSERIAL, &x) == 0) {
        x.flags |= ASYNC_LOW_LATENCY;
        (void)ioctl(s->fd, TIOCSSERIAL, &x);
    }
}

fw_status fw_serial_open(fw_serial *s, const char *port, uint32_t baud, fw_err *err) {
    snprintf(s->port, sizeof s->port, "%s", port);
    s->fd = open(port, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (s->fd < 0) {
        return fw_fail(err, FW_IO, "%s: cannot open: %s%s", port, strerror(errno),
                       errno == EACCES ? " (is your user in the group dialout?)" : "");
    }
    fw_status st = FW_OK;
    if (flock(s->fd, LOCK_EX | LOCK_NB) != 0) {
        st = fw_fail(err, FW_IO, "%s: another program has it open", port);
    }
    st = st == FW_OK ? set_raw(s, baud, err) : st;
    st = st == FW_OK ? fw_serial_drain(s, NULL, err) : st;
    if (st != FW_OK) {
        fw_serial_close(s);
        return st;
    }
    set_low_latency(s);
    return FW_OK;
}

void fw_serial_close(fw_serial *s) {
    if (s->fd >= 0) {
        close(s->fd);
    }
    s->fd = -1;
}

/* Wait until the port can be read (POLLIN) or written (POLLOUT). */
static fw_status wait_for(const fw_serial *s, short events, int64_t deadline_ns, fw_err *err) {
    for (;;) {
        int64_t left = deadline_ns - fw_now_ns();
        left = left < 0 ? 0 : left;
        struct timespec ts = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
        struct pollfd p = {.fd = s->fd, .events = events};
        int r = ppoll(&p, 1, &ts, NULL);
        if (r > 0 && (p.revents & events) != 0) {
            return FW_OK;
        }
        if (r > 0) {
            return gone(s, "hung up", err);
        }
        if (r < 0 && errno != EINTR) {
            return gone(s, strerror(errno), err);
        }
        if (r == 0 && left == 0) {
            return fw_fail(err, FW_TIMEOUT, "%s: %s", s->port, events == POLLIN ? "no answer" : "takes no bytes");
        }
    }
}

fw_status fw_serial_write(fw_serial *s, const uint8_t *data, size_t n, int64_t deadline_ns, fw_err *err) {
    if (s->fd < 0) {
        return gone(s, "closed", err);
    }
    for (size_t at = 0; at < n;) {
        ssize_t w = write(s->fd, data + at, n - at);
        if (w > 0) {
            at += (size_t)w;
        } else if (w < 0 && errno != EAGAIN && errno != EINTR) {
            return gone(s, strerror(errno), err);
        } else {
            FW_TRY(wait_for(s, POLLOUT, deadline_ns, err));
        }
    }
    return FW_OK;
}

fw_status fw_serial_read(fw_serial *s, uint8_t *data, size_t cap, size_t *n, int64_t deadline_ns, fw_err *err) {
    *n = 0;
    if (s->fd < 0) {
        return gone(s, "closed", err);
    }
    for (;;) {
        FW_TRY(wait_for(s, POLLIN, deadline_ns, err));
        ssize_t r = read(s->fd, data, cap);
        if (r > 0) {
            *n = (size_t)r;
            return FW_OK;
        }
        if (r == 0 || (errno != EAGAIN && errno != EINTR)) {
            return gone(s, r == 0 ? "end of file" : strerror(errno), err);
        }
        if (fw_now_ns() >= deadline_ns) {
            return fw_fail(err, FW_TIMEOUT, "%s: no answer", s->port);
        }
    }
}

fw_status fw_serial_drain(fw_serial *s, size_t *n, fw_err *err) {
    uint8_t waste[256];
    size_t sum = 0;
    for (int i = 0; i < 64; i++) { /* a line that never falls silent ends in a time-out of whoever reads it */
        ssize_t r = s->fd < 0 ? 0 : read(s->fd, waste, sizeof waste);
        if (r < 0 && errno == EAGAIN) {
            break;
        }
        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r <= 0) {
            return gone(s, r == 0 ? "end of file" : strerror(errno), err);
        }
        sum += (size_t)r;
    }
    if (n != NULL) {
        *n = sum;
    }
    return FW_OK;
}
