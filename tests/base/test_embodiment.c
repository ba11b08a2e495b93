#include "base/embodiment.h"

#include "fw_test.h"

static const char good[] =
    "{\"name\": \"arm\", \"rate_hz\": 10, \"cameras\": [{\"name\": \"front\", \"width\": 128, \"height\": 96}],"
    " \"state\": [{\"name\": \"q0\", \"meaning\": \"joint_pos\", \"min\": -1, \"max\": 2}],"
    " \"action\": [{\"name\": \"x\", \"meaning\": \"ee_delta_pos\", \"min\": -0.05, \"max\": 0.05},"
    "            {\"name\": \"g\", \"meaning\": \"gripper\", \"min\": 0, \"max\": 1}]}";

static fw_status read_text(const char *text, fw_embodiment *e, fw_err *err) {
    json_t *j;
    CHECK_INT(fw_json_parse(text, strlen(text), "arm.json", &j, err), FW_OK);
    fw_status s = fw_embodiment_from_json(j, "arm.json", e, err);
    json_decref(j);
    return s;
}

/* `good` with the first `from` replaced by `to` is refused, naming the file, `a` and `b` */
static void check_refused(const char *from, const char *to, const char *a, const char *b) {
    char text[1024];
    const char *at = strstr(good, from);
    fw_embodiment e = {.rate_hz = -1};
    fw_err err = {0};
    CHECK(at != NULL);
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    CHECK_INT(read_text(text, &e, &err), FW_FORMAT);
    CHECK(e.rate_hz == -1); /* untouched */
    if (!strstr(err.msg, "arm.json") || !strstr(err.msg, a) || !strstr(err.msg, b)) {
        FW_FAILED("message '%s' lacks arm.json, '%s' or '%s'", err.msg, a, b);
    }
}

static void a_good_file_reads_and_comes_back_the_same(void) {
    fw_embodiment e = {0}, f = {0};
    fw_err err = {0};
    CHECK_INT(read_text(good, &e, &err), FW_OK);
    CHECK(strcmp(e.name, "arm") == 0 && e.rate_hz == 10.0);
    CHECK(e.n_camera == 1 && e.n_state == 1 && e.n_action == 2);
    CHECK(e.camera[0].width == 128 && e.camera[0].height == 96);
    CHECK_INT(e.action[0].meaning, FW_MEANING_EE_DELTA_POS);
    CHECK(e.action[0].min == -0.05 && e.action[0].max == 0.05);
    json_t *j = fw_embodiment_to_json(&e);
    CHECK_INT(fw_embodiment_from_json(j, "again", &f, &err), FW_OK);
    json_decref(j);
    CHECK(memcmp(&e, &f, sizeof(e)) == 0);
}

static void what_is_wrong_is_named(void) {
    check_refused("\"rate_hz\": 10", "\"rate_hz\": 0", "'rate_hz'", "found 0");
    check_refused("\"rate_hz\": 10", "\"rate\": 10", "unknown key 'rate'", "rate_hz");
    check_refused("\"rate_hz\": 10,", "", "'rate_hz'", "found nothing");
    check_refused("joint_pos", "joint_po", "state[0]", "joint_po");
    check_refused("\"min\": -1", "\"min\": 3", "state[0]", "min < max");
    check_refused("\"width\": 128", "\"width\": 0", "cameras[0]", "1..8192");
    check_refused("\"name\": \"g\"", "\"name\": \"x\"", "action[1]", "taken by action[0]");
    check_refused("\"arm\"", "\"a/b\"", "'name'", "a/b");
    check_refused("\"arm\"", "\"0123456789012345678901234567890123456789012345678901234567890123\"", "'name'", "63");
    check_refused("\"state\": [{", "\"state\": [7, {", "state[0]", "the integer 7");
}

static void too_many_dimensions_are_refused(void) {
    json_t *j = json_loads(good, 0, NULL), *list = json_object_get(j, "state");
    fw_embodiment e;
    fw_err err = {0};
    for (int i = 0; i < FW_DIM_MAX; i++) {
        json_array_append_new(list, json_deep_copy(json_array_get(list, 0)));
    }
    CHECK_INT(fw_embodiment_from_json(j, "arm.json", &e, &err), FW_FORMAT);
    CHECK(strstr(err.msg, "'state'") != NULL && strstr(err.msg, "found 33") != NULL);
    json_array_clear(json_object_get(j, "action"));
    json_array_clear(list);
    CHECK_INT(fw_embodiment_from_json(j, "arm.json", &e, &err), FW_FORMAT); /* nothing to command */
    json_decref(j);
}

static void an_unknown_name_lists_the_known_ones(void) {
    fw_embodiment e;
    fw_err err = {0};
    CHECK_INT(fw_embodiment_find("no_such_robot", &e, &err), FW_INVALID);
    CHECK(strstr(err.msg, "no_such_robot") != NULL && strstr(err.msg, "panda_kitchen") != NULL);
    CHECK_INT(fw_embodiment_find("../embodiments/panda_kitchen", &e, &err), FW_INVALID);
    CHECK_INT(fw_embodiment_find("panda_kitchen", &e, &err), FW_OK);
    CHECK_INT(e.n_action, 5);
}

FW_TEST_MAIN(T(a_good_file_reads_and_comes_back_the_same), T(what_is_wrong_is_named),
             T(too_many_dimensions_are_refused), T(an_unknown_name_lists_the_known_ones))
