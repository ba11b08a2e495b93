/* What an episode costs that is added to a dataset: counted in bytes read and written, which do not depend on the machine. */
#include "base/rng.h"
#include "make.h"

enum { LENGTH = 20 };

/* Bytes that this process has passed to read and write so far. */
static void traffic(int64_t *in, int64_t *out) {
    long long r, w;
    FILE *f = fopen("/proc/self/io", "r");
    if (f == NULL) {
        fprintf(stderr, "skipped: no /proc/self/io\n");
        exit(77);
    }
    CHECK(fscanf(f, "rchar: %lld wchar: %lld", &r, &w) == 2);
    fclose(f);
    *in = r;
    *out = w;
}

/* No value of theirs twice: the worst for statistics. */
static void add(fw_writer *w, int64_t e, fw_rng *rng) {
    float state[LENGTH * MK_NS], action[LENGTH * MK_NA];
    for (int i = 0; i < LENGTH * MK_NS; i++) {
        state[i] = (float)fw_rng_unit(rng);
    }
    for (int i = 0; i < LENGTH * MK_NA; i++) {
        action[i] = (float)fw_rng_unit(rng);
    }
    fw_writer_episode ep = {.length = LENGTH, .state = state, .action = action, .sentence = mk_sentence(e)};
    OK(fw_writer_add_episode(w, &ep, err));
}

/* n episodes without cameras, `session` of them between opening and closing: the bytes that one took, *in read and *out written. */
static void append(const char *dir, int64_t n, int64_t session, double *in, double *out) {
    static uint64_t seed;
    fw_writer_desc d = mk_desc();
    int64_t r0, w0, r1, w1;
    fw_rng rng = fw_rng_stream(++seed, "append");
    d.n_cameras = 0;
    d.seal_every = 10;
    traffic(&r0, &w0);
    for (int64_t e = 0; e < n;) {
        fw_writer *w;
        OK(fw_writer_open(dir, &d, &w, err));
        for (int64_t k = 0; k < session && e < n; k++, e++) {
            add(w, e, &rng);
        }
        OK(fw_writer_close(w, err));
    }
    traffic(&r1, &w1);
    *in = (double)(r1 - r0) / (double)n;
    *out = (double)(w1 - w0) / (double)n;
}

/* Within a session and over sessions of ten alike: what is written for an episode at 1,000 is what was written at 10. What a session
 * reads when it opens grows with the number of episodes (their metadata), not with their rows. */
static void an_episode_costs_the_same_at_ten_and_at_a_thousand(void) {
    const char *dir = mk_dir("append");
    double in, out, few, many, in_few, in_many, rest, session_few, session_many;
    append(dir, 10, 10, &in, &out);
    append(dir, 100, 100, &in, &few);
    append(dir, 50, 10, &in_few, &session_few);
    append(dir, 740, 740, &in, &rest);
    append(dir, 100, 100, &in, &many);
    append(dir, 50, 10, &in_many, &session_many);
    fprintf(
        stderr,
        "an episode of %d rows, written: %.0f bytes at 10 to 110 episodes, %.0f at 160 to 900, %.0f at 900 to 1,000; "
        "in sessions of ten: %.0f at 110, %.0f at 1,000, and read: %.0f, %.0f\n",
        LENGTH, few, rest, many, session_few, session_many, in_few, in_many);
    CHECK(rest < 1.5 * few && many < 1.5 * few && session_many < 1.5 * session_few);
    CHECK(in_many < 11.0 * in_few);
    OK(fw_remove_tree(dir, err));
}

/* Statistics continued from summary.bin are those of all rows, and so they are when the file is gone, cut short, or of another
 * dataset. */
static void statistics_go_on_whatever_the_summary_file_is(void) {
    static const char *const spoil[] = {"kept", "removed", "cut", "foreign"};
    char from[700], stats[700], foreign[700], *want = NULL, *got;
    size_t n_want = 0, n;
    for (int i = 0; i < 4; i++) {
        const char *dir = mk_dir(spoil[i]), *other = mk_dir("other");
        fw_findings f;
        mk_dataset(dir, 0, 4);
        mk_dataset(other, 7, 2);
        snprintf(from, sizeof(from), "%s/meta/summary.bin", dir);
        snprintf(foreign, sizeof(foreign), "%s/meta/summary.bin", other);
        snprintf(stats, sizeof(stats), "%s/meta/stats.json", dir);
        CHECK(access(from, F_OK) == 0);
        CHECK(i != 1 || unlink(from) == 0);
        CHECK(i != 2 || truncate(from, 1000) == 0);
        CHECK(i != 3 || rename(foreign, from) == 0);
        mk_dataset(dir, 4, 3);
        OK(fw_file_read(stats, 1 << 20, &got, &n, err));
        CHECK(want == NULL || (n == n_want && memcmp(got, want, n) == 0));
        if (want == NULL) {
            want = got;
            n_want = n;
        } else {
            free(got);
        }
        OK(fw_dataset_check(dir, NULL, &f, err));
        CHECK_INT(f.n, 0);
        fw_findings_clear(&f);
        OK(fw_remove_tree(dir, err));
        OK(fw_remove_tree(other, err));
    }
    free(want);
}

FW_TEST_MAIN(T(an_episode_costs_the_same_at_ten_and_at_a_thousand), T(statistics_go_on_whatever_the_summary_file_is))
