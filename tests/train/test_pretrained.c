/* ctest: timeout=300
 * SmolVLA, pi0, pi0.5 and ACT, tiny and of random weights (tests/golden/policies), trained further on a tiny dataset: the loss falls,
 * what comes out is a pretrained_model folder that trains and runs again, only what is not frozen has moved, a killed run ends in the
 * same bytes, and a batch in parts is a batch. */
#include <signal.h>
#include <sys/wait.h>

#include "kern/kern.h"
#include "model/pretrained.h"
#include "tensor/safetensors.h"
#include "train/learner.h"
#include "train/loop.h"
#include "train_test.h"

static const char *const k_policy[] = {"smolvla", "pi0", "pi05", "act"};

/* The dataset that golden policy k fits. */
static const char *data_for(int k) {
    const char *name = k == 3 ? "data_act" : "data";
    if (strstr(tmp_dir, "XXXXXX") != NULL) {
        CHECK(mkdtemp(tmp_dir) != NULL);
        CHECK(setenv("XDG_CACHE_HOME", in_tmp("cache"), 1) == 0);
    }
    if (!fw_path_exists(in_tmp(name))) {
        toy_dataset(in_tmp(name), k == 3 ? 40 : 72, k == 3 ? 56 : 48);
    }
    return in_tmp(name);
}

/* A config for golden policy k; policy and train: more members, beginning with a comma, or "". */
static const char *config(int k, const char *policy, const char *train) {
    static char path[512];
    char text[1024];
    fw_err err = {0};
    snprintf(path, sizeof path, "%s", in_tmp("tune.json"));
    int n = snprintf(
        text, sizeof text,
        "{\"name\": \"tuned\", \"policy\": {\"kind\": \"pretrained\", \"from\": \"%s/tests/golden/policies/%s\"%s}, "
        "\"data\": {\"held_out\": 1}, \"train\": {\"batch\": 4, \"steps\": 30, \"warmup\": 2%s, "
        "\"log_every\": 1, \"validate_every\": 30%s}}",
        FW_SOURCE_DIR, k_policy[k], policy, strstr(train, "\"lr\"") != NULL ? "" : ", \"lr\": 0.002", train);
    CHECK(n > 0 && n < (int)sizeof text);
    CHECK_OK(fw_file_write_atomic(path, text, (size_t)n, &err), err);
    return path;
}

static fw_status train(int k, const char *cfg, const char *out, fw_train_opts more, fw_train_result *r, fw_err *err) {
    char dir[512], where[512];
    snprintf(dir, sizeof dir, "%s", data_for(k));
    snprintf(where, sizeof where, "%s", in_tmp(out));
    const char *dirs[] = {dir};
    more.config = cfg, more.dirs = dirs, more.n_dirs = 1, more.out = where, more.seed = -1, more.threads = 1;
    return fw_train(&more, r, err);
}

static double logged_loss(const char *out, int line) {
    char *text = NULL, path[600];
    size_t n = 0;
    fw_err err = {0};
    snprintf(path, sizeof path, "%s/train/log.jsonl", in_tmp(out));
    CHECK_OK(fw_file_read(path, 1 << 20, &text, &n, &err), err);
    const char *at = text;
    for (int i = 0; i <= line; i++) {
        at = strstr(i == 0 ? at : at + 8, "\"loss\": ");
        CHECK(at != NULL);
    }
    double v = strtod(at + 8, NULL);
    free(text);
    return v;
}

static void runs(const char *dir) {
    fw_err err = {0};
    fw_policy *p = NULL;
    CHECK_OK(fw_policy_open(dir, NULL, &p, &err), err);
    fw_policy_close(p);
}

static void all_four_learn_and_come_out_as_they_came_in(void) {
    for (int k = 0; k < 4; k++) {
        fw_err err = {0};
        fw_train_result r, again;
        data_for(k);
        CHECK_OK(train(k, config(k, "", ""), k_policy[k], (fw_train_opts){0}, &r, &err), err);
        const double first = logged_loss(k_policy[k], 0);
        printf("# %s: loss %.4f, at first %.4f, held out %.4f\n", k_policy[k], r.loss, first, r.held_out);
        CHECK(r.steps == 30 && isfinite(r.held_out) && r.loss < 0.9 * first);
        runs(in_tmp(k_policy[k]));
        /* what came out is what another run can begin with, and it begins where this one ended */
        char from[512], out[64], dir[512];
        snprintf(from, sizeof from, "%s", in_tmp(k_policy[k]));
        snprintf(out, sizeof out, "%s_again", k_policy[k]);
        snprintf(dir, sizeof dir, "%s", data_for(k));
        CHECK_OK(train(k, NULL, out, (fw_train_opts){.from = from, .steps = 1, .batch = 32}, &again, &err), err);
        printf("# %s: loss of a run that begins with it %.4f\n", k_policy[k], again.loss);
        CHECK(again.loss < 0.9 * first);
    }
}

/* Tensors of policy k's file that differ from those of the run in out: how many of those that begin with prefix; NULL: of the others */
static int moved(int k, const char *out, const char *prefix, bool inside, int *total) {
    fw_err err = {0};
    fw_st *a, *b;
    char path[700];
    int n = 0;
    *total = 0;
    snprintf(path, sizeof path, "%s/tests/golden/policies/%s/model.safetensors", FW_SOURCE_DIR, k_policy[k]);
    CHECK_OK(fw_st_open(path, &a, &err), err);
    snprintf(path, sizeof path, "%s/model.safetensors", in_tmp(out));
    CHECK_OK(fw_st_open(path, &b, &err), err);
    CHECK_INT(fw_st_count(a), fw_st_count(b));
    for (int i = 0; i < fw_st_count(a); i++) {
        const fw_st_tensor *x = fw_st_at(a, i), *y = fw_st_find(b, x->name);
        CHECK(y != NULL && y->dtype == x->dtype && fw_shape_eq(&x->shape, &y->shape));
        if ((strncmp(x->name, prefix, strlen(prefix)) == 0) == inside) {
            *total += 1;
            n += memcmp(x->data, y->data, x->bytes) != 0;
        }
    }
    fw_st_close(a), fw_st_close(b);
    return n;
}

static void what_is_frozen_stays(void) {
    fw_err err = {0};
    int total;
    /* SmolVLA's config trains the expert alone */
    CHECK(moved(0, "smolvla", "model.vlm_with_expert.vlm.", true, &total) == 0 && total > 20);
    CHECK(moved(0, "smolvla", "model.vlm_with_expert.lm_expert.layers.", true, &total) == total && total > 20);
    CHECK(moved(0, "smolvla", "model.state_proj.", true, &total) == 2);
    /* pi0's trains all */
    CHECK(moved(1, "pi0", "model.paligemma_with_expert.paligemma.model.vision_tower.", true, &total) > 10);
    data_for(0);
    CHECK_OK(
        train(1, config(1, ", \"freeze_vision_encoder\": true", ""), "frozen", (fw_train_opts){.steps = 2}, NULL, &err),
        err);
    CHECK(moved(1, "frozen", "model.paligemma_with_expert.paligemma.model.vision_tower.", true, &total) == 0 &&
          total > 10);
    CHECK(moved(1, "frozen", "model.paligemma_with_expert.paligemma.model.language_model.layers.0", true, &total) > 5);
    CHECK_OK(train(0, config(0, ", \"train_expert_only\": false, \"train_state_proj\": false", ""), "half",
                   (fw_train_opts){.steps = 2}, NULL, &err),
             err);
    CHECK(moved(0, "half", "model.state_proj.", true, &total) == 0 && total == 2);
    CHECK(moved(0, "half", "model.vlm_with_expert.vlm.model.vision_model.", true, &total) == 0 && total > 10);
    CHECK(moved(0, "half", "model.vlm_with_expert.vlm.model.text_model.layers.0.", true, &total) == total);
    CHECK(moved(0, "half", "model.vlm_with_expert.vlm.model.text_model.layers.4.", true, &total) == 0); /* the last */
}

static void same_file(const char *a, const char *b) {
    char *x = NULL, *y = NULL;
    size_t nx = 0, ny = 0;
    fw_err err = {0};
    CHECK_OK(fw_file_read(in_tmp(a), 1 << 28, &x, &nx, &err), err);
    CHECK_OK(fw_file_read(in_tmp(b), 1 << 28, &y, &ny, &err), err);
    if (nx != ny || memcmp(x, y, nx) != 0) {
        FW_FAILED("%s and %s differ", a, b);
    }
    free(x), free(y);
}

static void a_killed_run_ends_in_the_same_bytes(void) {
    fw_err err = {0};
    char cfg[512], dir[512], where[512], state[600];
    snprintf(dir, sizeof dir, "%s", data_for(0));
    snprintf(cfg, sizeof cfg, "%s", config(0, "", ", \"checkpoint_every\": 5"));
    snprintf(where, sizeof where, "%s", in_tmp("killed"));
    snprintf(state, sizeof state, "%s/train/state.safetensors", where);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        execl(FW_BIN, FW_BIN, "train", "--config", cfg, "--data", dir, "--out", where, "--workers", "1", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; !fw_path_exists(state); i++) {
        CHECK(i < 60000 && waitpid(pid, NULL, WNOHANG) == 0);
        usleep(1000);
    }
    CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
    CHECK(!fw_path_exists(in_tmp("killed/model.safetensors")));
    /* what is kept between forward and backward is nothing that a run must begin with */
    CHECK_OK(train(0, cfg, "killed", (fw_train_opts){.resume = true, .gradient_checkpointing = true}, NULL, &err), err);
    same_file("killed/model.safetensors", "smolvla/model.safetensors");
}

/* ACT draws masks of dropout: those of the second time are those of the first. */
static void checkpointing_changes_no_bit(void) {
    fw_err err = {0};
    for (int k = 0; k < 4; k++) {
        char out[64], a[128], b[128];
        data_for(k);
        snprintf(out, sizeof out, "again_%s", k_policy[k]);
        snprintf(a, sizeof a, "again_%s/model.safetensors", k_policy[k]);
        snprintf(b, sizeof b, "%s/model.safetensors", k_policy[k]);
        CHECK_OK(train(k, config(k, "", ", \"gradient_checkpointing\": true"), out, (fw_train_opts){0}, NULL, &err),
                 err);
        same_file(a, b);
    }
}

/* On a CPU without bf16 products training is exact, and the card says so; with them it is near. */
static void bf16_is_a_precision_of_training(void) {
    fw_err err = {0};
    fw_train_result r;
    char *card = NULL, *log = NULL, begins[80];
    size_t n = 0;
    data_for(0);
    CHECK_OK(train(0, config(0, "", ", \"precision\": \"bf16\""), "bf16", (fw_train_opts){0}, &r, &err), err);
    CHECK_OK(fw_file_read(in_tmp("bf16/card.md"), 1 << 20, &card, &n, &err), err);
    CHECK_OK(fw_file_read(in_tmp("bf16/train/log.jsonl"), 1 << 20, &log, &n, &err), err);
    snprintf(begins, sizeof begins, "{\"step\": 0, \"precision\": \"%s\"}\n{\"step\": 1, \"loss\"",
             fw_kern_bf16() != NULL ? "bf16" : "f32");
    CHECK(strncmp(log, begins, strlen(begins)) == 0);
    free(log);
    if (fw_kern_bf16() != NULL) {
        CHECK(strstr(card, "| products in training | bf16, of f32 weights |") != NULL);
        CHECK(fabs(r.loss - logged_loss("smolvla", 29)) < 0.1 * r.loss);
    } else {
        CHECK(strstr(card, "bf16 asked for, but this CPU has none: f32") != NULL);
        same_file("bf16/model.safetensors", "smolvla/model.safetensors");
    }
    free(card);
    /* a run goes on with the products it began with */
    CHECK(train(0, config(0, "", ""), "bf16", (fw_train_opts){.resume = true}, NULL, &err) == FW_INVALID &&
          strstr(err.msg, "of another config") != NULL);
    CHECK(train(0, config(0, "", ""), "int8", (fw_train_opts){.precision = "int8"}, NULL, &err) == FW_FORMAT &&
          strstr(err.msg, "--precision: 'precision' is 'int8', wanted f32 or bf16") != NULL);
}

/* Each tensor of two runs of policy k, the largest difference over the largest value. */
static double apart(const char *a, const char *b) {
    fw_err err = {0};
    fw_st *x, *y;
    double worst = 0;
    char path[700];
    snprintf(path, sizeof path, "%s/model.safetensors", in_tmp(a));
    CHECK_OK(fw_st_open(path, &x, &err), err);
    snprintf(path, sizeof path, "%s/model.safetensors", in_tmp(b));
    CHECK_OK(fw_st_open(path, &y, &err), err);
    for (int i = 0; i < fw_st_count(x); i++) {
        const fw_st_tensor *t = fw_st_at(x, i), *u = fw_st_find(y, t->name);
        const float *p = t->data, *q = u->data;
        double d = 0, scale = 1e-6;
        for (int64_t j = 0; t->dtype == FW_F32 && j < fw_shape_count(&t->shape); j++) {
            d = fmax(d, fabs((double)p[j] - (double)q[j]));
            scale = fmax(scale, fabs((double)p[j]));
        }
        worst = fmax(worst, d / scale);
    }
    fw_st_close(x), fw_st_close(y);
    return worst;
}

/* Gradients of a step of four rows in one run of the network, in two of two rows, and in four. */
static void a_batch_in_parts_is_a_batch(void) {
    fw_err err = {0};
    fw_train_result whole, halves, ones;
    data_for(0);
    const char *cfg = config(0, "", ", \"weight_decay\": 0");
    CHECK_OK(train(0, cfg, "whole", (fw_train_opts){.steps = 3}, &whole, &err), err);
    CHECK_OK(train(0, cfg, "halves", (fw_train_opts){.steps = 3, .micro = 2}, &halves, &err), err);
    CHECK_OK(train(0, cfg, "ones", (fw_train_opts){.steps = 3, .micro = 1}, &ones, &err), err);
    printf("# losses %.7f %.7f %.7f\n", whole.loss, halves.loss, ones.loss);
    CHECK(fabs(whole.loss - halves.loss) < 1e-5 * whole.loss && fabs(whole.loss - ones.loss) < 1e-5 * whole.loss);
    printf("# weights apart %.1e %.1e\n", apart("whole", "halves"), apart("whole", "ones"));
    CHECK(apart("whole", "halves") < 2e-2 && apart("whole", "ones") < 2e-2);
    CHECK(train(0, cfg, "odd", (fw_train_opts){.steps = 3, .micro = 3}, NULL, &err) == FW_INVALID);
}

/* Adapters: the base stays as it is, what comes out runs with them merged in and holds them apart. */
static void adapters_learn_and_are_merged(void) {
    fw_err err = {0};
    fw_train_result r;
    int total;
    for (int k = 0; k < 4; k++) {
        char out[64], path[128];
        data_for(k);
        snprintf(out, sizeof out, "lora_%s", k_policy[k]);
        const char *cfg =
            config(k,
                   k == 3 ? ", \"lora\": {\"rank\": 2, \"targets\": \"model\\\\.(encoder|decoder)\\\\..*linear.\"}"
                          : ", \"lora\": {\"rank\": 4, \"alpha\": 8}",
                   ", \"lr\": 0.01");
        CHECK_OK(train(k, cfg, out, (fw_train_opts){0}, &r, &err), err);
        printf("# %s: loss %.4f, at first %.4f\n", out, r.loss, logged_loss(out, 0));
        CHECK(r.loss < (k == 3 ? 0.98 : 0.7) * logged_loss(out, 0));
        snprintf(path, sizeof path, "%s/adapter/adapter_model.safetensors", out);
        CHECK(fw_path_exists(in_tmp(path)));
        runs(in_tmp(out));
    }
    CHECK(moved(0, "lora_smolvla", "model.vlm_with_expert.vlm.", true, &total) == 0 && total > 20);
    CHECK(moved(0, "lora_smolvla", "model.state_proj.weight", true, &total) == 1);
    CHECK(moved(0, "lora_smolvla", "model.state_proj.bias", true, &total) == 0 && total == 1);
    CHECK(train(3, config(3, ", \"lora\": {\"rank\": 2}", ""), "no", (fw_train_opts){0}, NULL, &err) == FW_INVALID &&
          strstr(err.msg, "no default targets") != NULL);
}

static int flywheel_lora(const char *part, const char *policy, const char *adapter, const char *out) {
    pid_t pid = fork();
    int how = 0;
    CHECK(pid >= 0);
    if (pid == 0) {
        execl(FW_BIN, FW_BIN, "lora", part, policy, adapter, "--out", out, "--json", (char *)NULL);
        _exit(127);
    }
    CHECK(waitpid(pid, &how, 0) == pid && WIFEXITED(how));
    return WEXITSTATUS(how);
}

/* Merging by hand gives the run's own weights; taken out again, the base's up to rounding (pi0's golden is in F32). */
static void adapters_are_merged_and_taken_out_by_hand(void) {
    char base[512], adapter[512], merged[512], back[512];
    snprintf(base, sizeof base, "%s/tests/golden/policies/pi0", FW_SOURCE_DIR);
    snprintf(adapter, sizeof adapter, "%s", in_tmp("lora_pi0/adapter"));
    snprintf(merged, sizeof merged, "%s", in_tmp("merged"));
    snprintf(back, sizeof back, "%s", in_tmp("back"));
    CHECK_INT(flywheel_lora("merge", base, adapter, merged), 0);
    same_file("merged/model.safetensors", "lora_pi0/model.safetensors");
    same_file("merged/policy_preprocessor.json", "lora_pi0/policy_preprocessor.json");
    CHECK_INT(flywheel_lora("merge", base, adapter, merged), 1); /* not over another policy */
    CHECK_INT(flywheel_lora("merge", merged, adapter, back), 1); /* twice: not what it was trained on */
    CHECK_INT(flywheel_lora("unmerge", merged, adapter, back), 0);
    int total;
    CHECK(moved(1, "back", "model.paligemma_with_expert.paligemma.", true, &total) == 0 && total > 20);
    CHECK(moved(1, "merged", "model.action_in_proj.weight", true, &total) == 1);
    runs(back);
}

/* SmolVLA's tower is frozen: its frames pass it once and the run reads what came out, in bfloat16. */
static void a_frozen_tower_sees_each_frame_once(void) {
    fw_err err = {0};
    fw_train_result cached, plain;
    data_for(0);
    CHECK_OK(train(0, config(0, "", ""), "cached", (fw_train_opts){.steps = 3}, &cached, &err), err);
    CHECK_OK(train(0, config(0, ", \"cache_pictures\": false", ""), "plain", (fw_train_opts){.steps = 3}, &plain, &err),
             err);
    printf("# loss %.6f from pictures, %.6f from what the tower made of them\n", plain.loss, cached.loss);
    CHECK(cached.loss != plain.loss && fabs(cached.loss - plain.loss) < 0.01 * plain.loss);
    CHECK(fabs(cached.held_out - plain.held_out) < 0.01 * plain.held_out);
}

static double statistic(const char *path, const char *name, int i) {
    fw_err err = {0};
    fw_st *st;
    CHECK_OK(fw_st_open(path, &st, &err), err);
    const fw_st_tensor *t = fw_st_find(st, name);
    CHECK(t != NULL && t->dtype == FW_F32);
    double v = (double)((const float *)t->data)[i];
    fw_st_close(st);
    return v;
}

/* Three training episodes: action 0 is 0.3 (e - 1), 14 frames each; action 1 grows by 0.05 a frame. */
static void new_statistics_are_those_of_the_data(void) {
    fw_err err = {0};
    char path[700];
    data_for(0);
    CHECK_OK(train(1, config(1, ", \"new_stats\": true", ""), "stats", (fw_train_opts){.steps = 1}, NULL, &err), err);
    snprintf(path, sizeof path, "%s/policy_postprocessor_step_0_unnormalizer_processor.safetensors", in_tmp("stats"));
    CHECK(fabs(statistic(path, "action.mean", 0)) < 1e-6);
    CHECK(fabs(statistic(path, "action.std", 0) - 0.3 * sqrt(2.0 / 3.0)) < 1e-6);
    CHECK(fabs(statistic(path, "action.min", 0) + 0.3) < 1e-6 && fabs(statistic(path, "action.max", 1) - 0.95) < 1e-6);
    snprintf(path, sizeof path, "%s/policy_preprocessor_step_6_normalizer_processor.safetensors", in_tmp("stats"));
    CHECK(fabs(statistic(path, "observation.state.mean", 0) - (0.1 + 0.02 * 6.5 - 0.1)) < 1e-6);
    same_file("stats/config.json", "pi0/config.json");
}

static void mistakes_are_named(void) {
    fw_err err = {0};
    data_for(0), data_for(3);
    CHECK(train(3, config(0, "", ""), "no", (fw_train_opts){0}, NULL, &err) ==
          FW_OK); /* sizes of pictures do not matter */
    CHECK(train(0, config(3, "", ""), "no2", (fw_train_opts){0}, NULL, &err) == FW_SHAPE &&
          strstr(err.msg, "wrist") != NULL);
    CHECK(!fw_path_exists(in_tmp("no2")));
    CHECK(train(0, config(0, ", \"lora\": {\"rang\": 3}", ""), "no2", (fw_train_opts){0}, NULL, &err) == FW_FORMAT &&
          strstr(err.msg, "rang") != NULL);
    CHECK(train(0, NULL, "no2", (fw_train_opts){.from = "/nonexistent"}, NULL, &err) == FW_IO);
    tiny_dataset(in_tmp("other"), 0);
    char dir[512], out[512];
    snprintf(dir, sizeof dir, "%s", in_tmp("other"));
    snprintf(out, sizeof out, "%s", in_tmp("no2"));
    const char *dirs[] = {dir};
    fw_train_opts o = {.config = config(0, "", ""), .dirs = dirs, .n_dirs = 1, .out = out, .seed = -1, .threads = 1};
    CHECK(fw_train(&o, NULL, &err) == FW_SHAPE && strstr(err.msg, "state has 6 values") != NULL);
    CHECK(!fw_path_exists(out));
    end_tmp();
}

FW_TEST_MAIN(T(all_four_learn_and_come_out_as_they_came_in), T(what_is_frozen_stays),
             T(a_killed_run_ends_in_the_same_bytes), T(checkpointing_changes_no_bit),
             T(bf16_is_a_precision_of_training), T(a_batch_in_parts_is_a_batch), T(a_frozen_tower_sees_each_frame_once),
             T(adapters_learn_and_are_merged), T(adapters_are_merged_and_taken_out_by_hand),
             T(new_statistics_are_those_of_the_data), T(mistakes_are_named))
