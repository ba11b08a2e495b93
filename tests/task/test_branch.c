/* ctest: timeout=600 */
/* Branch and filter: what becomes of a disturbed attempt that the judge refuses (task/demo.h). */
#include <string.h>

#include "replay_test.h"
#include "task/demo.h"

enum { SEEDS = 8 };

static const fw_demo_opts rough = {.noisy_share = 1, .noise = 1, .hold_steps = 5, .branches = 3};

typedef struct stage {
    fw_env *env;
    fw_demo *d;
} stage;

static stage open_stage(const char *suite) {
    stage s = {NULL, NULL};
    must(fw_env_open(suite, &(fw_env_opts){.render = false}, &s.env, &fault));
    must(fw_demo_new(s.env, &s.d, &fault));
    return s;
}

static void close_stage(stage *s) {
    fw_demo_free(s->d);
    fw_env_close(s->env);
}

static void record(stage *s, uint64_t seed, const fw_demo_opts *opts) {
    fw_seeds seeds = fw_seeds_all(seed);
    must(fw_demo_record(s->env, 0, &seeds, opts, s->d, &fault));
}

/* Frames at the beginning in which both saw and wanted the same. */
static int common(const fw_demo *a, const fw_demo *b) {
    int t = 0;
    size_t state = (size_t)a->n_state * sizeof *a->state, action = (size_t)a->n_action * sizeof *a->action;
    while (t < a->length && t < b->length && memcmp(a->state + t * a->n_state, b->state + t * b->n_state, state) == 0 &&
           memcmp(a->action + t * a->n_action, b->action + t * b->n_action, action) == 0) {
        t++;
    }
    return t;
}

/* No control step is missing between two frames, and none comes twice. */
static void check_one_history(const fw_demo *d) {
    for (int t = 0; t + 1 < d->length; t++) {
        CHECK_INT(d->frame[t + 1], d->frame[t] + 1);
    }
}

/* The failed attempt is played alone (no branches), then with branches: same beginning, another end, which the judge accepts. */
static void a_branch_goes_on_from_the_failed_attempt_and_succeeds(void) {
    stage alone = open_stage("table"), with = open_stage("table");
    fw_demo_opts none = rough;
    int failed = 0, saved = 0;
    none.branches = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        record(&alone, seed, &none);
        record(&with, seed, &rough);
        CHECK(alone.d->branch == 0 && (alone.d->success || alone.d->reason[0] != 0));
        check_one_history(with.d);
        if (alone.d->success) { /* and what succeeds at once is not touched */
            CHECK(with.d->branch == 0 && with.d->length == alone.d->length &&
                  common(alone.d, with.d) == alone.d->length);
            continue;
        }
        CHECK(with.d->branch >= 1 && common(alone.d, with.d) >= 1);
        failed++, saved += with.d->success;
    }
    printf("%d of %d failed, a branch saved %d\n", failed, SEEDS, saved);
    CHECK(failed >= 2 && saved * 2 > failed);
    close_stage(&alone);
    close_stage(&with);
}

/* Of a long task only the skill that failed is played again: what was put away before stays so. */
static void a_long_task_goes_on_with_the_skill_that_failed(void) {
    stage alone = open_stage("bus"), with = open_stage("bus");
    fw_demo_opts none = FW_DEMO_OPTS_DEFAULT, some = none;
    bool found = false;
    some.noisy_share = none.noisy_share = 1;
    none.branches = 0;
    for (uint64_t seed = 700000; seed < 700010 && !found; seed++) {
        record(&with, seed, &some);
        if (with.d->success && with.d->branch > 0) {
            record(&alone, seed, &none);
            int same = common(alone.d, with.d);
            CHECK(!alone.d->success && same > 10 && same < with.d->length);
            CHECK(with.d->subtask[same - 1] > 0);
            check_one_history(with.d);
            found = true;
        }
    }
    CHECK(found);
    close_stage(&alone);
    close_stage(&with);
}

/* Backwards in another environment, so that nothing is left over from the episode before. */
static void branches_are_a_function_of_the_seeds(void) {
    stage there = open_stage("table"), back = open_stage("table");
    fw_demo *kept[SEEDS / 2];
    int branched = 0;
    for (int i = 0; i < SEEDS / 2; i++) {
        record(&there, (uint64_t)i, &rough);
        kept[i] = there.d;
        branched += there.d->branch > 0;
        must(fw_demo_new(there.env, &there.d, &fault));
    }
    for (int i = SEEDS / 2 - 1; i >= 0; i--) {
        record(&back, (uint64_t)i, &rough);
        CHECK(back.d->branch == kept[i]->branch && back.d->success == kept[i]->success);
        CHECK(back.d->length == kept[i]->length && common(back.d, kept[i]) == back.d->length);
        fw_demo_free(kept[i]);
    }
    CHECK(branched > 0);
    close_stage(&there);
    close_stage(&back);
}

static void an_undisturbed_attempt_has_nothing_to_draw_again(void) {
    stage s = open_stage("table");
    fw_demo_opts quiet = rough;
    quiet.noisy_share = 0;
    s.d->noisy = true;
    for (uint64_t seed = 0; seed < 3; seed++) {
        record(&s, seed, &quiet);
        CHECK(!s.d->noisy && s.d->branch == 0);
    }
    close_stage(&s);
}

static void datasets_with_branches_play_again_and_do_not_depend_on_the_workers(void) {
    start("branch");
    for (int w = 1; w <= 2; w++) {
        CHECK_INT(flywheel("sim make --suite table --seed 3 --noise 1 --noisy-share 1 --episodes 2 --workers %d --json "
                           "--out %s/w%d",
                           w, root, w),
                  0);
        CHECK(said("\"branched\":") && !said("\"branched\":0"));
        CHECK_INT(flywheel("data replay %s/w%d --workers 1", root, w), 0);
        CHECK(said("2 of 2 simulated episodes play to the same bits"));
    }
    char one[300], two[300], *a = NULL, *b = NULL;
    size_t n = 0, m = 0;
    snprintf(one, sizeof one, "%s/w1/data/chunk-000/file-000.parquet", root);
    snprintf(two, sizeof two, "%s/w2/data/chunk-000/file-000.parquet", root);
    must(fw_file_read(one, 1 << 26, &a, &n, &fault));
    must(fw_file_read(two, 1 << 26, &b, &m, &fault));
    CHECK(n == m && memcmp(a, b, n) == 0);
    free(a);
    free(b);
    finish();
}

FW_TEST_MAIN(T(a_branch_goes_on_from_the_failed_attempt_and_succeeds),
             T(a_long_task_goes_on_with_the_skill_that_failed), T(branches_are_a_function_of_the_seeds),
             T(an_undisturbed_attempt_has_nothing_to_draw_again),
             T(datasets_with_branches_play_again_and_do_not_depend_on_the_workers))
