/* The state of a run: comes back bit for bit, and refuses what it does not fit. */
#include "train/trainstate.h"

#include <unistd.h>

#include "base/file.h"
#include "fw_test.h"

static char path[] = "/tmp/fw_state_XXXXXX";

typedef struct bench {
    fw_params *params;
    fw_optim *o;
} bench;

static bench make_of(int64_t width, float start, double ema) {
    bench b;
    fw_optim_opts opts = FW_OPTIM_OPTS_DEFAULT;
    fw_err err = {0};
    fw_parameter *p;
    fw_shape sw = FW_SHAPE_OF(3, width), sb = FW_SHAPE_OF(3);
    CHECK(fw_params_new(1, &b.params, &err) == FW_OK);
    CHECK(fw_params_get(b.params, "pi.weight", &sw, (fw_init){FW_INIT_NORMAL, start}, &p, &err) == FW_OK);
    CHECK(fw_params_get(b.params, "pi.bias", &sb, (fw_init){FW_INIT_ZERO, 0}, &p, &err) == FW_OK);
    opts.ema_decay = ema;
    CHECK(fw_optim_new(b.params, &opts, NULL, &b.o, &err) == FW_OK);
    return b;
}

static bench make(int64_t width, float start) {
    return make_of(width, start, 0.999);
}

static void drop(bench b) {
    fw_optim_free(b.o);
    fw_params_free(b.params);
}

static void steps(bench b, int n) {
    fw_err err = {0};
    float gw[12], gb[3];
    for (int t = 0; t < n; t++) {
        for (int i = 0; i < 12; i++) {
            gw[i] = sinf((float)(fw_optim_steps(b.o) * 12 + i));
        }
        gb[0] = gw[0], gb[1] = gw[5], gb[2] = gw[7];
        const float *g[2] = {gw, gb};
        CHECK(fw_optim_step_grads(b.o, g, 1e-2, NULL, &err) == FW_OK);
    }
}

static void new_path(void) {
    if (strstr(path, "XXXXXX") != NULL) {
        int fd = mkstemp(path);
        CHECK(fd >= 0);
        close(fd);
    }
}

static void a_run_goes_on_as_if_never_stopped(void) {
    fw_err err = {0};
    new_path();
    bench whole = make(4, 1.0f), part = make(4, 1.0f), rest = make(4, 0.5f);
    steps(whole, 11);
    steps(part, 7);
    fw_trainstate s = {.step = 7, .elapsed_s = 1.0 / 3.0, .loss = 0.1, .micro = 3, .config = "c", .data = "d"};
    int64_t micro = 0;
    CHECK(fw_trainstate_save(path, part.o, &s, &err) == FW_OK);
    CHECK(fw_trainstate_micro(path, &micro, &err) == FW_OK && micro == 3);
    fw_trainstate got = {.config = "c", .data = "d"};
    CHECK(fw_trainstate_load(path, rest.o, &got, &err) == FW_OK);
    CHECK(got.step == 7 && got.elapsed_s == 1.0 / 3.0 && got.loss == 0.1);
    steps(rest, 4);
    for (int i = 0; i < 2; i++) {
        size_t bytes = (size_t)fw_shape_count(&fw_optim_param(whole.o, i)->shape) * sizeof(float);
        CHECK(memcmp(fw_optim_param(whole.o, i)->data, fw_optim_param(rest.o, i)->data, bytes) == 0);
        for (int k = FW_OPTIM_M; k <= FW_OPTIM_EMA; k++) {
            CHECK(memcmp(fw_optim_state(whole.o, (fw_optim_slot)k, i), fw_optim_state(rest.o, (fw_optim_slot)k, i),
                         bytes) == 0);
        }
    }
    drop(whole), drop(part), drop(rest);
}

/* Without averaged weights the file lacks them; one that has them all the same is read, the other way round is refused by name. */
static void averaged_weights_are_in_the_file_when_they_are_kept(void) {
    fw_err err = {0};
    new_path();
    const float *w;
    bench with = make(4, 1.0f), without = make_of(4, 1.0f, 0), fresh = make_of(4, 0.5f, 0), wants = make(4, 0.5f);
    fw_trainstate s = {.step = 3, .elapsed_s = 1, .loss = 1, .config = "c", .data = "d"},
                  got = {.config = "c", .data = "d"};
    steps(with, 3), steps(without, 3);
    CHECK(fw_trainstate_save(path, with.o, &s, &err) == FW_OK);
    CHECK(fw_trainstate_load(path, fresh.o, &got, &err) == FW_OK);
    w = fw_optim_param(fresh.o, 0)->data;
    CHECK(memcmp(w, fw_optim_param(without.o, 0)->data, 12 * sizeof(float)) == 0);
    CHECK(fw_trainstate_save(path, without.o, &s, &err) == FW_OK);
    CHECK(fw_trainstate_load(path, fresh.o, &got, &err) == FW_OK);
    CHECK(memcmp(w, fw_optim_param(without.o, 0)->data, 12 * sizeof(float)) == 0);
    CHECK(fw_trainstate_load(path, wants.o, &got, &err) == FW_SHAPE && strstr(err.msg, "ema.pi.weight") != NULL);
    drop(with), drop(without), drop(fresh), drop(wants);
}

static void another_run_is_refused_and_changes_nothing(void) {
    fw_err err = {0};
    new_path();
    bench a = make(4, 1.0f), b = make(4, 0.5f), wide = make(5, 1.0f);
    fw_trainstate s = {.step = 1, .elapsed_s = 1, .loss = 1, .config = "lr 0.1 batch 8", .data = "d"};
    steps(a, 1);
    CHECK(fw_trainstate_save(path, a.o, &s, &err) == FW_OK);
    float before = fw_optim_param(b.o, 0)->data[0];
    fw_trainstate other = {.config = "lr 0.2 batch 8", .data = "d"};
    CHECK(fw_trainstate_load(path, b.o, &other, &err) == FW_INVALID);
    CHECK(strstr(err.msg, "0.1") != NULL && strstr(err.msg, "0.2") != NULL);
    other = (fw_trainstate){.config = "lr 0.1 batch 8", .data = "e"};
    CHECK(fw_trainstate_load(path, b.o, &other, &err) == FW_INVALID);
    CHECK(strstr(err.msg, "other data") != NULL);
    other = (fw_trainstate){.config = "lr 0.1 batch 8", .data = "d"};
    CHECK(fw_trainstate_load(path, wide.o, &other, &err) == FW_SHAPE);
    CHECK(strstr(err.msg, "pi.weight") != NULL);
    CHECK(fw_optim_param(b.o, 0)->data[0] == before && fw_optim_steps(b.o) == 0);
    drop(a), drop(b), drop(wide);
}

static void a_cut_file_is_refused(void) {
    fw_err err = {0};
    new_path();
    bench a = make(4, 1.0f);
    fw_trainstate s = {.step = 1, .elapsed_s = 1, .loss = 1, .config = "c", .data = "d"};
    CHECK(fw_trainstate_save(path, a.o, &s, &err) == FW_OK);
    CHECK(truncate(path, 200) == 0);
    CHECK(fw_trainstate_load(path, a.o, &s, &err) != FW_OK);
    CHECK(strstr(err.msg, path) != NULL);
    unlink(path);
    drop(a);
}

FW_TEST_MAIN(T(a_run_goes_on_as_if_never_stopped), T(averaged_weights_are_in_the_file_when_they_are_kept),
             T(another_run_is_refused_and_changes_nothing), T(a_cut_file_is_refused))
