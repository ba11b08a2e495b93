/*
 * bench_serve - what the policy server adds to an inference: round trips of two pictures of 224 x 224 and a state, answered at once.
 *
 *     build/release/bin/bench_serve                                        # our own client
 *     build/release/bin/bench_serve --peer .deps/clients/bin/python        # openpi's client, against our server and one in Python
 *
 * The policy answers 50 rows of 32 numbers without looking. --peer runs bench/peer_websockets.py (environment: tools/client_venv.sh), which
 * takes turns between the two servers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "serve/serve.h"
#include "wire/remote.h"

enum { ROWS = 50, WIDE = 32, SIDE = 224 };

static fw_embodiment robot = {.name = "bench",
                              .rate_hz = 50,
                              .n_camera = 2,
                              .n_state = 8,
                              .n_action = WIDE,
                              .camera = {{"front", SIDE, SIDE}, {"wrist", SIDE, SIDE}}};

static void describe(const fw_policy *p, fw_policy_info *out) {
    (void)p;
    *out = (fw_policy_info){.name = "bench", .embodiment = &robot, .horizon = ROWS, .n_execute = ROWS};
}
static fw_status infer(fw_policy *p, const fw_obs *o, fw_chunk *c, fw_err *err) {
    (void)p, (void)err;
    for (int i = 0; i < ROWS * WIDE; i++) {
        c->actions[i] = 0.01f * (float)(i % 100);
    }
    c->horizon = ROWS, c->n_action = WIDE, c->dt_s = 0.02, c->t_ns = o->t_ns;
    return FW_OK;
}
static void nothing(fw_policy *p) {
    (void)p;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int ask_ourselves(int port, int64_t n) {
    float *rows = calloc(ROWS * WIDE, sizeof *rows), state[8] = {0};
    uint8_t *pixels = calloc(SIDE * SIDE, 3);
    double *ms = calloc((size_t)n, sizeof *ms);
    char url[64];
    fw_policy *p;
    fw_err err = {0};
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/openpi", port);
    if (rows == NULL || pixels == NULL || ms == NULL ||
        fw_remote_open(&(fw_remote_opts){.url = url}, &p, &err) != FW_OK) {
        fprintf(stderr, "bench_serve: %s\n", err.msg);
        return 1;
    }
    const fw_obs obs = {.image = {{pixels, SIDE, SIDE}, {pixels, SIDE, SIDE}},
                        .n_image = 2,
                        .state = state,
                        .n_state = 8,
                        .instruction = "go"};
    fw_chunk c = {.actions = rows, .cap_horizon = ROWS};
    for (int64_t i = -50; i < n; i++) {
        const double from = fw_now_s();
        if (fw_policy_infer(p, &obs, &c, &err) != FW_OK) {
            fprintf(stderr, "bench_serve: %s\n", err.msg);
            return 1;
        }
        if (i >= 0) {
            ms[i] = 1e3 * (fw_now_s() - from);
        }
    }
    qsort(ms, (size_t)n, sizeof *ms, ascending);
    printf("%-36s p50 %.3f ms  p99 %.3f ms  (n = %lld)\n", "our client, our server", ms[n / 2], ms[n * 99 / 100],
           (long long)n);
    fflush(stdout);
    fw_policy_close(p);
    free(ms), free(pixels), free(rows);
    return 0;
}

int main(int argc, char **argv) {
    static const fw_policy_vtable v = {describe, infer, nothing, nothing, NULL};
    static fw_policy p = {&v};
    const char *peer = NULL;
    int64_t n = 1000;
    const fw_arg args[] = {FW_ARG_STR("peer", &peer, "PYTHON", "of tools/client_venv.sh"),
                           FW_ARG_INT("n", &n, 10, 1000000, "N", "round trips of each")};
    const fw_usage usage = {.verb = "bench_serve",
                            .example = "bench_serve --peer .deps/clients/bin/python",
                            .what = "Round trips without inference."};
    const fw_serve_model m = {"bench", &p};
    fw_serve *s;
    fw_err err = {0};
    int n_paths, code = fw_args_parse(&usage, args, 2, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    for (int i = 0; i < FW_DIM_MAX; i++) {
        robot.state[i] = robot.action[i] = (fw_dim){.meaning = FW_MEANING_JOINT_POS, .min = -10, .max = 10};
        snprintf(robot.state[i].name, FW_NAME_MAX, "s%d", i);
        snprintf(robot.action[i].name, FW_NAME_MAX, "a%d", i);
    }
    fw_log_set_level(FW_LOG_ERROR);
    if (fw_serve_start(&(fw_serve_opts){.model = &m, .n_model = 1}, &s, &err) != FW_OK) {
        fprintf(stderr, "bench_serve: %s\n", err.msg);
        return 1;
    }
    code = ask_ourselves(fw_serve_port(s), n);
    if (code == 0 && peer != NULL) {
        char cmd[4096];
        snprintf(cmd, sizeof cmd, "'%s' '%s/bench/peer_websockets.py' %d %lld", peer, fw_home(), fw_serve_port(s),
                 (long long)n);
        code = system(cmd) == 0 ? 0 : 1;
    }
    fw_serve_stop(s, 1000);
    return code;
}
