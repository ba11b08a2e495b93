/* ctest: timeout=180
 * A whole run on a tiny dataset: the loss falls, the exported policy opens and answers, a killed run ends in the same
 * bytes, open-loop errors are what can be worked out by hand, and mistakes leave nothing half-written. */
#include "train/loop.h"

#include <signal.h>
#include <sys/wait.h>

#include "data/deleted.h"
#include "model/checkpoint.h"
#include "model/pretrained.h"
#include "tensor/safetensors.h"
#include "train/calibrate_run.h"
#include "train/openloop.h"
#include "train_test.h"

static const char *data(void) {
    begin_tmp();
    if (!fw_path_exists(in_tmp("data"))) {
        tiny_dataset(in_tmp("data"), 0);
        tiny_config(in_tmp("tiny.json"), "");
    }
    return in_tmp("data");
}

static fw_status train(const char *out, int resume, int64_t steps, fw_train_result *r, fw_err *err) {
    static char config[512], dir[512], where[512]; /* in_tmp rotates */
    snprintf(dir, sizeof dir, "%s", data());
    snprintf(config, sizeof config, "%s", in_tmp("tiny.json"));
    snprintf(where, sizeof where, "%s", in_tmp(out));
    const char *dirs[] = {dir};
    fw_train_opts o = {.config = config,
                       .dirs = dirs,
                       .n_dirs = 1,
                       .out = where,
                       .resume = resume,
                       .steps = steps,
                       .seed = -1,
                       .threads = 2};
    return fw_train(&o, r, err);
}

static double first_logged_loss(const char *out) {
    char *text = NULL;
    size_t n = 0;
    fw_err err = {0};
    CHECK_OK(fw_file_read(in_tmp(out), 1 << 20, &text, &n, &err), err);
    const char *at = strstr(text, "\"loss\": ");
    CHECK(at != NULL);
    double v = strtod(at + 8, NULL);
    free(text);
    return v;
}

static void loss_falls_and_the_policy_answers(void) {
    fw_err err = {0};
    fw_train_result r;
    CHECK_OK(train("run", 0, 0, &r, &err), err);
    CHECK_INT(r.steps, 40);
    CHECK(r.samples_per_s > 0 && isfinite(r.held_out));
    double first = first_logged_loss("run/train/log.jsonl");
    if (!(r.loss < 0.8 * first)) {
        FW_FAILED("loss %.4f after 40 steps, %.4f at the first line", r.loss, first);
    }
    CHECK(fw_path_exists(in_tmp("run/train/curves.png")) && fw_path_exists(in_tmp("run/card.md")));
    fw_policy *p = NULL;
    CHECK_OK(fw_flywheel_open(in_tmp("run"), NULL, &p, &err), err);
    static uint8_t rgb[TINY_PX * TINY_PX * 3];
    const float state[6] = {0.4f, 0.4f, 0.4f, 0.4f, 0.4f, 0.4f};
    float rows[8 * 5];
    fw_obs obs = {.image = {{rgb, TINY_PX, TINY_PX}, {rgb, TINY_PX, TINY_PX}},
                  .n_image = 2,
                  .state = state,
                  .n_state = 6,
                  .instruction = "put the mug in the sink"};
    fw_chunk chunk = {.actions = rows, .cap_horizon = 8};
    CHECK_OK(fw_policy_infer(p, &obs, &chunk, &err), err);
    CHECK(chunk.horizon == 8 && chunk.n_action == 5);
    for (int i = 0; i < 40; i++) {
        CHECK(isfinite(rows[i]));
    }
    fw_policy_close(p);
}

/* Start `flywheel train` and kill it as soon as its state file is there. */
static void run_and_kill(const char *out) {
    char config[512], dir[512], where[512], state[600];
    snprintf(dir, sizeof dir, "%s", data());
    snprintf(config, sizeof config, "%s", in_tmp("tiny.json"));
    snprintf(where, sizeof where, "%s", in_tmp(out));
    snprintf(state, sizeof state, "%s/train/state.safetensors", where);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        execl(FW_BIN, FW_BIN, "train", "--config", config, "--data", dir, "--out", where, "--workers", "2", "--steps",
              "200", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; !fw_path_exists(state); i++) {
        CHECK(i < 60000 && waitpid(pid, NULL, WNOHANG) == 0);
        usleep(1000);
    }
    CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

static int64_t steps_in_state(const char *out) {
    fw_err err = {0};
    fw_st *f = NULL;
    char path[600];
    snprintf(path, sizeof path, "%s/train/state.safetensors", in_tmp(out));
    CHECK_OK(fw_st_open(path, &f, &err), err);
    int64_t n = strtoll(fw_st_meta(f, "step"), NULL, 10);
    fw_st_close(f);
    return n;
}

static void same_file(const char *a, const char *b) {
    char *x = NULL, *y = NULL;
    size_t nx = 0, ny = 0;
    fw_err err = {0};
    CHECK_OK(fw_file_read(in_tmp(a), 1 << 28, &x, &nx, &err), err);
    CHECK_OK(fw_file_read(in_tmp(b), 1 << 28, &y, &ny, &err), err);
    CHECK_INT(nx, ny);
    if (memcmp(x, y, nx) != 0) {
        FW_FAILED("%s and %s differ", a, b);
    }
    free(x), free(y);
}

static void a_killed_run_ends_in_the_same_bytes(void) {
    fw_err err = {0};
    fw_train_result r;
    run_and_kill("killed");
    int64_t at = steps_in_state("killed");
    CHECK(at >= 10 && at < 200 && !fw_path_exists(in_tmp("killed/model.safetensors")));
    CHECK_OK(train("killed", 1, 200, &r, &err), err);
    CHECK_INT(r.steps, 200);
    CHECK_OK(train("straight", 0, 200, &r, &err), err);
    same_file("killed/model.safetensors", "straight/model.safetensors");
    same_file("killed/stats.json", "straight/stats.json");
}

/* flywheel-s, whose dropout draws the same masks the second time; the flag beside the config's keys. */
static void checkpointing_changes_no_bit(void) {
    char config[512], dir[512], where[512];
    fw_err err = {0};
    snprintf(dir, sizeof dir, "%s", data());
    snprintf(config, sizeof config, "%s", in_tmp("tiny.json"));
    snprintf(where, sizeof where, "%s", in_tmp("again"));
    const char *dirs[] = {dir};
    fw_train_opts o = {.config = config,
                       .dirs = dirs,
                       .n_dirs = 1,
                       .out = where,
                       .seed = -1,
                       .threads = 1,
                       .gradient_checkpointing = true};
    CHECK_OK(fw_train(&o, NULL, &err), err);
    same_file("again/model.safetensors", "run/model.safetensors");
}

/* A second run that begins with the first's weights starts where that one ended, under its statistics. */
static void a_run_can_begin_with_another_policy(void) {
    fw_err err = {0};
    fw_train_result fresh, more;
    char dir[512], config[512], out[512], from[512];
    snprintf(dir, sizeof dir, "%s", data());
    snprintf(config, sizeof config, "%s", in_tmp("tiny.json"));
    snprintf(out, sizeof out, "%s", in_tmp("more"));
    snprintf(from, sizeof from, "%s", in_tmp("straight"));
    const char *dirs[] = {dir};
    fw_train_opts o = {.config = config, .dirs = dirs, .n_dirs = 1, .out = out, .steps = 1, .seed = -1, .threads = 1};
    CHECK_OK(fw_train(&o, &fresh, &err), err);
    o.from = from;
    CHECK(fw_train(&o, &more, &err) == FW_INVALID); /* begun there already */
    snprintf(out, sizeof out, "%s", in_tmp("more2"));
    CHECK_OK(fw_train(&o, &more, &err), err);
    CHECK(more.loss < 0.5 * fresh.loss);
    same_file("more2/stats.json", "straight/stats.json");
    o.from = "/nonexistent/policy";
    snprintf(out, sizeof out, "%s", in_tmp("more3"));
    CHECK(fw_train(&o, &more, &err) == FW_IO && strstr(err.msg, "/nonexistent/policy") != NULL);
}

/* "pi.mlp.0.weight" of a policy in the test's folder, [64, *wide]; owned */
static float *first_layer(const char *policy, int64_t *wide) {
    char path[600];
    fw_err err = {0};
    fw_st *f = NULL;
    snprintf(path, sizeof path, "%s/model.safetensors", in_tmp(policy));
    CHECK_OK(fw_st_open(path, &f, &err), err);
    const fw_st_tensor *t = fw_st_find(f, "pi.mlp.0.weight");
    CHECK(t != NULL && t->shape.n == 2 && t->shape.d[0] == 64);
    float *w = malloc(sizeof(float) * 64 * (size_t)t->shape.d[1]);
    CHECK(w != NULL);
    CHECK_OK(fw_st_read_f32(f, t->name, &t->shape, w, &err), err);
    *wide = t->shape.d[1];
    fw_st_close(f);
    return w;
}

/* One small step from it, the layer that reads the body is the other's, with columns near zero before those of the words. */
static void a_policy_that_is_never_late_can_learn_to_be(void) {
    fw_err err = {0};
    char *text = NULL, *at;
    size_t n = 0;
    int64_t narrow, wide;
    CHECK_OK(fw_file_read(in_tmp("tiny.json"), 1 << 20, &text, &n, &err), err);
    CHECK((at = strstr(text, "\"execute\"")) != NULL);
    char config[512], dir[512], out[512], from[512], late[4096];
    snprintf(late, sizeof late, "%.*s\"max_delay\": 3, %s", (int)(at - text), text, at);
    free(text);
    snprintf(config, sizeof config, "%s", in_tmp("late.json"));
    CHECK_OK(fw_file_write_atomic(config, late, strlen(late), &err), err);
    snprintf(dir, sizeof dir, "%s", data());
    snprintf(out, sizeof out, "%s", in_tmp("late"));
    snprintf(from, sizeof from, "%s", in_tmp("straight"));
    const char *dirs[] = {dir};
    const fw_train_opts o = {
        .config = config, .from = from, .dirs = dirs, .n_dirs = 1, .out = out, .steps = 1, .seed = -1, .threads = 1};
    CHECK_OK(fw_train(&o, NULL, &err), err);
    float *had = first_layer("straight", &narrow), *has = first_layer("late", &wide);
    CHECK_INT(wide - narrow, 5 + 3);
    for (int64_t i = 0; i < 64; i++) {
        for (int64_t k = 0; k < wide; k++) {
            const int64_t was = k < narrow - 16 ? k : k - (wide - narrow);
            const float want = k >= narrow - 16 && k < wide - 16 ? 0.0f : had[i * narrow + was];
            CHECK(fabsf(has[i * wide + k] - want) < 0.004f + 0.01f * fabsf(want));
        }
    }
    free(had), free(has);
}

static void mistakes_leave_nothing_behind(void) {
    fw_err err = {0};
    char dir[512], config[512], out[512];
    CHECK(train("straight", 0, 5, NULL, &err) == FW_INVALID && strstr(err.msg, "--resume") != NULL);
    snprintf(dir, sizeof dir, "%s", in_tmp("one_camera"));
    snprintf(config, sizeof config, "%s", in_tmp("tiny.json"));
    snprintf(out, sizeof out, "%s", in_tmp("none"));
    tiny_dataset(dir, 1);
    const char *dirs[] = {dir};
    fw_train_opts o = {.config = config, .dirs = dirs, .n_dirs = 1, .out = out, .seed = -1, .threads = 1};
    CHECK(fw_train(&o, NULL, &err) == FW_INVALID && strstr(err.msg, "wrist") != NULL);
    CHECK(!fw_path_exists(in_tmp("none")));
    o.config = FW_SOURCE_DIR "/configs/cr5.json";
    CHECK(fw_train(&o, NULL, &err) == FW_SHAPE && strstr(err.msg, "cr5") != NULL);
    CHECK(!fw_path_exists(in_tmp("none")));
}

/* The actions of the tiny dataset hardly change, so that the errors of the baselines can be worked out. */
static void open_loop_baselines_are_what_they_should_be(void) {
    fw_err err = {0};
    fw_open_result r;
    char policy[512], dir[512], plot[512];
    snprintf(policy, sizeof policy, "%s", in_tmp("run"));
    snprintf(dir, sizeof dir, "%s", data());
    snprintf(plot, sizeof plot, "%s", in_tmp("open.png"));
    fw_open_opts o = {.policy = policy, .data = dir, .to = -1, .last = 1, .plot = plot, .threads = 1};
    CHECK_OK(fw_open_run(&o, &r, &err), err);
    CHECK_INT(r.episodes, 1);
    CHECK_INT(r.frames, TINY_T);
    CHECK(isfinite(r.error) && r.error > 0 && fw_path_exists(plot));
    /* gripper, scaled to [-1, 1]: repeat (h < 8, rows inside): wrong where t-1 is closed and t+h open; at t = 0 the mean
     * action, half way (train actions: as many zeros as ones) */
    double wrong = 0, rows = 0;
    for (int t = 0; t < TINY_T; t++) {
        for (int h = 0; h < 8 && t + h < TINY_T; h++) {
            wrong += t == 0 ? 1.0 : t - 1 < TINY_T / 2 && t + h >= TINY_T / 2 ? 2.0 : 0.0;
            rows += 1;
        }
    }
    CHECK(fabs(r.repeat_per_dim[4] - wrong / rows) < 1e-5);
    CHECK(fabs(r.mean_per_dim[4] - 1.0) < 1e-5);
    double sum = 0;
    for (int i = 0; i < 5; i++) {
        sum += r.per_dim[i] / 5;
    }
    CHECK(fabs(sum - r.error) < 1e-9);
    o = (fw_open_opts){.policy = policy, .data = dir, .from = 3, .to = 9};
    CHECK(fw_open_run(&o, &r, &err) == FW_INVALID && strstr(err.msg, "3 to 9") != NULL);
}

static void a_policy_is_calibrated_on_recorded_frames(void) {
    fw_err err = {0};
    fw_calibrate_result r, again;
    fw_policy *p;
    char policy[512], dir[512], other[512];
    snprintf(policy, sizeof policy, "%s", in_tmp("run"));
    snprintf(dir, sizeof dir, "%s", data());
    snprintf(other, sizeof other, "%s", in_tmp("other.safetensors"));
    fw_calibrate_opts o = {.policy = policy,
                           .data = dir,
                           .frames = 6,
                           .held_out = 4,
                           .seed = 2,
                           .threads = 1,
                           .alpha = -1.0,
                           .exact_above = 0.05,
                           .budget = 0.1};
    CHECK_OK(fw_calibrate_run(&o, &r, &err), err);
    CHECK(r.frames == 6 && r.held_frames == 4 && r.held_episodes == 1 && r.n_action == 5);
    CHECK(strstr(r.path, "run/int8.safetensors") != NULL && fw_path_exists(r.path));
    for (int i = 0; i < 2; i++) {
        const fw_calibrate_row *row = &r.row[i];
        CHECK(row->ran && row->cosine > 0.98 && row->cosine <= 1.0 && row->worst <= row->cosine &&
              row->largest[0] > 0.0);
    }
    CHECK_OK(fw_policy_open(policy, &(fw_policy_opts){.precision = FW_PRECISION_INT8}, &p, &err), err);
    fw_policy_close(p);
    o.threads = 2;
    o.out = other;
    CHECK_OK(fw_calibrate_run(&o, &again, &err), err); /* the same, on any number of threads */
    same_file("run/int8.safetensors", "other.safetensors");
    CHECK(again.row[1].cosine == r.row[1].cosine);
    fw_calibrate_clear(&again);
    fw_calibrate_clear(&r);
    o.data = policy;
    o.out = in_tmp("none.safetensors");
    CHECK(fw_calibrate_run(&o, &r, &err) != FW_OK && !fw_path_exists(o.out));
    CHECK_OK(fw_remove_tree(in_tmp("run/int8.safetensors"), &err), err);
    end_tmp();
}

/* Rows of episode e under a rule of the dataset in dir, as `data delete` leaves it where they come back. */
static void bury(const char *dir, int64_t e) {
    fw_err err = {0};
    fw_dataset *ds;
    fw_episode ep;
    fw_deleted *d;
    CHECK_OK(fw_dataset_open(dir, &ds, &err), err);
    CHECK_OK(fw_dataset_read_episode(ds, e, &ep, &err), err);
    CHECK_OK(fw_deleted_new(&d, &err), err);
    int rule = fw_deleted_rule(d, NULL);
    CHECK_OK(fw_deleted_add(d, rule, ep.state, ep.action, ep.length, ep.n_state, ep.n_action, &err), err);
    CHECK_OK(fw_deleted_save(d, dir, &err), err);
    fw_deleted_free(d);
    fw_episode_clear(&ep);
    fw_dataset_close(ds);
}

static void open_loop_refuses_what_was_deleted(void) {
    fw_err err = {0};
    fw_open_result r;
    char policy[512], dir[512];
    CHECK_OK(train("gone", 0, 4, NULL, &err), err);
    snprintf(policy, sizeof policy, "%s", in_tmp("gone"));
    snprintf(dir, sizeof dir, "%s", data());
    bury(dir, 1);
    fw_open_opts o = {.policy = policy, .data = dir, .to = -1, .threads = 1};
    CHECK(fw_open_run(&o, &r, &err) == FW_INVALID && strstr(err.msg, "ep 1: refused by rule episodes-") != NULL);
    o.to = 1;
    CHECK_OK(fw_open_run(&o, &r, &err), err);
    CHECK_INT(r.episodes, 1);
    end_tmp();
}

FW_TEST_MAIN(T(loss_falls_and_the_policy_answers), T(a_killed_run_ends_in_the_same_bytes),
             T(checkpointing_changes_no_bit), T(a_run_can_begin_with_another_policy),
             T(a_policy_that_is_never_late_can_learn_to_be), T(mistakes_leave_nothing_behind),
             T(open_loop_baselines_are_what_they_should_be), T(a_policy_is_calibrated_on_recorded_frames),
             T(open_loop_refuses_what_was_deleted))
