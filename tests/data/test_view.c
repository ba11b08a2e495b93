#include <string.h>

#include "data/view.h"
#include "data/view_int.h"
#include "make.h"

static char root[64];

static const char *at(const char *name) {
    static char path[4][300];
    static int k;
    k = (k + 1) % 4;
    snprintf(path[k], sizeof path[k], "%s/%s", root, name);
    return path[k];
}

static void start(void) {
    snprintf(root, sizeof root, "/tmp/fw_view_%d", (int)getpid());
    OK(fw_remove_tree(root, err));
    OK(fw_mkdirs(root, err));
}

static void finish(void) {
    OK(fw_remove_tree(root, err));
}

/* The page of dataset `name`: owned. */
static char *page_of(const char *name, fw_view_opts opts, fw_view_result *r) {
    char *text = NULL;
    size_t n = 0;
    OK(fw_dataset_view(at(name), at("page.html"), &opts, r, err));
    OK(fw_file_read(at("page.html"), 1 << 26, &text, &n, err));
    CHECK_INT(r->bytes, n);
    return text;
}

static int times(const char *text, const char *what) {
    int n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what)) {
        n++;
    }
    return n;
}

static void text_of_others_is_escaped(void) {
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"<b>&\"'</b>", "&lt;b&gt;&amp;&quot;&#39;&lt;/b&gt;"},
        {"stra\xC3\x9F"
         "e \xF0\x9F\x8D\x8C",
         "stra\xC3\x9F"
         "e \xF0\x9F\x8D\x8C"},
        {"a\nb\tc", "a b c"},
        {"\x01\x7F\xC2\x85", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xC0\xBC"
         "script",
         "\xEF\xBF\xBD\xEF\xBF\xBDscript"}, /* '<' in two bytes */
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xE2\x82", "\xEF\xBF\xBD\xEF\xBF\xBD"}, /* cut off */
        {NULL, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        view_page p = {.text = NULL};
        view_add(&p, "[");
        view_text(&p, cases[i].in);
        view_add(&p, "]");
        CHECK(p.text[0] == '[' && p.text[p.n - 1] == ']');
        p.text[p.n - 1] = 0;
        if (strcmp(p.text + 1, cases[i].out) != 0) {
            FW_FAILED("case %d: '%s'", (int)i, p.text + 1);
        }
        free(p.text);
    }
}

static void curves_keep_their_extremes(void) {
    float x[3000];
    view_page p = {.text = NULL};
    for (int i = 0; i < 3000; i++) {
        x[i] = i == 1234 ? 1 : 0;
    }
    view_curve(&p, x, 3000, 1, 0, 1);
    CHECK(strstr(p.text, "M0 100") != NULL && strstr(p.text, "-100") != NULL && p.n < 400);
    p.n = 0;
    x[1] = NAN;
    view_curve(&p, x, 3, 1, 0, 1);
    CHECK(times(p.text, "M") == 2); /* a gap */
    free(p.text);
}

/* Text between `from` and `to`: owned. */
static char *between(const char *text, const char *from, const char *to) {
    const char *a = strstr(text, from), *b = a != NULL ? strstr(a, to) : NULL;
    CHECK(b != NULL);
    a += strlen(from);
    char *out = strndup(a, (size_t)(b - a));
    CHECK(out != NULL);
    return out;
}

/* What the page may run and show is in it, and nothing else may. */
static void check_sealed(const char *text) {
    static const char *const parts[2][2] = {{"<script>", "</script>"}, {"<style>", "</style>"}};
    char *policy = between(text, "Content-Security-Policy\" content=\"", "\"");
    CHECK(strstr(policy, "default-src 'none'") != NULL && strstr(policy, "unsafe") == NULL);
    for (int i = 0; i < 2; i++) {
        view_page hash = {.text = NULL};
        char *inner = between(text, parts[i][0], parts[i][1]);
        view_hash(&hash, inner);
        CHECK_INT(hash.n, 44);
        CHECK(strstr(policy, hash.text) != NULL);
        free(hash.text);
        free(inner);
    }
    free(policy);
    CHECK_INT(times(text, "<script"), 1);
    CHECK_INT(times(text, "<style"), 1);
    CHECK_INT(times(text, "src=\"") - times(text, "src=\"data:image/jpeg;base64,"), 0);
    CHECK(strstr(text, "http:") == NULL && strstr(text, "https:") == NULL && strstr(text, "<link") == NULL &&
          strstr(text, "@import") == NULL && strstr(text, "url(") == NULL && strstr(text, " style=") == NULL);
    CHECK_INT(times(text, "<article"), times(text, "</article>"));
    CHECK_INT(times(text, "<div"), times(text, "</div>"));
    CHECK_INT(times(text, "<svg"), times(text, "</svg>"));
}

static void a_page_needs_nothing_but_itself(void) {
    fw_view_result r;
    start();
    mk_dataset(at("d"), 0, 5);
    char *text = page_of("d", (fw_view_opts){.limit = 20}, &r);
    CHECK(r.episodes == 5 && r.shown == 5 && r.findings == 0);
    check_sealed(text);
    CHECK_INT(times(text, "<img "), 5 * MK_CAMS);
    CHECK_INT(times(text, "class=\"plot over\""), 5 * (MK_NS + MK_NA));
    CHECK(strstr(text, "nothing wrong") != NULL && strstr(text, "put the mug in the &quot;sink&quot;, please") != NULL);
    CHECK(strstr(text, "class=\"trouble\"") == NULL);
    free(text);
    text = page_of("d", (fw_view_opts){.limit = 3}, &r); /* the first, the last, and between */
    CHECK(r.shown == 3 && strstr(text, "3 of 5 are shown, evenly spread") != NULL);
    CHECK(strstr(text, "id=\"ep0\"") != NULL && strstr(text, "id=\"ep2\"") != NULL &&
          strstr(text, "id=\"ep4\"") != NULL);
    free(text);
    const int64_t chosen[] = {3, 1};
    text = page_of("d", (fw_view_opts){.episodes = chosen, .n_episodes = 2}, &r);
    CHECK(r.shown == 2 && strstr(text, "id=\"ep3\"") < strstr(text, "id=\"ep1\"") && times(text, "<article") == 2);
    free(text);
    finish();
}

#define HOSTILE "</bdi></script><script>alert(1)</script><img src=\"https:x\" onerror=alert(1)>&amp;'"

/* Everything that a dataset may say, said by somebody who means harm. */
static void hostile_text_stays_text(void) {
    static const char *const names[MK_NS] = {HOSTILE, "\"><b>", "a", "b", "c", "d"};
    static const fw_field field = {.name = "<i>\"", .kind = FW_FIELD_TEXT, .text = HOSTILE};
    static const char *const steps[] = {HOSTILE, "\"onload=\"alert(1)"};
    fw_writer_desc d = mk_desc();
    fw_writer *w;
    mk_episode m;
    fw_view_result r;
    start();
    d.robot_type = HOSTILE;
    d.state_names = names;
    d.cameras[0].name = "x\"onerror=\"alert(1)";
    d.marks = FW_MARK_SUBTASK | FW_MARK_INTERVENTION | FW_MARK_ADVANTAGE;
    d.n_fields = 1, d.fields = &field;
    OK(fw_writer_open(at("<d>"), &d, &w, err));
    mk_make(&m, 0);
    int64_t subtask[64];
    uint8_t hand[64];
    float advantage[64];
    for (int t = 0; t < 64; t++) {
        subtask[t] = t < 4 ? 0 : t < 6 ? -1 : 1, hand[t] = t > 5, advantage[t] = t == 2 ? NAN : 0.5f;
    }
    fw_provenance prov = FW_PROVENANCE_UNKNOWN;
    prov.home = prov.policy_id = prov.consent = HOSTILE;
    prov.source = FW_SOURCE_INTERVENTION;
    prov.n_fields = 1, prov.fields = &field;
    m.w.sentence = HOSTILE;
    m.w.provenance = &prov;
    m.w.marks = (fw_marks){
        .subtask = subtask, .subtasks = steps, .n_subtasks = 2, .intervention = hand, .advantage = advantage};
    OK(fw_writer_add_episode(w, &m.w, err));
    OK(fw_writer_close(w, err));
    mk_free(&m);
    char *text = page_of("<d>", (fw_view_opts){.limit = 0}, &r);
    CHECK_INT(times(text, "<script"), 1);
    CHECK_INT(times(text, "<b>alert") + times(text, "<img src") + times(text, "\"onload") + times(text, "\"onerror"),
              0);
    CHECK(times(text, "&lt;script&gt;alert(1)") >=
          7); /* robot, sentence twice, name, step, field, home, policy, consent */
    CHECK(strstr(text, "<dt>&lt;i&gt;&quot;</dt><dd><bdi>&lt;/bdi&gt;") != NULL);
    CHECK(strstr(text, "<h4>steps</h4>") != NULL && strstr(text, "<h4>interventions") != NULL);
    CHECK(strstr(text, ">advantage<") != NULL);
    free(text);
    finish();
}

/* A page is for looking at bad datasets too: what cannot be read is said where it would have been. */
static void what_is_broken_is_shown_as_broken(void) {
    fw_view_result r;
    start();
    mk_dataset(at("d"), 0, 4); /* sealed after three: two files each */
    OK(fw_remove_tree(at("d/videos/observation.images.wrist/chunk-000/file-001.mp4"), err));
    OK(fw_file_write_atomic(at("d/data/chunk-000/file-001.parquet"), "PAR1", 4, err));
    char *text = page_of("d", (fw_view_opts){.limit = 0}, &r);
    CHECK(r.findings >= 2 && r.shown == 4);
    CHECK_INT(times(text, "<img "), 3 * MK_CAMS + 1);
    CHECK_INT(times(text, "class=\"plot over\""), 3 * (MK_NS + MK_NA));
    CHECK(strstr(text, "<td>missing_file</td>") != NULL);
    CHECK_INT(times(text, "class=\"trouble\""), 3); /* statistics, a camera, the numbers */
    free(text);
    FAILS(fw_dataset_view(at("nowhere"), at("x.html"), &(fw_view_opts){.limit = 1}, NULL, err), FW_IO, "nowhere");
    FAILS(fw_dataset_view(at("d"), at("no/x.html"), &(fw_view_opts){.limit = 1}, NULL, err), FW_IO, "x.html");
    finish();
}

FW_TEST_MAIN(T(text_of_others_is_escaped), T(curves_keep_their_extremes), T(a_page_needs_nothing_but_itself),
             T(hostile_text_stays_text), T(what_is_broken_is_shown_as_broken))
