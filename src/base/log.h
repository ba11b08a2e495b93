/*
 * log.h - lines for people on stderr, and progress with an ETA for long work. stdout belongs to results.
 *
 * Thread-safe. On a terminal a progress line redraws itself at most 10 times a second; elsewhere it prints a plain
 * line every few seconds, so that a log file stays readable.
 */
#ifndef FW_BASE_LOG_H
#define FW_BASE_LOG_H

#include <stdint.h>

#include "fw/status.h"

typedef enum fw_log_level { FW_LOG_ERROR, FW_LOG_WARN, FW_LOG_INFO, FW_LOG_DEBUG } fw_log_level;

/* Messages above `level` are dropped. Default INFO, or the environment's FW_LOG=error|warn|info|debug. */
void fw_log_set_level(fw_log_level level);
void fw_log(fw_log_level level, const char *fmt, ...) FW_PRINTF(2, 3);
#define fw_error(...) fw_log(FW_LOG_ERROR, __VA_ARGS__)
#define fw_warn(...)  fw_log(FW_LOG_WARN, __VA_ARGS__)
#define fw_info(...)  fw_log(FW_LOG_INFO, __VA_ARGS__)
#define fw_debug(...) fw_log(FW_LOG_DEBUG, __VA_ARGS__)

typedef struct fw_progress {
    const char *what; /* static: "episodes" */
    uint64_t total, done;
    int64_t start_ns, shown_ns;
    int tty;
} fw_progress;

/* Start counting `total` units of `what` (static string). */
void fw_progress_start(fw_progress *p, const char *what, uint64_t total);
/* `done` units are done; fmt adds details ("loss 0.12"), may be NULL. Prints now and then: rate, ETA. */
void fw_progress_update(fw_progress *p, uint64_t done, const char *fmt, ...) FW_PRINTF(3, 4);
void fw_progress_end(fw_progress *p);

#endif /* FW_BASE_LOG_H */
