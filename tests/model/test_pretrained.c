/* published policies behind fw_policy: an observation in the robot's units gives LeRobot's chunk in the robot's units */
#include "alloc_guard.h"
#include "policy_golden.h"

#include <unistd.h>

#include "model/pretrained.h"

/* Observation b of the golden: the cameras of the policy's robot that are in the file; owned by the test, leaked by none. */
static fw_obs observation(const golden *g, const fw_policy *p, int b, float *state) {
    fw_policy_info info;
    fw_policy_describe(p, &info);
    const fw_embodiment *e = info.embodiment;
    fw_obs o = {.n_image = e->n_camera, .n_state = e->n_state, .state = state, .instruction = "", .t_ns = 42};
    for (int i = 0; i < e->n_camera; i++) {
        char name[160];
        snprintf(name, sizeof name, "in.observation.images.%s", e->camera[i].name);
        const fw_st_tensor *t = fw_st_find(g->st, name);
        if (t != NULL) {
            size_t bytes = (size_t)(t->shape.d[1] * t->shape.d[2] * 3);
            o.image[i] =
                (fw_image){(const uint8_t *)t->data + (size_t)b * bytes, (int)t->shape.d[1], (int)t->shape.d[2]};
        }
    }
    float *all = golden_f32(g, "in.observation.state", NULL);
    memcpy(state, all + b * e->n_state, (size_t)e->n_state * sizeof *state);
    free(all);
    return o;
}

static fw_policy *open_named(const char *name) {
    fw_err err = {0};
    fw_policy *p = NULL;
    char dir[512];
    snprintf(dir, sizeof dir, POLICIES "%s", name);
    CHECK_OK(fw_policy_open(dir, NULL, &p, &err), err);
    return p;
}

static void act_gives_lerobots_chunk(void) {
    golden g = golden_open("act", "golden");
    fw_policy *p = open_named("act");
    fw_err err = {0};
    float state[8], both[2 * 8 * 4];
    for (int b = 0; b < 2; b++) {
        fw_obs o = observation(&g, p, b, state);
        fw_chunk c = {.actions = both + b * 32, .cap_horizon = 8};
        CHECK_OK(fw_policy_infer(p, &o, &c, &err), err);
        CHECK(c.horizon == 8 && c.n_action == 4 && c.t_ns == 42 && fabs(c.dt_s - 1.0 / 30.0) < 1e-12);
    }
    check_golden(&g, "out.chunk", both);
    fw_policy_close(p);
    fw_st_close(g.st);
}

static void act_ensembles_over_time_as_lerobot(void) {
    golden g = golden_open("act_ensemble", "golden");
    fw_policy *p = open_named("act_ensemble");
    fw_err err = {0};
    float state[8], got[12 * 4], *states = golden_f32(&g, "series.state", NULL);
    fw_policy_info info;
    fw_policy_describe(p, &info);
    CHECK(info.horizon == 1 && info.n_execute == 1);
    for (int again = 0; again < 2; again++) {
        for (int i = 0; i < 12; i++) {
            fw_obs o = observation(&g, p, 0, state);
            fw_chunk c = {.actions = got + i * 4, .cap_horizon = 1};
            o.state = states + i * 5;
            CHECK_OK(fw_policy_infer(p, &o, &c, &err), err);
            CHECK_INT(c.horizon, 1);
        }
        check_golden(&g, "series.action", got);
        fw_policy_reset(p); /* a new episode knows nothing of the last */
    }
    free(states);
    fw_policy_close(p);
    fw_st_close(g.st);
}

static void infer_allocates_nothing(void) {
    golden g = golden_open("act", "golden");
    fw_policy *p = open_named("act");
    fw_err err = {0};
    float state[8], out[32];
    fw_obs o = observation(&g, p, 0, state);
    fw_chunk c = {.actions = out, .cap_horizon = 8};
    CHECK_OK(fw_policy_infer(p, &o, &c, &err), err);
    fw_status st = FW_IO;
    CHECK_NO_ALLOC(st = fw_policy_infer(p, &o, &c, &err));
    CHECK_OK(st, err);
    fw_policy_close(p);
    fw_st_close(g.st);
}

static void an_observation_that_does_not_fit_is_refused(void) {
    golden g = golden_open("act", "golden");
    fw_policy *p = open_named("act");
    fw_err err = {0};
    float state[8], out[32] = {7.0f};
    fw_chunk c = {.actions = out, .cap_horizon = 8};
    fw_obs o = observation(&g, p, 0, state);
    o.image[1].rgb = NULL;
    CHECK_FAILS(fw_policy_infer(p, &o, &c, &err), err, FW_SHAPE, "camera 'wrist' is missing");
    o = observation(&g, p, 0, state);
    o.image[0].h = 20;
    CHECK_FAILS(fw_policy_infer(p, &o, &c, &err), err, FW_SHAPE,
                "camera 'top': image of 56 x 20 pixels, the policy wants 56 x 40");
    o = observation(&g, p, 0, state);
    o.n_state = 4;
    CHECK_FAILS(fw_policy_infer(p, &o, &c, &err), err, FW_SHAPE, "4 state values, embodiment act wants 5");
    o = observation(&g, p, 0, state);
    state[2] = NAN;
    CHECK_FAILS(fw_policy_infer(p, &o, &c, &err), err, FW_FORMAT, "state 'state_2' is nan");
    CHECK(out[0] == 7.0f);
    fw_policy_close(p);
    fw_st_close(g.st);
}

/* ---- directories that are wrong ---- */

static char dir[] = "/tmp/fw_pretrained_XXXXXX";

/* A copy of golden `name` in dir. */
static void copy_policy(const char *name) {
    char cmd[1200];
    if (strstr(dir, "XXXXXX") != NULL) {
        CHECK(mkdtemp(dir) != NULL);
    }
    snprintf(cmd, sizeof cmd, "rm -rf %s/* && cp " POLICIES "%s/* %s/ && rm %s/golden*", dir, name, dir, dir);
    CHECK_INT(system(cmd), 0);
}

/* The same file with tensor `name` gone, or (gone false) another one beside it. */
static void change_file(const char *file, const char *name, bool gone, fw_dtype dtype, fw_shape shape) {
    static float zeros[4096];
    fw_st_out t[400];
    char path[600];
    fw_st *st = NULL;
    fw_err err = {0};
    int n = 0;
    snprintf(path, sizeof path, "%s/%s", dir, file);
    CHECK_OK(fw_st_open(path, &st, &err), err);
    for (int i = 0; i < fw_st_count(st) && n < 399; i++) {
        const fw_st_tensor *s = fw_st_at(st, i);
        if (strcmp(s->name, name) != 0) {
            t[n++] = (fw_st_out){s->name, s->dtype, s->shape, s->data};
        }
    }
    if (!gone) {
        t[n++] = (fw_st_out){name, dtype, shape, zeros};
    }
    CHECK_OK(fw_st_write(path, t, n, NULL, &err), err);
    fw_st_close(st);
}

static void refused(fw_status status, const char *says) {
    fw_policy *p = NULL;
    fw_err err = {0};
    CHECK_FAILS(fw_policy_open(dir, NULL, &p, &err), err, status, says);
    CHECK(p == NULL);
}

static void a_checkpoint_that_does_not_fit_is_refused_by_name(void) {
    const fw_shape none = FW_SHAPE_OF(1), head = FW_SHAPE_OF(4, 23), odd = FW_SHAPE_OF(2, 2), right = FW_SHAPE_OF(4);
    copy_policy("act");
    change_file("model.safetensors", "model.action_head.weight", true, FW_F32, none);
    refused(FW_SHAPE, "tensor 'model.action_head.weight' [4,24] is missing");
    copy_policy("act");
    change_file("model.safetensors", "model.action_head.weight", false, FW_F32, head);
    refused(FW_SHAPE, "tensor 'model.action_head.weight' is [4,23], wanted [4,24]");
    copy_policy("act");
    change_file("model.safetensors", "model.action_head.bias", false, FW_I32, right);
    refused(FW_FORMAT, "tensor 'model.action_head.bias' is I32, wanted F32, F16 or BF16");
    copy_policy("act");
    change_file("model.safetensors", "model.second_head.weight", false, FW_F32, odd);
    refused(FW_SHAPE, "tensor 'model.second_head.weight' [2,2] is not part of this network");
    copy_policy("act");
    change_file("model.safetensors", "model.backbone.layer1.0.bn1.running_var", true, FW_F32, none);
    refused(FW_SHAPE, "tensor 'model.backbone.layer1.0.bn1.running_var' [4] is missing");
}

static void training_only_tensors_may_be_missing(void) {
    fw_policy *p = NULL;
    fw_err err = {0};
    copy_policy("act");
    change_file("model.safetensors", "model.vae_encoder_cls_embed.weight", true, FW_F32, FW_SHAPE_OF(1));
    CHECK_OK(fw_policy_open(dir, NULL, &p, &err), err);
    fw_policy_close(p);
}

static void a_missing_statistic_is_refused_by_name(void) {
    copy_policy("act");
    change_file("policy_preprocessor_step_3_normalizer_processor.safetensors", "observation.state.std", true, FW_F32,
                FW_SHAPE_OF(1));
    refused(FW_SHAPE, "observation.state.std");
    copy_policy("act");
    change_file("policy_postprocessor_step_0_unnormalizer_processor.safetensors", "action.mean", true, FW_F32,
                FW_SHAPE_OF(1));
    refused(FW_SHAPE, "action.mean");
}

/* A step that renames: the robot calls its pictures otherwise. */
static void cameras_go_by_the_robots_names(void) {
    char cmd[1200];
    fw_policy *p = NULL;
    fw_policy_info info;
    fw_err err = {0};
    copy_policy("act");
    snprintf(
        cmd, sizeof cmd,
        "sed -i 's/\"rename_map\": {}/\"rename_map\": {\"observation.images.cam_high\": \"observation.images.top\"}/' "
        "%s/policy_preprocessor.json",
        dir);
    CHECK_INT(system(cmd), 0);
    CHECK_OK(fw_policy_open(dir, NULL, &p, &err), err);
    fw_policy_describe(p, &info);
    CHECK(strcmp(info.embodiment->camera[0].name, "cam_high") == 0);
    CHECK(strcmp(info.embodiment->camera[1].name, "wrist") == 0);
    fw_policy_close(p);
}

static void bf16_changes_a_chunk_little(void) {
    golden g = golden_open("act", "golden");
    fw_policy *p = NULL;
    fw_err err = {0};
    const fw_policy_opts opts = {.precision = FW_PRECISION_BF16};
    float state[8], got[32], *want = golden_f32(&g, "out.chunk", NULL);
    CHECK_OK(fw_policy_open(POLICIES "act", &opts, &p, &err), err);
    fw_obs o = observation(&g, p, 0, state);
    fw_chunk c = {.actions = got, .cap_horizon = 8};
    CHECK_OK(fw_policy_infer(p, &o, &c, &err), err);
    CHECK_NEAR(got, want, 32, 0.03, 0.0);
    free(want);
    fw_policy_close(p);
    fw_st_close(g.st);
}

/* The copy as LeRobot wrote it before it had processors: no JSON, and the statistics among the weights. */
static void make_old(void) {
    static char name[64][128];
    const char *const from[] = {"policy_preprocessor_step_3_normalizer_processor.safetensors", "model.safetensors"};
    fw_st_out t[464];
    fw_st *st[2];
    char path[600];
    fw_err err = {0};
    int n = 0, n_stat = 0;
    for (int f = 0; f < 2; f++) {
        snprintf(path, sizeof path, "%s/%s", dir, from[f]);
        CHECK_OK(fw_st_open(path, &st[f], &err), err);
        for (int i = 0; i < fw_st_count(st[f]) && n < 464; i++) {
            const fw_st_tensor *s = fw_st_at(st[f], i);
            t[n] = (fw_st_out){s->name, s->dtype, s->shape, s->data};
            if (f == 0 && s->dtype == FW_F32 && n_stat < 64) {
                bool action = strncmp(s->name, "action.", 7) == 0;
                int at = snprintf(name[n_stat], 128, "%s",
                                  action ? "unnormalize_outputs.buffer_" : "normalize_inputs.buffer_");
                snprintf(name[n_stat] + at, 128 - (size_t)at, "%s", s->name);
                for (char *c = name[n_stat] + at; c < strrchr(name[n_stat], '.'); c++) {
                    *c = *c == '.' ? '_' : *c;
                }
                t[n].name = name[n_stat++];
            }
            n += f == 1 || s->dtype == FW_F32;
        }
    }
    CHECK_OK(fw_st_write(path, t, n, NULL, &err), err);
    fw_st_close(st[0]);
    fw_st_close(st[1]);
    snprintf(path, sizeof path, "rm %s/policy_*", dir);
    CHECK_INT(system(path), 0);
}

static void an_older_checkpoint_gives_the_same_chunk(void) {
    golden g = golden_open("act", "golden");
    fw_err err = {0};
    fw_policy *p = NULL;
    float state[8], both[2 * 8 * 4];
    copy_policy("act");
    make_old();
    CHECK_OK(fw_policy_open(dir, NULL, &p, &err), err);
    for (int b = 0; b < 2; b++) {
        fw_obs o = observation(&g, p, b, state);
        fw_chunk c = {.actions = both + b * 32, .cap_horizon = 8};
        CHECK_OK(fw_policy_infer(p, &o, &c, &err), err);
    }
    check_golden(&g, "out.chunk", both);
    fw_policy_close(p);
    fw_st_close(g.st);
}

static void another_robot_is_refused(void) {
    fw_policy *p = NULL;
    fw_err err = {0};
    const fw_policy_opts o = {.embodiment = "cr5"};
    CHECK_FAILS(fw_policy_open(POLICIES "act", &o, &p, &err), err, FW_INVALID, "the policy reads 5 values of state");
    CHECK_FAILS(fw_policy_open(POLICIES "act_env", NULL, &p, &err), err, FW_UNSUPPORTED,
                "observation.environment_state");
    CHECK_FAILS(fw_policy_open("/nowhere", NULL, &p, &err), err, FW_IO, "/nowhere");
    snprintf(err.msg, sizeof err.msg, "rm -rf %s", dir);
    CHECK_INT(system(err.msg), 0);
}

FW_TEST_MAIN(T(act_gives_lerobots_chunk), T(act_ensembles_over_time_as_lerobot), T(infer_allocates_nothing),
             T(an_observation_that_does_not_fit_is_refused), T(a_checkpoint_that_does_not_fit_is_refused_by_name),
             T(training_only_tensors_may_be_missing), T(a_missing_statistic_is_refused_by_name),
             T(cameras_go_by_the_robots_names), T(bf16_changes_a_chunk_little),
             T(an_older_checkpoint_gives_the_same_chunk), T(another_robot_is_refused))
