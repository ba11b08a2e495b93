/*
 * Bad input: good datasets are broken in one way each; reading must say which file, episode and frame, what was wanted and
 * what was found, and `data check` must find it. Nothing may crash (run under ASan too).
 */
#include <sys/wait.h>

#include "spoil.h"

/* Read everything: the first error. */
static fw_status read_all(const char *dir, fw_err *err) {
    fw_dataset *ds;
    FW_TRY(fw_dataset_open(dir, &ds, err));
    fw_status st = FW_OK;
    uint8_t *rgb = malloc((size_t)64 * MK_IMAGE);
    CHECK(rgb != NULL);
    for (int64_t e = 0; e < ds->n_episodes && st == FW_OK; e++) {
        fw_episode ep;
        st = fw_dataset_read_episode(ds, e, &ep, err);
        for (int c = 0; c < ds->n_cameras && st == FW_OK; c++) {
            st = fw_dataset_read_images(ds, e, c, 0, ep.length, MK_H, MK_W, rgb, err);
        }
        fw_episode_clear(&ep);
    }
    free(rgb);
    fw_dataset_close(ds);
    return st;
}

static void truncated_and_foreign_parquet(void) {
    static const double share[] = {0.0, 0.1, 0.5, 0.97};
    for (int i = 0; i < 4; i++) {
        const char *dir = good();
        truncate_to(dir, DATA_FILE, share[i]);
        FAILS(read_all(dir, err), FW_FORMAT, DATA_FILE);
        check_finds(dir, "damaged_file", 0, -2);
        OK(fw_remove_tree(dir, err));
        dir = good();
        truncate_to(dir, EPS_FILE, share[i]);
        FAILS(read_all(dir, err), FW_FORMAT, EPS_FILE);
        check_finds(dir, "metadata", -2, -2);
        OK(fw_remove_tree(dir, err));
    }
    const char *dir = good();
    OK(fw_file_write_atomic(file_in(dir, TASKS_FILE), "PK\3\4 not parquet", 15, err));
    FAILS(read_all(dir, err), FW_FORMAT, TASKS_FILE);
    OK(fw_remove_tree(dir, err));
}

/* Flip bytes all over a data file: an error or other values, never a crash. */
static void damaged_bytes_never_crash(void) {
    const char *dir = good();
    char *data;
    size_t n;
    OK(fw_file_read(file_in(dir, DATA_FILE), 1 << 24, &data, &n, err));
    int refused = 0;
    for (size_t at = 4; at < n; at += 97) {
        char was = data[at];
        fw_pq_reader *r;
        fw_table t;
        data[at] = (char)(was ^ 0x5a);
        if (fw_pq_open_mem(data, n, "flipped", &r, NULL) != FW_OK) {
            refused++;
        } else {
            fw_status st = fw_table_read_from(r, "flipped", NULL, 0, 0, -1, &t, NULL);
            refused += st != FW_OK;
            fw_table_clear(&t);
            fw_pq_close(r);
        }
        data[at] = was;
    }
    CHECK(refused > 5);
    free(data);
    OK(fw_remove_tree(dir, err));
}

static void put_nan_in_action(fw_table *t) {
    column(t, "action")->f32[(mk_length(0) + 4) * MK_NA + 2] = NAN;
}
static void put_inf_in_state(fw_table *t) {
    column(t, "observation.state")->f32[3 * MK_NS + 5] = INFINITY;
}
static void nan_and_infinity(void) {
    const char *dir = good();
    rewrite(dir, DATA_FILE, put_nan_in_action);
    FAILS(read_all(dir, err), FW_FORMAT, "ep 1: frame 4: action[2] ee_delta_z is nan");
    check_finds(dir, "not_finite", 1, 4);
    OK(fw_remove_tree(dir, err));
    dir = good();
    rewrite(dir, DATA_FILE, put_inf_in_state);
    FAILS(read_all(dir, err), FW_FORMAT, "ep 0: frame 3: observation.state[5] gripper_command is inf");
    check_finds(dir, "not_finite", 0, 3);
    OK(fw_remove_tree(dir, err));
}

static void narrow_action(fw_table *t) {
    fw_column *c = column(t, "action");
    c->width = MK_NA - 1;
    c->n = t->rows * c->width;
}
static void rename_action(fw_table *t) {
    strcpy(column(t, "action")->name, "acXion");
}
static void wrong_dimensions(void) {
    const char *dir = good();
    rewrite(dir, DATA_FILE, narrow_action);
    FAILS(read_all(dir, err), FW_SHAPE, "action has 4 values a row, info.json wants 5");
    check_finds(dir, "shape", -2, -2);
    OK(fw_remove_tree(dir, err));
    dir = good();
    rewrite(dir, DATA_FILE, rename_action);
    FAILS(read_all(dir, err), FW_FORMAT, "no column 'action'");
    check_finds(dir, "missing_column", -2, -2);
    OK(fw_remove_tree(dir, err));
}

static void wrong_indices_and_rows(void) {
    const struct {
        void (*change)(fw_table *);
        const char *kind, *text; /* text NULL: it still reads */
        int64_t ep, frame;
    } bad[] = {
        {shift_episode_index, "episode_index", "wanted ep 1 frame 2, found ep 7 frame 2", 1, 2},
        {jump_frame_index, "frame_index", "wanted ep 0 frame 5, found ep 0 frame 6", 0, 5},
        {shift_index, "index", NULL, 0, 4},
        {wild_task, "task_index", "ep 0: frame 1: task_index is 55, there are 2 tasks", 0, 1},
        {late_timestamp, "timestamp", NULL, 0, mk_length(0) - 1},
        {backward_timestamp, "timestamp_order", NULL, 0, 4},
        {fewer_rows, "length", "ep 2: wanted rows", 2, -1},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        const char *dir = good();
        rewrite(dir, DATA_FILE, bad[i].change);
        if (bad[i].text != NULL) {
            FAILS(read_all(dir, err), FW_FORMAT, bad[i].text);
        } else {
            OK(read_all(dir, err));
        }
        check_finds(dir, bad[i].kind, bad[i].ep, bad[i].frame);
        OK(fw_remove_tree(dir, err));
    }
}

static void short_missing_and_broken_videos(void) {
    const char *dir = good();
    char text[64];
    shorten_video(dir);
    snprintf(text, sizeof(text), "ep 2: frame %d: the video ends", (int)mk_length(2) - 3);
    FAILS(read_all(dir, err), FW_FORMAT, text);
    FAILS(read_all(dir, err), FW_FORMAT, VIDEO_FILE);
    check_finds(dir, "video_short", 2, mk_length(2) - 3);
    OK(fw_remove_tree(dir, err));

    dir = good();
    CHECK(unlink(file_in(dir, VIDEO_FILE)) == 0);
    FAILS(read_all(dir, err), FW_IO, VIDEO_FILE);
    check_finds(dir, "missing_file", 0, -1);
    OK(fw_remove_tree(dir, err));

    dir = good();
    truncate_to(dir, VIDEO_FILE, 0.6);
    FAILS(read_all(dir, err), FW_FORMAT, VIDEO_FILE);
    check_finds(dir, "damaged_file", 0, -2);
    OK(fw_remove_tree(dir, err));
}

static void contradictory_or_hostile_info(void) {
    const struct {
        const char *outer, *key;
        json_t *value;
        fw_status want;
        const char *text;
        const char *kind; /* NULL: "metadata" */
    } bad[] = {
        {NULL, "total_episodes", json_integer(4), FW_FORMAT, "3 episodes, info.json counts 4", NULL},
        {NULL, "total_episodes", json_integer(-1), FW_FORMAT, "total_episodes", NULL},
        {NULL, "total_frames", json_integer(1), FW_FORMAT, "total_frames is 1", "totals"},
        {NULL, "codebase_version", json_string("v4.0"), FW_UNSUPPORTED, "codebase_version 'v4.0', wanted v3.0 or v2.1",
         NULL},
        {NULL, "fps", json_integer(0), FW_FORMAT, "fps is 0", NULL},
        {NULL, "features", NULL, FW_FORMAT, "features", NULL},
        {NULL, "data_path", json_string("../../etc/{chunk_index}{file_index}"), FW_FORMAT, "leaves the dataset", NULL},
        {NULL, "data_path", json_string("data/{what}"), FW_FORMAT, "cannot be read", NULL},
        {"features", "action", json_pack("{s:s,s:[i]}", "dtype", "float32", "shape", 1 << 30), FW_FORMAT, "'action'",
         NULL},
        {"features", "observation.images.top", json_pack("{s:s,s:[i,i,i]}", "dtype", "video", "shape", 48, 64, 3),
         FW_FORMAT, "videos/observation.images.top/", NULL},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        const char *dir = good();
        set_info(dir, bad[i].outer, bad[i].key, bad[i].value);
        FAILS(read_all(dir, err), bad[i].want, bad[i].text);
        FAILS(read_all(dir, err), bad[i].want, dir);
        check_finds(dir, bad[i].kind != NULL ? bad[i].kind : "metadata", -2, -2);
        OK(fw_remove_tree(dir, err));
    }
    FAILS(read_all("/nonexistent/x", err), FW_IO, "no such folder");
}

/* The verb: exit 1 and the finding in its one JSON object; exit 0 and none when all is well; 1 and one line when it is no dataset. */
static void the_verb_says_so(void) {
    const char *dir = good();
    char cmd[1300], out[600];
    json_t *j;
    snprintf(out, sizeof(out), "%s.json", dir);
    for (int bad = 0; bad < 2; bad++) {
        if (bad) {
            rewrite(dir, DATA_FILE, put_nan_in_action);
        }
        snprintf(cmd, sizeof(cmd), FW_BIN " data check %s --json > %s", dir, out);
        CHECK_INT(WEXITSTATUS(system(cmd)), bad);
        OK(fw_json_load(out, &j, err));
        const json_t *f = json_object_get(j, "findings"), *first = json_array_get(f, 0);
        CHECK_INT(json_integer_value(json_object_get(j, "episodes")), 3);
        if (bad) { /* the value, and the statistics cannot be trusted with it */
            CHECK(strcmp(json_string_value(json_object_get(first, "kind")), "not_finite") == 0);
            CHECK(strcmp(json_string_value(json_object_get(first, "file")), DATA_FILE) == 0);
            CHECK_INT(json_integer_value(json_object_get(first, "episode")), 1);
            CHECK_INT(json_integer_value(json_object_get(first, "frame")), 4);
            CHECK(json_is_false(json_object_get(first, "repairable")));
        } else {
            CHECK_INT(json_array_size(f), 0);
        }
        json_decref(j);
    }
    snprintf(cmd, sizeof(cmd), FW_BIN " data info %s/nothing > %s 2>&1", dir, out);
    CHECK_INT(WEXITSTATUS(system(cmd)), 1);
    snprintf(cmd, sizeof(cmd), FW_BIN " data info %s --stats > %s 2>&1", dir, out);
    CHECK_INT(WEXITSTATUS(system(cmd)), 1); /* statistics of a NaN */
    snprintf(cmd, sizeof(cmd), FW_BIN " data check > %s 2>&1", out);
    CHECK_INT(WEXITSTATUS(system(cmd)), 2);
    OK(fw_remove_tree(out, err));
    OK(fw_remove_tree(dir, err));
}

static void the_master_is_removed(void) {
    OK(fw_remove_tree(mk_dir("master"), err));
}
static void wrong_statistics_are_found(void) {
    const char *dir = good();
    spoil_stats(dir);
    check_finds(dir, "stats", -1, -1);
    OK(fw_remove_tree(dir, err));
}

FW_TEST_MAIN(T(truncated_and_foreign_parquet), T(damaged_bytes_never_crash), T(nan_and_infinity), T(wrong_dimensions),
             T(wrong_indices_and_rows), T(short_missing_and_broken_videos), T(contradictory_or_hostile_info),
             T(wrong_statistics_are_found), T(the_verb_says_so), T(the_master_is_removed))
