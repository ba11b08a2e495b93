/* Chunks that come late: the right row at every step, settled rows as they were, two threads, no waiting. */
#include "robot/handover.h"

#include <pthread.h>

#include "alloc_guard.h"
#include "fw_test.h"

enum { H = 16, N = 2 };
static fw_embodiment body = {.name = "two", .rate_hz = 10, .n_action = N};
static fw_err g_err;

static fw_handover *made(int n_execute, int max_delay, bool guided, int blend) {
    for (int i = 0; i < N; i++) {
        body.action[i] = (fw_dim){.min = -1, .max = 1};
    }
    const fw_policy_info info = {"test", &body, H, n_execute, false, max_delay, guided};
    fw_handover *h;
    CHECK(fw_handover_new(&info, 10, &(fw_handover_opts){.blend = blend, .wish = 10, .delay_s = 0.2}, &h, &g_err) ==
          FW_OK);
    return h;
}

/* Row i of a chunk asked for at k: what run row k + i should be, plus an offset of its own. */
static void fill(float rows[H * N], int64_t k, float offset) {
    for (int i = 0; i < H; i++) {
        rows[i * N] = (float)(k + i) + offset;
        rows[i * N + 1] = -(float)(k + i) - offset;
    }
}

static void put(fw_handover *h, const fw_ask *ask, float offset, double seconds) {
    float rows[H * N];
    fill(rows, ask->k, offset);
    memcpy(rows, ask->prefix, sizeof(float) * (size_t)(ask->n_prefix * N));
    const fw_chunk c = {.actions = rows, .cap_horizon = H, .horizon = H, .n_action = N};
    CHECK(fw_handover_put(h, ask, &c, seconds, &g_err) == FW_OK);
}

static void every_step_has_its_row_at_every_delay(void) {
    for (int delay = 0; delay <= H / 2; delay++) {
        fw_handover *h = made(4, H / 2, false, 0);
        fw_ask ask;
        float a[N];
        int64_t k = 0;
        CHECK(!fw_handover_next(h, a, NULL)); /* nothing yet */
        fw_handover_ask(h, 0, &ask);
        CHECK(ask.n_prefix == 0 && ask.delay == 2); /* 0.2 s at 10 Hz until something is measured */
        put(h, &ask, 0, delay / 10.0);
        for (int round = 0; round < 50; round++) {
            for (; k < fw_handover_due(h); k++) {
                CHECK(fw_handover_next(h, a, NULL) && a[0] == (float)k);
            }
            fw_handover_ask(h, k, &ask);
            CHECK(ask.delay == delay && ask.n_prefix == (delay > 1 ? delay : 1) && !ask.too_slow);
            for (int i = 0; i < delay; i++, k++) { /* until the answer is there */
                CHECK(fw_handover_next(h, a, NULL) && a[0] == (float)k);
                CHECK(ask.prefix[i * N] == a[0] && ask.prefix[i * N + 1] == a[1]);
            }
            put(h, &ask, 0, delay / 10.0);
        }
        CHECK_INT(fw_handover_executed(h), k);
        fw_handover_free(h);
    }
}

static void a_late_chunk_is_taken_up_where_the_robot_stands(void) {
    fw_handover *h = made(8, 4, false, 0);
    fw_ask ask;
    float a[N];
    fw_due due;
    fw_handover_ask(h, 0, &ask);
    put(h, &ask, 0, 0.1);
    for (int k = 0; k < H; k++) {
        CHECK(fw_handover_next(h, a, NULL));
    }
    for (int i = 0; i < 5; i++) { /* held */
        CHECK(!fw_handover_next(h, a, NULL) && fw_handover_executed(h) == H);
    }
    fw_handover_ask(h, 12, &ask); /* was asked for at row 12, and took long */
    put(h, &ask, 0, 3.0);
    CHECK(fw_handover_next(h, a, &due) && due.first && due.row == 4 && a[0] == 16.0f);
    fw_handover_ask(h, 13, &ask);
    CHECK(ask.delay == 30 && ask.too_slow && ask.n_prefix == 4); /* 3 s were measured */
    fw_handover_free(h);
}

static void newest_wins_and_jumps_are_told(void) {
    fw_handover *h = made(4, 8, false, 0);
    fw_ask ask;
    float a[N];
    fw_due due;
    fw_handover_ask(h, 0, &ask);
    put(h, &ask, 0, 0.1);
    CHECK(fw_handover_next(h, a, &due) && due.first && due.jump == 0 && due.chunk == 0);
    fw_handover_ask(h, 1, &ask);
    put(h, &ask, 0.5f, 0.1);
    put(h, &ask, 0.25f, 0.1);
    CHECK(fw_handover_next(h, a, &due) && due.chunk == 2 && a[0] == 1.0f &&
          due.jump == 0); /* settled: the first row of the answer */
    CHECK(fw_handover_next(h, a, &due) && a[0] == 2.25f && !due.first);
    fw_handover_free(h);
}

static void without_a_prefix_chunks_are_blended(void) {
    fw_handover *h = made(4, 0, false, 3);
    fw_ask ask;
    float a[N], last = 0;
    fw_due due;
    fw_handover_ask(h, 0, &ask);
    CHECK(ask.n_prefix == 0 && ask.too_slow);
    put(h, &ask, 0, 0.1);
    for (int k = 0; k < 5; k++) {
        CHECK(fw_handover_next(h, a, &due));
    }
    fw_handover_ask(h, 4, &ask);
    put(h, &ask, 1.0f, 0.1);
    for (int k = 5; k < 12; k++) {
        CHECK(fw_handover_next(h, a, &due));
        const float off = a[0] - (float)k;
        CHECK(fabsf(off - fminf(1.0f, (float)(k - 4) / 4)) < 1e-6f && off >= last);
        CHECK(k > 5 || (due.first && due.jump == 0.5f)); /* 1 of a range of 2 */
        last = off;
    }
    fw_handover_free(h);
}

static void guided_policies_are_told_what_was_meant_next(void) {
    fw_handover *h = made(4, 8, true, 0);
    fw_ask ask;
    float a[N];
    fw_handover_ask(h, 0, &ask);
    put(h, &ask, 0, 0.3);
    for (int k = 0; k < 4; k++) {
        CHECK(fw_handover_next(h, a, NULL));
    }
    fw_handover_ask(h, 4, &ask);
    CHECK(ask.n_prefix == 3 && ask.n_wish == 7 && ask.prefix[9 * N] == 13.0f);
    fw_handover_ask(h, 9, &ask);
    CHECK(ask.n_prefix == 3 && ask.n_wish == 4); /* the chunk has no more */
    fw_handover_free(h);
}

static void a_take_over_forgets_chunks_under_way(void) {
    fw_handover *h = made(4, 8, false, 0);
    fw_ask before, after;
    float a[N];
    fw_handover_ask(h, 0, &before);
    put(h, &before, 0, 0.1);
    CHECK(fw_handover_next(h, a, NULL));
    fw_handover_ask(h, 1, &before);
    fw_handover_clear(h);
    put(h, &before, 0, 0.1);
    CHECK(!fw_handover_next(h, a, NULL) && !fw_handover_next(h, a, NULL));
    CHECK_INT(fw_handover_due(h), 0);
    fw_handover_ask(h, 1, &after);
    CHECK(after.n_prefix == 0);
    put(h, &after, 0.5f, 0.1);
    CHECK(fw_handover_next(h, a, NULL) && a[0] == 1.5f);
    fw_handover_free(h);
}

static void mistakes_are_refused(void) {
    fw_handover *h = made(4, 8, false, 0);
    fw_policy_info info = {"test", &body, 4, 5, false, 0, false};
    fw_handover *none;
    CHECK(fw_handover_new(&info, 10, &(fw_handover_opts){0}, &none, &g_err) == FW_INVALID && none == NULL);
    fw_ask ask;
    float rows[H * N] = {0}, a[N];
    fw_handover_ask(h, 0, &ask);
    fw_chunk c = {.actions = rows, .horizon = H, .n_action = N + 1};
    CHECK(fw_handover_put(h, &ask, &c, 0.1, &g_err) == FW_SHAPE);
    c = (fw_chunk){.actions = rows, .horizon = H + 1, .n_action = N};
    CHECK(fw_handover_put(h, &ask, &c, 0.1, &g_err) == FW_SHAPE);
    rows[5] = NAN;
    c.horizon = H;
    CHECK(fw_handover_put(h, &ask, &c, 0.1, &g_err) == FW_FORMAT && strstr(g_err.msg, "row 2") != NULL);
    c.horizon = 0;
    CHECK(fw_handover_put(h, &ask, &c, 0.1, &g_err) == FW_SHAPE);
    CHECK(!fw_handover_next(h, a, NULL));
    fw_handover_free(h);
}

/* ---- two threads ---- */

enum { ROWS = 50000 };
static _Atomic int over;

static void *infer(void *ctx) {
    fw_handover *h = ctx;
    fw_ask ask;
    while (!over) {
        const int64_t k = fw_handover_executed(h);
        fw_handover_ask(h, k, &ask);
        put(h, &ask, 0, 0.3);
    }
    return NULL;
}

static void two_threads_never_see_half_a_chunk(void) {
    fw_handover *h = made(4, 8, false, 0);
    pthread_t t;
    int64_t held = 0;
    CHECK(pthread_create(&t, NULL, infer, h) == 0);
    bool right = true;
    for (int64_t k = 0; k < ROWS && held < 2000000000;) {
        float a[N];
        bool there = false;
        CHECK_NO_ALLOC(there = fw_handover_next(h, a, NULL));
        right = right && (!there || (a[0] == (float)k && a[1] == -(float)k));
        k += there;
        held += !there;
    }
    over = 1;
    pthread_join(t, NULL);
    CHECK(right && fw_handover_executed(h) == ROWS);
    fw_handover_free(h);
}

FW_TEST_MAIN(T(every_step_has_its_row_at_every_delay), T(a_late_chunk_is_taken_up_where_the_robot_stands),
             T(newest_wins_and_jumps_are_told), T(without_a_prefix_chunks_are_blended),
             T(guided_policies_are_told_what_was_meant_next), T(a_take_over_forgets_chunks_under_way),
             T(mistakes_are_refused), T(two_threads_never_see_half_a_chunk))
