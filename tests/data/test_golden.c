/*
 * What the reference library reads, we read (tests/golden/lerobot): `ours` was written by this program, `theirs` by LeRobot
 * 0.6.1; lerobot_open.py opened both with LeRobotDataset and wrote read.json: hashes of every value and every decoded
 * frame. Run with FW_GOLDEN_MAKE=DIR to write `ours` anew (then run lerobot_open.py).
 */
#include "base/hash.h"
#include "base/json.h"
#include "data/copy.h"
#include "make.h"

#define DIR_GOLDEN FW_SOURCE_DIR "/tests/golden/lerobot"

static void same_hash(const char *what, int64_t e, const void *data, size_t n, const json_t *ep, const char *key) {
    char hex[65];
    fw_sha256_hex(data, n, hex);
    const char *want = json_string_value(json_object_get(ep, key));
    if (want == NULL || strcmp(hex, want) != 0) {
        FW_FAILED("%s: ep %d: %s: sha256 %s, LeRobot read %s", what, (int)e, key, hex, want != NULL ? want : "nothing");
    }
}

static void same_episode(const char *name, fw_dataset *ds, int64_t e, const json_t *want) {
    fw_episode ep;
    OK(fw_dataset_read_episode(ds, e, &ep, err));
    CHECK_INT(ep.length, json_integer_value(json_object_get(want, "length")));
    CHECK(strcmp(ep.sentence, json_string_value(json_object_get(want, "task"))) == 0);
    same_hash(name, e, ep.state, (size_t)ep.length * (size_t)ep.n_state * 4, want, "observation.state");
    same_hash(name, e, ep.action, (size_t)ep.length * (size_t)ep.n_action * 4, want, "action");
    float *time = malloc((size_t)ep.length * sizeof(float));
    CHECK(time != NULL);
    for (int64_t t = 0; t < ep.length; t++) {
        time[t] = (float)ep.timestamp_s[t];
    }
    same_hash(name, e, time, (size_t)ep.length * 4, want, "timestamp");
    same_hash(name, e, ep.task, (size_t)ep.length * 8, want, "task_index");
    for (int c = 0; c < ds->n_cameras; c++) {
        size_t n = (size_t)ep.length * (size_t)ds->cameras[c].h * (size_t)ds->cameras[c].w * 3;
        uint8_t *rgb = malloc(n);
        CHECK(rgb != NULL);
        OK(fw_dataset_read_images(ds, e, c, 0, ep.length, 0, 0, rgb, err));
        same_hash(name, e, rgb, n, want, ds->cameras[c].key);
        free(rgb);
    }
    free(time);
    fw_episode_clear(&ep);
}

/* dir holds what LeRobot read from `name`. */
static void same_as(const char *dir, const char *name) {
    json_t *golden;
    fw_dataset *ds;
    OK(fw_json_load(DIR_GOLDEN "/read.json", &golden, err));
    const json_t *want = json_object_get(json_object_get(golden, "datasets"), name),
                 *eps = json_object_get(want, "episodes");
    CHECK(eps != NULL);
    OK(fw_dataset_open(dir, &ds, err));
    CHECK_INT(ds->n_episodes, json_array_size(eps));
    CHECK_INT(ds->n_frames, json_integer_value(json_object_get(want, "frames")));
    CHECK(fabs(ds->fps - json_number_value(json_object_get(want, "fps"))) < 1e-9);
    CHECK(strcmp(ds->robot_type, json_string_value(json_object_get(want, "robot_type"))) == 0);
    CHECK_INT(ds->n_cameras, 2);
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        same_episode(name, ds, e, json_array_get(eps, (size_t)e));
    }
    fw_dataset_close(ds);
    json_decref(golden);
}

static void same_dataset(const char *name) {
    char dir[600];
    snprintf(dir, sizeof(dir), "%s/%s", DIR_GOLDEN, name);
    same_as(dir, name);
}

static void what_we_wrote_reads_as_lerobot_reads_it(void) {
    const char *make = getenv("FW_GOLDEN_MAKE");
    if (make != NULL) {
        mk_dataset(make, 0, 4); /* two segments: sealed after three */
        exit(0);
    }
    same_dataset("ours");
}

static void what_lerobot_wrote_reads_as_lerobot_reads_it(void) {
    same_dataset("theirs");
}

/* To v2.1 and back, both still hold what LeRobot read: every value and every pixel. */
static void both_go_to_v21_and_back(void) {
    static const char *const names[] = {"ours", "theirs"};
    for (int i = 0; i < 2; i++) {
        char dir[600];
        const char *old = mk_dir("v21"), *back = mk_dir("v30");
        snprintf(dir, sizeof(dir), "%s/%s", DIR_GOLDEN, names[i]);
        fw_copy_source from = {.dir = dir}, from_old = {.dir = old};
        OK(fw_dataset_copy(&from, 1, old, &(fw_copy_opts){.version = 21}, NULL, err));
        same_as(old, names[i]);
        OK(fw_dataset_copy(&from_old, 1, back, &(fw_copy_opts){.version = 30}, NULL, err));
        same_as(back, names[i]);
        OK(fw_remove_tree(old, err));
        OK(fw_remove_tree(back, err));
    }
}

static void both_pass_the_check(void) {
    static const char *const names[] = {"ours", "theirs"};
    for (int i = 0; i < 2; i++) {
        char dir[600];
        fw_findings f;
        snprintf(dir, sizeof(dir), "%s/%s", DIR_GOLDEN, names[i]);
        OK(fw_dataset_check(dir, 0.0, &f, err));
        if (f.n > 0) {
            FW_FAILED("%s: %s %s: %s", names[i], f.item[0].kind, f.item[0].file, f.item[0].text);
        }
        fw_findings_clear(&f);
    }
}

FW_TEST_MAIN(T(what_we_wrote_reads_as_lerobot_reads_it), T(what_lerobot_wrote_reads_as_lerobot_reads_it),
             T(both_go_to_v21_and_back), T(both_pass_the_check))
