#include "base/args.h"

#include <unistd.h>

#include "fw_test.h"

static int64_t episodes;
static double noise;
static bool json;
static const char *out;
static fw_arg_list data;
static char *paths[20];
static int n_paths;
static char said[4000]; /* what the parser printed, on either stream */

static const fw_usage usage = {.verb = "sim make",
                               .example = "flywheel sim make kitchen3 --out d",
                               .what = "Make things.",
                               .paths = "SUITE",
                               .min_paths = 0,
                               .max_paths = 2};

static int run(const char *line) {
    static char copy[400];
    const fw_arg args[] = {FW_ARG_INT("episodes", &episodes, 1, 1000, "N", "how many"),
                           FW_ARG_F64("noise", &noise, -1.0, 1.0, "X", "how loud"),
                           FW_ARG_BOOL("json", &json, "one object"), FW_ARG_STR("out", &out, "DIR", "where to"),
                           FW_ARG_LIST("data", &data, "DIR", "from where")};
    episodes = 5, noise = 0.5, json = false, out = NULL, data.n = 0;
    int argc = 0;
    paths[argc++] = (char *)"make";
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *w = strtok(copy, " "); w != NULL; w = strtok(NULL, " ")) {
        paths[argc++] = w;
    }
    fflush(NULL);
    int keep_out = dup(1), keep_err = dup(2);
    FILE *f = tmpfile();
    CHECK(f != NULL && dup2(fileno(f), 1) == 1 && dup2(fileno(f), 2) == 2);
    int code = fw_args_parse(&usage, args, 5, argc, paths, &n_paths);
    fflush(NULL);
    dup2(keep_out, 1), dup2(keep_err, 2);
    close(keep_out), close(keep_err);
    rewind(f);
    said[fread(said, 1, sizeof(said) - 1, f)] = 0;
    fclose(f);
    return code;
}

static void check_error(const char *line, const char *a, const char *b) {
    CHECK_INT(run(line), 2);
    if (!strstr(said, "sim make") || !strstr(said, a) || !strstr(said, b)) {
        FW_FAILED("'%s' says '%s', which lacks '%s' or '%s'", line, said, a, b);
    }
}

static void flags_stand_anywhere_and_paths_are_free(void) {
    CHECK_INT(run("a --episodes 7 --json b --noise=-0.25 --out o"), FW_ARGS_GO);
    CHECK_INT(n_paths, 2);
    CHECK(strcmp(paths[1], "a") == 0 && strcmp(paths[2], "b") == 0);
    CHECK_INT(episodes, 7);
    CHECK(json && noise == -0.25 && strcmp(out, "o") == 0);
}

static void what_is_not_given_keeps_its_value(void) {
    CHECK_INT(run(""), FW_ARGS_GO);
    CHECK_INT(episodes, 5);
    CHECK(!json && noise == 0.5 && out == NULL && data.n == 0 && n_paths == 0);
}

static void a_negative_number_is_a_value_not_a_flag(void) {
    CHECK_INT(run("--noise -0.5"), FW_ARGS_GO);
    CHECK(noise == -0.5);
    CHECK_INT(run("--noise -.5"), FW_ARGS_GO);
}

static void a_list_takes_all_up_to_the_next_flag_and_may_come_again(void) {
    CHECK_INT(run("p --data a b c --json --data d"), FW_ARGS_GO);
    CHECK_INT(data.n, 4);
    CHECK(strcmp(data.item[0], "a") == 0 && strcmp(data.item[3], "d") == 0);
    CHECK_INT(n_paths, 1);
}

static void two_dashes_end_the_flags(void) {
    CHECK_INT(run("-- --json --help"), FW_ARGS_GO);
    CHECK(!json);
    CHECK_INT(n_paths, 2);
}

static void an_unknown_flag_is_named_with_the_nearest(void) {
    check_error("--episode 7", "--episode ", "did you mean --episodes?");
    check_error("--jsno", "--jsno", "--json");
    check_error("-e 7", "unknown flag --e", "");
    CHECK_INT(run("--zzzzzzzzz"), 2);
    CHECK(strstr(said, "did you mean") == NULL);
}

static void bad_values_name_flag_wanted_and_found(void) {
    check_error("--episodes 0", "--episodes", "1..1000");
    check_error("--episodes 1001", "--episodes", "'1001'");
    check_error("--episodes 99999999999999999999", "1..1000", "'99999999999999999999'");
    check_error("--episodes 7x", "an integer", "'7x'");
    check_error("--episodes=", "an integer", "''");
    check_error("--noise nan", "a number in -1..1", "'nan'");
    check_error("--noise 2", "-1..1", "'2'");
    check_error("--json=1", "--json takes no value", "'1'");
    check_error("--out", "--out wants a value", "DIR");
    check_error("--out --json", "--out wants a value", "DIR");
    check_error("a b c", "'c'", "too many");
}

static void help_begins_with_the_example_and_shows_defaults(void) {
    CHECK_INT(run("--bogus --help"), 0);
    CHECK(strncmp(said, "example:\n  flywheel sim make", 28) == 0);
    CHECK(strstr(said, "--episodes N") != NULL && strstr(said, "[5]") != NULL && strstr(said, "--data DIR...") != NULL);
}

FW_TEST_MAIN(T(flags_stand_anywhere_and_paths_are_free), T(what_is_not_given_keeps_its_value),
             T(a_negative_number_is_a_value_not_a_flag), T(a_list_takes_all_up_to_the_next_flag_and_may_come_again),
             T(two_dashes_end_the_flags), T(an_unknown_flag_is_named_with_the_nearest),
             T(bad_values_name_flag_wanted_and_found), T(help_begins_with_the_example_and_shows_defaults))
