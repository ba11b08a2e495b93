/* What a robot is allowed: what ships loads, what is wrong in a file is named, a user can only tighten, and links are where the robot's are. */
#include "robot/limits.h"

#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "fw_test.h"
#include "safety/safety_int.h"
#include "sim/robot.h"

static void must(fw_status st, const fw_err *err) {
    if (st != FW_OK) {
        FW_FAILED("%s", err->msg);
    }
}

/* The section of an embodiment: owned. */
static json_t *section(const char *name) {
    char path[1024];
    json_t *j;
    fw_err err;
    snprintf(path, sizeof path, "%s/embodiments/%s.json", fw_home(), name);
    must(fw_json_load(path, &j, &err), &err);
    json_t *s = json_deep_copy(json_object_get(j, "safety"));
    json_decref(j);
    return s;
}

/* Refused, nothing touched, and the message has all of these words. s: consumed. */
static void refused(json_t *s, const char *const words[], size_t n) {
    fw_safety_limits l, untouched;
    fw_err err = {FW_OK, ""};
    memset(&l, 0x5a, sizeof l);
    untouched = l;
    CHECK_INT(fw_limits_from_json(s, "here: safety", &l, NULL, &err), FW_FORMAT);
    CHECK(memcmp(&l, &untouched, sizeof l) == 0);
    CHECK(strncmp(err.msg, "here: safety", 12) == 0);
    for (size_t i = 0; i < n; i++) {
        if (strstr(err.msg, words[i]) == NULL) {
            FW_FAILED("wanted \"%s\" in: %s", words[i], err.msg);
        }
    }
    json_decref(s);
}
#define REFUSED(s, ...)                                                                                                \
    refused(s, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void what_ships_loads_and_is_right(void) {
    char **files;
    size_t n, with = 0;
    fw_err err;
    char dir[1024], name[FW_NAME_MAX];
    snprintf(dir, sizeof dir, "%s/embodiments", fw_home());
    must(fw_list_dir(dir, &files, &n, &err), &err);
    for (size_t i = 0; i < n; i++) {
        fw_safety_limits l;
        fw_limits_names names;
        snprintf(name, sizeof name, "%.*s", (int)(strlen(files[i]) - 5), files[i]);
        const fw_status st = fw_limits_load(fw_home(), name, &l, &names, &err);
        if (st == FW_UNSUPPORTED) {
            CHECK(strstr(err.msg, files[i]) != NULL && strstr(err.msg, "'safety'") != NULL);
            continue;
        }
        must(st, &err);
        with++;
        CHECK(fw_safety_limits_check(&l).what == FW_SAFETY_LIMITS_OK);
        CHECK(l.n_axis >= 1 && names.axis[l.n_axis - 1][0] != 0 && l.n_link >= 1);
    }
    CHECK(with >= 2);
    fw_names_free(files, n);
}

/* Numbers arrive where they belong: some of each kind, read off the file by eye. */
static void numbers_arrive_where_they_belong(void) {
    fw_safety_limits l;
    fw_limits_names names;
    fw_err err;
    must(fw_limits_load(fw_home(), "panda_kitchen", &l, &names, &err), &err);
    CHECK(l.n_axis == 8 && strcmp(names.axis[7], "finger_joint1") == 0 && l.period_us == 5000);
    CHECK(l.axis[1].position_min == -1.7628f && l.axis[3].position_max == -0.0698f && l.axis[6].velocity == 1.6f);
    CHECK(l.axis[0].jerk == 7500 && l.axis[7].acceleration == 1 && l.axis[5].torque == 12);
    CHECK(l.axis[5].retract == 2.4f && l.axis[7].grip == -1 && l.axis[6].grip == 0 && l.can_retract);
    CHECK(l.late_us == 60000 && l.sensor_us == 100000 && l.command_us == 150000 && l.hold_us == 1000000);
    CHECK(l.retract_us == 15000000 && l.heartbeat_us[FW_SAFETY_POLICY] == 1000000 &&
          l.heartbeat_us[FW_SAFETY_OPERATOR] == 150000);
    const fw_safety_link *f = &l.link[10];
    CHECK(l.n_link == 11 && strcmp(names.link[10], "rightfinger") == 0 && f->slide && f->scale == -1 && f->parent == 8);
    CHECK(f->axis == 7 && f->about[1] == 1 && f->about[2] == 0 && f->radius == 0.017f && f->confined && f->capsule);
    CHECK(l.link[8].axis == FW_SAFETY_NOBODY && l.link[1].about[2] == 1 && l.link[1].scale == 1 && !l.link[1].confined);
    CHECK(l.workspace.max[2] == 1.2f && l.n_pair == 7 && l.pair[6][0] == 2 && l.pair[6][1] == 8 && l.margin == 0.01f);
}

static void every_key_is_wanted_and_no_other(void) {
    json_t *all = section("so101");
    const char *key;
    json_t *v;
    int n = 0;
    json_object_foreach(all, key, v) {
        json_t *s = json_deep_copy(all);
        json_object_del(s, key);
        if (strcmp(key, "sources") == 0) {
            fw_safety_limits l;
            CHECK(fw_limits_from_json(s, "here", &l, NULL, NULL) == FW_OK);
            json_decref(s);
        } else {
            REFUSED(s, key);
        }
        s = json_deep_copy(all);
        json_object_set_new(s, key, json_string("NaN"));
        REFUSED(s, key);
        s = json_deep_copy(all);
        json_object_set_new(s, key, json_null());
        REFUSED(s, key);
        n++;
    }
    CHECK_INT(n, 33);
    json_object_set_new(all, "velocty", json_array());
    REFUSED(all, "velocty");
}

static void every_list_is_as_long_as_the_axes(void) {
    json_t *all = section("so101");
    const char *key;
    json_t *v;
    int n = 0;
    json_object_foreach(all, key, v) {
        if (!json_is_array(v) || json_array_size(v) != 6 || strcmp(key, "links") == 0) {
            continue;
        }
        const bool names = strcmp(key, "axes") == 0;
        char third[64];
        snprintf(third, sizeof third, "%s[3]", key);
        json_t *s = json_deep_copy(all);
        json_array_append(json_object_get(s, key), json_array_get(v, 5));
        REFUSED(s, key);
        s = json_deep_copy(all);
        json_array_remove(json_object_get(s, key), 5);
        if (names) { /* then it is the others that are too long */
            REFUSED(s, "wanted 5 numbers, found 6");
        } else {
            REFUSED(s, key, "wanted 6 numbers, found 5");
        }
        s = json_deep_copy(all);
        json_array_set_new(json_object_get(s, key), 3, names ? json_integer(3) : json_string("0.5"));
        REFUSED(s, third);
        s = json_deep_copy(all);
        json_array_set_new(json_object_get(s, key), 3, json_real(1e30));
        REFUSED(s, third);
        n++;
    }
    CHECK_INT(n, 15);
    json_decref(all);
}

static json_t *put(const char *list, size_t i, const char *key, json_t *v) {
    json_t *s = section("so101");
    json_t *one = json_array_get(json_object_get(s, list), i);
    if (key == NULL) {
        json_array_set_new(json_object_get(s, list), i, v);
    } else if (v == NULL) {
        json_object_del(one, key);
    } else {
        json_object_set_new(one, key, v);
    }
    return s;
}

static void links_boxes_and_pairs_are_looked_at(void) {
    static const char *const wanted[] = {"parent", "axis", "pos", "quat", "from", "to", "confined"};
    for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++) {
        REFUSED(put("links", 2, wanted[k], NULL), "links[2]", wanted[k]);
        REFUSED(put("links", 2, wanted[k], json_string("1")), "links[2]", wanted[k]);
    }
    REFUSED(put("links", 2, "radius", NULL), "links[2]", "without a 'radius'");
    REFUSED(put("links", 2, "radius", json_integer(30)), "links[2]", "radius", "1e-06..2");
    REFUSED(put("links", 2, "radios", json_real(0.1)), "links[2]", "radios");
    REFUSED(put("links", 2, "name", json_string("")), "links[2]", "name");
    REFUSED(put("links", 2, "parent", json_integer(2)), "links[2]", "-1..1", "2");
    REFUSED(put("links", 2, "axis", json_integer(6)), "links[2]", "-1..5");
    REFUSED(put("links", 2, "pos", json_pack("[i,i,i]", 0, 0, 112)), "links[2]", "pos[2]", "112"); /* mm */
    REFUSED(put("links", 2, "quat", json_pack("[f,i,i,i]", 0.5, 0, 0, 0)), "lower_arm", "unit length");
    REFUSED(put("links", 2, "scale", json_real(1e9)), "links[2]", "scale");
    REFUSED(put("pairs", 1, NULL, json_pack("[i,i]", 0, 6)), "pairs[1]", "0..5");
    REFUSED(put("pairs", 1, NULL, json_pack("[i,i]", 3, 3)), "pairs[1]", "twice");
    REFUSED(put("pairs", 1, NULL, json_pack("[i]", 3)), "pairs[1]", "two links");
    json_t *s = section("so101"),
           *one = json_pack("{s:[i,i,i],s:[i,i,i],s:[i]}", "min", 0, 0, 0, "max", 1, 1, 0, "links", 1);
    json_array_append_new(json_object_get(s, "keepouts"), one);
    REFUSED(s, "keepouts[0]", "max[2]");
    s = section("so101");
    json_object_del(json_object_get(s, "workspace"), "min");
    REFUSED(s, "workspace", "min");
    s = section("so101");
    json_object_set_new(json_object_get(s, "heartbeat_us"), "dog", json_integer(100000));
    REFUSED(s, "heartbeat_us", "dog");
}

static void another_unit_is_noticed(void) {
    json_t *s = section("so101");
    json_array_set_new(json_object_get(s, "position_min"), 2, json_integer(-97)); /* degrees */
    REFUSED(s, "position_min[2]", "elbow_flex", "rad", "-97");
    s = section("so101");
    json_array_set_new(json_object_get(s, "velocity"), 5, json_integer(86));
    REFUSED(s, "velocity[5]", "gripper", "rad/s", "86");
    s = section("so101");
    json_object_set_new(s, "sensor_us", json_integer(50)); /* ms */
    REFUSED(s, "sensor_us", "at least 5000 microseconds", "50");
    s = section("so101");
    json_object_set_new(s, "sensor_us", json_real(0.05)); /* s */
    REFUSED(s, "sensor_us", "integer");
    s = section("so101");
    json_object_set_new(json_object_get(s, "heartbeat_us"), "policy", json_integer(1000));
    REFUSED(s, "heartbeat_us", "policy", "microseconds");
    s = section("so101");
    json_object_set_new(s, "margin", json_integer(5)); /* mm */
    REFUSED(s, "margin", "0..1");
}

/* What safety itself refuses is said in words, with the axis' name. */
static void the_verdict_has_words(void) {
    json_t *s = section("so101");
    json_array_set_new(json_object_get(s, "velocity"), 2, json_real(15));
    REFUSED(s, "elbow_flex", "stop from full speed within 100 ms");
    s = section("so101");
    json_array_set_new(json_object_get(s, "retract"), 1, json_real(1.8));
    REFUSED(s, "shoulder_lift", "retract: wanted inside the position limits");
    s = section("so101");
    json_array_set_new(json_object_get(s, "clamp"), 0, json_real(2));
    REFUSED(s, "shoulder_pan", "clamp at most that");
    char text[160];
    for (int what = 0; what <= FW_SAFETY_LIMITS_MARGIN + 1; what++) {
        fw_safety_limits_error e = {(fw_safety_limits_what)what, 3};
        CHECK(strlen(fw_limits_text(e, NULL, text, sizeof text)) > 3);
    }
    CHECK(strstr(text, "unknown") != NULL);
    fw_safety_limits_error late = {FW_SAFETY_LIMITS_TIMEOUT, 2};
    CHECK(strncmp(fw_limits_text(late, NULL, text, sizeof text), "command_us: ", 12) == 0);
}

/* NaN is no JSON: the line is named. */
static void files_are_named(void) {
    char home[64], path[128];
    fw_safety_limits l;
    fw_err err;
    snprintf(home, sizeof home, "/tmp/fw_limits_%d", (int)getpid());
    snprintf(path, sizeof path, "%s/embodiments", home);
    must(fw_mkdirs(path, &err), &err);
    snprintf(path, sizeof path, "%s/embodiments/odd.json", home);
    static const char nan_text[] = "{\"safety\": {\n\"velocity\": [NaN]}}", none[] = "{\"name\": \"odd\"}",
                      short_one[] = "{\"safety\": {\"axes\": [\"a\"]}}";
    must(fw_file_write_atomic(path, nan_text, sizeof nan_text - 1, &err), &err);
    CHECK(fw_limits_load(home, "odd", &l, NULL, &err) == FW_FORMAT && strstr(err.msg, "odd.json: line 2") != NULL);
    must(fw_file_write_atomic(path, none, sizeof none - 1, &err), &err);
    CHECK(fw_limits_load(home, "odd", &l, NULL, &err) == FW_UNSUPPORTED && strstr(err.msg, "odd.json") != NULL);
    must(fw_file_write_atomic(path, short_one, sizeof short_one - 1, &err), &err);
    CHECK(fw_limits_load(home, "odd", &l, NULL, &err) == FW_FORMAT &&
          strstr(err.msg, "embodiments/odd.json: safety") != NULL && strstr(err.msg, "period_us") != NULL);
    CHECK(fw_limits_load(home, "even", &l, NULL, &err) == FW_IO && strstr(err.msg, "even.json") != NULL);
    CHECK(fw_limits_load(home, "../odd", &l, NULL, &err) == FW_INVALID);
    must(fw_remove_tree(home, &err), &err);
}

static fw_status narrowed(const char *text, fw_safety_limits *l, fw_err *err) {
    json_t *j;
    fw_limits_names names;
    must(fw_limits_load(fw_home(), "so101", l, &names, err), err);
    must(fw_json_parse(text, strlen(text), "user.json", &j, err), err);
    const fw_status st = fw_limits_tighten_json(j, "user.json", l, &names, err);
    json_decref(j);
    return st;
}

static void a_user_can_only_tighten(void) {
    fw_safety_limits l, was;
    fw_err err;
    must(fw_limits_load(fw_home(), "so101", &was, NULL, &err), &err);
    must(narrowed(
             "{\"speed\": 0.5, \"torque\": [2,2,2,2,2,0.5], \"torque_release\": [1,1,1,1,1,0.2], \"margin\": 0.01, "
             "\"command_us\": 120000,"
             " \"workspace\": {\"min\": [-0.1,-0.3,0], \"max\": [0.4,0.3,0.5]}, \"heartbeat_us\": {\"policy\": 500000},"
             " \"keepouts\": [{\"name\": \"cup\", \"min\": [0.2,0.2,0], \"max\": [0.3,0.3,0.1], \"links\": [3,4,5]}]}",
             &l, &err),
         &err);
    CHECK(l.axis[2].velocity == 0.75f && l.axis[4].torque == 2 && l.margin == 0.01f && l.command_us == 120000);
    CHECK(l.workspace.min[0] == -0.1f && l.heartbeat_us[FW_SAFETY_POLICY] == 500000 && l.sensor_us == was.sensor_us);
    CHECK(l.n_keepout == 1 && l.keepout[0].links == 0x38 && l.axis[2].position_min == was.axis[2].position_min);
    static const struct {
        const char *text, *words[2];
    } loose[] = {
        {"{\"velocity\": [1.5,1.5,1.6,1.5,1.5,1.5]}", {"'velocity' of elbow_flex", "1.6 is looser"}},
        {"{\"position_min\": [-1.9,-1.9,-1.69,-1.658,-2.7,-0.1]}", {"position_min", "shoulder_lift"}},
        {"{\"position_max\": [1.9,1.7453,1.69,1.658,2.8,2]}", {"position_max", "gripper"}},
        {"{\"contact\": [1,1.5,1,0.6,0.6,9]}", {"contact", "gripper"}},
        {"{\"margin\": 0.001}", {"margin", "looser"}},
        {"{\"sensor_us\": 60000}", {"sensor_us", "looser"}},
        {"{\"heartbeat_us\": {\"operator\": 200000}}", {"operator", "looser"}},
        {"{\"workspace\": {\"min\": [-0.1,-0.3,0], \"max\": [0.6,0.3,0.5]}}", {"workspace", "looser"}},
        {"{\"speed\": 1.5}", {"speed", "1.5"}},
        {"{\"speed\": 0}", {"speed", "found 0"}},
        {"{\"noise\": [0,0,0,0,0,0]}", {"noise", "unknown key"}},
        {"{\"period_us\": 1000}", {"period_us", "unknown key"}},
        {"{\"velocity\": [1]}", {"velocity", "wanted 6 numbers"}},
        {"{\"torque\": [1,1,1,1,1,1]}", {"shoulder_pan", "torque_release at most that"}},
        {"{\"acceleration\": [9,9,9,9,9,9]}", {"shoulder_pan", "within 100 ms"}},
    };
    for (size_t i = 0; i < sizeof loose / sizeof *loose; i++) {
        CHECK_INT(narrowed(loose[i].text, &l, &err), FW_FORMAT);
        if (strstr(err.msg, loose[i].words[0]) == NULL || strstr(err.msg, loose[i].words[1]) == NULL ||
            strstr(err.msg, "user.json") == NULL) {
            FW_FAILED("%s: %s", loose[i].text, err.msg);
        }
        CHECK(memcmp(&l, &was, sizeof l) == 0);
    }
}

/* ---- the same robot in MuJoCo */

typedef struct body {
    mjModel *m;
    mjData *d;
    fw_safety_limits l;
    fw_limits_names names;
} body;

static body open_body(const char *name) {
    body b;
    fw_robot *r;
    fw_err err;
    must(fw_limits_load(fw_home(), name, &b.l, &b.names, &err), &err);
    must(robot_load(fw_home(), name, &r, &err), &err);
    mjSpec *s = mj_makeSpec();
    must(robot_attach(r, s, &err), &err);
    b.m = mj_compile(s, NULL);
    CHECK(b.m != NULL);
    b.d = mj_makeData(b.m);
    mj_deleteSpec(s);
    robot_free(r);
    return b;
}

static int joint_of(const body *b, const char *name) {
    const int j = mj_name2id(b->m, mjOBJ_JOINT, name);
    if (j < 0) {
        FW_FAILED("no joint %s", name);
    }
    return j;
}

/* Links are named as the model's bodies. */
static int body_of(const body *b, uint32_t link) {
    const int k = mj_name2id(b->m, mjOBJ_BODY, b->names.link[link]);
    if (k < 0) {
        FW_FAILED("no body for link %s", b->names.link[link]);
    }
    return k;
}

/* Where a point of the link is by safety's geometry, told apart from `at` by a box around it: clearance without any body. */
static double off_by(fw_safety_limits *l, uint32_t link, const float local[3], const double at[3], const float *q) {
    const float half = 1e-4f;
    for (uint32_t i = 0; i < l->n_link; i++) {
        l->link[i].capsule = l->link[i].confined = false;
    }
    l->n_pair = 0, l->n_keepout = 1;
    fw_safety_link *k = &l->link[link];
    k->capsule = true, k->radius = 0;
    memcpy(k->from, local, sizeof k->from);
    memcpy(k->to, local, sizeof k->to);
    l->keepout[0].links = 1U << link;
    for (int i = 0; i < 3; i++) {
        l->keepout[0].min[i] = (float)at[i] - half, l->keepout[0].max[i] = (float)at[i] + half;
    }
    return (double)fw_safety_clearance(l, q);
}

static void pose_at_random(body *b, fw_rng *rng, float *q) {
    for (uint32_t i = 0; i < b->l.n_axis; i++) {
        const fw_safety_axis *a = &b->l.axis[i];
        q[i] = a->position_min + (float)fw_rng_unit(rng) * (a->position_max - a->position_min);
        b->d->qpos[b->m->jnt_qposadr[joint_of(b, b->names.axis[i])]] = (double)q[i];
    }
    const int finger = mj_name2id(b->m, mjOBJ_JOINT, "finger_joint2");
    if (finger >= 0) { /* mirrored */
        b->d->qpos[b->m->jnt_qposadr[finger]] = -(double)q[b->l.n_axis - 1];
    }
    mj_kinematics(b->m, b->d);
}

static void check_links(const char *name) {
    static const float local[3][3] = {{0, 0, 0}, {0.1f, 0, 0}, {0, 0, 0.1f}};
    body b = open_body(name);
    fw_rng rng = fw_rng_stream(1, "postures");
    double worst = 0;
    for (int n = 0; n < 50; n++) {
        float q[FW_SAFETY_AXIS_MAX];
        pose_at_random(&b, &rng, q);
        for (uint32_t i = 0; i < b.l.n_link; i++) {
            const int k = body_of(&b, i);
            for (int p = 0; p < 3; p++) {
                const double point[3] = {(double)local[p][0], (double)local[p][1], (double)local[p][2]};
                double at[3];
                fw_safety_limits l = b.l;
                mju_mulMatVec3(at, b.d->xmat + 9 * k, point);
                mju_addTo3(at, b.d->xpos + 3 * k);
                const double off = off_by(&l, i, local[p], at, q);
                if (off > 1e-3) {
                    FW_FAILED("%s: link %s, posture %d, point %d: %.4f m from where MuJoCo has it", name,
                              b.names.link[i], n, p, off);
                }
                worst = fmax(worst, off);
                at[0] += 0.01; /* and a centimetre is seen */
                CHECK(fabs(off_by(&l, i, local[p], at, q) - 0.01) < 1e-3);
            }
        }
    }
    printf("# %s: links within %.5f m of MuJoCo's bodies, 50 postures\n", name, worst);
    mj_deleteData(b.d);
    mj_deleteModel(b.m);
}

static void links_are_where_the_robot_has_them(void) {

    check_links("so101");
    check_links("panda_kitchen");
}

/* m that a point of the link's frame is outside its capsule; negative inside. */
static double outside(const fw_safety_link *k, const double p[3]) {
    double along[3], from[3];
    for (int i = 0; i < 3; i++) {
        along[i] = (double)k->to[i] - (double)k->from[i];
        from[i] = p[i] - (double)k->from[i];
    }
    const double squared = mju_dot3(along, along);
    const double share = squared > 0 ? fmin(1, fmax(0, mju_dot3(from, along) / squared)) : 0;
    mju_addToScl3(from, along, -share);
    return mju_norm3(from) - (double)k->radius;
}

/* The link that a body belongs to: its own, or that of the one it is fixed to. -1: the base. */
static int link_of(const body *b, int k) {
    for (; k > 0; k = b->m->body_parentid[k]) {
        for (uint32_t i = 0; i < b->l.n_link; i++) {
            if (body_of(b, i) == k) {
                return (int)i;
            }
        }
    }
    return -1;
}

/* A point of a shape's body in the frame of a link that it is fixed to. */
static void to_link(const body *b, int k, uint32_t link, double p[3]) {
    for (; k != body_of(b, link); k = b->m->body_parentid[k]) {
        double q[3];
        mju_rotVecQuat(q, p, b->m->body_quat + 4 * k);
        mju_add3(p, q, b->m->body_pos + 3 * k);
    }
}

/* The farthest corner of a link's shapes outside its capsule. */
static double sticks_out(const body *b, uint32_t link) {
    const mjModel *m = b->m;
    double most = -1;
    for (int g = 0; g < m->ngeom; g++) {
        if (link_of(b, m->geom_bodyid[g]) != (int)link) {
            continue;
        }
        const bool mesh = m->geom_type[g] == mjGEOM_MESH;
        const int n = mesh ? m->mesh_vertnum[m->geom_dataid[g]] : 8;
        for (int i = 0; i < n; i++) {
            double v[3], p[3];
            for (int c = 0; c < 3; c++) {
                v[c] = mesh ? (double)m->mesh_vert[3 * (m->mesh_vertadr[m->geom_dataid[g]] + i) + c]
                            : ((i >> c) & 1 ? 1 : -1) * m->geom_aabb[6 * g + 3 + c] + m->geom_aabb[6 * g + c];
            }
            mju_rotVecQuat(p, v, m->geom_quat + 4 * g);
            mju_addTo3(p, m->geom_pos + 3 * g);
            to_link(b, m->geom_bodyid[g], link, p);
            most = fmax(most, outside(&b->l.link[link], p));
        }
    }
    return most;
}

static void capsules_hold_what_they_stand_for(void) {
    static const char *const robots[] = {"so101", "panda_kitchen"};
    for (int r = 0; r < 2; r++) {
        body b = open_body(robots[r]);
        for (uint32_t i = 0; i < b.l.n_link; i++) {
            const double out = sticks_out(&b, i);
            printf("# %s %s: %.1f mm\n", robots[r], b.names.link[i], 1e3 * out);
            CHECK(out > -0.01 && out <= 0); /* all of it, and not much more */
        }
        mj_deleteData(b.d);
        mj_deleteModel(b.m);
    }
}

FW_TEST_MAIN(T(what_ships_loads_and_is_right), T(numbers_arrive_where_they_belong), T(every_key_is_wanted_and_no_other),
             T(every_list_is_as_long_as_the_axes), T(links_boxes_and_pairs_are_looked_at), T(another_unit_is_noticed),
             T(the_verdict_has_words), T(files_are_named), T(a_user_can_only_tighten),
             T(links_are_where_the_robot_has_them), T(capsules_hold_what_they_stand_for))
