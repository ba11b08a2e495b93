/* Pictures inside Parquet, and depth maps, in a dataset that tests/golden/rows_images.py made with pyarrow: every value by its formula. */
#include "base/json.h"
#include "data/cache.h"
#include "data/copy.h"
#include "make.h"

#define DIR_ROWS FW_SOURCE_DIR "/tests/golden/rows"
enum { H = 32, W = 48, SIDE = 16, FRAMES = 6 };

static void same_pixels(int64_t e, int64_t t, const uint8_t *rgb) {
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++, rgb += 3) {
            CHECK_INT(rgb[0], 5 * x % 256);
            CHECK_INT(rgb[1], (7 * y + 3 * t) % 256);
            CHECK_INT(rgb[2], (x + y + 40 * e) % 256);
        }
    }
}

static void same_values(const char *dir) {
    static uint8_t rgb[FRAMES * H * W * 3];
    fw_dataset *ds;
    OK(fw_dataset_open(dir, &ds, err));
    CHECK_INT(ds->n_episodes, 2);
    CHECK_INT(ds->n_cameras, 1); /* the depth map is none */
    CHECK_INT(ds->n_visual, 2);
    CHECK(strcmp(ds->cameras[0].name, "top") == 0 && ds->cameras[0].in_rows);
    for (int64_t e = 0; e < 2; e++) {
        fw_episode ep;
        OK(fw_dataset_read_episode(ds, e, &ep, err));
        CHECK_INT(ep.length, e == 0 ? 6 : 5);
        for (int64_t i = 0; i < ep.length * 3; i++) {
            CHECK(ep.state[i] == (float)((double)e + (double)(i / 3) / 10 + (double)(i % 3)));
            CHECK(ep.action[i] == -ep.state[i]);
        }
        OK(fw_dataset_read_images(ds, e, 0, 0, ep.length, 0, 0, rgb, err));
        for (int64_t t = 0; t < ep.length; t++) {
            same_pixels(e, t, rgb + t * H * W * 3);
        }
        OK(fw_dataset_read_images(ds, e, 0, 3, 1, 0, 0, rgb, err));
        same_pixels(e, 3, rgb);
        fw_episode_clear(&ep);
    }
    fw_dataset_close(ds);
}

static void pictures_in_rows_are_read(void) {
    same_values(DIR_ROWS);
}

static void they_go_to_v21_and_back(void) {
    const char *old = mk_dir("old"), *back = mk_dir("back");
    fw_copy_source from = {.dir = DIR_ROWS}, from_old = {.dir = old};
    OK(fw_dataset_copy(&from, 1, old, &(fw_copy_opts){.version = 21}, NULL, err));
    same_values(old);
    OK(fw_dataset_copy(&from_old, 1, back, &(fw_copy_opts){.version = 30}, NULL, err));
    same_values(back);
    for (int i = 0; i < 2; i++) {
        fw_findings f;
        OK(fw_dataset_check(i == 0 ? old : back, NULL, &f, err));
        for (int64_t k = 0; k < f.n; k++) {
            FW_FAILED("%d: %s %s: %s", i, f.item[k].kind, f.item[k].file, f.item[k].text);
        }
        fw_findings_clear(&f);
    }
    OK(fw_remove_tree(old, err));
    OK(fw_remove_tree(back, err));
}

/* The depth map's frames are the source's, byte for byte, and are not given out as pictures. */
static void depth_passes_through(void) {
    const char *copy = mk_dir("depth");
    fw_copy_source from = {.dir = DIR_ROWS};
    fw_dataset *ds[2];
    char *video[2];
    size_t n[2];
    OK(fw_dataset_copy(&from, 1, copy, NULL, NULL, err));
    for (int i = 0; i < 2; i++) {
        double from_s;
        uint8_t pixel[3];
        OK(fw_dataset_open(i == 0 ? from.dir : copy, &ds[i], err));
        CHECK_INT(fw_dataset_camera(ds[i], "depth"), 1);
        FAILS(fw_dataset_read_images(ds[i], 0, 1, 0, 1, 1, 1, pixel, err), FW_INVALID, "camera 1");
        const char *path = fw_dataset_video(ds[i], 1, 1, &from_s);
        CHECK(path != NULL && from_s > 0.59 && from_s < 0.61);
        OK(fw_file_read(path, 1 << 20, &video[i], &n[i], err));
    }
    const char *at = memmem(video[0], n[0], "mdat", 4); /* what is encoded: the copy has it too */
    CHECK(at != NULL && n[0] > 200 && memmem(video[1], n[1], at + 4, 64) != NULL);
    for (int i = 0; i < 2; i++) {
        free(video[i]);
        fw_dataset_close(ds[i]);
    }
    OK(fw_remove_tree(copy, err));
}

static void training_reads_them_from_the_cache(void) {
    static uint8_t rgb[FRAMES * SIDE * SIDE * 3];
    const char *cache = mk_dir("cache");
    fw_dataset *ds;
    fw_frames *f;
    CHECK(setenv("XDG_CACHE_HOME", cache, 1) == 0);
    OK(fw_dataset_open(DIR_ROWS, &ds, err));
    OK(fw_frames_open(ds, SIDE, SIDE, 1, &f, err));
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        OK(fw_dataset_read_images(ds, e, 0, 0, ds->episodes[e].length, SIDE, SIDE, rgb, err));
        for (int64_t t = 0; t < ds->episodes[e].length; t++) {
            const uint8_t *got = fw_frames_at(f, 0, ds->episodes[e].first + t);
            CHECK(memcmp(got, rgb + t * SIDE * SIDE * 3, SIDE * SIDE * 3) == 0);
        }
    }
    fw_frames_close(f);
    fw_dataset_close(ds);
    OK(fw_remove_tree(cache, err));
}

/* info.json says another height than the pictures have; then that the column is another. */
static void what_does_not_fit_is_refused(void) {
    static uint8_t rgb[H * W * 3];
    const char *dir = mk_dir("misfit");
    char path[700];
    fw_copy_source from = {.dir = DIR_ROWS};
    fw_dataset *ds;
    json_t *info;
    OK(fw_dataset_copy(&from, 1, dir, NULL, NULL, err));
    snprintf(path, sizeof(path), "%s/meta/info.json", dir);
    OK(fw_json_load(path, &info, err));
    json_t *features = json_object_get(info, "features"), *top = json_object_get(features, "observation.images.top");
    CHECK(json_array_set_new(json_object_get(top, "shape"), 0, json_integer(H + 1)) == 0);
    OK(fw_json_save(path, info, 4, err));
    OK(fw_dataset_open(dir, &ds, err));
    FAILS(fw_dataset_read_images(ds, 1, 0, 2, 1, SIDE, SIDE, rgb, err), FW_SHAPE,
          "ep 1: frame 2: observation.images.top");
    fw_dataset_close(ds);
    CHECK(json_object_set(features, "observation.images.other", top) == 0);
    CHECK(json_object_del(features, "observation.images.top") == 0);
    OK(fw_json_save(path, info, 4, err));
    OK(fw_dataset_open(dir, &ds, err));
    FAILS(fw_dataset_read_images(ds, 0, 0, 0, 1, SIDE, SIDE, rgb, err), FW_FORMAT,
          "no column 'observation.images.other'");
    fw_dataset_close(ds);
    json_decref(info);
    OK(fw_remove_tree(dir, err));
}

FW_TEST_MAIN(T(pictures_in_rows_are_read), T(they_go_to_v21_and_back), T(depth_passes_through),
             T(training_reads_them_from_the_cache), T(what_does_not_fit_is_refused))
