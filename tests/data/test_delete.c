/* ctest: timeout=400 */
/* Deleting a home: nothing of it is in any file afterwards, older copies are refused, and a kill at any moment is finished by the next run. */
#include "data/cache.h"
#include "data/copy.h"
#include "data/delete.h"
#include "data/loader.h"
#include "data/repair.h"
#include "killer.h"
#include "record.h"
#include "spoil.h"

/* The cache of this program alone: deleting forgets what does not say where it came from. */
static __attribute__((constructor)) void own_cache(void) {
    setenv("XDG_CACHE_HOME", mk_dir("cache"), 1);
}

/* Episode e is of homes[e]. */
static void make(const char *dir, const char *const *homes, int64_t n) {
    fw_writer_desc d = mk_desc();
    fw_writer *w;
    OK(fw_writer_open(dir, &d, &w, err));
    for (int64_t e = 0; e < n; e++) {
        fw_provenance p = FW_PROVENANCE_UNKNOWN;
        mk_episode m;
        p.home = homes[e];
        mk_make(&m, e);
        m.w.provenance = &p;
        OK(fw_writer_add_episode(w, &m.w, err));
        mk_free(&m);
    }
    OK(fw_writer_close(w, err));
}
static const char *const homes[] = {"villa-verde", "villa-rosa", "villa-verde", "villa-verde-2", "villa-verde"};
static const int64_t others[] = {1, 3}, rest[] = {0, 2}, first_three[] = {0, 1, 2};

static void copy_tree(const char *from, const char *to) {
    char cmd[1400];
    snprintf(cmd, sizeof(cmd), "cp -r '%s' '%s'", from, to);
    CHECK_INT(system(cmd), 0);
}

/* grep's opinion. */
static bool stands_in(const char *dir, const char *word) {
    char cmd[1400];
    snprintf(cmd, sizeof(cmd), "grep -raqF '%s' '%s'", word, dir);
    return system(cmd) == 0;
}

static void holds(const char *dir, const int64_t *episodes, int64_t n) {
    fw_dataset *ds;
    fw_findings f;
    OK(fw_dataset_check(dir, NULL, &f, err));
    if (f.n > 0)
        FW_FAILED("%s %s ep %d: %s", f.item[0].kind, f.item[0].file, (int)f.item[0].episode, f.item[0].text);
    fw_findings_clear(&f);
    OK(fw_dataset_open(dir, &ds, err));
    CHECK_INT(ds->n_episodes, n);
    for (int64_t i = 0; i < n; i++) {
        mk_check_episode(ds, i, episodes[i], 4.0);
    }
    fw_dataset_close(ds);
}

static void is_clean(const fw_delete_proof *p) {
    CHECK_INT(p->names_found, 0);
    CHECK_INT(p->rows_found, 0);
    CHECK(p->files > 5 && p->bytes > 1000);
}

static void nothing_of_it_is_left(void) {
    char dir[600], path[700];
    fw_delete_proof p;
    fw_video *v;
    int64_t frames;
    snprintf(dir, sizeof(dir), "%s", mk_dir("gone"));
    make(dir, homes, 5);
    snprintf(path, sizeof(path), "%s/README.md", dir);
    OK(fw_file_write_atomic(path, "of villa-verde-2", 16, err)); /* another home's name */
    CHECK(stands_in(dir, "villa-rosa"));
    FAILS(fw_dataset_delete(dir, &(fw_delete_opts){.home = "villa"}, &p, err), FW_INVALID, "nothing to delete");
    OK(fw_dataset_delete(dir, &(fw_delete_opts){.home = "villa-rosa", .dry_run = true}, &p, err));
    CHECK(p.episodes == 1 && p.frames == mk_length(1) && stands_in(dir, "villa-rosa"));
    OK(fw_dataset_delete(dir, &(fw_delete_opts){.home = "villa-rosa"}, &p, err));
    CHECK(p.episodes == 1 && p.marks == mk_length(1) && p.episodes_left == 4);
    is_clean(&p);
    CHECK(!stands_in(dir, "villa-rosa"));
    OK(fw_dataset_delete(dir, &(fw_delete_opts){.home = "villa-verde"}, &p, err));
    CHECK(p.episodes == 3 && p.episodes_left == 1);
    is_clean(&p);
    holds(dir, &(int64_t){3}, 1);
    CHECK(fw_path_exists(path) && stands_in(dir, "villa-verde-2"));
    for (int c = 0; c < 2; c++) {
        snprintf(path, sizeof(path), "%s/videos/observation.images.%s/chunk-000/file-000.mp4", dir,
                 c == 0 ? "front" : "wrist");
        OK(fw_video_open(path, &v, err));
        OK(fw_video_count(v, &frames, err));
        CHECK_INT(frames, mk_length(3));
        fw_video_close(v);
    }
    snprintf(path, sizeof(path), "%s/README.md", dir);
    OK(fw_file_write_atomic(path, "villa-verde lived here", 22,
                            err)); /* what a person wrote is reported, not changed */
    OK(fw_dataset_delete(dir, &(fw_delete_opts){.home = "villa-verde"}, &p, err));
    CHECK(p.episodes == 0 && p.names_found == 1 && strcmp(p.first, "README.md") == 0);
    OK(fw_remove_tree(dir, err));
}

/* Numbers of the video files of both cameras, "file-00<k>.mp4"; 0: there is none. */
static void video_inodes(const char *dir, ino_t out[2][4]) {
    char path[700];
    for (int i = 0; i < 8; i++) {
        struct stat s;
        snprintf(path, sizeof(path), "%s/videos/observation.images.%s/chunk-000/file-%03d.mp4", dir,
                 i < 4 ? "front" : "wrist", i % 4);
        out[i / 4][i % 4] = stat(path, &s) == 0 ? s.st_ino : 0;
    }
}

/* Nine episodes in three segments: what is deleted from one leaves the videos of the others as they are; unless frames that nobody counts
 * stand in them. */
static void videos_without_any_of_it_are_not_written_anew(void) {
    static const char *const nine[] = {"verde", "verde", "verde", "verde", "rosa", "verde", "verde", "verde", "verde"};
    static const int64_t after[] = {0, 1, 2, 3, 5, 6, 7, 8};
    char dir[600];
    fw_delete_proof p;
    ino_t was[2][4], is[2][4];
    snprintf(dir, sizeof(dir), "%s", mk_dir("segments"));
    make(dir, nine, 9);
    video_inodes(dir, was);
    OK(fw_dataset_delete(dir, &(fw_delete_opts){.home = "rosa"}, &p, err));
    is_clean(&p);
    holds(dir, after, 8);
    video_inodes(dir, is);
    for (int c = 0; c < 2; c++) {
        CHECK(is[c][0] == was[c][0] && is[c][1] != was[c][1] && is[c][2] == was[c][2] && is[c][2] != 0 &&
              is[c][3] == 0);
    }
    lengthen_video(dir); /* the first wrist video */
    video_inodes(dir, was);
    OK(fw_dataset_delete(dir, &(fw_delete_opts){.episodes = "5"}, &p, err));
    holds(dir, (int64_t[]){0, 1, 2, 3, 5, 7, 8}, 7);
    video_inodes(dir, is);
    CHECK(is[0][0] == was[0][0] && is[0][1] == was[0][1]);
    CHECK(is[1][0] != was[1][0] && is[1][1] == was[1][1]);
    OK(fw_remove_tree(dir, err));
}

static void the_cache_forgets_it(void) {
    static const char *const one[] = {"a", "b"};
    char cache[600], dir[600], other[600];
    fw_delete_proof p;
    snprintf(dir, sizeof(dir), "%s", mk_dir("cached"));
    snprintf(other, sizeof(other), "%s", mk_dir("other"));
    make(dir, one, 2);
    mk_dataset(other, 0, 1);
    for (int k = 0; k < 3; k++) { /* twice as it is, once after it has grown */
        fw_dataset *ds;
        fw_frames *f;
        if (k == 2) {
            mk_dataset(dir, 2, 1);
        }
        OK(fw_dataset_open(k == 0 ? other : dir, &ds, err));
        OK(fw_frames_open(ds, 16, 16, 1, &f, err));
        fw_frames_close(f);
        fw_dataset_close(ds);
    }
    OK(fw_dataset_delete(dir, &(fw_delete_opts){.home = "a"}, &p, err));
    CHECK(p.blobs == 2 && p.blob_bytes > 0);
    CHECK(p.names_found == 0); /* "a" is too short to be searched for in compressed files */
    CHECK(p.not_searched > 0);
    char **names;
    size_t n;
    snprintf(cache, sizeof(cache), "%s/flywheel/frames", getenv("XDG_CACHE_HOME"));
    OK(fw_list_dir(cache, &names, &n, err));
    CHECK_INT(n, 1);
    fw_names_free(names, n);
    OK(fw_remove_tree(dir, err));
    OK(fw_remove_tree(other, err));
}

static void lose_homes(fw_table *t) {
    fw_column *c = column(t, "provenance/home");
    for (int64_t i = 0; i < t->rows; i++) {
        free(c->str[i]);
        c->str[i] = strdup("nobody");
    }
}
static void older_copies_are_refused(void) {
    char dir[600], old[600], out[600], v21[600];
    fw_delete_proof p;
    fw_loader *l;
    fw_loader_opts lo = {.h = 16, .w = 16, .horizon = 4, .seed = 1, .n_threads = 1};
    snprintf(dir, sizeof(dir), "%s", mk_dir("kept"));
    snprintf(old, sizeof(old), "%s", mk_dir("old"));
    snprintf(out, sizeof(out), "%s", mk_dir("out"));
    snprintf(v21, sizeof(v21), "%s", mk_dir("v21"));
    make(dir, homes, 5);
    copy_tree(dir, old);
    OK(fw_dataset_delete(dir, &(fw_delete_opts){.home = "villa-verde"}, &p, err));
    CHECK(!stands_in(dir, "villa-verde\"") && strncmp(p.rule, "home-", 5) == 0);
    const char *both[] = {dir, old};
    fw_loader_source src[] = {{.dir = dir}, {.dir = old}};
    FAILS(fw_dataset_merge(both, 2, out, err), FW_INVALID, p.rule);
    FAILS(fw_loader_open(src, 2, &lo, &l, err), FW_INVALID, p.rule);
    rewrite(old, EPS_FILE, lose_homes); /* segments of three: the first file */
    FAILS(fw_dataset_merge(both, 2, out, err), FW_INVALID, "refused by rule");
    /* the tombstone goes with every dataset made of this one */
    fw_copy_source from = {.dir = dir};
    OK(fw_dataset_copy(&from, 1, v21, &(fw_copy_opts){.version = 21}, NULL, err));
    src[0].dir = v21;
    FAILS(fw_loader_open(src, 2, &lo, &l, err), FW_INVALID, p.rule);
    holds(v21, others, 2);
    /* what was not deleted may be taken from the old copy */
    fw_copy_source good_ones[] = {{.dir = dir}, {.dir = old, .episodes = others, .n_episodes = 2}};
    OK(fw_dataset_copy(good_ones, 2, out, NULL, NULL, err));
    holds(out, (int64_t[]){1, 3, 1, 3}, 4);
    OK(fw_file_write_atomic(file_in(dir, "meta/deleted.json"), "{", 1,
                            err)); /* unreadable rules: nothing may be made of it */
    FAILS(fw_dataset_merge(both, 1, v21, err), FW_INVALID, "is there already");
    OK(fw_remove_tree(v21, err));
    FAILS(fw_dataset_merge(both, 1, v21, err), FW_FORMAT, "deleted.json");
    OK(fw_remove_tree(dir, err));
    OK(fw_remove_tree(old, err));
    OK(fw_remove_tree(out, err));
}

static void episodes_that_begin_between_key_frames_are_encoded_again(void) {
    const char *dir = good();
    fw_delete_proof p;
    resize_video(dir, 0, false); /* a key frame every second frame: episode 1 begins with frame 9 */
    OK(fw_dataset_delete(dir, &(fw_delete_opts){.episodes = "0"}, &p, err));
    is_clean(&p);
    holds(dir, first_three + 1, 2);
    OK(fw_remove_tree(dir, err));
}

static void a_list_is_deleted_once(void) {
    const char *dir = good();
    fw_delete_proof p;
    for (int run = 0; run < 2; run++) {
        OK(fw_dataset_delete(dir, &(fw_delete_opts){.episodes = "1"}, &p, err));
        CHECK_INT(p.episodes, run == 0);
        is_clean(&p);
        holds(dir, rest, 2);
    }
    OK(fw_dataset_delete(dir, &(fw_delete_opts){.where = "episode == 1"}, &p, err));
    CHECK(p.episodes == 1 && p.episodes_left == 1);
    mk_dataset(dir, 1, 1); /* it comes back, with another number and without a home */
    check_finds(dir, "deleted", 1, -1);
    OK(fw_remove_tree(dir, err));
}

static void a_whole_dataset_leaves_its_tombstone_and_can_begin_again(void) {
    static const char *const all[] = {"casa-nueva", "casa-nueva"};
    char dir[600];
    fw_delete_proof p;
    snprintf(dir, sizeof(dir), "%s", mk_dir("all"));
    make(dir, all, 2);
    OK(fw_dataset_delete(dir, &(fw_delete_opts){.home = "casa-nueva"}, &p, err));
    CHECK(p.episodes == 2 && p.episodes_left == 0 && p.names_found == 0);
    CHECK(!fw_path_exists(file_in(dir, "data")) && fw_path_exists(file_in(dir, "meta/deleted.json")));
    OK(fw_dataset_delete(dir, &(fw_delete_opts){.home = "casa-nueva"}, &p, err));
    CHECK_INT(p.episodes, 0);
    mk_dataset(dir, 5, 1);
    holds(dir, &(int64_t){5}, 1);
    CHECK(fw_path_exists(file_in(dir, "meta/deleted.json")));
    make(dir, all, 1); /* it came back */
    check_finds(dir, "deleted", 1, -1);
    OK(fw_dataset_delete(dir, &(fw_delete_opts){.home = "casa-nueva"}, &p, err));
    CHECK_INT(p.episodes, 1);
    holds(dir, &(int64_t){5}, 1);
    OK(fw_remove_tree(dir, err));
}

/* Three recordings of two homes, none of them sealed. */
static void recordings_of_it_go_and_others_stay(void) {
    const char *dir = mk_dir("recordings");
    fw_recorder_desc d = rc_desc();
    fw_repair_result r;
    fw_delete_proof p;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        fw_recorder *rec;
        d.writer.seal_every = 100;
        OK(fw_recorder_open(dir, &d, &rec, err));
        for (int64_t e = 0; e < 3; e++) {
            fw_provenance who = FW_PROVENANCE_UNKNOWN;
            who.home = e == 1 ? "villa-rosa" : "villa-verde";
            OK(fw_recorder_begin(rec, &(fw_recording){mk_sentence(e), &who}, err));
            for (int64_t t = 0; t < mk_length(e); t++) {
                OK(rc_frame(rec, e, t, err));
            }
            OK(fw_recorder_end(rec, true, 1, err));
        }
        OK(fw_recorder_sync(rec, 10000, err));
        kill(getpid(), SIGKILL);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
    OK(fw_dataset_delete(dir, &(fw_delete_opts){.home = "villa-verde"}, &p, err));
    CHECK(p.recordings == 2 && p.episodes == 0 && p.names_found == 0 && !stands_in(dir, "villa-verde"));
    OK(fw_dataset_repair(dir, &(fw_repair_opts){0}, &r, err));
    CHECK_INT(r.recovered.episodes, 1);
    fw_repair_result_clear(&r);
    holds(dir, &(int64_t){1}, 1);
    OK(fw_remove_tree(dir, err));
}

static const fw_delete_opts *what; /* of delete_quietly */
static int delete_quietly(const char *dir) {
    fw_delete_proof p;
    fw_err e;
    fw_status st = fw_dataset_delete(dir, what, &p, &e);
    if (st != FW_OK) {
        fprintf(stderr, "%s\n", e.msg);
    }
    return st != FW_OK || p.names_found != 0 || p.rows_found != 0;
}

/* Before or behind each change of the disk, by home or by list: it opens, whole or without them; the next run finishes. */
static void a_kill_at_any_write_is_finished_by_the_next_run(void) {
    static const char *const four[] = {"villa-verde", "villa-rosa", "villa-verde", "villa-verde"};
    static const int64_t stay[] = {0, 2, 3};
    char whole[600], at[600], beside[700];
    snprintf(whole, sizeof(whole), "%s", mk_dir("whole"));
    make(whole, four, 4); /* two segments: the videos of the second go along as they are */
    int n = 0;
    for (bool died = true; died; n++) {
        const fw_delete_opts by[] = {{.home = "villa-rosa"}, {.episodes = "1"}};
        what = &by[n % 2];
        snprintf(at, sizeof(at), "%s", mk_dir("killed"));
        copy_tree(whole, at);
        died = killed_at(n, n % 4 >= 2, delete_quietly, at);
        fw_dataset *ds;
        OK(fw_dataset_open(at, &ds, err));
        CHECK(ds->n_episodes == 4 || ds->n_episodes == 3);
        int64_t left = ds->n_episodes;
        fw_dataset_close(ds);
        CHECK(died || left == 3);
        CHECK_INT(delete_quietly(at), 0);
        holds(at, stay, 3);
        CHECK(!stands_in(at, "villa-rosa"));
        snprintf(beside, sizeof(beside), "ls -d %s.* > /dev/null 2>&1", at);
        CHECK(system(beside) != 0); /* nothing lies beside it */
        OK(fw_remove_tree(at, err));
    }
    printf("%d kills\n", n - 1);
    CHECK(n > 40);
    OK(fw_remove_tree(whole, err));
}

static void the_verb_says_what_it_proved(void) {
    char cmd[2400], out[700], dir[600];
    json_t *j;
    snprintf(dir, sizeof(dir), "%s", mk_dir("verb"));
    snprintf(out, sizeof(out), "%s.json", dir);
    make(dir, homes, 3);
    snprintf(cmd, sizeof(cmd), FW_BIN " data delete %s --home villa-rosa --json > %s 2>/dev/null", dir, out);
    CHECK_INT(WEXITSTATUS(system(cmd)), 0);
    OK(fw_json_load(out, &j, err));
    const json_t *proof = json_object_get(j, "proof");
    CHECK_INT(json_integer_value(json_object_get(j, "episodes")), 1);
    CHECK_INT(json_integer_value(json_object_get(proof, "names_found")), 0);
    CHECK(json_is_integer(json_object_get(proof, "rows_found")) &&
          json_integer_value(json_object_get(proof, "rows_found")) == 0);
    CHECK(json_integer_value(json_object_get(proof, "rows_looked_for")) == mk_length(1));
    json_decref(j);
    snprintf(cmd, sizeof(cmd), FW_BIN " data delete %s --home a --where b > %s 2>&1", dir, out);
    CHECK_INT(WEXITSTATUS(system(cmd)), 2);
    snprintf(cmd, sizeof(cmd), FW_BIN " data delete %s --home nobody > %s 2>&1", dir, out);
    CHECK_INT(WEXITSTATUS(system(cmd)), 1);
    OK(fw_remove_tree(out, err));
    OK(fw_remove_tree(dir, err));
}

static void the_master_is_removed(void) {
    OK(fw_remove_tree(mk_dir("master"), err));
    OK(fw_remove_tree(mk_dir("cache"), err));
}

FW_TEST_MAIN(T(nothing_of_it_is_left), T(videos_without_any_of_it_are_not_written_anew), T(the_cache_forgets_it),
             T(older_copies_are_refused), T(episodes_that_begin_between_key_frames_are_encoded_again),
             T(a_list_is_deleted_once), T(a_whole_dataset_leaves_its_tombstone_and_can_begin_again),
             T(recordings_of_it_go_and_others_stay), T(a_kill_at_any_write_is_finished_by_the_next_run),
             T(the_verb_says_what_it_proved), T(the_master_is_removed))
