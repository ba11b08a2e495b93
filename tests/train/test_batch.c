/* Batches: the same whatever the number of threads, training frames only, targets of the right frames. */
#include "train/batch.h"

#include "train_test.h"

typedef struct rig {
    fw_train_cfg cfg;
    fw_pool *pool;
    fw_trainset ts;
    fw_params *params;
    fw_graph *g;
    fw_flywheel_io io;
    fw_plan *plan;
    fw_batch_row rows[16];
} rig;

static rig *rig_open(int threads, int max_delay) {
    fw_err err = {0};
    rig *r = calloc(1, sizeof *r);
    char dir[512];
    begin_tmp();
    snprintf(dir, sizeof dir, "%s", in_tmp("data"));
    if (!fw_path_exists(dir)) {
        tiny_dataset(dir, 0);
        tiny_config(in_tmp("tiny.json"), "");
    }
    const char *dirs[] = {dir};
    CHECK_OK(fw_train_cfg_load(in_tmp("tiny.json"), NULL, &r->cfg, &err), err);
    r->cfg.policy.max_delay = max_delay;
    CHECK_OK(fw_pool_new(threads, &r->pool, &err), err);
    CHECK_OK(fw_trainset_open(&r->cfg, dirs, 1, r->pool, &r->ts, &err), err);
    CHECK_OK(fw_params_new(1, &r->params, &err), err);
    CHECK_OK(fw_graph_new(r->params, &r->g, &err), err);
    CHECK_OK(fw_flywheel_build(r->g, &r->cfg.policy, fw_proprio_width(&r->cfg.policy, &r->cfg.embodiment), 5, 16, true,
                               &r->io, &err),
             err);
    CHECK_OK(fw_plan_new(r->g, &(fw_plan_opts){.pool = r->pool, .train = true}, &r->io.loss, 1, &r->plan, &err), err);
    return r;
}

/* One rig with one thread and one with two serve all tests: opening the towers is what takes time. */
static rig *rig_of(int threads) {
    static rig *made[3];
    if (made[threads] == NULL) {
        made[threads] = rig_open(threads, 0);
    }
    return made[threads];
}

static void rig_free(rig *r) {
    fw_plan_free(r->plan);
    fw_graph_free(r->g);
    fw_params_free(r->params);
    fw_trainset_close(&r->ts);
    fw_pool_free(r->pool);
    free(r);
}

static void draws_are_training_frames_each_once_an_epoch(void) {
    rig *r = rig_of(1);
    fw_err err = {0};
    fw_sampler *s = NULL;
    int seen[TINY_EPISODES * TINY_T] = {0};
    CHECK_OK(fw_batch_sampler(&r->ts, &s, &err), err);
    CHECK_INT(r->ts.train_frames, (TINY_EPISODES - 1) * TINY_T);
    CHECK_INT(r->ts.held_frames, TINY_T);
    for (int64_t step = 0; step < 7; step++) { /* 7 x 8 = 56 frames = one epoch */
        fw_batch_draw(&r->ts, s, step, 8, r->rows);
        for (int b = 0; b < 8; b++) {
            CHECK(r->rows[b].episode < TINY_EPISODES - 1 && r->rows[b].t >= 0 && r->rows[b].t < TINY_T);
            seen[r->rows[b].episode * TINY_T + r->rows[b].t]++;
        }
    }
    for (int i = 0; i < (TINY_EPISODES - 1) * TINY_T; i++) {
        CHECK_INT(seen[i], 1);
    }
    fw_batch_row again[8];
    fw_batch_draw(&r->ts, s, 3, 8, r->rows);
    fw_batch_draw(&r->ts, s, 6, 8, again);
    fw_batch_draw(&r->ts, s, 3, 8, again);
    CHECK(memcmp(r->rows, again, sizeof again) == 0);
    CHECK(fw_batch_held_out(&r->ts, 1, 4, 16, r->rows));
    for (int b = 0; b < 16; b++) {
        CHECK(r->rows[b].episode == TINY_EPISODES - 1 && r->rows[b].draw < 0);
    }
    fw_sampler_free(s);
}

static void targets_are_the_normalised_actions_from_that_frame(void) {
    rig *r = rig_of(2);
    for (int b = 0; b < 16; b++) {
        r->rows[b] = (fw_batch_row){b % TINY_EPISODES, b % TINY_T, -1};
    }
    fw_batch_fill(&r->ts, &r->io, r->plan, r->pool, r->rows);
    const float *target = fw_plan_data(r->plan, r->io.target), *weight = fw_plan_data(r->plan, r->io.weight);
    for (int b = 0; b < 16; b++) {
        float rows[8][5];
        fw_norm_invert(&r->ts.proprio.action, target + b * 40, &rows[0][0], 8);
        for (int h = 0; h < 8; h++) {
            float want[5];
            int t = (int)r->rows[b].t + h;
            CHECK(weight[b * 8 + h] == (t < TINY_T ? 1.0f : 0.0f));
            tiny_action((int)r->rows[b].episode, t < TINY_T ? t : TINY_T - 1, want);
            CHECK_NEAR(rows[h], want, 5, 1e-6, 1e-5);
        }
    }
}

/* The delay of a row, negative where it leads back, by how far the recorded hand moved (not as its commands said): 0.01 m a step along x. The way
 * that the settled commands led and the last gripper's commands, as the state tells them, are what the row says. */
static int check_settled(const rig *r, int b, const float *way) {
    const fw_proprio *p = &r->ts.proprio;
    const float *now = r->ts.episode[r->rows[b].episode].state + r->rows[b].t * 6, *order = way + 5;
    const int delay = (int)lrintf(way[0] * 3 / p->action.scale[0] / 0.01f), n = delay < 0 ? -delay : delay;
    for (int k = 0; k < 4; k++) {
        CHECK(fabsf(way[k] - (now[6 * delay + k] - now[k]) * p->action.scale[k] / 3) < 1e-4f);
    }
    for (int i = 0; i < 3; i++) {
        const int at = n - 3 + i;
        const float told = delay > 0 && at >= 0 ? now[6 * (at + 1) + 5] - now[5] : 0.0f;
        CHECK(fabsf(order[i] - told * p->action.scale[4]) < 1e-5f);
    }
    CHECK(n <= 3 && way[4] == 0.0f);
    return delay;
}

/* Rows of 12 batches by their delay, seen[3 + delay]; each asks for what the expert did at t + delay. */
static void count_delays(rig *r, int seen[7]) {
    fw_err err = {0};
    fw_sampler *s = NULL;
    const int width = fw_proprio_width(&r->cfg.policy, &r->cfg.embodiment), body = fw_proprio_body(&r->ts.proprio);
    memset(seen, 0, 7 * sizeof *seen);
    CHECK_OK(fw_batch_sampler(&r->ts, &s, &err), err);
    for (int64_t step = 0; step < 12; step++) {
        fw_batch_draw(&r->ts, s, step, 16, r->rows);
        fw_batch_fill(&r->ts, &r->io, r->plan, r->pool, r->rows);
        const float *state = fw_plan_data(r->plan, r->io.state), *target = fw_plan_data(r->plan, r->io.target);
        const float *weight = fw_plan_data(r->plan, r->io.weight);
        for (int b = 0; b < 16; b++) {
            float first[5], want[5];
            const int delay = check_settled(r, b, state + b * width + body);
            tiny_action((int)r->rows[b].episode, (int)r->rows[b].t + delay, want);
            fw_norm_invert(&r->ts.proprio.action, target + b * 40, first, 1);
            CHECK_NEAR(first, want, 5, 1e-6, 1e-5);
            CHECK(weight[b * 8] == 1.0f); /* something is asked for, also at an episode's end */
            seen[3 + delay]++;
        }
    }
    fw_sampler_free(s);
}

static void a_late_chunk_begins_after_what_was_executed(void) {
    rig *r = rig_open(2, 3);
    int seen[7];
    CHECK_INT(fw_proprio_width(&r->cfg.policy, &r->cfg.embodiment) - fw_proprio_body(&r->ts.proprio), 5 + 3);
    count_delays(r, seen); /* its gripper is told something else in every step: the way back would be another scene */
    CHECK(seen[0] == 0 && seen[1] == 0 && seen[2] == 0);
    CHECK(seen[3] > 80 && seen[3] < 130 && seen[4] > 10 && seen[5] > 10 && seen[6] > 10); /* half of 192 are not late */
    for (int64_t e = 0; e < r->ts.n_episode; e++) {
        for (int t = 0; t < TINY_T; t++) {
            r->ts.episode[e].state[t * 6 + 5] = 0.5f;
        }
    }
    count_delays(r, seen);
    CHECK(seen[0] > 5 && seen[1] > 5 && seen[2] > 5 && seen[4] > 5 && seen[5] > 5 && seen[6] > 5);
    rig_free(r);
}

static void same_bits_with_one_thread_and_two(void) {
    rig *one = rig_of(1), *two = rig_of(2);
    fw_err err = {0};
    fw_sampler *s = NULL;
    CHECK_OK(fw_batch_sampler(&one->ts, &s, &err), err);
    fw_batch_draw(&one->ts, s, 2, 16, one->rows);
    fw_batch_fill(&one->ts, &one->io, one->plan, one->pool, one->rows);
    fw_batch_fill(&two->ts, &two->io, two->plan, two->pool, one->rows);
    const fw_val v[] = {one->io.feat[0][0], one->io.feat[1][0], one->io.state, one->io.text, one->io.target};
    for (int i = 0; i < 5; i++) {
        size_t n = (size_t)fw_shape_count(fw_val_shape(one->g, v[i]));
        CHECK(memcmp(fw_plan_data(one->plan, v[i]), fw_plan_data(two->plan, v[i]), n * sizeof(float)) == 0);
    }
    fw_sampler_free(s);
}

static void features_are_normalised_and_reused(void) {
    rig *r = rig_of(2);
    double sum = 0, square = 0;
    size_t n = (size_t)fw_shape_count(fw_val_shape(r->g, r->io.feat[0][0]));
    for (int b = 0; b < 16; b++) {
        r->rows[b] = (fw_batch_row){b % (TINY_EPISODES - 1), b % TINY_T, -1};
    }
    fw_batch_fill(&r->ts, &r->io, r->plan, NULL, r->rows);
    const float *x = fw_plan_data(r->plan, r->io.feat[0][0]);
    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i];
        square += (double)x[i] * (double)x[i];
    }
    CHECK(fabs(sum / (double)n) < 0.2 && fabs(square / (double)n - 1) < 0.4);
    CHECK_INT(fw_blob_count_done(r->ts.data[0].feature[1][0]), TINY_EPISODES * TINY_T);
    rig_free(rig_of(1));
    rig_free(rig_of(2));
    end_tmp();
}

FW_TEST_MAIN(T(draws_are_training_frames_each_once_an_epoch), T(targets_are_the_normalised_actions_from_that_frame),
             T(a_late_chunk_begins_after_what_was_executed), T(same_bits_with_one_thread_and_two),
             T(features_are_normalised_and_reused))
