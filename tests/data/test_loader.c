/* Samples for training: what the files hold, in the wanted mixture, of the wanted episodes, whoever makes the batch. */
#include "data/loader.h"

#include "make.h"

enum { B = 16, HORIZON = 8 };

static const char *dataset(const char *name, int64_t first, int64_t n) {
    const char *dir = mk_dir(name);
    mk_dataset(dir, first, n);
    return dir;
}

static fw_loader_opts options(void) {
    static int once;
    if (once++ == 0) {
        CHECK(setenv("XDG_CACHE_HOME", mk_dir("cache"), 1) == 0);
    }
    return (fw_loader_opts){.h = MK_H, .w = MK_W, .horizon = HORIZON, .seed = 5, .n_threads = 1};
}

static void a_sample_is_what_the_files_hold(void) {
    const char *dir = dataset("loader", 0, 4);
    fw_loader_source src = {.dir = dir};
    fw_loader_opts o = options();
    fw_loader *l;
    fw_sampler *s;
    fw_loader_batch b, f;
    fw_dataset *ds;
    uint8_t want[MK_IMAGE];
    OK(fw_loader_open(&src, 1, &o, &l, err));
    OK(fw_loader_sampler(l, &s, err));
    OK(fw_loader_batch_new(l, B, false, &b, err));
    OK(fw_loader_batch_new(l, B, true, &f, err));
    OK(fw_dataset_open(dir, &ds, err));
    CHECK_INT(fw_loader_frames(l), ds->n_frames);
    fw_loader_fill(l, s, &b);
    fw_sampler_seek(s, 0);
    fw_loader_fill(l, s, &f);
    int ends = 0;
    for (int i = 0; i < B; i++) {
        fw_sample x = b.sample[i];
        for (int c = 0; c < MK_CAMS; c++) {
            const uint8_t *got = b.rgb + (i * MK_CAMS + c) * MK_IMAGE;
            OK(fw_dataset_read_images(ds, x.episode, c, x.t, 1, 0, 0, want, err));
            CHECK(memcmp(got, want, MK_IMAGE) == 0);
            CHECK(f.image[(i * MK_CAMS + c) * MK_IMAGE + 7] == (float)got[7] * (1.0F / 255.0F));
        }
        for (int d = 0; d < MK_NS; d++) {
            CHECK(b.state[i * MK_NS + d] == mk_state(x.episode, x.t, d));
        }
        for (int h = 0; h < HORIZON; h++) {
            bool inside = x.t + h < mk_length(x.episode);
            int64_t t = inside ? x.t + h : mk_length(x.episode) - 1;
            CHECK(b.mask[i * HORIZON + h] == (inside ? 1.0F : 0.0F));
            CHECK(b.action[(i * HORIZON + h) * MK_NA + 2] == mk_action(x.episode, t, 2));
            ends += !inside;
        }
        CHECK(strcmp(b.sentence[i], mk_sentence(x.episode)) == 0);
    }
    CHECK(ends > 0); /* chunks that reach beyond their episode were among them */
    fw_loader_batch_free(&b), fw_loader_batch_free(&f);
    fw_sampler_free(s);
    fw_loader_close(l);
    fw_dataset_close(ds);
    OK(fw_remove_tree(dir, err));
}

/* Two samplers, batches in another order: the same batches. Weights are shares of the draws; masked episodes never come. */
static void mixtures_and_masks_hold_and_any_batch_can_be_made_alone(void) {
    const char *a = dataset("mix_a", 0, 6), *c = dataset("mix_b", 10, 3);
    fw_loader_source src[] = {{.dir = a, .weight = 3.0, .episodes = "0:2,4:", .except = "5"},
                              {.dir = c, .weight = 1.0, .except = "1"}};
    fw_loader_opts o = options();
    fw_loader *l;
    fw_sampler *s, *t;
    fw_loader_batch b, again;
    int from[2] = {0}, seen[2][6] = {{0}};
    OK(fw_loader_open(src, 2, &o, &l, err));
    CHECK_INT(fw_loader_frames(l), mk_length(0) + mk_length(1) + mk_length(4) + mk_length(10) + mk_length(12));
    OK(fw_loader_sampler(l, &s, err));
    OK(fw_loader_sampler(l, &t, err));
    OK(fw_loader_batch_new(l, B, false, &b, err));
    OK(fw_loader_batch_new(l, B, false, &again, err));
    for (int k = 0; k < 20; k++) {
        static const int64_t order[20] = {7, 3, 19, 0, 1, 2, 18, 4, 5, 6, 8, 9, 10, 17, 11, 12, 13, 16, 14, 15};
        fw_sampler_seek(s, order[k] * B);
        fw_loader_fill(l, s, &b);
        fw_sampler_seek(t, order[k] * B);
        fw_loader_fill(l, t, &again);
        CHECK(memcmp(b.sample, again.sample, sizeof(fw_sample) * B) == 0);
        CHECK(memcmp(b.rgb, again.rgb, (size_t)B * MK_CAMS * MK_IMAGE) == 0);
        for (int i = 0; i < B; i++) {
            from[b.sample[i].source]++;
            seen[b.sample[i].source][b.sample[i].episode]++;
        }
    }
    CHECK_INT(from[0], 240);
    CHECK_INT(from[1], 80);
    CHECK(seen[0][0] > 0 && seen[0][1] > 0 && seen[0][4] > 0 && seen[1][0] > 0 && seen[1][2] > 0);
    CHECK(seen[0][2] + seen[0][3] + seen[0][5] + seen[1][1] == 0);
    fw_loader_batch_free(&b), fw_loader_batch_free(&again);
    fw_sampler_free(s), fw_sampler_free(t);
    fw_loader_close(l);
    OK(fw_remove_tree(a, err));
    OK(fw_remove_tree(c, err));
}

static void check_list(const char *episodes, const char *except, const char *want) {
    char got[200] = "";
    int64_t *list, n;
    OK(fw_episode_list(episodes, except, 8, &list, &n, err));
    for (int64_t i = 0; i < n; i++) {
        snprintf(got + strlen(got), sizeof got - strlen(got), "%d ", (int)list[i]);
    }
    if (strcmp(got, want) != 0) {
        FW_FAILED("'%s' except '%s' is %s, wanted %s", episodes, except, got, want);
    }
    free(list);
}

static void episode_lists_name_what_they_say(void) {
    static const char *const bad[] = {"8",  "3:2",  "0:9", "a", "1;2", "-1", "1,,2", "99999999999999999999",
                                      ":x", "1:2:3"};
    check_list(NULL, NULL, "0 1 2 3 4 5 6 7 ");
    check_list("5,0:2,5", NULL, "0 1 5 ");
    check_list(":3", "1", "0 2 ");
    check_list(NULL, "2:", "0 1 ");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t *list, n;
        FAILS(fw_episode_list(bad[i], NULL, 8, &list, &n, err), FW_INVALID, "wanted positions below 8");
        CHECK(list == NULL);
    }
    int64_t *list, n;
    FAILS(fw_episode_list("3", "0:", 8, &list, &n, err), FW_INVALID, "none of 8 is left");
}

static void datasets_that_do_not_fit_are_refused(void) {
    const char *a = dataset("fit_a", 0, 1), *c = mk_dir("fit_b");
    fw_writer_desc d = mk_desc();
    fw_writer *w;
    fw_loader *l;
    d.cameras[1].name = "side";
    OK(fw_writer_open(c, &d, &w, err));
    OK(mk_add(w, 0, err));
    OK(fw_writer_close(w, err));
    fw_loader_source src[] = {{.dir = a}, {.dir = c}};
    fw_loader_opts o = options();
    FAILS(fw_loader_open(src, 2, &o, &l, err), FW_SHAPE, "no camera 'wrist'");
    src[0].episodes = "7";
    FAILS(fw_loader_open(src, 1, &o, &l, err), FW_INVALID, "wanted positions below 1");
    OK(fw_remove_tree(a, err));
    OK(fw_remove_tree(c, err));
    OK(fw_remove_tree(getenv("XDG_CACHE_HOME"), err));
}

FW_TEST_MAIN(T(a_sample_is_what_the_files_hold), T(mixtures_and_masks_hold_and_any_batch_can_be_made_alone),
             T(episode_lists_name_what_they_say), T(datasets_that_do_not_fit_are_refused))
