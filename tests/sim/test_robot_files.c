/* ctest: timeout=120 */
/* Embodiment files with one slip each: one line that names the file, the place and what was wanted; nothing else happens. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "fw_test.h"
#include "sim/robot.h"

static char home[64];

static void must(fw_status st, const fw_err *err) {
    if (st != FW_OK) {
        FW_FAILED("%s", err->msg);
    }
}

/* A home of its own: the real packages, and an embodiment "slip" written by each test. */
static void make_home(void) {
    fw_err err;
    char deps[1024], from[1024], dir[128];
    strcpy(home, "/tmp/fw_robot_XXXXXX");
    CHECK(mkdtemp(home) != NULL);
    must(fw_path_join(from, sizeof from, fw_home(), ".deps", &err), &err);
    snprintf(deps, sizeof deps, "%s/.deps", home);
    CHECK_INT(symlink(from, deps), 0);
    snprintf(dir, sizeof dir, "%s/embodiments", home);
    must(fw_mkdirs(dir, &err), &err);
}

static void drop_home(void) {
    fw_err err;
    char deps[128];
    snprintf(deps, sizeof deps, "%s/.deps", home);
    CHECK_INT(unlink(deps), 0);
    must(fw_remove_tree(home, &err), &err);
}

static fw_status load_slip(const char *text, size_t n, fw_err *err) {
    char path[128];
    fw_robot *r = NULL;
    snprintf(path, sizeof path, "%s/embodiments/slip.json", home);
    must(fw_file_write_atomic(path, text, n, err), err);
    fw_status st = robot_load(home, "slip", &r, err);
    robot_free(r);
    return st;
}

typedef struct slip {
    const char *robot, *from, *to, *said;
} slip;

/* The robot's file with the first `from` after "model" replaced. *out owned */
static void make_slip(const slip *s, char **out, size_t *out_n) {
    fw_err err;
    char path[1024], name[96], *text;
    size_t n;
    snprintf(name, sizeof name, "embodiments/%s.json", s->robot);
    must(fw_path_join(path, sizeof path, fw_home(), name, &err), &err);
    must(fw_file_read(path, 1 << 20, &text, &n, &err), &err);
    char *own = strstr(text, s->robot), *model = strstr(text, "\"model\""), *at = strstr(model, s->from);
    if (at == NULL) {
        FW_FAILED("%s has no %s", path, s->from);
    }
    size_t cap = n + strlen(s->to) + 8;
    *out = malloc(cap);
    CHECK(*out != NULL);
    int k = snprintf(*out, cap, "%.*sslip%.*s%s%s", (int)(own - text), text, (int)(at - own - (long)strlen(s->robot)),
                     own + strlen(s->robot), s->to, at + strlen(s->from));
    *out_n = (size_t)k;
    free(text);
}

static const slip slips[] = {
    {"xarm7", "\"joint4\", ", "\"joint44\", ", "no joint \"joint44\""},
    {"xarm7", "\"kp\": [4500, 4500,", "\"kp\": [4500, -1,", "arms[0].kp: wanted a number above 0, found -1"},
    {"xarm7", "\"armature\": 0.1", "\"amature\": 0.1", "unknown key 'amature'"},
    {"xarm7", "\"home\": [0, ", "\"home\": [", "'home'"},
    {"xarm7", "xarm7/robot.xml", "xarm8/robot.xml", "xarm8/robot.xml"},
    {"xarm7", "\"body\": \"base\"", "\"body\": \"bass\"", "found no \"bass\""},
    {"xarm7", "\"to\": \"right_hand\"", "\"to\": \"left_hand\"", "found no \"left_hand\""},
    {"xarm7", "\"prefix\": \"hand_\",", "", "repeated name 'black'"},
    {"xarm7", "group=\\\"1\\\"", "group=\\\"7\\\"", "to mend"},
    {"xarm7", "link[67]", "link[89]", "geoms[4] (body \"\", geom \"\", mesh \"link[89]\") fits no geom"},
    {"xarm7", "\"fingers\": [\"hand_left_finger\"", "\"fingers\": [\"left_finger\"", "no body \"left_finger\""},
    {"xarm7", "\"start\": {\"pos\": [0.4", "\"start\": {\"pos\": [4", "x = 4 is outside the arm's space, 0.2 to 0.8"},
    {"so101", "\"yaw\": [-0.3, 3.4]", "\"yaw\": [-0.3, 3.4], \"turn\": 4",
     "space.turn: wanted a yaw within -0.3 to 3.4, found 4"},
    {"xarm7", "\"fovy\": 47", "\"fovy\": 470", "cameras[0].fovy: wanted 1 to 170 degrees, found 470"},
    {"xarm7", "\"far_m\": 0.58", "\"far_m\": 0.2", "reach.far_m - near_m: wanted a number above 0"},
    {"xarm7", "\"body\": \"right_hand\", \"pos\": [-0.085", "\"body\": \"left_hand\", \"pos\": [-0.085",
     "\"left_hand\" for camera \"wrist\""},
    /* grippers that no hand has */
    {"xarm7", "\"open\": [0, 0,", "\"open\": [0.85, 0,", "open and closed are both 0.85"},
    {"so101", "\"closed\": [-0.17]", "\"closed\": [1.5]", "wanted pads that part steadily from closed to open"},
    {"so101", "\"force\": 1,", "\"force\": 0,", "gripper.force: wanted a number above 0, found 0"},
    {"so101", "\"opening_m\": 0.051", "\"opening_m\": 0.51", "opening_m is 510.0 mm, yet its pads part by"},
    {"so101", "{\"geom\": \"moving_finger_pad\"", "{\"geom\": \"static_finger_pad\"",
     "finger \"moving_jaw_so101_v1\" has no pad"},
    {"so101", "\"tilt\": 0.003", "\"tilt\": 0", "tilt: wanted a number above 0"},
};

static void each_slip_is_one_clear_line(void) {
    make_home();
    for (size_t i = 0; i < sizeof slips / sizeof *slips; i++) {
        fw_err err = {FW_OK, ""};
        char *text;
        size_t n;
        make_slip(&slips[i], &text, &n);
        fw_status st = load_slip(text, n, &err);
        if (st == FW_OK || strstr(err.msg, slips[i].said) == NULL || strchr(err.msg, '\n') != NULL ||
            strstr(err.msg, "slip") == NULL) {
            FW_FAILED("%s -> %s: wanted \"%s\", found %d \"%s\"", slips[i].from, slips[i].to, slips[i].said, (int)st,
                      err.msg);
        }
        free(text);
    }
    drop_home();
}

/* The canary: the same way with nothing wrong. */
static void a_file_without_a_slip_loads(void) {
    static const slip none = {"so101", "\"force\": 1,", "\"force\": 1.0,", ""};
    fw_err err = {FW_OK, ""};
    char *text;
    size_t n;
    make_home();
    make_slip(&none, &text, &n);
    must(load_slip(text, n, &err), &err);
    free(text);
    drop_home();
}

/* Copy a file of the home's packages, or leave it out (`without`). */
static void copy_except(const char *dir, const char *without) {
    fw_err err;
    char from[1200], to[256], **names;
    size_t n_name;
    snprintf(from, sizeof from, "%s/.deps/%s", fw_home(), dir);
    must(fw_list_dir(from, &names, &n_name, &err), &err);
    snprintf(to, sizeof to, "%s/.deps/%s", home, dir);
    must(fw_mkdirs(to, &err), &err);
    for (size_t i = 0; i < n_name; i++) {
        char a[1600], b[600];
        snprintf(a, sizeof a, "%s/%s", from, names[i]);
        snprintf(b, sizeof b, "%s/%s", to, names[i]);
        if (strcmp(names[i], without) != 0 && !fw_path_is_dir(a)) {
            CHECK_INT(symlink(a, b), 0);
        }
    }
    fw_names_free(names, n_name);
}

static void a_missing_mesh_is_named(void) {
    static const slip none = {"so101", "\"force\": 1,", "\"force\": 1.0,", ""};
    fw_err err = {FW_OK, ""};
    char *text, deps[128];
    size_t n;
    make_home();
    snprintf(deps, sizeof deps, "%s/.deps", home);
    CHECK_INT(unlink(deps), 0);
    copy_except("so101", "");
    copy_except("so101/assets", "upper_arm_so101_v1.stl");
    make_slip(&none, &text, &n);
    CHECK(load_slip(text, n, &err) != FW_OK);
    fprintf(stderr, "%s\n", err.msg);
    CHECK(strstr(err.msg, "upper_arm_so101_v1.stl") != NULL && strchr(err.msg, '\n') == NULL);
    free(text);
    must(fw_remove_tree(home, &err), &err);
}

FW_TEST_MAIN(T(each_slip_is_one_clear_line), T(a_file_without_a_slip_loads), T(a_missing_mesh_is_named))
