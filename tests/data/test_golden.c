/*
 * What the reference library reads, we read (tests/golden/lerobot): `ours` and `marked` were written by this program, `theirs`,
 * `images` and `depth` by LeRobot 0.6.1; lerobot_open.py opened them with LeRobotDataset and wrote read.json: hashes of every value and every
 * decoded frame. Run with FW_GOLDEN_MAKE=tests/golden/lerobot to write ours anew (then run lerobot_open.py).
 */
#include "base/hash.h"
#include "base/json.h"
#include "data/cache.h"
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

/* What stands in the column: frames without a subtask name the empty sentence. */
static int64_t *subtask_column(const fw_episode_marks *m) {
    int64_t *out = calloc((size_t)m->length + 1, sizeof(int64_t)), none = -1;
    CHECK(out != NULL);
    for (int i = 0; i < m->m.n_subtasks; i++) {
        none = m->m.subtasks[i][0] == 0 ? i : none;
    }
    for (int64_t t = 0; t < m->length; t++) {
        out[t] = m->m.subtask[t] >= 0 ? m->m.subtask[t] : none;
    }
    return out;
}

/* Marks of frames, where LeRobot read some. */
static void same_marks(const char *name, fw_dataset *ds, int64_t e, const json_t *want) {
    fw_episode_marks m;
    size_t n;
    OK(fw_dataset_read_marks(ds, e, &m, err));
    n = (size_t)m.length;
    if (m.m.intervention != NULL) {
        same_hash(name, e, m.m.intervention, n, want, "intervention");
    }
    if (m.m.advantage != NULL) {
        same_hash(name, e, m.m.advantage, n * 4, want, "advantage");
    }
    if (m.m.subtask != NULL) {
        int64_t *subtask = subtask_column(&m);
        same_hash(name, e, subtask, n * 8, want, "subtask_index");
        free(subtask);
    }
    if (m.m.capture_ns != NULL) {
        same_hash(name, e, m.m.capture_ns, n * 8 * (1 + (size_t)ds->n_cameras), want, "capture_ns");
    }
    CHECK((m.m.capture_ns != NULL) == (json_object_get(want, "capture_ns") != NULL));
    fw_episode_marks_clear(&m);
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
    same_marks(name, ds, e, want);
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

/* Two episodes with everything that an episode and its frames can have beyond LeRobot's own. */
static void write_marked(const char *dir) {
    static const char *const steps[] = {"reach", "grasp it, \"gently\""};
    const fw_field fields[] = {{.name = "seed_layout", .kind = FW_FIELD_INT, .i = 9007199254740993},
                               {.name = "suite", .kind = FW_FIELD_TEXT, .text = "kitchen3"},
                               {.name = "noise", .kind = FW_FIELD_REAL, .real = 0.25}};
    fw_writer_desc d = mk_desc();
    fw_writer *w;
    d.marks = FW_MARK_INTERVENTION | FW_MARK_ADVANTAGE | FW_MARK_SUBTASK | FW_MARK_CAPTURE;
    d.fields = fields;
    d.n_fields = 3;
    OK(fw_writer_open(dir, &d, &w, err));
    for (int64_t e = 0; e < 2; e++) {
        mk_episode m;
        uint8_t hand[32];
        float advantage[32];
        int64_t step[32], clock[32 * (1 + MK_CAMS)];
        fw_provenance p = {.source = FW_SOURCE_TELEOP,
                           .policy_id = "",
                           .control_mode = "ee_delta",
                           .consent = "train",
                           .home = "h17",
                           .quality = 0.75,
                           .speed = (double)NAN,
                           .success = 1,
                           .n_fields = 3,
                           .fields = fields};
        mk_make(&m, e);
        for (int64_t t = 0; t < m.w.length; t++) {
            hand[t] = t % 4 == 1;
            advantage[t] = t == 0 ? NAN : (float)t * 0.5f;
            step[t] = t < 2 ? -1 : t % 2;
            for (int c = 0; c <= MK_CAMS; c++) {
                clock[t * (1 + MK_CAMS) + c] = 1700000000000000001 + e * 1000000000 + t * 100000007 + c;
            }
        }
        m.w.provenance = &p;
        m.w.marks = (fw_marks){hand, advantage, step, steps, 2, clock};
        OK(fw_writer_add_episode(w, &m.w, err));
        mk_free(&m);
    }
    OK(fw_writer_close(w, err));
}

static void what_we_wrote_reads_as_lerobot_reads_it(void) {
    const char *make = getenv("FW_GOLDEN_MAKE");
    if (make != NULL) {
        char dir[600];
        snprintf(dir, sizeof(dir), "%s/ours", make);
        OK(fw_remove_tree(dir, err));
        mk_dataset(dir, 0, 4); /* two segments: sealed after three */
        snprintf(dir, sizeof(dir), "%s/marked", make);
        OK(fw_remove_tree(dir, err));
        write_marked(dir);
        exit(0);
    }
    same_dataset("ours");
    same_dataset("marked");
}

static void what_lerobot_wrote_reads_as_lerobot_reads_it(void) {
    same_dataset("theirs");
    same_dataset("theirs21");
    same_dataset("images");
    same_dataset("depth");
}

/* The library that readers of v2.1 have (datasets before 4.0) knows lists as "Sequence" alone, and refuses files that say "List". */
static void says_sequence(const char *dir) {
    char path[700], *bytes;
    size_t n;
    static const char seq[] = "\"_type\":\"Sequence\"", list[] = "\"_type\":\"List\"";
    snprintf(path, sizeof(path), "%s/data/chunk-000/episode_000000.parquet", dir);
    OK(fw_file_read(path, 1 << 20, &bytes, &n, err));
    CHECK(memmem(bytes, n, seq, sizeof(seq) - 1) != NULL);
    CHECK(memmem(bytes, n, list, sizeof(list) - 1) == NULL);
    free(bytes);
}

static const char *const names[] = {"ours", "marked", "theirs", "theirs21", "images", "depth"};
enum { N_NAMES = 6 };

/* To v2.1 and back, each of them still holds what LeRobot read: values, marks, pictures of videos and of rows. */
static void all_go_to_v21_and_back(void) {
    for (int i = 0; i < N_NAMES; i++) {
        char dir[600];
        const char *old = mk_dir("v21"), *back = mk_dir("v30");
        snprintf(dir, sizeof(dir), "%s/%s", DIR_GOLDEN, names[i]);
        fw_copy_source from = {.dir = dir}, from_old = {.dir = old};
        OK(fw_dataset_copy(&from, 1, old, &(fw_copy_opts){.version = 21}, NULL, err));
        same_as(old, names[i]);
        says_sequence(old);
        OK(fw_dataset_copy(&from_old, 1, back, &(fw_copy_opts){.version = 30}, NULL, err));
        same_as(back, names[i]);
        OK(fw_remove_tree(old, err));
        OK(fw_remove_tree(back, err));
    }
}

/* The depth map is no camera; its frames are those of the source, byte for byte, wherever it is copied. */
static void depth_passes_through(void) {
    const char *copy = mk_dir("depth");
    fw_copy_source from = {.dir = DIR_GOLDEN "/depth"};
    fw_dataset *ds[2];
    char *video[2];
    size_t n[2];
    OK(fw_dataset_copy(&from, 1, copy, NULL, NULL, err));
    for (int i = 0; i < 2; i++) {
        double from_s;
        OK(fw_dataset_open(i == 0 ? from.dir : copy, &ds[i], err));
        CHECK_INT(ds[i]->n_cameras, 1);
        CHECK_INT(ds[i]->n_visual, 2);
        int depth = fw_dataset_camera(ds[i], "depth");
        CHECK_INT(depth, 1);
        uint8_t pixel[3];
        FAILS(fw_dataset_read_images(ds[i], 0, depth, 0, 1, 1, 1, pixel, err), FW_INVALID, "camera 1");
        OK(fw_file_read(fw_dataset_video(ds[i], 1, depth, &from_s), 1 << 20, &video[i], &n[i], err));
        CHECK(from_s > 0.0);
    }
    /* the container may differ; what is encoded may not: the largest packet of the source is in the copy */
    const char *at = memmem(video[0], n[0], "mdat", 4);
    CHECK(at != NULL && memmem(video[1], n[1], at + 4, 64) != NULL);
    for (int i = 0; i < 2; i++) {
        free(video[i]);
        fw_dataset_close(ds[i]);
    }
    OK(fw_remove_tree(copy, err));
}

/* Training reads them from the cache as it does frames of videos; a picture of another size than info.json says is refused. */
static void pictures_in_rows_are_frames(void) {
    enum { SIDE = 16 };
    const char *dir = mk_dir("rows");
    fw_copy_source from = {.dir = DIR_GOLDEN "/images"};
    fw_dataset *ds;
    fw_frames *f;
    json_t *info;
    char cache[600], path[700];
    static uint8_t rgb[8 * SIDE * SIDE * 3], one[48 * 48 * 3];
    snprintf(cache, sizeof(cache), "%s", mk_dir("cache"));
    CHECK(setenv("XDG_CACHE_HOME", cache, 1) == 0);
    OK(fw_dataset_copy(&from, 1, dir, NULL, NULL, err));
    OK(fw_dataset_open(dir, &ds, err));
    OK(fw_frames_open(ds, SIDE, SIDE, 1, &f, err));
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        int64_t n = ds->episodes[e].length;
        OK(fw_dataset_read_images(ds, e, 0, 0, n, SIDE, SIDE, rgb, err));
        for (int64_t t = 0; t < n; t++) {
            const uint8_t *got = fw_frames_at(f, 0, ds->episodes[e].first + t);
            CHECK(memcmp(got, rgb + t * SIDE * SIDE * 3, SIDE * SIDE * 3) == 0);
        }
    }
    fw_frames_close(f);
    fw_dataset_close(ds);
    snprintf(path, sizeof(path), "%s/meta/info.json", dir);
    OK(fw_json_load(path, &info, err));
    json_t *shape =
        json_object_get(json_object_get(json_object_get(info, "features"), "observation.images.top"), "shape");
    CHECK(json_array_set_new(shape, 0, json_integer(33)) == 0);
    OK(fw_json_save(path, info, 4, err));
    json_decref(info);
    OK(fw_dataset_open(dir, &ds, err));
    FAILS(fw_dataset_read_images(ds, 1, 0, 2, 1, SIDE, SIDE, one, err), FW_SHAPE,
          "ep 1: frame 2: observation.images.top");
    fw_dataset_close(ds);
    OK(fw_remove_tree(dir, err));
    OK(fw_remove_tree(cache, err));
}

static void all_pass_the_check(void) {
    for (int i = 0; i < N_NAMES; i++) {
        char dir[600];
        fw_findings f;
        snprintf(dir, sizeof(dir), "%s/%s", DIR_GOLDEN, names[i]);
        OK(fw_dataset_check(dir, NULL, &f, err));
        if (f.n > 0) {
            FW_FAILED("%s: %s %s: %s", names[i], f.item[0].kind, f.item[0].file, f.item[0].text);
        }
        fw_findings_clear(&f);
    }
}

FW_TEST_MAIN(T(what_we_wrote_reads_as_lerobot_reads_it), T(what_lerobot_wrote_reads_as_lerobot_reads_it),
             T(all_go_to_v21_and_back), T(depth_passes_through), T(pictures_in_rows_are_frames), T(all_pass_the_check))
