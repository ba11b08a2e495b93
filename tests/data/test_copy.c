/* Convert, split and filter: a copy holds what its sources hold, in both versions of the format, also when it was interrupted. */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "data/copy.h"
#include "data/select.h"
#include "make.h"

/* Two episodes with provenance, seven in all, in three segments. Static text. */
static const char *source(void) {
    static char dir[600];
    if (dir[0] != 0) {
        return dir;
    }
    static const char *const subtasks[] = {"reach", "lift"};
    static const fw_field seed[] = {{.name = "seed", .kind = FW_FIELD_INT}};
    fw_writer_desc d = mk_desc();
    d.marks = FW_MARK_INTERVENTION | FW_MARK_ADVANTAGE | FW_MARK_SUBTASK | FW_MARK_CAPTURE;
    d.fields = seed;
    d.n_fields = 1;
    fw_writer *w;
    snprintf(dir, sizeof(dir), "%s", mk_dir("copy_source"));
    OK(fw_writer_open(dir, &d, &w, err));
    for (int64_t e = 0; e < 7; e++) {
        uint8_t hand[32];
        float advantage[32];
        int64_t subtask[32], capture[32 * (1 + MK_CAMS)];
        for (int64_t t = 0; t < mk_length(e); t++) {
            hand[t] = (t + e) % 3 == 0;
            advantage[t] = t % 2 == 0 ? NAN : (float)(e + t);
            subtask[t] = (t % 3) - 1;
            for (int c = 0; c <= MK_CAMS; c++) {
                capture[t * (1 + MK_CAMS) + c] = 1790000000000000001ll + e * 1000 + t * 10 + c;
            }
        }
        const fw_field f[] = {{.name = "seed", .kind = FW_FIELD_INT, .i = 9007199254740993ll + e}};
        fw_provenance p = FW_PROVENANCE_UNKNOWN;
        p.source = e % 2 == 0 ? FW_SOURCE_TELEOP : FW_SOURCE_EXPERT;
        p.home = e < 4 ? "home-1" : "home \"2\"";
        p.success = e == 3 ? -1 : e % 2 == 0;
        p.quality = e == 5 ? (double)NAN : 0.1 * (double)e;
        p.n_fields = 1;
        p.fields = f;
        mk_episode m;
        mk_make(&m, e);
        m.w.provenance = &p;
        m.w.marks = (fw_marks){hand, advantage, subtask, subtasks, 2, capture};
        OK(fw_writer_add_episode(w, &m.w, err));
        mk_free(&m);
    }
    OK(fw_writer_close(w, err));
    return dir;
}

static void check_marks(fw_dataset *ds, int64_t at, int64_t e) {
    fw_episode_marks m;
    double seed, quality;
    fw_provenance p = fw_dataset_provenance(ds, at);
    CHECK(p.source == (e % 2 == 0 ? FW_SOURCE_TELEOP : FW_SOURCE_EXPERT));
    CHECK(strcmp(p.home, e < 4 ? "home-1" : "home \"2\"") == 0);
    CHECK_INT(p.success, e == 3 ? -1 : e % 2 == 0);
    CHECK(fw_dataset_field_number(ds, at, "quality", &quality) && fw_dataset_field_number(ds, at, "seed", &seed));
    CHECK(e == 5 ? isnan(quality) : quality == 0.1 * (double)e);
    CHECK(seed == (double)(9007199254740993ll + e));
    OK(fw_dataset_read_marks(ds, at, &m, err));
    for (int64_t t = 0; t < mk_length(e); t++) {
        CHECK_INT(m.m.intervention[t], (t + e) % 3 == 0);
        CHECK(t % 2 == 0 ? isnan(m.m.advantage[t]) : m.m.advantage[t] == (float)(e + t));
        CHECK(t % 3 == 0 ? m.m.subtask[t] == -1
                         : strcmp(m.m.subtasks[m.m.subtask[t]], t % 3 == 1 ? "reach" : "lift") == 0);
        for (int c = 0; c <= MK_CAMS; c++) {
            CHECK_INT(m.m.capture_ns[t * (1 + MK_CAMS) + c], 1790000000000000001ll + e * 1000 + t * 10 + c);
        }
    }
    fw_episode_marks_clear(&m);
}

/* dir holds just these episodes of the source, whole, and check finds nothing. */
static void check_holds(const char *dir, int version, const int64_t *episodes, int64_t n) {
    fw_dataset *ds;
    fw_findings f;
    OK(fw_dataset_open(dir, &ds, err));
    CHECK_INT(ds->version, version);
    CHECK_INT(ds->n_episodes, n);
    for (int64_t i = 0; i < n; i++) {
        CHECK_INT(ds->episodes[i].index, i);
        mk_check_episode(ds, i, episodes[i], 4.0);
        check_marks(ds, i, episodes[i]);
    }
    fw_dataset_close(ds);
    OK(fw_dataset_check(dir, NULL, &f, err));
    if (f.n > 0)
        FW_FAILED("check: %s: %s: %s", f.item[0].file, f.item[0].kind, f.item[0].text);
    fw_findings_clear(&f);
}

static const int64_t all[] = {0, 1, 2, 3, 4, 5, 6};

static void v30_to_v21_and_back_keeps_everything(void) {
    const char *a = mk_dir("v21"), *b = mk_dir("v30");
    fw_copy_source from = {.dir = source()};
    fw_copy_result r;
    OK(fw_dataset_copy(&from, 1, a, &(fw_copy_opts){.version = 21}, &r, err));
    CHECK_INT(r.episodes, 7);
    check_holds(a, 21, all, 7);
    from.dir = a;
    OK(fw_dataset_copy(&from, 1, b, &(fw_copy_opts){.version = 30}, NULL, err));
    check_holds(b, 30, all, 7);
    OK(fw_remove_tree(a, err));
    OK(fw_remove_tree(b, err));
}

static void chosen_episodes_come_in_their_order_and_files_roll(void) {
    static const int64_t some[] = {6, 1, 1, 4};
    const char *a = mk_dir("some");
    fw_copy_source from = {.dir = source(), .episodes = some, .n_episodes = 4};
    OK(fw_dataset_copy(&from, 1, a, NULL, NULL, err));
    check_holds(a, 30, some, 4);
    OK(fw_remove_tree(a, err));
    FAILS(fw_dataset_copy(&(fw_copy_source){.dir = source(), .episodes = some}, 1, a, NULL, NULL, err), FW_INVALID,
          "no episode is chosen");
    FAILS(fw_dataset_copy(&(fw_copy_source){source(), (const int64_t[]){7}, 1}, 1, a, NULL, NULL, err), FW_INVALID,
          "no episode 7");
    CHECK(!fw_path_exists(a));
}

/* Lines of a file, 0 when there is none. */
static int64_t count_lines(const char *path) {
    int64_t n = 0;
    FILE *f = fopen(path, "r");
    for (int c; f != NULL && (c = fgetc(f)) != EOF;) {
        n += c == '\n';
    }
    if (f != NULL) {
        fclose(f);
    }
    return n;
}

/* Killed when the journal says that three episodes are done; its last line is torn then. */
static void an_interrupted_copy_resumes(void) {
    char out[600], tmp[700], journal[800];
    fw_copy_source from = {.dir = source()};
    fw_copy_opts o = {.version = 21, .resume = true};
    fw_copy_result r;
    snprintf(out, sizeof(out), "%s", mk_dir("resumed"));
    snprintf(tmp, sizeof(tmp), "%s.copying", out);
    snprintf(journal, sizeof(journal), "%s/.journal", tmp);
    for (int attempt = 0; count_lines(journal) < 4; attempt++) {
        CHECK(attempt < 100);
        OK(fw_remove_tree(out, err));
        OK(fw_remove_tree(tmp, err));
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            _exit(fw_dataset_copy(&from, 1, out, &o, &r, NULL) != FW_OK);
        }
        while (count_lines(journal) < 4 && waitpid(pid, NULL, WNOHANG) == 0) {
        }
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    CHECK(!fw_path_exists(out));
    FILE *f = fopen(journal, "a");
    CHECK(f != NULL && fputs("{\"ep\":", f) >= 0 && fclose(f) == 0);
    OK(fw_dataset_copy(&from, 1, out, &o, &r, err));
    CHECK(r.resumed >= 3);
    check_holds(out, 21, all, 7);
    CHECK(!fw_path_exists(tmp));
    OK(fw_remove_tree(out, err));
    CHECK_INT(mkdir(tmp, 0755), 0); /* another copy's leftovers are not believed */
    f = fopen(journal, "w");
    CHECK(f != NULL && fputs("0000\n{\"ep\":0}\n", f) >= 0 && fclose(f) == 0);
    OK(fw_dataset_copy(&from, 1, out, &o, &r, err));
    CHECK_INT(r.resumed, 0);
    check_holds(out, 21, all, 7);
    OK(fw_remove_tree(out, err));
}

static void select_is(const fw_dataset *ds, const char *where, const char *want) {
    int64_t *e, n;
    char got[64] = "";
    OK(fw_select_where(ds, where, &e, &n, err));
    for (int64_t i = 0; i < n; i++) {
        snprintf(got + i, 2, "%d", (int)e[i]);
    }
    if (strcmp(got, want) != 0)
        FW_FAILED("'%s' chooses %s, wanted %s", where, got, want);
    free(e);
}

static void expressions_choose(void) {
    fw_dataset *ds;
    int64_t *e, n, *rest, m;
    OK(fw_dataset_open(source(), &ds, err));
    select_is(ds, "success == 1", "0246");
    select_is(ds, "success != 1", "15"); /* 3 is not known */
    select_is(ds, "not success == 1", "135");
    select_is(ds, "home == 'home-1' and (source != \"teleop\" or length > 10)", "123");
    select_is(ds, "home ~ 'HOME' and quality >= 0.4", "46");
    select_is(ds, "task ~ 'mug' or episode == 0", "0135");
    select_is(ds, "task != 'put the plate in the sink' and seconds < 1", "");
    FAILS(fw_select_where(ds, "colour == 'red'", &e, &n, err), FW_INVALID, "no text field 'colour'");
    FAILS(fw_select_where(ds, "length == 'red'", &e, &n, err), FW_INVALID, "no text field 'length'");
    FAILS(fw_select_where(ds, "length > 3 or", &e, &n, err), FW_INVALID, "wanted a field's name");
    FAILS(fw_select_where(ds, "(length > 3", &e, &n, err), FW_INVALID, "wanted ')'");
    FAILS(fw_select_where(ds, "length > 3 length", &e, &n, err), FW_INVALID, "wanted and, or");
    OK(fw_select_list(ds, "1-2,5-", &e, &n, err));
    CHECK(n == 4 && e[0] == 1 && e[1] == 2 && e[2] == 5 && e[3] == 6);
    OK(fw_select_rest(ds, e, n, &rest, &m, err));
    CHECK(m == 3 && rest[0] == 0 && rest[1] == 3 && rest[2] == 4);
    free(e);
    free(rest);
    FAILS(fw_select_list(ds, "1,x", &e, &n, err), FW_INVALID, "found 'x'");
    FAILS(fw_select_list(ds, "3-2", &e, &n, err), FW_INVALID, "wanted numbers");
    FAILS(fw_select_list(ds, "7", &e, &n, err), FW_INVALID, "no episode 7");
    OK(fw_select_fraction(ds, 0.43, 5, &e, &n, err));
    OK(fw_select_fraction(ds, 0.43, 5, &rest, &m, err));
    CHECK(n == 3 && m == 3 && memcmp(e, rest, 24) == 0);
    free(e);
    free(rest);
    fw_dataset_close(ds);
}

static void the_verbs_split_and_filter(void) {
    char cmd[8000];
    const char *dir = mk_dir("verbs");
    snprintf(cmd, sizeof(cmd),
             FW_BIN " data split '%s' --fraction 0.6 --seed 3 --out '%s/a' '%s/b' >/dev/null 2>&1 && " FW_BIN
                    " data split '%s' --by home --out '%s/h' >/dev/null 2>&1 && " FW_BIN
                    " data filter '%s' --where 'success == 1' --out '%s/c' >/dev/null 2>&1 && " FW_BIN
                    " data convert '%s/c' --to v2.1 --out '%s/d' >/dev/null 2>&1 && " FW_BIN
                    " data merge '%s/a' '%s/b' --out '%s/e' >/dev/null 2>&1",
             source(), dir, dir, source(), dir, source(), dir, dir, dir, dir, dir, dir);
    CHECK_INT(system(cmd), 0);
    char part[600];
    snprintf(part, sizeof(part), "%s/d", dir);
    check_holds(part, 21, (const int64_t[]){0, 2, 4, 6}, 4);
    snprintf(part, sizeof(part), "%s/h/000-home-1", dir);
    check_holds(part, 30, all, 4);
    snprintf(part, sizeof(part), "%s/h/001-home--2-", dir);
    check_holds(part, 30, all + 4, 3);
    snprintf(cmd, sizeof(cmd), FW_BIN " data filter '%s' --where 'length < 1' --out '%s/n' >/dev/null 2>&1", source(),
             dir);
    CHECK(WEXITSTATUS(system(cmd)) == 1);
    snprintf(cmd, sizeof(cmd), FW_BIN " data split '%s' --out '%s/n' >/dev/null 2>&1", source(), dir);
    CHECK(WEXITSTATUS(system(cmd)) == 2);
    OK(fw_remove_tree(dir, err));
}

static void the_source_is_removed(void) {
    OK(fw_remove_tree(source(), err));
}

FW_TEST_MAIN(T(v30_to_v21_and_back_keeps_everything), T(chosen_episodes_come_in_their_order_and_files_roll),
             T(an_interrupted_copy_resumes), T(expressions_choose), T(the_verbs_split_and_filter),
             T(the_source_is_removed))
