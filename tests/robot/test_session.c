/* A robot among people, on a clock that the test moves: modes, the operators' token, take-over, the record, a full disk. */
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "data/dataset.h"
#include "robot/control_rig.h"
#include "robot/session.h"

static fw_err err;
#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != FW_OK)                                                                                           \
            FW_FAILED("%s: %s", #call, err.msg);                                                                       \
    } while (0)
#define REFUSED(call, code, text)                                                                                      \
    do {                                                                                                               \
        CHECK_INT(call, code);                                                                                         \
        CHECK(strstr(err.msg, text) != NULL);                                                                          \
    } while (0)

/* An arm in a person's hand: limp, and measured. */
static float g_lead[AXES];
static bool g_lead_numb;

static fw_status lead_read(fw_driver_dev *d, fw_driver_state *out, fw_err *e) {
    (void)d;
    memset(out, 0, sizeof *out);
    out->n_axis = AXES;
    for (int i = 0; i < AXES; i++) {
        out->axis[i] = (fw_driver_sample){
            .valid = !g_lead_numb, .t_ns = g_plant.clock->now_ns(g_plant.clock->self), .position = g_lead[i]};
    }
    return g_lead_numb ? fw_fail(e, FW_TIMEOUT, "leader: no answer") : FW_OK;
}

static fw_status lead_write(fw_driver_dev *d, const fw_driver_command *c, fw_err *e) {
    (void)d;
    return c->torque_on ? fw_fail(e, FW_INVALID, "leader: it is held by a hand") : FW_OK;
}

static const fw_driver_api lead_api = {FW_DRIVER_ABI, sizeof(fw_driver_api), "leader",    "",
                                       plant_open,    plant_describe,        plant_start, lead_read,
                                       lead_write,    plant_frame,           plant_stop,  plant_stop};

typedef struct scene {
    fw_driver *leader;
    rig r;
    sine policy;
    fw_session *s;
    fw_session_status at;
    char dir[256];
    float most; /* largest change of a command in a cycle since it was set to 0 */
} scene;

static void open_scene(scene *k, const char *name) {
    memset(k, 0, sizeof *k);
    g_lead_numb = false;
    k->policy = sine_policy(8);
    rig_open(&k->r, &k->policy, 0);
    snprintf(k->dir, sizeof k->dir, "%s/fw_session_%s_%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", name,
             (int)getpid());
    OK(fw_remove_tree(k->dir, &err));
    for (int i = 0; i < AXES; i++) {
        k->policy.body.state[i].name[0] = k->policy.body.action[i].name[0] = (char)('a' + i);
    }
    fw_session_opts o = FW_SESSION_OPTS_DEFAULT;
    o.control = k->r.c, o.body = fw_driver_get_info(k->r.driver), o.limits = &k->r.limits;
    o.embodiment = &k->policy.body, o.has_policy = true, o.clock = &k->r.clock, o.record = k->dir, o.home = "home-3";
    OK(fw_driver_open_api(&lead_api, "{}", &k->leader, &err));
    OK(fw_driver_start(k->leader, &err));
    o.leader = strcmp(name, "token") != 0 ? k->leader : NULL;
    OK(fw_session_new(&o, &k->s, &err));
}

static void close_scene(scene *k) {
    fw_session_free(k->s);
    rig_close(&k->r);
    fw_driver_close(&k->leader);
    OK(fw_remove_tree(k->dir, &err));
}

/* The robot, the policy and the session live on for so long. */
static void pass(scene *k, double seconds) {
    for (int i = 0; i < (int)lround(seconds / 0.02); i++) {
        for (int c = 0; c < 4; c++) {
            float before[AXES];
            memcpy(before, k->r.s.command, sizeof before);
            live(&k->r, 1);
            for (int a = 0; a < AXES && k->r.s.cycle > 1; a++) {
                k->most = fmaxf(k->most, fabsf(k->r.s.command[a] - before[a]));
            }
        }
        fw_session_tick(k->s);
        usleep(500); /* the recorder's threads run on real time */
    }
    fw_session_get(k->s, &k->at);
}

/* The operator says the same 20 times a second. */
static void drive(scene *k, uint64_t who, double seconds, float a, float b) {
    const float share[AXES] = {a, b};
    for (int i = 0; i < (int)lround(seconds / 0.04); i++) {
        OK(fw_session_move(k->s, who, share, &err));
        pass(k, 0.04);
    }
}

static void start(scene *k) {
    OK(fw_session_say(k->s, "wave", &err));
    OK(fw_session_run(k->s, &err));
    pass(k, 1.5);
    CHECK_INT(k->at.control.mode, FW_SAFETY_AUTONOMOUS);
}

static void a_take_over_bends_the_motion_and_is_labelled(void) {
    static scene k;
    open_scene(&k, "take");
    start(&k);
    pass(&k, 1.0);
    k.most = 0;
    const float before = k.at.control.command[0];
    OK(fw_session_take(k.s, 5, false, &err));
    drive(&k, 5, 0.4, 0, 0);
    CHECK_INT(k.at.control.mode, FW_SAFETY_TELEOPERATED);
    CHECK(k.at.holder == 5 && fabsf(k.at.control.command[0] - before) < 0.2f); /* it braked where it was */
    const float from = k.at.control.command[0];
    drive(&k, 5, 1.0, 0.5f, 0);
    CHECK(k.at.control.command[0] - from > 0.3f); /* half of half of 2 rad/s for a second: 0.5 rad */
    OK(fw_session_give(k.s, 5, &err));
    pass(&k, 2.0);
    CHECK_INT(k.at.control.mode, FW_SAFETY_AUTONOMOUS);
    CHECK_INT(k.at.control.latched, 0);
    CHECK(k.most <= 2.0f * 0.005f * 1.001f); /* never faster than the axes may: no jump */
    fw_session_pause(k.s);
    OK(fw_session_mark(k.s, 5, FW_SESSION_GOOD, "", &err));
    pass(&k, 0.5);
    CHECK_INT(k.at.control.mode, FW_SAFETY_STANDBY);
    CHECK(!k.at.within && k.at.episodes == 1);
    fw_session_free(k.s);
    fw_dataset *ds;
    fw_episode_marks m;
    fw_episode e;
    OK(fw_dataset_open(k.dir, &ds, &err));
    CHECK_INT(ds->n_episodes, 1);
    const fw_provenance p = fw_dataset_provenance(ds, 0);
    CHECK(p.source == FW_SOURCE_INTERVENTION && p.success == 1);
    OK(fw_dataset_read_marks(ds, 0, &m, &err));
    OK(fw_dataset_read_episode(ds, 0, &e, &err));
    int touched = 0;
    for (int64_t t = 0; t < m.length; t++) {
        touched += m.m.intervention[t];
    }
    CHECK(touched >= 13 && touched <= 15); /* 1.4 s of 10 Hz */
    CHECK(m.length >= 57 && m.length <= 61);
    for (int64_t t = 1; t < e.length; t++) { /* what was commanded is where the next state goes */
        CHECK(fabsf(e.action[(t - 1) * AXES] - e.state[t * AXES]) < 0.1f);
    }
    fw_episode_clear(&e);
    fw_episode_marks_clear(&m);
    fw_dataset_close(ds);
    k.s = NULL;
    close_scene(&k);
}

static void one_operator_holds_the_token(void) {
    static scene k;
    const float share[AXES] = {0, 0};
    open_scene(&k, "token");
    start(&k);
    OK(fw_session_take(k.s, 5, false, &err));
    OK(fw_session_take(k.s, 5, false, &err)); /* he has it */
    REFUSED(fw_session_take(k.s, 6, false, &err), FW_AGAIN, "operator 5 moves it");
    REFUSED(fw_session_move(k.s, 6, share, &err), FW_AGAIN, "take over first");
    REFUSED(fw_session_give(k.s, 6, &err), FW_AGAIN, "take over first");
    REFUSED(fw_session_run(k.s, &err), FW_AGAIN, "a person moves it");
    REFUSED(fw_session_take(k.s, 5, true, &err), FW_INVALID, "no leader arm");
    fw_session_left(k.s, 6); /* means nothing */
    drive(&k, 5, 0.4, 0, 0);
    CHECK_INT(k.at.control.mode, FW_SAFETY_TELEOPERATED);
    fw_session_press(k.s, true); /* anybody stops it */
    pass(&k, 0.2);
    CHECK_INT(k.at.control.severity, FW_SAFETY_SEV_STOP);
    CHECK(strstr(k.at.why, "stop") != NULL);
    REFUSED(fw_session_take(k.s, 5, false, &err), FW_UNSAFE, "stop button");
    fw_session_press(k.s, false);
    REFUSED(fw_session_take(k.s, 5, false, &err), FW_UNSAFE, "acknowledge");
    fw_session_acknowledge(k.s);
    pass(&k, 0.2);
    OK(fw_session_give(k.s, 5, &err));
    OK(fw_session_take(k.s, 6, false, &err));
    drive(&k, 6, 0.4, 0, 0);
    CHECK(k.at.control.mode == FW_SAFETY_TELEOPERATED && k.at.holder == 6);
    close_scene(&k);
}

/* Holds, retracts to its posture, stops; moves again only when told. */
static void holds_retracts_stops(scene *k, uint32_t fault) {
    bool seen[FW_SAFETY_SEV_TERMINATE + 1] = {false};
    fw_safety_severity worst = FW_SAFETY_SEV_NONE;
    for (int i = 0; i < 400 && worst < FW_SAFETY_SEV_STOP; i++) {
        pass(k, 0.02);
        CHECK(k->at.control.severity >= worst);
        worst = k->at.control.severity;
        seen[worst] = true;
        CHECK(worst < FW_SAFETY_SEV_HOLD || k->at.why[0] != 0);
    }
    CHECK((k->at.control.latched & fault) != 0);
    CHECK(seen[FW_SAFETY_SEV_HOLD] && seen[FW_SAFETY_SEV_RETRACT] && worst == FW_SAFETY_SEV_STOP);
    CHECK(fabsf(k->at.control.position[0] - 0.25f) < 0.02f);
}

static void recovers_when_told(scene *k) {
    pass(k, 1);
    CHECK_INT(k->at.control.severity, FW_SAFETY_SEV_STOP); /* nothing by itself */
    REFUSED(fw_session_run(k->s, &err), FW_UNSAFE, "acknowledge first");
    fw_session_acknowledge(k->s);
    pass(k, 0.1);
    OK(fw_session_run(k->s, &err));
    pass(k, 1);
    CHECK_INT(k->at.control.mode, FW_SAFETY_AUTONOMOUS);
    CHECK(k->at.why[0] == 0);
}

static void an_operator_who_is_gone_is_missed(void) {
    static scene k;
    open_scene(&k, "gone");
    start(&k);
    OK(fw_session_take(k.s, 5, false, &err));
    drive(&k, 5, 0.5, 0.5f, 0);
    fw_session_left(k.s, 5); /* the page was closed while it moved */
    holds_retracts_stops(&k, FW_SAFETY_OPERATOR_LOST);
    recovers_when_told(&k);
    OK(fw_session_take(k.s, 5, false, &err));
    drive(&k, 5, 0.5, 0.5f, 0);
    holds_retracts_stops(&k, FW_SAFETY_OPERATOR_LOST); /* silent, but connected: the same */
    CHECK_INT(k.at.holder, 5);
    close_scene(&k);
}

static void fill_disk(bool full) {
    struct rlimit r;
    CHECK(getrlimit(RLIMIT_FSIZE, &r) == 0);
    r.rlim_cur = full ? 100 : r.rlim_max;
    CHECK(setrlimit(RLIMIT_FSIZE, &r) == 0);
}

static void a_robot_that_cannot_record_does_not_go_on(void) {
    static scene k;
    signal(SIGXFSZ, SIG_IGN);
    open_scene(&k, "full");
    start(&k);
    fill_disk(true);
    for (int i = 0; i < 100 && k.at.control.severity == FW_SAFETY_SEV_NONE; i++) {
        usleep(20000);
        pass(&k, 0.1);
    }
    CHECK(strstr(k.at.why, "cannot record") != NULL && strstr(k.at.why, "write") != NULL);
    holds_retracts_stops(&k, FW_SAFETY_COMMAND_STALE);
    fill_disk(false);
    for (int i = 0; i < 200 && strstr(k.at.why, "cannot record") != NULL; i++) {
        usleep(20000);
        pass(&k, 0.02);
    }
    recovers_when_told(&k);
    close_scene(&k);
}

/* A leader who stands elsewhere: the robot begins where it is and melts the difference away. */
static void joints_are_followed_from_where_the_robot_is(void) {
    static scene k;
    open_scene(&k, "joints");
    OK(fw_session_take(k.s, 9, false, &err));
    k.most = 0;
    float far[AXES] = {1.0f, -0.8f};
    OK(fw_session_joints(k.s, 9, far, &err));
    pass(&k, 0.1);
    for (int i = 0; i < 100; i++) {
        OK(fw_session_joints(k.s, 9, far, &err));
        pass(&k, 0.04);
        CHECK(k.at.control.command[0] < 0.45f * (0.1f + 0.04f * (float)(i + 1)) + 0.05f);
    }
    CHECK_INT(k.at.control.mode, FW_SAFETY_TELEOPERATED);
    CHECK(fabsf(k.at.control.position[0] - 1.0f) < 0.02f && fabsf(k.at.control.position[1] + 0.8f) < 0.02f);
    CHECK(k.most < 0.4f * 0.005f * 3); /* about sync rad/s, in 5 ms */
    far[0] = NAN;
    REFUSED(fw_session_joints(k.s, 9, far, &err), FW_FORMAT, "not a finite number");
    close_scene(&k);
}

/* The leader's pose is reached without a jump, then followed; a leader that does not answer is an operator who is gone. */
static void a_leader_arm_is_followed(void) {
    static scene k;
    open_scene(&k, "leader");
    start(&k);
    k.most = 0;
    g_lead[0] = 0.8f, g_lead[1] = -0.5f;
    OK(fw_session_take(k.s, 2, true, &err));
    pass(&k, 3.5);
    CHECK(k.at.control.mode == FW_SAFETY_TELEOPERATED && k.at.leader);
    CHECK(fabsf(k.at.control.position[0] - 0.8f) < 0.02f && fabsf(k.at.control.position[1] + 0.5f) < 0.02f);
    CHECK(k.most <= 2.0f * 0.005f * 1.001f);
    for (int i = 0; i < 50; i++) { /* a hand moves it at 0.5 rad/s */
        g_lead[0] -= 0.01f;
        pass(&k, 0.02);
    }
    pass(&k, 0.2);
    CHECK(fabsf(k.at.control.position[0] - 0.3f) < 0.02f);
    g_lead_numb = true;
    holds_retracts_stops(&k, FW_SAFETY_OPERATOR_LOST);
    close_scene(&k);
}

static void a_new_sentence_is_a_new_episode(void) {
    static scene k;
    open_scene(&k, "say");
    start(&k);
    OK(fw_session_say(k.s, "wave", &err)); /* the same: nothing new */
    pass(&k, 0.5);
    CHECK_INT(k.at.episodes, 0);
    OK(fw_session_say(k.s, "stir", &err));
    pass(&k, 1.0);
    CHECK_INT(k.at.episodes, 1);
    CHECK(k.at.within && k.at.frames < 12);
    fw_session_end_episode(k.s, 1);
    pass(&k, 0.5);
    CHECK_INT(k.at.episodes, 2);
    fw_session_off(k.s);
    pass(&k, 0.5);
    CHECK_INT(k.at.control.mode, FW_SAFETY_SILENT);
    CHECK_INT(k.at.episodes, 3);
    close_scene(&k);
}

FW_TEST_MAIN(T(a_take_over_bends_the_motion_and_is_labelled), T(one_operator_holds_the_token),
             T(an_operator_who_is_gone_is_missed), T(a_robot_that_cannot_record_does_not_go_on),
             T(joints_are_followed_from_where_the_robot_is), T(a_leader_arm_is_followed),
             T(a_new_sentence_is_a_new_episode))
