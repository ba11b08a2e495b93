/* Which frame comes next: every one once an epoch, the same for a seed, in the wanted shares, resumable anywhere. */
#include "data/sampler.h"

#include "fw_test.h"

/* A dataset of lengths only: the sampler looks at nothing else. */
static fw_episode_info eps_a[] = {{.length = 5, .first = 0}, {.length = 1, .first = 5}, {.length = 11, .first = 6}};
static fw_episode_info eps_b[] = {{.length = 3, .first = 0}};
static char name_a[] = "a", name_b[] = "b";
static fw_dataset a = {.dir = name_a, .n_episodes = 3, .n_frames = 17, .episodes = eps_a};
static fw_dataset b = {.dir = name_b, .n_episodes = 1, .n_frames = 3, .episodes = eps_b};
static fw_err err;

static fw_sampler *make(const fw_sampler_source *s, int n, uint64_t seed, int replacement) {
    fw_sampler *out;
    if (fw_sampler_new(s, n, seed, replacement, &out, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    return out;
}

static void every_frame_once_an_epoch_in_another_order(void) {
    fw_sampler_source src = {&a, NULL, 0, 1.0};
    fw_sampler *s = make(&src, 1, 7, 0);
    int64_t order[2][17];
    for (int epoch = 0; epoch < 2; epoch++) {
        int seen[17] = {0};
        for (int i = 0; i < 17; i++) {
            fw_sample x = fw_sampler_next(s);
            CHECK(x.row >= 0 && x.row < 17 && x.row == eps_a[x.episode].first + x.t && x.t < eps_a[x.episode].length);
            seen[x.row]++;
            order[epoch][i] = x.row;
        }
        for (int i = 0; i < 17; i++) {
            CHECK_INT(seen[i], 1);
        }
    }
    CHECK(memcmp(order[0], order[1], sizeof(order[0])) != 0);
    fw_sampler_free(s);
}

static void a_seed_names_the_order_and_seek_finds_any_place_in_it(void) {
    fw_sampler_source src[] = {{&a, NULL, 0, 3.0}, {&b, NULL, 0, 1.0}};
    for (int replacement = 0; replacement < 2; replacement++) {
        fw_sampler *x = make(src, 2, 11, replacement), *y = make(src, 2, 11, replacement),
                   *z = make(src, 2, 12, replacement);
        int differ = 0;
        fw_sampler_seek(y, 57);
        fw_sampler_seek(z, 57);
        CHECK_INT(fw_sampler_tell(y), 57);
        for (int i = 0; i < 57; i++) {
            (void)fw_sampler_next(x);
        }
        for (int i = 0; i < 100; i++) {
            fw_sample p = fw_sampler_next(x), q = fw_sampler_next(y), r = fw_sampler_next(z);
            CHECK(p.source == q.source && p.row == q.row && p.episode == q.episode && p.t == q.t);
            differ += p.row != r.row;
        }
        CHECK(differ > 20);
        fw_sampler_free(x);
        fw_sampler_free(y);
        fw_sampler_free(z);
    }
}

static void shares_hold_at_every_moment(void) {
    fw_sampler_source src[] = {{&a, NULL, 0, 0.8}, {&b, NULL, 0, 0.2}};
    fw_sampler *s = make(src, 2, 1, 0);
    int n[2] = {0};
    for (int i = 1; i <= 1000; i++) {
        n[fw_sampler_next(s).source]++;
        CHECK(fabs(n[0] - 0.8 * i) < 1.0 && fabs(n[1] - 0.2 * i) < 1.0);
    }
    fw_sampler_free(s);
}

static void only_chosen_episodes_are_drawn(void) {
    const int64_t pick[] = {2, 0};
    fw_sampler_source src = {&a, pick, 2, 1.0};
    fw_sampler *s = make(&src, 1, 3, 1);
    int seen[17] = {0}, distinct = 0;
    for (int i = 0; i < 2000; i++) {
        fw_sample x = fw_sampler_next(s);
        CHECK(x.episode != 1);
        seen[x.row]++;
    }
    for (int i = 0; i < 17; i++) {
        distinct += seen[i] > 0;
        CHECK(seen[i] < 2000 / 16 * 2); /* about even: 125 expected each */
    }
    CHECK_INT(distinct, 16);
    CHECK_INT(fw_sampler_frames(s), 16);
    fw_sampler_free(s);
}

static void nonsense_is_refused(void) {
    const int64_t pick[] = {3};
    fw_sampler_source bad = {&a, pick, 1, 1.0}, zero = {&a, NULL, 0, 0.0};
    fw_sampler *s;
    CHECK(fw_sampler_new(&bad, 1, 0, 0, &s, &err) == FW_INVALID && strstr(err.msg, "no episode 3") != NULL);
    CHECK(fw_sampler_new(&zero, 1, 0, 0, &s, &err) == FW_INVALID && strstr(err.msg, "weight") != NULL);
    CHECK(fw_sampler_new(NULL, 0, 0, 0, &s, &err) == FW_INVALID);
}

static void a_chunk_past_the_end_repeats_and_is_masked(void) {
    const float action[] = {1, 2, 3, 4, 5, 6}; /* [3,2] */
    float out[8], mask[4];
    fw_chunk_gather(action, 3, 2, 1, 4, out, mask);
    const float want[] = {3, 4, 5, 6, 5, 6, 5, 6}, want_mask[] = {1, 1, 0, 0};
    CHECK_NEAR(out, want, 8, 0.0, 0.0);
    CHECK_NEAR(mask, want_mask, 4, 0.0, 0.0);
}

FW_TEST_MAIN(T(every_frame_once_an_epoch_in_another_order), T(a_seed_names_the_order_and_seek_finds_any_place_in_it),
             T(shares_hold_at_every_moment), T(only_chosen_episodes_are_drawn), T(nonsense_is_refused),
             T(a_chunk_past_the_end_repeats_and_is_masked))
