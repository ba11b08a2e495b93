/* the frame of the program: what every verb promises, asked of the program itself */
#include <jansson.h>
#include <sys/wait.h>

#include "fw_test.h"

static char out[1 << 16], errs[1 << 16];

static void slurp(const char *path, char *to, size_t cap) {
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    to[fread(to, 1, cap - 1, f)] = 0;
    fclose(f);
    remove(path);
}

/* Exit code of `flywheel ARGS`; fills out and errs. */
static int run(const char *args) {
    char cmd[1024];
    snprintf(cmd, sizeof(cmd), "%s %s >cli_test.out 2>cli_test.err </dev/null", FW_BIN, args);
    int st = system(cmd);
    slurp("cli_test.out", out, sizeof(out));
    slurp("cli_test.err", errs, sizeof(errs));
    CHECK(WIFEXITED(st));
    return WEXITSTATUS(st);
}

/* Calls fn with each verb of the table that `flywheel PROG --help` prints. */
static void each_verb(const char *prog, void (*fn)(const char *verb)) {
    char args[64], table[4096], verb[64];
    int n = 0;
    snprintf(args, sizeof(args), "%s --help", prog);
    CHECK_INT(run(args), 0);
    CHECK(strncmp(out, "example:\n  flywheel ", 20) == 0);
    const char *verbs = strstr(out, "VERB [ARGUMENTS]"); /* the example stands above the table */
    CHECK(verbs != NULL);
    snprintf(table, sizeof(table), "%.4000s", verbs);
    for (char *save, *line = strtok_r(table, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        if (line[0] == ' ' && sscanf(line, " %40[a-z0-9]", verb) == 1) {
            fn(verb);
            n++;
        }
    }
    CHECK(n > 0);
}

static char prefix[32];

static void check_help(const char *verb) {
    char args[128];
    snprintf(args, sizeof(args), "%s %s --help", prefix, verb);
    if (run(args) != 0 || errs[0] != 0) {
        FW_FAILED("flywheel %s: wanted exit 0 and silence on stderr, found '%.200s'", args, errs);
    }
    if (strstr(out, "VERB [ARGUMENTS]") != NULL) { /* a verb with parts: each of them */
        CHECK(prefix[0] == 0);
        snprintf(prefix, sizeof(prefix), "%s", verb);
        each_verb(verb, check_help);
        prefix[0] = 0;
    } else if (strncmp(out, "example:\n  flywheel ", 20) != 0) {
        FW_FAILED("flywheel %s begins with '%.60s', wanted an example", args, out);
    }
}

static void help_of_every_verb_begins_with_an_example(void) {
    each_verb("", check_help);
}

static void check_refuses(const char *verb) {
    char args[128];
    snprintf(args, sizeof(args), "%s --no-such-flag", verb);
    if (run(args) != 2 || out[0] != 0 || errs[0] == 0) {
        FW_FAILED("flywheel %s: wanted exit 2 and a line on stderr only, found '%.80s' '%.80s'", args, out, errs);
    }
}

static void every_verb_answers_an_unknown_flag_with_a_usage_error(void) {
    each_verb("", check_refuses);
}

static void usage_errors_end_with_2_and_name_the_nearest_verb(void) {
    CHECK_INT(run(""), 2);
    CHECK_INT(run("versoin"), 2);
    CHECK(strstr(errs, "versoin") != NULL && strstr(errs, "did you mean 'version'?") != NULL);
    CHECK_INT(run("zzzzzzzz"), 2);
    CHECK(strstr(errs, "did you mean") == NULL);
}

static void json_is_exactly_one_object_on_stdout(void) {
    CHECK_INT(run("version --json"), 0);
    json_t *j = json_loads(out, 0, NULL); /* refuses anything after the object */
    CHECK(json_is_object(j) && json_is_string(json_object_get(j, "version")));
    json_decref(j);
}

static void a_closed_stdout_is_a_failure(void) {
    int st = system(FW_BIN " version --json >/dev/full 2>cli_test.err");
    slurp("cli_test.err", errs, sizeof(errs));
    CHECK(WIFEXITED(st) && WEXITSTATUS(st) == 1 && strstr(errs, "stdout") != NULL);
}

static void write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL && fputs(text, f) >= 0);
    fclose(f);
}

/* 3 both, 4 only A, 0 only B, 1 neither of 8; exact p of 4 : 0 is 2/16. */
static void compare_pairs_results_scene_by_scene(void) {
    write_text("cli_a.json", "{\"outcomes\": {\"x\": [1,1,1,1], \"y\": [1,1,1,0]}, \"seeds\": [7, 9, 11, 13]}");
    write_text("cli_b.json", "{\"outcomes\": {\"x\": [1,0,1,0], \"y\": [0,1,0,0]}, \"seeds\": [7, 9, 11, 13]}");
    write_text("cli_c.json", "{\"outcomes\": {\"x\": [1,0,1,0], \"y\": [0,1,0,0]}, \"seeds\": [7, 9, 11, 14]}");
    CHECK_INT(run("compare cli_a.json cli_b.json --json"), 0);
    json_t *j = json_loads(out, 0, NULL);
    CHECK(j != NULL);
    CHECK_INT(json_integer_value(json_object_get(j, "both")), 3);
    CHECK_INT(json_integer_value(json_object_get(j, "only_a")), 4);
    CHECK_INT(json_integer_value(json_object_get(j, "only_b")), 0);
    CHECK_INT(json_integer_value(json_object_get(j, "neither")), 1);
    CHECK(json_real_value(json_object_get(j, "p_mcnemar")) == 0.125);
    CHECK_INT(json_integer_value(json_object_get(json_object_get(json_object_get(j, "tasks"), "y"), "only_a")), 2);
    json_decref(j);
    CHECK_INT(run("compare cli_a.json cli_b.json"), 0);
    CHECK(strstr(out, "all                    8    87.5 %    37.5 %      3      4      0       1   0.125") != NULL);
    CHECK_INT(run("compare cli_a.json cli_c.json"), 1);
    CHECK(strstr(errs, "different scenes") != NULL);
    CHECK_INT(run("compare cli_a.json ."), 1);
    CHECK(strstr(errs, ". is a policy: wants --suite NAME") != NULL);
    CHECK_INT(run("compare cli_a.json nowhere.json"), 1);
    CHECK_INT(run("compare cli_a.json"), 2);
    remove("cli_a.json"), remove("cli_b.json"), remove("cli_c.json");
}

FW_TEST_MAIN(T(help_of_every_verb_begins_with_an_example), T(every_verb_answers_an_unknown_flag_with_a_usage_error),
             T(usage_errors_end_with_2_and_name_the_nearest_verb), T(json_is_exactly_one_object_on_stdout),
             T(a_closed_stdout_is_a_failure), T(compare_pairs_results_scene_by_scene))
