#include "base/json.h"

#include <unistd.h>

#include "base/file.h"
#include "fw_test.h"

#define WHERE "cfg.json"

static json_t *parse(const char *text) {
    json_t *j;
    fw_err e = {0};
    if (fw_json_parse(text, strlen(text), WHERE, &j, &e) != FW_OK) {
        FW_FAILED("%s", e.msg);
    }
    return j;
}

/* `s` failed and its message holds all of the words */
static void check_says(fw_status s, const fw_err *e, const char *a, const char *b, const char *c) {
    CHECK_INT(s, FW_FORMAT);
    if (!strstr(e->msg, WHERE) || !strstr(e->msg, a) || !strstr(e->msg, b) || !strstr(e->msg, c)) {
        FW_FAILED("message '%s' lacks '%s', '%s' or '%s'", e->msg, a, b, c);
    }
}

static void bad_text_is_refused_with_line_and_column(void) {
    json_t *j;
    fw_err e = {0};
    const char *bad[] = {"{\"a\": 1,\n \"a\": 2}", "{\"a\": NaN}",          "{\"a\": 1", "", "{\"a\": 1} x",
                         "{\"a\": 1e999}",         "{\"z\": \"a\\u0000b\"}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        check_says(fw_json_parse(bad[i], strlen(bad[i]), WHERE, &j, &e), &e, "line", "column", "");
        CHECK(j == NULL);
    }
    check_says(fw_json_parse(bad[0], strlen(bad[0]), WHERE, &j, &e), &e, "line 2", "duplicate", "a");
}

static void nesting_without_end_is_refused(void) {
    json_t *j;
    fw_err e = {0};
    char *deep = malloc(100000);
    CHECK(deep != NULL);
    memset(deep, '[', 100000);
    CHECK_INT(fw_json_parse(deep, 100000, WHERE, &j, &e), FW_FORMAT);
    free(deep);
}

static void getters_name_file_key_wanted_and_found(void) {
    json_t *j = parse("{\"s\": \"text\", \"i\": 7, \"f\": 1.5, \"b\": true, \"a\": [1, \"x\"]}");
    fw_err e = {0};
    const char *s;
    int64_t i;
    double f[2];
    bool b;
    const json_t *v;
    check_says(fw_json_str(j, "i", WHERE, &s, &e), &e, "'i'", "a string", "the integer 7");
    check_says(fw_json_str(j, "none", WHERE, &s, &e), &e, "'none'", "a string", "nothing");
    check_says(fw_json_i64(j, "f", WHERE, 0, 9, &i, &e), &e, "'f'", "an integer in 0..9", "1.5");
    check_says(fw_json_i64(j, "i", WHERE, 0, 5, &i, &e), &e, "'i'", "0..5", "7");
    check_says(fw_json_f64(j, "s", WHERE, f, &e), &e, "'s'", "a finite number", "\"text\"");
    check_says(fw_json_bool(j, "i", WHERE, &b, &e), &e, "'i'", "true or false", "7");
    check_says(fw_json_obj(j, "a", WHERE, &v, &e), &e, "'a'", "an object", "an array of 2");
    check_says(fw_json_arr(j, "b", WHERE, &v, &e), &e, "'b'", "an array", "true");
    check_says(fw_json_f64s(j, "a", WHERE, f, 3, &e), &e, "'a'", "wanted 3", "found 2");
    check_says(fw_json_f64s(j, "a", WHERE, f, 2, &e), &e, "'a[1]'", "a finite number", "\"x\"");
    check_says(fw_json_str(json_object_get(j, "a"), "k", WHERE, &s, &e), &e, "'k'", "an object", "an array of 2");
    check_says(fw_json_str(NULL, "k", WHERE, &s, &e), &e, "'k'", "an object", "nothing");
    json_decref(j);
}

static void getters_give_what_is_there(void) {
    json_t *j = parse("{\"s\": \"text\", \"i\": -7, \"f\": 1.5, \"b\": true, \"a\": [1, 2.5]}");
    const char *s;
    int64_t i;
    double f, a[2];
    bool b;
    CHECK_INT(fw_json_str(j, "s", WHERE, &s, NULL), FW_OK);
    CHECK(strcmp(s, "text") == 0);
    CHECK_INT(fw_json_i64(j, "i", WHERE, -10, 0, &i, NULL), FW_OK);
    CHECK_INT(i, -7);
    CHECK_INT(fw_json_f64(j, "i", WHERE, &f, NULL), FW_OK); /* an integer is a number */
    CHECK(f == -7.0);
    CHECK_INT(fw_json_bool(j, "b", WHERE, &b, NULL), FW_OK);
    CHECK(b);
    CHECK_INT(fw_json_f64s(j, "a", WHERE, a, 2, NULL), FW_OK);
    CHECK(a[0] == 1.0 && a[1] == 2.5);
    json_decref(j);
}

static void a_default_is_for_missing_keys_only(void) {
    json_t *j = parse("{\"i\": \"seven\"}");
    fw_err e = {0};
    int64_t i = 0;
    double f = 0;
    bool b = false;
    const char *s = NULL;
    CHECK_INT(fw_json_i64_or(j, "k", WHERE, 0, 9, 5, &i, NULL), FW_OK);
    CHECK_INT(i, 5);
    CHECK_INT(fw_json_f64_or(j, "k", WHERE, 0.5, &f, NULL), FW_OK);
    CHECK(f == 0.5);
    CHECK_INT(fw_json_bool_or(j, "k", WHERE, true, &b, NULL), FW_OK);
    CHECK(b);
    CHECK_INT(fw_json_str_or(j, "k", WHERE, "d", &s, NULL), FW_OK);
    CHECK(strcmp(s, "d") == 0);
    check_says(fw_json_i64_or(j, "i", WHERE, 0, 9, 5, &i, &e), &e, "'i'", "an integer", "seven");
    json_decref(j);
}

static void a_misspelt_key_is_refused(void) {
    static const char *const known[] = {"rate", "name", NULL};
    json_t *j = parse("{\"name\": 1, \"raet\": 2}");
    fw_err e = {0};
    check_says(fw_json_only(j, WHERE, known, &e), &e, "'raet'", "rate", "name");
    json_object_del(j, "raet");
    CHECK_INT(fw_json_only(j, WHERE, known, &e), FW_OK);
    json_decref(j);
}

static void a_saved_document_loads_equal(void) {
    const char *path = "json_test.json";
    json_t *j = parse("{\"b\": 0.1, \"a\": [1, null, \"\\u00e4\"], \"n\": 12345678901234}"), *k;
    CHECK_INT(fw_json_save(path, j, 4, NULL), FW_OK);
    CHECK_INT(fw_json_load(path, &k, NULL), FW_OK);
    CHECK(json_equal(j, k));
    json_decref(j);
    json_decref(k);
    unlink(path);
}

static void a_hostile_value_cannot_overflow_the_message(void) {
    char text[4096], key[1024];
    json_t *j;
    fw_err e = {0};
    const json_t *v;
    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = 0;
    snprintf(text, sizeof(text), "{\"%s\": \"%s%s\"}", key, key, key);
    j = parse(text);
    CHECK_INT(fw_json_arr(j, key, key, &v, &e), FW_FORMAT);
    CHECK(strstr(e.msg, "wanted an array") != NULL && strstr(e.msg, "found the string") != NULL);
    json_decref(j);
}

FW_TEST_MAIN(T(bad_text_is_refused_with_line_and_column), T(nesting_without_end_is_refused),
             T(getters_name_file_key_wanted_and_found), T(getters_give_what_is_there),
             T(a_default_is_for_missing_keys_only), T(a_misspelt_key_is_refused), T(a_saved_document_loads_equal),
             T(a_hostile_value_cannot_overflow_the_message))
