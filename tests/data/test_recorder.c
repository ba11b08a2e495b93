/* The recorder: what is recorded is in the dataset; what it refuses; what a stopped one leaves; a slow or full disk. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "alloc_guard.h"
#include "base/clock.h"
#include "data/segment.h"
#include "record.h"

/* Every episode of dir, at its place: values, pixels, marks, provenance; and `check` finds nothing. truncated: a bit an episode. */
static void check_recorded(const char *dir, const int64_t *episodes, int64_t n, unsigned truncated) {
    fw_dataset *ds;
    fw_findings f;
    OK(fw_dataset_open(dir, &ds, err));
    CHECK_INT(ds->n_episodes, n);
    for (int64_t i = 0; i < n; i++) {
        fw_episode_marks m;
        double cut = -1.0;
        const char *name = NULL, *before = "";
        if ((truncated >> i & 1) == 0) {
            mk_check_episode(ds, i, episodes[i], 2.5);
        }
        OK(fw_dataset_read_marks(ds, i, &m, err));
        for (int64_t t = 0; t < m.length; t++) {
            CHECK_INT(m.m.intervention[t], t % 3 == 1);
            CHECK(strcmp(m.m.subtasks[m.m.subtask[t]], t < 4 ? "reach" : "put it down") == 0);
            for (int c = 0; c <= MK_CAMS; c++) {
                CHECK_INT(m.m.capture_ns[t * (1 + MK_CAMS) + c], rc_time(episodes[i], t, c));
            }
        }
        fw_episode_marks_clear(&m);
        fw_provenance p = fw_dataset_provenance(ds, i);
        CHECK(p.source == FW_SOURCE_TELEOP && strcmp(p.home, "home-1") == 0);
        CHECK_INT(p.success, (truncated >> i & 1) != 0 ? -1 : 1);
        CHECK(fw_dataset_field_number(ds, i, "truncated", &cut) && cut == (double)(truncated >> i & 1));
        CHECK(fw_dataset_field_text(ds, i, "recording", &name) && strcmp(name, before) != 0);
    }
    fw_dataset_close(ds);
    OK(fw_dataset_check(dir, NULL, &f, err));
    for (int64_t i = 0; i < f.n; i++) {
        FW_FAILED("%s: %s", f.item[i].kind, f.item[i].text);
    }
    fw_findings_clear(&f);
    int64_t files;
    OK(fw_recorder_waiting(dir, &files, err));
    CHECK_INT(files, 0);
}

static const int64_t first_ten[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

static void what_is_recorded_reads_back(void) {
    const char *dir = mk_dir("rec");
    fw_recorder_desc d = rc_desc();
    fw_recorder *r, *other;
    fw_recorder_state s;
    for (int64_t e = 0; e < 5; e += 3) {
        OK(fw_recorder_open(dir, &d, &r, err));
        FAILS(fw_recorder_open(dir, &d, &other, err), FW_AGAIN, "another process");
        for (int64_t k = e; k < e + 3; k++) {
            rc_episode(r, k);
        }
        OK(fw_recorder_sync(r, 10000, err));
        fw_recorder_get_state(r, &s);
        CHECK_INT(s.taken, mk_length(e) + mk_length(e + 1) + mk_length(e + 2));
        CHECK_INT(s.acknowledged, s.taken);
        CHECK_INT(s.refused, 0);
        OK(fw_recorder_close(r, err));
        check_recorded(dir, first_ten, e + 3, 0);
    }
    OK(fw_remove_tree(dir, err));
}

static void dropped_episodes_leave_nothing(void) {
    const char *dir = mk_dir("drop");
    static const int64_t want[] = {1};
    fw_recorder_desc d = rc_desc();
    fw_recorder *r;
    OK(fw_recorder_open(dir, &d, &r, err));
    rc_begin(r, 0);
    OK(rc_frame(r, 0, 0, err));
    OK(fw_recorder_end(r, false, 0, err));
    rc_episode(r, 1);
    rc_begin(r, 2);
    OK(fw_recorder_end(r, true, 0, err)); /* kept, but nothing came */
    OK(fw_recorder_close(r, err));
    check_recorded(dir, want, 1, 0);
    OK(fw_remove_tree(dir, err));
}

static void mistakes_are_refused_and_change_nothing(void) {
    const char *dir = mk_dir("mistake");
    char longer[FW_RECORDER_TEXT + 1];
    fw_recorder_desc d = rc_desc();
    fw_recorder *r;
    float s[MK_NS] = {0}, a[MK_NA] = {0};
    uint8_t img[MK_IMAGE] = {0};
    memset(longer, 'x', FW_RECORDER_TEXT);
    longer[FW_RECORDER_TEXT] = 0;
    OK(fw_recorder_open(dir, &d, &r, err));
    FAILS(rc_frame(r, 0, 0, err), FW_INVALID, "no episode has begun");
    FAILS(fw_recorder_end(r, true, 1, err), FW_INVALID, "no episode has begun");
    FAILS(fw_recorder_begin(r, &(fw_recording){"", NULL}, err), FW_INVALID, "sentence");
    FAILS(fw_recorder_begin(r, &(fw_recording){longer, NULL}, err), FW_INVALID, "512");
    rc_begin(r, 0);
    FAILS(fw_recorder_begin(r, &(fw_recording){"go", NULL}, err), FW_INVALID, "begun already");
    FAILS(fw_recorder_frame(r, &(fw_frame){s, a, {img, NULL}, NULL, false, NULL}, err), FW_INVALID, "camera 1");
    FAILS(fw_recorder_frame(r, &(fw_frame){s, a, {img, img}, NULL, false, longer}, err), FW_INVALID, "subtask");
    a[3] = NAN;
    FAILS(fw_recorder_frame(r, &(fw_frame){s, a, {img, img}, NULL, false, NULL}, err), FW_FORMAT, "action[3] is nan");
    for (int64_t t = 0; t < mk_length(0); t++) {
        OK(rc_frame(r, 0, t, err));
    }
    OK(fw_recorder_end(r, true, 1, err));
    OK(fw_recorder_close(r, err));
    check_recorded(dir, first_ten, 1, 0);
    d.writer.fps = 20;
    FAILS(fw_recorder_open(dir, &d, &r, err), FW_INVALID, "10 fps");
    OK(fw_remove_tree(dir, err));
    mk_dataset(dir, 0, 1);
    d.writer.fps = 10;
    FAILS(fw_recorder_open(dir, &d, &r, err), FW_INVALID, "a dataset that a recorder made");
    OK(fw_remove_tree(dir, err));
}

/* Stopped without closing: nothing sealed, all there; the next open seals it, a cut-off episode as such. */
static void a_stopped_recorder_is_sealed_by_the_next(void) {
    const char *dir = mk_dir("stop");
    fw_recorder_desc d = rc_desc();
    fw_recorder *r;
    fw_recovered rec;
    int64_t files;
    d.writer.seal_every = 100;
    OK(fw_recorder_open(dir, &d, &r, err));
    rc_episode(r, 0);
    rc_episode(r, 1);
    rc_begin(r, 2);
    for (int64_t t = 0; t < 5; t++) {
        OK(rc_frame(r, 2, t, err));
    }
    OK(fw_recorder_sync(r, 10000, err));
    fw_recorder_abort(r);
    OK(fw_recorder_waiting(dir, &files, err));
    CHECK_INT(files, 3);
    OK(fw_recorder_recover(dir, &rec, err));
    CHECK_INT(rec.episodes, 3);
    CHECK_INT(rec.frames, mk_length(0) + mk_length(1) + 5);
    CHECK_INT(rec.truncated, 1);
    CHECK_INT(rec.already + rec.discarded + rec.damaged_frames + rec.unreadable, 0);
    check_recorded(dir, first_ten, 3, 1u << 2);
    OK(fw_recorder_recover(dir, &rec, err)); /* once more changes nothing */
    CHECK_INT(rec.episodes + rec.already, 0);
    OK(fw_recorder_open(dir, &d, &r, err));
    rc_episode(r, 3);
    rc_begin(r, 4);
    OK(rc_frame(r, 4, 0, err));
    OK(fw_recorder_close(r, err)); /* closed within an episode */
    check_recorded(dir, first_ten, 5, 1u << 2 | 1u << 4);
    OK(fw_remove_tree(dir, err));
}

static void flip(const char *dir, const char *end, off_t at) {
    char folder[600], path[1200];
    char **names;
    size_t n;
    snprintf(folder, sizeof(folder), "%s/.recorder", dir);
    OK(fw_list_dir(folder, &names, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (strlen(names[i]) > strlen(end) && strcmp(names[i] + strlen(names[i]) - strlen(end), end) == 0) {
            snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
            int fd = open(path, O_RDWR);
            uint8_t b;
            CHECK(fd >= 0 && pread(fd, &b, 1, at) == 1);
            b ^= 0x40;
            CHECK(pwrite(fd, &b, 1, at) == 1);
            close(fd);
        }
    }
    fw_names_free(names, n);
}

/* A spoilt byte costs the frame that it hits, and is reported; a spoilt file header costs no silence. */
static void damage_costs_only_what_it_hits(void) {
    const char *dir = mk_dir("damage");
    fw_recorder_desc d = rc_desc();
    fw_recorder *r;
    fw_recovered rec;
    fw_dataset *ds;
    double lost;
    d.writer.seal_every = 100;
    OK(fw_recorder_open(dir, &d, &r, err));
    rc_episode(r, 0);
    OK(fw_recorder_sync(r, 10000, err));
    rc_episode(r, 1);
    OK(fw_recorder_sync(r, 10000, err));
    fw_recorder_abort(r);
    flip(dir, "000000.0000.seg", 60000); /* within the fourth frame: 18.5 kB each */
    flip(dir, "000001.0000.seg", 3);
    OK(fw_recorder_recover(dir, &rec, err));
    CHECK_INT(rec.episodes, 1);
    CHECK_INT(rec.damaged_frames, 1);
    CHECK_INT(rec.unreadable, 1);
    OK(fw_dataset_open(dir, &ds, err));
    CHECK_INT(ds->episodes[0].length, mk_length(0) - 1);
    CHECK(fw_dataset_field_number(ds, 0, "damaged_frames", &lost) && lost == 1.0);
    fw_dataset_close(ds);
    OK(fw_remove_tree(dir, err));
}

/* No file may grow any more: what a full disk looks like to this process. The files that grew so far stay. */
static void fill_disk(bool full) {
    struct rlimit r;
    CHECK(getrlimit(RLIMIT_FSIZE, &r) == 0);
    r.rlim_cur = full ? 1000 : r.rlim_max;
    CHECK(setrlimit(RLIMIT_FSIZE, &r) == 0);
}

/* The disk is full for a while: the ring takes what it can, then says so; no call waits; when there is room again everything that was
 * taken is written, and what was refused is counted in the episode. */
static void a_full_disk_is_told_and_costs_nothing_taken(void) {
    const char *dir = mk_dir("full");
    fw_recorder_desc d = rc_desc();
    fw_recorder *r;
    fw_recorder_state s;
    fw_dataset *ds;
    fw_episode ep;
    double dropped;
    int64_t taken = 0, slowest = 0;
    signal(SIGXFSZ, SIG_IGN);
    d.queue_frames = 8;
    OK(fw_recorder_open(dir, &d, &r, err));
    rc_begin(r, 0);
    OK(rc_frame(r, 0, taken++, err));
    OK(fw_recorder_sync(r, 10000, err));
    fill_disk(true);
    for (int i = 0; i < 20; i++) {
        fw_err e;
        int64_t t = fw_now_ns();
        fw_status st = rc_frame(r, 0, taken, &e);
        t = fw_now_ns() - t;
        slowest = t > slowest ? t : slowest;
        if (st == FW_OK) {
            taken++;
        } else if (st != FW_AGAIN || strstr(e.msg, "full") == NULL) {
            FW_FAILED("%s", e.msg);
        }
    }
    CHECK_INT(taken, 9);
    FAILS(fw_recorder_sync(r, 300, err), FW_TIMEOUT, "write: ");
    fw_recorder_get_state(r, &s);
    CHECK(s.disk_errors > 0 && s.last_error.code == FW_IO);
    CHECK_INT(s.acknowledged, 1);
    CHECK_INT(s.refused, 12);
    fill_disk(false);
    OK(fw_recorder_sync(r, 10000, err));
    CHECK_INT(fw_recorder_acknowledged(r), 9);
    while (taken < mk_length(0) + 12) {
        OK(rc_frame(r, 0, taken++, err));
        OK(fw_recorder_sync(r, 10000, err));
    }
    OK(fw_recorder_end(r, true, 1, err));
    OK(fw_recorder_close(r, err));
    CHECK(slowest < 50000000); /* of a busy machine; a wait for the disk would have been 200 ms */
    OK(fw_dataset_open(dir, &ds, err));
    OK(fw_dataset_read_episode(ds, 0, &ep, err));
    CHECK_INT(ep.length, taken);
    for (int64_t t = 0; t < taken; t++) {
        CHECK(ep.state[t * MK_NS] == mk_state(0, t, 0));
    }
    CHECK(fw_dataset_field_number(ds, 0, "dropped_frames", &dropped) && dropped == 12.0);
    fw_episode_clear(&ep);
    fw_dataset_close(ds);
    OK(fw_remove_tree(dir, err));
}

/* The sealing thread meets a full disk: recordings wait, nothing is lost, nothing is there twice. */
static void a_full_disk_stops_sealing_not_recording(void) {
    const char *dir = mk_dir("sealfull");
    fw_recorder_desc d = rc_desc();
    fw_recorder *r;
    fw_recorder_state s;
    struct rlimit full = {30000, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    d.writer.seal_every = 100;
    OK(fw_recorder_open(dir, &d, &r, err));
    for (int64_t e = 0; e < 3; e++) {
        rc_episode(r, e);
    }
    OK(fw_recorder_sync(r, 10000, err));
    CHECK(setrlimit(RLIMIT_FSIZE, &full) == 0); /* videos of 48x64 pixels fit, tables of 200 columns do not */
    FAILS(fw_recorder_seal(r, err), FW_IO, dir);
    fw_recorder_get_state(r, &s);
    CHECK_INT(s.waiting_episodes, 3);
    fill_disk(false);
    OK(fw_recorder_seal(r, err));
    fw_recorder_get_state(r, &s);
    CHECK_INT(s.waiting_episodes, 0);
    CHECK_INT(s.sealed_episodes, 3);
    OK(fw_recorder_close(r, err));
    check_recorded(dir, first_ten, 3, 0);
    OK(fw_remove_tree(dir, err));
}

/* AV1 at its slowest, and frames as fast as they can be taken: no call waits for the encoder, what is taken is acknowledged long before it
 * is sealed, nothing is dropped, and closing waits for all of it. */
static void a_slow_encoder_holds_up_nobody(void) {
    enum { SIDE = 128, FRAMES = 3, N_EPISODES = 2 };
    static uint8_t rgb[SIDE * SIDE * 3];
    static const char *const name[] = {"a", "b"};
    const char *dir = mk_dir("slow");
    fw_recorder_desc d = {.writer = {.fps = 10,
                                     .robot_type = "so101",
                                     .n_state = 2,
                                     .state_names = name,
                                     .n_action = 2,
                                     .action_names = name,
                                     .n_cameras = 1,
                                     .cameras = {{"top", SIDE, SIDE}},
                                     .video = {"libsvtav1", "0", 20, 2, 1}},
                          .queue_frames = 32}; /* more than are taken: a busy machine's disk is not what is looked at */
    fw_recorder *r;
    fw_recorder_state s;
    fw_dataset *ds;
    int64_t slowest = 0, began = fw_now_ns(), acknowledged, sealed;
    OK(fw_recorder_open(dir, &d, &r, err));
    for (int e = 0; e < N_EPISODES; e++) {
        OK(fw_recorder_begin(r, &(fw_recording){"fold it", NULL}, err));
        for (int t = 0; t < FRAMES; t++) {
            float v[2] = {(float)e, (float)t};
            for (int i = 0; i < SIDE * SIDE * 3; i++) {
                rgb[i] = (uint8_t)(i * (e + 2) / 97 + 9 * t);
            }
            int64_t at = fw_now_ns();
            OK(fw_recorder_frame(r, &(fw_frame){v, v, {rgb}, NULL, false, NULL}, err));
            at = fw_now_ns() - at;
            slowest = at > slowest ? at : slowest;
        }
        OK(fw_recorder_end(r, true, 1, err));
    }
    OK(fw_recorder_sync(r, 10000, err));
    acknowledged = fw_now_ns() - began;
    fw_recorder_get_state(r, &s);
    CHECK_INT(s.acknowledged, N_EPISODES * FRAMES);
    CHECK_INT(s.refused, 0);
    CHECK(s.waiting_episodes > 0);
    OK(fw_recorder_close(r, err));
    sealed = fw_now_ns() - began;
    fprintf(stderr, "%d frames: slowest call %.2f ms, acknowledged after %.0f ms, sealed after %.0f ms\n",
            N_EPISODES * FRAMES, (double)slowest * 1e-6, (double)acknowledged * 1e-6, (double)sealed * 1e-6);
    CHECK(slowest < 100000000); /* of a busy machine; encoding a frame takes longer */
    OK(fw_dataset_open(dir, &ds, err));
    CHECK_INT(ds->n_frames, N_EPISODES * FRAMES);
    for (int64_t e = 0; e < ds->n_episodes; e++) {
        fw_episode ep;
        double dropped;
        OK(fw_dataset_read_episode(ds, e, &ep, err));
        for (int64_t t = 0; t < FRAMES; t++) {
            CHECK(ep.state[2 * t] == (float)e && ep.state[2 * t + 1] == (float)t);
        }
        CHECK(fw_dataset_field_number(ds, e, "dropped_frames", &dropped) && dropped == 0.0);
        OK(fw_dataset_read_images(ds, e, 0, FRAMES - 1, 1, 0, 0, rgb, err));
        fw_episode_clear(&ep);
    }
    fw_dataset_close(ds);
    OK(fw_remove_tree(dir, err));
}

/* The caller's part of an episode. The allocator is watched in the whole process; nothing is sealed meanwhile (a hundred to a
 * batch, none ended), and the writing thread allocates nothing either. */
static void frames_allocate_nothing(void) {
    const char *dir = mk_dir("loop");
    fw_recorder_desc d = rc_desc();
    fw_recorder *r;
    d.writer.seal_every = 100;
    OK(fw_recorder_open(dir, &d, &r, err));
    rc_begin(r, 0);
    OK(rc_frame(r, 0, 0, err));
    OK(fw_recorder_sync(r, 10000, err));
    usleep(300000); /* the other thread has begun, too: under a sanitizer that allocates */
    CHECK_NO_ALLOC({
        for (int64_t t = 1; t < 40; t++) {
            OK(rc_frame(r, 0, t, err));
        }
        OK(fw_recorder_sync(r, 10000, err));
    });
    OK(fw_recorder_end(r, true, 1, err));
    OK(fw_recorder_close(r, err));
    OK(fw_remove_tree(dir, err));
}

FW_TEST_MAIN(T(what_is_recorded_reads_back), T(dropped_episodes_leave_nothing),
             T(mistakes_are_refused_and_change_nothing), T(a_stopped_recorder_is_sealed_by_the_next),
             T(damage_costs_only_what_it_hits), T(a_full_disk_is_told_and_costs_nothing_taken),
             T(a_full_disk_stops_sealing_not_recording), T(a_slow_encoder_holds_up_nobody), T(frames_allocate_nothing))
