#include "base/log.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/threads.h"
#include "fw_test.h"

static char said[200000];

/* what fn() writes to stderr, as lines */
static const char *capture(void (*fn)(void)) {
    FILE *f = tmpfile();
    int keep = dup(2);
    CHECK(f != NULL && dup2(fileno(f), 2) == 2);
    fn();
    fflush(stderr);
    dup2(keep, 2);
    close(keep);
    rewind(f);
    said[fread(said, 1, sizeof(said) - 1, f)] = 0;
    fclose(f);
    return said;
}

static void one_of_each(void) {
    fw_error("an %s", "error");
    fw_warn("a warning");
    fw_info("a message");
    fw_debug("a detail");
}

static void levels_drop_what_is_above_them(void) {
    CHECK(strcmp(capture(one_of_each), "error: an error\nwarning: a warning\na message\n") == 0);
    fw_log_set_level(FW_LOG_DEBUG);
    CHECK(strstr(capture(one_of_each), "debug: a detail\n") != NULL);
    fw_log_set_level(FW_LOG_ERROR);
    CHECK(strcmp(capture(one_of_each), "error: an error\n") == 0);
    fw_log_set_level(FW_LOG_INFO);
}

static void log_block(void *ctx, int i, int worker) {
    (void)ctx, (void)worker;
    fw_info("begin %d %060d end", i, 0);
}

static void log_from_threads(void) {
    fw_pool *p;
    CHECK_INT(fw_pool_new(4, &p, NULL), FW_OK);
    fw_pool_run(p, 500, log_block, NULL);
    fw_pool_free(p);
}

static void lines_of_threads_never_mix(void) {
    int lines = 0;
    capture(log_from_threads);
    for (char *line = strtok(said, "\n"); line != NULL; line = strtok(NULL, "\n"), lines++) {
        CHECK(strncmp(line, "begin ", 6) == 0 && strcmp(line + strlen(line) - 4, " end") == 0);
    }
    CHECK_INT(lines, 500);
}

static void log_very_long(void) {
    char text[5000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    fw_info("%s", text);
}

static void a_long_message_is_cut_and_still_one_line(void) {
    capture(log_very_long);
    CHECK(strlen(said) > 900 && strlen(said) < 1100);
    CHECK(strchr(said, '\n') == said + strlen(said) - 1);
}

static void count_to_ten(void) {
    fw_progress p;
    fw_progress_start(&p, "episodes", 10);
    for (uint64_t i = 1; i <= 10; i++) {
        fw_progress_update(&p, i, "loss %.2f", 0.5);
    }
    fw_progress_end(&p);
}

static void progress_off_a_terminal_is_a_few_plain_lines(void) {
    capture(count_to_ten);
    CHECK(strncmp(said, "episodes 10/10", 14) == 0);
    CHECK(strstr(said, "took") != NULL && strchr(said, '\r') == NULL);
    CHECK(strchr(said, '\n') == said + strlen(said) - 1); /* faster than a line every 5 s: the last one only */
}

static void a_simulated_clock_moves_only_when_told(void) {
    int64_t t = 100;
    fw_clock c = fw_clock_sim(&t);
    CHECK_INT(c.now_ns(c.self), 100);
    c.sleep_until_ns(c.self, 5000000000);
    CHECK_INT(c.now_ns(c.self), 5000000000);
    c.sleep_until_ns(c.self, 1); /* never backwards */
    CHECK_INT(t, 5000000000);
}

static void the_real_clock_sleeps_until_its_time(void) {
    const fw_clock *c = fw_clock_real();
    int64_t t = c->now_ns(c->self) + 3000000;
    c->sleep_until_ns(c->self, t);
    CHECK(c->now_ns(c->self) >= t);
    c->sleep_until_ns(c->self, -1); /* long past: returns at once */
    CHECK(fw_now_s() > 0.0);
}

FW_TEST_MAIN(T(levels_drop_what_is_above_them), T(lines_of_threads_never_mix),
             T(a_long_message_is_cut_and_still_one_line), T(progress_off_a_terminal_is_a_few_plain_lines),
             T(a_simulated_clock_moves_only_when_told), T(the_real_clock_sleeps_until_its_time))
