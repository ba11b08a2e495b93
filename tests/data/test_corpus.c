/* ctest: timeout=300 */
/*
 * A corpus of broken datasets: good ones, v3.0 and v2.1, broken in one way each. `check` has the finding by its name; opening, statistics,
 * training's loader and copying (info, stats, train, convert) do it or fail with one line that names the dataset or its file. Each in a process of its
 * own, with a minute and a gigabyte: nothing hangs, crashes, or believes a number that a file only claims.
 */
#include <sys/resource.h>
#include <sys/wait.h>

#include "data/copy.h"
#include "data/deleted.h"
#include "data/loader.h"
#include "data/stats.h"
#include "spoil.h"

#define EPS_21    "meta/episodes.jsonl"
#define TASKS_21  "meta/tasks.jsonl"
#define STATS_21  "meta/episodes_stats.jsonl"
#define DATA_21   "data/chunk-000/episode_000001.parquet"
#define VIDEO_21  "videos/chunk-000/observation.images.wrist/episode_000001.mp4"
#define INFO_FILE "meta/info.json"

/* --- ways to break a folder; `with` is the fault's own text --- */

static void remove_file(const char *dir, const char *with) {
    OK(fw_remove_tree(file_in(dir, with), err));
}
static void truncate_half(const char *dir, const char *with) {
    truncate_to(dir, with, 0.5);
}
static void truncate_all(const char *dir, const char *with) {
    truncate_to(dir, with, 0.0);
}
static void truncate_end(const char *dir, const char *with) {
    truncate_to(dir, with, 0.97);
}
static void replace_by_text(const char *dir, const char *with) {
    OK(fw_file_write_atomic(file_in(dir, with), "It was a dark and stormy night.\n", 32, err));
}
static void add_line(const char *dir, const char *with) {
    FILE *f = fopen(file_in(dir, with), "a");
    CHECK(f != NULL && fputs("{\"episode_index\": 1, \"length\": \n", f) >= 0 && fclose(f) == 0);
}
static void first_line_only(const char *dir, const char *with) {
    char *text;
    size_t n;
    OK(fw_file_read(file_in(dir, with), 1 << 24, &text, &n, err));
    OK(fw_file_write_atomic(file_in(dir, with), text, strcspn(text, "\n") + 1, err));
    free(text);
}
/* with: "key=json" of info.json; "outer/key=json" */
static void set_in_info(const char *dir, const char *with) {
    char text[8200], *value, *key = text, *outer = NULL;
    snprintf(text, sizeof(text), "%s", with);
    value = strchr(text, '=');
    CHECK(value != NULL);
    *value++ = 0;
    char *slash = strchr(text, '/');
    if (slash != NULL) {
        *slash = 0;
        outer = text;
        key = slash + 1;
    }
    json_t *j = json_loads(value, JSON_DECODE_ANY, NULL);
    CHECK(j != NULL);
    set_info(dir, outer, key, j);
}
static void nest_info(const char *dir, const char *with) {
    size_t n = 200000;
    char *text = malloc(n);
    (void)with;
    CHECK(text != NULL);
    memset(text, '[', n);
    OK(fw_file_write_atomic(file_in(dir, INFO_FILE), text, n, err));
    free(text);
}
static void long_path(const char *dir, const char *with) {
    char text[6000];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = 0;
    set_info(dir, NULL, with, json_string(text));
}
static void widen_video_feature(const char *dir, const char *with) {
    (void)with;
    json_t *j;
    OK(fw_json_load(file_in(dir, INFO_FILE), &j, err));
    json_t *shape =
        json_object_get(json_object_get(json_object_get(j, "features"), "observation.images.wrist"), "shape");
    json_array_set_new(shape, 0, json_integer(MK_H * 4));
    json_array_set_new(shape, 1, json_integer(MK_W * 2));
    OK(fw_json_save(file_in(dir, INFO_FILE), j, 4, err));
    json_decref(j);
}
static void longer_video(const char *dir, const char *with) {
    (void)with;
    lengthen_video(dir);
}
static void shorter_video(const char *dir, const char *with) {
    (void)with;
    shorten_video(dir);
}
/* The front camera's video where the wrist's should be, at another rate. */
static void other_rate(const char *dir, const char *with) {
    static uint8_t rgb[MK_IMAGE];
    fw_video_writer *w;
    OK(fw_video_writer_open(file_in(dir, with), MK_H, MK_W, 25.0, NULL, &w, err));
    for (int t = 0; t < 60; t++) {
        OK(fw_video_writer_add(w, rgb, true, err));
    }
    OK(fw_video_writer_close(w, err));
}
static void other_size(const char *dir, const char *with) {
    static uint8_t rgb[MK_IMAGE];
    fw_video_writer *w;
    int64_t n = mk_length(0) + mk_length(1) + mk_length(2);
    OK(fw_video_writer_open(file_in(dir, with), MK_H / 2, MK_W / 2, 10.0, NULL, &w, err));
    for (int64_t t = 0; t < n; t++) {
        OK(fw_video_writer_add(w, rgb, true, err));
    }
    OK(fw_video_writer_close(w, err));
}

/* --- ways to break a table --- */

static void nan_action(fw_table *t) {
    column(t, "action")->f32[7] = NAN;
}
static void inf_state(fw_table *t) {
    column(t, "observation.state")->f32[7] = -INFINITY;
}
static void nan_time(fw_table *t) {
    column(t, "timestamp")->f32[3] = NAN;
}
static void same_time(fw_table *t) {
    column(t, "timestamp")->f32[3] = column(t, "timestamp")->f32[2];
}
static void slow_clock(fw_table *t) {
    for (int64_t i = 0; i < mk_length(1); i++) {
        column(t, "timestamp")->f32[i] *= 2.0f;
    }
}
static void retype(fw_table *t, const char *name, fw_coltype type) {
    fw_column *c = column(t, name), old = *c;
    c->type = type;
    c->data = calloc((size_t)c->n + 1, sizeof(double));
    CHECK(c->data != NULL);
    for (int64_t i = 0; i < c->n; i++) {
        double v = fw_column_f64(&old, i);
        if (type == FW_COL_F64) {
            c->f64[i] = v;
        } else if (type == FW_COL_F32) {
            c->f32[i] = (float)v;
        } else if (type == FW_COL_STR) {
            c->str[i] = strdup("1");
        } else {
            c->i32[i] = (int32_t)v;
        }
    }
    free(old.data);
}
static void double_action(fw_table *t) {
    retype(t, "action", FW_COL_F64);
}
static void text_action(fw_table *t) {
    retype(t, "action", FW_COL_STR);
}
static void text_index(fw_table *t) {
    retype(t, "frame_index", FW_COL_STR);
}
static void narrow_index(fw_table *t) {
    retype(t, "index", FW_COL_I32);
}
static void half_action(fw_table *t) {
    fw_column *c = column(t, "action");
    c->width = MK_NA - 2;
    c->n = t->rows * c->width;
}
/* One row has a million values. */
static void ragged_action(fw_table *t) {
    enum { MANY = 1000000 };
    fw_column *c = column(t, "action");
    float *v = calloc((size_t)c->n + MANY, sizeof(float));
    c->row_at = calloc((size_t)t->rows + 1, sizeof(int64_t));
    CHECK(v != NULL && c->row_at != NULL);
    memcpy(v, c->f32, (size_t)c->n * sizeof(float));
    free(c->f32);
    c->f32 = v;
    for (int64_t r = 1; r <= t->rows; r++) {
        c->row_at[r] = c->row_at[r - 1] + (r == t->rows ? MANY : MK_NA);
    }
    c->n = c->row_at[t->rows];
    c->width = -1;
}
static void without_state(fw_table *t) {
    strcpy(column(t, "observation.state")->name, "observation.stat_");
}
static void a_row_less(fw_table *t) {
    fewer_rows(t);
}
static void huge_length(fw_table *t) {
    column(t, "length")->i64[2] = 2000000000;
    column(t, "dataset_to_index")->i64[2] = column(t, "dataset_from_index")->i64[2] + 2000000000;
}
static void negative_length(fw_table *t) {
    column(t, "length")->i64[1] = -4;
}
static void far_rows(fw_table *t) {
    column(t, "dataset_from_index")->i64[2] = INT64_MAX - 3;
    column(t, "dataset_to_index")->i64[2] = INT64_MIN + 5;
}
static void wild_file(fw_table *t) {
    column(t, "data/file_index")->i64[2] = INT64_MAX;
}
static void same_rows(fw_table *t) { /* episode 2 claims the rows of episode 1 */
    column(t, "dataset_from_index")->i64[2] = column(t, "dataset_from_index")->i64[1];
    column(t, "dataset_to_index")->i64[2] = column(t, "dataset_from_index")->i64[1] + column(t, "length")->i64[2];
}
static void same_frames(fw_table *t) {
    fw_column *from = column(t, "videos/observation.images.wrist/from_timestamp");
    fw_column *to = column(t, "videos/observation.images.wrist/to_timestamp");
    to->f64[2] -= from->f64[2];
    from->f64[2] = 0.0;
}
static void nan_frames(fw_table *t) {
    column(t, "videos/observation.images.wrist/from_timestamp")->f64[1] = NAN;
}
static void far_frames(fw_table *t) {
    column(t, "videos/observation.images.wrist/from_timestamp")->f64[2] = 1e15;
    column(t, "videos/observation.images.wrist/to_timestamp")->f64[2] = 1e15 + 1.0;
}
static void other_sentence(fw_table *t) {
    fw_column *c = column(t, "tasks");
    free(c->str[1]);
    c->str[1] = strdup("dance");
}
static void wild_task_index(fw_table *t) {
    column(t, "task_index")->i64[1] = INT64_MAX;
}
static void twice_a_task(fw_table *t) {
    column(t, "task_index")->i64[1] = 0;
}
static void wrong_mean(fw_table *t) {
    column(t, "stats/action/mean")->f64[3] += 1.0;
}

/* --- the corpus --- */

typedef struct fault {
    const char *kind; /* the finding */
    bool repairable;
    int version;
    const char *file;                                  /* of the table, or what `folder` is given */
    void (*folder)(const char *dir, const char *with); /* one of these two */
    void (*table)(fw_table *t);
    bool reads; /* opens, and every row and frame can be used: only check knows */
} fault;

static const fault faults[] = {
    /* files that are cut off, gone, or something else */
    {"damaged_file", false, 30, DATA_FILE, truncate_half, NULL, false},
    {"damaged_file", false, 30, DATA_FILE, truncate_all, NULL, false},
    {"damaged_file", false, 30, DATA_FILE, replace_by_text, NULL, false},
    {"damaged_file", false, 30, VIDEO_FILE, truncate_half, NULL, false},
    {"damaged_file", false, 30, VIDEO_FILE, truncate_all, NULL, false},
    {"damaged_file", false, 30, VIDEO_FILE, replace_by_text, NULL, false},
    {"metadata", false, 30, EPS_FILE, truncate_end, NULL, false},
    {"metadata", false, 30, TASKS_FILE, truncate_half, NULL, false},
    {"metadata", false, 30, INFO_FILE, truncate_half, NULL, false},
    {"metadata", false, 30, INFO_FILE, truncate_all, NULL, false},
    {"missing_file", false, 30, DATA_FILE, remove_file, NULL, false},
    {"missing_file", false, 30, VIDEO_FILE, remove_file, NULL, false},
    {"metadata", false, 30, EPS_FILE, remove_file, NULL, false},
    {"metadata", false, 30, "meta/episodes", remove_file, NULL, false},
    {"metadata", false, 30, TASKS_FILE, remove_file, NULL, false},
    {"metadata", false, 30, INFO_FILE, remove_file, NULL, false},
    {"stats", true, 30, "meta/stats.json", remove_file, NULL, true},
    {"stats", true, 30, "meta/stats.json", truncate_half, NULL, true},
    {"metadata", false, 30, FW_DELETED_FILE, replace_by_text, NULL, false},
    {"damaged_file", false, 21, DATA_21, truncate_half, NULL, false},
    {"damaged_file", false, 21, VIDEO_21, truncate_half, NULL, false},
    {"missing_file", false, 21, DATA_21, remove_file, NULL, false},
    {"missing_file", false, 21, VIDEO_21, remove_file, NULL, false},
    {"metadata", false, 21, EPS_21, remove_file, NULL, false},
    {"metadata", false, 21, EPS_21, first_line_only, NULL, false},
    {"metadata", false, 21, EPS_21, truncate_half, NULL, false},
    {"metadata", false, 21, TASKS_21, first_line_only, NULL, false},
    {"metadata", false, 21, STATS_21, add_line, NULL, false},
    /* counts, and numbers that are only claimed */
    {"totals", true, 30, "total_frames=4000000000000000000", set_in_info, NULL, false},
    {"totals", true, 30, "total_tasks=77", set_in_info, NULL, true},
    {"metadata", false, 30, "total_episodes=2", set_in_info, NULL, false},
    {"metadata", false, 30, "total_episodes=4", set_in_info, NULL, false},
    {"metadata", false, 30, "total_episodes=10000000", set_in_info, NULL, false},
    {"metadata", false, 30, "total_episodes=9000000000000000000", set_in_info, NULL, false},
    {"metadata", false, 30, "total_episodes=-1", set_in_info, NULL, false},
    {"metadata", false, 30, "fps=0", set_in_info, NULL, false},
    {"metadata", false, 30, "fps=1e308", set_in_info, NULL, false},
    {"metadata", false, 30, "fps=\"ten\"", set_in_info, NULL, false},
    {"video_fps", false, 30, "fps=0.001", set_in_info, NULL, false},
    {"metadata", false, 30, "features/action={\"dtype\":\"float32\",\"shape\":[65536,65536,65536,65536]}", set_in_info,
     NULL, false},
    {"shape", false, 30, "features/action={\"dtype\":\"float32\",\"shape\":[65536]}", set_in_info, NULL, false},
    {"missing_column", false, 30, "features/effort={\"dtype\":\"float32\",\"shape\":[3]}", set_in_info, NULL, false},
    {"metadata", false, 30, "features/a/b={\"dtype\":\"float32\",\"shape\":[3]}", set_in_info, NULL, false},
    {"metadata", false, 30, "features/..={\"dtype\":\"video\",\"shape\":[48,64,3]}", set_in_info, NULL, false},
    {"video_size", true, 30, NULL, widen_video_feature, NULL, true},
    {"metadata", false, 30, NULL, nest_info, NULL, false},
    {"metadata", false, 30, "data_path=\"../../etc/{chunk_index}{file_index}\"", set_in_info, NULL, false},
    {"metadata", false, 30, "data_path=\"/etc/passwd\"", set_in_info, NULL, false},
    {"missing_file", false, 30, "data_path=\"data/%s%n{file_index:99999999d}\"", set_in_info, NULL, false},
    {"metadata", false, 30, "data_path=\"data/{what}\"", set_in_info, NULL, false},
    {"metadata", false, 30, "data_path=\"data/{chunk_index\"", set_in_info, NULL, false},
    {"metadata", false, 30, "video_path=\"videos/{video_key}/../../../{file_index}\"", set_in_info, NULL, false},
    {"metadata", false, 30, "data_path", long_path, NULL, false},
    {"metadata", false, 30, EPS_FILE, NULL, negative_length, false},
    {"metadata", false, 30, EPS_FILE, NULL, far_rows, false},
    {"metadata", false, 30, EPS_FILE, NULL, nan_frames, false},
    {"totals", true, 30, EPS_FILE, NULL, huge_length, false},
    {"length", false, 30, EPS_FILE, NULL, huge_length, false},
    {"missing_file", false, 30, EPS_FILE, NULL, wild_file, false},
    {"length", false, 30, EPS_FILE, NULL, same_rows, false},
    {"totals", true, 21, "total_videos=1", set_in_info, NULL, true},
    {"totals", true, 21, "total_chunks=9", set_in_info, NULL, true},
    {"metadata", false, 21, "total_episodes=10000000", set_in_info, NULL, false},
    {"metadata", false, 21, "total_tasks=10000000", set_in_info, NULL, false},
    {"metadata", false, 21, "chunks_size=0", set_in_info, NULL, false},
    {"metadata", false, 21, "data_path=\"../{episode_chunk}/{episode_index}\"", set_in_info, NULL, false},
    /* rows */
    {"not_finite", false, 30, DATA_FILE, NULL, nan_action, false},
    {"not_finite", false, 30, DATA_FILE, NULL, inf_state, false},
    {"timestamp_order", true, 30, DATA_FILE, NULL, nan_time, false},
    {"timestamp_order", true, 30, DATA_FILE, NULL, same_time, true},
    {"timestamp", true, 30, DATA_FILE, NULL, slow_clock, true},
    {"frame_index", true, 30, DATA_FILE, NULL, jump_frame_index, false},
    {"episode_index", true, 30, DATA_FILE, NULL, shift_episode_index, false},
    {"index", true, 30, DATA_FILE, NULL, shift_index, true},
    {"task_index", false, 30, DATA_FILE, NULL, wild_task, false},
    {"task_index", false, 30, EPS_FILE, NULL, other_sentence, true},
    {"length", false, 30, DATA_FILE, NULL, a_row_less, false},
    {"dtype", false, 30, DATA_FILE, NULL, double_action, true},
    {"dtype", false, 30, DATA_FILE, NULL, text_action, false},
    {"dtype", false, 30, DATA_FILE, NULL, text_index, false},
    {"dtype", false, 30, DATA_FILE, NULL, narrow_index, true},
    {"shape", false, 30, DATA_FILE, NULL, half_action, false},
    {"shape", false, 30, DATA_FILE, NULL, ragged_action, false},
    {"missing_column", false, 30, DATA_FILE, NULL, without_state, false},
    {"metadata", false, 30, TASKS_FILE, NULL, wild_task_index, false},
    {"metadata", false, 30, TASKS_FILE, NULL, twice_a_task, false},
    {"episode_stats", true, 30, EPS_FILE, NULL, wrong_mean, true},
    {"not_finite", false, 21, DATA_21, NULL, nan_action, false},
    {"timestamp_order", true, 21, DATA_21, NULL, same_time, true},
    {"timestamp", true, 21, DATA_21, NULL, slow_clock, true},
    {"length", false, 21, DATA_21, NULL, a_row_less, false},
    {"dtype", false, 21, DATA_21, NULL, text_action, false},
    /* frames */
    {"video_short", false, 30, NULL, shorter_video, NULL, false},
    {"video_long", true, 30, NULL, longer_video, NULL, true},
    {"video_place", false, 30, EPS_FILE, NULL, same_frames, true},
    {"video_short", false, 30, EPS_FILE, NULL, far_frames, false},
    {"video_fps", false, 30, VIDEO_FILE, other_rate, NULL, false},
    {"video_size", true, 30, VIDEO_FILE, other_size, NULL, true},
    {"damaged_file", false, 21, VIDEO_21, truncate_all, NULL, false},
};
enum { FAULTS = sizeof(faults) / sizeof(*faults) };

static const char *broken(const fault *f) {
    static char v21[600];
    const char *dir = good();
    if (f->version == 21) {
        fw_copy_source from = {.dir = dir};
        snprintf(v21, sizeof(v21), "%s", mk_dir("bad21"));
        OK(fw_dataset_copy(&from, 1, v21, &(fw_copy_opts){.version = 21}, NULL, err));
        OK(fw_remove_tree(dir, err));
        dir = v21;
    }
    if (f->folder != NULL) {
        f->folder(dir, f->file);
    } else {
        rewrite(dir, f->file, f->table);
    }
    return dir;
}

static int bad; /* faults that were not met as they should be: all of them are told before the test fails */
#define SAY(...) (bad++, fprintf(stderr, __VA_ARGS__), fputc('\n', stderr))

/* --- what the verbs do --- */

static fw_status do_info(const char *dir, const char *out, fw_err *err) {
    fw_dataset *ds;
    (void)out;
    FW_TRY(fw_dataset_open(dir, &ds, err));
    fw_dataset_close(ds);
    return FW_OK;
}
static fw_status do_stats(const char *dir, const char *out, fw_err *err) {
    fw_dataset *ds;
    fw_summary *s;
    (void)out;
    FW_TRY(fw_dataset_open(dir, &ds, err));
    fw_status st = fw_dataset_summarize(ds, &(fw_stats_opts){.image_every = 3}, &s, err);
    fw_summary_free(s);
    fw_dataset_close(ds);
    return st;
}
static fw_status do_train(const char *dir, const char *out, fw_err *err) {
    fw_loader *l;
    (void)out;
    FW_TRY(fw_loader_open(&(fw_loader_source){.dir = dir}, 1,
                          &(fw_loader_opts){.h = 16, .w = 16, .horizon = 4, .n_threads = 1}, &l, err));
    fw_loader_close(l);
    return FW_OK;
}
static fw_status do_convert(const char *dir, const char *out, fw_err *err) {
    fw_copy_source from = {.dir = dir};
    return fw_dataset_copy(&from, 1, out, &(fw_copy_opts){.version = 21}, NULL, err);
}
static fw_status (*const verbs[])(const char *dir, const char *out, fw_err *err) = {do_info, do_stats, do_train,
                                                                                    do_convert};
static const char *const verb_names[] = {"info", "stats", "train", "convert"};

static void limit(void) {
    alarm(60);
#ifndef FW_SANITIZED /* a sanitizer's shadow alone is more */
    struct rlimit r = {3ull << 30, 3ull << 30};
    CHECK(setrlimit(RLIMIT_AS, &r) == 0);
#endif
}

/* All verbs in a child; what each said comes through a pipe as "<status> <message>\n". */
static void try_verbs(int i, const char *dir, bool failed[4]) {
    char text[4096] = "", out[700];
    int p[2], status;
    CHECK(pipe(p) == 0);
    snprintf(out, sizeof(out), "%s.out", dir);
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        limit();
        for (int v = 0; v < 4; v++) {
            fw_err e = {FW_OK, ""};
            fw_status st = verbs[v](dir, out, &e);
            dprintf(p[1], "%d %s\n", st, st == FW_OK ? "" : e.msg);
        }
        _exit(0);
    }
    close(p[1]);
    FILE *f = fdopen(p[0], "r");
    CHECK(f != NULL);
    for (int v = 0; v < 4 && fgets(text, sizeof(text), f) != NULL; v++) {
        char *msg = strchr(text, ' ');
        CHECK(msg != NULL);
        failed[v] = atoi(text) != FW_OK;
        if (failed[v] && (strlen(msg) < 12 || (strstr(msg, "fw_data_") == NULL && strstr(msg, "chunk-") == NULL)))
            SAY("fault %d (%s %s): %s says '%s'", i, faults[i].kind, faults[i].file, verb_names[v], msg);
    }
    fclose(f);
    CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        SAY("fault %d (%s %s) ended a process: signal %d, last words %s", i, faults[i].kind, faults[i].file,
            WIFSIGNALED(status) ? WTERMSIG(status) : 0, text);
    if (failed[3] && fw_path_exists(out))
        SAY("fault %d (%s %s): a copy that failed is there", i, faults[i].kind, faults[i].file);
    OK(fw_remove_tree(out, err));
    snprintf(out, sizeof(out), "%s.out.copying", dir);
    OK(fw_remove_tree(out, err));
}

/* The finding, by its name, repairable or not as the table of docs/DATA.md says. */
static void check_names(int i, const char *dir) {
    const fault *want = &faults[i];
    fw_findings f;
    bool named = false;
    OK(fw_dataset_check(dir, NULL, &f, err));
    for (int64_t k = 0; k < f.n; k++) {
        named = named || (strcmp(f.item[k].kind, want->kind) == 0 && f.item[k].repairable == want->repairable);
        CHECK(strchr(f.item[k].text, '\n') == NULL && f.item[k].text[0] != 0 && f.item[k].file[0] != '/');
    }
    if (!named)
        SAY("fault %d (%s %s): no finding '%s'%s; first of %d: %s %s: %s", i, want->kind, want->file, want->kind,
            want->repairable ? " (repairable)" : "", (int)f.n, f.n > 0 ? f.item[0].kind : "",
            f.n > 0 ? f.item[0].file : "", f.n > 0 ? f.item[0].text : "");
    fw_findings_clear(&f);
}

static void each_fault_has_its_name_and_a_clean_error(void) {
    for (int i = 0; i < FAULTS; i++) {
        bool failed[4] = {false};
        const char *dir = broken(&faults[i]);
        check_names(i, dir);
        try_verbs(i, dir, failed);
        bool any = failed[0] || failed[1] || failed[2] || failed[3];
        if (faults[i].reads == any)
            SAY("fault %d (%s %s): info %d stats %d train %d convert %d failed", i, faults[i].kind, faults[i].file,
                failed[0], failed[1], failed[2], failed[3]);
        OK(fw_remove_tree(dir, err));
    }
    printf("%d broken datasets\n", FAULTS);
    CHECK_INT(bad, 0);
}

static void the_masters_are_removed(void) {
    OK(fw_remove_tree(mk_dir("master"), err));
    OK(fw_remove_tree(mk_dir("cache"), err));
}

static __attribute__((constructor)) void own_cache(void) {
    setenv("XDG_CACHE_HOME", mk_dir("cache"), 1);
}

FW_TEST_MAIN(T(each_fault_has_its_name_and_a_clean_error), T(the_masters_are_removed))
