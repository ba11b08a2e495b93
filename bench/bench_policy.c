/* bench_policy.c - how many chunks a second a policy decides, end to end: u8 images in, actions out */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/clock.h"
#include "model/checkpoint.h"

typedef struct bench {
    const char *config;
    int64_t threads;
    double seconds;
    bool profile, json;
} bench;

/* A Panda-like robot: two cameras of 128 x 128, 6 state values, 5 actions. */
static fw_embodiment robot(void) {
    fw_embodiment e = {.name = "bench", .rate_hz = 10.0, .n_camera = 2, .n_state = 6, .n_action = 5};
    e.camera[0] = (fw_camera){"front", 128, 128};
    e.camera[1] = (fw_camera){"wrist", 128, 128};
    for (int i = 0; i < 6; i++) {
        snprintf(e.state[i].name, FW_NAME_MAX, "s%d", i);
        snprintf(e.action[i].name, FW_NAME_MAX, "a%d", i);
        e.state[i].min = e.action[i].min = -1.0;
        e.state[i].max = e.action[i].max = 1.0;
    }
    return e;
}

static fw_status open_policy(const bench *b, const char *dir, fw_pool *pool, fw_policy **out, fw_err *err) {
    fw_flywheel_opts o = {.pool = pool, .seed = 1};
    fw_flywheel_cfg cfg;
    fw_embodiment e = robot();
    json_t *j = NULL;
    if (dir != NULL) {
        return fw_flywheel_open(dir, &o, out, err);
    }
    fw_flywheel_cfg_default(&cfg);
    if (b->config != NULL) {
        FW_TRY(fw_json_load(b->config, &j, err));
        fw_status st = fw_flywheel_cfg_parse(j, b->config, &cfg, err);
        json_decref(j);
        FW_TRY(st);
    }
    return fw_flywheel_random(&cfg, &e, &o, out, err);
}

static void paint(uint8_t *rgb, size_t n, unsigned seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1103515245u + 12345u;
        rgb[i] = (uint8_t)(seed >> 16);
    }
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static fw_status measure(const bench *b, fw_policy *p, fw_err *err) {
    fw_policy_info info;
    static uint8_t rgb[FW_CAM_MAX][128 * 128 * 3];
    static float actions[FW_HORIZON_MAX * FW_DIM_MAX], state[FW_DIM_MAX];
    static double ms[100000];
    fw_policy_describe(p, &info);
    fw_obs obs = {.n_image = info.embodiment->n_camera,
                  .state = state,
                  .n_state = info.embodiment->n_state,
                  .instruction = "put the mug in the sink"};
    for (int i = 0; i < obs.n_image; i++) {
        paint(rgb[i], sizeof rgb[i], (unsigned)i + 1);
        obs.image[i] = (fw_image){rgb[i], 128, 128};
    }
    fw_chunk chunk = {.actions = actions, .cap_horizon = FW_HORIZON_MAX};
    for (int i = 0; i < 3; i++) {
        FW_TRY(fw_policy_infer(p, &obs, &chunk, err)); /* the sentence, caches */
    }
    if (b->profile) {
        fw_flywheel_profile(p, true);
    }
    int n = 0;
    double start = fw_now_s(), now = start;
    while (now - start < b->seconds && n < (int)(sizeof ms / sizeof *ms)) {
        FW_TRY(fw_policy_infer(p, &obs, &chunk, err));
        double t = fw_now_s();
        ms[n++] = (t - now) * 1e3;
        now = t;
    }
    if (b->profile) {
        fw_flywheel_profile(p, false);
    }
    qsort(ms, (size_t)n, sizeof *ms, by_value);
    double rate = n / (now - start), p50 = ms[n / 2], p99 = ms[n * 99 / 100];
    if (b->json) {
        printf("{\"policy\": \"%s\", \"cameras\": %d, \"threads\": %d, \"chunks_per_s\": %.1f, \"ms_p50\": %.2f, "
               "\"ms_p99\": %.2f}\n",
               info.name, obs.n_image, (int)b->threads, rate, p50, p99);
    } else {
        printf("%s: %d cameras, %d threads: %.1f chunks/s, p50 %.2f ms, p99 %.2f ms (%d calls)\n", info.name,
               obs.n_image, (int)b->threads, rate, p50, p99, n);
    }
    return FW_OK;
}

int main(int argc, char **argv) {
    bench b = {NULL, 2, 3.0, false, false};
    const fw_arg args[] = {
        FW_ARG_STR("config", &b.config, "FILE", "a model config (JSON) for random weights; default: the default model"),
        FW_ARG_INT("threads", &b.threads, 1, 64, "N", "threads"),
        FW_ARG_F64("seconds", &b.seconds, 0.1, 600, "S", "how long"),
        FW_ARG_BOOL("profile", &b.profile, "seconds by operation, on stderr"),
        FW_ARG_BOOL("json", &b.json, "one JSON object on stdout"),
    };
    const fw_usage usage = {.verb = "bench_policy",
                            .example = "build/release/bin/bench_policy models/kitchen3 --threads 2",
                            .what = "Chunks a second of a policy, from pixels to actions; without DIR: random weights.",
                            .paths = "DIR",
                            .min_paths = 0,
                            .max_paths = 1};
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof *args, argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    fw_err err = {FW_OK, ""};
    fw_pool *pool = NULL;
    fw_policy *p = NULL;
    fw_status st = fw_pool_new((int)b.threads, &pool, &err);
    if (st == FW_OK) {
        st = open_policy(&b, n_paths > 0 ? argv[1] : NULL, pool, &p, &err);
    }
    if (st == FW_OK) {
        st = measure(&b, p, &err);
    }
    if (p != NULL) {
        fw_policy_close(p);
    }
    fw_pool_free(pool);
    if (st != FW_OK) {
        fprintf(stderr, "bench_policy: %s\n", err.msg);
        return 1;
    }
    return 0;
}
