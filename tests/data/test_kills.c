/* ctest: timeout=300
 * A recorder that is killed, loses its power, or meets a failing disk at any change of any file, and at any instant: no acknowledged
 * frame is lost, none is there twice, and the dataset opens at every moment.
 *
 * Here a share of the places is tried, so that it takes seconds. All of them (of the failing disk: a fifth), and 1,000 kills at random
 * instants:
 *
 *     FW_KILLS=1000 FW_KILL_EVERY=1 build/dev/bin/data_test_kills
 */
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "crash.h"
#include "record.h"

enum { EPISODES = 6, CUT = 3, CUT_FRAMES = 5, MAX_EPISODES = 64 };

/* How many frames of episode e the scenario takes: it stops within CUT. */
static int64_t taken_of(int64_t e) {
    return e == CUT ? CUT_FRAMES : mk_length(e);
}

/* --- the process that is stopped --- */

static _Atomic(fw_recorder *) recorder;
static atomic_uint_fast64_t told_before; /* by recorders that are gone */

static uint64_t told(void) {
    uint64_t before = atomic_load(&told_before);
    fw_recorder *r = atomic_load(&recorder);
    return before + (r != NULL ? fw_recorder_acknowledged(r) : 0);
}

/* The recorder goes: what it acknowledged is never counted twice on the way. */
static fw_recorder *take_recorder(void) {
    uint64_t all = told();
    fw_recorder *r = atomic_exchange(&recorder, NULL);
    atomic_store(&told_before, all);
    return r;
}

static fw_recorder_desc small(void) {
    fw_recorder_desc d = rc_desc();
    d.queue_frames = 16;
    return d;
}

/* Every call is made until it goes well: the disk may fail for a while. */
static void insist(fw_status st, const fw_err *e, int *tries) {
    if (st != FW_OK && ++*tries > 400) {
        FW_FAILED("after 400 tries: %s", e->msg);
    }
    if (st != FW_OK) {
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
}

#define INSIST(call)                                                                                                   \
    for (int tries_ = 0, done_ = 0; !done_;) {                                                                         \
        fw_err e_ = {FW_OK, ""}, *err = &e_;                                                                           \
        fw_status st_ = (call);                                                                                        \
        insist(st_, &e_, &tries_);                                                                                     \
        done_ = st_ == FW_OK;                                                                                          \
    }

static void open_recorder(const char *dir) {
    fw_recorder_desc d = small();
    fw_recorder *r = NULL;
    INSIST(fw_recorder_open(dir, &d, &r, err));
    recorder = r;
}

static void record(int64_t e, bool end) {
    fw_provenance p = FW_PROVENANCE_UNKNOWN;
    p.source = FW_SOURCE_TELEOP;
    p.home = "home-1";
    INSIST(fw_recorder_begin(recorder, &(fw_recording){mk_sentence(e), &p}, err));
    for (int64_t t = 0; t < taken_of(e); t++) {
        INSIST(rc_frame(recorder, e, t, err));
        atomic_store(&crash->told_last, told());
    }
    if (end) {
        INSIST(fw_recorder_end(recorder, true, 1, err));
    }
}

/* A recorder that stops without closing, within an episode, and one that seals what it left, goes on, and closes. */
static void scenario(const char *dir) {
    open_recorder(dir);
    for (int64_t e = 0; e <= CUT; e++) {
        record(e, e < CUT);
    }
    INSIST(fw_recorder_sync(recorder, 20000, err));
    atomic_store(&crash->told_last, told());
    fw_recorder_abort(take_recorder());
    open_recorder(dir);
    for (int64_t e = CUT + 1; e < EPISODES; e++) {
        record(e, true);
    }
    INSIST(fw_recorder_sync(recorder, 20000, err));
    atomic_store(&crash->told_last, told());
    fw_err e;
    if (fw_recorder_close(take_recorder(), &e) != FW_OK) { /* what it says waits: sealed by the next */
        fw_recovered rec;
        INSIST(fw_recorder_recover(dir, &rec, err));
    }
}

/* Runs the scenario in a process of its own. false: it was killed. */
static bool run(const char *dir, int mode, int64_t kill_at, int64_t fail_at, int fail_errno, int64_t kill_after_ns) {
    crash->told_last = 0;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        cr_begin(dir, mode, kill_at);
        crash->told = told;
        crash->fail_at = fail_at;
        crash->fail_n = 3;
        crash->fail_errno = fail_errno;
        if (fail_at >= 0) {
            (void)!freopen("/dev/null", "w", stderr); /* the recorder says what the disk does to it */
        }
        scenario(dir);
        _exit(0);
    }
    if (kill_after_ns >= 0) {
        nanosleep(&(struct timespec){kill_after_ns / 1000000000, kill_after_ns % 1000000000}, NULL);
        kill(pid, SIGKILL);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    atomic_store(&crash->mode, 0);
    CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL && (kill_at >= 0 || kill_after_ns >= 0)
                              : WEXITSTATUS(status) == 0);
    return !WIFSIGNALED(status);
}

/* --- what must be true afterwards --- */

static bool ended[MAX_EPISODES]; /* what read_all saw: the episode's end was kept too */

/* Every episode in the dataset is one that was recorded, as far as it goes, once; seen[e]: how many of its frames. */
static void read_all(const char *dir, const char *what, bool pixels, int64_t seen[MAX_EPISODES]) {
    fw_dataset *ds;
    static uint8_t rgb[32 * MK_IMAGE], want[MK_IMAGE];
    fw_err why;
    memset(seen, 0, MAX_EPISODES * sizeof(*seen));
    memset(ended, 0, sizeof(ended));
    if (fw_dataset_open(dir, &ds, &why) != FW_OK) {
        FW_FAILED("%s: the dataset does not open: %s", what, why.msg);
    }
    for (int64_t i = 0; i < ds->n_episodes; i++) {
        fw_episode ep;
        double cut = -1.0, damaged = -1.0;
        if (fw_dataset_read_episode(ds, i, &ep, &why) != FW_OK) {
            FW_FAILED("%s: %s", what, why.msg);
        }
        int64_t e = llroundf(10.0f * ep.state[0]);
        CHECK(e >= 0 && e < MAX_EPISODES && ep.length <= mk_length(e));
        if (seen[e] != 0) {
            FW_FAILED("%s: episode %d is there twice", what, (int)e);
        }
        seen[e] = ep.length;
        for (int64_t t = 0; t < ep.length; t++) {
            CHECK(ep.state[t * MK_NS + 1] == mk_state(e, t, 1) && ep.action[t * MK_NA + 4] == mk_action(e, t, 4));
        }
        /* stopped between its last frame and its end, an episode is whole and yet was never ended */
        CHECK(fw_dataset_field_number(ds, i, "truncated", &cut) &&
              (cut == 1.0 || (cut == 0.0 && ep.length == mk_length(e))));
        ended[e] = cut == 0.0;
        CHECK(fw_dataset_field_number(ds, i, "damaged_frames", &damaged) && damaged == 0.0);
        for (int c = 0; c < MK_CAMS && pixels; c++) {
            OK(fw_dataset_read_images(ds, i, c, 0, ep.length, 0, 0, rgb, err));
            for (int64_t t = 0; t < ep.length; t++) {
                double sum = 0.0;
                mk_image(c, e, t, want);
                for (int k = 0; k < MK_IMAGE; k++) {
                    sum += abs(rgb[t * MK_IMAGE + k] - want[k]);
                }
                CHECK(sum / MK_IMAGE < 2.5);
            }
        }
        fw_episode_clear(&ep);
    }
    fw_dataset_close(ds);
}

static bool has_dataset(const char *dir) {
    char path[700];
    snprintf(path, sizeof(path), "%s/meta/info.json", dir);
    return fw_path_exists(path);
}

/* The dataset opens as it was left; then it is recovered: what was told is there, `check` finds nothing, and recovering again changes
 * nothing. */
static void hold(const char *dir, const char *what, uint64_t frames_told, bool pixels) {
    int64_t seen[MAX_EPISODES] = {0}, again[MAX_EPISODES] = {0}, files = 0;
    fw_recovered rec;
    fw_err why;
    if (has_dataset(dir)) {
        read_all(dir, what, false, seen);
    }
    if (fw_recorder_recover(dir, &rec, &why) != FW_OK) {
        FW_FAILED("%s: recover: %s", what, why.msg);
    }
    CHECK_INT(rec.damaged_frames, 0);
    memset(seen, 0, sizeof(seen));
    if (has_dataset(dir)) {
        fw_findings f;
        read_all(dir, what, pixels, seen);
        OK(fw_dataset_check(dir, NULL, &f, err));
        if (f.n > 0) {
            FW_FAILED("%s: check: %s: %s", what, f.item[0].kind, f.item[0].text);
        }
        fw_findings_clear(&f);
    }
    int64_t left = (int64_t)frames_told;
    for (int64_t e = 0; e < EPISODES && left > 0; e++) {
        int64_t want = left < taken_of(e) ? left : taken_of(e);
        if (seen[e] < want) {
            FW_FAILED("%s: episode %d: %d frames were acknowledged, %d are there", what, (int)e, (int)want,
                      (int)seen[e]);
        }
        left -= taken_of(e);
        if (left > 0 && e != CUT && !ended[e]) {
            FW_FAILED("%s: episode %d: a later frame was acknowledged, its end was lost", what, (int)e);
        }
    }
    OK(fw_recorder_waiting(dir, &files, err));
    CHECK_INT(files, 0);
    OK(fw_recorder_recover(dir, &rec, err));
    CHECK_INT(rec.episodes + rec.already + rec.discarded, 0);
    if (has_dataset(dir)) {
        read_all(dir, what, false, again);
        CHECK(memcmp(seen, again, sizeof(seen)) == 0);
    }
}

/* --- where it is stopped --- */

/* How far apart the places are that are tried: about `few` of n, or every $FW_KILL_EVERY-th. */
static int64_t step_of(int64_t n, int64_t few) {
    const char *every = getenv("FW_KILL_EVERY");
    return every != NULL ? atoll(every) : n <= few ? 1 : n / few;
}

static const char *prepare(const char *name) {
#ifdef FW_SANITIZED
    fprintf(stderr, "skipped: a sanitizer stands where the test would\n");
    exit(77);
#endif
    if (crash == NULL) {
        cr_open();
    }
    return mk_dir(name);
}

static void fresh(const char *dir) {
    OK(fw_remove_tree(dir, err));
    OK(fw_mkdirs(dir, err));
}

static void a_run_that_nothing_stops_is_whole(void) {
    const char *dir = prepare("kill0");
    fresh(dir);
    CHECK(run(dir, 1, -1, -1, 0, -1));
    hold(dir, "nothing happened", crash->told_last, true);
    uint64_t all = 0;
    for (int64_t e = 0; e < EPISODES; e++) {
        CHECK(ended[e] == (e != CUT));
        all += (uint64_t)taken_of(e);
    }
    CHECK_INT(crash->told_last, all);
    CHECK(crash->n > 200);
    OK(fw_remove_tree(dir, err));
}

static void killed_at_any_change_of_a_file(void) {
    const char *dir = prepare("kill1");
    char what[64];
    int64_t n, kills = 0, step;
    fresh(dir);
    CHECK(run(dir, 1, -1, -1, 0, -1));
    n = crash->n;
    step = step_of(n, 40);
    for (int64_t k = step / 2; k < n; k += step) {
        fresh(dir);
        bool whole = run(dir, 1, k, -1, 0, -1);
        snprintf(what, sizeof(what), "killed at operation %d of %d", (int)k, (int)n);
        hold(dir, what, crash->told_last, kills++ % 20 == 0);
        CHECK(!whole || k > n / 2); /* threads take turns differently: runs are not equally long */
    }
    fprintf(stderr, "killed at %d of about %d operations\n", (int)kills, (int)n);
    OK(fw_remove_tree(dir, err));
}

static void killed_at_random_instants(void) {
    const char *dir = prepare("kill2"), *all = getenv("FW_KILLS");
    int64_t want = all != NULL ? atoll(all) : 20, whole = 0;
    char what[64];
    fw_rng rng = fw_rng_stream(11, "kills");
    fresh(dir);
    int64_t t0 = fw_now_ns();
    CHECK(run(dir, 0, -1, -1, 0, -1));
    double length = (double)(fw_now_ns() - t0);
    for (int64_t i = 0; i < want; i++) {
        fresh(dir);
        double at = fw_rng_unit(&rng) * length;
        snprintf(what, sizeof(what), "kill %d, after %.1f ms", (int)i, at * 1e-6);
        whole += run(dir, 1, -1, -1, 0, (int64_t)at);
        hold(dir, what, crash->told_last, i % 20 == 0);
    }
    fprintf(stderr, "killed at %d random instants, %d after the end\n", (int)(want - whole), (int)whole);
    CHECK(whole < want / 2);
    OK(fw_remove_tree(dir, err));
}

static void a_power_cut_at_any_change_of_a_file(void) {
    static const char *const name[] = {"nothing unsafe", "names alone", "a part of it"};
    const char *dir = prepare("power"), *disk = mk_dir("disk");
    char what[96];
    int64_t cuts = 0;
    fresh(dir);
    CHECK(run(dir, 2, -1, -1, 0, -1));
    int64_t n = crash->n, step = step_of(n, 60);
    for (int64_t k = step / 2; k < n; k += step) {
        cr_how how = (cr_how)(cuts % 3);
        cr_disk_at(k, how, (uint64_t)k, disk);
        snprintf(what, sizeof(what), "power cut before operation %d of %d, %s kept", (int)k, (int)n, name[how]);
        hold(disk, what, crash->op[k].told, cuts++ % 20 == 0);
    }
    fprintf(stderr, "%d power cuts, at %d operations\n", (int)cuts, (int)n);
    OK(fw_remove_tree(dir, err));
    OK(fw_remove_tree(disk, err));
}

/* Three operations in a row fail, the disk being full or broken for a moment: whatever was taken is there in the end. */
static void a_disk_that_fails_for_a_moment(void) {
    const char *dir = prepare("fails");
    char what[64];
    int64_t n, fails = 0, step;
    fresh(dir);
    CHECK(run(dir, 1, -1, -1, 0, -1));
    n = crash->n;
    step = step_of(n, 12) * (getenv("FW_KILL_EVERY") != NULL ? 5 : 1);
    for (int64_t k = step / 2; k < n; k += step) {
        fresh(dir);
        CHECK(run(dir, 1, -1, k, k % 2 != 0 ? ENOSPC : EIO, -1));
        snprintf(what, sizeof(what), "operations %d to %d failed", (int)k, (int)k + 2);
        hold(dir, what, crash->told_last, fails++ % 20 == 0);
    }
    fprintf(stderr, "the disk failed at %d of about %d operations\n", (int)fails, (int)n);
    OK(fw_remove_tree(dir, err));
}

FW_TEST_MAIN(T(a_run_that_nothing_stops_is_whole), T(killed_at_any_change_of_a_file), T(killed_at_random_instants),
             T(a_power_cut_at_any_change_of_a_file), T(a_disk_that_fails_for_a_moment))
