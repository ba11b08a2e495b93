/* flywheel bench: its rows, what the machine cannot do, and how a peer's times join them */
#include <jansson.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fw_test.h"

static char errs[1 << 16];

/* Exit code of `flywheel bench ARGS`; *result: the object on stdout, or NULL. */
static int bench(const char *args, json_t **result) {
    char cmd[1024];
    snprintf(cmd, sizeof cmd, "%s bench --quick --threads 1 --json %s >cli_bench.out 2>cli_bench.err </dev/null",
             FW_BIN, args);
    int st = system(cmd);
    FILE *f = fopen("cli_bench.err", "rb");
    CHECK(f != NULL && WIFEXITED(st));
    errs[fread(errs, 1, sizeof errs - 1, f)] = 0;
    fclose(f);
    *result = json_load_file("cli_bench.out", 0, NULL);
    remove("cli_bench.out");
    remove("cli_bench.err");
    return WEXITSTATUS(st);
}

static const json_t *row_of(const json_t *result, const char *work) {
    size_t i;
    const json_t *r;
    json_array_foreach(json_object_get(result, "rows"), i, r) {
        if (strcmp(json_string_value(json_object_get(r, "work")), work) == 0) {
            return r;
        }
    }
    FW_FAILED("no row '%s'", work);
}

static double number(const json_t *row, const char *key) {
    return json_number_value(json_object_get(row, key)); /* 0: null */
}

static const char *text(const json_t *row, const char *key) {
    const char *s = json_string_value(json_object_get(row, key));
    return s != NULL ? s : "";
}

static void a_row_has_time_rate_part_of_the_peak_and_memory(void) {
    json_t *j;
    CHECK_INT(bench("--only 'linear 50x720x2048 f32'", &j), 0);
    CHECK_INT(json_array_size(json_object_get(j, "rows")), 1);
    const json_t *r = row_of(j, "linear 50x720x2048 f32");
    const double ms = number(r, "ours_ms"), gflop = 2e-9 * 50 * 720 * 2048;
    CHECK(ms > 0.0 && fabs(number(r, "gflops") - gflop / (1e-3 * ms)) < 0.01 * number(r, "gflops"));
    const double peak = number(json_object_get(j, "peaks"), "f32");
    CHECK(peak <= 0.0 || fabs(number(r, "of_peak") - number(r, "gflops") / peak) < 0.01);
    CHECK(number(r, "base_mb") > 1.0 && number(r, "base_mb") < number(r, "rss_mb") && number(r, "peer_rss_mb") <= 0.0);
    CHECK(number(r, "rss_mb") > 1.0 && number(r, "peer_ms") <= 0.0 && text(r, "peer")[0] == 0);
    json_decref(j);
}

static void what_the_machine_cannot_do_is_said_in_its_row(void) {
    json_t *j;
    CHECK_INT(bench("--only 'linear 50x720x2048 bf16'", &j), 0);
    const json_t *r = row_of(j, "linear 50x720x2048 bf16");
    const bool can = text(json_object_get(j, "kernels"), "bf16")[0] != 0;
    CHECK(can == (number(r, "ours_ms") > 0.0) && can == (strstr(text(r, "note"), "AVX512-BF16") == NULL));
    json_decref(j);
}

static void a_name_of_no_row_is_a_usage_error(void) {
    json_t *j;
    CHECK_INT(bench("--only smolvl4", &j), 2);
    CHECK(j == NULL && strstr(errs, "smolvl4") != NULL);
}

/* A program that answers as bench/torch_policies.py does. */
static void write_peer(const char *lines, int code) {
    FILE *f = fopen("cli_bench_peer", "w");
    CHECK(f != NULL);
    fprintf(f, "#!/bin/sh\ncat <<'END'\n%s\nEND\nexit %d\n", lines, code);
    fclose(f);
    CHECK_INT(chmod("cli_bench_peer", 0700), 0);
}

static void a_row_meets_the_peers_best_that_is_no_coarser(void) {
    json_t *j;
    write_peer("{\"work\": \"linear 50x720x2048\", \"precision\": \"f32\", \"how\": \"eager\", \"ms\": 50, "
               "\"rss_mb\": 300.5, \"base_mb\": 200}\n"
               "{\"work\": \"linear 50x720x2048\", \"precision\": \"f32\", \"how\": \"compiled\", \"ms\": 40, "
               "\"rss_mb\": 400, \"base_mb\": 201}\n"
               "{\"work\": \"linear 50x720x2048\", \"precision\": \"bf16\", \"how\": \"eager\", \"ms\": 90}\n"
               "{\"work\": \"linear 50x720x2048\", \"precision\": \"int8\", \"how\": \"dynamic\", \"ms\": 30}\n"
               "{\"work\": \"linear 50x7\", \"precision\": \"f32\", \"ms\": 1}\nnot JSON",
               0);
    CHECK_INT(bench("--only 'linear 50x720x2048' --peer ./cli_bench_peer", &j), 0);
    const json_t *f32 = row_of(j, "linear 50x720x2048 f32"), *bf16 = row_of(j, "linear 50x720x2048 bf16"),
                 *int8 = row_of(j, "linear 50x720x2048 int8");
    CHECK(strcmp(text(f32, "peer"), "PyTorch f32, compiled") == 0 && fabs(number(f32, "peer_ms") - 40.0) < 1e-9);
    CHECK(fabs(number(f32, "peer_rss_mb") - 300.5) < 1e-9 && fabs(number(f32, "peer_base_mb") - 200.0) < 1e-9);
    CHECK(fabs(number(f32, "ratio") - 40.0 / number(f32, "ours_ms")) < 1e-9);
    CHECK(fabs(number(bf16, "peer_ms") - 40.0) < 1e-9);
    CHECK(strcmp(text(int8, "peer"), "PyTorch int8, dynamic") == 0);
    CHECK(strstr(errs, "not JSON") != NULL);
    json_decref(j);
}

static void what_a_peer_does_not_run_it_explains_and_its_failure_is_ours(void) {
    json_t *j;
    write_peer("{\"work\": \"linear 50x720x2048\", \"precision\": \"f32\", \"note\": \"no memory\"}", 3);
    CHECK_INT(bench("--only 'linear 50x720x2048 f32' --peer ./cli_bench_peer", &j), 1);
    const json_t *r = row_of(j, "linear 50x720x2048 f32");
    CHECK(strcmp(text(r, "peer"), "PyTorch f32, no memory") == 0 && number(r, "ours_ms") > 0.0);
    CHECK(number(r, "ratio") <= 0.0 && strstr(errs, "ended with 3") != NULL);
    json_decref(j);
    remove("cli_bench_peer");
}

FW_TEST_MAIN(T(a_row_has_time_rate_part_of_the_peak_and_memory), T(what_the_machine_cannot_do_is_said_in_its_row),
             T(a_name_of_no_row_is_a_usage_error), T(a_row_meets_the_peers_best_that_is_no_coarser),
             T(what_a_peer_does_not_run_it_explains_and_its_failure_is_ours))
