/* Provenance: what is given to the writer is what the reader says, frame by frame and episode by episode; what is not given is unknown. */
#include "make.h"

static const fw_field declared[] = {{.name = "seed_layout", .kind = FW_FIELD_INT},
                                    {.name = "task", .kind = FW_FIELD_TEXT},
                                    {.name = "difficulty", .kind = FW_FIELD_REAL}};

/* Episode e with its marks; odd ones say nothing but their seed. */
static fw_status add(fw_writer *w, int64_t e, fw_err *err) {
    static const char *const subtasks[] = {"reach the mug", "lift it"};
    int64_t n = mk_length(e), subtask[32], capture[32 * (1 + MK_CAMS)];
    uint8_t hand[32];
    float advantage[32];
    mk_episode ep;
    mk_make(&ep, e);
    for (int64_t t = 0; t < n; t++) {
        hand[t] = t % 3 == 1;
        advantage[t] = t % 4 == 0 ? NAN : (float)t - 2.5f;
        subtask[t] = t < 2 ? -1 : t % 2;
        for (int c = 0; c <= MK_CAMS; c++) {
            capture[t * (1 + MK_CAMS) + c] = 1790000000000000000ll + e * 1000000000 + t * 100000007 + c;
        }
    }
    const fw_field given[] = {{.name = "task", .kind = FW_FIELD_TEXT, .text = "mug"},
                              {.name = "seed_layout", .kind = FW_FIELD_INT, .i = 9007199254740993ll + e}};
    fw_provenance p = FW_PROVENANCE_UNKNOWN;
    p.n_fields = e % 2 == 0 ? 2 : 1;
    p.fields = e % 2 == 0 ? given : given + 1;
    if (e % 2 == 0) {
        p.source = FW_SOURCE_INTERVENTION;
        p.policy_id = "kitchen3-7";
        p.home = "home-17";
        p.consent = "train";
        p.control_mode = "ee_delta";
        p.quality = 0.75;
        p.success = 1;
        ep.w.marks = (fw_marks){hand, advantage, subtask, subtasks, 2, capture};
    }
    ep.w.provenance = &p;
    fw_status st = fw_writer_add_episode(w, &ep.w, err);
    mk_free(&ep);
    return st;
}

static fw_writer_desc desc(void) {
    fw_writer_desc d = mk_desc();
    d.marks = FW_MARK_INTERVENTION | FW_MARK_ADVANTAGE | FW_MARK_SUBTASK | FW_MARK_CAPTURE;
    d.fields = declared;
    d.n_fields = 3;
    return d;
}

static void check_known(fw_dataset *ds, int64_t at, int64_t e) {
    fw_provenance p = fw_dataset_provenance(ds, at);
    fw_episode_marks m;
    double v;
    CHECK(p.source == FW_SOURCE_INTERVENTION && p.success == 1 && p.quality == 0.75 && isnan(p.speed));
    CHECK(strcmp(p.home, "home-17") == 0 && strcmp(p.policy_id, "kitchen3-7") == 0);
    CHECK(strcmp(p.consent, "train") == 0 && strcmp(p.control_mode, "ee_delta") == 0);
    OK(fw_dataset_read_marks(ds, at, &m, err));
    CHECK_INT(m.length, mk_length(e));
    for (int64_t t = 0; t < m.length; t++) {
        CHECK(m.m.intervention[t] == (t % 3 == 1));
        CHECK(t % 4 == 0 ? isnan(m.m.advantage[t]) : m.m.advantage[t] == (float)t - 2.5f);
        if (t < 2) {
            CHECK_INT(m.m.subtask[t], -1);
        } else {
            CHECK(strcmp(m.m.subtasks[m.m.subtask[t]], t % 2 == 0 ? "reach the mug" : "lift it") == 0);
        }
        for (int c = 0; c <= MK_CAMS; c++) {
            CHECK_INT(m.m.capture_ns[t * (1 + MK_CAMS) + c],
                      1790000000000000000ll + e * 1000000000 + t * 100000007 + c);
        }
    }
    fw_episode_marks_clear(&m);
    const char *task;
    CHECK(fw_dataset_field_text(ds, at, "task", &task) && strcmp(task, "mug") == 0);
    CHECK(fw_dataset_field_number(ds, at, "difficulty", &v) && isnan(v));
    CHECK(!fw_dataset_field_number(ds, at, "home", &v) && !fw_dataset_field_text(ds, at, "no such", &task));
}

static void check_unknown(fw_dataset *ds, int64_t at, int64_t e) {
    fw_provenance p = fw_dataset_provenance(ds, at);
    fw_episode_marks m;
    CHECK(p.source == FW_SOURCE_UNKNOWN && p.success == -1 && isnan(p.quality) && p.home[0] == 0);
    OK(fw_dataset_read_marks(ds, at, &m, err));
    for (int64_t t = 0; t < mk_length(e); t++) {
        CHECK(m.m.intervention[t] == 0 && isnan(m.m.advantage[t]) && m.m.subtask[t] == -1 &&
              m.m.capture_ns[t * (1 + MK_CAMS)] == 0);
    }
    fw_episode_marks_clear(&m);
}

static void check_all(const char *dir, int64_t n) {
    fw_dataset *ds;
    fw_findings f;
    OK(fw_dataset_open(dir, &ds, err));
    CHECK_INT(ds->n_episodes, n);
    CHECK_INT(ds->marks, 15);
    for (int64_t e = 0; e < n; e++) {
        mk_check_episode(ds, e, e, 4.0);
        if (e % 2 == 0) {
            check_known(ds, e, e);
        } else {
            check_unknown(ds, e, e);
        }
    }
    fw_dataset_close(ds);
    OK(fw_dataset_check(dir, NULL, &f, err));
    if (f.n > 0)
        FW_FAILED("check: %s: %s", f.item[0].kind, f.item[0].text);
    fw_findings_clear(&f);
}

static void what_is_written_is_read_also_after_continuing(void) {
    const char *dir = mk_dir("provenance");
    fw_writer_desc d = desc();
    fw_writer *w;
    OK(fw_writer_open(dir, &d, &w, err));
    for (int64_t e = 0; e < 4; e++) {
        OK(add(w, e, err));
    }
    OK(fw_writer_close(w, err));
    check_all(dir, 4);
    d.marks = 0; /* the dataset's own columns rule */
    d.n_fields = 0;
    OK(fw_writer_open(dir, &d, &w, err));
    OK(add(w, 4, err));
    OK(add(w, 5, err));
    OK(fw_writer_close(w, err));
    check_all(dir, 6);
    OK(fw_remove_tree(dir, err));
}

static void what_has_no_column_is_refused(void) {
    const char *dir = mk_dir("no_column");
    static const fw_field wrong[] = {{.name = "home", .kind = FW_FIELD_TEXT}};
    fw_writer_desc d = mk_desc();
    fw_writer *w;
    OK(fw_writer_open(dir, &d, &w, err));
    FAILS(add(w, 0, err), FW_INVALID, "'intervention' is given, the dataset has no such column");
    FAILS(add(w, 1, err), FW_INVALID, "field 'seed_layout' is not a field of this dataset");
    fw_writer_abort(w);
    OK(fw_remove_tree(dir, err));
    d.fields = wrong;
    d.n_fields = 1;
    FAILS(fw_writer_open(dir, &d, &w, err), FW_INVALID, "field 'home': the name is taken");
    OK(fw_remove_tree(dir, err));
}

FW_TEST_MAIN(T(what_is_written_is_read_also_after_continuing), T(what_has_no_column_is_refused))
