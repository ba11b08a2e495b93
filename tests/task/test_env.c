/* ctest: timeout=300 */
#include <string.h>

#include "expert_bar.h"
#include "task/demo.h"

static void must(fw_status st, const fw_err *err) {
    if (st != FW_OK) {
        FW_FAILED("%s", err->msg);
    }
}

static void expert_does_every_task(void) {
    fw_env *env = open_blind();
    CHECK_INT(fw_env_n_task(env), 3);
    for (int t = 0; t < 3; t++) {
        CHECK(expert_successes(env, t, 90000, 10) >= 10);
    }
    fw_env_close(env);
}

static void sentences_are_many_and_held_ones_are_new(void) {
    fw_env *env = open_blind();
    for (int t = 0; t < fw_env_n_task(env); t++) {
        CHECK(fw_env_n_sentence(env, t, FW_SPLIT_TRAIN) >= 12);
        CHECK(fw_env_n_sentence(env, t, FW_SPLIT_HELD) >= 4);
        for (int u = 0; u < fw_env_n_task(env); u++) { /* no sentence stands for two tasks, none in both splits */
            for (int i = 0; i < fw_env_n_sentence(env, t, FW_SPLIT_HELD); i++) {
                for (int k = 0; k < fw_env_n_sentence(env, u, FW_SPLIT_TRAIN); k++) {
                    CHECK(strcmp(fw_env_sentence(env, t, FW_SPLIT_HELD, i),
                                 fw_env_sentence(env, u, FW_SPLIT_TRAIN, k)) != 0);
                }
            }
            for (int i = 0; u != t && i < fw_env_n_sentence(env, t, FW_SPLIT_TRAIN); i++) {
                for (int k = 0; k < fw_env_n_sentence(env, u, FW_SPLIT_TRAIN); k++) {
                    CHECK(strcmp(fw_env_sentence(env, t, FW_SPLIT_TRAIN, i),
                                 fw_env_sentence(env, u, FW_SPLIT_TRAIN, k)) != 0);
                }
            }
        }
    }
    fw_env_close(env);
}

/* If the scene knew the task, a policy would not need the sentence. */
static void scene_does_not_know_the_task(void) {
    fw_err err;
    fw_env *env = open_blind();
    double a[128], b[128];
    must(fw_env_reset(env, 0, 77, &err), &err);
    size_t n = fw_env_physics_state(env, a, 128);
    must(fw_env_reset(env, 2, 77, &err), &err);
    fw_env_physics_state(env, b, 128);
    CHECK(n <= 128 && memcmp(a, b, n * sizeof *a) == 0);
    fw_env_close(env);
}

static void observation_fits_the_embodiment(void) {
    fw_err err;
    fw_env *env = NULL;
    fw_obs obs;
    must(fw_env_open("kitchen3", NULL, &env, &err), &err);
    const fw_embodiment *b = fw_env_embodiment(env);
    must(fw_env_reset(env, 1, 5, &err), &err);
    must(fw_env_observe(env, &obs, &err), &err);
    CHECK_INT(obs.n_state, b->n_state);
    CHECK_INT(obs.n_image, b->n_camera);
    CHECK(obs.prev_state == NULL && obs.prev_action == NULL && obs.t_ns == 0);
    CHECK(strcmp(obs.instruction, fw_env_sentence(env, 1, FW_SPLIT_TRAIN, 0)) == 0);
    for (int i = 0; i < b->n_state; i++) {
        CHECK((double)obs.state[i] >= b->state[i].min - 0.01 && (double)obs.state[i] <= b->state[i].max + 0.01);
    }
    for (int c = 0; c < b->n_camera; c++) {
        int lo = 255, hi = 0;
        CHECK(obs.image[c].rgb != NULL && obs.image[c].w == b->camera[c].width &&
              obs.image[c].h == b->camera[c].height);
        for (int i = 0; i < 3 * obs.image[c].w * obs.image[c].h; i++) {
            lo = obs.image[c].rgb[i] < lo ? obs.image[c].rgb[i] : lo;
            hi = obs.image[c].rgb[i] > hi ? obs.image[c].rgb[i] : hi;
        }
        CHECK(hi - lo > 80); /* a picture, not a blank */
    }
    float a[5] = {0.01f, 0, 0, 0, 1};
    must(fw_env_step(env, a, &err), &err);
    must(fw_env_set_sentence(env, "do the other thing", &err), &err);
    must(fw_env_observe(env, &obs, &err), &err);
    CHECK(obs.prev_action != NULL && obs.prev_action[0] == 0.01f && obs.prev_state != NULL && obs.t_ns == 100000000);
    CHECK(strcmp(obs.instruction, "do the other thing") == 0);
    fw_env_close(env);
}

static void unknown_suites_and_tasks_are_refused(void) {
    fw_err err;
    fw_env *env = NULL;
    CHECK_INT(fw_env_open("kitchen99", NULL, &env, &err), FW_INVALID);
    CHECK(strstr(err.msg, "kitchen99") != NULL);
    CHECK_INT(fw_env_open("../kitchen3", NULL, &env, &err), FW_INVALID);
    env = open_blind();
    CHECK_INT(fw_env_reset(env, 3, 1, &err), FW_INVALID);
    CHECK_INT(fw_env_reset(env, -1, 1, &err), FW_INVALID);
    CHECK_INT(fw_env_task_find(env, "mug_in_sink"), 1);
    CHECK_INT(fw_env_task_find(env, "wash_up"), -1);
    fw_env_close(env);
}

static void demonstrations_repeat_and_their_labels_are_clean(void) {
    fw_err err;
    fw_env *env = open_blind();
    fw_demo *a = NULL, *b = NULL;
    fw_demo_opts noisy = FW_DEMO_OPTS_DEFAULT;
    noisy.noisy_share = 1;
    must(fw_demo_new(env, &a, &err), &err);
    must(fw_demo_new(env, &b, &err), &err);
    int ok = 0;
    bool seen_noise = false;
    for (uint64_t seed = 40; seed < 46; seed++) {
        fw_seeds seeds = fw_seeds_all(seed);
        must(fw_demo_record(env, (int)(seed % 3), &seeds, &noisy, a, &err), &err);
        must(fw_demo_record(env, (int)(seed % 3), &seeds, &noisy, b, &err), &err);
        CHECK(a->noisy && a->length == b->length && a->length > 10 && strcmp(a->sentence, b->sentence) == 0);
        CHECK(memcmp(a->action, b->action, (size_t)a->length * 5 * sizeof(float)) == 0);
        CHECK(memcmp(a->state, b->state, (size_t)a->length * 6 * sizeof(float)) == 0);
        ok += a->success;
        for (int t = 0; t + 1 < a->length; t++) {
            const float *act = a->action + 5 * t, *now = a->state + 6 * t, *next = now + 6;
            CHECK(fabsf(act[0]) <= 0.0301f && fabsf(act[1]) <= 0.0301f &&
                  fabsf(act[2]) <= 0.0301f);                                     /* the expert's own limits */
            seen_noise = seen_noise || fabsf(next[0] - now[0] - act[0]) > 0.01f; /* executed is not what is recorded */
        }
    }
    CHECK(ok >= 4);
    CHECK(seen_noise);
    fw_demo_free(a);
    fw_demo_free(b);
    fw_env_close(env);
}

/* For the first 15 steps the hand is led away from where the expert wants it, upwards, with the gripper closed. */
static fw_status lead_astray(void *ctx, fw_env *env, uint64_t seed, int step, float *action, fw_err *err) {
    (void)env, (void)err;
    *(uint64_t *)ctx = seed;
    for (int k = 0; k < 3 && step < 15; k++) {
        action[k] = k == 2 ? 0.01f : -0.5f * action[k];
    }
    action[4] = step < 15 ? 0.0f : action[4];
    return FW_OK;
}

static void a_student_acts_and_the_expert_is_recorded(void) {
    fw_err err;
    fw_env *env = open_blind();
    fw_demo *d = NULL;
    uint64_t told = 0;
    fw_demo_opts o = FW_DEMO_OPTS_DEFAULT;
    o.noisy_share = 1, o.act = lead_astray, o.act_ctx = &told;
    must(fw_demo_new(env, &d, &err), &err);
    const fw_seeds seeds = fw_seeds_all(40);
    must(fw_demo_record(env, 1, &seeds, &o, d, &err), &err);
    CHECK(d->success && !d->noisy && d->branch == 0 && d->length > 30 && told == seeds.noise);
    for (int t = 0; t + 1 < 15; t++) {
        const float *act = d->action + 5 * t, *now = d->state + 6 * t, *next = now + 6;
        CHECK(act[4] == 1.0f && next[5] == 0.0f); /* the expert keeps it open */
        CHECK(act[0] * act[0] < 1e-8f || (next[0] - now[0]) * act[0] < 1e-5f);
        CHECK(t < 2 || next[2] > now[2]);
    }
    fw_demo_free(d);
    fw_env_close(env);
}

FW_TEST_MAIN(T(expert_does_every_task), T(sentences_are_many_and_held_ones_are_new), T(scene_does_not_know_the_task),
             T(observation_fits_the_embodiment), T(unknown_suites_and_tasks_are_refused),
             T(demonstrations_repeat_and_their_labels_are_clean), T(a_student_acts_and_the_expert_is_recorded))
