/* The optimiser against torch.optim.AdamW (tests/golden/adamw.py), and its promises: determinism, refusal of bad
 * gradients, the schedule. */
#include "../golden/adamw.h"
#include "fw_test.h"
#include "train/optim.h"

static fw_params *two_params(float **w, float **b) {
    fw_err err = {0};
    fw_params *p;
    fw_parameter *pw, *pb;
    fw_shape sw = FW_SHAPE_OF(3, 4), sb = FW_SHAPE_OF(5);
    CHECK(fw_params_new(1, &p, &err) == FW_OK);
    CHECK(fw_params_get(p, "a.weight", &sw, (fw_init){FW_INIT_ZERO, 0}, &pw, &err) == FW_OK);
    CHECK(fw_params_get(p, "a.bias", &sb, (fw_init){FW_INIT_ZERO, 0}, &pb, &err) == FW_OK);
    memcpy(pw->data, golden_w0, sizeof golden_w0);
    memcpy(pb->data, golden_b0, sizeof golden_b0);
    *w = pw->data, *b = pb->data;
    return p;
}

static const fw_optim_opts golden_opts = {
    .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .clip_norm = 1.0, .ema_decay = 0.25};

static void six_steps_agree_with_torch_adamw(void) {
    float *w, *b;
    fw_err err = {0};
    fw_optim *o;
    fw_params *p = two_params(&w, &b);
    CHECK(fw_optim_new(p, &golden_opts, NULL, &o, &err) == FW_OK);
    for (int t = 0; t < 6; t++) {
        const float *g[2] = {golden_gw + t * 12, golden_gb + t * 5};
        double norm;
        CHECK(fw_optim_step_grads(o, g, 1e-2, &norm, &err) == FW_OK);
        CHECK(fabs(norm - (double)golden_norms[t]) < 1e-6 * norm);
    }
    CHECK_NEAR(w, golden_w6, 12, 2e-7, 1e-6);
    CHECK_NEAR(b, golden_b6, 5, 2e-7, 1e-6);
    fw_optim_swap_ema(o);
    CHECK_NEAR(w, golden_ema_w6, 12, 2e-7, 1e-6);
    CHECK_NEAR(b, golden_ema_b6, 5, 2e-7, 1e-6);
    fw_optim_swap_ema(o);
    CHECK_NEAR(w, golden_w6, 12, 2e-7, 1e-6);
    fw_optim_free(o);
    fw_params_free(p);
}

/* ema_decay 0: nothing is kept, and what is validated and exported are the weights. */
static void no_average_is_kept_unless_asked(void) {
    float *w, *b, *v, *c;
    fw_err err = {0};
    fw_optim *o, *with;
    fw_optim_opts opts = golden_opts;
    fw_params *p = two_params(&w, &b), *q = two_params(&v, &c);
    opts.ema_decay = 0;
    CHECK(fw_optim_new(p, &opts, NULL, &o, &err) == FW_OK);
    CHECK(fw_optim_new(q, &golden_opts, NULL, &with, &err) == FW_OK);
    CHECK(fw_optim_state(o, FW_OPTIM_EMA, 0) == NULL && fw_optim_state(with, FW_OPTIM_EMA, 1) != NULL);
    for (int t = 0; t < 6; t++) {
        const float *g[2] = {golden_gw + t * 12, golden_gb + t * 5};
        CHECK(fw_optim_step_grads(o, g, 1e-2, NULL, &err) == FW_OK);
        CHECK(fw_optim_step_grads(with, g, 1e-2, NULL, &err) == FW_OK);
    }
    fw_optim_swap_ema(o);
    CHECK(memcmp(w, v, sizeof golden_w0) == 0 && memcmp(b, c, sizeof golden_b0) == 0);
    fw_optim_free(o), fw_optim_free(with);
    fw_params_free(p), fw_params_free(q);
}

/* A store of awkward sizes; its weights after five steps, hashed by summing bits. */
static uint64_t bits_after_five_steps(int threads) {
    fw_err err = {0};
    fw_params *p;
    fw_pool *pool;
    fw_optim *o;
    CHECK(fw_params_new(3, &p, &err) == FW_OK && fw_pool_new(threads, &pool, &err) == FW_OK);
    static const int64_t sizes[] = {1, 50001, 16384, 7, 100000};
    float *grad[5];
    for (int i = 0; i < 5; i++) {
        char name[16];
        fw_parameter *q;
        fw_shape s = FW_SHAPE_OF(sizes[i], 1);
        snprintf(name, sizeof name, "p%d", i);
        CHECK(fw_params_get(p, name, &s, (fw_init){FW_INIT_NORMAL, 1}, &q, &err) == FW_OK);
        grad[i] = malloc((size_t)sizes[i] * sizeof(float));
        for (int64_t j = 0; j < sizes[i]; j++) {
            grad[i][j] = sinf((float)j * 0.37F + (float)i);
        }
    }
    CHECK(fw_optim_new(p, &(fw_optim_opts)FW_OPTIM_OPTS_DEFAULT, pool, &o, &err) == FW_OK);
    for (int t = 0; t < 5; t++) {
        CHECK(fw_optim_step_grads(o, (const float *const *)grad, 1e-3, NULL, &err) == FW_OK);
    }
    uint64_t sum = 0;
    for (int i = 0; i < 5; i++) {
        const fw_parameter *q = fw_optim_param(o, i);
        for (int64_t j = 0; j < sizes[i]; j++) {
            uint32_t u;
            memcpy(&u, &q->data[j], 4);
            sum = sum * 31 + u;
        }
        free(grad[i]);
    }
    fw_optim_free(o);
    fw_pool_free(pool);
    fw_params_free(p);
    return sum;
}

static void same_bits_for_any_number_of_threads(void) {
    uint64_t one = bits_after_five_steps(1);
    CHECK(one != 0);
    CHECK(bits_after_five_steps(2) == one);
    CHECK(bits_after_five_steps(3) == one);
}

static void a_gradient_that_is_not_finite_changes_nothing(void) {
    float *w, *b;
    fw_err err = {0};
    fw_optim *o;
    fw_params *p = two_params(&w, &b);
    CHECK(fw_optim_new(p, &golden_opts, NULL, &o, &err) == FW_OK);
    float bad[5] = {0, 0, NAN, 0, 0};
    const float *g[2] = {golden_gw, bad};
    CHECK(fw_optim_step_grads(o, g, 1e-2, NULL, &err) == FW_INVALID);
    CHECK(strstr(err.msg, "a.bias") != NULL && strstr(err.msg, "step 1") != NULL);
    CHECK(memcmp(w, golden_w0, sizeof golden_w0) == 0 && fw_optim_steps(o) == 0);
    bad[2] = INFINITY;
    CHECK(fw_optim_step_grads(o, g, 1e-2, NULL, &err) == FW_INVALID);
    fw_optim_free(o);
    fw_params_free(p);
}

static void frozen_and_unused_parameters_stay(void) {
    float *w, *b;
    fw_err err = {0};
    fw_optim *o;
    fw_params *p = two_params(&w, &b);
    CHECK(fw_params_set_trainable(p, "a.weight", false) == 1);
    CHECK(fw_optim_new(p, &golden_opts, NULL, &o, &err) == FW_OK);
    CHECK_INT(fw_optim_count(o), 1);
    CHECK_INT(fw_optim_values(o), 5);
    const float *none[1] = {NULL}, *g[1] = {golden_gb};
    CHECK(fw_optim_step_grads(o, none, 1e-2, NULL, &err) == FW_OK);
    CHECK(memcmp(b, golden_b0, sizeof golden_b0) == 0);
    CHECK(fw_optim_step_grads(o, g, 1e-2, NULL, &err) == FW_OK);
    CHECK(memcmp(b, golden_b0, sizeof golden_b0) != 0 && memcmp(w, golden_w0, sizeof golden_w0) == 0);
    fw_optim_free(o);
    CHECK(fw_params_set_trainable(p, "", false) == 2);
    CHECK(fw_optim_new(p, &golden_opts, NULL, &o, &err) == FW_INVALID);
    fw_params_free(p);
}

static void learning_rate_warms_up_then_follows_a_cosine(void) {
    fw_lr_sched s = {.lr = 2.0, .warmup = 10, .final_ratio = 0.1};
    CHECK(fabs(fw_lr_at(&s, 0, 0) - 0.2) < 1e-12);
    CHECK(fabs(fw_lr_at(&s, 0, 9) - 2.0) < 1e-12);
    CHECK(fabs(fw_lr_at(&s, 0.5, 100) - 1.1) < 1e-12);
    CHECK(fabs(fw_lr_at(&s, 1.0, 100) - 0.2) < 1e-12);
    CHECK(fabs(fw_lr_at(&s, 7.0, 100) - 0.2) < 1e-12);
}

/* SmolVLA's preset over 20000 steps: what CosineDecayWithWarmupSchedulerConfig of LeRobot 0.6.1 gives, 1000 and 30000 scaled by 2/3. */
static void a_joined_warm_up_is_lerobots(void) {
    static const struct {
        int64_t step;
        double lr;
    } want[] = {{0, 1.499250374812594e-07},   {300, 4.512743628185908e-05}, {665, 9.985007496251875e-05},
                {666, 9.973347576037485e-05}, {10000, 5.125e-05},           {20000, 2.5e-06}};
    const fw_lr_sched s = {.lr = 1e-4, .warmup = 666, .final_ratio = 0.025, .joined = true};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        CHECK(fabs(fw_lr_at(&s, (double)want[i].step / 20000.0, want[i].step) - want[i].lr) <
              1e-12 * 1e-4 + 1e-9 * want[i].lr);
    }
}

FW_TEST_MAIN(T(six_steps_agree_with_torch_adamw), T(no_average_is_kept_unless_asked),
             T(same_bits_for_any_number_of_threads), T(a_gradient_that_is_not_finite_changes_nothing),
             T(frozen_and_unused_parameters_stay), T(learning_rate_warms_up_then_follows_a_cosine),
             T(a_joined_warm_up_is_lerobots))
