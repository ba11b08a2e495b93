/*
 * log.c - WHAT: one line a message on stderr; progress with rate and ETA.
 *
 * DESIGN: a line is formatted on the stack and leaves in one fwrite under stdio's own lock, so lines of several threads
 * never mix. A live progress line ends in '\r' instead of '\n'; `live` remembers that, and the next message wipes it.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define LINE_MAX_BYTES 1024
#define REDRAW_TTY_NS  100000000ll
#define REDRAW_FILE_NS 5000000000ll

static atomic_int max_level = -1; /* -1: not read from the environment yet */
static atomic_int live;           /* a progress line stands unfinished on the terminal */

static int level_from_env(void) {
    static const char *const names[] = {"error", "warn", "info", "debug"};
    const char *s = getenv("FW_LOG");
    for (int i = 0; s != NULL && i < 4; i++) {
        if (strcmp(s, names[i]) == 0) {
            return i;
        }
    }
    return FW_LOG_INFO;
}

void fw_log_set_level(fw_log_level level) {
    atomic_store(&max_level, (int)level);
}

static int enabled(fw_log_level level) {
    int max = atomic_load(&max_level);
    if (max < 0) {
        max = level_from_env();
        atomic_store(&max_level, max);
    }
    return (int)level <= max;
}

/* `text` of at most LINE_MAX_BYTES, then `end`; wipes a live line first when there is one */
static void put_line(const char *text, char end) {
    char line[LINE_MAX_BYTES + 16];
    const char *wipe = atomic_exchange(&live, end == '\r') ? "\r\033[K" : "";
    int n = snprintf(line, sizeof(line) - 1, "%s%s", wipe, text);
    n = n > (int)sizeof(line) - 2 ? (int)sizeof(line) - 2 : n;
    line[n++] = end;
    fwrite(line, 1, (size_t)n, stderr);
    fflush(stderr);
}

void fw_log(fw_log_level level, const char *fmt, ...) {
    static const char *const prefix[] = {"error: ", "warning: ", "", "debug: "};
    char text[LINE_MAX_BYTES];
    if (!enabled(level)) {
        return;
    }
    int at = snprintf(text, sizeof(text), "%s", prefix[level]);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text + at, sizeof(text) - (size_t)at, fmt, ap);
    va_end(ap);
    put_line(text, '\n');
}

void fw_progress_start(fw_progress *p, const char *what, uint64_t total) {
    *p = (fw_progress){.what = what, .total = total, .start_ns = fw_now_ns(), .tty = isatty(STDERR_FILENO)};
    p->shown_ns = p->start_ns;
}

/* "1 h 02 min", "3 min 20 s", "12 s" */
static void format_duration(char *out, size_t cap, double s) {
    long t = s > 0.0 && s < 1e9 ? (long)(s + 0.5) : 0;
    if (t >= 3600) {
        snprintf(out, cap, "%ld h %02ld min", t / 3600, t / 60 % 60);
    } else if (t >= 60) {
        snprintf(out, cap, "%ld min %02ld s", t / 60, t % 60);
    } else {
        snprintf(out, cap, "%ld s", t);
    }
}

static void show(const fw_progress *p, const char *detail, int last) {
    char text[LINE_MAX_BYTES], time[32];
    double s = (double)(fw_now_ns() - p->start_ns) * 1e-9;
    double rate = s > 0.0 ? (double)p->done / s : 0.0;
    double eta = rate > 0.0 && p->total > p->done ? (double)(p->total - p->done) / rate : 0.0;
    format_duration(time, sizeof(time), last ? s : eta);
    snprintf(text, sizeof(text), "%s %llu/%llu  %.3g/s  %s %s%s%.600s", p->what, (unsigned long long)p->done,
             (unsigned long long)p->total, rate, last ? "took" : "left", time, detail[0] ? "  " : "", detail);
    put_line(text, p->tty && !last ? '\r' : '\n');
}

void fw_progress_update(fw_progress *p, uint64_t done, const char *fmt, ...) {
    char detail[600] = "";
    int64_t now = fw_now_ns();
    p->done = done;
    if (now - p->shown_ns < (p->tty ? REDRAW_TTY_NS : REDRAW_FILE_NS) || !enabled(FW_LOG_INFO)) {
        return;
    }
    p->shown_ns = now;
    if (fmt != NULL) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(detail, sizeof(detail), fmt, ap);
        va_end(ap);
    }
    show(p, detail, 0);
}

void fw_progress_end(fw_progress *p) {
    if (enabled(FW_LOG_INFO)) {
        show(p, "", 1);
    }
}
