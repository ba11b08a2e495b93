/* ctest: timeout=300 label=slow */
/* 64 clients, 10,000 questions of two pictures of 224 x 224: every answer is there and right; prints how long they took */
#include <pthread.h>

#include "base/clock.h"
#include "base/log.h"
#include "fake.h"
#include "fw_test.h"
#include "serve/serve.h"
#include "wire/remote.h"

enum { CLIENTS = 64, QUESTIONS = 10000 };

static fake served;
static int port;
static double ms[QUESTIONS];
static atomic_int next_question, wrong;

static void *ask(void *number) {
    const int me = (int)(intptr_t)number;
    char url[64];
    fw_policy *p;
    fw_err err = {0};
    float state[FAKE_STATE] = {0}, rows[FAKE_ROWS * FAKE_ACTION];
    uint8_t *pixels = calloc(224 * 224, 3);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/openpi", port);
    const fw_remote_opts o = {.url = url, .timeout_ms = 30000, .connect_ms = 30000};
    if (pixels == NULL || fw_remote_open(&o, &p, &err) != FW_OK) {
        FW_FAILED("client %d: %s", me, err.msg);
    }
    for (int i; (i = atomic_fetch_add(&next_question, 1)) < QUESTIONS;) {
        fw_obs obs = {.image = {{pixels, 224, 224}, {pixels, 224, 224}},
                      .n_image = 2,
                      .state = state,
                      .n_state = FAKE_STATE,
                      .instruction = "go"};
        fw_chunk c = {.actions = rows, .cap_horizon = FAKE_ROWS};
        state[0] = (float)(i % 97) / 10;
        const double from = fw_now_s();
        if (fw_policy_infer(p, &obs, &c, &err) != FW_OK) {
            FW_FAILED("question %d: %s", i, err.msg);
        }
        ms[i] = 1e3 * (fw_now_s() - from);
        atomic_fetch_add(&wrong, fabs((double)rows[0] - (double)state[0]) > 1e-5);
    }
    fw_policy_close(p);
    free(pixels);
    return NULL;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void sixty_four_clients_ask_ten_thousand_times_without_an_error(void) {
    pthread_t t[CLIENTS];
    fw_serve *s;
    fw_err err = {0};
    fake_init(&served, 0, 0);
    const fw_serve_model m = {"fake", &served.base};
    const fw_serve_opts o = {.model = &m, .n_model = 1, .max_batch = 16};
    if (fw_serve_start(&o, &s, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    port = fw_serve_port(s);
    const double from = fw_now_s();
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_INT(pthread_create(&t[i], NULL, ask, (void *)(intptr_t)i), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(t[i], NULL);
    }
    const double s_all = fw_now_s() - from;
    CHECK_INT(atomic_load(&wrong), 0);
    CHECK_INT(atomic_load(&served.rows), QUESTIONS);
    qsort(ms, QUESTIONS, sizeof *ms, ascending);
    printf(
        "%d clients, %d questions, 0 errors: p50 %.2f ms, p99 %.2f ms, longest %.2f ms, %.0f a second, %.1f a batch\n",
        CLIENTS, QUESTIONS, ms[QUESTIONS / 2], ms[QUESTIONS * 99 / 100], ms[QUESTIONS - 1], QUESTIONS / s_all,
        (double)QUESTIONS / atomic_load(&served.batches));
    fw_serve_stop(s, 1000);
}

int main(void) {
    fw_log_set_level(FW_LOG_ERROR);
    sixty_four_clients_ask_ten_thousand_times_without_an_error();
    printf("ok sixty_four_clients_ask_ten_thousand_times_without_an_error\n");
    return 0;
}
