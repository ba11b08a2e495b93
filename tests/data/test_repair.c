/* ctest: timeout=300 */
/* Repair: every repairable fault is put right and nothing else changes; twice is once; a kill at any write is finished by the next run. */
#include <sys/stat.h>

#include "base/hash.h"
#include "data/copy.h"
#include "data/repair.h"
#include "killer.h"
#include "record.h"
#include "spoil.h"

static void count_too_much(const char *dir) {
    set_info(dir, NULL, "total_frames", json_integer(7));
}
static void count_other_tasks(const char *dir) {
    set_info(dir, NULL, "total_tasks", json_integer(99));
}
static void say_another_size(const char *dir) {
    json_t *j;
    OK(fw_json_load(file_in(dir, "meta/info.json"), &j, err));
    json_t *shape =
        json_object_get(json_object_get(json_object_get(j, "features"), "observation.images.wrist"), "shape");
    json_array_set_new(shape, 0, json_integer(MK_H + 2));
    OK(fw_json_save(file_in(dir, "meta/info.json"), j, 4, err));
    json_decref(j);
}
static void lose_stats(const char *dir) {
    CHECK(unlink(file_in(dir, "meta/stats.json")) == 0);
}
static void break_stats(const char *dir) {
    OK(fw_file_write_atomic(file_in(dir, "meta/stats.json"), "{\"action\": [", 12, err));
}
static void number_episodes_anew(fw_table *t) {
    for (int64_t i = 0; i < t->rows; i++) {
        column(t, "episode_index")->i64[i] += 100;
        column(t, "index")->i64[i] += 1000;
    }
}
static void nan_timestamp(fw_table *t) {
    column(t, "timestamp")->f32[3] = NAN;
}
static void repeat_timestamp(fw_table *t) {
    column(t, "timestamp")->f32[3] = column(t, "timestamp")->f32[2];
}
static void spoil_episode_stats(fw_table *t) {
    column(t, "stats/action/mean")->f64[1] = 9.0;
    column(t, "stats/observation.state/count")->i64[2] = 1;
}
static void shift_places(fw_table *t) {
    for (int64_t i = 0; i < t->rows; i++) {
        column(t, "dataset_from_index")->i64[i] += 5;
        column(t, "dataset_to_index")->i64[i] += 5;
    }
}

static const struct fault {
    const char *kind;
    void (*folder)(const char *dir);
    const char *file;
    void (*table)(fw_table *t);
} faults[] = {
    {"frame_index", NULL, DATA_FILE, jump_frame_index},
    {"episode_index", NULL, DATA_FILE, shift_episode_index},
    {"episode_index", NULL, DATA_FILE, number_episodes_anew},
    {"index", NULL, DATA_FILE, shift_index},
    {"timestamp", NULL, DATA_FILE, late_timestamp},
    {"timestamp_order", NULL, DATA_FILE, backward_timestamp},
    {"timestamp_order", NULL, DATA_FILE, nan_timestamp},
    {"timestamp_order", NULL, DATA_FILE, repeat_timestamp},
    {"totals", count_too_much, NULL, NULL},
    {"totals", count_other_tasks, NULL, NULL},
    {"video_size", say_another_size, NULL, NULL},
    {"video_long", lengthen_video, NULL, NULL},
    {"stats", spoil_stats, NULL, NULL},
    {"stats", lose_stats, NULL, NULL},
    {"stats", break_stats, NULL, NULL},
    {"episode_stats", NULL, EPS_FILE, spoil_episode_stats},
    {"episode_rows", NULL, EPS_FILE, shift_places},
};
enum { FAULTS = sizeof(faults) / sizeof(*faults) };

static void plant(const char *dir, const struct fault *f) {
    if (f->folder != NULL) {
        f->folder(dir);
    } else {
        rewrite(dir, f->file, f->table);
    }
}

/* One number for the contents of a folder, times of change included. */
static void fingerprint(const char *dir, char out[65]) {
    char cmd[1400];
    snprintf(cmd, sizeof(cmd), "find '%s' -type f -printf '%%p %%T@ ' -exec sha256sum {} \\; | sort | sha256sum", dir);
    FILE *p = popen(cmd, "r");
    CHECK(p != NULL && fread(out, 1, 64, p) == 64);
    out[64] = 0;
    pclose(p);
}

static void is_whole(const char *dir, int64_t n) {
    fw_findings f;
    fw_dataset *ds;
    OK(fw_dataset_check(dir, NULL, &f, err));
    if (f.n > 0)
        FW_FAILED("left: %s %s ep %d: %s", f.item[0].kind, f.item[0].file, (int)f.item[0].episode, f.item[0].text);
    fw_findings_clear(&f);
    OK(fw_dataset_open(dir, &ds, err));
    CHECK_INT(ds->n_episodes, n);
    for (int64_t e = 0; e < n; e++) {
        mk_check_episode(ds, e, e, 4.0);
    }
    fw_dataset_close(ds);
}

static void every_repairable_fault_is_put_right_once(void) {
    for (int i = 0; i < FAULTS; i++) {
        char broken[65], before[65], after[65];
        fw_repair_result r;
        const char *dir = good();
        plant(dir, &faults[i]);
        check_finds(dir, faults[i].kind, -2, -2);
        fingerprint(dir, broken);
        OK(fw_dataset_repair(dir, &(fw_repair_opts){.dry_run = true}, &r, err));
        CHECK(r.found.n > 0 && r.left.n == r.found.n && r.repaired == 0);
        fw_repair_result_clear(&r);
        fingerprint(dir, after);
        CHECK(strcmp(broken, after) == 0);
        OK(fw_dataset_repair(dir, &(fw_repair_opts){0}, &r, err));
        CHECK(r.found.n > 0 && r.left.n == 0 && r.repaired == r.found.n);
        fw_repair_result_clear(&r);
        is_whole(dir, 3);
        fingerprint(dir, before);
        OK(fw_dataset_repair(dir, &(fw_repair_opts){0}, &r, err));
        CHECK(r.found.n == 0);
        fw_repair_result_clear(&r);
        fingerprint(dir, after);
        CHECK(strcmp(before, after) == 0); /* nothing was written */
        OK(fw_remove_tree(dir, err));
    }
}

static void v21_is_repaired_too(void) {
    static const char *const data = "data/chunk-000/episode_000000.parquet";
    char dir[600], stats[700];
    fw_copy_source from = {.dir = good()};
    fw_repair_result r;
    snprintf(dir, sizeof(dir), "%s", mk_dir("v21"));
    OK(fw_dataset_copy(&from, 1, dir, &(fw_copy_opts){.version = 21}, NULL, err));
    rewrite(dir, data, backward_timestamp);
    rewrite(dir, data, jump_frame_index);
    set_info(dir, NULL, "total_chunks", json_integer(3));
    set_info(dir, NULL, "total_videos", json_integer(3));
    snprintf(stats, sizeof(stats), "sed -i 's/\"count\": \\[9\\]/\"count\": [8]/' '%s/meta/episodes_stats.jsonl'", dir);
    CHECK_INT(system(stats), 0);
    check_finds(dir, "timestamp_order", 0, 4);
    check_finds(dir, "frame_index", 0, 5);
    check_finds(dir, "totals", -1, -1);
    check_finds(dir, "episode_stats", 0, -1);
    OK(fw_dataset_repair(dir, &(fw_repair_opts){0}, &r, err));
    CHECK(r.found.n > 4 && r.left.n == 0);
    fw_repair_result_clear(&r);
    is_whole(dir, 3);
    OK(fw_remove_tree(dir, err));
    OK(fw_remove_tree(from.dir, err));
}

/* What cannot be repaired is named and stays byte for byte, while what can be is put right around it. */
static void nan_in_action(fw_table *t) {
    column(t, "action")->f32[(mk_length(0) + 4) * MK_NA + 2] = NAN;
}
static void move_a_row(fw_table *t) { /* the first row of ep 1 says that it is the last of ep 0 */
    column(t, "episode_index")->i64[mk_length(0)] = 0;
    column(t, "frame_index")->i64[mk_length(0)] = mk_length(0);
}
static void what_would_be_invented_is_left_alone(void) {
    fw_repair_result r;
    const char *dir = good();
    rewrite(dir, DATA_FILE, nan_in_action);
    rewrite(dir, DATA_FILE, move_a_row);
    rewrite(dir, DATA_FILE, jump_frame_index);
    OK(fw_dataset_repair(dir, &(fw_repair_opts){0}, &r, err));
    check_finds(dir, "length", 1, 0);
    for (int64_t i = 0; i < r.left.n; i++) {
        CHECK(!r.left.item[i].repairable);
    }
    CHECK(r.repaired > 0);
    fw_repair_result_clear(&r);
    fw_table t;
    OK(fw_table_read(file_in(dir, DATA_FILE), NULL, 0, &t, err));
    CHECK(isnan(column(&t, "action")->f32[(mk_length(0) + 4) * MK_NA + 2]));
    CHECK_INT(column(&t, "episode_index")->i64[mk_length(0)], 0);
    CHECK_INT(column(&t, "frame_index")->i64[5], 5);
    fw_table_clear(&t);
    OK(fw_remove_tree(dir, err));
}

static void recordings_that_wait_are_sealed(void) {
    const char *dir = mk_dir("waiting");
    fw_recorder_desc d = rc_desc();
    fw_repair_result r;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) { /* seals nothing by itself: 100 episodes a seal */
        fw_recorder *rec;
        d.writer.seal_every = 100;
        OK(fw_recorder_open(dir, &d, &rec, err));
        for (int64_t e = 0; e < 3; e++) {
            rc_episode(rec, e);
        }
        OK(fw_recorder_sync(rec, 10000, err));
        kill(getpid(), SIGKILL);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
    OK(fw_dataset_repair(dir, &(fw_repair_opts){0}, &r, err));
    CHECK_INT(r.recovered.episodes, 3);
    fw_repair_result_clear(&r);
    is_whole(dir, 3);
    OK(fw_remove_tree(dir, err));
}

static int repair_quietly(const char *dir) {
    fw_repair_result r;
    fw_err e;
    fw_status st = fw_dataset_repair(dir, &(fw_repair_opts){0}, &r, &e);
    fw_repair_result_clear(&r);
    if (st != FW_OK) {
        fprintf(stderr, "%s\n", e.msg);
    }
    return st != FW_OK;
}

/* All faults that go together, a kill before or behind each change of the disk: the dataset opens, and the next run finishes. */
static void a_kill_at_any_write_is_finished_by_the_next_run(void) {
    static const int together[] = {0, 1, 3, 4, 8, 10, 11, 12, 15, 16};
    char broken[600], cmd[1400];
    snprintf(broken, sizeof(broken), "%s", mk_dir("broken"));
    const char *dir = good();
    for (size_t i = 0; i < sizeof(together) / sizeof(*together); i++) {
        plant(dir, &faults[together[i]]);
    }
    CHECK(rename(dir, broken) == 0);
    int n = 0;
    for (bool died = true; died; n++) {
        char at[600];
        snprintf(at, sizeof(at), "%s", mk_dir("killed"));
        snprintf(cmd, sizeof(cmd), "cp -r '%s' '%s'", broken, at);
        CHECK_INT(system(cmd), 0);
        died = killed_at(n / 2, n % 2 == 1, repair_quietly, at);
        fw_findings f;
        OK(fw_dataset_check(at, NULL, &f, err)); /* it can be looked at, and nothing is beyond repair */
        for (int64_t i = 0; i < f.n; i++) {
            if (!f.item[i].repairable)
                FW_FAILED("change %d: %s %s: %s", n, f.item[i].kind, f.item[i].file, f.item[i].text);
        }
        fw_findings_clear(&f);
        CHECK_INT(repair_quietly(at), 0);
        is_whole(at, 3);
        OK(fw_remove_tree(at, err));
    }
    printf("%d kills\n", n - 1);
    CHECK(n > 30);
    OK(fw_remove_tree(broken, err));
}

/* What cannot be repaired goes when that is asked for, and nothing else. */
static void dropping_removes_just_those_episodes(void) {
    fw_repair_result r;
    fw_dataset *ds;
    const char *dir = good();
    rewrite(dir, DATA_FILE, nan_in_action);
    OK(fw_file_write_atomic(file_in(dir, "README.md"), "ours", 4, err));
    OK(fw_dataset_repair(dir, &(fw_repair_opts){.drop = true}, &r, err));
    CHECK(r.n_dropped == 1 && r.dropped[0] == 1 && r.left.n == 0);
    fw_repair_result_clear(&r);
    OK(fw_dataset_open(dir, &ds, err));
    CHECK_INT(ds->n_episodes, 2);
    mk_check_episode(ds, 0, 0, 4.0);
    mk_check_episode(ds, 1, 2, 4.0);
    fw_dataset_close(ds);
    CHECK(fw_path_exists(file_in(dir, "README.md")));
    OK(fw_remove_tree(dir, err));
    dir = good();
    shorten_video(dir);
    OK(fw_dataset_repair(dir, &(fw_repair_opts){.drop = true}, &r, err));
    CHECK(r.n_dropped == 1 && r.dropped[0] == 2 && r.left.n == 0);
    fw_repair_result_clear(&r);
    is_whole(dir, 2);
    CHECK(truncate(file_in(dir, DATA_FILE), 100) == 0);
    FAILS(fw_dataset_repair(dir, &(fw_repair_opts){.drop = true}, &r, err), FW_INVALID, "no episode would be left");
    OK(fw_remove_tree(dir, err));
}

static void the_verb_repairs(void) {
    char cmd[1400], out[700];
    json_t *j;
    const char *dir = good();
    plant(dir, &faults[0]);
    snprintf(out, sizeof(out), "%s.json", dir);
    for (int run = 0; run < 3; run++) { /* dry, real, again */
        snprintf(cmd, sizeof(cmd), FW_BIN " data repair %s --json %s > %s 2>/dev/null", dir,
                 run == 0 ? "--dry-run" : "", out);
        CHECK_INT(WEXITSTATUS(system(cmd)), run == 0);
        OK(fw_json_load(out, &j, err));
        CHECK(json_is_true(json_object_get(j, "dry_run")) == (run == 0));
        CHECK((json_integer_value(json_object_get(j, "repaired")) > 0) == (run == 1));
        CHECK((json_array_size(json_object_get(j, "findings")) > 0) == (run == 0));
        CHECK_INT(json_integer_value(json_object_get(j, "episodes")), 3);
        json_decref(j);
    }
    snprintf(cmd, sizeof(cmd), FW_BIN " data repair /nonexistent > /dev/null 2>&1");
    CHECK_INT(WEXITSTATUS(system(cmd)), 1);
    OK(fw_remove_tree(out, err));
    OK(fw_remove_tree(dir, err));
}

static void the_master_is_removed(void) {
    OK(fw_remove_tree(mk_dir("master"), err));
}

FW_TEST_MAIN(T(every_repairable_fault_is_put_right_once), T(v21_is_repaired_too),
             T(what_would_be_invented_is_left_alone), T(recordings_that_wait_are_sealed),
             T(dropping_removes_just_those_episodes), T(a_kill_at_any_write_is_finished_by_the_next_run),
             T(the_verb_repairs), T(the_master_is_removed))
