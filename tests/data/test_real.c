/* The recorded CR5 dataset (LeRobot v2.1), where it is present: 61 episodes of a real robot. */
#include "data/cache.h"
#include "data/dataset.h"
#include "data/video.h"
#include "fw_test.h"

#include "base/file.h"

#define DIR_CR5 FW_SOURCE_DIR "/../shared/data/cr5_banana_plate"

static fw_err err;

static fw_dataset *open_cr5(void) {
    fw_dataset *ds;
    if (!fw_path_is_dir(DIR_CR5)) {
        SKIP("no ../shared/data/cr5_banana_plate");
    }
    if (fw_dataset_open(DIR_CR5, &ds, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    return ds;
}

static void cr5_opens_with_its_counts_and_names(void) {
    fw_dataset *ds = open_cr5();
    CHECK_INT(ds->version, 21);
    CHECK_INT(ds->n_episodes, 61);
    CHECK_INT(ds->n_frames, 13749);
    CHECK_INT(ds->n_state, 6);
    CHECK_INT(ds->n_action, 7);
    CHECK_INT(ds->n_cameras, 1);
    CHECK(strcmp(ds->cameras[0].name, "top") == 0 && ds->cameras[0].h == 480 && ds->cameras[0].w == 640);
    CHECK(strcmp(ds->action->names[6], "gripper") == 0);
    CHECK(strcmp(ds->tasks[0], "put the banana on the plate") == 0);
    fw_dataset_close(ds);
}

static void cr5_reads_every_row(void) {
    fw_dataset *ds = open_cr5();
    int64_t rows = 0;
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        fw_episode ep;
        if (fw_dataset_read_episode(ds, e, &ep, &err) != FW_OK) {
            FW_FAILED("%s", err.msg);
        }
        CHECK(strcmp(ep.sentence, "put the banana on the plate") == 0);
        for (int64_t t = 1; t < ep.length; t++) {
            CHECK(ep.timestamp_s[t] > ep.timestamp_s[t - 1]);
        }
        rows += ep.length;
        fw_episode_clear(&ep);
    }
    CHECK_INT(rows, 13749);
    fw_dataset_close(ds);
}

/* Reading one frame by seeking gives the pixels that reading in order gives. */
static void cr5_seeks_to_the_exact_frame(void) {
    enum { H = 48, W = 64, N = H * W * 3 };
    fw_dataset *ds = open_cr5();
    int64_t n = ds->episodes[3].length;
    uint8_t *all = malloc((size_t)n * N), one[N];
    CHECK(all != NULL);
    if (fw_dataset_read_images(ds, 3, 0, 0, n, H, W, all, &err) != FW_OK) {
        FW_FAILED("%s", err.msg);
    }
    for (int64_t t = n - 1; t >= 0; t -= 17) {
        if (fw_dataset_read_images(ds, 3, 0, t, 1, H, W, one, &err) != FW_OK) {
            FW_FAILED("%s", err.msg);
        }
        CHECK(memcmp(one, all + t * N, N) == 0);
    }
    CHECK(fw_dataset_read_images(ds, 3, 0, n, 1, H, W, one, &err) == FW_INVALID);
    free(all);
    fw_dataset_close(ds);
}

/* Its clock ran up to 2.2 s behind its frame rate; nothing else is wrong with it. */
static void cr5_has_irregular_timestamps_and_is_otherwise_whole(void) {
    fw_findings f;
    fw_dataset_close(open_cr5());
    CHECK(fw_dataset_check(DIR_CR5, NULL, &f, &err) == FW_OK);
    CHECK(f.n > 10);
    for (int64_t i = 0; i < f.n; i++) {
        CHECK(strcmp(f.item[i].kind, "timestamp") == 0 && f.item[i].repairable);
    }
    fw_findings_clear(&f);
    CHECK(fw_dataset_check(DIR_CR5, &(fw_check_opts){.tolerance_s = 2.5}, &f, &err) == FW_OK);
    CHECK_INT(f.n, 0);
    fw_findings_clear(&f);
}

FW_TEST_MAIN(T(cr5_opens_with_its_counts_and_names), T(cr5_reads_every_row), T(cr5_seeks_to_the_exact_frame),
             T(cr5_has_irregular_timestamps_and_is_otherwise_whole))
